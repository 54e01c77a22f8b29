//! Promises of the fit loop: every row once, the same bits whatever the threads, clean stops.

use fastnn::error::{Error, Result};
use fastnn::function::Function;
use fastnn::graph::{Arg, Attr, Ty};
use fastnn::kernels::random::{Key, shuffle};
use fastnn::ops;
use fastnn::shape::{DType, Shape};
use fastnn::tensor::{Tensor, Variable, gradients, zeros};
use fastnn::train::{At, Loop, Observer, Schedule};
use std::sync::Arc;

fn apply(name: &str, inputs: &[&Tensor]) -> Tensor {
    let op = ops::find(name).unwrap();
    let inputs: Vec<Tensor> = inputs.iter().map(|t| (*t).clone()).collect();
    let attrs: Vec<Attr> = op.attrs.iter().map(|a| a.default.clone().unwrap()).collect();
    Tensor::apply(op, &inputs, &attrs).unwrap()
}

fn variable(dims: &[usize], name: &str) -> (Arc<Variable>, Tensor) {
    let ty = Ty::f32(Shape::new(dims).unwrap());
    let v = Variable::new(ty, zeros(ty).unwrap(), name);
    let leaf = Tensor::traced_variable(&v);
    (v, leaf)
}

/// Least squares by plain gradient steps; the results are the sum of all x seen and the steps.
struct Fit {
    parts: Loop,
    weights: Arc<Variable>,
    x: Tensor,
    y: Tensor,
}

fn fit(rows: usize, width: usize) -> Fit {
    let number = |v: f64| Tensor::scalar(v, DType::F32).unwrap();
    let data: Vec<f32> = (0..rows * width).map(|i| ((i * 7919) % 1000) as f32 * 1e-3 - 0.5).collect();
    let targets: Vec<f32> = data.chunks(width).map(|r| r.iter().sum::<f32>() * 0.5).collect();
    let x = Tensor::placeholder(Ty::f32(Shape::with_batch(&[width]).unwrap()), "x");
    let y = Tensor::placeholder(Ty::f32(Shape::with_batch(&[1]).unwrap()), "y");
    let (weights, w) = variable(&[width, 1], "w");
    let (total, t) = variable(&[], "total");
    let (count, c) = variable(&[], "count");
    let error = apply("subtract", &[&apply("matmul", &[&x, &w]), &y]);
    let loss = apply("mean", &[&apply("square", &[&error])]);
    let grad = gradients(&loss, std::slice::from_ref(&w), None).unwrap().remove(0);
    let new = apply("subtract", &[&w, &apply("multiply", &[&grad, &number(0.1)])]);
    let seen = apply("add", &[&t, &apply("sum", &[&x])]);
    let steps = apply("add", &[&c, &number(1.0)]);
    let updates = [(weights.clone(), new), (total.clone(), seen), (count.clone(), steps)];
    let step = Function::new(&[x, y], &[], &updates).unwrap();
    let results = Function::new(&[], &[t, c], &[]).unwrap();
    Fit {
        parts: Loop { step: Arc::new(step), results: Some(Arc::new(results)), reset: vec![total, count] },
        weights,
        x: Tensor::from_slice(&data, &[rows, width]).unwrap(),
        y: Tensor::from_slice(&targets, &[rows, 1]).unwrap(),
    }
}

#[derive(Default)]
struct Log {
    epochs: Vec<Vec<f32>>,
    batches: usize,
    stop_at: Option<(usize, bool)>,
    /// Stops at the first tick after an epoch.
    impatient: bool,
}

impl Observer for Log {
    fn tick(&mut self) -> Result<()> {
        if self.impatient && !self.epochs.is_empty() { Err(Error::Interrupted) } else { Ok(()) }
    }
    fn wants_heartbeat(&self) -> bool {
        false
    }
    fn heartbeat(&mut self, _at: At, _results: &[f32]) -> Result<bool> {
        Ok(false)
    }
    fn wants_batches(&self) -> bool {
        self.stop_at.is_some()
    }
    fn batch(&mut self, _at: At, begins: bool, _results: &[f32]) -> Result<bool> {
        self.batches += usize::from(!begins);
        match self.stop_at {
            Some((at, gently)) if self.batches == at && !begins => {
                if gently {
                    Ok(true)
                } else {
                    Err(Error::Interrupted)
                }
            }
            _ => Ok(false),
        }
    }
    fn epoch(&mut self, _epoch: usize, results: Vec<f32>) -> Result<()> {
        self.epochs.push(results);
        Ok(())
    }
}

fn run(fit: &Fit, schedule: &Schedule, log: &mut Log) -> Result<()> {
    let arg = |t: &Tensor| Arg { ptr: t.storage().unwrap().ptr(), ty: t.ty() };
    // SAFETY: the tensors live as long as the call.
    unsafe { fit.parts.run(&[arg(&fit.x), arg(&fit.y)], schedule, log) }
}

fn schedule(batch_size: usize, epochs: usize, seed: Option<u64>) -> Schedule {
    Schedule { seed, ..Schedule::new(batch_size, epochs) }
}

#[test]
fn every_epoch_sees_every_row_once_and_the_last_batch_is_short() {
    let fit = fit(103, 3);
    let sum: f64 = fit.x.storage().unwrap().as_slice().iter().map(|v| f64::from(*v)).sum();
    for seed in [None, Some(5)] {
        let mut log = Log::default();
        run(&fit, &schedule(10, 3, seed), &mut log).unwrap();
        for results in &log.epochs {
            assert!((f64::from(results[0]) - sum).abs() < 1e-4, "{results:?} is not {sum}");
            assert_eq!(results[1], 11.0);
        }
        assert_eq!(log.epochs.len(), 3);
    }
}

#[test]
fn fit_is_bitwise_independent_of_threads() {
    let train = |threads: usize| {
        fastnn::pool::set_threads(threads);
        let fit = fit(3000, 40);
        run(&fit, &schedule(1500, 5, Some(9)), &mut Log::default()).unwrap();
        fit.weights.snapshot().as_slice().iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    let alone = train(1);
    assert_eq!(train(2), alone);
    assert_eq!(train(3), alone);
}

#[test]
fn the_order_depends_on_seed_and_epoch_alone() {
    let train = |first_epochs: usize, rest: usize| {
        let fit = fit(64, 2);
        run(&fit, &schedule(5, first_epochs, Some(1)), &mut Log::default()).unwrap();
        let rest = Schedule { first_epoch: first_epochs, ..schedule(5, rest, Some(1)) };
        run(&fit, &rest, &mut Log::default()).unwrap();
        fit.weights.snapshot().as_slice().to_vec()
    };
    assert_eq!(train(6, 0), train(2, 4));
    let other = fit(64, 2);
    run(&other, &schedule(5, 6, Some(2)), &mut Log::default()).unwrap();
    assert_ne!(other.weights.snapshot().as_slice(), train(6, 0));
}

#[test]
fn the_order_is_that_of_the_shuffle_for_any_number_of_rows() {
    // Around 2^16 rows, where their numbers become too large for two bytes.
    for rows in [65_535, 65_536, 65_537] {
        let key = Key { seed: 7, stream: 0x5_4f_11, step: 0 };
        let mut order: Vec<u32> = (0..rows as u32).collect();
        shuffle(&mut order, key);
        let (drawn, given) = (fit(rows, 1), fit(rows, 1));
        run(&drawn, &schedule(4096, 1, Some(7)), &mut Log::default()).unwrap();
        let given_order = Schedule { order: Some(order), ..schedule(4096, 1, None) };
        run(&given, &given_order, &mut Log::default()).unwrap();
        assert_eq!(drawn.weights.snapshot().as_slice(), given.weights.snapshot().as_slice(), "{rows}");
    }
}

#[test]
fn an_order_names_the_rows_and_an_epoch_can_be_run_in_parts() {
    let whole = fit(64, 2);
    let mut log = Log::default();
    run(&whole, &schedule(5, 1, None), &mut log).unwrap();
    let part = |from: u32, to: u32, goes_on| Schedule {
        order: Some((from..to).collect()),
        goes_on,
        ..schedule(5, 1, None)
    };
    let parts = fit(64, 2);
    let mut found = Log::default();
    run(&parts, &part(0, 20, false), &mut found).unwrap();
    run(&parts, &part(20, 64, true), &mut found).unwrap();
    assert_eq!(found.epochs[1], log.epochs[0], "sums go on");
    assert_eq!(parts.weights.snapshot().as_slice(), whole.weights.snapshot().as_slice());

    let refused = |schedule: Schedule| run(&parts, &schedule, &mut Log::default()).unwrap_err().to_string();
    assert!(refused(part(60, 65, false)).contains("names row 64 of 64"));
    assert!(refused(part(3, 3, false)).contains("the order has 0 rows"));
    assert!(refused(Schedule { seed: Some(1), ..part(0, 5, false) }).contains("both a seed and an order"));
}

#[test]
fn training_finds_the_weights() {
    let fit = fit(200, 4);
    run(&fit, &schedule(20, 300, Some(3)), &mut Log::default()).unwrap();
    for w in fit.weights.snapshot().as_slice().iter() {
        assert!((w - 0.5).abs() < 1e-3, "{w}");
    }
}

#[test]
fn a_gentle_stop_reports_the_epoch_and_an_error_keeps_whole_steps() {
    let fit = fit(100, 2);
    let mut log = Log { stop_at: Some((13, true)), ..Log::default() };
    run(&fit, &schedule(10, 5, None), &mut log).unwrap();
    assert_eq!(log.epochs.len(), 2);
    assert_eq!(log.epochs[1][1], 3.0);

    let mut log = Log { stop_at: Some((13, false)), ..Log::default() };
    assert_eq!(run(&fit, &schedule(10, 5, None), &mut log), Err(Error::Interrupted));
    assert_eq!(log.epochs.len(), 1);
    assert!(fit.weights.is_free());
    run(&fit, &schedule(10, 1, None), &mut Log::default()).unwrap();
}

#[test]
fn steps_limit_an_epoch_and_bad_schedules_are_refused() {
    let fit = fit(100, 2);
    let mut log = Log::default();
    run(&fit, &Schedule { steps: Some(4), ..schedule(10, 2, Some(0)) }, &mut log).unwrap();
    assert_eq!(log.epochs[1][1], 4.0);
    assert!(run(&fit, &schedule(0, 1, None), &mut log).unwrap_err().to_string().contains("batch_size"));
    let empty = Fit {
        x: Tensor::from_slice(&[], &[0, 2]).unwrap(),
        y: Tensor::from_slice(&[], &[0, 1]).unwrap(),
        ..fit
    };
    assert!(run(&empty, &schedule(1, 1, None), &mut log).unwrap_err().to_string().contains("0 rows"));
}

#[test]
fn readers_get_whole_snapshots_while_a_fit_runs() {
    let fit = fit(2000, 8);
    std::thread::scope(|scope| {
        let reader =
            scope.spawn(|| (0..200).map(|_| fit.weights.snapshot().as_slice().to_vec()).collect::<Vec<_>>());
        run(&fit, &schedule(8, 20, Some(1)), &mut Log::default()).unwrap();
        assert!(reader.join().unwrap().iter().flatten().all(|w| w.is_finite()));
    });
    let again = crate::fit(2000, 8);
    run(&again, &schedule(8, 20, Some(1)), &mut Log::default()).unwrap();
    assert_eq!(again.weights.snapshot().as_slice(), fit.weights.snapshot().as_slice());
}

#[test]
fn epochs_shorter_than_a_tick_can_be_interrupted() {
    let fit = fit(20, 2);
    let mut log = Log { impatient: true, ..Log::default() };
    assert_eq!(run(&fit, &schedule(10, 100_000_000, Some(1)), &mut log), Err(Error::Interrupted));
    assert!(!log.epochs.is_empty());
}
