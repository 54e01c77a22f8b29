//! F2. Rows and columns of images as weighted sums of other rows and columns, channels last: enlarging,
//! shrinking, and the way back, which gathers by the same weights listed by the other side. Both
//! directions are taken in one go, a line of the result at a time, over what lies in L1.

use crate::buffer::{Scratch, scratch};
use crate::per_isa;
use crate::pool;
use crate::simd::{Isa, LANES, Simd};
use smallvec::SmallVec;

/// Multiply-adds that are worth a task of their own.
const GRAIN: usize = 1 << 15;
/// Lines whose columns are kept for the next line of the result.
const KEPT: usize = 32;
/// Floats behind a line that a vector may read.
const ROOM: usize = LANES;

/// Weights as they are given: place `i` of the result is the sum of `by[i, k]` times place `at[i] + k`.
#[derive(Debug, Clone, Copy)]
pub struct Bands {
    /// One first place for each of the result's, `made` in all.
    pub at: *const i32,
    /// `(made, taps)` weights.
    pub by: *const f32,
    /// Places of the result.
    pub made: usize,
    /// Weights of a place.
    pub taps: usize,
    /// Places of the operand.
    pub size: usize,
}

impl Bands {
    /// What counts, in order: place of the result, place of the operand, weight. Places outside the
    /// operand and weights of 0 do not.
    unsafe fn each(&self, mut f: impl FnMut(usize, usize, f32)) {
        for i in 0..self.made {
            let first = i64::from(self.at.add(i).read());
            for k in 0..self.taps {
                let (by, at) = (self.by.add(i * self.taps + k).read(), first + k as i64);
                if by != 0.0 && (0..self.size as i64).contains(&at) {
                    f(i, at as usize, by);
                }
            }
        }
    }
}

/// Weights by the place that reads: what it reads and by how much.
pub struct Taps {
    places: usize,
    /// The largest distance between what one place reads, plus one.
    span: usize,
    /// Each place reads the one of its own number, by 1.
    plain: bool,
    all: usize,
    // `places + 1` starts, `all` positions, then `all` weights.
    _memory: Scratch,
    start: *mut u32,
}

// SAFETY: threads only read, from memory that the list owns.
unsafe impl Sync for Taps {}

impl Taps {
    /// # Safety
    /// The bands' pointers cover their extents, and there are fewer than 2^32 of them.
    unsafe fn new(bands: &Bands, back: bool) -> Taps {
        // Read once: another thread may change the operands meanwhile.
        let mut copy = scratch(bands.made * (1 + bands.taps));
        let (at, by) = (copy.as_mut_ptr().cast::<i32>(), copy.as_mut_ptr().add(bands.made));
        at.copy_from_nonoverlapping(bands.at, bands.made);
        by.copy_from_nonoverlapping(bands.by, bands.made * bands.taps);
        let bands = &Bands { at, by, ..*bands };
        let places = if back { bands.size } else { bands.made };
        let mut all = 0;
        bands.each(|_, _, _| all += 1);
        let mut memory = scratch(places + 2 + 2 * all);
        let start: *mut u32 = memory.as_mut_ptr().cast();
        start.write_bytes(0, places + 2);
        let mut taps = Taps { places, span: 1, plain: false, all, _memory: memory, start };
        // Counts two ahead: filling moves each start to where the next begins.
        bands.each(|i, j, _| *start.add(2 + if back { j } else { i }) += 1);
        for place in 2..places + 2 {
            *start.add(place) += *start.add(place - 1);
        }
        let (at, by) = (taps.at(), taps.by());
        bands.each(|i, j, weight| {
            let (to, from) = if back { (j, i) } else { (i, j) };
            let next = start.add(to + 1);
            at.add(*next as usize).write(from as u32);
            by.add(*next as usize).write(weight);
            *next += 1;
        });
        let (mut span, mut plain) = (1, places == if back { bands.made } else { bands.size });
        for place in 0..places {
            let (at, by) = taps.of(place);
            if let (Some(first), Some(last)) = (at.iter().min(), at.iter().max()) {
                span = span.max((last - first) as usize + 1);
            }
            plain &= at == [place as u32] && by == [1.0];
        }
        (taps.span, taps.plain) = (span, plain);
        taps
    }

    fn at(&self) -> *mut u32 {
        self.start.wrapping_add(self.places + 2)
    }

    fn by(&self) -> *mut f32 {
        self.at().wrapping_add(self.all).cast()
    }

    /// Positions and weights of a place.
    #[inline(always)]
    fn of(&self, place: usize) -> (&[u32], &[f32]) {
        debug_assert!(place < self.places);
        // SAFETY: the list covers its places; starts ascend up to `all`.
        unsafe {
            let first = self.start.add(place).read() as usize;
            let count = self.start.add(place + 1).read() as usize - first;
            let at = std::slice::from_raw_parts(self.at().add(first), count);
            (at, std::slice::from_raw_parts(self.by().add(first), count))
        }
    }
}

/// Images (images, rows, columns, channels) and where the result goes.
#[derive(Debug, Clone, Copy)]
pub struct Images {
    /// The batch.
    pub images: usize,
    /// Channels.
    pub channels: usize,
    /// The operand.
    pub from: *const f32,
    /// The result.
    pub to: *mut f32,
}

// SAFETY: threads read the operand and write disjoint lines of the result.
unsafe impl Sync for Images {}

/// Rows and columns of the result from those of `images`, or, `back`, the other way round: what
/// flows into the result to the operand.
///
/// # Safety
/// The images' and the bands' pointers cover their extents; the processor has `isa`.
pub unsafe fn resample(isa: Isa, images: &Images, rows: &Bands, columns: &Bands, back: bool) {
    let [height, width] = [rows, columns].map(|b| if back { b.made } else { b.size });
    let [rows, columns] = [Taps::new(rows, back), Taps::new(columns, back)];
    let (wide, made) = (width * images.channels, columns.places * images.channels);
    let lines = images.images * rows.places;
    if lines * made == 0 {
        return;
    }
    // Columns come first where that is less to do, and lines that were made are read again soon.
    let kept = (height < rows.places && !columns.plain && rows.span <= KEPT).then_some(rows.span);
    let job = Job { images, rows: &rows, columns: &columns, height, wide, made, kept };
    let work = wide * rows.all.div_ceil(rows.places) + images.channels * columns.all;
    let grain = (GRAIN / work.max(1)).max(1).max(8 * kept.unwrap_or(0));
    let kernel = lines_of(isa);
    pool::run_range(lines, grain, &|range| {
        // SAFETY: the caller vouches for the extents; every line is one thread's.
        unsafe { kernel(&job, range.start, range.end) };
    });
}

struct Job<'a> {
    images: &'a Images,
    rows: &'a Taps,
    columns: &'a Taps,
    height: usize,
    /// Floats in a line of the operand.
    wide: usize,
    /// Floats in a line of the result.
    made: usize,
    /// How many lines of the operand are kept with the result's columns, if columns come first.
    kept: Option<usize>,
}

per_isa!(
    fn lines_of(job: &Job<'_>, first: usize, end: usize) = lines_generic
);

type Lines = SmallVec<[*const f32; 16]>;

#[inline(always)]
unsafe fn lines_generic<S: Simd>(job: &Job<'_>, first: usize, end: usize) {
    let (slots, line) = match job.kept {
        Some(slots) => (slots, job.made),
        None => (0, 0),
    };
    let mut space = scratch(slots * line + job.wide + ROOM);
    let space = space.as_mut_ptr();
    let spare = space.add(slots * line);
    // Vectors may read behind a line; what they read there counts nowhere.
    spare.add(job.wide).write_bytes(0, ROOM);
    let mut kept: SmallVec<[usize; KEPT]> = smallvec::smallvec![usize::MAX; slots];
    let mut from = Lines::new();
    for at in first..end {
        let (image, row) = (at / job.rows.places, at % job.rows.places);
        let (sources, by) = job.rows.of(row);
        let to = job.images.to.add(at * job.made);
        from.clear();
        for &source in sources {
            let source = image * job.height + source as usize;
            from.push(if slots == 0 {
                job.images.from.add(source * job.wide)
            } else {
                // What one place reads lies within `slots` lines, so these have slots of their own.
                let slot = source % slots;
                let ready = space.add(slot * line);
                if kept[slot] != source {
                    across::<S>(job, ready, readable(job, source, spare));
                    kept[slot] = source;
                }
                ready
            });
        }
        if slots > 0 || job.columns.plain {
            mixed::<S>(to, &from, by, job.made);
        } else if by == [1.0] {
            across::<S>(job, to, readable(job, image * job.height + sources[0] as usize, spare));
        } else {
            mixed::<S>(spare, &from, by, job.wide);
            across::<S>(job, to, spare);
        }
    }
}

/// A line of the operand behind which a vector may read: the last one is copied.
#[inline(always)]
unsafe fn readable(job: &Job<'_>, source: usize, spare: *mut f32) -> *const f32 {
    let from = job.images.from.add(source * job.wide);
    let behind = (job.images.images * job.height - source - 1) * job.wide;
    if behind >= ROOM || job.images.channels > NARROW {
        return from;
    }
    spare.copy_from_nonoverlapping(from, job.wide);
    spare
}

/// Pixels of up to as many channels are read and written as vectors that reach into the next one.
const NARROW: usize = 8;

/// The columns of the result from a line of the operand.
#[inline(always)]
unsafe fn across<S: Simd>(job: &Job<'_>, to: *mut f32, from: *const f32) {
    let n = job.images.channels;
    match n {
        1 => narrow::<S, 1>(to, from, job.columns, n),
        2..=4 => narrow::<S, 4>(to, from, job.columns, n),
        5..=NARROW => narrow::<S, 8>(to, from, job.columns, n),
        _ => wide::<S>(to, from, job.columns, n),
    }
}

#[inline(always)]
unsafe fn narrow<S: Simd, const V: usize>(to: *mut f32, from: *const f32, columns: &Taps, n: usize) {
    let last = columns.places - 1;
    for place in 0..last {
        // At most as many lanes too many as the next pixel has channels, which comes after.
        let sum = pixel::<S, V>(from, columns.of(place), n);
        to.add(place * n).cast::<[f32; V]>().write_unaligned(sum);
    }
    let sum = pixel::<S, V>(from, columns.of(last), n);
    to.add(last * n).copy_from_nonoverlapping(sum.as_ptr(), n);
}

/// A pixel of the result, and what lies behind it. Few taps are straight code: those of enlarging to
/// twice the size and shrinking to a half, there and back.
#[inline(always)]
unsafe fn pixel<S: Simd, const V: usize>(from: *const f32, taps: (&[u32], &[f32]), n: usize) -> [f32; V] {
    let (at, by) = taps;
    let count = at.len();
    if count == 0 {
        return [0.0; V];
    }
    let mut sum = from.add(at[0] as usize * n).cast::<[f32; V]>().read_unaligned();
    for lane in &mut sum {
        *lane *= by[0];
    }
    if count == 2 {
        return more::<S, V>(sum, from, at, by, 1, n);
    }
    if count == 4 {
        let sum = more::<S, V>(sum, from, at, by, 1, n);
        let sum = more::<S, V>(sum, from, at, by, 2, n);
        return more::<S, V>(sum, from, at, by, 3, n);
    }
    for k in 1..count {
        sum = more::<S, V>(sum, from, at, by, k, n);
    }
    sum
}

/// The sum and what tap `k` adds.
#[inline(always)]
unsafe fn more<S: Simd, const V: usize>(
    mut sum: [f32; V],
    from: *const f32,
    at: &[u32],
    by: &[f32],
    k: usize,
    n: usize,
) -> [f32; V] {
    let x = from.add(*at.get_unchecked(k) as usize * n).cast::<[f32; V]>().read_unaligned();
    let weight = *by.get_unchecked(k);
    for lane in 0..V {
        sum[lane] = if S::FUSED { weight.mul_add(x[lane], sum[lane]) } else { weight * x[lane] + sum[lane] };
    }
    sum
}

#[inline(always)]
unsafe fn wide<S: Simd>(to: *mut f32, from: *const f32, columns: &Taps, n: usize) {
    for place in 0..columns.places {
        let (at, by) = columns.of(place);
        for c in (0..n).step_by(LANES) {
            let rest = (n - c).min(LANES);
            let mut sum = S::splat(0.0);
            if let (Some(&first), Some(&weight)) = (at.first(), by.first()) {
                sum = S::mul(S::splat(weight), load::<S>(from.add(first as usize * n + c), rest));
            }
            for (&at, &weight) in at.iter().zip(by).skip(1) {
                sum = S::fma(S::splat(weight), load::<S>(from.add(at as usize * n + c), rest), sum);
            }
            store::<S>(to.add(place * n + c), sum, rest);
        }
    }
}

/// The weighted sum of lines.
#[inline(always)]
unsafe fn mixed<S: Simd>(to: *mut f32, from: &[*const f32], by: &[f32], n: usize) {
    let head = match from.len() {
        0 => {
            to.write_bytes(0, n);
            return;
        }
        1 if by[0] == 1.0 => {
            to.copy_from_nonoverlapping(from[0], n);
            return;
        }
        many if many % 4 == 0 => 4,
        many => many % 4,
    };
    match head {
        1 => mixed_some::<S, 1>(to, from, by, n, false),
        2 => mixed_some::<S, 2>(to, from, by, n, false),
        3 => mixed_some::<S, 3>(to, from, by, n, false),
        _ => mixed_some::<S, 4>(to, from, by, n, false),
    }
    for (from, by) in from[head..].chunks(4).zip(by[head..].chunks(4)) {
        mixed_some::<S, 4>(to, from, by, n, true);
    }
}

#[inline(always)]
unsafe fn mixed_some<S: Simd, const N: usize>(
    to: *mut f32,
    from: &[*const f32],
    by: &[f32],
    n: usize,
    more: bool,
) {
    let lines: [*const f32; N] = std::array::from_fn(|k| from[k]);
    let mut weights = [S::splat(0.0); N];
    for k in 0..N {
        weights[k] = S::splat(by[k]);
    }
    let mut i = 0;
    while i < n {
        let rest = (n - i).min(LANES);
        let x = load::<S>(lines[0].add(i), rest);
        let mut sum =
            if more { S::fma(weights[0], x, load::<S>(to.add(i), rest)) } else { S::mul(weights[0], x) };
        for k in 1..N {
            sum = S::fma(weights[k], load::<S>(lines[k].add(i), rest), sum);
        }
        store::<S>(to.add(i), sum, rest);
        i += LANES;
    }
}

#[inline(always)]
unsafe fn load<S: Simd>(p: *const f32, rest: usize) -> S::F {
    if rest == LANES { S::load(p) } else { S::load_n(p, rest) }
}

#[inline(always)]
unsafe fn store<S: Simd>(p: *mut f32, v: S::F, rest: usize) {
    if rest == LANES { S::store(p, v) } else { S::store_n(p, v, rest) }
}
