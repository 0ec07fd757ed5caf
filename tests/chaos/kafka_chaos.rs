//! Three brokers, three nodes, and a link between each node and each broker. A drawn plan kills and stops nodes and
//! brokers and cuts links, while clients write over HTTP and over Kafka and read back what they wrote.
//!
//! The checks are those of Jepsen's for Kafka: nothing acknowledged is lost, nothing has two effects, an
//! organisation's commands are decided in the order in which they were sent, what was acknowledged is read on any node that
//! says it has got so far, and nodes that name the same revision give the same answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ipam_ledger::domain::time::Timestamp;
use ipam_ledger::log::kafka::{KafkaConfig, KafkaLog, create_topics};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use serde_json::{Value, json};

use crate::audience::{Audience, Key};
use crate::client::{Client, outcome};
use crate::draw::{Draw, Scene, setting};
use crate::kafka::{self, Cluster};
use crate::network::{Link, Way};
use crate::node::Node;
use crate::patience::{PATIENCE, wait_until};
use crate::plan::{self, BROKERS, Fault, NODES};
use crate::process::ipam;
use crate::server::command;
use crate::takeovers::Takeovers;
use crate::witness::{Witness, key};

const SECONDS: u64 = 180;
const PARTITIONS: u32 = 3;
const ORGANIZATIONS: usize = 8;
/// What an organisation's pool takes.
const PREPARING_COMMANDS: u64 = 3;
const CLIENTS: usize = 4;
/// Commands a second that go to Kafka directly.
const DIRECT_PER_SECOND: u64 = 40;

#[test]
fn faults_of_nodes_brokers_and_links_lose_double_and_reorder_nothing() {
    let (mut draw, seed) = Draw::seeded();
    let length = Duration::from_secs(setting("CHAOS_SECONDS").unwrap_or(SECONDS));
    let scene = Scene::drawn("faults_of_nodes", seed, &format!("CHAOS_SECONDS={}", length.as_secs()));
    let plan = match setting::<String>("CHAOS_FAULTS").as_deref() {
        Some("kills") => plan::kills(&mut draw, length),
        _ => plan::draw(&mut draw, length),
    };
    let cluster = Cluster::start_with_links(number(BROKERS), number(NODES));
    let config = kafka::config_at(&cluster.bootstrap);
    create_topics(&config, PARTITIONS, None).expect("the topics");
    let stage = Stage::new(&scene, &cluster, &config);

    let mut takeovers = Takeovers::default();
    let in_order = thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let (stage, draw) = (&stage, draw.fork());
            scope.spawn(move || stage.write(draw));
        }
        let (comparing, producing) = (draw.fork(), draw.fork());
        scope.spawn(|| stage.compare(comparing));
        let direct = scope.spawn(|| stage.produce(&config, producing));
        stage.suffer(&cluster, &plan, &mut takeovers);
        stage.over.store(true, Ordering::Relaxed);
        direct.join().expect("all is sent")
    });

    let expected = stage.witness.expected();
    let mut audience = Audience::new(Arc::new(KafkaLog::new(config.clone()).expect("a client")));
    wait_until("every command is decided", || audience.listen(&expected) == expected.len());
    stage.witness.check(&audience);
    stage.check_order(&audience, &in_order);
    stage.all_agree(&audience);
    let witness = stage.end();
    audit(scene.path(), &config);
    println!(
        "{} faults in {} s; {}; {} outcomes in the log, {} void records, {} reigns",
        plan.len() / 2,
        length.as_secs(),
        witness.summary(),
        audience.outcomes.len(),
        audience.void_records(),
        audience.reigns.len()
    );
    println!("{}", takeovers.report(&audience, &(0..NODES).map(|node| scene.log(&name(node))).collect::<Vec<_>>()));
    witness.assert_nothing_found();
}

fn number(few: usize) -> u32 {
    u32::try_from(few).expect("few")
}

fn name(node: usize) -> String {
    format!("node-{node}")
}

struct Stage {
    nodes: Vec<Node>,
    /// By node, then broker.
    links: Vec<Vec<Link>>,
    /// Organisations with the pool of each.
    pools: Vec<(String, String)>,
    witness: Witness,
    /// No new commands; those that are under way are asked for until they are answered.
    over: AtomicBool,
}

impl Stage {
    fn new(scene: &Scene, cluster: &Cluster, config: &KafkaConfig) -> Self {
        let (mut nodes, mut links) = (Vec::new(), Vec::new());
        for node in 0..NODES {
            let ports: Vec<_> = (1..=number(BROKERS)).map(|broker| cluster.link(broker, number(node + 1))).collect();
            links.push(ports.iter().map(|(advertised, real)| Link::start(*advertised, *real)).collect());
            let bootstrap: Vec<_> = ports.iter().map(|(advertised, _)| format!("127.0.0.1:{advertised}")).collect();
            let flags = ["--kafka", &bootstrap.join(","), "--topic-prefix", &config.prefix, "--log-format", "json"];
            let flags = flags.iter().map(ToString::to_string).collect();
            nodes.push(Node::start(scene.path().join(name(node)), flags, scene.log(&name(node))));
        }
        let mut stage =
            Self { nodes, links, pools: Vec::new(), witness: Witness::default(), over: AtomicBool::new(false) };
        let mut draw = Draw::of(0);
        for index in 0..ORGANIZATIONS {
            let account = format!("{:012}", index + 1);
            let mut accept = |kind: &str, payload: Value| {
                let outcome = stage.settle(&mut draw, &account, &command(&account, kind, &payload));
                outcome["decision"]["accepted"][0]["data"].clone()
            };
            let scope = accept("CreateIpam", json!({"home_region": "eu-central-1"}))["private_default_scope"].clone();
            let pool = accept("CreatePool", json!({"scope": scope, "address_family": "ipv4"}))["pool"].clone();
            accept("ProvisionPoolCidr", json!({"pool": pool, "cidr": "10.0.0.0/8"}));
            stage.pools.push((account, pool.as_str().expect("a pool").to_owned()));
        }
        stage
    }

    /// Carries out the plan.
    fn suffer(&self, cluster: &Cluster, plan: &[plan::Step], takeovers: &mut Takeovers) {
        let began = Instant::now();
        for step in plan {
            thread::sleep(step.at.saturating_sub(began.elapsed()));
            let verb = if step.begins { "begins" } else { "is over" };
            println!(
                "{:>7.1} s (planned {:.1}): {:?} {verb}",
                began.elapsed().as_secs_f32(),
                step.at.as_secs_f32(),
                step.fault
            );
            takeovers.note(step.fault, step.begins, Timestamp::from(chrono::DateTime::from(SystemTime::now())));
            match (step.fault, step.begins) {
                (Fault::KillNode(node), true) => self.nodes[node].kill(),
                (Fault::KillNode(node), false) => self.nodes[node].revive(),
                (Fault::StopNode(node), true) => self.nodes[node].signal("-STOP"),
                (Fault::StopNode(node), false) => self.nodes[node].signal("-CONT"),
                (Fault::KillBroker(broker), true) => cluster.kill(broker),
                (Fault::KillBroker(broker), false) => cluster.restart(broker),
                (Fault::StopBroker(broker), true) => cluster.signal(broker, "STOP"),
                (Fault::StopBroker(broker), false) => cluster.signal(broker, "CONT"),
                (Fault::Link { node, broker, way }, begins) => {
                    for (number, link) in (1..).zip(&self.links[node]) {
                        if broker.is_none_or(|broker| broker == number) {
                            link.set(if begins { way } else { Way::Open });
                        }
                    }
                }
            }
        }
    }

    /// A client over HTTP: one command after the other, each until it is told its outcome.
    fn write(&self, mut draw: Draw) {
        let mut held: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        while !self.over.load(Ordering::Relaxed) {
            let (organization, pool) = draw.pick(&self.pools);
            let mine = held.entry(organization).or_default();
            let command = match draw.below(10) {
                // Refused, and on record.
                0 => command(organization, "AllocateCidr", &block(pool, 7)),
                1 | 2 if !mine.is_empty() => {
                    let allocation = mine.swap_remove(draw.below(mine.len()));
                    command(organization, "ReleaseAllocation", &json!({"allocation": allocation}))
                }
                _ => command(organization, "AllocateCidr", &block(pool, 28)),
            };
            let outcome = self.settle(&mut draw, organization, &command);
            let event = &outcome["decision"]["accepted"][0];
            if event["type"] == "CidrAllocated" {
                mine.push(event["data"]["allocation"].clone());
                if draw.one_in(4) {
                    self.read_back(&mut draw, organization, &outcome);
                }
            }
        }
    }

    /// Sends a command to any node that answers, until one tells its outcome.
    fn settle(&self, draw: &mut Draw, organization: &str, command: &Value) -> Value {
        let (client, floor) = (Client::new(), self.witness.latest(organization));
        let mut until = Instant::now() + PATIENCE;
        loop {
            if let Some(url) = draw.pick(&self.nodes).url()
                && let Some(answer) = client.send(&url, organization, command)
            {
                if answer.0 >= 500 && answer.0 != 503 && answer.0 != 504 || answer.0 == 400 {
                    self.witness.finding(format!("{command} is answered with {} {}", answer.0, answer.1));
                }
                if let Some(outcome) = outcome(answer) {
                    self.witness.told_outcome(organization, command, &outcome, floor);
                    return outcome;
                }
            }
            self.witness.asked_again();
            thread::sleep(Duration::from_millis(100));
            if !self.over.load(Ordering::Relaxed) {
                until = Instant::now() + PATIENCE;
            }
            assert!(Instant::now() < until, "no node tells the outcome of {command}");
        }
    }

    /// A node that says it has got as far as an acknowledged revision shows what was acknowledged.
    fn read_back(&self, draw: &mut Draw, organization: &str, outcome: &Value) {
        let data = &outcome["decision"]["accepted"][0]["data"];
        let (allocation, revision) = (data["allocation"].as_str().expect("an id"), &outcome["revision"]);
        let path = format!(
            "/v1/organizations/{organization}/allocations/{allocation}?as_of=rev:{revision}&at_least={revision}&wait_seconds=5"
        );
        let Some(url) = draw.pick(&self.nodes).url() else { return };
        match Client::new().get(&url, &path) {
            Some((200, shown)) if shown.to_string().contains(data["cidr"].as_str().expect("a block")) => {}
            None | Some((503, _)) => {}
            Some(other) => self.witness.finding(format!("acknowledged, but not there: {outcome}: {other:?}")),
        }
    }

    /// Asks all nodes the same about an acknowledged revision.
    fn compare(&self, mut draw: Draw) {
        let client = Client::new();
        while !self.over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(300));
            let (organization, pool) = draw.pick(&self.pools);
            let latest = self.witness.latest(organization);
            // Not before the pool was there.
            let back = latest.saturating_sub(PREPARING_COMMANDS).clamp(1, 50);
            let revision = latest - draw.below(usize::try_from(back).expect("few")) as u64;
            let what = draw.pick(&["", "/pools", "/pools/POOL", "/pools/POOL/allocations", "/pools/POOL/usage"]);
            let path = format!(
                "/v1/organizations/{organization}{}?as_of=rev:{revision}&at_least={latest}&wait_seconds=3",
                what.replace("POOL", pool)
            );
            let urls = self.nodes.iter().filter_map(Node::url);
            let answers: Vec<_> = urls.filter_map(|url| client.get(&url, &path)).collect();
            let (shown, not): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(status, _)| *status == 200);
            if let Some(other) = not.iter().find(|(status, _)| *status != 503) {
                self.witness.finding(format!("{path} is answered with {other:?}"));
            }
            if let Some(two) = shown.windows(2).find(|two| two[0] != two[1]) {
                self.witness.finding(format!("nodes differ about {path}:\n{}\n{}", two[0].1, two[1].1));
            }
        }
    }

    /// A producer on Kafka itself, in order; some commands twice, and some in a foreign partitioner's partition, of
    /// which no order is promised. Gives the commands of each organisation that are in order.
    fn produce(&self, config: &KafkaConfig, mut draw: Draw) -> BTreeMap<String, Vec<Key>> {
        let producer = |partitioner: &str| -> ThreadedProducer<DefaultProducerContext> {
            let mut client = ClientConfig::new();
            client.set("bootstrap.servers", &config.bootstrap).set("enable.idempotence", "true");
            client.set("message.timeout.ms", PATIENCE.as_millis().to_string());
            client.set("partitioner", partitioner).create().expect("a producer")
        };
        let (java, foreign) = (producer("murmur2_random"), producer("consistent_random"));
        let mut in_order: BTreeMap<String, Vec<Key>> = BTreeMap::new();
        while !self.over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1_000 / DIRECT_PER_SECOND));
            let (organization, pool) = draw.pick(&self.pools);
            let mut command = command(organization, "AllocateCidr", &block(pool, 28));
            command["organization"] = json!(organization);
            let value = command.to_string();
            let send = |producer: &ThreadedProducer<_>| {
                let topic = config.commands_topic();
                let record = BaseRecord::to(&topic).key(organization).payload(&value);
                producer.send(record).map_err(|(error, _)| error).expect("handed over");
            };
            self.witness.sent(organization, &command);
            match draw.below(10) {
                0 => send(&foreign),
                1 => {
                    send(&java);
                    send(if draw.one_in(2) { &java } else { &foreign });
                }
                _ => {
                    send(&java);
                    in_order.entry(organization.clone()).or_default().push(key(organization, &command));
                }
            }
        }
        for producer in [java, foreign] {
            producer.flush(PATIENCE).expect("the brokers have all commands");
        }
        in_order
    }

    fn check_order(&self, audience: &Audience, in_order: &BTreeMap<String, Vec<Key>>) {
        for (organization, keys) in in_order {
            let revisions: Vec<_> = keys.iter().map(|key| audience.outcomes[key].outcome.revision).collect();
            if let Some(two) = revisions.windows(2).find(|two| two[0] >= two[1]) {
                self.witness.finding(format!("reordered within {organization}: {two:?} in the order of sending"));
            }
        }
    }

    /// Every node has got to the end of the log, and all tell the same.
    fn all_agree(&self, audience: &Audience) {
        let client = Client::new();
        for (organization, pool) in &self.pools {
            let revision = audience.revision(organization);
            for path in
                ["?", "/pools/POOL?", "/pools/POOL/allocations?limit=1000&", "/history?cidr=10.0.0.0/18&limit=1000&"]
            {
                let path = path.replace("POOL", pool);
                let path = format!("/v1/organizations/{organization}{path}at_least={revision}&wait_seconds=5");
                let answers = self.nodes.iter().map(|node| {
                    let mut answer = None;
                    wait_until(&path, || {
                        answer =
                            node.url().and_then(|url| client.get(&url, &path)).filter(|(status, _)| *status == 200);
                        answer.is_some()
                    });
                    answer.expect("it was waited for").1
                });
                let answers: Vec<_> = answers.collect();
                if answers.iter().any(|answer| *answer != answers[0] || answer["revision"] != revision) {
                    self.witness.finding(format!("nodes differ about {path} at the end: {answers:?}"));
                }
            }
        }
    }

    /// Stops the nodes in order.
    fn end(self) -> Witness {
        for node in self.nodes {
            node.findings().into_iter().for_each(|finding| self.witness.finding(finding));
            node.stop();
        }
        self.witness
    }
}

fn block(pool: &str, netmask_length: u8) -> Value {
    json!({"pool": pool, "netmask_length": netmask_length})
}

fn audit(home: &Path, config: &KafkaConfig) {
    let audit = ipam(home, &["audit", "verify", "--kafka", &config.bootstrap, "--topic-prefix", &config.prefix]);
    assert_eq!(audit.code, 0, "{audit:#?}");
}
