//! Strided copies, takes and scatters against plain loops.

use fastnn::kernels::copy::copy_strided_on;
use fastnn::kernels::gather::{Take, gather_rows, one_hot_on, scatter_add, scatter_add_rows, take};
use fastnn::pool;
use fastnn::simd::Isa;

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32).collect()
}

// The view element by element.
fn naive(src: &[f32], start: usize, dims: &[usize], strides: &[isize]) -> Vec<f32> {
    let count: usize = dims.iter().product();
    (0..count)
        .map(|flat| {
            let (mut rest, mut at) = (flat, start as isize);
            for (&d, &s) in dims.iter().zip(strides).rev() {
                at += (rest % d) as isize * s;
                rest /= d;
            }
            src[at as usize]
        })
        .collect()
}

fn check(start: usize, dims: &[usize], strides: &[isize]) {
    let reach: isize = dims.iter().zip(strides).map(|(&d, &s)| (d.max(1) as isize - 1) * s.max(0)).sum();
    let src = numbers(start + reach as usize + 1);
    let want = naive(&src, start, dims, strides);
    for isa in Isa::available() {
        for threads in [1, 3] {
            pool::set_threads(threads);
            let mut y = vec![f32::NAN; want.len() + 1];
            y[want.len()] = -7.0;
            // SAFETY: the view lies in `src`, and `y` holds its elements.
            unsafe { copy_strided_on(isa, y.as_mut_ptr(), src[start..].as_ptr(), dims, strides) };
            assert_eq!(y.pop(), Some(-7.0), "wrote past the end");
            assert!(y == want, "{dims:?} {strides:?} on {}", isa.name());
        }
    }
    pool::set_threads(2);
}

// The strides of `dims` after a permutation of their axes.
fn permuted(dims: &[usize], order: &[usize]) -> (Vec<usize>, Vec<isize>) {
    let mut strides = vec![1isize; dims.len()];
    for i in (0..dims.len() - 1).rev() {
        strides[i] = strides[i + 1] * dims[i + 1] as isize;
    }
    (order.iter().map(|&a| dims[a]).collect(), order.iter().map(|&a| strides[a]).collect())
}

#[test]
fn test_every_permutation_of_axes_is_copied() {
    for (dims, order) in [
        (vec![7], vec![0]),
        (vec![3, 5], vec![1, 0]),
        (vec![16, 16], vec![1, 0]),
        (vec![33, 50], vec![1, 0]),
        (vec![300, 401], vec![1, 0]),
        (vec![2, 17, 40], vec![0, 2, 1]),
        (vec![2, 17, 40], vec![2, 1, 0]),
        (vec![20, 3, 18], vec![2, 0, 1]),
        (vec![20, 3, 18], vec![1, 2, 0]),
        (vec![20, 3, 18], vec![1, 0, 2]),
        (vec![4, 9, 3, 8], vec![0, 2, 1, 3]),
        (vec![4, 9, 3, 32], vec![3, 1, 0, 2]),
        (vec![4, 9, 3, 32], vec![0, 3, 1, 2]),
        (vec![4, 10, 12, 9], vec![0, 2, 3, 1]),
        (vec![2, 3, 2, 3, 2, 3, 2, 3], vec![7, 5, 3, 1, 0, 2, 4, 6]),
        (vec![8, 64, 4, 16], vec![0, 2, 1, 3]),
        (vec![5, 1, 6, 1], vec![2, 1, 0, 3]),
        (vec![64, 1000], vec![0, 1]),
    ] {
        let (dims, strides) = permuted(&dims, &order);
        check(0, &dims, &strides);
    }
}

#[test]
fn test_slices_reversals_and_broadcasts_are_copied() {
    check(3, &[10], &[2]);
    check(99, &[100], &[-1]);
    check(40, &[5, 8], &[-8, 1]);
    check(5, &[6, 4], &[20, 3]);
    check(0, &[7, 100], &[0, 1]);
    check(0, &[100, 37], &[1, 0]);
    check(2, &[4, 50, 3], &[0, 3, 0]);
    check(2, &[3, 4, 5], &[0, 0, 0]);
    check(0, &[], &[]);
    check(0, &[1, 1], &[5, 9]);
    check(10, &[20, 30], &[1, 64]);
    check(0, &[50_000], &[1]);
    check(0, &[50_000], &[3]);
    check(0, &[50_000], &[0]);
    check(0, &[3, 0, 2], &[1, 1, 1]);
    check(31, &[9, 32], &[32, -1]);
}

#[test]
fn test_take_and_its_gradient_follow_the_indices_in_order() {
    for (outer, axis, inner, count) in
        [(1, 50, 64, 700), (1, 50, 7, 9), (3, 10, 1, 40), (2, 33, 100, 5), (1, 300, 130, 400), (4, 6, 20, 0)]
    {
        let size = Take { outer, axis, inner, count };
        let indices: Vec<i32> = (0..count).map(|i| ((i * 31 + i / 7) % axis) as i32).collect();
        let (x, dy) = (
            numbers(outer * axis * inner),
            numbers(outer * count * inner).iter().map(|x| x * 0.1 + 0.3).collect::<Vec<_>>(),
        );
        let (mut want, mut want_dx) = (vec![0f32; outer * count * inner], vec![0f32; outer * axis * inner]);
        for o in 0..outer {
            for (i, &at) in indices.iter().enumerate() {
                for c in 0..inner {
                    let (from, to) = ((o * axis + at as usize) * inner + c, (o * count + i) * inner + c);
                    want[to] = x[from];
                    want_dx[from] += dy[to];
                }
            }
        }
        for threads in [1, 2, 5] {
            pool::set_threads(threads);
            let (mut y, mut dx) = (vec![f32::NAN; want.len()], vec![f32::NAN; want_dx.len()]);
            // SAFETY: all buffers have the extents of `size`.
            unsafe {
                take(x.as_ptr(), indices.as_ptr(), y.as_mut_ptr(), size).unwrap();
                scatter_add(dy.as_ptr(), indices.as_ptr(), dx.as_mut_ptr(), size).unwrap();
            }
            assert_eq!(y, want);
            assert_eq!(dx, want_dx, "{size:?}");
        }
        pool::set_threads(2);
    }
}

#[test]
fn test_bad_indices_are_found_before_anything_is_written() {
    let x = numbers(12);
    for (indices, bad) in [([0, 1, 4, 9], 2), ([0, -1, 3, 2], 1), ([i32::MIN, 0, 0, 0], 0)] {
        let mut y = vec![5f32; 12];
        // SAFETY: a table of 4 rows of 3, and 4 indices.
        unsafe {
            assert_eq!(gather_rows(x.as_ptr(), 3, indices.as_ptr(), 4, 4, y.as_mut_ptr()), Err(bad));
            assert_eq!(scatter_add_rows(x.as_ptr(), 3, indices.as_ptr(), 4, 4, y.as_mut_ptr()), Err(bad));
        }
        assert_eq!(y, [5.0; 12]);
    }
}

#[test]
fn test_one_hot_leaves_rows_of_bad_indices_zero() {
    for isa in Isa::available() {
        let indices = [2, 0, -1, 3, 1];
        let mut y = vec![f32::NAN; 15];
        // SAFETY: five indices, five rows of three.
        unsafe { one_hot_on(isa, indices.as_ptr(), 5, 3, y.as_mut_ptr()) };
        assert_eq!(y, [0., 0., 1., 1., 0., 0., 0., 0., 0., 0., 0., 0., 0., 1., 0.]);
    }
}
