//! Attention by plain loops in f64.

use crate::graph::{Attr, Host, Ty};
use crate::ops::random::{RANDOM_UNIFORM, scale as kept_scale};
use crate::shape::Shape;

/// Sizes and operands, from `q` on.
struct Call<'a> {
    x: &'a [Host],
    attrs: &'a [Attr],
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    groups: usize,
    width: usize,
    values: usize,
    /// What weights are multiplied by before values see them.
    kept: Vec<f64>,
}

impl<'a> Call<'a> {
    fn new(x: &'a [Host], attrs: &'a [Attr]) -> Call<'a> {
        let (q, k, v) = (x[0].ty.shape.sizes(), x[1].ty.shape.sizes(), x[2].ty.shape.sizes());
        let rate = attrs[2].float();
        let count = q[0] * q[2] * q[1] * k[1];
        let mut kept = vec![1.0; count];
        if rate > 0.0 {
            let ty = Ty::f32(Shape::new(&[count]).unwrap_or(Shape::scalar()));
            let draw = (RANDOM_UNIFORM.reference)(&x[7..8], &[Attr::None, attrs[3].clone()], ty);
            for (factor, u) in kept.iter_mut().zip(draw.data) {
                *factor = if u >= rate { kept_scale(rate) } else { 0.0 };
            }
        }
        Call {
            x,
            attrs,
            batch: q[0],
            queries: q[1],
            keys: k[1],
            heads: q[2],
            groups: k[2],
            width: q[3],
            values: v[3],
            kept,
        }
    }

    fn q_at(&self, b: usize, t: usize, h: usize) -> usize {
        ((b * self.queries + t) * self.heads + h) * self.width
    }

    fn out_at(&self, b: usize, t: usize, h: usize) -> usize {
        ((b * self.queries + t) * self.heads + h) * self.values
    }

    fn k_at(&self, b: usize, s: usize, h: usize, width: usize) -> usize {
        ((b * self.keys + s) * self.groups + h / (self.heads / self.groups)) * width
    }

    fn lse_at(&self, b: usize, h: usize, t: usize) -> usize {
        (b * self.heads + h) * self.queries + t
    }

    fn beside(&self, x: &Host, at: [usize; 4]) -> f64 {
        if x.ty.shape.rank() == 0 {
            return x.data[0];
        }
        let flat =
            x.ty.shape.sizes().iter().zip(at).fold(0, |flat, (&n, i)| flat * n + if n == 1 { 0 } else { i });
        x.data[flat]
    }

    fn count(&self, x: &Host, b: usize) -> f64 {
        if x.ty.shape.rank() == 0 { x.data[0] } else { x.data[b] }
    }

    /// The score of a key, `None` where it is not seen.
    fn score(&self, b: usize, h: usize, t: usize, s: usize) -> Option<f64> {
        let causal = self.attrs[1].flag() && s as f64 > self.count(&self.x[6], b) + t as f64;
        let hidden = self.beside(&self.x[4], [b, h, t, s]) == 0.0;
        if causal || hidden || s as f64 >= self.count(&self.x[5], b) {
            return None;
        }
        let (q, k) = (self.q_at(b, t, h), self.k_at(b, s, h, self.width));
        let dot: f64 = (0..self.width).map(|i| self.x[0].data[q + i] * self.x[1].data[k + i]).sum();
        Some(dot * self.attrs[0].float() + self.beside(&self.x[3], [b, h, t, s]))
    }

    /// Calls `f` for each row of weights.
    fn each(&self, mut f: impl FnMut(usize, usize, usize)) {
        for b in 0..self.batch {
            for h in 0..self.heads {
                (0..self.queries).for_each(|t| f(b, h, t));
            }
        }
    }
}

pub(super) fn there(x: &[Host], attrs: &[Attr]) -> Vec<Vec<f64>> {
    let c = Call::new(x, attrs);
    let mut out = vec![0.0; c.batch * c.queries * c.heads * c.values];
    let mut lse = vec![f64::NEG_INFINITY; c.batch * c.heads * c.queries];
    c.each(|b, h, t| {
        let scores: Vec<Option<f64>> = (0..c.keys).map(|s| c.score(b, h, t, s)).collect();
        let top = scores.iter().flatten().fold(f64::NEG_INFINITY, |m, &s| m.max(s));
        if top == f64::NEG_INFINITY {
            return;
        }
        let sum: f64 = scores.iter().flatten().map(|s| (s - top).exp()).sum();
        lse[c.lse_at(b, h, t)] = top + sum.ln();
        for (s, score) in scores.iter().enumerate() {
            let Some(score) = score else { continue };
            let p = (score - top).exp() / sum * c.kept[c.lse_at(b, h, t) * c.keys + s];
            let (to, from) = (c.out_at(b, t, h), c.k_at(b, s, h, c.values));
            (0..c.values).for_each(|i| out[to + i] += p * x[2].data[from + i]);
        }
    });
    vec![out, lse]
}

pub(super) fn back(x: &[Host], attrs: &[Attr]) -> Vec<Vec<f64>> {
    let c = Call::new(&x[1..9], attrs);
    let (dout, out, lse) = (&x[0].data, &x[9].data, &x[10].data);
    let (q, k, v) = (&x[1].data, &x[2].data, &x[3].data);
    let (mut dq, mut dk, mut dv) = (vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]);
    c.each(|b, h, t| {
        let at = c.out_at(b, t, h);
        let inner: f64 = (0..c.values).map(|i| dout[at + i] * out[at + i]).sum();
        for s in 0..c.keys {
            let Some(score) = c.score(b, h, t, s).filter(|s| *s != f64::NEG_INFINITY) else { continue };
            let p = (score - lse[c.lse_at(b, h, t)]).exp();
            let kept = c.kept[c.lse_at(b, h, t) * c.keys + s];
            let (from, value) = (c.k_at(b, s, h, c.width), c.k_at(b, s, h, c.values));
            let dp: f64 = (0..c.values).map(|i| dout[at + i] * v[value + i]).sum();
            let ds = p * (dp * kept - inner) * attrs[0].float();
            let own = c.q_at(b, t, h);
            for i in 0..c.width {
                dq[own + i] += ds * k[from + i];
                dk[from + i] += ds * q[own + i];
            }
            (0..c.values).for_each(|i| dv[value + i] += p * kept * dout[at + i]);
        }
    });
    vec![dq, dk, dv]
}
