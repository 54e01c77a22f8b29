//! F7. Recordings: while one is active on a thread, what is computed from tensors that it watches
//! keeps its inputs after it has been read, so gradients can be taken afterwards. A gradient tape
//! is one. Without a recording a read tensor forgets its inputs, so that no history piles up.

use super::differentiate::gradients_along;
use super::walk::PointerHash;
use super::{Inner, Tensor, Walk, release};
use crate::error::Result;
use crate::sync::Lock;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

/// What one recording keeps, by address; weak, so that it keeps no value alive itself. An address
/// is not used again while there is a `Weak` of it.
type Kept = Arc<Lock<HashMap<usize, Weak<Inner>, BuildHasherDefault<PointerHash>>>>;

thread_local! {
    static ACTIVE: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

/// What is computed from watched tensors between [`Recording::start`] and [`Recording::stop`]
/// keeps its inputs until the recording is closed or dropped.
#[derive(Debug, Default)]
pub struct Recording(Kept);

impl Recording {
    /// Records what this thread computes from here on.
    pub fn start(&self) {
        self.stop();
        ACTIVE.with_borrow_mut(|active| active.push(self.0.clone()));
    }

    /// Records no more; what was recorded stays.
    pub fn stop(&self) {
        ACTIVE.with_borrow_mut(|active| active.retain(|kept| !Arc::ptr_eq(kept, &self.0)));
    }

    /// Records what is computed from this tensor.
    pub fn watch(&self, tensor: &Tensor) {
        note(&self.0, tensor);
    }

    /// True when the recording watches the tensor, or noted that it was computed.
    #[must_use]
    pub fn holds(&self, tensor: &Tensor) -> bool {
        self.0.lock().contains_key(&tensor.key())
    }

    /// As [`super::gradients`], along what was recorded only: all else is a constant.
    pub fn gradients(&self, y: &Tensor, xs: &[Tensor], dy: Option<&Tensor>) -> Result<Vec<Tensor>> {
        gradients_along(y, xs, dy, |roots| self.walk(roots))
    }

    /// For each of `xs`, whether a derivative of `y` flows to it, along what was recorded.
    #[must_use]
    pub fn depends_on(&self, y: &Tensor, xs: &[Tensor]) -> Vec<bool> {
        let mut roots = vec![y.clone()];
        roots.extend(xs.iter().cloned());
        self.walk(&roots).reached(y, xs)
    }

    fn walk(&self, roots: &[Tensor]) -> Walk {
        // A bundle is recorded by its results.
        Walk::along(roots, &|tensor| tensor.is_bundle() || self.holds(tensor))
    }

    /// Lets all recorded history go.
    pub fn close(&self) {
        self.stop();
        let kept = std::mem::take(&mut *self.0.lock());
        for inner in kept.values().filter_map(Weak::upgrade) {
            if inner.recorded.fetch_sub(1, Relaxed) == 1 && inner.data.get().is_some() {
                let pending = inner.pending.lock().take();
                release(pending);
            }
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.close();
    }
}

fn note(kept: &Kept, tensor: &Tensor) {
    let before = kept.lock().insert(tensor.key(), Arc::downgrade(&tensor.0));
    if before.is_none() {
        tensor.0.recorded.fetch_add(1, Relaxed);
    }
}

/// Notes a new tensor, computed from recorded ones, with the recordings of this thread.
pub(super) fn note_result(tensor: &Tensor) {
    ACTIVE.with_borrow(|active| active.iter().for_each(|kept| note(kept, tensor)));
}
