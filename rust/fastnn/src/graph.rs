//! F3. The one representation: an arena of nodes in topological order. What an op means stands
//! in its [`OpDef`] row (F4 fills the rows in); a node holds a reference to its row, so this
//! module never needs the table. Nothing recurses: autodiff is a reverse loop, passes are forward
//! loops, printing is printing a list.

mod body;

pub use body::{Body, MOST_BODIES};

use crate::buffer::Buffer;
use crate::dim::{Binder, Bindings, Dim};
use crate::error::{Error, Result};
use crate::shape::{DType, Shape};
use crate::simd::Isa;
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

/// Kinds of attribute, for parsing keyword arguments and for stubs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttrKind {
    /// One integer.
    Int,
    /// A list of integers; one integer is accepted as a list of one.
    Ints,
    /// A list of integers, or nothing.
    IntsOrNone,
    /// One integer, or nothing.
    IntOrNone,
    /// One size; it may be open.
    Size,
    /// One size, or nothing.
    SizeOrNone,
    /// A list of sizes, which may be open; one is accepted as a list of one.
    Sizes,
    /// A number.
    Float,
    /// True or false.
    Bool,
    /// An element type.
    DType,
    /// A graph; made by tracing, never written by hand.
    Body,
}

/// Declaration of an attribute. `default: None` makes it required.
#[derive(Debug, Clone)]
pub struct AttrDef {
    /// Keyword name.
    pub name: &'static str,
    /// What it holds.
    pub kind: AttrKind,
    /// Value when left out.
    pub default: Option<Attr>,
}

/// What fusion and in-place reuse ask of an op.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Inputs, constants, state.
    Leaf,
    /// Output element i depends on element i of the (broadcast) inputs.
    Elementwise,
    /// Removes or shrinks axes.
    Reduce,
    /// The same bytes under another shape.
    View,
    /// Output elements are chosen input elements.
    Movement,
    /// Matrix products.
    Contract,
    /// Reads or writes at computed positions.
    Index,
    /// Random numbers from a key.
    Random,
    /// A kernel of its own over rows or blocks.
    Kernel,
    /// No kernel: rewritten into other ops before anything else.
    Composite,
    /// A further result of the node it reads.
    Part,
}

/// Which inputs an op takes, and what the front converts before building a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// All inputs are converted to f32.
    Float,
    /// All inputs are converted to their common type.
    Common,
    /// As `Common`, but bools become i32 first (arithmetic).
    Number,
    /// All inputs are converted to bool.
    Truth,
    /// Taken as they are; the row's rule checks.
    Exact,
}

/// Which operands of an op may be of a storage type. Others are cast before a node is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// None.
    No,
    /// Any: their bytes are moved, and the result has their type.
    Moved,
    /// These: they are widened as they are read.
    Read(&'static [usize]),
}

impl Stored {
    /// May this operand be of a storage type?
    #[must_use]
    pub fn takes(self, operand: usize) -> bool {
        match self {
            Stored::No => false,
            Stored::Moved => true,
            Stored::Read(some) => some.contains(&operand),
        }
    }
}

/// The kinds of reduction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reduce {
    /// Sum.
    Sum,
    /// Sum divided by the count.
    Mean,
    /// Largest; NaN wins.
    Max,
    /// Smallest; NaN wins.
    Min,
    /// Product.
    Prod,
    /// First index of the largest; NaN wins.
    ArgMax,
    /// First index of the smallest; NaN wins.
    ArgMin,
}

/// Where the elements of a [`Class::Movement`] output lie in its input: element
/// `(i0, i1, …)` is at `offset + Σ i·stride` (in elements; strides may be 0 or negative).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strided {
    /// Position of the first element.
    pub offset: isize,
    /// One stride per output axis.
    pub strides: Vec<isize>,
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

/// What the kernel of a [`Kind::Kernel`] row gets.
#[derive(Debug)]
pub struct StepCtx<'a> {
    /// Inputs in order.
    pub inputs: &'a [Arg],
    /// Where the result goes. In a row with parts the pointer is null when nobody reads it.
    pub output: Arg,
    /// Where the row's parts go, in order; null where nobody reads one.
    pub parts: &'a [Arg],
    /// The node's attributes.
    pub attrs: &'a [Attr],
    /// The instruction set in use.
    pub isa: Isa,
}

/// What an op does to its operands, as far as passes and back ends ask. Which kernel does it on a
/// processor or device stands in a table of that back end, keyed by the row's address.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Bound before the program runs.
    Leaf,
    /// Element i of the result comes from element i of the (broadcast) operands.
    Map,
    /// A reduction over the axes of attribute 0, keepdims in attribute 1.
    Reduce(Reduce),
    /// Makes the matrix `(all axes but the last, last axis)` by blocks of rows and columns, so that
    /// what follows element by element can be done while a block is hot.
    Head,
    /// No work: the same bytes.
    View,
    /// A strided gather, absorbed by fused groups or run as a copy.
    Strided(fn(&[Ty], &[Attr], Ty) -> Result<Strided>),
    /// Work of its own.
    Kernel,
    /// Runs the graph in attribute 0 round by round; its results are those of the graph, and the
    /// rule gives the type of each.
    Scan(fn(usize, &[Ty], &[Attr]) -> Result<Ty>),
    /// Rewritten into other ops.
    Lowered(fn(&mut Graph, &[Id], &[Attr]) -> Result<Id>),
    /// Written by the kernel of the node it reads.
    Part,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Leaf => "Leaf",
            Kind::Map => "Map",
            Kind::Reduce(_) => "Reduce",
            Kind::Head => "Head",
            Kind::View => "View",
            Kind::Strided(_) => "Strided",
            Kind::Kernel => "Kernel",
            Kind::Scan(_) => "Scan",
            Kind::Lowered(_) => "Lowered",
            Kind::Part => "Part",
        })
    }
}

/// Vector-Jacobian product: given the node `y`, its inputs and the gradient `dy` of y, build one
/// optional gradient per input (`None`: no gradient flows there).
pub type VjpFn = fn(g: &mut Graph, y: Id, inputs: &[Id], dy: Id) -> Vec<Option<Id>>;

/// As [`VjpFn`] for a row with parts: `dys[0]` is the gradient of the node's own value and
/// `dys[k]` that of part k, `None` where none flows; at least one does.
pub type PartsVjpFn = fn(g: &mut Graph, y: Id, inputs: &[Id], dys: &[Option<Id>]) -> Vec<Option<Id>>;

/// A node's results by other rows, in order: the node's own value, then its parts.
pub type EquivalentFn = fn(g: &mut Graph, inputs: &[Id], attrs: &[Attr]) -> Result<Vec<Id>>;

/// How an op is differentiated.
#[derive(Clone, Copy)]
pub enum Vjp {
    /// By this rule.
    Rule(VjpFn),
    /// By this rule, from the gradients of all its results.
    Parts(PartsVjpFn),
    /// By this rule where gradients flow into the first `results` results only, and none is wanted by
    /// the operands in `constant`; else through other rows that give the same results.
    Short {
        /// The rule.
        rule: PartsVjpFn,
        /// How many results it takes gradients of.
        results: usize,
        /// Operands for which it gives none.
        constant: &'static [usize],
        /// The results by other rows.
        equivalent: EquivalentFn,
    },
    /// Through other rows that give the same results; nothing else computes them.
    Through(EquivalentFn),
    /// The derivative is zero (comparisons, rounding, integers).
    Zero,
    /// Through the ops it is rewritten into (composites).
    Lowered,
    /// Through the graph it runs.
    Body,
}

/// Values for the oracle and the tests: f64 whatever the type, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Shape and type.
    pub ty: Ty,
    /// The elements.
    pub data: Vec<f64>,
}

/// The oracle: an op by plain loops in f64.
pub type ReferenceFn = fn(inputs: &[Host], attrs: &[Attr], out: Ty) -> Host;

/// A result of an op besides its own value: the node's value is result 0, its parts are results
/// 1, 2, ... A part that nobody reads has no memory, and the kernel does not write it.
#[derive(Debug)]
pub struct PartDef {
    /// What it is.
    pub name: &'static str,
    /// Shape and type, from the inputs and attributes of the node.
    pub infer: fn(&[Ty], &[Attr]) -> Result<Ty>,
    /// The oracle.
    pub reference: ReferenceFn,
    /// The same as an array expression, as [`OpDef::formula`].
    pub formula: &'static str,
}

/// One op, one row: everything the library knows about it.
#[derive(Clone)]
pub struct OpDef {
    /// Name in Rust, in the file format and in the front.
    pub name: &'static str,
    /// Input names. A single name that starts with `*` takes any number of inputs.
    pub args: &'static [&'static str],
    /// Static arguments.
    pub attrs: &'static [AttrDef],
    /// One sentence, formula, shapes; becomes docstring and stub.
    pub doc: &'static str,
    /// What fusion asks.
    pub class: Class,
    /// What the front converts.
    pub accept: Accept,
    /// Which operands may be of a storage type.
    pub stored: Stored,
    /// Shape and type of the result; rejects what does not fit.
    pub infer: fn(&[Ty], &[Attr]) -> Result<Ty>,
    /// The derivative.
    pub vjp: Vjp,
    /// What it does to its operands.
    pub kind: Kind,
    /// The oracle.
    pub reference: ReferenceFn,
    /// The same as an array expression in the input and attribute names, evaluated by the tests.
    pub formula: &'static str,
    /// Sample range per input; keeps gradient checks off kinks and poles.
    pub domain: &'static [(f32, f32)],
    /// True when second derivatives are smooth inside the domain.
    pub smooth: bool,
    /// Results besides the value.
    pub parts: &'static [PartDef],
    /// `(result, input)`: the kernel may be given the memory of this input for that result, and then
    /// writes only what changes. Otherwise it writes the result whole.
    pub writes_over: &'static [(usize, usize)],
}

impl OpDef {
    /// What a row says when it says nothing: the value of fields that most rows leave out.
    pub const PLAIN: OpDef = OpDef {
        name: "",
        args: &[],
        attrs: &[],
        doc: "",
        class: Class::Leaf,
        accept: Accept::Exact,
        stored: Stored::No,
        infer: |_, _| Err(Error::Internal("this row has no shape rule".into())),
        vjp: Vjp::Zero,
        kind: Kind::Leaf,
        reference: |_, _, out| Host { ty: out, data: vec![] },
        formula: "",
        domain: &[],
        smooth: true,
        parts: &[],
        writes_over: &[],
    };

    /// Shape and type of the result; rejects what does not fit, and operands of storage types that
    /// the row does not take.
    pub fn result(&self, types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
        if let Some((at, ty)) =
            types.iter().enumerate().find(|(at, t)| t.dtype.is_stored() && !self.stored.takes(*at))
        {
            let wide = ty.dtype.computing().name();
            return crate::data_err!("{}: operand {at} is {ty}\n  hint: cast it to {wide}", self.name);
        }
        (self.infer)(types, attrs)
    }
}

impl fmt::Debug for OpDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for OpDef {
    fn eq(&self, other: &OpDef) -> bool {
        std::ptr::eq(self, other)
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

/// Bound to a buffer by the caller of the program. Attribute 0 is the slot.
pub static INPUT: OpDef = leaf("input", "A value bound when the program runs.");
/// A scalar known now. Attribute 0 is the value.
pub static SCALAR: OpDef = leaf("scalar", "A constant scalar.");
/// An array known now. Attribute 0 indexes [`Graph::data`].
pub static DATA: OpDef = leaf("data", "A constant array.");

/// A further result of the node it reads: attribute 0 says which, from 1 on.
pub static PART: OpDef = OpDef {
    name: "part",
    args: &["of"],
    attrs: &[AttrDef { name: "index", kind: AttrKind::Int, default: None }],
    doc: "A further result of a node.",
    class: Class::Part,
    kind: Kind::Part,
    ..OpDef::PLAIN
};

const fn leaf(name: &'static str, doc: &'static str) -> OpDef {
    OpDef { name, doc, ..OpDef::PLAIN }
}

/// What a row says of its part `index`, counted from 1.
pub fn part_def(op: &OpDef, index: i64) -> Result<&'static PartDef> {
    match usize::try_from(index - 1).ok().and_then(|at| op.parts.get(at)) {
        Some(def) => Ok(def),
        None => crate::data_err!(
            "part: '{}' has {} results, there is no result {index}\n  hint: results count from 0",
            op.name,
            op.parts.len() + 1
        ),
    }
}

/// How many results a node has: its own value and its parts.
#[must_use]
pub fn results(op: &OpDef, attrs: &[Attr]) -> usize {
    match attrs.first().and_then(Attr::body) {
        Some(body) => body.graph.outputs.len(),
        None => op.parts.len() + 1,
    }
}

/// True for a row whose nodes may have several results.
#[must_use]
pub fn has_parts(op: &OpDef) -> bool {
    !op.parts.is_empty() || matches!(op.kind, Kind::Scan(_))
}

/// Shape and type of part `index` (from 1) of a node with inputs of these types.
pub fn part_type(op: &OpDef, index: i64, types: &[Ty], attrs: &[Attr]) -> Result<Ty> {
    match (op.kind, usize::try_from(index)) {
        (Kind::Scan(rule), Ok(index)) if (1..results(op, attrs)).contains(&index) => {
            rule(index, types, attrs)
        }
        _ => (part_def(op, index)?.infer)(types, attrs),
    }
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
