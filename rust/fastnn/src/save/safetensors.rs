//! The safetensors container: 8 bytes of header length, a JSON header, the data. We write the
//! header padded so that data starts on 64 bytes, wide elements first, then by name; we read any
//! valid file, and convert number types that we do not store to float32 and int32.

use super::Tensors;
use super::json;
use super::replace::{Replacement, odd_kind};
use crate::buffer::Buffer;
use crate::error::{Error, Result, shown, visible};
use crate::graph::Ty;
use crate::shape::{DType, Shape};
use crate::tensor::Storage;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File as Handle};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

/// The longest header that readers of the format accept.
const LONGEST_HEADER: u64 = 100_000_000;
const ALIGN: usize = 64;
/// Tensors read from one file.
const MOST_TENSORS: usize = 500_000;
/// Bytes that the description of one tensor may take in memory.
const LARGEST_ENTRY: usize = 16 << 10;
const METADATA: &str = "__metadata__";
/// Elements converted at a time.
const BLOCK: usize = 1 << 16;

/// A tensor to write.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name in the file.
    pub name: String,
    /// Shape and type.
    pub ty: Ty,
    /// The cells.
    pub storage: Arc<Storage>,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct File {
    /// Tensors by name.
    pub tensors: Tensors,
    /// The free-form metadata.
    pub metadata: BTreeMap<String, String>,
}

fn format_error<T>(text: String) -> Result<T> {
    Err(Error::Format(text))
}

/// What the system says about a file, with its number where there is one.
pub(super) fn io_error(what: &str, path: &Path, error: &io::Error) -> Error {
    let text = format!("{what} {}: {error}", shown(path));
    match error.raw_os_error() {
        Some(code) => Error::System(code, text.replace(&format!(" (os error {code})"), "")),
        None => Error::Io(text),
    }
}

/// Replaces a file whole or not at all; see [`Replacement`].
pub fn write(path: &Path, entries: &[Entry], metadata: &BTreeMap<String, String>) -> Result<()> {
    let new = Replacement::begin(path)?;
    write_whole(new.file(), entries, metadata).map_err(|error| io_error("cannot write", path, &error))?;
    new.commit()
}

fn write_whole(handle: &Handle, entries: &[Entry], metadata: &BTreeMap<String, String>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 18, handle);
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    let narrow = |entry: &Entry| match entry.ty.dtype {
        DType::Bool => 3,
        dtype => 4 - dtype.size(),
    };
    sorted.sort_by(|a, b| (narrow(a), &a.name).cmp(&(narrow(b), &b.name)));
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    let mut end = 0;
    for entry in &sorted {
        let begin = end;
        let size = if entry.ty.dtype == DType::Bool { 1 } else { entry.ty.dtype.size() };
        end += entry.ty.shape.count() * size;
        let description = json!({
            "dtype": code_of(entry.ty.dtype),
            "shape": &entry.ty.shape.sizes()[..],
            "data_offsets": [begin, end],
        });
        if entry.name == "__metadata__" || header.insert(entry.name.clone(), description).is_some() {
            return Err(io::Error::other(format!("the tensor name '{}' is taken", visible(&entry.name))));
        }
    }
    let mut text = serde_json::to_vec(&Value::Object(header))?;
    text.resize((text.len() + 8).next_multiple_of(ALIGN) - 8, b' ');
    if text.len() as u64 > LONGEST_HEADER {
        return Err(io::Error::other(format!(
            "the header takes {} bytes, the format allows {LONGEST_HEADER}",
            text.len()
        )));
    }
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(&text)?;
    for entry in sorted {
        write_cells(&mut out, entry)?;
    }
    out.flush()
}

fn write_cells(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    let (whole, size) = (entry.storage.bytes(), entry.ty.dtype.size());
    let mut block = vec![0; (BLOCK * size).min(whole)];
    for start in (0..whole).step_by(BLOCK * size) {
        // Copied out first: others may be writing to the memory that a tensor shares.
        let bytes = &mut block[..(BLOCK * size).min(whole - start)];
        entry.storage.read(start, bytes);
        if entry.ty.dtype == DType::Bool {
            let count = bytes.len() / 4;
            for i in 0..count {
                let float =
                    f32::from_ne_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]]);
                bytes[i] = u8::from(float != 0.0);
            }
            out.write_all(&bytes[..count])?;
            continue;
        }
        if cfg!(target_endian = "big") {
            bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        out.write_all(bytes)?;
    }
    Ok(())
}

fn code_of(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "F32",
        DType::I32 => "I32",
        DType::Bool => "BOOL",
        DType::BF16 => "BF16",
        DType::F16 => "F16",
        DType::I8 => "I8",
        DType::U8 => "U8",
    }
}

/// Reads a file. Errors with `Io` when the system refuses, with `Format` when it is not a whole
/// and consistent safetensors file.
pub fn read(path: &Path) -> Result<File> {
    let fail = |e: io::Error| io_error("cannot read", path, &e);
    let mut options = Handle::options();
    options.read(true);
    // A pipe is not waited for, should one take the place of the file meanwhile.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let refuse = |meta: &fs::Metadata| match odd_kind(meta) {
        None => Ok(()),
        Some(kind) => Err(Error::Io(format!(
            "cannot read {}: it is {kind}, wanted a file\n  hint: give the path of the file itself",
            shown(path)
        ))),
    };
    refuse(&fs::metadata(path).map_err(fail)?)?;
    let mut handle = options.open(path).map_err(fail)?;
    let length = handle.metadata().map_err(fail)?;
    refuse(&length)?;
    read_from(&mut handle, length.len()).map_err(|error| match error {
        Error::Format(text) => Error::Format(format!("{}: {text}", shown(path))),
        other => other,
    })
}

/// Reads from a source of `length` bytes.
pub fn read_from(source: &mut (impl Read + Seek), length: u64) -> Result<File> {
    let (header, start) = read_header(source, length)?;
    let mut file = File::default();
    let mut layouts = Vec::new();
    // A tensor's entry is read by itself and let go: memory grows with the tensors, not the text.
    let budget = |name: &str| if name == METADATA { json::BUDGET } else { LARGEST_ENTRY };
    json::members(&header, "header", MOST_TENSORS, budget, |name, value| {
        if name == METADATA {
            file.metadata = metadata_of(value)?;
        } else {
            layouts.push(Layout::parse(name, &value)?);
        }
        Ok(())
    })?;
    drop(header);
    check_layout(&mut layouts, length - start)?;
    for layout in layouts {
        let at = start + layout.begin;
        source.seek(SeekFrom::Start(at)).map_err(|e| Error::Io(format!("seeking failed: {e}")))?;
        let value = layout.load(source)?;
        file.tensors.insert(layout.name, value);
    }
    Ok(file)
}

fn read_header(source: &mut impl Read, length: u64) -> Result<(Vec<u8>, u64)> {
    let failed = |e: io::Error| Error::Format(format!("the file ends early: {e}"));
    if length < 8 {
        return format_error(format!("the file has {length} bytes; a safetensors file has at least 8"));
    }
    let mut size = [0; 8];
    source.read_exact(&mut size).map_err(failed)?;
    let bytes = u64::from_le_bytes(size);
    if bytes > LONGEST_HEADER || bytes > length - 8 {
        return format_error(format!(
            "not a safetensors file: the first bytes {size:02x?} would mean a header of {bytes} bytes, the file has {length}"
        ));
    }
    let mut header = crate::buffer::zeros(bytes as usize)?;
    source.read_exact(&mut header).map_err(failed)?;
    if header.first() != Some(&b'{') {
        return format_error("not a safetensors file: the header does not begin with '{'".into());
    }
    Ok((header, bytes + 8))
}

fn metadata_of(value: Value) -> Result<BTreeMap<String, String>> {
    let Value::Object(map) = value else { return format_error("__metadata__ is not an object".into()) };
    let mut out = BTreeMap::new();
    for (key, value) in map {
        let Value::String(text) = value else {
            return format_error(format!("__metadata__ '{key}' is not a string"));
        };
        out.insert(key, text);
    }
    Ok(out)
}

/// One tensor as the header describes it.
struct Layout {
    name: String,
    shape: Shape,
    code: Code,
    begin: u64,
    end: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    Bf16,
    F32,
    F64,
}

impl Code {
    fn parse(name: &str) -> Option<Code> {
        Some(match name {
            "BOOL" => Code::Bool,
            "U8" => Code::U8,
            "I8" => Code::I8,
            "U16" => Code::U16,
            "I16" => Code::I16,
            "U32" => Code::U32,
            "I32" => Code::I32,
            "U64" => Code::U64,
            "I64" => Code::I64,
            "F16" => Code::F16,
            "BF16" => Code::Bf16,
            "F32" => Code::F32,
            "F64" => Code::F64,
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Code::Bool | Code::U8 | Code::I8 => 1,
            Code::U16 | Code::I16 | Code::F16 | Code::Bf16 => 2,
            Code::U32 | Code::I32 | Code::F32 => 4,
            Code::U64 | Code::I64 | Code::F64 => 8,
        }
    }

    fn dtype(self) -> DType {
        match self {
            Code::Bool => DType::Bool,
            Code::F16 => DType::F16,
            Code::Bf16 => DType::BF16,
            Code::I8 => DType::I8,
            Code::U8 => DType::U8,
            Code::F32 | Code::F64 => DType::F32,
            _ => DType::I32,
        }
    }

    /// The cell of one element, `None` when it does not fit.
    fn cell(self, b: &[u8]) -> Option<f32> {
        let two = || u16::from_le_bytes([b[0], b[1]]);
        let four = || u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        let eight = || u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
        let int = |i: i32| f32::from_bits(i as u32);
        Some(match self {
            Code::Bool if b[0] <= 1 => f32::from(b[0]),
            Code::Bool => return None,
            Code::U16 => int(i32::from(two())),
            Code::I16 => int(i32::from(two() as i16)),
            Code::U32 => int(i32::try_from(four()).ok()?),
            Code::I32 | Code::F32 => f32::from_bits(four()),
            Code::U64 => int(i32::try_from(eight()).ok()?),
            Code::I64 => int(i32::try_from(eight() as i64).ok()?),
            Code::F64 => f64::from_bits(eight()) as f32,
            Code::U8 | Code::I8 | Code::F16 | Code::Bf16 => return None,
        })
    }
}

impl Layout {
    fn parse(name: String, value: &Value) -> Result<Layout> {
        let wrong = |what: &str| Error::Format(format!("tensor '{}': {what}", visible(&name)));
        let map = value.as_object().ok_or_else(|| wrong("its entry is not an object"))?;
        if let Some(key) = map.keys().find(|k| !matches!(k.as_str(), "dtype" | "shape" | "data_offsets")) {
            return Err(wrong(&format!("unknown key '{}'", visible(key))));
        }
        let dtype = map.get("dtype").and_then(Value::as_str).ok_or_else(|| wrong("it has no dtype"))?;
        let code = Code::parse(dtype).ok_or_else(|| {
            wrong(&format!("dtype '{}' is not supported\n  hint: convert it to F32", visible(dtype)))
        })?;
        let sizes = map.get("shape").and_then(Value::as_array).ok_or_else(|| wrong("it has no shape"))?;
        let mut dims = Vec::with_capacity(sizes.len().min(16));
        for size in sizes {
            let size = size.as_u64().and_then(|s| usize::try_from(s).ok());
            dims.push(size.ok_or_else(|| wrong("its shape has an entry that is no size"))?);
        }
        let shape = Shape::new(&dims).map_err(|e| wrong(&e.to_string()))?;
        let offsets = map.get("data_offsets").and_then(Value::as_array).map(Vec::as_slice);
        let Some([begin, end]) = offsets else { return Err(wrong("it has no pair of data_offsets")) };
        let (Some(begin), Some(end)) = (begin.as_u64(), end.as_u64()) else {
            return Err(wrong("its data_offsets are no positions"));
        };
        let wanted = (shape.count() as u64).checked_mul(code.size() as u64);
        if end < begin || wanted != Some(end - begin) {
            return Err(wrong(&format!("shape {shape} of {dtype} does not take the bytes {begin} to {end}")));
        }
        Ok(Layout { name, shape, code, begin, end })
    }

    fn load(&self, source: &mut impl Read) -> Result<(Ty, Arc<Storage>)> {
        let ended = |e: io::Error| {
            Error::Format(format!("tensor '{}': the file ends early: {e}", visible(&self.name)))
        };
        let count = self.shape.count();
        let dtype = self.code.dtype();
        let mut buffer = Buffer::zeroed(count * dtype.size())?;
        if self.code.size() == dtype.size() {
            // The elements are ours already.
            let bytes = buffer.as_mut_slice::<u8>();
            source.read_exact(bytes).map_err(ended)?;
            if cfg!(target_endian = "big") {
                bytes.chunks_exact_mut(dtype.size()).for_each(<[u8]>::reverse);
            }
        } else {
            let size = self.code.size();
            let mut bytes = vec![0; size * count.min(BLOCK)];
            for block in buffer.as_mut_slice::<f32>().chunks_mut(BLOCK) {
                let bytes = &mut bytes[..size * block.len()];
                source.read_exact(bytes).map_err(ended)?;
                for (cell, b) in block.iter_mut().zip(bytes.chunks_exact(size)) {
                    *cell = self.code.cell(b).ok_or_else(|| {
                        Error::Format(format!(
                            "tensor '{}': a value of type {:?} does not fit {}",
                            visible(&self.name),
                            self.code,
                            dtype.name()
                        ))
                    })?;
                }
            }
        }
        Ok((Ty { shape: self.shape, dtype }, Arc::new(Storage::new(buffer, dtype))))
    }
}

/// The tensors must cover the data exactly: no overlap, no hole, nothing behind.
fn check_layout(layouts: &mut [Layout], available: u64) -> Result<()> {
    layouts.sort_by_key(|l| (l.begin, l.end));
    let mut end = 0;
    for layout in layouts.iter() {
        if layout.begin != end {
            let what =
                if layout.begin < end { "overlaps the tensor before it" } else { "leaves a hole before it" };
            return format_error(format!(
                "tensor '{}' begins at byte {}, {what} (that ends at {end})",
                visible(&layout.name),
                layout.begin
            ));
        }
        end = layout.end;
    }
    if end != available {
        return format_error(format!(
            "the tensors take {end} bytes, the file has {available}\n  hint: it was cut short or added to, copy it again"
        ));
    }
    Ok(())
}
