//! The inference graph as JSON. Ops are named, attributes stand under the names of their rows,
//! sizes of the symbolic batch are null (`{"batch": k}` for k times the batch). Reading looks every
//! name up in the op table and runs every shape rule again.

use super::json;
use super::safetensors::File;
use crate::error::{Error, Result};
use crate::function::{Function, Input};
use crate::graph::{Attr, AttrDef, AttrKind, Class, Graph, INPUT, Id, OpDef, PART, SCALAR, Ty};
use crate::ops;
use crate::shape::{BATCH, DType, MAX_RANK, Shape, is_symbolic};
use serde_json::{Map, Value, json};

const FORMAT: u64 = 1;
const MOST_NODES: usize = 200_000;
const MOST_INPUTS: usize = 4096;
const MOST_INTS: usize = 4096;
/// Larger whole numbers only occur as open ends of slices.
const LARGEST: i64 = 1 << 31;

/// The graph of a function; `names` are the tensors of its slots past the inputs.
pub(super) fn to_json(function: &Function, names: &[String]) -> Result<String> {
    let graph = function.graph();
    let inputs: Vec<Value> = function
        .inputs()
        .iter()
        .map(|i| json!({"name": i.name, "shape": shape_value(&i.ty.shape), "dtype": i.ty.dtype.name()}))
        .collect();
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        nodes.push(if node.op == &INPUT {
            json!({"op": "input", "slot": node.attrs[0].int()})
        } else if node.op == &SCALAR {
            json!({"op": "scalar", "value": float_value(node.attrs[0].float()), "dtype": node.ty.dtype.name()})
        } else if node.op.class == Class::Leaf {
            return Err(Error::Internal(format!("a function's graph holds the leaf '{}'", node.op.name)));
        } else {
            let attrs = node.op.attrs.iter().zip(&node.attrs).map(|(def, attr)| (def.name.to_string(), attr_value(attr)));
            let inputs: Vec<u32> = node.inputs.iter().map(|i| i.0).collect();
            json!({"op": node.op.name, "inputs": inputs, "attrs": attrs.collect::<Map<_, _>>()})
        });
    }
    let outputs: Vec<u32> = graph.outputs.iter().map(|i| i.0).collect();
    let text =
        json!({"format": FORMAT, "inputs": inputs, "constants": names, "nodes": nodes, "outputs": outputs});
    Ok(text.to_string())
}

fn shape_value(shape: &Shape) -> Value {
    shape.dims().iter().map(|&d| size_value(d as i64)).collect()
}

fn size_value(size: i64) -> Value {
    match size {
        s if s > 0 && s == BATCH as i64 => Value::Null,
        s if s > 0 && is_symbolic(s as usize) => json!({"batch": s / BATCH as i64}),
        s => s.into(),
    }
}

fn float_value(x: f64) -> Value {
    if x.is_finite() { x.into() } else { x.to_string().into() }
}

fn attr_value(attr: &Attr) -> Value {
    match attr {
        Attr::Int(i) => size_value(*i),
        Attr::Ints(v) => v.iter().map(|&i| size_value(i)).collect(),
        Attr::Float(x) => float_value(*x),
        Attr::Bool(b) => (*b).into(),
        Attr::DType(d) => d.name().into(),
        Attr::None => "none".into(),
    }
}

fn wrong<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::Format(format!("the inference graph: {}", text.into())))
}

/// The graph, its inputs, and the tensors of its other slots.
pub(super) fn from_json(text: &str, file: &File) -> Result<(Graph, Vec<Input>, Vec<String>)> {
    let value = json::parse(text.as_bytes(), "inference graph")?;
    match value.get("format").and_then(Value::as_u64) {
        Some(FORMAT) => {}
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
            ty: Ty { shape: shape_from(shape)?, dtype: dtype_from(input.get("dtype"))? },
        });
    }
    let mut types: Vec<Ty> = inputs.iter().map(|i| i.ty).collect();
    let mut names = Vec::new();
    for name in list(&value, "constants", MOST_NODES)? {
        let name = name.as_str().unwrap_or_default();
        let Some((ty, _)) = file.tensors.get(name) else {
            return wrong(format!("there is no tensor '{name}' in the file"));
        };
        types.push(*ty);
        names.push(name.to_string());
    }
    let mut graph = Graph::new();
    graph.inputs = vec![Id(u32::MAX); types.len()];
    for (at, node) in list(&value, "nodes", MOST_NODES)?.iter().enumerate() {
        add_node(&mut graph, node, at, &types)?;
    }
    if let Some(slot) = graph.inputs.iter().position(|id| id.0 == u32::MAX) {
        return wrong(format!("slot {slot} has no node"));
    }
    for output in list(&value, "outputs", MOST_INPUTS)? {
        let id = node_id(output, graph.nodes.len())?;
        graph.outputs.push(id);
    }
    if graph.outputs.is_empty() {
        return wrong("it has no outputs");
    }
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

fn add_node(graph: &mut Graph, node: &Value, at: usize, types: &[Ty]) -> Result<()> {
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
                    "node {at} uses the op '{name}', which this library does not know\n  hint: update fastnn"
                ));
            };
            let mut inputs = Vec::new();
            for input in list(node, "inputs", MOST_INPUTS)? {
                inputs.push(node_id(input, at)?);
            }
            let attrs = attrs_from(op, node.get("attrs"), at)?;
            let variadic = op.args.first().is_some_and(|a| a.starts_with('*'));
            if (!variadic && inputs.len() != op.args.len()) || (variadic && inputs.is_empty()) {
                return wrong(format!("node {at} ({name}) has {} inputs", inputs.len()));
            }
            graph.try_add(op, &inputs, &attrs).or_else(|e| wrong(format!("node {at} ({name}): {e}")))?;
        }
    }
    Ok(())
}

fn attrs_from(op: &OpDef, value: Option<&Value>, at: usize) -> Result<Vec<Attr>> {
    let none = Map::new();
    let map = value.and_then(Value::as_object).unwrap_or(&none);
    if let Some(key) = map.keys().find(|k| op.attrs.iter().all(|a| a.name != k.as_str())) {
        return wrong(format!("node {at} ({}) has the unknown attribute '{key}'", op.name));
    }
    let one = |def: &AttrDef| match (map.get(def.name), &def.default) {
        (Some(value), _) => attr_from(def, value, at),
        (None, Some(default)) => Ok(default.clone()),
        (None, None) => wrong(format!("node {at} ({}) lacks the attribute '{}'", op.name, def.name)),
    };
    op.attrs.iter().map(one).collect()
}

fn attr_from(def: &AttrDef, value: &Value, at: usize) -> Result<Attr> {
    let optional = matches!(def.kind, AttrKind::IntsOrNone | AttrKind::IntOrNone);
    if optional && value.as_str() == Some("none") {
        return Ok(Attr::None);
    }
    match def.kind {
        AttrKind::Int | AttrKind::IntOrNone => Ok(Attr::Int(size_from(value)?)),
        AttrKind::Ints | AttrKind::IntsOrNone => match value.as_array() {
            Some(items) if items.len() <= MOST_INTS => {
                Ok(Attr::Ints(items.iter().map(size_from).collect::<Result<_>>()?))
            }
            _ => wrong(format!("node {at}: attribute '{}' is not a list of whole numbers", def.name)),
        },
        AttrKind::Float => Ok(Attr::Float(float_from(value, at)?)),
        AttrKind::Bool => match value.as_bool() {
            Some(flag) => Ok(Attr::Bool(flag)),
            None => wrong(format!("node {at}: attribute '{}' is not true or false", def.name)),
        },
        AttrKind::DType => Ok(Attr::DType(dtype_from(Some(value))?)),
    }
}

fn size_from(value: &Value) -> Result<i64> {
    if value.is_null() {
        return Ok(BATCH as i64);
    }
    let times = value.get("batch").and_then(Value::as_i64);
    match (times, value.as_i64()) {
        (Some(k), _) if (1..=1 << 16).contains(&k) => Ok(k * BATCH as i64),
        (None, Some(i)) if (-LARGEST..=LARGEST).contains(&i) || i == i64::MAX || i == i64::MIN => Ok(i),
        _ => wrong(format!("{value} is not a whole number in range")),
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
    match value.and_then(Value::as_str) {
        Some("float32") => Ok(DType::F32),
        Some("int32") => Ok(DType::I32),
        Some("bool") => Ok(DType::Bool),
        _ => wrong(format!("{} is not an element type", value.unwrap_or(&Value::Null))),
    }
}

fn shape_from(value: &Value) -> Result<Shape> {
    let Some(sizes) = value.as_array().filter(|s| s.len() <= MAX_RANK) else {
        return wrong(format!("{value} is not a shape"));
    };
    let mut dims = Vec::new();
    for size in sizes {
        match usize::try_from(size_from(size)?) {
            Ok(d) => dims.push(d),
            Err(_) => return wrong(format!("{size} is not a size")),
        }
    }
    Shape::new(&dims).or_else(|e| wrong(e.to_string()))
}
