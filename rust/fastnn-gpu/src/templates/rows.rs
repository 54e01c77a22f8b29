//! Rows along the last axis: softmax and its logarithm, cross-entropy with class numbers, and
//! normalisation with its gradient.

use super::Rows;
use super::frame::{Text, rows_of, steps, steps_with, zeros};
use crate::dispatch::{Call, Dispatch, Steps};
use crate::text::float;
use fastnn::error::Result;
use fastnn::ops::{layer_norm, loss, normalize};
use std::fmt::Write;

pub(super) const ROWS: Rows = &[
    (&normalize::SOFTMAX_LAST, softmax),
    (&normalize::LOG_SOFTMAX_LAST, log_softmax),
    (&normalize::LAYER_NORMALIZE, layer_normalize),
    (&loss::SPARSE_SOFTMAX_CROSS_ENTROPY, sparse_cross_entropy),
    (&layer_norm::LAYER_NORM, layer_norm),
    (&layer_norm::LAYER_NORM_GRAD, layer_norm_grad),
];

/// The largest of a row, and the sum of the exponentials without it.
const SUM_OF_EXPONENTIALS: &str = "    var top = -3.4028235e38f;
    for (var j = lane; j < N; j += STEP) { top = max(top, x[row * N + j]); }
    top = all_max(top);
    var sum = 0.0f;
    for (var j = lane; j < N; j += STEP) { sum += math_exp(x[row * N + j] - top); }
    sum = all_sum(sum);
";

fn softmax(call: &Call<'_>) -> Result<Steps> {
    let (rows, n) = rows_of(&call.outputs[0]);
    let mut text = Text::new(call, "");
    text.read("x", 0).write("y", 0).size("N", n);
    let body = format!(
        "{SUM_OF_EXPONENTIALS}    let scale = 1.0f / sum;
    for (var j = lane; j < N; j += STEP) {{ y[row * N + j] = math_exp(x[row * N + j] - top) * scale; }}
"
    );
    Ok(steps([text.rows(if n == 0 { 0 } else { rows }, n, &body)]))
}

fn log_softmax(call: &Call<'_>) -> Result<Steps> {
    let (rows, n) = rows_of(&call.outputs[0]);
    let mut text = Text::new(call, "");
    text.read("x", 0).write("y", 0).size("N", n);
    let body = format!(
        "{SUM_OF_EXPONENTIALS}    let log = math_log(sum);
    for (var j = lane; j < N; j += STEP) {{ y[row * N + j] = (x[row * N + j] - top) - log; }}
"
    );
    Ok(steps([text.rows(if n == 0 { 0 } else { rows }, n, &body)]))
}

fn sparse_cross_entropy(call: &Call<'_>) -> Result<Steps> {
    let (rows, n) = rows_of(&call.inputs[0]);
    let mut text = Text::new(call, "");
    text.read("x", 0).read("labels", 1).write("y", 0).size("N", n);
    let body = format!(
        "{SUM_OF_EXPONENTIALS}    if (lane == 0u) {{
        let label = clamp(labels[row], 0i, i32(N) - 1i);
        y[row] = (top - x[row * N + u32(label)]) + math_log(sum);
    }}
"
    );
    let main = if n > 0 { text.rows(rows, n, &body) } else { not_a_number(call, rows) };
    let [check, tell] = super::index::check(call, 1, &format!("index < 0i || index >= {n}i"));
    Ok(steps([check, tell, main]))
}

/// What a row without logits gives.
fn not_a_number(call: &Call<'_>, rows: usize) -> Option<Dispatch> {
    let mut text = Text::new(call, "without classes");
    text.write("y", 0);
    text.each(rows, &format!("    y[i] = {};\n", float(f32::NAN)))
}

/// Statements for `mean` and `scale` of a row. Deviations are multiplied by a power of two for the sum
/// of squares, which is exact, so that it neither overflows nor is lost beside epsilon.
fn moments(center: bool, epsilon: f32) -> String {
    let mut text = String::new();
    let sum = "    var sum = 0.0f;
    for (var j = lane; j < N; j += STEP) { sum += x[row * N + j]; }
    let mean = all_sum(sum) / f32(N);
";
    text.push_str(if center { sum } else { "    let mean = 0.0f;\n" });
    // Up to this exponent epsilon times the square of the power stays far below overflow.
    let most = match epsilon {
        e if e > 0.0 => ((100.0 - e.log2()) / 2.0).clamp(0.0, 100.0) as i32,
        _ => 100,
    };
    let _ = write!(
        text,
        "    var away = 0.0f;
    for (var j = lane; j < N; j += STEP) {{ away = max(away, abs(x[row * N + j] - mean)); }}
    away = all_max(away);
    let exponent = i32((bitcast<u32>(away) >> 23u) & 0xffu) - 127i;
    let power = bitcast<f32>((clamp(-exponent, -100i, {most}i) + 127i) << 23u);
    var square = 0.0f;
    for (var j = lane; j < N; j += STEP) {{
        let d = (x[row * N + j] - mean) * power;
        square = fma(d, d, square);
    }}
    square = all_sum(square) / f32(N);
    let scale = power / sqrt(square + EPSILON * power * power);
"
    );
    text
}

fn layer_normalize(call: &Call<'_>) -> Result<Steps> {
    let (rows, n) = rows_of(&call.outputs[0]);
    let epsilon = call.attrs[0].float() as f32;
    let mut text = Text::new(call, "");
    text.read("x", 0).write("y", 0).size("N", n).number("EPSILON", epsilon);
    let body = format!(
        "{}    for (var j = lane; j < N; j += STEP) {{ y[row * N + j] = (x[row * N + j] - mean) * scale; }}
",
        moments(true, epsilon)
    );
    Ok(steps([text.rows(if n == 0 { 0 } else { rows }, n, &body)]))
}

/// Where the number of column `j` lies in an operand that may be a scalar.
fn column(call: &Call<'_>, k: usize) -> &'static str {
    if call.inputs[k].shape.rank() == 0 { "0u" } else { "j" }
}

fn layer_norm(call: &Call<'_>) -> Result<Steps> {
    let (rows, n) = rows_of(&call.inputs[0]);
    let (epsilon, center) = (call.attrs[0].float() as f32, call.attrs[1].flag());
    let mut text = Text::new(call, "");
    text.read("x", 0).size("N", n).number("EPSILON", epsilon);
    let mut body = if n > 0 {
        moments(center, epsilon)
    } else {
        // Means of nothing are not a number.
        format!("    let mean = {};\n    let scale = mean;\n", float(f32::NAN))
    };
    for (k, name) in [(1, "mean"), (2, "scale")] {
        if call.wanted[k] {
            text.write(["means", "scales"][k - 1], k);
            let _ = writeln!(body, "    if (lane == 0u) {{ {name}s[row] = {name}; }}");
        }
    }
    if call.wanted[0] && n > 0 {
        text.read("gamma", 1).read("beta", 2).write("y", 0);
        let _ = write!(
            body,
            "    for (var j = lane; j < N; j += STEP) {{
        y[row * N + j] = fma((x[row * N + j] - mean) * scale, gamma[{}], beta[{}]);
    }}
",
            column(call, 1),
            column(call, 2)
        );
    }
    Ok(steps([text.rows(rows, n, &body)]))
}

/// Rows of which one invocation adds a column.
const CHUNK: usize = 32;

fn layer_norm_grad(call: &Call<'_>) -> Result<Steps> {
    let (rows, n) = rows_of(&call.inputs[1]);
    let chunk = CHUNK.max(rows.div_ceil(256));
    let chunks = rows.div_ceil(chunk);
    let mut all = vec![];
    if call.wanted[0] && n > 0 {
        let mut text = Text::new(call, "");
        text.read("dy", 0).read("x", 1).read("gamma", 2).read("means", 3).read("scales", 4).write("dx", 0);
        text.size("N", n);
        let flat = if call.attrs[0].flag() { "all_sum(flat) / f32(N)" } else { "0.0f" };
        let column = column(call, 2);
        let body = format!(
            "    let mean = means[row];
    let scale = scales[row];
    var flat = 0.0f;
    var along = 0.0f;
    for (var j = lane; j < N; j += STEP) {{
        let a = dy[row * N + j] * gamma[{column}];
        flat += a;
        along = fma(a, (x[row * N + j] - mean) * scale, along);
    }}
    flat = {flat};
    along = all_sum(along) / f32(N);
    for (var j = lane; j < N; j += STEP) {{
        let level = (x[row * N + j] - mean) * scale;
        dx[row * N + j] = fma(-level, along, dy[row * N + j] * gamma[{column}] - flat) * scale;
    }}
"
        );
        all.push(text.rows(rows, n, &body));
    }
    for (k, variant, term) in [(1, "scales", "fma(d, level, sum)"), (2, "shifts", "sum + d")] {
        if !call.wanted[k] || n == 0 {
            continue;
        }
        if rows == 0 {
            all.push(zeros(call, k));
            continue;
        }
        let mut text = Text::new(call, variant);
        text.read("dy", 0).scratch_mut("parts", k - 1, "f32");
        let level = if k == 1 {
            text.read("x", 1).read("means", 3).read("scales", 4);
            "        let level = (x[row * N + j] - means[row]) * scales[row];\n"
        } else {
            ""
        };
        text.sizes(&[("N", n), ("ROWS", rows), ("CHUNK", chunk)]);
        let body = format!(
            "    let j = i % N;
    let begin = i / N * CHUNK;
    var sum = 0.0f;
    for (var row = begin; row < min(begin + CHUNK, ROWS); row++) {{
        let d = dy[row * N + j];
{level}        sum = {term};
    }}
    parts[i] = sum;
"
        );
        all.push(text.each(chunks * n, &body));
        all.push(super::frame::add_chunks(call, k, k - 1, chunks));
    }
    Ok(steps_with(&[chunks * n, chunks * n], all))
}
