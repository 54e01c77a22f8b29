//! F6. What runs graphs: the compiled CPU program and the slow oracle.

pub mod cpu;
pub mod interp;
