//! F2. Recurrences: what a recurrent layer computes step after step. The products of all steps with
//! the inputs lie outside; here is the product of the last state with the recurrent weights and
//! what follows it. Weights are packed once a call, sixteen units of all gates side by side, and
//! the cell reads a tile of sums while it is in L1.
//!
//! Rows of the batch never meet, so a chunk of rows runs through all steps without waiting for
//! others. Chunks follow from the batch alone. Arrays are row-major, batch before time.

// Index loops over arrays of vectors unroll and stay in registers; iterators would obscure that.
#![allow(clippy::needless_range_loop)]

mod gru;
mod lstm;
mod simple;

pub use gru::{Gru, GruGrad, gru, gru_grad};
pub use lstm::{Lstm, LstmGrad, lstm, lstm_grad};
pub use simple::{Activation, Simple, SimpleGrad, simple, simple_grad};

use super::Scale;
use super::gemm::pack_all;
use super::gemm::product::PANEL;
use super::gemm::tile::{MAX_ROWS, Micro, Output, Segment, Tile};
use crate::buffer::{Scratch, scratch};
use crate::pool;
use crate::simd::{Isa, LANES, Simd};
use std::ops::Range;
use std::ptr;

/// Rows of a chunk: whole tiles, and enough to make use of the weights each time they are read.
const CHUNK: usize = 18;
/// Up to this many tiles in a call, weights are read where they lie.
const FEW: usize = 3;

/// An operand that is an array, or one number for all of it.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// Its first element.
    pub ptr: *const f32,
    /// One number for all.
    pub lone: bool,
}

impl Spread {
    /// `n` elements from `at` on; lanes past them are unspecified.
    #[inline(always)]
    unsafe fn get<S: Simd>(&self, at: usize, n: usize) -> S::F {
        if self.lone { S::splat(*self.ptr) } else { load::<S>(self.ptr.add(at), n) }
    }

    #[inline(always)]
    unsafe fn one(&self, at: usize) -> f32 {
        *self.ptr.add(if self.lone { 0 } else { at })
    }
}

/// What all recurrences have.
#[derive(Debug, Clone, Copy)]
pub struct Steps {
    /// Rows of the batch.
    pub batch: usize,
    /// Steps of each row.
    pub steps: usize,
    /// Numbers in a state.
    pub units: usize,
    /// From the last step to the first.
    pub reverse: bool,
    /// The recurrent weights, `units x gates * units`.
    pub weights: *const f32,
    /// Truth values, `batch x steps`: where it is false the step leaves the state as it is.
    pub mask: Spread,
    /// Factors of the state on its way into each gate, `batch x gates * units`.
    pub drop: Spread,
}

impl Steps {
    /// The step that is done as number `s`.
    #[inline(always)]
    fn at(&self, s: usize) -> usize {
        if self.reverse { self.steps - 1 - s } else { s }
    }

    /// Units rounded up to whole vectors.
    fn padded(&self) -> usize {
        self.units.next_multiple_of(LANES)
    }

    /// Copies of the state that the product reads.
    fn copies(&self, gates: usize) -> usize {
        if self.drop.lone { 1 } else { gates }
    }

    /// Is step `t` of this row one that counts?
    #[inline(always)]
    unsafe fn counts(&self, row: usize, t: usize) -> bool {
        self.mask.one(row * self.steps + t) != 0.0
    }

    /// Does step `t` count in any of these rows?
    unsafe fn any(&self, rows: Range<usize>, t: usize) -> bool {
        rows.into_iter().any(|row| self.counts(row, t))
    }

    /// Calls `work` for chunks of rows, on all threads.
    fn split(&self, work: &(dyn Fn(Range<usize>) + Sync)) {
        let batch = self.batch;
        // A few rows are worth two chunks, if not the weights read once more for each.
        let chunks = batch.div_ceil(CHUNK).max(if batch >= 8 { 2 } else { 1 });
        pool::run(chunks, &|i| work(share(batch, chunks, i)..share(batch, chunks, i + 1)));
    }
}

/// Where part `i` of `parts` nearly equal parts of `n` begins.
fn share(n: usize, parts: usize, i: usize) -> usize {
    i * (n / parts) + i.min(n % parts)
}

/// The tiles of a chunk, as nearly equal ranges of its rows.
fn tiles(rows: usize, micro: &Micro) -> impl Iterator<Item = Range<usize>> {
    let count = rows.div_ceil(micro.mr);
    (0..count).map(move |i| share(rows, count, i)..share(rows, count, i + 1))
}

#[inline(always)]
unsafe fn load<S: Simd>(p: *const f32, n: usize) -> S::F {
    if n == LANES { S::load(p) } else { S::load_n(p, n) }
}

/// Stores the first `n` lanes; a null pointer is a result that nobody reads.
#[inline(always)]
unsafe fn store<S: Simd>(p: *mut f32, at: usize, v: S::F, n: usize) {
    if p.is_null() {
        return;
    }
    if n == LANES { S::store(p.add(at), v) } else { S::store_n(p.add(at), v, n) }
}

/// Room of a chunk, cut into pieces.
struct Room {
    block: Scratch,
    used: usize,
}

impl Room {
    fn new(floats: usize) -> Room {
        Room { block: scratch(floats), used: 0 }
    }

    /// The next `floats` of the room, as zeros.
    unsafe fn take(&mut self, floats: usize) -> *mut f32 {
        let at = self.block.as_mut_ptr().add(self.used);
        self.used += floats;
        ptr::write_bytes(at, 0, floats);
        at
    }
}

/// Recurrent weights as the forward product reads them: sixteen units of each gate side by side.
#[derive(Clone, Copy)]
struct Gates {
    ptr: *const f32,
    /// Floats between groups of sixteen units, rows, and gates of a group.
    group: usize,
    row: usize,
    gate: usize,
    units: usize,
    packed: bool,
}

// SAFETY: weights are only read.
unsafe impl Sync for Gates {}

impl Gates {
    /// Packs weights into `room` unless they are read a few times only.
    unsafe fn new(steps: &Steps, count: usize, room: &mut Option<Scratch>) -> Gates {
        let units = steps.units;
        let tiles = steps.batch.div_ceil(MAX_ROWS) * steps.steps;
        if tiles <= FEW {
            let ptr = steps.weights;
            return Gates { ptr, group: LANES, row: count * units, gate: units, units, packed: false };
        }
        let groups = units.div_ceil(LANES);
        let (row, group) = (count * LANES, units * count * LANES);
        let dst = room.insert(scratch(groups * group)).as_mut_ptr();
        for k in 0..units {
            for g in 0..groups {
                let n = LANES.min(units - g * LANES);
                for gate in 0..count {
                    let to = dst.add(g * group + k * row + gate * LANES);
                    let from = steps.weights.add((k * count + gate) * units + g * LANES);
                    ptr::copy_nonoverlapping(from, to, n);
                    ptr::write_bytes(to.add(n), 0, LANES - n);
                }
            }
        }
        Gates { ptr: dst, group, row, gate: LANES, units, packed: true }
    }

    fn groups(&self) -> usize {
        self.units.div_ceil(LANES)
    }

    /// Sums of one group for some gates: `out[r][gate][unit]`, [`PANEL`] floats a row.
    unsafe fn product(
        &self,
        micro: &Micro,
        group: usize,
        gates: Range<usize>,
        rows: &[*const f32],
        out: *mut f32,
    ) {
        let all = gates.len() * LANES;
        let (width, each) = if self.packed && micro.nr >= all { (all, gates.len()) } else { (LANES, 1) };
        let cols = if self.packed { width } else { LANES.min(self.units - group * LANES) };
        for gate in gates.step_by(each) {
            let b = self.ptr.add(group * self.group + gate * self.gate);
            let segment = Segment { rows: rows.as_ptr(), a_step: 1, b, b_step: self.row, k: self.units };
            micro.run(&Tile {
                segments: &[segment],
                rows: rows.len(),
                cols,
                padded: self.packed,
                out: plain(out.add(gate * LANES), PANEL),
            });
        }
    }

    /// The sums of a group for all gates, from states that lie `pad` floats apart, one copy after
    /// the other where gates see different ones.
    unsafe fn sums(
        &self,
        micro: &Micro,
        group: usize,
        gates: Range<usize>,
        state: &State,
        tile: &Range<usize>,
        out: *mut f32,
    ) {
        if state.copies == 1 {
            return self.product(micro, group, gates, &state.rows(0, tile)[..tile.len()], out);
        }
        for gate in gates {
            self.product(micro, group, gate..gate + 1, &state.rows(gate, tile)[..tile.len()], out);
        }
    }
}

/// The state that a product reads: a copy for all gates, or one for each.
#[derive(Clone, Copy)]
struct State {
    ptr: *mut f32,
    pad: usize,
    /// Rows of a copy.
    len: usize,
    copies: usize,
}

impl State {
    unsafe fn new(room: &mut Room, len: usize, pad: usize, copies: usize) -> State {
        State { ptr: room.take(len * pad * copies), pad, len, copies }
    }

    #[inline(always)]
    fn at(&self, copy: usize, row: usize) -> *mut f32 {
        self.ptr.wrapping_add((copy * self.len + row) * self.pad)
    }

    fn rows(&self, copy: usize, tile: &Range<usize>) -> [*const f32; MAX_ROWS] {
        let mut rows = [ptr::null(); MAX_ROWS];
        for (i, row) in rows.iter_mut().enumerate().take(tile.len()) {
            *row = self.at(copy, tile.start + i).cast_const();
        }
        rows
    }

    /// Writes a state of sixteen units as the gates will see it.
    #[inline(always)]
    unsafe fn put<S: Simd>(&self, job: &Steps, row: usize, of: usize, col: usize, n: usize, h: S::F) {
        for copy in 0..self.copies {
            let at = (of * self.copies + copy) * job.units + col;
            let seen = S::mul(h, job.drop.get::<S>(at, n));
            S::store(self.at(copy, row).add(col), seen);
        }
    }
}

/// Recurrent weights as the backward pass reads them: transposed, in panels of the micro-kernel.
#[derive(Clone, Copy)]
struct Back {
    ptr: *const f32,
    k: usize,
    units: usize,
}

// SAFETY: weights are only read.
unsafe impl Sync for Back {}

impl Back {
    unsafe fn new(isa: Isa, steps: &Steps, gates: usize, room: &mut Scratch) -> Back {
        let (k, units) = (gates * steps.units, steps.units);
        pack_all(isa, steps.weights, true, k, units, room.as_mut_ptr());
        Back { ptr: room.as_mut_ptr(), k, units }
    }

    /// Floats of the panels.
    fn room(steps: &Steps, gates: usize) -> usize {
        gates * steps.units * steps.units.next_multiple_of(PANEL)
    }

    /// `out[r][unit] = sum over k of rows[r][k] weights[unit][k]`, over `ks` only; rows of `out`
    /// lie `pad` floats apart.
    unsafe fn product(
        &self,
        micro: &Micro,
        ks: Range<usize>,
        rows: &[*const f32],
        out: *mut f32,
        pad: usize,
    ) {
        for col in (0..self.units).step_by(micro.nr) {
            let b = self.ptr.add(col * self.k + ks.start * micro.nr);
            let segment = Segment { rows: rows.as_ptr(), a_step: 1, b, b_step: micro.nr, k: ks.len() };
            micro.run(&Tile {
                segments: &[segment],
                rows: rows.len(),
                cols: micro.nr.min(self.units - col),
                padded: true,
                out: plain(out.add(col), pad),
            });
        }
    }

    /// Adds to `into` what flows back into the state through some gates at step `t`, in rows where
    /// it counts. `dz` is the gradient of the gates of the chunk's first row, and the floats from row
    /// to row; `sums` is room for a tile.
    #[allow(clippy::too_many_arguments)]
    unsafe fn pull<S: Simd>(
        &self,
        micro: &Micro,
        job: &Steps,
        gates: Range<usize>,
        tile: &Range<usize>,
        (first, t): (usize, usize),
        dz: (*const f32, usize),
        into: *mut f32,
        sums: *mut f32,
    ) {
        let (u, pad) = (job.units, job.padded());
        let part = |from: usize, to: usize, rows_of_drop: usize| {
            let mut rows = [ptr::null(); MAX_ROWS];
            for (i, row) in rows.iter_mut().enumerate().take(tile.len()) {
                *row = dz.0.wrapping_add((tile.start + i) * dz.1 + from * u);
            }
            self.product(micro, from * u..to * u, &rows[..tile.len()], sums, pad);
            for (i, r) in tile.clone().enumerate().filter(|&(_, r)| job.counts(first + r, t)) {
                for col in (0..u).step_by(LANES) {
                    let n = LANES.min(u - col);
                    let drop = job.drop.get::<S>(((first + r) * rows_of_drop + from) * u + col, n);
                    let at = into.add(r * pad + col);
                    S::store(at, S::fma(S::load(sums.add(i * pad + col)), drop, S::load(at)));
                }
            }
        };
        if job.drop.lone {
            return part(gates.start, gates.end, 1);
        }
        let all = self.k / u.max(1);
        for gate in gates {
            part(gate, gate + 1, all);
        }
    }
}

fn plain(c: *mut f32, ldc: usize) -> Output {
    Output { c, ldc, bias: ptr::null(), scale: Scale::NONE, relu: false, accumulate: false }
}
