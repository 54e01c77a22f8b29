//! From a graph to a [`Program`]: groups apart from heads and reductions, slots, kernels, bindings.

use crate::dispatch::{Arg, Call, Kernel, Limits, Steps};
use crate::program::{Buffer, Fault, Group, Program, Role, VERSION};
use crate::render::{Held, Inset, Places};
use crate::templates::ending::Bound;
use crate::text::{Cell, bytes};
use crate::{faults, reduce, render, templates, unroll};
use fastnn::error::{Error, Result, visible};
use fastnn::graph::{Graph, Id, Kind, SCALAR, Ty};
use fastnn::kernels::stored;
use fastnn::passes::fuse::{self, Fused, Fusion, Work};
use fastnn::passes::plan::{self, Layout, Loc, Plan};
use fastnn::passes::{group, lower, prepare, verify};
use fastnn::shape::Shape;
use std::collections::HashMap;

/// Elementwise nodes of a group: what one kernel's text may hold.
const NODES: usize = 48;

/// What is bound to a slot of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// An argument of this name.
    Input(String),
    /// A variable or a captured array of this name, kept on the device.
    State(String),
}

/// Plans a graph of known shapes. `slots` says what is bound to each of its inputs.
pub fn plan(graph: &Graph, slots: &[Slot], limits: &Limits) -> Result<Program> {
    if slots.len() != graph.inputs.len() {
        return Err(Error::Internal(format!("{} slots of {} have a name", slots.len(), graph.inputs.len())));
    }
    // One binding is kept for a head's matrix, which a group of its own reads from memory.
    let fit = fuse::Limits {
        nodes: NODES,
        inputs: NODES,
        buffers: limits.storage_buffers.saturating_sub(1).max(4),
    };
    let (graph, fusion) = prepare(unroll::unrolled(graph)?.as_ref(), &fit)?;
    let fusion = apart(&fusion);
    let plan = plan::plan_as(&graph, &fusion, Layout::Slots)?;
    verify::verify(&graph, &fusion, &plan)?;
    let mut builder = Builder::new(&graph, &fusion, &plan, limits);
    builder.buffers(slots)?;
    for (at, work) in fusion.works.iter().enumerate() {
        if builder.is_read(work) {
            builder.work(at, work)?;
        }
    }
    builder.finish()
}

/// The same steps with reductions apart from what a head makes: tiles come in no order.
fn apart(fusion: &Fusion) -> Fusion {
    let mut works = vec![];
    let mut work_of: Vec<Option<usize>> = vec![None; fusion.work_of.len()];
    for (at, work) in fusion.works.iter().enumerate() {
        let mut home = |id: Id, to: usize| {
            // A node that several groups compute lives in one of them.
            if fusion.work_of[id.at()] == Some(at) {
                work_of[id.at()] = Some(to);
            }
        };
        let Work::Fused(fused @ Fused { head: Some(head), tail: Some(tail), .. }) = work else {
            work.members().into_iter().for_each(|id| home(id, works.len()));
            works.push(work.clone());
            continue;
        };
        home(*head, works.len());
        fused.nodes.iter().for_each(|&id| home(id, works.len()));
        works.push(Work::Fused(Fused { tail: None, ..fused.clone() }));
        home(*tail, works.len());
        works.push(Work::Fused(Fused { shape: fused.shape, head: None, nodes: vec![], tail: Some(*tail) }));
    }
    Fusion { works, work_of, origin: fusion.origin.clone() }
}

struct Builder<'a> {
    graph: &'a Graph,
    fusion: &'a Fusion,
    plan: &'a Plan,
    limits: &'a Limits,
    program: Program,
    /// The buffer of each place.
    places: HashMap<Loc, usize>,
    /// Buffers that steps use inside, by their number in the step.
    scratch: Vec<usize>,
    fault: Option<usize>,
    kernels: HashMap<Kernel, usize>,
    groups: HashMap<Group, usize>,
}

impl Places for Builder<'_> {
    fn ty(&self, id: Id) -> Ty {
        self.graph.ty(id)
    }

    fn buffer(&self, id: Id) -> Result<usize> {
        self.buffer_of(id)
    }
}

impl<'a> Builder<'a> {
    fn new(graph: &'a Graph, fusion: &'a Fusion, plan: &'a Plan, limits: &'a Limits) -> Builder<'a> {
        let program = Program {
            version: VERSION,
            needs: Default::default(),
            kernels: vec![],
            buffers: vec![],
            groups: vec![],
            steps: vec![],
            copies: vec![],
            faults: vec![],
            memory: Default::default(),
        };
        Builder {
            graph,
            fusion,
            plan,
            limits,
            program,
            places: HashMap::new(),
            scratch: vec![],
            fault: None,
            kernels: HashMap::new(),
            groups: HashMap::new(),
        }
    }

    /// Makes the buffers of everything that has a place.
    fn buffers(&mut self, slots: &[Slot]) -> Result<()> {
        let (mut inputs, mut states) = (0.., 0..);
        for (at, slot) in slots.iter().enumerate() {
            let ty = self.graph.ty(self.graph.inputs[at]);
            let (name, role, number) = match slot {
                Slot::Input(name) => (name, Role::Input, inputs.next()),
                Slot::State(name) => (name, Role::State, states.next()),
            };
            self.place(Loc::Input(at), name.clone(), role, number, ty, None)?;
        }
        for (k, &id) in self.graph.outputs.iter().enumerate() {
            let ty = self.graph.ty(id);
            self.place(Loc::Output(k), format!("output {k}"), Role::Output, Some(k), ty, None)?;
        }
        for k in 0..self.plan.constants.len() {
            let id = self.plan.constants[k];
            // Numbers that only groups read stand in their texts.
            if self.is_bound(id) {
                let ty = self.graph.ty(id);
                let init = words(self.graph, id);
                self.place(Loc::Const(k), format!("constant {k}"), Role::Constant, None, ty, Some(init))?;
            }
        }
        for (k, &begin) in self.plan.slots.iter().enumerate() {
            let end = self.plan.slots.get(k + 1).copied().unwrap_or(self.plan.arena);
            let cells = (end - begin) / 4;
            let ty = Ty::f32(Shape::new(&[cells])?);
            self.place(Loc::Arena(begin), format!("slot {k}"), Role::Slot, None, ty, None)?;
        }
        Ok(())
    }

    /// Does anything read this constant from memory?
    fn is_bound(&self, id: Id) -> bool {
        if self.graph.node(id).op != &SCALAR {
            return true;
        }
        let roots = |x: Id| self.fusion.root(x) == id;
        let leaves =
            self.graph.outputs.iter().any(|&x| roots(x)) || self.graph.updates.iter().any(|&(_, x)| roots(x));
        leaves
            || self.fusion.works.iter().any(|work| match work {
                // Groups have numbers in their texts.
                Work::Fused(fused) => {
                    let mut apart = fused.head.iter().chain(&fused.tail);
                    apart.any(|&m| self.graph.node(m).inputs.iter().any(|&x| roots(x)))
                }
                work => work.members().iter().any(|&m| self.graph.node(m).inputs.iter().any(|&x| roots(x))),
            })
    }

    fn place(
        &mut self,
        loc: Loc,
        name: String,
        role: Role,
        number: Option<usize>,
        ty: Ty,
        init: Option<Vec<u32>>,
    ) -> Result<()> {
        let at = self.make(name, role, number, ty, init)?;
        self.places.insert(loc, at);
        Ok(())
    }

    fn make(
        &mut self,
        name: String,
        role: Role,
        number: Option<usize>,
        ty: Ty,
        init: Option<Vec<u32>>,
    ) -> Result<usize> {
        let size = bytes(&ty).max(4);
        if size > self.limits.binding_bytes {
            return Err(Error::Device(format!(
                "'{}' takes {size} bytes on the device ({ty}), which binds {} at most\n  hint: use a smaller batch",
                visible(&name),
                self.limits.binding_bytes
            )));
        }
        let shape = ty.shape.sizes().to_vec();
        self.program.buffers.push(Buffer {
            name,
            bytes: size,
            role,
            number,
            dtype: ty.dtype.name(),
            shape,
            init,
        });
        Ok(self.program.buffers.len() - 1)
    }

    /// False for a group whose every value its readers compute themselves, and for work that makes no
    /// elements.
    fn is_read(&self, work: &Work) -> bool {
        work.members().iter().any(|&id| self.is_wanted(id))
    }

    fn is_wanted(&self, id: Id) -> bool {
        self.plan.locs[id.at()].is_some() && self.graph.shape(id).count() > 0
    }

    fn buffer_of(&self, id: Id) -> Result<usize> {
        let root = self.fusion.root(id);
        let place = self.plan.locs[root.at()].and_then(|loc| self.places.get(&loc));
        place.copied().ok_or_else(|| {
            let name = self.graph.node(root).op.name;
            Error::Internal(format!("value {} ({name}) has no memory on the device", root.0))
        })
    }

    fn work(&mut self, at: usize, work: &Work) -> Result<()> {
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
        let bindings = buffers.iter().map(|&b| [b, 0, self.program.buffers[b].bytes]).collect();
        self.push(kernel, bindings, grid);
        Ok(())
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
                let (buffer, offset, size) = match *arg {
                    Arg::Input(k) => {
                        let b = self.buffer_of(node.inputs[k])?;
                        (b, 0, bytes(&inputs[k]).max(4))
                    }
                    Arg::Output(k) => match (values[k].filter(|_| wanted[k]), nowhere[k]) {
                        (Some(id), _) => (self.buffer_of(id)?, 0, bytes(&outputs[k]).max(4)),
                        (None, Some(b)) => (b, 0, bytes(&outputs[k]).max(4)),
                        (None, None) => {
                            return Err(Error::Internal(format!(
                                "result {k} of '{}' is nowhere",
                                node.op.name
                            )));
                        }
                    },
                    Arg::Scratch(k) => match (scratch.get(k), steps.scratch.get(k)) {
                        (Some(&b), Some(&size)) => (b, 0, size.max(4)),
                        _ => {
                            return Err(Error::Internal(format!("'{}' has no scratch {k}", node.op.name)));
                        }
                    },
                    Arg::Buffer(b) => (b, 0, self.program.buffers[b].bytes),
                    Arg::Fault => match (self.fault, fault) {
                        (Some(b), Some(offset)) => (b, offset, 8),
                        _ => return Err(Error::Internal("a fault without a place".into())),
                    },
                };
                bindings.push([buffer, offset, size]);
            }
            self.push(dispatch.kernel, bindings, dispatch.grid);
        }
        Ok(())
    }

    /// Scratch memory `k` of a step: steps share it, the largest says how much there is.
    fn scratch(&mut self, k: usize, size: usize) -> Result<usize> {
        let size = size.next_multiple_of(4).max(4);
        if self.scratch.len() == k {
            let ty = Ty::f32(Shape::new(&[size / 4])?);
            let at = self.make(format!("scratch {k}"), Role::Scratch, None, ty, None)?;
            self.scratch.push(at);
        }
        let at = self.scratch[k];
        if size > self.limits.binding_bytes {
            return Err(Error::Device(format!(
                "a step takes {size} bytes of scratch memory on the device, which binds {} at most\n  hint: use a \
                 smaller batch",
                self.limits.binding_bytes
            )));
        }
        let buffer = &mut self.program.buffers[at];
        if size > buffer.bytes {
            buffer.bytes = size;
            buffer.shape = vec![size / 4];
        }
        Ok(at)
    }

    /// Two words for a row that may meet bad data; gives their offset.
    fn fault(&mut self, call: &Call<'_>) -> Result<usize> {
        let offset = self.program.faults.len() * self.limits.alignment;
        let at = match self.fault {
            Some(at) => at,
            None => {
                let ty = Ty::f32(Shape::new(&[2usize])?);
                self.make("faults".into(), Role::Fault, None, ty, None)?
            }
        };
        self.fault = Some(at);
        let buffer = &mut self.program.buffers[at];
        buffer.bytes = offset + 8;
        buffer.shape = vec![buffer.bytes / 4];
        let (message, shape) = faults::message(call)?;
        let shape = shape.sizes().to_vec();
        self.program.faults.push(Fault { buffer: at, offset, op: call.name, message, shape });
        Ok(offset)
    }

    fn push(&mut self, kernel: Kernel, bindings: Vec<[usize; 3]>, grid: [u32; 3]) {
        let kernels = &mut self.program.kernels;
        let kernel = *self.kernels.entry(kernel).or_insert_with_key(|kernel| {
            kernels.push(kernel.clone());
            kernels.len() - 1
        });
        let groups = &mut self.program.groups;
        let group = *self.groups.entry(Group { kernel, bindings }).or_insert_with_key(|group| {
            groups.push(group.clone());
            groups.len() - 1
        });
        let [x, y, z] = grid.map(|n| n as usize);
        self.program.steps.push([kernel, group, x, y, z]);
    }

    fn finish(mut self) -> Result<Program> {
        for &(from, to, size) in &self.plan.copies {
            if size == 0 {
                continue;
            }
            let at = |loc: &Loc| {
                self.places.get(loc).copied().ok_or_else(|| Error::Internal(format!("no buffer for {loc:?}")))
            };
            self.program.copies.push([at(&from)?, at(&to)?, size]);
        }
        self.program.sum_up();
        self.program.check(self.limits)?;
        Ok(self.program)
    }
}

fn without_kernel(name: &str) -> Error {
    Error::Device(format!("op '{name}' has no kernel for a device\n  hint: run the model on the CPU"))
}

/// The cells of a constant on the device.
fn words(graph: &Graph, id: Id) -> Vec<u32> {
    let node = graph.node(id);
    let cell = Cell::of(node.ty.dtype);
    let word = |value: f64| match cell {
        Cell::Float => (value as f32).to_bits(),
        Cell::Int => (value as i32).cast_unsigned(),
        Cell::Truth => u32::from(value != 0.0),
    };
    if node.op == &SCALAR {
        return vec![word(node.attrs[0].float())];
    }
    let bytes: &[u8] = graph.data[node.attrs[0].int() as usize].as_slice();
    if node.ty.dtype.size() == 4 && cell != Cell::Truth {
        return bytes.chunks_exact(4).map(|c| u32::from_ne_bytes([c[0], c[1], c[2], c[3]])).collect();
    }
    let size = node.ty.dtype.size();
    bytes.chunks_exact(size).map(|c| word(stored::decode(c, node.ty.dtype))).collect()
}
