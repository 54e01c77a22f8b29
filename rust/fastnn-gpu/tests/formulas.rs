//! Every elementwise row has a formula, and every formula is a valid text.

mod common;

use fastnn::graph::{Kind, Ty};
use fastnn::ops::OPS;
use fastnn::shape::{DType, Shape};
use fastnn_gpu::formulas::formula;
use fastnn_gpu::math;
use fastnn_gpu::text::Cell;

#[test]
fn every_elementwise_row_has_a_valid_formula_for_every_type_it_takes() {
    let shape = Shape::new(&[3]).unwrap();
    let mut count = 0;
    for op in OPS.iter().filter(|op| matches!(op.kind, Kind::Map)) {
        let mut taken = 0;
        for first in DType::ALL {
            for rest in DType::ALL {
                let types: Vec<Ty> = (0..op.args.len())
                    .map(|k| Ty { shape, dtype: if k == 0 { first } else { rest } })
                    .collect();
                let Ok(out) = op.result(&types, &[]) else { continue };
                if op.args.len() == 1 && first != rest {
                    continue;
                }
                taken += 1;
                let args: Vec<String> = (0..types.len()).map(|k| format!("p{k}")).collect();
                let text = formula(op, Cell::of(first), &args)
                    .unwrap_or_else(|| panic!("'{}' on {} has no formula", op.name, first.name()));
                let parameters: Vec<String> = types
                    .iter()
                    .enumerate()
                    .map(|(k, ty)| format!("p{k}: {}", Cell::of(ty.dtype).name()))
                    .collect();
                let wgsl = math::complete(&format!(
                    "fn f({}) -> {} {{ return {text}; }}\n",
                    parameters.join(", "),
                    Cell::of(out.dtype).name()
                ));
                common::validate(op.name, &wgsl);
                count += 1;
            }
        }
        assert!(taken > 0, "'{}' takes no type that the test knows", op.name);
    }
    assert!(count > 80, "{count} formulas");
}

#[test]
fn numbers_that_no_literal_may_be_come_from_functions() {
    for value in [0.0, -0.0, 1e-45, f64::from(f32::MAX), f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.5e-7]
    {
        let text = format!("fn f() -> f32 {{ return {}; }}\n", Cell::Float.literal(value));
        common::validate("literal", &math::complete(&text));
    }
    for value in [0.0, -2_147_483_648.0, 2_147_483_647.0] {
        let text = format!("fn f() -> i32 {{ return {}; }}\n", Cell::Int.literal(value));
        common::validate("literal", &text);
    }
}
