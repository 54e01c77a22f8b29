//! F5. Groups nodes into steps. Three rules: elementwise nodes over one iteration space become a
//! group; a group around a head (what makes a matrix by blocks) is its epilogue; a group feeding a
//! reduction is its prologue, and sums over a head's rows follow its epilogue. A group may have several
//! outputs (the new weight and both moments of Adam leave one
//! group); a merge that would make groups wait for each other in a circle is refused.

use super::lower::reduced_axes;
use super::schedule::schedule;
use crate::error::{Error, Result};
use crate::graph::{Class, Graph, Id, Kind, Reduce, SCALAR, Strided, Vjp};
use crate::shape::{DType, Shape};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// What one step of a back end can hold. A group that would not fit is not made; a node alone always
/// is a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Elementwise nodes of a group.
    pub nodes: usize,
    /// Values that its elementwise nodes read from outside (what a head hands on aside).
    pub inputs: usize,
    /// Memory regions that a group reads or writes, its head's and tail's included.
    pub buffers: usize,
}

/// What one step computes.
#[derive(Debug, Clone)]
pub enum Work {
    /// Elementwise nodes over one shape, fed by an optional matrix product, feeding an optional
    /// reduction.
    Fused(Fused),
    /// A node with a kernel of its own, and its parts that somebody reads.
    Kernel(Id, Vec<Id>),
    /// A movement node that somebody needs in memory.
    Copy(Id),
}

impl Work {
    /// The nodes the step computes.
    #[must_use]
    pub fn members(&self) -> Vec<Id> {
        match self {
            Work::Fused(f) => f.head.iter().chain(&f.nodes).chain(&f.tail).copied().collect(),
            Work::Kernel(id, parts) => [*id].iter().chain(parts).copied().collect(),
            Work::Copy(id) => vec![*id],
        }
    }
}

/// A fused group.
#[derive(Debug, Clone)]
pub struct Fused {
    /// The iteration space.
    pub shape: Shape,
    /// The matrix product whose epilogue this is.
    pub head: Option<Id>,
    /// Elementwise nodes in topological order.
    pub nodes: Vec<Id>,
    /// The reduction whose prologue this is.
    pub tail: Option<Id>,
}

/// The grouping of a whole graph, in an order that can run.
#[derive(Debug)]
pub struct Fusion {
    /// The steps.
    pub works: Vec<Work>,
    /// The step that computes each node, by node index.
    pub work_of: Vec<Option<usize>>,
    /// How each node's value is reached.
    pub origin: Vec<Origin>,
}

/// How a node's value is reached in memory.
#[derive(Debug, Clone)]
pub enum Origin {
    /// It has memory (or a register) of its own.
    Own,
    /// The same bytes as that node.
    Same(Id),
    /// Chosen elements of that node, read in place by elementwise groups.
    Chosen(Id, Strided),
}

impl Fusion {
    /// The node whose memory holds the value of `id` (views resolved; not through strides).
    #[must_use]
    pub fn root(&self, id: Id) -> Id {
        match &self.origin[id.at()] {
            Origin::Same(of) => self.root(*of),
            _ => id,
        }
    }

    /// The node whose memory is read to get `id`, through views and strides.
    #[must_use]
    pub fn source(&self, id: Id) -> Id {
        match &self.origin[id.at()] {
            Origin::Same(of) | Origin::Chosen(of, _) => self.source(*of),
            Origin::Own => id,
        }
    }
}

impl Fusion {
    /// A mask (an op without a derivative) of a value that lies in memory anyway is computed again
    /// by each group that reads it, instead of being stored: relu's backward reads its output.
    fn recompute(&mut self, graph: &Graph, limits: &Limits) {
        let wanted = wanted(graph);
        let users = graph.users();
        for i in 0..graph.nodes.len() {
            let (id, node) = (Id(i as u32), &graph.nodes[i]);
            let Some(home) = self.work_of[i] else { continue };
            let mask = node.op.class == Class::Elementwise && matches!(node.op.vjp, Vjp::Zero) && !wanted[i];
            let ready = |x: &Id| {
                let source = self.source(*x);
                graph.node(source).op.class == Class::Leaf || wanted[source.at()]
            };
            if !mask || !node.inputs.iter().all(ready) {
                continue;
            }
            let mut places: Vec<usize> = users[i].iter().filter_map(|u| self.work_of[u.at()]).collect();
            places.sort_unstable();
            places.dedup();
            let room = |place: &usize| match &self.works[*place] {
                Work::Fused(f) => {
                    f.shape == node.ty.shape
                        && f.nodes.len() < limits.nodes
                        && self.inputs(graph, f) + node.inputs.len() <= limits.inputs
                        && (limits.buffers == usize::MAX || {
                            let mut members = self.works[*place].members();
                            members.push(id);
                            regions(graph, &users, &|x| self.source(x), &members) <= limits.buffers
                        })
                }
                _ => false,
            };
            let direct = users[i]
                .iter()
                .all(|u| matches!(self.origin[u.at()], Origin::Own) && graph.shape(*u) == node.ty.shape);
            if !direct || !places.iter().filter(|p| **p != home).all(room) {
                continue;
            }
            for &place in places.iter().filter(|p| **p != home) {
                if let Work::Fused(f) = &mut self.works[place] {
                    f.nodes.push(id);
                    f.nodes.sort_unstable();
                }
            }
            if !places.contains(&home)
                && let Work::Fused(f) = &mut self.works[home]
                && (f.nodes.len() > 1 || f.head.is_some())
            {
                f.nodes.retain(|&n| n != id);
            }
        }
    }

    /// Every value has a step, and every step comes after those that it reads.
    fn check(&self, graph: &Graph) -> Result<()> {
        let bug = |id: Id, what: &str| {
            Err(Error::Internal(format!("fusion: value {} ({}) {what}", id.0, graph.node(id).op.name)))
        };
        for (i, node) in graph.nodes.iter().enumerate() {
            let own = matches!(self.origin[i], Origin::Own) && node.op.class != Class::Leaf;
            if own && self.work_of[i].is_none() {
                return bug(Id(i as u32), "is computed by no step");
            }
        }
        for (at, work) in self.works.iter().enumerate() {
            let members = work.members();
            for &id in &members {
                for &input in &graph.node(id).inputs {
                    let source = self.source(input);
                    let inside = input < id && members.contains(&input);
                    if !inside && self.work_of[source.at()].is_some_and(|before| before >= at) {
                        return bug(source, "is read before it is computed");
                    }
                }
            }
        }
        Ok(())
    }

    /// Values a group reads from memory.
    fn inputs(&self, graph: &Graph, fused: &Fused) -> usize {
        let mut seen: Vec<Id> = vec![];
        for &id in &fused.nodes {
            for &input in &graph.node(id).inputs {
                if !fused.nodes.contains(&input) && !seen.contains(&input) {
                    seen.push(input);
                }
            }
        }
        seen.len()
    }
}

struct Group {
    alive: bool,
    fusable: bool,
    shape: Shape,
    head: Option<Id>,
    tail: Option<Id>,
    nodes: Vec<Id>,
    /// Groups this one reads; true: through memory (a view, a broadcast, a product's operand),
    /// so that the two can never be one. Groups that were merged since are still named here:
    /// [`Fuser::alive`] says where they went.
    deps: Vec<(usize, bool)>,
    last: u32,
    /// Position in the order of groups: greater than that of every group it reads.
    rank: u64,
}

/// New groups come this far after the last one, so that others can be moved between them.
const GAP: u64 = 1 << 32;
/// A merge that would have to look at more groups than this between the two is refused, so that
/// the work stays linear in the nodes.
const NEAR: usize = 256;

struct Fuser<'a> {
    graph: &'a Graph,
    limits: Limits,
    users: Vec<Vec<Id>>,
    origin: Vec<Origin>,
    group_of: Vec<Option<usize>>,
    groups: Vec<Group>,
    /// The group that a merged one became part of; itself while it is alive.
    became: Vec<usize>,
    /// Living groups by rank.
    ranked: BTreeMap<u64, usize>,
}

/// Groups a simplified graph.
pub fn fuse(graph: &Graph, limits: &Limits) -> Result<Fusion> {
    let origin = origins(graph);
    let mut fuser = Fuser {
        graph,
        limits: *limits,
        users: graph.users(),
        origin,
        group_of: vec![None; graph.nodes.len()],
        groups: vec![],
        became: vec![],
        ranked: BTreeMap::new(),
    };
    for i in 0..graph.nodes.len() {
        fuser.place(Id(i as u32));
    }
    let mut fusion = fuser.finish()?;
    schedule(graph, &mut fusion);
    fusion.check(graph)?;
    Ok(fusion)
}

/// Memory regions that a step of these nodes reads or writes; a number known now takes none.
fn regions(graph: &Graph, users: &[Vec<Id>], source: &dyn Fn(Id) -> Id, members: &[Id]) -> usize {
    let mut regions: Vec<Id> = vec![];
    for &id in members {
        let read = graph.node(id).inputs.iter().map(|&x| source(x));
        regions.extend(read.filter(|x| !members.contains(x) && graph.node(*x).op != &SCALAR));
        let leaves = graph.outputs.contains(&id) || graph.updates.iter().any(|&(_, v)| v == id);
        if leaves || users[id.at()].iter().any(|u| !members.contains(u)) {
            regions.push(id);
        }
    }
    regions.sort_unstable();
    regions.dedup();
    regions.len()
}

/// Values that need memory whatever the grouping: outputs, new state, and what nodes other than
/// elementwise ones read.
fn wanted(graph: &Graph) -> Vec<bool> {
    let mut wanted = vec![false; graph.nodes.len()];
    for &id in graph.outputs.iter().chain(graph.updates.iter().map(|(_, id)| id)) {
        wanted[id.at()] = true;
    }
    for node in &graph.nodes {
        // A part is another result of the node it names, not a reader of its value.
        if !matches!(node.op.class, Class::Elementwise | Class::Part) {
            for input in &node.inputs {
                wanted[input.at()] = true;
            }
        }
    }
    wanted
}

/// Decides which movement nodes are read in place: those that only elementwise nodes read, along
/// rows that are contiguous or constant.
fn origins(graph: &Graph) -> Vec<Origin> {
    let wanted = wanted(graph);
    let mut origin: Vec<Origin> = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        let own = match node.op.kind {
            Kind::View => match &origin[node.inputs[0].at()] {
                // A view of a view, named by what lies under both: chains stay short.
                Origin::Same(of) => Origin::Same(*of),
                _ => Origin::Same(node.inputs[0]),
            },
            Kind::Strided(rule) if !wanted[i] && !through_strides(&origin, node.inputs[0]) => {
                let types: Vec<_> = node.inputs.iter().map(|&x| graph.ty(x)).collect();
                match rule(&types, &node.attrs, node.ty) {
                    Ok(s) if matches!(s.strides.last(), Some(0 | 1) | None) => {
                        Origin::Chosen(node.inputs[0], s)
                    }
                    _ => Origin::Own,
                }
            }
            _ => Origin::Own,
        };
        origin.push(own);
    }
    origin
}

fn through_strides(origin: &[Origin], id: Id) -> bool {
    match &origin[id.at()] {
        Origin::Own => false,
        Origin::Same(of) => through_strides(origin, *of),
        Origin::Chosen(..) => true,
    }
}

impl Fuser<'_> {
    fn place(&mut self, id: Id) {
        let graph = self.graph;
        let node = graph.node(id);
        if matches!(node.op.class, Class::Leaf) || !matches!(self.origin[id.at()], Origin::Own) {
            return;
        }
        if node.op.class == Class::Part {
            self.group_of[id.at()] = self.group_of[node.inputs[0].at()];
            if let Some(g) = self.group_of[id.at()] {
                self.groups[g].nodes.push(id);
            }
            return;
        }
        let elementwise = node.op.class == Class::Elementwise && matches!(node.op.kind, Kind::Map);
        let product = matches!(node.op.kind, Kind::Head);
        let mut deps: Vec<(usize, bool)> = vec![];
        for &input in &node.inputs {
            if let Some(g) = self.group_of[self.source(input).at()] {
                let register = matches!(graph.node(input).op.kind, Kind::Map | Kind::Head);
                let soft =
                    elementwise && register && self.direct(input) && graph.shape(input) == node.ty.shape;
                match deps.iter_mut().find(|(d, _)| *d == g) {
                    Some((_, hard)) => *hard |= !soft,
                    None => deps.push((g, !soft)),
                }
            }
        }
        let group = Group {
            alive: true,
            fusable: elementwise || product,
            shape: node.ty.shape,
            head: product.then_some(id),
            tail: None,
            nodes: if product { vec![] } else { vec![id] },
            deps,
            last: id.0,
            rank: self.ranked.last_key_value().map_or(GAP, |(rank, _)| rank + GAP),
        };
        if let Kind::Reduce(_) = node.op.kind
            && let Some(g) = self.prologue(id)
            && self.bindable(&[g], Some(id))
        {
            self.groups[g].tail = Some(id);
            self.groups[g].last = id.0;
            self.group_of[id.at()] = Some(g);
            return;
        }
        let mut mine = self.groups.len();
        self.ranked.insert(group.rank, mine);
        self.groups.push(group);
        self.became.push(mine);
        self.group_of[id.at()] = Some(mine);
        if elementwise {
            // Latest producer first: a product's epilogue wins over an older group.
            let mut near: Vec<usize> =
                self.groups[mine].deps.iter().filter(|(_, hard)| !hard).map(|&(g, _)| g).collect();
            near.sort_by_key(|&g| Reverse(self.groups[g].last));
            for g in near {
                if self.groups[g].alive
                    && g != mine
                    && self.can_merge(g, mine)
                    && let Some(between) = self.between(g, mine)
                {
                    mine = self.merge(g, mine, between);
                }
            }
        }
    }

    /// The group that may compute the input of a reduction as it is read.
    fn prologue(&self, tail: Id) -> Option<usize> {
        let input = self.graph.node(tail).inputs[0];
        let g = self.group_of[input.at()].filter(|_| self.direct(input))?;
        let group = &self.groups[g];
        let member = group.nodes.contains(&input) || group.head == Some(input);
        let fits = group.head.is_none_or(|head| self.sums_columns(head, tail));
        (group.fusable && group.tail.is_none() && member && fits).then_some(g)
    }

    /// Is `tail` a sum over the rows of the head's matrix? Its blocks come in no order, so each leaves
    /// a row of sums, and these are added in a fixed order.
    fn sums_columns(&self, head: Id, tail: Id) -> bool {
        let node = self.graph.node(tail);
        let ty = self.graph.ty(node.inputs[0]);
        let rank = ty.shape.rank();
        let summed = matches!(node.op.kind, Kind::Reduce(Reduce::Sum | Reduce::Mean));
        let columns = self.graph.shape(head).dims().last().copied();
        summed
            && ty.dtype == DType::F32
            && rank >= 2
            && ty.shape.count() > 0
            && reduced_axes(node, rank).iter().copied().eq(0..rank - 1)
            && ty.shape.dims().last().copied() == columns
    }

    fn direct(&self, id: Id) -> bool {
        matches!(self.origin[id.at()], Origin::Own)
    }

    fn source(&self, id: Id) -> Id {
        match &self.origin[id.at()] {
            Origin::Same(of) | Origin::Chosen(of, _) => self.source(*of),
            Origin::Own => id,
        }
    }

    fn can_merge(&self, a: usize, b: usize) -> bool {
        let (x, y) = (&self.groups[a], &self.groups[b]);
        x.fusable
            && y.fusable
            && x.shape == y.shape
            && x.head.is_none() | y.head.is_none()
            && x.tail.is_none() | y.tail.is_none()
            && match (x.head.or(y.head), x.tail.or(y.tail)) {
                (Some(head), Some(tail)) => self.sums_columns(head, tail),
                _ => true,
            }
            && x.nodes.len() + y.nodes.len() <= self.limits.nodes
            && !self.reads_memory(a, b)
            && !self.reads_memory(b, a)
            && self.external(a, b) <= self.limits.inputs
            && self.bindable(&[a, b], None)
    }

    /// Does group `a` read group `b` through memory?
    fn reads_memory(&self, a: usize, b: usize) -> bool {
        self.groups[a].deps.iter().any(|&(d, hard)| hard && self.alive(d) == b)
    }

    /// The group that `g` is part of by now.
    fn alive(&self, mut g: usize) -> usize {
        while self.became[g] != g {
            g = self.became[g];
        }
        g
    }

    /// Values read from outside the two groups together (an upper bound of inputs).
    fn external(&self, a: usize, b: usize) -> usize {
        let mut seen: Vec<Id> = vec![];
        for id in self.groups[a].nodes.iter().chain(&self.groups[b].nodes) {
            for &input in &self.graph.node(*id).inputs {
                let inside =
                    self.group_of[input.at()].is_some_and(|g| g == a || g == b) && self.direct(input);
                if !inside && !seen.contains(&input) {
                    seen.push(input);
                }
            }
        }
        seen.len()
    }

    /// Do these groups as one, with `tail` behind them, read and write few enough memory regions?
    /// What may still become a register counts as memory, so later merges only make it less.
    fn bindable(&self, groups: &[usize], tail: Option<Id>) -> bool {
        if self.limits.buffers == usize::MAX {
            return true;
        }
        let members = groups.iter().map(|&g| &self.groups[g]);
        let members = members.flat_map(|g| g.head.iter().chain(&g.nodes).chain(&g.tail)).copied();
        let members: Vec<Id> = members.chain(tail).collect();
        regions(self.graph, &self.users, &|id| self.source(id), &members) <= self.limits.buffers
    }

    /// The groups between `a` and `b` in rank that the later of the two reads, in order of rank.
    /// `None` when one of them reads the earlier: the two as one would wait for it in a circle.
    ///
    /// Ranks rise along every chain of reads, whatever was merged before, so nothing outside the
    /// two ranks can lie on such a chain.
    fn between(&self, a: usize, b: usize) -> Option<Vec<usize>> {
        let (early, late) = if self.groups[a].rank < self.groups[b].rank { (a, b) } else { (b, a) };
        let floor = self.groups[early].rank;
        let mut found: BTreeMap<u64, usize> = BTreeMap::new();
        let mut open = vec![late];
        while let Some(g) = open.pop() {
            for &(d, _) in &self.groups[g].deps {
                let d = self.alive(d);
                if d == early && g != late {
                    return None;
                }
                let rank = self.groups[d].rank;
                if d != late && rank > floor && found.insert(rank, d).is_none() {
                    if found.len() > NEAR {
                        return None;
                    }
                    open.push(d);
                }
            }
        }
        Some(found.into_values().collect())
    }

    /// Moves group `b` into `a`; the groups `between` them move before both.
    fn merge(&mut self, a: usize, b: usize, between: Vec<usize>) -> usize {
        let gone = std::mem::replace(
            &mut self.groups[b],
            Group {
                alive: false,
                fusable: false,
                shape: Shape::scalar(),
                head: None,
                tail: None,
                nodes: vec![],
                deps: vec![],
                last: 0,
                rank: 0,
            },
        );
        for id in gone.nodes.iter().chain(&gone.head).chain(&gone.tail) {
            self.group_of[id.at()] = Some(a);
        }
        self.became[b] = a;
        let mut deps: Vec<(usize, bool)> = vec![];
        for &(d, hard) in self.groups[a].deps.iter().chain(&gone.deps) {
            let d = self.alive(d);
            match deps.iter_mut().find(|(other, _)| *other == d) {
                _ if d == a => {}
                Some((_, before)) => *before |= hard,
                None => deps.push((d, hard)),
            }
        }
        let into = &mut self.groups[a];
        into.head = into.head.or(gone.head);
        into.tail = into.tail.or(gone.tail);
        into.nodes.extend(gone.nodes);
        into.nodes.sort_unstable();
        into.last = into.last.max(gone.last);
        into.deps = deps;
        let ranks = (into.rank, gone.rank);
        self.rerank(a, ranks, between);
        a
    }

    /// Puts a merged group at the lower of the two ranks it had, right after the groups `between`.
    fn rerank(&mut self, merged: usize, (x, y): (u64, u64), between: Vec<usize>) {
        let (low, high) = (x.min(y), x.max(y));
        self.ranked.remove(&high);
        self.ranked.insert(low, merged);
        self.groups[merged].rank = low;
        let wanted = between.len() as u64;
        if self.room_below(low) <= wanted {
            let order: Vec<usize> = self.ranked.values().copied().collect();
            self.ranked = order.iter().enumerate().map(|(i, &g)| ((i as u64 + 1) * GAP, g)).collect();
            for (&rank, &g) in &self.ranked {
                self.groups[g].rank = rank;
            }
        }
        let top = self.groups[merged].rank;
        let step = self.room_below(top) / (wanted + 1);
        for (i, &g) in between.iter().enumerate() {
            let rank = top - step * (wanted - i as u64);
            self.ranked.remove(&self.groups[g].rank);
            self.ranked.insert(rank, g);
            self.groups[g].rank = rank;
        }
    }

    /// Distance from a rank to the one before it.
    fn room_below(&self, rank: u64) -> u64 {
        rank - self.ranked.range(..rank).next_back().map_or(0, |(&below, _)| below)
    }

    /// Orders the groups: dependencies first, then by their latest node, so that updates of state
    /// come after the last readers of the old value.
    fn finish(self) -> Result<Fusion> {
        let n = self.groups.len();
        let mut waiting = vec![0usize; n];
        let mut readers: Vec<Vec<usize>> = vec![vec![]; n];
        for (g, group) in self.groups.iter().enumerate().filter(|(_, g)| g.alive) {
            let mut deps: Vec<usize> = group.deps.iter().map(|&(d, _)| self.alive(d)).collect();
            deps.sort_unstable();
            deps.dedup();
            for d in deps {
                waiting[g] += 1;
                readers[d].push(g);
            }
        }
        let mut ready: BinaryHeap<Reverse<(u32, usize)>> = (0..n)
            .filter(|&g| self.groups[g].alive && waiting[g] == 0)
            .map(|g| Reverse((self.groups[g].last, g)))
            .collect();
        let mut order = vec![];
        while let Some(Reverse((_, g))) = ready.pop() {
            order.push(g);
            for &r in &readers[g] {
                waiting[r] -= 1;
                if waiting[r] == 0 {
                    ready.push(Reverse((self.groups[r].last, r)));
                }
            }
        }
        let alive = self.ranked.len();
        if order.len() != alive {
            return Err(Error::Internal(format!("{} of {alive} groups form a circle", alive - order.len())));
        }
        let mut at = vec![None; n];
        let mut works = vec![];
        for g in order {
            at[g] = Some(works.len());
            works.push(self.work(&self.groups[g]));
        }
        let work_of = self.group_of.iter().map(|g| g.and_then(|g| at[g])).collect();
        let mut fusion = Fusion { works, work_of, origin: self.origin };
        fusion.recompute(self.graph, &self.limits);
        Ok(fusion)
    }

    fn work(&self, group: &Group) -> Work {
        let only = group.nodes.first().copied();
        match only {
            Some(id) if !group.fusable => match self.graph.node(id).op.kind {
                Kind::Strided(_) => Work::Copy(id),
                Kind::Reduce(_) => Work::Fused(Fused {
                    shape: self.graph.shape(self.graph.node(id).inputs[0]),
                    head: None,
                    nodes: vec![],
                    tail: Some(id),
                }),
                _ => Work::Kernel(id, group.nodes[1..].to_vec()),
            },
            _ => Work::Fused(Fused {
                shape: group.shape,
                head: group.head,
                nodes: group.nodes.clone(),
                tail: group.tail,
            }),
        }
    }
}
