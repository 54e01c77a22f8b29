//! Vector elementary functions on any [`Simd`]: Cody-Waite reductions and minimax polynomials or
//! rationals (own Remez/Lawson fits; method of Muller, "Elementary Functions", 3rd ed.), no tables.
//! Every lane depends on its own inputs only, and AVX-512 and AVX2 agree bit for bit. The stated
//! errors hold for all f32 inputs, with and without fused multiply-add; NaN in gives NaN out.
//!
//! All functions are `unsafe` for the reason [`Simd`] gives: the processor must have the set.

use super::{LANES, Simd};

/// Coefficients of the polynomials, lowest power first. Public so that back ends that write their own
/// code compute the same ones.
pub mod coefficients {
    /// (e^r - 1 - r) / r^2 for |r| <= (ln 2) / 2.
    pub const EXP: [f32; 5] = [0.499_999_94, 0.166_665_21, 0.041_668_274, 0.008_368_686, 0.001_382_013_8];
    /// The same for `expm1`.
    pub const EXPM1: [f32; 5] = [0.499_999_97, 0.166_665_46, 0.041_667_435, 0.008_366_272, 0.001_387_069_6];
    /// (ln(1 + f) - f + f^2 / 2) / f^3.
    pub const LOG: [f32; 9] = [
        0.333_333_13,
        -0.250_000_1,
        0.200_020_72,
        -0.166_679_89,
        0.142_203_6,
        -0.124_062_4,
        0.118_835_375,
        -0.116_700_25,
        0.067_491_9,
    ];
    /// (e^2r - 1 - 2 r) / r^2.
    pub const TANH: [f32; 5] = [1.999_999_9, 1.333_323_7, 0.666_678_97, 0.267_720_7, 0.088_772_45];
    /// e^-r.
    pub const SIGMOID: [f32; 7] =
        [1.0, -1.0, 0.499_999_94, -0.166_665_21, 0.041_668_274, -0.008_368_686, 0.001_382_013_8];
    /// -ln(1 - erf a) / a - 2 / sqrt(pi).
    pub const ERF_LOG: [f32; 9] = [
        -5.373_110_7e-8,
        0.636_619_4,
        0.102_777_734,
        -0.019_152_684,
        -1.610_987_1e-4,
        0.001_667_718_2,
        -6.332_064e-4,
        1.177_424_4e-4,
        -9.267_32e-6,
    ];
    /// (e^r - 1 - r) / r^2 for `erf`.
    pub const ERF_EXP: [f32; 5] = [0.499_999_97, 0.166_665_46, 0.041_667_435, 0.008_366_272, 0.001_387_069_6];
    /// (atan t - t) / t^3 in t^2.
    pub const ATAN: [f32; 4] = [-0.333_329_5, 0.199_777_1, -0.138_776_85, 0.080_537_44];
    /// erf(a / sqrt 2) / a in a^2, numerator.
    pub const GELU_OVER: [f32; 5] = [0.797_884_4, 0.103_582_45, 0.011_373_2, 6.738_176_5e-4, 1.221_229_4e-5];
    /// Its denominator.
    pub const GELU_UNDER: [f32; 6] =
        [1.0, 0.296_484_77, 0.038_676_55, 0.002_846_57, 1.200_413_2e-4, 5.139_387_4e-7];
    /// e^r for `gelu_tanh`.
    pub const GELU_TANH: [f32; 6] =
        [1.0, 0.999_999_7, 0.499_991_48, 0.166_676_49, 0.041_898_247, 0.008_289_685_5];
    /// (sin r - r) / r^3 in r^2.
    pub const SIN: [f32; 3] = [-0.166_666_55, 0.008_332_187, -1.951_790_8e-4];
    /// (cos r - 1 + r^2 / 2) / r^4 in r^2.
    pub const COS: [f32; 3] = [0.041_666_646, -0.001_388_731, 2.443_233e-5];
    /// (log2((1 + s) / (1 - s)) - 2 s / ln 2) / s^3 in s^2.
    pub const POW_LOG: [f32; 4] = [0.961_796_7, 0.577_078_9, 0.411_921_53, 0.336_621_1];
    /// 2^r for |r| <= 1/2.
    pub const POW_EXP: [f32; 7] = [
        1.0,
        std::f32::consts::LN_2,
        0.240_226_48,
        0.055_503_596,
        0.009_618_505,
        0.001_339_102_5,
        1.532_719_6e-4,
    ];
    /// ln(1 + e) / e on [0, 1].
    pub const SOFTPLUS: [f32; 9] = [
        0.999_999_94,
        -0.499_991_66,
        0.333_133_58,
        -0.248_027_73,
        0.189_629_99,
        -0.133_808_52,
        0.075_088_66,
        -0.027_669_912,
        0.004_792_848_6,
    ];
}

// Horner's rule.
#[inline(always)]
unsafe fn poly<S: Simd, const N: usize>(x: S::F, c: [f32; N]) -> S::F {
    let mut y = S::splat(c[N - 1]);
    for k in (0..N - 1).rev() {
        y = S::fma(y, x, S::splat(c[k]));
    }
    y
}

/// log2 e.
pub const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts; the first has nine bits, so its product with an exponent is exact.
pub const LN2_HIGH: f32 = 0.693_359_4;
/// The second part.
pub const LN2_LOW: f32 = -2.121_944_4e-4;
// Adding it leaves the nearest integer, ties to even, in the low bits.
const ROUND: f32 = 12_582_912.0;

// (n, x - n ln 2) for |x| < 2^20.
#[inline(always)]
unsafe fn split_exp<S: Simd>(x: S::F) -> (S::F, S::F) {
    let magic = S::splat(ROUND);
    let n = S::sub(S::fma(x, S::splat(LOG2_E), magic), magic);
    let r = S::fnma(n, S::splat(LN2_LOW), S::fnma(n, S::splat(LN2_HIGH), x));
    (n, r)
}

/// e^x; 1.0 ulp.
#[inline(always)]
pub unsafe fn exp<S: Simd>(x: S::F) -> S::F {
    // Beyond these bounds the result is infinite or zero. NaN stays: it is the second operand.
    bounded_exp::<S>(S::max(S::splat(-105.0), S::min(S::splat(89.0), x)))
}

// e^x for x from -105 to 89, and NaN.
#[inline(always)]
unsafe fn bounded_exp<S: Simd>(x: S::F) -> S::F {
    let (n, r) = split_exp::<S>(x);
    let q = poly::<S, _>(r, coefficients::EXP);
    let p = S::fma(S::mul(r, r), q, r);
    S::scale(S::add(p, S::splat(1.0)), n)
}

/// [`exp`] where results of 0 are common, as behind the end of a row or under a mask: they do not go
/// through underflow, which costs Intel's processors some hundred cycles. The same bits.
#[inline(always)]
pub unsafe fn exp_or_zero<S: Simd>(x: S::F) -> S::F {
    // e^-104 rounds to 0. NaN is not below it.
    let zero = S::lt(x, S::splat(-104.0));
    let x = S::min(S::splat(89.0), x);
    if !S::any(zero) {
        return bounded_exp::<S>(x);
    }
    let y = bounded_exp::<S>(S::select(zero, S::splat(0.0), x));
    S::select(zero, S::splat(0.0), y)
}

/// e^x - 1; 2 ulp.
#[inline(always)]
pub unsafe fn expm1<S: Simd>(x: S::F) -> S::F {
    let bounded = S::max(S::splat(-18.0), S::min(S::splat(89.0), x));
    let magic = S::splat(ROUND + 126.0);
    let shifted = S::fma(bounded, S::splat(LOG2_E), magic);
    // 2^(n-1): half, so that n = 128 stays finite.
    let half = S::from_bits(S::shl_i::<23>(S::bits(shifted)));
    let n = S::sub(shifted, magic);
    let r = S::fnma(n, S::splat(LN2_LOW), S::fnma(n, S::splat(LN2_HIGH), bounded));
    let q = poly::<S, _>(r, coefficients::EXPM1);
    let p = S::fma(S::mul(r, r), q, r);
    let y = S::fma(p, half, S::sub(half, S::splat(0.5)));
    S::copysign(S::add(y, y), x)
}

// (e, f) with x = 2^e (1 + f), f in [sqrt(1/2) - 1, sqrt(2) - 1], for normal positive x.
#[inline(always)]
unsafe fn split_log<S: Simd>(x: S::F) -> (S::I, S::F) {
    let i = S::sub_i(S::bits(x), S::splat_i(0x3f35_04f3));
    let e = S::sar_i::<23>(i);
    let m = S::from_bits(S::add_i(S::and_i(i, S::splat_i(0x007f_ffff)), S::splat_i(0x3f35_04f3)));
    (e, S::sub(m, S::splat(1.0)))
}

// e ln 2 + log1p(f).
#[inline(always)]
unsafe fn join_log<S: Simd>(e: S::F, f: S::F) -> S::F {
    let p = poly::<S, _>(f, coefficients::LOG);
    let f2 = S::mul(f, f);
    let y = S::fma(S::mul(f2, f), p, S::mul(e, S::splat(LN2_LOW)));
    let y = S::fnma(S::splat(0.5), f2, y);
    S::fma(e, S::splat(LN2_HIGH), S::add(f, y))
}

// The rules at zero, below zero and at infinity, for a logarithm `y` of `x`. NaN gives NaN.
#[inline(always)]
unsafe fn edge_log<S: Simd>(x: S::F, y: S::F) -> S::F {
    let zero = S::splat(0.0);
    let inf = S::splat(f32::INFINITY);
    let y = S::select(S::lt(x, inf), y, x);
    let y = S::select(S::lt(x, zero), S::splat(f32::NAN), y);
    S::select(S::eq(x, zero), S::splat(f32::NEG_INFINITY), y)
}

/// ln x; 1.0 ulp.
#[inline(always)]
pub unsafe fn log<S: Simd>(x: S::F) -> S::F {
    let normal = S::and_m(S::le(S::splat(f32::MIN_POSITIVE), x), S::lt(x, S::splat(f32::INFINITY)));
    if S::any(S::not_m(normal)) {
        return log_edges::<S>(x);
    }
    let (e, f) = split_log::<S>(x);
    join_log::<S>(S::to_f(e), f)
}

// `log` with subnormals and the rules of `edge_log`.
#[inline(always)]
unsafe fn log_edges<S: Simd>(x: S::F) -> S::F {
    let tiny = S::lt(x, S::splat(f32::MIN_POSITIVE));
    let up = S::select(tiny, S::mul(x, S::splat(8_388_608.0)), x);
    let (e, f) = split_log::<S>(up);
    let e = S::sub(S::to_f(e), S::select(tiny, S::splat(23.0), S::splat(0.0)));
    edge_log::<S>(x, join_log::<S>(e, f))
}

/// ln(1 + x); 2 ulp.
#[inline(always)]
pub unsafe fn log1p<S: Simd>(x: S::F) -> S::F {
    let one = S::splat(1.0);
    let u = S::add(x, one);
    let (e, rounded) = split_log::<S>(u);
    // 2^-e; the exact f = 2^-e x + (2^-e - 1) keeps the bits that 1 + x lost.
    let down = S::from_bits(S::shl_i::<23>(S::sub_i(S::splat_i(127), e)));
    let exact = S::fma(x, down, S::sub(down, one));
    let f = S::select(S::lt(x, S::splat(16_777_216.0)), exact, rounded);
    let y = edge_log::<S>(u, join_log::<S>(S::to_f(e), f));
    // Near zero 1 + x is 1; the result is x itself, with its sign and its subnormals.
    S::select(S::lt(S::abs(x), S::splat(1e-8)), x, y)
}

/// tanh x; 3 ulp: h / (h + 1) with h = (e^(2|x|) - 1) / 2.
#[inline(always)]
pub unsafe fn tanh<S: Simd>(x: S::F) -> S::F {
    // 2^(n-1) (1 + p) - 1/2 with n = round(2 |x| / ln 2), r = |x| - n (ln 2) / 2.
    let bounded = S::min(S::splat(9.1), S::abs(x));
    let magic = S::splat(ROUND + 126.0);
    let shifted = S::fma(bounded, S::splat(2.0 * LOG2_E), magic);
    let half = S::from_bits(S::shl_i::<23>(S::bits(shifted)));
    let n = S::sub(shifted, magic);
    let r = S::fnma(n, S::splat(0.5 * LN2_LOW), S::fnma(n, S::splat(0.5 * LN2_HIGH), bounded));
    let q = poly::<S, _>(r, coefficients::TANH);
    let p = S::fma(S::mul(r, r), q, S::add(r, r));
    let h = S::fma(p, half, S::sub(half, S::splat(0.5)));
    S::copysign(S::div(h, S::add(h, S::splat(1.0))), x)
}

/// 1 / (1 + e^-x); 3 ulp, subnormal results included.
#[inline(always)]
pub unsafe fn sigmoid<S: Simd>(x: S::F) -> S::F {
    // s / (s + e^-r) with s = 2^n, x = n ln 2 + r: nothing overflows and small results stay exact.
    let x = S::max(S::splat(-106.0), S::min(S::splat(30.0), x));
    let (n, r) = split_exp::<S>(x);
    let p = poly::<S, _>(r, coefficients::SIGMOID);
    let s = S::scale(S::splat(1.0), n);
    S::div(s, S::add(s, p))
}

/// The error function; 3 ulp: 1 - e^-g with g = -ln(1 - erf |x|), a polynomial.
#[inline(always)]
pub unsafe fn erf<S: Simd>(x: S::F) -> S::F {
    let a = S::min(S::splat(4.0), S::abs(x));
    // 2 / sqrt(pi) in two parts, the second with the higher terms.
    let u = poly::<S, _>(a, coefficients::ERF_LOG);
    let g = S::fma(a, S::splat(std::f32::consts::FRAC_2_SQRT_PI), S::mul(a, u));
    // e^-g = 2^n (1 + p); one part of ln 2 will do, because e^-g is small where n is large.
    let magic = S::splat(ROUND + 127.0);
    let shifted = S::fnma(g, S::splat(LOG2_E), magic);
    let power = S::from_bits(S::shl_i::<23>(S::bits(shifted)));
    let r = S::neg(S::fma(S::sub(shifted, magic), S::splat(std::f32::consts::LN_2), g));
    let q = poly::<S, _>(r, coefficients::ERF_EXP);
    let p = S::fma(S::mul(r, r), q, r);
    S::copysign(S::fnma(p, power, S::sub(S::splat(1.0), power)), x)
}

/// The angle whose tangent is x; 3 ulp. Beyond tan(pi / 8) by pi / 4 - atan((1 - a) / (1 + a)),
/// beyond its inverse by pi / 2 - atan(1 / a): the polynomial (S. Moshier's) sees small numbers.
#[inline(always)]
pub unsafe fn atan<S: Simd>(x: S::F) -> S::F {
    let (a, one) = (S::abs(x), S::splat(1.0));
    let far = S::lt(S::splat(2.414_213_6), a);
    let near = S::lt(a, S::splat(0.414_213_57));
    let below = S::select(near, a, S::div(S::sub(a, one), S::add(a, one)));
    let t = S::select(far, S::div(S::splat(-1.0), a), below);
    let start = S::select(
        far,
        S::splat(std::f32::consts::FRAC_PI_2),
        S::select(near, S::splat(0.0), S::splat(std::f32::consts::FRAC_PI_4)),
    );
    let z = S::mul(t, t);
    let p = poly::<S, _>(z, coefficients::ATAN);
    S::copysign(S::add(start, S::fma(S::mul(p, z), t, t)), x)
}

/// x (1 + erf(x / sqrt 2)) / 2; absolute error 4e-7 max(1, |x|), and exactly x or 0 far out.
#[inline(always)]
pub unsafe fn gelu<S: Simd>(x: S::F) -> S::F {
    // A minimax fit of erf(a / sqrt 2) / a; at this bound it is exactly 1, fused or not.
    let a = S::max(S::splat(-5.083_740_7), S::min(S::splat(5.083_740_7), x));
    let s = S::mul(a, a);
    let p = poly::<S, _>(s, coefficients::GELU_OVER);
    let q = poly::<S, _>(s, coefficients::GELU_UNDER);
    let half = S::mul(S::splat(0.5), x);
    S::fma(half, S::div(S::mul(a, p), q), half)
}

/// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2; absolute error 4e-7 max(1, |x|).
#[inline(always)]
pub unsafe fn gelu_tanh<S: Simd>(x: S::F) -> S::F {
    // (1 + tanh u) / 2 = 1 / (1 + e^-2u), where e^89 counts as infinite.
    let slope = S::fma(S::mul(x, x), S::splat(-0.071_354_814), S::splat(-1.595_769_2));
    let v = S::max(S::splat(-80.0), S::min(S::splat(89.0), S::mul(x, slope)));
    let magic = S::splat(ROUND + 127.0);
    let shifted = S::fma(v, S::splat(LOG2_E), magic);
    let power = S::from_bits(S::shl_i::<23>(S::bits(shifted)));
    let r = S::fnma(S::sub(shifted, magic), S::splat(std::f32::consts::LN_2), v);
    let p = poly::<S, _>(r, coefficients::GELU_TANH);
    S::div(x, S::fma(p, power, S::splat(1.0)))
}

// The lanes of `y` where `m` holds, replaced by `f` of the lanes of `a` and `b` in f64.
#[inline(never)]
unsafe fn repair<S: Simd>(m: S::M, y: S::F, a: S::F, b: S::F, f: fn(f64, f64) -> f64) -> S::F {
    let (mut mask, mut out, mut x, mut z) = ([0f32; LANES], [0f32; LANES], [0f32; LANES], [0f32; LANES]);
    S::store(mask.as_mut_ptr(), S::truth(m));
    S::store(out.as_mut_ptr(), y);
    S::store(x.as_mut_ptr(), a);
    S::store(z.as_mut_ptr(), b);
    for i in 0..LANES {
        if mask[i] != 0.0 {
            out[i] = f(f64::from(x[i]), f64::from(z[i])) as f32;
        }
    }
    S::load(out.as_ptr())
}

// sin(x) for `shift` 0, cos(x) for `shift` 1, where |x| is in reach of the reduction.
#[inline(always)]
unsafe fn circular<S: Simd>(x: S::F, shift: i32) -> S::F {
    let magic = S::splat(ROUND);
    let shifted = S::fma(x, S::splat(std::f32::consts::FRAC_2_PI), magic);
    let n = S::sub(shifted, magic);
    // n pi/2 in parts. Fused, each step rounds once; otherwise the parts are short enough that
    // their products are exact.
    let r = if S::FUSED {
        let r = S::fnma(n, S::splat(1.570_796_4), x);
        let r = S::fnma(n, S::splat(-4.371_139e-8), r);
        S::fnma(n, S::splat(-1.715_124_5e-15), r)
    } else {
        let r = S::fnma(n, S::splat(1.570_312_5), x);
        let r = S::fnma(n, S::splat(4.837_513e-4), r);
        let r = S::fnma(n, S::splat(7.549_533_6e-8), r);
        S::fnma(n, S::splat(2.563_344e-12), r)
    };
    let quadrant = S::add_i(S::bits(shifted), S::splat_i(shift));
    let s = S::mul(r, r);
    let p = poly::<S, _>(s, coefficients::SIN);
    let sine = S::fma(S::mul(s, r), p, r);
    let p = poly::<S, _>(s, coefficients::COS);
    let cosine = S::fma(S::mul(s, s), p, S::fnma(S::splat(0.5), s, S::splat(1.0)));
    let odd = S::eq_i(S::and_i(quadrant, S::splat_i(1)), S::splat_i(1));
    let sign = S::shl_i::<30>(S::and_i(quadrant, S::splat_i(2)));
    let y = S::select(odd, cosine, sine);
    S::from_bits(S::xor_i(S::bits(y), sign))
}

// Beyond it the three- or four-part reduction runs out of bits.
#[inline(always)]
unsafe fn beyond<S: Simd>(x: S::F) -> S::M {
    S::lt(S::splat(if S::FUSED { 100_000.0 } else { 10_000.0 }), S::abs(x))
}

/// sin x; 2 ulp.
#[inline(always)]
pub unsafe fn sin<S: Simd>(x: S::F) -> S::F {
    let y = circular::<S>(x, 0);
    // Keeps -0.0 and subnormals.
    let y = S::select(S::lt(S::abs(x), S::splat(1e-4)), x, y);
    let far = beyond::<S>(x);
    if S::any(far) { repair::<S>(far, y, x, x, |x, _| x.sin()) } else { y }
}

/// cos x; 2 ulp.
#[inline(always)]
pub unsafe fn cos<S: Simd>(x: S::F) -> S::F {
    let y = circular::<S>(x, 1);
    let far = beyond::<S>(x);
    if S::any(far) { repair::<S>(far, y, x, x, |x, _| x.cos()) } else { y }
}

/// x^y with the special cases of IEEE 754 `pow`; 4 ulp.
#[inline(always)]
pub unsafe fn pow<S: Simd>(x: S::F, y: S::F) -> S::F {
    if !S::FUSED {
        return repair::<S>(S::eq_i(S::splat_i(0), S::splat_i(0)), x, x, y, f64::powf);
    }
    let a = S::abs(x);
    let normal = S::and_m(S::le(S::splat(f32::MIN_POSITIVE), a), S::lt(a, S::splat(f32::INFINITY)));
    let plain = S::and_m(normal, S::lt(S::abs(y), S::splat(1e30)));
    // log2(a) = e + log2(1 + f) as high + low: 2 atanh(s), s = f / (2 + f) in two parts.
    let (e, f) = split_log::<S>(a);
    let e = S::to_f(e);
    let d = S::add(f, S::splat(2.0));
    let d_low = S::sub(f, S::sub(d, S::splat(2.0)));
    let s = S::div(f, d);
    let s_low = S::div(S::fnma(s, d_low, S::fnma(s, d, f)), d);
    let t = S::mul(s, s);
    let p = poly::<S, _>(t, coefficients::POW_LOG);
    // 2 / ln 2 in two parts.
    let (c, c_low) = (S::splat(2.885_39), S::splat(3.851_926e-8));
    let h = S::mul(s, c);
    let h_low = S::fma(s_low, c, S::fma(s, c_low, S::fma(s, c, S::neg(h))));
    let tail = S::fma(S::mul(t, s), p, h_low);
    let high = S::add(e, h);
    // |e| >= |h| or e = 0, so the two-sum needs no branch.
    let low = S::add(S::add(S::sub(e, high), h), tail);
    let log = S::add(high, low);
    let log_low = S::add(S::sub(high, log), low);
    // 2^(y log2 a).
    let z = S::mul(y, log);
    let z_low = S::fma(y, log_low, S::fma(y, log, S::neg(z)));
    let bounded = S::max(S::splat(-200.0), S::min(S::splat(200.0), z));
    let n = S::round(bounded);
    let r = S::add(S::sub(bounded, n), S::max(S::splat(-1.0), S::min(S::splat(1.0), z_low)));
    let q = poly::<S, _>(r, coefficients::POW_EXP);
    let power = S::scale(q, n);
    // A negative base: odd exponents negate, fractional ones have no real value.
    let below = S::lt(x, S::splat(0.0));
    let half = S::mul(y, S::splat(0.5));
    let whole = S::eq(S::round(y), y);
    let odd = S::and_m(whole, S::not_m(S::eq(S::round(half), half)));
    let power = S::select(S::and_m(below, odd), S::neg(power), power);
    let power = S::select(S::and_m(below, S::not_m(whole)), S::splat(f32::NAN), power);
    let rest = S::not_m(plain);
    if S::any(rest) { repair::<S>(rest, power, x, y, f64::powf) } else { power }
}

/// 1 / sqrt(x), both steps correctly rounded; 1.5 ulp.
#[inline(always)]
pub unsafe fn rsqrt<S: Simd>(x: S::F) -> S::F {
    S::div(S::splat(1.0), S::sqrt(x))
}

/// -1, 0 or 1; NaN for NaN.
#[inline(always)]
pub unsafe fn sign<S: Simd>(x: S::F) -> S::F {
    let zero = S::splat(0.0);
    let y = S::select(S::lt(x, zero), S::splat(-1.0), S::add(x, zero));
    S::select(S::lt(zero, x), S::splat(1.0), y)
}

/// max(a, b), NaN if either is.
#[inline(always)]
pub unsafe fn maximum<S: Simd>(a: S::F, b: S::F) -> S::F {
    S::select(S::is_nan(a), a, S::max(a, b))
}

/// min(a, b), NaN if either is.
#[inline(always)]
pub unsafe fn minimum<S: Simd>(a: S::F, b: S::F) -> S::F {
    S::select(S::is_nan(a), a, S::min(a, b))
}

/// max(x, 0), NaN for NaN.
#[inline(always)]
pub unsafe fn relu<S: Simd>(x: S::F) -> S::F {
    S::max(S::splat(0.0), x)
}

/// ln(1 + e^x) without overflow; 3 ulp.
#[inline(always)]
pub unsafe fn softplus<S: Simd>(x: S::F) -> S::F {
    let e = exp::<S>(S::from_bits(S::or_i(S::bits(x), S::splat_i(i32::MIN))));
    // ln(1 + e) / e on [0, 1].
    let p = poly::<S, _>(e, coefficients::SOFTPLUS);
    S::fma(e, p, relu::<S>(x))
}

#[inline(always)]
unsafe fn each<S: Simd>(a: S::F, b: S::F, f: impl Fn(f32, f32) -> f32) -> S::F {
    let (mut x, mut y) = ([0f32; LANES], [0f32; LANES]);
    S::store(x.as_mut_ptr(), a);
    S::store(y.as_mut_ptr(), b);
    for i in 0..LANES {
        x[i] = f(x[i], y[i]);
    }
    S::load(x.as_ptr())
}

// NumPy's `divmod`: the exact remainder with the sign of `b`, and the quotient that goes with it.
fn divmod_f32(a: f32, b: f32) -> (f32, f32) {
    if b == 0.0 {
        return (a / b, f32::NAN);
    }
    let mut m = a % b;
    let mut q = (a - m) / b;
    if m == 0.0 {
        m = 0.0f32.copysign(b);
    } else if (b < 0.0) != (m < 0.0) {
        m += b;
        q -= 1.0;
    }
    if q == 0.0 {
        return (0.0f32.copysign(a / b), m);
    }
    let floor = q.floor();
    (if q - floor > 0.5 { floor + 1.0 } else { floor }, m)
}

/// `numpy.floor_divide`: the floor of the exact quotient.
#[inline(always)]
pub unsafe fn floor_divide<S: Simd>(a: S::F, b: S::F) -> S::F {
    each::<S>(a, b, |a, b| divmod_f32(a, b).0)
}

/// `numpy.mod`: the exact remainder, with the sign of `b`.
#[inline(always)]
pub unsafe fn modulo<S: Simd>(a: S::F, b: S::F) -> S::F {
    each::<S>(a, b, |a, b| divmod_f32(a, b).1)
}

#[inline(always)]
unsafe fn each_i<S: Simd>(a: S::I, b: S::I, f: impl Fn(i32, i32) -> i32) -> S::I {
    let (mut x, mut y) = ([0i32; LANES], [0i32; LANES]);
    S::store_i(x.as_mut_ptr(), a);
    S::store_i(y.as_mut_ptr(), b);
    for i in 0..LANES {
        x[i] = f(x[i], y[i]);
    }
    S::load_i(x.as_ptr())
}

/// Integer floor division; 0 where `b` is 0, as in NumPy.
#[inline(always)]
pub unsafe fn floor_divide_i<S: Simd>(a: S::I, b: S::I) -> S::I {
    each_i::<S>(a, b, |a, b| {
        if b == 0 {
            return 0;
        }
        let q = a.wrapping_div(b);
        if a.wrapping_rem(b) != 0 && (a < 0) != (b < 0) { q - 1 } else { q }
    })
}

/// Integer remainder with the sign of `b`; 0 where `b` is 0, as in NumPy.
#[inline(always)]
pub unsafe fn modulo_i<S: Simd>(a: S::I, b: S::I) -> S::I {
    each_i::<S>(a, b, |a, b| {
        if b == 0 {
            return 0;
        }
        let m = a.wrapping_rem(b);
        if m != 0 && (m < 0) != (b < 0) { m + b } else { m }
    })
}
