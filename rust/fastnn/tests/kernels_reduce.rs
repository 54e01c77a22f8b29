//! Reductions against f64, on every instruction set, from memory and from computed tiles.

use fastnn::kernels::reduce::{Memory, Reduce, arg_reduce_on, reduce_on};
use fastnn::kernels::{Source, TILE};
use fastnn::pool;
use fastnn::simd::Isa;

const SHAPES: [(usize, usize, usize); 26] = [
    (1, 1, 1),
    (1, 7, 1),
    (5, 16, 1),
    (37, 10, 1),
    (300, 3, 1),
    (4, 100, 1),
    (3, 512, 1),
    (3, 513, 1),
    (2, 5000, 1),
    (1, 200_003, 1),
    (40, 700, 1),
    (1, 9, 10),
    (6, 4, 64),
    (1, 1000, 10),
    (1, 70_001, 3),
    (2, 33, 257),
    (1, 64, 512),
    (1, 65, 513),
    (3, 1, 100),
    (1, 300, 1100),
    (2, 200, 100),
    (1, 129, 256),
    (17, 5, 40),
    (1, 600, 300),
    (1, 1, 5000),
    (9, 2, 2),
];

fn values(n: usize) -> Vec<f32> {
    let mut state = 1u32;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 0.5
        })
        .collect()
}

// The values of a slice, written tile by tile.
struct Computed<'a>(&'a [f32]);

impl Source for Computed<'_> {
    unsafe fn tile(&self, start: usize, len: usize, scratch: *mut f32) -> *const f32 {
        assert!(len <= TILE && start + len <= self.0.len());
        scratch.copy_from_nonoverlapping(self.0.as_ptr().add(start), len);
        scratch
    }
}

fn run(isa: Isa, kind: Reduce, x: &[f32], (outer, r, inner): (usize, usize, usize)) -> Vec<f32> {
    let mut y = vec![f32::NAN; outer * inner + 1];
    y[outer * inner] = 77.0;
    let mut z = y.clone();
    // SAFETY: `x` holds outer * r * inner values, `y` and `z` outer * inner.
    unsafe {
        reduce_on(isa, kind, &Memory(x.as_ptr()), outer, r, inner, y.as_mut_ptr());
        reduce_on(isa, kind, &Computed(x), outer, r, inner, z.as_mut_ptr());
    }
    assert_eq!(y.pop(), Some(77.0), "wrote past the end");
    z.pop();
    assert!(y.iter().zip(&z).all(|(a, b)| a.to_bits() == b.to_bits()), "memory and computed tiles differ");
    y
}

fn column(x: &[f32], (_, r, inner): (usize, usize, usize), i: usize) -> Vec<f64> {
    let (o, c) = (i / inner, i % inner);
    (0..r).map(|k| f64::from(x[(o * r + k) * inner + c])).collect()
}

#[test]
fn test_sums_and_means_have_a_logarithmic_error() {
    for shape in SHAPES {
        let (outer, r, inner) = shape;
        let x = values(outer * r * inner);
        for isa in Isa::available() {
            let (sum, mean) = (run(isa, Reduce::Sum, &x, shape), run(isa, Reduce::Mean, &x, shape));
            for i in 0..outer * inner {
                let column = column(&x, shape, i);
                let want: f64 = column.iter().sum();
                let bound = 40.0 * 2f64.powi(-24) * column.iter().map(|x| x.abs()).sum::<f64>();
                assert!(
                    (f64::from(sum[i]) - want).abs() <= bound,
                    "{shape:?} {}: {} want {want}",
                    isa.name(),
                    sum[i]
                );
                assert_eq!(mean[i], sum[i] / r as f32);
            }
        }
    }
    // A million ones plus a small bias: a running f32 sum would be off by hundreds.
    let x = vec![1.1f32; 1 << 20];
    let sum = run(Isa::available()[0], Reduce::Sum, &x, (1, 1 << 20, 1))[0];
    assert!((f64::from(sum) / (f64::from(1.1f32) * f64::from(1 << 20)) - 1.0).abs() < 5e-7, "{sum}");
}

#[test]
fn test_extremes_and_products_are_exact() {
    for shape in SHAPES {
        let (outer, r, inner) = shape;
        let x = values(outer * r * inner);
        for isa in Isa::available() {
            let (max, min) = (run(isa, Reduce::Max, &x, shape), run(isa, Reduce::Min, &x, shape));
            let signs: Vec<f32> = x.iter().map(|&x| if x < 0.0 { -1.0 } else { 1.0 }).collect();
            let product = run(isa, Reduce::Prod, &signs, shape);
            for i in 0..outer * inner {
                let c = column(&x, shape, i);
                assert_eq!(
                    f64::from(max[i]),
                    c.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    "{shape:?}"
                );
                assert_eq!(f64::from(min[i]), c.iter().copied().fold(f64::INFINITY, f64::min), "{shape:?}");
                assert_eq!(
                    f64::from(product[i]),
                    column(&signs, shape, i).iter().product::<f64>(),
                    "{shape:?}"
                );
            }
        }
    }
}

#[test]
fn test_one_nan_reaches_max_and_min_and_wins_arg_max() {
    for shape in SHAPES {
        let (outer, r, inner) = shape;
        let mut x = values(outer * r * inner);
        let k = r / 2;
        x[k * inner] = f32::NAN;
        for isa in Isa::available() {
            for kind in [Reduce::Max, Reduce::Min, Reduce::Sum, Reduce::Prod] {
                let y = run(isa, kind, &x, shape);
                assert!(y[0].is_nan(), "{kind:?} {shape:?} {}", isa.name());
                assert!(y[1..].iter().all(|y| !y.is_nan()));
            }
            assert_eq!(arg::<true>(isa, &x, shape)[0], k as i32, "{shape:?}");
            assert_eq!(arg::<false>(isa, &x, shape)[0], k as i32, "{shape:?}");
        }
    }
}

fn arg<const MAX: bool>(isa: Isa, x: &[f32], (outer, r, inner): (usize, usize, usize)) -> Vec<i32> {
    let mut y = vec![-1; outer * inner + 1];
    // SAFETY: as in `run`.
    unsafe { arg_reduce_on::<MAX>(isa, &Computed(x), outer, r, inner, y.as_mut_ptr()) };
    assert_eq!(y.pop(), Some(-1), "wrote past the end");
    y
}

#[test]
fn test_arg_max_and_arg_min_take_the_first_of_ties() {
    for shape in SHAPES {
        let (outer, r, inner) = shape;
        // Few distinct values, so ties are everywhere.
        let x: Vec<f32> = values(outer * r * inner).iter().map(|x| (x * 8.0).round()).collect();
        for isa in Isa::available() {
            let (max, min) = (arg::<true>(isa, &x, shape), arg::<false>(isa, &x, shape));
            for i in 0..outer * inner {
                let c = column(&x, shape, i);
                let best = |f: fn(f64, f64) -> bool| (0..r).fold(0, |b, k| if f(c[k], c[b]) { k } else { b });
                assert_eq!(max[i] as usize, best(|a, b| a > b), "{shape:?} {}", isa.name());
                assert_eq!(min[i] as usize, best(|a, b| a < b), "{shape:?} {}", isa.name());
            }
            // All equal to the identity: still the first.
            let flat = vec![f32::NEG_INFINITY; outer * r * inner];
            assert!(arg::<true>(isa, &flat, shape).iter().all(|&k| k == 0));
        }
    }
}

#[test]
fn test_integer_reductions_are_exact_and_wrap() {
    for shape in SHAPES {
        let (outer, r, inner) = shape;
        let ints: Vec<i32> = values(outer * r * inner).iter().map(|x| (x * 4e9) as i32).collect();
        let x: Vec<f32> = ints.iter().map(|&i| f32::from_bits(i as u32)).collect();
        for isa in Isa::available() {
            let get = |kind| run(isa, kind, &x, shape).iter().map(|y| y.to_bits() as i32).collect::<Vec<_>>();
            let (sum, max, min) = (get(Reduce::SumI32), get(Reduce::MaxI32), get(Reduce::MinI32));
            for i in 0..outer * inner {
                let c: Vec<i32> = (0..r).map(|k| ints[(i / inner * r + k) * inner + i % inner]).collect();
                assert_eq!(sum[i], c.iter().fold(0, |a: i32, &b| a.wrapping_add(b)), "{shape:?}");
                assert_eq!(Some(&max[i]), c.iter().max());
                assert_eq!(Some(&min[i]), c.iter().min());
            }
        }
    }
}

#[test]
fn test_nothing_reduces_to_the_identity() {
    for isa in Isa::available() {
        let of = |kind| run(isa, kind, &[], (2, 0, 3));
        assert_eq!(of(Reduce::Sum), [0.0; 6]);
        assert_eq!(of(Reduce::Prod), [1.0; 6]);
        assert_eq!(of(Reduce::Max), [f32::NEG_INFINITY; 6]);
        assert_eq!(of(Reduce::Min), [f32::INFINITY; 6]);
        assert!(of(Reduce::Mean).iter().all(|y| y.is_nan()));
        assert!(run(isa, Reduce::Sum, &[], (0, 4, 3)).is_empty());
    }
}

#[test]
fn test_reductions_are_bitwise_independent_of_threads_and_fused_sets_agree() {
    for shape in SHAPES {
        let x = values(shape.0 * shape.1 * shape.2);
        let mut seen: Vec<Vec<u32>> = Vec::new();
        for isa in Isa::available().into_iter().filter(|&i| i != Isa::Portable) {
            for threads in [1, 2, 5] {
                pool::set_threads(threads);
                seen.push(run(isa, Reduce::Sum, &x, shape).iter().map(|y| y.to_bits()).collect());
            }
        }
        pool::set_threads(2);
        assert!(seen.iter().all(|s| *s == seen[0]), "{shape:?}");
    }
}
