//! F2. The plain recurrent layer: `h = f(z + h U)`.

use super::{Back, Gates, Room, Spread, State, Steps, load, store, tiles};
use crate::buffer::scratch;
use crate::kernels::gemm::product::PANEL;
use crate::kernels::gemm::tile::{MAX_ROWS, Micro};
use crate::per_isa;
use crate::pool;
use crate::simd::math::{sigmoid, tanh};
use crate::simd::{Isa, LANES, Simd};
use std::ops::Range;

/// What a sum goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// tanh.
    Tanh,
    /// max(x, 0).
    Relu,
    /// Nothing.
    Linear,
    /// 1 / (1 + e^-x).
    Sigmoid,
}

impl Activation {
    #[inline(always)]
    unsafe fn of<S: Simd>(self, x: S::F) -> S::F {
        match self {
            Activation::Tanh => tanh::<S>(x),
            // NaN must be the second operand to survive.
            Activation::Relu => S::max(S::splat(0.0), x),
            Activation::Linear => x,
            Activation::Sigmoid => sigmoid::<S>(x),
        }
    }

    /// The slope where the result is `y`.
    #[inline(always)]
    unsafe fn slope<S: Simd>(self, y: S::F) -> S::F {
        let (zero, one) = (S::splat(0.0), S::splat(1.0));
        match self {
            Activation::Tanh => S::fnma(y, y, one),
            Activation::Relu => S::truth(S::lt(zero, y)),
            Activation::Linear => one,
            Activation::Sigmoid => S::mul(y, S::sub(one, y)),
        }
    }
}

/// A call: sums of the inputs, the first state, and results, which may be null.
#[derive(Debug, Clone, Copy)]
pub struct Simple {
    /// Sizes, weights, mask and drop.
    pub job: Steps,
    /// What each sum goes through.
    pub activation: Activation,
    /// What the inputs give, `batch x steps x units`.
    pub z: *const f32,
    /// The first state, `batch x units`.
    pub h0: Spread,
    /// States, `batch x steps x units`.
    pub y: *mut f32,
    /// The last state, `batch x units`.
    pub h: *mut f32,
    /// States before each step, `batch x steps x units`.
    pub before: *mut f32,
}

// SAFETY: chunks write disjoint rows.
unsafe impl Sync for Simple {}

/// Runs the recurrence on all threads.
///
/// # Safety
/// The pointers cover what the fields say, results overlap nothing, and the processor has `isa`.
pub unsafe fn simple(isa: Isa, call: &Simple) {
    let mut room = None;
    let gates = Gates::new(&call.job, 1, &mut room);
    let kernel = rows(isa);
    call.job.split(&|chunk| {
        // SAFETY: the caller vouches for the call; chunks are disjoint.
        unsafe { kernel(call, &gates, Micro::of(isa), &chunk) };
    });
}

per_isa!(
    fn rows(call: &Simple, gates: &Gates, micro: &Micro, chunk: &Range<usize>) = rows_generic
);

#[inline(always)]
unsafe fn rows_generic<S: Simd>(call: &Simple, gates: &Gates, micro: &Micro, chunk: &Range<usize>) {
    let job = &call.job;
    let (u, pad, first, count) = (job.units, job.padded(), chunk.start, chunk.len());
    let mut room = Room::new(count * pad * 3 + MAX_ROWS * PANEL);
    let h = room.take(count * pad);
    let mut from = State::new(&mut room, count, pad, 1);
    let mut to = State::new(&mut room, count, pad, 1);
    let sums = room.take(MAX_ROWS * PANEL);
    for r in 0..count {
        for col in (0..u).step_by(LANES) {
            let n = LANES.min(u - col);
            let old = call.h0.get::<S>((first + r) * u + col, n);
            S::store(h.add(r * pad + col), old);
            from.put::<S>(job, r, first + r, col, n, old);
        }
    }
    for s in 0..job.steps {
        pool::give_up_if_interrupted();
        let t = job.at(s);
        for group in 0..gates.groups() {
            let col = group * LANES;
            let n = LANES.min(u - col);
            for tile in tiles(count, micro) {
                let any = job.any(first + tile.start..first + tile.end, t);
                if any {
                    gates.sums(micro, group, 0..1, &from, &tile, sums);
                }
                for (i, r) in tile.enumerate() {
                    let (at, own) = (((first + r) * job.steps + t) * u + col, r * pad + col);
                    let old = S::load(h.add(own));
                    store::<S>(call.before, at, old, n);
                    let mut next = old;
                    if any && job.counts(first + r, t) {
                        let sum = S::add(load::<S>(call.z.add(at), n), S::load(sums.add(i * PANEL)));
                        next = call.activation.of::<S>(sum);
                    }
                    store::<S>(call.y, at, next, n);
                    S::store(h.add(own), next);
                    to.put::<S>(job, r, first + r, col, n, next);
                }
            }
        }
        std::mem::swap(&mut from, &mut to);
    }
    for r in 0..count {
        for col in (0..u).step_by(LANES) {
            let (at, n) = ((first + r) * u + col, LANES.min(u - col));
            store::<S>(call.h, at, S::load(h.add(r * pad + col)), n);
        }
    }
}

/// The backward pass of a call.
#[derive(Debug, Clone, Copy)]
pub struct SimpleGrad {
    /// As in the forward pass.
    pub job: Steps,
    /// As in the forward pass.
    pub activation: Activation,
    /// The gradient of the states, `batch x steps x units`.
    pub dy: Spread,
    /// The gradient of the last state, `batch x units`.
    pub dh: Spread,
    /// The states, as the forward pass gave them.
    pub y: *const f32,
    /// The gradient of `z`, or null.
    pub dz: *mut f32,
    /// The gradient of `h0` in full, or null.
    pub dh0: *mut f32,
}

// SAFETY: chunks write disjoint rows.
unsafe impl Sync for SimpleGrad {}

/// Runs the backward pass on all threads.
///
/// # Safety
/// As [`simple`].
pub unsafe fn simple_grad(isa: Isa, call: &SimpleGrad) {
    let mut room = scratch(Back::room(&call.job, 1));
    let back = Back::new(isa, &call.job, 1, &mut room);
    let kernel = rows_back(isa);
    call.job.split(&|chunk| {
        // SAFETY: the caller vouches for the call; chunks are disjoint.
        unsafe { kernel(call, &back, Micro::of(isa), &chunk) };
    });
}

per_isa!(
    fn rows_back(call: &SimpleGrad, back: &Back, micro: &Micro, chunk: &Range<usize>) = back_generic
);

#[inline(always)]
unsafe fn back_generic<S: Simd>(call: &SimpleGrad, back: &Back, micro: &Micro, chunk: &Range<usize>) {
    let job = &call.job;
    let (u, pad, first, count) = (job.units, job.padded(), chunk.start, chunk.len());
    let mut room = Room::new(count * 2 * pad + MAX_ROWS * pad);
    let dh = room.take(count * pad);
    let own = room.take(count * pad);
    let sums = room.take(MAX_ROWS * pad);
    for r in 0..count {
        for col in (0..u).step_by(LANES) {
            let (at, n) = ((first + r) * u + col, LANES.min(u - col));
            S::store(dh.add(r * pad + col), call.dh.get::<S>(at, n));
        }
    }
    for s in (0..job.steps).rev() {
        pool::give_up_if_interrupted();
        let t = job.at(s);
        for tile in tiles(count, micro) {
            for r in tile.clone() {
                let counts = job.counts(first + r, t);
                for col in (0..u).step_by(LANES) {
                    let at = ((first + r) * job.steps + t) * u + col;
                    let n = LANES.min(u - col);
                    let flows = S::add(S::load(dh.add(r * pad + col)), call.dy.get::<S>(at, n));
                    let (mut part, mut rest) = (S::splat(0.0), flows);
                    if counts {
                        let slope = call.activation.slope::<S>(load::<S>(call.y.add(at), n));
                        (part, rest) = (S::mul(flows, slope), S::splat(0.0));
                    }
                    store::<S>(call.dz, at, part, n);
                    S::store(own.add(r * pad + col), part);
                    S::store(dh.add(r * pad + col), rest);
                }
            }
            let wanted = s > 0 || !call.dh0.is_null();
            if wanted && job.any(first + tile.start..first + tile.end, t) {
                back.pull::<S>(micro, job, 0..1, &tile, (first, t), (own, pad), dh, sums);
            }
        }
    }
    for r in 0..count {
        for col in (0..u).step_by(LANES) {
            let (at, n) = ((first + r) * u + col, LANES.min(u - col));
            store::<S>(call.dh0, at, S::load(dh.add(r * pad + col)), n);
        }
    }
}
