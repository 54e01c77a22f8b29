//! Matrix products: tiles in workgroup memory, or a row at a time where there are few rows.

use super::Rows;
use crate::dispatch::{Arg, Call, Dispatch, Kernel, Steps, Use};
use crate::math;
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
/// Tiles below which a device has idle processors.
const BUSY: usize = 128;
/// The least depth of one part of a product that is cut along its depth.
const PART: usize = 512;

/// What is done with an element of a product: `finish(i, h)` for element `i` of value `h`. It is told what
/// the kernel binds before: operands by number, or memory of its own.
pub type Finish<'a> = dyn Fn(&[Option<usize>]) -> Result<Ending> + 'a;

/// The text of `finish` and its bindings.
#[derive(Debug)]
pub struct Ending {
    /// Declarations and the function; it sees the operands by the names `a` and `b`.
    pub text: String,
    /// What an entry point begins with.
    pub start: &'static str,
    /// The bindings.
    pub bindings: Vec<(Arg, Use)>,
}

/// The result goes to memory.
fn stored(taken: &[Option<usize>]) -> Result<Ending> {
    let declaration = binding(taken.len(), "y", Cell::Float, Use::ReadWrite);
    Ok(Ending {
        text: format!("{declaration}fn finish(i: u32, h: f32) {{ y[i] = h; }}\n"),
        start: "",
        bindings: vec![(Arg::Output(0), Use::ReadWrite)],
    })
}

fn matmul(call: &Call<'_>) -> Result<Steps> {
    product(call, &stored)
}

/// The dispatches of a product whose elements `finish` ends. The numbers that it is given are those of
/// the operands that the kernel binds first.
pub fn product(call: &Call<'_>, finish: &Finish<'_>) -> Result<Steps> {
    let p = Product::of(call);
    if p.rows <= FEW {
        return Ok(Steps {
            dispatches: vec![by_rows(call, &p, finish(&[Some(0), Some(1)])?)],
            scratch: vec![],
        });
    }
    let tile = Tile::for_product(call, &p);
    let tiles = tile.count(&p);
    let parts = if tiles < BUSY { (p.depth / PART).min(BUSY.div_ceil(tiles)) } else { 1 };
    if parts <= 1 {
        return Ok(Steps {
            dispatches: vec![tiled(call, &p, &tile, p.depth, finish(&[Some(0), Some(1)])?)],
            scratch: vec![],
        });
    }
    let depth = p.depth.div_ceil(parts).next_multiple_of(tile.depth);
    let parts = p.depth.div_ceil(depth);
    let count = p.batch * p.rows * p.columns;
    let partial = Ending {
        text: format!(
            "{}fn finish(i: u32, h: f32) {{ y[i] = h; }}\n",
            binding(2, "y", Cell::Float, Use::ReadWrite)
        ),
        start: "",
        bindings: vec![(Arg::Scratch(0), Use::ReadWrite)],
    };
    Ok(Steps {
        dispatches: vec![
            tiled(call, &p, &tile, depth, partial),
            joined(call, parts, count, finish(&[None])?),
        ],
        scratch: vec![parts * count * 4],
    })
}

impl Product {
    fn of(call: &Call<'_>) -> Product {
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
        Product {
            batch: lead.iter().product(),
            rows: out[out.len() - 2],
            depth: a[a.len() - if transposed[0] { 2 } else { 1 }],
            columns: out[out.len() - 1],
            transposed,
            starts,
        }
    }

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

/// The operands and what comes after.
fn declarations(ending: &Ending) -> String {
    let operand = |at: usize, name: &str| binding(at, name, Cell::Float, Use::Read);
    format!("{}{}{}", operand(0, "a"), operand(1, "b"), ending.text)
}

fn kernel(
    name: String,
    text: &str,
    threads: usize,
    workgroup_bytes: usize,
    operands: &[Arg],
    ending: &Ending,
    grid: [u32; 3],
) -> Dispatch {
    let read = operands.iter().map(|&arg| (arg, Use::Read));
    let (args, bindings) = read.chain(ending.bindings.iter().copied()).unzip();
    Dispatch {
        kernel: Kernel {
            name,
            wgsl: math::complete(text),
            workgroup: [threads as u32, 1, 1],
            workgroup_bytes,
            bindings,
        },
        args,
        grid,
    }
}

fn main(threads: usize, ending: &Ending) -> String {
    format!(
        "@compute @workgroup_size({threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {{
{}  let number = group.y * groups.x + group.x;
",
        ending.start
    )
}

/// The parts of a product that was cut along its depth, added in order.
fn joined(call: &Call<'_>, parts: usize, count: usize, ending: Ending) -> Dispatch {
    let text = format!(
        "{}{}{}  let i = number * {GROUP}u + local;
  if (i >= {count}u) {{ return; }}
  var h = 0.0;
  for (var part = 0u; part < {parts}u; part += 1u) {{ h += parts[part * {count}u + i]; }}
  finish(i, h);
}}
",
        binding(0, "parts", Cell::Float, Use::Read),
        ending.text,
        main(GROUP, &ending),
    );
    let grid = call.grid(count.div_ceil(GROUP));
    kernel(format!("{}, parts joined", call.name), &text, GROUP, 0, &[Arg::Scratch(0)], &ending, grid)
}

/// A result is shared by lanes along the depth, whose sums a tree joins.
fn by_rows(call: &Call<'_>, p: &Product, ending: Ending) -> Dispatch {
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
{tree}  if (lane == 0u && column < {n}u) {{ finish((batch * {rows}u + row) * {n}u + column, acc); }}
}}
",
        declarations(&ending),
        main(GROUP, &ending),
        rows = p.rows.max(1),
        all = (blocks * p.rows).max(1),
        a0 = p.starts[0],
        b0 = p.starts[1],
        n = p.columns,
        depth = p.depth,
        left = p.left("row", "k"),
        right = p.right("k", "column"),
    );
    let bytes = if lanes > 1 { GROUP * 4 } else { 0 };
    kernel(
        format!("{}, by rows", call.name),
        &wgsl,
        GROUP,
        bytes,
        &[Arg::Input(0), Arg::Input(1)],
        &ending,
        call.grid(total),
    )
}

/// Sizes of a tile: of the result, of a step along the depth, and of what one invocation makes.
#[derive(Debug)]
struct Tile {
    rows: usize,
    columns: usize,
    depth: usize,
    own: [usize; 2],
}

/// From large to small: a large tile reads less for a product, small ones are more.
const TILES: [Tile; 3] = [
    Tile { rows: 128, columns: 128, depth: 8, own: [8, 8] },
    Tile { rows: 64, columns: 64, depth: 16, own: [4, 4] },
    Tile { rows: 32, columns: 32, depth: 16, own: [4, 4] },
];

impl Tile {
    /// The largest of which there are enough to keep a device busy.
    fn for_product(call: &Call<'_>, p: &Product) -> Tile {
        let [large, middle, small] = TILES;
        let fits = |t: &Tile| t.bytes() <= call.limits.workgroup_bytes && t.count(p) >= BUSY;
        if fits(&large) {
            large
        } else if fits(&middle) {
            middle
        } else {
            small
        }
    }

    fn bytes(&self) -> usize {
        self.depth * (self.rows + self.columns + 2 * PAD) * 4
    }

    /// Tiles of a product.
    fn count(&self, p: &Product) -> usize {
        p.rows.div_ceil(self.rows) * p.columns.div_ceil(self.columns) * p.batch
    }
}

/// Rows of operands in workgroup memory are this much longer, so that banks differ.
const PAD: usize = 4;

/// Tiles, each over `depth` of the product's: part after part, each a product of its own.
fn tiled(call: &Call<'_>, p: &Product, t: &Tile, depth: usize, ending: Ending) -> Dispatch {
    let threads = (t.rows / t.own[0]) * (t.columns / t.own[1]);
    let (across, down) = (t.columns / t.own[1], t.rows / t.own[0]);
    let tiles = [p.rows.div_ceil(t.rows), p.columns.div_ceil(t.columns)];
    let parts = p.depth.div_ceil(depth.max(1)).max(1);
    let total = tiles[0] * tiles[1] * p.batch * parts;
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
      if (row < {m}u && depth < end) {{ v = a[a0 + {place}]; }}
      left[k * {wide_a}u + i] = v; }}\n",
            m = p.rows,
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
      if (column < {n}u && depth < end) {{ v = b[b0 + {place}]; }}
      right[k * {wide_b}u + j] = v; }}\n",
            n = p.columns,
            place = p.right("depth", "column"),
        );
    }
    let (mut zero, mut read, mut sum, mut store) =
        (String::new(), String::new(), String::new(), String::new());
    for i in 0..t.own[0] {
        let _ = writeln!(read, "      let l{i} = left[k * {wide_a}u + mine_i + {}u];", i * down);
        for j in 0..t.own[1] {
            let _ = writeln!(zero, "  var c{i}_{j} = 0.0;");
            let _ = writeln!(sum, "      c{i}_{j} = fma(l{i}, r{j}, c{i}_{j});");
        }
    }
    for j in 0..t.own[1] {
        let _ = writeln!(read, "      let r{j} = right[k * {wide_b}u + mine_j + {}u];", j * across);
    }
    // An invocation's elements are as far apart as there are invocations: neighbours write neighbours.
    for i in 0..t.own[0] {
        let _ = writeln!(
            store,
            "  if (row0 + mine_i + {row}u < {m}u) {{\n    let at = ((part * {batch}u + batch) * {m}u + row0 + mine_i + {row}u) * {n}u + column0 + mine_j;",
            row = i * down,
            batch = p.batch,
            m = p.rows,
            n = p.columns
        );
        for j in 0..t.own[1] {
            let _ = writeln!(
                store,
                "    if (column0 + mine_j + {column}u < {n}u) {{ finish(at + {column}u, c{i}_{j}); }}",
                column = j * across,
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
  let batch = (number / {tiles_mn}u) % {batches}u;
  let part = number / {tiles_mnb}u;
  let a0 = {a0};
  let b0 = {b0};
  let mine_i = local / {across}u;
  let mine_j = local % {across}u;
  let end = min((part + 1u) * {depth}u, {whole}u);
{zero}  for (var k0 = part * {depth}u; k0 < end; k0 += {td}u) {{
{load}    workgroupBarrier();
    for (var k = 0u; k < {td}u; k += 1u) {{
{read}{sum}    }}
    workgroupBarrier();
  }}
{store}}}
",
        declarations(&ending),
        main(threads, &ending),
        size_a = t.depth * wide_a,
        size_b = t.depth * wide_b,
        tiles_n = tiles[1].max(1),
        tiles_m = tiles[0].max(1),
        tiles_mn = (tiles[0] * tiles[1]).max(1),
        tm = t.rows,
        tn = t.columns,
        td = t.depth,
        tiles_mnb = (tiles[0] * tiles[1] * p.batch).max(1),
        batches = p.batch.max(1),
        whole = p.depth,
        a0 = p.starts[0],
        b0 = p.starts[1],
    );
    kernel(
        format!("{}, tiles of {} by {}", call.name, t.rows, t.columns),
        &wgsl,
        threads,
        t.bytes(),
        &[Arg::Input(0), Arg::Input(1)],
        &ending,
        call.grid(total),
    )
}
