//! F0. The only file of the core in which a thread waits for another one, or for another process (the
//! pool's own join apart).
//!
//! A host, which is the language that calls the core, may hold a lock of its own around every call.
//! It names a function with [`set_host`] that lets that lock go for the length of a wait, and every
//! wait here goes through it: no caller can wait with the host's lock held, since none waits by
//! itself. Two rules make the rest follow. What runs under a [`Lock`] is short and never waits, so
//! nobody holds one while it wants the host; and `fork` waits until no thread is under one, so that
//! a child finds all of them free and what they guard whole.
//!
//! May use std and libc only.

mod lock;

pub use lock::{Guard, Lock, Slot};

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ptr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, fence};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// What a host puts around a wait: runs the function it is given once, with its own lock let go.
pub type Host = fn(&mut dyn FnMut());

static HOST: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Names the function that lets the host's lock go around a wait.
pub fn set_host(host: Host) {
    HOST.store(host as *mut (), Release);
}

/// Says whether the host's user wants the work of this thread given up (Ctrl-C), without acting on
/// it: it may be asked in the middle of a kernel, where nobody can run the host's code.
pub type Interrupt = fn() -> bool;

static INTERRUPT: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Names the function that says whether work is to be given up.
pub fn set_interrupt(interrupt: Interrupt) {
    INTERRUPT.store(interrupt as *mut (), Release);
}

/// True when there is a host that may want work given up.
#[must_use]
pub fn can_be_interrupted() -> bool {
    !INTERRUPT.load(Relaxed).is_null()
}

/// Asks the host whether it wants the work of this thread given up, for who waits anyway.
#[must_use]
pub fn asks_to_stop() -> bool {
    let interrupt = INTERRUPT.load(Acquire);
    if interrupt.is_null() || holds_lock() {
        return false;
    }
    // SAFETY: only `set_interrupt` stores here, and it stores an `Interrupt`.
    unsafe { std::mem::transmute::<*mut (), Interrupt>(interrupt)() }
}

/// Between two looks at the host while work is watched.
const LOOK: Duration = Duration::from_millis(50);

/// Runs `work`, which asks [`is_interrupted`] from time to time and may then be given up.
pub fn watched<T>(work: impl FnOnce() -> T) -> T {
    struct Restore(Option<Instant>);
    impl Drop for Restore {
        fn drop(&mut self) {
            LOCAL.with(|l| l.look.set(self.0));
        }
    }
    if INTERRUPT.load(Relaxed).is_null() {
        return work();
    }
    let _restore = Restore(LOCAL.with(|l| l.look.replace(Some(Instant::now() + LOOK))));
    work()
}

/// True when this thread's work is watched and is to be given up. Asks the host every 50 ms; costs
/// next to nothing where nothing is watched.
#[inline]
#[must_use]
pub fn is_interrupted() -> bool {
    LOCAL.with(|l| l.look.get()).is_some_and(look)
}

#[cold]
fn look(due: Instant) -> bool {
    let now = Instant::now();
    if now < due || holds_lock() {
        return false;
    }
    LOCAL.with(|l| l.look.set(Some(now + LOOK)));
    asks_to_stop()
}

/// Looks at a lock before a thread gives way to others.
const SPINS: u32 = 100;

#[derive(Debug)]
struct Local {
    /// Locks held by this thread.
    depth: Cell<u32>,
    /// Its place in `INSIDE`; `SLOTS` until it has taken one.
    slot: Cell<usize>,
    /// True while the thread is known not to hold the host's lock.
    outside: Cell<bool>,
    /// True when `LATER` has something for the end of the section.
    later: Cell<bool>,
    /// When the host is asked next whether work is to be given up; `None` while none is watched.
    look: Cell<Option<Instant>>,
}

thread_local! {
    static LOCAL: Local = const {
        Local { depth: Cell::new(0), slot: Cell::new(SLOTS), outside: Cell::new(false), later: Cell::new(false), look: Cell::new(None) }
    };
    static LATER: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
    static TICKET: Ticket = const { Ticket(Cell::new(SHARED)) };
}

/// Runs `wait` outside the host's lock. Everything that may take long, or depends on another
/// thread, belongs in here.
///
/// # Panics
/// When the thread holds a [`Lock`]: what runs under one never waits.
pub fn outside<T>(wait: impl FnOnce() -> T) -> T {
    assert!(!holds_lock(), "invariant: nobody waits while it holds a lock");
    let host = HOST.load(Acquire);
    if host.is_null() || LOCAL.with(|l| l.outside.get()) {
        return wait();
    }
    // SAFETY: only `set_host` stores here, and it stores a `Host`.
    let host: Host = unsafe { std::mem::transmute::<*mut (), Host>(host) };
    let (mut wait, mut result) = (Some(wait), None);
    host(&mut || result = wait.take().map(|wait| mark(true, wait)));
    result.expect("invariant: a host runs what it is given, once")
}

/// Runs `body` on a thread that holds the host's lock (`outside` false) or does not (true).
pub fn mark<T>(outside: bool, body: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            LOCAL.with(|l| l.outside.set(self.0));
        }
    }
    let _restore = Restore(LOCAL.with(|l| l.outside.replace(outside)));
    body()
}

/// A number of the calling thread, never 0; another thread may get it when this one has ended.
#[must_use]
pub fn this_thread() -> usize {
    LOCAL.with(|l| std::ptr::from_ref(l).addr())
}

/// True while this thread holds a [`Lock`]; it must not wait, nor enter the host, until then.
#[must_use]
pub fn holds_lock() -> bool {
    LOCAL.with(|l| l.depth.get()) > 0
}

/// Drops a value now, or as soon as this thread holds no lock: for values whose drop may wait.
pub fn drop_outside(value: Box<dyn Any>) {
    if holds_lock() {
        LOCAL.with(|l| l.later.set(true));
        let _ = LATER.try_with(|later| later.borrow_mut().push(value));
    }
}

// ---- sections: the stretches under a lock, which `fork` waits for

/// Threads that can have a place of their own; all others share the last one.
const SLOTS: usize = 256;
const SHARED: usize = SLOTS - 1;

/// Two cache lines, because the hardware fetches lines in pairs.
#[repr(align(128))]
struct Line<T>(T);

static INSIDE: [Line<AtomicU32>; SLOTS] = [const { Line(AtomicU32::new(0)) }; SLOTS];
static TAKEN: [AtomicU64; SLOTS / 64] = [const { AtomicU64::new(0) }; SLOTS / 64];
static FORKING: AtomicBool = AtomicBool::new(false);
static WATCHED: AtomicBool = AtomicBool::new(false);
/// 1 in the first process, one more in each child of a child.
static GENERATION: AtomicU32 = AtomicU32::new(1);
/// What a child does first: a list that only grows.
static CHILD: AtomicPtr<AtFork> = AtomicPtr::new(ptr::null_mut());

/// Something that every forked child does first; it may only store to atomics.
pub struct AtFork {
    child: fn(),
    known: AtomicBool,
    next: AtomicPtr<AtFork>,
}

/// A thread's place in `INSIDE`, given back when the thread ends.
struct Ticket(Cell<usize>);

impl Drop for Ticket {
    fn drop(&mut self) {
        let slot = self.0.replace(SHARED);
        LOCAL.with(|l| l.slot.set(SHARED));
        if slot < SHARED {
            TAKEN[slot / 64].fetch_and(!(1 << (slot % 64)), Release);
        }
    }
}

#[cold]
fn take_slot() -> usize {
    watch_forks();
    let mut found = SHARED;
    'search: for (w, word) in TAKEN.iter().enumerate() {
        loop {
            let taken = word.load(Relaxed);
            let bit = (!taken).trailing_zeros() as usize;
            if bit == 64 || 64 * w + bit >= SHARED {
                break;
            }
            if word.compare_exchange(taken, taken | 1 << bit, AcqRel, Relaxed).is_ok() {
                found = 64 * w + bit;
                break 'search;
            }
        }
    }
    // A thread that is ending keeps to the shared place, since nobody would give its own back.
    if TICKET.try_with(|ticket| ticket.0.set(found)).is_err() && found < SHARED {
        TAKEN[found / 64].fetch_and(!(1 << (found % 64)), Release);
        found = SHARED;
    }
    LOCAL.with(|l| l.slot.set(found));
    found
}

fn announce(local: &Local) {
    let slot = match local.slot.get() {
        SLOTS => take_slot(),
        slot => slot,
    };
    if slot == SHARED {
        INSIDE[SHARED].0.fetch_add(1, SeqCst);
    } else {
        INSIDE[slot].0.store(1, Relaxed);
    }
}

fn retract(local: &Local) {
    match local.slot.get() {
        SHARED => drop(INSIDE[SHARED].0.fetch_sub(1, Release)),
        slot => INSIDE[slot].0.store(0, Release),
    }
}

/// Enters a section by the atomic step `enter`, which says whether it was made; undone with `undo`
/// when a fork is under way. False: try again later, outside.
fn try_section(enter: impl FnOnce() -> bool, undo: impl FnOnce()) -> bool {
    LOCAL.with(|local| {
        let first = local.depth.get() == 0;
        if first {
            announce(local);
        }
        let entered = enter();
        if entered && !first {
            local.depth.set(local.depth.get() + 1);
            return true;
        }
        // Against `before_fork`: either it sees our announcement or we see its flag. The step above
        // is a full barrier on x86; elsewhere it need not be.
        if !cfg!(any(target_arch = "x86_64", target_arch = "x86")) {
            fence(SeqCst);
        }
        if entered && !FORKING.load(SeqCst) {
            local.depth.set(1);
            return true;
        }
        if entered {
            undo();
        }
        if first {
            retract(local);
        }
        false
    })
}

fn leave_section() {
    LOCAL.with(|local| {
        let depth = local.depth.get() - 1;
        local.depth.set(depth);
        if depth == 0 {
            retract(local);
            if local.later.replace(false) {
                let later = LATER.try_with(RefCell::take);
                drop(later);
            }
        }
    });
}

/// A stretch under several locks, one after the other: it is announced to `fork` once for all.
pub struct Section(std::marker::PhantomData<*const ()>);

/// Runs `body` in one section. It never waits, as under a lock.
pub fn section<T>(body: impl FnOnce(&Section) -> T) -> T {
    let announced = || {
        fence(SeqCst);
        true
    };
    while !try_section(announced, || ()) {
        wait_until(|| !FORKING.load(Relaxed));
    }
    let section = Section(std::marker::PhantomData);
    body(&section)
}

impl Drop for Section {
    fn drop(&mut self) {
        leave_section();
    }
}

/// Gives way to other threads, for longer the more often it was done before.
fn give_way(times: u32) {
    if times < 20 {
        thread::yield_now();
    } else {
        thread::sleep(Duration::from_micros(50));
    }
}

/// Waits outside the host until `ready` says so.
pub fn wait_until(ready: impl Fn() -> bool) {
    outside(|| {
        let mut times = 0;
        while !ready() {
            give_way(times);
            times += 1;
        }
    });
}

/// A count that one process raises and others, which have it mapped as well, wait for. It has cache
/// lines of its own: the hardware fetches lines in pairs.
#[repr(C, align(128))]
pub struct Count {
    value: AtomicU64,
    /// Those who wait without a core.
    asleep: AtomicU32,
}

impl Count {
    /// The longest sleep: where waking is lost or unknown, one looks again.
    const NAP: Duration = Duration::from_millis(20);

    /// The count.
    pub fn get(&self) -> u64 {
        self.value.load(Acquire)
    }

    /// Raises the count and wakes those who wait for it; what was written before is there for them.
    pub fn raise(&self, to: u64) {
        self.value.store(to, SeqCst);
        if self.asleep.load(SeqCst) > 0 {
            self.wake();
        }
    }

    /// Waits outside the host until the count is at least so much; false after about `longest`. The core
    /// is given up after so many looks, of some 50 ns each: to be woken may take longer than the wait.
    pub fn wait(&self, least: u64, looks: u32, longest: Duration) -> bool {
        for _ in 0..looks {
            if self.get() >= least {
                return true;
            }
            std::hint::spin_loop();
        }
        outside(|| {
            let start = Instant::now();
            self.asleep.fetch_add(1, SeqCst);
            let mut seen = self.value.load(SeqCst);
            while seen < least && start.elapsed() < longest {
                self.sleep(seen);
                seen = self.value.load(SeqCst);
            }
            self.asleep.fetch_sub(1, SeqCst);
            seen >= least
        })
    }

    /// The half of the count that changes with every step.
    #[cfg(target_os = "linux")]
    fn low(&self) -> *const u32 {
        let half = usize::from(cfg!(target_endian = "big"));
        self.value.as_ptr().cast::<u32>().wrapping_add(half)
    }

    #[cfg(target_os = "linux")]
    fn sleep(&self, seen: u64) {
        let nap = libc::timespec { tv_sec: 0, tv_nsec: Count::NAP.subsec_nanos().into() };
        // SAFETY: the kernel compares the word with what was seen and sleeps while they are equal; the
        // word and the time live as long as the call.
        unsafe { libc::syscall(libc::SYS_futex, self.low(), libc::FUTEX_WAIT, seen as u32, &raw const nap) };
    }

    #[cfg(target_os = "linux")]
    fn wake(&self) {
        // SAFETY: the word is only looked up, for those who sleep on it.
        unsafe { libc::syscall(libc::SYS_futex, self.low(), libc::FUTEX_WAKE, i32::MAX) };
    }

    #[cfg(not(target_os = "linux"))]
    fn sleep(&self, _seen: u64) {
        thread::sleep(Duration::from_micros(50));
    }

    #[cfg(not(target_os = "linux"))]
    fn wake(&self) {}
}

/// The number of this process among its forebears: a value kept from before a fork tells by it.
#[must_use]
pub fn generation() -> u32 {
    GENERATION.load(Relaxed)
}

impl AtFork {
    /// Does nothing until it is watched for.
    pub const fn new(child: fn()) -> AtFork {
        AtFork { child, known: AtomicBool::new(false), next: AtomicPtr::new(ptr::null_mut()) }
    }

    /// From now on children call it.
    pub fn watch(&'static self) {
        if self.known.load(Relaxed) || self.known.swap(true, AcqRel) {
            return;
        }
        watch_forks();
        let mut first = CHILD.load(Acquire);
        loop {
            self.next.store(first, Relaxed);
            match CHILD.compare_exchange(first, ptr::from_ref(self).cast_mut(), AcqRel, Acquire) {
                Ok(_) => return,
                Err(other) => first = other,
            }
        }
    }
}

fn watch_forks() {
    #[cfg(unix)]
    if !WATCHED.swap(true, SeqCst) {
        // SAFETY: the handlers touch atomics of this file only.
        unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(in_child)) };
    }
}

/// Lets no thread into a section, and waits until none is left in one. They are short and need
/// nothing that the forking thread may hold.
#[cfg(unix)]
unsafe extern "C" fn before_fork() {
    LOCAL.with(|l| l.depth.set(l.depth.get() + 1));
    FORKING.store(true, SeqCst);
    fence(SeqCst);
    let mut times = 0;
    while INSIDE.iter().any(|inside| inside.0.load(SeqCst) != 0) {
        give_way(times);
        times += 1;
    }
}

#[cfg(unix)]
unsafe extern "C" fn after_fork() {
    FORKING.store(false, SeqCst);
    LOCAL.with(|l| l.depth.set(l.depth.get() - 1));
}

#[cfg(unix)]
unsafe extern "C" fn in_child() {
    GENERATION.fetch_add(1, Relaxed);
    let own = LOCAL.with(|l| l.slot.get());
    // Threads that are gone may have been announcing themselves, and never give their places back.
    for inside in &INSIDE {
        inside.0.store(0, Relaxed);
    }
    for (w, word) in TAKEN.iter().enumerate() {
        word.store(if own < SHARED && own / 64 == w { 1 << (own % 64) } else { 0 }, Relaxed);
    }
    // SAFETY: the list holds statics.
    let mut next = unsafe { CHILD.load(Relaxed).as_ref() };
    while let Some(known) = next {
        (known.child)();
        // SAFETY: as above.
        next = unsafe { known.next.load(Relaxed).as_ref() };
    }
    after_fork();
}

/// Threads that wait for something, woken together. Kept under the lock of what they wait for.
#[derive(Debug, Default)]
pub struct Waiters(Vec<Thread>);

impl Waiters {
    /// Nobody waits.
    #[must_use]
    pub const fn new() -> Waiters {
        Waiters(Vec::new())
    }

    /// Notes this thread down; [`rest`] then returns when it is woken.
    pub fn enlist(&mut self) {
        self.0.push(thread::current());
    }

    /// Takes the list out, to be woken once the lock is let go.
    #[must_use]
    pub fn take(&mut self) -> Waiters {
        Waiters(std::mem::take(&mut self.0))
    }

    /// Wakes all.
    pub fn wake(self) {
        for thread in self.0 {
            thread.unpark();
        }
    }
}

/// Sleeps until woken; sometimes earlier, so look again. Only within [`outside`].
pub fn rest() {
    rest_for(Duration::from_millis(100));
}

/// As [`rest`], for this long at most.
pub fn rest_for(at_most: Duration) {
    thread::park_timeout(at_most);
}

/// Writes a line of debugging text to standard error, outside the host: a full pipe would block.
pub fn print(text: fmt::Arguments<'_>) {
    let line = format!("{text}\n");
    outside(|| {
        // The standard library's handle has a lock of its own, which a forked child could find held.
        #[cfg(unix)]
        // SAFETY: descriptor 2 is standard error, and it is not closed here.
        let mut out =
            std::mem::ManuallyDrop::new(unsafe { <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(2) });
        #[cfg(not(unix))]
        let mut out = Box::new(std::io::stderr());
        let _ = std::io::Write::write_all(&mut *out, line.as_bytes());
    });
}
