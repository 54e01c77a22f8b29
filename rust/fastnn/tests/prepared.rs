//! What depends on weights only is computed once per version of them: the same bits as without, right
//! while another thread trains, and bounded in memory together with plans and arenas.

use fastnn::function::Function;
use fastnn::graph::{Arg, Attr, Ty};
use fastnn::ops;
use fastnn::shape::{DType, Shape};
use fastnn::tensor::{Storage, Tensor, Variable};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn apply(name: &str, inputs: &[&Tensor]) -> Tensor {
    let op = ops::find(name).unwrap();
    let inputs: Vec<Tensor> = inputs.iter().map(|t| (*t).clone()).collect();
    let attrs: Vec<Attr> = op.attrs.iter().map(|a| a.default.clone().unwrap()).collect();
    Tensor::apply(op, &inputs, &attrs).unwrap()
}

fn ty(dims: &[usize]) -> Ty {
    Ty::f32(Shape::new(dims).unwrap())
}

fn noise(dims: &[usize], seed: usize) -> Vec<f32> {
    let n: usize = dims.iter().product();
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

fn variable(dims: &[usize], values: &[f32]) -> Arc<Variable> {
    Variable::new(ty(dims), Arc::new(Storage::from_slice(values).unwrap()), "v")
}

fn leaf(v: &Arc<Variable>) -> Tensor {
    Tensor::traced_variable(v)
}

fn now(v: &Arc<Variable>) -> Tensor {
    Tensor::variable(v, v.snapshot())
}

fn call(f: &Function, x: &[f32], dims: &[usize]) -> Vec<Vec<f32>> {
    let x = Storage::from_slice(x).unwrap();
    // SAFETY: the storage fills the shape and outlives the call.
    let results = unsafe { f.call(&[Arg { ptr: x.ptr(), ty: ty(dims) }]) }.unwrap();
    results.iter().map(|(_, s)| s.as_slice().to_vec()).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}

/// Two layers, the second with scaled weights and a normalisation: something to pack, something to
/// scale and something to invert.
fn net(x: &Tensor, w: &[Tensor]) -> Tensor {
    let h = apply("relu", &[&apply("add", &[&apply("matmul", &[x, &w[0]]), &w[1]])]);
    let scaled = apply("multiply", &[&w[2], &w[3]]);
    let y = apply("matmul", &[&h, &scaled]);
    apply("multiply", &[&y, &apply("rsqrt", &[&apply("square", &[&w[4]])])])
}

#[test]
fn predictions_follow_every_change_of_the_weights_with_the_same_bits() {
    let shapes: [&[usize]; 5] = [&[96, 1100], &[1100], &[1100, 10], &[], &[10]];
    let weights: Vec<Arc<Variable>> =
        shapes.iter().enumerate().map(|(i, d)| variable(d, &noise(d, i + 1))).collect();
    let leaves: Vec<Tensor> = weights.iter().map(leaf).collect();
    let x = Tensor::placeholder(Ty::f32(Shape::with_batch(&[96]).unwrap()), "x");
    let predict = Function::new(std::slice::from_ref(&x), &[net(&x, &leaves)], &[]).unwrap();
    let grown = apply("add", &[&leaves[0], &apply("multiply", &[&leaves[0], &leaves[0]])]);
    let train = Function::new(&[], &[], &[(weights[0].clone(), grown)]).unwrap();
    for (round, rows) in [64, 64, 7, 1, 130, 64].into_iter().enumerate() {
        let data = noise(&[rows, 96], 50 + round);
        let got = call(&predict, &data, &[rows, 96]);
        let now: Vec<Tensor> = weights.iter().map(now).collect();
        let plain = net(&Tensor::from_slice(&data, &[rows, 96]).unwrap(), &now);
        assert_eq!(bits(&got[0]), bits(&plain.storage().unwrap().as_slice()), "round {round}");
        match round % 3 {
            0 => weights[2]
                .assign(Arc::new(Storage::from_slice(&noise(shapes[2], 90 + round)).unwrap()))
                .unwrap(),
            // SAFETY: the function takes no arrays.
            1 => drop(unsafe { train.call(&[]) }.unwrap()),
            _ => weights[1].reset().unwrap(),
        }
    }
    let text = predict.describe();
    let steps: Vec<&str> = text[text.find("batch 64:").unwrap()..].lines().skip(1).take(3).collect();
    assert!(steps[0].contains("head    matmul_packed") && steps[1].contains("head "), "{steps:?}");
    assert!(steps[2].contains("arena"), "the scaling or the inverse stays in the call: {steps:?}");
}

#[test]
fn arguments_equal_their_copies_and_nothing_else() {
    let dim = fastnn::dim::Dim::symbol("time");
    let every = [
        Attr::Int(3),
        Attr::Ints(vec![3]),
        Attr::Size(dim),
        Attr::Sizes(vec![dim, 3.into()]),
        Attr::Float(3.0),
        Attr::Bool(true),
        Attr::DType(DType::I32),
        Attr::None,
    ];
    for (i, a) in every.iter().enumerate() {
        for (j, b) in every.iter().enumerate() {
            assert_eq!(*a == b.clone(), i == j, "{a:?} and {b:?}");
        }
    }
}

#[test]
fn values_made_of_slices_and_shapes_of_weights_are_computed_apart() {
    let w = variable(&[200], &noise(&[200], 1));
    let slice = |w: Tensor, begin: i64, end: i64| {
        let op = ops::find("slice").unwrap();
        let sizes = |n: i64| Attr::Sizes(vec![fastnn::dim::Dim::new(n)]);
        Tensor::apply(op, &[w], &[sizes(begin), sizes(end), Attr::Ints(vec![1])]).unwrap()
    };
    let area = |a: &Tensor, b: &Tensor| apply("sum", &[&apply("multiply", &[a, b])]);
    let x = Tensor::placeholder(ty(&[200]), "x");
    let out = apply("multiply", &[&x, &area(&slice(leaf(&w), 0, 199), &slice(leaf(&w), 1, 200))]);
    let f = Function::new(std::slice::from_ref(&x), &[out], &[]).unwrap();
    let plain = area(&slice(now(&w), 0, 199), &slice(now(&w), 1, 200)).storage().unwrap().as_slice()[0];
    assert_eq!(bits(&call(&f, &[1.0; 200], &[200])[0]), bits(&[plain; 200]));
}

#[test]
fn predictions_beside_training_are_those_of_one_moment() {
    let (k, n) = (64, 640);
    let first = variable(&[k, n], &vec![1.0; k * n]);
    let second = variable(&[n], &vec![1.0; n]);
    let (a, b) = (leaf(&first), leaf(&second));
    let number = |v: f64| Tensor::scalar(v, DType::F32).unwrap();
    let x = Tensor::placeholder(Ty::f32(Shape::with_batch(&[k]).unwrap()), "x");
    let product = apply("matmul", &[&x, &apply("multiply", &[&a, &number(3.0)])]);
    let row = apply("multiply", &[&b, &number(3.0)]);
    let difference = apply("subtract", &[&product, &row]);
    let predict = Arc::new(Function::new(&[x], &[difference, row], &[]).unwrap());
    let up = |t: &Tensor| apply("add", &[t, &number(1.0)]);
    let train = Function::new(&[], &[], &[(first.clone(), up(&a)), (second.clone(), up(&b))]).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    // Each row of x picks the mean of the 64 equal weights of a column.
                    let data = vec![1.0 / k as f32; 60 * k];
                    let (mut seen, mut last) = (0, 0.0);
                    while !done.load(Relaxed) || seen < 20 {
                        let got = call(&predict, &data, &[60, k]);
                        assert!(
                            got[0].iter().all(|&v| v == 0.0),
                            "two moments in one prediction: {}",
                            got[0][0]
                        );
                        assert!(got[1].iter().all(|&v| v == got[1][0]), "half an update");
                        assert!(got[1][0] >= last, "an older weight after a newer one");
                        last = got[1][0];
                        seen += 1;
                    }
                    last
                })
            })
            .collect();
        for _ in 0..300 {
            // SAFETY: the function takes no arrays.
            unsafe { train.call(&[]) }.unwrap();
        }
        done.store(true, Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    });
    let data = vec![1.0 / k as f32; 60 * k];
    assert_eq!(
        call(&predict, &data, &[60, k])[1][0],
        3.0 * 301.0,
        "the last prediction sees the last weights"
    );
}

#[test]
fn a_prediction_of_no_rows_leaves_variables_where_they_lie() {
    let w = variable(&[3], &[1.0, 2.0, 3.0]);
    let x = Tensor::placeholder(Ty::f32(Shape::with_batch(&[3]).unwrap()), "x");
    let y = apply("add", &[&x, &leaf(&w)]);
    let f = Function::new(&[x], &[y], &[(w.clone(), apply("multiply", &[&leaf(&w), &leaf(&w)]))]).unwrap();
    let held = w.snapshot();
    let args = [Arg { ptr: std::ptr::null_mut(), ty: ty(&[0, 3]) }];
    let prediction = f.prediction(&args).unwrap();
    // SAFETY: nothing is read of no rows, and nothing written.
    unsafe { f.predict(prediction, &args, &[std::ptr::null_mut()], 4, &mut || Ok(())) }.unwrap();
    assert!(Arc::ptr_eq(&held, &w.snapshot()));
}

#[test]
fn forty_batch_sizes_share_one_arena_and_stay_compiled() {
    let (w, v) = (variable(&[16, 512], &noise(&[16, 512], 1)), variable(&[512, 300], &noise(&[512, 300], 2)));
    let x = Tensor::placeholder(Ty::f32(Shape::with_batch(&[16]).unwrap()), "x");
    let h = apply("softmax", &[&apply("matmul", &[&x, &leaf(&w)])]);
    let y = apply("softmax", &[&apply("matmul", &[&h, &leaf(&v)])]);
    let f = Function::new(&[x], &[apply("matmul", &[&y, &apply("transpose", &[&leaf(&v)])])], &[]).unwrap();
    let largest = 200 + 40;
    for twice in 0..2 {
        for rows in 201..=largest {
            call(&f, &noise(&[rows, 16], rows + twice), &[rows, 16]);
        }
    }
    assert_eq!(f.kept(), 40);
    // One arena holds two activations of the largest batch; forty would be twenty times this bound.
    let bound = 3 * 4 * largest * (512 + 300) + 2 * 4 * 512 * 512 + 40 * (40 << 10);
    assert!(f.bytes() <= bound, "{} bytes are kept, wanted at most {bound}", f.bytes());
}

#[test]
fn predictions_at_the_same_time_have_an_arena_each() {
    let w = variable(&[32, 256], &noise(&[32, 256], 1));
    let x = Tensor::placeholder(Ty::f32(Shape::with_batch(&[32]).unwrap()), "x");
    let h = apply("softmax", &[&apply("matmul", &[&x, &leaf(&w)])]);
    let f = Function::new(&[x], &[apply("cumsum", &[&apply("softmax", &[&h])])], &[]).unwrap();
    let want: Vec<Vec<u32>> =
        (1..40).map(|rows| bits(&call(&f, &noise(&[rows, 32], rows), &[rows, 32])[0])).collect();
    std::thread::scope(|scope| {
        for start in 0..4 {
            let (f, want) = (&f, &want);
            scope.spawn(move || {
                for i in 0..120 {
                    let rows = 1 + (i * 7 + start * 11) % 39;
                    let got = call(f, &noise(&[rows, 32], rows), &[rows, 32]);
                    assert_eq!(bits(&got[0]), want[rows - 1], "{rows} rows");
                }
            });
        }
    });
}

#[test]
fn convolutions_with_packed_and_transformed_filters_have_the_bits_of_those_as_they_are() {
    // Image, filters, strides, padding of each side (-1: as many places as elements), and the row that runs.
    type Case = ([usize; 3], [usize; 3], i64, i64, &'static str);
    let cases: [Case; 8] = [
        ([7, 7, 40], [3, 3, 320], 1, -1, "conv_packed"),
        ([9, 8, 33], [3, 3, 515], 2, 1, "conv_packed"),
        ([14, 14, 130], [1, 1, 300], 2, 0, "conv_packed"),
        ([6, 5, 70], [2, 4, 777], 1, -1, "conv_packed"),
        ([12, 13, 17], [5, 5, 264], 3, 2, "conv_packed"),
        ([14, 14, 64], [1, 1, 1030], 1, 0, "matmul_packed"),
        ([5, 7, 600], [1, 1, 520], 1, 0, "matmul_packed"),
        ([14, 14, 200], [3, 3, 280], 1, -1, "winograd_conv"),
    ];
    for (image, [high, wide, filters], stride, pad, row) in cases {
        let w = variable(&[high, wide, image[2], filters], &noise(&[high, wide, image[2], filters], filters));
        let shift = variable(&[filters], &noise(&[filters], 5));
        let op = ops::find("conv").unwrap();
        let padding = if pad < 0 { vec![-1] } else { vec![pad; 4] };
        let attrs = [
            Attr::Ints(vec![stride; 2]),
            Attr::Sizes(padding.into_iter().map(fastnn::dim::Dim::new).collect()),
            Attr::Ints(vec![]),
            Attr::Int(1),
        ];
        let net = |x: &Tensor, read: fn(&Arc<Variable>) -> Tensor| {
            let y = Tensor::apply(op, &[x.clone(), read(&w)], &attrs).unwrap();
            // More than a bias, so that the blocks have an epilogue.
            apply("tanh", &[&apply("multiply", &[&apply("add", &[&y, &read(&shift)]), &read(&shift)])])
        };
        let x = Tensor::placeholder(Ty::f32(Shape::with_batch(&image).unwrap()), "x");
        let f = Function::new(std::slice::from_ref(&x), &[net(&x, leaf)], &[]).unwrap();
        for images in [1, 3] {
            let dims = [images, image[0], image[1], image[2]];
            let data = noise(&dims, images + 7);
            let got = call(&f, &data, &dims);
            let plain = net(&Tensor::from_slice(&data, &dims).unwrap(), now);
            assert_eq!(bits(&got[0]), bits(&plain.storage().unwrap().as_slice()), "{image:?} {dims:?}");
        }
        assert!(f.describe().contains(row), "{row} does not run: {}", f.describe());
    }
}

#[test]
fn heads_scale_columns_as_the_steps_after_them_would() {
    // Image, filters, padding, rectified, and the row that runs.
    type Case = ([usize; 3], [usize; 3], i64, bool, &'static str);
    let cases: [Case; 7] = [
        ([7, 6, 40], [1, 1, 50], 0, true, "conv "),
        ([7, 6, 600], [1, 1, 70], 0, false, "conv "),
        ([5, 7, 600], [1, 1, 520], 0, true, "matmul_packed"),
        ([1, 1, 600], [1, 1, 520], 0, true, "matmul_packed"),
        ([9, 8, 5], [3, 3, 21], 1, true, "conv "),
        ([7, 7, 140], [3, 3, 320], 1, false, "conv_packed"),
        ([14, 13, 33], [3, 3, 49], 1, true, "winograd_conv"),
    ];
    for (image, [high, wide, filters], pad, relu, row) in cases {
        let w = variable(&[high, wide, image[2], filters], &noise(&[high, wide, image[2], filters], filters));
        let lines: Vec<Arc<Variable>> =
            (1..4).map(|seed| variable(&[filters], &noise(&[filters], seed))).collect();
        let attrs = [
            Attr::Ints(vec![1, 1]),
            Attr::Sizes(vec![fastnn::dim::Dim::new(pad); 4]),
            Attr::Ints(vec![]),
            Attr::Int(1),
        ];
        let conv = |x: &Tensor, w: Tensor| {
            Tensor::apply(ops::find("conv").unwrap(), &[x.clone(), w], &attrs).unwrap()
        };
        let x = Tensor::placeholder(Ty::f32(Shape::with_batch(&image).unwrap()), "x");
        let made = apply("add", &[&conv(&x, leaf(&w)), &leaf(&lines[0])]);
        let made = apply("add", &[&apply("multiply", &[&made, &leaf(&lines[1])]), &leaf(&lines[2])]);
        let made = if relu { apply("relu", &[&made]) } else { made };
        let f = Function::new(std::slice::from_ref(&x), &[made], &[]).unwrap();
        for images in [2, 3] {
            let dims = [images, image[0], image[1], image[2]];
            let data = noise(&dims, images + 7);
            let got = call(&f, &data, &dims);
            let plain = conv(&Tensor::from_slice(&data, &dims).unwrap(), now(&w));
            let plain: Vec<f32> = plain.storage().unwrap().as_slice().to_vec();
            let [bias, factors, summands] =
                [0, 1, 2].map(|i| now(&lines[i]).storage().unwrap().as_slice().to_vec());
            // Where the processor has no such instruction, it is rounded twice.
            let fma = |a: f32, b: f32, c: f32| match fastnn::simd::isa() {
                fastnn::simd::Isa::Portable => a * b + c,
                _ => a.mul_add(b, c),
            };
            let scaled = plain.iter().enumerate().map(|(i, &v)| {
                let col = i % filters;
                let v = fma(v + bias[col], factors[col], summands[col]);
                if relu { v.max(0.0) } else { v }
            });
            // `max` of the standard library may keep either zero.
            let same = |v: f32| if v == 0.0 { 0 } else { v.to_bits() };
            let want: Vec<u32> = scaled.map(same).collect();
            assert_eq!(got[0].iter().map(|&v| same(v)).collect::<Vec<_>>(), want, "{image:?} {dims:?}");
        }
        let text = f.describe();
        assert!(text.contains(row) && text.contains("+bias scaled"), "{row}: {text}");
    }
}
