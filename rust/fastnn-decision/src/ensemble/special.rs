//! Distribution functions in f64: the normal quantile (Wichura 1988, AS 241), the normal
//! distribution function (Hart 1968 as printed by West 2005), and the beta quantile by safeguarded
//! Newton steps on the continued fraction of the incomplete beta function (DLMF 8.17.22).

#[inline(always)]
fn horner(x: f64, c: &[f64]) -> f64 {
    c.iter().rev().fold(0.0, |acc, a| acc * x + a)
}

/// The z with `P(Z <= z) = u` for a standard normal Z; relative error about 1e-16.
#[must_use]
pub fn normal_quantile(u: f64) -> f64 {
    const E: [f64; 8] = [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        2.965_605_718_285_048_7e-1,
        2.653_218_952_657_612_4e-2,
        1.242_660_947_388_078_4e-3,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ];
    const F: [f64; 8] = [
        1.0,
        5.998_322_065_558_88e-1,
        1.369_298_809_227_358e-1,
        1.487_536_129_085_061_5e-2,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ];
    let q = u - 0.5;
    if q.abs() <= MIDDLE {
        return normal_quantile_middle(q);
    }
    let r = (-(if q < 0.0 { u } else { 1.0 - u }).ln()).sqrt();
    let z = if r <= 5.0 { quantile_aside(r) } else { horner(r - 5.0, &E) / horner(r - 5.0, &F) };
    if q < 0.0 { -z } else { z }
}

/// Distance from one half up to which [`normal_quantile_middle`] holds.
pub(super) const MIDDLE: f64 = 0.425;

/// The normal quantile at `q + 0.5` for `|q| <= 0.425`.
#[inline(always)]
pub(super) fn normal_quantile_middle(q: f64) -> f64 {
    const A: [f64; 8] = [
        3.387_132_872_796_366_5,
        1.331_416_678_917_843_8e2,
        1.971_590_950_306_551_3e3,
        1.373_169_376_550_946e4,
        4.592_195_393_154_987e4,
        6.726_577_092_700_87e4,
        3.343_057_558_358_813e4,
        2.509_080_928_730_122_7e3,
    ];
    const B: [f64; 8] = [
        1.0,
        4.231_333_070_160_091e1,
        6.871_870_074_920_579e2,
        5.394_196_021_424_751e3,
        2.121_379_430_158_66e4,
        3.930_789_580_009_271e4,
        2.872_908_573_572_194_3e4,
        5.226_495_278_852_854e3,
    ];
    let r = 0.180_625 - q * q;
    q * horner(r, &A) / horner(r, &B)
}

/// The normal quantile at `1 - tail`, for tails from 1e-10 to 0.075.
#[inline(always)]
pub(super) fn normal_quantile_tail(tail: f64) -> f64 {
    quantile_aside((-ln(tail)).sqrt())
}

/// The normal quantile at `1 - exp(-r r)`, up to r = 5.
#[inline(always)]
fn quantile_aside(r: f64) -> f64 {
    const C: [f64; 8] = [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        2.417_807_251_774_506e-1,
        2.272_384_498_926_918_4e-2,
        7.745_450_142_783_414e-4,
    ];
    const D: [f64; 8] = [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        6.897_673_349_851e-1,
        1.481_039_764_274_800_8e-1,
        1.519_866_656_361_645_7e-2,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ];
    horner(r - 1.6, &C) / horner(r - 1.6, &D)
}

/// Up to where [`normal_cdf_middle`] holds.
pub(super) const CDF_MIDDLE: f64 = 7.071_067_811_865_47;

/// `P(Z <= z)` for a standard normal Z; absolute error about 1e-15.
#[must_use]
pub fn normal_cdf(z: f64) -> f64 {
    let x = z.abs();
    if x < CDF_MIDDLE {
        return normal_cdf_middle(z);
    }
    let tail = x + 1.0 / (x + 2.0 / (x + 3.0 / (x + 4.0 / (x + 0.65))));
    let upper = if x > 37.0 { 0.0 } else { exp(-x * x / 2.0) / tail / 2.506_628_274_631 };
    if z > 0.0 { 1.0 - upper } else { upper }
}

/// [`normal_cdf`] for `|z| < CDF_MIDDLE`.
#[inline(always)]
pub(super) fn normal_cdf_middle(z: f64) -> f64 {
    const N: [f64; 7] = [
        220.206_867_912_376,
        221.213_596_169_931,
        112.079_291_497_871,
        33.912_866_078_383,
        6.373_962_203_531_65,
        0.700_383_064_443_688,
        3.526_249_659_989_11e-2,
    ];
    const D: [f64; 8] = [
        440.413_735_824_752,
        793.826_512_519_948,
        637.333_633_378_831,
        296.564_248_779_674,
        86.780_732_202_946_1,
        16.064_177_579_207,
        1.755_667_163_182_64,
        8.838_834_764_831_84e-2,
    ];
    let x = z.abs();
    let upper = exp(-x * x / 2.0) * horner(x, &N) / horner(x, &D);
    if z > 0.0 { 1.0 - upper } else { upper }
}

const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN_2_LOW: f64 = 1.908_214_929_270_588e-10;

/// `e^y` for y in -700 ..= 700; error below 1 ulp. Plain arithmetic, so that the compiler spreads a
/// loop of it over vector lanes.
#[inline(always)]
fn exp(y: f64) -> f64 {
    // Adding 1.5 * 2^52 rounds to a whole number and leaves it in the low bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const TAYLOR: [f64; 14] = [
        1.0,
        1.0,
        1.0 / 2.0,
        1.0 / 6.0,
        1.0 / 24.0,
        1.0 / 120.0,
        1.0 / 720.0,
        1.0 / 5_040.0,
        1.0 / 40_320.0,
        1.0 / 362_880.0,
        1.0 / 3_628_800.0,
        1.0 / 39_916_800.0,
        1.0 / 479_001_600.0,
        1.0 / 6_227_020_800.0,
    ];
    let shifted = y * std::f64::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (y - k * LN_2_HIGH) - k * LN_2_LOW;
    f64::from_bits(horner(r, &TAYLOR).to_bits().wrapping_add(shifted.to_bits() << 52))
}

/// The natural logarithm of a positive normal number; error below 1 ulp away from 1. Plain
/// arithmetic, as [`exp`].
#[inline(always)]
fn ln(x: f64) -> f64 {
    const ROOT_HALF: u64 = 0x3FE6_A09E_667F_3BCD;
    const BIAS: u64 = 1023 << 52;
    const ATANH: [f64; 11] = [
        1.0,
        1.0 / 3.0,
        1.0 / 5.0,
        1.0 / 7.0,
        1.0 / 9.0,
        1.0 / 11.0,
        1.0 / 13.0,
        1.0 / 15.0,
        1.0 / 17.0,
        1.0 / 19.0,
        1.0 / 21.0,
    ];
    // x = 2^e m with m in sqrt(1/2) .. sqrt(2); ln m = 2 atanh((m - 1) / (m + 1)).
    let biased = x.to_bits().wrapping_sub(ROOT_HALF).wrapping_add(BIAS) >> 52;
    let m = f64::from_bits(x.to_bits().wrapping_sub(biased << 52).wrapping_add(BIAS));
    let e = f64::from_bits(biased | 0x4330_0000_0000_0000) - (4_503_599_627_370_496.0 + 1023.0);
    let s = (m - 1.0) / (m + 1.0);
    e * LN_2_HIGH + (2.0 * s * horner(s * s, &ATANH) + e * LN_2_LOW)
}

/// `ln Gamma(x)` for x > 0 (Lanczos, g = 7, nine terms).
#[must_use]
pub fn ln_gamma(x: f64) -> f64 {
    const C: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        let pi = std::f64::consts::PI;
        return (pi / (pi * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let t = x + 7.5;
    let sum = C.iter().enumerate().fold(0.999_999_999_999_809_9, |s, (i, c)| s + c / (x + i as f64 + 1.0));
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The regularised incomplete beta function `I_x(a, b)`, given `ln B(a, b)`.
fn beta_cdf(x: f64, a: f64, b: f64, ln_beta: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    let front = (a * x.ln() + b * (-x).ln_1p() - ln_beta).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(x, a, b) / a
    } else {
        1.0 - front * beta_fraction(1.0 - x, b, a) / b
    }
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        let step = d * c;
        h *= step;
        if (step - 1.0).abs() < 1e-15 {
            break;
        }
    }
    h
}

/// The x with `I_x(a, b) = u`, found between `low` (a point known to lie at or below it) and 1.
#[must_use]
pub fn beta_quantile_from(u: f64, a: f64, b: f64, low: f64) -> f64 {
    let ln_beta = ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
    let (mut lo, mut hi) = (low, 1.0);
    let mut x = if low > 0.0 { low } else { a / (a + b) };
    for _ in 0..200 {
        let gap = beta_cdf(x, a, b, ln_beta) - u;
        if gap > 0.0 {
            hi = x;
        } else {
            lo = x;
        }
        let density = ((a - 1.0) * x.ln() + (b - 1.0) * (-x).ln_1p() - ln_beta).exp();
        let newton = x - gap / density;
        let next = if newton > lo && newton < hi { newton } else { 0.5 * (lo + hi) };
        if (next - x).abs() <= 1e-14 * next.max(1e-300) || next == x {
            return next;
        }
        x = next;
    }
    x
}

/// The x with `I_x(a, b) = u`.
#[must_use]
pub fn beta_quantile(u: f64, a: f64, b: f64) -> f64 {
    beta_quantile_from(u, a, b, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_exp_and_ln_agree_with_the_library() {
        for i in 1..40_000 {
            let y = -f64::from(i) * 0.0007 - 0.000_013;
            assert!((exp(y) / y.exp() - 1.0).abs() < 4e-16, "exp {y}");
            let x = 1e-10 + f64::from(i) * 1.9e-6;
            assert!((ln(x) / x.ln() - 1.0).abs() < 4e-16, "ln {x}");
            assert!((normal_quantile_tail(x) + normal_quantile(x)).abs() < 1e-14, "tail {x}");
        }
    }
}
