//! Bindings of finished kernels: where a text declares one, and the text with its elements read and written
//! by functions, so that no template needs to know how they lie.

use fastnn::error::{Error, Result};
use std::fmt::Write as _;

/// The declaration of a binding, which is a line of its own.
pub(crate) struct Declared {
    line: String,
    access: String,
    pub(crate) name: String,
    pub(crate) element: String,
}

impl Declared {
    /// That of binding `at`.
    pub(crate) fn find(text: &str, at: usize) -> Result<Declared> {
        let bug = || Error::Internal(format!("a kernel has no declaration of binding {at}"));
        let begin = text.find(&format!("@group(0) @binding({at}) var<storage, ")).ok_or_else(bug)?;
        let line = text[begin..].lines().next().ok_or_else(bug)?.to_owned();
        let rest = line.split("var<storage, ").nth(1).ok_or_else(bug)?;
        let (access, rest) = rest.split_once("> ").ok_or_else(bug)?;
        let (name, rest) = rest.split_once(": array<").ok_or_else(bug)?;
        let element = rest.strip_suffix(">;").ok_or_else(bug)?;
        let [access, name, element] = [access, name, element].map(str::to_owned);
        Ok(Declared { line, access, name, element })
    }

    /// Bytes of an element.
    pub(crate) fn size(&self) -> usize {
        let one = if self.element.contains("f16") { 2 } else { 4 };
        if self.element.starts_with("vec4") { 4 * one } else { one }
    }

    /// A declaration like it, of another number and name. Numbers that are still to come are told apart
    /// from those given anew.
    pub(crate) fn renumbered(&self, at: usize, name: &str) -> String {
        format!("@group(0) @binding(new {at}) var<storage, {}> {name}: array<{}>;", self.access, self.element)
    }

    /// Its line, with elements of another type.
    pub(crate) fn holding(&self, element: &str) -> String {
        self.line.replace(&format!("array<{}>", self.element), &format!("array<{element}>"))
    }

    /// Its line in the text.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    /// The text with `lines` for the declaration, and elements read and written by functions of these names.
    pub(crate) fn through(&self, text: &str, lines: &str, load: &str, store: &str) -> Result<String> {
        let (before, after) = text.split_once(&format!("{}\n", self.line)).ok_or_else(|| {
            Error::Internal(format!("'{}' is not declared in a line of its own", self.name))
        })?;
        Ok(format!(
            "{}{lines}{}",
            through(before, &self.name, load, store)?,
            through(after, &self.name, load, store)?
        ))
    }
}

/// The text with the elements of `name` read and written by functions.
fn through(text: &str, name: &str, load: &str, store: &str) -> Result<String> {
    let bug = |what: &str| Error::Internal(format!("'{name}' {what} where functions read and write it"));
    let mut out = String::new();
    let mut rest = text;
    let open = format!("{name}[");
    while let Some(at) = rest.find(&open) {
        let is_longer = |c: char| c == '_' || c.is_ascii_alphanumeric();
        if rest[..at].ends_with(is_longer) {
            out.push_str(&rest[..at + open.len()]);
            rest = &rest[at + open.len()..];
            continue;
        }
        out.push_str(&rest[..at]);
        if out.ends_with('&') {
            return Err(bug("is changed by atomics"));
        }
        let inner = &rest[at + open.len()..];
        let end = closing(inner).ok_or_else(|| bug("has no closing bracket"))?;
        let place = through(&inner[..end], name, load, store)?;
        rest = &inner[end + 1..];
        let next = rest.trim_start();
        if next.starts_with('=') && !next.starts_with("==") {
            let after = &next[1..];
            let stop = after.find(';').ok_or_else(|| bug("has no end of its assignment"))?;
            let value = through(after[..stop].trim(), name, load, store)?;
            let _ = write!(out, "{store}({place}, {value})");
            rest = &after[stop..];
        } else if ["+=", "-=", "*=", "/=", "++", "--"].iter().any(|sign| next.starts_with(sign)) {
            return Err(bug("is changed in place"));
        } else {
            let _ = write!(out, "{load}({place})");
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the bracket closes that stands open before a text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' if depth == 0 => return Some(at),
            ']' => depth -= 1,
            _ => {}
        }
    }
    None
}
