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

/// Lines of each broker's log that a failing test prints.
const TAIL_LINES: usize = 15;

/// Brokers of a test's own, to be killed and started again.
pub struct Cluster {
    pub bootstrap: String,
    directory: PathBuf,
}

impl Cluster {
    /// One broker, or three.
    pub fn start(brokers: u32) -> Self {
        Self::start_with_links(brokers, 0)
    }

    /// Brokers that can be reached over so many links each, too: see [`Cluster::link`].
    pub fn start_with_links(brokers: u32, links: u32) -> Self {
        let directory = std::env::temp_dir().join(format!("ipam-kafka-{}", unique_prefix()));
        let arguments = ["start", &brokers.to_string(), directory.to_str().expect("a plain path")];
        let bootstrap = script_with(&arguments, &[("LINKS", links.to_string())]);
        Self { bootstrap, directory }
    }

    /// The ports of a link to a broker: where the broker says that it is, and where it listens. Both count from 1.
    pub fn link(&self, broker: u32, link: u32) -> (u16, u16) {
        let file = self.directory.join(broker.to_string()).join(format!("link-{link}"));
        let text = std::fs::read_to_string(file).expect("a link");
        let (real, advertised) = text.trim().split_once(' ').expect("two ports");
        (advertised.parse().expect("a port"), real.parse().expect("a port"))
    }

    /// Kills a broker (1, 2, 3) as a power failure would.
    pub fn kill(&self, broker: u32) {
        script(&["kill", self.path(), &broker.to_string()]);
    }

    pub fn restart(&self, broker: u32) {
        script(&["restart", self.path(), &broker.to_string()]);
    }

    /// Stops a broker's process where it is (`STOP`), or lets it go on (`CONT`).
    pub fn signal(&self, broker: u32, signal: &str) {
        script(&["signal", self.path(), &broker.to_string(), signal]);
    }

    /// What the brokers said last.
    fn tell(&self) {
        for broker in 1..=3 {
            let text = std::fs::read_to_string(self.directory.join(format!("{broker}/broker.out"))).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            println!("--- broker {broker} says last:");
            lines.iter().rev().take(TAIL_LINES).rev().for_each(|line| println!("{line}"));
        }
    }

    fn path(&self) -> &str {
        self.directory.to_str().expect("a plain path")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
        script(&["stop", self.path()]);
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn script(arguments: &[&str]) -> String {
    script_with(arguments, &[])
}

fn script_with(arguments: &[&str], variables: &[(&str, String)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/broker.sh");
    let mut command = Command::new(path);
    command.args(arguments).env("WATCH_PID", std::process::id().to_string());
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let output = command.output();
    let output = output.expect("broker.sh runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "broker.sh {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
