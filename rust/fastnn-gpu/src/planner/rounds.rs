//! Long loops: a round is planned once, over the memory of the whole loop, and its dispatches are repeated.
//! Carries lie where the results do; a counter says which slices a round reads, and where what it gives goes.

use super::{Builder, grouped};
use crate::dispatch::{Kernel, Limits, Use};
use crate::laying;
use crate::program::{Program, Role};
use crate::render::{GROUP, binding, grid, head};
use crate::text::Cell;
use crate::unroll;
use fastnn::data_err;
use fastnn::error::{Error, Result};
use fastnn::graph::{Id, Ty, part_type};
use fastnn::ops::scan::Scan;
use fastnn::passes::plan::{self, Layout, Loc};
use fastnn::passes::verify;
use fastnn::shape::{DType, Shape};
use std::collections::HashMap;
use std::mem;

/// Dispatches that a program may have.
const MOST: usize = 500_000;

impl Builder<'_> {
    /// The dispatches of a loop and its parts.
    pub(super) fn looped(&mut self, id: Id, parts: &[Id], scan: &Scan<'_>) -> Result<()> {
        let node = self.graph.node(id);
        let Some(length) = unroll::length(scan) else {
            return data_err!(
                "scan: {} rounds are not known yet\n  hint: they are once data is given",
                scan.length
            );
        };
        let types = self.graph.types(&node.inputs);
        // The memory of each result; none for what is given and nobody reads.
        let mut homes: Vec<Option<usize>> = vec![None; scan.body.outputs.len()];
        for &value in [id].iter().chain(parts).filter(|&&value| self.is_wanted(value)) {
            let k = if value == id { 0 } else { self.graph.node(value).attrs[0].int() as usize };
            homes[k] = Some(self.buffer_of(value)?);
        }
        for (k, home) in homes.iter_mut().enumerate().take(scan.carries) {
            let ty = if k == 0 { node.ty } else { part_type(node.op, k as i64, &types, &node.attrs)? };
            let to = match *home {
                Some(to) => to,
                None => self.make(format!("carry {k}"), Role::Slot, None, ty, None)?,
            };
            *home = Some(to);
            let from = self.buffer_of(node.inputs[k])?;
            self.copied(from, to, ty.shape.count())?;
        }
        if length == 0 {
            return Ok(());
        }
        let one = Ty { shape: Shape::new(&[0usize; 0])?, dtype: DType::I32 };
        let counter = self.make("the number of a slice".into(), Role::Slot, None, one, None)?;
        self.counted(counter, &format!("{}i", if scan.reverse { length - 1 } else { 0 }))?;
        let mut bound: Vec<usize> = vec![];
        for (k, &input) in node.inputs.iter().enumerate() {
            match homes[..scan.carries].get(k) {
                Some(&Some(home)) => bound.push(home),
                _ => bound.push(self.buffer_of(input)?),
            }
        }
        bound.push(counter);
        let begin = self.program.steps.len();
        self.round(scan, &types, &bound, &homes[scan.carries..])?;
        self.counted(counter, if scan.reverse { "y[0] - 1i" } else { "y[0] + 1i" })?;
        let end = self.program.steps.len();
        if (end - begin).saturating_mul(length).saturating_add(begin) > MOST {
            return data_err!(
                "scan: {length} rounds of {} dispatches are more than the {MOST} of a program for a device\n  hint: fewer \
                 rounds, or run the model on the CPU",
                end - begin
            );
        }
        for _ in 1..length {
            self.program.steps.extend_from_within(begin..end);
        }
        Ok(())
    }

    /// The dispatches of one round. `bound` are the buffers of its inputs, `gifts` those of all rounds for
    /// each of its outputs.
    fn round(
        &mut self,
        scan: &Scan<'_>,
        types: &[Ty],
        bound: &[usize],
        gifts: &[Option<usize>],
    ) -> Result<()> {
        // What a round gives is read by the next one: it keeps its digits.
        let limits = Limits { between: None, ..*self.limits };
        let (graph, fusion) = grouped(&unroll::round(scan, types)?, &limits)?;
        let laid = laying::laid(&graph, &fusion, &vec![true; bound.len()], &limits);
        let plan = plan::plan_as(&laid, &fusion, Layout::Slots)?;
        verify::verify(&laid, &fusion, &plan)?;
        let mut inner = Builder {
            program: mem::replace(&mut self.program, Program::empty()),
            places: HashMap::new(),
            scratch: mem::take(&mut self.scratch),
            fault: self.fault,
            kernels: mem::take(&mut self.kernels),
            groups: mem::take(&mut self.groups),
            ..Builder::new(&graph, &laid, &fusion, &plan, &limits)
        };
        let done = inner.inside(bound, gifts);
        self.program = inner.program;
        self.scratch = inner.scratch;
        self.fault = inner.fault;
        self.kernels = inner.kernels;
        self.groups = inner.groups;
        done
    }

    /// What `round` does, once this is the builder of a round.
    fn inside(&mut self, bound: &[usize], gifts: &[Option<usize>]) -> Result<()> {
        for (at, &buffer) in bound.iter().enumerate() {
            self.places.insert(Loc::Input(at), buffer);
        }
        for (k, &id) in self.graph.outputs.iter().enumerate() {
            if !self.plan.copies.iter().any(|&(_, to, _)| to == Loc::Output(k)) {
                let ty = self.graph.ty(id);
                self.place(Loc::Output(k), format!("gift {k}"), Role::Slot, None, ty, None)?;
            }
        }
        self.inner_buffers()?;
        self.works()?;
        let counter = bound.last().copied().unwrap_or_default();
        let count = |k: usize| self.graph.shape(self.graph.outputs[k]).count();
        let mut stores = vec![];
        for (k, &to) in gifts.iter().enumerate() {
            if let (Some(to), Some(&from)) = (to, self.places.get(&Loc::Output(k))) {
                stores.push((from, to, count(k)));
            }
        }
        for (from, to, count) in stores {
            self.given(from, to, counter, count)?;
        }
        // Results come before new states, as in the plan.
        for &(from, to, size) in &self.plan.copies {
            let from = self.place_of(from)?;
            match to {
                Loc::Output(k) => {
                    let count = self.graph.shape(self.graph.outputs[k]).count();
                    if let Some(to) = gifts[k] {
                        self.given(from, to, counter, count)?;
                    }
                }
                _ => {
                    let to = self.place_of(to)?;
                    self.copied(from, to, size / 4)?;
                }
            }
        }
        Ok(())
    }

    fn place_of(&self, loc: Loc) -> Result<usize> {
        self.places.get(&loc).copied().ok_or_else(|| Error::Internal(format!("no buffer for {loc:?}")))
    }

    /// A dispatch over `count` elements, by a text over words `x` (read) and `y`, and `at`, the counter.
    fn moved(
        &mut self,
        name: &str,
        buffers: &[(&str, usize, Cell, Use)],
        count: usize,
        body: &str,
    ) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let mut wgsl = String::new();
        for (k, &(name, _, cell, usage)) in buffers.iter().enumerate() {
            wgsl.push_str(&binding(k, name, cell, usage));
        }
        wgsl.push_str(&format!("{}{body}}}\n", head(count)));
        let kernel = Kernel {
            name: name.into(),
            wgsl,
            workgroup: [GROUP as u32, 1, 1],
            workgroup_bytes: 0,
            bindings: buffers.iter().map(|b| b.3).collect(),
        };
        let bound: Vec<_> =
            buffers.iter().map(|&(_, b, ..)| ([b, 0, self.program.buffers[b].bytes], None)).collect();
        self.push(kernel, &bound, grid(self.limits, count))
    }

    fn copied(&mut self, from: usize, to: usize, count: usize) -> Result<()> {
        let buffers = [("x", from, Cell::Truth, Use::Read), ("y", to, Cell::Truth, Use::ReadWrite)];
        self.moved("a carry", &buffers, count, "  y[i] = x[i];\n")
    }

    /// What a round gives goes to its place among those of all rounds.
    fn given(&mut self, from: usize, to: usize, counter: usize, count: usize) -> Result<()> {
        let buffers = [
            ("x", from, Cell::Truth, Use::Read),
            ("at", counter, Cell::Int, Use::Read),
            ("y", to, Cell::Truth, Use::ReadWrite),
        ];
        let body = format!("  y[u32(at[0]) * {count}u + i] = x[i];\n");
        self.moved("what a round gives", &buffers, count, &body)
    }

    fn counted(&mut self, counter: usize, value: &str) -> Result<()> {
        let buffers = [("y", counter, Cell::Int, Use::ReadWrite)];
        self.moved("the number of a slice", &buffers, 1, &format!("  y[0] = {value};\n"))
    }
}
