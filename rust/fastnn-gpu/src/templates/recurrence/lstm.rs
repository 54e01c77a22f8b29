//! Long short-term memory, and its backward pass.

use super::{LAST, Plan, TURN, looped, units};
use crate::dispatch::{Call, Steps};
use fastnn::error::Result;

pub(super) fn lstm(call: &Call<'_>) -> Result<Steps> {
    let plan = Plan {
        each: 0,
        weights: 1,
        small: &[("h0", 2), ("c0", 3), ("mask", 4), ("drop", 5)],
        state: 3,
        last: &[(1, LAST), (2, "2u * UNITS")],
        back: false,
    };
    looped(call, &plan, |job, text| {
        text.read("z", 0);
        let end = job.writes(
            text,
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
        [begin, round]
    })
}

pub(super) fn lstm_grad(call: &Call<'_>) -> Result<Steps> {
    let plan = Plan {
        each: 4,
        weights: 3,
        small: &[("dh", 1), ("dc", 2), ("c0", 6), ("mask", 7), ("drop", 8)],
        state: 6,
        last: &[(1, "0u"), (2, "UNITS")],
        back: true,
    };
    looped(call, &plan, |job, text| {
        text.read("gates", 4).read("cells", 5);
        let dy = job.flow(text);
        let end = job.writes(
            text,
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
        [begin, round]
    })
}
