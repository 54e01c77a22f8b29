//! How a kernel ends the elements of a product or a convolution: it hands each to `finish(i, h)`, which
//! stores it, or is the text of the group that reads it.

use super::frame::Text;
use crate::dispatch::{Arg, Call, Dispatch, Steps, Use};
use crate::render::{Inset, binding};
use crate::text::Cell;
use fastnn::error::Result;

/// What a kernel binds before its ending does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Which operand of the row it is; none for memory of the row's own.
    pub operand: Option<usize>,
    /// Its name in the text.
    pub name: String,
    /// Are its elements bound four at a time?
    pub fours: bool,
}

/// Gives the text of `fn finish(i: u32, h: f32)`, for element `i` of value `h`.
pub type Finish<'a> = dyn Fn(&[Bound]) -> Result<Inset> + 'a;

/// The result goes to memory.
pub(super) fn stored(bound: &[Bound]) -> Result<Inset> {
    Ok(into(bound, Arg::Output(0)))
}

/// Parts of the results go to scratch memory, one after the other.
pub(super) fn kept(bound: &[Bound]) -> Result<Inset> {
    Ok(into(bound, Arg::Scratch(0)))
}

fn into(bound: &[Bound], to: Arg) -> Inset {
    let declaration = binding(bound.len(), "y", Cell::Float, Use::ReadWrite);
    Inset {
        text: format!("{declaration}fn finish(i: u32, h: f32) {{ y[i] = h; }}\n"),
        start: "",
        bindings: vec![(to, Use::ReadWrite)],
    }
}

/// Adds in order the parts that [`kept`] left, and ends each sum.
pub(super) fn joined(call: &Call<'_>, parts: usize, finish: &Finish<'_>) -> Result<Option<Dispatch>> {
    let count = call.outputs[0].shape.count();
    let mut text = Text::new(call, "parts joined");
    text.scratch("parts", 0, "f32").sizes(&[("COUNT", count), ("PARTS", parts)]);
    text.end(finish)?;
    Ok(text.each(
        count,
        "    var h = 0.0f;
    for (var part = 0u; part < PARTS; part++) { h += parts[part * COUNT + i]; }
    finish(i, h);
",
    ))
}

/// Sums of nothing.
pub(super) fn nothing(call: &Call<'_>, finish: &Finish<'_>) -> Result<Steps> {
    let mut text = Text::new(call, "of nothing");
    text.end(finish)?;
    Ok(super::frame::steps([text.each(call.outputs[0].shape.count(), "    finish(i, 0.0f);\n")]))
}
