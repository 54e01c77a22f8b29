//! Total effect of every stream on the score of every option: the mean squared change of the score
//! when that stream alone is drawn anew, over twice the variance (Jansen 1999). In f64, plainly:
//! this is asked for once per report.

use super::marginal::{Form, Lane, Prepared, TABLE, TABLE_START, TABLE_STEP};
use super::{BLOCK, Draws, Layout};
use fastnn::pool;
use fastnn::sync::Slot;

/// Sums over one block: `changes[stream or weights][option]`, `first[option]`, `square[option]`.
struct Sums {
    changes: Vec<f64>,
    first: Vec<f64>,
    square: Vec<f64>,
}

pub(super) fn total_effects(layout: &Layout, a: &Draws, b: &Draws, profile: &Prepared) -> Vec<f64> {
    let (o, rows) = (layout.options(), layout.streams() + 1);
    let blocks = a.len().div_ceil(BLOCK);
    let parts: Vec<Slot<Sums>> = (0..blocks).map(|_| Slot::new()).collect();
    pool::run(blocks, &|i| {
        parts[i].set(sums_of(layout, a, b, profile, i));
    });
    let mut total = Sums { changes: vec![0.0; rows * o], first: vec![0.0; o], square: vec![0.0; o] };
    for s in parts.iter().filter_map(Slot::get) {
        for (to, from) in
            [(&mut total.changes, &s.changes), (&mut total.first, &s.first), (&mut total.square, &s.square)]
        {
            to.iter_mut().zip(from).for_each(|(x, y)| *x += y);
        }
    }
    let n = a.len() as f64;
    (0..rows * o)
        .map(|i| {
            let mean = total.first[i % o] / n;
            let variance = total.square[i % o] / n - mean * mean;
            // Below the rounding of the sums there is no variance to share out.
            if variance <= 1e-14 { 0.0 } else { total.changes[i] / n / (2.0 * variance) }
        })
        .collect()
}

fn sums_of(layout: &Layout, a: &Draws, b: &Draws, p: &Prepared, block: usize) -> Sums {
    let (o, groups, streams) = (layout.options(), layout.groups(), layout.streams());
    let mut sums = Sums { changes: vec![0.0; (streams + 1) * o], first: vec![0.0; o], square: vec![0.0; o] };
    let mut group_fits = vec![0.0; groups * o];
    let mut changes = vec![0.0; (streams + 1) * o];
    for d in 0..BLOCK.min(a.len() - block * BLOCK) {
        group_fits.iter_mut().zip(&p.own.base).for_each(|(f, x)| *f = f64::from(*x));
        changes.fill(0.0);
        for (g, range) in p.own.starts.windows(2).enumerate() {
            for lane in &p.own.lanes[range[0]..range[1]] {
                let (old, new) = (input(lane, a, block, d), input(lane, b, block, d));
                let v = &layout.variables()[lane.variable];
                for option in (0..o).filter(|k| v.only.is_none_or(|only| only == *k)) {
                    let [start, before, after] =
                        [v.knots[0], old, new].map(|x| v.weight * v.curve(option, x));
                    group_fits[g * o + option] += before - start;
                    changes[lane.stream * o + option] += f64::from(a.weights(block, g)[d]) * (after - before);
                }
            }
        }
        for option in 0..o {
            let mut score = 0.0;
            for g in 0..groups {
                let (w, other) = (f64::from(a.weights(block, g)[d]), f64::from(b.weights(block, g)[d]));
                score += w * group_fits[g * o + option];
                changes[streams * o + option] += (other - w) * group_fits[g * o + option];
            }
            sums.first[option] += score;
            sums.square[option] += score * score;
        }
        sums.changes.iter_mut().zip(&changes).for_each(|(s, c)| *s += c * c);
    }
    sums
}

/// The input of a lane at one draw, on the scale of its curve.
fn input(lane: &Lane, draws: &Draws, block: usize, d: usize) -> f64 {
    let number = match lane.form.reads_normals() {
        true => draws.normals(block, lane.stream)[d],
        false => draws.uniforms(block, lane.stream)[d],
    };
    let (z, u) = (number, number);
    let x = match &lane.form {
        Form::Normal { a, b } => a + b * z,
        Form::Uniform { a, b } => a + b * u,
        Form::Triangular { split, low, high, p, q } => {
            if u < *split {
                low + (u * p).sqrt()
            } else {
                high - ((1.0 - u).max(0.0) * q).sqrt()
            }
        }
        Form::Table { a, b, knots } => {
            let pos = ((f64::from(z) - TABLE_START) / TABLE_STEP).clamp(0.0, (TABLE - 1) as f64);
            let i = (pos as usize).min(TABLE - 2);
            let t = (pos - i as f64) as f32;
            a + b * (knots[i] + t * (knots[i + 1] - knots[i]))
        }
    };
    f64::from(x.max(lane.low).min(lane.high))
}
