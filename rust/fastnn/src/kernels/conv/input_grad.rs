//! F2. The gradient of a convolution by its input. With steps of 1 it is a convolution of dy with the
//! mirrored kernel. With steps of s, every s-th element of a line sees the same taps: such elements
//! are a dense convolution of dy with these taps, which writes every s-th element of x.

use super::forward::Forward;
use super::lines::Cut;
use super::segments::{Left, Pointers, Right, Run, Runs, block};
use super::winograd::{self, Winograd};
use super::{Axis, Geometry};
use crate::buffer::scratch;
use crate::kernels::copy::copy_strided;
use crate::kernels::gemm::tile::Micro;
use crate::kernels::{Blocked, Finishing, Scale};
use crate::pool;
use crate::simd::{LANES, isa};

/// Elements of a block of x.
const BLOCK: usize = 1 << 14;

/// `dx` for dy, w.
#[derive(Debug)]
pub struct InputGrad {
    g: Geometry,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Mirrored(Box<dyn Blocked>),
    Phases { cut: Cut, phases: Vec<Phase>, left: usize, width: usize },
}

/// The elements of a line that see the same taps.
#[derive(Debug, Clone)]
struct Phase {
    /// The first one, and how many; they are `stride` apart.
    first: usize,
    count: usize,
    /// The last tap, the taps from one to the next, and how many: they see later places in turn.
    tap: usize,
    tap_step: usize,
    taps: usize,
    /// Where in the padded line of dy the first tap of the first element looks, and places from tap to tap.
    place: usize,
    place_step: usize,
    /// Taps in the phases before.
    before: usize,
}

/// The convolution that maps dy to dx where steps are 1.
fn mirrored(g: &Geometry) -> Option<Geometry> {
    let mut axes = g.axes;
    for axis in &mut axes {
        let span = (axis.kernel - 1) * axis.dilation;
        if axis.stride != 1 || axis.before > span {
            return None;
        }
        *axis = Axis { input: axis.output, output: axis.input, before: span - axis.before, ..*axis };
    }
    Some(Geometry { channels: g.filters, filters: g.channels, axes, ..*g })
}

/// The phases of the last axis, and the zeros that dy needs before and behind.
fn phases(w: &Axis) -> (Vec<Phase>, usize, usize) {
    let place = |element: usize, tap: usize| (element + w.before) as isize - (tap * w.dilation) as isize;
    let (mut found, mut before) = (vec![], 0);
    let (mut left, mut right) = (0isize, 0isize);
    for residue in 0..w.stride {
        let first = (residue + w.stride - w.before % w.stride) % w.stride;
        let taps: Vec<usize> = (0..w.kernel).rev().filter(|t| t * w.dilation % w.stride == residue).collect();
        let count = w.input.saturating_sub(first).div_ceil(w.stride);
        let places: Vec<isize> = taps.iter().map(|&t| place(first, t) / w.stride as isize).collect();
        if let (Some(&low), Some(&high)) = (places.first(), places.last()) {
            left = left.max(-low);
            right = right.max(high + count as isize - w.output as isize);
        }
        found.push((first, count, taps, places));
    }
    let mut out = vec![];
    for (first, count, taps, places) in found {
        let phase = Phase {
            first,
            count,
            tap: taps.first().copied().unwrap_or(0),
            tap_step: if taps.len() > 1 { taps[0] - taps[1] } else { 0 },
            taps: taps.len(),
            place: places.first().map_or(0, |p| (p + left) as usize),
            place_step: if places.len() > 1 { (places[1] - places[0]) as usize } else { 1 },
            before,
        };
        before += phase.taps;
        out.push(phase);
    }
    (out, left as usize, right.max(0) as usize)
}

impl InputGrad {
    /// For operands of these sizes.
    #[must_use]
    pub fn new(g: Geometry) -> InputGrad {
        let [d, h, w] = g.axes;
        let way = match mirrored(&g) {
            Some(mirror) if winograd::pays(&mirror) => Way::Mirrored(Box::new(Winograd::new(mirror, false))),
            Some(mirror) => Way::Mirrored(Box::new(Forward::new(mirror, false))),
            None => {
                let places = (BLOCK / (g.groups * g.channels).max(1)).max(w.input).max(1);
                let cut = Cut::new(g.images * d.input * h.input, w.input, places);
                let (phases, left, right) = phases(&w);
                Way::Phases { cut, phases, left, width: left + w.output + right }
            }
        };
        InputGrad { g, way }
    }

    /// The taps of each phase in the order of the places they see, as matrices (filters of a group,
    /// channels of all groups).
    unsafe fn turned(&self, w: *const f32, phases: &[Phase], to: *mut f32) {
        let g = &self.g;
        let [d, h, _] = g.axes;
        let filters = (g.groups * g.filters) as isize;
        let tap = g.channels as isize * filters;
        let row = g.axes[2].kernel as isize * tap;
        for phase in phases {
            let size = g.channels * g.groups * g.filters;
            copy_strided(
                to.add(phase.before * d.kernel * h.kernel * size),
                w.offset(phase.tap as isize * tap),
                &[d.kernel, h.kernel, phase.taps, g.filters, g.groups, g.channels],
                &[
                    h.kernel as isize * row,
                    row,
                    -(phase.tap_step as isize) * tap,
                    1,
                    g.filters as isize,
                    filters,
                ],
            );
        }
    }

    unsafe fn mirror(&self, w: *const f32, to: *mut f32) {
        let g = &self.g;
        let filters = (g.groups * g.filters) as isize;
        let tap = g.channels as isize * filters;
        copy_strided(
            to,
            w.offset((g.taps() as isize - 1) * tap),
            &[g.taps(), g.filters, g.groups, g.channels],
            &[-tap, 1, g.filters as isize, filters],
        );
    }

    unsafe fn lines(&self, i: usize, [dy, weights]: [*const f32; 2], c: *mut f32, end: &Finishing<'_>) {
        let Way::Phases { cut, phases, left, width } = &self.way else { return };
        let g = &self.g;
        let [d, h, w] = g.axes;
        let task = cut.task(i);
        let (place, count) = task.places(w.input);
        let channels = g.groups * g.channels;
        let mut room = c.is_null().then(|| scratch(count * channels.next_multiple_of(LANES)));
        let (c, ldc) = match &mut room {
            Some(room) => (room.as_mut_ptr(), channels.next_multiple_of(LANES)),
            None => (c.add(place * channels), channels),
        };
        let micro = Micro::of(isa());
        let slot = width * g.filters;
        let mut copy = scratch(d.kernel * h.kernel * slot);
        let copy = copy.as_mut_ptr();
        let mut rows = Pointers::new(w.input.div_ceil(w.stride));
        let mut runs = Runs::default();
        for (l, line) in task.lines.clone().enumerate() {
            let (slab, row) = (line / h.input, line % h.input);
            let (image, depth) = (slab / d.input, slab % d.input);
            let mut seen: Vec<(usize, usize)> = Vec::with_capacity(d.kernel * h.kernel);
            for a in 0..d.kernel {
                for b in 0..h.kernel {
                    if let (Some(y), Some(x)) = (d.place(depth, a), h.place(row, b)) {
                        seen.push((a * h.kernel + b, (image * d.output + y) * h.output + x));
                    }
                }
            }
            for group in 0..g.groups {
                for (v, &(_, line)) in seen.iter().enumerate() {
                    let to = copy.add(v * slot);
                    to.write_bytes(0, left * g.filters);
                    let to = to.add(left * g.filters);
                    let all = g.groups * g.filters;
                    let src = dy.add(line * w.output * all + group * g.filters);
                    if g.groups == 1 {
                        to.copy_from_nonoverlapping(src, w.output * all);
                    } else {
                        for j in 0..w.output {
                            to.add(j * g.filters).copy_from_nonoverlapping(src.add(j * all), g.filters);
                        }
                    }
                    to.add(w.output * g.filters).write_bytes(0, (width - left - w.output) * g.filters);
                }
                for phase in phases.iter().filter(|p| p.count > 0) {
                    let (taps, k) =
                        if phase.place_step == 1 { (1, phase.taps) } else { (phase.taps, phase.taps.min(1)) };
                    runs.refill(seen.iter().enumerate().flat_map(|(v, &(row, _))| {
                        (0..taps).map(move |t| Run {
                            at: v * slot + (phase.place + t * phase.place_step) * g.filters,
                            b: (row * phase.taps + t) * g.filters,
                            k: k * g.filters,
                        })
                    }));
                    let table = std::slice::from_raw_parts_mut(rows.as_mut_ptr(), phase.count);
                    for (j, row) in table.iter_mut().enumerate() {
                        *row = copy.wrapping_add(j * g.filters);
                    }
                    let size = d.kernel * h.kernel * g.filters * channels;
                    let b = weights.add(phase.before * size + group * g.channels);
                    let first = group * g.channels;
                    let to = c.add((l * w.input + phase.first) * ldc + first);
                    let bias = if end.bias.is_null() { end.bias } else { end.bias.add(first) };
                    block(
                        micro,
                        &runs,
                        table,
                        Right::rows(b, channels, micro.nr),
                        0..g.channels,
                        Left { c: to, ldc: ldc * w.stride, bias, scale: Scale::NONE, relu: end.relu },
                    );
                }
            }
        }
        if let Some(epilogue) = end.epilogue {
            epilogue.apply(place, count, 0, channels, c, ldc);
        }
    }
}

/// Operands and result of a call.
struct Call<'a> {
    kernel: &'a InputGrad,
    operands: [*const f32; 2],
    c: *mut f32,
    end: &'a Finishing<'a>,
}

// SAFETY: operands are only read, and tasks write disjoint lines.
unsafe impl Sync for Call<'_> {}

impl Call<'_> {
    fn lines(&self, i: usize) {
        // SAFETY: the caller of `run` vouches for the extents.
        unsafe { self.kernel.lines(i, self.operands, self.c, self.end) };
    }
}

impl Blocked for InputGrad {
    fn rows(&self) -> usize {
        self.g.elements()
    }

    fn cols(&self) -> usize {
        self.g.groups * self.g.channels
    }

    fn bands(&self) -> usize {
        match &self.way {
            Way::Mirrored(forward) => forward.bands(),
            Way::Phases { cut, .. } => cut.tasks(),
        }
    }

    fn band(&self, row: usize) -> usize {
        match &self.way {
            Way::Mirrored(forward) => forward.band(row),
            Way::Phases { cut, .. } => cut.task_at(row),
        }
    }

    unsafe fn run(&self, args: &[*const u8], c: *mut f32, end: &Finishing<'_>) {
        if self.rows() == 0 || self.cols() == 0 {
            return;
        }
        let (dy, w): (*const f32, *const f32) = (args[0].cast(), args[1].cast());
        let g = &self.g;
        let mut room = scratch(g.taps() * g.channels * g.groups * g.filters);
        let turned = room.as_mut_ptr();
        match &self.way {
            Way::Mirrored(forward) => {
                self.mirror(w, turned);
                forward.run(&[args[0], turned.cast_const().cast()], c, end);
            }
            Way::Phases { cut, phases, .. } => {
                self.turned(w, phases, turned);
                let call = Call { kernel: self, operands: [dy, turned], c, end };
                pool::run(cut.tasks(), &|i| call.lines(i));
            }
        }
    }
}
