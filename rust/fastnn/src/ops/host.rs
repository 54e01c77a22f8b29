//! Plain loops in f64 for the oracle: mapping with broadcasting, folding over axes, gathering by
//! index. Slow and obvious on purpose.

use crate::graph::{Host, Ty};
use crate::kernels::stored;
use crate::shape::{DType, MAX_RANK, Shape};

/// The multi-index of a flat position.
#[must_use]
pub fn unravel(mut flat: usize, shape: &Shape) -> [usize; MAX_RANK] {
    let mut at = [0; MAX_RANK];
    for (i, &d) in shape.sizes().iter().enumerate().rev() {
        at[i] = flat % d;
        flat /= d;
    }
    at
}

/// The flat position of a multi-index.
#[must_use]
pub fn ravel(at: &[usize], shape: &Shape) -> usize {
    shape.sizes().iter().zip(at).fold(0, |flat, (&d, &i)| flat * d + i)
}

/// The position in `small` that broadcasting pairs with the multi-index `at` in `big`.
fn narrow(at: &[usize; MAX_RANK], big: &Shape, small: &Shape) -> usize {
    let skip = big.rank() - small.rank();
    small.sizes().iter().enumerate().fold(0, |flat, (i, &d)| flat * d + if d == 1 { 0 } else { at[skip + i] })
}

/// `x` as an i32 value holds it: truncated and wrapped to 32 bits.
#[must_use]
pub fn wrap(x: f64) -> f64 {
    f64::from((x as i64) as i32)
}

/// A value of type `out` from one number per flat position.
pub fn generate(out: Ty, f: impl Fn(usize) -> f64) -> Host {
    let fit = |v: f64| match out.dtype {
        DType::I32 => wrap(v),
        dtype if dtype.is_stored() => stored::rounded(v, dtype),
        _ => v,
    };
    Host { ty: out, data: (0..out.shape.count()).map(|i| fit(f(i))).collect() }
}

/// Elementwise with broadcasting.
pub fn map<const N: usize>(x: &[Host], out: Ty, f: impl Fn([f64; N]) -> f64) -> Host {
    generate(out, |i| {
        let at = unravel(i, &out.shape);
        f(std::array::from_fn(|k| x[k].data[narrow(&at, &out.shape, &x[k].ty.shape)]))
    })
}

/// The larger of two, NaN if either is; `b` where they tie, as the kernels choose between 0 and -0.
#[must_use]
pub fn larger(a: f64, b: f64) -> f64 {
    if a > b || a.is_nan() { a } else { b }
}

/// The smaller of two, as [`larger`].
#[must_use]
pub fn smaller(a: f64, b: f64) -> f64 {
    if a < b || a.is_nan() { a } else { b }
}

/// `x` between `low` and `high`, NaN for NaN.
#[must_use]
pub fn clip(x: f64, low: f64, high: f64) -> f64 {
    smaller(larger(x, low), high)
}

/// Elementwise on whole numbers, wrapped to i32.
pub fn map_whole<const N: usize>(x: &[Host], out: Ty, f: impl Fn([i64; N]) -> i64) -> Host {
    map(x, out, |v: [f64; N]| f64::from(f(v.map(|a| a as i64)) as i32))
}

/// The elements of `x` that are folded into each element of a reduction over `axes`, in order.
#[must_use]
pub fn groups(x: &Host, axes: &[usize]) -> Vec<Vec<f64>> {
    let shape = &x.ty.shape;
    let kept: Vec<usize> = (0..shape.rank()).filter(|i| !axes.contains(i)).collect();
    let sizes = shape.sizes();
    let count = kept.iter().map(|&i| sizes[i]).product();
    let mut out = vec![vec![]; count];
    for (i, &v) in x.data.iter().enumerate() {
        let at = unravel(i, shape);
        out[kept.iter().fold(0, |flat, &k| flat * sizes[k] + at[k])].push(v);
    }
    out
}

/// A reduction: `f` of the elements of each group.
pub fn fold(x: &Host, axes: &[usize], out: Ty, f: impl Fn(&[f64]) -> f64) -> Host {
    let groups = groups(x, axes);
    generate(out, |i| f(&groups[i]))
}

/// Output element at multi-index `at` is input element at `f(at)`.
pub fn gather(x: &Host, out: Ty, f: impl Fn(&[usize]) -> Vec<usize>) -> Host {
    generate(out, |i| {
        let at = unravel(i, &out.shape);
        x.data[ravel(&f(&at[..out.shape.rank()]), &x.ty.shape)]
    })
}

/// Each row along the last axis through `f`.
pub fn by_row(x: &Host, f: impl Fn(&[f64]) -> Vec<f64>) -> Host {
    let n = x.ty.shape.sizes().last().copied().unwrap_or(1).max(1);
    Host { ty: x.ty, data: x.data.chunks(n).flat_map(f).collect() }
}
