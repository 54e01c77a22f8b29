//! Fused elementwise groups and copies as kernels: one invocation an element.

use crate::dispatch::{Arg, Call, Dispatch, Kernel, Limits, Steps, Use};
use crate::formulas;
use crate::math;
use crate::text::{self, Cell};
use fastnn::error::{Error, Result};
use fastnn::graph::{Id, Strided, Ty};
use fastnn::passes::group::{Lines, Operand, Port};
use std::fmt::Write as _;

/// Invocations of a workgroup.
pub const GROUP: usize = 256;

/// A kernel of a group and the buffers that it binds, by the numbers that the caller gives them.
#[derive(Debug)]
pub struct Rendered {
    /// The kernel.
    pub kernel: Kernel,
    /// The buffer of each binding.
    pub buffers: Vec<usize>,
}

struct Binding {
    buffer: usize,
    cell: Cell,
    writes: bool,
}

/// The entry point's first lines: `i` is the element, of `count`.
#[must_use]
pub fn head(count: usize) -> String {
    format!(
        "@compute @workgroup_size({GROUP})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {{
  let i = (group.y * groups.x + group.x) * {GROUP}u + local;
  if (i >= {count}u) {{ return; }}
"
    )
}

/// The declaration of a binding.
#[must_use]
pub fn binding(at: usize, name: &str, cell: Cell, usage: Use) -> String {
    let access = if usage == Use::Read { "read" } else { "read_write" };
    format!("@group(0) @binding({at}) var<storage, {access}> {name}: array<{}>;\n", cell.name())
}

/// The kernel of a group. `outputs` are the lines that are wanted in memory; `buffer` says where a
/// value lies. A buffer that is read and written is bound once: all elements are read first.
pub fn group(
    lines: &Lines,
    outputs: &[Id],
    ty: &dyn Fn(Id) -> Ty,
    buffer: &dyn Fn(Id) -> Result<usize>,
) -> Result<Rendered> {
    let mut bindings: Vec<Binding> = vec![];
    let mut bind = |buffer: usize, cell: Cell, writes: bool| {
        let at = bindings.iter().position(|b| b.buffer == buffer).unwrap_or_else(|| {
            bindings.push(Binding { buffer, cell, writes });
            bindings.len() - 1
        });
        bindings[at].writes |= writes;
        (at, bindings[at].cell)
    };
    let mut body = head(lines.over.count());
    let cast = |from: Cell, to: Cell, text: String| {
        if from == to { text } else { format!("bitcast<{}>({text})", to.name()) }
    };
    let mut cells: Vec<Cell> = vec![];
    for (k, port) in lines.ports.iter().enumerate() {
        match port {
            Port::Head => return Err(Error::Internal("a group on a device reads a head's block".into())),
            Port::Constant { value, dtype } => {
                let cell = Cell::of(*dtype);
                let _ = writeln!(body, "  let p{k} = {};", cell.literal(*value));
                cells.push(cell);
            }
            Port::Memory { of, offset, access } => {
                let cell = Cell::of(ty(*of).dtype);
                let (at, held) = bind(buffer(*of)?, cell, false);
                let load = format!("b{at}[{}]", text::place(*offset, access, "i"));
                let _ = writeln!(body, "  let p{k} = {};", cast(held, cell, load));
                cells.push(cell);
            }
        }
    }
    let name = |arg: &Operand| match arg {
        Operand::Port(k) => format!("p{k}"),
        Operand::Value(id) => {
            let at = lines.lines.iter().position(|line| line.id == *id).unwrap_or(usize::MAX);
            format!("v{at}")
        }
    };
    for (k, line) in lines.lines.iter().enumerate() {
        let first = match line.args.first() {
            Some(Operand::Port(port)) => cells[*port],
            Some(Operand::Value(id)) => Cell::of(ty(*id).dtype),
            None => return Err(Error::Internal(format!("'{}' has no operand", line.op.name))),
        };
        let args: Vec<String> = line.args.iter().map(name).collect();
        let Some(formula) = formulas::formula(line.op, first, &args) else {
            return Err(Error::Device(format!(
                "op '{}' on {} has no formula for a device\n  hint: run the model on the CPU",
                line.op.name,
                first.name()
            )));
        };
        let _ = writeln!(body, "  let v{k} = {formula};");
    }
    for &id in outputs {
        let cell = Cell::of(ty(id).dtype);
        let (at, held) = bind(buffer(id)?, cell, true);
        let value = cast(cell, held, name(&Operand::Value(id)));
        let _ = writeln!(body, "  b{at}[i] = {value};");
    }
    body.push_str("}\n");
    let uses: Vec<Use> = bindings.iter().map(|b| if b.writes { Use::ReadWrite } else { Use::Read }).collect();
    let mut wgsl = String::new();
    for (at, (b, usage)) in bindings.iter().zip(&uses).enumerate() {
        wgsl.push_str(&binding(at, &format!("b{at}"), b.cell, *usage));
    }
    wgsl.push_str(&body);
    let names: Vec<&str> = lines.lines.iter().map(|line| line.op.name).collect();
    Ok(Rendered {
        kernel: Kernel {
            name: title(&names),
            wgsl: math::complete(&wgsl),
            workgroup: [GROUP as u32, 1, 1],
            workgroup_bytes: 0,
            bindings: uses,
        },
        buffers: bindings.iter().map(|b| b.buffer).collect(),
    })
}

/// A short name for a chain of rows.
fn title(names: &[&str]) -> String {
    match names {
        [] => "nothing".into(),
        [a] => (*a).into(),
        [a, b] => format!("{a}, {b}"),
        [a, .., z] => format!("{a}, {} more, {z}", names.len() - 2),
    }
}

/// Workgroups of a kernel with an invocation for each of `count` elements.
#[must_use]
pub fn grid(limits: &Limits, count: usize) -> [u32; 3] {
    limits.spread(count.div_ceil(GROUP))
}

/// The elements of input 0 that a movement row chooses.
#[must_use]
pub fn copy(call: &Call<'_>, strided: &Strided) -> Steps {
    let ty = call.outputs[0];
    let sizes: Vec<usize> = ty.shape.sizes().to_vec();
    let at = text::strided(strided.offset, &sizes, &strided.strides, "i");
    let wgsl = format!(
        "{}{}{}  y[i] = x[{at}];\n}}\n",
        binding(0, "x", Cell::Truth, Use::Read),
        binding(1, "y", Cell::Truth, Use::ReadWrite),
        head(ty.shape.count()),
    );
    Steps {
        dispatches: vec![Dispatch {
            kernel: Kernel {
                name: call.name.into(),
                wgsl,
                workgroup: [GROUP as u32, 1, 1],
                workgroup_bytes: 0,
                bindings: vec![Use::Read, Use::ReadWrite],
            },
            args: vec![Arg::Input(0), Arg::Output(0)],
            grid: grid(call.limits, ty.shape.count()),
        }],
        scratch: vec![],
    }
}
