//! Pooling over three spatial axes, channels last. The backward pass gathers: each element looks at the
//! windows that see it.

use super::Rows;
use super::conv::{TAP, found, over_taps, places, windows};
use super::frame::{Text, steps, zeros};
use crate::dispatch::{Call, Steps};
use fastnn::error::Result;
use fastnn::graph::OpDef;
use fastnn::ops::pooling;

pub(super) const ROWS: Rows = &[
    (&pooling::MAX_POOL, max_pool),
    (&pooling::MAX_POOL_PICK, max_pool_pick),
    (&pooling::MAX_POOL_GRAD, max_pool_grad),
    (&pooling::AVERAGE_POOL, average_pool),
    (&pooling::AVERAGE_POOL_GRAD, average_pool_grad),
];

/// Defines the windows of a row, and what an average at a place is divided by.
fn pool(text: &mut Text<'_>, call: &Call<'_>, op: &OpDef) -> Result<()> {
    let pool = pooling::windows_of(op, call.inputs, call.attrs)?;
    text.size("CHANNELS", pool.channels);
    windows(text, &pool.axes);
    for (name, a) in ["D", "H", "W"].iter().zip(&pool.axes) {
        let count = if pool.whole {
            format!("    return {}u;\n", a.kernel)
        } else {
            format!(
                "    var count = 0u;
    for (var tap = 0u; tap < {}u; tap++) {{ count += u32(seen_{name}(place, tap) >= 0i); }}
    return count;
",
                a.kernel
            )
        };
        text.define(&format!("fn count_{name}(place: u32) -> u32 {{\n{count}}}"));
    }
    Ok(())
}

fn max_pool(call: &Call<'_>) -> Result<Steps> {
    let mut text = Text::new(call, "");
    text.read("x", 0);
    let mut end = String::new();
    for (k, name, value) in [(0, "y", "best"), (1, "indices", "i32(chosen)")] {
        if call.wanted[k] {
            text.write(name, k);
            end += &format!("    {name}[i] = {value};\n");
        }
    }
    pool(&mut text, call, &pooling::MAX_POOL)?;
    let inner = format!(
        "    let v = x[{} * CHANNELS + i % CHANNELS];
    // Larger, or NaN where the best so far is none.
    if (none || v > best || (math_is_nan(v) && !math_is_nan(best))) {{
        if (none || !math_is_nan(best)) {{
            best = v;
            chosen = {TAP};
        }}
        none = false;
    }}
",
        found("IN")
    );
    let body = format!(
        "    let at = i / CHANNELS;
{}    var none = true;
    var best = -math_inf();
    var chosen = 0u;
{}{end}",
        places("at", "OUT", "p"),
        over_taps("seen", "p", &inner)
    );
    Ok(steps([text.each(call.outputs[0].shape.count(), &body)]))
}

fn max_pool_pick(call: &Call<'_>) -> Result<Steps> {
    let mut text = Text::new(call, "");
    text.read("x", 0).read("indices", 1).write("y", 0);
    pool(&mut text, call, &pooling::MAX_POOL_PICK)?;
    let inner = format!(
        "    if (i32({TAP}) == chosen) {{ found = x[{} * CHANNELS + i % CHANNELS]; }}\n",
        found("IN")
    );
    let body = format!(
        "    let at = i / CHANNELS;
{}    let chosen = indices[i];
    var found = 0.0f;
{}    y[i] = found;
",
        places("at", "OUT", "p"),
        over_taps("seen", "p", &inner)
    );
    Ok(steps([text.each(call.outputs[0].shape.count(), &body)]))
}

fn max_pool_grad(call: &Call<'_>) -> Result<Steps> {
    if call.inputs[0].shape.count() == 0 {
        return Ok(steps([zeros(call, 0)]));
    }
    let mut text = Text::new(call, "");
    text.read("dy", 0).read("indices", 1).write("dx", 0);
    pool(&mut text, call, &pooling::MAX_POOL_GRAD)?;
    let inner = format!(
        "    let place = {} * CHANNELS + i % CHANNELS;
    if (i32({TAP}) == indices[place]) {{ sum += dy[place]; }}
",
        found("OUT")
    );
    Ok(steps([text.each(call.outputs[0].shape.count(), &gathered(&inner))]))
}

/// The body that sums what each element gets from the places that see it.
fn gathered(inner: &str) -> String {
    format!(
        "    let at = i / CHANNELS;
{}    var sum = 0.0f;
{}    dx[i] = sum;
",
        places("at", "IN", "p"),
        over_taps("place", "p", inner)
    )
}

fn average_pool(call: &Call<'_>) -> Result<Steps> {
    let mut text = Text::new(call, "");
    text.read("x", 0).write("y", 0);
    pool(&mut text, call, &pooling::AVERAGE_POOL)?;
    let inner = format!("    sum += x[{} * CHANNELS + i % CHANNELS];\n", found("IN"));
    let body = format!(
        "    let at = i / CHANNELS;
{}    var sum = 0.0f;
{}    y[i] = sum / f32(count_D(pD) * count_H(pH) * count_W(pW));
",
        places("at", "OUT", "p"),
        over_taps("seen", "p", &inner)
    );
    Ok(steps([text.each(call.outputs[0].shape.count(), &body)]))
}

fn average_pool_grad(call: &Call<'_>) -> Result<Steps> {
    if call.inputs[0].shape.count() == 0 {
        return Ok(steps([zeros(call, 0)]));
    }
    let mut text = Text::new(call, "");
    text.read("dy", 0).write("dx", 0);
    pool(&mut text, call, &pooling::AVERAGE_POOL_GRAD)?;
    let inner = format!(
        "    sum += dy[{} * CHANNELS + i % CHANNELS] / f32(count_D(zD) * count_H(zH) * count_W(zW));\n",
        found("OUT")
    );
    Ok(steps([text.each(call.outputs[0].shape.count(), &gathered(&inner))]))
}
