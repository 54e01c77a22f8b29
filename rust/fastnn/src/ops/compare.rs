//! Comparisons, truth values, selection and conversion. Truth is stored as the floats 0 and 1.

use super::build::Build;
use super::elementwise::elementwise;
use super::host;
use super::rule::{self, Gives, Takes};
use crate::error::Result;
use crate::graph::{Accept, Attr, Class, Graph, Host, Id, Kind, OpDef, Stored, Ty, Vjp};
use crate::kernels::stored;
use crate::shape::DType;
use crate::{data_err, shape_err};

const WIDE: (f32, f32) = (-3.0, 3.0);

fn truth(b: bool) -> f64 {
    f64::from(u8::from(b))
}

elementwise! {
    EQUAL = "equal"(a, b) Common -> Truth, tile: equal / equal_i32 {
        doc: "a == b, elementwise with broadcasting; false for NaN.",
        real: truth(a == b),
        formula: "np.equal(a, b)",
        domain: &[WIDE, WIDE],
        smooth: true,
    }
    NOT_EQUAL = "not_equal"(a, b) Common -> Truth, tile: not_equal / not_equal_i32 {
        doc: "a != b, elementwise with broadcasting; true for NaN.",
        real: truth(a != b),
        formula: "np.not_equal(a, b)",
        domain: &[WIDE, WIDE],
        smooth: true,
    }
    LESS = "less"(a, b) Common -> Truth, tile: less / less_i32 {
        doc: "a < b, elementwise with broadcasting.",
        real: truth(a < b),
        formula: "np.less(a, b)",
        domain: &[WIDE, WIDE],
        smooth: true,
    }
    LESS_EQUAL = "less_equal"(a, b) Common -> Truth, tile: less_equal / less_equal_i32 {
        doc: "a <= b, elementwise with broadcasting.",
        real: truth(a <= b),
        formula: "np.less_equal(a, b)",
        domain: &[WIDE, WIDE],
        smooth: true,
    }
    GREATER = "greater"(a, b) Common -> Truth, tile: greater / greater_i32 {
        doc: "a > b, elementwise with broadcasting.",
        real: truth(a > b),
        formula: "np.greater(a, b)",
        domain: &[WIDE, WIDE],
        smooth: true,
    }
    GREATER_EQUAL = "greater_equal"(a, b) Common -> Truth, tile: greater_equal / greater_equal_i32 {
        doc: "a >= b, elementwise with broadcasting.",
        real: truth(a >= b),
        formula: "np.greater_equal(a, b)",
        domain: &[WIDE, WIDE],
        smooth: true,
    }
    LOGICAL_AND = "logical_and"(a, b) Truth -> Truth, tile: logical_and {
        doc: "a and b, elementwise with broadcasting; numbers count as true when not 0.",
        real: truth(a != 0.0 && b != 0.0),
        formula: "np.logical_and(a, b)",
        domain: &[WIDE, WIDE],
        smooth: true,
    }
    LOGICAL_OR = "logical_or"(a, b) Truth -> Truth, tile: logical_or {
        doc: "a or b, elementwise with broadcasting; numbers count as true when not 0.",
        real: truth(a != 0.0 || b != 0.0),
        formula: "np.logical_or(a, b)",
        domain: &[WIDE, WIDE],
        smooth: true,
    }
    LOGICAL_XOR = "logical_xor"(a, b) Truth -> Truth, tile: logical_xor {
        doc: "Exactly one of a and b, elementwise with broadcasting.",
        real: truth((a != 0.0) != (b != 0.0)),
        formula: "np.logical_xor(a, b)",
        domain: &[WIDE, WIDE],
        smooth: true,
    }
    LOGICAL_NOT = "logical_not"(x) Truth -> Truth, tile: logical_not {
        doc: "not x, elementwise.",
        real: truth(x == 0.0),
        formula: "np.logical_not(x)",
        domain: &[WIDE],
        smooth: true,
    }
    IS_NAN = "is_nan"(x) Float -> Truth, tile: is_nan {
        doc: "True for NaN.",
        real: truth(x.is_nan()),
        formula: "np.isnan(x)",
        domain: &[WIDE],
        smooth: true,
    }
    IS_INF = "is_inf"(x) Float -> Truth, tile: is_inf {
        doc: "True for the two infinities.",
        real: truth(x.is_infinite()),
        formula: "np.isinf(x)",
        domain: &[WIDE],
        smooth: true,
    }
    IS_FINITE = "is_finite"(x) Float -> Truth, tile: is_finite {
        doc: "True for numbers that are neither infinite nor NaN.",
        real: truth(x.is_finite()),
        formula: "np.isfinite(x)",
        domain: &[WIDE],
        smooth: true,
    }
}

rows! {
    WHERE = "where"("cond", "a", "b") {
        doc: "a where cond (bool) is true, else b; all three broadcast. The gradient flows to the chosen side only.",
        class: Class::Elementwise,
        accept: Accept::Exact,
        infer: infer_where,
        vjp: Vjp::Rule(where_vjp),
        kind: Kind::Map,
        reference: |x, _, out| host::map(x, out, |[c, a, b]| if c != 0.0 { a } else { b }),
        formula: "np.where(cond, a, b)",
        domain: &[(0.0, 1.0), WIDE, WIDE],
        smooth: true,
    }
    TO_FLOAT = "to_float"("x") {
        doc: "x as float32.",
        class: Class::Elementwise,
        accept: Accept::Exact,
        stored: Stored::Read(&[0]),
        infer: |types, _| convert("to_float", types, DType::F32),
        vjp: Vjp::Rule(float_vjp),
        kind: Kind::Map,
        reference: |x, _, out| Host { ty: out, data: x[0].data.clone() },
        formula: "np.asarray(x).astype(np.float32)",
        domain: &[WIDE],
        smooth: true,
    }
    TO_INT = "to_int"("x") {
        doc: "x as int32, rounded toward zero; NaN and numbers out of range give -2**31.",
        class: Class::Elementwise,
        accept: Accept::Exact,
        stored: Stored::Read(&[0]),
        infer: |types, _| convert("to_int", types, DType::I32),
        vjp: Vjp::Zero,
        kind: Kind::Map,
        reference: |x, _, out| host::map(x, out, |[x]| whole(x)),
        formula: "np.trunc(x).astype(np.int32)",
        domain: &[WIDE],
        smooth: true,
    }
    TO_BOOL = "to_bool"("x") {
        doc: "True where x is not 0.",
        class: Class::Elementwise,
        accept: Accept::Exact,
        stored: Stored::Read(&[0]),
        infer: |types, _| convert("to_bool", types, DType::Bool),
        vjp: Vjp::Zero,
        kind: Kind::Map,
        reference: |x, _, out| host::map(x, out, |[x]| truth(x != 0.0)),
        formula: "np.not_equal(x, 0)",
        domain: &[WIDE],
        smooth: true,
    }
    TO_BFLOAT16 = "to_bfloat16"("x") {
        doc: "x as bfloat16, rounded to the nearest, ties to even; too large ones are infinite.",
        class: Class::Elementwise,
        accept: Accept::Exact,
        stored: Stored::Read(&[0]),
        infer: |types, _| convert("to_bfloat16", types, DType::BF16),
        vjp: Vjp::Rule(float_vjp),
        kind: Kind::Map,
        reference: |x, _, out| host::map(x, out, |[x]| stored::rounded(x, DType::BF16)),
        formula: "bfloat16(x)",
        domain: &[WIDE],
        smooth: true,
    }
    TO_FLOAT16 = "to_float16"("x") {
        doc: "x as float16, rounded to the nearest, ties to even; too large ones are infinite.",
        class: Class::Elementwise,
        accept: Accept::Exact,
        stored: Stored::Read(&[0]),
        infer: |types, _| convert("to_float16", types, DType::F16),
        vjp: Vjp::Rule(float_vjp),
        kind: Kind::Map,
        reference: |x, _, out| host::map(x, out, |[x]| stored::rounded(x, DType::F16)),
        formula: "np.asarray(x).astype(np.float32).astype(np.float16)",
        domain: &[WIDE],
        smooth: true,
    }
    TO_INT8 = "to_int8"("x") {
        doc: "x as int8: rounded toward zero to int32, of which the low eight bits are taken.",
        class: Class::Elementwise,
        accept: Accept::Exact,
        stored: Stored::Read(&[0]),
        infer: |types, _| convert("to_int8", types, DType::I8),
        vjp: Vjp::Zero,
        kind: Kind::Map,
        reference: |x, _, out| host::map(x, out, |[x]| stored::rounded(whole(x), DType::I8)),
        formula: "np.trunc(x).astype(np.int32).astype(np.int8)",
        domain: &[WIDE],
        smooth: true,
    }
    TO_UINT8 = "to_uint8"("x") {
        doc: "x as uint8: rounded toward zero to int32, of which the low eight bits are taken.",
        class: Class::Elementwise,
        accept: Accept::Exact,
        stored: Stored::Read(&[0]),
        infer: |types, _| convert("to_uint8", types, DType::U8),
        vjp: Vjp::Zero,
        kind: Kind::Map,
        reference: |x, _, out| host::map(x, out, |[x]| stored::rounded(whole(x), DType::U8)),
        formula: "np.trunc(x).astype(np.int32).astype(np.uint8)",
        domain: &[WIDE],
        smooth: true,
    }
    CAST = "cast"("x"; dtype: DType) {
        doc: "x as another type: floats to int32 round toward zero, to int8 and uint8 those wrap, numbers to bool are `x != 0`, to bfloat16 and float16 they round to the nearest.",
        class: Class::Composite,
        accept: Accept::Exact,
        stored: Stored::Read(&[0]),
        infer: |types, attrs| convert("cast", types, attrs[0].dtype()),
        vjp: Vjp::Lowered,
        kind: Kind::Lowered(|g, x, attrs| Ok(g.cast(x[0], attrs[0].dtype()))),
        reference: cast_reference,
        formula: "np.asarray(x).astype(dtype)",
        domain: &[WIDE],
        smooth: true,
    }
}

fn convert(name: &str, types: &[Ty], dtype: DType) -> Result<Ty> {
    rule::arity(name, types, 1)?;
    Ok(Ty { shape: types[0].shape, dtype })
}

fn cast_reference(x: &[Host], _: &[Attr], out: Ty) -> Host {
    if out.dtype == x[0].ty.dtype {
        return x[0].clone();
    }
    (conversion(out.dtype).reference)(x, &[], out)
}

/// The row that converts to a type.
#[must_use]
pub fn conversion(dtype: DType) -> &'static OpDef {
    match dtype {
        DType::F32 => &TO_FLOAT,
        DType::I32 => &TO_INT,
        DType::Bool => &TO_BOOL,
        DType::BF16 => &TO_BFLOAT16,
        DType::F16 => &TO_FLOAT16,
        DType::I8 => &TO_INT8,
        DType::U8 => &TO_UINT8,
    }
}

/// Toward zero, in the range of int32.
fn whole(x: f64) -> f64 {
    if x.trunc().abs() < 2_147_483_648.0 { x.trunc() } else { f64::from(i32::MIN) }
}

/// The gradient of a float is a float32, whatever it is stored as.
fn float_vjp(g: &mut Graph, _: Id, x: &[Id], dy: Id) -> Vec<Option<Id>> {
    vec![g.dtype_of(x[0]).is_float().then_some(dy)]
}

fn infer_where(types: &[Ty], _: &[Attr]) -> Result<Ty> {
    rule::arity("where", types, 3)?;
    let [cond, a, b] = [types[0], types[1], types[2]];
    rule::typed("where", "cond", cond, DType::Bool)?;
    if a.dtype != b.dtype {
        return data_err!("where: a is {a} and b is {b}\n  hint: cast one of them");
    }
    let values = rule::broadcast("where", &a.shape, &b.shape)?;
    match rule::broadcast("where", &cond.shape, &values) {
        Ok(shape) => Ok(Ty { shape, dtype: a.dtype }),
        Err(_) => shape_err!(
            "where: cond {} does not broadcast with a {} and b {}\n  hint: sizes must be equal or 1, counted from the last axis",
            cond.shape,
            a.shape,
            b.shape
        ),
    }
}

fn where_vjp(g: &mut Graph, _: Id, x: &[Id], dy: Id) -> Vec<Option<Id>> {
    if g.dtype_of(x[1]) != DType::F32 {
        return vec![None; 3];
    }
    let zero = g.number(0.0);
    let da = g.where_(x[0], dy, zero);
    let db = g.where_(x[0], zero, dy);
    let (sa, sb) = (g.shape_of(x[1]), g.shape_of(x[2]));
    vec![None, Some(g.unbroadcast(da, &sa)), Some(g.unbroadcast(db, &sb))]
}
