//! F2. CPU kernels: raw pointers and sizes in, numbers out. Nothing here knows graphs. Callers
//! (F6) promise that pointers cover the stated extents; kernels split their own work over the
//! pool in chunks that depend on the problem alone, so results never depend on the thread count.

use std::fmt;
use std::ops::Range;

pub mod along;
pub mod attention;
pub mod columns;
pub mod conv;
pub mod copy;
pub mod digest;
pub mod gather;
pub mod gemm;
pub mod join;
pub mod layer_norm;
pub mod moments;
pub mod order;
pub mod place;
pub mod pooling;
pub mod random;
pub mod recurrence;
pub mod reduce;
pub mod resample;
pub mod row_steps;
pub mod softmax;
pub mod stored;
pub mod team;
pub mod tile;
pub mod tile_fat;
pub mod tile_ops;

/// Floats in a tile of the fused-group machine: 2 KiB, so that a dozen live tiles stay in L1.
pub const TILE: usize = 512;

/// A stream of f32 that a kernel consumes: memory, or a fused group computed a tile at a time.
pub trait Source: Sync {
    /// The values at flat positions `start .. start + len`, `len <= TILE`: either written to
    /// `scratch` (room for `TILE` floats) or already in memory.
    ///
    /// # Safety
    /// The range lies inside the stream; `scratch` is writable for `TILE` floats.
    unsafe fn tile(&self, start: usize, len: usize, scratch: *mut f32) -> *const f32;

    /// Where the whole stream begins, if it lies in memory.
    fn memory(&self) -> Option<*const f32> {
        None
    }
}

/// What happens to a block of a matrix product while it is hot in cache.
pub trait Epilogue: Sync {
    /// Consumes rows `row .. row + rows`, columns `col .. col + cols` of the product. The block
    /// lies at `c` with `ldc` floats between rows.
    ///
    /// # Safety
    /// The block is valid for reads and writes.
    unsafe fn apply(&self, row: usize, rows: usize, col: usize, cols: usize, c: *mut f32, ldc: usize);
}

/// A factor and a summand per column: `x` becomes `fma(x, factor, summand)`, as a folded batch
/// normalisation wants it. Both are null where there is none.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// One number per column.
    pub factors: *const f32,
    /// One number per column.
    pub summands: *const f32,
}

impl Scale {
    /// Columns stay as they are.
    pub const NONE: Scale = Scale { factors: std::ptr::null(), summands: std::ptr::null() };

    /// Do columns stay as they are?
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.factors.is_null()
    }

    /// From column `col` on.
    #[must_use]
    pub fn from(self, col: usize) -> Scale {
        if self.is_none() {
            return self;
        }
        Scale { factors: self.factors.wrapping_add(col), summands: self.summands.wrapping_add(col) }
    }
}

/// What a maker of blocks does to each block before it leaves it: bias, then scale, then relu, then
/// the rest.
#[derive(Clone, Copy)]
pub struct Finishing<'a> {
    /// One number per column, or null.
    pub bias: *const f32,
    /// None where the maker does not scale.
    pub scale: Scale,
    /// Negative results become zero; NaN stays.
    pub relu: bool,
    /// Sees every finished block once.
    pub epilogue: Option<&'a dyn Epilogue>,
}

/// A kernel that makes a matrix by blocks of rows and columns, such as a product. Whatever makes
/// blocks can carry bias, activation, a fused group and column sums.
pub trait Blocked: Send + Sync + fmt::Debug {
    /// Rows of the matrix: all axes of the result but the last.
    fn rows(&self) -> usize;

    /// Columns of the matrix: the last axis of the result.
    fn cols(&self) -> usize;

    /// Bands of rows, for sums over rows: blocks of the same columns begin in different bands.
    fn bands(&self) -> usize;

    /// The band of the block that begins at this row; later rows have later bands.
    fn band(&self, row: usize) -> usize;

    /// Does [`Blocked::run`] scale columns?
    fn scales(&self) -> bool {
        false
    }

    /// Makes the matrix. The blocks depend on the problem alone, never on the threads.
    ///
    /// # Safety
    /// `args` cover the operands it was made for; `c` covers the matrix and overlaps none of them, or
    /// is null and there is an epilogue.
    unsafe fn run(&self, args: &[*const u8], c: *mut f32, end: &Finishing<'_>);
}

/// Has the cache line of `p` brought near: a hint, which never faults.
#[inline(always)]
fn prefetch(p: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as it says.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Floats of a row that are asked for ahead; from there on the processor sees where it goes.
const FETCHED: usize = 256;

/// [`prefetch`] of a row of `n` floats that stands apart from the one before it.
#[inline(always)]
fn prefetch_row(p: *const f32, n: usize) {
    for at in (0..n.min(FETCHED)).step_by(crate::simd::LANES) {
        prefetch(p.wrapping_add(at));
    }
}

/// Bytes that are asked for before they are copied: rows lie anywhere, and each is a miss of its own.
const AHEAD: usize = 2 << 10;

/// Calls `each` with the rows of a range in order, of `bytes` bytes each at `from`, the next ones on their
/// way from memory.
#[inline(always)]
pub(crate) fn fetched_ahead(
    rows: Range<usize>,
    bytes: usize,
    from: impl Fn(usize) -> *const u8,
    mut each: impl FnMut(usize),
) {
    let ahead = (AHEAD / bytes.max(1)).max(1);
    let fetch = |row: usize| prefetch_row(from(row).cast(), bytes / size_of::<f32>());
    (rows.start..rows.end.min(rows.start + ahead)).for_each(fetch);
    for row in rows.clone() {
        if row + ahead < rows.end {
            fetch(row + ahead);
        }
        each(row);
    }
}
