//! Every template's text is valid WGSL for many shapes, and binds what its kernels say.

use super::template;
use crate::dispatch::{Arg, Call, Limits, Steps, Use};
use fastnn::exec::cpu::table;
use fastnn::graph::{Attr, OpDef, Ty, part_type};
use fastnn::ops::{
    self, attention, conv, index, layer_norm, loss, movement, normalize, order, pooling, random, recurrence,
    reduce, resample, window,
};
use fastnn::shape::{DType, Shape};
use naga::valid::{Capabilities, ValidationFlags, Validator};

fn ty(dtype: DType, sizes: &[usize]) -> Ty {
    Ty { shape: Shape::new(sizes).unwrap(), dtype }
}

fn f32(sizes: &[usize]) -> Ty {
    ty(DType::F32, sizes)
}

fn i32(sizes: &[usize]) -> Ty {
    ty(DType::I32, sizes)
}

fn sizes(all: &[usize]) -> Attr {
    Attr::Ints(all.iter().map(|&n| n as i64).collect())
}

/// The steps of a row on the portable limits, checked.
fn checked(op: &'static OpDef, inputs: &[Ty], attrs: &[Attr], wanted: &[bool]) -> Steps {
    let mut outputs = vec![op.result(inputs, attrs).unwrap()];
    for k in 0..op.parts.len() {
        outputs.push(part_type(op, k as i64 + 1, inputs, attrs).unwrap());
    }
    let limits = Limits::PORTABLE;
    let wanted: Vec<bool> = (0..outputs.len()).map(|k| wanted.get(k).copied().unwrap_or(true)).collect();
    let call = Call { name: op.name, inputs, outputs: &outputs, wanted: &wanted, attrs, limits: &limits };
    let steps = template(op).unwrap_or_else(|| panic!("{} has no template", op.name))(&call).unwrap();
    let mut written = std::collections::HashSet::new();
    for dispatch in &steps.dispatches {
        let kernel = &dispatch.kernel;
        for (arg, used) in dispatch.args.iter().zip(&kernel.bindings) {
            let fresh = matches!(arg, Arg::Scratch(_) | Arg::Output(_));
            assert!(
                *used == Use::ReadWrite || !fresh || written.contains(arg),
                "{} reads {arg:?} before it is written",
                kernel.name
            );
        }
        written.extend(
            dispatch
                .args
                .iter()
                .zip(&kernel.bindings)
                .filter(|(_, u)| **u == Use::ReadWrite)
                .map(|(a, _)| *a),
        );
        let module = naga::front::wgsl::parse_str(&kernel.wgsl)
            .unwrap_or_else(|e| panic!("{}\n{}", kernel.wgsl, e.emit_to_string(&kernel.wgsl)));
        let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
            .validate(&module)
            .unwrap_or_else(|e| panic!("{}\n{}", kernel.wgsl, e.emit_to_string(&kernel.wgsl)));
        let used = info.get_entry_point(0);
        let mut bound = 0;
        let mut shared = 0;
        for (handle, variable) in module.global_variables.iter() {
            if variable.space == naga::AddressSpace::WorkGroup {
                let layout = module.types[variable.ty].inner.size(module.to_ctx());
                shared += layout as usize;
            }
            let Some(binding) = variable.binding else { continue };
            bound += 1;
            assert!(!used[handle].is_empty(), "{}: {:?} is not used", kernel.name, variable.name);
            let naga::AddressSpace::Storage { access } = variable.space else { panic!("{}", kernel.name) };
            let writes = access.contains(naga::StorageAccess::STORE);
            assert_eq!(kernel.bindings[binding.binding as usize] == Use::ReadWrite, writes);
        }
        assert_eq!((bound, bound), (kernel.bindings.len(), dispatch.args.len()), "{}", kernel.name);
        assert_eq!(shared, kernel.workgroup_bytes, "{}", kernel.name);
        assert!(bound <= limits.storage_buffers && shared <= limits.workgroup_bytes, "{}", kernel.name);
        assert_eq!(module.entry_points[0].workgroup_size, kernel.workgroup);
        assert!(dispatch.grid.iter().all(|&n| n >= 1 && n <= limits.grid), "{}", kernel.name);
        for arg in &dispatch.args {
            match *arg {
                Arg::Input(k) => assert!(inputs[k].shape.count() > 0, "{} binds nothing", kernel.name),
                Arg::Output(k) => assert!(wanted[k] && outputs[k].shape.count() > 0, "{}", kernel.name),
                Arg::Scratch(k) => assert!(steps.scratch[k] > 0, "{}", kernel.name),
                Arg::Buffer(b, _) => panic!("{} binds buffer {b} of a program", kernel.name),
                Arg::Fault => {}
            }
        }
    }
    for (k, output) in outputs.iter().enumerate() {
        let writes = |d: &crate::dispatch::Dispatch| {
            d.args.iter().zip(&d.kernel.bindings).any(|(a, u)| (*a, *u) == (Arg::Output(k), Use::ReadWrite))
        };
        let written = steps.dispatches.iter().any(writes);
        assert_eq!(written, wanted[k] && output.shape.count() > 0, "{}: result {k} of {inputs:?}", op.name);
    }
    steps
}

const SHAPES: &[&[usize]] =
    &[&[1], &[7], &[2, 3], &[5, 64], &[5, 65], &[3, 1, 511], &[2, 2, 513], &[70_000, 3], &[0, 4], &[4, 0]];

fn all_ways(parts: usize) -> impl Iterator<Item = Vec<bool>> {
    (1..1u32 << (parts + 1)).map(move |bits| (0..=parts).map(|k| bits >> k & 1 == 1).collect())
}

#[test]
fn test_rows_along_the_last_axis() {
    for shape in SHAPES {
        let (x, lead, last) = (f32(shape), &shape[..shape.len() - 1], &shape[shape.len() - 1..]);
        checked(&normalize::SOFTMAX_LAST, &[x], &[], &[]);
        checked(&normalize::LOG_SOFTMAX_LAST, &[x], &[], &[]);
        checked(&loss::SPARSE_SOFTMAX_CROSS_ENTROPY, &[x, i32(lead)], &[], &[]);
        for epsilon in [0.0, 1e-30, 1e-3, 5.0] {
            checked(&normalize::LAYER_NORMALIZE, &[x], &[Attr::Float(epsilon)], &[]);
        }
        for wanted in all_ways(2) {
            for (center, columns) in [(true, last), (false, &[][..])] {
                let attrs = [Attr::Float(1e-3), Attr::Bool(center)];
                let (columns, row) = (f32(columns), f32(lead));
                checked(&layer_norm::LAYER_NORM, &[x, columns, columns], &attrs, &wanted);
                checked(&layer_norm::LAYER_NORM_GRAD, &[x, x, columns, row, row], &attrs[1..], &wanted);
            }
        }
    }
}

#[test]
fn test_rows_at_computed_positions() {
    for dtype in [DType::F32, DType::I32, DType::Bool] {
        checked(&index::IOTA, &[], &[Attr::Int(77), Attr::DType(dtype)], &[]);
    }
    for shape in SHAPES {
        for taken in [&[][..], &[1], &[5, 2], &[0], &[1000]] {
            for axis in [Attr::None, Attr::Int(0), Attr::Int(-1)] {
                for dtype in [DType::F32, DType::I32, DType::Bool, DType::BF16, DType::U8] {
                    let (x, indices) = (ty(dtype, shape), i32(taken));
                    checked(&index::TAKE, &[x, indices], std::slice::from_ref(&axis), &[]);
                    if dtype == DType::F32 {
                        let dy = index::TAKE.result(&[x, indices], std::slice::from_ref(&axis)).unwrap();
                        checked(&index::TAKE_GRAD, &[dy, indices], &[sizes(shape), axis.clone()], &[]);
                    }
                }
            }
        }
        for (axis, n) in [(0, 0), (0, 3), (-1, 2)] {
            let mut along = shape.to_vec();
            let at = if axis == 0 { 0 } else { shape.len() - 1 };
            along[at] = n;
            let attrs = [sizes(shape), Attr::Int(axis)];
            checked(&index::TAKE_ALONG_AXIS, &[f32(shape), i32(&along)], &attrs[1..], &[]);
            checked(&index::TAKE_ALONG_AXIS_GRAD, &[f32(&along), i32(&along)], &attrs, &[]);
            checked(&index::CUMSUM, &[f32(shape)], &attrs[1..], &[]);
            checked(&index::CUMSUM, &[i32(shape)], &attrs[1..], &[]);
        }
    }
}

#[test]
fn test_rows_that_place_elements() {
    for shape in SHAPES {
        let (x, rank) = (f32(shape), shape.len());
        for axis in [Attr::None, Attr::Ints(vec![0])] {
            checked(&reduce::EXTENT, &[x], &[axis], &[]);
        }
        let widths: Vec<usize> = (0..2 * rank).map(|i| i % 3).collect();
        for dtype in [DType::F32, DType::I32, DType::Bool, DType::U8, DType::F16] {
            for value in [0.0, -2.5, 300.0, f64::INFINITY, f64::NAN] {
                checked(&movement::PAD, &[ty(dtype, shape)], &[sizes(&widths), Attr::Float(value)], &[]);
            }
        }
        for (begin, end, step) in [(0, i64::MAX, 1), (-1, i64::MIN, -2), (1, -1, 2)] {
            let attrs = [begin, end, step].map(|v| Attr::Ints(vec![v; rank]));
            let part = movement::SLICE.result(&[x], &attrs).unwrap();
            checked(&movement::UNSLICE, &[part], &[&[sizes(shape)], &attrs[..]].concat(), &[]);
        }
        for inputs in [vec![x], vec![x; 12]] {
            checked(&movement::CONCATENATE, &inputs, &[Attr::Int(-1)], &[]);
        }
        let part: Vec<usize> = shape.iter().map(|n| n.div_ceil(2)).collect();
        for axes in [vec![], vec![-1], (0..rank as i64).collect()] {
            let start = i32(&[axes.len()]);
            let own: Vec<usize> =
                axes.iter().map(|&a| part[if a < 0 { rank - 1 } else { a as usize }]).collect();
            let mut window = shape.to_vec();
            for (&axis, &n) in axes.iter().zip(&own) {
                window[if axis < 0 { rank - 1 } else { axis as usize }] = n;
            }
            let axes = Attr::Ints(axes);
            checked(&window::DYNAMIC_SLICE, &[x, start], &[axes.clone(), sizes(&own)], &[]);
            checked(&window::UPDATE_SLICE, &[x, f32(&window), start], &[axes], &[]);
        }
    }
    let scalar = f32(&[]);
    checked(&movement::PAD, &[scalar], &[sizes(&[]), Attr::Float(1.0)], &[]);
}

#[test]
fn test_convolutions_and_their_gradients() {
    for (x, w, groups) in [
        (&[2, 9, 3][..], &[3, 3, 5][..], 1),
        (&[1, 9, 8, 4], &[3, 2, 2, 6], 2),
        (&[3, 5, 5, 4], &[1, 1, 1, 4], 4),
        (&[2, 5, 6, 7, 2], &[2, 3, 1, 2, 3], 1),
        (&[64, 28, 28, 1], &[3, 3, 1, 8], 1),
        (&[0, 9, 9, 2], &[3, 3, 2, 5], 1),
        (&[2, 9, 9, 0], &[3, 3, 0, 5], 1),
    ] {
        for (stride, dilation, same) in [(1, 1, false), (2, 1, true), (3, 1, false), (1, 2, true)] {
            let padding = Attr::Ints(if same { vec![-1] } else { vec![] });
            let at = [Attr::Ints(vec![stride]), padding, Attr::Ints(vec![dilation]), Attr::Int(groups)];
            let Ok(y) = conv::CONV.result(&[f32(x), f32(w)], &at) else { continue };
            checked(&conv::CONV, &[f32(x), f32(w)], &at, &[]);
            let with = |first: &[usize]| [&[sizes(first)], &at[..]].concat();
            checked(&conv::CONV_INPUT_GRAD, &[y, f32(w)], &with(&x[1..x.len() - 1]), &[]);
            checked(&conv::CONV_WEIGHT_GRAD, &[f32(x), y], &with(&w[..w.len() - 2]), &[]);
        }
    }
}

#[test]
fn test_pooling_and_its_gradients() {
    for x in [&[2, 9, 3][..], &[1, 9, 8, 4], &[2, 5, 6, 7, 2], &[0, 9, 9, 2], &[2, 4, 4, 0]] {
        for (window, stride, same) in [(2, 2, false), (3, 2, true), (3, 1, true), (1, 3, false)] {
            let padding = Attr::Ints(if same { vec![-1] } else { vec![] });
            let at = [Attr::Ints(vec![window]), Attr::Ints(vec![stride]), padding];
            for wanted in all_ways(1) {
                checked(&pooling::MAX_POOL, &[f32(x)], &at, &wanted);
            }
            let y = pooling::MAX_POOL.result(&[f32(x)], &at).unwrap();
            let indices = Ty { dtype: DType::I32, ..y };
            checked(&pooling::MAX_POOL_PICK, &[f32(x), indices], &at, &[]);
            let back = [&[sizes(&x[1..x.len() - 1])], &at[..]].concat();
            checked(&pooling::MAX_POOL_GRAD, &[y, indices], &back, &[]);
            for whole in [true, false] {
                let with = |attrs: &[Attr]| [attrs, &[Attr::Bool(whole)]].concat();
                checked(&pooling::AVERAGE_POOL, &[f32(x)], &with(&at), &[]);
                checked(&pooling::AVERAGE_POOL_GRAD, &[y], &with(&back), &[]);
            }
        }
    }
}

#[test]
fn test_resampling_and_its_gradient() {
    for (x, made, taps) in [
        (&[2, 9, 8, 3][..], [18, 16], [2, 2]),
        (&[1, 7, 1, 5], [3, 4], [4, 1]),
        (&[0, 3, 3, 2], [2, 2], [2, 2]),
        (&[1, 0, 3, 2], [2, 2], [2, 2]),
        (&[1, 3, 3, 2], [2, 2], [0, 2]),
        (&[1, 3, 3, 2], [0, 2], [2, 2]),
    ] {
        let [at, across] = made.map(|n| i32(&[n]));
        let tables = [at, f32(&[made[0], taps[0]]), across, f32(&[made[1], taps[1]])];
        let with = |image: Ty| [&[image], &tables[..]].concat();
        checked(&resample::RESAMPLE, &with(f32(x)), &[], &[]);
        let dy = f32(&[x[0], made[0], made[1], x[3]]);
        checked(&resample::RESAMPLE_GRAD, &with(dy), &[sizes(&x[1..3])], &[]);
    }
}

#[test]
fn test_random_rows() {
    let key = i32(&[4]);
    for shape in [&[][..], &[1], &[63], &[5, 64], &[70_000, 3], &[0]] {
        let stream = Attr::Int(-7);
        checked(&random::RANDOM_UNIFORM, &[key], &[sizes(shape), stream.clone()], &[]);
        checked(&random::RANDOM_NORMAL, &[key], &[sizes(shape), stream.clone()], &[]);
        for (low, high) in [(0, 1), (-5, 7), (i64::from(i32::MIN), i64::from(i32::MAX))] {
            let attrs = [sizes(shape), Attr::Int(low), Attr::Int(high), stream.clone()];
            checked(&random::RANDOM_INTEGERS, &[key], &attrs, &[]);
        }
        let n = shape.iter().product::<usize>() as i64;
        checked(&random::RANDOM_PERMUTATION, &[key], &[Attr::Int(n), stream], &[]);
    }
}

#[test]
fn test_rows_that_order_values() {
    for shape in SHAPES {
        for dtype in [DType::F32, DType::I32] {
            for wanted in all_ways(1) {
                for axis in [0, -1] {
                    checked(&order::SORT, &[ty(dtype, shape)], &[Attr::Int(axis)], &wanted);
                }
                for k in [0, 1, shape[shape.len() - 1]] {
                    if k <= shape[shape.len() - 1] {
                        checked(&order::TOP_K, &[ty(dtype, shape)], &[Attr::Int(k as i64)], &wanted);
                    }
                }
            }
        }
    }
}

#[test]
fn test_attention_and_its_gradient() {
    for [b, t, s, h, g, w, v] in [
        [2, 5, 7, 4, 2, 8, 16],
        [1, 1, 1, 1, 1, 1, 1],
        [2, 65, 130, 2, 1, 64, 200],
        [1, 3, 0, 2, 2, 4, 4],
        [1, 3, 4, 2, 2, 4, 0],
        [0, 3, 4, 2, 2, 4, 4],
        [1, 0, 4, 2, 2, 4, 4],
        [1, 3, 4, 0, 2, 4, 4],
    ] {
        for (wide, rate, causal) in [(false, 0.0, true), (true, 0.1, false), (true, 0.0, true)] {
            let scalar = |dtype| ty(dtype, &[]);
            let (bias, mask, count) = if wide {
                (f32(&[1, h, t, s]), ty(DType::Bool, &[b, 1, 1, s]), i32(&[b]))
            } else {
                (scalar(DType::F32), scalar(DType::Bool), scalar(DType::I32))
            };
            let (q, k, values) = (f32(&[b, t, h, w]), f32(&[b, s, g, w]), f32(&[b, s, g, v]));
            let there = [q, k, values, bias, mask, count, count, i32(&[4])];
            let attrs = [Attr::Float(0.3), Attr::Bool(causal), Attr::Float(rate), Attr::Int(-3)];
            let (out, lse) = (f32(&[b, t, h, v]), f32(&[b, h, t]));
            for wanted in all_ways(1) {
                checked(&attention::ATTENTION, &there, &attrs, &wanted);
            }
            for wanted in all_ways(2) {
                let back = [&[out][..], &there, &[out, lse]].concat();
                checked(&attention::ATTENTION_GRAD, &back, &attrs, &wanted);
            }
        }
    }
}

#[test]
fn test_recurrences_and_their_gradients() {
    for [b, t, u] in [[2, 5, 3], [1, 1, 1], [3, 4, 33], [2, 3, 300], [1, 2, 5000], [2, 0, 3], [0, 3, 3]] {
        for (lone, reverse) in [(true, true), (false, false)] {
            let of = |sizes: &[usize]| f32(if lone { &[] } else { sizes });
            let mask = Ty { dtype: DType::Bool, ..of(&[b, t]) };
            let (each, state) = (|gates: usize| f32(&[b, t, gates * u]), of(&[b, u]));
            let (weights, drop) = (|gates: usize| f32(&[u, gates * u]), |gates: usize| of(&[b, gates * u]));
            let (dy, reversed) = (of(&[b, t, u]), Attr::Bool(reverse));
            let attrs = std::slice::from_ref(&reversed);
            for wanted in all_ways(5) {
                let x = [each(4), weights(4), state, state, mask, drop(4)];
                checked(&recurrence::LSTM, &x, attrs, &wanted);
            }
            for wanted in all_ways(2) {
                let x = [dy, state, state, weights(4), each(4), each(1), state, mask, drop(4)];
                checked(&recurrence::LSTM_GRAD, &x, attrs, &wanted);
            }
            for after in [true, false] {
                let attrs = [reversed.clone(), Attr::Bool(after)];
                for wanted in all_ways(4) {
                    let x = [each(3), weights(3), of(&[3 * u]), state, mask, drop(3)];
                    checked(&recurrence::GRU, &x, &attrs, &wanted);
                }
                for wanted in all_ways(2) {
                    let x = [dy, state, weights(3), each(3), each(1), each(1), mask, drop(3)];
                    checked(&recurrence::GRU_GRAD, &x, &attrs, &wanted);
                }
            }
            for activation in 0..4 {
                let attrs = [reversed.clone(), Attr::Int(activation)];
                for wanted in all_ways(2) {
                    let x = [each(1), weights(1), state, mask, drop(1)];
                    checked(&recurrence::SIMPLE_RNN, &x, &attrs, &wanted);
                }
                for wanted in all_ways(1) {
                    let x = [dy, state, weights(1), each(1), mask, drop(1)];
                    checked(&recurrence::SIMPLE_RNN_GRAD, &x, &attrs, &wanted);
                }
            }
        }
    }
}

#[test]
fn test_every_row_with_a_kernel_of_its_own_has_a_template() {
    let missing: Vec<&str> = ops::OPS
        .iter()
        .filter(|op| matches!(table::kernel(op), Some(table::Kernel::Step(_) | table::Kernel::Head(_))))
        // Processes meet on the host.
        .filter(|op| template(op).is_none() && op.name != "all_reduce")
        .map(|op| op.name)
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}
