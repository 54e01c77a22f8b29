//! F2. The gradient of a 3 x 3 convolution by its weights the way Winograd's F(4x4, 3x3) goes back: 36
//! sums over tiles of products of transformed x and dy, which a last transform makes the 9 taps of.

use super::Geometry;
use super::segments::share;
use super::weight_grad::Parts;
use super::winograd::{ALL, FAR, FAR_SHARE, IN, NEAR, NEAR_SHARE, OUT, P, P2, Q, Q2, SMALL, see};
use crate::buffer::scratch;
use crate::kernels::gemm::tile::{MAX_ROWS, Micro, Output, Segment, Tile};
use crate::kernels::{Blocked, Finishing, Scale};
use crate::per_isa;
use crate::pool;
use crate::simd::{LANES, Simd, isa};
use std::ops::Range;
use std::ptr;

/// Sums are kept apart for at most so many parts of the tiles, and floats.
const MAX_PARTS: usize = 8;
const SUMS: usize = 1 << 23;
/// Terms of a sum before it is touched again, at most.
const MOST_TILES: usize = 512;

/// `dw` for x, dy.
#[derive(Debug)]
pub struct WinogradWeights {
    g: Geometry,
    high: usize,
    wide: usize,
    /// Rows of tiles in a chunk, and chunks.
    rows: usize,
    chunks: usize,
    /// Sums that are kept apart; with one all threads share every chunk.
    apart: usize,
    parts: Parts,
}

/// Work that is shared out to all threads, or done by the one that has the chunk.
type Shared<'a> = &'a dyn Fn(usize, &(dyn Fn(usize) + Sync));

/// Operands and sums of a call.
struct Call {
    x: *const f32,
    dy: *const f32,
    sums: *mut f32,
}

// SAFETY: operands are only read, and parts have sums of their own.
unsafe impl Sync for Call {}

/// Tiles that are worked on together.
struct Chunk<'a> {
    kernel: &'a WinogradWeights,
    call: &'a Call,
    rows: Range<usize>,
    sums: *mut f32,
    seen: *mut f32,
    zeros: *mut f32,
    slopes: *mut f32,
    v_step: usize,
    d_step: usize,
    is_first: bool,
}

// SAFETY: the pieces of a phase write disjoint memory.
unsafe impl Sync for Chunk<'_> {}

impl WinogradWeights {
    /// For operands of these sizes, which pay.
    #[must_use]
    pub fn new(g: Geometry) -> WinogradWeights {
        let [_, h, w] = g.axes;
        let (high, wide) = (h.output.div_ceil(OUT), w.output.div_ceil(OUT));
        let is_near = g.channels * g.filters <= SMALL;
        let room = if is_near { NEAR } else { FAR };
        let most = (room / (ALL * (g.channels + g.filters))).min(MOST_TILES) / wide;
        let all = g.images * high;
        let rows = most.clamp(1, all);
        let chunks = all.div_ceil(rows);
        let apart =
            if is_near { MAX_PARTS.min(SUMS / (ALL * g.channels * g.filters)).min(chunks) } else { 1 };
        let parts = Parts::new(9 * g.channels, g.filters, 1);
        WinogradWeights { g, high, wide, rows, chunks, apart: apart.max(1), parts }
    }

    unsafe fn chunk(&self, i: usize, sums: *mut f32, is_first: bool, call: &Call, share: Shared<'_>) {
        let g = &self.g;
        let rows = i * self.rows..((i + 1) * self.rows).min(g.images * self.high);
        let count = rows.len() * self.wide;
        // Not a multiple of a page from matrix to matrix: they would fall into few sets of the cache.
        let (v_step, d_step) = (count * g.channels + LANES, count * g.filters + LANES);
        let zeros = g.channels.max(g.filters).next_multiple_of(LANES);
        let mut seen = scratch(ALL * v_step + zeros);
        let mut slopes = scratch(ALL * d_step);
        let here = Chunk {
            kernel: self,
            call,
            rows: rows.clone(),
            sums,
            seen: seen.as_mut_ptr(),
            zeros: seen.as_mut_ptr().add(ALL * v_step),
            slopes: slopes.as_mut_ptr(),
            v_step,
            d_step,
            is_first,
        };
        here.zeros.write_bytes(0, zeros);
        // SAFETY: the pieces of each phase are apart, and phases follow each other.
        share(rows.len(), &|row| unsafe { here.transform(row) });
        // SAFETY: as above; what is multiplied was transformed by the phase before.
        share(ALL, &|i| unsafe { here.multiply(i, count) });
    }
}

impl Chunk<'_> {
    /// Transforms what a row of tiles sees, and its places of dy.
    unsafe fn transform(&self, row: usize) {
        let kernel = self.kernel;
        let g = &kernel.g;
        let [_, h, w] = g.axes;
        let at = self.rows.start + row;
        see(g, self.call.x, at, self.zeros, self.seen.add(row * kernel.wide * g.channels), self.v_step);
        let (image, down) = (at / kernel.high, at % kernel.high);
        let run = slope(isa());
        for across in 0..kernel.wide {
            let mut from = [self.zeros.cast_const(); OUT * OUT];
            for i in 0..OUT.min(h.output - down * OUT) {
                for j in 0..OUT.min(w.output - across * OUT) {
                    let place = (image * h.output + down * OUT + i) * w.output + across * OUT + j;
                    from[i * OUT + j] = self.call.dy.add(place * g.filters);
                }
            }
            let to = self.slopes.add((row * kernel.wide + across) * g.filters);
            run(&from, to, self.d_step, g.filters);
        }
    }

    /// Adds the products of the tiles to one of the 36 sums.
    unsafe fn multiply(&self, i: usize, count: usize) {
        let g = &self.kernel.g;
        let micro = Micro::of(isa());
        let (seen, slopes) = (self.seen.add(i * self.v_step), self.slopes.add(i * self.d_step));
        let sums = self.sums.add(i * g.channels * g.filters);
        let tiles = g.channels.div_ceil(micro.mr);
        for col in (0..g.filters).step_by(micro.nr) {
            for t in 0..tiles {
                let (first, end) = (share(g.channels, tiles, t), share(g.channels, tiles, t + 1));
                let mut rows = [ptr::null(); MAX_ROWS];
                for (r, row) in rows.iter_mut().enumerate() {
                    *row = seen.wrapping_add((first + r).min(end - 1)).cast_const();
                }
                let segment = Segment {
                    rows: rows.as_ptr(),
                    a_step: g.channels,
                    b: slopes.add(col),
                    b_step: g.filters,
                    k: count,
                };
                micro.run(&Tile {
                    segments: &[segment],
                    rows: end - first,
                    cols: micro.nr.min(g.filters - col),
                    padded: false,
                    out: Output {
                        c: sums.add(first * g.filters + col),
                        ldc: g.filters,
                        bias: ptr::null(),
                        scale: Scale::NONE,
                        relu: false,
                        accumulate: !self.is_first,
                    },
                });
            }
        }
    }
}

impl Blocked for WinogradWeights {
    fn rows(&self) -> usize {
        self.parts.rows
    }

    fn cols(&self) -> usize {
        self.parts.cols
    }

    fn bands(&self) -> usize {
        self.parts.bands()
    }

    fn band(&self, row: usize) -> usize {
        self.parts.band(row)
    }

    unsafe fn run(&self, args: &[*const u8], c: *mut f32, end: &Finishing<'_>) {
        let g = &self.g;
        let size = ALL * g.channels * g.filters;
        let mut room = scratch(self.apart * size);
        let call = Call { x: args[0].cast(), dy: args[1].cast(), sums: room.as_mut_ptr() };
        if self.apart > 1 {
            pool::run(self.apart, &|part| {
                let call = &call;
                let chunks = share(self.chunks, self.apart, part)..share(self.chunks, self.apart, part + 1);
                for i in chunks.clone() {
                    let sums = call.sums.wrapping_add(part * size);
                    // SAFETY: the caller vouches for the extents; the sums are those of the part.
                    unsafe { self.chunk(i, sums, i == chunks.start, call, &|n, work| (0..n).for_each(work)) };
                }
            });
        } else {
            for i in 0..self.chunks {
                self.chunk(i, call.sums, i == 0, &call, &|n, work| pool::run(n, work));
            }
        }
        let run = taps(isa());
        let grain = ((1 << 12) / g.filters).max(1);
        self.parts.run(c, end, g.channels.div_ceil(grain), &|_, i, to| {
            for channel in i * grain..((i + 1) * grain).min(g.channels) {
                // SAFETY: each channel has rows of its own in the result.
                unsafe { run(call.sums, to, channel, g.channels, g.filters, self.apart) };
            }
        });
    }
}

per_isa!(
    fn slope(from: &[*const f32; OUT * OUT], to: *mut f32, step: usize, filters: usize) = slope_generic
);
per_isa!(
    fn taps(sums: *const f32, to: *mut f32, c: usize, channels: usize, filters: usize, parts: usize) =
        taps_generic
);

/// One line of `A`: four places to six numbers.
#[inline(always)]
unsafe fn slope_line<S: Simd>([a, b, c, d]: [S::F; OUT]) -> [S::F; IN] {
    let k = |x: f32| S::splat(x);
    let (near, near_odd) = (S::fma(c, k(P2), a), S::fma(d, k(P * P2), S::mul(b, k(P))));
    let (far, far_odd) = (S::fma(c, k(Q2), a), S::fma(d, k(Q * Q2), S::mul(b, k(Q))));
    [a, S::add(near, near_odd), S::sub(near, near_odd), S::add(far, far_odd), S::sub(far, far_odd), d]
}

#[inline(always)]
unsafe fn slope_generic<S: Simd>(from: &[*const f32; OUT * OUT], to: *mut f32, step: usize, filters: usize) {
    for m in (0..filters).step_by(LANES) {
        let rest = (filters - m).min(LANES);
        let load = |p: *const f32| if rest == LANES { S::load(p) } else { S::load_n(p, rest) };
        let mut half = [[S::splat(0.0); OUT]; IN];
        for j in 0..OUT {
            let at = |i: usize| load(from[i * OUT + j].wrapping_add(m));
            let line = slope_line::<S>([at(0), at(1), at(2), at(3)]);
            for i in 0..IN {
                half[i][j] = line[i];
            }
        }
        for (i, half) in half.into_iter().enumerate() {
            for (j, v) in slope_line::<S>(half).into_iter().enumerate() {
                let at = to.add((i * IN + j) * step + m);
                if rest == LANES { S::store(at, v) } else { S::store_n(at, v, rest) }
            }
        }
    }
}

/// One line of `G^T`: six sums to three taps.
#[inline(always)]
unsafe fn taps_line<S: Simd>(u: [S::F; IN]) -> [S::F; 3] {
    let k = |x: f32| S::splat(x);
    let near = S::mul(S::add(u[1], u[2]), k(NEAR_SHARE));
    let far = S::mul(S::add(u[3], u[4]), k(FAR_SHARE));
    let near_odd = S::mul(S::sub(u[1], u[2]), k(NEAR_SHARE * P));
    let far_odd = S::mul(S::sub(u[3], u[4]), k(FAR_SHARE * Q));
    [
        S::add(u[0], S::add(near, far)),
        S::add(near_odd, far_odd),
        S::add(u[5], S::fma(far, k(Q2), S::mul(near, k(P2)))),
    ]
}

#[inline(always)]
unsafe fn taps_generic<S: Simd>(
    sums: *const f32,
    to: *mut f32,
    c: usize,
    channels: usize,
    filters: usize,
    parts: usize,
) {
    let matrix = channels * filters;
    for m in (0..filters).step_by(LANES) {
        let rest = (filters - m).min(LANES);
        let load = |p: *const f32| if rest == LANES { S::load(p) } else { S::load_n(p, rest) };
        let mut half = [[S::splat(0.0); IN]; 3];
        for j in 0..IN {
            let mut column = [S::splat(0.0); IN];
            for i in 0..IN {
                let at = sums.add((i * IN + j) * matrix + c * filters + m);
                column[i] = load(at);
                for part in 1..parts {
                    column[i] = S::add(column[i], load(at.add(part * ALL * matrix)));
                }
            }
            let line = taps_line::<S>(column);
            for i in 0..3 {
                half[i][j] = line[i];
            }
        }
        for (i, half) in half.into_iter().enumerate() {
            for (j, v) in taps_line::<S>(half).into_iter().enumerate() {
                let at = to.add(((i * 3 + j) * channels + c) * filters + m);
                if rest == LANES { S::store(at, v) } else { S::store_n(at, v, rest) }
            }
        }
    }
}
