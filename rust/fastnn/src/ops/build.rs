//! Formulas over graph nodes: what derivative rules, optimisers and passes are written with.
//! Every method adds nodes to the graph; a shape that does not fit is kept as the graph's fault
//! (see [`Graph::add`]), so that rules read as formulas.

use super::rule::shape_attr;
use super::{compare, elementwise, index, matmul, movement, reduce};
use crate::dim::Dim;
use crate::graph::{Attr, Graph, Id, OpDef};
use crate::shape::{DType, Shape};

macro_rules! sugar {
    ($($(#[$meta:meta])* $name:ident($($arg:ident),+) = $row:path;)+) => {
        $($(#[$meta])* fn $name(&mut self, $($arg: Id),+) -> Id {
            self.build(&$row, &[$($arg),+], &[])
        })+
    };
}

fn ints(axes: &[i64]) -> Attr {
    Attr::Ints(axes.to_vec())
}

/// Builder methods of [`Graph`], one per op that rules use.
pub trait Build {
    /// Adds a node; everything else here goes through it.
    fn build(&mut self, op: &'static OpDef, inputs: &[Id], attrs: &[Attr]) -> Id;
    /// Shape of a value.
    fn shape_of(&self, x: Id) -> Shape;
    /// Element type of a value.
    fn dtype_of(&self, x: Id) -> DType;
    /// A scalar constant of type f32.
    fn number(&mut self, value: f64) -> Id {
        self.typed_number(value, DType::F32)
    }
    /// A scalar constant.
    fn typed_number(&mut self, value: f64, dtype: DType) -> Id;

    sugar! {
        /// `a + b`.
        add_(a, b) = elementwise::ADD;
        /// `a - b`.
        sub(a, b) = elementwise::SUBTRACT;
        /// `a * b`.
        mul(a, b) = elementwise::MULTIPLY;
        /// `a / b`.
        div(a, b) = elementwise::DIVIDE;
        /// `a ** b`.
        pow(a, b) = elementwise::POWER;
        /// The larger.
        maximum(a, b) = elementwise::MAXIMUM;
        /// The smaller.
        minimum(a, b) = elementwise::MINIMUM;
        /// `-x`.
        neg(x) = elementwise::NEGATIVE;
        /// `|x|`.
        abs(x) = elementwise::ABSOLUTE;
        /// -1, 0 or 1.
        sign(x) = elementwise::SIGN;
        /// `1 / x`.
        reciprocal(x) = elementwise::RECIPROCAL;
        /// `x * x`.
        square(x) = elementwise::SQUARE;
        /// The square root.
        sqrt(x) = elementwise::SQRT;
        /// `1 / sqrt(x)`.
        rsqrt(x) = elementwise::RSQRT;
        /// e^x.
        exp(x) = elementwise::EXP;
        /// e^x - 1.
        expm1(x) = elementwise::EXPM1;
        /// ln x.
        log(x) = elementwise::LOG;
        /// ln(1 + x).
        log1p(x) = elementwise::LOG1P;
        /// sin x.
        sin(x) = elementwise::SIN;
        /// cos x.
        cos(x) = elementwise::COS;
        /// tanh x.
        tanh(x) = elementwise::TANH;
        /// `1 / (1 + e^-x)`.
        sigmoid(x) = elementwise::SIGMOID;
        /// The error function.
        erf(x) = elementwise::ERF;
        /// The floor.
        floor(x) = elementwise::FLOOR;
        /// max(x, 0).
        relu(x) = elementwise::RELU;
        /// ln(1 + e^x).
        softplus(x) = elementwise::SOFTPLUS;
        /// `a == b`.
        equal(a, b) = compare::EQUAL;
        /// `a < b`.
        less(a, b) = compare::LESS;
        /// `a <= b`.
        less_equal(a, b) = compare::LESS_EQUAL;
        /// `a > b`.
        greater(a, b) = compare::GREATER;
        /// `a >= b`.
        greater_equal(a, b) = compare::GREATER_EQUAL;
        /// `not x`.
        logical_not(x) = compare::LOGICAL_NOT;
        /// Neither infinite nor NaN.
        is_finite(x) = compare::IS_FINITE;
        /// `a` where `cond`, else `b`.
        where_(cond, a, b) = compare::WHERE;
        /// As float32.
        to_float(x) = compare::TO_FLOAT;
        /// As int32.
        to_int(x) = compare::TO_INT;
        /// As bool.
        to_bool(x) = compare::TO_BOOL;
        /// The value, as a constant for derivatives.
        stop_gradient(x) = elementwise::STOP_GRADIENT;
    }

    /// `x` as another type; itself when it already is.
    fn cast(&mut self, x: Id, dtype: DType) -> Id {
        match dtype {
            d if d == self.dtype_of(x) => x,
            d => self.build(compare::conversion(d), &[x], &[]),
        }
    }
    /// `x + value`.
    fn add_scalar(&mut self, x: Id, value: f64) -> Id {
        let v = self.number(value);
        self.add_(x, v)
    }
    /// The square root with the gradient 0 at 0, where a norm or a deviation has no slope.
    fn sqrt_flat(&mut self, x: Id) -> Id {
        let (zero, one) = (self.number(0.0), self.number(1.0));
        let flat = self.equal(x, zero);
        let safe = self.where_(flat, one, x);
        let root = self.sqrt(safe);
        self.where_(flat, zero, root)
    }
    /// The power of two to multiply values by whose largest is given, so that their squares stay
    /// in the range of f32 when they are added up; mostly 1.
    fn scale_of_squares(&mut self, largest: Id) -> Id {
        let number = |g: &mut Self, exponent: i32| g.number(2f64.powi(exponent));
        let (zero, one) = (self.number(0.0), self.number(1.0));
        let (far, tiny) = (number(self, -76), number(self, 96));
        let (high, low, lowest) = (number(self, 60), number(self, -30), number(self, -80));
        let up = number(self, 60);
        let some = self.less(zero, largest);
        let tiny = self.where_(some, tiny, one);
        let is_low = self.less(largest, low);
        let small = self.where_(is_low, up, one);
        let is_lowest = self.less(largest, lowest);
        let small = self.where_(is_lowest, tiny, small);
        let is_high = self.less(high, largest);
        self.where_(is_high, far, small)
    }
    /// `x * value`.
    fn mul_scalar(&mut self, x: Id, value: f64) -> Id {
        let v = self.number(value);
        self.mul(x, v)
    }
    /// `value - x`.
    fn scalar_sub(&mut self, value: f64, x: Id) -> Id {
        let v = self.number(value);
        self.sub(v, x)
    }
    /// Sum over `axes`.
    fn sum(&mut self, x: Id, axes: &[i64], keepdims: bool) -> Id {
        self.build(&reduce::SUM, &[x], &[ints(axes), Attr::Bool(keepdims)])
    }
    /// Mean over `axes`.
    fn mean(&mut self, x: Id, axes: &[i64], keepdims: bool) -> Id {
        self.build(&reduce::MEAN, &[x], &[ints(axes), Attr::Bool(keepdims)])
    }
    /// Largest over `axes`.
    fn max(&mut self, x: Id, axes: &[i64], keepdims: bool) -> Id {
        self.build(&reduce::MAX, &[x], &[ints(axes), Attr::Bool(keepdims)])
    }
    /// Sum of all elements.
    fn sum_all(&mut self, x: Id) -> Id {
        self.build(&reduce::SUM, &[x], &[Attr::None, Attr::Bool(false)])
    }
    /// Mean of all elements.
    fn mean_all(&mut self, x: Id) -> Id {
        self.build(&reduce::MEAN, &[x], &[Attr::None, Attr::Bool(false)])
    }
    /// The number of elements over `axes`, as an f32 scalar that follows the batch.
    fn extent(&mut self, x: Id, axes: &Attr) -> Id {
        self.build(&reduce::EXTENT, &[x], std::slice::from_ref(axes))
    }
    /// Other sizes for the same elements; one may be -1.
    fn reshape(&mut self, x: Id, sizes: &[i64]) -> Id {
        let sizes = Attr::Sizes(sizes.iter().map(|&d| Dim::new(d)).collect());
        self.build(&movement::RESHAPE, &[x], &[sizes])
    }
    /// Another shape; itself when it already has it.
    fn reshape_to(&mut self, x: Id, shape: &Shape) -> Id {
        if self.shape_of(x) == *shape {
            return x;
        }
        self.build(&movement::RESHAPE, &[x], &[shape_attr(shape)])
    }
    /// All but the last axis as one.
    fn rows_of(&mut self, x: Id) -> Id {
        let shape = self.shape_of(x);
        let (rows, last) = shape.dims().split_at(shape.rank().saturating_sub(1));
        if rows.len() == 1 {
            return x;
        }
        let sizes = vec![rows.iter().product(), last.first().copied().unwrap_or(Dim::ONE)];
        self.build(&movement::RESHAPE, &[x], &[Attr::Sizes(sizes)])
    }
    /// Axes in another order.
    fn transpose(&mut self, x: Id, axes: &[i64]) -> Id {
        self.build(&movement::TRANSPOSE, &[x], &[ints(axes)])
    }
    /// Widened to a shape; itself when it already has it.
    fn broadcast_to(&mut self, x: Id, shape: &Shape) -> Id {
        if self.shape_of(x) == *shape {
            return x;
        }
        self.build(&movement::BROADCAST_TO, &[x], &[shape_attr(shape)])
    }
    /// A new axis of size 1.
    fn expand_dims(&mut self, x: Id, axis: i64) -> Id {
        self.build(&movement::EXPAND_DIMS, &[x], &[Attr::Ints(vec![axis])])
    }
    /// Matrix product, with transposed operands if asked.
    fn matmul(&mut self, a: Id, b: Id, transpose_a: bool, transpose_b: bool) -> Id {
        self.product(a, b, transpose_a, transpose_b, DType::F32)
    }
    /// The same, of operands that may be rounded to a type first.
    fn product(&mut self, a: Id, b: Id, transpose_a: bool, transpose_b: bool, precision: DType) -> Id {
        let attrs = [Attr::Bool(transpose_a), Attr::Bool(transpose_b), Attr::DType(precision)];
        self.build(&matmul::MATMUL, &[a, b], &attrs)
    }
    /// The whole numbers below `stop`, as int32.
    fn iota(&mut self, stop: Dim) -> Id {
        self.build(&index::IOTA, &[], &[Attr::Size(stop), Attr::DType(DType::I32)])
    }
    /// One float row per index: 1 at the index, 0 elsewhere.
    fn one_hot(&mut self, indices: Id, classes: Dim) -> Id {
        let column = self.expand_dims(indices, -1);
        let row = self.iota(classes);
        let hit = self.equal(column, row);
        self.to_float(hit)
    }
    /// `value` everywhere in a shape.
    fn filled(&mut self, value: f64, shape: &Shape) -> Id {
        let v = self.number(value);
        self.broadcast_to(v, shape)
    }
    /// Zeros in the shape of `x` and the type in which that is computed with.
    fn zeros_like(&mut self, x: Id) -> Id {
        self.filled_like(x, 0.0)
    }
    /// Ones in the shape of `x` and the type in which that is computed with.
    fn ones_like(&mut self, x: Id) -> Id {
        self.filled_like(x, 1.0)
    }
    /// `value` in the shape of `x` and the type in which that is computed with.
    fn filled_like(&mut self, x: Id, value: f64) -> Id {
        let (shape, dtype) = (self.shape_of(x), self.dtype_of(x).computing());
        let v = self.typed_number(value, dtype);
        self.broadcast_to(v, &shape)
    }
    /// The sum of `x` over the axes along which broadcasting widened `shape` to the shape of `x`.
    fn unbroadcast(&mut self, x: Id, shape: &Shape) -> Id {
        let from = self.shape_of(x);
        if from == *shape {
            return x;
        }
        let lead = from.rank().saturating_sub(shape.rank());
        let pair = |i: usize| (from.dims()[i], shape.dims()[i - lead]);
        if (lead..from.rank()).any(|i| pair(i).0 != pair(i).1 && pair(i).1.is_open()) {
            // Whether an open size is 1, and so was widened, shows when it is bound.
            return self.build(&reduce::SUM_TO, &[x], &[shape_attr(shape)]);
        }
        let widened = |i: usize| i < lead || (pair(i).1 == Dim::ONE && pair(i).0 != Dim::ONE);
        let axes: Vec<i64> = (0..from.rank()).filter(|&i| widened(i)).map(|i| i as i64).collect();
        let folded = self.sum(x, &axes, true);
        self.reshape_to(folded, shape)
    }
}

impl Build for Graph {
    fn build(&mut self, op: &'static OpDef, inputs: &[Id], attrs: &[Attr]) -> Id {
        self.add(op, inputs, attrs)
    }
    fn shape_of(&self, x: Id) -> Shape {
        self.shape(x)
    }
    fn dtype_of(&self, x: Id) -> DType {
        self.ty(x).dtype
    }
    fn typed_number(&mut self, value: f64, dtype: DType) -> Id {
        self.typed_scalar(value, dtype)
    }
}
