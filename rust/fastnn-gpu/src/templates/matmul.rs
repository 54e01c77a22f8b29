//! Matrix products: tiles in workgroup memory, or a row at a time where there are few rows.

use super::Rows;
use super::ending::{Finish, nothing, stored};
use super::frame::{LANES, Text, steps};
use super::tile::{Product, Side};
use crate::dispatch::{Call, Dispatch, Steps};
use crate::text;
use fastnn::error::Result;
use fastnn::ops::matmul::MATMUL;
use std::fmt::Write as _;

/// The rows of this family.
pub(super) const ROWS: Rows = &[(&MATMUL, matmul)];

/// A product of matrices `(rows, depth) @ (depth, columns)`, `batch` times.
#[derive(Debug)]
struct Matrices {
    batch: usize,
    rows: usize,
    depth: usize,
    columns: usize,
    /// Are the operands given transposed?
    transposed: [bool; 2],
    /// Where the matrices of `batch` begin, as expressions of it.
    starts: [String; 2],
}

/// Rows up to which a product is made a row at a time.
const FEW: usize = 8;

fn matmul(call: &Call<'_>) -> Result<Steps> {
    product(call, &stored)
}

/// The dispatches of a product whose elements `finish` ends.
pub(super) fn product(call: &Call<'_>, finish: &Finish<'_>) -> Result<Steps> {
    if call.inputs.iter().any(|ty| ty.shape.count() == 0) {
        return nothing(call, finish);
    }
    let p = Matrices::of(call);
    if p.rows <= FEW {
        return Ok(steps([by_rows(call, &p, finish)?]));
    }
    // Four neighbours of a row of memory are one load where rows are whole fours.
    let side = |k: usize, inner: usize, along: bool| {
        let (run, step) = if along { ("k", "i") } else { ("i", "k") };
        Side {
            place: format!("    return {} + {step} * {inner}u + {run};\n", p.starts[k]),
            along,
            fours: inner.is_multiple_of(4),
        }
    };
    let left = if p.transposed[0] { side(0, p.rows, false) } else { side(0, p.depth, true) };
    let right = if p.transposed[1] { side(1, p.depth, true) } else { side(1, p.columns, false) };
    let product = Product {
        batch: p.batch,
        rows: p.rows,
        columns: p.columns,
        depth: p.depth,
        sides: [left, right],
        place: &format!("(batch * {}u + row) * {}u + column", p.rows, p.columns),
        define: &|_| {},
    };
    product.steps(call, finish)
}

impl Matrices {
    fn of(call: &Call<'_>) -> Matrices {
        let out = call.outputs[0].shape.sizes().to_vec();
        let lead = &out[..out.len() - 2];
        let transposed = [0, 1].map(|k| call.attrs[k].flag());
        let starts = [0, 1].map(|k| {
            let sizes = call.inputs[k].shape.sizes();
            let own = &sizes[..sizes.len() - 2];
            let mut strides = vec![0isize; lead.len()];
            let mut stride: usize = sizes[sizes.len() - 2..].iter().product();
            for at in (0..own.len()).rev() {
                if own[at] != 1 {
                    strides[at + lead.len() - own.len()] = stride as isize;
                }
                stride *= own[at];
            }
            text::strided(0, lead, &strides, "batch")
        });
        let a = call.inputs[0].shape.sizes();
        Matrices {
            batch: lead.iter().product(),
            rows: out[out.len() - 2],
            depth: a[a.len() - if transposed[0] { 2 } else { 1 }],
            columns: out[out.len() - 1],
            transposed,
            starts,
        }
    }
}

/// A result is shared by lanes along the depth, whose sums a tree joins.
fn by_rows(call: &Call<'_>, p: &Matrices, finish: &Finish<'_>) -> Result<Option<Dispatch>> {
    let threads = LANES as usize;
    // Neighbouring invocations read neighbouring elements of the right operand.
    let lanes = if p.depth <= 16 {
        1
    } else if p.transposed[1] {
        32
    } else {
        8
    };
    let columns = threads / lanes;
    let (own, column, step) = if p.transposed[1] {
        (format!("lane % {lanes}u"), format!("lane / {lanes}u"), 1)
    } else {
        (format!("lane / {columns}u"), format!("lane % {columns}u"), columns)
    };
    let mut text = Text::new(call, "by rows");
    text.read_floats("a", 0).read_floats("b", 1);
    text.end(finish)?;
    let mut tree = String::new();
    if lanes > 1 {
        text.share("part", "f32", threads);
        tree.push_str("    part[lane] = sum;\n    workgroupBarrier();\n");
        let mut half = lanes / 2;
        while half > 0 {
            let _ = write!(
                tree,
                "    if (own < {half}u) {{ part[lane] += part[lane + {}u]; }}\n    workgroupBarrier();\n",
                half * step
            );
            half /= 2;
        }
        tree.push_str("    sum = part[lane];\n");
    }
    let blocks = p.columns.div_ceil(columns);
    let left = if p.transposed[0] { format!("k * {}u + m", p.rows) } else { format!("m * {}u + k", p.depth) };
    let right = if p.transposed[1] {
        format!("column * {}u + k", p.depth)
    } else {
        format!("k * {}u + column", p.columns)
    };
    let body = format!(
        "    let own = {own};
    let column = (row % {blocks}u) * {columns}u + {column};
    let m = (row / {blocks}u) % {rows}u;
    let batch = row / {all}u;
    let a0 = {a0};
    let b0 = {b0};
    var sum = 0.0f;
    if (column < {n}u) {{
        for (var k = own; k < {depth}u; k += {lanes}u) {{ sum = fma(a[a0 + {left}], b[b0 + {right}], sum); }}
    }}
{tree}    if (own == 0u && column < {n}u) {{ finish((batch * {rows}u + m) * {n}u + column, sum); }}
",
        rows = p.rows,
        all = blocks * p.rows,
        a0 = p.starts[0],
        b0 = p.starts[1],
        n = p.columns,
        depth = p.depth,
    );
    Ok(text.groups(blocks * p.rows * p.batch, LANES, &body))
}
