//! Each step of a fusion as dispatches: groups, reductions, heads, and rows with templates.

use super::Builder;
use crate::dispatch::{Arg, Call, Steps};
use crate::render::{Held, Inset};
use crate::templates::ending::Bound;
use crate::text::{Cell, bytes};
use crate::{reduce, render, templates};
use fastnn::error::{Error, Result};
use fastnn::graph::{Id, Kind};
use fastnn::ops::scan::Scan;
use fastnn::passes::fuse::{Fused, Work};
use fastnn::passes::{group, lower};

impl Builder<'_> {
    /// The dispatches of step `at`.
    pub(super) fn work(&mut self, at: usize, work: &Work) -> Result<()> {
        match work {
            Work::Copy(id) => {
                let node = self.graph.node(*id);
                let Kind::Strided(rule) = node.op.kind else {
                    return Err(Error::Internal(format!("a copy of '{}', no movement", node.op.name)));
                };
                let types = self.graph.types(&node.inputs);
                let strided = rule(&types, &node.attrs, node.ty)?;
                self.row(*id, &[], |call| Ok(render::copy(call, &strided)))
            }
            Work::Kernel(id, parts) => self.structured(*id, parts),
            Work::Fused(fused @ Fused { head: Some(head), nodes, .. }) if !nodes.is_empty() => {
                self.headed(at, fused, *head)
            }
            Work::Fused(Fused { head: Some(head), .. }) => self.structured(*head, &[]),
            Work::Fused(fused @ Fused { tail: Some(tail), .. }) => self.reduction(at, fused, *tail),
            Work::Fused(fused) => self.elementwise(at, fused),
        }
    }

    /// A group of elementwise nodes, step `at`. Nodes that it computes again for its own use only live
    /// in another step.
    fn elementwise(&mut self, at: usize, fused: &Fused) -> Result<()> {
        let lines = group::lines(self.graph, self.fusion, fused.shape, &fused.nodes, None)?;
        let outputs = self.outputs(at, fused);
        let (kernel, buffers) = render::group(&lines, &outputs, self)?;
        let grid = render::grid(self.limits, fused.shape.count());
        let bindings: Vec<_> =
            buffers.iter().map(|&(b, half)| ([b, 0, self.program.buffers[b].bytes], half)).collect();
        self.push(kernel, &bindings, grid)
    }

    /// The values that step `at` writes.
    fn outputs(&self, at: usize, fused: &Fused) -> Vec<Id> {
        let mut outputs = vec![];
        outputs.extend(fused.head);
        outputs.extend(&fused.nodes);
        outputs.retain(|&id| self.fusion.work_of[id.at()] == Some(at) && self.is_wanted(id));
        outputs
    }

    /// A reduction of a value in memory, or of what a group computes as it is read.
    fn reduction(&mut self, at: usize, fused: &Fused, tail: Id) -> Result<()> {
        let node = self.graph.node(tail);
        let Kind::Reduce(kind) = node.op.kind else {
            return Err(Error::Internal(format!("'{}' is no reduction", node.op.name)));
        };
        let input = node.inputs[0];
        let shape = self.graph.shape(input);
        let dims = lower::reduced_extent(node, &shape);
        if shape.count() == 0 {
            return self.row(tail, &[], |call| reduce::reduce(call, kind, dims, Some(reduce::nothing(call))));
        }
        if fused.nodes.is_empty() {
            return self.row(tail, &[], |call| reduce::reduce(call, kind, dims, None));
        }
        let lines = group::lines(self.graph, self.fusion, fused.shape, &fused.nodes, None)?;
        let outputs = self.outputs(at, fused);
        let body = render::body(&lines, &outputs, None, self, &[])?;
        let head = format!("fn load(i: u32) -> {}", Cell::of(self.graph.ty(input).dtype).name());
        let last = format!("  return {};\n", render::value_of(&lines, input)?);
        let from = Inset::of(&body, &head, &last);
        let names = self.names(fused);
        self.row(tail, &[], |call| {
            let mut steps = reduce::reduce(call, kind, dims, Some(from))?;
            if let Some(first) = steps.dispatches.first_mut() {
                first.kernel.name = format!("{names}, then {}", first.kernel.name);
            }
            Ok(steps)
        })
    }

    fn names(&self, fused: &Fused) -> String {
        let names: Vec<&str> = fused.nodes.iter().map(|&id| self.graph.node(id).op.name).collect();
        render::title(&names)
    }

    /// A head whose elements a group ends.
    fn headed(&mut self, at: usize, fused: &Fused, head: Id) -> Result<()> {
        let lines = group::lines(self.graph, self.fusion, fused.shape, &fused.nodes, Some(head))?;
        let outputs = self.outputs(at, fused);
        let node = self.graph.node(head);
        let Some(template) = templates::head(node.op) else {
            return Err(without_kernel(node.op.name));
        };
        let finish = |bound: &[Bound]| {
            let mut held = vec![];
            for b in bound {
                let buffer = match b.operand {
                    Some(k) => self.buffer_of(node.inputs[k])?,
                    None => usize::MAX,
                };
                held.push(Held { buffer, name: b.name.clone(), fours: b.fours });
            }
            let body = render::body(&lines, &outputs, Some(head), self, &held)?;
            Ok(Inset::of(&body, "fn finish(i: u32, h: f32)", ""))
        };
        let call = Call {
            name: node.op.name,
            inputs: &self.graph.types(&node.inputs),
            outputs: &[node.ty],
            wanted: &[true],
            attrs: &node.attrs,
            limits: self.limits,
        };
        let mut steps = template(&call, &finish)?;
        if let Some(last) = steps.dispatches.last_mut() {
            last.kernel.name = format!("{}, then {}", last.kernel.name, self.names(fused));
        }
        self.row(head, &[], |_| Ok(steps))
    }

    /// A row with a template.
    fn structured(&mut self, id: Id, parts: &[Id]) -> Result<()> {
        if let Some(scan) = Scan::of(self.graph.node(id)) {
            return self.looped(id, parts, &scan);
        }
        let op = self.graph.node(id).op;
        let Some(template) = templates::template(op) else {
            return Err(without_kernel(op.name));
        };
        self.row(id, parts, template)
    }

    /// The dispatches that `make` gives for a node and its parts.
    fn row(&mut self, id: Id, parts: &[Id], make: impl FnOnce(&Call<'_>) -> Result<Steps>) -> Result<()> {
        let node = self.graph.node(id);
        let inputs = self.graph.types(&node.inputs);
        let mut outputs = vec![node.ty];
        for def in node.op.parts {
            outputs.push((def.infer)(&inputs, &node.attrs)?);
        }
        let mut values: Vec<Option<Id>> = vec![None; outputs.len()];
        values[0] = Some(id);
        for &part in parts {
            values[self.graph.node(part).attrs[0].int() as usize] = Some(part);
        }
        let wanted: Vec<bool> = values.iter().map(|v| v.is_some_and(|id| self.is_wanted(id))).collect();
        let call = Call {
            name: node.op.name,
            inputs: &inputs,
            outputs: &outputs,
            wanted: &wanted,
            attrs: &node.attrs,
            limits: self.limits,
        };
        let steps = make(&call)?;
        let mut scratch = vec![];
        for (k, &size) in steps.scratch.iter().enumerate() {
            scratch.push(self.scratch(k, size)?);
        }
        // A result that nobody reads goes where nobody looks.
        let mut nowhere: Vec<Option<usize>> = vec![None; outputs.len()];
        for dispatch in &steps.dispatches {
            for arg in &dispatch.args {
                if let Arg::Output(k) = *arg
                    && !wanted[k]
                    && nowhere[k].is_none()
                {
                    let taken = steps.scratch.len() + nowhere.iter().flatten().count();
                    nowhere[k] = Some(self.scratch(taken, bytes(&outputs[k]))?);
                }
            }
        }
        let fault = steps.dispatches.iter().any(|d| d.args.contains(&Arg::Fault));
        let fault = if fault { Some(self.fault(&call)?) } else { None };
        for dispatch in steps.dispatches {
            let mut bindings = Vec::with_capacity(dispatch.args.len());
            for arg in &dispatch.args {
                let (buffer, offset, size, half) = match *arg {
                    Arg::Input(k) => {
                        let id = node.inputs[k];
                        (self.buffer_of(id)?, 0, self.size(id), self.half_of(id))
                    }
                    Arg::Output(k) => match (values[k].filter(|_| wanted[k]), nowhere[k]) {
                        (Some(id), _) => (self.buffer_of(id)?, 0, self.size(id), self.half_of(id)),
                        (None, Some(b)) => (b, 0, bytes(&outputs[k]).max(4), None),
                        (None, None) => {
                            return Err(Error::Internal(format!(
                                "result {k} of '{}' is nowhere",
                                node.op.name
                            )));
                        }
                    },
                    Arg::Scratch(k) => match (scratch.get(k), steps.scratch.get(k)) {
                        (Some(&b), Some(&size)) => (b, 0, size.max(4), None),
                        _ => {
                            return Err(Error::Internal(format!("'{}' has no scratch {k}", node.op.name)));
                        }
                    },
                    Arg::Buffer(b, half) => (b, 0, self.program.buffers[b].bytes, half),
                    Arg::Fault => match (self.fault, fault) {
                        (Some(b), Some(offset)) => (b, offset, 8, None),
                        _ => return Err(Error::Internal("a fault without a place".into())),
                    },
                };
                bindings.push(([buffer, offset, size], half));
            }
            self.push(dispatch.kernel, &bindings, dispatch.grid)?;
        }
        Ok(())
    }
}

fn without_kernel(name: &str) -> Error {
    Error::Device(format!("op '{name}' has no kernel for a device\n  hint: run the model on the CPU"))
}
