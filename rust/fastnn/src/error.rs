//! F0. One error enum for the whole core. Every message says what, got, wanted, where, and ends
//! in a hint where one helps. A binding maps each variant to one exception class.

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
