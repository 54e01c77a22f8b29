//! F0. Sizes for symbols, and expressions with the sizes put in.

use super::{Dim, Expr};
use crate::error::Result;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::fmt;

/// Sizes for symbols: numbers, or expressions over the symbols of another graph.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Bindings(SmallVec<[(Dim, Dim); 4]>);

impl Bindings {
    /// Nothing bound.
    #[must_use]
    pub fn new() -> Bindings {
        Bindings::default()
    }

    /// A batch size and nothing else.
    #[must_use]
    pub fn batch(rows: usize) -> Bindings {
        let mut bindings = Bindings::new();
        bindings.set(Dim::BATCH, rows.into());
        bindings
    }

    /// Gives a symbol a size; the one that it had before.
    pub fn set(&mut self, symbol: Dim, size: Dim) -> Option<Dim> {
        match self.0.binary_search_by_key(&symbol, |(s, _)| *s) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, size)),
            Err(at) => {
                self.0.insert(at, (symbol, size));
                None
            }
        }
    }

    /// The size of a symbol.
    #[must_use]
    pub fn get(&self, symbol: Dim) -> Option<Dim> {
        self.0.binary_search_by_key(&symbol, |(s, _)| *s).ok().map(|at| self.0[at].1)
    }

    /// The symbols with their sizes.
    pub fn iter(&self) -> impl Iterator<Item = (Dim, Dim)> + '_ {
        self.0.iter().copied()
    }
}

impl fmt::Display for Bindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (symbol, size)) in self.0.iter().enumerate() {
            write!(f, "{}{symbol} {size}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// Puts bound sizes into expressions, each distinct one once.
#[derive(Debug)]
pub struct Binder<'a> {
    bindings: &'a Bindings,
    done: HashMap<Dim, Dim>,
}

impl<'a> Binder<'a> {
    /// For these sizes.
    #[must_use]
    pub fn new(bindings: &'a Bindings) -> Binder<'a> {
        Binder { bindings, done: HashMap::new() }
    }

    /// The sizes.
    #[must_use]
    pub fn bindings(&self) -> &'a Bindings {
        self.bindings
    }

    /// `dim` with its symbols replaced; a number when all of them have one. Errors when sizes that
    /// must broadcast do not.
    pub fn bind(&mut self, dim: Dim) -> Result<Dim> {
        if !dim.is_open() {
            return Ok(dim);
        }
        if let Some(size) = self.bindings.get(dim) {
            return Ok(size);
        }
        if let Some(&known) = self.done.get(&dim) {
            return Ok(known);
        }
        for (part, expr) in dim.made_of() {
            if self.done.contains_key(&part) {
                continue;
            }
            let of = |d: &Dim| if d.is_open() { self.done[d] } else { *d };
            let value = match &*expr {
                Expr::Symbol(_) => self.bindings.get(part).unwrap_or(part),
                Expr::Sum(terms) => terms.iter().fold(Dim::ZERO, |sum, term| {
                    sum + term.factors.iter().fold(Dim::new(term.times), |product, f| product * of(f))
                }),
                Expr::FloorDiv(a, b) => of(a).floor_div(of(b)),
                Expr::Max(a, b) => of(a).max(of(b)),
                Expr::Min(a, b) => of(a).min(of(b)),
                Expr::Plus(a, b) => of(a) + of(b),
                Expr::Times(a, b) => of(a) * of(b),
                Expr::Broadcast(a, b) => match of(a).broadcast(of(b)) {
                    Some(size) => size,
                    None => {
                        return crate::shape_err!(
                            "the sizes {a} and {b} do not broadcast: they are {} and {}\n  hint: sizes are equal or 1, counted from the last axis",
                            of(a),
                            of(b)
                        );
                    }
                },
            };
            self.done.insert(part, value);
        }
        Ok(self.done[&dim])
    }
}
