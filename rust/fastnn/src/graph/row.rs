//! F3. Rows: everything the library knows about an op, and what the fields of a row can say.

use super::{Arg, Attr, Graph, Id, Ty};
use crate::error::{Error, Result};
use crate::simd::Isa;
use std::fmt;

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
