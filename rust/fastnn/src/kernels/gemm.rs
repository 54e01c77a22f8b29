//! F2. Matrix products: `C = relu(C_before + A B + bias)`, row-major or transposed operands, with
//! an epilogue on each finished block. One indirect batch-reduce micro-kernel ([`tile`]) does the
//! arithmetic; A is read where it lies unless it is transposed with long strides, B is packed only
//! where its layout or size demands it ([`pack`]); a single row or column goes through [`vector`].
//!
//! Blocks follow from the problem and the instruction set, never from the thread count, and an
//! element's sum has one order whatever block it falls in. May use `simd`, `pool`, `buffer`.

// Index loops over arrays of vectors unroll and stay in registers; iterators would obscure that.
#![allow(clippy::needless_range_loop)]

pub mod bf16;
pub(crate) mod pack;
pub mod product;
mod slices;
pub mod tile;
mod vector;

use super::{Epilogue, Scale};
use crate::buffer::scratch;
use crate::pool;
use crate::shape::DType;
use crate::simd::{Isa, LANES, isa};
use pack::{Pack, pack};
use product::Below;
use std::ops::Range;
use std::ptr;
use tile::{Ahead, MAX_ROWS, Micro, Output, Segment, TURNS, Tile, WIDE_STEP};
use vector::{Row, dot, sweep};

/// Terms summed in registers before a block of C is touched again.
pub const KC: usize = 512;
/// The largest block of C: with `KC` terms of A beside it, it stays in a 1 MiB L2.
const MC: usize = 96;
const NC: usize = 512;
/// Up to so many rows a block has all rows of C and packs each panel of B itself, just before it is used.
const ALONE: usize = 256;
/// Columns of B that such a block packs at a time.
const GROUP: usize = 64;
/// Floats of B packed at a time, so that scratch stays bounded for any problem.
const SLAB: usize = 4 << 20;
/// The same beside an A of no more floats than that: both stay in L2, so A may be read once for each
/// slab, and little scratch is needed.
const NEAR: usize = 1 << 16;
/// Below this many multiply-adds a product is not split over threads.
const INLINE: usize = 1 << 18;
/// Multiply-adds that are worth a task of their own.
const TASK: usize = 1 << 21;
const MAX_TASKS: usize = 32;
/// Tasks that are enough where more would read a far B once more.
const FEW_TASKS: usize = 8;
/// Floats of a packed B that one task reads beside a single row of A.
const STREAM: usize = 1 << 17;
/// Columns of a row of B that a single-row product reads at a time, where threads leave it as many.
const WHOLE_PIECE: usize = 512;
/// Elements of C in a band that an epilogue consumes.
const BAND: usize = 1 << 14;

/// A matrix in memory: element `(i, j)` at `ptr + i * rs + j * cs`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix {
    /// Element (0, 0).
    pub ptr: *const f32,
    /// Floats from row to row.
    pub rs: usize,
    /// Floats from column to column.
    pub cs: usize,
}

impl Matrix {
    /// A row-major matrix with `ld` floats per row.
    #[must_use]
    pub fn row_major(ptr: *const f32, ld: usize) -> Matrix {
        Matrix { ptr, rs: ld, cs: 1 }
    }

    /// The same memory read as its transpose.
    #[must_use]
    pub fn transposed(self) -> Matrix {
        Matrix { ptr: self.ptr, rs: self.cs, cs: self.rs }
    }

    #[inline]
    fn at(&self, i: usize, j: usize) -> *const f32 {
        self.ptr.wrapping_add(i * self.rs + j * self.cs)
    }
}

/// `C (m x n) = relu(scale(C_before + A (m x k) B (k x n) + bias))`.
#[derive(Debug, Clone, Copy)]
pub struct Gemm {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Terms; with none the product is zero.
    pub k: usize,
    /// `m x k`; any strides are fast.
    pub a: Matrix,
    /// `k x n`; fast when one of its strides is 1.
    pub b: Matrix,
    /// What B is: f32, or a storage type, then `b.ptr` is the address of such elements and a stride
    /// of B is 1.
    pub b_type: DType,
    /// Row-major, or null: then blocks live in scratch and only the epilogue sees them.
    pub c: *mut f32,
    /// Floats between rows of C.
    pub ldc: usize,
    /// `n` floats, or null.
    pub bias: *const f32,
    /// Of `n` columns.
    pub scale: Scale,
    /// Negative results become zero; NaN stays.
    pub relu: bool,
    /// The old C is added.
    pub accumulate: bool,
}

impl Gemm {
    /// The address of element (i, j) of B.
    #[inline]
    fn b_at(&self, i: usize, j: usize) -> *const f32 {
        let element = i * self.b.rs + j * self.b.cs;
        self.b.ptr.cast::<u8>().wrapping_add(element * self.b_type.size()).cast()
    }

    /// A product that nobody computes, of a `k x n` matrix B (given transposed: `n x k`).
    fn of_b(b: *const f32, transposed: bool, k: usize, n: usize) -> Gemm {
        let b = if transposed { Matrix { ptr: b, rs: 1, cs: k } } else { Matrix { ptr: b, rs: n, cs: 1 } };
        Gemm {
            m: 0,
            n,
            k,
            a: b,
            b,
            b_type: DType::F32,
            c: ptr::null_mut(),
            ldc: n,
            bias: ptr::null(),
            scale: Scale::NONE,
            relu: false,
            accumulate: false,
        }
    }

    /// The product for `cols` columns of C from `col` on, whose B is packed elsewhere.
    fn columns(&self, col: usize, cols: usize) -> Gemm {
        let bias = offset(self.bias.cast_mut(), col);
        Gemm { n: cols, c: offset(self.c, col), bias, scale: self.scale.from(col), ..*self }
    }
}

// SAFETY: the pointers of these are shared between threads that write disjoint blocks of C.
unsafe impl Sync for Gemm {}
// SAFETY: as above.
unsafe impl Sync for Panels {}

/// Computes `g` on all threads; `epilogue` is called once per finished block, while it is hot, by
/// the thread that computed it.
///
/// # Safety
/// The pointers cover the extents that `g` states, C overlaps neither operand nor the bias, and a
/// null `c` comes with an epilogue and without `accumulate`.
pub unsafe fn gemm(g: &Gemm, epilogue: Option<&dyn Epilogue>) {
    gemm_on(isa(), g, epilogue);
}

/// [`gemm`] on an instruction set of the caller's choice, for tests and measurements.
///
/// # Safety
/// As [`gemm`], and the processor has `isa`.
pub unsafe fn gemm_on(isa: Isa, g: &Gemm, epilogue: Option<&dyn Epilogue>) {
    if g.m == 0 || g.n == 0 || (g.c.is_null() && epilogue.is_none()) {
        return;
    }
    if g.k > 0 && (g.m == 1 || g.n == 1) && g.scale.is_none() && product_with_vector(isa, g, epilogue) {
        return;
    }
    let micro = Micro::of(isa);
    if in_place(g, micro) {
        let panels = Panels { ptr: g.b.ptr, panel: micro.nr, row: g.b.rs, padded: false };
        return multiply(isa, g, Some(&panels), 0, block, epilogue);
    }
    if g.m <= ALONE {
        return multiply(isa, g, None, 0, block, epilogue);
    }
    let slab = slab(g.m, g.k, micro);
    for col in (0..g.n).step_by(slab) {
        let cols = slab.min(g.n - col);
        let mut room = scratch(cols.div_ceil(micro.nr) * micro.nr * g.k);
        let panels = Panels { ptr: room.as_mut_ptr(), panel: micro.nr * g.k, row: micro.nr, padded: true };
        pack_panels(isa, g, col, cols, &panels, room.as_mut_ptr());
        multiply(isa, &g.columns(col, cols), Some(&panels), col, block, epilogue);
    }
}

/// [`gemm`] with B as [`pack_all`] left it for this instruction set; `g.b` is not read.
///
/// # Safety
/// As [`gemm`], and `packed` covers the panels of a `k x n` matrix.
pub unsafe fn gemm_packed(g: &Gemm, packed: *const f32, epilogue: Option<&dyn Epilogue>) {
    if g.m == 0 || g.n == 0 || (g.c.is_null() && epilogue.is_none()) {
        return;
    }
    let micro = Micro::of(isa());
    let panels = Panels { ptr: packed, panel: micro.nr * g.k, row: micro.nr, padded: true };
    multiply(isa(), g, Some(&panels), 0, block, epilogue);
}

/// Packs all of a `k x n` matrix (given transposed: `n x k`) into panels of the micro-kernel.
///
/// # Safety
/// `b` covers the matrix, `dst` covers `k` times `n` rounded up to [`product::PANEL`] and overlaps it
/// nowhere, and the processor has `isa`.
pub unsafe fn pack_all(isa: Isa, b: *const f32, transposed: bool, k: usize, n: usize, dst: *mut f32) {
    let nr = Micro::of(isa).nr;
    if k == 0 || n == 0 {
        return;
    }
    let g = Gemm::of_b(b, transposed, k, n);
    let panels = Panels { ptr: dst, panel: nr * k, row: nr, padded: true };
    pack_panels(isa, &g, 0, n, &panels, dst);
}

/// Columns of B that are packed at a time.
fn slab(m: usize, k: usize, micro: &Micro) -> usize {
    let k = k.max(1);
    if m * k <= NEAR { (NEAR / k / micro.nr).max(1) * micro.nr } else { (SLAB / k / NC * NC).max(NC) }
}

fn offset(p: *mut f32, by: usize) -> *mut f32 {
    if p.is_null() { p } else { p.wrapping_add(by) }
}

/// True when B is read where it lies: row-major, and either few rows of A (packing would cost more
/// than it gains) or rows of B short enough that a panel does not fall into few cache sets.
fn in_place(g: &Gemm, micro: &Micro) -> bool {
    let row_major = g.b.cs == 1 || g.n == 1;
    g.k == 0 || (row_major && !g.b_type.is_stored() && reads_rows(g.m, g.n, micro))
}

fn reads_rows(m: usize, n: usize, micro: &Micro) -> bool {
    m <= 2 * micro.mr || n <= narrow(micro)
}

/// Columns of a B whose rows are read where they lie, however many rows of A there are.
fn narrow(micro: &Micro) -> usize {
    (4 * micro.nr).max(128)
}

/// B as panels of `nr` columns: row `p` of panel `j` at `ptr + j * panel + p * row`.
struct Panels {
    ptr: *const f32,
    panel: usize,
    row: usize,
    padded: bool,
}

impl Panels {
    #[inline]
    fn at(&self, panel: usize, row: usize) -> *const f32 {
        self.ptr.wrapping_add(panel * self.panel + row * self.row)
    }
}

struct Target(*mut f32);
// SAFETY: threads write disjoint panels.
unsafe impl Sync for Target {}

unsafe fn pack_panels(isa: Isa, g: &Gemm, col: usize, cols: usize, panels: &Panels, room: *mut f32) {
    let nr = panels.row;
    let target = Target(room);
    // About 64 Ki floats a chunk, in whole panels.
    let grain = ((1 << 16) / (nr * g.k)).max(1) * nr;
    let kernel = pack(isa);
    pool::run_range(cols, grain, &|r| {
        let target = &target;
        let part = Pack {
            src: Matrix { ptr: g.b_at(0, col + r.start), ..g.b },
            dtype: g.b_type,
            k: g.k,
            cols: r.len(),
            nr,
            dst: target.0.wrapping_add(r.start * g.k),
        };
        // SAFETY: the panels of this range are inside `room` and nobody else's.
        unsafe { kernel(&part) };
    });
}

/// How C is cut: `rows x cols` blocks, chosen from the problem alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grid {
    rows: usize,
    cols: usize,
}

impl Grid {
    /// The split with the least operand traffic among those that give enough tasks.
    fn new(m: usize, n: usize, k: usize, micro: &Micro) -> Grid {
        Grid::cheapest(m, n, Grid::wanted(m, n, k), MC, micro)
    }

    /// The split of few rows beside a B that does not stay in L2: it is read once where there are panels
    /// enough for tasks of their own, since reading it is half the work.
    fn far(m: usize, n: usize, k: usize, micro: &Micro) -> Grid {
        let most = n.div_ceil(micro.nr).max(FEW_TASKS);
        Grid::cheapest(m, n, Grid::wanted(m, n, k).min(most), ALONE, micro)
    }

    /// How many tasks the work is worth.
    fn wanted(m: usize, n: usize, k: usize) -> usize {
        let work = m * n * k.max(1);
        if work < INLINE { 1 } else { (work / TASK).clamp(2, MAX_TASKS) }
    }

    /// The split into `wanted` tasks at least, of `most` rows at most, with the least operand traffic.
    fn cheapest(m: usize, n: usize, wanted: usize, most: usize, micro: &Micro) -> Grid {
        let (m, n) = (m.max(1), n.max(1)); // a product of no elements has one block too
        let panels = n.div_ceil(micro.nr);
        let tiles = m.div_ceil(micro.mr);
        let mut best = (usize::MAX, Grid { rows: m, cols: n });
        for across in n.div_ceil(NC)..=panels.min(n.div_ceil(NC).max(MAX_TASKS)) {
            let down = wanted.div_ceil(across).max(m.div_ceil(most)).min(tiles);
            let cost = down * n + across * m;
            if down * across >= wanted.min(panels * tiles) && cost < best.0 {
                let cols = panels.div_ceil(across) * micro.nr;
                best = (cost, Grid { rows: m.div_ceil(down), cols: cols.min(n) });
            }
        }
        best.1
    }

    /// The split where each block packs the B that it reads: rows are cut only where there are too few
    /// panels for tasks of columns.
    fn columns(m: usize, n: usize, k: usize, micro: &Micro) -> Grid {
        let (m, n) = (m.max(1), n.max(1));
        let work = m * n * k.max(1);
        let panels = n.div_ceil(micro.nr);
        let wanted = if work < INLINE { 1 } else { (work / TASK).clamp(2, MAX_TASKS).min(panels.max(4)) };
        let across = wanted.min(panels).max(n.div_ceil(NC));
        let cols = (panels.div_ceil(across) * micro.nr).min(n);
        let down = wanted.div_ceil(n.div_ceil(cols)).min(m.div_ceil(micro.mr));
        Grid { rows: m.div_ceil(down), cols }
    }

    /// The split of a single row with a packed B, whose reading is all the work: about half a MiB a task.
    fn streamed(n: usize, k: usize, micro: &Micro) -> Grid {
        let panels = n.div_ceil(micro.nr);
        let tasks = (n * k.max(1)).div_ceil(STREAM).clamp(1, 2 * MAX_TASKS);
        Grid { rows: 1, cols: (panels.div_ceil(tasks) * micro.nr).clamp(1, n.max(1)) }
    }

    /// The split for an epilogue: bands of rows that stay in L2 with what the epilogue reads beside
    /// them. Short pieces of rows would defeat the prefetcher on every array of the epilogue.
    fn whole_rows(m: usize, n: usize, k: usize, micro: &Micro) -> Grid {
        let (m, n) = (m.max(1), n.max(1));
        let cols = n.div_ceil(n.div_ceil(NC)).next_multiple_of(micro.nr).min(n);
        let work = m * n * k.max(1);
        let tasks = if work < INLINE { 1 } else { (work / TASK).clamp(2, MAX_TASKS) };
        let down = tasks.div_ceil(n.div_ceil(cols)).max((m * cols).div_ceil(BAND));
        Grid { rows: m.div_ceil(down.min(m.div_ceil(micro.mr))), cols }
    }
}

/// Computes all blocks of C; without `panels` every block packs the B it needs, which costs nothing
/// extra when there is a single block of rows. `col0` is what the epilogue adds to column numbers.
unsafe fn multiply(
    isa: Isa,
    g: &Gemm,
    panels: Option<&Panels>,
    col0: usize,
    block: BlockFn,
    epilogue: Option<&dyn Epilogue>,
) {
    let streams = g.m == 1 && panels.is_some_and(|p| p.padded);
    let grid = match (panels, epilogue) {
        _ if streams => Grid::streamed(g.n, g.k, Micro::of(isa)),
        // Bands of few rows would each read all of a B that does not stay in L2.
        (Some(_), Some(_)) if g.m > ALONE || g.k * g.n < product::STREAMED => {
            Grid::whole_rows(g.m, g.n, g.k, Micro::of(isa))
        }
        (Some(_), Some(_)) => Grid::far(g.m, g.n, g.k, Micro::of(isa)),
        (Some(_), None) => Grid::new(g.m, g.n, g.k, Micro::of(isa)),
        (None, _) => Grid::columns(g.m, g.n, g.k, Micro::of(isa)),
    };
    let across = g.n.div_ceil(grid.cols);
    pool::run(g.m.div_ceil(grid.rows) * across, &|task| {
        let row = task / across * grid.rows;
        let col = task % across * grid.cols;
        let rows = grid.rows.min(g.m - row);
        let cols = grid.cols.min(g.n - col);
        let part = Block { row, rows, col, cols };
        // SAFETY: blocks are disjoint; the caller vouches for the extents.
        unsafe {
            if g.c.is_null() {
                // Whole rows back to back are one run of memory to the epilogue.
                let ldc = if cols == g.n { cols } else { cols.next_multiple_of(LANES) };
                let mut room = scratch(rows * ldc);
                block(isa, g, panels, &part, room.as_mut_ptr(), ldc);
                finish(epilogue, &part, col0, room.as_mut_ptr(), ldc);
            } else {
                let c = g.c.wrapping_add(row * g.ldc + col);
                block(isa, g, panels, &part, c, g.ldc);
                finish(epilogue, &part, col0, c, g.ldc);
            }
        }
    });
}

unsafe fn finish(epilogue: Option<&dyn Epilogue>, b: &Block, col0: usize, c: *mut f32, ldc: usize) {
    if let Some(e) = epilogue {
        e.apply(b.row, b.rows, col0 + b.col, b.cols, c, ldc);
    }
}

struct Block {
    row: usize,
    rows: usize,
    col: usize,
    cols: usize,
}

/// Computes all of K for one block of C, written at `c` with rows `ldc` apart.
type BlockFn = unsafe fn(Isa, &Gemm, Option<&Panels>, &Block, *mut f32, usize);

/// [`BlockFn`] in float32.
unsafe fn block(isa: Isa, g: &Gemm, panels: Option<&Panels>, b: &Block, c: *mut f32, ldc: usize) {
    let micro = Micro::of(isa);
    let pack = pack(isa);
    // Panels are packed in groups: rows of B are read a few whole lines at a time.
    let group = micro.nr.max(GROUP);
    let mut room = panels.is_none().then(|| scratch(g.k.min(KC) * group));
    // A single row is one chain of sums, as in `vector`, so that packing does not change its bits.
    let lone = g.m == 1 && panels.is_some_and(|p| p.padded);
    let slices = if lone { 1 } else { g.k.div_ceil(KC).max(1) };
    let tiles = b.rows.div_ceil(micro.mr);
    let mut near_a = (!lone && is_far(g, b.cols, micro)).then(|| scratch(b.rows * g.k.min(KC)));
    // Other blocks wait for B, and on two threads a B fetched so early drives A out.
    let turned = g.a.rs == 1 && g.a.cs > LANES && panels.is_some_and(|p| !p.padded || b.cols < 2 * b.rows);
    let fetches = g.a.cs == 1 || near_a.is_some() || turned;
    for slice in 0..slices {
        let (from, to) = (share(g.k, slices, slice), share(g.k, slices, slice + 1));
        let last = slice + 1 == slices;
        let relu = g.relu && last;
        let accumulate = g.accumulate || slice > 0;
        if let Some(room) = &mut near_a {
            gather_block(g, b, tiles, from..to, room.as_mut_ptr());
        }
        for col in (0..b.cols).step_by(micro.nr) {
            let cols = micro.nr.min(b.cols - col);
            let (b_from, b_step, padded) = match (panels, &mut room) {
                (Some(p), _) => (p.at((b.col + col) / micro.nr, from), p.row, p.padded),
                (None, Some(room)) => {
                    let (dst, part) = (room.as_mut_ptr(), col % group);
                    if part == 0 {
                        let src = Matrix { ptr: g.b_at(from, b.col + col), ..g.b };
                        let cols = group.min(b.cols - col);
                        pack(&Pack { src, dtype: g.b_type, k: to - from, cols, nr: micro.nr, dst });
                    }
                    (dst.wrapping_add(part * (to - from)).cast_const(), micro.nr, true)
                }
                (None, None) => return,
            };
            let bias = if last && !g.bias.is_null() { g.bias.wrapping_add(b.col + col) } else { ptr::null() };
            let scale = if last { g.scale.from(b.col + col) } else { Scale::NONE };
            let next = Next::after(panels, g, b, col, from..to, micro);
            for i in 0..tiles {
                let (row, end) = (share(b.rows, tiles, i), share(b.rows, tiles, i + 1));
                let a_tile = match &mut near_a {
                    Some(room) => Matrix {
                        ptr: room.as_mut_ptr().wrapping_add(row * (to - from)),
                        rs: 1,
                        cs: end - row,
                    },
                    None => Matrix { ptr: g.a.at(b.row + row, from), ..g.a },
                };
                let mut a = [ptr::null(); MAX_ROWS];
                for (r, a) in a.iter_mut().enumerate() {
                    *a = a_tile.at(r, 0);
                }
                let segment =
                    Segment { rows: a.as_ptr(), a_step: a_tile.cs, b: b_from, b_step, k: to - from };
                let tile = Tile {
                    segments: &[segment],
                    rows: end - row,
                    cols,
                    padded,
                    out: Output { c: c.wrapping_add(row * ldc + col), ldc, bias, scale, relu, accumulate },
                };
                match &next {
                    // The first panel of a block is the one that finds A far away.
                    _ if turned && near_a.is_none() && col == 0 && b_step < WIDE_STEP => {
                        micro.run_ahead(&tile, turned_ahead(g, b, from..to, i));
                    }
                    Some(next) if i > 0 || b_step < WIDE_STEP => {
                        let none = Ahead { from: [b_from; 2], step: 0 };
                        micro.run_ahead(&tile, if fetches { next.share(i) } else { none });
                    }
                    _ => micro.run(&tile),
                }
            }
        }
    }
}

/// The panel of B that a block reads after the present one, where it lies: `groups` of `k` lines, line
/// after line `step` floats apart, group after group `group` floats.
struct Next {
    at: *const f32,
    step: usize,
    group: usize,
    groups: usize,
    k: usize,
}

impl Next {
    /// `None` after the last, and where its lines follow no simple rule.
    fn after(
        panels: Option<&Panels>,
        g: &Gemm,
        b: &Block,
        col: usize,
        ks: Range<usize>,
        micro: &Micro,
    ) -> Option<Next> {
        let (col, from) = if col + micro.nr < b.cols { (col + micro.nr, ks.start) } else { (0, ks.end) };
        let cols = (b.cols - col).min(micro.nr);
        let (groups, k) = (cols.div_ceil(LANES), ks.len().min(g.k.saturating_sub(from)));
        if k < TURNS {
            return None;
        }
        match panels {
            Some(p) => {
                let at = p.at((b.col + col) / micro.nr, from);
                Some(Next { at, step: p.row, group: LANES, groups, k })
            }
            None if g.b_type.is_stored() => None,
            None if g.b.cs == 1 => {
                Some(Next { at: g.b_at(from, b.col + col), step: g.b.rs, group: LANES, groups, k })
            }
            // The columns of a transposed B lie back to back: as many lines, in one run.
            None if g.b.cs == k => {
                Some(Next { at: g.b_at(from, b.col + col), step: LANES, group: k * LANES, groups, k })
            }
            None => None,
        }
    }

    /// What tile `i` of the present panel fetches: two lines with each turn, so a quarter of a group
    /// and the one two further on.
    fn share(&self, i: usize) -> Ahead {
        let turns = self.k / TURNS;
        let (quarter, group) = (i / self.groups, i % self.groups);
        let from = self.at.wrapping_add(quarter % 2 * turns * self.step + group * self.group);
        Ahead {
            from: [from, from.wrapping_add(2 * turns * self.step)],
            step: if quarter < 2 { self.step } else { 0 },
        }
    }
}

/// What tile `i` of a block fetches of a transposed A. Two tiles, of at most twelve rows, fetch a line
/// of each term between them, one line further on than they read; past the last row, those of the next
/// slice.
fn turned_ahead(g: &Gemm, b: &Block, ks: Range<usize>, i: usize) -> Ahead {
    let (lines, line) = (b.rows.div_ceil(LANES), i / 2 + 1);
    let (line, from) = if line < lines { (line, ks.start) } else { (line - lines, ks.end) };
    if from >= g.k {
        return Ahead { from: [g.a.at(b.row, ks.start); 2], step: 0 };
    }
    let turns = ks.len() / TURNS;
    let at = g.a.at(b.row + line * LANES, from + i % 2 * 2 * turns);
    Ahead { from: [at, at.wrapping_add(turns * g.a.cs)], step: g.a.cs }
}

/// True when A is transposed with rows of k on pages of their own, and used often enough to copy.
fn is_far(g: &Gemm, cols: usize, micro: &Micro) -> bool {
    g.a.rs == 1 && g.a.cs >= 512 && cols >= 4 * micro.nr && g.k >= 64
}

/// Copies the A of a block, tile after tile: that of the tile at `row` begins at `row * ks.len()`.
unsafe fn gather_block(g: &Gemm, b: &Block, tiles: usize, ks: Range<usize>, dst: *mut f32) {
    // A few rows of k at a time, because their lines often share a cache set.
    for p in (0..ks.len()).step_by(8) {
        for i in 0..tiles {
            let (row, end) = (share(b.rows, tiles, i), share(b.rows, tiles, i + 1));
            let dst = dst.wrapping_add(row * ks.len() + p * (end - row));
            gather_rows(g.a.at(b.row + row, ks.start + p), g.a.cs, end - row, (ks.len() - p).min(8), dst);
        }
    }
}

/// Copies a tile of transposed A, `k` groups of `rows` neighbours, so that they lie back to back.
unsafe fn gather_rows(src: *const f32, step: usize, rows: usize, k: usize, dst: *mut f32) {
    #[inline(always)]
    unsafe fn copy<const N: usize>(src: *const f32, step: usize, k: usize, dst: *mut f32) {
        for p in 0..k {
            dst.add(p * N)
                .cast::<[f32; N]>()
                .write_unaligned(src.wrapping_add(p * step).cast::<[f32; N]>().read_unaligned());
        }
    }
    match rows {
        1 => copy::<1>(src, step, k, dst),
        2 => copy::<2>(src, step, k, dst),
        3 => copy::<3>(src, step, k, dst),
        4 => copy::<4>(src, step, k, dst),
        5 => copy::<5>(src, step, k, dst),
        _ => copy::<6>(src, step, k, dst),
    }
}

/// Where part `i` of `parts` nearly equal parts of `n` begins.
fn share(n: usize, parts: usize, i: usize) -> usize {
    i * (n / parts) + i.min(n % parts)
}

/// `m == 1` or `n == 1`; false when the layout has no fast way.
unsafe fn product_with_vector(isa: Isa, g: &Gemm, epilogue: Option<&dyn Epilogue>) -> bool {
    // A single column is the single row of the transposed product.
    let column = g.m > 1;
    if column && g.b_type.is_stored() {
        return false;
    }
    let (x, b, len) = if column { (g.b.transposed(), g.a.transposed(), g.m) } else { (g.a, g.b, g.n) };
    let step = if column { g.ldc } else { 1 };
    let lone = b.rs == 1 && g.k > 1;
    let sweeps = b.cs == 1 && !lone && (step == 1 || g.c.is_null());
    if !sweeps && b.rs != 1 {
        return false;
    }
    let mut gathered = None;
    let (x_ptr, x_step) = if sweeps || x.cs == 1 {
        (x.ptr, x.cs)
    } else {
        let mut room = scratch(g.k);
        let p = room.as_mut_ptr();
        for i in 0..g.k {
            p.add(i).write(x.at(0, i).read());
        }
        gathered = Some(room);
        (p.cast_const(), 1)
    };
    let kernel = if sweeps { sweep(isa) } else { dot(isa) };
    let bias_step = usize::from(!column);
    let shared = RowCall { g, b, x_ptr, x_step, kernel, step, bias_step, column, sweeps };
    // Chunks of whole cache lines and equal size, half a MiB to a MiB of B each: reading B is all the
    // work, and one core cannot draw the whole bandwidth of the shared cache.
    let size = len * g.k;
    let chunks = if size < 1 << 17 { 1 } else { 2 * size.div_ceil(1 << 18) };
    // Short pieces of rows would defeat the prefetcher.
    let least = if sweeps { WHOLE_PIECE.min(len.div_ceil(2).next_multiple_of(64)) } else { 64 };
    let grain = len.div_ceil(chunks).next_multiple_of(64).max(least);
    pool::run_range(len, grain, &|r| {
        // SAFETY: chunks are disjoint; the caller vouches for the extents.
        unsafe { shared.run(r.start, r.len(), epilogue) };
    });
    drop(gathered);
    true
}

struct RowCall<'a> {
    g: &'a Gemm,
    b: Matrix,
    x_ptr: *const f32,
    x_step: usize,
    kernel: unsafe fn(&Row),
    step: usize,
    bias_step: usize,
    column: bool,
    sweeps: bool,
}

// SAFETY: threads write disjoint parts of C.
unsafe impl Sync for RowCall<'_> {}

impl RowCall<'_> {
    unsafe fn run(&self, at: usize, len: usize, epilogue: Option<&dyn Epilogue>) {
        let g = self.g;
        let mut room = None;
        let (c, step) = if g.c.is_null() {
            (room.insert(scratch(len)).as_mut_ptr(), 1)
        } else {
            (g.c.wrapping_add(at * self.step), self.step)
        };
        let bias = if g.bias.is_null() { g.bias } else { g.bias.wrapping_add(at * self.bias_step) };
        (self.kernel)(&Row {
            x: self.x_ptr,
            x_step: self.x_step,
            k: g.k,
            b: if self.column { self.b.at(0, at) } else { g.b_at(0, at) }.cast(),
            b_type: if self.column { DType::F32 } else { g.b_type },
            ldb: if self.sweeps { self.b.rs } else { self.b.cs },
            cols: len,
            out: Output { c, ldc: step, bias, scale: Scale::NONE, relu: g.relu, accumulate: g.accumulate },
            bias_step: self.bias_step,
        });
        if let Some(e) = epilogue {
            if self.column { e.apply(at, len, 0, 1, c, step) } else { e.apply(0, 1, at, len, c, len) }
        }
    }
}

/// Floats from one product of a batch to the next; 0 repeats an operand.
#[derive(Debug, Clone, Copy)]
pub struct Strides {
    /// Of A.
    pub a: usize,
    /// Of B.
    pub b: usize,
    /// Of C; not 0 unless C is null.
    pub c: usize,
}

/// `batch` products of the shape and layout of `g`, whose pointers are those of the first. To the
/// epilogue the results are one matrix of `batch * m` rows.
///
/// # Safety
/// As [`gemm`], for every product of the batch.
pub unsafe fn gemm_batched(batch: usize, strides: Strides, g: &Gemm, epilogue: Option<&dyn Epilogue>) {
    let joined = strides.b == 0 && strides.a == g.m * g.a.rs && (strides.c == g.m * g.ldc || g.c.is_null());
    if batch == 0 || g.m == 0 {
        return;
    }
    if joined || batch == 1 {
        return gemm(&Gemm { m: batch * g.m, ..*g }, epilogue);
    }
    let work = (g.m * g.n * g.k).max(1);
    let call = |i: usize| {
        let a = Matrix { ptr: g.a.ptr.wrapping_add(i * strides.a), ..g.a };
        let b =
            Matrix { ptr: g.b.ptr.cast::<u8>().wrapping_add(i * strides.b * g.b_type.size()).cast(), ..g.b };
        let c = if g.c.is_null() { g.c } else { g.c.wrapping_add(i * strides.c) };
        let below = epilogue.map(|inner| Below { inner, row: i * g.m });
        // SAFETY: the caller vouches for every product of the batch.
        unsafe { gemm(&Gemm { a, b, c, ..*g }, below.as_ref().map(|e| e as &dyn Epilogue)) };
    };
    if work >= 16 * TASK {
        // Each product is worth all threads.
        return (0..batch).for_each(call);
    }
    pool::run_range(batch, (INLINE / work).max(1), &|r| r.for_each(call));
}
