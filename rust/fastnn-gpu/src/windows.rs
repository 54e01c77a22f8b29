//! Values larger than a binding: a kernel binds them as several windows, and its text reads and writes
//! their elements through functions that choose the window. Done to finished kernels, so that no template
//! needs to know.

use crate::dispatch::{Kernel, Limits, Use};
use fastnn::error::{Error, Result};
use std::fmt::Write as _;

/// A kernel and what it binds (buffer, offset, bytes), with every binding within the limits.
pub(crate) fn windowed(
    kernel: Kernel,
    bindings: Vec<[usize; 3]>,
    limits: &Limits,
) -> Result<(Kernel, Vec<[usize; 3]>)> {
    if bindings.iter().all(|b| b[2] <= limits.binding_bytes) {
        return Ok((kernel, bindings));
    }
    let window = limits.binding_bytes / limits.alignment * limits.alignment;
    let (mut text, mut uses, mut bound) = (kernel.wgsl.clone(), vec![], vec![]);
    for (at, (&[buffer, offset, bytes], &usage)) in bindings.iter().zip(&kernel.bindings).enumerate() {
        let declared = Declared::find(&text, at)?;
        let count = if bytes <= limits.binding_bytes { 1 } else { bytes.div_ceil(window.max(1)) };
        let first = bound.len();
        for k in 0..count {
            let size = if count == 1 { bytes } else { window.min(bytes - k * window) };
            bound.push([buffer, offset + k * window, size]);
            uses.push(usage);
        }
        // Numbers of bindings that are still to come are told apart from those given anew.
        text = if count == 1 {
            text.replace(&declared.line, &declared.renumbered(first, &declared.name))
        } else {
            declared.split(&text, first, count, window, usage)?
        };
    }
    if window == 0 || bound.len() > limits.storage_buffers {
        return Err(Error::Device(format!(
            "{} reads and writes values larger than the {} bytes of a binding on the device: {} bindings, which \
             allows {}\n  hint: use a smaller batch",
            kernel.name,
            limits.binding_bytes,
            bound.len(),
            limits.storage_buffers
        )));
    }
    let wgsl = text.replace("@binding(new ", "@binding(");
    Ok((Kernel { wgsl, bindings: uses, ..kernel }, bound))
}

/// The declaration of a binding.
struct Declared {
    line: String,
    access: String,
    name: String,
    element: String,
}

impl Declared {
    fn find(text: &str, at: usize) -> Result<Declared> {
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

    fn renumbered(&self, at: usize, name: &str) -> String {
        format!("@group(0) @binding(new {at}) var<storage, {}> {name}: array<{}>;", self.access, self.element)
    }

    /// The text with this binding as `count` windows of so many bytes.
    fn split(&self, text: &str, first: usize, count: usize, window: usize, usage: Use) -> Result<String> {
        let size = if self.element.starts_with("vec4") { 16 } else { 4 };
        let (each, name, element) = (window / size, &self.name, &self.element);
        let mut declared = String::new();
        let (mut loads, mut stores) = (String::new(), String::new());
        for k in 0..count {
            let _ = writeln!(declared, "{}", self.renumbered(first + k, &format!("{name}_window{k}")));
            let test = if k + 1 < count { format!("if (i < {}u) ", (k + 1) * each) } else { String::new() };
            let place = format!("{name}_window{k}[i - {}u]", k * each);
            let _ = writeln!(loads, "  {test}{{ return {place}; }}");
            let _ = writeln!(stores, "  {test}{{ {place} = v; return; }}");
        }
        let _ = write!(declared, "fn {name}_load(i: u32) -> {element} {{\n{loads}}}\n");
        if usage == Use::ReadWrite {
            let _ = write!(declared, "fn {name}_store(i: u32, v: {element}) {{\n{stores}}}\n");
        }
        let (before, after) = text
            .split_once(&format!("{}\n", self.line))
            .ok_or_else(|| Error::Internal(format!("'{name}' is not declared in a line of its own")))?;
        Ok(format!("{}{declared}{}", self.through(before)?, self.through(after)?))
    }

    /// The text with elements read and written through functions.
    fn through(&self, text: &str) -> Result<String> {
        let bug =
            |what: &str| Error::Internal(format!("'{}' {what} where it is bound in windows", self.name));
        let mut out = String::new();
        let mut rest = text;
        let open = format!("{}[", self.name);
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
            let place = self.through(&inner[..end])?;
            rest = &inner[end + 1..];
            let next = rest.trim_start();
            if next.starts_with('=') && !next.starts_with("==") {
                let after = &next[1..];
                let stop = after.find(';').ok_or_else(|| bug("has no end of its assignment"))?;
                let value = self.through(after[..stop].trim())?;
                let _ = write!(out, "{}_store({place}, {value})", self.name);
                rest = &after[stop..];
            } else if ["+=", "-=", "*=", "/=", "++", "--"].iter().any(|sign| next.starts_with(sign)) {
                return Err(bug("is changed in place"));
            } else {
                let _ = write!(out, "{}_load({place})", self.name);
            }
        }
        out.push_str(rest);
        Ok(out)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> at: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(4)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.x;
  let max_x = array<u32, 1>(i);
  y[i] = x[u32(at[max_x[0]])] + x[i];
}
";

    fn kernel() -> Kernel {
        Kernel {
            name: "a row".into(),
            wgsl: TEXT.into(),
            workgroup: [4, 1, 1],
            workgroup_bytes: 0,
            bindings: vec![Use::Read, Use::Read, Use::ReadWrite],
        }
    }

    #[test]
    fn test_large_values_are_bound_in_windows_and_small_ones_as_they_were() {
        let limits = Limits { binding_bytes: 700, alignment: 256, ..Limits::PORTABLE };
        let bindings = vec![[0, 0, 1200], [1, 0, 700], [2, 256, 1200]];
        let (made, bound) = windowed(kernel(), bindings.clone(), &limits).unwrap();
        let windows = [[0, 0, 512], [0, 512, 512], [0, 1024, 176]];
        assert_eq!(bound[..3], windows);
        assert_eq!(bound[3..], [[1, 0, 700], [2, 256, 512], [2, 768, 512], [2, 1280, 176]]);
        assert_eq!(made.bindings.len(), 7);
        assert!(made.wgsl.contains("y_store(i, x_load(u32(at[max_x[0]])) + x_load(i));"), "{}", made.wgsl);
        let module =
            naga::front::wgsl::parse_str(&made.wgsl).unwrap_or_else(|e| panic!("{e}\n{}", made.wgsl));
        assert_eq!(module.global_variables.len(), 7);
        let wide = Limits { binding_bytes: 1200, ..limits };
        assert_eq!(windowed(kernel(), bindings.clone(), &wide).unwrap().0, kernel());
        let few = Limits { storage_buffers: 6, ..limits };
        let error = windowed(kernel(), bindings, &few).unwrap_err().to_string();
        assert!(error.contains("a row") && error.contains("hint:"), "{error}");
    }
}
