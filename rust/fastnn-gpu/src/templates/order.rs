//! Rows that order values along an axis. Runs are ordered by counting smaller elements, and runs side by
//! side are merged, each element by a search in the other run. Of equal values the first comes first.

use super::Rows;
use super::frame::{Text, steps_with};
use crate::dispatch::{Call, Dispatch, Steps};
use crate::text::Cell;
use fastnn::error::Result;
use fastnn::ops::{order, rule};

pub(super) const ROWS: Rows = &[(&order::SORT, sort), (&order::TOP_K, top_k)];

/// Elements of a run that is ordered by counting.
const RUN: usize = 256;

fn sort(call: &Call<'_>) -> Result<Steps> {
    let shape = &call.inputs[0].shape;
    let extents = rule::around(shape, shape.axis(call.attrs[0].int(), call.name)?);
    Ok(ordered(call, extents, extents.1, false))
}

fn top_k(call: &Call<'_>) -> Result<Steps> {
    let shape = &call.inputs[0].shape;
    let extents = rule::around(shape, shape.rank() - 1);
    Ok(ordered(call, extents, call.attrs[0].int() as usize, true))
}

/// Numbers in the order of the values: NaN is the largest, -0 equals 0.
const FLOAT_KEY: &str = "    if (math_is_nan(x[at])) { return 0xffffffffu; }
    let bits = bitcast<u32>(x[at]);
    if ((bits & 0x7fffffffu) == 0u) { return 0x80000000u; }
    return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
";

/// Lines whose positions are put in order: `lines` of `n`, and the text of a function `key(line: u32, p: u32)`
/// of what is compared, over operands that `bind` gives.
pub(super) struct Lines<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) lines: usize,
    pub(super) n: usize,
    pub(super) key: &'a str,
    pub(super) bind: &'a dyn Fn(&mut Text<'_>),
}

impl<'a> Lines<'a> {
    fn text(&self, variant: &str) -> Text<'a> {
        let mut text = Text::new(self.call, variant);
        (self.bind)(&mut text);
        text.size("N", self.n).define(self.key);
        text.define(
            "fn before(a: u32, p: u32, b: u32, q: u32) -> bool { return a < b || (a == b && p < q); }",
        );
        text
    }

    /// Words of scratch memory 0 and 1.
    pub(super) fn scratch(&self) -> [usize; 2] {
        let count = self.lines * self.n;
        [count, if self.n > RUN { count } else { 1 }]
    }

    /// The dispatches, and in which scratch memory the positions are then.
    pub(super) fn sort(&self) -> (Vec<Option<Dispatch>>, usize) {
        let count = self.lines * self.n;
        let mut runs = self.text("runs");
        runs.scratch_mut("order", 0, "u32").size("RUN", RUN);
        let mut all: Vec<Option<Dispatch>> = vec![runs.each(
            count,
            "    let line = i / N;
    let p = i % N;
    let own = key(line, p);
    let begin = p / RUN * RUN;
    var rank = begin;
    for (var q = begin; q < min(begin + RUN, N); q++) { rank += u32(before(key(line, q), q, own, p)); }
    order[line * N + rank] = p;
",
        )];
        let (mut width, mut at) = (RUN, 0);
        while width < self.n {
            let mut merge = self.text("merge");
            merge.scratch("order", at, "u32").scratch_mut("merged", 1 - at, "u32").size("WIDTH", width);
            all.push(merge.each(
                count,
                "    let line = i / N;
    let slot = i % N;
    let p = order[i];
    let own = key(line, p);
    let run = slot / WIDTH;
    let other = (run ^ 1u) * WIDTH;
    var low = min(other, N);
    var end = min(other + WIDTH, N);
    while (low < end) {
        let middle = (low + end) / 2u;
        let q = order[line * N + middle];
        if (before(key(line, q), q, own, p)) { low = middle + 1u; } else { end = middle; }
    }
    let smaller = low - min(other, N);
    merged[line * N + (run & 0xfffffffeu) * WIDTH + slot % WIDTH + smaller] = p;
",
            ));
            at = 1 - at;
            width *= 2;
        }
        (all, at)
    }
}

/// Writes the first `kept` of each line, smallest first or largest first.
fn ordered(call: &Call<'_>, (outer, n, inner): (usize, usize, usize), kept: usize, falling: bool) -> Steps {
    if outer * n * inner == 0 || kept == 0 {
        return Steps::default();
    }
    let own = match Cell::of(call.inputs[0].dtype) {
        Cell::Float => FLOAT_KEY,
        Cell::Int => "    return bitcast<u32>(x[at]) ^ 0x80000000u;\n",
        Cell::Truth => "    return x[at];\n",
    };
    let key = format!(
        "const INNER = {inner}u;
fn own_key(at: u32) -> u32 {{
{own}}}
fn key(line: u32, p: u32) -> u32 {{
    return {}own_key((line / INNER * N + p) * INNER + line % INNER);
}}",
        if falling { "~" } else { "" }
    );
    let bind = |text: &mut Text<'_>| {
        text.read("x", 0);
    };
    let lines = Lines { call, lines: outer * inner, n, key: &key, bind: &bind };
    let (mut all, at) = lines.sort();
    let mut last = Text::new(call, "");
    last.scratch("order", at, "u32").sizes(&[("N", n), ("INNER", inner), ("KEPT", kept)]);
    let mut body = "    let line = i / KEPT;
    let slot = i % KEPT;
    let p = order[line * N + slot];
    let to = (line / INNER * KEPT + slot) * INNER + line % INNER;
"
    .to_string();
    if call.wanted[0] {
        last.read("x", 0).write("y", 0);
        body += "    y[to] = x[(line / INNER * N + p) * INNER + line % INNER];\n";
    }
    if call.wanted[1] {
        last.write("indices", 1);
        body += "    indices[to] = i32(p);\n";
    }
    all.push(last.each(outer * inner * kept, &body));
    steps_with(&lines.scratch(), all)
}
