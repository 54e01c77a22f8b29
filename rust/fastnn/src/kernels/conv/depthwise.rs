//! F2. Convolutions with one filter per channel: vectors over channels, no sums across them.

use super::lines::Cut;
use super::segments::share;
use super::weight_grad::{Parts, finish_rows};
use super::{Axis, Geometry};
use crate::buffer::scratch;
use crate::kernels::{Blocked, Finishing};
use crate::per_isa;
use crate::pool;
use crate::simd::{LANES, Simd, isa};
use smallvec::SmallVec;
use std::ops::Range;

/// Elements of a block.
const BLOCK: usize = 1 << 14;
/// Multiply-adds that are worth a task of their own.
const TASK: usize = 1 << 18;
const MAX_PARTS: usize = 16;

/// A row of the kernel with the line that it sees.
type Rows = SmallVec<[(*const f32, *const f32); 16]>;

/// A line of x or y with the lines that are summed into it.
struct Line<'a> {
    /// Lines of the operand, with the row of taps of each.
    rows: &'a Rows,
    axis: &'a Axis,
    channels: usize,
    along: Range<usize>,
    to: *mut f32,
    ld: usize,
}

/// `y = conv(x, w)` with one filter per channel.
#[derive(Debug)]
pub struct Forward {
    g: Geometry,
    cut: Cut,
}

/// `dx` for dy, w.
#[derive(Debug)]
pub struct InputGrad {
    g: Geometry,
    cut: Cut,
}

/// `dw` for x, dy.
#[derive(Debug)]
pub struct WeightGrad {
    g: Geometry,
    cut: Cut,
    parts: Parts,
}

impl Forward {
    /// For operands of these sizes.
    #[must_use]
    pub fn new(g: Geometry) -> Forward {
        let [d, h, w] = g.axes;
        let cut = Cut::new(g.images * d.output * h.output, w.output, BLOCK / g.groups);
        Forward { g, cut }
    }
}

impl InputGrad {
    /// For operands of these sizes.
    #[must_use]
    pub fn new(g: Geometry) -> InputGrad {
        let [d, h, w] = g.axes;
        let cut = Cut::new(g.images * d.input * h.input, w.input, BLOCK / g.groups);
        InputGrad { g, cut }
    }
}

/// Which line of the result, and the kernel that makes it.
struct Job<'a> {
    g: &'a Geometry,
    cut: &'a Cut,
    /// Lines of the result: depths and heights.
    sizes: [usize; 2],
    operands: [*const f32; 2],
    c: *mut f32,
    end: &'a Finishing<'a>,
    /// The line of the operand that a row of the kernel sees from a line of the result.
    sees: fn(&Axis, usize, usize) -> Option<usize>,
    /// Lines of the operand: depths, heights, elements.
    other: [usize; 3],
    kernel: unsafe fn(&Line<'_>),
}

// SAFETY: operands are only read, and tasks write disjoint lines.
unsafe impl Sync for Job<'_> {}

impl Job<'_> {
    unsafe fn task(&self, i: usize) {
        let g = self.g;
        let [d, h, w] = g.axes;
        let channels = g.groups;
        let task = self.cut.task(i);
        let (place, count) = task.places(self.cut.line);
        let mut room = self.c.is_null().then(|| scratch(count * channels));
        let c = room.as_mut().map_or_else(|| self.c.add(place * channels), |room| room.as_mut_ptr());
        for (l, line) in task.lines.clone().enumerate() {
            let (slab, row) = (line / self.sizes[1], line % self.sizes[1]);
            let (image, depth) = (slab / self.sizes[0], slab % self.sizes[0]);
            let mut rows = Rows::new();
            for a in 0..d.kernel {
                for b in 0..h.kernel {
                    if let (Some(z), Some(y)) = ((self.sees)(&d, depth, a), (self.sees)(&h, row, b)) {
                        let line = (image * self.other[0] + z) * self.other[1] + y;
                        rows.push((
                            self.operands[0].add(line * self.other[2] * channels),
                            self.operands[1].add((a * h.kernel + b) * w.kernel * channels),
                        ));
                    }
                }
            }
            let to = c.add(l * task.along.len() * channels);
            (self.kernel)(&Line {
                rows: &rows,
                axis: &w,
                channels,
                along: task.along.clone(),
                to,
                ld: channels,
            });
        }
        finish_rows(c, count, channels, channels, self.end);
        if let Some(epilogue) = self.end.epilogue {
            epilogue.apply(place, count, 0, channels, c, channels);
        }
    }

    fn run(&self) {
        // SAFETY: the caller of `Blocked::run` vouches for the extents.
        pool::run(self.cut.tasks(), &|i| unsafe { self.task(i) });
    }
}

impl Blocked for Forward {
    fn rows(&self) -> usize {
        self.g.places()
    }

    fn cols(&self) -> usize {
        self.g.groups
    }

    fn bands(&self) -> usize {
        self.cut.tasks()
    }

    fn band(&self, row: usize) -> usize {
        self.cut.task_at(row)
    }

    unsafe fn run(&self, args: &[*const u8], c: *mut f32, end: &Finishing<'_>) {
        let [d, h, w] = self.g.axes;
        if self.rows() > 0 {
            Job {
                g: &self.g,
                cut: &self.cut,
                sizes: [d.output, h.output],
                operands: [args[0].cast(), args[1].cast()],
                c,
                end,
                sees: |axis, place, tap| axis.seen(place, tap),
                other: [d.input, h.input, w.input],
                kernel: forward(isa()),
            }
            .run();
        }
    }
}

impl Blocked for InputGrad {
    fn rows(&self) -> usize {
        self.g.elements()
    }

    fn cols(&self) -> usize {
        self.g.groups
    }

    fn bands(&self) -> usize {
        self.cut.tasks()
    }

    fn band(&self, row: usize) -> usize {
        self.cut.task_at(row)
    }

    unsafe fn run(&self, args: &[*const u8], c: *mut f32, end: &Finishing<'_>) {
        let [d, h, w] = self.g.axes;
        if self.rows() > 0 {
            Job {
                g: &self.g,
                cut: &self.cut,
                sizes: [d.input, h.input],
                operands: [args[0].cast(), args[1].cast()],
                c,
                end,
                sees: |axis, element, tap| axis.place(element, tap),
                other: [d.output, h.output, w.output],
                kernel: input_grad(isa()),
            }
            .run();
        }
    }
}

per_isa!(
    fn forward(line: &Line<'_>) = forward_generic
);
per_isa!(
    fn input_grad(line: &Line<'_>) = input_grad_generic
);

/// Neighbours that are computed together: each row of taps is read once for all of them.
const SIDE: usize = 4;

/// Places or elements whose windows lie inside, `SIDE` of them from `to` on.
#[derive(Clone, Copy)]
struct Inside {
    /// Floats from the beginning of a line of the operand to what the first tap of the first one sees.
    at: usize,
    /// Floats from tap to tap, backwards in the backward pass.
    tap: isize,
    /// Floats from neighbour to neighbour.
    next: usize,
    to: *mut f32,
}

#[inline(always)]
unsafe fn inside<S: Simd>(line: &Line<'_>, place: Inside) {
    let n = line.channels;
    for c in (0..n).step_by(LANES) {
        let rest = (n - c).min(LANES);
        let load = |p: *const f32| if rest == LANES { S::load(p) } else { S::load_n(p, rest) };
        let mut sums = [S::splat(0.0); SIDE];
        for &(x, w) in line.rows {
            let (mut x, mut w) = (x.wrapping_add(place.at + c), w.wrapping_add(c));
            for _ in 0..line.axis.kernel {
                let tap = load(w);
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = S::fma(load(x.wrapping_add(i * place.next)), tap, *sum);
                }
                x = x.wrapping_offset(place.tap);
                w = w.wrapping_add(n);
            }
        }
        for (i, sum) in sums.into_iter().enumerate() {
            let to = place.to.add(i * line.ld + c);
            if rest == LANES { S::store(to, sum) } else { S::store_n(to, sum, rest) }
        }
    }
}

#[inline(always)]
unsafe fn forward_generic<S: Simd>(line: &Line<'_>) {
    let (axis, n) = (line.axis, line.channels);
    let span = (axis.kernel - 1) * axis.dilation;
    let mut j = 0;
    while j < line.along.len() {
        let place = line.along.start + j;
        let begin = place * axis.stride;
        let end = begin + (SIDE - 1) * axis.stride + span;
        if j + SIDE <= line.along.len() && begin >= axis.before && end < axis.input + axis.before {
            let to = line.to.add(j * line.ld);
            let (at, tap) = ((begin - axis.before) * n, (axis.dilation * n) as isize);
            inside::<S>(line, Inside { at, tap, next: axis.stride * n, to });
            j += SIDE;
            continue;
        }
        let (first, end) = axis.taps(place);
        // The windows may begin before the line; the taps that do are left out.
        let seen = (begin + first * axis.dilation).saturating_sub(axis.before);
        for c in (0..n).step_by(LANES) {
            let rest = (n - c).min(LANES);
            let load = |p: *const f32| if rest == LANES { S::load(p) } else { S::load_n(p, rest) };
            let mut sum = S::splat(0.0);
            for &(x, w) in line.rows {
                let (mut x, mut w) = (x.wrapping_add(seen * n + c), w.wrapping_add(first * n + c));
                for _ in first..end {
                    sum = S::fma(load(x), load(w), sum);
                    x = x.wrapping_add(axis.dilation * n);
                    w = w.wrapping_add(n);
                }
            }
            let to = line.to.add(j * line.ld + c);
            if rest == LANES { S::store(to, sum) } else { S::store_n(to, sum, rest) }
        }
        j += 1;
    }
}

#[inline(always)]
unsafe fn input_grad_generic<S: Simd>(line: &Line<'_>) {
    let (axis, n) = (line.axis, line.channels);
    let span = (axis.kernel - 1) * axis.dilation;
    let mut taps: SmallVec<[(usize, usize); 16]> = SmallVec::new();
    let mut j = 0;
    while j < line.along.len() {
        let element = line.along.start + j;
        let last = element + axis.before;
        let whole = axis.stride == 1 && last >= span && last + SIDE <= axis.output;
        if whole && j + SIDE <= line.along.len() {
            let to = line.to.add(j * line.ld);
            inside::<S>(line, Inside { at: last * n, tap: -((axis.dilation * n) as isize), next: n, to });
            j += SIDE;
            continue;
        }
        taps.clear();
        taps.extend((0..axis.kernel).filter_map(|tap| Some((axis.place(element, tap)? * n, tap * n))));
        for c in (0..n).step_by(LANES) {
            let rest = (n - c).min(LANES);
            let load = |p: *const f32| if rest == LANES { S::load(p) } else { S::load_n(p, rest) };
            let mut sum = S::splat(0.0);
            for &(dy, w) in line.rows {
                for &(place, tap) in &taps {
                    sum = S::fma(load(dy.add(place + c)), load(w.add(tap + c)), sum);
                }
            }
            let to = line.to.add(j * line.ld + c);
            if rest == LANES { S::store(to, sum) } else { S::store_n(to, sum, rest) }
        }
        j += 1;
    }
}

impl WeightGrad {
    /// For operands of these sizes.
    #[must_use]
    pub fn new(g: Geometry) -> WeightGrad {
        let [d, h, w] = g.axes;
        let cut = Cut::new(g.images * d.output * h.output, w.output, BLOCK / g.groups);
        let work = g.places() * g.taps() * g.groups;
        let count = (work / TASK).clamp(1, MAX_PARTS).min(cut.tasks().max(1));
        WeightGrad { g, cut, parts: Parts::new(g.taps(), g.groups, count) }
    }

    unsafe fn part(&self, part: usize, [x, dy]: [*const f32; 2], to: *mut f32) {
        let g = &self.g;
        let [d, h, w] = g.axes;
        let channels = g.groups;
        to.write_bytes(0, g.taps() * channels);
        let tasks = self.cut.tasks();
        let kernel = weight_grad(isa());
        for i in share(tasks, self.parts.count, part)..share(tasks, self.parts.count, part + 1) {
            let task = self.cut.task(i);
            for line in task.lines.clone() {
                let (slab, row) = (line / h.output, line % h.output);
                let (image, depth) = (slab / d.output, slab % d.output);
                let dy = dy.add((line * w.output + task.along.start) * channels);
                for a in 0..d.kernel {
                    for b in 0..h.kernel {
                        if let (Some(z), Some(y)) = (d.seen(depth, a), h.seen(row, b)) {
                            let x = x.add(((image * d.input + z) * h.input + y) * w.input * channels);
                            let to = to.add((a * h.kernel + b) * w.kernel * channels);
                            kernel(x, dy, to, &w, channels, task.along.start, task.along.end);
                        }
                    }
                }
            }
        }
    }
}

per_isa!(
    fn weight_grad(x: *const f32, dy: *const f32, to: *mut f32, axis: &Axis, n: usize, first: usize, end: usize) =
        weight_grad_generic
);

/// Adds what a row of taps sees of a line, places `first` to `end`; `dy` begins at the first.
#[inline(always)]
unsafe fn weight_grad_generic<S: Simd>(
    x: *const f32,
    dy: *const f32,
    to: *mut f32,
    axis: &Axis,
    n: usize,
    first: usize,
    end: usize,
) {
    for tap in 0..axis.kernel {
        // The places at which the tap is inside.
        let shift = tap * axis.dilation;
        let low = axis.before.saturating_sub(shift).div_ceil(axis.stride).max(first);
        let high = (axis.input + axis.before).saturating_sub(shift).div_ceil(axis.stride).min(end);
        if low >= high {
            continue;
        }
        let (x, dy) = (x.add((low * axis.stride + shift - axis.before) * n), dy.add((low - first) * n));
        for c in (0..n).step_by(LANES) {
            let rest = (n - c).min(LANES);
            let load = |p: *const f32| if rest == LANES { S::load(p) } else { S::load_n(p, rest) };
            let mut sum = S::splat(0.0);
            for i in 0..high - low {
                sum = S::fma(load(x.add(i * axis.stride * n + c)), load(dy.add(i * n + c)), sum);
            }
            let to = to.add(tap * n + c);
            let sum = S::add(load(to), sum);
            if rest == LANES { S::store(to, sum) } else { S::store_n(to, sum, rest) }
        }
    }
}

impl Blocked for WeightGrad {
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
        let operands: [*const f32; 2] = [args[0].cast(), args[1].cast()];
        // SAFETY: the caller vouches for the extents; every part has a matrix of its own.
        self.parts.run(c, end, 1, &|part, _, to| unsafe { self.part(part, operands, to) });
    }
}
