//! Lineage: who held an address, when, who asked for it, why, and since when the ledger knows (W12, N2).
//!
//! Intervals of the world's time, made from decisions (pools, allocations) and from observations
//! (resources), which arrive late, shuffled, and may be withdrawn. The rows depend on the set of observations known, never on
//! their order; every row says from which revision on the ledger says so, so a past `as_of` is answered
//! from the same rows (design D14, D15, D25). Nothing is ever deleted: what is no longer said is kept aside.

pub mod answers;
