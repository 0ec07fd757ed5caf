//! A server on the embedded log that is killed, stopped and started again under load from many clients: what was
//! acknowledged stays, under its id, once; and the answers do not depend on what the views started from.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ipam_ledger::domain::outcome::Outcome;
use ipam_ledger::log::Log as _;
use ipam_ledger::log::admission::{Admission, Verdict};
use ipam_ledger::log::embedded::EmbeddedLog;
use ipam_ledger::log::record::{Offset, Partition};
use serde_json::{Value, json};

use crate::process::ipam;
use crate::server::{Server, command};

const ACCOUNT: &str = "000000000042";
const CLIENTS: usize = 12;
/// Acknowledged commands per round, before the server is killed or stopped.
const ACKNOWLEDGED_PER_ROUND: usize = 250;
const KILLS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn what_was_acknowledged_survives_kills_and_stops() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let mut server = Server::start(&data, &[]);
    let pool = prepare(&server);
    let mut told = Told::default();
    for _ in 0..KILLS {
        load(&server, &pool, &mut told, |server| server.signal("-KILL"));
        server.kill();
        server = Server::start(&data, &[]);
        // Everybody asks again, as everybody should: those who were told, and those who were not.
        for (id, command) in std::mem::take(&mut told.unanswered) {
            let answer = server.try_send(ACCOUNT, &command).expect("the server answers");
            told.answered.insert(id, outcome(answer).expect("an outcome"));
        }
        for (id, outcome) in &told.answered {
            assert_eq!(&server.get(&format!("/v1/organizations/{ACCOUNT}/outcomes/{id}?wait_seconds=30")), outcome);
        }
    }
    let recorded = told.answered.len();
    load(&server, &pool, &mut told, |server| server.signal("-TERM"));
    server.stop();
    assert!(told.answered.len() > recorded);

    let outcomes = outcomes(&data);
    for (id, outcome) in &told.answered {
        assert_eq!(outcomes.get(id), Some(outcome), "{id}");
    }
    // Nothing was decided in the last round without its client being told: the stop was an orderly one.
    for id in told.unanswered.keys() {
        assert_eq!(outcomes.get(id), None, "{id} was decided, and nobody told the client");
    }
    assert_eq!(outcomes.len(), told.answered.len() + PREPARING_COMMANDS, "nobody else's");
    the_views_start_from_anything(home.path(), &data, &pool);
}

/// From the last flush, from nothing, after a rebuild: the same answers.
fn the_views_start_from_anything(home: &Path, data: &Path, pool: &str) {
    let from_the_snapshot = ask(data, pool);
    std::fs::remove_dir_all(data.join("views")).expect("the views can be deleted");
    assert_eq!(ask(data, pool), from_the_snapshot, "views folded from the beginning");
    let path = data.to_str().expect("a plain path");
    let audit = ipam(home, &["audit", "verify", "--data", path]);
    assert_eq!(audit.code, 0, "{audit:#?}");
    for rebuild in [&["views", "rebuild", "--data", path][..], &["views", "rebuild", "lineage", "--data", path]] {
        let rebuilt = ipam(home, rebuild);
        assert_eq!(rebuilt.code, 0, "{rebuilt:#?}");
        assert_eq!(ask(data, pool), from_the_snapshot, "{rebuild:?}");
    }
}

/// What a server that is started for it answers.
fn ask(data: &Path, pool: &str) -> Vec<Value> {
    let server = Server::start(data, &[]);
    let answers = [
        String::new(),
        "/pools".to_owned(),
        format!("/pools/{pool}/allocations?limit=1000"),
        format!("/pools/{pool}/usage?limit=50"),
        format!("/pools/{pool}/next-cidr?netmask_length=28"),
        "/history?cidr=10.0.0.0/22&limit=1000".to_owned(),
        "/holders?address=10.0.0.1&at=2100-01-01".to_owned(),
    ]
    .map(|path| server.get(&format!("/v1/organizations/{ACCOUNT}{path}")))
    .into();
    server.stop();
    answers
}

const PREPARING_COMMANDS: usize = 3;

/// A lone account's ledger with a pool.
fn prepare(server: &Server) -> String {
    let created = |outcome: &Value, id: &str| {
        outcome["decision"]["accepted"][0]["data"][id].as_str().map(str::to_owned).expect("an id")
    };
    let ipam = server.accept(ACCOUNT, ACCOUNT, "CreateIpam", &json!({"home_region": "eu-central-1"}));
    let scope = created(&ipam, "private_default_scope");
    let pool = server.accept(ACCOUNT, ACCOUNT, "CreatePool", &json!({"scope": scope, "address_family": "ipv4"}));
    let pool = created(&pool, "pool");
    server.accept(ACCOUNT, ACCOUNT, "ProvisionPoolCidr", &json!({"pool": pool, "cidr": "10.0.0.0/8"}));
    pool
}

/// What clients know: their commands by id, with the outcomes they were told.
#[derive(Default)]
struct Told {
    answered: BTreeMap<String, Value>,
    unanswered: BTreeMap<String, Value>,
}

/// Clients send one command after the other until `end` has ended the server under them.
fn load(server: &Server, pool: &str, told: &mut Told, end: impl FnOnce(&Server)) {
    let (before, ended) = (told.answered.len(), AtomicBool::new(false));
    let shared = Mutex::new(told);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (shared, ended) = (&shared, &ended);
            scope.spawn(move || {
                loop {
                    // Some are decided at length, some at once, some refused.
                    let length = if client == 0 { 7 } else { 28 };
                    let command = command(ACCOUNT, "AllocateCidr", &json!({"pool": pool, "netmask_length": length}));
                    let id = command["command_id"].as_str().expect("an id").to_owned();
                    let answer = server.try_send(ACCOUNT, &command);
                    let mut told = shared.lock().expect("no client has failed");
                    if let Some(outcome) = answer.clone().and_then(outcome) {
                        told.answered.insert(id, outcome);
                    } else {
                        assert!(ended.load(Ordering::Relaxed), "{answer:?}");
                        told.unanswered.insert(id, command);
                        return;
                    }
                }
            });
        }
        let until = Instant::now() + PATIENCE;
        while shared.lock().expect("no client has failed").answered.len() < before + ACKNOWLEDGED_PER_ROUND {
            assert!(Instant::now() < until, "the server is too slow");
            std::thread::sleep(Duration::from_millis(5));
        }
        ended.store(true, Ordering::Relaxed);
        end(server);
    });
}

/// What was decided, when the answer is that.
fn outcome((status, mut body): (u16, Value)) -> Option<Value> {
    match status {
        200 => Some(body),
        422 => Some(body["outcome"].take()),
        _ => None,
    }
}

/// All outcomes that count, by the command's id; none is there twice.
fn outcomes(data: &Path) -> BTreeMap<String, Value> {
    let log = EmbeddedLog::open_read_only(&data.join("log")).expect("a log that nobody has open");
    let mut outcomes = BTreeMap::new();
    for partition in (0..log.partitions().expect("a number")).map(Partition) {
        let (mut admission, end) = (Admission::default(), log.end(partition).expect("an end"));
        let mut reader = log.reader(partition, Offset(0)).expect("a reader");
        while admission.next < end {
            for record in reader.read(1_000, Duration::from_secs(1)).expect("records") {
                if let Verdict::Outcome(_) = admission.admit(&record) {
                    let outcome: Outcome = serde_json::from_slice(&record.value).expect("an outcome");
                    let value = serde_json::from_slice(&record.value).expect("JSON");
                    let before = outcomes.insert(outcome.command_id.to_string(), value);
                    assert_eq!(before, None, "two outcomes of one command");
                }
            }
        }
    }
    outcomes
}
