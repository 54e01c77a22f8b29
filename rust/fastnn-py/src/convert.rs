//! Element types, shapes and sizes between Python and the core.

use crate::dim::{fresh, size_from, size_object};
use crate::error::{Fault, Result, data_error};
use fastnn::dim::Dim;
use fastnn::error::Error;
use fastnn::shape::{DType, Shape};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

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
