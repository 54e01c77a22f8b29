//! Sample, score, rank: draws group weights (Dirichlet) and inputs (marginals joined by a
//! Gaussian copula), looks inputs up in piecewise-linear curves, adds weighted fits and counts the
//! rank of every option. All profiles share one set of draws (common random numbers), so a result
//! depends on (seed, stream, draws) and its own profile alone, never on batch order or threads.
//! Depends on the pool, `simd` and Philox of `fastnn`; knows nothing about what is being ranked.
//!
//! Sources: Salmon et al. 2011 (Philox); Marsaglia and Tsang 2000 (gamma); Wichura 1988 (AS 241);
//! Lahdelma, Hokkanen and Salminen 1998 (rank acceptability); Jansen 1999 (total index).

mod draw;
mod marginal;
mod quantile;
mod score;
mod sobol;
pub mod special;

use std::sync::Arc;

pub use draw::{DrawSpec, Draws, Weights};
pub use marginal::{Kind, Marginal};

use fastnn::data_err;
use fastnn::error::{Error, Result};
use fastnn::pool;
use fastnn::sync::Slot;
use marginal::Prepared;
use score::BlockOut;

/// Options a kernel can rank; the vector loop is compiled for each count up to this.
pub const MAX_OPTIONS: usize = 8;

/// Draws that are scored together: their normals stay in the second-level cache.
pub(crate) const BLOCK: usize = 1024;

/// Profiles that reuse a block of draws while it is in cache.
const GROUP: usize = 4;

/// A variable of the score: where its random number comes from, which group weight multiplies it,
/// and its piecewise-linear fit for each option (flat outside the outer knots).
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Group whose weight multiplies the fit.
    pub group: usize,
    /// Random stream; variables that share one move together.
    pub stream: usize,
    /// Local weight inside the group.
    pub weight: f64,
    /// The only option this variable counts for; `None` for all.
    pub only: Option<usize>,
    /// The curve is in log10 of the input.
    pub log: bool,
    /// Strictly rising, at least one.
    pub knots: Vec<f64>,
    /// One row per option, each as long as `knots`.
    pub fits: Vec<Vec<f64>>,
}

/// What all profiles of a batch share.
#[derive(Debug, Clone)]
pub struct Layout {
    options: usize,
    groups: usize,
    streams: usize,
    variables: Vec<Variable>,
}

impl Layout {
    /// Checks indices and curves.
    ///
    /// # Errors
    /// `Data` when an index is out of range, a curve is not strictly rising or not finite, or the
    /// variables of one stream belong to different groups.
    pub fn new(options: usize, groups: usize, streams: usize, variables: Vec<Variable>) -> Result<Self> {
        if !(1..=MAX_OPTIONS).contains(&options) {
            return data_err!("ensemble: got {options} options, wanted 1 to {MAX_OPTIONS}");
        }
        let mut group_of = vec![usize::MAX; streams];
        for (i, v) in variables.iter().enumerate() {
            if v.group >= groups || v.stream >= streams || v.only.is_some_and(|o| o >= options) {
                return data_err!(
                    "ensemble: variable {i} names group {} of {groups}, stream {} of {streams}, option {:?} of {options}",
                    v.group,
                    v.stream,
                    v.only
                );
            }
            if group_of[v.stream] != usize::MAX && group_of[v.stream] != v.group {
                return data_err!("ensemble: the variables of stream {} are in two groups", v.stream);
            }
            group_of[v.stream] = v.group;
            let rising = v.knots.windows(2).all(|w| w[0] < w[1]) && !v.knots.is_empty();
            let finite =
                v.weight.is_finite() && v.knots.iter().chain(v.fits.iter().flatten()).all(|x| x.is_finite());
            if !rising
                || !finite
                || v.fits.len() != options
                || v.fits.iter().any(|f| f.len() != v.knots.len())
            {
                return data_err!(
                    "ensemble: the curve of variable {i} must have rising finite knots and one finite fit per option and knot"
                );
            }
        }
        Ok(Self { options, groups, streams, variables })
    }

    /// Options ranked.
    #[must_use]
    pub fn options(&self) -> usize {
        self.options
    }

    /// Weight groups.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Random streams.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams
    }

    /// The variables, in the order of a profile's marginals.
    #[must_use]
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }
}

/// A layout and the draws it is scored on.
#[derive(Debug, Clone, Copy)]
pub struct Variant<'a> {
    /// What the score is made of.
    pub layout: &'a Layout,
    /// The weights and inputs.
    pub draws: &'a Draws,
}

/// What to compute beside ranks and means.
#[derive(Debug, Clone, Default)]
pub struct Wanted<'a> {
    /// Score quantiles, each in 0 ..= 1; exact order statistics, interpolated as NumPy does.
    pub quantiles: Vec<f64>,
    /// Levels at which each stream is held in turn, the others free (tornado).
    pub pins: Vec<f64>,
    /// The same inputs under other weights, or with further variables after those of the layout:
    /// draws that [`Draws::reweighted`] or [`Draws::extended`] made of those that are scored. Only
    /// first places are counted.
    pub variants: Vec<Variant<'a>>,
}

/// The answer for one profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// `[option][rank]`: draws in which the option took the rank; tied options take turns by draw number.
    pub ranks: Vec<u32>,
    /// `[option]`.
    pub mean: Vec<f64>,
    /// `[option][quantile]`.
    pub quantiles: Vec<f32>,
    /// `[stream][pin][option]`: draws in which the option came first.
    pub pinned: Vec<u32>,
    /// `[variant][option]`: draws in which the option came first.
    pub firsts: Vec<u32>,
}

/// One profile: a marginal per variable of the layout, or of the variant that has most, and which
/// options are ranked (closed ones are scored and take the last ranks).
#[derive(Debug, Clone, Copy)]
pub struct Profile<'a> {
    /// In the order of the layout's variables.
    pub marginals: &'a [Marginal],
    /// One per option.
    pub open: &'a [bool],
}

/// Scores and ranks every profile over the draws.
///
/// # Errors
/// `Data` when a profile does not fit the layout, a marginal is not valid, a quantile or pin
/// lies outside its range, or a variant is not one of these draws.
pub fn score(
    layout: &Layout,
    draws: &Draws,
    profiles: &[Profile<'_>],
    wanted: &Wanted<'_>,
) -> Result<Vec<Summary>> {
    let scored = Variant { layout, draws };
    check_draws(layout, draws)?;
    wanted.variants.iter().try_for_each(|variant| check_variant(scored, *variant))?;
    if wanted.quantiles.iter().any(|q| !(0.0..=1.0).contains(q)) {
        return data_err!("ensemble: a quantile lies outside 0 to 1");
    }
    if wanted.pins.iter().any(|q| !(*q > 0.0 && *q < 1.0)) {
        return data_err!("ensemble: a pin lies outside the open interval 0 to 1");
    }
    let prepared = prepare_all(scored, profiles, wanted)?;
    let run = |profile, block| score::run_block(scored, &wanted.variants, profile, block);
    let blocks = draws.len().div_ceil(BLOCK);
    let slots: Vec<Slot<Summary>> = (0..profiles.len()).map(|_| Slot::new()).collect();
    if profiles.len() >= GROUP {
        pool::run(profiles.len().div_ceil(GROUP), &|chunk| {
            let own = chunk * GROUP..((chunk + 1) * GROUP).min(profiles.len());
            let mut outs: Vec<Vec<BlockOut>> = own.clone().map(|_| Vec::with_capacity(blocks)).collect();
            for block in 0..blocks {
                for (out, p) in outs.iter_mut().zip(&prepared[own.clone()]) {
                    out.push(run(p, block));
                }
            }
            for (out, i) in outs.iter().zip(own) {
                slots[i].set(summarise(layout, draws.len(), out.iter(), wanted));
            }
        });
    } else {
        let parts: Vec<Slot<BlockOut>> = (0..profiles.len() * blocks).map(|_| Slot::new()).collect();
        pool::run(parts.len(), &|task| {
            parts[task].set(run(&prepared[task / blocks], task % blocks));
        });
        pool::run(profiles.len(), &|i| {
            let own = parts[i * blocks..(i + 1) * blocks].iter().filter_map(Slot::get);
            slots[i].set(summarise(layout, draws.len(), own, wanted));
        });
    }
    slots
        .into_iter()
        .map(|s| s.into_inner().ok_or_else(|| Error::Internal("ensemble: a profile was not scored".into())))
        .collect()
}

/// Total effect index of every stream and of the weights on each option's score (Jansen 1999):
/// `[stream, ..., weights][option]`, for the independent draws `a` and `b`.
///
/// # Errors
/// As [`score`]; also when `a` and `b` differ in length or are correlated.
pub fn total_effects(layout: &Layout, a: &Draws, b: &Draws, profile: Profile<'_>) -> Result<Vec<f64>> {
    check_draws(layout, a)?;
    check_draws(layout, b)?;
    if a.len() != b.len() || a.correlated() || b.correlated() {
        return data_err!(
            "ensemble: total effects need two independent sets of draws of one length, without correlation"
        );
    }
    let prepared = prepare_all(Variant { layout, draws: a }, &[profile], &Wanted::default())?;
    Ok(sobol::total_effects(layout, a, b, &prepared[0]))
}

fn check_draws(layout: &Layout, draws: &Draws) -> Result<()> {
    if draws.groups() != layout.groups || draws.streams() != layout.streams {
        return data_err!(
            "ensemble: draws of {} groups and {} streams do not fit a layout of {} and {}",
            draws.groups(),
            draws.streams(),
            layout.groups,
            layout.streams
        );
    }
    Ok(())
}

fn check_variant(scored: Variant<'_>, variant: Variant<'_>) -> Result<()> {
    check_draws(variant.layout, variant.draws)?;
    let (own, other) = (scored.layout, variant.layout);
    let alike = own.options == other.options && own.groups == other.groups;
    if !alike
        || !other.variables.starts_with(&own.variables)
        || scored.draws.len() != variant.draws.len()
        || !scored.draws.shares_inputs(variant.draws)
    {
        return data_err!(
            "ensemble: a variant is of other draws or variables\nhint: make it with reweighted or extended"
        );
    }
    Ok(())
}

fn prepare_all(
    scored: Variant<'_>,
    profiles: &[Profile<'_>],
    wanted: &Wanted<'_>,
) -> Result<Vec<Arc<Prepared>>> {
    let prepare = |profile| Prepared::new(scored, &wanted.variants, profile, &wanted.pins).map(Arc::new);
    let slots: Vec<Slot<Result<Arc<Prepared>>>> = (0..profiles.len()).map(|_| Slot::new()).collect();
    pool::run(profiles.len().div_ceil(GROUP), &|chunk| {
        for i in chunk * GROUP..((chunk + 1) * GROUP).min(profiles.len()) {
            slots[i].set(prepare(&profiles[i]).map_err(|e| match e {
                Error::Data(text) => Error::Data(format!("ensemble: profile {i}: {text}")),
                other => other,
            }));
        }
    });
    slots
        .into_iter()
        .map(|s| {
            s.into_inner()
                .unwrap_or_else(|| Err(Error::Internal("ensemble: a profile was not prepared".into())))
        })
        .collect()
}

fn summarise<'a>(
    layout: &Layout,
    draws: usize,
    blocks: impl Iterator<Item = &'a BlockOut> + Clone,
    wanted: &Wanted<'_>,
) -> Summary {
    let o = layout.options;
    let mut out = Summary {
        ranks: vec![0; o * o],
        mean: vec![0.0; o],
        quantiles: Vec::with_capacity(o * wanted.quantiles.len()),
        pinned: vec![0; layout.streams * wanted.pins.len() * o],
        firsts: vec![0; wanted.variants.len() * o],
    };
    for b in blocks.clone() {
        out.ranks.iter_mut().zip(&b.ranks).for_each(|(a, x)| *a += x);
        out.mean.iter_mut().zip(&b.sums).for_each(|(a, x)| *a += x);
        out.pinned.iter_mut().zip(&b.pinned).for_each(|(a, x)| *a += x);
        out.firsts.iter_mut().zip(&b.firsts).for_each(|(a, x)| *a += x);
    }
    out.mean.iter_mut().for_each(|m| *m /= draws as f64);
    if !wanted.quantiles.is_empty() {
        for option in 0..o {
            let parts: Vec<&[f32]> = blocks.clone().map(|b| b.scores_of(option)).collect();
            out.quantiles.extend(quantile::quantiles(&parts, draws, &wanted.quantiles));
        }
    }
    out
}

#[cfg(test)]
mod tests;
