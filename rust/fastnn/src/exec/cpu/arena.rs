//! Memory for intermediate values, shared by programs of one family (the plans of a function for
//! its batch sizes): runs that follow each other use one block, as large as the largest needs, and
//! runs at the same time get one each.

use crate::buffer::Buffer;
use crate::error::Result;
use crate::sync::Lock;

/// Idle blocks kept beside the first: for this many runs at once, up to this many bytes.
const KEPT: usize = 8;
const KEPT_BYTES: usize = 256 << 20;

/// The idle blocks of a family. Never waits: who finds it busy takes fresh memory.
#[derive(Debug, Default)]
pub struct Arenas {
    idle: Lock<Vec<Buffer>>,
}

impl Arenas {
    /// A block of at least so many bytes, with whatever was there; nothing when none are needed.
    ///
    /// # Safety
    /// The caller writes bytes before it reads them.
    pub(super) unsafe fn take(&self, bytes: usize) -> Result<Option<Buffer>> {
        if bytes == 0 {
            return Ok(None);
        }
        match self.idle.try_lock().and_then(|mut idle| idle.pop()) {
            Some(block) if block.bytes() >= bytes => Ok(Some(block)),
            // A block that is too small goes before the larger one comes, so the two never stand
            // side by side.
            small => {
                drop(small);
                Buffer::uninit(bytes).map(Some)
            }
        }
    }

    /// Keeps a block for the next run.
    pub(super) fn give(&self, block: Buffer) {
        if let Some(mut idle) = self.idle.try_lock() {
            let bytes: usize = idle.iter().chain([&block]).map(Buffer::bytes).sum();
            if idle.is_empty() || (idle.len() < KEPT && bytes <= KEPT_BYTES) {
                idle.push(block);
            }
        }
    }

    /// Bytes of the idle blocks.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.idle.lock().iter().map(Buffer::bytes).sum()
    }
}
