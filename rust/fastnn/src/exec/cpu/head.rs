//! Steps that make a matrix by blocks: the maker, and what is done to each block while it is hot.

use super::step::{Addresses, Group, Memory, Port};
use crate::buffer;
use crate::kernels::columns::add_rows;
use crate::kernels::tile::{Bound, MAX_INPUTS, MAX_OUTPUTS, Rows};
use crate::kernels::{Blocked, Epilogue, Finishing, Scale};
use crate::passes::plan::Loc;
use std::fmt;

/// A maker of blocks with its operands and what follows it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) name: &'static str,
    pub(super) kernel: Box<dyn Blocked>,
    pub(super) inputs: Vec<Loc>,
    /// Where the matrix (with bias, scale and relu) is wanted in memory.
    pub(super) c: Option<Loc>,
    pub(super) bias: Option<Loc>,
    /// Factors and summands of the columns.
    pub(super) scale: Option<[Loc; 2]>,
    pub(super) relu: bool,
    pub(super) epilogue: Option<Group>,
    pub(super) sums: Option<Sums>,
}

/// Sums over all rows, one per column.
#[derive(Debug)]
pub(super) struct Sums {
    /// Of this output of the epilogue; `None`: of the matrix itself.
    pub(super) of: Option<usize>,
    /// What the sums are divided by.
    pub(super) divisor: Option<f32>,
    pub(super) dst: Loc,
}

impl Head {
    /// # Safety
    /// The memory covers every location of the plan.
    pub(super) unsafe fn run(&self, memory: &Memory<'_>) {
        let mut few = [std::ptr::null(); 4];
        let many: Vec<*const u8>;
        let args = if self.inputs.len() <= few.len() {
            for (arg, &loc) in few.iter_mut().zip(&self.inputs) {
                *arg = memory.at(loc).cast_const();
            }
            &few[..self.inputs.len()]
        } else {
            many = self.inputs.iter().map(|&loc| memory.at(loc).cast_const()).collect();
            &many
        };
        let c = self.c.map_or(std::ptr::null_mut(), |c| memory.at(c).cast());
        let bias = self.bias.map_or(std::ptr::null(), |l| memory.at(l).cast_const().cast());
        let scale = self.scale.map_or(Scale::NONE, |locs| {
            let [factors, summands] = locs.map(|l| memory.at(l).cast_const().cast());
            Scale { factors, summands }
        });
        let mut end = Finishing { bias, scale, relu: self.relu, epilogue: None };
        if self.epilogue.is_none() && self.sums.is_none() {
            return self.kernel.run(args, c, &end);
        }
        let at = self.epilogue.as_ref().map(|group| group.addresses(memory));
        let (n, bands) = (self.kernel.cols(), self.kernel.bands());
        // One row of partial sums per band: they are added in the order of the bands, whichever
        // thread made them.
        let mut room = self.sums.as_ref().map(|_| buffer::scratch(bands * n));
        let partial = room.as_mut().map_or(std::ptr::null_mut(), |room| room.as_mut_ptr());
        if !partial.is_null() {
            std::ptr::write_bytes(partial, 0, bands * n);
        }
        let group = self.epilogue.as_ref().zip(at.as_ref());
        let finish = Finish { head: self, group, partial, n };
        end.epilogue = Some(&finish);
        self.kernel.run(args, c, &end);
        if let Some(sums) = &self.sums {
            let dst = memory.at(sums.dst).cast::<f32>();
            std::ptr::write_bytes(dst, 0, n);
            add_rows(dst, partial, bands, n, n);
            if let Some(divisor) = sums.divisor {
                for j in 0..n {
                    *dst.add(j) /= divisor;
                }
            }
        }
    }
}

struct Finish<'a> {
    head: &'a Head,
    group: Option<(&'a Group, &'a Addresses)>,
    partial: *mut f32,
    n: usize,
}

// SAFETY: blocks are disjoint, so are the elements that each apply touches; no two blocks of the
// same columns share a band.
unsafe impl Sync for Finish<'_> {}

impl Epilogue for Finish<'_> {
    unsafe fn apply(&self, row: usize, rows: usize, col: usize, cols: usize, c: *mut f32, ldc: usize) {
        let sums = self.head.sums.as_ref();
        let partial = match sums {
            Some(_) => self.partial.add(self.head.kernel.band(row) * self.n + col),
            None => self.partial,
        };
        let of = sums.and_then(|s| s.of);
        if let Some((group, at)) = self.group {
            let bound = group.bind(at);
            let mut inputs = [std::ptr::null(); MAX_INPUTS];
            inputs[..bound.inputs.len()].copy_from_slice(bound.inputs);
            let mut outputs = [std::ptr::null_mut(); MAX_OUTPUTS];
            outputs[..bound.outputs.len()].copy_from_slice(bound.outputs);
            let head = group.inputs.iter().position(|port| matches!(port, Port::Head));
            // Whole rows back to back are one run of memory.
            let whole = cols == self.n && ldc == self.n;
            let (pieces, len) = if whole { (1, rows * cols) } else { (rows, cols) };
            // A value that is summed and wanted nowhere else lives as long as its block.
            let mut room = of.filter(|&o| bound.outputs[o].is_null()).map(|_| buffer::scratch(rows * cols));
            let start = row * self.n + col;
            let mut each = Rows { count: pieces, step: self.n, input: None, output: None };
            if let Some(head) = head {
                inputs[head] = c.wrapping_sub(start);
                each.input = Some((head, ldc as isize - self.n as isize));
            }
            let mut ld = self.n;
            if let (Some(o), Some(room)) = (of, &mut room) {
                outputs[o] = room.as_mut_ptr().wrapping_sub(start);
                each.output = Some((o, cols as isize - self.n as isize));
                ld = cols;
            }
            let bound = Bound {
                program: bound.program,
                inputs: &inputs[..bound.inputs.len()],
                outputs: &outputs[..bound.outputs.len()],
            };
            bound.run_rows(start, len, &each);
            if let Some(o) = of {
                add_rows(partial, outputs[o].wrapping_add(start), rows, cols, ld);
            }
        }
        if sums.is_some() && of.is_none() {
            add_rows(partial, c, rows, cols, ldc);
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "head    {} {}x{}", self.name, self.kernel.rows(), self.kernel.cols())?;
        write!(f, " {:?} -> {:?}", self.inputs, self.c)?;
        if self.bias.is_some() {
            write!(f, " +bias")?;
        }
        if self.scale.is_some() {
            write!(f, " scaled")?;
        }
        if self.relu {
            write!(f, " relu")?;
        }
        if let Some(g) = &self.epilogue {
            write!(f, ", then {} ops -> {:?}", g.program.len(), g.outputs)?;
        }
        match &self.sums {
            Some(sums) => write!(f, ", column sums -> {:?}", sums.dst),
            None => Ok(()),
        }
    }
}
