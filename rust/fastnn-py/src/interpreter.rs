//! The interpreter around the core: the only file that leaves or enters it. The core's waits leave
//! it by themselves, through the host function that `register` names.

use fastnn::error::Error;
use fastnn::sync;
use pyo3::ffi;
use pyo3::prelude::*;

/// Runs work of the core without the interpreter.
pub(crate) fn detach<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    py.detach(|| sync::mark(true, work))
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
