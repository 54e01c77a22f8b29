//! F5. Products that the rounds of a loop need not make one by one. A slice from outside times shared
//! weights becomes one product of all slices before the loop; one that a round only gives becomes one
//! behind it, and so does what rounds only add up, as they do for the gradients of shared weights. A
//! large product runs on all threads and near the peak, where those of single rounds are often too small
//! for either.

use super::lower::{Rebuild, reduced_axes};
use super::scan::{any, with_body};
use super::simplify::simplify;
use crate::error::Result;
use crate::graph::{Body, Graph, INPUT, Id, Node, PART, Ty};
use crate::ops::build::Build;
use crate::ops::conv::{CONV, CONV_INPUT_GRAD, CONV_WEIGHT_GRAD};
use crate::ops::elementwise::ADD;
use crate::ops::matmul::MATMUL;
use crate::ops::reduce::SUM;
use crate::ops::scan::{Scan, scan, stacked};
use crate::shape::{DType, MAX_RANK, Shape};
use std::borrow::Cow;
use std::collections::HashMap;

/// Floats of all rounds that are kept at most for one product: what would take more is made round by
/// round.
const KEPT: usize = 1 << 24;
/// Multiply-adds from which on the product of a single round runs as well as a larger one, whose result
/// does not stay in the caches until the rounds read it.
const LARGE: f64 = (1 << 22) as f64;
/// The same of a convolution.
const LARGE_CONV: f64 = (1 << 23) as f64;
/// Elements from which on a sum over rows is as well made round by round.
const LONG: usize = 1 << 15;

/// The graph with such products outside its loops, bodies in bodies included.
pub fn join(graph: &Graph) -> Result<Cow<'_, Graph>> {
    if !any(graph) {
        return Ok(Cow::Borrowed(graph));
    }
    let mut work = Rebuild::new(graph);
    let mut results: HashMap<Id, Vec<Id>> = HashMap::new();
    let mut changed = false;
    for (at, node) in graph.nodes.iter().enumerate() {
        let id = if let Some(of) = Scan::of(node) {
            let node = match join(of.body)? {
                Cow::Owned(body) => {
                    changed = true;
                    with_body(node, |_| Ok(body))?
                }
                Cow::Borrowed(_) => node.clone(),
            };
            match Joined::of(&node) {
                Some(joined) => {
                    let inputs = work.operands(&node);
                    let all = joined.build(&mut work.to, &inputs)?;
                    let first = all[0];
                    changed = true;
                    results.insert(Id(at as u32), all);
                    first
                }
                None => work.keep(&node),
            }
        } else if node.op == &PART
            && let Some(all) = results.get(&node.inputs[0])
        {
            all[node.attrs[0].int() as usize]
        } else {
            work.keep(node)
        };
        work.settle(id);
    }
    if changed { Ok(Cow::Owned(simplify(&work.finish())?)) } else { Ok(Cow::Borrowed(graph)) }
}

/// A loop and what leaves it.
struct Joined<'a> {
    of: Scan<'a>,
    rounds: usize,
    /// Products of a slice and shared weights.
    before: Vec<Id>,
    /// Carries to which rounds only add, and what they add.
    after: Vec<(usize, Id)>,
    /// Results of each round that are products of what it made and shared weights.
    given: Vec<(usize, Id)>,
}

impl<'a> Joined<'a> {
    /// `None` where nothing leaves.
    fn of(node: &'a Node) -> Option<Joined<'a>> {
        let of = Scan::of(node)?;
        let body = of.body;
        let mut joined =
            Joined { of, rounds: of.length.known()? as usize, before: vec![], after: vec![], given: vec![] };
        let mut uses = vec![0usize; body.nodes.len()];
        let read = body.nodes.iter().flat_map(|n| &n.inputs).chain(&body.outputs);
        read.for_each(|x| uses[x.at()] += 1);
        for (at, inner) in body.nodes.iter().enumerate() {
            if uses[at] > 0 && joined.is_linear(inner) && joined.is_slice(inner.inputs[0]) {
                joined.before.push(Id(at as u32));
            }
        }
        for k in 0..of.carries {
            let sum = body.node(body.outputs[k]);
            let (carry, once) = (body.inputs[k], |x: Id| uses[x.at()] == 1);
            if sum.op != &ADD || !once(body.outputs[k]) || !once(carry) {
                continue;
            }
            let term = match sum.inputs[..] {
                [a, b] if a == carry => b,
                [a, b] if b == carry => a,
                _ => continue,
            };
            if body.ty(term) == body.ty(carry) && joined.is_after(term) {
                joined.after.push((k, term));
            }
        }
        for k in of.carries..body.outputs.len() {
            let id = body.outputs[k];
            if uses[id.at()] == 1 && joined.is_linear(body.node(id)) && !joined.before.contains(&id) {
                joined.given.push((k, id));
            }
        }
        let lists = [joined.before.len(), joined.after.len(), joined.given.len()];
        lists.iter().any(|&n| n > 0).then_some(joined)
    }

    fn slot(&self, id: Id) -> Option<usize> {
        let node = self.of.body.node(id);
        (node.op == &INPUT).then(|| node.attrs[0].int() as usize)
    }

    fn is_slice(&self, id: Id) -> bool {
        let slices = self.of.carries..self.of.carries + self.of.slices;
        self.slot(id).is_some_and(|slot| slices.contains(&slot))
    }

    fn is_shared(&self, id: Id) -> bool {
        self.slot(id).is_some_and(|slot| slot >= self.of.carries + self.of.slices)
    }

    /// Is there room for all rounds of a value, side by side with its other rows?
    fn fits(&self, ty: Ty) -> bool {
        let rank = ty.shape.rank();
        ty.dtype == DType::F32
            && (1..MAX_RANK).contains(&rank)
            && ty.shape.count().saturating_mul(self.rounds) <= KEPT
    }

    /// A product with shared weights, row by row of what it multiplies.
    fn is_linear(&self, inner: &Node) -> bool {
        let body = self.of.body;
        let [x, w] = inner.inputs[..] else { return false };
        let fits = match inner.op {
            op if op == &MATMUL => !inner.attrs[0].flag() && body.shape(w).rank() == 2,
            op => op == &CONV || op == &CONV_INPUT_GRAD,
        };
        fits && self.is_shared(w)
            && !self.is_shared(x)
            && body.shape(x).rank() >= 2
            && self.fits(inner.ty)
            && self.fits(body.ty(x))
            && self.is_small(inner)
    }

    /// Is a product too small to run well by itself?
    fn is_small(&self, node: &Node) -> bool {
        let [a, b] = [0, 1].map(|k| self.of.body.shape(node.inputs[k]));
        let count = |shape: Shape| shape.count() as f64;
        if node.op == &MATMUL {
            // Rows by terms, terms by columns, rows by columns: each size is there twice.
            return (count(a) * count(b) * count(node.ty.shape)).sqrt() < LARGE;
        }
        let (weights, places) = match node.op {
            op if op == &CONV => (b, node.ty.shape),
            op if op == &CONV_WEIGHT_GRAD => (node.ty.shape, b),
            _ => (b, a),
        };
        let filters = weights.sizes().last().map_or(1, |&n| n.max(1));
        count(places) / filters as f64 * count(weights) < LARGE_CONV
    }

    fn is_after(&self, term: Id) -> bool {
        let body = self.of.body;
        let node = body.node(term);
        let rank = |x: &Id| body.shape(*x).rank();
        let summed = match node.op {
            op if op == &MATMUL => {
                let flat = node.inputs.iter().all(|x| rank(x) == 2);
                node.attrs[0].flag() && !node.attrs[1].flag() && flat && self.is_small(node)
            }
            op if op == &CONV_WEIGHT_GRAD => self.is_small(node),
            op if op == &SUM => {
                let x = node.inputs[0];
                reduced_axes(node, rank(&x)).contains(&0) && body.shape(x).count() < LONG
            }
            _ => false,
        };
        summed && node.inputs.iter().all(|&x| self.fits(body.ty(x)) && !self.is_shared(x))
    }

    /// All results of the loop, in a graph where its operands are `inputs`.
    fn build(&self, g: &mut Graph, inputs: &[Id]) -> Result<Vec<Id>> {
        let (of, body) = (&self.of, self.of.body);
        let slot = |id: Id| body.node(id).attrs[0].int() as usize;
        let mut made = vec![];
        for &product in &self.before {
            let node = body.node(product);
            let (x, w) = (inputs[slot(node.inputs[0])], inputs[slot(node.inputs[1])]);
            let x = rows(g, x)?;
            let all = g.try_add(node.op, &[x, w], &node.attrs)?;
            made.push(g.reshape_to(all, &stacked(of.length, &node.ty.shape)?));
        }

        // What rounds still compute: the products come as slices, the sums go.
        let gone: Vec<usize> = self.after.iter().map(|&(k, _)| k).collect();
        let carries: Vec<usize> = (0..of.carries).filter(|k| !gone.contains(k)).collect();
        let mut outputs: Vec<Id> = carries.iter().map(|&k| body.outputs[k]).collect();
        let stays = |k: &usize| self.given.iter().all(|(given, _)| given != k);
        let old: Vec<usize> = (of.carries..body.outputs.len()).filter(stays).collect();
        outputs.extend(old.iter().map(|&k| body.outputs[k]));
        let mut gifts: HashMap<Id, usize> = HashMap::new();
        let operands = self.after.iter().flat_map(|&(_, term)| &body.node(term).inputs);
        let operands = operands.chain(self.given.iter().map(|&(_, term)| &body.node(term).inputs[0]));
        for &x in operands.filter(|&&x| !self.is_slice(x)) {
            let known = (carries.len()..outputs.len()).find(|&k| outputs[k] == x);
            gifts.insert(x, known.unwrap_or(outputs.len()));
            if known.is_none() {
                outputs.push(x);
            }
        }
        let mut round = Graph { data: body.data.clone(), ..Graph::new() };
        let mut map: HashMap<Id, Id> = HashMap::new();
        let first_shared = of.carries + of.slices;
        let mut given: Vec<Id> = vec![];
        for k in carries.iter().copied().chain(of.carries..first_shared) {
            map.insert(body.inputs[k], round.input(body.ty(body.inputs[k])));
            given.push(inputs[k]);
        }
        for (&product, &all) in self.before.iter().zip(&made) {
            map.insert(product, round.input(body.ty(product)));
            given.push(all);
        }
        for (&inner, &value) in body.inputs.iter().zip(inputs).skip(first_shared) {
            map.insert(inner, round.input(body.ty(inner)));
            given.push(value);
        }
        let mut wanted = vec![false; body.nodes.len()];
        outputs.iter().for_each(|x| wanted[x.at()] = true);
        for at in (0..body.nodes.len()).rev().filter(|&at| !map.contains_key(&Id(at as u32))) {
            if wanted[at] {
                body.nodes[at].inputs.iter().for_each(|x| wanted[x.at()] = true);
            }
        }
        for (at, inner) in body.nodes.iter().enumerate().filter(|(at, _)| wanted[*at]) {
            if !map.contains_key(&Id(at as u32)) {
                let inputs = inner.inputs.iter().map(|x| map[x]).collect();
                map.insert(Id(at as u32), round.push(Node { inputs, ..inner.clone() }));
            }
        }
        round.outputs = outputs.iter().map(|x| map[x]).collect();
        let left = if round.outputs.is_empty() {
            vec![]
        } else {
            let slices = of.slices + made.len();
            let way = Scan { carries: carries.len(), slices, ..*of };
            scan(g, &given, &way.attrs(Body::new(round)?))?
        };

        let mut results: Vec<Option<Id>> = vec![None; body.outputs.len()];
        let stay = carries.iter().chain(&old).copied();
        stay.zip(&left).for_each(|(old, &new)| results[old] = Some(new));
        let value = |x: Id| gifts.get(&x).map_or_else(|| inputs[slot(x)], |&gift| left[gift]);
        for &(k, term) in &self.given {
            let node = body.node(term);
            let x = rows(g, value(node.inputs[0]))?;
            let all = g.try_add(node.op, &[x, inputs[slot(node.inputs[1])]], &node.attrs)?;
            results[k] = Some(g.reshape_to(all, &stacked(of.length, &node.ty.shape)?));
        }
        for &(k, term) in &self.after {
            let node = body.node(term);
            let mut all: Vec<Id> = vec![];
            for &x in &node.inputs {
                all.push(rows(g, value(x))?);
            }
            let sum = g.try_add(node.op, &all, &node.attrs)?;
            results[k] = Some(g.add_(inputs[k], sum));
        }
        Ok(results.into_iter().flatten().collect())
    }
}

/// The slices of an array one behind the other: its first two axes as one.
fn rows(g: &mut Graph, x: Id) -> Result<Id> {
    let shape = g.shape(x);
    let sizes = shape.sizes();
    let mut joint = vec![sizes[0] * sizes[1]];
    joint.extend(&sizes[2..]);
    Ok(g.reshape_to(x, &Shape::new(&joint)?))
}
