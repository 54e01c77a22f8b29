//! Rows along an axis made comparable: softmax, log-softmax, layer normalisation. The kernels
//! work on the last axis; other axes are moved there and back.

use super::build::Build;
use super::host;
use super::movement::TRANSPOSE;
use super::rule;
use crate::error::Result;
use crate::graph::{Accept, Attr, Class, Graph, Host, Id, Kind, OpDef, StepCtx, Ty, Vjp};
use crate::kernels::softmax as kernel;
use crate::shape::Shape;
use crate::shape_err;

const WIDE: (f32, f32) = (-3.0, 3.0);

rows! {
    SOFTMAX = "softmax"("x"; axis: Int = Attr::Int(-1)) {
        doc: "e^x divided by its sum along an axis, without overflow.",
        class: Class::Composite,
        accept: Accept::Float,
        infer: |types, attrs| infer_axis("softmax", types, attrs),
        vjp: Vjp::Lowered,
        kind: Kind::Lowered(|g, x, attrs| along(g, x[0], attrs, &SOFTMAX_LAST)),
        reference: |x, a, out| by_axis(&x[0], a, out, softmax),
        formula: "np.exp(x - np.max(x, axis, keepdims=True)) / np.sum(np.exp(x - np.max(x, axis, keepdims=True)), axis, keepdims=True)",
        domain: &[WIDE],
        smooth: true,
    }
    SOFTMAX_LAST = "softmax_last"("x") {
        doc: "softmax over the last axis.",
        class: Class::Kernel,
        accept: Accept::Float,
        infer: |types, _| infer_last("softmax_last", types),
        vjp: Vjp::Rule(|g, y, _, dy| {
            let part = g.mul(dy, y);
            let total = g.sum(part, &[-1], true);
            let shifted = g.sub(dy, total);
            vec![Some(g.mul(y, shifted))]
        }),
        kind: Kind::Kernel,
        reference: |x, _, _| host::by_row(&x[0], softmax),
        formula: "np.exp(x - np.max(x, -1, keepdims=True)) / np.sum(np.exp(x - np.max(x, -1, keepdims=True)), -1, keepdims=True)",
        domain: &[WIDE],
        smooth: true,
    }
    LOG_SOFTMAX = "log_softmax"("x"; axis: Int = Attr::Int(-1)) {
        doc: "ln(softmax(x)) along an axis: x - logsumexp(x).",
        class: Class::Composite,
        accept: Accept::Float,
        infer: |types, attrs| infer_axis("log_softmax", types, attrs),
        vjp: Vjp::Lowered,
        kind: Kind::Lowered(|g, x, attrs| along(g, x[0], attrs, &LOG_SOFTMAX_LAST)),
        reference: |x, a, out| by_axis(&x[0], a, out, log_softmax),
        formula: "x - np.max(x, axis, keepdims=True) - np.log(np.sum(np.exp(x - np.max(x, axis, keepdims=True)), axis, keepdims=True))",
        domain: &[WIDE],
        smooth: true,
    }
    LOG_SOFTMAX_LAST = "log_softmax_last"("x") {
        doc: "log_softmax over the last axis.",
        class: Class::Kernel,
        accept: Accept::Float,
        infer: |types, _| infer_last("log_softmax_last", types),
        vjp: Vjp::Rule(|g, y, _, dy| {
            let p = g.exp(y);
            let total = g.sum(dy, &[-1], true);
            let part = g.mul(p, total);
            vec![Some(g.sub(dy, part))]
        }),
        kind: Kind::Kernel,
        reference: |x, _, _| host::by_row(&x[0], log_softmax),
        formula: "x - np.max(x, -1, keepdims=True) - np.log(np.sum(np.exp(x - np.max(x, -1, keepdims=True)), -1, keepdims=True))",
        domain: &[WIDE],
        smooth: true,
    }
    LAYER_NORMALIZE = "layer_normalize"("x"; epsilon: Float = Attr::Float(1e-3)) {
        doc: "(x - mean) / sqrt(variance + epsilon) over the last axis, with the population variance (Ba, Kiros, Hinton 2016).",
        class: Class::Kernel,
        accept: Accept::Float,
        infer: |types, _| infer_last("layer_normalize", types),
        vjp: Vjp::Rule(layer_normalize_vjp),
        kind: Kind::Kernel,
        reference: |x, a, _| host::by_row(&x[0], |row| {
            let n = row.len() as f64;
            let mean = row.iter().sum::<f64>() / n;
            let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            row.iter().map(|v| (v - mean) / (variance + a[0].float()).sqrt()).collect()
        }),
        formula: "(x - np.mean(x, -1, keepdims=True)) / np.sqrt(np.var(x, -1, keepdims=True) + epsilon)",
        domain: &[WIDE],
        smooth: true,
    }
}

fn infer_last(name: &str, types: &[Ty]) -> Result<Ty> {
    let ty = rule::one_float(name, types)?;
    if ty.shape.rank() == 0 {
        return shape_err!("{name}: x is a scalar, wanted at least 1 axis\n  hint: reshape it to (1,)");
    }
    Ok(ty)
}

fn infer_axis(name: &str, types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    let ty = infer_last(name, types)?;
    ty.shape.axis(attrs[0].int(), name)?;
    Ok(ty)
}

/// (rows, row length).
pub(super) fn rows_of(shape: &Shape) -> (usize, usize) {
    let d = shape.sizes();
    (d[..d.len() - 1].iter().product(), d[d.len() - 1])
}

/// A row over the last axis, applied along the axis of attribute 0.
fn along(g: &mut Graph, x: Id, attrs: &[Attr], row: &'static OpDef) -> Result<Id> {
    let shape = g.shape_of(x);
    let axis = shape.axis(attrs[0].int(), row.name)?;
    if axis + 1 == shape.rank() {
        return g.try_add(row, &[x], &[]);
    }
    let mut order: Vec<i64> = (0..shape.rank() as i64).collect();
    order.swap(axis, shape.rank() - 1);
    let swap = [Attr::Ints(order)];
    let moved = g.try_add(&TRANSPOSE, &[x], &swap)?;
    let y = g.try_add(row, &[moved], &[])?;
    g.try_add(&TRANSPOSE, &[y], &swap)
}

fn by_axis(x: &Host, attrs: &[Attr], out: Ty, f: impl Fn(&[f64]) -> Vec<f64>) -> Host {
    let axis = out.shape.axis(attrs[0].int(), "softmax").unwrap_or(0);
    let (_, n, inner) = rule::around(&out.shape, axis);
    let rows: Vec<Vec<f64>> = host::groups(x, &[axis]).iter().map(|row| f(row)).collect();
    host::generate(out, |i| rows[i / (n * inner) * inner + i % inner][i / inner % n])
}

fn softmax(row: &[f64]) -> Vec<f64> {
    log_softmax(row).iter().map(|v| v.exp()).collect()
}

fn log_softmax(row: &[f64]) -> Vec<f64> {
    let top = row.iter().fold(f64::NEG_INFINITY, |m, &e| m.max(e));
    let log = row.iter().map(|e| (e - top).exp()).sum::<f64>().ln();
    row.iter().map(|e| e - top - log).collect()
}

/// The power of two that deviations may be multiplied by so that the sum of their squares and
/// epsilon, multiplied by its square, keep every digit that counts beside epsilon.
fn shrink_for(epsilon: f64) -> f64 {
    if epsilon <= 0.0 {
        return 1.0;
    }
    2f64.powi(-((112.0 + epsilon.log2()) / 2.0).clamp(0.0, 46.0) as i32)
}

/// With r = 1 / sqrt(variance + epsilon): dx = r (dy - mean(dy) - y mean(dy y)).
fn layer_normalize_vjp(g: &mut Graph, y: Id, x: &[Id], dy: Id) -> Vec<Option<Id>> {
    let epsilon = g.node(y).attrs[0].float();
    let mean = g.mean(x[0], &[-1], true);
    let away = g.sub(x[0], mean);
    // Shrunk by a power of two, which is exact: squares of deviations up to 1e30 stay finite.
    let shrink = shrink_for(epsilon);
    let small = g.mul_scalar(away, shrink);
    let square = g.square(small);
    let variance = g.mean(square, &[-1], true);
    let stable = g.add_scalar(variance, epsilon * shrink * shrink);
    let scale = g.rsqrt(stable);
    let scale = g.mul_scalar(scale, shrink);
    let mean_dy = g.mean(dy, &[-1], true);
    let product = g.mul(dy, y);
    let along = g.mean(product, &[-1], true);
    let part = g.mul(y, along);
    let level = g.sub(dy, mean_dy);
    let rest = g.sub(level, part);
    vec![Some(g.mul(rest, scale))]
}

pub(crate) fn softmax_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (rows, n) = rows_of(&ctx.output.ty.shape);
    // SAFETY: the executor hands steps buffers that cover their shapes. Likewise below.
    unsafe { kernel::softmax_on(ctx.isa, ctx.inputs[0].floats(), ctx.output.floats(), rows, n) };
    Ok(())
}

pub(crate) fn log_softmax_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (rows, n) = rows_of(&ctx.output.ty.shape);
    // SAFETY: as for softmax.
    unsafe { kernel::log_softmax_on(ctx.isa, ctx.inputs[0].floats(), ctx.output.floats(), rows, n) };
    Ok(())
}

pub(crate) fn layer_normalize_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (x, out) = (ctx.inputs[0], ctx.output);
    let epsilon = ctx.attrs[0].float() as f32;
    // SAFETY: as for softmax; no moments are kept.
    unsafe {
        kernel::normalise_on(
            ctx.isa,
            x.floats(),
            out.floats(),
            rows_of(&out.ty.shape),
            epsilon,
            kernel::Moments::NONE,
        )
    };
    Ok(())
}
