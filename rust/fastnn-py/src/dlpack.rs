//! DLPack in both directions, without copies. The memory layout is that of `dlpack.h` 1.0
//! (github.com/dmlc/dlpack); capsules of before 1.0 are taken and given as well.

use crate::borrow::Borrowed;
use crate::convert::kind_of;
use crate::error::{Result, data_error};
use crate::numpy::as_array;
use crate::operand::tensor_from;
use crate::view::View;
use fastnn::function::{array_bytes, write_array};
use fastnn::graph::Ty;
use fastnn::shape::{DType, Shape};
use fastnn::tensor::{Storage, Tensor};
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::{CStr, c_void};
use std::sync::Arc;

const CPU: i32 = 1;
const READ_ONLY: u64 = 1;
const NAME: &CStr = c"dltensor";
const USED: &CStr = c"used_dltensor";
const VERSIONED: &CStr = c"dltensor_versioned";
const USED_VERSIONED: &CStr = c"used_dltensor_versioned";

#[repr(C)]
struct DlTensor {
    data: *mut c_void,
    device: i32,
    device_id: i32,
    ndim: i32,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

#[repr(C)]
struct Managed {
    tensor: DlTensor,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Managed)>,
}

#[repr(C)]
struct ManagedVersioned {
    major: u32,
    minor: u32,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut ManagedVersioned)>,
    flags: u64,
    tensor: DlTensor,
}

/// What an export keeps alive.
struct Exported {
    storage: Arc<Storage>,
    /// Truth values as bytes.
    bytes: Vec<u8>,
    shape: Vec<i64>,
    strides: Vec<i64>,
}

impl Exported {
    fn describe(&mut self, dtype: DType) -> DlTensor {
        let (code, bits) = match dtype {
            DType::F32 => (2, 32),
            DType::I32 => (0, 32),
            DType::Bool => (6, 8),
            DType::BF16 => (4, 16),
            DType::F16 => (2, 16),
            DType::I8 => (0, 8),
            DType::U8 => (1, 8),
        };
        let data =
            if dtype == DType::Bool { self.bytes.as_mut_ptr().cast() } else { self.storage.ptr().cast() };
        DlTensor {
            data,
            device: CPU,
            device_id: 0,
            ndim: self.shape.len() as i32,
            code,
            bits,
            lanes: 1,
            shape: self.shape.as_mut_ptr(),
            strides: self.strides.as_mut_ptr(),
            byte_offset: 0,
        }
    }
}

unsafe extern "C" fn drop_managed(managed: *mut Managed) {
    // SAFETY: the consumer calls this once, on what `export` made.
    let managed = Box::from_raw(managed);
    drop(Box::from_raw(managed.context.cast::<Exported>()));
}

unsafe extern "C" fn drop_versioned(managed: *mut ManagedVersioned) {
    // SAFETY: as `drop_managed`.
    let managed = Box::from_raw(managed);
    drop(Box::from_raw(managed.context.cast::<Exported>()));
}

/// Runs when a capsule dies: frees what no consumer took.
unsafe extern "C" fn drop_capsule(capsule: *mut ffi::PyObject) {
    // SAFETY: the capsule is alive during its destructor; a renamed one belongs to its consumer.
    if ffi::PyCapsule_IsValid(capsule, NAME.as_ptr()) != 0 {
        drop_managed(ffi::PyCapsule_GetPointer(capsule, NAME.as_ptr()).cast());
    } else if ffi::PyCapsule_IsValid(capsule, VERSIONED.as_ptr()) != 0 {
        drop_versioned(ffi::PyCapsule_GetPointer(capsule, VERSIONED.as_ptr()).cast());
    }
}

/// A capsule of the value.
pub(crate) fn export<'py>(
    py: Python<'py>,
    tensor: &Tensor,
    versioned: bool,
    copy: bool,
) -> Result<Bound<'py, PyAny>> {
    let mut storage = crate::tensor::read(py, tensor)?.clone();
    let Ty { shape, dtype } = tensor.ty();
    let mut bytes: Vec<u8> = Vec::new();
    if dtype == DType::Bool {
        bytes = fastnn::buffer::zeros(array_bytes(tensor.ty()))?;
        write_array(&storage, tensor.ty(), &mut bytes);
    } else if copy {
        storage = Arc::new(storage.duplicate()?);
    }
    let mut exported = Box::new(Exported {
        storage,
        bytes,
        shape: shape.sizes().iter().map(|&d| d as i64).collect(),
        strides: shape.strides()[..shape.rank()].iter().map(|&s| s as i64).collect(),
    });
    let tensor = exported.describe(dtype);
    let context = Box::into_raw(exported).cast();
    let flags = if copy || dtype == DType::Bool { 0 } else { READ_ONLY };
    let (pointer, name): (*mut c_void, _) = if versioned {
        let managed =
            ManagedVersioned { major: 1, minor: 0, context, deleter: Some(drop_versioned), flags, tensor };
        (Box::into_raw(Box::new(managed)).cast(), VERSIONED)
    } else {
        let managed = Managed { tensor, context, deleter: Some(drop_managed) };
        (Box::into_raw(Box::new(managed)).cast(), NAME)
    };
    // SAFETY: the pointer is of the kind that the name says, and the destructor knows both kinds.
    unsafe {
        Ok(Bound::from_owned_ptr_or_err(py, ffi::PyCapsule_New(pointer, name.as_ptr(), Some(drop_capsule)))?)
    }
}

/// What an import keeps alive: somebody's managed tensor, given back when dropped.
enum Imported {
    Plain(*mut Managed),
    Versioned(*mut ManagedVersioned),
}

// SAFETY: DLPack lets any thread call the deleter; the memory is only read.
unsafe impl Send for Imported {}
// SAFETY: as above.
unsafe impl Sync for Imported {}

impl Imported {
    fn tensor(&self) -> &DlTensor {
        // SAFETY: the managed tensor is ours until the deleter runs.
        unsafe {
            match self {
                Imported::Plain(m) => &(**m).tensor,
                Imported::Versioned(m) => &(**m).tensor,
            }
        }
    }

    /// What the producer says; before DLPack 1.0 it could not.
    fn is_read_only(&self) -> bool {
        match self {
            Imported::Plain(_) => false,
            // SAFETY: as `tensor`.
            Imported::Versioned(m) => unsafe { (**m).flags & READ_ONLY != 0 },
        }
    }
}

impl Drop for Imported {
    fn drop(&mut self) {
        // Foreign deleters may need the interpreter. SAFETY: the managed tensor is ours, and this
        // is the only call of its deleter.
        crate::interpreter::attach(|_| unsafe {
            match *self {
                Imported::Plain(m) => {
                    if let Some(deleter) = (*m).deleter {
                        deleter(m);
                    }
                }
                Imported::Versioned(m) => {
                    if let Some(deleter) = (*m).deleter {
                        deleter(m);
                    }
                }
            }
        });
    }
}

/// Takes the managed tensor out of a capsule.
fn take(capsule: &Bound<'_, PyAny>) -> Result<Imported> {
    let object = capsule.as_ptr();
    // SAFETY: each pointer is read under the name that says its kind, and the capsule is renamed so
    // that its own destructor leaves the tensor to us.
    unsafe {
        if ffi::PyCapsule_IsValid(object, VERSIONED.as_ptr()) != 0 {
            let managed = ffi::PyCapsule_GetPointer(object, VERSIONED.as_ptr()).cast::<ManagedVersioned>();
            if (*managed).major != 1 {
                return data_error(format!("DLPack version {} is not supported, wanted 1", (*managed).major));
            }
            ffi::PyCapsule_SetName(object, USED_VERSIONED.as_ptr());
            Ok(Imported::Versioned(managed))
        } else if ffi::PyCapsule_IsValid(object, NAME.as_ptr()) != 0 {
            let managed = ffi::PyCapsule_GetPointer(object, NAME.as_ptr()).cast::<Managed>();
            ffi::PyCapsule_SetName(object, USED.as_ptr());
            Ok(Imported::Plain(managed))
        } else {
            Err(PyTypeError::new_err(
                "__dlpack__ gave no unused DLPack capsule\n  hint: a capsule is read once: ask for a new one",
            )
            .into())
        }
    }
}

/// The value of an object with `__dlpack__`: shared when it is contiguous on the CPU and of a type
/// that a tensor has, else a converted copy. `None` when it has no `__dlpack__`.
pub(crate) fn import(value: &Bound<'_, PyAny>) -> Result<Option<Tensor>> {
    let py = value.py();
    let Ok(method) = value.getattr(pyo3::intern!(py, "__dlpack__")) else { return Ok(None) };
    let device: (i32, i32) = value.call_method0("__dlpack_device__")?.extract()?;
    if device.0 != CPU {
        return Err(PyBufferError::new_err(format!(
            "the array is on DLPack device {device:?}, wanted the CPU\n  hint: copy it to the CPU first, as x.cpu() does in PyTorch"
        ))
        .into());
    }
    let kwargs = PyDict::new(py);
    kwargs.set_item("max_version", (1u32, 0u32))?;
    let capsule = match method.call((), Some(&kwargs)) {
        Ok(capsule) => capsule,
        // Producers of before 1.0 know no keywords.
        Err(error) if error.is_instance_of::<PyTypeError>(py) => method.call0()?,
        Err(error) => return Err(error.into()),
    };
    let imported = take(&capsule)?;
    let t = imported.tensor();
    let dims: Vec<usize> = (0..t.ndim as usize)
        // SAFETY: a DLPack tensor has `ndim` sizes.
        .map(|i| unsafe { *t.shape.add(i) } as usize)
        .collect();
    let dtype = match (t.code, t.bits, t.lanes) {
        (2, 32, 1) => DType::F32,
        (0, 32, 1) => DType::I32,
        (4, 16, 1) => DType::BF16,
        (2, 16, 1) => DType::F16,
        (0, 8, 1) => DType::I8,
        (1, 8, 1) => DType::U8,
        _ => {
            drop(imported);
            // Other types need converting; NumPy reads all of them.
            return Ok(Some(tensor_from(&as_array(value, "the array")?, None, "the array")?));
        }
    };
    let shape = Shape::new(&dims)?;
    let strides = shape.strides();
    // SAFETY: strides are null (row-major) or `ndim` of them.
    let dense = t.strides.is_null()
        || shape.count() == 0
        || (0..dims.len()).all(|i| dims[i] == 1 || unsafe { *t.strides.add(i) } == strides[i] as i64);
    // SAFETY: the offset stays inside the producer's memory.
    let cells = unsafe { t.data.cast::<u8>().add(t.byte_offset as usize) };
    if !dense || !(cells as usize).is_multiple_of(dtype.size()) {
        drop(imported);
        return Ok(Some(tensor_from(&as_array(value, "the array")?, Some(dtype), "the array")?));
    }
    let fixed = imported.is_read_only();
    let ty = Ty { shape, dtype };
    // SAFETY: dense cells of the shape, alive until the deleter runs; unless the producer says that
    // they are read-only, they may change meanwhile. Indices are checked as read.
    let storage = unsafe { Storage::foreign(cells, ty, fixed, Box::new(imported)) };
    Ok(Some(Tensor::new(ty, Arc::new(storage))?))
}

/// `tensor(value, copy=False)`: the memory of a contiguous array of the right type, shared.
pub(crate) fn share(value: &Bound<'_, PyAny>, dtype: Option<DType>) -> Result<Tensor> {
    struct Kept(#[allow(dead_code)] Borrowed);
    // SAFETY: the buffer is released attached, in `drop` below, and read from any thread.
    unsafe impl Send for Held {}
    // SAFETY: as above.
    unsafe impl Sync for Held {}
    struct Held(Option<Kept>);
    impl Drop for Held {
        fn drop(&mut self) {
            crate::interpreter::attach(|_| drop(self.0.take()));
        }
    }
    let refuse = || {
        data_error(format!(
            "a {} cannot be shared without a copy\n  hint: leave out copy=False",
            kind_of(value)
        ))
    };
    let Some(view) = View::get(value, "the value")? else { return refuse() };
    let dtype = dtype.unwrap_or_else(|| view.natural());
    if view.cells(dtype).is_none() {
        return refuse();
    }
    drop(view);
    let borrowed = Borrowed::new(value, dtype, "the value")?;
    let arg = borrowed.arg();
    let keep = Box::new(Held(Some(Kept(borrowed))));
    // SAFETY: `keep` holds the buffer, whose owner may go on writing to it.
    let storage = unsafe { Storage::foreign(arg.ptr, arg.ty, false, keep) };
    Ok(Tensor::new(arg.ty, Arc::new(storage))?)
}
