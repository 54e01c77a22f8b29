//! In which types values lie in memory. A device computes with `f32`; with [`Limits::between`] the
//! activations of a model, and what flows back along them, take two bytes an element between steps.

use crate::dispatch::Limits;
use crate::halves::Half;
use fastnn::graph::{DATA, Graph, INPUT, Id, OpDef, SCALAR};
use fastnn::ops::compare::{EQUAL, NOT_EQUAL, TO_INT, TO_INT8, TO_UINT8};
use fastnn::ops::scan::Scan;
use fastnn::ops::{attention, elementwise as e, index, layer_norm, movement, normalize, pooling, window};
use fastnn::passes::fuse::{Fused, Fusion, Origin, Work};
use fastnn::shape::DType;
use std::borrow::Cow;
use std::collections::HashSet;

/// Elements below which a value stays as it is: statistics, and what costs nothing.
const LEAST: usize = 1024;

/// Rows of models whose results are activations, beside products and convolutions. Softmax and what follows
/// for a loss keep all digits, and so do recurrences, which would round once a step.
const ACTIVATIONS: &[&OpDef] = &[
    &attention::ATTENTION,
    &attention::ATTENTION_GRAD,
    &layer_norm::LAYER_NORM,
    &layer_norm::LAYER_NORM_GRAD,
    &normalize::LAYER_NORMALIZE,
    &pooling::MAX_POOL,
    &pooling::MAX_POOL_GRAD,
    &pooling::AVERAGE_POOL,
    &pooling::AVERAGE_POOL_GRAD,
];

/// Rows that move elements.
const MOVES: &[&OpDef] = &[
    &movement::CONCATENATE,
    &movement::PAD,
    &movement::UNSLICE,
    &window::DYNAMIC_SLICE,
    &window::UPDATE_SLICE,
];

/// Elementwise rows that tell neighbouring numbers apart.
const SHARP: &[&OpDef] = &[
    &EQUAL,
    &NOT_EQUAL,
    &TO_INT,
    &TO_INT8,
    &TO_UINT8,
    &e::FLOOR,
    &e::CEIL,
    &e::ROUND,
    &e::TRUNC,
    &e::MOD,
    &e::FLOOR_DIVIDE,
];

fn is_one_of(op: &OpDef, rows: &[&OpDef]) -> bool {
    rows.iter().any(|row| std::ptr::eq(*row, op))
}

/// The graph with each value of the type in which it lies. `states` says which inputs are states. What
/// enters and leaves takes four bytes an element.
pub(crate) fn laid<'a>(
    graph: &'a Graph,
    fusion: &Fusion,
    states: &[bool],
    limits: &Limits,
) -> Cow<'a, Graph> {
    let typed = graph.nodes.iter().any(|node| Half::of(node.ty.dtype).is_some());
    let between = limits.between.filter(|_| limits.halves);
    if !typed && between.is_none() {
        return Cow::Borrowed(graph);
    }
    let mut kept: HashSet<Id> = graph.outputs.iter().map(|&id| fusion.root(id)).collect();
    kept.extend(graph.updates.iter().map(|&(_, id)| fusion.root(id)));
    for work in &fusion.works {
        let members = work.members();
        // A loop has its operands and results as inputs of its rounds.
        if members.first().is_some_and(|&id| Scan::of(graph.node(id)).is_some()) {
            let reads = members.iter().flat_map(|&id| graph.node(id).inputs.iter());
            kept.extend(reads.map(|&x| fusion.source(x)));
            kept.extend(members);
        }
    }
    let narrow = match between {
        Some(half) => Narrow { graph, fusion, states, kept: &kept }.found(half),
        None => vec![false; graph.nodes.len()],
    };
    let mut laid = graph.clone();
    for (at, node) in laid.nodes.iter_mut().enumerate() {
        let leaf = node.op == &INPUT || node.op == &SCALAR || node.op == &DATA;
        if Half::of(node.ty.dtype).is_some() && (leaf || kept.contains(&Id(at as u32)) || !limits.halves) {
            node.ty.dtype = DType::F32;
        } else if let Some(half) = between.filter(|_| narrow[at]) {
            node.ty.dtype = half.dtype();
        }
    }
    Cow::Owned(laid)
}

struct Narrow<'a> {
    graph: &'a Graph,
    fusion: &'a Fusion,
    states: &'a [bool],
    kept: &'a HashSet<Id>,
}

impl Narrow<'_> {
    /// For each node: is it kept in sixteen bits?
    fn found(&self, half: Half) -> Vec<bool> {
        let (graph, fusion) = (self.graph, self.fusion);
        let forward = self.forward();
        let state = |(slot, &id): (usize, &Id)| self.states[slot].then(|| graph.shape(id).count());
        let counts: HashSet<usize> = graph.inputs.iter().enumerate().filter_map(state).collect();
        let sharp = self.sharp();
        let fits = |id: Id| {
            let (ty, sizes) = (graph.ty(id), graph.shape(id));
            let ahead = forward.as_ref().is_none_or(|forward| forward[id.at()]);
            // Gradients of weights are as large as those. Those of activations may be less than a float16
            // can hold.
            let backward = !ahead || forward.is_none();
            ty.dtype == DType::F32
                && matches!(fusion.origin[id.at()], Origin::Own)
                && sizes.count() >= LEAST
                && sizes.sizes().last().is_some_and(|&n| n > 1)
                && !(backward && counts.contains(&sizes.count()))
                && (ahead || half == Half::Bf16)
                && !self.kept.contains(&id)
                && !sharp.contains(&id)
        };
        let mut narrow = vec![false; graph.nodes.len()];
        for (at, work) in fusion.works.iter().enumerate() {
            let members = work.members();
            let reads = members.iter().flat_map(|&id| graph.node(id).inputs.iter());
            let flows = reads.clone().any(|&x| narrow[fusion.source(x).at()]);
            if half == Half::F16 && reads.into_iter().any(|&x| self.is_extreme(x)) {
                continue;
            }
            for id in members {
                if fusion.work_of[id.at()] == Some(at) && fits(id) && self.is_activation(work, id, flows) {
                    narrow[id.at()] = true;
                }
            }
        }
        narrow
    }

    /// Is a value a number that takes others out of the range of a float16? Variances scale what they square.
    fn is_extreme(&self, id: Id) -> bool {
        let node = self.graph.node(self.fusion.source(id));
        if node.op != &SCALAR {
            return false;
        }
        let size = node.attrs[0].float().abs();
        size != 0.0 && !(1e-3..=1e3).contains(&size)
    }

    /// Is a result of a step one of a product or the like, or made from one? `flows`: the step reads one.
    fn is_activation(&self, work: &Work, id: Id, flows: bool) -> bool {
        match work {
            Work::Copy(_) => flows,
            Work::Fused(Fused { head, tail, .. }) => *tail != Some(id) && (head.is_some() || flows),
            Work::Kernel(of, _) => {
                let node = self.graph.node(*of);
                let first = node.inputs.first().map(|&x| self.fusion.source(x));
                let table = |x: Id| {
                    self.graph.inputs.iter().position(|&slot| slot == x).is_some_and(|k| self.states[k])
                };
                if node.op == &index::TAKE {
                    return flows || first.is_some_and(table);
                }
                // Results with fewer axes are statistics.
                let rank = |x: Id| self.graph.shape(x).rank();
                is_one_of(node.op, MOVES) && flows
                    || is_one_of(node.op, ACTIVATIONS) && first.is_some_and(|x| rank(id) >= rank(x))
            }
        }
    }

    /// What numbers such as a loss are made of, as far as it is no new state; `None` without such a number.
    fn forward(&self) -> Option<Vec<bool>> {
        let graph = self.graph;
        let ends = graph.outputs.iter().copied().chain(graph.updates.iter().map(|&(_, id)| id));
        let mut open: Vec<Id> = ends.filter(|&id| graph.shape(id).rank() == 0).collect();
        if open.is_empty() {
            return None;
        }
        let new: HashSet<Id> = graph.updates.iter().map(|&(_, id)| id).collect();
        let mut seen = vec![false; graph.nodes.len()];
        while let Some(id) = open.pop() {
            if seen[id.at()] {
                continue;
            }
            seen[id.at()] = true;
            let further = graph.node(id).inputs.iter();
            open.extend(further.filter(|x| !new.contains(x) || graph.shape(**x).rank() == 0));
        }
        Some(seen)
    }

    /// The values that a step reads to tell neighbouring numbers apart.
    fn sharp(&self) -> HashSet<Id> {
        let mut found = HashSet::new();
        for work in &self.fusion.works {
            let members = work.members();
            if members.iter().any(|&id| is_one_of(self.graph.node(id).op, SHARP)) {
                let reads = members.iter().flat_map(|&id| self.graph.node(id).inputs.iter());
                found.extend(reads.map(|&x| self.fusion.source(x)));
            }
        }
        found
    }
}
