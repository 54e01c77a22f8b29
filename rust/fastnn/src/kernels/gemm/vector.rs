//! F2. Products with a single row: `y = x B`. They are limited by the memory that B is read from,
//! so B is swept once in the order it lies in: row by row when its rows are contiguous, as dot
//! products when its columns are. May use `simd` only.

use super::tile::Output;
use crate::kernels::stored::{Element, with_element};
use crate::per_isa;
use crate::shape::DType;
use crate::simd::{LANES, Simd};
use std::mem::MaybeUninit;

/// `y = x B`, `k > 0` terms, `cols` columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) x: *const f32,
    /// Floats from one x to the next; 1 for [`dot`].
    pub(crate) x_step: usize,
    pub(crate) k: usize,
    pub(crate) b: *const u8,
    pub(crate) b_type: DType,
    /// Elements between the contiguous rows ([`sweep`]) or columns ([`dot`]) of B.
    pub(crate) ldb: usize,
    pub(crate) cols: usize,
    /// `ldc` is the step from one result to the next: 1 for [`sweep`].
    pub(crate) out: Output,
    /// Bias floats from one result to the next.
    pub(crate) bias_step: usize,
}

/// B rows added in one pass over the results.
const DEPTH: usize = 8;
/// Results kept in L1 while B goes by.
const SPAN: usize = 2048;

per_isa!(
    /// For B with contiguous rows.
    pub(crate) fn sweep(r: &Row) = sweep_generic
);

#[inline(always)]
unsafe fn sweep_generic<S: Simd>(r: &Row) {
    with_element!(r.b_type, sweep_as::<S, _>(r));
}

#[inline(always)]
unsafe fn sweep_as<S: Simd, E: Element>(r: &Row) {
    let mut sums = MaybeUninit::<[f32; SPAN]>::uninit();
    let y = sums.as_mut_ptr().cast::<f32>();
    for col in (0..r.cols).step_by(SPAN) {
        let cols = SPAN.min(r.cols - col);
        let mut row = 0;
        let b = r.b.add(col * E::SIZE);
        while row + DEPTH <= r.k {
            add_rows::<S, E, DEPTH>(
                r.x.add(row * r.x_step),
                r.x_step,
                b.add(row * r.ldb * E::SIZE),
                r.ldb,
                cols,
                y,
                row == 0,
            );
            row += DEPTH;
        }
        while row < r.k {
            let b = b.add(row * r.ldb * E::SIZE);
            add_rows::<S, E, 1>(r.x.add(row * r.x_step), r.x_step, b, r.ldb, cols, y, row == 0);
            row += 1;
        }
        finish_row::<S>(r, col, cols, y);
    }
}

/// `y += x[0..D] B[0..D]`, or `y =` when `first`. `y` has room for whole vectors.
#[inline(always)]
unsafe fn add_rows<S: Simd, E: Element, const D: usize>(
    x: *const f32,
    x_step: usize,
    b: *const u8,
    ldb: usize,
    cols: usize,
    y: *mut f32,
    first: bool,
) {
    let mut xs = [S::splat(0.0); D];
    let mut rows = [b; D];
    for d in 0..D {
        xs[d] = S::splat(*x.add(d * x_step));
        rows[d] = b.wrapping_add(d * ldb * E::SIZE);
    }
    let zero = S::splat(0.0);
    let mut j = 0;
    while j + LANES <= cols {
        let mut v = if first { zero } else { S::load(y.add(j)) };
        for d in 0..D {
            v = S::fma(xs[d], E::value::<S>(rows[d].add(j * E::SIZE)), v);
        }
        S::store(y.add(j), v);
        j += LANES;
    }
    if j < cols {
        let mut v = if first { zero } else { S::load(y.add(j)) };
        for d in 0..D {
            v = S::fma(xs[d], E::value_n::<S>(rows[d].add(j * E::SIZE), cols - j), v);
        }
        S::store(y.add(j), v);
    }
}

#[inline(always)]
unsafe fn finish_row<S: Simd>(r: &Row, col: usize, cols: usize, y: *const f32) {
    let floor = S::splat(if r.out.relu { 0.0 } else { f32::NEG_INFINITY });
    for j in (0..cols).step_by(LANES) {
        let n = LANES.min(cols - j);
        let c = r.out.c.add(col + j);
        let mut v = S::load(y.add(j));
        if r.out.accumulate {
            v = S::add(v, get::<S>(c, n));
        }
        if !r.out.bias.is_null() {
            let bias =
                if r.bias_step == 0 { S::splat(*r.out.bias) } else { get::<S>(r.out.bias.add(col + j), n) };
            v = S::add(v, bias);
        }
        v = S::max(floor, v);
        if n == LANES { S::store(c, v) } else { S::store_n(c, v, n) }
    }
}

#[inline(always)]
unsafe fn get<S: Simd>(p: *const f32, n: usize) -> S::F {
    if n == LANES { S::load(p) } else { S::load_n(p, n) }
}

per_isa!(
    /// For B with contiguous columns.
    pub(crate) fn dot(r: &Row) = dot_generic
);

#[inline(always)]
unsafe fn dot_generic<S: Simd>(r: &Row) {
    with_element!(r.b_type, dot_as::<S, _>(r));
}

#[inline(always)]
unsafe fn dot_as<S: Simd, E: Element>(r: &Row) {
    let mut col = 0;
    while col + 4 <= r.cols {
        dots::<S, E, 4>(r, col);
        col += 4;
    }
    while col < r.cols {
        dots::<S, E, 1>(r, col);
        col += 1;
    }
}

/// `R` results; two sums each, so that a single column is not bound by the latency of one chain.
#[inline(always)]
unsafe fn dots<S: Simd, E: Element, const R: usize>(r: &Row, col: usize) {
    let mut even = [S::splat(0.0); R];
    let mut odd = [S::splat(0.0); R];
    let mut b = [r.b; R];
    for i in 0..R {
        b[i] = r.b.wrapping_add((col + i) * r.ldb * E::SIZE);
    }
    let mut p = 0;
    while p + 2 * LANES <= r.k {
        let (x0, x1) = (S::load(r.x.add(p)), S::load(r.x.add(p + LANES)));
        for i in 0..R {
            even[i] = S::fma(x0, E::value::<S>(b[i].add(p * E::SIZE)), even[i]);
            odd[i] = S::fma(x1, E::value::<S>(b[i].add((p + LANES) * E::SIZE)), odd[i]);
        }
        p += 2 * LANES;
    }
    while p < r.k {
        let n = LANES.min(r.k - p);
        let x = get::<S>(r.x.add(p), n);
        for i in 0..R {
            let at = b[i].add(p * E::SIZE);
            let b = if n == LANES { E::value::<S>(at) } else { E::value_n::<S>(at, n) };
            even[i] = S::fma(x, b, even[i]);
        }
        p += n;
    }
    for i in 0..R {
        let mut v = S::sum(S::add(even[i], odd[i]));
        let c = r.out.c.add((col + i) * r.out.ldc);
        if r.out.accumulate {
            v += *c;
        }
        if !r.out.bias.is_null() {
            v += *r.out.bias.add((col + i) * r.bias_step);
        }
        // Written so that NaN stays.
        *c = if r.out.relu && v < 0.0 { 0.0 } else { v };
    }
}
