//! Convolutions over three spatial axes, channels last, and their gradients: tiles where there are channels
//! enough, else an invocation per element of the result. Every sum has one order.

use super::Rows;
use super::ending::{self, Finish, joined, kept, stored};
use super::frame::{Text, steps, steps_with};
use super::tile::{Product, Side, pays};
use crate::dispatch::{Call, Steps};
use fastnn::error::Result;
use fastnn::kernels::conv::{Axis, Geometry};
use fastnn::ops::conv;
use std::fmt::Write;

pub(super) const ROWS: Rows =
    &[(&conv::CONV, conv), (&conv::CONV_INPUT_GRAD, conv_input), (&conv::CONV_WEIGHT_GRAD, conv_weight)];

fn conv(call: &Call<'_>) -> Result<Steps> {
    forward(call, &stored)
}

fn conv_input(call: &Call<'_>) -> Result<Steps> {
    input_grad(call, &stored)
}

fn conv_weight(call: &Call<'_>) -> Result<Steps> {
    weight_grad(call, &stored)
}

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

/// What a convolution is as a product: both sides, and the place of a result.
struct Sides {
    sides: [Side; 2],
    place: &'static str,
}

/// Statements that name the taps of `tap`.
const TAPS: &str = "    let tW = tap % TAPS_W;
    let tH = tap / TAPS_W % TAPS_H;
    let tD = tap / (TAPS_W * TAPS_H);
";

/// Statements that name what a tap sees or is seen from, `zD`, `zH`, `zW`, and end where that is nothing.
fn look(how: &str) -> String {
    let mut text = String::new();
    for name in AXES {
        let _ = writeln!(text, "    let s{name} = {how}_{name}(p{name}, t{name});");
    }
    text + "    if (sD < 0i || sH < 0i || sW < 0i) { return NOWHERE; }
    let zD = u32(sD);
    let zH = u32(sH);
    let zW = u32(sW);
"
}

/// Channels lie side by side: four of them are one load where their numbers are whole fours.
fn fours(count: usize) -> bool {
    count.is_multiple_of(4)
}

fn forward_sides(g: &Geometry) -> Sides {
    let left = format!(
        "    let row = i;
    let tap = k / CHANNELS;
{}{TAPS}{}    return {} * ALL_CHANNELS + batch * CHANNELS + k % CHANNELS;
",
        places("row", "OUT", "p"),
        look("seen"),
        found("IN")
    );
    let right = "    return k * ALL_FILTERS + batch * FILTERS + i;\n".into();
    Sides {
        sides: [
            Side { place: left, along: true, fours: fours(g.channels) },
            Side { place: right, along: false, fours: fours(g.filters) },
        ],
        place: "row * ALL_FILTERS + batch * FILTERS + column",
    }
}

fn input_sides(g: &Geometry) -> Sides {
    let left = format!(
        "    let row = i;
    let tap = k / FILTERS;
{}{TAPS}{}    return {} * ALL_FILTERS + batch * FILTERS + k % FILTERS;
",
        places("row", "IN", "p"),
        look("place"),
        found("OUT")
    );
    let right =
        "    return (k / FILTERS * CHANNELS + i) * ALL_FILTERS + batch * FILTERS + k % FILTERS;\n".into();
    Sides {
        sides: [
            Side { place: left, along: true, fours: fours(g.filters) },
            Side { place: right, along: true, fours: fours(g.filters) },
        ],
        place: "row * ALL_CHANNELS + batch * CHANNELS + column",
    }
}

fn weight_sides(g: &Geometry) -> Sides {
    let left = format!(
        "    let tap = i / CHANNELS;
{}{TAPS}{}    return {} * ALL_CHANNELS + batch * CHANNELS + i % CHANNELS;
",
        places("k", "OUT", "p"),
        look("seen"),
        found("IN")
    );
    let right = "    return k * ALL_FILTERS + batch * FILTERS + i;\n".into();
    Sides {
        sides: [
            Side { place: left, along: false, fours: fours(g.channels) },
            Side { place: right, along: false, fours: fours(g.filters) },
        ],
        place: "row * ALL_FILTERS + batch * FILTERS + column",
    }
}

/// By tiles, a batch per group.
fn tiled(
    call: &Call<'_>,
    g: &Geometry,
    [rows, depth]: [usize; 2],
    all: Sides,
    finish: &Finish<'_>,
) -> Result<Steps> {
    let columns = call.outputs[0].shape.count() / (rows * g.groups);
    let Sides { sides, place } = all;
    let define = |text: &mut Text<'_>| sizes(text, g);
    let product = Product { batch: g.groups, rows, columns, depth, sides, place, define: &define };
    product.steps(call, finish)
}

/// The dispatches of a convolution whose elements `finish` ends.
pub(super) fn forward(call: &Call<'_>, finish: &Finish<'_>) -> Result<Steps> {
    let g = conv::geometry_of(call.inputs, call.attrs);
    if nothing(call) {
        return ending::nothing(call, finish);
    }
    let rows = g.places();
    if pays(rows, g.filters, g.taps() * g.channels) {
        return tiled(call, &g, [rows, g.taps() * g.channels], forward_sides(&g), finish);
    }
    let mut text = Text::new(call, "");
    text.read("x", 0).read("w", 1).end(finish)?;
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
{}    finish(i, sum);
",
        places("at", "OUT", "p"),
        over_taps("seen", "p", &inner)
    );
    Ok(steps([text.each(call.outputs[0].shape.count(), &body)]))
}

/// Likewise for its gradient by what goes in.
pub(super) fn input_grad(call: &Call<'_>, finish: &Finish<'_>) -> Result<Steps> {
    let g = conv::input_grad_geometry(call.inputs, call.attrs);
    if nothing(call) {
        return ending::nothing(call, finish);
    }
    let rows = call.outputs[0].shape.count() / (g.groups * g.channels).max(1);
    if pays(rows, g.channels, g.taps() * g.filters) {
        return tiled(call, &g, [rows, g.taps() * g.filters], input_sides(&g), finish);
    }
    let mut text = Text::new(call, "");
    text.read("dy", 0).read("w", 1).end(finish)?;
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
{}    finish(i, sum);
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

/// Likewise for its gradient by the weights.
pub(super) fn weight_grad(call: &Call<'_>, finish: &Finish<'_>) -> Result<Steps> {
    let g = conv::weight_grad_geometry(call.inputs, call.attrs);
    let count = call.outputs[0].shape.count();
    if nothing(call) || count == 0 {
        return ending::nothing(call, finish);
    }
    let rows = g.taps() * g.channels;
    if pays(rows, g.filters, g.places()) {
        return tiled(call, &g, [rows, g.places()], weight_sides(&g), finish);
    }
    let wanted = (BUSY / count).clamp(1, g.places().div_ceil(CHUNK).max(1));
    let chunk = g.places().div_ceil(wanted).max(1);
    let chunks = g.places().div_ceil(chunk).max(1);
    let mut text = Text::new(call, "");
    text.read("x", 0).read("dy", 1);
    text.end(if chunks == 1 { finish } else { &kept })?;
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
    finish(i, sum);
",
        places("at", "OUT", "p"),
        found("IN")
    );
    let parts = text.each(chunks * count, &body);
    if chunks == 1 {
        return Ok(steps([parts]));
    }
    Ok(steps_with(&[chunks * count], [parts, joined(call, chunks, finish)?]))
}
