//! Every row through the whole compiler: its value and its gradients as a compiled program against
//! the oracle, which runs the row itself rather than what it was lowered, fused and planned into.

mod ops_cases;

use fastnn::exec::cpu::Program;
use fastnn::exec::interp;
use fastnn::graph::{Accept, Graph, Host, Id};
use fastnn::kernels::stored;
use fastnn::ops::OPS;
use fastnn::passes::grad;
use fastnn::shape::DType;
use ops_cases::{Case, Rng, cases, weigh};

fn run(g: &Graph, inputs: &[Host], label: &str) -> Vec<Vec<f64>> {
    let program = Program::compile(g).unwrap_or_else(|e| panic!("{label}: {e}\n{g}"));
    let bits = |x: &Host| -> Vec<f32> {
        let one =
            |&v: &f64| if x.ty.dtype == DType::I32 { f32::from_bits(v as i32 as u32) } else { v as f32 };
        x.data.iter().map(one).collect()
    };
    let mut data: Vec<Vec<f32>> = inputs.iter().map(bits).collect();
    let mut out: Vec<Vec<f32>> = g.outputs.iter().map(|y| vec![f32::NAN; g.shape(*y).count()]).collect();
    let from: Vec<*mut u8> = data.iter_mut().map(|v| v.as_mut_ptr().cast()).collect();
    let to: Vec<*mut u8> = out.iter_mut().map(|v| v.as_mut_ptr().cast()).collect();
    // SAFETY: the buffers have the sizes of the graph's inputs and outputs.
    unsafe { program.run(&from, &to) }.unwrap_or_else(|e| panic!("{label}: {e}"));
    let number =
        |v: &f32, dtype| if dtype == DType::I32 { f64::from(v.to_bits() as i32) } else { f64::from(*v) };
    let numbers = |(y, v): (&Id, Vec<f32>)| -> Vec<f64> {
        let dtype = g.ty(*y).dtype;
        if !dtype.is_stored() {
            return v.iter().map(|v| number(v, dtype)).collect();
        }
        let bytes: Vec<u8> = v.iter().flat_map(|v| v.to_ne_bytes()).collect();
        let elements = bytes.chunks_exact(dtype.size()).take(v.len());
        elements.map(|element| stored::decode(element, dtype)).collect()
    };
    g.outputs.iter().zip(out).map(numbers).collect()
}

fn compare(g: &Graph, case: &Case, what: &str) {
    let label = format!("{what} of {}", case.label());
    let (want, _) = interp::run(g, &case.inputs).unwrap();
    for (got, want) in run(g, &case.inputs, &label).iter().zip(&want) {
        assert_eq!(got.len(), want.data.len(), "{label}");
        for (i, (a, b)) in got.iter().zip(&want.data).enumerate() {
            let close = a == b || (want.ty.dtype == DType::F32 && (a - b).abs() <= 1e-4 * (1.0 + b.abs()));
            assert!(close, "{label}: element {i} is {a}, wanted {b}\n{g}");
        }
    }
}

#[test]
fn every_row_compiles_to_a_program_that_agrees_with_its_reference() {
    for &op in OPS {
        for case in cases(op) {
            let (mut g, _, y) = case.graph();
            g.outputs = case.results(&mut g, y);
            compare(&g, &case, "value");
            // A part alone: the value has no memory then.
            for part in g.outputs.clone() {
                g.outputs = vec![part];
                compare(&g, &case, "part");
            }
        }
    }
}

#[test]
fn the_gradients_of_every_row_compile_to_programs_that_agree_with_the_oracle() {
    for &op in OPS {
        for case in cases(op).into_iter().filter(|c| c.inputs.iter().any(|x| x.ty.dtype == DType::F32)) {
            let (mut g, inputs, y) = case.graph();
            let s = weigh(&mut g, y);
            let floats: Vec<_> = inputs.into_iter().filter(|x| g.ty(*x).dtype == DType::F32).collect();
            g.outputs = grad::gradients(&mut g, s, None, &floats).unwrap();
            compare(&g, &case, "gradient");
        }
    }
}

#[test]
fn whole_numbers_and_truth_values_compile_in_every_row_that_takes_them() {
    let mut rng = Rng(5);
    let mut ran = 0;
    for &op in OPS.iter().filter(|op| !matches!(op.accept, Accept::Float)) {
        for mut case in cases(op) {
            for dtype in [DType::I32, DType::Bool] {
                for x in case
                    .inputs
                    .iter_mut()
                    .filter(|x| x.ty.dtype == DType::F32 || x.ty.dtype == DType::I32 && dtype == DType::Bool)
                {
                    if !op.args.iter().any(|a| matches!(*a, "key" | "indices" | "labels" | "start")) {
                        *x = rng.host(dtype, &x.ty.shape.sizes(), (-4.0, 5.0));
                    }
                }
                let types: Vec<_> = case.inputs.iter().map(|x| x.ty).collect();
                if (op.infer)(&types, &case.attrs).is_ok() {
                    let (mut g, _, y) = case.graph();
                    g.outputs = vec![y];
                    compare(&g, &case, "value");
                    ran += 1;
                }
            }
        }
    }
    assert!(ran > 100, "only {ran} cases take whole numbers or truth values");
}
