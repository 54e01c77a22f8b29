//! F2. Sorting and selection along an axis. A value and its position are one 64-bit key, so keys
//! are never equal, any sort of them is stable, and the result is the same on every machine.
//! NaN counts as the largest value, -0 equals 0. Depends on the pool and the scratch memory.

use crate::{buffer, pool};

/// Values whose lines one chunk of work takes.
const GRAIN: usize = 4096;
/// Up to this many winners are kept in order while a line is read once.
const FEW: usize = 32;

/// Maps the bits of a value to a number in the order of the values.
pub type Order = fn(u32) -> u32;

/// The order of floats: NaN last, -0 equal to 0.
#[must_use]
pub fn float_order(bits: u32) -> u32 {
    let value = f32::from_bits(bits);
    if value.is_nan() {
        return u32::MAX;
    }
    // The sum turns -0 into 0.
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The order of whole numbers.
#[must_use]
pub fn int_order(bits: u32) -> u32 {
    bits ^ 1 << 31
}

/// Where a kernel reads and writes; results may be null.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// The values, as four bytes each.
    pub src: *const u32,
    /// The chosen values, in order.
    pub values: *mut u32,
    /// Their positions along the axis.
    pub indices: *mut i32,
}

// SAFETY: work items read shared input and write disjoint lines.
unsafe impl Sync for Ends {}

impl Ends {
    /// Writes the winner `key` of the line that begins at `line` to position `to`.
    ///
    /// # Safety
    /// The key's position lies in the line, `to` in the results.
    unsafe fn store(&self, key: u64, line: usize, stride: usize, to: usize) {
        let at = key as u32 as usize;
        if !self.values.is_null() {
            self.values.add(to).write(self.src.add(line + at * stride).read());
        }
        if !self.indices.is_null() {
            self.indices.add(to).write(at as i32);
        }
    }
}

/// Sorts each line of the middle axis of `(outer, n, inner)`, smallest first; equal values keep
/// their order.
///
/// # Safety
/// `src` and the results that are not null cover `outer * n * inner` values; `n` fits an i32.
pub unsafe fn sort(ends: Ends, [outer, n, inner]: [usize; 3], order: Order) {
    pool::run_range(outer * inner, (GRAIN / n.max(1)).max(1), &|lines| {
        let mut scratch = buffer::scratch(2 * n);
        let keys = scratch.as_mut_ptr().cast::<u64>();
        let ends = &ends;
        for line in lines {
            let start = line / inner * n * inner + line % inner;
            // SAFETY: the line lies in `src`; scratch holds n keys, all written before they are read.
            unsafe {
                for i in 0..n {
                    let value = order(ends.src.add(start + i * inner).read());
                    keys.add(i).write(u64::from(value) << 32 | i as u64);
                }
                let keys = std::slice::from_raw_parts_mut(keys, n);
                keys.sort_unstable();
                for (i, &key) in keys.iter().enumerate() {
                    ends.store(key, start, inner, start + i * inner);
                }
            }
        }
    });
}

/// The `k` largest values of each of `rows` lines of `n`, largest first; of equal values the
/// first ones.
///
/// # Safety
/// `src` covers `rows * n` values, results that are not null `rows * k`; `k <= n`, `n` fits an i32.
pub unsafe fn top_k(ends: Ends, rows: usize, n: usize, k: usize, order: Order) {
    if k == 0 {
        return;
    }
    let room = if k <= FEW { k } else { n };
    pool::run_range(rows, (GRAIN / n).max(1), &|lines| {
        let mut scratch = buffer::scratch(2 * room);
        let keys = scratch.as_mut_ptr().cast::<u64>();
        let ends = &ends;
        for line in lines {
            // Largest first: the order reversed, then the position.
            let key = |i: usize| {
                // SAFETY: the line lies in `src`.
                let value = order(unsafe { ends.src.add(line * n + i).read() });
                u64::from(!value) << 32 | i as u64
            };
            // SAFETY: scratch holds `room` keys, and those of the slices are written.
            let winners = unsafe {
                if k <= FEW {
                    (0..k).for_each(|i| keys.add(i).write(key(i)));
                    let winners = std::slice::from_raw_parts_mut(keys, k);
                    winners.sort_unstable();
                    (k..n).for_each(|i| insert(winners, key(i)));
                    winners
                } else {
                    (0..n).for_each(|i| keys.add(i).write(key(i)));
                    let all = std::slice::from_raw_parts_mut(keys, n);
                    if k < n {
                        all.select_nth_unstable(k - 1);
                    }
                    let winners = &mut all[..k];
                    winners.sort_unstable();
                    winners
                }
            };
            for (i, &key) in winners.iter().enumerate() {
                // SAFETY: keys hold positions of this line; the results cover rows * k.
                unsafe { ends.store(key, line * n, 1, line * k + i) };
            }
        }
    });
}

/// Puts a key into a sorted list, of which the last one falls out.
#[inline]
fn insert(sorted: &mut [u64], key: u64) {
    let mut at = sorted.len() - 1;
    if key >= sorted[at] {
        return;
    }
    while at > 0 && sorted[at - 1] > key {
        sorted[at] = sorted[at - 1];
        at -= 1;
    }
    sorted[at] = key;
}
