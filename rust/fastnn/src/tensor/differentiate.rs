//! F7. Derivatives of tensors: their graph, with what a builder adds to it, lifted to tensors again.

use super::{Attrs, Origin, Storage, Tensor, Walk};
use crate::error::{Error, Result};
use crate::graph::{DATA, Graph, Id, PART, SCALAR, has_parts};
use crate::passes;
use std::collections::HashMap;
use std::sync::Arc;

/// Runs a graph builder on tensors taken as opaque inputs and lifts what it built to lazy tensors.
pub fn with_graph(
    inputs: &[Tensor],
    build: impl FnOnce(&mut Graph, &[Id]) -> Result<Vec<Id>>,
) -> Result<Vec<Tensor>> {
    let mut g = Graph::new();
    let mut known = Vec::with_capacity(inputs.len());
    for input in inputs {
        let id = match input.leaf_scalar() {
            Some(value) => g.typed_scalar(value, input.ty().dtype),
            None => g.input(input.ty()),
        };
        known.push((id, input.clone()));
    }
    let ids: Vec<Id> = known.iter().map(|(id, _)| *id).collect();
    let outputs = build(&mut g, &ids)?;
    g.check()?;
    lift(&g, &known, &outputs)
}

/// The derivative of `y`, weighted by `dy` (ones when left out), with respect to each of `xs`,
/// which may be any tensors, intermediate ones included. Zeros where `y` does not depend on x.
/// A tensor that has been read no longer knows its inputs; such a `y` is an error.
pub fn gradients(y: &Tensor, xs: &[Tensor], dy: Option<&Tensor>) -> Result<Vec<Tensor>> {
    if matches!(y.0.origin, Origin::Computed) && y.history().is_none() && !xs.iter().any(|x| x.is(y)) {
        return Err(Error::Trace(
            "gradients: y has been read already, and a read tensor no longer knows what it was computed from\n  \
             hint: take the gradient before reading y, or use fastnn.value_and_grad"
                .into(),
        ));
    }
    gradients_along(y, xs, dy, Walk::through)
}

/// The derivative along a walk from `y`, `xs` and `dy`, whose leaves are constants.
pub(super) fn gradients_along(
    y: &Tensor,
    xs: &[Tensor],
    dy: Option<&Tensor>,
    walk: impl FnOnce(&[Tensor]) -> Walk,
) -> Result<Vec<Tensor>> {
    if let Some(dy) = dy {
        weights_fit(y, dy)?;
    }
    let mut roots = vec![y.clone()];
    roots.extend(xs.iter().cloned());
    roots.extend(dy.cloned());
    let walk = walk(&roots);
    let mut g = Graph::new();
    let ids = walk.emit(&mut g, |g, leaf| match leaf.leaf_scalar() {
        // What we differentiate by must stay a value, number or not.
        Some(value) if !xs.iter().any(|x| x.is(leaf)) => Ok(g.typed_scalar(value, leaf.ty().dtype)),
        _ => Ok(g.input(leaf.ty())),
    })?;
    let wrt: Vec<Id> = xs.iter().map(|x| ids.of(x)).collect();
    let outputs = passes::grad::gradients(&mut g, ids.of(y), dy.map(|t| ids.of(t)), &wrt)?;
    g.check()?;
    let known: Vec<(Id, Tensor)> = walk.tensors().map(|t| (ids.of(t), t.clone())).collect();
    lift(&g, &known, &outputs)
}

/// Weights of a derivative that do not have the shape of the value would broadcast somewhere on the
/// way, into a gradient of another shape or an invalid graph.
fn weights_fit(y: &Tensor, dy: &Tensor) -> Result<()> {
    let (have, want) = (dy.ty(), y.ty());
    let (a, b) = (have.shape.dims(), want.shape.dims());
    if a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.meet(*b).is_some()) && have.dtype == want.dtype {
        return Ok(());
    }
    crate::shape_err!(
        "gradients: dy is {have}, wanted {want}, as y is\n  hint: dy weighs each element of y; give it the shape and type of y"
    )
}

/// The nodes of `g` that `outputs` need, as tensors; `known` nodes stand for themselves.
fn lift(g: &Graph, known: &[(Id, Tensor)], outputs: &[Id]) -> Result<Vec<Tensor>> {
    let mut tensors: Vec<Option<Tensor>> = vec![None; g.nodes.len()];
    let mut bundles: HashMap<Id, Tensor> = HashMap::new();
    for (id, tensor) in known {
        if tensor.is_bundle() {
            bundles.insert(*id, tensor.clone());
        } else {
            tensors[id.at()] = Some(tensor.clone());
        }
    }
    let mut needed = vec![false; g.nodes.len()];
    for id in outputs {
        needed[id.at()] = true;
    }
    for at in (0..g.nodes.len()).rev() {
        if needed[at] && tensors[at].is_none() {
            for input in &g.nodes[at].inputs {
                needed[input.at()] = true;
            }
        }
    }
    for (at, node) in g.nodes.iter().enumerate() {
        if !needed[at] || tensors[at].is_some() {
            continue;
        }
        tensors[at] = Some(if node.op == &SCALAR {
            Tensor::scalar(node.attrs[0].float(), node.ty.dtype)?
        } else if node.op == &DATA {
            let data = g.data[node.attrs[0].int() as usize].clone();
            // SAFETY: the shared buffer is kept alive beside the pointer, and is never written.
            let storage = unsafe { Storage::foreign(data.as_ptr(), node.ty, true, Box::new(data.clone())) };
            Tensor::new(node.ty, Arc::new(storage))?
        } else if node.op == &PART {
            let of = bundles.get(&node.inputs[0]).expect("invariant: a part stands after its node");
            of.part(node.attrs[0].int() as usize)?
        } else {
            let make = || {
                let inputs = node.inputs.iter().map(|i| tensors[i.at()].clone());
                let inputs = inputs.map(|t| t.expect("invariant: needed inputs come first"));
                Tensor::node(node.op, inputs.collect(), Attrs::new(&node.attrs), node.ty)
            };
            if !has_parts(node.op) {
                make()
            } else {
                bundles.entry(Id(at as u32)).or_insert_with(make).part(0)?
            }
        });
    }
    Ok(outputs.iter().map(|id| tensors[id.at()].clone().expect("invariant: outputs are needed")).collect())
}
