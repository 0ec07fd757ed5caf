//! Audit: reads a log from its beginning and says whether it is what it claims to be (N8).
//!
//! It trusts neither views nor snapshots. It checks admission, the schema, each organisation's revisions,
//! instants and hash chain, that the fold accepts every outcome, and the core invariants after every
//! record, on a model of its own that shares no code with the rules it judges. It names the first record
//! that is wrong, and goes no further: behind it nothing is certain.

mod chain;
mod invariants;
mod verify;

pub use verify::{Finding, Report, verify};

#[cfg(test)]
mod tests;
