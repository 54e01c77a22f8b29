//! Keras's activation functions, composed from primitives; fusion turns each into one loop. The two
//! forms of gelu are primitives themselves: composed, they would be five instructions.
//! Defaults are Keras's: `gelu` exact, `leaky_relu` slope 0.2, `hard_sigmoid` slope 1/6.

use super::build::Build;
use super::elementwise::{CLIP, elementwise, erf};
use super::host;
use super::rule::{self, Gives, Takes};
use crate::graph::{Accept, Attr, Class, Graph, Id, Kind, Vjp};

const WIDE: (f32, f32) = (-4.0, 4.0);
// The constants of Klambauer et al., "Self-normalizing neural networks", 2017.
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

elementwise! {
    GELU_ERF = "gelu_erf"(x) Float -> Same, tile: gelu {
        doc: "x * P(N(0, 1) < x): gelu in its exact form, with erf.",
        real: gelu_erf(x),
        formula: "0.5 * x * (1 + erf(x / np.sqrt(2)))",
        domain: &[(-3.0, 3.0)],
        grad(g, y, dy): {
            // The distribution function of N(0, 1) and x times its density.
            let scaled = g.mul_scalar(x, std::f64::consts::FRAC_1_SQRT_2);
            let e = g.erf(scaled);
            let half = g.mul_scalar(e, 0.5);
            let below = g.add_scalar(half, 0.5);
            let square = g.square(x);
            let exponent = g.mul_scalar(square, -0.5);
            let density = g.exp(exponent);
            let density = g.mul_scalar(density, 0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2);
            let part = g.mul(x, density);
            let slope = g.add_(part, below);
            [g.mul(dy, slope)]
        },
        smooth: true,
    }
    GELU_TANH = "gelu_tanh"(x) Float -> Same, tile: gelu_tanh {
        doc: "0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))): gelu in its approximate form.",
        real: gelu_tanh(x),
        formula: "0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))",
        domain: &[(-3.0, 3.0)],
        grad(g, y, dy): {
            // x s(u) with the logistic function s of twice the argument of tanh.
            let square = g.square(x);
            let part = g.mul_scalar(square, GELU_CUBIC);
            let rate = g.add_scalar(part, GELU_LINEAR);
            let u = g.mul(x, rate);
            let s = g.sigmoid(u);
            let rest = g.scalar_sub(1.0, s);
            let bend = g.mul(s, rest);
            let part = g.mul_scalar(square, 3.0 * GELU_CUBIC);
            let du = g.add_scalar(part, GELU_LINEAR);
            let change = g.mul(x, du);
            let bent = g.mul(bend, change);
            let slope = g.add_(bent, s);
            [g.mul(dy, slope)]
        },
        smooth: true,
    }
}

/// 2 sqrt(2 / pi), and 0.044715 times that.
const GELU_LINEAR: f64 = 1.595_769_121_605_730_7;
const GELU_CUBIC: f64 = 0.044_715 * GELU_LINEAR;

fn gelu_erf(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)) + 0.0 // no -0, as the kernel
}

fn gelu_tanh(x: f64) -> f64 {
    0.5 * x * (1.0 + (0.5 * x * (GELU_LINEAR + GELU_CUBIC * x * x)).tanh())
}

/// Composite rows of one input: how it is built, and what it means in f64.
macro_rules! activations {
    ($(
        $id:ident = $name:literal($(; $($attr:ident: $kind:ident = $default:expr),+)?) {
            doc: $doc:literal,
            build: $build:expr,
            real: $real:expr,
            formula: $formula:literal,
            domain: $domain:expr,
            smooth: $smooth:literal,
        }
    )+) => {
        rows! {
            $(
                $id = $name("x" $(; $($attr: $kind = $default),+)?) {
                    doc: $doc,
                    class: Class::Composite,
                    accept: Accept::Float,
                    infer: |types, _| rule::one_float($name, types),
                    vjp: Vjp::Lowered,
                    kind: Kind::Lowered(|g, x, attrs| {
                        let build: fn(&mut Graph, Id, &[Attr]) -> Id = $build;
                        Ok(build(g, x[0], attrs))
                    }),
                    reference: |x, attrs, out| {
                        let real: fn(f64, &[Attr]) -> f64 = $real;
                        host::map(x, out, |[x]| real(x, attrs))
                    },
                    formula: $formula,
                    domain: &[$domain],
                    smooth: $smooth,
                }
            )+
        }
    };
}

activations! {
    RELU6 = "relu6"() {
        doc: "min(max(x, 0), 6).",
        build: |g, x, _| g.build(&CLIP, &[x], &[Attr::Float(0.0), Attr::Float(6.0)]),
        real: |x, _| host::clip(x, 0.0, 6.0),
        formula: "np.clip(x, 0, 6)",
        domain: (0.2, 5.0),
        smooth: true,
    }
    LEAKY_RELU = "leaky_relu"(; negative_slope: Float = Attr::Float(0.2)) {
        doc: "x where x >= 0, else negative_slope * x.",
        build: |g, x, a| {
            let low = g.mul_scalar(x, a[0].float());
            on_sign(g, x, x, low)
        },
        real: |x, a| if x >= 0.0 { x } else { a[0].float() * x },
        formula: "np.where(x >= 0, x, negative_slope * x)",
        domain: (-3.0, -0.2),
        smooth: true,
    }
    ELU = "elu"(; alpha: Float = Attr::Float(1.0)) {
        doc: "x where x >= 0, else alpha * (e^x - 1).",
        build: |g, x, a| elu(g, x, a[0].float()),
        real: |x, a| if x >= 0.0 { x } else { a[0].float() * x.exp_m1() },
        formula: "np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0)))",
        domain: (-3.0, -0.2),
        smooth: true,
    }
    SELU = "selu"() {
        doc: "1.0507 * elu(x, alpha=1.6733), the self-normalising unit.",
        build: |g, x, _| { let y = elu(g, x, SELU_ALPHA); g.mul_scalar(y, SELU_SCALE) },
        real: |x, _| SELU_SCALE * if x >= 0.0 { x } else { SELU_ALPHA * x.exp_m1() },
        formula: "1.0507009873554805 * np.where(x >= 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))",
        domain: (-3.0, -0.2),
        smooth: true,
    }
    CELU = "celu"(; alpha: Float = Attr::Float(1.0)) {
        doc: "x where x >= 0, else alpha * (e^(x / alpha) - 1).",
        build: |g, x, a| {
            let scaled = g.mul_scalar(x, 1.0 / a[0].float());
            let y = elu(g, scaled, 1.0);
            g.mul_scalar(y, a[0].float())
        },
        real: |x, a| if x >= 0.0 { x } else { a[0].float() * (x / a[0].float()).exp_m1() },
        formula: "np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))",
        domain: (-3.0, -0.2),
        smooth: true,
    }
    GELU = "gelu"(; approximate: Bool = Attr::Bool(false)) {
        doc: "x * P(N(0, 1) < x): exact with erf, or approximated with tanh (Hendrycks and Gimpel, 2016).",
        build: |g, x, a| g.build(if a[0].flag() { &GELU_TANH } else { &GELU_ERF }, &[x], &[]),
        real: |x, a| if a[0].flag() { gelu_tanh(x) } else { gelu_erf(x) },
        formula: "0.5 * x * (1 + (np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)) if approximate else erf(x / np.sqrt(2))))",
        domain: (-3.0, 3.0),
        smooth: true,
    }
    SILU = "silu"() {
        doc: "x * sigmoid(x), also called swish.",
        build: |g, x, _| { let s = g.sigmoid(x); g.mul(x, s) },
        real: |x, _| x / (1.0 + (-x).exp()),
        formula: "x / (1 + np.exp(-x))",
        domain: WIDE,
        smooth: true,
    }
    MISH = "mish"() {
        doc: "x * tanh(softplus(x)).",
        build: |g, x, _| { let s = g.softplus(x); let t = g.tanh(s); g.mul(x, t) },
        real: |x, _| x * (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh(),
        formula: "x * np.tanh(np.logaddexp(x, 0))",
        domain: WIDE,
        smooth: true,
    }
    SOFTSIGN = "softsign"() {
        doc: "x / (1 + |x|).",
        build: |g, x, _| { let a = g.abs(x); let d = g.add_scalar(a, 1.0); g.div(x, d) },
        real: |x, _| x / (1.0 + x.abs()),
        formula: "x / (1 + np.abs(x))",
        domain: (0.2, 3.0),
        smooth: true,
    }
    HARD_SIGMOID = "hard_sigmoid"() {
        doc: "x / 6 + 1/2, limited to [0, 1].",
        build: |g, x, _| hard_sigmoid(g, x),
        real: |x, _| (x / 6.0 + 0.5).clamp(0.0, 1.0),
        formula: "np.clip(x / 6 + 0.5, 0, 1)",
        domain: (-2.5, 2.5),
        smooth: true,
    }
    HARD_SILU = "hard_silu"() {
        doc: "x * hard_sigmoid(x), also called hard swish.",
        build: |g, x, _| { let s = hard_sigmoid(g, x); g.mul(x, s) },
        real: |x, _| x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        formula: "x * np.clip(x / 6 + 0.5, 0, 1)",
        domain: (-2.5, 2.5),
        smooth: true,
    }
    HARD_TANH = "hard_tanh"() {
        doc: "x limited to [-1, 1].",
        build: |g, x, _| g.build(&CLIP, &[x], &[Attr::Float(-1.0), Attr::Float(1.0)]),
        real: |x, _| x.clamp(-1.0, 1.0),
        formula: "np.clip(x, -1, 1)",
        domain: (-0.9, 0.9),
        smooth: true,
    }
    TANH_SHRINK = "tanh_shrink"() {
        doc: "x - tanh(x).",
        build: |g, x, _| { let t = g.tanh(x); g.sub(x, t) },
        real: |x, _| x - x.tanh(),
        formula: "x - np.tanh(x)",
        domain: WIDE,
        smooth: true,
    }
    EXPONENTIAL = "exponential"() {
        doc: "e to the power x; Keras's name for exp.",
        build: |g, x, _| g.exp(x),
        real: |x, _| x.exp(),
        formula: "np.exp(x)",
        domain: WIDE,
        smooth: true,
    }
    LOG_SIGMOID = "log_sigmoid"() {
        doc: "ln(sigmoid(x)) = -softplus(-x).",
        build: |g, x, _| { let n = g.neg(x); let s = g.softplus(n); g.neg(s) },
        real: |x, _| -((-x).max(0.0) + (-x.abs()).exp().ln_1p()),
        formula: "-np.logaddexp(-x, 0)",
        domain: WIDE,
        smooth: true,
    }
}

/// `high` where x >= 0, else `low`.
fn on_sign(g: &mut Graph, x: Id, high: Id, low: Id) -> Id {
    let zero = g.number(0.0);
    let on = g.greater_equal(x, zero);
    g.where_(on, high, low)
}

fn elu(g: &mut Graph, x: Id, alpha: f64) -> Id {
    // The branch not taken must stay finite, or its zero gradient becomes NaN.
    let zero = g.number(0.0);
    let low = g.minimum(x, zero);
    let low = g.expm1(low);
    let low = g.mul_scalar(low, alpha);
    on_sign(g, x, x, low)
}

fn hard_sigmoid(g: &mut Graph, x: Id) -> Id {
    let scaled = g.mul_scalar(x, 1.0 / 6.0);
    let y = g.add_scalar(scaled, 0.5);
    g.build(&CLIP, &[y], &[Attr::Float(0.0), Attr::Float(1.0)])
}
