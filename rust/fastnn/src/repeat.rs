//! F7. A function run again and again without leaving Rust: state to state, as a model that speaks
//! one token a step. Variables are taken out once and given back at each pause.

use crate::dim::Bindings;
use crate::error::{Error, Result};
use crate::exec::cpu::Ended;
use crate::function::{Function, Session, Ticker};
use crate::shape::DType;
use crate::tensor::Variable;
use crate::{data_err, shape_err};
use std::sync::Arc;
use std::time::Duration;

/// Between looks at `tick`.
const TICK: Duration = Duration::from_millis(50);

/// Runs `function`, which has updates only, up to `limit` times, and ends after the run that leaves
/// `until`, a scalar variable that it updates, other than 0. Gives how many runs there were. `tick`
/// is called every 50 ms and within a long run, with no variable taken out; its error ends the
/// loop behind the last whole run.
pub fn repeat(
    function: &Function,
    limit: usize,
    until: Option<&Arc<Variable>>,
    tick: &mut dyn FnMut() -> Result<()>,
) -> Result<usize> {
    if !function.inputs().is_empty() || !function.outputs().is_empty() || !function.updates() {
        return data_err!(
            "repeat: the function has {} inputs and {} outputs, wanted updates alone\n  hint: keep what moves on in variables",
            function.inputs().len(),
            function.outputs().len()
        );
    }
    let slot = until.map(|variable| flag(function, variable)).transpose()?;
    let plan = function.plan(&Bindings::new())?;
    let mut session = Session::open(function)?;
    let mut ticker = Ticker::new(TICK);
    let mut done = 0;
    while done < limit {
        // SAFETY: there are no inputs, and the session has the variables.
        let ended =
            session.ready(&plan).and_then(|()| unsafe { session.step(&plan, None, limit - done > 1) });
        match ended {
            // A run that was given up has changed nothing; it is made from its beginning.
            Err(Error::Interrupted) => {
                session.pause(&mut *tick)?;
                continue;
            }
            // One that was left is made when the pause ends.
            Ok(Ended::Left) => session.pause(&mut *tick)?,
            ended => drop(ended?),
        }
        done += 1;
        // SAFETY: the session holds the variable, whose one element has four bytes of which all are 0
        // for the numbers 0 and false.
        if slot.is_some_and(|slot| unsafe { session.pointers[slot].cast::<u32>().read() } != 0) {
            break;
        }
        if ticker.is_due() {
            session.pause(&mut *tick)?;
        }
        if session.is_wanted() {
            session.yield_variables()?;
        }
    }
    Ok(done)
}

/// The slot of a variable that says when to end.
fn flag(function: &Function, variable: &Arc<Variable>) -> Result<usize> {
    let ty = variable.ty();
    if ty.shape.count() != 1 || !matches!(ty.dtype, DType::Bool | DType::I32) {
        return shape_err!(
            "repeat: until is {ty}, wanted one bool or int32\n  hint: reduce it with any or all"
        );
    }
    match function.updated_slot(variable) {
        Some(slot) => Ok(slot),
        None => data_err!(
            "repeat: the function does not update the variable `until`\n  hint: give it a new value in each run"
        ),
    }
}
