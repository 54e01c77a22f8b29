//! Tables of which a program reads taken rows only, and whose optimiser's step is the epilogue of the
//! sums that make their gradient. Nobody but the program sees such a table between its runs where they
//! follow each other in a session, so rows without a gradient may make their steps when they are next
//! taken, or when the session gives the table back. Found in the finished steps, by the memory that
//! each of them reads and writes: any other reader keeps a table as it is.

use super::step::{Group, Memory, Port, Step};
use crate::buffer::zeros;
use crate::error::Result;
use crate::graph::{Attr, StepCtx, Ty};
use crate::kernels::gather::Terms;
use crate::kernels::row_steps::{LateRows, RowStep, States};
use crate::kernels::tile::Access;
use crate::kernels::tile_fat::{Fat, MAX_STATES};
use crate::ops::index;
use crate::passes::plan::Loc;
use crate::shape::DType;
use crate::simd::isa;
use crate::sync::Lock;
use smallvec::SmallVec;
use std::cell::UnsafeCell;
use std::fmt;

/// Tables of fewer bytes are not worth it. From the step on that overwrites so much, a run goes to its
/// end (`undo.rs`), so no step of a table is ever given up half-way.
const LEAST: usize = 1 << 20;

/// A table, the steps that take rows of it, and the one that steps it.
#[derive(Debug)]
pub(super) struct Table {
    step: usize,
    takes: Vec<usize>,
    kind: RowStep,
    /// The slots of what the step replaces, the table first.
    states: SmallVec<[usize; MAX_STATES]>,
    numbers: SmallVec<[Number; 8]>,
    terms: Loc,
    order: Loc,
    rows: usize,
    n: usize,
    /// How many terms there are.
    count: usize,
    /// What the last step that was made at once has found.
    found: Lock<Option<Found>>,
}

/// Rows that rest, and the versions of the states in which they do.
#[derive(Debug)]
struct Found {
    versions: [u64; MAX_STATES],
    resting: Vec<bool>,
}

/// What a run may use of earlier ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct Before<'a> {
    /// Steps of rows of tables that wait, and where others may.
    pub late: Option<&'a Deferred>,
    /// By slot, the version of what the run writes there; nothing where that is not known. Memory has the
    /// version after that of an earlier run's if nobody else has written to it in between, and if
    /// the earlier run was the only one to write its version.
    pub versions: &'a [u64],
}

#[derive(Debug, Clone, Copy)]
enum Number {
    At(Loc, isize),
    Is(f32),
}

/// Steps of the rows of a program's tables that wait between its runs.
#[derive(Debug)]
pub struct Deferred(UnsafeCell<Vec<LateRows>>);

// SAFETY: whoever runs the program or settles has it for itself, by the contract of both.
unsafe impl Send for Deferred {}
// SAFETY: as above.
unsafe impl Sync for Deferred {}

impl Deferred {
    /// All rows up to date; `None` where a program has no such tables.
    pub(super) fn of(tables: &[Table]) -> Result<Option<Deferred>> {
        if tables.is_empty() {
            return Ok(None);
        }
        let rows = tables.iter().map(|table| LateRows::new(table.kind)).collect::<Result<_>>()?;
        Ok(Some(Deferred(UnsafeCell::new(rows))))
    }

    /// Brings all rows of all tables up to date.
    ///
    /// # Safety
    /// No run of the program uses the value, and its tables are where they were in the last one.
    pub unsafe fn settle(&self) {
        let all = &mut *self.0.get();
        all.iter_mut().for_each(|rows| rows.settle());
    }

    /// # Safety
    /// One call at a time.
    #[allow(clippy::mut_from_ref)] // the caller has it for itself
    unsafe fn table(&self, at: usize) -> &mut LateRows {
        let all = &mut *self.0.get();
        &mut all[at]
    }
}

/// The tables of a program.
pub(super) fn tables(steps: &[Step], copies: &[(Loc, Loc, usize)]) -> Vec<Table> {
    (0..steps.len()).filter_map(|at| table(steps, copies, at)).collect()
}

fn table(steps: &[Step], copies: &[(Loc, Loc, usize)], at: usize) -> Option<Table> {
    let Step::Head(head) = &steps[at] else { return None };
    let (Some(group), [terms, order]) = (&head.epilogue, &head.inputs[..]) else { return None };
    let bare =
        head.c.is_none() && head.bias.is_none() && head.scale.is_none() && !head.relu && head.sums.is_none();
    if head.name != super::row_sums::ROW_SUMS.name || !bare {
        return None;
    }
    let (rows, n) = (head.kernel.rows(), head.kernel.cols());
    let (fat, states, numbers) = epilogue(group)?;
    let count = steps[..at].iter().rev().find_map(|step| ordered(step, *order))?.checked_sub(rows + 1)?;
    if rows * n * 4 < LEAST || count >= rows || group.count != rows * n {
        return None;
    }
    let is_state = |loc: &Loc| matches!(loc, Loc::Input(slot) if states.contains(slot));
    let mut takes = vec![];
    for (other, step) in steps.iter().enumerate() {
        if other == at {
            if head.inputs.iter().any(is_state) {
                return None;
            }
        } else if takes_rows(step, states[0], rows, n) && !step.reads()[1..].iter().any(is_state) {
            takes.push(other);
        } else if step.reads().iter().chain(&step.writes()).any(is_state) {
            return None;
        }
    }
    if copies.iter().any(|(from, to, _)| is_state(from) || is_state(to)) {
        return None;
    }
    Some(Table {
        step: at,
        takes,
        kind: RowStep::new(fat, rows, n),
        states,
        numbers,
        terms: *terms,
        order: *order,
        rows,
        n,
        count,
        found: Lock::new(None),
    })
}

/// How many elements a step writes if it makes this order of rows.
fn ordered(step: &Step, order: Loc) -> Option<usize> {
    match step {
        Step::Kernel { name, outputs, .. } if *name == super::row_sums::ROW_ORDER.name => {
            let (loc, ty) = outputs[0];
            (loc == Some(order)).then(|| ty.shape.count())
        }
        // Something else lies there by then.
        step => step.writes().contains(&order).then_some(0),
    }
}

/// Does a step take rows of the table in this slot, and no part of them, to other memory?
fn takes_rows(step: &Step, slot: usize, rows: usize, n: usize) -> bool {
    let Step::Kernel { name, inputs, outputs, attrs, .. } = step else { return false };
    let is_table = |&(loc, ty): &(Loc, Ty)| {
        loc == Loc::Input(slot) && ty.dtype == DType::F32 && *ty.shape.sizes() == [rows, n]
    };
    *name == index::TAKE.name
        && inputs.len() == 2
        && is_table(&inputs[0])
        && matches!(attrs[..], [Attr::Int(0 | -2)])
        && matches!(outputs[..], [(Some(_), _)])
        && step.writes().iter().all(|to| *to != Loc::Input(slot))
}

/// The one instruction of an epilogue, where it replaces inputs of the program in place and its
/// gradient is the block at hand.
#[allow(clippy::type_complexity)]
fn epilogue(group: &Group) -> Option<(&'static Fat, SmallVec<[usize; MAX_STATES]>, SmallVec<[Number; 8]>)> {
    let (fat, ops) = group.program.only_fat()?;
    let (results, rest) = ops.split_at_checked(fat.results.len())?;
    let (inputs, numbers) = rest.split_at_checked(fat.inputs.len())?;
    let (gradient, old) = inputs.split_last()?;
    if !matches!(group.inputs.get(usize::from(*gradient))?, Port::Head) || old.len() != results.len() {
        return None;
    }
    let mut states = SmallVec::<[usize; MAX_STATES]>::new();
    for (&old, &new) in old.iter().zip(results) {
        let Port::At(Loc::Input(slot), 0) = *group.inputs.get(usize::from(old))? else { return None };
        let contiguous = matches!(group.program.access(old.into()), Some(Access::Contiguous));
        let output = usize::from(new).checked_sub(group.inputs.len())?;
        let in_place = *group.outputs.get(output)? == Some(Loc::Input(slot));
        if !contiguous || !in_place || !group.program.is_wide(output) || states.contains(&slot) {
            return None;
        }
        states.push(slot);
    }
    let number = |&number: &u16| {
        let port = *group.inputs.get(usize::from(number))?;
        match (port, group.program.access(number.into())?) {
            (Port::At(loc, offset), Access::Splat) => Some(Number::At(loc, offset)),
            (Port::Inside, Access::Constant(value)) => Some(Number::Is(*value)),
            _ => None,
        }
    };
    let all: SmallVec<[Number; 8]> = numbers.iter().map(number).collect::<Option<_>>()?;
    let others = group.outputs.len() == results.len();
    (others && all.len() == fat.numbers.len()).then_some((fat, states, all))
}

impl Table {
    /// Runs `step`, number `at` of the program, if it has to do with the table. `late`: rows without a
    /// gradient may wait.
    ///
    /// # Safety
    /// The memory covers every location of the plan; `late` is for this run alone.
    pub(super) unsafe fn run(
        &self,
        at: usize,
        step: &Step,
        memory: &Memory<'_>,
        late: Option<(&Deferred, usize)>,
    ) -> Option<Result<()>> {
        if at == self.step {
            self.step(memory, late);
            return Some(Ok(()));
        }
        match (late, step) {
            (Some((late, table)), Step::Kernel { inputs, outputs, attrs, .. })
                if self.takes.contains(&at) =>
            {
                let arg = |&(loc, ty): &(Loc, Ty)| crate::graph::Arg { ptr: memory.at(loc), ty };
                let inputs = [arg(&inputs[0]), arg(&inputs[1])];
                let output = arg(&(outputs[0].0?, outputs[0].1));
                let ctx = StepCtx { inputs: &inputs, output, parts: &[], attrs, isa: isa() };
                Some(index::take_wanted(&ctx, &mut |rows| late.table(table).catch_up(rows)))
            }
            _ => None,
        }
    }

    unsafe fn step(&self, memory: &Memory<'_>, late: Option<(&Deferred, usize)>) {
        let number = |number: &Number| match *number {
            Number::At(loc, offset) => memory.at(loc).wrapping_offset(offset).cast::<f32>().read(),
            Number::Is(value) => value,
        };
        let numbers: SmallVec<[f32; 16]> = self.numbers.iter().map(number).collect();
        let mut states: States = [std::ptr::null_mut(); MAX_STATES];
        for (state, &slot) in states.iter_mut().zip(&self.states) {
            *state = memory.at(Loc::Input(slot)).cast();
        }
        let (terms, order) = (memory.at(self.terms).cast(), memory.at(self.order).cast());
        let terms = Terms::new(terms, order, self.rows, self.n, self.count);
        match late {
            Some((late, table)) => late.table(table).step(states, &numbers, terms),
            None => self.at_once(memory.before.versions, states, &numbers, terms),
        }
    }

    unsafe fn at_once(&self, versions: &[u64], states: States, numbers: &[f32], terms: Terms) {
        let known = self.found.lock().take();
        if versions.is_empty() || !self.kind.rests(numbers) {
            return self.kind.run(states, numbers, terms, None);
        }
        let mut now = [0; MAX_STATES];
        for (now, &slot) in now.iter_mut().zip(&self.states) {
            *now = versions[slot];
        }
        let resting = match known {
            // Where the table itself was written to, its averages may still be what they were.
            Some(Found { versions, resting })
                if (1..self.states.len()).all(|k| now[k] == versions[k] + 1) =>
            {
                Some(resting)
            }
            // Without room for it, nothing is noted.
            _ => zeros(self.rows).ok(),
        };
        let Some(mut resting) = resting else { return self.kind.run(states, numbers, terms, None) };
        self.kind.run(states, numbers, terms, Some(&mut resting));
        *self.found.lock() = Some(Found { versions: now, resting });
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "rows of {:?} may make step {} when they are taken, by {:?}",
            self.states, self.step, self.takes
        )
    }
}
