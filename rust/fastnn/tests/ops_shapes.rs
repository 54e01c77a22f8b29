//! Shape rules: what they accept, what they say when they refuse, that nothing panics, and that a
//! graph traced on the symbolic batch is right for every batch.

mod ops_cases;

use fastnn::dim::{Binder, Bindings, Dim};
use fastnn::error::Error;
use fastnn::exec::interp;
use fastnn::graph::{Attr, AttrKind, Class, Graph, Host, Id, OpDef, Ty};
use fastnn::ops::{OPS, find};
use fastnn::shape::{DType, Shape};
use ops_cases::{Rng, cases, gradients, lower, weigh};
use std::collections::HashSet;

fn ty(dtype: DType, dims: &[usize]) -> Ty {
    Ty { shape: Shape::new(dims).unwrap(), dtype }
}

fn f32s(dims: &[usize]) -> Ty {
    Ty::f32(Shape::new(dims).unwrap())
}

/// Float rows of a batch.
fn rows(sizes: &[usize]) -> Ty {
    Ty::f32(Shape::with_batch(sizes).unwrap())
}

fn ints(v: &[i64]) -> Attr {
    Attr::Ints(v.to_vec())
}

fn infer(name: &str, types: &[Ty], attrs: &[Attr]) -> Result<Ty, Error> {
    (find(name).unwrap().infer)(types, attrs)
}

#[test]
fn names_are_unique_and_rows_are_complete() {
    let names: HashSet<&str> = OPS.iter().map(|op| op.name).collect();
    assert_eq!(names.len(), OPS.len());
    for op in OPS {
        assert!(op.doc.ends_with('.') && op.doc.len() > 3, "{} needs a sentence", op.name);
        let drawn = op.class == Class::Random || op.name == "dropout";
        assert_eq!(op.formula.is_empty(), drawn, "{} needs a formula unless it draws", op.name);
        assert!(op.domain.len() >= op.args.len(), "{} needs a domain per input", op.name);
        assert!(std::ptr::eq(find(op.name).unwrap(), *op));
    }
    assert!(find("no_such_op").is_none());
}

#[test]
fn refusals_name_the_op_the_shapes_and_a_way_out() {
    let b = Attr::Bool(false);
    let i32s = |dims: &[usize]| ty(DType::I32, dims);
    type Refusal<'a> = (&'a str, &'a [Ty], &'a [Attr], &'a [&'a str]);
    let refused: &[Refusal<'_>] = &[
        ("add", &[f32s(&[3, 4]), f32s(&[5])], &[], &["add", "(3, 4)", "(5,)", "hint"]),
        ("add", &[f32s(&[3]), i32s(&[3])], &[], &["add", "float32(3,)", "int32(3,)", "cast"]),
        ("add", &[f32s(&[3])], &[], &["add", "takes 2", "got 1"]),
        ("exp", &[i32s(&[3])], &[], &["exp", "int32(3,)", "float32"]),
        ("add", &[ty(DType::Bool, &[3]), ty(DType::Bool, &[3])], &[], &["add", "bool(3,)", "cast"]),
        ("logical_and", &[f32s(&[3]), f32s(&[3])], &[], &["logical_and", "bool"]),
        ("where", &[f32s(&[3]), f32s(&[3]), f32s(&[3])], &[], &["where", "cond", "bool"]),
        (
            "matmul",
            &[f32s(&[32, 784]), f32s(&[768, 128])],
            &[b.clone(), b.clone()],
            &["matmul", "(32, 784)", "(768, 128)", "784 and 768", "hint"],
        ),
        ("matmul", &[rows(&[3]), f32s(&[4, 5])], &[b.clone(), b.clone()], &["(batch, 3)", "3 and 4"]),
        (
            "matmul",
            &[f32s(&[4]), f32s(&[4, 5])],
            &[b.clone(), b.clone()],
            &["matmul", "at least 2 axes", "dot"],
        ),
        ("sum", &[f32s(&[3, 4])], &[ints(&[2]), b.clone()], &["sum", "axis 2", "(3, 4)", "hint"]),
        ("sum", &[f32s(&[3, 4])], &[ints(&[1, -1]), b.clone()], &["sum", "twice"]),
        ("max", &[f32s(&[3, 0])], &[ints(&[1]), b.clone()], &["max", "(3, 0)", "hint"]),
        ("mean", &[i32s(&[3])], &[Attr::None, b.clone()], &["mean", "int32(3,)", "cast"]),
        ("reshape", &[f32s(&[3, 4])], &[ints(&[5, -1])], &["reshape", "(3, 4)", "[5, -1]"]),
        ("reshape", &[f32s(&[3, 4])], &[ints(&[-1, -1])], &["reshape", "at most one"]),
        ("reshape", &[rows(&[3])], &[ints(&[4, 2])], &["reshape", "(batch, 3)", "(4, 2)"]),
        ("add", &[rows(&[]), f32s(&[5])], &[], &["add", "(batch,)", "(5,)", "batch against 5"]),
        ("add", &[rows(&[]), f32s(&[2])], &[], &["batch against 2"]),
        ("transpose", &[f32s(&[3, 4])], &[ints(&[0, 0])], &["transpose", "[0, 0]", "hint"]),
        ("broadcast_to", &[f32s(&[3])], &[ints(&[4])], &["broadcast_to", "(3,)", "(4,)", "hint"]),
        ("squeeze", &[f32s(&[3, 1])], &[ints(&[0])], &["squeeze", "axis 0", "(3, 1)"]),
        ("slice", &[f32s(&[3])], &[ints(&[0]), ints(&[3]), ints(&[0])], &["slice", "step 0"]),
        ("pad", &[f32s(&[3])], &[ints(&[1]), Attr::Float(0.0)], &["pad", "[1]", "(3,)"]),
        (
            "concatenate",
            &[f32s(&[2, 3]), f32s(&[3, 3])],
            &[Attr::Int(1)],
            &["concatenate", "(2, 3)", "(3, 3)", "axis 1"],
        ),
        ("concatenate", &[], &[Attr::Int(0)], &["concatenate", "no tensors"]),
        ("clip", &[f32s(&[3])], &[Attr::Float(2.0), Attr::Float(1.0)], &["clip", "2", "1"]),
        ("take", &[f32s(&[3]), f32s(&[2])], &[Attr::Int(0)], &["take", "indices", "int32"]),
        ("one_hot", &[i32s(&[3])], &[Attr::Int(0)], &["one_hot", "num_classes"]),
        ("softmax", &[f32s(&[])], &[Attr::Int(-1)], &["softmax", "scalar"]),
        ("softmax_cross_entropy", &[f32s(&[3]), f32s(&[3, 4])], &[], &["(3,)", "(3, 4)", "sparse"]),
        ("sparse_softmax_cross_entropy", &[f32s(&[3, 4]), i32s(&[3, 1])], &[], &["labels (3, 1)", "(3, 4)"]),
        ("random_uniform", &[i32s(&[2])], &[ints(&[3]), Attr::Int(0)], &["random_uniform", "(2,)", "(4,)"]),
        (
            "random_integers",
            &[i32s(&[4])],
            &[ints(&[3]), Attr::Int(5), Attr::Int(5), Attr::Int(0)],
            &["random_integers", "low 5"],
        ),
        ("dropout", &[f32s(&[3]), i32s(&[4])], &[Attr::Float(1.5), Attr::Int(0)], &["dropout", "1.5"]),
    ];
    for (name, types, attrs, parts) in refused {
        let text = infer(name, types, attrs).expect_err(name).to_string();
        for part in *parts {
            assert!(text.contains(part), "{name}: {text:?} should contain {part:?}");
        }
    }
}

#[test]
fn open_sizes_pass_through() {
    let b = Attr::Bool(false);
    let shape =
        |name: &str, types: &[Ty], attrs: &[Attr]| infer(name, types, attrs).unwrap().shape.to_string();
    assert_eq!(shape("reshape", &[rows(&[4, 5])], &[ints(&[-1, 20])]), "(batch, 20)");
    assert_eq!(shape("reshape", &[rows(&[4, 5])], &[ints(&[-1, 5])]), "(4*batch, 5)");
    assert_eq!(shape("matmul", &[rows(&[4]), f32s(&[4, 5])], &[b.clone(), b]), "(batch, 5)");
    assert_eq!(
        shape("slice", &[rows(&[4])], &[ints(&[-5, 0]), ints(&[i64::MAX, 2]), ints(&[1, 1])]),
        "(min(batch, 5), 2)"
    );
    assert_eq!(
        shape("slice", &[rows(&[4])], &[ints(&[0, 0]), ints(&[i64::MAX, 2]), ints(&[1, 1])]),
        "(batch, 2)"
    );
    assert_eq!(shape("concatenate", &[rows(&[]), rows(&[])], &[Attr::Int(0)]), "(2*batch,)");
}

fn random_attr(rng: &mut Rng, kind: AttrKind) -> Attr {
    let small = |rng: &mut Rng| match (rng.next() * 40.0) as usize {
        0 => i64::MIN,
        1 => i64::MAX,
        2 => i64::from(i32::MAX),
        n => n as i64 % 8 - 3,
    };
    let size = |rng: &mut Rng| Dim::new(small(rng));
    let list = |rng: &mut Rng| Attr::Ints((0..(rng.next() * 4.0) as usize).map(|_| small(rng)).collect());
    match kind {
        AttrKind::Int => Attr::Int(small(rng)),
        AttrKind::Size => Attr::Size(size(rng)),
        AttrKind::Sizes => Attr::Sizes((0..(rng.next() * 4.0) as usize).map(|_| size(rng)).collect()),
        AttrKind::SizeOrNone => {
            if rng.next() < 0.3 {
                Attr::None
            } else {
                Attr::Size(size(rng))
            }
        }
        AttrKind::Ints => list(rng),
        AttrKind::IntsOrNone => {
            if rng.next() < 0.3 {
                Attr::None
            } else {
                list(rng)
            }
        }
        AttrKind::IntOrNone => {
            if rng.next() < 0.3 {
                Attr::None
            } else {
                Attr::Int(small(rng))
            }
        }
        AttrKind::Float => Attr::Float(rng.next() * 4.0 - 1.0),
        AttrKind::Bool => Attr::Bool(rng.next() < 0.5),
        AttrKind::DType => Attr::DType(random_dtype(rng)),
        AttrKind::Body => panic!("rows that are called by name take no graphs"),
    }
}

fn random_dtype(rng: &mut Rng) -> DType {
    [DType::F32, DType::F32, DType::I32, DType::Bool][(rng.next() * 4.0) as usize]
}

/// Whatever the inputs and attributes: an error, or a type that the reference and the lowering keep.
fn probe(op: &'static OpDef, rng: &mut Rng) -> bool {
    let count = if op.args.first().is_some_and(|a| a.starts_with('*')) {
        (rng.next() * 4.0) as usize
    } else {
        op.args.len()
    };
    let common = random_dtype(rng);
    let mut inputs: Vec<Host> = vec![];
    for i in 0..count {
        let rank = (rng.next() * 4.0) as usize;
        let mut dims: Vec<usize> = (0..rank).map(|_| (rng.next() * 4.0) as usize).collect();
        if i > 0 && rng.next() < 0.7 {
            dims = inputs[0].ty.shape.sizes().to_vec();
        }
        let dtype = if rng.next() < 0.7 { common } else { random_dtype(rng) };
        inputs.push(rng.host(dtype, &dims, (-2.0, 2.0)));
    }
    let attrs: Vec<Attr> = op.attrs.iter().map(|a| random_attr(rng, a.kind)).collect();
    let mut g = Graph::new();
    let ids: Vec<Id> = inputs.iter().map(|x| g.input(x.ty)).collect();
    let Ok(y) = g.try_add(op, &ids, &attrs) else { return false };
    g.outputs = vec![y];
    // Valid but too large to compute.
    if lower(&g).nodes.iter().any(|n| n.ty.shape.count() > 10_000) {
        return true;
    }
    let (plain, _) = interp::run(&g, &inputs).unwrap();
    let (lowered, _) = interp::run(&lower(&g), &inputs).unwrap();
    assert_eq!(plain[0].ty, lowered[0].ty);
    let float = inputs.iter().any(|x| x.ty.dtype == DType::F32);
    if float && g.ty(y).dtype == DType::F32 {
        let s = weigh(&mut g, y);
        g.outputs = vec![s];
        let mut g = lower(&g);
        let s = g.outputs[0];
        let grads = gradients(&mut g, s);
        for (x, d) in ids.iter().zip(grads) {
            assert_eq!(g.shape(d), g.shape(*x));
        }
        g.recheck().unwrap();
    }
    true
}

#[test]
fn no_input_or_attribute_makes_a_row_panic() {
    let mut rng = Rng(3);
    let mut accepted = 0;
    for &op in OPS {
        for _ in 0..400 {
            accepted += usize::from(probe(op, &mut rng));
        }
    }
    assert!(accepted > 5000, "only {accepted} of the random calls were valid");
}

/// The value and gradients of a row on a graph where axes of each of these sizes have the dim
/// beside it, in the first axis or anywhere.
fn values(
    op: &'static OpDef,
    case: &ops_cases::Case,
    traced: &[(usize, Dim)],
    lead: bool,
) -> Option<Vec<Host>> {
    let mut g = Graph::new();
    for x in &case.inputs {
        let mut dims = x.ty.shape.dims().to_vec();
        for (axis, dim) in dims.iter_mut().enumerate() {
            if let Some((_, open)) = traced.iter().find(|(n, _)| *dim == *n && (axis == 0 || !lead)) {
                *dim = *open;
            }
        }
        g.input(Ty { shape: Shape::new(&dims).ok()?, dtype: x.ty.dtype });
    }
    let inputs = g.inputs.clone();
    let y = g.try_add(op, &inputs, &case.attrs).ok()?;
    let s = weigh(&mut g, y);
    g.outputs = vec![y, s];
    let mut g = lower(&g);
    let s = g.outputs[1];
    let grads = gradients(&mut g, s);
    g.outputs.extend(grads);
    let mut bindings = Bindings::new();
    for (size, symbol) in traced {
        bindings.set(*symbol, (*size).into());
    }
    let g = g.replay(&bindings).unwrap();
    assert!(g.symbols().is_empty(), "{}", case.label());
    Some(interp::run(&g, &case.inputs).unwrap().0)
}

/// Compares open traces of every case with traces of its numbers; the names of the rows compared.
fn compared(traced: &[(usize, Dim)], lead: bool) -> HashSet<&'static str> {
    let mut rows = HashSet::new();
    for &op in OPS {
        for case in cases(op) {
            let open = |d: &Dim| traced.iter().any(|(n, _)| *d == *n);
            let has = |x: &Host| {
                let dims = x.ty.shape.dims();
                if lead { dims.first().is_some_and(open) } else { dims.iter().any(open) }
            };
            if !case.inputs.iter().any(has) {
                continue;
            }
            let Some(got) = values(op, &case, traced, lead) else { continue };
            let want = values(op, &case, &[], lead).unwrap();
            for (g, w) in got.iter().zip(&want) {
                assert_eq!(g.ty, w.ty, "{}", case.label());
                for (a, b) in g.data.iter().zip(&w.data) {
                    let same = a == b || a.is_nan() && b.is_nan();
                    assert!(
                        same || (a - b).abs() <= 1e-12 * (1.0 + b.abs()),
                        "{}: {a}, wanted {b}",
                        case.label()
                    );
                }
            }
            rows.insert(op.name);
        }
    }
    rows
}

#[test]
fn a_trace_on_an_open_batch_gives_the_values_and_gradients_of_every_batch() {
    let rows = compared(&[(3, Dim::BATCH)], true);
    assert!(rows.len() > 70, "only {} rows were traced on an open batch", rows.len());
}

#[test]
fn a_trace_on_several_open_sizes_gives_the_values_and_gradients_of_every_size() {
    let [a, b, c] = ["a", "b", "c"].map(Dim::symbol);
    let rows = compared(&[(2, a), (3, b), (4, c)], false);
    assert!(rows.len() > 90, "only {} rows were traced on open sizes", rows.len());
    // An axis of 1 that broadcasts where it was left open.
    let rows = compared(&[(1, a), (3, b), (4, c)], false);
    assert!(rows.len() > 90, "only {} rows were traced on open sizes", rows.len());
}

#[test]
fn expressions_are_shortened_to_what_is_right_for_empty_axes_too() {
    compare_expressions(false);
}

#[test]
fn expressions_with_a_smaller_of_two_are_right_where_no_axis_is_empty() {
    compare_expressions(true);
}

/// Random expressions against what they are for numbers; with `min`, and differences, which may be one
/// of them, for sizes from 1 on.
fn compare_expressions(with_min: bool) {
    let mut rng = Rng(5);
    let mut below = |n: usize| (rng.next() * n as f64) as usize;
    let symbols = [Dim::symbol("long"), Dim::symbol("wide")];
    let least = usize::from(with_min);
    let sizes_at = |at: usize| [least + at / 3, least + at % 3];
    for round in 0..2000 {
        // Each expression beside what it is for nine pairs of sizes.
        let mut values: Vec<(Dim, [Dim; 9])> = vec![];
        for (k, &symbol) in symbols.iter().enumerate() {
            values.push((symbol, std::array::from_fn(|at| Dim::from(sizes_at(at)[k]))));
        }
        for _ in 0..6 {
            let a = values[below(values.len())];
            let number = Dim::new(below(6) as i64 - 2);
            let b = if below(3) > 0 { values[below(values.len())] } else { (number, [number; 9]) };
            let (rule, by) = (below(7), Dim::from(1 + below(4)));
            let compute = |a: Dim, b: Dim| match rule {
                0 => a + b,
                1 if with_min => a - b,
                2 => a * b,
                3 => a.max(b),
                4 if with_min => a.min(b),
                5 => a.floor_div(by),
                _ => a.ceil_div(by),
            };
            values.push((compute(a.0, b.0), std::array::from_fn(|at| compute(a.1[at], b.1[at]))));
        }
        for (dim, numbers) in &values {
            for (at, &wanted) in numbers.iter().enumerate() {
                let mut sizes = Bindings::new();
                for (&symbol, n) in symbols.iter().zip(sizes_at(at)) {
                    sizes.set(symbol, n.into());
                }
                let got = Binder::new(&sizes).bind(*dim).unwrap();
                assert_eq!(got, wanted, "round {round}: {dim} with {sizes}");
            }
        }
    }
    let [n, _] = symbols;
    assert!(!n.is_positive() && n.is_positive_unless_empty() && (n + Dim::ONE).is_positive());
    assert_eq!(n.meet(Dim::ZERO), Some(Dim::ZERO));
    assert_eq!(n.meet(n + n), None, "equal where nothing is left");
}
