//! The races that other address managers lose: two callers get one block, retries allocate again, a late release
//! frees somebody else's, two pools take one part of their parent. Here: no duplicate, no refusal without a reason,
//! and the whole pool is handed out exactly; on the embedded log and on Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ipam_ledger::log::Log;
use ipam_ledger::log::embedded::EmbeddedLog;
use ipam_ledger::log::kafka::KafkaLog;
use ipnet::Ipv4Net;
use serde_json::{Value, json};

use crate::audience::{Audience, Recorded};
use crate::client::{Client, outcome};
use crate::kafka;
use crate::patience::PATIENCE;
use crate::server::{Server, command};

const CLIENTS: usize = 128;
const ACCOUNT: &str = "000000000042";
/// A client that waits no longer than this for an answer asks again: many do while 128 ask at once.
const IMPATIENCE: Duration = Duration::from_millis(15);

#[test]
fn races_on_the_embedded_log() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &[]);
    all(&server);
    server.stop();
    held_blocks_never_overlap(Arc::new(EmbeddedLog::open_read_only(&data.path().join("log")).expect("a log")));
}

#[test]
fn races_on_kafka() {
    let data = tempfile::tempdir().expect("a directory");
    let config = kafka::config_with_topics(1);
    let server = Server::start(data.path(), &["--kafka", &config.bootstrap, "--topic-prefix", &config.prefix]);
    all(&server);
    server.stop();
    held_blocks_never_overlap(Arc::new(KafkaLog::new(config).expect("a client")));
}

fn all(server: &Server) {
    let scope =
        accepted(&settle(server, "CreateIpam", &json!({"home_region": "eu-central-1"})))["private_default_scope"]
            .clone();
    settle(server, "SetQuota", &json!({"quota": "cidrs-per-pool", "value": 2 * CLIENTS}));
    everybody_asks_for_the_next_block(server, &pool(server, &scope, "10.0.0.0/20"));
    allocations_meet_releases(server, &pool(server, &scope, "10.1.0.0/21"));
    two_pools_share_one_parent(server, &scope, &pool(server, &scope, "10.2.0.0/16"));
    retries_meet_their_first_attempt(server, &pool(server, &scope, "10.3.0.0/20"));
}

/// 256 blocks and 128 clients: each gets two, and together they hold the pool.
fn everybody_asks_for_the_next_block(server: &Server, pool: &Value) {
    let blocks = together(|_| {
        let blocks: Vec<_> = (0..2).map(|_| accepted(&allocate(server, pool))["cidr"].clone()).collect();
        blocks
    });
    assert_hands_out_exactly("10.0.0.0/20", blocks.into_iter().flatten());
    assert_exhausted(server, pool);
}

/// As many blocks as clients: nobody who gives its block back before asking again is ever refused. Each release is sent
/// twice at once, and again when somebody else may have the block: it counts once.
fn allocations_meet_releases(server: &Server, pool: &Value) {
    let revisions = together(|_| {
        let mut before: Option<Value> = None;
        let mut last = None;
        for _ in 0..4 {
            let held = accepted(&allocate(server, pool));
            if let Some(stale) = before.take() {
                assert_refused(
                    &settle(server, "ReleaseAllocation", &json!({"allocation": stale})),
                    "AllocationNotFound",
                );
            }
            let release = || settle(server, "ReleaseAllocation", &json!({"allocation": held["allocation"]}));
            let released =
                thread::scope(|scope| [scope.spawn(release), scope.spawn(release)].map(thread::ScopedJoinHandle::join));
            let released = released.map(|outcome| outcome.expect("an outcome"));
            let counted = released.iter().filter(|outcome| outcome["decision"]["accepted"].is_array()).count();
            assert_eq!(counted, 1, "one release, two effects: {released:?}");
            before = Some(held["allocation"].clone());
            last = released.iter().filter_map(|outcome| outcome["revision"].as_u64()).max();
        }
        last.expect("releases have a revision")
    });
    let last = revisions.into_iter().max().expect("there are clients");
    let path = format!("/v1/organizations/{ACCOUNT}/pools/{}/allocations?at_least={last}&wait_seconds=30", text(pool));
    let free = server.get(&path);
    assert_eq!(free["items"], json!([]), "all was given back");
}

/// Two children take the parent's 256 blocks of 256 addresses between them, and hand out what they took.
fn two_pools_share_one_parent(server: &Server, scope: &Value, parent: &Value) {
    let child = || {
        accepted(&settle(
            server,
            "CreatePool",
            &json!({"scope": scope, "address_family": "ipv4", "source_pool": parent}),
        ))["pool"]
            .clone()
    };
    let children = [child(), child()];
    let blocks = together(|client| {
        let provision = |_| {
            accepted(&settle(server, "ProvisionPoolCidr", &json!({"pool": children[client % 2], "netmask_length": 24})))
        };
        (0..2).map(provision).map(|event| event["cidr"].clone()).collect::<Vec<_>>()
    });
    assert_hands_out_exactly("10.2.0.0/16", blocks.into_iter().flatten());
    let one_more = settle(server, "ProvisionPoolCidr", &json!({"pool": children[0], "netmask_length": 24}));
    assert!(one_more["decision"]["rejected"].is_object(), "{one_more}");
}

/// Every command is sent again and again, before the first answer comes: one effect each, and the whole pool.
fn retries_meet_their_first_attempt(server: &Server, pool: &Value) {
    let asked_again = Mutex::new(0);
    let blocks = together(|_| {
        let hasty = Client::with_patience(IMPATIENCE);
        let blocks = (0..2).map(|_| {
            let command = command(ACCOUNT, "AllocateCidr", &json!({"pool": pool, "netmask_length": 28}));
            for _ in 0..3 {
                if hasty.send(&server.url, ACCOUNT, &command).is_none() {
                    *asked_again.lock().expect("nobody has failed") += 1;
                }
            }
            accepted(&told(server, &command))["cidr"].clone()
        });
        blocks.collect::<Vec<_>>()
    });
    println!("{} attempts were given up before their answer", asked_again.into_inner().expect("nobody has failed"));
    assert_hands_out_exactly("10.3.0.0/20", blocks.into_iter().flatten());
    assert_exhausted(server, pool);
}

/// Runs all clients at once.
fn together<T: Send>(client: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let client = &client;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
        clients.into_iter().map(|client| client.join().expect("no client has failed")).collect()
    })
}

fn pool(server: &Server, scope: &Value, cidr: &str) -> Value {
    let pool =
        accepted(&settle(server, "CreatePool", &json!({"scope": scope, "address_family": "ipv4"})))["pool"].clone();
    accepted(&settle(server, "ProvisionPoolCidr", &json!({"pool": pool, "cidr": cidr})));
    pool
}

fn allocate(server: &Server, pool: &Value) -> Value {
    settle(server, "AllocateCidr", &json!({"pool": pool, "netmask_length": 28}))
}

fn settle(server: &Server, kind: &str, payload: &Value) -> Value {
    told(server, &command(ACCOUNT, kind, payload))
}

/// The outcome of a command, asked for until it is told.
fn told(server: &Server, command: &Value) -> Value {
    let (client, until) = (Client::new(), Instant::now() + PATIENCE);
    loop {
        if let Some(outcome) = client.send(&server.url, ACCOUNT, command).and_then(outcome) {
            return outcome;
        }
        assert!(Instant::now() < until, "no outcome of {command}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[track_caller]
fn accepted(outcome: &Value) -> Value {
    let event = &outcome["decision"]["accepted"][0]["data"];
    assert!(event.is_object(), "refused without a reason: {outcome}");
    event.clone()
}

#[track_caller]
fn assert_refused(outcome: &Value, code: &str) {
    assert_eq!(outcome["decision"]["rejected"]["code"], code, "{outcome}");
}

fn assert_exhausted(server: &Server, pool: &Value) {
    assert_refused(&allocate(server, pool), "PoolExhausted");
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn net(value: &Value) -> Ipv4Net {
    text(value).parse().expect("a block")
}

/// Distinct blocks of one length that add up to the whole.
#[track_caller]
fn assert_hands_out_exactly(whole: &str, blocks: impl Iterator<Item = Value>) {
    let blocks: Vec<_> = blocks.map(|block| net(&block)).collect();
    let distinct: BTreeSet<_> = blocks.iter().copied().collect();
    assert_eq!(distinct.len(), blocks.len(), "a block was handed out twice");
    let whole: Ipv4Net = whole.parse().expect("a block");
    let expected: BTreeSet<_> = whole.subnets(blocks[0].prefix_len()).expect("shorter").collect();
    assert_eq!(distinct, expected);
}

/// By the log alone: at no revision do two held blocks of one pool overlap.
fn held_blocks_never_overlap(log: Arc<dyn Log>) {
    let mut audience = Audience::new(log);
    audience.listen(&BTreeSet::new());
    let mut outcomes: Vec<_> = audience.outcomes.values().map(Recorded::json).collect();
    outcomes.sort_by_key(|outcome| outcome["revision"].as_u64());
    let mut held: BTreeMap<String, (String, Ipv4Net)> = BTreeMap::new();
    let mut allocated = 0;
    for event in outcomes.iter().filter_map(|outcome| outcome["decision"]["accepted"].as_array()).flatten() {
        let data = &event["data"];
        match text(&event["type"]) {
            "CidrAllocated" => {
                let (pool, block) = (text(&data["pool"]).to_owned(), net(&data["cidr"]));
                let overlap =
                    |(of, other): &&(String, Ipv4Net)| *of == pool && (other.contains(&block) || block.contains(other));
                assert_eq!(held.values().find(overlap), None, "{event} was handed out before");
                allocated += 1;
                assert_eq!(held.insert(text(&data["allocation"]).to_owned(), (pool, block)), None, "an id came again");
            }
            "AllocationReleased" => {
                assert!(held.remove(text(&data["allocation"])).is_some(), "{event} was released before");
            }
            _ => {}
        }
    }
    // Two whole pools, four rounds of the second, and what the third gave its children stands elsewhere.
    assert!(allocated >= 2 * 256 + 4 * CLIENTS, "{allocated}");
}
