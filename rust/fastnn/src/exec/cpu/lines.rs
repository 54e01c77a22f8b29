//! From the lines of a group to a program of the tile machine: instructions that do the work of two,
//! registers, and the order of stores over old values.

mod patterns;

use super::step::{Group, Port};
use super::table::{self, Kernel};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, OpDef};
use crate::kernels::stored;
use crate::kernels::tile::{Access, Instr, Stores, TileProgram};
use crate::kernels::tile_fat::Fat;
use crate::kernels::tile_ops::{self, TileOf};
use crate::ops::compare::{LESS, WHERE};
use crate::ops::elementwise::{ABSOLUTE, ADD, DIVIDE, MULTIPLY, SQRT, SQUARE, SUBTRACT};
use crate::passes::group::{self, Operand};
use crate::passes::plan::{Loc, Plan};
use crate::shape::DType;
use crate::simd::isa;
use smallvec::SmallVec;
use std::collections::HashMap;

/// What a line does: the work of a row, or of an instruction made from two.
#[derive(Clone, Copy, PartialEq)]
enum Code {
    Row(&'static OpDef),
    Made(&'static str),
}

struct Line {
    id: Id,
    code: Code,
    f: Work,
    args: Vec<Operand>,
}

/// How a line is computed.
enum Work {
    One(TileOf),
    /// These results of a pattern, of which the line's own is the last to be computed.
    Many(&'static Fat, Vec<Id>),
}

/// `outer` reads `inner` as one of the operands `sides`: both become `into`. `args` makes its
/// operands from the other ones of `outer` and those of `inner`, if they fit.
struct Absorb {
    outer: Code,
    sides: &'static [usize],
    inner: Code,
    into: Code,
    f: TileOf,
    args: fn(&[Operand], &[Operand]) -> Option<Vec<Operand>>,
}

macro_rules! absorb {
    (@code $row:ident) => { Code::Row(&$row) };
    (@code ($made:ident)) => {{
        const _: TileOf = tile_ops::$made;
        Code::Made(stringify!($made))
    }};
    ($($outer:tt $sides:tt $inner:tt => $into:ident, |$o:ident, $p:ident| $args:expr;)*) => {
        &[$(Absorb {
            outer: absorb!(@code $outer),
            sides: &$sides,
            inner: absorb!(@code $inner),
            into: absorb!(@code ($into)),
            f: tile_ops::$into,
            args: |$o, $p| $args,
        }),*]
    };
}

/// Earlier rules win. In brackets: what an earlier absorption made.
const ABSORB: &[Absorb] = absorb! {
    ADD [0, 1] MULTIPLY => fma, |o, p| Some(vec![p[0], p[1], o[0]]);
    ADD [0, 1] SQUARE => fma, |o, p| Some(vec![p[0], p[0], o[0]]);
    SUBTRACT [1] MULTIPLY => fnma, |o, p| Some(vec![p[0], p[1], o[0]]);
    SUBTRACT [1] SQUARE => fnma, |o, p| Some(vec![p[0], p[0], o[0]]);
    SUBTRACT [0] MULTIPLY => fms, |o, p| Some(vec![p[0], p[1], o[0]]);
    SUBTRACT [0] SQUARE => fms, |o, p| Some(vec![p[0], p[0], o[0]]);
    (fma) [0, 1] SUBTRACT => lerp, |o, p| (p[1] == o[1]).then(|| vec![p[1], p[0], o[0]]);
    ADD [0, 1] SQRT => root_sum, |o, p| Some(vec![p[0], o[0]]);
    DIVIDE [1] (root_sum) => div_root, |o, p| Some(vec![o[0], p[0], p[1]]);
    ADD [0, 1] ADD => sum3, |o, p| Some(vec![p[0], p[1], o[0]]);
    LESS [0] ABSOLUTE => abs_less, |o, p| Some(vec![p[0], o[0]]);
    WHERE [0] (abs_less) => flush, |o, p| (p[0] == o[1]).then(|| vec![p[0], p[1], o[0]]);
};

/// A group's program with symbolic operands, under way to the tile machine.
pub(super) struct Lines<'a> {
    graph: &'a Graph,
    plan: &'a Plan,
    count: usize,
    ports: Vec<Port>,
    accesses: Vec<Access>,
    /// The storage types of operands and results in memory.
    stores: Stores,
    /// Operands that are read from this memory at the same element.
    places: Vec<Option<Loc>>,
    lines: Vec<Line>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(graph: &'a Graph, plan: &'a Plan, group: group::Lines) -> Result<Lines<'a>> {
        let mut out = Lines {
            graph,
            plan,
            count: group.over.count(),
            ports: vec![],
            accesses: vec![],
            stores: Stores::default(),
            places: vec![],
            lines: vec![],
        };
        for port in group.ports {
            out.port(port)?;
        }
        for group::Line { id, op, args, whole } in group.lines {
            let f = match table::kernel(op) {
                Some(Kernel::Tile { int: Some(int), .. }) if whole => int,
                Some(Kernel::Tile { float, .. }) => float,
                _ => return Err(Error::Internal(format!("'{}' has no tile kernel", op.name))),
            };
            out.lines.push(Line { id, code: Code::Row(op), f: Work::One(f), args });
        }
        Ok(out)
    }

    fn port(&mut self, port: group::Port) -> Result<()> {
        let (port, access) = match port {
            group::Port::Head => (Port::Head, Access::Contiguous),
            group::Port::Constant { value, dtype } => {
                (Port::Inside, Access::Constant(stored::register(value, dtype)))
            }
            group::Port::Memory { of, offset, access } => {
                let loc = self.plan.locs[of.at()].ok_or_else(|| {
                    let name = self.graph.node(of).op.name;
                    Error::Internal(format!("value {} ({name}) has no memory", of.0))
                })?;
                let dtype = self.graph.ty(of).dtype;
                self.stores.input(self.ports.len(), dtype);
                (Port::At(loc, offset * dtype.size() as isize), access)
            }
        };
        self.places.push(match (port, &access) {
            (Port::At(loc, 0), Access::Contiguous) => Some(loc),
            _ => None,
        });
        self.ports.push(port);
        self.accesses.push(access);
        Ok(())
    }

    /// Two instructions in one where [`ABSORB`] says so and the first result is read once.
    pub(super) fn absorb(&mut self, keep: Option<Id>) {
        let mut i = 0;
        while i < self.lines.len() {
            while let Some((at, args, rule)) = self.absorbable(i, keep) {
                let line = &mut self.lines[i];
                (line.args, line.f, line.code) = (args, Work::One(rule.f), rule.into);
                self.lines.remove(at);
                i -= 1;
            }
            i += 1;
        }
        self.join(keep);
    }

    /// The line that line `i` can absorb, and what line `i` becomes.
    fn absorbable(&self, i: usize, keep: Option<Id>) -> Option<(usize, Vec<Operand>, &'static Absorb)> {
        let line = &self.lines[i];
        let floats = |id: Id| matches!(self.graph.ty(id).dtype, DType::F32 | DType::Bool);
        if !floats(line.id) {
            return None;
        }
        ABSORB.iter().filter(|rule| rule.outer == line.code).find_map(|rule| {
            rule.sides.iter().find_map(|&side| {
                let Operand::Value(x) = line.args[side] else { return None };
                let at = self.lines.iter().position(|l| l.id == x && l.code == rule.inner)?;
                let reads = self.reads(x);
                let mut rest = line.args.clone();
                rest.remove(side);
                let args = (rule.args)(&rest, &self.lines[at].args)?;
                (reads == 1 && floats(x) && keep != Some(x) && self.plan.locs[x.at()].is_none())
                    .then_some((at, args, rule))
            })
        })
    }

    /// How often lines read a value.
    fn reads(&self, id: Id) -> usize {
        self.lines.iter().flat_map(|l| &l.args).filter(|&&a| a == Operand::Value(id)).count()
    }

    /// Gives every value an operand: outputs their own, the rest temporaries that are reused.
    pub(super) fn finish(mut self, keep: Option<Id>) -> Result<Group> {
        let plan = self.plan;
        let n_in = self.ports.len();
        let mut outputs: Vec<(Id, Option<Loc>)> = self
            .lines
            .iter()
            .flat_map(Line::results)
            .filter(|&&id| Some(id) != keep)
            .filter_map(|&id| plan.locs[id.at()].map(|loc| (id, Some(loc))))
            .collect();
        if let Some(id) = keep {
            outputs.push((id, plan.locs[id.at()]));
        }
        for (at, (id, _)) in outputs.iter().enumerate() {
            self.stores.output(at, self.graph.ty(*id).dtype);
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
                    Operand::Port(k) => *k as u16,
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
            let f = match &line.f {
                Work::One(f) => f(isa()),
                Work::Many(fat, results) => {
                    let mut ops = SmallVec::new();
                    for id in results {
                        // A pattern matches only where all results have memory.
                        let Some(o) = outputs.iter().position(|(out, _)| out == id) else {
                            return Err(Error::Internal(format!("result {} has no memory", id.0)));
                        };
                        place.insert(*id, (n_in + o) as u16);
                        ops.push((n_in + o) as u16);
                    }
                    ops.extend(args);
                    code.push(Instr::Fat { of: fat, f: (fat.kernel)(isa()), ops });
                    continue;
                }
            };
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
            code.push(Instr::Thin { f, dst, args: [arg(0), arg(1), arg(2)] });
        }
        for (dst, from) in stores {
            code.push(Instr::Thin { f: tile_ops::copy(isa()), dst, args: [from; 3] });
        }
        Ok(Group {
            program: TileProgram::with_stores(
                self.accesses,
                self.stores,
                outputs.len(),
                temps as usize,
                code,
            ),
            inputs: self.ports,
            outputs: outputs.into_iter().map(|(_, loc)| loc).collect(),
            count: self.count,
        })
    }

    /// Does a line after `i` read the old value of the memory that `loc` overwrites?
    fn read_later(&self, loc: Option<Loc>, i: usize) -> bool {
        loc.is_some()
            && self.lines[i + 1..]
                .iter()
                .any(|l| l.args.iter().any(|a| matches!(a, Operand::Port(k) if self.places[*k] == loc)))
    }
}
