//! F2. The micro-kernel: up to six rows by four vectors of a product, summed in registers over any
//! number of K segments, with rows reached through pointers. Dense layers use one segment,
//! convolution one per tap, recurrent cells one per input ("batch-reduce", Georganas et al. 2020;
//! rows by pointer as in Dukhan 2019). May use `simd` only.
//!
//! Every element is one chain of multiply-adds in the order of the segments, whatever the shape of
//! the tile, so how a product is cut into tiles never changes its bits.

use crate::kernels::{Scale, prefetch};
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Isa, LANES, Portable, Simd};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m512, __m512bh, _mm512_dpbf16_ps};

/// The most rows a tile has on any instruction set.
pub const MAX_ROWS: usize = 6;

/// One stretch of the sum: `k` products of A elements and B rows.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    /// One pointer per row of the tile, to its first A element.
    pub rows: *const *const f32,
    /// Floats from one A element of a row to the next.
    pub a_step: usize,
    /// The first B row, `cols` wide.
    pub b: *const f32,
    /// Floats from one B row to the next.
    pub b_step: usize,
    /// Terms.
    pub k: usize,
}

/// Where a tile goes and what is done on the way: `c = relu(scale(c_before + sum + bias))`.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// The tile's first element.
    pub c: *mut f32,
    /// Floats between rows of C.
    pub ldc: usize,
    /// `cols` floats, or null.
    pub bias: *const f32,
    /// Of `cols` columns.
    pub scale: Scale,
    /// Negative results become zero; NaN stays.
    pub relu: bool,
    /// The old C is added.
    pub accumulate: bool,
}

/// A tile of a product.
#[derive(Debug, Clone, Copy)]
pub struct Tile<'a> {
    /// The terms, in order.
    pub segments: &'a [Segment],
    /// `1..=mr` of the kernel.
    pub rows: usize,
    /// `1..=nr` of the kernel.
    pub cols: usize,
    /// True when B rows are readable up to the next multiple of 16 columns.
    pub padded: bool,
    /// The destination.
    pub out: Output,
}

/// What later tiles will read: two lines of it are fetched into L2 with every four terms of this tile,
/// so that the next panel of B is near when its first tile begins.
#[derive(Debug, Clone, Copy)]
pub struct Ahead {
    /// The first lines to fetch; any addresses, since a fetch never faults.
    pub from: [*const f32; 2],
    /// Floats from one fetch to the next.
    pub step: usize,
}

type TileFn = unsafe fn(&Tile, Ahead);

/// The micro-kernels of an instruction set.
#[derive(Debug)]
pub struct Micro {
    /// Rows of the largest tile.
    pub mr: usize,
    /// Columns of the largest tile.
    pub nr: usize,
    /// By rows, then vectors, then kind.
    table: &'static [[TileFn; KINDS]],
}

impl Micro {
    /// The kernels of `isa`.
    #[must_use]
    pub fn of(isa: Isa) -> &'static Micro {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &AVX512,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &AVX2,
            _ => &PORTABLE,
        }
    }

    /// The kernels whose terms are pairs of bfloat16, each pair in the room of a float; A elements lie
    /// back to back and B is padded. They need AVX-512 with `vdpbf16ps`.
    #[must_use]
    pub fn of_pairs() -> &'static Micro {
        #[cfg(target_arch = "x86_64")]
        return &PAIRS;
        #[cfg(not(target_arch = "x86_64"))]
        return &PORTABLE;
    }

    /// Computes one tile.
    ///
    /// # Safety
    /// The processor has the instruction set, `rows` and `cols` are in range, and every pointer
    /// covers what the segments and the output say.
    #[inline]
    pub unsafe fn run(&self, tile: &Tile) {
        let near = tile.segments.first().map_or(std::ptr::null(), |s| s.b);
        self.dispatch(tile, is_wide(tile), Ahead { from: [near; 2], step: 0 });
    }

    /// Computes one tile and fetches what later ones will read.
    ///
    /// # Safety
    /// As [`Micro::run`].
    #[inline]
    pub unsafe fn run_ahead(&self, tile: &Tile, ahead: Ahead) {
        self.dispatch(tile, false, ahead);
    }

    #[inline]
    unsafe fn dispatch(&self, tile: &Tile, wide: bool, ahead: Ahead) {
        debug_assert!((1..=self.mr).contains(&tile.rows) && (1..=self.nr).contains(&tile.cols));
        let vectors = tile.cols.div_ceil(LANES);
        let kind = match tile {
            t if !t.padded && !t.cols.is_multiple_of(LANES) => MASKED,
            _ if wide => WIDE,
            t if t.segments.iter().all(|s| s.a_step == 1) => NEAR,
            t if t.segments.iter().all(|s| is_turned(s, t.rows)) => TURNED,
            _ => WHOLE,
        };
        let index = (tile.rows - 1) * (self.nr / LANES) + vectors - 1;
        self.table.get_unchecked(index)[kind](tile, ahead);
    }
}

fn is_wide(tile: &Tile) -> bool {
    tile.segments.first().is_some_and(|s| s.b_step >= WIDE_STEP)
}

/// Do the A elements of each term lie back to back, term after term?
unsafe fn is_turned(s: &Segment, rows: usize) -> bool {
    let first = *s.rows;
    s.a_step == rows && (1..rows).all(|i| *s.rows.add(i) == first.wrapping_add(i))
}

/// What a term is: a number of A times one of B, or a pair of each.
trait Term {
    type Lanes: Simd;
    /// `sum` and the term.
    unsafe fn add(
        a: <Self::Lanes as Simd>::F,
        b: <Self::Lanes as Simd>::F,
        sum: <Self::Lanes as Simd>::F,
    ) -> <Self::Lanes as Simd>::F;
}

impl<S: Simd> Term for S {
    type Lanes = S;
    #[inline(always)]
    unsafe fn add(a: S::F, b: S::F, sum: S::F) -> S::F {
        S::fma(a, b, sum)
    }
}

/// Pairs of bfloat16, multiplied and added to a float32 by one instruction.
#[cfg(target_arch = "x86_64")]
struct Pairs;

#[cfg(target_arch = "x86_64")]
impl Term for Pairs {
    type Lanes = Avx512;
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512, sum: __m512) -> __m512 {
        let pairs = |v: __m512| std::mem::transmute::<__m512, __m512bh>(v);
        _mm512_dpbf16_ps(sum, pairs(a), pairs(b))
    }
}

#[inline(always)]
unsafe fn tile<T: Term, const MR: usize, const NV: usize, const KIND: usize>(t: &Tile, ahead: Ahead) {
    tile_of::<T::Lanes, T, MR, NV, KIND>(t, ahead);
}

#[inline(always)]
unsafe fn tile_of<S: Simd, T: Term<Lanes = S>, const MR: usize, const NV: usize, const KIND: usize>(
    t: &Tile,
    ahead: Ahead,
) {
    let partial = t.cols % LANES;
    let mut acc = [[S::splat(0.0); NV]; MR];
    let mut fetch = ahead.from;
    for s in t.segments {
        let mut rows = [std::ptr::null::<f32>(); MR];
        for i in 0..MR {
            rows[i] = *s.rows.add(i);
        }
        let a_step = match KIND {
            NEAR => 1,
            TURNED => MR,
            _ => s.a_step,
        };
        let mut b = s.b;
        let mut at = 0usize;
        let mut left = s.k;
        if KIND != WIDE && KIND != MASKED {
            while left >= TURNS {
                for line in &mut fetch {
                    prefetch(*line);
                    *line = line.wrapping_add(ahead.step);
                }
                for u in 0..TURNS {
                    term::<S, T, MR, NV, KIND>(&rows, at + u * a_step, b, partial, &mut acc);
                    b = b.wrapping_add(s.b_step);
                }
                at = at.wrapping_add(TURNS * a_step);
                left -= TURNS;
            }
        }
        for _ in 0..left {
            if KIND == WIDE {
                for j in 0..NV {
                    prefetch(b.wrapping_add(AHEAD * s.b_step + j * LANES));
                }
            }
            term::<S, T, MR, NV, KIND>(&rows, at, b, partial, &mut acc);
            at = at.wrapping_add(a_step);
            b = b.wrapping_add(s.b_step);
        }
    }
    finish::<S, MR, NV>(t, partial, &mut acc);
}

/// One term: a row of B times an element of each row of A.
#[inline(always)]
unsafe fn term<S: Simd, T: Term<Lanes = S>, const MR: usize, const NV: usize, const KIND: usize>(
    rows: &[*const f32; MR],
    at: usize,
    b: *const f32,
    partial: usize,
    acc: &mut [[S::F; NV]; MR],
) {
    let mut bv = [S::splat(0.0); NV];
    for j in 0..NV {
        let p = b.wrapping_add(j * LANES);
        bv[j] = if KIND == MASKED && j == NV - 1 { S::load_n(p, partial) } else { S::load(p) };
    }
    for i in 0..MR {
        let a = if KIND == TURNED { rows[0].wrapping_add(at + i) } else { rows[i].wrapping_add(at) };
        let a = S::splat(*a);
        for j in 0..NV {
            acc[i][j] = T::add(a, bv[j], acc[i][j]);
        }
    }
}

/// Terms that a turn of the main loop adds.
pub(crate) const TURNS: usize = 4;

/// Whole vectors of B.
const WHOLE: usize = 0;
/// The last vector of B is loaded under a mask.
const MASKED: usize = 1;
/// As `WHOLE`, with B rows so far apart that the hardware does not look ahead by itself: each lies
/// on a page of its own. They are fetched into L2 some rows early.
const WIDE: usize = 2;
/// As `WHOLE`, with the A elements of a row back to back.
const NEAR: usize = 3;
/// As `WHOLE`, with all A elements of the tile back to back, term after term.
const TURNED: usize = 4;
const KINDS: usize = 5;
pub(super) const WIDE_STEP: usize = 768;
const AHEAD: usize = 16;

/// Adds the old C and the bias, scales, rectifies, stores. Without branches per element, so that the
/// accumulators stay in registers.
#[inline(always)]
unsafe fn finish<S: Simd, const MR: usize, const NV: usize>(
    t: &Tile,
    partial: usize,
    acc: &mut [[S::F; NV]; MR],
) {
    let out = &t.out;
    let mut bias = [S::splat(0.0); NV];
    if !out.bias.is_null() {
        for j in 0..NV {
            bias[j] = get::<S>(out.bias.add(j * LANES), if j == NV - 1 { partial } else { 0 });
        }
    }
    if out.accumulate {
        for i in 0..MR {
            for j in 0..NV {
                let c = out.c.wrapping_add(i * out.ldc + j * LANES);
                acc[i][j] = S::add(acc[i][j], get::<S>(c, if j == NV - 1 { partial } else { 0 }));
            }
        }
    }
    for i in 0..MR {
        for j in 0..NV {
            acc[i][j] = S::add(acc[i][j], bias[j]);
        }
    }
    if !out.scale.is_none() {
        for j in 0..NV {
            let part = if j == NV - 1 { partial } else { 0 };
            let at = out.scale.from(j * LANES);
            let (factor, summand) = (get::<S>(at.factors, part), get::<S>(at.summands, part));
            for i in 0..MR {
                acc[i][j] = S::fma(acc[i][j], factor, summand);
            }
        }
    }
    if out.relu {
        for i in 0..MR {
            for j in 0..NV {
                // NaN must be the second operand of `max` to survive.
                acc[i][j] = S::max(S::splat(0.0), acc[i][j]);
            }
        }
    }
    for i in 0..MR {
        for j in 0..NV {
            let c = out.c.wrapping_add(i * out.ldc + j * LANES);
            let v = acc[i][j];
            if j == NV - 1 && partial != 0 { S::store_n(c, v, partial) } else { S::store(c, v) }
        }
    }
}

#[inline(always)]
unsafe fn get<S: Simd>(p: *const f32, partial: usize) -> S::F {
    if partial == 0 { S::load(p) } else { S::load_n(p, partial) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn avx512<const MR: usize, const NV: usize, const KIND: usize>(t: &Tile, ahead: Ahead) {
    tile::<Avx512, MR, NV, KIND>(t, ahead);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
unsafe fn pairs<const MR: usize, const NV: usize, const KIND: usize>(t: &Tile, ahead: Ahead) {
    tile::<Pairs, MR, NV, KIND>(t, ahead);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const MR: usize, const NV: usize, const KIND: usize>(t: &Tile, ahead: Ahead) {
    tile::<Avx2, MR, NV, KIND>(t, ahead);
}

unsafe fn portable<const MR: usize, const NV: usize, const KIND: usize>(t: &Tile, ahead: Ahead) {
    tile::<Portable, MR, NV, KIND>(t, ahead);
}

macro_rules! table {
    ($f:ident: $($mr:literal),* => $nv:tt) => {
        table!($f, (WHOLE, MASKED, WIDE, NEAR, TURNED): $($mr),* => $nv)
    };
    ($f:ident, $kinds:tt: $($mr:literal),* => $nv:tt) => {
        &[$(table!(@rows $f, $kinds, $mr, $nv)),*].as_flattened()
    };
    (@rows $f:ident, $kinds:tt, $mr:literal, ($($nv:literal),*)) => {
        [$(table!(@kinds $f, $kinds, $mr, $nv)),*]
    };
    (@kinds $f:ident, ($($kind:ident),*), $mr:literal, $nv:literal) => {
        [$($f::<$mr, $nv, $kind> as TileFn),*]
    };
}

#[cfg(target_arch = "x86_64")]
static AVX512: Micro = Micro { mr: 6, nr: 64, table: table!(avx512: 1, 2, 3, 4, 5, 6 => (1, 2, 3, 4)) };
#[cfg(target_arch = "x86_64")]
static AVX2: Micro = Micro { mr: 6, nr: 16, table: table!(avx2: 1, 2, 3, 4, 5, 6 => (1)) };
/// Every entry is the kernel for A elements back to back.
#[cfg(target_arch = "x86_64")]
static PAIRS: Micro = Micro {
    mr: 6,
    nr: 64,
    table: table!(pairs, (NEAR, NEAR, NEAR, NEAR, NEAR): 1, 2, 3, 4, 5, 6 => (1, 2, 3, 4)),
};
static PORTABLE: Micro = Micro { mr: 4, nr: 16, table: table!(portable: 1, 2, 3, 4 => (1)) };
