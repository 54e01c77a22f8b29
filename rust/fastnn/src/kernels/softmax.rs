//! F2. Row kernels over the last axis of `(rows, n)`: softmax, log-softmax, log-sum-exp, sparse
//! cross-entropy, layer normalisation. Rows of at most 64 stay in registers; longer rows are read
//! once from memory and again from cache. Rows are independent, so bits never depend on threads.
//! The row maximum is taken out before `exp`: any finite row gives a finite result. A row of -inf
//! only, or with +inf or NaN, gives NaN in softmax and log-softmax (as the naive formula does);
//! log-sum-exp gives -inf and +inf for the first two.

use crate::pool;
use crate::simd::{Isa, LANES, Simd, isa, math};

/// Elements below which the caller's thread does all.
const INLINE: usize = 8192;

// Lanes [16 - n, 32 - n) are n ones and then zeros.
static ONES: [f32; 2 * LANES] = {
    let mut m = [0.0; 2 * LANES];
    let mut i = 0;
    while i < LANES {
        m[i] = 1.0;
        i += 1;
    }
    m
};

// True in the first `n <= 16` lanes.
#[inline(always)]
pub(super) unsafe fn first<S: Simd>(n: usize) -> S::M {
    S::lt(S::splat(0.0), S::load(ONES.as_ptr().add(LANES - n)))
}

// A row of `16 (V - 1) < n <= 16 V` in registers, `fill` behind its end.
#[inline(always)]
unsafe fn load_row<S: Simd, const V: usize>(x: *const f32, n: usize, fill: f32) -> [S::F; V] {
    let mut row = [S::splat(fill); V];
    for (v, lane) in row.iter_mut().enumerate().take(V - 1) {
        *lane = S::load(x.add(v * LANES));
    }
    let rest = n - (V - 1) * LANES;
    let p = x.add((V - 1) * LANES);
    row[V - 1] = if rest == LANES {
        S::load(p)
    } else {
        S::select(first::<S>(rest), S::load_n(p, rest), S::splat(fill))
    };
    row
}

#[inline(always)]
unsafe fn store_row<S: Simd, const V: usize>(dst: *mut f32, n: usize, row: [S::F; V]) {
    for (v, &lane) in row.iter().enumerate().take(V - 1) {
        S::store(dst.add(v * LANES), lane);
    }
    let rest = n - (V - 1) * LANES;
    let p = dst.add((V - 1) * LANES);
    if rest == LANES { S::store(p, row[V - 1]) } else { S::store_n(p, row[V - 1], rest) }
}

#[inline(always)]
unsafe fn sum_row<S: Simd, const V: usize>(row: [S::F; V]) -> f32 {
    let mut t = row[0];
    for &v in &row[1..] {
        t = S::add(t, v);
    }
    S::sum(t)
}

#[inline(always)]
unsafe fn max_row<S: Simd, const V: usize>(row: [S::F; V]) -> f32 {
    let mut t = row[0];
    for &v in &row[1..] {
        t = S::max(t, v);
    }
    S::max_lane(t)
}

// (e^(x - max), their sum) of a short row.
#[inline(always)]
unsafe fn exp_row<S: Simd, const V: usize>(x: [S::F; V], max: f32) -> ([S::F; V], f32) {
    let m = S::splat(max);
    let mut e = x;
    for v in &mut e {
        *v = math::exp_or_zero::<S>(S::sub(*v, m));
    }
    (e, sum_row::<S, V>(e))
}

#[inline(always)]
unsafe fn log_of<S: Simd>(x: f32) -> S::F {
    math::log::<S>(S::splat(x))
}

#[inline(always)]
unsafe fn first_lane<S: Simd>(x: S::F) -> f32 {
    let mut y = 0f32;
    S::store_n(&raw mut y, x, 1);
    y
}

// The largest of a long row; NaN anywhere may or may not show, and shows in the sum later.
#[inline(always)]
unsafe fn max_long<S: Simd>(x: *const f32, n: usize) -> f32 {
    let (mut a, mut b, mut c, mut d) =
        (S::load(x), S::load(x.add(LANES)), S::load(x.add(2 * LANES)), S::load(x.add(3 * LANES)));
    let mut i = 4 * LANES;
    while i + 4 * LANES <= n {
        a = S::max(a, S::load(x.add(i)));
        b = S::max(b, S::load(x.add(i + LANES)));
        c = S::max(c, S::load(x.add(i + 2 * LANES)));
        d = S::max(d, S::load(x.add(i + 3 * LANES)));
        i += 4 * LANES;
    }
    // The last 64 again: a maximum does not mind.
    let end = x.add(n - 4 * LANES);
    a = S::max(a, S::load(end));
    b = S::max(b, S::load(end.add(LANES)));
    c = S::max(c, S::load(end.add(2 * LANES)));
    d = S::max(d, S::load(end.add(3 * LANES)));
    S::max_lane(S::max(S::max(a, b), S::max(c, d)))
}

// The sum of e^(x - max) over a long row, the exponentials stored at `dst` when STORE.
#[inline(always)]
unsafe fn exp_long<S: Simd, const STORE: bool>(dst: *mut f32, x: *const f32, n: usize, max: f32) -> f32 {
    let m = S::splat(max);
    let (mut s, mut t) = (S::splat(0.0), S::splat(0.0));
    let mut i = 0;
    while i + 2 * LANES <= n {
        let a = math::exp_or_zero::<S>(S::sub(S::load(x.add(i)), m));
        let b = math::exp_or_zero::<S>(S::sub(S::load(x.add(i + LANES)), m));
        if STORE {
            S::store(dst.add(i), a);
            S::store(dst.add(i + LANES), b);
        }
        s = S::add(s, a);
        t = S::add(t, b);
        i += 2 * LANES;
    }
    while i < n {
        let k = LANES.min(n - i);
        let v = if k == LANES { S::load(x.add(i)) } else { S::load_n(x.add(i), k) };
        let e = S::select(first::<S>(k), math::exp_or_zero::<S>(S::sub(v, m)), S::splat(0.0));
        if STORE {
            if k == LANES { S::store(dst.add(i), e) } else { S::store_n(dst.add(i), e, k) }
        }
        s = S::add(s, e);
        i += k;
    }
    S::sum(S::add(s, t))
}

// dst = (x - shift) * scale over a long row.
#[inline(always)]
unsafe fn affine_long<S: Simd>(dst: *mut f32, x: *const f32, n: usize, shift: S::F, scale: S::F) {
    let mut i = 0;
    while i + 2 * LANES <= n {
        let (a, b) = (S::load(x.add(i)), S::load(x.add(i + LANES)));
        S::store(dst.add(i), S::mul(S::sub(a, shift), scale));
        S::store(dst.add(i + LANES), S::mul(S::sub(b, shift), scale));
        i += 2 * LANES;
    }
    while i < n {
        let k = LANES.min(n - i);
        if k == LANES {
            S::store(dst.add(i), S::mul(S::sub(S::load(x.add(i)), shift), scale));
        } else {
            S::store_n(dst.add(i), S::mul(S::sub(S::load_n(x.add(i), k), shift), scale), k);
        }
        i += k;
    }
}

// The sum of (x - shift) or of its square over a long row.
#[inline(always)]
pub(super) unsafe fn moment_long<S: Simd, const SQUARE: bool>(x: *const f32, n: usize, shift: f32) -> f32 {
    let c = S::splat(shift);
    let mut acc = [S::splat(0.0); 4];
    let mut i = 0;
    while i + 4 * LANES <= n {
        for (v, acc) in acc.iter_mut().enumerate() {
            let d = S::sub(S::load(x.add(i + v * LANES)), c);
            *acc = if SQUARE { S::fma(d, d, *acc) } else { S::add(*acc, d) };
        }
        i += 4 * LANES;
    }
    while i < n {
        let k = LANES.min(n - i);
        let v = if k == LANES { S::load(x.add(i)) } else { S::load_n(x.add(i), k) };
        let d = S::select(first::<S>(k), S::sub(v, c), S::splat(0.0));
        acc[0] = if SQUARE { S::fma(d, d, acc[0]) } else { S::add(acc[0], d) };
        i += k;
    }
    S::sum(S::add(S::add(acc[0], acc[1]), S::add(acc[2], acc[3])))
}

/// One call of a row kernel; which fields it reads is its affair.
#[derive(Clone, Copy)]
struct Rows {
    x: *const f32,
    dst: *mut f32,
    labels: *const i32,
    mean: *mut f32,
    scale: *mut f32,
    epsilon: f32,
    /// `dst` holds one value a row.
    per_row: bool,
    rows: usize,
    n: usize,
}

impl Rows {
    fn new(x: *const f32, dst: *mut f32, rows: usize, n: usize) -> Rows {
        let none = std::ptr::null_mut();
        Rows {
            x,
            dst,
            labels: std::ptr::null(),
            mean: none,
            scale: none,
            epsilon: 0.0,
            per_row: false,
            rows,
            n,
        }
    }

    // Rows `from .. from + rows`.
    fn part(&self, from: usize, rows: usize) -> Rows {
        let skip = |p: *mut f32, by: usize| if p.is_null() { p } else { p.wrapping_add(by) };
        Rows {
            x: self.x.wrapping_add(from * self.n),
            dst: skip(self.dst, from * if self.per_row { 1 } else { self.n }),
            labels: skip(self.labels.cast_mut().cast(), from).cast(),
            mean: skip(self.mean, from),
            scale: skip(self.scale, from),
            rows,
            ..*self
        }
    }
}

// SAFETY: work items read shared input and write disjoint rows; callers keep the memory valid.
unsafe impl Sync for Rows {}

// Defines a public kernel from its register version and its long version for one row.
macro_rules! row_kernel {
    ($pick:ident, $short:ident, $long:ident) => {
        fn $pick(isa: Isa) -> unsafe fn(Rows) {
            #[inline(always)]
            unsafe fn all<S: Simd>(job: Rows) {
                macro_rules! each {
                    ($one:expr) => {
                        for row in 0..job.rows {
                            $one(job, row);
                        }
                    };
                }
                match job.n.div_ceil(LANES) {
                    0 => {}
                    1 => each!($short::<S, 1>),
                    2 => each!($short::<S, 2>),
                    3 => each!($short::<S, 3>),
                    4 => each!($short::<S, 4>),
                    _ => each!($long::<S>),
                }
            }
            crate::per_isa!(fn version(job: Rows) = all);
            version(isa)
        }
    };
}

// Runs a row kernel over blocks of rows on the pool.
unsafe fn parallel(kernel: unsafe fn(Rows), job: Rows) {
    let grain = (INLINE / job.n.max(1)).max(1);
    if job.rows <= grain {
        return kernel(job);
    }
    pool::run_range(job.rows, grain, &|range| {
        // SAFETY: the part is a range of the caller's rows, disjoint from the others.
        unsafe { kernel(job.part(range.start, range.len())) };
    });
}

#[inline(always)]
unsafe fn softmax_short<S: Simd, const V: usize>(job: Rows, row: usize) {
    let x = load_row::<S, V>(job.x.add(row * job.n), job.n, f32::NEG_INFINITY);
    let (mut e, sum) = exp_row::<S, V>(x, max_row::<S, V>(x));
    let scale = S::splat(1.0 / sum);
    for v in &mut e {
        *v = S::mul(*v, scale);
    }
    store_row::<S, V>(job.dst.add(row * job.n), job.n, e);
}

#[inline(always)]
unsafe fn softmax_long<S: Simd>(job: Rows, row: usize) {
    let (x, dst, n) = (job.x.add(row * job.n), job.dst.add(row * job.n), job.n);
    let sum = exp_long::<S, true>(dst, x, n, max_long::<S>(x, n));
    affine_long::<S>(dst, dst, n, S::splat(0.0), S::splat(1.0 / sum));
}
row_kernel!(softmax_rows, softmax_short, softmax_long);

#[inline(always)]
unsafe fn log_softmax_short<S: Simd, const V: usize>(job: Rows, row: usize) {
    let mut x = load_row::<S, V>(job.x.add(row * job.n), job.n, f32::NEG_INFINITY);
    let max = max_row::<S, V>(x);
    let (_, sum) = exp_row::<S, V>(x, max);
    let log = log_of::<S>(sum);
    for v in &mut x {
        *v = S::sub(S::sub(*v, S::splat(max)), log);
    }
    store_row::<S, V>(job.dst.add(row * job.n), job.n, x);
}

#[inline(always)]
unsafe fn log_softmax_long<S: Simd>(job: Rows, row: usize) {
    let (x, dst, n) = (job.x.add(row * job.n), job.dst.add(row * job.n), job.n);
    let max = max_long::<S>(x, n);
    let log = log_of::<S>(exp_long::<S, false>(dst, x, n, max));
    let m = S::splat(max);
    let mut i = 0;
    while i + LANES <= n {
        S::store(dst.add(i), S::sub(S::sub(S::load(x.add(i)), m), log));
        i += LANES;
    }
    if i < n {
        S::store_n(dst.add(i), S::sub(S::sub(S::load_n(x.add(i), n - i), m), log), n - i);
    }
}
row_kernel!(log_softmax_rows, log_softmax_short, log_softmax_long);

// The shift of a log-sum-exp: the maximum, or 0 where that is infinite.
#[inline(always)]
fn shift_of(max: f32) -> f32 {
    if max.is_infinite() { 0.0 } else { max }
}

#[inline(always)]
unsafe fn sum_exp_short<S: Simd, const V: usize>(job: Rows, row: usize) -> (f32, f32) {
    let x = load_row::<S, V>(job.x.add(row * job.n), job.n, f32::NEG_INFINITY);
    let shift = shift_of(max_row::<S, V>(x));
    (shift, first_lane::<S>(log_of::<S>(exp_row::<S, V>(x, shift).1)))
}

#[inline(always)]
unsafe fn sum_exp_long<S: Simd>(job: Rows, row: usize) -> (f32, f32) {
    let x = job.x.add(row * job.n);
    let shift = shift_of(max_long::<S>(x, job.n));
    (shift, first_lane::<S>(log_of::<S>(exp_long::<S, false>(job.dst, x, job.n, shift))))
}

#[inline(always)]
unsafe fn log_sum_exp_short<S: Simd, const V: usize>(job: Rows, row: usize) {
    let (shift, log) = sum_exp_short::<S, V>(job, row);
    job.dst.add(row).write(shift + log);
}

#[inline(always)]
unsafe fn log_sum_exp_long<S: Simd>(job: Rows, row: usize) {
    let (shift, log) = sum_exp_long::<S>(job, row);
    job.dst.add(row).write(shift + log);
}
row_kernel!(log_sum_exp_rows, log_sum_exp_short, log_sum_exp_long);

#[inline(always)]
unsafe fn loss(job: Rows, row: usize, shift: f32, log: f32) {
    let label = job.labels.add(row).read();
    let inside = label >= 0 && (label as usize) < job.n;
    let loss = if inside { (shift - job.x.add(row * job.n + label as usize).read()) + log } else { f32::NAN };
    job.dst.add(row).write(loss);
}

#[inline(always)]
unsafe fn cross_entropy_short<S: Simd, const V: usize>(job: Rows, row: usize) {
    let (shift, log) = sum_exp_short::<S, V>(job, row);
    loss(job, row, shift, log);
}

#[inline(always)]
unsafe fn cross_entropy_long<S: Simd>(job: Rows, row: usize) {
    let (shift, log) = sum_exp_long::<S>(job, row);
    loss(job, row, shift, log);
}
row_kernel!(cross_entropy_rows, cross_entropy_short, cross_entropy_long);

// 1 / sqrt(variance + epsilon) of a row whose squares overflow, or are lost: they are summed in f64.
#[cold]
unsafe fn scale_of_wide(job: Rows, row: usize, mean: f32) -> f32 {
    let x = job.x.add(row * job.n);
    let squares = (0..job.n).map(|i| (f64::from(x.add(i).read()) - f64::from(mean)).powi(2));
    (1.0 / (squares.sum::<f64>() / job.n as f64 + f64::from(job.epsilon)).sqrt()) as f32
}

#[inline(always)]
unsafe fn keep_moments(job: Rows, row: usize, mean: f32, variance: f32) -> f32 {
    let lost = variance == f32::INFINITY || (variance < 1e-30 && job.epsilon < 1e-25);
    let scale = if lost && mean.is_finite() {
        scale_of_wide(job, row, mean)
    } else {
        1.0 / (variance + job.epsilon).sqrt()
    };
    if !job.mean.is_null() {
        job.mean.add(row).write(mean);
    }
    if !job.scale.is_null() {
        job.scale.add(row).write(scale);
    }
    scale
}

#[inline(always)]
unsafe fn normalise_short<S: Simd, const V: usize>(job: Rows, row: usize) {
    let n = job.n;
    let mut d = load_row::<S, V>(job.x.add(row * n), n, 0.0);
    let mean = sum_row::<S, V>(d) / n as f32;
    for v in &mut d {
        *v = S::sub(*v, S::splat(mean));
    }
    // Lanes behind the end are not part of the variance.
    d[V - 1] = S::select(first::<S>(n - (V - 1) * LANES), d[V - 1], S::splat(0.0));
    let mut square = d;
    for v in &mut square {
        *v = S::mul(*v, *v);
    }
    let scale = S::splat(keep_moments(job, row, mean, sum_row::<S, V>(square) / n as f32));
    for v in &mut d {
        *v = S::mul(*v, scale);
    }
    store_row::<S, V>(job.dst.add(row * n), n, d);
}

#[inline(always)]
unsafe fn normalise_long<S: Simd>(job: Rows, row: usize) {
    let (x, dst, n) = (job.x.add(row * job.n), job.dst.add(row * job.n), job.n);
    let mean = moment_long::<S, false>(x, n, 0.0) / n as f32;
    let variance = moment_long::<S, true>(x, n, mean) / n as f32;
    let scale = keep_moments(job, row, mean, variance);
    affine_long::<S>(dst, x, n, S::splat(mean), S::splat(scale));
}
row_kernel!(normalise_rows, normalise_short, normalise_long);

/// `dst = e^x / sum(e^x)` along rows; `dst` may be `x`.
///
/// # Safety
/// `x` and `dst` cover `rows * n` values. Likewise for the other kernels here.
pub unsafe fn softmax(x: *const f32, dst: *mut f32, rows: usize, n: usize) {
    softmax_on(isa(), x, dst, rows, n);
}

/// [`softmax`] on a given instruction set, which the processor must have.
pub unsafe fn softmax_on(isa: Isa, x: *const f32, dst: *mut f32, rows: usize, n: usize) {
    parallel(softmax_rows(isa), Rows::new(x, dst, rows, n));
}

/// `dst = x - log(sum(e^x))` along rows; `dst` may be `x`.
pub unsafe fn log_softmax(x: *const f32, dst: *mut f32, rows: usize, n: usize) {
    log_softmax_on(isa(), x, dst, rows, n);
}

/// [`log_softmax`] on a given instruction set, which the processor must have.
pub unsafe fn log_softmax_on(isa: Isa, x: *const f32, dst: *mut f32, rows: usize, n: usize) {
    parallel(log_softmax_rows(isa), Rows::new(x, dst, rows, n));
}

/// `dst[row] = log(sum(e^x))`, `dst` of `rows` values; -inf where `n` is 0.
pub unsafe fn log_sum_exp(x: *const f32, dst: *mut f32, rows: usize, n: usize) {
    log_sum_exp_on(isa(), x, dst, rows, n);
}

/// [`log_sum_exp`] on a given instruction set, which the processor must have.
pub unsafe fn log_sum_exp_on(isa: Isa, x: *const f32, dst: *mut f32, rows: usize, n: usize) {
    if n == 0 {
        return super::tile_ops::fill(isa)(dst, f32::NEG_INFINITY, rows);
    }
    parallel(log_sum_exp_rows(isa), Rows { per_row: true, ..Rows::new(x, dst, rows, n) });
}

/// `dst[row] = log(sum(e^x)) - x[labels[row]]`, `dst` and `labels` of `rows` values; NaN where a
/// label is outside `0..n`.
pub unsafe fn sparse_cross_entropy(x: *const f32, labels: *const i32, dst: *mut f32, rows: usize, n: usize) {
    sparse_cross_entropy_on(isa(), x, labels, dst, rows, n);
}

/// [`sparse_cross_entropy`] on a given instruction set, which the processor must have.
pub unsafe fn sparse_cross_entropy_on(
    isa: Isa,
    x: *const f32,
    labels: *const i32,
    dst: *mut f32,
    rows: usize,
    n: usize,
) {
    if n == 0 {
        return super::tile_ops::fill(isa)(dst, f32::NAN, rows);
    }
    parallel(cross_entropy_rows(isa), Rows { per_row: true, labels, ..Rows::new(x, dst, rows, n) });
}

/// Where a layer normalisation leaves the statistics its gradient needs; each may be null.
#[derive(Debug, Clone, Copy)]
pub struct Moments {
    /// The mean of each row.
    pub mean: *mut f32,
    /// `1 / sqrt(variance + epsilon)` of each row.
    pub scale: *mut f32,
}

impl Moments {
    /// Keeps nothing.
    pub const NONE: Moments = Moments { mean: std::ptr::null_mut(), scale: std::ptr::null_mut() };
}

/// `dst = (x - mean) / sqrt(variance + epsilon)` along rows, the variance that of the population
/// (Ba, Kiros, Hinton 2016) and taken about the computed mean; `dst` may be `x`.
pub unsafe fn normalise(x: *const f32, dst: *mut f32, rows: usize, n: usize, epsilon: f32, moments: Moments) {
    normalise_on(isa(), x, dst, (rows, n), epsilon, moments);
}

/// [`normalise`] of `(rows, n)` on a given instruction set, which the processor must have.
pub unsafe fn normalise_on(
    isa: Isa,
    x: *const f32,
    dst: *mut f32,
    (rows, n): (usize, usize),
    epsilon: f32,
    moments: Moments,
) {
    let job = Rows { epsilon, mean: moments.mean, scale: moments.scale, ..Rows::new(x, dst, rows, n) };
    parallel(normalise_rows(isa), job);
}
