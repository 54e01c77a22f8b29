//! F2. Two sums per column of a matrix in one pass over its rows: the mean and the mean square
//! distance from it, or the sums of a gradient and of its products with deviations, as batch
//! normalisation needs them (Ioffe and Szegedy 2015). Rows are taken chunk by chunk; chunks follow from
//! the sizes alone and are joined in their order in f64 (Chan, Golub, LeVeque 1979), so the bits
//! never depend on the thread count.

use crate::buffer::{Scratch, scratch};
use crate::per_isa;
use crate::pool;
use crate::simd::{Isa, LANES, Simd};
use std::ops::Range;

/// Chunks of a matrix, if they get no smaller and no larger than the sizes below.
const CHUNKS: usize = 32;
/// Elements of a chunk, at least.
const SMALLEST: usize = 1 << 13;
/// Elements of a chunk, at most, but for a row of more.
const LARGEST: usize = 1 << 17;
/// Rows whose sums are added up before they join those of the chunk.
const BLOCK: usize = 128;
/// Rows of numbers that a chunk works with.
const ROOM: usize = 5;
/// Rows read together and added as a tree.
const GROUP: usize = 4;
/// One of so many rows of a chunk tells where its middle is. Whatever the other rows are, the distance
/// of these rows' mean from the chunk's is at most three deviations, so the squares lose no digits.
const PILOT: usize = 8;

/// Sums over `rows x n` elements; results may be null.
#[derive(Debug, Clone, Copy)]
pub struct Moments {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub n: usize,
    /// Deviations are multiplied by it before they are squared.
    pub factor: f32,
    /// The elements.
    pub x: *const f32,
    /// The mean of each column, NaN of nothing.
    pub mean: *mut f32,
    /// The mean of the squares of each column, NaN of nothing.
    pub power: *mut f32,
}

/// Sums over `rows x n` elements; results may be null.
#[derive(Debug, Clone, Copy)]
pub struct ColumnSums {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub n: usize,
    /// What is added up.
    pub a: *const f32,
    /// What it is multiplied by.
    pub b: *const f32,
    /// Taken off `b`, one per column; null: nothing.
    pub middle: *const f32,
    /// The sum of each column of `a`.
    pub plain: *mut f32,
    /// The sum of each column of `a (b - middle)`.
    pub along: *mut f32,
}

/// What a kernel adds up: of `a` alone, with deviations from a middle of its own; or with a `b`.
#[derive(Clone, Copy)]
struct Call {
    n: usize,
    a: *const f32,
    b: *const f32,
    middle: *const f32,
    factor: f32,
}

// SAFETY: the operands are only read.
unsafe impl Sync for Call {}

#[derive(Clone, Copy)]
struct Room(*mut f32);
// SAFETY: chunks write disjoint parts.
unsafe impl Sync for Room {}

impl Room {
    /// Two rows of sums, the row of middles that they are around, and two rows of sums of a block.
    #[inline(always)]
    fn of(self, chunk: usize, n: usize) -> *mut f32 {
        self.0.wrapping_add(chunk * ROOM * n)
    }
}

fn grain_of(rows: usize, n: usize) -> usize {
    let elements = (rows * n / CHUNKS).clamp(SMALLEST, LARGEST);
    (elements / n).max(1)
}

/// The mean of each column and the mean square of `(x - mean) factor`, on all threads.
///
/// # Safety
/// The pointers cover what the fields say, results overlap nothing, and the processor has `isa`.
pub unsafe fn moments(isa: Isa, call: &Moments) {
    let (rows, n) = (call.rows, call.n);
    if n == 0 {
        return;
    }
    let given = Call { n, a: call.x, b: call.x, middle: std::ptr::null(), factor: call.factor };
    let mut room = of_chunks(of_itself(isa), &given, rows);
    join_moments(isa)(call, grain_of(rows, n), room.as_mut_ptr());
}

/// The sums of each column of `a` and of `a (b - middle)`, on all threads.
///
/// # Safety
/// As [`moments`].
pub unsafe fn column_sums(isa: Isa, call: &ColumnSums) {
    let (rows, n) = (call.rows, call.n);
    if n == 0 {
        return;
    }
    let given = Call { n, a: call.a, b: call.b, middle: call.middle, factor: 1.0 };
    let mut room = of_chunks(of_two(isa), &given, rows);
    join_sums(isa)(call, rows.div_ceil(grain_of(rows, n)), room.as_mut_ptr());
}

/// The sums of each chunk of rows, on all threads.
///
/// # Safety
/// As [`moments`].
unsafe fn of_chunks(kernel: unsafe fn(&Call, &Range<usize>, *mut f32), given: &Call, rows: usize) -> Scratch {
    let grain = grain_of(rows, given.n);
    let chunks = rows.div_ceil(grain);
    let mut room = scratch(chunks * ROOM * given.n);
    let sums = Room(room.as_mut_ptr());
    pool::run(chunks, &|i| {
        let sums = &sums;
        // SAFETY: the caller vouches for the call; chunks are disjoint.
        unsafe { kernel(given, &(i * grain..((i + 1) * grain).min(rows)), sums.of(i, given.n)) };
    });
    room
}

per_isa!(
    fn of_itself(call: &Call, range: &Range<usize>, room: *mut f32) = chunk_of_itself
);
per_isa!(
    fn of_two(call: &Call, range: &Range<usize>, room: *mut f32) = chunk_of_two
);
per_isa!(
    fn join_moments(call: &Moments, grain: usize, sums: *const f32) = join_moments_generic
);
per_isa!(
    fn join_sums(call: &ColumnSums, chunks: usize, sums: *const f32) = join_sums_generic
);

#[inline(always)]
unsafe fn load<S: Simd>(p: *const f32, k: usize) -> S::F {
    if k == LANES { S::load(p) } else { S::load_n(p, k) }
}

#[inline(always)]
unsafe fn store<S: Simd>(p: *mut f32, v: S::F, k: usize) {
    if k == LANES { S::store(p, v) } else { S::store_n(p, v, k) }
}

#[inline(always)]
unsafe fn chunk_of_itself<S: Simd>(call: &Call, range: &Range<usize>, room: *mut f32) {
    let n = call.n;
    let middle = room.add(2 * n);
    let pilot = range.start..range.start + range.len().div_ceil(PILOT);
    chunk::<S, PILOTS>(call, &pilot, room);
    let (zero, count) = (S::splat(0.0), S::splat(pilot.len() as f32));
    let mut at = 0;
    while at < n {
        let k = LANES.min(n - at);
        let mean = S::div(load::<S>(room.add(at), k), count);
        // Of an infinity or NaN there are no deviations: what it makes of the sums shall show.
        let finite = S::lt(S::abs(mean), S::splat(f32::INFINITY));
        store::<S>(middle.add(at), S::select(finite, mean, zero), k);
        at += LANES;
    }
    chunk::<S, DEVIATIONS>(call, range, room);
}

#[inline(always)]
unsafe fn chunk_of_two<S: Simd>(call: &Call, range: &Range<usize>, room: *mut f32) {
    let middle = room.add(2 * call.n);
    if call.middle.is_null() {
        std::ptr::write_bytes(middle, 0, call.n);
    } else {
        middle.copy_from_nonoverlapping(call.middle, call.n);
    }
    chunk::<S, PRODUCTS>(call, range, room);
}

/// Sums of `a` alone.
const PILOTS: u8 = 0;
/// Sums of `a - middle` and of `((a - middle) factor)^2`.
const DEVIATIONS: u8 = 1;
/// Sums of `a` and of `a (b - middle)`.
const PRODUCTS: u8 = 2;

/// What the element at `i` adds to the first sum, and the second sum with what it adds to that.
#[inline(always)]
unsafe fn terms<S: Simd, const OF: u8>(
    call: &Call,
    i: usize,
    k: usize,
    middle: S::F,
    sum: S::F,
) -> (S::F, S::F) {
    let a = load::<S>(call.a.add(i), k);
    match OF {
        PILOTS => (a, sum),
        DEVIATIONS => {
            let d = S::sub(a, middle);
            let e = S::mul(d, S::splat(call.factor));
            (d, S::fma(e, e, sum))
        }
        _ => (a, S::fma(a, S::sub(load::<S>(call.b.add(i), k), middle), sum)),
    }
}

/// The terms of `rows` rows from element `i` on, `GROUP` or fewer, in `k` columns.
#[inline(always)]
unsafe fn group<S: Simd, const OF: u8>(
    call: &Call,
    i: usize,
    rows: usize,
    k: usize,
    middle: *const f32,
    own: *mut f32,
) {
    let (n, zero) = (call.n, S::splat(0.0));
    let m = load::<S>(middle, k);
    let (mut x, mut y) = (load::<S>(own, k), load::<S>(own.add(n), k));
    if rows == GROUP {
        let (x0, y0) = terms::<S, OF>(call, i, k, m, y);
        let (x1, y1) = terms::<S, OF>(call, i + n, k, m, zero);
        let (x2, y0) = terms::<S, OF>(call, i + 2 * n, k, m, y0);
        let (x3, y1) = terms::<S, OF>(call, i + 3 * n, k, m, y1);
        x = S::add(x, S::add(S::add(x0, x1), S::add(x2, x3)));
        y = S::add(y0, y1);
    } else {
        for row in 0..rows {
            let (term, sum) = terms::<S, OF>(call, i + row * n, k, m, y);
            (x, y) = (S::add(x, term), sum);
        }
    }
    store::<S>(own, x, k);
    store::<S>(own.add(n), y, k);
}

/// The sums over the rows of `range`, into the first two rows of `room`: blocks of rows add up theirs
/// in the last two.
#[inline(always)]
unsafe fn chunk<S: Simd, const OF: u8>(call: &Call, range: &Range<usize>, room: *mut f32) {
    let n = call.n;
    let (middle, own) = (room.add(2 * n), room.add(3 * n));
    std::ptr::write_bytes(room, 0, 2 * n);
    let mut row = range.start;
    while row < range.end {
        let end = (row + BLOCK).min(range.end);
        std::ptr::write_bytes(own, 0, 2 * n);
        while row < end {
            let rows = GROUP.min(end - row);
            let mut at = 0;
            while rows == GROUP && at + LANES <= n {
                group::<S, OF>(call, row * n + at, GROUP, LANES, middle.add(at), own.add(at));
                at += LANES;
            }
            while at < n {
                let k = LANES.min(n - at);
                group::<S, OF>(call, row * n + at, rows, k, middle.add(at), own.add(at));
                at += LANES;
            }
            row += rows;
        }
        let mut at = 0;
        while at < 2 * n {
            let k = LANES.min(2 * n - at);
            let sum = S::add(load::<S>(room.add(at), k), load::<S>(own.add(at), k));
            store::<S>(room.add(at), sum, k);
            at += LANES;
        }
    }
}

/// Columns that are joined together.
const JOINED: usize = 256;

/// The moments of all rows from those of the chunks.
#[allow(clippy::extra_unused_type_parameters)] // compiled once per set
#[inline(always)]
unsafe fn join_moments_generic<S: Simd>(call: &Moments, grain: usize, sums: *const f32) {
    let (n, factor) = (call.n, f64::from(call.factor));
    let mut at = 0;
    while at < n {
        let width = JOINED.min(n - at);
        let (mut mean, mut power) = ([0f64; JOINED], [0f64; JOINED]);
        let mut before = 0;
        let mut chunk = 0;
        while before < call.rows {
            let count = grain.min(call.rows - before);
            let own = sums.add(chunk * ROOM * n + at);
            let share = count as f64 / (before + count) as f64;
            let (inverse, both) = (1.0 / count as f64, share * before as f64);
            for j in 0..width {
                let sum = f64::from(*own.add(j));
                let shift = sum * inverse;
                let middle = f64::from(*own.add(2 * n + j)) + shift;
                let square = f64::from(*own.add(n + j)) - sum * shift * (factor * factor);
                // Of one row the difference is 0 but for rounding.
                let square = if square < 0.0 { 0.0 } else { square };
                let apart = (middle - mean[j]) * factor;
                let moved = mean[j] + (middle - mean[j]) * share;
                // Infinities stay what they are.
                mean[j] = if moved.is_finite() { moved } else { mean[j] + middle };
                power[j] += square + apart * apart * both;
            }
            before += count;
            chunk += 1;
        }
        let all = call.rows as f64;
        for j in 0..width {
            let empty = call.rows == 0;
            if !call.mean.is_null() {
                call.mean.add(at + j).write(if empty { f32::NAN } else { mean[j] as f32 });
            }
            if !call.power.is_null() {
                call.power.add(at + j).write((power[j] / all) as f32);
            }
        }
        at += width;
    }
}

/// The sums of all rows from those of the chunks.
#[allow(clippy::extra_unused_type_parameters)] // compiled once per set
#[inline(always)]
unsafe fn join_sums_generic<S: Simd>(call: &ColumnSums, chunks: usize, sums: *const f32) {
    let n = call.n;
    let mut at = 0;
    while at < n {
        let width = JOINED.min(n - at);
        for (k, total) in [call.plain, call.along].into_iter().enumerate() {
            if total.is_null() {
                continue;
            }
            let mut sum = [0f64; JOINED];
            for chunk in 0..chunks {
                let own = sums.add((chunk * ROOM + k) * n + at);
                for (j, sum) in sum[..width].iter_mut().enumerate() {
                    *sum += f64::from(*own.add(j));
                }
            }
            for (j, sum) in sum[..width].iter().enumerate() {
                total.add(at + j).write(*sum as f32);
            }
        }
        at += width;
    }
}
