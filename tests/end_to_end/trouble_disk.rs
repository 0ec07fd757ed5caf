//! Disks that are full or cannot be written: a start says so in words, changes nothing, and works once there is room.
//!
//! The disks are file systems in memory, which only root may mount; elsewhere these tests say that they were skipped.
//! What a disk does that fills up under a running server is tested where servers are killed.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::process::{Ended, ipam, serve};
use crate::server::Server;
use crate::small_disk::SmallDisk;

const ACCOUNT: &str = "000000000001";
/// No ledger to ask.
const UNREACHABLE: i32 = 4;
const BLOCK: u64 = 4 << 10;

#[test]
fn a_full_disk_is_told_and_room_on_it_mends_it() {
    let home = tempfile::tempdir().expect("a directory");
    let Some(disk) = SmallDisk::mount(home.path(), 64) else { return };
    let data = disk.path.join("data");

    disk.fill();
    serve(&data, &[]).says(UNREACHABLE, &["full", "free some space"]);
    disk.make_room();
    let told = ledger(&data);

    // With a ledger on it: whichever file is the first that finds no room, the log's or the views'.
    let mut refused = 0;
    for leave in (0..).map(|step| step * BLOCK) {
        let filler = disk.fill();
        let size = fs::metadata(&filler).expect("the file").len();
        let file = fs::OpenOptions::new().write(true).open(&filler).expect("the file");
        file.set_len(size.saturating_sub(leave)).expect("made shorter");
        let ended = starts(&data);
        disk.make_room();
        match ended {
            Some(ended) => ended.says(UNREACHABLE, &["full", "free some space"]),
            None => break,
        }
        refused += 1;
    }
    assert!(refused > 2, "{refused} starts were refused: the disk was not full");
    assert_eq!(all(&data), told, "what was on the full disk");
}

#[test]
fn a_disk_that_cannot_be_written_is_told_and_still_answers_questions() {
    let home = tempfile::tempdir().expect("a directory");
    let Some(disk) = SmallDisk::mount(home.path(), 64) else { return };
    let data = disk.path.join("data");
    let told = ledger(&data);
    disk.remount("ro");
    serve(&data, &[]).says(UNREACHABLE, &["cannot be written", "Read-only file system", "choose another"]);
    serve(&disk.path.join("new"), &[])
        .says(UNREACHABLE, &["cannot be made", "Read-only file system", "choose another"]);
    let path = data.to_str().expect("a plain path");
    let account = ["--org", ACCOUNT, "--data", path];
    let from_the_shell = [&["instance", "create", "--home", "eu-west-1"], &account[..]].concat();
    ipam(home.path(), &from_the_shell).says(UNREACHABLE, &["Read-only file system"]);
    // Questions need no writing, and an audit neither.
    let listed = ipam(home.path(), &[&["pool", "list", "-q"], &account[..]].concat());
    assert_eq!(listed.code, 0, "{listed:#?}");
    assert_eq!(Some(listed.result()), told["pools"][0]["pool"].as_str(), "{listed:#?}");
    let audit = ipam(home.path(), &["audit", "verify", "--data", path]);
    assert_eq!(audit.code, 0, "{audit:#?}");
    disk.remount("rw");
    assert_eq!(all(&data), told);
}

/// A ledger with a pool; what it answers.
fn ledger(data: &Path) -> Value {
    let server = Server::start(data, &[]);
    let ipam = server.accept(ACCOUNT, ACCOUNT, "CreateIpam", &json!({"home_region": "eu-central-1"}));
    let scope = &ipam["decision"]["accepted"][0]["data"]["private_default_scope"];
    let pool = server.accept(ACCOUNT, ACCOUNT, "CreatePool", &json!({"scope": scope, "address_family": "ipv4"}));
    let told = server.get(&format!("/v1/organizations/{ACCOUNT}/pools?at_least={}", pool["revision"]));
    server.stop();
    told
}

/// Starts a server; what it says when it does not start. One that does is ended.
fn starts(data: &Path) -> Option<Ended> {
    let mut server = Command::new(env!("CARGO_BIN_EXE_ipam"));
    server.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    let mut server = server.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line, or the end");
    if line.starts_with("listening on") {
        server.kill().expect("it runs");
    }
    let output = server.wait_with_output().expect("it ends");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    line.is_empty().then(|| Ended { code: output.status.code().unwrap_or(-1), out: line, err })
}

fn all(data: &Path) -> Value {
    let server = Server::start(data, &[]);
    let told = server.get(&format!("/v1/organizations/{ACCOUNT}/pools"));
    server.stop();
    told
}
