//! F5. Reverse-mode differentiation: one reverse walk over the arena that asks each row for its
//! vector-Jacobian product. The result is graph again, so it can be differentiated again.

use crate::error::Result;
use crate::graph::{Graph, Id, Kind, Vjp};
use crate::ops::build::Build;

/// Adds the gradients of `y` with respect to `wrt` to the graph. `dy` is the gradient that flows
/// into `y`, ones when left out. Values that do not influence `y` get zeros.
pub fn gradients(g: &mut Graph, y: Id, dy: Option<Id>, wrt: &[Id]) -> Result<Vec<Id>> {
    let mut walk = Walk { grads: vec![None; g.nodes.len()], active: vec![false; g.nodes.len()] };
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
    /// Does the node depend on something we differentiate by?
    active: Vec<bool>,
}

impl Walk {
    /// Marks nodes from `start` on that depend on active ones.
    fn spread(&mut self, g: &Graph, start: usize) {
        self.active.resize(g.nodes.len(), false);
        for i in start..g.nodes.len() {
            let node = &g.nodes[i];
            if !self.active[i] && !matches!(node.op.vjp, Vjp::Zero) {
                self.active[i] = node.inputs.iter().any(|x| self.active[x.at()]);
            }
        }
    }

    fn sweep(&mut self, g: &mut Graph, start: usize, end: usize, wrt: &[Id]) -> Result<()> {
        for i in (start..end).rev() {
            let id = Id(i as u32);
            let Some(dy) = self.grads[i] else { continue };
            if !self.active[i] {
                continue;
            }
            let node = g.node(id).clone();
            if node.inputs.is_empty()
                || (wrt.contains(&id) && !node.inputs.iter().any(|x| self.active[x.at()]))
            {
                continue;
            }
            match node.op.vjp {
                Vjp::Zero => {}
                Vjp::Rule(rule) => {
                    let back = rule(g, id, &node.inputs, dy);
                    for (&input, grad) in node.inputs.iter().zip(back) {
                        if let Some(grad) = grad {
                            self.receive(g, input, grad);
                        }
                    }
                }
                Vjp::Lowered => {
                    let Kind::Lowered(rule) = node.op.kind else { continue };
                    let from = g.nodes.len();
                    let y = rule(g, &node.inputs, &node.attrs)?;
                    self.spread(g, from);
                    self.grads.resize(g.nodes.len(), None);
                    let to = g.nodes.len();
                    self.receive(g, y, dy);
                    self.sweep(g, from, to, wrt)?;
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, g: &mut Graph, id: Id, grad: Id) {
        if id.at() < self.active.len() && !self.active[id.at()] {
            return;
        }
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
