//! The classes in which the front shows shapes and element types: tuples and text with methods of
//! their own. The front names them once, and what is asked for often is made once.

use crate::convert::shape_tuple;
use fastnn::shape::{DType, Shape};
use fastnn::sync::Lock;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple};

struct Classes {
    shape: Py<PyAny>,
    /// `tuple.__new__`, which leaves out what the class does to sizes from elsewhere.
    make: Py<PyAny>,
    /// By number of the type.
    dtypes: Vec<Py<PyAny>>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

/// Shapes made so far, each at the place that its sizes choose, until another takes that.
static SHAPES: Lock<[Option<Kept>; KEPT]> = Lock::new([const { None }; KEPT]);
const KEPT: usize = 256;
type Kept = (Shape, Py<PyAny>);

/// Names the class of shapes, a subclass of tuple without attributes of its own, and the object that
/// stands for each element type, by name. Only the first call counts.
#[pyfunction]
pub(crate) fn set_classes(shape: &Bound<'_, PyAny>, dtypes: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = shape.py();
    CLASSES.get_or_try_init(py, || {
        let objects = DType::ALL.into_iter().map(|dtype| Ok(dtypes.get_item(dtype.name())?.unbind()));
        Ok::<_, PyErr>(Classes {
            shape: shape.clone().unbind(),
            make: py.get_type::<PyTuple>().getattr("__new__")?.unbind(),
            dtypes: objects.collect::<PyResult<_>>()?,
        })
    })?;
    Ok(())
}

/// A shape as the front shows it: `None` for the batch, a `Dim` for other open sizes.
pub(crate) fn shape_object<'py>(py: Python<'py>, shape: &Shape) -> PyResult<Bound<'py, PyAny>> {
    let Some(classes) = CLASSES.get(py) else { return Ok(shape_tuple(py, shape)?.into_any()) };
    let make = || classes.make.bind(py).call1((classes.shape.bind(py), shape_tuple(py, shape)?));
    if shape.is_open() {
        return make();
    }
    let mix = |h: u64, d: u64| (h.rotate_left(23) ^ d).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let hash = shape.dims().iter().fold(shape.rank() as u64, |h, d| mix(h, d.word()));
    let at = (hash >> 32) as usize % KEPT;
    let known = SHAPES.lock()[at].as_ref().filter(|(known, _)| known == shape).map(|(_, o)| o.clone_ref(py));
    if let Some(known) = known {
        return Ok(known.into_bound(py));
    }
    let made = make()?;
    let before = SHAPES.lock()[at].replace((*shape, made.clone().unbind()));
    // Not under the lock: what is dropped may run Python.
    drop(before);
    Ok(made)
}

/// An element type as the front shows it.
pub(crate) fn dtype_object<'py>(py: Python<'py>, dtype: DType) -> Bound<'py, PyAny> {
    match CLASSES.get(py) {
        Some(classes) => classes.dtypes[dtype as usize].bind(py).clone(),
        None => PyString::intern(py, dtype.name()).into_any(),
    }
}
