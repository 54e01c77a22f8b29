//! Buffers of others, NumPy's arrays above all: what their elements are, whether they can be read where
//! they lie, and converted copies.

use crate::error::{Result, data_error};
use fastnn::buffer::Buffer;
use fastnn::error::Error;
use fastnn::graph::Ty;
use fastnn::kernels::stored;
use fastnn::shape::{DType, MAX_RANK, Shape};
use fastnn::tensor::Storage;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::CStr;
use std::mem::MaybeUninit;

/// A borrowed buffer. Must be dropped while attached to Python.
pub(crate) struct View {
    raw: ffi::Py_buffer,
    element: Element,
}

/// A copy of the cells of a value of this type.
///
/// # Safety
/// `cells` points to the bytes of the type, readable.
pub(crate) unsafe fn copy_of(ty: Ty, cells: *const u8) -> Result<Storage> {
    let mut buffer = Buffer::uninit(ty.bytes())?;
    std::ptr::copy_nonoverlapping(cells, buffer.as_mut_ptr(), ty.bytes());
    Ok(Storage::new(buffer, ty.dtype))
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

    /// Whether its elements are those of a tensor of this type.
    pub(crate) fn is_of(&self, dtype: DType) -> bool {
        match dtype {
            DType::F32 => self.element == Element::Float(4),
            DType::I32 => self.element == Element::Signed(4),
            DType::F16 => self.element == Element::Float(2),
            DType::I8 => self.element == Element::Signed(1),
            DType::U8 => self.element == Element::Unsigned(1),
            DType::Bool | DType::BF16 => false,
        }
    }

    /// Its cells, where they lie in memory exactly as a tensor of this type wants them.
    pub(crate) fn cells(&self, dtype: DType) -> Option<*mut u8> {
        (self.is_of(dtype) && self.is_contiguous() && self.is_aligned(dtype)).then_some(self.raw.buf.cast())
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
        let ty = Ty { shape, dtype };
        if let Some(cells) = self.cells(dtype) {
            // SAFETY: the buffer has the bytes of its type there.
            return unsafe { copy_of(ty, cells) };
        }
        // SAFETY: every path below writes all cells or fails.
        let mut buffer = unsafe { Buffer::uninit(ty.bytes()) }?;
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
