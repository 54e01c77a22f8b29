//! F2. Products in bfloat16 of a transposed A with many terms, as gradients of weights are: both operands
//! are much larger than C. Slices of the sum come one after the other, and all blocks of C add the slice
//! at hand, whose A and B are converted once and lie near while they are used. Block by block, each
//! block would convert the rows of A that it shares with others, again from far away.
//!
//! Slices are those of a block in [`super::bf16`], so bits do not depend on who computes a product.

use super::bf16::{add_block, pack_a, pack_panels, panels};
use super::tile::Micro;
use super::{Block, Gemm, Grid, KC, Matrix, SLAB, Target, share};
use crate::buffer::scratch;
use crate::kernels::{Epilogue, Scale};
use crate::pool;
use crate::simd::LANES;
use std::ptr;

/// Multiply-adds beside which two more regions of all threads for each slice are little.
const LEAST: usize = 1 << 26;
/// Rows and columns of which a converted slice stays near.
const MOST: usize = SLAB / KC;

/// Is a product faster slice by slice? Where C has fewer columns than rows, blocks share little of A. It
/// follows from the problem alone.
pub(super) fn pays(g: &Gemm) -> bool {
    let turned = g.a.rs == 1 && g.a.cs > 1;
    let near = g.m <= g.n && g.n <= MOST && g.m * g.n <= SLAB;
    turned && near && g.k > 2 * KC && g.m * g.n * g.k >= LEAST
}

/// Computes a product slice by slice; the processor has the instruction.
///
/// # Safety
/// As [`super::gemm`], for a product of which [`pays`] holds.
pub(super) unsafe fn gemm_in_slices(g: &Gemm, epilogue: Option<&dyn Epilogue>) {
    let micro = Micro::of_pairs();
    let pairs = g.k.div_ceil(2);
    let slices = pairs.div_ceil(KC);
    let most = pairs.div_ceil(slices);
    let grid = Grid::new(g.m, g.n, g.k, micro);
    let (down, across) = (g.m.div_ceil(grid.rows), g.n.div_ceil(grid.cols));
    let wide = g.n.next_multiple_of(LANES);
    let mut own = g.c.is_null().then(|| scratch(g.m * wide));
    let (c, ldc) = own.as_mut().map_or((g.c, g.ldc), |room| (room.as_mut_ptr(), wide));
    let (mut near_a, mut near_b) = (scratch(g.m * most), scratch(g.n.next_multiple_of(micro.nr) * most));
    let a = Target(near_a.as_mut_ptr());
    for slice in 0..slices {
        let (from, to) = (share(pairs, slices, slice), share(pairs, slices, slice + 1));
        let last = slice + 1 == slices;
        let part = Gemm {
            k: (2 * to).min(g.k) - 2 * from,
            a: Matrix { ptr: g.a.at(0, 2 * from), ..g.a },
            b: Matrix { ptr: g.b.at(2 * from, 0), ..g.b },
            c,
            ldc,
            bias: if last { g.bias } else { ptr::null() },
            scale: if last { g.scale } else { Scale::NONE },
            relu: g.relu && last,
            accumulate: g.accumulate || slice > 0,
            ..*g
        };
        pack_panels(&part, 0, g.n, near_b.as_mut_ptr());
        let near_b = panels(near_b.as_mut_ptr(), to - from);
        let near_a = |row: usize| {
            let a = &a;
            a.0.wrapping_add(row * (to - from))
        };
        pool::run(down, &|i| {
            let (part, row) = (&part, i * grid.rows);
            let src = Matrix { ptr: part.a.at(row, 0), ..part.a };
            // SAFETY: each row has room of its own in the copy.
            unsafe { pack_a(&src, grid.rows.min(g.m - row), part.k, near_a(row)) };
        });
        pool::run(down * across, &|task| {
            let part = &part;
            let (row, col) = (task / across * grid.rows, task % across * grid.cols);
            let block = Block { row, rows: grid.rows.min(g.m - row), col, cols: grid.cols.min(g.n - col) };
            let c = part.c.wrapping_add(row * ldc + col);
            // SAFETY: blocks are disjoint; the caller vouches for the extents.
            unsafe {
                add_block(part, near_a(row), Some(&near_b), &block, c, ldc);
                if let (true, Some(e)) = (last, epilogue) {
                    e.apply(row, block.rows, col, block.cols, c, ldc);
                }
            }
        });
    }
}
