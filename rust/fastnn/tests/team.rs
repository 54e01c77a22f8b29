//! Sums over the processes of a machine: here each of them is a thread, over memory of this process.

use fastnn::buffer::Buffer;
use fastnn::kernels::team::{Header, Team};
use std::thread;

/// What `work` gives for each of `size` processes.
fn together<T: Send>(size: usize, work: impl Fn(usize, &Team) -> T + Sync) -> Vec<T> {
    let mut memory = Buffer::zeroed(Team::bytes(size) + 4096).unwrap();
    let base = memory.as_mut_ptr() as usize;
    let base = base.next_multiple_of(4096);
    thread::scope(|scope| {
        let work = &work;
        let one = |rank| {
            scope.spawn(move || {
                // SAFETY: the memory is long enough and outlives the threads; each rank comes once.
                let team = unsafe { Team::join(base as *mut u8, rank, size) }.unwrap();
                work(rank, &team)
            })
        };
        let all: Vec<_> = (0..size).map(one).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Numbers whose sum depends on the order of adding.
fn numbers(rank: usize, round: usize, length: usize) -> Vec<f32> {
    (0..length)
        .map(|i| ((rank * 7919 + round * 31 + i) as f32 * 0.618).sin() * 10f32.powi(rank as i32))
        .collect()
}

#[test]
fn sums_are_made_in_the_order_of_the_processes_at_every_length() {
    let lengths = [1, 15, 16, 1000, 16 << 10, (16 << 10) + 1, 100_003, 0, 3 * (16 << 10)];
    for size in [2, 3, 5] {
        let found = together(size, |rank, team| {
            let sum = |(round, &length): (usize, &usize)| {
                let mut values = numbers(rank, round, length);
                assert!(team.sum(1, round as i64, &mut values, 1.0).unwrap());
                values
            };
            lengths.iter().enumerate().map(sum).collect::<Vec<_>>()
        });
        for (round, &length) in lengths.iter().enumerate() {
            let mut wanted = numbers(0, round, length);
            for rank in 1..size {
                wanted.iter_mut().zip(numbers(rank, round, length)).for_each(|(to, x)| *to += x);
            }
            for (rank, sums) in found.iter().enumerate() {
                let same = sums[round].iter().zip(&wanted).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same && sums[round].len() == length, "{length} numbers, rank {rank} of {size}");
            }
        }
    }
}

#[test]
fn each_process_counts_by_its_scale() {
    let found = together(3, |rank, team| {
        let mut values = numbers(rank, 0, 40_000);
        assert!(team.sum(1, 0, &mut values, 0.1 * (rank + 1) as f32).unwrap());
        values
    });
    let part = |rank| numbers(rank, 0, 40_000).into_iter().map(move |x| x * (0.1 * (rank + 1) as f32));
    let wanted: Vec<f32> = part(0).zip(part(1)).zip(part(2)).map(|((a, b), c)| a + b + c).collect();
    assert!(found.iter().all(|values| *values == wanted));
}

#[test]
fn a_process_that_is_late_finds_nothing_overwritten() {
    let found = together(3, |rank, team| {
        let mut last = vec![];
        for round in 0..40 {
            if (round + rank) % 7 == 0 {
                thread::sleep(std::time::Duration::from_micros(300));
            }
            last = vec![(round + rank) as f32; 20_000 * (1 + round % 3)];
            assert!(team.sum(1, round as i64, &mut last, 1.0).unwrap());
            assert!(last.iter().all(|&x| x == (3 * round + 3) as f32), "round {round}");
        }
        last.len()
    });
    assert_eq!(found, [20_000; 3]);
}

#[test]
fn what_each_process_says_reaches_all_and_its_own_numbers_may_differ() {
    let found = together(4, |rank, team| team.meet(2, 5, 7, [rank as i64, -1]).unwrap());
    let wanted: Vec<Header> = (0..4).map(|rank| [2, 1, 5, 7, rank, -1]).collect();
    assert!(found.iter().all(|said| *said == wanted));
}

#[test]
fn processes_at_different_places_part_and_sum_nothing_from_then_on() {
    let found = together(2, |rank, team| {
        let mut values = vec![1.0; 50_000];
        assert!(team.sum(1, 3, &mut values, 1.0).unwrap());
        let other = vec![1.0; 50_000 + rank];
        let mut values = other.clone();
        assert!(!team.sum(1, 4, &mut values, 1.0).unwrap());
        assert_eq!(values, other, "nothing was added");
        assert!(team.is_apart());
        assert!(!team.sum(1, 5, &mut [1.0], 1.0).unwrap());
        team.meet(6, 0, 0, [0, 0]).unwrap()
    });
    assert_eq!(found[0], [[1, 2, 4, 50_000, 0, 0], [1, 2, 4, 50_001, 0, 0]]);
    assert_eq!(found[1], found[0]);
}
