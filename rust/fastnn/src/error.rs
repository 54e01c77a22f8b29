//! F0. One error enum for the whole core. Every message says what, got, wanted, where, and ends
//! in a hint where one helps. A binding maps each variant to one exception class.

use std::borrow::Cow;
use std::path::Path;
use thiserror::Error;

/// What can go wrong in the core.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Error {
    /// Shapes that do not fit together, or an attribute that does not fit a shape.
    #[error("{0}")]
    Shape(String),
    /// Wrong values or wrong kinds of data.
    #[error("{0}")]
    Data(String),
    /// A traced (data-less) tensor was read, or a trace was misused.
    #[error("{0}")]
    Trace(String),
    /// A device is missing or too small for the plan.
    #[error("{0}")]
    Device(String),
    /// A file is truncated, edited or foreign.
    #[error("{0}")]
    Format(String),
    /// Reading or writing a file failed.
    #[error("{0}")]
    Io(String),
    /// The operating system refused something, with its error number.
    #[error("{1}")]
    System(i32, String),
    /// An allocation was refused; the message has the bytes.
    #[error("{0}")]
    Memory(String),
    /// The caller asked to stop (Ctrl-C, or a callback).
    #[error("interrupted")]
    Interrupted,
    /// A bug of ours.
    #[error("{0}; please report this")]
    Internal(String),
}

/// The core's result type.
pub type Result<T> = std::result::Result<T, Error>;

/// `Err(Error::Shape(format!(...)))`.
#[macro_export]
macro_rules! shape_err {
    ($($arg:tt)*) => { Err($crate::error::Error::Shape(format!($($arg)*))) };
}

/// `Err(Error::Data(format!(...)))`.
#[macro_export]
macro_rules! data_err {
    ($($arg:tt)*) => { Err($crate::error::Error::Data(format!($($arg)*))) };
}

/// A name as it may stand in a message: control, bidirectional and invisible characters are
/// escaped (`\n`, `\x1b`, `\u202e`), so that no name rewrites what stands around it.
pub fn visible(name: &str) -> Cow<'_, str> {
    if name.chars().all(is_visible) {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        match c {
            c if is_visible(c) => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x100 => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if (c as u32) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    Cow::Owned(out)
}

/// A path as it may stand in a message; see [`visible`].
pub fn shown(path: &Path) -> String {
    visible(&path.to_string_lossy()).into_owned()
}

fn is_visible(c: char) -> bool {
    let hidden = matches!(c as u32,
        0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e
        | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb | 0xe000..=0xf8ff | 0xe0000..=0xe0fff | 0xf0000..);
    !c.is_control() && !hidden && (c == ' ' || !c.is_whitespace())
}
