//! F2. Reductions of a [`Source`] viewed as row-major `(outer, r, inner)` over the middle axis.
//! The order of additions is a fixed tree of `(outer, r, inner)`: 8 rows by pairs, blocks of 64
//! tile rows in sequence, then pairs of blocks (tiles of 512, then those, for rows); so the bits never depend on the thread count and
//! the error of a sum grows with the logarithm of its length. Depends on `simd` and the pool.

use super::{Source, TILE};
use crate::buffer::scratch;
use crate::pool;
use crate::simd::{Isa, LANES, Simd, isa, math};
use std::mem::MaybeUninit;

/// What a reduction computes. The `I32` kinds read and write bit patterns of `i32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduce {
    /// The sum; 0 of nothing.
    Sum,
    /// The sum over the count; NaN of nothing.
    Mean,
    /// The largest, NaN if any is; -inf of nothing.
    Max,
    /// The smallest, NaN if any is; inf of nothing.
    Min,
    /// The product; 1 of nothing.
    Prod,
    /// The wrapping sum of `i32`.
    SumI32,
    /// The largest `i32`.
    MaxI32,
    /// The smallest `i32`.
    MinI32,
}

/// A [`Source`] that lies in memory.
#[derive(Debug, Clone, Copy)]
pub struct Memory(pub *const f32);

// SAFETY: the pointer is only read, and the caller of the kernel keeps it valid.
unsafe impl Sync for Memory {}
// SAFETY: as above.
unsafe impl Send for Memory {}

impl Source for Memory {
    #[inline]
    unsafe fn tile(&self, start: usize, _len: usize, _scratch: *mut f32) -> *const f32 {
        self.0.add(start)
    }

    #[inline]
    fn memory(&self) -> Option<*const f32> {
        Some(self.0)
    }
}

/// Below this many elements a kernel runs on the calling thread.
const INLINE: usize = 8192;
/// As many work items as are enough for a balance; more of them cost more claims, and what one core
/// read last time another one reads this time.
const ITEMS: usize = 32;
/// Elements of a work item, at most.
const LARGEST: usize = 1 << 16;
/// Rows read together and added as a tree.
const GROUP: usize = 8;
/// Tile rows in a block.
const BLOCK: usize = 64;

#[repr(align(64))]
struct Tiles<const N: usize>(MaybeUninit<[f32; N]>);

impl<const N: usize> Tiles<N> {
    #[inline(always)]
    fn new() -> Self {
        Tiles(MaybeUninit::uninit())
    }
    #[inline(always)]
    fn at(&mut self, i: usize) -> *mut f32 {
        self.0.as_mut_ptr().cast::<f32>().wrapping_add(i)
    }
}

#[derive(Clone, Copy)]
struct Out(*mut f32);
// SAFETY: work items write disjoint ranges.
unsafe impl Sync for Out {}
// SAFETY: as above.
unsafe impl Send for Out {}
impl Out {
    #[inline(always)]
    fn at(&self, i: usize) -> *mut f32 {
        self.0.wrapping_add(i)
    }
}

// One associative operation on lanes.
trait Fold: Copy {
    const IDENTITY: u32;
    unsafe fn two<S: Simd>(a: S::F, b: S::F) -> S::F;
    unsafe fn lanes<S: Simd>(a: S::F) -> u32;
}

// The lanes as the tree of `Simd::sum`.
#[inline(always)]
unsafe fn tree<S: Simd>(a: S::F, two: fn(u32, u32) -> u32) -> u32 {
    let mut x = [0f32; LANES];
    S::store(x.as_mut_ptr(), a);
    let mut x = x.map(f32::to_bits);
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            x[i] = two(x[i], x[i + half]);
        }
    }
    x[0]
}

macro_rules! folds {
    ($($name:ident $identity:expr, |$a:ident, $b:ident| $two:expr, $lanes:expr;)*) => { $(
        #[derive(Clone, Copy)]
        struct $name;
        impl Fold for $name {
            const IDENTITY: u32 = $identity;
            #[inline(always)]
            unsafe fn two<S: Simd>($a: S::F, $b: S::F) -> S::F {
                $two
            }
            #[inline(always)]
            unsafe fn lanes<S: Simd>($a: S::F) -> u32 {
                $lanes
            }
        }
    )* };
}

folds! {
    Sum 0, |a, b| S::add(a, b), S::sum(a).to_bits();
    Prod 0x3f80_0000, |a, b| S::mul(a, b), tree::<S>(a, |x, y| (f32::from_bits(x) * f32::from_bits(y)).to_bits());
    Max 0xff80_0000, |a, b| math::maximum::<S>(a, b), S::max_lane(a).to_bits();
    Min 0x7f80_0000, |a, b| math::minimum::<S>(a, b), S::min_lane(a).to_bits();
    SumI32 0, |a, b| S::from_bits(S::add_i(S::bits(a), S::bits(b))), tree::<S>(a, u32::wrapping_add);
    MaxI32 0x8000_0000, |a, b| S::from_bits(S::max_i(S::bits(a), S::bits(b))), tree::<S>(a, |x, y| (x as i32).max(y as i32) as u32);
    MinI32 0x7fff_ffff, |a, b| S::from_bits(S::min_i(S::bits(a), S::bits(b))), tree::<S>(a, |x, y| (x as i32).min(y as i32) as u32);
}

static IOTA: [f32; LANES] = [0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15.];

// True in the first `n` lanes.
#[inline(always)]
unsafe fn first<S: Simd>(n: usize) -> S::M {
    S::lt(S::load(IOTA.as_ptr()), S::splat(n as f32))
}

// `n` contiguous values to one.
#[inline(always)]
unsafe fn fold_row<S: Simd, F: Fold>(p: *const f32, n: usize) -> u32 {
    let identity = S::splat(f32::from_bits(F::IDENTITY));
    let mut i = 0;
    let mut acc = identity;
    if n >= 4 * LANES {
        let (mut x, mut y, mut z, mut w) =
            (S::load(p), S::load(p.add(LANES)), S::load(p.add(2 * LANES)), S::load(p.add(3 * LANES)));
        i = 4 * LANES;
        while i + 4 * LANES <= n {
            x = F::two::<S>(x, S::load(p.add(i)));
            y = F::two::<S>(y, S::load(p.add(i + LANES)));
            z = F::two::<S>(z, S::load(p.add(i + 2 * LANES)));
            w = F::two::<S>(w, S::load(p.add(i + 3 * LANES)));
            i += 4 * LANES;
        }
        acc = F::two::<S>(F::two::<S>(x, y), F::two::<S>(z, w));
    }
    while i + LANES <= n {
        acc = F::two::<S>(acc, S::load(p.add(i)));
        i += LANES;
    }
    if i < n {
        let tail = S::select(first::<S>(n - i), S::load_n(p.add(i), n - i), identity);
        acc = F::two::<S>(acc, tail);
    }
    F::lanes::<S>(acc)
}

// `blocks` blocks of `(r, inner)`, contiguous, each to `inner` values at `dst`.
#[inline(always)]
unsafe fn fold_blocks<S: Simd, F: Fold>(dst: *mut f32, p: *const f32, blocks: usize, r: usize, inner: usize) {
    for b in 0..blocks {
        let p = p.add(b * r * inner);
        if inner == 1 {
            dst.cast::<u32>().add(b).write(fold_row::<S, F>(p, r));
            continue;
        }
        let dst = dst.add(b * inner);
        let mut c = 0;
        while c + LANES <= inner {
            let mut acc = S::load(p.add(c));
            for k in 1..r {
                acc = F::two::<S>(acc, S::load(p.add(k * inner + c)));
            }
            S::store(dst.add(c), acc);
            c += LANES;
        }
        if c < inner {
            let n = inner - c;
            let mut acc = S::load_n(p.add(c), n);
            for k in 1..r {
                acc = F::two::<S>(acc, S::load_n(p.add(k * inner + c), n));
            }
            S::store_n(dst.add(c), acc, n);
        }
    }
}

// `rows` rows of `r` values, contiguous, each to one at `dst`: its tiles, and then what they gave.
#[inline(always)]
unsafe fn fold_rows<S: Simd, F: Fold>(dst: *mut f32, p: *const f32, rows: usize, r: usize) {
    let mut parts = Tiles::<BLOCK>::new();
    for row in 0..rows {
        let p = p.add(row * r);
        let (mut count, mut k) = (0, 0);
        while k < r {
            let n = TILE.min(r - k);
            parts.at(count).cast::<u32>().write(fold_row::<S, F>(p.add(k), n));
            count += 1;
            k += n;
        }
        dst.cast::<u32>().add(row).write(fold_row::<S, F>(parts.at(0), count));
    }
}

#[inline(always)]
unsafe fn two_at<S: Simd, F: Fold>(dst: *mut f32, a: *const f32, b: *const f32, n: usize) {
    let mut i = 0;
    while i + LANES <= n {
        S::store(dst.add(i), F::two::<S>(S::load(a.add(i)), S::load(b.add(i))));
        i += LANES;
    }
    if i < n {
        let k = n - i;
        S::store_n(dst.add(i), F::two::<S>(S::load_n(a.add(i), k), S::load_n(b.add(i), k)), k);
    }
}

// Folds `GROUP` rows of `n` values into `acc` as a tree.
#[inline(always)]
unsafe fn fold_group<S: Simd, F: Fold>(acc: *mut f32, rows: *const *const f32, n: usize) {
    let row: [*const f32; GROUP] = rows.cast::<[*const f32; GROUP]>().read();
    let mut i = 0;
    while i + LANES <= n {
        let at = |k: usize| S::load(row[k].add(i));
        let low = F::two::<S>(F::two::<S>(at(0), at(1)), F::two::<S>(at(2), at(3)));
        let high = F::two::<S>(F::two::<S>(at(4), at(5)), F::two::<S>(at(6), at(7)));
        S::store(acc.add(i), F::two::<S>(S::load(acc.add(i)), F::two::<S>(low, high)));
        i += LANES;
    }
    if i < n {
        let k = n - i;
        let at = |g: usize| S::load_n(row[g].add(i), k);
        let low = F::two::<S>(F::two::<S>(at(0), at(1)), F::two::<S>(at(2), at(3)));
        let high = F::two::<S>(F::two::<S>(at(4), at(5)), F::two::<S>(at(6), at(7)));
        S::store_n(acc.add(i), F::two::<S>(S::load_n(acc.add(i), k), F::two::<S>(low, high)), k);
    }
}

// The kernels of one operation on one instruction set.
#[derive(Clone, Copy)]
struct Kernels {
    identity: u32,
    blocks: unsafe fn(*mut f32, *const f32, usize, usize, usize),
    rows: unsafe fn(*mut f32, *const f32, usize, usize),
    two: unsafe fn(*mut f32, *const f32, *const f32, usize),
    group: unsafe fn(*mut f32, *const *const f32, usize),
}

macro_rules! kernels {
    ($isa:ident, $F:ident) => {{
        #[inline(always)]
        unsafe fn blocks<S: Simd>(dst: *mut f32, p: *const f32, blocks: usize, r: usize, inner: usize) {
            fold_blocks::<S, $F>(dst, p, blocks, r, inner);
        }
        #[inline(always)]
        unsafe fn rows<S: Simd>(dst: *mut f32, p: *const f32, rows: usize, r: usize) {
            fold_rows::<S, $F>(dst, p, rows, r);
        }
        #[inline(always)]
        unsafe fn two<S: Simd>(dst: *mut f32, a: *const f32, b: *const f32, n: usize) {
            two_at::<S, $F>(dst, a, b, n);
        }
        #[inline(always)]
        unsafe fn group<S: Simd>(acc: *mut f32, rows: *const *const f32, n: usize) {
            fold_group::<S, $F>(acc, rows, n);
        }
        crate::per_isa!(fn pick_blocks(dst: *mut f32, p: *const f32, b: usize, r: usize, inner: usize) = blocks);
        crate::per_isa!(fn pick_rows(dst: *mut f32, p: *const f32, n: usize, r: usize) = rows);
        crate::per_isa!(fn pick_two(dst: *mut f32, a: *const f32, b: *const f32, n: usize) = two);
        crate::per_isa!(fn pick_group(acc: *mut f32, rows: *const *const f32, n: usize) = group);
        Kernels {
            identity: $F::IDENTITY,
            blocks: pick_blocks($isa),
            rows: pick_rows($isa),
            two: pick_two($isa),
            group: pick_group($isa),
        }
    }};
}

fn kernels_of(kind: Reduce, isa: Isa) -> Kernels {
    match kind {
        Reduce::Sum | Reduce::Mean => kernels!(isa, Sum),
        Reduce::Prod => kernels!(isa, Prod),
        Reduce::Max => kernels!(isa, Max),
        Reduce::Min => kernels!(isa, Min),
        Reduce::SumI32 => kernels!(isa, SumI32),
        Reduce::MaxI32 => kernels!(isa, MaxI32),
        Reduce::MinI32 => kernels!(isa, MinI32),
    }
}

/// Reduces `src`, row-major `(outer, r, inner)`, over the middle axis into `dst`, `(outer, inner)`.
///
/// # Safety
/// `src` covers `outer * r * inner` values and `dst` is writable for `outer * inner`.
pub unsafe fn reduce(kind: Reduce, src: &dyn Source, outer: usize, r: usize, inner: usize, dst: *mut f32) {
    reduce_on(isa(), kind, src, outer, r, inner, dst);
}

/// [`reduce`] on a given instruction set, which the processor must have.
///
/// # Safety
/// As for [`reduce`].
pub unsafe fn reduce_on(
    isa: Isa,
    kind: Reduce,
    src: &dyn Source,
    outer: usize,
    r: usize,
    inner: usize,
    dst: *mut f32,
) {
    let kernels = kernels_of(kind, isa);
    let count = outer * inner;
    if count == 0 {
        return;
    }
    if r == 0 {
        let empty = if kind == Reduce::Mean { f32::NAN.to_bits() } else { kernels.identity };
        super::tile_ops::fill(isa)(dst, f32::from_bits(empty), count);
        return;
    }
    let work = Work { kernels, src, r, inner, outer };
    if r * inner <= TILE {
        work.small(Out(dst));
    } else if inner == 1 && r <= TILE * BLOCK {
        work.rows(Out(dst));
    } else {
        work.large(Out(dst));
    }
    if kind == Reduce::Mean {
        divide(isa)(dst, r as f32, count);
    }
}

crate::per_isa!(fn divide(dst: *mut f32, by: f32, n: usize) = divide_all);

#[inline(always)]
unsafe fn divide_all<S: Simd>(dst: *mut f32, by: f32, n: usize) {
    let by = S::splat(by);
    let mut i = 0;
    while i + LANES <= n {
        S::store(dst.add(i), S::div(S::load(dst.add(i)), by));
        i += LANES;
    }
    if i < n {
        S::store_n(dst.add(i), S::div(S::load_n(dst.add(i), n - i), by), n - i);
    }
}

// Runs `f` on ranges of `0..items`, each of at least INLINE elements.
fn split(items: usize, elements_each: usize, f: &(dyn Fn(usize, usize) + Sync)) {
    if items * elements_each <= INLINE {
        return f(0, items);
    }
    let elements = (items * elements_each / ITEMS).clamp(INLINE, LARGEST);
    let grain = (elements / elements_each.max(1)).max(1);
    pool::run_range(items, grain, &|range| f(range.start, range.end));
}

struct Work<'a> {
    kernels: Kernels,
    src: &'a dyn Source,
    outer: usize,
    r: usize,
    inner: usize,
}

impl Work<'_> {
    // Several whole blocks of `(r, inner)` fit in a tile.
    fn small(&self, dst: Out) {
        let block = self.r * self.inner;
        let per_tile = TILE / block;
        split(self.outer.div_ceil(per_tile), per_tile * block, &|from, to| {
            let mut tile = Tiles::<TILE>::new();
            for t in from..to {
                let start = t * per_tile;
                let blocks = per_tile.min(self.outer - start);
                // SAFETY: the blocks lie inside the source and the destination.
                unsafe {
                    let p = self.src.tile(start * block, blocks * block, tile.at(0));
                    (self.kernels.blocks)(dst.at(start * self.inner), p, blocks, self.r, self.inner);
                }
            }
        });
    }

    // A row is a few tiles: each to one value, and those to one.
    fn rows(&self, dst: Out) {
        let memory = self.src.memory().map(|p| Out(p.cast_mut()));
        split(self.outer, self.r, &|from, to| {
            if let Some(memory) = &memory {
                // SAFETY: the rows lie inside the source, which is only read, and have at most BLOCK
                // tiles; items write disjoint cells of `dst`.
                return unsafe {
                    (self.kernels.rows)(dst.at(from), memory.at(from * self.r), to - from, self.r)
                };
            }
            let (mut tile, mut parts) = (Tiles::<TILE>::new(), Tiles::<BLOCK>::new());
            for o in from..to {
                let mut count = 0;
                let mut k = 0;
                while k < self.r {
                    let n = TILE.min(self.r - k);
                    // SAFETY: the tile lies inside the source, and there are at most BLOCK of them.
                    unsafe {
                        let p = self.src.tile(o * self.r + k, n, tile.at(0));
                        (self.kernels.blocks)(parts.at(count), p, 1, n, 1);
                    }
                    count += 1;
                    k += n;
                }
                // SAFETY: `count` parts are written; items write disjoint cells of `dst`.
                unsafe { (self.kernels.blocks)(dst.at(o), parts.at(0), 1, count, 1) };
            }
        });
    }

    // A block is many tile rows: `q` rows of `inner` side by side, or a piece of one long row.
    fn large(&self, dst: Out) {
        let q = (TILE / self.inner).max(1);
        let width = (q * self.inner).min(TILE);
        let columns = if q > 1 { 1 } else { self.inner.div_ceil(TILE) };
        let pieces = self.r.div_ceil(q * BLOCK);
        let mut partial = scratch(if pieces > 1 { self.outer * pieces * self.inner } else { 0 });
        let out = if pieces > 1 { Out(partial.as_mut_ptr()) } else { dst };
        let items = self.outer * pieces * columns;
        split(items, width * BLOCK.min(self.r.div_ceil(q)), &|from, to| {
            for item in from..to {
                let (row, column) = (item / columns, (item % columns) * TILE);
                let (o, piece) = (row / pieces, row % pieces);
                let k = piece * q * BLOCK;
                let rows = (q * BLOCK).min(self.r - k);
                // SAFETY: the piece lies inside the source; items write disjoint ranges of `out`.
                unsafe {
                    self.piece(
                        (o * self.r + k) * self.inner + column,
                        rows,
                        q,
                        (self.inner - column).min(TILE),
                        out.at(row * self.inner + column),
                    )
                };
            }
        });
        if pieces > 1 {
            for o in 0..self.outer {
                // SAFETY: `partial` holds `pieces` rows for each outer index.
                unsafe { self.join(out.at(o * pieces * self.inner), pieces, dst.at(o * self.inner)) };
            }
        }
    }

    // `rows` rows of which `n` columns from `start` on, to `n` values at `out`.
    unsafe fn piece(&self, start: usize, rows: usize, q: usize, n: usize, out: *mut f32) {
        let mut tiles = Tiles::<{ GROUP * TILE }>::new();
        let mut acc = Tiles::<TILE>::new();
        let acc = acc.at(0);
        let width = q * n;
        for i in 0..width {
            acc.cast::<u32>().add(i).write(self.kernels.identity);
        }
        // With q > 1, n is the whole row, and tile rows are contiguous.
        let step = if q > 1 { width } else { self.inner };
        let whole = rows / q;
        let mut k = 0;
        while k + GROUP <= whole {
            let pointers: [*const f32; GROUP] =
                std::array::from_fn(|g| self.src.tile(start + (k + g) * step, width, tiles.at(g * TILE)));
            (self.kernels.group)(acc, pointers.as_ptr(), width);
            k += GROUP;
        }
        while k < whole {
            let p = self.src.tile(start + k * step, width, tiles.at(0));
            (self.kernels.two)(acc, acc, p, width);
            k += 1;
        }
        let rest = (rows - whole * q) * n;
        if rest > 0 {
            let p = self.src.tile(start + whole * step, rest, tiles.at(0));
            (self.kernels.two)(acc, acc, p, rest);
        }
        if n == 1 {
            return (self.kernels.blocks)(out, acc, 1, q, 1);
        }
        let mut q = q;
        while q > 1 {
            let half = q / 2;
            (self.kernels.two)(acc, acc, acc.add((q - half) * n), half * n);
            q -= half;
        }
        out.copy_from_nonoverlapping(acc, n);
    }

    // Pairs of neighbouring rows until one is left.
    unsafe fn join(&self, rows: *mut f32, mut count: usize, dst: *mut f32) {
        let n = self.inner;
        while count > 1 {
            for i in 0..count / 2 {
                (self.kernels.two)(rows.add(i * n), rows.add(2 * i * n), rows.add((2 * i + 1) * n), n);
            }
            if count % 2 == 1 {
                rows.add(count / 2 * n).copy_from(rows.add((count - 1) * n), n);
            }
            count = count.div_ceil(2);
        }
        dst.copy_from_nonoverlapping(rows, n);
    }
}

/// Positions of the largest (`MAX`) or smallest value along the middle axis of a row-major
/// `(outer, r, inner)` source, as `i32` `(outer, inner)`: the first on ties, and the first NaN where
/// there is one, as in NumPy. Writes 0 where `r` is 0.
///
/// # Safety
/// `src` covers `outer * r * inner` values and `dst` is writable for `outer * inner`.
pub unsafe fn arg_reduce<const MAX: bool>(
    src: &dyn Source,
    outer: usize,
    r: usize,
    inner: usize,
    dst: *mut i32,
) {
    arg_reduce_on::<MAX>(isa(), src, outer, r, inner, dst);
}

/// [`arg_reduce`] on a given instruction set, which the processor must have.
///
/// # Safety
/// As for [`arg_reduce`].
pub unsafe fn arg_reduce_on<const MAX: bool>(
    isa: Isa,
    src: &dyn Source,
    outer: usize,
    r: usize,
    inner: usize,
    dst: *mut i32,
) {
    let (row, column) = if MAX { (row_max(isa), column_max(isa)) } else { (row_min(isa), column_min(isa)) };
    let dst = Out(dst.cast());
    if inner == 1 && r > 0 {
        let rows = (TILE / r).max(1);
        return split(outer.div_ceil(rows), rows * r, &|from, to| {
            for t in from..to {
                let start = t * rows;
                // SAFETY: the rows lie inside the source; items write disjoint ranges of `dst`.
                unsafe { arg_rows(row, src, start, rows.min(outer - start), r, dst.at(start)) };
            }
        });
    }
    let columns = inner.div_ceil(TILE);
    split(outer * columns, r * inner.min(TILE), &|from, to| {
        for item in from..to {
            let (o, c) = (item / columns, (item % columns) * TILE);
            let n = (inner - c).min(TILE);
            let (mut best, mut tile) = (Tiles::<TILE>::new(), Tiles::<TILE>::new());
            let at = dst.at(o * inner + c);
            // SAFETY: as above.
            unsafe {
                at.write_bytes(0, n);
                for k in 0..r {
                    let p = src.tile((o * r + k) * inner + c, n, tile.at(0));
                    if k == 0 {
                        best.at(0).copy_from_nonoverlapping(p, n)
                    } else {
                        column(best.at(0), at, p, k, n)
                    }
                }
            }
        }
    });
}

// Rows short enough for one tile together, or one long row a tile at a time.
unsafe fn arg_rows(row: RowFn, src: &dyn Source, start: usize, rows: usize, r: usize, dst: *mut f32) {
    let mut tile = Tiles::<TILE>::new();
    if r <= TILE {
        let p = src.tile(start * r, rows * r, tile.at(0));
        for i in 0..rows {
            dst.cast::<i32>().add(i).write(row(p.add(i * r), r).1 as i32);
        }
        return;
    }
    let (mut best, mut at) = (0.0, 0);
    let mut k = 0;
    while k < r {
        let n = TILE.min(r - k);
        let (value, position) = row(src.tile(start * r + k, n, tile.at(0)), n);
        // The same rule on the tile's winner: `row` of the pair says which one comes first.
        if k == 0 || row([best, value].as_ptr(), 2).1 == 1 {
            (best, at) = (value, k + position);
        }
        k += n;
    }
    dst.cast::<i32>().write(at as i32);
}

type RowFn = unsafe fn(*const f32, usize) -> (f32, usize);

// True where `x` beats `best`; NaN beats all but NaN.
#[inline(always)]
unsafe fn beats<S: Simd, const MAX: bool>(x: S::F, best: S::F) -> S::M {
    let wins = if MAX { S::lt(best, x) } else { S::lt(x, best) };
    S::and_m(S::or_m(wins, S::is_nan(x)), S::not_m(S::is_nan(best)))
}

// The best of a row of `n >= 1` and its first position: the value first, then where it is.
#[inline(always)]
unsafe fn arg_row<S: Simd, const MAX: bool>(p: *const f32, n: usize) -> (f32, usize) {
    let best = f32::from_bits(if MAX { fold_row::<S, Max>(p, n) } else { fold_row::<S, Min>(p, n) });
    let wanted = S::splat(best);
    let mut i = 0;
    loop {
        let whole = i + LANES <= n;
        let x = if whole { S::load(p.add(i)) } else { S::load_n(p.add(i), n - i) };
        let hit = if best.is_nan() { S::is_nan(x) } else { S::eq(x, wanted) };
        let hit = if whole { hit } else { S::and_m(hit, first::<S>(n - i)) };
        if S::any(hit) || i + LANES >= n {
            let lane = S::select(hit, S::load(IOTA.as_ptr()), S::splat(LANES as f32));
            return (best, i + S::min_lane(lane) as usize);
        }
        i += LANES;
    }
}

// One more row `k` of `n` columns against the best so far.
#[inline(always)]
unsafe fn arg_column<S: Simd, const MAX: bool>(
    best: *mut f32,
    at: *mut f32,
    p: *const f32,
    k: usize,
    n: usize,
) {
    let position = S::from_bits(S::splat_i(k as i32));
    let mut i = 0;
    while i + LANES <= n {
        let (x, b) = (S::load(p.add(i)), S::load(best.add(i)));
        let m = beats::<S, MAX>(x, b);
        S::store(best.add(i), S::select(m, x, b));
        S::store(at.add(i), S::select(m, position, S::load(at.add(i))));
        i += LANES;
    }
    if i < n {
        let k = n - i;
        let (x, b) = (S::load_n(p.add(i), k), S::load_n(best.add(i), k));
        let m = beats::<S, MAX>(x, b);
        S::store_n(best.add(i), S::select(m, x, b), k);
        S::store_n(at.add(i), S::select(m, position, S::load_n(at.add(i), k)), k);
    }
}

macro_rules! arg_kernels {
    ($row:ident $column:ident $max:literal) => {
        fn $row(isa: Isa) -> RowFn {
            #[inline(always)]
            unsafe fn kernel<S: Simd>(p: *const f32, n: usize) -> (f32, usize) {
                arg_row::<S, $max>(p, n)
            }
            crate::per_isa!(fn pick(p: *const f32, n: usize) -> (f32, usize) = kernel);
            pick(isa)
        }
        fn $column(isa: Isa) -> unsafe fn(*mut f32, *mut f32, *const f32, usize, usize) {
            #[inline(always)]
            unsafe fn kernel<S: Simd>(best: *mut f32, at: *mut f32, p: *const f32, k: usize, n: usize) {
                arg_column::<S, $max>(best, at, p, k, n);
            }
            crate::per_isa!(fn pick(best: *mut f32, at: *mut f32, p: *const f32, k: usize, n: usize) = kernel);
            pick(isa)
        }
    };
}
arg_kernels!(row_max column_max true);
arg_kernels!(row_min column_min false);
