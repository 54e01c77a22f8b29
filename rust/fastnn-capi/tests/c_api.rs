//! The calls as C makes them: right, and wrong in every way that can be told.

#![allow(clippy::undocumented_unsafe_blocks)] // The tests are about calls that break the rules.

use fastnn::function::Function;
use fastnn::graph::Ty;
use fastnn::ops;
use fastnn::save;
use fastnn::shape::{DType, Shape};
use fastnn::tensor::Tensor;
use fastnn_c::fastnn_status::*;
use fastnn_c::*;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::ptr::{null, null_mut};

fn times(x: &Tensor, y: &Tensor) -> Tensor {
    Tensor::apply(ops::find("multiply").unwrap(), &[x.clone(), y.clone()], &[]).unwrap()
}

/// A loaded function from rows of three numbers to their doubles; whole ones in a second input.
struct Loaded(*mut fastnn_model, std::path::PathBuf);

impl Loaded {
    fn new(name: &str, dtypes: &[DType]) -> Loaded {
        let shape = Shape::with_batch(&[3]).unwrap();
        let inputs: Vec<Tensor> = dtypes
            .iter()
            .enumerate()
            .map(|(i, &dtype)| Tensor::placeholder(Ty { shape, dtype }, &format!("x{i}")))
            .collect();
        let two = |dtype| Tensor::scalar(2.0, dtype).unwrap();
        let outputs: Vec<Tensor> = inputs.iter().zip(dtypes).map(|(x, &d)| times(x, &two(d))).collect();
        Loaded::of(name, &Function::new(&inputs, &outputs, &[]).unwrap())
    }

    fn of(name: &str, function: &Function) -> Loaded {
        let path = std::env::temp_dir().join(format!("fastnn-capi-{}-{name}", std::process::id()));
        save::save(&path, &[], &BTreeMap::new(), Some(function)).unwrap();
        let text = CString::new(path.to_str().unwrap()).unwrap();
        let mut model = null_mut();
        assert_eq!(unsafe { fastnn_load(text.as_ptr(), &mut model) }, FASTNN_OK, "{}", message());
        assert!(!model.is_null());
        Loaded(model, path)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        unsafe { fastnn_free(self.0) };
        let _ = std::fs::remove_file(&self.1);
    }
}

fn message() -> String {
    unsafe { CStr::from_ptr(fastnn_last_error()) }.to_str().unwrap().to_owned()
}

fn port() -> fastnn_port {
    fastnn_port { name: null(), dtype: fastnn_type::FASTNN_OTHER, rank: 0, shape: [0; FASTNN_MAX_RANK] }
}

#[test]
fn rows_are_predicted_into_the_memory_of_the_caller() {
    let model = Loaded::new("rows", &[DType::F32]);
    for rows in [0, 1, 7, 300] {
        let x: Vec<f32> = (0..3 * rows).map(|i| i as f32 * 0.5).collect();
        let mut y = vec![-1.0; x.len()];
        let status = unsafe { fastnn_predict(model.0, x.as_ptr(), x.len(), rows, y.as_mut_ptr(), y.len()) };
        assert_eq!(status, FASTNN_OK, "{}", message());
        assert!(x.iter().zip(&y).all(|(x, y)| 2.0 * x == *y));
    }
    let status = unsafe { fastnn_predict(model.0, null(), 0, 0, null_mut(), 0) };
    assert_eq!(status, FASTNN_OK, "{}", message());
}

#[test]
fn ports_say_what_is_taken_and_given() {
    let model = Loaded::new("ports", &[DType::F32, DType::I32]);
    unsafe {
        assert_eq!((fastnn_inputs(model.0), fastnn_outputs(model.0)), (2, 2));
        let mut p = port();
        assert_eq!(fastnn_input(model.0, 1, &mut p), FASTNN_OK);
        assert_eq!(CStr::from_ptr(p.name).to_str().unwrap(), "x1");
        assert_eq!((p.dtype, p.rank, &p.shape[..2]), (fastnn_type::FASTNN_INT32, 2, &[-1, 3][..]));
        assert_eq!(fastnn_output_port(model.0, 0, &mut p), FASTNN_OK);
        assert_eq!((p.dtype, &p.shape[..2]), (fastnn_type::FASTNN_FLOAT32, &[-1, 3][..]));
        assert_eq!(fastnn_input(model.0, 2, &mut p), FASTNN_BAD_SHAPE);
        assert!(message().contains("2 inputs"), "{}", message());
        assert_eq!(CStr::from_ptr(fastnn_file_version(model.0)).to_str().unwrap(), env!("CARGO_PKG_VERSION"));
        assert_eq!(CStr::from_ptr(fastnn_version()).to_str().unwrap(), env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn several_inputs_and_outputs_run_at_once() {
    let model = Loaded::new("several", &[DType::F32, DType::I32]);
    let (a, b, shape) = ([1.0f32, 2.0, 3.0], [4i32, 5, 6], [1usize, 3]);
    let inputs = [
        fastnn_array { data: a.as_ptr().cast(), dtype: 0, rank: 2, shape: shape.as_ptr() },
        fastnn_array { data: b.as_ptr().cast(), dtype: 1, rank: 2, shape: shape.as_ptr() },
    ];
    let (mut c, mut d) = ([0.0f32; 3], [0.0f32; 3]);
    let mut outputs =
        [fastnn_output { data: c.as_mut_ptr(), count: 3 }, fastnn_output { data: d.as_mut_ptr(), count: 3 }];
    let run = |i: &[fastnn_array], o: &[fastnn_output]| unsafe {
        fastnn_run(model.0, i.as_ptr(), i.len(), o.as_ptr(), o.len())
    };
    assert_eq!(run(&inputs, &outputs), FASTNN_OK, "{}", message());
    assert_eq!((c, d), ([2.0, 4.0, 6.0], [8.0, 10.0, 12.0]));
    outputs[0] = fastnn_output { data: null_mut(), count: 0 }; // left out
    assert_eq!(run(&inputs, &outputs), FASTNN_OK, "{}", message());

    outputs[1].count = 2;
    assert_eq!(run(&inputs, &outputs), FASTNN_BAD_SHAPE);
    assert!(message().contains("output 1"), "{}", message());
    outputs[1] = fastnn_output { data: null_mut(), count: 3 };
    assert_eq!(run(&inputs, &outputs), FASTNN_BAD_POINTER);
    outputs[1] = fastnn_output { data: d.as_mut_ptr(), count: 3 };
    assert_eq!(run(&inputs[..1], &outputs), FASTNN_BAD_SHAPE);
    assert_eq!(run(&inputs, &outputs[..1]), FASTNN_BAD_SHAPE);
    let half = [0.5f32; 3];
    let wrong = |change: &dyn Fn(&mut fastnn_array)| {
        let mut given = inputs;
        change(&mut given[1]);
        run(&given, &outputs)
    };
    assert_eq!(wrong(&|a| a.data = null()), FASTNN_BAD_POINTER);
    assert_eq!(wrong(&|a| a.shape = null()), FASTNN_BAD_POINTER);
    assert_eq!(wrong(&|a| a.rank = 9), FASTNN_BAD_SHAPE);
    assert_eq!(wrong(&|a| a.rank = 1), FASTNN_BAD_SHAPE);
    assert_eq!(wrong(&|a| a.dtype = 77), FASTNN_BAD_DATA);
    assert_eq!(wrong(&|a| (a.data, a.dtype) = (half.as_ptr().cast(), 0)), FASTNN_BAD_DATA);
    assert!(message().contains("whole numbers"), "{}", message());
    let huge = [usize::MAX, usize::MAX];
    assert_eq!(wrong(&|a| a.shape = huge.as_ptr()), FASTNN_BAD_SHAPE);
}

#[test]
fn inputs_of_other_types_are_taken_as_floats_or_whole_numbers() {
    let (floats, whole, shape) = ([0.0f32, 2.0, -3.0], [0i32, 2, -3], [1usize, 3]);
    for dtype in [DType::F32, DType::BF16, DType::F16, DType::I8, DType::I32] {
        let model = Loaded::new(&format!("other-{}", dtype.name()), &[dtype]);
        let mut y = [9.0f32; 3];
        let output = fastnn_output { data: y.as_mut_ptr(), count: 3 };
        for (data, dtype) in [(floats.as_ptr().cast(), 0), (whole.as_ptr().cast(), 1)] {
            let input = fastnn_array { data, dtype, rank: 2, shape: shape.as_ptr() };
            assert_eq!(unsafe { fastnn_run(model.0, &input, 1, &output, 1) }, FASTNN_OK, "{}", message());
            assert_eq!(y, [0.0, 4.0, -6.0], "{dtype}");
        }
    }
    for (name, dtype, bad) in [("u8", DType::U8, -1.0f32), ("i8", DType::I8, 128.0), ("i32", DType::I32, 0.5)]
    {
        let model = Loaded::new(&format!("beyond-{name}"), &[dtype]);
        let (x, mut y) = ([1.0, bad, 1.0], [0.0f32; 3]);
        let output = fastnn_output { data: y.as_mut_ptr(), count: 3 };
        let input = fastnn_array { data: x.as_ptr().cast(), dtype: 0, rank: 2, shape: shape.as_ptr() };
        assert_eq!(unsafe { fastnn_run(model.0, &input, 1, &output, 1) }, FASTNN_BAD_DATA);
        assert!(message().contains("value 1 is"), "{}", message());
    }
}

#[test]
fn truth_values_are_taken_and_given_as_floats() {
    let x = Tensor::placeholder(Ty { shape: Shape::with_batch(&[3]).unwrap(), dtype: DType::Bool }, "x");
    let not = Tensor::apply(ops::find("logical_not").unwrap(), &[x.clone()], &[]).unwrap();
    let model = Loaded::of("truth", &Function::new(&[x], &[not], &[]).unwrap());
    let (floats, whole, shape) = ([0.0f32, 0.5, -1.0], [0i32, 7, -1], [1usize, 3]);
    let mut y = [9.0f32; 3];
    let output = fastnn_output { data: y.as_mut_ptr(), count: 3 };
    for (data, dtype) in [(floats.as_ptr().cast(), 0), (whole.as_ptr().cast(), 1)] {
        let input = fastnn_array { data, dtype, rank: 2, shape: shape.as_ptr() };
        assert_eq!(unsafe { fastnn_run(model.0, &input, 1, &output, 1) }, FASTNN_OK, "{}", message());
        assert_eq!(y, [1.0, 0.0, 0.0]);
    }
}

#[test]
fn null_and_wrong_sizes_are_refused_with_a_message() {
    let model = Loaded::new("wrong", &[DType::F32]);
    let (x, mut y) = ([1.0f32; 6], [0.0f32; 6]);
    let predict = |m: *const fastnn_model, x: *const f32, xn, rows, y: *mut f32, yn| unsafe {
        fastnn_predict(m, x, xn, rows, y, yn)
    };
    let (m, p, q) = (model.0.cast_const(), x.as_ptr(), y.as_mut_ptr());
    assert_eq!(predict(m, p, 6, 2, q, 6), FASTNN_OK);
    for (status, text, got) in [
        (FASTNN_BAD_POINTER, "model is null", predict(null(), p, 6, 2, q, 6)),
        (FASTNN_BAD_POINTER, "x is null", predict(m, null(), 6, 2, q, 6)),
        (FASTNN_BAD_POINTER, "y is null", predict(m, p, 6, 2, null_mut(), 6)),
        (FASTNN_BAD_POINTER, "x is not aligned", predict(m, (p as usize + 1) as *const f32, 5, 2, q, 6)),
        (FASTNN_BAD_POINTER, "overlaps", predict(m, q, 6, 2, q, 6)),
        (FASTNN_BAD_SHAPE, "6 values", predict(m, p, 6, 3, q, 6)),
        (FASTNN_BAD_SHAPE, "room for 5", predict(m, p, 6, 2, q, 5)),
        (FASTNN_BAD_SHAPE, "hint", predict(m, p, 6, usize::MAX, q, 6)),
        (FASTNN_BAD_SHAPE, "memory", predict(m, p, usize::MAX, 2, q, 6)),
    ] {
        assert_eq!(got, status, "{text}");
    }
    assert!(message().contains("memory"), "{}", message());
    unsafe {
        assert_eq!(fastnn_input(null(), 0, &mut port()), FASTNN_BAD_POINTER);
        assert_eq!(fastnn_input(m, 0, null_mut()), FASTNN_BAD_POINTER);
        assert_eq!((fastnn_inputs(null()), fastnn_outputs(null())), (0, 0));
        assert!(fastnn_file_version(null()).is_null());
        fastnn_free(null_mut());
        assert_eq!(fastnn_run(null(), null(), 0, null(), 0), FASTNN_BAD_POINTER);
        assert_eq!(fastnn_run(m, null(), 1, null(), 1), FASTNN_BAD_POINTER);
    }
}

#[test]
fn files_that_are_no_models_are_refused() {
    let load = |path: *const std::ffi::c_char| {
        let mut model = std::ptr::dangling_mut();
        let status = unsafe { fastnn_load(path, &mut model) };
        assert!(model.is_null());
        status
    };
    assert_eq!(load(null()), FASTNN_BAD_POINTER);
    assert_eq!(load(c"/nowhere/m.safetensors".as_ptr()), FASTNN_IO);
    assert_eq!(load(c"\xff\xfe".as_ptr()), FASTNN_BAD_POINTER);
    let path = std::env::temp_dir().join(format!("fastnn-capi-{}-junk", std::process::id()));
    std::fs::write(&path, b"junk").unwrap();
    let text = CString::new(path.to_str().unwrap()).unwrap();
    assert_eq!(load(text.as_ptr()), FASTNN_BAD_FILE);
    assert!(message().contains("safetensors"), "{}", message());
    assert_eq!(unsafe { fastnn_load(text.as_ptr(), null_mut()) }, FASTNN_BAD_POINTER);
    let _ = std::fs::remove_file(path);
}

#[test]
fn many_threads_share_a_model_and_each_has_its_own_message() {
    let model = Loaded::new("threads", &[DType::F32]);
    let address = model.0 as usize;
    std::thread::scope(|scope| {
        for t in 0..4 {
            scope.spawn(move || {
                let model = address as *const fastnn_model;
                assert_eq!(message(), "");
                let x = [t as f32; 3];
                let mut y = [0.0f32; 3];
                for _ in 0..500 {
                    let status = unsafe { fastnn_predict(model, x.as_ptr(), 3, 1, y.as_mut_ptr(), 3) };
                    assert_eq!((status, y), (FASTNN_OK, [2.0 * t as f32; 3]));
                }
                assert_eq!(
                    unsafe { fastnn_predict(model, x.as_ptr(), 3, t + 2, y.as_mut_ptr(), 3) },
                    FASTNN_BAD_SHAPE
                );
                assert!(message().contains(&format!("{} rows", t + 2)), "{}", message());
            });
        }
    });
}
