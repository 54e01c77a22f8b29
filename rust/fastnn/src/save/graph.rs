//! The inference graph as JSON. Ops are named, attributes stand under the names of their rows.
//! Sizes are numbers, or `{"size": k}` for expression k of the list `sizes`, in which a name is a
//! symbol and `{"floordiv": [a, b]}` and its like are made of earlier expressions and numbers; a
//! term of `{"sum": [[3, 0, 1], ...]}` is a number times expressions. The body of a loop is an
//! attribute with types of its inputs, nodes and outputs of its own. Format 1 knew one symbol:
//! there null is the batch and `{"batch": k}` k times it. Reading looks every name up in the op
//! table and runs every shape rule again.

use super::json;
use super::safetensors::File;
use crate::dim::{Dim, Expr};
use crate::error::{Error, Result, visible};
use crate::function::{Function, Input};
use crate::graph::{Attr, AttrDef, AttrKind, Body, Class, Graph, INPUT, Id, OpDef, PART, SCALAR, Ty};
use crate::ops;
use crate::shape::{DType, MAX_RANK, Shape};
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::collections::HashMap;

const FORMAT: u64 = 2;
const MOST_NODES: usize = 200_000;
const MOST_INPUTS: usize = 4096;
const MOST_INTS: usize = 4096;
const MOST_SIZES: usize = 65_536;
/// Terms of a sum and factors of a term.
const MOST_TERMS: usize = 256;
const LONGEST_NAME: usize = 64;
/// Larger whole numbers only occur as open ends of slices.
const LARGEST: i64 = 1 << 31;

/// The graph of a function; `names` are the tensors of its slots past the inputs.
pub(super) fn to_json(function: &Function, names: &[String]) -> Result<String> {
    let graph = function.graph();
    let mut sizes = Sizes::default();
    let mut inputs = Vec::new();
    for i in function.inputs() {
        let shape = sizes.list(i.ty.shape.dims());
        inputs.push(json!({"name": i.name, "shape": shape, "dtype": i.ty.dtype.name()}));
    }
    let nodes = nodes_value(graph, &mut sizes)?;
    let outputs: Vec<u32> = graph.outputs.iter().map(|i| i.0).collect();
    let text = json!({
        "format": FORMAT,
        "sizes": sizes.entries,
        "inputs": inputs,
        "constants": names,
        "nodes": nodes,
        "outputs": outputs,
    });
    Ok(text.to_string())
}

fn nodes_value(graph: &Graph, sizes: &mut Sizes) -> Result<Vec<Value>> {
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        nodes.push(if node.op == &INPUT {
            json!({"op": "input", "slot": node.attrs[0].int()})
        } else if node.op == &SCALAR {
            json!({"op": "scalar", "value": float_value(node.attrs[0].float()), "dtype": node.ty.dtype.name()})
        } else if node.op.class == Class::Leaf {
            return Err(Error::Internal(format!("a function's graph holds the leaf '{}'", node.op.name)));
        } else {
            let attrs = node.op.attrs.iter().zip(&node.attrs);
            let attrs = attrs.map(|(def, attr)| Ok((def.name.to_string(), attr_value(attr, sizes)?)));
            let attrs = attrs.collect::<Result<Map<_, _>>>()?;
            let inputs: Vec<u32> = node.inputs.iter().map(|i| i.0).collect();
            json!({"op": node.op.name, "inputs": inputs, "attrs": attrs})
        });
    }
    Ok(nodes)
}

/// The body of a loop: types of its inputs, nodes, outputs.
fn body_value(graph: &Graph, sizes: &mut Sizes) -> Result<Value> {
    let mut inputs = Vec::with_capacity(graph.inputs.len());
    for &id in &graph.inputs {
        let ty = graph.ty(id);
        inputs.push(json!({"shape": sizes.list(ty.shape.dims()), "dtype": ty.dtype.name()}));
    }
    let nodes = nodes_value(graph, sizes)?;
    let outputs: Vec<u32> = graph.outputs.iter().map(|i| i.0).collect();
    Ok(json!({"inputs": inputs, "nodes": nodes, "outputs": outputs}))
}

/// The expressions of a file, each once.
#[derive(Default)]
struct Sizes {
    entries: Vec<Value>,
    places: HashMap<Dim, usize>,
}

impl Sizes {
    fn list(&mut self, dims: &[Dim]) -> Value {
        dims.iter().map(|&d| self.value(d)).collect()
    }

    fn value(&mut self, dim: Dim) -> Value {
        if let Some(number) = dim.known() {
            return number.into();
        }
        for (part, expr) in dim.made_of() {
            if !self.places.contains_key(&part) {
                let entry = self.entry(&expr);
                self.places.insert(part, self.entries.len());
                self.entries.push(entry);
            }
        }
        json!({"size": self.places[&dim]})
    }

    /// An expression whose parts have places.
    fn entry(&self, expr: &Expr) -> Value {
        let pair = |name: &str, a: &Dim, b: &Dim| {
            let side = |d: &Dim| d.known().map_or_else(|| json!({"size": self.places[d]}), Value::from);
            json!({name: [side(a), side(b)]})
        };
        match expr {
            Expr::Symbol(name) => (**name).into(),
            Expr::Sum(terms) => {
                let term = |t: &crate::dim::Term| {
                    let mut list = vec![Value::from(t.times)];
                    list.extend(t.factors.iter().map(|f| Value::from(self.places[f])));
                    Value::from(list)
                };
                json!({"sum": terms.iter().map(term).collect::<Vec<_>>()})
            }
            Expr::FloorDiv(a, b) => pair("floordiv", a, b),
            Expr::Max(a, b) => pair("max", a, b),
            Expr::Min(a, b) => pair("min", a, b),
            Expr::Broadcast(a, b) => pair("broadcast", a, b),
            Expr::Plus(a, b) => pair("plus", a, b),
            Expr::Times(a, b) => pair("times", a, b),
        }
    }
}

fn float_value(x: f64) -> Value {
    if x.is_finite() { x.into() } else { x.to_string().into() }
}

fn attr_value(attr: &Attr, sizes: &mut Sizes) -> Result<Value> {
    Ok(match attr {
        Attr::Int(i) => (*i).into(),
        Attr::Ints(v) => v.iter().copied().collect(),
        Attr::Size(d) => sizes.value(*d),
        Attr::Sizes(v) => sizes.list(v),
        Attr::Float(x) => float_value(*x),
        Attr::Bool(b) => (*b).into(),
        Attr::DType(d) => d.name().into(),
        Attr::Body(body) => body_value(&body.graph, sizes)?,
        Attr::None => "none".into(),
    })
}

fn wrong<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::Format(format!("the inference graph: {}", text.into())))
}

/// The graph, its inputs, and the tensors of its other slots.
pub(super) fn from_json(text: &str, file: &File) -> Result<(Graph, Vec<Input>, Vec<String>)> {
    let value = json::parse(text.as_bytes(), "inference graph")?;
    let mut reader = Reader { format: 1, sizes: vec![], nodes: Cell::new(0) };
    match value.get("format").and_then(Value::as_u64) {
        Some(1) => {}
        Some(FORMAT) => {
            reader.format = FORMAT;
            for entry in list(&value, "sizes", MOST_SIZES)? {
                let dim = reader.expression(entry)?;
                reader.sizes.push(dim);
            }
        }
        Some(n) => {
            return wrong(format!(
                "format {n} is newer than this library knows ({FORMAT})\n  hint: update fastnn"
            ));
        }
        None => return wrong("it has no format number"),
    }
    let mut inputs = Vec::new();
    for (at, input) in list(&value, "inputs", MOST_INPUTS)?.iter().enumerate() {
        let name = input.get("name").and_then(Value::as_str).unwrap_or_default().to_string();
        let Some(shape) = input.get("shape") else { return wrong(format!("input {at} has no shape")) };
        inputs.push(Input {
            name,
            ty: Ty { shape: reader.shape(shape)?, dtype: dtype_from(input.get("dtype"))? },
        });
    }
    let mut types: Vec<Ty> = inputs.iter().map(|i| i.ty).collect();
    let mut names = Vec::new();
    for name in list(&value, "constants", MOST_NODES)? {
        let name = name.as_str().unwrap_or_default();
        let Some((ty, _)) = file.tensors.get(name) else {
            return wrong(format!("there is no tensor '{}' in the file", visible(name)));
        };
        types.push(*ty);
        names.push(name.to_string());
    }
    let graph = reader.graph(&value, &types)?;
    Ok((graph, inputs, names))
}

fn list<'a>(value: &'a Value, key: &str, most: usize) -> Result<&'a [Value]> {
    match value.get(key).and_then(Value::as_array) {
        Some(list) if list.len() <= most => Ok(list),
        Some(list) => wrong(format!("it has {} {key}, at most {most} are allowed", list.len())),
        None => wrong(format!("it has no list of {key}")),
    }
}

fn node_id(value: &Value, before: usize) -> Result<Id> {
    match value.as_u64() {
        Some(id) if id < before as u64 => Ok(Id(id as u32)),
        _ => wrong(format!("{value} is not one of the {before} nodes before it")),
    }
}

/// Reads a graph of one format, with the expressions of its list of sizes.
struct Reader {
    format: u64,
    sizes: Vec<Dim>,
    /// Nodes read, bodies included.
    nodes: Cell<usize>,
}

impl Reader {
    /// Nodes and outputs of a graph with inputs of these types.
    fn graph(&self, value: &Value, types: &[Ty]) -> Result<Graph> {
        let mut graph = Graph::new();
        graph.inputs = vec![Id(u32::MAX); types.len()];
        for (at, node) in list(value, "nodes", MOST_NODES)?.iter().enumerate() {
            self.nodes.set(self.nodes.get() + 1);
            if self.nodes.get() > MOST_NODES {
                return wrong(format!("it has more than {MOST_NODES} nodes in all"));
            }
            self.add_node(&mut graph, node, at, types)?;
        }
        if let Some(slot) = graph.inputs.iter().position(|id| id.0 == u32::MAX) {
            return wrong(format!("slot {slot} has no node"));
        }
        for output in list(value, "outputs", MOST_INPUTS)? {
            let id = node_id(output, graph.nodes.len())?;
            graph.outputs.push(id);
        }
        if graph.outputs.is_empty() {
            return wrong("it has no outputs");
        }
        Ok(graph)
    }

    /// The body of a loop. The parser bounds how deep they stand in each other, `Body::new` tells.
    fn body(&self, value: &Value) -> Result<Graph> {
        let mut types = Vec::new();
        for input in list(value, "inputs", MOST_INPUTS)? {
            let Some(shape) = input.get("shape") else { return wrong("an input of a body has no shape") };
            types.push(Ty { shape: self.shape(shape)?, dtype: dtype_from(input.get("dtype"))? });
        }
        self.graph(value, &types)
    }

    fn add_node(&self, graph: &mut Graph, node: &Value, at: usize, types: &[Ty]) -> Result<()> {
        let name = node.get("op").and_then(Value::as_str).unwrap_or_default();
        match name {
            "input" => {
                let slot = node.get("slot").and_then(Value::as_u64).unwrap_or(u64::MAX) as usize;
                if graph.inputs.get(slot).is_none_or(|id| id.0 != u32::MAX) {
                    return wrong(format!("node {at} binds a slot that does not exist or is taken"));
                }
                let node = crate::graph::Node {
                    op: &INPUT,
                    inputs: vec![],
                    attrs: vec![Attr::Int(slot as i64)],
                    ty: types[slot],
                };
                graph.inputs[slot] = graph.push(node);
            }
            "scalar" => {
                let value = float_from(node.get("value").unwrap_or(&Value::Null), at)?;
                graph.typed_scalar(value, dtype_from(node.get("dtype"))?);
            }
            _ => {
                let found = if name == PART.name { Some(&PART) } else { ops::find(name) };
                let Some(op) = found else {
                    return wrong(format!(
                        "node {at} uses the op '{}', which this library does not know\n  hint: update fastnn",
                        visible(name)
                    ));
                };
                let mut inputs = Vec::new();
                for input in list(node, "inputs", MOST_INPUTS)? {
                    inputs.push(node_id(input, at)?);
                }
                let attrs = self.attrs_from(op, node.get("attrs"), at)?;
                let variadic = op.args.first().is_some_and(|a| a.starts_with('*'));
                if (!variadic && inputs.len() != op.args.len()) || (variadic && inputs.is_empty()) {
                    return wrong(format!("node {at} ({name}) has {} inputs", inputs.len()));
                }
                graph.try_add(op, &inputs, &attrs).or_else(|e| wrong(format!("node {at} ({name}): {e}")))?;
            }
        }
        Ok(())
    }

    fn attrs_from(&self, op: &OpDef, value: Option<&Value>, at: usize) -> Result<Vec<Attr>> {
        let none = Map::new();
        let map = value.and_then(Value::as_object).unwrap_or(&none);
        if let Some(key) = map.keys().find(|k| op.attrs.iter().all(|a| a.name != k.as_str())) {
            return wrong(format!("node {at} ({}) has the unknown attribute '{}'", op.name, visible(key)));
        }
        let one = |def: &AttrDef| match (map.get(def.name), &def.default) {
            (Some(value), _) => self.attr_from(def, value, at),
            (None, Some(default)) => Ok(default.clone()),
            (None, None) => wrong(format!("node {at} ({}) lacks the attribute '{}'", op.name, def.name)),
        };
        op.attrs.iter().map(one).collect()
    }

    fn attr_from(&self, def: &AttrDef, value: &Value, at: usize) -> Result<Attr> {
        let optional = matches!(def.kind, AttrKind::IntsOrNone | AttrKind::IntOrNone | AttrKind::SizeOrNone);
        if optional && value.as_str() == Some("none") {
            return Ok(Attr::None);
        }
        match def.kind {
            AttrKind::Int | AttrKind::IntOrNone => Ok(Attr::Int(self.int(value)?)),
            AttrKind::Size | AttrKind::SizeOrNone => Ok(Attr::Size(self.size(value)?)),
            AttrKind::Ints | AttrKind::IntsOrNone | AttrKind::Sizes => match value.as_array() {
                Some(items) if items.len() <= MOST_INTS => Ok(if def.kind == AttrKind::Sizes {
                    Attr::Sizes(items.iter().map(|v| self.size(v)).collect::<Result<_>>()?)
                } else {
                    Attr::Ints(items.iter().map(|v| self.int(v)).collect::<Result<_>>()?)
                }),
                _ => wrong(format!("node {at}: attribute '{}' is not a list of whole numbers", def.name)),
            },
            AttrKind::Float => Ok(Attr::Float(float_from(value, at)?)),
            AttrKind::Bool => match value.as_bool() {
                Some(flag) => Ok(Attr::Bool(flag)),
                None => wrong(format!("node {at}: attribute '{}' is not true or false", def.name)),
            },
            AttrKind::DType => Ok(Attr::DType(dtype_from(Some(value))?)),
            AttrKind::Body => match Body::new(self.body(value)?) {
                Ok(body) => Ok(Attr::Body(body)),
                Err(error) => wrong(format!("node {at}: {error}")),
            },
        }
    }

    fn int(&self, value: &Value) -> Result<i64> {
        match value.as_i64() {
            Some(i) if (-LARGEST..=LARGEST).contains(&i) || i == i64::MAX || i == i64::MIN => Ok(i),
            // Format 1 wrote the bounds of random integers as floats.
            None if self.format == 1
                && value.as_f64().is_some_and(|x| x.trunc() == x && x.abs() <= LARGEST as f64) =>
            {
                Ok(value.as_f64().unwrap_or_default() as i64)
            }
            _ => wrong(format!("{value} is not a whole number in range")),
        }
    }

    fn size(&self, value: &Value) -> Result<Dim> {
        let key = |name: &str| value.get(name).and_then(Value::as_u64);
        match (self.format, value.is_null(), key("batch"), key("size")) {
            (1, true, ..) => Ok(Dim::BATCH),
            (1, _, Some(k), _) if (1..=1 << 16).contains(&k) => Ok(Dim::BATCH * Dim::new(k as i64)),
            (FORMAT, _, _, Some(k)) => match usize::try_from(k).ok().and_then(|k| self.sizes.get(k)) {
                Some(&dim) => Ok(dim),
                None => wrong(format!("size {k} is not one of the {} before it", self.sizes.len())),
            },
            _ => self.int(value).map(Dim::new),
        }
    }

    /// An entry of the list of sizes.
    fn expression(&self, value: &Value) -> Result<Dim> {
        if let Some(name) = value.as_str() {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
            if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
                return wrong(format!("{value} is not the name of a size"));
            }
            return Ok(Dim::symbol(name));
        }
        let Some((kind, parts)) = value.as_object().filter(|m| m.len() == 1).and_then(|m| m.iter().next())
        else {
            return wrong(format!("{value} is not a size"));
        };
        let parts = match parts.as_array() {
            Some(parts) if parts.len() <= MOST_TERMS => parts,
            _ => return wrong(format!("{value} is not a size")),
        };
        if kind == "sum" {
            let mut sum = Dim::ZERO;
            for term in parts {
                let Some([times, factors @ ..]) = term.as_array().map(Vec::as_slice) else {
                    return wrong(format!("{term} is not a term"));
                };
                if factors.len() > MOST_TERMS {
                    return wrong(format!("a term has {} factors", factors.len()));
                }
                let mut product = Dim::new(self.int(times)?);
                for factor in factors {
                    product = product * self.size(&json!({"size": factor}))?;
                }
                sum = sum + product;
            }
            return Ok(sum);
        }
        let [a, b] = parts.as_slice() else { return wrong(format!("{value} is not a size")) };
        let (a, b) = (self.size(a)?, self.size(b)?);
        match kind.as_str() {
            "floordiv" if b != Dim::ZERO => Ok(a.floor_div(b)),
            "max" => Ok(a.max(b)),
            "min" => Ok(a.min(b)),
            "plus" => Ok(a + b),
            "times" => Ok(a * b),
            "broadcast" => match a.broadcast(b) {
                Some(size) => Ok(size),
                None => wrong(format!("the sizes {a} and {b} do not broadcast")),
            },
            _ => wrong(format!("{value} is not a size")),
        }
    }

    fn shape(&self, value: &Value) -> Result<Shape> {
        let Some(sizes) = value.as_array().filter(|s| s.len() <= MAX_RANK) else {
            return wrong(format!("{value} is not a shape"));
        };
        let mut dims = Vec::new();
        for size in sizes {
            match self.size(size)? {
                d if d.is_negative() => return wrong(format!("{size} is not a size")),
                d => dims.push(d),
            }
        }
        Shape::new(&dims).or_else(|e| wrong(e.to_string()))
    }
}

fn float_from(value: &Value, at: usize) -> Result<f64> {
    match (value.as_f64(), value.as_str()) {
        (Some(x), _) => Ok(x),
        (_, Some("inf")) => Ok(f64::INFINITY),
        (_, Some("-inf")) => Ok(f64::NEG_INFINITY),
        (_, Some("NaN")) => Ok(f64::NAN),
        _ => wrong(format!("node {at}: {value} is not a number")),
    }
}

fn dtype_from(value: Option<&Value>) -> Result<DType> {
    match value.and_then(Value::as_str).and_then(DType::named) {
        Some(dtype) => Ok(dtype),
        None => wrong(format!("{} is not an element type", value.unwrap_or(&Value::Null))),
    }
}
