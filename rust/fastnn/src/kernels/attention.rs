//! F2. Attention without its matrix of weights: queries meet keys in blocks, the softmax is taken as
//! it goes (Milakov and Gimelshein 2018; Dao et al. 2022), and of the weights only the logarithm of
//! each row's sum is kept, from which the backward pass computes them again. Blocks of keys that no
//! query of a task may see are skipped, and a tile of queries stops at the last key it may see.
//!
//! Heads lie beside each other in a step, `(batch, steps, heads, width)`, and are read through row
//! pointers. Several heads of queries may share a head of keys. Tasks follow from the sizes alone,
//! and the sums of an element have one order.

// Index loops over arrays of vectors unroll and stay in registers; iterators would obscure that.
#![allow(clippy::needless_range_loop)]

mod back;
mod there;

pub use back::{Grads, attention_grad};
pub use there::attention;

use super::Scale;
use super::gemm::Matrix;
use super::gemm::pack::{Pack, pack};
use super::gemm::tile::{MAX_ROWS, Micro, Output, Segment, Tile};
use super::random::{Key, uniform_on};
use super::softmax::first;
use crate::shape::DType;
use crate::simd::{Isa, LANES, Simd};
use std::ptr;

/// A float operand of four axes, each whole or of size 1: floats from element to element along
/// each, 0 where there is one for all.
#[derive(Debug, Clone, Copy)]
pub struct Wide {
    /// The first element.
    pub ptr: *const f32,
    /// Along batch, heads, queries and keys.
    pub strides: [usize; 4],
}

impl Wide {
    fn row(&self, batch: usize, head: usize, query: usize) -> *const f32 {
        let [b, h, q, _] = self.strides;
        self.ptr.wrapping_add(batch * b + head * h + query * q)
    }
}

/// Whole numbers, one per row of the batch or one for all.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// The first.
    pub ptr: *const i32,
    /// One for all.
    pub lone: bool,
}

impl Counts {
    unsafe fn of(&self, batch: usize) -> i64 {
        i64::from(*self.ptr.add(if self.lone { 0 } else { batch }))
    }
}

/// Which weights are dropped: those whose uniform number is below `rate`; the rest is multiplied by
/// `scale`.
#[derive(Debug, Clone, Copy)]
pub struct Dropped {
    /// The stream, one number per element of `(batch, heads, queries, keys)`.
    pub key: Key,
    /// The share.
    pub rate: f32,
    /// Of what is kept.
    pub scale: f32,
}

/// A call.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    /// Rows of the batch.
    pub batch: usize,
    /// Queries of each.
    pub queries: usize,
    /// Keys and values of each.
    pub keys: usize,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub groups: usize,
    /// Numbers of a query and a key.
    pub width: usize,
    /// Numbers of a value.
    pub value_width: usize,
    /// What products of queries and keys are multiplied by.
    pub scale: f32,
    /// A query sees no key beyond its own place.
    pub causal: bool,
    /// `batch x queries x heads x width`.
    pub q: *const f32,
    /// `batch x keys x groups x width`.
    pub k: *const f32,
    /// `batch x keys x groups x value_width`.
    pub v: *const f32,
    /// Added to the scaled products.
    pub bias: Option<Wide>,
    /// Truth values: a query sees no key where it is false.
    pub mask: Option<Wide>,
    /// Keys from here on are not seen.
    pub lengths: Counts,
    /// The place of the first query among the keys, for `causal`.
    pub start: Counts,
    /// Dropout of the weights.
    pub dropped: Option<Dropped>,
}

impl Attention {
    /// Floats from one query to the next of the same head.
    fn q_step(&self) -> usize {
        self.heads * self.width
    }
    fn k_step(&self) -> usize {
        self.groups * self.width
    }
    fn v_step(&self) -> usize {
        self.groups * self.value_width
    }
    fn out_step(&self) -> usize {
        self.heads * self.value_width
    }
    fn q_at(&self, batch: usize, query: usize, head: usize) -> usize {
        (batch * self.queries + query) * self.q_step() + head * self.width
    }
    fn k_at(&self, batch: usize, key: usize, group: usize) -> usize {
        (batch * self.keys + key) * self.k_step() + group * self.width
    }
    fn v_at(&self, batch: usize, key: usize, group: usize) -> usize {
        (batch * self.keys + key) * self.v_step() + group * self.value_width
    }
    fn out_at(&self, batch: usize, query: usize, head: usize) -> usize {
        (batch * self.queries + query) * self.out_step() + head * self.value_width
    }
    fn group_of(&self, head: usize) -> usize {
        head / (self.heads / self.groups)
    }

    /// How many keys query `query` may see, from the first one on.
    unsafe fn seen(&self, batch: usize, query: usize) -> usize {
        let mut seen = (self.keys as i64).min(self.lengths.of(batch));
        if self.causal {
            seen = seen.min(self.start.of(batch) + query as i64 + 1);
        }
        seen.max(0) as usize
    }
}

/// A block of keys of a head, as the micro-kernel reads it: transposed, in panels.
unsafe fn pack_keys(
    isa: Isa,
    micro: &Micro,
    from: *const f32,
    step: usize,
    width: usize,
    keys: usize,
    dst: *mut f32,
) {
    let src = Matrix { ptr: from, rs: 1, cs: step };
    pack(isa)(&Pack { src, dtype: DType::F32, k: width, cols: keys, nr: micro.nr, dst });
}

/// Rows of a tile of which row `i` begins at `from + i * step`.
fn rows_at(from: *const f32, step: usize, count: usize) -> [*const f32; MAX_ROWS] {
    let mut rows = [ptr::null(); MAX_ROWS];
    for (i, row) in rows.iter_mut().enumerate().take(count) {
        *row = from.wrapping_add(i * step);
    }
    rows
}

/// A product of a tile of rows with a matrix.
struct Part<'a> {
    rows: &'a [*const f32],
    /// Floats from term to term of a row.
    a_step: usize,
    b: *const f32,
    /// Floats from row to row of the matrix; panels lie back to back where `packed`.
    b_step: usize,
    packed: bool,
    k: usize,
    cols: usize,
    c: *mut f32,
    ldc: usize,
    accumulate: bool,
}

impl Part<'_> {
    unsafe fn run(&self, micro: &Micro) {
        for col in (0..self.cols).step_by(micro.nr) {
            let b = if self.packed { self.b.add(col * self.k) } else { self.b.add(col) };
            let segment = Segment {
                rows: self.rows.as_ptr(),
                a_step: self.a_step,
                b,
                b_step: if self.packed { micro.nr } else { self.b_step },
                k: self.k,
            };
            micro.run(&Tile {
                segments: &[segment],
                rows: self.rows.len(),
                cols: micro.nr.min(self.cols - col),
                padded: self.packed,
                out: Output {
                    c: self.c.wrapping_add(col),
                    ldc: self.ldc,
                    bias: ptr::null(),
                    scale: Scale::NONE,
                    relu: false,
                    accumulate: self.accumulate,
                },
            });
        }
    }
}

/// Scores of up to sixteen keys from `key` on: scaled, biased, and -inf where a key is not seen.
#[inline(always)]
unsafe fn score<S: Simd>(call: &Attention, at: [usize; 3], key: usize, n: usize, raw: *const f32) -> S::F {
    let hidden = S::splat(f32::NEG_INFINITY);
    if n == 0 {
        return hidden;
    }
    let mut x = S::mul(S::load(raw), S::splat(call.scale));
    if let Some(bias) = &call.bias {
        x = S::add(x, beside::<S>(bias, at, key, n));
    }
    if let Some(mask) = &call.mask {
        x = S::select(S::eq(beside::<S>(mask, at, key, n), S::splat(0.0)), hidden, x);
    }
    if n == LANES { x } else { S::select(first::<S>(n), x, hidden) }
}

#[inline(always)]
unsafe fn beside<S: Simd>(x: &Wide, [batch, head, query]: [usize; 3], key: usize, n: usize) -> S::F {
    let row = x.row(batch, head, query);
    match x.strides[3] {
        0 => S::splat(*row),
        _ if n == LANES => S::load(row.add(key)),
        _ => S::load_n(row.add(key), n),
    }
}

/// What the weights of `n` keys from `key` on are multiplied by, written at `dst`.
unsafe fn kept(isa: Isa, call: &Attention, at: [usize; 3], key: usize, n: usize, dst: *mut f32) {
    let Some(drop) = &call.dropped else { return };
    let [batch, head, query] = at;
    let row = (batch * call.heads + head) * call.queries + query;
    uniform_on(isa, dst, row as u64 * call.keys as u64 + key as u64, n, drop.key);
    for i in 0..n {
        let u = dst.add(i);
        *u = if *u >= drop.rate { drop.scale } else { 0.0 };
    }
}
