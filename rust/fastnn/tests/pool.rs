//! The promises of the worker pool and of the buffers: every chunk once, panics carried, nested
//! and concurrent use, forked children, refused allocations.

use fastnn::buffer::{self, Buffer};
use fastnn::error::Error;
use fastnn::pool;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

// The pool is one per process; tests that choose its size take turns.
static TURN: Mutex<()> = Mutex::new(());

fn with_threads(n: usize) -> MutexGuard<'static, ()> {
    let turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    pool::set_threads(n);
    turn
}

fn count_chunks(chunks: usize) -> Vec<usize> {
    let seen: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
    pool::run(chunks, &|i| {
        seen[i].fetch_add(1, Ordering::Relaxed);
    });
    seen.into_iter().map(AtomicUsize::into_inner).collect()
}

#[test]
fn every_chunk_runs_once_for_any_number_of_threads() {
    for threads in [1, 2, 3, 8] {
        let _turn = with_threads(threads);
        assert_eq!(pool::threads(), threads);
        for round in 0..200 {
            for chunks in [0, 1, 2, 3, 7, 64] {
                assert_eq!(count_chunks(chunks), vec![1; chunks], "{threads} threads, round {round}");
            }
        }
    }
}

#[test]
fn a_parked_pool_wakes_up() {
    let _turn = with_threads(2);
    for _ in 0..20 {
        // Two chunks that meet: only possible when the helper really takes one of them.
        let met = AtomicUsize::new(0);
        pool::run(2, &|_| {
            met.fetch_add(1, Ordering::SeqCst);
            while met.load(Ordering::SeqCst) < 2 {
                std::thread::yield_now();
            }
        });
        let until = std::time::Instant::now() + std::time::Duration::from_micros(300);
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
    }
}

#[test]
fn ranges_cover_everything_once() {
    let _turn = with_threads(3);
    for (n, grain) in [(0, 4), (1, 4), (4, 4), (5, 4), (1000, 7), (10, 0)] {
        let ranges = Mutex::new(Vec::new());
        pool::run_range(n, grain, &|r| ranges.lock().unwrap().push((r.start, r.end)));
        let mut ranges = ranges.into_inner().unwrap();
        ranges.sort_unstable();
        let mut at = 0;
        for (start, end) in ranges {
            assert_eq!(start, at);
            assert!(end - start <= grain.max(1) && end > start);
            at = end;
        }
        assert_eq!(at, n);
    }
}

#[test]
fn nested_calls_run_inline() {
    let _turn = with_threads(2);
    let total = AtomicUsize::new(0);
    pool::run(8, &|_| {
        let me = std::thread::current().id();
        pool::run(5, &|_| {
            assert_eq!(std::thread::current().id(), me);
            total.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(total.into_inner(), 40);
}

#[test]
fn many_threads_may_call_at_once() {
    let _turn = with_threads(2);
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..300 {
                    assert_eq!(count_chunks(9), vec![1; 9]);
                }
            });
        }
    });
}

#[test]
fn callers_that_need_all_cores_keep_to_their_own() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let _turn = with_threads(cores);
    let me = std::thread::current().id();
    let _own = pool::Caller::enter();
    let other = std::thread::spawn(pool::Caller::enter).join().unwrap();
    for _ in 0..50 {
        pool::run(64, &|_| assert_eq!(std::thread::current().id(), me));
    }
    drop(other);
    // It counts as there for a moment longer: threads that take turns have little between two programs.
    std::thread::sleep(Duration::from_millis(2));
    let met = AtomicUsize::new(0);
    pool::run(cores, &|_| {
        met.fetch_add(1, Ordering::SeqCst);
        while met.load(Ordering::SeqCst) < cores {
            std::thread::yield_now();
        }
    });
}

#[test]
fn threads_that_take_turns_keep_to_themselves_between_two_programs() {
    let _turn = with_threads(std::thread::available_parallelism().map_or(1, usize::from));
    // A thread may lose its core for longer than the others are waited for, but not each time.
    let me = std::thread::current().id();
    let alone = (0..50).any(|_| {
        std::thread::spawn(|| drop(pool::Caller::enter())).join().unwrap();
        let _own = pool::Caller::enter();
        let others = AtomicUsize::new(0);
        pool::run(64, &|_| {
            std::thread::sleep(Duration::from_micros(20));
            others.fetch_add(usize::from(std::thread::current().id() != me), Ordering::SeqCst);
        });
        others.into_inner() == 0
    });
    assert!(alone);
}

#[test]
fn a_panic_reaches_the_caller_once_and_the_pool_lives_on() {
    let _turn = with_threads(2);
    for bad in [0, 5, 15] {
        let caught = std::panic::catch_unwind(|| {
            pool::run(16, &|i| {
                if i == bad {
                    std::panic::resume_unwind(Box::new(format!("chunk {i}")));
                }
            });
        });
        let payload = caught.expect_err("the panic is carried");
        assert_eq!(payload.downcast_ref::<String>(), Some(&format!("chunk {bad}")));
        assert_eq!(count_chunks(16), vec![1; 16]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_forked_child_computes() {
    let _turn = with_threads(3);
    let held = Buffer::zeroed(1 << 16).unwrap();
    assert_eq!(count_chunks(32), vec![1; 32]);
    // SAFETY: the child only runs our code and leaves through _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: sets a limit on this process's own life, so that a deadlock ends as a signal.
        unsafe { libc::alarm(20) };
        let good = std::panic::catch_unwind(|| {
            drop(Buffer::zeroed(1 << 16));
            count_chunks(32) == vec![1; 32] && count_chunks(64) == vec![1; 64]
        });
        // SAFETY: ends the child without running the parent's exit handlers.
        unsafe { libc::_exit(if matches!(good, Ok(true)) { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: waits for the child that we made.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    assert_eq!(status, 0, "the child must exit with 0");
    assert_eq!(count_chunks(32), vec![1; 32]);
    drop(held);
}

#[test]
fn buffers_are_aligned_zeroed_and_reused() {
    for len in [0, 1, 15, 16, 17, 1000, 4096, 1 << 20, (1 << 20) + 1, 3 << 20] {
        let mut b = Buffer::zeroed(4 * len).unwrap();
        assert_eq!(b.bytes(), 4 * len);
        assert_eq!(b.as_ptr() as usize % buffer::ALIGN, 0);
        assert!(b.as_slice().iter().all(|&x: &f32| x == 0.0));
        b.as_mut_slice().fill(f32::NAN);
        drop(b);
        // The block that comes back from the cache holds NaN, and must read zero again.
        assert!(Buffer::zeroed(4 * len).unwrap().as_slice().iter().all(|&x: &f32| x == 0.0));
    }
    assert_eq!(Buffer::from_slice(&[1.0f32, 2.0]).unwrap().as_slice::<f32>(), [1.0, 2.0]);
}

#[test]
fn buffers_survive_many_threads() {
    std::thread::scope(|s| {
        for t in 0..4usize {
            s.spawn(move || {
                let mut live = Vec::new();
                for i in 0..5000usize {
                    let len = 1 + (i * 37 + t * 11) % 3000;
                    let mut b = Buffer::zeroed(4 * len).unwrap();
                    b.as_mut_slice().fill((t * 10_000 + i) as f32);
                    live.push(b);
                    if live.len() > 8 {
                        let old = live.swap_remove(i % 8);
                        let values = old.as_slice::<f32>();
                        assert!(values.iter().all(|&x| x == values[0]));
                    }
                }
            });
        }
    });
}

#[test]
fn impossible_sizes_are_refused_with_the_bytes() {
    for len in [usize::MAX, usize::MAX / 8, 1 << 44] {
        match Buffer::zeroed(len) {
            Err(Error::Memory(text)) => assert!(text.contains("bytes") && text.contains("hint:"), "{text}"),
            other => panic!("{len}: {other:?}"),
        }
    }
}

#[test]
fn nested_scratch_blocks_do_not_overlap() {
    for _ in 0..3 {
        let mut outer = buffer::scratch(5000);
        let mut inner = buffer::scratch(100);
        // SAFETY: both blocks have at least the cells written.
        unsafe {
            std::slice::from_raw_parts_mut(outer.as_mut_ptr(), 5000).fill(1.0);
            std::slice::from_raw_parts_mut(inner.as_mut_ptr(), 100).fill(2.0);
            assert!(std::slice::from_raw_parts(outer.as_mut_ptr(), 5000).iter().all(|&x| x == 1.0));
        }
    }
}
