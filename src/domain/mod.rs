//! The rules of IP address management, pure: no I/O, no clock, no randomness, no async.
//!
//! `decide` turns a command into events or a rejection; `apply` folds an event into the state and
//! cannot fail. Everything else in this program carries these two functions' inputs and outputs.

pub mod allocation;
mod apply;
mod ask;
pub mod authority;
pub(crate) mod bytes;
pub mod change;
pub mod check;
pub mod command;
mod contents;
mod decide;
pub mod digest;
pub mod event;
pub mod id;
pub mod ipam;
pub mod kind;
pub mod organization;
pub mod outcome;
pub mod pool;
mod precondition;
pub mod quota;
pub mod rejection;
pub mod resource;
pub mod scope;
mod state;
mod tags;
#[cfg(test)]
mod testing;
pub mod time;

pub use apply::{advance, apply_outcome};
pub use ask::{Context, Decided};
pub use decide::decide;
pub use state::{Row, RowKey, State};
