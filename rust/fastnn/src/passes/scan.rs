//! F5. What passes do with a `scan`: results and carries that nobody reads go, numbers known outside
//! move in, what every round would compute again moves out, and a loop that computes what another does
//! and more stands for both.

use super::hoist;
use super::lower::Rebuild;
use super::simplify::simplify;
use crate::error::{Error, Result};
use crate::graph::{Attr, Body, Class, DATA, Graph, INPUT, Id, Kind, Node, PART, SCALAR};
use crate::ops::movement::BROADCAST_TO;
use crate::ops::rule::shape_attr;
use crate::ops::scan::Scan;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

fn is_scan(node: &Node) -> bool {
    matches!(node.op.kind, Kind::Scan(_))
}

/// Does the graph hold a loop?
pub(super) fn any(graph: &Graph) -> bool {
    graph.nodes.iter().any(is_scan)
}

/// A scan node with its body replaced by what `change` makes of it.
pub(super) fn with_body(node: &Node, change: impl FnOnce(&Graph) -> Result<Graph>) -> Result<Node> {
    let Some(scan) = Scan::of(node) else {
        return Err(Error::Internal(format!("'{}' is no scan", node.op.name)));
    };
    let body = Body::new(change(scan.body)?)?;
    Ok(Node { attrs: scan.attrs(body), ..node.clone() })
}

// ---- loops that compute the same and more ------------------------------------------------------

/// One loop for those over the same values of which one computes what the others do, and more: the
/// gradient of a loop asks for a second one that also keeps what the backward pass reads.
pub(super) fn merge(graph: &Graph) -> Result<Cow<'_, Graph>> {
    if !any(graph) {
        return Ok(Cow::Borrowed(graph));
    }
    type Key<'a> = (&'a [Id], &'a [Attr]);
    // Of each loop that stays: its node and the largest body met.
    let mut groups: HashMap<Key<'_>, Vec<(usize, &Arc<Body>)>> = HashMap::new();
    let mut stays: HashMap<usize, usize> = HashMap::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let Some(body) = node.attrs.first().and_then(Attr::body) else { continue };
        let group = groups.entry((&node.inputs, &node.attrs[1..])).or_default();
        let found = group.iter_mut().find(|(_, kept)| extends(body, kept) || extends(kept, body));
        match found {
            Some((first, kept)) => {
                stays.insert(at, *first);
                if extends(body, kept) {
                    *kept = body;
                }
            }
            None => {
                stays.insert(at, at);
                group.push((at, body));
            }
        }
    }
    let bodies: HashMap<usize, &Arc<Body>> = groups.into_values().flatten().collect();
    let mut work = Rebuild::new(graph);
    for (at, node) in graph.nodes.iter().enumerate() {
        let id = match (stays.get(&at), bodies.get(&at)) {
            (_, Some(body)) => {
                let node = with_body(node, |_| Ok(merge(&body.graph)?.into_owned()))?;
                work.keep(&node)
            }
            (Some(&first), None) => work.place(Id(first as u32)),
            (None, None) => work.keep(node),
        };
        work.settle(id);
    }
    Ok(Cow::Owned(work.finish()))
}

/// Does `more` compute all that `less` does, by the same nodes, and give it first?
fn extends(more: &Body, less: &Body) -> bool {
    less.graph.inputs == more.graph.inputs
        && more.graph.outputs.starts_with(&less.graph.outputs)
        && less.graph.begins(&more.graph)
}

// ---- numbers move in ---------------------------------------------------------------------------

/// A scan whose body holds the numbers that it would be handed: scalars, and arrays of one number.
pub(super) fn sink(g: &mut Graph, node: &Node, inputs: Vec<Id>) -> Result<Id> {
    let Some(scan) = Scan::of(node) else {
        return Err(Error::Internal(format!("'{}' is no scan", node.op.name)));
    };
    let number = |at: usize| {
        let mut id = inputs[at];
        while g.node(id).op == &BROADCAST_TO {
            id = g.node(id).inputs[0];
        }
        let leaf = g.node(id);
        (at >= scan.carries && leaf.op == &SCALAR).then(|| leaf.attrs[0].float())
    };
    let numbers: Vec<Option<f64>> = (0..inputs.len()).map(number).collect();
    if numbers.iter().all(Option::is_none) {
        return Ok(g.push(Node { inputs, ..node.clone() }));
    }
    let mut work = Rebuild::new(scan.body);
    for inner in &scan.body.nodes {
        let known = if inner.op == &INPUT { numbers[inner.attrs[0].int() as usize] } else { None };
        let id = match known {
            Some(value) => {
                // The slot stays, read by nobody, until it is trimmed.
                let slot = work.to.push(inner.clone());
                work.to.inputs[inner.attrs[0].int() as usize] = slot;
                let value = work.to.typed_scalar(value, inner.ty.dtype);
                if inner.ty.shape.rank() == 0 {
                    value
                } else {
                    work.to.add(&BROADCAST_TO, &[value], &[shape_attr(&inner.ty.shape)])
                }
            }
            None => work.keep(inner),
        };
        if known.is_some() { work.settle_as(id) } else { work.settle(id) }
    }
    let body = work.finish();
    Ok(g.push(Node { inputs, ..with_body(node, |_| Ok(body))? }))
}

// ---- what nobody reads goes --------------------------------------------------------------------

/// What became of a result of a trimmed loop.
#[derive(Clone, Copy)]
enum Became {
    /// This result.
    Result(usize),
    /// What the loop was handed: no round changes it.
    Input(usize),
    Nothing,
}

struct Trimmed {
    node: Node,
    /// Which inputs of the old node are left, in order.
    inputs: Vec<usize>,
    results: Vec<Became>,
}

/// Simplifies bodies, drops results that nobody reads, carries that no result needs, and inputs that
/// no round reads.
pub(super) fn trim(graph: Graph) -> Result<Graph> {
    if !any(&graph) {
        return Ok(graph);
    }
    let n = graph.nodes.len();
    let mut used = vec![false; n];
    let mut read: HashMap<Id, Vec<bool>> = HashMap::new();
    let mut trimmed: HashMap<usize, Trimmed> = HashMap::new();
    for id in graph.outputs.iter().chain(graph.updates.iter().map(|(_, v)| v)).chain(&graph.inputs) {
        used[id.at()] = true;
    }
    for at in (0..n).rev() {
        let node = &graph.nodes[at];
        if is_scan(node) {
            let results = crate::graph::results(node.op, &node.attrs);
            let mut live = read.remove(&Id(at as u32)).unwrap_or_else(|| vec![false; results]);
            live[0] |= used[at];
            used[at] = live.contains(&true);
            if used[at] {
                let cut = cut(node, live)?;
                for became in &cut.results {
                    if let Became::Input(k) = became {
                        used[node.inputs[*k].at()] = true;
                    }
                }
                cut.inputs.iter().for_each(|&k| used[node.inputs[k].at()] = true);
                trimmed.insert(at, cut);
            }
        } else if used[at] && node.op == &PART && is_scan(graph.node(node.inputs[0])) {
            let of = graph.node(node.inputs[0]);
            let results = crate::graph::results(of.op, &of.attrs);
            let live = read.entry(node.inputs[0]).or_insert_with(|| vec![false; results]);
            live[node.attrs[0].int() as usize] = true;
        } else if used[at] {
            node.inputs.iter().for_each(|x| used[x.at()] = true);
        }
    }
    let mut out = Graph { data: graph.data.clone(), inputs: graph.inputs.clone(), ..Graph::default() };
    let mut map = vec![Id(u32::MAX); n];
    let mut loops: HashMap<usize, Id> = HashMap::new();
    for (at, node) in graph.nodes.iter().enumerate().filter(|(at, _)| used[*at]) {
        let result = |out: &mut Graph, of: usize, index: usize| {
            let cut = &trimmed[&of];
            match cut.results[index] {
                Became::Result(k) => out.part(loops[&of], k),
                Became::Input(k) => map[graph.nodes[of].inputs[k].at()],
                Became::Nothing => Id(u32::MAX),
            }
        };
        map[at] = if let Some(cut) = trimmed.get(&at) {
            if cut.results.iter().any(|r| matches!(r, Became::Result(_))) {
                let inputs = cut.inputs.iter().map(|&k| map[node.inputs[k].at()]).collect();
                let id = out.push(Node { inputs, ..cut.node.clone() });
                loops.insert(at, id);
            }
            // Read as a value this is result 0.
            match cut.results[0] {
                Became::Result(k) => out.part(loops[&at], k),
                Became::Input(k) => map[node.inputs[k].at()],
                Became::Nothing => Id(u32::MAX),
            }
        } else if node.op == &PART && trimmed.contains_key(&node.inputs[0].at()) {
            result(&mut out, node.inputs[0].at(), node.attrs[0].int() as usize)
        } else {
            let inputs = node.inputs.iter().map(|x| map[x.at()]).collect();
            out.push(Node { inputs, ..node.clone() })
        };
        if node.op == &INPUT {
            out.inputs[node.attrs[0].int() as usize] = map[at];
        }
    }
    out.outputs = graph.outputs.iter().map(|o| map[o.at()]).collect();
    out.updates = graph.updates.iter().map(|(slot, v)| (*slot, map[v.at()])).collect();
    out.check()?;
    Ok(out)
}

/// The loop without what only results outside `live` need.
fn cut(node: &Node, live: Vec<bool>) -> Result<Trimmed> {
    let results = live.len();
    let mut whole = Trimmed {
        node: node.clone(),
        inputs: (0..node.inputs.len()).collect(),
        results: (0..results).map(Became::Result).collect(),
    };
    // What the simplified body no longer reads goes in a second turn.
    let mut wanted = live;
    for turn in 0..2 {
        let step = cut_once(&whole.node, &wanted)?;
        let next = |became: Became| match became {
            Became::Result(k) => match step.results[k] {
                Became::Input(i) => Became::Input(whole.inputs[i]),
                other => other,
            },
            other => other,
        };
        let results: Vec<Became> = whole.results.iter().map(|&r| next(r)).collect();
        let mut left = vec![false; crate::graph::results(step.node.op, &step.node.attrs)];
        for (old, became) in step.results.iter().enumerate() {
            if let Became::Result(k) = became {
                left[*k] |= wanted[old];
            }
        }
        let inputs = step.inputs.iter().map(|&i| whole.inputs[i]).collect();
        whole = Trimmed { node: step.node, inputs, results };
        wanted = left;
        if !wanted.contains(&true) {
            break;
        }
        if turn == 0 {
            whole.node = with_body(&whole.node, simplify)?;
        }
    }
    Ok(whole)
}

fn cut_once(node: &Node, wanted: &[bool]) -> Result<Trimmed> {
    let Some(scan) = Scan::of(node) else {
        return Err(Error::Internal(format!("'{}' is no scan", node.op.name)));
    };
    let body = scan.body;
    let slot = |id: Id| (body.node(id).op == &INPUT).then(|| body.node(id).attrs[0].int() as usize);
    // A carry that a round hands on as it got it.
    let same = |k: usize| k < scan.carries && slot(body.outputs[k]) == Some(k);
    let mut live = wanted.to_vec();
    let mut seen = vec![false; body.nodes.len()];
    let mut read = vec![false; node.inputs.len()];
    let mut open: Vec<Id> =
        (0..live.len()).filter(|&k| live[k] && !same(k)).map(|k| body.outputs[k]).collect();
    while let Some(id) = open.pop() {
        if std::mem::replace(&mut seen[id.at()], true) {
            continue;
        }
        open.extend(&body.node(id).inputs);
        if let Some(slot) = slot(id) {
            read[slot] = true;
            if slot < scan.carries && !same(slot) && !std::mem::replace(&mut live[slot], true) {
                open.push(body.outputs[slot]);
            }
        }
    }
    let stays = |k: &usize| live[*k] && !same(*k);
    let carries: Vec<usize> = (0..scan.carries).filter(stays).collect();
    let slices: Vec<usize> = (scan.carries..scan.carries + scan.slices).filter(|&k| read[k]).collect();
    let shared = (0..scan.carries).filter(|&k| same(k) && read[k]);
    let shared = shared.chain((scan.carries + scan.slices..node.inputs.len()).filter(|&k| read[k]));
    let inputs: Vec<usize> = carries.iter().chain(&slices).copied().chain(shared).collect();
    let outputs: Vec<usize> = (0..live.len()).filter(stays).collect();
    let mut results = vec![Became::Nothing; live.len()];
    outputs.iter().enumerate().for_each(|(new, &old)| results[old] = Became::Result(new));
    (0..scan.carries).filter(|&k| same(k)).for_each(|k| results[k] = Became::Input(k));

    let mut graph = Graph { data: body.data.clone(), ..Graph::default() };
    let mut map = vec![Id(u32::MAX); body.nodes.len()];
    for &k in &inputs {
        // A carry that nothing reads still has its slot.
        map[body.inputs[k].at()] = graph.input(body.ty(body.inputs[k]));
    }
    for (at, inner) in body.nodes.iter().enumerate().filter(|(at, n)| seen[*at] && n.op != &INPUT) {
        let inputs = inner.inputs.iter().map(|x| map[x.at()]).collect();
        map[at] = graph.push(Node { inputs, ..inner.clone() });
    }
    graph.outputs = outputs.iter().map(|&k| map[body.outputs[k].at()]).collect();
    let left = Scan { carries: carries.len(), slices: slices.len(), ..scan };
    let attrs = left.attrs(Body::new(graph)?);
    let ty = match outputs.first() {
        Some(&0) => node.ty,
        Some(&k) => {
            crate::graph::part_type(node.op, k as i64, &input_types(node, body, &scan)?, &node.attrs)?
        }
        None => node.ty,
    };
    Ok(Trimmed { node: Node { attrs, ty, ..node.clone() }, inputs, results })
}

/// The types of a loop's inputs, from those of its body.
fn input_types(node: &Node, body: &Graph, scan: &Scan<'_>) -> Result<Vec<crate::graph::Ty>> {
    let slices = scan.carries..scan.carries + scan.slices;
    (0..node.inputs.len())
        .map(|k| {
            let ty = body.ty(body.inputs[k]);
            let shape = if slices.contains(&k) {
                crate::ops::scan::stacked(scan.length, &ty.shape)?
            } else {
                ty.shape
            };
            Ok(crate::graph::Ty { shape, ..ty })
        })
        .collect()
}

// ---- what every round would compute again moves out --------------------------------------------

/// Takes out of bodies what depends on shared values only, so that it is computed once per run; a
/// back end's `prepare` may first make more of that kind (`slots` of the body are shared).
pub fn lift<'a>(
    graph: &'a Graph,
    prepare: &dyn Fn(&Graph, &[bool]) -> Result<Graph>,
) -> Result<Cow<'a, Graph>> {
    if !any(graph) {
        return Ok(Cow::Borrowed(graph));
    }
    let mut work = Rebuild::new(graph);
    for node in &graph.nodes {
        let id = match Scan::of(node) {
            Some(scan) => {
                let shared: Vec<bool> =
                    (0..node.inputs.len()).map(|k| k >= scan.carries + scan.slices).collect();
                let body = prepare(&*lift(scan.body, prepare)?, &shared)?;
                let (body, parts) = hoist::hoist(&body, &shared, &mut |_| Ok(true))?;
                let mut inputs = work.operands(node);
                for part in parts {
                    let given: Vec<Id> = part.slots.iter().map(|&slot| inputs[slot]).collect();
                    let made = embed(&mut work.to, &part.graph, &given);
                    inputs.push(made[part.graph.outputs[0].at()]);
                }
                let attrs = scan.attrs(Body::new(body)?);
                work.to.push(Node { inputs, attrs, ..node.clone() })
            }
            None => work.keep(node),
        };
        work.settle(id);
    }
    Ok(Cow::Owned(work.finish()))
}

/// Copies the nodes of `graph` into `to`, `given` for its inputs; where each went.
fn embed(to: &mut Graph, graph: &Graph, given: &[Id]) -> Vec<Id> {
    let mut map: Vec<Id> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let id = if node.op == &INPUT {
            given[node.attrs[0].int() as usize]
        } else if node.op == &DATA {
            to.constant(node.ty, graph.data[node.attrs[0].int() as usize].clone())
        } else {
            debug_assert!(node.op.class != Class::Composite);
            let inputs = node.inputs.iter().map(|x| map[x.at()]).collect();
            to.push(Node { inputs, ..node.clone() })
        };
        map.push(id);
    }
    map
}
