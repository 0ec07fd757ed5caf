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
