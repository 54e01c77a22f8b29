//! Matrix products against f64 loops, on every instruction set of this machine: error bounds,
//! edges of memory, rounding independent of threads, NaN, epilogues, batches, segments.
#![cfg(target_os = "linux")]

use fastnn::kernels::gemm::bf16::{Arithmetic, gemm_bf16_on, gemm_bf16_packed, is_native, pack_all_pairs};
use fastnn::kernels::gemm::tile::{Micro, Output, Segment, Tile};
use fastnn::kernels::gemm::{Gemm, KC, Matrix, Strides, gemm_batched, gemm_on, gemm_packed, pack_all};
use fastnn::kernels::stored;
use fastnn::kernels::{Epilogue, Scale};
use fastnn::pool;
use fastnn::shape::DType;
use fastnn::simd::Isa;
use std::ptr;
use std::sync::Mutex;

const PAGE: usize = 4096;

/// Floats between two pages that may not be touched.
struct Fenced {
    base: *mut u8,
    bytes: usize,
}

impl Fenced {
    fn new(floats: usize) -> Fenced {
        let bytes = (floats * 4).next_multiple_of(PAGE).max(PAGE);
        // SAFETY: fresh anonymous pages; the outer two lose their access rights.
        unsafe {
            let none = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let base = libc::mmap(ptr::null_mut(), bytes + 2 * PAGE, libc::PROT_NONE, none, -1, 0);
            assert_ne!(base, libc::MAP_FAILED);
            let base = base.cast::<u8>();
            assert_eq!(libc::mprotect(base.add(PAGE).cast(), bytes, libc::PROT_READ | libc::PROT_WRITE), 0);
            Fenced { base, bytes }
        }
    }

    /// Room for `len` floats that touches the page after (or before) the region.
    fn room(&self, len: usize, at_end: bool) -> *mut f32 {
        assert!(len * 4 <= self.bytes);
        let skip = if at_end { self.bytes - 4 * len } else { 0 };
        // SAFETY: inside the accessible region.
        unsafe { self.base.add(PAGE + skip).cast() }
    }

    fn put(&self, values: &[f32], at_end: bool) -> *mut f32 {
        let p = self.room(values.len(), at_end);
        // SAFETY: `room` has space for all values.
        unsafe { ptr::copy_nonoverlapping(values.as_ptr(), p, values.len()) };
        p
    }
}

impl Drop for Fenced {
    fn drop(&mut self) {
        // SAFETY: the region that `new` mapped.
        unsafe { libc::munmap(self.base.cast(), self.bytes + 2 * PAGE) };
    }
}

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut s = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            (s >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// The exact sums and the sums of magnitudes, row-major.
fn reference(a: &[f32], b: &[f32], m: usize, n: usize, k: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut sum, mut abs) = (vec![0.0; m * n], vec![0.0; m * n]);
    for i in 0..m {
        for p in 0..k {
            let x = f64::from(a[i * k + p]);
            for j in 0..n {
                let y = x * f64::from(b[p * n + j]);
                sum[i * n + j] += y;
                abs[i * n + j] += y.abs();
            }
        }
    }
    (sum, abs)
}

fn part(v: &[f32], ld: usize, rows: usize, cols: usize) -> Vec<f32> {
    (0..rows).flat_map(|i| v[i * ld..i * ld + cols].to_vec()).collect()
}

fn turned(v: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..cols).flat_map(|j| (0..rows).map(move |i| v[i * cols + j])).collect()
}

/// Widths around one, two and four vectors, and a ragged last panel.
fn widths() -> Vec<usize> {
    (1..=17).chain(31..=33).chain(63..=66).chain([100]).collect()
}

struct Arena {
    a: Fenced,
    b: Fenced,
    c: Fenced,
    bias: Fenced,
    factors: Fenced,
    summands: Fenced,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    isa: Isa,
    m: usize,
    n: usize,
    k: usize,
    ta: bool,
    tb: bool,
    /// Bias, scale, relu, and the old C together with floats between its rows.
    bias: bool,
    scaled: bool,
    relu: bool,
    accumulate: bool,
    gap: usize,
    at_end: bool,
}

const GUARD: f32 = 12345.5;

fn check(case: Case, arena: &Arena, a: &[f32], b: &[f32], exact: impl Fn(usize, usize) -> (f64, f64)) {
    let Case { m, n, k, .. } = case;
    let (av, bv) = (
        if case.ta { turned(a, m, k) } else { a.to_vec() },
        if case.tb { turned(b, k, n) } else { b.to_vec() },
    );
    let a_rows = Matrix::row_major(arena.a.put(&av, case.at_end), if case.ta { m } else { k });
    let b_rows = Matrix::row_major(arena.b.put(&bv, case.at_end), if case.tb { k } else { n });
    let (bias, factors, summands) = (random(n, 77), random(n, 78), random(n, 79));
    let ldc = n + case.gap;
    let before = if case.accumulate { 0.5 } else { f32::NAN };
    let mut fill = vec![GUARD; (m - 1) * ldc + n];
    for i in 0..m {
        fill[i * ldc..i * ldc + n].fill(before);
    }
    let c = arena.c.put(&fill, case.at_end);
    let g = Gemm {
        m,
        n,
        k,
        a: if case.ta { a_rows.transposed() } else { a_rows },
        b: if case.tb { b_rows.transposed() } else { b_rows },
        b_type: DType::F32,
        c,
        ldc,
        bias: if case.bias { arena.bias.put(&bias, case.at_end) } else { ptr::null() },
        scale: if case.scaled {
            Scale {
                factors: arena.factors.put(&factors, case.at_end),
                summands: arena.summands.put(&summands, case.at_end),
            }
        } else {
            Scale::NONE
        },
        relu: case.relu,
        accumulate: case.accumulate,
    };
    // SAFETY: the operands were laid out above as `g` states.
    let got = unsafe {
        gemm_on(case.isa, &g, None);
        std::slice::from_raw_parts(c, fill.len())
    };
    for i in 0..m {
        for j in 0..n {
            let (mut want, mut scale) = exact(i, j);
            if case.accumulate {
                want += 0.5;
                scale += 0.5;
            }
            if case.bias {
                want += f64::from(bias[j]);
                scale += f64::from(bias[j].abs());
            }
            if case.scaled {
                want = want * f64::from(factors[j]) + f64::from(summands[j]);
                scale = scale * f64::from(factors[j].abs()) + f64::from(summands[j].abs());
            }
            if case.relu {
                want = want.max(0.0);
            }
            let bound = (k + 5) as f64 * 2f64.powi(-24) * scale;
            let y = f64::from(got[i * ldc + j]);
            assert!((y - want).abs() <= bound, "{case:?} ({i}, {j}): {y} against {want} +- {bound}");
        }
        if i + 1 < m {
            assert!(
                got[i * ldc + n..(i + 1) * ldc].iter().all(|&x| x == GUARD),
                "{case:?}: guard after row {i}"
            );
        }
    }
}

fn sweep_shapes(isa: Isa) {
    let (mm, nn) = (13, 100);
    for k in [0, 1, 2, 7, KC - 1, KC, KC + 1] {
        let (a, b) = (random(mm * k, 1), random(k * nn, 2));
        let (sum, abs) = reference(&a, &b, mm, nn, k);
        let arena = Arena {
            a: Fenced::new(mm * k),
            b: Fenced::new(k * nn),
            c: Fenced::new(mm * (nn + 3)),
            bias: Fenced::new(nn),
            factors: Fenced::new(nn),
            summands: Fenced::new(nn),
        };
        for m in 1..=mm {
            for n in widths() {
                let bn = part(&b, nn, k, n);
                for layout in 0..4 {
                    let turn = m + n + layout;
                    let case = Case {
                        isa,
                        m,
                        n,
                        k,
                        ta: layout & 1 != 0,
                        tb: layout & 2 != 0,
                        bias: turn % 2 == 0,
                        scaled: turn % 3 < 2,
                        relu: turn % 3 == 0,
                        accumulate: turn % 5 == 0,
                        gap: if turn % 4 == 0 { 3 } else { 0 },
                        at_end: turn % 7 != 0,
                    };
                    check(case, &arena, &a[..m * k], &bn, |i, j| (sum[i * nn + j], abs[i * nn + j]));
                }
            }
        }
    }
}

#[test]
fn products_are_within_the_error_bound_and_inside_their_memory_avx512() {
    for isa in Isa::available().into_iter().filter(|&i| i == Isa::Avx512) {
        sweep_shapes(isa);
    }
}

#[test]
fn products_are_within_the_error_bound_and_inside_their_memory_avx2() {
    for isa in Isa::available().into_iter().filter(|&i| i == Isa::Avx2) {
        sweep_shapes(isa);
    }
}

#[test]
fn products_are_within_the_error_bound_and_inside_their_memory_portable() {
    sweep_shapes(Isa::Portable);
}

/// Shapes that take the packed paths, wide rows of B, slabs of columns, several blocks, long vectors.
#[test]
fn large_and_long_products_are_within_the_error_bound() {
    let packed = [(150, 600, 70), (97, 513, 33), (60, 1100, 5), (600, 300, 70), (97, 1030, 4100)];
    let in_place = [(20, 1100, 30), (700, 20, 9), (20, 70, 1500)];
    let vectors = [(1, 5000, 40), (1, 30, 3000), (3000, 1, 30), (40, 1, 3000)];
    for (m, n, k) in packed.into_iter().chain(in_place).chain(vectors) {
        let (a, b) = (random(m * k, 3), random(k * n, 4));
        let (sum, abs) = reference(&a, &b, m, n, k);
        let arena = Arena {
            a: Fenced::new(m * k),
            b: Fenced::new(k * n),
            c: Fenced::new(m * (n + 3)),
            bias: Fenced::new(n),
            factors: Fenced::new(n),
            summands: Fenced::new(n),
        };
        for isa in Isa::available() {
            for layout in 0..4 {
                let (ta, tb) = (layout & 1 != 0, layout & 2 != 0);
                for accumulate in [false, true] {
                    let gap = if accumulate { 3 } else { 0 };
                    let (bias, scaled, relu) = (!ta, ta == accumulate, tb);
                    let case =
                        Case { isa, m, n, k, ta, tb, bias, scaled, relu, accumulate, gap, at_end: true };
                    check(case, &arena, &a, &b, |i, j| (sum[i * n + j], abs[i * n + j]));
                }
            }
        }
    }
}

fn plain(a: &[f32], b: &[f32], c: &mut [f32], m: usize, n: usize, k: usize) -> Gemm {
    Gemm {
        m,
        n,
        k,
        a: Matrix::row_major(a.as_ptr(), k),
        b: Matrix::row_major(b.as_ptr(), n),
        b_type: DType::F32,
        c: c.as_mut_ptr(),
        ldc: n,
        bias: ptr::null(),
        scale: Scale::NONE,
        relu: false,
        accumulate: false,
    }
}

#[test]
fn the_number_of_threads_never_changes_a_bit() {
    for (m, n, k) in [(200, 300, 600), (128, 700, 64), (1, 4000, 2000), (3000, 1, 1500), (33, 10, 9000)] {
        let (a, b) = (random(m * k, 5), random(k * n, 6));
        for isa in Isa::available() {
            let mut first: Option<Vec<u32>> = None;
            for threads in [1, 2, 3] {
                pool::set_threads(threads);
                let mut c = vec![f32::NAN; m * n];
                // SAFETY: all extents are those of the vectors.
                unsafe { gemm_on(isa, &plain(&a, &b, &mut c, m, n, k), None) };
                let bits: Vec<u32> = c.iter().map(|x| x.to_bits()).collect();
                assert_eq!(
                    first.get_or_insert_with(|| bits.clone()),
                    &bits,
                    "{isa:?} {threads} threads {m} {n} {k}"
                );
            }
        }
    }
}

#[test]
fn avx2_and_avx512_agree_bit_for_bit() {
    let (m, n, k) = (37, 130, 700);
    let (a, b) = (random(m * k, 5), random(k * n, 6));
    let results: Vec<Vec<f32>> = Isa::available()
        .into_iter()
        .filter(|&i| i != Isa::Portable)
        .map(|isa| {
            let mut c = vec![f32::NAN; m * n];
            // SAFETY: all extents are those of the vectors.
            unsafe { gemm_on(isa, &plain(&a, &b, &mut c, m, n, k), None) };
            c
        })
        .collect();
    for r in &results {
        assert_eq!(r, &results[0]);
    }
}

#[test]
fn nan_and_infinity_reach_exactly_their_rows_and_columns() {
    for isa in Isa::available() {
        for (m, n, k) in [(7, 21, 40), (1, 21, 40), (7, 1, 40), (60, 600, 40)] {
            for bad in [f32::NAN, f32::INFINITY] {
                let (mut a, b) = (vec![1.0; m * k], random(k * n, 8));
                a[(m - 1) * k + 3] = bad;
                let mut c = vec![0.0; m * n];
                let g = Gemm { relu: true, ..plain(&a, &b, &mut c, m, n, k) };
                // SAFETY: all extents are those of the vectors.
                unsafe { gemm_on(isa, &g, None) };
                for i in 0..m {
                    for j in 0..n {
                        let y = c[i * n + j];
                        if i == m - 1 {
                            let want = bad * b[3 * n + j];
                            assert!(
                                if want.is_nan() { y.is_nan() } else { y == want.max(0.0) },
                                "{isa:?} {i} {j}: {y}"
                            );
                        } else {
                            assert!(y.is_finite(), "{isa:?} {i} {j}: {y}");
                        }
                    }
                }
            }
        }
    }
}

/// Collects the blocks that an epilogue sees.
struct Collect {
    n: usize,
    seen: Mutex<Vec<f32>>,
}

impl Epilogue for Collect {
    unsafe fn apply(&self, row: usize, rows: usize, col: usize, cols: usize, c: *mut f32, ldc: usize) {
        let mut seen = self.seen.lock().unwrap();
        for i in 0..rows {
            for j in 0..cols {
                let cell = &mut seen[(row + i) * self.n + col + j];
                assert!(cell.is_nan(), "every element comes once");
                *cell = c.add(i * ldc + j).read();
                c.add(i * ldc + j).write(-1.0);
            }
        }
    }
}

#[test]
fn an_epilogue_sees_every_finished_element_once_with_or_without_c() {
    let shapes = [
        (150, 600, 70),
        (784, 128, 32),
        (5, 3, 0),
        (1, 3000, 600),
        (3000, 1, 40),
        (1, 50, 700),
        (40, 1100, 9),
    ];
    for (m, n, k) in shapes {
        let (a, b) = (random(m * k, 5), random(k * n, 6));
        let bias = random(n, 7);
        for isa in Isa::available() {
            let mut want = vec![f32::NAN; m * n];
            let g = Gemm { bias: bias.as_ptr(), relu: true, ..plain(&a, &b, &mut want, m, n, k) };
            // SAFETY: all extents are those of the vectors; the null C comes with an epilogue.
            unsafe {
                gemm_on(isa, &g, None);
                for stored in [false, true] {
                    let mut c = vec![f32::NAN; m * n];
                    let collect = Collect { n, seen: Mutex::new(vec![f32::NAN; m * n]) };
                    let target = if stored { c.as_mut_ptr() } else { ptr::null_mut() };
                    gemm_on(isa, &Gemm { c: target, ..g }, Some(&collect));
                    assert_eq!(collect.seen.into_inner().unwrap(), want, "{isa:?} {m} {n} {k}");
                    if stored {
                        assert!(c.iter().all(|&x| x == -1.0), "the epilogue works on C itself");
                    }
                }
            }
        }
    }
}

#[test]
fn batches_match_single_products_and_repeat_operands() {
    let (batch, m, n, k) = (6, 9, 33, 20);
    let (a, b) = (random(batch * m * k, 5), random(batch * k * n, 6));
    for (sa, sb) in [(m * k, k * n), (0, k * n), (m * k, 0), (0, 0)] {
        let mut c = vec![f32::NAN; batch * m * n];
        let collect = Collect { n, seen: Mutex::new(vec![f32::NAN; batch * m * n]) };
        // SAFETY: all extents are those of the vectors.
        unsafe {
            let g = plain(&a, &b, &mut c, m, n, k);
            gemm_batched(batch, Strides { a: sa, b: sb, c: m * n }, &g, None);
            gemm_batched(
                batch,
                Strides { a: sa, b: sb, c: 0 },
                &Gemm { c: ptr::null_mut(), ..g },
                Some(&collect),
            );
        }
        assert_eq!(collect.seen.into_inner().unwrap(), c);
        for i in 0..batch {
            let mut one = vec![f32::NAN; m * n];
            // SAFETY: the slices below hold whole operands.
            unsafe {
                fastnn::kernels::gemm::gemm(&plain(&a[i * sa..], &b[i * sb..], &mut one, m, n, k), None)
            };
            assert_eq!(one, c[i * m * n..(i + 1) * m * n], "strides {sa} {sb}, product {i}");
        }
    }
}

#[test]
fn segments_with_scattered_rows_add_up_in_one_tile() {
    for isa in Isa::available() {
        let micro = Micro::of(isa);
        for rows in 1..=micro.mr {
            for cols in [1, 15, 16, micro.nr - 1, micro.nr] {
                let (k0, k1) = (19, 8);
                let pixels = random(40 * k0, 1);
                let strided = random(k1 * 11, 2);
                let (b0, b1) = (random(k0 * cols, 3), random(k1 * cols, 4));
                // Rows in no order, one of them twice; the second segment steps through columns.
                let first: Vec<*const f32> =
                    (0..rows).map(|i| pixels[(i * 17 % 5) * 7 * k0..].as_ptr()).collect();
                let second: Vec<*const f32> = (0..rows).map(|i| strided[10 - i..].as_ptr()).collect();
                let segments = [
                    Segment { rows: first.as_ptr(), a_step: 1, b: b0.as_ptr(), b_step: cols, k: k0 },
                    Segment { rows: second.as_ptr(), a_step: 11, b: b1.as_ptr(), b_step: cols, k: k1 },
                ];
                let mut c = vec![f32::NAN; rows * cols];
                let out = Output {
                    c: c.as_mut_ptr(),
                    ldc: cols,
                    bias: ptr::null(),
                    scale: Scale::NONE,
                    relu: false,
                    accumulate: false,
                };
                // SAFETY: pointers and steps stay inside the vectors above.
                unsafe { micro.run(&Tile { segments: &segments, rows, cols, padded: false, out }) };
                for i in 0..rows {
                    for j in 0..cols {
                        let at = (i * 17 % 5) * 7 * k0;
                        let one = (0..k0).map(|p| f64::from(pixels[at + p]) * f64::from(b0[p * cols + j]));
                        let two = (0..k1)
                            .map(|p| f64::from(strided[10 - i + p * 11]) * f64::from(b1[p * cols + j]));
                        let want: f64 = one.chain(two).sum();
                        assert!(
                            (f64::from(c[i * cols + j]) - want).abs() < 1e-5,
                            "{isa:?} {rows}x{cols} ({i}, {j})"
                        );
                    }
                }
            }
        }
    }
}

/// A prediction of one sample reads large weights packed, in any number of slices of K.
#[test]
fn a_single_row_has_the_same_bits_with_packed_weights() {
    for (k, n) in [(3, 70), (KC, 64), (KC + 1, 130), (3 * KC - 1, 257), (2048, 1200)] {
        let (x, w, bias) = (random(k, 3), random(k * n, 4), random(n, 5));
        let (mut plain, mut packed) = (vec![0.0f32; n], vec![0.0f32; n]);
        let mut panels = vec![0.0f32; k * n.next_multiple_of(64)];
        let job = |c: *mut f32| Gemm {
            m: 1,
            n,
            k,
            a: Matrix::row_major(x.as_ptr(), k),
            b: Matrix::row_major(w.as_ptr(), n),
            b_type: DType::F32,
            c,
            ldc: n,
            bias: bias.as_ptr(),
            scale: Scale::NONE,
            relu: true,
            accumulate: false,
        };
        // SAFETY: the vectors above have these extents; panels are rounded up to the widest.
        unsafe {
            gemm_on(fastnn::simd::isa(), &job(plain.as_mut_ptr()), None);
            pack_all(fastnn::simd::isa(), w.as_ptr(), false, k, n, panels.as_mut_ptr());
            gemm_packed(&job(packed.as_mut_ptr()), panels.as_ptr(), None);
        }
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&plain), bits(&packed), "{k} terms, {n} columns");
    }
}

/// The ways in which this machine computes a product of bfloat16.
fn bf16_ways() -> Vec<(Isa, Arithmetic)> {
    let emulated = Isa::available().into_iter().map(|isa| (isa, Arithmetic::Emulated));
    let native = Isa::available().into_iter().filter(|&isa| is_native(isa));
    emulated.chain(native.map(|isa| (isa, Arithmetic::Native))).collect()
}

fn bf16_rounded(v: &[f32]) -> Vec<f32> {
    v.iter().map(|&x| stored::rounded(f64::from(x), DType::BF16) as f32).collect()
}

/// Every layout and ragged edges between pages that may not be touched; panels of B both packed by
/// blocks (few rows) and beforehand (many), one and several slices of K.
#[test]
fn bf16_products_are_those_of_rounded_operands() {
    let shapes = [(1, 1, 1), (5, 3, 2), (17, 33, 1), (6, 64, 16), (7, 65, 31), (16, 16, 33), (97, 130, 65)];
    let shapes = shapes.into_iter().chain([(300, 70, 47), (258, 129, 2 * KC + 3), (13, 64, 4 * KC + 1)]);
    for (m, n, k) in shapes {
        let arena = Arena {
            a: Fenced::new(m * k),
            b: Fenced::new(k * n),
            c: Fenced::new(m * (n + 3)),
            bias: Fenced::new(n),
            factors: Fenced::new(n),
            summands: Fenced::new(n),
        };
        let (a, b, bias) = (random(m * k, 1), random(k * n, 2), random(n, 3));
        let (sum, abs) = reference(&bf16_rounded(&a), &bf16_rounded(&b), m, n, k);
        for (way, (isa, arithmetic)) in bf16_ways().into_iter().enumerate() {
            for flags in 0..4 {
                let (ta, tb, at_end, more) = (flags & 1 > 0, flags & 2 > 0, flags < 2, (flags + way) % 2 > 0);
                let av = if ta { turned(&a, m, k) } else { a.clone() };
                let bv = if tb { turned(&b, k, n) } else { b.clone() };
                let a_rows = Matrix::row_major(arena.a.put(&av, at_end), if ta { m } else { k });
                let b_rows = Matrix::row_major(arena.b.put(&bv, at_end), if tb { k } else { n });
                let ldc = n + if more { 3 } else { 0 };
                let c = arena.c.put(&vec![0.5; (m - 1) * ldc + n], at_end);
                let g = Gemm {
                    m,
                    n,
                    k,
                    a: if ta { a_rows.transposed() } else { a_rows },
                    b: if tb { b_rows.transposed() } else { b_rows },
                    b_type: DType::F32,
                    c,
                    ldc,
                    bias: if more { arena.bias.put(&bias, at_end) } else { ptr::null() },
                    scale: Scale::NONE,
                    relu: more,
                    accumulate: more,
                };
                // SAFETY: the operands were laid out above as `g` states.
                let got = unsafe {
                    gemm_bf16_on(isa, arithmetic, &g, None);
                    std::slice::from_raw_parts(c, (m - 1) * ldc + n)
                };
                for i in 0..m * n {
                    let (row, col) = (i / n, i % n);
                    let own = f64::from(bias[col]);
                    let exact = if more { (sum[i] + 0.5 + own).max(0.0) } else { sum[i] };
                    let scale = abs[i] + if more { 0.5 + own.abs() } else { 0.0 };
                    let y = f64::from(got[row * ldc + col]);
                    let bound = (k + 4) as f64 * 2f64.powi(-23) * scale;
                    let what = (isa.name(), arithmetic.name(), m, n, k, ta, tb);
                    assert!((y - exact).abs() <= bound, "{what:?} ({row}, {col}): {y} against {exact}");
                }
                if more {
                    let gaps = (0..m - 1).flat_map(|i| &got[i * ldc + n..(i + 1) * ldc]);
                    assert!(gaps.into_iter().all(|&x| x == 0.5), "written past a row");
                }
            }
        }
    }
}

#[test]
fn bf16_products_keep_nan_and_infinities() {
    let (m, n, k) = (20, 70, 37);
    let (mut a, mut b) = (vec![1.0f32; m * k], vec![1.0f32; k * n]);
    a[3 * k + 36] = f32::NAN;
    a[5 * k + 1] = f32::INFINITY;
    a[6 * k + 2] = -f32::INFINITY;
    a[7 * k + 3] = f32::from_bits(0x7f80_0001); // a signalling NaN, whose bits all go when cut off
    b[36 * n + 69] = f32::MAX; // rounds up to infinity
    for (isa, arithmetic) in bf16_ways() {
        let mut c = vec![0.0f32; m * n];
        // SAFETY: the operands are the vectors above.
        unsafe { gemm_bf16_on(isa, arithmetic, &plain(&a, &b, &mut c, m, n, k), None) };
        let what = (isa.name(), arithmetic.name());
        for j in 0..n {
            let at = |i: usize| c[i * n + j];
            let rest = if j == 69 { f32::INFINITY } else { k as f32 };
            assert!(at(3).is_nan() && at(7).is_nan(), "{what:?}: NaN was lost");
            assert_eq!(at(5), f32::INFINITY, "{what:?}");
            assert!(if j == 69 { at(6).is_nan() } else { at(6) == -f32::INFINITY }, "{what:?}");
            assert_eq!(at(0), rest, "{what:?}");
        }
    }
}

#[test]
fn bf16_products_have_the_same_bits_for_any_threads_packed_or_not_whole_or_by_blocks() {
    for (isa, arithmetic) in bf16_ways().into_iter().filter(|&(_, way)| way == Arithmetic::Native) {
        for (m, n, k) in [(20, 200, 70), (200, 300, 520), (400, 700, 1100), (130, 520, 1101)] {
            let (a, b) = (random(m * k, 5), random(k * n, 6));
            // The last two go slice by slice where A is transposed.
            let turned: Vec<f32> = (0..k * m).map(|i| a[i % m * k + i / m]).collect();
            let (bias, old) = (random(n, 7), random(m * n, 8));
            let mut first = vec![0.0f32; m * n];
            // SAFETY: the operands are the vectors above.
            unsafe { gemm_bf16_on(isa, arithmetic, &plain(&a, &b, &mut first, m, n, k), None) };
            for threads in [1, 2, 5] {
                pool::set_threads(threads);
                let (mut c, mut packed) = (vec![0.0f32; m * n], vec![0.0f32; m * n]);
                let mut panels = vec![0.0f32; k.div_ceil(2) * n.next_multiple_of(64)];
                let collect = Collect { n, seen: Mutex::new(vec![f32::NAN; m * n]) };
                // SAFETY: as above; panels are rounded up to the widest.
                unsafe {
                    gemm_bf16_on(isa, arithmetic, &plain(&a, &b, &mut c, m, n, k), None);
                    pack_all_pairs(b.as_ptr(), false, k, n, panels.as_mut_ptr());
                    gemm_bf16_packed(&plain(&a, &b, &mut packed, m, n, k), panels.as_ptr(), None);
                    let null = Gemm { c: ptr::null_mut(), ..plain(&a, &b, &mut c, m, n, k) };
                    gemm_bf16_on(isa, arithmetic, &null, Some(&collect));
                }
                let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&c), bits(&first), "{threads} threads");
                assert_eq!(bits(&packed), bits(&first), "packed, {threads} threads");
                assert_eq!(bits(&collect.seen.lock().unwrap()), bits(&first), "by blocks, {threads} threads");

                let columns = Matrix { ptr: turned.as_ptr(), rs: 1, cs: m };
                let collect = Collect { n, seen: Mutex::new(vec![f32::NAN; m * n]) };
                let (mut more, mut again) = (old.clone(), old.clone());
                // SAFETY: as above; `turned` is A, read as its transpose.
                unsafe {
                    let whole = plain(&turned, &b, &mut c, m, n, k);
                    gemm_bf16_on(isa, arithmetic, &Gemm { a: columns, ..whole }, None);
                    gemm_bf16_on(
                        isa,
                        arithmetic,
                        &Gemm { a: columns, c: ptr::null_mut(), ..whole },
                        Some(&collect),
                    );
                    let end = |g: Gemm| Gemm { bias: bias.as_ptr(), relu: true, accumulate: true, ..g };
                    let row_major = plain(&a, &b, &mut more, m, n, k);
                    gemm_bf16_on(isa, arithmetic, &end(row_major), None);
                    let g = Gemm { a: columns, ..plain(&turned, &b, &mut again, m, n, k) };
                    gemm_bf16_on(isa, arithmetic, &end(g), None);
                }
                assert_eq!(bits(&c), bits(&first), "A transposed, {threads} threads");
                assert_eq!(bits(&again), bits(&more), "A transposed, with bias, {threads} threads");
                let seen = collect.seen.lock().unwrap();
                assert_eq!(bits(&seen), bits(&first), "A transposed, by blocks, {threads} threads");
            }
        }
    }
}
