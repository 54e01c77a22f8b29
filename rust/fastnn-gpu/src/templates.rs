//! The templates: rows with work of their own as dispatches. A family is a module; rows are looked up
//! by address, as on the CPU.

mod attention;
mod conv;
mod frame;
mod index;
mod layout;
pub mod matmul;
mod order;
mod pooling;
mod random;
mod recurrence;
mod rows;
#[cfg(test)]
mod tests;
mod tile;

use crate::dispatch::{Call, Steps};
use fastnn::error::Result;
use fastnn::graph::OpDef;

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
    rows::ROWS,
];

/// The template of a row; `None` where it has none.
#[must_use]
pub fn template(op: &OpDef) -> Option<Template> {
    FAMILIES.iter().copied().flatten().find(|(row, _)| std::ptr::eq(*row, op)).map(|(_, template)| *template)
}
