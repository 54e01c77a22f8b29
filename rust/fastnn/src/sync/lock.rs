//! F0. Locks for short stretches, and slots that are set once.

use super::{FORKING, SPINS, Section, give_way, holds_lock, leave_section, try_section, wait_until};
use std::cell::UnsafeCell;
use std::fmt;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU8};

/// A lock for short stretches that never wait. Waiting for it happens outside the host.
pub struct Lock<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one thread at a time, as `held` sees to.
unsafe impl<T: Send> Send for Lock<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Lock<T> {}

/// The right to a lock's value, given back when dropped.
pub struct Guard<'a, T> {
    lock: &'a Lock<T>,
    /// Sections are counted by thread, so a guard stays on its own.
    _local: std::marker::PhantomData<*const ()>,
}

impl<T> Lock<T> {
    /// A free lock.
    pub const fn new(value: T) -> Lock<T> {
        Lock { held: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// The value, once nobody else has it. Waits outside the host; under another lock, where
    /// nobody may wait, it gives way to the holder, who is about to be done.
    pub fn lock(&self) -> Guard<'_, T> {
        let mut times = 0;
        loop {
            if let Some(guard) = self.try_lock() {
                return guard;
            }
            if holds_lock() {
                debug_assert!(times < 100_000, "invariant: what runs under a lock is short");
                give_way(times);
                times += 1;
            } else {
                wait_until(|| !self.held.load(Relaxed) && !FORKING.load(Relaxed));
            }
        }
    }

    /// The value, if nobody else has it for more than a moment. Never waits.
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        for _ in 0..SPINS {
            let free = !self.held.load(Relaxed);
            if free && try_section(|| !self.held.swap(true, SeqCst), || self.held.store(false, Release)) {
                return Some(Guard { lock: self, _local: std::marker::PhantomData });
            }
            if FORKING.load(Relaxed) && !holds_lock() {
                return None;
            }
            std::hint::spin_loop();
        }
        None
    }

    /// Runs `body` with the value, in a section that is entered already.
    pub fn within<R>(&self, _section: &Section, body: impl FnOnce(&mut T) -> R) -> R {
        struct Held<'a>(&'a AtomicBool);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                self.0.store(false, Release);
            }
        }
        let mut times = 0;
        while self.held.swap(true, Acquire) {
            debug_assert!(times < 100_000, "invariant: what runs under a lock is short");
            give_way(times);
            times += 1;
        }
        let _held = Held(&self.held);
        // SAFETY: this thread has the lock.
        body(unsafe { &mut *self.value.get() })
    }

    /// The value, to whoever has the lock to itself.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// The value, taken out.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard has the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard has the lock, and the borrow is unique.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.lock.held.store(false, Release);
        leave_section();
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lock")
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Lock<T> {
        Lock::new(T::default())
    }
}

const EMPTY: u8 = 0;
const BUSY: u8 = 1;
const FULL: u8 = 2;

/// A value that is set once. Reading never waits.
pub struct Slot<T> {
    state: AtomicU8,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is written once, before FULL is published, and then only read.
unsafe impl<T: Send> Send for Slot<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

impl<T> Slot<T> {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Slot<T> {
        Slot { state: AtomicU8::new(EMPTY), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// A value that is set from the start.
    pub const fn full(value: T) -> Slot<T> {
        Slot { state: AtomicU8::new(FULL), value: UnsafeCell::new(MaybeUninit::new(value)) }
    }

    /// The value, once it is set.
    pub fn get(&self) -> Option<&T> {
        // SAFETY: FULL says that the value was written.
        (self.state.load(Acquire) == FULL).then(|| unsafe { (*self.value.get()).assume_init_ref() })
    }

    /// Sets the value unless somebody was first; it is set in either case afterwards.
    pub fn set(&self, value: T) {
        let claim = || self.state.compare_exchange(EMPTY, BUSY, SeqCst, Relaxed).is_ok();
        while self.state.load(Relaxed) == EMPTY {
            if try_section(claim, || self.state.store(EMPTY, Release)) {
                // SAFETY: whoever made the slot BUSY writes alone.
                unsafe { (*self.value.get()).write(value) };
                self.state.store(FULL, Release);
                leave_section();
                return;
            }
            if FORKING.load(Relaxed) && !holds_lock() {
                wait_until(|| !FORKING.load(Relaxed));
            }
        }
        let mut times = 0;
        while self.state.load(Acquire) != FULL {
            // The writer is a few instructions from being done.
            if holds_lock() {
                give_way(times)
            } else {
                wait_until(|| self.state.load(Relaxed) == FULL)
            }
            times += 1;
        }
    }

    /// The value, taken out.
    pub fn into_inner(mut self) -> Option<T> {
        let full = std::mem::replace(self.state.get_mut(), EMPTY) == FULL;
        // SAFETY: FULL says that the value was written; the state now says that it is gone.
        full.then(|| unsafe { self.value.get_mut().assume_init_read() })
    }

    /// The value, made first if need be. Several threads may make one; the first stays.
    pub fn get_or_make(&self, make: impl FnOnce() -> T) -> &T {
        if self.get().is_none() {
            self.set(make());
        }
        self.get().expect("invariant: it was set")
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Slot<T> {
        Slot::new()
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if *self.state.get_mut() == FULL {
            // SAFETY: FULL says that the value was written, and it is dropped once.
            unsafe { self.value.get_mut().assume_init_drop() };
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slot").field(&self.get()).finish()
    }
}
