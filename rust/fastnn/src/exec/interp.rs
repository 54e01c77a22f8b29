//! F6. The oracle: a graph run node by node through the f64 reference of each row, composites
//! included, so that lowering, fusion, planning and kernels are all checked against it. Slow on
//! purpose; nothing but tests and constant folding calls it.

use crate::error::{Error, Result};
use crate::graph::{Graph, Host, Id, Node, part_type};
use crate::kernels::stored;
use crate::ops::scan::Scan;
use crate::shape::DType;
use std::collections::HashMap;

/// Outputs in order, and the new value of each updated slot.
pub type Results = (Vec<Host>, Vec<(usize, Host)>);

/// Runs `graph` in f64; `inputs[slot]` is the value of each input slot. Errors when an input does
/// not have the type its slot declares.
pub fn run(graph: &Graph, inputs: &[Host]) -> Result<Results> {
    evaluate(graph, inputs, false)
}

/// As [`run`], with every float rounded to f32 after each node: what a perfect f32 kernel gives.
pub fn run_rounded(graph: &Graph, inputs: &[Host]) -> Result<Results> {
    evaluate(graph, inputs, true)
}

fn evaluate(graph: &Graph, inputs: &[Host], round: bool) -> Result<Results> {
    graph.check()?;
    // All results of a loop are computed together.
    let mut loops: HashMap<Id, Vec<Host>> = HashMap::new();
    let mut values: Vec<Host> = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        let mut value = match node.op.name {
            "input" => input(node, inputs)?,
            "scalar" => Host { ty: node.ty, data: vec![node.attrs[0].float()] },
            "data" => constant(graph, node),
            "scan" => {
                let operands: Vec<Host> = node.inputs.iter().map(|i| values[i.at()].clone()).collect();
                let results = rounds(graph, Id(i as u32), operands, round)?;
                let value = results[0].clone();
                loops.insert(Id(i as u32), results);
                value
            }
            "part" if loops.contains_key(&node.inputs[0]) => {
                loops[&node.inputs[0]][node.attrs[0].int() as usize].clone()
            }
            _ => {
                let (reference, of) = graph.oracle(Id(i as u32))?;
                let operands: Vec<Host> = of.inputs.iter().map(|i| values[i.at()].clone()).collect();
                reference(&operands, &of.attrs, node.ty)
            }
        };
        if value.ty != node.ty || value.data.len() != node.ty.shape.count() {
            return Err(Error::Internal(format!(
                "the reference of {} gave {}, its rule says {}",
                node.op.name, value.ty, node.ty
            )));
        }
        if round && node.ty.dtype == DType::F32 {
            value.data.iter_mut().for_each(|v| *v = f64::from(*v as f32));
        }
        values.push(value);
    }
    let outputs = graph.outputs.iter().map(|o| values[o.at()].clone()).collect();
    let updates = graph.updates.iter().map(|&(slot, v)| (slot, values[v.at()].clone())).collect();
    Ok((outputs, updates))
}

/// The results of a scan, round after round.
fn rounds(graph: &Graph, id: Id, operands: Vec<Host>, round: bool) -> Result<Vec<Host>> {
    let node = graph.node(id);
    let Some(scan) = Scan::of(node) else { return Err(Error::Internal("no scan".into())) };
    let types = graph.types(&node.inputs);
    let results = 0..scan.body.outputs.len();
    let mut results: Vec<Host> = results
        .map(|k| {
            let ty = if k == 0 { node.ty } else { part_type(node.op, k as i64, &types, &node.attrs)? };
            Ok(Host { ty, data: vec![0.0; ty.shape.count()] })
        })
        .collect::<Result<_>>()?;
    let mut given = operands.clone();
    let length = scan.length.known().unwrap_or(0) as usize;
    for step in 0..length {
        let at = if scan.reverse { length - 1 - step } else { step };
        for k in scan.carries..scan.carries + scan.slices {
            let ty = scan.body.ty(scan.body.inputs[k]);
            let n = ty.shape.count();
            given[k] = Host { ty, data: operands[k].data[at * n..(at + 1) * n].to_vec() };
        }
        let (outputs, _) = evaluate(scan.body, &given, round)?;
        for (k, output) in outputs.into_iter().enumerate() {
            if k < scan.carries {
                given[k] = output;
            } else {
                let n = output.data.len();
                results[k].data[at * n..(at + 1) * n].copy_from_slice(&output.data);
            }
        }
    }
    given.truncate(scan.carries);
    results.splice(..scan.carries, given);
    Ok(results)
}

fn input(node: &Node, inputs: &[Host]) -> Result<Host> {
    let slot = node.attrs[0].int() as usize;
    match inputs.get(slot) {
        Some(value) if value.ty == node.ty => Ok(value.clone()),
        Some(value) => crate::shape_err!(
            "input {slot} is {}, the graph was built for {}\n  hint: replay the graph for those sizes",
            value.ty,
            node.ty
        ),
        None => crate::data_err!(
            "input {slot} is missing, got {} inputs\n  hint: give one array per input, in order",
            inputs.len()
        ),
    }
}

fn constant(graph: &Graph, node: &Node) -> Host {
    let buffer = &graph.data[node.attrs[0].int() as usize];
    let data = match node.ty.dtype {
        DType::I32 => buffer.as_slice::<i32>().iter().map(|&v| f64::from(v)).collect(),
        DType::F32 | DType::Bool => buffer.as_slice::<f32>().iter().map(|&v| f64::from(v)).collect(),
        dtype => {
            let elements = buffer.as_slice::<u8>().chunks_exact(dtype.size());
            elements.map(|bytes| stored::decode(bytes, dtype)).collect()
        }
    };
    Host { ty: node.ty, data }
}
