//! Thin PyO3 binding over the core crate.
