//! Loops as the rounds that they are. A program for a device has no loop: a short `scan` becomes copies of its
//! body, which are simplified and grouped with what is around them; of a long one, a round is planned
//! once and its dispatches are repeated (`planner/rounds.rs`). Slices are read at a number that is an
//! operand, so all rounds share their kernels.

use fastnn::data_err;
use fastnn::error::Result;
use fastnn::graph::{Attr, DATA, Graph, INPUT, Id, Node, PART, Ty};
use fastnn::ops::build::Build;
use fastnn::ops::movement::CONCATENATE;
use fastnn::ops::scan::{Scan, stacked};
use fastnn::ops::window::DYNAMIC_SLICE;
use fastnn::shape::{DType, Shape};
use std::borrow::Cow;
use std::collections::HashMap;

/// Operations that a graph may have once its short loops are rounds.
const MOST: usize = 200_000;

/// Operations of all rounds of a loop from which on it stays one.
const LONG: usize = 1000;

/// The graph without short loops.
///
/// # Errors
/// When there are too many operations then, or a loop has as many rounds as inputs leave open.
pub fn unrolled(graph: &Graph) -> Result<Cow<'_, Graph>> {
    if !graph.nodes.iter().any(|node| Scan::of(node).is_some()) {
        return Ok(Cow::Borrowed(graph));
    }
    let mut work = Work { to: Graph { data: graph.data.clone(), ..Graph::default() } };
    let mut inputs = vec![Id(0); graph.inputs.len()];
    for (slot, &id) in inputs.iter_mut().zip(&graph.inputs) {
        *slot = work.to.input(graph.ty(id));
    }
    let map = work.copy(graph, &inputs, true)?;
    let mut to = work.to;
    to.outputs = graph.outputs.iter().map(|id| map[id.at()]).collect();
    to.updates = graph.updates.iter().map(|&(slot, id)| (slot, map[id.at()])).collect();
    to.check()?;
    Ok(Cow::Owned(to))
}

/// A round of a loop as a graph over the memory of the whole loop: its inputs are the carries, the arrays
/// whose slices it reads, what all rounds share, and the number of the slice, an `i32`; its updates the next
/// carries, its outputs what each round gives.
pub(crate) fn round(scan: &Scan<'_>, types: &[Ty]) -> Result<Graph> {
    let Scan { body, carries, slices, .. } = *scan;
    let mut work = Work { to: Graph::default() };
    let inputs: Vec<Id> = types.iter().map(|&ty| work.to.input(ty)).collect();
    let at = work.to.input(Ty { shape: Shape::new(&[0usize; 0])?, dtype: DType::I32 });
    let mut given = inputs.clone();
    for k in carries..carries + slices {
        given[k] = work.slice(inputs[k], at, &body.shape(body.inputs[k]))?;
    }
    let map = work.copy(body, &given, false)?;
    let results = body.outputs.iter().map(|id| map[id.at()]);
    let mut to = work.to;
    for (k, id) in results.enumerate() {
        if k >= carries {
            to.outputs.push(id);
        } else if id != inputs[k] {
            to.updates.push((k, id));
        }
    }
    to.check()?;
    Ok(to)
}

/// Operations of all rounds of all loops, and the rest.
fn size(graph: &Graph) -> usize {
    let of = |node: &Node| match Scan::of(node) {
        Some(scan) => length(&scan).map_or(usize::MAX, |n| size(scan.body).saturating_mul(n.max(1))),
        None => 1,
    };
    graph.nodes.iter().map(of).fold(0, usize::saturating_add)
}

/// The rounds of a loop, where they are known.
pub(crate) fn length(scan: &Scan<'_>) -> Option<usize> {
    usize::try_from(scan.length.known()?).ok()
}

/// Does a loop stay one?
pub(crate) fn is_long(scan: &Scan<'_>) -> bool {
    length(scan).is_some_and(|n| size(scan.body).saturating_mul(n) > LONG)
}

struct Work {
    to: Graph,
}

impl Work {
    /// Copies the nodes of a graph, `given` for its inputs; where each went. `own` says that its constants
    /// are there already.
    fn copy(&mut self, graph: &Graph, given: &[Id], own: bool) -> Result<Vec<Id>> {
        let mut map: Vec<Id> = Vec::with_capacity(graph.nodes.len());
        let mut loops: HashMap<Id, Vec<Id>> = HashMap::new();
        for (at, node) in graph.nodes.iter().enumerate() {
            if self.to.nodes.len() > MOST {
                return data_err!(
                    "scan: its rounds are more than {MOST} operations for a device\n  hint: fewer rounds, or run the model on the CPU"
                );
            }
            let inputs: Vec<Id> = node.inputs.iter().map(|x| map[x.at()]).collect();
            let part = (node.op == &PART).then(|| loops.get(&node.inputs[0])).flatten();
            let id = if node.op == &INPUT {
                given[node.attrs[0].int() as usize]
            } else if let Some(results) = part {
                results[node.attrs[0].int() as usize]
            } else if let Some(scan) = Scan::of(node).filter(|scan| !is_long(scan)) {
                let results = self.rounds(&scan, &inputs)?;
                let first = results[0];
                loops.insert(Id(at as u32), results);
                first
            } else if node.op == &DATA && !own {
                self.to.constant(node.ty, graph.data[node.attrs[0].int() as usize].clone())
            } else {
                self.to.push(Node { inputs, ..node.clone() })
            };
            map.push(id);
        }
        Ok(map)
    }

    /// Slice `at` of an array, of this shape.
    fn slice(&mut self, x: Id, at: Id, shape: &Shape) -> Result<Id> {
        let attrs = [Attr::Ints(vec![0]), Attr::Ints(vec![1])];
        let slice = self.to.try_add(&DYNAMIC_SLICE, &[x, at], &attrs)?;
        Ok(self.to.reshape_to(slice, shape))
    }

    /// All results of a loop over these operands.
    fn rounds(&mut self, scan: &Scan<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let Scan { body, carries, slices, length, reverse } = *scan;
        let Some(length) = length.known() else {
            return data_err!("scan: {length} rounds are not known yet\n  hint: they are once data is given");
        };
        let (mut state, rest) = (inputs[..carries].to_vec(), &inputs[carries..]);
        let mut gifts: Vec<Vec<Id>> = vec![vec![]; body.outputs.len() - carries];
        for n in 0..length {
            let at = self.to.typed_scalar((if reverse { length - 1 - n } else { n }) as f64, DType::I32);
            let mut given = state.clone();
            for (k, &x) in rest.iter().enumerate() {
                if k >= slices {
                    given.push(x);
                    continue;
                }
                given.push(self.slice(x, at, &body.shape(body.inputs[carries + k]))?);
            }
            let map = self.copy(body, &given, false)?;
            let results: Vec<Id> = body.outputs.iter().map(|id| map[id.at()]).collect();
            state.copy_from_slice(&results[..carries]);
            for (all, &one) in gifts.iter_mut().zip(&results[carries..]) {
                all.push(self.to.expand_dims(one, 0));
            }
        }
        for (k, mut all) in gifts.into_iter().enumerate() {
            if reverse {
                all.reverse();
            }
            let ty = body.ty(body.outputs[carries + k]);
            state.push(match all[..] {
                [] => {
                    let zero = self.to.typed_scalar(0.0, ty.dtype);
                    self.to.broadcast_to(zero, &stacked(scan.length, &ty.shape)?)
                }
                [one] => one,
                _ => self.to.try_add(&CONCATENATE, &all, &[Attr::Int(0)])?,
            });
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastnn::exec::interp;
    use fastnn::graph::{Body, Host};
    use fastnn::ops::scan::scan;
    use fastnn::passes::grad;

    fn ty(sizes: &[usize]) -> Ty {
        Ty::f32(Shape::new(sizes).unwrap())
    }

    fn attrs(body: Graph, carries: usize, slices: usize, length: usize, reverse: bool) -> Vec<Attr> {
        let body = Body::new(body).unwrap();
        Scan { body: &body.graph, carries, slices, length: length.into(), reverse }.attrs(body.clone())
    }

    /// h = tanh(x w + h) over rows x, in a loop around it `outer` times; gives h and x h.
    fn looped(length: usize, outer: usize, reverse: bool) -> Graph {
        let mut body = Graph::new();
        let [h, x, w] = [ty(&[3]), ty(&[3]), ty(&[])].map(|ty| body.input(ty));
        let z = body.mul(x, w);
        let z = body.add_(z, h);
        let next = body.tanh(z);
        let gift = body.mul(x, next);
        body.outputs = vec![next, gift];
        let mut around = Graph::new();
        let [h, x, w] = [ty(&[3]), ty(&[length, 3]), ty(&[])].map(|ty| around.input(ty));
        let results = scan(&mut around, &[h, x, w], &attrs(body, 1, 1, length, reverse)).unwrap();
        around.outputs = results;
        let mut g = Graph::new();
        let [h, x, w] = [ty(&[3]), ty(&[length, 3]), ty(&[])].map(|ty| g.input(ty));
        let results = scan(&mut g, &[h, x, w], &attrs(around, 1, 0, outer, false)).unwrap();
        g.outputs = results;
        g
    }

    #[test]
    fn test_rounds_give_what_loops_give() {
        for (length, outer, reverse) in
            [(4, 1, false), (3, 2, true), (1, 3, false), (0, 2, true), (2, 0, false)]
        {
            let mut g = looped(length, outer, reverse);
            let total = g.sum(g.outputs[1], &[0, 1, 2], false);
            let last = g.sum(g.outputs[0], &[0], false);
            let loss = g.add_(total, last);
            let wanted: Vec<Id> = g.inputs.clone();
            let slopes = grad::gradients(&mut g, loss, None, &wanted).unwrap();
            g.outputs.extend(slopes);
            let hosts: Vec<Host> = g
                .inputs
                .iter()
                .map(|&id| {
                    let ty = g.ty(id);
                    Host { ty, data: (0..ty.shape.count()).map(|i| (i as f64 * 0.7).sin()).collect() }
                })
                .collect();
            let rounds = unrolled(&g).unwrap();
            assert!(rounds.nodes.iter().all(|node| Scan::of(node).is_none()));
            let (got, want) = (interp::run(&rounds, &hosts).unwrap().0, interp::run(&g, &hosts).unwrap().0);
            assert_eq!(got.len(), want.len());
            for (a, b) in got.iter().zip(&want) {
                assert_eq!(a.ty, b.ty);
                assert!(a.data.iter().zip(&b.data).all(|(a, b)| (a - b).abs() < 1e-12));
            }
        }
    }

    #[test]
    fn test_long_loops_stay_loops() {
        let graph = looped(900, 3, false);
        let kept = unrolled(&graph).unwrap();
        let loops: Vec<_> = kept.nodes.iter().filter_map(Scan::of).collect();
        assert!(loops.len() == 1 && loops[0].length.known() == Some(3), "{kept}");
        let inner: Vec<_> = loops[0].body.nodes.iter().filter_map(Scan::of).collect();
        assert!(inner.len() == 1 && is_long(&inner[0]));
        let graph = looped(30, 3, false);
        let short = unrolled(&graph).unwrap();
        assert!(short.nodes.iter().all(|node| Scan::of(node).is_none()));
    }
}
