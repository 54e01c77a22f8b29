//! The fused-group machine: a short straight-line program over tiles of [`TILE`] floats that stay
//! in L1. Memory sees one read per input and one write per output, whatever the group computes
//! (the block design of numexpr, applied to a planned graph).
//!
//! Operands are numbered: inputs, then outputs, then temporaries. Where an input's elements lie is
//! its [`Access`]; contiguous inputs and outputs are used in place, others are laid out as a tile.

use super::tile_fat::{Fat, FatFn};
use super::{TILE, stored, tile_ops::TileFn};
use crate::per_isa;
use crate::shape::DType;
use crate::simd::{LANES, Simd, isa};
use crate::sync::Lock;
use crate::{buffer, pool};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::sync::{Arc, Weak};

/// Operands of one program.
pub const MAX_OPERANDS: usize = 72;

/// Inputs of one program.
pub const MAX_INPUTS: usize = 25;

/// Outputs of one program; outputs and temporaries together are as many.
pub const MAX_OUTPUTS: usize = 40;

const _: () = assert!(MAX_INPUTS + MAX_OUTPUTS <= MAX_OPERANDS);

/// Outputs above this many bytes are written past the caches.
const STREAM_BYTES: usize = 16 << 20;

/// Work that is not worth a fork, in nanoseconds.
const INLINE_NS: f64 = 8_000.0;

/// Where element `i` of the iteration lies in an input.
#[derive(Debug, Clone, PartialEq)]
pub enum Access {
    /// At `base + i`.
    Contiguous,
    /// At `base`, for every `i`.
    Splat,
    /// Nowhere: a constant.
    Constant(f32),
    /// At `base + i % period`: broadcast over leading axes.
    Cycle(usize),
    /// At `base + i / run`: broadcast over trailing axes.
    Hold(usize),
    /// At `base + Σ index·stride` over these axes (row-major; offset already in the base).
    Strided {
        /// Sizes.
        dims: Vec<usize>,
        /// One stride per size, in elements.
        strides: Vec<isize>,
    },
}

/// One instruction on operand numbers.
#[derive(Debug, Clone)]
pub enum Instr {
    /// `dst = f(a, b, c)`.
    Thin {
        /// The kernel.
        f: TileFn,
        /// Result operand.
        dst: u16,
        /// Operands; unused ones repeat the first.
        args: [u16; 3],
    },
    /// Several results in one loop.
    Fat {
        /// What it does.
        of: &'static Fat,
        /// The kernel.
        f: FatFn,
        /// Results, inputs and numbers, as the kernel wants them.
        ops: SmallVec<[u16; 16]>,
    },
}

/// The storage types of operands in memory: such inputs are widened as they are read, such outputs
/// narrowed when the tile is done. All others are four bytes wide.
#[derive(Debug, Clone, Default)]
pub struct Stores {
    inputs: Vec<Option<DType>>,
    outputs: Vec<Option<DType>>,
}

impl Stores {
    /// Says what input `at` is.
    pub fn input(&mut self, at: usize, dtype: DType) {
        note(&mut self.inputs, at, dtype);
    }

    /// Says what output `at` is.
    pub fn output(&mut self, at: usize, dtype: DType) {
        note(&mut self.outputs, at, dtype);
    }

    fn of_input(&self, at: usize) -> Option<DType> {
        self.inputs.get(at).copied().flatten()
    }

    fn of_output(&self, at: usize) -> Option<DType> {
        self.outputs.get(at).copied().flatten()
    }
}

fn note(list: &mut Vec<Option<DType>>, at: usize, dtype: DType) {
    if dtype.is_stored() {
        list.resize(list.len().max(at + 1), None);
        list[at] = Some(dtype);
    }
}

/// A fused group, compiled.
#[derive(Debug)]
pub struct TileProgram {
    inputs: Vec<Access>,
    stores: Stores,
    outputs: usize,
    temps: usize,
    instrs: Vec<Instr>,
    /// The longest cycle that spans tiles: tiles never cross its multiples, so it is read in place.
    row: usize,
    tile: usize,
    /// Tiles that inputs are laid out in.
    laid: usize,
    /// One filled tile per constant input.
    constants: Vec<Arc<Filled>>,
}

/// A tile that no vector load straddles cache lines in.
#[derive(Debug, Clone)]
#[repr(align(64))]
struct Filled([f32; TILE]);

impl Filled {
    /// The tile of this number, which programs share while one of them has it: optimisers alone
    /// read half a dozen numbers for every weight.
    fn of(value: f32) -> Arc<Filled> {
        static TILES: Lock<Option<HashMap<u32, Weak<Filled>>>> = Lock::new(None);
        let mut tiles = TILES.lock();
        let tiles = tiles.get_or_insert_default();
        if let Some(known) = tiles.get(&value.to_bits()).and_then(Weak::upgrade) {
            return known;
        }
        if tiles.len() == tiles.capacity() {
            tiles.retain(|_, tile| tile.strong_count() > 0);
        }
        let tile = Arc::new(Filled([value; TILE]));
        tiles.insert(value.to_bits(), Arc::downgrade(&tile));
        tile
    }
}

/// A program with its memory: what a step runs.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    /// The program.
    pub program: &'a TileProgram,
    /// One base pointer per input (ignored for constants); of a storage type, to its narrower elements.
    pub inputs: &'a [*const f32],
    /// One base pointer per output, likewise; null: the value stays in its tile.
    pub outputs: &'a [*mut f32],
}

// SAFETY: the pointers are read and written through disjoint ranges by the caller's contract.
unsafe impl Sync for Bound<'_> {}

impl TileProgram {
    /// A program over `inputs`, with `outputs` results and `temps` intermediate tiles.
    #[must_use]
    pub fn new(inputs: Vec<Access>, outputs: usize, temps: usize, instrs: Vec<Instr>) -> TileProgram {
        TileProgram::with_stores(inputs, Stores::default(), outputs, temps, instrs)
    }

    /// As [`TileProgram::new`], with operands of storage types.
    #[must_use]
    pub fn with_stores(
        inputs: Vec<Access>,
        stores: Stores,
        outputs: usize,
        temps: usize,
        instrs: Vec<Instr>,
    ) -> TileProgram {
        let fits = inputs.len() <= MAX_INPUTS && outputs <= MAX_OUTPUTS;
        assert!(fits && inputs.len() + outputs + temps <= MAX_OPERANDS, "invariant: fuse limits operands");
        let length = |a: &Access| if let Access::Cycle(p) | Access::Hold(p) = a { Some(*p) } else { None };
        let row = inputs.iter().filter_map(length).filter(|&r| r >= TILE).max().unwrap_or(0);
        // Equal tiles across a long row, so that its end is not a sliver.
        let tile =
            if row == 0 { TILE } else { row.div_ceil(row.div_ceil(TILE)).next_multiple_of(LANES).min(TILE) };
        let number = |access: &Access| if let Access::Constant(value) = access { Some(*value) } else { None };
        let constants: Vec<_> = inputs.iter().filter_map(number).map(Filled::of).collect();
        // One of a storage type takes a tile of its elements and one of what they become.
        let tiles = |(i, access): (usize, &Access)| match (access, stores.of_input(i)) {
            (Access::Constant(_), _) | (Access::Contiguous, None) => 0,
            (_, Some(_)) => 2,
            (_, None) => 1,
        };
        let laid = inputs.iter().enumerate().map(tiles).sum();
        // One instruction from memory to memory needs no tiles at all.
        let straight = matches!(instrs[..], [Instr::Thin { .. }]) && outputs == 1 && laid == 0;
        let straight = straight && constants.is_empty() && stores.outputs.is_empty();
        let tile = if straight { usize::MAX } else { tile };
        TileProgram { inputs, stores, outputs, temps, instrs, row, tile, laid, constants }
    }

    /// Estimated nanoseconds for one element.
    fn cost(&self) -> f64 {
        let one = |instr: &Instr| if let Instr::Fat { .. } = instr { 6.0 } else { 1.0 };
        0.05 + 0.08 * self.instrs.iter().map(one).sum::<f64>()
    }

    /// About how much memory the program takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.constants.len() * size_of::<Filled>()
            + size_of_val(&self.instrs[..])
            + size_of_val(&self.inputs[..])
    }

    /// Instructions, for the plan's printout.
    #[must_use]
    pub fn len(&self) -> usize {
        self.instrs.len()
    }

    /// The instruction with several results that is the whole program, and its operands.
    #[must_use]
    pub fn only_fat(&self) -> Option<(&'static Fat, &[u16])> {
        match &self.instrs[..] {
            [Instr::Fat { of, ops, .. }] => Some((of, ops)),
            _ => None,
        }
    }

    /// How an input of four bytes an element is read; `None` for narrower ones.
    #[must_use]
    pub fn access(&self, input: usize) -> Option<&Access> {
        if self.stores.of_input(input).is_some() { None } else { self.inputs.get(input) }
    }

    /// Is this output of four bytes an element?
    #[must_use]
    pub fn is_wide(&self, output: usize) -> bool {
        self.stores.of_output(output).is_none()
    }

    /// True for a program without instructions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instrs.is_empty()
    }
}

/// Stretches of elements that lie in rows.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// How many.
    pub count: usize,
    /// Elements from the beginning of one to that of the next.
    pub step: usize,
    /// An input whose rows lie otherwise, and by how many elements it moves further each row.
    pub input: Option<(usize, isize)>,
    /// The same of an output.
    pub output: Option<(usize, isize)>,
}

impl Rows {
    #[inline(always)]
    fn moved(of: Option<(usize, isize)>, at: usize, row: usize) -> isize {
        of.map_or(0, |(which, by)| if which == at { by * row as isize } else { 0 })
    }

    #[inline(always)]
    fn of_input(&self, at: usize, row: usize) -> isize {
        Self::moved(self.input, at, row)
    }

    #[inline(always)]
    fn of_output(&self, at: usize, row: usize) -> isize {
        Self::moved(self.output, at, row)
    }
}

impl Bound<'_> {
    /// Runs the whole iteration of `n` elements, split over the pool when that pays.
    ///
    /// # Safety
    /// Inputs and outputs cover `n` elements by their access; outputs alias an input only where
    /// that input is contiguous at the same base.
    pub unsafe fn run(&self, n: usize) {
        if n as f64 * self.program.cost() < INLINE_NS {
            return self.run_range(0, n);
        }
        let grain = (INLINE_NS / self.program.cost()) as usize;
        let grain = grain.max(n / 256).next_multiple_of(TILE.max(self.program.row));
        let stream = n * 4 * self.program.outputs >= STREAM_BYTES;
        pool::run_range(n, grain, &|r| {
            if stream { self.range::<true>(r.start, r.len()) } else { self.range::<false>(r.start, r.len()) }
        });
    }

    /// Runs elements `start .. start + len` on this thread.
    ///
    /// # Safety
    /// As [`Bound::run`].
    pub unsafe fn run_range(&self, start: usize, len: usize) {
        self.range::<false>(start, len);
    }

    unsafe fn range<const STREAM: bool>(&self, start: usize, len: usize) {
        self.each::<STREAM>(start, len, &Rows { count: 1, step: 0, input: None, output: None });
    }

    /// Runs elements `start .. start + len` and those of further rows on this thread: what there is to
    /// prepare is prepared once for all of them.
    ///
    /// # Safety
    /// As [`Bound::run`]; the input that moves is contiguous.
    pub unsafe fn run_rows(&self, start: usize, len: usize, rows: &Rows) {
        self.each::<false>(start, len, rows);
    }

    unsafe fn each<const STREAM: bool>(&self, start: usize, len: usize, rows: &Rows) {
        if len == 0 {
            return;
        }
        let p = self.program;
        if let (usize::MAX, [Instr::Thin { f, args, .. }], [out]) = (p.tile, &p.instrs[..], self.outputs)
            && !(STREAM || out.is_null())
        {
            // From memory to memory: no table of where operands lie is needed.
            for row in 0..rows.count {
                let pos = start + row * rows.step;
                let to = out.wrapping_add(pos).wrapping_offset(rows.of_output(0, row));
                let at = |operand: u16| {
                    let x = self.inputs.get(usize::from(operand))?.wrapping_add(pos);
                    Some(x.wrapping_offset(rows.of_input(usize::from(operand), row)))
                };
                let [a, b, c] = args.map(|operand| at(operand).unwrap_or(to));
                f(to, a, b, c, len);
            }
            return;
        }
        let kept = |o: usize| STREAM || self.outputs[o].is_null() || p.stores.of_output(o).is_some();
        let narrow = !p.stores.outputs.is_empty();
        let tiles = (0..self.outputs.len()).filter(|&o| kept(o)).count();
        let mut scratch = buffer::scratch((p.temps + p.laid + tiles) * TILE + self.cycle_room(len));
        let mut room = scratch.as_mut_ptr();
        let mut take = |n: usize| {
            let at = room;
            room = room.add(n);
            at
        };
        // Uninitialised on purpose: a small group would spend more on clearing than on computing.
        let mut table = MaybeUninit::<[*mut f32; MAX_OPERANDS]>::uninit();
        let at = table.as_mut_ptr().cast::<*mut f32>();
        // Inputs that move with the position: which, how, and from where.
        let mut moves = MaybeUninit::<[(usize, Move, *mut f32); MAX_OPERANDS]>::uninit();
        let moves_at = moves.as_mut_ptr().cast::<(usize, Move, *mut f32)>();
        let mut moving = 0;
        let mut constants = 0;
        for (i, access) in p.inputs.iter().enumerate() {
            let base = self.inputs[i].cast_mut();
            let how = match access {
                Access::Constant(_) => {
                    *at.add(i) = p.constants[constants].0.as_ptr().cast_mut();
                    constants += 1;
                    continue;
                }
                _ if p.stores.of_input(i).is_some() => {
                    let room = take(2 * TILE);
                    *at.add(i) = room;
                    (Move::Widen, room)
                }
                Access::Contiguous => (Move::Advance, base),
                Access::Splat => {
                    let tile = take(TILE);
                    std::slice::from_raw_parts_mut(tile, len.min(TILE)).fill(*base);
                    *at.add(i) = tile;
                    continue;
                }
                Access::Cycle(period) if *period == p.row => (Move::Row, base),
                Access::Cycle(period) if unroll(len, *period) => {
                    let pattern = take(period + TILE);
                    cycle(pattern, base, *period, 0, period + TILE);
                    (Move::Phase(*period), pattern)
                }
                Access::Cycle(_) | Access::Hold(_) | Access::Strided { .. } => (Move::Lay, take(TILE)),
            };
            *moves_at.add(moving) = (i, how.0, how.1);
            moving += 1;
        }
        let first_out = p.inputs.len();
        for o in 0..self.outputs.len() {
            if kept(o) {
                *at.add(first_out + o) = take(TILE);
            }
        }
        let first_temp = first_out + p.outputs;
        for t in 0..p.temps {
            *at.add(first_temp + t) = take(TILE);
        }
        // What goes by way of a tile goes a tile at a time.
        let tile = if tiles > 0 { p.tile.min(TILE) } else { p.tile };
        for row in 0..rows.count {
            let mut pos = start + row * rows.step;
            let end = pos + len;
            while pos < end {
                let limit = if p.row == 0 { tile } else { tile.min(p.row - pos % p.row) };
                let n = limit.min(end - pos);
                for &(i, how, base) in std::slice::from_raw_parts(moves_at, moving) {
                    *at.add(i) = match how {
                        Move::Advance => base.wrapping_add(pos).wrapping_offset(rows.of_input(i, row)),
                        Move::Row => base.add(pos % p.row),
                        Move::Phase(period) => base.add(pos % period),
                        Move::Lay => {
                            lay(base, self.inputs[i], &p.inputs[i], pos, n);
                            base
                        }
                        Move::Widen => {
                            let dtype = p.stores.of_input(i).unwrap_or(DType::F32);
                            lay_stored(base, self.inputs[i].cast(), dtype, &p.inputs[i], pos, n);
                            base
                        }
                    };
                }
                if !STREAM {
                    for (o, out) in self.outputs.iter().enumerate() {
                        if !(out.is_null() || narrow && kept(o)) {
                            *at.add(first_out + o) =
                                out.wrapping_add(pos).wrapping_offset(rows.of_output(o, row));
                        }
                    }
                }
                for instr in &p.instrs {
                    match instr {
                        Instr::Thin { f, dst, args: [a, b, c] } => f(
                            *at.add(*dst as usize),
                            *at.add(*a as usize),
                            *at.add(*b as usize),
                            *at.add(*c as usize),
                            n,
                        ),
                        Instr::Fat { f, ops, .. } => f(at.cast_const(), ops.as_ptr(), n),
                    }
                }
                if STREAM {
                    for (o, out) in self.outputs.iter().enumerate() {
                        if !out.is_null() && p.stores.of_output(o).is_none() {
                            stream_copy(isa())(out.add(pos), *at.add(first_out + o), n);
                        }
                    }
                }
                if narrow {
                    for (o, out) in self.outputs.iter().enumerate() {
                        if let Some(dtype) = p.stores.of_output(o).filter(|_| !out.is_null()) {
                            let to = out.cast::<u8>().add(pos * dtype.size());
                            stored::narrow(isa())(dtype, *at.add(first_out + o), to, n);
                        }
                    }
                }
                pos += n;
            }
        }
        if STREAM {
            fence();
        }
    }

    /// Runs one tile and returns where output `o` lies.
    ///
    /// # Safety
    /// As [`Bound::run`]; `len <= TILE`; output `o` is null and goes to `keep`.
    pub unsafe fn run_tile(&self, start: usize, len: usize, o: usize, keep: *mut f32) -> *const f32 {
        let mut outputs = [std::ptr::null_mut::<f32>(); MAX_OUTPUTS];
        outputs[..self.outputs.len()].copy_from_slice(self.outputs);
        // The kept tile is addressed from its own start, whatever the position.
        outputs[o] = keep.wrapping_sub(start);
        Bound { program: self.program, inputs: self.inputs, outputs: &outputs[..self.outputs.len()] }
            .run_range(start, len);
        keep
    }

    fn cycle_room(&self, len: usize) -> usize {
        let periods = self.program.inputs.iter().enumerate().map(|(i, a)| match a {
            Access::Cycle(p) if self.program.stores.of_input(i).is_none() => *p,
            _ => 0,
        });
        periods.filter(|&p| p != 0 && p != self.program.row && unroll(len, p)).map(|p| p + TILE).sum()
    }
}

#[derive(Clone, Copy)]
enum Move {
    Advance,
    Row,
    Phase(usize),
    Lay,
    Widen,
}

/// Is a short cycle worth writing out once, so that every tile finds its phase in place?
fn unroll(len: usize, period: usize) -> bool {
    len > 4 * TILE && period <= 8 * TILE
}

/// Lays `n` elements of a storage type out and widens them. `room` has two tiles, the first for the
/// result.
unsafe fn lay_stored(room: *mut f32, base: *const u8, dtype: DType, access: &Access, pos: usize, n: usize) {
    let narrow = room.add(TILE);
    let (src, count) = match access {
        Access::Contiguous => (base.wrapping_add(pos * dtype.size()), n),
        Access::Splat => (base, 1),
        _ => {
            match dtype.size() {
                1 => lay::<u8>(narrow.cast(), base, access, pos, n),
                _ => lay::<u16>(narrow.cast(), base.cast(), access, pos, n),
            }
            (narrow.cast_const().cast(), n)
        }
    };
    stored::widen(isa())(dtype, src, room, count);
    if count < n {
        std::slice::from_raw_parts_mut(room, n).fill(*room);
    }
}

unsafe fn cycle<T: Copy>(dst: *mut T, base: *const T, period: usize, phase: usize, n: usize) {
    let mut from = phase;
    let mut done = 0;
    while done < n {
        let run = (period - from).min(n - done);
        std::ptr::copy_nonoverlapping(base.add(from), dst.add(done), run);
        done += run;
        from = 0;
    }
}

unsafe fn lay<T: Copy>(dst: *mut T, base: *const T, access: &Access, pos: usize, n: usize) {
    match access {
        Access::Cycle(period) => cycle(dst, base, *period, pos % period, n),
        Access::Hold(run) => {
            let mut done = 0;
            while done < n {
                let at = pos + done;
                let len = (run - at % run).min(n - done);
                std::slice::from_raw_parts_mut(dst.add(done), len).fill(*base.add(at / run));
                done += len;
            }
        }
        Access::Strided { dims, strides } => lay_strided(dst, base, dims, strides, pos, n),
        Access::Contiguous | Access::Splat | Access::Constant(_) => {}
    }
}

unsafe fn lay_strided<T: Copy>(
    dst: *mut T,
    base: *const T,
    dims: &[usize],
    strides: &[isize],
    pos: usize,
    n: usize,
) {
    let rank = dims.len();
    let mut index = [0usize; crate::shape::MAX_RANK];
    let mut rest = pos;
    let mut from = base;
    for axis in (0..rank).rev() {
        index[axis] = rest % dims[axis];
        rest /= dims[axis];
        from = from.wrapping_offset(index[axis] as isize * strides[axis]);
    }
    let (inner, step) = (dims[rank - 1], strides[rank - 1]);
    let mut done = 0;
    while done < n {
        let run = (inner - index[rank - 1]).min(n - done);
        match step {
            1 => std::ptr::copy_nonoverlapping(from, dst.add(done), run),
            0 => std::slice::from_raw_parts_mut(dst.add(done), run).fill(*from),
            _ => {
                for i in 0..run {
                    *dst.add(done + i) = *from.offset(i as isize * step);
                }
            }
        }
        done += run;
        // The odometer: back to the start of this row, then one step on the next outer axis.
        from = from.wrapping_offset(-(index[rank - 1] as isize) * step);
        index[rank - 1] = 0;
        for axis in (0..rank - 1).rev() {
            index[axis] += 1;
            from = from.wrapping_offset(strides[axis]);
            if index[axis] < dims[axis] {
                break;
            }
            from = from.wrapping_offset(-(dims[axis] as isize) * strides[axis]);
            index[axis] = 0;
        }
    }
}

#[inline(always)]
unsafe fn stream_generic<S: Simd>(dst: *mut f32, src: *const f32, n: usize) {
    let mut i = 0;
    while i < n && !dst.add(i).addr().is_multiple_of(64) {
        *dst.add(i) = *src.add(i);
        i += 1;
    }
    while i + LANES <= n {
        S::stream(dst.add(i), S::load(src.add(i)));
        i += LANES;
    }
    while i < n {
        *dst.add(i) = *src.add(i);
        i += 1;
    }
}

per_isa!(
    /// Copies past the caches.
    fn stream_copy(dst: *mut f32, src: *const f32, n: usize) = stream_generic
);

/// Orders streamed stores before whatever the pool publishes next.
fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of every x86-64.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}
