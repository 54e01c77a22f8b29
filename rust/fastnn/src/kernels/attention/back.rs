//! F2. The backward pass: weights are computed again, block of keys by block of keys.

use super::{Attention, Part, kept, pack_keys, rows_at, score};
use crate::buffer::scratch;
use crate::kernels::gemm::tile::{MAX_ROWS, Micro};
use crate::per_isa;
use crate::pool;
use crate::simd::math::exp;
use crate::simd::{Isa, LANES, Simd};

/// Keys of a block: one panel on the widest instruction set.
const KEYS: usize = 64;
/// Queries whose weights with a block of keys are held at a time.
const QUERIES: usize = 96;

/// What comes in and what goes out; gradients that nobody reads are null.
#[derive(Debug, Clone, Copy)]
pub struct Grads {
    /// The gradient of the outputs.
    pub dout: *const f32,
    /// The outputs.
    pub out: *const f32,
    /// The logarithms of sums.
    pub lse: *const f32,
    /// As `q`.
    pub dq: *mut f32,
    /// As `k`.
    pub dk: *mut f32,
    /// As `v`.
    pub dv: *mut f32,
}

// SAFETY: tasks write disjoint heads.
unsafe impl Sync for Grads {}

/// The gradients of a call by queries, keys and values, on all threads.
///
/// # Safety
/// As for the forward pass.
pub unsafe fn attention_grad(isa: Isa, call: &Attention, grads: &Grads) {
    let kernel = task(isa);
    pool::run(call.batch * call.groups, &|i| {
        // SAFETY: the caller vouches for the call; tasks are disjoint.
        unsafe { kernel(isa, call, grads, [i / call.groups, i % call.groups]) };
    });
}

per_isa!(
    fn task(isa: Isa, call: &Attention, grads: &Grads, at: [usize; 2]) = task_generic
);

#[inline(always)]
unsafe fn task_generic<S: Simd>(isa: Isa, call: &Attention, grads: &Grads, [batch, group]: [usize; 2]) {
    let micro = Micro::of(isa);
    let (d, e, t) = (call.width, call.value_width, call.queries);
    let share = call.heads / call.groups;
    let heads = group * share..(group + 1) * share;
    let (dpad, epad) = (d.next_multiple_of(LANES), e.next_multiple_of(LANES));
    let floats = KEYS * (d + e + dpad + epad) + (2 * QUERIES + 1) * KEYS + share * t;
    let mut room = scratch(floats);
    let mut at = room.as_mut_ptr();
    let mut take = |n: usize| {
        let from = at;
        at = at.add(n);
        from
    };
    let (kt, vt) = (take(KEYS * d), take(KEYS * e));
    let (dk, dv) = (take(KEYS * dpad), take(KEYS * epad));
    let (weights, flows, drops) = (take(QUERIES * KEYS), take(QUERIES * KEYS), take(KEYS));
    let inner = take(share * t);
    for (i, head) in heads.clone().enumerate() {
        for query in 0..t {
            let at = call.out_at(batch, query, head);
            inner.add(i * t + query).write(dot::<S>(grads.dout.add(at), grads.out.add(at), e));
            if !grads.dq.is_null() {
                std::ptr::write_bytes(grads.dq.add(call.q_at(batch, query, head)), 0, d);
            }
        }
    }
    let last = if t == 0 { 0 } else { call.seen(batch, t - 1) };
    for key in (0..call.keys).step_by(KEYS) {
        pool::give_up_if_interrupted();
        let whole = KEYS.min(call.keys - key);
        let keys = last.saturating_sub(key).min(KEYS);
        std::ptr::write_bytes(dk, 0, KEYS * dpad);
        std::ptr::write_bytes(dv, 0, KEYS * epad);
        if keys > 0 {
            let k = call.k.add(call.k_at(batch, key, group));
            let v = call.v.add(call.v_at(batch, key, group));
            pack_keys(isa, micro, k, call.k_step(), d, keys, kt);
            pack_keys(isa, micro, v, call.v_step(), e, keys, vt);
            for (i, head) in heads.clone().enumerate() {
                for first in (0..t).step_by(QUERIES) {
                    let count = QUERIES.min(t - first);
                    if call.seen(batch, first + count - 1) <= key {
                        continue;
                    }
                    let block = Block { call, grads, at: [batch, head], key, keys, first, count };
                    block.weights::<S>(isa, micro, [kt, vt], inner.add(i * t), [weights, flows, drops]);
                    block.pull(micro, k, [weights, flows], [dk, dv]);
                }
            }
        }
        for r in 0..whole {
            if !grads.dk.is_null() {
                let to = grads.dk.add(call.k_at(batch, key + r, group));
                std::ptr::copy_nonoverlapping(dk.add(r * dpad), to, d);
            }
            if !grads.dv.is_null() {
                let to = grads.dv.add(call.v_at(batch, key + r, group));
                std::ptr::copy_nonoverlapping(dv.add(r * epad), to, e);
            }
        }
    }
}

#[inline(always)]
unsafe fn dot<S: Simd>(a: *const f32, b: *const f32, n: usize) -> f32 {
    let get = |p: *const f32, n: usize| if n == LANES { S::load(p) } else { S::load_n(p, n) };
    let mut sum = S::splat(0.0);
    for at in (0..n).step_by(LANES) {
        let n = LANES.min(n - at);
        sum = S::fma(get(a.add(at), n), get(b.add(at), n), sum);
    }
    S::sum(sum)
}

/// Some queries of a head beside a block of keys.
struct Block<'a> {
    call: &'a Attention,
    grads: &'a Grads,
    at: [usize; 2],
    key: usize,
    keys: usize,
    first: usize,
    count: usize,
}

impl Block<'_> {
    /// How many of the keys the queries up to `query` see.
    unsafe fn seen(&self, query: usize) -> usize {
        self.call.seen(self.at[0], query).saturating_sub(self.key).min(self.keys)
    }

    /// The weights as values saw them, and the gradients of scaled products.
    #[inline(always)]
    unsafe fn weights<S: Simd>(
        &self,
        isa: Isa,
        micro: &Micro,
        [kt, vt]: [*mut f32; 2],
        inner: *const f32,
        [weights, flows, drops]: [*mut f32; 3],
    ) {
        let (call, [batch, head]) = (self.call, self.at);
        for row in (0..self.count).step_by(micro.mr) {
            let rows = micro.mr.min(self.count - row);
            let most = self.seen(self.first + row + rows - 1);
            let (raw, flow) = (weights.add(row * KEYS), flows.add(row * KEYS));
            if most == 0 {
                std::ptr::write_bytes(raw, 0, rows * KEYS);
                std::ptr::write_bytes(flow, 0, rows * KEYS);
                continue;
            }
            let q = call.q.add(call.q_at(batch, self.first + row, head));
            let dout = self.grads.dout.add(call.out_at(batch, self.first + row, head));
            let part = |rows: &[*const f32], b: *const f32, k: usize, c: *mut f32| {
                Part {
                    rows,
                    a_step: 1,
                    b,
                    b_step: 0,
                    packed: true,
                    k,
                    cols: most.next_multiple_of(LANES),
                    c,
                    ldc: KEYS,
                    accumulate: false,
                }
                .run(micro);
            };
            part(&rows_at(q, call.q_step(), rows)[..rows], kt, call.width, raw);
            part(&rows_at(dout, call.out_step(), rows)[..rows], vt, call.value_width, flow);
            for r in 0..rows {
                let query = self.first + row + r;
                let (raw, flow) = (raw.add(r * KEYS), flow.add(r * KEYS));
                let (at, seen) = ([batch, head, query], self.seen(query));
                let lse = *self.grads.lse.add((batch * call.heads + head) * call.queries + query);
                let (lse, away) = (S::splat(lse), S::splat(*inner.add(query)));
                kept(isa, call, at, self.key, seen, drops);
                let (hidden, zero) = (S::splat(f32::NEG_INFINITY), S::splat(0.0));
                for v in (0..KEYS).step_by(LANES) {
                    let n = seen.saturating_sub(v).min(LANES);
                    if n == 0 {
                        S::store(raw.add(v), zero);
                        S::store(flow.add(v), zero);
                        continue;
                    }
                    let s = score::<S>(call, at, self.key + v, n, raw.add(v));
                    let none = S::eq(s, hidden);
                    let p = S::select(none, zero, exp::<S>(S::sub(s, lse)));
                    let mut dp = S::load(flow.add(v));
                    let mut used = p;
                    if call.dropped.is_some() {
                        let factor =
                            if n == LANES { S::load(drops.add(v)) } else { S::load_n(drops.add(v), n) };
                        dp = S::mul(dp, factor);
                        used = S::mul(p, factor);
                    }
                    let ds = S::mul(S::mul(p, S::sub(dp, away)), S::splat(call.scale));
                    S::store(raw.add(v), used);
                    S::store(flow.add(v), S::select(none, zero, ds));
                }
            }
        }
    }

    /// What flows into queries, keys and values.
    unsafe fn pull(
        &self,
        micro: &Micro,
        k: *const f32,
        [weights, flows]: [*mut f32; 2],
        [dk, dv]: [*mut f32; 2],
    ) {
        let (call, [batch, head]) = (self.call, self.at);
        let (d, e) = (call.width, call.value_width);
        if !self.grads.dq.is_null() {
            for row in (0..self.count).step_by(micro.mr) {
                let rows = micro.mr.min(self.count - row);
                let most = self.seen(self.first + row + rows - 1);
                if most > 0 {
                    Part {
                        rows: &rows_at(flows.add(row * KEYS), KEYS, rows)[..rows],
                        a_step: 1,
                        b: k,
                        b_step: call.k_step(),
                        packed: false,
                        k: most,
                        cols: d,
                        c: self.grads.dq.add(call.q_at(batch, self.first + row, head)),
                        ldc: call.q_step(),
                        accumulate: true,
                    }
                    .run(micro);
                }
            }
        }
        // Queries before the first that sees one of the keys would add zeros.
        let mut blind = 0;
        while blind < self.count && self.seen(self.first + blind) == 0 {
            blind += 1;
        }
        let q = call.q.add(call.q_at(batch, self.first + blind, head));
        let dout = self.grads.dout.add(call.out_at(batch, self.first + blind, head));
        let [weights, flows] = [weights.add(blind * KEYS), flows.add(blind * KEYS)];
        let sides = [
            (self.grads.dv.is_null(), weights, dout, call.out_step(), e, dv),
            (self.grads.dk.is_null(), flows, q, call.q_step(), d, dk),
        ];
        for (unread, from, b, b_step, cols, to) in sides {
            let pad = cols.next_multiple_of(LANES);
            for row in (0..if unread { 0 } else { self.keys }).step_by(micro.mr) {
                let rows = micro.mr.min(self.keys - row);
                Part {
                    rows: &rows_at(from.add(row), 1, rows)[..rows],
                    a_step: KEYS,
                    b,
                    b_step,
                    packed: false,
                    k: self.count - blind,
                    cols,
                    c: to.add(row * pad),
                    ldc: pad,
                    accumulate: true,
                }
                .run(micro);
            }
        }
    }
}

const _: () = assert!(MAX_ROWS <= QUERIES);
