//! Values of Python as tensors: numbers, arrays, nested lists, variables, tensors of other libraries.

use crate::convert::{dtype_of, kind_of, shape_from};
use crate::dim::{PyDim, scalar};
use crate::error::{Fault, Result, data_error, enter};
use crate::numpy::{as_array, cells, numpy};
use crate::tensor::PyTensor;
use crate::variable::PyVariable;
use crate::view::{View, copy_of};
use fastnn::buffer::Buffer;
use fastnn::error::Error;
use fastnn::graph::Ty;
use fastnn::shape::DType;
use fastnn::tensor::{Storage, Tensor};
use pyo3::PyTypeInfo;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyFloat, PyInt, PyList, PySequence, PyString, PyTuple};
use std::sync::Arc;

/// A value as a tensor, or `None` when it is nothing that we take.
pub(crate) fn operand(value: &Bound<'_, PyAny>) -> Result<Option<Tensor>> {
    let py = value.py();
    if let Ok(tensor) = value.cast_exact::<PyTensor>() {
        return Ok(Some(tensor.get().0.clone()));
    }
    if let Some(number) = number(value)? {
        return Ok(Some(number));
    }
    if let Ok(dim) = value.cast_exact::<PyDim>() {
        return Ok(Some(scalar(dim.get().0)?));
    }
    if let Some(view) = buffer(value, "an operand")? {
        return Ok(Some(from_view(&view, None, "an operand")?));
    }
    if let Ok(variable) = value.cast::<PyVariable>() {
        if variable.get_type().is(PyVariable::type_object(py)) {
            return Ok(Some(variable.get().leaf()));
        }
        // A subclass may give another value while it is traced.
        let current = value.getattr(pyo3::intern!(py, "value"))?;
        return Ok(current.cast_exact::<PyTensor>().ok().map(|t| t.get().0.clone()));
    }
    bfloat16(value, "an operand")
}

/// As [`operand`], and lists of numbers: NumPy and TensorFlow take them beside a tensor.
pub(crate) fn operand_or_list(value: &Bound<'_, PyAny>) -> Result<Option<Tensor>> {
    let made = operand(value)?;
    if made.is_some() {
        return Ok(made);
    }
    match held(value, MAX_NESTED)? {
        Held::Other => Ok(None),
        Held::Numbers => tensor_from(value, None, "an operand").map(Some),
        // The front stacks them; read as numbers they would lose their gradients.
        Held::Tensors => {
            let ops = value.py().import("fastnn.ops")?;
            let stacked = ops.call_method1("convert_to_tensor", (value,))?;
            Ok(stacked.cast_exact::<PyTensor>().ok().map(|t| t.get().0.clone()))
        }
    }
}

/// How deep lists of numbers lie in each other at most; a list may hold itself.
const MAX_NESTED: usize = 32;

/// What a list holds, at any depth.
#[derive(Clone, Copy, PartialEq)]
enum Held {
    /// Nothing but numbers and arrays.
    Numbers,
    /// Tensors or variables too.
    Tensors,
    /// It is no list, is empty or holds something else.
    Other,
}

fn held(value: &Bound<'_, PyAny>, depth: usize) -> Result<Held> {
    let is_list = value.is_exact_instance_of::<PyList>() || value.is_exact_instance_of::<PyTuple>();
    if !is_list || depth == 0 || value.len()? == 0 {
        return Ok(Held::Other);
    }
    let mut found = Held::Numbers;
    for item in value.try_iter()? {
        let item = item?;
        if item.is_instance_of::<PyFloat>() || item.is_instance_of::<PyInt>() {
            continue;
        }
        if item.is_instance_of::<PyTensor>() || item.is_instance_of::<PyVariable>() {
            found = Held::Tensors;
        } else if operand(&item)?.is_none() {
            match held(&item, depth - 1)? {
                Held::Numbers => {}
                Held::Tensors => found = Held::Tensors,
                Held::Other => return Ok(Held::Other),
            }
        }
    }
    Ok(found)
}

/// A Python number as a tensor of rank 0.
fn number(value: &Bound<'_, PyAny>) -> Result<Option<Tensor>> {
    if let Ok(x) = value.cast_exact::<PyFloat>() {
        return Ok(Some(Tensor::scalar(x.value(), DType::F32)?));
    }
    if let Ok(x) = value.cast_exact::<PyInt>() {
        // Whole numbers past int32 still mean something beside a float.
        let x = x.extract::<f64>()?;
        let fits = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&x);
        return Ok(Some(Tensor::scalar(x, if fits { DType::I32 } else { DType::F32 })?));
    }
    if let Ok(x) = value.cast_exact::<PyBool>() {
        return Ok(Some(Tensor::scalar(f64::from(u8::from(x.is_true())), DType::Bool)?));
    }
    Ok(None)
}

/// The buffer of an array; text and bytes are refused rather than read as numbers.
pub(crate) fn buffer(value: &Bound<'_, PyAny>, name: &str) -> Result<Option<View>> {
    if value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>()
    {
        return data_error(format!(
            "{name} is text\n  hint: encode it as numbers first, for example with StringLookup or TextVectorization"
        ));
    }
    let view = View::get(value, name)?;
    if view.is_some() {
        refuse_mask(value, name)?;
    }
    Ok(view)
}

/// Refuses an array that masks some of its values: they are no data, and a buffer does not tell.
fn refuse_mask(value: &Bound<'_, PyAny>, name: &str) -> Result<()> {
    let py = value.py();
    if value.get_type().is(numpy(py)?.ndarray.bind(py)) || !value.hasattr(pyo3::intern!(py, "_mask"))? {
        return Ok(());
    }
    let masked = value.getattr(pyo3::intern!(py, "mask"))?.call_method0("sum")?.extract::<usize>()?;
    if masked == 0 {
        return Ok(());
    }
    data_error(format!(
        "{name} is a masked array with {masked} masked values; what lies behind a mask is no data\n  \
         hint: x.filled(0), or drop the rows"
    ))
}

/// As [`refuse_mask`] for the arrays inside lists, which NumPy would take without their masks.
fn refuse_masks_inside(value: &Bound<'_, PyAny>, name: &str) -> Result<()> {
    let Ok(items) = value.cast::<PySequence>() else { return Ok(()) };
    if !value.is_instance_of::<PyList>() && !value.is_instance_of::<PyTuple>() {
        return Ok(());
    }
    for item in items.try_iter()? {
        let item = item?;
        if item.is_instance_of::<PyFloat>() || item.is_instance_of::<PyInt>() {
            continue;
        }
        refuse_mask(&item, name)?;
        refuse_masks_inside(&item, name)?;
    }
    Ok(())
}

/// A tensor from a buffer, copied, converted to `dtype` or to its nearest type.
fn from_view(view: &View, dtype: Option<DType>, name: &str) -> Result<Tensor> {
    let dtype = dtype.unwrap_or_else(|| view.natural());
    let ty = Ty { shape: view.shape()?, dtype };
    Ok(Tensor::new(ty, Arc::new(view.copy(dtype, name)?))?)
}

/// An array of the type bfloat16 that packages add to NumPy, which has no buffer.
fn bfloat16(value: &Bound<'_, PyAny>, name: &str) -> Result<Option<Tensor>> {
    let py = value.py();
    let np = numpy(py)?;
    if !value.is_instance(np.ndarray.bind(py))?
        || value.getattr(pyo3::intern!(py, "dtype"))?.getattr(pyo3::intern!(py, "name"))?.to_string()
            != "bfloat16"
    {
        return Ok(None);
    }
    let bits = py.import("numpy")?.call_method1("ascontiguousarray", (value,))?;
    let bits = bits.call_method1("view", ("uint16",))?;
    let Some(view) = View::get(&bits, name)? else { return Ok(None) };
    let ty = Ty { shape: view.shape()?, dtype: DType::BF16 };
    let mut buffer = Buffer::zeroed(ty.bytes())?;
    // SAFETY: the array is contiguous and has as many bytes.
    unsafe { std::ptr::copy_nonoverlapping(view.memory(), buffer.as_mut_ptr(), ty.bytes()) };
    Ok(Some(Tensor::new(ty, Arc::new(Storage::new(buffer, DType::BF16)))?))
}

/// Any value as a tensor of `dtype` (or of its nearest type).
pub(crate) fn tensor_from(value: &Bound<'_, PyAny>, dtype: Option<DType>, name: &str) -> Result<Tensor> {
    if let Some(number) = number(value)? {
        return match dtype {
            Some(dtype) => Ok(number.cast(dtype)?),
            None if number.ty().dtype == DType::F32 && value.is_instance_of::<PyInt>() => data_error(
                format!("{name} is {value}, which does not fit int32\n  hint: use dtype='float32'"),
            ),
            None => Ok(number),
        };
    }
    let whole = |tensor: Tensor| Ok(dtype.map_or_else(|| Ok(tensor.clone()), |d| tensor.cast(d))?);
    if let Ok(tensor) = value.cast_exact::<PyTensor>() {
        return whole(tensor.get().0.clone());
    }
    let natural = [DType::F32, DType::I32];
    let wanted = dtype.as_ref().map_or(&natural[..], std::slice::from_ref);
    if let Some((ty, cells)) = wanted.iter().find_map(|&dtype| cells(value, dtype)) {
        // SAFETY: the array has the bytes of its type there.
        return Ok(Tensor::new(ty, Arc::new(unsafe { copy_of(ty, cells) }?))?);
    }
    if let Some(view) = buffer(value, name)? {
        return from_view(&view, dtype, name);
    }
    if let Some(tensor) = operand(value)? {
        return whole(tensor);
    }
    if !value.hasattr(pyo3::intern!(value.py(), "__array__"))?
        && let Some(tensor) = crate::dlpack::import(value)?
    {
        return whole(tensor);
    }
    if let Some(tensor) = bfloat16(value, name)? {
        return whole(tensor);
    }
    let sparse = value.hasattr(pyo3::intern!(value.py(), "toarray"))?
        && value.hasattr(pyo3::intern!(value.py(), "nnz"))?;
    if sparse {
        return data_error(format!("{name} is a sparse matrix, wanted a dense array\n  hint: x.toarray()"));
    }
    refuse_masks_inside(value, name)?;
    let array = as_array(value, name)?;
    let view = buffer(&array, name)?.ok_or_else(|| Fault::Core(Error::Data(unreadable(&array, name))))?;
    from_view(&view, dtype, name)
}

/// Why NumPy's array has no buffer of numbers: dates, spans of time and the like.
fn unreadable(array: &Bound<'_, PyAny>, name: &str) -> String {
    let dtype = array.getattr("dtype").and_then(|d| Ok(d.str()?.to_string())).unwrap_or_default();
    let hint = if dtype.contains("64") {
        "give days as numbers: (x - x.min()) / numpy.timedelta64(1, 'D')"
    } else {
        "x.astype('float32')"
    };
    format!("{name} has dtype {dtype}, wanted numbers\n  hint: {hint}")
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
