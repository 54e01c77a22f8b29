//! Reductions over axes. `axis` is an axis, several, or nothing for all of them.

use super::build::Build;
use super::host;
use super::rule;
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Accept, Attr, Class, Graph, Host, Id, Kind, Reduce, StepCtx, Stored, Ty, Vjp};
use crate::shape::{DType, Shape};
use crate::shape_err;

const WIDE: (f32, f32) = (-3.0, 3.0);

rows! {
    SUM = "sum"("x"; axis: IntsOrNone = Attr::None, keepdims: Bool = Attr::Bool(false)) {
        doc: "The sum over axes; 0 over no elements. Float sums are fixed trees, the same on any number of threads; i32 wraps.",
        class: Class::Reduce,
        accept: Accept::Number,
        infer: |types, attrs| infer("sum", types, attrs, Empty::Defined),
        vjp: Vjp::Rule(|g, y, x, dy| {
            let dy = spread(g, y, x[0], dy);
            vec![Some(dy)]
        }),
        kind: Kind::Reduce(Reduce::Sum),
        reference: |x, a, out| fold(x, a, out, |v| v.iter().sum()),
        formula: "np.sum(x, axis=axis, keepdims=keepdims)",
        domain: &[WIDE],
        smooth: true,
    }
    MEAN = "mean"("x"; axis: IntsOrNone = Attr::None, keepdims: Bool = Attr::Bool(false)) {
        doc: "The mean over axes; NaN over no elements.",
        class: Class::Reduce,
        accept: Accept::Float,
        infer: |types, attrs| infer_float("mean", types, attrs),
        vjp: Vjp::Rule(|g, y, x, dy| {
            let axis = g.node(y).attrs[0].clone();
            let count = g.extent(x[0], &axis);
            let part = g.div(dy, count);
            vec![Some(spread(g, y, x[0], part))]
        }),
        kind: Kind::Reduce(Reduce::Mean),
        reference: |x, a, out| fold(x, a, out, |v| v.iter().sum::<f64>() / v.len() as f64),
        formula: "np.mean(x, axis=axis, keepdims=keepdims)",
        domain: &[WIDE],
        smooth: true,
    }
    MAX = "max"("x"; axis: IntsOrNone = Attr::None, keepdims: Bool = Attr::Bool(false)) {
        doc: "The largest element over axes, NaN if there is one; the gradient is shared equally where several tie.",
        class: Class::Reduce,
        accept: Accept::Common,
        infer: |types, attrs| infer("max", types, attrs, Empty::Refused),
        vjp: Vjp::Rule(extreme_vjp),
        kind: Kind::Reduce(Reduce::Max),
        reference: |x, a, out| fold(x, a, out, |v| v.iter().fold(f64::NEG_INFINITY, |m, &e| if m.is_nan() || e.is_nan() { f64::NAN } else { m.max(e) })),
        formula: "np.max(x, axis=axis, keepdims=keepdims)",
        domain: &[WIDE],
        smooth: false,
    }
    MIN = "min"("x"; axis: IntsOrNone = Attr::None, keepdims: Bool = Attr::Bool(false)) {
        doc: "The smallest element over axes, NaN if there is one; the gradient is shared equally where several tie.",
        class: Class::Reduce,
        accept: Accept::Common,
        infer: |types, attrs| infer("min", types, attrs, Empty::Refused),
        vjp: Vjp::Rule(extreme_vjp),
        kind: Kind::Reduce(Reduce::Min),
        reference: |x, a, out| fold(x, a, out, |v| v.iter().fold(f64::INFINITY, |m, &e| if m.is_nan() || e.is_nan() { f64::NAN } else { m.min(e) })),
        formula: "np.min(x, axis=axis, keepdims=keepdims)",
        domain: &[WIDE],
        smooth: false,
    }
    PROD = "prod"("x"; axis: IntsOrNone = Attr::None, keepdims: Bool = Attr::Bool(false)) {
        doc: "The product over axes; 1 over no elements. The gradient of an element is the product of the others, zeros among them or not.",
        class: Class::Reduce,
        accept: Accept::Float,
        infer: |types, attrs| infer_float("prod", types, attrs),
        vjp: Vjp::Rule(|g, y, x, dy| {
            let others = product_of_others(g, y, x[0]);
            let dy = with_axes(g, y, x[0], dy);
            vec![Some(g.mul(others, dy))]
        }),
        kind: Kind::Reduce(Reduce::Prod),
        reference: |x, a, out| fold(x, a, out, |v| v.iter().product()),
        formula: "np.prod(x, axis=axis, keepdims=keepdims)",
        domain: &[(0.5, 1.5)],
        smooth: true,
    }
    ARGMAX = "argmax"("x"; axis: IntOrNone = Attr::None, keepdims: Bool = Attr::Bool(false)) {
        doc: "The first index (int32) of the largest element along an axis, or in the flattened input; NaN counts as largest.",
        class: Class::Reduce,
        accept: Accept::Float,
        infer: |types, attrs| infer_arg("argmax", types, attrs),
        vjp: Vjp::Zero,
        kind: Kind::Reduce(Reduce::ArgMax),
        reference: |x, a, out| fold(x, a, out, |v| first(v, |best, e| e > best)),
        formula: "np.argmax(x, axis=axis, keepdims=keepdims)",
        domain: &[WIDE],
        smooth: true,
    }
    ARGMIN = "argmin"("x"; axis: IntOrNone = Attr::None, keepdims: Bool = Attr::Bool(false)) {
        doc: "The first index (int32) of the smallest element along an axis, or in the flattened input; NaN counts as smallest.",
        class: Class::Reduce,
        accept: Accept::Float,
        infer: |types, attrs| infer_arg("argmin", types, attrs),
        vjp: Vjp::Zero,
        kind: Kind::Reduce(Reduce::ArgMin),
        reference: |x, a, out| fold(x, a, out, |v| first(v, |best, e| e < best)),
        formula: "np.argmin(x, axis=axis, keepdims=keepdims)",
        domain: &[WIDE],
        smooth: true,
    }
    SUM_TO = "sum_to"("x"; shape: Sizes) {
        doc: "The sum of x over the axes along which broadcasting widened a value of this shape to the shape of x: the adjoint of broadcast_to.",
        class: Class::Composite,
        accept: Accept::Number,
        infer: |types, attrs| {
            rule::arity("sum_to", types, 1)?;
            let want = rule::sizes("sum_to", &attrs[0].sizes())?;
            rule::widens("sum_to", &want, &types[0].shape)?;
            Ok(Ty { shape: want, dtype: types[0].dtype })
        },
        vjp: Vjp::Rule(|g, _, x, dy| {
            let shape = g.shape_of(x[0]);
            vec![Some(g.broadcast_to(dy, &shape))]
        }),
        kind: Kind::Lowered(|g, x, a| {
            let shape = rule::sizes("sum_to", &a[0].sizes())?;
            Ok(g.unbroadcast(x[0], &shape))
        }),
        reference: |x, _, out| {
            let (from, to) = (x[0].ty.shape, out.shape);
            let lead = from.rank() - to.rank();
            let mut y = host::generate(out, |_| 0.0);
            for (i, v) in x[0].data.iter().enumerate() {
                let at = host::unravel(i, &from);
                let at: Vec<usize> =
                    to.sizes().iter().zip(&at[lead..]).map(|(&d, &i)| if d == 1 { 0 } else { i }).collect();
                y.data[host::ravel(&at, &to)] += v;
            }
            y
        },
        formula: "np.reshape(np.sum(x, axis=tuple(i for i in range(np.ndim(x)) if i < np.ndim(x) - len(shape) or shape[i - np.ndim(x) + len(shape)] == 1), keepdims=True), shape)",
        domain: &[WIDE],
        smooth: true,
    }
    EXTENT = "extent"("x"; axis: IntsOrNone = Attr::None) {
        doc: "How many elements lie along axes, as a float32 scalar; follows the batch size.",
        class: Class::Kernel,
        accept: Accept::Exact,
        stored: Stored::Read(&[0]),
        infer: |types, attrs| {
            rule::arity("extent", types, 1)?;
            rule::axes(&attrs[0], &types[0].shape, "extent")?;
            Ok(Ty::f32(Shape::scalar()))
        },
        vjp: Vjp::Zero,
        kind: Kind::Kernel,
        reference: |x, a, out| host::generate(out, |_| extent(&x[0].ty.shape, &a[0])),
        formula: "np.float32(np.prod([np.shape(x)[i] for i in (range(np.ndim(x)) if axis is None else axis)]))",
        domain: &[WIDE],
        smooth: true,
    }
    ANY = "any"("x"; axis: IntsOrNone = Attr::None, keepdims: Bool = Attr::Bool(false)) {
        doc: "True where any element over axes is true (not 0).",
        class: Class::Composite,
        accept: Accept::Truth,
        infer: |types, attrs| infer_truth("any", types, attrs),
        vjp: Vjp::Lowered,
        kind: Kind::Lowered(|g, x, a| {
            let count = count_true(g, x[0], a, true)?;
            let zero = g.number(0.0);
            Ok(g.greater(count, zero))
        }),
        reference: |x, a, out| fold(x, a, out, |v| f64::from(u8::from(v.iter().any(|&e| e != 0.0)))),
        formula: "np.any(x, axis=axis, keepdims=keepdims)",
        domain: &[WIDE],
        smooth: true,
    }
    ALL = "all"("x"; axis: IntsOrNone = Attr::None, keepdims: Bool = Attr::Bool(false)) {
        doc: "True where all elements over axes are true (not 0).",
        class: Class::Composite,
        accept: Accept::Truth,
        infer: |types, attrs| infer_truth("all", types, attrs),
        vjp: Vjp::Lowered,
        kind: Kind::Lowered(|g, x, a| {
            let count = count_true(g, x[0], a, false)?;
            let zero = g.number(0.0);
            Ok(g.equal(count, zero))
        }),
        reference: |x, a, out| fold(x, a, out, |v| f64::from(u8::from(v.iter().all(|&e| e != 0.0)))),
        formula: "np.all(x, axis=axis, keepdims=keepdims)",
        domain: &[WIDE],
        smooth: true,
    }
    VARIANCE = "variance"("x"; axis: IntsOrNone = Attr::None, keepdims: Bool = Attr::Bool(false)) {
        doc: "The population variance over axes: the mean squared distance from the mean.",
        class: Class::Composite,
        accept: Accept::Float,
        infer: |types, attrs| infer_float("variance", types, attrs),
        vjp: Vjp::Rule(variance_vjp),
        kind: Kind::Lowered(lower_variance),
        reference: |x, a, out| fold(x, a, out, variance),
        formula: "np.var(x, axis=axis, keepdims=keepdims)",
        domain: &[WIDE],
        smooth: true,
    }
    STD = "std"("x"; axis: IntsOrNone = Attr::None, keepdims: Bool = Attr::Bool(false)) {
        doc: "The population standard deviation over axes: the root of the variance. The gradient is 0 where the elements are all equal.",
        class: Class::Composite,
        accept: Accept::Float,
        infer: |types, attrs| infer_float("std", types, attrs),
        vjp: Vjp::Lowered,
        kind: Kind::Lowered(lower_std),
        reference: |x, a, out| fold(x, a, out, |v| variance(v).sqrt()),
        formula: "np.std(x, axis=axis, keepdims=keepdims)",
        domain: &[WIDE],
        smooth: true,
    }
    LOGSUMEXP = "logsumexp"("x"; axis: IntsOrNone = Attr::None, keepdims: Bool = Attr::Bool(false)) {
        doc: "ln of the sum of e^x over axes, without overflow.",
        class: Class::Composite,
        accept: Accept::Float,
        infer: |types, attrs| {
            rule::arity("logsumexp", types, 1)?;
            rule::typed("logsumexp", "x", types[0], DType::F32)?;
            infer("logsumexp", types, attrs, Empty::Refused)
        },
        vjp: Vjp::Lowered,
        kind: Kind::Lowered(lower_logsumexp),
        reference: |x, a, out| fold(x, a, out, logsumexp),
        formula: "np.logaddexp.reduce(x, axis=axis, keepdims=keepdims)",
        domain: &[WIDE],
        smooth: true,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Empty {
    Defined,
    Refused,
}

fn infer(name: &str, types: &[Ty], attrs: &[Attr], empty: Empty) -> Result<Ty> {
    rule::arity(name, types, 1)?;
    let shape = types[0].shape;
    let axes = rule::axes(&attrs[0], &shape, name)?;
    let out = rule::reduced(&shape, &axes, attrs[1].flag())?;
    if empty == Empty::Refused
        && axes.iter().any(|&i| shape.dims()[i] == 0)
        && !out.dims().contains(&Dim::ZERO)
    {
        return shape_err!(
            "{name}: no elements along the reduced axes of {shape}\n  hint: check that the input is not empty"
        );
    }
    Ok(Ty { shape: out, dtype: types[0].dtype })
}

fn infer_float(name: &str, types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    let ty = infer(name, types, attrs, Empty::Defined)?;
    rule::typed(name, "x", types[0], DType::F32)?;
    Ok(ty)
}

fn infer_truth(name: &str, types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    let ty = infer(name, types, attrs, Empty::Defined)?;
    Ok(Ty { dtype: DType::Bool, ..ty })
}

fn infer_arg(name: &str, types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    let ty = infer(name, types, attrs, Empty::Refused)?;
    rule::typed(name, "x", types[0], DType::F32)?;
    let axes = rule::axes(&attrs[0], &types[0].shape, name)?;
    let along: Dim = axes.iter().map(|&a| types[0].shape.dims()[a]).product();
    if along.known().is_some_and(|n| n > i64::from(i32::MAX)) {
        return shape_err!(
            "{name}: {along} elements along the axis of {} are too many for int32 positions\n  hint: split it",
            types[0].shape
        );
    }
    Ok(Ty { dtype: DType::I32, ..ty })
}

fn fold(x: &[Host], attrs: &[Attr], out: Ty, f: impl Fn(&[f64]) -> f64) -> Host {
    let axes = rule::axes(&attrs[0], &x[0].ty.shape, "reduction").unwrap_or_default();
    host::fold(&x[0], &axes, out, f)
}

fn first(v: &[f64], better: impl Fn(f64, f64) -> bool) -> f64 {
    let mut best = 0;
    for (i, &e) in v.iter().enumerate().skip(1) {
        if !v[best].is_nan() && (e.is_nan() || better(v[best], e)) {
            best = i;
        }
    }
    best as f64
}

fn variance(v: &[f64]) -> f64 {
    let n = v.len() as f64;
    let mean = v.iter().sum::<f64>() / n;
    v.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / n
}

fn logsumexp(v: &[f64]) -> f64 {
    let top = v.iter().fold(f64::NEG_INFINITY, |m, &e| m.max(e));
    let top = if top.is_finite() { top } else { 0.0 };
    v.iter().map(|e| (e - top).exp()).sum::<f64>().ln() + top
}

/// How many elements lie along the axes.
#[must_use]
pub fn extent(shape: &Shape, axis: &Attr) -> f64 {
    let axes = rule::axes(axis, shape, "extent").unwrap_or_default();
    axes.iter().map(|&i| shape.sizes()[i] as f64).product()
}

pub(crate) fn extent_step(ctx: &StepCtx<'_>) -> Result<()> {
    let value = extent(&ctx.inputs[0].ty.shape, &ctx.attrs[0]) as f32;
    // SAFETY: the executor hands steps an output that covers its shape, here one element.
    unsafe { ctx.output.floats().write(value) };
    Ok(())
}

/// `v`, shaped as the reduction `y` of `x`, brought back to the shape of `x`.
fn spread(g: &mut Graph, y: Id, x: Id, v: Id) -> Id {
    let shape = g.shape_of(x);
    let kept = with_axes(g, y, x, v);
    g.broadcast_to(kept, &shape)
}

/// `v`, shaped as the reduction `y` of `x`, with the reduced axes put back as ones.
fn with_axes(g: &mut Graph, y: Id, x: Id, v: Id) -> Id {
    let shape = g.shape_of(x);
    let axes = rule::axes(&g.node(y).attrs[0], &shape, g.node(y).op.name);
    let kept = axes.and_then(|axes| rule::reduced(&shape, &axes, true));
    match kept {
        Ok(kept) => g.reshape_to(v, &kept),
        Err(e) => {
            g.fault.get_or_insert(e);
            v
        }
    }
}

/// The gradient of max and min: equal shares to the elements that attain the result.
fn extreme_vjp(g: &mut Graph, y: Id, x: &[Id], dy: Id) -> Vec<Option<Id>> {
    if !g.dtype_of(x[0]).is_float() {
        return vec![None];
    }
    let axis = g.node(y).attrs[0].clone();
    let best = with_axes(g, y, x[0], y);
    let hit = g.equal(x[0], best);
    let hit = g.to_float(hit);
    let ties = g.build(&SUM, &[hit], &[axis, Attr::Bool(true)]);
    let dy = with_axes(g, y, x[0], dy);
    let share = g.div(dy, ties);
    vec![Some(g.mul(hit, share))]
}

/// For each element of `x`, the product of the others that the product `y` takes in with it.
///
/// Zeros are kept apart, so that nothing is divided by one: with `away` the product of all other
/// elements, an element that is no zero gets `away / element * (product of the zeros)`; a zero
/// gets `away` when it is the only one, `away * (the other)` when there are two, else 0. As said
/// in terms of `x`, second derivatives are right too.
fn product_of_others(g: &mut Graph, y: Id, x: Id) -> Id {
    let over = [g.node(y).attrs[0].clone(), Attr::Bool(true)];
    let (zero, one) = (g.number(0.0), g.number(1.0));
    let is_zero = g.equal(x, zero);
    let filled = g.where_(is_zero, one, x);
    let zeros = g.where_(is_zero, x, one);
    let away = g.build(&PROD, &[filled], &over);
    let product = g.build(&PROD, &[zeros], &over);
    let part = g.div(away, filled);
    let apart = g.mul(part, product);
    let hits = g.to_float(is_zero);
    let count = g.build(&SUM, &[hits], &over);
    let among = g.where_(is_zero, x, zero);
    let sum = g.build(&SUM, &[among], &over);
    let other = g.sub(sum, x);
    let two = g.number(2.0);
    let (single, double) = (g.equal(count, one), g.equal(count, two));
    let rest = g.where_(double, other, zero);
    let rest = g.where_(single, one, rest);
    let rest = g.mul(away, rest);
    g.where_(is_zero, rest, apart)
}

/// How many elements are true (or false) over axes; a sum is defined over no elements too.
fn count_true(g: &mut Graph, x: Id, a: &[Attr], wanted: bool) -> Result<Id> {
    let t = g.cast(x, DType::Bool);
    let t = if wanted { t } else { g.logical_not(t) };
    let t = g.to_float(t);
    g.try_add(&SUM, &[t], a)
}

/// dx = 2 dy (x - mean) / n. That the mean moves with x changes nothing: distances from it add up to 0.
fn variance_vjp(g: &mut Graph, y: Id, x: &[Id], dy: Id) -> Vec<Option<Id>> {
    let axis = g.node(y).attrs[0].clone();
    let count = g.extent(x[0], &axis);
    let mean = g.build(&MEAN, &[x[0]], &[axis, Attr::Bool(true)]);
    let away = g.sub(x[0], mean);
    let part = g.mul_scalar(dy, 2.0);
    let part = g.div(part, count);
    let part = with_axes(g, y, x[0], part);
    vec![Some(g.mul(away, part))]
}

fn lower_variance(g: &mut Graph, x: &[Id], a: &[Attr]) -> Result<Id> {
    let mean = g.try_add(&MEAN, &[x[0]], &[a[0].clone(), Attr::Bool(true)])?;
    let away = g.sub(x[0], mean);
    let square = g.square(away);
    g.try_add(&MEAN, &[square], a)
}

/// The root of the variance. Deviations whose squares would leave the range of f32 are first
/// multiplied by a power of two, which is exact; mostly by 1.
fn lower_std(g: &mut Graph, x: &[Id], a: &[Attr]) -> Result<Id> {
    let kept = [a[0].clone(), Attr::Bool(true)];
    let mean = g.try_add(&MEAN, &[x[0]], &kept)?;
    let mut away = g.sub(x[0], mean);
    let shape = g.shape_of(x[0]);
    let empty = shape.dims().contains(&Dim::ZERO);
    let mut back = None;
    if !empty {
        let size = g.abs(away);
        let largest = g.try_add(&MAX, &[size], &kept)?;
        let scale = g.scale_of_squares(largest);
        away = g.mul(away, scale);
        back = Some(scale);
    }
    let square = g.square(away);
    let variance = g.try_add(&MEAN, &[square], a)?;
    let root = g.sqrt_flat(variance);
    Ok(match back {
        Some(scale) => {
            let shape = g.shape_of(root);
            let scale = g.reshape_to(scale, &shape);
            g.div(root, scale)
        }
        None => root,
    })
}

fn lower_logsumexp(g: &mut Graph, x: &[Id], a: &[Attr]) -> Result<Id> {
    let top = g.try_add(&MAX, &[x[0]], &[a[0].clone(), Attr::Bool(true)])?;
    let finite = g.is_finite(top);
    let zero = g.number(0.0);
    let top = g.where_(finite, top, zero);
    let top = g.stop_gradient(top);
    let low = g.sub(x[0], top);
    let e = g.exp(low);
    let sum = g.try_add(&SUM, &[e], a)?;
    let log = g.log(sum);
    let shape = g.shape_of(log);
    let top = g.reshape_to(top, &shape);
    Ok(g.add_(log, top))
}
