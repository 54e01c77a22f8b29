//! Heads: what makes a matrix by blocks carries bias, activation, any elementwise group and the sums
//! of its columns, with the same bits on any number of threads.

use fastnn::exec::cpu::Program;
use fastnn::exec::interp;
use fastnn::graph::{Graph, Host, Id, Kind, Ty};
use fastnn::kernels::columns::add_rows_on;
use fastnn::ops::build::Build;
use fastnn::optim::{self, Update};
use fastnn::shape::{DType, Shape};
use fastnn::simd::Isa;
use std::sync::Mutex;

/// The pool's size is the process's: tests that set it take turns.
static THREADS: Mutex<()> = Mutex::new(());

fn ty(dims: &[usize]) -> Ty {
    Ty::f32(Shape::new(dims).unwrap())
}

fn values(g: &Graph, seed: u64) -> Vec<Vec<f32>> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u64 << 24) as f32) - 0.5
    };
    g.inputs.iter().map(|&i| (0..g.shape(i).count()).map(|_| next()).collect()).collect()
}

fn run(g: &Graph, program: &Program, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut inputs = inputs.to_vec();
    let mut outputs: Vec<Vec<f32>> = g.outputs.iter().map(|&o| vec![f32::NAN; g.shape(o).count()]).collect();
    let from: Vec<*mut u8> = inputs.iter_mut().map(|v| v.as_mut_ptr().cast()).collect();
    let to: Vec<*mut u8> = outputs.iter_mut().map(|v| v.as_mut_ptr().cast()).collect();
    // SAFETY: one buffer of the right size per slot, none shared.
    unsafe { program.run(&from, &to) }.unwrap();
    outputs
}

/// What `g` gives: by the oracle, or, where that would take minutes, every product compiled apart from
/// the sums, which are then taken in f64.
fn want(g: &Graph, inputs: &[Vec<f32>]) -> Vec<Vec<f64>> {
    let is_sum = |id: Id| matches!(g.node(id).op.kind, Kind::Reduce(_));
    let mut rows = g.clone();
    rows.outputs = g.outputs.iter().map(|&o| if is_sum(o) { g.node(o).inputs[0] } else { o }).collect();
    if g.nodes.iter().map(|n| n.ty.shape.count()).max() < Some(4_000) {
        let hosts = g
            .inputs
            .iter()
            .zip(inputs)
            .map(|(&i, v)| Host { ty: g.ty(i), data: v.iter().map(|&x| f64::from(x)).collect() });
        let (want, _) = interp::run(g, &hosts.collect::<Vec<_>>()).unwrap();
        return want.into_iter().map(|h| h.data).collect();
    }
    let rows = run(&rows, &Program::compile(&rows).unwrap(), inputs);
    let results = g.outputs.iter().zip(rows).map(|(&o, v)| {
        let data: Vec<f64> = v.iter().map(|&x| f64::from(x)).collect();
        if !is_sum(o) {
            return data;
        }
        let x = g.node(o).inputs[0];
        (g.node(o).op.reference)(&[Host { ty: g.ty(x), data }], &g.node(o).attrs, g.ty(o)).data
    });
    results.collect()
}

/// Compiles, expects `steps` steps, compares with what is wanted, and bits on one to three threads.
fn check(g: &Graph, steps: usize, label: &str) {
    let program = Program::compile(g).unwrap();
    assert_eq!(program.steps(), steps, "{label}:\n{program}");
    let inputs = values(g, 9);
    let want = want(g, &inputs);
    let _turn = THREADS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let before = fastnn::pool::threads();
    let mut first: Option<Vec<Vec<f32>>> = None;
    for threads in [1, 2, 3] {
        fastnn::pool::set_threads(threads);
        let got = run(g, &program, &inputs);
        for (k, (got, want)) in got.iter().zip(&want).enumerate() {
            let scale = want.iter().fold(1.0f64, |a, b| a.max(b.abs()));
            for (i, (a, b)) in got.iter().zip(want).enumerate() {
                let fits = (f64::from(*a) - b).abs() <= 2e-5 * scale;
                assert!(fits, "{label}: output {k} element {i} is {a}, wanted {b}\n{program}");
            }
        }
        let bits = |x: &Vec<Vec<f32>>| x.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>();
        let first = first.get_or_insert_with(|| got.clone());
        assert_eq!(bits(first), bits(&got), "{label}: {threads} threads");
    }
    fastnn::pool::set_threads(before);
}

/// Rows, columns and terms that take every way through the product: vectors, few rows, packed and
/// unpacked B, several slabs.
const SIZES: &[(usize, usize, usize)] = &[
    (1, 40, 30),
    (300, 1, 20),
    (5, 7, 3),
    (64, 96, 32),
    (128, 512, 64),
    (200, 700, 130),
    (1000, 10, 16),
    (100, 4200, 1100),
];

#[test]
fn column_sums_follow_a_product_in_its_own_step() {
    for &(m, n, k) in SIZES {
        for mean in [false, true] {
            let mut g = Graph::new();
            let (a, b, mask) = (g.input(ty(&[m, k])), g.input(ty(&[n, k])), g.input(ty(&[m, n])));
            let y = g.matmul(a, b, false, true);
            let y = g.mul(y, mask);
            let s = if mean { g.mean(y, &[0], false) } else { g.sum(y, &[0], false) };
            g.outputs = vec![s];
            check(&g, 1, &format!("sum of ({m}, {n}, {k}) alone"));
            g.outputs = vec![s, y];
            check(&g, 1, &format!("sum of ({m}, {n}, {k}) with its rows"));
        }
    }
}

#[test]
fn column_sums_of_a_bare_product_and_of_bias_and_relu() {
    for &(m, n, k) in SIZES {
        let mut g = Graph::new();
        let (a, b, bias) = (g.input(ty(&[m, k])), g.input(ty(&[k, n])), g.input(ty(&[n])));
        let y = g.matmul(a, b, false, false);
        let s = g.sum(y, &[0], true);
        g.outputs = vec![s];
        check(&g, 1, &format!("bare ({m}, {n}, {k})"));
        let y = g.matmul(a, b, false, false);
        let y = g.add_(y, bias);
        let y = g.relu(y);
        let s = g.mean(y, &[0], false);
        g.outputs = vec![s, y];
        check(&g, 1, &format!("bias and relu ({m}, {n}, {k})"));
    }
}

#[test]
fn a_value_that_is_summed_and_read_is_not_swallowed_by_the_bias() {
    let mut g = Graph::new();
    let (a, b, bias) = (g.input(ty(&[70, 20])), g.input(ty(&[20, 30])), g.input(ty(&[30])));
    let y = g.matmul(a, b, false, false);
    let s = g.sum(y, &[0], false);
    let z = g.add_(y, bias);
    g.outputs = vec![s, z];
    check(&g, 1, "summed before the bias");
}

#[test]
fn column_sums_over_the_rows_of_a_batch_of_products() {
    for (batch, m, n, k) in [(3, 5, 7, 4), (40, 33, 64, 16), (2, 300, 520, 90), (1, 9, 8, 3)] {
        let mut g = Graph::new();
        let (a, b) = (g.input(ty(&[batch, m, k])), g.input(ty(&[batch, k, n])));
        let y = g.matmul(a, b, false, false);
        let y = g.tanh(y);
        let s = g.sum(y, &[0, 1], false);
        g.outputs = vec![s];
        check(&g, 1, &format!("{batch} products ({m}, {n}, {k})"));
        let part = g.sum(y, &[1], false);
        g.outputs = vec![part];
        check(&g, 2, "sums per product are a step of their own");
    }
}

#[test]
fn bias_gradients_leave_the_step_that_makes_their_rows() {
    let mut g = Graph::new();
    let dims: [&[usize]; 4] = [&[128, 64], &[64, 96], &[96], &[96, 32]];
    let [x, w, bias, v]: [Id; 4] = dims.map(|d| g.input(ty(d)));
    let h = g.matmul(x, w, false, false);
    let h = g.add_(h, bias);
    let h = g.relu(h);
    let y = g.matmul(h, v, false, false);
    let y = g.square(y);
    let loss = g.sum_all(y);
    let grads = fastnn::passes::grad::gradients(&mut g, loss, None, &[w, bias, v]).unwrap();
    g.outputs = grads;
    let program = Program::compile(&g).unwrap();
    assert!(!program.to_string().contains("reduce"), "{program}");
    check(&g, program.steps(), "bias gradient");
}

#[test]
fn rows_are_added_the_same_way_on_every_instruction_set() {
    for (rows, cols, ld) in [(1, 1, 1), (63, 17, 20), (64, 16, 16), (65, 130, 131), (200, 80, 80)] {
        let src: Vec<f32> = (0..rows * ld).map(|i| ((i * 7919) % 1000) as f32 / 8.0).collect();
        let want: Vec<f64> =
            (0..cols).map(|j| 1.0 + (0..rows).map(|i| f64::from(src[i * ld + j])).sum::<f64>()).collect();
        for isa in Isa::available() {
            let mut dst = vec![1.0f32; cols];
            // SAFETY: the set is available, and the vectors have the stated sizes.
            unsafe { add_rows_on(isa, dst.as_mut_ptr(), src.as_ptr(), rows, cols, ld) };
            for (a, b) in dst.iter().zip(&want) {
                assert!((f64::from(*a) - b).abs() <= 1e-6 * b, "{rows}x{cols} on {}: {a}, {b}", isa.name());
            }
        }
    }
}

/// The product replaces `state`, whose old value is still read: by the group, or as the bias.
#[test]
fn state_that_a_product_replaces_is_read_before_it_is_overwritten() {
    for (m, n, k) in [(1, 40, 1300), (3, 7, 5), (130, 96, 64)] {
        for case in 0..4 {
            let mut g = Graph::new();
            let (a, b, state) = (g.input(ty(&[m, k])), g.input(ty(&[k, n])), g.input(ty(&[m, n])));
            let y = g.matmul(a, b, false, false);
            let (new, out) = match case {
                0 => (y, g.add_(y, state)),
                1 => {
                    let new = g.add_(y, state);
                    (new, g.tanh(new))
                }
                2 => {
                    let new = g.relu(y);
                    (new, g.sub(new, state))
                }
                _ => {
                    let sum = g.add_(y, state);
                    let new = g.relu(sum);
                    (new, g.mul(new, state))
                }
            };
            g.outputs = vec![out];
            g.updates = vec![(2, new)];
            let program = Program::compile(&g).unwrap();
            let mut inputs = values(&g, 4);
            let hosts: Vec<Host> = g
                .inputs
                .iter()
                .zip(&inputs)
                .map(|(&i, v)| Host { ty: g.ty(i), data: v.iter().map(|&x| f64::from(x)).collect() })
                .collect();
            let (want, updates) = interp::run(&g, &hosts).unwrap();
            let mut got = vec![f32::NAN; m * n];
            let from: Vec<*mut u8> = inputs.iter_mut().map(|v| v.as_mut_ptr().cast()).collect();
            // SAFETY: one buffer of the right size per slot, none shared.
            unsafe { program.run(&from, &[got.as_mut_ptr().cast()]) }.unwrap();
            let all = got.iter().zip(&want[0].data).chain(inputs[2].iter().zip(&updates[0].1.data));
            for (a, b) in all {
                let fits = (f64::from(*a) - b).abs() <= 1e-4 * (1.0 + b.abs());
                assert!(fits, "case {case} of ({m}, {n}, {k}): {a}, wanted {b}\n{program}");
            }
        }
    }
}

/// Everything that changes in an optimiser's step is one instruction behind the product that makes the
/// gradient, and gives what the oracle gives.
#[test]
fn the_step_of_an_optimiser_is_one_instruction_of_the_weight_gradient() {
    let kinds: [(&str, optim::Hyper<'_>, &str); 7] = [
        ("adam", &[], "then 1 ops"),
        ("adamw", &[], "then 1 ops"),
        ("rmsprop", &[], "then 1 ops"),
        ("sgd", &[], "then 1 ops"),
        ("sgd", &[("momentum", 0.9)], "then 1 ops"),
        // Without a pattern of their own.
        ("adam", &[("amsgrad", 1.0)], "then "),
        ("sgd", &[("momentum", 0.9), ("nesterov", 1.0)], "then "),
    ];
    for (kind, hyper, wanted) in kinds {
        for (batch, m, n) in [(1, 30, 10), (5, 33, 64), (40, 70, 130)] {
            let mut g = Graph::new();
            let (x, dy) = (g.input(ty(&[batch, m])), g.input(ty(&[batch, n])));
            let param = g.input(ty(&[m, n]));
            let scalar = Shape::new::<usize>(&[]).unwrap();
            let iterations = g.input(Ty { shape: scalar, dtype: DType::I32 });
            let rate = g.input(Ty::f32(scalar));
            let slots: Vec<Id> =
                (0..optim::slots(kind, hyper).unwrap().len()).map(|_| g.input(ty(&[m, n]))).collect();
            let grad = g.matmul(x, dy, true, false);
            let with = Update { param, grad, slots: &slots, iterations, rate };
            let (new, moved) = optim::update(&mut g, kind, &with, hyper).unwrap();
            g.updates = [(2, new)].into_iter().chain((5..).zip(moved)).collect();
            let program = Program::compile(&g).unwrap();
            assert!(program.to_string().contains(wanted), "{kind}: {program}");
            let mut inputs = values(&g, 4);
            inputs[3][0] = f32::from_bits(3);
            // Averages of squares are not negative.
            inputs[5..].iter_mut().flatten().for_each(|v| *v = v.abs());
            let mut hosts: Vec<Host> = g
                .inputs
                .iter()
                .zip(&inputs)
                .map(|(&i, v)| Host { ty: g.ty(i), data: v.iter().map(|&x| f64::from(x)).collect() })
                .collect();
            hosts[3].data[0] = 3.0;
            let (_, updates) = interp::run(&g, &hosts).unwrap();
            let from: Vec<*mut u8> = inputs.iter_mut().map(|v| v.as_mut_ptr().cast()).collect();
            // SAFETY: one buffer of the right size per slot, none shared.
            unsafe { program.run(&from, &[]) }.unwrap();
            for (slot, want) in updates {
                for (a, b) in inputs[slot].iter().zip(&want.data) {
                    let fits = (f64::from(*a) - b).abs() <= 1e-5 * (1.0 + b.abs());
                    assert!(fits, "{kind}, slot {slot} of {m}x{n}: {a}, wanted {b}\n{program}");
                }
            }
        }
    }
}
