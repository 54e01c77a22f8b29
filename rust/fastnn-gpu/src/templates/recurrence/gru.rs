//! Gated recurrent units, and their backward pass.

use super::{LAST, Plan, TURN, looped, units};
use crate::dispatch::{Call, Steps};
use fastnn::error::Result;

pub(super) fn gru(call: &Call<'_>) -> Result<Steps> {
    let plan = Plan {
        each: 0,
        weights: 1,
        small: &[("bias", 2), ("h0", 3), ("mask", 4), ("drop", 5)],
        state: 5,
        last: &[(1, LAST)],
        back: false,
    };
    looped(call, &plan, |job, text| {
        text.read("z", 0);
        let end = job.writes(
            text,
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
        [begin, format!("{TURN}{first}    sync();\n{second}    sync();\n")]
    })
}

pub(super) fn gru_grad(call: &Call<'_>) -> Result<Steps> {
    let plan = Plan {
        each: 3,
        weights: 2,
        small: &[("dh", 1), ("mask", 6), ("drop", 7)],
        state: 4,
        last: &[(2, "0u")],
        back: true,
    };
    looped(call, &plan, |job, text| {
        let after = call.attrs[1].flag();
        text.read("gates", 3).read("befores", 5);
        if after {
            text.read("inners", 4);
        }
        let dy = job.flow(text);
        let end = job.writes(
            text,
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
        [begin, round]
    })
}
