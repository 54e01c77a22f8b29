//! Arguments of a call: memory of the caller's, read where it lies if that can be.

use crate::error::Result;
use crate::numpy::{cells, numpy};
use crate::operand::{buffer, tensor_from};
use crate::tensor::PyTensor;
use crate::view::View;
use fastnn::graph::{Arg, Ty};
use fastnn::kernels::stored;
use fastnn::shape::{DType, Shape};
use fastnn::tensor::{Storage, Tensor};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use smallvec::SmallVec;
use std::sync::Arc;

/// An argument of a function call: cells of the wanted type, borrowed where they already are that.
pub(crate) struct Borrowed {
    arg: Arg,
    /// Keeps the cells; dropped while attached.
    _keep: Keep,
}

/// The arguments of a call. They are large, so they are filled where they stay.
pub(crate) type Borrows = SmallVec<[Borrowed; 4]>;

enum Keep {
    View(#[allow(dead_code)] View),
    Array(#[allow(dead_code)] Py<PyAny>),
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
        if let Some(borrowed) = Borrowed::array(value, dtype) {
            return Ok(borrowed);
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
        if let Some(borrowed) = Borrowed::array(value, dtype) {
            return Ok(borrowed);
        }
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

    /// An array of NumPy's own class that has the cells as they are wanted.
    #[inline]
    fn array(value: &Bound<'_, PyAny>, dtype: DType) -> Option<Borrowed> {
        let (ty, ptr) = cells(value, dtype)?;
        Some(Borrowed { arg: Arg { ptr, ty }, _keep: Keep::Array(value.clone().unbind()) })
    }

    /// An array of float32, of NumPy's class and not empty, whose rows have these sizes, else `None`.
    pub(crate) fn plain(value: &Bound<'_, PyAny>, row: &Bound<'_, PyTuple>) -> Result<Option<Borrowed>> {
        let fits = |shape: Shape| match &shape.sizes()[..] {
            [count, rest @ ..] => {
                let same = |at: usize| {
                    row.get_borrowed_item(at).and_then(|n| n.extract()).is_ok_and(|n: usize| n == rest[at])
                };
                *count > 0 && rest.len() == row.len() && (0..rest.len()).all(same)
            }
            [] => false,
        };
        if let Some(borrowed) = Borrowed::array(value, DType::F32) {
            return Ok(fits(borrowed.arg.ty.shape).then_some(borrowed));
        }
        if !value.get_type().is(numpy(value.py())?.ndarray.bind(value.py())) {
            return Ok(None);
        }
        let Ok(Some(view)) = View::get(value, "x") else { return Ok(None) };
        if !view.is_of(DType::F32) || !view.shape().is_ok_and(fits) {
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
