//! F2. Arrays side by side in a larger one. Depends on the pool.

use crate::pool;

/// Bytes that are worth a chunk of their own.
const GRAIN: usize = 1 << 16;

struct Ends(*const u8, *mut u8);
// SAFETY: work items read shared input and write disjoint runs.
unsafe impl Sync for Ends {}

/// Copies `runs` runs of `run` bytes, back to back in `src`, to places `step` bytes apart in `dst`.
///
/// # Safety
/// `src` covers the runs, `dst` the places, which are apart from each other and from `src`.
pub unsafe fn spread(src: *const u8, dst: *mut u8, runs: usize, run: usize, step: usize) {
    if run == 0 {
        return;
    }
    let ends = Ends(src, dst);
    // Long runs are cut, short ones are copied many at a time.
    let pieces = run.div_ceil(GRAIN);
    let piece = run.div_ceil(pieces);
    pool::run_range(runs * pieces, (GRAIN / piece).max(1), &|range| {
        let ends = &ends;
        // SAFETY: the runs of the range are inside what the pointers cover, and nobody else's.
        unsafe {
            if pieces > 1 {
                for i in range {
                    let (at, from) = (i / pieces, i % pieces * piece);
                    let (from, to) = (ends.0.add(at * run + from), ends.1.add(at * step + from));
                    to.copy_from_nonoverlapping(from, piece.min(run - i % pieces * piece));
                }
                return;
            }
            let (from, to, some) =
                (ends.0.add(range.start * run), ends.1.add(range.start * step), range.len());
            match run {
                1 => elements::<u8>(from, to, some, step),
                2 => elements::<u16>(from, to, some, step),
                4 => elements::<u32>(from, to, some, step),
                8 => elements::<u64>(from, to, some, step),
                16 => elements::<u128>(from, to, some, step),
                _ => {
                    for i in 0..some {
                        to.add(i * step).copy_from_nonoverlapping(from.add(i * run), run);
                    }
                }
            }
        }
    });
}

/// Runs of one element, for which a copy of any length would be slow.
unsafe fn elements<T: Copy>(from: *const u8, to: *mut u8, some: usize, step: usize) {
    for i in 0..some {
        to.add(i * step).cast::<T>().write_unaligned(from.cast::<T>().add(i).read_unaligned());
    }
}
