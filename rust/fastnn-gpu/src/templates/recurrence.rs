//! Recurrent layers: rows of the batch do not meet, so a workgroup runs all steps of one. Its state lies
//! in workgroup memory, or where that is too small in the scratch memory that also holds the small
//! operands, of which a kernel could not bind so many.

mod gru;
mod lstm;
mod simple;

use super::Rows;
use super::frame::{LANES, Text, steps_with};
use crate::dispatch::{Call, Dispatch, Steps};
use fastnn::error::Result;
use fastnn::ops::recurrence;
use std::fmt::Write;

pub(super) const ROWS: Rows = &[
    (&recurrence::LSTM, lstm::lstm),
    (&recurrence::LSTM_GRAD, lstm::lstm_grad),
    (&recurrence::GRU, gru::gru),
    (&recurrence::GRU_GRAD, gru::gru_grad),
    (&recurrence::SIMPLE_RNN, simple::simple),
    (&recurrence::SIMPLE_RNN_GRAD, simple::simple_grad),
];

/// What a recurrence is made of.
struct Plan<'a> {
    /// An operand with numbers for each step, the weights.
    each: usize,
    weights: usize,
    /// Operands that are gathered, each of which may be one number for all.
    small: &'a [(&'static str, usize)],
    /// Numbers of the state per unit.
    state: usize,
    /// Results that are states after the last step: number, and its place in the state as text.
    last: &'a [(usize, &'a str)],
    /// Is it the backward pass? Then weights are read with the roles of their axes exchanged, and operand 0 is
    /// the gradient that comes in at each step, or one number for all.
    back: bool,
}

struct Loop<'a> {
    call: &'a Call<'a>,
    plan: &'a Plan<'a>,
    batch: usize,
    steps: usize,
    units: usize,
    gates: usize,
    lanes: u32,
}

impl<'a> Loop<'a> {
    fn new(call: &'a Call<'a>, plan: &'a Plan<'a>) -> Loop<'a> {
        let (sizes, wide) = (call.inputs[plan.each].shape.sizes(), call.inputs[plan.weights].shape.sizes());
        let (units, gates) = (wide[0], wide[1].checked_div(wide[0]).unwrap_or(0));
        let lanes = (units.next_power_of_two() as u32).clamp(32, LANES);
        Loop { call, plan, batch: sizes[0], steps: sizes[1], units, gates, lanes }
    }

    /// Does the state fit into workgroup memory?
    fn shared(&self) -> bool {
        4 * self.plan.state * self.units <= self.call.limits.workgroup_bytes
    }

    /// Is what comes in at each step one number for all?
    fn lone(&self) -> bool {
        self.plan.back && self.call.inputs[0].shape.rank() == 0
    }

    /// The operands that are gathered.
    fn small(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let flow = if self.lone() { Some(("dy", 0)) } else { None };
        self.plan.small.iter().copied().chain(flow)
    }

    /// What comes in at a step, as text.
    fn flow(&self, text: &mut Text<'_>) -> &'static str {
        if self.lone() {
            return "dy(0u)";
        }
        text.read("dys", 0);
        "dys[step * UNITS + j]"
    }

    /// Where each small operand begins, where the last states do, and where the states of all rows do.
    fn places(&self) -> (Vec<usize>, usize, usize) {
        let mut at = 0;
        let mut begins = vec![];
        for (_, k) in self.small() {
            begins.push(at);
            at += self.call.inputs[k].shape.count();
        }
        (begins, at, at + self.plan.last.len() * self.batch * self.units)
    }

    fn gather(&self) -> Option<Dispatch> {
        let mut text = Text::new(self.call, "small operands");
        text.scratch_mut("small", 0, "f32");
        let (mut body, mut most) = (String::new(), 0);
        for ((name, k), at) in self.small().zip(self.places().0) {
            let count = self.call.inputs[k].shape.count();
            if count == 0 {
                continue;
            }
            text.read(name, k);
            let _ = writeln!(body, "    if (i < {count}u) {{ small[{at}u + i] = f32({name}[i]); }}");
            most = most.max(count);
        }
        text.each(most, &body)
    }

    /// Weights with the units that they lead from as the last axis.
    fn exchange(&self) -> Option<Dispatch> {
        let mut text = Text::new(self.call, "weights");
        text.read("w", self.plan.weights).scratch_mut("exchanged", 1, "f32");
        text.sizes(&[("UNITS", self.units), ("WIDE", self.gates * self.units)]);
        text.each(
            self.gates * self.units * self.units,
            "    exchanged[i] = w[i % UNITS * WIDE + i / UNITS];\n",
        )
    }

    /// A kernel whose functions read the small operands, and which has `product(from, gate, j)`, the sum of a
    /// part of the state times the weights of a gate: in the forward pass to unit `j` by what is dropped,
    /// in the backward pass from the gate's units to unit `j`.
    fn text(&self) -> Text<'a> {
        let mut text = Text::new(self.call, "");
        text.scratch_mut("small", 0, "f32");
        if self.plan.back {
            text.scratch("w", 1, "f32");
        } else {
            text.read("w", self.plan.weights);
        }
        text.sizes(&[
            ("BATCH", self.batch),
            ("STEPS", self.steps),
            ("UNITS", self.units),
            ("GATES", self.gates),
            ("STEP", self.lanes as usize),
        ]);
        let mut own = String::from("var<private> base: u32;\nvar<private> batch_row: u32;\n");
        for ((name, k), at) in self.small().zip(self.places().0) {
            let i = if self.call.inputs[k].shape.rank() == 0 { "0u" } else { "i" };
            let _ = writeln!(own, "fn {name}(i: u32) -> f32 {{ return small[{at}u + {i}]; }}");
        }
        own += if self.shared() {
            "fn sync() { workgroupBarrier(); }\n"
        } else {
            "fn sync() { storageBarrier(); }\n"
        };
        own += if self.plan.back {
            "fn product(begin: u32, gate: u32, j: u32) -> f32 {
    var sum = 0.0f;
    for (var k = 0u; k < UNITS; k++) {
        sum = fma(STATE[begin + k], w[(gate * UNITS + k) * UNITS + j], sum);
    }
    return sum * drop((batch_row * GATES + gate) * UNITS + j);
}"
        } else {
            "fn product(begin: u32, gate: u32, j: u32) -> f32 {
    var sum = 0.0f;
    let at = (batch_row * GATES + gate) * UNITS;
    for (var k = 0u; k < UNITS; k++) {
        sum = fma(STATE[begin + k] * drop(at + k), w[(k * GATES + gate) * UNITS + j], sum);
    }
    return sum;
}"
        };
        if self.shared() {
            text.share("state", "f32", self.plan.state * self.units);
        }
        text.define(&self.placed(&own));
        text
    }

    /// The text with `STATE[k]` as the row's number `k`.
    fn placed(&self, text: &str) -> String {
        text.replace("STATE[", if self.shared() { "state[" } else { "small[base + " })
    }

    /// All of it: `begin` fills the state, `round` is a step.
    fn steps(&self, text: Text<'a>, begin: &str, round: &str) -> Steps {
        let (_, last, states) = self.places();
        let (batch, units) = (self.batch, self.units);
        let reverse = self.call.attrs[0].flag() != self.plan.back;
        let order = |n: &str| if reverse { format!("STEPS - 1u - {n}") } else { n.to_string() };
        let mut body = format!(
            "    batch_row = row;
    base = {states}u + row * {}u;
{begin}    sync();
    for (var n = 0u; n < STEPS; n++) {{
    let t = {};
    let step = row * STEPS + t;
    let counts = mask(step) != 0.0f;
{round}    }}
",
            self.plan.state * units,
            order("n"),
        );
        let mut copies = vec![];
        for (at, (k, place)) in self.plan.last.iter().enumerate() {
            if !self.call.wanted[*k] {
                continue;
            }
            let first = last + at * batch * units;
            let _ = writeln!(
                body,
                "    for (var j = lane; j < UNITS; j += STEP) {{ small[{first}u + row * UNITS + j] = STATE[{place} + j]; }}"
            );
            let mut copy = Text::new(self.call, "last");
            copy.scratch("small", 0, "f32").write("y", *k);
            copies.push(copy.each(batch * units, &format!("    y[i] = small[{first}u + i];\n")));
        }
        let main = text.groups(batch, self.lanes, &self.placed(&body));
        let weights = if self.plan.back { self.gates * units * units } else { 1 };
        let words = states + if self.shared() { 0 } else { batch * self.plan.state * units };
        let mut all = vec![self.gather(), self.exchange().filter(|_| self.plan.back), main];
        all.extend(copies);
        steps_with(&[words, weights], all)
    }

    /// Statements that write results that somebody reads and that have elements.
    fn writes(&self, text: &mut Text<'_>, all: &[(usize, &str, &str)]) -> String {
        let mut end = String::new();
        for (k, name, statement) in all {
            if self.call.wanted[*k] && self.call.outputs[*k].shape.count() > 0 {
                text.write(name, *k);
                end += statement;
            }
        }
        end
    }
}

/// A loop over the units that a lane has.
fn units(statements: &str) -> String {
    format!("    for (var j = lane; j < UNITS; j += STEP) {{\n{statements}    }}\n")
}

/// Where the state of a step lies and where that after it goes: two places in turn.
const TURN: &str = "    let now = (n & 1u) * UNITS;\n    let then = UNITS - now;\n";

/// Where the state is after the last step.
const LAST: &str = "(STEPS & 1u) * UNITS";

/// The dispatches of a recurrence. `make` binds what a round reads and writes, and gives the statements
/// that begin the state and those of a round.
fn looped<'a>(
    call: &'a Call<'a>,
    plan: &'a Plan<'a>,
    make: impl FnOnce(&Loop<'a>, &mut Text<'a>) -> [String; 2],
) -> Result<Steps> {
    let job = Loop::new(call, plan);
    if job.batch * job.units == 0 {
        return Ok(Steps::default());
    }
    let mut text = job.text();
    let [begin, round] = make(&job, &mut text);
    Ok(job.steps(text, &begin, &round))
}
