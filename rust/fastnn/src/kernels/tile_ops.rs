//! (Being written.)

/// One instruction of the fused-group machine over `n` elements.
pub type TileFn = unsafe fn(dst: *mut f32, a: *const f32, b: *const f32, c: *const f32, n: usize);
