//! F4. Parts of axes: what slices select, and what they and paddings write into.

use super::super::{host, rule};
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Arg, Attr, Host, StepCtx, Ty};
use crate::kernels::place::Along;
use crate::kernels::{self, stored};
use crate::shape::Shape;
use crate::{data_err, shape_err};

/// One axis of a slice, resolved against a size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) start: Dim,
    pub(super) step: i64,
    pub(super) count: Dim,
}

impl Part {
    /// The number of elements, when sizes are known.
    pub(super) fn count(&self) -> usize {
        self.count.known().unwrap_or_default() as usize
    }

    /// Where element `i` lies, when sizes are known.
    pub(super) fn at(&self, i: usize) -> usize {
        (self.start.known().unwrap_or_default() + i as i64 * self.step) as usize
    }
}

/// The parts that (begin, end, step) select. A begin or end that is open counts from the front
/// unless it is negative wherever no axis is empty; with numbers the rules are NumPy's.
pub(super) fn parts(name: &str, shape: &Shape, attrs: &[Attr]) -> Result<Vec<Part>> {
    let (begin, end, step) = (attrs[0].sizes(), attrs[1].sizes(), attrs[2].ints());
    let rank = shape.rank();
    if [begin.len(), end.len(), step.len()] != [rank; 3] {
        return shape_err!(
            "{name}: begin {begin:?}, end {end:?} and step {step:?} need one entry for each of the {rank} axes of {shape}\n  hint: 0, the size and 1 keep an axis whole"
        );
    }
    let part = |i: usize| {
        let (n, step) = (shape.dims()[i], step[i]);
        if step == 0 {
            return data_err!(
                "{name}: step 0 on axis {i} of {shape}\n  hint: steps are positive or negative"
            );
        }
        let from_front = |b: Dim| if b.is_negative_unless_empty() { b + n } else { b };
        let (begin, end) = (from_front(begin[i]), from_front(end[i]));
        let (low, high) = if step > 0 { (Dim::ZERO, n) } else { (Dim::new(-1), n - Dim::ONE) };
        let (start, stop) = (begin.max(low).min(high.max(low)), end.max(low).min(high.max(low)));
        // A start past the border selects nothing either way; left unclamped it reads better.
        let first = if step > 0 { begin.max(low) } else { start };
        let span = if step > 0 { stop - first } else { start - stop };
        let count = span.max(Dim::ZERO).ceil_div(Dim::new(step.saturating_abs()));
        Ok(Part { start, step, count })
    };
    (0..rank).map(part).collect()
}

/// Where the result of [`UNSLICE`] has its operand: the first place along each axis, and the step from one
/// to the next.
pub fn unslice_places(out: &Shape, attrs: &[Attr]) -> Result<Vec<(i64, i64)>> {
    let place = |p: &Part| (p.start.known().unwrap_or_default(), p.step);
    Ok(parts("unslice", out, &attrs[1..])?.iter().map(place).collect())
}

/// Writes `value` everywhere and `x` into the parts.
fn place<T: Copy + Send + Sync>(x: Arg, out: Arg, parts: &[Part], value: T) {
    assert_eq!(
        (x.ty.dtype.size(), out.ty.dtype.size()),
        (size_of::<T>(), size_of::<T>()),
        "invariant: elements are placed whole"
    );
    let along = |(p, size): (&Part, usize)| Along {
        size,
        count: p.count(),
        start: if p.count() == 0 { 0 } else { p.at(0) },
        step: p.step as isize,
    };
    let axes: Vec<Along> = parts.iter().zip(out.ty.shape.sizes().iter().copied()).map(along).collect();
    // SAFETY: the executor hands steps buffers that cover their shapes; the parts were resolved
    // against the output shape, so every position lies inside it.
    unsafe { kernels::place::place(out.ptr.cast::<T>(), x.ptr.cast::<T>(), &axes, value) };
}

pub(super) fn placed(x: &Host, out: Ty, parts: &[Part], value: f64) -> Host {
    let mut y = host::generate(out, |_| value);
    for (i, &v) in x.data.iter().enumerate() {
        let at = host::unravel(i, &x.ty.shape);
        let full: Vec<usize> = parts.iter().zip(at).map(|(p, i)| p.at(i)).collect();
        y.data[host::ravel(&full, &out.shape)] = v;
    }
    y
}

pub(super) fn infer_pad(types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    rule::arity("pad", types, 1)?;
    let (shape, widths) = (types[0].shape, attrs[0].sizes());
    if widths.len() != 2 * shape.rank() || widths.iter().any(|w| w.is_negative()) {
        return shape_err!(
            "pad: widths {widths:?} do not fit {shape}\n  hint: give (before, after) >= 0 for each of the {} axes",
            shape.rank()
        );
    }
    let dims: Vec<Dim> = widths.chunks(2).zip(shape.dims()).map(|(pair, &n)| n + pair[0] + pair[1]).collect();
    Ok(Ty { shape: Shape::new(&dims)?, dtype: types[0].dtype })
}

pub(super) fn pad_parts(shape: &Shape, widths: &Attr) -> Vec<Part> {
    let widths = widths.sizes();
    let pairs = widths.chunks(2).zip(shape.dims());
    pairs.map(|(pair, &count)| Part { start: pair[0], step: 1, count }).collect()
}

pub(crate) fn unslice_step(ctx: &StepCtx<'_>) -> Result<()> {
    let parts = parts("unslice", &ctx.output.ty.shape, &ctx.attrs[1..])?;
    place(ctx.inputs[0], ctx.output, &parts, 0.0f32);
    Ok(())
}

pub(crate) fn pad_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (x, out, parts) = (ctx.inputs[0], ctx.output, pad_parts(&ctx.inputs[0].ty.shape, &ctx.attrs[0]));
    let value = stored::encode(ctx.attrs[1].float(), out.ty.dtype);
    match out.ty.dtype.size() {
        1 => place(x, out, &parts, value[0]),
        2 => place(x, out, &parts, u16::from_ne_bytes([value[0], value[1]])),
        _ => place(x, out, &parts, u32::from_ne_bytes(value)),
    }
    Ok(())
}
