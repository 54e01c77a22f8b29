//! What every call goes through: no panic crosses into C, no pointer is used unchecked, and the
//! message of the last failure is kept for the thread that met it.

use fastnn::error::Error;
use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a call ended. `fastnn_last_error` has the message of a failure.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum fastnn_status {
    /// It did what it was asked.
    FASTNN_OK = 0,
    /// A pointer is null, not aligned for its type, or a text is no UTF-8.
    FASTNN_BAD_POINTER = 1,
    /// Sizes do not fit the model or each other.
    FASTNN_BAD_SHAPE = 2,
    /// Values are not what the model takes.
    FASTNN_BAD_DATA = 3,
    /// The file is damaged, foreign, or holds no inference graph.
    FASTNN_BAD_FILE = 4,
    /// The file cannot be read.
    FASTNN_IO = 5,
    /// There is not enough memory.
    FASTNN_NO_MEMORY = 6,
    /// A bug of fastnn.
    FASTNN_INTERNAL = 7,
}

use fastnn_status::*;

thread_local! {
    static LAST: RefCell<CString> = RefCell::new(CString::default());
}

/// A refusal before the core is asked.
pub(crate) struct Refusal(pub(crate) fastnn_status, pub(crate) String);

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let status = match &error {
            Error::Shape(_) => FASTNN_BAD_SHAPE,
            Error::Data(_) | Error::Trace(_) => FASTNN_BAD_DATA,
            Error::Format(_) => FASTNN_BAD_FILE,
            Error::Io(_) | Error::System(..) => FASTNN_IO,
            Error::Memory(_) => FASTNN_NO_MEMORY,
            Error::Device(_) | Error::Interrupted | Error::Internal(_) => FASTNN_INTERNAL,
        };
        let hint = match status {
            FASTNN_IO => "check the path and who may read it",
            FASTNN_NO_MEMORY => "give fewer rows at once",
            FASTNN_BAD_FILE => "the file is damaged, or a newer fastnn wrote it",
            _ => "see what the call takes in fastnn.h",
        };
        let text = error.to_string();
        let text = if text.contains("hint: ") { text } else { format!("{text}\n  hint: {hint}") };
        Refusal(status, text)
    }
}

/// A null or misaligned pointer, by the name of the argument.
pub(crate) fn bad_pointer<T>(name: &str, what: &str) -> Result<T, Refusal> {
    Err(Refusal(FASTNN_BAD_POINTER, format!("{name} {what}\n  hint: see fastnn.h for what it is")))
}

pub(crate) fn bad_shape<T>(text: String) -> Result<T, Refusal> {
    Err(Refusal(FASTNN_BAD_SHAPE, text))
}

/// Runs a call; a panic in it becomes `FASTNN_INTERNAL`.
pub(crate) fn guarded(call: impl FnOnce() -> Result<(), Refusal>) -> fastnn_status {
    let ended = catch_unwind(AssertUnwindSafe(call));
    let (status, text) = match ended {
        Ok(Ok(())) => return FASTNN_OK,
        Ok(Err(Refusal(status, text))) => (status, text),
        Err(payload) => (FASTNN_INTERNAL, format!("{}; please report this", said(payload.as_ref()))),
    };
    // A thread that is ending has no place for a message any more.
    let _ = LAST.try_with(|last| {
        let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = text;
        }
    });
    status
}

fn said(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic")
}

/// The message of the last failure on this thread.
pub(crate) fn last_error() -> *const c_char {
    LAST.try_with(|last| last.try_borrow().map_or(c"".as_ptr(), |text| text.as_ptr())).unwrap_or(c"".as_ptr())
}

/// A reference from C.
///
/// # Safety
/// A pointer that is neither null nor misaligned points to a live `T`.
pub(crate) unsafe fn reference<'a, T>(pointer: *const T, name: &str) -> Result<&'a T, Refusal> {
    if !pointer.is_aligned() {
        return bad_pointer(name, "is not aligned for its type");
    }
    // SAFETY: the caller says so.
    match unsafe { pointer.as_ref() } {
        Some(value) => Ok(value),
        None => bad_pointer(name, "is null"),
    }
}

/// The elements of an array from C; none of it is read where there are none.
///
/// # Safety
/// A pointer that is neither null nor misaligned points to `count` elements that nobody writes.
pub(crate) unsafe fn elements<'a, T>(
    pointer: *const T,
    count: usize,
    name: &str,
) -> Result<&'a [T], Refusal> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return bad_pointer(name, "is null");
    }
    if !pointer.is_aligned() {
        return bad_pointer(name, "is not aligned for its type");
    }
    if count > isize::MAX as usize / size_of::<T>().max(1) {
        return bad_shape(format!("{name} has {count} elements, more than memory\n  hint: check the count"));
    }
    // SAFETY: checked above; the rest is what the caller says.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// A text from C.
///
/// # Safety
/// A pointer that is not null points to bytes that end in a zero.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str, Refusal> {
    if pointer.is_null() {
        return bad_pointer(name, "is null");
    }
    // SAFETY: the caller says so.
    match unsafe { CStr::from_ptr(pointer) }.to_str() {
        Ok(text) => Ok(text),
        Err(_) => bad_pointer(name, "is no UTF-8"),
    }
}
