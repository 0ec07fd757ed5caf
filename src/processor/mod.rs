//! The processor: one writer per partition decides commands in order and appends their outcomes.
//!
//! [`core`] is the algorithm, without I/O: an input in, effects out. [`writer`] is the thread that carries the
//! effects out; [`local`] hands commands over within a process. Nothing is acknowledged before the writer's
//! own reader has folded it as valid (design D5).

pub mod core;
pub mod local;
pub mod memory;
pub mod metrics;
pub mod submit;
pub mod writer;
