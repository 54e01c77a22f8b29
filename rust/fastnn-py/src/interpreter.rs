//! The interpreter around the core: the only file that leaves or enters it. The core's waits leave
//! it by themselves, through the host function that `register` names.

use fastnn::sync;
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

/// Names the interpreter as the host of the core's waits.
pub(crate) fn register() {
    sync::set_host(leave);
}
