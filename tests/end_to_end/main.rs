//! The real program, end to end: servers, brokers, files, signals. One binary, so that it is linked once.

#![allow(clippy::indexing_slicing, reason = "what is not there fails the test")]

#[allow(dead_code, reason = "other tests ask for more")]
#[path = "../support/audience.rs"]
mod audience;
mod audit;
mod bad_disk;
mod cli;
mod cli_files;
mod cli_names;
mod embedded;
#[allow(dead_code, reason = "other tests kill brokers")]
#[path = "../support/kafka.rs"]
mod kafka;
mod limits;
mod many_connections;
mod openapi_conformance;
mod panics;
#[path = "../support/patience.rs"]
mod patience;
mod process;
mod python;
mod raw;
mod same_answers;
#[allow(dead_code, reason = "other tests ask for more")]
#[path = "../support/server.rs"]
mod server;
mod slow_clients;
#[path = "../support/small_disk.rs"]
mod small_disk;
mod stream;
mod takeover;
mod trouble;
mod trouble_disk;
mod trouble_http;
mod trouble_large;
mod trouble_topic;
#[path = "../support/walkthrough.rs"]
mod walkthrough;
