//! A window of a tensor at a place computed at run time: read it, or write it. Both take the starts
//! as int32, one per axis named by the attribute `axes`; a negative start counts from the end, and
//! a window that would leave the tensor is moved inside, as in JAX. A loop that writes one window of
//! a state per turn changes the state in place.

use super::build::Build;
use super::host;
use super::rule;
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Accept, Arg, Attr, Class, Host, Kind, StepCtx, Stored, Ty, Vjp};
use crate::kernels::copy::{self, Window};
use crate::shape::{DType, Shape};
use crate::shape_err;

const WIDE: (f32, f32) = (-3.0, 3.0);

rows! {
    DYNAMIC_SLICE = "dynamic_slice"("x", "start"; axes: Ints, sizes: Sizes) {
        doc: "The window of x that begins at start (int32, one per axis in axes) and has the given sizes along these axes, whole along the others. A negative start counts from the end; a window that would leave x is moved inside.",
        class: Class::Index,
        accept: Accept::Exact,
        stored: Stored::Read(&[0]),
        infer: |types, attrs| {
            rule::arity("dynamic_slice", types, 2)?;
            let sizes = rule::sizes("dynamic_slice", &attrs[1].sizes())?;
            infer_window("dynamic_slice", &types[0], types[1], attrs, sizes.dims())
        },
        vjp: Vjp::Rule(|g, y, x, dy| {
            if !g.dtype_of(x[0]).is_float() {
                return vec![None, None];
            }
            let axes = g.node(y).attrs[0].clone();
            let zeros = g.zeros_like(x[0]);
            vec![Some(g.build(&UPDATE_SLICE, &[zeros, dy, x[1]], &[axes])), None]
        }),
        kind: Kind::Kernel,
        reference: |x, a, out| {
            let begin = begin(&x[0].ty.shape, &out.shape, &a[0], |k| x[1].data[k] as i64);
            host::gather(&x[0], out, |at| at.iter().zip(&begin).map(|(&i, &b)| i + b).collect())
        },
        formula: "x[tuple(slice(*((lambda n, b, s: (lambda c: (c, c + s))(min(max(b + n if b < 0 else b, 0), n - s)))(x.shape[i], int(np.ravel(start)[list(axes).index(i)]), sizes[list(axes).index(i)]) if i in axes else (None, None))) for i in range(np.ndim(x)))]",
        domain: &[WIDE, (-4.0, 6.0)],
        smooth: true,
    }
    UPDATE_SLICE = "update_slice"("x", "part", "start"; axes: Ints) {
        doc: "x with part in the window that begins at start (int32, one per axis in axes); along the other axes part is as large as x. A negative start counts from the end; a window that would leave x is moved inside.",
        class: Class::Index,
        accept: Accept::Exact,
        stored: Stored::Read(&[0, 1]),
        infer: |types, attrs| {
            rule::arity("update_slice", types, 3)?;
            let (x, part) = (types[0], types[1]);
            if x.dtype != part.dtype || x.shape.rank() != part.shape.rank() {
                return shape_err!("update_slice: part {part} does not fit x {x}\n  hint: same type and number of axes");
            }
            let axes = axes_of("update_slice", &x.shape, &attrs[0])?;
            let sizes: Vec<Dim> = axes.iter().map(|&axis| part.shape.dims()[axis]).collect();
            let window = infer_window("update_slice", &x, types[2], attrs, &sizes)?;
            if window.shape != part.shape {
                return shape_err!("update_slice: part {} is not as large as x {} along axes that have no start\n  hint: name the axis in axes", part.shape, x.shape);
            }
            Ok(x)
        },
        vjp: Vjp::Rule(|g, y, x, dy| {
            if !g.dtype_of(x[0]).is_float() {
                return vec![None, None, None];
            }
            let axes = g.node(y).attrs[0].clone();
            let part = g.shape_of(x[1]);
            let rank = part.rank() as i64;
            let at = |&axis: &i64| part.dims()[if axis < 0 { axis + rank } else { axis } as usize];
            let sizes = Attr::Sizes(axes.ints().iter().map(at).collect());
            let zeros = g.zeros_like(x[1]);
            let dx = g.build(&UPDATE_SLICE, &[dy, zeros, x[2]], &[axes.clone()]);
            vec![Some(dx), Some(g.build(&DYNAMIC_SLICE, &[dy, x[2]], &[axes, sizes])), None]
        }),
        kind: Kind::Kernel,
        reference: |x, a, out| {
            let begin = begin(&out.shape, &x[1].ty.shape, &a[0], |k| x[2].data[k] as i64);
            let mut y = Host { ty: out, data: x[0].data.clone() };
            for (i, &v) in x[1].data.iter().enumerate() {
                let at = host::unravel(i, &x[1].ty.shape);
                let at: Vec<usize> = begin.iter().zip(at).map(|(&b, i)| b + i).collect();
                y.data[host::ravel(&at, &out.shape)] = v;
            }
            y
        },
        formula: "(lambda y: (y.__setitem__(tuple(slice(*((lambda n, b, s: (lambda c: (c, c + s))(min(max(b + n if b < 0 else b, 0), n - s)))(x.shape[i], int(np.ravel(start)[list(axes).index(i)]), part.shape[i]) if i in axes else (None, None))) for i in range(np.ndim(x))), part), y)[1])(np.array(x))",
        domain: &[WIDE, WIDE, (-4.0, 6.0)],
        smooth: true,
        writes_over: &[(0, 0)],
    }
}

/// The axes that have a start, counted from the front.
fn axes_of(name: &str, x: &Shape, axes: &Attr) -> Result<Vec<usize>> {
    let found = axes.ints().iter().map(|&a| x.axis(a, name)).collect::<Result<Vec<_>>>()?;
    if let Some(twice) = found.iter().enumerate().find(|(i, a)| found[..*i].contains(a)) {
        return shape_err!("{name}: axis {} has two starts\n  hint: name each axis once", twice.1);
    }
    Ok(found)
}

/// The type of a window of `x` with these sizes along the axes that have a start.
fn infer_window(name: &str, x: &Ty, start: Ty, attrs: &[Attr], sizes: &[Dim]) -> Result<Ty> {
    let axes = axes_of(name, &x.shape, &attrs[0])?;
    rule::typed(name, "start", start, DType::I32)?;
    let fits = match *start.shape.dims() {
        [] => axes.len() == 1,
        [count] => count == axes.len(),
        _ => false,
    };
    if !fits || sizes.len() != axes.len() {
        return shape_err!(
            "{name}: start is {} and sizes are {sizes:?} for the axes {axes:?}\n  hint: one start and one size per axis",
            start.shape
        );
    }
    let mut dims = x.shape.dims().to_vec();
    for (&axis, &size) in axes.iter().zip(sizes) {
        if (size - dims[axis]).is_positive() {
            return shape_err!(
                "{name}: a window of {size} does not fit axis {axis} of x {}\n  hint: at most {}",
                x.shape,
                dims[axis]
            );
        }
        dims[axis] = size;
    }
    Ok(Ty { shape: Shape::new(&dims)?, dtype: x.dtype })
}

/// Where the window begins along each axis, inside `x`.
fn begin(x: &Shape, window: &Shape, axes: &Attr, start: impl Fn(usize) -> i64) -> Vec<usize> {
    let (sizes, part) = (x.sizes(), window.sizes());
    let mut begin = vec![0; x.rank()];
    for (k, &axis) in axes.ints().iter().enumerate() {
        let Ok(axis) = x.axis(axis, "window") else { continue };
        let n = sizes[axis] as i64;
        let at = if start(k) < 0 { start(k) + n } else { start(k) };
        begin[axis] = at.clamp(0, n - part[axis] as i64) as usize;
    }
    begin
}

/// The starts are read once: another thread may change them meanwhile.
fn read_begin(x: &Shape, window: &Shape, axes: &Attr, start: Arg) -> Vec<usize> {
    let count = start.ty.shape.count();
    // SAFETY: the executor hands steps buffers that cover their shapes.
    let read = |k: usize| unsafe { i64::from(start.ints().add(k).read()) };
    let starts: Vec<i64> = (0..count).map(read).collect();
    begin(x, window, axes, |k| starts[k])
}

pub(crate) fn dynamic_slice_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (x, out) = (ctx.inputs[0], ctx.output);
    let begin = read_begin(&x.ty.shape, &out.ty.shape, &ctx.attrs[0], ctx.inputs[1]);
    let window = Window { whole: &x.ty.shape.sizes(), part: &out.ty.shape.sizes(), begin: &begin };
    // SAFETY: the buffers cover their shapes, and the window lies inside x.
    unsafe { copy::read_window(x.ty.dtype.size(), x.ptr, out.ptr, window) };
    Ok(())
}

pub(crate) fn update_slice_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (x, part, out) = (ctx.inputs[0], ctx.inputs[1], ctx.output);
    let begin = read_begin(&out.ty.shape, &part.ty.shape, &ctx.attrs[0], ctx.inputs[2]);
    let window = Window { whole: &out.ty.shape.sizes(), part: &part.ty.shape.sizes(), begin: &begin };
    // SAFETY: the buffers cover their shapes; x is the result itself or apart from it.
    unsafe {
        if x.ptr != out.ptr {
            copy::copy_elements(out.ty.dtype.size(), out.ptr, x.ptr, &[out.ty.shape.count()], &[1]);
        }
        copy::write_window(out.ty.dtype.size(), part.ptr, out.ptr, window);
    }
    Ok(())
}
