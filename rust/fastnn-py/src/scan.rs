//! `scan` as Python sees it: placeholders for a round, and the loop made of what the round gave.

use crate::dim::size_from;
use crate::error::{Result, data_error, enter};
use crate::operators::check_room;
use crate::tensor::{PyTensor, read};
use fastnn::graph::Ty;
use fastnn::shape::Shape;
use fastnn::tensor::{Round, Tensor};
use pyo3::prelude::*;

type Handles<'py> = Vec<Bound<'py, PyTensor>>;

fn tensors(handles: &Handles<'_>) -> Vec<Tensor> {
    handles.iter().map(|t| t.get().0.clone()).collect()
}

/// A placeholder of the type of each tensor; with `slices` of one slice of its first axis.
#[pyfunction]
#[pyo3(signature = (like, slices=false))]
fn round_inputs(like: Handles<'_>, slices: bool) -> PyResult<Vec<PyTensor>> {
    enter(|| {
        let one = |tensor: &Tensor| -> Result<PyTensor> {
            let Ty { shape, dtype } = tensor.ty();
            let dims = match shape.dims() {
                [] if slices => return data_error("scan: a scalar has no slices\n  hint: an array"),
                [_, rest @ ..] if slices => rest,
                all => all,
            };
            let ty = Ty { shape: Shape::new(dims)?, dtype };
            Ok(PyTensor::new(Tensor::placeholder(ty, "a value of a round of scan")))
        };
        tensors(&like).iter().map(one).collect()
    })
}

/// Runs a traced round again and again: `carries`, `slices` and `shared` are its placeholders, `outputs`
/// the next carries and what it gives, `values` what the loop is called with, in the same order. Without
/// `length` there are as many rounds as slices.
#[pyfunction]
#[pyo3(signature = (carries, slices, shared, outputs, values, length, reverse=false))]
#[allow(clippy::too_many_arguments)] // the pieces of a round
fn scan_rounds(
    py: Python<'_>,
    carries: Handles<'_>,
    slices: Handles<'_>,
    shared: Handles<'_>,
    outputs: Handles<'_>,
    values: Handles<'_>,
    length: &Bound<'_, PyAny>,
    reverse: bool,
) -> PyResult<Vec<PyTensor>> {
    enter(|| {
        let first = || values.get(carries.len()).and_then(|t| t.get().0.ty().shape.dims().first().copied());
        let known = if length.is_none() { first().filter(|_| !slices.is_empty()) } else { size_from(length) };
        let Some(length) = known else {
            return data_error("scan: length is no size\n  hint: a whole number, or a size of a tensor");
        };
        check_room()?;
        let round = Round {
            carries: &tensors(&carries),
            slices: &tensors(&slices),
            shared: &tensors(&shared),
            outputs: &tensors(&outputs),
        };
        let results = fastnn::tensor::scan(&round, &tensors(&values), length, reverse)?;
        if results.iter().any(Tensor::is_crowded) {
            read(py, &results[0])?;
        }
        Ok(results.into_iter().map(PyTensor::new).collect())
    })
}

/// Adds the two functions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(round_inputs, module)?)?;
    module.add_function(wrap_pyfunction!(scan_rounds, module)?)
}
