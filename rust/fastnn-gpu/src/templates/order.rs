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

/// Writes the first `kept` of each line, smallest first or largest first.
fn ordered(call: &Call<'_>, (outer, n, inner): (usize, usize, usize), kept: usize, falling: bool) -> Steps {
    let count = outer * n * inner;
    if count == 0 || kept == 0 {
        return Steps::default();
    }
    let key = match Cell::of(call.inputs[0].dtype) {
        Cell::Float => FLOAT_KEY,
        Cell::Int => "    return bitcast<u32>(x[at]) ^ 0x80000000u;\n",
        Cell::Truth => "    return x[at];\n",
    };
    // Element `p` of line `line` comes before element `q`.
    let compares = format!(
        "fn own_key(at: u32) -> u32 {{
{key}}}
fn key(line: u32, p: u32) -> u32 {{
    return {}own_key((line / INNER * N + p) * INNER + line % INNER);
}}
fn before(a: u32, p: u32, b: u32, q: u32) -> bool {{ return a < b || (a == b && p < q); }}",
        if falling { "~" } else { "" }
    );
    let text = |variant: &str, reads: bool| {
        let mut text = Text::new(call, variant);
        if reads {
            text.read("x", 0);
        }
        text.sizes(&[("N", n), ("INNER", inner)]);
        text
    };
    let mut runs = text("runs", true);
    runs.scratch_mut("order", 0, "u32").size("RUN", RUN).define(&compares);
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
    while width < n {
        let mut merge = text("merge", true);
        merge.scratch("order", at, "u32").scratch_mut("merged", 1 - at, "u32");
        merge.size("WIDTH", width).define(&compares);
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
    let mut last = text("", call.wanted[0]);
    last.scratch("order", at, "u32").size("KEPT", kept);
    let mut body = "    let line = i / KEPT;
    let slot = i % KEPT;
    let p = order[line * N + slot];
    let to = (line / INNER * KEPT + slot) * INNER + line % INNER;
"
    .to_string();
    if call.wanted[0] {
        last.write("y", 0);
        body += "    y[to] = x[(line / INNER * N + p) * INNER + line % INNER];\n";
    }
    if call.wanted[1] {
        last.write("indices", 1);
        body += "    indices[to] = i32(p);\n";
    }
    all.push(last.each(outer * inner * kept, &body));
    steps_with(&[count, if n > RUN { count } else { 1 }], all)
}
