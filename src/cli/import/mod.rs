//! `ipam import`: a file of observed changes into the ledger, once however often it is repeated.

mod file;
pub mod intervals;
pub mod rows;
mod run;

pub use run::{Import, run};
