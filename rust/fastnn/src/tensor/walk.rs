//! F7. Linearising what is behind some tensors: every pending op once, inputs first, by a loop.
//! A tensor that another thread computes meanwhile is met as a leaf.

use super::{Leaf, MANY_BYTES, Pending, Tensor, has_derivative};
use crate::error::Result;
use crate::graph::{Graph, Id, Node, PART};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// Pointers as keys: one multiplication is hash enough.
#[derive(Default)]
pub(super) struct PointerHash(u64);

impl Hasher for PointerHash {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.write_u64(u64::from(b));
        }
    }
    fn write_u64(&mut self, n: u64) {
        let n = (self.0 ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = n ^ n >> 32;
    }
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

type Index = HashMap<usize, Place, BuildHasherDefault<PointerHash>>;

/// Where a walk has put a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Leaf(u32),
    Step(u32),
}

/// Pending ops in topological order and the leaves they start from.
pub(crate) struct Walk {
    pub(super) leaves: Vec<Tensor>,
    pub(super) steps: Vec<(Tensor, Pending)>,
    index: Index,
    /// Nothing in a traced graph is computed on the way, so nobody else's results are looked for.
    traced: bool,
    /// Whether the walk goes through recorded tensors that have a value already.
    through: bool,
}

/// The node of each walked tensor.
pub(crate) struct Ids<'a> {
    walk: &'a Walk,
    leaves: Vec<Id>,
    steps: Vec<Id>,
}

impl Walk {
    /// Everything behind `roots` that has to be computed.
    pub(crate) fn from(roots: &[Tensor]) -> Walk {
        Walk::new(roots, false, &|_| true)
    }

    /// Everything behind `roots`, through recorded tensors that have been read.
    pub(crate) fn through(roots: &[Tensor]) -> Walk {
        Walk::new(roots, true, &|_| true)
    }

    /// As [`Walk::through`], but what is not to be followed is a leaf.
    pub(super) fn along(roots: &[Tensor], follow: &dyn Fn(&Tensor) -> bool) -> Walk {
        Walk::new(roots, true, follow)
    }

    fn new(roots: &[Tensor], through: bool, follow: &dyn Fn(&Tensor) -> bool) -> Walk {
        let mut walk = Walk {
            leaves: Vec::new(),
            steps: Vec::new(),
            index: Index::default(),
            traced: roots.iter().any(Tensor::is_traced),
            through,
        };
        let mut stack: Vec<(Tensor, Pending, usize)> = Vec::new();
        for root in roots {
            walk.visit(root, &mut stack, follow);
            while let Some((_, pending, next)) = stack.last_mut() {
                if let Some(input) = pending.inputs.get(*next) {
                    *next += 1;
                    let input = input.clone();
                    walk.visit(&input, &mut stack, follow);
                } else if let Some((tensor, pending, _)) = stack.pop() {
                    if walk.index.contains_key(&walk.key(&tensor)) {
                        continue;
                    }
                    let others = if walk.traced { vec![] } else { tensor.live_parts() };
                    walk.index.insert(walk.key(&tensor), Place::Step(walk.steps.len() as u32));
                    walk.steps.push((tensor, pending));
                    for other in others {
                        walk.visit(&other, &mut stack, follow);
                    }
                }
            }
        }
        walk
    }

    fn key(&self, tensor: &Tensor) -> usize {
        if let Leaf::Variable(variable) = tensor.leaf() {
            // A function reads it once.
            return Arc::as_ptr(variable) as usize;
        }
        // Two reads of a variable are one leaf while its value is the same.
        tensor.shared_value().map_or_else(|| tensor.key(), |value| Arc::as_ptr(value) as usize)
    }

    fn visit(
        &mut self,
        tensor: &Tensor,
        stack: &mut Vec<(Tensor, Pending, usize)>,
        follow: &dyn Fn(&Tensor) -> bool,
    ) {
        if self.index.contains_key(&self.key(tensor)) {
            return;
        }
        let pending = if self.through { tensor.history() } else { tensor.pending() };
        if let Some(pending) = pending.filter(|_| follow(tensor)) {
            stack.push((tensor.clone(), pending, 0));
        } else {
            self.index.insert(self.key(tensor), Place::Leaf(self.leaves.len() as u32));
            self.leaves.push(tensor.clone());
        }
    }

    pub(super) fn place(&self, tensor: &Tensor) -> Place {
        self.index[&self.key(tensor)]
    }

    /// All walked tensors.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.leaves.iter().chain(self.steps.iter().map(|(t, _)| t))
    }

    /// The leaves.
    pub(crate) fn leaves(&self) -> &[Tensor] {
        &self.leaves
    }

    /// Number of pending ops, and bytes of the leaves that nothing else holds.
    pub(super) fn weigh(&self) -> (u32, u64) {
        let mut uses = vec![1; self.leaves.len()];
        for (_, pending) in &self.steps {
            for input in &pending.inputs {
                if let Place::Leaf(at) = self.place(input) {
                    // Once in the op itself, once in the walk's copy of it.
                    uses[at as usize] += 2;
                }
            }
        }
        let kept = self.leaves.iter().zip(uses).filter(|(leaf, uses)| leaf.handles() <= *uses);
        let bytes = kept.map(|(leaf, _)| leaf.ty().bytes() as u64).fold(0, u64::saturating_add);
        (self.steps.len() as u32, bytes.min(MANY_BYTES))
    }

    /// The steps, besides `target`, whose values somebody outside the walk still holds.
    pub(super) fn held(&self, target: &Tensor) -> SmallVec<[u32; 4]> {
        let mut uses = vec![1; self.steps.len()];
        for (_, pending) in &self.steps {
            for input in &pending.inputs {
                if let Place::Step(at) = self.place(input) {
                    uses[at as usize] += 2;
                }
            }
        }
        let held = |(at, (tensor, _)): (usize, &(Tensor, Pending))| {
            let mine = !tensor.is(target) && !tensor.is_bundle();
            (mine && tensor.handles() > uses[at]).then_some(at as u32)
        };
        self.steps.iter().enumerate().filter_map(held).collect()
    }

    /// For each of `xs`, whether `y` depends on it through rows that have a derivative.
    pub(super) fn reached(&self, y: &Tensor, xs: &[Tensor]) -> Vec<bool> {
        let wanted = xs.iter().map(|x| self.place(x)).collect::<Vec<_>>();
        let mut live: Vec<bool> = vec![false; self.steps.len()];
        let mut leaves = vec![false; self.leaves.len()];
        match self.place(y) {
            Place::Leaf(at) => leaves[at as usize] = true,
            Place::Step(at) => live[at as usize] = true,
        }
        for (at, (_, pending)) in self.steps.iter().enumerate().rev() {
            if !live[at] || !has_derivative(pending.op) {
                continue;
            }
            for input in &pending.inputs {
                match self.place(input) {
                    Place::Leaf(at) => leaves[at as usize] = true,
                    Place::Step(at) => live[at as usize] = true,
                }
            }
        }
        let reached = |place: &Place| match place {
            Place::Leaf(at) => leaves[*at as usize],
            Place::Step(at) => live[*at as usize],
        };
        wanted.iter().map(reached).collect()
    }

    /// Writes the walk into a graph; `leaf` says what becomes of each leaf.
    pub(crate) fn emit(
        &self,
        g: &mut Graph,
        mut leaf: impl FnMut(&mut Graph, &Tensor) -> Result<Id>,
    ) -> Result<Ids<'_>> {
        let mut leaves = Vec::with_capacity(self.leaves.len());
        for tensor in &self.leaves {
            leaves.push(leaf(g, tensor)?);
        }
        let mut ids = Ids { walk: self, leaves, steps: Vec::with_capacity(self.steps.len()) };
        for (tensor, pending) in &self.steps {
            let inputs: Vec<Id> = pending.inputs.iter().map(|t| ids.of(t)).collect();
            if pending.op == &PART && pending.attrs[0].int() == 0 {
                // The value of a node is the node.
                ids.steps.push(inputs[0]);
                continue;
            }
            let id = g.push(Node { op: pending.op, inputs, attrs: pending.attrs.to_vec(), ty: tensor.ty() });
            ids.steps.push(id);
        }
        Ok(ids)
    }
}

impl Ids<'_> {
    /// The node of a walked tensor.
    pub(crate) fn of(&self, tensor: &Tensor) -> Id {
        match self.walk.place(tensor) {
            Place::Leaf(at) => self.leaves[at as usize],
            Place::Step(at) => self.steps[at as usize],
        }
    }
}
