//! The elementary functions against f64, in units in the last place, on every instruction set.

use fastnn::per_isa;
use fastnn::simd::{Isa, LANES, Simd, math};

type Unary = unsafe fn(*mut f32, *const f32, usize);

macro_rules! unary {
    ($($name:ident),*) => { $(
        fn $name(isa: Isa) -> Unary {
            #[inline(always)]
            unsafe fn kernel<S: Simd>(dst: *mut f32, a: *const f32, n: usize) {
                for i in (0..n).step_by(LANES) {
                    S::store(dst.add(i), math::$name::<S>(S::load(a.add(i))));
                }
            }
            per_isa!(fn pick(dst: *mut f32, a: *const f32, n: usize) = kernel);
            pick(isa)
        }
    )* };
}
unary!(
    exp,
    expm1,
    log,
    log1p,
    tanh,
    sigmoid,
    atan,
    erf,
    gelu,
    gelu_tanh,
    sin,
    cos,
    softplus,
    rsqrt,
    exp_or_zero
);

unsafe fn pairs_generic<S: Simd>(a: *mut f32, b: *mut f32, from: *const f32, places: *const i32) {
    let (first, second) = S::gather_pair(from, S::load_i(places));
    S::store(a, first);
    S::store(b, second);
}
per_isa!(fn pairs(a: *mut f32, b: *mut f32, from: *const f32, places: *const i32) = pairs_generic);

#[test]
fn test_neighbours_are_gathered_lane_by_lane() {
    let from: Vec<f32> = (0..101).map(|i| i as f32 * 0.5).collect();
    let places: [i32; LANES] = std::array::from_fn(|i| (i as i32 * 37 + 99) % 100);
    for isa in Isa::available() {
        let (mut a, mut b) = ([0.0; LANES], [0.0; LANES]);
        // SAFETY: the set is available; every place and the next one lie in `from`.
        unsafe { pairs(isa)(a.as_mut_ptr(), b.as_mut_ptr(), from.as_ptr(), places.as_ptr()) };
        assert_eq!(a, places.map(|i| i as f32 * 0.5), "{}", isa.name());
        assert_eq!(b, places.map(|i| (i + 1) as f32 * 0.5), "{}", isa.name());
    }
}

unsafe extern "C" {
    #[link_name = "erf"]
    safe fn erf_f64(x: f64) -> f64;
}

// The distance of `y` from `want` in ulps of f32 at `want`; infinite when the kinds differ.
fn ulps(y: f32, want: f64) -> f64 {
    if want.is_nan() || y.is_nan() {
        return if want.is_nan() && y.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if (want as f32).is_infinite() || y.is_infinite() {
        return if y == want as f32 {
            0.0
        } else if want.is_infinite() {
            f64::INFINITY
        } else {
            1.0 + f64::from(y.is_infinite())
        };
    }
    let exponent = want.abs().log2().floor().max(-126.0);
    (f64::from(y) - want).abs() / 2f64.powf(exponent - 23.0)
}

// Every `stride`-th bit pattern, padded to whole vectors.
fn sweep(stride: usize) -> Vec<f32> {
    let mut x: Vec<f32> = (0..=u32::MAX).step_by(stride).map(f32::from_bits).collect();
    x.extend([
        0.0,
        -0.0,
        1.0,
        -1.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MIN_POSITIVE,
        1e-45,
        -1e-45,
        f32::MAX,
        f32::MIN,
    ]);
    // Dense where functions bend.
    x.extend((-400_000..400_000).map(|i| i as f32 * 2.5e-5));
    while !x.len().is_multiple_of(LANES) {
        x.push(0.5);
    }
    x
}

fn apply(f: Unary, x: &[f32]) -> Vec<f32> {
    let mut y = vec![f32::NAN; x.len()];
    // SAFETY: `x` and `y` have the same whole number of vectors, and the set is available.
    unsafe { f(y.as_mut_ptr(), x.as_ptr(), x.len()) };
    y
}

fn check(name: &str, pick: fn(Isa) -> Unary, reference: impl Fn(f64) -> f64, bound: f64) {
    let x = sweep(1009);
    let want: Vec<f64> = x.iter().map(|&x| reference(f64::from(x))).collect();
    let mut fused: Option<Vec<u32>> = None;
    for isa in Isa::available() {
        let y = apply(pick(isa), &x);
        let (mut worst, mut at) = (0.0, 0.0);
        for ((&x, &y), &want) in x.iter().zip(&y).zip(&want) {
            let u = ulps(y, want);
            if u > worst {
                (worst, at) = (u, x);
            }
        }
        eprintln!("{name:9} {:9} {worst:.2} ulp at {at:e}", isa.name());
        assert!(worst <= bound, "{name} on {}: {worst} ulp at {at:e}, bound {bound}", isa.name());
        if isa != Isa::Portable {
            // NaN payloads aside, the fused sets agree bit for bit.
            let bits: Vec<u32> = y.iter().map(|y| if y.is_nan() { 1 } else { y.to_bits() }).collect();
            if let Some(other) = &fused {
                assert!(*other == bits, "{name}: AVX2 and AVX-512 differ");
            }
            fused = Some(bits);
        }
    }
}

/// On every float up to 0, and what is no number.
#[test]
fn exp_or_zero_has_the_bits_of_exp() {
    let mut x: Vec<f32> = (0x8000_0000..=0xff80_0000u32).step_by(997).map(f32::from_bits).collect();
    x.extend((0..4096).map(|i| -104.5 + i as f32 / 4096.0));
    x.extend([f32::NEG_INFINITY, f32::INFINITY, f32::NAN, 0.0, 1.0, 89.5]);
    x.resize(x.len().next_multiple_of(LANES), -1.0);
    for isa in Isa::available() {
        let (mut a, mut b) = (x.clone(), x.clone());
        // SAFETY: whole vectors, and the set is available.
        unsafe {
            exp(isa)(a.as_mut_ptr(), x.as_ptr(), x.len());
            exp_or_zero(isa)(b.as_mut_ptr(), x.as_ptr(), x.len());
        }
        for ((x, a), b) in x.iter().zip(&a).zip(&b) {
            assert!(a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(), "{isa:?} {x}: {a} {b}");
        }
    }
}

#[test]
fn test_exp_is_within_1_5_ulp() {
    check("exp", exp, f64::exp, 1.5);
}

#[test]
fn test_expm1_is_within_3_ulp() {
    check("expm1", expm1, f64::exp_m1, 3.0);
}

#[test]
fn test_log_is_within_1_5_ulp() {
    check("log", log, f64::ln, 1.5);
}

#[test]
fn test_log1p_is_within_3_ulp() {
    check("log1p", log1p, f64::ln_1p, 3.0);
}

#[test]
fn test_tanh_is_within_3_ulp() {
    check("tanh", tanh, f64::tanh, 3.0);
}

#[test]
fn test_sigmoid_is_within_3_ulp() {
    check("sigmoid", sigmoid, |x| if x < -700.0 { 0.0 } else { 1.0 / (1.0 + (-x).exp()) }, 3.0);
}

#[test]
fn test_atan_is_within_3_ulp() {
    check("atan", atan, f64::atan, 3.0);
}

#[test]
fn test_erf_is_within_3_ulp() {
    check("erf", erf, |x| erf_f64(x), 3.0);
}

// The largest |y - want| / max(1, |x|) over finite inputs, and what lies far out.
fn check_gelu(name: &str, pick: fn(Isa) -> Unary, reference: impl Fn(f64) -> f64) {
    let x: Vec<f32> = (-160_000..160_000).map(|i| i as f32 * 1e-4).collect();
    let far = [
        -1e30,
        -100.0,
        -30.0,
        30.0,
        100.0,
        1e30,
        f32::INFINITY,
        f32::NAN,
        0.0,
        -0.0,
        1e-42,
        -1e-42,
        1e-30,
        f32::MAX,
        f32::MIN,
        20.0,
    ];
    let mut fused: Option<Vec<u32>> = None;
    for isa in Isa::available() {
        let mut y_all = apply(pick(isa), &x);
        let error = |(&x, &y): (&f32, &f32)| {
            (f64::from(y) - reference(f64::from(x))).abs() / f64::from(x.abs().max(1.0))
        };
        let worst = x.iter().zip(&y_all).map(error).fold(0.0, f64::max);
        eprintln!("{name:9} {:9} {worst:.1e}", isa.name());
        assert!(worst <= 4e-7, "{name} on {}: {worst:e}", isa.name());
        let y = apply(pick(isa), &far);
        y_all.extend(&y);
        assert!(y[0].abs() < 1e-30 && y[1].abs() < 1e-30 && y[2].abs() < 1e-30, "{name}: {y:?}");
        assert_eq!(y[3..7], far[3..7], "{name}");
        assert!(y[7].is_nan() && y[8] == 0.0 && y[9] == 0.0, "{name}: {y:?}");
        assert!((y[12] - 5e-31).abs() < 1e-37 && y[13] == f32::MAX && y[14].abs() < 1e-30, "{name}: {y:?}");
        let bits: Vec<u32> = y_all.iter().map(|y| if y.is_nan() { 1 } else { y.to_bits() }).collect();
        if isa != Isa::Portable {
            assert!(
                fused.replace(bits.clone()).is_none_or(|other| other == bits),
                "{name}: AVX2 and AVX-512 differ"
            );
        }
    }
}

#[test]
fn test_gelu_is_within_4e_7_and_saturates() {
    check_gelu("gelu", gelu, |x| 0.5 * x * (1.0 + erf_f64(x * std::f64::consts::FRAC_1_SQRT_2)));
    let tanh =
        |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x)).tanh());
    check_gelu("gelu_tanh", gelu_tanh, tanh);
}

#[test]
fn test_erf_stays_within_one() {
    let x: Vec<f32> = (0..160_000).map(|i| 3.0 + i as f32 * 1e-5).collect();
    for isa in Isa::available() {
        assert!(apply(erf(isa), &x).iter().all(|&y| (0.9999..=1.0).contains(&y)), "{}", isa.name());
    }
}

#[test]
fn test_sin_and_cos_are_within_2_ulp() {
    check("sin", sin, f64::sin, 2.0);
    check("cos", cos, f64::cos, 2.0);
}

#[test]
fn test_softplus_is_within_3_ulp() {
    check("softplus", softplus, |x| x.max(0.0) + if x.is_nan() { x } else { (-x.abs()).exp().ln_1p() }, 3.0);
}

#[test]
fn test_rsqrt_is_within_1_5_ulp() {
    check("rsqrt", rsqrt, |x| 1.0 / x.sqrt(), 1.5);
}

fn pow(isa: Isa) -> unsafe fn(*mut f32, *const f32, *const f32, usize) {
    #[inline(always)]
    unsafe fn kernel<S: Simd>(dst: *mut f32, a: *const f32, b: *const f32, n: usize) {
        for i in (0..n).step_by(LANES) {
            S::store(dst.add(i), math::pow::<S>(S::load(a.add(i)), S::load(b.add(i))));
        }
    }
    per_isa!(fn pick(dst: *mut f32, a: *const f32, b: *const f32, n: usize) = kernel);
    pick(isa)
}

#[test]
fn test_pow_is_within_4_ulp_and_has_the_ieee_special_cases() {
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        2.0,
        -2.0,
        3.0,
        -3.0,
        1e30,
        -1e30,
        1.000_000_1,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MAX,
        f32::MIN_POSITIVE,
        1e-45,
        16_777_215.0,
        8_388_609.0,
        7.0,
        1e-3,
    ];
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for &x in &special {
        for &y in &special {
            a.push(x);
            b.push(y);
        }
    }
    // A linear congruential walk over bases near and far from one and exponents of all sizes.
    let mut state = 12345u64;
    for _ in 0..600_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let u = (state >> 40) as f32 / 16_777_216.0;
        let v = ((state >> 16) & 0xff_ffff) as f32 / 16_777_216.0;
        let x = ((u - 0.5) * 2.0 * 20f32.powf(v * 2.0 - 1.0)).exp();
        a.push(x);
        b.push((v - 0.5) * 170.0 / x.ln().abs().max(1e-3));
    }
    while !a.len().is_multiple_of(LANES) {
        a.push(1.5);
        b.push(2.5);
    }
    let mut fused: Option<Vec<f32>> = None;
    for isa in Isa::available() {
        let mut y = vec![0f32; a.len()];
        // SAFETY: the three vectors have the same whole number of vectors.
        unsafe { pow(isa)(y.as_mut_ptr(), a.as_ptr(), b.as_ptr(), a.len()) };
        let mut worst = 0.0;
        for i in 0..a.len() {
            let want = f64::from(a[i]).powf(f64::from(b[i]));
            let u = ulps(y[i], want);
            assert!(u <= 4.0, "{}^{} = {} on {}, want {want}: {u} ulp", a[i], b[i], y[i], isa.name());
            if want == 0.0 {
                assert_eq!(y[i].is_sign_negative(), want.is_sign_negative(), "{}^{}", a[i], b[i]);
            }
            worst = f64::max(worst, u);
        }
        eprintln!("pow {} {worst:.2} ulp", isa.name());
        if isa != Isa::Portable {
            if let Some(other) = &fused {
                assert!(
                    other.iter().zip(&y).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
                );
            }
            fused = Some(y);
        }
    }
}

#[test]
fn test_signs_of_zero_and_saturation() {
    for isa in Isa::available() {
        let mut x = vec![-0.0f32; LANES];
        for (name, f) in [
            ("expm1", expm1 as fn(Isa) -> Unary),
            ("log1p", log1p),
            ("tanh", tanh),
            ("erf", erf),
            ("sin", sin),
        ] {
            assert!(
                apply(f(isa), &x).iter().all(|y| y.to_bits() == (-0.0f32).to_bits()),
                "{name}(-0.0) on {}",
                isa.name()
            );
        }
        x.fill(40.0);
        for f in [tanh as fn(Isa) -> Unary, erf, sigmoid] {
            assert!(apply(f(isa), &x).iter().all(|&y| y == 1.0));
        }
    }
}
