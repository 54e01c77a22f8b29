//! The kinds of step and how each runs: addresses are looked up in [`Memory`], then a kernel of
//! F2 does the work.

use super::deferred::Before;
use super::head::Head;
use super::scan::Loop;
use crate::buffer::{self, Buffer};
use crate::error::Result;
use crate::graph::{Arg, Attr, Reduce, StepCtx, Strided, Ty};
use crate::kernels::tile::{Bound, MAX_INPUTS, MAX_OUTPUTS, TileProgram};
use crate::kernels::{Source, TILE, copy, reduce};
use crate::passes::plan::Loc;
use crate::simd::isa;
use smallvec::SmallVec;
use std::fmt;
use std::mem::MaybeUninit;

/// The buffers of one run.
pub(super) struct Memory<'a> {
    pub(super) arena: *mut u8,
    pub(super) inputs: &'a [*mut u8],
    pub(super) outputs: &'a [*mut u8],
    pub(super) constants: &'a [Buffer],
    /// What is known from earlier runs.
    pub(super) before: Before<'a>,
}

impl Memory<'_> {
    /// The address of a location.
    #[inline]
    pub(super) fn at(&self, loc: Loc) -> *mut u8 {
        match loc {
            Loc::Arena(offset) => self.arena.wrapping_add(offset),
            Loc::Input(slot) => self.inputs[slot],
            Loc::Output(k) => self.outputs[k],
            Loc::Const(k) => self.constants[k].as_ptr().cast_mut(),
        }
    }
}

/// Where a group's operand comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Port {
    /// Memory, from this byte on.
    At(Loc, isize),
    /// The block that the group's head just finished.
    Head,
    /// A constant inside the program.
    Inside,
}

/// A fused group with the places of its operands.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) program: TileProgram,
    pub(super) inputs: Vec<Port>,
    /// `None`: the value stays in its tile (read by the reduction that follows).
    pub(super) outputs: Vec<Option<Loc>>,
    pub(super) count: usize,
}

/// Uninitialised on purpose past the group's own operands: see the tile machine.
pub(super) struct Addresses {
    inputs: MaybeUninit<[*const f32; MAX_INPUTS]>,
    outputs: MaybeUninit<[*mut f32; MAX_OUTPUTS]>,
}

impl Group {
    #[inline]
    pub(super) fn addresses(&self, memory: &Memory<'_>) -> Addresses {
        let mut all = Addresses { inputs: MaybeUninit::uninit(), outputs: MaybeUninit::uninit() };
        let inputs = all.inputs.as_mut_ptr().cast::<*const f32>();
        for (i, port) in self.inputs.iter().enumerate() {
            let address = match port {
                Port::At(loc, offset) => memory.at(*loc).wrapping_offset(*offset).cast(),
                Port::Head | Port::Inside => std::ptr::null_mut(),
            };
            // SAFETY: `TileProgram::new` keeps groups within the table.
            unsafe { inputs.add(i).write(address) };
        }
        let outputs = all.outputs.as_mut_ptr().cast::<*mut f32>();
        for (o, loc) in self.outputs.iter().enumerate() {
            // SAFETY: as above.
            unsafe { outputs.add(o).write(loc.map_or(std::ptr::null_mut(), |loc| memory.at(loc).cast())) };
        }
        all
    }

    #[inline]
    pub(super) fn bind<'a>(&'a self, at: &'a Addresses) -> Bound<'a> {
        // SAFETY: `addresses` of the same group wrote these entries.
        let (inputs, outputs) = unsafe {
            (
                std::slice::from_raw_parts(at.inputs.as_ptr().cast(), self.inputs.len()),
                std::slice::from_raw_parts(at.outputs.as_ptr().cast(), self.outputs.len()),
            )
        };
        Bound { program: &self.program, inputs, outputs }
    }
}

/// Where a reduction reads.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // one a step
pub(super) enum Feed {
    /// Memory.
    Memory(Loc),
    /// Output `1` of a group, computed as it is read.
    Group(Group, usize),
}

/// One step of a program.
#[derive(Debug)]
pub(super) enum Step {
    Tile(Group),
    Head(Box<Head>),
    Reduce {
        kind: Reduce,
        int: bool,
        dims: [usize; 3],
        feed: Feed,
        dst: Loc,
    },
    Kernel {
        name: &'static str,
        run: unsafe fn(&StepCtx<'_>) -> Result<()>,
        inputs: Vec<(Loc, Ty)>,
        /// The value and the parts; without a place where nobody reads one.
        outputs: Vec<(Option<Loc>, Ty)>,
        attrs: Vec<Attr>,
    },
    Copy {
        /// Bytes of an element.
        size: usize,
        src: Loc,
        dims: Vec<usize>,
        strided: Strided,
        dst: Loc,
    },
    /// A program run round by round.
    Scan(Box<Loop>),
}

impl Step {
    /// About how much memory the step takes.
    pub(super) fn bytes(&self) -> usize {
        let group = match self {
            Step::Tile(group) | Step::Reduce { feed: Feed::Group(group, _), .. } => Some(group),
            Step::Head(head) => head.epilogue.as_ref(),
            _ => None,
        };
        if let Step::Scan(each) = self {
            return each.bytes();
        }
        // Attributes, shapes and the like of a step come to some hundreds of bytes.
        512 + group.map_or(0, |group| group.program.bytes())
    }

    /// Where the step reads.
    pub(super) fn reads(&self) -> Vec<Loc> {
        let of = |group: &Group| {
            let at = |port: &Port| if let Port::At(loc, _) = port { Some(*loc) } else { None };
            group.inputs.iter().filter_map(at).collect::<Vec<_>>()
        };
        match self {
            Step::Tile(group) => of(group),
            Step::Head(head) => {
                let mut all = head.epilogue.as_ref().map(of).unwrap_or_default();
                all.extend(&head.inputs);
                all.extend(head.bias);
                all.extend(head.scale.into_iter().flatten());
                all
            }
            Step::Reduce { feed, .. } => match feed {
                Feed::Group(group, _) => of(group),
                Feed::Memory(loc) => vec![*loc],
            },
            Step::Kernel { inputs, .. } => inputs.iter().map(|(loc, _)| *loc).collect(),
            Step::Copy { src, .. } => vec![*src],
            Step::Scan(each) => each.reads(),
        }
    }

    /// Where the step writes.
    pub(super) fn writes(&self) -> Vec<Loc> {
        let of = |group: &Group| group.outputs.iter().flatten().copied().collect::<Vec<_>>();
        match self {
            Step::Tile(group) => of(group),
            Step::Head(head) => {
                let mut all = head.epilogue.as_ref().map(of).unwrap_or_default();
                all.extend(head.c);
                all.extend(head.sums.as_ref().map(|sums| sums.dst));
                all
            }
            Step::Reduce { feed, dst, .. } => {
                let mut all = if let Feed::Group(group, _) = feed { of(group) } else { vec![] };
                all.push(*dst);
                all
            }
            Step::Kernel { outputs, .. } => outputs.iter().filter_map(|(loc, _)| *loc).collect(),
            Step::Copy { dst, .. } => vec![*dst],
            Step::Scan(each) => each.writes(),
        }
    }

    /// Bytes that the step works in besides those of the plan.
    pub(super) fn scratch(&self) -> usize {
        if let Step::Scan(each) = self { each.scratch() } else { 0 }
    }

    /// Runs the step.
    ///
    /// # Safety
    /// The memory covers every location of the plan.
    pub(super) unsafe fn run(&self, memory: &Memory<'_>) -> Result<()> {
        match self {
            Step::Tile(group) => {
                let at = group.addresses(memory);
                group.bind(&at).run(group.count);
            }
            Step::Head(head) => head.run(memory),
            Step::Scan(each) => each.run(memory)?,
            Step::Reduce { kind, int, dims, feed, dst } => run_reduce(*kind, *int, *dims, feed, memory, *dst),
            Step::Kernel { run, inputs, outputs, attrs, .. } => {
                let inputs: SmallVec<[Arg; 8]> =
                    inputs.iter().map(|(loc, ty)| Arg { ptr: memory.at(*loc), ty: *ty }).collect();
                let outputs: SmallVec<[Arg; 4]> = outputs
                    .iter()
                    .map(|(loc, ty)| Arg {
                        ptr: loc.map_or(std::ptr::null_mut(), |loc| memory.at(loc)),
                        ty: *ty,
                    })
                    .collect();
                run(&StepCtx {
                    inputs: &inputs,
                    output: outputs[0],
                    parts: &outputs[1..],
                    attrs,
                    isa: isa(),
                })?;
            }
            Step::Copy { size, src, dims, strided, dst } => {
                let src = memory.at(*src).wrapping_offset(strided.offset * *size as isize);
                copy::copy_elements(*size, memory.at(*dst), src, dims, &strided.strides);
            }
        }
        Ok(())
    }
}

struct Reading<'a> {
    bound: Bound<'a>,
    out: usize,
}

impl Source for Reading<'_> {
    unsafe fn tile(&self, start: usize, len: usize, scratch: *mut f32) -> *const f32 {
        let own = self.bound.outputs[self.out];
        if own.is_null() {
            return self.bound.run_tile(start, len, self.out, scratch);
        }
        self.bound.run_range(start, len);
        own.add(start)
    }
}

unsafe fn run_reduce(kind: Reduce, int: bool, dims: [usize; 3], feed: &Feed, memory: &Memory<'_>, dst: Loc) {
    let dst = memory.at(dst).cast();
    match feed {
        Feed::Memory(loc) => {
            reduce_from(kind, int, dims, &reduce::Memory(memory.at(*loc).cast()), dst);
        }
        Feed::Group(group, out) => {
            let at = group.addresses(memory);
            reduce_from(kind, int, dims, &Reading { bound: group.bind(&at), out: *out }, dst);
        }
    }
}

unsafe fn reduce_from(
    kind: Reduce,
    int: bool,
    [outer, r, inner]: [usize; 3],
    src: &dyn Source,
    dst: *mut f32,
) {
    use reduce::Reduce as To;
    let to = match (kind, int) {
        (Reduce::Sum, false) => To::Sum,
        (Reduce::Mean, _) => To::Mean,
        (Reduce::Max, false) => To::Max,
        (Reduce::Min, false) => To::Min,
        (Reduce::Prod, false) => To::Prod,
        (Reduce::Sum, true) => To::SumI32,
        (Reduce::Max, true) => To::MaxI32,
        (Reduce::Min, true) => To::MinI32,
        (Reduce::ArgMax, false) => return reduce::arg_reduce::<true>(src, outer, r, inner, dst.cast()),
        (Reduce::ArgMin, false) => return reduce::arg_reduce::<false>(src, outer, r, inner, dst.cast()),
        (Reduce::Prod | Reduce::ArgMax | Reduce::ArgMin, true) => {
            return reduce_whole(kind, [outer, r, inner], src, dst.cast());
        }
    };
    reduce::reduce(to, src, outer, r, inner, dst);
}

/// The integer reductions that are rare enough for a plain loop.
unsafe fn reduce_whole(kind: Reduce, [outer, r, inner]: [usize; 3], src: &dyn Source, dst: *mut i32) {
    let mut scratch = buffer::scratch(TILE);
    let scratch = scratch.as_mut_ptr();
    for o in 0..outer * inner {
        let start = o / inner * r * inner + o % inner;
        let mut best = 0i32;
        let mut result = i32::from(kind == Reduce::Prod);
        for k in 0..r {
            let x = src.tile(start + k * inner, 1, scratch).read().to_bits() as i32;
            match kind {
                Reduce::Prod => result = result.wrapping_mul(x),
                Reduce::ArgMin if k == 0 || x < best => (best, result) = (x, k as i32),
                Reduce::ArgMax if k == 0 || x > best => (best, result) = (x, k as i32),
                _ => {}
            }
        }
        dst.add(o).write(result);
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Tile(g) => {
                write!(f, "tile    {} x {} ops, {:?} -> {:?}", g.count, g.program.len(), g.inputs, g.outputs)
            }
            Step::Head(head) => head.fmt(f),
            Step::Scan(each) => each.fmt(f),
            Step::Reduce { kind, dims, feed, dst, .. } => {
                write!(f, "reduce  {kind:?} {dims:?} -> {dst:?}")?;
                match feed {
                    Feed::Group(g, _) => {
                        write!(f, " of {} ops {:?}, also -> {:?}", g.program.len(), g.inputs, g.outputs)
                    }
                    Feed::Memory(loc) => write!(f, " of {loc:?}"),
                }
            }
            Step::Kernel { name, inputs, outputs, .. } => {
                write!(f, "kernel  {name} {:?} ->", inputs.iter().map(|(l, _)| l).collect::<Vec<_>>())?;
                outputs.iter().try_for_each(|(loc, _)| match loc {
                    Some(loc) => write!(f, " {loc:?}"),
                    None => write!(f, " unread"),
                })
            }
            Step::Copy { src, dims, dst, .. } => write!(f, "copy    {dims:?} {src:?} -> {dst:?}"),
        }
    }
}
