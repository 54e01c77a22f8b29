//! F2. The steps of an optimiser over a table of which each step gives a gradient to some rows only.
//! The other rows move on too, by a gradient of 0. They need no memory traffic for that at each step:
//! a row can make the steps that it has missed together, when it is next wanted, with the numbers that
//! these steps had ([`LateRows`]). The instruction is the same, so the bits are.

use super::gather::Terms;
use super::prefetch_row;
use super::tile_fat::{CoastFn, Fat, FatFn, MAX_STATES};
use crate::buffer::{room, scratch, zeros};
use crate::error::Result;
use crate::pool;
use crate::simd::{LANES, isa};
use smallvec::SmallVec;
use std::ops::Range;

/// Elements of a work item, whatever the number of threads.
const BLOCK: usize = 1 << 14;
/// Elements of a work item that brings single rows up to date.
const WANTED: usize = 1 << 11;
/// Rows that are asked for ahead.
const ROWS_AHEAD: usize = 3;
/// Elements times steps that may wait, so that making them all takes no longer than a moment.
const MOST_WAITING: usize = 1 << 26;
/// Steps that may wait.
const STEPS: std::ops::RangeInclusive<usize> = 4..=64;

/// Where the values lie that a step replaces, in the order of the instruction's inputs.
pub type States = [*mut f32; MAX_STATES];

/// What each step does to the rows of a table.
#[derive(Debug, Clone, Copy)]
pub struct RowStep {
    fat: &'static Fat,
    rows: usize,
    n: usize,
    step: FatFn,
    coast: CoastFn,
}

/// A step of a table at its place.
#[derive(Clone, Copy)]
struct Placed {
    of: RowStep,
    states: States,
}

// SAFETY: work items reach disjoint rows.
unsafe impl Sync for Placed {}

impl RowStep {
    /// For a table of `rows` rows of `n` numbers.
    #[must_use]
    pub fn new(fat: &'static Fat, rows: usize, n: usize) -> RowStep {
        RowStep { fat, rows, n, step: (fat.kernel)(isa()), coast: (fat.coast)(isa()) }
    }

    /// How many numbers a step has.
    #[must_use]
    pub fn numbers(&self) -> usize {
        self.fat.numbers.len()
    }

    fn block(&self) -> usize {
        (BLOCK / self.n.max(1)).max(1)
    }

    /// Makes a step of all rows. `resting` says of which rows all averages are known to be 0, and is kept
    /// so; it is for steps of which [`RowStep::rests`] holds.
    ///
    /// # Safety
    /// The states cover the table and overlap nothing else; `terms` are those of its rows.
    pub unsafe fn run(&self, states: States, numbers: &[f32], terms: Terms, resting: Option<&mut [bool]>) {
        assert_eq!(numbers.len(), self.numbers(), "invariant: a step has its numbers");
        assert!(resting.as_ref().is_none_or(|rows| rows.len() == self.rows), "invariant: a row each");
        let (placed, rests) = (Placed { of: *self, states }, self.rests(numbers));
        debug_assert!(rests || resting.is_none());
        let resting = Resting(resting.map(<[bool]>::as_mut_ptr));
        pool::run_range(self.rows, self.block(), &|range| {
            let (placed, resting) = (&placed, &resting);
            let (mut sum, mut from) = (scratch(placed.of.n), range.start);
            let stepped = with_terms(range.clone(), terms);
            // SAFETY: the caller vouches for the memory; work items reach disjoint rows.
            unsafe {
                let idle = |row: usize| terms.is_empty(row) & !resting.is_known(row);
                if range.clone().fold(false, |any, row| any | idle(row)) {
                    for row in range.clone() {
                        if !terms.is_empty(row) || resting.is(row, placed) {
                            placed.coast(from..row, numbers, 1, rests);
                            from = row + 1;
                        }
                    }
                    placed.coast(from..range.end, numbers, 1, rests);
                }
                placed.each(&stepped, |row| {
                    resting.wake(row);
                    placed.step(row, numbers, terms, sum.as_mut_ptr());
                });
            }
        });
    }

    /// Does a step with these numbers leave rows without a gradient as they are where all averages are 0?
    #[must_use]
    pub fn rests(&self, numbers: &[f32]) -> bool {
        let mut values = [0.0f32; MAX_STATES];
        values[0] = -0.0;
        let before = values.map(f32::to_bits);
        let states: States = std::array::from_fn(|k| values.as_mut_ptr().wrapping_add(k));
        // SAFETY: each state is one element.
        unsafe { (self.coast)(states.as_ptr(), numbers.as_ptr(), 1, 1, false) };
        self.fat.only_moves() && values.map(f32::to_bits) == before
    }
}

/// The rows of a range that have terms. Which ones do is anybody's guess, so nothing branches on it.
fn with_terms(range: Range<usize>, terms: Terms) -> SmallVec<[u32; 256]> {
    let mut rows = SmallVec::from_elem(0, range.len());
    let mut count = 0;
    for row in range {
        rows[count] = row as u32;
        count += usize::from(!terms.is_empty(row));
    }
    rows.truncate(count);
    rows
}

/// Rows of which all averages are known to be 0, for work items that reach disjoint rows.
struct Resting(Option<*mut bool>);

// SAFETY: see above.
unsafe impl Sync for Resting {}

impl Resting {
    unsafe fn wake(&self, row: usize) {
        if let Some(rows) = self.0 {
            *rows.add(row) = false;
        }
    }

    unsafe fn is_known(&self, row: usize) -> bool {
        self.0.is_some_and(|rows| *rows.add(row))
    }

    /// Does this row rest? If so, that is noted.
    unsafe fn is(&self, row: usize, placed: &Placed) -> bool {
        let Some(rows) = self.0 else { return false };
        if !*rows.add(row) {
            *rows.add(row) = placed.rests(row);
        }
        *rows.add(row)
    }
}

impl Placed {
    /// Are all averages of this row 0?
    unsafe fn rests(&self, row: usize) -> bool {
        let zero = |part: &[u32]| part.iter().fold(0, |any, bits| any | bits) == 0;
        let averages = &self.at(row)[1..self.of.fat.results.len()];
        // A part at a time: where one is not, that shows soon.
        averages
            .iter()
            .all(|state| std::slice::from_raw_parts(state.cast::<u32>(), self.of.n).chunks(LANES).all(zero))
    }

    fn at(&self, row: usize) -> States {
        self.states.map(|state| state.wrapping_add(row * self.of.n))
    }

    /// Calls `work` with each of some rows, the next ones on their way from memory: they lie apart, and a
    /// row takes so long that the processor does not look past it.
    #[inline]
    fn each(&self, rows: &[u32], mut work: impl FnMut(usize)) {
        let fetch = |row: u32| {
            let states = self.at(row as usize);
            states[..self.of.fat.results.len()].iter().for_each(|state| prefetch_row(*state, self.of.n));
        };
        rows.iter().take(ROWS_AHEAD).for_each(|&row| fetch(row));
        for (at, &row) in rows.iter().enumerate() {
            if let Some(&next) = rows.get(at + ROWS_AHEAD) {
                fetch(next);
            }
            work(row as usize);
        }
    }

    /// Steps without a gradient; `rests` says that rows whose averages are 0 stay as they are.
    unsafe fn coast(&self, rows: Range<usize>, numbers: &[f32], steps: usize, rests: bool) {
        debug_assert!(rows.is_empty() || numbers.len() >= steps * self.of.numbers());
        if !rows.is_empty() && steps > 0 {
            let n = rows.len() * self.of.n;
            (self.of.coast)(self.at(rows.start).as_ptr(), numbers.as_ptr(), steps, n, rests);
        }
    }

    /// A step by the sum of a row's terms, which is made in `sum`.
    unsafe fn step(&self, row: usize, numbers: &[f32], terms: Terms, sum: *mut f32) {
        const OPERANDS: usize = 2 * MAX_STATES + 1 + MAX_NUMBERS;
        terms.sum(row, sum);
        let (states, fat) = (self.at(row), self.of.fat);
        let mut at = [std::ptr::null_mut(); OPERANDS];
        let (results, inputs) = (fat.results.len(), fat.inputs.len());
        at[..results].copy_from_slice(&states[..results]);
        at[results..results + inputs - 1].copy_from_slice(&states[..inputs - 1]);
        at[results + inputs - 1] = sum;
        for (at, number) in at[results + inputs..].iter_mut().zip(numbers) {
            *at = std::ptr::from_ref(number).cast_mut();
        }
        let ops: [u16; OPERANDS] = std::array::from_fn(|k| k as u16);
        (self.of.step)(at.as_ptr(), ops.as_ptr(), self.of.n);
    }
}

/// Numbers of a step, at most.
const MAX_NUMBERS: usize = 15;

/// Rows of a table that make steps late. Between [`LateRows::settle`] and the next step all are up to
/// date; in between, those that [`LateRows::catch_up`] was asked for.
#[derive(Debug)]
pub struct LateRows {
    kind: RowStep,
    states: States,
    /// How many of the steps below each row has made.
    made: Vec<u32>,
    /// The numbers of the steps since all rows were up to date.
    numbers: Vec<f32>,
    steps: usize,
    limit: usize,
    /// From this step on, rows whose averages are 0 stay as they are.
    rests: usize,
    /// The rows at hand, each once, and by which call each row was last listed.
    wanted: Vec<u32>,
    listed: Vec<u32>,
    call: u32,
}

/// The rows and the steps that wait, for work items that reach disjoint rows.
#[derive(Clone, Copy)]
struct Waiting<'a> {
    placed: Placed,
    made: *mut u32,
    numbers: &'a [f32],
    steps: usize,
    rests: usize,
}

// SAFETY: see above.
unsafe impl Sync for Waiting<'_> {}

impl Waiting<'_> {
    /// Has a row make all steps that it has missed.
    unsafe fn advance(&self, row: usize) {
        let made = self.made.add(row);
        let from = *made as usize;
        if from < self.steps {
            let numbers = &self.numbers[from * self.placed.of.numbers()..];
            self.placed.coast(row..row + 1, numbers, self.steps - from, self.rests <= from);
            *made = self.steps as u32;
        }
    }
}

impl LateRows {
    /// All rows up to date, and room for the steps that may wait.
    pub fn new(kind: RowStep) -> Result<LateRows> {
        let limit = (MOST_WAITING / (kind.rows * kind.n).max(1)).clamp(*STEPS.start(), *STEPS.end());
        Ok(LateRows {
            kind,
            states: [std::ptr::null_mut(); MAX_STATES],
            made: zeros(kind.rows)?,
            numbers: room(limit * kind.numbers())?,
            steps: 0,
            limit,
            rests: 0,
            wanted: vec![],
            listed: zeros(kind.rows)?,
            call: 0,
        })
    }

    /// Brings the rows of `indices` up to date.
    ///
    /// # Safety
    /// The states are those of the steps that wait; indices are rows.
    pub unsafe fn catch_up(&mut self, indices: &[i32]) {
        if self.steps == 0 {
            return;
        }
        if self.call == u32::MAX {
            self.listed.fill(0);
            self.call = 0;
        }
        self.call += 1;
        self.wanted.clear();
        for &index in indices {
            let row = index as usize;
            if self.made[row] < self.steps as u32 && self.listed[row] != self.call {
                self.listed[row] = self.call;
                self.wanted.push(row as u32);
            }
        }
        let wanted = std::mem::take(&mut self.wanted);
        let grain = (WANTED / self.kind.n.max(1)).max(1);
        let waiting = self.waiting();
        pool::run_range(wanted.len(), grain, &|range| {
            let waiting = &waiting;
            waiting.placed.each(&wanted[range], |row| {
                // SAFETY: each row is listed once.
                unsafe { waiting.advance(row) };
            });
        });
        self.wanted = wanted;
    }

    fn waiting(&mut self) -> Waiting<'_> {
        Waiting {
            placed: Placed { of: self.kind, states: self.states },
            made: self.made.as_mut_ptr(),
            numbers: &self.numbers,
            steps: self.steps,
            rests: self.rests,
        }
    }

    /// Makes a step of the rows that have terms; the others wait.
    ///
    /// # Safety
    /// As [`RowStep::run`]. The states are those of the steps that wait.
    pub unsafe fn step(&mut self, states: States, numbers: &[f32], terms: Terms) {
        assert_eq!(numbers.len(), self.kind.numbers(), "invariant: a step has its numbers");
        assert!(self.steps == 0 || self.states == states, "invariant: tables stay where they are");
        self.states = states;
        let kind = self.kind;
        let waiting = self.waiting();
        pool::run_range(kind.rows, kind.block(), &|range| {
            let waiting = &waiting;
            let mut sum = scratch(kind.n);
            waiting.placed.each(&with_terms(range, terms), |row| {
                // SAFETY: the caller vouches for the memory; work items reach disjoint rows.
                unsafe {
                    waiting.advance(row);
                    waiting.placed.step(row, numbers, terms, sum.as_mut_ptr());
                    *waiting.made.add(row) += 1;
                }
            });
        });
        self.numbers.extend_from_slice(numbers);
        self.steps += 1;
        if !self.kind.rests(numbers) {
            self.rests = self.steps;
        }
        if self.steps >= self.limit {
            self.settle();
        }
    }

    /// Brings all rows up to date.
    ///
    /// # Safety
    /// The table is where it was at the last step.
    pub unsafe fn settle(&mut self) {
        if self.steps == 0 {
            return;
        }
        let kind = self.kind;
        let waiting = self.waiting();
        pool::run_range(kind.rows, kind.block(), &|range| {
            let waiting = &waiting;
            // SAFETY: work items reach disjoint rows.
            range.for_each(|row| unsafe { waiting.advance(row) });
        });
        self.made.fill(0);
        self.numbers.clear();
        (self.steps, self.rests) = (0, 0);
    }
}
