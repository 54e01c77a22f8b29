//! F4. Joins: tensors one after another along an axis.

use super::super::build::Build;
use super::super::{host, rule};
use super::SLICE;
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Attr, Graph, Host, Id, StepCtx, Ty};
use crate::kernels::join::spread;
use crate::shape::Shape;
use crate::{data_err, shape_err};

pub(super) fn infer_concatenate(types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    let Some(first) = types.first() else {
        return shape_err!("concatenate: no tensors\n  hint: give at least one");
    };
    let axis = first.shape.axis(attrs[0].int(), "concatenate")?;
    let mut dims = first.shape.dims().to_vec();
    for t in &types[1..] {
        let other = t.shape.dims();
        let met = |i: usize| if i == axis { Some(dims[i] + other[i]) } else { dims[i].meet(other[i]) };
        let met: Option<Vec<Dim>> =
            if other.len() == dims.len() { (0..dims.len()).map(met).collect() } else { None };
        let Some(met) = met else {
            return shape_err!(
                "concatenate: shapes {} and {} differ outside axis {axis}\n  hint: only the joined axis may differ",
                first.shape,
                t.shape
            );
        };
        if t.dtype != first.dtype {
            return data_err!(
                "concatenate: inputs of different types, {first} and {t}\n  hint: cast one of them"
            );
        }
        dims = met;
    }
    Ok(Ty { shape: Shape::new(&dims)?, dtype: first.dtype })
}

pub(super) fn concatenate_vjp(g: &mut Graph, y: Id, x: &[Id], dy: Id) -> Vec<Option<Id>> {
    let shape = g.shape_of(y);
    let Ok(axis) = shape.axis(g.node(y).attrs[0].int(), "concatenate") else {
        return vec![None; x.len()];
    };
    let mut at = Dim::ZERO;
    let mut out = vec![];
    for &input in x {
        let n = g.shape_of(input).dims()[axis];
        let mut begin = vec![Dim::ZERO; shape.rank()];
        let mut end = shape.dims().to_vec();
        (begin[axis], end[axis]) = (at, at + n);
        at = at + n;
        let step = Attr::Ints(vec![1; shape.rank()]);
        out.push(Some(g.build(&SLICE, &[dy], &[Attr::Sizes(begin), Attr::Sizes(end), step])));
    }
    out
}

pub(crate) fn concatenate_step(ctx: &StepCtx<'_>) -> Result<()> {
    let axis = ctx.output.ty.shape.axis(ctx.attrs[0].int(), "concatenate")?;
    let (outer, size, inner) = rule::around(&ctx.output.ty.shape, axis);
    let element = ctx.output.ty.dtype.size();
    let mut at = 0;
    for input in ctx.inputs {
        let run = input.ty.shape.sizes()[axis] * inner * element;
        // SAFETY: buffers cover their shapes; the inputs' sizes along the axis add up to `size`.
        unsafe { spread(input.ptr, ctx.output.ptr.add(at), outer, run, size * inner * element) };
        at += run;
    }
    Ok(())
}

pub(super) fn concatenate_reference(x: &[Host], a: &[Attr], out: Ty) -> Host {
    let axis = out.shape.axis(a[0].int(), "concatenate").unwrap_or(0);
    host::generate(out, |i| {
        let mut at = host::unravel(i, &out.shape);
        let mut k = 0;
        while at[axis] >= x[k].ty.shape.sizes()[axis] {
            at[axis] -= x[k].ty.shape.sizes()[axis];
            k += 1;
        }
        x[k].data[host::ravel(&at[..out.shape.rank()], &x[k].ty.shape)]
    })
}
