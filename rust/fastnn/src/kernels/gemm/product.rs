//! F2. Batched matrix products as a maker of blocks: which product of the batch reads what, how many
//! go to one thread, and in which bands of rows the blocks come.

use super::bf16::{Arithmetic, arithmetic, gemm_bf16, gemm_bf16_packed};
use super::{Gemm, Grid, Matrix, Micro, gemm, gemm_packed, slab};
use crate::kernels::{Blocked, Epilogue, Finishing};
use crate::pool;
use crate::shape::{DType, Shape};
use crate::simd::isa;

/// Multiply-adds, twice: a product below the first is not worth all threads, a batch below the
/// second not worth a fork.
const SMALL: usize = 4_000_000;
const SHARE: usize = 400_000;

/// `C = A B` over the last two axes, leading axes broadcast; an operand may be given transposed.
#[derive(Debug)]
pub struct Product {
    m: usize,
    n: usize,
    k: usize,
    transposed: [bool; 2],
    /// What b is stored as.
    b_type: DType,
    /// Whether operands are rounded to bfloat16 where that is faster.
    bf16: bool,
    /// Offsets of each product in a and b; one entry when there is no batch.
    batch: Vec<(usize, usize)>,
    band: usize,
}

impl Product {
    /// The product of `a` (f32) and `b`, which may be of a storage type, both of two axes at least, whose result has the shape `out`.
    #[must_use]
    pub fn new(a: &Shape, (b, b_type): (&Shape, DType), out: &Shape, transposed: [bool; 2]) -> Product {
        let (mut m, k) = last_two(a, transposed[0]);
        let n = last_two(b, transposed[1]).1;
        let lone = b.sizes()[..b.rank() - 2].iter().all(|&d| d == 1) && !transposed[0];
        let batch = if lone {
            // One B for the whole batch: the batch is more rows.
            m = a.count().checked_div(k).unwrap_or_else(|| a.sizes()[..a.rank() - 1].iter().product());
            vec![(0, 0)]
        } else {
            batch_offsets(a, b, out)
        };
        Product { m, n, k, transposed, b_type, bf16: false, batch, band: band(m, n, k) }
    }

    /// The same, of operands that are rounded to bfloat16 where that is faster.
    #[must_use]
    pub fn rounded(self, bf16: bool) -> Product {
        // The measurement is made here, when a program is compiled, and not in its first run.
        Product { bf16: bf16 && arithmetic() != Arithmetic::Float32, ..self }
    }

    unsafe fn one(&self, item: usize, args: &[*const u8], c: *mut f32, end: &Finishing<'_>) {
        let (a, b) = self.batch[item];
        let matrix = |side: usize, offset: usize, rows: usize, cols: usize| {
            let size = if side == 1 { self.b_type.size() } else { 4 };
            let ptr = args[side].wrapping_add(offset * size).cast::<f32>();
            if self.transposed[side] {
                Matrix { ptr, rs: 1, cs: rows }
            } else {
                Matrix { ptr, rs: cols, cs: 1 }
            }
        };
        let job = Gemm {
            m: self.m,
            n: self.n,
            k: self.k,
            a: matrix(0, a, self.m, self.k),
            b: matrix(1, b, self.k, self.n),
            b_type: self.b_type,
            c: if c.is_null() { c } else { c.wrapping_add(item * self.m * self.n) },
            ldc: self.n,
            bias: end.bias,
            scale: end.scale,
            relu: end.relu,
            accumulate: false,
        };
        let gemm = if self.bf16 { gemm_bf16 } else { gemm };
        match end.epilogue {
            Some(inner) => gemm(&job, Some(&Below { inner, row: item * self.m })),
            None => gemm(&job, None),
        }
    }
}

impl Blocked for Product {
    fn rows(&self) -> usize {
        self.m * self.batch.len()
    }

    fn cols(&self) -> usize {
        self.n
    }

    fn bands(&self) -> usize {
        self.m.div_ceil(self.band) * self.batch.len()
    }

    fn band(&self, row: usize) -> usize {
        let item = row / self.m.max(1);
        item * self.m.div_ceil(self.band) + (row - item * self.m) / self.band
    }

    fn scales(&self) -> bool {
        self.m > 1 && self.n > 1
    }

    unsafe fn run(&self, args: &[*const u8], c: *mut f32, end: &Finishing<'_>) {
        // Many small products: one chunk each. A few large ones: each splits itself.
        let items = self.batch.len();
        let flops = 2 * self.m * self.n * self.k;
        if items > 1 && flops < SMALL && flops * items > SHARE {
            let per = (SHARE / flops.max(1)).clamp(1, items);
            let call = Call { product: self, args, c, end };
            pool::run_range(items, per, &|range| {
                for item in range {
                    call.one(item);
                }
            });
        } else {
            (0..items).for_each(|item| self.one(item, args, c, end));
        }
    }
}

struct Call<'a> {
    product: &'a Product,
    args: &'a [*const u8],
    c: *mut f32,
    end: &'a Finishing<'a>,
}

// SAFETY: operands are only read, and the products of a batch write disjoint memory.
unsafe impl Sync for Call<'_> {}

impl Call<'_> {
    fn one(&self, item: usize) {
        // SAFETY: the caller of `run` vouches for every product of the batch.
        unsafe { self.product.one(item, self.args, self.c, self.end) };
    }
}

/// Columns of the widest panel; packed matrices are padded to whole ones on every processor.
pub const PANEL: usize = 64;
/// Below this many elements a B is packed faster than a packed copy is looked up.
const LOOKED_UP: usize = 32 << 10;

/// From here on a row-major B is read faster in panels by a single row of A: it does not stay in L2.
pub(super) const STREAMED: usize = 1 << 18;

/// Is a B of `k x n` worth keeping packed for products with `m` rows? Yes where [`gemm`] would pack
/// it anyway, and where panels are read faster than rows.
#[must_use]
pub fn is_packed(m: usize, n: usize, k: usize, transposed: bool) -> bool {
    (m >= 2 || m == 1 && !transposed && k * n >= STREAMED)
        && k * n > LOOKED_UP
        && (transposed || n > super::narrow(Micro::of(isa())))
}

/// `C = A B` with a packed B; all axes of A but the last are rows.
#[derive(Debug)]
pub struct Packed {
    m: usize,
    n: usize,
    k: usize,
    /// Whether the panels hold pairs of bfloat16.
    pairs: bool,
    band: usize,
}

impl Packed {
    /// The product of `a` with the panels of a matrix of `n` columns, of floats or of pairs.
    #[must_use]
    pub fn new(a: &Shape, n: usize, pairs: bool) -> Packed {
        let sizes = a.sizes();
        let (rows, k) = sizes.split_at(a.rank() - 1);
        let (m, k) = (rows.iter().product(), k[0]);
        Packed { m, n, k, pairs, band: band(m, n, k) }
    }
}

impl Blocked for Packed {
    fn rows(&self) -> usize {
        self.m
    }

    fn cols(&self) -> usize {
        self.n
    }

    fn bands(&self) -> usize {
        self.m.div_ceil(self.band)
    }

    fn band(&self, row: usize) -> usize {
        row / self.band
    }

    fn scales(&self) -> bool {
        true
    }

    unsafe fn run(&self, args: &[*const u8], c: *mut f32, end: &Finishing<'_>) {
        let a = Matrix::row_major(args[0].cast(), self.k);
        let job = Gemm {
            m: self.m,
            n: self.n,
            k: self.k,
            a,
            b: a,
            b_type: DType::F32,
            c,
            ldc: self.n,
            bias: end.bias,
            scale: end.scale,
            relu: end.relu,
            accumulate: false,
        };
        let product = if self.pairs { gemm_bf16_packed } else { gemm_packed };
        product(&job, args[1].cast(), end.epilogue);
    }
}

/// An epilogue whose rows begin further down.
pub(super) struct Below<'a> {
    pub(super) inner: &'a dyn Epilogue,
    pub(super) row: usize,
}

impl Epilogue for Below<'_> {
    unsafe fn apply(&self, row: usize, rows: usize, col: usize, cols: usize, c: *mut f32, ldc: usize) {
        self.inner.apply(self.row + row, rows, col, cols, c, ldc);
    }
}

/// Rows such that no two blocks of one product, one below the other, begin in the same band: no
/// cut of the product is finer.
pub(super) fn band(m: usize, n: usize, k: usize) -> usize {
    let micro = Micro::of(isa());
    let slab = slab(m, k, micro);
    let widths = [n, n.min(slab), if n > slab { n % slab } else { n }];
    let cuts = [Grid::new, Grid::far, Grid::whole_rows, Grid::columns];
    let cut = |n: usize| cuts.iter().map(|cut| cut(m, n, k, micro).rows).min().unwrap_or(1);
    let least = widths.into_iter().filter(|&n| n > 0).map(cut).min().unwrap_or(1);
    // A single column is cut in multiples of a cache line's worth of rows.
    if n == 1 { least.clamp(1, 64) } else { least.max(1) }
}

fn last_two(shape: &Shape, transposed: bool) -> (usize, usize) {
    let sizes = shape.sizes();
    let d = &sizes[shape.rank() - 2..];
    if transposed { (d[1], d[0]) } else { (d[0], d[1]) }
}

/// Element offsets of each product of a broadcast batch.
fn batch_offsets(a: &Shape, b: &Shape, out: &Shape) -> Vec<(usize, usize)> {
    let lead = out.rank() - 2;
    let steps = |s: &Shape| -> Vec<usize> {
        let (sizes, strides) = (s.sizes(), s.strides());
        let pad = out.rank() - s.rank();
        (0..lead).map(|i| if i < pad || sizes[i - pad] == 1 { 0 } else { strides[i - pad] }).collect()
    };
    let (sa, sb) = (steps(a), steps(b));
    let sizes = out.sizes();
    let count: usize = sizes[..lead].iter().product();
    (0..count)
        .map(|mut item| {
            let (mut x, mut y) = (0, 0);
            for axis in (0..lead).rev() {
                let i = item % sizes[axis];
                item /= sizes[axis];
                x += i * sa[axis];
                y += i * sb[axis];
            }
            (x, y)
        })
        .collect()
}
