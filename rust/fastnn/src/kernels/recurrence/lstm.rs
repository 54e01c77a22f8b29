//! F2. The LSTM of Hochreiter and Schmidhuber with a forget gate; gates lie in the order input,
//! forget, candidate, output.

use super::{Back, Gates, Room, Spread, State, Steps, load, store, tiles};
use crate::buffer::scratch;
use crate::kernels::gemm::product::PANEL;
use crate::kernels::gemm::tile::{MAX_ROWS, Micro};
use crate::per_isa;
use crate::pool;
use crate::simd::math::{sigmoid, tanh};
use crate::simd::{Isa, LANES, Simd};
use std::ops::Range;

const GATES: usize = 4;

/// A call: sums of the inputs, states before the first step, and results, which may be null.
#[derive(Debug, Clone, Copy)]
pub struct Lstm {
    /// Sizes, weights, mask and drop.
    pub job: Steps,
    /// What the inputs give to the gates, `batch x steps x 4 units`.
    pub z: *const f32,
    /// The first state, `batch x units`.
    pub h0: Spread,
    /// The first cell, `batch x units`.
    pub c0: Spread,
    /// States, `batch x steps x units`.
    pub y: *mut f32,
    /// The last state, `batch x units`.
    pub h: *mut f32,
    /// The last cell, `batch x units`.
    pub c: *mut f32,
    /// Gates, `batch x steps x 4 units`; 0 where the mask hides a step.
    pub gates: *mut f32,
    /// Cells, `batch x steps x units`.
    pub cells: *mut f32,
    /// States before each step, `batch x steps x units`.
    pub before: *mut f32,
}

// SAFETY: chunks write disjoint rows.
unsafe impl Sync for Lstm {}

/// Runs the recurrence on all threads.
///
/// # Safety
/// The pointers cover what the fields say, results overlap nothing, and the processor has `isa`.
pub unsafe fn lstm(isa: Isa, call: &Lstm) {
    let mut room = None;
    let gates = Gates::new(&call.job, GATES, &mut room);
    let kernel = rows(isa);
    call.job.split(&|chunk| {
        // SAFETY: the caller vouches for the call; chunks are disjoint.
        unsafe { kernel(call, &gates, Micro::of(isa), &chunk) };
    });
}

per_isa!(
    fn rows(call: &Lstm, gates: &Gates, micro: &Micro, chunk: &Range<usize>) = rows_generic
);

#[inline(always)]
unsafe fn rows_generic<S: Simd>(call: &Lstm, gates: &Gates, micro: &Micro, chunk: &Range<usize>) {
    let job = &call.job;
    let (u, pad, first, count) = (job.units, job.padded(), chunk.start, chunk.len());
    let copies = job.copies(GATES);
    let mut room = Room::new(count * pad * (2 + 2 * copies) + MAX_ROWS * PANEL);
    let (h, c) = (room.take(count * pad), room.take(count * pad));
    let mut from = State::new(&mut room, count, pad, copies);
    let mut to = State::new(&mut room, count, pad, copies);
    let sums = room.take(MAX_ROWS * PANEL);
    for r in 0..count {
        for col in (0..u).step_by(LANES) {
            let (at, n) = ((first + r) * u + col, LANES.min(u - col));
            let old = call.h0.get::<S>(at, n);
            S::store(h.add(r * pad + col), old);
            S::store(c.add(r * pad + col), call.c0.get::<S>(at, n));
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
                    gates.sums(micro, group, 0..GATES, &from, &tile, sums);
                }
                for (i, r) in tile.enumerate() {
                    let step = (first + r) * job.steps + t;
                    let (at, own) = (step * u + col, r * pad + col);
                    let (old_h, old_c) = (S::load(h.add(own)), S::load(c.add(own)));
                    store::<S>(call.before, at, old_h, n);
                    let (mut next_h, mut next_c) = (old_h, old_c);
                    let mut parts = [S::splat(0.0); GATES];
                    if any && job.counts(first + r, t) {
                        for gate in 0..GATES {
                            let z = load::<S>(call.z.add((step * GATES + gate) * u + col), n);
                            let a = S::add(z, S::load(sums.add(i * PANEL + gate * LANES)));
                            parts[gate] = if gate == 2 { tanh::<S>(a) } else { sigmoid::<S>(a) };
                        }
                        let [input, forget, candidate, output] = parts;
                        next_c = S::fma(input, candidate, S::mul(forget, old_c));
                        next_h = S::mul(output, tanh::<S>(next_c));
                    }
                    for gate in 0..GATES {
                        store::<S>(call.gates, (step * GATES + gate) * u + col, parts[gate], n);
                    }
                    store::<S>(call.cells, at, next_c, n);
                    store::<S>(call.y, at, next_h, n);
                    S::store(h.add(own), next_h);
                    S::store(c.add(own), next_c);
                    to.put::<S>(job, r, first + r, col, n, next_h);
                }
            }
        }
        std::mem::swap(&mut from, &mut to);
    }
    for r in 0..count {
        for col in (0..u).step_by(LANES) {
            let (at, n) = ((first + r) * u + col, LANES.min(u - col));
            store::<S>(call.h, at, S::load(h.add(r * pad + col)), n);
            store::<S>(call.c, at, S::load(c.add(r * pad + col)), n);
        }
    }
}

/// The backward pass of a call.
#[derive(Debug, Clone, Copy)]
pub struct LstmGrad {
    /// As in the forward pass.
    pub job: Steps,
    /// The gradient of the states, `batch x steps x units`.
    pub dy: Spread,
    /// The gradient of the last state, `batch x units`.
    pub dh: Spread,
    /// The gradient of the last cell, `batch x units`.
    pub dc: Spread,
    /// As kept by the forward pass.
    pub gates: *const f32,
    /// As kept by the forward pass.
    pub cells: *const f32,
    /// As in the forward pass.
    pub c0: Spread,
    /// The gradient of `z`, or null.
    pub dz: *mut f32,
    /// The gradient of `h0` in full, or null.
    pub dh0: *mut f32,
    /// The gradient of `c0` in full, or null.
    pub dc0: *mut f32,
}

// SAFETY: chunks write disjoint rows.
unsafe impl Sync for LstmGrad {}

/// Runs the backward pass on all threads.
///
/// # Safety
/// As [`lstm`].
pub unsafe fn lstm_grad(isa: Isa, call: &LstmGrad) {
    let mut room = scratch(Back::room(&call.job, GATES));
    let back = Back::new(isa, &call.job, GATES, &mut room);
    let kernel = rows_back(isa);
    call.job.split(&|chunk| {
        // SAFETY: the caller vouches for the call; chunks are disjoint.
        unsafe { kernel(call, &back, Micro::of(isa), &chunk) };
    });
}

per_isa!(
    fn rows_back(call: &LstmGrad, back: &Back, micro: &Micro, chunk: &Range<usize>) = back_generic
);

#[inline(always)]
unsafe fn back_generic<S: Simd>(call: &LstmGrad, back: &Back, micro: &Micro, chunk: &Range<usize>) {
    let job = &call.job;
    let (u, pad, first, count) = (job.units, job.padded(), chunk.start, chunk.len());
    let mut room = Room::new(count * (2 * pad + GATES * u) + MAX_ROWS * pad + LANES);
    let (dh, dc) = (room.take(count * pad), room.take(count * pad));
    let own_dz = room.take(count * GATES * u);
    let sums = room.take(MAX_ROWS * pad);
    for r in 0..count {
        for col in (0..u).step_by(LANES) {
            let (at, n) = ((first + r) * u + col, LANES.min(u - col));
            S::store(dh.add(r * pad + col), call.dh.get::<S>(at, n));
            S::store(dc.add(r * pad + col), call.dc.get::<S>(at, n));
        }
    }
    let one = S::splat(1.0);
    for s in (0..job.steps).rev() {
        pool::give_up_if_interrupted();
        let t = job.at(s);
        for tile in tiles(count, micro) {
            for r in tile.clone() {
                let step = (first + r) * job.steps + t;
                let counts = job.counts(first + r, t);
                for col in (0..u).step_by(LANES) {
                    let (at, n, own) = (step * u + col, LANES.min(u - col), r * pad + col);
                    let flows = S::add(S::load(dh.add(own)), call.dy.get::<S>(at, n));
                    let mut parts = [S::splat(0.0); GATES];
                    let mut rest = flows;
                    if counts {
                        let gate = |k| load::<S>(call.gates.add((step * GATES + k) * u + col), n);
                        let (input, forget, candidate, output) = (gate(0), gate(1), gate(2), gate(3));
                        let old = if s == 0 {
                            call.c0.get::<S>((first + r) * u + col, n)
                        } else {
                            load::<S>(call.cells.add(((first + r) * job.steps + job.at(s - 1)) * u + col), n)
                        };
                        let bent = tanh::<S>(load::<S>(call.cells.add(at), n));
                        let slope = S::mul(output, S::fnma(bent, bent, one));
                        let d = S::fma(flows, slope, S::load(dc.add(own)));
                        let bend = |g| S::mul(g, S::sub(one, g));
                        parts = [
                            S::mul(S::mul(d, candidate), bend(input)),
                            S::mul(S::mul(d, old), bend(forget)),
                            S::mul(S::mul(d, input), S::fnma(candidate, candidate, one)),
                            S::mul(S::mul(flows, bent), bend(output)),
                        ];
                        S::store(dc.add(own), S::mul(d, forget));
                        rest = S::splat(0.0);
                    }
                    S::store(dh.add(own), rest);
                    for gate in 0..GATES {
                        store::<S>(call.dz, (step * GATES + gate) * u + col, parts[gate], n);
                        store::<S>(own_dz, (r * GATES + gate) * u + col, parts[gate], n);
                    }
                }
            }
        }
        if s == 0 && call.dh0.is_null() {
            break;
        }
        for tile in tiles(count, micro) {
            if job.any(first + tile.start..first + tile.end, t) {
                let dz = (own_dz.cast_const(), GATES * u);
                back.pull::<S>(micro, job, 0..GATES, &tile, (first, t), dz, dh, sums);
            }
        }
    }
    for r in 0..count {
        for col in (0..u).step_by(LANES) {
            let (at, n) = ((first + r) * u + col, LANES.min(u - col));
            store::<S>(call.dh0, at, S::load(dh.add(r * pad + col)), n);
            store::<S>(call.dc0, at, S::load(dc.add(r * pad + col)), n);
        }
    }
}
