//! Random numbers as pure functions of a key: four int32 (seed low, seed high, counter, extra) and
//! the attribute `stream`. The same key and stream give the same numbers on any machine and any
//! number of threads (Philox4x32-10; Salmon, Moraes, Dror, Shaw, SC 2011).

use super::build::Build;
use super::host;
use super::rule::{self, shape_attr};
use crate::data_err;
use crate::dim::Dim;
use crate::error::Result;
use crate::graph::{Accept, Arg, Attr, Class, Host, Kind, StepCtx, Ty, Vjp};
use crate::kernels::random::{self as kernel, GROUP, Key};
use crate::shape::DType;
use crate::simd::LANES;

const KEY: (f32, f32) = (0.0, 1000.0);

rows! {
    RANDOM_UNIFORM = "random_uniform"("key"; shape: Sizes, stream: Int = Attr::Int(0)) {
        doc: "Uniform float32 in [0, 1), multiples of 2**-24.",
        class: Class::Random,
        accept: Accept::Exact,
        infer: |types, attrs| infer("random_uniform", types, &attrs[0].sizes(), DType::F32),
        vjp: Vjp::Zero,
        kind: Kind::Kernel,
        reference: |x, a, out| {
            let key = host_key(&x[0], &a[1]);
            host::generate(out, |i| unit(word(key, i, i % GROUP / LANES)))
        },
        formula: "",
        domain: &[KEY],
        smooth: true,
    }
    RANDOM_NORMAL = "random_normal"("key"; shape: Sizes, stream: Int = Attr::Int(0)) {
        doc: "Standard normal float32 (Box and Muller, 1958); none beyond 5.8.",
        class: Class::Random,
        accept: Accept::Exact,
        infer: |types, attrs| infer("random_normal", types, &attrs[0].sizes(), DType::F32),
        vjp: Vjp::Zero,
        kind: Kind::Kernel,
        reference: |x, a, out| {
            let key = host_key(&x[0], &a[1]);
            host::generate(out, |i| {
                let v = i % GROUP / LANES;
                let radius = (-2.0 * (1.0 - unit(word(key, i, v / 2 * 2))).ln()).sqrt();
                let angle = std::f64::consts::TAU * unit(word(key, i, v / 2 * 2 + 1));
                radius * if v.is_multiple_of(2) { angle.cos() } else { angle.sin() }
            })
        },
        formula: "",
        domain: &[KEY],
        smooth: true,
    }
    RANDOM_INTEGERS = "random_integers"("key"; shape: Sizes, low: Int, high: Int, stream: Int = Attr::Int(0)) {
        doc: "Uniform int32 in [low, high).",
        class: Class::Random,
        accept: Accept::Exact,
        infer: |types, attrs| {
            let (low, high) = (attrs[1].int(), attrs[2].int());
            if i32::try_from(low).is_err() || i32::try_from(high).is_err() || low >= high {
                return data_err!("random_integers: low {low} and high {high} need low < high, whole numbers of 32 bits\n  hint: high is not drawn");
            }
            infer("random_integers", types, &attrs[0].sizes(), DType::I32)
        },
        vjp: Vjp::Zero,
        kind: Kind::Kernel,
        reference: |x, a, out| {
            let key = host_key(&x[0], &a[3]);
            let range = (a[2].int() - a[1].int()) as u64;
            host::generate(out, |i| a[1].int() as f64 + ((u64::from(word(key, i, i % GROUP / LANES)) * range) >> 32) as f64)
        },
        formula: "",
        domain: &[KEY],
        smooth: true,
    }
    RANDOM_PERMUTATION = "random_permutation"("key"; n: Size, stream: Int = Attr::Int(0)) {
        doc: "The int32 numbers 0 .. n in random order (Fisher and Yates).",
        class: Class::Random,
        accept: Accept::Exact,
        infer: |types, attrs| {
            let n = attrs[0].size();
            if n.known().is_some_and(|n| n > i64::from(i32::MAX)) {
                return data_err!("random_permutation: n {n} is above 2**31 - 1\n  hint: permute parts of at most that length");
            }
            infer("random_permutation", types, &[n], DType::I32)
        },
        vjp: Vjp::Zero,
        kind: Kind::Kernel,
        reference: |x, a, out| {
            let key = host_key(&x[0], &a[1]);
            let n = out.shape.count();
            let mut order: Vec<usize> = (0..n).collect();
            for (used, i) in (1..n).rev().enumerate() {
                let [high, low] = [2 * used, 2 * used + 1].map(|w| u64::from(word(key, w, w % GROUP / LANES)));
                order.swap(i, ((u128::from(high << 32 | low) * (i as u128 + 1)) >> 64) as usize);
            }
            host::generate(out, |i| order[i] as f64)
        },
        formula: "",
        domain: &[KEY],
        smooth: true,
    }
    DROPOUT = "dropout"("x", "key"; rate: Float, stream: Int = Attr::Int(0)) {
        doc: "Inverted dropout: each element is 0 with probability rate, else divided by 1 - rate. The draw is random_uniform(key, shape, stream) >= rate.",
        class: Class::Composite,
        accept: Accept::Exact,
        infer: |types, attrs| {
            rule::arity("dropout", types, 2)?;
            rule::typed("dropout", "x", types[0], DType::F32)?;
            if !(0.0..=1.0).contains(&attrs[0].float()) {
                return data_err!("dropout: rate {} is not between 0 and 1\n  hint: it is the fraction dropped", attrs[0].float());
            }
            infer("dropout", &types[1..], types[0].shape.dims(), DType::F32)
        },
        vjp: Vjp::Lowered,
        kind: Kind::Lowered(|g, x, attrs| {
            let rate = attrs[0].float();
            if rate == 0.0 {
                return Ok(x[0]);
            }
            let shape = shape_attr(&g.shape_of(x[0]));
            let draw = g.try_add(&RANDOM_UNIFORM, &[x[1]], &[shape, attrs[1].clone()])?;
            let rate_node = g.number(rate);
            let kept = g.greater_equal(draw, rate_node);
            let scaled = g.mul_scalar(x[0], scale(rate));
            let zero = g.number(0.0);
            Ok(g.where_(kept, scaled, zero))
        }),
        reference: |x, a, out| {
            let rate = a[0].float();
            let draw = (RANDOM_UNIFORM.reference)(&x[1..], &[Attr::None, a[1].clone()], out);
            host::generate(out, |i| if draw.data[i] >= rate { x[0].data[i] * scale(rate) } else { 0.0 })
        },
        formula: "",
        domain: &[(-3.0, 3.0), KEY],
        smooth: true,
    }
}

fn infer(name: &str, types: &[Ty], shape: &[Dim], dtype: DType) -> Result<Ty> {
    rule::arity(name, types, 1)?;
    rule::typed(name, "key", types[0], DType::I32)?;
    if types[0].shape.dims() != [4] {
        return data_err!(
            "{name}: key has shape {}, wanted (4,)\n  hint: it is (seed low, seed high, counter, 0)",
            types[0].shape
        );
    }
    Ok(Ty { shape: rule::sizes(name, shape)?, dtype })
}

/// What kept values are multiplied by; nothing is kept at rate 1.
#[must_use]
pub fn scale(rate: f64) -> f64 {
    if rate < 1.0 { 1.0 / (1.0 - rate) } else { 0.0 }
}

fn key_from([low, high, step, extra]: [u32; 4], stream: &Attr) -> Key {
    let seed = u64::from(high) << 32 | u64::from(low);
    Key { seed, stream: (stream.int() as u32).wrapping_add(extra), step }
}

/// The key of a step: its input, and a stream attribute.
pub(super) fn key_of(key: &Arg, stream: &Attr) -> Key {
    let Arg { ptr, .. } = *key;
    // SAFETY: the rule asked for a key of four i32.
    let words = unsafe { ptr.cast::<[u32; 4]>().read_unaligned() };
    key_from(words, stream)
}

fn host_key(key: &Host, stream: &Attr) -> Key {
    key_from(std::array::from_fn(|i| key.data[i] as i64 as u32), stream)
}

pub(crate) fn uniform_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (key, n) = (key_of(&ctx.inputs[0], &ctx.attrs[1]), ctx.output.ty.shape.count());
    // SAFETY: the executor hands steps an output that covers its shape. Likewise below.
    unsafe { kernel::uniform_on(ctx.isa, ctx.output.floats(), 0, n, key) };
    Ok(())
}

pub(crate) fn normal_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (key, n) = (key_of(&ctx.inputs[0], &ctx.attrs[1]), ctx.output.ty.shape.count());
    // SAFETY: as for uniform.
    unsafe { kernel::normal_on(ctx.isa, ctx.output.floats(), 0, n, key) };
    Ok(())
}

pub(crate) fn integers_step(ctx: &StepCtx<'_>) -> Result<()> {
    let bounds = (ctx.attrs[1].int() as i32, ctx.attrs[2].int() as i32);
    let (key, n) = (key_of(&ctx.inputs[0], &ctx.attrs[3]), ctx.output.ty.shape.count());
    // SAFETY: as for uniform.
    unsafe { kernel::integers_on(ctx.isa, ctx.output.ints(), 0, n, key, bounds) };
    Ok(())
}

pub(crate) fn permutation_step(ctx: &StepCtx<'_>) -> Result<()> {
    let n = ctx.output.ty.shape.count();
    // SAFETY: the executor hands steps an output that covers its shape; i32 and u32 agree below 2^31.
    let order = unsafe { std::slice::from_raw_parts_mut(ctx.output.ints().cast::<u32>(), n) };
    for (slot, i) in order.iter_mut().zip(0..) {
        *slot = i;
    }
    kernel::shuffle(order, key_of(&ctx.inputs[0], &ctx.attrs[1]));
    Ok(())
}

/// Word `v` of the Philox block behind value `i` of a stream; see the kernel for the order.
fn word(key: Key, i: usize, v: usize) -> u32 {
    let block = i as u64 / GROUP as u64 * LANES as u64 + (i % LANES) as u64;
    philox(
        [block as u32, (block >> 32) as u32, key.stream, key.step],
        [key.seed as u32, (key.seed >> 32) as u32],
    )[v]
}

fn unit(bits: u32) -> f64 {
    f64::from(bits >> 8) / 16_777_216.0
}

fn philox(mut c: [u32; 4], mut k: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = 0xd251_1f53 * u64::from(c[0]);
        let b = 0xcd9e_8d57 * u64::from(c[2]);
        c = [(b >> 32) as u32 ^ c[1] ^ k[0], b as u32, (a >> 32) as u32 ^ c[3] ^ k[1], a as u32];
        k = [k[0].wrapping_add(0x9e37_79b9), k[1].wrapping_add(0xbb67_ae85)];
    }
    c
}
