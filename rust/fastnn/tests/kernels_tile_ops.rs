//! Every instruction of the tile machine against scalar Rust, for every length, in place, with
//! guards behind the end, on every instruction set.

use fastnn::kernels::tile_fat::{ALL, Fat};
use fastnn::kernels::tile_ops::{self as ops, TileFn, TileOf};
use fastnn::simd::Isa;

const GUARD: u32 = 0x7fc0_dead;

fn floats() -> Vec<f32> {
    let mut x = vec![
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        1.5,
        2.5,
        -2.5,
        3.0,
        -7.0,
        1e-40,
        -1e-40,
        8_388_609.0,
        -8_388_607.5,
        1e30,
        -3e9,
        2_147_483_648.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MAX,
        f32::MIN_POSITIVE,
    ];
    let mut state = 7u32;
    while x.len() < 149 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        x.push((state >> 8) as f32 / 262_144.0 - 32.0);
    }
    x
}

fn rotated(x: &[f32], by: usize) -> Vec<f32> {
    (0..x.len()).map(|i| x[(i + by) % x.len()]).collect()
}

fn ints() -> Vec<f32> {
    let mut x = vec![0, 1, -1, 2, -2, 7, -7, i32::MAX, i32::MIN, 1 << 24, -(1 << 24) - 1];
    let mut state = 99u32;
    while x.len() < 149 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        x.push(if state & 64 == 0 { state as i32 } else { (state >> 27) as i32 - 16 });
    }
    x.into_iter().map(|i: i32| f32::from_bits(i as u32)).collect()
}

fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

// Runs `pick` on prefixes of every length, apart and in place, and compares with `want`.
fn check(name: &str, pick: fn(Isa) -> TileFn, x: &[f32], want: impl Fn(f32, f32, f32) -> f32) {
    let (b, c) = (rotated(x, 1), rotated(x, 5));
    // Every pair of the special values meets for some rotation.
    for rotation in 0..24 {
        let a = rotated(x, rotation);
        for isa in Isa::available() {
            let lengths: Vec<usize> = if rotation == 0 { (0..=x.len()).collect() } else { vec![x.len()] };
            for n in lengths {
                let mut y = vec![f32::from_bits(GUARD); x.len() + 1];
                // SAFETY: all buffers hold `n` elements.
                unsafe { pick(isa)(y.as_mut_ptr(), a.as_ptr(), b.as_ptr(), c.as_ptr(), n) };
                for i in 0..n {
                    let w = want(a[i], b[i], c[i]);
                    assert!(
                        same(y[i], w),
                        "{name} on {}: ({:e}, {:e}, {:e}) gives {:e}, want {w:e}",
                        isa.name(),
                        a[i],
                        b[i],
                        c[i],
                        y[i]
                    );
                }
                assert!(y[n..].iter().all(|g| g.to_bits() == GUARD), "{name} wrote past {n}");
            }
            for place in 0..3 {
                let mut buffers = [a.clone(), b.clone(), c.clone()];
                let dst = buffers[place].as_mut_ptr();
                // SAFETY: as above; the destination equals one operand exactly.
                unsafe {
                    pick(isa)(dst, buffers[0].as_ptr(), buffers[1].as_ptr(), buffers[2].as_ptr(), x.len())
                };
                for i in 0..x.len() {
                    assert!(
                        same(buffers[place][i], want(a[i], b[i], c[i])),
                        "{name} in place of operand {place}"
                    );
                }
            }
        }
    }
}

fn truth(b: bool) -> f32 {
    f32::from(u8::from(b))
}

macro_rules! float_ops {
    ($($name:ident = $want:expr;)*) => { $( check(stringify!($name), ops::$name, &floats(), $want); )* };
}

fn python_mod(a: f32, b: f32) -> f32 {
    let m = a % b;
    if m == 0.0 {
        0.0f32.copysign(b)
    } else if !m.is_nan() && (b < 0.0) != (m < 0.0) {
        m + b
    } else {
        m
    }
}

#[test]
fn test_float_arithmetic_is_exact_and_propagates_nan() {
    float_ops! {
        copy = |a, _, _| a;
        add = |a, b, _| a + b;
        sub = |a, b, _| a - b;
        mul = |a, b, _| a * b;
        div = |a, b, _| a / b;
        minimum = |a, b, _| if a.is_nan() || b.is_nan() { f32::NAN } else if a < b { a } else { b };
        maximum = |a, b, _| if a.is_nan() || b.is_nan() { f32::NAN } else if a > b { a } else { b };
        neg = |a, _, _| -a;
        abs = |a, _, _| a.abs();
        sign = |a, _, _| if a > 0.0 { 1.0 } else if a < 0.0 { -1.0 } else { a + 0.0 };
        floor = |a, _, _| a.floor();
        ceil = |a, _, _| a.ceil();
        round = |a, _, _| a.round_ties_even();
        trunc = |a, _, _| a.trunc();
        sqrt = |a, _, _| a.sqrt();
        rsqrt = |a, _, _| 1.0 / a.sqrt();
        square = |a, _, _| a * a;
        reciprocal = |a, _, _| 1.0 / a;
        relu = |a, _, _| if a < 0.0 { 0.0 } else { a };
        modulo = |a, b, _| python_mod(a, b);
        sum3 = |a, b, c| (a + b) + c;
        abs_less = |a, b, _| f32::from(u8::from(a.abs() < b));
        flush = |a, b, c| if a.abs() < b { c } else { a };
        root_sum = |a, b, _| a.sqrt() + b;
        div_root = |a, b, c| a / (b.sqrt() + c);
    }
}

#[test]
fn test_fused_products_round_once_or_twice() {
    for isa in Isa::available() {
        let fused = isa != Isa::Portable;
        let (a, b, c) = (vec![1.0 + 2f32.powi(-12); 20], vec![1.0 - 2f32.powi(-12); 20], vec![-1.0f32; 20]);
        let mut y = vec![0f32; 20];
        // SAFETY: all buffers hold 20 elements.
        unsafe { ops::fma(isa)(y.as_mut_ptr(), a.as_ptr(), b.as_ptr(), c.as_ptr(), 20) };
        assert!(y.iter().all(|&y| y == if fused { -2f32.powi(-24) } else { (1.0 - 2f32.powi(-24)) - 1.0 }));
        // SAFETY: as above.
        unsafe { ops::fnma(isa)(y.as_mut_ptr(), a.as_ptr(), b.as_ptr(), c.as_ptr(), 20) };
        assert!(y.iter().all(|&y| y == -2.0), "{}", y[0]);
        // SAFETY: as above.
        unsafe { ops::fms(isa)(y.as_mut_ptr(), a.as_ptr(), b.as_ptr(), a.as_ptr(), 20) };
        let want = f64::from(a[0]) * f64::from(b[0]) - f64::from(a[0]);
        assert!(y.iter().all(|&y| y == if fused { want as f32 } else { a[0] * b[0] - a[0] }), "{}", y[0]);
        // SAFETY: as above.
        unsafe { ops::lerp(isa)(y.as_mut_ptr(), c.as_ptr(), a.as_ptr(), b.as_ptr(), 20) };
        let gap = a[0] - c[0];
        let want = f64::from(gap) * f64::from(b[0]) + f64::from(c[0]);
        assert!(y.iter().all(|&y| y == if fused { want as f32 } else { gap * b[0] + c[0] }), "{}", y[0]);
    }
}

#[test]
fn test_comparisons_and_logic_follow_ieee_with_nan_true_as_a_condition() {
    let t = |x: f32| x != 0.0;
    float_ops! {
        equal = |a, b, _| truth(a == b);
        not_equal = |a, b, _| truth(a != b);
        less = |a, b, _| truth(a < b);
        less_equal = |a, b, _| truth(a <= b);
        greater = |a, b, _| truth(a > b);
        greater_equal = |a, b, _| truth(a >= b);
        logical_and = |a, b, _| truth(t(a) && t(b));
        logical_or = |a, b, _| truth(t(a) || t(b));
        logical_xor = |a, b, _| truth(t(a) != t(b));
        logical_not = |a, _, _| truth(!t(a));
        select = |a, b, c| if t(a) { b } else { c };
        is_nan = |a, _, _| truth(a.is_nan());
        is_inf = |a, _, _| truth(a.is_infinite());
        is_finite = |a, _, _| truth(a.is_finite());
        cast_f32_bool = |a, _, _| truth(t(a));
        cast_f32_i32 = |a, _, _| {
            let i = if (-2_147_483_648.0..2_147_483_648.0).contains(&a) { a as i32 } else { i32::MIN };
            f32::from_bits(i as u32)
        };
    }
}

#[test]
fn test_floor_divide_matches_numpy() {
    // numpy.floor_divide of these pairs, float32.
    let cases = [
        (7.0, 2.0, 3.0),
        (-7.0, 2.0, -4.0),
        (7.0, -2.0, -4.0),
        (-7.0, -2.0, 3.0),
        (1.0, 0.1, 9.0),
        (0.0, 3.0, 0.0),
        (6.0, 3.0, 2.0),
        (1.0, 0.0, f32::INFINITY),
        (-1.0, 0.0, f32::NEG_INFINITY),
        (5.5, 0.5, 11.0),
        (-0.5, 4.0, -1.0),
    ];
    for isa in Isa::available() {
        for (a, b, want) in cases {
            let mut y = [0f32; 3];
            // SAFETY: the three arrays hold three elements.
            unsafe {
                ops::floor_divide(isa)(y.as_mut_ptr(), [a; 3].as_ptr(), [b; 3].as_ptr(), std::ptr::null(), 3)
            };
            assert_eq!(y, [want; 3], "{a} // {b} on {}", isa.name());
        }
    }
}

#[test]
fn test_i32_instructions_wrap_and_floor_like_numpy() {
    let i = |x: f32| x.to_bits() as i32;
    let f = |x: i32| f32::from_bits(x as u32);
    macro_rules! int_ops {
        ($($name:ident = $want:expr;)*) => { $(
            let want: fn(i32, i32) -> i32 = $want;
            check(stringify!($name), ops::$name, &ints(), |a, b, _| f(want(i(a), i(b))));
        )* };
    }
    int_ops! {
        add_i32 = |a, b| a.wrapping_add(b);
        sub_i32 = |a, b| a.wrapping_sub(b);
        mul_i32 = |a, b| a.wrapping_mul(b);
        minimum_i32 = |a, b| a.min(b);
        maximum_i32 = |a, b| a.max(b);
        neg_i32 = |a, _| a.wrapping_neg();
        abs_i32 = |a, _| a.wrapping_abs();
        sign_i32 = |a, _| a.signum();
        floor_divide_i32 = |a, b| if b == 0 { 0 } else { (i64::from(a) as f64 / f64::from(b)).floor() as i64 as i32 };
        modulo_i32 = |a, b| if b == 0 { 0 } else { (i64::from(a) - (i64::from(a) as f64 / f64::from(b)).floor() as i64 * i64::from(b)) as i32 };
        equal_i32 = |a, b| truth(a == b).to_bits() as i32;
        not_equal_i32 = |a, b| truth(a != b).to_bits() as i32;
        less_i32 = |a, b| truth(a < b).to_bits() as i32;
        less_equal_i32 = |a, b| truth(a <= b).to_bits() as i32;
        greater_i32 = |a, b| truth(a > b).to_bits() as i32;
        greater_equal_i32 = |a, b| truth(a >= b).to_bits() as i32;
        cast_i32_f32 = |a, _| (a as f32).to_bits() as i32;
        cast_i32_bool = |a, _| truth(a != 0).to_bits() as i32;
        copy = |a, _| a;
    }
}

#[test]
fn test_functions_are_wired_to_their_names() {
    type Case = (&'static str, fn(Isa) -> TileFn, f64, f64);
    let cases: [Case; 11] = [
        ("exp", ops::exp, 0.7, 0.7f64.exp()),
        ("expm1", ops::expm1, 0.7, 0.7f64.exp_m1()),
        ("log", ops::log, 0.7, 0.7f64.ln()),
        ("log1p", ops::log1p, 0.7, 0.7f64.ln_1p()),
        ("sin", ops::sin, 0.7, 0.7f64.sin()),
        ("cos", ops::cos, 0.7, 0.7f64.cos()),
        ("tanh", ops::tanh, 0.7, 0.7f64.tanh()),
        ("sigmoid", ops::sigmoid, 0.7, 1.0 / (1.0 + (-0.7f64).exp())),
        ("erf", ops::erf, 0.7, 0.677_801_193_837_418_5),
        ("softplus", ops::softplus, 0.7, 0.7f64.exp().ln_1p()),
        ("power", ops::power, 0.7, 0.7f64.powf(0.7)),
    ];
    for isa in Isa::available() {
        for (name, pick, x, want) in cases {
            for n in [1, 16, 35, 100] {
                let x = vec![x as f32; n];
                let mut y = vec![f32::from_bits(GUARD); n + 1];
                // SAFETY: the buffers hold `n` elements.
                unsafe { pick(isa)(y.as_mut_ptr(), x.as_ptr(), x.as_ptr(), x.as_ptr(), n) };
                assert!(
                    y[..n].iter().all(|&y| (f64::from(y) - want).abs() < 3e-7),
                    "{name} on {}: {}",
                    isa.name(),
                    y[0]
                );
                assert_eq!(y[n].to_bits(), GUARD, "{name}");
            }
        }
    }
}

#[test]
fn test_fill_writes_exactly_n() {
    for isa in Isa::available() {
        for n in 0..50 {
            let mut y = vec![1f32; 51];
            // SAFETY: the buffer holds 51 elements.
            unsafe { ops::fill(isa)(y.as_mut_ptr(), 2.5, n) };
            assert!(y[..n].iter().all(|&y| y == 2.5) && y[n..].iter().all(|&y| y == 1.0));
        }
    }
}

// `n` floats that end where unmapped memory begins.
#[cfg(unix)]
struct Edge {
    base: *mut libc::c_void,
    n: usize,
}

#[cfg(unix)]
impl Edge {
    const PAGE: usize = 4096;

    fn new(n: usize) -> Edge {
        // SAFETY: an anonymous mapping of two pages, the second made inaccessible.
        let base = unsafe {
            let base = libc::mmap(
                std::ptr::null_mut(),
                2 * Edge::PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert!(
                base != libc::MAP_FAILED
                    && libc::mprotect(base.byte_add(Edge::PAGE), Edge::PAGE, libc::PROT_NONE) == 0
            );
            base
        };
        Edge { base, n }
    }

    fn at(&self) -> *mut f32 {
        self.base.cast::<f32>().wrapping_add(Edge::PAGE / 4 - self.n)
    }
}

#[cfg(unix)]
impl Drop for Edge {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`.
        unsafe { libc::munmap(self.base, 2 * Edge::PAGE) };
    }
}

#[test]
#[cfg(unix)]
fn test_nothing_is_touched_behind_the_last_element() {
    use fastnn::kernels::reduce::{Memory, Reduce, arg_reduce_on, reduce_on};
    use fastnn::kernels::softmax::{log_sum_exp_on, softmax_on};
    for isa in Isa::available() {
        for n in 1..140 {
            let (x, y) = (Edge::new(n), Edge::new(n));
            let one = Edge::new(1);
            // SAFETY: `x` and `y` hold `n` floats and `one` holds one; a page fault would end the test.
            unsafe {
                for pick in [ops::fma, ops::exp, ops::select, ops::power, ops::modulo] {
                    pick(isa)(y.at(), x.at(), x.at(), x.at(), n);
                }
                ops::fill(isa)(x.at(), 0.5, n);
                softmax_on(isa, x.at(), y.at(), 1, n);
                log_sum_exp_on(isa, x.at(), one.at(), 1, n);
                reduce_on(isa, Reduce::Max, &Memory(x.at()), 1, 1, n, y.at());
                arg_reduce_on::<true>(isa, &Memory(x.at()), 1, n, 1, one.at().cast());
                assert_eq!(*one.at().cast::<i32>(), 0);
                reduce_on(isa, Reduce::Sum, &Memory(x.at()), 1, n, 1, one.at());
                assert_eq!(*one.at(), 0.5 * n as f32);
            }
        }
    }
}

fn named(op: &str) -> TileOf {
    match op {
        "add" => ops::add,
        "sub" => ops::sub,
        "mul" => ops::mul,
        "div" => ops::div,
        "sqrt" => ops::sqrt,
        "square" => ops::square,
        "fma" => ops::fma,
        "fnma" => ops::fnma,
        "fms" => ops::fms,
        "lerp" => ops::lerp,
        "flush" => ops::flush,
        "div_root" => ops::div_root,
        _ => panic!("no operation {op}"),
    }
}

/// A number for an instruction; the last one is what small averages become.
fn number_of(fat: &Fat, i: usize) -> f32 {
    if i + 1 == fat.numbers.len() { 0.0 } else { [0.1, 0.001, 0.5, 1e-7, 1e-3, 1e-30, 1e-20, 1e-34][i] }
}

#[test]
fn instructions_with_several_results_give_the_bits_of_their_lines() {
    let x = floats();
    for (isa, fat) in Isa::available().into_iter().flat_map(|isa| ALL.iter().map(move |fat| (isa, fat))) {
        for n in (0..=40).chain([x.len()]) {
            // One array a value: inputs rotated, numbers the same everywhere.
            let mut thin = vec![vec![f32::from_bits(GUARD); x.len() + 1]; fat.values()];
            for (i, &v) in fat.inputs.iter().enumerate() {
                thin[usize::from(v)][..x.len()].copy_from_slice(&rotated(&x, 5 * i));
            }
            for (i, &v) in fat.numbers.iter().enumerate() {
                thin[usize::from(v)].fill(number_of(fat, i));
            }
            let before = thin.clone();
            for line in fat.lines {
                let arg = |i: usize| thin[usize::from(line.args[i.min(line.args.len() - 1)])].as_ptr();
                let (a, b, c) = (arg(0), arg(1), arg(2));
                let dst = thin[usize::from(line.result)].as_mut_ptr();
                // SAFETY: arrays longer than n, and the set is available.
                unsafe { named(line.op)(isa)(dst, a, b, c, n) };
            }
            // In place: each result over an input, as the planner lays them.
            let mut fresh = before.clone();
            let mut at: Vec<*mut f32> = fresh.iter_mut().map(|v| v.as_mut_ptr()).collect();
            for (&result, &input) in fat.results.iter().zip(fat.inputs) {
                at[usize::from(result)] = at[usize::from(input)];
            }
            let ops: Vec<u16> =
                fat.results.iter().chain(fat.inputs).chain(fat.numbers).map(|&v| u16::from(v)).collect();
            // SAFETY: as above; a result equals an input exactly.
            unsafe { (fat.kernel)(isa)(at.as_ptr(), ops.as_ptr(), n) };
            for (&result, &input) in fat.results.iter().zip(fat.inputs) {
                let (got, old) = (&fresh[usize::from(input)], &before[usize::from(input)]);
                for i in 0..=x.len() {
                    let want = if i < n { thin[usize::from(result)][i] } else { old[i] };
                    assert!(same(got[i], want), "{isa:?} value {result} of {n}, at {i}: {} {want}", got[i]);
                }
            }
        }
    }
}

#[test]
fn steps_without_a_gradient_give_the_bits_of_one_step_after_another() {
    let x = floats();
    for (isa, fat) in Isa::available().into_iter().flat_map(|isa| ALL.iter().map(move |fat| (isa, fat))) {
        let states = fat.results.len();
        for (n, steps) in [(0, 3), (1, 1), (15, 4), (16, 2), (40, 7), (x.len(), 20)] {
            let number = |step: usize, i: usize| number_of(fat, i) / (1.0 + step as f32);
            let numbers: Vec<f32> =
                (0..steps).flat_map(|s| (0..fat.numbers.len()).map(move |i| number(s, i))).collect();
            // Large and special values, and zeros among them.
            let start: Vec<Vec<f32>> = (0..states)
                .map(|i| {
                    let zero = |(at, v): (usize, f32)| if i > 0 && at / 16 % 2 == 1 { 0.0 } else { v };
                    rotated(&x, 5 * i).into_iter().enumerate().map(zero).collect()
                })
                .collect();
            let mut want = start.clone();
            for step in numbers.chunks(fat.numbers.len()) {
                let mut gradient = vec![0.0f32; x.len()];
                let mut step = step.to_vec();
                let mut at: Vec<*mut f32> = want.iter_mut().map(|v| v.as_mut_ptr()).collect();
                at.extend(at.clone());
                at.push(gradient.as_mut_ptr());
                at.extend(step.iter_mut().map(std::ptr::from_mut));
                let ops: Vec<u16> = (0..at.len() as u16).collect();
                // SAFETY: arrays longer than n, and the set is available; a result equals an input exactly.
                unsafe { (fat.kernel)(isa)(at.as_ptr(), ops.as_ptr(), n) };
            }
            for rests in [false, true] {
                if rests && !fat.only_moves() {
                    continue;
                }
                let mut got = start.clone();
                let at: Vec<*mut f32> = got.iter_mut().map(|v| v.as_mut_ptr()).collect();
                // SAFETY: as above.
                unsafe { (fat.coast)(isa)(at.as_ptr(), numbers.as_ptr(), steps, n, rests) };
                for (k, (got, want)) in got.iter().zip(&want).enumerate() {
                    for i in 0..x.len() {
                        assert!(
                            same(got[i], want[i]),
                            "{isa:?} state {k} of {n}, at {i}: {} {}",
                            got[i],
                            want[i]
                        );
                    }
                }
            }
        }
    }
}
