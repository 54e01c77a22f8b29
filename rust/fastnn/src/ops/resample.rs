//! Images of other rows and columns, each a weighted sum of those of the operand: resizing. The two rows
//! are each other's derivatives by the image; those by the weights, which are constants when images are
//! resized, are taken through matrix products.

use super::build::Build;
use super::host;
use super::rule;
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Accept, Arg, Attr, Class, Graph, Host, Id, Kind, StepCtx, Ty, Vjp};
use crate::kernels::resample::{self as kernel, Bands, Images};
use crate::shape::{DType, Shape};
use crate::shape_err;

const WIDE: (f32, f32) = (-2.0, 2.0);
const PLACES: (f32, f32) = (-2.0, 3.0);

rows! {
    RESAMPLE = "resample"("x", "row_at", "row_by", "column_at", "column_by") {
        doc: "An image whose row i is the sum over k of row_by[i, k] times row row_at[i] + k of x (batch, rows, columns, channels), and whose columns are sums of its columns likewise: (batch, rows of row_by, rows of column_by, channels). row_at and column_at are int32. What lies outside x, and what has the weight 0, is left out.",
        class: Class::Kernel,
        accept: Accept::Exact,
        infer: |types, _| {
            rule::arity("resample", types, 5)?;
            let [rows, columns] = tables("resample", types)?;
            let [batch, _, _, channels] = image("resample", "x", types[0])?;
            Ok(Ty::f32(Shape::new(&[batch, rows, columns, channels])?))
        },
        vjp: Vjp::Short {
            rule: |g, y, x, dys| {
                let dy = dys[0].unwrap_or_else(|| g.zeros_like(y));
                let size = Attr::Sizes(g.shape_of(x[0]).dims()[1..3].to_vec());
                let dx = g.build(&RESAMPLE_GRAD, &[dy, x[1], x[2], x[3], x[4]], &[size]);
                vec![Some(dx), None, None, None, None]
            },
            results: 1,
            constant: &[2, 4],
            equivalent: |g, x, _| {
                let [height, width] = [1, 2].map(|axis| g.shape_of(x[0]).dims()[axis]);
                Ok(vec![product(g, x, [height, width], false)])
            },
        },
        kind: Kind::Kernel,
        reference: |x, _, out| {
            let mut y = host::generate(out, |_| 0.0);
            let (from, to) = (x[0].ty.shape.sizes(), out.shape.sizes());
            each(x, [from[1], from[2]], |[i, p], [j, q], by| {
                between(&from, &to, [i, p], [j, q], |read, write| y.data[write] += by * x[0].data[read]);
            });
            y
        },
        formula: "resampled(x, row_at, row_by, column_at, column_by)",
        domain: &[WIDE, PLACES, WIDE, PLACES, WIDE],
        smooth: true,
    }
    RESAMPLE_GRAD = "resample_grad"("dy", "row_at", "row_by", "column_at", "column_by"; size: Sizes) {
        doc: "The gradient of resample by its image, whose rows and columns are given by size: each element gets its weight's share of every element of dy that it is a part of.",
        class: Class::Kernel,
        accept: Accept::Exact,
        infer: |types, attrs| {
            const NAME: &str = "resample_grad";
            rule::arity(NAME, types, 5)?;
            let made = tables(NAME, types)?;
            let [batch, rows, columns, channels] = image(NAME, "dy", types[0])?;
            if rule::meet(&made, &[rows, columns]).is_none() {
                return shape_err!("{NAME}: dy is {}, but the tables make {} rows and {} columns\n  hint: dy has the shape of the resampled image", types[0].shape, made[0], made[1]);
            }
            let size = rule::sizes(NAME, &attrs[0].sizes())?;
            let &[height, width] = size.dims() else {
                return shape_err!("{NAME}: size is {size}, wanted (rows, columns)\n  hint: those of x");
            };
            Ok(Ty::f32(Shape::new(&[batch, height, width, channels])?))
        },
        vjp: Vjp::Short {
            rule: |g, y, x, dys| {
                let dz = dys[0].unwrap_or_else(|| g.zeros_like(y));
                let back = g.build(&RESAMPLE, &[dz, x[1], x[2], x[3], x[4]], &[]);
                vec![Some(back), None, None, None, None]
            },
            results: 1,
            constant: &[2, 4],
            equivalent: |g, x, attrs| {
                let size = attrs[0].sizes();
                Ok(vec![product(g, x, [size[0], size[1]], true)])
            },
        },
        kind: Kind::Kernel,
        reference: |x, _, out| {
            let mut dx = host::generate(out, |_| 0.0);
            let (from, to) = (out.shape.sizes(), x[0].ty.shape.sizes());
            each(x, [from[1], from[2]], |[i, p], [j, q], by| {
                between(&from, &to, [i, p], [j, q], |write, read| dx.data[write] += by * x[0].data[read]);
            });
            dx
        },
        formula: "resampled_back(dy, row_at, row_by, column_at, column_by, size)",
        domain: &[WIDE, PLACES, WIDE, PLACES, WIDE],
        smooth: true,
    }
}

/// Batch, rows, columns and channels.
fn image(name: &str, arg: &str, ty: Ty) -> Result<[Dim; 4]> {
    rule::typed(name, arg, ty, DType::F32)?;
    let &[batch, rows, columns, channels] = ty.shape.dims() else {
        return shape_err!(
            "{name}: {arg} is {}, wanted (batch, rows, columns, channels)\n  hint: reshape({arg}) adds axes of one",
            ty.shape
        );
    };
    Ok([batch, rows, columns, channels])
}

/// Rows and columns that the tables make.
fn tables(name: &str, types: &[Ty]) -> Result<[Dim; 2]> {
    let mut made = [Dim::ONE; 2];
    for (k, what) in ["row", "column"].into_iter().enumerate() {
        let (at, by) = (types[1 + 2 * k], types[2 + 2 * k]);
        rule::typed(name, &format!("{what}_at"), at, DType::I32)?;
        rule::typed(name, &format!("{what}_by"), by, DType::F32)?;
        made[k] = match (at.shape.dims(), by.shape.dims()) {
            (&[at], &[by, _]) if at.meet(by).is_some() => at.meet(by).unwrap_or(at),
            _ => {
                return shape_err!(
                    "{name}: {what}_at is {} and {what}_by is {}, wanted (n,) and (n, taps)\n  hint: one first place and as many weights for each {what} of the result",
                    at.shape,
                    by.shape
                );
            }
        };
    }
    Ok(made)
}

/// Every pair of an element's place and that of one it is made of, with the weight.
fn each(x: &[Host], size: [usize; 2], mut f: impl FnMut([usize; 2], [usize; 2], f64)) {
    let listed = |at: &Host, by: &Host, size: usize| {
        let taps = by.ty.shape.sizes()[1];
        let all = (0..by.data.len()).map(move |n| (n / taps.max(1), n % taps.max(1), n));
        all.filter_map(|(i, k, n)| {
            let from = usize::try_from(at.data[i] as i64 + k as i64).ok().filter(|&from| from < size)?;
            (by.data[n] != 0.0).then_some((i, from, by.data[n]))
        })
        .collect::<Vec<_>>()
    };
    let columns = listed(&x[3], &x[4], size[1]);
    for (i, j, row) in listed(&x[1], &x[2], size[0]) {
        for &(p, q, column) in &columns {
            f([i, p], [j, q], row * column);
        }
    }
}

/// Positions of an element of `from` at rows and columns `j`, and of one of `to` at `i`, in every image
/// and channel.
fn between(from: &[usize], to: &[usize], i: [usize; 2], j: [usize; 2], mut f: impl FnMut(usize, usize)) {
    for image in 0..from[0] {
        for c in 0..from[3] {
            let place =
                |sizes: &[usize], [r, s]: [usize; 2]| ((image * sizes[1] + r) * sizes[2] + s) * sizes[3] + c;
            f(place(from, j), place(to, i));
        }
    }
}

/// The same through products with the matrices that the tables stand for.
fn product(g: &mut Graph, x: &[Id], size: [Dim; 2], back: bool) -> Id {
    let rows = matrix(g, x[1], x[2], size[0]);
    let columns = matrix(g, x[3], x[4], size[1]);
    let planes = g.transpose(x[0], &[0, 3, 1, 2]);
    let across = g.matmul(planes, columns, false, !back);
    let whole = g.matmul(rows, across, back, false);
    g.transpose(whole, &[0, 2, 3, 1])
}

fn matrix(g: &mut Graph, at: Id, by: Id, size: Dim) -> Id {
    let taps = g.shape_of(by).dims()[1];
    let (first, beyond) = (g.expand_dims(at, -1), g.iota(taps));
    let places = g.add_(first, beyond);
    let chosen = g.one_hot(places, size);
    let weights = g.expand_dims(by, -1);
    let shares = g.mul(chosen, weights);
    g.sum(shares, &[1], false)
}

fn bands(at: Arg, by: Arg, size: usize) -> Bands {
    let sizes = by.ty.shape.sizes();
    Bands { at: at.ints(), by: by.floats(), made: sizes[0], taps: sizes[1], size }
}

fn run(ctx: &StepCtx<'_>, size: &Shape, back: bool) {
    let (size, x) = (size.sizes(), ctx.inputs);
    let images = Images { images: size[0], channels: size[3], from: x[0].floats(), to: ctx.output.floats() };
    let [rows, columns] = [bands(x[1], x[2], size[1]), bands(x[3], x[4], size[2])];
    // SAFETY: the executor hands steps buffers that cover their shapes.
    unsafe { kernel::resample(ctx.isa, &images, &rows, &columns, back) };
}

pub(crate) fn resample_step(ctx: &StepCtx<'_>) -> Result<()> {
    run(ctx, &ctx.inputs[0].ty.shape, false);
    Ok(())
}

pub(crate) fn resample_grad_step(ctx: &StepCtx<'_>) -> Result<()> {
    run(ctx, &ctx.output.ty.shape, true);
    Ok(())
}
