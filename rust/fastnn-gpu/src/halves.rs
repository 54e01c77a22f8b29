//! Floats of sixteen bits in memory: how finished kernels read and write them. A kernel computes with
//! `f32` and binds `f16`, which is the one type of two bytes that WebGPU has (the feature `shader-f16`).

use crate::access::Declared;
use crate::dispatch::{Kernel, Use};
use crate::math;
use fastnn::error::Result;
use fastnn::shape::DType;
use std::fmt::Write as _;

/// A float of sixteen bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Half {
    /// bfloat16, whose bits lie in memory as those of an `f16`. What would be no finite `f16` (from 2.6e36
    /// on) becomes infinity.
    Bf16,
    /// float16. Finite numbers past its range become the largest.
    F16,
}

/// What a text begins with that binds halves.
pub const ENABLE: &str = "enable f16;\n";

impl Half {
    /// That of an element type; `None` for others.
    #[must_use]
    pub fn of(dtype: DType) -> Option<Half> {
        match dtype {
            DType::BF16 => Some(Half::Bf16),
            DType::F16 => Some(Half::F16),
            _ => None,
        }
    }

    /// Its element type.
    #[must_use]
    pub fn dtype(self) -> DType {
        match self {
            Half::Bf16 => DType::BF16,
            Half::F16 => DType::F16,
        }
    }

    /// The float that an `f16` of memory, widened to `f32`, stands for.
    fn wide(self, held: &str) -> String {
        match self {
            Half::Bf16 => format!("half_wide({held})"),
            Half::F16 => held.to_owned(),
        }
    }

    /// The `f32` whose `f16` goes to memory.
    fn held(self, value: &str) -> String {
        match self {
            Half::Bf16 => format!("half_held({value})"),
            Half::F16 => format!("half_clipped({value})"),
        }
    }
}

/// Words by their sixteen upper bits, which are passed on as the number that they are as `f16`.
const BFLOAT16: &str = "fn half_wide(held: f32) -> f32 {
  let bits = pack2x16float(vec2<f32>(held, 0.0)) & 0xffffu;
  let size = bits & 0x7fffu;
  let beyond = ((bits & 0x8000u) << 16u) | select(0x7f800000u, 0x7fc00000u, size > 0x7c00u);
  return bitcast<f32>(select(bits << 16u, beyond, size >= 0x7c00u));
}
fn half_held(v: f32) -> f32 {
  let bits = bitcast<u32>(v);
  let rounded = ((bits & 0x7fffffffu) + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
  let none = (bits & 0x7fffffffu) > 0x7f800000u;
  return unpack2x16float(((bits >> 16u) & 0x8000u) | select(min(rounded, 0x7c00u), 0x7e00u, none)).x;
}
";

/// To the nearest, whatever rounding a driver's own conversion takes.
const FLOAT16: &str = "fn half_clipped(v: f32) -> f32 {
  if ((bitcast<u32>(v) & 0x7fffffffu) >= 0x7f800000u) { return v; }
  return math_float16(clamp(v, -65504.0, 65504.0));
}
";

/// A kernel whose bindings hold halves where `halves` says so.
pub(crate) fn narrowed(kernel: Kernel, halves: &[Option<Half>]) -> Result<Kernel> {
    if halves.iter().all(Option::is_none) {
        return Ok(kernel);
    }
    let mut text = kernel.wgsl.clone();
    let mut library = String::new();
    for (at, (half, usage)) in halves.iter().zip(&kernel.bindings).enumerate() {
        let Some(half) = half else { continue };
        let declared = Declared::find(&text, at)?;
        let (name, element) = (&declared.name, &declared.element);
        let fours = element.starts_with("vec4");
        let mut lines = format!("{}\n", declared.holding(if fours { "vec4<f16>" } else { "f16" }));
        let each = |of: &dyn Fn(&str) -> String, value: &str| {
            let parts: Vec<String> = ["x", "y", "z", "w"].map(|part| of(&format!("{value}.{part}"))).into();
            format!("vec4<f32>({})", parts.join(", "))
        };
        let loaded = match element.as_str() {
            _ if fours => {
                format!("  let h = vec4<f32>({name}[i]);\n  return {};\n", each(&|h| half.wide(h), "h"))
            }
            "f32" => format!("  return {};\n", half.wide(&format!("f32({name}[i])"))),
            // Kernels that only move elements move words.
            _ => format!("  return bitcast<{element}>({});\n", half.wide(&format!("f32({name}[i])"))),
        };
        let _ = write!(lines, "fn {name}_wide(i: u32) -> {element} {{\n{loaded}}}\n");
        if *usage == Use::ReadWrite {
            let stored = match element.as_str() {
                _ if fours => format!("vec4<f16>({})", each(&|v| half.held(v), "v")),
                "f32" => format!("f16({})", half.held("v")),
                _ => format!("f16({})", half.held("bitcast<f32>(v)")),
            };
            let _ = writeln!(lines, "fn {name}_narrow(i: u32, v: {element}) {{ {name}[i] = {stored}; }}");
        }
        text = declared.through(&text, &lines, &format!("{name}_wide"), &format!("{name}_narrow"))?;
        if !library.contains(half.library()) {
            library.push_str(half.library());
        }
    }
    // A kernel has its own copies of the elementary functions.
    let library = math::complete(&library).replace("math_", "half_");
    Ok(Kernel { wgsl: format!("{ENABLE}{library}{text}"), ..kernel })
}

impl Half {
    fn library(self) -> &'static str {
        match self {
            Half::Bf16 => BFLOAT16,
            Half::F16 => FLOAT16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use naga::valid::{Capabilities, ValidationFlags, Validator};

    fn kernel() -> Kernel {
        let wgsl = "@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> four: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> moved: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(4)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.x;
  y[i] = x[u32(x[i])] + four[i / 4u][i % 4u];
  moved[i] = bitcast<u32>(x[i]);
}
";
        Kernel {
            name: "a row".into(),
            wgsl: wgsl.into(),
            workgroup: [4, 1, 1],
            workgroup_bytes: 0,
            bindings: vec![Use::Read, Use::Read, Use::ReadWrite, Use::ReadWrite],
        }
    }

    #[test]
    fn test_kernels_bind_halves_and_compute_with_floats() {
        assert_eq!(narrowed(kernel(), &[None; 4]).unwrap(), kernel());
        // Bits of an f16 are read as those of a word.
        let needed = Capabilities::SHADER_FLOAT16 | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
        let all =
            [[Some(Half::Bf16); 4], [Some(Half::F16); 4], [Some(Half::Bf16), None, Some(Half::F16), None]];
        for halves in all {
            let made = narrowed(kernel(), &halves).unwrap();
            let module = naga::front::wgsl::parse_str(&made.wgsl)
                .unwrap_or_else(|e| panic!("{}\n{}", e.emit_to_string(&made.wgsl), made.wgsl));
            Validator::new(ValidationFlags::all(), needed)
                .validate(&module)
                .unwrap_or_else(|e| panic!("{}\n{}", e.emit_to_string(&made.wgsl), made.wgsl));
            assert_eq!(made.wgsl.contains("four: array<vec4<f16>>;"), halves[1].is_some());
            assert!(made.wgsl.contains("x_wide(u32(x_wide(i)))"), "{}", made.wgsl);
        }
    }
}
