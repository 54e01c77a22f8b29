//! Functions that need no polynomial: bits, signs, whole numbers, what is not a number.

/// Functions without a polynomial.
pub(super) fn plain() -> Vec<(&'static str, String)> {
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
