//! A number that tells contents of memory apart: what differs in a single place always differs in it,
//! and what differs otherwise but once in 2^32 times or more. It guards against mistakes, not against
//! somebody who looks for two contents with the same number.

use crate::simd::{LANES, Simd, isa};

/// Bytes of a step: four vectors, so that their products overlap.
const STEP: usize = 4 * LANES * 4;
/// What each lane is multiplied by at a step; odd, so that nothing is lost.
const FACTOR: i32 = 0x9E37_79B1_u32 as i32;

/// The digest of `n` bytes, the same on every instruction set.
///
/// # Safety
/// The bytes can be read.
#[must_use]
pub unsafe fn digest(bytes: *const u8, n: usize) -> u64 {
    let mut lanes = [0; STEP / 4];
    let whole = n / STEP;
    steps(isa())(lanes.as_mut_ptr(), bytes, whole);
    let mut rest = [0; STEP];
    std::ptr::copy_nonoverlapping(bytes.add(whole * STEP), rest.as_mut_ptr(), n - whole * STEP);
    steps(isa())(lanes.as_mut_ptr(), rest.as_ptr(), 1);
    lanes.iter().fold(n as u64, |all, &lane| mixed(all ^ u64::from(lane as u32)))
}

/// A one-to-one shuffling of bits.
fn mixed(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

crate::per_isa!(fn steps(lanes: *mut i32, bytes: *const u8, count: usize) = steps_generic);

#[inline(always)]
unsafe fn steps_generic<S: Simd>(lanes: *mut i32, bytes: *const u8, count: usize) {
    let factor = S::splat_i(FACTOR);
    let mut sums = [0, 1, 2, 3].map(|k| S::load_i(lanes.add(k * LANES)));
    for step in 0..count {
        let words = bytes.add(step * STEP).cast::<i32>();
        for (k, sum) in sums.iter_mut().enumerate() {
            *sum = S::add_i(S::mul_i(*sum, factor), S::load_i(words.add(k * LANES)));
        }
    }
    for (k, sum) in sums.into_iter().enumerate() {
        S::store_i(lanes.add(k * LANES), sum);
    }
}
