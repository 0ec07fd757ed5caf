//! Organisation, IPAMs, scopes, pools and allocations at every revision: the domain's own rows, each kept
//! from the revision that wrote it, and exact counters of every pool (design D25).
//!
//! `fold` writes rows; the others read them, each a question to a [`Picture`]. What a cascade closes inside a pool is not written row by row:
//! an allocation is over when it was released or its pool is gone, whichever came first (design D21).

mod allocations;
mod fold;
mod organization;
mod pools;
mod rows;
mod spaces;
#[cfg(test)]
mod tests;

pub use allocations::{allocation, allocations};
pub(super) use fold::{Usages, fold, pools_before};
pub use organization::organization;
pub use pools::{fullest, pool, pool_cidrs, pool_tree, usage_series};
pub use rows::Picture;
pub(super) use spaces::scope_known;
pub use spaces::{ipams, scope, scopes};
