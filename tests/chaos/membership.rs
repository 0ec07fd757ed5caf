//! Members with a name (`--member`): a quick restart moves no partition, and two processes of one name are told apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use ipam_ledger::log::kafka::{KafkaConfig, KafkaLog};
use serde_json::json;

use crate::audience::Audience;
use crate::draw::Scene;
use crate::kafka;
use crate::patience::wait_until;
use crate::server::Server;
use crate::takeovers;

const PARTITIONS: u32 = 4;

fn start(scene: &Scene, config: &KafkaConfig, name: &str, member: &str) -> Server {
    let log = OpenOptions::new().create(true).append(true).open(scene.log(name)).expect("a log file");
    let mut flags = vec!["--kafka", &config.bootstrap, "--topic-prefix", &config.prefix];
    flags.extend(["--member", member, "--log-format", "json"]);
    let server = Server::try_spawn(&scene.path().join(name), &flags, Stdio::from(log)).expect("it starts");
    server.wait_until_ready();
    server
}

#[test]
fn a_quick_restart_of_a_named_member_moves_no_partition() {
    let scene = Scene::plain("a_quick_restart");
    let config = kafka::config_with_topics(PARTITIONS);
    let mut audience = Audience::new(Arc::new(KafkaLog::new(config.clone()).expect("a client")));
    let first = start(&scene, &config, "first", "a");
    let _second = start(&scene, &config, "second", "b");
    wait_until("they share the partitions", || {
        audience.listen(&BTreeSet::new());
        ["first", "second"].iter().all(|name| written(&scene, name, &audience).len() == PARTITIONS as usize / 2)
    });
    let (of_first, of_second) = (written(&scene, "first", &audience), written(&scene, "second", &audience));

    first.kill();
    let _first = start(&scene, &config, "first", "a");
    let mut again = BTreeMap::new();
    wait_until("the restarted member writes what it wrote before", || {
        audience.listen(&BTreeSet::new());
        again = written(&scene, "first", &audience);
        of_first.iter().all(|(partition, epoch)| again.get(partition).is_some_and(|now| now > epoch))
    });
    // The other one's reigns are those from before: nothing was taken from it, not even for a moment.
    assert_eq!(written(&scene, "second", &audience), of_second);
    // One reign follows another without somebody else's between.
    for (partition, epoch) in &of_first {
        assert_eq!(again[partition], epoch + 1, "partition {partition} was with somebody else meanwhile");
    }
}

#[test]
fn two_processes_of_one_member_name_are_told_apart() {
    let scene = Scene::plain("two_processes");
    let config = kafka::config_with_topics(PARTITIONS);
    let mut audience = Audience::new(Arc::new(KafkaLog::new(config.clone()).expect("a client")));
    let accept = |server: &Server, account: &str| {
        server.accept(account, account, "CreateIpam", &json!({"home_region": "eu-central-1"}));
    };
    let first = start(&scene, &config, "first", "a");
    accept(&first, "000000000001");
    let second = start(&scene, &config, "second", "a");
    wait_until("the first says that it was replaced, and by what", || {
        first.try_get("/readyz").is_some_and(|(status, body)| {
            let text = body.to_string();
            status == 503 && ["another process", "--member a", "restart"].iter().all(|words| text.contains(words))
        })
    });
    // The second writes; the first still answers questions, and hands commands on.
    accept(&second, "000000000002");
    accept(&first, "000000000003");
    first.get("/v1/organizations/000000000002?at_least=1&wait_seconds=30");
    // They do not take the name from one another for ever: another join takes 3 s.
    std::thread::sleep(Duration::from_secs(8));
    audience.listen(&BTreeSet::new());
    assert_eq!(
        written(&scene, "second", &audience).len(),
        PARTITIONS as usize,
        "the second does not keep the partitions"
    );
    assert_eq!(second.try_get("/readyz").map(|(status, _)| status), Some(200));
    assert_eq!(first.try_get("/readyz").map(|(status, _)| status), Some(503));
}

/// The partitions whose open reign a process opened, by the epoch.
fn written(scene: &Scene, name: &str, audience: &Audience) -> BTreeMap<u32, u64> {
    let opened = takeovers::opened(&scene.log(name));
    let reigns = audience.reigns.iter().map(|reign| (reign.partition.0, reign.epoch));
    let mut open: BTreeMap<u32, u64> = reigns.collect();
    open.retain(|partition, epoch| opened.contains(&(*partition, *epoch)));
    open
}
