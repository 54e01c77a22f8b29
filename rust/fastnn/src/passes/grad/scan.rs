//! F5. The gradient of a `scan` is a `scan` the other way round. Its carries are the gradients of the
//! carries and the sums of the gradients of shared values; it reads, slice by slice, the gradients of
//! what the rounds gave and what they keep for the backward pass. Kept is what the backward pass reads and what
//! takes work to make; views, masks and what derivative rules make of kept values are computed again.

use super::pullback;
use crate::error::{Error, Result};
use crate::graph::{Body, Class, DATA, Graph, INPUT, Id, Kind, Node, PART, SCALAR, Ty, Vjp};
use crate::ops::build::Build;
use crate::ops::scan::{Scan, scan};
use crate::shape::{DType, MAX_RANK, Shape};
use std::collections::HashMap;

/// The gradients of the inputs of a scan node, from those of its results. `active` says by which
/// inputs we differentiate.
pub(super) fn pullback_of(
    g: &mut Graph,
    node: &Node,
    active: &[bool],
    dys: &[Option<Id>],
) -> Result<Vec<Option<Id>>> {
    let Some(of) = Scan::of(node) else {
        return Err(Error::Internal(format!("'{}' is no scan", node.op.name)));
    };
    let body = of.body;
    let flow = Flow::through(&of, active, dys);
    let wrt: Vec<usize> = (0..active.len())
        .filter(
            |&k| if k < of.carries { flow.carries[k] } else { active[k] && is_float(body, body.inputs[k]) },
        )
        .collect();
    // The body with its gradient behind it.
    let mut joint = Graph { outputs: vec![], ..body.clone() };
    let mut seeds = vec![];
    let carried: Vec<usize> = (0..of.carries).filter(|&k| flow.carries[k]).collect();
    for &k in &carried {
        seeds.push((body.outputs[k], joint.input(body.ty(body.outputs[k]))));
    }
    let given: Vec<usize> = (of.carries..body.outputs.len()).filter(|&k| flow.gifts[k]).collect();
    for &k in &given {
        seeds.push((body.outputs[k], joint.input(body.ty(body.outputs[k]))));
    }
    let at: Vec<Id> = wrt.iter().map(|&k| body.inputs[k]).collect();
    let grads: HashMap<usize, Id> = wrt
        .iter()
        .copied()
        .zip(pullback(&mut joint, &seeds, &at)?)
        .filter_map(|(k, grad)| Some((k, grad?)))
        .collect();
    let mut nexts: Vec<Id> = vec![];
    for &k in &carried {
        let grad = grads.get(&k).copied();
        nexts.push(grad.unwrap_or_else(|| joint.zeros_like(body.inputs[k])));
    }
    let first_shared = of.carries + of.slices;
    let summed: Vec<usize> =
        wrt.iter().copied().filter(|k| *k >= first_shared && grads.contains_key(k)).collect();
    let sliced: Vec<usize> = wrt
        .iter()
        .copied()
        .filter(|k| (of.carries..first_shared).contains(k) && grads.contains_key(k))
        .collect();
    let mut back = vec![None; active.len()];
    if carried.is_empty() && summed.is_empty() && sliced.is_empty() {
        return Ok(back);
    }
    let mut sums = vec![];
    for &k in &summed {
        let sum = joint.input(body.ty(body.inputs[k]));
        nexts.push(joint.add_(sum, grads[&k]));
        sums.push(sum);
    }
    let outs: Vec<Id> = nexts.iter().copied().chain(sliced.iter().map(|k| grads[k])).collect();
    joint.check()?;
    let split = Split::of(&joint, body, &of, &outs);

    // Forward, with what is kept behind the results.
    let mut forward = body.clone();
    let mut kept = vec![];
    let mut moved: HashMap<Id, Id> = (0..body.nodes.len() as u32).map(|i| (Id(i), Id(i))).collect();
    for &id in &split.kept {
        let id = copied(&mut forward, &joint, id, &mut moved);
        // What has as many axes as there may be has no room for the axis of rounds.
        let id = match forward.shape(id) {
            shape if shape.rank() == MAX_RANK => forward.reshape_to(id, &Shape::new(&[shape.elements()])?),
            _ => id,
        };
        let place = (of.carries..forward.outputs.len()).find(|&k| forward.outputs[k] == id);
        kept.push(place.unwrap_or(forward.outputs.len()));
        if place.is_none() {
            forward.outputs.push(id);
        }
    }
    let longer = scan(g, &node.inputs, &of.attrs(Body::new(forward)?))?;

    // Backward.
    let mut backward = Graph { data: joint.data.clone(), ..Graph::new() };
    let mut map: HashMap<Id, Id> = HashMap::new();
    let mut inputs = vec![];
    let mut slot = |backward: &mut Graph, inner: Id, value: Id| -> Result<()> {
        let ty = joint.ty(inner);
        let id = if ty.shape.rank() == MAX_RANK && split.kept.contains(&inner) {
            let flat = backward.input(Ty { shape: Shape::new(&[ty.shape.elements()])?, ..ty });
            backward.reshape_to(flat, &ty.shape)
        } else {
            backward.input(ty)
        };
        map.insert(inner, id);
        inputs.push(value);
        Ok(())
    };
    for (&k, &(_, seed)) in carried.iter().zip(&seeds) {
        let dy = dys[k].unwrap_or_else(|| g.zeros_like(node.inputs[k]));
        slot(&mut backward, seed, dy)?;
    }
    for (&k, &sum) in summed.iter().zip(&sums) {
        let zeros = g.zeros_like(node.inputs[k]);
        slot(&mut backward, sum, zeros)?;
    }
    let carries = carried.len() + summed.len();
    for (&k, &(_, seed)) in given.iter().zip(&seeds[carried.len()..]) {
        let dy = dys[k].ok_or_else(|| Error::Internal("scan: a gradient was lost".into()))?;
        slot(&mut backward, seed, dy)?;
    }
    for (&id, &k) in split.kept.iter().zip(&kept) {
        slot(&mut backward, id, longer[k])?;
    }
    let slices = (of.carries..first_shared).filter(|&k| split.read[k]);
    for k in slices.clone() {
        slot(&mut backward, body.inputs[k], node.inputs[k])?;
    }
    let slices = given.len() + split.kept.len() + slices.count();
    for k in (first_shared..active.len()).filter(|&k| split.read[k]) {
        slot(&mut backward, body.inputs[k], node.inputs[k])?;
    }
    for (at, inner) in joint.nodes.iter().enumerate() {
        let id = Id(at as u32);
        if split.copied[at] && !map.contains_key(&id) {
            let inputs = inner.inputs.iter().map(|x| map[x]).collect();
            map.insert(id, backward.push(Node { inputs, ..inner.clone() }));
        }
    }
    backward.outputs = outs.iter().map(|id| map[id]).collect();
    let way = Scan { body, carries, slices, length: of.length, reverse: !of.reverse };
    let results = scan(g, &inputs, &way.attrs(Body::new(backward)?))?;
    let ends = carried.iter().chain(&summed).chain(&sliced);
    for (&k, result) in ends.zip(results) {
        if active[k] {
            back[k] = Some(result);
        }
    }
    Ok(back)
}

fn is_float(g: &Graph, id: Id) -> bool {
    g.ty(id).dtype == DType::F32
}

/// Where gradients flow: `carries[k]` where carry k depends on something we differentiate by and
/// something that has a gradient depends on it, `gifts[k]` where output k is such a one.
struct Flow {
    carries: Vec<bool>,
    gifts: Vec<bool>,
}

impl Flow {
    fn through(of: &Scan<'_>, active: &[bool], dys: &[Option<Id>]) -> Flow {
        let body = of.body;
        let passes = |node: &Node| node.op == &PART || !matches!(node.op.vjp, Vjp::Zero);
        let slot = |node: &Node| (node.op == &INPUT).then(|| node.attrs[0].int() as usize);
        // Forward, until no further carry depends on active values.
        let mut slots: Vec<bool> =
            (0..active.len()).map(|k| active[k] && is_float(body, body.inputs[k])).collect();
        let mut moves = vec![false; body.nodes.len()];
        loop {
            for (at, node) in body.nodes.iter().enumerate() {
                moves[at] = match slot(node) {
                    Some(slot) => slots[slot],
                    None => passes(node) && node.inputs.iter().any(|x| moves[x.at()]),
                };
            }
            let new = |k: &usize| {
                let out = body.outputs[*k];
                !slots[*k] && moves[out.at()] && is_float(body, out)
            };
            let found: Vec<usize> = (0..of.carries).filter(new).collect();
            if found.is_empty() {
                break;
            }
            found.into_iter().for_each(|k| slots[k] = true);
        }
        // Backward, until no further carry is asked for. Where there may be no round at all, the last
        // carry may be the first one, whatever a round makes of it.
        let sure = of.length.known().is_some_and(|n| n > 0);
        let handed = |k: usize| !sure && k < of.carries && slots[k];
        let flows = |k: usize| moves[body.outputs[k].at()] || handed(k);
        let mut wanted: Vec<bool> = (0..body.outputs.len())
            .map(|k| dys[k].is_some() && flows(k) && is_float(body, body.outputs[k]))
            .collect();
        loop {
            let mut asked = vec![false; body.nodes.len()];
            let flows = |k: &usize| wanted[*k] && (*k >= of.carries || slots[*k]);
            (0..wanted.len()).filter(flows).for_each(|k| asked[body.outputs[k].at()] = true);
            for (at, node) in body.nodes.iter().enumerate().rev() {
                if asked[at] && passes(node) {
                    node.inputs.iter().filter(|x| moves[x.at()]).for_each(|x| asked[x.at()] = true);
                }
            }
            let new = |k: &usize| !wanted[*k] && slots[*k] && asked[body.inputs[*k].at()];
            let found: Vec<usize> = (0..of.carries).filter(new).collect();
            if found.is_empty() {
                break;
            }
            found.into_iter().for_each(|k| wanted[k] = true);
        }
        Flow { carries: (0..of.carries).map(|k| wanted[k] && slots[k]).collect(), gifts: wanted }
    }
}

/// What of a body with its gradient runs in the backward pass.
struct Split {
    /// Values of the forward pass that are kept, slice by slice.
    kept: Vec<Id>,
    /// Slots of the body that are read again as they are: slices and shared values.
    read: Vec<bool>,
    /// Nodes that the backward pass computes.
    copied: Vec<bool>,
}

impl Split {
    fn of(joint: &Graph, body: &Graph, of: &Scan<'_>, outs: &[Id]) -> Split {
        let n = joint.nodes.len();
        let own = body.inputs.len();
        let first_shared = of.carries + of.slices;
        // Does a value depend on gradients, or on shared values and numbers alone?
        let (mut late, mut fixed) = (vec![false; n], vec![false; n]);
        for (at, node) in joint.nodes.iter().enumerate() {
            if node.op == &INPUT {
                let slot = node.attrs[0].int() as usize;
                late[at] = slot >= own;
                fixed[at] = (first_shared..own).contains(&slot);
            } else {
                late[at] = node.inputs.iter().any(|x| late[x.at()]);
                fixed[at] = node.inputs.iter().all(|x| fixed[x.at()]);
            }
        }
        let again = |at: usize| {
            let node = &joint.nodes[at];
            let light = match node.op.kind {
                Kind::View | Kind::Strided(_) => true,
                _ => {
                    let zero = matches!(node.op.vjp, Vjp::Zero);
                    node.op.class == Class::Elementwise && (zero || at >= body.nodes.len())
                }
            };
            late[at] || fixed[at] || (light && node.op != &PART)
        };
        let mut split = Split { kept: vec![], read: vec![false; own], copied: vec![false; n] };
        let mut seen = vec![false; n];
        let mut open = outs.to_vec();
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut seen[id.at()], true) {
                continue;
            }
            let node = joint.node(id);
            if node.op == &INPUT {
                match node.attrs[0].int() as usize {
                    slot if slot < of.carries => split.kept.push(id),
                    slot if slot < own => split.read[slot] = true,
                    _ => {}
                }
            } else if node.op == &SCALAR || node.op == &DATA || again(id.at()) {
                split.copied[id.at()] = true;
                open.extend(&node.inputs);
            } else {
                split.kept.push(id);
            }
        }
        split.kept.sort_unstable();
        split
    }
}

/// `id` of `from` in `to`, with what it is made of.
fn copied(to: &mut Graph, from: &Graph, id: Id, map: &mut HashMap<Id, Id>) -> Id {
    let mut open = vec![id];
    while let Some(&next) = open.last() {
        let node = from.node(next);
        let missing = node.inputs.iter().find(|x| !map.contains_key(x));
        match missing {
            _ if map.contains_key(&next) => {
                open.pop();
            }
            Some(&input) => open.push(input),
            None => {
                let inputs = node.inputs.iter().map(|x| map[x]).collect();
                map.insert(next, to.push(Node { inputs, ..node.clone() }));
                open.pop();
            }
        }
    }
    map[&id]
}
