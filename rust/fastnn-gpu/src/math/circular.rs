//! Sine and cosine, with the quadrant of any angle.

use super::poly;
use crate::text::float;
use fastnn::simd::math::coefficients as c;

/// sin (`shift` 0) and cos (`shift` 1). Far from zero the quotient by pi / 2 comes from a product with
/// as many bits of 2 / pi as matter.
pub(super) fn circular() -> String {
    format!(
        "fn math_circular(x: f32, shift: u32) -> f32 {{
  if (!math_is_finite(x)) {{ return math_nan(); }}
  var r = 0.0;
  var quadrant = 0u;
  if (abs(x) <= 10000.0) {{
    let n = round(x * {two_over_pi});
    r = fma(-n, 1.5703125, x);
    r = fma(n, -4.8375130e-4, r);
    r = fma(n, -7.5495336e-8, r);
    r = fma(n, -2.563344e-12, r);
    quadrant = u32(i32(n));
  }} else {{
    // |x| = m 2^s with m of 24 bits, times four words of 2^s (2 / pi): whole quarters, then fractions.
    let u = bitcast<u32>(x) & 0x7fffffffu;
    let m = (u & 0x7fffffu) | 0x800000u;
    let e = (u >> 23u) - 150u + 32u;
    let word = e / 32u;
    let bit = e % 32u;
    var words = array<u32, 4>(0u, 0u, 0u, 0u);
    for (var k = 0u; k < 4u; k += 1u) {{
      let a = math_bits_of(word + k);
      let b = math_bits_of(word + k + 1u);
      words[k] = select((a << bit) | (b >> ((32u - bit) & 31u)), a, bit == 0u);
    }}
    let p3 = math_wide(m, words[3]);
    let p2 = math_wide(m, words[2]);
    let p1 = math_wide(m, words[1]);
    let low = p2.y + p3.x;
    let carry = u32(low < p3.x);
    let mid = p1.y + p2.x;
    let carry2 = u32(mid < p2.x);
    let middle = mid + carry;
    let high = m * words[0] + p1.x + carry2 + u32(middle < carry);
    // high: whole quarters; (middle, low): the fraction.
    quadrant = high;
    var f = vec2<u32>(middle, low);
    let up = f.x >= 0x80000000u;
    quadrant += u32(up);
    if (up) {{ f = vec2<u32>(~f.x, ~f.y); }}
    let fraction = (f32(f.x >> 8u) * 256.0) * 2.3283064e-10 + (f32(((f.x & 0xffu) << 16u) | (f.y >> 16u))) * 3.5527137e-15;
    r = select(fraction, -fraction, up) * {half_pi};
    if (x < 0.0) {{ r = -r; quadrant = 0u - quadrant; }}
  }}
  quadrant += shift;
  let s = r * r;
  let sine = fma(s * r, {sin}, r);
  let cosine = fma(s * s, {cos}, fma(-0.5, s, 1.0));
  let y = select(sine, cosine, (quadrant & 1u) == 1u);
  return select(y, -y, (quadrant & 2u) == 2u);
}}
fn math_bits_of(k: u32) -> u32 {{
  switch k {{
    case 2u: {{ return 0xa2f9836eu; }}
    case 3u: {{ return 0x4e441529u; }}
    case 4u: {{ return 0xfc2757d1u; }}
    case 5u: {{ return 0xf534ddc0u; }}
    case 6u: {{ return 0xdb629599u; }}
    case 7u: {{ return 0x3c439041u; }}
    case 8u: {{ return 0xfe5163abu; }}
    default: {{ return 0u; }}
  }}
}}
",
        two_over_pi = float(std::f32::consts::FRAC_2_PI),
        half_pi = float(std::f32::consts::FRAC_PI_2),
        sin = poly("s", &c::SIN),
        cos = poly("s", &c::COS),
    )
}
