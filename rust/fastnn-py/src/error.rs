//! Errors at the Python boundary: each variant of the core's enum becomes one exception class, a
//! panic becomes `InternalError`, and what Python itself raised passes through.

use fastnn::error::Error;
use pyo3::exceptions::{
    PyException, PyKeyboardInterrupt, PyMemoryError, PyOSError, PyRuntimeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What went wrong: in the core, or in Python code that we called.
pub(crate) enum Fault {
    Core(Error),
    Python(PyErr),
}

pub(crate) type Result<T> = std::result::Result<T, Fault>;

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Core(error)
    }
}

impl From<PyErr> for Fault {
    fn from(error: PyErr) -> Fault {
        Fault::Python(error)
    }
}

impl From<Infallible> for Fault {
    fn from(never: Infallible) -> Fault {
        match never {}
    }
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> PyErr {
        match fault {
            Fault::Core(error) => raise(&error),
            Fault::Python(error) => error,
        }
    }
}

/// Runs the body of a Python-visible function: a panic below becomes `InternalError`, so that no
/// unwinding and no foreign exception class reaches the caller.
pub(crate) fn enter<T>(body: impl FnOnce() -> Result<T>) -> PyResult<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result.map_err(PyErr::from),
        Err(payload) => {
            // Kernels unwind with the core's own error where they cannot return one.
            let error = match payload.downcast::<Error>() {
                Ok(error) => *error,
                Err(payload) => {
                    let text = payload.downcast_ref::<String>().map(String::as_str);
                    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
                    Error::Internal(format!("panic: {}", text.unwrap_or("no message")))
                }
            };
            Err(raise(&error))
        }
    }
}

/// `Err(DataError(...))`.
pub(crate) fn data_error<T>(text: impl Into<String>) -> Result<T> {
    Err(Fault::Core(Error::Data(text.into())))
}

struct Classes {
    base: Py<PyType>,
    shape: Py<PyType>,
    data: Py<PyType>,
    trace: Py<PyType>,
    device: Py<PyType>,
    format: Py<PyType>,
    internal: Py<PyType>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

fn classes(py: Python<'_>) -> PyResult<&Classes> {
    CLASSES.get_or_try_init(py, || {
        let make = |name: &str, doc: &str, bases: &[&Bound<'_, PyType>]| -> PyResult<Py<PyType>> {
            let dict = PyDict::new(py);
            dict.set_item("__doc__", doc)?;
            dict.set_item("__module__", "fastnn.errors")?;
            let class = py.get_type::<PyType>().call1((name, PyTuple::new(py, bases)?, dict))?;
            Ok(class.cast_into::<PyType>()?.unbind())
        };
        let base = make(
            "FastnnError",
            "The base of all errors that fastnn raises by itself.",
            &[&py.get_type::<PyException>()],
        )?;
        let value = py.get_type::<PyValueError>();
        let runtime = py.get_type::<PyRuntimeError>();
        let make = |name: &str, doc: &str, also: &Bound<'_, PyType>| make(name, doc, &[base.bind(py), also]);
        Ok(Classes {
            shape: make("ShapeError", "Shapes, or an argument and a shape, do not fit together.", &value)?,
            data: make("DataError", "Wrong values or wrong kinds of data.", &value)?,
            trace: make("TraceError", "A tensor without data was read, or a trace was misused.", &runtime)?,
            device: make("DeviceError", "A device is missing or too small.", &runtime)?,
            format: make("FormatError", "A file is truncated, edited or foreign.", &value)?,
            internal: make("InternalError", "A bug in fastnn; please report it.", &runtime)?,
            base,
        })
    })
}

fn raise(error: &Error) -> PyErr {
    crate::interpreter::attach(|py| {
        let text = error.to_string();
        let classes = match classes(py) {
            Ok(classes) => classes,
            Err(error) => return error,
        };
        let class = match error {
            Error::Memory(_) => return PyMemoryError::new_err(text),
            Error::Io(_) => return PyOSError::new_err(text),
            // With its number Python picks the subclass: PermissionError, IsADirectoryError, ...
            Error::System(code, _) => return PyOSError::new_err((*code, text)),
            // The handler, if it has not run yet, says what is raised.
            Error::Interrupted => {
                return py.check_signals().err().unwrap_or_else(|| PyKeyboardInterrupt::new_err(()));
            }
            Error::Shape(_) => &classes.shape,
            Error::Data(_) => &classes.data,
            Error::Trace(_) => &classes.trace,
            Error::Device(_) => &classes.device,
            Error::Format(_) => &classes.format,
            Error::Internal(_) => &classes.internal,
        };
        PyErr::from_type(class.bind(py).clone(), text)
    })
}

/// Adds the exception classes to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let c = classes(py)?;
    for class in [&c.base, &c.shape, &c.data, &c.trace, &c.device, &c.format, &c.internal] {
        let class = class.bind(py);
        module.add(class.name()?, class)?;
    }
    Ok(())
}
