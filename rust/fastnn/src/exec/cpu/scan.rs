//! A loop as a step: the body is a program of its own that each round runs on the next slices. A carry
//! lies where the round makes it: over the old one if the body can work in place, in the array of
//! results if it is one of them, else in two buffers in turn. Nothing is allocated or copied per round
//! beyond that.

use super::Program;
use super::step::Memory;
use super::{LIMITS, fuse};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::ops::scan::Scan;
use crate::passes::plan::{self, Loc};
use crate::pool;
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// Scratch is taken in whole cache lines.
const LINE: usize = 64;

/// Where a carry lies between rounds.
#[derive(Debug)]
enum Way {
    /// Each round writes over the old value, here.
    InPlace(Loc),
    /// Each round leaves it among what it gives, in this result.
    Given(usize),
    /// In these two in turn; output of the program.
    Turns(usize, [Loc; 2]),
}

#[derive(Debug)]
struct Carry {
    first: Loc,
    /// Where the last one is wanted.
    last: Option<Loc>,
    bytes: usize,
    way: Way,
}

/// A program run round by round.
#[derive(Debug)]
pub(super) struct Loop {
    program: Program,
    rounds: usize,
    reverse: bool,
    carries: Vec<Carry>,
    /// Arrays read by slices, and the bytes of a slice.
    slices: Vec<(Loc, usize)>,
    shared: Vec<Loc>,
    /// Arrays written by slices; `false` where nobody reads one and each round writes to the same place.
    given: Vec<(Loc, usize, bool)>,
    /// The program's own arena.
    inside: Loc,
    /// Bytes behind the plan's.
    scratch: usize,
}

impl Loop {
    /// `inputs` and `results` say where the operands lie and the results go; from `free` on the arena
    /// is the loop's.
    pub(super) fn new(scan: &Scan<'_>, inputs: &[Loc], results: &[Option<Loc>], free: usize) -> Result<Loop> {
        let body = scan.body;
        let Some(rounds) = scan.length.known().and_then(|n| usize::try_from(n).ok()) else {
            return Err(Error::Internal("a scan of open length was compiled".into()));
        };
        let mut end = free;
        let mut room = |bytes: usize| {
            let at = end;
            end += bytes.next_multiple_of(LINE);
            Loc::Arena(at)
        };
        let bytes = |k: usize| body.ty(body.outputs[k]).bytes();
        let in_place = in_place(body, scan.carries)?;
        let mut graph = Graph { updates: vec![], ..body.clone() };
        graph.outputs = body.outputs[scan.carries..].to_vec();
        let mut carries = Vec::with_capacity(scan.carries);
        for k in 0..scan.carries {
            let output = body.outputs[k];
            let given =
                (scan.carries..results.len()).find(|&g| body.outputs[g] == output && results[g].is_some());
            let way = if in_place[k] {
                graph.updates.push((k, output));
                Way::InPlace(results[k].unwrap_or_else(|| room(bytes(k))))
            } else if let Some(given) = given {
                Way::Given(given - scan.carries)
            } else {
                graph.outputs.push(output);
                Way::Turns(graph.outputs.len() - 1, [room(bytes(k)), room(bytes(k))])
            };
            carries.push(Carry { first: inputs[k], last: results[k], bytes: bytes(k), way });
        }
        let given = (scan.carries..results.len()).map(|k| match results[k] {
            Some(loc) => (loc, bytes(k), true),
            None => (room(bytes(k)), bytes(k), false),
        });
        let given = given.collect();
        let program = Program::of_simplified(&graph, Arc::default())?;
        let inside = room(program.arena);
        let slice = |k: usize| (inputs[k], body.ty(body.inputs[k]).bytes());
        let shared = scan.carries + scan.slices;
        Ok(Loop {
            program,
            rounds,
            reverse: scan.reverse,
            carries,
            slices: (scan.carries..shared).map(slice).collect(),
            shared: inputs[shared..].to_vec(),
            given,
            inside,
            scratch: end - free,
        })
    }

    pub(super) fn scratch(&self) -> usize {
        self.scratch
    }

    pub(super) fn bytes(&self) -> usize {
        512 + self.program.bytes()
    }

    pub(super) fn reads(&self) -> Vec<Loc> {
        let slices = self.slices.iter().map(|(loc, _)| *loc);
        self.carries.iter().map(|c| c.first).chain(slices).chain(self.shared.iter().copied()).collect()
    }

    pub(super) fn writes(&self) -> Vec<Loc> {
        let given = self.given.iter().map(|(loc, ..)| *loc);
        self.carries.iter().filter_map(|c| c.last).chain(given).collect()
    }

    /// Runs all rounds. Between two of them the work can be given up.
    ///
    /// # Safety
    /// The memory covers every location of the plan and the loop's scratch behind it.
    pub(super) unsafe fn run(&self, memory: &Memory<'_>) -> Result<()> {
        let mut inputs: SmallVec<[*mut u8; 24]> = SmallVec::new();
        for carry in &self.carries {
            let first = memory.at(carry.first);
            inputs.push(match carry.way {
                Way::InPlace(place) => {
                    std::ptr::copy_nonoverlapping(first, memory.at(place), carry.bytes);
                    memory.at(place)
                }
                _ => first,
            });
        }
        let sliced = inputs.len();
        inputs.extend(self.slices.iter().map(|(loc, _)| memory.at(*loc)));
        inputs.extend(self.shared.iter().map(|loc| memory.at(*loc)));
        let mut outputs: SmallVec<[*mut u8; 24]> =
            self.given.iter().map(|(loc, ..)| memory.at(*loc)).collect();
        let turns = self.carries.iter().filter(|c| matches!(c.way, Way::Turns(..))).count();
        outputs.resize(outputs.len() + turns, std::ptr::null_mut());
        let arena = memory.at(self.inside);
        for round in 0..self.rounds {
            if round > 0 {
                pool::give_up_if_interrupted();
            }
            let at = if self.reverse { self.rounds - 1 - round } else { round };
            for (input, (loc, bytes)) in inputs[sliced..].iter_mut().zip(&self.slices) {
                *input = memory.at(*loc).wrapping_add(at * bytes);
            }
            for (output, (loc, bytes, moves)) in outputs.iter_mut().zip(&self.given) {
                *output = memory.at(*loc).wrapping_add(if *moves { at * bytes } else { 0 });
            }
            for carry in &self.carries {
                if let Way::Turns(output, places) = &carry.way {
                    outputs[*output] = match carry.last {
                        Some(last) if round + 1 == self.rounds => memory.at(last),
                        _ => memory.at(places[round % 2]),
                    };
                }
            }
            self.program.run_inside(arena, &inputs, &outputs)?;
            for (input, carry) in inputs.iter_mut().zip(&self.carries) {
                match carry.way {
                    Way::InPlace(_) => {}
                    Way::Given(output) | Way::Turns(output, _) => *input = outputs[output],
                }
            }
        }
        for (last, carry) in inputs.iter().zip(&self.carries) {
            if let Some(place) = carry.last
                && *last != memory.at(place)
            {
                std::ptr::copy_nonoverlapping(*last, memory.at(place), carry.bytes);
            }
        }
        Ok(())
    }
}

/// Which carries a round can write over: those that the planner would not copy there in the end.
fn in_place(body: &Graph, carries: usize) -> Result<Vec<bool>> {
    let graph = Graph {
        outputs: body.outputs[carries..].to_vec(),
        updates: body.outputs[..carries].iter().copied().enumerate().collect(),
        ..body.clone()
    };
    let fusion = fuse::fuse(&graph, &LIMITS)?;
    let plan = plan::plan(&graph, &fusion)?;
    let copied = |k: usize| plan.copies.iter().any(|(_, to, _)| *to == Loc::Input(k));
    Ok((0..carries).map(|k| !copied(k)).collect())
}

impl fmt::Display for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let back = if self.reverse { ", last slice first" } else { "" };
        write!(f, "scan    {} rounds{back} of {} steps", self.rounds, self.program.steps())?;
        let text = self.program.to_string();
        text.lines().try_for_each(|line| write!(f, "\n        {line}"))
    }
}
