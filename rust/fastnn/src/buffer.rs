//! F1. (Being written.)

/// An owned aligned block.
#[derive(Debug)]
pub struct Buffer;
