//! `Dim`: a size that is not known yet, as Python sees it. Known sizes are plain integers.

use crate::convert::kind_of;
use crate::error::{Fault, Result, enter};
use crate::tensor::PyTensor;
use fastnn::dim::{Binder, Bindings, Dim};
use fastnn::error::Error;
use fastnn::graph::Attr;
use fastnn::ops::index::AXIS_SIZE;
use fastnn::sync::Lock;
use fastnn::tensor::{Attrs, Operands, Tensor};
use pyo3::exceptions::{PyTypeError, PyZeroDivisionError};
use pyo3::prelude::*;
use pyo3::pyclass::CompareOp;
use pyo3::types::PyDict;
use std::cell::RefCell;
use std::sync::Arc;

/// A size that inputs leave open: `batch`, `time`, or what is computed from such sizes.
///
/// It comes from `ops.shape(x)` and from `x.shape` inside a traced step, and goes into shapes:
/// `ops.reshape(x, (-1, 2 * n))`. With tensors and floats it computes as an int32 scalar. It equals
/// None, which is how Keras writes an open size, and has no value until data is there; while a
/// step is traced with data (`SizeGuards`), it may be read.
#[pyclass(frozen, name = "Dim", module = "fastnn._core")]
pub(crate) struct PyDim(pub(crate) Dim);

/// What somebody concluded from a size: `away` compared with 0 is, or is not, as `how` says.
struct Guard {
    away: Dim,
    how: CompareOp,
    holds: bool,
}

impl Guard {
    /// Whether the conclusion is right for other sizes.
    fn is_right(&self, sizes: &Bindings) -> bool {
        let away = Binder::new(sizes).bind(self.away).ok().and_then(Dim::known);
        away.is_some_and(|away| self.how.matches(away.cmp(&0)) == self.holds)
    }
}

/// The sizes of the data that a step is traced with, and what the trace concluded from them.
struct Read {
    sizes: Bindings,
    guards: Lock<Vec<Guard>>,
}

impl Read {
    fn number(&self, dim: Dim) -> Option<i64> {
        Binder::new(&self.sizes).bind(dim).ok()?.known()
    }

    /// How `away` compares with 0; noted down.
    fn compare(&self, away: Dim, how: CompareOp) -> Option<bool> {
        let holds = how.matches(self.number(away)?.cmp(&0));
        let mut guards = self.guards.lock();
        let known = |g: &Guard| (g.away, g.how as u8, g.holds) == (away, how as u8, holds);
        if !guards.iter().any(known) {
            guards.push(Guard { away, how, holds });
        }
        Some(holds)
    }
}

thread_local! {
    /// Of the traces under way on this thread, the innermost last.
    static READ: RefCell<Vec<Arc<Read>>> = const { RefCell::new(Vec::new()) };
}

fn reading() -> Option<Arc<Read>> {
    READ.with(|read| read.borrow().last().cloned())
}

/// The sizes that open axes have in the data at hand, for the length of a trace.
///
/// `with guards:` lets code that reads a size as a number have it, by `int(n)`, `range(n)` or
/// `n > 3`. What it was told is noted down: the trace serves the sizes for which all of it is so.
#[pyclass(frozen, name = "SizeGuards", module = "fastnn._core")]
pub(crate) struct PySizeGuards(Arc<Read>);

/// Sizes by name.
fn bindings(sizes: &Bound<'_, PyDict>) -> PyResult<Bindings> {
    let mut bindings = Bindings::new();
    for (name, size) in sizes {
        let Some(size) = size_from(&size) else {
            return Err(PyTypeError::new_err(format!(
                "a size is a {}\n  hint: whole numbers and sizes of tensors",
                kind_of(&size)
            )));
        };
        bindings.set(Dim::symbol(&name.extract::<String>()?), size);
    }
    Ok(bindings)
}

#[pymethods]
impl PySizeGuards {
    /// `sizes` is a dict from the names of sizes to whole numbers.
    #[new]
    fn new(sizes: &Bound<'_, PyDict>) -> PyResult<PySizeGuards> {
        Ok(PySizeGuards(Arc::new(Read { sizes: bindings(sizes)?, guards: Lock::new(Vec::new()) })))
    }

    fn __enter__(&self) {
        READ.with(|read| read.borrow_mut().push(self.0.clone()));
    }

    fn __exit__(&self, kind: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>, trace: &Bound<'_, PyAny>) {
        let _ = (kind, error, trace);
        READ.with(|read| read.borrow_mut().pop());
    }

    /// Whether everything that was read is so for these sizes too.
    fn hold(&self, sizes: &Bound<'_, PyDict>) -> PyResult<bool> {
        let sizes = bindings(sizes)?;
        Ok(self.0.guards.lock().iter().all(|guard| guard.is_right(&sizes)))
    }

    /// How many conclusions were noted.
    fn __len__(&self) -> usize {
        self.0.guards.lock().len()
    }
}

/// A size for Python: an integer where it is known.
pub(crate) fn size_object<'py>(py: Python<'py>, dim: Dim) -> PyResult<Bound<'py, PyAny>> {
    match dim.known() {
        Some(number) => Ok(number.into_pyobject(py)?.into_any()),
        None => Ok(Bound::new(py, PyDim(dim))?.into_any()),
    }
}

/// A size from Python: an integer or a `Dim`, `None` when it is neither.
pub(crate) fn size_from(value: &Bound<'_, PyAny>) -> Option<Dim> {
    if let Ok(dim) = value.cast::<PyDim>() {
        return Some(dim.get().0);
    }
    value.extract::<i64>().ok().map(Dim::new)
}

/// A size as a tensor that computes.
pub(crate) fn scalar(dim: Dim) -> Result<Tensor> {
    Ok(Tensor::build(&AXIS_SIZE, Operands::new(), Attrs::new(&[Attr::Size(dim)]))?)
}

/// A symbol for an open axis, named after what such an axis usually is. Names are numbered so that
/// the axes of different tensors differ; the numbers come round again after some thousand.
pub(crate) fn fresh(axis: usize, rank: usize) -> Dim {
    const NAMES: [&str; 8] = ["batch_size", "length", "time", "height", "width", "depth", "features", "axis"];
    const ROUND: u32 = 4096;
    static NUMBERS: Lock<[u32; NAMES.len()]> = Lock::new([0; NAMES.len()]);
    let name = match (rank, axis) {
        (_, 0) => 0,
        (2, 1) => 1,
        (3, 1) => 2,
        (4, 1) | (5, 2) => 3,
        (4, 2) | (5, 3) => 4,
        (5, 1) => 5,
        (3, 2) | (4, 3) | (5, 4) => 6,
        _ => 7,
    };
    let mut numbers = NUMBERS.lock();
    let number = numbers[name];
    numbers[name] = (number + 1) % ROUND;
    drop(numbers);
    match number {
        0 => Dim::symbol(NAMES[name]),
        n => Dim::symbol(&format!("{}_{n}", NAMES[name])),
    }
}

/// How a size compares with 0, where the rules that say "less" and "more" decide it.
fn decided(away: Dim, how: CompareOp, less: fn(Dim) -> bool, more: fn(Dim) -> bool) -> Option<bool> {
    let at_least = more(away + Dim::ONE);
    let at_most = more(Dim::ONE - away);
    let (less, more) = (less(away), more(away));
    match how {
        CompareOp::Lt if less || at_least => Some(less),
        CompareOp::Le if at_most || more => Some(at_most),
        CompareOp::Gt if more || at_most => Some(more),
        CompareOp::Ge if at_least || less => Some(at_least),
        _ => None,
    }
}

impl PyDim {
    /// The number that it is in the data of the trace under way, which then serves no other.
    fn number(&self, use_: &str) -> PyResult<i64> {
        let read = reading();
        let number = read.as_ref().and_then(|read| read.number(self.0));
        let (Some(read), Some(number)) = (read, number) else { return Err(self.refused(use_)) };
        read.compare(self.0 - Dim::new(number), CompareOp::Eq);
        Ok(number)
    }

    /// Whether it equals another size: `None` is any open one. Where that depends on the data, the
    /// data of the trace under way decides, if there is one.
    fn equals(&self, other: &Bound<'_, PyAny>) -> Option<bool> {
        if other.is_none() {
            return Some(true);
        }
        let other = size_from(other)?;
        let away = self.0 - other;
        if other == self.0 || away.is_negative() || away.is_positive() {
            return Some(other == self.0);
        }
        Some(reading().and_then(|read| read.compare(away, CompareOp::Eq)).unwrap_or(false))
    }

    fn refused(&self, use_: &str) -> PyErr {
        let error: Fault = Error::Trace(format!(
            "the size '{}' is not known yet, so {use_} cannot read it\n  hint: use it in a shape, or compute with \
             ops.cast(size, 'float32'); it has a value once the model is called on data",
            self.0
        ))
        .into();
        enter::<()>(|| Err(error)).unwrap_err()
    }

    fn tensor<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let tensor = enter(|| scalar(self.0))?;
        Ok(Bound::new(py, PyTensor::new(tensor))?.into_any())
    }

    /// With another size by `whole`; with a float or a tensor as a tensor by the method `name`.
    fn with<'py>(
        &self,
        other: &Bound<'py, PyAny>,
        name: &str,
        whole: impl FnOnce(Dim, Dim) -> Dim,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        if let Some(other) = size_from(other) {
            return size_object(py, whole(self.0, other));
        }
        self.tensor(py)?.call_method1(name, (other,))
    }

    fn divided<'py>(
        &self,
        other: &Bound<'py, PyAny>,
        name: &str,
        whole: impl FnOnce(Dim, Dim) -> Dim,
    ) -> PyResult<Bound<'py, PyAny>> {
        if size_from(other) == Some(Dim::ZERO) {
            return Err(PyZeroDivisionError::new_err(
                "division of a size by zero\n  hint: a divisor from 1 on",
            ));
        }
        self.with(other, name, whole)
    }
}

#[pymethods]
impl PyDim {
    /// NumPy leaves operators to us.
    #[classattr]
    fn __array_ufunc__(py: Python<'_>) -> Py<PyAny> {
        py.None()
    }

    fn __add__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.with(other, "__add__", |a, b| a + b)
    }
    fn __radd__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.with(other, "__radd__", |a, b| b + a)
    }
    fn __sub__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.with(other, "__sub__", |a, b| a - b)
    }
    fn __rsub__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.with(other, "__rsub__", |a, b| b - a)
    }
    fn __mul__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.with(other, "__mul__", |a, b| a * b)
    }
    fn __rmul__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.with(other, "__rmul__", |a, b| b * a)
    }
    fn __floordiv__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.divided(other, "__floordiv__", Dim::floor_div)
    }
    fn __rfloordiv__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.with(other, "__rfloordiv__", |a, b| b.floor_div(a))
    }
    fn __mod__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.divided(other, "__mod__", |a, b| a - b * a.floor_div(b))
    }
    fn __rmod__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.with(other, "__rmod__", |a, b| b - a * b.floor_div(a))
    }
    fn __truediv__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.tensor(other.py())?.div(other)
    }
    fn __rtruediv__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        other.div(self.tensor(other.py())?)
    }
    fn __pow__<'py>(
        &self,
        other: &Bound<'py, PyAny>,
        _modulo: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.tensor(other.py())?.pow(other, other.py().None())
    }
    fn __neg__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        size_object(py, Dim::ZERO - self.0)
    }

    fn __richcmp__<'py>(&self, other: &Bound<'py, PyAny>, how: CompareOp) -> PyResult<Bound<'py, PyAny>> {
        let py = other.py();
        let truth = |x: bool| Ok(x.into_pyobject(py)?.to_owned().into_any());
        if let CompareOp::Eq | CompareOp::Ne = how
            && let Some(same) = self.equals(other)
        {
            return truth(same == matches!(how, CompareOp::Eq));
        }
        let Some(other_size) = size_from(other) else {
            return Ok(py.NotImplemented().into_bound(py));
        };
        let away = self.0 - other_size;
        let certain = decided(away, how, Dim::is_negative, Dim::is_positive);
        let answer = certain.or_else(|| reading().and_then(|read| read.compare(away, how))).or_else(|| {
            // Nobody has data yet: no axis is empty.
            decided(away, how, Dim::is_negative_unless_empty, Dim::is_positive_unless_empty)
        });
        match answer {
            Some(answer) => truth(answer),
            None => Err(self.refused("a comparison")),
        }
    }

    /// That of None, which it equals.
    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        py.None().bind(py).hash()
    }

    fn __bool__(&self) -> PyResult<bool> {
        if self.0.is_positive() {
            return Ok(true);
        }
        let read = reading().and_then(|read| read.compare(self.0, CompareOp::Ne));
        // Nobody has data yet: no axis is empty.
        let full = || self.0.is_positive_unless_empty().then_some(true);
        read.or_else(full).ok_or_else(|| self.refused("a condition"))
    }

    fn __index__(&self) -> PyResult<i64> {
        self.number("a whole number")
    }

    fn __int__(&self) -> PyResult<i64> {
        self.number("int()")
    }

    fn __float__(&self) -> PyResult<f64> {
        self.number("float()").map(|n| n as f64)
    }

    fn __repr__(&self) -> String {
        self.0.to_string()
    }

    /// The size of this name: `Dim.named("batch")`.
    #[staticmethod]
    fn named(name: &str) -> PyDim {
        PyDim(Dim::symbol(name))
    }

    /// The names of the sizes that it depends on.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.0.symbols().iter().filter_map(|s| s.name()).map(|n| n.to_string()).collect()
    }

    /// The size where those of `sizes`, a dict from names to sizes, stand for their names.
    fn bind<'py>(&self, py: Python<'py>, sizes: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
        let bindings = bindings(sizes)?;
        let dim = enter(|| Ok(Binder::new(&bindings).bind(self.0)?))?;
        size_object(py, dim)
    }
}
