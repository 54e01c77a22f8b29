//! From groups and locations to steps: operand access, registers, instructions that do the work of
//! two, and the bias and relu that a matrix product applies itself.

use super::step::{Feed, Group, Port, Product, Step};
use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::graph::{Cpu, Graph, Id, Node, Strided, TileOf};
use crate::kernels::tile::{Access, Instr, TileProgram};
use crate::kernels::tile_ops;
use crate::passes::fuse::{Fused, Fusion, Origin, Work};
use crate::passes::lower::reduced_axes;
use crate::passes::plan::{self, Loc, Plan};
use crate::shape::{DType, Shape};
use crate::simd::isa;
use std::collections::HashMap;

/// The steps of a planned graph.
pub(super) fn steps(graph: &Graph, fusion: &Fusion, plan: &Plan) -> Result<Vec<Step>> {
    let build = Build { graph, fusion, plan };
    fusion.works.iter().filter(|work| build.is_read(work)).map(|work| build.step(work)).collect()
}

/// The value of a constant leaf in memory.
pub(super) fn constant(graph: &Graph, id: Id) -> Result<Buffer> {
    let node = graph.node(id);
    match node.op.name {
        "scalar" => Buffer::from_slice(&[cell(node)]),
        _ => Buffer::from_slice(graph.data[node.attrs[0].int() as usize].as_slice()),
    }
}

/// A scalar leaf as the four bytes that kernels read.
fn cell(node: &Node) -> f32 {
    let value = node.attrs[0].float();
    if node.ty.dtype == DType::I32 { f32::from_bits(value as i32 as u32) } else { value as f32 }
}

struct Build<'a> {
    graph: &'a Graph,
    fusion: &'a Fusion,
    plan: &'a Plan,
}

impl Build<'_> {
    fn step(&self, work: &Work) -> Result<Step> {
        match work {
            Work::Fused(fused) => self.fused(fused),
            Work::Kernel(id) => self.kernel(*id),
            Work::Copy(id) => {
                let node = self.graph.node(*id);
                let types: Vec<_> = node.inputs.iter().map(|&i| self.graph.ty(i)).collect();
                let Cpu::Strided(rule) = node.op.cpu else {
                    return Err(bug("a copy of a node that is no movement"));
                };
                let strided = rule(&types, &node.attrs, node.ty)?;
                Ok(Step::Copy {
                    src: self.loc(node.inputs[0])?,
                    dims: node.ty.shape.dims().to_vec(),
                    strided,
                    dst: self.loc(*id)?,
                })
            }
        }
    }

    /// False for a group whose every value its readers now compute themselves.
    fn is_read(&self, work: &Work) -> bool {
        plan::members(work).iter().any(|id| self.plan.locs[id.at()].is_some())
    }

    /// Where a value lies in memory, through views.
    fn loc(&self, id: Id) -> Result<Loc> {
        let root = self.fusion.root(id);
        self.plan.locs[root.at()].ok_or_else(|| {
            bug(&format!("value {} ({}) has no memory", root.0, self.graph.node(root).op.name))
        })
    }

    fn kernel(&self, id: Id) -> Result<Step> {
        let node = self.graph.node(id);
        match node.op.cpu {
            Cpu::Step(run) => {
                let inputs = node
                    .inputs
                    .iter()
                    .map(|&i| Ok((self.loc(i)?, self.graph.ty(i))))
                    .collect::<Result<_>>()?;
                Ok(Step::Kernel {
                    name: node.op.name,
                    run,
                    inputs,
                    output: (self.loc(id)?, node.ty),
                    attrs: node.attrs.clone(),
                })
            }
            _ => Err(bug(&format!("op '{}' has no kernel", node.op.name))),
        }
    }

    fn fused(&self, fused: &Fused) -> Result<Step> {
        if let Some(head) = fused.head {
            return self.product(fused, head);
        }
        if let Some(tail) = fused.tail {
            return self.reduction(fused, tail);
        }
        Ok(Step::Tile(self.group(fused, &fused.nodes, None, None)?))
    }

    fn reduction(&self, fused: &Fused, tail: Id) -> Result<Step> {
        let node = self.graph.node(tail);
        let Cpu::Reduce(kind) = node.op.cpu else { return Err(bug("a tail that is no reduction")) };
        let input = node.inputs[0];
        let shape = self.graph.shape(input);
        let axes = reduced_axes(node, shape.rank());
        let dims = outer_run_inner(&shape, &axes);
        let int = self.graph.ty(input).dtype == DType::I32;
        let feed = if fused.nodes.is_empty() {
            Feed::Memory(self.loc(input)?)
        } else {
            let group = self.group(fused, &fused.nodes, None, Some(input))?;
            let out = group.outputs.len() - 1;
            Feed::Group(group, out)
        };
        Ok(Step::Reduce { kind, int, dims, feed, dst: self.loc(tail)? })
    }

    fn product(&self, fused: &Fused, head: Id) -> Result<Step> {
        let node = self.graph.node(head);
        let (ta, tb) = (node.attrs[0].flag(), node.attrs[1].flag());
        let (a, b) = (self.graph.shape(node.inputs[0]), self.graph.shape(node.inputs[1]));
        let (mut m, k) = last_two(&a, ta);
        let n = last_two(&b, tb).1;
        let batch = if b.dims()[..b.rank() - 2].iter().all(|&d| d == 1) && !ta {
            // One weight for the whole batch: the batch is more rows.
            m = a.count().checked_div(k).unwrap_or_else(|| a.dims()[..a.rank() - 1].iter().product());
            vec![(0, 0)]
        } else {
            batch_offsets(&a, &b, &node.ty.shape)
        };
        let (mut bias, mut relu) = (None, false);
        let mut result = head;
        let mut rest: Vec<Id> = fused.nodes.clone();
        if let Some((sum, loc)) = self.bias(fused, result, n) {
            bias = Some(loc);
            rest.retain(|&id| id != sum);
            result = sum;
        }
        if let Some(id) = self.only_reader(fused, result)
            && self.graph.node(id).op.name == "relu"
        {
            relu = true;
            rest.retain(|&x| x != id);
            result = id;
        }
        let epilogue =
            if rest.is_empty() { None } else { Some(self.group(fused, &rest, Some(result), None)?) };
        Ok(Step::Product(Box::new(Product {
            m,
            n,
            k,
            a: (self.loc(node.inputs[0])?, ta),
            b: (self.loc(node.inputs[1])?, tb),
            batch,
            c: self.plan.locs[result.at()],
            bias,
            relu,
            epilogue,
        })))
    }

    /// The one node that reads `id`, when nothing else does and `id` needs no memory.
    fn only_reader(&self, fused: &Fused, id: Id) -> Option<Id> {
        if self.plan.locs[id.at()].is_some() {
            return None;
        }
        let mut readers = fused.nodes.iter().filter(|&&n| self.graph.node(n).inputs.contains(&id));
        match (readers.next(), readers.next()) {
            (Some(&one), None) => Some(one),
            _ => None,
        }
    }

    /// `result + bias` with a bias per column, as the product itself can add it.
    fn bias(&self, fused: &Fused, result: Id, n: usize) -> Option<(Id, Loc)> {
        let sum = self.only_reader(fused, result)?;
        let node = self.graph.node(sum);
        if node.op.name != "add" || self.graph.ty(result).dtype != DType::F32 {
            return None;
        }
        let other = if node.inputs[0] == result { node.inputs[1] } else { node.inputs[0] };
        let shape = self.graph.shape(other);
        let row = shape.count() == n && shape.dims().last().copied().unwrap_or(1) == n;
        let outside = !fused.nodes.contains(&other)
            && matches!(self.fusion.origin[other.at()], Origin::Own | Origin::Same(_));
        if other == result || !row || !outside {
            return None;
        }
        self.loc(other).ok().map(|loc| (sum, loc))
    }

    /// Compiles `nodes` of a group. `head` arrives as a finished block; `keep` must be an output
    /// (the last one) even when it has no memory.
    fn group(&self, fused: &Fused, nodes: &[Id], head: Option<Id>, keep: Option<Id>) -> Result<Group> {
        let mut lines = Lines::new(self, fused.shape, nodes);
        lines.collect(head)?;
        lines.absorb(keep);
        lines.finish(keep)
    }
}

fn bug(what: &str) -> Error {
    Error::Internal(what.to_owned())
}

/// Sizes before, of and after a run of neighbouring axes.
fn outer_run_inner(shape: &Shape, axes: &[usize]) -> [usize; 3] {
    let dims = shape.dims();
    let wide: Vec<usize> = axes.iter().copied().filter(|&a| dims[a] != 1).collect();
    let (Some(&first), Some(&last)) = (wide.first(), wide.last()) else {
        return [shape.count(), 1, 1];
    };
    [dims[..first].iter().product(), dims[first..=last].iter().product(), dims[last + 1..].iter().product()]
}

fn last_two(shape: &Shape, transposed: bool) -> (usize, usize) {
    let d = &shape.dims()[shape.rank() - 2..];
    if transposed { (d[1], d[0]) } else { (d[0], d[1]) }
}

/// Element offsets of each product of a broadcast batch.
fn batch_offsets(a: &Shape, b: &Shape, out: &Shape) -> Vec<(usize, usize)> {
    let lead = out.rank() - 2;
    let steps = |s: &Shape| -> Vec<usize> {
        let strides = s.strides();
        let pad = out.rank() - s.rank();
        (0..lead).map(|i| if i < pad || s.dims()[i - pad] == 1 { 0 } else { strides[i - pad] }).collect()
    };
    let (sa, sb) = (steps(a), steps(b));
    let count: usize = out.dims()[..lead].iter().product();
    (0..count)
        .map(|mut item| {
            let (mut x, mut y) = (0, 0);
            for axis in (0..lead).rev() {
                let i = item % out.dims()[axis];
                item /= out.dims()[axis];
                x += i * sa[axis];
                y += i * sb[axis];
            }
            (x, y)
        })
        .collect()
}

/// How a value of `shape` (through `strided`, if any) is read by an iteration over `over`.
fn access(shape: &Shape, strided: Option<&Strided>, over: &Shape) -> Access {
    if over.count() <= 1 {
        return Access::Contiguous;
    }
    let own = shape.strides();
    let pad = over.rank() - shape.rank();
    let mut dims: Vec<usize> = vec![];
    let mut strides: Vec<isize> = vec![];
    for (i, &size) in over.dims().iter().enumerate() {
        if size == 1 {
            continue;
        }
        let stride = match strided {
            _ if i < pad || shape.dims()[i - pad] == 1 => 0,
            Some(s) => s.strides[i - pad],
            None => own[i - pad] as isize,
        };
        match strides.last() {
            Some(&outer) if outer == stride * size as isize => {
                *dims.last_mut().unwrap_or(&mut 1) *= size;
                *strides.last_mut().unwrap_or(&mut 0) = stride;
            }
            _ => {
                dims.push(size);
                strides.push(stride);
            }
        }
    }
    match (dims.as_slice(), strides.as_slice()) {
        (_, [0]) => Access::Splat,
        (_, [1]) => Access::Contiguous,
        (&[_, period], [0, 1]) => Access::Cycle(period),
        (&[_, run], [1, 0]) => Access::Hold(run),
        _ => Access::Strided { dims, strides },
    }
}

/// A group's program with symbolic operands.
struct Lines<'a> {
    build: &'a Build<'a>,
    over: Shape,
    nodes: &'a [Id],
    ports: Vec<Port>,
    accesses: Vec<Access>,
    /// Operands that are read from this slot at the same element.
    slots: Vec<Option<usize>>,
    lines: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq)]
enum Operand {
    Input(usize),
    Value(Id),
}

struct Line {
    id: Id,
    f: TileOf,
    args: Vec<Operand>,
    name: &'static str,
}

/// `outer` reads `inner` as one of the operands `sides`: both become `into`. `args` makes its
/// operands from the other ones of `outer` and those of `inner`, if they fit.
struct Absorb {
    outer: &'static str,
    sides: &'static [usize],
    inner: &'static str,
    into: &'static str,
    f: TileOf,
    args: fn(&[Operand], &[Operand]) -> Option<Vec<Operand>>,
}

macro_rules! absorb {
    ($($outer:literal $sides:tt $inner:literal => $into:ident, |$o:ident, $p:ident| $args:expr;)*) => {
        &[$(Absorb {
            outer: $outer,
            sides: &$sides,
            inner: $inner,
            into: stringify!($into),
            f: tile_ops::$into,
            args: |$o, $p| $args,
        }),*]
    };
}

/// Earlier rules win.
const ABSORB: &[Absorb] = absorb! {
    "add" [0, 1] "multiply" => fma, |o, p| Some(vec![p[0], p[1], o[0]]);
    "add" [0, 1] "square" => fma, |o, p| Some(vec![p[0], p[0], o[0]]);
    "subtract" [1] "multiply" => fnma, |o, p| Some(vec![p[0], p[1], o[0]]);
    "subtract" [1] "square" => fnma, |o, p| Some(vec![p[0], p[0], o[0]]);
    "subtract" [0] "multiply" => fms, |o, p| Some(vec![p[0], p[1], o[0]]);
    "subtract" [0] "square" => fms, |o, p| Some(vec![p[0], p[0], o[0]]);
    "fma" [0, 1] "subtract" => lerp, |o, p| (p[1] == o[1]).then(|| vec![p[1], p[0], o[0]]);
    "add" [0, 1] "sqrt" => root_sum, |o, p| Some(vec![p[0], o[0]]);
    "divide" [1] "root_sum" => div_root, |o, p| Some(vec![o[0], p[0], p[1]]);
    "add" [0, 1] "add" => sum3, |o, p| Some(vec![p[0], p[1], o[0]]);
};

impl<'a> Lines<'a> {
    fn new(build: &'a Build<'a>, over: Shape, nodes: &'a [Id]) -> Lines<'a> {
        Lines { build, over, nodes, ports: vec![], accesses: vec![], slots: vec![], lines: vec![] }
    }

    fn collect(&mut self, head: Option<Id>) -> Result<()> {
        let mut known: HashMap<Id, Operand> = HashMap::new();
        if let Some(head) = head {
            known.insert(head, self.input(Port::Head, Access::Contiguous));
        }
        for &id in self.nodes {
            let node = self.build.graph.node(id);
            let Cpu::Tile { float, int } = node.op.cpu else {
                return Err(bug("a group member without a tile kernel"));
            };
            let ints = self.build.graph.ty(node.inputs[0]).dtype == DType::I32;
            let f = match int {
                Some(int) if ints => int,
                _ => float,
            };
            let mut args = vec![];
            for &input in &node.inputs {
                let operand = match known.get(&input) {
                    Some(&operand) => operand,
                    None => {
                        let operand = self.external(input)?;
                        known.insert(input, operand);
                        operand
                    }
                };
                args.push(operand);
            }
            known.insert(id, Operand::Value(id));
            self.lines.push(Line { id, f, args, name: node.op.name });
        }
        Ok(())
    }

    fn input(&mut self, port: Port, access: Access) -> Operand {
        let slot = match (port, &access) {
            (Port::At(Loc::Input(slot), 0), Access::Contiguous) => Some(slot),
            _ => None,
        };
        self.ports.push(port);
        self.accesses.push(access);
        self.slots.push(slot);
        Operand::Input(self.ports.len() - 1)
    }

    fn external(&mut self, id: Id) -> Result<Operand> {
        let graph = self.build.graph;
        let (from, strided) = match &self.build.fusion.origin[id.at()] {
            Origin::Chosen(of, strided) => (*of, Some(strided)),
            _ => (id, None),
        };
        let root = self.build.fusion.root(from);
        let leaf = graph.node(root);
        if leaf.op.name == "scalar" {
            return Ok(self.input(Port::Inside, Access::Constant(cell(leaf))));
        }
        let loc = self.build.loc(from)?;
        let offset = strided.map_or(0, |s| s.offset);
        let access = access(&graph.shape(id), strided, &self.over);
        Ok(self.input(Port::At(loc, offset), access))
    }

    /// Two instructions in one where [`ABSORB`] says so and the first result is read once.
    fn absorb(&mut self, keep: Option<Id>) {
        let mut i = 0;
        while i < self.lines.len() {
            while let Some((at, args, rule)) = self.absorbable(i, keep) {
                let line = &mut self.lines[i];
                (line.args, line.f, line.name) = (args, rule.f, rule.into);
                self.lines.remove(at);
                i -= 1;
            }
            i += 1;
        }
    }

    /// The line that line `i` can absorb, and what line `i` becomes.
    fn absorbable(&self, i: usize, keep: Option<Id>) -> Option<(usize, Vec<Operand>, &'static Absorb)> {
        let line = &self.lines[i];
        if self.build.graph.ty(line.id).dtype != DType::F32 {
            return None;
        }
        ABSORB.iter().filter(|rule| rule.outer == line.name).find_map(|rule| {
            rule.sides.iter().find_map(|&side| {
                let Operand::Value(x) = line.args[side] else { return None };
                let at = self.lines.iter().position(|l| l.id == x && l.name == rule.inner)?;
                let reads: usize = self
                    .lines
                    .iter()
                    .map(|l| l.args.iter().filter(|&&a| a == Operand::Value(x)).count())
                    .sum();
                let mut rest = line.args.clone();
                rest.remove(side);
                let args = (rule.args)(&rest, &self.lines[at].args)?;
                (reads == 1 && keep != Some(x) && self.build.plan.locs[x.at()].is_none())
                    .then_some((at, args, rule))
            })
        })
    }

    /// Gives every value an operand: outputs their own, the rest temporaries that are reused.
    fn finish(self, keep: Option<Id>) -> Result<Group> {
        let plan = self.build.plan;
        let n_in = self.ports.len();
        let mut outputs: Vec<(Id, Option<Loc>)> = self
            .lines
            .iter()
            .filter(|l| Some(l.id) != keep)
            .filter_map(|l| plan.locs[l.id.at()].map(|loc| (l.id, Some(loc))))
            .collect();
        if let Some(id) = keep {
            outputs.push((id, plan.locs[id.at()]));
        }
        let mut last = HashMap::new();
        for (i, line) in self.lines.iter().enumerate() {
            for arg in &line.args {
                if let Operand::Value(id) = arg {
                    last.insert(*id, i);
                }
            }
        }
        let mut place: HashMap<Id, u16> = HashMap::new();
        let mut free: Vec<u16> = vec![];
        let mut temps = 0u16;
        let first_temp = (n_in + outputs.len()) as u16;
        let mut code = vec![];
        let mut stores = vec![];
        for (i, line) in self.lines.iter().enumerate() {
            let args: Vec<u16> = line
                .args
                .iter()
                .map(|arg| match arg {
                    Operand::Input(k) => *k as u16,
                    Operand::Value(id) => place[id],
                })
                .collect();
            let out = outputs.iter().position(|(id, _)| *id == line.id);
            for arg in &line.args {
                if let Operand::Value(id) = arg
                    && last[id] == i
                    && place[id] >= first_temp
                    && !free.contains(&place[id])
                {
                    free.push(place[id]);
                }
            }
            let early = out.is_some_and(|o| self.read_later(outputs[o].1, i));
            let dst = match out {
                Some(o) if !early => (n_in + o) as u16,
                _ => free.pop().unwrap_or_else(|| {
                    temps += 1;
                    first_temp + temps - 1
                }),
            };
            if let (Some(o), true) = (out, early) {
                // The old value in this memory is still wanted: store at the end, and hold the
                // temporary until then.
                stores.push(((n_in + o) as u16, dst));
                last.insert(line.id, usize::MAX);
            }
            place.insert(line.id, dst);
            let first = args.first().copied().unwrap_or(dst);
            let arg = |k: usize| args.get(k).copied().unwrap_or(first);
            code.push(Instr { f: (line.f)(isa()), dst, args: [arg(0), arg(1), arg(2)] });
        }
        for (dst, from) in stores {
            code.push(Instr { f: tile_ops::copy(isa()), dst, args: [from; 3] });
        }
        Ok(Group {
            program: TileProgram::new(self.accesses, outputs.len(), temps as usize, code),
            inputs: self.ports,
            outputs: outputs.into_iter().map(|(_, loc)| loc).collect(),
            count: self.over.count(),
        })
    }

    /// Does a line after `i` read the old value of the slot that `loc` overwrites?
    fn read_later(&self, loc: Option<Loc>, i: usize) -> bool {
        let Some(Loc::Input(slot)) = loc else { return false };
        self.lines[i + 1..]
            .iter()
            .any(|l| l.args.iter().any(|a| matches!(a, Operand::Input(k) if self.slots[*k] == Some(slot))))
    }
}
