//! Waiting for what takes seconds on a quiet machine, with a generous limit.

use std::time::{Duration, Instant};

pub const PATIENCE: Duration = Duration::from_secs(300);

#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
