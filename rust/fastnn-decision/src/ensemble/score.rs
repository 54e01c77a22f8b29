//! The vector loop over one block of draws: inputs, curve look-ups, weighted sums, ranks. Sixteen
//! draws at a time; counts are whole numbers and sums are taken per block, so results do not
//! depend on how blocks are shared out.

// Lanes, options and ranks index several arrays at once.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::draw::STRIDE;
use super::marginal::{Form, Lane, Lanes, Prepared, TABLE, TABLE_START, TABLE_STEP};
use super::{BLOCK, Draws, MAX_OPTIONS, Variant};
use fastnn::per_isa;
use fastnn::simd::{LANES, Simd, isa};

/// The results of one profile on one block.
#[derive(Debug)]
pub(super) struct BlockOut {
    len: usize,
    pub(super) ranks: Vec<u32>,
    pub(super) sums: Vec<f64>,
    pub(super) pinned: Vec<u32>,
    pub(super) firsts: Vec<u32>,
    scores: Vec<f32>,
}

impl BlockOut {
    pub(super) fn scores_of(&self, option: usize) -> &[f32] {
        &self.scores[option * STRIDE..][..self.len]
    }
}

/// Everything the loop reads and writes.
struct Job<'a> {
    scored: Variant<'a>,
    variants: &'a [Variant<'a>],
    profile: &'a Prepared,
    block: usize,
    out: &'a mut BlockOut,
}

pub(super) fn run_block(
    scored: Variant<'_>,
    variants: &[Variant<'_>],
    profile: &Prepared,
    block: usize,
) -> BlockOut {
    let (o, streams) = (scored.layout.options(), scored.layout.streams());
    let mut out = BlockOut {
        len: BLOCK.min(scored.draws.len() - block * BLOCK),
        ranks: vec![0; o * o],
        sums: vec![0.0; o],
        pinned: vec![0; streams * profile.levels * o],
        firsts: vec![0; variants.len() * o],
        scores: vec![0.0; o * STRIDE],
    };
    let mut job = Job { scored, variants, profile, block, out: &mut out };
    let run = match o {
        1 => run1(isa()),
        2 => run2(isa()),
        3 => run3(isa()),
        4 => run4(isa()),
        5 => run5(isa()),
        6 => run6(isa()),
        7 => run7(isa()),
        _ => run8(isa()),
    };
    // SAFETY: `isa()` is a set this processor has; rows of `draws` and of the scores are
    // whole blocks.
    unsafe { run((&raw mut job).cast()) };
    out
}

macro_rules! compile_for {
    ($($name:ident $generic:ident $o:literal),*) => { $(
        #[inline(always)]
        unsafe fn $generic<S: Simd>(job: *mut ()) {
            // SAFETY: `run_block` passes the job it has just made and outlives the call.
            run::<S, $o>(&mut *job.cast::<Job<'_>>());
        }
        per_isa!(fn $name(job: *mut ()) = $generic);
    )* };
}
compile_for!(run1 generic1 1, run2 generic2 2, run3 generic3 3, run4 generic4 4, run5 generic5 5,
    run6 generic6 6, run7 generic7 7, run8 generic8 8);
const _: () = assert!(MAX_OPTIONS == 8);

/// Random numbers and weights of some lanes in one block of draws.
struct Terms<'a> {
    lanes: &'a Lanes,
    /// One row per lane.
    numbers: Vec<*const f32>,
    /// One row per group.
    weights: Vec<*const f32>,
}

impl<'a> Terms<'a> {
    fn new(lanes: &'a Lanes, draws: &Draws, block: usize) -> Self {
        let numbers = lanes.lanes.iter().map(|lane| match lane.form.reads_normals() {
            true => draws.normals(block, lane.stream).as_ptr(),
            false => draws.uniforms(block, lane.stream).as_ptr(),
        });
        let weights = (0..draws.groups()).map(|g| draws.weights(block, g).as_ptr());
        Self { lanes, numbers: numbers.collect(), weights: weights.collect() }
    }

    /// The places of a group's lanes.
    #[inline(always)]
    fn group(&self, g: usize) -> Range<usize> {
        self.lanes.starts[g]..self.lanes.starts[g + 1]
    }

    /// What a group's constant variables and first knots add.
    #[inline(always)]
    unsafe fn base<S: Simd, const O: usize>(&self, g: usize) -> [S::F; O] {
        let mut fits = [S::splat(0.0); O];
        for o in 0..O {
            fits[o] = S::splat(self.lanes.base[g * O + o]);
        }
        fits
    }

    /// Adds the fits of one lane at sixteen draws to `fits`.
    #[inline(always)]
    unsafe fn add_fits<S: Simd, const O: usize>(&self, index: usize, at: usize, fits: &mut [S::F; O]) {
        let lane = &self.lanes.lanes[index];
        let x = input::<S>(lane, self.numbers[index].add(at));
        let (zero, one) = (S::splat(0.0), S::splat(1.0));
        let last = lane.ramps.len() / (2 + O) - 1;
        for (k, ramp) in lane.ramps.chunks_exact(2 + O).enumerate() {
            let mut t = S::fma(x, S::splat(ramp[0]), S::splat(ramp[1]));
            if k < last {
                t = S::min(t, one);
            }
            if k > 0 {
                t = S::max(t, zero);
            }
            for o in 0..O {
                fits[o] = S::fma(t, S::splat(ramp[2 + o]), fits[o]);
            }
        }
    }
}

#[inline(always)]
unsafe fn input<S: Simd>(lane: &Lane, numbers: *const f32) -> S::F {
    let x = match &lane.form {
        Form::Normal { a, b } => {
            let z = S::load(numbers);
            S::fma(z, S::splat(*b), S::splat(*a))
        }
        Form::Uniform { a, b } => {
            let u = S::load(numbers);
            S::fma(u, S::splat(*b), S::splat(*a))
        }
        Form::Triangular { split, low, high, p, q } => {
            let u = S::load(numbers);
            let left = S::add(S::splat(*low), S::sqrt(S::mul(u, S::splat(*p))));
            let rest = S::max(S::sub(S::splat(1.0), u), S::splat(0.0));
            let right = S::sub(S::splat(*high), S::sqrt(S::mul(rest, S::splat(*q))));
            S::select(S::lt(u, S::splat(*split)), left, right)
        }
        Form::Table { a, b, knots } => {
            let z = S::load(numbers);
            S::fma(look_up::<S>(knots, z), S::splat(*b), S::splat(*a))
        }
    };
    S::min(S::max(x, S::splat(lane.low)), S::splat(lane.high))
}

#[inline(always)]
unsafe fn look_up<S: Simd>(knots: &[f32; TABLE], z: S::F) -> S::F {
    let pos = S::mul(S::sub(z, S::splat(TABLE_START as f32)), S::splat((1.0 / TABLE_STEP) as f32));
    let pos = S::min(S::max(pos, S::splat(0.0)), S::splat((TABLE - 1) as f32));
    // The place is bounded once more as a whole number, whatever `z` is.
    let place = S::min_i(S::to_i(S::floor(pos)), S::splat_i(TABLE as i32 - 2));
    let place = S::max_i(place, S::splat_i(0));
    let (a, b) = S::gather_pair(knots.as_ptr(), place);
    S::fma(S::sub(b, a), S::sub(pos, S::to_f(place)), a)
}

/// Ranks of sixteen draws, as floats.
#[inline(always)]
unsafe fn rank<S: Simd, const O: usize>(scores: &[S::F; O], first_draw: usize) -> [S::F; O] {
    let mut ranks = [S::splat(0.0); O];
    for (o, r) in ranks.iter_mut().enumerate() {
        *r = S::splat((O - 1 - o) as f32);
    }
    let mut tied = S::lt(ranks[0], S::splat(-1.0));
    for i in 0..O {
        for j in i + 1..O {
            let wins = S::truth(S::lt(scores[j], scores[i]));
            ranks[i] = S::sub(ranks[i], wins);
            ranks[j] = S::add(ranks[j], wins);
            tied = S::or_m(tied, S::eq(scores[i], scores[j]));
        }
    }
    if S::any(tied) {
        return rank_ties::<S, O>(scores, first_draw);
    }
    ranks
}

/// Ranks when scores tie: options of one score take turns by draw number, so that they share the
/// places they stand on equally, however many other options there are.
#[cold]
unsafe fn rank_ties<S: Simd, const O: usize>(scores: &[S::F; O], first_draw: usize) -> [S::F; O] {
    let mut plain = [[0.0_f32; LANES]; O];
    for o in 0..O {
        S::store(plain[o].as_mut_ptr(), scores[o]);
    }
    let mut ranks = [[0.0_f32; LANES]; O];
    for lane in 0..LANES {
        let draw = first_draw + lane;
        for i in 0..O {
            let (mut ahead, mut before, mut tied) = (0, 0, 1);
            for j in (0..O).filter(|j| *j != i) {
                let (own, other) = (plain[i][lane], plain[j][lane]);
                ahead += usize::from(other > own);
                before += usize::from(other == own && j < i);
                tied += usize::from(other == own);
            }
            ranks[i][lane] = (ahead + (before + tied - draw % tied) % tied) as f32;
        }
    }
    let mut out = [S::splat(0.0); O];
    for o in 0..O {
        out[o] = S::load(ranks[o].as_ptr());
    }
    out
}

/// Sixteen draws of a number for each option, kept in memory.
type Kept<const O: usize> = [[f32; LANES]; O];

/// Counts for each option the draws, of those `alive`, in which it is first; options of one score
/// take turns, as [`rank_ties`] has it.
#[inline(always)]
unsafe fn count_first<S: Simd, const O: usize>(
    scores: &[S::F; O],
    first_draw: usize,
    alive: u32,
    counts: &mut [u32; O],
) {
    let mut best = scores[0];
    for o in 1..O {
        best = S::max(best, scores[o]);
    }
    let (mut hits, mut seen, mut tied) = ([0_u32; O], 0, 0);
    for o in 0..O {
        hits[o] = S::mask_bits(S::eq(scores[o], best));
        tied |= seen & hits[o];
        seen |= hits[o];
    }
    if tied != 0 {
        let ranks = rank_ties::<S, O>(scores, first_draw);
        for o in 0..O {
            hits[o] = S::mask_bits(S::eq(ranks[o], S::splat(0.0)));
        }
    }
    for o in 0..O {
        counts[o] += (hits[o] & alive).count_ones();
    }
}

#[inline(always)]
unsafe fn run<S: Simd, const O: usize>(job: &mut Job<'_>) {
    let p = job.profile;
    let own = Terms::new(&p.own, job.scored.draws, job.block);
    let variants: Vec<Terms<'_>> = (job.variants.iter().zip(&p.further))
        .map(|(variant, lanes)| Terms::new(lanes, variant.draws, job.block))
        .collect();
    let pin_of: Vec<usize> = (p.own.lanes.iter())
        .map(|l| p.pins.iter().position(|pin| pin.stream == l.stream).unwrap_or(usize::MAX))
        .collect();
    let nothing: Kept<O> = [[0.0; LANES]; O];
    let (mut held, mut varied) = (vec![nothing; p.pins.len()], vec![nothing; variants.len()]);
    let mut pinned = vec![[0; O]; p.pins.len() * p.levels];
    let mut firsts = vec![[0; O]; variants.len()];
    let mut counts = [[S::splat(0.0); O]; O];
    let mut sums = [S::splat(0.0); O];
    for at in (0..job.out.len).step_by(LANES) {
        let alive = if job.out.len - at >= LANES { S::splat(1.0) } else { leading::<S>(job.out.len - at) };
        let (draw, alive_bits) = (job.block * BLOCK + at, S::mask_bits(S::eq(alive, S::splat(1.0))));
        let mut scores = [S::splat(0.0); O];
        held.fill(nothing);
        varied.fill(nothing);
        for g in 0..own.weights.len() {
            let mut fits = own.base::<S, O>(g);
            for index in own.group(g) {
                let before = fits;
                own.add_fits::<S, O>(index, at, &mut fits);
                if !p.pins.is_empty() {
                    let held = &mut held[pin_of[index]];
                    for o in 0..O {
                        let h = held[o].as_mut_ptr();
                        S::store(h, S::add(S::load(h), S::sub(fits[o], before[o])));
                    }
                }
            }
            let w = S::load(own.weights[g].add(at));
            for o in 0..O {
                scores[o] = S::fma(w, fits[o], scores[o]);
            }
            for (variant, sum) in variants.iter().zip(&mut varied) {
                let (w, further) = (S::load(variant.weights[g].add(at)), variant.base::<S, O>(g));
                let mut fits = fits;
                for o in 0..O {
                    fits[o] = S::add(fits[o], further[o]);
                }
                for index in variant.group(g) {
                    variant.add_fits::<S, O>(index, at, &mut fits);
                }
                for o in 0..O {
                    let to = sum[o].as_mut_ptr();
                    S::store(to, S::fma(w, fits[o], S::load(to)));
                }
            }
        }
        for o in 0..O {
            S::store(job.out.scores.as_mut_ptr().add(o * STRIDE + at), scores[o]);
            sums[o] = S::fma(alive, scores[o], sums[o]);
        }
        let scores = close::<S, O>(scores, &p.open);
        let ranks = rank::<S, O>(&scores, draw);
        for o in 0..O - 1 {
            for r in 0..O - 1 {
                let hit = S::truth(S::eq(ranks[o], S::splat(r as f32)));
                counts[o][r] = S::fma(alive, hit, counts[o][r]);
            }
        }
        for (i, pin) in p.pins.iter().enumerate() {
            let w = S::load(own.weights[pin.group].add(at));
            for level in 0..p.levels {
                let mut moved = scores;
                for o in 0..O {
                    let change = S::sub(S::splat(pin.fits[level * O + o]), S::load(held[i][o].as_ptr()));
                    moved[o] = S::fma(w, change, moved[o]);
                }
                // What is closed stays so far below that no change moves it.
                count_first::<S, O>(&moved, draw, alive_bits, &mut pinned[i * p.levels + level]);
            }
        }
        for (sum, counts) in varied.iter().zip(&mut firsts) {
            let mut scores = [S::splat(0.0); O];
            for o in 0..O {
                scores[o] = S::load(sum[o].as_ptr());
            }
            count_first::<S, O>(&close::<S, O>(scores, &p.open), draw, alive_bits, counts);
        }
    }
    // In every draw each option has one rank and each rank one option: the last ones follow.
    let (len, ranks) = (job.out.len as u32, &mut job.out.ranks);
    ranks.fill(0);
    for o in 0..O - 1 {
        for r in 0..O - 1 {
            ranks[o * O + r] = S::sum(counts[o][r]) as u32;
        }
        ranks[o * O + O - 1] = len - ranks[o * O..][..O - 1].iter().sum::<u32>();
    }
    for r in 0..O {
        ranks[(O - 1) * O + r] = len - (0..O - 1).map(|o| ranks[o * O + r]).sum::<u32>();
    }
    for o in 0..O {
        job.out.sums[o] = f64::from(S::sum(sums[o]));
    }
    for (i, counts) in pinned.iter().enumerate() {
        let row = p.pins[i / p.levels].stream * p.levels + i % p.levels;
        job.out.pinned[row * O..][..O].copy_from_slice(counts);
    }
    for (to, counts) in job.out.firsts.chunks_exact_mut(O).zip(&firsts) {
        to.copy_from_slice(counts);
    }
}

/// One in the first `n` lanes, zero in the others.
#[inline(always)]
unsafe fn leading<S: Simd>(n: usize) -> S::F {
    let mut lanes = [0.0_f32; LANES];
    lanes[..n].fill(1.0);
    S::load(lanes.as_ptr())
}

/// Closed options get scores below every real one, each its own.
#[inline(always)]
unsafe fn close<S: Simd, const O: usize>(mut scores: [S::F; O], open: &[bool]) -> [S::F; O] {
    for o in 0..O {
        if !open[o] {
            scores[o] = S::splat(-1e30 * (o + 1) as f32);
        }
    }
    scores
}
