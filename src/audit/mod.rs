//! Audit: reads a log, or an export of one history, and says whether it is what it claims to be (N8).
//!
//! It trusts neither views nor snapshots. It checks admission, the schema, each organisation's revisions,
//! instants and hash chain, that the fold accepts every outcome, and the core invariants after every
//! record, on a model of its own that shares no code with the rules it judges. It names the first record of
//! each organisation that is wrong, and what was done to it as far as the evidence tells; behind it nothing of
//! that organisation is certain.

mod chain;
pub mod checkpoint;
mod complaint;
mod court;
mod diagnosis;
mod examiner;
pub mod export;
mod invariants;
mod judge;
pub mod kept;
mod reigns;
pub mod replay;
pub mod report;
mod verify;
mod walk;

pub use verify::{Asked, verify};
pub use walk::home;

#[cfg(test)]
mod tests;
