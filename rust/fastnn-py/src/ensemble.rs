//! Binding of the crate `fastnn-decision` (sample, score, rank; payouts): arrays in and out
//! by the buffer protocol, the interpreter released while they run. `fastnn.ensemble` is the face.

use fastnn_decision::ensemble::{
    self, DrawSpec, Draws, Kind, Layout, Marginal, Profile, Variable, Variant, Wanted, Weights,
};
use fastnn_decision::payout::{self, Claim};
use pyo3::buffer::{Element, PyBuffer};
use pyo3::prelude::*;

use crate::error::{Result, data_error, enter};

/// Numbers per marginal: kind, three parameters, low, high.
const MARGINAL: usize = 6;
/// Numbers per claim: due, last, rank, units, strike, cap.
const CLAIM: usize = 6;

fn read<T: Element + Copy + Default>(
    py: Python<'_>,
    name: &str,
    buffer: &PyBuffer<T>,
    len: usize,
) -> Result<Vec<T>> {
    if buffer.item_count() != len {
        return data_error(wrong_size(name, buffer.item_count(), len));
    }
    let mut values = fastnn::buffer::zeros(len)?;
    buffer.copy_to_slice(py, &mut values)?;
    Ok(values)
}

fn write<T: Element + Copy>(py: Python<'_>, name: &str, buffer: &PyBuffer<T>, values: &[T]) -> Result<()> {
    if buffer.item_count() != values.len() {
        return data_error(wrong_size(name, buffer.item_count(), values.len()));
    }
    Ok(buffer.copy_from_slice(py, values)?)
}

fn wrong_size(name: &str, got: usize, wanted: usize) -> String {
    format!("ensemble: {name} has {got} numbers, wanted {wanted}")
}

/// (group, stream, local weight, only option or None, log10, knots, fits).
type VariableRow = (usize, usize, f64, Option<usize>, bool, Vec<f64>, Vec<Vec<f64>>);

/// A layout of variables and the draws that every profile of it is scored on.
#[pyclass(module = "fastnn._core", frozen)]
struct Ensemble {
    layout: Layout,
    draws: Draws,
}

#[pymethods]
impl Ensemble {
    /// `weights` are Dirichlet concentrations scaled to `dirichlet_sum`, or fixed without it.
    #[new]
    #[pyo3(signature = (options, streams, variables, weights, dirichlet_sum, cholesky, draws, seed, stream))]
    #[allow(clippy::too_many_arguments)] // one positional call from `fastnn.ensemble`
    fn new(
        py: Python<'_>,
        options: usize,
        streams: usize,
        variables: Vec<VariableRow>,
        weights: Vec<f64>,
        dirichlet_sum: Option<f64>,
        cholesky: Option<Vec<f64>>,
        draws: usize,
        seed: u64,
        stream: u32,
    ) -> PyResult<Self> {
        enter(|| {
            let layout = Layout::new(options, weights.len(), streams, variables_from(variables))?;
            let weights = weights_from(weights, dirichlet_sum);
            let spec = DrawSpec { len: draws, seed, stream, weights, streams, cholesky };
            let draws = crate::interpreter::detach(py, || Draws::new(&spec))?;
            Ok(Self { layout, draws })
        })
    }

    /// The same variables and inputs under other weights of the same number.
    fn reweighted(&self, py: Python<'_>, weights: Vec<f64>, dirichlet_sum: Option<f64>) -> PyResult<Self> {
        enter(|| {
            if weights.len() != self.layout.groups() {
                return data_error(wrong_size("weights", weights.len(), self.layout.groups()));
            }
            let weights = weights_from(weights, dirichlet_sum);
            let draws = crate::interpreter::detach(py, || self.draws.reweighted(&weights))?;
            Ok(Self { layout: self.layout.clone(), draws })
        })
    }

    /// The same draws and further variables, on independent streams of uniforms up to `streams`.
    fn extended(&self, py: Python<'_>, streams: usize, variables: Vec<VariableRow>) -> PyResult<Self> {
        enter(|| {
            let all = [self.layout.variables(), &variables_from(variables)].concat();
            let layout = Layout::new(self.layout.options(), self.layout.groups(), streams, all)?;
            let draws = crate::interpreter::detach(py, || self.draws.extended(streams))?;
            Ok(Self { layout, draws })
        })
    }

    /// Scores profiles; fills `ranks` (u32), `mean`, `quantiles` (f64), `pinned`, `firsts` (u32).
    /// `variants` were made of this one; marginals are of the one that has most variables.
    #[allow(clippy::too_many_arguments)] // two inputs, three requests, five outputs
    fn score(
        &self,
        py: Python<'_>,
        marginals: PyBuffer<f64>,
        open: PyBuffer<u8>,
        quantile_levels: Vec<f64>,
        pin_levels: Vec<f64>,
        variants: Vec<Py<Self>>,
        ranks: PyBuffer<u32>,
        mean: PyBuffer<f64>,
        quantiles: PyBuffer<f64>,
        pinned: PyBuffer<u32>,
        firsts: PyBuffer<u32>,
    ) -> PyResult<()> {
        enter(|| {
            let variants: Vec<Variant<'_>> = variants.iter().map(|v| v.get().variant()).collect();
            let most = variants.iter().map(|v| v.layout.variables().len());
            let most = most.fold(self.layout.variables().len(), usize::max);
            let (marginals, open) = self.read_profiles(py, &marginals, &open, most)?;
            let wanted = Wanted { quantiles: quantile_levels, pins: pin_levels, variants };
            let all = crate::interpreter::detach(py, || self.run(&marginals, &open, &wanted))?;
            let join = |get: &dyn Fn(&ensemble::Summary) -> &[u32]| {
                all.iter().flat_map(|s| get(s).iter().copied()).collect::<Vec<u32>>()
            };
            write(py, "ranks", &ranks, &join(&|s| &s.ranks))?;
            write(py, "pinned", &pinned, &join(&|s| &s.pinned))?;
            write(py, "firsts", &firsts, &join(&|s| &s.firsts))?;
            write(py, "mean", &mean, &all.iter().flat_map(|s| s.mean.iter().copied()).collect::<Vec<f64>>())?;
            let q: Vec<f64> = all.iter().flat_map(|s| s.quantiles.iter().map(|x| f64::from(*x))).collect();
            write(py, "quantiles", &quantiles, &q)
        })
    }

    /// Total effects of one profile against an independent ensemble of the same layout; fills
    /// `effects` (streams + 1, options).
    fn total_effects(
        &self,
        py: Python<'_>,
        other: &Self,
        marginals: PyBuffer<f64>,
        open: PyBuffer<u8>,
        effects: PyBuffer<f64>,
    ) -> PyResult<()> {
        enter(|| {
            let (marginals, open) =
                self.read_profiles(py, &marginals, &open, self.layout.variables().len())?;
            let profile = Profile { marginals: &marginals, open: &open };
            let out = crate::interpreter::detach(py, || {
                ensemble::total_effects(&self.layout, &self.draws, &other.draws, profile)
            })?;
            write(py, "effects", &effects, &out)
        })
    }

    /// Copies the weights of one group, or the normals of one stream, into `out` (f32, draws).
    fn copy_draws(&self, py: Python<'_>, weights: bool, index: usize, out: PyBuffer<f32>) -> PyResult<()> {
        enter(|| {
            let count = if weights { self.draws.groups() } else { self.draws.streams() };
            if index >= count {
                return data_error(format!("ensemble: got row {index}, wanted one below {count}"));
            }
            let row = if weights { self.draws.all_weights(index) } else { self.draws.all_normals(index) };
            write(py, "out", &out, &row)
        })
    }
}

fn marginal_from(row: &[f64]) -> Result<Marginal> {
    let Some(kind) = Kind::from_index(row[0] as usize) else {
        return data_error(format!("ensemble: got marginal kind {}, wanted 0 to 6", row[0]));
    };
    Ok(Marginal { kind, params: [row[1], row[2], row[3]], low: row[4], high: row[5] })
}

fn variables_from(rows: Vec<VariableRow>) -> Vec<Variable> {
    rows.into_iter()
        .map(|(group, stream, weight, only, log, knots, fits)| Variable {
            group,
            stream,
            weight,
            only,
            log,
            knots,
            fits,
        })
        .collect()
}

fn weights_from(values: Vec<f64>, dirichlet_sum: Option<f64>) -> Weights {
    match dirichlet_sum {
        Some(sum) => Weights::Dirichlet { alphas: values, sum },
        None => Weights::Fixed(values),
    }
}

impl Ensemble {
    fn variant(&self) -> Variant<'_> {
        Variant { layout: &self.layout, draws: &self.draws }
    }

    fn read_profiles(
        &self,
        py: Python<'_>,
        marginals: &PyBuffer<f64>,
        open: &PyBuffer<u8>,
        v: usize,
    ) -> Result<(Vec<Marginal>, Vec<bool>)> {
        let o = self.layout.options();
        let profiles = open.item_count() / o;
        let open = read(py, "open", open, profiles * o)?.iter().map(|x| *x != 0).collect();
        let rows = read(py, "marginals", marginals, profiles * v * MARGINAL)?;
        let marginals = rows.chunks_exact(MARGINAL).map(marginal_from).collect::<Result<Vec<_>>>()?;
        Ok((marginals, open))
    }

    fn run(
        &self,
        marginals: &[Marginal],
        open: &[bool],
        wanted: &Wanted<'_>,
    ) -> fastnn::error::Result<Vec<ensemble::Summary>> {
        let open = open.chunks_exact(self.layout.options());
        let v = marginals.len() / open.len().max(1);
        let profiles: Vec<Profile<'_>> = open
            .enumerate()
            .map(|(i, open)| Profile { marginals: &marginals[i * v..(i + 1) * v], open })
            .collect();
        ensemble::score(&self.layout, &self.draws, &profiles, wanted)
    }
}

/// Quantiles, clipped, of a marginal: kind, three parameters, low, high.
#[pyfunction]
fn marginal_quantiles(marginal: [f64; MARGINAL], levels: Vec<f64>) -> PyResult<Vec<f64>> {
    enter(|| {
        let marginal = marginal_from(&marginal)?;
        Ok(levels.into_iter().map(|u| marginal.quantile(u)).collect::<fastnn::error::Result<_>>()?)
    })
}

/// Payouts of stacked claims: `claims` is (tables, claims, 6), `prices` rises, `out` is
/// (tables, claims, prices), all f64 and contiguous.
#[pyfunction]
fn pay_claims(
    py: Python<'_>,
    claims: PyBuffer<f64>,
    per_table: usize,
    prices: PyBuffer<f64>,
    out: PyBuffer<f64>,
) -> PyResult<()> {
    enter(|| {
        let rows = read(py, "claims", &claims, claims.item_count())?;
        let prices = read(py, "prices", &prices, prices.item_count())?;
        if rows.len() % CLAIM != 0 || out.readonly() || !out.is_c_contiguous() {
            return data_error("payout: claims need 6 numbers each, and out must be writable and contiguous");
        }
        let table: Vec<Claim> = rows
            .chunks_exact(CLAIM)
            .map(|r| Claim { due: r[0], last: r[1], rank: r[2] as u32, units: r[3], strike: r[4], cap: r[5] })
            .collect();
        // SAFETY: the exporter keeps the memory alive while `out` is held; it is writable and
        // contiguous, and the caller hands it over for the length of the call.
        let to = unsafe { std::slice::from_raw_parts_mut(out.buf_ptr().cast::<f64>(), out.item_count()) };
        Ok(crate::interpreter::detach(py, || payout::pay(&table, per_table, &prices, to))?)
    })
}

/// Adds the classes and functions of this file to the extension module.
pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Ensemble>()?;
    m.add_function(wrap_pyfunction!(marginal_quantiles, m)?)?;
    m.add_function(wrap_pyfunction!(pay_claims, m)?)
}
