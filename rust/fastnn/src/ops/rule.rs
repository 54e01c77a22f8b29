//! What shape rules share: arity and type checks, axes, sizes. Messages name the op, the shapes
//! and a way out.

use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Accept, Attr, Ty};
use crate::shape::{DType, Shape};
use crate::{data_err, shape_err};

/// The type of an elementwise result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// The type of the inputs.
    Same,
    /// Bool.
    Truth,
}

/// What an elementwise row takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Takes {
    pub(super) name: &'static str,
    pub(super) count: usize,
    pub(super) accept: Accept,
    /// There is a kernel for i32.
    pub(super) int: bool,
    pub(super) gives: Gives,
}

/// Rejects a wrong number of inputs.
pub(super) fn arity(name: &str, types: &[Ty], count: usize) -> Result<()> {
    if types.len() == count {
        return Ok(());
    }
    shape_err!(
        "{name}: takes {count} input{}, got {}\n  hint: op_table() lists the inputs of every op",
        if count == 1 { "" } else { "s" },
        types.len()
    )
}

/// Rejects an input that is not of this type.
pub(super) fn typed(name: &str, arg: &str, ty: Ty, want: DType) -> Result<()> {
    if ty.dtype == want {
        return Ok(());
    }
    data_err!("{name}: {arg} is {ty}, wanted {}\n  hint: cast({arg}, dtype='{}')", want.name(), want.name())
}

/// A row with one f32 input: its type.
pub(super) fn one_float(name: &str, types: &[Ty]) -> Result<Ty> {
    arity(name, types, 1)?;
    typed(name, "x", types[0], DType::F32)?;
    Ok(types[0])
}

/// NumPy broadcasting with a hint in the message.
pub(super) fn broadcast(name: &str, a: &Shape, b: &Shape) -> Result<Shape> {
    a.broadcast(b, name).or_else(|e| match e {
        crate::error::Error::Shape(text) => {
            shape_err!("{text}\n  hint: sizes must be equal or 1, counted from the last axis")
        }
        other => Err(other),
    })
}

/// The rule of all elementwise rows.
pub(super) fn elementwise(takes: Takes, types: &[Ty]) -> Result<Ty> {
    let Takes { name, count, accept, int, gives } = takes;
    arity(name, types, count)?;
    let dtype = types[0].dtype;
    if let Some(other) = types.iter().find(|t| t.dtype != dtype) {
        return data_err!(
            "{name}: inputs of different types, {} and {other}\n  hint: cast one of them",
            types[0]
        );
    }
    let fits = match dtype {
        DType::F32 => accept != Accept::Truth,
        DType::I32 => int,
        DType::Bool => matches!(accept, Accept::Common | Accept::Truth),
        DType::BF16 | DType::F16 | DType::I8 | DType::U8 => false,
    };
    if !fits {
        let want = match accept {
            Accept::Truth => DType::Bool,
            _ => DType::F32,
        };
        return data_err!("{name}: does not take {}\n  hint: cast it to {}", types[0], want.name());
    }
    let mut shape = types[0].shape;
    for t in &types[1..] {
        shape = broadcast(name, &shape, &t.shape)?;
    }
    let dtype = if gives == Gives::Truth { DType::Bool } else { dtype };
    Ok(Ty { shape, dtype })
}

/// The axes an attribute names, sorted, counted from the front. Left out means all.
pub fn axes(attr: &Attr, shape: &Shape, name: &str) -> Result<Vec<usize>> {
    let mut out = match attr {
        Attr::None => return Ok((0..shape.rank()).collect()),
        Attr::Int(i) => vec![shape.axis(*i, name)?],
        other => other.ints().iter().map(|&i| shape.axis(i, name)).collect::<Result<Vec<_>>>()?,
    };
    out.sort_unstable();
    if out.windows(2).any(|w| w[0] == w[1]) {
        return shape_err!(
            "{name}: axis {:?} names an axis of {shape} twice\n  hint: name each axis once; -1 is the last one",
            attr.ints()
        );
    }
    Ok(out)
}

/// A shape without (or with ones at) some axes.
pub fn reduced(shape: &Shape, axes: &[usize], keep: bool) -> Result<Shape> {
    let mut dims = Vec::with_capacity(shape.rank());
    for (i, &d) in shape.dims().iter().enumerate() {
        match (axes.contains(&i), keep) {
            (false, _) => dims.push(d),
            (true, true) => dims.push(Dim::ONE),
            (true, false) => {}
        }
    }
    Shape::new(&dims)
}

/// Sizes from an attribute; rejects negative ones.
pub(super) fn sizes(name: &str, dims: &[Dim]) -> Result<Shape> {
    if let Some(d) = dims.iter().find(|d| d.is_negative()) {
        return shape_err!("{name}: size {d} in shape {dims:?} is negative\n  hint: sizes are 0 or more");
    }
    Shape::new(dims)
}

/// A shape as an attribute.
#[must_use]
pub fn shape_attr(shape: &Shape) -> Attr {
    Attr::Sizes(shape.dims().to_vec())
}

/// Rejects a shape that does not broadcast to `wide`.
pub(super) fn widens(name: &str, shape: &Shape, wide: &Shape) -> Result<()> {
    let fits = shape.rank() <= wide.rank()
        && shape
            .dims()
            .iter()
            .rev()
            .zip(wide.dims().iter().rev())
            .all(|(&from, &to)| from == Dim::ONE || from.meet(to).is_some());
    if fits {
        return Ok(());
    }
    shape_err!(
        "{name}: {shape} does not widen to {wide}\n  hint: sizes must be equal or 1, counted from the last axis"
    )
}

/// The shape of two that must be equal, `None` when they certainly are not.
pub(super) fn meet(a: &[Dim], b: &[Dim]) -> Option<Vec<Dim>> {
    (a.len() == b.len()).then(|| a.iter().zip(b).map(|(a, b)| a.meet(*b)).collect())?
}

/// (outer, size, inner): the counts before, at and after an axis.
#[must_use]
pub fn around(shape: &Shape, axis: usize) -> (usize, usize, usize) {
    let d = shape.sizes();
    (d[..axis].iter().product(), d[axis], d[axis + 1..].iter().product())
}
