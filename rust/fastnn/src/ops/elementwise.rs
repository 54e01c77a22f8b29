//! Arithmetic and elementary functions, element by element with NumPy broadcasting. A row states
//! its tile kernel, its f64 meaning and its derivative side by side; [`elementwise!`] turns that
//! into the full row. Derivatives are built from rows, so they can be differentiated again.

use super::build::Build;
use super::host;
use super::rule::{self, Gives, Takes};
use crate::error::Result;
use crate::graph::{Accept, Class, Graph, Id, Kind, SCALAR, Ty, Vjp};

/// Rows of tile kernels. `tile` is the kernel on f32 and bool, `int` the one on i32; `real` the
/// meaning in f64 and `whole` in i64 where f64 is not exact; `grad` one gradient per input before
/// the sum over widened axes.
macro_rules! elementwise {
    (@int) => { None };
    (@int $int:ident) => { Some($crate::kernels::tile_ops::$int) };
    (@reference [$($arg:ident),+] $real:expr) => {
        |x, _, out| host::map(x, out, |[$($arg),+]: [f64; elementwise!(@count $($arg)+)]| $real)
    };
    (@reference [$($arg:ident),+] $real:expr, $whole:expr) => {
        |x, _, out| match x[0].ty.dtype {
            $crate::shape::DType::I32 => host::map_whole(x, out, |[$($arg),+]: [i64; elementwise!(@count $($arg)+)]| $whole),
            _ => host::map(x, out, |[$($arg),+]: [f64; elementwise!(@count $($arg)+)]| $real),
        }
    };
    (@count $($arg:ident)+) => { <[&str]>::len(&[$(stringify!($arg)),+]) };
    (@vjp [$($arg:ident),+]) => { Vjp::Zero };
    (@vjp [$($arg:ident),+] $g:ident, $y:ident, $dy:ident => $grad:expr) => {
        Vjp::Rule(|$g, $y, inputs, $dy| {
            let [$($arg),+]: [Id; elementwise!(@count $($arg)+)] = std::array::from_fn(|i| inputs[i]);
            let _ = ($y, [$($arg),+]);
            let grads: [Id; elementwise!(@count $($arg)+)] = $grad;
            let mut back = Vec::with_capacity(grads.len());
            for (grad, &input) in grads.into_iter().zip(inputs) {
                let shape = $g.shape_of(input);
                back.push(Some($g.unbroadcast(grad, &shape)));
            }
            back
        })
    };
    ($(
        $id:ident = $name:literal($($arg:ident),+) $accept:ident -> $gives:ident, tile: $tile:ident $(/ $int:ident)? {
            doc: $doc:literal,
            real: $real:expr,
            $(whole: $whole:expr,)?
            formula: $formula:literal,
            domain: $domain:expr,
            $(grad($g:ident, $y:ident, $dy:ident): $grad:expr,)?
            smooth: $smooth:literal $(,)?
        }
    )+) => {
        $(
            #[doc = concat!("The row `", $name, "`.")]
            pub static $id: $crate::graph::OpDef = $crate::graph::OpDef {
                name: $name,
                args: &[$(stringify!($arg)),+],
                attrs: &[],
                doc: $doc,
                class: Class::Elementwise,
                accept: Accept::$accept,
                infer: |types, _| rule::elementwise(Takes {
                    name: $name,
                    count: elementwise!(@count $($arg)+),
                    accept: Accept::$accept,
                    int: elementwise!(@has_int $($int)?),
                    gives: Gives::$gives,
                }, types),
                vjp: elementwise!(@vjp [$($arg),+] $($g, $y, $dy => $grad)?),
                kind: Kind::Map,
                reference: elementwise!(@reference [$($arg),+] $real $(, $whole)?),
                formula: $formula,
                domain: $domain,
                smooth: $smooth,
                ..$crate::graph::OpDef::PLAIN
            };
        )+
        pub(super) const TILES: &[&$crate::graph::OpDef] = &[$(&$id),+];
        /// The tile kernels of these rows, on f32 (and bool) and on i32 operands.
        pub(crate) const LANES: &[(
            &$crate::graph::OpDef,
            $crate::kernels::tile_ops::TileOf,
            Option<$crate::kernels::tile_ops::TileOf>,
        )] = &[$((&$id, $crate::kernels::tile_ops::$tile, elementwise!(@int $($int)?))),+];
    };
    (@has_int) => { false };
    (@has_int $int:ident) => { true };
}
pub(super) use elementwise;

const WIDE: (f32, f32) = (-3.0, 3.0);
const POSITIVE: (f32, f32) = (0.3, 3.0);

elementwise! {
    ADD = "add"(a, b) Number -> Same, tile: add / add_i32 {
        doc: "a + b, elementwise with broadcasting; i32 wraps.",
        real: a + b,
        formula: "a + b",
        domain: &[WIDE, WIDE],
        grad(g, y, dy): [dy, dy],
        smooth: true,
    }
    SUBTRACT = "subtract"(a, b) Number -> Same, tile: sub / sub_i32 {
        doc: "a - b, elementwise with broadcasting; i32 wraps.",
        real: a - b,
        formula: "a - b",
        domain: &[WIDE, WIDE],
        grad(g, y, dy): [dy, g.neg(dy)],
        smooth: true,
    }
    MULTIPLY = "multiply"(a, b) Number -> Same, tile: mul / mul_i32 {
        doc: "a * b, elementwise with broadcasting; i32 wraps.",
        real: a * b,
        whole: a * b,
        formula: "a * b",
        domain: &[WIDE, WIDE],
        grad(g, y, dy): [g.mul(dy, b), g.mul(dy, a)],
        smooth: true,
    }
    DIVIDE = "divide"(a, b) Float -> Same, tile: div {
        doc: "a / b, true division, elementwise with broadcasting; division by zero follows IEEE 754.",
        real: a / b,
        formula: "a / b",
        domain: &[WIDE, POSITIVE],
        grad(g, y, dy): {
            let da = g.div(dy, b);
            let scaled = g.mul(da, y);
            [da, g.neg(scaled)]
        },
        smooth: true,
    }
    FLOOR_DIVIDE = "floor_divide"(a, b) Number -> Same, tile: floor_divide / floor_divide_i32 {
        doc: "The floor of a / b, elementwise with broadcasting; i32 by zero gives 0.",
        real: (a / b).floor(),
        whole: if b == 0 { 0 } else { a.div_euclid(b) - i64::from(b < 0 && a.rem_euclid(b) != 0) },
        formula: "np.floor_divide(a, b)",
        domain: &[(-9.0, 9.0), (0.7, 3.0)],
        smooth: true,
    }
    MOD = "mod"(a, b) Number -> Same, tile: modulo / modulo_i32 {
        doc: "The remainder of a / b with the sign of b, elementwise with broadcasting; i32 by zero gives 0.",
        real: { let r = a % b; if r != 0.0 && (r < 0.0) != (b < 0.0) { r + b } else { r } },
        whole: if b == 0 { 0 } else { let r = a % b; if r != 0 && (r < 0) != (b < 0) { r + b } else { r } },
        formula: "np.mod(a, b)",
        domain: &[(0.2, 0.8), (1.0, 2.0)],
        grad(g, y, dy): {
            let times = g.build(&FLOOR_DIVIDE, &[a, b], &[]);
            let db = g.mul(dy, times);
            [dy, g.neg(db)]
        },
        smooth: true,
    }
    POWER = "power"(a, b) Float -> Same, tile: power {
        doc: "a to the power b, elementwise with broadcasting; NaN for a < 0 and b not whole.",
        real: a.powf(b),
        formula: "np.power(a, b)",
        domain: &[POSITIVE, WIDE],
        grad(g, y, dy): power_grad(g, y, (a, b), dy),
        smooth: true,
    }
    MAXIMUM = "maximum"(a, b) Common -> Same, tile: maximum / maximum_i32 {
        doc: "The larger of a and b, NaN if either is; the gradient is shared equally where they tie.",
        real: host::larger(a, b),
        formula: "np.maximum(a, b)",
        domain: &[(-3.0, -0.1), (0.1, 3.0)],
        grad(g, y, dy): shared(g, a, b, dy),
        smooth: true,
    }
    MINIMUM = "minimum"(a, b) Common -> Same, tile: minimum / minimum_i32 {
        doc: "The smaller of a and b, NaN if either is; the gradient is shared equally where they tie.",
        real: host::smaller(a, b),
        formula: "np.minimum(a, b)",
        domain: &[(-3.0, -0.1), (0.1, 3.0)],
        grad(g, y, dy): shared(g, b, a, dy),
        smooth: true,
    }
    NEGATIVE = "negative"(x) Number -> Same, tile: neg / neg_i32 {
        doc: "-x, elementwise.",
        real: -x,
        formula: "-x",
        domain: &[WIDE],
        grad(g, y, dy): [g.neg(dy)],
        smooth: true,
    }
    ABSOLUTE = "absolute"(x) Number -> Same, tile: abs / abs_i32 {
        doc: "|x|, elementwise; the gradient at 0 is 0.",
        real: x.abs(),
        formula: "np.abs(x)",
        domain: &[(0.2, 3.0)],
        grad(g, y, dy): { let s = g.sign(x); [g.mul(dy, s)] },
        smooth: true,
    }
    SIGN = "sign"(x) Number -> Same, tile: sign / sign_i32 {
        doc: "-1, 0 or 1 by the sign of x; NaN for NaN.",
        real: if x == 0.0 { 0.0 } else if x.is_nan() { x } else { x.signum() },
        formula: "np.sign(x)",
        domain: &[WIDE],
        smooth: true,
    }
    RECIPROCAL = "reciprocal"(x) Float -> Same, tile: reciprocal {
        doc: "1 / x, elementwise.",
        real: 1.0 / x,
        formula: "1 / x",
        domain: &[POSITIVE],
        grad(g, y, dy): { let s = g.square(y); let d = g.mul(dy, s); [g.neg(d)] },
        smooth: true,
    }
    SQUARE = "square"(x) Float -> Same, tile: square {
        doc: "x * x, elementwise.",
        real: x * x,
        formula: "np.square(x)",
        domain: &[WIDE],
        grad(g, y, dy): { let d = g.mul(dy, x); [g.mul_scalar(d, 2.0)] },
        smooth: true,
    }
    SQRT = "sqrt"(x) Float -> Same, tile: sqrt {
        doc: "The square root of x; NaN below 0.",
        real: x.sqrt(),
        formula: "np.sqrt(x)",
        domain: &[POSITIVE],
        grad(g, y, dy): { let half = g.mul_scalar(dy, 0.5); [g.div(half, y)] },
        smooth: true,
    }
    RSQRT = "rsqrt"(x) Float -> Same, tile: rsqrt {
        doc: "1 / sqrt(x), elementwise.",
        real: 1.0 / x.sqrt(),
        formula: "1 / np.sqrt(x)",
        domain: &[POSITIVE],
        grad(g, y, dy): {
            // From the left: the cube of y alone would overflow for x below 1e-26.
            let d = g.mul(dy, y);
            let d = g.mul(d, y);
            let d = g.mul(d, y);
            [g.mul_scalar(d, -0.5)]
        },
        smooth: true,
    }
    EXP = "exp"(x) Float -> Same, tile: exp {
        doc: "e to the power x, elementwise.",
        real: x.exp(),
        formula: "np.exp(x)",
        domain: &[WIDE],
        grad(g, y, dy): [g.mul(dy, y)],
        smooth: true,
    }
    EXPM1 = "expm1"(x) Float -> Same, tile: expm1 {
        doc: "e^x - 1, accurate near 0.",
        real: x.exp_m1(),
        formula: "np.expm1(x)",
        domain: &[WIDE],
        grad(g, y, dy): { let e = g.add_scalar(y, 1.0); [g.mul(dy, e)] },
        smooth: true,
    }
    LOG = "log"(x) Float -> Same, tile: log {
        doc: "The natural logarithm; -inf at 0, NaN below.",
        real: x.ln(),
        formula: "np.log(x)",
        domain: &[POSITIVE],
        grad(g, y, dy): [g.div(dy, x)],
        smooth: true,
    }
    LOG1P = "log1p"(x) Float -> Same, tile: log1p {
        doc: "ln(1 + x), accurate near 0.",
        real: x.ln_1p(),
        formula: "np.log1p(x)",
        domain: &[(-0.7, 3.0)],
        grad(g, y, dy): { let d = g.add_scalar(x, 1.0); [g.div(dy, d)] },
        smooth: true,
    }
    SIN = "sin"(x) Float -> Same, tile: sin {
        doc: "The sine of x radians.",
        real: x.sin(),
        formula: "np.sin(x)",
        domain: &[WIDE],
        grad(g, y, dy): { let c = g.cos(x); [g.mul(dy, c)] },
        smooth: true,
    }
    COS = "cos"(x) Float -> Same, tile: cos {
        doc: "The cosine of x radians.",
        real: x.cos(),
        formula: "np.cos(x)",
        domain: &[WIDE],
        grad(g, y, dy): { let s = g.sin(x); let d = g.mul(dy, s); [g.neg(d)] },
        smooth: true,
    }
    TANH = "tanh"(x) Float -> Same, tile: tanh {
        doc: "The hyperbolic tangent.",
        real: x.tanh(),
        formula: "np.tanh(x)",
        domain: &[WIDE],
        grad(g, y, dy): { let s = g.square(y); let d = g.scalar_sub(1.0, s); [g.mul(dy, d)] },
        smooth: true,
    }
    SIGMOID = "sigmoid"(x) Float -> Same, tile: sigmoid {
        doc: "1 / (1 + e^-x).",
        real: if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) },
        formula: "1 / (1 + np.exp(-x))",
        domain: &[WIDE],
        grad(g, y, dy): { let r = g.scalar_sub(1.0, y); let d = g.mul(y, r); [g.mul(dy, d)] },
        smooth: true,
    }
    ERF = "erf"(x) Float -> Same, tile: erf {
        doc: "The error function, 2/sqrt(pi) times the integral of e^-t^2 from 0 to x.",
        real: erf(x),
        formula: "erf(x)",
        domain: &[WIDE],
        grad(g, y, dy): {
            let s = g.square(x);
            let s = g.neg(s);
            let e = g.exp(s);
            let d = g.mul(dy, e);
            [g.mul_scalar(d, std::f64::consts::FRAC_2_SQRT_PI)]
        },
        smooth: true,
    }
    ARCTAN = "arctan"(x) Float -> Same, tile: atan {
        doc: "The angle in radians whose tangent is x, between -pi/2 and pi/2.",
        real: x.atan(),
        formula: "np.arctan(x)",
        domain: &[WIDE],
        grad(g, y, dy): {
            let s = g.square(x);
            let s = g.add_scalar(s, 1.0);
            [g.div(dy, s)]
        },
        smooth: true,
    }
    FLOOR = "floor"(x) Float -> Same, tile: floor {
        doc: "The largest whole number not above x.",
        real: x.floor(),
        formula: "np.floor(x)",
        domain: &[WIDE],
        smooth: true,
    }
    CEIL = "ceil"(x) Float -> Same, tile: ceil {
        doc: "The smallest whole number not below x.",
        real: x.ceil(),
        formula: "np.ceil(x)",
        domain: &[WIDE],
        smooth: true,
    }
    ROUND = "round"(x) Float -> Same, tile: round {
        doc: "The nearest whole number, ties to even.",
        real: x.round_ties_even(),
        formula: "np.round(x)",
        domain: &[WIDE],
        smooth: true,
    }
    TRUNC = "trunc"(x) Float -> Same, tile: trunc {
        doc: "x without its fraction.",
        real: x.trunc(),
        formula: "np.trunc(x)",
        domain: &[WIDE],
        smooth: true,
    }
    RELU = "relu"(x) Float -> Same, tile: relu {
        doc: "max(x, 0); the gradient at 0 is 0.",
        real: host::larger(0.0, x),
        formula: "np.maximum(x, 0)",
        domain: &[(0.2, 3.0)],
        grad(g, y, dy): {
            let zero = g.number(0.0);
            let on = g.greater(y, zero);
            [g.where_(on, dy, zero)]
        },
        smooth: true,
    }
    SOFTPLUS = "softplus"(x) Float -> Same, tile: softplus {
        doc: "ln(1 + e^x), without overflow.",
        real: x.max(0.0) + (-x.abs()).exp().ln_1p() + if x.is_nan() { x } else { 0.0 },
        formula: "np.logaddexp(x, 0)",
        domain: &[WIDE],
        grad(g, y, dy): { let s = g.sigmoid(x); [g.mul(dy, s)] },
        smooth: true,
    }
}

rows! {
    STOP_GRADIENT = "stop_gradient"("x") {
        doc: "x itself; no gradient flows through.",
        class: Class::View,
        accept: Accept::Exact,
        infer: infer_stop,
        vjp: Vjp::Zero,
        kind: Kind::View,
        reference: |x, _, _| x[0].clone(),
        formula: "x",
        domain: &[WIDE],
        smooth: true,
    }
    CLIP = "clip"("x"; min: Float, max: Float) {
        doc: "x limited to [min, max]; the gradient is 0 outside and a half on a limit.",
        class: Class::Composite,
        accept: Accept::Number,
        infer: |types, attrs| {
            if attrs[0].float() > attrs[1].float() {
                return crate::data_err!("clip: min {} is above max {}\n  hint: swap them", attrs[0].float(), attrs[1].float());
            }
            rule::arity("clip", types, 1)?;
            Ok(types[0])
        },
        vjp: Vjp::Lowered,
        kind: Kind::Lowered(|g, x, attrs| {
            let dtype = g.dtype_of(x[0]);
            let low = g.typed_scalar(attrs[0].float(), dtype);
            let high = g.typed_scalar(attrs[1].float(), dtype);
            let y = g.maximum(x[0], low);
            Ok(g.minimum(y, high))
        }),
        reference: |x, a, out| host::map(x, out, |[x]| host::clip(x, a[0].float(), a[1].float())),
        formula: "np.clip(x, min, max)",
        domain: &[WIDE],
        smooth: false,
    }
}

fn infer_stop(types: &[Ty], _: &[crate::graph::Attr]) -> Result<Ty> {
    rule::arity("stop_gradient", types, 1)?;
    Ok(types[0])
}

/// Gradients of the larger of a and b: where a is above, where b is; half each where they tie.
fn shared(g: &mut Graph, a: Id, b: Id, dy: Id) -> [Id; 2] {
    let mut share = |over: Id, under: Id| {
        let above = g.greater(over, under);
        let above = g.to_float(above);
        let level = g.greater_equal(over, under);
        let level = g.to_float(level);
        let twice = g.add_(above, level);
        let half = g.mul_scalar(twice, 0.5);
        g.mul(dy, half)
    };
    [share(a, b), share(b, a)]
}

/// d(a^b) = b a^(b-1) da + a^b ln a db, with the limits 0 where the formula gives 0 * inf.
fn power_grad(g: &mut Graph, y: Id, (a, b): (Id, Id), dy: Id) -> [Id; 2] {
    let zero = g.number(0.0);
    let node = g.node(b);
    let known = (node.op == &SCALAR).then(|| node.attrs[0].float());
    let slope = match known {
        Some(0.0) => zero,
        Some(p) => {
            let less = g.number(p - 1.0);
            let power = g.pow(a, less);
            g.mul_scalar(power, p)
        }
        None => {
            let flat = g.equal(b, zero);
            let one = g.number(1.0);
            let exponent = g.where_(flat, one, b);
            let less = g.add_scalar(exponent, -1.0);
            let power = g.pow(a, less);
            let slope = g.mul(b, power);
            g.where_(flat, zero, slope)
        }
    };
    let at_zero = g.equal(a, zero);
    let one = g.number(1.0);
    let base = g.where_(at_zero, one, a);
    let log = g.log(base);
    let rate = g.mul(y, log);
    let da = g.mul(dy, slope);
    [da, g.mul(dy, rate)]
}

/// The error function in f64: Maclaurin series below 3, continued fraction above (DLMF 7.6, 7.9).
#[must_use]
pub fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a.is_nan() {
        return x;
    }
    let y = if a < 3.0 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term.abs() > 1e-18 * sum {
            n += 1.0;
            term *= -a * a / n;
            sum += term / (2.0 * n + 1.0);
        }
        std::f64::consts::FRAC_2_SQRT_PI * sum
    } else if a > 6.0 {
        1.0
    } else {
        let tail = (1..=60).rev().fold(a, |f, k| a + f64::from(k) / 2.0 / f);
        1.0 - (-a * a).exp() / (tail * std::f64::consts::PI.sqrt())
    };
    y.copysign(x)
}
