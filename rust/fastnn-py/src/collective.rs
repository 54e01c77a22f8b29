//! Sums over processes, made by a Python function: see `fastnn::ops::collective`.

use crate::error::enter;
use crate::interpreter::attach;
use fastnn::error::{Error, Result};
use fastnn::ops::collective;
use fastnn::sync::Lock;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::c_char;

static REDUCE: Lock<Option<Py<PyAny>>> = Lock::new(None);

/// Names the function that sums over the processes, or None for a process that is alone.
///
/// `reduce(place, values)` gets a writable buffer of float32 and leaves the sums in it. It keeps no
/// reference to the buffer.
#[pyfunction]
fn set_collective(reduce: Option<Py<PyAny>>) -> PyResult<()> {
    enter(|| {
        collective::set_collective(reduce.as_ref().map(|_| sum as collective::Collective));
        let earlier = std::mem::replace(&mut *REDUCE.lock(), reduce);
        drop(earlier);
        Ok(())
    })
}

fn sum(place: i64, values: &mut [f32]) -> Result<()> {
    attach(|py| {
        let reduce = REDUCE.lock().as_ref().map(|f| f.clone_ref(py));
        let Some(reduce) = reduce else { return Ok(()) };
        call(py, &reduce, place, values).map_err(|error| {
            let text = error.value(py).to_string();
            let first = text.lines().next().unwrap_or_default();
            Error::Data(format!("all_reduce: {first}\n  hint: that error says what to do"))
        })
    })
}

fn call(py: Python<'_>, reduce: &Py<PyAny>, place: i64, values: &mut [f32]) -> PyResult<()> {
    let bytes = std::mem::size_of_val(values) as isize;
    let pointer = values.as_mut_ptr().cast::<c_char>();
    // SAFETY: the view lives until `release`, while the values are lent to this call; a reference
    // that outlives it makes `release` raise, which is passed on.
    let view = unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyMemoryView_FromMemory(pointer, bytes, ffi::PyBUF_WRITE))?
    };
    let done = reduce.call1(py, (place, &view));
    view.call_method0("release")?;
    done.map(drop)
}

/// Adds the function to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(set_collective, module)?)
}
