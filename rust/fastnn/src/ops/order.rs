//! Rows that order values along an axis. Each has the positions as a second result; who wants only
//! these reads only that part. NaN counts as the largest value, as in NumPy; equal values keep
//! their order.

use super::build::Build;
use super::index::TAKE_ALONG_AXIS_GRAD;
use super::rule::{self, shape_attr};
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Accept, Attr, Class, Graph, Host, Id, Kind, PartDef, StepCtx, Ty, Vjp};
use crate::kernels::order::{self as kernel, Ends, Order};
use crate::shape::{DType, Shape};
use crate::shape_err;
use std::cmp::Ordering;

const WIDE: (f32, f32) = (-3.0, 3.0);

rows! {
    SORT = "sort"("x"; axis: Int = Attr::Int(-1)) {
        doc: "The values of x in ascending order along an axis, NaN last, and their positions (int32); equal values keep their order.",
        class: Class::Kernel,
        accept: Accept::Number,
        infer: infer_sort,
        vjp: Vjp::Parts(|g, y, x, dys| {
            let axis = g.node(y).attrs[0].clone();
            vec![scatter(g, y, x[0], dys[0], axis)]
        }),
        kind: Kind::Kernel,
        reference: |x, a, out| sorted(&x[0], &a[0], out, |order, line| line[order]),
        formula: "np.sort(x, axis)",
        domain: &[WIDE],
        smooth: true,
        parts: &[PartDef {
            name: "indices",
            infer: |types, attrs| Ok(Ty { dtype: DType::I32, ..infer_sort(types, attrs)? }),
            reference: |x, a, out| sorted(&x[0], &a[0], out, |order, _| order as f64),
            formula: "np.argsort(x, axis, kind='stable')",
        }],
    }
    TOP_K = "top_k"("x"; k: Int) {
        doc: "The k largest values along the last axis, largest first, and their positions (int32); NaN counts as the largest, of equal values the first come first.",
        class: Class::Kernel,
        accept: Accept::Number,
        infer: infer_top_k,
        vjp: Vjp::Parts(|g, y, x, dys| vec![scatter(g, y, x[0], dys[0], Attr::Int(-1))]),
        kind: Kind::Kernel,
        reference: |x, a, out| top(&x[0], a[0].int(), out, |order, line| line[order]),
        formula: "np.sort(x, -1)[..., ::-1][..., :k]",
        domain: &[WIDE],
        smooth: true,
        parts: &[PartDef {
            name: "indices",
            infer: |types, attrs| Ok(Ty { dtype: DType::I32, ..infer_top_k(types, attrs)? }),
            reference: |x, a, out| top(&x[0], a[0].int(), out, |order, _| order as f64),
            formula: "np.lexsort((-np.asarray(x), ~np.isnan(x)))[..., :k]",
        }],
    }
}

/// The gradient of chosen values goes back to where they were chosen.
fn scatter(g: &mut Graph, y: Id, x: Id, dy: Option<Id>, axis: Attr) -> Option<Id> {
    let dy = dy.filter(|_| g.dtype_of(x) == DType::F32)?;
    let shape = shape_attr(&g.shape_of(x));
    let indices = g.part(y, 1);
    Some(g.build(&TAKE_ALONG_AXIS_GRAD, &[dy, indices], &[shape, axis]))
}

fn infer_sort(types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    rule::arity("sort", types, 1)?;
    let axis = types[0].shape.axis(attrs[0].int(), "sort")?;
    countable("sort", &types[0].shape, axis)?;
    Ok(types[0])
}

/// Positions are int32.
fn countable(name: &str, shape: &Shape, axis: usize) -> Result<()> {
    if shape.dims()[axis].known().is_some_and(|n| n > i64::from(i32::MAX)) {
        return shape_err!("{name}: an axis of {shape} is too long for int32 positions\n  hint: split it");
    }
    Ok(())
}

fn infer_top_k(types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    rule::arity("top_k", types, 1)?;
    let shape = types[0].shape;
    let Some(&n) = shape.dims().last() else {
        return shape_err!("top_k: x is a scalar, wanted at least one axis\n  hint: reshape x to (1,)");
    };
    let k = attrs[0].int();
    if k < 0 || (Dim::new(k) - n).is_positive() {
        return shape_err!(
            "top_k: k is {k}, wanted 0 to {n}, the size of the last axis of x {shape}\n  hint: min(k, x.shape[-1])"
        );
    }
    countable("top_k", &shape, shape.rank() - 1)?;
    let mut dims = shape.dims().to_vec();
    dims[shape.rank() - 1] = Dim::new(k);
    Ok(Ty { shape: Shape::new(&dims)?, dtype: types[0].dtype })
}

fn order_of(dtype: DType) -> Order {
    if dtype == DType::I32 { kernel::int_order } else { kernel::float_order }
}

fn ends(ctx: &StepCtx<'_>) -> Ends {
    Ends {
        src: ctx.inputs[0].ptr.cast_const().cast(),
        values: ctx.output.ptr.cast(),
        indices: ctx.parts[0].ptr.cast(),
    }
}

pub(crate) fn sort_step(ctx: &StepCtx<'_>) -> Result<()> {
    let ty = ctx.inputs[0].ty;
    let (outer, n, inner) = rule::around(&ty.shape, ty.shape.axis(ctx.attrs[0].int(), "sort")?);
    // SAFETY: the executor hands steps buffers that cover their shapes, or null for unread results;
    // the rule saw that n fits an i32.
    unsafe { kernel::sort(ends(ctx), [outer, n, inner], order_of(ty.dtype)) };
    Ok(())
}

pub(crate) fn top_k_step(ctx: &StepCtx<'_>) -> Result<()> {
    let ty = ctx.inputs[0].ty;
    let (rows, n, _) = rule::around(&ty.shape, ty.shape.rank() - 1);
    // SAFETY: as for sort; the rule saw that k is at most n.
    unsafe { kernel::top_k(ends(ctx), rows, n, ctx.attrs[0].int() as usize, order_of(ty.dtype)) };
    Ok(())
}

/// Smaller before larger, NaN after all.
fn ascending(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// One number per position of a sorted line, from the position it came from and the line.
fn sorted(x: &Host, axis: &Attr, out: Ty, pick: impl Fn(usize, &[f64]) -> f64) -> Host {
    let (outer, n, inner) =
        rule::around(&x.ty.shape, x.ty.shape.axis(axis.int(), "sort").unwrap_or_default());
    let mut y = Host { ty: out, data: vec![0.0; x.data.len()] };
    for line in 0..outer * inner {
        let start = line / inner * n * inner + line % inner;
        let values: Vec<f64> = (0..n).map(|i| x.data[start + i * inner]).collect();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| ascending(values[a], values[b]));
        for (i, &from) in order.iter().enumerate() {
            y.data[start + i * inner] = pick(from, &values);
        }
    }
    y
}

/// As [`sorted`] for the first `k` of the last axis, largest first.
fn top(x: &Host, k: i64, out: Ty, pick: impl Fn(usize, &[f64]) -> f64) -> Host {
    let n = x.ty.shape.sizes().last().copied().unwrap_or(1).max(1);
    let mut y = Host { ty: out, data: vec![] };
    for line in x.data.chunks(n) {
        let mut order: Vec<usize> = (0..line.len()).collect();
        order.sort_by(|&a, &b| ascending(line[b], line[a]));
        y.data.extend(order.iter().take(k as usize).map(|&from| pick(from, line)));
    }
    y
}
