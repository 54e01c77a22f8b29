//! F2. Strided views made contiguous: slices, transpositions, reversals and broadcasts of 4-byte
//! elements. Axes that lie behind each other are merged first; what is left is rows to copy, rows
//! to fill, 16 x 16 transposed blocks, or single elements. Depends on `simd` and the pool.

use crate::kernels::gemm::pack::Transpose;
use crate::pool;
use crate::shape::MAX_RANK;
use crate::simd::{Isa, LANES, Simd, isa};

const INLINE: usize = 8192;
/// Rows of a transposition that are written together.
const STRIP: usize = 64;

#[derive(Clone, Copy)]
struct Ends {
    src: *const f32,
    dst: *mut f32,
}
// SAFETY: work items read shared input and write disjoint ranges of `dst`.
unsafe impl Sync for Ends {}
impl Ends {
    fn src(&self, offset: isize) -> *const f32 {
        self.src.wrapping_offset(offset)
    }
    fn dst(&self, i: usize) -> *mut f32 {
        self.dst.wrapping_add(i)
    }
}

// A view with its axes merged; `strides` are in elements.
#[derive(Clone, Copy)]
struct View {
    rank: usize,
    dims: [usize; MAX_RANK],
    strides: [isize; MAX_RANK],
}

impl View {
    fn merged(dims: &[usize], strides: &[isize]) -> View {
        let mut view = View { rank: 0, dims: [1; MAX_RANK], strides: [0; MAX_RANK] };
        for (&d, &s) in dims.iter().zip(strides) {
            if d == 1 {
                continue;
            }
            let last = view.rank.wrapping_sub(1);
            if view.rank > 0 && view.strides[last] == d as isize * s {
                view.dims[last] *= d;
                view.strides[last] = s;
            } else if view.rank < MAX_RANK {
                view.dims[view.rank] = d;
                view.strides[view.rank] = s;
                view.rank += 1;
            }
        }
        // At least two axes, so that there are rows of lines.
        while view.rank < 2 {
            view.dims.copy_within(0..MAX_RANK - 1, 1);
            view.strides.copy_within(0..MAX_RANK - 1, 1);
            (view.dims[0], view.strides[0]) = (1, 0);
            view.rank += 1;
        }
        view
    }

    // The offset in the source of flat position `i` of the first `axes` axes, `skip` left out.
    fn offset(&self, mut i: usize, axes: usize, skip: usize) -> isize {
        let mut offset = 0;
        for a in (0..axes).rev().filter(|&a| a != skip) {
            offset += (i % self.dims[a]) as isize * self.strides[a];
            i /= self.dims[a];
        }
        offset
    }
}

/// Copies the view of `dims` and `strides` (in elements, of any sign, 0 to repeat) that starts at
/// `src` to `dst`, row-major.
///
/// # Safety
/// At most 8 axes, as many strides as sizes; every element of the view is readable; `dst` covers
/// the product of `dims` and does not overlap the view.
pub unsafe fn copy_strided(dst: *mut f32, src: *const f32, dims: &[usize], strides: &[isize]) {
    copy_strided_on(isa(), dst, src, dims, strides);
}

/// [`copy_strided`] on a given instruction set, which the processor must have.
///
/// # Safety
/// As for [`copy_strided`].
pub unsafe fn copy_strided_on(isa: Isa, dst: *mut f32, src: *const f32, dims: &[usize], strides: &[isize]) {
    if dims.contains(&0) {
        return;
    }
    let (view, ends) = (View::merged(dims, strides), Ends { src, dst });
    let last = view.rank - 1;
    let (n, step) = (view.dims[last], view.strides[last]);
    if step != 0 && step != 1 {
        // Lines along another axis lie in memory: transpose against that one.
        let across = (0..last).rev().find(|&a| view.strides[a] == 1 && view.dims[a] >= 8);
        if let Some(across) = across.filter(|_| n >= 4) {
            // SAFETY: the ends are those of the view, as the caller promises.
            return unsafe { transpose(isa, ends, &view, across) };
        }
    }
    let lines = lines(isa);
    let count: usize = view.dims[..last].iter().product();
    if count == 1 {
        // One line: cut it.
        return pool::run_range(n, 4 * INLINE, &|range| {
            // SAFETY: the ranges partition the line.
            unsafe {
                lines(ends.dst(range.start), ends.src(range.start as isize * step), 1, 0, range.len(), step)
            };
        });
    }
    let (rows, row_step) = (view.dims[last - 1], view.strides[last - 1]);
    pool::run_range(count, (2 * INLINE / n).max(1), &|range| {
        let mut line = range.start;
        while line < range.end {
            let (o, r) = (line / rows, line % rows);
            let some = (rows - r).min(range.end - line);
            let at = view.offset(o, last - 1, MAX_RANK) + r as isize * row_step;
            // SAFETY: the lines lie inside the view, and ranges of `dst` are disjoint.
            unsafe { lines(ends.dst(line * n), ends.src(at), some, row_step, n, step) };
            line += some;
        }
    });
}

/// [`copy_strided`] for elements of `size` bytes: 1, 2 or 4.
///
/// # Safety
/// As for [`copy_strided`], and the pointers are aligned to the elements.
pub unsafe fn copy_elements(size: usize, dst: *mut u8, src: *const u8, dims: &[usize], strides: &[isize]) {
    match size {
        1 => copy_small::<u8>(dst, src, dims, strides),
        2 => copy_small::<u16>(dst.cast(), src.cast(), dims, strides),
        _ => copy_strided(dst.cast(), src.cast(), dims, strides),
    }
}

/// Elements narrower than a lane: rows in one piece, or one element after the other.
unsafe fn copy_small<T: Copy + Send + Sync>(dst: *mut T, src: *const T, dims: &[usize], strides: &[isize]) {
    struct Job<T>(*mut T, *const T);
    // SAFETY: work items read shared input and write disjoint ranges.
    unsafe impl<T: Send> Sync for Job<T> {}
    if dims.contains(&0) {
        return;
    }
    let view = View::merged(dims, strides);
    let last = view.rank - 1;
    let (n, step) = (view.dims[last], view.strides[last]);
    let lines: usize = view.dims[..last].iter().product();
    let job = Job(dst, src);
    pool::run_range(lines, (2 * INLINE / n).max(1), &|range| {
        let job = &job;
        for line in range {
            let (to, from) =
                (job.0.wrapping_add(line * n), job.1.wrapping_offset(view.offset(line, last, MAX_RANK)));
            // SAFETY: the line lies inside the view, and lines of `dst` are disjoint.
            unsafe {
                match step {
                    1 => to.copy_from_nonoverlapping(from, n),
                    0 => std::slice::from_raw_parts_mut(to, n).fill(from.read()),
                    _ => (0..n).for_each(|i| to.add(i).write(from.offset(i as isize * step).read())),
                }
            }
        }
    });
}

/// A part of a row-major array: `part` elements along each axis from `begin` on, inside `whole`.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// Sizes of the array.
    pub whole: &'a [usize],
    /// Sizes of the window.
    pub part: &'a [usize],
    /// Where it begins.
    pub begin: &'a [usize],
}

impl Window<'_> {
    fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.whole.len()];
        for axis in (1..self.whole.len()).rev() {
            strides[axis - 1] = strides[axis] * self.whole[axis];
        }
        strides
    }

    fn offset(&self, strides: &[usize]) -> usize {
        self.begin.iter().zip(strides).map(|(b, s)| b * s).sum()
    }
}

/// Copies the window of `src` to `dst`; elements have `size` bytes: 1, 2 or 4.
///
/// # Safety
/// At most 8 axes; the window lies inside `src`, `dst` covers it and is apart from `src`; the
/// pointers are aligned to the elements.
pub unsafe fn read_window(size: usize, src: *const u8, dst: *mut u8, window: Window<'_>) {
    let strides = window.strides();
    let from = src.wrapping_add(window.offset(&strides) * size);
    let steps: Vec<isize> = strides.iter().map(|&s| s as isize).collect();
    copy_elements(size, dst, from, window.part, &steps);
}

/// Copies `src` into the window of `dst`; elements have `size` bytes.
///
/// # Safety
/// The window lies inside `dst`, `src` covers it and is apart from `dst`.
pub unsafe fn write_window(size: usize, src: *const u8, dst: *mut u8, window: Window<'_>) {
    struct Job(*const u8, *mut u8);
    // SAFETY: work items write disjoint runs.
    unsafe impl Sync for Job {}
    let strides = window.strides();
    // From the last axis that the window does not fill, its elements lie in one run.
    let cut = (0..window.whole.len()).rev().find(|&a| window.part[a] != window.whole[a]).unwrap_or(0);
    let run: usize = window.part[cut..].iter().product();
    let runs: usize = window.part[..cut].iter().product();
    let (lines, job) = (lines(isa()), Job(src, dst.wrapping_add(window.offset(&strides) * size)));
    pool::run_range(runs, (2 * INLINE / run.max(1)).max(1), &|range| {
        let job = &job;
        for k in range {
            let (mut rest, mut to) = (k, 0);
            for axis in (0..cut).rev() {
                to += rest % window.part[axis] * strides[axis];
                rest /= window.part[axis];
            }
            // SAFETY: the run lies inside the window; runs are disjoint.
            unsafe {
                let (from, to) = (job.0.add(k * run * size), job.1.add(to * size));
                match size {
                    4 => lines(to.cast(), from.cast(), 1, 0, run, 1),
                    _ => to.copy_from_nonoverlapping(from, run * size),
                }
            };
        }
    });
}

crate::per_isa! {
    /// Copies `rows` lines of `n` elements `step` apart, `row_step` from line to line, to
    /// contiguous memory.
    pub(super) fn lines(dst: *mut f32, src: *const f32, rows: usize, row_step: isize, n: usize, step: isize) = copy_lines
}

#[inline(always)]
unsafe fn copy_lines<S: Simd>(
    dst: *mut f32,
    src: *const f32,
    rows: usize,
    row_step: isize,
    n: usize,
    step: isize,
) {
    for r in 0..rows {
        let (dst, src) = (dst.add(r * n), src.offset(r as isize * row_step));
        match step {
            1 if n >= 1024 => dst.copy_from_nonoverlapping(src, n),
            1 => copy_short::<S>(dst, src, n),
            0 => fill_line::<S>(dst, src.read(), n),
            _ => {
                for i in 0..n {
                    dst.add(i).write(src.offset(i as isize * step).read());
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn copy_short<S: Simd>(dst: *mut f32, src: *const f32, n: usize) {
    let mut i = 0;
    while i + LANES <= n {
        S::store(dst.add(i), S::load(src.add(i)));
        i += LANES;
    }
    if i < n {
        S::store_n(dst.add(i), S::load_n(src.add(i), n - i), n - i);
    }
}

#[inline(always)]
unsafe fn fill_line<S: Simd>(dst: *mut f32, value: f32, n: usize) {
    let v = S::splat(value);
    let mut i = 0;
    while i + LANES <= n {
        S::store(dst.add(i), v);
        i += LANES;
    }
    if i < n {
        S::store_n(dst.add(i), v, n - i);
    }
}

/// The view read along axis `across`, where it is contiguous, and written along its last axis.
///
/// # Safety
/// `ends` are readable at every element of `view`, and writable for as many.
unsafe fn transpose(isa: Isa, ends: Ends, view: &View, across: usize) {
    let last = view.rank - 1;
    let (rows, n, step) = (view.dims[across], view.dims[last], view.strides[last]);
    // Elements of `dst` from one row of the block to the next.
    let ld: usize = view.dims[across + 1..].iter().product();
    let block = transposed(isa);
    let strips = rows.div_ceil(STRIP);
    let others: usize = view.dims[..last].iter().product::<usize>() / rows;
    pool::run_range(others * strips, (INLINE / (STRIP * n)).max(1), &|range| {
        for item in range {
            let (other, strip) = (item / strips, item % strips);
            let row = strip * STRIP;
            let src = ends.src(view.offset(other, last, across) + row as isize);
            // Where `other` and `row` lie in `dst`.
            let within: usize = view.dims[across + 1..last].iter().product();
            let (before, behind) = (other / within, other % within);
            let dst = ends.dst((before * rows + row) * ld + behind * n);
            // SAFETY: the strip lies inside the view, and strips of `dst` are disjoint.
            unsafe { block(dst, ld, src, step, (STRIP.min(rows - row), n)) };
        }
    });
}

crate::per_isa!(fn transposed(dst: *mut f32, ld: usize, src: *const f32, step: isize, size: (usize, usize)) = transpose_strip);

// dst[r * ld + i] = src[r + i * step] for r < rows, i < n. Whole lines in, whole lines out, and
// neighbouring lines of the source together: strides are often 4 KiB, where sets and pages are few.
#[inline(always)]
unsafe fn transpose_strip<S: Transpose>(
    dst: *mut f32,
    ld: usize,
    src: *const f32,
    step: isize,
    (rows, n): (usize, usize),
) {
    for i in (0..n).step_by(LANES) {
        let k = LANES.min(n - i);
        for r in (0..rows).step_by(LANES) {
            let w = LANES.min(rows - r);
            let mut v = [S::splat(0.0); LANES];
            for (l, v) in v.iter_mut().enumerate().take(k) {
                let p = src.offset((i + l) as isize * step).add(r);
                *v = if w == LANES { S::load(p) } else { S::load_n(p, w) };
            }
            S::transpose(&mut v);
            for (l, &v) in v.iter().enumerate().take(w) {
                let p = dst.add((r + l) * ld + i);
                if k == LANES { S::store(p, v) } else { S::store_n(p, v, k) }
            }
        }
    }
}
