//! F2. Random numbers from Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as
//! easy as 1, 2, 3", SC 2011): a counter cipher, so value `i` of a stream depends on the key, the
//! stream and `i` alone and any chunking gives the same numbers. Sixteen blocks are computed at a
//! time; a group of 64 values is the first words of 16 blocks, then the second words, and so on.
//! Depends on `simd` and the pool.

use crate::pool;
use crate::simd::{Isa, LANES, Simd, isa, math};

/// The key and the upper half of the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The seed.
    pub seed: u64,
    /// Which use of the seed: an op of the program.
    pub stream: u32,
    /// Which step of the training run.
    pub step: u32,
}

/// Values of one group: 16 Philox blocks of 4 words.
pub const GROUP: usize = 4 * LANES;
const INLINE: usize = 8192;

const MUL: [i32; 2] = [0xd251_1f53_u32 as i32, 0xcd9e_8d57_u32 as i32];
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];

/// Philox4x32-10 at sixteen counters, one in each lane, for kernels that make numbers of their own
/// inside a [`per_isa!`](crate::per_isa) function.
///
/// # Safety
/// The processor has the instruction set of `S`.
#[inline(always)]
pub unsafe fn philox<S: Simd>(counter: [S::I; 4], key: [u32; 2]) -> [S::I; 4] {
    let [mut a, mut b, mut c, mut d] = counter;
    let [mut k, mut l] = key;
    let (first, second) = (S::splat_i(MUL[0]), S::splat_i(MUL[1]));
    for _ in 0..10 {
        let (low, high) = S::mul_wide_u(a, first);
        let (low2, high2) = S::mul_wide_u(c, second);
        a = S::xor_i(S::xor_i(high2, b), S::splat_i(k as i32));
        c = S::xor_i(S::xor_i(high, d), S::splat_i(l as i32));
        b = low2;
        d = low;
        k = k.wrapping_add(WEYL[0]);
        l = l.wrapping_add(WEYL[1]);
    }
    [a, b, c, d]
}

static IOTA: [i32; LANES] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

// The bits of group `g`: counters 16 g .. 16 g + 16 (no carry, 16 divides 2^32).
#[inline(always)]
unsafe fn group<S: Simd>(g: u64, key: Key) -> [S::I; 4] {
    let low = (g << 4) as u32 as i32;
    let high = (g >> 28) as u32 as i32;
    let counter = [
        S::add_i(S::splat_i(low), S::load_i(IOTA.as_ptr())),
        S::splat_i(high),
        S::splat_i(key.stream as i32),
        S::splat_i(key.step as i32),
    ];
    philox::<S>(counter, [key.seed as u32, (key.seed >> 32) as u32])
}

// 24 bits to [0, 1).
#[inline(always)]
unsafe fn unit<S: Simd>(bits: S::I) -> S::F {
    S::mul(S::to_f(S::shr_i::<8>(bits)), S::splat(1.0 / 16_777_216.0))
}

// How a group of bits becomes a group of values.
trait Shape {
    unsafe fn values<S: Simd>(self, bits: [S::I; 4]) -> [S::F; 4];
}

#[derive(Clone, Copy)]
struct Uniform;

impl Shape for Uniform {
    #[inline(always)]
    unsafe fn values<S: Simd>(self, [a, b, c, d]: [S::I; 4]) -> [S::F; 4] {
        [unit::<S>(a), unit::<S>(b), unit::<S>(c), unit::<S>(d)]
    }
}

#[derive(Clone, Copy)]
struct Normal;

// Box and Muller (1958): two uniforms, the first in (0, 1], to two independent normals.
#[inline(always)]
unsafe fn normals<S: Simd>(a: S::I, b: S::I) -> (S::F, S::F) {
    let u = S::sub(S::splat(1.0), unit::<S>(a));
    let angle = S::mul(unit::<S>(b), S::splat(std::f32::consts::TAU));
    let radius = S::sqrt(S::mul(S::splat(-2.0), math::log::<S>(u)));
    (S::mul(radius, math::cos::<S>(angle)), S::mul(radius, math::sin::<S>(angle)))
}

impl Shape for Normal {
    #[inline(always)]
    unsafe fn values<S: Simd>(self, [a, b, c, d]: [S::I; 4]) -> [S::F; 4] {
        let (x, y) = normals::<S>(a, b);
        let (z, w) = normals::<S>(c, d);
        [x, y, z, w]
    }
}

#[derive(Clone, Copy)]
struct Integers {
    low: i32,
    range: u32,
}

impl Shape for Integers {
    // The high word of bits * range (Lemire 2019, without its rejection).
    #[inline(always)]
    unsafe fn values<S: Simd>(self, bits: [S::I; 4]) -> [S::F; 4] {
        let (low, range) = (S::splat_i(self.low), S::splat_i(self.range as i32));
        let mut values = [S::splat(0.0); 4];
        for (value, &word) in values.iter_mut().zip(&bits) {
            *value = S::from_bits(S::add_i(S::mul_wide_u(word, range).1, low));
        }
        values
    }
}

// Values `start .. start + n` of a stream.
#[inline(always)]
unsafe fn generate<S: Simd, G: Shape + Copy>(dst: *mut f32, start: u64, n: usize, key: Key, shape: G) {
    let mut i = 0;
    while i < n {
        let position = start + i as u64;
        let (g, skip) = (position / GROUP as u64, (position % GROUP as u64) as usize);
        let values = shape.values::<S>(group::<S>(g, key));
        if skip == 0 && i + GROUP <= n {
            for (v, &value) in values.iter().enumerate() {
                S::store(dst.add(i + v * LANES), value);
            }
            i += GROUP;
        } else {
            let mut edge = [0f32; GROUP];
            for (v, &value) in values.iter().enumerate() {
                S::store(edge.as_mut_ptr().add(v * LANES), value);
            }
            let count = (GROUP - skip).min(n - i);
            dst.add(i).copy_from_nonoverlapping(edge.as_ptr().add(skip), count);
            i += count;
        }
    }
}

#[derive(Clone, Copy)]
struct Out(*mut f32);
// SAFETY: chunks write disjoint ranges.
unsafe impl Sync for Out {}
impl Out {
    fn at(&self, i: usize) -> *mut f32 {
        self.0.wrapping_add(i)
    }
}

macro_rules! generator {
    ($pick:ident, $shape:ty) => {
        fn $pick(isa: Isa) -> unsafe fn(*mut f32, u64, usize, Key, $shape) {
            #[inline(always)]
            unsafe fn kernel<S: Simd>(dst: *mut f32, start: u64, n: usize, key: Key, shape: $shape) {
                generate::<S, $shape>(dst, start, n, key, shape);
            }
            crate::per_isa!(fn version(dst: *mut f32, start: u64, n: usize, key: Key, shape: $shape) = kernel);
            version(isa)
        }
    };
}
generator!(uniform_of, Uniform);
generator!(normal_of, Normal);
generator!(integers_of, Integers);

fn in_chunks(dst: *mut f32, start: u64, n: usize, f: &(dyn Fn(*mut f32, u64, usize) + Sync)) {
    let dst = Out(dst);
    pool::run_range(n, INLINE, &|range| f(dst.at(range.start), start + range.start as u64, range.len()));
}

/// Writes values `start .. start + n` of the uniform stream of `key`: multiples of 2^-24 in [0, 1).
///
/// # Safety
/// `dst` is writable for `n` values. Likewise for the other kernels here.
pub unsafe fn uniform(dst: *mut f32, start: u64, n: usize, key: Key) {
    uniform_on(isa(), dst, start, n, key);
}

/// [`uniform`] on a given instruction set, which the processor must have.
pub unsafe fn uniform_on(isa: Isa, dst: *mut f32, start: u64, n: usize, key: Key) {
    let kernel = uniform_of(isa);
    // SAFETY: the chunks partition the caller's range.
    in_chunks(dst, start, n, &|dst, start, n| unsafe { kernel(dst, start, n, key, Uniform) });
}

/// Writes values `start .. start + n` of the standard normal stream of `key`. No value is beyond
/// 5.8, since the uniforms have 24 bits.
pub unsafe fn normal(dst: *mut f32, start: u64, n: usize, key: Key) {
    normal_on(isa(), dst, start, n, key);
}

/// [`normal`] on a given instruction set, which the processor must have.
pub unsafe fn normal_on(isa: Isa, dst: *mut f32, start: u64, n: usize, key: Key) {
    let kernel = normal_of(isa);
    // SAFETY: the chunks partition the caller's range.
    in_chunks(dst, start, n, &|dst, start, n| unsafe { kernel(dst, start, n, key, Normal) });
}

/// Writes values `start .. start + n` of a stream of integers in `[low, high)`; `low < high`. The
/// probability of a value is off by less than `(high - low) / 2^32` of itself.
pub unsafe fn integers(dst: *mut i32, start: u64, n: usize, key: Key, low: i32, high: i32) {
    integers_on(isa(), dst, start, n, key, (low, high));
}

/// [`integers`] in `[low, high)` on a given instruction set, which the processor must have.
pub unsafe fn integers_on(isa: Isa, dst: *mut i32, start: u64, n: usize, key: Key, (low, high): (i32, i32)) {
    let kernel = integers_of(isa);
    let shape = Integers { low, range: high.wrapping_sub(low) as u32 };
    // SAFETY: the chunks partition the caller's range.
    in_chunks(dst.cast(), start, n, &|dst, start, n| unsafe { kernel(dst, start, n, key, shape) });
}

/// Shuffles `order` (Fisher and Yates; Durstenfeld 1964) with 64 bits of the stream of `key` for
/// each swap, so the bias is below `n / 2^64`.
pub fn shuffle<T>(order: &mut [T], key: Key) {
    let pick = bits_of(isa());
    let mut words = [0i32; GROUP];
    for (used, i) in (1..order.len()).rev().enumerate() {
        let at = 2 * (used % (GROUP / 2));
        if at == 0 {
            // SAFETY: `words` holds a group.
            unsafe { pick(words.as_mut_ptr(), (used / (GROUP / 2)) as u64, key) };
        }
        let bits = u64::from(words[at] as u32) << 32 | u64::from(words[at + 1] as u32);
        let j = ((u128::from(bits) * (i as u128 + 1)) >> 64) as usize;
        order.swap(i, j);
    }
}

crate::per_isa!(fn bits_of(dst: *mut i32, g: u64, key: Key) = bits);

#[inline(always)]
unsafe fn bits<S: Simd>(dst: *mut i32, g: u64, key: Key) {
    for (v, &word) in group::<S>(g, key).iter().enumerate() {
        S::store_i(dst.add(v * LANES), word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::per_isa!(fn block_of(out: *mut i32, counter: [u32; 4], key: [u32; 2]) = block);

    unsafe fn block<S: Simd>(out: *mut i32, counter: [u32; 4], key: [u32; 2]) {
        let words = philox::<S>(counter.map(|c| S::splat_i(c as i32)), key);
        for (v, &word) in words.iter().enumerate() {
            S::store_i(out.add(v * LANES), word);
        }
    }

    // The known answers of Random123 (kat_vectors, philox4x32 10).
    #[test]
    fn test_philox_gives_the_known_answers() {
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5_u32, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for isa in Isa::available() {
            for (counter, key, want) in cases {
                let mut out = [0i32; GROUP];
                // SAFETY: the set is available and `out` holds four vectors.
                unsafe { block_of(isa)(out.as_mut_ptr(), counter, key) };
                for (i, &word) in out.iter().enumerate() {
                    assert_eq!(word as u32, want[i / LANES], "{}", isa.name());
                }
            }
        }
    }

    #[test]
    fn test_the_counter_runs_past_32_bits() {
        let key = Key { seed: 5, stream: 6, step: 7 };
        for isa in Isa::available() {
            let (mut far, mut want) = ([0i32; GROUP], [0i32; GROUP]);
            // SAFETY: as above.
            unsafe {
                bits_of(isa)(far.as_mut_ptr(), (1 << 28) + 2, key);
                block_of(isa)(want.as_mut_ptr(), [32, 1, 6, 7], [5, 0]);
            }
            for v in 0..4 {
                assert_eq!(far[v * LANES], want[v * LANES]);
            }
        }
    }
}
