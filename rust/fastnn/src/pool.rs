//! F1. (Being written.)
