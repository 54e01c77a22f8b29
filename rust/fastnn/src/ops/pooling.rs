//! The largest or the mean element of windows over images, channels last. Which element is the
//! largest is a second result, its number in the window; with it the derivative is linear, and so
//! are all further ones. Padding is never chosen and never counted.

use super::build::Build;
use super::rule;
use super::spatial::{self, Along, Placing};
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Accept, Attr, Class, Graph, Host, Id, Kind, OpDef, PartDef, StepCtx, Ty, Vjp};
use crate::kernels::pooling::{self as kernel, Ends, Pool};
use crate::shape::{DType, Shape};
use crate::shape_err;
use std::ptr;

const WIDE: (f32, f32) = (-3.0, 3.0);
const NONE: Attr = Attr::Ints(vec![]);

rows! {
    MAX_POOL = "max_pool"("x"; window: Ints, strides: Ints = NONE, padding: Sizes = NONE) {
        doc: "The largest element of each window over x (batch, sizes.., channels), NaN before all, and its number in the window (int32), row by row, the first of equals. padding is (before, after) per spatial axis, flat, with -1 alone for as many places as ceil(size / stride); it is never chosen.",
        class: Class::Kernel,
        accept: Accept::Float,
        infer: |types, attrs| Ok(Ty::f32(pool_of("max_pool", types, attrs)?.placed)),
        vjp: Vjp::Parts(|g, y, _, dys| {
            let Some(dy) = dys[0] else { return vec![None] };
            let (indices, attrs) = (g.part(y, 1), back(g, y, "max_pool"));
            vec![Some(g.build(&MAX_POOL_GRAD, &[dy, indices], &attrs))]
        }),
        kind: Kind::Kernel,
        reference: |x, a, out| pooled(&x[0], out, &pool_of("max_pool", &[x[0].ty], a), |seen| largest(seen).1),
        formula: "pooled(x, window, strides, padding)[0]",
        domain: &[WIDE],
        smooth: true,
        parts: &[PartDef {
            name: "indices",
            infer: |types, attrs| {
                Ok(Ty { shape: pool_of("max_pool", types, attrs)?.placed, dtype: DType::I32 })
            },
            reference: |x, a, out| {
                pooled(&x[0], out, &pool_of("max_pool", &[x[0].ty], a), |seen| largest(seen).0 as f64)
            },
            formula: "pooled(x, window, strides, padding)[1]",
        }],
    }
    MAX_POOL_GRAD = "max_pool_grad"("dy", "indices"; size: Sizes, window: Ints, strides: Ints = NONE, padding: Sizes = NONE) {
        doc: "For each element of an image with the given spatial sizes the sum of dy over the windows whose indices (int32) name it; an index that names no element counts nowhere.",
        class: Class::Index,
        accept: Accept::Exact,
        infer: |types, attrs| Ok(Ty::f32(indexed("max_pool_grad", types, &attrs[0].sizes(), &attrs[1..])?.image)),
        vjp: Vjp::Rule(|g, y, x, dz| {
            let attrs = g.node(y).attrs[1..].to_vec();
            vec![Some(g.build(&MAX_POOL_PICK, &[dz, x[1]], &attrs)), None]
        }),
        kind: Kind::Kernel,
        reference: |x, a, out| {
            let mut sums = Host { ty: out, data: vec![0.0; out.shape.count()] };
            if let Ok(pool) = indexed("max_pool_grad", &[x[0].ty, x[1].ty], &a[0].sizes(), &a[1..]) {
                pool.numbers().each(|number, element, place| {
                    if x[1].data[place] == number as f64 {
                        sums.data[element] += x[0].data[place];
                    }
                });
            }
            sums
        },
        formula: "unpooled(dy, indices, size, window, strides, padding)",
        domain: &[WIDE, (0.0, 4.0)],
        smooth: true,
    }
    MAX_POOL_PICK = "max_pool_pick"("x", "indices"; window: Ints, strides: Ints = NONE, padding: Sizes = NONE) {
        doc: "The element of each window over x that indices (int32) name, 0 where they name none.",
        class: Class::Index,
        accept: Accept::Exact,
        infer: |types, attrs| Ok(Ty::f32(picked(types, attrs)?.placed)),
        vjp: Vjp::Rule(|g, y, x, dy| {
            let attrs = back(g, y, "max_pool_pick");
            vec![Some(g.build(&MAX_POOL_GRAD, &[dy, x[1]], &attrs)), None]
        }),
        kind: Kind::Kernel,
        reference: |x, a, out| {
            let mut found = Host { ty: out, data: vec![0.0; out.shape.count()] };
            if let Ok(pool) = picked(&[x[0].ty, x[1].ty], a) {
                pool.numbers().each(|number, element, place| {
                    if x[1].data[place] == number as f64 {
                        found.data[place] = x[0].data[element];
                    }
                });
            }
            found
        },
        formula: "picked(x, indices, window, strides, padding)",
        domain: &[WIDE, (0.0, 4.0)],
        smooth: true,
    }
    AVERAGE_POOL = "average_pool"("x"; window: Ints, strides: Ints = NONE, padding: Sizes = NONE, count_padding: Bool = Attr::Bool(false)) {
        doc: "The mean of each window over x (batch, sizes.., channels); with count_padding the sum over the size of the window, padding included. padding is (before, after) per spatial axis, flat, with -1 alone for as many places as ceil(size / stride).",
        class: Class::Kernel,
        accept: Accept::Float,
        infer: |types, attrs| Ok(Ty::f32(pool_of("average_pool", types, attrs)?.placed)),
        vjp: Vjp::Rule(|g, y, _, dy| {
            let mut attrs = back(g, y, "average_pool");
            attrs.push(g.node(y).attrs[3].clone());
            vec![Some(g.build(&AVERAGE_POOL_GRAD, &[dy], &attrs))]
        }),
        kind: Kind::Kernel,
        reference: |x, a, out| {
            let pool = pool_of("average_pool", &[x[0].ty], a);
            let window = |p: &Pooling| p.numbers().axes.iter().map(|a| a.kernel).product::<usize>();
            let whole = pool.as_ref().ok().filter(|_| a[3].flag()).map(window);
            pooled(&x[0], out, &pool, |seen| {
                seen.iter().map(|s| s.1).sum::<f64>() / whole.unwrap_or(seen.len()) as f64
            })
        },
        formula: "averaged(x, window, strides, padding, count_padding)",
        domain: &[WIDE],
        smooth: true,
    }
    AVERAGE_POOL_GRAD = "average_pool_grad"("dy"; size: Sizes, window: Ints, strides: Ints = NONE, padding: Sizes = NONE, count_padding: Bool = Attr::Bool(false)) {
        doc: "The gradient of average_pool by x, whose spatial sizes are given: each element gets its share of dy from every window that sees it.",
        class: Class::Kernel,
        accept: Accept::Float,
        infer: |types, attrs| {
            rule::arity("average_pool_grad", types, 1)?;
            Ok(Ty::f32(spread("average_pool_grad", types[0], &attrs[0].sizes(), &attrs[1..])?.image))
        },
        vjp: Vjp::Rule(|g, y, _, dz| {
            let attrs = g.node(y).attrs[1..].to_vec();
            vec![Some(g.build(&AVERAGE_POOL, &[dz], &attrs))]
        }),
        kind: Kind::Kernel,
        reference: |x, a, out| {
            let mut sums = Host { ty: out, data: vec![0.0; out.shape.count()] };
            if let Ok(pool) = spread("average_pool_grad", x[0].ty, &a[0].sizes(), &a[1..]) {
                let pool = pool.numbers();
                let mut counts = vec![0.0; x[0].data.len()];
                pool.each(|_, _, place| counts[place] += 1.0);
                if a[4].flag() {
                    counts.fill(pool.axes.iter().map(|a| a.kernel).product::<usize>() as f64);
                }
                pool.each(|_, element, place| sums.data[element] += x[0].data[place] / counts[place]);
            }
            sums
        },
        formula: "averaged_back(dy, size, window, strides, padding, count_padding)",
        domain: &[WIDE],
        smooth: true,
    }
}

/// Windows over an image as a rule sees them.
struct Pooling {
    image: Shape,
    placed: Shape,
    windows: Vec<Along>,
    sizes: Vec<Dim>,
    window: Vec<Dim>,
}

/// `attrs` are window, strides, padding.
fn windows(name: &str, sizes: &[Dim], attrs: &[Attr]) -> Result<(Vec<Along>, Vec<Dim>)> {
    let window = match *attrs[0].ints() {
        [one] => vec![Dim::new(one); sizes.len()],
        _ => attrs[0].ints().iter().map(|&k| Dim::new(k)).collect(),
    };
    let at = Placing { strides: &attrs[1], padding: &attrs[2], dilation: &NONE };
    let windows = spatial::windows(name, sizes, &window, at)?;
    for (along, &size) in windows.iter().zip(&window) {
        let lost = |pad: Dim| (pad - size + Dim::ONE).is_positive();
        if lost(along.before) || lost(along.after) {
            return shape_err!(
                "{name}: padding {} + {} around a window of {size} makes windows of padding alone\n  hint: less padding than the window is large",
                along.before,
                along.after
            );
        }
    }
    Ok((windows, window))
}

fn pool_of(name: &str, types: &[Ty], attrs: &[Attr]) -> Result<Pooling> {
    rule::arity(name, types, 1)?;
    over(name, "x", types[0], attrs)
}

/// Windows over an image that is there.
fn over(name: &str, arg: &str, ty: Ty, attrs: &[Attr]) -> Result<Pooling> {
    spatial::image(name, arg, ty)?;
    let shape = ty.shape;
    let sizes = spatial::spatial(&shape).to_vec();
    let (windows, window) = windows(name, &sizes, attrs)?;
    let (batch, channels) = (shape.dims()[0], shape.dims()[shape.rank() - 1]);
    let placed = spatial::shaped(batch, &spatial::places(&windows), channels)?;
    Ok(Pooling { image: shape, placed, windows, sizes, window })
}

/// Windows over an image of these sizes, from what was made of them.
fn spread(name: &str, dy: Ty, sizes: &[Dim], attrs: &[Attr]) -> Result<Pooling> {
    spatial::image(name, "dy", dy)?;
    let sizes = rule::sizes(name, sizes)?.dims().to_vec();
    if sizes.len() + 2 != dy.shape.rank() {
        return shape_err!("{name}: size is {sizes:?} for dy {}\n  hint: the spatial sizes of x", dy.shape);
    }
    let (batch, channels) = (dy.shape.dims()[0], dy.shape.dims()[dy.shape.rank() - 1]);
    let image = spatial::shaped(batch, &sizes, channels)?;
    let pool = over(name, "x", Ty::f32(image), attrs)?;
    if rule::meet(pool.placed.dims(), dy.shape.dims()).is_none() {
        return shape_err!(
            "{name}: dy is {}, but windows over {image} give {}\n  hint: dy has the shape of the pooled image",
            dy.shape,
            pool.placed
        );
    }
    Ok(pool)
}

/// Rejects indices that are not one per place.
fn one_per_place(name: &str, indices: Ty, placed: &Shape) -> Result<()> {
    rule::typed(name, "indices", indices, DType::I32)?;
    if rule::meet(indices.shape.dims(), placed.dims()).is_some() {
        return Ok(());
    }
    shape_err!("{name}: indices are {}, wanted {placed}\n  hint: one per window and channel", indices.shape)
}

fn indexed(name: &str, types: &[Ty], sizes: &[Dim], attrs: &[Attr]) -> Result<Pooling> {
    rule::arity(name, types, 2)?;
    let pool = spread(name, types[0], sizes, attrs)?;
    one_per_place(name, types[1], &pool.placed)?;
    Ok(pool)
}

fn picked(types: &[Ty], attrs: &[Attr]) -> Result<Pooling> {
    rule::arity("max_pool_pick", types, 2)?;
    let pool = over("max_pool_pick", "x", types[0], attrs)?;
    one_per_place("max_pool_pick", types[1], &pool.placed)?;
    Ok(pool)
}

/// The attributes of the backward pass: the sizes of x, then window, strides and padding in expressions.
fn back(g: &Graph, y: Id, name: &str) -> Vec<Attr> {
    let node = g.node(y);
    match over(name, "x", g.ty(node.inputs[0]), &node.attrs) {
        Ok(pool) => vec![
            Attr::Sizes(pool.sizes.clone()),
            node.attrs[0].clone(),
            node.attrs[1].clone(),
            spatial::padding(&pool.windows),
        ],
        Err(error) => unreachable!("invariant: a node's types fit its row: {error}"),
    }
}

impl Pooling {
    /// In numbers.
    fn numbers(&self) -> Pool {
        let sizes = self.image.sizes();
        Pool {
            images: sizes[0],
            channels: sizes[sizes.len() - 1],
            axes: spatial::axes(&self.windows, &self.sizes, &self.window),
            whole: false,
        }
    }
}

impl Pool {
    /// All elements that windows see: number in the window, position in the image, position among the
    /// places; places in order, then numbers in order.
    fn each(&self, mut f: impl FnMut(usize, usize, usize)) {
        let [d, h, w] = self.axes;
        let geometry = crate::kernels::conv::Geometry {
            images: self.images,
            groups: 1,
            channels: 1,
            filters: 1,
            axes: self.axes,
        };
        geometry.each_product(|image, [x, y, tap], _| {
            let number = (tap[0] * h.kernel + tap[1]) * w.kernel + tap[2];
            let element = ((image * d.input + x[0]) * h.input + x[1]) * w.input + x[2];
            let place = ((image * d.output + y[0]) * h.output + y[1]) * w.output + y[2];
            for c in 0..self.channels {
                f(number, element * self.channels + c, place * self.channels + c);
            }
        });
    }
}

/// One number per place from what its window sees: numbers in the window and values.
fn pooled(x: &Host, out: Ty, pool: &Result<Pooling>, f: impl Fn(&[(usize, f64)]) -> f64) -> Host {
    let mut seen = vec![vec![]; out.shape.count()];
    if let Ok(pool) = pool {
        pool.numbers().each(|number, element, place| seen[place].push((number, x.data[element])));
    }
    Host { ty: out, data: seen.iter().map(|seen| f(seen)).collect() }
}

/// The first of the largest, NaN before all.
fn largest(seen: &[(usize, f64)]) -> (usize, f64) {
    let mut best = seen.first().copied().unwrap_or((0, f64::NEG_INFINITY));
    for &(number, v) in seen {
        if !best.1.is_nan() && (v > best.1 || v.is_nan()) {
            best = (number, v);
        }
    }
    best
}

/// The rule has accepted these types when the node was made.
fn pool_in(pool: Result<Pooling>) -> Pool {
    match pool {
        Ok(pool) => pool.numbers(),
        Err(error) => unreachable!("invariant: a node's types fit its row: {error}"),
    }
}

/// The windows of a row of this family.
pub fn windows_of(op: &OpDef, types: &[Ty], attrs: &[Attr]) -> Result<Pool> {
    let (name, of) = (op.name, attrs.first().map(Attr::sizes).unwrap_or_default());
    let pool = match name {
        "max_pool_pick" => picked(types, attrs)?,
        "max_pool_grad" => indexed(name, types, &of, &attrs[1..])?,
        "average_pool_grad" => spread(name, types[0], &of, &attrs[1..])?,
        _ => pool_of(name, types, attrs)?,
    };
    let whole = name.starts_with("average") && attrs[attrs.len() - 1].flag();
    Ok(Pool { whole, ..pool.numbers() })
}

pub(crate) fn max_pool_step(ctx: &StepCtx<'_>) -> Result<()> {
    let x = ctx.inputs[0];
    let pool = pool_in(pool_of("max_pool", &[x.ty], ctx.attrs));
    let ends =
        Ends { from: x.floats(), read: ptr::null(), to: ctx.output.floats(), chosen: ctx.parts[0].ints() };
    // SAFETY: the executor hands steps buffers that cover their shapes, or null for unread results.
    unsafe { kernel::max(ctx.isa, &pool, &ends) };
    Ok(())
}

pub(crate) fn max_pool_grad_step(ctx: &StepCtx<'_>) -> Result<()> {
    let [dy, indices] = [ctx.inputs[0], ctx.inputs[1]];
    let sizes = ctx.attrs[0].sizes();
    let pool = pool_in(indexed("max_pool_grad", &[dy.ty, indices.ty], &sizes, &ctx.attrs[1..]));
    let ends =
        Ends { from: dy.floats(), read: indices.ints(), to: ctx.output.floats(), chosen: ptr::null_mut() };
    // SAFETY: the executor hands steps buffers that cover their shapes.
    unsafe { kernel::unpick(ctx.isa, &pool, &ends) };
    Ok(())
}

pub(crate) fn max_pool_pick_step(ctx: &StepCtx<'_>) -> Result<()> {
    let [x, indices] = [ctx.inputs[0], ctx.inputs[1]];
    let pool = pool_in(picked(&[x.ty, indices.ty], ctx.attrs));
    let ends =
        Ends { from: x.floats(), read: indices.ints(), to: ctx.output.floats(), chosen: ptr::null_mut() };
    // SAFETY: the executor hands steps buffers that cover their shapes.
    unsafe { kernel::pick(ctx.isa, &pool, &ends) };
    Ok(())
}

pub(crate) fn average_pool_step(ctx: &StepCtx<'_>) -> Result<()> {
    let x = ctx.inputs[0];
    let pool = pool_in(pool_of("average_pool", &[x.ty], ctx.attrs));
    averaged(ctx, Pool { whole: ctx.attrs[3].flag(), ..pool }, kernel::average);
    Ok(())
}

pub(crate) fn average_pool_grad_step(ctx: &StepCtx<'_>) -> Result<()> {
    let sizes = ctx.attrs[0].sizes();
    let pool = pool_in(spread("average_pool_grad", ctx.inputs[0].ty, &sizes, &ctx.attrs[1..]));
    averaged(ctx, Pool { whole: ctx.attrs[4].flag(), ..pool }, kernel::spread);
    Ok(())
}

fn averaged(ctx: &StepCtx<'_>, pool: Pool, run: unsafe fn(crate::simd::Isa, &Pool, &Ends)) {
    let ends = Ends {
        from: ctx.inputs[0].floats(),
        read: ptr::null(),
        to: ctx.output.floats(),
        chosen: ptr::null_mut(),
    };
    // SAFETY: the executor hands steps buffers that cover their shapes.
    unsafe { run(ctx.isa, &pool, &ends) };
}
