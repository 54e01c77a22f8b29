//! Rows of the CPU alone: reductions over all axes but the last that read the same values are made in
//! one pass. The mean and the mean square distance from it are one kernel; so are, in the derivative of
//! what was normalised by them, the sum of a gradient and that of its products with deviations.

use crate::error::Result;
use crate::graph::{Accept, Attr, Class, Graph, Host, Id, Kind, Node, OpDef, PartDef, SCALAR, StepCtx, Ty};
use crate::kernels::moments::{self as kernel, ColumnSums, Moments};
use crate::ops::build::Build;
use crate::ops::elementwise::{MULTIPLY, NEGATIVE, SQUARE, SUBTRACT};
use crate::ops::reduce::{MEAN, SUM};
use crate::passes::lower::reduced_axes;
use crate::passes::simplify::simplify;
use crate::shape::{DType, Shape};
use std::collections::HashMap;

/// Columns for which the kernels are made: fewer leave lanes empty, more need much room for sums.
const COLUMNS: std::ops::RangeInclusive<usize> = 16..=4096;

fn one_a_column(x: Ty) -> Result<Ty> {
    Ok(Ty::f32(Shape::new(&x.shape.dims()[x.shape.rank() - 1..])?))
}

/// The mean of each column, and the mean square of what attribute 0 makes of distances from it.
pub(super) static COLUMN_MOMENTS: OpDef = OpDef {
    name: "column_moments",
    args: &["x"],
    doc: "The mean of each column, and the mean square of (x - mean) times a number.",
    class: Class::Kernel,
    accept: Accept::Exact,
    infer: |types, _| one_a_column(types[0]),
    kind: Kind::Kernel,
    reference: |x, a, out| Host { ty: out, data: oracle_moments(x, a).swap_remove(0) },
    parts: &[PartDef {
        name: "power",
        infer: |types, _| one_a_column(types[0]),
        reference: |x, a, out| Host { ty: out, data: oracle_moments(x, a).swap_remove(1) },
        formula: "",
    }],
    ..OpDef::PLAIN
};

/// The sums of the columns of a, and of a (b - middle).
pub(super) static COLUMN_SUMS: OpDef = OpDef {
    name: "column_sums",
    args: &["a", "b", "middle"],
    doc: "The sum of each column of a, and of a (b - middle).",
    class: Class::Kernel,
    accept: Accept::Exact,
    infer: |types, _| one_a_column(types[0]),
    kind: Kind::Kernel,
    reference: |x, _, out| Host { ty: out, data: oracle_sums(x).swap_remove(0) },
    parts: &[PartDef {
        name: "along",
        infer: |types, _| one_a_column(types[0]),
        reference: |x, _, out| Host { ty: out, data: oracle_sums(x).swap_remove(1) },
        formula: "",
    }],
    ..OpDef::PLAIN
};

fn sizes_of(x: Ty) -> (usize, usize) {
    let n = x.shape.sizes().last().copied().unwrap_or(1);
    (x.shape.count().checked_div(n).unwrap_or(0), n)
}

/// The kernel of [`COLUMN_MOMENTS`].
pub(super) fn column_moments_step(ctx: &StepCtx<'_>) -> Result<()> {
    let (rows, n) = sizes_of(ctx.inputs[0].ty);
    let call = Moments {
        rows,
        n,
        factor: ctx.attrs[0].float() as f32,
        x: ctx.inputs[0].floats(),
        mean: ctx.output.floats(),
        power: ctx.parts[0].floats(),
    };
    // SAFETY: the executor hands steps buffers that cover their types, or null for unread results.
    unsafe { kernel::moments(ctx.isa, &call) };
    Ok(())
}

/// The kernel of [`COLUMN_SUMS`].
pub(super) fn column_sums_step(ctx: &StepCtx<'_>) -> Result<()> {
    let x = ctx.inputs;
    let (rows, n) = sizes_of(x[0].ty);
    let nothing = x[2].ty.shape.count() != n;
    let call = ColumnSums {
        rows,
        n,
        a: x[0].floats(),
        b: x[1].floats(),
        middle: if nothing { std::ptr::null() } else { x[2].floats() },
        plain: ctx.output.floats(),
        along: ctx.parts[0].floats(),
    };
    // SAFETY: as above.
    unsafe { kernel::column_sums(ctx.isa, &call) };
    Ok(())
}

fn oracle_moments(x: &[Host], attrs: &[Attr]) -> Vec<Vec<f64>> {
    let (rows, n) = sizes_of(x[0].ty);
    let column = |j: usize| (0..rows).map(move |i| x[0].data[i * n + j]);
    let means: Vec<f64> = (0..n).map(|j| column(j).sum::<f64>() / rows as f64).collect();
    let square = |j: usize| column(j).map(|v| ((v - means[j]) * attrs[0].float()).powi(2)).sum::<f64>();
    let powers = (0..n).map(|j| square(j) / rows as f64).collect();
    vec![means, powers]
}

fn oracle_sums(x: &[Host]) -> Vec<Vec<f64>> {
    let (rows, n) = sizes_of(x[0].ty);
    let middle = |j: usize| if x[2].data.len() == n { x[2].data[j] } else { 0.0 };
    let at = |i: usize, j: usize| i * n + j;
    let sum = |term: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
        (0..n).map(|j| (0..rows).map(|i| term(i, j)).sum()).collect()
    };
    vec![
        sum(&|i, j| x[0].data[at(i, j)]),
        sum(&|i, j| x[0].data[at(i, j)] * (x[1].data[at(i, j)] - middle(j))),
    ]
}

/// A node that some reduction becomes: a value of a kernel, perhaps times one number per column.
#[derive(Clone, Copy)]
struct Becomes {
    kernel: usize,
    /// Which result.
    result: usize,
    /// Times that value.
    times: Option<Id>,
    /// Times that number, or nothing.
    factor: f64,
}

/// A kernel to be made before the node `at`.
struct Planned {
    at: usize,
    op: &'static OpDef,
    inputs: Vec<Id>,
    attrs: Vec<Attr>,
}

struct Search<'a> {
    graph: &'a Graph,
    users: Vec<Vec<Id>>,
    /// Reductions over all axes but the last, by what they read.
    sums: HashMap<Id, Vec<Id>>,
    planned: Vec<Planned>,
    becomes: HashMap<Id, Becomes>,
}

/// Reductions that read the same are made together where they may be.
pub(super) fn choose(graph: Graph) -> Result<Graph> {
    let Some(search) = Search::of(&graph) else { return Ok(graph) };
    let mut before: HashMap<usize, Vec<usize>> = HashMap::new();
    for (k, planned) in search.planned.iter().enumerate() {
        before.entry(planned.at).or_default().push(k);
    }
    let mut out = Graph { data: graph.data.clone(), ..Graph::default() };
    let mut map: Vec<Id> = Vec::with_capacity(graph.nodes.len());
    let mut results: Vec<[Id; 2]> = vec![[Id(0); 2]; search.planned.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        for &k in before.get(&i).into_iter().flatten() {
            let planned = &search.planned[k];
            let mut inputs: Vec<Id> = planned.inputs.iter().map(|x| map[x.at()]).collect();
            if planned.op == &COLUMN_SUMS && inputs.len() == 2 {
                inputs.push(out.scalar(0.0));
            }
            let first = out.try_add(planned.op, &inputs, &planned.attrs)?;
            results[k] = [first, out.part(first, 1)];
        }
        let inputs = node.inputs.iter().map(|x| map[x.at()]).collect();
        map.push(match search.becomes.get(&Id(i as u32)) {
            Some(becomes) => {
                let mut value = out.reshape_to(results[becomes.kernel][becomes.result], &node.ty.shape);
                if let Some(times) = becomes.times {
                    let times = out.reshape_to(map[times.at()], &node.ty.shape);
                    value = out.mul(value, times);
                }
                if becomes.factor.to_bits() == 1f64.to_bits() {
                    value
                } else {
                    out.mul_scalar(value, becomes.factor)
                }
            }
            None => out.push(Node { inputs, ..node.clone() }),
        });
    }
    out.inputs = graph.inputs.iter().map(|x| map[x.at()]).collect();
    out.outputs = graph.outputs.iter().map(|x| map[x.at()]).collect();
    out.updates = graph.updates.iter().map(|&(slot, x)| (slot, map[x.at()])).collect();
    out.check()?;
    // What was told apart by the sum that it was made of may be the same now.
    simplify(&out)
}

impl<'a> Search<'a> {
    /// What there is to make together; `None`: nothing.
    fn of(graph: &'a Graph) -> Option<Search<'a>> {
        let mut sums: HashMap<Id, Vec<Id>> = HashMap::new();
        for (i, node) in graph.nodes.iter().enumerate() {
            if (node.op == &SUM || node.op == &MEAN) && sums_columns(graph, node) {
                sums.entry(node.inputs[0]).or_default().push(Id(i as u32));
            }
        }
        if sums.len() < 2 {
            return None;
        }
        let users = graph.users();
        let mut search = Search { graph, users, sums, planned: vec![], becomes: HashMap::new() };
        let all: Vec<Id> = (0..graph.nodes.len() as u32).map(Id).collect();
        for &id in all.iter().filter(|id| graph.node(**id).op == &MEAN) {
            search.moments(id);
        }
        for &id in all.iter().filter(|id| graph.node(**id).op == &SUM) {
            search.products(id);
        }
        (!search.planned.is_empty()).then_some(search)
    }

    fn is_sum(&self, id: Id) -> bool {
        self.sums.get(&self.graph.node(id).inputs[0]).is_some_and(|all| all.contains(&id))
    }

    /// The reductions of `x` by `op`.
    fn by(&self, op: &OpDef, x: Id) -> Vec<Id> {
        let all = self.sums.get(&x).into_iter().flatten();
        all.copied().filter(|id| self.graph.node(*id).op == op).collect()
    }

    /// The operands of a node of this op.
    fn operands(&self, id: Id, op: &OpDef) -> Option<(Id, Id)> {
        let node = self.graph.node(id);
        (node.op == op).then(|| (node.inputs[0], node.inputs[1]))
    }

    /// `x`, for a `x * number` whose number is a power of two, and the number; else itself and 1.
    fn scaled(&self, id: Id) -> (Id, f64) {
        let Some((a, b)) = self.operands(id, &MULTIPLY) else { return (id, 1.0) };
        let number = |id: Id| {
            let node = self.graph.node(id);
            let value = if node.op == &SCALAR { node.attrs[0].float() } else { 0.0 };
            let exact = value > 1e-30 && value < 1e30 && value.to_bits() << 12 == 0;
            (exact && node.ty.dtype == DType::F32).then_some(value)
        };
        match (number(a), number(b)) {
            (_, Some(value)) => (a, value),
            (Some(value), _) => (b, value),
            _ => (id, 1.0),
        }
    }

    /// The value under reshapes.
    fn bare(&self, mut id: Id) -> Id {
        while matches!(self.graph.node(id).op.kind, Kind::View) {
            id = self.graph.node(id).inputs[0];
        }
        id
    }

    /// Is `v` one number per column of `x`, spread over its rows?
    fn per_column(&self, v: Id, x: Id) -> bool {
        let (v, x) = (self.graph.ty(v), self.graph.ty(x));
        let n = x.shape.sizes()[x.shape.rank() - 1];
        v.dtype == DType::F32 && v.shape.count() == n && v.shape.sizes().last() == Some(&n)
    }

    /// Is the value in memory anyway, beside the one step that reads it here?
    fn lies(&self, id: Id) -> bool {
        self.graph.node(id).op.class != Class::Elementwise || self.users[id.at()].len() > 1
    }

    /// A mean of squares of distances from the mean, and that mean.
    fn moments(&mut self, power: Id) {
        if !self.is_sum(power) || self.becomes.contains_key(&power) {
            return;
        }
        let graph = self.graph;
        let square = graph.node(power).inputs[0];
        if graph.node(square).op != &SQUARE {
            return;
        }
        let (away, outer) = self.scaled(graph.node(square).inputs[0]);
        let Some((x, mean)) = self.operands(away, &SUBTRACT) else { return };
        let (source, inner) = self.scaled(x);
        let mean = self.bare(mean);
        let fits = graph.node(mean).op == &MEAN && self.is_sum(mean) && graph.node(mean).inputs[0] == x;
        if !fits
            || graph.ty(x) != graph.ty(source)
            || graph.ty(away) != graph.ty(x)
            || !self.per_column(mean, x)
        {
            return;
        }
        let whole = self.by(&MEAN, source);
        let scaled = if x == source { vec![] } else { self.by(&MEAN, x) };
        let taken = |id: &Id| self.becomes.contains_key(id);
        if whole.iter().chain(&scaled).any(taken) {
            return;
        }
        let at = whole.iter().chain(&scaled).chain([&power]).map(|id| id.at()).min().unwrap_or(0);
        let kernel = self.planned.len();
        let one = Becomes { kernel, result: 0, times: None, factor: 1.0 };
        self.becomes.extend(whole.iter().map(|id| (*id, one)));
        self.becomes.extend(scaled.iter().map(|id| (*id, Becomes { factor: inner, ..one })));
        self.becomes.insert(power, Becomes { result: 1, ..one });
        self.planned.push(Planned {
            at,
            op: &COLUMN_MOMENTS,
            inputs: vec![source],
            attrs: vec![Attr::Float(inner * outer)],
        });
    }

    /// The sum of products with deviations, `along`, and what else is a sum of the same factor.
    fn products(&mut self, along: Id) {
        if !self.is_sum(along) || self.becomes.contains_key(&along) {
            return;
        }
        let graph = self.graph;
        let Some((p, q)) = self.operands(graph.node(along).inputs[0], &MULTIPLY) else { return };
        let ty = graph.ty(graph.node(along).inputs[0]);
        if graph.ty(p) != ty || graph.ty(q) != ty || p == q {
            return;
        }
        for (a, b) in [(p, q), (q, p)] {
            if self.products_of(along, a, b) {
                return;
            }
        }
    }

    fn products_of(&mut self, along: Id, a: Id, b: Id) -> bool {
        let graph = self.graph;
        let (mut inputs, mut lies) = (vec![a, b], self.lies(b));
        if let Some((x, middle)) = self.operands(b, &SUBTRACT)
            && graph.ty(x) == graph.ty(a)
            && self.per_column(middle, a)
        {
            (inputs, lies) = (vec![a, x, middle], true);
        }
        let open = |id: &Id| !self.becomes.contains_key(id);
        let plain: Vec<Id> = self.by(&SUM, a).into_iter().filter(open).collect();
        let spread = self.spread_sums(a);
        let others = plain.iter().chain(spread.iter().map(|(id, _)| id));
        let Some(first) = others.chain([&along]).map(|id| id.at()).min() else { return false };
        // Who else reads it keeps it in memory, and all of its sums wait for the operands.
        let read = self.users[a.at()].len() > plain.len() + 1 || graph.node(a).op.class != Class::Elementwise;
        let ready = inputs.iter().all(|x| x.at() < first);
        if plain.is_empty() && spread.is_empty() || !read || !lies || !ready {
            return false;
        }
        let kernel = self.planned.len();
        let one = Becomes { kernel, result: 0, times: None, factor: 1.0 };
        self.becomes.extend(plain.iter().map(|id| (*id, one)));
        self.becomes.extend(spread.into_iter().map(|(id, becomes)| (id, Becomes { kernel, ..becomes })));
        self.becomes.insert(along, Becomes { result: 1, ..one });
        self.planned.push(Planned { at: first, op: &COLUMN_SUMS, inputs, attrs: vec![] });
        true
    }

    /// Sums of `a` times one number per column, with the sign of each: that many times the sum of `a`.
    fn spread_sums(&self, a: Id) -> Vec<(Id, Becomes)> {
        let mut found = vec![];
        for &product in &self.users[a.at()] {
            let Some((p, q)) = self.operands(product, &MULTIPLY) else { continue };
            let times = if p == a { q } else { p };
            if times == a || !self.per_column(times, a) || self.graph.ty(product) != self.graph.ty(a) {
                continue;
            }
            let one = Becomes { kernel: 0, result: 0, times: Some(times), factor: 1.0 };
            let negative = self.users[product.at()].iter().filter(|u| self.graph.node(**u).op == &NEGATIVE);
            let signed = [(product, 1.0)].into_iter().chain(negative.map(|u| (*u, -1.0)));
            for (x, factor) in signed {
                let sums = self.by(&SUM, x);
                let open = sums.into_iter().filter(|id| !self.becomes.contains_key(id));
                found.extend(open.map(|id| (id, Becomes { factor, ..one })));
            }
        }
        found
    }
}

/// Does a reduction take all rows of a matrix of floats together, of as many columns as the kernels take?
fn sums_columns(graph: &Graph, node: &Node) -> bool {
    let ty = graph.ty(node.inputs[0]);
    let rank = ty.shape.rank();
    ty.dtype == DType::F32
        && rank >= 2
        && COLUMNS.contains(&ty.shape.sizes()[rank - 1])
        && reduced_axes(node, rank).iter().copied().eq(0..rank - 1)
}
