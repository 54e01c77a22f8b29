//! F7. Making a `scan` of a traced round: what the round computes from its own placeholders becomes the
//! body; everything else that it reads becomes an input that all rounds share.

use super::walk::{Place, Walk};
use super::{Attrs, Leaf, Operands, Tensor};
use crate::dim::Dim;
use crate::error::{Error, Result};
use crate::graph::{Body, Graph, Id, Node, PART};
use crate::ops::movement::BROADCAST_TO;
use crate::ops::scan::{SCAN, Scan};
use std::collections::HashMap;

/// A round: the placeholders that it was traced with and what it made of them.
#[derive(Debug)]
pub struct Round<'a> {
    /// Stand for the carries.
    pub carries: &'a [Tensor],
    /// Stand for one slice each.
    pub slices: &'a [Tensor],
    /// Stand for values that all rounds share.
    pub shared: &'a [Tensor],
    /// The next carries, then what the round gives.
    pub outputs: &'a [Tensor],
}

/// Runs a round `length` times over `values`: the first carries, the arrays with the slices, the shared
/// values. Gives the last carries and the stacked results.
pub fn scan(round: &Round<'_>, values: &[Tensor], length: Dim, reverse: bool) -> Result<Vec<Tensor>> {
    let walk = Walk::from(round.outputs);
    let own: Vec<&Tensor> = round.carries.iter().chain(round.slices).chain(round.shared).collect();
    if own.len() != values.len() {
        return Err(Error::Internal(format!("scan: {} values for {} placeholders", values.len(), own.len())));
    }
    let mut graph = Graph::new();
    let mut inputs: Operands = values.iter().cloned().collect();
    let slots: HashMap<usize, Id> = own.iter().map(|t| (t.key(), graph.input(t.ty()))).collect();
    // Does a value depend on what changes from round to round, or is it a number spread out?
    let mut moves: Vec<bool> = Vec::with_capacity(walk.steps.len());
    let mut plain: Vec<bool> = Vec::with_capacity(walk.steps.len());
    for (tensor, pending) in &walk.steps {
        let inner = |input: &Tensor| match walk.place(input) {
            Place::Leaf(at) => slots.contains_key(&walk.leaves[at as usize].key()),
            Place::Step(at) => moves[at as usize],
        };
        let number = |input: &Tensor| match walk.place(input) {
            Place::Leaf(at) => matches!(walk.leaves[at as usize].leaf(), Leaf::Scalar(_)),
            Place::Step(at) => plain[at as usize],
        };
        let small = pending.op == &BROADCAST_TO || tensor.ty().shape.rank() == 0 || pending.inputs.is_empty();
        let (depends, known) = (pending.inputs.iter().any(inner), small && pending.inputs.iter().all(number));
        moves.push(depends);
        plain.push(known);
    }
    let mut needed = vec![false; walk.steps.len()];
    let want = |tensor: &Tensor, needed: &mut [bool]| {
        if let Place::Step(at) = walk.place(tensor) {
            needed[at as usize] |= moves[at as usize] || plain[at as usize];
        }
    };
    round.outputs.iter().for_each(|output| want(output, &mut needed));
    for (at, (_, pending)) in walk.steps.iter().enumerate().rev() {
        if needed[at] {
            pending.inputs.iter().for_each(|input| want(input, &mut needed));
        }
    }
    let mut leaves: Vec<Option<Id>> =
        walk.leaves.iter().map(|leaf| slots.get(&leaf.key()).copied()).collect();
    let mut steps: Vec<Option<Id>> = vec![None; walk.steps.len()];
    let mut id_of = |graph: &mut Graph, steps: &mut [Option<Id>], tensor: &Tensor| {
        let place = match walk.place(tensor) {
            Place::Leaf(at) => &mut leaves[at as usize],
            Place::Step(at) => &mut steps[at as usize],
        };
        *place.get_or_insert_with(|| match tensor.leaf() {
            Leaf::Scalar(value) => graph.typed_scalar(value, tensor.ty().dtype),
            _ => {
                inputs.push(tensor.clone());
                graph.input(tensor.ty())
            }
        })
    };
    for (at, (tensor, pending)) in walk.steps.iter().enumerate().filter(|(at, _)| needed[*at]) {
        let of: Vec<Id> = pending.inputs.iter().map(|t| id_of(&mut graph, &mut steps, t)).collect();
        let id = match pending.attrs.first() {
            // The value of a node is the node.
            Some(index) if pending.op == &PART && index.int() == 0 => of[0],
            _ => graph.push(Node {
                op: pending.op,
                inputs: of,
                attrs: pending.attrs.to_vec(),
                ty: tensor.ty(),
            }),
        };
        steps[at] = Some(id);
    }
    let outputs: Vec<Id> = round.outputs.iter().map(|t| id_of(&mut graph, &mut steps, t)).collect();
    graph.outputs = outputs;
    let body = Body::new(graph)?;
    let (carries, slices) = (round.carries.len(), round.slices.len());
    let attrs = Scan { body: &body.graph, carries, slices, length, reverse }.attrs(body.clone());
    Tensor::results(&SCAN, inputs, Attrs::new(&attrs))
}
