//! F2. The convolution itself: places by filters, a task some lines of places.

use super::lines::{Band, Cut, Source};
use super::segments::{Left, Pointers, Right, Run, Runs, block};
use super::{Axis, Geometry};
use crate::buffer::scratch;
use crate::kernels::gemm::tile::Micro;
use crate::kernels::{Blocked, Finishing};
use crate::pool;
use crate::simd::{LANES, isa};
use std::ops::Range;

/// Elements of a block of y; with the rows of w of a slice beside it, it stays in L2.
const BLOCK: usize = 1 << 14;
/// Places of a block: so many tiles read each panel of w from L2.
const LEAST: usize = 96;
const MOST: usize = 1024;
/// Multiply-adds that are worth a task of their own, and tasks at most where places alone are few.
const TASK: usize = 1 << 21;
const MAX_TASKS: usize = 32;

/// `y = conv(x, w)` for x, w.
#[derive(Debug)]
pub struct Forward {
    g: Geometry,
    cut: Cut,
    band: Band,
    runs: Runs,
    /// Columns of a task, of a group's filters.
    cols: usize,
    /// The second operand lies in panels.
    packed: bool,
}

impl Forward {
    /// For operands of these sizes. Filters of a single group may be packed, as a matrix of taps and
    /// channels by filters.
    #[must_use]
    pub fn new(g: Geometry, packed: bool) -> Forward {
        assert!(!packed || g.groups == 1, "invariant: packed filters are those of one group");
        let [d, h, w] = g.axes;
        let filters = g.groups * g.filters;
        let places = (BLOCK / filters.max(1)).clamp(LEAST, MOST);
        let cut = Cut::new(g.images * d.output * h.output, w.output, places);
        let band = Band::new(&g, &cut);
        let work = g.places() * g.taps() * g.channels * filters;
        let wanted = (work / TASK).min(MAX_TASKS);
        let nr = Micro::of(isa()).nr;
        let across = if g.groups == 1 {
            wanted.div_ceil(cut.tasks().max(1)).clamp(1, g.filters.div_ceil(nr).max(1))
        } else {
            1
        };
        let cols = g.filters.div_ceil(nr).div_ceil(across) * nr;
        Forward { g, cut, runs: Runs::new(kernel_rows(&g, &band)), band, cols: cols.max(1), packed }
    }

    /// Computes columns `cols` of all groups for task `i`.
    unsafe fn task(
        &self,
        i: usize,
        cols: Range<usize>,
        [x, weights]: [*const f32; 2],
        c: *mut f32,
        end: &Finishing<'_>,
    ) {
        let (g, w) = (&self.g, self.g.axes[2]);
        let task = self.cut.task(i);
        let (place, count) = task.places(w.output);
        let (filters, width) = (g.groups * g.filters, cols.len());
        let wide = if g.groups == 1 { width } else { filters };
        let mut room = c.is_null().then(|| scratch(count * wide.next_multiple_of(LANES)));
        let (c, ldc) = match &mut room {
            Some(room) => (room.as_mut_ptr(), wide.next_multiple_of(LANES)),
            None => (c.add(place * filters + cols.start), filters),
        };
        let micro = Micro::of(isa());
        let mut copy = scratch(self.band.room());
        let mut rows = Pointers::new(count);
        let rows = std::slice::from_raw_parts_mut(rows.as_mut_ptr(), count);
        for group in 0..g.groups {
            let from =
                Source { x, channels: g.groups * g.channels, first: group * g.channels, count: g.channels };
            let mut at = 0;
            self.band.lines(g, &from, &task, copy.as_mut_ptr(), |line| {
                for j in 0..task.along.len() {
                    rows[at] = line.wrapping_add(j * w.stride * self.band.steps[2]);
                    at += 1;
                }
            });
            let first = group * g.filters;
            let bias = if end.bias.is_null() { end.bias } else { end.bias.add(first + cols.start) };
            let b = if self.packed {
                Right::panels(weights, g.taps() * g.channels, micro.nr)
            } else {
                Right::rows(weights.add(first), filters, micro.nr)
            };
            block(
                micro,
                &self.runs,
                rows,
                b,
                cols.clone(),
                Left {
                    c: c.add(first),
                    ldc,
                    bias,
                    scale: end.scale.from(first + cols.start),
                    relu: end.relu,
                },
            );
        }
        if let Some(epilogue) = end.epilogue {
            epilogue.apply(place, count, cols.start, wide, c, ldc);
        }
    }
}

/// The stretches of a window's sum: rows of the kernel, or single taps where they lie apart.
fn kernel_rows(g: &Geometry, band: &Band) -> Vec<Run> {
    let [d, h, w] = g.axes;
    let together = w.dilation == 1 || w.kernel == 1;
    let (taps, k) = if together { (1, w.kernel * g.channels) } else { (w.kernel, g.channels) };
    let mut runs = Vec::with_capacity(d.kernel * h.kernel * taps);
    for a in 0..d.kernel {
        for b in 0..h.kernel {
            for c in 0..taps {
                let tap = (a * h.kernel + b) * w.kernel + c;
                runs.push(Run { at: band.tap(g, [a, b, c]), b: tap * g.channels, k });
            }
        }
    }
    runs
}

/// Operands and result of a call.
struct Call<'a> {
    kernel: &'a Forward,
    operands: [*const f32; 2],
    c: *mut f32,
    end: &'a Finishing<'a>,
}

// SAFETY: operands are only read, and tasks write disjoint blocks.
unsafe impl Sync for Call<'_> {}

impl Call<'_> {
    fn task(&self, i: usize) {
        let across = self.kernel.g.filters.div_ceil(self.kernel.cols).max(1);
        let col = i % across * self.kernel.cols;
        let cols = col..(col + self.kernel.cols).min(self.kernel.g.filters);
        // SAFETY: the caller of `run` vouches for the extents.
        unsafe { self.kernel.task(i / across, cols, self.operands, self.c, self.end) };
    }
}

impl Blocked for Forward {
    fn rows(&self) -> usize {
        self.g.places()
    }

    fn cols(&self) -> usize {
        self.g.groups * self.g.filters
    }

    fn bands(&self) -> usize {
        self.cut.tasks()
    }

    fn band(&self, row: usize) -> usize {
        self.cut.task_at(row)
    }

    fn scales(&self) -> bool {
        true
    }

    unsafe fn run(&self, args: &[*const u8], c: *mut f32, end: &Finishing<'_>) {
        if self.rows() == 0 || self.cols() == 0 {
            return;
        }
        let call = Call { kernel: self, operands: [args[0].cast(), args[1].cast()], c, end };
        let across = self.g.filters.div_ceil(self.cols);
        pool::run(self.cut.tasks() * across, &|i| call.task(i));
    }
}

/// True when no axis has padding, steps or taps: a product of matrices.
#[must_use]
pub fn is_product(g: &Geometry) -> bool {
    let plain = |a: &Axis| a.kernel == 1 && a.stride == 1 && !a.hangs_over();
    g.groups == 1 && g.axes.iter().all(plain)
}
