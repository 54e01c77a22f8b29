//! What an executor gets: plain data. [`Program::to_json`] writes it with the names of the fields
//! below; an executor in another language needs no more than this page.
//!
//! ```json
//! {
//!   "version": 1,
//!   "needs": {"features": [], "storage_buffers": 5, "workgroup_bytes": 4608, "binding_bytes": 65536},
//!   "kernels": [{"name": "matmul, tiles of 32 by 32", "wgsl": "...", "workgroup": [64, 1, 1],
//!                "workgroup_bytes": 4608, "bindings": ["read", "read", "read_write"]}],
//!   "buffers": [{"name": "x", "bytes": 65536, "role": "input", "number": 0, "dtype": "float32",
//!                "shape": [128, 128], "init": null}],
//!   "groups": [{"kernel": 0, "bindings": [[0, 0, 65536], [1, 0, 65536], [4, 0, 65536]]}],
//!   "steps": [[0, 0, 16, 1, 1]],
//!   "copies": [[4, 7, 65536]],
//!   "faults": [{"buffer": 9, "offset": 0, "op": "take", "message": "take: index {value} ...", "shape": [32]}],
//!   "memory": {"input": 65536, "state": 65536, "output": 65536, "slot": 0}
//! }
//! ```
//!
//! * `kernels`: the entry point of each text is `main`; binding `k` of group 0 is used as `bindings[k]`
//!   says. Kernels of equal text are one.
//! * `buffers`: `role` is `input` (`number`: which input of the function; uploaded before a run),
//!   `state` (`number`: which variable, or, after all variables, which captured array; kept on the
//!   device, a variable that a run writes has its new value in place afterwards), `output` (`number`:
//!   which result), `constant` (filled once with `init`, words of 32 bits), `slot` and `scratch` (in
//!   between; what they hold before a run does not matter, and slots may hold elements of two bytes) and `fault` (zero before the first run).
//!   `bytes` is at least 4. Every element is one cell of four bytes: `f32` for float types, `i32` for
//!   whole numbers, `u32` 0 or 1 for bool; `dtype` is the element type on the host.
//! * `groups`: `bindings` are `[buffer, offset, bytes]`. A buffer that a step writes is bound by it
//!   once, or, where it is larger than a binding, in windows that do not meet.
//! * `steps`: `[kernel, group, x, y, z]`, in order, each after all before it.
//! * `copies`: `[from, to, bytes]` from the start of one buffer to the start of another, in order,
//!   after the last step.
//! * `faults`: two words at `offset` of `buffer`. The first is zero unless a run met bad data; then it
//!   is `u32::MAX` less the position of the first bad element, and the second is its value. `{value}`
//!   and `{position}` in `message` stand for them, `{place}` for the position along each axis of `shape`. Whoever reads them clears them.
//! * `memory`: bytes by role, for messages.

use crate::dispatch::{Kernel, Limits, Use};
use crate::halves::ENABLE;
use fastnn::error::{Error, Result};
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the data's form.
pub const VERSION: u32 = 1;

/// What a buffer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// An argument of the function.
    Input,
    /// A variable, or a captured array.
    State,
    /// A result.
    Output,
    /// Values between steps.
    Slot,
    /// Memory inside a step.
    Scratch,
    /// Data known now.
    Constant,
    /// Where kernels tell of bad data.
    Fault,
}

/// A buffer.
#[derive(Debug, Clone, Serialize)]
pub struct Buffer {
    /// For people.
    pub name: String,
    /// Its size.
    pub bytes: usize,
    /// What it is for.
    pub role: Role,
    /// Which input, state or output.
    pub number: Option<usize>,
    /// The element type on the host.
    pub dtype: &'static str,
    /// The shape on the host, where the buffer is one value.
    pub shape: Vec<usize>,
    /// What it is filled with.
    pub init: Option<Vec<u32>>,
}

/// Buffers bound for a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Group {
    /// The kernel.
    pub kernel: usize,
    /// Buffer, offset and bytes of each binding.
    pub bindings: Vec<[usize; 3]>,
}

/// Two words that tell of bad data.
#[derive(Debug, Clone, Serialize)]
pub struct Fault {
    /// The buffer.
    pub buffer: usize,
    /// Where in it.
    pub offset: usize,
    /// The row.
    pub op: &'static str,
    /// What to say.
    pub message: String,
    /// The shape of the operand that holds the bad element.
    pub shape: Vec<usize>,
}

/// What the adapter must offer.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Needs {
    /// Features by their names in WebGPU.
    pub features: Vec<&'static str>,
    /// Storage buffers of one kernel.
    pub storage_buffers: usize,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: usize,
    /// Bytes of one binding.
    pub binding_bytes: usize,
}

/// A program.
#[derive(Debug, Clone, Serialize)]
pub struct Program {
    /// [`VERSION`].
    pub version: u32,
    /// What the adapter must offer.
    pub needs: Needs,
    /// The kernels, each text once.
    pub kernels: Vec<Kernel>,
    /// The buffers.
    pub buffers: Vec<Buffer>,
    /// Bindings.
    pub groups: Vec<Group>,
    /// Kernel, group and grid.
    pub steps: Vec<[usize; 5]>,
    /// From, to, bytes: after the steps.
    pub copies: Vec<[usize; 3]>,
    /// Where to look for bad data.
    pub faults: Vec<Fault>,
    /// Bytes by role.
    pub memory: BTreeMap<Role, usize>,
}

impl Program {
    /// One without steps.
    pub(crate) fn empty() -> Program {
        Program {
            version: VERSION,
            needs: Needs::default(),
            kernels: vec![],
            buffers: vec![],
            groups: vec![],
            steps: vec![],
            copies: vec![],
            faults: vec![],
            memory: BTreeMap::new(),
        }
    }

    /// The program as JSON.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::Internal(format!("a program as JSON: {e}")))
    }

    /// Sets what follows from the rest: needs and memory.
    pub(crate) fn sum_up(&mut self) {
        for buffer in &self.buffers {
            *self.memory.entry(buffer.role).or_default() += buffer.bytes;
        }
        let bound = self.groups.iter().flat_map(|g| &g.bindings).map(|b| b[2]);
        self.needs = Needs {
            features: if self.kernels.iter().any(|k| k.wgsl.starts_with(ENABLE)) {
                vec!["shader-f16"]
            } else {
                vec![]
            },
            storage_buffers: self.kernels.iter().map(|k| k.bindings.len()).max().unwrap_or(0),
            workgroup_bytes: self.kernels.iter().map(|k| k.workgroup_bytes).max().unwrap_or(0),
            binding_bytes: bound.max().unwrap_or(0),
        };
    }

    /// Holds the program to what devices ask: nothing read and written by one step, limits, grids,
    /// and nothing read before it is written.
    pub fn check(&self, limits: &Limits) -> Result<()> {
        let mut written: Vec<bool> = self
            .buffers
            .iter()
            .map(|b| matches!(b.role, Role::Input | Role::State | Role::Constant | Role::Fault))
            .collect();
        for &[kernel, group, ..] in &self.steps {
            let (Some(of), Some(bound)) = (self.kernels.get(kernel), self.groups.get(group)) else {
                return bug("a step", "names a kernel or a group that is not there");
            };
            if bound.kernel != kernel || bound.bindings.len() != of.bindings.len() {
                return bug(&of.name, "is run with the bindings of another kernel");
            }
            let mut after = vec![];
            for (at, (&[buffer, offset, bytes], usage)) in bound.bindings.iter().zip(&of.bindings).enumerate()
            {
                let Some(b) = self.buffers.get(buffer) else {
                    return bug(&of.name, "binds a buffer that is not there");
                };
                if offset % limits.alignment != 0 || bytes == 0 || offset + bytes > b.bytes {
                    return bug(
                        &of.name,
                        &format!("binds bytes {offset} to {} of {}", offset + bytes, b.bytes),
                    );
                }
                let again = bound.bindings.iter().zip(&of.bindings).enumerate().any(|(k, (o, other))| {
                    let apart = *other == Use::ReadWrite && (o[1] + o[2] <= offset || offset + bytes <= o[1]);
                    k != at && o[0] == buffer && !apart
                });
                if bytes > limits.binding_bytes {
                    return bug(&of.name, &format!("binds {bytes} bytes of '{}' at once", b.name));
                }
                if *usage == Use::ReadWrite {
                    if again {
                        return bug(&of.name, &format!("binds '{}' twice and writes it", b.name));
                    }
                    if b.role == Role::Input || b.role == Role::Constant {
                        return bug(&of.name, &format!("writes '{}'", b.name));
                    }
                    after.push(buffer);
                } else if !written[buffer] {
                    return bug(&of.name, &format!("reads '{}' before anything is in it", b.name));
                }
            }
            after.into_iter().for_each(|b| written[b] = true);
        }
        for &[_, _, x, y, z] in &self.steps {
            let most = limits.grid as usize;
            if [x, y, z].iter().any(|&n| n == 0 || n > most) {
                return bug("a step", &format!("has a grid of {x} by {y} by {z}"));
            }
        }
        for k in &self.kernels {
            let size: u64 = k.workgroup.iter().map(|&n| u64::from(n)).product();
            if size == 0 || size > u64::from(limits.workgroup_invocations) {
                return bug(&k.name, &format!("has workgroups of {size} invocations"));
            }
            if k.workgroup_bytes > limits.workgroup_bytes {
                return bug(&k.name, &format!("takes {} bytes of workgroup memory", k.workgroup_bytes));
            }
            if k.bindings.len() > limits.storage_buffers {
                return bug(&k.name, &format!("binds {} buffers", k.bindings.len()));
            }
        }
        for &[from, to, bytes] in &self.copies {
            let size = |b: usize| self.buffers.get(b).map_or(0, |b| b.bytes);
            if from == to || bytes == 0 || bytes % 4 != 0 || bytes > size(from).min(size(to)) {
                return bug("a copy", &format!("of {bytes} bytes from buffer {from} to buffer {to}"));
            }
            if !written[from] {
                return bug(
                    "a copy",
                    &format!("reads '{}' before anything is in it", self.buffers[from].name),
                );
            }
            written[to] = true;
        }
        for (b, written) in self.buffers.iter().zip(&written) {
            if b.role == Role::Output && !b.shape.contains(&0) && !written {
                return bug("a program", &format!("leaves its result '{}' out", b.name));
            }
        }
        Ok(())
    }
}

fn bug<T>(who: &str, what: &str) -> Result<T> {
    Err(Error::Internal(format!("a program for a device: {who} {what}")))
}
