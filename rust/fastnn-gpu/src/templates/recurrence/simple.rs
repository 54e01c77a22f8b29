//! The plain recurrence, and its backward pass.

use super::{LAST, Plan, TURN, looped, units};
use crate::dispatch::{Call, Steps};
use fastnn::error::Result;

pub(super) fn simple(call: &Call<'_>) -> Result<Steps> {
    let plan = Plan {
        each: 0,
        weights: 1,
        small: &[("h0", 2), ("mask", 3), ("drop", 4)],
        state: 2,
        last: &[(1, LAST)],
        back: false,
    };
    looped(call, &plan, |job, text| {
        text.read("z", 0);
        let end = job.writes(
            text,
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
        [begin, round]
    })
}

pub(super) fn simple_grad(call: &Call<'_>) -> Result<Steps> {
    let plan = Plan {
        each: 3,
        weights: 2,
        small: &[("dh", 1), ("mask", 4), ("drop", 5)],
        state: 2,
        last: &[(1, "0u")],
        back: true,
    };
    looped(call, &plan, |job, text| {
        let dy = job.flow(text);
        let end = job.writes(text, &[(0, "dz", "    dz[step * UNITS + j] = d;\n")]);
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
        [begin, round]
    })
}
