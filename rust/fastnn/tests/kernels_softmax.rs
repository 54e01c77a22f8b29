//! Row kernels against f64, in and out of place, on every instruction set and thread count.

use fastnn::kernels::softmax::{
    Moments, log_softmax_on, log_sum_exp_on, normalise_on, softmax_on, sparse_cross_entropy_on,
};
use fastnn::pool;
use fastnn::simd::Isa;

const WIDTHS: [usize; 22] =
    [1, 2, 10, 15, 16, 17, 31, 32, 33, 48, 50, 63, 64, 65, 79, 80, 100, 127, 128, 129, 1000, 1031];

fn values(n: usize, scale: f32) -> Vec<f32> {
    let mut state = 3u32;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / 8_388_608.0 - 1.0) * scale
        })
        .collect()
}

fn run(x: &[f32], out: usize, f: impl Fn(*const f32, *mut f32)) -> Vec<f32> {
    let mut y = vec![f32::NAN; out + 1];
    y[out] = 77.0;
    f(x.as_ptr(), y.as_mut_ptr());
    assert_eq!(y.pop(), Some(77.0), "wrote past the end");
    y
}

fn close(got: f32, want: f64, relative: f64, absolute: f64) -> bool {
    (f64::from(got) - want).abs() <= relative * want.abs() + absolute
}

fn log_sum(row: &[f32]) -> f64 {
    let m = row.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(f64::from(b)));
    m + row.iter().map(|&x| (f64::from(x) - m).exp()).sum::<f64>().ln()
}

#[test]
fn test_softmax_family_matches_f64_for_ordinary_and_extreme_logits() {
    for n in WIDTHS {
        for scale in [3.0, 1e4] {
            let rows = 9;
            let x = values(rows * n, scale);
            let labels: Vec<i32> = (0..rows)
                .map(|r| {
                    if r == 4 {
                        n as i32
                    } else if r == 5 {
                        -1
                    } else {
                        ((r * 7) % n) as i32
                    }
                })
                .collect();
            for isa in Isa::available() {
                // SAFETY: every buffer holds what the kernels ask for.
                let soft = run(&x, rows * n, |x, y| unsafe { softmax_on(isa, x, y, rows, n) });
                // SAFETY: as above.
                let logs = run(&x, rows * n, |x, y| unsafe { log_softmax_on(isa, x, y, rows, n) });
                // SAFETY: as above.
                let sums = run(&x, rows, |x, y| unsafe { log_sum_exp_on(isa, x, y, rows, n) });
                // SAFETY: as above.
                let loss = run(&x, rows, |x, y| unsafe {
                    sparse_cross_entropy_on(isa, x, labels.as_ptr(), y, rows, n)
                });
                let mut place = x.clone();
                // SAFETY: as above; in place is allowed.
                unsafe { softmax_on(isa, place.as_ptr(), place.as_mut_ptr(), rows, n) };
                assert_eq!(place, soft);
                for r in 0..rows {
                    let row = &x[r * n..(r + 1) * n];
                    let total = log_sum(row);
                    assert!(close(sums[r], total, 3e-7, 3e-7), "{n} {}", isa.name());
                    if labels[r] < 0 || labels[r] as usize >= n {
                        assert!(loss[r].is_nan());
                    } else {
                        assert!(close(
                            loss[r],
                            total - f64::from(row[labels[r] as usize]),
                            3e-7,
                            4e-7 * f64::from(scale)
                        ));
                    }
                    for c in 0..n {
                        let want = f64::from(row[c]) - total;
                        assert!(
                            close(logs[r * n + c], want, 3e-7, 3e-7 * f64::from(scale)),
                            "{n} {scale} {}",
                            isa.name()
                        );
                        assert!(
                            close(soft[r * n + c], want.exp(), 2e-6, 1e-37),
                            "{n} {} {} {}",
                            isa.name(),
                            soft[r * n + c],
                            want.exp()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn test_infinities_and_nan_in_a_row_do_what_the_head_says() {
    for n in WIDTHS {
        for isa in Isa::available() {
            let mut x = vec![0.25f32; 4 * n];
            x[..n].fill(f32::NEG_INFINITY);
            x[n + n / 2] = f32::NAN;
            x[2 * n + n / 3] = f32::INFINITY;
            x[4 * n - 1] = f32::NEG_INFINITY;
            // SAFETY: the buffers hold 4 rows.
            let soft = run(&x, 4 * n, |x, y| unsafe { softmax_on(isa, x, y, 4, n) });
            assert!(soft[..2 * n].iter().all(|y| y.is_nan()), "{n}");
            assert!(soft[2 * n + n / 3].is_nan());
            if n > 1 {
                assert_eq!(soft[4 * n - 1], 0.0);
                assert!((soft[3 * n] - 1.0 / (n as f32 - 1.0)).abs() < 1e-6);
            }
            // SAFETY: as above.
            let sums = run(&x, 4, |x, y| unsafe { log_sum_exp_on(isa, x, y, 4, n) });
            assert_eq!(sums[0], f32::NEG_INFINITY);
            assert!(sums[1].is_nan());
            assert_eq!(sums[2], f32::INFINITY);
        }
    }
}

#[test]
fn test_layer_normalisation_matches_f64_far_from_zero() {
    for n in WIDTHS {
        let rows = 5;
        let x: Vec<f32> = values(rows * n, 1.0).iter().map(|v| v + 100.0).collect();
        for isa in Isa::available() {
            let (mut mean, mut scale) = (vec![0f32; rows], vec![0f32; rows]);
            let moments = Moments { mean: mean.as_mut_ptr(), scale: scale.as_mut_ptr() };
            // SAFETY: every buffer holds what the kernel asks for.
            let y = run(&x, rows * n, |x, y| unsafe { normalise_on(isa, x, y, (rows, n), 1e-3, moments) });
            // SAFETY: as above.
            let z =
                run(&x, rows * n, |x, y| unsafe { normalise_on(isa, x, y, (rows, n), 1e-3, Moments::NONE) });
            assert_eq!(y, z);
            for r in 0..rows {
                let row: Vec<f64> = x[r * n..(r + 1) * n].iter().map(|&v| f64::from(v)).collect();
                let m = row.iter().sum::<f64>() / n as f64;
                let v = row.iter().map(|x| (x - m) * (x - m)).sum::<f64>() / n as f64;
                let s = 1.0 / (v + 1e-3f32 as f64).sqrt();
                assert!(close(mean[r], m, 2e-7, 0.0) && close(scale[r], s, 1e-4, 0.0), "{n}");
                for c in 0..n {
                    assert!(
                        close(y[r * n + c], (row[c] - m) * s, 1e-4, 1e-3 * s / 32.0),
                        "{n} {}",
                        isa.name()
                    );
                }
            }
        }
    }
}

#[test]
fn test_row_kernels_are_bitwise_independent_of_threads_and_rows_around() {
    let (rows, n) = (301, 100);
    let x = values(rows * n, 4.0);
    for isa in Isa::available() {
        let all: Vec<Vec<f32>> = [1, 2, 4]
            .into_iter()
            .map(|threads| {
                pool::set_threads(threads);
                let mut y = vec![0f32; rows * n];
                let (mut mean, mut scale) = (vec![0f32; rows], vec![0f32; rows]);
                let moments = Moments { mean: mean.as_mut_ptr(), scale: scale.as_mut_ptr() };
                // SAFETY: every buffer holds what the kernels ask for.
                unsafe { softmax_on(isa, x.as_ptr(), y.as_mut_ptr(), rows, n) };
                // SAFETY: as above.
                let sums = run(&x, rows, |x, y| unsafe { log_sum_exp_on(isa, x, y, rows, n) });
                // SAFETY: as above.
                let z =
                    run(&x, rows * n, |x, y| unsafe { normalise_on(isa, x, y, (rows, n), 1e-5, moments) });
                [y, sums, z, mean, scale].concat()
            })
            .collect();
        pool::set_threads(2);
        assert!(all.iter().all(|y| *y == all[0]));
        let mut one = vec![0f32; n];
        // SAFETY: one row in, one row out.
        unsafe { softmax_on(isa, x[150 * n..].as_ptr(), one.as_mut_ptr(), 1, n) };
        assert_eq!(one, all[0][150 * n..151 * n]);
    }
}

#[test]
fn test_normalised_rows_do_not_depend_on_their_scale() {
    for isa in Isa::available() {
        for n in [10, 100] {
            let x = values(n, 1.0);
            // SAFETY: one row in, one row out; nothing is kept.
            let of =
                |x: &[f32]| run(x, n, |x, y| unsafe { normalise_on(isa, x, y, (1, n), 0.0, Moments::NONE) });
            let wanted = of(&x);
            for power in [-100, -60, 100] {
                let scaled: Vec<f32> = x.iter().map(|v| v * 2f32.powi(power)).collect();
                let worst = of(&scaled).iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 1e-6, "2^{power}: {worst}");
            }
        }
    }
}
