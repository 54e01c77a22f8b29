//! F7. Arrays of callers as a function's inputs want them, rows at a time, and its values as arrays.

use crate::buffer::Buffer;
use crate::dim::{Binder, Bindings, Dim};
use crate::error::Result;
use crate::graph::{Arg, Ty};
use crate::kernels::stored;
use crate::pool;
use crate::shape::DType;
use crate::simd::isa;
use crate::tensor::Storage;

/// Rows of an array as an input wants them: where they lie, or widened where the array is of a storage
/// type that the input is not.
#[derive(Debug)]
pub(crate) struct Feed {
    base: *mut u8,
    from: DType,
    to: DType,
    /// Elements of a row; 0 for an input without a batch axis.
    row: usize,
    /// Room for the widened rows of a batch, if the types differ.
    wide: Option<Buffer>,
}

impl Feed {
    /// # Safety
    /// `arg` covers its type as long as the feed is in use.
    pub(crate) fn new(input: Ty, arg: Arg, bindings: &Bindings, batch: usize) -> Result<Feed> {
        let (from, to) = (arg.ty.dtype, input.dtype);
        let row = row_bytes(&input, bindings)? / to.size();
        let mut wide = None;
        if from != to {
            let count = if row == 0 { arg.ty.shape.count() } else { batch * row };
            let mut buffer = Buffer::zeroed(count * to.size())?;
            if row == 0 {
                // SAFETY: the argument covers its shape, and `bindings` saw that the types go together.
                unsafe { stored::read_as(from, to, arg.ptr, buffer.as_mut_ptr(), count) };
            }
            wide = Some(buffer);
        }
        Ok(Feed { base: arg.ptr, from, to, row, wide })
    }

    /// Rows `start .. start + n`, at most a batch.
    pub(crate) fn rows(&mut self, start: usize, n: usize) -> *mut u8 {
        let first = self.base.wrapping_add(start * self.row * self.from.size());
        let Some(wide) = &mut self.wide else { return first };
        let (to, row) = (wide.as_mut_ptr(), self.row);
        if row > 0 {
            let job = Reading { feed: (self.from, self.to), src: first, dst: to };
            pool::run_range(n * row, READ_GRAIN, &|range| {
                // SAFETY: the rows lie inside the array, and the room is for a batch of them.
                unsafe { job.run(range.start, range.start, range.len()) };
            });
        }
        to
    }
}

/// Elements that are widened at a time.
const READ_GRAIN: usize = 1 << 16;

struct Reading {
    feed: (DType, DType),
    src: *const u8,
    dst: *mut u8,
}

// SAFETY: work items write disjoint elements and only read the array.
unsafe impl Sync for Reading {}

impl Reading {
    /// Widens `n` elements from element `at` on to element `to` on.
    unsafe fn run(&self, at: usize, to: usize, n: usize) {
        let (from_type, to_type) = self.feed;
        let dst = self.dst.wrapping_add(to * to_type.size());
        stored::read_as(from_type, to_type, self.src.wrapping_add(at * from_type.size()), dst, n);
    }
}

/// The batch size among bound sizes.
pub(crate) fn rows_of(bindings: &Bindings) -> usize {
    bindings.get(Dim::BATCH).and_then(Dim::known).map_or(1, |rows| rows as usize)
}

/// Bytes of one row of an input with a batch axis; 0 when it has none, so that every batch sees
/// all of it. Errors when rows do not follow each other: the batch counts along another axis.
pub(crate) fn row_bytes(ty: &Ty, bindings: &Bindings) -> Result<usize> {
    if let [Dim::BATCH, rest @ ..] = ty.shape.dims()
        && !rest.iter().any(|d| d.is_open())
    {
        let count = rest.iter().filter_map(|d| d.known()).product::<i64>() as usize;
        return Ok(count * ty.dtype.size());
    }
    let uses_batch = |d: &Dim| d.is_open() && d.symbols().contains(&Dim::BATCH);
    if !ty.shape.dims().iter().any(uses_batch) {
        return Ok(0);
    }
    let [first, rest @ ..] = ty.shape.dims() else { return Ok(0) };
    let whole = first.divided(Dim::BATCH).filter(|d| !d.is_open());
    if whole.is_none() || rest.iter().any(uses_batch) {
        return crate::shape_err!(
            "an input of shape {} has no rows to split a data set into\n  hint: trace the function with an open first axis: the batch",
            ty.shape
        );
    }
    let mut one = bindings.clone();
    one.set(Dim::BATCH, Dim::ONE);
    Ok(sized(ty, &one)?.bytes())
}

/// True when values of this type lie in memory as their NumPy type does. Truth values are bytes
/// there; bfloat16 has no such type and becomes float32.
#[must_use]
pub fn is_plain(dtype: DType) -> bool {
    !matches!(dtype, DType::Bool | DType::BF16)
}

/// Bytes that a value of a type takes as an array of its NumPy type.
#[must_use]
pub fn array_bytes(ty: Ty) -> usize {
    match ty.dtype {
        DType::Bool => ty.shape.count(),
        DType::BF16 => 4 * ty.shape.count(),
        _ => ty.bytes(),
    }
}

/// Writes a value of a type that is not plain as its NumPy type has it.
///
/// # Panics
/// When there is not as much room as [`array_bytes`] says.
pub fn write_array(value: &Storage, ty: Ty, to: &mut [u8]) {
    assert!(value.fills(ty) && to.len() == array_bytes(ty), "invariant: an array has room for its value");
    if ty.dtype == DType::Bool {
        for (byte, cell) in to.iter_mut().zip(value.as_slice().iter()) {
            *byte = u8::from(*cell != 0.0);
        }
        return;
    }
    const BLOCK: usize = 4096;
    let (size, mut bytes, mut wide) = (ty.dtype.size(), [0; 4 * BLOCK], [0.0f32; BLOCK]);
    for (block, to) in to.chunks_mut(4 * BLOCK).enumerate() {
        let count = to.len() / 4;
        value.read(block * BLOCK * size, &mut bytes[..count * size]);
        // SAFETY: the processor has the set; both blocks hold as many elements.
        unsafe { stored::widen(isa())(ty.dtype, bytes.as_ptr(), wide.as_mut_ptr(), count) };
        for (to, x) in to.chunks_exact_mut(4).zip(&wide) {
            to.copy_from_slice(&x.to_ne_bytes());
        }
    }
}

/// A type with its open sizes filled in.
pub(crate) fn sized(ty: &Ty, bindings: &Bindings) -> Result<Ty> {
    Ok(Ty { shape: ty.shape.bind(&mut Binder::new(bindings))?, dtype: ty.dtype })
}
