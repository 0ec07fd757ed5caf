//! No room for what is written: the server refuses commands in words, answers queries, and takes commands again when there
//! is room, with everything that it acknowledged and nothing twice. A start without room is told, too.
//!
//! Twice: on a small disk that is full, which takes the right to mount one, and with a limit on how large its files may be
//! (`RLIMIT_FSIZE`), which anybody can set.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, outcome};
use crate::draw::Scene;
use crate::embedded_kills::{ACCOUNT, assert_log_is_whole, prepare};
use crate::patience::{PATIENCE, wait_until};
use crate::process::{run, serve};
use crate::server::{Server, command};
use crate::small_disk::SmallDisk;
use crate::witness::Witness;

const CLIENTS: usize = 6;
/// How often the room is taken and given back.
const FILLED: usize = 3;

#[test]
fn a_full_disk_refuses_in_words_answers_and_recovers() {
    let scene = Scene::plain("a_full_disk");
    let Some(disk) = SmallDisk::mount(scene.path(), 64) else { return };
    let data = disk.path.join("data");
    let (server, pool) = started(&scene, &data);
    let witness = Witness::default();
    let room = Room {
        take: &|| drop(disk.fill()),
        give: &|| disk.make_room(),
        refused: ["the disk is full", "free some space"],
    };
    for _ in 0..FILLED {
        take_and_give_room(&server, &room, &pool, &witness);
    }
    // Full again, and killed: the start tells what to do, and does it when it is done.
    disk.fill();
    server.kill();
    serve(&data, &[]).says(4, &["full", "free some space"]);
    disk.make_room();
    goes_on(&scene, &data, &witness);
}

/// The kernel ends a process that writes beyond its limit, unless that does not want to be ended: it would lose nothing, but
/// answer nobody.
#[test]
fn a_limit_on_file_sizes_refuses_in_words_answers_and_recovers() {
    let scene = Scene::plain("a_limit_on_file_sizes");
    let data = scene.path().join("data");
    // The server's own log is a file as well, and may grow no further either.
    let (server, pool) = started(&scene, &data);
    let witness = Witness::default();
    let room = Room {
        take: &|| limit_file_sizes(&server, "0"),
        give: &|| limit_file_sizes(&server, "unlimited"),
        refused: ["a file may grow no further", "ulimit -f"],
    };
    for _ in 0..FILLED {
        take_and_give_room(&server, &room, &pool, &witness);
    }
    server.kill();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 0; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_ipam")]);
    limited.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
    run(&mut limited).says(4, &["may grow no further", "ulimit -f"]);
    goes_on(&scene, &data, &witness);
}

/// A server that writes its log to a file of the scene, and a pool.
fn started(scene: &Scene, data: &Path) -> (Server, String) {
    let log = OpenOptions::new().create(true).append(true).open(scene.log("server")).expect("a log file");
    let server = Server::try_spawn(data, &["--log-format", "json"], Stdio::from(log)).expect("it starts");
    server.wait_until_ready();
    let pool = prepare(&server);
    (server, pool)
}

fn limit_file_sizes(server: &Server, bytes: &str) {
    let pid = server.pid().to_string();
    // The soft limit alone: who may not raise a hard one may raise this one again.
    let done = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")]).status();
    assert!(done.expect("prlimit runs").success(), "files of {bytes} bytes");
}

/// A start with room has everything that was told, and the log is whole.
fn goes_on(scene: &Scene, data: &Path, witness: &Witness) {
    let server = Server::start(data, &[]);
    let path = format!("/v1/organizations/{ACCOUNT}?at_least={}&wait_seconds=30", witness.latest(ACCOUNT));
    server.get(&path);
    server.stop();
    assert_log_is_whole(scene.path(), data, witness);
}

/// How room is taken and given, and what a refusal for want of it says.
struct Room<'a> {
    take: &'a dyn Fn(),
    give: &'a dyn Fn(),
    refused: [&'a str; 2],
}

/// Clients write on all the while, each command until its outcome is told.
fn take_and_give_room(server: &Server, room: &Room<'_>, pool: &str, witness: &Witness) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let ends_the_load = EndsTheLoad(&over);
        for _ in 0..CLIENTS {
            let over = &over;
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    settle(server, pool, witness);
                }
            });
        }
        thread::sleep(Duration::from_millis(300));
        (room.take)();
        let refused = || {
            let command = command(ACCOUNT, "AllocateCidr", &json!({"pool": pool, "netmask_length": 28}));
            server.try_send(ACCOUNT, &command)
        };
        wait_until("commands are refused in words", || {
            refused().is_some_and(|(status, body)| {
                status == 503 && room.refused.iter().all(|words| body.to_string().contains(words))
            })
        });
        let (_, not_ready) = server.try_get("/readyz").filter(|(status, _)| *status == 503).expect("it is not ready");
        assert!(not_ready.to_string().contains(room.refused[0]), "{not_ready}");
        // Questions are answered, about the last that was acknowledged.
        let latest = witness.latest(ACCOUNT);
        let shown = server.get(&format!("/v1/organizations/{ACCOUNT}?at_least={latest}&wait_seconds=30"));
        // Or a later one, whose answer was still on its way to its client when the witness was asked.
        assert!(shown["revision"].as_u64() >= Some(latest), "{shown} shows {latest}");
        (room.give)();
        wait_until("commands are taken again", || witness.latest(ACCOUNT) > latest);
        wait_until("it is ready again", || server.try_get("/readyz").is_some_and(|(status, _)| status == 200));
        drop(ends_the_load);
    });
}

fn settle(server: &Server, pool: &str, witness: &Witness) {
    let client = Client::new();
    // Long reasons, so that the disk is full soon.
    let mut command = command(ACCOUNT, "AllocateCidr", &json!({"pool": pool, "netmask_length": 28}));
    command["reason"] = Value::String("x".repeat(200));
    let floor = witness.latest(ACCOUNT);
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(outcome) = client.send(&server.url, ACCOUNT, &command).and_then(outcome) {
            return witness.told_outcome(ACCOUNT, &command, &outcome, floor);
        }
        assert!(Instant::now() < until, "no outcome of {command}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Also when the test fails: the clients' threads are waited for.
struct EndsTheLoad<'a>(&'a AtomicBool);

impl Drop for EndsTheLoad<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
