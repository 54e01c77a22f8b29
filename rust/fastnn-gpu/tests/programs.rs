//! Programs of thousands of random graphs: every text is valid, and every program holds to the rules
//! of devices, with the fewest bindings that an adapter may offer and with more.

mod common;

use fastnn::graph::{Attr, Graph, Id, Kind, Ty};
use fastnn::ops::build::Build;
use fastnn::ops::{OPS, find};
use fastnn::passes::grad;
use fastnn::shape::{DType, Shape};
use fastnn_gpu::dispatch::Limits;
use fastnn_gpu::halves::Half;
use fastnn_gpu::planner::{Slot, plan};
use fastnn_gpu::program::Program;
use std::collections::HashSet;

/// Repeatable choices.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n as u64) as usize
    }
}

fn f32(dims: &[usize]) -> Ty {
    Ty::f32(Shape::new(dims).unwrap())
}

/// Elementwise rows of all types, products, convolutions, reductions and movement around one shape.
fn random_graph(rng: &mut Rng, size: usize) -> Graph {
    let mut g = Graph::new();
    let (n, m) = ([1, 4, 13, 300][rng.below(4)], [1, 6, 17][rng.below(3)]);
    let mut pool: Vec<Id> =
        [&[n, m][..], &[m], &[n, 1], &[], &[1, m], &[m, m]].iter().map(|dims| g.input(f32(dims))).collect();
    pool.push(g.input(Ty { shape: Shape::new(&[n, m]).unwrap(), dtype: DType::I32 }));
    pool.push(g.input(Ty { shape: Shape::new(&[m]).unwrap(), dtype: DType::Bool }));
    pool.push(g.input(Ty { shape: Shape::new(&[n, m]).unwrap(), dtype: DType::BF16 }));
    let rows: Vec<_> = OPS.iter().copied().filter(|op| matches!(op.kind, Kind::Map)).collect();
    while g.nodes.len() < size {
        let (x, y, z) =
            (pool[rng.below(pool.len())], pool[rng.below(pool.len())], pool[rng.below(pool.len())]);
        let rank = g.shape(x).rank();
        let axis = |rng: &mut Rng| rng.below(rank.max(1)) as i64;
        let added = match rng.below(13) {
            0 if rank == 2 => {
                let x = g.to_float(x);
                let flipped = g.transpose(x, &[1, 0]);
                Ok(g.matmul(flipped, x, false, false))
            }
            1 => g.try_add(
                find("matmul").unwrap(),
                &[x, y],
                &[Attr::Bool(rng.below(2) == 0), Attr::Bool(false)],
            ),
            2 | 3 if rank > 0 => {
                let op = find(["sum", "mean", "max", "min", "prod"][rng.below(5)]).unwrap();
                g.try_add(op, &[x], &[Attr::Ints(vec![axis(rng)]), Attr::Bool(true)])
            }
            7 if rank == 2 => {
                // Rows as places of one image, columns as its channels.
                let image = g.to_float(x);
                let sizes: Vec<usize> = g.shape(x).sizes().to_vec();
                let image = g.reshape_to(image, &Shape::new(&[1, sizes[0], sizes[1]]).unwrap());
                let filters = g.input(f32(&[3, sizes[1], sizes[1]]));
                let attrs = [Attr::Ints(vec![1]), Attr::Ints(vec![-1]), Attr::Ints(vec![1]), Attr::Int(1)];
                g.try_add(find("conv").unwrap(), &[image, filters], &attrs)
                    .map(|y| g.reshape_to(y, &Shape::new(&sizes).unwrap()))
            }
            4 if rank == 2 => Ok(g.transpose(x, &[1, 0])),
            5 if rank > 0 => {
                let op = find(["argmax", "argmin"][rng.below(2)]).unwrap();
                g.try_add(op, &[x], &[Attr::Int(axis(rng)), Attr::Bool(true)])
            }
            6 if rank > 0 => g.try_add(find("flip").unwrap(), &[x], &[Attr::Ints(vec![axis(rng)])]),
            _ => {
                let op = rows[rng.below(rows.len())];
                g.try_add(op, &[x, y, z][..op.args.len()], &[])
            }
        };
        if let Ok(id) = added {
            pool.push(id);
        }
    }
    g.check().unwrap();
    g.outputs = (0..3).map(|_| pool[pool.len() - 1 - rng.below(6)]).collect();
    // Some inputs are states, with new values of their types.
    for slot in 0..3 {
        let ty = g.ty(g.inputs[slot]);
        if let Some(&value) = pool.iter().rev().find(|&&id| g.ty(id) == ty && id != g.inputs[slot]) {
            g.updates.push((slot, value));
        }
    }
    g
}

fn slots(g: &Graph) -> Vec<Slot> {
    let updated: HashSet<usize> = g.updates.iter().map(|&(slot, _)| slot).collect();
    (0..g.inputs.len())
        .map(
            |k| {
                if updated.contains(&k) { Slot::State(format!("s{k}")) } else { Slot::Input(format!("x{k}")) }
            },
        )
        .collect()
}

fn planned(g: &Graph, limits: &Limits, seen: &mut HashSet<String>) -> Program {
    let program = plan(g, &slots(g), limits).unwrap_or_else(|e| panic!("{e}\n{g}"));
    for kernel in &program.kernels {
        if seen.insert(kernel.wgsl.clone()) {
            common::validate(&kernel.name, &kernel.wgsl);
        }
    }
    program
}

#[test]
fn programs_of_random_graphs_are_valid_and_hold_to_the_rules() {
    let mut rng = Rng(11);
    let mut seen = HashSet::new();
    let wide = Limits { storage_buffers: 16, alignment: 32, ..Limits::PORTABLE };
    let narrow = Limits { grid: 3, ..Limits::PORTABLE };
    // Large values are bound in windows.
    let split = Limits { binding_bytes: 7000, storage_buffers: 40, ..Limits::PORTABLE };
    // Activations take two bytes, in windows too.
    let halves = Limits { halves: true, between: Some(Half::Bf16), ..Limits::PORTABLE };
    let both = Limits { halves: true, between: Some(Half::F16), ..split };
    let (mut steps, mut windows, mut narrow_kernels) = (0, 0, 0);
    for round in 0..3000 {
        let size = 14 + rng.below(40);
        let g = random_graph(&mut rng, size);
        let limits = [&Limits::PORTABLE, &wide, &narrow, &split, &halves, &both][round % 6];
        if limits.grid == 3 {
            // A grid of three by three holds few elements; programs that need more say so.
            let _ = plan(&g, &slots(&g), limits);
            continue;
        }
        if limits.binding_bytes == split.binding_bytes
            && let Err(error) = plan(&g, &slots(&g), limits)
        {
            // More windows than a kernel may bind.
            assert!(error.to_string().contains("values larger than the 7000 bytes"), "{error}");
            continue;
        }
        let program = planned(&g, limits, &mut seen);
        let are_halves = program.kernels.iter().filter(|k| k.wgsl.starts_with("enable f16;")).count();
        assert!(limits.halves || are_halves == 0);
        assert_eq!(program.needs.features.is_empty(), are_halves == 0);
        narrow_kernels += are_halves;
        windows += program.kernels.iter().filter(|k| k.wgsl.contains("_window1")).count();
        steps += program.steps.len();
    }
    assert!(seen.len() > 2500, "{} texts", seen.len());
    assert!(steps > 5000, "{steps} steps");
    assert!(windows > 100, "{windows} kernels with windows");
    assert!(narrow_kernels > 30, "{narrow_kernels} kernels with halves");
}

#[test]
fn a_training_step_updates_its_state_in_place_and_is_written_as_json() {
    let mut g = Graph::new();
    let x = g.input(f32(&[20, 7]));
    let w = g.input(f32(&[7, 9]));
    let m = g.input(f32(&[7, 9]));
    let h = g.matmul(x, w, false, false);
    let h = g.tanh(h);
    let y = g.square(h);
    let loss = g.mean_all(y);
    let dw = grad::gradients(&mut g, loss, None, &[w]).unwrap()[0];
    let rate = g.scalar(0.1);
    let step = g.mul(dw, rate);
    let m2 = g.add_(m, step);
    let w2 = g.sub(w, m2);
    g.updates = vec![(1, w2), (2, m2)];
    g.outputs = vec![loss];
    let program = planned(&g, &Limits::PORTABLE, &mut HashSet::new());
    assert!(program.copies.is_empty(), "{:?}", program.copies);
    let json: serde_json::Value = serde_json::from_str(&program.to_json().unwrap()).unwrap();
    let roles: Vec<&str> =
        json["buffers"].as_array().unwrap().iter().map(|b| b["role"].as_str().unwrap()).collect();
    assert_eq!(&roles[..4], ["input", "state", "state", "output"]);
    assert_eq!(json["buffers"][2]["number"], 1);
    assert_eq!(json["kernels"][0]["bindings"].as_array().unwrap().last().unwrap(), "read_write");
    assert!(json["memory"]["state"].as_u64().unwrap() == 2 * 7 * 9 * 4);
}

/// A step of training of two dense layers, its weights and their moments: the activations that the way
/// back reads, and what flows back, may take two bytes.
#[test]
fn activations_of_a_step_take_two_bytes_and_its_weights_four() {
    let mut g = Graph::new();
    let x = g.input(f32(&[64, 40]));
    let weights = [f32(&[40, 48]), f32(&[48, 48]), f32(&[48, 6])].map(|ty| g.input(ty));
    let mut h = x;
    for w in weights {
        h = g.matmul(h, w, false, false);
        h = g.tanh(h);
    }
    let y = g.square(h);
    let loss = g.mean_all(y);
    let slopes = grad::gradients(&mut g, loss, None, &weights).unwrap();
    for (k, (w, slope)) in weights.into_iter().zip(slopes).enumerate() {
        let rate = g.scalar(0.1);
        let step = g.mul(slope, rate);
        let new = g.sub(w, step);
        g.updates.push((1 + k, new));
    }
    g.outputs = vec![loss];
    let mut seen = HashSet::new();
    let slots_of = |half: Option<Half>, seen: &mut HashSet<String>| {
        let limits = Limits { halves: true, between: half, ..Limits::PORTABLE };
        let program = planned(&g, &limits, seen);
        let sizes = program.buffers.iter().filter(|b| b.name.starts_with("slot")).map(|b| b.bytes);
        let mut sizes: Vec<usize> = sizes.collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes
    };
    let whole = slots_of(None, &mut seen);
    assert!(seen.iter().all(|text| !text.contains("f16")));
    let halves = slots_of(Some(Half::Bf16), &mut seen);
    // Two layers of 64 by 48.
    assert_eq!(whole[..2], [64 * 48 * 4; 2]);
    let (all, most) = (halves.iter().sum::<usize>(), whole.iter().sum::<usize>() * 3 / 4);
    assert!(all < most, "{halves:?} {whole:?}");
    let clipped = slots_of(Some(Half::F16), &mut seen);
    assert!(clipped.iter().sum::<usize>() <= whole.iter().sum::<usize>(), "{clipped:?} {whole:?}");
    assert!(seen.iter().any(|text| text.contains("half_clipped")));
}

#[test]
fn a_value_larger_than_a_buffer_is_named() {
    let mut g = Graph::new();
    let x = g.input(f32(&[1000]));
    let y = g.tanh(x);
    g.outputs = vec![y];
    let small = Limits { buffer_bytes: 2000, ..Limits::PORTABLE };
    let text = plan(&g, &slots(&g), &small).unwrap_err().to_string();
    assert!(text.contains("'x0'") && text.contains("4000") && text.contains("hint:"), "{text}");
}

#[test]
fn the_same_graph_gives_the_same_program() {
    let mut rng = Rng(5);
    for _ in 0..20 {
        let g = random_graph(&mut rng, 40);
        let text = || plan(&g, &slots(&g), &Limits::PORTABLE).unwrap().to_json().unwrap();
        assert_eq!(text(), text());
    }
}
