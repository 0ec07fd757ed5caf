//! A broker that stands still: what needs it waits, and what does not need it does not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ipam_ledger::log::kafka::create_topics;

use crate::kafka::{self, Cluster};
use crate::server::Server;

/// More than the server has threads for requests.
const SCRAPES: usize = 16;

#[test]
fn metrics_of_a_log_that_does_not_answer_hold_up_nobody_else() {
    let data = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(1);
    let config = kafka::config_at(&cluster.bootstrap);
    create_topics(&config, 2, None).expect("the topics");
    let server = Server::start(data.path(), &["--kafka", &config.bootstrap, "--topic-prefix", &config.prefix]);
    cluster.signal(1, "STOP");
    // Its threads stop one after the other, and one may answer still.
    thread::sleep(Duration::from_secs(1));
    let (begun, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..SCRAPES {
            scope.spawn(|| {
                begun.fetch_add(1, Ordering::Relaxed);
                server.get("/metrics");
                answered.fetch_add(1, Ordering::Relaxed);
            });
        }
        while begun.load(Ordering::Relaxed) < SCRAPES {
            thread::yield_now();
        }
        server.get("/healthz");
        let before = answered.load(Ordering::Relaxed);
        cluster.signal(1, "CONT");
        assert!(
            before < SCRAPES / 2,
            "somebody waited for metrics that wait for the broker: {before} were answered before"
        );
    });
}
