//! F2. Copies of B in panels: panel `j` holds columns `j*nr .. (j+1)*nr` row after row, padded with
//! zeros to whole vectors. A transposed B goes through 16 x 16 register transposes. May use
//! `simd` only.

use super::Matrix;
use crate::kernels::stored::{Element, with_element};
use crate::per_isa;
use crate::shape::DType;
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{LANES, Portable, Simd};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// What to pack: `cols` columns of a `k`-row matrix that begins at `src`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pack {
    pub(crate) src: Matrix,
    /// What its elements are; see `Gemm::b_type`.
    pub(crate) dtype: DType,
    pub(crate) k: usize,
    pub(crate) cols: usize,
    /// Panel width.
    pub(crate) nr: usize,
    /// `k * nr` floats for every panel.
    pub(crate) dst: *mut f32,
}

per_isa!(
    /// Packs panels.
    pub(crate) fn pack(p: &Pack) = pack_generic
);

#[inline(always)]
unsafe fn pack_generic<S: Transpose>(p: &Pack) {
    if p.dtype.is_stored() {
        return with_element!(p.dtype, pack_as::<S, _>(p));
    }
    // A row-major B is read along its rows, a transposed one along its columns.
    if p.src.cs == 1 {
        for row in (0..p.k).step_by(ROWS) {
            let rows = ROWS.min(p.k - row);
            for col in (0..p.cols).step_by(p.nr) {
                let cols = p.nr.min(p.cols - col);
                copy::<S>(p.src.at(row, col), p.src.rs, rows, cols, p.dst.add(col * p.k + row * p.nr), p.nr);
            }
        }
    } else {
        for col in (0..p.cols).step_by(LANES) {
            for row in (0..p.k).step_by(LANES) {
                square::<S>(p, row, col);
            }
        }
    }
}

/// Packs elements of a storage type, widened.
#[inline(always)]
unsafe fn pack_as<S: Transpose, E: Element>(p: &Pack) {
    let base = p.src.ptr.cast::<u8>();
    let read = |at: usize, n: usize| {
        let from = base.add(at * E::SIZE);
        if n == LANES { E::value::<S>(from) } else { E::value_n::<S>(from, n) }
    };
    for row in (0..p.k).step_by(LANES) {
        for col in (0..p.cols).step_by(LANES) {
            let (rows, cols) = (LANES.min(p.k - row), LANES.min(p.cols - col));
            let dst = p.dst.add(col / p.nr * p.nr * p.k + row * p.nr + col % p.nr);
            let at = row * p.src.rs + col * p.src.cs;
            if p.src.cs == 1 {
                for i in 0..rows {
                    S::store(dst.add(i * p.nr), read(at + i * p.src.rs, cols));
                }
                continue;
            }
            let mut v = [S::splat(0.0); LANES];
            for (j, v) in v.iter_mut().enumerate().take(cols) {
                *v = read(at + j * p.src.cs, rows);
            }
            S::transpose(&mut v);
            for (i, &v) in v.iter().enumerate().take(rows) {
                S::store(dst.add(i * p.nr), v);
            }
        }
    }
}

/// Packs up to 16 x 16 elements.
#[inline(always)]
unsafe fn square<S: Transpose>(p: &Pack, row: usize, col: usize) {
    let (rows, cols) = (LANES.min(p.k - row), LANES.min(p.cols - col));
    let (panel, part) = (col / p.nr * p.nr, col % p.nr);
    let dst = p.dst.add(panel * p.k + row * p.nr + part);
    let src = p.src.at(row, col);
    if p.src.rs == 1 {
        turn::<S>(src, p.src.cs, rows, cols, dst, p.nr);
    } else {
        gather(src, p.src, rows, cols, dst, p.nr);
    }
}

/// Rows of a row-major B that are read side by side: few streams for the hardware to follow, and runs
/// of whole pages to write.
const ROWS: usize = 4;

/// Part of one panel.
#[inline(always)]
unsafe fn copy<S: Simd>(src: *const f32, ld: usize, rows: usize, cols: usize, dst: *mut f32, nr: usize) {
    for i in 0..rows {
        let (from, to) = (src.add(i * ld), dst.add(i * nr));
        let mut col = 0;
        while col + LANES <= cols {
            S::store(to.add(col), S::load(from.add(col)));
            col += LANES;
        }
        if col < cols {
            S::store(to.add(col), S::load_n(from.add(col), cols - col));
        }
    }
}

/// `dst[i][j] = src[j][i]`, `rows` of i and `cols` of j.
#[inline(always)]
unsafe fn turn<S: Transpose>(src: *const f32, ld: usize, rows: usize, cols: usize, dst: *mut f32, nr: usize) {
    let mut v = [S::splat(0.0); LANES];
    if rows == LANES && cols == LANES {
        for j in 0..LANES {
            v[j] = S::load(src.add(j * ld));
        }
        S::transpose(&mut v);
        for i in 0..LANES {
            S::store(dst.add(i * nr), v[i]);
        }
        return;
    }
    for (j, v) in v.iter_mut().enumerate().take(cols) {
        *v = if rows == LANES { S::load(src.add(j * ld)) } else { S::load_n(src.add(j * ld), rows) };
    }
    S::transpose(&mut v);
    for (i, &v) in v.iter().enumerate().take(rows) {
        S::store(dst.add(i * nr), v);
    }
}

unsafe fn gather(src: *const f32, m: Matrix, rows: usize, cols: usize, dst: *mut f32, nr: usize) {
    for i in 0..rows {
        for j in 0..LANES {
            dst.add(i * nr + j).write(if j < cols { src.add(i * m.rs + j * m.cs).read() } else { 0.0 });
        }
    }
}

/// Sixteen vectors as a square matrix, transposed in registers.
pub(crate) trait Transpose: Simd {
    unsafe fn transpose(v: &mut [Self::F; LANES]);
}

impl Transpose for Portable {
    #[inline(always)]
    unsafe fn transpose(v: &mut [Self::F; LANES]) {
        for i in 0..LANES {
            for j in 0..i {
                let t = v[i][j];
                v[i][j] = v[j][i];
                v[j][i] = t;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Transpose for Avx512 {
    #[inline(always)]
    unsafe fn transpose(v: &mut [Self::F; LANES]) {
        // 4 x 4 blocks inside the 128-bit lanes, then the lanes themselves.
        for q in 0..4 {
            let r = 4 * q;
            let (a, b) = (_mm512_unpacklo_ps(v[r], v[r + 1]), _mm512_unpackhi_ps(v[r], v[r + 1]));
            let (c, d) = (_mm512_unpacklo_ps(v[r + 2], v[r + 3]), _mm512_unpackhi_ps(v[r + 2], v[r + 3]));
            v[r] = _mm512_shuffle_ps::<0x44>(a, c);
            v[r + 1] = _mm512_shuffle_ps::<0xee>(a, c);
            v[r + 2] = _mm512_shuffle_ps::<0x44>(b, d);
            v[r + 3] = _mm512_shuffle_ps::<0xee>(b, d);
        }
        for i in 0..4 {
            let (a, b) =
                (_mm512_shuffle_f32x4::<0x88>(v[i], v[i + 4]), _mm512_shuffle_f32x4::<0xdd>(v[i], v[i + 4]));
            let (c, d) = (
                _mm512_shuffle_f32x4::<0x88>(v[i + 8], v[i + 12]),
                _mm512_shuffle_f32x4::<0xdd>(v[i + 8], v[i + 12]),
            );
            v[i] = _mm512_shuffle_f32x4::<0x88>(a, c);
            v[i + 4] = _mm512_shuffle_f32x4::<0x88>(b, d);
            v[i + 8] = _mm512_shuffle_f32x4::<0xdd>(a, c);
            v[i + 12] = _mm512_shuffle_f32x4::<0xdd>(b, d);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn transpose8(v: &mut [__m256; 8]) {
    for q in 0..2 {
        let r = 4 * q;
        let (a, b) = (_mm256_unpacklo_ps(v[r], v[r + 1]), _mm256_unpackhi_ps(v[r], v[r + 1]));
        let (c, d) = (_mm256_unpacklo_ps(v[r + 2], v[r + 3]), _mm256_unpackhi_ps(v[r + 2], v[r + 3]));
        v[r] = _mm256_shuffle_ps::<0x44>(a, c);
        v[r + 1] = _mm256_shuffle_ps::<0xee>(a, c);
        v[r + 2] = _mm256_shuffle_ps::<0x44>(b, d);
        v[r + 3] = _mm256_shuffle_ps::<0xee>(b, d);
    }
    for i in 0..4 {
        let (low, high) = (v[i], v[i + 4]);
        v[i] = _mm256_permute2f128_ps::<0x20>(low, high);
        v[i + 4] = _mm256_permute2f128_ps::<0x31>(low, high);
    }
}

#[cfg(target_arch = "x86_64")]
impl Transpose for Avx2 {
    #[inline(always)]
    unsafe fn transpose(v: &mut [Self::F; LANES]) {
        let zero = _mm256_setzero_ps();
        let mut blocks = [[zero; 8]; 4];
        for i in 0..8 {
            (blocks[0][i], blocks[1][i]) = (v[i].0, v[i].1);
            (blocks[2][i], blocks[3][i]) = (v[i + 8].0, v[i + 8].1);
        }
        for b in &mut blocks {
            transpose8(b);
        }
        for i in 0..8 {
            (v[i].0, v[i].1) = (blocks[0][i], blocks[2][i]);
            (v[i + 8].0, v[i + 8].1) = (blocks[1][i], blocks[3][i]);
        }
    }
}
