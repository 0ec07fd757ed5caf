//! Two processes share the partitions of a ledger on Kafka. One is killed in the middle of the work, others come
//! and go: every command has exactly one outcome, and all nodes tell the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use ipam_ledger::domain::id::{CommandId, OrganizationId};
use ipam_ledger::domain::outcome::Outcome;
use ipam_ledger::log::Log as _;
use ipam_ledger::log::admission::{Admission, Verdict};
use ipam_ledger::log::kafka::{KafkaConfig, KafkaLog};
use ipam_ledger::log::partition::partition_of;
use ipam_ledger::log::record::Partition;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::kafka;
use crate::process::ipam;
use crate::server::{Server, command};

const COMMANDS: usize = 10_000;
/// Every so many-th command is sent a second time.
const REPEATED_EVERY: usize = 25;
const ORGANIZATIONS: usize = 8;
const PARTITIONS: u32 = 4;
/// A limit for what takes seconds on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(240);

#[test]
fn a_killed_process_loses_nothing_and_doubles_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let config = kafka::config_with_topics(PARTITIONS);
    let start = |name: &str| {
        let server =
            Server::start(&data.path().join(name), &["--kafka", &config.bootstrap, "--topic-prefix", &config.prefix]);
        wait_until(&format!("{name} is given partitions"), || takeovers(&server) > 0);
        server
    };
    let first = start("first");
    let pools: Vec<_> = (0..ORGANIZATIONS).map(|index| prepare(&first, index)).collect();
    let second = start("second");
    let mut audience = Audience::new(&config);
    let mut crowd = Crowd::new(&config);

    crowd.send(&pools, 0..COMMANDS / 4);
    wait_until("some commands are decided", || audience.listen(&crowd.sent) > COMMANDS / 20);
    // So many more at once that they cannot all be decided when the first is killed.
    let sent = COMMANDS * 3 / 4;
    crowd.send(&pools, COMMANDS / 4..sent);
    first.kill();
    assert!(audience.listen(&crowd.sent) < sent, "nothing was under way when the first was killed");
    crowd.send(&pools, sent..COMMANDS);
    crowd.flush();
    let third = start("third");
    wait_until("every command is decided", || audience.listen(&crowd.sent) == COMMANDS);
    assert!(audience.reigns() > u64::from(PARTITIONS), "nobody took anything over");
    agree(&second, &third, &audience, &pools);

    // An orderly stop, and one more joins: every partition has its writer again.
    second.stop();
    let fourth = start("fourth");
    for (organization, pool) in &pools {
        let outcome = fourth.accept(organization, organization, "AllocateCidr", &block(pool));
        let id = outcome["command_id"].as_str().expect("an id").parse().expect("a UUID");
        crowd.sent.insert((organization.parse().expect("an account"), id));
    }
    wait_until("the last commands are seen", || audience.listen(&crowd.sent) == COMMANDS + ORGANIZATIONS);
    agree(&third, &fourth, &audience, &pools);
    third.stop();
    fourth.stop();
    audit(data.path(), &config);
}

fn audit(home: &Path, config: &KafkaConfig) {
    let audit = ipam(home, &["audit", "verify", "--kafka", &config.bootstrap, "--topic-prefix", &config.prefix]);
    assert_eq!(audit.code, 0, "{audit:#?}");
    assert!(audit.out.contains(&format!("in {PARTITIONS} partitions")), "{audit:#?}");
}

/// A lone account's ledger with a pool; gives both.
fn prepare(server: &Server, index: usize) -> (String, String) {
    let account = format!("{:012}", index + 1);
    let created = |outcome: &Value, id: &str| {
        outcome["decision"]["accepted"][0]["data"][id].as_str().map(str::to_owned).expect("an id")
    };
    let ipam = server.accept(&account, &account, "CreateIpam", &json!({"home_region": "eu-central-1"}));
    let scope = created(&ipam, "private_default_scope");
    let pool = server.accept(&account, &account, "CreatePool", &json!({"scope": scope, "address_family": "ipv4"}));
    let pool = created(&pool, "pool");
    server.accept(&account, &account, "ProvisionPoolCidr", &json!({"pool": pool, "cidr": "10.0.0.0/8"}));
    (account, pool)
}

fn block(pool: &str) -> Value {
    json!({"pool": pool, "netmask_length": 28})
}

/// Producers that are not this program: one with its client's own partitioner, one with Java's.
struct Crowd {
    producers: [ThreadedProducer<DefaultProducerContext>; 2],
    topic: String,
    sent: Sent,
}

type Sent = std::collections::BTreeSet<(OrganizationId, CommandId)>;

impl Crowd {
    fn new(config: &KafkaConfig) -> Self {
        let producer = |partitioner: &str| {
            ClientConfig::new()
                .set("bootstrap.servers", &config.bootstrap)
                .set("enable.idempotence", "true")
                .set("partitioner", partitioner)
                .create()
                .expect("a producer")
        };
        // `consistent_random` is librdkafka's default: it sends most keys elsewhere than Java's clients do.
        let producers = [producer("consistent_random"), producer("murmur2_random")];
        Self { producers, topic: config.commands_topic(), sent: Sent::new() }
    }

    fn send(&mut self, pools: &[(String, String)], numbers: std::ops::Range<usize>) {
        for number in numbers {
            let (organization, pool) = &pools[number % pools.len()];
            let mut command = command(organization, "AllocateCidr", &block(pool));
            command["organization"] = json!(organization);
            let id: Uuid = command["command_id"].as_str().expect("an id").parse().expect("a UUID");
            self.sent.insert((organization.parse().expect("an account"), id));
            let value = command.to_string();
            let times = if number % REPEATED_EVERY == 0 { 2 } else { 1 };
            for time in 0..times {
                let producer = &self.producers[(number / pools.len() + time) % 2];
                let record = BaseRecord::to(&self.topic).key(organization).payload(&value);
                producer.send(record).map_err(|(error, _)| error).expect("handed over");
            }
        }
    }

    fn flush(&self) {
        for producer in &self.producers {
            producer.flush(PATIENCE).expect("the broker has all commands");
        }
    }
}

/// Reads the whole events log with the library's own fold, and keeps the outcomes that count.
struct Audience {
    log: KafkaLog,
    partitions: Vec<Admission>,
    outcomes: BTreeMap<(OrganizationId, CommandId), Outcome>,
}

impl Audience {
    fn new(config: &KafkaConfig) -> Self {
        let log = KafkaLog::new(config.clone()).expect("a client");
        Self { log, partitions: vec![Admission::default(); PARTITIONS as usize], outcomes: BTreeMap::new() }
    }

    /// Reads to the end; gives how many of these commands have their outcome. None may have two.
    fn listen(&mut self, sent: &Sent) -> usize {
        for (partition, admission) in (0..).map(Partition).zip(&mut self.partitions) {
            let end = self.log.end(partition).expect("a broker");
            let from = admission.next;
            if from >= end {
                continue;
            }
            let mut reader = self.log.reader(partition, from).expect("a reader");
            while admission.next < end {
                for record in reader.read(1_000, Duration::from_secs(1)).expect("records") {
                    if let Verdict::Outcome(_) = admission.admit(&record) {
                        let outcome: Outcome = serde_json::from_slice(&record.value).expect("an outcome");
                        assert_eq!(partition_of(&outcome.organization, PARTITIONS), partition);
                        let key = (outcome.organization.clone(), outcome.command_id);
                        let before = self.outcomes.insert(key, outcome);
                        assert!(before.is_none(), "a command has two outcomes that count: {before:?}");
                    }
                }
            }
        }
        sent.iter().filter(|key| self.outcomes.contains_key(key)).count()
    }

    fn reigns(&self) -> u64 {
        self.partitions.iter().filter_map(|admission| admission.reign).map(|reign| reign.epoch.0).sum()
    }

    /// The latest revision of an organisation, after a check that its outcomes are one unbroken history of distinct
    /// blocks.
    fn revision(&self, organization: &str) -> u64 {
        let of_one = self.outcomes.values().filter(|outcome| outcome.organization.as_str() == organization);
        let mut revisions: Vec<_> = of_one.clone().filter_map(|outcome| outcome.revision).map(|it| it.0).collect();
        revisions.sort_unstable();
        let expected: Vec<_> = (1..=revisions.len() as u64).collect();
        assert_eq!(revisions, expected, "{organization} has gaps or forks in its history");
        let accepted = of_one.filter(|outcome| !outcome.events().is_empty()).count();
        assert_eq!(accepted, revisions.len(), "there was room for every block of {organization}");
        revisions.len() as u64
    }
}

/// Both nodes give the same answers, at the revisions that the log has.
fn agree(one: &Server, other: &Server, audience: &Audience, pools: &[(String, String)]) {
    for (organization, pool) in pools {
        let revision = audience.revision(organization);
        let root = format!("/v1/organizations/{organization}");
        for path in [
            format!("/pools/{pool}/allocations?limit=1000&"),
            format!("/pools/{pool}?"),
            "/history?cidr=10.0.0.0/16&limit=1000&".to_owned(),
            "?".to_owned(),
        ] {
            let path = format!("{root}{path}at_least={revision}&wait_seconds=30");
            let answers = [one, other].map(|server| {
                let mut answer = None;
                wait_until(&path, || {
                    answer = server.try_get(&path).filter(|(status, _)| *status == 200);
                    answer.is_some()
                });
                answer.expect("it was waited for").1
            });
            assert_eq!(answers[0]["revision"], revision, "{path}");
            assert_eq!(answers[0], answers[1], "{path}");
        }
    }
}

/// How many reigns the writers of a process have opened.
fn takeovers(server: &Server) -> u64 {
    let Some((200, Value::String(metrics))) = server.try_get("/metrics") else { return 0 };
    let lines = metrics.lines().filter(|line| line.starts_with("ipam_takeovers"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
