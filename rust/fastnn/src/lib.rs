//! fastnn: neural networks on the CPU. A graph of ops is differentiated, fused and
//! memory-planned into a program that runs without allocation, with the same bits on any number
//! of threads.

pub mod buffer;
pub mod dim;
pub mod error;
pub mod exec;
pub mod function;
pub mod graph;
pub mod kernels;
pub mod ops;
pub mod optim;
pub mod passes;
pub mod pool;
pub mod repeat;
pub mod save;
pub mod shape;
pub mod simd;
pub mod sync;
pub mod tensor;
pub mod train;
