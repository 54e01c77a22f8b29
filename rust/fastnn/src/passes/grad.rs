//! F5. Reverse-mode differentiation: one reverse walk over the arena that asks each row for its
//! vector-Jacobian product. The result is graph again, so it can be differentiated again.

use crate::error::Result;
use crate::graph::{Graph, Id, Kind, PART, Vjp};
use crate::ops::build::Build;
use crate::shape::DType;
use std::collections::HashMap;

/// Adds the gradients of `y` with respect to `wrt` to the graph. `dy` is the gradient that flows
/// into `y`, ones when left out. Values that do not influence `y` get zeros.
pub fn gradients(g: &mut Graph, y: Id, dy: Option<Id>, wrt: &[Id]) -> Result<Vec<Id>> {
    let mut walk =
        Walk { grads: vec![None; g.nodes.len()], parts: HashMap::new(), active: vec![false; g.nodes.len()] };
    for id in wrt {
        walk.active[id.at()] = true;
    }
    walk.spread(g, 0);
    let seed = match dy {
        Some(dy) => dy,
        None => g.ones_like(y),
    };
    walk.grads.resize(g.nodes.len(), None);
    walk.active.resize(g.nodes.len(), false);
    walk.grads[y.at()] = Some(seed);
    walk.sweep(g, 0, y.at() + 1, wrt)?;
    g.check()?;
    Ok(wrt
        .iter()
        .map(|&id| match walk.grads[id.at()] {
            Some(grad) => grad,
            None => g.zeros_like(id),
        })
        .collect())
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
                    let of = g.node(node.inputs[0]).op;
                    let all =
                        self.parts.entry(node.inputs[0]).or_insert_with(|| vec![None; of.parts.len() + 1]);
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
                (Vjp::Lowered, Some(dy)) => {
                    let Kind::Lowered(rule) = node.op.kind else { continue };
                    let from = g.nodes.len();
                    let y = rule(g, &node.inputs, &node.attrs)?;
                    self.spread(g, from);
                    self.grads.resize(g.nodes.len(), None);
                    let to = g.nodes.len();
                    self.receive(g, y, dy);
                    self.sweep(g, from, to, wrt)?;
                }
                _ => {}
            }
        }
        Ok(())
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
