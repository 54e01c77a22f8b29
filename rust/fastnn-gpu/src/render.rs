//! Fused elementwise groups and copies as kernels: one invocation an element.

use crate::dispatch::{Arg, Call, Dispatch, Kernel, Limits, Steps, Use};
use crate::formulas;
use crate::halves::Half;
use crate::math;
use crate::text::{self, Cell};
use fastnn::error::{Error, Result};
use fastnn::graph::{Id, Strided, Ty};
use fastnn::ops::elementwise::{ADD, SUBTRACT};
use fastnn::passes::group::{Line, Lines, Operand, Port};
use std::fmt::Write as _;

/// Invocations of a workgroup.
pub const GROUP: usize = 256;

/// What a group does to element `i`, as text, and the buffers that it binds.
#[derive(Debug)]
pub struct Body {
    /// Declarations of the bindings and of what else stands outside of functions.
    pub declarations: String,
    /// Statements.
    pub text: String,
    /// The program's buffer of each binding, as what elements lie there, and how it is used.
    pub bindings: Vec<(usize, Option<Half>, Use)>,
    /// Does an entry point have to begin with [`KEEP`]?
    pub keeps: bool,
}

/// Sets a zero that no compiler knows to be one; see `math_kept`.
pub const KEEP: &str = "  math_zero = groups.z - 1u;\n";

/// Text of a group that is set into another kernel: a function, and what it binds.
#[derive(Debug)]
pub struct Inset {
    /// Declarations and the function.
    pub text: String,
    /// What an entry point begins with.
    pub start: &'static str,
    /// The bindings.
    pub bindings: Vec<(Arg, Use)>,
}

impl Inset {
    /// The body of a group in a function of this head.
    #[must_use]
    pub fn of(body: &Body, head: &str, last: &str) -> Inset {
        Inset {
            text: format!("{}{head} {{\n{}{last}}}\n", body.declarations, body.text),
            start: if body.keeps { KEEP } else { "" },
            bindings: body.bindings.iter().map(|&(b, half, usage)| (Arg::Buffer(b, half), usage)).collect(),
        }
    }
}

/// What a kernel binds already, for reading, under a name.
#[derive(Debug)]
pub struct Held {
    /// The program's buffer.
    pub buffer: usize,
    /// Its name.
    pub name: String,
    /// Are its elements bound four at a time?
    pub fours: bool,
}

struct Binding {
    buffer: usize,
    name: String,
    cell: Cell,
    half: Option<Half>,
    writes: bool,
    fours: bool,
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

/// Where values lie.
pub trait Places {
    /// The type of a value.
    fn ty(&self, id: Id) -> Ty;
    /// The number of the buffer that holds it.
    fn buffer(&self, id: Id) -> Result<usize>;
    /// As what its elements lie there.
    fn half(&self, id: Id) -> Option<Half>;
}

/// The text of a group. `outputs` are the values that are wanted in memory; the value of a `head` is
/// `h`. `bound` is what the kernel binds already: the group's bindings come after that. A buffer that is read and written is bound once: all elements are
/// read first.
pub fn body(
    lines: &Lines,
    outputs: &[Id],
    head: Option<Id>,
    places: &dyn Places,
    bound: &[Held],
) -> Result<Body> {
    let mut bindings: Vec<Binding> = bound
        .iter()
        .map(|held| Binding {
            buffer: held.buffer,
            name: held.name.clone(),
            cell: Cell::Float,
            half: None,
            writes: false,
            fours: held.fours,
        })
        .collect();
    let mut bind = |id: Id, cell: Cell, writes: bool| -> Result<(String, Cell, bool)> {
        let (buffer, half) = (places.buffer(id)?, places.half(id));
        let at = bindings.iter().position(|b| b.buffer == buffer).unwrap_or_else(|| {
            let name = format!("b{}", bindings.len());
            bindings.push(Binding { buffer, name, cell, half, writes, fours: false });
            bindings.len() - 1
        });
        if at >= bound.len() && bindings[at].half != half {
            return Err(Error::Internal(format!("a group has '{}' in two types", bindings[at].name)));
        }
        bindings[at].writes |= writes;
        Ok((bindings[at].name.clone(), bindings[at].cell, bindings[at].fours))
    };
    let cast = |from: Cell, to: Cell, text: String| {
        if from == to { text } else { format!("bitcast<{}>({text})", to.name()) }
    };
    let mut text = String::new();
    let mut cells: Vec<Cell> = vec![];
    for (k, port) in lines.ports.iter().enumerate() {
        match port {
            Port::Head => {
                let _ = writeln!(text, "  let p{k} = h;");
                cells.push(Cell::Float);
            }
            Port::Constant { value, dtype } => {
                let cell = Cell::of(*dtype);
                let _ = writeln!(text, "  let p{k} = {};", cell.literal(*value));
                cells.push(cell);
            }
            Port::Memory { of, offset, access } => {
                let cell = Cell::of(places.ty(*of).dtype);
                let (name, held, fours) = bind(*of, cell, false)?;
                let at = text::place(*offset, access, "i");
                let load =
                    if fours { format!("{name}[({at}) / 4u][({at}) % 4u]") } else { format!("{name}[{at}]") };
                let _ = writeln!(text, "  let p{k} = {};", cast(held, cell, load));
                cells.push(cell);
            }
        }
    }
    let name = |arg: &Operand| match arg {
        Operand::Port(k) => format!("p{k}"),
        Operand::Value(id) => match lines.lines.iter().position(|line| line.id == *id) {
            Some(at) => format!("v{at}"),
            None => "h".into(),
        },
    };
    let mut keeps = false;
    for (k, line) in lines.lines.iter().enumerate() {
        let first = match line.args.first() {
            Some(Operand::Port(port)) => cells[*port],
            Some(Operand::Value(id)) => Cell::of(places.ty(*id).dtype),
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
        let kept = first == Cell::Float && is_taken_apart(lines, k);
        keeps |= kept;
        let _ = if kept {
            writeln!(text, "  let v{k} = math_kept({formula});")
        } else {
            writeln!(text, "  let v{k} = {formula};")
        };
    }
    for &id in outputs {
        let cell = Cell::of(places.ty(id).dtype);
        let (to, held, _) = bind(id, cell, true)?;
        let value = if Some(id) == head { "h".into() } else { name(&Operand::Value(id)) };
        let _ = writeln!(text, "  {to}[i] = {};", cast(cell, held, value));
    }
    let mut declarations = String::new();
    let mut out = vec![];
    for (at, b) in bindings.iter().enumerate() {
        let usage = if b.writes { Use::ReadWrite } else { Use::Read };
        if at >= bound.len() {
            declarations.push_str(&binding(at, &b.name, b.cell, usage));
            out.push((b.buffer, b.half, usage));
        } else if b.writes {
            return Err(Error::Internal(format!("a group writes over '{}' of its head", b.name)));
        }
    }
    Ok(Body { declarations, text, bindings: out, keeps })
}

/// The name that the text of a group has for the value of one of its nodes.
pub fn value_of(lines: &Lines, id: Id) -> Result<String> {
    match lines.lines.iter().position(|line| line.id == id) {
        Some(at) => Ok(format!("v{at}")),
        None => Err(Error::Internal(format!("value {} is none of its group", id.0))),
    }
}

/// Is line `k` a sum whose parts a later sum takes away from it again, to see what was rounded off? A
/// compiler that takes sums for exact would find nothing.
fn is_taken_apart(lines: &Lines, k: usize) -> bool {
    let sum = |line: &Line| line.op == &ADD || line.op == &SUBTRACT;
    let line = &lines.lines[k];
    let own = Operand::Value(line.id);
    sum(line)
        && lines.lines[k + 1..].iter().any(|later| {
            sum(later) && later.args.contains(&own) && later.args.iter().any(|arg| line.args.contains(arg))
        })
}

/// A buffer of the program, and as what elements lie there.
pub type Lying = (usize, Option<Half>);

/// The kernel of a group, and the buffers that it binds, each with what elements lie as there.
pub fn group(lines: &Lines, outputs: &[Id], places: &dyn Places) -> Result<(Kernel, Vec<Lying>)> {
    let body = body(lines, outputs, None, places, &[])?;
    let keep = if body.keeps { KEEP } else { "" };
    let wgsl = format!("{}{}{keep}{}}}\n", body.declarations, head(lines.over.count()), body.text);
    let names: Vec<&str> = lines.lines.iter().map(|line| line.op.name).collect();
    let kernel = Kernel {
        name: title(&names),
        wgsl: math::complete(&wgsl),
        workgroup: [GROUP as u32, 1, 1],
        workgroup_bytes: 0,
        bindings: body.bindings.iter().map(|&(_, _, usage)| usage).collect(),
    };
    Ok((kernel, body.bindings.iter().map(|&(buffer, half, _)| (buffer, half)).collect()))
}

/// A short name for a chain of rows.
pub fn title(names: &[&str]) -> String {
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
