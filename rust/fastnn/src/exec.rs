//! F6. What runs graphs.

pub mod interp;
