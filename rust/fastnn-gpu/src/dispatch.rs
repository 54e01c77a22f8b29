//! What a template makes of one row: kernels and how they are dispatched.

use crate::halves::Half;
use crate::templates::sizes;
use fastnn::graph::{Attr, Ty};
use serde::Serialize;

/// What an adapter can do, as far as the planner asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Storage buffers that one kernel may bind.
    pub storage_buffers: usize,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: usize,
    /// Invocations of a workgroup.
    pub workgroup_invocations: u32,
    /// Workgroups along one axis of a grid.
    pub grid: u32,
    /// Bytes of one binding; larger values are bound in windows.
    pub binding_bytes: usize,
    /// Bytes of one buffer.
    pub buffer_bytes: usize,
    /// Alignment of offsets of bindings.
    pub alignment: usize,
    /// May kernels bind halves (the feature `shader-f16`)?
    pub halves: bool,
    /// In which type values between steps lie where that costs no more than some of their digits; it takes
    /// [`Limits::halves`].
    pub between: Option<Half>,
    /// How fast each of [`sizes::TILES`] is; only ratios count, and 0 rules one out.
    pub speeds: [u32; sizes::COUNT],
}

impl Limits {
    /// What every WebGPU adapter offers.
    pub const PORTABLE: Limits = Limits {
        storage_buffers: 8,
        workgroup_bytes: 16_384,
        workgroup_invocations: 256,
        grid: 65_535,
        binding_bytes: 128 << 20,
        buffer_bytes: 256 << 20,
        alignment: 256,
        halves: false,
        between: None,
        speeds: sizes::SPEEDS,
    };

    /// A grid of at least `groups` workgroups. With more than [`Limits::grid`] it is two axes: the
    /// kernel reads its number as `id.y * count.x + id.x` and returns past the end.
    #[must_use]
    pub fn spread(&self, groups: usize) -> [u32; 3] {
        let most = self.grid as usize;
        let rows = groups.max(1).div_ceil(most);
        [groups.max(1).div_ceil(rows) as u32, rows as u32, 1]
    }
}

/// How a kernel uses a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    ReadWrite,
}

/// One shader with the entry point `main`; binding `k` of group 0 is used as `bindings[k]` says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Kernel {
    /// For people: row and variant.
    pub name: String,
    /// The text.
    pub wgsl: String,
    /// Invocations of a workgroup, as the text says.
    pub workgroup: [u32; 3],
    /// Bytes of workgroup memory that the text declares.
    pub workgroup_bytes: usize,
    /// How each binding is used.
    pub bindings: Vec<Use>,
}

/// What a binding of a dispatch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arg {
    /// An operand of the row.
    Input(usize),
    /// The result (0) or a part (1 and up).
    Output(usize),
    /// Memory that only this row's dispatches use.
    Scratch(usize),
    /// A buffer of the program by its number, and as what it lies there: what a group that ends a head
    /// reads and writes.
    Buffer(usize, Option<Half>),
    /// Two words of this row, zero before a run, that tell of bad data (an index out of range):
    /// `u32::MAX` less the position of the first bad element, by `atomicMax`, and that element's value
    /// as bits, written by a dispatch of one invocation after it. Kernels clamp and go on.
    Fault,
}

/// One run of a kernel.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// The kernel.
    pub kernel: Kernel,
    /// What it binds, in order.
    pub args: Vec<Arg>,
    /// Workgroups along each axis, none zero and none above [`Limits::grid`].
    pub grid: [u32; 3],
}

/// What a row becomes: dispatches in order, each after the ones before it.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    /// The dispatches.
    pub dispatches: Vec<Dispatch>,
    /// Sizes of scratch memory in bytes.
    pub scratch: Vec<usize>,
}

/// A row to be run: a node whose shapes are known.
#[derive(Debug)]
pub struct Call<'a> {
    /// The row's name.
    pub name: &'static str,
    /// Operands.
    pub inputs: &'a [Ty],
    /// The result, then the row's parts in order.
    pub outputs: &'a [Ty],
    /// False for a result or part that nobody reads: it may be left unwritten.
    pub wanted: &'a [bool],
    /// The row's attributes.
    pub attrs: &'a [Attr],
    /// The adapter.
    pub limits: &'a Limits,
}

impl Call<'_> {
    /// As [`Limits::spread`].
    #[must_use]
    pub fn grid(&self, groups: usize) -> [u32; 3] {
        self.limits.spread(groups)
    }
}
