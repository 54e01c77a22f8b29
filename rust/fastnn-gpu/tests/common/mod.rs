//! What the tests share.

use naga::valid::{Capabilities, ValidationFlags, Validator};

/// Parses and validates a shader text; the error shows where.
pub(crate) fn validate(name: &str, wgsl: &str) {
    let module = match naga::front::wgsl::parse_str(wgsl) {
        Ok(module) => module,
        Err(e) => panic!("{name}: {}\n{wgsl}", e.emit_to_string(wgsl)),
    };
    if let Err(e) = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module) {
        panic!("{name}: {}\n{wgsl}", e.emit_to_string(wgsl));
    }
}
