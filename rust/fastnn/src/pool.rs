//! F1. The worker pool: `run(chunks, work)` is one fork-join. The caller works too, chunks are
//! claimed with one `fetch_add` each, helpers spin briefly after a job and then park. Nothing is
//! spawned before the first parallel call, and a forked child starts over with a pool of its own.
//!
//! Results never depend on the thread count as long as callers choose chunks from the problem
//! alone. May use std, error and sync only.

use crate::error::Error;
use crate::sync::{self, AtFork, Lock, Slot};
use std::any::Any;
use std::cell::UnsafeCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicPtr, AtomicU64, AtomicUsize};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// The most threads a pool can have.
pub const MAX_THREADS: usize = 256;

/// How long an idle helper spins before it parks: longer than the gap between two kernels of a
/// training step, shorter than anybody else on the machine would notice.
const SPIN: Duration = Duration::from_micros(50);

/// For so many nanoseconds after threads took turns they are taken to go on doing so: longer than what
/// a thread that asks again and again does between two programs.
const TURNS: u64 = 100_000;

/// Two cache lines, because the hardware fetches lines in pairs.
#[repr(align(128))]
struct Line<T>(T);

/// The work of one `run`, borrowed from the caller's stack while the gate is open.
#[derive(Clone, Copy)]
struct Job {
    work: *const (dyn Fn(usize) + Sync),
    chunks: usize,
}

/// `word` is, from the top, the epoch, OPEN, the helpers that entered, and the next chunk, so that
/// one step both enters and claims. A helper may read `job` after it has entered, and the caller
/// leaves only when all who entered have left. One line for all of it: a short job then costs few
/// transfers between cores, and long ones rarely touch it.
struct Gate {
    word: AtomicU64,
    left: AtomicUsize,
    job: UnsafeCell<Job>,
}

const NEXT: u64 = (1 << 32) - 1;
const ENTER: u64 = 1 << 32;
const OPEN: u64 = 1 << 42;
const EPOCH: u32 = 43;
/// Claims past the last chunk, one per thread, must not spill out of `NEXT`.
const MAX_CHUNKS: usize = NEXT as usize - 4 * MAX_THREADS;

struct Shared {
    gate: Line<Gate>,
    /// Helpers that are parked or about to be.
    asleep: Line<AtomicUsize>,
    parked: Vec<Line<AtomicBool>>,
    handles: Slot<Vec<Thread>>,
    stop: AtomicBool,
    spins: bool,
    panic: Lock<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` is written by the caller while the gate is closed and nobody is inside, and only
// read by helpers that entered through the gate; everything else is atomic or locked.
unsafe impl Sync for Shared {}
// SAFETY: as above; the raw pointer in `job` is only dereferenced while its caller waits.
unsafe impl Send for Shared {}

struct Pool {
    shared: Arc<Shared>,
    threads: usize,
}

static HELD: Line<AtomicBool> = Line(AtomicBool::new(false));
static CALLERS: Line<AtomicIsize> = Line(AtomicIsize::new(0));
/// The thread that entered as the last [`Caller`], and when that was another one than before it, on
/// the clock of `nanos`; 0: long ago.
static LAST: Line<(AtomicUsize, AtomicU64)> = Line((AtomicUsize::new(0), AtomicU64::new(0)));
static POOL: AtomicPtr<Pool> = AtomicPtr::new(ptr::null_mut());
static THREADS: AtomicUsize = AtomicUsize::new(0);
static FORKED: AtFork = AtFork::new(forget);

/// The number of threads a parallel call uses, the caller included.
#[must_use]
pub fn threads() -> usize {
    match THREADS.load(Relaxed) {
        0 => default_threads(),
        n => n,
    }
}

/// Sets the number of threads, clamped to `1..=256`; takes effect at the next parallel call.
pub fn set_threads(n: usize) {
    THREADS.store(n.clamp(1, MAX_THREADS), Relaxed);
}

fn cores() -> usize {
    static CORES: Slot<usize> = Slot::new();
    *CORES.get_or_make(|| thread::available_parallelism().map_or(1, usize::from))
}

/// `FASTNN_NUM_THREADS` when it is a number, else the cores that affinity and cgroup quota leave.
fn default_threads() -> usize {
    static DEFAULT: Slot<usize> = Slot::new();
    *DEFAULT.get_or_make(|| {
        let named = std::env::var("FASTNN_NUM_THREADS").ok().and_then(|v| v.trim().parse().ok());
        named.unwrap_or_else(cores).clamp(1, MAX_THREADS)
    })
}

/// A thread that runs a program, for as long as this lives.
///
/// While as many threads run programs as there are cores, each keeps to itself: the helpers of one
/// would run on the cores of the others, and all would be slower.
pub struct Caller(());

impl Caller {
    /// Counts the calling thread.
    #[must_use]
    pub fn enter() -> Caller {
        CALLERS.0.fetch_add(1, Relaxed);
        let (last, turned) = &LAST.0;
        let me = sync::this_thread();
        let before = last.load(Relaxed);
        if before != me {
            last.store(me, Relaxed);
            if before != 0 {
                turned.store(nanos(), Relaxed);
            }
        }
        Caller(())
    }

    /// True when the other threads that run programs leave cores for all helpers. One that ran a program
    /// a moment ago, and is busy between two of them, needs its core as well.
    fn have_room(threads: usize) -> bool {
        let others = CALLERS.0.load(Relaxed) - 1;
        let others = if others < 1 && Caller::take_turns() { 1 } else { others };
        others < 1 || others as usize + threads <= cores()
    }

    /// True when threads ran programs in turns until a moment ago.
    #[must_use]
    pub fn take_turns() -> bool {
        let turned = &LAST.0.1;
        let at = turned.load(Relaxed);
        if at == 0 {
            return false;
        }
        let lately = nanos().saturating_sub(at) < TURNS;
        if !lately {
            turned.store(0, Relaxed);
        }
        lately
    }
}

/// Nanoseconds since this was first asked, from 1 on.
fn nanos() -> u64 {
    static START: Slot<Instant> = Slot::new();
    1 + START.get_or_make(Instant::now).elapsed().as_nanos() as u64
}

impl Drop for Caller {
    fn drop(&mut self) {
        CALLERS.0.fetch_sub(1, Relaxed);
    }
}

/// Calls `work(i)` once for each `i` in `0..chunks`, on all threads, and returns when all are done.
///
/// Runs inline on the caller when there is one chunk or one thread, inside another parallel call,
/// while another thread has the pool, or while other [`Caller`]s need the cores. A panic in `work` abandons the remaining chunks and is
/// resumed on the caller.
///
/// # Panics
/// As [`give_up_if_interrupted`], which the caller asks before each chunk of its own: whoever
/// called sees no half-done result, since it is not returned to.
pub fn run(chunks: usize, work: &(dyn Fn(usize) + Sync)) {
    // Read once: another thread may set it meanwhile.
    let threads = threads();
    if (2..=MAX_CHUNKS).contains(&chunks)
        && threads > 1
        && Caller::have_room(threads)
        && let Some(held) = Held::take()
        && let Some(shared) = pool(&held, threads)
    {
        return shared.fork_join(chunks, work);
    }
    for i in 0..chunks {
        if i > 0 {
            give_up_if_interrupted();
        }
        work(i);
    }
}

/// A place between chunks or steps where watched work (`sync::watched`) can be given up.
///
/// # Panics
/// Unwinds with [`Error::Interrupted`] as its payload when it is to be given up.
#[inline]
pub fn give_up_if_interrupted() {
    if sync::is_interrupted() {
        resume_unwind(Box::new(Error::Interrupted));
    }
}

/// Splits `0..n` into chunks of `grain` (the last one shorter) and calls `f` once for each.
pub fn run_range(n: usize, grain: usize, f: &(dyn Fn(Range<usize>) + Sync)) {
    let grain = grain.max(1);
    if n <= grain {
        if n > 0 {
            f(0..n);
        }
        return;
    }
    run(n.div_ceil(grain), &|i| f(i * grain..((i + 1) * grain).min(n)));
}

/// Calls `work(i, part)` once for each part of `size` elements of `out` (the last one shorter).
pub fn run_parts<T: Send>(out: &mut [T], size: usize, work: &(dyn Fn(usize, &mut [T]) + Sync)) {
    struct Part<'a, T>(UnsafeCell<&'a mut [T]>);
    // SAFETY: each part is reached by the one call of its chunk.
    unsafe impl<T: Send> Sync for Part<'_, T> {}
    let parts: Vec<Part<T>> = out.chunks_mut(size.max(1)).map(|part| Part(UnsafeCell::new(part))).collect();
    run(parts.len(), &|i| {
        // SAFETY: `run` calls this once for each `i`.
        work(i, unsafe { &mut *parts[i].0.get() });
    });
}

/// The right to use the pool, given back when dropped.
struct Held;

impl Held {
    fn take() -> Option<Held> {
        (!HELD.0.swap(true, Acquire)).then(|| Held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.0.store(false, Release);
    }
}

/// The pool for `threads` threads, built or rebuilt if need be; `None` if no helper could start.
fn pool(_held: &Held, threads: usize) -> Option<&Shared> {
    let mut current = POOL.load(Relaxed);
    // SAFETY: the pointer is null or came from Box::into_raw; only the holder touches it.
    if let Some(old) = unsafe { current.as_ref() }.filter(|p| p.threads != threads) {
        old.shared.retire();
        // SAFETY: as above; nobody else has the pointer, and it is replaced below.
        drop(unsafe { Box::from_raw(current) });
        current = ptr::null_mut();
    }
    if current.is_null() {
        FORKED.watch();
        current = Box::into_raw(Box::new(Pool { shared: start(threads), threads }));
        POOL.store(current, Relaxed);
    }
    // SAFETY: not null; it is freed only by a later holder, after `_held` is gone.
    let shared = unsafe { &(*current).shared };
    (!shared.parked.is_empty()).then_some(shared)
}

/// Starts `threads - 1` helpers, or as many as the system allows.
fn start(threads: usize) -> Arc<Shared> {
    let wanted = threads - 1;
    let mut starting = Vec::with_capacity(wanted);
    let ready: Arc<Slot<Arc<Shared>>> = Arc::default();
    for i in 0..wanted {
        let ready = ready.clone();
        let body = move || loop {
            if let Some(shared) = ready.get() {
                // Helpers never call the host.
                return sync::mark(true, || shared.clone().help(i));
            }
            thread::park();
        };
        match thread::Builder::new().name(format!("fastnn-{}", i + 1)).spawn(body) {
            Ok(handle) => starting.push(handle.thread().clone()),
            Err(_) => break,
        }
    }
    let noop: &'static (dyn Fn(usize) + Sync) = &|_| {};
    let shared = Arc::new(Shared {
        gate: Line(Gate {
            word: AtomicU64::new(0),
            left: AtomicUsize::new(0),
            job: UnsafeCell::new(Job { work: noop, chunks: 0 }),
        }),
        asleep: Line(AtomicUsize::new(0)),
        parked: starting.iter().map(|_| Line(AtomicBool::new(false))).collect(),
        handles: Slot::new(),
        stop: AtomicBool::new(false),
        spins: threads <= cores(),
        panic: Lock::new(None),
    });
    shared.handles.set(starting.clone());
    ready.set(shared.clone());
    for handle in &starting {
        handle.unpark();
    }
    shared
}

impl Shared {
    fn fork_join(&self, chunks: usize, work: &(dyn Fn(usize) + Sync)) {
        // SAFETY: only the lifetime is erased; this function returns after all helpers have left.
        let work: *const (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(work) };
        let job = Job { work, chunks };
        // SAFETY: the gate is closed and nobody is inside, so nobody else reads or writes `job`.
        unsafe { *self.gate.0.job.get() = job };
        self.gate.0.left.store(0, Relaxed);
        let epoch = (self.gate.0.word.load(Relaxed) >> EPOCH) + 1;
        // The caller has chunk 0. SeqCst against `sleep`: either we see the sleeper or it sees the job.
        self.gate.0.word.swap(epoch << EPOCH | OPEN | 1, SeqCst);
        self.wake((chunks - 1).min(2));
        self.work_off(job, 0);
        let entered = (self.gate.0.word.fetch_and(!OPEN, AcqRel) & (OPEN - 1)) / ENTER;
        self.wait_for(entered as usize);
        if let Some(payload) = self.take_panic() {
            resume_unwind(payload);
        }
    }

    /// Runs chunk `first`, then claims and runs chunks until none is left.
    fn work_off(&self, job: Job, first: usize) {
        let word = &self.gate.0.word;
        let done = catch_unwind(AssertUnwindSafe(|| {
            let mut i = first;
            while i < job.chunks {
                // SAFETY: the caller of `fork_join` keeps `work` alive until everybody has left.
                unsafe { (*job.work)(i) };
                if i + 1 == job.chunks {
                    break;
                }
                // Only the caller's thread is watched; what it abandons no helper claims.
                give_up_if_interrupted();
                i = (word.fetch_add(1, Relaxed) & NEXT) as usize;
            }
        }));
        if let Err(payload) = done {
            let abandon = |w: u64| Some(w & !NEXT | (w & NEXT).max(job.chunks as u64));
            let _ = word.fetch_update(Relaxed, Relaxed, abandon);
            let unused = match &mut *self.panic.lock() {
                Some(_) => Some(payload),
                slot => slot.replace(payload),
            };
            drop(unused);
        }
    }

    fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        self.panic.lock().take()
    }

    /// Waits until `entered` helpers have left; yields when one of them seems to have lost its core.
    fn wait_for(&self, entered: usize) {
        let patience = if self.spins { 2000 } else { 10 };
        let mut spins = 0;
        while self.gate.0.left.load(Acquire) != entered {
            if spins < patience {
                spins += 1;
                std::hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }

    /// Wakes up to `limit` parked helpers; each of them wakes two more.
    fn wake(&self, mut limit: usize) {
        if self.asleep.0.load(SeqCst) == 0 {
            return;
        }
        let handles = self.handles.get().map_or(&[][..], Vec::as_slice);
        for (flag, handle) in self.parked.iter().zip(handles) {
            if limit == 0 {
                return;
            }
            if flag.0.load(SeqCst) && flag.0.swap(false, SeqCst) {
                self.asleep.0.fetch_sub(1, SeqCst);
                handle.unpark();
                limit -= 1;
            }
        }
    }

    fn help(self: Arc<Shared>, me: usize) {
        let mut seen = 0;
        while let Some((word, slept)) = self.enter(me, seen) {
            seen = word >> EPOCH;
            // SAFETY: we are inside the gate, so `job` is the caller's and stays put.
            let job = unsafe { *self.gate.0.job.get() };
            let first = (word & NEXT) as usize;
            if slept && first + 1 < job.chunks {
                self.wake(2);
            }
            self.work_off(job, first);
            self.gate.0.left.fetch_add(1, Release);
        }
    }

    /// True when `word` has a job newer than `seen`.
    fn is_news(word: u64, seen: u64) -> bool {
        word & OPEN != 0 && word >> EPOCH != seen
    }

    /// Waits for a job newer than `seen`, enters it and claims a chunk: the word before that, and
    /// whether we slept; `None` when the pool retires.
    fn enter(&self, me: usize, seen: u64) -> Option<(u64, bool)> {
        let mut slept = false;
        let mut spins = 0u32;
        let mut since: Option<Instant> = None;
        loop {
            let word = self.gate.0.word.load(Acquire);
            if Self::is_news(word, seen) {
                if self.gate.0.word.compare_exchange(word, word + ENTER + 1, AcqRel, Relaxed).is_ok() {
                    return Some((word, slept));
                }
                continue;
            }
            if self.stop.load(Relaxed) {
                return None;
            }
            spins = spins.wrapping_add(1);
            let tired = !self.spins
                || (spins.is_multiple_of(64) && since.get_or_insert_with(Instant::now).elapsed() > SPIN);
            if tired {
                self.sleep(me, seen);
                slept = true;
                since = None;
            }
            std::hint::spin_loop();
        }
    }

    fn sleep(&self, me: usize, seen: u64) {
        let flag = &self.parked[me].0;
        self.asleep.0.fetch_add(1, SeqCst);
        flag.store(true, SeqCst);
        let word = self.gate.0.word.load(SeqCst);
        if Self::is_news(word, seen) || self.stop.load(SeqCst) {
            if flag.swap(false, SeqCst) {
                self.asleep.0.fetch_sub(1, SeqCst);
            }
            return;
        }
        while flag.load(Acquire) {
            thread::park();
        }
    }

    fn retire(&self) {
        self.stop.store(true, SeqCst);
        self.wake(usize::MAX);
    }
}

/// In a forked child the helpers are gone and the pool may be held by nobody: start over. The old
/// one is left as it was, since its memory may have been caught half-way.
fn forget() {
    POOL.store(ptr::null_mut(), Relaxed);
    HELD.0.store(false, Release);
    CALLERS.0.store(0, Relaxed);
    LAST.0.0.store(0, Relaxed);
    LAST.0.1.store(0, Relaxed);
}
