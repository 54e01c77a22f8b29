//! F5. Graph in, graph out: lower, grad, simplify, fuse, schedule, plan. Each pass is a pure function,
//! tested against the oracle on random graphs. A back end takes a graph through [`prepare`] with
//! its own limits, reads the groups as [`group::Lines`], and brings its own kernels and memory plan.

use crate::error::Result;
use crate::graph::Graph;

pub mod fuse;
pub mod grad;
pub mod group;
pub mod hoist;
pub mod lower;
pub mod plan;
pub mod rounds;
pub mod scan;
mod schedule;
pub mod simplify;
pub mod verify;

/// A graph of concrete shapes without composites, folded and tidied.
pub fn simplified(graph: &Graph) -> Result<Graph> {
    graph.check()?;
    let graph = simplify::simplify(&lower::lower(scan::merge(graph)?.as_ref())?)?;
    #[cfg(debug_assertions)]
    graph.recheck()?;
    Ok(graph)
}

/// A graph of concrete shapes, lowered, simplified and grouped into steps within `limits`.
pub fn prepare(graph: &Graph, limits: &fuse::Limits) -> Result<(Graph, fuse::Fusion)> {
    let graph = simplified(graph)?;
    let fusion = fuse::fuse(&graph, limits)?;
    Ok((graph, fusion))
}
