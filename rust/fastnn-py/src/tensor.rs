//! `Tensor` as Python sees it: NumPy-like operators, lazy until read. Reading detaches from the
//! interpreter when the work behind it is worth more than the switch.

use crate::classes::{dtype_object, shape_object};
use crate::convert::{dtype_of, kind_of, operand_or_list, shape_from, tensor_from};
use crate::error::{Result, data_error, enter};
use crate::export::{own_array, to_numpy};
use crate::index;
use crate::interpreter;
use fastnn::error::Error;
use fastnn::function::{array_bytes, is_plain, write_array};
use fastnn::graph::{Attr, OpDef, Ty};
use fastnn::ops::{compare, elementwise, matmul, movement};
use fastnn::shape::DType;
use fastnn::sync::Lock;
use fastnn::tensor::{Attrs, Operands, Storage, Tensor, convert};
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyBufferError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyString, PyTuple};
use smallvec::smallvec;
use std::ffi::{CString, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

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
fn compute<'a>(py: Python<'_>, tensor: &'a Tensor) -> fastnn::error::Result<&'a Arc<Storage>> {
    if tensor.cost() < WORTH_DETACHING {
        return tensor.storage();
    }
    interpreter::detach(py, || tensor.storage())
}

/// The value of a tensor. Python's signal handlers may run, and stop it.
pub(crate) fn read<'a>(py: Python<'_>, tensor: &'a Tensor) -> Result<&'a Arc<Storage>> {
    interpreter::persist(py, || compute(py, tensor))
}

/// Looks from time to time whether there is room for some more tensors.
pub(crate) fn check_room() -> Result<()> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    // Far more than the tensors until the next look take, and only asked for, not touched.
    if MADE.fetch_add(1, Relaxed).is_multiple_of(128) {
        Ok(fastnn::buffer::headroom(2 << 20)?)
    } else {
        Ok(())
    }
}

/// An op on converted operands; runs the pending graph when it has grown past its ceiling.
pub(crate) fn build(py: Python<'_>, op: &'static OpDef, inputs: Operands, attrs: Attrs) -> Result<Tensor> {
    check_room()?;
    let tensor = Tensor::build(op, convert(op, inputs)?, attrs)?;
    if tensor.is_crowded() {
        read(py, &tensor)?;
    }
    Ok(tensor)
}

/// All results of an op with several, as [`build`].
pub(crate) fn build_all(
    py: Python<'_>,
    op: &'static OpDef,
    inputs: Operands,
    attrs: Attrs,
) -> Result<Vec<Tensor>> {
    check_room()?;
    let results = Tensor::results(op, convert(op, inputs)?, attrs)?;
    if results.iter().any(Tensor::is_crowded) {
        read(py, &results[0])?;
    }
    Ok(results)
}

fn binary(
    slf: &Bound<'_, PyTensor>,
    other: &Bound<'_, PyAny>,
    op: &'static OpDef,
    swap: bool,
) -> PyResult<Py<PyAny>> {
    let py = slf.py();
    enter(|| {
        let this = slf.get().0.clone();
        let Some(other) = operand_or_list(other)? else { return Ok(py.NotImplemented()) };
        let inputs = if swap { smallvec![other, this] } else { smallvec![this, other] };
        let tensor = build(py, op, inputs, Attrs::default())?;
        Ok(Bound::new(py, PyTensor::new(tensor))?.into_any().unbind())
    })
}

/// A whole number to a power of whole numbers, which floats would round.
fn whole_power(py: Python<'_>, base: &Tensor, mut exponent: u32) -> Result<PyTensor> {
    let times = |a: &Tensor, b: &Tensor| {
        build(py, &elementwise::MULTIPLY, smallvec![a.clone(), b.clone()], Attrs::default())
    };
    let mut base = base.cast(DType::I32)?;
    let ones = times(&base, &Tensor::scalar(0.0, DType::I32)?)?;
    let one = Tensor::scalar(1.0, DType::I32)?;
    let mut out = build(py, &elementwise::ADD, smallvec![ones, one], Attrs::default())?;
    while exponent > 0 {
        if exponent & 1 == 1 {
            out = times(&out, &base)?;
        }
        exponent >>= 1;
        if exponent > 0 {
            base = times(&base, &base)?;
        }
    }
    Ok(PyTensor::new(out))
}

fn product(slf: &Bound<'_, PyTensor>, other: &Bound<'_, PyAny>, swap: bool) -> PyResult<Py<PyAny>> {
    let py = slf.py();
    enter(|| {
        let this = slf.get().0.clone();
        let Some(other) = operand_or_list(other)? else { return Ok(py.NotImplemented()) };
        let inputs = if swap { smallvec![other, this] } else { smallvec![this, other] };
        let attrs = Attrs::new(&[Attr::Bool(false), Attr::Bool(false)]);
        Ok(Bound::new(py, PyTensor::new(build(py, &matmul::MATMUL, inputs, attrs)?))?.into_any().unbind())
    })
}

fn unary(slf: &Bound<'_, PyTensor>, op: &'static OpDef) -> PyResult<PyTensor> {
    enter(|| Ok(PyTensor::new(build(slf.py(), op, smallvec![slf.get().0.clone()], Attrs::default())?)))
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
        binary(slf, other, &elementwise::POWER, false)
    }
    fn __rpow__(
        slf: &Bound<'_, Self>,
        other: &Bound<'_, PyAny>,
        _modulo: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        binary(slf, other, &elementwise::POWER, true)
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

/// `&`, `|` and `^` are logical, so they take truth values only.
fn logical(slf: &Bound<'_, PyTensor>, other: &Bound<'_, PyAny>, op: &'static OpDef) -> PyResult<Py<PyAny>> {
    if slf.get().0.ty().dtype != DType::Bool {
        return Err(PyTypeError::new_err(format!(
            "&, | and ^ take bool tensors, got {}\n  hint: compare first: (a > 0) & (b > 0)",
            slf.get().0.ty().dtype.name()
        )));
    }
    binary(slf, other, op, false)
}

impl PyTensor {
    fn number(&self, py: Python<'_>) -> Result<f64> {
        if !self.0.is_ready() {
            read(py, &self.0)?;
        }
        Ok(self.0.item()?)
    }
}

/// What one exported buffer needs beside the storage.
struct Exported {
    shape: [ffi::Py_ssize_t; 8],
    strides: [ffi::Py_ssize_t; 8],
    format: CString,
    /// Truth values as bytes.
    _bytes: Vec<u8>,
}

unsafe fn export_buffer(slf: &Bound<'_, PyTensor>, view: *mut ffi::Py_buffer, flags: c_int) -> Result<()> {
    (*view).obj = std::ptr::null_mut();
    if flags & ffi::PyBUF_WRITABLE == ffi::PyBUF_WRITABLE {
        return Err(PyBufferError::new_err(
            "tensors are immutable\n  hint: np.array(t) is a copy to write to",
        )
        .into());
    }
    let tensor = &slf.get().0;
    let storage = match compute(slf.py(), tensor) {
        // NumPy drops what is raised here and asks `__array__` next: a KeyboardInterrupt would be lost,
        // so the handler is left to run there.
        Err(Error::Interrupted) => {
            return Err(PyBufferError::new_err(
                "the tensor's computation was interrupted\n  hint: read it again",
            )
            .into());
        }
        done => done?,
    };
    let Ty { shape, dtype } = tensor.ty();
    let mut bytes: Vec<u8> = Vec::new();
    let (data, format, size) = match dtype {
        DType::F32 => (storage.ptr().cast::<c_void>(), c"f", 4),
        DType::I32 => (storage.ptr().cast(), c"i", 4),
        DType::F16 => (storage.ptr().cast(), c"e", 2),
        DType::I8 => (storage.ptr().cast(), c"b", 1),
        DType::U8 => (storage.ptr().cast(), c"B", 1),
        DType::Bool => {
            bytes = fastnn::buffer::zeros(array_bytes(tensor.ty()))?;
            write_array(storage, tensor.ty(), &mut bytes);
            (bytes.as_mut_ptr().cast(), c"?", 1)
        }
        // NumPy asks `__array__` next.
        DType::BF16 => {
            return Err(PyBufferError::new_err(
                "the buffer protocol has no bfloat16\n  hint: np.asarray(t) is float32; or t.astype('float32')",
            )
            .into());
        }
    };
    let mut exported =
        Box::new(Exported { shape: [0; 8], strides: [0; 8], format: format.into(), _bytes: bytes });
    for (axis, (&dim, stride)) in shape.sizes().iter().zip(shape.strides()).enumerate() {
        exported.shape[axis] = dim as ffi::Py_ssize_t;
        exported.strides[axis] = (stride * size) as ffi::Py_ssize_t;
    }
    let asked = |flag: c_int| flags & flag == flag;
    (*view).buf = data;
    (*view).len = (shape.count() * size) as ffi::Py_ssize_t;
    (*view).readonly = 1;
    (*view).itemsize = size as ffi::Py_ssize_t;
    (*view).ndim = if asked(ffi::PyBUF_ND) { shape.rank() as c_int } else { 1 };
    (*view).format =
        if asked(ffi::PyBUF_FORMAT) { exported.format.as_ptr().cast_mut() } else { std::ptr::null_mut() };
    (*view).shape = if asked(ffi::PyBUF_ND) { exported.shape.as_mut_ptr() } else { std::ptr::null_mut() };
    (*view).strides =
        if asked(ffi::PyBUF_STRIDES) { exported.strides.as_mut_ptr() } else { std::ptr::null_mut() };
    (*view).suboffsets = std::ptr::null_mut();
    (*view).internal = Box::into_raw(exported).cast();
    // The view keeps the tensor, and the tensor keeps the storage.
    (*view).obj = slf.clone().into_any().into_ptr();
    Ok(())
}

/// A tensor of a value: arrays, numbers, nested lists, anything with `__array__` or `__dlpack__`.
///
/// Args:
///     value: What the tensor holds.
///     dtype: The type as text, which may be a storage type; None: float32 of floats, int32 of
///         integers, bool of truth values.
///     copy: False shares the memory of a contiguous float32 or int32 array, or fails where it
///         cannot; otherwise the value is copied.
///
/// Returns:
///     A tensor of the value's shape.
///
/// Raises:
///     DataError: The value holds text or objects, or an integer that does not fit; the message
///         names value and position.
///
/// Example:
///     >>> fastnn.tensor([[1, 2], [3, 4]]).dtype
///     'int32'
#[pyfunction]
#[pyo3(signature = (value, dtype=None, copy=None))]
pub(crate) fn tensor(
    value: &Bound<'_, PyAny>,
    dtype: Option<&Bound<'_, PyAny>>,
    copy: Option<bool>,
) -> PyResult<Py<PyTensor>> {
    enter(|| {
        let py = value.py();
        let dtype = dtype.map(dtype_of).transpose()?;
        if let Ok(tensor) = value.cast_exact::<PyTensor>()
            && dtype.is_none_or(|d| d == tensor.get().0.ty().dtype)
        {
            return Ok(tensor.clone().unbind());
        }
        if copy == Some(false) {
            return Ok(Py::new(py, PyTensor::new(crate::dlpack::share(value, dtype)?))?);
        }
        Ok(Py::new(py, PyTensor::new(tensor_from(value, dtype, "the value")?))?)
    })
}

/// A tensor that shares the memory of another library's CPU array, without a copy.
///
/// The memory must not change while the tensor or anything computed from it is in use.
#[pyfunction]
pub(crate) fn from_dlpack(value: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
    enter(|| match crate::dlpack::import(value)? {
        Some(tensor) => Ok(PyTensor::new(tensor)),
        None => data_error(format!("from_dlpack: a {} has no __dlpack__", kind_of(value))),
    })
}

/// A tensor without data, to be given to `Function`; a leading `None` is any batch, other
/// sizes of None (or a name) take any size.
#[pyfunction]
#[pyo3(signature = (shape, dtype=None, name=None))]
pub(crate) fn placeholder(
    shape: &Bound<'_, PyAny>,
    dtype: Option<&Bound<'_, PyAny>>,
    name: Option<&str>,
) -> PyResult<PyTensor> {
    enter(|| {
        let dtype = dtype.map_or(Ok(DType::F32), dtype_of)?;
        let ty = Ty { shape: shape_from(shape)?, dtype };
        Ok(PyTensor::new(Tensor::placeholder(ty, name.unwrap_or(""))))
    })
}
