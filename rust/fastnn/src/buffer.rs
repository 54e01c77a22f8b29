//! F1. Memory for numbers: owned 64-byte-aligned blocks, kept in a small
//! size-classed cache when freed, because page faults and not arithmetic decide the speed of
//! large elementwise results. Refuses what the machine cannot give instead of being killed.
//!
//! Also per-thread scratch for kernels. May use `error`, `sync` and the system only.

use crate::error::{Error, Result};
use crate::sync::Lock;
use std::alloc::{Layout, alloc, dealloc};
use std::cell::RefCell;
use std::ptr::{self, NonNull};

/// Alignment of every block, in bytes: one cache line, one zmm.
pub const ALIGN: usize = 64;

/// From here on blocks are aligned to huge pages and ask for them.
const HUGE: usize = 4 << 20;
const HUGE_PAGE: usize = 2 << 20;
/// From here on, up to `HUGE`, blocks are mappings of their own. Among the small things on the heap
/// they would settle in the gaps that these need again, as for the next program that is compiled.
const MAPPED: usize = 256 << 10;
/// From here on a request is compared with the memory that is available.
pub const CHECKED: usize = 64 << 20;
/// Freed blocks of up to `SMALL` bytes are kept up to this many bytes in all, larger ones up to
/// `KEEP_LARGE`.
const SMALL: usize = 1 << 20;
const KEEP_SMALL: usize = 64 << 20;
const KEEP_LARGE: usize = 256 << 20;
/// Blocks above this size are never kept.
const LARGEST_KEPT: usize = 128 << 20;

/// A type of which any bits are a value.
///
/// # Safety
/// It has no padding, every pattern of bits is valid, and it is aligned to at most [`ALIGN`].
pub unsafe trait Plain: Copy + Default + Send + Sync + 'static {}

macro_rules! plain {
    ($($t:ty)*) => { $(
        // SAFETY: a number of the machine.
        unsafe impl Plain for $t {}
    )* };
}
plain!(f32 i32 u32 u16 i8 u8);

/// An owned block of bytes, 64-byte aligned.
#[derive(Debug)]
pub struct Buffer {
    ptr: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a Buffer owns its block, which is plain memory.
unsafe impl Send for Buffer {}
// SAFETY: shared access is read-only through the safe methods.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// `bytes` zeros. Errors with `Memory` when the system cannot give them.
    pub fn zeroed(bytes: usize) -> Result<Buffer> {
        // SAFETY: all bytes are written before anybody can read them.
        unsafe {
            let mut buffer = Buffer::uninit(bytes)?;
            ptr::write_bytes(buffer.as_mut_ptr(), 0, bytes);
            Ok(buffer)
        }
    }

    /// A copy of `values`. Errors with `Memory` when the system cannot give the room.
    pub fn from_slice<T: Plain>(values: &[T]) -> Result<Buffer> {
        let bytes = size_of_val(values);
        // SAFETY: all bytes are written before anybody can read them.
        unsafe {
            let mut buffer = Buffer::uninit(bytes)?;
            ptr::copy_nonoverlapping(values.as_ptr().cast(), buffer.as_mut_ptr(), bytes);
            Ok(buffer)
        }
    }

    /// `bytes` of whatever was there. Errors with `Memory` when the system cannot give them.
    ///
    /// # Safety
    /// The caller writes every byte before it is read through [`Buffer::as_slice`].
    pub unsafe fn uninit(bytes: usize) -> Result<Buffer> {
        if bytes == 0 {
            let ptr = NonNull::new(ptr::without_provenance_mut(ALIGN)).expect("invariant: ALIGN is not 0");
            return Ok(Buffer { ptr, bytes });
        }
        let class = Class::of(bytes).ok_or_else(|| refuse(bytes, None))?;
        let ptr = CACHE.pop(class).map_or_else(|| class.allocate(), Ok)?;
        Ok(Buffer { ptr, bytes })
    }

    /// Gives the block back to the system.
    pub(crate) fn release(self) {
        let block = std::mem::ManuallyDrop::new(self);
        if let (true, Some(class)) = (block.bytes > 0, Class::of(block.bytes)) {
            // SAFETY: the block was made for this class, and nobody else has it.
            unsafe { class.free(block.ptr) };
        }
    }

    /// The number of bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first byte, for reading.
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.ptr.as_ptr()
    }

    /// The first byte, for writing.
    #[must_use]
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.ptr.as_ptr()
    }

    /// How many numbers of a type there are.
    fn count<T: Plain>(&self) -> usize {
        assert!(
            self.bytes.is_multiple_of(size_of::<T>()),
            "invariant: {} bytes are whole numbers of {}",
            self.bytes,
            size_of::<T>()
        );
        self.bytes / size_of::<T>()
    }

    /// The numbers.
    ///
    /// # Panics
    /// When the bytes are no whole number of them. Likewise below.
    #[must_use]
    pub fn as_slice<T: Plain>(&self) -> &[T] {
        // SAFETY: the block has as many numbers, written as `uninit` demands; any bits are one.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), self.count::<T>()) }
    }

    /// The numbers, for writing.
    #[must_use]
    pub fn as_mut_slice<T: Plain>(&mut self) -> &mut [T] {
        let count = self.count::<T>();
        // SAFETY: as `as_slice`, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr().cast(), count) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let (true, Some(class)) = (self.bytes > 0, Class::of(self.bytes)) {
            // SAFETY: the block was made for this class, and nobody else has it.
            unsafe {
                if !CACHE.push(class, self.ptr) {
                    class.free(self.ptr);
                }
            }
        }
    }
}

/// Size classes: four steps to every doubling, from 64 bytes on.
#[derive(Clone, Copy)]
struct Class(usize);

const CLASSES: usize = 4 * 42;

impl Class {
    /// The smallest class with room for so many bytes; `None` past what can be addressed.
    fn of(bytes: usize) -> Option<Class> {
        let lines = bytes.div_ceil(ALIGN);
        if lines <= 4 {
            return Some(Class(lines.max(1) - 1));
        }
        // The top three bits of `lines - 1` choose the step, rounded up.
        let shift = (lines - 1).ilog2() as usize - 2;
        let class = 4 * shift + ((lines - 1) >> shift);
        (class < CLASSES).then_some(Class(class))
    }

    fn bytes(self) -> usize {
        let Class(c) = self;
        if c < 4 { (c + 1) * ALIGN } else { (((c % 4) + 5) << (c / 4 - 1)) * ALIGN }
    }

    fn layout(self) -> Layout {
        let bytes = self.bytes();
        let align = if bytes >= HUGE { HUGE_PAGE } else { ALIGN };
        Layout::from_size_align(bytes, align).expect("invariant: classes end below isize::MAX")
    }

    fn allocate(self) -> Result<NonNull<u8>> {
        let bytes = self.bytes();
        if bytes >= CHECKED {
            let fits = || available().is_none_or(|free| bytes <= free / 10 * 9);
            if !fits() {
                CACHE.clear();
                if !fits() {
                    return Err(refuse(bytes, available()));
                }
            }
        }
        let allocate = || self.ask();
        let again = || {
            CACHE.clear();
            allocate()
        };
        let block = allocate().or_else(again).ok_or_else(|| refuse(bytes, available()))?;
        #[cfg(target_os = "linux")]
        if bytes >= HUGE {
            // SAFETY: whole huge pages of a block that we own; it is only advice.
            unsafe { libc::madvise(block.as_ptr().cast(), bytes & !(HUGE_PAGE - 1), libc::MADV_HUGEPAGE) };
        }
        Ok(block)
    }

    fn is_mapped(self) -> bool {
        cfg!(target_os = "linux") && (MAPPED..HUGE).contains(&self.bytes())
    }

    /// A block from the system, if it has one.
    fn ask(self) -> Option<NonNull<u8>> {
        #[cfg(target_os = "linux")]
        if self.is_mapped() {
            let (rights, kind) =
                (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            // SAFETY: a new mapping, of whole pages as all classes of this size are.
            let at = unsafe { libc::mmap(ptr::null_mut(), self.bytes(), rights, kind, -1, 0) };
            return if at == libc::MAP_FAILED { None } else { NonNull::new(at.cast()) };
        }
        // SAFETY: the layout's size is not zero.
        NonNull::new(unsafe { alloc(self.layout()) })
    }

    unsafe fn free(self, block: NonNull<u8>) {
        #[cfg(target_os = "linux")]
        if self.is_mapped() {
            libc::munmap(block.as_ptr().cast(), self.bytes());
            return;
        }
        dealloc(block.as_ptr(), self.layout());
    }
}

fn refuse(bytes: usize, free: Option<usize>) -> Error {
    let free = free.map_or(String::new(), |f| format!("; {f} bytes are available"));
    Error::Memory(format!(
        "cannot allocate {bytes} bytes{free}\n  hint: use a smaller batch or a smaller model"
    ))
}

/// A vector with room for `len` elements. Errors with `Memory` when the system cannot give it: sizes
/// that follow the caller's data must not end the process.
pub fn room<T>(len: usize) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(len).map_err(|_| refuse(len.saturating_mul(size_of::<T>()), available()))?;
    Ok(list)
}

/// A vector of `len` zeros, under the rule of [`room`].
pub fn zeros<T: Copy + Default>(len: usize) -> Result<Vec<T>> {
    let mut list = room(len)?;
    list.resize(len, T::default());
    Ok(list)
}

/// Errors with `Memory` when the system could not give `bytes` more. Asked before many small things
/// are made, each of which would end the process if it could not be had.
pub fn headroom(bytes: usize) -> Result<()> {
    room::<u8>(bytes).map(drop)
}

/// Bytes the process may still take: the least of the system's and the control group's accounts.
/// `None` where neither can be read.
#[must_use]
pub fn available() -> Option<usize> {
    let system = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
        line.trim().trim_end_matches(" kB").parse::<usize>().ok().map(|k| k * 1024)
    });
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<usize>().ok();
    let left = |limit: &str, used: &str, stat: &str, key: &str| {
        let limit = number(limit)?;
        let stat = std::fs::read_to_string(stat).unwrap_or_default();
        let reclaimable = stat.lines().find_map(|l| l.strip_prefix(key)?.trim().parse().ok()).unwrap_or(0);
        Some(limit.saturating_sub(number(used)?.saturating_sub(reclaimable)))
    };
    let v2 = left(
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory.current",
        "/sys/fs/cgroup/memory.stat",
        "inactive_file ",
    );
    let v1 = left(
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
        "total_inactive_file ",
    );
    [system, v2, v1].into_iter().flatten().min()
}

/// Freed blocks, one stack per class, linked through the blocks themselves.
struct Kept {
    heads: [*mut u8; CLASSES],
    small: usize,
    large: usize,
}

// SAFETY: the blocks belong to the cache, and any thread may take one.
unsafe impl Send for Kept {}

struct Cache(Lock<Kept>);

static CACHE: Cache = Cache(Lock::new(Kept { heads: [ptr::null_mut(); CLASSES], small: 0, large: 0 }));

impl Cache {
    /// A kept block, if there is one and nobody else is at the cache: waiting costs more than asking
    /// the system.
    fn pop(&self, class: Class) -> Option<NonNull<u8>> {
        let mut kept = self.0.try_lock()?;
        let block = NonNull::new(kept.heads[class.0])?;
        // SAFETY: a kept block begins with the address of the next.
        kept.heads[class.0] = unsafe { block.cast::<*mut u8>().read() };
        *kept.account(class) -= class.bytes();
        Some(block)
    }

    /// Keeps a freed block, or says that there is no room.
    unsafe fn push(&self, class: Class, block: NonNull<u8>) -> bool {
        let bytes = class.bytes();
        if bytes > LARGEST_KEPT {
            return false;
        }
        let Some(mut kept) = self.0.try_lock() else { return false };
        let limit = if bytes <= SMALL { KEEP_SMALL } else { KEEP_LARGE };
        let account = kept.account(class);
        let fits = *account + bytes <= limit;
        if fits {
            *account += bytes;
            block.cast::<*mut u8>().write(kept.heads[class.0]);
            kept.heads[class.0] = block.as_ptr();
        }
        fits
    }

    /// Gives all kept blocks back to the system.
    fn clear(&self) {
        for c in 0..CLASSES {
            while let Some(block) = self.pop(Class(c)) {
                // SAFETY: the block was made for this class, and the cache no longer has it.
                unsafe { Class(c).free(block) };
            }
        }
    }
}

impl Kept {
    fn account(&mut self, class: Class) -> &mut usize {
        if class.bytes() <= SMALL { &mut self.small } else { &mut self.large }
    }
}

/// Gives all cached blocks back to the system.
pub fn release_cached() {
    CACHE.clear();
}

/// A workspace of more than so many times what is wanted is left for who needs one like it.
const ROOMY: usize = 4;

thread_local! {
    static IDLE: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// A kernel's private workspace; goes back to its thread when dropped.
#[derive(Debug)]
pub struct Scratch(Option<Buffer>);

/// At least `len` uninitialised floats from this thread's workspaces. Nested use is fine: each live
/// guard has a block of its own. The smallest that fits is taken, unless it is so large that the next
/// one wanted may need it; where none is, the largest of the smaller ones goes for one that fits. So a
/// thread keeps few more than were ever in use at once.
///
/// # Panics
/// Unwinds with an [`Error::Memory`] as its payload when the system cannot give the room; the
/// pool carries it to the caller.
#[must_use]
pub fn scratch(len: usize) -> Scratch {
    let take = |idle: &RefCell<Vec<Buffer>>| {
        let mut idle = idle.try_borrow_mut().ok()?;
        let sizes = || idle.iter().map(Buffer::bytes);
        let fits = sizes().filter(|bytes| (len..=ROOMY * len.max(1024)).contains(&(bytes / 4))).min();
        let wanted = fits.or_else(|| sizes().filter(|bytes| bytes / 4 < len).max())?;
        let at = idle.iter().position(|block| block.bytes() == wanted)?;
        Some(idle.swap_remove(at))
    };
    let idle = IDLE.try_with(take).ok().flatten();
    match idle {
        Some(block) if block.bytes() / 4 >= len => Scratch(Some(block)),
        outgrown => {
            // Nothing else has a use for a block of this size, so it is not kept.
            outgrown.into_iter().for_each(Buffer::release);
            // SAFETY: workspaces are reached through a raw pointer only.
            match unsafe { Buffer::uninit(len.next_multiple_of(1024).saturating_mul(4)) } {
                Ok(block) => Scratch(Some(block)),
                Err(error) => std::panic::resume_unwind(Box::new(error)),
            }
        }
    }
}

/// The idle workspaces of a thread, on their way to another that goes on with its work.
#[derive(Debug, Default)]
pub(crate) struct Workspaces(Vec<Buffer>);

impl Workspaces {
    /// Those of this thread, which has none then.
    pub(crate) fn take() -> Workspaces {
        let take =
            |idle: &RefCell<Vec<Buffer>>| idle.try_borrow_mut().map(|mut idle| std::mem::take(&mut *idle));
        Workspaces(IDLE.try_with(take).ok().and_then(std::result::Result::ok).unwrap_or_default())
    }

    /// Gives them to this thread, beside those that it has.
    pub(crate) fn give(self) {
        let _ = IDLE.try_with(|idle| idle.try_borrow_mut().map(|mut idle| idle.extend(self.0)));
    }
}

impl Scratch {
    /// The first float.
    #[must_use]
    pub fn as_mut_ptr(&mut self) -> *mut f32 {
        self.0.as_mut().map_or(ptr::null_mut(), |block| block.as_mut_ptr().cast())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(block) = self.0.take() {
            // At thread exit the stack may be gone already; then the block is simply freed.
            let mut block = Some(block);
            let _ = IDLE.try_with(|idle| idle.try_borrow_mut().map(|mut idle| idle.extend(block.take())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_tight_and_increasing() {
        let mut last = 0;
        for c in 0..100 {
            let bytes = Class(c).bytes();
            assert!(bytes > last);
            last = bytes;
            assert_eq!(Class::of(bytes).map(|k| k.0), Some(c));
            assert_eq!(Class::of(bytes + 1).map(|k| k.0), Some(c + 1));
        }
        for wanted in [1, 63, 64, 65, 400, 16_388, 4_000_012] {
            let bytes = Class::of(wanted).unwrap().bytes();
            assert!(bytes >= wanted && (wanted < 256 || bytes <= wanted * 5 / 4 + 64), "{wanted}: {bytes}");
        }
    }

    #[test]
    fn workspaces_are_taken_by_size_and_not_by_their_order() {
        // On a thread of its own, which has none yet.
        std::thread::spawn(|| {
            let (large, small) = (scratch(1 << 16), scratch(1 << 12));
            let places = [&large, &small].map(|s| s.0.as_ref().map(Buffer::as_ptr));
            drop(small);
            drop(large);
            let (small, large) = (scratch(1 << 12), scratch(1 << 16));
            assert_eq!([&large, &small].map(|s| s.0.as_ref().map(Buffer::as_ptr)), places);
            drop((small, large));
            let spaces = Workspaces::take();
            assert_eq!(spaces.0.len(), 2);
            spaces.give();
            let larger = scratch(1 << 17);
            assert_eq!(Workspaces::take().0.len(), 1, "the largest went for a larger one");
            drop(larger);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_small_workspace_leaves_a_large_one_to_who_needs_it() {
        std::thread::spawn(|| {
            drop(scratch(1 << 15));
            for _ in 0..3 {
                let small = scratch(1 << 12);
                let large = scratch(1 << 15);
                drop((small, large));
            }
            let sizes: Vec<usize> = Workspaces::take().0.iter().map(Buffer::bytes).collect();
            assert_eq!(sizes.iter().sum::<usize>(), 4 * ((1 << 12) + (1 << 15)), "{sizes:?}");
        })
        .join()
        .unwrap();
    }
}
