//! F2. Winograd's F(4x4, 3x3): a tile of 4 x 4 places of a 3 x 3 convolution from 36 products instead
//! of 144 per pair of channels. Input tiles of 6 x 6 are transformed, 36 matrices (tiles, channels)
//! are multiplied by the 36 of the transformed filters, and the products are transformed back.
//!
//! The transforms add and subtract numbers that cancel later, so the largest error is some five times
//! that of the direct way (bounded in tests/ops/test_convolution.py), and an element that is not
//! finite reaches its whole tile.

use super::Geometry;
use super::segments::{Left, Pointers, Right, Run, Runs, block};
use crate::buffer::scratch;
use crate::kernels::gemm::product::PANEL;
use crate::kernels::gemm::tile::Micro;
use crate::kernels::{Blocked, Finishing, Scale};
use crate::per_isa;
use crate::pool;
use crate::simd::{Isa, LANES, Simd, isa};
use std::ops::Range;

/// Places along a side of a tile, elements along a side of what it sees, and their squares.
pub(super) const OUT: usize = 4;
pub(super) const IN: usize = 6;
pub(super) const ALL: usize = IN * IN;
/// Floats of transformed tiles and products that one task may have: they stay in L2.
pub(super) const NEAR: usize = 1 << 18;
/// The same where all threads share a chunk.
pub(super) const FAR: usize = 1 << 22;
/// Filters of up to so many elements stay in L2 beside the tiles of a task.
pub(super) const SMALL: usize = 160 * 160;

/// The points 0, P, -P, Q, -Q and infinity at which the polynomials are taken. Those of Lavin and Gray
/// are 1 and 2; with these the largest error is a quarter as large, and P Q = 1 saves products.
pub(super) const P: f32 = 2.0 / 3.0;
pub(super) const Q: f32 = 1.5;
pub(super) const P2: f32 = 4.0 / 9.0;
pub(super) const Q2: f32 = 2.25;
/// `1 / (2 P^2 (P^2 - Q^2))` and the same with P and Q exchanged.
pub(super) const NEAR_SHARE: f32 = -81.0 / 130.0;
pub(super) const FAR_SHARE: f32 = 8.0 / 65.0;

/// Is a convolution worth transforming? From the problem alone.
#[must_use]
pub fn pays(g: &Geometry) -> bool {
    let [d, h, w] = g.axes;
    let flat = d.input == 1 && d.output == 1 && d.kernel == 1 && d.before == 0;
    let three = |a: &super::Axis| a.kernel == 3 && a.stride == 1 && a.dilation == 1 && a.output >= IN;
    let tiles = g.images * h.output.div_ceil(OUT) * w.output.div_ceil(OUT);
    let many = if g.channels * g.filters > SMALL { 16 } else { 8 };
    flat && g.groups == 1 && three(&h) && three(&w) && g.channels.min(g.filters) >= LANES && tiles >= many
}

/// Floats of the transformed filters of so many channels and filters, on any processor.
#[must_use]
pub fn filter_size(channels: usize, filters: usize) -> usize {
    ALL * channels * filters.next_multiple_of(PANEL)
}

/// Transforms filters (3, 3, channels, filters) into 36 matrices in panels of the micro-kernel.
///
/// # Safety
/// `w` covers the filters, `to` [`filter_size`] floats; the processor has `isa`.
pub unsafe fn transform_filters(isa: Isa, w: *const f32, channels: usize, filters: usize, to: *mut f32) {
    struct Ends(*const f32, *mut f32);
    // SAFETY: the filters are only read, and every channel is written by one thread.
    unsafe impl Sync for Ends {}
    let (ends, kernel, nr) = (Ends(w, to), filter(isa), Micro::of(isa).nr);
    pool::run_range(channels, (1 << 13) / filters.max(1) + 1, &|range| {
        let ends = &ends;
        for c in range {
            // SAFETY: the channel lies inside both.
            unsafe { kernel(ends.0, ends.1, c, channels, filters, nr) };
        }
    });
}

/// `y = conv(x, w)` for x and w, or for x and transformed filters.
#[derive(Debug)]
pub struct Winograd {
    g: Geometry,
    /// The second operand is transformed already.
    transformed: bool,
    /// Tiles along each axis.
    high: usize,
    wide: usize,
    /// Rows of tiles in a chunk.
    rows: usize,
    runs: Runs,
}

/// Work that is shared out to all threads, or done by the one that has the chunk.
type Share<'a> = &'a dyn Fn(usize, &(dyn Fn(usize) + Sync));

impl Winograd {
    /// For operands of these sizes, which pay.
    #[must_use]
    pub fn new(g: Geometry, transformed: bool) -> Winograd {
        let [_, h, w] = g.axes;
        let (high, wide) = (h.output.div_ceil(OUT), w.output.div_ceil(OUT));
        let row = ALL * wide * (g.channels + g.filters);
        let room = if g.channels * g.filters > SMALL { FAR } else { NEAR };
        let rows = (room / row).clamp(1, g.images * high);
        let runs = Runs::new([Run { at: 0, b: 0, k: g.channels }]);
        Winograd { g, transformed, high, wide, rows, runs }
    }

    /// Is a chunk one thread's?
    fn is_near(&self) -> bool {
        self.g.channels * self.g.filters <= SMALL
    }

    /// Rows `rows` of tiles.
    unsafe fn chunk(&self, rows: Range<usize>, call: &Call<'_>, share: Share<'_>) {
        let g = &self.g;
        let count = rows.len() * self.wide;
        // Not a multiple of a page from matrix to matrix: they would fall into few sets of the cache.
        let (v_step, p_step) = (count * g.channels + LANES, count * g.filters + LANES);
        let mut seen = scratch(ALL * v_step + g.channels.next_multiple_of(LANES));
        let mut products = scratch(ALL * p_step);
        let here = Chunk {
            call,
            rows: rows.clone(),
            seen: seen.as_mut_ptr(),
            zeros: seen.as_mut_ptr().add(ALL * v_step),
            products: products.as_mut_ptr(),
            v_step,
            p_step,
        };
        here.zeros.write_bytes(0, g.channels.next_multiple_of(LANES));
        // SAFETY: the pieces of each phase are apart, and phases follow each other.
        share(rows.len(), &|row| unsafe { here.transform(row) });
        let micro = Micro::of(isa());
        // SAFETY: as above; what is multiplied was transformed by the phase before.
        share(ALL, &|i| unsafe { here.multiply(micro, i, count) });
        // SAFETY: as above; the products are whole, and each row writes its own outputs.
        share(rows.len(), &|row| unsafe { here.finish(row) });
    }
}

/// Operands and result of a call.
struct Call<'a> {
    kernel: &'a Winograd,
    x: *const f32,
    filters: *const f32,
    c: *mut f32,
    end: &'a Finishing<'a>,
}

// SAFETY: operands are only read, and chunks write disjoint lines.
unsafe impl Sync for Call<'_> {}

/// Tiles that are worked on together.
struct Chunk<'a> {
    call: &'a Call<'a>,
    rows: Range<usize>,
    seen: *mut f32,
    zeros: *mut f32,
    products: *mut f32,
    v_step: usize,
    p_step: usize,
}

// SAFETY: the pieces of a phase write disjoint memory.
unsafe impl Sync for Chunk<'_> {}

impl Chunk<'_> {
    /// Transforms what a row of tiles sees.
    unsafe fn transform(&self, row: usize) {
        let kernel = self.call.kernel;
        let to = self.seen.add(row * kernel.wide * kernel.g.channels);
        see(&kernel.g, self.call.x, self.rows.start + row, self.zeros, to, self.v_step);
    }

    /// One of the 36 products.
    unsafe fn multiply(&self, micro: &Micro, i: usize, count: usize) {
        let kernel = self.call.kernel;
        let g = &kernel.g;
        let mut rows = Pointers::new(count);
        let rows = std::slice::from_raw_parts_mut(rows.as_mut_ptr(), count);
        for (t, row) in rows.iter_mut().enumerate() {
            *row = self.seen.wrapping_add(i * self.v_step + t * g.channels).cast_const();
        }
        let at = i * g.channels * g.filters.next_multiple_of(PANEL);
        let b = Right::panels(self.call.filters.wrapping_add(at), g.channels, micro.nr);
        let c = self.products.add(i * self.p_step);
        block(
            micro,
            &kernel.runs,
            rows,
            b,
            0..g.filters,
            Left { c, ldc: g.filters, bias: std::ptr::null(), scale: Scale::NONE, relu: false },
        );
    }

    /// Transforms the products of a row of tiles into lines of places.
    unsafe fn finish(&self, row: usize) {
        let (kernel, end) = (self.call.kernel, self.call.end);
        let g = &kernel.g;
        let [_, h, w] = g.axes;
        let (image, down) = ((self.rows.start + row) / kernel.high, (self.rows.start + row) % kernel.high);
        let lines = OUT.min(h.output - down * OUT);
        let place = (image * h.output + down * OUT) * w.output;
        let mut room = self.call.c.is_null().then(|| scratch(lines * w.output * g.filters));
        let c = match &mut room {
            Some(room) => room.as_mut_ptr(),
            None => self.call.c.add(place * g.filters),
        };
        let run = output(isa());
        for across in 0..kernel.wide {
            let from = self.products.add((row * kernel.wide + across) * g.filters);
            let some = OUT.min(w.output - across * OUT);
            let to = Places {
                c: c.add(across * OUT * g.filters),
                line: w.output * g.filters,
                lines,
                some,
                bias: end.bias,
                scale: end.scale,
                relu: end.relu,
            };
            run(from, self.p_step, g.filters, &to);
        }
        if let Some(epilogue) = end.epilogue {
            epilogue.apply(place, lines * w.output, 0, g.filters, c, g.filters);
        }
    }
}

/// Transforms what row `row` of tiles (counted through all images) sees of x; `zeros` covers the
/// channels, matrices of `to` are `step` floats apart.
pub(super) unsafe fn see(
    g: &Geometry,
    x: *const f32,
    row: usize,
    zeros: *const f32,
    to: *mut f32,
    step: usize,
) {
    let [_, h, w] = g.axes;
    let (high, wide) = (h.output.div_ceil(OUT), w.output.div_ceil(OUT));
    let (image, down) = (row / high, row % high);
    let run = input(isa());
    for across in 0..wide {
        let mut from = [zeros; ALL];
        for i in 0..IN {
            let y = (down * OUT + i).checked_sub(h.before).filter(|&y| y < h.input);
            let Some(y) = y else { continue };
            for j in 0..IN {
                if let Some(at) = (across * OUT + j).checked_sub(w.before).filter(|&at| at < w.input) {
                    from[i * IN + j] = x.add(((image * h.input + y) * w.input + at) * g.channels);
                }
            }
        }
        run(&from, to.add(across * g.channels), step, g.channels);
    }
}

impl Blocked for Winograd {
    fn rows(&self) -> usize {
        self.g.places()
    }

    fn cols(&self) -> usize {
        self.g.filters
    }

    fn bands(&self) -> usize {
        self.g.images * self.high
    }

    fn band(&self, row: usize) -> usize {
        let [_, h, w] = self.g.axes;
        let line = row / w.output;
        line / h.output * self.high + line % h.output / OUT
    }

    fn scales(&self) -> bool {
        true
    }

    unsafe fn run(&self, args: &[*const u8], c: *mut f32, end: &Finishing<'_>) {
        let g = &self.g;
        let mut room = (!self.transformed).then(|| scratch(filter_size(g.channels, g.filters)));
        let filters = match &mut room {
            Some(room) => {
                transform_filters(isa(), args[1].cast(), g.channels, g.filters, room.as_mut_ptr());
                room.as_mut_ptr().cast_const()
            }
            None => args[1].cast(),
        };
        let call = Call { kernel: self, x: args[0].cast(), filters, c, end };
        let all = g.images * self.high;
        let chunk = |i: usize| i * self.rows..((i + 1) * self.rows).min(all);
        if self.is_near() {
            pool::run(all.div_ceil(self.rows), &|i| {
                let call = &call;
                // SAFETY: the caller vouches for the extents; chunks write disjoint lines.
                unsafe { self.chunk(chunk(i), call, &|n, work| (0..n).for_each(work)) };
            });
        } else {
            for i in 0..all.div_ceil(self.rows) {
                self.chunk(chunk(i), &call, &|n, work| pool::run(n, work));
            }
        }
    }
}

/// Where a tile of places goes.
struct Places {
    c: *mut f32,
    /// Floats from line to line.
    line: usize,
    lines: usize,
    /// Places of a line.
    some: usize,
    bias: *const f32,
    scale: Scale,
    relu: bool,
}

per_isa!(
    fn filter(w: *const f32, to: *mut f32, c: usize, channels: usize, filters: usize, nr: usize) = filter_generic
);
per_isa!(
    fn input(from: &[*const f32; ALL], to: *mut f32, step: usize, channels: usize) = input_generic
);
per_isa!(
    fn output(from: *const f32, step: usize, filters: usize, to: &Places) = output_generic
);

/// One line of `G`: three taps to six numbers.
#[inline(always)]
unsafe fn filter_line<S: Simd>([a, b, c]: [S::F; 3]) -> [S::F; IN] {
    let k = |x: f32| S::splat(x);
    let (near, near_odd) = (S::mul(S::fma(c, k(P2), a), k(NEAR_SHARE)), S::mul(b, k(NEAR_SHARE * P)));
    let (far, far_odd) = (S::mul(S::fma(c, k(Q2), a), k(FAR_SHARE)), S::mul(b, k(FAR_SHARE * Q)));
    [a, S::add(near, near_odd), S::sub(near, near_odd), S::add(far, far_odd), S::sub(far, far_odd), c]
}

#[inline(always)]
unsafe fn filter_generic<S: Simd>(
    w: *const f32,
    to: *mut f32,
    c: usize,
    channels: usize,
    filters: usize,
    nr: usize,
) {
    let matrix = channels * filters.next_multiple_of(PANEL);
    for m in (0..filters).step_by(LANES) {
        let rest = (filters - m).min(LANES);
        let load = |p: *const f32| if rest == LANES { S::load(p) } else { S::load_n(p, rest) };
        let mut half = [[S::splat(0.0); 3]; IN];
        for j in 0..3 {
            let tap = |i: usize| load(w.add(((i * 3 + j) * channels + c) * filters + m));
            let line = filter_line::<S>([tap(0), tap(1), tap(2)]);
            for i in 0..IN {
                half[i][j] = line[i];
            }
        }
        let at = to.add((m / nr * channels + c) * nr + m % nr);
        for (i, half) in half.into_iter().enumerate() {
            let line = filter_line::<S>(half);
            for (j, v) in line.into_iter().enumerate() {
                S::store(at.add((i * IN + j) * matrix), v);
            }
        }
    }
}

/// One line of `B^T`.
#[inline(always)]
unsafe fn input_line<S: Simd>(d: [S::F; IN]) -> [S::F; IN] {
    let k = |x: f32| S::splat(x);
    let (near, near_odd) = (S::fnma(d[2], k(Q2), d[4]), S::mul(S::fnma(d[1], k(Q2), d[3]), k(P)));
    let (far, far_odd) = (S::fnma(d[2], k(P2), d[4]), S::mul(S::fnma(d[1], k(P2), d[3]), k(Q)));
    [
        S::add(d[0], S::fnma(d[2], k(P2 + Q2), d[4])),
        S::add(near, near_odd),
        S::sub(near, near_odd),
        S::add(far, far_odd),
        S::sub(far, far_odd),
        S::add(d[1], S::fnma(d[3], k(P2 + Q2), d[5])),
    ]
}

#[inline(always)]
unsafe fn input_generic<S: Simd>(from: &[*const f32; ALL], to: *mut f32, step: usize, channels: usize) {
    for c in (0..channels).step_by(LANES) {
        let rest = (channels - c).min(LANES);
        let load = |p: *const f32| if rest == LANES { S::load(p) } else { S::load_n(p, rest) };
        let mut half = [[S::splat(0.0); IN]; IN];
        for j in 0..IN {
            let at = |i: usize| load(from[i * IN + j].wrapping_add(c));
            let line = input_line::<S>([at(0), at(1), at(2), at(3), at(4), at(5)]);
            for i in 0..IN {
                half[i][j] = line[i];
            }
        }
        for (i, half) in half.into_iter().enumerate() {
            let line = input_line::<S>(half);
            for (j, v) in line.into_iter().enumerate() {
                let at = to.add((i * IN + j) * step + c);
                if rest == LANES { S::store(at, v) } else { S::store_n(at, v, rest) }
            }
        }
    }
}

/// One line of `A^T`.
#[inline(always)]
unsafe fn output_line<S: Simd>(m: [S::F; IN]) -> [S::F; OUT] {
    let k = |x: f32| S::splat(x);
    let (near, near_odd) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
    let (far, far_odd) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
    [
        S::add(m[0], S::add(near, far)),
        S::fma(far_odd, k(Q), S::mul(near_odd, k(P))),
        S::fma(far, k(Q2), S::mul(near, k(P2))),
        S::add(m[5], S::fma(far_odd, k(Q * Q2), S::mul(near_odd, k(P * P2)))),
    ]
}

#[inline(always)]
unsafe fn output_generic<S: Simd>(from: *const f32, step: usize, filters: usize, to: &Places) {
    let floor = S::splat(if to.relu { 0.0 } else { f32::NEG_INFINITY });
    for m in (0..filters).step_by(LANES) {
        let rest = (filters - m).min(LANES);
        let load = |p: *const f32| if rest == LANES { S::load(p) } else { S::load_n(p, rest) };
        let bias = if to.bias.is_null() { S::splat(0.0) } else { load(to.bias.add(m)) };
        let scale = (!to.scale.is_none()).then(|| to.scale.from(m));
        let scale = scale.map(|at| (load(at.factors), load(at.summands)));
        let mut half = [[S::splat(0.0); IN]; OUT];
        for j in 0..IN {
            let at = |i: usize| load(from.add((i * IN + j) * step + m));
            let line = output_line::<S>([at(0), at(1), at(2), at(3), at(4), at(5)]);
            for i in 0..OUT {
                half[i][j] = line[i];
            }
        }
        for (i, half) in half.into_iter().enumerate().take(to.lines) {
            let line = output_line::<S>(half);
            for (j, v) in line.into_iter().enumerate().take(to.some) {
                let v = S::add(v, bias);
                let v = scale.map_or(v, |(factor, summand)| S::fma(v, factor, summand));
                // NaN must be the second operand of `max` to survive.
                let v = S::max(floor, v);
                let at = to.c.add(i * to.line + j * filters + m);
                if rest == LANES { S::store(at, v) } else { S::store_n(at, v, rest) }
            }
        }
    }
}
