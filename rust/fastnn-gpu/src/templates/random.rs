//! Random numbers from Philox4x32-10, with the CPU's counters: value `i` of a stream is word `i % 64 / 16` of
//! block `i / 64 * 16 + i % 16`. Bits are the CPU's; normals use the same formulas.

use super::Rows;
use super::frame::{Text, steps, steps_with};
use crate::dispatch::{Call, Steps};
use fastnn::error::Result;
use fastnn::kernels::random::GROUP;
use fastnn::ops::random;
use fastnn::simd::LANES;

pub(super) const ROWS: Rows = &[
    (&random::RANDOM_UNIFORM, uniform),
    (&random::RANDOM_NORMAL, normal),
    (&random::RANDOM_INTEGERS, integers),
    (&random::RANDOM_PERMUTATION, permutation),
];

/// `high`, the upper word of a product from products of half words, and the cipher.
pub(super) const PHILOX: &str = "fn high(a: u32, b: u32) -> u32 {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    let low = a0 * b0;
    let mid = a1 * b0 + (low >> 16u);
    let rest = a0 * b1 + (mid & 0xffffu);
    return a1 * b1 + (mid >> 16u) + (rest >> 16u);
}
fn philox(counter: vec4<u32>, seed: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = seed;
    for (var turn = 0u; turn < 10u; turn++) {
        c = vec4<u32>(
            high(c.z, 0xcd9e8d57u) ^ c.y ^ k.x, c.z * 0xcd9e8d57u,
            high(c.x, 0xd2511f53u) ^ c.w ^ k.y, c.x * 0xd2511f53u,
        );
        k += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return c;
}
fn unit(word: u32) -> f32 { return f32(word >> 8u) * (1.0f / 16777216.0f); }";

/// Defines `words(block)` from the operand `key` and an attribute `stream`.
fn streams(text: &mut Text<'_>, stream: i64) {
    text.read("key", 0).define(PHILOX).define(&format!(
        "fn words(block: u32) -> vec4<u32> {{
    let stream = bitcast<u32>(key[3]) + {}u;
    return philox(
        vec4<u32>(block, 0u, stream, bitcast<u32>(key[2])),
        vec2<u32>(bitcast<u32>(key[0]), bitcast<u32>(key[1])),
    );
}}",
        stream as u32
    ));
}

/// An invocation per block, whose four values the statements make of `bits`.
fn blocks(call: &Call<'_>, stream: usize, values: &str) -> Steps {
    let n = call.outputs[0].shape.count();
    let mut text = Text::new(call, "");
    streams(&mut text, call.attrs[stream].int());
    text.write("y", 0).sizes(&[("N", n), ("LANES", LANES), ("GROUP", GROUP)]);
    let body = format!(
        "    let bits = words(i);
{values}    for (var v = 0u; v < 4u; v++) {{
        let at = i / LANES * GROUP + v * LANES + i % LANES;
        if (at < N) {{ y[at] = value[v]; }}
    }}
"
    );
    steps([text.each(n.div_ceil(GROUP) * LANES, &body)])
}

fn uniform(call: &Call<'_>) -> Result<Steps> {
    Ok(blocks(
        call,
        1,
        "    var value = vec4<f32>(unit(bits.x), unit(bits.y), unit(bits.z), unit(bits.w));\n",
    ))
}

fn normal(call: &Call<'_>) -> Result<Steps> {
    let angle = |word: &str| format!("unit(bits.{word}) * {:?}f", std::f32::consts::TAU);
    let radius = |word: &str| format!("sqrt(-2.0f * math_log(1.0f - unit(bits.{word})))");
    Ok(blocks(
        call,
        1,
        &format!(
            "    let angles = vec2<f32>({}, {});
    let radii = vec2<f32>({}, {});
    var value = vec4<f32>(
        radii.x * math_cos(angles.x), radii.x * math_sin(angles.x),
        radii.y * math_cos(angles.y), radii.y * math_sin(angles.y),
    );
",
            angle("y"),
            angle("w"),
            radius("x"),
            radius("z")
        ),
    ))
}

fn integers(call: &Call<'_>) -> Result<Steps> {
    let [low, high] = [1, 2].map(|k| call.attrs[k].int() as i32);
    let range = high.wrapping_sub(low) as u32;
    let value = |word: &str| format!("bitcast<i32>(high(bits.{word}, {range}u) + {}u)", low as u32);
    Ok(blocks(
        call,
        3,
        &format!(
            "    var value = vec4<i32>({}, {}, {}, {});\n",
            value("x"),
            value("y"),
            value("z"),
            value("w")
        ),
    ))
}

/// The places that are swapped are drawn at once; the swaps are one invocation's work, since each
/// builds on the one before it.
fn permutation(call: &Call<'_>) -> Result<Steps> {
    let n = call.outputs[0].shape.count();
    let mut draw = Text::new(call, "places");
    streams(&mut draw, call.attrs[1].int());
    draw.scratch_mut("places", 0, "u32").sizes(&[("N", n), ("LANES", LANES), ("GROUP", GROUP)]);
    let draw = draw.each(
        n.saturating_sub(1),
        "    var drawn: array<u32, 2>;
    for (var k = 0u; k < 2u; k++) {
        let at = 2u * i + k;
        let block = words(at / GROUP * LANES + at % LANES);
        drawn[k] = block[at % GROUP / LANES];
    }
    // The upper 32 of 96 bits: the drawn 64 times a count.
    let count = N - i;
    let low = drawn[0] * count;
    let carry = low + high(drawn[1], count);
    places[i] = high(drawn[0], count) + u32(carry < low);
",
    );
    let mut order = Text::new(call, "order");
    order.write("y", 0);
    let order = order.each(n, "    y[i] = i32(i);\n");
    let mut swap = Text::new(call, "swaps");
    swap.scratch("places", 0, "u32").write("y", 0).size("N", n);
    let swap = swap.once(
        "    for (var k = 0u; k + 1u < N; k++) {
        let at = N - 1u - k;
        let other = places[k];
        let moved = y[at];
        y[at] = y[other];
        y[other] = moved;
    }
",
    );
    Ok(steps_with(&[n], [draw, order, swap.filter(|_| n > 1)]))
}
