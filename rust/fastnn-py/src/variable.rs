//! `Variable` as Python sees it. Waiting for a run that has the value checked out happens detached.

use crate::convert::{dtype_of, shape_tuple, tensor_from};
use crate::error::{Result, enter};
use crate::tensor::{PyTensor, read, to_numpy};
use fastnn::graph::Ty;
use fastnn::tensor::{Storage, Tensor, Variable};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::sync::Arc;

/// A named value that functions read and update: a weight, a moving average, a metric sum.
///
/// Shape and type are fixed by the first value. Reading gives a snapshot that never changes.
#[pyclass(frozen, subclass, name = "Variable", module = "fastnn._core")]
pub(crate) struct PyVariable(pub(crate) Arc<Variable>);

impl PyVariable {
    /// The value now.
    fn snapshot(&self, py: Python<'_>) -> Arc<Storage> {
        match self.0.try_snapshot() {
            Some(value) => value,
            None => py.detach(|| self.0.snapshot()),
        }
    }

    /// The value now as a tensor that functions know to be this variable.
    pub(crate) fn leaf(&self, py: Python<'_>) -> Tensor {
        Tensor::variable(&self.0, self.snapshot(py))
    }

    fn prepare(value: &Bound<'_, PyAny>, ty: Option<Ty>, name: &str) -> Result<(Ty, Arc<Storage>)> {
        let py = value.py();
        let tensor = tensor_from(value, ty.map(|ty| ty.dtype), name)?;
        Ok((tensor.ty(), read(py, &tensor)?.clone()))
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

    /// The value now, as a tensor; a function built from it reads the variable when it is called.
    #[getter]
    fn value(&self, py: Python<'_>) -> PyTensor {
        PyTensor(self.leaf(py))
    }

    /// The value now, as a read-only NumPy array that later updates do not change.
    fn numpy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        enter(|| to_numpy(&Bound::new(py, PyTensor(self.leaf(py)))?))
    }

    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Bound::new(py, PyTensor(self.leaf(py)))?.call_method1("__array__", (dtype, copy))
    }

    /// Sets the value. Errors: ShapeError when the shape differs.
    fn assign(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        enter(|| {
            let py = value.py();
            let ty = self.0.ty();
            let (got, storage) = PyVariable::prepare(value, Some(ty), "the new value")?;
            if got.shape != ty.shape {
                return Err(fastnn::error::Error::Shape(format!(
                    "assign: the new value of variable '{}' has shape {}, wanted {}",
                    self.0.name(),
                    got.shape,
                    ty.shape
                ))
                .into());
            }
            if self.0.is_free() {
                self.0.assign(storage)?;
            } else {
                py.detach(|| self.0.assign(storage))?;
            }
            Ok(())
        })
    }

    /// The sizes.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        shape_tuple(py, &self.0.ty().shape)
    }

    /// 'float32', 'int32' or 'bool'.
    #[getter]
    fn dtype(&self) -> &'static str {
        self.0.ty().dtype.name()
    }

    /// The number of elements.
    #[getter]
    fn size(&self) -> usize {
        self.0.ty().shape.count()
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
