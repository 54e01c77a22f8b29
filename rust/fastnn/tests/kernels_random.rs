//! Random streams: chunking, instruction sets, threads, and the first moments.

use fastnn::kernels::random::{Key, integers_on, normal_on, shuffle, uniform_on};
use fastnn::pool;
use fastnn::simd::Isa;

const KEY: Key = Key { seed: 0x1234_5678_9abc_def0, stream: 3, step: 9 };

fn uniforms(isa: Isa, start: u64, n: usize, key: Key) -> Vec<f32> {
    let mut y = vec![f32::NAN; n];
    // SAFETY: `y` holds `n` values.
    unsafe { uniform_on(isa, y.as_mut_ptr(), start, n, key) };
    y
}

fn normals(isa: Isa, start: u64, n: usize, key: Key) -> Vec<f32> {
    let mut y = vec![f32::NAN; n];
    // SAFETY: `y` holds `n` values.
    unsafe { normal_on(isa, y.as_mut_ptr(), start, n, key) };
    y
}

#[test]
fn test_any_chunking_set_and_thread_count_gives_the_same_numbers() {
    let n = 20_011;
    let all = uniforms(Isa::Portable, 0, n, KEY);
    for isa in Isa::available() {
        for threads in [1, 3] {
            pool::set_threads(threads);
            assert_eq!(uniforms(isa, 0, n, KEY), all);
        }
        pool::set_threads(2);
        for (start, len) in [(0, 1), (1, 63), (63, 2), (64, 64), (100, 300), (19_990, 21)] {
            assert_eq!(uniforms(isa, start as u64, len, KEY), all[start..start + len], "{start} {len}");
            assert_eq!(normals(isa, start as u64, len, KEY), normals(isa, 0, n, KEY)[start..start + len]);
        }
    }
}

#[test]
fn test_streams_steps_and_seeds_are_different_numbers() {
    let isa = Isa::available()[0];
    let base = uniforms(isa, 0, 1000, KEY);
    for key in [Key { seed: KEY.seed ^ 1 << 40, ..KEY }, Key { stream: 4, ..KEY }, Key { step: 8, ..KEY }] {
        let other = uniforms(isa, 0, 1000, key);
        assert!(base.iter().zip(&other).filter(|(a, b)| a == b).count() < 3);
    }
}

// |mean - m| and |variance - v| within five standard errors.
fn check_moments(x: &[f32], mean: f64, variance: f64, fourth: f64) {
    let n = x.len() as f64;
    let m = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let v = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
    assert!((m - mean).abs() < 5.0 * (variance / n).sqrt(), "mean {m}");
    assert!((v - variance).abs() < 5.0 * ((fourth - variance * variance) / n).sqrt(), "variance {v}");
}

#[test]
fn test_moments_and_ranges() {
    let n = 1_000_000;
    for isa in Isa::available() {
        let u = uniforms(isa, 0, n, KEY);
        assert!(u.iter().all(|&x| (0.0..1.0).contains(&x)));
        check_moments(&u, 0.5, 1.0 / 12.0, 1.0 / 80.0);
        let z = normals(isa, 0, n, KEY);
        assert!(z.iter().all(|x| x.abs() < 5.8));
        check_moments(&z, 0.0, 1.0, 3.0);
        // Neighbours, and the two halves of a Box-Muller pair 16 apart, are uncorrelated.
        for lag in [1, 16, 32] {
            let c = z.windows(lag + 1).map(|w| f64::from(w[0]) * f64::from(w[lag])).sum::<f64>() / n as f64;
            assert!(c.abs() < 5e-3, "lag {lag}: {c}");
        }
        let tail = z.iter().filter(|x| x.abs() > 1.959_964).count() as f64 / n as f64;
        assert!((tail - 0.05).abs() < 0.002, "{tail}");
    }
}

#[test]
fn test_integers_fill_their_range_evenly() {
    let n = 700_000;
    for isa in Isa::available() {
        let mut y = vec![0i32; n];
        // SAFETY: `y` holds `n` values.
        unsafe { integers_on(isa, y.as_mut_ptr(), 0, n, KEY, (-3, 4)) };
        let mut counts = [0usize; 7];
        for i in &y {
            counts[(i + 3) as usize] += 1;
        }
        assert!(counts.iter().all(|&c| c.abs_diff(n / 7) < 1500), "{counts:?}");
        // The widest range that i32 has.
        // SAFETY: as above.
        unsafe { integers_on(isa, y.as_mut_ptr(), 0, n, KEY, (i32::MIN, i32::MAX)) };
        assert!(y.iter().any(|&i| i < -2_000_000_000) && y.iter().any(|&i| i > 2_000_000_000));
    }
}

#[test]
fn test_shuffle_is_a_permutation_that_depends_on_the_step() {
    for n in [0u32, 1, 2, 3, 100, 5000] {
        let mut a: Vec<u32> = (0..n).collect();
        let mut b = a.clone();
        shuffle(&mut a, KEY);
        shuffle(&mut b, Key { step: 10, ..KEY });
        if n >= 100 {
            assert_ne!(a, b);
        }
        a.sort_unstable();
        assert!(a.iter().copied().eq(0..n));
    }
    // All six orders of three come up about equally often.
    let mut counts = std::collections::HashMap::new();
    for step in 0..6000 {
        let mut order = [0, 1, 2];
        shuffle(&mut order, Key { step, ..KEY });
        *counts.entry(order).or_insert(0u32) += 1;
    }
    assert!(counts.len() == 6 && counts.values().all(|&c| c.abs_diff(1000) < 150), "{counts:?}");
}
