//! Recurrent layers: what happens from step to step. The products of all steps with the inputs are a
//! `matmul` outside, and so are the gradients of the weights, whose terms are the rows of all steps.
//!
//! `mask` hides steps (the state stays, what is kept of the step is 0); `drop` holds factors of the
//! state on its way into each gate, the same for all steps. Both, the first states and incoming
//! gradients may be one number for all, so that what is not wanted costs nothing. Results lie where
//! their steps do, whatever the direction.

mod equivalent;
mod oracle;

use super::build::Build;
use super::rule::{self, meet};
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Accept, Arg, Attr, Class, Graph, Host, Id, Kind, PartDef, StepCtx, Ty, Vjp};
use crate::kernels::recurrence::{self as kernel, Activation, Spread, Steps};
use crate::shape::{DType, Shape};
use crate::{data_err, shape_err};
use oracle::{gru_back, gru_there, lstm_back, lstm_there, simple_back, simple_there};

const STATE: (f32, f32) = (-1.0, 1.0);
const SUM: (f32, f32) = (-2.0, 2.0);
const GATE: (f32, f32) = (0.1, 0.9);
const TRUTH: (f32, f32) = (0.0, 1.0);
const FACTOR: (f32, f32) = (0.5, 1.5);

/// A part of shape batch, steps, `gates` times units.
macro_rules! each_step {
    ($name:literal, $gates:expr, $sizes:ident, $oracle:ident[$at:literal], $formula:literal) => {
        PartDef {
            name: $name,
            infer: |types, attrs| $sizes(types, attrs)?.each(Dim::new($gates)),
            reference: |x, a, out| Host { ty: out, data: $oracle(x, a).swap_remove($at) },
            formula: $formula,
        }
    };
}

/// A part of shape batch, units.
macro_rules! one_state {
    ($name:literal, $sizes:ident, $oracle:ident[$at:literal], $formula:literal) => {
        PartDef {
            name: $name,
            infer: |types, attrs| $sizes(types, attrs)?.state(),
            reference: |x, a, out| Host { ty: out, data: $oracle(x, a).swap_remove($at) },
            formula: $formula,
        }
    };
}

rows! {
    LSTM = "lstm"("z", "weights", "h0", "c0", "mask", "drop"; reverse: Bool = Attr::Bool(false)) {
        doc: "The states of an LSTM after each step (batch, steps, units), the last state, the last cell, gates, cells and the states before each step. z (batch, steps, 4 units) is what inputs and biases give to the gates input, forget, candidate, output; weights are (units, 4 units); h0, c0 (batch, units), mask (bool, batch, steps) and drop (batch, 4 units) may be scalars.",
        class: Class::Kernel,
        accept: Accept::Exact,
        infer: |types, attrs| lstm_sizes(types, attrs)?.each(Dim::ONE),
        vjp: Vjp::Short { rule: lstm_vjp, results: 3, constant: &[5], equivalent: equivalent::lstm },
        kind: Kind::Kernel,
        reference: |x, a, out| Host { ty: out, data: lstm_there(x, a).swap_remove(0) },
        formula: "lstm(z, weights, h0, c0, mask, drop, reverse)[0]",
        domain: &[SUM, STATE, STATE, STATE, TRUTH, FACTOR],
        smooth: true,
        parts: &[
            one_state!("h", lstm_sizes, lstm_there[1], "lstm(z, weights, h0, c0, mask, drop, reverse)[1]"),
            one_state!("c", lstm_sizes, lstm_there[2], "lstm(z, weights, h0, c0, mask, drop, reverse)[2]"),
            each_step!("gates", 4, lstm_sizes, lstm_there[3], "lstm(z, weights, h0, c0, mask, drop, reverse)[3]"),
            each_step!("cells", 1, lstm_sizes, lstm_there[4], "lstm(z, weights, h0, c0, mask, drop, reverse)[4]"),
            each_step!("before", 1, lstm_sizes, lstm_there[5], "lstm(z, weights, h0, c0, mask, drop, reverse)[5]"),
        ],
    }
    LSTM_GRAD = "lstm_grad"("dy", "dh", "dc", "weights", "gates", "cells", "c0", "mask", "drop"; reverse: Bool = Attr::Bool(false)) {
        doc: "The gradients of an LSTM by z, h0 and c0 from those of its states (batch, steps, units), last state and last cell, each of which may be a scalar, and from what lstm kept.",
        class: Class::Kernel,
        accept: Accept::Exact,
        infer: |types, attrs| lstm_grad_sizes(types, attrs)?.each(Dim::new(4)),
        vjp: Vjp::Through(equivalent::lstm_grad),
        kind: Kind::Kernel,
        reference: |x, a, out| Host { ty: out, data: lstm_back(x, a).swap_remove(0) },
        formula: "lstm_grad(dy, dh, dc, weights, gates, cells, c0, mask, drop, reverse)[0]",
        domain: &[SUM, SUM, SUM, STATE, GATE, STATE, STATE, TRUTH, FACTOR],
        smooth: true,
        parts: &[
            one_state!("dh0", lstm_grad_sizes, lstm_back[1], "lstm_grad(dy, dh, dc, weights, gates, cells, c0, mask, drop, reverse)[1]"),
            one_state!("dc0", lstm_grad_sizes, lstm_back[2], "lstm_grad(dy, dh, dc, weights, gates, cells, c0, mask, drop, reverse)[2]"),
        ],
    }
    GRU = "gru"("z", "weights", "bias", "h0", "mask", "drop"; reverse: Bool = Attr::Bool(false), reset_after: Bool = Attr::Bool(true)) {
        doc: "The states of a GRU after each step (batch, steps, units), the last state, gates, the other factor of the reset gate (or, with reset_after=False, the product of both) and the states before each step. z (batch, steps, 3 units) is what inputs and biases give to the gates update, reset, candidate; weights are (units, 3 units); bias (3 units) is added to products with the state; bias, h0 (batch, units), mask (bool, batch, steps) and drop (batch, 3 units) may be scalars.",
        class: Class::Kernel,
        accept: Accept::Exact,
        infer: |types, attrs| gru_sizes(types, attrs)?.each(Dim::ONE),
        vjp: Vjp::Short { rule: gru_vjp, results: 2, constant: &[5], equivalent: equivalent::gru },
        kind: Kind::Kernel,
        reference: |x, a, out| Host { ty: out, data: gru_there(x, a).swap_remove(0) },
        formula: "gru(z, weights, bias, h0, mask, drop, reverse, reset_after)[0]",
        domain: &[SUM, STATE, STATE, STATE, TRUTH, FACTOR],
        smooth: true,
        parts: &[
            one_state!("h", gru_sizes, gru_there[1], "gru(z, weights, bias, h0, mask, drop, reverse, reset_after)[1]"),
            each_step!("gates", 3, gru_sizes, gru_there[2], "gru(z, weights, bias, h0, mask, drop, reverse, reset_after)[2]"),
            each_step!("inner", 1, gru_sizes, gru_there[3], "gru(z, weights, bias, h0, mask, drop, reverse, reset_after)[3]"),
            each_step!("before", 1, gru_sizes, gru_there[4], "gru(z, weights, bias, h0, mask, drop, reverse, reset_after)[4]"),
        ],
    }
    GRU_GRAD = "gru_grad"("dy", "dh", "weights", "gates", "inner", "before", "mask", "drop"; reverse: Bool = Attr::Bool(false), reset_after: Bool = Attr::Bool(true)) {
        doc: "The gradients of a GRU by z, by its products with the state and by h0, from those of its states (batch, steps, units) and last state, each of which may be a scalar, and from what gru kept.",
        class: Class::Kernel,
        accept: Accept::Exact,
        infer: |types, attrs| gru_grad_sizes(types, attrs)?.each(Dim::new(3)),
        vjp: Vjp::Through(equivalent::gru_grad),
        kind: Kind::Kernel,
        reference: |x, a, out| Host { ty: out, data: gru_back(x, a).swap_remove(0) },
        formula: "gru_grad(dy, dh, weights, gates, inner, before, mask, drop, reverse, reset_after)[0]",
        domain: &[SUM, SUM, STATE, GATE, STATE, STATE, TRUTH, FACTOR],
        smooth: true,
        parts: &[
            each_step!("ds", 3, gru_grad_sizes, gru_back[1], "gru_grad(dy, dh, weights, gates, inner, before, mask, drop, reverse, reset_after)[1]"),
            one_state!("dh0", gru_grad_sizes, gru_back[2], "gru_grad(dy, dh, weights, gates, inner, before, mask, drop, reverse, reset_after)[2]"),
        ],
    }
    SIMPLE_RNN = "simple_rnn"("z", "weights", "h0", "mask", "drop"; reverse: Bool = Attr::Bool(false), activation: Int = Attr::Int(0)) {
        doc: "The states h = f(z + h weights) after each step (batch, steps, units), the last state and the states before each step. z (batch, steps, units) is what inputs and biases give, weights are (units, units); h0 (batch, units), mask (bool, batch, steps) and drop (batch, units) may be scalars; activation 0 is tanh, 1 relu, 2 none, 3 sigmoid.",
        class: Class::Kernel,
        accept: Accept::Exact,
        infer: |types, attrs| simple_sizes(types, attrs)?.each(Dim::ONE),
        vjp: Vjp::Short { rule: simple_vjp, results: 2, constant: &[4], equivalent: equivalent::simple },
        kind: Kind::Kernel,
        reference: |x, a, out| Host { ty: out, data: simple_there(x, a).swap_remove(0) },
        formula: "simple_rnn(z, weights, h0, mask, drop, reverse, activation)[0]",
        domain: &[SUM, STATE, STATE, TRUTH, FACTOR],
        smooth: true,
        parts: &[
            one_state!("h", simple_sizes, simple_there[1], "simple_rnn(z, weights, h0, mask, drop, reverse, activation)[1]"),
            each_step!("before", 1, simple_sizes, simple_there[2], "simple_rnn(z, weights, h0, mask, drop, reverse, activation)[2]"),
        ],
    }
    SIMPLE_RNN_GRAD = "simple_rnn_grad"("dy", "dh", "weights", "y", "mask", "drop"; reverse: Bool = Attr::Bool(false), activation: Int = Attr::Int(0)) {
        doc: "The gradients of simple_rnn by z and h0 from those of its states y (batch, steps, units) and last state, each of which may be a scalar.",
        class: Class::Kernel,
        accept: Accept::Exact,
        infer: |types, attrs| simple_grad_sizes(types, attrs)?.each(Dim::ONE),
        vjp: Vjp::Through(equivalent::simple_grad),
        kind: Kind::Kernel,
        reference: |x, a, out| Host { ty: out, data: simple_back(x, a).swap_remove(0) },
        formula: "simple_rnn_grad(dy, dh, weights, y, mask, drop, reverse, activation)[0]",
        domain: &[SUM, SUM, STATE, GATE, TRUTH, FACTOR],
        smooth: true,
        parts: &[
            one_state!("dh0", simple_grad_sizes, simple_back[1], "simple_rnn_grad(dy, dh, weights, y, mask, drop, reverse, activation)[1]"),
        ],
    }
}

/// The sizes of a recurrence.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    batch: Dim,
    steps: Dim,
    units: Dim,
}

impl Sizes {
    /// Of a row whose operand `arg` holds `gates` numbers a unit for each step.
    fn new(name: &str, arg: &str, each: Ty, weights: Ty, gates: i64) -> Result<Sizes> {
        rule::typed(name, arg, each, DType::F32)?;
        rule::typed(name, "weights", weights, DType::F32)?;
        let (&[batch, steps, wide], &[units, out]) = (each.shape.dims(), weights.shape.dims()) else {
            return shape_err!(
                "{name}: {arg} is {each} and weights are {weights}, wanted (batch, steps, {gates} units) and (units, {gates} units)\n  hint: expand_dims adds an axis"
            );
        };
        let all = Dim::new(gates) * units;
        if out.meet(all).is_none() {
            return shape_err!(
                "{name}: weights are {weights}, wanted {gates} columns for each of their {units} rows, {all}\n  hint: one block of columns per gate"
            );
        }
        if wide.meet(all).is_none() {
            return shape_err!(
                "{name}: {arg} is {each} for weights of {units} units, wanted {all} numbers a step\n  hint: the inputs' kernel has as many columns as weights"
            );
        }
        Ok(Sizes { batch, steps, units })
    }

    fn each(&self, gates: Dim) -> Result<Ty> {
        Ok(Ty::f32(Shape::new(&[self.batch, self.steps, gates * self.units])?))
    }

    fn state(&self) -> Result<Ty> {
        Ok(Ty::f32(Shape::new(&[self.batch, self.units])?))
    }

    /// Rejects an operand that is neither a scalar nor a state.
    fn is_state(&self, name: &str, arg: &str, ty: Ty) -> Result<()> {
        spread(name, arg, ty, DType::F32, &[self.batch, self.units])
    }

    fn is_each(&self, name: &str, arg: &str, ty: Ty) -> Result<()> {
        spread(name, arg, ty, DType::F32, &[self.batch, self.steps, self.units])
    }

    fn is_full(&self, name: &str, arg: &str, ty: Ty) -> Result<()> {
        full(name, arg, ty, &[self.batch, self.steps, self.units])
    }

    fn is_mask_and_drop(&self, name: &str, mask: Ty, drop: Ty, gates: i64) -> Result<()> {
        spread(name, "mask", mask, DType::Bool, &[self.batch, self.steps])?;
        spread(name, "drop", drop, DType::F32, &[self.batch, Dim::new(gates) * self.units])
    }
}

fn shown(dims: &[Dim]) -> String {
    dims.iter().map(Dim::to_string).collect::<Vec<_>>().join(", ")
}

fn spread(name: &str, arg: &str, ty: Ty, dtype: DType, dims: &[Dim]) -> Result<()> {
    rule::typed(name, arg, ty, dtype)?;
    if ty.shape.rank() == 0 || meet(ty.shape.dims(), dims).is_some() {
        return Ok(());
    }
    shape_err!(
        "{name}: {arg} is {ty}, wanted ({}) or a scalar\n  hint: one row per row of the batch",
        shown(dims)
    )
}

fn full(name: &str, arg: &str, ty: Ty, dims: &[Dim]) -> Result<()> {
    rule::typed(name, arg, ty, DType::F32)?;
    if meet(ty.shape.dims(), dims).is_some() {
        return Ok(());
    }
    shape_err!("{name}: {arg} is {ty}, wanted ({})\n  hint: give what the forward pass kept", shown(dims))
}

fn lstm_sizes(x: &[Ty], _: &[Attr]) -> Result<Sizes> {
    rule::arity("lstm", x, 6)?;
    let sizes = Sizes::new("lstm", "z", x[0], x[1], 4)?;
    sizes.is_state("lstm", "h0", x[2])?;
    sizes.is_state("lstm", "c0", x[3])?;
    sizes.is_mask_and_drop("lstm", x[4], x[5], 4)?;
    Ok(sizes)
}

fn lstm_grad_sizes(x: &[Ty], _: &[Attr]) -> Result<Sizes> {
    let name = "lstm_grad";
    rule::arity(name, x, 9)?;
    let sizes = Sizes::new(name, "gates", x[4], x[3], 4)?;
    sizes.is_each(name, "dy", x[0])?;
    sizes.is_state(name, "dh", x[1])?;
    sizes.is_state(name, "dc", x[2])?;
    sizes.is_full(name, "cells", x[5])?;
    sizes.is_state(name, "c0", x[6])?;
    sizes.is_mask_and_drop(name, x[7], x[8], 4)?;
    Ok(sizes)
}

fn gru_sizes(x: &[Ty], _: &[Attr]) -> Result<Sizes> {
    rule::arity("gru", x, 6)?;
    let sizes = Sizes::new("gru", "z", x[0], x[1], 3)?;
    spread("gru", "bias", x[2], DType::F32, &[Dim::new(3) * sizes.units])?;
    sizes.is_state("gru", "h0", x[3])?;
    sizes.is_mask_and_drop("gru", x[4], x[5], 3)?;
    Ok(sizes)
}

fn gru_grad_sizes(x: &[Ty], _: &[Attr]) -> Result<Sizes> {
    let name = "gru_grad";
    rule::arity(name, x, 8)?;
    let sizes = Sizes::new(name, "gates", x[3], x[2], 3)?;
    sizes.is_each(name, "dy", x[0])?;
    sizes.is_state(name, "dh", x[1])?;
    sizes.is_full(name, "inner", x[4])?;
    sizes.is_full(name, "before", x[5])?;
    sizes.is_mask_and_drop(name, x[6], x[7], 3)?;
    Ok(sizes)
}

fn activation(name: &str, attr: &Attr) -> Result<Activation> {
    match attr.int() {
        0 => Ok(Activation::Tanh),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::Linear),
        3 => Ok(Activation::Sigmoid),
        other => data_err!(
            "{name}: activation is {other}, wanted 0 (tanh), 1 (relu), 2 (none) or 3 (sigmoid)\n  hint: scan runs any cell"
        ),
    }
}

fn simple_sizes(x: &[Ty], attrs: &[Attr]) -> Result<Sizes> {
    rule::arity("simple_rnn", x, 5)?;
    activation("simple_rnn", &attrs[1])?;
    let sizes = Sizes::new("simple_rnn", "z", x[0], x[1], 1)?;
    sizes.is_state("simple_rnn", "h0", x[2])?;
    sizes.is_mask_and_drop("simple_rnn", x[3], x[4], 1)?;
    Ok(sizes)
}

fn simple_grad_sizes(x: &[Ty], attrs: &[Attr]) -> Result<Sizes> {
    let name = "simple_rnn_grad";
    rule::arity(name, x, 6)?;
    activation(name, &attrs[1])?;
    let sizes = Sizes::new(name, "y", x[3], x[2], 1)?;
    sizes.is_each(name, "dy", x[0])?;
    sizes.is_state(name, "dh", x[1])?;
    sizes.is_mask_and_drop(name, x[4], x[5], 1)?;
    Ok(sizes)
}

/// Columns of gates on the last axis.
fn gates_of(g: &mut Graph, x: Id, from: i64, to: i64, units: Dim) -> Id {
    let dims = g.shape_of(x).dims().to_vec();
    let (mut begin, mut end) = (vec![Dim::ZERO; dims.len()], dims);
    let last = begin.len() - 1;
    (begin[last], end[last]) = (Dim::new(from) * units, Dim::new(to) * units);
    let step = Attr::Ints(vec![1; last + 1]);
    g.build(&super::movement::SLICE, &[x], &[Attr::Sizes(begin), Attr::Sizes(end), step])
}

/// The gradient of the weights: states before each step, as each gate saw them, times the gradients
/// of the gates' sums, over all steps.
fn weights_grad(g: &mut Graph, before: Id, dz: Id, drop: Id, gates: i64) -> Id {
    let units = g.shape_of(before).dims()[2];
    let rows = g.rows_of(dz);
    if g.shape_of(drop).rank() == 0 {
        let seen = g.mul(before, drop);
        let seen = g.rows_of(seen);
        return g.matmul(seen, rows, true, false);
    }
    let parts: Vec<Id> = (0..gates)
        .map(|gate| {
            let own = gates_of(g, drop, gate, gate + 1, units);
            let own = g.expand_dims(own, 1);
            let seen = g.mul(before, own);
            let (seen, dz) = (g.rows_of(seen), gates_of(g, rows, gate, gate + 1, units));
            g.matmul(seen, dz, true, false)
        })
        .collect();
    g.build(&super::movement::CONCATENATE, &parts, &[Attr::Int(1)])
}

/// The gradients of results, 0 where none flows.
fn flows(g: &mut Graph, dys: &[Option<Id>], count: usize) -> Vec<Id> {
    (0..count).map(|k| dys[k].unwrap_or_else(|| g.number(0.0))).collect()
}

/// A gradient in full as that of an operand that may be one number for all.
fn narrowed(g: &mut Graph, full: Id, operand: Id) -> Option<Id> {
    let shape = g.shape_of(operand);
    Some(g.unbroadcast(full, &shape))
}

fn lstm_vjp(g: &mut Graph, y: Id, x: &[Id], dys: &[Option<Id>]) -> Vec<Option<Id>> {
    let reverse = g.node(y).attrs[0].clone();
    let flows = flows(g, dys, 3);
    let (gates, cells, before) = (g.part(y, 3), g.part(y, 4), g.part(y, 5));
    let inputs = [flows[0], flows[1], flows[2], x[1], gates, cells, x[3], x[4], x[5]];
    let dz = g.build(&LSTM_GRAD, &inputs, &[reverse]);
    let (dh0, dc0) = (g.part(dz, 1), g.part(dz, 2));
    let dw = weights_grad(g, before, dz, x[5], 4);
    vec![Some(dz), Some(dw), narrowed(g, dh0, x[2]), narrowed(g, dc0, x[3]), None, None]
}

fn gru_vjp(g: &mut Graph, y: Id, x: &[Id], dys: &[Option<Id>]) -> Vec<Option<Id>> {
    let attrs = g.node(y).attrs.clone();
    let flows = flows(g, dys, 2);
    let (gates, inner, before) = (g.part(y, 2), g.part(y, 3), g.part(y, 4));
    let inputs = [flows[0], flows[1], x[1], gates, inner, before, x[4], x[5]];
    let dz = g.build(&GRU_GRAD, &inputs, &attrs);
    let (ds, dh0) = (g.part(dz, 1), g.part(dz, 2));
    let dw = if attrs[1].flag() {
        weights_grad(g, before, ds, x[5], 3)
    } else {
        // The candidate's product reads the gated state.
        let units = g.shape_of(before).dims()[2];
        let drop = match g.shape_of(x[5]).rank() {
            0 => x[5],
            _ => gates_of(g, x[5], 0, 2, units),
        };
        let sums = gates_of(g, dz, 0, 2, units);
        let left = weights_grad(g, before, sums, drop, 2);
        let (seen, sums) = (g.rows_of(inner), gates_of(g, dz, 2, 3, units));
        let sums = g.rows_of(sums);
        let right = g.matmul(seen, sums, true, false);
        g.build(&super::movement::CONCATENATE, &[left, right], &[Attr::Int(1)])
    };
    let dbias = narrowed(g, ds, x[2]);
    vec![Some(dz), Some(dw), dbias, narrowed(g, dh0, x[3]), None, None]
}

fn simple_vjp(g: &mut Graph, y: Id, x: &[Id], dys: &[Option<Id>]) -> Vec<Option<Id>> {
    let attrs = g.node(y).attrs.clone();
    let flows = flows(g, dys, 2);
    let before = g.part(y, 2);
    let dz = g.build(&SIMPLE_RNN_GRAD, &[flows[0], flows[1], x[1], y, x[3], x[4]], &attrs);
    let dh0 = g.part(dz, 1);
    let dw = weights_grad(g, before, dz, x[4], 1);
    vec![Some(dz), Some(dw), narrowed(g, dh0, x[2]), None, None]
}

fn of(arg: &Arg) -> Spread {
    Spread { ptr: arg.floats(), lone: arg.ty.shape.rank() == 0 }
}

/// Sizes by an operand with `gates` numbers a unit for each step.
fn steps(ctx: &StepCtx<'_>, each: usize, weights: usize, mask: usize) -> Steps {
    let (x, sizes) = (ctx.inputs, ctx.inputs[each].ty.shape.sizes());
    Steps {
        batch: sizes[0],
        steps: sizes[1],
        units: x[weights].ty.shape.sizes()[0],
        reverse: ctx.attrs[0].flag(),
        weights: x[weights].floats(),
        mask: of(&x[mask]),
        drop: of(&x[mask + 1]),
    }
}

pub(crate) fn lstm_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (x, part) = (ctx.inputs, |k: usize| ctx.parts[k].floats());
    let call = kernel::Lstm {
        job: steps(ctx, 0, 1, 4),
        z: x[0].floats(),
        h0: of(&x[2]),
        c0: of(&x[3]),
        y: ctx.output.floats(),
        h: part(0),
        c: part(1),
        gates: part(2),
        cells: part(3),
        before: part(4),
    };
    // SAFETY: the executor hands steps buffers that cover their types, or null for unread results;
    // the rule saw that the sizes fit. Likewise below.
    unsafe { kernel::lstm(ctx.isa, &call) };
    Ok(())
}

pub(crate) fn lstm_grad_step(ctx: &StepCtx<'_>) -> Result<()> {
    let x = ctx.inputs;
    let call = kernel::LstmGrad {
        job: steps(ctx, 4, 3, 7),
        dy: of(&x[0]),
        dh: of(&x[1]),
        dc: of(&x[2]),
        gates: x[4].floats(),
        cells: x[5].floats(),
        c0: of(&x[6]),
        dz: ctx.output.floats(),
        dh0: ctx.parts[0].floats(),
        dc0: ctx.parts[1].floats(),
    };
    // SAFETY: as for lstm.
    unsafe { kernel::lstm_grad(ctx.isa, &call) };
    Ok(())
}

pub(crate) fn gru_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (x, part) = (ctx.inputs, |k: usize| ctx.parts[k].floats());
    let call = kernel::Gru {
        job: steps(ctx, 0, 1, 4),
        reset_after: ctx.attrs[1].flag(),
        z: x[0].floats(),
        bias: of(&x[2]),
        h0: of(&x[3]),
        y: ctx.output.floats(),
        h: part(0),
        gates: part(1),
        inner: part(2),
        before: part(3),
    };
    // SAFETY: as for lstm.
    unsafe { kernel::gru(ctx.isa, &call) };
    Ok(())
}

pub(crate) fn gru_grad_step(ctx: &StepCtx<'_>) -> Result<()> {
    let x = ctx.inputs;
    let call = kernel::GruGrad {
        job: steps(ctx, 3, 2, 6),
        reset_after: ctx.attrs[1].flag(),
        dy: of(&x[0]),
        dh: of(&x[1]),
        gates: x[3].floats(),
        inner: x[4].floats(),
        before: x[5].floats(),
        dz: ctx.output.floats(),
        ds: ctx.parts[0].floats(),
        dh0: ctx.parts[1].floats(),
    };
    // SAFETY: as for lstm.
    unsafe { kernel::gru_grad(ctx.isa, &call) };
    Ok(())
}

pub(crate) fn simple_step(ctx: &StepCtx<'_>) -> Result<()> {
    let x = ctx.inputs;
    let call = kernel::Simple {
        job: steps(ctx, 0, 1, 3),
        activation: activation("simple_rnn", &ctx.attrs[1])?,
        z: x[0].floats(),
        h0: of(&x[2]),
        y: ctx.output.floats(),
        h: ctx.parts[0].floats(),
        before: ctx.parts[1].floats(),
    };
    // SAFETY: as for lstm.
    unsafe { kernel::simple(ctx.isa, &call) };
    Ok(())
}

pub(crate) fn simple_grad_step(ctx: &StepCtx<'_>) -> Result<()> {
    let x = ctx.inputs;
    let call = kernel::SimpleGrad {
        job: steps(ctx, 3, 2, 4),
        activation: activation("simple_rnn_grad", &ctx.attrs[1])?,
        dy: of(&x[0]),
        dh: of(&x[1]),
        y: x[3].floats(),
        dz: ctx.output.floats(),
        dh0: ctx.parts[0].floats(),
    };
    // SAFETY: as for lstm.
    unsafe { kernel::simple_grad(ctx.isa, &call) };
    Ok(())
}
