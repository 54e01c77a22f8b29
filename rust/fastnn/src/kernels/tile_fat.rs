//! F2. Instructions of the fused elementwise machine with several results: the step of an optimiser
//! as one loop. Each is written as the lines that it stands for, in the operations of
//! [`super::tile_ops`], so it computes the same bits; what it saves are the passes over the tile, and
//! its streams are read side by side, so that misses overlap. Depends on `simd`, and for steps of single
//! rows on [`super::gather`].

use super::gather::Terms;
use super::prefetch_row;
use super::tile_ops::lanes;
use crate::simd::{Isa, LANES, Simd};

/// Computes `n` elements. `ops` numbers operands of the table `at`: results, inputs, then numbers,
/// each in the order of its [`Fat`]. A result may equal an input exactly, but not overlap one otherwise.
pub type FatFn = unsafe fn(at: *const *mut f32, ops: *const u16, n: usize);

/// Computes `steps` steps of `n` elements whose gradient, the last input, is 0. `states` points to the
/// other inputs, which the results overwrite; `numbers` has those of each step, one step after another.
/// With `rests`, vectors in which all but the first input are 0 are left as they are.
pub type CoastFn =
    unsafe fn(states: *const *mut f32, numbers: *const f32, steps: usize, n: usize, rests: bool);

/// Computes a step of the rows in `rows`, by the sum of the terms of each, its gradient. `states` points to
/// the tables that the other inputs are, which the results overwrite; `numbers` has those of the step.
pub type RowsFn = unsafe fn(states: *const *mut f32, numbers: *const f32, rows: &[u32], terms: Terms);

/// A line of a pattern: `result = op(args)`, all but `op` numbers of values.
#[derive(Debug)]
pub struct FatLine {
    /// The name of a function of [`super::tile_ops`].
    pub op: &'static str,
    /// What it computes.
    pub result: u8,
    /// Of what.
    pub args: &'static [u8],
}

/// Vectors of a row that are computed side by side.
const TOGETHER: usize = 4;

/// Rows that are asked for ahead, with the first of their terms.
const ROWS_AHEAD: usize = 3;

/// Values that an instruction replaces, at most.
pub const MAX_STATES: usize = 4;

/// An instruction with several results.
#[derive(Debug)]
pub struct Fat {
    /// Values that differ from element to element: those that the results replace, in the same order,
    /// then the gradient.
    pub inputs: &'static [u8],
    /// Values that are the same for all elements.
    pub numbers: &'static [u8],
    /// Values that go to memory; the last line computes one of them.
    pub results: &'static [u8],
    /// What is computed.
    pub lines: &'static [FatLine],
    /// The kernel for an instruction set.
    pub kernel: fn(Isa) -> FatFn,
    /// The kernel for several steps without a gradient.
    pub coast: fn(Isa) -> CoastFn,
    /// The kernel for a step of single rows.
    pub rows: fn(Isa) -> RowsFn,
}

impl Fat {
    /// Inputs, numbers and lines: values are numbered below this.
    #[must_use]
    pub fn values(&self) -> usize {
        self.inputs.len() + self.numbers.len() + self.lines.len()
    }

    /// Is all that happens to the first input that something is taken from it which the other inputs
    /// tell? Then an element that keeps a first input of -0 beside others of 0 would keep any.
    #[must_use]
    pub fn only_moves(&self) -> bool {
        let mut readers = self.lines.iter().filter(|line| line.args.contains(&self.inputs[0]));
        match (readers.next(), readers.next()) {
            (Some(line), None) => {
                line.op == "sub"
                    && line.args[0] == self.inputs[0]
                    && line.args[1] != self.inputs[0]
                    && line.result == self.results[0]
            }
            _ => false,
        }
    }
}

#[inline(always)]
unsafe fn get<S: Simd>(p: *const f32, n: usize) -> S::F {
    if n == LANES { S::load(p) } else { S::load_n(p, n) }
}

#[inline(always)]
unsafe fn put<S: Simd>(p: *mut f32, v: S::F, n: usize) {
    if n == LANES { S::store(p, v) } else { S::store_n(p, v, n) }
}

/// Is every bit of the vectors 0?
#[inline(always)]
unsafe fn all_zero<S: Simd>(vectors: &[S::F]) -> bool {
    let any = vectors.iter().fold(S::splat_i(0), |any, &v| S::or_i(any, S::bits(v)));
    S::mask_bits(S::eq_i(any, S::splat_i(0))) == (1 << LANES) - 1
}

macro_rules! count {
    ($($x:ident)*) => { <[&str]>::len(&[$(stringify!($x)),*]) };
}

// `NAME(inputs; numbers) => results { line; ... }`, and from it the pattern and the kernel.
macro_rules! fat {
    ($($(#[$meta:meta])* $NAME:ident($($x:ident)+; $($number:ident)+) => $($out:ident)+ {
        $($result:ident = $op:ident($($arg:ident)+);)+
    })*) => {
        /// All of them; earlier ones are tried first.
        pub static ALL: &[&Fat] = &[$(&$NAME),*];
        $(
            $(#[$meta])*
            pub static $NAME: Fat = {
                #[allow(non_camel_case_types)]
                enum Value { $($x,)+ $($number,)+ $($result,)+ }

                #[inline(always)]
                unsafe fn vector<S: Simd>(
                    results: &[*mut f32; count!($($out)+)],
                    inputs: &[*mut f32; count!($($x)+)],
                    numbers: &[S::F; count!($($number)+)],
                    i: usize,
                    n: usize,
                ) {
                    let [$($x),+] = inputs;
                    $(let $x = get::<S>($x.add(i), n);)+
                    let [$($number),+] = *numbers;
                    $(let $result = lanes::$op::<S>($($arg),+);)+
                    let mut to = results.iter();
                    $(if let Some(to) = to.next() {
                        put::<S>(to.add(i), $out, n);
                    })+
                }

                #[inline(always)]
                unsafe fn kernel<S: Simd>(at: *const *mut f32, ops: *const u16, n: usize) {
                    let mut left = ops;
                    let mut next = || {
                        let at = *at.add(usize::from(*left));
                        left = left.add(1);
                        at
                    };
                    let results = [$({ let _ = stringify!($out); next() }),+];
                    let inputs = [$({ let _ = stringify!($x); next() }),+];
                    let numbers = [$({ let _ = stringify!($number); S::splat(*next()) }),+];
                    let mut i = 0;
                    while i + LANES <= n {
                        vector::<S>(&results, &inputs, &numbers, i, LANES);
                        i += LANES;
                    }
                    if i < n {
                        vector::<S>(&results, &inputs, &numbers, i, n - i);
                    }
                }
                crate::per_isa!(fn pick(at: *const *mut f32, ops: *const u16, n: usize) = kernel);

                const STATES: usize = count!($($out)+);
                const _: () = assert!(STATES + 1 == count!($($x)+) && STATES <= MAX_STATES);

                #[inline(always)]
                unsafe fn coast<S: Simd>(
                    states: *const *mut f32,
                    numbers: *const f32,
                    steps: usize,
                    n: usize,
                    rests: bool,
                ) {
                    let mut i = 0;
                    while i + TOGETHER * LANES <= n {
                        coast_some::<S, TOGETHER>(states, numbers, steps, i, LANES, rests);
                        i += TOGETHER * LANES;
                    }
                    while i < n {
                        coast_some::<S, 1>(states, numbers, steps, i, LANES.min(n - i), rests);
                        i += LANES;
                    }
                }

                // Vectors side by side: a step waits for the one before, and their number is another
                // for each row, which no processor guesses.
                #[inline(always)]
                unsafe fn coast_some<S: Simd, const V: usize>(
                    states: *const *mut f32,
                    numbers: *const f32,
                    steps: usize,
                    i: usize,
                    len: usize,
                    rests: bool,
                ) {
                    let mut vectors = [[S::splat(0.0); STATES + 1]; V];
                    for (v, values) in vectors.iter_mut().enumerate() {
                        for (k, value) in values[..STATES].iter_mut().enumerate() {
                            *value = get::<S>((*states.add(k)).add(i + v * LANES), len);
                        }
                    }
                    if rests && vectors.iter().all(|values| all_zero::<S>(&values[1..STATES])) {
                        return;
                    }
                    let mut next = numbers;
                    for _ in 0..steps {
                        $(
                            let $number = S::splat(*next);
                            next = next.add(1);
                        )+
                        for values in &mut vectors {
                            let [$($x),+] = *values;
                            $(let $result = lanes::$op::<S>($($arg),+);)+
                            for (value, result) in values.iter_mut().zip([$($out),+]) {
                                *value = result;
                            }
                        }
                    }
                    for (v, values) in vectors.iter().enumerate() {
                        for (k, value) in values[..STATES].iter().enumerate() {
                            put::<S>((*states.add(k)).add(i + v * LANES), *value, len);
                        }
                    }
                }
                crate::per_isa!(fn pick_coast(
                    states: *const *mut f32,
                    numbers: *const f32,
                    steps: usize,
                    n: usize,
                    rests: bool,
                ) = coast);

                #[inline(always)]
                unsafe fn step_rows<S: Simd>(
                    states: *const *mut f32,
                    numbers: *const f32,
                    rows: &[u32],
                    terms: Terms,
                ) {
                    let n = terms.width();
                    let fetch = |row: u32| {
                        for k in 0..STATES {
                            prefetch_row((*states.add(k)).add(row as usize * n), n);
                        }
                        terms.prefetch(row as usize);
                    };
                    rows.iter().take(ROWS_AHEAD).for_each(|&row| fetch(row));
                    for (at, &row) in rows.iter().enumerate() {
                        if let Some(&next) = rows.get(at + ROWS_AHEAD) {
                            fetch(next);
                        }
                        let mut i = 0;
                        while i + TOGETHER * LANES <= n {
                            row_some::<S, TOGETHER>(states, numbers, row as usize, i, LANES, terms);
                            i += TOGETHER * LANES;
                        }
                        while i < n {
                            let len = LANES.min(n - i);
                            row_some::<S, 1>(states, numbers, row as usize, i, len, terms);
                            i += LANES;
                        }
                    }
                }

                // The gradient stays in registers.
                #[inline(always)]
                unsafe fn row_some<S: Simd, const V: usize>(
                    states: *const *mut f32,
                    numbers: *const f32,
                    row: usize,
                    i: usize,
                    len: usize,
                    terms: Terms,
                ) {
                    let mut next = numbers;
                    $(
                        let $number = S::splat(*next);
                        next = next.add(1);
                    )+
                    let _ = next;
                    let at = row * terms.width() + i;
                    let sums = terms.sum_some::<S, V>(row, i, len);
                    for (v, &sum) in sums.iter().enumerate() {
                        let at = at + v * LANES;
                        let mut values = [sum; STATES + 1];
                        for (k, value) in values[..STATES].iter_mut().enumerate() {
                            *value = get::<S>((*states.add(k)).add(at), len);
                        }
                        let [$($x),+] = values;
                        $(let $result = lanes::$op::<S>($($arg),+);)+
                        for (k, result) in [$($out),+].into_iter().enumerate() {
                            put::<S>((*states.add(k)).add(at), result, len);
                        }
                    }
                }
                crate::per_isa!(fn pick_rows(
                    states: *const *mut f32,
                    numbers: *const f32,
                    rows: &[u32],
                    terms: Terms,
                ) = step_rows);

                Fat {
                    inputs: &[$(Value::$x as u8),+],
                    numbers: &[$(Value::$number as u8),+],
                    results: &[$(Value::$out as u8),+],
                    lines: &[$(FatLine {
                        op: stringify!($op),
                        result: Value::$result as u8,
                        args: &[$(Value::$arg as u8),+],
                    }),+],
                    kernel: pick,
                    coast: pick_coast,
                    rows: pick_rows,
                }
            };
        )*
    };
}

fat! {
    /// Adam with decoupled decay.
    ADAMW(w m v g; decay rate c1 c2 alpha epsilon floor_m floor_v zero) => w3 m2 v2 {
        part = mul(w decay);
        w2 = fnma(part rate w);
        m1 = lerp(m g c1);
        m2 = flush(m1 floor_m zero);
        gap = fms(g g v);
        v1 = fma(gap c2 v);
        v2 = flush(v1 floor_v zero);
        scaled = mul(m2 alpha);
        step = div_root(scaled v2 epsilon);
        w3 = sub(w2 step);
    }
    /// Adam.
    ADAM(w m v g; c1 c2 alpha epsilon floor_m floor_v zero) => w2 m2 v2 {
        m1 = lerp(m g c1);
        m2 = flush(m1 floor_m zero);
        gap = fms(g g v);
        v1 = fma(gap c2 v);
        v2 = flush(v1 floor_v zero);
        scaled = mul(m2 alpha);
        step = div_root(scaled v2 epsilon);
        w2 = sub(w step);
    }
    /// RMSprop.
    RMSPROP(w v g; rho rest rate epsilon floor zero) => w2 v2 {
        square = square(g);
        new = mul(square rest);
        v1 = fma(v rho new);
        v2 = flush(v1 floor zero);
        base = add(v2 epsilon);
        scaled = mul(rate g);
        root = sqrt(base);
        step = div(scaled root);
        w2 = sub(w step);
    }
    /// Momentum.
    MOMENTUM(w m g; mu rate floor zero) => w2 m2 {
        kept = mul(m mu);
        moved = fnma(g rate kept);
        m2 = flush(moved floor zero);
        w2 = add(w m2);
    }
}
