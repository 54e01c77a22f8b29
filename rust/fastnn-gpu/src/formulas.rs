//! What elementwise rows do to one element, as shader text: one table by row. `{a}`, `{b}` and `{c}`
//! are the operands, which are names of values.

use crate::text::Cell;
use fastnn::graph::OpDef;
use fastnn::ops::activation::{GELU_ERF, GELU_TANH};
use fastnn::ops::compare::{
    EQUAL, GREATER, GREATER_EQUAL, IS_FINITE, IS_INF, IS_NAN, LESS, LESS_EQUAL, LOGICAL_AND, LOGICAL_NOT,
    LOGICAL_OR, LOGICAL_XOR, NOT_EQUAL, TO_BFLOAT16, TO_BOOL, TO_FLOAT, TO_FLOAT16, TO_INT, TO_INT8,
    TO_UINT8, WHERE,
};
use fastnn::ops::elementwise as e;

/// A row's text on floats, on whole numbers and on truth values; empty where its rule refuses them.
type Formula = (&'static OpDef, &'static str, &'static str, &'static str);

const CHOICE: &str = "select({c}, {b}, {a} != 0u)";

#[rustfmt::skip]
const FORMULAS: &[Formula] = &[
    (&e::ADD, "{a} + {b}", "{a} + {b}", ""),
    (&e::SUBTRACT, "{a} - {b}", "{a} - {b}", ""),
    (&e::MULTIPLY, "{a} * {b}", "{a} * {b}", ""),
    (&e::DIVIDE, "{a} / {b}", "", ""),
    (&e::FLOOR_DIVIDE, "math_floor_divide({a}, {b})", "math_floor_divide_int({a}, {b})", ""),
    (&e::MOD, "math_mod({a}, {b})", "math_mod_int({a}, {b})", ""),
    (&e::POWER, "math_pow({a}, {b})", "", ""),
    (&e::MAXIMUM, "math_max({a}, {b})", "max({a}, {b})", "max({a}, {b})"),
    (&e::MINIMUM, "math_min({a}, {b})", "min({a}, {b})", "min({a}, {b})"),
    (&e::NEGATIVE, "-{a}", "0 - {a}", ""),
    (&e::ABSOLUTE, "abs({a})", "max({a}, 0 - {a})", ""),
    (&e::SIGN, "math_sign({a})", "sign({a})", ""),
    (&e::RECIPROCAL, "1.0 / {a}", "", ""),
    (&e::SQUARE, "{a} * {a}", "", ""),
    (&e::SQRT, "sqrt({a})", "", ""),
    (&e::RSQRT, "1.0 / sqrt({a})", "", ""),
    (&e::EXP, "math_exp({a})", "", ""),
    (&e::EXPM1, "math_expm1({a})", "", ""),
    (&e::LOG, "math_log({a})", "", ""),
    (&e::LOG1P, "math_log1p({a})", "", ""),
    (&e::SIN, "math_sin({a})", "", ""),
    (&e::COS, "math_cos({a})", "", ""),
    (&e::TANH, "math_tanh({a})", "", ""),
    (&e::SIGMOID, "math_sigmoid({a})", "", ""),
    (&e::ERF, "math_erf({a})", "", ""),
    (&e::ARCTAN, "math_atan({a})", "", ""),
    (&e::FLOOR, "floor({a})", "", ""),
    (&e::CEIL, "ceil({a})", "", ""),
    (&e::ROUND, "round({a})", "", ""),
    (&e::TRUNC, "trunc({a})", "", ""),
    (&e::RELU, "math_relu({a})", "", ""),
    (&e::SOFTPLUS, "math_softplus({a})", "", ""),
    (&GELU_ERF, "math_gelu({a})", "", ""),
    (&GELU_TANH, "math_gelu_tanh({a})", "", ""),
    (&EQUAL, "u32({a} == {b})", "u32({a} == {b})", "u32({a} == {b})"),
    (&NOT_EQUAL, "1u - u32({a} == {b})", "u32({a} != {b})", "u32({a} != {b})"),
    (&LESS, "u32({a} < {b})", "u32({a} < {b})", "u32({a} < {b})"),
    (&LESS_EQUAL, "u32({a} <= {b})", "u32({a} <= {b})", "u32({a} <= {b})"),
    (&GREATER, "u32({a} > {b})", "u32({a} > {b})", "u32({a} > {b})"),
    (&GREATER_EQUAL, "u32({a} >= {b})", "u32({a} >= {b})", "u32({a} >= {b})"),
    (&LOGICAL_AND, "", "", "{a} & {b}"),
    (&LOGICAL_OR, "", "", "{a} | {b}"),
    (&LOGICAL_XOR, "", "", "{a} ^ {b}"),
    (&LOGICAL_NOT, "", "", "1u - {a}"),
    (&IS_NAN, "u32(math_is_nan({a}))", "", ""),
    (&IS_INF, "u32(math_is_inf({a}))", "", ""),
    (&IS_FINITE, "u32(math_is_finite({a}))", "", ""),
    (&WHERE, "", "", CHOICE),
    (&TO_FLOAT, "{a}", "f32({a})", "f32({a})"),
    (&TO_INT, "math_to_int({a})", "{a}", "i32({a})"),
    (&TO_BOOL, "1u - u32({a} == 0.0)", "u32({a} != 0)", "{a}"),
    (&TO_BFLOAT16, "math_bfloat16({a})", "math_bfloat16(f32({a}))", "f32({a})"),
    (&TO_FLOAT16, "math_float16({a})", "math_float16(f32({a}))", "f32({a})"),
    (&TO_INT8, "(math_to_int({a}) << 24u) >> 24u", "({a} << 24u) >> 24u", "i32({a})"),
    (&TO_UINT8, "math_to_int({a}) & 255", "{a} & 255", "i32({a})"),
];

/// The text of a row whose first operand is of this type; `None` where the table has none.
#[must_use]
pub fn formula(op: &OpDef, first: Cell, args: &[String]) -> Option<String> {
    let (_, float, int, truth) = FORMULAS.iter().find(|(row, ..)| std::ptr::eq(*row, op))?;
    let text = match first {
        Cell::Float => *float,
        Cell::Int => *int,
        Cell::Truth => *truth,
    };
    if text.is_empty() {
        return None;
    }
    let mut out = text.to_owned();
    for (name, arg) in ["{a}", "{b}", "{c}"].iter().zip(args) {
        out = out.replace(name, arg);
    }
    Some(out)
}
