//! Kernels for decisions under uncertainty, on the lanes, the pool and the random numbers of
//! `fastnn`: [`ensemble`] samples, scores and ranks options, [`payout`] shares money among stacked
//! claims. Uses public names of `fastnn` only; the engine knows nothing of this crate.

pub mod ensemble;
pub mod payout;
