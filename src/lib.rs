//! An event-sourced IP address manager. The way of a command, from left to right:
//! `api`/`cli` → `processor` (→ `domain`) → `log` → `views` → `api`/`cli`.

pub mod address;
pub mod api;
pub mod audit;
pub mod cli;
pub mod domain;
pub mod log;
pub mod planted;
pub mod processor;
pub mod views;

/// jemalloc, for RocksDB and librdkafka too: much is allocated by the thread that reads and freed by the one that
/// folds or decides, which is dear with the C library's allocator (docs/benchmarks.md, "The allocator").
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
