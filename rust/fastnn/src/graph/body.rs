//! F3. Graphs inside nodes: what a loop runs again and again. A body is a value like other
//! attributes: compared and hashed by its nodes, replayed with the graph around it.

use super::{Attr, Graph};
use crate::error::{Error, Result};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Bodies stand in each other at most this deep, so that walks through them may recurse.
pub const MOST_BODIES: u32 = 8;

/// A graph as the attribute of a node. Two are equal when they compute the same by the same nodes.
pub struct Body {
    /// Its inputs are what the node hands it, its outputs what the node gets back.
    pub graph: Graph,
    /// True when sizes in it are open.
    pub(super) open: bool,
    /// Levels of bodies, itself included.
    depth: u32,
    hash: u64,
}

impl Body {
    /// Errors when the graph is faulty, updates state, or holds bodies too deep.
    pub fn new(graph: Graph) -> Result<Arc<Body>> {
        graph.check()?;
        if !graph.updates.is_empty() {
            return Err(Error::Internal("a body updates state".into()));
        }
        let mut depth = 0;
        let mut open = false;
        let mut hasher = std::hash::DefaultHasher::new();
        for node in &graph.nodes {
            open |= node.ty.shape.is_open() || node.attrs.iter().any(Attr::is_open);
            let inner = node.attrs.iter().filter_map(Attr::body).map(|body| body.depth);
            depth = inner.fold(depth, u32::max);
            std::ptr::from_ref(node.op).hash(&mut hasher);
            (&node.inputs, &node.attrs, node.ty).hash(&mut hasher);
        }
        if depth >= MOST_BODIES {
            return crate::data_err!(
                "scan: bodies stand {} deep in each other, at most {MOST_BODIES} may\n  hint: join inner loops, or unroll one",
                depth + 1
            );
        }
        graph.outputs.hash(&mut hasher);
        Ok(Arc::new(Body { graph, open, depth: depth + 1, hash: hasher.finish() }))
    }

    /// Nodes of the graph and of the bodies in it.
    #[must_use]
    pub fn count(&self) -> usize {
        let inner = self.graph.nodes.iter().flat_map(|n| &n.attrs).filter_map(Attr::body);
        self.graph.nodes.len() + inner.map(|body| body.count()).sum::<usize>()
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Body) -> bool {
        let (a, b) = (&self.graph, &other.graph);
        self.hash == other.hash
            && a.inputs == b.inputs
            && a.outputs == b.outputs
            && a.begins(b)
            && a.nodes.len() == b.nodes.len()
            && a.data.len() == b.data.len()
    }
}

impl Eq for Body {}

impl Hash for Body {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} nodes>", self.graph.nodes.len())
    }
}
