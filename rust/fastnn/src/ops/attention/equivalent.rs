//! Attention by rows that hold the matrix of weights: what derivatives are taken through that its own
//! rule leaves out (by the bias, and second ones). All results of the row, in order.

use super::sizes;
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Attr, Graph, Id};
use crate::ops::build::Build;
use crate::ops::random::DROPOUT;
use crate::shape::Shape;

/// Heads before steps, and a head of keys or values for each head of queries.
fn by_head(g: &mut Graph, x: Id, heads: Dim) -> Result<Id> {
    let x = g.transpose(x, &[0, 2, 1, 3]);
    let dims = g.shape_of(x).dims().to_vec();
    let Some(share) = heads.known().zip(dims[1].known()).map(|(h, n)| h / n.max(1)).filter(|&s| s != 1)
    else {
        return Ok(x);
    };
    let wide = Shape::new(&[dims[0], dims[1], Dim::new(share), dims[2], dims[3]])?;
    let split = g.expand_dims(x, 2);
    let split = g.broadcast_to(split, &wide);
    Ok(g.reshape_to(split, &Shape::new(&[dims[0], heads, dims[2], dims[3]])?))
}

/// Gradients by head as those of heads that may be shared.
fn shared(g: &mut Graph, x: Id, like: Id) -> Result<Id> {
    let (from, to) = (g.shape_of(x).dims().to_vec(), g.shape_of(like).dims().to_vec());
    let mut x = x;
    if let Some(share) = from[1].known().zip(to[2].known()).map(|(h, n)| h / n.max(1)).filter(|&s| s != 1) {
        let split = Shape::new(&[from[0], to[2], Dim::new(share), from[2], from[3]])?;
        let parts = g.reshape_to(x, &split);
        x = g.sum(parts, &[2], false);
    }
    Ok(g.transpose(x, &[0, 2, 1, 3]))
}

/// Scores with -inf where a key is not seen, from queries and keys by head.
fn scores(g: &mut Graph, q: Id, k: Id, x: &[Id], attrs: &[Attr]) -> Result<(Id, Id)> {
    let types = g.types(x);
    let weights = sizes("attention", &types, attrs)?.weights;
    let shape = Shape::new(&weights)?;
    let raw = g.matmul(q, k, false, true);
    let scaled = g.mul_scalar(raw, attrs[0].float());
    let s = g.add_(scaled, x[3]);
    let places = g.iota(weights[3]);
    let column = |g: &mut Graph, x: Id| match g.shape_of(x).rank() {
        0 => x,
        _ => g.reshape(x, &[-1, 1, 1, 1]),
    };
    let ends = column(g, x[5]);
    let ends = g.broadcast_to(ends, &Shape::new(&[weights[0], Dim::ONE, Dim::ONE, Dim::ONE])?);
    let mut seen = g.less(places, ends);
    if attrs[1].flag() {
        let own = g.iota(weights[2]);
        let own = g.expand_dims(own, -1);
        let start = column(g, x[6]);
        let last = g.add_(own, start);
        let before = g.less_equal(places, last);
        seen = g.build(&crate::ops::compare::LOGICAL_AND, &[seen, before], &[]);
    }
    let seen = g.build(&crate::ops::compare::LOGICAL_AND, &[seen, x[4]], &[]);
    let seen = g.broadcast_to(seen, &shape);
    let hidden = g.number(f64::NEG_INFINITY);
    Ok((g.where_(seen, s, hidden), seen))
}

fn dropped(g: &mut Graph, x: Id, key: Id, attrs: &[Attr]) -> Id {
    g.build(&DROPOUT, &[x, key], &attrs[2..4])
}

pub(super) fn there(g: &mut Graph, x: &[Id], attrs: &[Attr]) -> Result<Vec<Id>> {
    let heads = g.shape_of(x[0]).dims()[2];
    let (q, k, v) = (by_head(g, x[0], heads)?, by_head(g, x[1], heads)?, by_head(g, x[2], heads)?);
    let (s, _) = scores(g, q, k, x, attrs)?;
    let none = g.number(f64::NEG_INFINITY);
    let (zero, one) = (g.number(0.0), g.number(1.0));
    // Where there are no keys at all, too, something is the largest.
    let mut floor = g.shape_of(s).dims().to_vec();
    floor[3] = Dim::ONE;
    let floor = g.broadcast_to(none, &Shape::new(&floor)?);
    let some = g.build(&crate::ops::movement::CONCATENATE, &[s, floor], &[Attr::Int(-1)]);
    let top = g.max(some, &[-1], true);
    let top = g.stop_gradient(top);
    let empty = g.equal(top, none);
    let top = g.where_(empty, zero, top);
    let level = g.sub(s, top);
    let e = g.exp(level);
    let sum = g.sum(e, &[-1], true);
    let safe = g.where_(empty, one, sum);
    let p = g.div(e, safe);
    let p = dropped(g, p, x[7], attrs);
    let out = g.matmul(p, v, false, false);
    let out = g.transpose(out, &[0, 2, 1, 3]);
    let log = g.log(safe);
    let lse = g.add_(log, top);
    let lse = g.where_(empty, none, lse);
    let dims = g.shape_of(lse).dims()[..3].to_vec();
    let lse = g.reshape_to(lse, &Shape::new(&dims)?);
    Ok(vec![out, lse])
}

pub(super) fn back(g: &mut Graph, x: &[Id], attrs: &[Attr]) -> Result<Vec<Id>> {
    let operands = &x[1..9];
    let heads = g.shape_of(x[1]).dims()[2];
    let (q, k, v) = (by_head(g, x[1], heads)?, by_head(g, x[2], heads)?, by_head(g, x[3], heads)?);
    let dout = g.transpose(x[0], &[0, 2, 1, 3]);
    let out = g.transpose(x[9], &[0, 2, 1, 3]);
    let (s, seen) = scores(g, q, k, operands, attrs)?;
    let zero = g.number(0.0);
    let none = g.number(f64::NEG_INFINITY);
    let lse = g.expand_dims(x[10], -1);
    let empty = g.equal(lse, none);
    let lse = g.where_(empty, zero, lse);
    let level = g.sub(s, lse);
    let level = g.where_(seen, level, zero);
    let e = g.exp(level);
    let p = g.where_(seen, e, zero);
    let product = g.mul(dout, out);
    let inner = g.sum(product, &[-1], true);
    let dp = g.matmul(dout, v, false, true);
    let dp = dropped(g, dp, x[8], attrs);
    let away = g.sub(dp, inner);
    let ds = g.mul(p, away);
    let ds = g.mul_scalar(ds, attrs[0].float());
    let used = dropped(g, p, x[8], attrs);
    let dq = g.matmul(ds, k, false, false);
    let dq = g.transpose(dq, &[0, 2, 1, 3]);
    let dk = g.matmul(ds, q, true, false);
    let dv = g.matmul(used, dout, true, false);
    Ok(vec![dq, shared(g, dk, x[2])?, shared(g, dv, x[3])?])
}
