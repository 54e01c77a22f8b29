//! Promises of a training step that is interrupted: it comes back long before its end, the state is
//! that of whole steps, and training goes on from there.

use fastnn::error::{Error, Result};
use fastnn::function::Function;
use fastnn::graph::{Arg, Attr, Ty};
use fastnn::shape::{DType, Shape};
use fastnn::tensor::{Storage, Tensor, Variable, gradients, zeros};
use fastnn::train::{At, Loop, Observer, Schedule};
use fastnn::{buffer::Buffer, ops, sync};
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

const INPUTS: usize = 256;
const WIDTH: usize = 1024;
const ROWS: usize = 1024;
const LAYERS: usize = 5;

thread_local! {
    /// From when on this thread's work is to be interrupted, until a handler has run.
    static DUE: Cell<Option<Instant>> = const { Cell::new(None) };
}

fn apply(name: &str, inputs: &[&Tensor]) -> Tensor {
    let op = ops::find(name).unwrap();
    let inputs: Vec<Tensor> = inputs.iter().map(|t| (*t).clone()).collect();
    let attrs: Vec<Attr> = op.attrs.iter().map(|a| a.default.clone().unwrap()).collect();
    Tensor::apply(op, &inputs, &attrs).unwrap()
}

/// Numbers between -1 and 1.
fn noise(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

fn variable(shape: &[usize], values: Option<&[f32]>, name: &str) -> (Arc<Variable>, Tensor) {
    let ty = Ty::f32(Shape::new(shape).unwrap());
    let value = values.map(|v| Arc::new(Storage::new(Buffer::from_slice(v).unwrap(), DType::F32)));
    let v = Variable::new(ty, value.unwrap_or_else(|| zeros(ty).unwrap()), name);
    let leaf = Tensor::traced_variable(&v);
    (v, leaf)
}

/// Gradient steps on wide layers: nearly all of a step is products that overwrite weights when they
/// are done, and each of them reads weights that a later one overwrites.
struct Fit {
    parts: Loop,
    state: Vec<Arc<Variable>>,
    count: Arc<Variable>,
    data: [Tensor; 2],
    free: bool,
}

impl Fit {
    fn new() -> Fit {
        let number = |v: f64| Tensor::scalar(v, DType::F32).unwrap();
        let rows = |width: usize| Ty::f32(Shape::with_batch(&[width]).unwrap());
        let x = Tensor::placeholder(rows(INPUTS), "x");
        let y = Tensor::placeholder(rows(WIDTH), "y");
        let layers: Vec<_> = (0..LAYERS)
            .map(|i| {
                let shape = [if i == 0 { INPUTS } else { WIDTH }, WIDTH];
                let start: Vec<f32> = noise(shape[0] * WIDTH, i).iter().map(|v| v * 0.05).collect();
                variable(&shape, Some(&start), &format!("w{i}"))
            })
            .collect();
        let (count, c) = variable(&[], None, "count");
        let out = layers.iter().fold(x.clone(), |h, (_, w)| apply("tanh", &[&apply("matmul", &[&h, w])]));
        let loss = apply("mean", &[&apply("square", &[&apply("subtract", &[&out, &y])])]);
        let leaves: Vec<Tensor> = layers.iter().map(|(_, w)| w.clone()).collect();
        let grads = gradients(&loss, &leaves, None).unwrap();
        let mut updates = vec![(count.clone(), apply("add", &[&c, &number(1.0)]))];
        for ((v, w), grad) in layers.iter().zip(&grads) {
            let (slot, m) = variable(&v.ty().shape.sizes(), None, "m");
            let new = apply("add", &[&apply("multiply", &[&m, &number(0.9)]), grad]);
            updates.push((v.clone(), apply("subtract", &[w, &apply("multiply", &[&new, &number(0.5)])])));
            updates.push((slot, new));
        }
        let step = Function::new(&[x, y], &[], &updates).unwrap();
        let tensor = |width, seed| Tensor::from_slice(&noise(ROWS * width, seed), &[ROWS, width]).unwrap();
        Fit {
            parts: Loop { step: Arc::new(step), results: None, reset: vec![] },
            state: updates.iter().map(|(v, _)| v.clone()).collect(),
            count,
            data: [tensor(INPUTS, 20), tensor(WIDTH, 30)],
            free: true,
        }
    }

    /// Runs steps of all rows, `shuffled` or read in place.
    fn run(&mut self, steps: usize, shuffled: bool) -> Result<()> {
        let args: Vec<Arg> =
            self.data.iter().map(|t| Arg { ptr: t.storage().unwrap().ptr(), ty: t.ty() }).collect();
        let schedule = Schedule { seed: shuffled.then_some(1), ..Schedule::new(ROWS, steps) };
        // SAFETY: the tensors outlive the run, and each fills its shape.
        let result = unsafe { self.parts.run(&args, &schedule, &mut Handler) };
        self.free = self.count.is_free();
        result
    }

    fn steps(&self) -> usize {
        self.count.snapshot().as_slice()[0] as usize
    }

    fn bits(&self) -> Vec<Vec<u32>> {
        let bits = |v: &Arc<Variable>| v.snapshot().as_slice().iter().map(|x| x.to_bits()).collect();
        self.state.iter().map(bits).collect()
    }
}

/// Stops the run when it is interrupted.
struct Handler;

impl Observer for Handler {
    fn tick(&mut self) -> Result<()> {
        match DUE.take() {
            Some(due) if due <= Instant::now() => Err(Error::Interrupted),
            due => {
                DUE.set(due);
                Ok(())
            }
        }
    }
    fn wants_heartbeat(&self) -> bool {
        false
    }
    fn heartbeat(&mut self, _at: At, _results: &[f32]) -> Result<bool> {
        Ok(false)
    }
    fn wants_batches(&self) -> bool {
        false
    }
    fn batch(&mut self, _at: At, _begins: bool, _results: &[f32]) -> Result<bool> {
        Ok(false)
    }
    fn epoch(&mut self, _epoch: usize, _results: Vec<f32>) -> Result<()> {
        Ok(())
    }
}

fn interrupt_in(delay: Duration) {
    sync::set_interrupt(|| DUE.get().is_some_and(|due| due <= Instant::now()));
    DUE.set(Some(Instant::now() + delay));
}

/// How long a step takes.
fn time(fit: &mut Fit) -> Duration {
    fit.run(1, false).unwrap();
    let start = Instant::now();
    fit.run(1, false).unwrap();
    start.elapsed()
}

#[test]
fn a_step_interrupted_at_any_moment_is_whole_or_has_not_been() {
    for shuffled in [false, true] {
        let mut fit = Fit::new();
        let took = time(&mut fit);
        let (mut left, mut given_up) = (0, 0);
        for i in 0..10 {
            let before = fit.steps();
            interrupt_in(took.mul_f64((i * 37 % 100) as f64 / 100.0));
            assert_eq!(fit.run(1000, shuffled), Err(Error::Interrupted));
            left += usize::from(!fit.free);
            let made = fit.steps() - before; // waits for what was left
            given_up += usize::from(made == 0);
        }
        let done = fit.steps();
        fit.run(2, false).unwrap();
        // With one batch an epoch the order of its rows changes with the epoch, and with it the sums.
        if !shuffled {
            let mut other = Fit::new();
            other.run(done + 2, false).unwrap();
            assert_eq!(fit.bits(), other.bits());
        }
        assert_eq!(fit.steps(), done + 2);
        assert!(left > 0, "no interrupt came back before its step had ended ({given_up} were given up)");
    }
}

#[test]
fn a_call_that_is_interrupted_late_ends_by_itself() {
    let mut fit = Fit::new();
    let took = time(&mut fit);
    let (mut early, before) = (0, fit.steps());
    for part in [0.6, 0.7, 0.8, 0.5] {
        interrupt_in(took.mul_f64(part));
        // SAFETY: as in `run`.
        let called = fit.parts.step.apply(&fit.data);
        early += usize::from(called.is_ok() && !fit.count.is_free());
        DUE.set(None);
        if called.is_err() {
            fit.parts.step.apply(&fit.data).unwrap();
        }
    }
    assert_eq!(fit.steps(), before + 4);
    let mut other = Fit::new();
    other.run(before + 4, false).unwrap();
    assert_eq!(fit.bits(), other.bits());
    assert!(early > 0, "no call came back before its end");
}
