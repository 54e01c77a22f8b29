//! F2. The gated recurrent unit of Cho et al.; gates lie in the order update, reset, candidate. The
//! reset gate acts behind the candidate's product (`reset_after`, as in cuDNN) or before it.

use super::{Back, Gates, Room, Spread, State, Steps, load, store, tiles};
use crate::buffer::scratch;
use crate::kernels::gemm::product::PANEL;
use crate::kernels::gemm::tile::{MAX_ROWS, Micro};
use crate::per_isa;
use crate::pool;
use crate::simd::math::{sigmoid, tanh};
use crate::simd::{Isa, LANES, Simd};
use std::ops::Range;

const GATES: usize = 3;
const UPDATE: usize = 0;
const RESET: usize = 1;
const CANDIDATE: usize = 2;

/// A call: sums of the inputs, the first state, and results, which may be null.
#[derive(Debug, Clone, Copy)]
pub struct Gru {
    /// Sizes, weights, mask and drop.
    pub job: Steps,
    /// The reset gate acts behind the candidate's product.
    pub reset_after: bool,
    /// What the inputs give to the gates, `batch x steps x 3 units`.
    pub z: *const f32,
    /// Added to the products with the state, `3 units`.
    pub bias: Spread,
    /// The first state, `batch x units`.
    pub h0: Spread,
    /// States, `batch x steps x units`.
    pub y: *mut f32,
    /// The last state, `batch x units`.
    pub h: *mut f32,
    /// Gates, `batch x steps x 3 units`; 0 where the mask hides a step.
    pub gates: *mut f32,
    /// The other factor of the reset gate (`reset_after`), or the product of both; `batch x steps x
    /// units`, 0 where the mask hides a step.
    pub inner: *mut f32,
    /// States before each step, `batch x steps x units`.
    pub before: *mut f32,
}

// SAFETY: chunks write disjoint rows.
unsafe impl Sync for Gru {}

/// Runs the recurrence on all threads.
///
/// # Safety
/// The pointers cover what the fields say, results overlap nothing, and the processor has `isa`.
pub unsafe fn gru(isa: Isa, call: &Gru) {
    let mut room = None;
    let gates = Gates::new(&call.job, GATES, &mut room);
    let kernel = rows(isa);
    call.job.split(&|chunk| {
        // SAFETY: the caller vouches for the call; chunks are disjoint.
        unsafe { kernel(call, &gates, Micro::of(isa), &chunk) };
    });
}

per_isa!(
    fn rows(call: &Gru, gates: &Gates, micro: &Micro, chunk: &Range<usize>) = rows_generic
);

#[inline(always)]
unsafe fn rows_generic<S: Simd>(call: &Gru, gates: &Gates, micro: &Micro, chunk: &Range<usize>) {
    let job = &call.job;
    let (u, pad, first, count) = (job.units, job.padded(), chunk.start, chunk.len());
    let copies = job.copies(GATES);
    let mut room = Room::new(count * pad * (3 + 2 * copies) + MAX_ROWS * PANEL);
    let h = room.take(count * pad);
    let mut from = State::new(&mut room, count, pad, copies);
    let mut to = State::new(&mut room, count, pad, copies);
    // Where the reset gate acts first: the update gates of a step, and the states it lets through.
    let update = room.take(count * pad);
    let through = State::new(&mut room, count, pad, 1);
    let sums = room.take(MAX_ROWS * PANEL);
    let first_gates = if call.reset_after { GATES } else { CANDIDATE };
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
        let input = |step: usize, gate: usize, col: usize, n: usize| {
            load::<S>(call.z.add((step * GATES + gate) * u + col), n)
        };
        let inner = |i: usize, gate: usize, col: usize, n: usize| {
            S::add(S::load(sums.add(i * PANEL + gate * LANES)), call.bias.get::<S>(gate * u + col, n))
        };
        for group in 0..gates.groups() {
            let col = group * LANES;
            let n = LANES.min(u - col);
            for tile in tiles(count, micro) {
                let any = job.any(first + tile.start..first + tile.end, t);
                if any {
                    gates.sums(micro, group, 0..first_gates, &from, &tile, sums);
                }
                for (i, r) in tile.enumerate() {
                    let step = (first + r) * job.steps + t;
                    let (at, own) = (step * u + col, r * pad + col);
                    let old = S::load(h.add(own));
                    store::<S>(call.before, at, old, n);
                    let counts = any && job.counts(first + r, t);
                    let zero = S::splat(0.0);
                    let (mut z, mut reset, mut candidate, mut kept) = (zero, zero, zero, zero);
                    let mut next = old;
                    if counts {
                        z = sigmoid::<S>(S::add(input(step, UPDATE, col, n), inner(i, UPDATE, col, n)));
                        reset = sigmoid::<S>(S::add(input(step, RESET, col, n), inner(i, RESET, col, n)));
                        if call.reset_after {
                            kept = inner(i, CANDIDATE, col, n);
                            candidate = tanh::<S>(S::fma(reset, kept, input(step, CANDIDATE, col, n)));
                            next = mix::<S>(z, old, candidate);
                        } else {
                            kept = S::mul(reset, S::load(from.at(from.copies - 1, r).add(col)));
                            S::store(update.add(own), z);
                            S::store(through.at(0, r).add(col), kept);
                        }
                    }
                    store::<S>(call.gates, (step * GATES + UPDATE) * u + col, z, n);
                    store::<S>(call.gates, (step * GATES + RESET) * u + col, reset, n);
                    store::<S>(call.inner, at, kept, n);
                    if call.reset_after || !counts {
                        store::<S>(call.gates, (step * GATES + CANDIDATE) * u + col, candidate, n);
                        store::<S>(call.y, at, next, n);
                        S::store(h.add(own), next);
                        to.put::<S>(job, r, first + r, col, n, next);
                    }
                }
            }
        }
        for group in 0..if call.reset_after { 0 } else { gates.groups() } {
            let col = group * LANES;
            let n = LANES.min(u - col);
            for tile in tiles(count, micro) {
                if !job.any(first + tile.start..first + tile.end, t) {
                    continue;
                }
                gates.sums(micro, group, CANDIDATE..GATES, &through, &tile, sums);
                for (i, r) in tile.enumerate().filter(|&(_, r)| job.counts(first + r, t)) {
                    let step = (first + r) * job.steps + t;
                    let own = r * pad + col;
                    let sum = S::add(input(step, CANDIDATE, col, n), inner(i, CANDIDATE, col, n));
                    let candidate = tanh::<S>(sum);
                    let next = mix::<S>(S::load(update.add(own)), S::load(h.add(own)), candidate);
                    store::<S>(call.gates, (step * GATES + CANDIDATE) * u + col, candidate, n);
                    store::<S>(call.y, step * u + col, next, n);
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

/// `z old + (1 - z) candidate`.
#[inline(always)]
unsafe fn mix<S: Simd>(z: S::F, old: S::F, candidate: S::F) -> S::F {
    S::fma(z, old, S::mul(S::sub(S::splat(1.0), z), candidate))
}

/// The backward pass of a call.
#[derive(Debug, Clone, Copy)]
pub struct GruGrad {
    /// As in the forward pass.
    pub job: Steps,
    /// As in the forward pass.
    pub reset_after: bool,
    /// The gradient of the states, `batch x steps x units`.
    pub dy: Spread,
    /// The gradient of the last state, `batch x units`.
    pub dh: Spread,
    /// As kept by the forward pass.
    pub gates: *const f32,
    /// As kept by the forward pass.
    pub inner: *const f32,
    /// As kept by the forward pass.
    pub before: *const f32,
    /// The gradient of `z`, or null.
    pub dz: *mut f32,
    /// The gradient of the products with the state and of `bias`, `batch x steps x 3 units`, or null.
    pub ds: *mut f32,
    /// The gradient of `h0` in full, or null.
    pub dh0: *mut f32,
}

// SAFETY: chunks write disjoint rows.
unsafe impl Sync for GruGrad {}

/// Runs the backward pass on all threads.
///
/// # Safety
/// As [`gru`].
pub unsafe fn gru_grad(isa: Isa, call: &GruGrad) {
    let mut room = scratch(Back::room(&call.job, GATES));
    let back = Back::new(isa, &call.job, GATES, &mut room);
    let kernel = rows_back(isa);
    call.job.split(&|chunk| {
        // SAFETY: the caller vouches for the call; chunks are disjoint.
        unsafe { kernel(call, &back, Micro::of(isa), &chunk) };
    });
}

per_isa!(
    fn rows_back(call: &GruGrad, back: &Back, micro: &Micro, chunk: &Range<usize>) = back_generic
);

#[inline(always)]
unsafe fn back_generic<S: Simd>(call: &GruGrad, back: &Back, micro: &Micro, chunk: &Range<usize>) {
    let job = &call.job;
    let (u, pad, first, count) = (job.units, job.padded(), chunk.start, chunk.len());
    let mut room = Room::new(count * (pad + GATES * u) + 2 * MAX_ROWS * pad + LANES);
    let dh = room.take(count * pad);
    let own = room.take(count * GATES * u);
    let sums = room.take(MAX_ROWS * pad);
    let gated = room.take(MAX_ROWS * pad);
    for r in 0..count {
        for col in (0..u).step_by(LANES) {
            let (at, n) = ((first + r) * u + col, LANES.min(u - col));
            S::store(dh.add(r * pad + col), call.dh.get::<S>(at, n));
        }
    }
    let one = S::splat(1.0);
    let bend = |g| S::mul(g, S::sub(one, g));
    // The drop of the candidate's state; that of a lone number is the number.
    let drop =
        |r: usize, col: usize, n: usize| job.drop.get::<S>(((first + r) * GATES + CANDIDATE) * u + col, n);
    for s in (0..job.steps).rev() {
        pool::give_up_if_interrupted();
        let t = job.at(s);
        for tile in tiles(count, micro) {
            for r in tile.clone() {
                let step = (first + r) * job.steps + t;
                let counts = job.counts(first + r, t);
                for col in (0..u).step_by(LANES) {
                    let (at, n) = (step * u + col, LANES.min(u - col));
                    let flows = S::add(S::load(dh.add(r * pad + col)), call.dy.get::<S>(at, n));
                    let (mut parts, mut seen) = ([S::splat(0.0); GATES], S::splat(0.0));
                    let mut rest = flows;
                    if counts {
                        let gate = |k| load::<S>(call.gates.add((step * GATES + k) * u + col), n);
                        let (z, reset, candidate) = (gate(UPDATE), gate(RESET), gate(CANDIDATE));
                        let old = load::<S>(call.before.add(at), n);
                        let away = S::mul(flows, S::sub(one, z));
                        parts[CANDIDATE] = S::mul(away, S::fnma(candidate, candidate, one));
                        parts[UPDATE] = S::mul(S::mul(flows, S::sub(old, candidate)), bend(z));
                        seen = parts[CANDIDATE];
                        if call.reset_after {
                            let kept = load::<S>(call.inner.add(at), n);
                            parts[RESET] = S::mul(S::mul(seen, kept), bend(reset));
                            seen = S::mul(seen, reset);
                        }
                        rest = S::mul(flows, z);
                    }
                    S::store(dh.add(r * pad + col), rest);
                    for gate in 0..GATES {
                        let to = (step * GATES + gate) * u + col;
                        let sum = if gate == CANDIDATE { seen } else { parts[gate] };
                        store::<S>(call.dz, to, parts[gate], n);
                        store::<S>(call.ds, to, sum, n);
                        store::<S>(own, (r * GATES + gate) * u + col, sum, n);
                    }
                }
            }
            if !job.any(first + tile.start..first + tile.end, t) {
                continue;
            }
            let ds = (own.cast_const(), GATES * u);
            if call.reset_after {
                if s > 0 || !call.dh0.is_null() {
                    back.pull::<S>(micro, job, 0..GATES, &tile, (first, t), ds, dh, sums);
                }
                continue;
            }
            // What flows into the gated state reaches the reset gate and the state.
            let mut rows = [std::ptr::null(); MAX_ROWS];
            for (i, row) in rows.iter_mut().enumerate().take(tile.len()) {
                *row = own.cast_const().wrapping_add(((tile.start + i) * GATES + CANDIDATE) * u);
            }
            back.product(micro, CANDIDATE * u..GATES * u, &rows[..tile.len()], gated, pad);
            for (i, r) in tile.clone().enumerate().filter(|&(_, r)| job.counts(first + r, t)) {
                let step = (first + r) * job.steps + t;
                for col in (0..u).step_by(LANES) {
                    let (at, n) = (step * u + col, LANES.min(u - col));
                    let reset = load::<S>(call.gates.add((step * GATES + RESET) * u + col), n);
                    let old = load::<S>(call.before.add(at), n);
                    let flows = S::mul(S::load(gated.add(i * pad + col)), drop(r, col, n));
                    let part = S::mul(S::mul(flows, old), bend(reset));
                    let to = (step * GATES + RESET) * u + col;
                    store::<S>(call.dz, to, part, n);
                    store::<S>(call.ds, to, part, n);
                    store::<S>(own, (r * GATES + RESET) * u + col, part, n);
                    let state = dh.add(r * pad + col);
                    S::store(state, S::fma(flows, reset, S::load(state)));
                }
            }
            if s > 0 || !call.dh0.is_null() {
                back.pull::<S>(micro, job, 0..CANDIDATE, &tile, (first, t), ds, dh, sums);
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
