//! F5. Takes out of a graph what depends on invariant inputs only (weights and captured arrays that
//! the graph does not update), so that it is computed once per version of them and not at every
//! call: scaled or transposed weights, the inverse deviation of a normalisation, packed operands.

use super::lower::Rebuild;
use super::simplify::drop_unused;
use crate::error::Result;
use crate::graph::{Attr, DATA, Graph, INPUT, Id, Kind, Node, OpDef, SCALAR, Ty};
use std::hash::{Hash, Hasher};

/// A value that depends on few inputs: the graph that makes it, as its only output, and which slots
/// of the whole graph its own slots are. Two parts are equal when they compute the same.
#[derive(Debug, Clone)]
pub struct Part {
    /// Computes the value.
    pub graph: Graph,
    /// The whole graph's slot of each of its inputs.
    pub slots: Vec<usize>,
}

impl Part {
    /// The part of `graph` that makes `id`.
    #[must_use]
    pub fn of(graph: &Graph, id: Id) -> Part {
        let mut used = vec![false; id.at() + 1];
        used[id.at()] = true;
        let mut out = Part { graph: Graph::new(), slots: vec![] };
        let mut map = vec![Id(0); id.at() + 1];
        for i in (0..=id.at()).rev() {
            if used[i] {
                for input in &graph.nodes[i].inputs {
                    used[input.at()] = true;
                }
            }
        }
        for (i, node) in graph.nodes[..=id.at()].iter().enumerate().filter(|(i, _)| used[*i]) {
            map[i] = if node.op == &INPUT {
                out.slots.push(node.attrs[0].int() as usize);
                out.graph.input(node.ty)
            } else if node.op == &DATA {
                out.graph.constant(node.ty, graph.data[node.attrs[0].int() as usize].clone())
            } else {
                let inputs = node.inputs.iter().map(|x| map[x.at()]).collect();
                out.graph.push(Node { inputs, ..node.clone() })
            };
        }
        out.graph.outputs = vec![map[id.at()]];
        out
    }

    /// Shape and type of the value.
    #[must_use]
    pub fn ty(&self) -> Ty {
        self.graph.ty(self.graph.outputs[0])
    }

    fn words(&self) -> impl Iterator<Item = (*const OpDef, &[Id], &[Attr], Ty)> {
        self.graph.nodes.iter().map(|n| (std::ptr::from_ref(n.op), &n.inputs[..], &n.attrs[..], n.ty))
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Part) -> bool {
        self.slots == other.slots
            && self.words().eq(other.words())
            && self.graph.data.len() == other.graph.data.len()
            && self.graph.data.iter().zip(&other.graph.data).all(|(a, b)| std::sync::Arc::ptr_eq(a, b))
    }
}

impl Eq for Part {}

impl Hash for Part {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.slots.hash(state);
        self.words().for_each(|word| word.hash(state));
    }
}

/// For each node: does it depend on these slots and on constants only?
#[must_use]
pub fn invariant(graph: &Graph, slots: &[bool]) -> Vec<bool> {
    let mut out: Vec<bool> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        out.push(match node.op {
            op if op == &INPUT => slots.get(node.attrs[0].int() as usize) == Some(&true),
            _ => node.inputs.iter().all(|x| out[x.at()]),
        });
    }
    out
}

/// Moves invariant values that `allow` grants out of a simplified graph. Each becomes a new input
/// slot, in the order of the parts.
pub fn hoist(
    graph: &Graph,
    slots: &[bool],
    allow: &mut dyn FnMut(&Part) -> Result<bool>,
) -> Result<(Graph, Vec<Part>)> {
    let invariant = invariant(graph, slots);
    let mut seen = vec![false; graph.nodes.len()];
    let mut parts: Vec<Option<Part>> = vec![None; graph.nodes.len()];
    let mut open: Vec<Id> =
        graph.outputs.iter().chain(graph.updates.iter().map(|(_, v)| v)).copied().collect();
    for (node, _) in graph.nodes.iter().zip(&invariant).filter(|(_, invariant)| !**invariant) {
        open.extend(&node.inputs);
    }
    while let Some(id) = open.pop() {
        if !invariant[id.at()] || std::mem::replace(&mut seen[id.at()], true) {
            continue;
        }
        if is_work(graph, id) {
            let part = Part::of(graph, id);
            if pays(&part) && allow(&part)? {
                parts[id.at()] = Some(part);
                continue;
            }
        }
        open.extend(&graph.node(id).inputs);
    }
    if parts.iter().all(Option::is_none) {
        return Ok((graph.clone(), vec![]));
    }
    let mut work = Rebuild::new(graph);
    let mut taken = vec![];
    for (node, part) in graph.nodes.iter().zip(parts) {
        let id = match part {
            Some(part) => {
                taken.push(part);
                work.to.input(node.ty)
            }
            None => work.keep(node),
        };
        work.settle(id);
    }
    Ok((drop_unused(&work.finish()), taken))
}

/// True for values that take work or a copy; views and constants cost nothing where they are.
fn is_work(graph: &Graph, id: Id) -> bool {
    let node = graph.node(id);
    match node.op.kind {
        // The parts of a node with several results stay with it.
        Kind::Map | Kind::Reduce(_) | Kind::Head | Kind::Kernel => node.op.parts.is_empty(),
        Kind::Scan(_) => crate::graph::results(node.op, &node.attrs) == 1,
        Kind::Strided(_) => node.ty.shape.count() == graph.shape(node.inputs[0]).count(),
        Kind::Leaf | Kind::View | Kind::Part | Kind::Lowered(_) => false,
    }
}

/// A value much larger than what it is made of (a broadcast row) is cheaper made than read.
fn pays(part: &Part) -> bool {
    let count = |id: &Id| part.graph.shape(*id).count();
    let from: usize = part.graph.inputs.iter().map(count).sum();
    // Weights of a storage type are to stay as small as they are.
    let bytes: usize = part.graph.inputs.iter().map(|id| part.graph.ty(*id).bytes()).sum();
    if part.graph.inputs.iter().any(|id| part.graph.ty(*id).dtype.is_stored()) && part.ty().bytes() > bytes {
        return false;
    }
    let known = part.graph.nodes.iter().all(|n| n.op == &SCALAR || n.op == &INPUT);
    // What takes a kernel of its own is worth more room: transformed filters are five times as large.
    let root = part.graph.node(part.graph.outputs[0]);
    let most = if matches!(root.op.kind, Kind::Kernel) { 8 } else { 2 };
    from > 0 && !known && part.ty().shape.count() <= most * from + 1024
}
