//! State that a program overwrites before its end, kept aside so that a run can be given up: metric
//! sums, counters, moving averages and other small things. Weights are too large for that: from the
//! first step that overwrites more than `LIMIT` bytes on, a run goes to its end.

use super::step::{Memory, Step};
use crate::buffer::Buffer;
use crate::error::Result;
use crate::graph::Graph;
use crate::passes::plan::Loc;
use std::ptr::copy_nonoverlapping;

/// Bytes that are copied in some 20 us: little beside a run that is worth giving up.
const LIMIT: usize = 256 << 10;

/// A value of the state that a step is the first to overwrite.
struct First {
    step: usize,
    slot: usize,
    bytes: usize,
}

/// Which values of the state are overwritten where.
pub(super) struct Undo {
    /// In the order of the steps.
    firsts: Vec<First>,
    until: usize,
}

impl Undo {
    pub(super) fn of(graph: &Graph, steps: &[Step]) -> Undo {
        let (mut firsts, mut all) = (Vec::<First>::new(), 0);
        for (at, step) in steps.iter().enumerate() {
            let known = firsts.len();
            for loc in step.writes() {
                let Loc::Input(slot) = loc else { continue };
                if firsts.iter().all(|first| first.slot != slot) {
                    let bytes = graph.ty(graph.inputs[slot]).bytes();
                    firsts.push(First { step: at, slot, bytes });
                    all += bytes;
                }
            }
            if all > LIMIT {
                firsts.truncate(known);
                return Undo { firsts, until: at };
            }
        }
        Undo { firsts, until: steps.len() }
    }

    /// The step from which on a run goes to its end.
    pub(super) fn until(&self) -> usize {
        self.until
    }

    /// Room for the values.
    pub(super) fn room(&self) -> Result<Buffer> {
        Buffer::zeroed(self.firsts.iter().map(|first| first.bytes).sum())
    }

    /// Calls `copy` with the place of each value that a step among `steps` is the first to overwrite.
    fn each(&self, steps: std::ops::Range<usize>, mut copy: impl FnMut(usize, usize, usize)) {
        let mut offset = 0;
        for first in &self.firsts {
            if steps.contains(&first.step) {
                copy(first.slot, offset, first.bytes);
            }
            offset += first.bytes;
        }
    }

    /// Keeps what step `at` is the first to overwrite.
    ///
    /// # Safety
    /// The memory covers the program's inputs; `saved` is its `room`.
    pub(super) unsafe fn save(&self, at: usize, memory: &Memory<'_>, saved: &mut Buffer) {
        let to = saved.as_mut_ptr();
        self.each(at..at + 1, |slot, offset, bytes| {
            copy_nonoverlapping(memory.at(Loc::Input(slot)).cast_const(), to.add(offset), bytes);
        });
    }

    /// Puts back what the first `begun` steps have overwritten.
    ///
    /// # Safety
    /// As [`Undo::save`], which was called for each of these steps.
    pub(super) unsafe fn restore(&self, begun: usize, memory: &Memory<'_>, saved: &Buffer) {
        let from = saved.as_ptr();
        self.each(0..begun, |slot, offset, bytes| {
            copy_nonoverlapping(from.add(offset), memory.at(Loc::Input(slot)), bytes);
        });
    }
}
