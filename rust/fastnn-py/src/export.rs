//! A tensor's value as NumPy arrays: views of its memory, and arrays of the caller's own; and as a buffer
//! for whoever reads those.

use crate::convert::shape_tuple;
use crate::error::Result;
use crate::interpreter;
use crate::numpy::{Access, numpy};
use crate::tensor::{PyTensor, WORTH_DETACHING, compute, read};
use crate::view::View;
use fastnn::buffer::Buffer;
use fastnn::error::Error;
use fastnn::function::{array_bytes, is_plain, write_array};
use fastnn::graph::Ty;
use fastnn::shape::DType;
use fastnn::tensor::Tensor;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::ffi::{CString, c_int, c_void};

/// From here on an array of the caller's own is over a block of the core's, which keeps freed blocks:
/// new memory of the system's costs more, page by page, than most ops.
const LARGE: usize = 1 << 20;

/// What an array over a block of the core's keeps alive.
#[pyclass(frozen, name = "Memory", module = "fastnn._core")]
pub(crate) struct Memory(#[expect(dead_code, reason = "held for its memory")] Buffer);

/// A new NumPy array, its memory, and what keeps that in place besides the array.
pub(crate) struct NewArray<'py> {
    pub(crate) array: Bound<'py, PyAny>,
    pub(crate) memory: *mut u8,
    _view: Option<View>,
}

/// A new NumPy array of a type, with whatever was in its memory.
pub(crate) fn new_array<'py>(py: Python<'py>, ty: &Ty) -> Result<NewArray<'py>> {
    let np = numpy(py)?;
    let dtype = np.dtype(ty.dtype).bind(py);
    let Some(arrays) = &np.arrays else {
        let array = np.empty.bind(py).call1((shape_tuple(py, &ty.shape)?, dtype))?;
        let view = View::writable(&array)?;
        return Ok(NewArray { memory: view.memory(), array, _view: Some(view) });
    };
    let (kind, sizes, bytes) = ((np.ndarray.bind(py), dtype), ty.shape.sizes(), array_bytes(*ty));
    let (array, memory) = if bytes < LARGE {
        // SAFETY: class and type are NumPy's; callers write before anybody else has the array.
        unsafe { arrays.empty(kind, &sizes) }?
    } else {
        // SAFETY: as above.
        let mut block = unsafe { Buffer::uninit(bytes) }?;
        let memory = block.as_mut_ptr();
        let owner = Bound::new(py, Memory(block))?.into_any();
        // SAFETY: the block has room for the type, and is the array's alone.
        (unsafe { arrays.over(kind, &sizes, memory, &owner, Access::Write) }?, memory)
    };
    Ok(NewArray { array, memory, _view: None })
}

/// A NumPy array of the value: a read-only view, or a copy for bool and bfloat16 (as float32).
pub(crate) fn to_numpy<'py>(slf: &Bound<'py, PyTensor>) -> Result<Bound<'py, PyAny>> {
    let py = slf.py();
    let tensor = &slf.get().0;
    let storage = read(py, tensor)?;
    let ty = tensor.ty();
    if !is_plain(ty.dtype) {
        let new = new_array(py, &ty)?;
        // SAFETY: the array was made for this type, and nobody else has it yet.
        let bytes = unsafe { std::slice::from_raw_parts_mut(new.memory, array_bytes(ty)) };
        write_array(storage, ty, bytes);
        return Ok(new.array);
    }
    let np = numpy(py)?;
    if let Some(arrays) = &np.arrays {
        let class = (np.ndarray.bind(py), np.dtype(ty.dtype).bind(py));
        // SAFETY: the value has elements of this type for the shape, which nobody writes while the
        // tensor keeps it; class and type are NumPy's.
        return Ok(unsafe {
            arrays.over(class, &ty.shape.sizes(), storage.ptr(), slf.as_any(), Access::Read)
        }?);
    }
    // `ndarray(...)` would first ask for a writable buffer in vain.
    Ok(np.asarray.bind(py).call1((slf,))?)
}

/// The value as an array of the caller's own; without axes a NumPy scalar.
pub(crate) fn own_array<'py>(slf: &Bound<'py, PyTensor>) -> Result<Bound<'py, PyAny>> {
    let py = slf.py();
    let (tensor, np) = (&slf.get().0, numpy(py)?);
    let ty = tensor.ty();
    let Some(arrays) = np.arrays.as_ref().filter(|_| is_plain(ty.dtype) && !tensor.is_traced()) else {
        let array = to_numpy(slf)?;
        return Ok(match ty.shape.rank() {
            0 => array.get_item(PyTuple::empty(py))?,
            // A view is of a plain type; what is not was converted into an array of its own.
            _ if is_plain(ty.dtype) => array.call_method0("copy")?,
            _ => array,
        });
    };
    if ty.shape.rank() == 0 {
        let dtype = np.dtype(ty.dtype).bind(py);
        let storage = read(py, tensor)?;
        // SAFETY: the value is one element of this type.
        return Ok(unsafe { arrays.scalar(dtype, storage.ptr()) }?);
    }
    if is_temporary(slf, np.counts_calls) {
        let new = new_array(py, &ty)?;
        if interpreter::persist(py, || compute_into(py, tensor, new.memory as usize))? {
            return Ok(new.array);
        }
    }
    let storage = read(py, tensor)?;
    let new = new_array(py, &ty)?;
    // SAFETY: both have the bytes of the type.
    unsafe { std::ptr::copy_nonoverlapping(storage.ptr().cast_const(), new.memory, ty.bytes()) };
    Ok(new.array)
}

/// Whether the tensor goes when the method returns that is called on it: `exp(x)` in
/// `exp(x).numpy()`. Bound methods and callers in C may hold it all the same, so this is for choosing
/// what is cheap, not what is right; where counts say less, long computations are kept.
fn is_temporary(slf: &Bound<'_, PyTensor>, counts_calls: bool) -> bool {
    // SAFETY: the object is alive.
    let alone = unsafe { ffi::Py_REFCNT(slf.as_ptr()) } == 1;
    alone && (counts_calls || slf.get().0.cost() < WORTH_DETACHING)
}

/// As [`compute`], into memory at this address, if nobody else needs the value.
fn compute_into(py: Python<'_>, tensor: &Tensor, address: usize) -> fastnn::error::Result<bool> {
    // SAFETY: the caller's array has room for the value, and nobody else has the array yet.
    let work = || unsafe { tensor.compute_into(address as *mut u8) };
    if tensor.cost() < WORTH_DETACHING { work() } else { interpreter::detach(py, work) }
}

/// What one exported buffer needs beside the storage.
pub(crate) struct Exported {
    shape: [ffi::Py_ssize_t; 8],
    strides: [ffi::Py_ssize_t; 8],
    format: CString,
    /// Truth values as bytes.
    _bytes: Vec<u8>,
}

pub(crate) unsafe fn export_buffer(
    slf: &Bound<'_, PyTensor>,
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> Result<()> {
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
