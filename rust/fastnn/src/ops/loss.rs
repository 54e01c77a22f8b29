//! Losses on logits, one number per sample and no reduction. The forms on probabilities, with
//! Keras's clipping, are composed by the front.

use super::build::Build;
use super::host;
use super::normalize::{LOG_SOFTMAX_LAST, SOFTMAX_LAST, rows_of};
use super::rule;
use crate::error::Result;
use crate::graph::{Accept, Attr, Class, Graph, Id, Kind, StepCtx, Ty, Vjp};
use crate::kernels::softmax as kernel;
use crate::shape::{DType, Shape};
use crate::{data_err, shape_err};

const LOGITS: (f32, f32) = (-3.0, 3.0);

rows! {
    SOFTMAX_CROSS_ENTROPY = "softmax_cross_entropy"("target", "logits") {
        doc: "-sum(target * log_softmax(logits)) over the last axis; target holds probabilities. (..., n), (..., n) -> (...).",
        class: Class::Composite,
        accept: Accept::Float,
        infer: infer_softmax,
        vjp: Vjp::Lowered,
        kind: Kind::Lowered(|g, x, _| {
            let log = g.try_add(&LOG_SOFTMAX_LAST, &[x[1]], &[])?;
            let part = g.mul(x[0], log);
            let sum = g.sum(part, &[-1], false);
            Ok(g.neg(sum))
        }),
        reference: |x, _, out| {
            let log = (LOG_SOFTMAX_LAST.reference)(&x[1..], &[], x[1].ty);
            let n = x[1].ty.shape.sizes().last().copied().unwrap_or(1);
            host::generate(out, |i| -(i * n..(i + 1) * n).map(|k| x[0].data[k] * log.data[k]).sum::<f64>())
        },
        formula: "-np.sum(target * (logits - np.max(logits, -1, keepdims=True) - np.log(np.sum(np.exp(logits - np.max(logits, -1, keepdims=True)), -1, keepdims=True))), -1)",
        domain: &[(0.0, 1.0), LOGITS],
        smooth: true,
    }
    SPARSE_SOFTMAX_CROSS_ENTROPY = "sparse_softmax_cross_entropy"("logits", "labels") {
        doc: "-log_softmax(logits)[label] over the last axis; labels (int32) outside 0..n are an error. (..., n), (...) -> (...).",
        class: Class::Kernel,
        accept: Accept::Exact,
        infer: infer_sparse,
        vjp: Vjp::Rule(sparse_vjp),
        kind: Kind::Kernel,
        reference: |x, _, out| {
            let log = (LOG_SOFTMAX_LAST.reference)(&x[..1], &[], x[0].ty);
            let n = x[0].ty.shape.sizes().last().copied().unwrap_or(1);
            let at = |i: usize| Some(x[1].data[i]).filter(|&l| l >= 0.0 && l < n as f64).map(|l| i * n + l as usize);
            host::generate(out, |i| at(i).map_or(f64::NAN, |k| -log.data[k]))
        },
        formula: "np.logaddexp.reduce(logits, -1) - np.take_along_axis(logits, labels[..., None], -1)[..., 0]",
        domain: &[LOGITS, (0.0, 3.0)],
        smooth: true,
    }
    SIGMOID_CROSS_ENTROPY = "sigmoid_cross_entropy"("target", "logits") {
        doc: "-t ln(p) - (1 - t) ln(1 - p) with p = sigmoid(logits), elementwise, without overflow.",
        class: Class::Composite,
        accept: Accept::Float,
        infer: |types, _| rule::elementwise(rule::Takes {
            name: "sigmoid_cross_entropy",
            count: 2,
            accept: Accept::Float,
            int: false,
            gives: rule::Gives::Same,
        }, types),
        vjp: Vjp::Lowered,
        // softplus(x) - x t equals Keras's relu(x) - x t + log1p(e^-|x|), and its gradient is
        // right at x = 0 too.
        kind: Kind::Lowered(|g, x, _| {
            let s = g.softplus(x[1]);
            let xt = g.mul(x[1], x[0]);
            Ok(g.sub(s, xt))
        }),
        reference: |x, _, out| host::map(x, out, |[t, x]| x.max(0.0) - x * t + (-x.abs()).exp().ln_1p()),
        formula: "np.logaddexp(logits, 0) - logits * target",
        domain: &[(0.0, 1.0), (-4.0, 4.0)],
        smooth: true,
    }
}

fn infer_softmax(types: &[Ty], _: &[Attr]) -> Result<Ty> {
    rule::arity("softmax_cross_entropy", types, 2)?;
    rule::typed("softmax_cross_entropy", "target", types[0], DType::F32)?;
    rule::typed("softmax_cross_entropy", "logits", types[1], DType::F32)?;
    let (target, logits) = (types[0].shape, types[1].shape);
    if rule::meet(target.dims(), logits.dims()).is_none() || logits.rank() == 0 {
        return shape_err!(
            "softmax_cross_entropy: target {target} and logits {logits} need one shape with at least 1 axis\n  hint: for class numbers use sparse_softmax_cross_entropy"
        );
    }
    Ok(Ty::f32(Shape::new(&logits.dims()[..logits.rank() - 1])?))
}

fn infer_sparse(types: &[Ty], _: &[Attr]) -> Result<Ty> {
    const NAME: &str = "sparse_softmax_cross_entropy";
    rule::arity(NAME, types, 2)?;
    rule::typed(NAME, "logits", types[0], DType::F32)?;
    rule::typed(NAME, "labels", types[1], DType::I32)?;
    let (logits, labels) = (types[0].shape, types[1].shape);
    if logits.rank() == 0 || rule::meet(labels.dims(), &logits.dims()[..logits.rank() - 1]).is_none() {
        return shape_err!(
            "{NAME}: labels {labels} do not fit logits {logits}\n  hint: labels have the shape of logits without the last axis"
        );
    }
    Ok(Ty::f32(labels))
}

/// d logits = (softmax(logits) - one_hot(labels)) dy.
fn sparse_vjp(g: &mut Graph, _: Id, x: &[Id], dy: Id) -> Vec<Option<Id>> {
    let shape = g.shape_of(x[0]);
    let p = g.build(&SOFTMAX_LAST, &[x[0]], &[]);
    let hot = g.one_hot(x[1], shape.dims()[shape.rank() - 1]);
    let away = g.sub(p, hot);
    let dy = g.expand_dims(dy, -1);
    vec![Some(g.mul(away, dy)), None]
}

/// What is said of a label that is none of `n` classes.
#[must_use]
pub fn outside(label: &str, place: &str, n: usize) -> String {
    format!(
        "sparse_softmax_cross_entropy: label {label} at position {place} is outside 0..{n} ({n} logits per sample)\n  hint: labels count from 0, or the last layer needs more units"
    )
}

pub(crate) fn sparse_step(ctx: &StepCtx<'_>) -> Result<()> {
    let [logits, labels] = [ctx.inputs[0], ctx.inputs[1]];
    let (rows, n) = rows_of(&logits.ty.shape);
    let values = labels.ints();
    for i in 0..rows {
        // SAFETY: the executor hands steps buffers that cover their shapes; labels have `rows`.
        let label = unsafe { values.add(i).read() };
        if label < 0 || label as usize >= n {
            return data_err!("{}", outside(&label.to_string(), &i.to_string(), n));
        }
    }
    // SAFETY: as above.
    unsafe {
        kernel::sparse_cross_entropy_on(ctx.isa, logits.floats(), values, ctx.output.floats(), rows, n)
    };
    Ok(())
}
