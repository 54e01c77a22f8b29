//! Plans a graph as a program for WebGPU: shader texts (WGSL), buffers and dispatches as plain data.
//! Nothing here talks to a device; an executor (in Python, on wgpu-py) runs what this crate plans.
//!
//! Every element is one cell of four bytes on the device: `f32` for float types (bfloat16 and float16
//! values are rounded where they are cast), `i32` for whole numbers, `u32` 0 or 1 for bool. Between steps
//! floats may take two bytes (`halves`).

pub(crate) mod access;
pub mod dispatch;
pub(crate) mod faults;
pub mod formulas;
pub mod halves;
pub(crate) mod laying;
pub mod math;
pub mod planner;
pub mod program;
pub mod reduce;
pub mod render;
pub mod templates;
pub mod text;
pub mod unroll;
pub(crate) mod windows;
