//! F5. Gives every value its memory: caller's outputs where possible, state updated in place where
//! no later step reads the old value, else one arena with offsets chosen best-fit by lifetime.

use super::fuse::{Fusion, Origin, Work};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Kind};

/// Where a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loc {
    /// In the arena, at this offset in floats.
    Arena(usize),
    /// In the buffer bound to this input slot.
    Input(usize),
    /// In the buffer of this output.
    Output(usize),
    /// Constant `0` of the program's own list.
    Const(usize),
}

/// Memory for a fused graph.
#[derive(Debug)]
pub struct Plan {
    /// Per node: where the memory of a root lies; `None` for registers, views and unused nodes.
    pub locs: Vec<Option<Loc>>,
    /// Copies at the end of the run: (from, to, floats).
    pub copies: Vec<(Loc, Loc, usize)>,
    /// Constant leaves, by the number in [`Loc::Const`].
    pub constants: Vec<Id>,
    /// Size of the arena in floats.
    pub arena: usize,
}

/// Offsets are multiples of this many floats: one cache line.
const LINE: usize = 16;

struct Life {
    id: Id,
    size: usize,
    born: usize,
    dies: usize,
}

/// Plans the memory of a fused graph.
pub fn plan(graph: &Graph, fusion: &Fusion) -> Result<Plan> {
    let n = graph.nodes.len();
    let readers = readers(graph, fusion);
    let mut locs: Vec<Option<Loc>> = vec![None; n];
    let mut constants = vec![];
    for (i, node) in graph.nodes.iter().enumerate() {
        match node.op.name {
            "input" => locs[i] = Some(Loc::Input(node.attrs[0].int() as usize)),
            "scalar" | "data" => {
                locs[i] = Some(Loc::Const(constants.len()));
                constants.push(Id(i as u32));
            }
            _ => {}
        }
    }
    let mut copies = vec![];
    let mut late = vec![];
    for &(slot, value) in &graph.updates {
        let root = fusion.root(value);
        let size = graph.shape(root).count();
        if locs[root.at()].is_none() && in_place(graph, fusion, &readers, slot, root) {
            locs[root.at()] = Some(Loc::Input(slot));
        } else {
            late.push((root, Loc::Input(slot), size));
        }
    }
    for (k, &value) in graph.outputs.iter().enumerate() {
        let root = fusion.root(value);
        let size = graph.shape(root).count();
        if locs[root.at()].is_none() && fusion.work_of[root.at()].is_some() {
            locs[root.at()] = Some(Loc::Output(k));
        } else {
            late.push((root, Loc::Output(k), size));
        }
    }
    let kept: Vec<Id> = late.iter().map(|(root, _, _)| *root).collect();
    let mut arena = place(graph, fusion, &readers, &kept, &mut locs);
    let mut staged = vec![];
    for (root, to, size) in late {
        let Some(from) = locs[root.at()] else {
            let name = graph.node(root).op.name;
            return Err(Error::Internal(format!("value {} ({name}) has no memory", root.0)));
        };
        if let (Loc::Input(_), Loc::Input(_)) = (from, to) {
            // Old state moving into other state: through the arena, in case the two swap.
            copies.push((from, Loc::Arena(arena), size));
            staged.push((Loc::Arena(arena), to, size));
            arena += size.next_multiple_of(LINE);
        } else {
            copies.push((from, to, size));
        }
    }
    // Outputs read old state before updates overwrite it.
    copies.sort_by_key(|(_, to, _)| matches!(to, Loc::Input(_)));
    copies.extend(staged);
    Ok(Plan { locs, copies, constants, arena })
}

/// For each node, the steps that read its memory.
fn readers(graph: &Graph, fusion: &Fusion) -> Vec<Vec<usize>> {
    let mut readers: Vec<Vec<usize>> = vec![vec![]; graph.nodes.len()];
    for (at, work) in fusion.works.iter().enumerate() {
        for id in work.members() {
            for &input in &graph.node(id).inputs {
                let source = fusion.source(input);
                let own = fusion.work_of[input.at()] == Some(at)
                    || matches!(work, Work::Fused(f) if f.nodes.contains(&input));
                let inside = matches!(fusion.origin[input.at()], Origin::Own) && own;
                if !inside {
                    readers[source.at()].push(at);
                }
            }
        }
    }
    readers
}

/// May `root` be written over the old value of `slot`? Yes when every reader of the old value
/// runs before, or is the writing step itself reading the same element it writes.
fn in_place(graph: &Graph, fusion: &Fusion, readers: &[Vec<usize>], slot: usize, root: Id) -> bool {
    let old = graph.inputs[slot];
    let Some(writer) = fusion.work_of[root.at()] else { return false };
    let leaves_here = graph.outputs.iter().any(|&o| fusion.root(o) == old)
        || graph.updates.iter().any(|&(_, v)| fusion.root(v) == old);
    if leaves_here || graph.shape(old) != graph.shape(root) {
        return false;
    }
    readers[old.at()]
        .iter()
        .all(|&r| r < writer || (r == writer && same_element(graph, fusion, &fusion.works[writer], old)))
}

fn same_element(graph: &Graph, fusion: &Fusion, work: &Work, old: Id) -> bool {
    let Work::Fused(fused) = work else { return false };
    let reads_old = |id: Id| graph.node(id).inputs.iter().any(|&i| fusion.source(i) == old);
    if fused.head.is_some_and(reads_old)
        || fused.tail.is_some_and(|t| !matches!(graph.node(t).op.kind, Kind::Reduce(_)))
    {
        return false;
    }
    // A reduction may be computed from several tiles at once, but each element is read once.
    fused.nodes.iter().all(|&id| {
        graph.node(id).inputs.iter().all(|&i| {
            fusion.source(i) != old
                || (matches!(fusion.origin[i.at()], Origin::Own | Origin::Same(_))
                    && graph.shape(i) == fused.shape)
        })
    })
}

/// Best-fit offsets by lifetime for everything that still has no place.
fn place(
    graph: &Graph,
    fusion: &Fusion,
    readers: &[Vec<usize>],
    kept: &[Id],
    locs: &mut [Option<Loc>],
) -> usize {
    let mut lives: Vec<Life> = vec![];
    for (i, at) in fusion.work_of.iter().enumerate() {
        let (Some(born), id) = (*at, Id(i as u32)) else { continue };
        if locs[i].is_some() || (readers[i].is_empty() && !kept.contains(&id)) {
            continue;
        }
        let last = readers[i].iter().copied().max().unwrap_or(born);
        let dies = if kept.contains(&id) { fusion.works.len() } else { last };
        lives.push(Life { id, size: graph.shape(id).count().next_multiple_of(LINE).max(LINE), born, dies });
    }
    // Large values first: they are the hardest to place well.
    lives.sort_by_key(|l| (std::cmp::Reverse(l.size), l.born));
    // What has a place already, by address.
    let mut placed: Vec<(usize, &Life)> = vec![];
    let mut arena = 0;
    for life in &lives {
        let mut best: Option<(usize, usize)> = None;
        let mut free = 0;
        for (at, other) in placed.iter().filter(|(_, o)| o.born <= life.dies && life.born <= o.dies) {
            let gap = at.saturating_sub(free);
            if gap >= life.size && best.is_none_or(|(g, _)| gap < g) {
                best = Some((gap, free));
            }
            free = free.max(at + other.size);
        }
        let at = best.map_or(free, |(_, at)| at);
        placed.insert(placed.partition_point(|(other, _)| *other <= at), (at, life));
        arena = arena.max(at + life.size);
        locs[life.id.at()] = Some(Loc::Arena(at));
    }
    arena
}

/// Checks a plan: no two values that live at once share memory. For tests and debug builds.
#[must_use]
pub fn overlaps(graph: &Graph, fusion: &Fusion, plan: &Plan) -> Option<(Id, Id)> {
    let readers = readers(graph, fusion);
    let mut spans: Vec<(Id, usize, usize, usize, usize)> = vec![];
    for (i, loc) in plan.locs.iter().enumerate() {
        if let (Some(Loc::Arena(at)), Some(born)) = (loc, fusion.work_of[i]) {
            let wanted = graph.outputs.iter().chain(graph.updates.iter().map(|(_, v)| v));
            let end = wanted.into_iter().any(|&v| fusion.root(v) == Id(i as u32));
            let dies =
                if end { fusion.works.len() } else { readers[i].iter().copied().max().unwrap_or(born) };
            spans.push((Id(i as u32), *at, at + graph.shape(Id(i as u32)).count(), born, dies));
        }
    }
    for (k, a) in spans.iter().enumerate() {
        for b in &spans[k + 1..] {
            if a.1 < b.2 && b.1 < a.2 && a.3 <= b.4 && b.3 <= a.4 {
                return Some((a.0, b.0));
            }
        }
    }
    None
}
