//! F2. Pooling over up to three spatial axes, channels last: vectors over channels, a line of places
//! (or, in the backward pass, of elements) at a time. The backward pass gathers: each element looks at the
//! windows that see it, so no two threads write one place.

use super::conv::Axis;
use crate::per_isa;
use crate::pool;
use crate::simd::{Isa, LANES, Simd};
use smallvec::SmallVec;

/// Multiply-adds (here: comparisons) that are worth a task of their own.
const GRAIN: usize = 1 << 15;

/// Windows over images (images, three sizes, channels).
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    /// The batch.
    pub images: usize,
    /// Channels.
    pub channels: usize,
    /// Depth, height, width.
    pub axes: [Axis; 3],
    /// Averages divide by the window's size, not by the elements that it sees.
    pub whole: bool,
}

/// Memory of a call; what a kernel does not read or write is null.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// The operand.
    pub from: *const f32,
    /// Which element of the window was chosen, one number per place and channel.
    pub read: *const i32,
    /// The result.
    pub to: *mut f32,
    /// Where the numbers of chosen elements go.
    pub chosen: *mut i32,
}

// SAFETY: threads read shared operands and write disjoint lines.
unsafe impl Sync for Ends {}

/// A kernel for a line of results.
type Kernel = fn(Isa) -> unsafe fn(&Pool, &Ends, usize);

impl Pool {
    unsafe fn run(&self, isa: Isa, ends: &Ends, sizes: [usize; 3], kernel: Kernel) {
        let lines = self.images * sizes[0] * sizes[1];
        let taps: usize = self.axes.iter().map(|a| a.kernel.div_ceil(a.stride)).product();
        let work = sizes[2] * self.channels * taps;
        let kernel = kernel(isa);
        if work == 0 {
            return;
        }
        pool::run_range(lines, (GRAIN / work).max(1), &|range| {
            let ends = &ends;
            for line in range {
                // SAFETY: the caller vouches for the extents; every line is one thread's.
                unsafe { kernel(self, ends, line) };
            }
        });
    }

    fn places(&self) -> [usize; 3] {
        self.axes.map(|a| a.output)
    }

    fn elements(&self) -> [usize; 3] {
        self.axes.map(|a| a.input)
    }

    /// The rows of elements that a line of places sees: where each begins, and the number of its
    /// first element in the window.
    fn seen(&self, line: usize) -> SmallVec<[(usize, usize); 16]> {
        let [d, h, w] = self.axes;
        let (slab, row) = (line / h.output, line % h.output);
        let (image, depth) = (slab / d.output, slab % d.output);
        let mut rows = SmallVec::new();
        for a in 0..d.kernel {
            for b in 0..h.kernel {
                if let (Some(z), Some(y)) = (d.seen(depth, a), h.seen(row, b)) {
                    let line = (image * d.input + z) * h.input + y;
                    rows.push((line * w.input * self.channels, (a * h.kernel + b) * w.kernel));
                }
            }
        }
        rows
    }

    /// The lines of places whose windows see a line of elements, with the number of the first element
    /// of the row in the window and how many elements along the first two axes each window sees.
    fn seeing(&self, line: usize) -> SmallVec<[(usize, usize, usize); 16]> {
        let [d, h, w] = self.axes;
        let (slab, row) = (line / h.input, line % h.input);
        let (image, depth) = (slab / d.input, slab % d.input);
        let mut rows = SmallVec::new();
        for a in 0..d.kernel {
            for b in 0..h.kernel {
                if let (Some(z), Some(y)) = (d.place(depth, a), h.place(row, b)) {
                    let line = (image * d.output + z) * h.output + y;
                    let count = self.count(&d, z) * self.count(&h, y);
                    rows.push((line * w.output * self.channels, (a * h.kernel + b) * w.kernel, count));
                }
            }
        }
        rows
    }

    /// What an average is divided by, along one axis.
    fn count(&self, axis: &Axis, place: usize) -> usize {
        let (first, end) = axis.taps(place);
        if self.whole { axis.kernel } else { end - first }
    }
}

/// The largest element of each window, NaN before all, and its number in the window, the first of equals.
///
/// # Safety
/// `from` covers the elements, `to` and `chosen` the places or are null; the processor has `isa`.
pub unsafe fn max(isa: Isa, pool: &Pool, ends: &Ends) {
    pool.run(isa, ends, pool.places(), max_line);
}

/// The element of each window that `read` names, 0 where it names none.
///
/// # Safety
/// `from` covers the elements, `to` and `read` the places; the processor has `isa`.
pub unsafe fn pick(isa: Isa, pool: &Pool, ends: &Ends) {
    pool.run(isa, ends, pool.places(), pick_line);
}

/// For each element the sum over the places where `read` names it.
///
/// # Safety
/// `from` and `read` cover the places, `to` the elements; the processor has `isa`.
pub unsafe fn unpick(isa: Isa, pool: &Pool, ends: &Ends) {
    pool.run(isa, ends, pool.elements(), unpick_line);
}

/// The mean of each window.
///
/// # Safety
/// `from` covers the elements, `to` the places; the processor has `isa`.
pub unsafe fn average(isa: Isa, pool: &Pool, ends: &Ends) {
    pool.run(isa, ends, pool.places(), average_line);
}

/// For each element the sum of its shares of the places that see it.
///
/// # Safety
/// `from` covers the places, `to` the elements; the processor has `isa`.
pub unsafe fn spread(isa: Isa, pool: &Pool, ends: &Ends) {
    pool.run(isa, ends, pool.elements(), spread_line);
}

per_isa!(
    fn max_line(pool: &Pool, ends: &Ends, line: usize) = max_generic
);
per_isa!(
    fn pick_line(pool: &Pool, ends: &Ends, line: usize) = pick_generic
);
per_isa!(
    fn unpick_line(pool: &Pool, ends: &Ends, line: usize) = unpick_generic
);
per_isa!(
    fn average_line(pool: &Pool, ends: &Ends, line: usize) = average_generic
);
per_isa!(
    fn spread_line(pool: &Pool, ends: &Ends, line: usize) = spread_generic
);

#[inline(always)]
unsafe fn load<S: Simd>(p: *const f32, rest: usize) -> S::F {
    if rest == LANES { S::load(p) } else { S::load_n(p, rest) }
}

#[inline(always)]
unsafe fn load_i<S: Simd>(p: *const i32, rest: usize) -> S::I {
    if rest == LANES { S::load_i(p) } else { S::bits(S::load_n(p.cast(), rest)) }
}

#[inline(always)]
unsafe fn store<S: Simd>(p: *mut f32, v: S::F, rest: usize) {
    if rest == LANES { S::store(p, v) } else { S::store_n(p, v, rest) }
}

/// Where the first element that a place sees along the line lies, and its tap.
fn first_seen(axis: &Axis, place: usize) -> (usize, usize, usize) {
    let (first, end) = axis.taps(place);
    ((place * axis.stride + first).saturating_sub(axis.before), first, end)
}

#[inline(always)]
unsafe fn max_generic<S: Simd>(pool: &Pool, ends: &Ends, line: usize) {
    let (rows, w, n) = (pool.seen(line), pool.axes[2], pool.channels);
    for place in 0..w.output {
        let (at, first, end) = first_seen(&w, place);
        let out = (line * w.output + place) * n;
        for c in (0..n).step_by(LANES) {
            let rest = (n - c).min(LANES);
            let mut best = S::splat(f32::NEG_INFINITY);
            let mut chosen = S::splat_i(rows.first().map_or(0, |r| r.1 + first) as i32);
            let mut is_first = true;
            for &(row, number) in &rows {
                let x = ends.from.add(row + at * n + c);
                for tap in first..end {
                    let v = load::<S>(x.add((tap - first) * n), rest);
                    // Larger, or NaN where the best so far is none.
                    let better = S::and_m(S::not_m(S::le(v, best)), S::eq(best, best));
                    best = if is_first { v } else { S::select(better, v, best) };
                    if !is_first {
                        chosen = S::select_i(better, S::splat_i((number + tap) as i32), chosen);
                    }
                    is_first = false;
                }
            }
            if !ends.to.is_null() {
                store::<S>(ends.to.add(out + c), best, rest);
            }
            if !ends.chosen.is_null() {
                store::<S>(ends.chosen.add(out + c).cast(), S::from_bits(chosen), rest);
            }
        }
    }
}

#[inline(always)]
unsafe fn pick_generic<S: Simd>(pool: &Pool, ends: &Ends, line: usize) {
    let (rows, w, n) = (pool.seen(line), pool.axes[2], pool.channels);
    for place in 0..w.output {
        let (at, first, end) = first_seen(&w, place);
        let out = (line * w.output + place) * n;
        for c in (0..n).step_by(LANES) {
            let rest = (n - c).min(LANES);
            let wanted = load_i::<S>(ends.read.add(out + c), rest);
            let mut found = S::splat(0.0);
            for &(row, number) in &rows {
                let x = ends.from.add(row + at * n + c);
                for tap in first..end {
                    let is_it = S::eq_i(wanted, S::splat_i((number + tap) as i32));
                    found = S::select(is_it, load::<S>(x.add((tap - first) * n), rest), found);
                }
            }
            store::<S>(ends.to.add(out + c), found, rest);
        }
    }
}

#[inline(always)]
unsafe fn unpick_generic<S: Simd>(pool: &Pool, ends: &Ends, line: usize) {
    let (rows, w, n) = (pool.seeing(line), pool.axes[2], pool.channels);
    let mut taps: SmallVec<[(usize, usize); 16]> = SmallVec::new();
    for element in 0..w.input {
        taps.clear();
        taps.extend((0..w.kernel).filter_map(|tap| Some((w.place(element, tap)? * n, tap))));
        let out = (line * w.input + element) * n;
        for c in (0..n).step_by(LANES) {
            let rest = (n - c).min(LANES);
            let mut sum = S::splat(0.0);
            for &(row, number, _) in &rows {
                for &(place, tap) in &taps {
                    let at = row + place + c;
                    let is_it =
                        S::eq_i(load_i::<S>(ends.read.add(at), rest), S::splat_i((number + tap) as i32));
                    let v = load::<S>(ends.from.add(at), rest);
                    sum = S::add(sum, S::select(is_it, v, S::splat(0.0)));
                }
            }
            store::<S>(ends.to.add(out + c), sum, rest);
        }
    }
}

#[inline(always)]
unsafe fn average_generic<S: Simd>(pool: &Pool, ends: &Ends, line: usize) {
    let (rows, [_, _, w], n) = (pool.seen(line), pool.axes, pool.channels);
    let high = if pool.whole { pool.axes[0].kernel * pool.axes[1].kernel } else { rows.len() };
    for place in 0..w.output {
        let (at, first, end) = first_seen(&w, place);
        let count = S::splat((high * pool.count(&w, place)) as f32);
        let out = (line * w.output + place) * n;
        for c in (0..n).step_by(LANES) {
            let rest = (n - c).min(LANES);
            let mut sum = S::splat(0.0);
            for &(row, _) in &rows {
                let x = ends.from.add(row + at * n + c);
                for tap in first..end {
                    sum = S::add(sum, load::<S>(x.add((tap - first) * n), rest));
                }
            }
            store::<S>(ends.to.add(out + c), S::div(sum, count), rest);
        }
    }
}

#[inline(always)]
unsafe fn spread_generic<S: Simd>(pool: &Pool, ends: &Ends, line: usize) {
    let (rows, w, n) = (pool.seeing(line), pool.axes[2], pool.channels);
    let mut taps: SmallVec<[(usize, usize); 16]> = SmallVec::new();
    for element in 0..w.input {
        taps.clear();
        taps.extend(
            (0..w.kernel).filter_map(|tap| w.place(element, tap)).map(|p| (p * n, pool.count(&w, p))),
        );
        let out = (line * w.input + element) * n;
        for c in (0..n).step_by(LANES) {
            let rest = (n - c).min(LANES);
            let mut sum = S::splat(0.0);
            for &(row, _, high) in &rows {
                for &(place, wide) in &taps {
                    let count = S::splat((high * wide) as f32);
                    sum = S::add(sum, S::div(load::<S>(ends.from.add(row + place + c), rest), count));
                }
            }
            store::<S>(ends.to.add(out + c), sum, rest);
        }
    }
}
