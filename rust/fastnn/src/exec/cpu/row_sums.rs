//! Rows of the CPU alone: what is added to the rows of a table, made block by block, so that what
//! follows it element by element (an optimiser's step of an embedding) is done while a block is hot
//! and the table of sums never reaches memory. Terms of an element are added in the order of the
//! indices, as `take_grad` adds them.

use crate::error::Result;
use crate::graph::{Accept, Attr, Class, Graph, Host, Id, Kind, Node, OpDef, StepCtx, Ty};
use crate::kernels::gather::row_order;
use crate::ops::index::{TAKE_GRAD, checked};
use crate::ops::movement::BROADCAST_TO;
use crate::shape::{DType, Shape};

/// Tables of fewer elements are filled as a whole.
const SMALL: usize = 1 << 14;

/// For each row of a table where its terms begin in the list behind, and that list. The attributes are the
/// sizes of the table, and how many indices after each other share a term.
pub(super) static ROW_ORDER: OpDef = OpDef {
    name: "row_order",
    args: &["indices"],
    doc: "The terms of each row, in order.",
    class: Class::Index,
    accept: Accept::Exact,
    infer: |types, attrs| {
        let rows = attrs[0].size().known().unwrap_or(0) as usize;
        let shape = Shape::new(&[rows + 1 + types[0].shape.count()])?;
        Ok(Ty { shape, dtype: DType::I32 })
    },
    kind: Kind::Kernel,
    reference: reference_order,
    ..OpDef::PLAIN
};

/// Sums of the rows of `dy` that go to each row.
pub(super) static ROW_SUMS: OpDef = OpDef {
    name: "row_sums",
    args: &["dy", "order"],
    doc: "What is added to each row of a table.",
    class: Class::Index,
    accept: Accept::Exact,
    infer: |types, attrs| {
        let last = types[0].shape.dims()[types[0].shape.rank() - 1];
        Ok(Ty::f32(Shape::new(&[attrs[0].size(), last])?))
    },
    kind: Kind::Head,
    reference: reference_sums,
    ..OpDef::PLAIN
};

/// The kernel of [`ROW_ORDER`]; an index out of range is an error.
pub(super) fn row_order_step(ctx: &StepCtx<'_>) -> Result<()> {
    let rows = ctx.attrs[0].size().known().unwrap_or(0) as usize;
    let table = Shape::new(&[ctx.attrs[0].size(), ctx.attrs[1].size()])?;
    let indices = checked("take_grad", ctx.inputs[0], rows, &table)?;
    let each = usize::try_from(ctx.attrs[2].int()).unwrap_or(1);
    // SAFETY: the executor hands steps buffers that cover their types, here `rows + 1` and as many as
    // there are indices.
    unsafe { row_order(&indices, each, rows, ctx.output.ints()) };
    Ok(())
}

fn reference_order(x: &[Host], attrs: &[Attr], out: Ty) -> Host {
    let rows = attrs[0].size().known().unwrap_or(0);
    let place = |&v: &f64| if v < 0.0 { v as i64 + rows } else { v as i64 };
    let places: Vec<i64> = x[0].data.iter().map(place).collect();
    let each = usize::try_from(attrs[2].int()).unwrap_or(1);
    let mut starts = vec![0.0];
    let mut list = vec![];
    for row in 0..rows {
        list.extend(places.iter().enumerate().filter(|(_, p)| **p == row).map(|(i, _)| (i / each) as f64));
        starts.push(list.len() as f64);
    }
    starts.extend(list);
    Host { ty: out, data: starts }
}

fn reference_sums(x: &[Host], _: &[Attr], out: Ty) -> Host {
    let [rows, n] = [out.shape.sizes()[0], out.shape.sizes()[1]];
    let mut y = Host { ty: out, data: vec![0.0; rows * n] };
    let order = &x[1].data;
    for row in 0..rows {
        for at in order[row] as usize..order[row + 1] as usize {
            let from = order[rows + 1 + at] as usize * n;
            (0..n).for_each(|j| y.data[row * n + j] += x[0].data[from + j]);
        }
    }
    y
}

/// How many neighbours each row of `from` becomes in `to`, where that is all that broadcasting does.
fn repeats(from: &Shape, to: &Shape) -> Option<i64> {
    let (from, to) = (from.sizes(), to.sizes());
    let (last, new) = (to.len().checked_sub(1)?, to.len().checked_sub(from.len())?);
    let size = |axis: usize| axis.checked_sub(new).map_or(1, |axis| from[axis]);
    let whole = (0..last).take_while(|&axis| size(axis) == to[axis]).count();
    let each = (whole..last).map(|axis| to[axis]).product::<usize>();
    let fits = !from.is_empty() && size(last) == to[last] && (whole..last).all(|axis| size(axis) == 1);
    if fits && each > 1 { i64::try_from(each).ok() } else { None }
}

/// Gradients of tables that are taken from row by row are made by blocks. One that is the same for all
/// rows of a sequence, as behind a mean, is read where it lies once.
pub(super) fn choose(graph: Graph) -> Result<Graph> {
    let fits = |node: &Node| {
        node.op == &TAKE_GRAD
            && node.ty.shape.rank() == 2
            && node.ty.shape.count() >= SMALL
            && graph.shape(node.inputs[1]).count() < i32::MAX as usize
            && matches!(node.attrs[1], Attr::Int(0 | -2))
    };
    if !graph.nodes.iter().any(fits) {
        return Ok(graph);
    }
    let mut out = Graph { data: graph.data.clone(), ..Graph::default() };
    let mut map: Vec<Id> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let inputs: Vec<Id> = node.inputs.iter().map(|x| map[x.at()]).collect();
        map.push(if fits(node) {
            let sizes = node.ty.shape.dims();
            let dy = graph.node(node.inputs[0]);
            let each = (dy.op == &BROADCAST_TO).then(|| repeats(&graph.shape(dy.inputs[0]), &dy.ty.shape));
            let (dy, each) = match each.flatten() {
                Some(each) => (map[dy.inputs[0].at()], each),
                None => (inputs[0], 1),
            };
            let attrs = [Attr::Size(sizes[0]), Attr::Size(sizes[1]), Attr::Int(each)];
            let order = out.try_add(&ROW_ORDER, &inputs[1..], &attrs)?;
            out.try_add(&ROW_SUMS, &[dy, order], &attrs[..1])?
        } else {
            out.push(Node { inputs, ..node.clone() })
        });
    }
    out.inputs = graph.inputs.iter().map(|x| map[x.at()]).collect();
    out.outputs = graph.outputs.iter().map(|x| map[x.at()]).collect();
    out.updates = graph.updates.iter().map(|&(slot, x)| (slot, map[x.at()])).collect();
    Ok(out)
}
