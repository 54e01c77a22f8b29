//! `Loop` and `optimizer_update` as Python sees them. The loop runs detached; Python is entered
//! for signals, for the heartbeat and, when asked, around each batch.

use crate::borrow::{Borrowed, Borrows};
use crate::error::{Fault, Result, data_error, enter};
use crate::function::{PyFunction, check_signals};
use crate::operand::operand;
use crate::tensor::PyTensor;
use crate::variable::PyVariable;
use fastnn::error::Error;
use fastnn::graph::Arg;
use fastnn::optim::{self, Update};
use fastnn::shape::DType;
use fastnn::sync::Lock;
use fastnn::tensor::{Tensor, with_graph};
use fastnn::train::{At, Loop, Observer, Schedule};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple};

/// A training (or evaluation) loop: `Loop(step, results=None, reset=[])`.
///
/// `step` is a Function whose updates are one step, `results` one without inputs whose scalar
/// outputs are the results of an epoch, `reset` the variables zeroed before each epoch.
#[pyclass(frozen, name = "Loop", module = "fastnn._core")]
pub(crate) struct PyLoop {
    parts: Loop,
    step: Py<PyFunction>,
    finished: Lock<Vec<Vec<f32>>>,
}

#[pymethods]
impl PyLoop {
    #[new]
    #[pyo3(signature = (step, results=None, reset=None))]
    fn new(
        step: Bound<'_, PyFunction>,
        results: Option<Bound<'_, PyFunction>>,
        reset: Option<Vec<Bound<'_, PyVariable>>>,
    ) -> PyResult<PyLoop> {
        enter(|| {
            if let Some(results) = &results
                && !results.get().function.inputs().is_empty()
            {
                return data_error("Loop: the results function takes inputs, wanted none");
            }
            let parts = Loop {
                step: step.get().function.clone(),
                results: results.map(|f| f.get().function.clone()),
                reset: reset.unwrap_or_default().iter().map(|v| v.get().0.clone()).collect(),
            };
            Ok(PyLoop { parts, step: step.unbind(), finished: Lock::new(vec![]) })
        })
    }

    /// Runs `epochs` epochs over the arrays (one per input of the step) and gives each epoch's results.
    ///
    /// `seed` shuffles, `None` keeps the order. `order` names the rows of an epoch instead, and with
    /// `goes_on` the run goes on in an epoch that was begun before. `heartbeat(epoch, batch, steps, results)` is called
    /// about every 100 ms, `on_batch(epoch, batch, begin, results)` around each batch; either stops
    /// the run gently by returning True. Ctrl-C stops it between steps, or inside a long one
    /// that has not begun to change weights: the variables then hold the last whole step, and `finished` the results of the epochs that were completed.
    #[pyo3(signature = (arrays, batch_size, epochs, *, seed=None, first_epoch=0, steps=None, order=None, goes_on=false, heartbeat=None, on_batch=None))]
    #[allow(clippy::too_many_arguments)] // They are keywords in Python.
    fn run(
        &self,
        py: Python<'_>,
        arrays: &Bound<'_, PyAny>,
        batch_size: usize,
        epochs: usize,
        seed: Option<u64>,
        first_epoch: usize,
        steps: Option<usize>,
        order: Option<Bound<'_, PyAny>>,
        goes_on: bool,
        heartbeat: Option<Py<PyAny>>,
        on_batch: Option<Py<PyAny>>,
    ) -> PyResult<Vec<Vec<f32>>> {
        enter(|| {
            let arrays = PyTuple::new(py, arrays.try_iter()?.collect::<PyResult<Vec<_>>>()?)?;
            let mut borrowed = Borrows::new();
            self.step.get().borrow(&arrays, &mut borrowed)?;
            let order = order.map(|order| rows_of(&order)).transpose()?;
            let schedule = Schedule { batch_size, epochs, first_epoch, seed, steps, order, goes_on };
            let job = Job { args: borrowed.iter().map(Borrowed::arg).collect() };
            let mut watcher = Watcher { finished: vec![], heartbeat, on_batch, raised: None };
            let result = crate::interpreter::detach(py, || {
                let job = job;
                // SAFETY: the arrays were borrowed with their shapes and are kept until the end.
                unsafe { self.parts.run(&job.args, &schedule, &mut watcher) }
            });
            let earlier = std::mem::replace(&mut *self.finished.lock(), watcher.finished.clone());
            drop(earlier);
            if let Some(error) = watcher.raised {
                return Err(error.into());
            }
            result?;
            Ok(watcher.finished)
        })
    }

    /// Results of the epochs that the last run completed, also when it was interrupted.
    #[getter]
    fn finished(&self) -> Vec<Vec<f32>> {
        self.finished.lock().clone()
    }
}

/// Numbers of rows, from an array of int32.
fn rows_of(order: &Bound<'_, PyAny>) -> Result<Vec<u32>> {
    let held = Borrowed::new(order, DType::I32, "order")?;
    // SAFETY: the array is borrowed, and has the type that it was borrowed as.
    let rows =
        unsafe { std::slice::from_raw_parts(held.arg().ints().cast_const(), held.arg().ty.shape.count()) };
    let row = |&row: &i32| {
        u32::try_from(row).or_else(|_| {
            data_error(format!(
                "the order names row {row}, wanted 0 or more\n  hint: rows are numbered from 0"
            ))
        })
    };
    rows.iter().map(row).collect()
}

struct Job {
    args: Vec<Arg>,
}

// SAFETY: the pointers are to memory that the caller keeps for the length of the run.
unsafe impl Send for Job {}

/// Enters Python on behalf of a run; what Python raises is kept and stops the run.
struct Watcher {
    /// Results of finished epochs: of this run alone, though a callback may start another.
    finished: Vec<Vec<f32>>,
    heartbeat: Option<Py<PyAny>>,
    on_batch: Option<Py<PyAny>>,
    raised: Option<PyErr>,
}

impl Watcher {
    fn ask(&mut self, call: impl FnOnce(Python<'_>) -> PyResult<bool>) -> fastnn::error::Result<bool> {
        crate::interpreter::attach(call).map_err(|error| {
            self.raised = Some(error);
            Error::Interrupted
        })
    }
}

impl Observer for Watcher {
    fn tick(&mut self) -> fastnn::error::Result<()> {
        check_signals(&mut self.raised)
    }

    fn wants_heartbeat(&self) -> bool {
        self.heartbeat.is_some()
    }

    fn heartbeat(&mut self, at: At, results: &[f32]) -> fastnn::error::Result<bool> {
        let Some(callback) = self.heartbeat.take() else { return Ok(false) };
        let stop = self.ask(|py| {
            let results = self_or_none(py, results)?;
            callback.bind(py).call1((at.epoch, at.batch, at.steps, results))?.is_truthy()
        });
        self.heartbeat = Some(callback);
        stop
    }

    fn wants_batches(&self) -> bool {
        self.on_batch.is_some()
    }

    fn batch(&mut self, at: At, begins: bool, results: &[f32]) -> fastnn::error::Result<bool> {
        let Some(callback) = self.on_batch.take() else { return Ok(false) };
        let stop = self.ask(|py| {
            let results = if begins { py.None() } else { self_or_none(py, results)? };
            callback.bind(py).call1((at.epoch, at.batch, begins, results))?.is_truthy()
        });
        self.on_batch = Some(callback);
        stop
    }

    fn epoch(&mut self, _epoch: usize, results: Vec<f32>) -> fastnn::error::Result<()> {
        self.finished.push(results);
        Ok(())
    }
}

fn self_or_none(py: Python<'_>, results: &[f32]) -> PyResult<Py<PyAny>> {
    if results.is_empty() { Ok(py.None()) } else { Ok(results.into_pyobject(py)?.into_any().unbind()) }
}

fn hyper_from(hyper: Option<&Bound<'_, PyDict>>) -> Result<Vec<(String, f64)>> {
    let mut out = Vec::new();
    for (name, value) in hyper.into_iter().flatten() {
        let value = match value.cast::<PyBool>() {
            Ok(flag) => f64::from(u8::from(flag.is_true())),
            Err(_) => value.extract()?,
        };
        out.push((name.extract::<String>()?, value));
    }
    Ok(out)
}

/// Names of the running averages an optimizer keeps for each parameter.
#[pyfunction]
#[pyo3(signature = (kind, hyper=None))]
fn optimizer_slots(kind: &str, hyper: Option<&Bound<'_, PyDict>>) -> PyResult<Vec<&'static str>> {
    enter(|| {
        let hyper = hyper_from(hyper)?;
        let hyper: Vec<(&str, f64)> = hyper.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        Ok(optim::slots(kind, &hyper)?)
    })
}

/// One optimizer step with Keras 3's arithmetic: the new parameter and the new slots.
///
/// `kind` is 'sgd', 'rmsprop', 'adam' or 'adamw'; `iterations` counts the steps made before
/// (int32), `lr` is a number or a tensor, `hyper` has the hyperparameters by Keras's names.
#[pyfunction]
#[pyo3(signature = (kind, param, grad, slots, iterations, lr, hyper=None))]
fn optimizer_update(
    kind: &str,
    param: &Bound<'_, PyAny>,
    grad: &Bound<'_, PyAny>,
    slots: Vec<Bound<'_, PyAny>>,
    iterations: &Bound<'_, PyAny>,
    lr: &Bound<'_, PyAny>,
    hyper: Option<&Bound<'_, PyDict>>,
) -> PyResult<(PyTensor, Vec<PyTensor>)> {
    enter(|| {
        let hyper = hyper_from(hyper)?;
        let hyper: Vec<(&str, f64)> = hyper.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        let take = |value: &Bound<'_, PyAny>, dtype: DType, what: &str| -> Result<Tensor> {
            match operand(value)? {
                Some(tensor) => Ok(tensor.cast(dtype)?),
                None => data_error(format!(
                    "{kind}: the {what} is a {}, wanted a tensor",
                    crate::convert::kind_of(value)
                )),
            }
        };
        let mut inputs = vec![
            take(param, DType::F32, "parameter")?,
            take(grad, DType::F32, "gradient")?,
            take(iterations, DType::I32, "step count")?,
            take(lr, DType::F32, "learning rate")?,
        ];
        for slot in &slots {
            inputs.push(take(slot, DType::F32, "slot")?);
        }
        let mut new = with_graph(&inputs, |g, ids| {
            let with =
                Update { param: ids[0], grad: ids[1], slots: &ids[4..], iterations: ids[2], rate: ids[3] };
            let (param, slots) = optim::update(g, kind, &with, &hyper)?;
            Ok([param].into_iter().chain(slots).collect())
        })
        .map_err(Fault::Core)?;
        let slots = new.split_off(1).into_iter().map(PyTensor::new).collect();
        let param = new.pop().ok_or_else(|| Error::Internal("an update without a result".into()))?;
        Ok((PyTensor::new(param), slots))
    })
}

/// Adds `Loop` and the optimizer functions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyLoop>()?;
    module.add_function(wrap_pyfunction!(optimizer_slots, module)?)?;
    module.add_function(wrap_pyfunction!(optimizer_update, module)?)
}
