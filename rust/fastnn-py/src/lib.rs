//! Thin PyO3 binding over the core crate: `fastnn._core`. Converts arguments, maps errors,
//! detaches around long work; everything else is the core's.

mod borrow;
mod classes;
mod collective;
mod convert;
mod dim;
mod dlpack;
mod ensemble;
mod error;
mod export;
mod function;
mod gpu;
mod index;
mod interpreter;
mod numpy;
mod operand;
mod operators;
mod ops;
mod save;
mod scan;
mod tensor;
mod train;
mod variable;
mod view;

use fastnn::simd::{self, Isa};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Sets the number of threads that computations use, 1 to 256. Results do not depend on it.
///
/// Args:
///     n: How many threads.
///
/// Raises:
///     DataError: The number is not from 1 to 256.
///
/// Example:
///     >>> before = fastnn.get_num_threads()
///     >>> fastnn.set_num_threads(2)
///     >>> fastnn.get_num_threads()
///     2
///     >>> fastnn.set_num_threads(before)
#[pyfunction]
fn set_num_threads(n: i64) -> PyResult<()> {
    error::enter(|| match usize::try_from(n) {
        Ok(n @ 1..=fastnn::pool::MAX_THREADS) => {
            fastnn::pool::set_threads(n);
            Ok(())
        }
        _ => error::data_error(format!(
            "set_num_threads: got {n}, wanted 1 to {}\nhint: os.cpu_count() is the number of cores",
            fastnn::pool::MAX_THREADS
        )),
    })
}

/// The number of threads that computations use.
///
/// Returns:
///     A whole number; at the start that of the processor's cores, or `FASTNN_NUM_THREADS`.
///
/// Example:
///     >>> 1 <= fastnn.get_num_threads() <= 256
///     True
#[pyfunction]
fn get_num_threads() -> usize {
    fastnn::pool::threads()
}

/// What this build is and runs on: version, instruction sets, threads, Rust version.
///
/// Returns:
///     A dict: `version`, the instruction set in use as `isa` and those there are as
///     `isa_available`, `threads`, what products of the policy "mixed_bfloat16" are computed in as
///     `mixed_bfloat16`, and `rust`, the oldest Rust that builds it.
///
/// Example:
///     >>> sorted(fastnn.info())
///     ['isa', 'isa_available', 'mixed_bfloat16', 'rust', 'threads', 'version']
#[pyfunction]
fn info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let info = PyDict::new(py);
    info.set_item("version", env!("CARGO_PKG_VERSION"))?;
    info.set_item("isa", simd::isa().name())?;
    info.set_item("isa_available", Isa::available().into_iter().map(Isa::name).collect::<Vec<_>>())?;
    info.set_item("threads", fastnn::pool::threads())?;
    info.set_item("mixed_bfloat16", fastnn::kernels::gemm::bf16::arithmetic().name())?;
    info.set_item("rust", env!("CARGO_PKG_RUST_VERSION"))?;
    Ok(info)
}

/// fastnn's compiled core: tensors, functions, training loops and files.
#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    interpreter::register();
    error::register(module)?;
    module.add_class::<tensor::PyTensor>()?;
    module.add_class::<dim::PyDim>()?;
    module.add_class::<dim::PySizeGuards>()?;
    variable::register(module)?;
    module.add_function(wrap_pyfunction!(classes::set_classes, module)?)?;
    module.add_function(wrap_pyfunction!(operand::tensor, module)?)?;
    module.add_function(wrap_pyfunction!(operand::from_dlpack, module)?)?;
    module.add_function(wrap_pyfunction!(operators::product_precision, module)?)?;
    module.add_function(wrap_pyfunction!(operand::placeholder, module)?)?;
    ensemble::register(module)?;
    function::register(module)?;
    train::register(module)?;
    save::register(module)?;
    ops::register(module)?;
    scan::register(module)?;
    gpu::register(module)?;
    collective::register(module)?;
    module.add_function(wrap_pyfunction!(set_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(get_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(info, module)?)
}
