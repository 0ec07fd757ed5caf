//! A server on the embedded log, killed at drawn moments: under load, while it starts, while it folds. What was
//! acknowledged is there, under its id, once; views that were killed as often tell what views made from nothing tell.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ipam_ledger::log::embedded::EmbeddedLog;
use serde_json::{Value, json};

use crate::audience::Audience;
use crate::client::{Client, outcome};
use crate::draw::{Draw, Scene, setting};
use crate::patience::PATIENCE;
use crate::process::ipam;
use crate::server::{Server, command};
use crate::witness::Witness;

const ROUNDS: usize = 50;
/// Rounds of one ledger; the next begins a new one, since all that is looked at grows with it.
const LEDGER_ROUNDS: usize = 200;
/// The whole log is read again, the views are held against views made from nothing, and the log is verified, in every
/// so many-th round.
const THOROUGH_EVERY: usize = 10;
pub const ACCOUNT: &str = "000000000042";
const CLIENTS: usize = 8;
/// From the start of the load to the kill.
const LOAD_MILLIS: (u64, u64) = (1, 900);

#[test]
fn kills_at_any_moment_lose_and_double_nothing() {
    let (mut draw, seed) = Draw::seeded();
    let rounds = setting("CHAOS_ROUNDS").unwrap_or(ROUNDS);
    let scene = Scene::drawn("kills_at_any_moment", seed, &format!("CHAOS_ROUNDS={rounds}"));
    let mut sum = Sum::default();
    for first in (0..rounds).step_by(LEDGER_ROUNDS) {
        let data = scene.path().join("data");
        kill_one_ledger(&scene, &data, &mut draw, LEDGER_ROUNDS.min(rounds - first), &mut sum);
        std::fs::remove_dir_all(&data).expect("deleted");
    }
    println!("{rounds} rounds: {sum:?}");
}

/// What a run did.
#[derive(Debug, Default)]
struct Sum {
    kills_under_load: usize,
    kills_while_it_started: usize,
    orderly_stops: usize,
    outcomes: usize,
    outcomes_told: usize,
}

fn kill_one_ledger(scene: &Scene, data: &Path, draw: &mut Draw, rounds: usize, sum: &mut Sum) {
    let server = start(scene, data);
    let pool = prepare(&server);
    server.kill();

    let (witness, mut unanswered) = (Witness::default(), Vec::new());
    let mut audience = Audience::new(open(data));
    for round in 1..=rounds {
        if draw.one_in(5) {
            // Killed while it starts: it may have listened already, or not.
            sum.kills_while_it_started += 1;
            kill_young(scene, data, draw.millis(1, 400));
        }
        let server = start(scene, data);
        for command in std::mem::take(&mut unanswered) {
            let answer = server.try_send(ACCOUNT, &command).expect("the server answers");
            let outcome = outcome(answer).expect("an outcome");
            witness.told_outcome(ACCOUNT, &command, &outcome, 0);
        }
        // An orderly stop flushes the views, so that later kills meet views that are half as old.
        let signal = if draw.one_in(5) { "-TERM" } else { "-KILL" };
        unanswered = load(&server, &pool, draw, &witness, signal);
        if signal == "-KILL" {
            sum.kills_under_load += 1;
            server.kill();
        } else {
            sum.orderly_stops += 1;
            server.stop();
        }
        audience.listen_again(open(data));
        witness.check_news(&audience);
        if round % THOROUGH_EVERY == 0 || round == rounds {
            // What was there once is there still.
            let heard = audience.outcomes.len();
            audience = log_read_anew(data, &witness);
            assert_eq!(audience.outcomes.len(), heard);
            thorough(scene, data, &pool, audience.revision(ACCOUNT));
        }
        witness.assert_nothing_found();
    }
    sum.outcomes += audience.outcomes.len();
    sum.outcomes_told += witness.expected().len();
}

fn start(scene: &Scene, data: &Path) -> Server {
    let server = Server::try_spawn(data, &["--log-format", "json"], log_of(scene)).expect("it starts");
    server.wait_until_ready();
    server
}

fn log_of(scene: &Scene) -> Stdio {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(scene.log("server"));
    Stdio::from(log.expect("a log file"))
}

fn kill_young(scene: &Scene, data: &Path, after: Duration) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ipam"))
        .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--data"])
        .arg(data)
        .stdout(Stdio::null())
        .stderr(log_of(scene))
        .spawn()
        .expect("the binary starts");
    thread::sleep(after);
    child.kill().expect("it has not ended by itself");
    child.wait().expect("it ends");
}

fn open(data: &Path) -> Arc<EmbeddedLog> {
    Arc::new(EmbeddedLog::open_read_only(&data.join("log")).expect("a log that nobody has open"))
}

/// A lone account's ledger with a pool.
pub fn prepare(server: &Server) -> String {
    let accept = |kind: &str, payload: &Value| {
        server.accept(ACCOUNT, ACCOUNT, kind, payload)["decision"]["accepted"][0]["data"].clone()
    };
    let scope = accept("CreateIpam", &json!({"home_region": "eu-central-1"}))["private_default_scope"].clone();
    let pool = accept("CreatePool", &json!({"scope": scope, "address_family": "ipv4"}))["pool"].clone();
    accept("ProvisionPoolCidr", &json!({"pool": pool, "cidr": "10.0.0.0/8"}));
    pool.as_str().expect("a pool").to_owned()
}

/// Clients write until the server is gone; gives the commands that nobody was told the outcome of.
fn load(server: &Server, pool: &str, draw: &mut Draw, witness: &Witness, signal: &str) -> Vec<Value> {
    let (gone, unanswered) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let (mut draw, gone, unanswered) = (draw.fork(), &gone, &unanswered);
            scope.spawn(move || {
                let (client, mut held) = (Client::new(), Vec::new());
                loop {
                    let command = match draw.below(10) {
                        0 => command(ACCOUNT, "AllocateCidr", &json!({"pool": pool, "netmask_length": 7})),
                        1..=3 if !held.is_empty() => {
                            let allocation: Value = held.swap_remove(draw.below(held.len()));
                            command(ACCOUNT, "ReleaseAllocation", &json!({"allocation": allocation}))
                        }
                        _ => command(ACCOUNT, "AllocateCidr", &json!({"pool": pool, "netmask_length": 28})),
                    };
                    let floor = witness.latest(ACCOUNT);
                    let answer = client.send(&server.url, ACCOUNT, &command);
                    let Some(outcome) = answer.clone().and_then(outcome) else {
                        if !gone.load(Ordering::Relaxed) {
                            witness.finding(format!("a running server answers {command} with {answer:?}"));
                        }
                        unanswered.lock().expect("nobody has failed").push(command);
                        return;
                    };
                    witness.told_outcome(ACCOUNT, &command, &outcome, floor);
                    let event = &outcome["decision"]["accepted"][0];
                    if event["type"] == "CidrAllocated" {
                        held.push(event["data"]["allocation"].clone());
                    }
                }
            });
        }
        thread::sleep(draw.millis(LOAD_MILLIS.0, LOAD_MILLIS.1));
        gone.store(true, Ordering::Relaxed);
        server.signal(signal);
    });
    unanswered.into_inner().expect("nobody has failed")
}

/// The views as the kills left them, and views made from nothing: the same answers. And an auditor is content.
fn thorough(scene: &Scene, data: &Path, pool: &str, revision: u64) {
    let other = scene.path().join("from-nothing");
    let copied = Command::new("cp").arg("-a").arg(data).arg(&other).status().expect("cp runs");
    assert!(copied.success());
    std::fs::remove_dir_all(other.join("views")).expect("the views can be deleted");
    let [left, made] = [data, &other].map(|data| {
        let server = start(scene, data);
        let answers = ask(&server, pool, revision);
        server.kill();
        answers
    });
    assert_eq!(left, made, "views that were killed differ from views made from nothing");
    std::fs::remove_dir_all(&other).expect("deleted");
    assert_audit_is_clean(scene.path(), data);
}

/// The log of a server that was stopped holds what was told, once each, and an auditor is content.
pub fn assert_log_is_whole(home: &Path, data: &Path, witness: &Witness) {
    log_read_anew(data, witness);
    assert_audit_is_clean(home, data);
}

/// A log, read from its beginning and held against all that was told.
fn log_read_anew(data: &Path, witness: &Witness) -> Audience {
    let mut audience = Audience::new(open(data));
    let expected = witness.expected();
    assert_eq!(audience.listen(&expected), expected.len());
    witness.check(&audience);
    audience.revision(ACCOUNT);
    witness.assert_nothing_found();
    audience
}

fn assert_audit_is_clean(home: &Path, data: &Path) {
    let audit = ipam(home, &["audit", "verify", "--data", data.to_str().expect("a plain path")]);
    assert_eq!(audit.code, 0, "{audit:#?}");
}

fn ask(server: &Server, pool: &str, revision: u64) -> Vec<Value> {
    let root = format!("/v1/organizations/{ACCOUNT}");
    let half = revision / 2;
    let paths = [
        "?".to_owned(),
        "/pools?".to_owned(),
        format!("/pools/{pool}/allocations?limit=1000&"),
        format!("/pools/{pool}/allocations?limit=1000&as_of=rev:{half}&"),
        format!("/pools/{pool}/usage?limit=100&"),
        format!("/pools/{pool}/next-cidr?netmask_length=28&"),
        "/history?cidr=10.0.0.0/20&limit=1000&".to_owned(),
        "/holders?address=10.0.0.1&at=2100-01-01&".to_owned(),
    ];
    let answers = paths.iter().map(|path| {
        let path = format!("{root}{path}at_least={revision}&wait_seconds=30");
        let until = Instant::now() + PATIENCE;
        loop {
            match server.try_get(&path) {
                Some((200, answer)) => return answer,
                other => assert!(Instant::now() < until, "{path} is answered with {other:?}"),
            }
        }
    });
    answers.collect()
}
