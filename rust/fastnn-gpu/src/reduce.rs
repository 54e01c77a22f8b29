//! Reductions: lanes of a workgroup walk the run, a fixed tree joins them; long runs of few results
//! are cut into chunks whose partial results a second kernel joins. Fixed order, so the same bits.

use crate::dispatch::{Arg, Call, Dispatch, Kernel, Steps, Use};
use crate::math;
use crate::render::{GROUP, Inset, binding};
use crate::text::{Cell, float};
use fastnn::error::{Error, Result};
use fastnn::graph::Reduce;

/// Elements of a chunk at least.
const CHUNK: usize = 4096;
/// With this many invocations there is enough to do for any device.
const PLENTY: usize = 1 << 16;

/// What a kernel reduces: `run` elements for each of `outer` and `inner`.
#[derive(Debug, Clone, Copy)]
struct Extent {
    outer: usize,
    run: usize,
    inner: usize,
    /// Elements of the run that one workgroup takes.
    chunk: usize,
}

impl Extent {
    fn chunks(&self) -> usize {
        self.run.div_ceil(self.chunk).max(1)
    }
    fn results(&self) -> usize {
        self.outer * self.inner
    }
    /// Invocations that share a result.
    fn lanes(&self) -> usize {
        let most = if self.inner == 1 { GROUP } else { 16 };
        let wanted = if self.chunk <= 32 { 1 } else { self.chunk / 8 };
        let mut lanes = 1;
        while lanes * 2 <= wanted.min(most) {
            lanes *= 2;
        }
        lanes
    }
}

/// What a reduction reads from memory: `fn load(i: u32)`.
fn stored(from: Arg, cell: Cell) -> Inset {
    let text = format!(
        "{}fn load(i: u32) -> {} {{ return x[i]; }}\n",
        binding(0, "x", cell, Use::Read),
        cell.name()
    );
    Inset { text, start: "", bindings: vec![(from, Use::Read)] }
}

/// No elements, which no memory holds.
#[must_use]
pub fn nothing(call: &Call<'_>) -> Inset {
    let ty = Cell::of(call.inputs[0].dtype).name();
    Inset { text: format!("fn load(i: u32) -> {ty} {{ return {ty}(); }}\n"), start: "", bindings: vec![] }
}

/// The dispatches of a reduction, seen as `[outer, run, inner]`, of input 0, or of what `fn load(i: u32)` of
/// `from` gives, which is asked once for each element.
pub fn reduce(call: &Call<'_>, kind: Reduce, dims: [usize; 3], from: Option<Inset>) -> Result<Steps> {
    let [outer, run, inner] = dims;
    let cell = Cell::of(call.inputs[0].dtype);
    let from = from.unwrap_or_else(|| stored(Arg::Input(0), cell));
    let mut extent = Extent { outer, run, inner, chunk: run.max(1) };
    let positions = matches!(kind, Reduce::ArgMax | Reduce::ArgMin);
    if !positions && run > CHUNK && extent.results() * extent.lanes() < PLENTY {
        extent.chunk = run.div_ceil(256).max(CHUNK).next_multiple_of(GROUP);
    }
    let results = extent.results();
    if extent.chunks() == 1 {
        return Ok(Steps {
            dispatches: vec![dispatch(call, kind, cell, extent, Some(run), from, Arg::Output(0))?],
            scratch: vec![],
        });
    }
    let chunks = extent.chunks();
    let join = Extent { outer: 1, run: chunks, inner: results, chunk: chunks };
    Ok(Steps {
        dispatches: vec![
            dispatch(call, kind, cell, extent, None, from, Arg::Scratch(0))?,
            dispatch(call, kind, cell, join, Some(run), stored(Arg::Scratch(0), cell), Arg::Output(0))?,
        ],
        scratch: vec![chunks * results * 4],
    })
}

/// One kernel. `divisor`: what a mean is divided by, in the kernel that ends it.
fn dispatch(
    call: &Call<'_>,
    kind: Reduce,
    cell: Cell,
    extent: Extent,
    divisor: Option<usize>,
    from: Inset,
    to: Arg,
) -> Result<Dispatch> {
    let Extent { run, inner, chunk, .. } = extent;
    let (lanes, results, chunks) = (extent.lanes(), extent.results(), extent.chunks());
    let columns = GROUP / lanes;
    let positions = matches!(kind, Reduce::ArgMax | Reduce::ArgMin);
    let (start, join) = operation(kind, cell)?;
    let ty = cell.name();
    let out = if positions { Cell::Int } else { cell };
    // Neighbouring invocations read neighbouring elements.
    let (lane, column, step) = if inner == 1 {
        (format!("local % {lanes}u"), format!("local / {lanes}u"), 1)
    } else {
        (format!("local / {columns}u"), format!("local % {columns}u"), columns)
    };
    let total = results * chunks;
    let mut tree = String::new();
    let mut half = lanes / 2;
    while half > 0 {
        let other = half * step;
        tree += &if positions {
            format!(
                "  if (lane < {half}u) {{
    if (better(part[local], place[local], part[local + {other}u], place[local + {other}u])) {{
      part[local] = part[local + {other}u];
      place[local] = place[local + {other}u];
    }}
  }}
  workgroupBarrier();
"
            )
        } else {
            format!(
                "  if (lane < {half}u) {{ part[local] = join(part[local], part[local + {other}u]); }}
  workgroupBarrier();
"
            )
        };
        half /= 2;
    }
    if !tree.is_empty() {
        let place = if positions { "  place[local] = at;\n" } else { "" };
        let back = if positions { "  at = place[local];\n" } else { "" };
        tree =
            format!("  part[local] = acc;\n{place}  workgroupBarrier();\n{tree}  acc = part[local];\n{back}");
    }
    let shared = match (lanes > 1, positions) {
        (false, _) => String::new(),
        (true, false) => format!("var<workgroup> part: array<{ty}, {GROUP}>;\n"),
        (true, true) => format!(
            "var<workgroup> part: array<{ty}, {GROUP}>;\nvar<workgroup> place: array<u32, {GROUP}>;\n"
        ),
    };
    let body = if positions {
        "let e = load(base + k * INNERu);
      if (better(acc, at, e, k)) { acc = e; at = k; }"
    } else {
        "acc = join(acc, load(base + k * INNERu));"
    }
    .replace("INNER", &inner.to_string());
    let value = match (positions, kind, divisor) {
        (true, ..) => "i32(at)".to_owned(),
        (_, Reduce::Mean, Some(0)) => "math_nan()".to_owned(),
        (_, Reduce::Mean, Some(n)) => format!("acc / {}", float(n as f32)),
        _ => "acc".to_owned(),
    };
    let at = if positions { "  var at = 0xffffffffu;\n" } else { "" };
    let wgsl = format!(
        "{load}{y}{shared}{join}
@compute @workgroup_size({GROUP})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {{
{keep}  let lane = {lane};
  let o = (group.y * groups.x + group.x) * {columns}u + {column};
  var acc: {ty} = {start};
{at}  if (o < {total}u) {{
    let result = o % {results}u;
    let first = (o / {results}u) * {chunk}u;
    let base = (result / {inner}u) * {block}u + result % {inner}u;
    let end = min(first + {chunk}u, {run}u);
    for (var k = first + lane; k < end; k += {lanes}u) {{
      {body}
    }}
  }}
{tree}  if (lane == 0u && o < {total}u) {{ y[o] = {value}; }}
}}
",
        load = from.text,
        keep = from.start,
        y = binding(from.bindings.len(), "y", out, Use::ReadWrite),
        results = results.max(1),
        inner = inner.max(1),
        block = run * inner,
    );
    let words = if positions { 2 } else { 1 };
    let (args, bindings) = from.bindings.into_iter().chain([(to, Use::ReadWrite)]).unzip();
    Ok(Dispatch {
        kernel: Kernel {
            name: call.name.into(),
            wgsl: math::complete(&wgsl),
            workgroup: [GROUP as u32, 1, 1],
            workgroup_bytes: if lanes > 1 { GROUP * 4 * words } else { 0 },
            bindings,
        },
        args,
        grid: call.grid(total.div_ceil(columns)),
    })
}

/// The value of no elements, and the function that joins two results.
fn operation(kind: Reduce, cell: Cell) -> Result<(String, String)> {
    let ty = cell.name();
    let join = |body: &str| format!("fn join(a: {ty}, b: {ty}) -> {ty} {{ return {body}; }}");
    let number = |value: f64| cell.literal(value);
    let refused = || Error::Internal(format!("a reduction {kind:?} of {ty}"));
    Ok(match (kind, cell) {
        (Reduce::Sum | Reduce::Mean, _) => (number(0.0), join("a + b")),
        (Reduce::Prod, _) => (number(1.0), join("a * b")),
        (Reduce::Max, Cell::Float) => (number(f64::NEG_INFINITY), join("math_max(a, b)")),
        (Reduce::Min, Cell::Float) => (number(f64::INFINITY), join("math_min(a, b)")),
        (Reduce::Max, Cell::Int) => ("bitcast<i32>(0x80000000u)".into(), join("max(a, b)")),
        (Reduce::Min, Cell::Int) => (number(f64::from(i32::MAX)), join("min(a, b)")),
        (Reduce::Max, Cell::Truth) => (number(0.0), join("max(a, b)")),
        (Reduce::Min, Cell::Truth) => (number(1.0), join("min(a, b)")),
        (Reduce::ArgMax | Reduce::ArgMin, Cell::Float) => {
            let beats = if kind == Reduce::ArgMax { "e > v" } else { "e < v" };
            // No position is the largest number. NaN beats all, and the first of equals wins.
            let better = format!(
                "fn better(v: f32, at: u32, e: f32, k: u32) -> bool {{
  if (k == 0xffffffffu) {{ return false; }}
  if (at == 0xffffffffu) {{ return true; }}
  let old = math_is_nan(v);
  let fresh = math_is_nan(e);
  if (old || fresh) {{ return fresh && (!old || k < at); }}
  return ({beats}) || (e == v && k < at);
}}"
            );
            (number(0.0), better)
        }
        _ => return Err(refused()),
    })
}
