//! Elementary functions as shader text. They are the CPU's, from the same coefficients, so results
//! agree to a few units in the last place on every driver; the language's own functions promise far
//! less. Names begin with `math_`; [`complete`] adds to a text those that it calls.
//!
//! Drivers may assume that there is no NaN, so tests for it look at bits.

mod circular;
mod plain;
mod power;

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
    let mut out = plain::plain();
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
    put("math_circular", circular::circular());
    put("math_pow", power::power());
    out
}
