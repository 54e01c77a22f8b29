//! F7. Lazy handles on values. A [`Tensor`] is a value, a number, a placeholder, a variable or what
//! it held when it was read, or an op on other tensors that has not run yet. Reading one linearises what is
//! behind it, runs the cached plan of that structure and forgets the inputs; the shape rules ran
//! when it was made, so mistakes surface where they were written.
//!
//! Walks and drops are loops, so depth never meets the stack. May use everything below.

mod differentiate;
mod evaluate;
mod prepared;
mod record;
mod scan;
mod storage;
mod walk;

pub use differentiate::{gradients, with_graph};
pub use evaluate::{Plan, forget_plans};
pub use prepared::PREPARED_BYTES;
pub(crate) use prepared::Shelf;
pub use record::Recording;
pub use scan::{Round, scan};
pub use storage::{Element, Storage, Variable, encode, zeros};
pub(crate) use storage::{Versioned, WAITING};
pub(crate) use walk::Walk;

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::graph::{Accept, Attr, Class, Kind, OpDef, PART, Stored, Ty, Vjp, has_parts, part_type, results};
use crate::ops::compare;
use crate::shape::{DType, Shape};
use crate::sync::{Lock, Slot};
use smallvec::SmallVec;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};

/// Operands of one op.
pub type Operands = SmallVec<[Tensor; 3]>;

/// A pending graph of this many nodes runs at once.
const MANY_NODES: u32 = 1000;
/// So does one that alone keeps this many bytes of values alive.
const MANY_BYTES: u64 = 256 << 20;

/// The static arguments of an op, shared by whoever holds the op.
#[derive(Debug, Clone, Default)]
pub struct Attrs(Option<Arc<[Attr]>>);

impl Attrs {
    /// Takes arguments over, in the row's order.
    #[must_use]
    pub fn new(attrs: &[Attr]) -> Attrs {
        Attrs((!attrs.is_empty()).then(|| attrs.into()))
    }

    /// As [`Attrs::new`], of arguments that are given away.
    #[must_use]
    pub fn of(attrs: Vec<Attr>) -> Attrs {
        Attrs((!attrs.is_empty()).then(|| attrs.into()))
    }
}

impl std::ops::Deref for Attrs {
    type Target = [Attr];
    fn deref(&self) -> &[Attr] {
        self.0.as_deref().unwrap_or(&[])
    }
}

/// A handle on a value. Cloning is cheap and keeps identity.
#[derive(Debug, Clone)]
pub struct Tensor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ty: Ty,
    traced: bool,
    origin: Origin,
    /// The value, once it is known.
    data: Slot<Arc<Storage>>,
    /// How to compute it, until then.
    pending: Lock<Option<Pending>>,
    /// Upper bounds on the nodes behind it and on the bytes that only they keep.
    nodes: AtomicU32,
    bytes: AtomicU64,
    /// Roughly the element operations behind it.
    cost: f32,
    /// The recordings that keep its inputs after it has been read.
    recorded: AtomicU32,
}

#[derive(Debug)]
enum Origin {
    Value,
    Scalar {
        value: f64,
        element: Element,
    },
    Placeholder(Box<str>),
    Variable {
        variable: Arc<Variable>,
        /// Whether this handle alone stands for the variable in derivatives, or all of its present value.
        apart: bool,
    },
    Computed,
    /// An op with several results. It is never read itself; each result is a `part` of it, and so
    /// it stays pending as long as one of them does. It knows them all, so that reading one
    /// computes those that somebody holds.
    Bundle(Lock<Vec<Weak<Inner>>>),
}

impl Origin {
    fn variable(variable: &Arc<Variable>, apart: bool) -> Origin {
        Origin::Variable { variable: variable.clone(), apart }
    }
}

/// An op that has not run.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) op: &'static OpDef,
    pub(crate) attrs: Attrs,
    pub(crate) inputs: Operands,
}

/// What a tensor without pending work is.
pub(crate) enum Leaf<'a> {
    /// A known value.
    Value(&'a Arc<Storage>),
    /// A known number.
    Scalar(f64),
    /// To be bound when a function is called.
    Placeholder(&'a str),
    /// A variable whose value a function reads when it is called.
    Variable(&'a Arc<Variable>),
}

impl Tensor {
    fn make(ty: Ty, origin: Origin, data: Option<Arc<Storage>>) -> Tensor {
        let traced = match origin {
            Origin::Placeholder(_) => true,
            Origin::Variable { .. } => data.is_none(),
            _ => false,
        };
        debug_assert!(data.as_ref().is_none_or(|storage| storage.fills(ty)));
        Tensor(Arc::new(Inner {
            ty,
            traced,
            origin,
            data: data.map_or_else(Slot::new, Slot::full),
            pending: Lock::new(None),
            nodes: AtomicU32::new(0),
            bytes: AtomicU64::new(0),
            cost: 0.0,
            recorded: AtomicU32::new(0),
        }))
    }

    /// A known value. Errors when the storage does not fill the shape.
    pub fn new(ty: Ty, storage: Arc<Storage>) -> Result<Tensor> {
        if ty.shape.is_open() || storage.len() != ty.shape.count() {
            return crate::shape_err!(
                "tensor: {} elements do not fill the shape {}\n  hint: as many elements as the product of the sizes",
                storage.len(),
                ty.shape
            );
        }
        if !storage.fills(ty) {
            return Err(Error::Internal(format!(
                "a tensor of type {} from memory of type {}",
                ty.dtype.name(),
                storage.dtype().name()
            )));
        }
        Ok(Tensor::make(ty, Origin::Value, Some(storage)))
    }

    /// A float tensor from values in row-major order.
    pub fn from_slice(values: &[f32], dims: &[usize]) -> Result<Tensor> {
        Tensor::new(Ty::f32(Shape::new(dims)?), Arc::new(Storage::from_slice(values)?))
    }

    /// A number of rank 0. Errors when it does not fit the type.
    pub fn scalar(value: f64, dtype: DType) -> Result<Tensor> {
        let element = encode(value, dtype)?;
        let ty = Ty { shape: Shape::scalar(), dtype };
        Ok(Tensor::make(ty, Origin::Scalar { value, element }, None))
    }

    /// A tensor without data, to be bound by a [`crate::function::Function`]. Its sizes may be open:
    /// a leading [`crate::dim::Dim::BATCH`] stands for any batch.
    #[must_use]
    pub fn placeholder(ty: Ty, name: &str) -> Tensor {
        Tensor::make(ty, Origin::Placeholder(name.into()), None)
    }

    /// The value that a variable has now. It stays this value, in functions too, whatever the
    /// variable is set to later; [`Tensor::traced_variable`] is what a function reads at each call.
    #[must_use]
    pub fn variable(variable: &Arc<Variable>, snapshot: Arc<Storage>) -> Tensor {
        Tensor::make(variable.ty(), Origin::variable(variable, false), Some(snapshot))
    }

    /// As [`Tensor::variable`], and no other handle stands for it in derivatives: what was computed
    /// from the variable before is a constant beside it.
    #[must_use]
    pub fn variable_apart(variable: &Arc<Variable>, snapshot: Arc<Storage>) -> Tensor {
        Tensor::make(variable.ty(), Origin::variable(variable, true), Some(snapshot))
    }

    /// A variable as a trace reads it: without a value, to be read when a function is called.
    #[must_use]
    pub fn traced_variable(variable: &Arc<Variable>) -> Tensor {
        Tensor::make(variable.ty(), Origin::variable(variable, false), None)
    }

    /// An op on tensors, converted to the types its row accepts. Runs the pending graph when that
    /// has grown past its ceiling.
    pub fn apply(op: &'static OpDef, inputs: &[Tensor], attrs: &[Attr]) -> Result<Tensor> {
        let tensor = Tensor::build(op, convert(op, inputs.iter().cloned().collect())?, Attrs::new(attrs))?;
        if tensor.is_crowded() {
            tensor.storage()?;
        }
        Ok(tensor)
    }

    /// As [`Tensor::apply`] without conversions and without running anything. Of an op with
    /// several results, the value.
    pub fn build(op: &'static OpDef, inputs: Operands, attrs: Attrs) -> Result<Tensor> {
        let types: SmallVec<[Ty; 4]> = inputs.iter().map(Tensor::ty).collect();
        let ty = op.result(&types, &attrs)?;
        if has_parts(op) {
            return Tensor::node(op, inputs, attrs, ty).part(0);
        }
        if matches!(op.kind, Kind::View)
            && inputs.len() == 1
            && !inputs[0].is_pending()
            && !inputs[0].0.traced
            && !inputs[0].is_recorded()
            // A derivative by the variable passes through a view of its value.
            && inputs[0].home().is_none()
            && !ty.shape.is_open()
        {
            return Tensor::new(ty, inputs[0].storage()?.clone());
        }
        Ok(Tensor::node(op, inputs, attrs, ty))
    }

    /// All results of an op, its value first, as [`Tensor::build`].
    pub fn results(op: &'static OpDef, inputs: Operands, attrs: Attrs) -> Result<Vec<Tensor>> {
        if !has_parts(op) {
            return Ok(vec![Tensor::build(op, inputs, attrs)?]);
        }
        let types: SmallVec<[Ty; 4]> = inputs.iter().map(Tensor::ty).collect();
        let ty = op.result(&types, &attrs)?;
        let count = results(op, &attrs);
        let bundle = Tensor::node(op, inputs, attrs, ty);
        (0..count).map(|index| bundle.part(index)).collect()
    }

    /// Result `index` of an op with several.
    fn part(&self, index: usize) -> Result<Tensor> {
        let (Origin::Bundle(parts), Some(pending)) = (&self.0.origin, self.pending()) else {
            return Err(Error::Internal("a part of a tensor that has one result".into()));
        };
        let mut ty = self.ty();
        if index > 0 {
            let types: SmallVec<[Ty; 4]> = pending.inputs.iter().map(Tensor::ty).collect();
            ty = part_type(pending.op, index as i64, &types, &pending.attrs)?;
        }
        let part = Tensor::node(
            &PART,
            SmallVec::from_iter([self.clone()]),
            Attrs::new(&[Attr::Int(index as i64)]),
            ty,
        );
        parts.lock().push(Arc::downgrade(&part.0));
        Ok(part)
    }

    /// True for an op with several results as a whole.
    pub(crate) fn is_bundle(&self) -> bool {
        matches!(self.0.origin, Origin::Bundle(_))
    }

    /// The results of a bundle that somebody holds.
    pub(crate) fn live_parts(&self) -> Vec<Tensor> {
        match &self.0.origin {
            Origin::Bundle(parts) => {
                let parts = parts.lock();
                parts.iter().filter_map(Weak::upgrade).map(Tensor).collect()
            }
            _ => vec![],
        }
    }

    /// An op whose type is known; a bundle when the op has several results.
    pub(crate) fn node(op: &'static OpDef, inputs: Operands, attrs: Attrs, ty: Ty) -> Tensor {
        // A shape that is open makes a trace by itself: `zeros((batch, 3))` has no placeholder.
        let traced =
            ty.shape.is_open() || inputs.iter().any(|t| t.0.traced) || attrs.iter().any(Attr::is_open);
        let (mut nodes, mut bytes, mut cost) = (1u32, 0u64, 0f32);
        if !traced {
            cost = step_cost(op, ty, &inputs) + body_cost(&attrs);
            for input in &inputs {
                if input.0.data.get().is_some() {
                    bytes += input.0.ty.bytes() as u64;
                } else {
                    nodes = nodes.saturating_add(input.0.nodes.load(Relaxed));
                    bytes = bytes.saturating_add(input.0.bytes.load(Relaxed));
                    cost += input.0.cost;
                }
            }
        }
        let flows = has_derivative(op) && inputs.iter().any(Tensor::is_recorded);
        let tensor = Tensor(Arc::new(Inner {
            ty,
            traced,
            origin: if has_parts(op) { Origin::Bundle(Lock::default()) } else { Origin::Computed },
            data: Slot::new(),
            pending: Lock::new(Some(Pending { op, attrs, inputs })),
            nodes: AtomicU32::new(nodes),
            bytes: AtomicU64::new(bytes),
            cost,
            recorded: AtomicU32::new(0),
        }));
        if flows {
            record::note_result(&tensor);
        }
        tensor
    }

    /// Shape and type.
    #[must_use]
    pub fn ty(&self) -> Ty {
        self.0.ty
    }

    /// True when the value depends on a placeholder.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.0.traced
    }

    /// True when a recording keeps what is computed from this tensor.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.0.recorded.load(Relaxed) > 0
    }

    /// True when reading computes nothing.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.data.get().is_some() || matches!(self.0.origin, Origin::Scalar { .. })
    }

    /// Roughly the element operations that reading will run.
    #[must_use]
    pub fn cost(&self) -> f32 {
        if self.is_ready() { 0.0 } else { self.0.cost }
    }

    /// True when both handles name one value.
    #[must_use]
    pub fn is(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A number that is this value's as long as it lives.
    #[must_use]
    pub fn key(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// True when the pending graph should run now rather than grow.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        if self.0.traced
            || (self.0.nodes.load(Relaxed) < MANY_NODES && self.0.bytes.load(Relaxed) < MANY_BYTES)
        {
            return false;
        }
        // The bounds count shared nodes and shared leaves once per path; count them properly.
        let (nodes, bytes) = Walk::from(std::slice::from_ref(self)).weigh();
        self.0.nodes.store(nodes, Relaxed);
        self.0.bytes.store(bytes, Relaxed);
        nodes >= MANY_NODES || bytes >= MANY_BYTES
    }

    /// The value, computed if need be. Errors with `Trace` when it depends on a placeholder.
    pub fn storage(&self) -> Result<&Arc<Storage>> {
        if let Some(storage) = self.0.data.get() {
            return Ok(storage);
        }
        match &self.0.origin {
            Origin::Scalar { element, .. } => {
                let dtype = self.0.ty.dtype;
                let buffer = Buffer::from_slice(element.bytes(dtype))?;
                self.0.data.set(Arc::new(Storage::new(buffer, dtype)));
            }
            _ if self.0.traced => return Err(self.unreadable()),
            _ => evaluate::evaluate(self)?,
        }
        self.0.data.get().ok_or_else(|| Error::Internal("a tensor was evaluated without a result".into()))
    }

    /// Computes a value that nobody else waits for into memory of the caller's, and stores it nowhere
    /// else: read again, the tensor is computed again. False, and nothing done, where the value is
    /// there already, others hold the tensor or a recording keeps it.
    ///
    /// # Safety
    /// `out` has room for the bytes of the type, aligned to its elements, and nobody else reads or
    /// writes it.
    pub unsafe fn compute_into(&self, out: *mut u8) -> Result<bool> {
        if self.0.traced
            || self.0.data.get().is_some()
            || !matches!(self.0.origin, Origin::Computed)
            || self.handles() > 1
            || self.is_recorded()
        {
            return Ok(false);
        }
        evaluate::evaluate_into(self, Some(out))
    }

    /// The single cell of a tensor with one element.
    pub fn item(&self) -> Result<f64> {
        if self.ty().shape.is_open() {
            return Err(self.unreadable());
        }
        if self.ty().shape.count() != 1 {
            return crate::shape_err!(
                "item: got shape {}, wanted exactly one element\n  hint: index first, or use tolist()",
                self.ty().shape
            );
        }
        let storage = self.storage()?;
        Ok(storage.number(0))
    }

    /// The op behind a tensor that has not been computed.
    #[must_use]
    pub fn op_name(&self) -> Option<&'static str> {
        self.pending().map(|p| p.op.name)
    }

    /// The value converted to a type; the same handle when it has it already.
    pub fn cast(&self, dtype: DType) -> Result<Tensor> {
        if self.ty().dtype == dtype {
            return Ok(self.clone());
        }
        if let Origin::Scalar { value, .. } = self.0.origin {
            return Tensor::scalar(value, dtype);
        }
        let ty = Ty { shape: self.ty().shape, dtype };
        // Truth values are stored as the floats 0 and 1.
        if let (DType::Bool, DType::F32, Some(storage)) = (self.ty().dtype, dtype, self.0.data.get()) {
            return Tensor::new(ty, storage.clone());
        }
        Tensor::build(compare::conversion(dtype), SmallVec::from_iter([self.clone()]), Attrs::default())
    }

    pub(crate) fn pending(&self) -> Option<Pending> {
        if self.0.data.get().is_some() {
            return None;
        }
        self.0.pending.lock().clone()
    }

    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.0.origin, Origin::Computed | Origin::Bundle(_)) && self.0.data.get().is_none()
    }

    /// The variable that this tensor is the value of.
    pub(crate) fn home(&self) -> Option<&Arc<Variable>> {
        match &self.0.origin {
            Origin::Variable { variable, .. } => Some(variable),
            _ => None,
        }
    }

    /// The value that all handles with this origin share as one leaf.
    pub(crate) fn shared_value(&self) -> Option<&Arc<Storage>> {
        match self.0.origin {
            Origin::Variable { apart: false, .. } if !self.is_recorded() => self.0.data.get(),
            _ => None,
        }
    }

    pub(crate) fn leaf(&self) -> Leaf<'_> {
        match (&self.0.origin, self.0.data.get()) {
            (Origin::Scalar { value, .. }, _) => Leaf::Scalar(*value),
            (Origin::Placeholder(name), _) => Leaf::Placeholder(name),
            (_, Some(storage)) => Leaf::Value(storage),
            (Origin::Variable { variable, .. }, None) => Leaf::Variable(variable),
            (_, None) => Leaf::Placeholder("a pending tensor"),
        }
    }

    /// Where the value of a leaf that is no placeholder lies.
    pub(crate) fn memory(&self) -> *mut u8 {
        match (&self.0.origin, self.0.data.get()) {
            (Origin::Scalar { element, .. }, _) => std::ptr::from_ref(element).cast_mut().cast(),
            (_, Some(storage)) => storage.ptr(),
            _ => std::ptr::null_mut(),
        }
    }

    pub(crate) fn handles(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// What a tensor was computed from: as long as it has not been read, or is recorded.
    pub(crate) fn history(&self) -> Option<Pending> {
        if self.0.data.get().is_some() && !self.is_recorded() {
            return None;
        }
        self.0.pending.lock().clone()
    }

    /// Stores a computed value and lets the inputs go, unless they are recorded.
    pub(crate) fn settle(&self, storage: Arc<Storage>) {
        self.0.data.set(storage);
        if self.is_recorded() {
            return;
        }
        let pending = self.0.pending.lock().take();
        release(pending);
    }

    fn unreadable(&self) -> Error {
        let what = match (&self.0.origin, self.op_name()) {
            (Origin::Placeholder(name), _) if name.is_empty() => "a placeholder".to_string(),
            (Origin::Placeholder(name), _) => format!("the placeholder '{name}'"),
            (Origin::Variable { variable, .. }, _) => format!("the variable '{}'", variable.name()),
            (_, Some(op)) => format!("the result of '{op}'"),
            _ => "a traced tensor".to_string(),
        };
        Error::Trace(format!(
            "{what} has shape {} but no values yet: it is being traced\n  hint: `if`, `float()`, `print` and NumPy \
             need values; use `fastnn.ops.where` or `fastnn.ops.cond` to choose, or read the result of a call instead",
            self.ty().shape
        ))
    }
}

/// Whether a derivative passes through the op; a part passes on what its op has.
fn has_derivative(op: &OpDef) -> bool {
    op == &PART || !matches!(op.vjp, Vjp::Zero)
}

/// Element operations of one op, to tell work worth leaving the interpreter for.
fn step_cost(op: &OpDef, ty: Ty, inputs: &[Tensor]) -> f32 {
    let mut cost = ty.shape.count() as f32;
    for input in inputs {
        cost = cost.max(input.0.ty.shape.count() as f32);
    }
    if op.class == Class::Contract {
        let inner = inputs.first().and_then(|t| t.0.ty.shape.sizes().last().copied()).unwrap_or(1);
        cost += ty.shape.count() as f32 * inner as f32 / 8.0;
    }
    cost
}

/// Element operations of all rounds of a loop.
fn body_cost(attrs: &[Attr]) -> f32 {
    let [Attr::Body(body), .., Attr::Size(length), _] = attrs else { return 0.0 };
    let round: f32 = body.graph.nodes.iter().map(|n| n.ty.shape.count() as f32 + body_cost(&n.attrs)).sum();
    round * length.known().unwrap_or(0) as f32
}

/// Converts operands to the types that the row accepts.
pub fn convert(op: &OpDef, mut inputs: Operands) -> Result<Operands> {
    let common = || match inputs.iter().map(|t| t.ty().dtype).reduce(DType::join) {
        Some(dtype) if op.stored == Stored::Moved => dtype,
        dtype => dtype.map_or(DType::F32, DType::computing),
    };
    let wanted = match op.accept {
        Accept::Exact => None,
        Accept::Float => Some(DType::F32),
        Accept::Truth => Some(DType::Bool),
        Accept::Common => Some(common()),
        Accept::Number => match common() {
            DType::Bool => Some(DType::I32),
            other => Some(other),
        },
    };
    for (at, input) in inputs.iter_mut().enumerate() {
        let dtype = input.ty().dtype;
        let wanted = match op.stored {
            Stored::Read(some) if dtype.is_stored() && some.contains(&at) => dtype,
            Stored::Moved => wanted.unwrap_or(dtype),
            _ => wanted.unwrap_or_else(|| dtype.computing()),
        };
        if dtype != wanted {
            *input = input.cast(wanted)?;
        }
    }
    Ok(inputs)
}

impl Tensor {
    fn leaf_scalar(&self) -> Option<f64> {
        match self.0.origin {
            Origin::Scalar { value, .. } => Some(value),
            _ => None,
        }
    }
}

/// Drops an op and all that only it keeps alive, without recursion.
fn release(pending: Option<Pending>) {
    let mut queue: SmallVec<[Pending; 2]> = pending.into_iter().collect();
    while let Some(pending) = queue.pop() {
        for input in pending.inputs {
            if let Some(mut inner) = Arc::into_inner(input.0) {
                queue.extend(inner.pending.get_mut().take());
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(pending) = self.pending.get_mut().take() {
            release(Some(pending));
        }
    }
}
