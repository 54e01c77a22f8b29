//! Stacked claims on a sum of money, in f64: amounts due by rank come first, the rest is shared
//! per unit, and every holder takes the better of its claim and its units. A claim pays
//! `max(min(due + n u, cap), n u)` with `u = max(0, v - strike)`, where v is what one unit is worth;
//! the sum over claims rises with v, so every price fixes one v, and no holder gains by choosing
//! otherwise. Payouts are piecewise linear in the price; a table of pieces is built once and read
//! for every price. Depends on the pool of `fastnn`; knows nothing about companies.

use fastnn::data_err;
use fastnn::error::{Error, Result};
use fastnn::pool;

/// Tables whose pieces are made and read together.
const GROUP: usize = 32;

/// One holder's claim.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claim {
    /// Amount due before anything is shared; at least zero.
    pub due: f64,
    /// Part of `due` that is paid after all ranks, with the other such parts.
    pub last: f64,
    /// The lower rank is paid first, equal ranks in proportion.
    pub rank: u32,
    /// Units that share what is left; at least zero.
    pub units: f64,
    /// What a unit must be worth before it takes part; at least zero.
    pub strike: f64,
    /// Most the claim takes as a claim; at least `due`. Equal to `due`: no sharing beside it.
    pub cap: f64,
}

impl Claim {
    /// What the claim takes when a unit is worth `v` and everything due is paid.
    #[must_use]
    pub fn at(&self, v: f64) -> f64 {
        let shared = self.units * (v - self.strike).max(0.0);
        (self.due + shared).min(self.cap).max(shared)
    }

    fn check(&self) -> bool {
        let amounts = [self.due, self.last, self.units, self.strike];
        amounts.iter().all(|x| x.is_finite() && *x >= 0.0) && self.cap >= self.due && self.last <= self.due
    }
}

/// Payouts of one table of claims as pieces, linear in the price.
#[derive(Debug, Clone)]
struct Pieces {
    claims: usize,
    /// Price at which each piece starts, rising.
    starts: Vec<f64>,
    /// `[piece][claim]`: payout at the start and its slope.
    values: Vec<f64>,
    slopes: Vec<f64>,
}

impl Pieces {
    fn new(claims: &[Claim]) -> Self {
        let mut out =
            Self { claims: claims.len(), starts: Vec::new(), values: Vec::new(), slopes: Vec::new() };
        out.add_ranks(claims);
        out.add_shares(claims);
        out
    }

    fn push(&mut self, start: f64, values: &[f64], slopes: &[f64]) {
        self.starts.push(start);
        self.values.extend_from_slice(values);
        self.slopes.extend_from_slice(slopes);
    }

    /// The pieces in which amounts due are paid, rank after rank.
    fn add_ranks(&mut self, claims: &[Claim]) {
        let mut ranks: Vec<u32> = claims.iter().map(|c| c.rank).collect();
        ranks.sort_unstable();
        ranks.dedup();
        let by_rank = ranks
            .iter()
            .map(|r| claims.iter().map(|c| if c.rank == *r { c.due - c.last } else { 0.0 }).collect());
        let last = std::iter::once(claims.iter().map(|c| c.last).collect());
        let mut paid = vec![0.0; claims.len()];
        let mut price = 0.0;
        for amounts in by_rank.chain(last) {
            let amounts: Vec<f64> = amounts;
            let total: f64 = amounts.iter().sum();
            if total > 0.0 {
                let slopes: Vec<f64> = amounts.iter().map(|a| a / total).collect();
                self.push(price, &paid, &slopes);
                paid.iter_mut().zip(&amounts).for_each(|(p, a)| *p += a);
                price += total;
            }
        }
    }

    /// The pieces in which the rest is shared.
    fn add_shares(&mut self, claims: &[Claim]) {
        let mut marks = vec![0.0];
        for c in claims.iter().filter(|c| c.units > 0.0) {
            marks.extend([c.strike, c.strike + (c.cap - c.due) / c.units, c.strike + c.cap / c.units]);
        }
        marks.retain(|v| v.is_finite());
        marks.sort_unstable_by(f64::total_cmp);
        marks.dedup();
        for (i, v) in marks.iter().enumerate() {
            let values: Vec<f64> = claims.iter().map(|c| c.at(*v)).collect();
            // Units that take part just above v: the claim is linear up to the next mark.
            let middle = marks.get(i + 1).map_or(v + 1.0, |next| 0.5 * (v + next));
            let mut slopes: Vec<f64> = claims.iter().map(|c| c.slope_at(middle)).collect();
            let total: f64 = slopes.iter().sum();
            if total > 0.0 {
                slopes.iter_mut().for_each(|s| *s /= total);
                self.push(values.iter().sum(), &values, &slopes);
            }
        }
    }

    /// Writes payouts `[claim][price]`; prices rise.
    fn write(&self, prices: &[f64], out: &mut [f64]) {
        let mut from = prices.partition_point(|p| *p <= 0.0);
        for claim in out.chunks_exact_mut(prices.len()) {
            claim[..from].fill(0.0);
        }
        for (k, start) in self.starts.iter().enumerate() {
            let to = match self.starts.get(k + 1) {
                Some(end) => from + prices[from..].partition_point(|p| p < end),
                None => prices.len(),
            };
            for (c, row) in out.chunks_exact_mut(prices.len()).enumerate() {
                let (value, slope) = (self.values[k * self.claims + c], self.slopes[k * self.claims + c]);
                for (o, p) in row[from..to].iter_mut().zip(&prices[from..to]) {
                    *o = value + slope * (p - start);
                }
            }
            from = to;
        }
    }
}

impl Claim {
    /// d/dv of [`Claim::at`] inside a linear piece.
    fn slope_at(&self, v: f64) -> f64 {
        let shared = self.units * (v - self.strike).max(0.0);
        let grows = v > self.strike && (self.due + shared < self.cap || shared > self.cap);
        if grows { self.units } else { 0.0 }
    }
}

/// Payouts of many tables of `claims` claims each at rising `prices`:
/// `out[table][claim][price]`, all of it written.
///
/// # Errors
/// `Data` when a claim is not valid, a table has nobody to take the rest, prices do not rise or are
/// not finite; `Shape` when `out` has another size.
pub fn pay(tables: &[Claim], claims: usize, prices: &[f64], out: &mut [f64]) -> Result<()> {
    if claims == 0 || prices.is_empty() || !tables.len().is_multiple_of(claims) {
        return data_err!(
            "payout: got {} claims in tables of {claims} and {} prices, wanted whole tables and a price",
            tables.len(),
            prices.len()
        );
    }
    if prices.iter().any(|p| !p.is_finite()) || prices.windows(2).any(|w| w[0] > w[1]) {
        return data_err!("payout: prices must be finite and rise\nhint: sort them first");
    }
    let size = claims * prices.len();
    if out.len() != tables.len() / claims * size {
        return Err(Error::Shape(format!(
            "payout: got room for {} payouts, wanted {}",
            out.len(),
            tables.len() / claims * size
        )));
    }
    let mut bad =
        tables.chunks_exact(claims).map(|t| t.iter().all(Claim::check) && t.iter().any(|c| c.units > 0.0));
    if let Some(table) = bad.position(|ok| !ok) {
        return data_err!(
            "payout: table {table} has an amount that is negative or not finite, a cap below its due, or no units at all"
        );
    }
    pool::run_parts(out, GROUP * size, &|i, part| {
        let own = &tables[i * GROUP * claims..((i + 1) * GROUP * claims).min(tables.len())];
        for (table, to) in own.chunks_exact(claims).zip(part.chunks_exact_mut(size)) {
            Pieces::new(table).write(prices, to);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(due: f64, rank: u32, units: f64, strike: f64, cap: f64) -> Claim {
        Claim { due, last: 0.0, rank, units, strike, cap }
    }

    #[test]
    fn payouts_equal_the_worked_example() {
        let table = [
            claim(1.0, 3, 1.0, 0.0, 1.0),
            claim(8.0, 2, 2.0, 0.0, 8.0),
            claim(20.0, 1, 2.0, 0.0, 40.0),
            claim(0.0, 9, 6.0, 0.0, f64::INFINITY),
            claim(0.0, 9, 1.0, 0.5, f64::INFINITY),
        ];
        let prices = [-1.0, 0.0, 10.0, 20.0, 30.0, 40.0, 60.0, 100.0, 200.0, 400.0];
        let mut out = vec![f64::NAN; 50];
        pay(&table, 5, &prices, &mut out).unwrap();
        let wanted = [
            [0.0, 0.0, 0.0, 0.0, 1.0, 1.25, 3.25, 6.708_333_333, 16.05, 33.375],
            [0.0, 0.0, 0.0, 0.0, 8.0, 8.0, 8.0, 13.416_666_667, 32.1, 66.75],
            [0.0, 0.0, 10.0, 20.0, 20.25, 22.5, 26.5, 33.416_666_667, 40.0, 66.75],
            [0.0, 0.0, 0.0, 0.0, 0.75, 7.5, 19.5, 40.25, 96.3, 200.25],
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.75, 2.75, 6.208_333_333, 15.55, 32.875],
        ];
        for (c, row) in wanted.iter().enumerate() {
            for (k, w) in row.iter().enumerate() {
                assert!(
                    (out[c * 10 + k] - w).abs() < 1e-8,
                    "claim {c} price {}: {} not {w}",
                    prices[k],
                    out[c * 10 + k]
                );
            }
        }
    }

    #[test]
    fn bad_claims_and_prices_are_refused() {
        let good = claim(1.0, 1, 1.0, 0.0, 1.0);
        let mut out = [0.0; 2];
        assert!(pay(&[claim(2.0, 1, 1.0, 0.0, 1.0)], 1, &[1.0, 2.0], &mut out).is_err());
        assert!(pay(&[claim(1.0, 1, 0.0, 0.0, 1.0)], 1, &[1.0, 2.0], &mut out).is_err());
        assert!(pay(&[claim(f64::NAN, 1, 1.0, 0.0, 1.0)], 1, &[1.0, 2.0], &mut out).is_err());
        assert!(pay(&[good], 1, &[2.0, 1.0], &mut out).is_err());
        assert!(pay(&[good], 1, &[f64::NAN, 1.0], &mut out).is_err());
        assert!(pay(&[good], 1, &[1.0], &mut out).is_err());
        assert!(pay(&[good], 1, &[1.0, 2.0], &mut out).is_ok());
    }
}
