//! Views: what people and programs ask about, each a fold of the log into RocksDB rows.
//!
//! A view can be thrown away and rebuilt. Its rows and its position are written in one batch into one
//! column family without a write-ahead log: the log of events is its write-ahead log (design D11).
//! Queries answer `at` a moment of the world, `as_of` what the ledger knew then (design D14).

pub mod answer;
mod handle;
pub mod keys;
mod kinds;
pub mod ledger;
pub mod lineage;
pub mod objects;
pub mod outcomes;
pub mod overlaps;
pub mod position;
pub mod progress;
pub mod projector;
pub mod questions;
pub mod state;
pub mod store;
mod stored;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod view;
pub mod waiting;
pub mod when;

pub use handle::Views;
