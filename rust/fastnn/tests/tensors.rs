//! Promises of lazy tensors and functions: depth, laziness, gradients, snapshots, threads.

use fastnn::error::Error;
use fastnn::function::Function;
use fastnn::graph::{Attr, OpDef, Ty};
use fastnn::ops;
use fastnn::shape::{DType, Shape};
use fastnn::tensor::{Tensor, Variable, gradients, zeros};
use std::sync::Arc;

fn op(name: &str) -> &'static OpDef {
    ops::find(name).unwrap()
}

fn apply(name: &str, inputs: &[&Tensor]) -> Tensor {
    let inputs: Vec<Tensor> = inputs.iter().map(|t| (*t).clone()).collect();
    let attrs: Vec<Attr> = op(name).attrs.iter().map(|a| a.default.clone().unwrap()).collect();
    Tensor::apply(op(name), &inputs, &attrs).unwrap()
}

fn number(value: f64) -> Tensor {
    Tensor::scalar(value, DType::F32).unwrap()
}

fn vector(values: &[f32]) -> Tensor {
    Tensor::from_slice(values, &[values.len()]).unwrap()
}

fn values(t: &Tensor) -> Vec<f32> {
    t.storage().unwrap().as_slice().to_vec()
}

fn batch_of(width: usize) -> Ty {
    Ty::f32(Shape::with_batch(&[width]).unwrap())
}

#[test]
fn a_hundred_thousand_chained_adds_build_run_and_drop() {
    let one = number(1.0);
    let mut eager = vector(&[0.0, 0.5]);
    for _ in 0..100_000 {
        eager = apply("add", &[&eager, &one]);
    }
    assert_eq!(values(&eager), [100_000.0, 100_000.5]);

    // A traced chain is never run early, so it reaches its whole depth.
    let x = Tensor::placeholder(batch_of(1), "x");
    let mut y = x.clone();
    for _ in 0..100_000 {
        y = apply("add", &[&y, &one]);
    }
    drop(y);
    let mut y = x.clone();
    for _ in 0..20_000 {
        y = apply("add", &[&y, &one]);
    }
    let f = Function::new(&[x], &[y], &[]).unwrap();
    let out = f.apply(&[Tensor::from_slice(&[0.0, 1.0], &[2, 1]).unwrap()]).unwrap();
    assert_eq!(values(&out[0]), [20_000.0, 20_001.0]);
}

#[test]
fn a_pending_graph_of_a_thousand_nodes_runs_at_once() {
    let one = number(1.0);
    let mut t = vector(&[0.0]);
    for _ in 0..999 {
        t = apply("add", &[&t, &one]);
    }
    assert!(!t.is_ready());
    t = apply("add", &[&t, &one]);
    assert!(t.is_ready());
    // Shared nodes count once: ten doublings are ten nodes, not a thousand.
    let mut t = vector(&[1.0]);
    for _ in 0..12 {
        t = apply("add", &[&t, &t]);
    }
    assert!(!t.is_ready());
    assert_eq!(values(&t), [4096.0]);
}

#[test]
fn reading_keeps_the_intermediates_that_are_still_held() {
    let x = vector(&[1.0, 2.0]);
    let a = apply("exp", &[&x]);
    let b = apply("multiply", &[&a, &a]);
    let c = apply("add", &[&b, &x]);
    let from_c = values(&c);
    assert!(a.is_ready() && b.is_ready());
    let e = values(&a);
    assert_eq!(from_c, [e[0] * e[0] + 1.0, e[1] * e[1] + 2.0]);
    assert_eq!(values(&b), [e[0] * e[0], e[1] * e[1]]);
}

#[test]
fn gradients_reach_leaves_and_intermediates_and_nest() {
    let x = vector(&[2.0, 3.0]);
    let a = apply("square", &[&x]);
    let y = apply("multiply", &[&a, &x]);
    let unrelated = vector(&[7.0]);
    let grads = gradients(&y, &[x.clone(), a.clone(), unrelated], None).unwrap();
    assert_eq!(values(&grads[0]), [12.0, 27.0]);
    assert_eq!(values(&grads[1]), [2.0, 3.0]);
    assert_eq!(values(&grads[2]), [0.0]);
    let y = apply("multiply", &[&apply("square", &[&x]), &x]);
    let first = gradients(&y, std::slice::from_ref(&x), None).unwrap();
    let second = gradients(&first[0], std::slice::from_ref(&x), None).unwrap();
    assert_eq!(values(&second[0]), [12.0, 18.0]);
    let weighted =
        gradients(&apply("square", &[&x]), std::slice::from_ref(&x), Some(&vector(&[1.0, 10.0]))).unwrap();
    assert_eq!(values(&weighted[0]), [4.0, 60.0]);
}

#[test]
fn the_gradient_of_a_tensor_that_was_read_is_refused() {
    let x = vector(&[2.0]);
    let y = apply("square", &[&x]);
    assert_eq!(values(&y), [4.0]);
    let error = gradients(&y, &[x], None).unwrap_err();
    assert!(matches!(&error, Error::Trace(text) if text.contains("hint")), "{error}");
}

#[test]
fn traced_tensors_cannot_be_read_and_say_which() {
    let x = Tensor::placeholder(batch_of(3), "pixels");
    let error = x.storage().unwrap_err().to_string();
    assert!(error.contains("pixels") && error.contains("(batch, 3)"), "{error}");
    let error = apply("exp", &[&x]).storage().unwrap_err().to_string();
    assert!(error.contains("'exp'"), "{error}");
}

#[test]
fn types_are_joined_as_the_rows_say() {
    let ints = Tensor::new(
        Ty { shape: Shape::new(&[2]).unwrap(), dtype: DType::I32 },
        zeros(Ty { shape: Shape::new(&[2]).unwrap(), dtype: DType::I32 }).unwrap(),
    )
    .unwrap();
    let three = Tensor::scalar(3.0, DType::I32).unwrap();
    let sum = apply("add", &[&ints, &three]);
    assert_eq!(sum.ty().dtype, DType::I32);
    assert_eq!(*sum.storage().unwrap().as_ints(), [3, 3]);
    assert_eq!(apply("add", &[&ints, &number(0.5)]).ty().dtype, DType::F32);
    assert_eq!(apply("less", &[&ints, &three]).ty().dtype, DType::Bool);
    assert!(Tensor::scalar(1e10, DType::I32).unwrap_err().to_string().contains("int32"));
}

#[test]
fn functions_follow_their_batch_and_their_variables() {
    let w = Variable::new(
        Ty::f32(Shape::scalar()),
        Arc::new(fastnn::tensor::Storage::from_slice(&[2.0]).unwrap()),
        "w",
    );
    let (leaf, before) = (Tensor::traced_variable(&w), Tensor::variable(&w, w.snapshot()));
    let x = Tensor::placeholder(batch_of(2), "x");
    let f = Function::new(std::slice::from_ref(&x), &[apply("multiply", &[&x, &leaf])], &[]).unwrap();
    let twice = apply("add", &[&before, &before]);
    let captured = [apply("multiply", &[&x, &before]), apply("multiply", &[&x, &twice])];
    let captured = Function::new(std::slice::from_ref(&x), &captured, &[]).unwrap();
    for rows in [1, 3, 0, 3] {
        let data: Vec<f32> = (0..2 * rows).map(|i| i as f32).collect();
        let out = f.apply(&[Tensor::from_slice(&data, &[rows, 2]).unwrap()]).unwrap();
        assert_eq!(out[0].ty().shape.dims(), [rows, 2]);
        assert_eq!(values(&out[0]), data.iter().map(|v| v * 2.0).collect::<Vec<_>>());
    }
    w.assign(Arc::new(fastnn::tensor::Storage::from_slice(&[5.0]).unwrap())).unwrap();
    let out = f.apply(&[Tensor::from_slice(&[1.0, 2.0], &[1, 2]).unwrap()]).unwrap();
    assert_eq!(values(&out[0]), [5.0, 10.0]);
    // A snapshot does not move, in functions neither.
    assert_eq!(values(&before), [2.0]);
    for number in [7.0, 9.0] {
        let out = captured.apply(&[Tensor::from_slice(&[1.0, 2.0], &[1, 2]).unwrap()]).unwrap();
        assert_eq!((values(&out[0]), values(&out[1])), (vec![2.0, 4.0], vec![4.0, 8.0]));
        w.assign(Arc::new(fastnn::tensor::Storage::from_slice(&[number]).unwrap())).unwrap();
    }
}

#[test]
fn functions_say_what_does_not_fit() {
    let x = Tensor::placeholder(batch_of(2), "x");
    let y = Tensor::placeholder(batch_of(2), "y");
    let sum = apply("add", &[&x, &y]);
    let error =
        Function::new(std::slice::from_ref(&x), std::slice::from_ref(&sum), &[]).unwrap_err().to_string();
    assert!(error.contains("'y'") && error.contains("hint"), "{error}");
    let f = Function::new(&[x, y], &[sum], &[]).unwrap();
    let (a, b) =
        (Tensor::from_slice(&[0.0; 6], &[3, 2]).unwrap(), Tensor::from_slice(&[0.0; 4], &[2, 2]).unwrap());
    let error = f.apply(&[a.clone(), b]).unwrap_err().to_string();
    assert!(error.contains("(3, 2)") && error.contains("(2, 2)"), "{error}");
    let error =
        f.apply(&[a.clone(), Tensor::from_slice(&[0.0; 9], &[3, 3]).unwrap()]).unwrap_err().to_string();
    assert!(error.contains("3 features"), "{error}");
    assert!(f.apply(&[a]).unwrap_err().to_string().contains("wanted 2"));
}

#[test]
fn more_than_sixteen_batch_sizes_are_reported_once() {
    let x = Tensor::placeholder(batch_of(1), "x");
    let f = Function::new(std::slice::from_ref(&x), &[apply("exp", &[&x])], &[]).unwrap();
    let mut warnings = 0;
    for rows in 1..40 {
        f.apply(&[Tensor::from_slice(&vec![0.0; rows], &[rows, 1]).unwrap()]).unwrap();
        warnings += usize::from(f.take_storm());
    }
    assert_eq!(warnings, 1);
}

#[test]
fn updates_from_many_threads_are_never_lost_and_readers_see_whole_steps() {
    let ty = Ty::f32(Shape::new(&[64]).unwrap());
    let (a, b) = (Variable::new(ty, zeros(ty).unwrap(), "a"), Variable::new(ty, zeros(ty).unwrap(), "b"));
    let leaves = [Tensor::traced_variable(&a), Tensor::traced_variable(&b)];
    let one = number(1.0);
    let up = |t: &Tensor| apply("add", &[t, &one]);
    let step = Function::new(&[], &[], &[(a.clone(), up(&leaves[0])), (b.clone(), up(&leaves[1]))]).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..500).for_each(|_| assert!(step.apply(&[]).unwrap().is_empty())));
        }
        scope.spawn(|| {
            for _ in 0..500 {
                let seen = a.snapshot();
                assert!(seen.as_slice().iter().all(|v| *v == seen.as_slice()[0]));
            }
        });
    });
    assert_eq!(*a.snapshot().as_slice(), [1500.0; 64]);
    assert_eq!(*b.snapshot().as_slice(), [1500.0; 64]);
}

#[test]
fn threads_that_read_one_pending_tensor_get_the_same_bits() {
    let x =
        Tensor::from_slice(&(0..10_000).map(|i| i as f32 * 1e-3).collect::<Vec<_>>(), &[100, 100]).unwrap();
    let y = apply("tanh", &[&apply("matmul", &[&x, &x])]);
    let all: Vec<Vec<f32>> = std::thread::scope(|scope| {
        let reads: Vec<_> = (0..4).map(|_| scope.spawn(|| values(&y))).collect();
        reads.into_iter().map(|r| r.join().unwrap()).collect()
    });
    assert!(all.iter().all(|v| *v == all[0]));
}

#[test]
fn predict_is_one_call_whatever_the_batch_size() {
    let x = Tensor::placeholder(batch_of(3), "x");
    let f = Function::new(std::slice::from_ref(&x), &[apply("tanh", &[&x])], &[]).unwrap();
    let data: Vec<f32> = (0..30).map(|i| i as f32 * 0.1).collect();
    let rows = Tensor::from_slice(&data, &[10, 3]).unwrap();
    let whole = values(&f.apply(std::slice::from_ref(&rows)).unwrap()[0]);
    let args = [fastnn::graph::Arg { ptr: rows.storage().unwrap().ptr(), ty: rows.ty() }];
    for batch in [1, 3, 4, 10, 100] {
        let mut out = vec![0.0f32; 30];
        let prediction = f.prediction(&args).unwrap();
        // SAFETY: ten rows in, ten rows out.
        unsafe { f.predict(prediction, &args, &[out.as_mut_ptr().cast()], batch, &mut || Ok(())) }.unwrap();
        assert_eq!(out, whole, "batch {batch}");
    }
}
