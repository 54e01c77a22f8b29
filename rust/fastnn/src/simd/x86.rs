//! AVX-512 (one zmm) and AVX2 with FMA (two ymm) as sixteen lanes.

use super::{LANES, Simd};
use std::arch::x86_64::*;

/// AVX-512 F, BW, DQ, VL.
#[derive(Debug, Clone, Copy)]
pub struct Avx512;

/// AVX2 with FMA.
#[derive(Debug, Clone, Copy)]
pub struct Avx2;

// Lanes [0, 16) as a sliding mask source: loading 8 at offset 8 - n gives n leading set lanes.
static MASK: [i32; 24] = {
    let mut m = [0; 24];
    let mut i = 0;
    while i < 8 {
        m[i] = -1;
        i += 1;
    }
    m
};

#[inline(always)]
unsafe fn tail8(n: usize) -> __m256i {
    let n = if n > 8 { 8 } else { n };
    _mm256_loadu_si256(MASK.as_ptr().add(8 - n).cast())
}

// The fixed tree over one ymm: (i, i+4), (i, i+2), (i, i+1).
#[inline(always)]
unsafe fn sum8(v: __m256) -> f32 {
    let q = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
    let d = _mm_add_ps(q, _mm_movehl_ps(q, q));
    _mm_cvtss_f32(_mm_add_ss(d, _mm_shuffle_ps::<1>(d, d)))
}

// max_ps returns its second operand on NaN; callers OR the unordered lanes back in.
#[inline(always)]
unsafe fn max8(v: __m256) -> f32 {
    let q = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
    let d = _mm_max_ps(q, _mm_movehl_ps(q, q));
    _mm_cvtss_f32(_mm_max_ss(d, _mm_shuffle_ps::<1>(d, d)))
}

#[inline(always)]
unsafe fn min8(v: __m256) -> f32 {
    let q = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
    let d = _mm_min_ps(q, _mm_movehl_ps(q, q));
    _mm_cvtss_f32(_mm_min_ss(d, _mm_shuffle_ps::<1>(d, d)))
}

impl Simd for Avx512 {
    type F = __m512;
    type I = __m512i;
    type M = __mmask16;
    const FUSED: bool = true;

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::F {
        _mm512_loadu_ps(p)
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::F) {
        _mm512_storeu_ps(p, v);
    }
    #[inline(always)]
    unsafe fn load_n(p: *const f32, n: usize) -> Self::F {
        _mm512_maskz_loadu_ps(((1u32 << n) - 1) as __mmask16, p)
    }
    #[inline(always)]
    unsafe fn store_n(p: *mut f32, v: Self::F, n: usize) {
        _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as __mmask16, v);
    }
    #[inline(always)]
    unsafe fn stream(p: *mut f32, v: Self::F) {
        _mm512_stream_ps(p, v);
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        _mm512_set1_ps(x)
    }
    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        _mm512_add_ps(a, b)
    }
    #[inline(always)]
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F {
        _mm512_sub_ps(a, b)
    }
    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        _mm512_mul_ps(a, b)
    }
    #[inline(always)]
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F {
        _mm512_div_ps(a, b)
    }
    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        _mm512_fmadd_ps(a, b, c)
    }
    #[inline(always)]
    unsafe fn fnma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        _mm512_fnmadd_ps(a, b, c)
    }
    #[inline(always)]
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F {
        _mm512_min_ps(a, b)
    }
    #[inline(always)]
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F {
        _mm512_max_ps(a, b)
    }
    #[inline(always)]
    unsafe fn sqrt(a: Self::F) -> Self::F {
        _mm512_sqrt_ps(a)
    }
    #[inline(always)]
    unsafe fn round(a: Self::F) -> Self::F {
        _mm512_roundscale_ps::<0x08>(a)
    }
    #[inline(always)]
    unsafe fn floor(a: Self::F) -> Self::F {
        _mm512_roundscale_ps::<0x09>(a)
    }
    #[inline(always)]
    unsafe fn ceil(a: Self::F) -> Self::F {
        _mm512_roundscale_ps::<0x0a>(a)
    }
    #[inline(always)]
    unsafe fn trunc(a: Self::F) -> Self::F {
        _mm512_roundscale_ps::<0x0b>(a)
    }
    #[inline(always)]
    unsafe fn lt(a: Self::F, b: Self::F) -> Self::M {
        _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b)
    }
    #[inline(always)]
    unsafe fn le(a: Self::F, b: Self::F) -> Self::M {
        _mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b)
    }
    #[inline(always)]
    unsafe fn eq(a: Self::F, b: Self::F) -> Self::M {
        _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b)
    }
    #[inline(always)]
    unsafe fn select(m: Self::M, a: Self::F, b: Self::F) -> Self::F {
        _mm512_mask_blend_ps(m, b, a)
    }
    #[inline(always)]
    unsafe fn and_m(a: Self::M, b: Self::M) -> Self::M {
        a & b
    }
    #[inline(always)]
    unsafe fn or_m(a: Self::M, b: Self::M) -> Self::M {
        a | b
    }
    #[inline(always)]
    unsafe fn not_m(a: Self::M) -> Self::M {
        !a
    }
    #[inline(always)]
    unsafe fn any(m: Self::M) -> bool {
        m != 0
    }
    #[inline(always)]
    unsafe fn mask_bits(m: Self::M) -> u32 {
        u32::from(m)
    }
    #[inline(always)]
    unsafe fn scale(a: Self::F, n: Self::F) -> Self::F {
        _mm512_scalef_ps(a, n)
    }
    #[inline(always)]
    unsafe fn sum(a: Self::F) -> f32 {
        sum8(_mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a)))
    }
    #[inline(always)]
    unsafe fn max_lane(a: Self::F) -> f32 {
        if Self::any(Self::is_nan(a)) {
            return f32::NAN;
        }
        max8(_mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a)))
    }
    #[inline(always)]
    unsafe fn min_lane(a: Self::F) -> f32 {
        if Self::any(Self::is_nan(a)) {
            return f32::NAN;
        }
        min8(_mm256_min_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a)))
    }
    #[inline(always)]
    unsafe fn load_i(p: *const i32) -> Self::I {
        _mm512_loadu_si512(p.cast())
    }
    #[inline(always)]
    unsafe fn store_i(p: *mut i32, v: Self::I) {
        _mm512_storeu_si512(p.cast(), v);
    }
    #[inline(always)]
    unsafe fn load_u16(p: *const u8) -> Self::I {
        _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()))
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const u8) -> Self::I {
        _mm512_cvtepi8_epi32(_mm_loadu_si128(p.cast()))
    }
    #[inline(always)]
    unsafe fn load_u8(p: *const u8) -> Self::I {
        _mm512_cvtepu8_epi32(_mm_loadu_si128(p.cast()))
    }
    #[inline(always)]
    unsafe fn splat_i(x: i32) -> Self::I {
        _mm512_set1_epi32(x)
    }
    #[inline(always)]
    unsafe fn add_i(a: Self::I, b: Self::I) -> Self::I {
        _mm512_add_epi32(a, b)
    }
    #[inline(always)]
    unsafe fn sub_i(a: Self::I, b: Self::I) -> Self::I {
        _mm512_sub_epi32(a, b)
    }
    #[inline(always)]
    unsafe fn mul_i(a: Self::I, b: Self::I) -> Self::I {
        _mm512_mullo_epi32(a, b)
    }
    #[inline(always)]
    unsafe fn min_i(a: Self::I, b: Self::I) -> Self::I {
        _mm512_min_epi32(a, b)
    }
    #[inline(always)]
    unsafe fn max_i(a: Self::I, b: Self::I) -> Self::I {
        _mm512_max_epi32(a, b)
    }
    #[inline(always)]
    unsafe fn and_i(a: Self::I, b: Self::I) -> Self::I {
        _mm512_and_si512(a, b)
    }
    #[inline(always)]
    unsafe fn or_i(a: Self::I, b: Self::I) -> Self::I {
        _mm512_or_si512(a, b)
    }
    #[inline(always)]
    unsafe fn xor_i(a: Self::I, b: Self::I) -> Self::I {
        _mm512_xor_si512(a, b)
    }
    #[inline(always)]
    unsafe fn shl_i<const N: u32>(a: Self::I) -> Self::I {
        _mm512_slli_epi32::<N>(a)
    }
    #[inline(always)]
    unsafe fn shr_i<const N: u32>(a: Self::I) -> Self::I {
        _mm512_srli_epi32::<N>(a)
    }
    #[inline(always)]
    unsafe fn sar_i<const N: u32>(a: Self::I) -> Self::I {
        _mm512_srai_epi32::<N>(a)
    }
    #[inline(always)]
    unsafe fn eq_i(a: Self::I, b: Self::I) -> Self::M {
        _mm512_cmpeq_epi32_mask(a, b)
    }
    #[inline(always)]
    unsafe fn lt_i(a: Self::I, b: Self::I) -> Self::M {
        _mm512_cmplt_epi32_mask(a, b)
    }
    #[inline(always)]
    unsafe fn select_i(m: Self::M, a: Self::I, b: Self::I) -> Self::I {
        _mm512_mask_blend_epi32(m, b, a)
    }
    #[inline(always)]
    unsafe fn mul_wide_u(a: Self::I, b: Self::I) -> (Self::I, Self::I) {
        let even = _mm512_mul_epu32(a, b);
        let odd = _mm512_mul_epu32(_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b));
        let low = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64::<32>(odd));
        let high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64::<32>(even), odd);
        (low, high)
    }
    #[inline(always)]
    unsafe fn to_i(a: Self::F) -> Self::I {
        _mm512_cvtps_epi32(a)
    }
    #[inline(always)]
    unsafe fn to_f(a: Self::I) -> Self::F {
        _mm512_cvtepi32_ps(a)
    }
    #[inline(always)]
    unsafe fn bits(a: Self::F) -> Self::I {
        _mm512_castps_si512(a)
    }
    #[inline(always)]
    unsafe fn from_bits(a: Self::I) -> Self::F {
        _mm512_castsi512_ps(a)
    }
    #[inline(always)]
    unsafe fn gather_pair(p: *const f32, i: Self::I) -> (Self::F, Self::F) {
        let pairs = |half: __m256i| _mm512_castsi512_ps(_mm512_i32gather_epi64::<4>(half, p.cast()));
        let first = pairs(_mm512_castsi512_si256(i));
        let second = pairs(_mm512_extracti64x4_epi64::<1>(i));
        let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
        (_mm512_permutex2var_ps(first, even, second), _mm512_permutex2var_ps(first, odd, second))
    }
}

/// Two ymm registers, low lanes first.
#[derive(Debug, Clone, Copy)]
pub struct Pair<T: Copy>(pub T, pub T);

macro_rules! both {
    ($f:ident($a:expr)) => {
        Pair($f($a.0), $f($a.1))
    };
    ($f:ident($a:expr, $b:expr)) => {
        Pair($f($a.0, $b.0), $f($a.1, $b.1))
    };
    ($f:ident($a:expr, $b:expr, $c:expr)) => {
        Pair($f($a.0, $b.0, $c.0), $f($a.1, $b.1, $c.1))
    };
}

#[inline(always)]
unsafe fn cmp<const OP: i32>(a: Pair<__m256>, b: Pair<__m256>) -> Pair<__m256> {
    Pair(_mm256_cmp_ps::<OP>(a.0, b.0), _mm256_cmp_ps::<OP>(a.1, b.1))
}

#[inline(always)]
unsafe fn round_with<const MODE: i32>(a: Pair<__m256>) -> Pair<__m256> {
    Pair(_mm256_round_ps::<MODE>(a.0), _mm256_round_ps::<MODE>(a.1))
}

#[inline(always)]
unsafe fn wide8(a: __m256i, b: __m256i) -> (__m256i, __m256i) {
    let even = _mm256_mul_epu32(a, b);
    let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(a), _mm256_srli_epi64::<32>(b));
    let low = _mm256_blend_epi32::<0xaa>(even, _mm256_slli_epi64::<32>(odd));
    let high = _mm256_blend_epi32::<0xaa>(_mm256_srli_epi64::<32>(even), odd);
    (low, high)
}

// 2^n for n in [-126, 127].
#[inline(always)]
unsafe fn pow2(n: Pair<__m256i>) -> Pair<__m256> {
    let bias = _mm256_set1_epi32(127);
    let one = |v: __m256i| _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(v, bias)));
    Pair(one(n.0), one(n.1))
}

impl Simd for Avx2 {
    type F = Pair<__m256>;
    type I = Pair<__m256i>;
    type M = Pair<__m256>;
    const FUSED: bool = true;

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::F {
        Pair(_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8)))
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::F) {
        _mm256_storeu_ps(p, v.0);
        _mm256_storeu_ps(p.add(8), v.1);
    }
    #[inline(always)]
    unsafe fn load_n(p: *const f32, n: usize) -> Self::F {
        let low = _mm256_maskload_ps(p, tail8(n));
        let high = if n > 8 { _mm256_maskload_ps(p.add(8), tail8(n - 8)) } else { _mm256_setzero_ps() };
        Pair(low, high)
    }
    #[inline(always)]
    unsafe fn store_n(p: *mut f32, v: Self::F, n: usize) {
        _mm256_maskstore_ps(p, tail8(n), v.0);
        if n > 8 {
            _mm256_maskstore_ps(p.add(8), tail8(n - 8), v.1);
        }
    }
    #[inline(always)]
    unsafe fn stream(p: *mut f32, v: Self::F) {
        _mm256_stream_ps(p, v.0);
        _mm256_stream_ps(p.add(8), v.1);
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        Pair(_mm256_set1_ps(x), _mm256_set1_ps(x))
    }
    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        both!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F {
        both!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        both!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F {
        both!(_mm256_div_ps(a, b))
    }
    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        both!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    unsafe fn fnma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        both!(_mm256_fnmadd_ps(a, b, c))
    }
    #[inline(always)]
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F {
        both!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F {
        both!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    unsafe fn sqrt(a: Self::F) -> Self::F {
        both!(_mm256_sqrt_ps(a))
    }
    #[inline(always)]
    unsafe fn round(a: Self::F) -> Self::F {
        round_with::<0x08>(a)
    }
    #[inline(always)]
    unsafe fn floor(a: Self::F) -> Self::F {
        round_with::<0x09>(a)
    }
    #[inline(always)]
    unsafe fn ceil(a: Self::F) -> Self::F {
        round_with::<0x0a>(a)
    }
    #[inline(always)]
    unsafe fn trunc(a: Self::F) -> Self::F {
        round_with::<0x0b>(a)
    }
    #[inline(always)]
    unsafe fn lt(a: Self::F, b: Self::F) -> Self::M {
        cmp::<_CMP_LT_OQ>(a, b)
    }
    #[inline(always)]
    unsafe fn le(a: Self::F, b: Self::F) -> Self::M {
        cmp::<_CMP_LE_OQ>(a, b)
    }
    #[inline(always)]
    unsafe fn eq(a: Self::F, b: Self::F) -> Self::M {
        cmp::<_CMP_EQ_OQ>(a, b)
    }
    #[inline(always)]
    unsafe fn select(m: Self::M, a: Self::F, b: Self::F) -> Self::F {
        Pair(_mm256_blendv_ps(b.0, a.0, m.0), _mm256_blendv_ps(b.1, a.1, m.1))
    }
    #[inline(always)]
    unsafe fn and_m(a: Self::M, b: Self::M) -> Self::M {
        both!(_mm256_and_ps(a, b))
    }
    #[inline(always)]
    unsafe fn or_m(a: Self::M, b: Self::M) -> Self::M {
        both!(_mm256_or_ps(a, b))
    }
    #[inline(always)]
    unsafe fn not_m(a: Self::M) -> Self::M {
        let all = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
        Pair(_mm256_xor_ps(a.0, all), _mm256_xor_ps(a.1, all))
    }
    #[inline(always)]
    unsafe fn any(m: Self::M) -> bool {
        _mm256_movemask_ps(_mm256_or_ps(m.0, m.1)) != 0
    }
    #[inline(always)]
    unsafe fn mask_bits(m: Self::M) -> u32 {
        (_mm256_movemask_ps(m.0) | _mm256_movemask_ps(m.1) << 8) as u32
    }
    #[inline(always)]
    unsafe fn scale(a: Self::F, n: Self::F) -> Self::F {
        // Two factors, so that every n of the contract is in range; the first product is exact.
        let n = Self::to_i(n);
        let first = Self::sar_i::<1>(n);
        Self::mul(Self::mul(a, pow2(first)), pow2(Self::sub_i(n, first)))
    }
    #[inline(always)]
    unsafe fn sum(a: Self::F) -> f32 {
        sum8(_mm256_add_ps(a.0, a.1))
    }
    #[inline(always)]
    unsafe fn max_lane(a: Self::F) -> f32 {
        if Self::any(Self::is_nan(a)) {
            return f32::NAN;
        }
        max8(_mm256_max_ps(a.0, a.1))
    }
    #[inline(always)]
    unsafe fn min_lane(a: Self::F) -> f32 {
        if Self::any(Self::is_nan(a)) {
            return f32::NAN;
        }
        min8(_mm256_min_ps(a.0, a.1))
    }
    #[inline(always)]
    unsafe fn load_i(p: *const i32) -> Self::I {
        Pair(_mm256_loadu_si256(p.cast()), _mm256_loadu_si256(p.add(8).cast()))
    }
    #[inline(always)]
    unsafe fn store_i(p: *mut i32, v: Self::I) {
        _mm256_storeu_si256(p.cast(), v.0);
        _mm256_storeu_si256(p.add(8).cast(), v.1);
    }
    #[inline(always)]
    unsafe fn load_u16(p: *const u8) -> Self::I {
        let half = |p: *const u8| _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()));
        Pair(half(p), half(p.add(16)))
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const u8) -> Self::I {
        let half = |p: *const u8| _mm256_cvtepi8_epi32(_mm_loadl_epi64(p.cast()));
        Pair(half(p), half(p.add(8)))
    }
    #[inline(always)]
    unsafe fn load_u8(p: *const u8) -> Self::I {
        let half = |p: *const u8| _mm256_cvtepu8_epi32(_mm_loadl_epi64(p.cast()));
        Pair(half(p), half(p.add(8)))
    }
    #[inline(always)]
    unsafe fn splat_i(x: i32) -> Self::I {
        Pair(_mm256_set1_epi32(x), _mm256_set1_epi32(x))
    }
    #[inline(always)]
    unsafe fn add_i(a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_add_epi32(a, b))
    }
    #[inline(always)]
    unsafe fn sub_i(a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_sub_epi32(a, b))
    }
    #[inline(always)]
    unsafe fn mul_i(a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_mullo_epi32(a, b))
    }
    #[inline(always)]
    unsafe fn min_i(a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_min_epi32(a, b))
    }
    #[inline(always)]
    unsafe fn max_i(a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_max_epi32(a, b))
    }
    #[inline(always)]
    unsafe fn and_i(a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_and_si256(a, b))
    }
    #[inline(always)]
    unsafe fn or_i(a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_or_si256(a, b))
    }
    #[inline(always)]
    unsafe fn xor_i(a: Self::I, b: Self::I) -> Self::I {
        both!(_mm256_xor_si256(a, b))
    }
    #[inline(always)]
    unsafe fn shl_i<const N: u32>(a: Self::I) -> Self::I {
        let n = _mm_cvtsi32_si128(N as i32);
        Pair(_mm256_sll_epi32(a.0, n), _mm256_sll_epi32(a.1, n))
    }
    #[inline(always)]
    unsafe fn shr_i<const N: u32>(a: Self::I) -> Self::I {
        let n = _mm_cvtsi32_si128(N as i32);
        Pair(_mm256_srl_epi32(a.0, n), _mm256_srl_epi32(a.1, n))
    }
    #[inline(always)]
    unsafe fn sar_i<const N: u32>(a: Self::I) -> Self::I {
        let n = _mm_cvtsi32_si128(N as i32);
        Pair(_mm256_sra_epi32(a.0, n), _mm256_sra_epi32(a.1, n))
    }
    #[inline(always)]
    unsafe fn eq_i(a: Self::I, b: Self::I) -> Self::M {
        Self::from_bits(both!(_mm256_cmpeq_epi32(a, b)))
    }
    #[inline(always)]
    unsafe fn lt_i(a: Self::I, b: Self::I) -> Self::M {
        Self::from_bits(both!(_mm256_cmpgt_epi32(b, a)))
    }
    #[inline(always)]
    unsafe fn select_i(m: Self::M, a: Self::I, b: Self::I) -> Self::I {
        Self::bits(Self::select(m, Self::from_bits(a), Self::from_bits(b)))
    }
    #[inline(always)]
    unsafe fn mul_wide_u(a: Self::I, b: Self::I) -> (Self::I, Self::I) {
        let low = wide8(a.0, b.0);
        let high = wide8(a.1, b.1);
        (Pair(low.0, high.0), Pair(low.1, high.1))
    }
    #[inline(always)]
    unsafe fn to_i(a: Self::F) -> Self::I {
        both!(_mm256_cvtps_epi32(a))
    }
    #[inline(always)]
    unsafe fn to_f(a: Self::I) -> Self::F {
        both!(_mm256_cvtepi32_ps(a))
    }
    #[inline(always)]
    unsafe fn bits(a: Self::F) -> Self::I {
        both!(_mm256_castps_si256(a))
    }
    #[inline(always)]
    unsafe fn from_bits(a: Self::I) -> Self::F {
        both!(_mm256_castsi256_ps(a))
    }
    #[inline(always)]
    unsafe fn gather_pair(p: *const f32, i: Self::I) -> (Self::F, Self::F) {
        let half = |i: __m256i| {
            let pairs = |i: __m128i| _mm256_castsi256_ps(_mm256_i32gather_epi64::<4>(p.cast(), i));
            let (first, second) = (pairs(_mm256_castsi256_si128(i)), pairs(_mm256_extracti128_si256::<1>(i)));
            let (even, odd) = (
                _mm256_shuffle_ps::<0b10_00_10_00>(first, second),
                _mm256_shuffle_ps::<0b11_01_11_01>(first, second),
            );
            // The shuffle works on halves: 0 1 4 5, 2 3 6 7.
            let order =
                |x: __m256| _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(x)));
            (order(even), order(odd))
        };
        let (low, high) = (half(i.0), half(i.1));
        (Pair(low.0, high.0), Pair(low.1, high.1))
    }
}

const _: () = assert!(LANES == 16);
