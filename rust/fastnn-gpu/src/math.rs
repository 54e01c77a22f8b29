//! Elementary functions as shader text. They are the CPU's, from the same coefficients, so results
//! agree to a few units in the last place on every driver; the language's own functions promise far
//! less. Names begin with `math_`; [`complete`] adds to a text those that it calls.
//!
//! Drivers may assume that there is no NaN, so tests for it look at bits.

use crate::text::float;
use fastnn::simd::math::coefficients as c;
use fastnn::simd::math::{LN2_HIGH, LN2_LOW, LOG2_E};
use fastnn::sync::Slot;

static LIBRARY: Slot<Vec<(&'static str, String)>> = Slot::new();

/// The text with the definitions of all `math_` functions that it calls before it.
#[must_use]
pub fn complete(text: &str) -> String {
    let mut wanted: Vec<&str> = vec![];
    let mut found = String::new();
    called(text, &mut wanted);
    let mut at = 0;
    let library = LIBRARY.get_or_make(library);
    while at < wanted.len() {
        let name = wanted[at];
        at += 1;
        if let Some((_, body)) = library.iter().find(|(known, _)| *known == name) {
            called(body, &mut wanted);
            found.push_str(body);
        }
    }
    found.push_str(text);
    found
}

/// The names of functions of this module that a text calls.
fn called<'a>(text: &'a str, into: &mut Vec<&'a str>) {
    for (start, _) in text.match_indices("math_") {
        let word = &text[start..];
        let end = word.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(word.len());
        if !into.contains(&&word[..end]) {
            into.push(&word[..end]);
        }
    }
}

/// Horner's rule, lowest coefficient first.
fn poly(x: &str, c: &[f32]) -> String {
    let Some((last, rest)) = c.split_last() else { return "0.0".into() };
    rest.iter().rev().fold(float(*last), |inner, &c| format!("fma({inner}, {x}, {})", float(c)))
}

/// Every function with its text. Those that a function calls are found by name.
fn library() -> Vec<(&'static str, String)> {
    let (log2e, high, low) = (float(LOG2_E), float(LN2_HIGH), float(LN2_LOW));
    let half_high = float(0.5 * LN2_HIGH);
    let half_low = float(0.5 * LN2_LOW);
    let log4e = float(2.0 * LOG2_E);
    let ln2 = float(std::f32::consts::LN_2);
    let mut out = plain();
    let mut put = |name, text: String| out.push((name, text));
    put(
        "math_exp",
        format!(
            "fn math_exp(x: f32) -> f32 {{
  let b = clamp(x, -105.0, 89.0);
  let n = round(b * {log2e});
  let r = fma(-n, {low}, fma(-n, {high}, b));
  let p = fma(r * r, {q}, r);
  return math_or_nan(x, math_scale(p + 1.0, i32(n)));
}}
",
            q = poly("r", &c::EXP)
        ),
    );
    put(
        "math_expm1",
        format!(
            "fn math_expm1(x: f32) -> f32 {{
  let b = clamp(x, -18.0, 89.0);
  let n = round(b * {log2e});
  let half = math_power_of_two(i32(n) - 1);
  let r = fma(-n, {low}, fma(-n, {high}, b));
  let p = fma(r * r, {q}, r);
  let y = fma(p, half, half - 0.5);
  return math_or_nan(x, math_copysign(y + y, x));
}}
",
            q = poly("r", &c::EXPM1)
        ),
    );
    put(
        "math_log_of",
        format!(
            "fn math_log_of(e: f32, f: f32) -> f32 {{
  let p = {p};
  let f2 = f * f;
  let y = fma(f2 * f, p, e * {low});
  return fma(e, {high}, f + fma(-0.5, f2, y));
}}
",
            p = poly("f", &c::LOG)
        ),
    );
    put(
        "math_tanh",
        format!(
            "fn math_tanh(x: f32) -> f32 {{
  let b = min(9.1, abs(x));
  let n = round(b * {log4e});
  let half = math_power_of_two(i32(n) - 1);
  let r = fma(-n, {half_low}, fma(-n, {half_high}, b));
  let p = fma(r * r, {q}, r + r);
  let h = fma(p, half, half - 0.5);
  return math_or_nan(x, math_copysign(h / (h + 1.0), x));
}}
",
            q = poly("r", &c::TANH)
        ),
    );
    put(
        "math_sigmoid",
        format!(
            "fn math_sigmoid(x: f32) -> f32 {{
  let b = clamp(x, -106.0, 30.0);
  let n = round(b * {log2e});
  let r = fma(-n, {low}, fma(-n, {high}, b));
  let s = math_scale(1.0, i32(n));
  return math_or_nan(x, s / (s + {p}));
}}
",
            p = poly("r", &c::SIGMOID)
        ),
    );
    put(
        "math_erf",
        format!(
            "fn math_erf(x: f32) -> f32 {{
  let a = min(4.0, abs(x));
  let u = {u};
  let g = fma(a, {slope}, a * u);
  let n = round(-g * {log2e});
  let power = math_power_of_two(i32(n));
  let r = -fma(n, {ln2}, g);
  let p = fma(r * r, {q}, r);
  return math_or_nan(x, math_copysign(fma(-p, power, 1.0 - power), x));
}}
",
            u = poly("a", &c::ERF_LOG),
            slope = float(std::f32::consts::FRAC_2_SQRT_PI),
            q = poly("r", &c::ERF_EXP)
        ),
    );
    put(
        "math_atan",
        format!(
            "fn math_atan(x: f32) -> f32 {{
  let a = abs(x);
  var t = a;
  var start = 0.0;
  if (a > 2.4142136) {{
    t = -1.0 / a;
    start = {half_pi};
  }} else if (a >= 0.41421357) {{
    t = (a - 1.0) / (a + 1.0);
    start = {quarter_pi};
  }}
  let z = t * t;
  return math_or_nan(x, math_copysign(start + fma({p} * z, t, t), x));
}}
",
            half_pi = float(std::f32::consts::FRAC_PI_2),
            quarter_pi = float(std::f32::consts::FRAC_PI_4),
            p = poly("z", &c::ATAN)
        ),
    );
    put(
        "math_gelu",
        format!(
            "fn math_gelu(x: f32) -> f32 {{
  let a = clamp(x, -5.0837407, 5.0837407);
  let s = a * a;
  let half = 0.5 * x;
  return fma(half, a * {p} / {q}, half);
}}
",
            p = poly("s", &c::GELU_OVER),
            q = poly("s", &c::GELU_UNDER)
        ),
    );
    put(
        "math_gelu_tanh",
        format!(
            "fn math_gelu_tanh(x: f32) -> f32 {{
  let slope = fma(x * x, -0.071354814, -1.5957692);
  let v = clamp(x * slope, -80.0, 89.0);
  let n = round(v * {log2e});
  let power = math_power_of_two(i32(n));
  let r = fma(-n, {ln2}, v);
  return x / fma({p}, power, 1.0);
}}
",
            p = poly("r", &c::GELU_TANH)
        ),
    );
    put(
        "math_softplus",
        format!(
            "fn math_softplus(x: f32) -> f32 {{
  let e = math_exp(-abs(x));
  return fma(e, {p}, math_relu(x));
}}
",
            p = poly("e", &c::SOFTPLUS)
        ),
    );
    put("math_circular", circular());
    put("math_pow", power());
    out
}

/// Functions without a polynomial.
fn plain() -> Vec<(&'static str, String)> {
    [
        // Values that no literal may have: read from memory, so that nothing is folded.
        (
            "math_inf",
            "var<private> math_inf_bits: u32 = 0x7f800000u;
fn math_inf() -> f32 { return bitcast<f32>(math_inf_bits); }
",
        ),
        (
            "math_nan",
            "var<private> math_nan_bits: u32 = 0x7fc00000u;
fn math_nan() -> f32 { return bitcast<f32>(math_nan_bits); }
",
        ),
        (
            "math_is_nan",
            "fn math_is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
",
        ),
        (
            "math_is_inf",
            "fn math_is_inf(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u; }
",
        ),
        (
            "math_is_finite",
            "fn math_is_finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) < 0x7f800000u; }
",
        ),
        // NaN where `x` is NaN, else `y`.
        (
            "math_or_nan",
            "fn math_or_nan(x: f32, y: f32) -> f32 { return select(y, x, math_is_nan(x)); }
",
        ),
        (
            "math_max",
            "fn math_max(a: f32, b: f32) -> f32 { return math_or_nan(a, math_or_nan(b, max(a, b))); }
",
        ),
        (
            "math_min",
            "fn math_min(a: f32, b: f32) -> f32 { return math_or_nan(a, math_or_nan(b, min(a, b))); }
",
        ),
        (
            "math_relu",
            "fn math_relu(x: f32) -> f32 { return math_or_nan(x, max(x, 0.0)); }
",
        ),
        (
            "math_sign",
            "fn math_sign(x: f32) -> f32 { return math_or_nan(x, sign(x)); }
",
        ),
        // Chosen, not put together from bits: a driver (Mesa 22) compiles that wrongly where a test for
        // NaN follows and `s` was computed.
        (
            "math_copysign",
            "fn math_copysign(x: f32, s: f32) -> f32 {
  return select(abs(x), -abs(x), (bitcast<u32>(s) >> 31u) != 0u);
}
",
        ),
        // 2^n for -126 <= n <= 127, 0 below and infinite above.
        (
            "math_power_of_two",
            "fn math_power_of_two(n: i32) -> f32 { return bitcast<f32>(u32(clamp(n + 127, 0, 255)) << 23u); }
",
        ),
        // a 2^n in two factors, of which the first product is exact.
        (
            "math_scale",
            "fn math_scale(a: f32, n: i32) -> f32 {
  let first = n >> 1u;
  return a * math_power_of_two(first) * math_power_of_two(n - first);
}
",
        ),
        // x = 2^e (1 + f) with f in [sqrt(1/2) - 1, sqrt(2) - 1], for normal positive x.
        (
            "math_exponent",
            "fn math_exponent(x: f32) -> i32 { return (bitcast<i32>(x) - 0x3f3504f3) >> 23u; }
",
        ),
        (
            "math_fraction",
            "fn math_fraction(x: f32) -> f32 {
  return bitcast<f32>(((bitcast<i32>(x) - 0x3f3504f3) & 0x007fffff) + 0x3f3504f3) - 1.0;
}
",
        ),
        // The rules at zero, below zero and at infinity, for a logarithm `y` of `x`.
        (
            "math_log_edge",
            "fn math_log_edge(x: f32, y: f32) -> f32 {
  if (math_is_nan(x)) { return x; }
  if (x == 0.0) { return -math_inf(); }
  if (x < 0.0) { return math_nan(); }
  return select(y, x, math_is_inf(x));
}
",
        ),
        (
            "math_log",
            "fn math_log(x: f32) -> f32 {
  let tiny = x < 1.1754944e-38;
  let up = select(x, x * 8388608.0, tiny);
  let e = f32(math_exponent(up)) - select(0.0, 23.0, tiny);
  return math_log_edge(x, math_log_of(e, math_fraction(up)));
}
",
        ),
        (
            "math_log1p",
            "fn math_log1p(x: f32) -> f32 {
  let u = x + 1.0;
  let e = math_exponent(u);
  let down = math_power_of_two(-e);
  let f = select(math_fraction(u), fma(x, down, down - 1.0), x < 16777216.0);
  let y = math_log_edge(u, math_log_of(f32(e), f));
  return select(y, x, abs(x) < 1e-8);
}
",
        ),
        (
            "math_sin",
            "fn math_sin(x: f32) -> f32 {
  return select(math_circular(x, 0u), x, abs(x) < 1e-4);
}
",
        ),
        (
            "math_cos",
            "fn math_cos(x: f32) -> f32 { return math_circular(x, 1u); }
",
        ),
        // The high and low word of a product.
        (
            "math_wide",
            "fn math_wide(a: u32, b: u32) -> vec2<u32> {
  let a0 = a & 0xffffu; let a1 = a >> 16u;
  let b0 = b & 0xffffu; let b1 = b >> 16u;
  let low = a0 * b0;
  let mid = a1 * b0 + (low >> 16u);
  let cross = a0 * b1 + (mid & 0xffffu);
  return vec2<u32>(a1 * b1 + (mid >> 16u) + (cross >> 16u), (cross << 16u) | (low & 0xffffu));
}
",
        ),
        // The remainder of the exact quotient, with the sign of `a`: long division of the bits.
        (
            "math_fmod",
            "fn math_fmod(a: f32, b: f32) -> f32 {
  let x = bitcast<u32>(a) & 0x7fffffffu;
  let y = bitcast<u32>(b) & 0x7fffffffu;
  if (y == 0u || x >= 0x7f800000u || y > 0x7f800000u) { return math_nan(); }
  if (x < y) { return a; }
  var ex = i32(x >> 23u);
  var ey = i32(y >> 23u);
  var mx = x & 0x7fffffu;
  var my = y & 0x7fffffu;
  if (ex == 0) { let up = countLeadingZeros(mx) - 8u; mx <<= up; ex = 1 - i32(up); } else { mx |= 0x800000u; }
  if (ey == 0) { let up = countLeadingZeros(my) - 8u; my <<= up; ey = 1 - i32(up); } else { my |= 0x800000u; }
  for (var e = ex; e > ey; e -= 1) {
    if (mx >= my) { mx -= my; }
    mx <<= 1u;
  }
  if (mx >= my) { mx -= my; }
  let sign = bitcast<u32>(a) & 0x80000000u;
  if (mx == 0u) { return bitcast<f32>(sign); }
  let up = countLeadingZeros(mx) - 8u;
  mx <<= up;
  ey -= i32(up);
  if (ey > 0) { return bitcast<f32>(sign | (u32(ey) << 23u) | (mx & 0x7fffffu)); }
  return bitcast<f32>(sign | (mx >> u32(1 - ey)));
}
",
        ),
        // NumPy's: the exact remainder with the sign of `b`, and the quotient that goes with it.
        (
            "math_mod",
            "fn math_mod(a: f32, b: f32) -> f32 {
  let m = math_fmod(a, b);
  if (math_is_nan(m)) { return m; }
  if (m == 0.0) { return math_copysign(0.0, b); }
  return select(m, m + b, (b < 0.0) != (m < 0.0));
}
",
        ),
        (
            "math_floor_divide",
            "fn math_floor_divide(a: f32, b: f32) -> f32 {
  if (b == 0.0) { return a / b; }
  let m = math_fmod(a, b);
  if (math_is_nan(m)) { return m; }
  var q = (a - m) / b;
  if (m != 0.0 && (b < 0.0) != (m < 0.0)) { q -= 1.0; }
  if (q == 0.0) { return math_copysign(0.0, a / b); }
  let whole = floor(q);
  return select(whole, whole + 1.0, q - whole > 0.5);
}
",
        ),
        // 0 where `b` is 0, as in NumPy.
        (
            "math_floor_divide_int",
            "fn math_floor_divide_int(a: i32, b: i32) -> i32 {
  if (b == 0) { return 0; }
  if (b == -1) { return 0 - a; }
  let q = a / b;
  return select(q, q - 1, a - q * b != 0 && (a < 0) != (b < 0));
}
",
        ),
        (
            "math_mod_int",
            "fn math_mod_int(a: i32, b: i32) -> i32 {
  if (b == 0 || b == -1) { return 0; }
  let m = a - (a / b) * b;
  return select(m, m + b, m != 0 && (m < 0) != (b < 0));
}
",
        ),
        // Toward zero; NaN and numbers out of range give the least integer.
        (
            "math_to_int",
            "fn math_to_int(x: f32) -> i32 {
  let large = (bitcast<u32>(x) & 0x7fffffffu) >= 0x4f000000u;
  return select(i32(select(x, 0.0, large)), bitcast<i32>(0x80000000u), large);
}
",
        ),
        // The nearest number of eight bits of fraction, ties to even.
        (
            "math_bfloat16",
            "fn math_bfloat16(x: f32) -> f32 {
  let u = bitcast<u32>(x);
  let y = bitcast<f32>((u + 0x7fffu + ((u >> 16u) & 1u)) & 0xffff0000u);
  return math_or_nan(x, y);
}
",
        ),
        (
            "math_float16",
            "fn math_float16(x: f32) -> f32 {
  let u = bitcast<u32>(x) & 0x7fffffffu;
  if (u > 0x7f800000u) { return x; }
  if (u >= 0x477ff000u) { return math_copysign(math_inf(), x); }
  if (u < 0x38800000u) { return math_copysign(round(abs(x) * 16777216.0) * 5.9604645e-8, x); }
  return math_copysign(bitcast<f32>((u + 0xfffu + ((u >> 13u) & 1u)) & 0xffffe000u), x);
}
",
        ),
        // The number itself, of which a compiler does not know how it came about.
        (
            "math_kept",
            "var<private> math_zero: u32;
fn math_kept(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) ^ math_zero); }
",
        ),
        // The number to twelve bits.
        (
            "math_high",
            "fn math_high(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u); }
",
        ),
    ]
    .map(|(name, text)| (name, text.to_owned()))
    .into()
}

/// sin (`shift` 0) and cos (`shift` 1). Far from zero the quotient by pi / 2 comes from a product with
/// as many bits of 2 / pi as matter.
fn circular() -> String {
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
    var w = array<u32, 4>(0u, 0u, 0u, 0u);
    for (var k = 0u; k < 4u; k += 1u) {{
      let a = math_bits_of(word + k);
      let b = math_bits_of(word + k + 1u);
      w[k] = select((a << bit) | (b >> ((32u - bit) & 31u)), a, bit == 0u);
    }}
    let p3 = math_wide(m, w[3]);
    let p2 = math_wide(m, w[2]);
    let p1 = math_wide(m, w[1]);
    let low = p2.y + p3.x;
    let carry = u32(low < p3.x);
    let mid = p1.y + p2.x;
    let carry2 = u32(mid < p2.x);
    let middle = mid + carry;
    let high = m * w[0] + p1.x + carry2 + u32(middle < carry);
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

/// x^y by the logarithm in two parts, with the special cases of IEEE 754.
fn power() -> String {
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
