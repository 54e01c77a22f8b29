//! Exact order statistics of scores that lie in blocks: every pass counts, sixteen lanes at a time,
//! how many values lie below one pivot per wanted quantile; when few values are left between the
//! pivots they are picked out and sorted.

// Pivots index several arrays at once.
#![allow(clippy::needless_range_loop)]

use crate::per_isa;
use crate::simd::{LANES, Simd, isa};

/// Values left between two pivots that are sorted rather than split again.
const FEW: usize = 24;
/// Passes after which whatever is left is sorted.
const PASSES: usize = 48;
/// Values that are sorted for the first guess.
const SAMPLE: usize = 128;
/// Pivots counted in one pass.
const PIVOTS: usize = 3;

/// The search for order statistics `k` and `k + 1`: all values below `lo` come before `k`, and
/// `below_hi` values, those two among them, lie below `hi`.
struct Search {
    k: usize,
    fraction: f64,
    lo: f32,
    hi: f32,
    below_lo: usize,
    below_hi: usize,
    /// A pivot that parts `k` from `k + 1`.
    split: Option<f32>,
}

impl Search {
    fn new(level: f64, n: usize, min: f32, max: f32) -> Self {
        let at = level * (n - 1) as f64;
        let k = at.floor() as usize;
        Self {
            k,
            fraction: at - at.floor(),
            lo: min,
            hi: max.next_up(),
            below_lo: 0,
            below_hi: n,
            split: None,
        }
    }

    fn done(&self) -> bool {
        self.split.is_some() || self.below_hi - self.below_lo <= FEW || self.lo.next_up() >= self.hi
    }

    /// Where a straight line through the pivots expects a value a few places before `k` (odd passes:
    /// after it), so that a good guess from either side leaves few values; the middle at times.
    fn pivot(&self, pass: usize) -> f32 {
        let aside = if pass.is_multiple_of(2) { -0.4 } else { 0.4 } * FEW as f64;
        let inner =
            (self.k as f64 + 1.0 + aside - self.below_lo as f64) / (self.below_hi - self.below_lo) as f64;
        let t = if pass % 5 == 4 { 0.5 } else { inner.clamp(0.02, 0.98) };
        let x = self.lo + (self.hi - self.lo) * t as f32;
        if x > self.lo && x < self.hi { x } else { self.lo.next_up() }
    }

    /// A first guess from a sorted sample: two standard errors before `k`, then after it.
    fn guess(&self, sample: &[f32], n: usize, pass: usize) -> f32 {
        let q = (self.k as f64 + 1.0) / n as f64;
        let error = 2.0 * (q * (1.0 - q) / sample.len() as f64).sqrt();
        let at = if pass == 0 { q - error } else { q + error } * sample.len() as f64;
        let x = sample[(at.max(0.0) as usize).min(sample.len() - 1)];
        if x > self.lo && x < self.hi { x } else { self.pivot(pass) }
    }

    fn narrow(&mut self, pivot: f32, below: usize, n: usize) {
        let last = self.k + 1 == n;
        if below <= self.k {
            (self.lo, self.below_lo) = (pivot, below);
        } else if below >= self.k + 2 || last {
            (self.hi, self.below_hi) = (pivot, below);
        } else {
            self.split = Some(pivot);
        }
    }

    fn finish(&self, parts: &[&[f32]], left: &mut [f32]) -> f32 {
        let (a, b) = if let Some(pivot) = self.split {
            around(parts, pivot)
        } else {
            left.sort_unstable_by(f32::total_cmp);
            let at = self.k - self.below_lo;
            let a = left.get(at).copied().unwrap_or(self.lo);
            (a, left.get(at + 1).copied().unwrap_or(a))
        };
        (f64::from(a) + self.fraction * (f64::from(b) - f64::from(a))) as f32
    }
}

/// The largest value below `pivot` and the smallest of the others.
fn around(parts: &[&[f32]], pivot: f32) -> (f32, f32) {
    let (mut below, mut above) = (f32::NEG_INFINITY, f32::INFINITY);
    for x in parts.iter().flat_map(|p| p.iter().copied()) {
        if x < pivot {
            below = below.max(x);
        } else {
            above = above.min(x);
        }
    }
    (below, above)
}

#[inline(always)]
unsafe fn count_below_generic<S: Simd>(data: *const f32, n: usize, pivots: *const f32, counts: *mut u32) {
    let p: [S::F; PIVOTS] = [S::splat(*pivots), S::splat(*pivots.add(1)), S::splat(*pivots.add(2))];
    let mut sums = [S::splat(0.0); PIVOTS];
    for i in (0..n - n % LANES).step_by(LANES) {
        let x = S::load(data.add(i));
        for k in 0..PIVOTS {
            sums[k] = S::add(sums[k], S::truth(S::lt(x, p[k])));
        }
    }
    for k in 0..PIVOTS {
        let tail = (n - n % LANES..n).filter(|i| *data.add(*i) < *pivots.add(k)).count();
        *counts.add(k) += S::sum(sums[k]) as u32 + tail as u32;
    }
}

per_isa!(fn count_below(data: *const f32, n: usize, pivots: *const f32, counts: *mut u32) = count_below_generic);

/// Appends the values in `lo .. hi` to the list of each of the ranges.
#[inline(always)]
unsafe fn pick_generic<S: Simd>(data: &[f32], ranges: &[(f32, f32); PIVOTS], out: &mut [Vec<f32>; PIVOTS]) {
    let whole = data.len() - data.len() % LANES;
    let mut take = |from: usize, to: usize, k: usize| {
        let (lo, hi) = ranges[k];
        out[k].extend(data[from..to].iter().filter(|x| (lo..hi).contains(*x)));
    };
    let bounds = ranges.map(|(lo, hi)| (S::splat(lo), S::splat(hi)));
    for i in (0..whole).step_by(LANES) {
        let x = S::load(data.as_ptr().add(i));
        let inside = bounds.map(|(lo, hi)| S::and_m(S::le(lo, x), S::lt(x, hi)));
        // Few vectors hold any value of any range: one branch for all of them.
        if S::any(S::or_m(S::or_m(inside[0], inside[1]), inside[2])) {
            (0..PIVOTS).filter(|k| S::any(inside[*k])).for_each(|k| take(i, i + LANES, k));
        }
    }
    (0..PIVOTS).for_each(|k| take(whole, data.len(), k));
}

per_isa!(fn pick(data: &[f32], ranges: &[(f32, f32); PIVOTS], out: &mut [Vec<f32>; PIVOTS]) = pick_generic);

/// The smallest and the largest value.
#[inline(always)]
unsafe fn ends_generic<S: Simd>(data: &[f32]) -> (f32, f32) {
    let (mut min, mut max) = (S::splat(f32::INFINITY), S::splat(f32::NEG_INFINITY));
    let whole = data.len() - data.len() % LANES;
    for i in (0..whole).step_by(LANES) {
        let x = S::load(data.as_ptr().add(i));
        (min, max) = (S::min(min, x), S::max(max, x));
    }
    let rest = &data[whole..];
    (
        rest.iter().copied().fold(S::min_lane(min), f32::min),
        rest.iter().copied().fold(S::max_lane(max), f32::max),
    )
}

per_isa!(fn ends(data: &[f32]) -> (f32, f32) = ends_generic);

/// Quantiles of the `n` finite values in `parts`, linear between order statistics (NumPy's default).
pub(super) fn quantiles(parts: &[&[f32]], n: usize, levels: &[f64]) -> Vec<f32> {
    let set = isa();
    let (count, pick, ends) = (count_below(set), pick(set), ends(set));
    let (mut min, mut max) = (f32::INFINITY, f32::NEG_INFINITY);
    for part in parts {
        // SAFETY: `set` is one this processor has; so for the calls below.
        let (a, b) = unsafe { ends(part) };
        (min, max) = (min.min(a), max.max(b));
    }
    let mut sample = parts[0][..parts[0].len().min(SAMPLE)].to_vec();
    sample.sort_unstable_by(f32::total_cmp);
    let mut out = Vec::with_capacity(levels.len());
    for some in levels.chunks(PIVOTS) {
        let mut searches: Vec<Search> = some.iter().map(|q| Search::new(*q, n, min, max)).collect();
        for pass in 0..PASSES {
            if searches.iter().all(Search::done) {
                break;
            }
            let mut pivots = [min; PIVOTS];
            searches.iter().zip(&mut pivots).for_each(|(s, p)| {
                *p = if pass < 2 { s.guess(&sample, n, pass) } else { s.pivot(pass) };
            });
            let mut counts = [0_u32; PIVOTS];
            for part in parts {
                // SAFETY: `part` covers its length, both arrays hold PIVOTS values.
                unsafe { count(part.as_ptr(), part.len(), pivots.as_ptr(), counts.as_mut_ptr()) };
            }
            for (s, (p, c)) in searches.iter_mut().zip(pivots.iter().zip(&counts)) {
                if !s.done() {
                    s.narrow(*p, *c as usize, n);
                }
            }
        }
        let mut left: [Vec<f32>; PIVOTS] = Default::default();
        // An empty range for every search that needs no list.
        let mut ranges = [(f32::INFINITY, f32::INFINITY); PIVOTS];
        searches
            .iter()
            .zip(&mut ranges)
            .filter(|(s, _)| s.split.is_none())
            .for_each(|(s, r)| *r = (s.lo, s.hi));
        for part in parts {
            // SAFETY: plain slices.
            unsafe { pick(part, &ranges, &mut left) };
        }
        out.extend(searches.iter().zip(&mut left).map(|(s, l)| s.finish(parts, l)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted_quantile(values: &[f32], q: f64) -> f32 {
        let mut v = values.to_vec();
        v.sort_unstable_by(f32::total_cmp);
        let at = q * (v.len() - 1) as f64;
        let (a, b) = (v[at.floor() as usize], v[at.ceil() as usize]);
        (f64::from(a) + at.fract() * (f64::from(b) - f64::from(a))) as f32
    }

    #[test]
    fn quantiles_equal_those_of_the_sorted_values() {
        let levels = [0.0, 0.05, 0.5, 0.95, 0.999, 1.0, 0.123];
        for n in [1_usize, 2, 3, 15, 16, 17, 100, 1000, 4099] {
            for kind in 0..4 {
                let values: Vec<f32> = (0..n)
                    .map(|i| {
                        let r = super::super::draw::philox_at([i as u32, 0, 0, 0], [n as u32, kind])[0];
                        let u = r as f32 / u32::MAX as f32;
                        match kind {
                            0 => u,
                            1 => (u * 5.0).floor(),
                            2 => 0.25,
                            _ => (u * 12.0 - 6.0).exp(),
                        }
                    })
                    .collect();
                let parts: Vec<&[f32]> = values.chunks(1024).collect();
                let got = quantiles(&parts, n, &levels);
                for (q, g) in levels.iter().zip(got) {
                    assert_eq!(g, sorted_quantile(&values, *q), "n {n} kind {kind} level {q}");
                }
            }
        }
    }
}
