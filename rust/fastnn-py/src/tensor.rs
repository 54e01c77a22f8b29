//! `Tensor` as Python sees it: NumPy-like operators, lazy until read. Reading detaches from the
//! interpreter when the work behind it is worth more than the switch.

use crate::classes::{dtype_object, shape_object};
use crate::convert::dtype_of;
use crate::error::{Result, data_error, enter};
use crate::export::{Exported, export_buffer, own_array, to_numpy};
use crate::index;
use crate::interpreter;
use crate::operators::{binary, build, logical, power, product, unary, whole_power};
use fastnn::function::is_plain;
use fastnn::graph::Attr;
use fastnn::ops::{compare, elementwise, movement};
use fastnn::shape::DType;
use fastnn::sync::Lock;
use fastnn::tensor::{Attrs, Storage, Tensor};
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyBufferError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyString, PyTuple};
use smallvec::smallvec;
use std::ffi::c_int;
use std::sync::Arc;

/// Element operations from which on computing detaches from the interpreter: about 10 µs.
pub(crate) const WORTH_DETACHING: f32 = 20_000.0;

/// A tensor: an immutable n-dimensional array of float32, int32 or bool, computed when it is read.
/// Values may be stored as bfloat16, float16, int8 or uint8; ops compute with them as float32 or int32.
///
/// Make one with `fastnn.tensor`, with `fastnn.ops`, or by arithmetic on others. NumPy reads it
/// without a copy (`np.asarray(t)`, read-only).
///
/// Example:
///     >>> t = fastnn.tensor([1.0, 2.0]) * 3.0
///     >>> t.shape, t.dtype
///     ((2,), 'float32')
///     >>> t.numpy()
///     array([3., 6.], dtype=float32)
#[pyclass(frozen, name = "Tensor", module = "fastnn._core")]
pub(crate) struct PyTensor(pub(crate) Tensor, Lock<Option<Py<PyAny>>>);

impl PyTensor {
    pub(crate) fn new(tensor: Tensor) -> PyTensor {
        PyTensor(tensor, Lock::new(None))
    }
}

/// The value of a tensor, if nothing interrupts it; detaches while it is computed if that takes a while.
pub(crate) fn compute<'a>(py: Python<'_>, tensor: &'a Tensor) -> fastnn::error::Result<&'a Arc<Storage>> {
    if tensor.cost() < WORTH_DETACHING {
        return tensor.storage();
    }
    interpreter::detach(py, || tensor.storage())
}

/// The value of a tensor. Python's signal handlers may run, and stop it.
pub(crate) fn read<'a>(py: Python<'_>, tensor: &'a Tensor) -> Result<&'a Arc<Storage>> {
    interpreter::persist(py, || compute(py, tensor))
}

#[pymethods]
impl PyTensor {
    /// NumPy leaves `array + tensor` to the tensor.
    #[classattr]
    #[pyo3(name = "__array_priority__")]
    fn array_priority() -> f64 {
        1000.0
    }

    /// The sizes; those that a traced tensor leaves open are `None` (the batch) or a `Dim`.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        shape_object(py, &self.0.ty().shape)
    }

    /// 'float32', 'int32' or 'bool', or a storage type: 'bfloat16', 'float16', 'int8', 'uint8'.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        dtype_object(py, self.0.ty().dtype)
    }

    /// The mask that the layer which made this tensor has given it, or None.
    #[getter(_keras_mask)]
    fn mask(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.1.lock().as_ref().map(|mask| mask.clone_ref(py))
    }

    #[setter(_keras_mask)]
    fn set_mask(&self, mask: Option<Py<PyAny>>) {
        let before = std::mem::replace(&mut *self.1.lock(), mask);
        // Not under the lock: what is dropped may run Python.
        drop(before);
    }

    #[deleter(_keras_mask)]
    fn delete_mask(&self) {
        self.set_mask(None);
    }

    /// The number of axes.
    #[getter]
    fn ndim(&self) -> usize {
        self.0.ty().shape.rank()
    }

    /// The number of elements; `None` while a size is open.
    #[getter]
    fn size(&self) -> Option<usize> {
        let shape = self.0.ty().shape;
        (!shape.is_open()).then(|| shape.count())
    }

    /// True when the tensor depends on a placeholder and so has no value yet.
    #[getter]
    fn is_traced(&self) -> bool {
        self.0.is_traced()
    }

    /// True when a `Recording` keeps what is computed from the tensor.
    #[getter]
    fn is_recorded(&self) -> bool {
        self.0.is_recorded()
    }

    /// The value as an array of the caller's own; without axes a NumPy scalar.
    ///
    /// `np.asarray(tensor)` is a read-only view of it, without a copy.
    ///
    /// Raises: TraceError when the tensor is being traced.
    fn numpy<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        enter(|| own_array(slf))
    }

    /// The value as a nested Python list (a number for rank 0).
    fn tolist<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        enter(|| Ok(to_numpy(slf)?.call_method0("tolist")?))
    }

    /// The value of a tensor with one element, as a Python number.
    fn item(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        enter(|| {
            let x = self.number(py)?;
            Ok(match self.0.ty().dtype {
                dtype if dtype.is_float() => x.into_pyobject(py)?.into_any().unbind(),
                dtype if dtype != DType::Bool => (x as i64).into_pyobject(py)?.into_any().unbind(),
                _ => (x != 0.0).into_pyobject(py)?.to_owned().into_any().unbind(),
            })
        })
    }

    /// The same values as another type: 'float32', 'int32' (truncating), 'bool', or a storage type:
    /// 'bfloat16' and 'float16' (rounding), 'int8' and 'uint8' (truncating, then wrapping).
    fn astype(&self, dtype: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
        enter(|| Ok(PyTensor::new(self.0.cast(dtype_of(dtype)?)?)))
    }

    /// The same values under another shape; one size may be -1, `None` is the batch.
    #[pyo3(signature = (*shape))]
    fn reshape(&self, py: Python<'_>, shape: &Bound<'_, PyTuple>) -> PyResult<PyTensor> {
        enter(|| {
            let shape = if shape.len() == 1 { shape.get_item(0)? } else { shape.clone().into_any() };
            let sizes = crate::ops::sizes_from(&shape, "reshape", "shape")?;
            let attrs = Attrs::new(&[Attr::Sizes(sizes)]);
            Ok(PyTensor::new(build(py, &movement::RESHAPE, smallvec![self.0.clone()], attrs)?))
        })
    }

    /// The axes in reverse order.
    #[getter(T)]
    fn transposed(&self, py: Python<'_>) -> PyResult<PyTensor> {
        enter(|| {
            Ok(PyTensor::new(build(
                py,
                &movement::TRANSPOSE,
                smallvec![self.0.clone()],
                Attrs::new(&[Attr::None]),
            )?))
        })
    }

    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        enter(|| {
            let py = slf.py();
            if copy == Some(false) && !is_plain(slf.get().0.ty().dtype) {
                let dtype = slf.get().0.ty().dtype.name();
                return Err(PyValueError::new_err(format!(
                    "a {dtype} tensor cannot become an array without a copy\n  hint: np.asarray(t), or copy=None"
                ))
                .into());
            }
            let array = to_numpy(slf)?;
            match dtype {
                None if copy == Some(true) => Ok(array.call_method0("copy")?),
                None => Ok(array),
                Some(dtype) => {
                    let kwargs = PyDict::new(py);
                    kwargs.set_item("copy", copy == Some(true))?;
                    let converted = array.call_method("astype", (dtype,), Some(&kwargs))?;
                    if copy == Some(false) && !converted.is(&array) {
                        return Err(PyValueError::new_err(
                            "converting a tensor to another dtype needs a copy\n  hint: leave copy=False out, or the dtype",
                        )
                        .into());
                    }
                    Ok(converted)
                }
            }
        })
    }

    /// DLPack: `(kCPU, 0)`.
    fn __dlpack_device__(&self) -> (i32, i32) {
        (1, 0)
    }

    /// A DLPack capsule of the value, without a copy, read-only by its version-1 flags.
    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<&Bound<'py, PyAny>>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = stream;
        enter(|| {
            if dl_device.is_some_and(|d| d.0 != 1) {
                return Err(PyBufferError::new_err(
                    "a tensor can only be exported to the CPU\n  hint: leave dl_device out",
                )
                .into());
            }
            crate::dlpack::export(py, &self.0, max_version.is_some_and(|v| v.0 >= 1), copy == Some(true))
        })
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        enter(|| export_buffer(&slf, view, flags))
    }

    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: `internal` was made by `export_buffer`, and a view is released once.
        drop(unsafe { Box::from_raw((*view).internal.cast::<Exported>()) });
    }

    fn __float__(&self, py: Python<'_>) -> PyResult<f64> {
        enter(|| self.number(py))
    }

    fn __int__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        enter(|| {
            let x = self.number(py)?;
            // Python's own conversion knows what to say about infinities.
            let whole = x.into_pyobject(py)?.call_method0("__int__")?;
            Ok(whole.unbind())
        })
    }

    fn __bool__(&self, py: Python<'_>) -> PyResult<bool> {
        enter(|| {
            if !self.0.is_traced() && self.0.ty().shape.count() != 1 {
                return data_error(format!(
                    "the truth of a tensor of shape {} is ambiguous\n  hint: use fastnn.ops.any or fastnn.ops.all",
                    self.0.ty().shape
                ));
            }
            Ok(self.number(py)? != 0.0)
        })
    }

    /// A tensor with one element formats as its number: `f"{loss:.4f}"`.
    fn __format__<'py>(slf: &Bound<'py, Self>, spec: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let plain = spec.len()? == 0;
        if plain || slf.get().0.ty().shape.count() != 1 && !slf.get().0.is_traced() {
            if plain {
                return Ok(slf.str()?.into_any());
            }
            return Err(PyTypeError::new_err(format!(
                "format '{spec}' needs one number, got a tensor of shape {}\n  hint: index or reduce it first",
                slf.get().0.ty().shape
            )));
        }
        slf.get().item(slf.py())?.bind(slf.py()).call_method1("__format__", (spec,))
    }

    /// Rounds the number of a tensor with one element, as `round(float(t), ndigits)`.
    #[pyo3(signature = (ndigits=None))]
    fn __round__<'py>(slf: &Bound<'py, Self>, ndigits: Option<i32>) -> PyResult<Bound<'py, PyAny>> {
        slf.get().item(slf.py())?.bind(slf.py()).call_method1("__round__", (ndigits,))
    }

    fn __index__(&self, py: Python<'_>) -> PyResult<i64> {
        enter(|| {
            if self.0.ty().dtype.is_float() || self.0.ty().shape.rank() > 0 {
                let ty = self.0.ty();
                return Err(PyTypeError::new_err(format!(
                    "a tensor of type {ty} cannot be an index\n  hint: int(t), or t.astype(\"int32\")"
                ))
                .into());
            }
            Ok(self.number(py)? as i64)
        })
    }

    fn __len__(&self) -> PyResult<usize> {
        match self.0.ty().shape.dims().first() {
            None => Err(PyTypeError::new_err("a tensor of rank 0 has no length\n  hint: float(t) is its value")),
            Some(&d) => d.known().map(|n| n as usize).ok_or_else(|| {
                PyTypeError::new_err(format!(
                    "the length of a traced tensor is '{d}', which is not known yet\n  hint: t.shape[0] is a size to compute with"
                ))
            }),
        }
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let len = slf.get().__len__()?;
        let rows = enter(|| {
            (0..len).map(|i| index::row(slf.py(), &slf.get().0, i as i64)).collect::<Result<Vec<_>>>()
        })?;
        Ok(PyList::new(slf.py(), rows.into_iter().map(PyTensor::new))?.try_iter()?.into_any())
    }

    fn __getitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
        enter(|| index::get(slf, key).map(PyTensor::new))
    }

    fn __hash__(slf: &Bound<'_, Self>) -> isize {
        slf.as_ptr() as isize >> 4
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        enter(|| {
            let tensor = &slf.get().0;
            let ty = tensor.ty();
            if tensor.is_traced() {
                return Ok(format!("<fastnn.Tensor shape={}, dtype={}, traced>", ty.shape, ty.dtype.name()));
            }
            let np = slf.py().import("numpy")?;
            let kwargs = PyDict::new(slf.py());
            kwargs.set_item("separator", ", ")?;
            kwargs.set_item("prefix", "Tensor(")?;
            let text = np.call_method("array2string", (to_numpy(slf)?,), Some(&kwargs))?;
            Ok(format!("Tensor({text}, dtype={})", ty.dtype.name()))
        })
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyAny>,))> {
        enter(|| {
            let py = slf.py();
            let make = py.import("fastnn._core")?.getattr("tensor")?;
            Ok((make, (to_numpy(slf)?,)))
        })
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    fn __add__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &elementwise::ADD, false)
    }
    fn __radd__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &elementwise::ADD, true)
    }
    fn __sub__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &elementwise::SUBTRACT, false)
    }
    fn __rsub__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &elementwise::SUBTRACT, true)
    }
    fn __mul__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &elementwise::MULTIPLY, false)
    }
    fn __rmul__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &elementwise::MULTIPLY, true)
    }
    fn __truediv__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &elementwise::DIVIDE, false)
    }
    fn __rtruediv__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &elementwise::DIVIDE, true)
    }
    fn __floordiv__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &elementwise::FLOOR_DIVIDE, false)
    }
    fn __rfloordiv__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &elementwise::FLOOR_DIVIDE, true)
    }
    fn __mod__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &elementwise::MOD, false)
    }
    fn __rmod__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &elementwise::MOD, true)
    }
    fn __pow__(
        slf: &Bound<'_, Self>,
        other: &Bound<'_, PyAny>,
        _modulo: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        if !slf.get().0.ty().dtype.is_float()
            && let Ok(exponent) = other.cast_exact::<PyInt>()
            && let Ok(exponent) = exponent.extract::<u32>()
        {
            let py = slf.py();
            return enter(|| {
                Ok(whole_power(py, &slf.get().0, exponent)?.into_pyobject(py)?.into_any().unbind())
            });
        }
        power(slf, other, false)
    }
    fn __rpow__(
        slf: &Bound<'_, Self>,
        other: &Bound<'_, PyAny>,
        _modulo: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        power(slf, other, true)
    }
    fn __matmul__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        product(slf, other, false)
    }
    fn __rmatmul__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        product(slf, other, true)
    }
    fn __and__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        logical(slf, other, &compare::LOGICAL_AND)
    }
    fn __rand__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        logical(slf, other, &compare::LOGICAL_AND)
    }
    fn __or__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        logical(slf, other, &compare::LOGICAL_OR)
    }
    fn __ror__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        logical(slf, other, &compare::LOGICAL_OR)
    }
    fn __xor__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        logical(slf, other, &compare::LOGICAL_XOR)
    }
    fn __rxor__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        logical(slf, other, &compare::LOGICAL_XOR)
    }
    fn __invert__(slf: &Bound<'_, Self>) -> PyResult<PyTensor> {
        if slf.get().0.ty().dtype != DType::Bool {
            return Err(PyTypeError::new_err(format!(
                "~ takes bool tensors, got {}\n  hint: t.astype(\"bool\"), or -t for a number",
                slf.get().0.ty().dtype.name()
            )));
        }
        unary(slf, &compare::LOGICAL_NOT)
    }
    fn __neg__(slf: &Bound<'_, Self>) -> PyResult<PyTensor> {
        unary(slf, &elementwise::NEGATIVE)
    }
    fn __pos__(slf: Py<Self>) -> Py<Self> {
        slf
    }
    fn __abs__(slf: &Bound<'_, Self>) -> PyResult<PyTensor> {
        unary(slf, &elementwise::ABSOLUTE)
    }

    fn __richcmp__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>, how: CompareOp) -> PyResult<Py<PyAny>> {
        let op = match how {
            CompareOp::Lt => &compare::LESS,
            CompareOp::Le => &compare::LESS_EQUAL,
            CompareOp::Gt => &compare::GREATER,
            CompareOp::Ge => &compare::GREATER_EQUAL,
            CompareOp::Eq => &compare::EQUAL,
            CompareOp::Ne => &compare::NOT_EQUAL,
        };
        binary(slf, other, op, false)
    }
}

impl PyTensor {
    fn number(&self, py: Python<'_>) -> Result<f64> {
        if !self.0.is_ready() {
            read(py, &self.0)?;
        }
        Ok(self.0.item()?)
    }
}
