//! F2. Lines of places along the last axis: how they are shared out to tasks, and the part of x
//! that a task's windows see.

use super::{Axis, Geometry};
use std::ops::Range;

/// Lines that one task works on: some whole ones, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) lines: Range<usize>,
    /// Places along the line.
    pub(super) along: Range<usize>,
}

impl Task {
    /// The first place, and how many there are: they lie together.
    pub(super) fn places(&self, line: usize) -> (usize, usize) {
        (self.lines.start * line + self.along.start, self.lines.len() * self.along.len())
    }
}

/// A cut of lines of `line` places into tasks of about as many places each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    lines: usize,
    pub(super) line: usize,
    /// Lines of a task; 1 where lines are cut.
    per: usize,
    /// Places of a piece of a line.
    piece: usize,
}

impl Cut {
    pub(super) fn new(lines: usize, line: usize, places: usize) -> Cut {
        let places = places.max(1);
        if line > places {
            let piece = line.div_ceil(line.div_ceil(places));
            return Cut { lines, line, per: 1, piece };
        }
        let tasks = lines.div_ceil((places / line.max(1)).max(1));
        Cut { lines, line, per: lines.div_ceil(tasks.max(1)).max(1), piece: line.max(1) }
    }

    fn pieces(&self) -> usize {
        self.line.div_ceil(self.piece)
    }

    pub(super) fn tasks(&self) -> usize {
        self.lines.div_ceil(self.per) * self.pieces()
    }

    pub(super) fn task(&self, i: usize) -> Task {
        let (line, piece) = (i / self.pieces() * self.per, i % self.pieces() * self.piece);
        Task {
            lines: line..(line + self.per).min(self.lines),
            along: piece..(piece + self.piece).min(self.line),
        }
    }

    /// The task whose first place this is.
    pub(super) fn task_at(&self, place: usize) -> usize {
        let line = self.line.max(1);
        place / line / self.per * self.pieces() + place % line / self.piece
    }

    /// Lines of a task at most.
    pub(super) fn most_lines(&self) -> usize {
        self.per.min(self.lines)
    }
}

/// The part of x that windows see, with zeros where they hang over a border: a copy, or x itself.
#[derive(Debug, Clone)]
pub(super) struct Band {
    /// Floats from depth to depth, line to line, element to element.
    pub(super) steps: [usize; 3],
    /// False: x is read where it lies.
    pub(super) is_copied: bool,
    /// Floats of one copy, and copies of a task at most.
    piece: usize,
    pieces: usize,
    /// Elements of a line of the copy.
    width: usize,
}

/// Sizes of x as the band reads them.
pub(super) struct Source {
    pub(super) x: *const f32,
    /// Channels of x, and which of them are wanted.
    pub(super) channels: usize,
    pub(super) first: usize,
    pub(super) count: usize,
}

impl Band {
    /// For tasks of `cut`, which has the lines of y.
    pub(super) fn new(g: &Geometry, cut: &Cut) -> Band {
        let [d, h, w] = g.axes;
        let all = g.groups * g.channels;
        if g.groups == 1 && !g.axes.iter().any(Axis::hangs_over) {
            return Band {
                steps: [h.input * w.input * all, w.input * all, all],
                is_copied: false,
                piece: 0,
                pieces: 0,
                width: 0,
            };
        }
        let lines = cut.most_lines().max(1);
        let width = (cut.piece.min(w.output.max(1)) - 1) * w.stride + (w.kernel - 1) * w.dilation + 1;
        let rows = (lines.min(h.output.max(1)) - 1) * h.stride + (h.kernel - 1) * h.dilation + 1;
        let steps = [rows * width * g.channels, width * g.channels, g.channels];
        let pieces = (lines - 1).div_ceil(h.output.max(1)) + 1;
        Band { steps, is_copied: true, piece: d.kernel * steps[0], pieces, width }
    }

    /// Floats of the copy that a task needs.
    pub(super) fn room(&self) -> usize {
        self.piece * self.pieces
    }

    /// Floats from the window's first element to what the tap sees.
    pub(super) fn tap(&self, g: &Geometry, tap: [usize; 3]) -> usize {
        let [d, h, w] = g.axes;
        // The copy has only the depths that taps see.
        let depth = if self.is_copied { tap[0] } else { tap[0] * d.dilation };
        depth * self.steps[0] + tap[1] * h.dilation * self.steps[1] + tap[2] * w.dilation * self.steps[2]
    }

    /// The address of the first element of each line's first window, in order. Copies what is seen
    /// to `room` where it must.
    ///
    /// # Safety
    /// `from.x` covers x; `room` covers [`Band::room`] floats.
    pub(super) unsafe fn lines(
        &self,
        g: &Geometry,
        from: &Source,
        task: &Task,
        room: *mut f32,
        mut each: impl FnMut(*const f32),
    ) {
        let [d, h, w] = g.axes;
        let mut line = task.lines.start;
        let mut piece = 0;
        while line < task.lines.end {
            let (slab, row) = (line / h.output, line % h.output);
            let (image, depth) = (slab / d.output, slab % d.output);
            let rows = (h.output - row).min(task.lines.end - line);
            if self.is_copied {
                let to = room.add(piece * self.piece);
                self.copy(g, from, [image, depth, row], rows, &task.along, to);
                (0..rows).for_each(|r| each(to.add(r * h.stride * self.steps[1]).cast_const()));
            } else {
                for r in row..row + rows {
                    let at = (image * d.input + depth * d.stride) * self.steps[0]
                        + r * h.stride * self.steps[1]
                        + task.along.start * w.stride * self.steps[2];
                    each(from.x.wrapping_add(at));
                }
            }
            line += rows;
            piece += 1;
        }
    }

    unsafe fn copy(
        &self,
        g: &Geometry,
        from: &Source,
        [image, depth, row]: [usize; 3],
        rows: usize,
        along: &Range<usize>,
        to: *mut f32,
    ) {
        let [d, h, w] = g.axes;
        let seen = (rows - 1) * h.stride + (h.kernel - 1) * h.dilation + 1;
        for tap in 0..d.kernel {
            let depth = d.seen(depth, tap);
            for r in 0..seen {
                let to = to.add(tap * self.steps[0] + r * self.steps[1]);
                let y = (row * h.stride + r).checked_sub(h.before).filter(|&y| y < h.input);
                let (Some(depth), Some(y)) = (depth, y) else {
                    to.write_bytes(0, self.steps[1]);
                    continue;
                };
                let line = ((image * d.input + depth) * h.input + y) * w.input;
                self.copy_line(from, &w, along.start * w.stride, line, to);
            }
        }
    }

    /// Elements from `start - before` on of the line of x that begins at element `line`.
    unsafe fn copy_line(&self, from: &Source, w: &Axis, start: usize, line: usize, to: *mut f32) {
        let zeros = w.before.saturating_sub(start).min(self.width);
        let first = start.saturating_sub(w.before).min(w.input);
        let some = (self.width - zeros).min(w.input - first);
        let n = from.count;
        to.write_bytes(0, zeros * n);
        let (src, dst) = (from.x.add((line + first) * from.channels + from.first), to.add(zeros * n));
        if n == from.channels {
            dst.copy_from_nonoverlapping(src, some * n);
        } else {
            for i in 0..some {
                dst.add(i * n).copy_from_nonoverlapping(src.add(i * from.channels), n);
            }
        }
        dst.add(some * n).write_bytes(0, (self.width - zeros - some) * n);
    }
}
