//! The interpreter around the core: the only file that leaves or enters it. The core's waits leave
//! it by themselves, through the host function that `register` names.

use fastnn::error::Error;
use fastnn::sync;
use pyo3::ffi;
use pyo3::prelude::*;
use std::hint;
use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::{Duration, Instant};

/// The thread that came back into the interpreter last through [`detach_in_turn`] and has not left it
/// since, as far as is known here; 0: none.
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// For so long a thread spins until the one inside leaves: longer than what a loop of short calls does
/// between two of them, and less than to be woken takes.
const SPIN: Duration = Duration::from_micros(20);

/// Runs work of the core without the interpreter.
pub(crate) fn detach<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    py.detach(|| {
        leave_turn(sync::this_thread());
        sync::mark(true, work)
    })
}

/// As [`detach`], for short work while other threads do such work as well: before it asks for the
/// interpreter, which puts a thread to sleep, it spins a moment for the thread that has it.
pub(crate) fn detach_in_turn<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    py.detach(|| {
        let me = sync::this_thread();
        leave_turn(me);
        let done = sync::mark(true, work);
        take_turn(me);
        done
    })
}

/// Lets the next one in, if it was the turn of this thread.
fn leave_turn(me: usize) {
    if INSIDE.load(Relaxed) == me {
        INSIDE.store(0, Release);
    }
}

/// Waits for the turn of a thread, for [`SPIN`] at most; then it takes it from the one that keeps it, since
/// turns only save time.
fn take_turn(me: usize) {
    let taken = || INSIDE.load(Relaxed) == 0 && INSIDE.compare_exchange(0, me, Acquire, Relaxed).is_ok();
    if taken() {
        return;
    }
    let start = Instant::now();
    while start.elapsed() < SPIN {
        for _ in 0..8 {
            hint::spin_loop();
            if taken() {
                return;
            }
        }
    }
    INSIDE.store(me, Relaxed);
}

/// Runs `body` with the interpreter, from wherever.
///
/// # Panics
/// When the thread holds a lock of the core: whoever has the interpreter might wait for that.
pub(crate) fn attach<T>(body: impl FnOnce(Python<'_>) -> T) -> T {
    assert!(!sync::holds_lock(), "invariant: the interpreter is not entered under a lock");
    sync::mark(false, || Python::attach(body))
}

/// Runs a wait of the core without the interpreter, whether this thread has it or not.
fn leave(wait: &mut dyn FnMut()) {
    struct Wait<'a>(&'a mut dyn FnMut());
    // SAFETY: it runs on this very thread; only PyO3's bound asks for more.
    unsafe impl Send for Wait<'_> {}
    let mut wait = Some(Wait(wait));
    let left = Python::try_attach(|py| {
        let wait = wait.take();
        py.detach(move || {
            let wait = wait;
            if let Some(wait) = wait {
                (wait.0)();
            }
        });
    });
    // While the interpreter ends nobody can enter it, and nobody needs to leave it.
    if left.is_none()
        && let Some(wait) = wait
    {
        (wait.0)();
    }
}

/// True when Ctrl-C was pressed and its handler has not run yet. In the middle of a kernel it cannot
/// run: it may use what the kernel is changing. Only the main thread, where handlers run, sees it.
fn interrupted() -> bool {
    let pending = || {
        Python::try_attach(|_| {
            // SAFETY: the interpreter is entered. Asking takes the signal; it is put back at once,
            // for the handler.
            unsafe {
                let pending = ffi::PyOS_InterruptOccurred() != 0;
                if pending {
                    ffi::PyErr_SetInterrupt();
                }
                pending
            }
        })
    };
    sync::mark(false, pending).unwrap_or(false)
}

/// Runs work of the core until it is done: where it is given up for Ctrl-C, Python's handler runs,
/// and unless that raises, the work begins anew.
pub(crate) fn persist<T>(
    py: Python<'_>,
    mut work: impl FnMut() -> Result<T, Error>,
) -> crate::error::Result<T> {
    loop {
        match work() {
            Err(Error::Interrupted) => py.check_signals()?,
            done => return Ok(done?),
        }
    }
}

/// Names the interpreter as the host of the core's waits, and Ctrl-C as what interrupts it.
pub(crate) fn register() {
    sync::set_host(leave);
    sync::set_interrupt(interrupted);
}
