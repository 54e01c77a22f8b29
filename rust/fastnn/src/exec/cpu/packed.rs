//! Rows of the CPU alone: a product whose right operand lies in panels as the micro-kernel reads
//! them, a convolution whose filters are packed or transformed. They are put in where that operand is known
//! between calls, so that packing and transforming it are taken out of the call; the sums and their
//! order are those of `matmul` and `conv`.

use crate::error::Result;
use crate::graph::{Accept, Attr, Class, Graph, Host, Id, Kind, Node, OpDef, StepCtx, Stored, Ty, Vjp};
use crate::kernels::Blocked;
use crate::kernels::conv::Geometry;
use crate::kernels::conv::forward::{Forward, is_product};
use crate::kernels::conv::winograd::{self, Winograd, filter_size, transform_filters};
use crate::kernels::gemm::bf16::{Arithmetic, arithmetic, pack_all_pairs, pays};
use crate::kernels::gemm::pack_all;
use crate::kernels::gemm::product::{PANEL, is_packed};
use crate::ops::conv::{CONV, geometry_of};
use crate::ops::matmul::{MATMUL, precision};
use crate::ops::movement::RESHAPE;
use crate::passes::hoist::{Part, invariant};
use crate::shape::{DType, Shape};

/// Panels of a matrix: the layout is the processor's own business, the size is not.
pub(super) static PACK: OpDef = OpDef {
    name: "pack",
    args: &["b"],
    attrs: &[],
    doc: "The matrix b, or its transpose, in panels.",
    class: Class::Kernel,
    accept: Accept::Exact,
    stored: Stored::No,
    infer: infer_pack,
    vjp: Vjp::Zero,
    kind: Kind::Kernel,
    reference: reference_pack,
    formula: "",
    parts: &[],
    writes_over: &[],
    domain: &[],
    smooth: true,
};

/// `a @ b` for a packed b.
pub(super) static MATMUL_PACKED: OpDef = OpDef {
    name: "matmul_packed",
    args: &["a", "packed"],
    attrs: &[],
    doc: "The product of a with a packed matrix.",
    class: Class::Contract,
    accept: Accept::Exact,
    stored: Stored::No,
    infer: infer_product,
    vjp: Vjp::Zero,
    kind: Kind::Head,
    reference: reference_product,
    formula: "",
    parts: &[],
    writes_over: &[],
    domain: &[],
    smooth: true,
};

/// `conv(x, w)` for filters that are packed as a matrix of taps and channels by filters; attribute 4
/// has the shape of w.
pub(super) static CONV_PACKED: OpDef = OpDef {
    name: "conv_packed",
    args: &["x", "filters"],
    doc: "The convolution of x with packed filters.",
    class: Class::Contract,
    infer: infer_conv,
    kind: Kind::Head,
    reference: reference_conv,
    ..OpDef::PLAIN
};

/// The filters of a convolution as 36 matrices in panels.
pub(super) static WINOGRAD_FILTERS: OpDef = OpDef {
    name: "winograd_filters",
    args: &["w"],
    doc: "The filters w, transformed.",
    class: Class::Kernel,
    infer: |types, _| {
        let [_, _, channels, filters] = taps(&types[0].shape);
        Ok(Ty::f32(Shape::new(&[filter_size(channels, filters)])?))
    },
    kind: Kind::Kernel,
    // The oracle's layout: the filters as they are.
    reference: |x, _, out| {
        let mut data = x[0].data.clone();
        data.resize(out.shape.count(), 0.0);
        Host { ty: out, data }
    },
    ..OpDef::PLAIN
};

/// `conv(x, w)` for transformed filters; attribute 4 has the shape of w.
pub(super) static WINOGRAD_CONV: OpDef = OpDef {
    name: "winograd_conv",
    args: &["x", "filters"],
    doc: "The convolution of x with transformed filters.",
    class: Class::Contract,
    infer: infer_conv,
    kind: Kind::Head,
    reference: reference_conv,
    ..OpDef::PLAIN
};

/// The four sizes of filters over images of two axes.
fn taps(w: &Shape) -> [usize; 4] {
    let sizes = w.sizes();
    std::array::from_fn(|i| sizes[i])
}

fn filters_type(attrs: &[Attr]) -> Result<Ty> {
    Ok(Ty::f32(Shape::new(&attrs[4].sizes())?))
}

fn infer_conv(types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    (CONV.infer)(&[types[0], filters_type(attrs)?], attrs)
}

/// In the oracle's layouts the filters come first, as they are.
fn reference_conv(x: &[Host], attrs: &[Attr], out: Ty) -> Host {
    let Ok(ty) = filters_type(attrs) else { return Host { ty: out, data: vec![] } };
    let w = Host { ty, data: x[1].data[..ty.shape.count()].to_vec() };
    (CONV.reference)(&[x[0].clone(), w], attrs, out)
}

/// The kernel of [`WINOGRAD_FILTERS`].
pub(super) fn winograd_filters_step(ctx: &StepCtx<'_>) -> Result<()> {
    let [_, _, channels, filters] = taps(&ctx.inputs[0].ty.shape);
    // SAFETY: the types are those of the node, so operand and result have these sizes.
    unsafe {
        transform_filters(ctx.isa, ctx.inputs[0].floats(), channels, filters, ctx.output.floats());
    }
    Ok(())
}

/// The kernel of [`CONV_PACKED`].
pub(super) fn conv_head(types: &[Ty], attrs: &[Attr], _: Ty) -> Box<dyn Blocked> {
    Box::new(Forward::new(prepared_geometry(types, attrs), true))
}

/// The kernel of [`WINOGRAD_CONV`].
pub(super) fn winograd_head(types: &[Ty], attrs: &[Attr], _: Ty) -> Box<dyn Blocked> {
    Box::new(Winograd::new(prepared_geometry(types, attrs), true))
}

fn prepared_geometry(types: &[Ty], attrs: &[Attr]) -> Geometry {
    match filters_type(attrs) {
        Ok(w) => geometry_of(&[types[0], w], attrs),
        Err(error) => unreachable!("invariant: a node's types fit its row: {error}"),
    }
}

/// (terms, columns) of the right operand.
fn sides(b: &Shape, transposed: bool) -> (usize, usize) {
    let d = &b.sizes()[b.rank() - 2..];
    if transposed { (d[1], d[0]) } else { (d[0], d[1]) }
}

fn infer_pack(types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    let (k, n) = sides(&types[0].shape, attrs[0].flag());
    Ok(Ty::f32(Shape::new(&[k * n.next_multiple_of(PANEL)])?))
}

fn infer_product(types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    let mut dims = types[0].shape.sizes().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = attrs[0].int() as usize;
    }
    Ok(Ty::f32(Shape::new(&dims)?))
}

/// The oracle's layout: row after row.
fn reference_pack(x: &[Host], attrs: &[Attr], out: Ty) -> Host {
    let (k, n) = sides(&x[0].ty.shape, attrs[0].flag());
    let at = |p: usize, j: usize| if attrs[0].flag() { j * k + p } else { p * n + j };
    let mut data: Vec<f64> = (0..k * n).map(|i| x[0].data[at(i / n, i % n)]).collect();
    data.resize(out.shape.count(), 0.0);
    Host { ty: out, data }
}

fn reference_product(x: &[Host], _: &[Attr], out: Ty) -> Host {
    let n = out.shape.sizes().last().copied().unwrap_or(1);
    let k = x[0].ty.shape.sizes().last().copied().unwrap_or(1);
    let one = |i: usize| (0..k).map(|p| x[0].data[i / n * k + p] * x[1].data[p * n + i % n]).sum();
    Host { ty: out, data: (0..out.shape.count()).map(one).collect() }
}

/// Do panels hold pairs of bfloat16? What [`PACK`] and [`MATMUL_PACKED`] say with their second attribute.
pub(super) fn in_pairs(attrs: &[Attr]) -> bool {
    attrs.get(1).is_some_and(Attr::flag)
}

/// The kernel of [`PACK`].
pub(super) fn pack_step(ctx: &StepCtx<'_>) -> Result<()> {
    let transposed = ctx.attrs[0].flag();
    let (k, n) = sides(&ctx.inputs[0].ty.shape, transposed);
    // SAFETY: the types are those of the node, so operand and result have these sizes.
    unsafe {
        let (from, to) = (ctx.inputs[0].floats(), ctx.output.floats());
        match in_pairs(ctx.attrs) {
            true => pack_all_pairs(from, transposed, k, n, to),
            false => pack_all(ctx.isa, from, transposed, k, n, to),
        }
    }
    Ok(())
}

/// Products with an invariant right operand that would be packed at every call read it packed, where
/// `allow` grants the memory.
pub(super) fn choose(
    graph: &Graph,
    slots: &[bool],
    allow: &mut dyn FnMut(&Part) -> Result<bool>,
) -> Result<Graph> {
    let invariant = invariant(graph, slots);
    let mut out = Graph {
        inputs: graph.inputs.clone(),
        data: graph.data.clone(),
        nodes: Vec::with_capacity(graph.nodes.len()),
        ..Graph::default()
    };
    let mut map: Vec<Id> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let inputs: Vec<Id> = node.inputs.iter().map(|x| map[x.at()]).collect();
        let mut id = None;
        if node.op == &MATMUL && invariant[node.inputs[1].at()] && !invariant[node.inputs[0].at()] {
            id = packed(&mut out, node, &inputs, allow)?;
        }
        if node.op == &CONV && invariant[node.inputs[1].at()] && !invariant[node.inputs[0].at()] {
            id = transformed(&mut out, node, &inputs, allow)?;
        }
        map.push(id.unwrap_or_else(|| out.push(Node { inputs, ..node.clone() })));
    }
    out.inputs = graph.inputs.iter().map(|x| map[x.at()]).collect();
    out.outputs = graph.outputs.iter().map(|x| map[x.at()]).collect();
    out.updates = graph.updates.iter().map(|&(slot, x)| (slot, map[x.at()])).collect();
    Ok(out)
}

fn packed(
    g: &mut Graph,
    node: &Node,
    inputs: &[Id],
    allow: &mut dyn FnMut(&Part) -> Result<bool>,
) -> Result<Option<Id>> {
    let (a, b) = (g.ty(inputs[0]), g.ty(inputs[1]));
    let (ta, tb) = (node.attrs[0].flag(), node.attrs[1].flag());
    let (k, n) = sides(&b.shape, tb);
    let m = a.shape.count().checked_div(k).unwrap_or(0);
    let plain = !ta && b.shape.rank() == 2 && a.dtype == DType::F32 && b.dtype == DType::F32;
    if !plain || !is_packed(m, n, k, tb) {
        return Ok(None);
    }
    let native = precision(&node.attrs) == DType::BF16 && pays(m, n, k);
    let pairs = match if native { arithmetic() } else { Arithmetic::Float32 } {
        Arithmetic::Float32 => false,
        Arithmetic::Native => true,
        Arithmetic::Emulated => return Ok(None),
    };
    let pack = g.try_add(&PACK, &inputs[1..], &[Attr::Bool(tb), Attr::Bool(pairs)])?;
    if !allow(&Part::of(g, pack))? {
        // Nobody reads the node; it is dropped with what else is unused.
        return Ok(None);
    }
    let attrs = [Attr::Int(n as i64), Attr::Bool(pairs)];
    g.try_add(&MATMUL_PACKED, &[inputs[0], pack], &attrs).map(Some)
}

/// A convolution with filters that are packed (where it is a product) or transformed beforehand.
fn transformed(
    g: &mut Graph,
    node: &Node,
    inputs: &[Id],
    allow: &mut dyn FnMut(&Part) -> Result<bool>,
) -> Result<Option<Id>> {
    let (x, w) = (g.ty(inputs[0]), g.ty(inputs[1]));
    let geometry = geometry_of(&[x, w], &node.attrs);
    if is_product(&geometry) {
        let (k, n) = sides(&w.shape, false);
        if !is_packed(x.shape.count().checked_div(k).unwrap_or(0), n, k, false) {
            return Ok(None);
        }
        let pack = g.try_add(&PACK, &inputs[1..], &[Attr::Bool(false)])?;
        let product = [inputs[0], pack];
        return match allow(&Part::of(g, pack))? {
            true => g.try_add(&MATMUL_PACKED, &product, &[Attr::Int(n as i64)]).map(Some),
            false => Ok(None),
        };
    }
    let (row, filters) = if winograd::pays(&geometry) && w.shape.rank() == 4 {
        (&WINOGRAD_CONV, g.try_add(&WINOGRAD_FILTERS, &inputs[1..], &[])?)
    } else {
        let (k, n) = (geometry.taps() * geometry.channels, geometry.filters);
        if geometry.groups > 1 || !is_packed(geometry.places(), n, k, false) {
            return Ok(None);
        }
        let matrix = Attr::Sizes(vec![k.into(), n.into()]);
        let matrix = g.try_add(&RESHAPE, &inputs[1..], &[matrix])?;
        (&CONV_PACKED, g.try_add(&PACK, &[matrix], &[Attr::Bool(false)])?)
    };
    if !allow(&Part::of(g, filters))? {
        // Nobody reads the node; it is dropped with what else is unused.
        return Ok(None);
    }
    let mut attrs = node.attrs.clone();
    attrs.push(Attr::Sizes(w.shape.dims().to_vec()));
    g.try_add(row, &[inputs[0], filters], &attrs).map(Some)
}
