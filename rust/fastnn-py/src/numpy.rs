//! What is used of NumPy: its Python functions, and the table of functions that it has for C, by which
//! arrays over a tensor's memory, arrays of the caller's own and NumPy scalars are made. The table is
//! looked up when NumPy is imported, so no NumPy version is compiled in: the entries used have had
//! their places and meanings since NumPy 1.7. Where the table is of a version that is not known here,
//! NumPy's Python functions do the same, in three times the time.

use crate::convert::kind_of;
use crate::error::{Fault, Result};
use fastnn::error::Error;
use fastnn::function::is_plain;
use fastnn::graph::Ty;
use fastnn::shape::{DType, MAX_RANK, Shape};
use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::ffi::{c_int, c_uint, c_void};

/// What we use of NumPy.
pub(crate) struct NumPy {
    pub(crate) asarray: Py<PyAny>,
    pub(crate) empty: Py<PyAny>,
    pub(crate) ndarray: Py<PyAny>,
    /// `None` where only NumPy's Python functions will do.
    pub(crate) arrays: Option<Arrays>,
    /// Whether a single reference to what a method is called on is the call's own. From Python 3.14 on
    /// it may be that of a local variable, which calls borrow.
    pub(crate) counts_calls: bool,
    /// By number of the type.
    dtypes: Vec<Py<PyAny>>,
}

static NUMPY: PyOnceLock<NumPy> = PyOnceLock::new();

/// NumPy, imported when it is first needed.
pub(crate) fn numpy(py: Python<'_>) -> PyResult<&NumPy> {
    NUMPY.get_or_try_init(py, || {
        let np = py.import("numpy").map_err(|e| {
            let error = PyImportError::new_err("fastnn needs NumPy for arrays\n  hint: pip install numpy");
            error.set_cause(py, Some(e));
            error
        })?;
        let dtype = |name: &str| -> PyResult<Py<PyAny>> { Ok(np.getattr("dtype")?.call1((name,))?.unbind()) };
        Ok(NumPy {
            asarray: np.getattr("asarray")?.unbind(),
            empty: np.getattr("empty")?.unbind(),
            ndarray: np.getattr("ndarray")?.unbind(),
            arrays: Arrays::find(py),
            counts_calls: py.version_info() < (3, 14),
            dtypes: DType::ALL.into_iter().map(|d| dtype(array_type(d))).collect::<PyResult<_>>()?,
        })
    })
}

impl NumPy {
    pub(crate) fn dtype(&self, dtype: DType) -> &Py<PyAny> {
        &self.dtypes[dtype as usize]
    }
}

/// The NumPy type of a value's array; NumPy has no bfloat16.
fn array_type(dtype: DType) -> &'static str {
    if dtype == DType::BF16 { "float32" } else { dtype.name() }
}

/// Anything array-like as a NumPy array.
pub(crate) fn as_array<'py>(value: &Bound<'py, PyAny>, name: &str) -> Result<Bound<'py, PyAny>> {
    let py = value.py();
    numpy(py)?.asarray.bind(py).call1((value,)).map_err(|error| {
        if error.is_instance_of::<pyo3::exceptions::PyValueError>(py)
            || error.is_instance_of::<pyo3::exceptions::PyTypeError>(py)
        {
            let kind = kind_of(value);
            Fault::Core(Error::Data(format!(
                "{name} is a {kind} that does not make an array: {}\n  hint: all rows need the same length",
                error.value(py)
            )))
        } else {
            error.into()
        }
    })
}

/// Shape, type and memory of an array of NumPy's own class whose elements are those of a tensor of this
/// type, one after another; `None` for all else, which its buffer may tell.
#[inline]
pub(crate) fn cells(value: &Bound<'_, PyAny>, dtype: DType) -> Option<(Ty, *mut u8)> {
    let np = numpy(value.py()).ok()?;
    if np.arrays.is_none() || !is_plain(dtype) || !value.get_type().is(np.ndarray.bind(value.py())) {
        return None;
    }
    // SAFETY: an array of this class begins with these fields in the versions that are known.
    let fields = unsafe { &*value.as_ptr().cast::<Fields>() };
    let is_in_order = fields.flags & Access::Read as c_int == Access::Read as c_int;
    let rank = fields.rank as usize;
    if fields.dtype != np.dtype(dtype).as_ptr() || !is_in_order || rank > MAX_RANK {
        return None;
    }
    let mut sizes = [0; MAX_RANK];
    for (axis, size) in sizes[..rank].iter_mut().enumerate() {
        // SAFETY: an array has as many sizes as axes.
        *size = unsafe { *fields.sizes.add(axis) } as usize;
    }
    let shape = Shape::new(&sizes[..rank]).ok()?;
    Some((Ty { shape, dtype }, fields.data))
}

/// What NumPy's headers tell of an array: they compile these places into whoever includes them.
#[repr(C)]
struct Fields {
    head: ffi::PyObject,
    data: *mut u8,
    rank: c_int,
    sizes: *const isize,
    steps: *const isize,
    base: *mut ffi::PyObject,
    dtype: *mut ffi::PyObject,
    flags: c_int,
}

/// Version, scalar, array of a description, address of an element, and what an array keeps alive:
/// their places in the table.
const VERSION: usize = 0;
const SCALAR: usize = 60;
const NEW_FROM_DESCR: usize = 94;
const GET_PTR: usize = 160;
const SET_BASE_OBJECT: usize = 282;

/// The versions of the table that are known: those of NumPy 1 and NumPy 2.
const KNOWN: [c_uint; 2] = [0x0100_0009, 0x0200_0000];

/// Flags of an array over memory: `NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED`, and for the second
/// `NPY_ARRAY_WRITEABLE`.
#[derive(Clone, Copy)]
pub(crate) enum Access {
    Read = 0x0001 | 0x0100,
    Write = 0x0001 | 0x0100 | 0x0400,
}

type Version = unsafe extern "C" fn() -> c_uint;
type Scalar = unsafe extern "C" fn(*mut c_void, *mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;
type GetPtr = unsafe extern "C" fn(*mut ffi::PyObject, *const isize) -> *mut c_void;
type NewFromDescr = unsafe extern "C" fn(
    *mut ffi::PyTypeObject,
    *mut ffi::PyObject,
    c_int,
    *const isize,
    *const isize,
    *mut c_void,
    c_int,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;
type SetBaseObject = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> c_int;

/// What is used of NumPy's table.
pub(crate) struct Arrays {
    scalar: Scalar,
    new: NewFromDescr,
    get_ptr: GetPtr,
    set_base: SetBaseObject,
}

impl Arrays {
    /// The table of the NumPy that is imported; `None` where it is of another version.
    pub(crate) fn find(py: Python<'_>) -> Option<Arrays> {
        let capsule =
            py.import("numpy._core._multiarray_umath").and_then(|m| m.getattr("_ARRAY_API")).ok()?;
        // SAFETY: the object is alive; of anything but a capsule without a name this gives null and an
        // error. NumPy's is a pointer to its table, which stays until the process ends.
        let table = unsafe { ffi::PyCapsule_GetPointer(capsule.as_ptr(), std::ptr::null()) };
        if table.is_null() {
            drop(PyErr::take(py));
            return None;
        }
        let table = table.cast::<*const c_void>();
        // SAFETY: the first entry is the version in all of NumPy's tables; the others are of these
        // types in the versions that are known.
        unsafe {
            let version: Version = std::mem::transmute(*table.add(VERSION));
            KNOWN.contains(&version()).then(|| Arrays {
                scalar: std::mem::transmute::<*const c_void, Scalar>(*table.add(SCALAR)),
                new: std::mem::transmute::<*const c_void, NewFromDescr>(*table.add(NEW_FROM_DESCR)),
                get_ptr: std::mem::transmute::<*const c_void, GetPtr>(*table.add(GET_PTR)),
                set_base: std::mem::transmute::<*const c_void, SetBaseObject>(*table.add(SET_BASE_OBJECT)),
            })
        }
    }

    /// An array of these sizes over `memory`, which `owner` keeps as long as it lives.
    ///
    /// # Safety
    /// `class` is `numpy.ndarray` and `dtype` a `numpy.dtype`; the memory has elements of it for all
    /// sizes, in row-major order, and nobody else writes them, nor reads them if the array may write.
    pub(crate) unsafe fn over<'py>(
        &self,
        (class, dtype): (&Bound<'py, PyAny>, &Bound<'py, PyAny>),
        sizes: &[usize],
        memory: *mut u8,
        owner: &Bound<'py, PyAny>,
        access: Access,
    ) -> PyResult<Bound<'py, PyAny>> {
        let array = self.array(class, dtype, sizes, memory.cast(), access as c_int)?;
        // The owner is taken over, also where the call fails.
        if (self.set_base)(array.as_ptr(), owner.clone().into_ptr()) != 0 {
            return Err(PyErr::fetch(owner.py()));
        }
        Ok(array)
    }

    /// A new array of these sizes, in row-major order, and its memory, with whatever was there.
    ///
    /// # Safety
    /// `class` is `numpy.ndarray` and `dtype` a `numpy.dtype` of numbers. Nobody reads the elements
    /// before they are written.
    pub(crate) unsafe fn empty<'py>(
        &self,
        (class, dtype): (&Bound<'py, PyAny>, &Bound<'py, PyAny>),
        sizes: &[usize],
    ) -> PyResult<(Bound<'py, PyAny>, *mut u8)> {
        let array = self.array(class, dtype, sizes, std::ptr::null_mut(), 0)?;
        let memory = (self.get_ptr)(array.as_ptr(), [0; MAX_RANK].as_ptr());
        Ok((array, memory.cast()))
    }

    /// The NumPy scalar of the element at `memory`.
    ///
    /// # Safety
    /// `dtype` is a `numpy.dtype` of numbers, and `memory` has an element of it.
    pub(crate) unsafe fn scalar<'py>(
        &self,
        dtype: &Bound<'py, PyAny>,
        memory: *mut u8,
    ) -> PyResult<Bound<'py, PyAny>> {
        let scalar = (self.scalar)(memory.cast(), dtype.as_ptr(), std::ptr::null_mut());
        Bound::from_owned_ptr_or_err(dtype.py(), scalar)
    }

    unsafe fn array<'py>(
        &self,
        class: &Bound<'py, PyAny>,
        dtype: &Bound<'py, PyAny>,
        sizes: &[usize],
        memory: *mut c_void,
        flags: c_int,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut dims = [0isize; MAX_RANK];
        for (to, &from) in dims.iter_mut().zip(sizes) {
            *to = from as isize;
        }
        // The description is taken over, also where the call fails.
        let array = (self.new)(
            class.as_ptr().cast(),
            dtype.clone().into_ptr(),
            sizes.len() as c_int,
            dims.as_ptr(),
            std::ptr::null(),
            memory,
            flags,
            std::ptr::null_mut(),
        );
        Bound::from_owned_ptr_or_err(class.py(), array)
    }
}
