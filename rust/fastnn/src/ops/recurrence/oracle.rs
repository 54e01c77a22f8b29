//! Recurrences by plain loops in f64: all results of a row, in order.

use crate::graph::{Attr, Host};

/// Element `i` of an operand that may be one number for all.
fn at(x: &Host, i: usize) -> f64 {
    if x.ty.shape.rank() == 0 { x.data[0] } else { x.data[i] }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn bend(y: f64) -> f64 {
    y * (1.0 - y)
}

/// Sizes, and what every recurrence reads.
struct Loop<'a> {
    batch: usize,
    steps: usize,
    units: usize,
    gates: usize,
    weights: &'a Host,
    mask: &'a Host,
    drop: &'a Host,
    reverse: bool,
}

impl<'a> Loop<'a> {
    fn new(each: &Host, weights: &'a Host, mask: &'a Host, drop: &'a Host, reverse: bool) -> Loop<'a> {
        let (sizes, wide) = (each.ty.shape.sizes(), weights.ty.shape.sizes());
        let (units, gates) = (wide[0], wide[1].checked_div(wide[0]).unwrap_or(0));
        Loop { batch: sizes[0], steps: sizes[1], units, gates, weights, mask, drop, reverse }
    }

    /// Zeros for each step of `gates` numbers a unit, and for each row.
    fn each(&self, gates: usize) -> Vec<f64> {
        vec![0.0; self.batch * self.steps * gates * self.units]
    }

    /// One state of a row, in full.
    fn state(&self, x: &Host, row: usize) -> Vec<f64> {
        (0..self.units).map(|j| at(x, row * self.units + j)).collect()
    }

    fn all(&self) -> Vec<f64> {
        vec![0.0; self.batch * self.units]
    }

    /// Steps of a row in the order in which they are done.
    fn order(&self) -> Vec<usize> {
        if self.reverse { (0..self.steps).rev().collect() } else { (0..self.steps).collect() }
    }

    fn counts(&self, row: usize, t: usize) -> bool {
        at(self.mask, row * self.steps + t) != 0.0
    }

    fn drop(&self, row: usize, gate: usize, unit: usize) -> f64 {
        at(self.drop, (row * self.gates + gate) * self.units + unit)
    }

    fn weight(&self, from: usize, gate: usize, unit: usize) -> f64 {
        self.weights.data[(from * self.gates + gate) * self.units + unit]
    }

    /// The product of a state, as a gate sees it, with the gate's weights.
    fn sums(&self, row: usize, gate: usize, h: &[f64]) -> Vec<f64> {
        let term = |k: usize, j: usize| h[k] * self.drop(row, gate, k) * self.weight(k, gate, j);
        (0..self.units).map(|j| (0..self.units).map(|k| term(k, j)).sum()).collect()
    }

    /// What flows back into the state through the sums of a gate.
    fn back(&self, row: usize, gate: usize, d: &[f64]) -> Vec<f64> {
        let sum = |k: usize| (0..self.units).map(|j| d[j] * self.weight(k, gate, j)).sum::<f64>();
        (0..self.units).map(|k| sum(k) * self.drop(row, gate, k)).collect()
    }
}

pub(super) fn lstm_there(x: &[Host], attrs: &[Attr]) -> Vec<Vec<f64>> {
    let l = Loop::new(&x[0], &x[1], &x[4], &x[5], attrs[0].flag());
    let u = l.units;
    let (mut y, mut kept, mut cells, mut before) = (l.each(1), l.each(4), l.each(1), l.each(1));
    let (mut last_h, mut last_c) = (l.all(), l.all());
    for row in 0..l.batch {
        let (mut h, mut c) = (l.state(&x[2], row), l.state(&x[3], row));
        for t in l.order() {
            let step = row * l.steps + t;
            before[step * u..(step + 1) * u].copy_from_slice(&h);
            if l.counts(row, t) {
                let sums: Vec<Vec<f64>> = (0..4).map(|gate| l.sums(row, gate, &h)).collect();
                for j in 0..u {
                    let a = |gate: usize| x[0].data[(step * 4 + gate) * u + j] + sums[gate][j];
                    let g = [sigmoid(a(0)), sigmoid(a(1)), a(2).tanh(), sigmoid(a(3))];
                    (0..4).for_each(|gate| kept[(step * 4 + gate) * u + j] = g[gate]);
                    c[j] = g[0] * g[2] + g[1] * c[j];
                    h[j] = g[3] * c[j].tanh();
                }
            }
            y[step * u..(step + 1) * u].copy_from_slice(&h);
            cells[step * u..(step + 1) * u].copy_from_slice(&c);
        }
        last_h[row * u..(row + 1) * u].copy_from_slice(&h);
        last_c[row * u..(row + 1) * u].copy_from_slice(&c);
    }
    vec![y, last_h, last_c, kept, cells, before]
}

pub(super) fn lstm_back(x: &[Host], attrs: &[Attr]) -> Vec<Vec<f64>> {
    let l = Loop::new(&x[4], &x[3], &x[7], &x[8], attrs[0].flag());
    let u = l.units;
    let (mut dz, mut dh0, mut dc0) = (l.each(4), l.all(), l.all());
    for row in 0..l.batch {
        let (mut dh, mut dc) = (l.state(&x[1], row), l.state(&x[2], row));
        let order = l.order();
        for (s, &t) in order.iter().enumerate().rev() {
            let step = row * l.steps + t;
            (0..u).for_each(|j| dh[j] += at(&x[0], step * u + j));
            if !l.counts(row, t) {
                continue;
            }
            let mut parts = vec![vec![0.0; u]; 4];
            for j in 0..u {
                let g: Vec<f64> = (0..4).map(|gate| x[4].data[(step * 4 + gate) * u + j]).collect();
                let old = match s {
                    0 => at(&x[6], row * u + j),
                    _ => x[5].data[(row * l.steps + order[s - 1]) * u + j],
                };
                let bent = x[5].data[step * u + j].tanh();
                let d = dc[j] + dh[j] * g[3] * (1.0 - bent * bent);
                parts[0][j] = d * g[2] * bend(g[0]);
                parts[1][j] = d * old * bend(g[1]);
                parts[2][j] = d * g[0] * (1.0 - g[2] * g[2]);
                parts[3][j] = dh[j] * bent * bend(g[3]);
                (0..4).for_each(|gate| dz[(step * 4 + gate) * u + j] = parts[gate][j]);
                dc[j] = d * g[1];
            }
            let back: Vec<Vec<f64>> = (0..4).map(|gate| l.back(row, gate, &parts[gate])).collect();
            (0..u).for_each(|j| dh[j] = back.iter().map(|b| b[j]).sum());
        }
        dh0[row * u..(row + 1) * u].copy_from_slice(&dh);
        dc0[row * u..(row + 1) * u].copy_from_slice(&dc);
    }
    vec![dz, dh0, dc0]
}

pub(super) fn gru_there(x: &[Host], attrs: &[Attr]) -> Vec<Vec<f64>> {
    let l = Loop::new(&x[0], &x[1], &x[4], &x[5], attrs[0].flag());
    let (u, after) = (l.units, attrs[1].flag());
    let (mut y, mut kept, mut inner, mut before) = (l.each(1), l.each(3), l.each(1), l.each(1));
    let mut last = l.all();
    for row in 0..l.batch {
        let mut h = l.state(&x[3], row);
        for t in l.order() {
            let step = row * l.steps + t;
            before[step * u..(step + 1) * u].copy_from_slice(&h);
            if l.counts(row, t) {
                let input = |gate: usize, j: usize| x[0].data[(step * 3 + gate) * u + j];
                let bias = |gate: usize, j: usize| at(&x[2], gate * u + j);
                let gate = |gate: usize| -> Vec<f64> {
                    let sums = l.sums(row, gate, &h);
                    (0..u).map(|j| sigmoid(input(gate, j) + sums[j] + bias(gate, j))).collect()
                };
                let (z, r) = (gate(0), gate(1));
                let (own, sums): (Vec<f64>, Vec<f64>) = if after {
                    let sums = l.sums(row, 2, &h);
                    let own: Vec<f64> = (0..u).map(|j| sums[j] + bias(2, j)).collect();
                    let gated = (0..u).map(|j| r[j] * own[j]).collect();
                    (own, gated)
                } else {
                    let gated: Vec<f64> = (0..u).map(|j| r[j] * h[j]).collect();
                    let sums = l.sums(row, 2, &gated);
                    let own = (0..u).map(|j| gated[j] * l.drop(row, 2, j)).collect();
                    (own, (0..u).map(|j| sums[j] + bias(2, j)).collect())
                };
                for j in 0..u {
                    let candidate = (input(2, j) + sums[j]).tanh();
                    inner[step * u + j] = own[j];
                    for (gate, v) in [z[j], r[j], candidate].into_iter().enumerate() {
                        kept[(step * 3 + gate) * u + j] = v;
                    }
                    h[j] = z[j] * h[j] + (1.0 - z[j]) * candidate;
                }
            }
            y[step * u..(step + 1) * u].copy_from_slice(&h);
        }
        last[row * u..(row + 1) * u].copy_from_slice(&h);
    }
    vec![y, last, kept, inner, before]
}

pub(super) fn gru_back(x: &[Host], attrs: &[Attr]) -> Vec<Vec<f64>> {
    let l = Loop::new(&x[3], &x[2], &x[6], &x[7], attrs[0].flag());
    let (u, after) = (l.units, attrs[1].flag());
    let (mut dz, mut ds, mut dh0) = (l.each(3), l.each(3), l.all());
    for row in 0..l.batch {
        let mut dh = l.state(&x[1], row);
        for t in l.order().into_iter().rev() {
            let step = row * l.steps + t;
            (0..u).for_each(|j| dh[j] += at(&x[0], step * u + j));
            if !l.counts(row, t) {
                continue;
            }
            let gate = |k: usize, j: usize| x[3].data[(step * 3 + k) * u + j];
            let own = |j: usize| x[4].data[step * u + j];
            let old = |j: usize| x[5].data[step * u + j];
            let sum: Vec<f64> =
                (0..u).map(|j| dh[j] * (1.0 - gate(0, j)) * (1.0 - gate(2, j).powi(2))).collect();
            let update: Vec<f64> = (0..u).map(|j| dh[j] * (old(j) - gate(2, j)) * bend(gate(0, j))).collect();
            let mut next: Vec<f64> = (0..u).map(|j| dh[j] * gate(0, j)).collect();
            let (reset, seen): (Vec<f64>, Vec<f64>) = if after {
                let reset = (0..u).map(|j| sum[j] * own(j) * bend(gate(1, j))).collect();
                (reset, (0..u).map(|j| sum[j] * gate(1, j)).collect())
            } else {
                let flows = l.back(row, 2, &sum);
                (0..u).for_each(|j| next[j] += flows[j] * gate(1, j));
                ((0..u).map(|j| flows[j] * old(j) * bend(gate(1, j))).collect(), sum.clone())
            };
            for j in 0..u {
                for (k, (a, b)) in
                    [(update[j], update[j]), (reset[j], reset[j]), (sum[j], seen[j])].into_iter().enumerate()
                {
                    dz[(step * 3 + k) * u + j] = a;
                    ds[(step * 3 + k) * u + j] = b;
                }
            }
            let mut flows = vec![l.back(row, 0, &update), l.back(row, 1, &reset)];
            if after {
                flows.push(l.back(row, 2, &seen));
            }
            (0..u).for_each(|j| dh[j] = next[j] + flows.iter().map(|f| f[j]).sum::<f64>());
        }
        dh0[row * u..(row + 1) * u].copy_from_slice(&dh);
    }
    vec![dz, ds, dh0]
}

fn activated(kind: &Attr, x: f64) -> f64 {
    match kind.int() {
        0 => x.tanh(),
        1 => x.max(0.0),
        2 => x,
        _ => sigmoid(x),
    }
}

fn slope(kind: &Attr, y: f64) -> f64 {
    match kind.int() {
        0 => 1.0 - y * y,
        1 => f64::from(u8::from(y > 0.0)),
        2 => 1.0,
        _ => bend(y),
    }
}

pub(super) fn simple_there(x: &[Host], attrs: &[Attr]) -> Vec<Vec<f64>> {
    let l = Loop::new(&x[0], &x[1], &x[3], &x[4], attrs[0].flag());
    let u = l.units;
    let (mut y, mut before, mut last) = (l.each(1), l.each(1), l.all());
    for row in 0..l.batch {
        let mut h = l.state(&x[2], row);
        for t in l.order() {
            let step = row * l.steps + t;
            before[step * u..(step + 1) * u].copy_from_slice(&h);
            if l.counts(row, t) {
                let sums = l.sums(row, 0, &h);
                (0..u).for_each(|j| h[j] = activated(&attrs[1], x[0].data[step * u + j] + sums[j]));
            }
            y[step * u..(step + 1) * u].copy_from_slice(&h);
        }
        last[row * u..(row + 1) * u].copy_from_slice(&h);
    }
    vec![y, last, before]
}

pub(super) fn simple_back(x: &[Host], attrs: &[Attr]) -> Vec<Vec<f64>> {
    let l = Loop::new(&x[3], &x[2], &x[4], &x[5], attrs[0].flag());
    let u = l.units;
    let (mut dz, mut dh0) = (l.each(1), l.all());
    for row in 0..l.batch {
        let mut dh = l.state(&x[1], row);
        for t in l.order().into_iter().rev() {
            let step = row * l.steps + t;
            (0..u).for_each(|j| dh[j] += at(&x[0], step * u + j));
            if l.counts(row, t) {
                let part: Vec<f64> =
                    (0..u).map(|j| dh[j] * slope(&attrs[1], x[3].data[step * u + j])).collect();
                dz[step * u..(step + 1) * u].copy_from_slice(&part);
                dh = l.back(row, 0, &part);
            }
        }
        dh0[row * u..(row + 1) * u].copy_from_slice(&dh);
    }
    vec![dz, dh0]
}
