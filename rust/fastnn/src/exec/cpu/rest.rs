//! The rest of a run, from the first step that overwrites weights on, on a thread of its own. It can
//! no longer be given up, but its caller can leave it: it then goes to its end by itself, and gives
//! the variables back that it has.

use crate::buffer::{Buffer, Workspaces};
use crate::error::Result;
use crate::sync::{self, Lock, Slot};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::Duration;

/// Who calls a run that may be left.
pub trait Keeper {
    /// Is this input the caller's, there until the run returns and no longer?
    fn is_lent(&self, slot: usize) -> bool;
    /// Gives everything else away that the run uses, itself included; dropped when it has ended.
    fn hand_over(&mut self) -> Box<dyn Any + Send>;
}

/// How a run came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All is done.
    Done,
    /// The host interrupted it when it could not be given up any more. It is on its way to its end;
    /// who wants the variables waits for that.
    Left,
}

/// Between two looks of a waiting caller at the host.
const NAP: Duration = Duration::from_millis(20);
/// A thread that had nothing to do for so long ends, and its workspaces with it.
const IDLE: Duration = Duration::from_secs(1);

/// What comes back of the rest: its result, the arena, and the caller's workspaces.
type Outcome = (thread::Result<Result<()>>, Option<Buffer>, Workspaces);

enum State {
    /// The caller waits.
    Running(Thread),
    Ended(Outcome),
    /// The caller has gone and left what the run uses.
    Left(Box<dyn Any + Send>),
}

/// Runs `work` with the arena on another thread until it is done, or the host wants to interrupt.
/// Gives the arena back unless it was left; then `settle` gets it. `None`: no thread could be had.
///
/// # Safety
/// What `work` and `settle` borrow lives as long as what `keeper` hands over.
pub(super) unsafe fn run(
    arena: &mut Option<Buffer>,
    keeper: &mut dyn Keeper,
    work: impl FnOnce(&mut Option<Buffer>) -> Result<()> + Send,
    settle: impl FnOnce(Option<Buffer>) + Send,
) -> Result<Option<Ended>> {
    let Some(runner) = Runner::idle() else { return Ok(None) };
    let state = Arc::new(Lock::new(State::Running(thread::current())));
    let (theirs, mut held, spaces) = (state.clone(), arena.take(), Workspaces::take());
    let task: Box<dyn FnOnce() + Send + '_> = Box::new(move || {
        spaces.give();
        let done = catch_unwind(AssertUnwindSafe(|| work(&mut held)));
        let spaces = Workspaces::take();
        let mut place = theirs.lock();
        match std::mem::replace(&mut *place, State::Ended(nothing())) {
            State::Running(caller) => {
                *place = State::Ended((done, held, spaces));
                drop(place);
                caller.unpark();
            }
            State::Left(kept) => {
                drop(place);
                if !matches!(done, Ok(Ok(()))) {
                    sync::print(format_args!("fastnn: a training step failed after it was interrupted"));
                }
                settle(held);
                drop(kept);
            }
            State::Ended(_) => {}
        }
    });
    // SAFETY: only the lifetime is erased. The caller returns after the task has ended, or has put
    // what the task borrows into the state, which lives until then.
    runner.give(unsafe { std::mem::transmute::<Box<dyn FnOnce() + Send + '_>, Task>(task) });
    let is_done = || matches!(*state.lock(), State::Ended(_));
    let interrupted = sync::outside(|| {
        loop {
            if is_done() {
                return false;
            }
            if sync::asks_to_stop() {
                return true;
            }
            sync::rest_for(NAP);
        }
    });
    if interrupted {
        let kept = keeper.hand_over();
        let mut place = state.lock();
        if let State::Running(_) = *place {
            *place = State::Left(kept);
        } else {
            // It has just ended. Its outcome tells; what was handed over goes with `kept`.
            drop(place);
            drop(kept);
        }
    }
    let ended = match &mut *state.lock() {
        State::Ended(outcome) => std::mem::replace(outcome, nothing()),
        _ => return Ok(Some(Ended::Left)),
    };
    *arena = ended.1;
    ended.2.give();
    let how = if interrupted { Ended::Left } else { Ended::Done };
    match ended.0 {
        Ok(result) => result.map(|()| Some(how)),
        Err(payload) => resume_unwind(payload),
    }
}

/// An outcome that somebody has taken.
fn nothing() -> Outcome {
    (Ok(Ok(())), None, Workspaces::default())
}

type Task = Box<dyn FnOnce() + Send>;

/// A thread that waits for tasks.
struct Runner {
    task: Lock<Option<Task>>,
    thread: Slot<Thread>,
    /// The process that it is a thread of.
    generation: u32,
}

static RUNNERS: Lock<Vec<Arc<Runner>>> = Lock::new(Vec::new());

impl Runner {
    /// One that has nothing to do; a new one if need be.
    fn idle() -> Option<Arc<Runner>> {
        let generation = sync::generation();
        {
            let mut runners = RUNNERS.lock();
            while let Some(runner) = runners.pop() {
                if runner.generation == generation {
                    return Some(runner);
                }
                // Its thread stayed behind when this process was forked.
                std::mem::forget(runner);
            }
        }
        let runner = Arc::new(Runner { task: Lock::new(None), thread: Slot::new(), generation });
        let own = runner.clone();
        let body = move || sync::mark(true, || own.serve());
        let handle = thread::Builder::new().name("fastnn-rest".into()).spawn(body).ok()?;
        runner.thread.set(handle.thread().clone());
        Some(runner)
    }

    fn give(&self, task: Task) {
        *self.task.lock() = Some(task);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn serve(self: Arc<Runner>) {
        while let Some(task) = self.next() {
            task();
            RUNNERS.lock().push(self.clone());
        }
    }

    /// The next task; `None` when nobody had one for a while.
    fn next(self: &Arc<Runner>) -> Option<Task> {
        loop {
            let task = self.task.lock().take();
            if task.is_some() {
                return task;
            }
            let since = std::time::Instant::now();
            sync::rest_for(IDLE);
            if since.elapsed() >= IDLE {
                let mut runners = RUNNERS.lock();
                if let Some(at) = runners.iter().position(|other| Arc::ptr_eq(other, self)) {
                    let own = runners.swap_remove(at);
                    drop(runners);
                    drop(own);
                    return None;
                }
            }
        }
    }
}
