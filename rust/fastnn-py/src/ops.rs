//! `ops`: one builtin function per row of the op table, made at import. Calls go through the
//! vectorcall protocol with no tuple, no dict and no string made on the way.

use crate::convert::{dtype_of, kind_of};
use crate::dim::{size_from, size_object};
use crate::error::{Fault, Result, data_error, enter};
use crate::operand::{operand, tensor_from};
use crate::operators::{build, build_all};
use crate::tensor::PyTensor;
use fastnn::dim::Dim;
use fastnn::graph::{Attr, AttrDef, AttrKind, OpDef, Vjp};
use fastnn::ops;
use fastnn::sync::Slot;
use fastnn::tensor::{Attrs, Operands};
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyString, PyTuple};
use smallvec::SmallVec;
use std::ffi::{CString, c_void};

/// A row with what calls need prepared.
struct Entry {
    op: &'static OpDef,
    /// Attributes when none is given; `None` when one is required.
    defaults: Option<Attrs>,
    variadic: bool,
}

fn entries() -> &'static [Entry] {
    static ENTRIES: Slot<Vec<Entry>> = Slot::new();
    ENTRIES.get_or_make(|| {
        let entry = |op: &'static OpDef| Entry {
            op,
            defaults: op
                .attrs
                .iter()
                .map(|a| a.default.clone())
                .collect::<Option<Vec<_>>>()
                .map(|v| Attrs::new(&v)),
            variadic: op.args.first().is_some_and(|a| a.starts_with('*')),
        };
        ops::OPS.iter().map(|op| entry(op)).collect()
    })
}

fn entry(name: &str) -> Result<&'static Entry> {
    match entries().iter().find(|e| e.op.name == name) {
        Some(entry) => Ok(entry),
        None => data_error(format!("there is no op '{name}'\n  hint: op_table() lists them")),
    }
}

/// A list is no number: to ask Python costs an exception.
fn is_list(value: &Bound<'_, PyAny>) -> bool {
    value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>()
}

/// Sizes for an attribute; `None` among them is the batch.
pub(crate) fn sizes_from(value: &Bound<'_, PyAny>, op: &str, name: &str) -> Result<Vec<Dim>> {
    if !is_list(value)
        && let Some(one) = size_from(value)
    {
        return Ok(vec![one]);
    }
    let wrong = |value: &Bound<'_, PyAny>| -> Fault {
        PyTypeError::new_err(format!(
            "{op}: {name} has a {}, wanted sizes\n  hint: whole numbers and sizes of tensors",
            kind_of(value)
        ))
        .into()
    };
    if value.is_instance_of::<PyString>() {
        return Err(wrong(value));
    }
    let mut sizes = Vec::new();
    for item in value.try_iter().map_err(|_| wrong(value))? {
        let item = item?;
        sizes.push(if item.is_none() { Dim::BATCH } else { size_from(&item).ok_or_else(|| wrong(&item))? });
    }
    Ok(sizes)
}

/// Integers for an attribute.
pub(crate) fn ints_from(value: &Bound<'_, PyAny>, op: &str, name: &str) -> Result<Vec<i64>> {
    if !is_list(value)
        && let Ok(one) = value.extract::<i64>()
    {
        return Ok(vec![one]);
    }
    let wrong = || {
        Fault::Python(PyTypeError::new_err(format!(
            "{op}: {name} is a {}, wanted integers\n  hint: a whole number, or a list of them",
            kind_of(value)
        )))
    };
    if value.is_instance_of::<PyString>() {
        return Err(wrong());
    }
    let mut ints = Vec::new();
    for item in value.try_iter().map_err(|_| wrong())? {
        let item = item?;
        ints.push(item.extract::<i64>().map_err(|_| wrong())?);
    }
    Ok(ints)
}

fn attr_from(value: &Bound<'_, PyAny>, def: &AttrDef, op: &str) -> Result<Attr> {
    let wrong = |wanted: &str| -> Fault {
        PyTypeError::new_err(format!(
            "{op}: {} is a {}, wanted {wanted}\n  hint: op_table() lists the arguments of every op",
            def.name,
            kind_of(value)
        ))
        .into()
    };
    Ok(match def.kind {
        AttrKind::IntsOrNone | AttrKind::IntOrNone | AttrKind::SizeOrNone if value.is_none() => Attr::None,
        AttrKind::Int | AttrKind::IntOrNone => Attr::Int(value.extract().map_err(|_| wrong("an integer"))?),
        AttrKind::Ints | AttrKind::IntsOrNone => Attr::Ints(ints_from(value, op, def.name)?),
        AttrKind::Size | AttrKind::SizeOrNone => {
            Attr::Size(size_from(value).ok_or_else(|| wrong("an integer"))?)
        }
        AttrKind::Sizes => Attr::Sizes(sizes_from(value, op, def.name)?),
        AttrKind::Float => Attr::Float(value.extract().map_err(|_| wrong("a number"))?),
        AttrKind::Bool => match value.cast::<PyBool>() {
            Ok(flag) => Attr::Bool(flag.is_true()),
            Err(_) => Attr::Bool(value.is_truthy().map_err(|_| wrong("True or False"))?),
        },
        AttrKind::DType => Attr::DType(dtype_of(value)?),
        AttrKind::Body => return Err(wrong("a traced body")),
    })
}

/// What a call has gathered so far.
struct Call {
    entry: &'static Entry,
    inputs: Operands,
    /// Given attributes, by position in the row.
    attrs: SmallVec<[Option<Attr>; 4]>,
}

impl Call {
    fn new(entry: &'static Entry) -> Call {
        Call { entry, inputs: Operands::new(), attrs: SmallVec::new() }
    }

    fn input(&mut self, value: &Bound<'_, PyAny>) -> Result<()> {
        let tensor = match operand(value)? {
            Some(tensor) => tensor,
            None => tensor_from(value, None, self.entry.op.name)?,
        };
        self.inputs.push(tensor);
        Ok(())
    }

    fn attr(&mut self, at: usize, value: &Bound<'_, PyAny>) -> Result<()> {
        let op = self.entry.op;
        if self.attrs.is_empty() {
            self.attrs.resize(op.attrs.len(), None);
        }
        if self.attrs[at].is_some() {
            return Err(PyTypeError::new_err(format!(
                "{} got `{}` twice\n  hint: by place or by name, not both",
                op.name, op.attrs[at].name
            ))
            .into());
        }
        self.attrs[at] = Some(attr_from(value, &op.attrs[at], op.name)?);
        Ok(())
    }

    fn positional(&mut self, at: usize, value: &Bound<'_, PyAny>) -> Result<()> {
        let op = self.entry.op;
        if self.entry.variadic {
            if at == 0 && is_list(value) {
                for item in value.try_iter()? {
                    self.input(&item?)?;
                }
                return Ok(());
            }
            return self.input(value);
        }
        if at < op.args.len() {
            return self.input(value);
        }
        let extra = at - op.args.len();
        if extra >= op.attrs.len() {
            let most = op.args.len() + op.attrs.len();
            return Err(PyTypeError::new_err(format!(
                "{} takes at most {most} arguments\n  hint: op_table() lists the arguments of every op",
                op.name
            ))
            .into());
        }
        self.attr(extra, value)
    }

    fn keyword(&mut self, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> Result<()> {
        let op = self.entry.op;
        let name = name.cast::<PyString>().map_err(PyErr::from)?.to_string_lossy();
        if let Some(at) = op.attrs.iter().position(|a| a.name == name) {
            return self.attr(at, value);
        }
        // Keras calls the two operands x1 and x2.
        let operand = match &*name {
            "x1" => "a",
            "x2" => "b",
            other => other,
        };
        if op.args.get(self.inputs.len()).is_some_and(|a| *a == operand) {
            return self.input(value);
        }
        let known: Vec<&str> = op.args.iter().copied().chain(op.attrs.iter().map(|a| a.name)).collect();
        let text =
            format!("{} got an unexpected argument `{name}`\n  hint: it takes {}", op.name, known.join(", "));
        Err(PyTypeError::new_err(text).into())
    }

    /// The op with everything it needs, checked for number.
    fn finish(mut self) -> Result<(&'static OpDef, Operands, Attrs)> {
        let Entry { op, defaults, variadic } = self.entry;
        if !variadic && self.inputs.len() != op.args.len() {
            let text = format!(
                "{} takes {} ({}), got {}",
                op.name,
                op.args.len(),
                op.args.join(", "),
                self.inputs.len()
            );
            return Err(PyTypeError::new_err(text).into());
        }
        if *variadic && self.inputs.is_empty() {
            return data_error(format!("{} got no tensors, wanted at least one", op.name));
        }
        let inputs = std::mem::take(&mut self.inputs);
        let attrs = match defaults {
            Some(defaults) if self.attrs.is_empty() => defaults.clone(),
            _ => Attrs::of(self.settled()?),
        };
        Ok((*op, inputs, attrs))
    }

    /// All attributes, given or by default.
    fn settled(self) -> Result<Vec<Attr>> {
        let op = self.entry.op;
        let mut given = self.attrs;
        given.resize(op.attrs.len(), None);
        let mut attrs = Vec::with_capacity(given.len());
        for (value, def) in given.into_iter().zip(op.attrs) {
            let Some(value) = value.or_else(|| def.default.clone()) else {
                return Err(PyTypeError::new_err(format!(
                    "{} needs `{}`\n  hint: op_table() lists the arguments of every op",
                    op.name, def.name
                ))
                .into());
            };
            attrs.push(value);
        }
        Ok(attrs)
    }
}

/// The body of every function in `ops`; `slf` is a capsule around the row's entry.
unsafe extern "C" fn call(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls us attached; the guard only tells PyO3 so.
    crate::interpreter::attach(|py| {
        let result = enter(|| {
            // SAFETY: `slf` is the capsule made in `function`, whose pointer is a static entry.
            let entry: &'static Entry = &*ffi::PyCapsule_GetPointer(slf, std::ptr::null()).cast();
            let mut call = Call::new(entry);
            let count = count as usize;
            let at = |i: usize| Borrowed::from_ptr(py, *args.add(i));
            for i in 0..count {
                call.positional(i, &at(i))?;
            }
            if let Some(names) = Bound::from_borrowed_ptr_or_opt(py, names) {
                let names = names.cast_into::<PyTuple>().map_err(PyErr::from)?;
                for (i, name) in names.iter().enumerate() {
                    call.keyword(&name, &at(count + i))?;
                }
            }
            let (op, inputs, attrs) = call.finish()?;
            if op.parts.is_empty() {
                return Ok(Bound::new(py, PyTensor::new(build(py, op, inputs, attrs)?))?.into_any());
            }
            let results = build_all(py, op, inputs, attrs)?.into_iter().map(PyTensor::new);
            Ok(PyTuple::new(py, results.collect::<Vec<_>>())?.into_any())
        });
        match result {
            Ok(tensor) => tensor.into_ptr(),
            Err(error) => {
                error.restore(py);
                std::ptr::null_mut()
            }
        }
    })
}

/// The builtin function of a row, with a signature that `inspect` reads.
fn function<'py>(
    py: Python<'py>,
    entry: &'static Entry,
    module: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let op = entry.op;
    let mut doc = format!("{}({}", op.name, op.args.join(", "));
    doc.push_str(if op.args.is_empty() || entry.variadic { "" } else { ", /" });
    if !op.attrs.is_empty() {
        doc.push_str(if entry.variadic {
            ", "
        } else if op.args.is_empty() {
            "*, "
        } else {
            ", *, "
        });
        let attrs = op.attrs.iter().map(|a| match &a.default {
            None => a.name.to_string(),
            Some(default) => format!("{}={}", a.name, python_literal(default)),
        });
        doc.push_str(&attrs.collect::<Vec<_>>().join(", "));
    }
    doc.push_str(&format!(")\n--\n\n{}", op.doc));
    // The definition must outlive the function; it is made once per process and row.
    let def = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: CString::new(op.name)?.into_raw(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: call },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: CString::new(doc)?.into_raw(),
    }));
    let pointer = std::ptr::from_ref(entry).cast_mut().cast::<c_void>();
    // SAFETY: the capsule holds a static pointer without a destructor; the definition is leaked;
    // both calls give a new reference or set an error.
    unsafe {
        let capsule = Bound::from_owned_ptr_or_err(py, ffi::PyCapsule_New(pointer, std::ptr::null(), None))?;
        Bound::from_owned_ptr_or_err(py, ffi::PyCFunction_NewEx(def, capsule.as_ptr(), module.as_ptr()))
    }
}

fn python_literal(attr: &Attr) -> String {
    match attr {
        Attr::None => "None".into(),
        Attr::Bool(true) => "True".into(),
        Attr::Bool(false) => "False".into(),
        Attr::Int(i) => i.to_string(),
        Attr::Float(x) if x.is_finite() => format!("{x:?}"),
        Attr::Float(_) => "None".into(),
        Attr::Size(d) => d.to_string(),
        Attr::Sizes(v) => format!("({})", v.iter().map(|i| format!("{i},")).collect::<Vec<_>>().join(" ")),
        Attr::Ints(v) => format!("({})", v.iter().map(|i| format!("{i},")).collect::<Vec<_>>().join(" ")),
        Attr::DType(d) => format!("'{}'", d.name()),
        Attr::Body(body) => format!("{body:?}"),
    }
}

fn python_value<'py>(py: Python<'py>, attr: &Attr) -> PyResult<Bound<'py, PyAny>> {
    Ok(match attr {
        Attr::None => py.None().into_bound(py),
        Attr::Bool(b) => b.into_pyobject(py)?.to_owned().into_any(),
        Attr::Int(i) => i.into_pyobject(py)?.into_any(),
        Attr::Float(x) => x.into_pyobject(py)?.into_any(),
        Attr::Ints(v) => PyTuple::new(py, v)?.into_any(),
        Attr::Size(d) => size_object(py, *d)?,
        Attr::Sizes(v) => {
            PyTuple::new(py, v.iter().map(|&d| size_object(py, d)).collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
        Attr::DType(d) => d.name().into_pyobject(py)?.into_any(),
        Attr::Body(body) => format!("{body:?}").into_pyobject(py)?.into_any(),
    })
}

/// A row by name, with attributes by name.
pub(crate) fn row(name: &str, given: &Bound<'_, PyDict>) -> Result<(&'static OpDef, Vec<Attr>)> {
    let mut call = Call::new(entry(name)?);
    for (name, value) in given {
        call.keyword(&name, &value)?;
    }
    let op = call.entry.op;
    Ok((op, call.settled()?))
}

/// Applies the op `name` to tensors, arrays or numbers, with attributes by name. Of an op with
/// several results, the first.
#[pyfunction]
#[pyo3(signature = (name, tensors, attrs=None))]
fn apply(name: &str, tensors: &Bound<'_, PyAny>, attrs: Option<&Bound<'_, PyDict>>) -> PyResult<PyTensor> {
    enter(|| {
        let mut call = Call::new(entry(name)?);
        for tensor in tensors.try_iter()? {
            call.input(&tensor?)?;
        }
        if let Some(attrs) = attrs {
            for (name, value) in attrs {
                call.keyword(&name, &value)?;
            }
        }
        let (op, inputs, attrs) = call.finish()?;
        Ok(PyTensor::new(build(tensors.py(), op, inputs, attrs)?))
    })
}

/// One row of the op table.
#[pyclass(frozen, name = "OpRow", module = "fastnn._core")]
struct OpRow(&'static OpDef);

#[pymethods]
impl OpRow {
    /// The op's name.
    #[getter]
    fn name(&self) -> &'static str {
        self.0.name
    }

    /// Names of the inputs; a single name that starts with `*` takes any number.
    #[getter]
    fn args(&self) -> Vec<&'static str> {
        self.0.args.to_vec()
    }

    /// `(name, kind, default)` of each attribute; a required one has the default `...`.
    #[getter]
    fn attrs<'py>(&self, py: Python<'py>) -> PyResult<Vec<(&'static str, String, Bound<'py, PyAny>)>> {
        let row = |a: &AttrDef| {
            let default = match &a.default {
                Some(default) => python_value(py, default)?,
                None => py.Ellipsis().into_bound(py),
            };
            Ok((a.name, format!("{:?}", a.kind), default))
        };
        self.0.attrs.iter().map(row).collect()
    }

    /// One sentence, formula, shapes.
    #[getter]
    fn doc(&self) -> &'static str {
        self.0.doc
    }

    /// What fusion asks: 'Elementwise', 'Reduce', 'View', …
    #[getter]
    fn klass(&self) -> String {
        format!("{:?}", self.0.class)
    }

    /// Which input types it takes: 'Float', 'Common', 'Number', 'Truth' or 'Exact'.
    #[getter]
    fn accept(&self) -> String {
        format!("{:?}", self.0.accept)
    }

    /// The same as a NumPy expression in the input and attribute names.
    #[getter]
    fn formula(&self) -> &'static str {
        self.0.formula
    }

    /// `(name, formula)` of each result besides the value; a call of such a row gives a tuple.
    #[getter]
    fn parts(&self) -> Vec<(&'static str, &'static str)> {
        self.0.parts.iter().map(|part| (part.name, part.formula)).collect()
    }

    /// The sample range of each input.
    #[getter]
    fn domain(&self) -> Vec<(f32, f32)> {
        self.0.domain.to_vec()
    }

    /// True when second derivatives are smooth inside the domain.
    #[getter]
    fn smooth(&self) -> bool {
        self.0.smooth
    }

    /// False when the derivative is zero everywhere.
    #[getter]
    fn differentiable(&self) -> bool {
        !matches!(self.0.vjp, Vjp::Zero)
    }

    fn __repr__(&self) -> String {
        format!("<OpRow '{}'>", self.0.name)
    }
}

/// The op table, one row per op.
///
/// Returns:
///     A list of rows; each has `name`, `args`, `attrs`, `doc` and more as attributes.
///
/// Example:
///     >>> rows = {row.name: row for row in fastnn.op_table()}
///     >>> rows["add"].args
///     ['a', 'b']
#[pyfunction]
fn op_table() -> Vec<OpRow> {
    ops::OPS.iter().map(|op| OpRow(op)).collect()
}

/// Adds `ops`, `apply` and `op_table` to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let namespace = PyModule::new(py, "fastnn._core.ops")?;
    namespace.setattr(
        "__doc__",
        "One function per op: tensors, arrays or numbers first, then attributes by name.",
    )?;
    let name = "fastnn._core.ops".into_pyobject(py)?.into_any();
    for entry in entries() {
        namespace.add(entry.op.name, function(py, entry, &name)?)?;
    }
    module.add("ops", namespace)?;
    module.add_class::<OpRow>()?;
    module.add_function(wrap_pyfunction!(apply, module)?)?;
    module.add_function(wrap_pyfunction!(op_table, module)?)
}
