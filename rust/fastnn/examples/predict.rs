//! Runs a saved model without Python: `predict MODEL INPUT OUTPUT`, where INPUT holds rows of raw
//! little-endian f32 values and OUTPUT gets the predictions in the same form.

use fastnn::error::{Error, Result};
use fastnn::save::Model;
use std::path::Path;
use std::process::ExitCode;

fn run(model: &str, input: &str, output: &str) -> Result<usize> {
    let io = |what: &str, e: std::io::Error| Error::Io(format!("{what}: {e}"));
    let model = Model::load(Path::new(model))?;
    let bytes = std::fs::read(input).map_err(|e| io(input, e))?;
    let values: Vec<f32> =
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let width: usize = match model.function().inputs() {
        [input] => input.ty.shape.dims().iter().skip(1).product(),
        _ => 0,
    };
    let rows = values.len().checked_div(width).unwrap_or(0);
    let predictions = model.predict(&values, rows)?;
    let bytes: Vec<u8> = predictions.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(output, bytes).map_err(|e| io(output, e))?;
    Ok(rows)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, input, output] = args.as_slice() else {
        eprintln!("usage: predict MODEL INPUT OUTPUT");
        return ExitCode::from(2);
    };
    match run(model, input, output) {
        Ok(rows) => {
            eprintln!("{rows} rows");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
