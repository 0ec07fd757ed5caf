//! The real program, end to end: servers, brokers, files, signals. One binary, so that it is linked once.

#![allow(clippy::indexing_slicing, reason = "what is not there fails the test")]

mod cli;
mod embedded;
#[allow(dead_code, reason = "other tests kill brokers")]
#[path = "../support/kafka.rs"]
mod kafka;
mod openapi_conformance;
mod panics;
mod process;
mod python;
mod same_answers;
#[path = "../support/server.rs"]
mod server;
mod slow_clients;
mod stream;
mod takeover;
mod trouble;
mod trouble_disk;
mod trouble_http;
mod trouble_large;
mod trouble_topic;
#[path = "../support/walkthrough.rs"]
mod walkthrough;
