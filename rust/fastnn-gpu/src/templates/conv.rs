//! Convolutions over three spatial axes, channels last, and their gradients: tiles where there are channels
//! enough, else an invocation per element of the result. Every sum has one order.

use super::Rows;
use super::frame::{Text, add_chunks, steps, steps_with, zeros};
use super::tile::Product;
use crate::dispatch::{Call, Steps};
use fastnn::error::Result;
use fastnn::kernels::conv::{Axis, Geometry};
use fastnn::ops::conv;
use std::fmt::Write;

pub(super) const ROWS: Rows =
    &[(&conv::CONV, forward), (&conv::CONV_INPUT_GRAD, input_grad), (&conv::CONV_WEIGHT_GRAD, weight_grad)];

/// Names of the axes in texts.
const AXES: [&str; 3] = ["D", "H", "W"];

/// Sizes of windows as constants, and `seen_D(place, tap)`, the element that a tap sees (-1 in the
/// padding), and `place_D(element, tap)`, the place at which a tap sees an element (-1 where there is
/// none), for each axis.
pub(super) fn windows(text: &mut Text<'_>, axes: &[Axis; 3]) {
    for (name, a) in AXES.iter().zip(axes) {
        let Axis { input, output, kernel, stride, dilation, before } = *a;
        text.sizes(&[
            (&format!("IN_{name}"), input),
            (&format!("OUT_{name}"), output),
            (&format!("TAPS_{name}"), kernel),
        ]);
        text.define(&format!(
            "fn seen_{name}(place: u32, tap: u32) -> i32 {{
    let at = i32(place * {stride}u + tap * {dilation}u) - {before}i;
    return select(-1i, at, at >= 0i && at < {input}i);
}}
fn place_{name}(element: u32, tap: u32) -> i32 {{
    let at = i32(element + {before}u) - i32(tap * {dilation}u);
    return select(-1i, at / {stride}i, at >= 0i && at % {stride}i == 0i && at / {stride}i < {output}i);
}}"
        ));
    }
}

/// Statements that name the places of `at`, which counts places or elements of all images, as
/// `{prefix}D`, `{prefix}H`, `{prefix}W` and the image; `side` is `OUT` or `IN`.
pub(super) fn places(at: &str, side: &str, prefix: &str) -> String {
    format!(
        "    let {prefix}W = {at} % {side}_W;
    let {prefix}H = {at} / {side}_W % {side}_H;
    let {prefix}D = {at} / ({side}_W * {side}_H) % {side}_D;
    let image = {at} / ({side}_W * {side}_H * {side}_D);
"
    )
}

/// A loop over all taps whose `look` (`seen` or `place`) from `{from}D`, ... finds something, `zD`, `zH`,
/// `zW`, in which `inner` runs.
pub(super) fn over_taps(look: &str, from: &str, inner: &str) -> String {
    let mut text = String::new();
    for name in AXES {
        let _ = write!(
            text,
            "    for (var t{name} = 0u; t{name} < TAPS_{name}; t{name}++) {{
    let s{name} = {look}_{name}({from}{name}, t{name});
    if (s{name} < 0i) {{ continue; }}
    let z{name} = u32(s{name});
"
        );
    }
    text + inner + "    }\n    }\n    }\n"
}

/// The number of the tap of [`over_taps`] in the window.
pub(super) const TAP: &str = "((tD * TAPS_H + tH) * TAPS_W + tW)";

/// The number of what [`over_taps`] found, among those of all images.
pub(super) fn found(side: &str) -> String {
    format!("(((image * {side}_D + zD) * {side}_H + zH) * {side}_W + zW)")
}

fn sizes(text: &mut Text<'_>, g: &Geometry) {
    text.sizes(&[
        ("GROUPS", g.groups),
        ("CHANNELS", g.channels),
        ("FILTERS", g.filters),
        ("ALL_CHANNELS", g.groups * g.channels),
        ("ALL_FILTERS", g.groups * g.filters),
    ]);
    windows(text, &g.axes);
}

fn nothing(call: &Call<'_>) -> bool {
    call.inputs.iter().any(|ty| ty.shape.count() == 0)
}

/// What a convolution is as a product: both sides, with whether their depth runs along memory, and the
/// place of a result.
struct Sides {
    left: (String, bool),
    right: (&'static str, bool),
    place: &'static str,
}

/// Statements that name the taps of `tap`.
const TAPS: &str = "    let tW = tap % TAPS_W;
    let tH = tap / TAPS_W % TAPS_H;
    let tD = tap / (TAPS_W * TAPS_H);
";

/// Statements that name what a tap sees or is seen from, `zD`, `zH`, `zW`, and return 0 where that is nothing.
fn look(how: &str) -> String {
    let mut text = String::new();
    for name in AXES {
        let _ = writeln!(text, "    let s{name} = {how}_{name}(p{name}, t{name});");
    }
    text + "    if (sD < 0i || sH < 0i || sW < 0i) { return 0.0f; }
    let zD = u32(sD);
    let zH = u32(sH);
    let zW = u32(sW);
"
}

fn forward_sides() -> Sides {
    let left = format!(
        "    let tap = k / CHANNELS;
{}{TAPS}{}    return a[{} * ALL_CHANNELS + batch * CHANNELS + k % CHANNELS];
",
        places("row", "OUT", "p"),
        look("seen"),
        found("IN")
    );
    Sides {
        left: (left, true),
        right: ("    return b[k * ALL_FILTERS + batch * FILTERS + column];\n", false),
        place: "row * ALL_FILTERS + batch * FILTERS + column",
    }
}

fn input_sides() -> Sides {
    let left = format!(
        "    let tap = k / FILTERS;
{}{TAPS}{}    return a[{} * ALL_FILTERS + batch * FILTERS + k % FILTERS];
",
        places("row", "IN", "p"),
        look("place"),
        found("OUT")
    );
    Sides {
        left: (left, true),
        right: (
            "    return b[(k / FILTERS * CHANNELS + column) * ALL_FILTERS + batch * FILTERS + k % FILTERS];\n",
            true,
        ),
        place: "row * ALL_CHANNELS + batch * CHANNELS + column",
    }
}

fn weight_sides() -> Sides {
    let left = format!(
        "    let tap = row / CHANNELS;
{}{TAPS}{}    return a[{} * ALL_CHANNELS + batch * CHANNELS + row % CHANNELS];
",
        places("k", "OUT", "p"),
        look("seen"),
        found("IN")
    );
    Sides {
        left: (left, false),
        right: ("    return b[k * ALL_FILTERS + batch * FILTERS + column];\n", false),
        place: "row * ALL_FILTERS + batch * FILTERS + column",
    }
}

/// By tiles, a batch per group, with the depth in parts where there are few tiles.
fn tiled(call: &Call<'_>, g: &Geometry, [rows, depth]: [usize; 2], sides: &Sides) -> Steps {
    let count = call.outputs[0].shape.count();
    let columns = count / (rows * g.groups);
    let mut product = Product {
        batch: g.groups,
        rows,
        columns,
        depth,
        chunks: 1,
        left: (&sides.left.0, sides.left.1),
        right: sides.right,
        place: sides.place,
    };
    product.chunks = product.parts();
    let mut text = Text::new(call, "tiles");
    text.read("a", 0).read("b", 1);
    if product.chunks == 1 {
        text.write("y", 0)
    } else {
        text.scratch_mut("y", 0, "f32")
    };
    sizes(&mut text, g);
    let main = product.dispatch(call, text);
    if product.chunks == 1 {
        return steps([main]);
    }
    steps_with(&[product.chunks * count], [main, add_chunks(call, 0, 0, product.chunks)])
}

fn forward(call: &Call<'_>) -> Result<Steps> {
    let g = conv::geometry_of(call.inputs, call.attrs);
    if nothing(call) {
        return Ok(steps([zeros(call, 0)]));
    }
    let rows = g.places();
    if Product::pays(rows, g.filters, g.taps() * g.channels) {
        return Ok(tiled(call, &g, [rows, g.taps() * g.channels], &forward_sides()));
    }
    let mut text = Text::new(call, "");
    text.read("x", 0).read("w", 1).write("y", 0);
    sizes(&mut text, &g);
    let inner = format!(
        "    let x_at = {} * ALL_CHANNELS + made / FILTERS * CHANNELS;
    let w_at = {TAP} * CHANNELS * ALL_FILTERS + made;
    for (var c = 0u; c < CHANNELS; c++) {{ sum = fma(x[x_at + c], w[w_at + c * ALL_FILTERS], sum); }}
",
        found("IN")
    );
    let body = format!(
        "    let made = i % ALL_FILTERS;
    let at = i / ALL_FILTERS;
{}    var sum = 0.0f;
{}    y[i] = sum;
",
        places("at", "OUT", "p"),
        over_taps("seen", "p", &inner)
    );
    Ok(steps([text.each(call.outputs[0].shape.count(), &body)]))
}

fn input_grad(call: &Call<'_>) -> Result<Steps> {
    let g = conv::input_grad_geometry(call.inputs, call.attrs);
    if nothing(call) {
        return Ok(steps([zeros(call, 0)]));
    }
    let rows = call.outputs[0].shape.count() / (g.groups * g.channels).max(1);
    if Product::pays(rows, g.channels, g.taps() * g.filters) {
        return Ok(tiled(call, &g, [rows, g.taps() * g.filters], &input_sides()));
    }
    let mut text = Text::new(call, "");
    text.read("dy", 0).read("w", 1).write("dx", 0);
    sizes(&mut text, &g);
    let inner = format!(
        "    let first = channel / CHANNELS * FILTERS;
    let y_at = {} * ALL_FILTERS + first;
    let w_at = ({TAP} * CHANNELS + channel % CHANNELS) * ALL_FILTERS + first;
    for (var m = 0u; m < FILTERS; m++) {{ sum = fma(dy[y_at + m], w[w_at + m], sum); }}
",
        found("OUT")
    );
    let body = format!(
        "    let channel = i % ALL_CHANNELS;
    let at = i / ALL_CHANNELS;
{}    var sum = 0.0f;
{}    dx[i] = sum;
",
        places("at", "IN", "p"),
        over_taps("place", "p", &inner)
    );
    Ok(steps([text.each(call.outputs[0].shape.count(), &body)]))
}

/// Invocations that keep a device busy; where there are fewer weights, each sums some of the places.
const BUSY: usize = 1 << 15;

/// Places that are worth an invocation.
const CHUNK: usize = 64;

fn weight_grad(call: &Call<'_>) -> Result<Steps> {
    let g = conv::weight_grad_geometry(call.inputs, call.attrs);
    let count = call.outputs[0].shape.count();
    if nothing(call) || count == 0 {
        return Ok(steps([zeros(call, 0)]));
    }
    let rows = g.taps() * g.channels;
    if Product::pays(rows, g.filters, g.places()) {
        return Ok(tiled(call, &g, [rows, g.places()], &weight_sides()));
    }
    let wanted = (BUSY / count).clamp(1, g.places().div_ceil(CHUNK).max(1));
    let chunk = g.places().div_ceil(wanted).max(1);
    let chunks = g.places().div_ceil(chunk).max(1);
    let mut text = Text::new(call, "");
    text.read("x", 0).read("dy", 1);
    if chunks == 1 {
        text.write("dw", 0)
    } else {
        text.scratch_mut("dw", 0, "f32")
    };
    sizes(&mut text, &g);
    text.sizes(&[("COUNT", count), ("PLACES", g.places()), ("CHUNK", chunk)]);
    let body = format!(
        "    let made = i % COUNT % ALL_FILTERS;
    let channel = made / FILTERS * CHANNELS + i % COUNT / ALL_FILTERS % CHANNELS;
    let tap = i % COUNT / (ALL_FILTERS * CHANNELS);
    let tW = tap % TAPS_W;
    let tH = tap / TAPS_W % TAPS_H;
    let tD = tap / (TAPS_W * TAPS_H);
    let begin = i / COUNT * CHUNK;
    var sum = 0.0f;
    for (var at = begin; at < min(begin + CHUNK, PLACES); at++) {{
{}    let sD = seen_D(pD, tD);
    let sH = seen_H(pH, tH);
    let sW = seen_W(pW, tW);
    if (sD < 0i || sH < 0i || sW < 0i) {{ continue; }}
    let zD = u32(sD);
    let zH = u32(sH);
    let zW = u32(sW);
    sum = fma(x[{} * ALL_CHANNELS + channel], dy[at * ALL_FILTERS + made], sum);
    }}
    dw[i] = sum;
",
        places("at", "OUT", "p"),
        found("IN")
    );
    let parts = text.each(chunks * count, &body);
    if chunks == 1 {
        return Ok(steps([parts]));
    }
    Ok(steps_with(&[chunks * count], [parts, add_chunks(call, 0, 0, chunks)]))
}
