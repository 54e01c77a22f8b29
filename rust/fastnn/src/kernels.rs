//! F2. CPU kernels: raw pointers and sizes in, numbers out. Nothing here knows graphs. Callers
//! (F6) promise that pointers cover the stated extents; kernels split their own work over the
//! pool in chunks that depend on the problem alone, so results never depend on the thread count.

pub mod copy;
pub mod ensemble;
pub mod gather;
pub mod gemm;
pub mod payout;
pub mod random;
pub mod reduce;
pub mod softmax;
pub mod tile;
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
