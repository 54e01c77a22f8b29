//! `tensor[key]`: integers, slices, `None`, `...` and integer arrays as ops, so that indexing can
//! be traced; other keys of NumPy's on tensors with values go through NumPy.

use crate::dim::size_from;
use crate::error::{Result, data_error};
use crate::export::to_numpy;
use crate::numpy::numpy;
use crate::operand::{operand, tensor_from};
use crate::operators::build;
use crate::tensor::PyTensor;
use fastnn::dim::Dim;
use fastnn::graph::Attr;
use fastnn::ops::{self, movement};
use fastnn::shape::DType;
use fastnn::tensor::{Attrs, Tensor};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyEllipsis, PySlice, PyTuple};
use smallvec::smallvec;

/// To the border.
const ALL: Dim = Dim::new(i64::MAX);

/// Row `i` of the first axis, without checks.
pub(crate) fn row(py: Python<'_>, x: &Tensor, i: i64) -> Result<Tensor> {
    let rank = x.ty().shape.rank();
    let mut plan = Plan::default();
    plan.take(Dim::new(i));
    for _ in 1..rank {
        plan.keep();
    }
    plan.run(py, x)
}

/// A strided box per axis, the axes to drop and the axes to add.
#[derive(Default)]
struct Plan {
    begin: Vec<Dim>,
    end: Vec<Dim>,
    step: Vec<i64>,
    drop: Vec<i64>,
    /// Positions of new axes in the result.
    new: Vec<i64>,
    /// Axes of the result so far.
    out: i64,
    cuts: bool,
}

impl Plan {
    fn take(&mut self, i: Dim) {
        self.drop.push(self.begin.len() as i64);
        self.box_of(i, if i == Dim::new(-1) { ALL } else { i + Dim::ONE }, 1);
    }

    fn keep(&mut self) {
        self.begin.push(Dim::ZERO);
        self.end.push(ALL);
        self.step.push(1);
        self.out += 1;
    }

    fn cut(&mut self, begin: Dim, end: Dim, step: i64) {
        self.box_of(begin, end, step);
        self.out += 1;
    }

    fn add_axis(&mut self) {
        self.new.push(self.out);
        self.out += 1;
    }

    fn box_of(&mut self, begin: Dim, end: Dim, step: i64) {
        self.begin.push(begin);
        self.end.push(end);
        self.step.push(step);
        self.cuts = true;
    }

    fn run(self, py: Python<'_>, x: &Tensor) -> Result<Tensor> {
        let mut y = x.clone();
        if self.cuts {
            let attrs = Attrs::new(&[Attr::Sizes(self.begin), Attr::Sizes(self.end), Attr::Ints(self.step)]);
            y = build(py, &movement::SLICE, smallvec![y], attrs)?;
        }
        if !self.drop.is_empty() {
            y = build(py, &movement::SQUEEZE, smallvec![y], Attrs::new(&[Attr::Ints(self.drop)]))?;
        }
        if !self.new.is_empty() {
            y = build(py, &movement::EXPAND_DIMS, smallvec![y], Attrs::new(&[Attr::Ints(self.new)]))?;
        }
        Ok(y)
    }
}

/// `tensor[key]`.
pub(crate) fn get(slf: &Bound<'_, PyTensor>, key: &Bound<'_, PyAny>) -> Result<Tensor> {
    let py = slf.py();
    let x = &slf.get().0;
    let keys: Vec<Bound<'_, PyAny>> = match key.cast::<PyTuple>() {
        Ok(tuple) => tuple.iter().collect(),
        Err(_) => vec![key.clone()],
    };
    if let Some(plan) = basic(x, &keys)? {
        return plan.run(py, x);
    }
    if keys.len() == 1
        && let Some(rows) = operand(&keys[0])?
        && rows.ty().dtype == DType::I32
        && let Some(take) = ops::find("take")
    {
        return build(py, take, smallvec![x.clone(), rows], Attrs::new(&[Attr::Int(0)]));
    }
    if x.is_traced() {
        return data_error(
            "a traced tensor can be indexed by integers, slices, None, ... and one integer array\n  \
             hint: use fastnn.ops.where for masks and fastnn.ops.take for positions",
        );
    }
    let key = PyTuple::new(py, keys.iter().map(array_key).collect::<Result<Vec<_>>>()?)?;
    let picked = to_numpy(slf)?.get_item(key)?;
    tensor_from(&numpy(py)?.asarray.bind(py).call1((picked,))?, Some(x.ty().dtype), "the result")
}

/// A tensor inside a key as an array.
fn array_key<'py>(key: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
    match key.cast_exact::<PyTensor>() {
        Ok(tensor) => to_numpy(tensor),
        Err(_) => Ok(key.clone()),
    }
}

/// The plan of a key of integers, slices, `None` and `...`; `None` when there is anything else.
fn basic(x: &Tensor, keys: &[Bound<'_, PyAny>]) -> Result<Option<Plan>> {
    let shape = x.ty().shape;
    let dims = shape.dims();
    let eats = |k: &Bound<'_, PyAny>| !k.is_none() && !k.is_instance_of::<PyEllipsis>();
    let eaten = keys.iter().filter(|k| eats(k)).count();
    let mut plan = Plan::default();
    for key in keys {
        let axis = plan.begin.len();
        if key.is_none() {
            plan.add_axis();
        } else if key.is_instance_of::<PyEllipsis>() {
            for _ in eaten..dims.len() {
                plan.keep();
            }
        } else if let Ok(slice) = key.cast::<PySlice>() {
            let part = |name: &str| -> Result<Option<Dim>> {
                let value = slice.getattr(name)?;
                match size_from(&value) {
                    _ if value.is_none() => Ok(None),
                    // Python says what an index may be.
                    None => Ok(Some(Dim::new(value.extract()?))),
                    size => Ok(size),
                }
            };
            let step = slice.getattr("step")?.extract::<Option<i64>>()?.unwrap_or(1);
            let (first, last) = if step < 0 { (ALL, Dim::new(i64::MIN)) } else { (Dim::ZERO, ALL) };
            let (begin, end) = (part("start")?, part("stop")?);
            if (begin, end, step) == (None, None, 1) {
                plan.keep();
            } else {
                plan.cut(begin.unwrap_or(first), end.unwrap_or(last), step);
            }
        } else if !key.is_instance_of::<PyBool>()
            && let Some(i) = size_from(key)
        {
            if let Some(&d) = dims.get(axis)
                && let (Some(n), Some(at)) = (d.known(), i.known())
                && (at >= n || at < -n)
            {
                let text = format!("index {i} is out of range for axis {axis} of shape {shape}");
                return Err(PyIndexError::new_err(text).into());
            }
            plan.take(i);
        } else {
            return Ok(None);
        }
    }
    if plan.begin.len() > dims.len() {
        return Err(PyIndexError::new_err(format!(
            "{} indices for a tensor of shape {shape}\n  hint: at most one index per axis",
            plan.begin.len()
        ))
        .into());
    }
    while plan.begin.len() < dims.len() {
        plan.keep();
    }
    Ok(Some(plan))
}
