//! F0. The table of expressions: one for the process, and between which numbers each of them lies.

use super::{Dim, Expr, OPEN, Term};
use crate::sync::Lock;
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Expressions kept at most; a process that makes more is caught in a loop.
const MOST_EXPRESSIONS: usize = 1 << 24;

/// The least and the largest that a size can be, where there are such numbers.
pub(super) type Range = (Option<i64>, Option<i64>);

/// What every symbol is taken to be at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Least {
    /// Any axis may be empty.
    Empty = 0,
    /// No axis is empty, which is how sizes are meant.
    One = 1,
}

/// An expression with what was found out about it when it was made.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) expr: Arc<Expr>,
    /// Between which numbers it lies, by what every symbol is at least: 0 or 1.
    ranges: [Range; 2],
    /// Does it depend on the batch, and on another symbol?
    pub(super) batch: bool,
    pub(super) others: bool,
}

pub(super) struct Table {
    pub(super) all: Vec<Entry>,
    handles: HashMap<Arc<Expr>, Dim>,
}

/// Made when it is first asked for, the batch being its first entry.
static TABLE: Lock<Option<Table>> = Lock::new(None);

/// Reads or grows the table; what runs here is short.
pub(super) fn with<T>(f: impl FnOnce(&mut Table) -> T) -> T {
    f(TABLE.lock().get_or_insert_with(|| {
        let mut table = Table { all: Vec::new(), handles: HashMap::new() };
        table.add(Expr::Symbol(BATCH_NAME.into()));
        table
    }))
}

const BATCH_NAME: &str = "batch";

impl Table {
    pub(super) fn add(&mut self, expr: Expr) -> Dim {
        if let Some(&known) = self.handles.get(&expr) {
            return known;
        }
        assert!(self.all.len() < MOST_EXPRESSIONS, "invariant: sizes do not grow without end");
        let dim = Dim(OPEN + self.all.len() as i64);
        let ranges = [Least::Empty, Least::One].map(|least| self.range(&expr, least));
        let (mut batch, mut others) = (false, false);
        match &expr {
            Expr::Symbol(name) if &**name == BATCH_NAME => batch = true,
            Expr::Symbol(_) => others = true,
            _ => {
                for part in parts(&expr) {
                    batch |= self.all[at(part)].batch;
                    others |= self.all[at(part)].others;
                }
            }
        }
        let expr = Arc::new(expr);
        self.all.push(Entry { expr: expr.clone(), ranges, batch, others });
        self.handles.insert(expr, dim);
        dim
    }

    pub(super) fn range_of(&self, dim: Dim, least: Least) -> Range {
        match dim.known() {
            Some(number) => (Some(number), Some(number)),
            None => self.all[at(dim)].ranges[least as usize],
        }
    }

    /// Between which numbers a sum of terms lies.
    pub(super) fn range_of_sum(&self, terms: &[Term], lowest: Least) -> Range {
        let (mut low, mut high) = (Some(0i64), Some(0i64));
        for term in terms {
            let times = |x: Option<i64>| x.map(|x| x.saturating_mul(term.times));
            let (mut least, mut most) = (Some(1), Some(1));
            for &factor in &term.factors {
                (least, most) = product((least, most), self.range_of(factor, lowest));
            }
            let (least, most) =
                if term.times < 0 { (times(most), times(least)) } else { (times(least), times(most)) };
            low = low.zip(least).map(|(a, b)| a.saturating_add(b));
            high = high.zip(most).map(|(a, b)| a.saturating_add(b));
        }
        (low, high)
    }

    fn range(&self, expr: &Expr, lowest: Least) -> Range {
        let both = |a: &Dim, b: &Dim| (self.range_of(*a, lowest), self.range_of(*b, lowest));
        match expr {
            Expr::Symbol(_) => (Some(lowest as i64), None),
            Expr::Sum(terms) => self.range_of_sum(terms, lowest),
            Expr::FloorDiv(a, b) => match both(a, b) {
                // By zero it is zero.
                ((Some(a), most), (Some(b), _)) if a >= 0 && b >= 0 => (Some(0), most.map(|m| m / b.max(1))),
                _ => (None, None),
            },
            Expr::Max(a, b) => {
                let ((a, c), (b, d)) = both(a, b);
                (a.max(b), c.zip(d).map(|(c, d)| c.max(d)))
            }
            Expr::Min(a, b) => {
                let ((a, c), (b, d)) = both(a, b);
                let least = c.into_iter().chain(d).min();
                (a.zip(b).map(|(a, b)| a.min(b)), least)
            }
            Expr::Broadcast(a, b) => {
                let ((a, c), (b, d)) = both(a, b);
                (a.zip(b).map(|(a, b)| a.min(b)), c.zip(d).map(|(c, d)| c.max(d)))
            }
            Expr::Plus(a, b) => {
                let ((a, c), (b, d)) = both(a, b);
                let sum = |a: Option<i64>, b| a.zip(b).map(|(a, b): (i64, i64)| a.saturating_add(b));
                (sum(a, b), sum(c, d))
            }
            Expr::Times(a, b) => {
                let (a, b) = both(a, b);
                product(a, b)
            }
        }
    }
}

/// The range of a product; known for factors that are never negative.
fn product(a: Range, b: Range) -> Range {
    match (a.0, b.0) {
        (Some(least), Some(other)) if least >= 0 && other >= 0 => {
            (Some(least.saturating_mul(other)), a.1.zip(b.1).map(|(a, b)| a.saturating_mul(b)))
        }
        _ => (None, None),
    }
}

pub(super) fn intern(expr: Expr) -> Dim {
    with(|table| table.add(expr))
}

pub(super) fn at(dim: Dim) -> usize {
    (dim.0 - OPEN) as usize
}

fn parts(expr: &Expr) -> SmallVec<[Dim; 4]> {
    let all: SmallVec<[Dim; 4]> = match expr {
        Expr::Symbol(_) => SmallVec::new(),
        Expr::Sum(terms) => terms.iter().flat_map(|t| t.factors.iter().copied()).collect(),
        Expr::FloorDiv(a, b)
        | Expr::Max(a, b)
        | Expr::Min(a, b)
        | Expr::Broadcast(a, b)
        | Expr::Plus(a, b)
        | Expr::Times(a, b) => SmallVec::from_iter([*a, *b]),
    };
    all.into_iter().filter(|d| d.is_open()).collect()
}

/// The expressions that `root` is made of, itself last: parts have smaller handles.
pub(super) fn reachable(table: &Table, root: Dim) -> Vec<Dim> {
    let (mut found, mut stack) = (HashSet::from([root]), vec![root]);
    while let Some(dim) = stack.pop() {
        stack.extend(parts(&table.all[at(dim)].expr).into_iter().filter(|&part| found.insert(part)));
    }
    let mut found: Vec<Dim> = found.into_iter().collect();
    found.sort_unstable();
    found
}
