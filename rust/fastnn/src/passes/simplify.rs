//! F5. Folds constants, merges duplicates, drops what nobody reads, absorbs transposes into
//! products and each other, zeros around an image into convolutions, and broadcasts into the ops that
//! broadcast anyway.

use super::lower::{Rebuild, reduced_axes};
use super::scan;
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Attr, Class, Graph, Host, INPUT, Id, Kind, Node, SCALAR, Ty};
use crate::kernels::stored;
use crate::ops::conv::{CONV, CONV_WEIGHT_GRAD, with_zeros};
use crate::ops::elementwise::{ADD, DIVIDE, MULTIPLY, POWER, RECIPROCAL, SQUARE, STOP_GRADIENT, SUBTRACT};
use crate::ops::matmul::MATMUL;
use crate::ops::movement::{BROADCAST_TO, PAD, RESHAPE, TRANSPOSE};
use crate::ops::reduce::EXTENT;
use crate::shape::{DType, Shape};
use std::collections::HashMap;

/// Simplifies a lowered graph of concrete shapes.
pub fn simplify(graph: &Graph) -> Result<Graph> {
    let mut work = Rebuild::new(graph);
    let mut seen: HashMap<Key, Id> = HashMap::new();
    for node in &graph.nodes {
        let id = rewrite(&mut work, node)?;
        let id = if id.at() + 1 == work.to.nodes.len() { merge(&mut work.to, &mut seen, id) } else { id };
        work.settle(id);
    }
    let graph = work.finish();
    graph.check()?;
    scan::trim(drop_unused(&graph))
}

type Key = (usize, Vec<Id>, Vec<Attr>, Ty);

/// The earlier twin of the newest node, if there is one.
fn merge(g: &mut Graph, seen: &mut HashMap<Key, Id>, id: Id) -> Id {
    let node = g.node(id);
    let key = (std::ptr::from_ref(node.op) as usize, node.inputs.clone(), node.attrs.clone(), node.ty);
    *seen.entry(key).or_insert(id)
}

/// What the next node becomes; often itself.
fn rewrite(work: &mut Rebuild<'_>, node: &Node) -> Result<Id> {
    let inputs = work.operands(node);
    let g = &mut work.to;
    let same = |g: &Graph, id: Id| g.ty(id) == node.ty;
    match node.op {
        op if op == &STOP_GRADIENT => return Ok(inputs[0]),
        op if op == &EXTENT => {
            let sizes = g.shape(inputs[0]).sizes();
            let count: usize = reduced_axes(node, sizes.len()).iter().map(|&a| sizes[a]).product();
            return Ok(g.typed_scalar(count as f64, node.ty.dtype));
        }
        op if op == &TRANSPOSE && is_identity(&g.shape(inputs[0]), node) => return Ok(inputs[0]),
        op if op == &BROADCAST_TO && same(g, inputs[0]) => return Ok(inputs[0]),
        op if op == &TRANSPOSE && g.node(inputs[0]).op == &TRANSPOSE => {
            return Ok(transpose_once(g, node, inputs[0]));
        }
        op if op == &MATMUL => return Ok(absorb_transposes(g, node, inputs)),
        op if op == &CONV || op == &CONV_WEIGHT_GRAD => return Ok(absorb_zeros(g, node, inputs)),
        _ if matches!(node.op.kind, Kind::Scan(_)) => return scan::sink(g, node, inputs),
        _ => {}
    }
    if matches!(node.op.kind, Kind::View) && g.ty(inputs[0]) == node.ty {
        return Ok(inputs[0]);
    }
    if node.op.class == Class::Elementwise {
        let inputs = drop_broadcasts(g, node, inputs);
        if let Some(id) = identity(g, node, &inputs) {
            return Ok(id);
        }
        if let Some(value) = fold(g, node, &inputs) {
            return Ok(g.typed_scalar(value, node.ty.dtype));
        }
        return Ok(cheaper(g, node, inputs));
    }
    Ok(work.keep(node))
}

fn is_identity(shape: &Shape, node: &Node) -> bool {
    order_of(shape.rank(), &node.attrs[0]).iter().enumerate().all(|(i, &a)| i == a)
}

/// Where each axis of a transposed value comes from.
fn order_of(rank: usize, axes: &Attr) -> Vec<usize> {
    match axes {
        Attr::Ints(v) if !v.is_empty() => {
            v.iter().map(|&a| (if a < 0 { a + rank as i64 } else { a }) as usize).collect()
        }
        _ => (0..rank).rev().collect(),
    }
}

/// Two transposes are one; two that undo each other are none.
fn transpose_once(g: &mut Graph, node: &Node, inner: Id) -> Id {
    let rank = node.ty.shape.rank();
    let (first, source) = (order_of(rank, &g.node(inner).attrs[0]), g.node(inner).inputs[0]);
    let order: Vec<usize> = order_of(rank, &node.attrs[0]).into_iter().map(|a| first[a]).collect();
    if order.iter().enumerate().all(|(i, &a)| i == a) {
        return source;
    }
    let axes = Attr::Ints(order.into_iter().map(|a| a as i64).collect());
    g.push(Node { op: node.op, inputs: vec![source], attrs: vec![axes], ty: node.ty })
}

/// A convolution of an image with zeros around it pads by itself.
fn absorb_zeros(g: &mut Graph, node: &Node, mut inputs: Vec<Id>) -> Id {
    let read = Node { op: node.op, inputs: inputs.clone(), attrs: node.attrs.clone(), ty: node.ty };
    let image = g.node(inputs[0]);
    if image.op == &PAD && image.attrs[1].float().to_bits() == 0 {
        let widths = image.attrs[0].sizes().into_owned();
        let spatial = &widths[2..widths.len() - 2];
        let outer = widths[..2].iter().chain(&widths[widths.len() - 2..]);
        if outer.copied().all(|w| w == Dim::ZERO)
            && !spatial.iter().any(|w| w.is_negative())
            && let Some(attrs) = with_zeros(g, &read, spatial)
        {
            inputs[0] = image.inputs[0];
            return g.push(Node { op: node.op, inputs, attrs, ty: node.ty });
        }
    }
    g.push(read)
}

/// `matmul(transpose(a), b)` reads `a` with the other flag instead.
fn absorb_transposes(g: &mut Graph, node: &Node, mut inputs: Vec<Id>) -> Id {
    let mut attrs = node.attrs.clone();
    for (side, flag) in attrs.iter_mut().take(2).enumerate() {
        let operand = g.node(inputs[side]);
        if operand.op == &TRANSPOSE && swaps_last_two(g.shape(operand.inputs[0]).rank(), &operand.attrs[0]) {
            inputs[side] = operand.inputs[0];
            *flag = Attr::Bool(!flag.flag());
        }
    }
    g.push(Node { op: node.op, inputs, attrs, ty: node.ty })
}

fn swaps_last_two(rank: usize, axes: &Attr) -> bool {
    let order = order_of(rank, axes);
    rank >= 2
        && (0..rank - 2).all(|i| order[i] == i)
        && order[rank - 2] == rank - 1
        && order[rank - 1] == rank - 2
}

/// Elementwise ops broadcast by themselves: a `broadcast_to` that does not decide the result's
/// shape is read through.
fn drop_broadcasts(g: &Graph, node: &Node, mut inputs: Vec<Id>) -> Vec<Id> {
    for side in 0..inputs.len() {
        let operand = g.node(inputs[side]);
        if operand.op != &BROADCAST_TO {
            continue;
        }
        let old = std::mem::replace(&mut inputs[side], operand.inputs[0]);
        let types: Vec<Ty> = inputs.iter().map(|&i| g.ty(i)).collect();
        if (node.op.infer)(&types, &node.attrs) != Ok(node.ty) {
            inputs[side] = old;
        }
    }
    inputs
}

fn scalar_value(g: &Graph, id: Id) -> Option<f64> {
    let node = g.node(id);
    match node.op {
        op if op == &SCALAR => Some(node.attrs[0].float()),
        op if op == &BROADCAST_TO || op == &RESHAPE => scalar_value(g, node.inputs[0]),
        _ => None,
    }
}

/// `x * 1`, `x + -0`, `x / 1`, `x - 0`: the other operand, where it has the result's type. Adding
/// 0 is not nothing: it makes -0 to 0.
fn identity(g: &Graph, node: &Node, inputs: &[Id]) -> Option<Id> {
    let [a, b] = *inputs else { return None };
    let is = |id: Id, value: f64| scalar_value(g, id).is_some_and(|v| v.to_bits() == value.to_bits());
    let nothing = if node.ty.dtype == DType::F32 { -0.0 } else { 0.0 };
    let kept = match node.op {
        op if op == &MULTIPLY && is(b, 1.0) => a,
        op if op == &MULTIPLY && is(a, 1.0) => b,
        op if op == &ADD && is(b, nothing) => a,
        op if op == &ADD && is(a, nothing) => b,
        op if op == &SUBTRACT && is(b, 0.0) => a,
        op if (op == &DIVIDE || op == &POWER) && is(b, 1.0) => a,
        _ => return None,
    };
    (g.ty(kept) == node.ty).then_some(kept)
}

/// The value of an op on scalar constants.
fn fold(g: &Graph, node: &Node, inputs: &[Id]) -> Option<f64> {
    if node.ty.shape.rank() != 0 || inputs.is_empty() {
        return None;
    }
    let hosts: Option<Vec<Host>> = inputs
        .iter()
        .map(|&i| {
            (g.node(i).op == &SCALAR)
                .then(|| Host { ty: g.ty(i), data: vec![rounded(g.node(i).attrs[0].float(), g.ty(i).dtype)] })
        })
        .collect();
    let value = (node.op.reference)(&hosts?, &node.attrs, node.ty).data.first().copied()?;
    Some(rounded(value, node.ty.dtype))
}

fn rounded(value: f64, dtype: DType) -> f64 {
    if dtype == DType::F32 || dtype.is_stored() { stored::rounded(value, dtype) } else { value }
}

/// `x ** 2`, `x ** 0.5`, `x ** -1` by their own kernels.
fn cheaper(g: &mut Graph, node: &Node, inputs: Vec<Id>) -> Id {
    if node.op == &POWER && node.ty.dtype == DType::F32 && g.ty(inputs[0]) == node.ty {
        match scalar_value(g, inputs[1]) {
            Some(2.0) => return g.add(&SQUARE, &inputs[..1], &[]),
            Some(-1.0) => return g.add(&RECIPROCAL, &inputs[..1], &[]),
            _ => {}
        }
    }
    g.push(Node { op: node.op, inputs, attrs: node.attrs.clone(), ty: node.ty })
}

/// Keeps inputs and what outputs and updates need.
pub(super) fn drop_unused(graph: &Graph) -> Graph {
    let mut used = vec![false; graph.nodes.len()];
    for id in graph.outputs.iter().chain(graph.updates.iter().map(|(_, v)| v)).chain(&graph.inputs) {
        used[id.at()] = true;
    }
    for i in (0..graph.nodes.len()).rev() {
        if used[i] {
            for input in &graph.nodes[i].inputs {
                used[input.at()] = true;
            }
        }
    }
    let mut out = Graph { data: graph.data.clone(), inputs: graph.inputs.clone(), ..Graph::default() };
    let mut map = vec![Id(u32::MAX); graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| used[*i]) {
        let inputs = node.inputs.iter().map(|x| map[x.at()]).collect();
        map[i] = out.push(Node { inputs, ..node.clone() });
        if node.op == &INPUT {
            out.inputs[node.attrs[0].int() as usize] = map[i];
        }
    }
    out.outputs = graph.outputs.iter().map(|o| map[o.at()]).collect();
    out.updates = graph.updates.iter().map(|(slot, v)| (*slot, map[v.at()])).collect();
    out
}
