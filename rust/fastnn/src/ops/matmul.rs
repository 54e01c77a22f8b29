//! Matrix products.

use super::build::Build;
use super::host;
use super::movement;
use super::rule;
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Accept, Attr, Class, Graph, Host, Id, Kind, Stored, Ty, Vjp};
use crate::shape::{DType, Shape};
use crate::shape_err;

const WIDE: (f32, f32) = (-2.0, 2.0);

rows! {
    MATMUL = "matmul"("a", "b"; transpose_a: Bool = Attr::Bool(false), transpose_b: Bool = Attr::Bool(false), precision: DType = Attr::DType(DType::F32)) {
        doc: "The matrix product over the last two axes, (..., n, k) @ (..., k, m) -> (..., n, m); leading axes broadcast. An operand with its flag set is given transposed. b may be of a storage type; it is widened as it is read. With the precision bfloat16 a and b may be rounded to it where that is faster; sums are float32.",
        class: Class::Contract,
        accept: Accept::Float,
        stored: Stored::Read(&[1]),
        infer: infer,
        vjp: Vjp::Rule(vjp),
        kind: Kind::Head,
        reference: reference,
        formula: "np.matmul(np.swapaxes(a, -1, -2) if transpose_a else a, np.swapaxes(b, -1, -2) if transpose_b else b)",
        domain: &[WIDE, WIDE],
        smooth: true,
    }
    DOT = "dot"("a", "b") {
        doc: "NumPy's dot: inner product of vectors, matrix product of matrices, otherwise the sum over the last axis of a and the second to last (or only) axis of b.",
        class: Class::Composite,
        accept: Accept::Float,
        infer: infer_dot,
        vjp: Vjp::Lowered,
        kind: Kind::Lowered(lower_dot),
        reference: reference_dot,
        formula: "np.dot(a, b)",
        domain: &[WIDE, WIDE],
        smooth: true,
    }
}

/// (rows, columns) of an operand as it enters the product.
fn sides(shape: &Shape, transposed: bool) -> (Dim, Dim) {
    let d = shape.dims();
    let (r, c) = (d[d.len() - 2], d[d.len() - 1]);
    if transposed { (c, r) } else { (r, c) }
}

/// The type that operands may be rounded to before they are multiplied: float32, which is none, or
/// bfloat16.
#[must_use]
pub fn precision(attrs: &[Attr]) -> DType {
    attrs.get(2).map_or(DType::F32, Attr::dtype)
}

fn infer(types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    rule::arity("matmul", types, 2)?;
    if !matches!(precision(attrs), DType::F32 | DType::BF16) {
        return crate::data_err!(
            "matmul: precision is {}, wanted float32 or bfloat16\n  hint: leave it out for float32",
            precision(attrs).name()
        );
    }
    rule::typed("matmul", "a", types[0], DType::F32)?;
    if !types[1].dtype.is_stored() {
        rule::typed("matmul", "b", types[1], DType::F32)?;
    }
    let (a, b) = (types[0].shape, types[1].shape);
    if a.rank() < 2 || b.rank() < 2 {
        return shape_err!(
            "matmul: operands need at least 2 axes, got {a} and {b}\n  hint: use dot, or expand_dims the vector"
        );
    }
    let (ta, tb) = (attrs[0].flag(), attrs[1].flag());
    let (n, k) = sides(&a, ta);
    let (k2, m) = sides(&b, tb);
    if k.meet(k2).is_none() {
        let mark = |t: bool| if t { " transposed" } else { "" };
        return shape_err!(
            "matmul: inner sizes differ: {a}{} @ {b}{}\n  hint: columns of a must equal rows of b, here they are {k} and {k2}",
            mark(ta),
            mark(tb)
        );
    }
    let lead = |s: &Shape| Shape::new(&s.dims()[..s.rank() - 2]);
    let batch = rule::broadcast("matmul (leading axes)", &lead(&a)?, &lead(&b)?)?;
    let mut dims = batch.dims().to_vec();
    dims.extend([n, m]);
    Ok(Ty::f32(Shape::new(&dims)?))
}

fn vjp(g: &mut Graph, y: Id, x: &[Id], dy: Id) -> Vec<Option<Id>> {
    let [a, b] = [x[0], x[1]];
    let (ta, tb) = (g.node(y).attrs[0].flag(), g.node(y).attrs[1].flag());
    let rounded = precision(&g.node(y).attrs);
    let (sa, sb) = (g.shape_of(a), g.shape_of(b));
    let da = if ta {
        // Only the right operand may be of a storage type.
        let wide = g.cast(b, DType::F32);
        g.product(wide, dy, tb, true, rounded)
    } else {
        g.product(dy, b, false, !tb, rounded)
    };
    let db = if sb.rank() == 2 && sa.rank() > 2 && !ta {
        // One product over all rows instead of a product per batch and a sum of them.
        let (flat_a, flat_dy) = (g.rows_of(a), g.rows_of(dy));
        let (left, right) = if tb { (flat_dy, flat_a) } else { (flat_a, flat_dy) };
        g.product(left, right, true, false, rounded)
    } else if tb {
        g.product(dy, a, true, ta, rounded)
    } else {
        g.product(a, dy, !ta, false, rounded)
    };
    let db = g.dtype_of(b).is_float().then(|| g.unbroadcast(db, &sb));
    vec![Some(g.unbroadcast(da, &sa)), db]
}

fn reference(x: &[Host], attrs: &[Attr], out: Ty) -> Host {
    let (ta, tb) = (attrs[0].flag(), attrs[1].flag());
    let k = x[0].ty.shape.sizes()[x[0].ty.shape.rank() - if ta { 2 } else { 1 }];
    let at = |h: &Host, lead: &[usize], (r, c): (usize, usize), t: bool| {
        let (r, c) = if t { (c, r) } else { (r, c) };
        let s = &h.ty.shape;
        let skip = lead.len() + 2 - s.rank();
        let mut full: Vec<usize> =
            (0..s.rank() - 2).map(|i| if s.sizes()[i] == 1 { 0 } else { lead[skip + i] }).collect();
        full.extend([r, c]);
        h.data[host::ravel(&full, s)]
    };
    let rank = out.shape.rank();
    host::generate(out, |i| {
        let p = host::unravel(i, &out.shape);
        let (lead, r, c) = (&p[..rank - 2], p[rank - 2], p[rank - 1]);
        (0..k).map(|j| at(&x[0], lead, (r, j), ta) * at(&x[1], lead, (j, c), tb)).sum()
    })
}

/// Which axis of `b` is summed in dot.
fn inner_axis(b: &Shape) -> usize {
    b.rank().saturating_sub(2)
}

fn infer_dot(types: &[Ty], _: &[Attr]) -> Result<Ty> {
    rule::arity("dot", types, 2)?;
    rule::typed("dot", "a", types[0], DType::F32)?;
    rule::typed("dot", "b", types[1], DType::F32)?;
    let (a, b) = (types[0].shape, types[1].shape);
    if a.rank() == 0 || b.rank() == 0 {
        return Ok(Ty::f32(a.broadcast(&b, "dot")?));
    }
    let (da, db) = (a.dims(), b.dims());
    let inner = inner_axis(&b);
    if da[da.len() - 1].meet(db[inner]).is_none() {
        return shape_err!(
            "dot: the last axis of {a} and axis {inner} of {b} differ\n  hint: transpose one of them"
        );
    }
    let mut dims = da[..da.len() - 1].to_vec();
    dims.extend(db.iter().enumerate().filter(|&(i, _)| i != inner).map(|(_, &d)| d));
    Ok(Ty::f32(Shape::new(&dims)?))
}

fn lower_dot(g: &mut Graph, x: &[Id], _: &[Attr]) -> Result<Id> {
    let (a, b) = (g.shape_of(x[0]), g.shape_of(x[1]));
    if a.rank() == 0 || b.rank() == 0 {
        return Ok(g.mul(x[0], x[1]));
    }
    let out = infer_dot(&[g.ty(x[0]), g.ty(x[1])], &[])?.shape;
    let inner = inner_axis(&b);
    let k = b.dims()[inner];
    let mut order: Vec<i64> = vec![inner as i64];
    order.extend((0..b.rank()).filter(|&i| i != inner).map(|i| i as i64));
    let right =
        if inner == 0 { x[1] } else { g.try_add(&movement::TRANSPOSE, &[x[1]], &[Attr::Ints(order)])? };
    let rest = |s: &Shape, skip: usize| {
        s.dims().iter().enumerate().filter(|&(i, _)| i != skip).map(|(_, &d)| d).product::<Dim>()
    };
    let left = g.reshape_to(x[0], &Shape::new(&[rest(&a, a.rank() - 1), k])?);
    let right = g.reshape_to(right, &Shape::new(&[k, rest(&b, inner)])?);
    let product = g.matmul(left, right, false, false);
    Ok(g.reshape_to(product, &out))
}

fn reference_dot(x: &[Host], _: &[Attr], out: Ty) -> Host {
    let (a, b) = (&x[0], &x[1]);
    if a.ty.shape.rank() == 0 || b.ty.shape.rank() == 0 {
        return host::map(x, out, |[a, b]| a * b);
    }
    let lead = a.ty.shape.rank() - 1;
    let inner = inner_axis(&b.ty.shape);
    host::generate(out, |i| {
        let at = host::unravel(i, &out.shape);
        let (pa, pb) = at[..out.shape.rank()].split_at(lead);
        let sum = |j: usize| {
            let (mut ia, mut ib) = (pa.to_vec(), pb.to_vec());
            ia.push(j);
            ib.insert(inner, j);
            a.data[host::ravel(&ia, &a.ty.shape)] * b.data[host::ravel(&ib, &b.ty.shape)]
        };
        (0..b.ty.shape.sizes()[inner]).map(sum).sum()
    })
}
