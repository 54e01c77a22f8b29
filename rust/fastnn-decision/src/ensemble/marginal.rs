//! Marginal distributions and their shape for the vector loop: a constant, an affine function of
//! the normal or of the uniform, a triangular quantile, or a table over the normal (beta, PERT,
//! and whatever meets a logarithm). Tables hold the exact quantile at 1,025 knots; between knots a
//! line, whose error is below 2e-5 of the second derivative.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::special::{beta_quantile_from, normal_cdf, normal_quantile};
use super::{Draws, Layout, Profile, Variable, Variant};
use fastnn::data_err;
use fastnn::error::Result;
use fastnn::sync::Lock;

/// Knots of a table and the normals its ends stand for; 32-bit uniforms stay inside +-6.4.
pub(super) const TABLE: usize = 1025;
pub(super) const TABLE_START: f64 = -6.4;
pub(super) const TABLE_STEP: f64 = 12.8 / (TABLE - 1) as f64;

/// Beta tables are kept for the next call, up to this many.
const KEPT: usize = 512;

/// A family of marginals; what the parameters mean is said at each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// (value)
    Fixed,
    /// (mean, standard deviation)
    Normal,
    /// (median, standard deviation of the natural logarithm)
    LogNormal,
    /// (low, mode, high)
    Triangular,
    /// (low, mode, high): beta with a = 1 + 4 (mode - low) / (high - low), b = 6 - a
    Pert,
    /// (low, high)
    Uniform,
    /// (a, b), scaled to low .. high of the marginal
    Beta,
}

impl Kind {
    /// The family with this number, in the order above.
    #[must_use]
    pub fn from_index(i: usize) -> Option<Self> {
        [Self::Fixed, Self::Normal, Self::LogNormal, Self::Triangular, Self::Pert, Self::Uniform, Self::Beta]
            .get(i)
            .copied()
    }
}

/// How one input of one profile is drawn; the draw is clipped to `low ..= high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Marginal {
    /// Family.
    pub kind: Kind,
    /// Parameters of the family, the rest unused.
    pub params: [f64; 3],
    /// Lower clip; may be minus infinity.
    pub low: f64,
    /// Upper clip; may be infinity.
    pub high: f64,
}

impl Marginal {
    fn check(&self) -> Result<()> {
        let [a, b, c] = self.params;
        let ok = match self.kind {
            Kind::Fixed => a.is_finite(),
            Kind::Normal => a.is_finite() && b.is_finite() && b >= 0.0,
            Kind::LogNormal => a.is_finite() && a > 0.0 && b.is_finite() && b >= 0.0,
            Kind::Triangular | Kind::Pert => a.is_finite() && c.is_finite() && a <= b && b <= c,
            Kind::Uniform => a.is_finite() && b.is_finite() && a <= b,
            Kind::Beta => {
                let shape = |x: f64| (1e-2..=1e6).contains(&x);
                shape(a) && shape(b) && self.low.is_finite() && self.high.is_finite()
            }
        };
        if ok && self.low <= self.high {
            return Ok(());
        }
        data_err!(
            "{:?}({a}, {b}, {c}) clipped to {} .. {} is not a distribution",
            self.kind,
            self.low,
            self.high
        )
    }

    /// The value at a standard normal `z`, clipped, before any logarithm.
    #[must_use]
    pub fn at(&self, z: f64) -> f64 {
        let [a, b, c] = self.params;
        let x = match self.kind {
            Kind::Fixed => a,
            Kind::Normal => a + b * z,
            Kind::LogNormal => a * (b * z).exp(),
            Kind::Triangular => triangular(normal_cdf(z), a, b, c),
            Kind::Uniform => a + (b - a) * normal_cdf(z),
            Kind::Pert | Kind::Beta => match self.shape() {
                Some((p, q, from, width)) => from + width * beta_quantile_from(normal_cdf(z), p, q, 0.0),
                None => a,
            },
        };
        x.clamp(self.low, self.high)
    }

    /// The value that a draw is at most with probability `u`, clipped.
    ///
    /// # Errors
    /// When the parameters are not of a distribution, or `u` is outside 0 and 1.
    pub fn quantile(&self, u: f64) -> Result<f64> {
        self.check()?;
        if !(u > 0.0 && u < 1.0) {
            return data_err!("quantile {u} is not between 0 and 1");
        }
        Ok(self.at(normal_quantile(u)))
    }

    /// (a, b, start, width) of the beta behind PERT and beta; `None` when it has no width.
    fn shape(&self) -> Option<(f64, f64, f64, f64)> {
        let [a, b, c] = self.params;
        match self.kind {
            Kind::Pert if c > a => {
                let p = 1.0 + 4.0 * (b - a) / (c - a);
                Some((p, 6.0 - p, a, c - a))
            }
            Kind::Beta => Some((a, b, self.low, self.high - self.low)),
            _ => None,
        }
    }

    fn is_constant(&self) -> bool {
        let [a, b, c] = self.params;
        self.low == self.high
            || match self.kind {
                Kind::Fixed => true,
                Kind::Normal | Kind::LogNormal => b == 0.0,
                Kind::Uniform => a == b,
                Kind::Triangular | Kind::Pert => a == c,
                Kind::Beta => false,
            }
    }
}

fn triangular(u: f64, low: f64, mode: f64, high: f64) -> f64 {
    let width = high - low;
    if width == 0.0 {
        return low;
    }
    if u * width < mode - low {
        low + (u * width * (mode - low)).sqrt()
    } else {
        high - ((1.0 - u) * width * (high - mode)).sqrt()
    }
}

/// How the vector loop makes an input from its random number.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// `a + b z`.
    Normal { a: f32, b: f32 },
    /// `a + b u`.
    Uniform { a: f32, b: f32 },
    /// `u < split ? low + sqrt(u p) : high - sqrt((1 - u) q)`.
    Triangular { split: f32, low: f32, high: f32, p: f32, q: f32 },
    /// `a + b table(z)`.
    Table { a: f32, b: f32, knots: Arc<[f32; TABLE]> },
}

impl Form {
    /// Whether the random number is a normal; the others take the uniform.
    pub(super) fn reads_normals(&self) -> bool {
        matches!(self, Self::Normal { .. } | Self::Table { .. })
    }
}

/// One uncertain variable of one profile.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    pub(super) variable: usize,
    pub(super) stream: usize,
    pub(super) form: Form,
    pub(super) low: f32,
    pub(super) high: f32,
    /// The curve cut into ramps, `[ramp][2 + option]`: one over the width, minus the start over the
    /// width, then what each option gains. A fit is a sum over ramps of
    /// `gain * clamp((x - start) / width, 0, 1)`, for an `x` between the outer knots.
    pub(super) ramps: Vec<f32>,
}

/// Variables ready for the vector loop: the uncertain ones by group, the rest summed up.
#[derive(Debug)]
pub(super) struct Lanes {
    /// Sorted by group.
    pub(super) lanes: Vec<Lane>,
    /// Lanes of group g: `lanes[starts[g]..starts[g + 1]]`.
    pub(super) starts: Vec<usize>,
    /// `[group][option]`: what the constant variables and the first knots add.
    pub(super) base: Vec<f32>,
}

impl Lanes {
    /// The variables of a layout from number `first`, with marginals of all its variables.
    fn new(layout: &Layout, draws: &Draws, marginals: &[Marginal], first: usize) -> Result<Self> {
        let (o, variables) = (layout.options(), layout.variables());
        let mut base = vec![0.0_f64; layout.groups() * o];
        let mut order: Vec<usize> = Vec::new();
        for (i, (v, m)) in variables.iter().zip(marginals).enumerate().skip(first) {
            if let Err(fastnn::error::Error::Data(text)) = m.check() {
                return data_err!("variable {i}: {text}");
            }
            let constant = m.is_constant() || v.knots.len() == 1;
            let at = if constant { m.at(0.0) } else { v.input(v.knots[0]) };
            for option in 0..o {
                base[v.group * o + option] += v.fit(option, at);
            }
            if !constant {
                order.push(i);
            }
        }
        order.sort_by_key(|i| variables[*i].group);
        let starts =
            (0..=layout.groups()).map(|g| order.partition_point(|i| variables[*i].group < g)).collect();
        let lanes: Vec<Lane> = order.iter().map(|i| Lane::new(*i, &variables[*i], &marginals[*i])).collect();
        if let Some(lane) =
            lanes.iter().find(|lane| lane.form.reads_normals() && !draws.has_normals(lane.stream))
        {
            return data_err!(
                "variable {}: stream {} has uniforms alone\nhint: give it a uniform or triangular marginal",
                lane.variable,
                lane.stream
            );
        }
        debug_assert!(draws.streams() == layout.streams());
        Ok(Self { lanes, starts, base: base.iter().map(|x| *x as f32).collect() })
    }
}

/// A profile ready for the vector loop.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The variables of the layout.
    pub(super) own: Lanes,
    /// The variables that each variant has beside them.
    pub(super) further: Vec<Lanes>,
    pub(super) open: Vec<bool>,
    pub(super) pins: Vec<Pin>,
    pub(super) levels: usize,
}

/// A stream held at its levels.
#[derive(Debug)]
pub(super) struct Pin {
    pub(super) stream: usize,
    pub(super) group: usize,
    /// `[level][option]`, without the group weight and the part that is in `base`.
    pub(super) fits: Vec<f32>,
}

impl Prepared {
    pub(super) fn new(
        scored: Variant<'_>,
        variants: &[Variant<'_>],
        profile: &Profile<'_>,
        levels: &[f64],
    ) -> Result<Self> {
        let (layout, marginals) = (scored.layout, profile.marginals);
        let own = layout.variables().len();
        let wanted = variants.iter().map(|v| v.layout.variables().len()).fold(own, usize::max);
        if marginals.len() != wanted || profile.open.len() != layout.options() {
            return data_err!(
                "got {} marginals and {} option marks, wanted {wanted} and {}",
                marginals.len(),
                profile.open.len(),
                layout.options()
            );
        }
        let further =
            variants.iter().map(|v| Lanes::new(v.layout, v.draws, marginals, own)).collect::<Result<_>>()?;
        let own = Lanes::new(layout, scored.draws, marginals, 0)?;
        let pins = pins(layout, profile, &own.lanes, levels);
        Ok(Self { own, further, open: profile.open.to_vec(), pins, levels: levels.len() })
    }
}

fn pins(layout: &Layout, profile: &Profile<'_>, lanes: &[Lane], levels: &[f64]) -> Vec<Pin> {
    if levels.is_empty() {
        return Vec::new();
    }
    let o = layout.options();
    let mut out: Vec<Pin> = Vec::new();
    for lane in lanes {
        let v = &layout.variables()[lane.variable];
        let at = out.iter().position(|p| p.stream == lane.stream).unwrap_or_else(|| {
            out.push(Pin { stream: lane.stream, group: v.group, fits: vec![0.0; levels.len() * o] });
            out.len() - 1
        });
        for (level, q) in levels.iter().enumerate() {
            let x = profile.marginals[lane.variable].at(normal_quantile(*q));
            for option in 0..o {
                let change = v.fit(option, x) - v.fit(option, v.input(v.knots[0]));
                out[at].fits[level * o + option] += change as f32;
            }
        }
    }
    out
}

impl Variable {
    /// The weighted fit of an option at an input.
    pub(super) fn fit(&self, option: usize, input: f64) -> f64 {
        if self.only.is_some_and(|only| only != option) {
            return 0.0;
        }
        self.weight * self.curve(option, self.scaled(input))
    }

    /// The curve of an option at `x` on the scale of the knots.
    pub(super) fn curve(&self, option: usize, x: f64) -> f64 {
        let (k, y) = (&self.knots, &self.fits[option]);
        let right = k.partition_point(|knot| *knot <= x);
        if right == 0 {
            y[0]
        } else if right == k.len() {
            y[right - 1]
        } else {
            let t = (x - k[right - 1]) / (k[right] - k[right - 1]);
            y[right - 1] + t * (y[right] - y[right - 1])
        }
    }

    /// The curve as [`Lane`] has it.
    fn ramps(&self) -> Vec<f32> {
        let mut out = Vec::with_capacity((self.knots.len() - 1) * (2 + self.fits.len()));
        for k in 1..self.knots.len() {
            let (from, to) = (self.knots[k - 1], self.knots[k]);
            out.extend([(1.0 / (to - from)) as f32, (-from / (to - from)) as f32]);
            out.extend(self.fits.iter().enumerate().map(|(option, fits)| {
                let counts = self.only.is_none_or(|only| only == option);
                if counts { (self.weight * (fits[k] - fits[k - 1])) as f32 } else { 0.0 }
            }));
        }
        out
    }

    /// The input as the curve reads it.
    fn scaled(&self, input: f64) -> f64 {
        if self.log { input.max(f64::MIN_POSITIVE).log10() } else { input }
    }

    /// The input at which the curve reads `knot`.
    fn input(&self, knot: f64) -> f64 {
        if self.log { 10.0_f64.powf(knot) } else { knot }
    }
}

impl Lane {
    fn new(index: usize, v: &Variable, m: &Marginal) -> Self {
        let [a, b, c] = m.params;
        let form = match (m.kind, v.log) {
            (Kind::LogNormal, true) => {
                Form::Normal { a: a.log10() as f32, b: (b / std::f64::consts::LN_10) as f32 }
            }
            (Kind::Normal, false) => Form::Normal { a: a as f32, b: b as f32 },
            (Kind::Uniform, false) => Form::Uniform { a: a as f32, b: (b - a) as f32 },
            (Kind::Triangular, false) => Form::Triangular {
                split: ((b - a) / (c - a)) as f32,
                low: a as f32,
                high: c as f32,
                p: ((c - a) * (b - a)) as f32,
                q: ((c - a) * (c - b)) as f32,
            },
            (Kind::Pert | Kind::Beta, false) if m.shape().is_some() => {
                let (p, q, from, width) = m.shape().unwrap_or((1.0, 1.0, 0.0, 0.0));
                Form::Table { a: from as f32, b: width as f32, knots: beta_table(p, q) }
            }
            _ => Form::Table { a: 0.0, b: 1.0, knots: table(|z| v.scaled(m.at(z))) },
        };
        // Outside the knots the curve is flat: the clip keeps an input between them.
        let (first, last) = (v.knots[0], v.knots[v.knots.len() - 1]);
        let bound = |x: f64| v.scaled(x).clamp(first, last) as f32;
        Self {
            variable: index,
            stream: v.stream,
            form,
            low: bound(m.low),
            high: bound(m.high),
            ramps: v.ramps(),
        }
    }
}

/// The normal at a knot of a table.
fn normal_at(knot: usize) -> f64 {
    TABLE_START + TABLE_STEP * knot as f64
}

fn table(value: impl Fn(f64) -> f64) -> Arc<[f32; TABLE]> {
    Arc::new(std::array::from_fn(|i| value(normal_at(i)) as f32))
}

fn beta_table(a: f64, b: f64) -> Arc<[f32; TABLE]> {
    type Tables = BTreeMap<(u64, u64), Arc<[f32; TABLE]>>;
    static TABLES: Lock<Tables> = Lock::new(BTreeMap::new());
    let key = (a.to_bits(), b.to_bits());
    let known = TABLES.lock().get(&key).cloned();
    if let Some(known) = known {
        return known;
    }
    let mut low = 0.0;
    let made = Arc::new(std::array::from_fn(|i| {
        low = beta_quantile_from(normal_cdf(normal_at(i)), a, b, low);
        low as f32
    }));
    let mut tables = TABLES.lock();
    if tables.len() >= KEPT {
        tables.clear();
    }
    tables.insert(key, made.clone());
    made
}
