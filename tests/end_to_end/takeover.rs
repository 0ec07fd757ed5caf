//! Two processes share the partitions of a ledger on Kafka. One is killed in the middle of the work, others come
//! and go: every command has exactly one outcome, and all nodes tell the same.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ipam_ledger::log::kafka::{KafkaConfig, KafkaLog, create_topics};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audience::{Audience, Key};
use crate::kafka::{self, Cluster};
use crate::patience::{PATIENCE, wait_until};
use crate::process::ipam;
use crate::server::{Server, command};

const COMMANDS: usize = 10_000;
/// Every so many-th command is sent a second time.
const REPEATED_EVERY: usize = 25;
const ORGANIZATIONS: usize = 8;
const PARTITIONS: u32 = 4;

#[test]
fn a_killed_process_loses_nothing_and_doubles_nothing() {
    scenario(&kafka::config_with_topics(PARTITIONS), || {}, || {});
}

/// Two of three brokers must have a record before it is acknowledged: one may go.
#[test]
fn a_killed_process_and_a_killed_broker_of_three_lose_nothing_and_double_nothing() {
    let cluster = Cluster::start(3);
    let config = kafka::config_at(&cluster.bootstrap);
    create_topics(&config, PARTITIONS, None).expect("the topics");
    scenario(&config, || cluster.kill(2), || cluster.restart(2));
}

/// `in_the_middle` comes with the kill of a process; `later`, when all commands have their outcomes.
fn scenario(config: &KafkaConfig, in_the_middle: impl FnOnce(), later: impl FnOnce()) {
    let data = tempfile::tempdir().expect("a directory");
    let start = |name: &str| {
        let server =
            Server::start(&data.path().join(name), &["--kafka", &config.bootstrap, "--topic-prefix", &config.prefix]);
        wait_until(&format!("{name} is given partitions"), || takeovers(&server) > 0);
        server
    };
    let first = start("first");
    let pools: Vec<_> = (0..ORGANIZATIONS).map(|index| prepare(&first, index)).collect();
    let second = start("second");
    let mut audience = Audience::new(Arc::new(KafkaLog::new(config.clone()).expect("a client")));
    let mut crowd = Crowd::new(config);

    crowd.send(&pools, 0..COMMANDS / 4);
    wait_until("some commands are decided", || audience.listen(&crowd.sent) > COMMANDS / 20);
    // So many more at once that they cannot all be decided when the first is killed.
    let sent = COMMANDS * 3 / 4;
    crowd.send(&pools, COMMANDS / 4..sent);
    first.kill();
    in_the_middle();
    assert!(audience.listen(&crowd.sent) < sent, "nothing was under way when the first was killed");
    crowd.send(&pools, sent..COMMANDS);
    crowd.flush();
    let third = start("third");
    wait_until("every command is decided", || audience.listen(&crowd.sent) == COMMANDS);
    assert!(audience.reigns.len() > PARTITIONS as usize, "nobody took anything over");
    later();
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
    audit(data.path(), config);
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
    sent: BTreeSet<Key>,
}

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
        Self { producers, topic: config.commands_topic(), sent: BTreeSet::new() }
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

/// Both nodes give the same answers, at the revisions that the log has.
fn agree(one: &Server, other: &Server, audience: &Audience, pools: &[(String, String)]) {
    for (organization, pool) in pools {
        let revision = audience.revision(organization);
        assert_eq!(audience.accepted(organization), revision, "there was room for every block of {organization}");
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
