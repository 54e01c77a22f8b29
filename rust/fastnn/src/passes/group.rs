//! F5. What a fused group computes, in a form that every back end can read: operands in memory and
//! how an iteration reads them ([`Access`]), then one [`Line`] per elementwise node. A back end turns
//! lines into its own instructions or text; nothing here knows which.

use super::fuse::{Fusion, Origin};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Kind, OpDef, SCALAR, Strided};
use crate::shape::{DType, Shape};
use std::collections::HashMap;

pub use crate::kernels::tile::Access;

/// Where an operand of a group comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Port {
    /// The memory of a node (a root: views and strides are resolved into offset and access).
    Memory {
        /// Whose memory.
        of: Id,
        /// Elements from its start to the first one read.
        offset: isize,
        /// Where element `i` of the iteration lies from there.
        access: Access,
    },
    /// The block that the group's head just finished, at the same element.
    Head,
    /// A number known now.
    Constant {
        /// Its value.
        value: f64,
        /// Its type.
        dtype: DType,
    },
}

/// What a line reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// This port.
    Port(usize),
    /// The result of an earlier line.
    Value(Id),
}

/// One elementwise node of a group.
#[derive(Debug, Clone)]
pub struct Line {
    /// The node.
    pub id: Id,
    /// Its row.
    pub op: &'static OpDef,
    /// Its operands in order.
    pub args: Vec<Operand>,
    /// True when the operands that decide the kernel are whole numbers.
    pub whole: bool,
}

/// A group as a straight-line program.
#[derive(Debug, Clone)]
pub struct Lines {
    /// The iteration space.
    pub over: Shape,
    /// Operands from outside.
    pub ports: Vec<Port>,
    /// The nodes in an order that can run.
    pub lines: Vec<Line>,
}

/// The program of `nodes` over the space `over`. `head` arrives as a finished block.
pub fn lines(graph: &Graph, fusion: &Fusion, over: Shape, nodes: &[Id], head: Option<Id>) -> Result<Lines> {
    let mut out = Lines { over, ports: vec![], lines: vec![] };
    let mut known: HashMap<Id, Operand> = HashMap::new();
    if let Some(head) = head {
        out.ports.push(Port::Head);
        known.insert(head, Operand::Port(0));
    }
    for &id in nodes {
        let node = graph.node(id);
        let (Kind::Map, Some(&first)) = (node.op.kind, node.inputs.first()) else {
            return Err(Error::Internal(format!("'{}' in a group is not elementwise", node.op.name)));
        };
        let whole = graph.ty(first).dtype.computing() == DType::I32;
        let mut args = Vec::with_capacity(node.inputs.len());
        for &input in &node.inputs {
            args.push(*known.entry(input).or_insert_with(|| {
                out.ports.push(port(graph, fusion, &over, input));
                Operand::Port(out.ports.len() - 1)
            }));
        }
        known.insert(id, Operand::Value(id));
        out.lines.push(Line { id, op: node.op, args, whole });
    }
    Ok(out)
}

/// How a group over `over` reads a value from outside.
fn port(graph: &Graph, fusion: &Fusion, over: &Shape, id: Id) -> Port {
    let (from, strided) = match &fusion.origin[id.at()] {
        Origin::Chosen(of, strided) => (*of, Some(strided)),
        _ => (id, None),
    };
    let of = fusion.root(from);
    let leaf = graph.node(of);
    if leaf.op == &SCALAR {
        return Port::Constant { value: leaf.attrs[0].float(), dtype: leaf.ty.dtype };
    }
    let offset = strided.map_or(0, |s| s.offset);
    Port::Memory { of, offset, access: access(&graph.shape(id), strided, over) }
}

/// How a value of `shape` (through `strided`, if any) is read by an iteration over `over`.
fn access(shape: &Shape, strided: Option<&Strided>, over: &Shape) -> Access {
    if over.count() <= 1 {
        return Access::Contiguous;
    }
    let (own, own_sizes) = (shape.strides(), shape.sizes());
    let pad = over.rank() - shape.rank();
    let mut dims: Vec<usize> = vec![];
    let mut strides: Vec<isize> = vec![];
    for (i, &size) in over.sizes().iter().enumerate() {
        if size == 1 {
            continue;
        }
        let stride = match strided {
            _ if i < pad || own_sizes[i - pad] == 1 => 0,
            Some(s) => s.strides[i - pad],
            None => own[i - pad] as isize,
        };
        match strides.last() {
            Some(&outer) if outer == stride * size as isize => {
                *dims.last_mut().unwrap_or(&mut 1) *= size;
                *strides.last_mut().unwrap_or(&mut 0) = stride;
            }
            _ => {
                dims.push(size);
                strides.push(stride);
            }
        }
    }
    match (dims.as_slice(), strides.as_slice()) {
        (_, [0]) => Access::Splat,
        (_, [1]) => Access::Contiguous,
        (&[_, period], [0, 1]) => Access::Cycle(period),
        (&[_, run], [1, 0]) => Access::Hold(run),
        _ => Access::Strided { dims, strides },
    }
}
