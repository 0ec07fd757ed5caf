//! Lineage: who held an address, when, who asked for it, why, and since when the ledger knows (W12, N2).
//!
//! Intervals of the world's time, made from decisions (pools, allocations) and from observations
//! (resources), which arrive late, shuffled, and may be withdrawn. The rows depend on the set of observations known, never on
//! their order; every row says from which revision on the ledger says so, so a past `as_of` is answered
//! from the same rows (design D14, D15, D25). Nothing is ever deleted: what is no longer said is kept aside.

pub mod answers;
mod fold;
mod history;
pub(super) mod keys;
pub(super) mod known;
mod memory;
pub(super) mod observe;
pub(super) mod query;
pub(super) mod rows;
pub(super) mod spans;

pub use fold::LineageView;
pub use history::{ChangesFilter, changes, resource_history};
pub use query::{LineageQuery, QueryError, ROWS_EXAMINED_MAX, ROWS_MAX, lineage};

#[cfg(test)]
mod cases;
#[cfg(test)]
pub(super) mod model;
#[cfg(test)]
mod property;
#[cfg(test)]
mod real_data;
#[cfg(test)]
pub(super) mod testing;
