//! Values larger than a binding: a kernel binds them as several windows, and its text reads and writes
//! their elements through functions that choose the window. Done to finished kernels, so that no template
//! needs to know.

use crate::access::Declared;
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
        text = if count == 1 {
            text.replace(declared.line(), &declared.renumbered(first, &declared.name))
        } else {
            split(&declared, &text, first, count, window, usage)?
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

/// The text with this binding as `count` windows of so many bytes.
fn split(
    declared: &Declared,
    text: &str,
    first: usize,
    count: usize,
    window: usize,
    usage: Use,
) -> Result<String> {
    let (name, element) = (&declared.name, &declared.element);
    let each = window / declared.size();
    let (mut lines, mut loads, mut stores) = (String::new(), String::new(), String::new());
    for k in 0..count {
        let _ = writeln!(lines, "{}", declared.renumbered(first + k, &format!("{name}_window{k}")));
        let test = if k + 1 < count { format!("if (i < {}u) ", (k + 1) * each) } else { String::new() };
        let place = format!("{name}_window{k}[i - {}u]", k * each);
        let _ = writeln!(loads, "  {test}{{ return {place}; }}");
        let _ = writeln!(stores, "  {test}{{ {place} = v; return; }}");
    }
    let _ = write!(lines, "fn {name}_load(i: u32) -> {element} {{\n{loads}}}\n");
    if usage == Use::ReadWrite {
        let _ = write!(lines, "fn {name}_store(i: u32, v: {element}) {{\n{stores}}}\n");
    }
    declared.through(text, &lines, &format!("{name}_load"), &format!("{name}_store"))
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
