//! F2. The way there: outputs and the logarithms of sums.

use super::{Attention, Part, kept, pack_keys, rows_at, score};
use crate::buffer::scratch;
use crate::kernels::gemm::tile::{MAX_ROWS, Micro};
use crate::per_isa;
use crate::pool;
use crate::simd::math::{exp, log};
use crate::simd::{Isa, LANES, Simd};

/// Keys of a block: a tile of scores stays in L1, and what a row costs beside them is paid seldom.
const KEYS: usize = 256;
/// Queries of a task: enough to make use of a block of keys once it is packed.
const QUERIES: usize = 192;
/// Below this many queries keys are read where they lie.
const FEW: usize = 4;

/// Results of a call; either may be null.
#[derive(Debug, Clone, Copy)]
struct Results {
    out: *mut f32,
    lse: *mut f32,
}

// SAFETY: operands are only read.
unsafe impl Sync for Attention {}
// SAFETY: tasks write the rows of disjoint queries and heads.
unsafe impl Sync for Results {}

/// Weighted means of values, `batch x queries x heads x value_width`, and the logarithms of the sums
/// of weights before they are divided, `batch x heads x queries`. A query that sees no key gives 0
/// and -inf. Runs on all threads.
///
/// # Safety
/// The pointers cover what the call says, results are null or cover theirs and overlap nothing,
/// and the processor has `isa`.
pub unsafe fn attention(isa: Isa, call: &Attention, out: *mut f32, lse: *mut f32) {
    let results = Results { out, lse };
    let blocks = call.queries.div_ceil(QUERIES);
    let kernel = task(isa);
    pool::run(call.batch * call.heads * blocks, &|i| {
        let (pair, block) = (i / blocks, i % blocks);
        let at = [pair / call.heads, pair % call.heads];
        let (from, to) = (block * call.queries / blocks, (block + 1) * call.queries / blocks);
        // SAFETY: the caller vouches for the call; tasks are disjoint.
        unsafe { kernel(isa, call, &results, at, [from, to]) };
    });
}

per_isa!(
    fn task(isa: Isa, call: &Attention, results: &Results, at: [usize; 2], range: [usize; 2]) = task_generic
);

/// One row of queries as it goes.
#[derive(Clone, Copy)]
struct Row {
    most: f32,
    sum: f32,
}

#[inline(always)]
unsafe fn task_generic<S: Simd>(
    isa: Isa,
    call: &Attention,
    results: &Results,
    [batch, head]: [usize; 2],
    [from, to]: [usize; 2],
) {
    let micro = Micro::of(isa);
    let (d, e, count) = (call.width, call.value_width, to - from);
    let group = call.group_of(head);
    let pad = e.next_multiple_of(LANES);
    let mut room = scratch(KEYS * d + MAX_ROWS * KEYS + KEYS + count * pad);
    let packed = room.as_mut_ptr();
    let scores = packed.add(KEYS * d);
    let drops = scores.add(MAX_ROWS * KEYS);
    let sums = drops.add(KEYS);
    let mut state = [Row { most: f32::NEG_INFINITY, sum: 0.0 }; QUERIES];
    let last = call.seen(batch, to - 1);
    let wanted = !results.out.is_null();
    for key in (0..last).step_by(KEYS) {
        pool::give_up_if_interrupted();
        let keys = KEYS.min(last - key);
        let k = call.k.add(call.k_at(batch, key, group));
        let v = call.v.add(call.v_at(batch, key, group));
        if count >= FEW {
            pack_keys(isa, micro, k, call.k_step(), d, keys, packed);
        }
        for row in (0..count).step_by(micro.mr) {
            let rows = micro.mr.min(count - row);
            let most = call.seen(batch, from + row + rows - 1).saturating_sub(key).min(keys);
            if most == 0 {
                continue;
            }
            let q = call.q.add(call.q_at(batch, from + row, head));
            if count >= FEW {
                Part {
                    rows: &rows_at(q, call.q_step(), rows)[..rows],
                    a_step: 1,
                    b: packed,
                    b_step: 0,
                    packed: true,
                    k: d,
                    cols: most.next_multiple_of(LANES),
                    c: scores,
                    ldc: KEYS,
                    accumulate: false,
                }
                .run(micro);
            } else {
                for r in 0..rows {
                    dots::<S>(q.add(r * call.q_step()), k, call.k_step(), d, most, scores.add(r * KEYS));
                }
            }
            for r in 0..rows {
                let at = [batch, head, from + row + r];
                let seen = call.seen(batch, at[2]).saturating_sub(key).min(keys);
                let raw = scores.add(r * KEYS);
                let factor = weigh::<S>(call, at, key, [seen, most], &mut state[row + r], raw);
                if call.dropped.is_some() {
                    kept(isa, call, at, key, seen, drops);
                    for v in (0..seen).step_by(LANES) {
                        // Behind the last key weights are 0, whatever they are multiplied by.
                        let n = LANES.min(seen - v);
                        let factor =
                            if n == LANES { S::load(drops.add(v)) } else { S::load_n(drops.add(v), n) };
                        S::store(raw.add(v), S::mul(S::load(raw.add(v)), factor));
                    }
                }
                if factor != 1.0 {
                    let factor = S::splat(factor);
                    for col in (0..pad).step_by(LANES) {
                        let at = sums.add((row + r) * pad + col);
                        S::store(at, S::mul(S::load(at), factor));
                    }
                }
            }
            if wanted {
                Part {
                    rows: &rows_at(scores, KEYS, rows)[..rows],
                    a_step: 1,
                    b: v,
                    b_step: call.v_step(),
                    packed: false,
                    k: most,
                    cols: e,
                    c: sums.add(row * pad),
                    ldc: pad,
                    accumulate: key > 0,
                }
                .run(micro);
            }
        }
    }
    for r in 0..count {
        let Row { most, sum } = state[r];
        let query = from + r;
        if !results.lse.is_null() {
            let mut lse = f32::NEG_INFINITY;
            if sum != 0.0 {
                S::store_n(&raw mut lse, S::add(S::splat(most), log::<S>(S::splat(sum))), 1);
            }
            results.lse.add((batch * call.heads + head) * call.queries + query).write(lse);
        }
        if wanted {
            let to = results.out.add(call.out_at(batch, query, head));
            let (sum, none) = (S::splat(sum), sum == 0.0);
            for col in (0..e).step_by(LANES) {
                let n = LANES.min(e - col);
                let total = S::load(sums.add(r * pad + col));
                let mean = if none { S::splat(0.0) } else { S::div(total, sum) };
                if n == LANES { S::store(to.add(col), mean) } else { S::store_n(to.add(col), mean, n) }
            }
        }
    }
}

/// Products of a query with keys where they lie.
#[inline(always)]
unsafe fn dots<S: Simd>(q: *const f32, k: *const f32, step: usize, d: usize, keys: usize, dst: *mut f32) {
    let get = |p: *const f32, n: usize| if n == LANES { S::load(p) } else { S::load_n(p, n) };
    for key in (0..keys).step_by(4) {
        let mut sums = [S::splat(0.0); 4];
        // The last ones again rather than ones that are not there.
        let rows: [*const f32; 4] = std::array::from_fn(|i| k.wrapping_add((key + i).min(keys - 1) * step));
        for at in (0..d).step_by(LANES) {
            let n = LANES.min(d - at);
            let x = get(q.add(at), n);
            for i in 0..4 {
                sums[i] = S::fma(x, get(rows[i].add(at), n), sums[i]);
            }
        }
        for i in 0..4 {
            dst.add(key + i).write(S::sum(sums[i]));
        }
    }
}

/// Turns products at `raw` into weights, 0 from `seen` up to `most` of them, and takes them into the
/// row; gives the factor of what the row has summed so far.
#[inline(always)]
unsafe fn weigh<S: Simd>(
    call: &Attention,
    at: [usize; 3],
    key: usize,
    [seen, most]: [usize; 2],
    row: &mut Row,
    raw: *mut f32,
) -> f32 {
    let mut tops = [S::splat(f32::NEG_INFINITY); 2];
    for v in (0..seen).step_by(LANES) {
        let x = score::<S>(call, at, key + v, LANES.min(seen - v), raw.add(v));
        S::store(raw.add(v), x);
        tops[v / LANES % 2] = S::max(tops[v / LANES % 2], x);
    }
    for v in (seen.next_multiple_of(LANES)..most).step_by(LANES) {
        S::store(raw.add(v), S::splat(0.0));
    }
    let top = S::max_lane(S::max(tops[0], tops[1]));
    let mut level = if top > row.most || top.is_nan() { top } else { row.most };
    // `max` may lose NaN; where anything else was seen, the sum shows it.
    if level == f32::NEG_INFINITY && (0..seen).step_by(LANES).any(|v| S::any(S::is_nan(S::load(raw.add(v)))))
    {
        level = f32::NAN;
    }
    if level == f32::NEG_INFINITY {
        for v in (0..seen).step_by(LANES) {
            S::store(raw.add(v), S::splat(0.0));
        }
        return 1.0;
    }
    let mut factor = 1.0f32;
    if level != row.most && row.sum != 0.0 {
        S::store_n(&raw mut factor, exp::<S>(S::splat(row.most - level)), 1);
    }
    let mut totals = [S::splat(0.0); 2];
    for v in (0..seen).step_by(LANES) {
        let p = exp::<S>(S::sub(S::load(raw.add(v)), S::splat(level)));
        S::store(raw.add(v), p);
        totals[v / LANES % 2] = S::add(totals[v / LANES % 2], p);
    }
    row.sum = row.sum * factor + S::sum(S::add(totals[0], totals[1]));
    row.most = level;
    factor
}
