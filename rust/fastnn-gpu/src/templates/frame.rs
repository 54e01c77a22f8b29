//! The frame around the text of a kernel: bindings by element type, constants for sizes, an entry
//! point that numbers its work. A template writes the body, in which sizes are named constants.

use super::ending::{Bound, Finish};
use crate::dispatch::{Arg, Call, Dispatch, Kernel, Steps, Use};
use crate::math;
use crate::text::{Cell, float};
use fastnn::error::Result;
use fastnn::graph::Ty;
use fastnn::kernels::stored;
use fastnn::shape::{DType, Shape};
use std::fmt::Write;

/// Invocations of a workgroup whose invocations are independent.
pub(super) const LANES: u32 = 256;

/// Rows of at most this many elements are one invocation's work.
const SHORT: usize = 64;

/// Length of a row from which on it is worth a whole workgroup of [`LANES`].
const LONG: usize = 512;

/// Four elements.
pub(super) const FOURS: &str = "vec4<f32>";

/// A number as a value of this type holds it, as text.
pub(super) fn literal(value: f64, dtype: DType) -> String {
    let held = stored::rounded(value, dtype);
    Cell::of(dtype).literal(held)
}

/// A kernel in the making.
#[derive(Debug)]
pub(super) struct Text<'a> {
    call: &'a Call<'a>,
    name: String,
    head: String,
    args: Vec<Arg>,
    uses: Vec<Use>,
    bound: Vec<Bound>,
    /// What an entry point begins with.
    start: &'static str,
    shared: usize,
}

impl<'a> Text<'a> {
    /// An empty kernel of a row; `variant` says which of its kernels it is.
    pub(super) fn new(call: &'a Call<'a>, variant: &str) -> Text<'a> {
        let name =
            if variant.is_empty() { call.name.to_string() } else { format!("{} {variant}", call.name) };
        Text {
            call,
            name,
            head: String::new(),
            args: vec![],
            uses: vec![],
            bound: vec![],
            start: "",
            shared: 0,
        }
    }

    fn bind(&mut self, name: &str, arg: Arg, how: Use, element: &str) {
        let access = match how {
            Use::Read => "read",
            Use::ReadWrite => "read_write",
        };
        let at = self.args.len();
        let _ =
            writeln!(self.head, "@group(0) @binding({at}) var<storage, {access}> {name}: array<{element}>;");
        let operand = if let Arg::Input(k) = arg { Some(k) } else { None };
        self.bound.push(Bound { operand, name: name.into(), fours: element == FOURS });
        self.args.push(arg);
        self.uses.push(how);
    }

    /// Defines `finish(i, h)`, which ends element `i` of value `h`, after all that the kernel binds itself.
    pub(super) fn end(&mut self, finish: &Finish<'_>) -> Result<&mut Self> {
        let inset = finish(&self.bound)?;
        self.head.push_str(&inset.text);
        self.start = inset.start;
        for (arg, how) in inset.bindings {
            self.args.push(arg);
            self.uses.push(how);
        }
        Ok(self)
    }

    /// Operand `k`, which has elements, as floats whatever its type: who runs a program refuses others by name.
    pub(super) fn read_floats(&mut self, name: &str, k: usize) -> &mut Self {
        self.bind(name, Arg::Input(k), Use::Read, "f32");
        self
    }

    /// Operand `k`, which has elements, as one vector for each four.
    pub(super) fn read_fours(&mut self, name: &str, k: usize) -> &mut Self {
        self.bind(name, Arg::Input(k), Use::Read, FOURS);
        self
    }

    /// Operand `k` under a name. One without elements is not bound; its name then stands for a zero,
    /// which no body reads.
    pub(super) fn read(&mut self, name: &str, k: usize) -> &mut Self {
        let ty = self.call.inputs[k];
        if ty.shape.count() == 0 {
            let _ = writeln!(self.head, "var<private> {name}: array<{}, 1>;", Cell::of(ty.dtype).name());
        } else {
            self.bind(name, Arg::Input(k), Use::Read, Cell::of(ty.dtype).name());
        }
        self
    }

    /// Result `k` under a name.
    pub(super) fn write(&mut self, name: &str, k: usize) -> &mut Self {
        self.bind(name, Arg::Output(k), Use::ReadWrite, Cell::of(self.call.outputs[k].dtype).name());
        self
    }

    /// Scratch memory that is read.
    pub(super) fn scratch(&mut self, name: &str, k: usize, element: &str) -> &mut Self {
        self.bind(name, Arg::Scratch(k), Use::Read, element);
        self
    }

    /// Scratch memory that is written.
    pub(super) fn scratch_mut(&mut self, name: &str, k: usize, element: &str) -> &mut Self {
        self.bind(name, Arg::Scratch(k), Use::ReadWrite, element);
        self
    }

    /// The row's fault words, for atomic access or for a dispatch of one invocation.
    pub(super) fn fault(&mut self, name: &str, atomic: bool) -> &mut Self {
        self.bind(name, Arg::Fault, Use::ReadWrite, if atomic { "atomic<u32>" } else { "u32" });
        self
    }

    /// A size as a constant of type u32.
    pub(super) fn size(&mut self, name: &str, value: usize) -> &mut Self {
        let _ = writeln!(self.head, "const {name} = {value}u;");
        self
    }

    /// Sizes as constants.
    pub(super) fn sizes(&mut self, all: &[(&str, usize)]) -> &mut Self {
        for (name, value) in all {
            self.size(name, *value);
        }
        self
    }

    /// A finite number as a constant.
    pub(super) fn number(&mut self, name: &str, value: f32) -> &mut Self {
        let _ = writeln!(self.head, "const {name} = {};", float(value));
        self
    }

    /// Text between the bindings and the entry point: functions of the kernel's own.
    pub(super) fn define(&mut self, text: &str) -> &mut Self {
        self.head.push_str(text);
        self.head.push('\n');
        self
    }

    /// Memory that the invocations of a workgroup share.
    pub(super) fn share(&mut self, name: &str, element: &str, count: usize) -> &mut Self {
        let _ = writeln!(self.head, "var<workgroup> {name}: array<{element}, {count}>;");
        self.shared += if element == FOURS { 16 } else { 4 } * count;
        self
    }

    fn dispatch(self, lanes: u32, groups: usize, main: &str) -> Dispatch {
        let text = format!(
            "{}var<private> lane: u32;\n\
             @compute @workgroup_size({lanes})\n\
             fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, \
             @builtin(local_invocation_index) invocation: u32) {{\n{}{main}}}\n",
            self.head, self.start,
        );
        Dispatch {
            kernel: Kernel {
                name: self.name,
                wgsl: math::complete(&text),
                workgroup: [lanes, 1, 1],
                workgroup_bytes: self.shared,
                bindings: self.uses,
            },
            args: self.args,
            grid: self.call.grid(groups),
        }
    }

    /// Runs the body once for each `i` below `count`; nothing where there are none.
    pub(super) fn each(self, count: usize, body: &str) -> Option<Dispatch> {
        let main = format!(
            "    let i = (group.y * groups.x + group.x) * {LANES}u + invocation;\n    \
             if (i >= {count}u) {{ return; }}\n{body}"
        );
        (count > 0).then(|| self.dispatch(LANES, count.div_ceil(LANES as usize), &main))
    }

    /// Runs the body once.
    pub(super) fn once(self, body: &str) -> Option<Dispatch> {
        Some(self.dispatch(1, 1, body))
    }

    /// Runs the body for each `row` below `rows` with a workgroup of `lanes`, of which each
    /// invocation knows its `lane`. The body may have barriers.
    pub(super) fn groups(self, rows: usize, lanes: u32, body: &str) -> Option<Dispatch> {
        let main = format!(
            "    lane = invocation;\n    let row = group.y * groups.x + group.x;\n    \
             if (row >= {rows}u) {{ return; }}\n{body}"
        );
        (rows > 0).then(|| self.dispatch(lanes, rows, &main))
    }

    /// Runs the body for each `row` below `rows`, whose `n` elements are shared out: an invocation
    /// sees those from `lane` on in steps of `STEP`. `all_sum(v)` and `all_max(v)` give every invocation
    /// the sum and the largest of all; they must be called by all invocations of a row alike. Short
    /// rows are one invocation's work, so nothing there is shared.
    pub(super) fn rows(mut self, rows: usize, n: usize, body: &str) -> Option<Dispatch> {
        if n <= SHORT {
            self.size("STEP", 1);
            self.define("fn all_sum(v: f32) -> f32 { return v; }\nfn all_max(v: f32) -> f32 { return v; }");
            let body = format!("    let row = i;\n{body}");
            return self.each(rows, &body);
        }
        let lanes = if n < LONG { 64 } else { LANES };
        self.size("STEP", lanes as usize);
        self.reduces(lanes, "f32");
        self.groups(rows, lanes, body)
    }

    /// Defines `all_sum` and `all_max` over a workgroup of `lanes` (a power of two), by one tree, of
    /// numbers or of vectors of them.
    pub(super) fn reduces(&mut self, lanes: u32, element: &str) -> &mut Self {
        self.share("partial", element, lanes as usize);
        for (name, join) in [("all_sum", "a + b"), ("all_max", "max(a, b)")] {
            let half = lanes / 2;
            let _ = writeln!(
                self.head,
                "fn {name}(v: {element}) -> {element} {{
    partial[lane] = v;
    workgroupBarrier();
    for (var s = {half}u; s > 0u; s >>= 1u) {{
        if (lane < s) {{
            let a = partial[lane];
            let b = partial[lane + s];
            partial[lane] = {join};
        }}
        workgroupBarrier();
    }}
    let all = partial[0];
    workgroupBarrier();
    return all;
}}"
            );
        }
        self
    }
}

/// The dispatches in order; what has no work is left out.
pub(super) fn steps(all: impl IntoIterator<Item = Option<Dispatch>>) -> Steps {
    Steps { dispatches: all.into_iter().flatten().collect(), scratch: vec![] }
}

/// The same with scratch memory of so many elements each.
pub(super) fn steps_with(scratch: &[usize], all: impl IntoIterator<Item = Option<Dispatch>>) -> Steps {
    Steps { scratch: scratch.iter().map(|&n| 4 * n.max(1)).collect(), ..steps(all) }
}

/// Zeros (or false) everywhere in result `k`.
pub(super) fn zeros(call: &Call<'_>, k: usize) -> Option<Dispatch> {
    let mut text = Text::new(call, "zeros");
    text.write("y", k);
    let zero = literal(0.0, call.outputs[k].dtype);
    text.each(call.outputs[k].shape.count(), &format!("    y[i] = {zero};\n"))
}

/// Statements that name the position of `i` in a shape: `{prefix}0`, `{prefix}1`, ...
pub(super) fn unravel(prefix: &str, i: &str, shape: &Shape) -> String {
    let (sizes, strides) = (shape.sizes(), shape.strides());
    let mut text = String::new();
    for (axis, &n) in sizes.iter().enumerate() {
        let stride = strides[axis];
        let _ = match (n, axis) {
            (1, _) => writeln!(text, "    let {prefix}{axis} = 0u;"),
            (_, 0) => writeln!(text, "    let {prefix}{axis} = {i} / {}u;", stride.max(1)),
            _ => writeln!(text, "    let {prefix}{axis} = {i} / {}u % {n}u;", stride.max(1)),
        };
    }
    text
}

/// Rows and their length.
pub(super) fn rows_of(ty: &Ty) -> (usize, usize) {
    let sizes = ty.shape.sizes();
    let n = sizes.last().copied().unwrap_or(1);
    (sizes.iter().rev().skip(1).product(), n)
}

/// The bytes of scratch memory from which `chunks` sums of `count` results each are added in order.
pub(super) fn add_chunks(call: &Call<'_>, output: usize, from: usize, chunks: usize) -> Option<Dispatch> {
    let count = call.outputs[output].shape.count();
    let mut text = Text::new(call, "sum");
    text.scratch("parts", from, "f32").write("y", output).size("COUNT", count).size("CHUNKS", chunks);
    text.each(
        count,
        "    var sum = 0.0f;
    for (var c = 0u; c < CHUNKS; c++) { sum += parts[c * COUNT + i]; }
    y[i] = sum;
",
    )
}
