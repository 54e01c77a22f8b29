//! Matrix products: tiles in workgroup memory, or a row at a time where there are few rows.

use super::Rows;
use crate::dispatch::{Arg, Call, Dispatch, Kernel, Steps, Use};
use crate::render::{GROUP, binding};
use crate::text::{self, Cell};
use fastnn::error::Result;
use fastnn::ops::matmul::MATMUL;
use std::fmt::Write as _;

/// The rows of this family.
pub const ROWS: Rows = &[(&MATMUL, matmul)];

/// A product of matrices `(rows, depth) @ (depth, columns)`, `batch` times.
#[derive(Debug)]
struct Product {
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
    let (out, lead) = {
        let sizes = call.outputs[0].shape.sizes().to_vec();
        let lead = sizes[..sizes.len() - 2].to_vec();
        (sizes, lead)
    };
    let transposed = [0, 1].map(|k| call.attrs[k].flag());
    let starts = [0, 1].map(|k| {
        let sizes = call.inputs[k].shape.sizes();
        let own = &sizes[..sizes.len() - 2];
        let matrix: usize = sizes[sizes.len() - 2..].iter().product();
        let mut strides = vec![0isize; lead.len()];
        let mut stride = matrix;
        for at in (0..own.len()).rev() {
            if own[at] != 1 {
                strides[at + lead.len() - own.len()] = stride as isize;
            }
            stride *= own[at];
        }
        text::strided(0, &lead, &strides, "batch")
    });
    let a = call.inputs[0].shape.sizes();
    let product = Product {
        batch: lead.iter().product(),
        rows: out[out.len() - 2],
        depth: a[a.len() - if transposed[0] { 2 } else { 1 }],
        columns: out[out.len() - 1],
        transposed,
        starts,
    };
    let (kernel, groups) =
        if product.rows <= FEW { by_rows(call, &product) } else { tiled(call, &product, &TILE_32) };
    Ok(Steps {
        dispatches: vec![Dispatch {
            kernel,
            args: vec![Arg::Input(0), Arg::Input(1), Arg::Output(0)],
            grid: call.grid(groups),
        }],
        scratch: vec![],
    })
}

impl Product {
    /// Where element `(row, k)` of the left operand lies in its matrix, and `(k, column)` of the right.
    fn left(&self, row: &str, k: &str) -> String {
        if self.transposed[0] {
            format!("({k}) * {}u + {row}", self.rows)
        } else {
            format!("({row}) * {}u + {k}", self.depth)
        }
    }
    fn right(&self, k: &str, column: &str) -> String {
        if self.transposed[1] {
            format!("({column}) * {}u + {k}", self.depth)
        } else {
            format!("({k}) * {}u + {column}", self.columns)
        }
    }
}

fn declarations() -> String {
    [("a", Use::Read), ("b", Use::Read), ("y", Use::ReadWrite)]
        .iter()
        .enumerate()
        .map(|(at, (name, usage))| binding(at, name, Cell::Float, *usage))
        .collect()
}

fn main(threads: usize) -> String {
    format!(
        "@compute @workgroup_size({threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {{
  let number = group.y * groups.x + group.x;
"
    )
}

/// A result is shared by lanes along the depth, whose sums a tree joins.
fn by_rows(call: &Call<'_>, p: &Product) -> (Kernel, usize) {
    // Neighbouring invocations read neighbouring elements of the right operand.
    let lanes = if p.depth <= 16 {
        1
    } else if p.transposed[1] {
        32
    } else {
        8
    };
    let columns = GROUP / lanes;
    let (lane, column, step) = if p.transposed[1] {
        (format!("local % {lanes}u"), format!("local / {lanes}u"), 1)
    } else {
        (format!("local / {columns}u"), format!("local % {columns}u"), columns)
    };
    let blocks = p.columns.div_ceil(columns).max(1);
    let total = blocks * p.rows * p.batch;
    let mut tree = String::new();
    let mut half = lanes / 2;
    while half > 0 {
        let _ = write!(
            tree,
            "  if (lane < {half}u) {{ part[local] += part[local + {}u]; }}\n  workgroupBarrier();\n",
            half * step
        );
        half /= 2;
    }
    if lanes > 1 {
        tree = format!("  part[local] = acc;\n  workgroupBarrier();\n{tree}  acc = part[local];\n");
    }
    let shared =
        if lanes > 1 { format!("var<workgroup> part: array<f32, {GROUP}>;\n") } else { String::new() };
    let wgsl = format!(
        "{}{shared}{}  if (number >= {total}u) {{ return; }}
  let lane = {lane};
  let column = (number % {blocks}u) * {columns}u + {column};
  let row = (number / {blocks}u) % {rows}u;
  let batch = number / {all}u;
  let a0 = {a0};
  let b0 = {b0};
  var acc = 0.0;
  if (column < {n}u) {{
    for (var k = lane; k < {depth}u; k += {lanes}u) {{
      acc = fma(a[a0 + {left}], b[b0 + {right}], acc);
    }}
  }}
{tree}  if (lane == 0u && column < {n}u) {{ y[(batch * {rows}u + row) * {n}u + column] = acc; }}
}}
",
        declarations(),
        main(GROUP),
        rows = p.rows.max(1),
        all = (blocks * p.rows).max(1),
        a0 = p.starts[0],
        b0 = p.starts[1],
        n = p.columns,
        depth = p.depth,
        left = p.left("row", "k"),
        right = p.right("k", "column"),
    );
    let kernel = Kernel {
        name: format!("{}, by rows", call.name),
        wgsl,
        workgroup: [GROUP as u32, 1, 1],
        workgroup_bytes: if lanes > 1 { GROUP * 4 } else { 0 },
        bindings: vec![Use::Read, Use::Read, Use::ReadWrite],
    };
    (kernel, total)
}

/// Sizes of a tile: of the result, of a step along the depth, and of what one invocation makes.
#[derive(Debug)]
struct Tile {
    rows: usize,
    columns: usize,
    depth: usize,
    own: [usize; 2],
}

const TILE_32: Tile = Tile { rows: 32, columns: 32, depth: 16, own: [4, 4] };

/// Rows of operands in workgroup memory are this much longer, so that banks differ.
const PAD: usize = 4;

fn tiled(call: &Call<'_>, p: &Product, t: &Tile) -> (Kernel, usize) {
    let threads = (t.rows / t.own[0]) * (t.columns / t.own[1]);
    let across = t.columns / t.own[1];
    let tiles = [p.rows.div_ceil(t.rows), p.columns.div_ceil(t.columns)];
    let total = tiles[0] * tiles[1] * p.batch;
    let (wide_a, wide_b) = (t.rows + PAD, t.columns + PAD);
    let mut load = String::new();
    for step in 0..(t.rows * t.depth).div_ceil(threads) {
        // The index that runs along memory is the fast one.
        let at = format!("local + {}u", step * threads);
        let (i, k) = if p.transposed[0] {
            (format!("({at}) % {}u", t.rows), format!("({at}) / {}u", t.rows))
        } else {
            (format!("({at}) / {}u", t.depth), format!("({at}) % {}u", t.depth))
        };
        let _ = write!(
            load,
            "    {{ let i = {i}; let k = {k}; let row = row0 + i; let depth = k0 + k; var v = 0.0;
      if (row < {m}u && depth < {kk}u) {{ v = a[a0 + {place}]; }}
      left[k * {wide_a}u + i] = v; }}\n",
            m = p.rows,
            kk = p.depth,
            place = p.left("row", "depth"),
        );
    }
    for step in 0..(t.columns * t.depth).div_ceil(threads) {
        let at = format!("local + {}u", step * threads);
        let (j, k) = if p.transposed[1] {
            (format!("({at}) / {}u", t.depth), format!("({at}) % {}u", t.depth))
        } else {
            (format!("({at}) % {}u", t.columns), format!("({at}) / {}u", t.columns))
        };
        let _ = write!(
            load,
            "    {{ let j = {j}; let k = {k}; let column = column0 + j; let depth = k0 + k; var v = 0.0;
      if (column < {n}u && depth < {kk}u) {{ v = b[b0 + {place}]; }}
      right[k * {wide_b}u + j] = v; }}\n",
            n = p.columns,
            kk = p.depth,
            place = p.right("depth", "column"),
        );
    }
    let (mut zero, mut read, mut sum, mut store) =
        (String::new(), String::new(), String::new(), String::new());
    for i in 0..t.own[0] {
        let _ = writeln!(read, "      let l{i} = left[k * {wide_a}u + mine_i + {i}u];");
        for j in 0..t.own[1] {
            let _ = writeln!(zero, "  var c{i}_{j} = 0.0;");
            let _ = writeln!(sum, "      c{i}_{j} = fma(l{i}, r{j}, c{i}_{j});");
        }
    }
    for j in 0..t.own[1] {
        let _ = writeln!(read, "      let r{j} = right[k * {wide_b}u + mine_j + {j}u];");
    }
    for i in 0..t.own[0] {
        let _ = writeln!(
            store,
            "  if (row0 + mine_i + {i}u < {m}u) {{\n    let at = (batch * {m}u + row0 + mine_i + {i}u) * {n}u + column0 + mine_j;",
            m = p.rows,
            n = p.columns
        );
        for j in 0..t.own[1] {
            let _ = writeln!(
                store,
                "    if (column0 + mine_j + {j}u < {n}u) {{ y[at + {j}u] = c{i}_{j}; }}",
                n = p.columns
            );
        }
        store.push_str("  }\n");
    }
    let wgsl = format!(
        "{}var<workgroup> left: array<f32, {size_a}>;
var<workgroup> right: array<f32, {size_b}>;
{}  if (number >= {total}u) {{ return; }}
  let column0 = (number % {tiles_n}u) * {tn}u;
  let row0 = ((number / {tiles_n}u) % {tiles_m}u) * {tm}u;
  let batch = number / {tiles_mn}u;
  let a0 = {a0};
  let b0 = {b0};
  let mine_i = (local / {across}u) * {own_m}u;
  let mine_j = (local % {across}u) * {own_n}u;
{zero}  for (var k0 = 0u; k0 < {depth}u; k0 += {td}u) {{
{load}    workgroupBarrier();
    for (var k = 0u; k < {td}u; k += 1u) {{
{read}{sum}    }}
    workgroupBarrier();
  }}
{store}}}
",
        declarations(),
        main(threads),
        size_a = t.depth * wide_a,
        size_b = t.depth * wide_b,
        tiles_n = tiles[1].max(1),
        tiles_m = tiles[0].max(1),
        tiles_mn = (tiles[0] * tiles[1]).max(1),
        tm = t.rows,
        tn = t.columns,
        td = t.depth,
        depth = p.depth,
        own_m = t.own[0],
        own_n = t.own[1],
        a0 = p.starts[0],
        b0 = p.starts[1],
    );
    let kernel = Kernel {
        name: format!("{}, tiles of {} by {}", call.name, t.rows, t.columns),
        wgsl,
        workgroup: [threads as u32, 1, 1],
        workgroup_bytes: t.depth * (wide_a + wide_b) * 4,
        bindings: vec![Use::Read, Use::Read, Use::ReadWrite],
    };
    (kernel, total)
}
