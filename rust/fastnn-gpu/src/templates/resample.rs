//! Images of other rows and columns, each a weighted sum of those of the operand. The way back gathers:
//! each element looks for the places that read it.

use super::Rows;
use super::frame::{Text, steps};
use crate::dispatch::{Call, Steps};
use fastnn::error::Result;
use fastnn::ops::resample;

pub(super) const ROWS: Rows = &[(&resample::RESAMPLE, there), (&resample::RESAMPLE_GRAD, back)];

/// Defines sizes: those of the operand that is resampled, and of what that makes.
fn start<'a>(call: &'a Call<'a>, whole: [usize; 4], names: [&str; 2]) -> Text<'a> {
    let mut text = Text::new(call, "");
    text.read(names[0], 0).read("row_at", 1).read("row_by", 2).read("column_at", 3).read("column_by", 4);
    text.write(names[1], 0);
    let [rows, columns] = [2, 4].map(|k| call.inputs[k].shape.sizes());
    text.sizes(&[
        ("HEIGHT", whole[1]),
        ("WIDTH", whole[2]),
        ("CHANNELS", whole[3]),
        ("ROWS", rows[0]),
        ("ROW_TAPS", rows[1]),
        ("COLUMNS", columns[0]),
        ("COLUMN_TAPS", columns[1]),
    ]);
    text
}

fn sizes(call: &[usize]) -> [usize; 4] {
    [call[0], call[1], call[2], call[3]]
}

fn there(call: &Call<'_>) -> Result<Steps> {
    let text = start(call, sizes(&call.inputs[0].shape.sizes()), ["x", "y"]);
    let body = "    let p = i / CHANNELS;
    let column = p % COLUMNS;
    let row = (p / COLUMNS) % ROWS;
    let image = p / COLUMNS / ROWS;
    var sum = 0.0f;
    for (var k = 0u; k < ROW_TAPS; k++) {
        let by = row_by[row * ROW_TAPS + k];
        let h = row_at[row] + i32(k);
        if (by == 0.0f || h < 0i || h >= i32(HEIGHT)) { continue; }
        let line = (image * HEIGHT + u32(h)) * WIDTH;
        var part = 0.0f;
        for (var l = 0u; l < COLUMN_TAPS; l++) {
            let across = column_by[column * COLUMN_TAPS + l];
            let w = column_at[column] + i32(l);
            if (across == 0.0f || w < 0i || w >= i32(WIDTH)) { continue; }
            part += across * x[(line + u32(w)) * CHANNELS + i % CHANNELS];
        }
        sum += by * part;
    }
    y[i] = sum;
";
    Ok(steps([text.each(call.outputs[0].shape.count(), body)]))
}

fn back(call: &Call<'_>) -> Result<Steps> {
    let text = start(call, sizes(&call.outputs[0].shape.sizes()), ["dy", "dx"]);
    let body = "    let p = i / CHANNELS;
    let w = i32(p % WIDTH);
    let h = i32((p / WIDTH) % HEIGHT);
    let image = p / WIDTH / HEIGHT;
    var sum = 0.0f;
    for (var row = 0u; row < ROWS; row++) {
        let k = h - row_at[row];
        if (k < 0i || k >= i32(ROW_TAPS)) { continue; }
        let by = row_by[row * ROW_TAPS + u32(k)];
        if (by == 0.0f) { continue; }
        let line = (image * ROWS + row) * COLUMNS;
        var part = 0.0f;
        for (var column = 0u; column < COLUMNS; column++) {
            let l = w - column_at[column];
            if (l < 0i || l >= i32(COLUMN_TAPS)) { continue; }
            let across = column_by[column * COLUMN_TAPS + u32(l)];
            if (across == 0.0f) { continue; }
            part += across * dy[(line + column) * CHANNELS + i % CHANNELS];
        }
        sum += by * part;
    }
    dx[i] = sum;
";
    Ok(steps([text.each(call.outputs[0].shape.count(), body)]))
}
