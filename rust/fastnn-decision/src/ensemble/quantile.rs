//! Exact order statistics of scores that lie in blocks. A sample says between which two values each
//! wanted one must lie; a pass counts what lies below those, a straight line between the counts
//! gives a narrow range, and a second pass picks it: the wanted value is selected among a few dozen.
//! Where a guess misleads, the wider range is picked, or everything.

// Levels index several arrays at once.
#![allow(clippy::needless_range_loop)]

use fastnn::per_isa;
use fastnn::simd::{LANES, Simd, isa};

/// Levels searched in one pass.
const LEVELS: usize = 3;
/// Values up to which everything is picked.
const SMALL: usize = 1024;
const ALL: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);
/// Values of the sample, and bins they are counted in.
const SAMPLE: usize = 1024;
const BINS: usize = 256;
/// Standard errors of a rank to either side of a guess, in the sample and on the line.
const ERRORS: [f64; 2] = [3.3, 2.5];

/// Counts the values below each pivot.
#[inline(always)]
unsafe fn count_generic<S: Simd>(
    data: &[f32],
    pivots: &[(f32, f32); LEVELS],
    counts: &mut [(u32, u32); LEVELS],
) {
    // Loops, not `map`: a closure would not be compiled for the set.
    let (mut lo, mut hi) = ([S::splat(0.0); LEVELS], [S::splat(0.0); LEVELS]);
    let mut sums = [(S::splat(0.0), S::splat(0.0)); LEVELS];
    for k in 0..LEVELS {
        (lo[k], hi[k]) = (S::splat(pivots[k].0), S::splat(pivots[k].1));
    }
    let (vectors, rest) = data.as_chunks::<LANES>();
    for v in vectors {
        let x = S::load(v.as_ptr());
        for k in 0..LEVELS {
            sums[k].0 = S::add(sums[k].0, S::truth(S::lt(x, lo[k])));
            sums[k].1 = S::add(sums[k].1, S::truth(S::lt(x, hi[k])));
        }
    }
    for k in 0..LEVELS {
        let below = |pivot: f32| rest.iter().filter(|x| **x < pivot).count() as u32;
        counts[k].0 += S::sum(sums[k].0) as u32 + below(pivots[k].0);
        counts[k].1 += S::sum(sums[k].1) as u32 + below(pivots[k].1);
    }
}
per_isa!(fn count(data: &[f32], pivots: &[(f32, f32); LEVELS], counts: &mut [(u32, u32); LEVELS]) = count_generic);

/// The values from `ends.0` to below `ends.1`, and how many lie before them.
struct Range {
    ends: (f32, f32),
    below: usize,
    picked: Vec<f32>,
}

impl Range {
    fn new(ends: (f32, f32), parts: &[&[f32]]) -> Self {
        let mut out = Self { ends, below: 0, picked: Vec::new() };
        for part in parts {
            out.picked.reserve(part.len());
            // SAFETY: `isa()` is a set this processor has; there is room for the whole part.
            unsafe { pick(isa())(part, &mut out) };
        }
        out
    }
}

/// Adds the values of `data` to a range that has room for all of them.
#[inline(always)]
unsafe fn pick_generic<S: Simd>(data: &[f32], range: &mut Range) {
    let (lo, hi) = (S::splat(range.ends.0), S::splat(range.ends.1));
    let (mut below, mut len) = (S::splat(0.0), range.picked.len());
    let out = range.picked.as_mut_ptr();
    let (vectors, rest) = data.as_chunks::<LANES>();
    for v in vectors {
        let x = S::load(v.as_ptr());
        let under = S::lt(x, lo);
        below = S::add(below, S::truth(under));
        let inside = S::and_m(S::lt(x, hi), S::not_m(under));
        if S::any(inside) {
            let mut bits = S::mask_bits(inside);
            while bits != 0 {
                *out.add(len) = v[bits.trailing_zeros() as usize];
                len += 1;
                bits &= bits - 1;
            }
        }
    }
    for x in rest {
        if *x < range.ends.0 {
            range.below += 1;
        } else if *x < range.ends.1 {
            *out.add(len) = *x;
            len += 1;
        }
    }
    range.below += S::sum(below) as usize;
    range.picked.set_len(len);
}
per_isa!(fn pick(data: &[f32], range: &mut Range) = pick_generic);

/// A sample counted by equal bins between its ends.
struct Sample {
    len: usize,
    min: f32,
    width: f32,
    counts: [u32; BINS],
}

impl Sample {
    fn new(values: &[f32]) -> Self {
        let (min, max) =
            values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), x| (lo.min(*x), hi.max(*x)));
        let scale = BINS as f32 / (max - min);
        let mut counts = [0_u32; BINS];
        for x in values {
            counts[(((x - min) * scale) as usize).min(BINS - 1)] += 1;
        }
        Self { len: values.len(), min, width: (max - min) / BINS as f32, counts }
    }

    /// Bounds between which the value at `level` lies, but for bad luck.
    fn bounds(&self, level: f64) -> (f32, f32) {
        let n = self.len as f64;
        let error = ERRORS[0] * (n * level * (1.0 - level)).sqrt() + 2.0;
        (self.edge(n * level - error, 0), self.edge(n * level + error, 1))
    }

    /// An edge of the bin that holds a rank; outside the ranks, infinity.
    fn edge(&self, rank: f64, side: usize) -> f32 {
        if rank < 0.0 || rank >= self.len as f64 {
            return if side == 0 { f32::NEG_INFINITY } else { f32::INFINITY };
        }
        let (mut bin, mut before) = (0, self.counts[0]);
        while f64::from(before) <= rank {
            bin += 1;
            before += self.counts[bin];
        }
        self.min + self.width * (bin + side) as f32
    }
}

/// The part of the range around place `k`, from the counts below its ends; all of it when a line
/// cannot tell.
fn narrowed(range: (f32, f32), below: (u32, u32), k: usize) -> (f32, f32) {
    let width = range.1 - range.0;
    let (before, held) = (f64::from(below.0), f64::from(below.1) - f64::from(below.0));
    let t = (k as f64 + 1.0 - before) / held;
    if !width.is_finite() || !(0.0..=1.0).contains(&t) {
        return range;
    }
    let aside = (ERRORS[1] * (held * t * (1.0 - t)).sqrt() + 3.0) / held;
    (range.0 + width * (t - aside).max(0.0) as f32, range.0 + width * (t + aside).min(1.0) as f32)
}

/// The order statistics around `place` among `n` values, linear between them, if the range holds
/// them.
fn select(range: &mut Range, place: f64, n: usize) -> Option<f32> {
    let (k, through) = (place.floor() as usize, range.below + range.picked.len());
    if range.below > k || through <= k || (through == k + 1 && through < n) {
        return None;
    }
    let (_, a, rest) = range.picked.select_nth_unstable_by(k - range.below, f32::total_cmp);
    let (a, b) = (*a, rest.iter().copied().min_by(f32::total_cmp).unwrap_or(*a));
    Some((f64::from(a) + place.fract() * (f64::from(b) - f64::from(a))) as f32)
}

/// Quantiles of the `n` finite values in `parts`, linear between order statistics (NumPy's default).
pub(super) fn quantiles(parts: &[&[f32]], n: usize, levels: &[f64]) -> Vec<f32> {
    let sample = Sample::new(&parts[0][..parts[0].len().min(SAMPLE)]);
    let mut out = Vec::with_capacity(levels.len());
    for some in levels.chunks(LEVELS) {
        let place = |k: usize| some[k] * (n - 1) as f64;
        let (mut wide, mut below) = ([ALL; LEVELS], [(0, 0); LEVELS]);
        if n > SMALL {
            some.iter().zip(&mut wide).for_each(|(level, ends)| *ends = sample.bounds(*level));
            for part in parts {
                // SAFETY: `isa()` is a set this processor has.
                unsafe { count(isa())(part, &wide, &mut below) };
            }
        }
        for k in 0..some.len() {
            let narrow = narrowed(wide[k], below[k], place(k).floor() as usize);
            let found = [narrow, wide[k], ALL]
                .into_iter()
                .find_map(|ends| select(&mut Range::new(ends, parts), place(k), n));
            out.push(found.unwrap_or(f32::NAN));
        }
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
            for kind in 0..6 {
                let values: Vec<f32> = (0..n)
                    .map(|i| {
                        let r = super::super::draw::philox_at([i as u32, 0, 0, 0], [n as u32, kind])[0];
                        let u = r as f32 / u32::MAX as f32;
                        match kind {
                            0 => u,
                            1 => (u * 5.0).floor(),
                            2 => 0.25,
                            3 => f32::from_bits((u * 100.0) as u32),
                            4 => (u * 2.0 - 1.0) * 3e38,
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
