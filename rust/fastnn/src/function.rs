//! F7. Functions: a traced graph with named inputs, results, and variables it reads and updates.
//! The graph is replayed and compiled once for each tuple of sizes that its inputs leave open;
//! calls bind the caller's arrays and the variables and run. Thread-safe: a call without updates reads
//! snapshots, a call with updates takes its variables out in one fixed order.

mod arrays;
mod session;

pub(crate) use arrays::{Feed, row_bytes, rows_of, sized};
pub use arrays::{array_bytes, is_plain, write_array};
pub(crate) use session::{Batch, Session, Ticker};

use crate::buffer::Buffer;
use crate::dim::{Binder, Bindings, Dim};
use crate::error::{Error, Result, visible};
use crate::exec::cpu::Arenas;
use crate::graph::{Arg, Graph, Id, Ty};
use crate::kernels::stored;
use crate::shape::Shape;
use crate::sync::Lock;
use crate::tensor::{Plan, Shelf, Storage, Tensor, Variable, Walk};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Batch sizes from which on a caller should be warned.
const MANY_BATCHES: usize = 16;
/// Bytes of compiled plans that a function keeps; the latest stays in any case. A plan of a dense
/// net takes some tens of kilobytes; the arena is one for all.
const PLAN_BYTES: usize = 16 << 20;

/// What a call returns: a value per output, with its type.
pub type Values = SmallVec<[(Ty, Arc<Storage>); 2]>;

/// A compiled function of arrays and variables.
#[derive(Debug)]
pub struct Function {
    graph: Graph,
    inputs: Vec<Input>,
    variables: Vec<Bound>,
    captured: Vec<Arc<Storage>>,
    /// The symbols of the graph.
    symbols: Vec<Dim>,
    /// In the order of use, the latest last.
    plans: Lock<Vec<(Bindings, Arc<Plan>)>>,
    arenas: Arc<Arenas>,
    /// Values that depend on weights only.
    shelf: Shelf,
    compiles: AtomicUsize,
    storm: AtomicBool,
}

/// Name and type of an input; open sizes take any, a leading batch any number of rows.
#[derive(Debug, Clone)]
pub struct Input {
    /// The placeholder's name, or `input N`.
    pub name: String,
    /// Shape and type.
    pub ty: Ty,
}

#[derive(Debug)]
struct Bound {
    variable: Arc<Variable>,
    updated: bool,
}

/// What the arrays of a prediction say: the sizes that they give, the batch being the number of
/// rows, and the type of each result.
#[derive(Debug, Clone)]
pub struct Prediction {
    bindings: Bindings,
    types: SmallVec<[Ty; 2]>,
}

impl Prediction {
    /// The type of each result.
    #[must_use]
    pub fn types(&self) -> &[Ty] {
        &self.types
    }
}

impl Function {
    /// Traces `outputs` and the new values of `updates` back to `inputs`. Errors with `Trace` when
    /// they depend on a placeholder that is not an input, with `Shape` when a new value has another
    /// type than its variable.
    pub fn new(
        inputs: &[Tensor],
        outputs: &[Tensor],
        updates: &[(Arc<Variable>, Tensor)],
    ) -> Result<Function> {
        let mut graph = Graph::new();
        let mut slots: HashMap<usize, Id> = HashMap::new();
        let mut named = Vec::with_capacity(inputs.len());
        for (at, input) in inputs.iter().enumerate() {
            let name = match input.leaf() {
                crate::tensor::Leaf::Placeholder(name) if input.op_name().is_none() => name.to_string(),
                _ => {
                    return Err(Error::Trace(format!(
                        "Function: input {at} is a value, wanted a placeholder\n  hint: make it with placeholder(shape); values are captured by themselves"
                    )));
                }
            };
            let name = if name.is_empty() { format!("input {at}") } else { name };
            if slots.insert(input.key(), graph.input(input.ty())).is_some() {
                return Err(Error::Trace(format!(
                    "Function: the placeholder '{name}' is given twice\n  hint: list each placeholder once"
                )));
            }
            named.push(Input { name, ty: input.ty() });
        }
        let roots: Vec<Tensor> = outputs.iter().chain(updates.iter().map(|(_, t)| t)).cloned().collect();
        let walk = Walk::from(&roots);
        let variables = Function::variables_of(&walk, updates)?;
        let homes: HashMap<_, _> =
            variables.iter().map(|b| (Arc::as_ptr(&b.variable), graph.input(b.variable.ty()))).collect();
        let mut captured = Vec::new();
        let ids = walk.emit(&mut graph, |g, leaf| match leaf.leaf() {
            crate::tensor::Leaf::Scalar(value) => Ok(g.typed_scalar(value, leaf.ty().dtype)),
            crate::tensor::Leaf::Variable(variable) => Ok(homes[&Arc::as_ptr(variable)]),
            crate::tensor::Leaf::Value(storage) => {
                captured.push(storage.clone());
                Ok(g.input(leaf.ty()))
            }
            crate::tensor::Leaf::Placeholder(name) => {
                slots.get(&leaf.key()).copied().ok_or_else(|| stray(name, leaf.ty()))
            }
        })?;
        graph.outputs = outputs.iter().map(|t| ids.of(t)).collect();
        for (variable, value) in updates {
            let slot = graph.node(homes[&Arc::as_ptr(variable)]).attrs[0].int() as usize;
            graph.updates.push((slot, ids.of(value)));
        }
        Function::bound(graph, named, variables, captured)
    }

    /// A function from a graph whose slots are: the inputs, then `captured` arrays. Errors with
    /// `Trace` when the inputs do not tell a size of the graph.
    pub(crate) fn from_graph(
        graph: Graph,
        inputs: Vec<Input>,
        captured: Vec<Arc<Storage>>,
    ) -> Result<Function> {
        Function::bound(graph, inputs, Vec::new(), captured)
    }

    fn bound(
        mut graph: Graph,
        inputs: Vec<Input>,
        variables: Vec<Bound>,
        captured: Vec<Arc<Storage>>,
    ) -> Result<Function> {
        let symbols = graph.symbols();
        let told: Vec<Dim> = inputs
            .iter()
            .flat_map(|i| i.ty.shape.dims())
            .filter_map(|d| if d.name().is_some() { Some(*d) } else { d.solve(0).map(|(s, _)| s) })
            .collect();
        if let Some(symbol) = symbols.iter().find(|&&s| s != Dim::BATCH && !told.contains(&s)) {
            let inputs: Vec<String> = inputs.iter().map(|i| format!("'{}': {}", i.name, i.ty)).collect();
            return Err(Error::Trace(format!(
                "Function: no input tells the size '{symbol}', which the outputs depend on; the inputs are {}\n  \
                 hint: add the input that has it",
                inputs.join(", ")
            )));
        }
        graph.nodes.shrink_to_fit();
        Ok(Function {
            graph,
            inputs,
            variables,
            captured,
            symbols,
            plans: Lock::new(Vec::new()),
            arenas: Arc::default(),
            shelf: Shelf::default(),
            compiles: AtomicUsize::new(0),
            storm: AtomicBool::new(false),
        })
    }

    /// The variables read or updated, by address: the order in which every run takes them out.
    fn variables_of(walk: &Walk, updates: &[(Arc<Variable>, Tensor)]) -> Result<Vec<Bound>> {
        let mut all: Vec<Bound> = Vec::new();
        for (variable, value) in updates {
            if variable.ty() != value.ty() {
                return crate::shape_err!(
                    "Function: the update of variable '{}' is {}, wanted {}\n  hint: reshape or cast the new value",
                    visible(&variable.name()),
                    value.ty(),
                    variable.ty()
                );
            }
            if all.iter().any(|b| Arc::ptr_eq(&b.variable, variable)) {
                return crate::data_err!(
                    "Function: variable '{}' is updated twice\n  hint: add the two updates into one",
                    visible(&variable.name())
                );
            }
            all.push(Bound { variable: variable.clone(), updated: true });
        }
        for leaf in walk.leaves() {
            if let crate::tensor::Leaf::Variable(variable) = leaf.leaf()
                && !all.iter().any(|b| Arc::ptr_eq(&b.variable, variable))
            {
                all.push(Bound { variable: variable.clone(), updated: false });
            }
        }
        all.sort_by_key(|b| Arc::as_ptr(&b.variable) as usize);
        Ok(all)
    }

    /// The inputs.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Types of the results; sizes may be open.
    #[must_use]
    pub fn outputs(&self) -> Vec<Ty> {
        self.graph.outputs.iter().map(|&id| self.graph.ty(id)).collect()
    }

    /// The traced graph. Its slots are the inputs, the variables, the captured arrays.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// True when a call changes variables.
    #[must_use]
    pub fn updates(&self) -> bool {
        !self.graph.updates.is_empty()
    }

    /// The values of the slots past the inputs, as they are now.
    #[must_use]
    pub fn constants(&self) -> Vec<Arc<Storage>> {
        let mut values = Variable::snapshots(self.variables());
        values.extend(self.captured.iter().cloned());
        values
    }

    /// The variables read or updated.
    pub fn variables(&self) -> impl Iterator<Item = &Arc<Variable>> + Clone {
        self.variables.iter().map(|b| &b.variable)
    }

    /// The captured arrays with their types, whose slots come after those of the variables.
    pub fn captured(&self) -> impl Iterator<Item = (Ty, &Arc<Storage>)> {
        let first = self.inputs.len() + self.variables.len();
        let types = (first..).map(|slot| self.graph.ty(self.graph.inputs[slot]));
        self.captured.iter().zip(types).map(|(value, ty)| (ty, value))
    }

    /// True once, after more than sixteen batch sizes have been compiled: the caller should warn.
    #[must_use]
    pub fn take_storm(&self) -> bool {
        self.storm.load(Relaxed) && self.storm.swap(false, Relaxed)
    }

    /// Checks the arrays against the inputs and returns the sizes that they give to the open ones
    /// (a batch of 1 when no input has one).
    pub fn bindings(&self, args: &[Arg]) -> Result<Bindings> {
        if args.len() != self.inputs.len() {
            return crate::data_err!(
                "got {} arrays, wanted {} ({})\n  hint: give one array per input, in order",
                args.len(),
                self.inputs.len(),
                self.signature()
            );
        }
        let mut bindings = Bindings::new();
        let mut computed = SmallVec::<[(usize, Dim, Dim); 4]>::new();
        for (at, (input, arg)) in self.inputs.iter().zip(args).enumerate() {
            let (want, got) = (input.ty.shape.dims(), arg.ty.shape.dims());
            let fits = want.len() == got.len() && want.iter().zip(got).all(|(w, g)| w == g || w.is_open());
            if !fits {
                return Err(misfit(input, arg.ty));
            }
            if arg.ty.dtype != input.ty.dtype && !stored::reads_as(arg.ty.dtype, input.ty.dtype) {
                return crate::data_err!(
                    "'{}' has type {}, wanted {}\n  hint: convert the array, as x.astype(type) does in NumPy",
                    visible(&input.name),
                    arg.ty.dtype.name(),
                    input.ty.dtype.name()
                );
            }
            if !input.ty.shape.is_open() {
                continue;
            }
            for (&w, &g) in want.iter().zip(got).filter(|(w, _)| w.is_open()) {
                if w != Dim::BATCH && w.name().is_none() {
                    computed.push((at, w, g));
                } else if bindings.set(w, g).is_some_and(|before| before != g) {
                    return Err(self.uneven(w, args));
                }
            }
        }
        for (at, want, got) in computed {
            let misfit = || misfit(&self.inputs[at], args[at].ty);
            let bound = Binder::new(&bindings).bind(want)?;
            if bound.is_open() {
                let (symbol, size) = got.known().and_then(|n| bound.solve(n)).ok_or_else(misfit)?;
                bindings.set(symbol, Dim::new(size));
            } else if bound != got {
                return Err(misfit());
            }
        }
        for &symbol in &self.symbols {
            if bindings.get(symbol).is_none() {
                // Only the batch can be missing: the others were looked for when the function was made.
                bindings.set(symbol, Dim::ONE);
            }
        }
        Ok(bindings)
    }

    fn uneven(&self, symbol: Dim, args: &[Arg]) -> Error {
        let batch = symbol == Dim::BATCH;
        let mut text = if batch {
            String::from("the arrays do not share one batch size:")
        } else {
            format!("the arrays do not share one size '{symbol}':")
        };
        for (input, arg) in self.inputs.iter().zip(args) {
            let _ = write!(text, " '{}' has shape {};", visible(&input.name), arg.ty.shape);
        }
        text.push_str(" wanted ");
        text.push_str(&if batch { "the same first size".into() } else { self.signature() });
        Error::Shape(text)
    }

    /// The inputs in words, for messages.
    #[must_use]
    pub fn signature(&self) -> String {
        let inputs: Vec<String> = self.inputs.iter().map(|i| format!("'{}': {}", i.name, i.ty)).collect();
        inputs.join(", ")
    }

    /// Errors where arrays of these types do not fit the inputs or, with all sizes known, each
    /// other; nothing is read or run.
    pub fn check(&self, args: &[Arg]) -> Result<()> {
        let bindings = self.bindings(args)?;
        if self.plans.lock().iter().any(|(known, _)| *known == bindings) {
            return Ok(());
        }
        self.graph.replay(&bindings).map(drop)
    }

    /// The plan for these sizes, compiled if they are new.
    pub fn plan(&self, bindings: &Bindings) -> Result<Arc<Plan>> {
        {
            let mut plans = self.plans.lock();
            if let Some(at) = plans.iter().rposition(|(b, _)| b == bindings) {
                plans[at..].rotate_left(1);
                return Ok(plans[plans.len() - 1].1.clone());
            }
        }
        let graph = self.graph.replay(bindings)?;
        let plan = Arc::new(Plan::compile_apart(graph, &self.invariant(), &self.arenas, &self.shelf)?);
        // Other open sizes are there to vary.
        let only_batches = bindings.iter().all(|(symbol, _)| symbol == Dim::BATCH);
        if self.compiles.fetch_add(1, Relaxed) == MANY_BATCHES && only_batches {
            self.storm.store(true, Relaxed);
        }
        let mut plans = self.plans.lock();
        plans.push((bindings.clone(), plan.clone()));
        let mut bytes: usize = plans.iter().map(|(_, plan)| plan.program().bytes()).sum();
        let mut gone = 0;
        while bytes > PLAN_BYTES && gone + 1 < plans.len() {
            bytes -= plans[gone].1.program().bytes();
            gone += 1;
        }
        let old: Vec<_> = plans.drain(..gone).collect();
        // Plans are taken apart without the lock.
        drop(plans);
        if !old.is_empty() {
            drop(old);
            self.shelf.prune();
        }
        Ok(plan)
    }

    /// Per slot: does it hold what calls of this function never change?
    fn invariant(&self) -> Vec<bool> {
        let inputs = self.inputs.iter().map(|_| false);
        let variables = self.variables.iter().map(|b| !b.updated);
        inputs.chain(variables).chain(self.captured.iter().map(|_| true)).collect()
    }

    /// Bytes that the function keeps between calls: plans, the memory of intermediate values, and
    /// values that depend on weights only.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let plans = self.plans.lock();
        let plans: usize = plans.iter().map(|(_, plan)| plan.program().bytes()).sum();
        plans + self.arenas.bytes() + self.shelf.bytes()
    }

    /// The slot of a variable that the function updates.
    pub(crate) fn updated_slot(&self, variable: &Arc<Variable>) -> Option<usize> {
        let at = self.variables.iter().position(|b| b.updated && Arc::ptr_eq(&b.variable, variable))?;
        Some(self.inputs.len() + at)
    }

    /// Compiled sizes kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.plans.lock().len()
    }

    /// Runs once on the given arrays and returns fresh results. Errors with `Interrupted` as
    /// `Program::run` does; nothing has changed then, and the caller may call again. A function
    /// without results may return before its end when the host interrupts it: its variables are
    /// there for others when it is done.
    ///
    /// # Safety
    /// Each argument points to the bytes of its type, aligned to its elements and readable until the
    /// call returns.
    pub unsafe fn call(&self, args: &[Arg]) -> Result<Values> {
        let plan = self.plan(&self.bindings(args)?)?;
        let mut session = Session::closed(self);
        session.take()?;
        let mut wide: SmallVec<[Buffer; 1]> = SmallVec::new();
        for (slot, arg) in args.iter().enumerate() {
            let to = self.inputs[slot].ty.dtype;
            if arg.ty.dtype == to {
                session.set_input(slot, arg.ptr);
                continue;
            }
            let count = arg.ty.shape.count();
            let mut buffer = Buffer::uninit(count * to.size())?;
            stored::read_as(arg.ty.dtype, to, arg.ptr, buffer.as_mut_ptr(), count);
            session.set_input(slot, buffer.as_mut_ptr());
            wide.push(buffer);
        }
        session.ready(&plan)?;
        let results = session.once(&plan)?;
        Ok(plan.outputs().iter().copied().zip(results).collect())
    }

    /// [`Function::call`] on tensors.
    pub fn apply(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut args: SmallVec<[Arg; 4]> = SmallVec::new();
        for tensor in inputs {
            args.push(Arg { ptr: tensor.storage()?.ptr(), ty: tensor.ty() });
        }
        // SAFETY: `inputs` keeps the storages alive, and each fills its shape.
        let results = unsafe { self.call(&args) }?;
        results.into_iter().map(|(ty, storage)| Tensor::new(ty, storage)).collect()
    }

    /// Checks the arrays for [`Function::predict`].
    pub fn prediction(&self, args: &[Arg]) -> Result<Prediction> {
        let bindings = self.bindings(args)?;
        if !self.inputs.iter().any(|i| i.ty.shape.dims().first() == Some(&Dim::BATCH)) {
            return crate::shape_err!(
                "predict: no input has a batch axis ({})\n  hint: call the function instead",
                self.signature()
            );
        }
        let mut inner = bindings.clone();
        let rows = inner.set(Dim::BATCH, Dim::BATCH).unwrap_or(Dim::ONE);
        let mut binder = Binder::new(&inner);
        let mut types = SmallVec::<[Ty; 2]>::new();
        for &id in &self.graph.outputs {
            let mut ty = self.graph.ty(id);
            let bound = ty.shape.bind(&mut binder)?;
            let mut dims = SmallVec::<[Dim; 8]>::from_slice(bound.dims());
            if dims.first() != Some(&Dim::BATCH) || dims[1..].iter().any(|d| d.is_open()) {
                return crate::shape_err!(
                    "predict: a result has shape {}, wanted one row per input row\n  hint: keep the batch as the first axis of every output",
                    ty.shape
                );
            }
            dims[0] = rows;
            ty.shape = Shape::new(&dims)?;
            types.push(ty);
        }
        Ok(Prediction { bindings, types })
    }

    /// Runs over all rows, `batch` at a time, into the caller's memory. `tick` is asked between
    /// batches, at most every 50 ms, and when the host interrupts a batch; it may stop the run with
    /// an error.
    ///
    /// # Safety
    /// `args` as in [`Function::call`], and those that [`Function::prediction`] made `prediction` of;
    /// `outputs` point to the bytes of its types, writable, and nothing aliases.
    pub unsafe fn predict(
        &self,
        prediction: Prediction,
        args: &[Arg],
        outputs: &[*mut u8],
        batch: usize,
        tick: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let Prediction { mut bindings, types } = prediction;
        let rows = rows_of(&bindings);
        if batch == 0 {
            return crate::data_err!("predict: batch_size is 0, wanted at least 1\n  hint: 32 is usual");
        }
        if rows == 0 {
            return Ok(()); // a session would store the variables anew, and readers take that for a change
        }
        let widths: SmallVec<[usize; 4]> = types
            .iter()
            .map(|ty| ty.shape.sizes()[1..].iter().product::<usize>() * ty.dtype.size())
            .collect();
        let mut session = Session::closed(self);
        session.take()?;
        let feed =
            |(input, arg): (&Input, &Arg)| Feed::new(input.ty, *arg, &bindings, batch.min(rows.max(1)));
        let mut feeds = self.inputs.iter().zip(args).map(feed).collect::<Result<SmallVec<[_; 4]>>>()?;
        let mut targets = SmallVec::<[*mut u8; 4]>::from_slice(outputs);
        // One batch has nothing between.
        let mut clock = (rows > batch).then(|| Ticker::new(Duration::from_millis(50)));
        let mut plan: Option<(usize, Arc<Plan>)> = None;
        for start in (0..rows).step_by(batch) {
            let n = batch.min(rows - start);
            for (slot, feed) in feeds.iter_mut().enumerate() {
                session.set_input(slot, feed.rows(start, n));
            }
            for (target, (output, width)) in targets.iter_mut().zip(outputs.iter().zip(&widths)) {
                *target = output.add(start * width);
            }
            let (_, plan) = match &plan {
                Some(kept) if kept.0 == n => kept,
                _ => {
                    bindings.set(Dim::BATCH, n.into());
                    plan.insert((n, self.plan(&bindings)?))
                }
            };
            loop {
                match session.ready(plan).and_then(|()| plan.program().run(&session.pointers, &targets)) {
                    // What was given up is computed again, unless `tick` stops the run.
                    Err(Error::Interrupted) => tick()?,
                    done => break done?,
                }
            }
            if clock.as_mut().is_some_and(Ticker::is_due) {
                tick()?;
            }
        }
        Ok(())
    }

    /// The graph and, when one is compiled, its latest plan, for reading.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = format!("{}", self.graph);
        let plans = self.plans.lock().clone();
        for (bindings, plan) in &plans {
            // Without open sizes there is one row of everything.
            let sizes =
                if bindings.iter().next().is_none() { "batch 1".into() } else { bindings.to_string() };
            let _ = write!(text, "\n{sizes}:\n{:?}\n", plan.program());
        }
        text
    }
}

fn stray(name: &str, ty: Ty) -> Error {
    Error::Trace(format!(
        "Function: an output depends on the placeholder '{name}' ({ty}), which is not among the inputs\n  \
         hint: add it to the inputs"
    ))
}

fn misfit(input: &Input, got: Ty) -> Error {
    let (want, have) = (input.ty.shape.dims(), got.shape.dims());
    let mut text = format!("'{}' has shape {}, wanted {}", visible(&input.name), got.shape, input.ty.shape);
    if want.len() == have.len() + 1 && want.first() == Some(&Dim::BATCH) && want[1..] == *have {
        text.push_str("\n  hint: the batch axis is missing; pass x[None] for a single sample");
    } else if let (Some(w), Some(h)) = (want.last(), have.last())
        && want.len() == have.len()
        && w != h
        && !w.is_open()
    {
        let _ = write!(text, "\n  hint: the last axis has {h} features, the function was traced with {w}");
    }
    Error::Shape(text)
}
