//! `Variable` as Python sees it, one or several at a moment.

use crate::classes::{dtype_object, shape_object};
use crate::convert::dtype_of;
use crate::error::{Result, data_error, enter};
use crate::export::to_numpy;
use crate::operand::tensor_from;
use crate::tensor::{PyTensor, read};
use fastnn::tensor::{Storage, Tensor, Variable};
use pyo3::prelude::*;
use std::sync::Arc;

/// A named value that functions read and update: a weight, a moving average, a metric sum.
///
/// Shape and type are fixed by the first value. Reading gives a snapshot that never changes.
#[pyclass(frozen, subclass, name = "Variable", module = "fastnn._core")]
pub(crate) struct PyVariable(pub(crate) Arc<Variable>);

impl PyVariable {
    /// The value now as a tensor, by which derivatives can be taken.
    pub(crate) fn leaf(&self) -> Tensor {
        Tensor::variable(&self.0, self.0.snapshot())
    }

    /// A value of this variable's shape and type.
    fn prepare(&self, value: &Bound<'_, PyAny>) -> Result<Arc<Storage>> {
        let ty = self.0.ty();
        let tensor = tensor_from(value, Some(ty.dtype), "the new value")?;
        let got = tensor.ty();
        if got.shape != ty.shape {
            return Err(fastnn::error::Error::Shape(format!(
                "assign: the new value of variable '{}' has shape {}, wanted {}\n  hint: reshape the value",
                fastnn::error::visible(&self.0.name()),
                got.shape,
                ty.shape
            ))
            .into());
        }
        Ok(read(value.py(), &tensor)?.clone())
    }
}

#[pymethods]
impl PyVariable {
    #[new]
    #[pyo3(signature = (value, dtype=None, name=None))]
    fn new(
        value: &Bound<'_, PyAny>,
        dtype: Option<&Bound<'_, PyAny>>,
        name: Option<&str>,
    ) -> PyResult<PyVariable> {
        enter(|| {
            let dtype = dtype.map(dtype_of).transpose()?;
            let tensor = tensor_from(value, dtype, "the initial value")?;
            let storage = read(value.py(), &tensor)?.clone();
            Ok(PyVariable(Variable::new(tensor.ty(), storage, name.unwrap_or(""))))
        })
    }

    /// The value now, as a tensor that later updates do not change, in functions built from it
    /// neither; those read the variable at each call through `traced`.
    #[getter]
    fn value(&self) -> PyTensor {
        PyTensor::new(self.leaf())
    }

    /// The value now, as a tensor that alone stands for the variable in derivatives: what was
    /// computed from the variable before is a constant beside it.
    fn apart(&self) -> PyTensor {
        PyTensor::new(Tensor::variable_apart(&self.0, self.0.snapshot()))
    }

    /// The variable as functions read it, at each call: a tensor without a value, whose reading is
    /// an error.
    fn traced(&self) -> PyTensor {
        PyTensor::new(Tensor::traced_variable(&self.0))
    }

    /// The value now, as a read-only NumPy array that later updates do not change.
    fn numpy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        enter(|| to_numpy(&Bound::new(py, PyTensor::new(self.leaf()))?))
    }

    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Bound::new(py, PyTensor::new(self.leaf()))?.call_method1("__array__", (dtype, copy))
    }

    /// Sets the value; while `fit` updates it in another thread, between two steps of that. Errors:
    /// ShapeError when the shape differs.
    fn assign(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        enter(|| Ok(self.0.assign(self.prepare(value)?)?))
    }

    /// The sizes.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        shape_object(py, &self.0.ty().shape)
    }

    /// 'float32', 'int32' or 'bool', or a storage type: 'bfloat16', 'float16', 'int8', 'uint8'.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        dtype_object(py, self.0.ty().dtype)
    }

    /// The number of elements.
    #[getter]
    fn size(&self) -> usize {
        self.0.ty().shape.count()
    }

    /// A number that all handles on this variable share, and no other variable that lives.
    #[getter]
    fn key(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// The name, which can be set.
    #[getter]
    fn name(&self) -> String {
        self.0.name()
    }

    #[setter]
    fn set_name(&self, name: &str) {
        self.0.rename(name);
    }

    fn __repr__(&self) -> String {
        let ty = self.0.ty();
        format!("<fastnn.Variable '{}' shape={}, dtype={}>", self.0.name(), ty.shape, ty.dtype.name())
    }
}

/// The values of several Variables at one moment, as tensors that later updates do not change.
///
/// While `fit` updates them in another thread, that is between two of its steps.
#[pyfunction]
fn snapshots(variables: Vec<Bound<'_, PyVariable>>) -> PyResult<Vec<PyTensor>> {
    enter(|| {
        let variables: Vec<Arc<Variable>> = variables.iter().map(|v| v.get().0.clone()).collect();
        let values = Variable::snapshots(variables.iter());
        Ok(variables.iter().zip(values).map(|(v, value)| PyTensor::new(Tensor::variable(v, value))).collect())
    })
}

/// Sets several Variables at one moment; while `fit` updates them in another thread, between two of
/// its steps. Raises ShapeError or DataError, before anything is set, when a value does not fit.
#[pyfunction]
fn assign_all(variables: Vec<Bound<'_, PyVariable>>, values: Vec<Bound<'_, PyAny>>) -> PyResult<()> {
    enter(|| {
        if variables.len() != values.len() {
            return data_error(format!(
                "assign_all: got {} values for {} variables, wanted one each",
                values.len(),
                variables.len()
            ));
        }
        let pairs = variables.iter().zip(&values).map(|(variable, value)| {
            let variable = variable.get();
            Ok((variable.0.clone(), variable.prepare(value)?))
        });
        Ok(Variable::assign_all(&pairs.collect::<Result<Vec<_>>>()?)?)
    })
}

/// Adds `Variable` and the functions of several to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyVariable>()?;
    module.add_function(wrap_pyfunction!(snapshots, module)?)?;
    module.add_function(wrap_pyfunction!(assign_all, module)?)
}
