//! F7. Where values live: an immutable block shared by handles ([`Storage`]) and the mutable
//! home of a weight ([`Variable`]). Readers of a variable get a snapshot that never changes; a run
//! that updates it checks it out, writes in place when nobody else holds the block, and checks it
//! back in. May use buffer, shape, sync and error only.

use crate::buffer::{Buffer, Plain};
use crate::error::{Error, Result};
use crate::graph::Ty;
use crate::kernels::stored;
use crate::shape::DType;
use crate::sync::{self, AtFork, Lock, Waiters};
use smallvec::SmallVec;
use std::any::Any;
use std::borrow::Cow;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU32, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

/// The value of a variable and its version, which no other value of the variable has.
pub(crate) type Versioned = (Arc<Storage>, u64);

/// A block of elements, ours or borrowed from somebody who keeps it alive.
#[derive(Debug)]
pub struct Storage {
    ptr: *mut u8,
    /// Elements.
    len: usize,
    /// What they are in memory ([`DType::memory`]).
    dtype: DType,
    owner: Owner,
}

#[derive(Debug)]
enum Owner {
    Buffer(#[allow(dead_code)] Buffer),
    /// Held only to be dropped, and never under a lock: its owner may have to be asked.
    Foreign {
        keep: Option<Box<dyn Any + Send + Sync>>,
        fixed: bool,
    },
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Owner::Foreign { keep, .. } = self
            && let Some(keep) = keep.take()
        {
            sync::drop_outside(keep);
        }
    }
}

// SAFETY: the block is plain memory. What shares a storage only reads it; a variable writes the
// pointer it checked out, which it gives only when no other `Arc` of the storage is left.
unsafe impl Send for Storage {}
// SAFETY: as above, shared access only reads.
unsafe impl Sync for Storage {}

impl Storage {
    /// Takes a buffer over that holds elements of this type.
    ///
    /// # Panics
    /// When its bytes are no whole number of them.
    #[must_use]
    pub fn new(mut buffer: Buffer, dtype: DType) -> Storage {
        let bytes = buffer.bytes();
        assert!(bytes.is_multiple_of(dtype.size()), "invariant: {bytes} bytes hold whole elements");
        Storage {
            ptr: buffer.as_mut_ptr(),
            len: bytes / dtype.size(),
            dtype: dtype.memory(),
            owner: Owner::Buffer(buffer),
        }
    }

    /// A copy of floats.
    pub fn from_slice(values: &[f32]) -> Result<Storage> {
        Ok(Storage::new(Buffer::from_slice(values)?, DType::F32))
    }

    /// A copy of integers.
    pub fn from_ints(values: &[i32]) -> Result<Storage> {
        Ok(Storage::new(Buffer::from_slice(values)?, DType::I32))
    }

    /// Zeros that fill a type.
    pub fn zeroed(ty: Ty) -> Result<Storage> {
        Ok(Storage::new(Buffer::zeroed(ty.bytes())?, ty.dtype))
    }

    /// Somebody else's memory, shared without a copy.
    ///
    /// # Safety
    /// `ptr` is valid for reads of the bytes of `ty`, aligned to its elements, until `keep` is
    /// dropped, and with `fixed` nobody writes them until then. Without it somebody may: such
    /// elements are only ever read through the pointer.
    pub unsafe fn foreign(ptr: *const u8, ty: Ty, fixed: bool, keep: Box<dyn Any + Send + Sync>) -> Storage {
        Storage {
            ptr: ptr.cast_mut(),
            len: ty.shape.count(),
            dtype: ty.dtype.memory(),
            owner: Owner::Foreign { keep: Some(keep), fixed },
        }
    }

    /// The first byte. Only the program that has the block to itself may write through it.
    #[must_use]
    pub fn ptr(&self) -> *mut u8 {
        self.ptr
    }

    /// What the elements are in memory.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// True when it holds a value of this type.
    #[must_use]
    pub fn fills(&self, ty: Ty) -> bool {
        self.dtype == ty.dtype.memory() && self.len == ty.shape.count()
    }

    /// Number of bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.len * self.dtype.size()
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements of a float or truth value: borrowed, or a copy where somebody else may write
    /// them.
    ///
    /// # Panics
    /// When it has another type. Likewise below.
    #[must_use]
    pub fn as_slice(&self) -> Cow<'_, [f32]> {
        assert_eq!(self.dtype, DType::F32, "invariant: values of another type are not read as floats");
        self.elements()
    }

    /// The elements of an i32 value, as [`Storage::as_slice`].
    #[must_use]
    pub fn as_ints(&self) -> Cow<'_, [i32]> {
        assert_eq!(self.dtype, DType::I32, "invariant: values of another type are not read as integers");
        self.elements()
    }

    /// `T` has the size of the elements.
    fn elements<T: Plain>(&self) -> Cow<'_, [T]> {
        assert_eq!(size_of::<T>(), self.dtype.size(), "invariant: elements are read whole");
        if self.len == 0 {
            return Cow::Borrowed(&[]);
        }
        if self.is_fixed() {
            // SAFETY: `len` elements, as `new` and `foreign` promise, which nobody writes while the
            // storage is shared; any bits are a `T`.
            return Cow::Borrowed(unsafe { std::slice::from_raw_parts(self.ptr.cast(), self.len) });
        }
        let mut copy = vec![T::default(); self.len];
        // SAFETY: as above; no reference to elements that may change is made.
        unsafe {
            std::ptr::copy_nonoverlapping(self.ptr.cast::<T>().cast_const(), copy.as_mut_ptr(), self.len)
        };
        Cow::Owned(copy)
    }

    /// The element at a position, as a number.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn number(&self, at: usize) -> f64 {
        let size = self.dtype.size();
        let mut bytes = [0; 4];
        self.read(at * size, &mut bytes[..size]);
        stored::decode(&bytes, self.dtype)
    }

    /// All elements as floats: those of integer types converted.
    #[must_use]
    pub fn numbers(&self) -> Vec<f32> {
        match self.dtype {
            DType::F32 => self.as_slice().into_owned(),
            _ => (0..self.len).map(|at| self.number(at) as f32).collect(),
        }
    }

    /// Copies the bytes from `start` on to `to`.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn read(&self, start: usize, to: &mut [u8]) {
        let bytes = self.bytes();
        assert!(start <= bytes && to.len() <= bytes - start, "invariant: reads stay inside the block");
        // SAFETY: the range was just checked; `to` is borrowed alone, so nothing overlaps.
        unsafe { std::ptr::copy_nonoverlapping(self.ptr.add(start).cast_const(), to.as_mut_ptr(), to.len()) };
    }

    /// A copy of its own.
    pub fn duplicate(&self) -> Result<Storage> {
        let mut copy = Buffer::zeroed(self.bytes())?;
        // SAFETY: both have as many bytes, and the copy is new.
        unsafe { std::ptr::copy_nonoverlapping(self.ptr.cast_const(), copy.as_mut_ptr(), self.bytes()) };
        Ok(Storage::new(copy, self.dtype))
    }

    /// True when nobody writes the elements while the storage is shared.
    fn is_fixed(&self) -> bool {
        matches!(self.owner, Owner::Buffer(_) | Owner::Foreign { fixed: true, .. })
    }

    fn is_ours(&self) -> bool {
        matches!(self.owner, Owner::Buffer(_))
    }
}

/// Callers waiting for some variable that a run has checked out. A training loop looks here
/// between steps and lets them in.
pub(crate) static WAITING: AtomicUsize = AtomicUsize::new(0);
/// In a forked child those who waited are gone.
static NOBODY_WAITS: AtFork = AtFork::new(|| WAITING.store(0, Relaxed));

/// A named, typed value that programs read and update: a weight, a moving average, a metric sum.
#[derive(Debug)]
pub struct Variable {
    ty: Ty,
    cell: Lock<Cell>,
    /// Changes whenever the value is about to.
    version: AtomicU64,
    /// Callers waiting for this one.
    waiting: AtomicU32,
    name: Lock<String>,
}

#[derive(Debug)]
struct Cell {
    value: Arc<Storage>,
    /// The process whose run has the value checked out, by its generation, or 0. A forked child
    /// ignores its parent's.
    holder: u32,
    waiters: Waiters,
}

/// A caller that waits for variables: while it lives, runs that hold one of them let others in.
struct Wish<'a>(Vec<&'a Variable>);

impl<'a> Wish<'a> {
    fn new(variables: Vec<&'a Variable>) -> Wish<'a> {
        for variable in &variables {
            variable.waiting.fetch_add(1, Relaxed);
        }
        WAITING.fetch_add(1, Release);
        Wish(variables)
    }
}

impl Drop for Wish<'_> {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Release);
        for variable in &self.0 {
            variable.waiting.fetch_sub(1, Relaxed);
        }
    }
}

impl Variable {
    /// A variable that starts as `value`, which fills `ty`.
    #[must_use]
    pub fn new(ty: Ty, value: Arc<Storage>, name: &str) -> Arc<Variable> {
        assert!(value.fills(ty), "invariant: a variable's value fills its type");
        NOBODY_WAITS.watch();
        Arc::new(Variable {
            ty,
            cell: Lock::new(Cell { value, holder: 0, waiters: Waiters::new() }),
            version: AtomicU64::new(0),
            waiting: AtomicU32::new(0),
            name: Lock::new(name.to_string()),
        })
    }

    /// Shape and type; they never change.
    #[must_use]
    pub fn ty(&self) -> Ty {
        self.ty
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.lock().clone()
    }

    /// Renames it.
    pub fn rename(&self, name: &str) {
        *self.name.lock() = name.to_string();
    }

    /// The value now; waits while a run has it checked out.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Storage> {
        self.free(|cell| cell.value.clone())
    }

    /// The values of several variables at one moment, between steps of the runs that update them.
    #[must_use]
    pub fn snapshots<'a>(variables: impl Iterator<Item = &'a Arc<Variable>> + Clone) -> Vec<Arc<Storage>> {
        let mut values = SmallVec::new();
        Variable::versioned(variables.map(Some), &mut values);
        values.into_iter().flatten().map(|(value, _)| value).collect()
    }

    /// Appends to `values` what [`Variable::snapshots`] gives, each with its version, which no other value
    /// of the variable has; `None` where there is no variable.
    pub(crate) fn versioned<'a>(
        variables: impl Iterator<Item = Option<&'a Arc<Variable>>> + Clone,
        values: &mut SmallVec<[Option<Versioned>; 16]>,
    ) {
        let before = values.len();
        let read = |values: &mut SmallVec<[Option<Versioned>; 16]>| {
            values.truncate(before);
            let out = sync::section(|section| {
                for variable in variables.clone() {
                    let Some(variable) = variable else {
                        values.push(None);
                        continue;
                    };
                    let is_out = variable.cell.within(section, |cell| {
                        if !cell.is_out() {
                            values.push(Some((cell.value.clone(), variable.version.load(Relaxed))));
                        }
                        cell.is_out()
                    });
                    if is_out {
                        return Some(variable);
                    }
                }
                None
            });
            if let Some(variable) = out {
                return Err(variable);
            }
            // What was free when it was read, and is of the same version now that all are read, had
            // its value in between.
            let is_same = |(variable, value): (Option<&Arc<Variable>>, &Option<Versioned>)| {
                variable
                    .zip(value.as_ref())
                    .is_none_or(|(v, (_, version))| v.version.load(Acquire) == *version)
            };
            Ok(variables.clone().zip(&values[before..]).all(is_same))
        };
        if let Ok(true) = read(values) {
            return;
        }
        sync::outside(|| {
            let _wish = Wish::new(variables.clone().flatten().map(|v| &**v).collect());
            loop {
                match read(values) {
                    Ok(true) => return,
                    Ok(false) => std::thread::yield_now(),
                    Err(variable) => variable.free_outside(&mut |_| ()),
                }
            }
        });
    }

    /// Replaces the value; waits while a run has it checked out. Errors when it does not fill the type.
    pub fn assign(self: &Arc<Variable>, value: Arc<Storage>) -> Result<()> {
        Variable::assign_all(&[(self.clone(), value)])
    }

    /// Replaces several values at one moment, between steps of the runs that update them. Errors
    /// when one does not fill its type; then none is replaced.
    pub fn assign_all(pairs: &[(Arc<Variable>, Arc<Storage>)]) -> Result<()> {
        for (variable, value) in pairs {
            if value.len() != variable.ty.shape.count() {
                return crate::shape_err!(
                    "assign: {} elements do not fill a variable of shape {}\n  hint: as many elements as the product of the sizes",
                    value.len(),
                    variable.ty.shape
                );
            }
            if !value.fills(variable.ty) {
                return crate::data_err!(
                    "assign: the value has type {}, wanted {} as the variable\n  hint: cast the value",
                    value.dtype.name(),
                    variable.ty.dtype.name()
                );
            }
        }
        // In the order in which runs take variables out, so that nobody waits in a circle.
        let mut order: Vec<usize> = (0..pairs.len()).collect();
        order.sort_by_key(|&i| Arc::as_ptr(&pairs[i].0) as usize);
        order.dedup_by_key(|i| Arc::as_ptr(&pairs[*i].0) as usize);
        for &i in &order {
            let variable = &pairs[i].0;
            variable.free(|cell| _ = variable.claim(cell));
        }
        for (variable, value) in pairs {
            let old = mem::replace(&mut variable.cell.lock().value, value.clone());
            drop(old);
        }
        for &i in &order {
            pairs[i].0.check_in();
        }
        Ok(())
    }

    /// Overwrites the value with zeros (all element types have zero as zero bits).
    pub fn reset(self: &Arc<Variable>) -> Result<()> {
        let done = self.free(|cell| {
            let Some(alone) = Arc::get_mut(&mut cell.value).filter(|s| s.is_ours()) else { return false };
            self.version.fetch_add(1, Release);
            // SAFETY: the block is ours alone and has as many bytes.
            unsafe { std::ptr::write_bytes(alone.ptr, 0, alone.bytes()) };
            true
        });
        if done { Ok(()) } else { self.assign(zeros(self.ty)?) }
    }

    /// True when a snapshot can be had without waiting.
    #[must_use]
    pub fn is_free(&self) -> bool {
        !self.cell.lock().is_out()
    }

    /// True when somebody waits for this variable.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

    /// Takes the value for writing in place, alone; pair with [`Variable::check_in`]. The pointer
    /// stays valid until then. With it comes the version of what will be written: the value at hand
    /// is of the version before.
    pub(crate) fn check_out(&self) -> Result<(*mut u8, u64)> {
        let (value, ptr, version) = self.free(|cell| {
            let version = self.claim(cell);
            let alone = Arc::get_mut(&mut cell.value).filter(|s| s.is_ours()).map(|s| s.ptr);
            (alone.is_none().then(|| cell.value.clone()), alone, version)
        });
        if let Some(ptr) = ptr {
            return Ok((ptr, version));
        }
        // Somebody holds a snapshot. It is copied without the lock: large values take a while.
        let own = value.expect("invariant: a value that is not alone was taken").duplicate();
        match own {
            Ok(own) => {
                let ptr = own.ptr;
                let old = mem::replace(&mut self.cell.lock().value, Arc::new(own));
                drop(old);
                Ok((ptr, version))
            }
            Err(error) => {
                self.check_in();
                Err(error)
            }
        }
    }

    /// Gives the value back and wakes those who wait.
    pub(crate) fn check_in(&self) {
        let waiters = {
            let mut cell = self.cell.lock();
            cell.holder = 0;
            cell.waiters.take()
        };
        waiters.wake();
    }

    fn claim(&self, cell: &mut Cell) -> u64 {
        cell.holder = sync::generation();
        self.version.fetch_add(1, Release) + 1
    }

    /// Looks at the value while no run has it; waits until then.
    fn free<T>(&self, mut look: impl FnMut(&mut Cell) -> T) -> T {
        let mut cell = self.cell.lock();
        if !cell.is_out() {
            return look(&mut cell);
        }
        drop(cell);
        sync::outside(|| {
            let _wish = Wish::new(vec![self]);
            self.free_outside(&mut look)
        })
    }

    fn free_outside<T>(&self, look: &mut dyn FnMut(&mut Cell) -> T) -> T {
        loop {
            {
                let mut cell = self.cell.lock();
                if !cell.is_out() {
                    return look(&mut cell);
                }
                cell.waiters.enlist();
            }
            sync::rest();
        }
    }
}

impl Cell {
    fn is_out(&self) -> bool {
        self.holder != 0 && self.holder == sync::generation()
    }
}

/// All zeros of a type.
pub fn zeros(ty: Ty) -> Result<Arc<Storage>> {
    Ok(Arc::new(Storage::zeroed(ty)?))
}

/// One element of any type in memory: its bytes come first.
#[derive(Debug, Clone, Copy)]
#[repr(align(4))]
pub struct Element([u8; 4]);

impl Element {
    /// The bytes of an element of this type.
    #[must_use]
    pub fn bytes(&self, dtype: DType) -> &[u8] {
        &self.0[..dtype.size()]
    }
}

/// `value` as an element of a type.
pub fn encode(value: f64, dtype: DType) -> Result<Element> {
    Ok(Element(match dtype {
        DType::Bool => stored::encode(f64::from(u8::from(value != 0.0)), dtype),
        DType::F32 | DType::BF16 | DType::F16 => stored::encode(value, dtype),
        DType::I32 | DType::I8 | DType::U8 => {
            let whole = value.trunc();
            let (least, most) = dtype.whole().unwrap_or_default();
            if !(least as f64..=most as f64).contains(&whole) {
                let name = dtype.name();
                return Err(Error::Data(format!(
                    "{value} does not fit {name} ({least} to {most})\n  hint: use float32"
                )));
            }
            stored::encode(whole, dtype)
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_others_may_write_is_copied_out() {
        let mut values = [1.0f32, 2.0, 3.0];
        let (ptr, ty) = (values.as_mut_ptr(), Ty::f32(crate::shape::Shape::new(&[3]).unwrap()));
        // SAFETY: the array outlives both storages, and is written through the same pointer only.
        let (fixed, open) = unsafe {
            (
                Storage::foreign(ptr.cast(), ty, true, Box::new(())),
                Storage::foreign(ptr.cast(), ty, false, Box::new(())),
            )
        };
        assert!(matches!(fixed.as_slice(), Cow::Borrowed(_)));
        drop(fixed);
        let before = open.as_slice();
        assert!(matches!(before, Cow::Owned(_)));
        let mut first = [0; 4];
        // SAFETY: as above.
        unsafe { ptr.write(7.0) };
        open.read(0, &mut first);
        let now = f32::from_ne_bytes(first);
        assert_eq!((before[0], now, open.duplicate().unwrap().as_slice()[0]), (1.0, 7.0, 7.0));
    }
}
