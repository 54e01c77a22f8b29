//! Attention as one row: no matrix of weights in memory, and the gradient as a row that computes them
//! again. What is not wanted is a scalar: bias 0, mask true, more lengths than there are keys.

mod equivalent;
mod oracle;

use super::build::Build;
use super::random::{key_of, scale as kept_scale};
use super::rule;
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Accept, Arg, Attr, Class, Graph, Host, Id, Kind, PartDef, StepCtx, Ty, Vjp};
use crate::kernels::attention::{self as kernel, Attention, Counts, Dropped, Grads, Wide};
use crate::shape::{DType, Shape};
use crate::{data_err, shape_err};

const WIDE: (f32, f32) = (-2.0, 2.0);
const TRUTH: (f32, f32) = (0.0, 1.0);
const COUNT: (f32, f32) = (0.0, 5.0);
const KEY: (f32, f32) = (0.0, 1000.0);

rows! {
    ATTENTION = "attention"("q", "k", "v", "bias", "mask", "lengths", "start", "key"; scale: Float, causal: Bool = Attr::Bool(false), rate: Float = Attr::Float(0.0), stream: Int = Attr::Int(0)) {
        doc: "softmax(scale q kᵀ + bias) v for each head, and the logarithm of the softmax's sum. q is (batch, queries, heads, width), k (batch, keys, groups, width), v (batch, keys, groups, value width); heads are a multiple of groups, and neighbours share one. bias and mask (bool, where a key is seen) are (batch, heads, queries, keys) with sizes of 1 where all share, or scalars; lengths and start (int32) are (batch,) or scalars: keys from lengths on are not seen and, if causal, query t sees keys up to start + t. Weights are dropped with probability rate, as dropout(weights, key) does. A query that sees no key gives 0.",
        class: Class::Kernel,
        accept: Accept::Exact,
        infer: |types, attrs| Ok(sizes("attention", types, attrs)?.out),
        vjp: Vjp::Short { rule: vjp, results: 1, constant: &[3], equivalent: equivalent::there },
        kind: Kind::Kernel,
        reference: |x, a, out| Host { ty: out, data: oracle::there(x, a).swap_remove(0) },
        formula: "attention(q, k, v, bias, mask, lengths, start, scale, causal)[0]",
        domain: &[WIDE, WIDE, WIDE, WIDE, TRUTH, COUNT, COUNT, KEY],
        smooth: true,
        parts: &[PartDef {
            name: "lse",
            infer: |types, attrs| sizes("attention", types, attrs)?.lse(),
            reference: |x, a, out| Host { ty: out, data: oracle::there(x, a).swap_remove(1) },
            formula: "attention(q, k, v, bias, mask, lengths, start, scale, causal)[1]",
        }],
    }
    ATTENTION_GRAD = "attention_grad"("dout", "q", "k", "v", "bias", "mask", "lengths", "start", "key", "out", "lse"; scale: Float, causal: Bool = Attr::Bool(false), rate: Float = Attr::Float(0.0), stream: Int = Attr::Int(0)) {
        doc: "The gradients of attention by q, k and v from that of its outputs, its operands, and its results.",
        class: Class::Kernel,
        accept: Accept::Exact,
        infer: |types, attrs| { grad_sizes(types, attrs)?; Ok(types[1]) },
        vjp: Vjp::Through(equivalent::back),
        kind: Kind::Kernel,
        reference: |x, a, out| Host { ty: out, data: oracle::back(x, a).swap_remove(0) },
        formula: "attention_grad(dout, q, k, v, bias, mask, lengths, start, out, lse, scale, causal)[0]",
        domain: &[WIDE, WIDE, WIDE, WIDE, WIDE, TRUTH, COUNT, COUNT, KEY, WIDE, (2.0, 4.0)],
        smooth: true,
        parts: &[
            PartDef {
                name: "dk",
                infer: |types, attrs| { grad_sizes(types, attrs)?; Ok(types[2]) },
                reference: |x, a, out| Host { ty: out, data: oracle::back(x, a).swap_remove(1) },
                formula: "attention_grad(dout, q, k, v, bias, mask, lengths, start, out, lse, scale, causal)[1]",
            },
            PartDef {
                name: "dv",
                infer: |types, attrs| { grad_sizes(types, attrs)?; Ok(types[3]) },
                reference: |x, a, out| Host { ty: out, data: oracle::back(x, a).swap_remove(2) },
                formula: "attention_grad(dout, q, k, v, bias, mask, lengths, start, out, lse, scale, causal)[2]",
            },
        ],
    }
}

/// Shapes that the operands of attention agree on.
struct Sizes {
    out: Ty,
    /// Batch, heads, queries, keys.
    weights: [Dim; 4],
}

impl Sizes {
    fn lse(&self) -> Result<Ty> {
        Ok(Ty::f32(Shape::new(&self.weights[..3])?))
    }
}

fn sizes(name: &str, x: &[Ty], attrs: &[Attr]) -> Result<Sizes> {
    rule::arity(name, x, 8)?;
    for (arg, ty) in ["q", "k", "v"].iter().zip(x) {
        rule::typed(name, arg, *ty, DType::F32)?;
    }
    let (&[batch, queries, heads, width], &[b2, keys, groups, w2], &[b3, k3, g3, values]) =
        (x[0].shape.dims(), x[1].shape.dims(), x[2].shape.dims())
    else {
        return shape_err!(
            "{name}: q is {}, k {} and v {}, wanted (batch, steps, heads, width) each\n  hint: reshape splits a last axis into heads",
            x[0],
            x[1],
            x[2]
        );
    };
    let agree = |a: Dim, b: Dim| a.meet(b).is_some();
    if !(agree(batch, b2) && agree(batch, b3) && agree(keys, k3) && agree(groups, g3)) {
        return shape_err!(
            "{name}: q is {}, k {} and v {}\n  hint: one batch for all; k and v have as many steps and heads",
            x[0],
            x[1],
            x[2]
        );
    }
    if !agree(width, w2) {
        return shape_err!(
            "{name}: queries q {} and keys k {} are of different width\n  hint: both are projected to one width",
            x[0],
            x[1]
        );
    }
    let shared = match (heads.known(), groups.known()) {
        (Some(h), Some(g)) => h == g || (g > 0 && h % g == 0),
        _ => heads == groups,
    };
    if !shared {
        return shape_err!(
            "{name}: {heads} heads of q do not divide among the {groups} of k\n  hint: heads are a multiple of the groups of keys"
        );
    }
    let weights = [batch, heads, queries, keys];
    for (arg, ty, dtype) in [("bias", x[3], DType::F32), ("mask", x[4], DType::Bool)] {
        rule::typed(name, arg, ty, dtype)?;
        let fits = |(&own, &all): (&Dim, &Dim)| own == Dim::ONE || agree(own, all);
        let dims = ty.shape.dims();
        if !dims.is_empty() && (dims.len() != 4 || !dims.iter().zip(&weights).all(fits)) {
            return shape_err!(
                "{name}: {arg} is {ty}, wanted (batch, heads, queries, keys), here ({batch}, {heads}, {queries}, {keys}) with 1 where all share, or a scalar\n  hint: expand_dims adds axes of size 1"
            );
        }
    }
    for (arg, ty) in [("lengths", x[5]), ("start", x[6])] {
        rule::typed(name, arg, ty, DType::I32)?;
        if !matches!(*ty.shape.dims(), []) && rule::meet(ty.shape.dims(), &[batch]).is_none() {
            return shape_err!(
                "{name}: {arg} is {ty}, wanted ({batch},) or a scalar\n  hint: one number per row of the batch"
            );
        }
    }
    rule::typed(name, "key", x[7], DType::I32)?;
    if x[7].shape.dims() != [4] {
        return data_err!(
            "{name}: key has shape {}, wanted (4,)\n  hint: it is (seed low, seed high, counter, 0)",
            x[7].shape
        );
    }
    let rate = attrs[2].float();
    if !(0.0..=1.0).contains(&rate) {
        return data_err!("{name}: rate {rate} is not between 0 and 1\n  hint: it is the fraction dropped");
    }
    Ok(Sizes { out: Ty::f32(Shape::new(&[batch, queries, heads, values])?), weights })
}

fn grad_sizes(x: &[Ty], attrs: &[Attr]) -> Result<()> {
    let name = "attention_grad";
    rule::arity(name, x, 11)?;
    let sizes = sizes(name, &x[1..9], attrs)?;
    for (arg, ty, want) in [("dout", x[0], sizes.out), ("out", x[9], sizes.out), ("lse", x[10], sizes.lse()?)]
    {
        rule::typed(name, arg, ty, DType::F32)?;
        if rule::meet(ty.shape.dims(), want.shape.dims()).is_none() {
            return shape_err!("{name}: {arg} is {ty}, wanted {want}\n  hint: pass the results of attention");
        }
    }
    Ok(())
}

fn vjp(g: &mut Graph, y: Id, x: &[Id], dys: &[Option<Id>]) -> Vec<Option<Id>> {
    let attrs = g.node(y).attrs.clone();
    let dout = dys[0].unwrap_or_else(|| g.zeros_like(y));
    let lse = g.part(y, 1);
    let dq = g.build(&ATTENTION_GRAD, &[&[dout], x, &[y, lse]].concat(), &attrs);
    let (dk, dv) = (g.part(dq, 1), g.part(dq, 2));
    vec![Some(dq), Some(dk), Some(dv), None, None, None, None, None]
}

/// An operand of the weights' four axes; `None` where it is the scalar that changes nothing.
fn wide(arg: &Arg, nothing: f32) -> Option<Wide> {
    let ptr = arg.floats().cast_const();
    if arg.ty.shape.rank() == 0 {
        // SAFETY: the executor hands steps buffers that cover their types.
        let lone = unsafe { *ptr };
        return (lone != nothing).then_some(Wide { ptr, strides: [0; 4] });
    }
    let (sizes, strides) = (arg.ty.shape.sizes(), arg.ty.shape.strides());
    Some(Wide { ptr, strides: std::array::from_fn(|i| if sizes[i] == 1 { 0 } else { strides[i] }) })
}

fn counts(arg: &Arg) -> Counts {
    Counts { ptr: arg.ints().cast_const(), lone: arg.ty.shape.rank() == 0 }
}

/// The call of a step whose operands begin at `from`.
fn call(ctx: &StepCtx<'_>, from: usize) -> Attention {
    let x = &ctx.inputs[from..];
    let (q, k, v) = (x[0].ty.shape.sizes(), x[1].ty.shape.sizes(), x[2].ty.shape.sizes());
    let rate = ctx.attrs[2].float();
    let key = key_of(&x[7], &ctx.attrs[3]);
    Attention {
        batch: q[0],
        queries: q[1],
        keys: k[1],
        heads: q[2],
        groups: k[2],
        width: q[3],
        value_width: v[3],
        scale: ctx.attrs[0].float() as f32,
        causal: ctx.attrs[1].flag(),
        q: x[0].floats(),
        k: x[1].floats(),
        v: x[2].floats(),
        bias: wide(&x[3], 0.0),
        mask: wide(&x[4], 1.0),
        lengths: counts(&x[5]),
        start: counts(&x[6]),
        dropped: (rate > 0.0).then(|| Dropped { key, rate: rate as f32, scale: kept_scale(rate) as f32 }),
    }
}

pub(crate) fn attention_step(ctx: &StepCtx<'_>) -> Result<()> {
    // SAFETY: the executor hands steps buffers that cover their types, or null for unread results;
    // the rule saw that the sizes fit. Likewise below.
    unsafe { kernel::attention(ctx.isa, &call(ctx, 0), ctx.output.floats(), ctx.parts[0].floats()) };
    Ok(())
}

pub(crate) fn attention_grad_step(ctx: &StepCtx<'_>) -> Result<()> {
    let x = ctx.inputs;
    let grads = Grads {
        dout: x[0].floats(),
        out: x[9].floats(),
        lse: x[10].floats(),
        dq: ctx.output.floats(),
        dk: ctx.parts[0].floats(),
        dv: ctx.parts[1].floats(),
    };
    // SAFETY: as for attention.
    unsafe { kernel::attention_grad(ctx.isa, &call(ctx, 1), &grads) };
    Ok(())
}
