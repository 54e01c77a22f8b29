//! Tables whose rows make their optimiser's steps late: what anybody sees has the bits of steps made at once.

use fastnn::error::{Error, Result};
use fastnn::function::Function;
use fastnn::graph::{Arg, Attr, Ty};
use fastnn::ops;
use fastnn::optim::{Update, slots, update};
use fastnn::shape::{DType, Shape};
use fastnn::tensor::{Storage, Tensor, Variable, gradients, with_graph, zeros};
use fastnn::train::{At, Loop, Observer, Schedule};
use std::sync::Arc;

const STEPS: usize = 12;

fn with(name: &str, inputs: &[&Tensor], attrs: &[Attr]) -> Tensor {
    let inputs: Vec<Tensor> = inputs.iter().map(|t| (*t).clone()).collect();
    Tensor::apply(ops::find(name).unwrap(), &inputs, attrs).unwrap()
}

fn apply(name: &str, inputs: &[&Tensor]) -> Tensor {
    let attrs: Vec<Attr> =
        ops::find(name).unwrap().attrs.iter().map(|a| a.default.clone().unwrap()).collect();
    with(name, inputs, &attrs)
}

fn number(v: f64, dtype: DType) -> Tensor {
    Tensor::scalar(v, dtype).unwrap()
}

fn variable(ty: Ty, name: &str) -> (Arc<Variable>, Tensor) {
    let v = Variable::new(ty, zeros(ty).unwrap(), name);
    let leaf = Tensor::traced_variable(&v);
    (v, leaf)
}

/// What the rows of a table have to do with besides being taken and stepped.
#[derive(Clone, Copy, PartialEq)]
enum Reader {
    Nobody,
    /// Takes other rows and needs no gradient.
    Takes,
    /// Sums the whole table, so that all its rows make each step at once.
    Whole,
}

struct Net {
    parts: Loop,
    rate: Arc<Variable>,
    /// Everything that training changes.
    state: Vec<Arc<Variable>>,
    ids: Tensor,
}

/// Rows of a table are drawn towards 0.3, at a rate that falls with the steps.
fn net(kind: &str, hyper: &[(&str, f64)], rows: usize, width: usize, samples: usize, reader: Reader) -> Net {
    let table = Ty::f32(Shape::new(&[rows, width]).unwrap());
    let (weights, w) = variable(table, "table");
    let mut x = 0x9e37_79b9_u32;
    let mut draw = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x
    };
    let start: Vec<f32> = (0..rows * width).map(|_| (draw() % 2001) as f32 * 1e-3 - 1.0).collect();
    weights.assign(Arc::new(Storage::from_slice(&start).unwrap())).unwrap();
    let (steps, i) =
        variable(Ty { shape: Shape::new::<usize>(&[]).unwrap(), dtype: DType::I32 }, "iterations");
    let (rate, r) = variable(Ty::f32(Shape::new::<usize>(&[]).unwrap()), "rate");
    rate.assign(Arc::new(Storage::from_slice(&[0.01]).unwrap())).unwrap();
    let (seen, s) = variable(Ty::f32(Shape::new::<usize>(&[]).unwrap()), "seen");

    let whole = Shape::with_batch(&[STEPS]).unwrap();
    let ids = Tensor::placeholder(Ty { shape: whole, dtype: DType::I32 }, "ids");
    let taken = with("take", &[&w, &ids], &[Attr::Int(0)]);
    let loss = apply("mean", &[&apply("square", &[&apply("subtract", &[&taken, &number(0.3, DType::F32)])])]);
    let grad = gradients(&loss, std::slice::from_ref(&w), None).unwrap().remove(0);
    let fall = apply("power", &[&number(0.99, DType::F32), &apply("to_float", &[&i])]);
    let now = apply("multiply", &[&r, &fall]);
    let names = slots(kind, hyper).unwrap();
    let kept: Vec<_> = names.iter().map(|name| variable(table, name)).collect();
    let mut inputs = vec![w.clone(), grad, i.clone(), now];
    inputs.extend(kept.iter().map(|(_, leaf)| leaf.clone()));
    let new = with_graph(&inputs, |g, at| {
        let with = Update { param: at[0], grad: at[1], slots: &at[4..], iterations: at[2], rate: at[3] };
        let (param, slots) = update(g, kind, &with, hyper)?;
        Ok([param].into_iter().chain(slots).collect())
    })
    .unwrap();
    let other = match reader {
        Reader::Nobody => loss.clone(),
        Reader::Takes => {
            let others = apply("subtract", &[&number(rows as f64 - 1.0, DType::I32), &ids]);
            apply("sum", &[&with("take", &[&w, &others], &[Attr::Int(0)])])
        }
        Reader::Whole => apply("sum", &[&w]),
    };
    // What is only read comes first, so that it reads the table before the step.
    let mut updates = vec![(seen.clone(), apply("add", &[&s, &other]))];
    updates.extend([&weights].into_iter().chain(kept.iter().map(|(v, _)| v)).cloned().zip(new));
    updates.push((steps.clone(), apply("add", &[&i, &number(1.0, DType::I32)])));
    // The first half of the rows is taken often, a quarter rarely, a quarter never.
    let ids_of = |k: usize| match k % 5 {
        0 => draw() as usize % (rows * 3 / 4),
        1 => 7,
        _ => draw() as usize % (rows / 2),
    };
    let list: Vec<i32> = (0..samples * STEPS).map(ids_of).map(|i| i as i32).collect();
    let places = Shape::new(&[samples, STEPS]).unwrap();
    let storage = Storage::new(fastnn::buffer::Buffer::from_slice(&list).unwrap(), DType::I32);
    let data = Tensor::new(Ty { shape: places, dtype: DType::I32 }, Arc::new(storage)).unwrap();
    let state = updates[1..].iter().map(|(v, _)| v.clone()).chain([seen]).collect();
    let step = Arc::new(Function::new(&[ids], &[], &updates).unwrap());
    Net { parts: Loop { step, results: None, reset: vec![] }, rate, state, ids: data }
}

impl Net {
    fn run(&self, schedule: &Schedule, observer: &mut dyn Observer) -> Result<()> {
        let arg = Arg { ptr: self.ids.storage().unwrap().ptr(), ty: self.ids.ty() };
        // SAFETY: the tensor lives as long as the call.
        unsafe { self.parts.run(&[arg], schedule, observer) }
    }

    fn bits(&self, but: usize) -> Vec<Vec<u32>> {
        let bits = |v: &Arc<Variable>| {
            let mut bytes = vec![0; v.ty().bytes()];
            v.snapshot().read(0, &mut bytes);
            bytes.chunks(4).map(|x| u32::from_ne_bytes([x[0], x[1], x[2], x[3]])).collect()
        };
        self.state[..self.state.len() - but].iter().map(bits).collect()
    }

    fn waits(&self) -> bool {
        self.parts.step.describe().contains("when they are taken")
    }
}

fn schedule(batch_size: usize, epochs: usize, first_epoch: usize) -> Schedule {
    Schedule { first_epoch, seed: Some(3), ..Schedule::new(batch_size, epochs) }
}

/// Who watches: nobody, everybody at each step, or somebody who stops the run at a step.
struct Watch {
    batches: bool,
    stop: Option<usize>,
    ended: usize,
    looked: Vec<f32>,
    at: Option<Arc<Variable>>,
}

impl Watch {
    fn new(batches: bool) -> Watch {
        Watch { batches, stop: None, ended: 0, looked: vec![], at: None }
    }
}

impl Observer for Watch {
    fn tick(&mut self) -> Result<()> {
        if let Some(at) = &self.at {
            self.looked.push(at.snapshot().as_slice().iter().sum());
        }
        Ok(())
    }
    fn wants_heartbeat(&self) -> bool {
        false
    }
    fn heartbeat(&mut self, _at: At, _results: &[f32]) -> Result<bool> {
        Ok(false)
    }
    fn wants_batches(&self) -> bool {
        self.batches
    }
    fn batch(&mut self, _at: At, begins: bool, _results: &[f32]) -> Result<bool> {
        self.ended += usize::from(!begins);
        if self.stop == Some(self.ended) && !begins { Err(Error::Interrupted) } else { Ok(false) }
    }
    fn epoch(&mut self, _epoch: usize, _results: Vec<f32>) -> Result<()> {
        Ok(())
    }
}

type Kind = (&'static str, &'static [(&'static str, f64)]);

/// With each whether its rows may wait.
const KINDS: [(Kind, bool); 8] = [
    (("adam", &[]), true),
    (("adam", &[("beta_1", 0.5), ("beta_2", 0.6), ("epsilon", 1e-3)]), true),
    (("adamw", &[]), true),
    (("rmsprop", &[]), true),
    (("sgd", &[("momentum", 0.9)]), true),
    (("sgd", &[]), false),
    (("adam", &[("amsgrad", 1.0)]), false),
    (("rmsprop", &[("centered", 1.0), ("momentum", 0.9)]), false),
];

#[test]
fn rows_that_wait_get_the_bits_of_steps_made_at_once() {
    for ((kind, hyper), may_wait) in KINDS {
        for (rows, width) in [(4100, 64), (3800, 70)] {
            if width == 70 && !(may_wait && hyper.is_empty()) {
                continue;
            }
            // 80 steps of 8 samples and a short one, more than can wait, twice.
            let make = |reader| net(kind, hyper, rows, width, 8 * 80 + 3, reader);
            let train = |net: &Net, watched: bool| {
                net.run(&schedule(8, 1, 0), &mut Watch::new(watched)).unwrap();
                net.rate.assign(Arc::new(Storage::from_slice(&[0.02]).unwrap())).unwrap();
                net.run(&schedule(8, 1, 1), &mut Watch::new(watched)).unwrap();
            };
            let whole = make(Reader::Whole);
            train(&whole, false);
            assert!(!whole.waits(), "{kind}: a table that is read as a whole waits");
            for (reader, watched) in [
                (Reader::Nobody, false),
                (Reader::Nobody, true),
                (Reader::Takes, false),
                (Reader::Takes, true),
            ] {
                let net = make(reader);
                train(&net, watched);
                assert_eq!(net.waits(), may_wait, "{kind} {hyper:?}: {}", net.parts.step.describe());
                assert!(net.bits(1) == whole.bits(1), "{kind} {hyper:?} {rows}x{width}, watched: {watched}");
            }
            let seen = |watched: bool| {
                let net = make(Reader::Takes);
                train(&net, watched);
                net.bits(0).pop()
            };
            assert_eq!(seen(false), seen(true), "{kind} {hyper:?}: rows that are only read");
        }
    }
}

#[test]
fn rows_that_wait_do_not_depend_on_threads() {
    let train = |threads: usize| {
        fastnn::pool::set_threads(threads);
        let net = net("adam", &[], 4100, 64, 8 * 90, Reader::Takes);
        net.run(&schedule(8, 1, 0), &mut Watch::new(false)).unwrap();
        net.bits(0)
    };
    let alone = train(1);
    assert!(train(2) == alone && train(3) == alone);
}

#[test]
fn rates_that_are_no_numbers_or_negative_reach_every_row() {
    for rate in [f32::NAN, f32::INFINITY, -0.5, 0.0] {
        let train = |reader| {
            let net = net("adam", &[], 4100, 64, 8 * 10, reader);
            net.run(&schedule(8, 1, 0), &mut Watch::new(false)).unwrap();
            net.rate.assign(Arc::new(Storage::from_slice(&[rate]).unwrap())).unwrap();
            net.run(&schedule(8, 1, 1), &mut Watch::new(false)).unwrap();
            let plain = |bits: u32| if f32::from_bits(bits).is_nan() { u32::MAX } else { bits };
            net.bits(1).into_iter().flatten().map(plain).collect::<Vec<u32>>()
        };
        assert!(train(Reader::Nobody) == train(Reader::Whole), "rate {rate}");
    }
}

#[test]
fn whoever_stops_or_reads_a_run_finds_whole_steps() {
    let net = || net("adam", &[], 4100, 64, 8 * 400, Reader::Nobody);
    // A bad index ends the run in the middle of an epoch.
    let (bad, good) = (net(), net());
    let ids = bad.ids.storage().unwrap();
    let at = 8 * 200 * STEPS + 5;
    // SAFETY: nobody else has the memory, and it has that many numbers.
    unsafe { ids.ptr().cast::<i32>().add(at).write(1 << 20) };
    let order = |steps| Schedule { seed: None, steps, ..schedule(8, 1, 0) };
    let error = bad.run(&order(None), &mut Watch::new(false)).unwrap_err().to_string();
    assert!(error.contains("1048576"), "{error}");
    good.run(&order(Some(200)), &mut Watch::new(true)).unwrap();
    assert!(bad.bits(1) == good.bits(1));

    // Other threads see tables in which every row has made the same steps: they read while it runs.
    let (read, alone) = (net(), net());
    std::thread::scope(|scope| {
        let table = read.state[0].clone();
        let reader = scope.spawn(move || {
            (0..50)
                .map(|_| table.snapshot().as_slice().iter().map(|x| x.to_bits()).collect())
                .collect::<Vec<Vec<u32>>>()
        });
        read.run(&order(None), &mut Watch::new(false)).unwrap();
        let found = reader.join().unwrap();
        let mut at_step = vec![];
        for step in 0..400 {
            at_step.push(alone.bits(0).swap_remove(0));
            if found.iter().all(|table| at_step.contains(table)) {
                break;
            }
            let ids = Schedule { steps: Some(1), ..order(None) };
            let one = Arg {
                ptr: alone.ids.storage().unwrap().ptr().wrapping_add(step * 8 * STEPS * 4),
                ty: Ty { shape: Shape::new(&[8, STEPS]).unwrap(), dtype: DType::I32 },
            };
            // SAFETY: the rows lie inside the tensor, which lives as long as the call.
            unsafe { alone.parts.run(&[one], &ids, &mut Watch::new(true)) }.unwrap();
        }
        at_step.push(alone.bits(0).swap_remove(0));
        assert!(found.iter().all(|table| at_step.contains(table)), "a table between two steps");
    });
}

#[test]
fn single_calls_know_which_rows_rest_until_somebody_else_writes_to_them() {
    for ((kind, hyper), _) in KINDS {
        let train = |reader| {
            let net = net(kind, hyper, 4100, 64, 8 * 40, reader);
            // `samples` of them, in a call of their own.
            let call = |at: usize, samples: usize| {
                let one = Arg {
                    ptr: net.ids.storage().unwrap().ptr().wrapping_add(at * 8 * STEPS * 4),
                    ty: Ty { shape: Shape::new(&[samples, STEPS]).unwrap(), dtype: DType::I32 },
                };
                // SAFETY: the rows lie inside the tensor, which lives as long as the call.
                drop(unsafe { net.parts.step.call(&[one]) }.unwrap());
            };
            let set = |v: &Arc<Variable>, row: usize, to: f32| {
                let mut all = v.snapshot().as_slice().to_vec();
                all[row * 64..row * 64 + 64].fill(to);
                v.assign(Arc::new(Storage::from_slice(&all).unwrap())).unwrap();
            };
            let rate = |to: f32| {
                net.rate.assign(Arc::new(Storage::from_slice(&[to]).unwrap())).unwrap();
            };
            let mut seen = vec![];
            for at in 0..24 {
                call(at, 8);
                match at {
                    // Rows that nobody has taken: the table, and an average.
                    5 => set(&net.state[0], 4099, 2.0),
                    8 if net.state.len() > 3 => set(&net.state[1], 4098, 0.5),
                    // Other programs of the same function, once and over and over.
                    10 => call(24, 4),
                    12 => net
                        .run(&Schedule { steps: Some(3), ..schedule(8, 1, 0) }, &mut Watch::new(false))
                        .unwrap(),
                    // Somebody holds what was there before.
                    14 => seen.push(net.state.iter().map(|v| v.snapshot()).collect::<Vec<_>>()),
                    16 => rate(0.0),
                    17 => rate(0.02),
                    19 => net.state[1].reset().unwrap(),
                    _ => {}
                }
            }
            net.bits(1)
        };
        assert!(train(Reader::Nobody) == train(Reader::Whole), "{kind} {hyper:?}");
    }
}
