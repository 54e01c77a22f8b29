//! F6. The oracle: a graph run node by node through the f64 reference of each row, composites
//! included, so that lowering, fusion, planning and kernels are all checked against it. Slow on
//! purpose; nothing but tests and constant folding calls it.

use crate::error::{Error, Result};
use crate::graph::{Graph, Host, Id, Node};
use crate::shape::DType;

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
    let mut values: Vec<Host> = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        let mut value = match node.op.name {
            "input" => input(node, inputs)?,
            "scalar" => Host { ty: node.ty, data: vec![node.attrs[0].float()] },
            "data" => constant(graph, node),
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

fn input(node: &Node, inputs: &[Host]) -> Result<Host> {
    let slot = node.attrs[0].int() as usize;
    match inputs.get(slot) {
        Some(value) if value.ty == node.ty => Ok(value.clone()),
        Some(value) => crate::shape_err!(
            "input {slot} is {}, the graph was built for {}; hint: replay the graph for those sizes",
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
    };
    Host { ty: node.ty, data }
}
