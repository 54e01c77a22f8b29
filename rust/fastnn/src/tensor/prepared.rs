//! F7. Values that depend on weights only, computed once per version of them and shared by all plans
//! of a function. Two runs that hold different versions each get what belongs to theirs.

use super::{Storage, Versioned};
use crate::buffer::Buffer;
use crate::error::Result;
use crate::exec::cpu::{Arenas, Program};
use crate::graph::Ty;
use crate::passes::hoist::Part;
use crate::sync::Lock;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of prepared values that a function keeps; what would not fit stays in its calls.
pub const PREPARED_BYTES: usize = 256 << 20;

/// One value: how it is made, of which slots, and the latest that was made.
#[derive(Debug)]
pub(crate) struct Prepared {
    program: Program,
    slots: Vec<usize>,
    ty: Ty,
    latest: Lock<Option<Latest>>,
}

#[derive(Debug)]
struct Latest {
    versions: SmallVec<[u64; 2]>,
    value: Arc<Storage>,
}

impl Prepared {
    /// The value for these sources (a snapshot and its version per slot), made now unless the latest
    /// is of the same versions.
    pub(crate) fn value(&self, source: &dyn Fn(usize) -> Option<Versioned>) -> Result<Arc<Storage>> {
        let mut held: SmallVec<[Arc<Storage>; 2]> = SmallVec::new();
        let mut versions: SmallVec<[u64; 2]> = SmallVec::new();
        for &slot in &self.slots {
            let Some((storage, version)) = source(slot) else {
                return Err(crate::error::Error::Internal(format!(
                    "slot {slot} of a prepared value changes"
                )));
            };
            held.push(storage);
            versions.push(version);
        }
        // Nobody waits here: who finds the value in other hands makes it again.
        if let Some(latest) = self.latest.try_lock()
            && let Some(latest) = latest.as_ref().filter(|l| l.versions == versions)
        {
            return Ok(latest.value.clone());
        }
        // SAFETY: the program writes all of its only output, and its inputs are the snapshots in
        // `held`, which nobody writes while they are shared.
        let buffer = unsafe {
            let mut buffer = Buffer::uninit(self.ty.bytes())?;
            let inputs: SmallVec<[*mut u8; 2]> = held.iter().map(|s| s.ptr()).collect();
            self.program.run(&inputs, &[buffer.as_mut_ptr()])?;
            buffer
        };
        let value = Arc::new(Storage::new(buffer, self.ty.dtype));
        let made = Some(Latest { versions, value: value.clone() });
        // The old value is let go without the lock.
        let old = self.latest.try_lock().map(|mut latest| std::mem::replace(&mut *latest, made));
        drop(old);
        Ok(value)
    }
}

/// Is there room for a value of this type?
fn fits(parts: &HashMap<Part, Arc<Prepared>>, ty: Ty) -> bool {
    parts.values().map(|p| p.ty.bytes()).sum::<usize>() + ty.bytes() <= PREPARED_BYTES
}

/// The prepared values of a function.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    parts: Lock<HashMap<Part, Arc<Prepared>>>,
}

impl Shelf {
    /// The prepared value of a part, new or known; none when the function's memory for such values
    /// is used up.
    pub(crate) fn of(&self, part: &Part, arenas: &Arc<Arenas>) -> Result<Option<Arc<Prepared>>> {
        let ty = part.ty();
        {
            let parts = self.parts.lock();
            if let Some(known) = parts.get(part) {
                return Ok(Some(known.clone()));
            }
            if !fits(&parts, ty) {
                return Ok(None);
            }
        }
        // Compiled without the lock; where two do it at once, the first stays.
        let program = Program::of_simplified(&part.graph, arenas.clone())?;
        let made = Prepared { program, slots: part.slots.clone(), ty, latest: Lock::new(None) };
        let (key, made) = (part.clone(), Arc::new(made));
        let mut parts = self.parts.lock();
        if !parts.contains_key(&key) && !fits(&parts, ty) {
            return Ok(None);
        }
        Ok(Some(parts.entry(key).or_insert(made).clone()))
    }

    /// Drops what no plan uses any more.
    pub(crate) fn prune(&self) {
        let old: Vec<_> = {
            let mut parts = self.parts.lock();
            parts.extract_if(|_, made| Arc::strong_count(made) == 1).collect()
        };
        // Taken apart without the lock.
        drop(old);
    }

    /// Bytes of all values that are kept.
    pub(crate) fn bytes(&self) -> usize {
        let parts = self.parts.lock();
        let kept = |p: &&Arc<Prepared>| p.latest.try_lock().is_some_and(|l| l.is_some());
        parts.values().filter(kept).map(|p| p.ty.bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::ops::Build;
    use crate::shape::Shape;

    /// A value as large as its only source, of this many rows of 1 MiB.
    fn part(rows: usize, slot: usize) -> Part {
        let mut graph = Graph::new();
        let x = graph.input(Ty::f32(Shape::new(&[rows, 1 << 18]).unwrap()));
        let y = graph.tanh(x);
        graph.outputs = vec![y];
        Part { graph, slots: vec![slot] }
    }

    #[test]
    fn values_past_the_limit_stay_in_the_call() {
        let (shelf, arenas) = (Shelf::default(), Arc::new(Arenas::default()));
        let first = shelf.of(&part(200, 0), &arenas).unwrap();
        assert!(first.is_some());
        assert!(shelf.of(&part(57, 1), &arenas).unwrap().is_none(), "257 MiB");
        assert!(shelf.of(&part(200, 0), &arenas).unwrap().is_some(), "the same value is known");
        let second = shelf.of(&part(56, 1), &arenas).unwrap();
        assert!(second.is_some(), "256 MiB");
        drop(first);
        shelf.prune();
        assert!(shelf.of(&part(199, 2), &arenas).unwrap().is_some(), "the first is gone");
    }
}
