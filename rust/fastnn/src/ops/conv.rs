//! Convolutions over one to three spatial axes, channels last. The three rows are each other's
//! derivatives, so any derivative of a convolution is made of them: with dy in place of y,
//! `conv(x, w)`, `conv_input_grad(dy, w)` and `conv_weight_grad(x, dy)` are linear in both operands
//! and sum the same products, grouped by the place in y, in x, and in w.

use super::build::Build;
use super::rule;
use super::spatial::{self, Along, Placing};
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Accept, Attr, Class, Graph, Host, Id, Kind, Node, Ty, Vjp};
use crate::kernels::Blocked;
use crate::kernels::conv::winograd::{self, Winograd};
use crate::kernels::conv::winograd_weights::WinogradWeights;
use crate::kernels::conv::{Geometry, depthwise, forward, input_grad, weight_grad};
use crate::kernels::gemm::product::Product;
use crate::shape::{DType, Shape};
use crate::shape_err;

const WIDE: (f32, f32) = (-2.0, 2.0);
const NONE: Attr = Attr::Ints(vec![]);

rows! {
    CONV = "conv"("x", "w"; strides: Ints = NONE, padding: Sizes = NONE, dilation: Ints = NONE, groups: Int = Attr::Int(1)) {
        doc: "The convolution of x (batch, sizes.., channels) with w (taps.., channels / groups, filters): at each place the sum of the products of the window's elements with the taps. padding is (before, after) per spatial axis, flat, with -1 alone for as many places as ceil(size / stride), split evenly.",
        class: Class::Contract,
        accept: Accept::Float,
        infer: |types, attrs| Ok(Ty::f32(conv_of(types, attrs)?.out)),
        vjp: Vjp::Rule(conv_vjp),
        kind: Kind::Head,
        reference: |x, a, out| reference(x, out, &conv_of(&[x[0].ty, x[1].ty], a), Side::Output),
        formula: "convolved(x, w, strides, padding, dilation, groups)",
        domain: &[WIDE, WIDE],
        smooth: true,
    }
    CONV_INPUT_GRAD = "conv_input_grad"("dy", "w"; size: Sizes, strides: Ints = NONE, padding: Sizes = NONE, dilation: Ints = NONE, groups: Int = Attr::Int(1)) {
        doc: "The gradient of a convolution by its input, whose spatial sizes are given: every product of dy with a tap is added where the tap's window has it. As an op of its own: a transposed convolution.",
        class: Class::Contract,
        accept: Accept::Float,
        infer: |types, attrs| Ok(Ty::f32(input_grad_of(types, attrs)?.out)),
        vjp: Vjp::Rule(input_grad_vjp),
        kind: Kind::Head,
        reference: |x, a, out| reference(x, out, &input_grad_of(&[x[0].ty, x[1].ty], a), Side::Input),
        formula: "convolved_back(dy, w, size, strides, padding, dilation, groups)",
        domain: &[WIDE, WIDE],
        smooth: true,
    }
    CONV_WEIGHT_GRAD = "conv_weight_grad"("x", "dy"; kernel: Sizes, strides: Ints = NONE, padding: Sizes = NONE, dilation: Ints = NONE, groups: Int = Attr::Int(1)) {
        doc: "The gradient of a convolution by its weights, whose spatial sizes are given: for each tap the sum of the products of dy with what the tap sees of x.",
        class: Class::Contract,
        accept: Accept::Float,
        infer: |types, attrs| Ok(Ty::f32(weight_grad_of(types, attrs)?.out)),
        vjp: Vjp::Rule(weight_grad_vjp),
        kind: Kind::Head,
        reference: |x, a, out| reference(x, out, &weight_grad_of(&[x[0].ty, x[1].ty], a), Side::Weights),
        formula: "convolved_weights(x, dy, kernel, strides, padding, dilation, groups)",
        domain: &[WIDE, WIDE],
        smooth: true,
    }
}

/// A convolution as its rule sees it.
struct Conv {
    /// The result of the row.
    out: Shape,
    windows: Vec<Along>,
    batch: Dim,
    sizes: Vec<Dim>,
    kernel: Vec<Dim>,
    groups: i64,
    /// Per group.
    channels: Dim,
    filters: Dim,
}

fn placing(attrs: &[Attr]) -> Placing<'_> {
    Placing { strides: &attrs[0], padding: &attrs[1], dilation: &attrs[2] }
}

fn groups(name: &str, attr: &Attr) -> Result<(i64, Dim)> {
    let groups = attr.int();
    if !(1..=i64::from(i32::MAX)).contains(&groups) {
        return shape_err!(
            "{name}: groups is {groups}, wanted at least 1\n  hint: 1 group is a plain convolution"
        );
    }
    Ok((groups, Dim::new(groups)))
}

/// Taps, channels of a group, filters.
fn weights(name: &str, x: &str, rank: usize, w: Ty) -> Result<(Vec<Dim>, Dim, Dim)> {
    rule::typed(name, "w", w, DType::F32)?;
    let dims = w.shape.dims();
    if dims.len() != rank {
        return shape_err!(
            "{name}: w is {}, wanted as many axes as {x} has, {rank}: (taps.., channels / groups, filters)\n  hint: reshape w",
            w.shape
        );
    }
    Ok((dims[..rank - 2].to_vec(), dims[rank - 2], dims[rank - 1]))
}

fn share(name: &str, what: &str, all: Dim, groups: Dim) -> Result<Dim> {
    match all.divided(groups) {
        Some(each) => Ok(each),
        None => shape_err!(
            "{name}: {groups} groups do not divide {all} {what}\n  hint: {what} must be a multiple of the groups"
        ),
    }
}

fn conv_of(types: &[Ty], attrs: &[Attr]) -> Result<Conv> {
    const NAME: &str = "conv";
    rule::arity(NAME, types, 2)?;
    spatial::image(NAME, "x", types[0])?;
    let x = types[0].shape;
    let (kernel, channels, filters) = weights(NAME, "x", x.rank(), types[1])?;
    let (count, groups) = groups(NAME, &attrs[3])?;
    let have = x.dims()[x.rank() - 1];
    if (channels * groups).meet(have).is_none() {
        return shape_err!(
            "{NAME}: x {x} has {have} channels, w {} with {groups} group{} wants {}\n  hint: the axis before the last of w has the channels of x divided by the groups",
            types[1].shape,
            if count == 1 { "" } else { "s" },
            channels * groups
        );
    }
    let each = share(NAME, "filters", filters, groups)?;
    let sizes = spatial::spatial(&x).to_vec();
    let windows = spatial::windows(NAME, &sizes, &kernel, placing(attrs))?;
    let batch = x.dims()[0];
    let out = spatial::shaped(batch, &spatial::places(&windows), filters)?;
    Ok(Conv { out, windows, batch, sizes, kernel, groups: count, channels, filters: each })
}

/// Rejects a dy that is not as large as the convolution's result.
fn fits(name: &str, dy: &Shape, windows: &[Along]) -> Result<()> {
    let want = spatial::places(windows);
    if rule::meet(spatial::spatial(dy), &want).is_some() {
        return Ok(());
    }
    shape_err!(
        "{name}: dy is {dy}, but the window takes {want:?} places\n  hint: dy has the shape of the convolution's result"
    )
}

fn input_grad_of(types: &[Ty], attrs: &[Attr]) -> Result<Conv> {
    const NAME: &str = "conv_input_grad";
    rule::arity(NAME, types, 2)?;
    spatial::image(NAME, "dy", types[0])?;
    let dy = types[0].shape;
    let (kernel, channels, filters) = weights(NAME, "dy", dy.rank(), types[1])?;
    let (count, groups) = groups(NAME, &attrs[4])?;
    let have = dy.dims()[dy.rank() - 1];
    if filters.meet(have).is_none() {
        return shape_err!(
            "{NAME}: dy {dy} has {have} channels, w {} makes {filters}\n  hint: the last axis of w has the channels of dy",
            types[1].shape
        );
    }
    let each = share(NAME, "filters", filters, groups)?;
    let sizes = rule::sizes(NAME, &attrs[0].sizes())?.dims().to_vec();
    if sizes.len() + 2 != dy.rank() {
        return shape_err!("{NAME}: size is {sizes:?} for dy {dy}\n  hint: the spatial sizes of the result");
    }
    let windows = spatial::windows(NAME, &sizes, &kernel, placing(&attrs[1..]))?;
    fits(NAME, &dy, &windows)?;
    let batch = dy.dims()[0];
    let out = spatial::shaped(batch, &sizes, channels * groups)?;
    Ok(Conv { out, windows, batch, sizes, kernel, groups: count, channels, filters: each })
}

fn weight_grad_of(types: &[Ty], attrs: &[Attr]) -> Result<Conv> {
    const NAME: &str = "conv_weight_grad";
    rule::arity(NAME, types, 2)?;
    spatial::image(NAME, "x", types[0])?;
    spatial::image(NAME, "dy", types[1])?;
    let (x, dy) = (types[0].shape, types[1].shape);
    let batch = x.dims()[0].meet(dy.dims()[0]);
    let Some(batch) = batch.filter(|_| x.rank() == dy.rank()) else {
        return shape_err!("{NAME}: x is {x} and dy is {dy}\n  hint: they have one batch and as many axes");
    };
    let (count, groups) = groups(NAME, &attrs[4])?;
    let channels = share(NAME, "channels", x.dims()[x.rank() - 1], groups)?;
    let filters = dy.dims()[dy.rank() - 1];
    let each = share(NAME, "filters", filters, groups)?;
    let sizes = spatial::spatial(&x).to_vec();
    let kernel = rule::sizes(NAME, &attrs[0].sizes())?.dims().to_vec();
    let windows = spatial::windows(NAME, &sizes, &kernel, placing(&attrs[1..]))?;
    fits(NAME, &dy, &windows)?;
    let mut dims = kernel.clone();
    dims.extend([channels, filters]);
    Ok(Conv {
        out: Shape::new(&dims)?,
        windows,
        batch,
        sizes,
        kernel,
        groups: count,
        channels,
        filters: each,
    })
}

impl Conv {
    fn geometry(&self) -> Geometry {
        let number = |d: Dim| d.known().unwrap_or(0) as usize;
        Geometry {
            images: number(self.batch),
            groups: self.groups as usize,
            channels: number(self.channels),
            filters: number(self.filters),
            axes: spatial::axes(&self.windows, &self.sizes, &self.kernel),
        }
    }

    /// The attributes of a row that sums the same products, with padding in expressions.
    fn attrs(&self, first: Option<&[Dim]>) -> Vec<Attr> {
        let mut attrs: Vec<Attr> = first.map(|sizes| Attr::Sizes(sizes.to_vec())).into_iter().collect();
        attrs.extend([
            Attr::Ints(self.windows.iter().map(|w| w.stride).collect()),
            spatial::padding(&self.windows),
            Attr::Ints(self.windows.iter().map(|w| w.dilation).collect()),
            Attr::Int(self.groups),
        ]);
        attrs
    }
}

/// What the rule of the node found, which was checked when the node was made.
fn of(g: &Graph, y: Id, rule: fn(&[Ty], &[Attr]) -> Result<Conv>) -> Option<Conv> {
    let node = g.node(y);
    rule(&g.types(&node.inputs), &node.attrs).ok()
}

fn conv_vjp(g: &mut Graph, y: Id, x: &[Id], dy: Id) -> Vec<Option<Id>> {
    let Some(conv) = of(g, y, conv_of) else { return vec![None, None] };
    let dx = g.build(&CONV_INPUT_GRAD, &[dy, x[1]], &conv.attrs(Some(&conv.sizes)));
    let dw = g.build(&CONV_WEIGHT_GRAD, &[x[0], dy], &conv.attrs(Some(&conv.kernel)));
    vec![Some(dx), Some(dw)]
}

fn input_grad_vjp(g: &mut Graph, y: Id, x: &[Id], dz: Id) -> Vec<Option<Id>> {
    let Some(conv) = of(g, y, input_grad_of) else { return vec![None, None] };
    let ddy = g.build(&CONV, &[dz, x[1]], &conv.attrs(None));
    let dw = g.build(&CONV_WEIGHT_GRAD, &[dz, x[0]], &conv.attrs(Some(&conv.kernel)));
    vec![Some(ddy), Some(dw)]
}

fn weight_grad_vjp(g: &mut Graph, y: Id, x: &[Id], dv: Id) -> Vec<Option<Id>> {
    let Some(conv) = of(g, y, weight_grad_of) else { return vec![None, None] };
    let dx = g.build(&CONV_INPUT_GRAD, &[x[1], dv], &conv.attrs(Some(&conv.sizes)));
    let ddy = g.build(&CONV, &[x[0], dv], &conv.attrs(None));
    vec![Some(dx), Some(ddy)]
}

/// The attributes of `node`, a convolution or its gradient by the weights, when zeros around x (before
/// and after each spatial axis) become padding.
pub(crate) fn with_zeros(g: &Graph, node: &Node, zeros: &[Dim]) -> Option<Vec<Attr>> {
    let types = g.types(&node.inputs);
    let (conv, at) = match node.op {
        op if op == &CONV => (conv_of(&types, &node.attrs), 1),
        _ => (weight_grad_of(&types, &node.attrs), 2),
    };
    let conv = conv.ok()?;
    let mut attrs = conv.attrs((at == 2).then_some(&conv.kernel[..]));
    let padding = conv.windows.iter().flat_map(|w| [w.before, w.after]);
    attrs[at] = Attr::Sizes(padding.zip(zeros).map(|(a, &b)| a + b).collect());
    Some(attrs)
}

/// The kernel of [`CONV`].
pub(crate) fn conv_head(types: &[Ty], attrs: &[Attr], _: Ty) -> Box<dyn Blocked> {
    let geometry = geometry(conv_of(types, attrs));
    if geometry.is_depthwise() {
        return Box::new(depthwise::Forward::new(geometry));
    }
    if forward::is_product(&geometry) {
        // One matrix of places and channels.
        let channels = geometry.channels;
        let places = types[0].shape.count().checked_div(channels).unwrap_or(0);
        let shape = |sizes: [usize; 2]| Shape::new(&sizes);
        let filters = types[1].shape.sizes().last().copied().unwrap_or(0);
        let operands = (shape([places, channels]), shape([channels, filters]), shape([places, filters]));
        if let ((Ok(x), Ok(w), Ok(y)), true) = (operands, channels > 0) {
            return Box::new(Product::new(&x, (&w, DType::F32), &y, [false, false]));
        }
    }
    if winograd::pays(&geometry) {
        return Box::new(Winograd::new(geometry, false));
    }
    Box::new(forward::Forward::new(geometry, false))
}

/// The sizes of a convolution of these operands, as kernels see them.
///
/// # Panics
/// When they do not fit the row. Likewise for the gradients.
#[must_use]
pub fn geometry_of(types: &[Ty], attrs: &[Attr]) -> Geometry {
    geometry(conv_of(types, attrs))
}

/// Likewise from the operands of [`CONV_INPUT_GRAD`].
#[must_use]
pub fn input_grad_geometry(types: &[Ty], attrs: &[Attr]) -> Geometry {
    geometry(input_grad_of(types, attrs))
}

/// Likewise from the operands of [`CONV_WEIGHT_GRAD`].
#[must_use]
pub fn weight_grad_geometry(types: &[Ty], attrs: &[Attr]) -> Geometry {
    geometry(weight_grad_of(types, attrs))
}

/// The kernel of [`CONV_INPUT_GRAD`].
pub(crate) fn input_grad_head(types: &[Ty], attrs: &[Attr], _: Ty) -> Box<dyn Blocked> {
    let geometry = geometry(input_grad_of(types, attrs));
    if geometry.is_depthwise() {
        return Box::new(depthwise::InputGrad::new(geometry));
    }
    Box::new(input_grad::InputGrad::new(geometry))
}

/// The kernel of [`CONV_WEIGHT_GRAD`].
pub(crate) fn weight_grad_head(types: &[Ty], attrs: &[Attr], _: Ty) -> Box<dyn Blocked> {
    let geometry = geometry(weight_grad_of(types, attrs));
    if geometry.is_depthwise() {
        return Box::new(depthwise::WeightGrad::new(geometry));
    }
    if winograd::pays(&geometry) {
        return Box::new(WinogradWeights::new(geometry));
    }
    Box::new(weight_grad::WeightGrad::new(geometry))
}

/// The rule has accepted these types when the node was made.
fn geometry(conv: Result<Conv>) -> Geometry {
    match conv {
        Ok(conv) => conv.geometry(),
        Err(error) => unreachable!("invariant: a node's types fit its row: {error}"),
    }
}

/// Which operand or result the products are summed by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Output,
    Input,
    Weights,
}

/// Plain loops over all products; the operands are the two that the row reads.
fn reference(operands: &[Host], out: Ty, conv: &Result<Conv>, side: Side) -> Host {
    let mut sums = Host { ty: out, data: vec![0.0; out.shape.count()] };
    let Ok(conv) = conv else { return sums };
    let g = conv.geometry();
    let [d, h, w] = g.axes;
    let (channels, filters) = (g.groups * g.channels, g.groups * g.filters);
    g.each_product(|image, [x, y, tap], group| {
        let x_at = (((image * d.input + x[0]) * h.input + x[1]) * w.input + x[2]) * channels;
        let y_at = (((image * d.output + y[0]) * h.output + y[1]) * w.output + y[2]) * filters;
        let w_at = ((tap[0] * h.kernel + tap[1]) * w.kernel + tap[2]) * g.channels;
        for c in 0..g.channels {
            let x_at = x_at + group * g.channels + c;
            for m in group * g.filters..(group + 1) * g.filters {
                let (y_at, w_at) = (y_at + m, (w_at + c) * filters + m);
                let (to, left, right) = match side {
                    Side::Output => (y_at, x_at, w_at),
                    Side::Input => (x_at, y_at, w_at),
                    Side::Weights => (w_at, x_at, y_at),
                };
                sums.data[to] += operands[0].data[left] * operands[1].data[right];
            }
        }
    });
    sums
}
