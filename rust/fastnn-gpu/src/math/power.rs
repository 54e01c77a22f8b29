//! Powers.

use super::poly;
use fastnn::simd::math::coefficients as c;

/// x^y by the logarithm in two parts, with the special cases of IEEE 754.
pub(super) fn power() -> String {
    format!(
        "fn math_pow(x: f32, y: f32) -> f32 {{
  let a = abs(x);
  let half = y * 0.5;
  let whole = round(y) == y;
  let odd = whole && round(half) != half && abs(y) < 16777216.0;
  let negative = (bitcast<u32>(x) & 0x80000000u) != 0u;
  if (y == 0.0 || bitcast<u32>(x) == 0x3f800000u) {{ return 1.0; }}
  if (math_is_nan(x)) {{ return x; }}
  if (math_is_nan(y)) {{ return y; }}
  if (a == 0.0 || math_is_inf(x)) {{
    let size = select(math_inf(), 0.0, (a == 0.0) == (y > 0.0));
    return select(size, -size, negative && odd);
  }}
  if (abs(y) >= 1e30) {{
    if (a == 1.0) {{ return 1.0; }}
    return select(0.0, math_inf(), (a > 1.0) == (y > 0.0));
  }}
  if (negative && !whole) {{ return math_nan(); }}
  let tiny = a < 1.1754944e-38;
  let up = select(a, a * 8388608.0, tiny);
  let e = f32(math_exponent(up)) - select(0.0, 23.0, tiny);
  let f = math_fraction(up);
  // Every high part has twelve bits, so that products of two are exact, and comes from its bits: a
  // compiler that takes sums apart as if they were exact finds nothing to take apart.
  let d = math_high(f + 2.0);
  let d_low = f - (d - 2.0);
  let s = f / (f + 2.0);
  let sh = math_high(s);
  let sl = s - sh;
  let s_low = (((f - sh * d) - sl * d) - s * d_low) / (f + 2.0);
  let t = s * s;
  let h = sh * 2.884765625;
  let h_low = fma(t * s, {p}, fma(sl + s_low, 2.88539, sh * 6.2445678e-4));
  let high = math_high(e + h);
  let low = ((e - high) + h) + h_low;
  let yh = math_high(y);
  let z = yh * high;
  let z_low = (y - yh) * high + y * low;
  let n = round(clamp(z + z_low, -200.0, 200.0));
  let r = clamp((z - n) + z_low, -1.0, 1.0);
  let size = math_scale({q}, i32(n));
  return select(size, -size, negative && odd);
}}
",
        p = poly("t", &c::POW_LOG),
        q = poly("r", &c::POW_EXP),
    )
}
