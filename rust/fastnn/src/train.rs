//! F7. The fit loop: epochs of batches over one step function, without leaving Rust. Batches are
//! read in place when rows keep their order, else gathered; the order of an epoch depends on seed
//! and epoch alone. Variables are taken out of their homes once and given back at each pause, so
//! that between pauses a step costs a call of the program and little else.

use crate::buffer::{Buffer, room};
use crate::dim::{Bindings, Dim};
use crate::error::{Error, Result};
use crate::exec::cpu::Ended;
use crate::function::{Batch, Function, Input, Session, Ticker, row_bytes, rows_of};
use crate::graph::Arg;
use crate::kernels::fetched_ahead;
use crate::kernels::random::{Key, shuffle};
use crate::pool;
use crate::tensor::{Plan, Storage, Variable};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Between looks at the observer's `tick`.
const TICK: Duration = Duration::from_millis(50);
/// Bytes from which on a gather is worth the pool.
const PARALLEL: usize = 32 << 10;
/// Stream of the shuffling, apart from those of programs.
const STREAM: u32 = 0x5_4f_11;

/// What runs at each step, what is read at the end of an epoch, what is zeroed before it.
#[derive(Debug)]
pub struct Loop {
    /// Inputs: one batch of each array. Its updates are the training step.
    pub step: Arc<Function>,
    /// No inputs; scalar outputs are the epoch's results.
    pub results: Option<Arc<Function>>,
    /// Zeroed before each epoch: metric sums.
    pub reset: Vec<Arc<Variable>>,
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Rows per step; the last batch of an epoch may be shorter.
    pub batch_size: usize,
    /// Epochs to run.
    pub epochs: usize,
    /// Number of the first one; it counts for the shuffling.
    pub first_epoch: usize,
    /// Shuffles the rows of each epoch; `None` keeps their order.
    pub seed: Option<u64>,
    /// At most this many steps an epoch.
    pub steps: Option<usize>,
    /// The rows of every epoch, in this order, some of them perhaps never or several times; `None` takes
    /// all rows, as `seed` says.
    pub order: Option<Vec<u32>>,
    /// Goes on in an epoch that an earlier run began: its sums are not zeroed.
    pub goes_on: bool,
}

impl Schedule {
    /// `epochs` epochs from the first one on, over all rows as they lie.
    #[must_use]
    pub fn new(batch_size: usize, epochs: usize) -> Schedule {
        let (seed, steps, order) = (None, None, None);
        Schedule { batch_size, epochs, first_epoch: 0, seed, steps, order, goes_on: false }
    }
}

/// Where in a run something happens.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// The epoch.
    pub epoch: usize,
    /// The batch: before it when it begins, it when it has ended.
    pub batch: usize,
    /// Batches in this epoch.
    pub steps: usize,
}

/// Who is told about a run. Methods may stop it by an error, or gently by `true`.
pub trait Observer {
    /// About every 50 ms between steps: a place to look for signals.
    fn tick(&mut self) -> Result<()>;
    /// True when `heartbeat` wants to be called.
    fn wants_heartbeat(&self) -> bool;
    /// About every 100 ms, with the results so far.
    fn heartbeat(&mut self, at: At, results: &[f32]) -> Result<bool>;
    /// True when `batch` wants to be called around every step.
    fn wants_batches(&self) -> bool;
    /// Before and after every step.
    fn batch(&mut self, at: At, begins: bool, results: &[f32]) -> Result<bool>;
    /// After every finished epoch.
    fn epoch(&mut self, epoch: usize, results: Vec<f32>) -> Result<()>;
}

/// One array of the data set.
struct Column {
    base: *mut u8,
    /// Bytes of a row; 0 for an input without a batch axis.
    width: usize,
}

/// The rows of an epoch as its steps take them.
enum Order<'a> {
    /// As they lie.
    Kept,
    /// Shuffled, where two bytes tell the rows apart: half the memory beside the data.
    Short(Vec<u16>),
    Long(Vec<u32>),
    Given(&'a [u32]),
}

impl Order<'_> {
    /// The order of a schedule, with room for the rows that it shuffles.
    fn of(schedule: &Schedule, rows: usize) -> Result<Order<'_>> {
        Ok(match &schedule.order {
            Some(order) => Order::Given(order),
            None if schedule.seed.is_none() => Order::Kept,
            None if rows <= 1 << u16::BITS => Order::Short(room(rows)?),
            None => Order::Long(room(rows)?),
        })
    }

    fn gathers(&self) -> bool {
        !matches!(self, Order::Kept)
    }

    /// Begins an epoch of `rows` rows: the same order in either width.
    fn shuffle(&mut self, rows: usize, key: Key) {
        match self {
            Order::Kept | Order::Given(_) => {}
            Order::Short(order) => {
                order.clear();
                order.extend((0..=u16::MAX).take(rows));
                shuffle(order, key);
            }
            Order::Long(order) => {
                order.clear();
                order.extend(0..rows as u32);
                shuffle(order, key);
            }
        }
    }

    /// Copies the rows of a column that are wanted one after another.
    ///
    /// # Safety
    /// `to` has room for them, and the column has every row that is named.
    unsafe fn gather(&self, to: *mut u8, column: &Column, rows: Range<usize>) {
        match self {
            Order::Kept => {}
            Order::Short(order) => gather(to, column, &order[rows]),
            Order::Long(order) => gather(to, column, &order[rows]),
            Order::Given(order) => gather(to, column, &order[rows]),
        }
    }
}

struct Run<'a> {
    parts: &'a Loop,
    schedule: &'a Schedule,
    columns: Vec<Column>,
    /// What the open sizes are; the batch is that of the step at hand.
    sizes: Bindings,
    /// Rows of an epoch.
    rows: usize,
    order: Order<'a>,
    /// Where gathered batches go, one block per column, and where these begin.
    gathered: Batch,
    blocks: Vec<*mut u8>,
    full: Option<Arc<Plan>>,
    rest: Option<Arc<Plan>>,
    outputs: Vec<Buffer>,
    /// They run on through the epochs, which may be shorter than a tick.
    tick: Ticker,
    beat: Ticker,
}

impl Loop {
    /// Runs the schedule over the arrays. On an error from the observer the steps made so far
    /// stand, and finished epochs have been reported.
    ///
    /// # Safety
    /// As for [`Function::call`], for the length of the run.
    pub unsafe fn run(&self, arrays: &[Arg], schedule: &Schedule, observer: &mut dyn Observer) -> Result<()> {
        if schedule.batch_size == 0 {
            return crate::data_err!("batch_size is 0, wanted at least 1\n  hint: 32 is usual");
        }
        let mut sizes = self.step.bindings(arrays)?;
        let rows = rows_of(&sizes);
        if rows == 0 {
            return crate::data_err!(
                "the arrays have 0 rows, wanted at least 1\n  hint: give at least one row"
            );
        }
        if u32::try_from(rows).is_err() {
            return crate::data_err!(
                "the arrays have {rows} rows, wanted less than 2^32\n  hint: train on parts, one after another"
            );
        }
        let rows = match &schedule.order {
            Some(order) => checked(order, rows, schedule.seed)?,
            None => rows,
        };
        // A batch that outlives its step must not lie in room that the next one fills.
        let misfit = |(arg, input): &(&Arg, &Input)| arg.ty.dtype != input.ty.dtype;
        if let Some((arg, input)) = arrays.iter().zip(self.step.inputs()).find(misfit) {
            return crate::data_err!(
                "'{}' has type {}, wanted {}\n  hint: trace the step for arrays of this type",
                input.name,
                arg.ty.dtype.name(),
                input.ty.dtype.name()
            );
        }
        let column = |(slot, arg): (usize, &Arg)| {
            let width = row_bytes(&self.step.inputs()[slot].ty, &sizes)?;
            Ok(Column { base: arg.ptr, width })
        };
        let columns = arrays.iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
        let batch = schedule.batch_size.min(rows);
        let (mut gathered, mut blocks) = (Vec::new(), Vec::new());
        let order = Order::of(schedule, rows)?;
        if order.gathers() {
            for column in &columns {
                let mut block = Buffer::zeroed(batch * column.width)?;
                blocks.push(block.as_mut_ptr());
                gathered.push(block);
            }
        }
        sizes.set(Dim::BATCH, batch.into());
        let outputs = self.step.outputs();
        let outputs =
            outputs.iter().map(|ty| crate::function::sized(ty, &sizes)).collect::<Result<Vec<_>>>()?;
        let outputs = outputs.iter().map(|ty| Buffer::zeroed(ty.bytes())).collect::<Result<Vec<_>>>()?;
        let (tick, beat) = (Ticker::new(TICK), Ticker::new(2 * TICK));
        Run {
            parts: self,
            schedule,
            columns,
            sizes,
            rows,
            order,
            gathered: Arc::new(gathered),
            blocks,
            full: None,
            rest: None,
            outputs,
            tick,
            beat,
        }
        .all(observer)
    }

    fn results(&self) -> Result<Vec<f32>> {
        let Some(function) = &self.results else { return Ok(vec![]) };
        // SAFETY: a results function has no inputs.
        let results = unsafe { function.call(&[]) }?;
        let value = |storage: &Storage| if storage.is_empty() { 0.0 } else { storage.number(0) as f32 };
        Ok(results.iter().map(|(_, storage)| value(storage)).collect())
    }
}

impl Run<'_> {
    fn all(&mut self, observer: &mut dyn Observer) -> Result<()> {
        for epoch in self.schedule.first_epoch..self.schedule.first_epoch + self.schedule.epochs {
            for variable in self.parts.reset.iter().filter(|_| !self.schedule.goes_on) {
                variable.reset()?;
            }
            let stop = self.epoch(epoch, observer)?;
            let results = self.parts.results()?;
            observer.epoch(epoch, results)?;
            if stop {
                break;
            }
        }
        Ok(())
    }

    /// One epoch; true when the observer stopped it.
    fn epoch(&mut self, epoch: usize, observer: &mut dyn Observer) -> Result<bool> {
        let batch = self.schedule.batch_size.min(self.rows);
        let steps = self.rows.div_ceil(batch).min(self.schedule.steps.unwrap_or(usize::MAX));
        if let Some(seed) = self.schedule.seed {
            self.order.shuffle(self.rows, Key { seed, stream: STREAM, step: epoch as u32 });
        }
        let step = self.parts.step.clone();
        let mut session = Session::open(&step)?;
        let outputs: Vec<*mut u8> = self.outputs.iter_mut().map(Buffer::as_mut_ptr).collect();
        for at in 0..steps {
            let place = At { epoch, batch: at, steps };
            if observer.wants_batches() && session.pause(|| observer.batch(place, true, &[]))? {
                return Ok(true);
            }
            let start = at * batch;
            let n = batch.min(self.rows - start);
            self.point(&mut session, start, n);
            let plan = self.plan(&step, n, batch)?;
            let more = n == batch && steps > 1 && !observer.wants_batches();
            loop {
                // SAFETY: inputs point to `n` rows, outputs have room for a batch, and the session
                // has the variables.
                let done = session.ready(&plan).and_then(|()| unsafe {
                    if outputs.is_empty() {
                        session.step(&plan, self.order.gathers().then_some(&self.gathered), more)
                    } else {
                        plan.program().run(&session.pointers, &outputs).map(|()| Ended::Done)
                    }
                });
                match done {
                    // A step that was given up has changed nothing; unless the observer stops the
                    // run, it is made from its beginning.
                    Err(Error::Interrupted) => session.pause(|| observer.tick())?,
                    // One that was left is made. The pause ends when it has given the variables back;
                    // then nobody reads the batch any more either.
                    Ok(Ended::Left) => break session.pause(|| observer.tick())?,
                    done => break done.map(drop)?,
                }
            }
            if observer.wants_batches() {
                let stop = session.pause(|| {
                    let results = self.parts.results()?;
                    observer.batch(place, false, &results)
                })?;
                if stop {
                    return Ok(true);
                }
            }
            if self.tick.is_due() {
                // Handlers of signals may read weights, or save them.
                session.pause(|| observer.tick())?;
                if observer.wants_heartbeat()
                    && self.beat.is_due()
                    && self.heartbeat(place, &mut session, observer)?
                {
                    return Ok(true);
                }
            }
            if session.is_wanted() {
                session.yield_variables()?;
            }
        }
        Ok(false)
    }

    fn heartbeat(&self, at: At, session: &mut Session<'_>, observer: &mut dyn Observer) -> Result<bool> {
        session.pause(|| {
            let results = self.parts.results()?;
            observer.heartbeat(at, &results)
        })
    }

    fn plan(&mut self, step: &Function, n: usize, batch: usize) -> Result<Arc<Plan>> {
        let kept = if n == batch { &mut self.full } else { &mut self.rest };
        if kept.is_none() {
            self.sizes.set(Dim::BATCH, n.into());
            *kept = Some(step.plan(&self.sizes)?);
        }
        Ok(kept.clone().expect("invariant: it was set above"))
    }

    /// Points the inputs at rows `start .. start + n` of the epoch's order.
    fn point(&mut self, session: &mut Session<'_>, start: usize, n: usize) {
        for (slot, column) in self.columns.iter().enumerate() {
            let memory = if self.order.gathers() && column.width > 0 {
                let to = self.blocks[slot];
                // SAFETY: `to` has room for a batch of rows, and every index is below the rows
                // that the array was checked to have.
                unsafe { self.order.gather(to, column, start..start + n) };
                to
            } else {
                // SAFETY: row `start` is inside the array.
                unsafe { column.base.add(start * column.width) }
            };
            session.set_input(slot, memory);
        }
    }
}

/// The length of an order of rows, once it is sure that there are such rows.
fn checked(order: &[u32], rows: usize, seed: Option<u64>) -> Result<usize> {
    if seed.is_some() {
        return crate::data_err!(
            "both a seed and an order of rows were given, wanted one\n  hint: seed=None"
        );
    }
    if order.is_empty() {
        return crate::data_err!("the order has 0 rows, wanted at least 1\n  hint: give at least one row");
    }
    match order.iter().find(|&&row| row as usize >= rows) {
        Some(row) => {
            crate::data_err!("the order names row {row} of {rows}\n  hint: rows are numbered from 0")
        }
        None => Ok(order.len()),
    }
}

/// Copies the chosen rows of a column one after another.
unsafe fn gather<R: Copy + Sync + Into<u64>>(to: *mut u8, column: &Column, rows: &[R]) {
    struct Job(*mut u8, *const u8);
    // SAFETY: chunks write disjoint rows and only read the column.
    unsafe impl Sync for Job {}
    let width = column.width;
    let job = Job(to, column.base);
    let row = |i: usize| rows[i].into() as usize;
    let copy = |range: Range<usize>| {
        let job = &job;
        if width == 4 {
            // A label, which a copy of any length would be slow for.
            let (to, from) = (job.0.cast::<u32>(), job.1.cast::<u32>());
            for i in range {
                to.add(i).write_unaligned(from.add(row(i)).read_unaligned());
            }
        } else {
            let from = |i: usize| job.1.wrapping_add(row(i) * width);
            fetched_ahead(range, width, from, |i| {
                std::ptr::copy_nonoverlapping(from(i), job.0.add(i * width), width);
            });
        }
    };
    if rows.len() * width < PARALLEL {
        copy(0..rows.len());
    } else {
        pool::run_range(rows.len(), (PARALLEL / 2).div_ceil(width), &copy);
    }
}
