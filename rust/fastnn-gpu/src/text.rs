//! Pieces of shader text: numbers and positions.

use fastnn::graph::Ty;
use fastnn::passes::group::Access;
use fastnn::shape::DType;

/// The type of a cell on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cell {
    /// Float types.
    Float,
    /// Whole numbers.
    Int,
    /// Truth values, 0 or 1.
    Truth,
}

impl Cell {
    /// How values of this element type lie on the device.
    #[must_use]
    pub fn of(dtype: DType) -> Cell {
        match dtype.computing() {
            DType::I32 => Cell::Int,
            DType::Bool => Cell::Truth,
            _ => Cell::Float,
        }
    }

    /// The type's name in the text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Cell::Float => "f32",
            Cell::Int => "i32",
            Cell::Truth => "u32",
        }
    }

    /// A number of this type. Infinities and NaN, which no literal may be, come from `math`.
    #[must_use]
    pub fn literal(self, value: f64) -> String {
        match self {
            Cell::Float => float(value as f32),
            Cell::Int => format!("i32({})", value as i32),
            Cell::Truth => format!("{}u", u32::from(value != 0.0)),
        }
    }
}

/// Bytes of a value on the device.
#[must_use]
pub fn bytes(ty: &Ty) -> usize {
    ty.shape.count() * 4
}

/// The number, exactly.
#[must_use]
pub fn float(value: f32) -> String {
    if value.is_nan() {
        "math_nan()".into()
    } else if value.is_infinite() {
        if value > 0.0 { "math_inf()".into() } else { "-math_inf()".into() }
    } else {
        format!("{value:?}f")
    }
}

/// Where element `i` of an iteration lies in an operand, as a `u32` expression.
#[must_use]
pub fn place(offset: isize, access: &Access, i: &str) -> String {
    let at = match access {
        Access::Contiguous => i.to_owned(),
        Access::Splat | Access::Constant(_) => String::new(),
        Access::Cycle(period) => format!("{i} % {period}u"),
        Access::Hold(run) => format!("{i} / {run}u"),
        Access::Strided { dims, strides } => return strided(offset, dims, strides, i),
    };
    match (offset, at.as_str()) {
        (offset, "") => format!("{offset}u"),
        (0, _) => at,
        (offset, _) => format!("{at} + {offset}u"),
    }
}

/// Likewise for axes of these sizes with these strides.
#[must_use]
pub fn strided(offset: isize, dims: &[usize], strides: &[isize], i: &str) -> String {
    let mut text = if offset == 0 { String::new() } else { format!("{offset}u") };
    let mut inner: usize = dims.iter().product();
    let whole = inner;
    for (&size, &stride) in dims.iter().zip(strides) {
        let outer = inner;
        inner /= size.max(1);
        if size <= 1 || stride == 0 {
            continue;
        }
        let mut index = if inner == 1 { i.to_owned() } else { format!("{i} / {inner}u") };
        if outer != whole {
            index = format!("({index}) % {size}u");
        }
        let far = stride.unsigned_abs();
        let term = if far == 1 { format!("({index})") } else { format!("({index}) * {far}u") };
        if text.is_empty() {
            text = if stride < 0 { format!("0u - {term}") } else { term };
        } else {
            text.push_str(if stride < 0 { " - " } else { " + " });
            text.push_str(&term);
        }
    }
    if text.is_empty() { "0u".into() } else { text }
}
