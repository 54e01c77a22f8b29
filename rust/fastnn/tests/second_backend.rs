//! A back end beside the core needs nothing of the CPU's: this one interprets fused groups in f64
//! with the row's meaning as its instruction, binds at most eight memory regions a step, and agrees
//! with the oracle on random graphs.

use fastnn::exec::interp;
use fastnn::graph::{Attr, Graph, Host, Id, Kind, Ty};
use fastnn::ops::build::Build;
use fastnn::ops::{OPS, find};
use fastnn::passes::fuse::{Fused, Fusion, Limits, Origin, Work};
use fastnn::passes::group::{self, Access, Operand, Port};
use fastnn::passes::{grad, prepare};
use fastnn::shape::{DType, Shape};
use std::collections::{BTreeSet, HashMap};

const LIMITS: Limits = Limits { nodes: 10, inputs: 6, buffers: 8 };

struct Backend {
    graph: Graph,
    fusion: Fusion,
    memory: HashMap<Id, Vec<f64>>,
    /// Regions bound by the step with the most.
    most: usize,
    merged: usize,
}

/// The graph's results, then new state by slot.
type Results = (Vec<Vec<f64>>, Vec<(usize, Vec<f64>)>);

impl Backend {
    fn new(graph: &Graph) -> Backend {
        let (graph, fusion) = prepare(graph, &LIMITS).unwrap();
        Backend { graph, fusion, memory: HashMap::new(), most: 0, merged: 0 }
    }

    fn run(&mut self, inputs: &[Host]) -> Results {
        for (i, node) in self.graph.nodes.iter().enumerate() {
            let id = Id(i as u32);
            match node.op.name {
                "input" => self.memory.insert(id, inputs[node.attrs[0].int() as usize].data.clone()),
                "scalar" => self.memory.insert(id, vec![node.attrs[0].float()]),
                _ => None,
            };
        }
        for work in self.fusion.works.clone() {
            match work {
                Work::Fused(fused) => self.fused(&fused),
                Work::Kernel(id, parts) => [id].into_iter().chain(parts).for_each(|id| self.alone(id)),
                Work::Copy(id) => self.alone(id),
            }
        }
        let read = |id: &Id| self.memory[&self.fusion.root(*id)].clone();
        let updates = self.graph.updates.iter().map(|(slot, id)| (*slot, read(id))).collect();
        (self.graph.outputs.iter().map(read).collect(), updates)
    }

    /// A value as its readers see it.
    fn host(&self, id: Id) -> Host {
        Host { ty: self.graph.ty(id), data: self.memory[&self.fusion.root(id)].clone() }
    }

    fn meaning(&self, id: Id) -> Vec<f64> {
        let (reference, of) = self.graph.oracle(id).unwrap();
        let inputs: Vec<Host> = of.inputs.iter().map(|&x| self.host(x)).collect();
        reference(&inputs, &of.attrs, self.graph.ty(id)).data
    }

    fn alone(&mut self, id: Id) {
        let value = self.meaning(id);
        self.memory.insert(id, value);
    }

    /// Must this value of a group of `members` be in memory afterwards?
    fn is_read(&self, id: Id, members: &[Id]) -> bool {
        let leaves = |x: Id| self.fusion.root(x) == id;
        self.graph.outputs.iter().any(|&x| leaves(x))
            || self.graph.updates.iter().any(|&(_, x)| leaves(x))
            || self.graph.nodes.iter().enumerate().any(|(i, n)| {
                n.inputs.contains(&id)
                    && (!members.contains(&Id(i as u32)) || !matches!(self.fusion.origin[i], Origin::Own))
            })
    }

    fn fused(&mut self, fused: &Fused) {
        let members: Vec<Id> = fused.head.iter().chain(&fused.nodes).chain(&fused.tail).copied().collect();
        self.merged += usize::from(members.len() > 1);
        let mut bound: BTreeSet<Id> = BTreeSet::new();
        let head = fused.head.map(|id| {
            bound.extend(self.graph.node(id).inputs.iter().map(|&x| self.fusion.root(x)));
            self.meaning(id)
        });
        let group = group::lines(&self.graph, &self.fusion, fused.shape, &fused.nodes, fused.head).unwrap();
        let n = fused.shape.count();
        let ports: Vec<(DType, Vec<f64>)> = group
            .ports
            .iter()
            .map(|port| match port {
                Port::Head => (DType::F32, head.clone().unwrap()),
                Port::Constant { value, dtype } => (*dtype, vec![*value; n]),
                Port::Memory { of, offset, access } => {
                    bound.insert(*of);
                    let from = &self.memory[of];
                    let at = |i| usize::try_from(offset + place(access, i)).unwrap();
                    (self.graph.ty(*of).dtype, (0..n).map(|i| from[at(i)]).collect())
                }
            })
            .collect();
        let mut values: HashMap<Id, Vec<f64>> = HashMap::new();
        for line in &group.lines {
            let inputs: Vec<Host> = line
                .args
                .iter()
                .map(|arg| {
                    let (dtype, data) = match arg {
                        Operand::Port(k) => ports[*k].clone(),
                        Operand::Value(id) => (self.graph.ty(*id).dtype, values[id].clone()),
                    };
                    Host { ty: Ty { shape: fused.shape, dtype }, data }
                })
                .collect();
            let out = Ty { shape: fused.shape, dtype: self.graph.ty(line.id).dtype };
            values.insert(line.id, (line.op.reference)(&inputs, &[], out).data);
        }
        if let (Some(id), Some(value)) = (fused.head, head) {
            values.insert(id, value);
        }
        if let Some(tail) = fused.tail {
            let node = self.graph.node(tail);
            let input = node.inputs[0];
            let data = match values.get(&input) {
                Some(data) => data.clone(),
                None => {
                    bound.insert(self.fusion.root(input));
                    self.host(input).data
                }
            };
            let x = Host { ty: self.graph.ty(input), data };
            values.insert(tail, (node.op.reference)(&[x], &node.attrs, node.ty).data);
        }
        for (id, value) in values {
            if self.is_read(id, &members) {
                bound.insert(id);
                self.memory.insert(id, value);
            }
        }
        self.most = self.most.max(bound.len());
    }
}

/// Where element `i` of an iteration lies from the start of an operand.
fn place(access: &Access, i: usize) -> isize {
    let at = match access {
        Access::Contiguous => i,
        Access::Splat | Access::Constant(_) => 0,
        Access::Cycle(period) => i % period,
        Access::Hold(run) => i / run,
        Access::Strided { dims, strides } => {
            let mut rest = i;
            let axes = dims.iter().zip(strides).rev();
            return axes.fold(0, |at, (&size, &stride)| {
                let index = rest % size;
                rest /= size;
                at + index as isize * stride
            });
        }
    };
    at as isize
}

/// Repeatable choices.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n as u64) as usize
    }
}

/// Elementwise rows on numbers, products, reductions, movement, all around the shape (4, 6).
fn random_graph(rng: &mut Rng, size: usize) -> Graph {
    let mut g = Graph::new();
    let mut pool: Vec<Id> = [&[4usize, 6][..], &[6], &[4, 1], &[], &[1, 6], &[6, 6]]
        .iter()
        .map(|dims| g.input(Ty::f32(Shape::new(dims).unwrap())))
        .collect();
    let rows: Vec<_> = OPS
        .iter()
        .copied()
        .filter(|op| matches!(op.kind, Kind::Map) && op.args.len() <= 2 && !op.name.starts_with("logical"))
        .collect();
    while g.nodes.len() < size {
        let (x, y) = (pool[rng.below(pool.len())], pool[rng.below(pool.len())]);
        let rank = g.shape(x).rank();
        let id = match rng.below(10) {
            0 if rank == 2 => {
                let flipped = g.transpose(x, &[1, 0]);
                g.matmul(flipped, x, false, false)
            }
            1 if g.shape(x).dims() == [4, 6] => g.matmul(x, pool[5], false, rng.below(2) == 0),
            2 | 3 if rank == 2 => {
                let axis = rng.below(2) as i64;
                let op = find(["sum", "mean", "max", "min", "prod"][rng.below(5)]).unwrap();
                g.add(op, &[x], &[Attr::Ints(vec![axis]), Attr::Bool(true)])
            }
            4 if rank == 2 => g.transpose(x, &[1, 0]),
            5 if rank > 0 => g.add(find("softmax").unwrap(), &[x], &[Attr::Int(-1)]),
            _ => {
                let op = rows[rng.below(rows.len())];
                let inputs = &[x, y][..op.args.len()];
                match g.try_add(op, inputs, &[]) {
                    Ok(id) => g.to_float(id),
                    Err(_) => continue,
                }
            }
        };
        pool.push(id);
    }
    g.outputs = (0..3).map(|_| pool[pool.len() - 1 - rng.below(6)]).collect();
    g
}

/// Constants are folded in f32.
fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-5 * (1.0 + b.abs())
}

fn compare(g: &Graph, rng: &mut Rng, label: &str) -> (usize, usize) {
    let inputs: Vec<Host> = g
        .inputs
        .iter()
        .map(|&i| {
            let ty = g.ty(i);
            let data = (0..ty.shape.count()).map(|_| rng.below(4096) as f64 / 1024.0 - 2.0).collect();
            Host { ty, data }
        })
        .collect();
    let (want, want_updates) = interp::run(g, &inputs).unwrap();
    let mut backend = Backend::new(g);
    let (got, updates) = backend.run(&inputs);
    let want_updates: Vec<_> = want_updates.iter().map(|(slot, x)| (*slot, &x.data)).collect();
    let all = got.iter().zip(want.iter().map(|x| &x.data));
    for (a, b) in all.chain(updates.iter().map(|(_, x)| x).zip(want_updates.iter().map(|(_, x)| *x))) {
        assert_eq!(a.len(), b.len(), "{label}");
        for (a, b) in a.iter().zip(b) {
            assert!(same(*a, *b), "{label}: {a}, wanted {b}\n{}", backend.graph);
        }
    }
    assert!(
        backend.most <= LIMITS.buffers,
        "{label}: a step binds {} regions\n{}",
        backend.most,
        backend.graph
    );
    (backend.most, backend.merged)
}

#[test]
fn a_back_end_outside_the_core_runs_fused_groups_within_its_limits() {
    let mut rng = Rng(7);
    let (mut most, mut merged) = (0, 0);
    for round in 0..400 {
        let size = 12 + rng.below(40);
        let g = random_graph(&mut rng, size);
        let (bound, groups) = compare(&g, &mut rng, &format!("graph {round}"));
        most = most.max(bound);
        merged += groups;
    }
    assert!(most >= 6 && merged > 400, "too little was fused: {most} regions, {merged} groups");
}

#[test]
fn a_training_step_fits_eight_bindings() {
    let mut rng = Rng(3);
    let mut g = Graph::new();
    let f32 = |dims: &[usize]| Ty::f32(Shape::new(dims).unwrap());
    let x = g.input(f32(&[5, 7]));
    let weights: Vec<Id> = [[7, 8], [8, 3]].iter().map(|d| g.input(f32(d))).collect();
    let state: Vec<Id> = [[7, 8], [8, 3]].iter().flat_map(|d| [g.input(f32(d)), g.input(f32(d))]).collect();
    let rates: Vec<Id> = (0..3).map(|_| g.input(f32(&[]))).collect();
    let h = g.matmul(x, weights[0], false, false);
    let h = g.tanh(h);
    let y = g.matmul(h, weights[1], false, false);
    let y = g.square(y);
    let loss = g.mean_all(y);
    let grads = grad::gradients(&mut g, loss, None, &weights).unwrap();
    for (i, (&w, &dw)) in weights.iter().zip(&grads).enumerate() {
        let (m, v) = (state[2 * i], state[2 * i + 1]);
        let dm = g.sub(dw, m);
        let dm = g.mul(dm, rates[0]);
        let m2 = g.add_(m, dm);
        let sq = g.square(dw);
        let dv = g.sub(sq, v);
        let dv = g.mul(dv, rates[1]);
        let v2 = g.add_(v, dv);
        let root = g.abs(v2);
        let root = g.sqrt(root);
        let root = g.add_scalar(root, 1e-7);
        let step = g.div(m2, root);
        let step = g.mul(step, rates[2]);
        let w2 = g.sub(w, step);
        let slot = |id: Id, g: &Graph| g.node(id).attrs[0].int() as usize;
        for (old, new) in [(m, m2), (v, v2), (w, w2)] {
            g.updates.push((slot(old, &g), new));
        }
    }
    g.outputs = vec![loss];
    compare(&g, &mut rng, "training step");
}
