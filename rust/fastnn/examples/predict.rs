//! Runs a saved model without Python: `predict MODEL INPUT OUTPUT [SHAPE]`, where INPUT holds rows of
//! raw little-endian f32 values and OUTPUT gets the predictions in the same form. SHAPE, such as
//! `3,7,4`, is that of the input; a model that leaves sizes besides the batch open needs it.

use fastnn::dim::Dim;
use fastnn::error::{Error, Result};
use fastnn::save::Model;
use fastnn::tensor::Tensor;
use std::path::Path;
use std::process::ExitCode;

fn sizes(text: &str) -> Result<Vec<usize>> {
    let size = |part: &str| part.trim().parse().map_err(|_| Error::Data(format!("'{part}' is not a size")));
    text.split(',').map(size).collect()
}

fn run(model: &str, input: &str, output: &str, shape: Option<&str>) -> Result<usize> {
    let io = |what: &str, e: std::io::Error| Error::Io(format!("{what}: {e}"));
    let model = Model::load(Path::new(model))?;
    let bytes = std::fs::read(input).map_err(|e| io(input, e))?;
    let values: Vec<f32> =
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let (rows, predictions) = if let Some(shape) = shape {
        let shape = sizes(shape)?;
        let outputs = model.function().apply(&[Tensor::from_slice(&values, &shape)?])?;
        let first = outputs.first().map_or(Ok(Vec::new()), |t| Ok(t.storage()?.as_slice().to_vec()))?;
        (shape.first().copied().unwrap_or(1), first)
    } else {
        let width = match model.function().inputs() {
            [input] => input.ty.shape.dims().iter().skip(1).product(),
            _ => Dim::ZERO,
        };
        let Some(width) = width.known() else {
            return Err(Error::Data(format!(
                "the model takes {}\n  hint: give the shape of INPUT as the fourth argument",
                model.function().signature()
            )));
        };
        let rows = values.len().checked_div(width as usize).unwrap_or(0);
        (rows, model.predict(&values, rows)?)
    };
    let bytes: Vec<u8> = predictions.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(output, bytes).map_err(|e| io(output, e))?;
    Ok(rows)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let ([model, input, output], shape) = match args.as_slice() {
        [model, input, output] => ([model, input, output], None),
        [model, input, output, shape] => ([model, input, output], Some(shape.as_str())),
        _ => {
            eprintln!("usage: predict MODEL INPUT OUTPUT [SHAPE]");
            return ExitCode::from(2);
        }
    };
    match run(model, input, output, shape) {
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
