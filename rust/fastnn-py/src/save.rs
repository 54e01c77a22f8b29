//! Files as Python sees them: `save_file`, `load_file`, `Model`.

use crate::borrow::{Borrowed, Borrows};
use crate::convert::shape_tuple;
use crate::error::{Result, enter};
use crate::function::PyFunction;
use crate::operand::tensor_from;
use crate::tensor::{PyTensor, read};
use crate::variable::PyVariable;
use fastnn::error::shown;
use fastnn::graph::Arg;
use fastnn::save::{self, Model, Replacement};
use fastnn::tensor::{Tensor, Variable};
use pyo3::exceptions::{PyFileNotFoundError, PyIsADirectoryError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn check_exists(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(PyIsADirectoryError::new_err(format!(
            "{} is a folder, wanted a file\n  hint: name the file in it",
            shown(path)
        ))
        .into());
    }
    if !path.exists() {
        return Err(PyFileNotFoundError::new_err(format!(
            "there is no file {}\n  hint: a path starts at the working folder, see os.getcwd()",
            shown(path)
        ))
        .into());
    }
    Ok(())
}

/// Writes tensors, metadata and an inference function into one safetensors file.
///
/// `tensors` maps names to arrays or Variables, `metadata` strings to strings. The file is replaced
/// whole or not at all. Raises OSError when the system refuses.
#[pyfunction]
#[pyo3(signature = (path, tensors, metadata=None, function=None))]
fn save_file(
    py: Python<'_>,
    path: PathBuf,
    tensors: &Bound<'_, PyDict>,
    metadata: Option<BTreeMap<String, String>>,
    function: Option<&Bound<'_, PyFunction>>,
) -> PyResult<()> {
    enter(|| {
        // All at one moment: a fit in another thread may be updating them. The stored values,
        // whatever a subclass shows while it is traced.
        let variables: Vec<Arc<Variable>> = tensors
            .values()
            .iter()
            .filter_map(|v| Some(v.cast::<PyVariable>().ok()?.get().0.clone()))
            .collect();
        let mut values = variables.iter().zip(Variable::snapshots(variables.iter()));
        let mut entries = Vec::with_capacity(tensors.len());
        for (name, value) in tensors {
            let name: String = name.extract()?;
            let tensor = match value.cast::<PyVariable>().ok().and_then(|_| values.next()) {
                Some((variable, value)) => Tensor::variable(variable, value),
                None => shared(&value, &name)?,
            };
            read(py, &tensor)?;
            entries.push((name, tensor));
        }
        let function = function.map(|f| f.get().function.clone());
        let metadata = metadata.unwrap_or_default();
        Ok(crate::interpreter::detach(py, || save::save(&path, &entries, &metadata, function.as_deref()))?)
    })
}

/// Replaces a file whole or not at all: calls `write(temporary)` with the path of an empty file in
/// the same folder, and puts what it wrote in the place of `path`, on disk.
///
/// A link stays a link, a pipe, a device or a folder is refused, mode and owner of the old file stay.
/// Raises OSError, naming the path, when the system refuses; what `write` raises passes through, and
/// the old file stays as it was.
#[pyfunction]
fn replace_file(py: Python<'_>, path: PathBuf, write: &Bound<'_, PyAny>) -> PyResult<()> {
    enter(|| {
        let new = crate::interpreter::detach(py, || Replacement::begin(&path))?;
        write.call1((new.temporary().as_os_str(),))?;
        Ok(crate::interpreter::detach(py, || new.commit())?)
    })
}

/// A value as a tensor, without a copy where the memory serves.
fn shared(value: &Bound<'_, PyAny>, name: &str) -> Result<Tensor> {
    if let Ok(tensor) = value.cast_exact::<PyTensor>() {
        return Ok(tensor.get().0.clone());
    }
    match crate::dlpack::share(value, None) {
        Ok(tensor) => Ok(tensor),
        Err(_) => tensor_from(value, None, name),
    }
}

/// Reads a safetensors file: `(tensors by name, metadata)`.
///
/// Raises FormatError when it is damaged or foreign, FileNotFoundError, OSError.
#[pyfunction]
fn load_file<'py>(
    py: Python<'py>,
    path: PathBuf,
) -> PyResult<(Bound<'py, PyDict>, BTreeMap<String, String>)> {
    enter(|| {
        check_exists(&path)?;
        let file = crate::interpreter::detach(py, || save::read(&path))?;
        let tensors = PyDict::new(py);
        for (name, (ty, storage)) in file.tensors {
            tensors.set_item(name, Bound::new(py, PyTensor::new(Tensor::new(ty, storage)?))?)?;
        }
        Ok((tensors, file.metadata))
    })
}

/// A saved inference graph with its weights, run without the layers: `Model.load(path)`.
#[pyclass(frozen, name = "Model", module = "fastnn._core")]
struct PyModel {
    function: PyFunction,
    metadata: BTreeMap<String, String>,
}

#[pymethods]
impl PyModel {
    /// Reads a model file.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<PyModel> {
        enter(|| {
            check_exists(&path)?;
            let model = crate::interpreter::detach(py, || Model::load_graph(&path))?;
            let metadata = model.metadata().clone();
            Ok(PyModel { function: PyFunction::wrap(model.into_function()), metadata })
        })
    }

    /// Runs over all rows of one array per input and gives one array, or a list of them.
    #[pyo3(signature = (*arrays, batch_size=32))]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        arrays: &Bound<'py, PyTuple>,
        batch_size: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        enter(|| {
            let mut borrowed = Borrows::new();
            self.function.borrow_rows(arrays, &mut borrowed)?;
            let args: Vec<Arg> = borrowed.iter().map(Borrowed::arg).collect();
            let mut results = self.function.predict_rows(py, &args, batch_size)?;
            match (results.len(), results.pop()) {
                (1, Some(only)) => Ok(only),
                (_, last) => {
                    results.extend(last);
                    Ok(PyList::new(py, results)?.into_any())
                }
            }
        })
    }

    /// The file's metadata.
    #[getter]
    fn metadata(&self) -> BTreeMap<String, String> {
        self.metadata.clone()
    }

    /// Names, shapes and types of the inputs.
    #[getter]
    fn inputs<'py>(&self, py: Python<'py>) -> PyResult<Vec<(String, Bound<'py, PyTuple>, &'static str)>> {
        let row = |i: &fastnn::function::Input| {
            Ok((i.name.clone(), shape_tuple(py, &i.ty.shape)?, i.ty.dtype.name()))
        };
        self.function.function.inputs().iter().map(row).collect()
    }

    fn __repr__(&self) -> String {
        format!("<fastnn.Model ({})>", self.function.function.signature())
    }
}

/// Adds the file functions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyModel>()?;
    module.add_function(wrap_pyfunction!(save_file, module)?)?;
    module.add_function(wrap_pyfunction!(replace_file, module)?)?;
    module.add_function(wrap_pyfunction!(load_file, module)?)
}
