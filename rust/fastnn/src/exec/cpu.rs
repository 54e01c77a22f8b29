//! F6. A graph compiled for the CPU: a list of bound steps over caller's buffers and one arena.
//! Running it allocates nothing once warm, takes no lock but the arena's, and gives the same bits
//! on any number of threads.

mod build;
mod head;
mod lines;
mod step;
pub mod table;

use crate::buffer::{Buffer, headroom};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::kernels::tile::{MAX_INPUTS, MAX_OUTPUTS};
use crate::passes::plan::{self, Loc};
use crate::passes::{self, fuse, verify};
use crate::sync::{self, Lock, Slot};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use step::{Memory, Step};

/// Every node of a group takes one operand of the tile machine, and a head takes one input.
pub const LIMITS: fuse::Limits =
    fuse::Limits { nodes: MAX_OUTPUTS, inputs: MAX_INPUTS - 1, buffers: usize::MAX };

/// The run whose steps `FASTNN_DEBUG=time` prints: late enough to be warm.
const WARM: usize = 9;

/// Does the comma-separated `FASTNN_DEBUG` name this printout (`graph`, `plan` or `time`)?
fn debug(what: &str) -> bool {
    static WANTED: Slot<String> = Slot::new();
    let wanted = WANTED.get_or_make(|| std::env::var("FASTNN_DEBUG").unwrap_or_default());
    wanted.split(',').any(|w| w.trim() == what)
}

/// A compiled graph.
pub struct Program {
    steps: Vec<Step>,
    copies: Vec<(Loc, Loc, usize)>,
    constants: Vec<Buffer>,
    arena: usize,
    /// The arena between runs; kept from the second run on, since many programs run once only.
    idle: Lock<Option<Buffer>>,
    repeated: AtomicBool,
    inputs: usize,
    outputs: usize,
    /// Counted only under `FASTNN_DEBUG=time`.
    runs: Option<AtomicUsize>,
}

impl Program {
    /// Lowers, simplifies, fuses and plans a graph of concrete shapes.
    pub fn compile(graph: &Graph) -> Result<Program> {
        // The passes take some kilobytes a node, in small pieces.
        headroom((graph.nodes.len() << 13) + (1 << 20))?;
        let (graph, fusion) = passes::prepare(graph, &LIMITS)?;
        let plan = plan::plan(&graph, &fusion)?;
        verify::verify(&graph, &fusion, &plan)?;
        let steps = build::steps(&graph, &fusion, &plan)?;
        if debug("graph") {
            sync::print(format_args!("{graph}"));
        }
        let constants =
            plan.constants.iter().map(|&id| build::constant(&graph, id)).collect::<Result<_>>()?;
        let program = Program {
            steps,
            copies: plan.copies,
            constants,
            arena: plan.arena,
            idle: Lock::new(None),
            repeated: AtomicBool::new(false),
            inputs: graph.inputs.len(),
            outputs: graph.outputs.len(),
            runs: debug("time").then(AtomicUsize::default),
        };
        if debug("plan") {
            sync::print(format_args!("{program}"));
        }
        Ok(program)
    }

    /// Runs the program. Inputs that the graph updates are overwritten with their new values;
    /// the others are only read. Outputs are written whole.
    ///
    /// # Safety
    /// `inputs[slot]` and `outputs[k]` cover the graph's input and output sizes; outputs and
    /// updated inputs overlap nothing else; nobody writes the inputs meanwhile.
    pub unsafe fn run(&self, inputs: &[*mut f32], outputs: &[*mut f32]) -> Result<()> {
        if inputs.len() != self.inputs || outputs.len() != self.outputs {
            return Err(Error::Internal(format!(
                "a program of {} inputs and {} outputs was given {} and {}",
                self.inputs,
                self.outputs,
                inputs.len(),
                outputs.len()
            )));
        }
        if let Some(runs) = &self.runs
            && runs.fetch_add(1, Ordering::Relaxed) == WARM
        {
            return self.report(inputs, outputs);
        }
        let kept = self.idle.try_lock().and_then(|mut idle| idle.take());
        let mut arena = match kept {
            Some(arena) => Some(arena),
            None if self.arena > 0 => Some(Buffer::uninit(self.arena)?),
            None => None,
        };
        let memory = Memory {
            arena: arena.as_mut().map_or(std::ptr::null_mut(), Buffer::as_mut_ptr),
            inputs,
            outputs,
            constants: &self.constants,
        };
        let mut result = Ok(());
        for step in &self.steps {
            result = step.run(&memory);
            if result.is_err() {
                break;
            }
        }
        if result.is_ok() {
            for &(from, to, n) in &self.copies {
                std::ptr::copy(memory.at(from), memory.at(to), n);
            }
        }
        if self.repeated.load(Ordering::Relaxed) {
            if let Some(mut idle) = self.idle.try_lock() {
                *idle = arena;
            }
        } else {
            self.repeated.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Runs the program once and says how long each step took, in seconds, in the order of the
    /// printed plan.
    ///
    /// # Safety
    /// As [`Program::run`].
    pub unsafe fn time(&self, inputs: &[*mut f32], outputs: &[*mut f32]) -> Result<Vec<f64>> {
        let mut arena = Buffer::uninit(self.arena)?;
        let memory = Memory { arena: arena.as_mut_ptr(), inputs, outputs, constants: &self.constants };
        let mut seconds = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let start = std::time::Instant::now();
            step.run(&memory)?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        for &(from, to, n) in &self.copies {
            std::ptr::copy(memory.at(from), memory.at(to), n);
        }
        Ok(seconds)
    }

    unsafe fn report(&self, inputs: &[*mut f32], outputs: &[*mut f32]) -> Result<()> {
        let seconds = self.time(inputs, outputs)?;
        for (step, s) in self.steps.iter().zip(&seconds) {
            sync::print(format_args!("{:10.2} us  {step}", s * 1e6));
        }
        let all = seconds.iter().sum::<f64>() * 1e6;
        sync::print(format_args!("{all:10.2} us  in {} steps", seconds.len()));
        Ok(())
    }

    /// Floats that one run needs besides the caller's buffers.
    #[must_use]
    pub fn arena(&self) -> usize {
        self.arena
    }

    /// Number of steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps.len()
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            writeln!(f, "{i:3}  {step}")?;
        }
        for (from, to, n) in &self.copies {
            writeln!(f, "     copy {from:?} -> {to:?} ({n})")?;
        }
        writeln!(f, "     arena {} floats", self.arena)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
