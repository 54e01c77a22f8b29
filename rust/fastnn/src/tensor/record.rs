//! F7. Recordings: while one is active on a thread, what is computed from tensors that it watches
//! keeps its inputs after it has been read, so gradients can be taken afterwards. A gradient tape
//! is one. Without a recording a read tensor forgets its inputs, so that no history piles up.

use super::{Inner, Tensor, release};
use crate::sync::Lock;
use std::cell::RefCell;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

/// What one recording keeps; weak, so that it keeps nothing alive itself.
type Kept = Arc<Lock<Vec<Weak<Inner>>>>;

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

    /// Lets all recorded history go.
    pub fn close(&self) {
        self.stop();
        let kept = std::mem::take(&mut *self.0.lock());
        for inner in kept.iter().filter_map(Weak::upgrade) {
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
    tensor.0.recorded.fetch_add(1, Relaxed);
    kept.lock().push(Arc::downgrade(&tensor.0));
}

/// Notes a new tensor, computed from recorded ones, with the recordings of this thread.
pub(super) fn note_result(tensor: &Tensor) {
    ACTIVE.with_borrow(|active| active.iter().for_each(|kept| note(kept, tensor)));
}
