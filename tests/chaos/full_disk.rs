//! A disk that is full: the server refuses commands in words, answers queries, and takes commands again when there is
//! room, with everything that it acknowledged and nothing twice. A full disk at the start is told, too.
//!
//! It takes the right to mount a small file system; where that is missing, the test says so.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, outcome};
use crate::draw::Scene;
use crate::embedded_kills::{ACCOUNT, assert_log_is_whole, prepare};
use crate::patience::{PATIENCE, wait_until};
use crate::process::serve;
use crate::server::{Server, command};
use crate::witness::Witness;

const CLIENTS: usize = 6;
/// How often the disk is filled and given room again.
const FILLED: usize = 3;

#[test]
fn a_full_disk_refuses_in_words_answers_and_recovers() {
    let scene = Scene::plain("a_full_disk");
    let Some(disk) = SmallDisk::mount(&scene.path().join("disk")) else {
        eprintln!("skipped: it takes root to mount a small disk");
        return;
    };
    let data = disk.path.join("data");
    let log = OpenOptions::new().create(true).append(true).open(scene.log("server")).expect("a log file");
    let server = Server::try_spawn(&data, &["--log-format", "json"], Stdio::from(log)).expect("it starts");
    server.wait_until_ready();
    let pool = prepare(&server);
    let witness = Witness::default();
    for _ in 0..FILLED {
        fill_and_make_room(&server, &disk, &pool, &witness);
    }
    // Full again, and killed: the start tells what to do, and does it when it is done.
    disk.fill();
    server.kill();
    serve(&data, &[]).says(4, &["full", "free some space"]);
    disk.make_room();
    let server = Server::start(&data, &[]);
    let path = format!("/v1/organizations/{ACCOUNT}?at_least={}&wait_seconds=30", witness.latest(ACCOUNT));
    server.get(&path);
    server.stop();

    assert_log_is_whole(scene.path(), &data, &witness);
}

/// Clients write on all the while, each command until its outcome is told.
fn fill_and_make_room(server: &Server, disk: &SmallDisk, pool: &str, witness: &Witness) {
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
        disk.fill();
        let refused = || {
            let command = command(ACCOUNT, "AllocateCidr", &json!({"pool": pool, "netmask_length": 28}));
            server.try_send(ACCOUNT, &command)
        };
        wait_until("commands are refused in words", || {
            refused().is_some_and(|(status, body)| {
                status == 503
                    && ["disk is full", "free some space"].iter().all(|words| body.to_string().contains(words))
            })
        });
        let (_, not_ready) = server.try_get("/readyz").filter(|(status, _)| *status == 503).expect("it is not ready");
        assert!(not_ready.to_string().contains("disk is full"), "{not_ready}");
        // Questions are answered, about the last that was acknowledged.
        let latest = witness.latest(ACCOUNT);
        let shown = server.get(&format!("/v1/organizations/{ACCOUNT}?at_least={latest}&wait_seconds=30"));
        assert_eq!(shown["revision"], latest);
        disk.make_room();
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

/// A file system in memory, unmounted at the end.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    fn mount(path: &Path) -> Option<Self> {
        std::fs::create_dir_all(path).expect("a directory");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(path).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self { path: path.to_owned() })
    }

    /// To the last byte.
    fn fill(&self) {
        let mut filler = std::fs::File::create(self.path.join("filler")).expect("a file");
        for bytes in [1 << 20, 4 << 10, 1] {
            while filler.write_all(&vec![0; bytes]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path.join("filler")).expect("the filler");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.path).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("the small disk stays mounted at {}", self.path.display());
        }
    }
}
