//! F7. Sessions: one call of a function, or many steps, with its variables taken out or held as
//! snapshots.

use super::Function;
use crate::buffer::Buffer;
use crate::error::Result;
use crate::exec::cpu::{Before, Deferred, Ended, Keeper};
use crate::sync;
use crate::tensor::{Plan, Storage, Variable, Versioned, WAITING};
use smallvec::SmallVec;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Pointers for all slots of a function, its variables taken out or held as snapshots. Opened for
/// one call, or once for many steps.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    function: &'a Function,
    pub(crate) pointers: SmallVec<[*mut u8; 32]>,
    /// For each pointer the version of what a run writes there, 0 where it writes nothing; empty where
    /// the function updates nothing.
    versions: SmallVec<[u64; 32]>,
    /// The values behind the pointers of variables, with their versions, where they are only read.
    held: SmallVec<[Option<Versioned>; 16]>,
    /// The plan whose prepared values are bound, and these values.
    bound: Option<Arc<Plan>>,
    prepared: SmallVec<[Arc<Storage>; 8]>,
    /// Steps of rows of tables that wait, by the program of this plan.
    late: Option<(Arc<Plan>, Arc<Deferred>)>,
    /// How many of the function's variables, in order, have been visited for taking out.
    taken: usize,
}

impl<'a> Session<'a> {
    /// Takes the variables out. Waits for other runs that hold them.
    pub(crate) fn open(function: &'a Function) -> Result<Session<'a>> {
        let mut session = Session::closed(function);
        session.take()?;
        Ok(session)
    }

    /// A session that has taken nothing yet. It is large: who opens one for a single short call makes
    /// it where it stays, and then calls [`Session::take`].
    #[inline]
    pub(crate) fn closed(function: &'a Function) -> Session<'a> {
        Session {
            function,
            pointers: SmallVec::new(),
            versions: SmallVec::new(),
            held: SmallVec::new(),
            bound: None,
            prepared: SmallVec::new(),
            late: None,
            taken: 0,
        }
    }

    /// Takes the variables out of a session that has none. Waits for other runs that hold them.
    pub(crate) fn take(&mut self) -> Result<()> {
        let function = self.function;
        let (first, variables) = (function.inputs.len(), &function.variables);
        // Snapshots come first: waiting for one while holding a variable could wait for ever.
        Variable::versioned(variables.iter().map(|b| (!b.updated).then_some(&b.variable)), &mut self.held);
        // Inputs stay where they were set, also after a pause.
        self.pointers.truncate(first);
        self.pointers.resize(first, std::ptr::null_mut());
        let memory = |held: &Option<Versioned>| held.as_ref().map_or(std::ptr::null_mut(), |(v, _)| v.ptr());
        self.pointers.extend(self.held.iter().map(memory));
        self.pointers.extend(function.captured.iter().map(|value| value.ptr()));
        if !function.updates() {
            return Ok(());
        }
        self.give_way();
        self.versions.resize(first + variables.len(), 0);
        for (at, bound) in variables.iter().enumerate() {
            if bound.updated {
                (self.pointers[first + at], self.versions[first + at]) = bound.variable.check_out()?;
            }
            self.taken = at + 1;
        }
        Ok(())
    }

    /// Has everything made that a step put off: nobody else may see the variables before.
    fn settle(&self) {
        if let Some((_, late)) = &self.late {
            // SAFETY: no run goes on, and the variables are where they were in all of them.
            unsafe { late.settle() };
        }
    }

    fn give_back(&mut self) {
        self.settle();
        for bound in &self.function.variables[..self.taken] {
            if bound.updated {
                bound.variable.check_in();
            }
        }
        self.taken = 0;
        self.held.clear();
        self.bound = None;
    }

    /// Binds the values that a plan's program reads after the function's own slots: those of the
    /// snapshots that this session holds.
    pub(crate) fn ready(&mut self, plan: &Arc<Plan>) -> Result<()> {
        if self.bound.as_ref().is_some_and(|bound| Arc::ptr_eq(bound, plan)) {
            return Ok(());
        }
        let function = self.function;
        let (inputs, variables) = (function.inputs.len(), function.variables.len());
        self.pointers.truncate(inputs + variables + function.captured.len());
        self.prepared.clear();
        if !plan.prepared().is_empty() {
            let held = &self.held;
            let source = |slot: usize| match slot.checked_sub(inputs)? {
                at if at < variables => held[at].clone(),
                // Captured arrays never change.
                at => function.captured.get(at - variables).map(|value| (value.clone(), 0)),
            };
            for prepared in plan.prepared() {
                let value = prepared.value(&source)?;
                self.pointers.push(value.ptr());
                self.prepared.push(value);
            }
        }
        self.bound = Some(plan.clone());
        Ok(())
    }

    /// Runs a plan without results, which is bound. Where it ends as `Left`, the session has no
    /// variables any more; a pause takes them again, once the run has given them back. `batch` is
    /// memory that inputs were pointed at; all other inputs are the caller's. `more` says that other steps
    /// are likely to follow before the variables are given back, so that it may pay to put something off.
    ///
    /// # Safety
    /// As `Program::run`, of the inputs that were set.
    pub(crate) unsafe fn step(
        &mut self,
        plan: &Arc<Plan>,
        batch: Option<&Batch>,
        more: bool,
    ) -> Result<Ended> {
        let late = self.late(plan, more);
        let pointers = std::mem::take(&mut self.pointers);
        let mut leaving = Leaving { session: self, plan, batch };
        let before = Before { late: late.as_deref(), versions: &[] };
        let ended = plan.program().run_or_leave(&pointers, &mut leaving, before);
        self.pointers = pointers;
        ended
    }

    /// Where steps of this plan may wait. What waits of another plan's, or may wait no longer, is made.
    fn late(&mut self, plan: &Arc<Plan>, more: bool) -> Option<Arc<Deferred>> {
        if let Some((of, late)) = &self.late
            && more
            && Arc::ptr_eq(of, plan)
        {
            return Some(late.clone());
        }
        self.settle();
        if more {
            // Without room for it, nothing waits.
            let late = plan.program().deferred().ok().flatten();
            self.late = late.map(|late| (plan.clone(), Arc::new(late)));
            return self.late.as_ref().map(|(_, late)| late.clone());
        }
        None
    }

    /// Makes the only run of a session: what the program has noted in its last one holds where the
    /// versions follow each other. The rest is as in [`Session::step`].
    ///
    /// # Safety
    /// As `Program::run`, of the inputs that were set.
    pub(crate) unsafe fn once(&mut self, plan: &Arc<Plan>) -> Result<SmallVec<[Arc<Storage>; 2]>> {
        if !plan.outputs().is_empty() {
            let before = Before { late: None, versions: &self.versions };
            return plan.run_after(&self.pointers, before);
        }
        let (pointers, versions) = (std::mem::take(&mut self.pointers), std::mem::take(&mut self.versions));
        let before = Before { late: None, versions: &versions };
        let mut leaving = Leaving { session: self, plan, batch: None };
        plan.program().run_or_leave(&pointers, &mut leaving, before).map(|_| SmallVec::new())
    }

    /// Points an input at its memory for the next run.
    pub(crate) fn set_input(&mut self, slot: usize, memory: *mut u8) {
        self.pointers[slot] = memory;
    }

    /// Gives the variables back, lets `between` run, and takes them out again.
    pub(crate) fn pause<T>(&mut self, between: impl FnOnce() -> Result<T>) -> Result<T> {
        self.give_back();
        let result = between()?;
        self.take()?;
        Ok(result)
    }

    /// True when somebody waits for a variable that this session holds.
    pub(crate) fn is_wanted(&self) -> bool {
        WAITING.load(Relaxed) > 0
            && self.function.variables.iter().any(|b| b.updated && b.variable.is_wanted())
    }

    /// Lets those go first who waited for what this session is about to take. They have been woken;
    /// on a busy machine it takes a while until they get a core.
    fn give_way(&self) {
        if self.is_wanted() {
            sync::outside(|| {
                let since = Instant::now();
                while self.is_wanted() && since.elapsed() < Duration::from_millis(2) {
                    std::thread::yield_now();
                }
            });
        }
    }

    /// Lets those who wait for a variable have it.
    pub(crate) fn yield_variables(&mut self) -> Result<()> {
        self.pause(|| Ok(()))
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A second panic here would end the process.
            drop(catch_unwind(AssertUnwindSafe(|| self.settle())));
            self.late = None;
        }
        self.give_back();
    }
}

/// Memory of a session's own for rows, one block per input; empty for inputs that are not in it.
pub(crate) type Batch = Arc<Vec<Buffer>>;

struct Leaving<'s, 'a> {
    session: &'s mut Session<'a>,
    plan: &'s Arc<Plan>,
    batch: Option<&'s Batch>,
}

/// What a run that was left uses until its end.
struct Left {
    late: Option<(Arc<Plan>, Arc<Deferred>)>,
    variables: Vec<Arc<Variable>>,
    _held: SmallVec<[Option<Versioned>; 16]>,
    _prepared: SmallVec<[Arc<Storage>; 8]>,
    _captured: Vec<Arc<Storage>>,
    _plan: Arc<Plan>,
    _batch: Option<Batch>,
}

impl Drop for Left {
    fn drop(&mut self) {
        if let Some((_, late)) = &self.late {
            // SAFETY: the run has ended, and the variables are still its own.
            unsafe { late.settle() };
        }
        for variable in &self.variables {
            variable.check_in();
        }
    }
}

impl Keeper for Leaving<'_, '_> {
    fn is_lent(&self, slot: usize) -> bool {
        let own = self.batch.and_then(|batch| batch.get(slot)).is_some_and(|block| block.bytes() > 0);
        slot < self.session.function.inputs.len() && !own
    }

    fn hand_over(&mut self) -> Box<dyn Any + Send> {
        let session = &mut *self.session;
        let taken = std::mem::take(&mut session.taken);
        let taken = session.function.variables[..taken].iter().filter(|b| b.updated);
        session.bound = None;
        let (held, prepared) = (std::mem::take(&mut session.held), std::mem::take(&mut session.prepared));
        let variables = taken.map(|b| b.variable.clone()).collect();
        Box::new(Left {
            late: session.late.take(),
            variables,
            _held: held,
            _prepared: prepared,
            _captured: session.function.captured.clone(),
            _plan: self.plan.clone(),
            _batch: self.batch.cloned(),
        })
    }
}

/// Says when a span of time has passed since it last said so.
#[derive(Debug)]
pub(crate) struct Ticker {
    last: Instant,
    every: Duration,
}

impl Ticker {
    pub(crate) fn new(every: Duration) -> Ticker {
        Ticker { last: Instant::now(), every }
    }

    pub(crate) fn is_due(&mut self) -> bool {
        let due = self.last.elapsed() >= self.every;
        if due {
            self.last = Instant::now();
        }
        due
    }
}
