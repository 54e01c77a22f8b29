//! The door between Python values and tensors: buffers in (borrowed or converted), NumPy arrays
//! out. NumPy is reached through its Python interface, and for views through its table (`array`): no
//! NumPy version is compiled in.

use crate::array::Arrays;
use crate::dim::{PyDim, fresh, scalar, size_from, size_object};
use crate::error::{Fault, Result, data_error};
use crate::tensor::PyTensor;
use crate::variable::PyVariable;
use fastnn::buffer::Buffer;
use fastnn::dim::Dim;
use fastnn::error::Error;
use fastnn::graph::{Arg, Ty};
use fastnn::kernels::stored;
use fastnn::shape::{DType, MAX_RANK, Shape};
use fastnn::tensor::{Storage, Tensor};
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyFloat, PyInt, PyList, PySequence, PyString, PyTuple};
use pyo3::{PyTypeInfo, ffi};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::sync::Arc;

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

const DTYPES: &str = "'float32', 'int32', 'bool', or to store 'bfloat16', 'float16', 'int8', 'uint8'";

/// A type name, with a list of the known ones when it is unknown.
pub(crate) fn dtype_named(name: &str) -> Result<DType> {
    match (name, DType::named(name)) {
        (_, Some(dtype)) => Ok(dtype),
        ("float", _) => Ok(DType::F32),
        ("int", _) => Ok(DType::I32),
        _ => data_error(format!("dtype '{name}' is not supported\n  hint: use {DTYPES}")),
    }
}

/// A type from a name, a NumPy type or anything with a `name`.
pub(crate) fn dtype_of(value: &Bound<'_, PyAny>) -> Result<DType> {
    if let Ok(name) = value.cast::<PyString>() {
        return dtype_named(&name.to_string_lossy());
    }
    if let Ok(name) = value.getattr("name").or_else(|_| value.getattr("__name__"))
        && let Ok(name) = name.cast::<PyString>()
    {
        return dtype_named(&name.to_string_lossy());
    }
    data_error(format!("dtype is a {}, wanted {DTYPES}", kind_of(value)))
}

/// The name of a value's class, for messages.
pub(crate) fn kind_of(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "object".into(), |n| n.to_string())
}

/// Sizes for Python: `None` for the batch, a `Dim` for other open sizes.
pub(crate) fn shape_tuple<'py>(py: Python<'py>, shape: &Shape) -> PyResult<Bound<'py, PyTuple>> {
    let size = |&d: &Dim| if d == Dim::BATCH { Ok(py.None().into_bound(py)) } else { size_object(py, d) };
    PyTuple::new(py, shape.dims().iter().map(size).collect::<PyResult<Vec<_>>>()?)
}

/// Sizes of a placeholder from Python: a leading `None` stands for the batch, another one for a
/// size of its own, a string for the size of that name.
pub(crate) fn shape_from(value: &Bound<'_, PyAny>) -> Result<Shape> {
    let wrong = |value: &Bound<'_, PyAny>, wanted: &str| {
        Fault::Core(Error::Shape(format!(
            "shape has a {}, wanted {wanted}\n  hint: whole numbers, or None for an open size",
            kind_of(value)
        )))
    };
    if let Some(one) = size_from(value) {
        return Ok(Shape::new(&[one])?);
    }
    let items = value.try_iter().map_err(|_| {
        Fault::Core(Error::Shape(format!(
            "shape is a {}, wanted a tuple of sizes\n  hint: (2, 3), or () for a scalar",
            kind_of(value)
        )))
    })?;
    let items = items.collect::<PyResult<Vec<_>>>()?;
    let mut dims = Vec::with_capacity(items.len());
    for (axis, item) in items.iter().enumerate() {
        dims.push(match item.cast::<PyString>() {
            Ok(name) => Dim::symbol(&name.to_string_lossy()),
            Err(_) if item.is_none() && axis == 0 => Dim::BATCH,
            Err(_) if item.is_none() => fresh(axis, items.len()),
            Err(_) => size_from(item).ok_or_else(|| wrong(item, "sizes, names or None"))?,
        });
    }
    Ok(Shape::new(&dims)?)
}

/// A borrowed buffer. Must be dropped while attached to Python.
pub(crate) struct View {
    raw: ffi::Py_buffer,
    element: Element,
}

/// What a foreign buffer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Bool,
    Signed(u8),
    Unsigned(u8),
    Float(u8),
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: `raw` was filled by PyObject_GetBuffer and is released once.
        unsafe { ffi::PyBuffer_Release(&raw mut self.raw) };
    }
}

impl View {
    /// The buffer of an object; `None` when it has none that can be read in place.
    pub(crate) fn get(value: &Bound<'_, PyAny>, name: &str) -> Result<Option<View>> {
        let mut raw = MaybeUninit::<ffi::Py_buffer>::uninit();
        // SAFETY: the object is alive and `raw` is room for a Py_buffer.
        let failed =
            unsafe { ffi::PyObject_GetBuffer(value.as_ptr(), raw.as_mut_ptr(), ffi::PyBUF_RECORDS_RO) } != 0;
        if failed {
            drop(PyErr::take(value.py()));
            return Ok(None);
        }
        // SAFETY: the call succeeded, so all fields are set.
        let raw = unsafe { raw.assume_init() };
        let mut view = View { raw, element: Element::Bool };
        view.element = view.parse(name)?;
        Ok(Some(view))
    }

    /// As [`View::get`] with the right to write.
    pub(crate) fn writable(value: &Bound<'_, PyAny>) -> Result<View> {
        let mut raw = MaybeUninit::<ffi::Py_buffer>::uninit();
        // SAFETY: as in `get`.
        let failed =
            unsafe { ffi::PyObject_GetBuffer(value.as_ptr(), raw.as_mut_ptr(), ffi::PyBUF_CONTIG) } != 0;
        if failed {
            return Err(PyErr::fetch(value.py()).into());
        }
        // SAFETY: the call succeeded, so all fields are set.
        Ok(View { raw: unsafe { raw.assume_init() }, element: Element::Bool })
    }

    fn format(&self) -> &[u8] {
        if self.raw.format.is_null() {
            return b"B";
        }
        // SAFETY: a format is a C string that lives as long as the buffer.
        unsafe { CStr::from_ptr(self.raw.format) }.to_bytes()
    }

    fn parse(&self, name: &str) -> Result<Element> {
        let format = self.format();
        let code = match format {
            [b'@' | b'=' | b'<', code] | [code] => *code,
            [b'>' | b'!', _] if self.raw.itemsize > 1 => {
                return data_error(format!(
                    "{name} is big-endian\n  hint: convert it first: x.astype(x.dtype.newbyteorder('='))"
                ));
            }
            [b'>' | b'!', code] => *code,
            _ => 0,
        };
        let size = self.raw.itemsize as u8;
        match code {
            b'?' => Ok(Element::Bool),
            b'b' | b'h' | b'i' | b'l' | b'q' | b'n' => Ok(Element::Signed(size)),
            b'B' | b'H' | b'I' | b'L' | b'Q' | b'N' => Ok(Element::Unsigned(size)),
            b'e' | b'f' | b'd' => Ok(Element::Float(size)),
            _ => data_error(self.refusal(name, code)),
        }
    }

    fn refusal(&self, name: &str, code: u8) -> String {
        let format = self.format();
        let last = format.last().copied().unwrap_or(code);
        if last == b'w' || last == b's' {
            format!(
                "{name} holds text\n  hint: encode it as numbers first, for example with StringLookup or TextVectorization"
            )
        } else if format == b"O" {
            format!("{name} holds Python objects, wanted numbers\n  hint: np.asarray(x, dtype=np.float32)")
        } else if format.contains(&b'Z') {
            format!(
                "{name} is complex, wanted real numbers\n  hint: pass the real and imaginary parts as features"
            )
        } else {
            let format = String::from_utf8_lossy(format);
            format!(
                "{name} has elements of kind '{format}', wanted numbers\n  hint: np.asarray(x, dtype=np.float32)"
            )
        }
    }

    fn rank(&self) -> usize {
        self.raw.ndim as usize
    }

    fn dims(&self) -> &[ffi::Py_ssize_t] {
        if self.rank() == 0 {
            return &[];
        }
        // SAFETY: a buffer got with ND has `ndim` sizes.
        unsafe { std::slice::from_raw_parts(self.raw.shape, self.rank()) }
    }

    fn strides(&self) -> &[ffi::Py_ssize_t] {
        if self.rank() == 0 {
            return &[];
        }
        // SAFETY: a buffer got with STRIDES has `ndim` strides.
        unsafe { std::slice::from_raw_parts(self.raw.strides, self.rank()) }
    }

    /// The shape.
    pub(crate) fn shape(&self) -> Result<Shape> {
        if self.rank() > MAX_RANK {
            return Err(Error::Shape(format!(
                "an array of rank {} is above the limit of {MAX_RANK}\n  hint: x.reshape: join axes first",
                self.rank()
            ))
            .into());
        }
        let mut dims = [0; MAX_RANK];
        for (to, from) in dims.iter_mut().zip(self.dims()) {
            *to = *from as usize;
        }
        Ok(Shape::new(&dims[..self.rank()])?)
    }

    pub(crate) fn is_contiguous(&self) -> bool {
        let mut step = self.raw.itemsize;
        for (&dim, &stride) in self.dims().iter().zip(self.strides()).rev() {
            if dim == 0 {
                return true;
            }
            if dim != 1 && stride != step {
                return false;
            }
            step *= dim;
        }
        true
    }

    fn is_aligned(&self, dtype: DType) -> bool {
        (self.raw.buf as usize).is_multiple_of(dtype.size())
    }

    /// The type that this buffer has without any conversion of values, or its nearest.
    pub(crate) fn natural(&self) -> DType {
        match self.element {
            Element::Bool => DType::Bool,
            Element::Signed(_) | Element::Unsigned(_) => DType::I32,
            Element::Float(_) => DType::F32,
        }
    }

    /// Its cells, where they lie in memory exactly as a tensor of this type wants them.
    pub(crate) fn cells(&self, dtype: DType) -> Option<*mut u8> {
        let same = match dtype {
            DType::F32 => self.element == Element::Float(4),
            DType::I32 => self.element == Element::Signed(4),
            DType::F16 => self.element == Element::Float(2),
            DType::I8 => self.element == Element::Signed(1),
            DType::U8 => self.element == Element::Unsigned(1),
            DType::Bool | DType::BF16 => false,
        };
        (same && self.is_contiguous() && self.is_aligned(dtype)).then_some(self.raw.buf.cast())
    }

    /// Raw memory, for writing; got by [`View::writable`].
    pub(crate) fn memory(&self) -> *mut u8 {
        self.raw.buf.cast()
    }

    /// How many bytes lie there, one after another.
    pub(crate) fn bytes(&self) -> usize {
        self.raw.len as usize
    }

    /// A converted copy of the values.
    pub(crate) fn copy(&self, dtype: DType, name: &str) -> Result<Storage> {
        let shape = self.shape()?;
        let bytes = Ty { shape, dtype }.bytes();
        // SAFETY: every path below writes all cells or fails.
        let mut buffer = unsafe { Buffer::uninit(bytes) }?;
        if let Some(cells) = self.cells(dtype) {
            // SAFETY: both blocks have as many bytes and do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(cells, buffer.as_mut_ptr(), bytes) };
            return Ok(Storage::new(buffer, dtype));
        }
        let out = buffer.as_mut_ptr();
        // SAFETY: the element type was read from the buffer's format, and `out` has `count` cells.
        unsafe {
            match self.element {
                Element::Bool => self.fill::<u8>(out, dtype, name, |x| f64::from(u8::from(x != 0))),
                Element::Signed(1) => self.fill::<i8>(out, dtype, name, f64::from),
                Element::Signed(2) => self.fill::<i16>(out, dtype, name, f64::from),
                Element::Signed(4) => self.fill::<i32>(out, dtype, name, f64::from),
                Element::Signed(_) => self.fill::<i64>(out, dtype, name, |x| x as f64),
                Element::Unsigned(1) => self.fill::<u8>(out, dtype, name, f64::from),
                Element::Unsigned(2) => self.fill::<u16>(out, dtype, name, f64::from),
                Element::Unsigned(4) => self.fill::<u32>(out, dtype, name, f64::from),
                Element::Unsigned(_) => self.fill::<u64>(out, dtype, name, |x| x as f64),
                Element::Float(2) => {
                    self.fill::<u16>(out, dtype, name, |x| stored::decode(&x.to_ne_bytes(), DType::F16))
                }
                Element::Float(4) => self.fill::<f32>(out, dtype, name, f64::from),
                Element::Float(_) => self.fill::<f64>(out, dtype, name, |x| x),
            }?;
        }
        Ok(Storage::new(buffer, dtype))
    }

    unsafe fn fill<T: Copy>(
        &self,
        out: *mut u8,
        dtype: DType,
        name: &str,
        read: impl Fn(T) -> f64,
    ) -> Result<()> {
        match dtype {
            DType::F32 => {
                let out = out.cast::<f32>();
                self.each::<T>(|at, x| {
                    let x = read(x);
                    let narrow = x as f32;
                    *out.add(at) = narrow;
                    narrow.is_finite() || !x.is_finite()
                })
            }
            DType::Bool => {
                let out = out.cast::<f32>();
                self.each::<T>(|at, x| {
                    *out.add(at) = f32::from(u8::from(read(x) != 0.0));
                    true
                })
            }
            DType::I32 => {
                let out = out.cast::<i32>();
                self.each::<T>(|at, x| {
                    let x = read(x);
                    *out.add(at) = x as i32;
                    // NaN fails both comparisons.
                    x > -2_147_483_649.0 && x < 2_147_483_648.0
                })
            }
            DType::BF16 | DType::F16 | DType::I8 | DType::U8 => {
                let size = dtype.size();
                self.each::<T>(|at, x| {
                    let x = read(x);
                    let bytes = stored::encode(x, dtype);
                    out.add(at * size).copy_from_nonoverlapping(bytes.as_ptr(), size);
                    match dtype.whole() {
                        Some((least, most)) => x > least as f64 - 1.0 && x < most as f64 + 1.0,
                        None => stored::decode(&bytes, dtype).is_finite() || !x.is_finite(),
                    }
                })
            }
        }
        .map_or(Ok(()), |at| {
            let (value, place) = (read(self.value_at::<T>(at)), self.position(at));
            let kind = dtype.name();
            data_error(if let Some((least, most)) = dtype.whole() {
                format!(
                    "{name} has the value {value} at {place}, which does not fit {kind} ({least} to {most})\n  \
                     hint: use float32, or number the values from 0"
                )
            } else {
                let most = if dtype == DType::F16 { "65504" } else { "3.4e38" };
                format!(
                    "{name} has the value {value:e} at {place}, which does not fit {kind} (up to {most})\n  \
                     hint: scale it first, e.g. the logarithm, or divide by a unit"
                )
            })
        })
    }

    /// Calls `f(flat position, value)` for every element until it returns false; the position then.
    unsafe fn each<T: Copy>(&self, f: impl Fn(usize, T) -> bool) -> Option<usize> {
        let count: usize = self.dims().iter().map(|&d| d as usize).product();
        let base = self.raw.buf.cast::<u8>();
        if count == 0 {
            return None;
        }
        if self.is_contiguous() {
            return (0..count).find(|&i| !f(i, base.cast::<T>().add(i).read_unaligned()));
        }
        let (dims, strides) = (self.dims(), self.strides());
        let (inner, step) = (dims[dims.len() - 1] as usize, strides[dims.len() - 1]);
        let mut index = [0; MAX_RANK];
        let mut at = 0;
        while at < count {
            let offset: isize = index.iter().zip(strides).map(|(&i, &s): (&isize, _)| i * s).sum();
            let row = base.offset(offset);
            for i in 0..inner {
                if !f(at + i, row.offset(i as isize * step).cast::<T>().read_unaligned()) {
                    return Some(at + i);
                }
            }
            at += inner;
            for axis in (0..dims.len() - 1).rev() {
                index[axis] += 1;
                if index[axis] < dims[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        None
    }

    fn index_of(&self, at: usize) -> Vec<usize> {
        let mut rest = at;
        let mut index: Vec<usize> = self
            .dims()
            .iter()
            .rev()
            .map(|&d| {
                let i = rest % d as usize;
                rest /= d as usize;
                i
            })
            .collect();
        index.reverse();
        index
    }

    unsafe fn value_at<T: Copy>(&self, at: usize) -> T {
        let offset: isize = self.index_of(at).iter().zip(self.strides()).map(|(&i, &s)| i as isize * s).sum();
        self.raw.buf.cast::<u8>().offset(offset).cast::<T>().read_unaligned()
    }

    fn position(&self, at: usize) -> String {
        match self.index_of(at).as_slice() {
            [] => "position ()".into(),
            [i] => format!("position {i}"),
            many => format!("position {many:?}").replace('[', "(").replace(']', ")"),
        }
    }
}

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
    match operand(value)? {
        None if holds_numbers(value, MAX_NESTED)? => tensor_from(value, None, "an operand").map(Some),
        made => Ok(made),
    }
}

/// How deep lists of numbers lie in each other at most; a list may hold itself.
const MAX_NESTED: usize = 32;

/// Whether a value is a list, not empty, of nothing but numbers, arrays and such lists. Tensors in a
/// list are not read as numbers, which would lose their gradients.
fn holds_numbers(value: &Bound<'_, PyAny>, depth: usize) -> Result<bool> {
    let is_list = value.is_exact_instance_of::<PyList>() || value.is_exact_instance_of::<PyTuple>();
    if !is_list || depth == 0 || value.len()? == 0 {
        return Ok(false);
    }
    for item in value.try_iter()? {
        let item = item?;
        let plain = item.is_instance_of::<PyFloat>() || item.is_instance_of::<PyInt>();
        let tensor = item.is_instance_of::<PyTensor>() || item.is_instance_of::<PyVariable>();
        if !plain && (tensor || (operand(&item)?.is_none() && !holds_numbers(&item, depth - 1)?)) {
            return Ok(false);
        }
    }
    Ok(true)
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
fn buffer(value: &Bound<'_, PyAny>, name: &str) -> Result<Option<View>> {
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

/// An argument of a function call: cells of the wanted type, borrowed where they already are that.
pub(crate) struct Borrowed {
    arg: Arg,
    /// Keeps the cells; dropped while attached.
    _keep: Keep,
}

enum Keep {
    View(#[allow(dead_code)] View),
    Storage(#[allow(dead_code)] Arc<Storage>),
}

impl Borrowed {
    /// The argument.
    pub(crate) fn arg(&self) -> Arg {
        self.arg
    }

    /// Borrows a value as cells of `dtype`; `name` is for messages.
    pub(crate) fn new(value: &Bound<'_, PyAny>, dtype: DType, name: &str) -> Result<Borrowed> {
        if let Ok(tensor) = value.cast_exact::<PyTensor>() {
            return Borrowed::tensor(&tensor.get().0, dtype, value.py());
        }
        if let Some(view) = buffer(value, name)? {
            return Borrowed::view(view, dtype, name);
        }
        let tensor = tensor_from(value, Some(dtype), name)?;
        Borrowed::tensor(&tensor, dtype, value.py())
    }

    /// As [`Borrowed::new`], for what is read batch by batch: an array of a storage type whose values
    /// `dtype` holds is borrowed as it is, to be widened a batch at a time.
    pub(crate) fn rows(value: &Bound<'_, PyAny>, dtype: DType, name: &str) -> Result<Borrowed> {
        if value.cast_exact::<PyTensor>().is_err()
            && let Some(view) = buffer(value, name)?
        {
            let narrow = [DType::U8, DType::I8, DType::F16].into_iter();
            let as_it_is =
                narrow.filter(|&d| stored::reads_as(d, dtype)).find_map(|d| Some((d, view.cells(d)?)));
            if let Some((dtype, ptr)) = as_it_is {
                let ty = Ty { shape: view.shape()?, dtype };
                return Ok(Borrowed { arg: Arg { ptr, ty }, _keep: Keep::View(view) });
            }
            return Borrowed::view(view, dtype, name);
        }
        Borrowed::new(value, dtype, name)
    }

    /// An array of float32, of NumPy's class and not empty, whose rows have these sizes, else `None`.
    pub(crate) fn plain(value: &Bound<'_, PyAny>, row: &[usize]) -> Result<Option<Borrowed>> {
        if !value.get_type().is(numpy(value.py())?.ndarray.bind(value.py())) {
            return Ok(None);
        }
        let Ok(Some(view)) = View::get(value, "x") else { return Ok(None) };
        let fits = |sizes: &[isize]| match sizes {
            [count, rest @ ..] => {
                *count > 0 && rest.len() == row.len() && rest.iter().zip(row).all(|(&a, &b)| a as usize == b)
            }
            [] => false,
        };
        if view.element != Element::Float(4) || !fits(view.dims()) {
            return Ok(None);
        }
        Borrowed::view(view, DType::F32, "x").map(Some)
    }

    fn tensor(tensor: &Tensor, dtype: DType, py: Python<'_>) -> Result<Borrowed> {
        let tensor = tensor.cast(dtype)?;
        let storage = crate::tensor::read(py, &tensor)?.clone();
        let arg = Arg { ptr: storage.ptr(), ty: tensor.ty() };
        Ok(Borrowed { arg, _keep: Keep::Storage(storage) })
    }

    fn view(view: View, dtype: DType, name: &str) -> Result<Borrowed> {
        let ty = Ty { shape: view.shape()?, dtype };
        if let Some(ptr) = view.cells(dtype) {
            return Ok(Borrowed { arg: Arg { ptr, ty }, _keep: Keep::View(view) });
        }
        let storage = Arc::new(view.copy(dtype, name)?);
        Ok(Borrowed { arg: Arg { ptr: storage.ptr(), ty }, _keep: Keep::Storage(storage) })
    }
}
