//! Values of storage types take the bytes of their type and no more, whatever is computed with them.

use fastnn::dim::Dim;
use fastnn::exec::cpu::Program;
use fastnn::exec::interp;
use fastnn::function::Function;
use fastnn::graph::{Attr, Graph, Host, Ty};
use fastnn::kernels::stored;
use fastnn::ops::{self, Build};
use fastnn::shape::{DType, Shape};
use fastnn::tensor::{Storage, Tensor, Variable, encode};
use std::sync::Arc;

const STORED: [DType; 4] = [DType::BF16, DType::F16, DType::I8, DType::U8];

fn ty(dims: &[usize], dtype: DType) -> Ty {
    Ty { shape: Shape::new(dims).unwrap(), dtype }
}

/// Numbers that every type holds exactly.
fn small(count: usize) -> Vec<f64> {
    (0..count).map(|i| ((i * 7 + i / 5) % 13) as f64).collect()
}

fn bytes_of(values: &[f64], dtype: DType) -> Vec<u8> {
    let one = |v: &f64| encode(*v, dtype).unwrap().bytes(dtype).to_vec();
    values.iter().flat_map(one).collect()
}

#[test]
fn weights_of_storage_types_stay_as_small_as_they_are() {
    for dtype in STORED {
        let of = ty(&[1024, 512], dtype);
        let tensor = Tensor::from_slice(&vec![1.0; 1024 * 512], &[1024, 512]).unwrap().cast(dtype).unwrap();
        let w = Variable::new(of, tensor.storage().unwrap().clone(), "w");
        assert_eq!(w.snapshot().bytes(), 1024 * 512 * dtype.size());
        let x = Tensor::placeholder(Ty::f32(Shape::new(&[Dim::BATCH, Dim::new(1024)]).unwrap()), "x");
        let kernel = Tensor::traced_variable(&w);
        let flags = [Attr::Bool(false), Attr::Bool(false)];
        let y = Tensor::apply(ops::find("matmul").unwrap(), &[x.clone(), kernel], &flags).unwrap();
        let f = Function::new(&[x], &[y], &[]).unwrap();
        for rows in [1, 8, 200] {
            let data = Tensor::from_slice(&vec![0.5; rows * 1024], &[rows, 1024]).unwrap();
            let got = f.apply(&[data]).unwrap();
            assert!(got[0].storage().unwrap().as_slice().iter().all(|&v| v == 512.0), "{dtype:?} {rows}");
        }
        assert!(f.bytes() < 256 << 10, "{dtype:?}: the function keeps {} bytes", f.bytes());
    }
}

#[test]
fn a_graph_with_storage_types_is_what_the_oracle_says() {
    for from in STORED {
        for to in STORED {
            let mut g = Graph::new();
            let x = g.input(ty(&[5, 33], from));
            let state = g.input(ty(&[33, 5], to));
            let wide = g.cast(x, DType::F32);
            let half = g.mul_scalar(wide, 0.5);
            let narrow = g.cast(half, to);
            let turned = g.transpose(narrow, &[1, 0]);
            let back = g.cast(turned, DType::F32);
            let old = g.cast(state, DType::F32);
            let sum = g.add_(back, old);
            let new = g.cast(sum, to);
            let rows = g.sum(wide, &[1], false);
            g.outputs = vec![narrow, turned, rows];
            g.updates = vec![(1, new)];
            g.recheck().unwrap();
            let (a, b) = (small(165), small(165));
            let hosts = [
                Host { ty: ty(&[5, 33], from), data: a.clone() },
                Host { ty: ty(&[33, 5], to), data: b.clone() },
            ];
            let (want, updates) = interp::run(&g, &hosts).unwrap();
            let program = Program::compile(&g).unwrap();
            let mut inputs = [bytes_of(&a, from), bytes_of(&b, to)];
            let mut outputs: Vec<Vec<u8>> = g.outputs.iter().map(|&o| vec![0; g.ty(o).bytes()]).collect();
            // Elements of two bytes need an even address, which large vectors have.
            let ins: Vec<*mut u8> = inputs.iter_mut().map(Vec::as_mut_ptr).collect();
            let outs: Vec<*mut u8> = outputs.iter_mut().map(Vec::as_mut_ptr).collect();
            // SAFETY: one buffer of the right size per slot, none shared.
            unsafe { program.run(&ins, &outs) }.unwrap();
            let read = |bytes: &[u8], of: DType| -> Vec<f64> {
                bytes.chunks_exact(of.size()).map(|b| stored::decode(b, of)).collect()
            };
            for (got, want) in outputs.iter().zip(&want) {
                assert_eq!(read(got, want.ty.dtype), want.data, "{from:?} {to:?}");
            }
            assert_eq!(read(&inputs[1], to), updates[0].1.data, "{from:?} {to:?}");
        }
    }
}

#[test]
fn what_does_not_take_a_storage_type_is_refused_and_cast_by_the_front() {
    let mut g = Graph::new();
    let x = g.input(ty(&[3], DType::BF16));
    let error = g.try_add(ops::find("exp").unwrap(), &[x], &[]).unwrap_err().to_string();
    assert!(error.contains("bfloat16") && error.contains("hint: cast"), "{error}");
    let one = Tensor::from_slice(&[0.0, 1.0, 2.0], &[3]).unwrap().cast(DType::BF16).unwrap();
    let y = Tensor::apply(ops::find("exp").unwrap(), &[one], &[]).unwrap();
    assert_eq!(y.ty().dtype, DType::F32);
    let floats = Arc::new(Storage::from_slice(&[1.0, 2.0]).unwrap());
    let wrong = Tensor::new(ty(&[2], DType::I32), floats);
    assert!(wrong.is_err(), "floats are no integers");
}
