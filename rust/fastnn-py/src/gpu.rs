//! Programs for GPUs, planned by `fastnn-gpu` and handed over as text; only `recording` talks to a device.

mod recording;

use crate::convert::dtype_of;
use crate::error::{Result, data_error, enter};
use crate::function::PyFunction;
use crate::interpreter;
use crate::ops;
use fastnn::error::Error;
use fastnn::graph::{Arg, Graph, Ty};
use fastnn::shape::{DType, Shape};
use fastnn_gpu::dispatch::Limits;
use fastnn_gpu::halves::Half;
use fastnn_gpu::planner::{self, Slot};
use fastnn_gpu::templates::sizes::{TILES, Tile};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// The limits of an adapter; those that are not given are what every adapter offers.
fn limits(given: &Bound<'_, PyDict>) -> Result<Limits> {
    let mut limits = Limits::PORTABLE;
    for (name, value) in given {
        let name = name.cast::<PyString>().map_err(PyErr::from)?.to_string_lossy().into_owned();
        let value: u64 = value.extract()?;
        let small = u32::try_from(value).unwrap_or(u32::MAX);
        let size = usize::try_from(value).unwrap_or(usize::MAX);
        match name.as_str() {
            "storage_buffers" => limits.storage_buffers = size,
            "workgroup_bytes" => limits.workgroup_bytes = size,
            "workgroup_invocations" => limits.workgroup_invocations = small,
            "grid" => limits.grid = small,
            "binding_bytes" => limits.binding_bytes = size,
            "buffer_bytes" => limits.buffer_bytes = size,
            "alignment" => limits.alignment = size,
            "halves" => limits.halves = value != 0,
            _ if let Some(at) = tile(&name) => limits.speeds[at] = small,
            _ => {
                return data_error(format!(
                    "limits: there is no '{name}'\n  hint: storage_buffers, workgroup_bytes, \
                     workgroup_invocations, grid, binding_bytes, buffer_bytes, alignment, halves, and tile_ with a name of gpu_tiles()"
                ));
            }
        }
    }
    let least = Limits::PORTABLE;
    if limits.storage_buffers < least.storage_buffers
        || limits.workgroup_bytes < least.workgroup_bytes
        || limits.workgroup_invocations < least.workgroup_invocations
        || limits.grid == 0
        || limits.alignment == 0
        || limits.binding_bytes < 4
    {
        return Err(Error::Device(format!(
            "the adapter offers too little: {limits:?}\n  hint: WebGPU asks for {least:?}"
        ))
        .into());
    }
    Ok(limits)
}

/// The number of the tile that a limit is of.
fn tile(limit: &str) -> Option<usize> {
    let name = limit.strip_prefix("tile_")?;
    TILES.iter().position(|tile| tile.name() == name)
}

/// The tiles that products are made by: rows, columns and depth. A limit `tile_` with such a name says
/// how fast one is, as far as it is known; one of 0 is not taken.
#[pyfunction]
fn gpu_tiles() -> Vec<String> {
    TILES.iter().map(Tile::name).collect()
}

fn shapes(given: &[Vec<i64>]) -> Result<Vec<Shape>> {
    let shape = |sizes: &Vec<i64>| {
        let sizes: Vec<usize> =
            sizes.iter().map(|&n| usize::try_from(n).unwrap_or(usize::MAX >> 1)).collect();
        Shape::new(&sizes)
    };
    Ok(given.iter().map(shape).collect::<fastnn::error::Result<_>>()?)
}

/// The program of a function for inputs of these shapes, as JSON text.
///
/// Buffers of role `state` are numbered as `Function.variables`, then `Function.captured`.
/// Raises DeviceError where a row has no kernel for devices, or a value takes more than the
/// adapter's limits (`storage_buffers`, `workgroup_bytes`, `workgroup_invocations`, `grid`,
/// `binding_bytes`, `buffer_bytes`, `alignment`, `halves`, `tile_` with a name of `gpu_tiles()`).
/// `between` is "bfloat16" or "float16" where activations take two bytes between steps; `halves` must be 1.
#[pyfunction]
#[pyo3(signature = (function, shapes, limits, between=None))]
fn gpu_program(
    py: Python<'_>,
    function: &Bound<'_, PyFunction>,
    shapes: Vec<Vec<i64>>,
    limits: &Bound<'_, PyDict>,
    between: Option<&Bound<'_, PyAny>>,
) -> PyResult<String> {
    enter(|| {
        let mut limits = self::limits(limits)?;
        if let Some(dtype) = between {
            let dtype = dtype_of(dtype)?;
            limits.between = Half::of(dtype);
            if limits.between.is_none() || !limits.halves {
                return Err(Error::Device(format!(
                    "values between steps in {} need an adapter with shader-f16\n  hint: the policy \"float32\", or \
                     run the model on the CPU",
                    dtype.name()
                ))
                .into());
            }
        }
        let function = function.get().function.clone();
        let shapes = self::shapes(&shapes)?;
        let text = interpreter::detach(py, || -> fastnn::error::Result<String> {
            let args: Vec<Arg> = shapes
                .iter()
                .enumerate()
                .map(|(at, &shape)| {
                    let dtype = function.inputs().get(at).map_or(DType::F32, |input| input.ty.dtype);
                    Arg { ptr: std::ptr::null_mut(), ty: Ty { shape, dtype } }
                })
                .collect();
            let graph = function.graph().replay(&function.bindings(&args)?)?;
            let inputs = function.inputs().iter().map(|input| Slot::Input(input.name.clone()));
            let variables = function.variables().map(|v| Slot::State(v.name()));
            let captured = function.captured().enumerate().map(|(k, _)| Slot::State(format!("array {k}")));
            let slots: Vec<Slot> = inputs.chain(variables).chain(captured).collect();
            planner::plan(&graph, &slots, &limits)?.to_json()
        });
        Ok(text?)
    })
}

/// The program of one row applied to inputs of these shapes and types, as JSON text: its results are
/// the row's value and then its parts.
#[pyfunction]
#[pyo3(signature = (name, inputs, attrs, limits))]
fn gpu_row_program(
    name: &str,
    inputs: Vec<(Vec<i64>, Bound<'_, PyAny>)>,
    attrs: &Bound<'_, PyDict>,
    limits: &Bound<'_, PyDict>,
) -> PyResult<String> {
    enter(|| {
        let limits = self::limits(limits)?;
        let (op, attrs) = ops::row(name, attrs)?;
        let mut graph = Graph::new();
        let mut ids = vec![];
        for (sizes, dtype) in &inputs {
            let shape = shapes(std::slice::from_ref(sizes))?[0];
            ids.push(graph.input(Ty { shape, dtype: dtype_of(dtype)? }));
        }
        let value = graph.try_add(op, &ids, &attrs)?;
        graph.outputs = (0..=op.parts.len()).map(|k| graph.part(value, k)).collect();
        graph.check()?;
        let slots: Vec<Slot> = (0..ids.len()).map(|k| Slot::Input(format!("input {k}"))).collect();
        Ok(planner::plan(&graph, &slots, &limits)?.to_json()?)
    })
}

/// Adds the functions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<recording::PyGpuRecording>()?;
    module.add_function(wrap_pyfunction!(gpu_program, module)?)?;
    module.add_function(wrap_pyfunction!(gpu_row_program, module)?)?;
    module.add_function(wrap_pyfunction!(gpu_tiles, module)?)
}
