//! Positions computed at run time: iota, gathers and their adjoints, one-hot rows, running sums.

use super::build::Build;
use super::host;
use super::rule::{self, shape_attr};
use crate::data_err;
use crate::error::Result;
use crate::graph::{Accept, Attr, Class, Cpu, Graph, Host, Id, StepCtx, Ty, Vjp};
use crate::shape::{DType, Shape};

const WIDE: (f32, f32) = (-3.0, 3.0);

rows! {
    IOTA = "iota"(; stop: Int, dtype: DType = Attr::DType(DType::I32)) {
        doc: "The whole numbers 0, 1, ... below stop.",
        class: Class::Kernel,
        accept: Accept::Exact,
        infer: |types, attrs| {
            rule::arity("iota", types, 0)?;
            Ok(Ty { shape: rule::sizes("iota", &[attrs[0].int()])?, dtype: attrs[1].dtype() })
        },
        vjp: Vjp::Zero,
        cpu: Cpu::Step(iota_step),
        reference: |_, _, out| host::generate(out, |i| if out.dtype == DType::Bool { f64::from(u8::from(i > 0)) } else { i as f64 }),
        formula: "np.arange(stop).astype(dtype)",
        domain: &[],
        smooth: true,
    }
    FULL = "full"(; shape: Ints, value: Float, dtype: DType = Attr::DType(DType::F32)) {
        doc: "A value everywhere in a shape.",
        class: Class::Composite,
        accept: Accept::Exact,
        infer: |types, attrs| {
            rule::arity("full", types, 0)?;
            Ok(Ty { shape: rule::sizes("full", attrs[0].ints())?, dtype: attrs[2].dtype() })
        },
        vjp: Vjp::Zero,
        cpu: Cpu::Lowered(|g, _, attrs| {
            let v = g.typed_scalar(fit(attrs[1].float(), attrs[2].dtype()), attrs[2].dtype());
            Ok(g.broadcast_to(v, &rule::sizes("full", attrs[0].ints())?))
        }),
        reference: |_, a, out| host::generate(out, |_| fit(a[1].float(), out.dtype)),
        formula: "np.full(shape, value).astype(dtype)",
        domain: &[],
        smooth: true,
    }
    EYE = "eye"(; n: Int, m: IntOrNone = Attr::None, k: Int = Attr::Int(0)) {
        doc: "Ones on the k-th diagonal of an (n, m) matrix of zeros; m is n when left out.",
        class: Class::Composite,
        accept: Accept::Exact,
        infer: |types, attrs| {
            rule::arity("eye", types, 0)?;
            Ok(Ty::f32(rule::sizes("eye", &[attrs[0].int(), columns(attrs)])?))
        },
        vjp: Vjp::Zero,
        cpu: Cpu::Lowered(|g, _, attrs| {
            let shift = g.typed_scalar(attrs[2].int() as f64, DType::I32);
            let rows = g.iota(attrs[0].int());
            let rows = g.add_(rows, shift);
            let rows = g.expand_dims(rows, 1);
            let columns = g.iota(columns(attrs));
            let hit = g.equal(rows, columns);
            Ok(g.to_float(hit))
        }),
        reference: |_, a, out| host::generate(out, |i| {
            let at = host::unravel(i, &out.shape);
            f64::from(u8::from(at[0] as i64 + a[2].int() == at[1] as i64))
        }),
        formula: "np.eye(n, m, k, dtype=np.float32)",
        domain: &[],
        smooth: true,
    }
    ONE_HOT = "one_hot"("indices"; num_classes: Int) {
        doc: "A new last axis with 1 at the index (int32) and 0 elsewhere; all 0 for an index out of range.",
        class: Class::Composite,
        accept: Accept::Exact,
        infer: |types, attrs| {
            rule::arity("one_hot", types, 1)?;
            rule::typed("one_hot", "indices", types[0], DType::I32)?;
            if attrs[0].int() < 1 {
                return data_err!("one_hot: num_classes is {}; hint: at least 1", attrs[0].int());
            }
            let mut dims = types[0].shape.dims().to_vec();
            dims.push(attrs[0].int() as usize);
            Ok(Ty::f32(Shape::new(&dims)?))
        },
        vjp: Vjp::Zero,
        cpu: Cpu::Lowered(|g, x, attrs| Ok(g.one_hot(x[0], attrs[0].int()))),
        reference: |x, a, out| host::generate(out, |i| {
            let n = a[0].int() as usize;
            f64::from(u8::from(x[0].data[i / n] == (i % n) as f64))
        }),
        formula: "(np.asarray(indices)[..., None] == np.arange(num_classes)).astype(np.float32)",
        domain: &[(0.0, 3.0)],
        smooth: true,
    }
    CUMSUM = "cumsum"("x"; axis: Int = Attr::Int(-1)) {
        doc: "Running sums along an axis.",
        class: Class::Kernel,
        accept: Accept::Number,
        infer: |types, attrs| {
            rule::arity("cumsum", types, 1)?;
            types[0].shape.axis(attrs[0].int(), "cumsum")?;
            Ok(types[0])
        },
        vjp: Vjp::Rule(|g, y, _, dy| {
            let axis = g.node(y).attrs[0].clone();
            let flipped = Attr::Ints(vec![axis.int()]);
            let back = g.build(&super::movement::FLIP, &[dy], std::slice::from_ref(&flipped));
            let sums = g.build(&CUMSUM, &[back], &[axis]);
            vec![Some(g.build(&super::movement::FLIP, &[sums], &[flipped]))]
        }),
        cpu: Cpu::Step(cumsum_step),
        reference: |x, a, out| {
            let (_, n, inner) = rule::around(&out.shape, out.shape.axis(a[0].int(), "cumsum").unwrap_or(0));
            host::generate(out, |i| (0..=i / inner % n).map(|back| x[0].data[i - back * inner]).sum())
        },
        formula: "np.cumsum(x, axis)",
        domain: &[WIDE],
        smooth: true,
    }
}

fn columns(attrs: &[Attr]) -> i64 {
    if attrs[1] == Attr::None { attrs[0].int() } else { attrs[1].int() }
}

/// A number as a value of this type holds it.
fn fit(value: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F32 => value,
        DType::I32 => host::wrap(value),
        DType::Bool => f64::from(u8::from(value != 0.0)),
    }
}

fn iota_step(ctx: &StepCtx<'_>) -> Result<()> {
    let out = ctx.output;
    for i in 0..out.ty.shape.count() {
        let v = match out.ty.dtype {
            DType::F32 => i as f32,
            DType::I32 => f32::from_bits(i as u32),
            DType::Bool => f32::from(u8::from(i > 0)),
        };
        // SAFETY: the executor hands steps an output that covers its shape.
        unsafe { out.ptr.add(i).write(v) };
    }
    Ok(())
}

fn cumsum_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (x, out) = (ctx.inputs[0], ctx.output);
    let (outer, n, inner) = rule::around(&out.ty.shape, out.ty.shape.axis(ctx.attrs[0].int(), "cumsum")?);
    for at in 0..outer * n * inner {
        // SAFETY: buffers cover their shapes; an element that is not first on its axis has a
        // predecessor `inner` places before it.
        unsafe {
            let v = x.ptr.add(at).read();
            let sum = match (at / inner % n, out.ty.dtype) {
                (0, _) => v,
                (_, DType::I32) => {
                    let before = out.ptr.add(at - inner).read().to_bits();
                    f32::from_bits(before.wrapping_add(v.to_bits()))
                }
                _ => out.ptr.add(at - inner).read() + v,
            };
            out.ptr.add(at).write(sum);
        }
    }
    Ok(())
}
