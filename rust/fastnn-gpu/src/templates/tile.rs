//! Sums of products by tiles: a workgroup makes a tile of the result from strips of both sides that it
//! lays in workgroup memory. Where elements of a side lie is text, so that a convolution needs no patches
//! in memory.

use super::ending::{Finish, joined, kept};
use super::frame::{FOURS, Text, steps, steps_with};
use super::sizes::{self, PAD, Tile};
use crate::dispatch::{Call, Dispatch, Steps};
use fastnn::error::Result;
use std::fmt::Write as _;

/// One side of a product: an operand.
pub(super) struct Side {
    /// The body of a function of `batch`, `i` (a row of the left side, a column of the right one) and
    /// `k`: where the element lies in the operand, or `NOWHERE` for a zero.
    pub(super) place: String,
    /// Does `k` run along memory, rather than `i`?
    pub(super) along: bool,
    /// Do elements lie by fours that begin at multiples of 4, each four in memory or nowhere?
    pub(super) fours: bool,
}

/// Products `(rows, depth)` by `(depth, columns)`, `batch` times, of the operands 0 and 1.
pub(super) struct Product<'a> {
    pub(super) batch: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) depth: usize,
    pub(super) sides: [Side; 2],
    /// The place of element (`batch`, `row`, `column`) in the result.
    pub(super) place: &'a str,
    /// What the texts of places call.
    pub(super) define: &'a dyn Fn(&mut Text<'_>),
}

/// Tiles of a column of tiles that come one after the other, so that what they read is still near.
const BAND: usize = 8;

/// Steps along the depth that are written out.
const UNROLLED: usize = 4;

/// What differs between the sides in texts.
const NAMES: [(&str, &str, &str); 2] = [("left", "a", "row0"), ("right", "b", "column0")];

impl Product<'_> {
    /// The dispatches, which `finish` ends.
    pub(super) fn steps(&self, call: &Call<'_>, finish: &Finish<'_>) -> Result<Steps> {
        let (tile, parts) = sizes::chosen(call.limits, self.batch, [self.rows, self.columns], self.depth);
        if parts == 1 {
            return Ok(steps([self.dispatch(call, &tile, 1, finish)?]));
        }
        let count = call.outputs[0].shape.count();
        let all = [self.dispatch(call, &tile, parts, &kept)?, joined(call, parts, finish)?];
        Ok(steps_with(&[parts * count], all))
    }

    fn dispatch(
        &self,
        call: &Call<'_>,
        tile: &Tile,
        parts: usize,
        finish: &Finish<'_>,
    ) -> Result<Option<Dispatch>> {
        let [m, n] = [self.rows.div_ceil(tile.size[0]), self.columns.div_ceil(tile.size[1])];
        let part = self.depth.div_ceil(parts).next_multiple_of(tile.depth);
        let mut text = Text::new(call, &format!("tiles of {} by {}", tile.size[0], tile.size[1]));
        for (k, side) in self.sides.iter().enumerate() {
            if side.fours {
                text.read_fours(NAMES[k].1, k);
            } else {
                text.read_floats(NAMES[k].1, k);
            }
        }
        text.end(finish)?;
        text.define("const NOWHERE = 0xffffffffu;");
        (self.define)(&mut text);
        for (k, side) in self.sides.iter().enumerate() {
            text.share(NAMES[k].0, FOURS, tile.depth * (tile.size[k] + PAD) / 4);
            text.define(&self.four(k, side));
        }
        let (threads, across) = (tile.threads(), tile.across());
        let blocks = [0, 1].map(|k| tile.size[k] / 4 * (tile.depth / 4));
        let (mut declare, mut fetch, mut put) = (String::new(), String::new(), String::new());
        for step in 0..(blocks[0] + blocks[1]).div_ceil(threads) {
            for four in 0..4 {
                let _ = writeln!(declare, "    var p{step}_{four} = vec4<f32>();");
            }
            // Blocks of the one side come first, then those of the other.
            let blocks_of = |[one, other]: [String; 2]| {
                format!(
                    "    {{ let block = lane + {}u;
    if (block < {}u) {{
{one}    }} else if (block < {}u) {{
    let block = block - {}u;
{other}    }} }}
",
                    step * threads,
                    blocks[0],
                    blocks[0] + blocks[1],
                    blocks[0],
                )
            };
            fetch += &blocks_of([0, 1].map(|side| self.fetched(side, step, tile)));
            put += &blocks_of([0, 1].map(|side| self.put(side, step, tile)));
        }
        let (zero, sum) = sums(tile);
        let body = format!(
            "    let number = row % {mn}u;
    let band = number / {band_n}u;
    let high = min({m}u - band * {BAND}u, {BAND}u);
    let row0 = (band * {BAND}u + number % {band_n}u % high) * {tile_m}u;
    let column0 = number % {band_n}u / high * {tile_n}u;
    let batch = row / {mn}u % {batch}u;
    let part = row / {mnb}u;
    let mine_i = lane / {across_n}u;
    let mine_j = lane % {across_n}u;
    let end = min((part + 1u) * {part}u, {depth}u);
{declare}{zero}    {{ let k0 = part * {part}u;
{fetch}    }}
    for (var at = part * {part}u; at < end; at += {step}u) {{
{put}    workgroupBarrier();
    let k0 = at + {step}u;
    if (k0 < end) {{
{fetch}    }}
    for (var k = 0u; k < {step}u; k += {UNROLLED}u) {{
{sum}    }}
    workgroupBarrier();
    }}
{store}",
            mn = m * n,
            mnb = m * n * self.batch,
            band_n = BAND * n,
            tile_m = tile.size[0],
            tile_n = tile.size[1],
            batch = self.batch,
            across_n = across[1],
            depth = self.depth,
            step = tile.depth,
            store = self.store(call, tile),
        );
        Ok(text.groups(m * n * self.batch * parts, threads as u32, &body))
    }

    /// The function that reads four elements along memory, zeros past the ends.
    fn four(&self, k: usize, side: &Side) -> String {
        let (name, operand, _) = NAMES[k];
        let most = [self.rows, self.columns][k];
        let inside = |at: &str| {
            if side.place.contains("NOWHERE") { format!("if ({at} != NOWHERE) ") } else { String::new() }
        };
        let mut text = format!(
            "fn {name}_at(batch: u32, i: u32, k: u32) -> u32 {{
{}}}
fn {name}_four(batch: u32, i: u32, k: u32, end: u32) -> vec4<f32> {{
    var v = vec4<f32>();
    if (i >= {most}u || k >= end) {{ return v; }}
",
            side.place
        );
        if side.fours {
            let _ = writeln!(
                text,
                "    let at = {name}_at(batch, i, k);\n    {}{{ v = {operand}[at / 4u]; }}",
                inside("at")
            );
        } else {
            for (c, part) in ["x", "y", "z", "w"].iter().enumerate() {
                let (i, k, test) = if side.along {
                    ("i".into(), format!("k + {c}u"), format!("k + {c}u < end"))
                } else {
                    (format!("i + {c}u"), "k".into(), format!("i + {c}u < {most}u"))
                };
                let _ = writeln!(
                    text,
                    "    if ({test}) {{ let at = {name}_at(batch, {i}, {k}); {}{{ v.{part} = {operand}[at]; }} }}",
                    inside("at")
                );
            }
        }
        text + "    return v;\n}"
    }

    /// Statements that name the place of a block of four by four in a strip.
    fn block(&self, k: usize, tile: &Tile) -> String {
        let (deep, wide) = (tile.depth / 4, tile.size[k] / 4);
        if self.sides[k].along {
            format!("    let i4 = block / {deep}u;\n    let k4 = block % {deep}u;\n")
        } else {
            format!("    let i4 = block % {wide}u;\n    let k4 = block / {wide}u;\n")
        }
    }

    /// Statements that read a block into registers: fours along memory.
    fn fetched(&self, k: usize, step: usize, tile: &Tile) -> String {
        let (name, _, first) = NAMES[k];
        let mut text = self.block(k, tile);
        for c in 0..4 {
            let (i, k) = if self.sides[k].along {
                (format!("{first} + i4 * 4u + {c}u"), "k0 + k4 * 4u".to_owned())
            } else {
                (format!("{first} + i4 * 4u"), format!("k0 + k4 * 4u + {c}u"))
            };
            let _ = writeln!(text, "    p{step}_{c} = {name}_four(batch, {i}, {k}, end);");
        }
        text
    }

    /// Statements that lay a block into its strip: fours along rows or columns, one depth after the other.
    fn put(&self, k: usize, step: usize, tile: &Tile) -> String {
        let (name, ..) = NAMES[k];
        let wide = (tile.size[k] + PAD) / 4;
        let mut text = self.block(k, tile);
        for (c, part) in ["x", "y", "z", "w"].iter().enumerate() {
            let value = if self.sides[k].along {
                let parts: Vec<String> = (0..4).map(|r| format!("p{step}_{r}.{part}")).collect();
                format!("vec4<f32>({})", parts.join(", "))
            } else {
                format!("p{step}_{c}")
            };
            let _ = writeln!(text, "    {name}[(k4 * 4u + {c}u) * {wide}u + i4] = {value};");
        }
        text
    }

    /// Statements that end the elements of an invocation.
    fn store(&self, call: &Call<'_>, tile: &Tile) -> String {
        let (count, across) = (call.outputs[0].shape.count(), tile.across());
        let whole = self.columns.is_multiple_of(4);
        let mut text = String::new();
        for i in 0..tile.own[0] {
            let _ = writeln!(
                text,
                "    {{ let row = row0 + mine_i * 4u + {}u;\n    if (row < {}u) {{",
                i / 4 * across[0] * 4 + i % 4,
                self.rows
            );
            for j in 0..tile.own[1] / 4 {
                let first = format!("column0 + mine_j * 4u + {}u", j * across[1] * 4);
                if whole {
                    let _ = writeln!(text, "    if ({first} < {}u) {{", self.columns);
                }
                for (c, part) in ["x", "y", "z", "w"].iter().enumerate() {
                    let test =
                        if whole { String::new() } else { format!("if (column < {}u) ", self.columns) };
                    let _ = writeln!(
                        text,
                        "    {{ let column = {first} + {c}u; {test}{{ finish(part * {count}u + {}, c{i}_{j}.{part}); }} }}",
                        self.place
                    );
                }
                if whole {
                    text.push_str("    }\n");
                }
            }
            text.push_str("    }\n    }\n");
        }
        text
    }
}

/// Is a tile worth its strips?
pub(super) fn pays(rows: usize, columns: usize, depth: usize) -> bool {
    rows >= 32 && columns >= 8 && depth >= 16
}

/// Statements that begin the sums of an invocation, and that add to them at [`UNROLLED`] depths from `k`
/// on. Sums and what they read have names: an array that is indexed would lie in slow memory.
fn sums(tile: &Tile) -> (String, String) {
    let (mut zero, mut sum) = (String::new(), String::new());
    let across = tile.across();
    let fours = [tile.own[0] / 4, tile.own[1] / 4];
    for i in 0..tile.own[0] {
        for j in 0..fours[1] {
            let _ = writeln!(zero, "    var c{i}_{j} = vec4<f32>();");
        }
    }
    for u in 0..UNROLLED {
        sum.push_str("    {\n");
        for (k, (short, own)) in [("l", "mine_i"), ("r", "mine_j")].iter().enumerate() {
            for f in 0..fours[k] {
                let _ = writeln!(
                    sum,
                    "    let {short}{f} = {}[(k + {u}u) * {}u + {own} + {}u];",
                    NAMES[k].0,
                    (tile.size[k] + PAD) / 4,
                    f * across[k]
                );
            }
        }
        for i in 0..tile.own[0] {
            let part = ["x", "y", "z", "w"][i % 4];
            for j in 0..fours[1] {
                let _ = writeln!(sum, "    c{i}_{j} = fma(vec4<f32>(l{}.{part}), r{j}, c{i}_{j});", i / 4);
            }
        }
        sum.push_str("    }\n");
    }
    (zero, sum)
}
