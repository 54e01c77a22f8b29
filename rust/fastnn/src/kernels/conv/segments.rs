//! F2. A block of a matrix whose rows are sums over stretches of memory: the loop around the
//! micro-kernel that convolutions share.

use crate::buffer::{Scratch, scratch};
use crate::kernels::Scale;
use crate::kernels::gemm::KC;
use crate::kernels::gemm::tile::{Ahead, MAX_ROWS, Micro, Output, Segment, TURNS, Tile};
use crate::simd::LANES;
use smallvec::SmallVec;
use std::ops::Range;
use std::ptr;

/// A stretch of a sum: `k` neighbouring elements of A, from `at` floats behind where a row begins,
/// times as many rows of B.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) at: usize,
    pub(super) b: usize,
    pub(super) k: usize,
}

/// The most runs in a slice: their segments live on the stack.
const RUNS: usize = 32;

/// All stretches of a sum, cut so that the rows of B of a slice stay in L2.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs {
    all: Vec<Run>,
    slices: Vec<Range<usize>>,
}

impl Runs {
    pub(super) fn new(runs: impl IntoIterator<Item = Run>) -> Runs {
        let mut out = Runs::default();
        out.refill(runs);
        out
    }

    pub(super) fn refill(&mut self, runs: impl IntoIterator<Item = Run>) {
        self.all.clear();
        self.slices.clear();
        for run in runs.into_iter().filter(|run| run.k > 0) {
            let pieces = run.k.div_ceil(KC);
            for piece in 0..pieces {
                let (from, to) = (share(run.k, pieces, piece), share(run.k, pieces, piece + 1));
                self.all.push(Run { at: run.at + from, b: run.b + from, k: to - from });
            }
        }
        let (mut start, mut terms) = (0, 0);
        for (i, run) in self.all.iter().enumerate() {
            if i > start && (terms + run.k > KC || i - start == RUNS) {
                self.slices.push(start..i);
                (start, terms) = (i, 0);
            }
            terms += run.k;
        }
        self.slices.push(start..self.all.len());
    }
}

/// Where row `i` of `n` shared out among `parts` begins.
pub(super) fn share(n: usize, parts: usize, i: usize) -> usize {
    n * i / parts.max(1)
}

/// B: row `p` of the panel of `nr` columns that begins at column `j` at `ptr + p * row + j / nr * panel`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Right {
    pub(super) ptr: *const f32,
    pub(super) row: usize,
    pub(super) panel: usize,
    /// Rows are readable up to the next multiple of 16 columns.
    pub(super) padded: bool,
}

impl Right {
    /// A row-major matrix with `ld` floats per row.
    pub(super) fn rows(ptr: *const f32, ld: usize, nr: usize) -> Right {
        Right { ptr, row: ld, panel: nr, padded: false }
    }

    /// A packed matrix of `k` rows.
    pub(super) fn panels(ptr: *const f32, k: usize, nr: usize) -> Right {
        Right { ptr, row: nr, panel: nr * k, padded: true }
    }
}

/// Where the block goes, and what is done to it on the way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub(super) c: *mut f32,
    pub(super) ldc: usize,
    /// Of the block's first column, or null.
    pub(super) bias: *const f32,
    /// Likewise.
    pub(super) scale: Scale,
    pub(super) relu: bool,
}

/// Computes a block: `rows` has the address of each row of A, `cols` are columns of B.
///
/// # Safety
/// The processor has the instruction set of `micro`; every run of every row lies in memory that is
/// readable, B covers the runs and columns, C covers the block and overlaps neither.
pub(super) unsafe fn block(
    micro: &Micro,
    runs: &Runs,
    rows: &[*const f32],
    b: Right,
    cols: Range<usize>,
    out: Left,
) {
    if rows.is_empty() || cols.is_empty() {
        return;
    }
    let tiles = rows.len().div_ceil(micro.mr);
    // The rows of each tile at the beginning of each run.
    let mut room = Pointers::new(tiles * runs.all.len() * MAX_ROWS);
    let table = room.as_mut_ptr();
    for t in 0..tiles {
        let (from, to) = (share(rows.len(), tiles, t), share(rows.len(), tiles, t + 1));
        for (r, run) in runs.all.iter().enumerate() {
            let at = table.add((t * runs.all.len() + r) * MAX_ROWS);
            for i in 0..MAX_ROWS {
                *at.add(i) = rows[(from + i).min(to - 1)].wrapping_add(run.at);
            }
        }
    }
    let mut segments: SmallVec<[Segment; RUNS]> = SmallVec::new();
    for (s, slice) in runs.slices.iter().enumerate() {
        let last = s + 1 == runs.slices.len();
        let mut col = cols.start;
        while col < cols.end {
            let width = (micro.nr - col % micro.nr).min(cols.end - col);
            let b_at = b.ptr.wrapping_add(col / micro.nr * b.panel + col % micro.nr);
            segments.clear();
            segments.extend(runs.all[slice.clone()].iter().map(|run| Segment {
                rows: ptr::null(),
                a_step: 1,
                b: b_at.wrapping_add(run.b * b.row),
                b_step: b.row,
                k: run.k,
            }));
            let across = col - cols.start;
            // A packed panel is one run of lines; that of the next columns or terms is fetched by shares.
            let next = match col + width < cols.end {
                true => Some(b_at.wrapping_add(b.panel)),
                false => runs.slices.get(s + 1).map(|next| {
                    let first = b.ptr.wrapping_add(cols.start / micro.nr * b.panel);
                    first.wrapping_add(runs.all[next.start].b * b.row)
                }),
            };
            let next = next.filter(|_| b.padded && b.panel > b.row);
            let turns: usize = segments.iter().map(|s| s.k / TURNS).sum();
            let bias = if last && !out.bias.is_null() { out.bias.wrapping_add(across) } else { ptr::null() };
            for t in 0..tiles {
                let (from, to) = (share(rows.len(), tiles, t), share(rows.len(), tiles, t + 1));
                for (segment, run) in segments.iter_mut().zip(slice.clone()) {
                    segment.rows = table.add((t * runs.all.len() + run) * MAX_ROWS);
                }
                let tile = Tile {
                    segments: &segments,
                    rows: to - from,
                    cols: width,
                    padded: b.padded,
                    out: Output {
                        c: out.c.wrapping_add(from * out.ldc + across),
                        ldc: out.ldc,
                        bias,
                        scale: if last { out.scale.from(across) } else { Scale::NONE },
                        relu: out.relu && last,
                        accumulate: s > 0,
                    },
                };
                match next {
                    Some(next) => {
                        let from = next.wrapping_add(t * 2 * turns * LANES);
                        let from = [from, from.wrapping_add(turns * LANES)];
                        micro.run_ahead(&tile, Ahead { from, step: LANES });
                    }
                    None => micro.run(&tile),
                }
            }
            col += width;
        }
    }
}

/// Room for addresses.
pub(super) struct Pointers(Scratch);

impl Pointers {
    pub(super) fn new(len: usize) -> Pointers {
        Pointers(scratch(len * size_of::<*const f32>() / size_of::<f32>()))
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut *const f32 {
        self.0.as_mut_ptr().cast()
    }
}
