//! F2. Instructions of the fused elementwise machine with several results: the step of an optimiser
//! as one loop. Each is written as the lines that it stands for, in the operations of
//! [`super::tile_ops`], so it computes the same bits; what it saves are the passes over the tile, and
//! its streams are read side by side, so that misses overlap. Depends on `simd` only.

use super::tile_ops::lanes;
use crate::simd::{Isa, LANES, Simd};

/// Computes `n` elements. `ops` numbers operands of the table `at`: results, inputs, then numbers,
/// each in the order of its [`Fat`]. A result may equal an input exactly, but not overlap one otherwise.
pub type FatFn = unsafe fn(at: *const *mut f32, ops: *const u16, n: usize);

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

/// An instruction with several results.
#[derive(Debug)]
pub struct Fat {
    /// Values that differ from element to element.
    pub inputs: &'static [u8],
    /// Values that are the same for all elements.
    pub numbers: &'static [u8],
    /// Values that go to memory; the last line computes one of them.
    pub results: &'static [u8],
    /// What is computed.
    pub lines: &'static [FatLine],
    /// The kernel for an instruction set.
    pub kernel: fn(Isa) -> FatFn,
}

impl Fat {
    /// Inputs, numbers and lines: values are numbered below this.
    #[must_use]
    pub fn values(&self) -> usize {
        self.inputs.len() + self.numbers.len() + self.lines.len()
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
                }
            };
        )*
    };
}

fat! {
    /// Adam with decoupled decay.
    ADAMW(w m v g; decay rate c1 c2 alpha epsilon up down) => w3 m2 v2 {
        part = mul(w decay);
        w2 = fnma(part rate w);
        m1 = lerp(m g c1);
        m2 = sum3(m1 up down);
        gap = fms(g g v);
        v1 = fma(gap c2 v);
        v2 = sum3(v1 up down);
        scaled = mul(m2 alpha);
        step = div_root(scaled v2 epsilon);
        w3 = sub(w2 step);
    }
    /// Adam.
    ADAM(w m v g; c1 c2 alpha epsilon up down) => w2 m2 v2 {
        m1 = lerp(m g c1);
        m2 = sum3(m1 up down);
        gap = fms(g g v);
        v1 = fma(gap c2 v);
        v2 = sum3(v1 up down);
        scaled = mul(m2 alpha);
        step = div_root(scaled v2 epsilon);
        w2 = sub(w step);
    }
    /// RMSprop.
    RMSPROP(w v g; rho rest rate epsilon up down) => w2 v2 {
        square = square(g);
        new = mul(square rest);
        v1 = fma(v rho new);
        v2 = sum3(v1 up down);
        base = add(v2 epsilon);
        scaled = mul(rate g);
        root = sqrt(base);
        step = div(scaled root);
        w2 = sub(w step);
    }
    /// Momentum.
    MOMENTUM(w m g; mu rate up down) => w2 m2 {
        kept = mul(m mu);
        moved = fnma(g rate kept);
        m2 = sum3(moved up down);
        w2 = add(w m2);
    }
}
