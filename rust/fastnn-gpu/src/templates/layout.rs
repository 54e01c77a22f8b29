//! Rows that place elements: padding, joining, windows at computed places.

use super::Rows;
use super::frame::{Text, literal, steps, unravel};
use crate::dispatch::{Call, Steps};
use fastnn::error::Result;
use fastnn::ops::{movement, reduce, rule, window};
use fastnn::shape::Shape;
use std::fmt::Write;

pub(super) const ROWS: Rows = &[
    (&reduce::EXTENT, extent),
    (&movement::PAD, pad),
    (&movement::UNSLICE, unslice),
    (&movement::CONCATENATE, concatenate),
    (&window::DYNAMIC_SLICE, dynamic_slice),
    (&window::UPDATE_SLICE, update_slice),
];

fn extent(call: &Call<'_>) -> Result<Steps> {
    let count = reduce::extent(&call.inputs[0].shape, &call.attrs[0]);
    let mut text = Text::new(call, "");
    text.write("y", 0);
    Ok(steps([text.once(&format!("    y[0] = {};\n", literal(count, call.outputs[0].dtype)))]))
}

fn pad(call: &Call<'_>) -> Result<Steps> {
    let widths = call.attrs[0].sizes();
    let places: Vec<(i64, i64)> =
        widths.iter().step_by(2).map(|w| (w.known().unwrap_or_default(), 1)).collect();
    Ok(placed(call, &places, call.attrs[1].float()))
}

fn unslice(call: &Call<'_>) -> Result<Steps> {
    Ok(placed(call, &movement::unslice_places(&call.outputs[0].shape, call.attrs)?, 0.0))
}

/// A value everywhere, and the operand from these places on in these steps.
fn placed(call: &Call<'_>, places: &[(i64, i64)], value: f64) -> Steps {
    let (x, out) = (&call.inputs[0].shape, &call.outputs[0]);
    let mut text = Text::new(call, "");
    text.write("y", 0);
    let value = literal(value, out.dtype);
    if x.count() == 0 {
        return steps([text.each(out.shape.count(), &format!("    y[i] = {value};\n"))]);
    }
    text.read("x", 0);
    let mut body = unravel("p", "i", &out.shape);
    let _ = writeln!(body, "    var inside = true;\n    var at = 0u;");
    for (axis, (&(start, step), (&n, &stride))) in
        places.iter().zip(x.sizes().iter().zip(&x.strides())).enumerate()
    {
        // How far from the first place, in steps of either direction.
        let (far, steps) = (format!("(i32(p{axis}) - {start}i)"), step.unsigned_abs());
        let far = if step < 0 { format!("(0i - {far})") } else { far };
        let _ = writeln!(
            body,
            "    let d{axis} = {far};
    inside = inside && d{axis} >= 0i && d{axis} % {steps}i == 0i && d{axis} / {steps}i < {n}i;
    at += u32(d{axis} / {steps}i) * {stride}u;"
        );
    }
    let _ = writeln!(body, "    if (inside) {{ y[i] = x[at]; }} else {{ y[i] = {value}; }}");
    steps([text.each(out.shape.count(), &body)])
}

/// As many operands at a time as a kernel may bind beside the result.
fn concatenate(call: &Call<'_>) -> Result<Steps> {
    let out = &call.outputs[0].shape;
    let axis = out.axis(call.attrs[0].int(), call.name)?;
    let (outer, size, inner) = rule::around(out, axis);
    let sizes = |k: usize| call.inputs[k].shape.sizes()[axis];
    let operands: Vec<usize> = (0..call.inputs.len()).filter(|&k| call.inputs[k].shape.count() > 0).collect();
    let mut before = 0;
    let mut all = vec![];
    for some in operands.chunks(call.limits.storage_buffers - 1) {
        let run: usize = some.iter().map(|&k| sizes(k) * inner).sum();
        let mut text = Text::new(call, "");
        text.sizes(&[("RUN", run), ("WHOLE", size * inner), ("BEFORE", before * inner)]);
        let mut body = "    let line = i / RUN;
    let own = i % RUN;
    let to = line * WHOLE + BEFORE + own;
"
        .to_string();
        let mut begin = 0;
        for (at, &k) in some.iter().enumerate() {
            text.read(&format!("x{at}"), k);
            let end = begin + sizes(k) * inner;
            let _ = writeln!(
                body,
                "    if (own >= {begin}u && own < {end}u) {{ y[to] = x{at}[line * {}u + own - {begin}u]; }}",
                end - begin
            );
            begin = end;
            before += sizes(k);
        }
        text.write("y", 0);
        all.push(text.each(outer * run, &body));
    }
    Ok(steps(all))
}

/// Statements that name where a window begins along each axis, `b0`, `b1`, ..., from whole numbers `start`.
fn begins(call: &Call<'_>, whole: &Shape, part: &Shape) -> Result<String> {
    let mut begins = vec![None; whole.rank()];
    for (k, &axis) in call.attrs[0].ints().iter().enumerate() {
        begins[whole.axis(axis, call.name)?] = Some(k);
    }
    let mut text = String::new();
    for (axis, ((&n, &own), k)) in whole.sizes().iter().zip(&*part.sizes()).zip(begins).enumerate() {
        let _ = match k {
            None => writeln!(text, "    let b{axis} = 0u;"),
            Some(k) => writeln!(
                text,
                "    let b{axis} = u32(clamp(select(start[{k}], start[{k}] + {n}i, start[{k}] < 0i), 0i, {}i));",
                n - own
            ),
        };
    }
    Ok(text)
}

/// The sum of positions times strides; `position` names that along an axis.
fn flat(shape: &Shape, position: impl Fn(usize) -> String) -> String {
    let strides = shape.strides();
    let terms: Vec<String> =
        (0..shape.rank()).map(|axis| format!("{} * {}u", position(axis), strides[axis])).collect();
    if terms.is_empty() { "0u".into() } else { terms.join(" + ") }
}

fn dynamic_slice(call: &Call<'_>) -> Result<Steps> {
    let (x, out) = (&call.inputs[0].shape, &call.outputs[0].shape);
    let mut text = Text::new(call, "");
    text.read("x", 0).read("start", 1).write("y", 0);
    let body = format!(
        "{}{}    y[i] = x[{}];\n",
        begins(call, x, out)?,
        unravel("p", "i", out),
        flat(x, |axis| format!("(b{axis} + p{axis})"))
    );
    Ok(steps([text.each(out.count(), &body)]))
}

fn update_slice(call: &Call<'_>) -> Result<Steps> {
    let (part, out) = (&call.inputs[1].shape, &call.outputs[0].shape);
    if part.count() == 0 {
        let mut text = Text::new(call, "nothing");
        text.read("x", 0).write("y", 0);
        return Ok(steps([text.each(out.count(), "    y[i] = x[i];\n")]));
    }
    let mut text = Text::new(call, "");
    text.read("x", 0).read("part", 1).read("start", 2).write("y", 0);
    let mut body = begins(call, out, part)? + &unravel("p", "i", out) + "    var inside = true;\n";
    for (axis, n) in part.sizes().iter().enumerate() {
        let _ = writeln!(body, "    inside = inside && p{axis} >= b{axis} && p{axis} - b{axis} < {n}u;");
    }
    let at = flat(part, |axis| format!("(p{axis} - b{axis})"));
    let _ = writeln!(body, "    if (inside) {{ y[i] = part[{at}]; }} else {{ y[i] = x[i]; }}");
    Ok(steps([text.each(out.count(), &body)]))
}
