//! F5. Gives every value its memory: caller's outputs where possible, state updated in place where
//! no later step reads the old value, else one arena with offsets chosen best-fit by lifetime.

use super::fuse::{Fused, Fusion, Origin, Work};
use crate::error::{Error, Result};
use crate::graph::{DATA, Graph, INPUT, Id, Kind, SCALAR, Ty};
use crate::ops::elementwise::{ADD, RELU};
use crate::shape::DType;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Where a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Loc {
    /// In the arena, at this offset in bytes.
    Arena(usize),
    /// In the buffer bound to this input slot.
    Input(usize),
    /// In the buffer of this output.
    Output(usize),
    /// Constant `0` of the program's own list.
    Const(usize),
}

/// How a back end lays values out between the inputs and the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// In one piece of memory, each where it fits, in the bytes of its type.
    Arena,
    /// In slots, each a piece of memory of its own, with four bytes an element, or two for the floats of
    /// sixteen bits. A step that reads a slot writes over it in elementwise groups only: a device binds
    /// memory for reading or for writing. Offsets of slots stand in for their numbers.
    Slots,
}

impl Layout {
    /// Bytes of a value of this type.
    #[must_use]
    pub fn bytes(self, ty: Ty) -> usize {
        match self {
            Layout::Arena => ty.bytes(),
            Layout::Slots if is_half(ty) => (ty.shape.count() * 2).next_multiple_of(4),
            Layout::Slots => ty.shape.count() * 4,
        }
    }

    /// Do values of these types lie alike, so that one may take the place of the other?
    fn alike(self, a: Ty, b: Ty) -> bool {
        // A device reads and writes a slot as one type.
        let apart = self == Layout::Slots && a.dtype != b.dtype && (is_half(a) || is_half(b));
        !apart && self.bytes(a) == self.bytes(b)
    }
}

fn is_half(ty: Ty) -> bool {
    matches!(ty.dtype, DType::BF16 | DType::F16)
}

/// Memory for a fused graph.
#[derive(Debug)]
pub struct Plan {
    /// How values lie.
    pub layout: Layout,
    /// Per node: where the memory of a root lies; `None` for registers, views and unused nodes.
    pub locs: Vec<Option<Loc>>,
    /// Copies at the end of the run: (from, to, bytes).
    pub copies: Vec<(Loc, Loc, usize)>,
    /// Constant leaves, by the number in [`Loc::Const`].
    pub constants: Vec<Id>,
    /// Size of the arena in bytes.
    pub arena: usize,
    /// With [`Layout::Slots`]: where each slot begins in the arena, in order.
    pub slots: Vec<usize>,
}

impl Plan {
    /// Bytes of a value in memory.
    #[must_use]
    pub fn bytes(&self, ty: Ty) -> usize {
        self.layout.bytes(ty)
    }
}

/// Offsets are multiples of this many bytes: one cache line, and any element is aligned.
const LINE: usize = 64;

/// A stretch of memory from the birth of its first value to the death of its last; each value
/// takes the place of the one before it in the step that reads that for the last time.
struct Life {
    ids: Vec<Id>,
    size: usize,
    born: usize,
    dies: usize,
}

/// Plans the memory of a fused graph.
pub fn plan(graph: &Graph, fusion: &Fusion) -> Result<Plan> {
    plan_as(graph, fusion, Layout::Arena)
}

/// As [`plan`], for a back end that lays values out so.
pub fn plan_as(graph: &Graph, fusion: &Fusion, layout: Layout) -> Result<Plan> {
    let n = graph.nodes.len();
    let readers = readers(graph, fusion);
    let mut locs: Vec<Option<Loc>> = vec![None; n];
    let mut constants = vec![];
    for (i, node) in graph.nodes.iter().enumerate() {
        match node.op {
            op if op == &INPUT => locs[i] = Some(Loc::Input(node.attrs[0].int() as usize)),
            op if op == &SCALAR || op == &DATA => {
                locs[i] = Some(Loc::Const(constants.len()));
                constants.push(Id(i as u32));
            }
            _ => {}
        }
    }
    // Values that the program hands out.
    let mut leaves = vec![false; n];
    for &value in graph.outputs.iter().chain(graph.updates.iter().map(|(_, value)| value)) {
        leaves[fusion.root(value).at()] = true;
    }
    let mut copies = vec![];
    let mut late = vec![];
    let mut updated = vec![];
    for &(slot, value) in &graph.updates {
        let root = fusion.root(value);
        let size = layout.bytes(graph.ty(root));
        if locs[root.at()].is_none() && in_place(graph, fusion, layout, &readers, &leaves, slot, root) {
            locs[root.at()] = Some(Loc::Input(slot));
            updated.push((slot, root));
        } else {
            late.push((root, Loc::Input(slot), size));
        }
    }
    for (k, &value) in graph.outputs.iter().enumerate() {
        let root = fusion.root(value);
        let size = layout.bytes(graph.ty(root));
        if locs[root.at()].is_none() && fusion.work_of[root.at()].is_some() {
            locs[root.at()] = Some(Loc::Output(k));
        } else {
            late.push((root, Loc::Output(k), size));
        }
    }
    let mut kept = vec![false; n];
    for (root, _, _) in &late {
        kept[root.at()] = true;
    }
    for (slot, root) in updated {
        // A chain of changes of one state happens in its memory from the first one on.
        let mut value = root;
        loop {
            let before = replaced(graph, fusion, layout, &readers, value).into_iter().find(|&old| {
                locs[old.at()].is_none()
                    && !kept[old.at()]
                    && in_place(graph, fusion, layout, &readers, &leaves, slot, old)
            });
            let Some(before) = before else { break };
            locs[before.at()] = Some(Loc::Input(slot));
            value = before;
        }
    }
    for k in 0..graph.outputs.len() {
        // So do the values that a result takes the place of: nobody else has its memory yet.
        let mut value = fusion.root(graph.outputs[k]);
        while locs[value.at()] == Some(Loc::Output(k)) {
            let before = replaced(graph, fusion, layout, &readers, value);
            let free = |old: &&Id| locs[old.at()].is_none() && !kept[old.at()];
            let Some(&before) = before.iter().find(free) else { break };
            locs[before.at()] = Some(Loc::Output(k));
            value = before;
        }
    }
    let (mut arena, mut slots) = place(graph, fusion, layout, &readers, &kept, &mut locs);
    let mut staged = vec![];
    for (root, to, size) in late {
        let Some(from) = locs[root.at()] else {
            let name = graph.node(root).op.name;
            return Err(Error::Internal(format!("value {} ({name}) has no memory", root.0)));
        };
        if let (Loc::Input(_), Loc::Input(_)) = (from, to) {
            // Old state moving into other state: through the arena, in case the two swap.
            if layout == Layout::Slots {
                slots.push(arena);
            }
            copies.push((from, Loc::Arena(arena), size));
            staged.push((Loc::Arena(arena), to, size));
            // Each has a place, an empty one too: places tell them apart.
            arena += size.max(1).next_multiple_of(LINE);
        } else {
            copies.push((from, to, size));
        }
    }
    // Outputs read old state before updates overwrite it.
    copies.sort_by_key(|(_, to, _)| matches!(to, Loc::Input(_)));
    copies.extend(staged);
    Ok(Plan { layout, locs, copies, constants, arena, slots })
}

/// For each node, the steps that read its memory.
pub(super) fn readers(graph: &Graph, fusion: &Fusion) -> Vec<Vec<usize>> {
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
fn in_place(
    graph: &Graph,
    fusion: &Fusion,
    layout: Layout,
    readers: &[Vec<usize>],
    leaves: &[bool],
    slot: usize,
    root: Id,
) -> bool {
    let old = graph.inputs[slot];
    let Some(writer) = fusion.work_of[root.at()] else { return false };
    if leaves[old.at()] || graph.ty(old) != graph.ty(root) {
        return false;
    }
    readers[old.at()]
        .iter()
        .all(|&r| r < writer || (r == writer && may_replace(graph, fusion, layout, writer, old, root)))
}

/// The values that `root` may be written over because they are read for the last time in the step
/// that makes `root`: operands of a kernel that says so, or of a group at the same element. A value
/// that nobody reads from memory (its readers compute it again) has none to give.
fn replaced(graph: &Graph, fusion: &Fusion, layout: Layout, readers: &[Vec<usize>], root: Id) -> Vec<Id> {
    let Some(at) = fusion.work_of[root.at()] else { return vec![] };
    let mut operands: Vec<Id> = vec![];
    for id in fusion.works[at].members() {
        for &input in &graph.node(id).inputs {
            let source = fusion.source(input);
            if !operands.contains(&source) {
                operands.push(source);
            }
        }
    }
    operands.retain(|&old| {
        fusion.work_of[old.at()].is_some_and(|born| born < at)
            && layout.alike(graph.ty(old), graph.ty(root))
            && !readers[old.at()].is_empty()
            && readers[old.at()].iter().all(|&r| r <= at)
            && may_replace(graph, fusion, layout, at, old, root)
    });
    operands
}

/// May step `at`, which reads `old`, write `root` into the memory of `old`? Yes for a kernel whose
/// row says so, and for a group that reads each element of `old` only to make the same element.
pub(super) fn may_replace(
    graph: &Graph,
    fusion: &Fusion,
    layout: Layout,
    at: usize,
    old: Id,
    root: Id,
) -> bool {
    match &fusion.works[at] {
        Work::Copy(_) => false,
        Work::Kernel(..) if layout == Layout::Slots => false,
        Work::Fused(Fused { tail: Some(tail), .. }) if layout == Layout::Slots && *tail == root => false,
        // Every element is written by who read it, the head's value too.
        Work::Fused(fused) if layout == Layout::Slots => same_element(graph, fusion, fused, old),
        Work::Kernel(id, _) => {
            let node = graph.node(*id);
            let result = if root == *id { 0 } else { graph.node(root).attrs[0].int() as usize };
            node.op.writes_over.iter().any(|&(to, over)| {
                to == result
                    && node.inputs.iter().enumerate().all(|(k, &input)| {
                        if k == over { fusion.root(input) == old } else { fusion.source(input) != old }
                    })
            })
        }
        Work::Fused(fused) => same_element(graph, fusion, fused, old) && !by_head(graph, fused, root),
    }
}

/// Does the head of a group write this value itself, before the group's nodes read theirs?
fn by_head(graph: &Graph, fused: &Fused, root: Id) -> bool {
    let Some(head) = fused.head else { return false };
    let mut at = root;
    if graph.node(at).op == &RELU {
        at = graph.node(at).inputs[0];
    }
    if graph.node(at).op == &ADD {
        let [a, b] = [0, 1].map(|side| graph.node(at).inputs[side]);
        // A bias has one number per column.
        let columns = fused.shape.sizes().last().copied().unwrap_or(1);
        let row = |x: Id| graph.shape(x).count() == columns;
        return (a == head && row(b)) || (b == head && row(a));
    }
    at == head
}

fn same_element(graph: &Graph, fusion: &Fusion, fused: &Fused, old: Id) -> bool {
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

/// Memory by lifetime for everything that still has no place: its size, and where slots begin.
fn place(
    graph: &Graph,
    fusion: &Fusion,
    layout: Layout,
    readers: &[Vec<usize>],
    kept: &[bool],
    locs: &mut [Option<Loc>],
) -> (usize, Vec<usize>) {
    let mut lives: Vec<Life> = vec![];
    let mut life_of: Vec<Option<usize>> = vec![None; graph.nodes.len()];
    let mut order: Vec<Id> = (0..fusion.work_of.len() as u32).map(Id).collect();
    order.sort_by_key(|id| fusion.work_of[id.at()]);
    for id in order {
        let Some(born) = fusion.work_of[id.at()] else { continue };
        if locs[id.at()].is_some() || (readers[id.at()].is_empty() && !kept[id.at()]) {
            continue;
        }
        let last = readers[id.at()].iter().copied().max().unwrap_or(born);
        let dies = if kept[id.at()] { fusion.works.len() } else { last };
        let size = layout.bytes(graph.ty(id)).next_multiple_of(LINE).max(LINE);
        // The memory of an operand that dies here, if nobody took it before.
        let taken = replaced(graph, fusion, layout, readers, id).into_iter().find_map(|old| {
            let life = life_of[old.at()]?;
            (lives[life].ids.last() == Some(&old) && lives[life].dies == born).then_some(life)
        });
        let life = taken.unwrap_or_else(|| {
            lives.push(Life { ids: vec![], size, born, dies });
            lives.len() - 1
        });
        lives[life].ids.push(id);
        lives[life].dies = dies;
        life_of[id.at()] = Some(life);
    }
    // Large values first: they are the hardest to place well.
    lives.sort_by_key(|l| (Reverse(l.size), l.born));
    let places = match layout {
        Layout::Arena => offsets(&lives),
        Layout::Slots => slots(&lives),
    };
    let mut arena = 0;
    for (life, &at) in lives.iter().zip(&places) {
        arena = arena.max(at + life.size);
        for id in &life.ids {
            locs[id.at()] = Some(Loc::Arena(at));
        }
    }
    let mut begins = places;
    begins.sort_unstable();
    begins.dedup();
    (arena, if layout == Layout::Slots { begins } else { vec![] })
}

/// Values up to which each is placed where it fits best among all. The search looks at every pair; what
/// is beyond, the smallest values of a large program, shares memory with values of its size alone.
const SEARCHED: usize = 1 << 13;

/// Offsets: best-fit, size by size, and memory by size for what is beyond [`SEARCHED`].
fn offsets(lives: &[Life]) -> Vec<usize> {
    // What has a place already, by address: when it is there, and where.
    let mut times: Vec<(usize, usize)> = vec![];
    let mut spans: Vec<(usize, usize)> = vec![];
    let mut places = vec![];
    let mut sizes = lives.chunk_by(|a, b| a.size == b.size).peekable();
    while let Some(same) = sizes.next_if(|same| times.len() + same.len() <= SEARCHED) {
        for life in same {
            let mut best: Option<(usize, usize)> = None;
            let mut free = 0;
            for (&(born, dies), &(at, end)) in times.iter().zip(&spans) {
                if born > life.dies || life.born > dies {
                    continue;
                }
                let gap = at.saturating_sub(free);
                if gap >= life.size && best.is_none_or(|(g, _)| gap < g) {
                    best = Some((gap, free));
                    if gap == life.size {
                        break;
                    }
                }
                free = free.max(end);
            }
            let at = best.map_or(free, |(_, at)| at);
            let before = spans.partition_point(|&(other, _)| other <= at);
            times.insert(before, (life.born, life.dies));
            spans.insert(before, (at, at + life.size));
            places.push(at);
        }
    }
    let mut end = spans.iter().map(|&(_, end)| end).max().unwrap_or(0);
    for same in sizes {
        let at = places.len();
        places.extend(in_turn(same).into_iter().map(|slot| end + slot * same[0].size));
        end = places[at..].iter().map(|&place| place + same[0].size).fold(end, usize::max);
    }
    places
}

/// A slot for each of these lives of one size, by birth: as few as are alive at once.
fn in_turn(lives: &[Life]) -> Vec<usize> {
    let mut ends: BinaryHeap<Reverse<(usize, usize)>> = BinaryHeap::new();
    let mut slots = vec![];
    for life in lives {
        let slot = match ends.peek() {
            Some(&Reverse((dies, slot))) if dies < life.born => {
                ends.pop();
                slot
            }
            _ => ends.len(),
        };
        ends.push(Reverse((life.dies, slot)));
        slots.push(slot);
    }
    slots
}

/// One offset for all lives of a slot: the smallest slot that is free then. The lives come by size, so
/// each slot is as large as its first.
fn slots(lives: &[Life]) -> Vec<usize> {
    let mut slots: Vec<(usize, Vec<&Life>)> = vec![];
    let mut end = 0;
    let mut places = vec![];
    for life in lives {
        let free = |held: &Vec<&Life>| held.iter().all(|o| o.born > life.dies || life.born > o.dies);
        let at = slots.iter().rposition(|(_, held)| free(held)).unwrap_or_else(|| {
            slots.push((end, vec![]));
            end += life.size;
            slots.len() - 1
        });
        slots[at].1.push(life);
        places.push(slots[at].0);
    }
    places
}
