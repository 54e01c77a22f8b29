//! The random numbers of an ensemble, made once and shared by all profiles: Dirichlet weights and
//! correlated standard normals. Counter words are (draw, word, purpose, stream), the key is the
//! seed, so any part can be made on its own, in any order, on any thread.

// A draw indexes several rows at once.
#![allow(clippy::needless_range_loop)]

use std::sync::OnceLock;

use super::BLOCK;
use super::special::{normal_cdf, normal_quantile, normal_quantile_middle};
use crate::data_err;
use crate::error::{Error, Result};
use crate::kernels::random::philox;
use crate::simd::{LANES, Portable, Simd, isa};
use crate::{per_isa, pool};

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

/// Weights and inputs of every draw. Rows are padded to whole vectors; padding is zero.
#[derive(Debug, Clone)]
pub struct Draws {
    len: usize,
    stride: usize,
    groups: usize,
    streams: usize,
    correlated: bool,
    weights: Vec<f32>,
    normals: Vec<f32>,
    uniforms: Vec<f32>,
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
        let groups = check(spec)?;
        let stride = spec.len.div_ceil(LANES) * LANES;
        let rows = groups + 2 * spec.streams;
        if stride.checked_mul(rows).is_none_or(|n| n > isize::MAX as usize / 8)
            || spec.len > u32::MAX as usize
        {
            return Err(Error::Memory(format!(
                "ensemble: {} draws of {rows} numbers do not fit in memory",
                spec.len
            )));
        }
        let mut out = Self {
            len: spec.len,
            stride,
            groups,
            streams: spec.streams,
            correlated: spec.cholesky.is_some(),
            weights: vec![0.0; groups * stride],
            normals: vec![0.0; spec.streams * stride],
            uniforms: vec![0.0; spec.streams * stride],
        };
        let blocks = spec.len.div_ceil(BLOCK);
        let parts: Vec<OnceLock<Part>> = (0..blocks).map(|_| OnceLock::new()).collect();
        pool::run(blocks, &|b| {
            let _ = parts[b].set(Part::new(spec, groups, b * BLOCK..((b + 1) * BLOCK).min(spec.len)));
        });
        for (b, part) in parts.into_iter().enumerate() {
            let part =
                part.into_inner().ok_or_else(|| Error::Internal("ensemble: a block was not drawn".into()))?;
            for (to, from) in [
                (&mut out.weights, &part.weights),
                (&mut out.normals, &part.normals),
                (&mut out.uniforms, &part.uniforms),
            ] {
                for (row, values) in from.chunks_exact(part.len.max(1)).enumerate() {
                    to[row * stride + b * BLOCK..][..part.len].copy_from_slice(values);
                }
            }
        }
        Ok(out)
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
        self.groups
    }

    /// Streams of normals.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams
    }

    /// True when a copula joins the streams.
    #[must_use]
    pub fn correlated(&self) -> bool {
        self.correlated
    }

    /// The weights of one group, one per draw (padded to whole vectors).
    #[must_use]
    pub fn weights(&self, group: usize) -> &[f32] {
        &self.weights[group * self.stride..][..self.stride]
    }

    /// The normals of one stream, one per draw (padded to whole vectors).
    #[must_use]
    pub fn normals(&self, stream: usize) -> &[f32] {
        &self.normals[stream * self.stride..][..self.stride]
    }

    /// The distribution function at the normals of one stream.
    #[must_use]
    pub fn uniforms(&self, stream: usize) -> &[f32] {
        &self.uniforms[stream * self.stride..][..self.stride]
    }
}

/// Returns the number of groups.
fn check(spec: &DrawSpec) -> Result<usize> {
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
    match &spec.weights {
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
        Weights::Fixed(w) => Ok(w.len()),
        Weights::Dirichlet { alphas, .. } => Ok(alphas.len()),
    }
}

/// The draws of one block, row by row.
struct Part {
    len: usize,
    weights: Vec<f32>,
    normals: Vec<f32>,
    uniforms: Vec<f32>,
}

/// Four words for every draw of a block.
type Bits = [[u32; BLOCK]; 4];

impl Part {
    fn new(spec: &DrawSpec, groups: usize, draws: std::ops::Range<usize>) -> Self {
        let len = draws.len();
        let first = draws.start as u32;
        let mut out = Self {
            len,
            weights: vec![0.0; groups * len],
            normals: vec![0.0; spec.streams * len],
            uniforms: vec![0.0; spec.streams * len],
        };
        match &spec.weights {
            Weights::Fixed(w) => {
                out.weights.chunks_exact_mut(len).zip(w).for_each(|(row, w)| row.fill(*w as f32));
            }
            Weights::Dirichlet { alphas, sum } => out.draw_weights(spec, first, alphas, *sum),
        }
        let z = out.draw_normals(spec, first);
        if let Some(l) = &spec.cholesky {
            out.correlate(l, &z);
        }
        out
    }

    /// Independent normals; returns them in f64, row by row.
    fn draw_normals(&mut self, spec: &DrawSpec, first: u32) -> Vec<[f64; BLOCK]> {
        let mut bits: Box<Bits> = Box::new([[0; BLOCK]; 4]);
        let mut kept = Vec::new();
        let (mut u, mut z) = ([0.0; BLOCK], [0.0; BLOCK]);
        for s in 0..spec.streams {
            if s % 4 == 0 {
                fill_bits(spec, first, (s / 4) as u32, NORMALS, &mut bits);
            }
            to_normals(&bits[s % 4], &mut u, &mut z);
            let rows = s * self.len..(s + 1) * self.len;
            self.normals[rows.clone()].iter_mut().zip(&z).for_each(|(to, z)| *to = *z as f32);
            self.uniforms[rows].iter_mut().zip(&u).for_each(|(to, u)| *to = *u as f32);
            if spec.cholesky.is_some() {
                kept.push(z);
            }
        }
        kept
    }

    fn correlate(&mut self, factor: &[f64], independent: &[[f64; BLOCK]]) {
        let n = independent.len();
        for s in 0..n {
            let row = &factor[s * n..=s * n + s];
            if row[..s].iter().all(|x| *x == 0.0) {
                continue;
            }
            for i in 0..self.len {
                let z: f64 = row.iter().zip(independent).map(|(a, e)| a * e[i]).sum();
                self.normals[s * self.len + i] = z as f32;
                self.uniforms[s * self.len + i] = normal_cdf(z) as f32;
            }
        }
    }

    fn draw_weights(&mut self, spec: &DrawSpec, first: u32, alphas: &[f64], sum: f64) {
        let mut bits: Box<Bits> = Box::new([[0; BLOCK]; 4]);
        let (mut u, mut x) = ([0.0; BLOCK], [0.0; BLOCK]);
        let mut total = [0.0; BLOCK];
        let mut rows = Vec::with_capacity(alphas.len());
        for (g, alpha) in alphas.iter().enumerate() {
            fill_bits(spec, first, g as u32, GAMMAS, &mut bits);
            to_normals(&bits[0], &mut u, &mut x);
            let shape = Gamma::new(*alpha);
            let mut row = [0.0; BLOCK];
            for i in 0..self.len {
                row[i] = shape
                    .accept(x[i], unit(bits[1][i]), bits[2][i])
                    .unwrap_or_else(|| shape.retry(spec, first + i as u32, g as u32));
                total[i] += row[i];
            }
            rows.push(row);
        }
        for (to, row) in self.weights.chunks_exact_mut(self.len).zip(&rows) {
            for i in 0..to.len() {
                to[i] = (row[i] / total[i] * sum) as f32;
            }
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
    fn retry(&self, spec: &DrawSpec, draw: u32, group: u32) -> f64 {
        let key = [spec.seed as u32, (spec.seed >> 32) as u32];
        let mut attempt = 1;
        loop {
            let bits = philox_at([draw, group, GAMMAS | attempt, spec.stream], key);
            if let Some(g) = self.accept(normal_quantile(unit(bits[0])), unit(bits[1]), bits[2]) {
                return g;
            }
            attempt += 1;
        }
    }
}

/// The middle of one of 2^32 equal parts of (0, 1).
fn unit(bits: u32) -> f64 {
    (f64::from(bits) + 0.5) / 4_294_967_296.0
}

fn fill_bits(spec: &DrawSpec, first: u32, word: u32, purpose: u32, out: &mut Bits) {
    let counter = [first, word, purpose, spec.stream];
    let key = [spec.seed as u32, (spec.seed >> 32) as u32];
    // SAFETY: `isa()` is a set this processor has; `out` holds four rows of BLOCK words.
    unsafe { philox_rows(isa())(counter, key, out) };
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
fn to_normals(bits: &[u32; BLOCK], u: &mut [f64; BLOCK], z: &mut [f64; BLOCK]) {
    // SAFETY: `isa()` is a set this processor has.
    unsafe { middle_rows(isa())(bits, u, z) };
    for (u, z) in u.iter().zip(z) {
        if (u - 0.5).abs() > 0.425 {
            *z = normal_quantile(*u);
        }
    }
}

/// The middle piece of the normal quantile for every draw; a plain loop that the compiler spreads
/// over the lanes of `S`. No fused operations: the bits are the same on every set.
#[inline(always)]
#[allow(clippy::extra_unused_type_parameters)]
unsafe fn middle_rows_generic<S: Simd>(bits: &[u32; BLOCK], u: &mut [f64; BLOCK], z: &mut [f64; BLOCK]) {
    for i in 0..BLOCK {
        u[i] = unit(bits[i]);
        z[i] = normal_quantile_middle(u[i] - 0.5);
    }
}
per_isa!(fn middle_rows(bits: &[u32; BLOCK], u: &mut [f64; BLOCK], z: &mut [f64; BLOCK]) = middle_rows_generic);

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
