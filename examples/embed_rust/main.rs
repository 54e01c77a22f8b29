//! A Rust program that answers from a model file, with several threads at once and no Python:
//! `cargo run --package fastnn --example embed -- digits.safetensors images.f32`
//! `examples/embed_rust/train.py` writes both files.

#![allow(clippy::print_stdout)] // its answer

use fastnn::error::{Error, Result};
use fastnn::save::Model;
use std::path::Path;
use std::thread;

const PIXELS: usize = 64;
const CLASSES: usize = 10;
const WORKERS: usize = 4;

/// The likeliest class of each image.
fn classify(model: &Model, images: &[f32]) -> Result<Vec<usize>> {
    let chances = model.predict(images, images.len() / PIXELS)?;
    let best = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    Ok(chances.chunks_exact(CLASSES).filter_map(best).collect())
}

fn run(model: &str, images: &str) -> Result<()> {
    let model = Model::load(Path::new(model))?;
    let bytes = std::fs::read(images).map_err(|e| Error::Io(format!("{images}: {e}")))?;
    let images: Vec<f32> =
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let share = (images.len() / PIXELS).div_ceil(WORKERS).max(1) * PIXELS;
    // One model for all threads: a prediction takes memory of its own and no lock.
    let parts: Vec<Result<Vec<usize>>> = thread::scope(|scope| {
        let workers: Vec<_> =
            images.chunks(share).map(|part| scope.spawn(|| classify(&model, part))).collect();
        workers.into_iter().map(|w| w.join().expect("a worker panicked")).collect()
    });
    for part in parts {
        for class in part? {
            println!("{class}");
        }
    }
    Ok(())
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, images] = args.as_slice() else {
        eprintln!("usage: embed MODEL IMAGES");
        std::process::exit(2);
    };
    if let Err(error) = run(model, images) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}
