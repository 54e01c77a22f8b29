//! Sixteen lanes as plain arrays: the baseline on any processor, and what the compiler turns into
//! NEON on aarch64. No `mul_add`: without compile-time FMA it is a library call per lane.

use super::{LANES, Simd};

/// The portable instruction set.
#[derive(Debug, Clone, Copy)]
pub struct Portable;

#[inline(always)]
fn map<T: Copy, U>(a: [T; LANES], f: impl Fn(T) -> U) -> [U; LANES] {
    a.map(f)
}

#[inline(always)]
fn zip<T: Copy, V: Copy, U>(a: [T; LANES], b: [V; LANES], f: impl Fn(T, V) -> U) -> [U; LANES] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

// Ties to even, without the library call that `round_ties_even` is on a baseline processor:
// adding and taking away 2^23 leaves no room for a fraction.
#[inline(always)]
fn nearest(a: f32) -> f32 {
    const LIMIT: f32 = 8_388_608.0;
    let m = a.abs();
    if m < LIMIT { ((m + LIMIT) - LIMIT).copysign(a) } else { a }
}

// 2^n for n in [-126, 127].
#[inline(always)]
fn pow2(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

#[inline(always)]
fn tree(mut a: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            a[i] = f(a[i], a[i + half]);
        }
        half /= 2;
    }
    a[0]
}

impl Simd for Portable {
    type F = [f32; LANES];
    type I = [i32; LANES];
    type M = [bool; LANES];
    const FUSED: bool = false;

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::F {
        p.cast::<[f32; LANES]>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::F) {
        p.cast::<[f32; LANES]>().write_unaligned(v);
    }
    #[inline(always)]
    unsafe fn load_n(p: *const f32, n: usize) -> Self::F {
        std::array::from_fn(|i| if i < n { p.add(i).read() } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn store_n(p: *mut f32, v: Self::F, n: usize) {
        p.copy_from_nonoverlapping(v.as_ptr(), n.min(LANES));
    }
    #[inline(always)]
    unsafe fn stream(p: *mut f32, v: Self::F) {
        Self::store(p, v);
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn fnma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        std::array::from_fn(|i| c[i] - a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn sqrt(a: Self::F) -> Self::F {
        map(a, f32::sqrt)
    }
    #[inline(always)]
    unsafe fn round(a: Self::F) -> Self::F {
        map(a, nearest)
    }
    #[inline(always)]
    unsafe fn floor(a: Self::F) -> Self::F {
        map(a, |a| {
            let r = nearest(a);
            (if r > a { r - 1.0 } else { r }).copysign(a)
        })
    }
    #[inline(always)]
    unsafe fn ceil(a: Self::F) -> Self::F {
        map(a, |a| {
            let r = nearest(a);
            (if r < a { r + 1.0 } else { r }).copysign(a)
        })
    }
    #[inline(always)]
    unsafe fn trunc(a: Self::F) -> Self::F {
        map(a, |a| {
            let r = nearest(a.abs());
            (if r > a.abs() { r - 1.0 } else { r }).copysign(a)
        })
    }
    #[inline(always)]
    unsafe fn lt(a: Self::F, b: Self::F) -> Self::M {
        zip(a, b, |a, b| a < b)
    }
    #[inline(always)]
    unsafe fn le(a: Self::F, b: Self::F) -> Self::M {
        zip(a, b, |a, b| a <= b)
    }
    #[inline(always)]
    unsafe fn eq(a: Self::F, b: Self::F) -> Self::M {
        zip(a, b, |a, b| a == b)
    }
    #[inline(always)]
    unsafe fn select(m: Self::M, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|i| if m[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn and_m(a: Self::M, b: Self::M) -> Self::M {
        zip(a, b, |a, b| a & b)
    }
    #[inline(always)]
    unsafe fn or_m(a: Self::M, b: Self::M) -> Self::M {
        zip(a, b, |a, b| a | b)
    }
    #[inline(always)]
    unsafe fn not_m(a: Self::M) -> Self::M {
        map(a, |a| !a)
    }
    #[inline(always)]
    unsafe fn any(m: Self::M) -> bool {
        m.iter().any(|&x| x)
    }
    #[inline(always)]
    unsafe fn mask_bits(m: Self::M) -> u32 {
        m.iter().rev().fold(0, |bits, &x| bits << 1 | u32::from(x))
    }
    #[inline(always)]
    unsafe fn scale(a: Self::F, n: Self::F) -> Self::F {
        // Two factors, so that every n of the contract is in range; the first product is exact.
        zip(a, n, |a, n| {
            let n = (n + 12_582_912.0).to_bits() as i32 - 0x4b40_0000;
            let first = n >> 1;
            a * pow2(first) * pow2(n - first)
        })
    }
    #[inline(always)]
    unsafe fn sum(a: Self::F) -> f32 {
        tree(a, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn max_lane(a: Self::F) -> f32 {
        tree(a, |a, b| if a > b || a.is_nan() { a } else { b })
    }
    #[inline(always)]
    unsafe fn min_lane(a: Self::F) -> f32 {
        tree(a, |a, b| if a < b || a.is_nan() { a } else { b })
    }
    #[inline(always)]
    unsafe fn load_i(p: *const i32) -> Self::I {
        p.cast::<[i32; LANES]>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn store_i(p: *mut i32, v: Self::I) {
        p.cast::<[i32; LANES]>().write_unaligned(v);
    }
    #[inline(always)]
    unsafe fn load_u16(p: *const u8) -> Self::I {
        map(p.cast::<[u16; LANES]>().read_unaligned(), i32::from)
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const u8) -> Self::I {
        map(p.cast::<[i8; LANES]>().read_unaligned(), i32::from)
    }
    #[inline(always)]
    unsafe fn load_u8(p: *const u8) -> Self::I {
        map(p.cast::<[u8; LANES]>().read_unaligned(), i32::from)
    }
    #[inline(always)]
    unsafe fn splat_i(x: i32) -> Self::I {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn add_i(a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, i32::wrapping_add)
    }
    #[inline(always)]
    unsafe fn sub_i(a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, i32::wrapping_sub)
    }
    #[inline(always)]
    unsafe fn mul_i(a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, i32::wrapping_mul)
    }
    #[inline(always)]
    unsafe fn min_i(a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, i32::min)
    }
    #[inline(always)]
    unsafe fn max_i(a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, i32::max)
    }
    #[inline(always)]
    unsafe fn and_i(a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| a & b)
    }
    #[inline(always)]
    unsafe fn or_i(a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| a | b)
    }
    #[inline(always)]
    unsafe fn xor_i(a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| a ^ b)
    }
    #[inline(always)]
    unsafe fn shl_i<const N: u32>(a: Self::I) -> Self::I {
        map(a, |a| ((a as u32) << N) as i32)
    }
    #[inline(always)]
    unsafe fn shr_i<const N: u32>(a: Self::I) -> Self::I {
        map(a, |a| ((a as u32) >> N) as i32)
    }
    #[inline(always)]
    unsafe fn sar_i<const N: u32>(a: Self::I) -> Self::I {
        map(a, |a| a >> N)
    }
    #[inline(always)]
    unsafe fn eq_i(a: Self::I, b: Self::I) -> Self::M {
        zip(a, b, |a, b| a == b)
    }
    #[inline(always)]
    unsafe fn lt_i(a: Self::I, b: Self::I) -> Self::M {
        zip(a, b, |a, b| a < b)
    }
    #[inline(always)]
    unsafe fn select_i(m: Self::M, a: Self::I, b: Self::I) -> Self::I {
        std::array::from_fn(|i| if m[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn mul_wide_u(a: Self::I, b: Self::I) -> (Self::I, Self::I) {
        let wide: [u64; LANES] = zip(a, b, |a, b| u64::from(a as u32) * u64::from(b as u32));
        (wide.map(|w| w as u32 as i32), wide.map(|w| (w >> 32) as u32 as i32))
    }
    #[inline(always)]
    unsafe fn to_i(a: Self::F) -> Self::I {
        // Out of range and NaN give i32::MIN, as on x86.
        map(a, |a| {
            let r = nearest(a);
            if (-2_147_483_648.0..2_147_483_648.0).contains(&r) { r as i32 } else { i32::MIN }
        })
    }
    #[inline(always)]
    unsafe fn to_f(a: Self::I) -> Self::F {
        map(a, |a| a as f32)
    }
    #[inline(always)]
    unsafe fn bits(a: Self::F) -> Self::I {
        map(a, |a| a.to_bits() as i32)
    }
    #[inline(always)]
    unsafe fn from_bits(a: Self::I) -> Self::F {
        map(a, |a| f32::from_bits(a as u32))
    }
    #[inline(always)]
    unsafe fn gather_pair(p: *const f32, i: Self::I) -> (Self::F, Self::F) {
        (map(i, |i| *p.offset(i as isize)), map(i, |i| *p.offset(i as isize + 1)))
    }
}
