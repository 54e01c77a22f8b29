//! Answers from a model file, a line of numbers at a time: `answers MODEL < rows.csv`.
//!
//! A line that is wrong is told of on standard error, and the next one is read.

use fastnn::save::Model;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::ExitCode;

/// The numbers of a line.
fn numbers(line: &str) -> Result<Vec<f32>, String> {
    let number = |part: &str| part.trim().parse().map_err(|_| format!("'{part}' is no number"));
    line.split(',').map(number).collect()
}

fn run(model: &Model) -> io::Result<bool> {
    let (mut out, mut right) = (io::stdout().lock(), true);
    for (at, line) in io::stdin().lock().lines().enumerate() {
        let answer = numbers(&line?).and_then(|row| model.predict(&row, 1).map_err(|e| e.to_string()));
        match answer {
            Ok(values) => {
                let texts: Vec<String> = values.iter().map(f32::to_string).collect();
                writeln!(out, "{}", texts.join(","))?;
            }
            Err(text) => {
                right = false;
                eprintln!("line {}: {text}", at + 1);
            }
        }
    }
    Ok(right)
}

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: answers MODEL < rows.csv");
        return ExitCode::from(2);
    };
    let model = match Model::load(Path::new(&path)) {
        Ok(model) => model,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match run(&model) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
