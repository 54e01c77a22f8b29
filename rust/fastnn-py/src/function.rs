//! `Function` as Python sees it: arrays in without a copy, tensors or NumPy arrays out.

use crate::borrow::{Borrowed, Borrows};
use crate::convert::shape_tuple;
use crate::error::{Fault, Result, data_error, enter};
use crate::export::{NewArray, new_array};
use crate::interpreter;
use crate::numpy;
use crate::tensor::PyTensor;
use crate::variable::PyVariable;
use fastnn::dim::Dim;
use fastnn::error::Error;
use fastnn::function::{Function, Values, array_bytes, is_plain, write_array};
use fastnn::graph::{Arg, Ty};
use fastnn::pool::Caller;
use fastnn::shape::{DType, Shape};
use fastnn::tensor::{Recording, Storage, Tensor};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// Runs that take longer than this detach from the interpreter the next time, in nanoseconds.
const WORTH_DETACHING: u64 = 10_000;

/// Runs of such a length take turns with those of other threads, in nanoseconds. Below, to hand the
/// interpreter over costs more than the run; above, to be woken for it is little.
const WORTH_A_TURN: Range<u64> = 3_000..1_000_000;

/// Short runs between two that are timed: looking at a clock twice costs some of them a twentieth.
const UNTIMED: u32 = 15;

/// After runs that took longer than this signals are looked for, in nanoseconds.
const WORTH_A_LOOK: u64 = 10_000_000;

/// A compiled function of placeholders: `Function(inputs, outputs, updates=[])`.
///
/// Called with one array per input it gives a tensor, or a tuple of several outputs. Compiled once
/// for each tuple of the sizes that inputs leave open; variables are read when it is called.
///
/// Args:
///     inputs: Placeholders.
///     outputs: Tensors that depend on them.
///     updates: Pairs of a Variable and its new value, which a call assigns.
///
/// Raises:
///     TraceError: An output depends on a placeholder that is no input.
///
/// Example:
///     >>> from fastnn._core import placeholder
///     >>> x = placeholder((None, 2))
///     >>> double = fastnn.Function([x], [x * 2.0])
///     >>> double(np.ones((1, 2))).numpy()
///     array([[2., 2.]], dtype=float32)
#[pyclass(frozen, name = "Function", module = "fastnn._core")]
pub(crate) struct PyFunction {
    pub(crate) function: Arc<Function>,
    pace: Pace,
}

/// How long runs take, to decide whether the next one leaves the interpreter. Leaving and entering it
/// takes longer than a short run does, the more so where several threads ask at the same time.
struct Pace {
    /// How long the last run that was timed took, in nanoseconds.
    last: AtomicU64,
    /// How many runs are left that are not timed.
    untimed: AtomicU32,
    /// How many cells it was given.
    cells: AtomicUsize,
}

impl Pace {
    fn new() -> Pace {
        Pace { last: AtomicU64::new(u64::MAX), untimed: AtomicU32::new(0), cells: AtomicUsize::new(0) }
    }

    /// Runs a job on so many cells. Should a quick one have to wait for a variable after all, the core
    /// leaves the interpreter for that.
    fn run<T: Send>(&self, py: Python<'_>, cells: usize, job: impl FnOnce() -> T + Send) -> T {
        let last = self.last.load(Relaxed);
        let known = cells <= self.cells.load(Relaxed);
        let quick = known && last < WORTH_DETACHING;
        let in_turn = known && WORTH_A_TURN.contains(&last) && Caller::take_turns();
        let untimed = self.untimed.load(Relaxed);
        if (quick || in_turn) && untimed > 0 {
            self.untimed.store(untimed - 1, Relaxed);
            return if in_turn { interpreter::detach_in_turn(py, job) } else { job() };
        }
        let timed = || {
            let start = Instant::now();
            let done = job();
            self.last.store(start.elapsed().as_nanos() as u64, Relaxed);
            self.cells.store(cells, Relaxed);
            self.untimed.store(UNTIMED, Relaxed);
            done
        };
        if in_turn {
            interpreter::detach_in_turn(py, timed)
        } else if quick {
            timed()
        } else {
            interpreter::detach(py, timed)
        }
    }
}

impl PyFunction {
    pub(crate) fn wrap(function: Function) -> PyFunction {
        PyFunction { function: Arc::new(function), pace: Pace::new() }
    }

    /// Borrows the arrays of a call.
    pub(crate) fn borrow(&self, arrays: &Bound<'_, PyTuple>, borrowed: &mut Borrows) -> Result<()> {
        self.borrow_by(Borrowed::new, arrays, borrowed)
    }

    /// Borrows arrays that are read batch by batch.
    pub(crate) fn borrow_rows(&self, arrays: &Bound<'_, PyTuple>, borrowed: &mut Borrows) -> Result<()> {
        self.borrow_by(Borrowed::rows, arrays, borrowed)
    }

    fn borrow_by(
        &self,
        borrow: fn(&Bound<'_, PyAny>, DType, &str) -> Result<Borrowed>,
        arrays: &Bound<'_, PyTuple>,
        borrowed: &mut Borrows,
    ) -> Result<()> {
        let inputs = self.function.inputs();
        if arrays.len() != inputs.len() {
            let text = format!(
                "got {} arrays, wanted {} ({})",
                arrays.len(),
                inputs.len(),
                self.function.signature()
            );
            return data_error(text);
        }
        for (value, input) in arrays.iter_borrowed().zip(inputs) {
            borrowed.push(borrow(&value, input.ty.dtype, &input.name)?);
        }
        Ok(())
    }

    fn run(&self, py: Python<'_>, args: &[Arg]) -> Result<Values> {
        struct Args<'a>(&'a [Arg]);
        // SAFETY: the pointers are to memory that the caller keeps for the length of the call, and
        // which is only read.
        unsafe impl Sync for Args<'_> {}
        let cells = cells(args);
        let args = Args(args);
        let job = || {
            let args = &args;
            // SAFETY: each argument was borrowed with the shape it has.
            unsafe { self.function.call(args.0) }
        };
        let results = interpreter::persist(py, || self.pace.run(py, cells, job));
        if self.function.updates() && self.pace.last.load(Relaxed) > WORTH_A_LOOK {
            // It may have come back for Ctrl-C before its end.
            py.check_signals()?;
        }
        if self.function.take_storm() {
            warn_of_storm(py, &self.function)?;
        }
        results
    }

    /// Runs `Function::predict` into new arrays.
    pub(crate) fn predict_rows<'py>(
        &self,
        py: Python<'py>,
        args: &[Arg],
        batch: usize,
    ) -> Result<SmallVec<[Bound<'py, PyAny>; 2]>> {
        struct Job<'a> {
            args: &'a [Arg],
            outputs: SmallVec<[*mut u8; 2]>,
        }
        // SAFETY: the pointers are to memory that this call keeps until the job is done.
        unsafe impl Send for Job<'_> {}

        let function = &*self.function;
        let prediction = function.prediction(args)?;
        let types = SmallVec::<[Ty; 2]>::from_slice(prediction.types());
        let mut targets = SmallVec::<[Target<'_>; 2]>::new();
        for ty in prediction.types() {
            let cells = if is_plain(ty.dtype) { None } else { Some(Storage::zeroed(*ty)?) };
            targets.push(Target { new: new_array(py, ty)?, cells });
        }
        let outputs = targets.iter().map(|t| t.cells.as_ref().map_or(t.new.memory, Storage::ptr)).collect();
        let job = Job { args, outputs };
        let mut raised: Option<PyErr> = None;
        let result = self.pace.run(py, cells(args), || {
            let job = job;
            let mut tick = || check_signals(&mut raised);
            // SAFETY: the arguments were borrowed with their shapes, the outputs were made with theirs.
            unsafe { function.predict(prediction, job.args, &job.outputs, batch, &mut tick) }
        });
        if let Some(error) = raised {
            return Err(error.into());
        }
        result?;
        for (target, &ty) in targets.iter().zip(&types) {
            if let Some(cells) = &target.cells {
                // SAFETY: the array was made for this type, and nobody else has it yet.
                let bytes = unsafe { std::slice::from_raw_parts_mut(target.new.memory, array_bytes(ty)) };
                write_array(cells, ty, bytes);
            }
        }
        if function.take_storm() {
            warn_of_storm(py, function)?;
        }
        Ok(targets.into_iter().map(|t| t.new.array).collect())
    }
}

/// How many cells the arguments of a call have.
fn cells(args: &[Arg]) -> usize {
    args.iter().map(|arg| arg.ty.shape.count()).sum()
}

fn warn_of_storm(py: Python<'_>, function: &Function) -> PyResult<()> {
    let log = py.import("logging")?.call_method1("getLogger", ("fastnn",))?;
    let text = format!(
        "a function of ({}) has been compiled for more than 16 batch sizes\n  hint: pad the data to a few batch sizes, or use \
         predict, which needs two",
        function.signature()
    );
    log.call_method1("warning", (text,))?;
    Ok(())
}

#[pymethods]
impl PyFunction {
    #[new]
    #[pyo3(signature = (inputs, outputs, updates=None))]
    fn new(
        inputs: Vec<Bound<'_, PyTensor>>,
        outputs: Vec<Bound<'_, PyTensor>>,
        updates: Option<Vec<(Bound<'_, PyVariable>, Bound<'_, PyTensor>)>>,
    ) -> PyResult<PyFunction> {
        enter(|| {
            let tensors = |list: Vec<Bound<'_, PyTensor>>| -> Vec<Tensor> {
                list.iter().map(|t| t.get().0.clone()).collect()
            };
            let updates: Vec<_> = updates
                .unwrap_or_default()
                .iter()
                .map(|(v, t)| (v.get().0.clone(), t.get().0.clone()))
                .collect();
            Ok(PyFunction::wrap(Function::new(&tensors(inputs), &tensors(outputs), &updates)?))
        })
    }

    /// Runs on arrays or tensors; gives one tensor, or a tuple of them.
    ///
    /// Contiguous arrays of the right type are read in place; they must not change meanwhile.
    #[pyo3(signature = (*arrays))]
    fn __call__<'py>(&self, py: Python<'py>, arrays: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        enter(|| {
            let mut borrowed = Borrows::new();
            self.borrow(arrays, &mut borrowed)?;
            let args: SmallVec<[Arg; 4]> = borrowed.iter().map(Borrowed::arg).collect();
            let mut results = self.run(py, &args)?;
            if results.len() == 1
                && let Some((ty, storage)) = results.pop()
            {
                return Ok(Bound::new(py, PyTensor::new(Tensor::new(ty, storage)?))?.into_any());
            }
            let tensors =
                results.into_iter().map(|(ty, storage)| Ok(PyTensor::new(Tensor::new(ty, storage)?)));
            Ok(PyTuple::new(py, tensors.collect::<Result<Vec<_>>>()?)?.into_any())
        })
    }

    /// A call with one array of float32, NumPy's own and not empty, whose rows have these sizes; `None`
    /// for what needs another look. The function has one input and one result.
    fn call_plain<'py>(
        &self,
        py: Python<'py>,
        array: &Bound<'py, PyAny>,
        row: &Bound<'py, PyTuple>,
    ) -> PyResult<Option<Bound<'py, PyTensor>>> {
        enter(|| {
            let Some(borrowed) = Borrowed::plain(array, row)? else { return Ok(None) };
            let Some((ty, storage)) = self.run(py, &[borrowed.arg()])?.pop() else { return Ok(None) };
            Ok(Some(Bound::new(py, PyTensor::new(Tensor::new(ty, storage)?))?))
        })
    }

    /// Runs over all rows of the arrays, `batch_size` at a time, and gives one writable NumPy array
    /// per output. Detached from the interpreter, unless that would take longer than the run; Ctrl-C
    /// is looked for every 50 ms, also inside a batch.
    #[pyo3(signature = (arrays, batch_size=32))]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        arrays: &Bound<'py, PyAny>,
        batch_size: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        enter(|| {
            let arrays = match arrays.cast::<PyTuple>() {
                Ok(tuple) => tuple.clone(),
                Err(_) => PyTuple::new(py, arrays.try_iter()?.collect::<PyResult<Vec<_>>>()?)?,
            };
            let mut borrowed = Borrows::new();
            self.borrow_rows(&arrays, &mut borrowed)?;
            let args: SmallVec<[Arg; 4]> = borrowed.iter().map(Borrowed::arg).collect();
            Ok(PyList::new(py, self.predict_rows(py, &args, batch_size)?)?)
        })
    }

    /// `predict` for one array of float32, NumPy's own and not empty, whose rows have these sizes; `None`
    /// for what needs another look. The function has one input and one result.
    fn predict_plain<'py>(
        &self,
        py: Python<'py>,
        array: &Bound<'py, PyAny>,
        row: &Bound<'py, PyTuple>,
        batch_size: usize,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        enter(|| {
            let Some(borrowed) = Borrowed::plain(array, row)? else { return Ok(None) };
            Ok(self.predict_rows(py, &[borrowed.arg()], batch_size)?.pop())
        })
    }

    /// Runs up to `count` times without Python, and ends after the run that leaves `until`, a scalar
    /// variable of the function's updates, other than 0; gives the number of runs. For functions of
    /// updates alone. Ctrl-C is looked for every 50 ms, also inside a run; state is that of whole runs.
    #[pyo3(signature = (count, until=None))]
    fn repeat(&self, py: Python<'_>, count: usize, until: Option<&Bound<'_, PyVariable>>) -> PyResult<usize> {
        enter(|| {
            let until = until.map(|variable| variable.get().0.clone());
            let mut raised: Option<PyErr> = None;
            let result = interpreter::detach(py, || {
                let mut tick = || check_signals(&mut raised);
                fastnn::repeat::repeat(&self.function, count, until.as_ref(), &mut tick)
            });
            match raised {
                Some(error) => Err(error.into()),
                None => Ok(result?),
            }
        })
    }

    /// Checks that arrays of these shapes can be given, without running anything. Raises ShapeError
    /// where they do not fit the inputs or, all sizes known, each other.
    fn check(&self, shapes: Vec<Vec<i64>>) -> PyResult<()> {
        enter(|| {
            let inputs = self.function.inputs();
            let mut args: SmallVec<[Arg; 4]> = SmallVec::new();
            for (at, shape) in shapes.iter().enumerate() {
                let dims: Vec<Dim> = shape.iter().map(|&n| Dim::new(n)).collect();
                let dtype = inputs.get(at).map_or(DType::F32, |input| input.ty.dtype);
                args.push(Arg { ptr: std::ptr::null_mut(), ty: Ty { shape: Shape::new(&dims)?, dtype } });
            }
            Ok(self.function.check(&args)?)
        })
    }

    /// The traced graph and the compiled plans as text.
    #[getter]
    fn steps(&self, py: Python<'_>) -> PyResult<String> {
        enter(|| Ok(crate::interpreter::detach(py, || self.function.describe())))
    }

    /// Names, shapes and types of the inputs.
    #[getter]
    fn inputs<'py>(&self, py: Python<'py>) -> PyResult<Vec<(String, Bound<'py, PyTuple>, &'static str)>> {
        let row = |i: &fastnn::function::Input| {
            Ok((i.name.clone(), shape_tuple(py, &i.ty.shape)?, i.ty.dtype.name()))
        };
        self.function.inputs().iter().map(row).collect()
    }

    /// The variables read or updated, in the order of their slots, which come after the inputs'.
    #[getter]
    fn variables(&self) -> Vec<PyVariable> {
        self.function.variables().map(|v| PyVariable(v.clone())).collect()
    }

    /// The arrays that were captured, as tensors, in the order of their slots, which come after the
    /// variables'.
    #[getter]
    fn captured(&self) -> PyResult<Vec<PyTensor>> {
        enter(|| {
            let values = self.function.captured();
            Ok(values
                .map(|(ty, value)| Tensor::new(ty, value.clone()).map(PyTensor::new))
                .collect::<fastnn::error::Result<_>>()?)
        })
    }

    /// Shapes and types of the outputs; sizes that inputs leave open are open.
    #[getter]
    fn outputs<'py>(&self, py: Python<'py>) -> PyResult<Vec<(Bound<'py, PyTuple>, &'static str)>> {
        let row = |ty: &Ty| Ok((shape_tuple(py, &ty.shape)?, ty.dtype.name()));
        self.function.outputs().iter().map(row).collect()
    }

    fn __repr__(&self) -> String {
        let outputs: Vec<String> = self.function.outputs().iter().map(Ty::to_string).collect();
        format!("<fastnn.Function ({}) -> ({})>", self.function.signature(), outputs.join(", "))
    }
}

/// Where a prediction goes.
struct Target<'py> {
    new: NewArray<'py>,
    /// Memory for values that NumPy stores in another way.
    cells: Option<Storage>,
}

/// Lets Python's signal handlers run; what they raise is kept in `raised` and stops the run.
pub(crate) fn check_signals(raised: &mut Option<PyErr>) -> fastnn::error::Result<()> {
    crate::interpreter::attach(|py| py.check_signals()).map_err(|error| {
        *raised = Some(error);
        Error::Interrupted
    })
}

/// The derivative of `y` with respect to each of `xs`, weighted by `dy` (ones when left out).
///
/// Takes traced tensors, leaves of variables and intermediate results, and gives lazy tensors, so
/// it nests.
///
/// Args:
///     y: A float32 tensor whose value has not been read.
///     xs: Tensors from which `y` was computed.
///     dy: Weights of the shape of `y`, a tensor; None: ones.
///
/// Returns:
///     A list of one tensor for each of `xs`, of its shape; zeros where `y` does not depend on it.
///
/// Raises:
///     TraceError: `y` has been read; a read tensor no longer knows what it was computed from.
///     ShapeError: `dy` has not the shape of `y`.
///
/// Example:
///     >>> x = fastnn.tensor([1.0, 3.0]) * 1.0
///     >>> (slope,) = fastnn.gradients(x * x, [x])
///     >>> slope.numpy()
///     array([2., 6.], dtype=float32)
#[pyfunction]
#[pyo3(signature = (y, xs, dy=None))]
fn gradients(
    y: &Bound<'_, PyTensor>,
    xs: Vec<Bound<'_, PyTensor>>,
    dy: Option<&Bound<'_, PyTensor>>,
) -> PyResult<Vec<PyTensor>> {
    differentiated(y, &xs, dy, fastnn::tensor::gradients)
}

fn differentiated(
    y: &Bound<'_, PyTensor>,
    xs: &[Bound<'_, PyTensor>],
    dy: Option<&Bound<'_, PyTensor>>,
    along: impl FnOnce(&Tensor, &[Tensor], Option<&Tensor>) -> fastnn::error::Result<Vec<Tensor>>,
) -> PyResult<Vec<PyTensor>> {
    enter(|| {
        let grads = along(&y.get().0, &tensors(xs), dy.map(|t| &t.get().0)).map_err(Fault::Core)?;
        Ok(grads.into_iter().map(PyTensor::new).collect())
    })
}

fn tensors(handles: &[Bound<'_, PyTensor>]) -> Vec<Tensor> {
    handles.iter().map(|x| x.get().0.clone()).collect()
}

/// Keeps the history of what is computed from watched tensors, so that gradients can be taken
/// after values were read. `fastnn.GradientTape` is built on it.
#[pyclass(frozen, name = "Recording", module = "fastnn._core")]
struct PyRecording(Recording);

#[pymethods]
impl PyRecording {
    #[new]
    fn new() -> PyRecording {
        PyRecording(Recording::default())
    }

    /// Records what this thread computes from here on.
    fn start(&self) {
        self.0.start();
    }

    /// Records no more; what was recorded stays until `close`.
    fn stop(&self) {
        self.0.stop();
    }

    /// Records what is computed from this tensor.
    fn watch(&self, y: &Bound<'_, PyTensor>) {
        self.0.watch(&y.get().0);
    }

    /// True when the tensor is watched, or was computed from such while this recorded.
    fn holds(&self, y: &Bound<'_, PyTensor>) -> bool {
        self.0.holds(&y.get().0)
    }

    /// For each of `xs`, whether a derivative of `y` flows to it along what was recorded.
    fn depends_on(&self, y: &Bound<'_, PyTensor>, xs: Vec<Bound<'_, PyTensor>>) -> PyResult<Vec<bool>> {
        enter(|| Ok(self.0.depends_on(&y.get().0, &tensors(&xs))))
    }

    /// As `gradients`, along what was recorded only: all else is a constant.
    #[pyo3(signature = (y, xs, dy=None))]
    fn gradients(
        &self,
        y: &Bound<'_, PyTensor>,
        xs: Vec<Bound<'_, PyTensor>>,
        dy: Option<&Bound<'_, PyTensor>>,
    ) -> PyResult<Vec<PyTensor>> {
        differentiated(y, &xs, dy, |y, xs, dy| self.0.gradients(y, xs, dy))
    }

    /// Lets the recorded history go.
    fn close(&self, py: Python<'_>) {
        crate::interpreter::detach(py, || self.0.close());
    }
}

/// What tells one call of a traced function from another, where it is simple: the types and shapes of
/// `args`, all of them tensors with values or arrays that are read where they lie, and which objects the cells of its closure hold.
///
/// Returns:
///     Bytes that equal those of another call for the same types, shapes and objects; None where an
///     argument is something else, or a cell is empty so far.
///
/// Example:
///     >>> from fastnn._core import call_key
///     >>> call_key((fastnn.ops.ones(2),), ()) == call_key((fastnn.ops.zeros(2),), ())
///     True
#[pyfunction]
fn call_key<'py>(
    py: Python<'py>,
    args: &Bound<'py, PyTuple>,
    cells: &Bound<'py, PyTuple>,
) -> Option<Bound<'py, PyBytes>> {
    let mut words: SmallVec<[u64; 24]> = SmallVec::new();
    for value in args.iter_borrowed() {
        let Ty { shape, dtype } = match value.cast_exact::<PyTensor>() {
            Ok(tensor) if tensor.get().0.is_traced() => return None,
            Ok(tensor) => tensor.get().0.ty(),
            Err(_) => [DType::F32, DType::I32].into_iter().find_map(|dtype| numpy::cells(&value, dtype))?.0,
        };
        // The rank says how many sizes follow, so no two lists of shapes share a key.
        words.push((dtype as u64) << 32 | shape.rank() as u64);
        words.extend(shape.sizes().iter().map(|&n| n as u64));
    }
    for cell in cells.iter_borrowed() {
        words.push(cell.getattr(intern!(py, "cell_contents")).ok()?.as_ptr() as u64);
    }
    // SAFETY: any eight bytes are plain bytes.
    let bytes = unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), size_of_val(&words[..])) };
    Some(PyBytes::new(py, bytes))
}

/// Adds `Function`, `Recording`, `call_key` and `gradients` to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyFunction>()?;
    module.add_class::<PyRecording>()?;
    module.add_function(wrap_pyfunction!(call_key, module)?)?;
    module.add_function(wrap_pyfunction!(gradients, module)?)
}
