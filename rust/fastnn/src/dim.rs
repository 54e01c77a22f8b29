//! F0. Sizes: a whole number, or an expression over named symbols (`batch`, `time`) whose value is
//! known when a graph is bound to data. A [`Dim`] is eight bytes and `Copy`; expressions live in
//! one table for the whole process, in a normal form, so equal handles are equal expressions.
//!
//! Symbols stand for positive numbers. Expressions are polynomials over symbols and over what
//! cannot be expanded (quotients, maxima, minima, broadcasts); two expressions that this form
//! cannot tell apart from equal ones are compared again when a graph is bound, with numbers.

mod bind;
mod table;
mod write;

pub use bind::{Binder, Bindings};

use smallvec::SmallVec;
use std::ops::{Add, Mul, Sub};
use std::sync::Arc;
use table::{Least, Range, at, intern, reachable, with};

/// A size, or a position or count along an axis: a whole number or an open expression.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dim(i64);

/// Numbers from here on, `OPENS` of them, are handles of expressions. No size reaches them, and a
/// position that far below zero means the same as one a little further.
const OPEN: i64 = -(1 << 62);
const OPENS: i64 = 1 << 32;
/// Numbers from here on mean "to the border" in slices.
const FAR: i64 = 1 << 62;
/// Larger polynomials stay as they are written instead of being expanded.
const MOST_TERMS: usize = 32;
const MOST_FACTORS: usize = 16;

/// What a handle stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expr {
    /// A named size.
    Symbol(Arc<str>),
    /// A polynomial of more than one term, or of one term that is more than an atom.
    Sum(Vec<Term>),
    /// The quotient, rounded down.
    FloorDiv(Dim, Dim),
    /// The larger.
    Max(Dim, Dim),
    /// The smaller.
    Min(Dim, Dim),
    /// What two sizes give when they broadcast: the other where one is 1, else both are equal.
    Broadcast(Dim, Dim),
    /// A sum that is too large to expand.
    Plus(Dim, Dim),
    /// A product that is too large to expand.
    Times(Dim, Dim),
}

/// A product of atoms with a whole factor. No atoms: the constant of a polynomial.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Term {
    /// Handles of what is multiplied, in order, repeated for powers. None of them is a `Sum`.
    pub factors: SmallVec<[Dim; 2]>,
    /// The whole factor.
    pub times: i64,
}

impl Dim {
    /// The number of rows that are worked on together; the one symbol that every graph shares.
    pub const BATCH: Dim = Dim(OPEN);
    /// 0.
    pub const ZERO: Dim = Dim(0);
    /// 1.
    pub const ONE: Dim = Dim(1);

    /// A whole number, negative ones included (positions count from the end).
    #[must_use]
    pub const fn new(number: i64) -> Dim {
        if Dim(number).is_open() { Dim(OPEN - 1) } else { Dim(number) }
    }

    /// The symbol of this name; the same one whenever it is asked for.
    #[must_use]
    pub fn symbol(name: &str) -> Dim {
        intern(Expr::Symbol(name.into()))
    }

    /// True for an expression, whose value depends on symbols.
    #[must_use]
    pub const fn is_open(self) -> bool {
        self.0 >= OPEN && self.0 < OPEN + OPENS
    }

    /// The number, where it is one.
    #[must_use]
    pub const fn known(self) -> Option<i64> {
        if self.is_open() { None } else { Some(self.0) }
    }

    /// The handle as a word, the same for equal sizes.
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0 as u64
    }

    /// The expression, where it is one.
    #[must_use]
    pub fn expr(self) -> Option<Arc<Expr>> {
        if self.is_open() {
            with(|table| table.all.get(at(self)).map(|entry| entry.expr.clone()))
        } else {
            None
        }
    }

    /// The name, where it is a symbol.
    #[must_use]
    pub fn name(self) -> Option<Arc<str>> {
        match self.expr().as_deref() {
            Some(Expr::Symbol(name)) => Some(name.clone()),
            _ => None,
        }
    }

    /// The quotient rounded down. By zero it is zero.
    #[must_use]
    pub fn floor_div(self, by: Dim) -> Dim {
        match (self.known(), by.known()) {
            (Some(_), Some(0)) => Dim::ZERO,
            (Some(a), Some(b)) => Dim::new(floor_quotient(a, b)),
            (_, Some(1)) => self,
            (_, Some(-1)) => Dim::ZERO - self,
            (_, Some(b)) if b > 0 => floor_by_number(&self.terms(), b),
            _ => exact(&self.terms(), by).unwrap_or_else(|| intern(Expr::FloorDiv(self, by))),
        }
    }

    /// The quotient rounded up.
    #[must_use]
    pub fn ceil_div(self, by: Dim) -> Dim {
        match by.known() {
            Some(number) if number > 0 => (self + Dim::new(number - 1)).floor_div(by),
            _ => Dim::ZERO - (Dim::ZERO - self).floor_div(by),
        }
    }

    /// The quotient of sizes that divide evenly, `None` when they certainly do not.
    #[must_use]
    pub fn divided(self, by: Dim) -> Option<Dim> {
        match (self.known(), by.known()) {
            (_, Some(0)) => None,
            (Some(a), Some(b)) if a.checked_rem(b) != Some(0) => None,
            _ => Some(self.floor_div(by)),
        }
    }

    /// The larger.
    #[must_use]
    pub fn max(self, other: Dim) -> Dim {
        match difference(self, other, Least::Empty) {
            (Some(0..), _) => self,
            (_, Some(..=0)) => other,
            _ => intern(Expr::Max(Ord::min(self, other), Ord::max(self, other))),
        }
    }

    /// The smaller, where no axis is empty: `min(n, 1)`, the size of one element of an open axis, is 1. An
    /// axis that is empty after all is refused once its size is known.
    #[must_use]
    pub fn min(self, other: Dim) -> Dim {
        if self.0 >= FAR || other.0 >= FAR {
            return if self.0 >= FAR { other } else { self };
        }
        match difference(self, other, Least::One) {
            (Some(0..), _) => other,
            (_, Some(..=0)) => self,
            _ => intern(Expr::Min(Ord::min(self, other), Ord::max(self, other))),
        }
    }

    /// True when it is more than 0 for every size of its symbols, 0 included.
    #[must_use]
    pub fn is_positive(self) -> bool {
        matches!(self.range(Least::Empty), (Some(1..), _))
    }

    /// True when it is less than 0 for every size of its symbols, 0 included.
    #[must_use]
    pub fn is_negative(self) -> bool {
        matches!(self.range(Least::Empty), (_, Some(..=-1)))
    }

    /// True when it is more than 0 wherever no symbol is 0.
    #[must_use]
    pub fn is_positive_unless_empty(self) -> bool {
        matches!(self.range(Least::One), (Some(1..), _))
    }

    /// True when it is less than 0 wherever no symbol is 0: what was meant as a place counted from the
    /// end, such as `-n`.
    #[must_use]
    pub fn is_negative_unless_empty(self) -> bool {
        matches!(self.range(Least::One), (_, Some(..=-1)))
    }

    /// The size of two that must be equal: the number where one is known. `None` when they differ
    /// whatever the symbols are; what is left open is compared when a graph is bound.
    #[must_use]
    pub fn meet(self, other: Dim) -> Option<Dim> {
        if self == other {
            return Some(self);
        }
        if differ(self, other) {
            return None;
        }
        Some(if self.is_open() && !other.is_open() { other } else { self })
    }

    /// The size of two that broadcast, `None` when they do not whatever the symbols are.
    #[must_use]
    pub fn broadcast(self, other: Dim) -> Option<Dim> {
        match (self, other) {
            (a, b) if a == b => Some(a),
            (Dim::ONE, b) => Some(b),
            (a, Dim::ONE) => Some(a),
            (a, b) if differ(a, b) => None,
            (a, b) if !b.is_open() => Some(b).filter(|_| a.is_open()),
            (a, _) if !a.is_open() => Some(a),
            (a, b) => Some(joined(a, b)),
        }
    }

    /// The symbols that it depends on, in the order of their making.
    #[must_use]
    pub fn symbols(self) -> Vec<Dim> {
        let all = self.made_of().into_iter();
        all.filter(|(_, expr)| matches!(**expr, Expr::Symbol(_))).map(|(dim, _)| dim).collect()
    }

    /// `symbol` such that this expression is `value`, where it is a multiple of one symbol and a
    /// number.
    #[must_use]
    pub fn solve(self, value: i64) -> Option<(Dim, i64)> {
        let terms = self.terms();
        let constant: i64 = terms.iter().filter(|t| t.factors.is_empty()).map(|t| t.times).sum();
        let mut open = terms.iter().filter(|t| !t.factors.is_empty());
        let (Some(term), None) = (open.next(), open.next()) else { return None };
        let [symbol] = term.factors[..] else { return None };
        symbol.name()?;
        let rest = value.checked_sub(constant)?;
        (rest.checked_rem(term.times) == Some(0)).then(|| (symbol, rest / term.times))
    }

    /// The expressions that it is made of, parts before wholes, itself last; empty for a number.
    #[must_use]
    pub fn made_of(self) -> Vec<(Dim, Arc<Expr>)> {
        if !self.is_open() {
            return vec![];
        }
        with(|table| reachable(table, self).into_iter().map(|d| (d, table.all[at(d)].expr.clone())).collect())
    }

    fn range(self, least: Least) -> Range {
        match self.known() {
            Some(number) => (Some(number), Some(number)),
            None => with(|table| table.range_of(self, least)),
        }
    }

    fn terms(self) -> Vec<Term> {
        if let Some(number) = self.known() {
            let constant = Term { factors: SmallVec::new(), times: number };
            return if number == 0 { vec![] } else { vec![constant] };
        }
        match self.expr().as_deref() {
            Some(Expr::Sum(terms)) => terms.clone(),
            _ => vec![Term { factors: SmallVec::from_iter([self]), times: 1 }],
        }
    }
}

/// Between which numbers `a - b` lies.
fn difference(a: Dim, b: Dim, least: Least) -> Range {
    if let (Some(a), Some(b)) = (a.known(), b.known()) {
        let difference = Some(a.saturating_sub(b));
        return (difference, difference);
    }
    let mut terms = a.terms();
    terms.extend(b.terms().into_iter().map(|t| Term { times: t.times.saturating_neg(), ..t }));
    let terms = collected(terms);
    with(|table| table.range_of_sum(&terms, least))
}

/// True when two sizes cannot be equal. The batch is no other size: the last batch of a data set
/// has another one, so a number or another symbol that equals it does so by accident. So do two
/// expressions that are equal for empty axes only, such as `n` and `2*n`.
fn differ(a: Dim, b: Dim) -> bool {
    if !a.is_open() && !b.is_open() {
        return a != b;
    }
    let least = if a.is_open() && b.is_open() { Least::One } else { Least::Empty };
    if matches!(difference(a, b, least), (Some(1..), _) | (_, Some(..=-1))) {
        return true;
    }
    let of = |d: Dim| match d.is_open() {
        true => with(|table| (table.all[at(d)].batch, table.all[at(d)].others)),
        false => (false, false),
    };
    matches!((of(a), of(b)), ((true, false), (false, _)) | ((false, _), (true, false)))
}

fn joined(a: Dim, b: Dim) -> Dim {
    for (one, other) in [(a, b), (b, a)] {
        if let Some(Expr::Broadcast(x, y)) = one.expr().as_deref()
            && (*x == other || *y == other)
        {
            return one;
        }
    }
    intern(Expr::Broadcast(Ord::min(a, b), Ord::max(a, b)))
}

/// The quotient rounded down, for any signs.
fn floor_quotient(a: i64, b: i64) -> i64 {
    let quotient = a.saturating_div(b);
    if a.checked_rem(b).is_some_and(|r| r != 0 && (r < 0) != (b < 0)) { quotient - 1 } else { quotient }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.saturating_abs() } else { gcd(b, a % b) }
}

/// floor(terms / by) with whole multiples of `by` taken out and common factors cancelled.
fn floor_by_number(terms: &[Term], by: i64) -> Dim {
    let (mut whole, mut rest) = (vec![], vec![]);
    for term in terms {
        let (q, r) = (term.times.div_euclid(by), term.times.rem_euclid(by));
        for (part, times) in [(&mut whole, q), (&mut rest, r)] {
            if times != 0 {
                part.push(Term { factors: term.factors.clone(), times });
            }
        }
    }
    let whole = polynomial(whole);
    let common = rest.iter().filter(|t| !t.factors.is_empty()).fold(by, |g, t| gcd(g, t.times));
    let by = by / common;
    for term in &mut rest {
        // The constant loses its remainder: the other terms are multiples of the common factor.
        term.times = term.times.div_euclid(common);
    }
    rest.retain(|t| t.times != 0);
    if by == 1 {
        return whole + polynomial(rest);
    }
    if rest.iter().all(|t| t.factors.is_empty()) {
        return whole;
    }
    // floor((floor(x / a) + c) / b) = floor((x + a c) / (a b))
    let mut open = rest.iter().filter(|t| !t.factors.is_empty());
    if let (Some(Term { factors, times: 1 }), None) = (open.next(), open.next())
        && let [atom] = factors[..]
        && let Some(Expr::FloorDiv(x, a)) = atom.expr().as_deref()
        && let Some(a) = a.known()
        && a > 0
        && let Some(product) = a.checked_mul(by)
    {
        let constant: i64 = rest.iter().filter(|t| t.factors.is_empty()).map(|t| t.times).sum();
        let inside = *x + Dim::new(constant) * Dim::new(a);
        return whole + inside.floor_div(Dim::new(product));
    }
    whole + intern(Expr::FloorDiv(polynomial(rest), Dim::new(by)))
}

/// The quotient of a polynomial by a single term that divides each of its terms.
fn exact(terms: &[Term], by: Dim) -> Option<Dim> {
    let by = by.terms();
    if by == terms {
        return Some(Dim::ONE);
    }
    let [divisor] = &by[..] else { return None };
    let mut out = vec![];
    for term in terms {
        if term.times.checked_rem(divisor.times) != Some(0) {
            return None;
        }
        let mut factors = term.factors.clone();
        for factor in &divisor.factors {
            factors.remove(factors.iter().position(|f| f == factor)?);
        }
        out.push(Term { factors, times: term.times / divisor.times });
    }
    Some(polynomial(out))
}

/// Terms in their order, those with the same factors added up.
fn collected(mut terms: Vec<Term>) -> Vec<Term> {
    terms.sort_by(|a, b| b.factors.len().cmp(&a.factors.len()).then_with(|| a.factors.cmp(&b.factors)));
    let mut sum: Vec<Term> = Vec::with_capacity(terms.len());
    for term in terms {
        match sum.last_mut() {
            Some(last) if last.factors == term.factors => last.times = last.times.saturating_add(term.times),
            _ => sum.push(term),
        }
    }
    sum.retain(|t| t.times != 0);
    sum
}

/// The handle of a sum of terms that need not be in order or different.
fn polynomial(terms: Vec<Term>) -> Dim {
    let sum = collected(terms);
    match &sum[..] {
        [] => Dim::ZERO,
        [one] if one.factors.is_empty() => Dim::new(one.times),
        [one] if one.times == 1 && one.factors.len() == 1 => one.factors[0],
        _ => intern(Expr::Sum(sum)),
    }
}

impl Add for Dim {
    type Output = Dim;

    fn add(self, other: Dim) -> Dim {
        match (self.known(), other.known()) {
            (Some(a), Some(b)) => return Dim::new(a.saturating_add(b)),
            (Some(0), _) => return other,
            (_, Some(0)) => return self,
            _ => {}
        }
        let mut terms = self.terms();
        terms.extend(other.terms());
        if terms.len() > MOST_TERMS {
            return intern(Expr::Plus(Ord::min(self, other), Ord::max(self, other)));
        }
        polynomial(terms)
    }
}

impl Mul for Dim {
    type Output = Dim;

    fn mul(self, other: Dim) -> Dim {
        match (self.known(), other.known()) {
            (Some(a), Some(b)) => return Dim::new(a.saturating_mul(b)),
            (Some(0), _) | (_, Some(0)) => return Dim::ZERO,
            (Some(1), _) => return other,
            (_, Some(1)) => return self,
            _ => {}
        }
        let (a, b) = (self.terms(), other.terms());
        let most = |terms: &[Term]| terms.iter().map(|t| t.factors.len()).max().unwrap_or(0);
        if a.len() * b.len() > MOST_TERMS || most(&a) + most(&b) > MOST_FACTORS {
            return intern(Expr::Times(Ord::min(self, other), Ord::max(self, other)));
        }
        let mut terms = Vec::with_capacity(a.len() * b.len());
        for x in &a {
            for y in &b {
                let mut factors = x.factors.clone();
                factors.extend_from_slice(&y.factors);
                factors.sort_unstable();
                terms.push(Term { factors, times: x.times.saturating_mul(y.times) });
            }
        }
        polynomial(terms)
    }
}

impl Sub for Dim {
    type Output = Dim;

    fn sub(self, other: Dim) -> Dim {
        match (self.known(), other.known()) {
            (Some(a), Some(b)) => Dim::new(a.saturating_sub(b)),
            _ if self == other => Dim::ZERO,
            _ => match other.expr().as_deref() {
                // What was cut off at a border becomes what is left: n - max(n - 5, 0) = min(5, n).
                Some(Expr::Max(a, b)) => (self - *a).min(self - *b),
                Some(Expr::Min(a, b)) => (self - *a).max(self - *b),
                _ => self + other * Dim(-1),
            },
        }
    }
}

impl std::iter::Product for Dim {
    fn product<I: Iterator<Item = Dim>>(iter: I) -> Dim {
        iter.fold(Dim::ONE, Mul::mul)
    }
}

impl<'a> std::iter::Product<&'a Dim> for Dim {
    fn product<I: Iterator<Item = &'a Dim>>(iter: I) -> Dim {
        iter.copied().product()
    }
}

impl From<usize> for Dim {
    fn from(size: usize) -> Dim {
        Dim::new(i64::try_from(size).unwrap_or(i64::MAX))
    }
}

impl PartialEq<usize> for Dim {
    fn eq(&self, other: &usize) -> bool {
        *self == Dim::from(*other)
    }
}
