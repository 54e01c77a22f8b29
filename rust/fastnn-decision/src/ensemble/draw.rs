//! The random numbers of an ensemble, made once and shared by all profiles: Dirichlet weights and
//! correlated standard normals. Counter words are (draw, word, purpose, stream), the key is the
//! seed, so any part can be made on its own, in any order, on any thread.

// A draw indexes several rows at once.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;
use std::sync::Arc;

use super::BLOCK;
use super::special::{
    CDF_MIDDLE, MIDDLE, normal_cdf, normal_cdf_middle, normal_quantile, normal_quantile_middle,
    normal_quantile_tail,
};
use fastnn::data_err;
use fastnn::error::{Error, Result};
use fastnn::kernels::random::philox;
use fastnn::simd::{LANES, Portable, Simd, isa};
use fastnn::{per_isa, pool};

/// Distance between the rows of a block.
pub(super) const STRIDE: usize = BLOCK + LANES;

const NORMALS: u32 = 0;
const GAMMAS: u32 = 1 << 16;

/// How the group weights of a draw come about.
#[derive(Debug, Clone, PartialEq)]
pub enum Weights {
    /// The same weights in every draw.
    Fixed(Vec<f64>),
    /// Dirichlet with these concentrations (all above zero), scaled to a sum.
    Dirichlet {
        /// One per group.
        alphas: Vec<f64>,
        /// What the weights of a draw add up to.
        sum: f64,
    },
}

/// Weights and inputs of every draw, in blocks of [`BLOCK`] draws; the last block is drawn whole.
/// Copies share their numbers.
#[derive(Debug, Clone)]
pub struct Draws {
    len: usize,
    source: Source,
    correlated: bool,
    weights: Arc<Rows>,
    /// Normals of every stream, then their distribution function.
    inputs: Arc<Rows>,
    /// Uniforms of the streams after those of `inputs`, which have no normals.
    uniform: Option<Arc<Rows>>,
}

/// What [`Draws::new`] needs.
#[derive(Debug, Clone)]
pub struct DrawSpec {
    /// Number of draws.
    pub len: usize,
    /// Seed of the generator.
    pub seed: u64,
    /// Another, independent set of draws for every value.
    pub stream: u32,
    /// Group weights.
    pub weights: Weights,
    /// Streams of standard normals.
    pub streams: usize,
    /// Lower Cholesky factor of their correlation, row by row; `None` for independence.
    pub cholesky: Option<Vec<f64>>,
}

impl Draws {
    /// Makes the draws on the pool.
    ///
    /// # Errors
    /// `Data` when a concentration, weight or factor is not valid; `Memory` when they do not fit.
    pub fn new(spec: &DrawSpec) -> Result<Self> {
        check(spec)?;
        let source = Source { seed: spec.seed, stream: spec.stream };
        let (streams, factor) = (spec.streams, spec.cholesky.as_deref());
        let joins = factor.map_or_else(Vec::new, |l| joins(l, streams));
        let mut kept: Vec<usize> = joins.iter().flat_map(|j| j.terms.iter().map(|t| t.0)).collect();
        kept.sort_unstable();
        kept.dedup();
        let inputs = Rows::new(spec.len, 2 * streams, &|first, rows| {
            let z = draw_normals(source, first, streams, &kept, rows);
            correlate(&joins, &kept, &z, streams, rows);
        })?;
        let weights = Arc::new(draw_weights(source, spec.len, &spec.weights)?);
        let correlated = factor.is_some();
        Ok(Self { len: spec.len, source, correlated, weights, inputs: Arc::new(inputs), uniform: None })
    }

    /// The same inputs under other weights: what [`Draws::new`] makes with them, without drawing the
    /// inputs again.
    ///
    /// # Errors
    /// As [`Draws::new`].
    pub fn reweighted(&self, weights: &Weights) -> Result<Self> {
        check_weights(weights)?;
        let weights = Arc::new(draw_weights(self.source, self.len, weights)?);
        Ok(Self { weights, ..self.clone() })
    }

    /// The same inputs and weights, and independent streams after them up to `streams`, of which
    /// there are uniforms alone: those of [`Draws::new`] with so many streams.
    ///
    /// # Errors
    /// `Data` when there are more streams already; `Memory` when they do not fit.
    pub fn extended(&self, streams: usize) -> Result<Self> {
        let from = self.inputs.rows / 2;
        if streams < from {
            return data_err!("ensemble: got {streams} streams, wanted at least the {from} that are drawn");
        }
        let source = self.source;
        let rows = Rows::new(self.len, streams - from, &|first, rows| {
            draw_uniforms(source, first, from..streams, rows);
        })?;
        Ok(Self { uniform: Some(Arc::new(rows)), ..self.clone() })
    }

    /// True when `other` was made of these draws by [`Draws::reweighted`] or [`Draws::extended`]: its
    /// inputs begin with the same numbers.
    #[must_use]
    pub fn shares_inputs(&self, other: &Self) -> bool {
        let uniform = self.uniform.as_ref();
        Arc::ptr_eq(&self.inputs, &other.inputs)
            && uniform.is_none_or(|own| other.uniform.as_ref().is_some_and(|o| Arc::ptr_eq(own, o)))
    }

    /// Number of draws.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there are no draws; [`Draws::new`] refuses that.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Weight groups.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.weights.rows
    }

    /// Streams of normals.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.inputs.rows / 2 + self.uniform.as_ref().map_or(0, |rows| rows.rows)
    }

    /// True when a stream has normals, not uniforms alone.
    #[must_use]
    pub fn has_normals(&self, stream: usize) -> bool {
        stream < self.inputs.rows / 2
    }

    /// The rows that hold the uniforms of a stream, and which of them it is.
    fn place(&self, stream: usize) -> (&Rows, usize) {
        let drawn = self.inputs.rows / 2;
        match &self.uniform {
            Some(rows) if stream >= drawn => (rows, stream - drawn),
            _ => (&self.inputs, drawn + stream),
        }
    }

    /// True when a copula joins the streams.
    #[must_use]
    pub fn correlated(&self) -> bool {
        self.correlated
    }

    /// The weights of one group in one block of draws.
    pub(super) fn weights(&self, block: usize, group: usize) -> &[f32] {
        self.weights.row(block, group)
    }

    /// The normals of one stream that has them in one block of draws.
    pub(super) fn normals(&self, block: usize, stream: usize) -> &[f32] {
        self.inputs.row(block, stream)
    }

    /// The distribution function at the normals of one stream in one block of draws.
    pub(super) fn uniforms(&self, block: usize, stream: usize) -> &[f32] {
        let (rows, row) = self.place(stream);
        rows.row(block, row)
    }

    /// The weights of one group in all draws.
    #[must_use]
    pub fn all_weights(&self, group: usize) -> Vec<f32> {
        self.weights.all(group, self.len)
    }

    /// The normals of one stream in all draws.
    #[must_use]
    pub fn all_normals(&self, stream: usize) -> Vec<f32> {
        if self.has_normals(stream) {
            return self.inputs.all(stream, self.len);
        }
        let (mut bits, mut out): (Box<Bits>, _) = (Box::new([[0; BLOCK]; 4]), Vec::with_capacity(self.len));
        let (mut u, mut z) = ([0.0; BLOCK], [0.0; BLOCK]);
        for first in (0..self.len).step_by(BLOCK) {
            self.source.fill(first as u32, (stream / 4) as u32, NORMALS, &mut bits);
            to_normals(&bits[stream % 4], &mut u, &mut z);
            out.extend(z.iter().map(|z| *z as f32));
        }
        out.truncate(self.len);
        out
    }

    /// The distribution function at the normals of one stream in all draws.
    #[must_use]
    pub fn all_uniforms(&self, stream: usize) -> Vec<f32> {
        let (rows, row) = self.place(stream);
        rows.all(row, self.len)
    }
}

/// Rows of numbers, one per draw, laid out `[block][row][draw in block]`. A vector's room after every
/// row keeps the rows of a block from meeting in the same sets of the cache.
#[derive(Debug)]
struct Rows {
    rows: usize,
    data: Vec<f32>,
}

impl Rows {
    /// `fill(first draw, rows)` makes one block.
    fn new(len: usize, rows: usize, fill: &(dyn Fn(u32, &mut [f32]) + Sync)) -> Result<Self> {
        let count = len.div_ceil(BLOCK).checked_mul(rows * STRIDE).filter(|n| *n <= isize::MAX as usize / 8);
        let too_many =
            || Error::Memory(format!("ensemble: {len} draws of {rows} numbers do not fit in memory"));
        let count = count.filter(|_| u32::try_from(len).is_ok()).ok_or_else(too_many)?;
        Vec::<f32>::new().try_reserve_exact(count).map_err(|_| too_many())?;
        let mut data = vec![0.0; count]; // pages of zeros, which those who fill them touch first
        pool::run_parts(&mut data, (rows * STRIDE).max(1), &|block, part| fill((block * BLOCK) as u32, part));
        Ok(Self { rows, data })
    }

    fn row(&self, block: usize, row: usize) -> &[f32] {
        &self.data[(block * self.rows + row) * STRIDE..][..BLOCK]
    }

    fn all(&self, row: usize, len: usize) -> Vec<f32> {
        let mut out: Vec<f32> =
            (0..len.div_ceil(BLOCK)).flat_map(|block| self.row(block, row).iter().copied()).collect();
        out.truncate(len);
        out
    }
}

fn check(spec: &DrawSpec) -> Result<()> {
    if spec.len == 0 {
        return data_err!("ensemble: got 0 draws, wanted at least 1");
    }
    if let Some(l) = &spec.cholesky {
        let n = spec.streams;
        if l.len() != n * n || l.iter().any(|x| !x.is_finite()) {
            return data_err!("ensemble: the Cholesky factor must be {n} x {n} and finite");
        }
        for (i, row) in l.chunks_exact(n.max(1)).enumerate() {
            let norm: f64 = row[..=i].iter().map(|x| x * x).sum();
            if row[i] < 0.0 || (norm - 1.0).abs() > 1e-9 {
                return data_err!(
                    "ensemble: row {i} of the Cholesky factor is not one of a correlation matrix"
                );
            }
        }
    }
    check_weights(&spec.weights)
}

fn check_weights(weights: &Weights) -> Result<()> {
    match weights {
        Weights::Fixed(w) if w.is_empty() || w.iter().any(|x| !x.is_finite()) => {
            data_err!("ensemble: fixed weights must be finite and at least one")
        }
        Weights::Dirichlet { alphas, sum }
            if alphas.is_empty()
                || !sum.is_finite()
                || alphas.iter().any(|a| !(a.is_finite() && *a > 0.0)) =>
        {
            data_err!(
                "ensemble: Dirichlet concentrations must be finite and above zero\nhint: leave out a group of weight zero"
            )
        }
        _ => Ok(()),
    }
}

/// Where random words come from.
#[derive(Debug, Clone, Copy)]
struct Source {
    seed: u64,
    stream: u32,
}

/// Four words for every draw of a block.
type Bits = [[u32; BLOCK]; 4];
type Row = [f64; BLOCK];

impl Source {
    fn key(self) -> [u32; 2] {
        [self.seed as u32, (self.seed >> 32) as u32]
    }

    fn fill(self, first: u32, word: u32, purpose: u32, out: &mut Bits) {
        let counter = [first, word, purpose, self.stream];
        // SAFETY: `isa()` is a set this processor has; `out` holds four rows of BLOCK words.
        unsafe { philox_rows(isa())(counter, self.key(), out) };
    }
}

/// A stream that the copula joins to earlier ones: its row of the factor, without what is zero.
struct Join {
    stream: usize,
    /// (stream, factor), rising; the last is the stream itself.
    terms: Vec<(usize, f64)>,
}

fn joins(factor: &[f64], streams: usize) -> Vec<Join> {
    (0..streams)
        .map(|stream| (stream, &factor[stream * streams..=stream * streams + stream]))
        .filter(|(stream, row)| row[..*stream].iter().any(|x| *x != 0.0))
        .map(|(stream, row)| {
            let terms = row.iter().copied().enumerate().filter(|(_, x)| *x != 0.0).collect();
            Join { stream, terms }
        })
        .collect()
}

/// Independent normals and uniforms of a block; returns the normals of the streams `kept` in f64.
fn draw_normals(source: Source, first: u32, streams: usize, kept: &[usize], rows: &mut [f32]) -> Vec<Row> {
    let mut bits: Box<Bits> = Box::new([[0; BLOCK]; 4]);
    let mut out = Vec::with_capacity(kept.len());
    let (mut u, mut z) = ([0.0; BLOCK], [0.0; BLOCK]);
    let (normals, uniforms) = rows.split_at_mut(streams * STRIDE);
    let pairs = normals.chunks_exact_mut(STRIDE).zip(uniforms.chunks_exact_mut(STRIDE));
    for (s, (normals, uniforms)) in pairs.enumerate() {
        if s % 4 == 0 {
            source.fill(first, (s / 4) as u32, NORMALS, &mut bits);
        }
        to_normals(&bits[s % 4], &mut u, &mut z);
        narrow(&z, normals);
        narrow(&u, uniforms);
        if kept.get(out.len()) == Some(&s) {
            out.push(z);
        }
    }
    out
}

/// Uniforms of some streams in a block, as [`draw_normals`] makes them on the way.
fn draw_uniforms(source: Source, first: u32, streams: Range<usize>, rows: &mut [f32]) {
    let mut bits: Box<Bits> = Box::new([[0; BLOCK]; 4]);
    let begin = streams.start;
    for (s, row) in streams.zip(rows.chunks_exact_mut(STRIDE)) {
        if s % 4 == 0 || s == begin {
            source.fill(first, (s / 4) as u32, NORMALS, &mut bits);
        }
        row.iter_mut().zip(&bits[s % 4]).for_each(|(to, bits)| *to = unit(*bits) as f32);
    }
}

fn narrow(from: &Row, to: &mut [f32]) {
    to.iter_mut().zip(from).for_each(|(to, x)| *to = *x as f32);
}

/// Replaces the rows that the factor joins to earlier ones; `independent` are those `kept`.
fn correlate(joins: &[Join], kept: &[usize], independent: &[Row], streams: usize, rows: &mut [f32]) {
    let (normals, uniforms) = rows.split_at_mut(streams * STRIDE);
    let (mut z, mut u) = ([0.0; BLOCK], [0.0; BLOCK]);
    for join in joins {
        let terms: Vec<(f64, &Row)> = join
            .terms
            .iter()
            .map(|(stream, factor)| (*factor, &independent[kept.partition_point(|k| k < stream)]))
            .collect();
        // SAFETY: `isa()` is a set this processor has.
        unsafe { join_rows(isa())(&terms, &mut z, &mut u) };
        for (z, u) in z.iter().zip(&mut u).filter(|(z, _)| z.abs() >= CDF_MIDDLE) {
            *u = normal_cdf(*z);
        }
        narrow(&z, &mut normals[join.stream * STRIDE..][..BLOCK]);
        narrow(&u, &mut uniforms[join.stream * STRIDE..][..BLOCK]);
    }
}

/// A combination of rows and the distribution function at it. As [`normal_rows_generic`]: plain
/// loops, the same bits on every set.
#[inline(always)]
#[allow(clippy::extra_unused_type_parameters)]
unsafe fn join_rows_generic<S: Simd>(terms: &[(f64, &Row)], z: &mut Row, u: &mut Row) {
    z.fill(0.0);
    for (a, row) in terms {
        for i in 0..BLOCK {
            z[i] += a * row[i];
        }
    }
    for i in 0..BLOCK {
        u[i] = normal_cdf_middle(z[i]);
    }
}
per_isa!(fn join_rows(terms: &[(f64, &Row)], z: &mut Row, u: &mut Row) = join_rows_generic);

fn draw_weights(source: Source, len: usize, weights: &Weights) -> Result<Rows> {
    match weights {
        Weights::Fixed(w) => Rows::new(len, w.len(), &|_, rows| {
            rows.chunks_exact_mut(STRIDE).zip(w).for_each(|(row, w)| row.fill(*w as f32));
        }),
        Weights::Dirichlet { alphas, sum } => {
            Rows::new(len, alphas.len(), &|first, rows| dirichlet(source, first, alphas, *sum, rows))
        }
    }
}

fn dirichlet(source: Source, first: u32, alphas: &[f64], sum: f64, out: &mut [f32]) {
    let mut bits: Box<Bits> = Box::new([[0; BLOCK]; 4]);
    let (mut u, mut x, mut total) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
    let mut rows: Vec<Row> = vec![[0.0; BLOCK]; alphas.len()];
    for (g, (alpha, row)) in alphas.iter().zip(&mut rows).enumerate() {
        source.fill(first, g as u32, GAMMAS, &mut bits);
        to_normals(&bits[0], &mut u, &mut x);
        let shape = Gamma::new(*alpha);
        // SAFETY: `isa()` is a set this processor has.
        unsafe { gamma_rows(isa())(&shape, &x, &bits[1], row) };
        for (i, value) in row.iter_mut().enumerate().filter(|(_, value)| **value <= 0.0) {
            *value = shape
                .accept(x[i], unit(bits[1][i]), bits[2][i])
                .unwrap_or_else(|| shape.retry(source, first.wrapping_add(i as u32), g as u32));
        }
        total.iter_mut().zip(&*row).for_each(|(total, value)| *total += value);
    }
    for (to, row) in out.chunks_exact_mut(STRIDE).zip(&rows) {
        for i in 0..BLOCK {
            to[i] = (row[i] / total[i] * sum) as f32;
        }
    }
}

/// A gamma distribution of unit scale (Marsaglia and Tsang); below shape 1 by the power of a
/// uniform.
struct Gamma {
    alpha: f64,
    d: f64,
    c: f64,
}

impl Gamma {
    fn new(alpha: f64) -> Self {
        let d = if alpha < 1.0 { alpha + 1.0 } else { alpha } - 1.0 / 3.0;
        Self { alpha, d, c: 1.0 / (9.0 * d).sqrt() }
    }

    /// The variate of one attempt, from a normal and two uniforms.
    fn accept(&self, x: f64, u: f64, boost: u32) -> Option<f64> {
        let t = 1.0 + self.c * x;
        let v = t * t * t;
        let x2 = x * x;
        // The squeeze spares the logarithms in all but a few draws.
        let inside = u < 1.0 - 0.0331 * x2 * x2
            || (v > 0.0 && u.ln() < 0.5 * x2 + self.d - self.d * v + self.d * v.ln());
        if v <= 0.0 || !inside {
            return None;
        }
        let factor = if self.alpha < 1.0 { unit(boost).powf(1.0 / self.alpha) } else { 1.0 };
        Some((self.d * v * factor).max(f64::MIN_POSITIVE))
    }

    #[cold]
    fn retry(&self, source: Source, draw: u32, group: u32) -> f64 {
        let mut attempt = 1;
        loop {
            let bits = philox_at([draw, group, GAMMAS | attempt, source.stream], source.key());
            if let Some(g) = self.accept(normal_quantile(unit(bits[0])), unit(bits[1]), bits[2]) {
                return g;
            }
            attempt += 1;
        }
    }
}

/// The variates that the squeeze of [`Gamma::accept`] lets through at shapes from 1, zero for the
/// others. Plain loops, as [`normal_rows_generic`].
#[inline(always)]
#[allow(clippy::extra_unused_type_parameters)]
unsafe fn gamma_rows_generic<S: Simd>(shape: &Gamma, x: &Row, bits: &[u32; BLOCK], out: &mut Row) {
    let d = if shape.alpha < 1.0 { 0.0 } else { shape.d };
    for i in 0..BLOCK {
        let t = 1.0 + shape.c * x[i];
        let v = t * t * t;
        let x2 = x[i] * x[i];
        out[i] = if unit(bits[i]) < 1.0 - 0.0331 * x2 * x2 { d * v } else { 0.0 };
    }
}
per_isa!(fn gamma_rows(shape: &Gamma, x: &Row, bits: &[u32; BLOCK], out: &mut Row) = gamma_rows_generic);

/// The middle of one of 2^32 equal parts of (0, 1).
#[inline(always)]
fn unit(bits: u32) -> f64 {
    (f64::from(bits) + 0.5) / 4_294_967_296.0
}

/// Philox4x32-10 at BLOCK counters that differ in their first word.
#[inline(always)]
unsafe fn philox_rows_generic<S: Simd>(counter: [u32; 4], key: [u32; 2], out: &mut Bits) {
    let lanes: [i32; LANES] = std::array::from_fn(|i| i as i32);
    let lanes = S::load_i(lanes.as_ptr());
    for at in (0..BLOCK).step_by(LANES) {
        let mut c = counter.map(|x| S::splat_i(x as i32));
        c[0] = S::add_i(S::splat_i(counter[0].wrapping_add(at as u32) as i32), lanes);
        for (row, v) in out.iter_mut().zip(philox::<S>(c, key)) {
            S::store_i(row.as_mut_ptr().add(at).cast(), v);
        }
    }
}
per_isa!(fn philox_rows(counter: [u32; 4], key: [u32; 2], out: &mut Bits) = philox_rows_generic);

/// Uniforms and normals of a row of words.
fn to_normals(bits: &[u32; BLOCK], u: &mut Row, z: &mut Row) {
    // SAFETY: `isa()` is a set this processor has.
    unsafe { normal_rows(isa())(bits, u, z) };
}

/// The middle piece of the normal quantile for every draw, then the outer piece for those that need
/// it, side by side. Plain loops that the compiler spreads over the lanes of `S`; no fused
/// operations: the bits are the same on every set.
#[inline(always)]
#[allow(clippy::extra_unused_type_parameters)]
unsafe fn normal_rows_generic<S: Simd>(bits: &[u32; BLOCK], u: &mut Row, z: &mut Row) {
    for i in 0..BLOCK {
        u[i] = unit(bits[i]);
        z[i] = normal_quantile_middle(u[i] - 0.5);
    }
    let (mut places, mut tails, mut count) = ([0_u16; BLOCK], [0.05; BLOCK], 0);
    for i in 0..BLOCK {
        places[count] = i as u16;
        tails[count] = u[i].min(1.0 - u[i]);
        count += usize::from((u[i] - 0.5).abs() > MIDDLE);
    }
    for tail in &mut tails[..count.next_multiple_of(LANES).min(BLOCK)] {
        *tail = normal_quantile_tail(*tail);
    }
    for (place, tail) in places[..count].iter().zip(&tails) {
        let i = usize::from(*place);
        z[i] = if u[i] < 0.5 { -tail } else { *tail };
    }
}
per_isa!(fn normal_rows(bits: &[u32; BLOCK], u: &mut Row, z: &mut Row) = normal_rows_generic);

/// Philox4x32-10 at one counter.
pub(super) fn philox_at(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let mut lanes = [0_i32; LANES];
    // SAFETY: the portable set runs everywhere; `lanes` holds one vector.
    unsafe {
        let words = philox::<Portable>(counter.map(|x| Portable::splat_i(x as i32)), key);
        words.map(|w| {
            Portable::store_i(lanes.as_mut_ptr(), w);
            lanes[0] as u32
        })
    }
}
