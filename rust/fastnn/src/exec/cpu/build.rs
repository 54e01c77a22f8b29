//! From groups and locations to steps, and the bias, scale and relu that a head applies itself.

use super::head::{Head, Sums};
use super::lines::Lines;
use super::scan::Loop;
use super::step::{Feed, Group, Step};
use super::table::{self, Kernel};
use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Kind, OpDef, Reduce, SCALAR};
use crate::kernels::stored;
use crate::ops::elementwise::{ADD, MULTIPLY, RELU};
use crate::ops::scan::Scan;
use crate::passes::fuse::{Fused, Fusion, Origin, Work};
use crate::passes::group;
use crate::passes::lower::reduced_extent;
use crate::passes::plan::{Loc, Plan};
use crate::shape::DType;

/// The steps of a planned graph.
pub(super) fn steps(graph: &Graph, fusion: &Fusion, plan: &Plan) -> Result<Vec<Step>> {
    let build = Build { graph, fusion, plan };
    fusion.works.iter().filter(|work| build.is_read(work)).map(|work| build.step(work)).collect()
}

/// The value of a constant leaf in memory.
pub(super) fn constant(graph: &Graph, id: Id) -> Result<Buffer> {
    let node = graph.node(id);
    match node.op {
        op if op == &SCALAR => {
            Buffer::from_slice(&stored::encode(node.attrs[0].float(), node.ty.dtype)[..node.ty.dtype.size()])
        }
        _ => Buffer::from_slice::<u8>(graph.data[node.attrs[0].int() as usize].as_slice()),
    }
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
            Work::Kernel(id, parts) => self.kernel(*id, parts),
            Work::Copy(id) => {
                let node = self.graph.node(*id);
                let types: Vec<_> = node.inputs.iter().map(|&i| self.graph.ty(i)).collect();
                let Kind::Strided(rule) = node.op.kind else {
                    return Err(bug("a copy of a node that is no movement"));
                };
                let strided = rule(&types, &node.attrs, node.ty)?;
                Ok(Step::Copy {
                    size: node.ty.dtype.size(),
                    src: self.loc(node.inputs[0])?,
                    dims: node.ty.shape.sizes().to_vec(),
                    strided,
                    dst: self.loc(*id)?,
                })
            }
        }
    }

    /// False for a group whose every value its readers now compute themselves, and for work that
    /// makes no elements: a kernel would still walk its other axes, which may be long.
    fn is_read(&self, work: &Work) -> bool {
        let writes = |id: &Id| self.plan.locs[id.at()].is_some() && self.graph.shape(*id).count() > 0;
        work.members().iter().any(writes)
    }

    /// Where a value lies in memory, through views.
    fn loc(&self, id: Id) -> Result<Loc> {
        let root = self.fusion.root(id);
        self.plan.locs[root.at()].ok_or_else(|| {
            bug(&format!("value {} ({}) has no memory", root.0, self.graph.node(root).op.name))
        })
    }

    fn kernel(&self, id: Id, parts: &[Id]) -> Result<Step> {
        let node = self.graph.node(id);
        if let Some(scan) = Scan::of(node) {
            let inputs = node.inputs.iter().map(|&i| self.loc(i)).collect::<Result<Vec<_>>>()?;
            let mut results = vec![None; scan.body.outputs.len()];
            results[0] = self.plan.locs[id.at()];
            for &part in parts {
                results[self.graph.node(part).attrs[0].int() as usize] = self.plan.locs[part.at()];
            }
            return Ok(Step::Scan(Box::new(Loop::new(&scan, &inputs, &results, self.plan.arena)?)));
        }
        let Some(Kernel::Step(run)) = table::kernel(node.op) else {
            return Err(bug(&format!("op '{}' has no kernel", node.op.name)));
        };
        let at = |i: &Id| Ok((self.loc(*i)?, self.graph.ty(*i)));
        let inputs = node.inputs.iter().map(at).collect::<Result<_>>()?;
        let types = self.graph.types(&node.inputs);
        let mut outputs = vec![(self.plan.locs[id.at()], node.ty)];
        for def in node.op.parts {
            outputs.push((None, (def.infer)(&types, &node.attrs)?));
        }
        for &part in parts {
            let index = self.graph.node(part).attrs[0].int() as usize;
            outputs[index].0 = self.plan.locs[part.at()];
        }
        if node.op.parts.is_empty() && outputs[0].0.is_none() {
            return Err(bug(&format!("the result of '{}' has no memory", node.op.name)));
        }
        Ok(Step::Kernel { name: node.op.name, run, inputs, outputs, attrs: node.attrs.clone() })
    }

    fn fused(&self, fused: &Fused) -> Result<Step> {
        if let Some(head) = fused.head {
            return self.head(fused, head);
        }
        if let Some(tail) = fused.tail {
            return self.reduction(fused, tail);
        }
        Ok(Step::Tile(self.group(fused, &fused.nodes, None, None)?))
    }

    fn reduction(&self, fused: &Fused, tail: Id) -> Result<Step> {
        let node = self.graph.node(tail);
        let Kind::Reduce(kind) = node.op.kind else { return Err(bug("a tail that is no reduction")) };
        let input = node.inputs[0];
        let dims = reduced_extent(node, &self.graph.shape(input));
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

    fn head(&self, fused: &Fused, head: Id) -> Result<Step> {
        let node = self.graph.node(head);
        let types: Vec<_> = node.inputs.iter().map(|&x| self.graph.ty(x)).collect();
        let kernel = match table::kernel(node.op) {
            Some(Kernel::Head(make)) => make(&types, &node.attrs, node.ty),
            _ => return Err(bug(&format!("head '{}' has no kernel", node.op.name))),
        };
        let (mut bias, mut relu) = (None, false);
        let mut result = head;
        let mut rest: Vec<Id> = fused.nodes.clone();
        if let Some((sum, loc)) = self.by_columns(fused, result, &ADD, kernel.cols())
            && self.plan.locs[sum.at()] != Some(loc)
            && !self.is_overwritten(&rest, sum)
        {
            bias = Some(loc);
            rest.retain(|&id| id != sum);
            result = sum;
        }
        let mut scale = None;
        if kernel.scales()
            && let Some((product, factors)) = self.by_columns(fused, result, &MULTIPLY, kernel.cols())
            && let Some((sum, summands)) = self.by_columns(fused, product, &ADD, kernel.cols())
            && !is_read(self.plan.locs[sum.at()], bias, Some([factors, summands]))
            && !self.is_overwritten(&rest, sum)
        {
            scale = Some([factors, summands]);
            rest.retain(|&id| id != product && id != sum);
            result = sum;
        }
        if let Some(id) = self.only_reader(fused, result)
            && self.graph.node(id).op == &RELU
            && !is_read(self.plan.locs[id.at()], bias, scale)
            && !self.is_overwritten(&rest, id)
        {
            relu = true;
            rest.retain(|&x| x != id);
            result = id;
        }
        let summed = fused.tail.map(|tail| self.graph.node(tail).inputs[0]);
        let keep = summed.filter(|id| rest.contains(id));
        let epilogue =
            if rest.is_empty() { None } else { Some(self.group(fused, &rest, Some(result), keep)?) };
        let sums = match (fused.tail, summed) {
            (Some(tail), Some(summed)) => {
                let of = match (&epilogue, keep) {
                    (Some(group), Some(_)) => Some(group.outputs.len() - 1),
                    _ if summed == result => None,
                    _ => return Err(bug("column sums of a value that is no block")),
                };
                let divisor = match self.graph.node(tail).op.kind {
                    Kind::Reduce(Reduce::Sum) => None,
                    Kind::Reduce(Reduce::Mean) => Some(kernel.rows() as f32),
                    _ => return Err(bug("a head's tail that is no sum")),
                };
                Some(Sums { of, divisor, dst: self.loc(tail)? })
            }
            _ => None,
        };
        Ok(Step::Head(Box::new(Head {
            name: node.op.name,
            kernel,
            inputs: node.inputs.iter().map(|&x| self.loc(x)).collect::<Result<_>>()?,
            c: self.plan.locs[result.at()],
            bias,
            scale,
            relu,
            epilogue,
            sums,
        })))
    }

    /// Would other `nodes` of a head's group read memory that the head has by then overwritten with
    /// `result`?
    fn is_overwritten(&self, nodes: &[Id], result: Id) -> bool {
        let Some(to) = self.plan.locs[result.at()] else { return false };
        let reads = |id: Id| {
            let inputs = &self.graph.node(id).inputs;
            inputs.iter().any(|&x| x != result && self.plan.locs[self.fusion.source(x).at()] == Some(to))
        };
        nodes.iter().any(|&id| id != result && reads(id))
    }

    /// The one node that reads `id`, when nothing else does and `id` needs no memory.
    fn only_reader(&self, fused: &Fused, id: Id) -> Option<Id> {
        if self.plan.locs[id.at()].is_some() {
            return None;
        }
        let mut readers =
            fused.nodes.iter().chain(&fused.tail).filter(|&&n| self.graph.node(n).inputs.contains(&id));
        match (readers.next(), readers.next()) {
            (Some(&one), None) => Some(one),
            _ => None,
        }
    }

    /// The node that alone reads `result` when it is `op` of it and one number per column, as the head
    /// itself can add or multiply it.
    fn by_columns(&self, fused: &Fused, result: Id, op: &OpDef, n: usize) -> Option<(Id, Loc)> {
        let sum = self.only_reader(fused, result)?;
        let node = self.graph.node(sum);
        if node.op != op || self.graph.ty(result).dtype != DType::F32 {
            return None;
        }
        let other = if node.inputs[0] == result { node.inputs[1] } else { node.inputs[0] };
        let shape = self.graph.shape(other);
        let row = shape.count() == n && shape.sizes().last().copied().unwrap_or(1) == n;
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
        let group = group::lines(self.graph, self.fusion, fused.shape, nodes, head)?;
        let mut lines = Lines::new(self.graph, self.plan, group)?;
        lines.absorb(keep);
        lines.finish(keep)
    }
}

/// Is this the memory of what a head reads while it writes its result?
fn is_read(to: Option<Loc>, bias: Option<Loc>, scale: Option<[Loc; 2]>) -> bool {
    to.is_some() && (bias == to || scale.into_iter().flatten().any(|loc| Some(loc) == to))
}

fn bug(what: &str) -> Error {
    Error::Internal(what.to_owned())
}
