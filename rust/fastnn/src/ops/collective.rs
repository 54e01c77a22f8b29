//! What several processes that run the same program do together. The core knows of no network: the
//! host that starts the processes names a function which sums over them, and without one a process
//! is alone.

use super::build::Build;
use super::rule;
use crate::error::{Error, Result};
use crate::graph::{Accept, Attr, Class, Host, Kind, Node, OpDef, StepCtx, Vjp};
use crate::shape::DType;
use crate::shape_err;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Replaces the values, times the scale of this process, by their sums over all processes. `place`
/// says which part of the program asks, so that processes which have come to different places can be
/// told apart. Called by the thread that runs the program, with no lock held.
pub type Collective = fn(place: i64, values: &mut [f32], scale: f32) -> Result<()>;

static COLLECTIVE: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Names the function that sums over the processes; `None`: this process is alone.
pub fn set_collective(collective: Option<Collective>) {
    let function = collective.map_or(std::ptr::null_mut(), |f| f as *mut ());
    COLLECTIVE.store(function, Ordering::Release);
}

/// Does computing this node wait for other processes?
pub(crate) fn meets(node: &Node) -> bool {
    op_meets(node.op, &node.attrs)
}

/// Does computing this op wait for other processes?
pub(crate) fn op_meets(op: &OpDef, attrs: &[Attr]) -> bool {
    let inner = |attr: &Attr| attr.body().is_some_and(|body| body.graph.nodes.iter().any(meets));
    std::ptr::eq(op, &ALL_REDUCE) || attrs.iter().any(inner)
}

rows! {
    ALL_REDUCE = "all_reduce"("x", "weight"; place: Int = Attr::Int(0), scaled: Bool = Attr::Bool(false)) {
        doc: "The sum of x over all processes that train together; x itself in a process that is alone. With scaled, each process counts by its weight: the sum is that of x times weight. They meet in the order of the program, and place tells apart where in it. The gradient is that of the mean of what the processes compute, each counted by its weight, a number of at least 0, on which the value depends with scaled only.",
        class: Class::Kernel,
        accept: Accept::Float,
        infer: |types, _| {
            rule::arity("all_reduce", types, 2)?;
            rule::typed("all_reduce", "x", types[0], DType::F32)?;
            rule::typed("all_reduce", "weight", types[1], DType::F32)?;
            if types[1].shape.rank() != 0 {
                return shape_err!("all_reduce: weight has shape {}, wanted a number\n  hint: one for the whole process", types[1].shape);
            }
            Ok(types[0])
        },
        // The mean of all results changes with x by the weighted sum of all gradients. Whoever takes
        // this one counts it by the weight of this process, which is therefore taken out.
        vjp: Vjp::Rule(|g, y, x, dy| {
            let place = g.node(y).attrs[0].int();
            let (zero, one) = (g.number(0.0), g.number(1.0));
            let counts = g.greater(x[1], zero);
            let divisor = g.where_(counts, x[1], one);
            let scaled = g.node(y).attrs[1] == Attr::Bool(true);
            let all = g.build(&ALL_REDUCE, &[dy, x[1]], &[Attr::Int(-1 - place), Attr::Bool(true)]);
            if !scaled {
                return vec![Some(g.div(all, divisor)), None];
            }
            // A process that counts for nothing may hold anything, which must not reach the others.
            let dx = g.where_(counts, all, zero);
            let each = g.mul(x[0], all);
            let total = g.sum_all(each);
            vec![Some(dx), Some(g.div(total, divisor))]
        }),
        kind: Kind::Kernel,
        reference: |x, a, out| {
            let scale = if a[1] == Attr::Bool(true) { x[1].data[0] } else { 1.0 };
            Host { ty: out, data: x[0].data.iter().map(|v| v * scale).collect() }
        },
        formula: "x * weight if scaled else x",
        domain: &[(-3.0, 3.0), (0.1, 1.0)],
        smooth: true,
        writes_over: &[(0, 0)],
    }
}

pub(crate) fn all_reduce_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (x, out) = (ctx.inputs[0], ctx.output);
    if x.ty != out.ty || out.ty.dtype != DType::F32 {
        return Err(Error::Internal(format!("all_reduce of {} to {}", x.ty, out.ty)));
    }
    let count = out.ty.shape.count();
    if x.ptr != out.ptr {
        // SAFETY: the executor hands steps buffers that cover their shapes and do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(x.floats(), out.floats(), count) };
    }
    // SAFETY: the weight is a number, which the row has checked; the result is this step's alone, and the
    // copy has filled it.
    let (scale, values) = unsafe {
        let scale = if ctx.attrs[1] == Attr::Bool(true) { *ctx.inputs[1].floats() } else { 1.0 };
        (scale, std::slice::from_raw_parts_mut(out.floats(), count))
    };
    let collective = COLLECTIVE.load(Ordering::Acquire);
    if collective.is_null() {
        scale_by(values, scale);
        return Ok(());
    }
    // SAFETY: only `set_collective` stores here, and it stores a `Collective`.
    let collective = unsafe { std::mem::transmute::<*mut (), Collective>(collective) };
    collective(ctx.attrs[0].int(), values, scale)
}

/// What a process lays down for a sum where nobody does it on the way.
pub fn scale_by(values: &mut [f32], scale: f32) {
    if scale != 1.0 {
        values.iter_mut().for_each(|value| *value *= scale);
    }
}
