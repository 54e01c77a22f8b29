//! F0. Shapes, element types and broadcasting. `F32` computes, `I32` indexes, `Bool` is stored as
//! the floats 0 and 1 so that masks multiply without a cast. The other types are for storage.

use crate::dim::{Binder, Dim};
use crate::error::Result;
use std::fmt;
use std::ops::Deref;

/// The highest rank a tensor can have.
pub const MAX_RANK: usize = 8;

/// Element types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 32-bit signed integer.
    I32,
    /// Truth value, stored as the float 0.0 or 1.0.
    Bool,
    /// The upper half of an f32. This and those below are storage types: memory holds them, and
    /// they are computed with as f32 or i32.
    BF16,
    /// Half-precision float.
    F16,
    /// 8-bit signed integer.
    I8,
    /// 8-bit unsigned integer.
    U8,
}

impl DType {
    /// The NumPy name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "float32",
            DType::I32 => "int32",
            DType::Bool => "bool",
            DType::BF16 => "bfloat16",
            DType::F16 => "float16",
            DType::I8 => "int8",
            DType::U8 => "uint8",
        }
    }

    /// All of them, each at the place of its number, `dtype as usize`.
    pub const ALL: [DType; 7] =
        [DType::F32, DType::I32, DType::Bool, DType::BF16, DType::F16, DType::I8, DType::U8];

    /// The type of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// True for types that memory holds and nothing computes in.
    #[must_use]
    pub fn is_stored(self) -> bool {
        self.computing() != self
    }

    /// The type in which its values are computed with, which holds all of them exactly.
    #[must_use]
    pub fn computing(self) -> DType {
        match self {
            DType::BF16 | DType::F16 => DType::F32,
            DType::I8 | DType::U8 => DType::I32,
            other => other,
        }
    }

    /// True for numbers with a fraction.
    #[must_use]
    pub fn is_float(self) -> bool {
        self.computing() == DType::F32
    }

    /// The whole numbers that an integer type holds, least and largest.
    #[must_use]
    pub fn whole(self) -> Option<(i64, i64)> {
        match self {
            DType::I32 => Some((i32::MIN.into(), i32::MAX.into())),
            DType::I8 => Some((i8::MIN.into(), i8::MAX.into())),
            DType::U8 => Some((0, u8::MAX.into())),
            _ => None,
        }
    }

    /// Bytes of one element in memory.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            DType::F32 | DType::I32 | DType::Bool => 4,
            DType::BF16 | DType::F16 => 2,
            DType::I8 | DType::U8 => 1,
        }
    }

    /// What its elements are in memory: truth values are floats.
    #[must_use]
    pub fn memory(self) -> DType {
        match self {
            DType::Bool => DType::F32,
            other => other,
        }
    }

    /// The type of a value computed from `self` and `other` together.
    #[must_use]
    pub fn join(self, other: DType) -> DType {
        if self == other {
            return self;
        }
        match (self.computing(), other.computing()) {
            (DType::F32, _) | (_, DType::F32) => DType::F32,
            (DType::I32, _) | (_, DType::I32) => DType::I32,
            _ => DType::Bool,
        }
    }
}

const _: () = {
    let mut at = 0;
    while at < DType::ALL.len() {
        assert!(DType::ALL[at] as usize == at);
        at += 1;
    }
};

/// A shape: up to [`MAX_RANK`] sizes, row-major. `Copy`, so rules pass it by value. Sizes may be
/// open while a graph is traced; programs are made of graphs whose sizes are all known.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    rank: u8,
    open: bool,
    dims: [Dim; MAX_RANK],
}

/// Sizes as numbers, by value.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    rank: u8,
    all: [usize; MAX_RANK],
}

impl Deref for Sizes {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.all[..self.rank as usize]
    }
}

impl Shape {
    /// A shape from its sizes. Errors past rank 8, on a negative size or when the element count
    /// overflows; open sizes are looked at when they are bound.
    pub fn new<D: Copy + Into<Dim>>(dims: &[D]) -> Result<Shape> {
        let mut all = [Dim::ZERO; MAX_RANK];
        if dims.len() > MAX_RANK {
            let dims: Vec<Dim> = dims.iter().map(|&d| d.into()).collect();
            return crate::shape_err!(
                "rank {} is above the limit of {MAX_RANK}: {dims:?}\n  hint: reshape: join axes first",
                dims.len()
            );
        }
        for (to, &from) in all.iter_mut().zip(dims) {
            *to = from.into();
        }
        let dims = &all[..dims.len()];
        let (mut count, mut open) = (1usize, false);
        for &d in dims {
            let Some(known) = d.known() else {
                open = true;
                continue;
            };
            if known < 0 {
                return crate::shape_err!(
                    "size {known} in shape {} is negative\n  hint: sizes are 0 or more",
                    Dims(dims)
                );
            }
            if known != 0 {
                count = match count.checked_mul(known as usize) {
                    Some(c) if c <= isize::MAX as usize / 4 => c,
                    _ => {
                        let bytes = dims.iter().filter_map(|d| d.known()).fold(4.0, |a, d| a * d as f64);
                        return Err(crate::error::Error::Memory(format!(
                            "a tensor of shape {} needs {bytes:.3e} bytes{}, more than can be addressed\n  hint: work on parts of it, one after another",
                            Dims(dims),
                            if dims.iter().any(|d| d.is_open()) { " or more" } else { "" }
                        )));
                    }
                };
            }
        }
        Ok(Shape { rank: dims.len() as u8, open, dims: all })
    }

    /// A leading batch, then these sizes.
    pub fn with_batch(sizes: &[usize]) -> Result<Shape> {
        let mut dims = vec![Dim::BATCH];
        dims.extend(sizes.iter().map(|&d| Dim::from(d)));
        Shape::new(&dims)
    }

    /// The shape `()`.
    #[must_use]
    pub const fn scalar() -> Shape {
        Shape { rank: 0, open: false, dims: [Dim::ZERO; MAX_RANK] }
    }

    /// The sizes, for rules: they may be open.
    #[must_use]
    pub fn dims(&self) -> &[Dim] {
        &self.dims[..self.rank as usize]
    }

    /// True when a size is not known yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The sizes as numbers, for kernels and memory. To ask it of an open shape is a bug of ours.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        assert!(!self.open, "invariant: the sizes of {self} are known");
        let mut all = [0; MAX_RANK];
        for (to, from) in all.iter_mut().zip(self.dims()) {
            *to = from.known().unwrap_or_default() as usize;
        }
        Sizes { rank: self.rank, all }
    }

    /// The shape with open sizes filled in.
    pub fn bind(&self, binder: &mut Binder<'_>) -> Result<Shape> {
        if !self.open {
            return Ok(*self);
        }
        let mut dims = self.dims;
        for dim in &mut dims[..self.rank as usize] {
            *dim = binder.bind(*dim)?;
        }
        Shape::new(&dims[..self.rank as usize])
    }

    /// Number of axes.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank as usize
    }

    /// Number of elements, as a number.
    #[must_use]
    pub fn count(&self) -> usize {
        assert!(!self.open, "invariant: the sizes of {self} are known");
        self.dims().iter().map(|d| d.known().unwrap_or_default() as usize).product()
    }

    /// Number of elements, for rules: it may be open.
    #[must_use]
    pub fn elements(&self) -> Dim {
        self.dims().iter().product()
    }

    /// Row-major strides, in elements.
    #[must_use]
    pub fn strides(&self) -> [usize; MAX_RANK] {
        let sizes = self.sizes();
        let mut out = [0; MAX_RANK];
        let mut step = 1;
        for i in (0..self.rank()).rev() {
            out[i] = step;
            step *= sizes[i];
        }
        out
    }

    /// `axis` counted from the front; negative axes count from the back.
    pub fn axis(&self, axis: i64, what: &str) -> Result<usize> {
        let rank = self.rank() as i64;
        let a = if axis < 0 { axis + rank } else { axis };
        if a < 0 || a >= rank {
            return crate::shape_err!(
                "{what}: axis {axis} is out of range for shape {self}\n  hint: use -{rank} to {}",
                rank - 1
            );
        }
        Ok(a as usize)
    }

    /// NumPy broadcasting of two shapes. Of two open sizes that may be equal the result is open; a
    /// size that meets a known one takes it. Both are looked at again when the sizes are bound.
    pub fn broadcast(&self, other: &Shape, what: &str) -> Result<Shape> {
        let rank = self.rank().max(other.rank());
        let mut dims = [Dim::ZERO; MAX_RANK];
        for (i, dim) in dims.iter_mut().enumerate().take(rank) {
            let (a, b) = (self.size_at_back(rank - 1 - i), other.size_at_back(rank - 1 - i));
            let Some(size) = a.broadcast(b) else {
                return crate::shape_err!(
                    "{what}: shapes {self} and {other} do not broadcast: {a} against {b} on axis {}",
                    i as i64 - rank as i64
                );
            };
            *dim = size;
        }
        Shape::new(&dims[..rank])
    }

    fn size_at_back(&self, i: usize) -> Dim {
        if i < self.rank() { self.dims[self.rank() - 1 - i] } else { Dim::ONE }
    }
}

struct Dims<'a>(&'a [Dim]);

impl fmt::Display for Dims<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(")?;
        for (i, d) in self.0.iter().enumerate() {
            if i > 0 {
                write!(f, ", ")?;
            }
            write!(f, "{d}")?;
        }
        if self.0.len() == 1 {
            write!(f, ",")?;
        }
        write!(f, ")")
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Dims(self.dims()).fmt(f)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
