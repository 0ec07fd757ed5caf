//! Overlaps: who shares addresses with whom in one scope (design D26, reference §3.4).
//!
//! Pairs are computed when asked for and never stored. The rows live in the lineage view, next to the
//! intervals that they point to.

pub mod answers;
pub(super) mod parties;
mod query;
pub(super) mod reach;
mod stretches;

pub use query::{OverlapsQuery, overlaps};

#[cfg(test)]
mod cases;
#[cfg(test)]
mod property;
