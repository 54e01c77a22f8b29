//! Layer normalisation with its scale and shift in one row, and its gradient in another.

use super::build::Build;
use super::host;
use super::normalize::rows_of;
use super::rule::{self, meet};
use crate::error::Result;
use crate::graph::{Accept, Arg, Attr, Class, Graph, Host, Id, Kind, PartDef, StepCtx, Ty, Vjp};
use crate::kernels::layer_norm::{self as kernel, Column, LayerNorm, LayerNormGrad};
use crate::shape::{DType, Shape};
use crate::shape_err;

const WIDE: (f32, f32) = (-3.0, 3.0);
const SCALE: (f32, f32) = (0.5, 1.5);

rows! {
    LAYER_NORM = "layer_norm"("x", "gamma", "beta"; epsilon: Float = Attr::Float(1e-3), center: Bool = Attr::Bool(true)) {
        doc: "(x - mean) / sqrt(variance + epsilon) gamma + beta over the last axis, the mean, and what was multiplied by; with center=False nothing is taken off, and x is divided by the root of its mean square. gamma and beta have one number per column, or are scalars.",
        class: Class::Kernel,
        accept: Accept::Float,
        infer: |types, _| { fits("layer_norm", types[0], &types[1..], types, 3)?; Ok(types[0]) },
        vjp: Vjp::Short { rule: vjp, results: 1, constant: &[], equivalent: there },
        kind: Kind::Kernel,
        reference: |x, a, out| Host { ty: out, data: oracle_there(x, a).swap_remove(0) },
        formula: "layer_norm(x, gamma, beta, epsilon, center)[0]",
        domain: &[WIDE, SCALE, WIDE],
        smooth: true,
        parts: &[
            PartDef {
                name: "mean",
                infer: |types, _| one_a_row(types[0]),
                reference: |x, a, out| Host { ty: out, data: oracle_there(x, a).swap_remove(1) },
                formula: "layer_norm(x, gamma, beta, epsilon, center)[1]",
            },
            PartDef {
                name: "scale",
                infer: |types, _| one_a_row(types[0]),
                reference: |x, a, out| Host { ty: out, data: oracle_there(x, a).swap_remove(2) },
                formula: "layer_norm(x, gamma, beta, epsilon, center)[2]",
            },
        ],
    }
    LAYER_NORM_GRAD = "layer_norm_grad"("dy", "x", "gamma", "mean", "scale"; center: Bool = Attr::Bool(true)) {
        doc: "The gradients of layer_norm by x, and by one gamma and one beta per column.",
        class: Class::Kernel,
        accept: Accept::Float,
        infer: |types, _| { grad_fits(types)?; Ok(types[1]) },
        vjp: Vjp::Through(back),
        kind: Kind::Kernel,
        reference: |x, a, out| Host { ty: out, data: oracle_back(x, a).swap_remove(0) },
        formula: "layer_norm_grad(dy, x, gamma, mean, scale, center)[0]",
        domain: &[WIDE, WIDE, SCALE, WIDE, SCALE],
        smooth: true,
        parts: &[
            PartDef {
                name: "dgamma",
                infer: |types, _| one_a_column(types[1]),
                reference: |x, a, out| Host { ty: out, data: oracle_back(x, a).swap_remove(1) },
                formula: "layer_norm_grad(dy, x, gamma, mean, scale, center)[1]",
            },
            PartDef {
                name: "dbeta",
                infer: |types, _| one_a_column(types[1]),
                reference: |x, a, out| Host { ty: out, data: oracle_back(x, a).swap_remove(2) },
                formula: "layer_norm_grad(dy, x, gamma, mean, scale, center)[2]",
            },
        ],
    }
}

fn one_a_row(x: Ty) -> Result<Ty> {
    let dims = x.shape.dims();
    Ok(Ty::f32(Shape::new(&dims[..dims.len() - 1])?))
}

fn one_a_column(x: Ty) -> Result<Ty> {
    Ok(Ty::f32(Shape::new(&x.shape.dims()[x.shape.rank() - 1..])?))
}

/// Rejects rows that are none, and columns that are not as many.
fn fits(name: &str, x: Ty, columns: &[Ty], all: &[Ty], count: usize) -> Result<()> {
    rule::arity(name, all, count)?;
    rule::typed(name, "x", x, DType::F32)?;
    if x.shape.rank() == 0 {
        return shape_err!("{name}: x is a scalar, wanted at least 1 axis\n  hint: reshape it to (1,)");
    }
    let last = x.shape.dims()[x.shape.rank() - 1];
    for (arg, ty) in ["gamma", "beta"].iter().zip(columns) {
        rule::typed(name, arg, *ty, DType::F32)?;
        if ty.shape.rank() != 0 && meet(ty.shape.dims(), &[last]).is_none() {
            return shape_err!(
                "{name}: {arg} is {ty} for x {x}, wanted ({last},) or a scalar\n  hint: one number per element of the last axis"
            );
        }
    }
    Ok(())
}

fn grad_fits(x: &[Ty]) -> Result<()> {
    let name = "layer_norm_grad";
    rule::arity(name, x, 5)?;
    fits(name, x[1], &x[2..3], x, 5)?;
    let row = one_a_row(x[1])?;
    for (arg, ty, want) in [("dy", x[0], x[1]), ("mean", x[3], row), ("scale", x[4], row)] {
        rule::typed(name, arg, ty, DType::F32)?;
        if meet(ty.shape.dims(), want.shape.dims()).is_none() {
            return shape_err!(
                "{name}: {arg} is {ty}, wanted {want}\n  hint: pass the results of layer_norm"
            );
        }
    }
    Ok(())
}

fn vjp(g: &mut Graph, y: Id, x: &[Id], dys: &[Option<Id>]) -> Vec<Option<Id>> {
    let center = g.node(y).attrs[1].clone();
    let dy = dys[0].unwrap_or_else(|| g.zeros_like(y));
    let (mean, scale) = (g.part(y, 1), g.part(y, 2));
    let dx = g.build(&LAYER_NORM_GRAD, &[dy, x[0], x[1], mean, scale], &[center]);
    let columns: Vec<Option<Id>> = (1..3)
        .map(|k| {
            let shape = g.shape_of(x[k]);
            let full = g.part(dx, k);
            Some(g.unbroadcast(full, &shape))
        })
        .collect();
    vec![Some(dx), columns[0], columns[1]]
}

/// The same by other rows.
fn there(g: &mut Graph, x: &[Id], attrs: &[Attr]) -> Result<Vec<Id>> {
    let (epsilon, center) = (attrs[0].float(), attrs[1].flag());
    let rows = one_a_row(g.ty(x[0]))?.shape;
    let mean = if center {
        g.mean(x[0], &[-1], true)
    } else {
        let zero = g.filled(0.0, &rows);
        g.expand_dims(zero, -1)
    };
    let away = g.sub(x[0], mean);
    let square = g.square(away);
    let square = g.mean(square, &[-1], true);
    let stable = g.add_scalar(square, epsilon);
    let scale = g.rsqrt(stable);
    let level = g.mul(away, scale);
    let scaled = g.mul(level, x[1]);
    let y = g.add_(scaled, x[2]);
    Ok(vec![y, g.reshape_to(mean, &rows), g.reshape_to(scale, &rows)])
}

fn back(g: &mut Graph, x: &[Id], attrs: &[Attr]) -> Result<Vec<Id>> {
    let (mean, scale) = (g.expand_dims(x[3], -1), g.expand_dims(x[4], -1));
    let away = g.sub(x[1], mean);
    let level = g.mul(away, scale);
    let a = g.mul(x[0], x[2]);
    let product = g.mul(a, level);
    let along = g.mean(product, &[-1], true);
    let part = g.mul(level, along);
    let mut rest = g.sub(a, part);
    if attrs[0].flag() {
        let flat = g.mean(a, &[-1], true);
        rest = g.sub(rest, flat);
    }
    let dx = g.mul(rest, scale);
    let axes: Vec<i64> = (0..g.shape_of(x[1]).rank() as i64 - 1).collect();
    let product = g.mul(x[0], level);
    Ok(vec![dx, g.sum(product, &axes, false), g.sum(x[0], &axes, false)])
}

fn column(x: &Host, j: usize) -> f64 {
    if x.ty.shape.rank() == 0 { x.data[0] } else { x.data[j] }
}

fn oracle_there(x: &[Host], attrs: &[Attr]) -> Vec<Vec<f64>> {
    let (epsilon, center) = (attrs[0].float(), attrs[1].flag());
    let n = x[0].ty.shape.sizes().last().copied().unwrap_or(1);
    let (mut means, mut scales) = (vec![], vec![]);
    let rows = rows_of(&x[0].ty.shape).0;
    for row in (0..rows).map(|r| &x[0].data[r * n..(r + 1) * n]) {
        let mean = if center { row.iter().sum::<f64>() / n as f64 } else { 0.0 };
        let square = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        means.push(mean);
        scales.push(1.0 / (square + epsilon).sqrt());
    }
    let y = host::generate(x[0].ty, |i| {
        (x[0].data[i] - means[i / n]) * scales[i / n] * column(&x[1], i % n) + column(&x[2], i % n)
    });
    vec![y.data, means, scales]
}

fn oracle_back(x: &[Host], attrs: &[Attr]) -> Vec<Vec<f64>> {
    let (rows, n) = rows_of(&x[1].ty.shape);
    let (mut dx, mut dgamma, mut dbeta) = (vec![0.0; rows * n], vec![0.0; n], vec![0.0; n]);
    for r in 0..rows {
        let dy = &x[0].data[r * n..(r + 1) * n];
        let scale = x[4].data[r];
        let level: Vec<f64> = (0..n).map(|j| (x[1].data[r * n + j] - x[3].data[r]) * scale).collect();
        let a: Vec<f64> = (0..n).map(|j| dy[j] * column(&x[2], j)).collect();
        let flat = if attrs[0].flag() { a.iter().sum::<f64>() / n as f64 } else { 0.0 };
        let along = a.iter().zip(&level).map(|(a, l)| a * l).sum::<f64>() / n as f64;
        for j in 0..n {
            dx[r * n + j] = scale * (a[j] - flat - level[j] * along);
            dgamma[j] += dy[j] * level[j];
            dbeta[j] += dy[j];
        }
    }
    vec![dx, dgamma, dbeta]
}

fn of(arg: &Arg) -> Column {
    Column { ptr: arg.floats(), lone: arg.ty.shape.rank() == 0 }
}

pub(crate) fn layer_norm_step(ctx: &StepCtx<'_>) -> Result<()> {
    let x = ctx.inputs;
    let (rows, n) = rows_of(&x[0].ty.shape);
    let call = LayerNorm {
        rows,
        n,
        center: ctx.attrs[1].flag(),
        epsilon: ctx.attrs[0].float() as f32,
        x: x[0].floats(),
        gamma: of(&x[1]),
        beta: of(&x[2]),
        y: ctx.output.floats(),
        mean: ctx.parts[0].floats(),
        scale: ctx.parts[1].floats(),
    };
    // SAFETY: the executor hands steps buffers that cover their types, or null for unread results;
    // the rule saw that the sizes fit.
    unsafe { kernel::layer_norm(ctx.isa, &call) };
    Ok(())
}

pub(crate) fn layer_norm_grad_step(ctx: &StepCtx<'_>) -> Result<()> {
    let x = ctx.inputs;
    let (rows, n) = rows_of(&x[1].ty.shape);
    let call = LayerNormGrad {
        rows,
        n,
        center: ctx.attrs[0].flag(),
        dy: x[0].floats(),
        x: x[1].floats(),
        gamma: of(&x[2]),
        mean: x[3].floats(),
        scale: x[4].floats(),
        dx: ctx.output.floats(),
        dgamma: ctx.parts[0].floats(),
        dbeta: ctx.parts[1].floats(),
    };
    // SAFETY: as for layer_norm.
    unsafe { kernel::layer_norm_grad(ctx.isa, &call) };
    Ok(())
}
