//! F5. Rewrites composites into ops that have kernels, and reductions over scattered axes into
//! reductions over neighbouring ones.

use super::scan;
use crate::error::Result;
use crate::graph::{Attr, Class, Graph, INPUT, Id, Kind, Node, Reduce};
use crate::ops::build::Build;
use crate::shape::Shape;

/// A graph under reconstruction: where each old node went.
pub(super) struct Rebuild<'a> {
    /// The graph being read.
    pub(super) from: &'a Graph,
    /// The graph being written.
    pub(super) to: Graph,
    map: Vec<Id>,
}

impl<'a> Rebuild<'a> {
    pub(super) fn new(from: &'a Graph) -> Rebuild<'a> {
        let to =
            Graph { data: from.data.clone(), inputs: vec![Id(0); from.inputs.len()], ..Graph::default() };
        Rebuild { from, to, map: Vec::with_capacity(from.nodes.len()) }
    }

    /// The new operands of an old node.
    pub(super) fn operands(&self, node: &Node) -> Vec<Id> {
        node.inputs.iter().map(|i| self.map[i.at()]).collect()
    }

    /// Where an old node went.
    pub(super) fn place(&self, old: Id) -> Id {
        self.map[old.at()]
    }

    /// Records that the next old node is now `id`.
    pub(super) fn settle(&mut self, id: Id) {
        let old = &self.from.nodes[self.map.len()];
        if old.op == &INPUT {
            self.to.inputs[old.attrs[0].int() as usize] = id;
        }
        self.map.push(id);
    }

    /// As [`Rebuild::settle`], where an input has a node that is no longer what readers read.
    pub(super) fn settle_as(&mut self, id: Id) {
        self.map.push(id);
    }

    /// Copies the next old node as it is.
    pub(super) fn keep(&mut self, node: &Node) -> Id {
        let inputs = self.operands(node);
        self.to.push(Node { inputs, ..node.clone() })
    }

    /// The new graph, with outputs and updates carried over.
    pub(super) fn finish(mut self) -> Graph {
        self.to.outputs = self.from.outputs.iter().map(|o| self.map[o.at()]).collect();
        self.to.updates = self.from.updates.iter().map(|(slot, v)| (*slot, self.map[v.at()])).collect();
        self.to
    }
}

/// Rewrites until no composite is left.
pub fn lower(graph: &Graph) -> Result<Graph> {
    let mut graph = lower_once(graph)?;
    // A rewriting may use other composites and scattered reductions; they nest a few levels.
    while graph.nodes.iter().any(|n| is_rewritten(&graph, n)) {
        graph = lower_once(&graph)?;
    }
    graph.check()?;
    Ok(graph)
}

fn is_rewritten(graph: &Graph, node: &Node) -> bool {
    match node.op.kind {
        Kind::Lowered(_) => true,
        Kind::Reduce(_) => scattered(graph, node).is_some(),
        Kind::Scan(_) => {
            let bodies = node.attrs.iter().filter_map(Attr::body);
            bodies.into_iter().any(|body| body.graph.nodes.iter().any(|n| is_rewritten(&body.graph, n)))
        }
        _ => false,
    }
}

fn lower_once(graph: &Graph) -> Result<Graph> {
    let mut work = Rebuild::new(graph);
    for node in &graph.nodes {
        let id = match node.op.kind {
            Kind::Lowered(rule) => {
                let inputs = work.operands(node);
                rule(&mut work.to, &inputs, &node.attrs)?
            }
            Kind::Reduce(kind) if scattered(graph, node).is_some() => {
                let x = work.operands(node)[0];
                let runs = scattered(graph, node).unwrap_or_default();
                one_run_at_a_time(&mut work.to, x, node, kind, &runs)
            }
            Kind::Scan(_) if is_rewritten(graph, node) => work.keep(&scan::with_body(node, lower)?),
            _ => work.keep(node),
        };
        work.settle(id);
    }
    Ok(work.finish())
}

/// The reduced axes of a reduction node, ascending.
pub(crate) fn reduced_axes(node: &Node, rank: usize) -> Vec<usize> {
    let mend = |a: i64| if a < 0 { (a + rank as i64) as usize } else { a as usize };
    let mut axes: Vec<usize> = match &node.attrs[0] {
        Attr::Int(a) => vec![mend(*a)],
        Attr::Ints(v) => v.iter().map(|&a| mend(a)).collect(),
        _ => (0..rank).collect(),
    };
    axes.sort_unstable();
    axes
}

/// Sizes before, of and after the run of neighbouring axes that a reduction of a value of this shape
/// takes.
#[must_use]
pub fn reduced_extent(node: &Node, shape: &Shape) -> [usize; 3] {
    let dims = shape.sizes();
    let wide: Vec<usize> =
        reduced_axes(node, shape.rank()).into_iter().filter(|&axis| dims[axis] != 1).collect();
    let (Some(&first), Some(&last)) = (wide.first(), wide.last()) else {
        return [shape.count(), 1, 1];
    };
    [dims[..first].iter().product(), dims[first..=last].iter().product(), dims[last + 1..].iter().product()]
}

/// The runs of neighbouring reduced axes, when there is more than one (axes of size 1 aside).
fn scattered(graph: &Graph, node: &Node) -> Option<Vec<Vec<i64>>> {
    let shape = graph.shape(node.inputs[0]);
    let axes = reduced_axes(node, shape.rank());
    let mut runs: Vec<Vec<i64>> = vec![];
    let mut open = false;
    for (axis, &size) in shape.sizes().iter().enumerate() {
        if axes.contains(&axis) {
            if open {
                runs.last_mut()?.push(axis as i64);
            } else {
                runs.push(vec![axis as i64]);
                open = true;
            }
        } else if size != 1 {
            open = false;
        }
    }
    (runs.len() > 1).then_some(runs)
}

fn one_run_at_a_time(g: &mut Graph, x: Id, node: &Node, kind: Reduce, runs: &[Vec<i64>]) -> Id {
    debug_assert!(!matches!(kind, Reduce::ArgMax | Reduce::ArgMin), "these take one axis or all");
    let mut y = x;
    for run in runs.iter().rev() {
        y = g.add(node.op, &[y], &[Attr::Ints(run.clone()), Attr::Bool(true)]);
    }
    g.reshape_to(y, &node.ty.shape)
}

/// True for nodes that the passes after this one understand.
#[must_use]
pub fn is_lowered(graph: &Graph) -> bool {
    graph.nodes.iter().all(|n| {
        let mut bodies = n.attrs.iter().filter_map(Attr::body);
        n.op.class != Class::Composite && bodies.all(|body| is_lowered(&body.graph))
    })
}
