//! The vector loop over one block of draws: inputs, curve look-ups, weighted sums, ranks. Sixteen
//! draws at a time; counts are whole numbers and sums are taken per block, so results do not
//! depend on how blocks are shared out.

// Lanes, options and ranks index several arrays at once.
#![allow(clippy::needless_range_loop)]

use super::draw::STRIDE;
use super::marginal::{Form, Lane, Prepared, TABLE, TABLE_START, TABLE_STEP};
use super::{BLOCK, Draws, Layout, MAX_OPTIONS};
use fastnn::per_isa;
use fastnn::simd::{LANES, Simd, isa};

/// The results of one profile on one block.
#[derive(Debug)]
pub(super) struct BlockOut {
    len: usize,
    pub(super) ranks: Vec<u32>,
    pub(super) sums: Vec<f64>,
    pub(super) pinned: Vec<u32>,
    scores: Vec<f32>,
}

impl BlockOut {
    pub(super) fn scores_of(&self, option: usize) -> &[f32] {
        &self.scores[option * STRIDE..][..self.len]
    }
}

/// Everything the loop reads and writes.
struct Job<'a> {
    layout: &'a Layout,
    draws: &'a Draws,
    profile: &'a Prepared,
    block: usize,
    out: &'a mut BlockOut,
}

pub(super) fn run_block(layout: &Layout, draws: &Draws, profile: &Prepared, block: usize) -> BlockOut {
    let o = layout.options();
    let mut out = BlockOut {
        len: BLOCK.min(draws.len() - block * BLOCK),
        ranks: vec![0; o * o],
        sums: vec![0.0; o],
        pinned: vec![0; layout.streams() * profile.levels * o],
        scores: vec![0.0; o * STRIDE],
    };
    let mut job = Job { layout, draws, profile, block, out: &mut out };
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

/// One uncertain variable with its curve cut into ramps: the fit is a sum over segments of
/// `gain * clamp((x - from) / width, 0, 1)`.
pub(super) struct Ramp<const O: usize> {
    from: f32,
    scale: f32,
    gains: [f32; O],
}

/// The ramps of every lane, one after the other.
pub(super) struct Ramps<const O: usize> {
    ramps: Vec<Ramp<O>>,
    starts: Vec<usize>,
}

impl<const O: usize> Ramps<O> {
    pub(super) fn new(layout: &Layout, lanes: &[Lane]) -> Self {
        let (mut ramps, mut starts) = (Vec::new(), vec![0]);
        for lane in lanes {
            let v = &layout.variables()[lane.variable];
            for k in 1..v.knots.len() {
                let mut gains = [0.0; O];
                for (option, gain) in gains.iter_mut().enumerate() {
                    if v.only.is_none_or(|only| only == option) {
                        *gain = (v.weight * (v.fits[option][k] - v.fits[option][k - 1])) as f32;
                    }
                }
                let scale = (1.0 / (v.knots[k] - v.knots[k - 1])) as f32;
                ramps.push(Ramp { from: v.knots[k - 1] as f32, scale, gains });
            }
            starts.push(ramps.len());
        }
        Self { ramps, starts }
    }
}

/// Adds the fits of lane `index` at sixteen draws, whose random `numbers` are given, to `fits`.
#[inline(always)]
pub(super) unsafe fn add_fits<S: Simd, const O: usize>(
    lane: &Lane,
    index: usize,
    ramps: &Ramps<O>,
    numbers: *const f32,
    fits: &mut [S::F; O],
) {
    let x = input::<S>(lane, numbers);
    let (zero, one) = (S::splat(0.0), S::splat(1.0));
    for r in &ramps.ramps[ramps.starts[index]..ramps.starts[index + 1]] {
        let t = S::mul(S::sub(x, S::splat(r.from)), S::splat(r.scale));
        let t = S::max(S::min(t, one), zero);
        for o in 0..O {
            fits[o] = S::fma(t, S::splat(r.gains[o]), fits[o]);
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
unsafe fn look_up<S: Simd>(knots: &[f32], z: S::F) -> S::F {
    let pos = S::mul(S::sub(z, S::splat(TABLE_START as f32)), S::splat((1.0 / TABLE_STEP) as f32));
    let pos = S::min(S::max(pos, S::splat(0.0)), S::splat((TABLE - 1) as f32));
    let floor = S::min(S::floor(pos), S::splat((TABLE - 2) as f32));
    let (mut index, mut left, mut right) = ([0_i32; LANES], [0.0_f32; LANES], [0.0_f32; LANES]);
    S::store_i(index.as_mut_ptr(), S::to_i(floor));
    for l in 0..LANES {
        left[l] = knots[index[l] as usize];
        right[l] = knots[index[l] as usize + 1];
    }
    let (a, b) = (S::load(left.as_ptr()), S::load(right.as_ptr()));
    S::fma(S::sub(b, a), S::sub(pos, floor), a)
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

#[inline(always)]
unsafe fn run<S: Simd, const O: usize>(job: &mut Job<'_>) {
    let (p, draws) = (job.profile, job.draws);
    let ramps = Ramps::<O>::new(job.layout, &p.lanes);
    let weights: Vec<*const f32> =
        (0..job.layout.groups()).map(|g| draws.weights(job.block, g).as_ptr()).collect();
    let numbers: Vec<*const f32> = p
        .lanes
        .iter()
        .map(|lane| match lane.form.reads_normals() {
            true => draws.normals(job.block, lane.stream).as_ptr(),
            false => draws.uniforms(job.block, lane.stream).as_ptr(),
        })
        .collect();
    let pins = p.pins.len() * p.levels;
    let mut held = vec![[[0.0_f32; LANES]; O]; p.pins.len()];
    let pin_of: Vec<usize> = p
        .lanes
        .iter()
        .map(|l| p.pins.iter().position(|pin| pin.stream == l.stream).unwrap_or(usize::MAX))
        .collect();
    let mut counts = [[S::splat(0.0); O]; O];
    let mut firsts = vec![[[0.0_f32; LANES]; O]; pins];
    let mut sums = [S::splat(0.0); O];
    for at in (0..job.out.len).step_by(LANES) {
        let alive = if job.out.len - at >= LANES { S::splat(1.0) } else { leading::<S>(job.out.len - at) };
        let mut scores = [S::splat(0.0); O];
        if pins > 0 {
            held.iter_mut().for_each(|h| *h = [[0.0; LANES]; O]);
        }
        for g in 0..job.layout.groups() {
            let w = S::load(weights[g].add(at));
            let mut fits = [S::splat(0.0); O];
            for o in 0..O {
                fits[o] = S::splat(p.base[g * O + o]);
            }
            for index in p.starts[g]..p.starts[g + 1] {
                let lane = &p.lanes[index];
                if pins == 0 {
                    add_fits::<S, O>(lane, index, &ramps, numbers[index].add(at), &mut fits);
                    continue;
                }
                let mut own = [S::splat(0.0); O];
                add_fits::<S, O>(lane, index, &ramps, numbers[index].add(at), &mut own);
                for o in 0..O {
                    fits[o] = S::add(fits[o], own[o]);
                    let h = held[pin_of[index]][o].as_mut_ptr();
                    S::store(h, S::add(S::load(h), own[o]));
                }
            }
            for o in 0..O {
                scores[o] = S::fma(w, fits[o], scores[o]);
            }
        }
        for o in 0..O {
            S::store(job.out.scores.as_mut_ptr().add(o * STRIDE + at), scores[o]);
            sums[o] = S::fma(alive, scores[o], sums[o]);
        }
        let ranks = rank::<S, O>(&close::<S, O>(scores, &p.open), job.block * BLOCK + at);
        for o in 0..O - 1 {
            for r in 0..O - 1 {
                let hit = S::truth(S::eq(ranks[o], S::splat(r as f32)));
                counts[o][r] = S::fma(alive, hit, counts[o][r]);
            }
        }
        for (i, pin) in p.pins.iter().enumerate() {
            let w = S::load(weights[pin.group].add(at));
            for level in 0..p.levels {
                let mut moved = scores;
                for o in 0..O {
                    let change = S::sub(S::splat(pin.fits[level * O + o]), S::load(held[i][o].as_ptr()));
                    moved[o] = S::fma(w, change, moved[o]);
                }
                let ranks = rank::<S, O>(&close::<S, O>(moved, &p.open), job.block * BLOCK + at);
                for o in 0..O {
                    let f = firsts[i * p.levels + level][o].as_mut_ptr();
                    let hit = S::truth(S::eq(ranks[o], S::splat(0.0)));
                    S::store(f, S::fma(alive, hit, S::load(f)));
                }
            }
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
        for (i, pin) in p.pins.iter().enumerate() {
            for level in 0..p.levels {
                let n = S::sum(S::load(firsts[i * p.levels + level][o].as_ptr())) as u32;
                job.out.pinned[(pin.stream * p.levels + level) * O + o] = n;
            }
        }
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
