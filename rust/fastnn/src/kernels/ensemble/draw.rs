//! The random numbers of an ensemble, made once and shared by all profiles: Dirichlet weights and
//! correlated standard normals. Counter words are (draw, word, purpose, stream), the key is the
//! seed, so any part can be made on its own, in any order, on any thread.

use std::sync::OnceLock;

use super::BLOCK;
use super::special::{normal_cdf, normal_quantile};
use crate::data_err;
use crate::error::{Error, Result};
use crate::pool;
use crate::simd::LANES;

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
        if stride.checked_mul(rows).is_none_or(|n| n > isize::MAX as usize / 8) || spec.len > u32::MAX as usize {
            return Err(Error::Memory(format!("ensemble: {} draws of {rows} numbers do not fit in memory", spec.len)));
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
            let part = part.into_inner().ok_or_else(|| Error::Internal("ensemble: a block was not drawn".into()))?;
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
                return data_err!("ensemble: row {i} of the Cholesky factor is not one of a correlation matrix");
            }
        }
    }
    match &spec.weights {
        Weights::Fixed(w) if w.is_empty() || w.iter().any(|x| !x.is_finite()) => {
            data_err!("ensemble: fixed weights must be finite and at least one")
        }
        Weights::Dirichlet { alphas, sum }
            if alphas.is_empty() || !sum.is_finite() || alphas.iter().any(|a| !(a.is_finite() && *a > 0.0)) =>
        {
            data_err!("ensemble: Dirichlet concentrations must be finite and above zero\nhint: leave out a group of weight zero")
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

impl Part {
    fn new(spec: &DrawSpec, groups: usize, draws: std::ops::Range<usize>) -> Self {
        let len = draws.len();
        let mut out = Self {
            len,
            weights: vec![0.0; groups * len],
            normals: vec![0.0; spec.streams * len],
            uniforms: vec![0.0; spec.streams * len],
        };
        let mut eps = vec![0.0; spec.streams];
        let mut gammas = vec![0.0; groups];
        for (i, draw) in draws.enumerate() {
            out.draw_normals(spec, draw as u32, i, &mut eps);
            match &spec.weights {
                Weights::Fixed(w) => (0..groups).for_each(|g| out.weights[g * len + i] = w[g] as f32),
                Weights::Dirichlet { alphas, sum } => {
                    for (g, a) in alphas.iter().enumerate() {
                        gammas[g] = gamma(*a, spec, draw as u32, g as u32);
                    }
                    let total: f64 = gammas.iter().sum();
                    (0..groups).for_each(|g| out.weights[g * len + i] = (gammas[g] / total * sum) as f32);
                }
            }
        }
        out
    }

    fn draw_normals(&mut self, spec: &DrawSpec, draw: u32, i: usize, eps: &mut [f64]) {
        let n = spec.streams;
        for word in 0..n.div_ceil(4) {
            let bits = philox(spec, draw, word as u32, NORMALS);
            for (k, b) in bits.iter().enumerate().take(n - word * 4) {
                let s = word * 4 + k;
                let u = unit(*b);
                eps[s] = normal_quantile(u);
                self.normals[s * self.len + i] = eps[s] as f32;
                self.uniforms[s * self.len + i] = u as f32;
            }
        }
        let Some(l) = &spec.cholesky else { return };
        for s in 0..n {
            let row = &l[s * n..=s * n + s];
            if row[..s].iter().any(|x| *x != 0.0) {
                let z: f64 = row.iter().zip(eps.iter()).map(|(a, e)| a * e).sum();
                self.normals[s * self.len + i] = z as f32;
                self.uniforms[s * self.len + i] = normal_cdf(z) as f32;
            }
        }
    }
}

fn philox(spec: &DrawSpec, draw: u32, word: u32, purpose: u32) -> [u32; 4] {
    philox4x32_10([draw, word, purpose, spec.stream], [spec.seed as u32, (spec.seed >> 32) as u32])
}

/// The middle of one of 2^32 equal parts of (0, 1).
fn unit(bits: u32) -> f64 {
    (f64::from(bits) + 0.5) / 4_294_967_296.0
}

/// A gamma variate of unit scale (Marsaglia and Tsang); below 1 by the power of a uniform.
fn gamma(alpha: f64, spec: &DrawSpec, draw: u32, group: u32) -> f64 {
    let d = if alpha < 1.0 { alpha + 1.0 } else { alpha } - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    let mut attempt = 0;
    loop {
        let bits = philox(spec, draw, group, GAMMAS | attempt);
        let x = normal_quantile(unit(bits[0]));
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && unit(bits[1]).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            let boost = if alpha < 1.0 { unit(bits[2]).powf(1.0 / alpha) } else { 1.0 };
            return (d * v * boost).max(f64::MIN_POSITIVE);
        }
        attempt += 1;
    }
}

/// Philox4x32-10 (Salmon et al. 2011).
pub(super) fn philox4x32_10(mut c: [u32; 4], mut k: [u32; 2]) -> [u32; 4] {
    let wide = |a: u32, b: u32| {
        let p = u64::from(a) * u64::from(b);
        ((p >> 32) as u32, p as u32)
    };
    for _ in 0..10 {
        let (h0, l0) = wide(0xD251_1F53, c[0]);
        let (h1, l1) = wide(0xCD9E_8D57, c[2]);
        c = [h1 ^ c[1] ^ k[0], l1, h0 ^ c[3] ^ k[1], l0];
        k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
    }
    c
}
