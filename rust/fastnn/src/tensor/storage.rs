//! F7. Where values live: an immutable block shared by handles ([`Storage`]) and the mutable
//! home of a weight ([`Variable`]). Readers of a variable get a snapshot that never changes; a run
//! that updates it checks it out, writes in place when nobody else holds the block, and checks it
//! back in. May use buffer, shape and error only.

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::graph::Ty;
use crate::shape::DType;
use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A block of 4-byte cells, ours or borrowed from somebody who keeps it alive and unchanged.
#[derive(Debug)]
pub struct Storage {
    ptr: *mut f32,
    len: usize,
    owner: Owner,
}

#[derive(Debug)]
enum Owner {
    Buffer(#[allow(dead_code)] Buffer),
    /// Held only to be dropped.
    Foreign(#[allow(dead_code)] Box<dyn Any + Send + Sync>),
}

// SAFETY: the block is plain memory; it is written only through `writable`, which takes `&mut`.
unsafe impl Send for Storage {}
// SAFETY: as above, shared access only reads.
unsafe impl Sync for Storage {}

impl Storage {
    /// Takes a buffer over.
    #[must_use]
    pub fn new(mut buffer: Buffer) -> Storage {
        Storage { ptr: buffer.as_mut_ptr(), len: buffer.len(), owner: Owner::Buffer(buffer) }
    }

    /// A copy of `values`.
    pub fn from_slice(values: &[f32]) -> Result<Storage> {
        Ok(Storage::new(Buffer::from_slice(values)?))
    }

    /// `len` zeros.
    pub fn zeroed(len: usize) -> Result<Storage> {
        Ok(Storage::new(Buffer::zeroed(len)?))
    }

    /// Somebody else's memory, shared without a copy.
    ///
    /// # Safety
    /// `ptr` is valid for reads of `len` 4-byte cells, aligned to 4, and unchanged until `keep` is
    /// dropped.
    pub unsafe fn foreign(ptr: *const f32, len: usize, keep: Box<dyn Any + Send + Sync>) -> Storage {
        Storage { ptr: ptr.cast_mut(), len, owner: Owner::Foreign(keep) }
    }

    /// The first cell. Only the program that has the block to itself may write through it.
    #[must_use]
    pub fn ptr(&self) -> *mut f32 {
        self.ptr
    }

    /// Number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there are no cells.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The cells as floats.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: `len` valid cells, as `new` and `foreign` promise; any bits are a float.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }

    /// The cells as integers, for i32 values.
    #[must_use]
    pub fn as_ints(&self) -> &[i32] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: as `as_slice`; i32 and f32 have one size and alignment.
        unsafe { std::slice::from_raw_parts(self.ptr.cast(), self.len) }
    }

    /// A copy of its own.
    pub fn duplicate(&self) -> Result<Storage> {
        Storage::from_slice(self.as_slice())
    }

    fn is_ours(&self) -> bool {
        matches!(self.owner, Owner::Buffer(_))
    }
}

/// Callers waiting for some variable that a run has checked out. A training loop looks here
/// between steps and lets them in.
pub(crate) static WAITING: AtomicUsize = AtomicUsize::new(0);

/// A named, typed value that programs read and update: a weight, a moving average, a metric sum.
#[derive(Debug)]
pub struct Variable {
    ty: Ty,
    cell: Mutex<Cell>,
    returned: Condvar,
    name: Mutex<String>,
}

#[derive(Debug)]
struct Cell {
    value: Arc<Storage>,
    /// The process whose run has the value checked out, or 0. A forked child ignores its parent's.
    holder: u32,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Variable {
    /// A variable that starts as `value`, which holds `ty.shape.count()` cells.
    #[must_use]
    pub fn new(ty: Ty, value: Arc<Storage>, name: &str) -> Arc<Variable> {
        assert_eq!(ty.shape.count(), value.len(), "invariant: a variable's value fills its shape");
        Arc::new(Variable {
            ty,
            cell: Mutex::new(Cell { value, holder: 0 }),
            returned: Condvar::new(),
            name: Mutex::new(name.to_string()),
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
        lock(&self.name).clone()
    }

    /// Renames it.
    pub fn rename(&self, name: &str) {
        *lock(&self.name) = name.to_string();
    }

    /// The value now, unless a run has it checked out. Never waits.
    #[must_use]
    pub fn try_snapshot(&self) -> Option<Arc<Storage>> {
        let cell = lock(&self.cell);
        (!cell.is_out()).then(|| cell.value.clone())
    }

    /// The value now; waits while a run has it checked out.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Storage> {
        self.free().value.clone()
    }

    /// Replaces the value; waits while a run has it checked out. Errors when the length differs.
    pub fn assign(&self, value: Arc<Storage>) -> Result<()> {
        if value.len() != self.ty.shape.count() {
            return crate::shape_err!(
                "assign: {} elements do not fill a variable of shape {}",
                value.len(),
                self.ty.shape
            );
        }
        self.free().value = value;
        Ok(())
    }

    /// Overwrites the value with zeros (all element types have zero as zero bits).
    pub fn reset(&self) -> Result<()> {
        let mut cell = self.free();
        if let Some(alone) = Arc::get_mut(&mut cell.value).filter(|s| s.is_ours()) {
            // SAFETY: the block is ours alone and has `len` cells.
            unsafe { std::ptr::write_bytes(alone.ptr, 0, alone.len) };
        } else {
            cell.value = zeros(self.ty)?;
        }
        Ok(())
    }

    /// True when a snapshot can be had without waiting.
    #[must_use]
    pub fn is_free(&self) -> bool {
        !lock(&self.cell).is_out()
    }

    /// Takes the value for writing in place, alone; pair with [`Variable::check_in`]. The pointer
    /// stays valid until then.
    pub(crate) fn check_out(&self) -> Result<*mut f32> {
        let mut cell = self.free();
        let alone = Arc::get_mut(&mut cell.value).is_some_and(|s| s.is_ours());
        if !alone {
            cell.value = Arc::new(cell.value.duplicate()?);
        }
        cell.holder = std::process::id();
        Ok(cell.value.ptr)
    }

    /// Gives the value back and wakes those who wait.
    pub(crate) fn check_in(&self) {
        lock(&self.cell).holder = 0;
        self.returned.notify_all();
    }

    fn free(&self) -> MutexGuard<'_, Cell> {
        let mut cell = lock(&self.cell);
        if cell.is_out() {
            WAITING.fetch_add(1, Relaxed);
            while cell.is_out() {
                cell = self.returned.wait(cell).unwrap_or_else(PoisonError::into_inner);
            }
            WAITING.fetch_sub(1, Relaxed);
        }
        cell
    }
}

impl Cell {
    fn is_out(&self) -> bool {
        self.holder != 0 && self.holder == std::process::id()
    }
}

/// All zeros of a type.
pub fn zeros(ty: Ty) -> Result<Arc<Storage>> {
    Ok(Arc::new(Storage::zeroed(ty.shape.count())?))
}

/// The cell that stands for `value` in memory.
pub fn encode(value: f64, dtype: DType) -> Result<f32> {
    match dtype {
        DType::F32 => Ok(value as f32),
        DType::Bool => Ok(f32::from(u8::from(value != 0.0))),
        DType::I32 => {
            let whole = value.trunc();
            if !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&whole) {
                return Err(Error::Data(format!(
                    "{value} does not fit int32 (-2147483648 to 2147483647); hint: use float32"
                )));
            }
            Ok(f32::from_bits(whole as i32 as u32))
        }
    }
}
