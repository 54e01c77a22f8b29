//! Lines that one instruction with several results computes together: the step of an optimiser. Found
//! by pattern after the absorptions, and only where nothing could see the difference.

use super::{Code, Line, Lines, Work};
use crate::graph::Id;
use crate::kernels::tile::Access;
use crate::kernels::tile_fat::{ALL, Fat};
use crate::ops::elementwise::{ADD, DIVIDE, MULTIPLY, SQRT, SQUARE, SUBTRACT};
use crate::passes::group::Operand;
use crate::shape::DType;

/// What the values of a pattern are, as far as it is known.
type Found = Vec<Option<Operand>>;

impl Lines<'_> {
    /// Makes one line of every group of lines that matches a pattern.
    pub(super) fn join(&mut self, keep: Option<Id>) {
        let mut i = self.lines.len();
        while i > 0 {
            i -= 1;
            let Some((fat, found)) = ALL.iter().find_map(|fat| Some((*fat, self.matching(fat, i, keep)?)))
            else {
                continue;
            };
            let value = |v: &u8| found[usize::from(*v)];
            let id = |v: &u8| if let Some(Operand::Value(id)) = value(v) { Some(id) } else { None };
            let results: Vec<Id> = fat.results.iter().filter_map(id).collect();
            let gone: Vec<Id> = fat.lines.iter().filter_map(|line| id(&line.result)).collect();
            let line = &mut self.lines[i];
            line.args = fat.inputs.iter().chain(fat.numbers).filter_map(value).collect();
            line.f = Work::Many(fat, results);
            line.code = Code::Made("");
            let last = line.id;
            self.lines.retain(|l| l.id == last || !gone.contains(&l.id));
            i = self.lines.iter().position(|l| l.id == last).unwrap_or(0);
        }
    }

    /// The values of the pattern whose last line is line `i`.
    fn matching(&self, fat: &Fat, i: usize, keep: Option<Id>) -> Option<Found> {
        let last = fat.lines.len() - 1;
        let found = self.unify(fat, last, i, vec![None; fat.values()])?;
        for (at, line) in fat.lines.iter().enumerate() {
            let Some(Operand::Value(id)) = found[usize::from(line.result)] else { return None };
            let place = self.plan.locs[id.at()];
            let wanted = fat.results.contains(&line.result);
            if wanted != place.is_some() || keep == Some(id) || self.graph.ty(id).dtype != DType::F32 {
                return None;
            }
            let reads = fat.lines.iter().flat_map(|l| l.args).filter(|&&a| a == line.result).count();
            // Nobody else reads what is not stored, and who reads a result comes later; all results are
            // written here, so nobody may want what lay there before.
            let early = self.lines[..i]
                .iter()
                .any(|l| l.args.contains(&Operand::Value(id)) && !is_line(fat, &found, l.id));
            if !wanted && self.reads(id) != reads || early && at != last || self.read_later(place, i) {
                return None;
            }
        }
        let is_number = |v: &u8| {
            matches!(found[usize::from(*v)], Some(Operand::Port(k))
                if matches!(self.accesses[k], Access::Constant(_) | Access::Splat))
        };
        fat.numbers.iter().all(is_number).then_some(found)
    }

    /// Is line `i` line `at` of the pattern, with the values found so far? Those found then.
    fn unify(&self, fat: &Fat, at: usize, i: usize, mut found: Found) -> Option<Found> {
        let (wanted, line) = (&fat.lines[at], &self.lines[i]);
        if code(wanted.op) != line.code || !matches!(line.f, Work::One(_)) {
            return None;
        }
        bind(&mut found, wanted.result, Operand::Value(line.id))?;
        let given = &line.args[..wanted.args.len()];
        let swaps = matches!(wanted.op, "add" | "mul" | "fma" | "fnma" | "fms");
        for swapped in [false, true] {
            if swapped && !swaps {
                break;
            }
            let mut given = given.to_vec();
            if swapped {
                given.swap(0, 1);
            }
            let mut next = Some(found.clone());
            for (&value, &operand) in wanted.args.iter().zip(&given) {
                next = next.and_then(|found| self.argument(fat, value, operand, found));
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }

    fn argument(&self, fat: &Fat, value: u8, operand: Operand, mut found: Found) -> Option<Found> {
        let known = found[usize::from(value)].is_some();
        bind(&mut found, value, operand)?;
        let Some(at) = fat.lines.iter().position(|l| l.result == value).filter(|_| !known) else {
            return Some(found);
        };
        let Operand::Value(id) = operand else { return None };
        let i = self.lines.iter().position(|l| l.id == id)?;
        self.unify(fat, at, i, found)
    }
}

/// Does a line of the pattern compute this value?
fn is_line(fat: &Fat, found: &Found, id: Id) -> bool {
    fat.lines.iter().any(|l| found[usize::from(l.result)] == Some(Operand::Value(id)))
}

fn bind(found: &mut Found, value: u8, operand: Operand) -> Option<()> {
    let slot = &mut found[usize::from(value)];
    (slot.is_none() || *slot == Some(operand)).then(|| *slot = Some(operand))
}

/// What lines that an operation of the tile machine computes are called.
fn code(op: &'static str) -> Code {
    match op {
        "add" => Code::Row(&ADD),
        "sub" => Code::Row(&SUBTRACT),
        "mul" => Code::Row(&MULTIPLY),
        "div" => Code::Row(&DIVIDE),
        "sqrt" => Code::Row(&SQRT),
        "square" => Code::Row(&SQUARE),
        made => Code::Made(made),
    }
}

impl Line {
    /// All values that the line computes.
    pub(super) fn results(&self) -> &[Id] {
        match &self.f {
            Work::Many(_, results) => results,
            Work::One(_) => std::slice::from_ref(&self.id),
        }
    }
}
