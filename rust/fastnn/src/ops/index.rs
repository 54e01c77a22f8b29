//! Positions computed at run time: iota, gathers and their adjoints, one-hot rows, running sums.

use super::build::Build;
use super::host;
use super::rule::{self, shape_attr};
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Accept, Arg, Attr, Class, Host, Kind, StepCtx, Stored, Ty, Vjp};
use crate::kernels;
use crate::kernels::along::{self, Around, Outside, position};
use crate::kernels::gather::{self as kernel, Take};
use crate::shape::{DType, Shape};
use crate::{data_err, shape_err};

const WIDE: (f32, f32) = (-3.0, 3.0);

rows! {
    IOTA = "iota"(; stop: Size, dtype: DType = Attr::DType(DType::I32)) {
        doc: "The whole numbers 0, 1, ... below stop.",
        class: Class::Kernel,
        accept: Accept::Exact,
        infer: |types, attrs| {
            rule::arity("iota", types, 0)?;
            let dtype = attrs[1].dtype();
            if dtype.is_stored() {
                return data_err!("iota: does not make {}\n  hint: cast the result", dtype.name());
            }
            Ok(Ty { shape: rule::sizes("iota", &[attrs[0].size()])?, dtype })
        },
        vjp: Vjp::Zero,
        kind: Kind::Kernel,
        reference: |_, _, out| host::generate(out, |i| if out.dtype == DType::Bool { f64::from(u8::from(i > 0)) } else { i as f64 }),
        formula: "np.arange(stop).astype(dtype)",
        domain: &[],
        smooth: true,
    }
    AXIS_SIZE = "axis_size"(; size: Size) {
        doc: "A size as an int32 scalar, for computing with; it may be one that inputs leave open.",
        class: Class::Composite,
        accept: Accept::Exact,
        infer: |types, attrs| {
            rule::arity("axis_size", types, 0)?;
            if attrs[0].size().known().is_some_and(|n| i32::try_from(n).is_err()) {
                return data_err!("axis_size: {} does not fit int32 (up to 2147483647)\n  hint: split the array along this axis", attrs[0].size());
            }
            Ok(Ty { shape: Shape::scalar(), dtype: DType::I32 })
        },
        vjp: Vjp::Zero,
        kind: Kind::Lowered(|g, _, attrs| match attrs[0].size().known() {
            Some(size) => Ok(g.typed_scalar(size as f64, DType::I32)),
            None => shape_err!("axis_size: the size {} is not known yet\n  hint: it is there once data is given", attrs[0].size()),
        }),
        reference: |_, a, out| host::generate(out, |_| a[0].size().known().map_or(f64::NAN, |n| n as f64)),
        formula: "np.int32(size)",
        domain: &[],
        smooth: true,
    }
    FULL = "full"(; shape: Sizes, value: Float, dtype: DType = Attr::DType(DType::F32)) {
        doc: "A value everywhere in a shape.",
        class: Class::Composite,
        accept: Accept::Exact,
        infer: |types, attrs| {
            rule::arity("full", types, 0)?;
            Ok(Ty { shape: rule::sizes("full", &attrs[0].sizes())?, dtype: attrs[2].dtype() })
        },
        vjp: Vjp::Zero,
        kind: Kind::Lowered(|g, _, attrs| {
            let v = g.typed_scalar(fit(attrs[1].float(), attrs[2].dtype()), attrs[2].dtype());
            Ok(g.broadcast_to(v, &rule::sizes("full", &attrs[0].sizes())?))
        }),
        reference: |_, a, out| host::generate(out, |_| fit(a[1].float(), out.dtype)),
        formula: "np.full(shape, value).astype(dtype)",
        domain: &[],
        smooth: true,
    }
    EYE = "eye"(; n: Size, m: SizeOrNone = Attr::None, k: Int = Attr::Int(0)) {
        doc: "Ones on the k-th diagonal of an (n, m) matrix of zeros; m is n when left out.",
        class: Class::Composite,
        accept: Accept::Exact,
        infer: |types, attrs| {
            rule::arity("eye", types, 0)?;
            Ok(Ty::f32(rule::sizes("eye", &[attrs[0].size(), columns(attrs)])?))
        },
        vjp: Vjp::Zero,
        kind: Kind::Lowered(|g, _, attrs| {
            let shift = g.typed_scalar(attrs[2].int() as f64, DType::I32);
            let rows = g.iota(attrs[0].size());
            let rows = g.add_(rows, shift);
            let rows = g.expand_dims(rows, 1);
            let columns = g.iota(columns(attrs));
            let hit = g.equal(rows, columns);
            Ok(g.to_float(hit))
        }),
        reference: |_, a, out| host::generate(out, |i| {
            let at = host::unravel(i, &out.shape);
            f64::from(u8::from((at[0] as i64).saturating_add(a[2].int()) == at[1] as i64))
        }),
        formula: "np.eye(n, m, k, dtype=np.float32)",
        domain: &[],
        smooth: true,
    }
    ONE_HOT = "one_hot"("indices"; num_classes: Size) {
        doc: "A new last axis with 1 at the index (int32) and 0 elsewhere; all 0 for an index out of range.",
        class: Class::Composite,
        accept: Accept::Exact,
        infer: |types, attrs| {
            rule::arity("one_hot", types, 1)?;
            rule::typed("one_hot", "indices", types[0], DType::I32)?;
            if !attrs[0].size().is_open() && !attrs[0].size().is_positive() {
                return data_err!("one_hot: num_classes is {}\n  hint: at least 1", attrs[0].size());
            }
            let mut dims = types[0].shape.dims().to_vec();
            dims.push(attrs[0].size());
            Ok(Ty::f32(Shape::new(&dims)?))
        },
        vjp: Vjp::Zero,
        kind: Kind::Lowered(|g, x, attrs| Ok(g.one_hot(x[0], attrs[0].size()))),
        reference: |x, _, out| host::generate(out, |i| {
            let n = out.shape.sizes()[out.shape.rank() - 1];
            f64::from(u8::from(x[0].data[i / n] == (i % n) as f64))
        }),
        formula: "(np.asarray(indices)[..., None] == np.arange(num_classes)).astype(np.float32)",
        domain: &[(0.0, 3.0)],
        smooth: true,
    }
    TAKE = "take"("x", "indices"; axis: IntOrNone = Attr::None) {
        doc: "The slices of x at indices (int32) along an axis, or elements of the flattened x; negative indices count from the end, others out of range are an error. Axis `axis` is replaced by the axes of indices.",
        class: Class::Index,
        accept: Accept::Exact,
        stored: Stored::Read(&[0]),
        infer: infer_take,
        vjp: Vjp::Rule(|g, y, x, dy| {
            if !g.dtype_of(x[0]).is_float() {
                return vec![None, None];
            }
            let attrs = [shape_attr(&g.shape_of(x[0])), g.node(y).attrs[0].clone()];
            vec![Some(g.build(&TAKE_GRAD, &[dy, x[1]], &attrs)), None]
        }),
        kind: Kind::Kernel,
        reference: |x, a, out| {
            let extents = take_extents(&x[0].ty.shape, &x[1].ty.shape, &a[0]).unwrap_or(NOTHING);
            host::generate(out, |i| source(&extents, &x[1].data, i).map_or(f64::NAN, |at| x[0].data[at]))
        },
        formula: "np.take(x, indices, axis)",
        domain: &[WIDE, (-2.0, 2.0)],
        smooth: true,
    }
    TAKE_GRAD = "take_grad"("dy", "indices"; shape: Sizes, axis: IntOrNone = Attr::None) {
        doc: "Zeros of a shape to which dy is added at indices along an axis: the adjoint of take.",
        class: Class::Index,
        accept: Accept::Exact,
        infer: |types, attrs| {
            rule::arity("take_grad", types, 2)?;
            rule::typed("take_grad", "dy", types[0], DType::F32)?;
            let shape = rule::sizes("take_grad", &attrs[0].sizes())?;
            let taken = infer_take(&[Ty::f32(shape), types[1]], &attrs[1..])?;
            if rule::meet(taken.shape.dims(), types[0].shape.dims()).is_none() {
                return shape_err!("take_grad: dy {} is not what take gives from {shape}, {}\n  hint: pass the attributes of the take", types[0].shape, taken.shape);
            }
            Ok(Ty::f32(shape))
        },
        vjp: Vjp::Rule(|g, y, x, dy| {
            let axis = g.node(y).attrs[1].clone();
            vec![Some(g.build(&TAKE, &[dy, x[1]], &[axis])), None]
        }),
        kind: Kind::Kernel,
        reference: |x, a, out| {
            let extents = take_extents(&out.shape, &x[1].ty.shape, &a[1]).unwrap_or(NOTHING);
            let mut y = host::generate(out, |_| 0.0);
            for (i, v) in x[0].data.iter().enumerate() {
                if let Some(at) = source(&extents, &x[1].data, i) {
                    y.data[at] += v;
                }
            }
            y
        },
        formula: "(lambda y: (np.add.at(y.reshape(-1) if axis is None else np.moveaxis(y, axis, 0), indices, dy if axis is None else np.moveaxis(dy, tuple(range(axis, axis + np.ndim(indices))), tuple(range(np.ndim(indices))))), y)[1])(np.zeros(shape))",
        domain: &[WIDE, (-2.0, 2.0)],
        smooth: true,
    }
    TAKE_ALONG_AXIS = "take_along_axis"("x", "indices"; axis: Int = Attr::Int(-1)) {
        doc: "The elements of x at indices (int32, sizes of x but for the axis) along an axis; negative indices count from the end, others out of range are an error.",
        class: Class::Index,
        accept: Accept::Exact,
        stored: Stored::Read(&[0]),
        infer: infer_along,
        vjp: Vjp::Rule(|g, y, x, dy| {
            if !g.dtype_of(x[0]).is_float() {
                return vec![None, None];
            }
            let attrs = [shape_attr(&g.shape_of(x[0])), g.node(y).attrs[0].clone()];
            vec![Some(g.build(&TAKE_ALONG_AXIS_GRAD, &[dy, x[1]], &attrs)), None]
        }),
        kind: Kind::Kernel,
        reference: |x, a, out| host::generate(out, |i| {
            along(&x[0].ty.shape, &x[1], &a[0], i).map_or(f64::NAN, |at| x[0].data[at])
        }),
        formula: "np.take_along_axis(x, indices, axis)",
        domain: &[WIDE, (-2.0, 2.0)],
        smooth: true,
    }
    TAKE_ALONG_AXIS_GRAD = "take_along_axis_grad"("dy", "indices"; shape: Sizes, axis: Int = Attr::Int(-1)) {
        doc: "Zeros of a shape to which dy is added at indices along an axis: the adjoint of take_along_axis.",
        class: Class::Index,
        accept: Accept::Exact,
        infer: |types, attrs| {
            rule::arity("take_along_axis_grad", types, 2)?;
            rule::typed("take_along_axis_grad", "dy", types[0], DType::F32)?;
            let shape = rule::sizes("take_along_axis_grad", &attrs[0].sizes())?;
            infer_along(&[Ty::f32(shape), types[1]], &attrs[1..])?;
            if rule::meet(types[0].shape.dims(), types[1].shape.dims()).is_none() {
                return shape_err!("take_along_axis_grad: dy {} and indices {} differ in shape\n  hint: one gradient per index", types[0].shape, types[1].shape);
            }
            Ok(Ty::f32(shape))
        },
        vjp: Vjp::Rule(|g, y, x, dy| {
            let axis = g.node(y).attrs[1].clone();
            vec![Some(g.build(&TAKE_ALONG_AXIS, &[dy, x[1]], &[axis])), None]
        }),
        kind: Kind::Kernel,
        reference: |x, a, out| {
            let mut y = host::generate(out, |_| 0.0);
            for (i, v) in x[0].data.iter().enumerate() {
                if let Some(at) = along(&out.shape, &x[1], &a[1], i) {
                    y.data[at] += v;
                }
            }
            y
        },
        formula: "(lambda y: (np.add.at(y, tuple(indices if i == axis % np.ndim(indices) else k for i, k in enumerate(np.indices(np.shape(indices)))), dy), y)[1])(np.zeros(shape))",
        domain: &[WIDE, (-2.0, 2.0)],
        smooth: true,
    }
    CUMSUM = "cumsum"("x"; axis: Int = Attr::Int(-1)) {
        doc: "Running sums along an axis.",
        class: Class::Kernel,
        accept: Accept::Number,
        infer: |types, attrs| {
            rule::arity("cumsum", types, 1)?;
            types[0].shape.axis(attrs[0].int(), "cumsum")?;
            Ok(types[0])
        },
        vjp: Vjp::Rule(|g, y, _, dy| {
            let axis = g.node(y).attrs[0].clone();
            let flipped = Attr::Ints(vec![axis.int()]);
            let back = g.build(&super::movement::FLIP, &[dy], std::slice::from_ref(&flipped));
            let sums = g.build(&CUMSUM, &[back], &[axis]);
            vec![Some(g.build(&super::movement::FLIP, &[sums], &[flipped]))]
        }),
        kind: Kind::Kernel,
        reference: |x, a, out| {
            let (_, n, inner) = rule::around(&out.shape, out.shape.axis(a[0].int(), "cumsum").unwrap_or(0));
            host::generate(out, |i| (0..=i / inner % n).map(|back| x[0].data[i - back * inner]).sum())
        },
        formula: "np.cumsum(x, axis)",
        domain: &[WIDE],
        smooth: true,
    }
}

fn columns(attrs: &[Attr]) -> Dim {
    if attrs[1] == Attr::None { attrs[0].size() } else { attrs[1].size() }
}

/// A number as a value of this type holds it.
fn fit(value: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F32 => value,
        DType::I32 => host::wrap(value),
        DType::Bool => f64::from(u8::from(value != 0.0)),
        stored => kernels::stored::rounded(value, stored),
    }
}

pub(crate) fn iota_step(ctx: &StepCtx<'_>) -> Result<()> {
    let out = ctx.output;
    let count = out.ty.shape.count();
    // SAFETY: the executor hands steps an output that covers its shape.
    unsafe {
        match out.ty.dtype {
            DType::F32 => along::count(out.floats(), count, |i| i as f32),
            DType::I32 => along::count(out.ints(), count, |i| i as i32),
            DType::Bool => along::count(out.floats(), count, |i| f32::from(u8::from(i > 0))),
            stored => return Err(crate::error::Error::Internal(format!("iota of {}", stored.name()))),
        }
    }
    Ok(())
}

pub(crate) fn cumsum_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (x, out) = (ctx.inputs[0], ctx.output);
    let (outer, n, inner) = rule::around(&out.ty.shape, out.ty.shape.axis(ctx.attrs[0].int(), "cumsum")?);
    let around = Around { outer, n, inner };
    // SAFETY: the executor hands steps buffers that cover their shapes.
    unsafe {
        match out.ty.dtype {
            DType::I32 => along::running(x.ints(), out.ints(), around, 0, i32::wrapping_add, |sum| sum),
            // In f32 the error of ten million numbers is a tenth of their sum. From -0, so that
            // a leading -0 stays one.
            _ => along::running(
                x.floats(),
                out.floats(),
                around,
                -0.0,
                |sum, x| sum + f64::from(x),
                |sum| sum as f32,
            ),
        }
    }
    Ok(())
}

const NOTHING: Take = Take { outer: 0, axis: 0, inner: 0, count: 0 };

/// The axis a take indexes as (outer, axis, inner); the flattened input when left out.
fn take_extents(x: &Shape, indices: &Shape, axis: &Attr) -> Result<Take> {
    let (outer, axis, inner) = match axis {
        Attr::None => (1, x.count(), 1),
        axis => rule::around(x, x.axis(axis.int(), "take")?),
    };
    Ok(Take { outer, axis, inner, count: indices.count() })
}

fn infer_take(types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    rule::arity("take", types, 2)?;
    rule::typed("take", "indices", types[1], DType::I32)?;
    let (x, indices) = (types[0].shape, types[1].shape);
    let shape = match &attrs[0] {
        Attr::None => indices,
        axis => {
            let axis = x.axis(axis.int(), "take")?;
            let parts = [&x.dims()[..axis], indices.dims(), &x.dims()[axis + 1..]];
            Shape::new(&parts.concat())?
        }
    };
    Ok(Ty { shape, dtype: types[0].dtype })
}

/// `index` counted from the front of an axis of `n`.
fn wrapped(index: f64, n: usize) -> Option<usize> {
    let at = if index < 0.0 { index + n as f64 } else { index };
    (at >= 0.0 && at < n as f64).then_some(at as usize)
}

/// Where output element `i` of a take lies in the input.
fn source(e: &Take, indices: &[f64], i: usize) -> Option<usize> {
    let (o, k, inner) = (i / (e.count * e.inner), i / e.inner % e.count, i % e.inner);
    wrapped(indices[k], e.axis).map(|at| (o * e.axis + at) * e.inner + inner)
}

/// The indices with negative ones counted from the end of an axis of `n`. A copy: each index is
/// read once and that value is checked, since the memory may be a caller's, which other threads
/// can write meanwhile.
pub(crate) fn checked(name: &str, indices: Arg, n: usize, of: &Shape) -> Result<Vec<i32>> {
    let count = indices.ty.shape.count();
    let mut out = crate::buffer::room(count)?;
    let from = indices.ints();
    for k in 0..count {
        // SAFETY: the executor hands steps buffers that cover their shapes and outlive the step.
        let i = unsafe { from.add(k).read_volatile() };
        let place = || host::unravel(k, &indices.ty.shape)[..indices.ty.shape.rank()].to_vec();
        match position(i, n).map(i32::try_from) {
            Some(Ok(at)) => out.push(at),
            Some(Err(_)) => {
                return data_err!(
                    "{name}: index {i} at position {:?} lies past 2**31 on an axis of {n} elements\n  hint: split the axis",
                    place()
                );
            }
            None => return out_of_range(name, i, &place(), n, of),
        }
    }
    Ok(out)
}

pub(crate) fn take_step(ctx: &StepCtx<'_>) -> Result<()> {
    take_wanted(ctx, &mut |_| ())
}

/// [`take_step`] that shows the checked indices to `wanted` before it reads x: these are the ones that it
/// takes, whatever others write to theirs meanwhile.
pub(crate) fn take_wanted(ctx: &StepCtx<'_>, wanted: &mut dyn FnMut(&[i32])) -> Result<()> {
    let (x, out) = (ctx.inputs[0], ctx.output);
    let extents = take_extents(&x.ty.shape, &ctx.inputs[1].ty.shape, &ctx.attrs[0])?;
    let indices = checked("take", ctx.inputs[1], extents.axis, &x.ty.shape)?;
    wanted(&indices);
    // SAFETY: the executor hands steps buffers that cover their shapes, and the extents are theirs.
    let done = unsafe { kernel::take_elements(x.ty.dtype.size(), x.ptr, indices.as_ptr(), out.ptr, extents) };
    done.map_err(|at| {
        crate::error::Error::Internal(format!("take: index at flat position {at} was not checked"))
    })
}

pub(crate) fn take_grad_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (dy, out) = (ctx.inputs[0], ctx.output);
    let extents = take_extents(&out.ty.shape, &ctx.inputs[1].ty.shape, &ctx.attrs[1])?;
    let indices = checked("take_grad", ctx.inputs[1], extents.axis, &out.ty.shape)?;
    // SAFETY: as for take.
    let done = unsafe { kernel::scatter_add(dy.floats(), indices.as_ptr(), out.floats(), extents) };
    done.map_err(|at| {
        crate::error::Error::Internal(format!("take_grad: index at flat position {at} was not checked"))
    })
}

fn infer_along(types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    rule::arity("take_along_axis", types, 2)?;
    rule::typed("take_along_axis", "indices", types[1], DType::I32)?;
    let (x, indices) = (types[0].shape, types[1].shape);
    let axis = x.axis(attrs[0].int(), "take_along_axis")?;
    let (a, b) = (x.dims(), indices.dims());
    if a.len() != b.len() || (0..a.len()).any(|i| i != axis && a[i].meet(b[i]).is_none()) {
        return shape_err!(
            "take_along_axis: indices {indices} do not fit x {x} outside axis {axis}\n  hint: broadcast the indices first"
        );
    }
    Ok(Ty { shape: indices, dtype: types[0].dtype })
}

/// Where element `i` of a take_along_axis lies in an input of shape `x`.
fn along(x: &Shape, indices: &Host, axis: &Attr, i: usize) -> Option<usize> {
    let axis = x.axis(axis.int(), "take_along_axis").ok()?;
    let mut at = host::unravel(i, &indices.ty.shape);
    at[axis] = wrapped(indices.data[i], x.sizes()[axis])?;
    Some(host::ravel(&at[..x.rank()], x))
}

/// An array of `shape` around the axis of an attribute, and the size of that axis in the indices.
fn around(name: &str, shape: &Shape, indices: Arg, axis: &Attr) -> Result<(Around, usize)> {
    let axis = shape.axis(axis.int(), name)?;
    let (outer, n, inner) = rule::around(shape, axis);
    Ok((Around { outer, n, inner }, indices.ty.shape.sizes()[axis]))
}

/// What a kernel found at the indices, as it is said to the caller.
fn told(
    name: &str,
    found: std::result::Result<(), Outside>,
    indices: Arg,
    n: usize,
    of: &Shape,
) -> Result<()> {
    let Err(Outside { at, index }) = found else { return Ok(()) };
    let place = &host::unravel(at, &indices.ty.shape)[..indices.ty.shape.rank()];
    out_of_range(name, index, place, n, of)
}

fn out_of_range<T>(name: &str, index: i32, place: &[usize], n: usize, of: &Shape) -> Result<T> {
    data_err!("{}", outside(name, &index.to_string(), &format!("{place:?}"), n, of))
}

/// What is said of an index outside an axis of `n` elements.
#[must_use]
pub fn outside(name: &str, index: &str, place: &str, n: usize, of: &Shape) -> String {
    let hint = match n {
        0 => "an axis without elements has no index".to_string(),
        n => format!("use -{n} to {}", n - 1),
    };
    format!(
        "{name}: index {index} at position {place} is out of range for {n} elements along the axis of {of}\n  hint: {hint}"
    )
}

pub(crate) fn along_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (name, x, indices) = ("take_along_axis", ctx.inputs[0], ctx.inputs[1]);
    let (at, count) = around(name, &x.ty.shape, indices, &ctx.attrs[0])?;
    let (from, to, ids) = (x.ptr, ctx.output.ptr, indices.ints());
    // SAFETY: the executor hands steps buffers that cover their shapes.
    let found = unsafe {
        match x.ty.dtype.size() {
            1 => along::take::<u8>(from, ids, to, at, count),
            2 => along::take::<u16>(from.cast(), ids, to.cast(), at, count),
            _ => along::take::<u32>(from.cast(), ids, to.cast(), at, count),
        }
    };
    told(name, found, indices, at.n, &x.ty.shape)
}

pub(crate) fn along_grad_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (name, out, indices) = ("take_along_axis_grad", ctx.output, ctx.inputs[1]);
    let (at, count) = around(name, &out.ty.shape, indices, &ctx.attrs[1])?;
    // SAFETY: as for take_along_axis.
    let found = unsafe { along::take_grad(ctx.inputs[0].floats(), indices.ints(), out.floats(), at, count) };
    told(name, found, indices, at.n, &out.ty.shape)
}
