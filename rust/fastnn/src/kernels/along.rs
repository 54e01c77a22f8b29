//! F2. Along one axis of an array: counting, running sums, elements by index and their gradient.
//! Depends on the pool; work is cut by the problem alone, so sums have one order on any number of threads.

use crate::pool;
use crate::sync::Lock;

/// Elements that are worth a chunk of their own.
const GRAIN: usize = 1 << 14;
/// Neighbours that are taken along the axis together: their lines stay in L1.
const WIDTH: usize = 512;

/// An array as (outer, n, inner) around the axis.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    /// Product of the sizes before the axis.
    pub outer: usize,
    /// Size of the axis.
    pub n: usize,
    /// Product of the sizes behind it.
    pub inner: usize,
}

/// Pointers that work items share: they read what nobody writes and write places of their own.
#[derive(Clone, Copy)]
struct Ends<A, B>(*const A, *mut B);
// SAFETY: as it says.
unsafe impl<A: Sync, B: Send> Sync for Ends<A, B> {}
impl<A, B> Ends<A, B> {
    fn src(&self, i: usize) -> *const A {
        self.0.wrapping_add(i)
    }
    fn dst(&self, i: usize) -> *mut B {
        self.1.wrapping_add(i)
    }
}

/// An index that is none, at a flat position of the indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outside {
    /// Where it stands.
    pub at: usize,
    /// What was read there.
    pub index: i32,
}

/// Calls `line(outer, first, some)` once for each group of `some` neighbours of each line of the axis.
fn lines(around: Around, rows: usize, line: &(dyn Fn(usize, usize, usize) + Sync)) {
    let Around { outer, inner, .. } = around;
    let groups = inner.div_ceil(WIDTH);
    let work = (rows * inner.min(WIDTH)).max(1);
    pool::run_range(outer * groups, (GRAIN / work).max(1), &|range| {
        for at in range {
            let first = at % groups * WIDTH;
            line(at / groups, first, WIDTH.min(inner - first));
        }
    });
}

/// `dst[i] = value(i)`.
///
/// # Safety
/// `dst` covers `count` elements.
pub unsafe fn count<T: Send + Sync>(dst: *mut T, count: usize, value: impl Fn(usize) -> T + Sync) {
    let ends = Ends(std::ptr::null::<u8>(), dst);
    pool::run_range(count, 2 * GRAIN, &|range| {
        for i in range {
            // SAFETY: ranges are inside `count` and apart.
            unsafe { ends.dst(i).write(value(i)) };
        }
    });
}

/// `dst[o, i, :]` is the sum of `src[o, ..=i, :]`, kept as an `S` from one element to the next.
///
/// # Safety
/// Both cover the array and are apart.
pub unsafe fn running<T: Copy + Send + Sync, S: Copy + Send + Sync>(
    src: *const T,
    dst: *mut T,
    around: Around,
    zero: S,
    add: impl Fn(S, T) -> S + Sync,
    told: impl Fn(S) -> T + Sync,
) {
    let (ends, Around { n, inner, .. }) = (Ends(src, dst), around);
    lines(around, n, &|o, first, some| {
        if inner == 1 {
            // SAFETY: one line, which is nobody else's.
            let (from, to) = unsafe {
                (
                    std::slice::from_raw_parts(ends.src(o * n), n),
                    std::slice::from_raw_parts_mut(ends.dst(o * n), n),
                )
            };
            let mut sum = zero;
            for (to, &x) in to.iter_mut().zip(from) {
                sum = add(sum, x);
                *to = told(sum);
            }
            return;
        }
        for (first, some) in columns(first, some) {
            let mut sums = [zero; COLUMNS];
            for i in 0..n {
                let at = (o * n + i) * inner + first;
                // SAFETY: rows of one group, of which nobody else writes any.
                let (from, to) = unsafe {
                    (
                        std::slice::from_raw_parts(ends.src(at), some),
                        std::slice::from_raw_parts_mut(ends.dst(at), some),
                    )
                };
                for ((to, &x), sum) in to.iter_mut().zip(from).zip(&mut sums) {
                    *sum = add(*sum, x);
                    *to = told(*sum);
                }
            }
        }
    });
}

/// Sums of so many columns fit in a core's nearest memory.
const COLUMNS: usize = 1024;

/// `some` columns from `first` on, by at most `COLUMNS`: where they begin and how many they are.
fn columns(first: usize, some: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..some).step_by(COLUMNS).map(move |at| (first + at, COLUMNS.min(some - at)))
}

/// `index` counted from the front of an axis of `n`, which may be longer than an i32 counts.
#[must_use]
pub fn position(index: i32, n: usize) -> Option<usize> {
    let at = if index < 0 { i64::from(index) + n as i64 } else { i64::from(index) };
    usize::try_from(at).ok().filter(|&at| at < n)
}

/// The first of the indices that are none.
#[derive(Default)]
struct First(Lock<Option<Outside>>);

impl First {
    fn note(&self, at: usize, index: i32) {
        let mut found = self.0.lock();
        if found.is_none_or(|f| at < f.at) {
            *found = Some(Outside { at, index });
        }
    }

    fn result(self) -> Result<(), Outside> {
        let found = *self.0.lock();
        found.map_or(Ok(()), Err)
    }
}

/// `dst[o, i, j] = src[o, indices[o, i, j], j]` for `count` rows `i`; negative indices count from the end.
///
/// # Safety
/// `src` covers the array, `indices` and `dst` `outer * count * inner` elements, and they are apart.
pub unsafe fn take<T: Copy + Send + Sync>(
    src: *const T,
    indices: *const i32,
    dst: *mut T,
    around: Around,
    count: usize,
) -> Result<(), Outside> {
    let (ends, ids, bad) = (Ends(src, dst), Ends(indices, dst), First::default());
    let Around { outer, n, inner } = around;
    pool::run_range(outer * count, (GRAIN / inner.max(1)).max(1), &|range| {
        for row in range {
            let from = row / count * n;
            for j in 0..inner {
                let at = row * inner + j;
                // Read once and checked before use: another thread may change an array of the caller.
                // SAFETY: the places are inside what the pointers cover; those of `dst` are apart.
                unsafe {
                    let index = ids.src(at).read_volatile();
                    let Some(k) = position(index, n) else { return bad.note(at, index) };
                    ends.dst(at).write(ends.src((from + k) * inner + j).read());
                }
            }
        }
    });
    bad.result()
}

/// The gradient of [`take`]: `dst[o, indices[o, i, j], j] += src[o, i, j]` into zeros, row after row.
///
/// # Safety
/// `dst` covers the array, `indices` and `src` `outer * count * inner` elements, and they are apart.
pub unsafe fn take_grad(
    src: *const f32,
    indices: *const i32,
    dst: *mut f32,
    around: Around,
    count: usize,
) -> Result<(), Outside> {
    let (ends, ids, bad) = (Ends(src, dst), Ends(indices, dst), First::default());
    let Around { n, inner, .. } = around;
    lines(around, n + count, &|o, first, some| {
        // SAFETY: the places are inside what the pointers cover; those of `dst` are of one group of
        // neighbours, to which nobody else adds.
        unsafe {
            for i in 0..n {
                ends.dst((o * n + i) * inner + first).write_bytes(0, some);
            }
            for i in 0..count {
                for j in first..first + some {
                    let at = (o * count + i) * inner + j;
                    let index = ids.src(at).read_volatile();
                    let Some(k) = position(index, n) else { return bad.note(at, index) };
                    *ends.dst((o * n + k) * inner + j) += ends.src(at).read();
                }
            }
        }
    });
    bad.result()
}
