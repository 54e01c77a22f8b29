//! Operators of tensors: what stands behind `a + b`, `a @ b`, `-a` and their kind.

use crate::error::{Result, enter};
use crate::operand::operand_or_list;
use crate::tensor::{PyTensor, read};
use fastnn::graph::{Attr, OpDef};
use fastnn::ops::{compare, elementwise, matmul};
use fastnn::shape::DType;
use fastnn::tensor::{Attrs, Operands, Tensor, convert};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyFloat;
use smallvec::smallvec;
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Looks from time to time whether there is room for some more tensors.
pub(crate) fn check_room() -> Result<()> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    // Far more than the tensors until the next look take, and only asked for, not touched.
    if MADE.fetch_add(1, Relaxed).is_multiple_of(128) {
        Ok(fastnn::buffer::headroom(2 << 20)?)
    } else {
        Ok(())
    }
}

/// An op on converted operands; runs the pending graph when it has grown past its ceiling.
pub(crate) fn build(py: Python<'_>, op: &'static OpDef, inputs: Operands, attrs: Attrs) -> Result<Tensor> {
    check_room()?;
    let op = of_truth(op, &inputs);
    let tensor = Tensor::build(op, convert(op, inputs)?, attrs)?;
    if tensor.is_crowded() {
        read(py, &tensor)?;
    }
    Ok(tensor)
}

/// What stands for an op: sums and products of truth values are truth values, as in NumPy.
fn of_truth(op: &'static OpDef, inputs: &Operands) -> &'static OpDef {
    if inputs.iter().any(|t| t.ty().dtype != DType::Bool) {
        op
    } else if std::ptr::eq(op, &raw const elementwise::ADD) {
        &compare::LOGICAL_OR
    } else if std::ptr::eq(op, &raw const elementwise::MULTIPLY) {
        &compare::LOGICAL_AND
    } else {
        op
    }
}

/// All results of an op with several, as [`build`].
pub(crate) fn build_all(
    py: Python<'_>,
    op: &'static OpDef,
    inputs: Operands,
    attrs: Attrs,
) -> Result<Vec<Tensor>> {
    check_room()?;
    let results = Tensor::results(op, convert(op, inputs)?, attrs)?;
    if results.iter().any(Tensor::is_crowded) {
        read(py, &results[0])?;
    }
    Ok(results)
}

pub(crate) fn binary(
    slf: &Bound<'_, PyTensor>,
    other: &Bound<'_, PyAny>,
    op: &'static OpDef,
    swap: bool,
) -> PyResult<Py<PyAny>> {
    let py = slf.py();
    enter(|| {
        let this = slf.get().0.clone();
        let Some(other) = operand_or_list(other)? else { return Ok(py.NotImplemented()) };
        let inputs = if swap { smallvec![other, this] } else { smallvec![this, other] };
        let tensor = build(py, op, inputs, Attrs::default())?;
        Ok(Bound::new(py, PyTensor::new(tensor))?.into_any().unbind())
    })
}

/// A whole number to a power of whole numbers, which floats would round.
pub(crate) fn whole_power(py: Python<'_>, base: &Tensor, mut exponent: u32) -> Result<PyTensor> {
    let times = |a: &Tensor, b: &Tensor| {
        build(py, &elementwise::MULTIPLY, smallvec![a.clone(), b.clone()], Attrs::default())
    };
    let mut base = base.cast(DType::I32)?;
    let ones = times(&base, &Tensor::scalar(0.0, DType::I32)?)?;
    let one = Tensor::scalar(1.0, DType::I32)?;
    let mut out = build(py, &elementwise::ADD, smallvec![ones, one], Attrs::default())?;
    while exponent > 0 {
        if exponent & 1 == 1 {
            out = times(&out, &base)?;
        }
        exponent >>= 1;
        if exponent > 0 {
            base = times(&base, &base)?;
        }
    }
    Ok(PyTensor::new(out))
}

/// `fastnn.ops.matmul` or `power` of the operands: vectors, and whole numbers that stay whole.
pub(crate) fn by_front(
    slf: &Bound<'_, PyTensor>,
    other: &Bound<'_, PyAny>,
    swap: bool,
    name: &str,
) -> PyResult<Py<PyAny>> {
    let this = slf.as_any();
    let operands = if swap { (other, this) } else { (this, other) };
    Ok(slf.py().import("fastnn.ops")?.call_method1(name, operands)?.unbind())
}

thread_local! {
    /// What products of this thread may round their operands to, where they do not say it themselves.
    static PRECISION: Cell<DType> = const { Cell::new(DType::F32) };
}

/// What `a @ b` and `ops.matmul` of this thread may round their operands to, by name; with a name it
/// is set, and what it was before is given.
#[pyfunction]
#[pyo3(signature = (name=None))]
pub(crate) fn product_precision(name: Option<&str>) -> &'static str {
    let before = PRECISION.get();
    if let Some(name) = name {
        PRECISION.set(if name == "bfloat16" { DType::BF16 } else { DType::F32 });
    }
    before.name()
}

pub(crate) fn product(
    slf: &Bound<'_, PyTensor>,
    other: &Bound<'_, PyAny>,
    swap: bool,
) -> PyResult<Py<PyAny>> {
    let py = slf.py();
    let this = slf.get().0.clone();
    let Some(that) = enter(|| operand_or_list(other))? else { return Ok(py.NotImplemented()) };
    let (a, b) = (this.ty(), that.ty());
    if a.shape.rank().min(b.shape.rank()) < 2 || !(a.dtype.is_float() || b.dtype.is_float()) {
        return by_front(slf, other, swap, "matmul");
    }
    enter(|| {
        let inputs = if swap { smallvec![that, this] } else { smallvec![this, that] };
        let attrs = Attrs::new(&[Attr::Bool(false), Attr::Bool(false), Attr::DType(PRECISION.get())]);
        Ok(Bound::new(py, PyTensor::new(build(py, &matmul::MATMUL, inputs, attrs)?))?.into_any().unbind())
    })
}

/// A power: of whole numbers by whole numbers where both may be.
pub(crate) fn power(slf: &Bound<'_, PyTensor>, other: &Bound<'_, PyAny>, swap: bool) -> PyResult<Py<PyAny>> {
    if !slf.get().0.ty().dtype.is_float() && !other.is_exact_instance_of::<PyFloat>() {
        if enter(|| operand_or_list(other))?.is_none() {
            return Ok(slf.py().NotImplemented());
        }
        return by_front(slf, other, swap, "power");
    }
    binary(slf, other, &elementwise::POWER, swap)
}

pub(crate) fn unary(slf: &Bound<'_, PyTensor>, op: &'static OpDef) -> PyResult<PyTensor> {
    enter(|| Ok(PyTensor::new(build(slf.py(), op, smallvec![slf.get().0.clone()], Attrs::default())?)))
}

/// `&`, `|` and `^` are logical, so they take truth values only.
pub(crate) fn logical(
    slf: &Bound<'_, PyTensor>,
    other: &Bound<'_, PyAny>,
    op: &'static OpDef,
) -> PyResult<Py<PyAny>> {
    if slf.get().0.ty().dtype != DType::Bool {
        return Err(PyTypeError::new_err(format!(
            "&, | and ^ take bool tensors, got {}\n  hint: compare first: (a > 0) & (b > 0)",
            slf.get().0.ty().dtype.name()
        )));
    }
    binary(slf, other, op, false)
}
