//! Sums over processes: in memory that those of one machine share (`fastnn::kernels::team`), else by a
//! Python function. See `fastnn::ops::collective`.

use crate::error::{data_error, enter};
use crate::interpreter::{attach, detach};
use crate::view::View;
use fastnn::error::{Error, Result};
use fastnn::kernels::team::{self, Team};
use fastnn::ops::collective;
use fastnn::sync::Lock;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::c_char;

static REDUCE: Lock<Option<Py<PyAny>>> = Lock::new(None);
static TEAM: Lock<Option<&'static Team>> = Lock::new(None);

/// What the processes of a team say that they meet for when a sum is wanted.
const SUM: i64 = 1;

/// Processes of one machine that sum in memory which all have mapped: `Team(memory, rank, size)`.
///
/// `memory` is a writable buffer of `Team.bytes(size)` bytes, zero before the first process comes. It
/// stays mapped to the end of the process, since a sum may be under way.
#[pyclass(frozen, name = "Team", module = "fastnn._core")]
pub(crate) struct PyTeam(&'static Team);

#[pymethods]
impl PyTeam {
    #[new]
    fn new(memory: &Bound<'_, PyAny>, rank: usize, size: usize) -> PyResult<PyTeam> {
        enter(|| {
            if !(2..=team::MOST).contains(&size) || rank >= size {
                return data_error(format!(
                    "Team: rank {rank} of {size}, wanted one below a size from 2 to {}\n  hint: rank() of size()",
                    team::MOST
                ));
            }
            let view = View::writable(memory)?;
            if view.bytes() < Team::bytes(size) {
                return data_error(format!(
                    "Team: the memory has {} bytes, wanted {}\n  hint: Team.bytes(size)",
                    view.bytes(),
                    Team::bytes(size)
                ));
            }
            // SAFETY: the memory is as long as it has to be, and is never given back.
            let team = unsafe { Team::join(view.memory(), rank, size) }?;
            std::mem::forget(view);
            Ok(PyTeam(Box::leak(Box::new(team))))
        })
    }

    /// Bytes that `size` processes share.
    #[staticmethod]
    fn bytes(size: usize) -> usize {
        Team::bytes(size.min(team::MOST))
    }

    /// What each process says, six numbers, once all have come; the last two may differ.
    fn meet(
        &self,
        py: Python<'_>,
        what: i64,
        key: i64,
        count: i64,
        own: [i64; 2],
    ) -> PyResult<Vec<Vec<i64>>> {
        enter(|| {
            let said = detach(py, || self.0.meet(what, key, count, own))?;
            Ok(said.iter().map(|header| header.to_vec()).collect())
        })
    }
}

/// Names the function that sums over the processes, or None for a process that is alone.
///
/// `reduce(place, values)` gets a writable buffer of float32 and leaves the sums in it. It keeps no
/// reference to the buffer. With a `team` the sums are its; the function is called where it cannot make
/// one, and raises.
#[pyfunction]
#[pyo3(signature = (reduce, team=None))]
fn set_collective(reduce: Option<Py<PyAny>>, team: Option<Bound<'_, PyTeam>>) -> PyResult<()> {
    enter(|| {
        collective::set_collective(reduce.as_ref().map(|_| sum as collective::Collective));
        *TEAM.lock() = team.map(|team| team.get().0);
        let earlier = std::mem::replace(&mut *REDUCE.lock(), reduce);
        drop(earlier);
        Ok(())
    })
}

/// A number of 64 bits that tells contents of a contiguous array apart, as ranks do that compare theirs.
#[pyfunction]
fn digest(py: Python<'_>, bytes: &Bound<'_, PyAny>) -> PyResult<u64> {
    struct Bytes(*const u8, usize);
    // SAFETY: the view keeps the bytes until the end of the call, and they are only read.
    unsafe impl Send for Bytes {}
    enter(|| {
        let view = View::get(bytes, "bytes")?;
        let Some(view) = view.filter(View::is_contiguous) else {
            return data_error("digest: wanted a contiguous array\n  hint: np.ascontiguousarray(x)");
        };
        let bytes = Bytes(view.memory().cast_const(), view.bytes());
        Ok(detach(py, move || {
            let bytes = bytes;
            // SAFETY: the view, which outlives the closure, has so many bytes there.
            unsafe { fastnn::kernels::digest::digest(bytes.0, bytes.1) }
        }))
    })
}

fn sum(place: i64, values: &mut [f32], scale: f32) -> Result<()> {
    let team = *TEAM.lock();
    // What keeps the team from it, the function finds out as well, and says it in its own words.
    if team.is_some_and(|team| team.sum(SUM, place, values, scale).is_ok_and(|made| made)) {
        return Ok(());
    }
    collective::scale_by(values, scale);
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

/// Adds the function and the class to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyTeam>()?;
    module.add_function(wrap_pyfunction!(digest, module)?)?;
    module.add_function(wrap_pyfunction!(set_collective, module)?)
}
