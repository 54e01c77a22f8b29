//! F2. The instructions of the fused elementwise machine: one operation on `n` contiguous
//! elements, compiled for every instruction set. Full vectors first, then one masked tail, so
//! memory past `n` is never touched. `i32` data travels in the same pointers as bit patterns and
//! truth values are the floats 0 and 1. Depends on `simd` only.

use super::stored;
use crate::simd::{Isa, LANES, Simd, math};

/// One instruction: `dst[i] = op(a[i], b[i], c[i])` for `i < n`. Operands that the operation does
/// not have are never read. `dst` may equal `a`, `b` or `c` exactly, but not overlap them otherwise.
pub type TileFn = unsafe fn(dst: *mut f32, a: *const f32, b: *const f32, c: *const f32, n: usize);

/// Looks a kernel up for an instruction set.
pub type TileOf = fn(Isa) -> TileFn;

// The lanes of one instruction, and which operands it reads.
trait Op {
    const A: bool;
    const B: bool;
    const C: bool;
    // Vectors in flight: more for short chains, fewer for long ones.
    const UNROLL: usize;
    unsafe fn apply<S: Simd>(a: S::F, b: S::F, c: S::F) -> S::F;
}

macro_rules! vectors {
    ($S:ident, $O:ident, $dst:ident, $a:ident, $b:ident, $c:ident, $i:ident; $($k:literal)+) => {{
        // All loads before all stores, so that the vectors overlap in the pipeline.
        let y = [$($O::apply::<$S>(
            if $O::A { $S::load($a.add($i + $k * LANES)) } else { $S::splat(0.0) },
            if $O::B { $S::load($b.add($i + $k * LANES)) } else { $S::splat(0.0) },
            if $O::C { $S::load($c.add($i + $k * LANES)) } else { $S::splat(0.0) },
        )),+];
        $($S::store($dst.add($i + $k * LANES), y[$k]);)+
    }};
}

#[inline(always)]
unsafe fn run<S: Simd, O: Op>(dst: *mut f32, a: *const f32, b: *const f32, c: *const f32, n: usize) {
    let mut i = 0;
    if O::UNROLL == 4 {
        while i + 4 * LANES <= n {
            vectors!(S, O, dst, a, b, c, i; 0 1 2 3);
            i += 4 * LANES;
        }
    } else if O::UNROLL == 2 {
        while i + 2 * LANES <= n {
            vectors!(S, O, dst, a, b, c, i; 0 1);
            i += 2 * LANES;
        }
    }
    while i + LANES <= n {
        vectors!(S, O, dst, a, b, c, i; 0);
        i += LANES;
    }
    if i < n {
        let rest = n - i;
        let zero = S::splat(0.0);
        let a = if O::A { S::load_n(a.add(i), rest) } else { zero };
        let b = if O::B { S::load_n(b.add(i), rest) } else { zero };
        let c = if O::C { S::load_n(c.add(i), rest) } else { zero };
        S::store_n(dst.add(i), O::apply::<S>(a, b, c), rest);
    }
}

macro_rules! instruction {
    ([$A:literal $B:literal $C:literal] $unroll:literal $body:expr, $a:pat, $b:pat, $c:pat) => {
        struct Instruction;
        impl Op for Instruction {
            const A: bool = $A;
            const B: bool = $B;
            const C: bool = $C;
            const UNROLL: usize = $unroll;
            #[inline(always)]
            unsafe fn apply<S: Simd>($a: S::F, $b: S::F, $c: S::F) -> S::F {
                $body
            }
        }
    };
    ($unroll:literal $body:expr, $a:ident) => {
        instruction!([true false false] $unroll $body, $a, _, _);
    };
    ($unroll:literal $body:expr, $a:ident $b:ident) => {
        instruction!([true true false] $unroll $body, $a, $b, _);
    };
    ($unroll:literal $body:expr, $a:ident $b:ident $c:ident) => {
        instruction!([true true true] $unroll $body, $a, $b, $c);
    };
}

// A getter per operation: `name(operands) x unroll = expression over the set S`.
macro_rules! tile_ops {
    ($($(#[$meta:meta])* $name:ident($($v:ident)+) x $unroll:literal = $body:expr;)*) => { $(
        $(#[$meta])*
        #[must_use]
        pub fn $name(isa: Isa) -> TileFn {
            instruction!($unroll $body, $($v)+);
            #[inline(always)]
            unsafe fn kernel<S: Simd>(dst: *mut f32, a: *const f32, b: *const f32, c: *const f32, n: usize) {
                run::<S, Instruction>(dst, a, b, c, n);
            }
            crate::per_isa!(fn pick(dst: *mut f32, a: *const f32, b: *const f32, c: *const f32, n: usize) = kernel);
            pick(isa)
        }
    )*
        /// The same operations on lanes, for instructions that are made of several.
        pub(super) mod lanes {
            use super::{math, nonzero, stored};
            use $crate::simd::Simd;
            $(
                $(#[$meta])*
                #[inline(always)]
                #[allow(dead_code)] // instructions use few of them
                pub(in super::super) unsafe fn $name<S: Simd>($($v: S::F),+) -> S::F {
                    $body
                }
            )*
        }
    };
}

tile_ops! {
    /// `a`.
    copy(a) x 4 = a;
    /// `a + b`.
    add(a b) x 4 = S::add(a, b);
    /// `a - b`.
    sub(a b) x 4 = S::sub(a, b);
    /// `a * b`.
    mul(a b) x 4 = S::mul(a, b);
    /// `a / b`.
    div(a b) x 4 = S::div(a, b);
    /// `a * b + c`; one rounding where the set is fused.
    fma(a b c) x 4 = S::fma(a, b, c);
    /// `c - a * b`; one rounding where the set is fused.
    fnma(a b c) x 4 = S::fnma(a, b, c);
    /// `a * b - c`; one rounding where the set is fused.
    fms(a b c) x 4 = S::fma(a, b, S::neg(c));
    /// `a + (b - a) * c`; two roundings where the set is fused.
    lerp(a b c) x 4 = S::fma(S::sub(b, a), c, a);
    /// `(a + b) + c`.
    sum3(a b c) x 4 = S::add(S::add(a, b), c);
    /// `sqrt(a) + b`.
    root_sum(a b) x 4 = S::add(S::sqrt(a), b);
    /// `a / (sqrt(b) + c)`.
    div_root(a b c) x 4 = S::div(a, S::add(S::sqrt(b), c));
    /// `|a| < b`.
    abs_less(a b) x 4 = S::truth(S::lt(S::abs(a), b));
    /// `c` where `|a| < b`, else `a`.
    flush(a b c) x 4 = S::select(S::lt(S::abs(a), b), c, a);
    /// The smaller, NaN if either is.
    minimum(a b) x 4 = math::minimum::<S>(a, b);
    /// The larger, NaN if either is.
    maximum(a b) x 4 = math::maximum::<S>(a, b);
    /// `a^b` with the special cases of IEEE 754.
    power(a b) x 1 = math::pow::<S>(a, b);
    /// The exact remainder with the sign of `b`.
    modulo(a b) x 1 = math::modulo::<S>(a, b);
    /// The floor of the exact quotient.
    floor_divide(a b) x 1 = math::floor_divide::<S>(a, b);

    /// `a == b`.
    equal(a b) x 4 = S::truth(S::eq(a, b));
    /// `a != b`.
    not_equal(a b) x 4 = S::truth(S::not_m(S::eq(a, b)));
    /// `a < b`.
    less(a b) x 4 = S::truth(S::lt(a, b));
    /// `a <= b`.
    less_equal(a b) x 4 = S::truth(S::le(a, b));
    /// `a > b`.
    greater(a b) x 4 = S::truth(S::lt(b, a));
    /// `a >= b`.
    greater_equal(a b) x 4 = S::truth(S::le(b, a));
    /// Both non-zero.
    logical_and(a b) x 4 = S::truth(S::and_m(nonzero::<S>(a), nonzero::<S>(b)));
    /// Either non-zero.
    logical_or(a b) x 4 = S::truth(S::or_m(nonzero::<S>(a), nonzero::<S>(b)));
    /// Exactly one non-zero.
    logical_xor(a b) x 4 = S::abs(S::sub(S::truth(nonzero::<S>(a)), S::truth(nonzero::<S>(b))));
    /// Zero.
    logical_not(a) x 4 = S::truth(S::eq(a, S::splat(0.0)));
    /// `b` where `a` is non-zero, else `c`; their bits unchanged, so for `i32` too.
    select(a b c) x 4 = S::select(nonzero::<S>(a), b, c);
    /// True for NaN.
    is_nan(a) x 4 = S::truth(S::is_nan(a));
    /// True for infinities.
    is_inf(a) x 4 = S::truth(S::eq(S::abs(a), S::splat(f32::INFINITY)));
    /// False for infinities and NaN.
    is_finite(a) x 4 = S::truth(S::lt(S::abs(a), S::splat(f32::INFINITY)));

    /// `-a`.
    neg(a) x 4 = S::neg(a);
    /// `|a|`.
    abs(a) x 4 = S::abs(a);
    /// -1, 0 or 1; NaN for NaN.
    sign(a) x 4 = math::sign::<S>(a);
    /// The largest integer not above `a`.
    floor(a) x 4 = S::floor(a);
    /// The smallest integer not below `a`.
    ceil(a) x 4 = S::ceil(a);
    /// The nearest integer, ties to even.
    round(a) x 4 = S::round(a);
    /// `a` without its fraction.
    trunc(a) x 4 = S::trunc(a);
    /// The square root.
    sqrt(a) x 4 = S::sqrt(a);
    /// `1 / sqrt(a)`.
    rsqrt(a) x 4 = math::rsqrt::<S>(a);
    /// `a * a`.
    square(a) x 4 = S::mul(a, a);
    /// `1 / a`.
    reciprocal(a) x 4 = S::div(S::splat(1.0), a);
    /// e^a.
    exp(a) x 2 = math::exp::<S>(a);
    /// e^a - 1.
    expm1(a) x 2 = math::expm1::<S>(a);
    /// ln a.
    log(a) x 2 = math::log::<S>(a);
    /// ln(1 + a).
    log1p(a) x 2 = math::log1p::<S>(a);
    /// sin a.
    sin(a) x 2 = math::sin::<S>(a);
    /// cos a.
    cos(a) x 2 = math::cos::<S>(a);
    /// tanh a.
    tanh(a) x 2 = math::tanh::<S>(a);
    /// `1 / (1 + e^-a)`.
    sigmoid(a) x 2 = math::sigmoid::<S>(a);
    /// The angle whose tangent is a.
    atan(a) x 2 = math::atan::<S>(a);
    /// The error function.
    erf(a) x 2 = math::erf::<S>(a);
    /// max(a, 0), NaN for NaN.
    relu(a) x 4 = math::relu::<S>(a);
    /// a Phi(a), Phi the distribution function of N(0, 1).
    gelu(a) x 2 = math::gelu::<S>(a);
    /// `gelu` by its approximation with tanh.
    gelu_tanh(a) x 2 = math::gelu_tanh::<S>(a);
    /// ln(1 + e^a).
    softplus(a) x 2 = math::softplus::<S>(a);

    /// f32 to i32, toward zero; NaN and out of range give `i32::MIN`.
    cast_f32_i32(a) x 4 = S::from_bits(S::to_i(S::trunc(a)));
    /// i32 to the nearest f32.
    cast_i32_f32(a) x 4 = S::to_f(S::bits(a));
    /// f32 to the nearest bfloat16.
    cast_f32_bf16(a) x 2 = stored::bf16::<S>(a);
    /// i32 to the nearest bfloat16, by way of f32.
    cast_i32_bf16(a) x 2 = stored::bf16::<S>(S::to_f(S::bits(a)));
    /// f32 to the nearest float16.
    cast_f32_f16(a) x 2 = stored::f16::<S>(a);
    /// i32 to the nearest float16, by way of f32.
    cast_i32_f16(a) x 2 = stored::f16::<S>(S::to_f(S::bits(a)));
    /// f32 to i32 to its low eight bits, signed.
    cast_f32_i8(a) x 4 = stored::i8::<S>(S::to_i(S::trunc(a)));
    /// i32 to its low eight bits, signed.
    cast_i32_i8(a) x 4 = stored::i8::<S>(S::bits(a));
    /// f32 to i32 to its low eight bits.
    cast_f32_u8(a) x 4 = stored::u8::<S>(S::to_i(S::trunc(a)));
    /// i32 to its low eight bits.
    cast_i32_u8(a) x 4 = stored::u8::<S>(S::bits(a));
    /// f32 to truth: non-zero, NaN included.
    cast_f32_bool(a) x 4 = S::truth(nonzero::<S>(a));
    /// i32 to truth: non-zero.
    cast_i32_bool(a) x 4 = S::truth(S::not_m(S::eq_i(S::bits(a), S::splat_i(0))));

    /// `a + b` in i32, wrapping.
    add_i32(a b) x 4 = S::from_bits(S::add_i(S::bits(a), S::bits(b)));
    /// `a - b` in i32, wrapping.
    sub_i32(a b) x 4 = S::from_bits(S::sub_i(S::bits(a), S::bits(b)));
    /// `a * b` in i32, wrapping.
    mul_i32(a b) x 4 = S::from_bits(S::mul_i(S::bits(a), S::bits(b)));
    /// The floor of the quotient in i32; 0 where `b` is 0, as in NumPy.
    floor_divide_i32(a b) x 1 = S::from_bits(math::floor_divide_i::<S>(S::bits(a), S::bits(b)));
    /// The remainder with the sign of `b` in i32; 0 where `b` is 0, as in NumPy.
    modulo_i32(a b) x 1 = S::from_bits(math::modulo_i::<S>(S::bits(a), S::bits(b)));
    /// The smaller in i32.
    minimum_i32(a b) x 4 = S::from_bits(S::min_i(S::bits(a), S::bits(b)));
    /// The larger in i32.
    maximum_i32(a b) x 4 = S::from_bits(S::max_i(S::bits(a), S::bits(b)));
    /// `-a` in i32, wrapping.
    neg_i32(a) x 4 = S::from_bits(S::sub_i(S::splat_i(0), S::bits(a)));
    /// `|a|` in i32, wrapping.
    abs_i32(a) x 4 = {
        let x = S::bits(a);
        S::from_bits(S::max_i(x, S::sub_i(S::splat_i(0), x)))
    };
    /// -1, 0 or 1 in i32.
    sign_i32(a) x 4 = S::from_bits(S::max_i(S::splat_i(-1), S::min_i(S::splat_i(1), S::bits(a))));
    /// `a == b` of i32.
    equal_i32(a b) x 4 = S::truth(S::eq_i(S::bits(a), S::bits(b)));
    /// `a != b` of i32.
    not_equal_i32(a b) x 4 = S::truth(S::not_m(S::eq_i(S::bits(a), S::bits(b))));
    /// `a < b` of i32.
    less_i32(a b) x 4 = S::truth(S::lt_i(S::bits(a), S::bits(b)));
    /// `a <= b` of i32.
    less_equal_i32(a b) x 4 = S::truth(S::not_m(S::lt_i(S::bits(b), S::bits(a))));
    /// `a > b` of i32.
    greater_i32(a b) x 4 = S::truth(S::lt_i(S::bits(b), S::bits(a)));
    /// `a >= b` of i32.
    greater_equal_i32(a b) x 4 = S::truth(S::not_m(S::lt_i(S::bits(a), S::bits(b))));
}

#[inline(always)]
unsafe fn nonzero<S: Simd>(a: S::F) -> S::M {
    S::not_m(S::eq(a, S::splat(0.0)))
}

crate::per_isa! {
    /// `dst[i] = value` for `i < n`; bits unchanged, so for `i32` too.
    pub fn fill(dst: *mut f32, value: f32, n: usize) = fill_all
}

#[inline(always)]
unsafe fn fill_all<S: Simd>(dst: *mut f32, value: f32, n: usize) {
    let v = S::splat(value);
    let mut i = 0;
    while i + LANES <= n {
        S::store(dst.add(i), v);
        i += LANES;
    }
    if i < n {
        S::store_n(dst.add(i), v, n - i);
    }
}
