//! The templates: rows with work of their own as dispatches. A family is a module; rows are looked up
//! by address, as on the CPU.

mod attention;
mod conv;
pub mod ending;
mod frame;
mod index;
mod layout;
mod matmul;
mod order;
mod pooling;
mod random;
mod recurrence;
mod resample;
mod rows;
pub mod sizes;
#[cfg(test)]
mod tests;
mod tile;

use crate::dispatch::{Call, Steps};
use ending::Finish;
use fastnn::error::Result;
use fastnn::graph::OpDef;
use fastnn::ops::{conv as convolution, matmul::MATMUL};

/// Makes the dispatches of a row.
pub type Template = fn(&Call<'_>) -> Result<Steps>;

/// Rows of one family.
pub type Rows = &'static [(&'static OpDef, Template)];

const FAMILIES: &[Rows] = &[
    attention::ROWS,
    conv::ROWS,
    index::ROWS,
    layout::ROWS,
    matmul::ROWS,
    order::ROWS,
    pooling::ROWS,
    random::ROWS,
    recurrence::ROWS,
    resample::ROWS,
    rows::ROWS,
];

/// The template of a row; `None` where it has none.
#[must_use]
pub fn template(op: &OpDef) -> Option<Template> {
    FAMILIES.iter().copied().flatten().find(|(row, _)| std::ptr::eq(*row, op)).map(|(_, template)| *template)
}

/// Makes the dispatches of a row whose elements something else ends.
pub type Head = fn(&Call<'_>, &Finish<'_>) -> Result<Steps>;

/// The template of a row that makes a matrix for a group to end.
#[must_use]
pub fn head(op: &OpDef) -> Option<Head> {
    const HEADS: &[(&OpDef, Head)] = &[
        (&MATMUL, matmul::product),
        (&convolution::CONV, conv::forward),
        (&convolution::CONV_INPUT_GRAD, conv::input_grad),
        (&convolution::CONV_WEIGHT_GRAD, conv::weight_grad),
    ];
    HEADS.iter().find(|(row, _)| std::ptr::eq(*row, op)).map(|(_, head)| *head)
}
