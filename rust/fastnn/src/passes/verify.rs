//! F5. Walks a finished plan as the executor will and holds it to its promise: every step finds in
//! memory what it reads. A plan that breaks it would give wrong values in silence, so the walk runs
//! in every build; it costs a look-up per operand.

use super::fuse::Fusion;
use super::plan::{Loc, Plan, may_replace};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use std::collections::{BTreeMap, HashMap};

/// What lies where.
#[derive(Default)]
struct Memory {
    /// Arena values by offset: where they end and which they are.
    arena: BTreeMap<usize, (usize, Id)>,
    /// Values in buffers of the caller, which are bound whole.
    bound: HashMap<Loc, Id>,
}

impl Memory {
    fn holds(&self, loc: Loc, id: Id) -> bool {
        match loc {
            Loc::Arena(at) => self.arena.get(&at).is_some_and(|&(_, held)| held == id),
            Loc::Const(_) => true,
            bound => self.bound.get(&bound) == Some(&id),
        }
    }

    fn write(&mut self, loc: Loc, size: usize, id: Id) {
        let Loc::Arena(at) = loc else {
            self.bound.insert(loc, id);
            return;
        };
        let end = at + size;
        let overwritten: Vec<usize> = self
            .arena
            .range(..end)
            .rev()
            .take_while(|(_, (until, _))| *until > at)
            .map(|(&start, _)| start)
            .collect();
        for start in overwritten {
            self.arena.remove(&start);
        }
        self.arena.insert(at, (end, id));
    }
}

/// An error that names the value when a step, a result or a new state would read memory that
/// something else was written to.
pub fn verify(graph: &Graph, fusion: &Fusion, plan: &Plan) -> Result<()> {
    let mut memory = Memory::default();
    for (slot, &id) in graph.inputs.iter().enumerate() {
        memory.bound.insert(Loc::Input(slot), id);
    }
    let bytes = |id: Id| plan.bytes(graph.ty(id)).max(1);
    let bug = |id: Id, what: &str| {
        let name = graph.node(id).op.name;
        Err(Error::Internal(format!("the memory plan lets value {} ({name}) {what}", id.0)))
    };
    let mut reads: Vec<(Id, Loc)> = vec![];
    for (at, work) in fusion.works.iter().enumerate() {
        let members = work.members();
        reads.clear();
        for &id in &members {
            for &input in &graph.node(id).inputs {
                let source = fusion.source(input);
                // A value of this step is read from its register, unless through a view.
                if let Some(loc) = plan.locs[source.at()]
                    && !members.contains(&source)
                    && !reads.contains(&(source, loc))
                {
                    reads.push((source, loc));
                }
            }
        }
        // A step stores each of its values that has memory, also one that it computes again.
        let writes: Vec<(Id, Loc)> =
            members.iter().filter_map(|&id| plan.locs[id.at()].map(|loc| (id, loc))).collect();
        if writes.is_empty() {
            continue;
        }
        if let Some(&(lost, _)) = reads.iter().find(|(id, loc)| !memory.holds(*loc, *id)) {
            return bug(lost, "be overwritten before it is read");
        }
        for &(id, loc) in &writes {
            for &(read, from) in &reads {
                if meet((loc, bytes(id)), (from, bytes(read)))
                    && !(loc == from
                        && bytes(id) == bytes(read)
                        && may_replace(graph, fusion, plan.layout, at, read, id))
                {
                    return bug(read, "be overwritten while it is read");
                }
            }
            memory.write(loc, bytes(id), id);
        }
        if let Some(&(lost, _)) = writes.iter().find(|(id, loc)| !memory.holds(*loc, *id)) {
            return bug(lost, "share memory with another result of its step");
        }
    }
    let mut staged: HashMap<Loc, Id> = HashMap::new();
    for &(from, to, size) in &plan.copies {
        let held = match from {
            Loc::Arena(at) => memory.arena.get(&at).map(|&(_, id)| id).or(staged.get(&from).copied()),
            Loc::Const(k) => plan.constants.get(k).copied(),
            bound => memory.bound.get(&bound).copied(),
        };
        let Some(id) = held else {
            return Err(Error::Internal("the memory plan copies from memory that holds nothing".into()));
        };
        if size != plan.bytes(graph.ty(id)) {
            return bug(id, &format!("be copied as {size} bytes of {}", plan.bytes(graph.ty(id))));
        }
        match to {
            Loc::Arena(_) => {
                staged.insert(to, id);
            }
            bound => {
                memory.bound.insert(bound, id);
            }
        }
    }
    let constant = |id: Id| matches!(plan.locs[id.at()], Some(Loc::Const(_)));
    for (loc, value) in results(graph) {
        let root = fusion.root(value);
        let held = memory.bound.get(&loc).map_or(constant(root), |&id| id == root);
        if !held {
            return bug(root, "be lost before the run ends");
        }
    }
    Ok(())
}

/// Where each result and each new state must lie in the end.
fn results(graph: &Graph) -> impl Iterator<Item = (Loc, Id)> + '_ {
    let outputs = graph.outputs.iter().enumerate().map(|(k, &id)| (Loc::Output(k), id));
    outputs.chain(graph.updates.iter().map(|&(slot, id)| (Loc::Input(slot), id)))
}

fn meet(a: (Loc, usize), b: (Loc, usize)) -> bool {
    match (a.0, b.0) {
        (Loc::Arena(x), Loc::Arena(y)) => x < y + b.1 && y < x + a.1,
        (Loc::Const(_), _) | (_, Loc::Const(_)) => false,
        (x, y) => x == y,
    }
}
