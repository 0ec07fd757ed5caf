//! A cascade over 100,000 allocations: one small record, and right answers to every question before and after.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::ipam;
use crate::server::{Server, command};

const ACCOUNT: &str = "000000000042";
const ALLOCATIONS: usize = 100_000;
const BATCH: usize = 1_000;
/// Batches under way at a time: they share the log's fsync.
const CLIENTS: usize = 4;
/// Bytes of the cascade's outcome: a few hundred for what it is, a line for each CIDR of the pool.
const RECORD_BYTES_MAX: usize = 4_096;
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn a_cascade_over_100_000_allocations_is_one_small_record() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let server = Server::start(&data, &[]);
    let created = |kind: &str, payload: Value, id: &str| {
        let outcome = server.accept(ACCOUNT, ACCOUNT, kind, &payload);
        outcome["decision"]["accepted"][0]["data"][id].as_str().map(str::to_owned).expect("an id")
    };
    let scope = created("CreateIpam", json!({"home_region": "eu-central-1"}), "private_default_scope");
    let pool = created("CreatePool", json!({"scope": scope, "address_family": "ipv4", "name": "large"}), "pool");
    for cidr in ["10.0.0.0/10", "10.128.0.0/16"] {
        server.accept(ACCOUNT, ACCOUNT, "ProvisionPoolCidr", &json!({"pool": pool, "cidr": cidr}));
    }
    let last = fill(&server, &pool);
    let whole = see(&server, &pool, last, "");
    assert_eq!(whole.0["assigned"], (ALLOCATIONS * 16).to_string());
    assert_eq!(whole.1[9]["cidr"], "10.0.0.144/28");
    assert_eq!(count(&server, &pool), ALLOCATIONS);

    let refused = server.try_send(ACCOUNT, &command(ACCOUNT, "DeletePool", &json!({"pool": pool})));
    let (status, problem) = refused.expect("the server answers");
    assert_eq!((status, problem["code"].as_str()), (422, Some("DependencyViolation")), "{problem}");
    assert_eq!(problem["values"]["allocations"], ALLOCATIONS.to_string(), "{problem}");
    let deletion = command(ACCOUNT, "DeletePool", &json!({"pool": pool, "cascade": true}));
    let (status, outcome) = server.try_send(ACCOUNT, &deletion).expect("the server answers");
    assert_eq!(status, 200, "{outcome}");
    assert!(outcome.to_string().len() < RECORD_BYTES_MAX, "{} bytes: {outcome}", outcome.to_string().len());
    let (revision, decided_at) = (&outcome["revision"], outcome["decided_at"].as_str().expect("an instant"));

    // Now: nothing of it. The views wait for the revision.
    let at_least = format!("at_least={revision}&wait_seconds=30");
    let path = |rest: &str| format!("/v1/organizations/{ACCOUNT}{rest}");
    assert_eq!(server.get(&path(&format!("/pools?{at_least}")))["pools"], json!([]));
    let scopes = server.get(&path("/scopes"));
    assert!(scopes["items"].as_array().expect("scopes").iter().all(|scope| scope["allocation_count"] == 0), "{scopes}");
    assert_eq!(server.try_get(&path(&format!("/pools/{pool}/allocations"))).map(|(status, _)| status), Some(404));
    let holders = server.get(&path("/holders?address=10.0.0.17"));
    let held = holders["held"].as_array().expect("rows");
    assert!(held.is_empty(), "{holders}");
    // Then: all of it, to the last one, in the revision before.
    let before = revision.as_u64().expect("a number") - 1;
    assert_eq!(see(&server, &pool, before, &format!("&as_of=rev:{before}")), whole);
    // Every allocation's story ends with the cascade, page by page.
    let (mut ended, mut after) = (0, String::new());
    loop {
        let page = server.get(&path(&format!("/history?cidr=10.0.0.0/22&limit=1000{after}")));
        for one in page["held"].as_array().expect("rows") {
            assert_eq!(one["until"], json!(decided_at), "{one}");
            assert_eq!(one["ended"]["command_id"], deletion["command_id"], "{one}");
            ended += usize::from(one["holder"] == "allocation");
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(ended, 64, "allocations of /28 in a /22");
    // The space is free: another pool takes and hands out the same addresses, and the same command is not decided twice.
    let next = created("CreatePool", json!({"scope": scope, "address_family": "ipv4", "name": "next"}), "pool");
    server.accept(ACCOUNT, ACCOUNT, "ProvisionPoolCidr", &json!({"pool": next, "cidr": "10.0.0.0/8"}));
    let taken = server.accept(ACCOUNT, ACCOUNT, "AllocateCidr", &json!({"pool": next, "netmask_length": 10}));
    assert_eq!(taken["decision"]["accepted"][0]["data"]["cidr"], "10.0.0.0/10");
    assert_eq!(server.try_send(ACCOUNT, &deletion), Some((200, outcome.clone())), "the same command again");
    server.stop();
    let audit = ipam(home.path(), &["audit", "verify", "--data", data.to_str().expect("a plain path")]);
    assert_eq!(audit.code, 0, "{audit:#?}");
    // And a start without views or snapshot says the same.
    std::fs::remove_dir_all(data.join("views")).expect("the views can be deleted");
    let server = Server::start(&data, &[]);
    assert_eq!(see(&server, &pool, before, &format!("&as_of=rev:{before}")), whole, "rebuilt");
    server.stop();
}

/// Takes all the blocks from the pool; the revision of the last.
fn fill(server: &Server, pool: &str) -> u64 {
    let clients: Vec<_> = std::thread::scope(|scope| {
        let client = || {
            let mut last = 0;
            for _ in 0..ALLOCATIONS / BATCH / CLIENTS {
                let payload = json!({"pool": pool, "netmask_length": 28});
                let commands = (0..BATCH).map(|_| command(ACCOUNT, "AllocateCidr", &payload)).collect();
                for answer in server.send_batch(ACCOUNT, &Value::Array(commands)).as_array().expect("answers") {
                    assert_eq!(answer["status"], 200, "{answer}");
                    last = answer["outcome"]["revision"].as_u64().expect("a revision").max(last);
                }
            }
            last
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().expect("filled")).collect()
    });
    clients.into_iter().max().expect("some clients")
}

/// What the views say of a full pool: how full it is, and its first allocations.
fn see(server: &Server, pool: &str, revision: u64, when: &str) -> (Value, Value) {
    let pool = format!("/v1/organizations/{ACCOUNT}/pools/{pool}");
    let path = format!("{pool}?at_least={revision}&wait_seconds=30{when}");
    let until = Instant::now() + PATIENCE;
    let shown = loop {
        match server.try_get(&path).expect("the server answers") {
            (200, shown) => break shown,
            (_, problem) => assert!(Instant::now() < until, "{problem}"),
        }
    };
    let page = server.get(&format!("{pool}/allocations?limit=10{when}"));
    (shown["utilization"].clone(), page["items"].clone())
}

/// How many allocations the views list, page by page.
fn count(server: &Server, pool: &str) -> usize {
    let (mut count, mut after) = (0, String::new());
    loop {
        let page = server.get(&format!("/v1/organizations/{ACCOUNT}/pools/{pool}/allocations?limit=1000{after}"));
        count += page["items"].as_array().expect("rows").len();
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return count,
        }
    }
}
