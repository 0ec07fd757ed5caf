//! Chaos: the real binary, real files and a real Kafka, while machines kill, stop, cut and fill what they stand on.
//! What was acknowledged is there, once, in its order, and every node tells the same.
//!
//! All of it runs in `cargo test --test chaos`. By hand the same tests run longer (`scripts/chaos` sets the numbers):
//!
//! | Variable | What | Ordinarily |
//! |---|---|---|
//! | `CHAOS_SEED` | what is drawn: moments, faults, their order | drawn from the clock, and printed |
//! | `CHAOS_ROUNDS` | rounds of kill and restart on the embedded log | 50 |
//! | `CHAOS_SECONDS` | how long faults go on on Kafka | 180 |
//! | `CHAOS_FAULTS` | `kills`: one node killed at a time, to measure takeovers | all faults |
//! | `CHAOS_DIRECTORY` | where data and logs of the servers lie, and stay | a temporary directory, which stays when a test fails |
//!
//! A failure prints the seed, the command that replays it, and the end of every server's log. The seed draws the same
//! faults in the same order; how the machine schedules processes between them is not drawn, so that a replay finds
//! what it found with luck only. What was found gets a small test of its own, named after what went wrong.

#![allow(clippy::indexing_slicing, reason = "what is not there fails the test")]

#[allow(dead_code, reason = "other tests ask for less")]
#[path = "../support/audience.rs"]
mod audience;
mod client;
mod draw;
mod embedded_kills;
mod failing_fsync;
mod full_disk;
#[allow(dead_code, reason = "other tests need one broker")]
#[path = "../support/kafka.rs"]
mod kafka;
mod kafka_chaos;
mod membership;
mod network;
mod node;
#[path = "../support/patience.rs"]
mod patience;
mod plan;
#[allow(dead_code, reason = "other tests run more")]
#[path = "../end_to_end/process.rs"]
mod process;
mod races;
#[allow(dead_code, reason = "other tests ask for more")]
#[path = "../support/server.rs"]
mod server;
#[allow(dead_code, reason = "other tests remount it")]
#[path = "../support/small_disk.rs"]
mod small_disk;
mod stopped_broker;
mod takeovers;
mod witness;
