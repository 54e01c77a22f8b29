//! F7. Model files: safetensors (the format of huggingface/safetensors) whose metadata holds the
//! layer configuration and the inference graph as JSON. Names are looked up in fixed tables and
//! every size is checked before memory is asked for, so reading runs nothing and trusts nothing.

mod graph;
mod json;
mod replace;
mod safetensors;

pub use replace::Replacement;
pub use safetensors::{Entry, File, read, read_from, write};

use crate::buffer::Buffer;
use crate::dim::{Binder, Bindings, Dim};
use crate::error::{Error, Result, shown};
use crate::function::Function;
use crate::graph::{Arg, Ty};
use crate::kernels::stored;
use crate::shape::DType;
use crate::tensor::{Storage, Tensor};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Metadata key of the version that wrote a file.
pub const VERSION: &str = "fastnn.version";
/// Metadata key of the layer configuration.
pub const CONFIG: &str = "fastnn.config";
/// Metadata key of the inference graph.
pub const GRAPH: &str = "fastnn.graph";
/// Metadata key of the layers that look inputs up before the graph begins, where there are any.
pub const BEFORE: &str = "fastnn.before";

/// Writes tensors, metadata and, when given, an inference function whose variables and constants
/// are stored once: under the name of the tensor that shares their memory, else as `graph/N`.
/// The file is replaced whole or not at all. Errors with `Io` when the system refuses.
pub fn save(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: &BTreeMap<String, String>,
    function: Option<&Function>,
) -> Result<()> {
    let mut entries = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        entries.push(Entry { name: name.clone(), ty: tensor.ty(), storage: tensor.storage()?.clone() });
    }
    let mut metadata = metadata.clone();
    metadata.insert(VERSION.into(), env!("CARGO_PKG_VERSION").into());
    if let Some(function) = function {
        let names = name_constants(function, tensors, &mut entries);
        metadata.insert(GRAPH.into(), graph::to_json(function, &names)?);
    }
    write(path, &entries, &metadata)
}

/// The tensor name of each slot past the inputs; adds entries for those that have none.
fn name_constants(
    function: &Function,
    tensors: &[(String, Tensor)],
    entries: &mut Vec<Entry>,
) -> Vec<String> {
    let first = function.inputs().len();
    let mut names = Vec::new();
    let mut constants = function.constants();
    // A variable among the tensors has its value from there, though it may have changed since.
    for (constant, variable) in constants.iter_mut().zip(function.variables()) {
        let same = |(_, tensor): &&(String, Tensor)| tensor.home().is_some_and(|v| Arc::ptr_eq(v, variable));
        if let Some(value) = tensors.iter().find(same).and_then(|(_, tensor)| tensor.storage().ok()) {
            *constant = value.clone();
        }
    }
    for (at, storage) in constants.into_iter().enumerate() {
        let ty = function.graph().ty(function.graph().inputs[first + at]);
        let same = |e: &&Entry| e.ty == ty && e.storage.ptr() == storage.ptr();
        let known = entries.iter().find(same).map(|e| e.name.clone());
        names.push(known.unwrap_or_else(|| {
            let free = (at..).map(|i| format!("graph/{i}")).find(|n| entries.iter().all(|e| e.name != *n));
            let name = free.expect("invariant: there are more numbers than entries");
            entries.push(Entry { name: name.clone(), ty, storage });
            name
        }));
    }
    names
}

/// A saved inference function, run without the layers that made it.
#[derive(Debug)]
pub struct Model {
    function: Function,
    metadata: BTreeMap<String, String>,
}

impl Model {
    /// Reads a model file. Errors with `Format` when it is damaged, foreign or has no graph, or when
    /// the graph is not all of the model, with `Io` when it cannot be read.
    pub fn load(path: &Path) -> Result<Model> {
        let model = Model::load_graph(path)?;
        if let Some(layers) = model.metadata.get(BEFORE) {
            return Err(Error::Format(format!(
                "{}: layers of the model look its inputs up before the graph begins, and the graph is all that is read here: {layers}\n  \
                 hint: look up first, and save what comes after: fastnn.Model(layer.output, model.output)",
                shown(path)
            )));
        }
        Ok(model)
    }

    /// Reads the graph of a model file, which takes what layers that look inputs up give; else as
    /// [`Model::load`].
    pub fn load_graph(path: &Path) -> Result<Model> {
        let name = shown(path);
        Model::from_file(read(path)?).map_err(|error| match error {
            Error::Format(text) | Error::Shape(text) | Error::Data(text) => {
                Error::Format(format!("{name}: {text}"))
            }
            other => other,
        })
    }

    /// The model in a file that was read.
    pub fn from_file(file: File) -> Result<Model> {
        let Some(text) = file.metadata.get(GRAPH) else {
            return Err(Error::Format(
                "the file has weights but no inference graph\n  hint: it holds weights alone, or a model whose `call` is \
                 code; fastnn.models.load_model reads the layers".into(),
            ));
        };
        let (graph, inputs, names) = graph::from_json(text, &file)?;
        let constants = names.iter().map(|name| file.tensors[name].1.clone()).collect();
        let function =
            Function::from_graph(graph, inputs, constants).map_err(|e| Error::Format(e.to_string()))?;
        Ok(Model { function, metadata: file.metadata })
    }

    /// The function.
    #[must_use]
    pub fn function(&self) -> &Function {
        &self.function
    }

    /// The function, taken out.
    #[must_use]
    pub fn into_function(self) -> Function {
        self.function
    }

    /// The file's metadata.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Runs on `rows` rows of a single input, row after row, 32 at a time, and gives the cells of
    /// the first output. An input that leaves one more size open gets it from the number of cells;
    /// [`Function::apply`] takes tensors of any shape. An input of whole numbers (class or word
    /// numbers) takes them as floats and an input of truth values takes 0 for false; outputs of both
    /// kinds come as floats too. Errors with `Data` for a fraction or a number beyond int32 where
    /// whole numbers are wanted.
    pub fn predict(&self, x: &[f32], rows: usize) -> Result<Vec<f32>> {
        let [input] = self.function.inputs() else {
            return crate::data_err!(
                "the model takes {} inputs ({}), wanted one\n  hint: call its function with one array per input",
                self.function.inputs().len(),
                self.function.signature()
            );
        };
        let ty = crate::function::sized(&input.ty, &Bindings::batch(rows))?;
        let misfit = || {
            crate::shape_err!(
                "{} values are not {rows} rows of '{}': {}\n  hint: give rows times the size of a row",
                x.len(),
                input.name,
                input.ty
            )
        };
        let shape = if ty.shape.is_open() {
            let Some((symbol, size)) = ty.shape.elements().solve(x.len() as i64) else { return misfit() };
            let mut sizes = Bindings::batch(rows);
            sizes.set(symbol, Dim::new(size));
            ty.shape.bind(&mut Binder::new(&sizes))?
        } else {
            ty.shape
        };
        if shape.count() != x.len() {
            return misfit();
        }
        let converted = as_elements(x, ty.dtype, &input.name)?;
        let ty = Ty { shape, dtype: ty.dtype };
        let memory = converted.as_ref().map_or(x.as_ptr().cast(), Buffer::as_ptr);
        let args = [Arg { ptr: memory.cast_mut(), ty }];
        let prediction = self.function.prediction(&args)?;
        let types = SmallVec::<[Ty; 2]>::from_slice(prediction.types());
        let outputs: Vec<Storage> = types.iter().map(|&ty| Storage::zeroed(ty)).collect::<Result<_>>()?;
        let pointers: Vec<*mut u8> = outputs.iter().map(Storage::ptr).collect();
        // SAFETY: `x`, or its copy, fills the input's shape; the outputs were made with theirs.
        unsafe { self.function.predict(prediction, &args, &pointers, 32, &mut || Ok(())) }?;
        let Some(first) = outputs.first() else { return Ok(vec![]) };
        Ok(first.numbers())
    }
}

/// Floats as the elements of an input of another type; `None` when they are that already. Rounded
/// to float types, refused where integer types do not hold them.
fn as_elements(x: &[f32], dtype: DType, name: &str) -> Result<Option<Buffer>> {
    if dtype == DType::F32 {
        return Ok(None);
    }
    if let Some((least, most)) = dtype.whole() {
        let fits = |v: f32| v.fract() == 0.0 && (least as f64..=most as f64).contains(&f64::from(v));
        if let Some(at) = x.iter().position(|&v| !fits(v)) {
            return crate::data_err!(
                "input '{name}' takes whole numbers, value {at} is {}\n  hint: give class or word numbers",
                x[at]
            );
        }
    }
    let size = dtype.size();
    let mut out = Buffer::zeroed(x.len() * size)?;
    for (to, &v) in out.as_mut_slice::<u8>().chunks_exact_mut(size).zip(x) {
        let v = if dtype == DType::Bool { f64::from(u8::from(v != 0.0)) } else { f64::from(v) };
        to.copy_from_slice(&stored::encode(v, dtype)[..size]);
    }
    Ok(Some(out))
}

/// Tensors by name with their types.
pub type Tensors = BTreeMap<String, (Ty, Arc<Storage>)>;
