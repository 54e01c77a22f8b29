//! Sums of products by tiles: a workgroup makes a tile of the result from strips of both sides that it
//! lays in workgroup memory. What the sides are is text, so that a convolution needs no patches in memory.

use super::frame::Text;
use crate::dispatch::{Call, Dispatch};
use std::fmt::Write;

/// Products `(rows, depth)` by `(depth, columns)`, `batch` times.
pub(super) struct Product<'a> {
    pub(super) batch: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) depth: usize,
    /// Results of as many parts of the depth, one after the other.
    pub(super) chunks: usize,
    /// The body of a function of `batch`, `row` and `k`, and whether `k` runs along memory.
    pub(super) left: (&'a str, bool),
    /// Likewise of `batch`, `k` and `column`.
    pub(super) right: (&'a str, bool),
    /// The place of element (`batch`, `row`, `column`) in a result.
    pub(super) place: &'a str,
}

/// Rows and depth of a tile; the columns are 16, 32 or 64.
const ROWS: usize = 64;
const DEPTH: usize = 16;

/// Invocations of a workgroup: 16 along the rows of a tile by 16 along its columns.
const ACROSS: usize = 16;
const THREADS: usize = ACROSS * ACROSS;

/// Lines of a strip are this much longer, so that they begin in different banks.
const PAD: usize = 4;

/// Workgroups that keep a device busy.
const BUSY: usize = 256;

/// Depth that is worth a part of its own.
const PART: usize = 256;

impl Product<'_> {
    /// Is a tile worth its strips?
    pub(super) fn pays(rows: usize, columns: usize, depth: usize) -> bool {
        rows >= 32 && columns >= 8 && depth >= DEPTH
    }

    fn columns_of_tile(&self) -> usize {
        self.columns.next_power_of_two().clamp(16, 64)
    }

    fn tiles(&self) -> [usize; 2] {
        [self.rows.div_ceil(ROWS), self.columns.div_ceil(self.columns_of_tile())]
    }

    /// In how many parts the depth is summed, so that few tiles keep a device busy.
    pub(super) fn parts(&self) -> usize {
        let [m, n] = self.tiles();
        let wanted = (BUSY / (m * n * self.batch).max(1)).clamp(1, self.depth.div_ceil(PART).max(1));
        let part = self.depth.div_ceil(wanted).next_multiple_of(DEPTH);
        self.depth.div_ceil(part).max(1)
    }

    /// The kernel, `text` with the operands and `y`, which has `count` elements a part.
    pub(super) fn dispatch(&self, call: &Call<'_>, mut text: Text<'_>) -> Option<Dispatch> {
        let width = self.columns_of_tile();
        let [m, n] = self.tiles();
        let own = [ROWS / ACROSS, width / ACROSS];
        let (wide_a, wide_b) = (ROWS + PAD, width + PAD);
        let part = self.depth.div_ceil(self.chunks).next_multiple_of(DEPTH);
        text.share("strip_a", "f32", DEPTH * wide_a).share("strip_b", "f32", DEPTH * wide_b);
        text.define(&format!(
            "fn left_of(batch: u32, row: u32, k: u32) -> f32 {{\n{}}}
fn right_of(batch: u32, k: u32, column: u32) -> f32 {{\n{}}}",
            self.left.0, self.right.0
        ));
        let mut loads = String::new();
        for (size, wide, along, strip) in
            [(ROWS, wide_a, self.left.1, "strip_a"), (width, wide_b, self.right.1, "strip_b")]
        {
            for step in 0..(size * DEPTH / THREADS) {
                let at = format!("(lane + {}u)", step * THREADS);
                let (i, k) = if along {
                    (format!("{at} / {DEPTH}u"), format!("{at} % {DEPTH}u"))
                } else {
                    (format!("{at} % {size}u"), format!("{at} / {size}u"))
                };
                let (test, value) = if strip == "strip_a" {
                    (format!("row0 + i < {}u", self.rows), "left_of(batch, row0 + i, k0 + k)")
                } else {
                    (format!("column0 + i < {}u", self.columns), "right_of(batch, k0 + k, column0 + i)")
                };
                let _ = write!(
                    loads,
                    "    {{ let i = {i}; let k = {k}; var v = 0.0f;
    if ({test} && k0 + k < end) {{ v = {value}; }}
    {strip}[k * {wide}u + i] = v; }}
"
                );
            }
        }
        let (mut zero, mut read, mut sum, mut store) = Default::default();
        let texts: [&mut String; 4] = [&mut zero, &mut read, &mut sum, &mut store];
        unroll(texts, own, self, call);
        let body = format!(
            "    let column0 = row % {n}u * {width}u;
    let row0 = row / {n}u % {m}u * {ROWS}u;
    let batch = row / {}u % {}u;
    let part = row / {}u;
    let mine_i = lane / {ACROSS}u;
    let mine_j = lane % {ACROSS}u;
    let end = min((part + 1u) * {part}u, {}u);
{zero}    for (var k0 = part * {part}u; k0 < end; k0 += {DEPTH}u) {{
{loads}    workgroupBarrier();
    for (var k = 0u; k < {DEPTH}u; k++) {{
    let a = k * {wide_a}u + mine_i;
    let b = k * {wide_b}u + mine_j;
{read}{sum}    }}
    workgroupBarrier();
    }}
{store}",
            m * n,
            self.batch,
            m * n * self.batch,
            self.depth
        );
        text.groups(m * n * self.batch * self.chunks, THREADS as u32, &body)
    }
}

/// Statements for the sums of one invocation: rows and columns of the tile in steps of [`ACROSS`].
fn unroll([zero, read, sum, store]: [&mut String; 4], own: [usize; 2], p: &Product<'_>, call: &Call<'_>) {
    let count = call.outputs[0].shape.count();
    for j in 0..own[1] {
        let _ = writeln!(read, "    let b{j} = strip_b[b + {}u];", j * ACROSS);
    }
    for i in 0..own[0] {
        let _ = writeln!(read, "    let a{i} = strip_a[a + {}u];", i * ACROSS);
        let _ = writeln!(
            store,
            "    {{ let row = row0 + mine_i + {}u;\n    if (row < {}u) {{",
            i * ACROSS,
            p.rows
        );
        for j in 0..own[1] {
            let _ = writeln!(zero, "    var c{i}_{j} = 0.0f;");
            let _ = writeln!(sum, "    c{i}_{j} = fma(a{i}, b{j}, c{i}_{j});");
            let _ = writeln!(
                store,
                "    {{ let column = column0 + mine_j + {}u;
    if (column < {}u) {{ y[part * {count}u + {}] = c{i}_{j}; }} }}",
                j * ACROSS,
                p.columns,
                p.place
            );
        }
        store.push_str("    }\n    }\n");
    }
}
