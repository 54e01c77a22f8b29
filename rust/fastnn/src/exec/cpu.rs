//! F6. A graph compiled for the CPU: a list of bound steps over caller's buffers and one arena.
//! Running it allocates nothing once warm, takes no lock but the arena's, and gives the same bits
//! on any number of threads.

mod arena;
mod build;
mod deferred;
mod head;
mod lines;
mod moments;
mod packed;
mod rest;
mod row_sums;
mod scan;
mod step;
pub mod table;
mod undo;

use crate::buffer::{Buffer, headroom};
use crate::error::{Error, Result};
use crate::graph::{Attr, Graph};
use crate::kernels::tile::{MAX_INPUTS, MAX_OUTPUTS};
use crate::ops::collective;
use crate::passes::hoist::{self, Part};
use crate::passes::plan::{self, Loc};
use crate::passes::{self, fuse, verify};
use crate::pool;
use crate::sync::{self, Slot};
pub use arena::Arenas;
use deferred::Table;
pub use deferred::{Before, Deferred};
pub use rest::{Ended, Keeper};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use step::{Memory, Step};
use undo::Undo;

/// Every node of a group takes one operand of the tile machine, and a head takes one input.
pub const LIMITS: fuse::Limits =
    fuse::Limits { nodes: MAX_OUTPUTS, inputs: MAX_INPUTS - 1, buffers: usize::MAX };

/// The run whose steps `FASTNN_DEBUG=time` prints: late enough to be warm.
const WARM: usize = 9;

/// A program that has once run in less needs no watching: it is over before anybody would notice.
const BRIEF: Duration = Duration::from_millis(5);

/// Nanoseconds: a rest that takes less may keep its caller.
const SHORT: u64 = 40_000_000;
/// Bytes of state that are overwritten in less time than `SHORT` by any optimiser.
const LARGE: usize = 16 << 20;
/// Bytes of the caller's arrays that are copied before the rest of a run whose length is not known.
const COPIED: u64 = 64 << 20;

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
    /// Where the arena waits between runs; from the second run on, since many programs run once only.
    arenas: Arc<Arenas>,
    repeated: AtomicBool,
    inputs: usize,
    outputs: usize,
    /// Tables whose rows may make their steps late.
    tables: Vec<Table>,
    /// What can be put back when a run is given up.
    undo: Undo,
    /// True once a run took less than `BRIEF`; and from the start where several processes run the
    /// program together.
    brief: AtomicBool,
    /// What the steps that cannot be given up read of the inputs: slots and bytes.
    late_reads: Vec<(usize, usize)>,
    /// Bytes of the state that they overwrite.
    late_bytes: usize,
    /// How long these steps took the last time, in nanoseconds; 0 when it is not known.
    rest: AtomicU64,
    /// Counted only under `FASTNN_DEBUG=time`.
    runs: Option<AtomicUsize>,
}

/// The inputs of a rest that runs apart, with copies of those that its caller only lends.
struct Given {
    inputs: Vec<*mut u8>,
    _own: Vec<Buffer>,
}

// SAFETY: one run at a time reads and writes what the pointers are to, on whichever thread.
unsafe impl Send for Given {}

/// The graph ready to be fused, if there is room for the passes: some kilobytes a node, in small pieces.
fn simplified(graph: &Graph) -> Result<Graph> {
    let inner = graph.nodes.iter().flat_map(|n| &n.attrs).filter_map(Attr::body).map(|body| body.count());
    headroom(((graph.nodes.len() + inner.sum::<usize>()) << 13) + (1 << 20))?;
    let graph = passes::simplified(graph)?;
    let graph = moments::choose(row_sums::choose(passes::rounds::join(&graph)?.into_owned())?)?;
    // What rounds share is computed once, packed operands of products included.
    let lifted = passes::scan::lift(&graph, &|body, shared| packed::choose(body, shared, &mut |_| Ok(true)))?;
    let Cow::Owned(lifted) = lifted else { return Ok(graph) };
    #[cfg(debug_assertions)]
    lifted.recheck()?;
    Ok(lifted)
}

impl Program {
    /// Lowers, simplifies, fuses and plans a graph of concrete shapes.
    pub fn compile(graph: &Graph) -> Result<Program> {
        Program::compile_in(graph, Arc::default())
    }

    /// As [`Program::compile`] with the arena from `arenas`.
    pub fn compile_in(graph: &Graph, arenas: Arc<Arenas>) -> Result<Program> {
        Program::of_simplified(&simplified(graph)?, arenas)
    }

    /// As [`Program::compile`], without what depends on invariant slots only, as far as `allow` grants:
    /// the program reads the values of the returned parts as further inputs. Which products read a
    /// packed operand is decided here. The graph is given, so that it makes room for what becomes of it.
    pub fn compile_apart(
        graph: Graph,
        invariant: &[bool],
        arenas: Arc<Arenas>,
        allow: &mut dyn FnMut(&Part) -> Result<bool>,
    ) -> Result<(Program, Vec<Part>)> {
        let whole = graph;
        let graph = simplified(&whole)?;
        drop(whole);
        if !invariant.contains(&true) {
            return Ok((Program::of_simplified(&graph, arenas)?, vec![]));
        }
        let graph = packed::choose(&graph, invariant, allow)?;
        let (graph, parts) = hoist::hoist(&graph, invariant, allow)?;
        #[cfg(debug_assertions)]
        graph.recheck()?;
        Ok((Program::of_simplified(&graph, arenas)?, parts))
    }

    /// Fuses and plans a simplified graph; its arena comes from `arenas`.
    pub(crate) fn of_simplified(graph: &Graph, arenas: Arc<Arenas>) -> Result<Program> {
        let fusion = fuse::fuse(graph, &LIMITS)?;
        let plan = plan::plan(graph, &fusion)?;
        verify::verify(graph, &fusion, &plan)?;
        let steps = build::steps(graph, &fusion, &plan)?;
        if debug("graph") {
            sync::print(format_args!("{graph}"));
        }
        let constants = plan.constants.iter().map(|&id| build::constant(graph, id)).collect::<Result<_>>()?;
        let undo = Undo::of(graph, &steps);
        // Loops work behind the values of this program.
        let behind = steps.iter().map(Step::scratch).max().unwrap_or(0);
        let late = steps[undo.until()..].iter().flat_map(Step::reads);
        let mut late = late.chain(plan.copies.iter().map(|(from, _, _)| *from));
        let bytes = |slot: usize| graph.ty(graph.inputs[slot]).bytes();
        let slots = |locs: &mut dyn Iterator<Item = Loc>| -> BTreeSet<usize> {
            locs.filter_map(|loc| if let Loc::Input(slot) = loc { Some(slot) } else { None }).collect()
        };
        let late_reads = slots(&mut late).into_iter().map(|slot| (slot, bytes(slot))).collect();
        let late_bytes =
            slots(&mut steps[undo.until()..].iter().flat_map(Step::writes)).into_iter().map(bytes).sum();
        // Other processes wait at the same place: none of them may begin the step again by itself.
        let meets = graph.nodes.iter().any(collective::meets);
        let program = Program {
            tables: deferred::tables(&steps, &plan.copies),
            steps,
            undo,
            brief: AtomicBool::new(meets),
            late_reads,
            late_bytes,
            rest: AtomicU64::new(0),
            copies: plan.copies,
            constants,
            arena: plan.arena + behind,
            arenas,
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
    /// Errors with [`Error::Interrupted`] when the host wants the work given up (`sync::set_interrupt`);
    /// the updated inputs are then as they were before, and the caller may run the program again.
    /// That can happen up to the first step that overwrites more state than is worth keeping a copy
    /// of; from there on the run goes to its end.
    ///
    /// # Safety
    /// `inputs[slot]` and `outputs[k]` cover the bytes of the graph's inputs and outputs, aligned to
    /// their elements; outputs and
    /// updated inputs overlap nothing else; nobody writes the inputs meanwhile.
    pub unsafe fn run(&self, inputs: &[*mut u8], outputs: &[*mut u8]) -> Result<()> {
        self.run_for(inputs, outputs, None, Before::default()).map(drop)
    }

    /// As [`Program::run`], with what is known from earlier runs.
    ///
    /// # Safety
    /// As [`Program::run`] and [`Program::run_or_leave`].
    pub(crate) unsafe fn run_after(
        &self,
        inputs: &[*mut u8],
        outputs: &[*mut u8],
        before: Before<'_>,
    ) -> Result<()> {
        self.run_for(inputs, outputs, None, before).map(drop)
    }

    /// What [`Program::run_or_leave`] can put off; `None` where there is nothing of the kind.
    pub fn deferred(&self) -> Result<Option<Deferred>> {
        Deferred::of(&self.tables)
    }

    /// As [`Program::run`], of a program without outputs. Where the host wants the work given up and
    /// that can be done no more, the run is left to itself, with what `keeper` hands over. With
    /// `before.late`, rows of tables may be behind afterwards, until it is settled.
    ///
    /// # Safety
    /// As [`Program::run`]; inputs that are not lent, the program and `before.late` live as long as what
    /// `keeper` hands over. `before.late` is this program's and nobody else uses it; it has been settled
    /// since a state was elsewhere. `before.versions` are as it says.
    pub unsafe fn run_or_leave(
        &self,
        inputs: &[*mut u8],
        keeper: &mut dyn Keeper,
        before: Before<'_>,
    ) -> Result<Ended> {
        self.run_for(inputs, &[], Some(keeper), before)
    }

    unsafe fn run_for(
        &self,
        inputs: &[*mut u8],
        outputs: &[*mut u8],
        keeper: Option<&mut dyn Keeper>,
        before: Before<'_>,
    ) -> Result<Ended> {
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
            && runs.fetch_add(1, Relaxed) == WARM
        {
            if let Some(late) = before.late {
                late.settle();
            }
            return self.report(inputs, outputs).map(|()| Ended::Done);
        }
        let mut arena = self.arenas.take(self.arena)?;
        let memory = self.memory(&mut arena, inputs, outputs, before);
        let _caller = pool::Caller::enter();
        let result = if self.brief.load(Relaxed) {
            self.run_from(0, &memory).map(|()| Ended::Done)
        } else {
            self.run_watched(&memory, &mut arena, keeper)
        };
        self.put_away(arena);
        result
    }

    /// Runs once inside the step of another program, in `arena`.
    ///
    /// # Safety
    /// As [`Program::run`]; the arena has `self.arena` bytes for this run alone.
    unsafe fn run_inside(&self, arena: *mut u8, inputs: &[*mut u8], outputs: &[*mut u8]) -> Result<()> {
        let before = Before::default();
        self.run_from(0, &Memory { arena, inputs, outputs, constants: &self.constants, before })
    }

    fn memory<'a>(
        &'a self,
        arena: &mut Option<Buffer>,
        inputs: &'a [*mut u8],
        outputs: &'a [*mut u8],
        before: Before<'a>,
    ) -> Memory<'a> {
        let arena = arena.as_mut().map_or(std::ptr::null_mut(), Buffer::as_mut_ptr);
        Memory { arena, inputs, outputs, constants: &self.constants, before }
    }

    fn put_away(&self, arena: Option<Buffer>) {
        if let Some(arena) = arena {
            if self.repeated.load(Relaxed) {
                self.arenas.give(arena);
            } else {
                self.repeated.store(true, Relaxed);
            }
        }
    }

    unsafe fn run_step(&self, at: usize, memory: &Memory<'_>) -> Result<()> {
        let step = &self.steps[at];
        let run = |(k, table): (usize, &Table)| {
            table.run(at, step, memory, memory.before.late.map(|late| (late, k)))
        };
        self.tables.iter().enumerate().find_map(run).unwrap_or_else(|| step.run(memory))
    }

    /// Runs the steps from this one on, and the copies at the end.
    unsafe fn run_from(&self, step: usize, memory: &Memory<'_>) -> Result<()> {
        (step..self.steps.len()).try_for_each(|at| self.run_step(at, memory))?;
        for &(from, to, n) in &self.copies {
            std::ptr::copy(memory.at(from), memory.at(to), n);
        }
        Ok(())
    }

    /// Runs the steps so that they can be given up, as long as state can be put back.
    unsafe fn run_watched(
        &self,
        memory: &Memory<'_>,
        arena: &mut Option<Buffer>,
        keeper: Option<&mut dyn Keeper>,
    ) -> Result<Ended> {
        let start = Instant::now();
        let mut saved = self.undo.room()?;
        let until = self.undo.until();
        let begun = Cell::new(0);
        let steps = || {
            for at in 0..until {
                pool::give_up_if_interrupted();
                self.undo.save(at, memory, &mut saved);
                begun.set(at + 1);
                self.run_step(at, memory)?;
            }
            Ok(())
        };
        match catch_unwind(AssertUnwindSafe(|| sync::watched(steps))) {
            Ok(result) => result?,
            Err(payload) if payload.downcast_ref() == Some(&Error::Interrupted) => {
                self.undo.restore(begun.get(), memory, &saved);
                return Err(Error::Interrupted);
            }
            Err(payload) => resume_unwind(payload),
        }
        let ended = match keeper {
            Some(keeper) if until < self.steps.len() && sync::can_be_interrupted() => {
                self.run_apart(memory, arena, keeper, start.elapsed())?
            }
            _ => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => self.run_rest(memory).map(|()| Ended::Done)?,
        };
        if start.elapsed() < BRIEF {
            self.brief.store(true, Relaxed);
            // Nothing is put aside in later runs.
            saved.release();
        }
        Ok(ended)
    }

    unsafe fn run_rest(&self, memory: &Memory<'_>) -> Result<()> {
        let start = Instant::now();
        self.run_from(self.undo.until(), memory)?;
        self.rest.store(start.elapsed().as_nanos().max(1) as u64, Relaxed);
        Ok(())
    }

    /// Runs the rest on a thread that the caller may leave; `None` where that is not worth it.
    unsafe fn run_apart(
        &self,
        memory: &Memory<'_>,
        arena: &mut Option<Buffer>,
        keeper: &mut dyn Keeper,
        so_far: Duration,
    ) -> Result<Option<Ended>> {
        let took = self.rest.load(Relaxed);
        let lent: Vec<_> = self.late_reads.iter().filter(|(slot, _)| keeper.is_lent(*slot)).collect();
        // Four bytes a nanosecond: no more than a hundredth of the rest goes into copies.
        let most = if took == 0 { COPIED } else { took / 25 };
        let bytes: u64 = lent.iter().map(|(_, bytes)| *bytes as u64).sum();
        let brief = if took == 0 { so_far < BRIEF && self.late_bytes < LARGE } else { took < SHORT };
        if brief || bytes > most {
            return Ok(None);
        }
        let mut own = Vec::new();
        let mut inputs = memory.inputs.to_vec();
        for &&(slot, bytes) in &lent {
            let mut copy = Buffer::uninit(bytes)?;
            std::ptr::copy_nonoverlapping(inputs[slot].cast_const(), copy.as_mut_ptr(), bytes);
            inputs[slot] = copy.as_mut_ptr();
            own.push(copy);
        }
        let given = Given { inputs, _own: own };
        // The rest may outlive the versions.
        let before = Before { late: memory.before.late, versions: &[] };
        let work = move |arena: &mut Option<Buffer>| {
            let given = given;
            self.run_rest(&self.memory(arena, &given.inputs, &[], before))
        };
        rest::run(arena, keeper, work, |arena| self.put_away(arena))
    }

    /// Runs the program once and says how long each step took, in seconds, in the order of the
    /// printed plan.
    ///
    /// # Safety
    /// As [`Program::run`].
    pub unsafe fn time(&self, inputs: &[*mut u8], outputs: &[*mut u8]) -> Result<Vec<f64>> {
        let mut arena = Buffer::uninit(self.arena)?;
        let (arena, before) = (arena.as_mut_ptr(), Before::default());
        let memory = Memory { arena, inputs, outputs, constants: &self.constants, before };
        let mut seconds = Vec::with_capacity(self.steps.len());
        for at in 0..self.steps.len() {
            let start = std::time::Instant::now();
            self.run_step(at, &memory)?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        for &(from, to, n) in &self.copies {
            std::ptr::copy(memory.at(from), memory.at(to), n);
        }
        Ok(seconds)
    }

    unsafe fn report(&self, inputs: &[*mut u8], outputs: &[*mut u8]) -> Result<()> {
        let seconds = self.time(inputs, outputs)?;
        for (step, s) in self.steps.iter().zip(&seconds) {
            sync::print(format_args!("{:10.2} us  {step}", s * 1e6));
        }
        let all = seconds.iter().sum::<f64>() * 1e6;
        sync::print(format_args!("{all:10.2} us  in {} steps", seconds.len()));
        Ok(())
    }

    /// Bytes that one run needs besides the caller's buffers.
    #[must_use]
    pub fn arena(&self) -> usize {
        self.arena
    }

    /// About how many bytes the program itself takes: constants and instructions, without the arena.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let constants: usize = self.constants.iter().map(Buffer::bytes).sum();
        constants + self.steps.iter().map(Step::bytes).sum::<usize>()
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
        for table in &self.tables {
            writeln!(f, "     {table}")?;
        }
        for (from, to, n) in &self.copies {
            writeln!(f, "     copy {from:?} -> {to:?} ({n})")?;
        }
        writeln!(f, "     arena {} bytes", self.arena)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
