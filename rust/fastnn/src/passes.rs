//! F5. Graph in, graph out: lower, grad, simplify, fuse, plan. Each pass is a pure function,
//! tested against the oracle on random graphs.

pub mod fuse;
pub mod grad;
pub mod lower;
pub mod plan;
pub mod simplify;
