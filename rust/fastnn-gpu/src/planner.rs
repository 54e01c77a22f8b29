//! From a graph to a [`Program`]: slots, kernels, bindings.

mod rounds;
mod works;

use crate::dispatch::{Call, Kernel, Limits};
use crate::halves::{Half, narrowed};
use crate::program::{Buffer, Fault, Group, Program, Role};
use crate::render::Places;
use crate::text::{Cell, bytes};
use crate::windows::windowed;
use crate::{faults, laying, unroll};
use fastnn::error::{Error, Result, visible};
use fastnn::graph::{Graph, Id, Node, SCALAR, Ty};
use fastnn::kernels::stored;
use fastnn::ops::build::Build;
use fastnn::ops::matmul::MATMUL;
use fastnn::passes::fuse::{self, Fused, Fusion, Work};
use fastnn::passes::plan::{self, Layout, Loc, Plan};
use fastnn::passes::{simplified, verify};
use fastnn::shape::{DType, Shape};
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
    let (graph, fusion) = grouped(unroll::unrolled(graph)?.as_ref(), limits)?;
    let states: Vec<bool> = slots.iter().map(|slot| matches!(slot, Slot::State(_))).collect();
    let laid = laying::laid(&graph, &fusion, &states, limits);
    let plan = plan::plan_as(&laid, &fusion, Layout::Slots)?;
    verify::verify(&laid, &fusion, &plan)?;
    let mut builder = Builder::new(&graph, &laid, &fusion, &plan, limits);
    builder.buffers(slots)?;
    builder.works()?;
    builder.finish()
}

/// The graph lowered, and its steps.
fn grouped(graph: &Graph, limits: &Limits) -> Result<(Graph, Fusion)> {
    // One binding is kept for a head's matrix, which a group of its own reads from memory.
    let fit = fuse::Limits {
        nodes: NODES,
        inputs: NODES,
        buffers: limits.storage_buffers.saturating_sub(1).max(4),
    };
    let graph = widened(simplified(graph)?);
    let fusion = apart(&fuse::fuse(&graph, &fit)?);
    Ok((graph, fusion))
}

/// The graph with products of floats alone: a kernel takes all cells of an operand for one type, where the
/// CPU widens the whole numbers of a storage type as it reads them.
fn widened(graph: Graph) -> Graph {
    let narrow = |node: &Node| node.op == &MATMUL && !graph.ty(node.inputs[1]).dtype.is_float();
    if !graph.nodes.iter().any(narrow) {
        return graph;
    }
    let mut to = Graph { data: graph.data.clone(), ..Graph::default() };
    let mut map: Vec<Id> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let mut inputs: Vec<Id> = node.inputs.iter().map(|x| map[x.at()]).collect();
        if narrow(node) {
            inputs[1] = to.cast(inputs[1], DType::F32);
        }
        map.push(to.push(Node { inputs, ..node.clone() }));
    }
    to.inputs = graph.inputs.iter().map(|id| map[id.at()]).collect();
    to.outputs = graph.outputs.iter().map(|id| map[id.at()]).collect();
    to.updates = graph.updates.iter().map(|&(slot, id)| (slot, map[id.at()])).collect();
    to
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
    /// The same graph with the types in which values lie.
    laid: &'a Graph,
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

    fn half(&self, id: Id) -> Option<Half> {
        self.half_of(id)
    }
}

impl<'a> Builder<'a> {
    fn new(
        graph: &'a Graph,
        laid: &'a Graph,
        fusion: &'a Fusion,
        plan: &'a Plan,
        limits: &'a Limits,
    ) -> Builder<'a> {
        Builder {
            graph,
            laid,
            fusion,
            plan,
            limits,
            program: Program::empty(),
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
        self.inner_buffers()
    }

    /// Those of constants and of values between steps.
    fn inner_buffers(&mut self) -> Result<()> {
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

    /// The dispatches of all steps.
    fn works(&mut self) -> Result<()> {
        for (at, work) in self.fusion.works.iter().enumerate() {
            if self.is_read(work) {
                self.work(at, work)?;
            }
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
        if size > self.limits.buffer_bytes {
            return Err(Error::Device(format!(
                "'{}' takes {size} bytes on the device ({ty}), which has buffers of {} at most\n  hint: use a smaller batch",
                visible(&name),
                self.limits.buffer_bytes
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

    /// As what the elements of a value lie in its buffer.
    fn half_of(&self, id: Id) -> Option<Half> {
        Half::of(self.laid.ty(self.fusion.root(id)).dtype)
    }

    /// Bytes of a value in its buffer.
    fn size(&self, id: Id) -> usize {
        let ty = Ty { dtype: self.laid.ty(self.fusion.root(id)).dtype, ..self.graph.ty(id) };
        Layout::Slots.bytes(ty).max(4)
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
        if size > self.limits.buffer_bytes {
            return Err(Error::Device(format!(
                "a step takes {size} bytes of scratch memory on the device, which has buffers of {} at most\n  hint: \
                 use a smaller batch",
                self.limits.buffer_bytes
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

    /// A dispatch. `bindings` are a buffer, an offset and bytes each, and as what elements lie there.
    fn push(
        &mut self,
        kernel: Kernel,
        bindings: &[([usize; 3], Option<Half>)],
        grid: [u32; 3],
    ) -> Result<()> {
        let (bindings, halves): (Vec<_>, Vec<_>) = bindings.iter().copied().unzip();
        let (kernel, bindings) = windowed(narrowed(kernel, &halves)?, bindings, self.limits)?;
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
        Ok(())
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
