//! A real Kafka for tests: one broker per test program, or the one that `KAFKA_BOOTSTRAP` names. The brokers end
//! with the test program, however that ends: a watcher beside them waits for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ipam_ledger::log::kafka::{KafkaConfig, create_topics};

/// The bootstrap address of this program's broker; starts it first if need be.
pub fn bootstrap() -> &'static str {
    static BROKER: OnceLock<String> = OnceLock::new();
    BROKER.get_or_init(|| {
        std::env::var("KAFKA_BOOTSTRAP").unwrap_or_else(|_| {
            // Never dropped: the watcher stops the broker and deletes its files.
            let cluster = Box::leak(Box::new(Cluster::start(1)));
            cluster.bootstrap.clone()
        })
    })
}

/// A name that no other test has on the same broker.
pub fn unique_prefix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let millis = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_millis();
    format!("t{}-{millis}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Settings for a ledger of its own on this program's broker, without topics.
pub fn config() -> KafkaConfig {
    config_at(bootstrap())
}

pub fn config_at(bootstrap: &str) -> KafkaConfig {
    let mut config = KafkaConfig::new(bootstrap);
    config.prefix = unique_prefix();
    config.session_timeout = Duration::from_secs(6);
    config
}

/// The same, with topics of so many partitions.
pub fn config_with_topics(partitions: u32) -> KafkaConfig {
    let config = config();
    create_topics(&config, partitions, None).expect("the topics");
    config
}

/// Brokers of a test's own, to be killed and started again.
pub struct Cluster {
    pub bootstrap: String,
    directory: PathBuf,
}

impl Cluster {
    /// One broker, or three.
    pub fn start(brokers: u32) -> Self {
        let directory = std::env::temp_dir().join(format!("ipam-kafka-{}", unique_prefix()));
        let bootstrap = script(&["start", &brokers.to_string(), directory.to_str().expect("a plain path")]);
        Self { bootstrap, directory }
    }

    /// Kills a broker (1, 2, 3) as a power failure would.
    pub fn kill(&self, broker: u32) {
        script(&["kill", self.path(), &broker.to_string()]);
    }

    pub fn restart(&self, broker: u32) {
        script(&["restart", self.path(), &broker.to_string()]);
    }

    fn path(&self) -> &str {
        self.directory.to_str().expect("a plain path")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        script(&["stop", self.path()]);
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn script(arguments: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/broker.sh");
    let output = Command::new(path).args(arguments).env("WATCH_PID", std::process::id().to_string()).output();
    let output = output.expect("broker.sh runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "broker.sh {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
