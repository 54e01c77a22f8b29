//! F5. Reverse-mode differentiation: one reverse walk over the arena that asks each row for its
//! vector-Jacobian product. The result is graph again, so it can be differentiated again.

mod scan;

use crate::error::Result;
use crate::graph::{Attr, Graph, Id, Kind, Node, PART, Vjp, results};
use crate::ops::build::Build;
use crate::shape::DType;
use std::collections::HashMap;

/// Adds the gradients of `y` with respect to `wrt` to the graph. `dy` is the gradient that flows
/// into `y`, ones when left out. Values that do not influence `y` get zeros.
pub fn gradients(g: &mut Graph, y: Id, dy: Option<Id>, wrt: &[Id]) -> Result<Vec<Id>> {
    let seed = match dy {
        Some(dy) => dy,
        None => g.ones_like(y),
    };
    let grads = pullback(g, &[(y, seed)], wrt)?;
    let filled = wrt.iter().zip(grads).map(|(&id, grad)| grad.unwrap_or_else(|| g.zeros_like(id)));
    Ok(filled.collect())
}

/// As [`gradients`] of several values, each with the gradient that flows into it; `None` where
/// nothing flows.
fn pullback(g: &mut Graph, seeds: &[(Id, Id)], wrt: &[Id]) -> Result<Vec<Option<Id>>> {
    let n = g.nodes.len();
    let mut walk = Walk { grads: vec![None; n], parts: HashMap::new(), active: vec![false; n] };
    for id in wrt {
        walk.active[id.at()] = true;
    }
    walk.spread(g, 0);
    for &(y, dy) in seeds {
        match walk.grads[y.at()] {
            Some(_) => walk.receive(g, y, dy),
            None => walk.grads[y.at()] = Some(dy),
        }
    }
    let end = seeds.iter().map(|(y, _)| y.at() + 1).max().unwrap_or(0);
    walk.grads.resize(g.nodes.len(), None);
    walk.active.resize(g.nodes.len(), false);
    walk.sweep(g, 0, end, wrt)?;
    g.check()?;
    Ok(wrt.iter().map(|&id| walk.grads[id.at()]).collect())
}

struct Walk {
    /// Gradient of each node so far.
    grads: Vec<Option<Id>>,
    /// Gradients of the results of nodes with parts. A part stands after its node, so they are
    /// complete when the sweep reaches the node.
    parts: HashMap<Id, Vec<Option<Id>>>,
    /// Does the node depend on something we differentiate by?
    active: Vec<bool>,
}

impl Walk {
    /// Marks nodes from `start` on that depend on active ones.
    fn spread(&mut self, g: &Graph, start: usize) {
        self.active.resize(g.nodes.len(), false);
        for i in start..g.nodes.len() {
            let node = &g.nodes[i];
            if !self.active[i] && (node.op == &PART || !matches!(node.op.vjp, Vjp::Zero)) {
                self.active[i] = node.inputs.iter().any(|x| self.active[x.at()]);
            }
        }
    }

    fn sweep(&mut self, g: &mut Graph, start: usize, end: usize, wrt: &[Id]) -> Result<()> {
        for i in (start..end).rev() {
            let id = Id(i as u32);
            let (dy, mut dys) = (self.grads[i], self.parts.remove(&id).unwrap_or_default());
            if !self.active[i] || (dy.is_none() && dys.is_empty()) {
                continue;
            }
            let node = g.node(id).clone();
            if node.inputs.is_empty()
                || (wrt.contains(&id) && !node.inputs.iter().any(|x| self.active[x.at()]))
            {
                continue;
            }
            match (node.op.vjp, dy) {
                (Vjp::Zero, Some(dy)) if node.op == &PART && node.ty.dtype == DType::F32 => {
                    let of = g.node(node.inputs[0]);
                    let count = results(of.op, &of.attrs);
                    let all = self.parts.entry(node.inputs[0]).or_insert_with(|| vec![None; count]);
                    all[node.attrs[0].int() as usize] = Some(dy);
                }
                (Vjp::Rule(rule), Some(dy)) => {
                    let back = rule(g, id, &node.inputs, dy);
                    self.receive_all(g, &node.inputs, back);
                }
                (Vjp::Parts(rule), _) => {
                    dys.resize(node.op.parts.len() + 1, None);
                    dys[0] = dy;
                    let back = rule(g, id, &node.inputs, &dys);
                    self.receive_all(g, &node.inputs, back);
                }
                (Vjp::Short { rule, results, constant, equivalent }, _) => {
                    dys.resize(node.op.parts.len() + 1, None);
                    dys[0] = dy;
                    let wanted = |&at: &usize| self.active[node.inputs[at].at()];
                    if dys[results..].iter().any(Option::is_some) || constant.iter().any(wanted) {
                        self.through(g, equivalent, &node, &dys, wrt)?;
                    } else {
                        let back = rule(g, id, &node.inputs, &dys);
                        self.receive_all(g, &node.inputs, back);
                    }
                }
                (Vjp::Through(equivalent), _) => {
                    dys.resize(node.op.parts.len() + 1, None);
                    dys[0] = dy;
                    self.through(g, equivalent, &node, &dys, wrt)?;
                }
                (Vjp::Body, _) => {
                    dys.resize(results(node.op, &node.attrs), None);
                    dys[0] = dy;
                    let active: Vec<bool> = node.inputs.iter().map(|x| self.active[x.at()]).collect();
                    let back = scan::pullback_of(g, &node, &active, &dys)?;
                    self.receive_all(g, &node.inputs, back);
                }
                (Vjp::Lowered, Some(dy)) => {
                    let Kind::Lowered(rule) = node.op.kind else { continue };
                    let equivalent = |g: &mut Graph, x: &[Id], attrs: &[Attr]| Ok(vec![rule(g, x, attrs)?]);
                    self.through(g, equivalent, &node, &[Some(dy)], wrt)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Goes back through other nodes with the results of `node`, into which `dys` flow.
    fn through(
        &mut self,
        g: &mut Graph,
        equivalent: impl FnOnce(&mut Graph, &[Id], &[Attr]) -> Result<Vec<Id>>,
        node: &Node,
        dys: &[Option<Id>],
        wrt: &[Id],
    ) -> Result<()> {
        let from = g.nodes.len();
        let results = equivalent(g, &node.inputs, &node.attrs)?;
        self.spread(g, from);
        self.grads.resize(g.nodes.len(), None);
        let to = g.nodes.len();
        for (&result, &dy) in results.iter().zip(dys) {
            if let Some(dy) = dy {
                self.receive(g, result, dy);
            }
        }
        self.sweep(g, from, to, wrt)
    }

    fn receive_all(&mut self, g: &mut Graph, inputs: &[Id], grads: Vec<Option<Id>>) {
        for (&input, grad) in inputs.iter().zip(grads) {
            if let Some(grad) = grad {
                self.receive(g, input, grad);
            }
        }
    }

    fn receive(&mut self, g: &mut Graph, id: Id, grad: Id) {
        if id.at() < self.active.len() && !self.active[id.at()] {
            return;
        }
        // An open size may have been taken for a known one that it met; what flows on has the
        // shape of the value, so that sums of gradients fit.
        let shape = g.shape_of(id);
        let open = shape.is_open() || g.shape_of(grad).is_open();
        let grad = if open { g.reshape_to(grad, &shape) } else { grad };
        let sum = match self.grads[id.at()] {
            Some(so_far) => g.add_(so_far, grad),
            None => grad,
        };
        if self.grads.len() < g.nodes.len() {
            self.grads.resize(g.nodes.len(), None);
        }
        self.grads[id.at()] = Some(sum);
    }
}
