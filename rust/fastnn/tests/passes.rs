//! Every pass against the oracle: random graphs, compiled and interpreted, must agree; plans must
//! not overlap; the same program gives the same bits on any number of threads.

use fastnn::dim::Dim;
use fastnn::exec::cpu::Program;
use fastnn::exec::interp;
use fastnn::graph::{Attr, Graph, Host, Id, Ty};
use fastnn::ops::collective::ALL_REDUCE;
use fastnn::ops::index::TAKE;
use fastnn::ops::window::UPDATE_SLICE;
use fastnn::ops::{self, build::Build};
use fastnn::passes::plan::Loc;
use fastnn::passes::{grad, plan, prepare, verify};
use fastnn::shape::{DType, Shape};

/// A small counter-based generator: tests need repeatable choices, not quality.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }
}

fn shape(dims: &[usize]) -> Shape {
    Shape::new(dims).unwrap()
}

/// Inputs in [0.3, 1.7]: inside the domain of every op drawn below.
fn fill(rng: &mut Rng, g: &Graph) -> Vec<Vec<f32>> {
    g.inputs.iter().map(|&i| (0..g.shape(i).count()).map(|_| 0.3 + 1.4 * rng.unit()).collect()).collect()
}

struct Outcome {
    outputs: Vec<Vec<f32>>,
    inputs: Vec<Vec<f32>>,
}

fn run_program(g: &Graph, program: &Program, inputs: &[Vec<f32>]) -> Outcome {
    let mut inputs: Vec<Vec<f32>> = inputs.to_vec();
    let mut outputs: Vec<Vec<f32>> = g.outputs.iter().map(|&o| vec![f32::NAN; g.shape(o).count()]).collect();
    let ins: Vec<*mut u8> = inputs.iter_mut().map(|v| v.as_mut_ptr().cast()).collect();
    let outs: Vec<*mut u8> = outputs.iter_mut().map(|v| v.as_mut_ptr().cast()).collect();
    // SAFETY: one buffer of the right size per slot, none shared.
    unsafe { program.run(&ins, &outs) }.unwrap();
    Outcome { outputs, inputs }
}

fn run_oracle(g: &Graph, inputs: &[Vec<f32>]) -> Outcome {
    let hosts: Vec<Host> = g
        .inputs
        .iter()
        .zip(inputs)
        .map(|(&i, v)| Host { ty: g.ty(i), data: v.iter().map(|&x| f64::from(x)).collect() })
        .collect();
    let (outs, updates) = interp::run(g, &hosts).unwrap();
    let mut inputs = inputs.to_vec();
    for (slot, host) in updates {
        inputs[slot] = host.data.iter().map(|&x| x as f32).collect();
    }
    Outcome { outputs: outs.iter().map(|h| h.data.iter().map(|&x| x as f32).collect()).collect(), inputs }
}

fn assert_close(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}: sizes differ");
    let scale = want.iter().filter(|x| x.is_finite()).fold(1f32, |a, &b| a.max(b.abs()));
    for (i, (&a, &b)) in got.iter().zip(want).enumerate() {
        let fits = (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= 2e-4 * scale;
        assert!(fits, "{what}: element {i} is {a}, the oracle says {b}");
    }
}

fn check(g: &Graph, rng: &mut Rng, what: &str) {
    g.recheck().unwrap();
    let program = Program::compile(g).unwrap_or_else(|e| panic!("{what}: {e}\n{g}"));
    let inputs = fill(rng, g);
    let got = run_program(g, &program, &inputs);
    let want = run_oracle(g, &inputs);
    for (k, (a, b)) in got.outputs.iter().zip(&want.outputs).enumerate() {
        assert_close(a, b, &format!("{what}: output {k} of\n{g}{program}"));
    }
    for (k, (a, b)) in got.inputs.iter().zip(&want.inputs).enumerate() {
        assert_close(a, b, &format!("{what}: input {k} after the run of\n{g}{program}"));
    }
}

/// Grows a graph of `size` random nodes over shapes that broadcast with (4, 6).
fn random_graph(rng: &mut Rng, size: usize) -> Graph {
    let mut g = Graph::new();
    let shapes: [&[usize]; 6] = [&[4, 6], &[6], &[4, 1], &[], &[1, 6], &[4, 6]];
    let mut pool: Vec<Id> = shapes.iter().map(|s| g.input(Ty::f32(shape(s)))).collect();
    for _ in 0..size {
        let x = pool[rng.below(pool.len())];
        let y = pool[rng.below(pool.len())];
        let full = |g: &Graph, id: Id| g.shape(id).dims() == [4, 6];
        let id = match rng.below(16) {
            0 => g.add_(x, y),
            1 => g.sub(x, y),
            2 => {
                let p = g.mul(x, y);
                g.tanh(p)
            }
            3 => g.maximum(x, y),
            4 => g.tanh(x),
            5 => g.sigmoid(x),
            6 => {
                let c = g.greater(x, y);
                g.where_(c, x, y)
            }
            7 if full(&g, x) => {
                let axis = rng.below(2) as i64;
                let keep = rng.below(2) == 0;
                let s = g.mean(x, &[axis], keep);
                if keep || axis == 0 { s } else { g.reshape(s, &[4, 1]) }
            }
            8 if full(&g, x) => {
                let s = g.sum(x, &[0, 1], false);
                g.tanh(s)
            }
            9 if full(&g, x) && full(&g, y) => {
                // (4, 6) @ (4, 6)^T @ (4, 6), kept small.
                let p = g.matmul(x, y, false, true);
                let p = g.matmul(p, x, false, false);
                g.tanh(p)
            }
            10 if full(&g, x) => {
                let t = g.transpose(x, &[1, 0]);
                let t = g.exp(t);
                let t = g.transpose(t, &[1, 0]);
                g.tanh(t)
            }
            11 if full(&g, x) => {
                let r = g.reshape(x, &[2, 12]);
                let r = g.square(r);
                let r = g.sigmoid(r);
                g.reshape(r, &[4, 6])
            }
            12 if full(&g, x) => {
                let m = g.max(x, &[1], true);
                g.sub(x, m)
            }
            13 if full(&g, x) => g.build(ops::find("softmax").unwrap(), &[x], &[Attr::Int(-1)]),
            14 => {
                let n = g.mul_scalar(x, 0.5);
                g.add_scalar(n, 0.25)
            }
            _ => g.relu(x),
        };
        pool.push(id);
    }
    let n = pool.len();
    g.outputs = vec![pool[n - 1], pool[n - 2], pool[6 + rng.below(n - 6)]];
    g
}

#[test]
fn compiled_graphs_agree_with_the_oracle() {
    let mut rng = Rng(1);
    for round in 0..300 {
        let size = 3 + rng.below(25);
        let g = random_graph(&mut rng, size);
        check(&g, &mut rng, &format!("graph {round}"));
    }
}

#[test]
fn updates_of_state_agree_with_the_oracle() {
    let mut rng = Rng(2);
    for round in 0..300 {
        let size = 3 + rng.below(25);
        let mut g = random_graph(&mut rng, size);
        let full: Vec<Id> =
            (0..g.nodes.len() as u32).map(Id).filter(|&i| g.shape(i).dims() == [4, 6]).collect();
        let values: Vec<Id> = (0..2).map(|_| full[rng.below(full.len())]).collect();
        g.updates = vec![(0, values[0]), (5, values[1])];
        check(&g, &mut rng, &format!("stateful graph {round}"));
    }
}

#[test]
fn gradients_of_random_graphs_agree_with_the_oracle() {
    let mut rng = Rng(3);
    for round in 0..150 {
        let size = 3 + rng.below(15);
        let mut g = random_graph(&mut rng, size);
        let last = g.outputs[0];
        let loss = g.sum_all(last);
        let wrt = g.inputs.clone();
        let grads = grad::gradients(&mut g, loss, None, &wrt).unwrap();
        for (&x, &d) in wrt.iter().zip(&grads) {
            assert_eq!(g.shape(x), g.shape(d), "a gradient has its input's shape");
        }
        g.outputs = grads;
        g.outputs.push(loss);
        check(&g, &mut rng, &format!("gradient graph {round}"));
    }
}

fn mlp_step(batch: usize, sizes: &[usize]) -> Graph {
    let mut g = Graph::new();
    let x = g.input(Ty::f32(shape(&[batch, sizes[0]])));
    let target = g.input(Ty::f32(shape(&[batch, *sizes.last().unwrap()])));
    let rate = g.input(Ty::f32(Shape::scalar()));
    let mut params = vec![];
    let mut h = x;
    for (i, pair) in sizes.windows(2).enumerate() {
        let w = g.input(Ty::f32(shape(pair)));
        let b = g.input(Ty::f32(shape(&pair[1..])));
        params.extend([w, b]);
        let z = g.matmul(h, w, false, false);
        let z = g.add_(z, b);
        h = if i + 2 < sizes.len() { g.relu(z) } else { z };
    }
    let d = g.sub(h, target);
    let d = g.square(d);
    let axes: Vec<i64> = vec![0, 1];
    let loss = g.mean(d, &axes, false);
    let grads = grad::gradients(&mut g, loss, None, &params).unwrap();
    for (slot, (&p, &d)) in params.iter().zip(&grads).enumerate() {
        let m = g.input(g.ty(p));
        let keep = g.mul_scalar(m, 0.9);
        let step = g.mul(d, rate);
        let velocity = g.sub(keep, step);
        let new = g.add_(p, velocity);
        g.updates.push((3 + slot, new));
        let velocity_slot = g.inputs.len() - 1;
        g.updates.push((velocity_slot, velocity));
    }
    g.outputs = vec![loss];
    g
}

#[test]
fn a_training_step_agrees_with_the_oracle_at_many_sizes() {
    let mut rng = Rng(4);
    for (batch, sizes) in [
        (1, vec![3, 1]),
        (5, vec![1, 1]),
        (7, vec![20, 64, 64, 1]),
        (33, vec![50, 70, 10]),
        (64, vec![130, 600, 3]),
    ] {
        let g = mlp_step(batch, &sizes);
        check(&g, &mut rng, &format!("mlp {sizes:?} batch {batch}"));
    }
}

#[test]
fn a_training_step_updates_state_in_place_and_stores_no_weight_gradient() {
    let g = mlp_step(32, &[64, 128, 128, 8]);
    let program = Program::compile(&g).unwrap();
    let text = program.to_string();
    assert!(!text.contains("copy Arena"), "an update was copied instead of written in place:\n{text}");
    let largest_weight = 128 * 128;
    let activations = 32 * (128 * 4 + 8 * 4) + 4096;
    assert!(
        program.arena() < 4 * activations.max(largest_weight),
        "the arena holds weight gradients: {} bytes\n{text}",
        program.arena()
    );
}

#[test]
fn a_deep_training_step_keeps_activations_no_longer_than_it_needs_them() {
    // Each layer needs its activations until the gradient of its weight is made, which is as soon as
    // the gradient of its result has gone on: never those of all layers and all their gradients.
    let (batch, wide, layers) = (64, 96, 12);
    let g = mlp_step(batch, &vec![wide; layers + 1]);
    let program = Program::compile(&g).unwrap();
    let one = batch * wide * 4;
    assert!(program.arena() < (layers + 3) * one, "{} activations\n{program}", program.arena() / one);
    check(&mlp_step(16, &[24; 9]), &mut Rng(14), "a deep step");
}

#[test]
fn a_program_of_very_many_values_shares_memory_and_is_right() {
    // More values than are placed pair by pair; those of the first size are read in the end only.
    let rounds = 3000;
    let mut g = Graph::new();
    let x = g.input(Ty::f32(shape(&[8, 4])));
    let w = g.input(Ty::f32(shape(&[4, 4])));
    let mut kept = vec![x];
    let (mut narrow, mut sum) = (w, x);
    for i in 0..rounds {
        let h = g.matmul(kept[i], w, false, false);
        kept.push(g.tanh(h));
        let own = g.matmul(kept[i + 1], kept[i + 1], true, false);
        let own = g.tanh(own);
        let both = g.add_(own, narrow);
        let next = g.matmul(both, w, false, false);
        narrow = g.tanh(next);
    }
    for h in kept.into_iter().rev() {
        let both = g.add_(sum, h);
        let next = g.matmul(both, w, false, false);
        sum = g.tanh(next);
    }
    g.outputs = vec![sum, narrow];
    let program = Program::compile(&g).unwrap();
    assert!(program.arena() < (rounds + 32) * 8 * 4 * 4, "{} bytes", program.arena());
    check(&g, &mut Rng(15), "very many values");
}

#[test]
fn a_table_that_is_read_again_is_still_updated_in_place() {
    let mut g = Graph::new();
    let (rows, n) = (500, 8);
    let table = g.input(Ty::f32(shape(&[rows, n])));
    let first = g.input(Ty { shape: shape(&[5]), dtype: DType::I32 });
    let new = g.input(Ty::f32(shape(&[1, n])));
    let again = g.input(Ty { shape: shape(&[3]), dtype: DType::I32 });
    let start = g.input(Ty { shape: shape(&[1]), dtype: DType::I32 });
    let axis = [Attr::Int(0)];
    let took = g.build(&TAKE, &[table, first], &axis);
    let next = g.build(&UPDATE_SLICE, &[table, new, start], &[Attr::Ints(vec![0])]);
    let later = g.build(&TAKE, &[table, again], &axis);
    g.updates = vec![(0, next)];
    g.outputs = vec![took, later];
    let program = Program::compile(&g).unwrap();
    assert!(program.arena() < rows * n * 4 && !program.to_string().contains("copy"), "{program}");
}

#[test]
fn processes_meet_in_the_order_of_the_graph() {
    let mut g = Graph::new();
    let small = g.input(Ty::f32(shape(&[4])));
    let large = g.input(Ty::f32(shape(&[4096])));
    let weight = g.input(Ty::f32(Shape::scalar()));
    let sum = |g: &mut Graph, x: Id, place: i64| g.build(&ALL_REDUCE, &[x, weight], &[Attr::Int(place)]);
    let squares = g.square(large);
    let first = sum(&mut g, small, 0);
    let rest = g.exp(first);
    let second = sum(&mut g, squares, 1);
    let total = g.sum(second, &[0], false);
    let third = sum(&mut g, rest, 2);
    g.outputs = vec![total, third];
    let (g, fusion) = prepare(&g, &fastnn::exec::cpu::LIMITS).unwrap();
    let members = fusion.works.iter().flat_map(fastnn::passes::fuse::Work::members);
    let places: Vec<i64> = members
        .filter(|id| g.node(*id).op.name == ALL_REDUCE.name)
        .map(|id| g.node(id).attrs[0].int())
        .collect();
    assert_eq!(places, [0, 1, 2]);
}

#[test]
fn a_program_gives_the_same_bits_on_any_number_of_threads() {
    let mut rng = Rng(5);
    let g = mlp_step(128, &[300, 512, 512, 10]);
    let program = Program::compile(&g).unwrap();
    let inputs = fill(&mut rng, &g);
    let before = fastnn::pool::threads();
    let mut first: Option<Outcome> = None;
    for threads in [1, 2, 3] {
        fastnn::pool::set_threads(threads);
        let got = run_program(&g, &program, &inputs);
        if let Some(first) = &first {
            let bits = |v: &Vec<Vec<f32>>| v.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&got.inputs), bits(&first.inputs), "{threads} threads");
            assert_eq!(bits(&got.outputs), bits(&first.outputs), "{threads} threads");
        } else {
            first = Some(got);
        }
    }
    fastnn::pool::set_threads(before);
}

#[test]
fn state_that_swaps_is_swapped() {
    let mut g = Graph::new();
    let a = g.input(Ty::f32(shape(&[5])));
    let b = g.input(Ty::f32(shape(&[5])));
    g.updates = vec![(0, b), (1, a)];
    g.outputs = vec![a];
    check(&g, &mut Rng(6), "swap");
}

#[test]
fn integers_and_truth_values_pass_through_groups() {
    let mut g = Graph::new();
    let x = g.input(Ty::f32(shape(&[4, 6])));
    let y = g.input(Ty::f32(shape(&[4, 6])));
    let more = g.greater(x, y);
    let count = g.cast(more, DType::I32);
    let two = g.typed_scalar(2.0, DType::I32);
    let twice = g.mul(count, two);
    let back = g.cast(twice, DType::F32);
    let result = g.where_(more, back, x);
    g.outputs = vec![result];
    check(&g, &mut Rng(7), "types");
}

/// Builds a graph whose groups would wait for each other in a circle if the fuser merged whatever
/// looks mergeable: a reduction feeds readers of its own input and of a shared scalar.
fn circle(order: usize) -> Graph {
    let mut g = Graph::new();
    let x = g.input(Ty::f32(shape(&[5])));
    let c = g.input(Ty::f32(shape(&[])));
    let t = g.exp(x);
    let early = order.is_multiple_of(2).then(|| g.exp(c));
    let m = g.mean(t, &[0], false);
    let d = g.sub(t, m);
    let d = g.square(d);
    let v = g.mean(d, &[0], false);
    let r = early.unwrap_or_else(|| g.exp(c));
    let (scaled, shifted) = if order < 2 {
        let scaled = g.mul(t, r);
        (scaled, g.add_(v, r))
    } else {
        let shifted = g.add_(v, r);
        (g.mul(t, r), shifted)
    };
    g.outputs = vec![v, scaled, shifted];
    g
}

#[test]
fn groups_never_wait_for_each_other_in_a_circle() {
    let mut rng = Rng(8);
    for order in 0..4 {
        check(&circle(order), &mut rng, &format!("circle {order}"));
    }
}

/// Scalars and reductions that feed readers of their inputs, all outputs wanted.
fn crossed(rng: &mut Rng, size: usize) -> Graph {
    let mut g = Graph::new();
    let mut rows: Vec<Id> = (0..2).map(|_| g.input(Ty::f32(shape(&[4, 6])))).collect();
    let mut scalars: Vec<Id> = (0..2).map(|_| g.input(Ty::f32(shape(&[])))).collect();
    for _ in 0..size {
        let (x, y) = (rows[rng.below(rows.len())], rows[rng.below(rows.len())]);
        let (s, t) = (scalars[rng.below(scalars.len())], scalars[rng.below(scalars.len())]);
        match rng.below(6) {
            0 => rows.push(g.tanh(x)),
            1 => rows.push(g.mul(x, s)),
            2 => rows.push(g.sub(x, y)),
            3 => scalars.push(g.mean(x, &[0, 1], false)),
            4 => scalars.push(g.tanh(s)),
            _ => scalars.push(g.sub(s, t)),
        }
    }
    g.outputs = rows[2..].iter().chain(&scalars[2..]).copied().collect();
    g
}

#[test]
fn reductions_that_feed_readers_of_their_inputs_agree_with_the_oracle() {
    let mut rng = Rng(9);
    for round in 0..1000 {
        let size = 4 + rng.below(37);
        let g = crossed(&mut rng, size);
        check(&g, &mut rng, &format!("crossed graph {round}"));
    }
}

#[test]
fn a_plan_in_which_two_values_meet_is_an_error() {
    let mut g = Graph::new();
    let x = g.input(Ty::f32(shape(&[8, 8])));
    let a = g.matmul(x, x, false, false);
    let b = g.matmul(a, x, false, false);
    let c = g.matmul(a, b, false, false);
    g.outputs = vec![c];
    let (g, fusion) = prepare(&g, &fastnn::exec::cpu::LIMITS).unwrap();
    let mut plan = plan::plan(&g, &fusion).unwrap();
    verify::verify(&g, &fusion, &plan).unwrap();
    let arena: Vec<usize> =
        (0..plan.locs.len()).filter(|&i| matches!(plan.locs[i], Some(Loc::Arena(_)))).collect();
    assert_eq!(arena.len(), 2, "two values are alive at once");
    let good = plan.locs.clone();
    plan.locs[arena[1]] = plan.locs[arena[0]];
    assert!(verify::verify(&g, &fusion, &plan).unwrap_err().to_string().contains("overwritten"));
    plan.locs.clone_from(&good);
    plan.locs[arena[0]] = Some(Loc::Input(0));
    assert!(verify::verify(&g, &fusion, &plan).is_err());
    plan.locs.clone_from(&good);
    let result = plan.locs.iter().position(|l| *l == Some(Loc::Output(0))).unwrap();
    plan.locs[result] = Some(Loc::Arena(1 << 20));
    assert!(verify::verify(&g, &fusion, &plan).unwrap_err().to_string().contains("lost"));
}

#[test]
fn attributes_of_every_kind_equal_their_copies() {
    let all = [
        Attr::Int(1),
        Attr::Ints(vec![1]),
        Attr::Size(Dim::BATCH),
        Attr::Sizes(vec![Dim::BATCH, Dim::ONE]),
        Attr::Float(f64::NAN),
        Attr::Bool(true),
        Attr::DType(DType::F32),
        Attr::None,
    ];
    for (i, a) in all.iter().enumerate() {
        for (j, b) in all.iter().enumerate() {
            assert_eq!(a == &b.clone(), i == j, "{a:?} and {b:?}");
        }
    }
    assert_ne!(Attr::Float(0.0), Attr::Float(-0.0));
}

#[test]
fn a_factor_of_one_in_another_shape_is_dropped() {
    let mut g = Graph::new();
    let (x, one) = (g.input(Ty::f32(shape(&[4, 6]))), g.number(1.0));
    let factor = g.reshape(one, &[1, 1]);
    let scaled = g.mul(factor, x);
    let y = g.matmul(scaled, x, false, true);
    g.outputs = vec![y];
    let (g, fusion) = prepare(&g, &fastnn::exec::cpu::LIMITS).unwrap();
    let members = fusion.works.iter().flat_map(fastnn::passes::fuse::Work::members);
    let names: Vec<&str> = members.map(|id| g.node(id).op.name).collect();
    assert_eq!(names, ["matmul"]);
}
