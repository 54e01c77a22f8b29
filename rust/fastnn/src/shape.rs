//! F0. Shapes, element types and broadcasting. Everything is 4 bytes wide: `F32` computes,
//! `I32` indexes, `Bool` is stored as the floats 0 and 1 so that masks multiply without a cast.

use crate::error::Result;
use std::fmt;

/// The highest rank a tensor can have.
pub const MAX_RANK: usize = 8;

/// The symbolic batch size: graphs are traced with this prime as the leading size, and
/// [`crate::graph::Graph::replay`] replaces every multiple of it, so a size that leaked into an
/// attribute is found and mended as well. Shown as `None` outside.
pub const BATCH: usize = 2_147_483_647;

/// True when `size` stands for a multiple of the symbolic batch.
#[must_use]
pub fn is_symbolic(size: usize) -> bool {
    size != 0 && size.is_multiple_of(BATCH)
}

/// Element types. All are 4 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 32-bit signed integer.
    I32,
    /// Truth value, stored as the float 0.0 or 1.0.
    Bool,
}

impl DType {
    /// The NumPy name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "float32",
            DType::I32 => "int32",
            DType::Bool => "bool",
        }
    }

    /// The type of a value computed from `self` and `other` together.
    #[must_use]
    pub fn join(self, other: DType) -> DType {
        match (self, other) {
            (DType::F32, _) | (_, DType::F32) => DType::F32,
            (DType::I32, _) | (_, DType::I32) => DType::I32,
            _ => DType::Bool,
        }
    }
}

/// A shape: up to [`MAX_RANK`] sizes, row-major. `Copy`, so rules pass it by value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    rank: u8,
    dims: [usize; MAX_RANK],
}

impl Shape {
    /// A shape from its sizes. Errors past rank 8 or when the element count overflows.
    pub fn new(dims: &[usize]) -> Result<Shape> {
        if dims.len() > MAX_RANK {
            return crate::shape_err!("rank {} is above the limit of {MAX_RANK}: {dims:?}", dims.len());
        }
        let mut count = 1usize;
        for &d in dims {
            if d != 0 {
                count = match count.checked_mul(d) {
                    Some(c) if c <= isize::MAX as usize / 4 => c,
                    _ if dims.iter().filter(|&&d| is_symbolic(d)).count() > 1 => {
                        return crate::shape_err!(
                            "the shape {} leaves more than one size open, a traced tensor may leave the batch open\n  \
                             hint: give the other sizes; a layer or model takes them open in Input(shape=(None, ...))",
                            Dims(dims)
                        );
                    }
                    _ => {
                        let bytes = dims.iter().fold(4.0, |a, &d| a * d as f64);
                        return Err(crate::error::Error::Memory(format!(
                            "a tensor of shape {} needs {bytes:.3e} bytes, more than can be addressed",
                            Dims(dims)
                        )));
                    }
                };
            }
        }
        let mut all = [0; MAX_RANK];
        all[..dims.len()].copy_from_slice(dims);
        Ok(Shape { rank: dims.len() as u8, dims: all })
    }

    /// The shape `()`.
    #[must_use]
    pub const fn scalar() -> Shape {
        Shape { rank: 0, dims: [0; MAX_RANK] }
    }

    /// The sizes.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank as usize]
    }

    /// Number of axes.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank as usize
    }

    /// Number of elements.
    #[must_use]
    pub fn count(&self) -> usize {
        self.dims().iter().product()
    }

    /// Row-major strides, in elements.
    #[must_use]
    pub fn strides(&self) -> [usize; MAX_RANK] {
        let mut out = [0; MAX_RANK];
        let mut step = 1;
        for i in (0..self.rank()).rev() {
            out[i] = step;
            step *= self.dims[i];
        }
        out
    }

    /// `axis` counted from the front; negative axes count from the back.
    pub fn axis(&self, axis: i64, what: &str) -> Result<usize> {
        let rank = self.rank() as i64;
        let a = if axis < 0 { axis + rank } else { axis };
        if a < 0 || a >= rank {
            return crate::shape_err!(
                "{what}: axis {axis} is out of range for shape {self}; hint: use -{rank} to {}",
                rank - 1
            );
        }
        Ok(a as usize)
    }

    /// NumPy broadcasting of two shapes.
    pub fn broadcast(&self, other: &Shape, what: &str) -> Result<Shape> {
        let rank = self.rank().max(other.rank());
        let mut dims = [0; MAX_RANK];
        for (i, dim) in dims.iter_mut().enumerate().take(rank) {
            let a = self.size_at_back(rank - 1 - i);
            let b = other.size_at_back(rank - 1 - i);
            *dim = match (a, b) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => {
                    return crate::shape_err!(
                        "{what}: shapes {self} and {other} do not broadcast: {a} against {b} on axis {}",
                        i as i64 - rank as i64
                    );
                }
            };
        }
        Shape::new(&dims[..rank])
    }

    fn size_at_back(&self, i: usize) -> usize {
        if i < self.rank() { self.dims[self.rank() - 1 - i] } else { 1 }
    }
}

struct Dims<'a>(&'a [usize]);

impl fmt::Display for Dims<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(")?;
        for (i, &d) in self.0.iter().enumerate() {
            if i > 0 {
                write!(f, ", ")?;
            }
            if is_symbolic(d) { write!(f, "None")? } else { write!(f, "{d}")? }
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
