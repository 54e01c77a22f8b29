//! Speed of the CPU kernels against what this machine can do: the peak of fused multiply-adds, the
//! copy bandwidth, matrix products as GFLOP/s and as a share of that peak, and the cost of a
//! fork-join. `cargo bench --bench kernels -- [--json] [words that names must contain]`.
//!
//! One-thread figures are the calling thread's CPU time, which others on the machine disturb
//! least; figures for more threads are wall time. Both are the best of many samples.
#![allow(clippy::print_stdout)]

use fastnn::buffer::Buffer;
use fastnn::kernels::Scale;
use fastnn::kernels::gemm::bf16::{Arithmetic, gemm_bf16_on, is_native};
use fastnn::kernels::gemm::{Gemm, Matrix};
use fastnn::pool;
use fastnn::shape::DType;
use fastnn::simd::Isa;
use std::ptr;
use std::time::{Duration, Instant};

/// Time spent on each line, the many samples together.
const BUDGET: Duration = Duration::from_millis(250);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let json = args.iter().any(|a| a == "--json");
    let words: Vec<&String> = args.iter().filter(|a| !a.starts_with("--")).collect();
    let wanted = |name: &str| words.iter().all(|w| name.contains(w.as_str()));
    let peaks: Vec<(Isa, f64)> =
        Isa::available().into_iter().filter_map(|i| Some((i, fma_peak(i)?))).collect();
    let mut table = Table { json, rows: Vec::new() };
    for &(isa, peak) in &peaks {
        table.add(&format!("fma peak {}", isa.name()), None, Some(peak), None);
    }
    let pairs = pair_peak();
    if let Some(peak) = pairs {
        table.add("bfloat16 peak avx512", None, Some(peak), None);
    }
    copies(&mut table, &wanted);
    fork_joins(&mut table, &wanted);
    for &(isa, peak) in &peaks {
        for threads in [1, 2] {
            products(&mut table, (isa, Arithmetic::Float32), peak, threads, &wanted);
        }
    }
    for (peak, threads) in [1, 2].into_iter().filter_map(|threads| Some((pairs?, threads))) {
        products(&mut table, (Isa::Avx512, Arithmetic::Native), peak, threads, &wanted);
    }
    table.print();
}

/// The report.
struct Table {
    json: bool,
    rows: Vec<Line>,
}

/// Seconds, units of 1e9 per second (operations or bytes), share of the peak of the threads used.
struct Line {
    name: String,
    seconds: Option<f64>,
    giga: Option<f64>,
    share: Option<f64>,
}

impl Table {
    fn add(&mut self, name: &str, seconds: Option<f64>, giga: Option<f64>, share: Option<f64>) {
        self.rows.push(Line { name: name.to_owned(), seconds, giga, share });
    }

    fn print(&self) {
        if self.json {
            let number = |v: Option<f64>| v.map_or("null".to_owned(), |v| format!("{v:.6e}"));
            let rows: Vec<String> = self
                .rows
                .iter()
                .map(|l| {
                    let (s, g, p) = (number(l.seconds), number(l.giga), number(l.share));
                    format!(r#"{{"name":"{}","seconds":{s},"giga_per_s":{g},"share":{p}}}"#, l.name)
                })
                .collect();
            println!("[{}]", rows.join(",\n"));
            return;
        }
        println!("{:<44} {:>12} {:>10} {:>7}", "kernel", "us", "G/s", "peak");
        for Line { name, seconds, giga, share } in &self.rows {
            let cell = |v: Option<f64>, digits: usize| v.map_or(String::new(), |v| format!("{v:.digits$}"));
            let us = cell(seconds.map(|s| s * 1e6), 2);
            let share = share.map_or(String::new(), |s| format!("{:.0} %", s * 100.0));
            println!("{name:<44} {us:>12} {:>10} {share:>7}", cell(*giga, 1));
        }
    }
}

fn cpu_seconds() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills the struct above.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut t) };
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

/// Best seconds of one call; CPU time when `cpu`, else wall.
fn best(cpu: bool, mut f: impl FnMut()) -> f64 {
    let begun = Instant::now();
    f();
    let rough = begun.elapsed().as_secs_f64();
    let repeats = (30e-6 / rough.max(1e-9)).ceil().clamp(1.0, 10_000.0) as usize;
    let begun = Instant::now();
    let mut least = f64::INFINITY;
    let mut samples = 0;
    while begun.elapsed() < BUDGET || samples < 5 {
        let (wall, used) = (Instant::now(), cpu_seconds());
        for _ in 0..repeats {
            f();
        }
        let seconds = if cpu { cpu_seconds() - used } else { wall.elapsed().as_secs_f64() };
        least = least.min(seconds / repeats as f64);
        samples += 1;
    }
    least
}

/// Turns of twelve independent instructions.
#[cfg(target_arch = "x86_64")]
const TURNS: u64 = 20_000;

/// Inline assembly, because the compiler spills or folds an intrinsic version.
#[cfg(target_arch = "x86_64")]
macro_rules! chains {
    ($op:literal $reg:literal) => {
        chains!($op $reg; "0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "10" "11")
    };
    ($op:literal $reg:literal; $($n:literal)*) => {
        // SAFETY: only registers are used, and the processor has the set (see the caller).
        || unsafe {
            std::arch::asm!(
                "2:",
                $(concat!($op, " ", $reg, $n, ", ", $reg, "14, ", $reg, "15"),)*
                "dec {turns}",
                "jnz 2b",
                turns = inout(reg) TURNS => _,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                options(nomem, nostack)
            )
        }
    };
}

/// GFLOP/s of independent multiply-adds in registers; `None` without a fused instruction.
#[cfg(target_arch = "x86_64")]
fn fma_peak(isa: Isa) -> Option<f64> {
    let (seconds, lanes) = match isa {
        Isa::Avx512 => (best(true, chains!("vfmadd231ps" "zmm")), 16),
        Isa::Avx2 => (best(true, chains!("vfmadd231ps" "ymm")), 8),
        Isa::Portable => return None,
    };
    Some((TURNS * 12 * lanes * 2) as f64 / seconds * 1e-9)
}

/// The same of pairs of bfloat16.
#[cfg(target_arch = "x86_64")]
fn pair_peak() -> Option<f64> {
    is_native(Isa::Avx512)
        .then(|| (TURNS * 12 * 16 * 4) as f64 / best(true, chains!("vdpbf16ps" "zmm")) * 1e-9)
}

#[cfg(not(target_arch = "x86_64"))]
fn pair_peak() -> Option<f64> {
    None
}

#[cfg(not(target_arch = "x86_64"))]
fn fma_peak(_isa: Isa) -> Option<f64> {
    None
}

fn copies(table: &mut Table, wanted: &dyn Fn(&str) -> bool) {
    for (name, floats) in [("copy 16 KiB", 1 << 12), ("copy 512 KiB", 1 << 17), ("copy 64 MiB", 1 << 24)] {
        if wanted(name) {
            let (from, mut to) = (vec![1.0f32; floats], vec![0.0f32; floats]);
            let seconds = best(true, || {
                to.copy_from_slice(std::hint::black_box(&from));
                std::hint::black_box(&mut to);
            });
            // Bytes read and written.
            table.add(name, Some(seconds), Some(floats as f64 * 8.0 / seconds * 1e-9), None);
        }
    }
}

/// What a fork-join adds to two chunks of about a microsecond that run at the same time.
fn fork_joins(table: &mut Table, wanted: &dyn Fn(&str) -> bool) {
    let name = "fork-join overhead, 2 threads";
    if wanted(name) {
        let chunk = |i: usize| {
            (0..4000).for_each(|_| {
                std::hint::black_box(i);
            })
        };
        let alone = best(false, || chunk(0));
        pool::set_threads(2);
        let both = best(false, || pool::run(2, &chunk));
        table.add(name, Some(both - alone), None, None);
    }
}

/// Memory as the engine gives it to weights: large blocks on huge pages.
fn filled(count: usize, value: f32) -> Buffer {
    let mut buffer = Buffer::zeroed(count * 4).expect("memory for the operands");
    buffer.as_mut_slice().fill(value);
    buffer
}

/// (m, n, k, A transposed, B transposed)
const SHAPES: [(usize, usize, usize, bool, bool); 30] = [
    (256, 256, 256, false, false),
    (512, 512, 512, false, false),
    (1024, 1024, 1024, false, false),
    (2048, 2048, 2048, false, false),
    (512, 512, 512, true, false),
    (1024, 1024, 1024, true, false),
    (2048, 2048, 2048, true, false),
    (512, 512, 512, false, true),
    (1024, 1024, 1024, false, true),
    (2048, 2048, 2048, false, true),
    (4096, 1536, 384, false, false),
    (4096, 384, 1536, false, true),
    (384, 1536, 4096, true, false),
    (32, 128, 784, false, false),
    (128, 128, 784, false, false),
    (128, 512, 784, false, false),
    (784, 128, 32, true, false),
    (784, 512, 128, true, false),
    (32, 512, 512, false, true),
    (32, 2048, 2048, false, false),
    (128, 512, 512, false, true),
    (32, 64, 64, false, false),
    (64, 10, 128, false, false),
    (128, 10, 64, true, false),
    (64, 128, 10, false, true),
    (32, 2, 64, false, false),
    (1, 64, 32, false, false),
    (1, 128, 784, false, false),
    (1, 512, 512, false, false),
    (512, 1, 512, false, false),
];

fn products(
    table: &mut Table,
    (isa, arithmetic): (Isa, Arithmetic),
    peak: f64,
    threads: usize,
    wanted: &dyn Fn(&str) -> bool,
) {
    pool::set_threads(threads);
    for (m, n, k, ta, tb) in SHAPES {
        let turn = |t: bool| if t { "'" } else { "" };
        let set = if arithmetic == Arithmetic::Native { "bf16" } else { isa.name() };
        let name = format!("{set} x{threads} {m}x{n}x{k} A{}B{}", turn(ta), turn(tb));
        if !wanted(&name) || (threads > 1 && m * n * k < 1 << 19) {
            continue;
        }
        let (a, b) = (filled(m * k, 0.5), filled(k * n, 0.25));
        let (a, b) = (a.as_slice::<f32>(), b.as_slice::<f32>());
        let mut c = filled(m * n, 0.0);
        let c = c.as_mut_slice::<f32>();
        let lay = |v: &[f32], rows: usize, cols: usize, t: bool| {
            if t {
                Matrix::row_major(v.as_ptr(), rows).transposed()
            } else {
                Matrix::row_major(v.as_ptr(), cols)
            }
        };
        let g = Gemm {
            m,
            n,
            k,
            a: lay(a, m, k, ta),
            b: lay(b, k, n, tb),
            b_type: DType::F32,
            c: c.as_mut_ptr(),
            ldc: n,
            bias: ptr::null(),
            scale: Scale::NONE,
            relu: false,
            accumulate: false,
        };
        // SAFETY: the operands are the vectors above, and `isa` is available.
        let seconds = best(threads == 1, || unsafe { gemm_bf16_on(isa, arithmetic, &g, None) });
        assert!((c[m * n - 1] - 0.125 * k as f32).abs() < 1e-2, "{name} is wrong");
        let giga = (2 * m * n * k) as f64 / seconds * 1e-9;
        table.add(&name, Some(seconds), Some(giga), Some(giga / peak / threads as f64));
    }
}
