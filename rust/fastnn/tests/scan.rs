//! Loops: compiled against the oracle, results and carries that nobody reads, loops that do the same,
//! work that rounds share, bodies in bodies.

use fastnn::dim::{Bindings, Dim};
use fastnn::exec::cpu::Program;
use fastnn::exec::interp;
use fastnn::graph::{Attr, Body, Graph, Host, Id, MOST_BODIES, Ty};
use fastnn::ops::build::Build;
use fastnn::ops::scan::{SCAN, Scan, scan};
use fastnn::passes::{self, grad};
use fastnn::shape::{DType, Shape};
use fastnn::{ops, pool};

fn ty(dims: &[usize]) -> Ty {
    Ty::f32(Shape::new(dims).unwrap())
}

fn attrs(body: Graph, carries: usize, slices: usize, length: Dim, reverse: bool) -> Vec<Attr> {
    let body = Body::new(body).unwrap();
    Scan { body: &body.graph, carries, slices, length, reverse }.attrs(body.clone())
}

/// h = tanh(x W + h U) and a count; gives h, twice x, and the count.
fn recurrent(b: usize, d: usize) -> Graph {
    let mut g = Graph::new();
    let count = Ty { shape: Shape::scalar(), dtype: DType::I32 };
    let [h, n, x] = [ty(&[b, d]), count, ty(&[b, d])].map(|ty| g.input(ty));
    let [w, u] = [0, 1].map(|_| g.input(ty(&[d, d])));
    let (xw, hu) = (g.matmul(x, w, false, false), g.matmul(h, u, false, false));
    let z = g.add_(xw, hu);
    let next = g.tanh(z);
    let one = g.typed_scalar(1.0, DType::I32);
    let more = g.add_(n, one);
    let twice = g.add_(x, x);
    g.outputs = vec![next, more, next, twice, n];
    g
}

fn looped(t: usize, b: usize, d: usize, reverse: bool) -> (Graph, Vec<Id>) {
    let mut g = Graph::new();
    let count = Ty { shape: Shape::scalar(), dtype: DType::I32 };
    let inputs = [ty(&[b, d]), count, ty(&[t, b, d]), ty(&[d, d]), ty(&[d, d])].map(|ty| g.input(ty));
    let attrs = attrs(recurrent(b, d), 2, 1, Dim::from(t), reverse);
    let results = scan(&mut g, &inputs, &attrs).unwrap();
    (g, results)
}

fn host(g: &Graph, seed: u64) -> Vec<Host> {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((state >> 33) % 2001) as f64 / 1000.0 - 1.0
    };
    let one = |&id: &Id| {
        let ty = g.ty(id);
        let scale = if ty.dtype == DType::I32 { 10.0 } else { 0.7 };
        let value =
            |v: f64| if ty.dtype == DType::I32 { (v * scale).round() } else { f64::from((v * scale) as f32) };
        Host { ty, data: (0..ty.shape.count()).map(|_| value(next())).collect() }
    };
    g.inputs.iter().map(one).collect()
}

fn cells(host: &Host) -> Vec<f32> {
    let cell = |&v: &f64| match host.ty.dtype {
        DType::I32 => f32::from_bits((v as i32).cast_unsigned()),
        _ => v as f32,
    };
    host.data.iter().map(cell).collect()
}

fn run(g: &Graph, inputs: &[Host]) -> Vec<Vec<f32>> {
    let program = Program::compile(g).unwrap();
    let mut inputs: Vec<Vec<f32>> = inputs.iter().map(cells).collect();
    let mut outputs: Vec<Vec<f32>> = g.outputs.iter().map(|&o| vec![f32::NAN; g.shape(o).count()]).collect();
    let ins: Vec<*mut u8> = inputs.iter_mut().map(|v| v.as_mut_ptr().cast()).collect();
    let outs: Vec<*mut u8> = outputs.iter_mut().map(|v| v.as_mut_ptr().cast()).collect();
    // SAFETY: one buffer of the right size per slot, none shared.
    unsafe { program.run(&ins, &outs) }.unwrap();
    outputs
}

fn agrees(g: &Graph, tolerance: f32) {
    let inputs = host(g, 7);
    let (wanted, _) = interp::run(g, &inputs).unwrap();
    let got = run(g, &inputs);
    for (k, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
        let wanted = cells(wanted);
        assert_eq!(got.len(), wanted.len());
        for (i, (a, b)) in got.iter().zip(&wanted).enumerate() {
            let near = a.to_bits() == b.to_bits() || (a - b).abs() <= tolerance * (1.0 + b.abs());
            assert!(near, "result {k} at {i}: {a}, wanted {b}\n{g}");
        }
    }
}

#[test]
fn compiled_loops_agree_with_the_oracle_for_any_length_and_set_of_results() {
    for (t, reverse) in [(0, false), (1, false), (1, true), (2, true), (7, false), (8, true)] {
        for read in [vec![0], vec![1], vec![2], vec![3], vec![4, 4], vec![0, 2], vec![3, 1, 0, 2, 4]] {
            let (mut g, results) = looped(t, 3, 5, reverse);
            g.outputs = read.iter().map(|&k| results[k]).collect();
            agrees(&g, 1e-5);
        }
    }
}

#[test]
fn gradients_of_loops_agree_with_the_oracle_and_with_differences() {
    for (t, reverse) in [(0, false), (1, false), (5, true), (6, false)] {
        let (mut g, results) = looped(t, 2, 3, reverse);
        let last = g.square(results[0]);
        let all = g.mul(results[2], results[3]);
        let (a, b) = (g.sum_all(last), g.sum_all(all));
        let loss = g.add_(a, b);
        let wrt = [g.inputs[0], g.inputs[2], g.inputs[3], g.inputs[4]];
        let grads = grad::gradients(&mut g, loss, None, &wrt).unwrap();
        let sums: Vec<Id> = grads.iter().map(|&x| g.square(x)).collect();
        let sums: Vec<Id> = sums.into_iter().map(|x| g.sum_all(x)).collect();
        let sum = sums.into_iter().reduce(|a, b| g.add_(a, b)).unwrap();
        let second = grad::gradients(&mut g, sum, None, &wrt).unwrap();
        g.outputs = [loss, sum].into_iter().chain(grads).chain(second).collect();
        agrees(&g, 2e-4);
        let inputs = host(&g, 7);
        let value = |inputs: &[Host], k: usize| interp::run(&g, inputs).unwrap().0[k].data[0];
        let (results, _) = interp::run(&g, &inputs).unwrap();
        // The loss against its gradients, then their sum of squares against the second ones.
        for (scalar, first) in [(0, 2), (1, 6)] {
            for (k, slot) in [0, 2, 3, 4].into_iter().enumerate() {
                for at in 0..inputs[slot].data.len().min(4) {
                    let mut moved = inputs.clone();
                    moved[slot].data[at] += 1e-5;
                    let up = value(&moved, scalar);
                    moved[slot].data[at] -= 2e-5;
                    let slope = (up - value(&moved, scalar)) / 2e-5;
                    let got = results[first + k].data[at];
                    assert!(
                        (slope - got).abs() < 1e-5 * (1.0 + slope.abs()),
                        "{t} {slot} {at}: {got}, wanted {slope}"
                    );
                }
            }
        }
    }
}

fn loops(g: &Graph) -> Vec<Scan<'_>> {
    g.nodes.iter().filter_map(Scan::of).collect()
}

#[test]
fn what_nobody_reads_is_not_computed() {
    let (mut g, results) = looped(4, 3, 5, false);
    g.outputs = vec![results[4]];
    let simple = passes::simplified(&g).unwrap();
    let [only] = loops(&simple)[..] else { panic!("{simple}") };
    assert_eq!((only.carries, only.slices, only.body.outputs.len()), (1, 0, 2), "{simple}");
    assert!(only.body.nodes.iter().all(|n| n.op.name != "matmul"));
    assert_eq!(only.body.inputs.len(), 1);
}

#[test]
fn a_carry_that_no_round_changes_is_handed_through() {
    let mut body = Graph::new();
    let [kept, sum, x] = [0; 3].map(|_| body.input(ty(&[3])));
    let more = body.mul(kept, x);
    let next = body.add_(sum, more);
    body.outputs = vec![kept, next];
    let mut g = Graph::new();
    let inputs = [ty(&[3]), ty(&[3]), ty(&[6, 3])].map(|ty| g.input(ty));
    let results = scan(&mut g, &inputs, &attrs(body, 2, 1, Dim::from(6usize), false)).unwrap();
    g.outputs = results;
    agrees(&g, 1e-6);
    let simple = passes::simplified(&g).unwrap();
    assert_eq!(loops(&simple)[0].carries, 1, "{simple}");
    assert_eq!(simple.outputs[0], simple.inputs[0]);
}

#[test]
fn a_gradient_runs_forward_once_and_equal_loops_are_one() {
    let (mut g, results) = looped(4, 3, 5, false);
    let loss = g.sum_all(results[2]);
    let wrt = [g.inputs[3], g.inputs[4]];
    let grads = grad::gradients(&mut g, loss, None, &wrt).unwrap();
    g.outputs = [vec![loss, results[0]], grads].concat();
    let simple = passes::simplified(&g).unwrap();
    assert_eq!(loops(&simple).len(), 2, "one there, one back\n{simple}");
    assert!(loops(&simple)[1].reverse);
    // tanh is kept, not computed again.
    assert!(loops(&simple)[1].body.nodes.iter().all(|n| n.op.name != "tanh"), "{simple}");
    let again = g.nodes.iter().find(|n| n.op == &SCAN).unwrap().clone();
    let twin = g.try_add(again.op, &again.inputs, &again.attrs).unwrap();
    g.outputs.push(twin);
    assert_eq!(loops(&passes::simplified(&g).unwrap()).len(), 2);
    agrees(&g, 1e-4);
}

#[test]
fn what_rounds_share_is_computed_once() {
    let mut body = Graph::new();
    let [h, w] = [ty(&[64, 600]), ty(&[600, 600])].map(|ty| body.input(ty));
    let small = body.mul_scalar(w, 0.01);
    let next = body.matmul(h, small, false, false);
    body.outputs = vec![next];
    let mut g = Graph::new();
    let inputs = [ty(&[64, 600]), ty(&[600, 600])].map(|ty| g.input(ty));
    g.outputs = scan(&mut g, &inputs, &attrs(body, 1, 0, Dim::from(3usize), false)).unwrap();
    let text = Program::compile(&g).unwrap().to_string();
    let (outside, inside): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| !line.starts_with("        "));
    assert!(outside.iter().any(|line| line.contains("pack")), "{text}");
    assert_eq!(
        inside.iter().filter(|line| line.contains("  tile") || line.contains("kernel")).count(),
        0,
        "{text}"
    );
    agrees(&g, 1e-4);
}

/// The printed steps outside loops and those inside, of this kind.
fn steps(g: &Graph, kind: &str) -> (usize, usize) {
    let text = Program::compile(g).unwrap().to_string();
    let (inside, outside): (Vec<&str>, Vec<&str>) =
        text.lines().filter(|line| line.contains(kind)).partition(|line| line.starts_with("        "));
    (outside.len(), inside.len())
}

#[test]
fn products_of_slices_are_made_before_the_loop_and_gradients_of_weights_behind_it() {
    for (t, reverse) in [(0, false), (1, false), (7, false), (8, true)] {
        let (mut g, results) = looped(t, 3, 5, reverse);
        let (one, two) = (g.sum_all(results[2]), g.sum_all(results[0]));
        let loss = g.add_(one, two);
        let wrt = [2, 3, 4].map(|k| g.inputs[k]);
        let grads = grad::gradients(&mut g, loss, None, &wrt).unwrap();
        g.outputs = [vec![loss], grads].concat();
        agrees(&g, 1e-4);
        if t > 1 {
            // x W, dx, dW and dU; h U and its backward pass.
            assert_eq!(steps(&g, " matmul "), (4, 2), "{}", Program::compile(&g).unwrap());
        }
    }
}

#[test]
fn sums_that_a_round_reads_or_gives_stay_in_the_loop() {
    let mut body = Graph::new();
    let [read, given, x, y] = [ty(&[5, 5]), ty(&[5, 5]), ty(&[3, 5]), ty(&[3, 5])].map(|ty| body.input(ty));
    let term = body.matmul(x, y, true, false);
    let other = body.mul(term, read);
    let (first, second) = (body.add_(read, term), body.add_(given, other));
    body.outputs = vec![first, second, second];
    let mut g = Graph::new();
    let inputs = [ty(&[5, 5]), ty(&[5, 5]), ty(&[6, 3, 5]), ty(&[6, 3, 5])].map(|ty| g.input(ty));
    g.outputs = scan(&mut g, &inputs, &attrs(body, 2, 2, Dim::from(6usize), false)).unwrap();
    agrees(&g, 1e-5);
    assert_eq!(steps(&g, " matmul "), (0, 1));
}

#[test]
fn a_loop_of_sums_alone_goes_as_a_whole() {
    let mut body = Graph::new();
    let [w, b, x, y] = [ty(&[5, 4]), ty(&[4]), ty(&[3, 5]), ty(&[3, 4])].map(|ty| body.input(ty));
    let (product, rows) = (body.matmul(x, y, true, false), body.sum(y, &[0], false));
    let (w, b) = (body.add_(product, w), body.add_(b, rows));
    body.outputs = vec![w, b];
    let mut g = Graph::new();
    let inputs = [ty(&[5, 4]), ty(&[4]), ty(&[6, 3, 5]), ty(&[6, 3, 4])].map(|ty| g.input(ty));
    g.outputs = scan(&mut g, &inputs, &attrs(body, 2, 2, Dim::from(6usize), true)).unwrap();
    agrees(&g, 1e-5);
    assert_eq!(steps(&g, "scan"), (0, 0));
}

#[test]
fn convolutions_of_slices_and_their_gradients_leave_the_loop() {
    let mut body = Graph::new();
    let [h, x] = [ty(&[2, 4, 3]), ty(&[2, 4, 5])].map(|ty| body.input(ty));
    let [w, u] = [ty(&[3, 5, 3]), ty(&[3, 3, 3])].map(|ty| body.input(ty));
    let attrs_of = [
        Attr::Ints(vec![]),
        Attr::Sizes([1usize, 1].map(Dim::from).to_vec()),
        Attr::Ints(vec![]),
        Attr::Int(1),
    ];
    let own = body.try_add(&ops::conv::CONV, &[x, w], &attrs_of).unwrap();
    let handed = body.try_add(&ops::conv::CONV, &[h, u], &attrs_of).unwrap();
    let z = body.add_(own, handed);
    let next = body.tanh(z);
    body.outputs = vec![next, next];
    let mut g = Graph::new();
    let inputs = [ty(&[2, 4, 3]), ty(&[6, 2, 4, 5]), ty(&[3, 5, 3]), ty(&[3, 3, 3])].map(|ty| g.input(ty));
    let results = scan(&mut g, &inputs, &attrs(body, 1, 1, Dim::from(6usize), false)).unwrap();
    let loss = g.sum_all(results[1]);
    let wrt = [inputs[2], inputs[3]];
    let grads = grad::gradients(&mut g, loss, None, &wrt).unwrap();
    g.outputs = [vec![loss], grads].concat();
    agrees(&g, 1e-4);
    assert_eq!(steps(&g, " conv_weight_grad "), (2, 0));
    assert_eq!(steps(&g, " conv "), (1, 1));
}

#[test]
fn open_sizes_of_bodies_are_bound_with_the_graph() {
    let time = Dim::symbol("time");
    let mut body = Graph::new();
    let open = |dims: &[Dim]| Ty::f32(Shape::new(dims).unwrap());
    let two = Dim::from(2usize);
    let [h, x] = [0, 1].map(|_| body.input(open(&[Dim::BATCH, two])));
    let z = body.add_(h, x);
    let next = body.tanh(z);
    body.outputs = vec![next, next];
    let mut g = Graph::new();
    let inputs = [open(&[Dim::BATCH, two]), open(&[time, Dim::BATCH, two])].map(|ty| g.input(ty));
    g.outputs = scan(&mut g, &inputs, &attrs(body, 1, 1, time, false)).unwrap();
    assert_eq!(g.symbols().len(), 2);
    for (t, b) in [(0, 3), (1, 1), (5, 4)] {
        let mut sizes = Bindings::batch(b);
        sizes.set(time, Dim::from(t));
        let bound = g.replay(&sizes).unwrap();
        bound.recheck().unwrap();
        assert!(bound.symbols().is_empty());
        agrees(&bound, 1e-6);
    }
}

#[test]
fn bodies_in_bodies_run_and_are_bounded_in_depth() {
    let mut body = Graph::new();
    let [h, x] = [0, 1].map(|_| body.input(ty(&[3])));
    let next = body.add_(h, x);
    body.outputs = vec![next, next];
    let mut depth = 1;
    loop {
        let mut outer = Graph::new();
        let inputs = [ty(&[3]), ty(&[3])].map(|ty| outer.input(ty));
        let many = outer.broadcast_to(inputs[1], &Shape::new(&[2, 3]).unwrap());
        let results =
            scan(&mut outer, &[inputs[0], many], &attrs(body.clone(), 1, 1, Dim::from(2usize), false))
                .unwrap();
        let sum = outer.sum(results[1], &[0], false);
        outer.outputs = vec![results[0], sum];
        if depth == 3 {
            let mut whole = outer.clone();
            let loss = whole.sum_all(results[0]);
            let wrt = whole.inputs.clone();
            let grads = grad::gradients(&mut whole, loss, None, &wrt).unwrap();
            whole.outputs.extend(grads);
            agrees(&whole, 1e-5);
        }
        match Body::new(outer.clone()) {
            Ok(_) => body = outer,
            Err(error) => {
                assert!(error.to_string().contains("deep"), "{error}");
                break;
            }
        }
        depth += 1;
    }
    assert_eq!(depth, MOST_BODIES);
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let (mut g, results) = looped(9, 64, 96, false);
    let loss = g.sum_all(results[2]);
    let wrt = g.inputs[2..].to_vec();
    let grads = grad::gradients(&mut g, loss, None, &wrt).unwrap();
    g.outputs = [results, grads].concat();
    let inputs = host(&g, 3);
    let bits = |threads: usize| {
        pool::set_threads(threads);
        let all = run(&g, &inputs);
        all.into_iter().flatten().map(f32::to_bits).collect::<Vec<_>>()
    };
    let one = bits(1);
    assert!(one == bits(2) && one == bits(3));
}

#[test]
fn what_does_not_fit_is_refused() {
    let (g, _) = looped(4, 3, 5, false);
    let node = g.nodes.iter().find(|n| n.op == &SCAN).unwrap();
    let types = g.types(&node.inputs);
    let refused = |types: &[Ty], attrs: &[Attr], word: &str| {
        let error = (SCAN.infer)(types, attrs).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("hint:"), "{error}");
    };
    refused(&types[1..], &node.attrs, "values for a body");
    let mut wrong = types.clone();
    wrong[2] = ty(&[5, 3, 5]);
    refused(&wrong, &node.attrs, "slices");
    wrong[2] = ty(&[4, 3, 6]);
    refused(&wrong, &node.attrs, "traced for");
    let mut many = node.attrs.clone();
    many[1] = Attr::Int(i64::MAX);
    refused(&types, &many, "carries");
    many[1] = Attr::Int(3);
    refused(&types, &many, "traced for");
    let mut swapped = recurrent(3, 5);
    swapped.outputs.swap(0, 1);
    refused(&types, &attrs(swapped, 2, 1, Dim::from(4usize), false), "carry");
    assert!(ops::find("scan").is_some());
}
