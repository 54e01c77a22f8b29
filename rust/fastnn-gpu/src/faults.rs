//! What to say of bad data that a kernel has noted: the CPU's words, with places for the value.

use crate::dispatch::Call;
use fastnn::error::Result;
use fastnn::graph::Attr;
use fastnn::ops::{index, loss, rule};
use fastnn::shape::Shape;

/// The message for a row that looks at positions or labels, and the shape of that operand. `{value}`
/// stands for the first bad one, `{position}` for its number and `{place}` for its number along each
/// axis of the shape.
pub(crate) fn message(call: &Call<'_>) -> Result<(String, Shape)> {
    let given = call.inputs[1].shape;
    if call.name == loss::SPARSE_SOFTMAX_CROSS_ENTROPY.name {
        let classes = call.inputs[0].shape.sizes().last().copied().unwrap_or_default();
        return Ok((loss::outside("{value}", "{position}", classes), given));
    }
    // A gradient looks where its row did: in an array of the gradient's shape.
    let gradient = call.name == index::TAKE_GRAD.name || call.name == index::TAKE_ALONG_AXIS_GRAD.name;
    let of = if gradient { call.outputs[0].shape } else { call.inputs[0].shape };
    let n = match call.attrs.last() {
        None | Some(Attr::None) => of.count(),
        Some(axis) => rule::around(&of, of.axis(axis.int(), call.name)?).1,
    };
    Ok((index::outside(call.name, "{value}", "{place}", n, &of), given))
}
