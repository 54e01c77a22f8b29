//! F2. The gradient of a convolution by its weights: taps and channels by filters. A tile's rows are
//! any six of the shifts of x, its sums run over places, one stretch per line. Where there are few
//! weights the lines are shared out, in as many parts as the problem says, and the parts are added
//! in order.

use super::Geometry;
use super::forward::is_product;
use super::lines::{Band, Cut, Source};
use super::segments::{Pointers, share};
use crate::buffer::scratch;
use crate::kernels::gemm::KC;
use crate::kernels::gemm::tile::{MAX_ROWS, Micro, Output, Segment, Tile};
use crate::kernels::{Blocked, Finishing, Scale};
use crate::per_isa;
use crate::pool;
use crate::simd::{LANES, Simd, isa};
use std::ops::Range;
use std::ptr;

/// Multiply-adds that are worth a task of their own.
const TASK: usize = 1 << 21;
const MAX_TASKS: usize = 32;
/// From so many weights on, these are shared out, not the lines.
const MANY: usize = 1 << 17;
const MAX_PARTS: usize = 8;
/// A panel of dy that more tiles than these read is packed.
const FEW_TILES: usize = 8;

/// `dw` for x, dy.
#[derive(Debug)]
pub struct WeightGrad {
    g: Geometry,
    cut: Cut,
    band: Band,
    /// Floats from a window's first element to what each row sees.
    offsets: Vec<usize>,
    parts: Parts,
    /// Rows of a task.
    rows: usize,
}

impl WeightGrad {
    /// For operands of these sizes.
    #[must_use]
    pub fn new(g: Geometry) -> WeightGrad {
        // The lines of a product lie behind each other: they are one.
        let mut g = g;
        if is_product(&g) {
            let places = g.places();
            g.images = 1;
            g.axes[0] = super::Axis { input: 1, output: 1, ..g.axes[0] };
            g.axes[1] = g.axes[0];
            g.axes[2] = super::Axis { input: places, output: places, ..g.axes[0] };
        }
        let [d, h, w] = g.axes;
        let cut = Cut::new(g.images * d.output * h.output, w.output, KC);
        let band = Band::new(&g, &cut);
        let rows = g.taps() * g.channels;
        let cols = g.groups * g.filters;
        let mut offsets = Vec::with_capacity(rows);
        for tap in 0..g.taps() {
            let at = [tap / (h.kernel * w.kernel), tap / w.kernel % h.kernel, tap % w.kernel];
            offsets.extend((0..g.channels).map(|c| band.tap(&g, at) + c));
        }
        let work = rows * cols * g.places();
        let wanted = (work / TASK).clamp(1, MAX_TASKS).div_ceil(g.groups);
        let mr = Micro::of(isa()).mr;
        let (parts, blocks) = if rows * cols >= MANY || wanted == 1 {
            (1, wanted.min(rows.div_ceil(mr)))
        } else {
            (wanted.min(MAX_PARTS).min(cut.tasks().max(1)), 1)
        };
        let rows_of_task = rows.div_ceil(blocks.max(1)).next_multiple_of(mr).max(1);
        WeightGrad { g, cut, band, offsets, parts: Parts::new(rows, cols, parts), rows: rows_of_task }
    }

    /// Rows `rows` of a group's weights, summed over the lines of a part.
    unsafe fn task(
        &self,
        part: usize,
        group: usize,
        rows: Range<usize>,
        [x, dy]: [*const f32; 2],
        c: *mut f32,
    ) {
        let g = &self.g;
        let w = g.axes[2];
        let filters = g.groups * g.filters;
        let micro = Micro::of(isa());
        let slices = share(self.cut.tasks(), self.parts.count, part)
            ..share(self.cut.tasks(), self.parts.count, part + 1);
        let c = c.add(rows.start * filters + group * g.filters);
        if slices.is_empty() {
            for r in 0..rows.len() {
                c.add(r * filters).write_bytes(0, g.filters);
            }
            return;
        }
        let from =
            Source { x, channels: g.groups * g.channels, first: group * g.channels, count: g.channels };
        let most = self.cut.most_lines();
        let mut copy = scratch(self.band.room());
        let mut bases = Pointers::new(most);
        let mut table = Pointers::new(most * MAX_ROWS);
        let (bases, table) = (bases.as_mut_ptr(), table.as_mut_ptr());
        let mut segments: Vec<Segment> = Vec::with_capacity(most);
        let tiles = rows.len().div_ceil(micro.mr);
        let offsets = &self.offsets[rows.start..rows.end];
        let most = self.cut.task(0).places(w.output).1;
        let panels = g.filters.div_ceil(micro.nr);
        let mut near = (panels > 1 && tiles > FEW_TILES)
            .then(|| (scratch(most * micro.mr), scratch(panels * most * micro.nr)));
        for slice in slices.clone() {
            let task = self.cut.task(slice);
            let mut lines = 0;
            self.band.lines(g, &from, &task, copy.as_mut_ptr(), |line| {
                *bases.add(lines) = line;
                lines += 1;
            });
            let (first, count) = task.places(w.output);
            let dy = dy.add(first * filters + group * g.filters);
            let out = |first: usize, col: usize| Output {
                c: c.add(first * filters + col),
                ldc: filters,
                bias: ptr::null(),
                scale: Scale::NONE,
                relu: false,
                accumulate: slice > slices.start,
            };
            let step = w.stride * self.band.steps[2];
            if let Some((a, b)) = &mut near {
                // Many tiles read dy and several panels what a tile sees: both are laid out as the
                // micro-kernel reads them, one stretch for all lines.
                let (a, b) = (a.as_mut_ptr(), b.as_mut_ptr());
                for panel in 0..panels {
                    let cols = micro.nr.min(g.filters - panel * micro.nr);
                    for p in 0..count {
                        let to = b.add((panel * count + p) * micro.nr);
                        to.copy_from_nonoverlapping(dy.add(p * filters + panel * micro.nr), cols);
                    }
                }
                for t in 0..tiles {
                    let (first, end) = (share(rows.len(), tiles, t), share(rows.len(), tiles, t + 1));
                    let n = end - first;
                    let mut to = a;
                    for l in 0..lines {
                        let line = (*bases.add(l)).wrapping_add(offsets[first]);
                        let together = offsets[end - 1] - offsets[first] == n - 1;
                        if together && n == MAX_ROWS {
                            for j in 0..task.along.len() {
                                let six = line.wrapping_add(j * step).cast::<[f32; MAX_ROWS]>();
                                to.add(j * n).cast::<[f32; MAX_ROWS]>().write(six.read());
                            }
                        } else {
                            for j in 0..task.along.len() {
                                for i in 0..n {
                                    let at = offsets[first + i] - offsets[first] + j * step;
                                    to.add(j * n + i).write(line.wrapping_add(at).read());
                                }
                            }
                        }
                        to = to.add(task.along.len() * n);
                    }
                    let mut columns = [ptr::null(); MAX_ROWS];
                    for (i, column) in columns.iter_mut().enumerate() {
                        *column = a.add(i.min(n - 1)).cast_const();
                    }
                    for panel in 0..panels {
                        let segment = Segment {
                            rows: columns.as_ptr(),
                            a_step: n,
                            b: b.add(panel * count * micro.nr),
                            b_step: micro.nr,
                            k: count,
                        };
                        micro.run(&Tile {
                            segments: &[segment],
                            rows: n,
                            cols: micro.nr.min(g.filters - panel * micro.nr),
                            padded: true,
                            out: out(first, panel * micro.nr),
                        });
                    }
                }
                continue;
            }
            for col in (0..g.filters).step_by(micro.nr) {
                segments.clear();
                for l in 0..lines {
                    segments.push(Segment {
                        rows: table.add(l * MAX_ROWS),
                        a_step: step,
                        b: dy.add(l * task.along.len() * filters + col),
                        b_step: filters,
                        k: task.along.len(),
                    });
                }
                for t in 0..tiles {
                    let (first, end) = (share(rows.len(), tiles, t), share(rows.len(), tiles, t + 1));
                    for l in 0..lines {
                        let line = *bases.add(l);
                        for i in 0..MAX_ROWS {
                            *table.add(l * MAX_ROWS + i) =
                                line.wrapping_add(offsets[(first + i).min(end - 1)]);
                        }
                    }
                    micro.run(&Tile {
                        segments: &segments,
                        rows: end - first,
                        cols: micro.nr.min(g.filters - col),
                        padded: false,
                        out: out(first, col),
                    });
                }
            }
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
        let blocks = self.parts.rows.div_ceil(self.rows);
        let groups = self.g.groups;
        self.parts.run(c, end, blocks * groups, &|part, i, c| {
            let first = i / groups * self.rows;
            let rows = first..(first + self.rows).min(self.parts.rows);
            // SAFETY: the caller vouches for the extents; tasks write disjoint rows and columns.
            unsafe { self.task(part, i % groups, rows, operands, c) };
        });
    }
}

/// A matrix as the sum of several, each over a part of what is summed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) count: usize,
    /// Rows that are finished at a time.
    band: usize,
}

struct Shared<'a> {
    c: *mut f32,
    parts: *mut f32,
    end: &'a Finishing<'a>,
}

// SAFETY: tasks write disjoint elements.
unsafe impl Sync for Shared<'_> {}

impl Parts {
    pub(super) fn new(rows: usize, cols: usize, count: usize) -> Parts {
        Parts { rows, cols, count: count.max(1), band: ((1 << 14) / cols.max(1)).max(1) }
    }

    pub(super) fn bands(&self) -> usize {
        self.rows.div_ceil(self.band)
    }

    pub(super) fn band(&self, row: usize) -> usize {
        row / self.band
    }

    /// Calls `task(part, i, matrix)` for each part and each `i` below `tasks`: together they write the
    /// matrix of the part. Then adds the matrices in order and finishes the sum.
    pub(super) unsafe fn run(
        &self,
        c: *mut f32,
        end: &Finishing<'_>,
        tasks: usize,
        task: &dyn Fn(usize, usize, *mut f32),
    ) {
        let size = self.rows * self.cols;
        if size == 0 {
            return;
        }
        let apart = self.count > 1 || c.is_null();
        let mut room = apart.then(|| scratch(self.count * size));
        let parts = room.as_mut().map_or(c, |room| room.as_mut_ptr());
        let shared = Shared { c, parts, end };
        struct Task<'a>(&'a dyn Fn(usize, usize, *mut f32));
        // SAFETY: the kernels that call this read shared operands and write the rows that they are given.
        unsafe impl Sync for Task<'_> {}
        let task = Task(task);
        pool::run(self.count * tasks, &|i| {
            let (shared, task) = (&shared, &task);
            task.0(i / tasks, i % tasks, shared.parts.wrapping_add(i / tasks * size));
        });
        if !apart && end.bias.is_null() && !end.relu && end.epilogue.is_none() {
            return;
        }
        pool::run_range(self.rows, self.band, &|rows| {
            // SAFETY: ranges of rows are disjoint, and the caller vouches for the extents.
            unsafe { self.finish(&shared, rows) };
        });
    }

    unsafe fn finish(&self, shared: &Shared<'_>, rows: Range<usize>) {
        let (size, n) = (self.rows * self.cols, rows.len() * self.cols);
        let at = rows.start * self.cols;
        let first = shared.parts.add(at);
        let sum = sum(isa());
        let to = if shared.c.is_null() { first } else { shared.c.add(at) };
        if to != first {
            sum(to, first, n, size, self.count);
        } else if self.count > 1 {
            let mut room = scratch(n);
            sum(room.as_mut_ptr(), first, n, size, self.count);
            to.copy_from_nonoverlapping(room.as_mut_ptr(), n);
        }
        finish_rows(to, rows.len(), self.cols, self.cols, shared.end);
        if let Some(epilogue) = shared.end.epilogue {
            epilogue.apply(rows.start, rows.len(), 0, self.cols, to, self.cols);
        }
    }
}

/// Bias and relu on rows that are in memory already.
pub(super) unsafe fn finish_rows(c: *mut f32, rows: usize, cols: usize, ldc: usize, end: &Finishing<'_>) {
    if end.bias.is_null() && !end.relu {
        return;
    }
    finish(isa())(c, rows, cols, ldc, end.bias, end.relu);
}

per_isa!(
    fn sum(to: *mut f32, first: *const f32, n: usize, step: usize, count: usize) = sum_generic
);
per_isa!(
    fn finish(c: *mut f32, rows: usize, cols: usize, ldc: usize, bias: *const f32, relu: bool) = finish_generic
);

#[inline(always)]
unsafe fn sum_generic<S: Simd>(to: *mut f32, first: *const f32, n: usize, step: usize, count: usize) {
    for i in (0..n).step_by(LANES) {
        let rest = (n - i).min(LANES);
        let load = |p: *const f32| if rest == LANES { S::load(p) } else { S::load_n(p, rest) };
        let mut sum = load(first.add(i));
        for part in 1..count {
            sum = S::add(sum, load(first.add(part * step + i)));
        }
        if rest == LANES { S::store(to.add(i), sum) } else { S::store_n(to.add(i), sum, rest) }
    }
}

#[inline(always)]
unsafe fn finish_generic<S: Simd>(
    c: *mut f32,
    rows: usize,
    cols: usize,
    ldc: usize,
    bias: *const f32,
    relu: bool,
) {
    let floor = S::splat(if relu { 0.0 } else { f32::NEG_INFINITY });
    for r in 0..rows {
        for j in (0..cols).step_by(LANES) {
            let rest = (cols - j).min(LANES);
            let load = |p: *const f32| if rest == LANES { S::load(p) } else { S::load_n(p, rest) };
            let at = c.add(r * ldc + j);
            let mut v = load(at);
            if !bias.is_null() {
                v = S::add(v, load(bias.add(j)));
            }
            // NaN must be the second operand of `max` to survive.
            let v = S::max(floor, v);
            if rest == LANES { S::store(at, v) } else { S::store_n(at, v, rest) }
        }
    }
}
