//! Recurrent layers: rows of the batch do not meet, so a workgroup runs all steps of one. Its state lies
//! in workgroup memory, or where that is too small in the scratch memory that also holds the small
//! operands, of which a kernel could not bind so many.

use super::Rows;
use super::frame::{LANES, Text, steps_with};
use crate::dispatch::{Call, Dispatch, Steps};
use fastnn::error::Result;
use fastnn::ops::recurrence;
use std::fmt::Write;

pub(super) const ROWS: Rows = &[
    (&recurrence::LSTM, lstm),
    (&recurrence::LSTM_GRAD, lstm_grad),
    (&recurrence::GRU, gru),
    (&recurrence::GRU_GRAD, gru_grad),
    (&recurrence::SIMPLE_RNN, simple),
    (&recurrence::SIMPLE_RNN_GRAD, simple_grad),
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
    /// Are weights read with the roles of their axes exchanged?
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

    /// Where each small operand begins, where the last states do, and where the states of all rows do.
    fn places(&self) -> (Vec<usize>, usize, usize) {
        let mut at = 0;
        let mut begins = vec![];
        for (_, k) in self.plan.small {
            begins.push(at);
            at += self.call.inputs[*k].shape.count();
        }
        (begins, at, at + self.plan.last.len() * self.batch * self.units)
    }

    fn gather(&self) -> Option<Dispatch> {
        let mut text = Text::new(self.call, "small operands");
        text.scratch_mut("small", 0, "f32");
        let (mut body, mut most) = (String::new(), 0);
        for ((name, k), at) in self.plan.small.iter().zip(self.places().0) {
            let count = self.call.inputs[*k].shape.count();
            if count == 0 {
                continue;
            }
            text.read(name, *k);
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
    /// part of the state times the weights of a gate: on the way there to unit `j` by what is dropped, on
    /// the way back from the gate's units to unit `j`.
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
        for ((name, k), at) in self.plan.small.iter().zip(self.places().0) {
            let i = if self.call.inputs[*k].shape.rank() == 0 { "0u" } else { "i" };
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

    fn is_empty(&self) -> bool {
        self.batch * self.units == 0
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

fn lstm(call: &Call<'_>) -> Result<Steps> {
    let plan = Plan {
        each: 0,
        weights: 1,
        small: &[("h0", 2), ("c0", 3), ("mask", 4), ("drop", 5)],
        state: 3,
        last: &[(1, LAST), (2, "2u * UNITS")],
        back: false,
    };
    let job = Loop::new(call, &plan);
    if job.is_empty() {
        return Ok(Steps::default());
    }
    let mut text = job.text();
    text.read("z", 0);
    let end = job.writes(
        &mut text,
        &[
            (0, "y", "    y[step * UNITS + j] = h;\n"),
            (
                3,
                "gates",
                "    for (var k = 0u; k < 4u; k++) { gates[(step * 4u + k) * UNITS + j] = g[k]; }\n",
            ),
            (4, "cells", "    cells[step * UNITS + j] = c;\n"),
            (5, "befores", "    befores[step * UNITS + j] = STATE[now + j];\n"),
        ],
    );
    let begin = units(
        "    STATE[j] = h0(row * UNITS + j);
    STATE[2u * UNITS + j] = c0(row * UNITS + j);
",
    );
    let round = TURN.to_string()
        + &units(&format!(
            "    var h = STATE[now + j];
    var c = STATE[2u * UNITS + j];
    var g = vec4<f32>();
    if (counts) {{
        for (var k = 0u; k < 4u; k++) {{ g[k] = z[(step * 4u + k) * UNITS + j] + product(now, k, j); }}
        g = vec4<f32>(math_sigmoid(g.x), math_sigmoid(g.y), math_tanh(g.z), math_sigmoid(g.w));
        c = fma(g.y, c, g.x * g.z);
        h = g.w * math_tanh(c);
    }}
{end}    STATE[then + j] = h;
    STATE[2u * UNITS + j] = c;
"
        ))
        + "    sync();\n";
    Ok(job.steps(text, &begin, &round))
}

fn lstm_grad(call: &Call<'_>) -> Result<Steps> {
    let lone = call.inputs[0].shape.rank() == 0;
    let small = [("dh", 1), ("dc", 2), ("c0", 6), ("mask", 7), ("drop", 8), ("dy", 0)];
    let plan = Plan {
        each: 4,
        weights: 3,
        small: if lone { &small } else { &small[..5] },
        state: 6,
        last: &[(1, "0u"), (2, "UNITS")],
        back: true,
    };
    let job = Loop::new(call, &plan);
    if job.is_empty() {
        return Ok(Steps::default());
    }
    let mut text = job.text();
    text.read("gates", 4).read("cells", 5);
    let dy = flow(&mut text, lone, 0);
    let end = job.writes(
        &mut text,
        &[(0, "dz", "    for (var k = 0u; k < 4u; k++) { dz[(step * 4u + k) * UNITS + j] = d[k]; }\n")],
    );
    let begin = units(
        "    STATE[j] = dh(row * UNITS + j);
    STATE[UNITS + j] = dc(row * UNITS + j);
",
    );
    let earlier = if call.attrs[0].flag() { "step + 1u" } else { "step - 1u" };
    let round = units(&format!(
        "    let own = STATE[j] + {dy};
    var d = vec4<f32>();
    if (counts) {{
        var g = vec4<f32>();
        for (var k = 0u; k < 4u; k++) {{ g[k] = gates[(step * 4u + k) * UNITS + j]; }}
        var old = 0.0f;
        if (n + 1u == STEPS) {{ old = c0(row * UNITS + j); }} else {{ old = cells[({earlier}) * UNITS + j]; }}
        let bent = math_tanh(cells[step * UNITS + j]);
        let flow = fma(own * g.w, 1.0f - bent * bent, STATE[UNITS + j]);
        d = vec4<f32>(
            flow * g.z * g.x * (1.0f - g.x), flow * old * g.y * (1.0f - g.y),
            flow * g.x * (1.0f - g.z * g.z), own * bent * g.w * (1.0f - g.w),
        );
        STATE[UNITS + j] = flow * g.y;
    }}
    STATE[j] = own;
    for (var k = 0u; k < 4u; k++) {{ STATE[(2u + k) * UNITS + j] = d[k]; }}
{end}"
    )) + "    sync();\n"
        + &units(
            "    if (counts) {
        var sum = 0.0f;
        for (var k = 0u; k < 4u; k++) { sum += product((2u + k) * UNITS, k, j); }
        STATE[j] = sum;
    }
",
        )
        + "    sync();\n";
    Ok(job.steps(text, &begin, &round))
}

/// The gradient that comes in at a step, which is operand `k` or one number for all.
fn flow(text: &mut Text<'_>, lone: bool, k: usize) -> &'static str {
    if lone {
        return "dy(0u)";
    }
    text.read("dys", k);
    "dys[step * UNITS + j]"
}

fn gru(call: &Call<'_>) -> Result<Steps> {
    let plan = Plan {
        each: 0,
        weights: 1,
        small: &[("bias", 2), ("h0", 3), ("mask", 4), ("drop", 5)],
        state: 5,
        last: &[(1, LAST)],
        back: false,
    };
    let job = Loop::new(call, &plan);
    if job.is_empty() {
        return Ok(Steps::default());
    }
    let mut text = job.text();
    text.read("z", 0);
    let end = job.writes(
        &mut text,
        &[
            (0, "y", "    y[step * UNITS + j] = h;\n"),
            (
                2,
                "gates",
                "    for (var k = 0u; k < 3u; k++) { gates[(step * 3u + k) * UNITS + j] = g[k]; }\n",
            ),
            (3, "inners", "    inners[step * UNITS + j] = own;\n"),
            (4, "befores", "    befores[step * UNITS + j] = old;\n"),
        ],
    );
    let after = call.attrs[1].flag();
    let begin = units("    STATE[j] = h0(row * UNITS + j);\n");
    // Gates first, with what the candidate's product reads: the state, or what the reset gate leaves of it.
    let first = units(
        "    if (counts) {
        for (var k = 0u; k < 2u; k++) {
            let sum = z[(step * 3u + k) * UNITS + j] + product(now, k, j) + bias(k * UNITS + j);
            STATE[(3u + k) * UNITS + j] = math_sigmoid(sum);
        }
        STATE[2u * UNITS + j] = STATE[4u * UNITS + j] * STATE[now + j];
    }
",
    );
    let candidate = if after {
        "        own = product(now, 2u, j) + bias(2u * UNITS + j);
        let sum = g.y * own;
"
    } else {
        "        own = STATE[2u * UNITS + j] * drop((row * 3u + 2u) * UNITS + j);
        let sum = product(2u * UNITS, 2u, j) + bias(2u * UNITS + j);
"
    };
    let second = units(&format!(
        "    let old = STATE[now + j];
    var h = old;
    var own = 0.0f;
    var g = vec3<f32>();
    if (counts) {{
        g.x = STATE[3u * UNITS + j];
        g.y = STATE[4u * UNITS + j];
{candidate}        g.z = math_tanh(z[(step * 3u + 2u) * UNITS + j] + sum);
        h = fma(g.x, old, (1.0f - g.x) * g.z);
    }}
    STATE[then + j] = h;
{end}"
    ));
    Ok(job.steps(text, &begin, &format!("{TURN}{first}    sync();\n{second}    sync();\n")))
}

fn gru_grad(call: &Call<'_>) -> Result<Steps> {
    let lone = call.inputs[0].shape.rank() == 0;
    let small = [("dh", 1), ("mask", 6), ("drop", 7), ("dy", 0)];
    let plan = Plan {
        each: 3,
        weights: 2,
        small: if lone { &small } else { &small[..3] },
        state: 4,
        last: &[(2, "0u")],
        back: true,
    };
    let job = Loop::new(call, &plan);
    if job.is_empty() {
        return Ok(Steps::default());
    }
    let after = call.attrs[1].flag();
    let mut text = job.text();
    text.read("gates", 3).read("befores", 5);
    if after {
        text.read("inners", 4);
    }
    let dy = flow(&mut text, lone, 0);
    let end = job.writes(
        &mut text,
        &[
            (0, "dz", "    for (var k = 0u; k < 3u; k++) { dz[(step * 3u + k) * UNITS + j] = d[k]; }\n"),
            (1, "ds", "    for (var k = 0u; k < 3u; k++) { ds[(step * 3u + k) * UNITS + j] = e[k]; }\n"),
        ],
    );
    let begin = units("    STATE[j] = dh(row * UNITS + j);\n");
    let gates = "    var g = vec3<f32>();
    var old = 0.0f;
    if (counts) {
        for (var k = 0u; k < 3u; k++) { g[k] = gates[(step * 3u + k) * UNITS + j]; }
        old = befores[step * UNITS + j];
    }
";
    // The gate's gradients in the state: update, reset, and that of the candidate's product.
    let first = format!(
        "{gates}    let own = STATE[j] + {dy};
    let sum = own * (1.0f - g.x) * (1.0f - g.z * g.z);
    STATE[UNITS + j] = own * (old - g.z) * g.x * (1.0f - g.x);
    STATE[3u * UNITS + j] = sum;
    STATE[j] = select(own, own * g.x, counts);
"
    );
    let rest = |gates: &str| {
        units(&format!(
            "    if (counts) {{
        var sum = STATE[j];
        for (var k = 0u; k < {gates}; k++) {{ sum += product((1u + k) * UNITS, k, j); }}
        STATE[j] = sum;
    }}
"
        ))
    };
    let round = if after {
        units(&format!(
            "{first}    var inner = 0.0f;
    if (counts) {{ inner = inners[step * UNITS + j]; }}
    let reset = sum * inner * g.y * (1.0f - g.y);
    STATE[2u * UNITS + j] = reset;
    STATE[3u * UNITS + j] = sum * g.y;
    var d = vec3<f32>(STATE[UNITS + j], reset, sum);
    var e = vec3<f32>(STATE[UNITS + j], reset, sum * g.y);
    if (!counts) {{
        d = vec3<f32>();
        e = vec3<f32>();
    }}
{end}"
        )) + "    sync();\n"
            + &rest("3u")
            + "    sync();\n"
    } else {
        units(&first)
            + "    sync();\n"
            + &units(&format!(
                "{gates}    var d = vec3<f32>();
    if (counts) {{
        let seen = product(3u * UNITS, 2u, j);
        STATE[j] = fma(seen, g.y, STATE[j]);
        STATE[2u * UNITS + j] = seen * old * g.y * (1.0f - g.y);
        d = vec3<f32>(STATE[UNITS + j], STATE[2u * UNITS + j], STATE[3u * UNITS + j]);
    }}
    var e = d;
{end}"
            ))
            + "    sync();\n"
            + &rest("2u")
            + "    sync();\n"
    };
    Ok(job.steps(text, &begin, &round))
}

fn simple(call: &Call<'_>) -> Result<Steps> {
    let plan = Plan {
        each: 0,
        weights: 1,
        small: &[("h0", 2), ("mask", 3), ("drop", 4)],
        state: 2,
        last: &[(1, LAST)],
        back: false,
    };
    let job = Loop::new(call, &plan);
    if job.is_empty() {
        return Ok(Steps::default());
    }
    let mut text = job.text();
    text.read("z", 0);
    let end = job.writes(
        &mut text,
        &[
            (0, "y", "    y[step * UNITS + j] = h;\n"),
            (2, "befores", "    befores[step * UNITS + j] = STATE[now + j];\n"),
        ],
    );
    let activation = match call.attrs[1].int() {
        0 => "math_tanh(sum)",
        1 => "math_relu(sum)",
        2 => "sum",
        _ => "math_sigmoid(sum)",
    };
    let begin = units("    STATE[j] = h0(row * UNITS + j);\n");
    let round = TURN.to_string()
        + &units(&format!(
            "    var h = STATE[now + j];
    if (counts) {{
        let sum = z[step * UNITS + j] + product(now, 0u, j);
        h = {activation};
    }}
{end}    STATE[then + j] = h;
"
        ))
        + "    sync();\n";
    Ok(job.steps(text, &begin, &round))
}

fn simple_grad(call: &Call<'_>) -> Result<Steps> {
    let lone = call.inputs[0].shape.rank() == 0;
    let small = [("dh", 1), ("mask", 4), ("drop", 5), ("dy", 0)];
    let plan = Plan {
        each: 3,
        weights: 2,
        small: if lone { &small } else { &small[..3] },
        state: 2,
        last: &[(1, "0u")],
        back: true,
    };
    let job = Loop::new(call, &plan);
    if job.is_empty() {
        return Ok(Steps::default());
    }
    let mut text = job.text();
    let dy = flow(&mut text, lone, 0);
    let end = job.writes(&mut text, &[(0, "dz", "    dz[step * UNITS + j] = d;\n")]);
    // Of no activation the gradient does not ask for the result.
    let slope = match call.attrs[1].int() {
        0 => "1.0f - h * h",
        1 => "select(0.0f, 1.0f, h > 0.0f)",
        2 => "1.0f",
        _ => "h * (1.0f - h)",
    };
    let h = if call.attrs[1].int() == 2 {
        ""
    } else {
        text.read("ys", 3);
        "        let h = ys[step * UNITS + j];\n"
    };
    let begin = units("    STATE[j] = dh(row * UNITS + j);\n");
    let round = units(&format!(
        "    let own = STATE[j] + {dy};
    var d = 0.0f;
    if (counts) {{
{h}        d = own * ({slope});
    }}
    STATE[j] = own;
    STATE[UNITS + j] = d;
{end}"
    )) + "    sync();\n"
        + &units("    if (counts) { STATE[j] = product(UNITS, 0u, j); }\n")
        + "    sync();\n";
    Ok(job.steps(text, &begin, &round))
}
