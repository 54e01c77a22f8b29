//! What the machine can do at most: fused multiply-adds a second, and copied bytes a second.
//!
//!     peak (fma-avx512 | fma-avx2 | copy) THREADS SECONDS  ->  one number: GFLOP/s or GB/s
//!
//! Compiled by harness.py with plain `rustc`. The loops are assembly because the compiler spills
//! accumulators of the same loop written with intrinsics.

use std::arch::asm;
use std::sync::Barrier;
use std::time::Instant;

const COPY_FLOATS: usize = 16 << 20;

/// 24 independent accumulators of 16 lanes: the latency of four cycles times two units is hidden.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn fma_avx512(rounds: u64) -> f64 {
    macro_rules! block {
        ($($r:literal),+) => {
            // SAFETY: registers only; all that are written are declared.
            unsafe {
                asm!(
                    "vpxord zmm30, zmm30, zmm30", "vpxord zmm31, zmm31, zmm31",
                    $(concat!("vpxord zmm", $r, ", zmm", $r, ", zmm", $r),)+
                    "2:",
                    $(concat!("vfmadd231ps zmm", $r, ", zmm30, zmm31"),)+
                    "sub {n}, 1",
                    "jnz 2b",
                    n = inout(reg) rounds => _,
                    out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
                    out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
                    out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _, out("zmm16") _, out("zmm17") _,
                    out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _,
                    out("zmm30") _, out("zmm31") _,
                )
            }
        };
    }
    block!(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23);
    rounds as f64 * 24.0 * 16.0 * 2.0
}

/// 12 independent accumulators of 8 lanes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fma_avx2(rounds: u64) -> f64 {
    macro_rules! block {
        ($($r:literal),+) => {
            // SAFETY: registers only; all that are written are declared.
            unsafe {
                asm!(
                    "vxorps ymm14, ymm14, ymm14", "vxorps ymm15, ymm15, ymm15",
                    $(concat!("vxorps ymm", $r, ", ymm", $r, ", ymm", $r),)+
                    "2:",
                    $(concat!("vfmadd231ps ymm", $r, ", ymm14, ymm15"),)+
                    "sub {n}, 1",
                    "jnz 2b",
                    n = inout(reg) rounds => _,
                    out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
                    out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
                    out("ymm14") _, out("ymm15") _,
                )
            }
        };
    }
    block!(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
    rounds as f64 * 12.0 * 8.0 * 2.0
}

/// Runs `work` on every thread until `seconds` have passed; the sum of what they did a second.
fn rate(threads: usize, seconds: f64, work: impl Fn(usize) -> f64 + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|i| {
                let (work, barrier) = (&work, &barrier);
                scope.spawn(move || {
                    work(i);
                    barrier.wait();
                    let (begin, mut done) = (Instant::now(), 0.0);
                    while begin.elapsed().as_secs_f64() < seconds {
                        done += work(i);
                    }
                    done / begin.elapsed().as_secs_f64()
                })
            })
            .collect();
        handles.into_iter().map(|h| h.join().expect("invariant: the loops cannot panic")).sum()
    })
}

fn copy(threads: usize, seconds: f64) -> f64 {
    let chunk = COPY_FLOATS / threads;
    let buffers: Vec<_> = (0..threads)
        .map(|_| std::sync::Mutex::new((vec![1.0f32; chunk], vec![2.0f32; chunk])))
        .collect();
    rate(threads, seconds, |i| {
        let mut pair = buffers[i].lock().expect("invariant: one thread a buffer");
        let (from, to) = &mut *pair;
        to.copy_from_slice(from);
        std::hint::black_box(to);
        8.0 * chunk as f64
    })
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let threads: usize = args[2].parse().expect("THREADS is a number");
    let seconds: f64 = args[3].parse().expect("SECONDS is a number");
    let done = match args[1].as_str() {
        #[cfg(target_arch = "x86_64")]
        "fma-avx512" if is_x86_feature_detected!("avx512f") => {
            // SAFETY: the feature was just detected.
            rate(threads, seconds, |_| unsafe { fma_avx512(100_000) })
        }
        #[cfg(target_arch = "x86_64")]
        "fma-avx2" if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") => {
            // SAFETY: the features were just detected.
            rate(threads, seconds, |_| unsafe { fma_avx2(100_000) })
        }
        "copy" => copy(threads, seconds),
        other => {
            eprintln!("this machine has no {other}");
            std::process::exit(2);
        }
    };
    println!("{}", done / 1e9);
}
