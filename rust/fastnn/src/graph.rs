//! F3. The one representation: an arena of nodes in topological order. What an op means stands
//! in its [`OpDef`] row (F4 fills the rows in); a node holds a reference to its row, so this
//! module never needs the table. Nothing recurses: autodiff is a reverse loop, passes are forward
//! loops, printing is printing a list.

mod body;
mod row;

pub use body::{Body, MOST_BODIES};
pub use row::{
    Accept, AttrDef, AttrKind, Class, DATA, EquivalentFn, Host, INPUT, Kind, OpDef, PART, PartDef,
    PartsVjpFn, Reduce, ReferenceFn, SCALAR, StepCtx, Stored, Strided, Vjp, VjpFn, has_parts, part_def,
    part_type, results,
};

use crate::buffer::Buffer;
use crate::dim::{Binder, Bindings, Dim};
use crate::error::{Error, Result};
use crate::shape::{DType, Shape};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Index of a node in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub u32);

impl Id {
    /// As a vector index.
    #[must_use]
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// Shape and element type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ty {
    /// The shape.
    pub shape: Shape,
    /// The element type.
    pub dtype: DType,
}

impl Ty {
    /// A float value of this shape.
    #[must_use]
    pub fn f32(shape: Shape) -> Ty {
        Ty { shape, dtype: DType::F32 }
    }

    /// Bytes of the value in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shape.count() * self.dtype.size()
    }
}

impl fmt::Display for Ty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype.name(), self.shape)
    }
}

/// A static argument of an op. Numbers are equal when their bits are: 0 and -0 are two values.
#[derive(Debug, Clone)]
pub enum Attr {
    /// An integer.
    Int(i64),
    /// Integers: axes, steps.
    Ints(Vec<i64>),
    /// A size, position or count along an axis; it may be open.
    Size(Dim),
    /// Sizes, positions or counts: shapes, ends of slices. They may be open.
    Sizes(Vec<Dim>),
    /// A number.
    Float(f64),
    /// A switch.
    Bool(bool),
    /// An element type.
    DType(DType),
    /// A graph that the node runs.
    Body(Arc<Body>),
    /// Left out; the row says what that means (often "all axes").
    None,
}

impl PartialEq for Attr {
    fn eq(&self, other: &Attr) -> bool {
        // By the variants of one side: a new one does not compile until it has its line.
        match self {
            Attr::Int(a) => matches!(other, Attr::Int(b) if a == b),
            Attr::Ints(a) => matches!(other, Attr::Ints(b) if a == b),
            Attr::Size(a) => matches!(other, Attr::Size(b) if a == b),
            Attr::Sizes(a) => matches!(other, Attr::Sizes(b) if a == b),
            Attr::Float(a) => matches!(other, Attr::Float(b) if a.to_bits() == b.to_bits()),
            Attr::Bool(a) => matches!(other, Attr::Bool(b) if a == b),
            Attr::DType(a) => matches!(other, Attr::DType(b) if a == b),
            Attr::Body(a) => matches!(other, Attr::Body(b) if a == b),
            Attr::None => matches!(other, Attr::None),
        }
    }
}

impl Eq for Attr {}

impl Hash for Attr {
    fn hash<H: Hasher>(&self, h: &mut H) {
        std::mem::discriminant(self).hash(h);
        match self {
            Attr::Int(i) => i.hash(h),
            Attr::Ints(v) => v.hash(h),
            Attr::Size(d) => d.hash(h),
            Attr::Sizes(v) => v.hash(h),
            Attr::Float(x) => x.to_bits().hash(h),
            Attr::Bool(b) => b.hash(h),
            Attr::DType(d) => d.hash(h),
            Attr::Body(b) => b.hash(h),
            Attr::None => {}
        }
    }
}

impl Attr {
    /// The integer; rows read the kinds they declared, so another kind is a bug of ours.
    #[must_use]
    pub fn int(&self) -> i64 {
        match self {
            Attr::Int(i) => *i,
            _ => 0,
        }
    }
    /// The integers, empty when left out.
    #[must_use]
    pub fn ints(&self) -> &[i64] {
        match self {
            Attr::Ints(v) => v,
            _ => &[],
        }
    }
    /// The size; an integer is one.
    #[must_use]
    pub fn size(&self) -> Dim {
        match self {
            Attr::Size(d) => *d,
            other => Dim::new(other.int()),
        }
    }
    /// The sizes; integers are such.
    #[must_use]
    pub fn sizes(&self) -> Cow<'_, [Dim]> {
        match self {
            Attr::Sizes(v) => Cow::Borrowed(v),
            other => other.ints().iter().map(|&i| Dim::new(i)).collect(),
        }
    }
    /// True when a size in it is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self {
            Attr::Size(d) => d.is_open(),
            Attr::Sizes(v) => v.iter().any(|d| d.is_open()),
            Attr::Body(b) => b.open,
            _ => false,
        }
    }
    /// The graph that the node runs.
    #[must_use]
    pub fn body(&self) -> Option<&Arc<Body>> {
        match self {
            Attr::Body(body) => Some(body),
            _ => None,
        }
    }
    /// The same with open sizes filled in.
    pub fn bind(&self, binder: &mut Binder<'_>) -> Result<Attr> {
        Ok(match self {
            Attr::Size(d) => Attr::Size(binder.bind(*d)?),
            Attr::Sizes(v) => Attr::Sizes(v.iter().map(|&d| binder.bind(d)).collect::<Result<_>>()?),
            Attr::Body(b) if b.open => Attr::Body(Body::new(b.graph.replay(binder.bindings())?)?),
            other => other.clone(),
        })
    }
    /// The number.
    #[must_use]
    pub fn float(&self) -> f64 {
        match self {
            Attr::Float(x) => *x,
            Attr::Int(i) => *i as f64,
            _ => 0.0,
        }
    }
    /// The switch.
    #[must_use]
    pub fn flag(&self) -> bool {
        matches!(self, Attr::Bool(true))
    }
    /// The element type, f32 when left out.
    #[must_use]
    pub fn dtype(&self) -> DType {
        match self {
            Attr::DType(d) => *d,
            _ => DType::F32,
        }
    }
}

/// A value handed to a kernel: contiguous, row-major.
#[derive(Debug, Clone, Copy)]
pub struct Arg {
    /// Its first byte.
    pub ptr: *mut u8,
    /// Shape and type.
    pub ty: Ty,
}

impl Arg {
    /// The elements of a float or truth value.
    ///
    /// # Panics
    /// When it has another type. Likewise below.
    #[must_use]
    pub fn floats(&self) -> *mut f32 {
        assert_eq!(self.ty.dtype.memory(), DType::F32, "invariant: a kernel for floats got {}", self.ty);
        self.ptr.cast()
    }

    /// The elements of an integer value.
    #[must_use]
    pub fn ints(&self) -> *mut i32 {
        assert_eq!(self.ty.dtype, DType::I32, "invariant: a kernel for int32 got {}", self.ty);
        self.ptr.cast()
    }

    /// The elements of a float type, an integer type or truth values of four bytes, as those who only
    /// move them read them.
    #[must_use]
    pub fn cells(&self) -> *mut f32 {
        assert_eq!(self.ty.dtype.size(), 4, "invariant: a kernel for elements of four bytes got {}", self.ty);
        self.ptr.cast()
    }
}

/// One value.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its row.
    pub op: &'static OpDef,
    /// Where its operands are; all smaller than its own index.
    pub inputs: Vec<Id>,
    /// Its static arguments, in the row's order.
    pub attrs: Vec<Attr>,
    /// Shape and type.
    pub ty: Ty,
}

/// A graph: nodes in topological order, what comes in, what goes out, which inputs the run
/// overwrites.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The `INPUT` node of each slot.
    pub inputs: Vec<Id>,
    /// Results, in order.
    pub outputs: Vec<Id>,
    /// `(slot, value)`: after the run, input `slot` holds `value`.
    pub updates: Vec<(usize, Id)>,
    /// Constant arrays.
    pub data: Vec<Arc<Buffer>>,
    /// The first error met by a builder method; passes stop on it.
    pub fault: Option<Error>,
}

impl Graph {
    /// An empty graph.
    #[must_use]
    pub fn new() -> Graph {
        Graph::default()
    }

    /// The node.
    #[must_use]
    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id.at()]
    }

    /// Shape and type of a value.
    #[must_use]
    pub fn ty(&self, id: Id) -> Ty {
        self.nodes[id.at()].ty
    }

    /// Shape of a value.
    #[must_use]
    pub fn shape(&self, id: Id) -> Shape {
        self.nodes[id.at()].ty.shape
    }

    /// Adds a node whose type is already known.
    pub fn push(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        Id(self.nodes.len() as u32 - 1)
    }

    /// A new input slot.
    pub fn input(&mut self, ty: Ty) -> Id {
        let slot = self.inputs.len() as i64;
        let id = self.push(Node { op: &INPUT, inputs: vec![], attrs: vec![Attr::Int(slot)], ty });
        self.inputs.push(id);
        id
    }

    /// A scalar constant of type f32.
    pub fn scalar(&mut self, value: f64) -> Id {
        self.typed_scalar(value, DType::F32)
    }

    /// A scalar constant.
    pub fn typed_scalar(&mut self, value: f64, dtype: DType) -> Id {
        let ty = Ty { shape: Shape::scalar(), dtype };
        self.push(Node { op: &SCALAR, inputs: vec![], attrs: vec![Attr::Float(value)], ty })
    }

    /// A constant array; `data` has the bytes of `ty`.
    pub fn constant(&mut self, ty: Ty, data: Arc<Buffer>) -> Id {
        assert_eq!(data.bytes(), ty.bytes(), "invariant: a constant fills its type");
        self.data.push(data);
        let at = self.data.len() as i64 - 1;
        self.push(Node { op: &DATA, inputs: vec![], attrs: vec![Attr::Int(at)], ty })
    }

    /// Adds a node after asking its row for shape and type.
    pub fn try_add(&mut self, op: &'static OpDef, inputs: &[Id], attrs: &[Attr]) -> Result<Id> {
        let ty = self.infer(op, inputs, attrs)?;
        Ok(self.push(Node { op, inputs: inputs.to_vec(), attrs: attrs.to_vec(), ty }))
    }

    /// Shape and type of an op on nodes of this graph.
    pub fn infer(&self, op: &'static OpDef, inputs: &[Id], attrs: &[Attr]) -> Result<Ty> {
        if op == &PART
            && let [of] = *inputs
        {
            let node = self.node(of);
            let index = attrs.first().map_or(0, Attr::int);
            return part_type(node.op, index, &self.types(&node.inputs), &node.attrs);
        }
        op.result(&self.types(inputs), attrs)
    }

    /// The oracle of a value, and the node whose inputs and attributes it takes.
    pub fn oracle(&self, id: Id) -> Result<(ReferenceFn, &Node)> {
        let node = self.node(id);
        if node.op != &PART {
            return Ok((node.op.reference, node));
        }
        let of = self.node(node.inputs[0]);
        Ok((part_def(of.op, node.attrs[0].int())?.reference, of))
    }

    /// Shapes and types of some values.
    #[must_use]
    pub fn types(&self, ids: &[Id]) -> Vec<Ty> {
        ids.iter().map(|&i| self.ty(i)).collect()
    }

    /// Result `index` of a node: 0 is the node's own value, the others are its parts.
    pub fn part(&mut self, of: Id, index: usize) -> Id {
        if index == 0 { of } else { self.add(&PART, &[of], &[Attr::Int(index as i64)]) }
    }

    /// [`Graph::try_add`] for rules and passes, where a failure is a bug: the first error is kept
    /// in `fault`, and building goes on with a stand-in so that rules read as formulas.
    pub fn add(&mut self, op: &'static OpDef, inputs: &[Id], attrs: &[Attr]) -> Id {
        match self.try_add(op, inputs, attrs) {
            Ok(id) => id,
            Err(e) => {
                self.fault.get_or_insert(e);
                self.scalar(0.0)
            }
        }
    }

    /// The first error a builder met.
    pub fn check(&self) -> Result<()> {
        match &self.fault {
            Some(e) => Err(Error::Internal(format!("a rule built an invalid graph: {e}"))),
            None => Ok(()),
        }
    }

    /// Readers of each node.
    #[must_use]
    pub fn users(&self) -> Vec<Vec<Id>> {
        let mut users = vec![vec![]; self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            for &input in &node.inputs {
                users[input.at()].push(Id(i as u32));
            }
        }
        users
    }

    /// The same graph for these sizes: symbols in the shapes of leaves and in attributes are
    /// replaced and the shape rules run again. Errors where sizes that were left open do not fit.
    pub fn replay(&self, bindings: &Bindings) -> Result<Graph> {
        let mut binder = Binder::new(bindings);
        let mut out = Graph { data: self.data.clone(), ..Graph::default() };
        out.nodes.reserve(self.nodes.len());
        for node in &self.nodes {
            let (attrs, ty) = if node.op.class == Class::Leaf {
                let shape = node.ty.shape.bind(&mut binder)?;
                (node.attrs.clone(), Ty { shape, dtype: node.ty.dtype })
            } else {
                let attrs = node.attrs.iter().map(|a| a.bind(&mut binder)).collect::<Result<Vec<_>>>()?;
                let ty = out.infer(node.op, &node.inputs, &attrs)?;
                (attrs, ty)
            };
            out.push(Node { op: node.op, inputs: node.inputs.clone(), attrs, ty });
        }
        out.inputs.clone_from(&self.inputs);
        out.outputs.clone_from(&self.outputs);
        out.updates.clone_from(&self.updates);
        Ok(out)
    }

    /// The symbols that shapes and attributes depend on.
    #[must_use]
    pub fn symbols(&self) -> Vec<Dim> {
        let mut open: HashSet<Dim> = HashSet::new();
        for node in &self.nodes {
            open.extend(node.ty.shape.dims().iter().filter(|d| d.is_open()));
            for attr in &node.attrs {
                match attr {
                    Attr::Size(d) => open.extend(Some(*d).filter(|d| d.is_open())),
                    Attr::Sizes(v) => open.extend(v.iter().filter(|d| d.is_open())),
                    Attr::Body(b) if b.open => open.extend(b.graph.symbols()),
                    _ => {}
                }
            }
        }
        let symbols: BTreeSet<Dim> = open.into_iter().flat_map(Dim::symbols).collect();
        symbols.into_iter().collect()
    }

    /// Are the nodes of this graph the first ones of `other`, reading the same constants?
    #[must_use]
    pub fn begins(&self, other: &Graph) -> bool {
        let same = |(a, b): (&Node, &Node)| {
            a.op == b.op && a.inputs == b.inputs && a.ty == b.ty && a.attrs == b.attrs
        };
        self.nodes.len() <= other.nodes.len()
            && self.nodes.iter().zip(&other.nodes).all(same)
            && self.data.len() <= other.data.len()
            && self.data.iter().zip(&other.data).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// Runs every shape rule again and compares: passes are tested with it, debug builds run it
    /// after each.
    pub fn recheck(&self) -> Result<()> {
        self.check()?;
        for (i, node) in self.nodes.iter().enumerate() {
            if node.inputs.iter().any(|x| x.at() >= i) {
                return Err(Error::Internal(format!("node {i} ({}) reads a later node", node.op.name)));
            }
            if node.op.class != Class::Leaf {
                let ty = self.infer(node.op, &node.inputs, &node.attrs)?;
                if ty != node.ty {
                    return Err(Error::Internal(format!(
                        "node {i} ({}) is {}, its rule says {ty}",
                        node.op.name, node.ty
                    )));
                }
            }
            for body in node.attrs.iter().filter_map(Attr::body) {
                body.graph.recheck()?;
            }
        }
        Ok(())
    }
}

impl Graph {
    fn write(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        for (i, node) in self.nodes.iter().enumerate() {
            write!(f, "{:indent$}%{i} = {}(", "", node.op.name)?;
            for (k, input) in node.inputs.iter().enumerate() {
                write!(f, "{}%{}", if k > 0 { ", " } else { "" }, input.0)?;
            }
            write!(f, ")")?;
            if !node.attrs.is_empty() {
                write!(f, " {:?}", node.attrs)?;
            }
            writeln!(f, " : {}", node.ty)?;
            for body in node.attrs.iter().filter_map(Attr::body) {
                body.graph.write(f, indent + 4)?;
            }
        }
        writeln!(f, "{:indent$}outputs {:?}, updates {:?}", "", self.outputs, self.updates)
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}
