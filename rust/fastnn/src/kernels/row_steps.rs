//! F2. The steps of an optimiser over a table of which each step gives a gradient to some rows only.
//! The other rows move on too, by a gradient of 0. They need no memory traffic for that at each step:
//! a row can make the steps that it has missed together, when it is next wanted, with the numbers that
//! these steps had ([`LateRows`]). The instruction is the same, so the bits are.

use super::gather::Terms;
use super::prefetch_row;
use super::tile_fat::{CoastFn, Fat, MAX_STATES, RowsFn};
use crate::buffer::{room, zeros};
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
    step: RowsFn,
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
        RowStep { fat, rows, n, step: (fat.rows)(isa()), coast: (fat.coast)(isa()) }
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
            let stepped = with_terms(range.clone(), terms);
            let begins = terms.begins(range.clone());
            // SAFETY: the caller vouches for the memory; work items reach disjoint rows.
            unsafe {
                if resting.any_unknown(range.clone(), begins) {
                    let mut from = range.start;
                    for (row, begin) in range.clone().zip(begins.windows(2)) {
                        if begin[0] < begin[1] || resting.is(row, placed) {
                            placed.coast(from..row, numbers, 1, rests);
                            from = row + 1;
                        }
                    }
                    placed.coast(from..range.end, numbers, 1, rests);
                }
                stepped.iter().for_each(|&row| resting.wake(row as usize));
                placed.step(&stepped, numbers, terms);
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
    for (begin, row) in terms.begins(range.clone()).windows(2).zip(range) {
        rows[count] = row as u32;
        count += usize::from(begin[0] < begin[1]);
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

    /// Is there a row without terms, by where these begin, of which it is not known that it rests?
    unsafe fn any_unknown(&self, rows: Range<usize>, begins: &[i32]) -> bool {
        let idle = begins.iter().zip(&begins[1..]).map(|(begin, end)| begin == end);
        match self.0 {
            None => idle.fold(false, |any, idle| any | idle),
            Some(known) => {
                let known = std::slice::from_raw_parts(known.add(rows.start), rows.len());
                idle.zip(known).fold(false, |any, (idle, known)| any | (idle & !known))
            }
        }
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

    /// A step of some rows, each by the sum of its terms.
    unsafe fn step(&self, rows: &[u32], numbers: &[f32], terms: Terms) {
        debug_assert_eq!(numbers.len(), self.of.numbers());
        (self.of.step)(self.states.as_ptr(), numbers.as_ptr(), rows, terms);
    }
}

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
            let rows = with_terms(range, terms);
            // SAFETY: the caller vouches for the memory; work items reach disjoint rows.
            unsafe {
                for &row in &rows {
                    waiting.advance(row as usize);
                    *waiting.made.add(row as usize) += 1;
                }
                waiting.placed.step(&rows, numbers, terms);
            }
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
