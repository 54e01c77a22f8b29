//! F0. Sizes in words.

use super::{Dim, Expr};
use std::fmt;

impl fmt::Debug for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 4)
    }
}

impl Dim {
    /// The expression in words, its parts `depth` levels deep.
    fn write(self, f: &mut fmt::Formatter<'_>, depth: u32) -> fmt::Result {
        let Some(expr) = self.expr() else { return write!(f, "{}", self.0) };
        if depth == 0 && !matches!(*expr, Expr::Symbol(_)) {
            return f.write_str("...");
        }
        // A quotient stands in brackets inside products: 3*(n//2) is not 3*n//2.
        let inner = |f: &mut fmt::Formatter<'_>, d: Dim, tight: bool| match d.expr().as_deref() {
            Some(Expr::FloorDiv(..) | Expr::Times(..)) if !tight => d.write(f, depth - 1),
            Some(Expr::Sum(_) | Expr::Plus(..) | Expr::FloorDiv(..) | Expr::Times(..)) => {
                f.write_str("(")?;
                d.write(f, depth - 1)?;
                f.write_str(")")
            }
            _ => d.write(f, depth.saturating_sub(1)),
        };
        let pair = |f: &mut fmt::Formatter<'_>, name: &str, a: Dim, b: Dim| {
            write!(f, "{name}(")?;
            a.write(f, depth - 1)?;
            f.write_str(", ")?;
            b.write(f, depth - 1)?;
            f.write_str(")")
        };
        let between = |f: &mut fmt::Formatter<'_>, a: Dim, sign: &str, b: Dim| {
            let tight = sign != " + ";
            inner(f, a, tight)?;
            f.write_str(sign)?;
            inner(f, b, tight)
        };
        match &*expr {
            Expr::Symbol(name) => f.write_str(name),
            Expr::FloorDiv(a, b) => between(f, *a, "//", *b),
            Expr::Max(a, b) => pair(f, "max", *a, *b),
            Expr::Min(a, b) => pair(f, "min", *a, *b),
            Expr::Broadcast(a, b) => pair(f, "broadcast", *a, *b),
            Expr::Plus(a, b) => between(f, *a, " + ", *b),
            Expr::Times(a, b) => between(f, *a, "*", *b),
            Expr::Sum(terms) => {
                for (i, term) in terms.iter().enumerate() {
                    match (i, term.times < 0) {
                        (0, false) => {}
                        (0, true) => f.write_str("-")?,
                        (_, false) => f.write_str(" + ")?,
                        (_, true) => f.write_str(" - ")?,
                    }
                    let times = term.times.unsigned_abs();
                    if times != 1 || term.factors.is_empty() {
                        write!(f, "{times}")?;
                    }
                    for (k, &factor) in term.factors.iter().enumerate() {
                        if k > 0 || times != 1 {
                            f.write_str("*")?;
                        }
                        inner(f, factor, times != 1 || term.factors.len() > 1)?;
                    }
                }
                Ok(())
            }
        }
    }
}
