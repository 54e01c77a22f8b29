//! What the tests share.

use naga::valid::{Capabilities, ValidationFlags, Validator};

/// Parses and validates a shader text; the error shows where.
pub(crate) fn validate(name: &str, wgsl: &str) {
    let module = match naga::front::wgsl::parse_str(wgsl) {
        Ok(module) => module,
        Err(e) => panic!("{name}: {}\n{wgsl}", e.emit_to_string(wgsl)),
    };
    let halves = if wgsl.starts_with("enable f16;") {
        Capabilities::SHADER_FLOAT16 | Capabilities::SHADER_FLOAT16_IN_FLOAT32
    } else {
        Capabilities::empty()
    };
    if let Err(e) = Validator::new(ValidationFlags::all(), halves).validate(&module) {
        panic!("{name}: {}\n{wgsl}", e.emit_to_string(wgsl));
    }
}
