//! Every row of the op table: its derivative against central differences of its f64 reference,
//! the derivative of that for smooth rows, and composites against what they are rewritten into.

mod ops_cases;

use fastnn::exec::interp;
use fastnn::graph::{Class, Graph, Host, Id, Vjp};
use fastnn::ops::{Build, OPS};
use fastnn::shape::DType;
use ops_cases::{Case, cases, gradients, lower, weigh};

fn evaluate(g: &Graph, inputs: &[Host], y: &[Id]) -> Vec<Host> {
    let mut g = g.clone();
    g.outputs = y.to_vec();
    interp::run(&g, inputs).unwrap().0
}

/// d(f)/d(every element of every float input), by central differences.
fn numeric(f: impl Fn(&[Host]) -> f64, inputs: &[Host]) -> Vec<Vec<f64>> {
    const H: f64 = 2e-5;
    let mut all = vec![];
    for k in 0..inputs.len() {
        if inputs[k].ty.dtype != DType::F32 {
            all.push(vec![]);
            continue;
        }
        let at = |i: usize, h: f64| {
            let mut moved = inputs.to_vec();
            moved[k].data[i] += h;
            f(&moved)
        };
        all.push((0..inputs[k].data.len()).map(|i| (at(i, H) - at(i, -H)) / (2.0 * H)).collect());
    }
    all
}

fn assert_close(got: &[f64], want: &[f64], label: &str) {
    assert_eq!(got.len(), want.len(), "{label}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() <= 2e-6 * (1.0 + w.abs()),
            "{label}: element {i} is {g}, wanted {w}\n got {got:?}\nwant {want:?}"
        );
    }
}

/// The row weighed down to a scalar, lowered; (graph, scalar).
fn scalar_of(case: &Case) -> (Graph, Id) {
    let (mut g, _, y) = case.graph();
    let s = weigh(&mut g, y);
    g.outputs = vec![s];
    let g = lower(&g);
    let s = g.outputs[0];
    (g, s)
}

#[test]
fn the_derivative_of_every_row_agrees_with_differences_of_its_reference() {
    let mut checked = 0;
    // The derivative of a rounding is that of its input, not of its steps.
    let by_rule = ["stop_gradient", "to_bfloat16", "to_float16"];
    for &op in OPS.iter().filter(|op| !by_rule.contains(&op.name)) {
        for case in cases(op) {
            let (g, _, y) = case.graph();
            let (mut reference, top) = (g.clone(), y);
            let top = weigh(&mut reference, top);
            let want = numeric(|x| evaluate(&reference, x, &[top])[0].data[0], &case.inputs);
            let (mut lowered, s) = scalar_of(&case);
            let grads = gradients(&mut lowered, s);
            let got = evaluate(&lowered, &case.inputs, &grads);
            for (k, want) in want.iter().enumerate().filter(|(k, _)| case.inputs[*k].ty.dtype == DType::F32) {
                assert_close(&got[k].data, want, &format!("d/d input {k} of {}", case.label()));
                checked += want.len();
            }
        }
    }
    assert!(checked > 2000, "only {checked} derivatives were checked");
}

#[test]
fn the_second_derivative_of_every_smooth_row_agrees_with_differences() {
    let mut checked = 0;
    for &op in OPS.iter().filter(|op| op.smooth && op.name != "stop_gradient" && !matches!(op.vjp, Vjp::Zero))
    {
        for case in cases(op).into_iter().take(2) {
            let (mut g, s) = scalar_of(&case);
            let first = gradients(&mut g, s);
            let floats = first.iter().zip(&case.inputs).filter(|(_, x)| x.ty.dtype == DType::F32);
            let parts: Vec<Id> = floats.map(|(&d, _)| d).collect();
            let mut total = g.scalar(0.0);
            for part in parts {
                let part = weigh(&mut g, part);
                total = g.add_(total, part);
            }
            let want = numeric(|x| evaluate(&g, x, &[total])[0].data[0], &case.inputs);
            g.outputs = vec![total];
            let mut g = lower(&g);
            let total = g.outputs[0];
            let grads = gradients(&mut g, total);
            let got = evaluate(&g, &case.inputs, &grads);
            for (k, want) in want.iter().enumerate().filter(|(k, _)| case.inputs[*k].ty.dtype == DType::F32) {
                assert_close(&got[k].data, want, &format!("second d/d input {k} of {}", case.label()));
                checked += want.len();
            }
        }
    }
    assert!(checked > 500, "only {checked} derivatives were checked");
}

#[test]
fn composites_mean_what_they_are_rewritten_into() {
    for &op in OPS.iter().filter(|op| op.class == Class::Composite) {
        for case in cases(op) {
            let (mut g, _, y) = case.graph();
            g.outputs = vec![y];
            let lowered = lower(&g);
            lowered.recheck().unwrap();
            let want = evaluate(&g, &case.inputs, &[y]);
            let got = evaluate(&lowered, &case.inputs, &lowered.outputs.clone());
            assert_eq!(got[0].ty, want[0].ty, "{}", case.label());
            assert_close(&got[0].data, &want[0].data, &case.label());
        }
    }
}

#[test]
fn ties_share_the_gradient_of_extremes_equally() {
    let x = Host {
        ty: fastnn::graph::Ty::f32(fastnn::shape::Shape::new(&[4]).unwrap()),
        data: vec![2.0, 1.0, 2.0, 0.0],
    };
    let mut g = Graph::new();
    let a = g.input(x.ty);
    let top = g.max(a, &[0], false);
    let two = g.number(2.0);
    let clipped = g.minimum(a, two);
    let sum = g.sum_all(clipped);
    for (y, want) in [(top, [0.5, 0.0, 0.5, 0.0]), (sum, [0.5, 1.0, 0.5, 1.0])] {
        let mut g = g.clone();
        let grads = gradients(&mut g, y);
        assert_eq!(evaluate(&g, std::slice::from_ref(&x), &grads)[0].data, want);
    }
}

#[test]
fn no_gradient_flows_through_stop_gradient() {
    let mut g = Graph::new();
    let x = g.input(fastnn::graph::Ty::f32(fastnn::shape::Shape::scalar()));
    let fixed = g.stop_gradient(x);
    let y = g.mul(fixed, x);
    let grads = gradients(&mut g, y);
    let three = Host { ty: g.ty(x), data: vec![3.0] };
    assert_eq!(evaluate(&g, &[three], &grads)[0].data, [3.0]);
}
