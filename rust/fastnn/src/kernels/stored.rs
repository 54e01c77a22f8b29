//! F2. Elements of storage types, which are narrower in memory than what is computed with. In a
//! register a float type is an f32 and an integer type an i32, of a value that the type can hold:
//! [`widen`] reads memory so, [`narrow`] writes it, and both are exact; rounding is the work of the
//! conversions [`bf16`], [`f16`], [`i8`] and [`u8`]. Depends on `simd` only.

use crate::shape::DType;
use crate::simd::{Isa, LANES, Portable, Simd, isa};

/// How elements of a type are read.
pub(crate) trait Element {
    /// Bytes of one.
    const SIZE: usize;
    /// Sixteen as numbers to multiply.
    unsafe fn value<S: Simd>(p: *const u8) -> S::F;
    /// Sixteen as they lie in a register.
    #[inline(always)]
    unsafe fn register<S: Simd>(p: *const u8) -> S::F {
        Self::value::<S>(p)
    }
    /// The first `n < 16` as numbers, the rest are zero.
    #[inline(always)]
    unsafe fn value_n<S: Simd>(p: *const u8, n: usize) -> S::F {
        Self::value::<S>(first(p, n * Self::SIZE).as_ptr())
    }
}

/// The first bytes of sixteen elements, then zeros.
#[inline(always)]
unsafe fn first(p: *const u8, bytes: usize) -> [u8; 2 * LANES] {
    let mut all = [0; 2 * LANES];
    all.as_mut_ptr().copy_from_nonoverlapping(p, bytes.min(2 * LANES));
    all
}

pub(crate) struct Float32;
pub(crate) struct Bfloat16;
pub(crate) struct Float16;
pub(crate) struct Int8;
pub(crate) struct Uint8;

impl Element for Float32 {
    const SIZE: usize = 4;
    #[inline(always)]
    unsafe fn value<S: Simd>(p: *const u8) -> S::F {
        S::load(p.cast())
    }
    #[inline(always)]
    unsafe fn value_n<S: Simd>(p: *const u8, n: usize) -> S::F {
        S::load_n(p.cast(), n)
    }
}

impl Element for Bfloat16 {
    const SIZE: usize = 2;
    #[inline(always)]
    unsafe fn value<S: Simd>(p: *const u8) -> S::F {
        S::from_bits(S::shl_i::<16>(S::load_u16(p)))
    }
}

impl Element for Float16 {
    const SIZE: usize = 2;
    #[inline(always)]
    unsafe fn value<S: Simd>(p: *const u8) -> S::F {
        let bits = S::load_u16(p);
        let sign = S::shl_i::<16>(S::and_i(bits, S::splat_i(0x8000)));
        let rest = S::and_i(bits, S::splat_i(0x7fff));
        // The exponent moves from bias 15 to 127; a subnormal number is its fraction times 2^-24.
        let normal = S::add_i(S::shl_i::<13>(rest), S::splat_i(112 << 23));
        let subnormal = S::bits(S::mul(S::to_f(rest), S::splat(1.0 / 16_777_216.0)));
        let special = S::or_i(S::shl_i::<13>(rest), S::splat_i(0x7f80_0000));
        let small = S::lt_i(rest, S::splat_i(0x0400));
        let finite = S::lt_i(rest, S::splat_i(0x7c00));
        let magnitude = S::select_i(small, subnormal, S::select_i(finite, normal, special));
        S::from_bits(S::or_i(sign, magnitude))
    }
}

macro_rules! bytes {
    ($name:ident, $load:ident) => {
        impl Element for $name {
            const SIZE: usize = 1;
            #[inline(always)]
            unsafe fn value<S: Simd>(p: *const u8) -> S::F {
                S::to_f(S::$load(p))
            }
            #[inline(always)]
            unsafe fn register<S: Simd>(p: *const u8) -> S::F {
                S::from_bits(S::$load(p))
            }
        }
    };
}
bytes!(Int8, load_i8);
bytes!(Uint8, load_u8);

/// Calls a generic function with the element type that a storage type (or f32) has.
macro_rules! with_element {
    ($dtype:expr, $call:ident::<$S:ident, _ $(, $more:tt)*>($($arg:expr),*)) => {
        match $dtype {
            $crate::shape::DType::BF16 => $call::<$S, $crate::kernels::stored::Bfloat16 $(, $more)*>($($arg),*),
            $crate::shape::DType::F16 => $call::<$S, $crate::kernels::stored::Float16 $(, $more)*>($($arg),*),
            $crate::shape::DType::I8 => $call::<$S, $crate::kernels::stored::Int8 $(, $more)*>($($arg),*),
            $crate::shape::DType::U8 => $call::<$S, $crate::kernels::stored::Uint8 $(, $more)*>($($arg),*),
            _ => $call::<$S, $crate::kernels::stored::Float32 $(, $more)*>($($arg),*),
        }
    };
}
pub(crate) use with_element;

#[inline(always)]
unsafe fn widen_as<S: Simd, E: Element>(src: *const u8, dst: *mut f32, n: usize) {
    let mut i = 0;
    while i + LANES <= n {
        S::store(dst.add(i), E::register::<S>(src.add(i * E::SIZE)));
        i += LANES;
    }
    if i < n {
        let rest = first(src.add(i * E::SIZE), (n - i) * E::SIZE);
        S::store_n(dst.add(i), E::register::<S>(rest.as_ptr()), n - i);
    }
}

#[inline(always)]
unsafe fn widen_any<S: Simd>(dtype: DType, src: *const u8, dst: *mut f32, n: usize) {
    debug_assert!(dtype.is_stored());
    with_element!(dtype, widen_as::<S, _>(src, dst, n));
}

crate::per_isa!(
    /// Reads `n` elements of a storage type as registers hold them.
    pub fn widen(dtype: DType, src: *const u8, dst: *mut f32, n: usize) = widen_any
);

#[inline(always)]
#[allow(clippy::extra_unused_type_parameters)] // compiled once per set
unsafe fn narrow_any<S: Simd>(dtype: DType, src: *const f32, dst: *mut u8, n: usize) {
    // Plain loops: the compiler makes vectors of them for each instruction set.
    match dtype {
        DType::BF16 => {
            for i in 0..n {
                let bits = (src.add(i).read().to_bits() >> 16) as u16;
                dst.cast::<u16>().add(i).write_unaligned(bits);
            }
        }
        DType::F16 => {
            for i in 0..n {
                dst.cast::<u16>().add(i).write_unaligned(f16_bits(src.add(i).read()));
            }
        }
        _ => {
            for i in 0..n {
                dst.add(i).write(src.add(i).read().to_bits() as u8);
            }
        }
    }
}

crate::per_isa!(
    /// Writes `n` elements, which the registers hold as the storage type can, to memory.
    pub fn narrow(dtype: DType, src: *const f32, dst: *mut u8, n: usize) = narrow_any
);

/// The bits of a float that float16 can hold.
#[inline(always)]
fn f16_bits(x: f32) -> u16 {
    let bits = x.to_bits();
    let (sign, rest) = ((bits >> 16 & 0x8000) as u16, bits & 0x7fff_ffff);
    let subnormal = (f32::from_bits(rest.min(0x3880_0000)) * 16_777_216.0) as u16;
    let normal = (rest.saturating_sub(112 << 23) >> 13) as u16;
    let special = (0x7c00 | (rest >> 13 & 0x03ff)) as u16;
    let magnitude = if rest < 0x3880_0000 {
        subnormal
    } else if rest < 0x7f80_0000 {
        normal
    } else {
        special
    };
    sign | magnitude
}

/// The nearest bfloat16, ties to even; NaN becomes the quiet one of its sign.
#[inline(always)]
pub(crate) unsafe fn bf16<S: Simd>(a: S::F) -> S::F {
    let bits = S::bits(a);
    let odd = S::and_i(S::shr_i::<16>(bits), S::splat_i(1));
    let round = S::add_i(bits, S::add_i(odd, S::splat_i(0x7fff)));
    let near = S::and_i(round, S::splat_i(0xffff_0000_u32 as i32));
    let nan = S::or_i(S::and_i(bits, S::splat_i(i32::MIN)), S::splat_i(0x7fc0_0000));
    S::from_bits(S::select_i(S::is_nan(a), nan, near))
}

/// The nearest float16, ties to even; too large ones are infinite, NaN stays one.
#[inline(always)]
pub(crate) unsafe fn f16<S: Simd>(a: S::F) -> S::F {
    let bits = S::bits(a);
    let rest = S::and_i(bits, S::splat_i(i32::MAX));
    // Ten bits of the fraction stay.
    let odd = S::and_i(S::shr_i::<13>(rest), S::splat_i(1));
    let round = S::and_i(S::add_i(rest, S::add_i(odd, S::splat_i(0x0fff))), S::splat_i(!0x1fff));
    let normal = S::select_i(S::lt_i(round, S::splat_i(0x4780_0000)), round, S::splat_i(0x7f80_0000));
    // Below 2^-14 numbers are whole multiples of 2^-24.
    let scaled = S::round(S::mul(S::from_bits(rest), S::splat(16_777_216.0)));
    let subnormal = S::bits(S::mul(scaled, S::splat(1.0 / 16_777_216.0)));
    let near = S::select_i(S::lt_i(rest, S::splat_i(0x3880_0000)), subnormal, normal);
    let nan = S::or_i(S::and_i(rest, S::splat_i(!0x1fff)), S::splat_i(0x7fc0_0000));
    let magnitude = S::select_i(S::is_nan(a), nan, near);
    S::from_bits(S::or_i(S::and_i(bits, S::splat_i(i32::MIN)), magnitude))
}

/// The low eight bits of an i32, as a signed number.
#[inline(always)]
pub(crate) unsafe fn i8<S: Simd>(a: S::I) -> S::F {
    S::from_bits(S::sar_i::<24>(S::shl_i::<24>(a)))
}

/// The low eight bits of an i32.
#[inline(always)]
pub(crate) unsafe fn u8<S: Simd>(a: S::I) -> S::F {
    S::from_bits(S::and_i(a, S::splat_i(0xff)))
}

/// Can memory of type `from` be read as elements of type `to`, with the same values?
#[must_use]
pub fn reads_as(from: DType, to: DType) -> bool {
    from.is_stored() && (to == from.computing() || to == DType::F32)
}

/// Reads `n` elements of a storage type as floats or integers of four bytes.
///
/// # Safety
/// [`reads_as`] holds, `src` covers the elements and `dst` as many of type `to`.
pub unsafe fn read_as(from: DType, to: DType, src: *const u8, dst: *mut u8, n: usize) {
    let dst = dst.cast::<f32>();
    widen(isa())(from, src, dst, n);
    if to.computing() != from.computing() {
        super::tile_ops::cast_i32_f32(isa())(dst, dst, dst, dst, n);
    }
}

/// A number as a register holds it, rounded or wrapped to the type.
#[must_use]
pub fn register(value: f64, dtype: DType) -> f32 {
    let whole = || [value as i64 as i32; LANES];
    // SAFETY: the portable set is always there.
    unsafe {
        match dtype {
            DType::F32 | DType::Bool => value as f32,
            DType::I32 => f32::from_bits((value as i32).cast_unsigned()),
            DType::BF16 => bf16::<Portable>([value as f32; LANES])[0],
            DType::F16 => f16::<Portable>([value as f32; LANES])[0],
            DType::I8 => i8::<Portable>(whole())[0],
            DType::U8 => u8::<Portable>(whole())[0],
        }
    }
}

/// The number that a register of this type holds.
#[must_use]
pub fn number(register: f32, dtype: DType) -> f64 {
    match dtype.computing() {
        DType::I32 => f64::from(register.to_bits().cast_signed()),
        _ => f64::from(register),
    }
}

/// A number as an element in memory, whose bytes come first; rounded or wrapped to the type.
#[must_use]
pub fn encode(value: f64, dtype: DType) -> [u8; 4] {
    let register = register(value, dtype);
    let mut out = register.to_ne_bytes();
    if dtype.is_stored() {
        // SAFETY: the portable set is always there; one element fits the bytes.
        unsafe { narrow(Isa::Portable)(dtype, &raw const register, out.as_mut_ptr(), 1) };
    }
    out
}

/// The number that an element in memory is.
///
/// # Panics
/// When there are fewer bytes.
#[must_use]
pub fn decode(bytes: &[u8], dtype: DType) -> f64 {
    let bytes = &bytes[..dtype.size()];
    let mut register = 0.0f32;
    // SAFETY: the portable set is always there; the bytes are those of one element.
    unsafe {
        if dtype.is_stored() {
            widen(Isa::Portable)(dtype, bytes.as_ptr(), &raw mut register, 1);
        } else {
            register = bytes.as_ptr().cast::<f32>().read_unaligned();
        }
    }
    number(register, dtype)
}

/// The number as a value of the type holds it.
#[must_use]
pub fn rounded(value: f64, dtype: DType) -> f64 {
    number(register(value, dtype), dtype)
}
