//! F2. Layer normalisation of rows with the scale and shift of each column (Ba, Kiros, Hinton 2016),
//! or by the root of the mean square alone (Zhang and Sennrich 2019), and its gradient in one pass.
//! Sums over rows are taken chunk by chunk and added in the order of the chunks, which follow from
//! the sizes alone.

use super::softmax::{first, moment_long};
use crate::buffer::scratch;
use crate::per_isa;
use crate::pool;
use crate::simd::{Isa, LANES, Simd};
use std::ops::Range;

/// Elements of a chunk, at least.
const GRAIN: usize = 8192;
/// The most chunks that sum columns of their own.
const CHUNKS: usize = 32;

/// One number per column, or one for all.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The first.
    pub ptr: *const f32,
    /// One for all.
    pub lone: bool,
}

impl Column {
    #[inline(always)]
    unsafe fn get<S: Simd>(&self, at: usize, n: usize) -> S::F {
        if self.lone { S::splat(*self.ptr) } else { load::<S>(self.ptr.add(at), n) }
    }
}

/// A call over `rows x n` elements; results may be null.
#[derive(Debug, Clone, Copy)]
pub struct LayerNorm {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub n: usize,
    /// Is the mean taken off?
    pub center: bool,
    /// Added to the mean square.
    pub epsilon: f32,
    /// The elements.
    pub x: *const f32,
    /// Multiplied at the end.
    pub gamma: Column,
    /// Added at the end.
    pub beta: Column,
    /// The result.
    pub y: *mut f32,
    /// What was taken off, one per row.
    pub mean: *mut f32,
    /// What was multiplied by, one per row.
    pub scale: *mut f32,
}

// SAFETY: chunks write disjoint rows.
unsafe impl Sync for LayerNorm {}

#[inline(always)]
unsafe fn load<S: Simd>(p: *const f32, n: usize) -> S::F {
    if n == LANES { S::load(p) } else { S::load_n(p, n) }
}

#[inline(always)]
unsafe fn store<S: Simd>(p: *mut f32, v: S::F, n: usize) {
    if n == LANES { S::store(p, v) } else { S::store_n(p, v, n) }
}

/// Normalises all rows on all threads.
///
/// # Safety
/// The pointers cover what the fields say, results overlap nothing, and the processor has `isa`.
pub unsafe fn layer_norm(isa: Isa, call: &LayerNorm) {
    let kernel = rows(isa);
    pool::run_range(call.rows, (GRAIN / call.n.max(1)).max(1), &|range| {
        // SAFETY: the caller vouches for the call; chunks are disjoint.
        unsafe { kernel(call, &range) };
    });
}

per_isa!(
    fn rows(call: &LayerNorm, range: &Range<usize>) = rows_generic
);

/// 1 / sqrt(mean square + epsilon) of a row whose squares float32 does not hold.
#[cold]
unsafe fn scale_in_f64(call: &LayerNorm, x: *const f32, mean: f32) -> f32 {
    let square = |i: usize| (f64::from(*x.add(i)) - f64::from(mean)).powi(2);
    let sum: f64 = (0..call.n).map(square).sum();
    (1.0 / (sum / call.n as f64 + f64::from(call.epsilon)).sqrt()) as f32
}

#[inline(always)]
unsafe fn rows_generic<S: Simd>(call: &LayerNorm, range: &Range<usize>) {
    let n = call.n;
    for row in range.clone() {
        let x = call.x.add(row * n);
        let mean = if call.center { moment_long::<S, false>(x, n, 0.0) / n as f32 } else { 0.0 };
        let square = moment_long::<S, true>(x, n, mean) / n as f32;
        let lost = square == f32::INFINITY || (square < 1e-30 && call.epsilon < 1e-25);
        let scale = if lost && mean.is_finite() {
            scale_in_f64(call, x, mean)
        } else {
            1.0 / (square + call.epsilon).sqrt()
        };
        if !call.mean.is_null() {
            call.mean.add(row).write(mean);
        }
        if !call.scale.is_null() {
            call.scale.add(row).write(scale);
        }
        if call.y.is_null() {
            continue;
        }
        let (mean, scale, y) = (S::splat(mean), S::splat(scale), call.y.add(row * n));
        let plain = !call.gamma.lone && !call.beta.lone;
        let mut at = 0;
        while plain && at + 2 * LANES <= n {
            for at in [at, at + LANES] {
                let level = S::mul(S::sub(S::load(x.add(at)), mean), scale);
                let (gamma, beta) = (S::load(call.gamma.ptr.add(at)), S::load(call.beta.ptr.add(at)));
                S::store(y.add(at), S::fma(level, gamma, beta));
            }
            at += 2 * LANES;
        }
        while at < n {
            let k = LANES.min(n - at);
            let level = S::mul(S::sub(load::<S>(x.add(at), k), mean), scale);
            let out = S::fma(level, call.gamma.get::<S>(at, k), call.beta.get::<S>(at, k));
            store::<S>(y.add(at), out, k);
            at += LANES;
        }
    }
}

/// The backward pass; results may be null.
#[derive(Debug, Clone, Copy)]
pub struct LayerNormGrad {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub n: usize,
    /// Was the mean taken off?
    pub center: bool,
    /// The gradient of the result.
    pub dy: *const f32,
    /// The elements.
    pub x: *const f32,
    /// Multiplied at the end.
    pub gamma: Column,
    /// As the forward pass gave it.
    pub mean: *const f32,
    /// As the forward pass gave it.
    pub scale: *const f32,
    /// The gradient of `x`.
    pub dx: *mut f32,
    /// That of one `gamma` per column.
    pub dgamma: *mut f32,
    /// That of one `beta` per column.
    pub dbeta: *mut f32,
}

// SAFETY: chunks write disjoint rows, and sums of their own.
unsafe impl Sync for LayerNormGrad {}

struct Sums(*mut f32);
// SAFETY: chunks write disjoint parts.
unsafe impl Sync for Sums {}

/// The gradients of a call, on all threads.
///
/// # Safety
/// As [`layer_norm`].
pub unsafe fn layer_norm_grad(isa: Isa, call: &LayerNormGrad) {
    let n = call.n;
    let grain = (GRAIN / n.max(1)).max(call.rows.div_ceil(CHUNKS)).max(1);
    let chunks = call.rows.div_ceil(grain);
    let summed = !call.dgamma.is_null() || !call.dbeta.is_null();
    let mut room = summed.then(|| scratch(chunks * 2 * n));
    let sums = Sums(room.as_mut().map_or(std::ptr::null_mut(), |room| room.as_mut_ptr()));
    let kernel = rows_back(isa);
    pool::run(chunks, &|i| {
        let sums = &sums;
        let own = if sums.0.is_null() { sums.0 } else { sums.0.wrapping_add(i * 2 * n) };
        // SAFETY: the caller vouches for the call; chunks are disjoint.
        unsafe { kernel(call, &(i * grain..((i + 1) * grain).min(call.rows)), own) };
    });
    for (k, total) in [call.dgamma, call.dbeta].into_iter().enumerate() {
        if total.is_null() {
            continue;
        }
        std::ptr::write_bytes(total, 0, n);
        for chunk in 0..chunks {
            let own = sums.0.add((chunk * 2 + k) * n);
            for j in 0..n {
                *total.add(j) += *own.add(j);
            }
        }
    }
}

per_isa!(
    fn rows_back(call: &LayerNormGrad, range: &Range<usize>, sums: *mut f32) = back_generic
);

#[inline(always)]
unsafe fn back_generic<S: Simd>(call: &LayerNormGrad, range: &Range<usize>, sums: *mut f32) {
    let n = call.n;
    let zero = S::splat(0.0);
    if !sums.is_null() {
        std::ptr::write_bytes(sums, 0, 2 * n);
    }
    for row in range.clone() {
        let (dy, x) = (call.dy.add(row * n), call.x.add(row * n));
        let (mean, scale) = (S::splat(*call.mean.add(row)), S::splat(*call.scale.add(row)));
        let (mut flat, mut along) = (zero, zero);
        let plain = !call.gamma.lone && !sums.is_null();
        let mut at = 0;
        while plain && at + LANES <= n {
            let d = S::load(dy.add(at));
            let level = S::mul(S::sub(S::load(x.add(at)), mean), scale);
            let a = S::mul(d, S::load(call.gamma.ptr.add(at)));
            flat = S::add(flat, a);
            along = S::fma(a, level, along);
            let (dgamma, dbeta) = (sums.add(at), sums.add(n + at));
            S::store(dgamma, S::fma(d, level, S::load(dgamma)));
            S::store(dbeta, S::add(S::load(dbeta), d));
            at += LANES;
        }
        while at < n {
            let k = LANES.min(n - at);
            let d = load::<S>(dy.add(at), k);
            let mut level = S::mul(S::sub(load::<S>(x.add(at), k), mean), scale);
            let mut a = S::mul(d, call.gamma.get::<S>(at, k));
            if k < LANES {
                let own = first::<S>(k);
                (level, a) = (S::select(own, level, zero), S::select(own, a, zero));
            }
            flat = S::add(flat, a);
            along = S::fma(a, level, along);
            if !sums.is_null() {
                let (dgamma, dbeta) = (sums.add(at), sums.add(n + at));
                store::<S>(dgamma, S::fma(d, level, load::<S>(dgamma, k)), k);
                store::<S>(dbeta, S::add(load::<S>(dbeta, k), d), k);
            }
            at += LANES;
        }
        if call.dx.is_null() {
            continue;
        }
        let flat = S::splat(if call.center { S::sum(flat) / n as f32 } else { 0.0 });
        let along = S::splat(S::sum(along) / n as f32);
        let dx = call.dx.add(row * n);
        let mut at = 0;
        while !call.gamma.lone && at + LANES <= n {
            let level = S::mul(S::sub(S::load(x.add(at)), mean), scale);
            let a = S::mul(S::load(dy.add(at)), S::load(call.gamma.ptr.add(at)));
            let rest = S::fnma(level, along, S::sub(a, flat));
            S::store(dx.add(at), S::mul(rest, scale));
            at += LANES;
        }
        while at < n {
            let k = LANES.min(n - at);
            let level = S::mul(S::sub(load::<S>(x.add(at), k), mean), scale);
            let a = S::mul(load::<S>(dy.add(at), k), call.gamma.get::<S>(at, k));
            let rest = S::fnma(level, along, S::sub(a, flat));
            store::<S>(dx.add(at), S::mul(rest, scale), k);
            at += LANES;
        }
    }
}
