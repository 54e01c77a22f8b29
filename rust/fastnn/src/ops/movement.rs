//! Moving elements without computing: new shapes, other orders, parts, paddings, joins. Slices
//! follow NumPy's clamping rules and are resolved against the size at hand, so that a slice of an
//! axis whose size is open stays right for every size.

mod join;
mod parts;

pub(crate) use join::concatenate_step;
pub use parts::unslice_places;
pub(crate) use parts::{pad_step, unslice_step};

use super::build::Build;
use super::host;
use super::rule::{self, shape_attr};
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Accept, Attr, Class, Graph, Host, Id, Kind, Stored, Strided, Ty, Vjp};
use crate::shape::{MAX_RANK, Shape};
use crate::{data_err, shape_err};
use join::{concatenate_reference, concatenate_vjp, infer_concatenate};
use parts::{infer_pad, pad_parts, parts, placed};

const WIDE: (f32, f32) = (-3.0, 3.0);

rows! {
    RESHAPE = "reshape"("x"; shape: Sizes) {
        doc: "The same elements in row-major order under another shape; one size may be -1.",
        class: Class::View,
        accept: Accept::Exact,
        stored: Stored::Moved,
        infer: infer_reshape,
        vjp: Vjp::Rule(back_to_shape),
        kind: Kind::View,
        reference: same_elements,
        formula: "np.reshape(x, shape)",
        domain: &[WIDE],
        smooth: true,
    }
    EXPAND_DIMS = "expand_dims"("x"; axis: Ints) {
        doc: "New axes of size 1 at the given positions of the result.",
        class: Class::View,
        accept: Accept::Exact,
        stored: Stored::Moved,
        infer: infer_expand_dims,
        vjp: Vjp::Rule(back_to_shape),
        kind: Kind::View,
        reference: same_elements,
        formula: "np.expand_dims(x, axis)",
        domain: &[WIDE],
        smooth: true,
    }
    SQUEEZE = "squeeze"("x"; axis: Ints) {
        doc: "Without the given axes, which must have size 1.",
        class: Class::View,
        accept: Accept::Exact,
        stored: Stored::Moved,
        infer: |types, attrs| {
            rule::arity("squeeze", types, 1)?;
            let shape = types[0].shape;
            let axes = rule::axes(&attrs[0], &shape, "squeeze")?;
            if let Some(&i) = axes.iter().find(|&&i| shape.dims()[i].meet(Dim::ONE).is_none()) {
                return shape_err!("squeeze: axis {i} of {shape} does not have size 1\n  hint: use reshape");
            }
            Ok(Ty { shape: rule::reduced(&shape, &axes, false)?, dtype: types[0].dtype })
        },
        vjp: Vjp::Rule(back_to_shape),
        kind: Kind::View,
        reference: same_elements,
        formula: "np.squeeze(x, axis)",
        domain: &[WIDE],
        smooth: true,
    }
    TRANSPOSE = "transpose"("x"; axes: IntsOrNone = Attr::None) {
        doc: "Axes in another order, by default reversed: axis i of the result is axis axes[i] of x.",
        class: Class::Movement,
        accept: Accept::Exact,
        stored: Stored::Moved,
        infer: |types, attrs| {
            rule::arity("transpose", types, 1)?;
            let order = order(&types[0].shape, &attrs[0])?;
            let dims: Vec<Dim> = order.iter().map(|&i| types[0].shape.dims()[i]).collect();
            Ok(Ty { shape: Shape::new(&dims)?, dtype: types[0].dtype })
        },
        vjp: Vjp::Rule(|g, y, x, dy| {
            let shape = g.shape_of(x[0]);
            let order = order(&shape, &g.node(y).attrs[0]).unwrap_or_default();
            let mut back = vec![0; order.len()];
            for (i, &from) in order.iter().enumerate() {
                back[from] = i as i64;
            }
            vec![Some(g.transpose(dy, &back))]
        }),
        kind: Kind::Strided(|types, attrs, _| {
            let strides = types[0].shape.strides();
            let order = order(&types[0].shape, &attrs[0])?;
            Ok(Strided { offset: 0, strides: order.iter().map(|&i| strides[i] as isize).collect() })
        }),
        reference: |x, a, out| {
            let order = order(&x[0].ty.shape, &a[0]).unwrap_or_default();
            host::gather(&x[0], out, |at| {
                let mut from = vec![0; at.len()];
                for (&i, &p) in order.iter().zip(at) {
                    from[i] = p;
                }
                from
            })
        },
        formula: "np.transpose(x, axes)",
        domain: &[WIDE],
        smooth: true,
    }
    BROADCAST_TO = "broadcast_to"("x"; shape: Sizes) {
        doc: "Repeated along axes of size 1 (and new leading axes) to fill a shape.",
        class: Class::Movement,
        accept: Accept::Exact,
        stored: Stored::Moved,
        infer: |types, attrs| {
            rule::arity("broadcast_to", types, 1)?;
            let want = rule::sizes("broadcast_to", &attrs[0].sizes())?;
            rule::widens("broadcast_to", &types[0].shape, &want)?;
            Ok(Ty { shape: want, dtype: types[0].dtype })
        },
        vjp: Vjp::Rule(|g, _, x, dy| {
            let shape = g.shape_of(x[0]);
            vec![Some(g.unbroadcast(dy, &shape))]
        }),
        kind: Kind::Strided(|types, _, out| {
            let (from, strides) = (types[0].shape, types[0].shape.strides());
            let lead = out.shape.rank() - from.rank();
            let stride = |i: usize| if i < lead || from.dims()[i - lead] == Dim::ONE { 0 } else { strides[i - lead] as isize };
            Ok(Strided { offset: 0, strides: (0..out.shape.rank()).map(stride).collect() })
        }),
        reference: |x, _, out| host::map(x, out, |[x]| x),
        formula: "np.broadcast_to(x, shape)",
        domain: &[WIDE],
        smooth: true,
    }
    FLIP = "flip"("x"; axis: IntsOrNone = Attr::None) {
        doc: "Elements in reverse order along axes, by default all.",
        class: Class::Movement,
        accept: Accept::Exact,
        stored: Stored::Moved,
        infer: |types, attrs| {
            rule::arity("flip", types, 1)?;
            rule::axes(&attrs[0], &types[0].shape, "flip")?;
            Ok(types[0])
        },
        vjp: Vjp::Rule(|g, y, _, dy| {
            let attrs = g.node(y).attrs.clone();
            vec![Some(g.build(&FLIP, &[dy], &attrs))]
        }),
        kind: Kind::Strided(|types, attrs, _| {
            let shape = types[0].shape;
            let axes = rule::axes(&attrs[0], &shape, "flip")?;
            let mut layout = Strided { offset: 0, strides: vec![] };
            for (i, &stride) in shape.strides()[..shape.rank()].iter().enumerate() {
                let stride = stride as isize;
                if axes.contains(&i) {
                    layout.offset += stride * (shape.sizes()[i] as isize - 1).max(0);
                    layout.strides.push(-stride);
                } else {
                    layout.strides.push(stride);
                }
            }
            Ok(layout)
        }),
        reference: |x, a, out| {
            let shape = x[0].ty.shape;
            let axes = rule::axes(&a[0], &shape, "flip").unwrap_or_default();
            let turn = |(i, &p): (usize, &usize)| if axes.contains(&i) { shape.sizes()[i] - 1 - p } else { p };
            host::gather(&x[0], out, |at| at.iter().enumerate().map(turn).collect())
        },
        formula: "np.flip(x, axis)",
        domain: &[WIDE],
        smooth: true,
    }
    SLICE = "slice"("x"; begin: Sizes, end: Sizes, step: Ints) {
        doc: "x[begin:end:step] with one entry per axis and NumPy's rules; an end of 2**63 - 1 (or -2**63 for negative steps) runs to the border.",
        class: Class::Movement,
        accept: Accept::Exact,
        stored: Stored::Moved,
        infer: |types, attrs| {
            rule::arity("slice", types, 1)?;
            let parts = parts("slice", &types[0].shape, attrs)?;
            let dims: Vec<Dim> = parts.iter().map(|p| p.count).collect();
            Ok(Ty { shape: Shape::new(&dims)?, dtype: types[0].dtype })
        },
        vjp: Vjp::Rule(|g, y, x, dy| {
            let mut attrs = vec![shape_attr(&g.shape_of(x[0]))];
            attrs.extend(g.node(y).attrs.iter().cloned());
            vec![Some(g.build(&UNSLICE, &[dy], &attrs))]
        }),
        kind: Kind::Strided(|types, attrs, _| {
            let strides = types[0].shape.strides();
            let mut layout = Strided { offset: 0, strides: vec![] };
            for (part, &stride) in parts("slice", &types[0].shape, attrs)?.iter().zip(&strides) {
                layout.offset += if part.count() > 0 { part.at(0) as isize * stride as isize } else { 0 };
                layout.strides.push(part.step as isize * stride as isize);
            }
            Ok(layout)
        }),
        reference: |x, a, out| {
            let parts = parts("slice", &x[0].ty.shape, a).unwrap_or_default();
            host::gather(&x[0], out, |at| at.iter().zip(&parts).map(|(&i, p)| p.at(i)).collect())
        },
        formula: "x[tuple(slice(b, None if abs(e) >= 2**62 else e, s) for b, e, s in zip(begin, end, step))]",
        domain: &[WIDE],
        smooth: true,
    }
    UNSLICE = "unslice"("x"; shape: Sizes, begin: Sizes, end: Sizes, step: Ints) {
        doc: "Zeros of a shape with x in the place that slice(begin, end, step) reads: the adjoint of slice.",
        class: Class::Kernel,
        accept: Accept::Exact,
        infer: |types, attrs| {
            rule::arity("unslice", types, 1)?;
            let shape = rule::sizes("unslice", &attrs[0].sizes())?;
            let parts = parts("unslice", &shape, &attrs[1..])?;
            let counts: Vec<Dim> = parts.iter().map(|p| p.count).collect();
            if rule::meet(&counts, types[0].shape.dims()).is_none() {
                return shape_err!("unslice: {} is not the shape of that slice of {shape}\n  hint: pass the attributes of the slice", types[0].shape);
            }
            Ok(Ty { shape, dtype: types[0].dtype })
        },
        vjp: Vjp::Rule(|g, y, _, dy| {
            let attrs = g.node(y).attrs[1..].to_vec();
            vec![Some(g.build(&SLICE, &[dy], &attrs))]
        }),
        kind: Kind::Kernel,
        reference: |x, a, out| {
            let parts = parts("unslice", &out.shape, &a[1..]).unwrap_or_default();
            placed(&x[0], out, &parts, 0.0)
        },
        formula: "(lambda y: (y.__setitem__(tuple(slice(b, None if abs(e) >= 2**62 else e, s) for b, e, s in zip(begin, end, step)), x), y)[1])(np.zeros(shape, np.asarray(x).dtype))",
        domain: &[WIDE],
        smooth: true,
    }
    PAD = "pad"("x"; widths: Sizes, value: Float = Attr::Float(0.0)) {
        doc: "x surrounded by a value; widths are (before, after) per axis, flat.",
        class: Class::Kernel,
        accept: Accept::Exact,
        stored: Stored::Moved,
        infer: infer_pad,
        vjp: Vjp::Rule(|g, y, x, dy| {
            let shape = g.shape_of(x[0]);
            let begin: Vec<Dim> = g.node(y).attrs[0].sizes().iter().copied().step_by(2).collect();
            let end = begin.iter().zip(shape.dims()).map(|(&b, &n)| b + n).collect();
            let step = vec![1; begin.len()];
            vec![Some(g.build(&SLICE, &[dy], &[Attr::Sizes(begin), Attr::Sizes(end), Attr::Ints(step)]))]
        }),
        kind: Kind::Kernel,
        reference: |x, a, out| placed(&x[0], out, &pad_parts(&x[0].ty.shape, &a[0]), a[1].float()),
        formula: "np.pad(x, np.reshape(widths, (-1, 2)), constant_values=value)",
        domain: &[WIDE],
        smooth: true,
    }
    CONCATENATE = "concatenate"("*tensors"; axis: Int = Attr::Int(-1)) {
        doc: "Tensors joined along an axis; their other sizes must agree.",
        class: Class::Kernel,
        accept: Accept::Common,
        stored: Stored::Moved,
        infer: infer_concatenate,
        vjp: Vjp::Rule(concatenate_vjp),
        kind: Kind::Kernel,
        reference: concatenate_reference,
        formula: "np.concatenate(tensors, axis)",
        domain: &[WIDE],
        smooth: true,
    }
    STACK = "stack"("*tensors"; axis: Int = Attr::Int(0)) {
        doc: "Tensors of one shape joined along a new axis.",
        class: Class::Composite,
        accept: Accept::Common,
        stored: Stored::Moved,
        infer: |types, attrs| {
            let wide = types.iter().map(|&t| infer_expand_dims(&[t], attrs)).collect::<Result<Vec<_>>>()?;
            if let Some(t) = types.iter().find(|t| rule::meet(t.shape.dims(), types[0].shape.dims()).is_none()) {
                return shape_err!("stack: shapes {} and {} differ\n  hint: concatenate joins along an existing axis", types[0].shape, t.shape);
            }
            infer_concatenate(&wide, attrs)
        },
        vjp: Vjp::Lowered,
        kind: Kind::Lowered(|g, x, attrs| {
            let wide: Vec<Id> = x.iter().map(|&x| g.expand_dims(x, attrs[0].int())).collect();
            g.try_add(&CONCATENATE, &wide, attrs)
        }),
        reference: |x, a, out| {
            let axis = out.shape.axis(a[0].int(), "stack").unwrap_or(0);
            host::generate(out, |i| {
                let mut at = host::unravel(i, &out.shape)[..out.shape.rank()].to_vec();
                let k = at.remove(axis);
                x[k].data[host::ravel(&at, &x[k].ty.shape)]
            })
        },
        formula: "np.stack(tensors, axis)",
        domain: &[WIDE],
        smooth: true,
    }
    TILE = "tile"("x"; repeats: Sizes) {
        doc: "x repeated as a whole along each axis; fewer repeats than axes count from the last.",
        class: Class::Composite,
        accept: Accept::Exact,
        stored: Stored::Moved,
        infer: |types, attrs| {
            rule::arity("tile", types, 1)?;
            let shape = multiplied("tile", &tiled(&types[0].shape, &attrs[0]))?;
            Ok(Ty { shape, dtype: types[0].dtype })
        },
        vjp: Vjp::Lowered,
        kind: Kind::Lowered(|g, x, attrs| {
            let pairs = tiled(&g.shape_of(x[0]), &attrs[0]);
            repeat_pairs(g, x[0], &pairs, false)
        }),
        reference: |x, _, out| {
            let shape = x[0].ty.shape;
            let lead = out.shape.rank() - shape.rank();
            host::gather(&x[0], out, |at| at[lead..].iter().zip(shape.sizes().iter()).map(|(i, d)| i % d).collect())
        },
        formula: "np.tile(x, repeats)",
        domain: &[WIDE],
        smooth: true,
    }
    REPEAT = "repeat"("x"; repeats: Size, axis: Int) {
        doc: "Each element repeated along an axis.",
        class: Class::Composite,
        accept: Accept::Exact,
        stored: Stored::Moved,
        infer: |types, attrs| {
            rule::arity("repeat", types, 1)?;
            let shape = multiplied("repeat", &repeated(&types[0].shape, attrs)?)?;
            Ok(Ty { shape, dtype: types[0].dtype })
        },
        vjp: Vjp::Lowered,
        kind: Kind::Lowered(|g, x, attrs| {
            let pairs = repeated(&g.shape_of(x[0]), attrs)?;
            repeat_pairs(g, x[0], &pairs, true)
        }),
        reference: |x, a, out| {
            let axis = out.shape.axis(a[1].int(), "repeat").unwrap_or(0);
            host::gather(&x[0], out, |at| {
                let mut from = at.to_vec();
                from[axis] /= a[0].size().known().unwrap_or(1).max(1) as usize;
                from
            })
        },
        formula: "np.repeat(x, repeats, axis)",
        domain: &[WIDE],
        smooth: true,
    }
    ROLL = "roll"("x"; shift: Size, axis: Int) {
        doc: "Elements shifted along an axis; what leaves at the end comes back at the start.",
        class: Class::Composite,
        accept: Accept::Exact,
        stored: Stored::Moved,
        infer: |types, attrs| {
            rule::arity("roll", types, 1)?;
            types[0].shape.axis(attrs[1].int(), "roll")?;
            Ok(types[0])
        },
        vjp: Vjp::Lowered,
        kind: Kind::Lowered(lower_roll),
        reference: |x, a, out| {
            let axis = out.shape.axis(a[1].int(), "roll").unwrap_or(0);
            let n = out.shape.sizes()[axis] as i64;
            let shift = a[0].size().known().unwrap_or_default();
            host::gather(&x[0], out, |at| {
                let mut from = at.to_vec();
                from[axis] = (from[axis] as i64 - shift.rem_euclid(n)).rem_euclid(n) as usize;
                from
            })
        },
        formula: "np.roll(x, shift, axis)",
        domain: &[WIDE],
        smooth: true,
    }
}

fn same_elements(x: &[Host], _: &[Attr], out: Ty) -> Host {
    Host { ty: out, data: x[0].data.clone() }
}

fn back_to_shape(g: &mut Graph, _: Id, x: &[Id], dy: Id) -> Vec<Option<Id>> {
    let shape = g.shape_of(x[0]);
    vec![Some(g.reshape_to(dy, &shape))]
}

fn infer_reshape(types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    const HOLE: Dim = Dim::new(-1);
    rule::arity("reshape", types, 1)?;
    let (from, mut dims) = (types[0].shape, attrs[0].sizes().to_vec());
    let known: Dim = dims.iter().filter(|&&d| d != HOLE).product();
    let holes = dims.iter().filter(|&&d| d == HOLE).count();
    if holes > 1 {
        return shape_err!("reshape: {dims:?} has {holes} sizes of -1\n  hint: at most one can be inferred");
    }
    if holes == 1 {
        let rest = if known.is_negative() { None } else { from.elements().divided(known) };
        let Some(rest) = rest else {
            return shape_err!(
                "reshape: {from} cannot be divided into {dims:?}\n  hint: the other sizes multiply to {known}"
            );
        };
        dims.iter_mut().filter(|d| **d == HOLE).for_each(|d| *d = rest);
    }
    let shape = rule::sizes("reshape", &dims)?;
    if holes == 0 && shape.elements().meet(from.elements()).is_none() {
        return shape_err!(
            "reshape: {from} to {shape} changes the number of elements\n  hint: use -1 for the size to infer"
        );
    }
    Ok(Ty { shape, dtype: types[0].dtype })
}

fn infer_expand_dims(types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    rule::arity("expand_dims", types, 1)?;
    let asked = match &attrs[0] {
        Attr::Int(i) => vec![*i],
        other => other.ints().to_vec(),
    };
    let from = types[0].shape;
    let rank = from.rank() + asked.len();
    if rank > MAX_RANK {
        return shape_err!(
            "expand_dims: {from} would get {rank} axes, the limit is {MAX_RANK}\n  hint: reshape: join axes first"
        );
    }
    let stand_in = Shape::new(&vec![Dim::ONE; rank])?;
    let new = rule::axes(&Attr::Ints(asked), &stand_in, "expand_dims")?;
    let mut rest = from.dims().iter();
    let dims: Vec<Dim> = (0..rank)
        .map(|i| if new.contains(&i) { Dim::ONE } else { *rest.next().unwrap_or(&Dim::ONE) })
        .collect();
    Ok(Ty { shape: Shape::new(&dims)?, dtype: types[0].dtype })
}

fn order(shape: &Shape, attr: &Attr) -> Result<Vec<usize>> {
    if *attr == Attr::None {
        return Ok((0..shape.rank()).rev().collect());
    }
    let order = attr.ints().iter().map(|&i| shape.axis(i, "transpose")).collect::<Result<Vec<_>>>()?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted.iter().copied().ne(0..shape.rank()) {
        return shape_err!(
            "transpose: axes {:?} are not an order of the {} axes of {shape}\n  hint: name each axis once",
            attr.ints(),
            shape.rank()
        );
    }
    Ok(order)
}

/// (repeats, size) per axis of a tiled result.
fn tiled(shape: &Shape, repeats: &Attr) -> Vec<(Dim, Dim)> {
    let repeats = repeats.sizes();
    let rank = shape.rank().max(repeats.len());
    let (lead_r, lead_s) = (rank - repeats.len(), rank - shape.rank());
    let pair = |i: usize| {
        (
            if i < lead_r { Dim::ONE } else { repeats[i - lead_r] },
            if i < lead_s { Dim::ONE } else { shape.dims()[i - lead_s] },
        )
    };
    (0..rank).map(pair).collect()
}

fn repeated(shape: &Shape, attrs: &[Attr]) -> Result<Vec<(Dim, Dim)>> {
    let axis = shape.axis(attrs[1].int(), "repeat")?;
    let pair = |(i, &d): (usize, &Dim)| (if i == axis { attrs[0].size() } else { Dim::ONE }, d);
    Ok(shape.dims().iter().enumerate().map(pair).collect())
}

/// The shape of (repeats, size) per axis.
fn multiplied(name: &str, pairs: &[(Dim, Dim)]) -> Result<Shape> {
    if let Some((r, _)) = pairs.iter().find(|(r, _)| r.is_negative()) {
        return data_err!("{name}: repeats {r} is negative\n  hint: repeats count from 0");
    }
    Shape::new(&pairs.iter().map(|&(r, d)| d * r).collect::<Vec<_>>())
}

/// Repeats axes, one at a time, by widening an extra axis before (whole) or after (`each` element).
fn repeat_pairs(g: &mut Graph, x: Id, pairs: &[(Dim, Dim)], each: bool) -> Result<Id> {
    let out = multiplied("repeat", pairs)?;
    if out.dims().contains(&Dim::ZERO) {
        let dtype = g.dtype_of(x);
        let nothing = g.typed_scalar(0.0, dtype);
        return Ok(g.broadcast_to(nothing, &out));
    }
    let mut sizes: Vec<Dim> = pairs.iter().map(|p| p.1).collect();
    let mut y = x;
    for (i, &(r, d)) in pairs.iter().enumerate().filter(|(_, p)| p.0 != Dim::ONE) {
        let (outer, inner) = (sizes[..i].iter().product(), sizes[i + 1..].iter().product());
        let (thin, wide) = if each {
            ([outer, d, Dim::ONE, inner], [outer, d, r, inner])
        } else {
            ([outer, Dim::ONE, d, inner], [outer, r, d, inner])
        };
        let apart = g.reshape_to(y, &Shape::new(&thin)?);
        y = g.broadcast_to(apart, &Shape::new(&wide)?);
        sizes[i] = r * d;
    }
    Ok(g.reshape_to(y, &out))
}

fn lower_roll(g: &mut Graph, x: &[Id], attrs: &[Attr]) -> Result<Id> {
    let shape = g.shape_of(x[0]);
    let axis = shape.axis(attrs[1].int(), "roll")?;
    let n = shape.dims()[axis];
    // -shift modulo n
    let back = Dim::ZERO - attrs[0].size();
    let cut = if n == Dim::ZERO { n } else { back - n * back.floor_div(n) };
    if cut == Dim::ZERO {
        return Ok(x[0]);
    }
    let mut part = |from: Dim, to: Dim| {
        let mut begin = vec![Dim::ZERO; shape.rank()];
        let mut end = shape.dims().to_vec();
        (begin[axis], end[axis]) = (from, to);
        let step = Attr::Ints(vec![1; shape.rank()]);
        g.try_add(&SLICE, &[x[0]], &[Attr::Sizes(begin), Attr::Sizes(end), step])
    };
    let (head, tail) = (part(cut, n)?, part(Dim::ZERO, cut)?);
    let rolled = g.try_add(&CONCATENATE, &[head, tail], &[Attr::Int(axis as i64)])?;
    Ok(g.reshape_to(rolled, &shape))
}
