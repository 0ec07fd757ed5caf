//! The `ipam` binary: flags, wiring, output for people and for programs.

pub mod import;
pub mod logging;
pub mod node;
