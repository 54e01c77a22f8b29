//! F2. Rows by index: take, its gradient scatter-add, one-hot. Indices are checked before anything
//! is written; negative ones are out of range (the caller adds the axis size). Depends on the copy
//! kernels' line loop and the pool.

use super::copy::lines;
use super::{Blocked, Finishing, fetched_ahead};
use crate::buffer::scratch;
use crate::pool;
use crate::simd::{Isa, LANES, Simd, isa};

const INLINE: usize = 8192;

#[derive(Clone, Copy)]
struct Ends {
    src: *const f32,
    dst: *mut f32,
    indices: *const i32,
}
// SAFETY: work items read shared input and write disjoint ranges of `dst`.
unsafe impl Sync for Ends {}
impl Ends {
    fn src(&self, i: usize) -> *const f32 {
        self.src.wrapping_add(i)
    }
    fn dst(&self, i: usize) -> *mut f32 {
        self.dst.wrapping_add(i)
    }
    // SAFETY of callers: `i` is below the index count.
    unsafe fn index(&self, i: usize) -> usize {
        self.indices.add(i).read() as usize
    }
}

/// The extents of a take: `(outer, axis, inner)` to `(outer, count, inner)`.
#[derive(Debug, Clone, Copy)]
pub struct Take {
    /// Product of the sizes before the axis.
    pub outer: usize,
    /// Size of the axis that is indexed.
    pub axis: usize,
    /// Product of the sizes behind it.
    pub inner: usize,
    /// Number of indices.
    pub count: usize,
}

/// `Err` with the position of the first index outside `0..axis`.
///
/// # Safety
/// `indices` covers `count` values.
pub unsafe fn check(indices: *const i32, count: usize, axis: usize) -> Result<(), usize> {
    let all = std::slice::from_raw_parts(if count == 0 { std::ptr::dangling() } else { indices }, count);
    // A negative index is a large u32.
    let limit = u32::try_from(axis).unwrap_or(u32::MAX).min(1 << 31);
    if all.iter().fold(true, |ok, &i| ok & ((i as u32) < limit)) {
        return Ok(());
    }
    all.iter().position(|&i| (i as u32) >= limit).map_or(Ok(()), Err)
}

/// `dst[o, i, :] = src[o, indices[i], :]`. Errors with the position of the first bad index, and
/// then writes nothing.
///
/// # Safety
/// `src` covers `outer * axis * inner` values, `indices` `count`, `dst` `outer * count * inner`.
pub unsafe fn take(src: *const f32, indices: *const i32, dst: *mut f32, size: Take) -> Result<(), usize> {
    check(indices, size.count, size.axis)?;
    let (copy, ends) = (lines(isa()), Ends { src, dst, indices });
    let Take { outer, axis, inner, count } = size;
    let grain = (INLINE / inner.max(1)).max(1);
    pool::run_range(outer * count, grain, &|range| {
        // SAFETY: `row` is below the rows of `dst`, so its index is one.
        let from = |row: usize| unsafe { ends.src((row / count * axis + ends.index(row % count)) * inner) };
        fetched_ahead(
            range,
            inner * size_of::<f32>(),
            |row| from(row).cast(),
            |row| {
                // SAFETY: indices are checked; rows of `dst` are disjoint.
                unsafe { copy(ends.dst(row * inner), from(row), 1, 0, inner, 1) };
            },
        );
    });
    Ok(())
}

/// [`take`] for elements of `size` bytes: 1, 2 or 4.
///
/// # Safety
/// As for [`take`].
pub unsafe fn take_elements(
    size: usize,
    src: *const u8,
    indices: *const i32,
    dst: *mut u8,
    extents: Take,
) -> Result<(), usize> {
    if size == 4 {
        return take(src.cast(), indices, dst.cast(), extents);
    }
    struct Job(*const u8, *mut u8, *const i32);
    // SAFETY: work items read shared input and write disjoint rows.
    unsafe impl Sync for Job {}
    check(indices, extents.count, extents.axis)?;
    let Take { outer, axis, inner, count } = extents;
    let (job, row) = (Job(src, dst, indices), inner * size);
    pool::run_range(outer * count, (4 * INLINE / row.max(1)).max(1), &|range| {
        let job = &job;
        for at in range {
            // SAFETY: indices are checked; rows of `dst` are disjoint.
            unsafe {
                let from = (at / count) * axis + job.2.add(at % count).read() as usize;
                job.1.add(at * row).copy_from_nonoverlapping(job.0.add(from * row), row);
            }
        }
    });
    Ok(())
}

/// [`take`] of whole rows of a `(rows, length)` table: an embedding look-up.
///
/// # Safety
/// As for [`take`].
pub unsafe fn gather_rows(
    src: *const f32,
    length: usize,
    indices: *const i32,
    count: usize,
    rows: usize,
    dst: *mut f32,
) -> Result<(), usize> {
    take(src, indices, dst, Take { outer: 1, axis: rows, inner: length, count })
}

/// The gradient of [`take`]: `dst` zeroed, then `dst[o, indices[i], :] += src[o, i, :]` in the order
/// of `i`, whatever the thread count. Errors like [`take`].
///
/// # Safety
/// `src` covers `outer * count * inner` values, `indices` `count`, `dst` `outer * axis * inner`.
pub unsafe fn scatter_add(
    src: *const f32,
    indices: *const i32,
    dst: *mut f32,
    size: Take,
) -> Result<(), usize> {
    check(indices, size.count, size.axis)?;
    let (ends, add, fill) = (Ends { src, dst, indices }, add_row(isa()), super::tile_ops::fill(isa()));
    let Take { outer, axis, inner, count } = size;
    pool::run_range(outer * axis * inner, 4 * INLINE, &|range| {
        // SAFETY: the ranges partition `dst`.
        unsafe { fill(ends.dst(range.start), 0.0, range.len()) };
    });
    // Each part owns a strip of columns, or of rows where columns are few; a cell's additions are in
    // index order whatever the strip, so the number of parts may follow the threads.
    let by_columns = inner >= 64;
    let parts = if outer > 1 || count * inner <= INLINE { 1 } else { pool::threads().min(4) };
    let strip = if by_columns { inner.div_ceil(parts).next_multiple_of(LANES) } else { axis.div_ceil(parts) };
    pool::run(outer * parts, &|item| {
        let (o, part) = (item / parts, item % parts);
        let limit = if by_columns { inner } else { axis };
        let (from, to) = ((part * strip).min(limit), ((part + 1) * strip).min(limit));
        let (column, width) = if by_columns { (from, to - from) } else { (0, inner) };
        for i in 0..count {
            // SAFETY: indices are checked; parts write disjoint strips of `dst`.
            unsafe {
                let row = ends.index(i);
                if by_columns || (from..to).contains(&row) {
                    add(
                        ends.dst((o * axis + row) * inner + column),
                        ends.src((o * count + i) * inner + column),
                        width,
                    );
                }
            }
        }
    });
    Ok(())
}

/// [`scatter_add`] of whole rows into a `(rows, length)` table.
///
/// # Safety
/// As for [`scatter_add`].
pub unsafe fn scatter_add_rows(
    src: *const f32,
    length: usize,
    indices: *const i32,
    count: usize,
    rows: usize,
    dst: *mut f32,
) -> Result<(), usize> {
    scatter_add(src, indices, dst, Take { outer: 1, axis: rows, inner: length, count })
}

crate::per_isa!(fn add_row(dst: *mut f32, src: *const f32, n: usize) = add_to);

#[inline(always)]
unsafe fn add_to<S: Simd>(dst: *mut f32, src: *const f32, n: usize) {
    let mut i = 0;
    while i + LANES <= n {
        S::store(dst.add(i), S::add(S::load(dst.add(i)), S::load(src.add(i))));
        i += LANES;
    }
    if i < n {
        S::store_n(dst.add(i), S::add(S::load_n(dst.add(i), n - i), S::load_n(src.add(i), n - i)), n - i);
    }
}

/// `dst[i, indices[i]] = 1`, all else 0; a row whose index is outside `0..depth` is all zero, as
/// in Keras.
///
/// # Safety
/// `indices` covers `count` values, `dst` `count * depth`.
pub unsafe fn one_hot(indices: *const i32, count: usize, depth: usize, dst: *mut f32) {
    one_hot_on(isa(), indices, count, depth, dst);
}

/// [`one_hot`] on a given instruction set, which the processor must have.
///
/// # Safety
/// As for [`one_hot`].
pub unsafe fn one_hot_on(isa: Isa, indices: *const i32, count: usize, depth: usize, dst: *mut f32) {
    let (ends, fill) = (Ends { src: dst, dst, indices }, super::tile_ops::fill(isa));
    pool::run_range(count, (INLINE / depth.max(1)).max(1), &|range| {
        // SAFETY: the ranges partition the rows of `dst`.
        unsafe {
            fill(ends.dst(range.start * depth), 0.0, range.len() * depth);
            for i in range {
                let index = ends.indices.add(i).read();
                if index >= 0 && (index as usize) < depth {
                    ends.dst(i * depth + index as usize).write(1.0);
                }
            }
        }
    });
}

/// The terms of each row, in the order of its indices: at `dst` where each row's begin (`rows + 1`
/// numbers), then the terms, of which each one stands for `each` indices that follow each other.
///
/// # Safety
/// `dst` covers `rows + 1` and as many as there are indices; these are below `rows`.
pub unsafe fn row_order(indices: &[i32], each: usize, rows: usize, dst: *mut i32) {
    let starts = std::slice::from_raw_parts_mut(dst, rows + 1);
    let list = dst.add(rows + 1);
    starts.fill(0);
    for &row in indices {
        starts[row as usize] += 1;
    }
    // Each row's end, which moves down to its begin as its terms are laid, last one first.
    let mut end = 0;
    for start in starts.iter_mut() {
        end += *start;
        *start = end;
    }
    for (term, indices) in indices.chunks(each.max(1)).enumerate().rev() {
        for &row in indices.iter().rev() {
            let start = &mut starts[row as usize];
            *start -= 1;
            list.add(*start as usize).write(term as i32);
        }
    }
}

/// What is added to the rows of a table: rows of `src`, each row's own in the order of a [`row_order`] of
/// `count` indices.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    src: *const f32,
    order: *const i32,
    rows: usize,
    n: usize,
    count: usize,
}

// SAFETY: the terms are only read.
unsafe impl Sync for Terms {}

impl Terms {
    /// For a table of `rows` rows of `n` numbers.
    ///
    /// # Safety
    /// `order` is that of `count` indices, `src` covers the terms that it names; both outlive the value.
    #[must_use]
    pub unsafe fn new(src: *const f32, order: *const i32, rows: usize, n: usize, count: usize) -> Terms {
        Terms { src, order, rows, n, count }
    }

    /// Where the terms of a row begin and end in the list.
    #[inline]
    fn of(&self, row: usize) -> std::ops::Range<usize> {
        debug_assert!(row < self.rows);
        // SAFETY: the order has a begin for each row, and an end.
        let [from, to] = unsafe { [*self.order.add(row) as usize, *self.order.add(row + 1) as usize] };
        from..to.min(self.count)
    }

    /// Numbers of a row.
    #[inline]
    pub(super) fn width(&self) -> usize {
        self.n
    }

    /// Where the terms of each row of a range begin in the list, and where those of the last end.
    #[inline]
    pub(super) fn begins(&self, rows: std::ops::Range<usize>) -> &[i32] {
        debug_assert!(rows.end <= self.rows);
        // SAFETY: the order has a begin for each row, and an end.
        unsafe { std::slice::from_raw_parts(self.order.add(rows.start), rows.len() + 1) }
    }

    /// Adds them to `dst`.
    ///
    /// # Safety
    /// `dst` is a row that overlaps no term; `add` is that of the processor.
    #[inline]
    unsafe fn add(&self, add: unsafe fn(*mut f32, *const f32, usize), row: usize, dst: *mut f32) {
        let list = self.order.add(self.rows + 1);
        for at in self.of(row) {
            let position = *list.add(at) as usize;
            debug_assert!(position < self.count);
            add(dst, self.src.add(position * self.n), self.n);
        }
    }

    /// Has the first of them brought near.
    ///
    /// # Safety
    /// The row has terms.
    #[inline(always)]
    pub(super) unsafe fn prefetch(&self, row: usize) {
        let position = *self.order.add(self.rows + 1 + self.of(row).start) as usize;
        super::prefetch_row(self.src.wrapping_add(position * self.n), self.n);
    }

    /// `V` vectors of their sum, from 0 on, in their order: those from column `i` on, of `len` elements.
    ///
    /// # Safety
    /// The columns are there, and `len` is that of a vector where there are several.
    #[inline(always)]
    pub(super) unsafe fn sum_some<S: Simd, const V: usize>(
        &self,
        row: usize,
        i: usize,
        len: usize,
    ) -> [S::F; V] {
        debug_assert!(i + (V - 1) * LANES + len <= self.n);
        let list = self.order.add(self.rows + 1);
        let mut sums = [S::splat(0.0); V];
        for at in self.of(row) {
            let term = self.src.add(*list.add(at) as usize * self.n + i);
            for (v, sum) in sums.iter_mut().enumerate() {
                let at = term.add(v * LANES);
                *sum = S::add(*sum, if len == LANES { S::load(at) } else { S::load_n(at, len) });
            }
        }
        sums
    }
}

/// Elements of a block of [`RowSums`], which an epilogue consumes while it is in L2.
const BLOCK: usize = 1 << 14;

/// The table `rows x n` of sums of rows of a first operand, chosen by a [`row_order`].
#[derive(Debug)]
pub struct RowSums {
    rows: usize,
    n: usize,
    /// Indices of the order.
    count: usize,
}

impl RowSums {
    /// For the order of `count` indices of `rows` rows of `n` numbers.
    #[must_use]
    pub fn new(rows: usize, n: usize, count: usize) -> RowSums {
        RowSums { rows, n, count }
    }

    fn block(&self) -> usize {
        (BLOCK / self.n.max(1)).max(1)
    }

    unsafe fn make(&self, args: &[*const u8], row: usize, dst: *mut f32, end: &Finishing<'_>) {
        let (n, rows) = (self.n, self.block().min(self.rows - row));
        let terms = Terms::new(args[0].cast(), args[1].cast(), self.rows, n, self.count);
        let add = add_row(isa());
        super::tile_ops::fill(isa())(dst, 0.0, rows * n);
        for r in 0..rows {
            terms.add(add, row + r, dst.add(r * n));
        }
        if !end.bias.is_null() || end.relu {
            for at in 0..rows * n {
                let x = dst.add(at);
                if !end.bias.is_null() {
                    *x += *end.bias.add(at % n);
                }
                // NaN stays.
                if end.relu && *x < 0.0 {
                    *x = 0.0;
                }
            }
        }
        if let Some(epilogue) = end.epilogue {
            epilogue.apply(row, rows, 0, n, dst, n);
        }
    }
}

impl Blocked for RowSums {
    fn rows(&self) -> usize {
        self.rows
    }

    fn cols(&self) -> usize {
        self.n
    }

    fn bands(&self) -> usize {
        self.rows.div_ceil(self.block())
    }

    fn band(&self, row: usize) -> usize {
        row / self.block()
    }

    unsafe fn run(&self, args: &[*const u8], c: *mut f32, end: &Finishing<'_>) {
        let call = Sums { sums: self, args, c, end };
        pool::run(self.bands(), &|band| {
            let call = &call;
            let row = band * call.sums.block();
            // SAFETY: the caller vouches for the operands; blocks are disjoint.
            unsafe {
                if call.c.is_null() {
                    let mut room = scratch(call.sums.block() * call.sums.n);
                    call.sums.make(call.args, row, room.as_mut_ptr(), call.end);
                } else {
                    call.sums.make(call.args, row, call.c.add(row * call.sums.n), call.end);
                }
            }
        });
    }
}

struct Sums<'a> {
    sums: &'a RowSums,
    args: &'a [*const u8],
    c: *mut f32,
    end: &'a Finishing<'a>,
}

// SAFETY: operands are only read, and blocks write disjoint memory.
unsafe impl Sync for Sums<'_> {}
