//! F5. Puts the steps of a fused graph in the order in which they run. It begins with the order of the
//! fuser and moves steps forward that give more memory back than they take: the product that makes
//! the gradient of a weight is the last reader of a layer's activations, so it runs as soon as the
//! old weight has been read. What reads an old value runs before what may be written over it.

use super::fuse::{Fusion, Work};
use super::plan::readers;
use crate::graph::{Graph, INPUT, Id};
use crate::ops::collective;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Steps looked at, per step of the graph, for whether a late reader of an old value waits for its
/// new one; more are not looked for, so that the work stays linear.
const LOOKS: usize = 16;

/// What follows what, and what each step does to the memory that is in use.
struct Steps {
    /// The steps that come after each.
    after: Vec<Vec<usize>>,
    /// How many it comes after.
    waits: Vec<usize>,
    /// Values in the arena that it reads.
    reads: Vec<Vec<Id>>,
    /// Bytes of the values that it makes there.
    makes: Vec<usize>,
}

/// Reorders the steps of `fusion`.
pub(super) fn schedule(graph: &Graph, fusion: &mut Fusion) {
    let mut readers = readers(graph, fusion);
    readers.iter_mut().for_each(|steps| steps.dedup());
    let mut steps = Steps::of(graph, fusion, &readers);
    let late = steps.hold_back(graph, fusion, &readers);
    let mut order = steps.order(graph, &readers);
    if order.len() < fusion.works.len() {
        // Two late readers can wait for each other's writers; the order at hand has no such circle.
        for (reader, writer) in late {
            steps.forget(reader, writer);
        }
        order = steps.order(graph, &readers);
    }
    let n = fusion.works.len();
    if order.len() < n || order.iter().copied().eq(0..n) {
        return;
    }
    let mut place = vec![0; n];
    for (to, &from) in order.iter().enumerate() {
        place[from] = to;
    }
    let mut works: Vec<Option<Work>> = std::mem::take(&mut fusion.works).into_iter().map(Some).collect();
    fusion.works = order.iter().filter_map(|&from| works[from].take()).collect();
    fusion.work_of.iter_mut().flatten().for_each(|at| *at = place[*at]);
}

impl Steps {
    fn of(graph: &Graph, fusion: &Fusion, readers: &[Vec<usize>]) -> Steps {
        let n = fusion.works.len();
        let none = || vec![vec![]; n];
        let mut steps = Steps { after: none(), waits: vec![0; n], reads: vec![vec![]; n], makes: vec![0; n] };
        // What leaves the program, or replaces state, lies in memory of the caller.
        let mut outside = vec![false; graph.nodes.len()];
        for &id in graph.outputs.iter().chain(graph.updates.iter().map(|(_, id)| id)) {
            outside[fusion.root(id).at()] = true;
        }
        for (i, readers) in readers.iter().enumerate() {
            let (Some(made), false) = (fusion.work_of[i], readers.is_empty()) else { continue };
            let id = Id(i as u32);
            for &reader in readers.iter().filter(|&&reader| reader != made) {
                steps.follow(made, reader);
                if !outside[i] {
                    steps.reads[reader].push(id);
                }
            }
            if !outside[i] {
                steps.makes[made] += graph.ty(id).bytes();
            }
        }
        // Processes meet in one order, whatever the sizes of their batches.
        let mut before = None;
        for (at, work) in fusion.works.iter().enumerate() {
            if matches!(work, Work::Kernel(id, _) if collective::meets(graph.node(*id)))
                && let Some(before) = before.replace(at)
            {
                steps.follow(before, at);
            }
        }
        steps
    }

    fn follow(&mut self, first: usize, then: usize) {
        self.after[first].push(then);
        self.waits[then] += 1;
    }

    fn forget(&mut self, first: usize, then: usize) {
        if let Some(at) = self.after[first].iter().rposition(|&step| step == then) {
            self.after[first].swap_remove(at);
            self.waits[then] -= 1;
        }
    }

    /// Lets the steps that can write over an old value wait for all its other readers. Returns the
    /// pairs of which the reader came later so far.
    fn hold_back(&mut self, graph: &Graph, fusion: &Fusion, readers: &[Vec<usize>]) -> Vec<(usize, usize)> {
        let mut pairs = vec![];
        let mut late = vec![];
        let mut note = |old: Id, writer: usize| {
            for &reader in readers[old.at()].iter().filter(|&&reader| reader != writer) {
                if reader < writer { &mut pairs } else { &mut late }.push((reader, writer));
            }
        };
        for &(slot, value) in &graph.updates {
            if let Some(writer) = fusion.work_of[fusion.root(value).at()] {
                note(graph.inputs[slot], writer);
            }
        }
        for (at, work) in fusion.works.iter().enumerate() {
            let Work::Kernel(id, _) = work else { continue };
            let node = graph.node(*id);
            for &(_, over) in node.op.writes_over {
                let old = fusion.source(node.inputs[over]);
                if fusion.work_of[old.at()].is_some() || graph.node(old).op == &INPUT {
                    note(old, at);
                }
            }
        }
        let mut looks = LOOKS * fusion.works.len();
        let mut seen = vec![usize::MAX; fusion.works.len()];
        let mut number = 0;
        late.retain(|&(reader, writer)| {
            number += 1;
            // Every way from the writer leads to later steps, so it is not followed past the reader.
            let mut open = vec![writer];
            while let Some(at) = open.pop() {
                for &next in &self.after[at] {
                    if next == reader || looks == 0 {
                        return false;
                    }
                    if next < reader && seen[next] != number {
                        seen[next] = number;
                        looks -= 1;
                        open.push(next);
                    }
                }
            }
            true
        });
        for &(reader, writer) in pairs.iter().chain(&late) {
            self.follow(reader, writer);
        }
        late
    }

    /// The steps, each after those that it waits for; not all of them if some wait in a circle.
    fn order(&self, graph: &Graph, readers: &[Vec<usize>]) -> Vec<usize> {
        let n = self.waits.len();
        let mut waits = self.waits.clone();
        // Of each value the readers that are still to come: how many, and the sum of their numbers,
        // which is the last one's when one is left.
        let mut left: Vec<(usize, usize)> = vec![(0, 0); readers.len()];
        for (reader, reads) in self.reads.iter().enumerate() {
            for id in reads {
                left[id.at()].0 += 1;
                left[id.at()].1 += reader;
            }
        }
        let mut frees = vec![0usize; n];
        for (i, &(count, reader)) in left.iter().enumerate() {
            if count == 1 {
                frees[reader] += graph.ty(Id(i as u32)).bytes();
            }
        }
        let mut done = vec![false; n];
        let mut ready: BinaryHeap<Reverse<usize>> =
            (0..n).filter(|&at| waits[at] == 0).map(Reverse).collect();
        let mut gains: BinaryHeap<Reverse<usize>> = BinaryHeap::new();
        let mut order = Vec::with_capacity(n);
        while let Some(Reverse(at)) = gains.pop().or_else(|| ready.pop()) {
            if std::mem::replace(&mut done[at], true) {
                continue;
            }
            order.push(at);
            for id in &self.reads[at] {
                let (count, sum) = &mut left[id.at()];
                *count -= 1;
                *sum -= at;
                if *count == 1 {
                    let last = *sum;
                    frees[last] += graph.ty(*id).bytes();
                    if waits[last] == 0 && frees[last] > self.makes[last] {
                        gains.push(Reverse(last));
                    }
                }
            }
            for &next in &self.after[at] {
                waits[next] -= 1;
                if waits[next] == 0 {
                    ready.push(Reverse(next));
                    if frees[next] > self.makes[next] {
                        gains.push(Reverse(next));
                    }
                }
            }
        }
        order
    }
}
