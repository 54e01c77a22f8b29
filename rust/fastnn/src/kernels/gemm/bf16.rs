//! F2. Matrix products whose operands are rounded to bfloat16 and whose sums are float32. Both operands
//! are copied as pairs of terms, two bfloat16 in the room of a float, so that panels, blocks and tiles
//! are those of [`super::gemm`] with half as many terms, and one instruction (`vdpbf16ps`) adds a pair.
//!
//! Some processors have the instruction and run it no faster than float32. So it is used where a
//! measurement says that it pays ([`arithmetic`]); elsewhere such a product is a float32 product.

use super::pack::Pack;
#[cfg(target_arch = "x86_64")]
use super::pack::Transpose;
use super::slices;
use super::tile::{MAX_ROWS, Micro, Output, Segment, Tile};
use super::{ALONE, Block, GROUP, Gemm, KC, Matrix, Next, Panels, Target, gemm_on, multiply, share, slab};
use crate::buffer::{Scratch, scratch};
use crate::kernels::stored;
use crate::kernels::{Epilogue, Scale};
use crate::pool;
use crate::shape::DType;
#[cfg(target_arch = "x86_64")]
use crate::simd::Avx512;
use crate::simd::{Isa, isa};
#[cfg(target_arch = "x86_64")]
use crate::simd::{LANES, Simd};
use crate::sync::Slot;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::ptr;
use std::time::{Duration, Instant};

/// How a product that asks for bfloat16 is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// In float32, as any other.
    Float32,
    /// By the processor's instruction for pairs of bfloat16.
    Native,
    /// Operands are rounded to bfloat16, then multiplied in float32.
    Emulated,
}

impl Arithmetic {
    /// The name in `fastnn info`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Arithmetic::Float32 => "float32",
            Arithmetic::Native => "bfloat16",
            Arithmetic::Emulated => "bfloat16, emulated",
        }
    }
}

/// How much faster than float32 the instruction must be to be used.
const GAIN: f64 = 1.3;

/// The arithmetic of this process: `FASTNN_BF16=1` asks for bfloat16 (emulated where the instruction
/// is missing), `FASTNN_BF16=0` for float32; otherwise the two are timed, once, in some 100 us.
#[must_use]
pub fn arithmetic() -> Arithmetic {
    static CHOSEN: Slot<Arithmetic> = Slot::new();
    *CHOSEN.get_or_make(|| match std::env::var("FASTNN_BF16").unwrap_or_default().as_str() {
        "0" => Arithmetic::Float32,
        "1" if is_native(isa()) => Arithmetic::Native,
        "1" => Arithmetic::Emulated,
        _ if is_native(isa()) && gain() >= GAIN => Arithmetic::Native,
        _ => Arithmetic::Float32,
    })
}

/// Has the processor the instruction, and is the instruction set the one that it belongs to?
#[must_use]
pub fn is_native(isa: Isa) -> bool {
    #[cfg(target_arch = "x86_64")]
    return isa == Isa::Avx512 && is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// How many times faster a tile of as many terms is in bfloat16; the processor has the instruction.
fn gain() -> f64 {
    const TERMS: usize = 256;
    let micros = [(Micro::of(Isa::Avx512), TERMS), (Micro::of_pairs(), TERMS / 2)];
    let (a, b) = (vec![0f32; MAX_ROWS * TERMS], vec![0f32; TERMS * 64]);
    let mut c = vec![0f32; MAX_ROWS * 64];
    let mut best = [Duration::MAX; 2];
    for _ in 0..8 {
        for (best, (micro, k)) in best.iter_mut().zip(micros) {
            let rows: [*const f32; MAX_ROWS] = std::array::from_fn(|i| a[i * k..].as_ptr());
            let segment = Segment { rows: rows.as_ptr(), a_step: 1, b: b.as_ptr(), b_step: 64, k };
            let out = Output {
                c: c.as_mut_ptr(),
                ldc: 64,
                bias: ptr::null(),
                scale: Scale::NONE,
                relu: false,
                accumulate: false,
            };
            let tile = Tile { segments: &[segment], rows: MAX_ROWS, cols: 64, padded: true, out };
            let start = Instant::now();
            for _ in 0..4 {
                // SAFETY: the vectors above cover the tile, and the caller has looked for the instruction.
                unsafe { micro.run(&tile) };
            }
            *best = start.elapsed().min(*best);
        }
    }
    best[0].as_secs_f64() / best[1].as_secs_f64().max(1e-9)
}

/// Rows, columns and terms from which on two copies cost less than the faster sums gain.
const LEAST: [usize; 3] = [64, 48, 16];

/// Is the copying of both operands worth it? It follows from the problem alone.
#[must_use]
pub fn pays(m: usize, n: usize, k: usize) -> bool {
    [m, n, k].iter().zip(LEAST).all(|(&size, least)| size >= least)
}

/// [`super::gemm`] with operands rounded to bfloat16, where that [`pays`] and [`arithmetic`] says so.
///
/// # Safety
/// As [`super::gemm`].
pub unsafe fn gemm_bf16(g: &Gemm, epilogue: Option<&dyn Epilogue>) {
    let arithmetic =
        if g.b_type.is_stored() || !pays(g.m, g.n, g.k) { Arithmetic::Float32 } else { arithmetic() };
    gemm_bf16_on(isa(), arithmetic, g, epilogue);
}

/// [`gemm_bf16`] by an arithmetic of the caller's choice, for tests and measurements.
///
/// # Safety
/// As [`super::gemm_on`]; `Native` needs [`is_native`], other than `Float32` a B of floats.
pub unsafe fn gemm_bf16_on(isa: Isa, arithmetic: Arithmetic, g: &Gemm, epilogue: Option<&dyn Epilogue>) {
    match arithmetic {
        _ if g.m == 0 || g.n == 0 || g.k == 0 => gemm_on(isa, g, epilogue),
        Arithmetic::Float32 => gemm_on(isa, g, epilogue),
        Arithmetic::Emulated => emulated(isa, g, epilogue),
        Arithmetic::Native if slices::pays(g) => slices::gemm_in_slices(g, epilogue),
        Arithmetic::Native if g.m <= ALONE => multiply(isa, g, None, 0, block, epilogue),
        Arithmetic::Native => {
            let micro = Micro::of_pairs();
            let pairs = g.k.div_ceil(2);
            let slab = slab(g.m, g.k, micro);
            for col in (0..g.n).step_by(slab) {
                let cols = slab.min(g.n - col);
                let mut room = scratch(cols.div_ceil(micro.nr) * micro.nr * pairs);
                pack_panels(g, col, cols, room.as_mut_ptr());
                let part = g.columns(col, cols);
                multiply(isa, &part, Some(&panels(room.as_mut_ptr(), pairs)), col, block, epilogue);
            }
        }
    }
}

/// [`super::gemm_packed`] with B as [`pack_all_pairs`] left it; the processor has the instruction.
///
/// # Safety
/// As [`super::gemm_packed`], and [`is_native`] holds.
pub unsafe fn gemm_bf16_packed(g: &Gemm, packed: *const f32, epilogue: Option<&dyn Epilogue>) {
    if g.m == 0 || g.n == 0 || (g.c.is_null() && epilogue.is_none()) {
        return;
    }
    multiply(isa(), g, Some(&panels(packed, g.k.div_ceil(2))), 0, block, epilogue);
}

/// [`super::pack_all`] as pairs of bfloat16, in half the room.
///
/// # Safety
/// As [`super::pack_all`], and [`is_native`] holds.
pub unsafe fn pack_all_pairs(b: *const f32, transposed: bool, k: usize, n: usize, dst: *mut f32) {
    if k > 0 && n > 0 {
        pack_panels(&Gemm::of_b(b, transposed, k, n), 0, n, dst);
    }
}

/// The same by copies of the operands that are rounded to bfloat16, on any processor.
unsafe fn emulated(isa: Isa, g: &Gemm, epilogue: Option<&dyn Epilogue>) {
    let (mut a, mut b) = (scratch(g.m * g.k), scratch(g.k * g.n));
    let g = Gemm { a: rounded(&g.a, g.m, g.k, &mut a), b: rounded(&g.b, g.k, g.n, &mut b), ..*g };
    gemm_on(isa, &g, epilogue);
}

unsafe fn rounded(from: &Matrix, rows: usize, cols: usize, room: &mut Scratch) -> Matrix {
    let to = room.as_mut_ptr();
    for i in 0..rows {
        for j in 0..cols {
            let near = stored::register(f64::from(from.at(i, j).read()), DType::BF16);
            to.add(i * cols + j).write(near);
        }
    }
    Matrix::row_major(to, cols)
}

/// Panels of pairs, back to back.
pub(super) fn panels(ptr: *const f32, pairs: usize) -> Panels {
    let nr = Micro::of_pairs().nr;
    Panels { ptr, panel: nr * pairs, row: nr, padded: true }
}

/// Packs columns of B in panels of pairs, on all threads.
pub(super) unsafe fn pack_panels(g: &Gemm, col: usize, cols: usize, room: *mut f32) {
    let (nr, pairs) = (Micro::of_pairs().nr, g.k.div_ceil(2));
    let target = Target(room);
    // About 64 Ki numbers a chunk, in whole panels.
    let grain = ((1 << 16) / (nr * g.k)).max(1) * nr;
    pool::run_range(cols, grain, &|r| {
        let target = &target;
        let src = Matrix { ptr: g.b.at(0, col + r.start), ..g.b };
        let dst = target.0.wrapping_add(r.start * pairs);
        // SAFETY: the panels of this range are inside `room` and nobody else's.
        unsafe { pack_b(&Pack { src, dtype: DType::F32, k: g.k, cols: r.len(), nr, dst }) };
    });
}

/// All of K for one block of C, written at `c`.
unsafe fn block(_: Isa, g: &Gemm, given: Option<&Panels>, b: &Block, c: *mut f32, ldc: usize) {
    add_block(g, ptr::null(), given, b, c, ldc);
}

/// The same; `near`: the rows of A that the block reads, as [`pack_a`] leaves them, or null.
pub(super) unsafe fn add_block(
    g: &Gemm,
    near: *const f32,
    given: Option<&Panels>,
    b: &Block,
    c: *mut f32,
    ldc: usize,
) {
    let micro = Micro::of_pairs();
    let pairs = g.k.div_ceil(2);
    let slices = pairs.div_ceil(KC);
    let most = pairs.div_ceil(slices);
    let group = micro.nr.max(GROUP);
    let mut room = given.is_none().then(|| scratch(most * group));
    let mut own = near.is_null().then(|| scratch(b.rows * most));
    let a_room = own.as_mut().map_or(near, |room| room.as_mut_ptr().cast_const());
    let tiles = b.rows.div_ceil(micro.mr);
    for slice in 0..slices {
        let (from, to) = (share(pairs, slices, slice), share(pairs, slices, slice + 1));
        let (k, terms) = (to - from, (2 * to).min(g.k) - 2 * from);
        let last = slice + 1 == slices;
        if let Some(room) = &mut own {
            let a = Matrix { ptr: g.a.at(b.row, 2 * from), ..g.a };
            pack_a(&a, b.rows, terms, room.as_mut_ptr());
        }
        for col in (0..b.cols).step_by(micro.nr) {
            let cols = micro.nr.min(b.cols - col);
            let at = match (given, &mut room) {
                (Some(p), _) => p.at((b.col + col) / micro.nr, from),
                (None, Some(room)) => {
                    let (dst, part) = (room.as_mut_ptr(), col % group);
                    if part == 0 {
                        let src = Matrix { ptr: g.b.at(2 * from, b.col + col), ..g.b };
                        let cols = group.min(b.cols - col);
                        pack_b(&Pack { src, dtype: DType::F32, k: terms, cols, nr: micro.nr, dst });
                    }
                    dst.wrapping_add(part * k).cast_const()
                }
                (None, None) => return,
            };
            let bias = if last && !g.bias.is_null() { g.bias.wrapping_add(b.col + col) } else { ptr::null() };
            let halved = Gemm { k: pairs, ..*g };
            let next = given.and_then(|p| Next::after(Some(p), &halved, b, col, from..to, micro));
            for i in 0..tiles {
                let (row, end) = (share(b.rows, tiles, i), share(b.rows, tiles, i + 1));
                let mut rows = [ptr::null(); MAX_ROWS];
                for (r, p) in rows.iter_mut().enumerate() {
                    *p = a_room.wrapping_add((row + r) * k);
                }
                let segment = Segment { rows: rows.as_ptr(), a_step: 1, b: at, b_step: micro.nr, k };
                let out = Output {
                    c: c.wrapping_add(row * ldc + col),
                    ldc,
                    bias,
                    scale: if last { g.scale.from(b.col + col) } else { Scale::NONE },
                    relu: g.relu && last,
                    accumulate: g.accumulate || slice > 0,
                };
                let tile = Tile { segments: &[segment], rows: end - row, cols, padded: true, out };
                match &next {
                    Some(next) => micro.run_ahead(&tile, next.share(i)),
                    None => micro.run(&tile),
                }
            }
        }
    }
}

/// Packs B as panels of pairs: pair `p` of a column is its terms `2p` and `2p + 1`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
unsafe fn pack_b(b: &Pack) {
    let pairs = b.k.div_ceil(2);
    if b.src.cs == 1 {
        // A row-major B is read along its rows, four at a time as in `pack`.
        for four in (0..pairs).step_by(2) {
            for panel in (0..b.cols).step_by(b.nr) {
                for p in four..pairs.min(four + 2) {
                    let (both, cols) = (2 * p + 1 < b.k, b.nr.min(b.cols - panel));
                    let (one, other) = (b.src.at(2 * p, panel), b.src.at(2 * p + 1, panel));
                    let to = b.dst.add(panel * pairs + p * b.nr);
                    let mut col = 0;
                    while col < cols {
                        let from = [one.wrapping_add(col), other.wrapping_add(col)];
                        Avx512::store(to.add(col), beside(from, LANES.min(cols - col), both));
                        col += LANES;
                    }
                }
            }
        }
        return;
    }
    for col in (0..b.cols).step_by(LANES) {
        let cols = LANES.min(b.cols - col);
        let dst = b.dst.add(col / b.nr * b.nr * pairs + col % b.nr);
        for p in (0..pairs).step_by(LANES) {
            let src = Matrix { ptr: b.src.at(2 * p, col), ..b.src };
            let mut v = [_mm512_setzero_ps(); LANES];
            // The columns of B are lines of terms, as the rows of A are.
            lanes(&src.transposed(), cols, b.k - 2 * p, &mut v);
            for (i, v) in v.iter().enumerate().take(LANES.min(pairs - p)) {
                Avx512::store(dst.add((p + i) * b.nr), *v);
            }
        }
    }
}

/// Copies rows of A as pairs, row after row.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn pack_a(a: &Matrix, rows: usize, k: usize, dst: *mut f32) {
    let pairs = k.div_ceil(2);
    for p in (0..pairs).step_by(LANES) {
        let (n, left) = (LANES.min(pairs - p), k - 2 * p);
        if a.cs == 1 {
            for i in 0..rows {
                put(dst.add(i * pairs + p), line(a.at(i, 2 * p), left), n);
            }
            continue;
        }
        for row in (0..rows).step_by(LANES) {
            let count = LANES.min(rows - row);
            let mut v = [_mm512_setzero_ps(); LANES];
            lanes(&Matrix { ptr: a.at(row, 2 * p), ..*a }, count, left, &mut v);
            Avx512::transpose(&mut v);
            for (i, v) in v.iter().enumerate().take(count) {
                put(dst.add((row + i) * pairs + p), *v, n);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn put(to: *mut f32, v: __m512, n: usize) {
    if n == LANES { Avx512::store(to, v) } else { Avx512::store_n(to, v, n) }
}

/// Pairs of up to 32 terms that lie back to back.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn line(from: *const f32, terms: usize) -> __m512 {
    let (low, high) = (floats(from, terms), floats(from.wrapping_add(LANES), terms.saturating_sub(LANES)));
    std::mem::transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(high, low))
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn floats(from: *const f32, n: usize) -> __m512 {
    match n {
        0 => _mm512_setzero_ps(),
        n if n < LANES => Avx512::load_n(from, n),
        _ => Avx512::load(from),
    }
}

/// Pairs of the `n` terms of one line and those beside them in the next, or zeros.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn beside(from: [*const f32; 2], n: usize, both: bool) -> __m512 {
    let order = _mm512_or_si512(
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
        _mm512_slli_epi32::<16>(_mm512_setr_epi32(
            16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
        )),
    );
    let lines = _mm512_cvtne2ps_pbh(floats(from[1], if both { n } else { 0 }), floats(from[0], n));
    let lines = std::mem::transmute::<__m512bh, __m512i>(lines);
    _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, lines))
}

/// `v[p]`: pair `p` of each of up to sixteen rows, sixteen pairs at most, zeros past both.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn lanes(m: &Matrix, rows: usize, terms: usize, v: &mut [__m512; LANES]) {
    if m.rs == 1 {
        for (p, v) in v.iter_mut().enumerate().take(terms.div_ceil(2)) {
            *v = beside([m.at(0, 2 * p), m.at(0, 2 * p + 1)], rows, 2 * p + 1 < terms);
        }
        return;
    }
    for (i, v) in v.iter_mut().enumerate().take(rows) {
        *v = if m.cs == 1 {
            line(m.at(i, 0), terms)
        } else {
            let mut near = [0.0; 2 * LANES];
            for (j, x) in near.iter_mut().enumerate().take(terms) {
                *x = m.at(i, j).read();
            }
            line(near.as_ptr(), 2 * LANES)
        };
    }
    Avx512::transpose(v);
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn pack_b(_: &Pack) {
    unreachable!("invariant: pairs are packed where the processor multiplies them");
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) unsafe fn pack_a(_: &Matrix, _: usize, _: usize, _: *mut f32) {
    unreachable!("invariant: pairs are packed where the processor multiplies them");
}
