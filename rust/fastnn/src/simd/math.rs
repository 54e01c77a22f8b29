//! Vector elementary functions on any [`Simd`](super::Simd). (Being written.)
