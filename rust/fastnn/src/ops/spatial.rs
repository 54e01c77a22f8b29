//! What rows over images share: arrays (images, sizes.., channels) with one to three spatial axes,
//! over which a window moves. Attributes name its steps, the padding around the array and the
//! distance between the taps of a kernel; sizes may be open.

use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Attr, Ty};
use crate::kernels::conv::Axis;
use crate::shape::{DType, Shape};
use crate::shape_err;

use super::rule;

/// The window along one spatial axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Along {
    pub(super) stride: i64,
    pub(super) dilation: i64,
    pub(super) before: Dim,
    pub(super) after: Dim,
    /// Places that the window takes.
    pub(super) places: Dim,
}

/// The attributes that place a window, in the order in which rows declare them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placing<'a> {
    pub(super) strides: &'a Attr,
    pub(super) padding: &'a Attr,
    pub(super) dilation: &'a Attr,
}

/// The padding that asks for `ceil(size / stride)` places.
const SAME: Dim = Dim::new(-1);

/// Rejects what is no f32 array with one to three spatial axes.
pub(super) fn image(name: &str, arg: &str, ty: Ty) -> Result<()> {
    rule::typed(name, arg, ty, DType::F32)?;
    if (3..=5).contains(&ty.shape.rank()) {
        return Ok(());
    }
    shape_err!(
        "{name}: {arg} is {}, wanted (batch, sizes.., channels) with 1 to 3 sizes\n  hint: expand_dims({arg}, 0) adds the batch",
        ty.shape
    )
}

/// The sizes between the first and the last axis.
pub(super) fn spatial(shape: &Shape) -> &[Dim] {
    &shape.dims()[1..shape.rank() - 1]
}

/// A whole number per axis, each at least 1; one for all axes is enough, none means 1.
fn steps(name: &str, what: &str, attr: &Attr, axes: usize) -> Result<Vec<i64>> {
    let given = attr.ints();
    let all = match *given {
        [] => vec![1; axes],
        [one] => vec![one; axes],
        _ => given.to_vec(),
    };
    if all.len() != axes {
        return shape_err!(
            "{name}: {what} {given:?} for {axes} spatial axes\n  hint: one number, or one per axis"
        );
    }
    if let Some(bad) = all.iter().find(|s| !(1..=i64::from(i32::MAX)).contains(*s)) {
        return shape_err!(
            "{name}: {what} {given:?} has {bad}, wanted at least 1\n  hint: {what} counts elements"
        );
    }
    Ok(all)
}

/// The window of `kernel` taps along each of the axes of `sizes`.
pub(super) fn windows(name: &str, sizes: &[Dim], kernel: &[Dim], at: Placing<'_>) -> Result<Vec<Along>> {
    let axes = sizes.len();
    let strides = steps(name, "strides", at.strides, axes)?;
    let dilation = steps(name, "dilation", at.dilation, axes)?;
    let padding = at.padding.sizes();
    let same = padding.len() == 1 && padding[0] == SAME;
    if !same && !padding.is_empty() && padding.len() != 2 * axes {
        return shape_err!(
            "{name}: padding {:?} for {axes} spatial axes\n  hint: (before, after) per axis, flat, or -1 for 'same'",
            padding
        );
    }
    if kernel.len() != axes {
        return shape_err!(
            "{name}: a window of {kernel:?} over sizes {sizes:?}\n  hint: one size per spatial axis"
        );
    }
    if let Some(k) = kernel.iter().find(|k| (**k - Dim::ONE).is_negative()) {
        return shape_err!(
            "{name}: a window of {kernel:?} has a size of {k}, wanted at least 1\n  hint: 1 leaves an axis alone"
        );
    }
    let mut out = Vec::with_capacity(axes);
    for i in 0..axes {
        let (stride, size) = (Dim::new(strides[i]), sizes[i]);
        let span = (kernel[i] - Dim::ONE) * Dim::new(dilation[i]) + Dim::ONE;
        let (before, after) = if same {
            let all = ((size.ceil_div(stride) - Dim::ONE) * stride + span - size).max(Dim::ZERO);
            (all.floor_div(Dim::new(2)), all.ceil_div(Dim::new(2)))
        } else if padding.is_empty() {
            (Dim::ZERO, Dim::ZERO)
        } else {
            (padding[2 * i], padding[2 * i + 1])
        };
        if before.is_negative() || after.is_negative() {
            return shape_err!("{name}: padding {padding:?} is negative\n  hint: slice x to make it smaller");
        }
        let room = size + before + after - span;
        if room.is_negative() && size != Dim::ZERO {
            return shape_err!(
                "{name}: a window of {} with a dilation of {} spans {span}, more than the {size} of axis {} with {before} + {after} of padding\n  hint: a smaller window, or padding 'same'",
                kernel[i],
                dilation[i],
                i + 1
            );
        }
        let mut places = room.floor_div(stride) + Dim::ONE;
        if size == Dim::ZERO {
            places = places.max(Dim::ZERO);
        }
        out.push(Along { stride: strides[i], dilation: dilation[i], before, after, places });
    }
    Ok(out)
}

/// The padding in numbers or expressions, as an attribute.
pub(super) fn padding(windows: &[Along]) -> Attr {
    Attr::Sizes(windows.iter().flat_map(|w| [w.before, w.after]).collect())
}

/// The places along each axis.
pub(super) fn places(windows: &[Along]) -> Vec<Dim> {
    windows.iter().map(|w| w.places).collect()
}

/// (batch, sizes.., channels).
pub(super) fn shaped(batch: Dim, sizes: &[Dim], channels: Dim) -> Result<Shape> {
    let mut dims = vec![batch];
    dims.extend(sizes);
    dims.push(channels);
    Shape::new(&dims)
}

/// Three spatial axes in numbers, for kernels: those that are missing have size 1.
pub(super) fn axes(windows: &[Along], sizes: &[Dim], kernel: &[Dim]) -> [Axis; 3] {
    let number = |d: Dim| d.known().unwrap_or(0) as usize;
    let mut out = [Axis { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, before: 0 }; 3];
    let skip = 3 - windows.len();
    for (i, w) in windows.iter().enumerate() {
        out[skip + i] = Axis {
            input: number(sizes[i]),
            output: number(w.places),
            kernel: number(kernel[i]),
            stride: w.stride as usize,
            dilation: w.dilation as usize,
            before: number(w.before),
        };
    }
    out
}
