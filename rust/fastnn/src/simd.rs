//! F1. Sixteen f32 lanes on every instruction set: one zmm, two ymm, or an array. A kernel is
//! written once, generic over [`Simd`], and [`per_isa!`](crate::per_isa) compiles it for each.
//!
//! The lane count is the same everywhere, so tails, reduction order and therefore results are the
//! same: AVX-512 and AVX2 agree bit for bit; the portable set has no fused multiply-add and agrees
//! within rounding.
//!
//! Every method is `unsafe`: callers promise that the processor has the instruction set (true for
//! any kernel reached through `per_isa!`) and that pointers cover the lanes read or written.

pub mod math;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::sync::Slot;

pub use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

/// Lanes of a vector on every instruction set.
pub const LANES: usize = 16;

/// An instruction set chosen at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust arrays; what the compiler's baseline makes of them.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
}

impl Isa {
    /// The name used by `FASTNN_ISA` and `fastnn info`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// The sets this processor can run, best first.
    #[must_use]
    pub fn available() -> Vec<Isa> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("popcnt");
            if avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                all.push(Isa::Avx512);
            }
            if avx2 {
                all.push(Isa::Avx2);
            }
        }
        all.push(Isa::Portable);
        all
    }
}

/// The instruction set in use: the best available, or the one `FASTNN_ISA` names when the
/// processor has it. Chosen once per process.
#[must_use]
pub fn isa() -> Isa {
    static CHOSEN: Slot<Isa> = Slot::new();
    *CHOSEN.get_or_make(|| {
        let available = Isa::available();
        let wanted = std::env::var("FASTNN_ISA").unwrap_or_default();
        available.iter().copied().find(|i| i.name() == wanted).unwrap_or(available[0])
    })
}

/// Vectors of sixteen lanes and what can be done with them. Comparisons with NaN are false, as in
/// IEEE 754; `min`/`max` return the second operand when either is NaN (the x86 rule), so callers
/// that must propagate NaN put the possibly-NaN operand second.
pub trait Simd: Copy + Send + Sync + 'static {
    /// Sixteen f32.
    type F: Copy;
    /// Sixteen i32.
    type I: Copy;
    /// Sixteen truth values.
    type M: Copy;
    /// True when `fma` rounds once.
    const FUSED: bool;

    unsafe fn load(p: *const f32) -> Self::F;
    unsafe fn store(p: *mut f32, v: Self::F);
    /// Loads the first `n < 16` lanes, the rest are zero; memory past `n` is not touched.
    unsafe fn load_n(p: *const f32, n: usize) -> Self::F;
    /// Stores the first `n < 16` lanes; memory past `n` is not touched.
    unsafe fn store_n(p: *mut f32, v: Self::F, n: usize);
    /// A store past the caches where the set has one; `p` must be 64-byte aligned.
    unsafe fn stream(p: *mut f32, v: Self::F);
    unsafe fn splat(x: f32) -> Self::F;
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`.
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `c - a * b`.
    unsafe fn fnma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn sqrt(a: Self::F) -> Self::F;
    /// Rounds to nearest, ties to even.
    unsafe fn round(a: Self::F) -> Self::F;
    unsafe fn floor(a: Self::F) -> Self::F;
    unsafe fn ceil(a: Self::F) -> Self::F;
    unsafe fn trunc(a: Self::F) -> Self::F;
    unsafe fn lt(a: Self::F, b: Self::F) -> Self::M;
    unsafe fn le(a: Self::F, b: Self::F) -> Self::M;
    unsafe fn eq(a: Self::F, b: Self::F) -> Self::M;
    /// `m ? a : b`, lane by lane.
    unsafe fn select(m: Self::M, a: Self::F, b: Self::F) -> Self::F;
    unsafe fn and_m(a: Self::M, b: Self::M) -> Self::M;
    unsafe fn or_m(a: Self::M, b: Self::M) -> Self::M;
    unsafe fn not_m(a: Self::M) -> Self::M;
    /// True when any lane is set.
    unsafe fn any(m: Self::M) -> bool;
    /// One bit per set lane, lane 0 lowest.
    unsafe fn mask_bits(m: Self::M) -> u32;
    /// `a * 2^n` for `|a|` in [1/4, 4] or NaN, `n` an integral float in [-252, 254]; subnormal
    /// results round once.
    unsafe fn scale(a: Self::F, n: Self::F) -> Self::F;
    /// The sixteen lanes added as a fixed binary tree: (i, i+8), (i, i+4), (i, i+2), (i, i+1).
    unsafe fn sum(a: Self::F) -> f32;
    /// The largest lane; NaN if any lane is NaN.
    unsafe fn max_lane(a: Self::F) -> f32;
    /// The smallest lane; NaN if any lane is NaN.
    unsafe fn min_lane(a: Self::F) -> f32;

    unsafe fn load_i(p: *const i32) -> Self::I;
    unsafe fn store_i(p: *mut i32, v: Self::I);
    /// Sixteen unsigned 16-bit numbers at any address.
    unsafe fn load_u16(p: *const u8) -> Self::I;
    /// Sixteen signed bytes.
    unsafe fn load_i8(p: *const u8) -> Self::I;
    /// Sixteen unsigned bytes.
    unsafe fn load_u8(p: *const u8) -> Self::I;
    unsafe fn splat_i(x: i32) -> Self::I;
    unsafe fn add_i(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn sub_i(a: Self::I, b: Self::I) -> Self::I;
    /// The low 32 bits of the products.
    unsafe fn mul_i(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn min_i(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn max_i(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn and_i(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn or_i(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn xor_i(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn shl_i<const N: u32>(a: Self::I) -> Self::I;
    /// Logical shift right.
    unsafe fn shr_i<const N: u32>(a: Self::I) -> Self::I;
    /// Arithmetic shift right.
    unsafe fn sar_i<const N: u32>(a: Self::I) -> Self::I;
    unsafe fn eq_i(a: Self::I, b: Self::I) -> Self::M;
    /// Signed `a < b`.
    unsafe fn lt_i(a: Self::I, b: Self::I) -> Self::M;
    unsafe fn select_i(m: Self::M, a: Self::I, b: Self::I) -> Self::I;
    /// (low, high) 32 bits of the unsigned products, for Philox.
    unsafe fn mul_wide_u(a: Self::I, b: Self::I) -> (Self::I, Self::I);
    /// Converts lanes to the nearest integer, ties to even.
    unsafe fn to_i(a: Self::F) -> Self::I;
    unsafe fn to_f(a: Self::I) -> Self::F;
    unsafe fn bits(a: Self::F) -> Self::I;
    unsafe fn from_bits(a: Self::I) -> Self::F;
    /// `p[i]` and `p[i + 1]` for every lane of `i`.
    unsafe fn gather_pair(p: *const f32, i: Self::I) -> (Self::F, Self::F);

    /// `-a`, sign bit only (so NaN and zero keep their rules).
    #[inline(always)]
    unsafe fn neg(a: Self::F) -> Self::F {
        Self::from_bits(Self::xor_i(Self::bits(a), Self::splat_i(i32::MIN)))
    }
    /// `|a|`.
    #[inline(always)]
    unsafe fn abs(a: Self::F) -> Self::F {
        Self::from_bits(Self::and_i(Self::bits(a), Self::splat_i(i32::MAX)))
    }
    /// `|a|` with the sign of `s`.
    #[inline(always)]
    unsafe fn copysign(a: Self::F, s: Self::F) -> Self::F {
        let sign = Self::splat_i(i32::MIN);
        let mag = Self::and_i(Self::bits(a), Self::splat_i(i32::MAX));
        Self::from_bits(Self::or_i(mag, Self::and_i(Self::bits(s), sign)))
    }
    /// True where `a` is NaN.
    #[inline(always)]
    unsafe fn is_nan(a: Self::F) -> Self::M {
        Self::not_m(Self::eq(a, a))
    }
    /// 1.0 where `m`, else 0.0.
    #[inline(always)]
    unsafe fn truth(m: Self::M) -> Self::F {
        Self::select(m, Self::splat(1.0), Self::splat(0.0))
    }
}

/// Makes `fn name(isa: Isa) -> unsafe fn(args) -> ret`: the generic function compiled for each
/// instruction set. Look the pointer up once (at plan time, or per call outside loops).
///
/// ```ignore
/// per_isa!(pub fn exp_tile(dst: *mut f32, a: *const f32, n: usize) = exp_tile_generic);
/// unsafe { exp_tile(isa())(dst, a, n) }
/// ```
#[macro_export]
macro_rules! per_isa {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $generic:ident) => {
        $(#[$meta])*
        $vis fn $name(isa: $crate::simd::Isa) -> unsafe fn($($ty),*) $(-> $ret)? {
            unsafe fn portable($($arg: $ty),*) $(-> $ret)? {
                $generic::<$crate::simd::Portable>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,popcnt")]
            unsafe fn avx2($($arg: $ty),*) $(-> $ret)? {
                $generic::<$crate::simd::Avx2>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")]
            unsafe fn avx512($($arg: $ty),*) $(-> $ret)? {
                $generic::<$crate::simd::Avx512>($($arg),*)
            }
            match isa {
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Isa::Avx512 => avx512,
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Isa::Avx2 => avx2,
                _ => portable,
            }
        }
    };
}
