//! Saved models in C. A model is loaded once and then asked by any number of threads; every call
//! gives a status, and checks its pointers and sizes before it uses them.

#![allow(non_camel_case_types)] // They are C's.

mod guard;

pub use guard::fastnn_status;

use fastnn::dim::Dim;
use fastnn::graph::{Arg, Ty};
use fastnn::save::Model;
use fastnn::shape::{DType, Shape};
use fastnn::tensor::{Storage, encode};
use guard::{Refusal, bad_pointer, bad_shape, elements, guarded, reference, text};
use std::ffi::{CString, c_char};
use std::path::Path;

/// The most axes a tensor has.
pub const FASTNN_MAX_RANK: usize = 8;

/// A loaded model. Any number of threads may use it at once.
pub struct fastnn_model {
    model: Model,
    names: Vec<CString>,
    version: CString,
}

/// The type of the numbers of an input or output. Memory for int32 holds `int32_t`; all other types
/// are given and taken as floats, truth values as 0 and 1.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum fastnn_type {
    /// `float`.
    FASTNN_FLOAT32 = 0,
    /// `int32_t`.
    FASTNN_INT32 = 1,
    /// Another one, given and taken as floats.
    FASTNN_OTHER = 2,
}

/// What an input takes or an output gives.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct fastnn_port {
    /// Its name; it lives as long as the model. Outputs have none: an empty text.
    pub name: *const c_char,
    /// The type.
    pub dtype: fastnn_type,
    /// The number of axes.
    pub rank: usize,
    /// The sizes; -1 is open, as the first one, the rows.
    pub shape: [i64; FASTNN_MAX_RANK],
}

/// An array that is handed to a model.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct fastnn_array {
    /// `float` or `int32_t`, row by row.
    pub data: *const std::ffi::c_void,
    /// `FASTNN_FLOAT32` or `FASTNN_INT32`: what `data` holds. A number, since C may write any.
    pub dtype: u32,
    /// The number of axes, at most 8.
    pub rank: usize,
    /// `rank` sizes.
    pub shape: *const usize,
}

/// Memory for an output.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct fastnn_output {
    /// Room for `count` floats; whole numbers are given as floats.
    pub data: *mut f32,
    /// Exactly as many as the output has.
    pub count: usize,
}

/// Rows of a run.
const BATCH: usize = 256;

/// The version of fastnn, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn fastnn_version() -> *const c_char {
    const VERSION: &[u8] = concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes();
    VERSION.as_ptr().cast()
}

/// What the last call that failed on this thread had to say, with a line `hint: ...`; an empty text
/// before any. It stays until the next failure of this thread.
#[unsafe(no_mangle)]
pub extern "C" fn fastnn_last_error() -> *const c_char {
    guard::last_error()
}

/// Sets the number of threads that a call computes with, 1 to 256; by default that of the cores.
/// Results do not depend on it.
#[unsafe(no_mangle)]
pub extern "C" fn fastnn_set_threads(count: usize) {
    fastnn::pool::set_threads(count);
}

/// Reads a model file that `model.save("m.safetensors")` wrote. `*model` is set to null when that
/// fails. Give it back with `fastnn_free`.
///
/// # Safety
/// `path` is null or ends in a zero byte; `model` is null or points to writable memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fastnn_load(path: *const c_char, model: *mut *mut fastnn_model) -> fastnn_status {
    guarded(|| {
        if model.is_null() || !model.is_aligned() {
            return bad_pointer("model", "is null or not aligned");
        }
        // SAFETY: not null and aligned; the caller says it is writable.
        unsafe { model.write(std::ptr::null_mut()) };
        // SAFETY: as the caller says.
        let path = unsafe { text(path, "path") }?;
        let loaded = Model::load(Path::new(path))?;
        let name = |name: &str| CString::new(name.replace('\0', " ")).unwrap_or_default();
        let names = loaded.function().inputs().iter().map(|i| name(&i.name)).collect();
        let version = name(loaded.metadata().get(fastnn::save::VERSION).map_or("", String::as_str));
        let made = Box::new(fastnn_model { model: loaded, names, version });
        // SAFETY: as above.
        unsafe { model.write(Box::into_raw(made)) };
        Ok(())
    })
}

/// Gives a model back; null does nothing. No call may be using it.
///
/// # Safety
/// `model` is null, or came from `fastnn_load` and was not given back before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fastnn_free(model: *mut fastnn_model) {
    if !model.is_null() {
        let _ = guarded(|| {
            // SAFETY: the caller says that it is a model's.
            drop(unsafe { Box::from_raw(model) });
            Ok(())
        });
    }
}

/// The version of fastnn that wrote the model's file; null for a null model.
///
/// # Safety
/// `model` is null or a loaded model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fastnn_file_version(model: *const fastnn_model) -> *const c_char {
    // SAFETY: as the caller says.
    unsafe { model.as_ref() }.map_or(std::ptr::null(), |m| m.version.as_ptr())
}

/// How many inputs a model takes; 0 for a null model.
///
/// # Safety
/// `model` is null or a loaded model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fastnn_inputs(model: *const fastnn_model) -> usize {
    // SAFETY: as the caller says.
    unsafe { model.as_ref() }.map_or(0, |m| m.model.function().inputs().len())
}

/// How many outputs a model gives; 0 for a null model.
///
/// # Safety
/// `model` is null or a loaded model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fastnn_outputs(model: *const fastnn_model) -> usize {
    // SAFETY: as the caller says.
    unsafe { model.as_ref() }.map_or(0, |m| m.model.function().graph().outputs.len())
}

/// Says what input number `index` takes.
///
/// # Safety
/// `model` is null or a loaded model; `port` is null or points to writable memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fastnn_input(
    model: *const fastnn_model,
    index: usize,
    port: *mut fastnn_port,
) -> fastnn_status {
    guarded(|| {
        // SAFETY: as the caller says.
        let model = unsafe { reference(model, "model") }?;
        let inputs = model.model.function().inputs();
        let Some(input) = inputs.get(index) else { return no_such("inputs", inputs.len(), index) };
        // SAFETY: as the caller says.
        unsafe { describe(port, input.ty, model.names[index].as_ptr()) }
    })
}

/// Says what output number `index` gives.
///
/// # Safety
/// `model` is null or a loaded model; `port` is null or points to writable memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fastnn_output_port(
    model: *const fastnn_model,
    index: usize,
    port: *mut fastnn_port,
) -> fastnn_status {
    guarded(|| {
        // SAFETY: as the caller says.
        let model = unsafe { reference(model, "model") }?;
        let outputs = model.model.function().outputs();
        let Some(&ty) = outputs.get(index) else { return no_such("outputs", outputs.len(), index) };
        // SAFETY: as the caller says.
        unsafe { describe(port, ty, c"".as_ptr()) }
    })
}

/// Predicts for rows of a model with one input, into the memory for its first output.
///
/// `x` are `x_count` floats, row by row; of an input of whole numbers they are these as floats. `y`
/// has room for exactly as many floats as the output has, and does not overlap `x`. A model whose
/// input leaves a size besides the rows open finds it from the counts.
///
/// # Safety
/// `model` is null or a loaded model; `x` and `y` are null or point to that many floats, of which
/// nobody writes those of `x` nor uses those of `y` meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fastnn_predict(
    model: *const fastnn_model,
    x: *const f32,
    x_count: usize,
    rows: usize,
    y: *mut f32,
    y_count: usize,
) -> fastnn_status {
    guarded(|| {
        // SAFETY: as the caller says.
        let (model, x) = unsafe { (reference(model, "model")?, elements(x, x_count, "x")?) };
        // SAFETY: as the caller says; only checked here.
        let _ = unsafe { elements(y.cast_const(), y_count, "y") }?;
        apart(x.as_ptr().cast(), x_count, y, y_count)?;
        let function = model.model.function();
        let fixed = match function.inputs() {
            [input] if input.ty.dtype == DType::F32 && rows > 0 => {
                let sizes: Option<Vec<usize>> =
                    input.ty.shape.dims().iter().skip(1).map(|d| d.known().map(|n| n as usize)).collect();
                sizes.filter(|_| input.ty.shape.dims().first() == Some(&Dim::BATCH))
            }
            _ => None,
        };
        let found = match fixed {
            Some(inner) => {
                let sizes: Vec<usize> = std::iter::once(rows).chain(inner).collect();
                if sizes.iter().try_fold(1usize, |a, &n| a.checked_mul(n)) != Some(x_count) {
                    return bad_shape(format!(
                        "x has {x_count} values, {rows} rows of shape {:?} have others\n  hint: rows times the size of a row",
                        &sizes[1..]
                    ));
                }
                let ty = Ty { shape: Shape::new(&dims(&sizes)?)?, dtype: DType::F32 };
                let args = [Arg { ptr: x.as_ptr().cast_mut().cast(), ty }];
                let prediction = function.prediction(&args)?;
                if let [only] = prediction.types()
                    && only.dtype == DType::F32
                {
                    enough(only.shape.count(), y_count)?;
                    // SAFETY: `x` fills the input, `y` has room for the only output and lies apart.
                    unsafe { function.predict(prediction, &args, &[y.cast()], BATCH, &mut || Ok(())) }?;
                    return Ok(());
                }
                model.model.predict(x, rows)?
            }
            None => model.model.predict(x, rows)?,
        };
        enough(found.len(), y_count)?;
        // SAFETY: `y` has room for that many floats and is no memory of ours.
        unsafe { std::ptr::copy_nonoverlapping(found.as_ptr(), y, found.len()) };
        Ok(())
    })
}

/// Predicts for any number of inputs and outputs, and any open sizes.
///
/// `inputs` are `input_count` arrays in the order of the model's inputs, `outputs` `output_count`
/// places in the order of its outputs; a place with null `data` and count 0 is left out.
///
/// # Safety
/// `model` is null or a loaded model; the arrays are null or point to that many entries, whose
/// pointers are null or point to memory of the size that they say; nothing overlaps.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fastnn_run(
    model: *const fastnn_model,
    inputs: *const fastnn_array,
    input_count: usize,
    outputs: *const fastnn_output,
    output_count: usize,
) -> fastnn_status {
    guarded(|| {
        // SAFETY: as the caller says.
        let model = unsafe { reference(model, "model") }?;
        // SAFETY: as the caller says.
        let given = unsafe { elements(inputs, input_count, "inputs") }?;
        // SAFETY: as the caller says.
        let places = unsafe { elements(outputs, output_count, "outputs") }?;
        let function = model.model.function();
        if given.len() != function.inputs().len() || places.len() != function.graph().outputs.len() {
            return bad_shape(format!(
                "{} inputs and {} outputs are given, the model has {} and {} ({})\n  hint: see fastnn_inputs and fastnn_outputs",
                given.len(),
                places.len(),
                function.inputs().len(),
                function.graph().outputs.len(),
                function.signature()
            ));
        }
        let mut held = Vec::with_capacity(given.len());
        for (array, input) in given.iter().zip(function.inputs()) {
            // SAFETY: as the caller says.
            held.push(unsafe { taken(array, input.ty.dtype, &input.name) }?);
        }
        let args: Vec<Arg> = held.iter().map(|(storage, ty)| Arg { ptr: storage.ptr(), ty: *ty }).collect();
        // SAFETY: the arrays were copied into memory of their types, which lives until the end.
        let values = unsafe { function.call(&args) }?;
        for (index, ((_, value), place)) in values.iter().zip(places).enumerate() {
            if place.data.is_null() && place.count == 0 {
                continue;
            }
            let found = value.numbers();
            // SAFETY: as the caller says; only checked here.
            let _ = unsafe { elements(place.data.cast_const(), place.count, "an output") }?;
            enough(found.len(), place.count)
                .map_err(|Refusal(s, t)| Refusal(s, format!("output {index}: {t}")))?;
            // SAFETY: there is room for that many floats, and `found` is our own memory.
            unsafe { std::ptr::copy_nonoverlapping(found.as_ptr(), place.data, found.len()) };
        }
        Ok(())
    })
}

/// A copy of an array from C, as the input takes it.
///
/// # Safety
/// Its pointers are null or point to memory of the size that it says.
unsafe fn taken(array: &fastnn_array, wanted: DType, name: &str) -> Result<(Storage, Ty), Refusal> {
    if array.rank > FASTNN_MAX_RANK {
        return bad_shape(format!(
            "input '{name}' has {} axes, at most {FASTNN_MAX_RANK} are taken\n  hint: reshape it",
            array.rank
        ));
    }
    // SAFETY: as the caller says.
    let sizes = unsafe { elements(array.shape, array.rank, "a shape") }?;
    let Some(count) = sizes.iter().try_fold(1usize, |a, &n| a.checked_mul(n)) else {
        return bad_shape(format!(
            "input '{name}' has a shape beyond memory: {sizes:?}\n  hint: check the sizes"
        ));
    };
    let ty = Ty { shape: Shape::new(&dims(sizes)?)?, dtype: wanted };
    let storage = Storage::zeroed(ty)?;
    let given = match array.dtype {
        0 => fastnn_type::FASTNN_FLOAT32,
        1 => fastnn_type::FASTNN_INT32,
        other => {
            return Err(Refusal(
                fastnn_status::FASTNN_BAD_DATA,
                format!("input '{name}' has the type {other}\n  hint: FASTNN_FLOAT32 or FASTNN_INT32"),
            ));
        }
    };
    match (given, wanted) {
        (fastnn_type::FASTNN_FLOAT32, DType::F32) => {
            // SAFETY: as the caller says.
            let from = unsafe { elements(array.data.cast::<f32>(), count, "the data of an input") }?;
            // SAFETY: the storage was made for that many floats.
            unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), storage.ptr().cast::<f32>(), count) };
        }
        (fastnn_type::FASTNN_INT32, DType::I32) => {
            // SAFETY: as the caller says.
            let from = unsafe { elements(array.data.cast::<i32>(), count, "the data of an input") }?;
            // SAFETY: the storage was made for that many integers.
            unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), storage.ptr().cast::<i32>(), count) };
        }
        (fastnn_type::FASTNN_INT32, _) => {
            // SAFETY: as the caller says.
            let from = unsafe { elements(array.data.cast::<i32>(), count, "the data of an input") }?;
            write(&storage, from.iter().map(|&v| f64::from(v)), name)?;
        }
        _ => {
            // SAFETY: as the caller says.
            let from = unsafe { elements(array.data.cast::<f32>(), count, "the data of an input") }?;
            write(&storage, from.iter().map(|&v| f64::from(v)), name)?;
        }
    }
    Ok((storage, ty))
}

/// Numbers as the elements of a new storage, which has room for all of them. Whole numbers that its
/// type does not hold are refused, and truth values are all but 0.
fn write(storage: &Storage, numbers: impl Iterator<Item = f64>, name: &str) -> Result<(), Refusal> {
    let dtype = storage.dtype();
    for (at, v) in numbers.take(storage.len()).enumerate() {
        if let Some((least, most)) = dtype.whole()
            && !(v.fract() == 0.0 && (least as f64..=most as f64).contains(&v))
        {
            return Err(Refusal(
                fastnn_status::FASTNN_BAD_DATA,
                format!(
                    "input '{name}' takes whole numbers ({least} to {most}), value {at} is {v}\n  hint: give class or word numbers"
                ),
            ));
        }
        let element = encode(v, dtype)?;
        let bytes = element.bytes(dtype);
        // SAFETY: element `at` is one of the storage's, which nobody else has yet.
        unsafe { storage.ptr().add(at * bytes.len()).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
    Ok(())
}

fn dims(sizes: &[usize]) -> Result<Vec<Dim>, Refusal> {
    let one = |&n: &usize| match i64::try_from(n) {
        Ok(n) => Ok(Dim::new(n)),
        Err(_) => bad_shape(format!("{n} is no size\n  hint: check the sizes")),
    };
    sizes.iter().map(one).collect()
}

fn enough(wanted: usize, given: usize) -> Result<(), Refusal> {
    if wanted == given {
        return Ok(());
    }
    bad_shape(format!(
        "there is room for {given} values, the output has {wanted}\n  hint: rows times the size of an output row"
    ))
}

fn apart(x: *const u8, x_count: usize, y: *const f32, y_count: usize) -> Result<(), Refusal> {
    let (x, y) = (x.addr(), y.addr());
    if x_count > 0 && y_count > 0 && x < y + 4 * y_count && y < x + 4 * x_count {
        return bad_pointer("y", "overlaps x");
    }
    Ok(())
}

fn no_such<T>(what: &str, count: usize, index: usize) -> Result<T, Refusal> {
    bad_shape(format!("the model has {count} {what}, number {index} is none\n  hint: they count from 0"))
}

/// # Safety
/// `port` is null, misaligned, or points to writable memory.
unsafe fn describe(port: *mut fastnn_port, ty: Ty, name: *const c_char) -> Result<(), Refusal> {
    if port.is_null() || !port.is_aligned() {
        return bad_pointer("port", "is null or not aligned");
    }
    let dtype = match ty.dtype {
        DType::F32 => fastnn_type::FASTNN_FLOAT32,
        DType::I32 => fastnn_type::FASTNN_INT32,
        _ => fastnn_type::FASTNN_OTHER,
    };
    let mut shape = [0; FASTNN_MAX_RANK];
    for (to, dim) in shape.iter_mut().zip(ty.shape.dims()) {
        *to = dim.known().unwrap_or(-1);
    }
    // SAFETY: not null and aligned; the caller says that it is writable.
    unsafe { port.write(fastnn_port { name, dtype, rank: ty.shape.rank(), shape }) };
    Ok(())
}
