//! Every row's CPU kernel against its f64 reference, on every instruction set of the machine. Rows
//! that the executor runs by shape alone (reductions, products, views) are tested with it.

mod ops_cases;

use fastnn::exec::cpu::table::{Kernel, kernel};
use fastnn::graph::{Accept, Arg, Host, Kind, StepCtx, Ty};
use fastnn::ops::{OPS, find};
use fastnn::shape::{DType, Shape};
use fastnn::simd::Isa;
use ops_cases::{Case, Rng, cases};

fn to_bits(x: &Host) -> Vec<f32> {
    let one = |&v: &f64| if x.ty.dtype == DType::I32 { f32::from_bits(v as i32 as u32) } else { v as f32 };
    x.data.iter().map(one).collect()
}

fn to_numbers(bits: &[f32], dtype: DType) -> Vec<f64> {
    // Registers hold the small whole numbers as int32.
    let whole = matches!(dtype, DType::I32 | DType::I8 | DType::U8);
    let one = |v: &f32| if whole { f64::from(v.to_bits() as i32) } else { f64::from(*v) };
    bits.iter().map(one).collect()
}

fn widened(x: &Host, shape: &Shape) -> Host {
    let row = find("broadcast_to").unwrap();
    (row.reference)(std::slice::from_ref(x), &[], Ty { shape: *shape, dtype: x.ty.dtype })
}

/// The row on one instruction set; `None` where it has no kernel of its own.
fn run(case: &Case, out: Ty, isa: Isa) -> Option<fastnn::error::Result<Vec<f64>>> {
    let mut y = vec![f32::NAN; out.shape.count()];
    match (kernel(case.op), case.op.kind) {
        (Some(Kernel::Tile { float, int }), _) => {
            let wide: Vec<Vec<f32>> = case.inputs.iter().map(|x| to_bits(&widened(x, &out.shape))).collect();
            let at = |i: usize| wide.get(i).unwrap_or(&wide[0]).as_ptr();
            let whole = case.inputs.last()?.ty.dtype == DType::I32;
            let kernel = if whole { int.expect("a row that takes i32 has a kernel for it") } else { float };
            // SAFETY: the set is available; all buffers hold the output's element count.
            unsafe { kernel(isa)(y.as_mut_ptr(), at(0), at(1), at(2), y.len()) };
        }
        (Some(Kernel::Step(step)), _) => {
            let mut buffers: Vec<Vec<f32>> = case.inputs.iter().map(to_bits).collect();
            let inputs: Vec<Arg> = buffers
                .iter_mut()
                .zip(&case.inputs)
                .map(|(b, x)| Arg { ptr: b.as_mut_ptr().cast(), ty: x.ty })
                .collect();
            let output = Arg { ptr: y.as_mut_ptr().cast(), ty: out };
            // Nobody reads the parts here; ops_programs.rs compares them.
            let types: Vec<Ty> = case.inputs.iter().map(|x| x.ty).collect();
            let part = |ty: Ty| Arg { ptr: std::ptr::null_mut(), ty };
            let parts = case.op.parts.iter().map(|p| part((p.infer)(&types, &case.attrs).unwrap()));
            let unread: Vec<Arg> = parts.collect();
            let ctx = StepCtx { inputs: &inputs, output, parts: &unread, attrs: &case.attrs, isa };
            // SAFETY: every argument covers what its type says.
            if let Err(e) = unsafe { step(&ctx) } {
                return Some(Err(e));
            }
        }
        (None, Kind::Strided(layout)) => {
            let types: Vec<Ty> = case.inputs.iter().map(|x| x.ty).collect();
            let layout = layout(&types, &case.attrs, out).unwrap();
            assert_eq!(layout.strides.len(), out.shape.rank(), "{}", case.label());
            let x = to_bits(&case.inputs[0]);
            for (i, v) in y.iter_mut().enumerate() {
                let at = fastnn::ops::host::unravel(i, &out.shape);
                let steps = layout.strides.iter().zip(at).map(|(s, i)| s * i as isize);
                *v = x[usize::try_from(layout.offset + steps.sum::<isize>()).unwrap()];
            }
        }
        _ => return None,
    }
    Some(Ok(to_numbers(&y, out.dtype)))
}

fn compare(case: &Case) -> bool {
    let (g, _, y) = case.graph();
    let out = g.ty(y);
    let want = (case.op.reference)(&case.inputs, &case.attrs, out);
    assert_eq!(want.ty, out, "{}", case.label());
    let mut ran = false;
    for isa in Isa::available() {
        let Some(got) = run(case, out, isa) else { continue };
        ran = true;
        let got = got.unwrap();
        assert_eq!(got.len(), want.data.len());
        for (i, (g, w)) in got.iter().zip(&want.data).enumerate() {
            let close =
                if out.dtype == DType::F32 { (g - w).abs() <= 2e-6 * (1.0 + w.abs()) } else { g == w };
            assert!(
                close || (g.is_nan() && w.is_nan()),
                "{} on {}: element {i} is {g}, wanted {w}",
                case.label(),
                isa.name()
            );
        }
    }
    ran
}

#[test]
fn every_row_that_needs_a_kernel_has_one() {
    for &op in OPS {
        let fits = match op.kind {
            Kind::Map => matches!(kernel(op), Some(Kernel::Tile { .. })),
            Kind::Head => matches!(kernel(op), Some(Kernel::Head(_))),
            Kind::Kernel => matches!(kernel(op), Some(Kernel::Step(_))),
            _ => kernel(op).is_none(),
        };
        assert!(fits, "'{}' is {:?}, the table of the CPU says {:?}", op.name, op.kind, kernel(op));
    }
}

#[test]
fn kernels_agree_with_the_reference_of_their_row() {
    let mut rows = 0;
    for &op in OPS {
        let ran: Vec<bool> = cases(op).iter().map(compare).collect();
        rows += usize::from(ran.iter().any(|&r| r));
    }
    assert!(rows >= 70, "only {rows} rows have kernels");
}

#[test]
fn integer_kernels_agree_with_the_reference_of_their_row() {
    let mut rng = Rng(11);
    let mut rows = 0;
    for &op in OPS.iter().filter(|op| matches!(op.accept, Accept::Number | Accept::Common | Accept::Exact)) {
        if !matches!(kernel(op), Some(Kernel::Tile { int: Some(_), .. })) {
            continue;
        }
        for (low, high) in [(-4.0, 5.0), (-2_147_483_648.0, 2_147_483_520.0)] {
            let mut inputs = vec![];
            for name in op.args {
                let dtype = if *name == "cond" { DType::Bool } else { DType::I32 };
                inputs.push(rng.host(dtype, &[7, 5], (low, high)));
            }
            compare(&Case { op, inputs, attrs: vec![] });
        }
        rows += 1;
    }
    assert!(rows >= 18, "only {rows} rows have integer kernels");
}

#[test]
fn special_numbers_pass_through_elementwise_kernels_as_through_the_reference() {
    let specials = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 1.0, -1.0, 0.5, 2.0, -2.5];
    let exact = |op: &str| matches!(op, "power" | "mod" | "floor_divide" | "sin" | "cos" | "to_int");
    for &op in OPS.iter().filter(|op| op.accept != Accept::Truth && !exact(op.name)) {
        if !matches!(op.kind, Kind::Map) || op.args.contains(&"cond") {
            continue;
        }
        let n = specials.len();
        let host = |pick: &dyn Fn(usize) -> usize| Host {
            ty: Ty::f32(Shape::new(&[n * n]).unwrap()),
            data: (0..n * n).map(|i| specials[pick(i)]).collect(),
        };
        let inputs: Vec<Host> =
            (0..op.args.len()).map(|k| if k == 0 { host(&|i| i / n) } else { host(&|i| i % n) }).collect();
        let case = Case { op, inputs, attrs: vec![] };
        let out = (op.infer)(&case.inputs.iter().map(|x| x.ty).collect::<Vec<_>>(), &[]).unwrap();
        let want = (op.reference)(&case.inputs, &[], out);
        for isa in Isa::available() {
            let got = run(&case, out, isa).unwrap().unwrap();
            for (i, (g, w)) in got.iter().zip(&want.data).enumerate() {
                let same = g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() <= 1e-6 * w.abs();
                assert!(
                    same,
                    "{} of {} and {} on {}: {g}, wanted {w}",
                    op.name,
                    specials[i / n],
                    specials[i % n],
                    isa.name()
                );
            }
        }
    }
}

#[test]
fn an_index_out_of_range_is_a_data_error_that_says_where() {
    let whole = |dims: &[usize], data: &[f64]| Host {
        ty: Ty { shape: Shape::new(dims).unwrap(), dtype: DType::I32 },
        data: data.to_vec(),
    };
    let x = Rng(1).host(DType::F32, &[3, 4], (-1.0, 1.0));
    let take = Case {
        op: find("take").unwrap(),
        inputs: vec![x.clone(), whole(&[2, 2], &[0.0, -3.0, 2.0, 3.0])],
        attrs: vec![fastnn::graph::Attr::Int(0)],
    };
    let loss = Case {
        op: find("sparse_softmax_cross_entropy").unwrap(),
        inputs: vec![x, whole(&[3], &[0.0, 4.0, 1.0])],
        attrs: vec![],
    };
    for (case, parts) in [
        (take, ["take: index 3 at position [1, 1]", "(3, 4)", "-3 to 2"]),
        (loss, ["label 4 at position 1", "0..4", "hint"]),
    ] {
        let (g, _, y) = case.graph();
        let error = run(&case, g.ty(y), Isa::Portable).unwrap().unwrap_err();
        assert!(matches!(error, fastnn::error::Error::Data(_)));
        for part in parts {
            assert!(error.to_string().contains(part), "{error} should contain {part}");
        }
    }
}
