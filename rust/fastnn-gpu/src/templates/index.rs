//! Rows that read or write at computed positions. Nothing here fails: bad positions are noted in the
//! row's fault words and moved inside.

use super::Rows;
use super::frame::{Text, steps, steps_with, zeros};
use super::order::Lines;
use crate::dispatch::{Call, Dispatch, Steps};
use crate::text::Cell;
use fastnn::error::Result;
use fastnn::graph::Attr;
use fastnn::ops::{index, rule};
use fastnn::shape::Shape;

pub(super) const ROWS: Rows = &[
    (&index::IOTA, iota),
    (&index::TAKE, take),
    (&index::TAKE_GRAD, take_grad),
    (&index::TAKE_ALONG_AXIS, take_along),
    (&index::TAKE_ALONG_AXIS_GRAD, take_along_grad),
    (&index::CUMSUM, cumsum),
];

/// Notes the first element of operand `k`, whole numbers, for which the condition on `index` holds,
/// and what it is. Later steps, whose numbers are others, leave what was noted as it is.
pub(super) fn check(call: &Call<'_>, k: usize, bad: &str) -> [Option<Dispatch>; 2] {
    let count = call.inputs[k].shape.count();
    let mut find = Text::new(call, "check");
    find.read("indices", k).fault("fault", true);
    let find = find.each(
        count,
        &format!(
            "    let index = indices[i];
    if (({bad}) && atomicLoad(&fault[1]) == 0u) {{ atomicMax(&fault[0], 0xffffffffu - i); }}
"
        ),
    );
    let mut tell = Text::new(call, "check value");
    tell.read("indices", k).fault("fault", false);
    // Only a table without rows has no place for 0, so the second word tells whether one was noted.
    let tell = tell.once(
        "    if (fault[0] != 0u && fault[1] == 0u) {
        fault[1] = bitcast<u32>(indices[0xffffffffu - fault[0]]);
    }\n",
    );
    [find, tell.filter(|_| count > 0)]
}

/// The condition on an index of an axis of `n`, which may count from the end.
fn outside(n: usize) -> String {
    let n = n.min(i32::MAX as usize);
    format!("index < -{n}i || index >= {n}i")
}

/// Defines `position(index)`: counted from the front, inside.
fn positions(text: &mut Text<'_>, n: usize) {
    let n = n.min(i32::MAX as usize).max(1);
    text.define(&format!(
        "fn position(index: i32) -> u32 {{
    return u32(clamp(select(index, index + {n}i, index < 0i), 0i, {n}i - 1i));
}}"
    ));
}

fn iota(call: &Call<'_>) -> Result<Steps> {
    let mut text = Text::new(call, "");
    text.write("y", 0);
    let value = match Cell::of(call.outputs[0].dtype) {
        Cell::Float => "f32(i)",
        Cell::Int => "i32(i)",
        Cell::Truth => "u32(i > 0u)",
    };
    Ok(steps([text.each(call.outputs[0].shape.count(), &format!("    y[i] = {value};\n"))]))
}

/// Sizes before, along and after the indexed axis of a shape; all of it is one axis when left out.
fn around(x: &Shape, axis: &Attr) -> Result<(usize, usize, usize)> {
    Ok(match axis {
        Attr::None => (1, x.count(), 1),
        axis => rule::around(x, x.axis(axis.int(), "take")?),
    })
}

fn take(call: &Call<'_>) -> Result<Steps> {
    let (_, axis, inner) = around(&call.inputs[0].shape, &call.attrs[0])?;
    let [check, tell] = check(call, 1, &outside(axis));
    let count = call.inputs[1].shape.count();
    let out = call.outputs[0].shape.count();
    if call.inputs[0].shape.count() == 0 {
        return Ok(steps([check, tell, zeros(call, 0)]));
    }
    let mut text = Text::new(call, "");
    text.read("x", 0).read("indices", 1).write("y", 0);
    text.sizes(&[("AXIS", axis), ("INNER", inner), ("COUNT", count)]);
    positions(&mut text, axis);
    let body = "    let line = i / INNER;
    let at = position(indices[line % COUNT]);
    y[i] = x[(line / COUNT * AXIS + at) * INNER + i % INNER];
";
    Ok(steps([check, tell, text.each(out, body)]))
}

/// Sums in the order of the indices: their positions are sorted by the row that they name, so that those of
/// one row lie side by side.
fn take_grad(call: &Call<'_>) -> Result<Steps> {
    let (outer, axis, inner) = around(&call.outputs[0].shape, &call.attrs[1])?;
    let [check, tell] = check(call, 1, &outside(axis));
    let count = call.inputs[1].shape.count();
    if outer * axis * inner == 0 || count == 0 {
        return Ok(steps([check, tell, zeros(call, 0)]));
    }
    let bind = |text: &mut Text<'_>| {
        text.read("indices", 1);
        positions(text, axis);
    };
    let key = "fn key(line: u32, p: u32) -> u32 { return position(indices[p]); }";
    let lines = Lines { call, lines: 1, n: count, key, bind: &bind };
    let (sort, at) = lines.sort();
    let mut all = vec![check, tell];
    all.extend(sort);
    let mut none = Text::new(call, "no positions");
    none.scratch_mut("first", 2, "u32");
    all.push(none.each(axis, "    first[i] = 0xffffffffu;\n"));
    let mut begins = Text::new(call, "begins");
    bind(&mut begins);
    begins.scratch("order", at, "u32").scratch_mut("first", 2, "u32");
    all.push(begins.each(
        count,
        "    let row = position(indices[order[i]]);
    if (i == 0u) {
        first[row] = 0u;
    } else if (position(indices[order[i - 1u]]) != row) {
        first[row] = i;
    }
",
    ));
    let mut sums = Text::new(call, "");
    bind(&mut sums);
    sums.read("dy", 0).scratch("order", at, "u32").scratch("first", 2, "u32").write("y", 0);
    sums.sizes(&[("AXIS", axis), ("INNER", inner), ("COUNT", count)]);
    all.push(sums.each(
        outer * axis * inner,
        "    let line = i / INNER;
    let row = line % AXIS;
    let base = line / AXIS * COUNT;
    var sum = 0.0f;
    for (var k = first[row]; k < COUNT; k++) {
        let p = order[k];
        if (position(indices[p]) != row) { break; }
        sum += dy[(base + p) * INNER + i % INNER];
    }
    y[i] = sum;
",
    ));
    let [a, b] = lines.scratch();
    Ok(steps_with(&[a, b, axis], all))
}

fn take_along(call: &Call<'_>) -> Result<Steps> {
    let x = &call.inputs[0].shape;
    let axis = x.axis(call.attrs[0].int(), call.name)?;
    let (_, n, inner) = rule::around(x, axis);
    let [check, tell] = check(call, 1, &outside(n));
    if x.count() == 0 {
        return Ok(steps([check, tell, zeros(call, 0)]));
    }
    let mut text = Text::new(call, "");
    text.read("x", 0).read("indices", 1).write("y", 0);
    text.sizes(&[("N", n), ("INNER", inner), ("COUNT", call.inputs[1].shape.sizes()[axis])]);
    positions(&mut text, n);
    let body = "    y[i] = x[(i / INNER / COUNT * N + position(indices[i])) * INNER + i % INNER];\n";
    Ok(steps([check, tell, text.each(call.outputs[0].shape.count(), body)]))
}

fn take_along_grad(call: &Call<'_>) -> Result<Steps> {
    let out = &call.outputs[0].shape;
    let axis = out.axis(call.attrs[1].int(), call.name)?;
    let (_, n, inner) = rule::around(out, axis);
    let [check, tell] = check(call, 1, &outside(n));
    if call.inputs[1].shape.count() == 0 {
        return Ok(steps([check, tell, zeros(call, 0)]));
    }
    let mut text = Text::new(call, "");
    text.read("dy", 0).read("indices", 1).write("y", 0);
    text.sizes(&[("N", n), ("INNER", inner), ("COUNT", call.inputs[1].shape.sizes()[axis])]);
    positions(&mut text, n);
    let body = "    let base = i / INNER / N * COUNT;
    let own = i / INNER % N;
    var sum = 0.0f;
    for (var k = 0u; k < COUNT; k++) {
        let at = (base + k) * INNER + i % INNER;
        if (position(indices[at]) == own) { sum += dy[at]; }
    }
    y[i] = sum;
";
    Ok(steps([check, tell, text.each(out.count(), body)]))
}

/// Elements of a line that one invocation adds up.
const CHUNK: usize = 256;

/// Long lines are summed in chunks, whose totals are a line of their own.
fn cumsum(call: &Call<'_>) -> Result<Steps> {
    let out = &call.outputs[0];
    let (outer, n, inner) = rule::around(&out.shape, out.shape.axis(call.attrs[0].int(), call.name)?);
    let lines = outer * inner;
    if n * lines == 0 {
        return Ok(Steps::default());
    }
    let cell = Cell::of(out.dtype).name();
    let chunk = if n > 4 * CHUNK { CHUNK } else { n };
    let chunks = n.div_ceil(chunk);
    let constants = [("N", n), ("INNER", inner), ("CHUNK", chunk), ("CHUNKS", chunks)];
    let mut last = Text::new(call, "");
    last.read("x", 0).write("y", 0).sizes(&constants);
    let start = "    let line = i / CHUNKS;
    let begin = i % CHUNKS * CHUNK;
    let start = line / INNER * N * INNER + line % INNER;
";
    let body = |before: &str| {
        format!(
            "{start}    var sum: {cell};
{before}    for (var k = begin; k < min(begin + CHUNK, N); k++) {{
        sum += x[start + k * INNER];
        y[start + k * INNER] = sum;
    }}
"
        )
    };
    if chunks == 1 {
        return Ok(steps([last.each(lines, &body(""))]));
    }
    let mut totals = Text::new(call, "totals");
    totals.read("x", 0).scratch_mut("totals", 0, cell).sizes(&constants);
    let totals = totals.each(
        lines * chunks,
        &format!(
            "{start}    var sum: {cell};
    for (var k = begin; k < min(begin + CHUNK, N); k++) {{ sum += x[start + k * INNER]; }}
    totals[i] = sum;
"
        ),
    );
    let mut before = Text::new(call, "sums of totals");
    before.scratch_mut("totals", 0, cell).size("CHUNKS", chunks);
    let before = before.each(
        lines,
        &format!(
            "    var sum: {cell};
    for (var k = 0u; k < CHUNKS; k++) {{
        let own = totals[i * CHUNKS + k];
        totals[i * CHUNKS + k] = sum;
        sum += own;
    }}
"
        ),
    );
    last.scratch("totals", 0, cell);
    let last = last.each(lines * chunks, &body("    sum = totals[i];\n"));
    Ok(steps_with(&[lines * chunks], [totals, before, last]))
}
