//! F2. Sums over the rows of a matrix, column by column, in one fixed order: 64 rows are added one
//! after the other, then the sums of 64. Heads use it on blocks that are still in cache.

use crate::per_isa;
use crate::simd::{Isa, LANES, Simd, isa};

/// Rows added in registers before the sum so far is touched.
const RUN: usize = 64;

/// `dst[j] += sum of src[i * ld + j]` over `rows`, for `cols` columns.
///
/// # Safety
/// `src` covers `rows` rows of `cols` floats, `ld` apart; `dst` covers `cols` floats and overlaps none.
pub unsafe fn add_rows(dst: *mut f32, src: *const f32, rows: usize, cols: usize, ld: usize) {
    add_rows_on(isa(), dst, src, rows, cols, ld);
}

/// [`add_rows`] on an instruction set of the caller's choice, for tests.
///
/// # Safety
/// As [`add_rows`], and the processor has `isa`.
pub unsafe fn add_rows_on(isa: Isa, dst: *mut f32, src: *const f32, rows: usize, cols: usize, ld: usize) {
    kernel(isa)(dst, src, rows, cols, ld);
}

per_isa!(
    fn kernel(dst: *mut f32, src: *const f32, rows: usize, cols: usize, ld: usize) = generic
);

#[inline(always)]
unsafe fn generic<S: Simd>(dst: *mut f32, src: *const f32, rows: usize, cols: usize, ld: usize) {
    for first in (0..rows).step_by(RUN) {
        let (src, rows) = (src.add(first * ld), RUN.min(rows - first));
        let mut col = 0;
        while col + 4 * LANES <= cols {
            strip::<S, 4>(dst.add(col), src.add(col), rows, ld);
            col += 4 * LANES;
        }
        while col + LANES <= cols {
            strip::<S, 1>(dst.add(col), src.add(col), rows, ld);
            col += LANES;
        }
        if col < cols {
            let (dst, src, rest) = (dst.add(col), src.add(col), cols - col);
            let mut sum = S::splat(0.0);
            for i in 0..rows {
                sum = S::add(sum, S::load_n(src.add(i * ld), rest));
            }
            S::store_n(dst, S::add(S::load_n(dst, rest), sum), rest);
        }
    }
}

/// `N` vectors of columns.
#[inline(always)]
unsafe fn strip<S: Simd, const N: usize>(dst: *mut f32, src: *const f32, rows: usize, ld: usize) {
    let mut sum = [S::splat(0.0); N];
    for i in 0..rows {
        for (v, sum) in sum.iter_mut().enumerate() {
            *sum = S::add(*sum, S::load(src.add(i * ld + v * LANES)));
        }
    }
    for (v, sum) in sum.into_iter().enumerate() {
        let at = dst.add(v * LANES);
        S::store(at, S::add(S::load(at), sum));
    }
}
