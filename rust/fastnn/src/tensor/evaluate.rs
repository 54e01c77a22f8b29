//! F7. Running what is behind a tensor. The structure (rows, attributes, leaf types, who reads
//! whom) is written as words, looked up in a cache of 256 plans, and compiled when it is new.
//! Intermediate values that somebody still holds a handle on become results of the same run, so
//! nothing is computed twice.

use super::prepared::{Prepared, Shelf};
use super::walk::{Place, Walk};
use super::{Pending, Storage, Tensor};
use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::exec::cpu::{Arenas, Before, Program};
use crate::graph::{Attr, Graph, Id, OpDef, PART, Ty};
use crate::ops::collective;
use crate::passes::hoist::Part;
use crate::shape::DType;
use crate::sync::{Lock, Slot};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ptr;
use std::sync::Arc;

/// Plans kept.
const KEPT: usize = 256;

/// A compiled graph and the types of its results.
#[derive(Debug)]
pub struct Plan {
    program: Program,
    outputs: Box<[Ty]>,
    /// What the program reads after the graph's own slots.
    prepared: Box<[Arc<Prepared>]>,
}

impl Plan {
    /// Compiles a graph with concrete shapes.
    pub fn compile(graph: &Graph) -> Result<Plan> {
        // All eager plans are one family: they run one after the other.
        static ARENAS: Slot<Arc<Arenas>> = Slot::new();
        let arenas = ARENAS.get_or_make(Arc::default).clone();
        let program = Program::compile_in(graph, arenas)?;
        Ok(Plan { program, outputs: results(graph), prepared: Box::default() })
    }

    /// Compiles a graph without what depends on its invariant slots only; that is put on the shelf.
    pub(crate) fn compile_apart(
        graph: Graph,
        invariant: &[bool],
        arenas: &Arc<Arenas>,
        shelf: &Shelf,
    ) -> Result<Plan> {
        let mut held: HashMap<Part, Arc<Prepared>> = HashMap::new();
        let outputs = results(&graph);
        let (program, parts) = Program::compile_apart(graph, invariant, arenas.clone(), &mut |part| {
            let made = shelf.of(part, arenas)?;
            let allowed = made.is_some();
            held.extend(made.map(|made| (part.clone(), made)));
            Ok(allowed)
        })?;
        let of = |part| {
            let lost = || Error::Internal("a prepared value was lost on its way to the plan".into());
            held.get(part).cloned().ok_or_else(lost)
        };
        let prepared = parts.iter().map(of).collect::<Result<_>>()?;
        Ok(Plan { program, outputs, prepared })
    }

    /// What the program reads after the graph's own slots.
    pub(crate) fn prepared(&self) -> &[Arc<Prepared>] {
        &self.prepared
    }

    /// The types of the results.
    #[must_use]
    pub fn outputs(&self) -> &[Ty] {
        &self.outputs
    }

    /// The compiled program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Runs into fresh storage.
    ///
    /// # Safety
    /// As [`Program::run`] for `inputs`.
    pub unsafe fn run(&self, inputs: &[*mut u8]) -> Result<SmallVec<[Arc<Storage>; 2]>> {
        self.run_into(inputs, None, Before::default())
    }

    /// As [`Plan::run`], with what is known from earlier runs.
    ///
    /// # Safety
    /// As [`Program::run_or_leave`].
    pub(crate) unsafe fn run_after(
        &self,
        inputs: &[*mut u8],
        before: Before<'_>,
    ) -> Result<SmallVec<[Arc<Storage>; 2]>> {
        self.run_into(inputs, None, before)
    }

    /// As [`Plan::run_after`], the first result into memory of the caller's, if given.
    unsafe fn run_into(
        &self,
        inputs: &[*mut u8],
        first: Option<*mut u8>,
        before: Before<'_>,
    ) -> Result<SmallVec<[Arc<Storage>; 2]>> {
        let mut pointers: SmallVec<[*mut u8; 4]> = first.into_iter().collect();
        let mut buffers: SmallVec<[Buffer; 2]> = SmallVec::new();
        let types = &self.outputs[pointers.len()..];
        for ty in types {
            let mut buffer = Buffer::uninit(ty.bytes())?;
            pointers.push(buffer.as_mut_ptr());
            buffers.push(buffer);
        }
        self.program.run_after(inputs, &pointers, before)?;
        let filled = buffers.into_iter().zip(types);
        Ok(filled.map(|(buffer, ty)| Arc::new(Storage::new(buffer, ty.dtype))).collect())
    }
}

/// The types of a graph's results.
fn results(graph: &Graph) -> Box<[Ty]> {
    graph.outputs.iter().map(|&id| graph.ty(id)).collect()
}

/// Computes `target` and stores its value in it.
pub(super) fn evaluate(target: &Tensor) -> Result<()> {
    // SAFETY: no memory is given.
    unsafe { evaluate_into(target, None) }.map(drop)
}

/// Computes `target`: into `out`, if given, and then it stays pending; else its value is stored in it.
/// False where it must be stored, because it cannot be computed again.
///
/// # Safety
/// `out` has room for the target's type, aligned to its elements, and nobody else reads or writes it.
pub(super) unsafe fn evaluate_into(target: &Tensor, out: Option<*mut u8>) -> Result<bool> {
    let Some(pending) = target.pending() else { return Ok(false) };
    // The op that a part is of keeps the others, which are computed with it.
    if out.is_some() && pending.op == &PART {
        return Ok(false);
    }
    if pending.inputs.iter().any(Tensor::is_pending) {
        // Its handles on the inputs would count as somebody else's.
        drop(pending);
        evaluate_graph(target, out)
    } else {
        evaluate_op(target, &pending, out)
    }
}

/// Whether an op may run a second time: not where other processes count the runs.
fn is_repeatable(pending: &Pending) -> bool {
    !collective::op_meets(pending.op, &pending.attrs)
}

/// One op on known values, under the rules of [`evaluate_into`].
unsafe fn evaluate_op(target: &Tensor, pending: &Pending, out: Option<*mut u8>) -> Result<bool> {
    if out.is_some() && !is_repeatable(pending) {
        return Ok(false);
    }
    let plan = with_key(|key| {
        for input in &pending.inputs {
            key.leaf(input);
        }
        key.op(pending.op, &pending.attrs, pending.inputs.len());
        plan_for(&key.0, || {
            let mut g = Graph::new();
            let inputs: SmallVec<[Id; 4]> = pending.inputs.iter().map(|t| bind_leaf(&mut g, t)).collect();
            let id = g.try_add(pending.op, &inputs, &pending.attrs)?;
            g.outputs.push(id);
            Plan::compile(&g)
        })
    })?;
    let leaves = pending.inputs.iter().filter(|t| constant(t).is_none());
    let inputs: SmallVec<[*mut u8; 4]> = leaves.map(Tensor::memory).collect();
    // SAFETY: the pointers are to values that `pending` keeps alive, of the types the plan's key
    // has; values are never written while they are shared.
    let mut results = unsafe { plan.run_into(&inputs, out, Before::default()) }?;
    if let Some(storage) = results.pop() {
        target.settle(storage);
    }
    Ok(true)
}

/// Several ops, under the rules of [`evaluate_into`].
unsafe fn evaluate_graph(target: &Tensor, out: Option<*mut u8>) -> Result<bool> {
    let walk = Walk::from(std::slice::from_ref(target));
    if out.is_some() && !walk.steps.iter().all(|(_, pending)| is_repeatable(pending)) {
        return Ok(false);
    }
    let held = walk.held(target);
    let plan = with_key(|key| {
        for leaf in &walk.leaves {
            key.leaf(leaf);
        }
        for (_, pending) in &walk.steps {
            key.op(pending.op, &pending.attrs, pending.inputs.len());
            for input in &pending.inputs {
                key.0.push(match walk.place(input) {
                    Place::Leaf(at) => u64::from(at) << 1,
                    Place::Step(at) => u64::from(at) << 1 | 1,
                });
            }
        }
        key.0.push(u64::MAX);
        key.0.extend(held.iter().map(|&at| u64::from(at)));
        plan_for(&key.0, || {
            let mut g = Graph::new();
            let ids = walk.emit(&mut g, |g, leaf| Ok(bind_leaf(g, leaf)))?;
            let outputs =
                [ids.of(target)].into_iter().chain(held.iter().map(|&at| ids.of(&walk.steps[at as usize].0)));
            g.outputs = outputs.collect();
            Plan::compile(&g)
        })
    })?;
    let leaves = walk.leaves.iter().filter(|t| constant(t).is_none());
    let inputs: SmallVec<[*mut u8; 16]> = leaves.map(Tensor::memory).collect();
    // SAFETY: the pointers are to values that `walk` keeps alive, of the types the plan's key has;
    // values are never written while they are shared.
    let results = unsafe { plan.run_into(&inputs, out, Before::default()) }?;
    let stored = out.is_none().then_some(target);
    let tensors = stored.into_iter().chain(held.iter().map(|&at| &walk.steps[at as usize].0));
    for (tensor, storage) in tensors.zip(results) {
        tensor.settle(storage);
    }
    Ok(true)
}

/// Numbers that rewriting rules look for (squares and square roots) are part of the structure;
/// all others are bound, so that a new number needs no new plan.
fn constant(leaf: &Tensor) -> Option<f64> {
    leaf.leaf_scalar().filter(|v| *v == 2.0 || *v == 0.5)
}

fn bind_leaf(g: &mut Graph, leaf: &Tensor) -> Id {
    match constant(leaf) {
        Some(value) => g.typed_scalar(value, leaf.ty().dtype),
        None => g.input(leaf.ty()),
    }
}

/// A structure as words. Every entry begins with a word that says its length, so no two
/// structures share a key.
#[derive(Default)]
struct Key(Vec<u64>);

impl Key {
    fn leaf(&mut self, leaf: &Tensor) {
        let ty = leaf.ty();
        let dims = ty.shape.dims();
        let constant = constant(leaf);
        self.0.push(
            1 << 32 | u64::from(constant.is_some()) << 24 | dtype_word(ty.dtype) << 16 | dims.len() as u64,
        );
        self.0.extend(constant.map(f64::to_bits));
        self.0.extend(dims.iter().map(|&d| d.word()));
    }

    fn op(&mut self, op: &'static OpDef, attrs: &[Attr], inputs: usize) {
        self.0.push(2 << 32 | (attrs.len() as u64) << 16 | inputs as u64);
        self.0.push(ptr::from_ref(op) as u64);
        self.attrs(attrs);
    }

    fn attrs(&mut self, attrs: &[Attr]) {
        for attr in attrs {
            match attr {
                Attr::Int(i) => self.0.extend([1, *i as u64]),
                Attr::Ints(v) => {
                    self.0.extend([2, v.len() as u64]);
                    self.0.extend(v.iter().map(|&i| i as u64));
                }
                Attr::Size(d) => self.0.extend([7, d.word()]),
                Attr::Sizes(v) => {
                    self.0.extend([8, v.len() as u64]);
                    self.0.extend(v.iter().map(|d| d.word()));
                }
                Attr::Float(x) => self.0.extend([3, x.to_bits()]),
                Attr::Bool(b) => self.0.extend([4, u64::from(*b)]),
                Attr::DType(d) => self.0.extend([5, dtype_word(*d)]),
                Attr::Body(body) => self.graph(&body.graph),
                Attr::None => self.0.push(6),
            }
        }
    }
}

impl Key {
    /// A graph inside the structure. Its constants count by their addresses.
    fn graph(&mut self, g: &Graph) {
        self.0.extend([9, g.nodes.len() as u64, g.inputs.len() as u64, g.outputs.len() as u64]);
        for node in &g.nodes {
            let dims = node.ty.shape.dims();
            let counts = [node.inputs.len(), node.attrs.len(), dims.len()].map(|n| n as u64);
            self.0.push(ptr::from_ref(node.op) as u64);
            self.0.extend(counts);
            self.0.extend(node.inputs.iter().map(|x| u64::from(x.0)));
            self.0.push(dtype_word(node.ty.dtype));
            self.0.extend(dims.iter().map(|&d| d.word()));
            self.attrs(&node.attrs);
        }
        self.0.extend(g.inputs.iter().chain(&g.outputs).map(|x| u64::from(x.0)));
        self.0.push(g.data.len() as u64);
        self.0.extend(g.data.iter().map(|data| Arc::as_ptr(data) as u64));
    }
}

fn dtype_word(dtype: DType) -> u64 {
    match dtype {
        DType::F32 => 0,
        DType::I32 => 1,
        DType::Bool => 2,
        DType::BF16 => 3,
        DType::F16 => 4,
        DType::I8 => 5,
        DType::U8 => 6,
    }
}

fn with_key<T>(f: impl FnOnce(&mut Key) -> T) -> T {
    thread_local! {
        static SPARE: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    }
    let mut key = Key(SPARE.try_with(RefCell::take).unwrap_or_default());
    key.0.clear();
    let result = f(&mut key);
    if key.0.capacity() < 1 << 16 {
        let _ = SPARE.try_with(|spare| spare.replace(key.0));
    }
    result
}

fn hash(words: &[u64]) -> u64 {
    words.iter().fold(words.len() as u64, |h, w| (h.rotate_left(23) ^ w).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

struct Cache {
    plans: HashMap<u64, Kept, std::hash::BuildHasherDefault<super::walk::PointerHash>>,
    clock: u64,
}

struct Kept {
    key: Box<[u64]>,
    plan: Arc<Plan>,
    used: u64,
}

static CACHE: Lock<Cache> =
    Lock::new(Cache { plans: HashMap::with_hasher(std::hash::BuildHasherDefault::new()), clock: 0 });

fn plan_for(key: &[u64], compile: impl FnOnce() -> Result<Plan>) -> Result<Arc<Plan>> {
    let hash = hash(key);
    {
        let mut cache = CACHE.lock();
        cache.clock += 1;
        let clock = cache.clock;
        if let Some(kept) = cache.plans.get_mut(&hash)
            && *kept.key == *key
        {
            kept.used = clock;
            return Ok(kept.plan.clone());
        }
    }
    let (plan, key) = (Arc::new(compile()?), Box::from(key));
    let mut cache = CACHE.lock();
    let mut oldest = None;
    if cache.plans.len() >= KEPT
        && let Some(hash) = cache.plans.iter().min_by_key(|(_, kept)| kept.used).map(|(hash, _)| *hash)
    {
        oldest = cache.plans.remove(&hash);
    }
    let used = cache.clock;
    let replaced = cache.plans.insert(hash, Kept { key, plan: plan.clone(), used });
    // Plans are taken apart without the lock.
    drop(cache);
    drop((oldest, replaced));
    Ok(plan)
}

/// Drops all cached plans.
pub fn forget_plans() {
    let plans = std::mem::take(&mut CACHE.lock().plans);
    drop(plans);
}
