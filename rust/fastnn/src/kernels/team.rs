//! Processes of one machine that sum in memory which all of them have mapped. Nobody sends anything:
//! a process lays its numbers down, counts them up, and reads those of the others when their counts
//! say so. Sums are made in the order of the processes, so all get the same bits, on every run.
//!
//! Before a sum, and whenever the host wants to, the processes [`meet`](Team::meet): each says in a
//! few numbers what it is about to do, and all see what all say. Those that are about to do different
//! things find out, and from then on do nothing together any more.
//!
//! Counts only grow. Nobody reads a place before the count of its owner says that it is filled, and
//! nobody fills it again before the counts of all readers say that they are done.

use crate::error::{Error, Result};
use crate::simd::{LANES, Simd, isa};
use crate::sync::{Count, Lock, wait_until};
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::time::Duration;

/// What a process says when it meets the others: what for, the number of the meeting, which part of
/// the program, how many numbers; these four have to be the same everywhere. Then two of its own.
pub type Header = [i64; 6];
/// Leading numbers of a header that all processes have to agree on.
const COMMON: usize = 4;
/// Floats that are laid down at a time: 64 KiB, of which a few stay in L2.
const CHUNK: usize = 16 << 10;
/// Chunks that a process may be ahead of the slowest reader.
const RING: u64 = 4;
/// Processes beyond which a team would be slower than sums by messages.
pub const MOST: usize = 256;
/// Looks at a count before a core is given up, about half a millisecond: processes that do the same work
/// at the same time are seldom further apart. Where they share cores, the other one may wait for this.
const LOOKS: (u32, u32) = (10_000, 200);
/// After so long a wait one looks whether the other process lives.
const PATIENCE: Duration = Duration::from_secs(1);

/// What one process tells the others.
#[repr(C, align(128))]
struct Desk {
    /// Meetings that it has come to.
    met: Count,
    /// Chunks that it has laid down, whose part it has summed, and that it has done with.
    filled: Count,
    summed: Count,
    done: Count,
    /// What it says at even and at odd meetings: nobody is more than one ahead of another.
    says: [[AtomicI64; 6]; 2],
    process: AtomicI64,
}

/// Bytes of a process in the shared memory: its desk, its chunks, and sums that it made for all.
const PLACE: usize = size_of::<Desk>() + 2 * RING as usize * CHUNK * size_of::<f32>();

/// One of the processes, as itself.
pub struct Team {
    base: *mut u8,
    rank: usize,
    size: usize,
    looks: u32,
    /// Meetings and chunks up to now.
    met: AtomicU64,
    chunks: AtomicU64,
    /// A thread of this process is with the others.
    busy: AtomicBool,
    /// What they said when they went apart.
    apart: Lock<Option<Vec<Header>>>,
    /// Each process can be seen by its number: they may live in containers that do not know each other.
    visible: Vec<AtomicBool>,
}

// SAFETY: the memory is shared through atomics and the counts, one thread of a process at a time.
unsafe impl Send for Team {}
// SAFETY: as above.
unsafe impl Sync for Team {}

impl Team {
    /// Bytes that `size` processes share.
    #[must_use]
    pub fn bytes(size: usize) -> usize {
        size * PLACE
    }

    /// Process number `rank` of `size`. The memory is zero when the first of them comes.
    ///
    /// # Safety
    /// All processes have mapped the same [`Team::bytes`] at `base`, on a page of their own, and each
    /// rank is taken once. The memory outlives the team.
    pub unsafe fn join(base: *mut u8, rank: usize, size: usize) -> Result<Team> {
        if rank >= size || !(2..=MOST).contains(&size) || !base.cast::<Desk>().is_aligned() {
            return Err(Error::Internal(format!("process {rank} of {size} at {base:p}")));
        }
        let visible = (0..size).map(|_| AtomicBool::new(false)).collect();
        let team = Team {
            base,
            rank,
            size,
            looks: if size <= processors() { LOOKS.0 } else { LOOKS.1 },
            met: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            apart: Lock::new(None),
            visible,
        };
        team.desk(rank).process.store(i64::from(std::process::id()), Relaxed);
        Ok(team)
    }

    /// What each process says, once all have come. `own` may differ, the rest has to be the same:
    /// where it is not, the processes are apart, and every later meeting gives what was said then.
    pub fn meet(&self, what: i64, key: i64, count: i64, own: [i64; 2]) -> Result<Vec<Header>> {
        self.alone(|| self.meet_now(what, key, count, own))
    }

    /// True when the processes have come to different places.
    #[must_use]
    pub fn is_apart(&self) -> bool {
        self.apart.lock().is_some()
    }

    /// Replaces the values, times the scale of this process, by their sums over the processes; false when
    /// these have come to different places, which is then all that happened.
    pub fn sum(&self, what: i64, key: i64, values: &mut [f32], scale: f32) -> Result<bool> {
        self.alone(|| self.sum_now(what, key, values, scale))
    }

    /// Runs `body` when no other thread of this process is with the others.
    fn alone<T>(&self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        struct Leave<'a>(&'a AtomicBool);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.store(false, Release);
            }
        }
        wait_until(|| self.busy.compare_exchange(false, true, AcqRel, Relaxed).is_ok());
        let _leave = Leave(&self.busy);
        body()
    }

    fn meet_now(&self, what: i64, key: i64, count: i64, own: [i64; 2]) -> Result<Vec<Header>> {
        if let Some(said) = &*self.apart.lock() {
            return Ok(said.clone());
        }
        let number = self.met.load(Relaxed) + 1;
        self.met.store(number, Relaxed);
        let page = (number % 2) as usize;
        let mine = [what, number as i64, key, count, own[0], own[1]];
        let desk = self.desk(self.rank);
        for (to, value) in desk.says[page].iter().zip(mine) {
            to.store(value, Relaxed);
        }
        desk.met.raise(number);
        let mut said = Vec::with_capacity(self.size);
        for rank in 0..self.size {
            let other = self.desk(rank);
            self.wait(rank, &other.met, number)?;
            said.push(std::array::from_fn(|k| other.says[page][k].load(Relaxed)));
            if number == 1 {
                self.visible[rank].store(is_alive(other.process.load(Relaxed)), Relaxed);
            }
        }
        if said.iter().any(|header: &Header| header[..COMMON] != said[0][..COMMON]) {
            *self.apart.lock() = Some(said.clone());
        }
        Ok(said)
    }

    fn sum_now(&self, what: i64, key: i64, values: &mut [f32], scale: f32) -> Result<bool> {
        if self.is_apart() {
            return Ok(false);
        }
        let count = values.len().div_ceil(CHUNK);
        let length = values.len();
        let at = |k: usize| k * CHUNK..length.min((k + 1) * CHUNK);
        let first = self.chunks.load(Relaxed);
        // The first chunk lies there before the others look.
        self.fill(first, values.get(at(0)).unwrap_or_default(), scale)?;
        self.meet_now(what, key, length as i64, [0; 2])?;
        if self.is_apart() {
            return Ok(false);
        }
        // Of a short sum, and of two processes, each makes all: that is one wait instead of two.
        let each_all = self.size == 2 || count <= 1;
        for k in 0..count {
            let chunk = first + k as u64;
            if k + 1 < count {
                self.fill(chunk + 1, &values[at(k + 1)], scale)?;
            }
            let range = at(k);
            if each_all {
                self.add_all(chunk, &mut values[range])?;
            } else {
                self.add_part(chunk, &mut values[range])?;
            }
        }
        self.chunks.store(first + count as u64, Relaxed);
        Ok(true)
    }

    /// Lays a chunk down, once everybody is done with what lay there.
    fn fill(&self, chunk: u64, values: &[f32], scale: f32) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        for rank in 0..self.size {
            self.wait(rank, &self.desk(rank).done, (chunk + 1).saturating_sub(RING))?;
        }
        // SAFETY: the place is this process's, and nobody reads it until the count says so.
        unsafe { lay(isa())(self.chunk(self.rank, chunk), values.as_ptr(), scale, values.len()) };
        self.desk(self.rank).filled.raise(chunk + 1);
        Ok(())
    }

    /// The sums of a chunk, made from what everybody laid down.
    fn add_all(&self, chunk: u64, values: &mut [f32]) -> Result<()> {
        let mut parts = Vec::with_capacity(self.size);
        for rank in 0..self.size {
            self.wait(rank, &self.desk(rank).filled, chunk + 1)?;
            parts.push(self.chunk(rank, chunk).cast_const());
        }
        // SAFETY: all parts are filled up to this length.
        unsafe { add(isa())(values.as_mut_ptr(), parts.as_ptr(), self.size, values.len()) };
        self.desk(self.rank).summed.raise(chunk + 1);
        self.desk(self.rank).done.raise(chunk + 1);
        Ok(())
    }

    /// The sums of a chunk, of which each process makes a part for all.
    fn add_part(&self, chunk: u64, values: &mut [f32]) -> Result<()> {
        let length = values.len();
        let bound = |rank: usize| match rank == self.size {
            true => length,
            false => length * rank / self.size / LANES * LANES,
        };
        let (begin, end) = (bound(self.rank), bound(self.rank + 1));
        let mut parts = Vec::with_capacity(self.size);
        for rank in 0..self.size {
            self.wait(rank, &self.desk(rank).filled, chunk + 1)?;
            // SAFETY: a chunk is longer than `begin`.
            parts.push(unsafe { self.chunk(rank, chunk).add(begin).cast_const() });
        }
        // SAFETY: the sums of this chunk are this process's to write: everybody has filled it, so nobody
        // reads what lay in its place four chunks ago.
        unsafe {
            add(isa())(self.sums(self.rank, chunk).add(begin), parts.as_ptr(), self.size, end - begin);
        }
        self.desk(self.rank).summed.raise(chunk + 1);
        for rank in 0..self.size {
            self.wait(rank, &self.desk(rank).summed, chunk + 1)?;
            let (begin, end) = (bound(rank), bound(rank + 1));
            // SAFETY: its maker has filled this part.
            unsafe {
                let from = self.sums(rank, chunk).add(begin).cast_const();
                std::ptr::copy_nonoverlapping(from, values.as_mut_ptr().add(begin), end - begin);
            }
        }
        self.desk(self.rank).done.raise(chunk + 1);
        Ok(())
    }

    /// Waits until a count of another process is at least so much.
    fn wait(&self, rank: usize, count: &Count, least: u64) -> Result<()> {
        while !count.wait(least, self.looks, PATIENCE) {
            let process = self.desk(rank).process.load(Relaxed);
            if self.visible[rank].load(Relaxed) && !is_alive(process) && count.get() < least {
                return crate::data_err!(
                    "rank {rank} of {} (process {process}) has ended while rank {} waits for it\n  hint: its output says why",
                    self.size,
                    self.rank
                );
            }
        }
        Ok(())
    }

    fn desk(&self, rank: usize) -> &Desk {
        debug_assert!(rank < self.size);
        // SAFETY: `join`'s caller has mapped the places of all ranks; a desk is atomics only.
        unsafe { &*self.base.add(rank * PLACE).cast::<Desk>() }
    }

    /// Where a process lays a chunk down.
    fn chunk(&self, rank: usize, chunk: u64) -> *mut f32 {
        let at = rank * PLACE + size_of::<Desk>() + (chunk % RING) as usize * CHUNK * size_of::<f32>();
        // SAFETY: inside the place of the rank.
        unsafe { self.base.add(at).cast() }
    }

    /// Where a process puts its part of the sums of a chunk.
    fn sums(&self, rank: usize, chunk: u64) -> *mut f32 {
        // SAFETY: the sums lie behind the chunks, inside the place of the rank.
        unsafe { self.chunk(rank, chunk).add(RING as usize * CHUNK) }
    }
}

/// Processors of the machine, whichever of them this process may use.
fn processors() -> usize {
    #[cfg(unix)]
    {
        // SAFETY: it asks for a number.
        let online = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
        usize::try_from(online).unwrap_or(1)
    }
    #[cfg(not(unix))]
    {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}

/// Whether a process lives, or once lived where nobody can tell.
fn is_alive(process: i64) -> bool {
    #[cfg(unix)]
    {
        // SAFETY: signal 0 is never sent; it asks whether it could be.
        let failed = unsafe { libc::kill(process as libc::pid_t, 0) } != 0;
        !failed || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
    }
    #[cfg(not(unix))]
    {
        process != 0
    }
}

crate::per_isa!(fn lay(dst: *mut f32, x: *const f32, scale: f32, n: usize) = lay_generic);

#[inline(always)]
unsafe fn lay_generic<S: Simd>(dst: *mut f32, x: *const f32, scale: f32, n: usize) {
    let scale = S::splat(scale);
    let mut i = 0;
    while i + LANES <= n {
        S::store(dst.add(i), S::mul(S::load(x.add(i)), scale));
        i += LANES;
    }
    if i < n {
        S::store_n(dst.add(i), S::mul(S::load_n(x.add(i), n - i), scale), n - i);
    }
}

crate::per_isa!(fn add(dst: *mut f32, parts: *const *const f32, size: usize, n: usize) = add_generic);

#[inline(always)]
unsafe fn add_generic<S: Simd>(dst: *mut f32, parts: *const *const f32, size: usize, n: usize) {
    let parts = std::slice::from_raw_parts(parts, size);
    let (a, b) = (parts[0], parts[1]);
    let whole = n / LANES * LANES;
    for i in (0..whole).step_by(LANES) {
        S::store(dst.add(i), S::add(S::load(a.add(i)), S::load(b.add(i))));
    }
    let left = n - whole;
    if left > 0 {
        let both = S::add(S::load_n(a.add(whole), left), S::load_n(b.add(whole), left));
        S::store_n(dst.add(whole), both, left);
    }
    for part in &parts[2..] {
        for i in (0..whole).step_by(LANES) {
            S::store(dst.add(i), S::add(S::load(dst.add(i)), S::load(part.add(i))));
        }
        if left > 0 {
            let both = S::add(S::load_n(dst.add(whole), left), S::load_n(part.add(whole), left));
            S::store_n(dst.add(whole), both, left);
        }
    }
}
