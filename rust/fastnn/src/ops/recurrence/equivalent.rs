//! Recurrences as loops of other rows: what their derivatives are taken through where no rule of
//! their own covers them, such as second derivatives. All results of the row, in order.

use super::gates_of;
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Attr, Body, Graph, Id};
use crate::ops::build::Build;
use crate::ops::movement::{CONCATENATE, SLICE};
use crate::ops::scan::{Scan, scan};
use crate::shape::Shape;

/// Values of a round: carries, slices of this step, and what all rounds share.
struct Round {
    carries: Vec<Id>,
    slices: Vec<Id>,
    shared: Vec<Id>,
}

/// A loop over the second axis of `slices`; gives the last carries and, with the second axis as
/// steps again, what each round gives.
fn rounds(
    g: &mut Graph,
    carries: &[Id],
    slices: &[Id],
    shared: &[Id],
    reverse: bool,
    round: impl FnOnce(&mut Graph, &Round) -> (Vec<Id>, Vec<Id>),
) -> Result<Vec<Id>> {
    let length = g.shape_of(slices[0]).dims()[1];
    let arrays: Vec<Id> = slices.iter().map(|&x| turned(g, x)).collect();
    let mut body = Graph::new();
    let own = Round {
        carries: carries.iter().map(|&x| body.input(g.ty(x))).collect(),
        slices: arrays
            .iter()
            .map(|&x| {
                let ty = g.ty(x);
                Ok(body.input(crate::graph::Ty { shape: Shape::new(&ty.shape.dims()[1..])?, ..ty }))
            })
            .collect::<Result<_>>()?,
        shared: shared.iter().map(|&x| body.input(g.ty(x))).collect(),
    };
    let (next, gifts) = round(&mut body, &own);
    body.outputs = [next, gifts].concat();
    let body = Body::new(body)?;
    let attrs = Scan { body: &body.graph, carries: carries.len(), slices: slices.len(), length, reverse }
        .attrs(body.clone());
    let mut results = scan(g, &[carries, &arrays, shared].concat(), &attrs)?;
    for gift in &mut results[carries.len()..] {
        *gift = turned(g, *gift);
    }
    Ok(results)
}

/// The first two axes exchanged.
fn turned(g: &mut Graph, x: Id) -> Id {
    let mut axes: Vec<i64> = (0..g.shape_of(x).rank() as i64).collect();
    axes.swap(0, 1);
    g.transpose(x, &axes)
}

/// Batch, steps, units of an operand with `gates` numbers a unit for each step.
fn sizes(g: &Graph, each: Id, weights: Id) -> [Dim; 3] {
    let (each, weights) = (g.shape_of(each), g.shape_of(weights));
    [each.dims()[0], each.dims()[1], weights.dims()[0]]
}

fn widened(g: &mut Graph, x: Id, dims: &[Dim]) -> Result<Id> {
    let shape = Shape::new(dims)?;
    Ok(g.broadcast_to(x, &shape))
}

/// The mask as one truth value per row and step, with an axis for units.
fn mask_of(g: &mut Graph, mask: Id, [batch, steps, _]: [Dim; 3]) -> Result<Id> {
    let mask = widened(g, mask, &[batch, steps])?;
    Ok(g.expand_dims(mask, -1))
}

/// Sums of all gates: the state as each gate sees it, times its weights.
fn sums(g: &mut Graph, h: Id, weights: Id, drop: Id, gates: i64, units: Dim) -> Id {
    if g.shape_of(drop).rank() == 0 {
        let seen = g.mul(h, drop);
        return g.matmul(seen, weights, false, false);
    }
    let parts: Vec<Id> = (0..gates)
        .map(|gate| {
            let own = gates_of(g, drop, gate, gate + 1, units);
            let (seen, w) = (g.mul(h, own), gates_of(g, weights, gate, gate + 1, units));
            g.matmul(seen, w, false, false)
        })
        .collect();
    g.build(&CONCATENATE, &parts, &[Attr::Int(-1)])
}

/// What flows back into the state through the sums of gates.
fn back(g: &mut Graph, dz: Id, weights: Id, drop: Id, gates: i64, units: Dim) -> Id {
    if g.shape_of(drop).rank() == 0 {
        let flows = g.matmul(dz, weights, false, true);
        return g.mul(flows, drop);
    }
    let mut total = None;
    for gate in 0..gates {
        let (own, w) = (gates_of(g, dz, gate, gate + 1, units), gates_of(g, weights, gate, gate + 1, units));
        let flows = g.matmul(own, w, false, true);
        let own = gates_of(g, drop, gate, gate + 1, units);
        let flows = g.mul(flows, own);
        total = Some(total.map_or(flows, |so_far| g.add_(so_far, flows)));
    }
    total.unwrap_or(dz)
}

/// `y (1 - y)`.
fn bend(g: &mut Graph, y: Id) -> Id {
    let rest = g.scalar_sub(1.0, y);
    g.mul(y, rest)
}

/// `1 - y²`.
fn tanh_slope(g: &mut Graph, y: Id) -> Id {
    let square = g.square(y);
    g.scalar_sub(1.0, square)
}

fn product(g: &mut Graph, factors: &[Id]) -> Id {
    factors[1..].iter().fold(factors[0], |so_far, &x| g.mul(so_far, x))
}

fn joined(g: &mut Graph, parts: &[Id]) -> Id {
    g.build(&CONCATENATE, parts, &[Attr::Int(-1)])
}

/// `x` where the step counts, else 0.
fn kept(g: &mut Graph, mask: Id, x: Id) -> Id {
    let zero = g.number(0.0);
    g.where_(mask, x, zero)
}

pub(super) fn lstm(g: &mut Graph, x: &[Id], attrs: &[Attr]) -> Result<Vec<Id>> {
    let at = sizes(g, x[0], x[1]);
    let [batch, _, units] = at;
    let (h0, c0) = (widened(g, x[2], &[batch, units])?, widened(g, x[3], &[batch, units])?);
    let mask = mask_of(g, x[4], at)?;
    let results = rounds(g, &[h0, c0], &[x[0], mask], &[x[1], x[5]], attrs[0].flag(), |g, round| {
        let (h, c, mask) = (round.carries[0], round.carries[1], round.slices[1]);
        let own = sums(g, h, round.shared[0], round.shared[1], 4, units);
        let a = g.add_(round.slices[0], own);
        let gate = |g: &mut Graph, k: i64| gates_of(g, a, k, k + 1, units);
        let (i, f, o) = (gate(g, 0), gate(g, 1), gate(g, 3));
        let (i, f, o) = (g.sigmoid(i), g.sigmoid(f), g.sigmoid(o));
        let n = gate(g, 2);
        let n = g.tanh(n);
        let (new, old) = (g.mul(i, n), g.mul(f, c));
        let cell = g.add_(new, old);
        let bent = g.tanh(cell);
        let state = g.mul(o, bent);
        let (next_h, next_c) = (g.where_(mask, state, h), g.where_(mask, cell, c));
        let gates = joined(g, &[i, f, n, o]);
        let gates = kept(g, mask, gates);
        (vec![next_h, next_c], vec![next_h, gates, next_c, h])
    })?;
    let [h, c, y, gates, cells, before] = results[..] else { return Ok(results) };
    Ok(vec![y, h, c, gates, cells, before])
}

/// The values before each step: `first`, then those of the steps but the last one done.
fn earlier(g: &mut Graph, first: Id, each: Id, reverse: bool) -> Id {
    let first = g.expand_dims(first, 1);
    let dims = g.shape_of(each).dims().to_vec();
    let parts = if reverse { [each, first] } else { [first, each] };
    let all = g.build(&CONCATENATE, &parts, &[Attr::Int(1)]);
    let shift = if reverse { Dim::ONE } else { Dim::ZERO };
    let begin = vec![Dim::ZERO, shift, Dim::ZERO];
    let end = vec![dims[0], dims[1] + shift, dims[2]];
    g.build(&SLICE, &[all], &[Attr::Sizes(begin), Attr::Sizes(end), Attr::Ints(vec![1; 3])])
}

pub(super) fn lstm_grad(g: &mut Graph, x: &[Id], attrs: &[Attr]) -> Result<Vec<Id>> {
    let at = sizes(g, x[4], x[3]);
    let ([batch, steps, units], reverse) = (at, attrs[0].flag());
    let dy = widened(g, x[0], &[batch, steps, units])?;
    let (dh, dc) = (widened(g, x[1], &[batch, units])?, widened(g, x[2], &[batch, units])?);
    let c0 = widened(g, x[6], &[batch, units])?;
    let old = earlier(g, c0, x[5], reverse);
    let mask = mask_of(g, x[7], at)?;
    let slices = [dy, x[4], x[5], old, mask];
    let results = rounds(g, &[dh, dc], &slices, &[x[3], x[8]], !reverse, |g, round| {
        let mask = round.slices[4];
        let flows = g.add_(round.carries[0], round.slices[0]);
        let gate = |g: &mut Graph, k: i64| gates_of(g, round.slices[1], k, k + 1, units);
        let (i, f, n, o) = (gate(g, 0), gate(g, 1), gate(g, 2), gate(g, 3));
        let bent = g.tanh(round.slices[2]);
        let slope = tanh_slope(g, bent);
        let part = product(g, &[flows, o, slope]);
        let d = g.add_(round.carries[1], part);
        let (bi, bf, bn, bo) = (bend(g, i), bend(g, f), tanh_slope(g, n), bend(g, o));
        let parts = [
            product(g, &[d, n, bi]),
            product(g, &[d, round.slices[3], bf]),
            product(g, &[d, i, bn]),
            product(g, &[flows, bent, bo]),
        ];
        let dz = joined(g, &parts);
        let dz = kept(g, mask, dz);
        let into = back(g, dz, round.shared[0], round.shared[1], 4, units);
        let (dh, dc) = (g.where_(mask, into, flows), g.mul(d, f));
        (vec![dh, g.where_(mask, dc, round.carries[1])], vec![dz])
    })?;
    Ok(vec![results[2], results[0], results[1]])
}

pub(super) fn gru(g: &mut Graph, x: &[Id], attrs: &[Attr]) -> Result<Vec<Id>> {
    let at = sizes(g, x[0], x[1]);
    let [batch, _, units] = at;
    let after = attrs[1].flag();
    let h0 = widened(g, x[3], &[batch, units])?;
    let bias = widened(g, x[2], &[Dim::new(3) * units])?;
    let mask = mask_of(g, x[4], at)?;
    let shared = [x[1], bias, x[5]];
    let results = rounds(g, &[h0], &[x[0], mask], &shared, attrs[0].flag(), |g, round| {
        let (h, mask) = (round.carries[0], round.slices[1]);
        let (weights, bias, drop) = (round.shared[0], round.shared[1], round.shared[2]);
        let own = sums(g, h, weights, drop, 3, units);
        let own = g.add_(own, bias);
        let gate = |g: &mut Graph, x: Id, k: i64| gates_of(g, x, k, k + 1, units);
        let opened = |g: &mut Graph, k: i64| {
            let (a, b) = (gate(g, round.slices[0], k), gate(g, own, k));
            let sum = g.add_(a, b);
            g.sigmoid(sum)
        };
        let (z, r) = (opened(g, 0), opened(g, 1));
        let (inner, sum) = if after {
            let inner = gate(g, own, 2);
            (inner, g.mul(r, inner))
        } else {
            let drop = if g.shape_of(drop).rank() == 0 { drop } else { gate(g, drop, 2) };
            let inner = product(g, &[r, h, drop]);
            let (w, b) = (gate(g, weights, 2), gate(g, bias, 2));
            let sum = g.matmul(inner, w, false, false);
            (inner, g.add_(sum, b))
        };
        let input = gate(g, round.slices[0], 2);
        let sum = g.add_(input, sum);
        let n = g.tanh(sum);
        let (old, rest) = (g.mul(z, h), g.scalar_sub(1.0, z));
        let new = g.mul(rest, n);
        let next = g.add_(old, new);
        let next = g.where_(mask, next, h);
        let gates = joined(g, &[z, r, n]);
        (vec![next], vec![next, kept(g, mask, gates), kept(g, mask, inner), h])
    })?;
    let [h, y, gates, inner, before] = results[..] else { return Ok(results) };
    Ok(vec![y, h, gates, inner, before])
}

pub(super) fn gru_grad(g: &mut Graph, x: &[Id], attrs: &[Attr]) -> Result<Vec<Id>> {
    let at = sizes(g, x[3], x[2]);
    let ([batch, steps, units], after) = (at, attrs[1].flag());
    let dy = widened(g, x[0], &[batch, steps, units])?;
    let dh = widened(g, x[1], &[batch, units])?;
    let mask = mask_of(g, x[6], at)?;
    let slices = [dy, x[3], x[4], x[5], mask];
    let results = rounds(g, &[dh], &slices, &[x[2], x[7]], !attrs[0].flag(), |g, round| {
        let (inner, old, mask) = (round.slices[2], round.slices[3], round.slices[4]);
        let (weights, drop) = (round.shared[0], round.shared[1]);
        let flows = g.add_(round.carries[0], round.slices[0]);
        let gate = |g: &mut Graph, x: Id, k: i64| gates_of(g, x, k, k + 1, units);
        let (z, r, n) =
            (gate(g, round.slices[1], 0), gate(g, round.slices[1], 1), gate(g, round.slices[1], 2));
        let (rest, slope) = (g.scalar_sub(1.0, z), tanh_slope(g, n));
        let sum = product(g, &[flows, rest, slope]);
        let sum = kept(g, mask, sum);
        let (away, bz, br) = (g.sub(old, n), bend(g, z), bend(g, r));
        let update = product(g, &[flows, away, bz]);
        let mut next = g.mul(flows, z);
        let (reset, seen) = if after {
            (product(g, &[sum, inner, br]), g.mul(sum, r))
        } else {
            let drop = if g.shape_of(drop).rank() == 0 { drop } else { gate(g, drop, 2) };
            let w = gate(g, weights, 2);
            let into = back(g, sum, w, drop, 1, units);
            let part = g.mul(into, r);
            next = g.add_(next, part);
            (product(g, &[into, old, br]), sum)
        };
        let (dz, ds) = (joined(g, &[update, reset, sum]), joined(g, &[update, reset, seen]));
        let (dz, ds) = (kept(g, mask, dz), kept(g, mask, ds));
        let into = if after {
            back(g, ds, weights, drop, 3, units)
        } else {
            let (d, w) = (gates_of(g, ds, 0, 2, units), gates_of(g, weights, 0, 2, units));
            let drop = if g.shape_of(drop).rank() == 0 { drop } else { gates_of(g, drop, 0, 2, units) };
            back(g, d, w, drop, 2, units)
        };
        let next = g.add_(next, into);
        (vec![g.where_(mask, next, flows)], vec![dz, ds])
    })?;
    Ok(vec![results[1], results[2], results[0]])
}

fn activated(g: &mut Graph, kind: &Attr, x: Id) -> Id {
    match kind.int() {
        0 => g.tanh(x),
        1 => g.relu(x),
        2 => x,
        _ => g.sigmoid(x),
    }
}

pub(super) fn simple(g: &mut Graph, x: &[Id], attrs: &[Attr]) -> Result<Vec<Id>> {
    let at = sizes(g, x[0], x[1]);
    let [batch, _, units] = at;
    let h0 = widened(g, x[2], &[batch, units])?;
    let mask = mask_of(g, x[3], at)?;
    let results = rounds(g, &[h0], &[x[0], mask], &[x[1], x[4]], attrs[0].flag(), |g, round| {
        let h = round.carries[0];
        let own = sums(g, h, round.shared[0], round.shared[1], 1, units);
        let sum = g.add_(round.slices[0], own);
        let next = activated(g, &attrs[1], sum);
        let next = g.where_(round.slices[1], next, h);
        (vec![next], vec![next, h])
    })?;
    let [h, y, before] = results[..] else { return Ok(results) };
    Ok(vec![y, h, before])
}

pub(super) fn simple_grad(g: &mut Graph, x: &[Id], attrs: &[Attr]) -> Result<Vec<Id>> {
    let at = sizes(g, x[3], x[2]);
    let [batch, steps, units] = at;
    let dy = widened(g, x[0], &[batch, steps, units])?;
    let dh = widened(g, x[1], &[batch, units])?;
    let mask = mask_of(g, x[4], at)?;
    let slices = [dy, x[3], mask];
    let results = rounds(g, &[dh], &slices, &[x[2], x[5]], !attrs[0].flag(), |g, round| {
        let (y, mask) = (round.slices[1], round.slices[2]);
        let flows = g.add_(round.carries[0], round.slices[0]);
        let dz = match attrs[1].int() {
            0 => {
                let slope = tanh_slope(g, y);
                g.mul(flows, slope)
            }
            1 => {
                let zero = g.number(0.0);
                let up = g.less(zero, y);
                g.where_(up, flows, zero)
            }
            2 => flows,
            _ => {
                let slope = bend(g, y);
                g.mul(flows, slope)
            }
        };
        let dz = kept(g, mask, dz);
        let into = back(g, dz, round.shared[0], round.shared[1], 1, units);
        (vec![g.where_(mask, into, flows)], vec![dz])
    })?;
    Ok(vec![results[1], results[0]])
}
