//! Files that a disk or an operator damaged, under the real binary: it says what is wrong and what to do, and that helps.
//! Damage of every kind is drawn at random beside the code of the log and of the views; here is what a person sees.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::process::{ipam, serve};
use crate::server::{Server, command};

const ACCOUNT: &str = "000000000001";
const UNREACHABLE: i32 = 4;

#[test]
fn a_deleted_write_ahead_log_is_told_and_put_back() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let (server, told) = ledger(&data);
    server.kill();
    let records = data.join("log/records");
    let wal = fullest(&records, "log");
    let away = home.path().join("away");
    fs::rename(&wal, &away).expect("moved");
    serve(&data, &[]).says(UNREACHABLE, &["damaged", "were acknowledged", "deleted", "restore", "backup"]);
    let path = data.to_str().expect("a plain path");
    // Neither an audit nor a question takes the rest for all.
    for words in [&["audit", "verify", "--data", path][..], &["pool", "list", "--org", ACCOUNT, "--data", path]] {
        let ended = ipam(home.path(), words);
        assert_ne!(ended.code, 0, "{ended:#?}");
        assert!(ended.err.contains("were acknowledged"), "{ended:#?}");
    }
    fs::rename(&away, &wal).expect("moved back");
    assert_eq!(all(&data), told);
}

#[test]
fn a_log_that_was_deleted_beside_its_views_is_not_begun_anew() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let (server, told) = ledger(&data);
    // The views were not flushed: they do not know how far the log went.
    server.kill();
    let away = home.path().join("away");
    fs::rename(data.join("log"), &away).expect("moved");
    serve(&data, &[]).says(UNREACHABLE, &["no log", "Put it back", "backup"]);
    assert!(!data.join("log").exists(), "a new log was made");
    // The disk behind a link is not mounted.
    std::os::unix::fs::symlink(&away, data.join("log")).expect("a link");
    fs::rename(&away, home.path().join("unmounted")).expect("moved");
    serve(&data, &[]).says(UNREACHABLE, &["no log", "not mounted"]);
    fs::rename(home.path().join("unmounted"), &away).expect("moved back");
    assert_eq!(all(&data), told);
}

#[test]
fn damaged_views_say_so_and_the_rebuild_that_they_ask_for_heals_them() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let (server, told) = ledger(&data);
    server.stop();
    let path = data.to_str().expect("a plain path");
    let rebuild = || {
        let rebuilt = ipam(home.path(), &["views", "rebuild", "--data", path]);
        assert_eq!(rebuilt.code, 0, "{rebuilt:#?}");
        assert_eq!(all(&data), told, "after the rebuild");
    };
    let views = data.join("views");
    for (what, damage) in [
        ("a manifest of zeros", (|path: &Path| fs::write(path, [0; 100])) as fn(&Path) -> std::io::Result<()>),
        ("an empty manifest", |path| fs::write(path, [])),
        ("no manifest", |path| fs::remove_file(path)),
    ] {
        damage(&fullest(&views, "")).expect(what);
        serve(&data, &[]).says(UNREACHABLE, &["views", "damaged", "nothing is lost", "ipam views rebuild"]);
        rebuild();
    }
    fs::remove_file(fullest(&views, "sst")).expect("removed");
    serve(&data, &[]).says(UNREACHABLE, &["views", "damaged", "ipam views rebuild"]);
    rebuild();
}

/// What is inside a table shows when it is read: never as an answer, and from then on at `/readyz`.
#[test]
fn damage_within_the_views_is_told_to_who_asks_and_to_who_watches() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let (server, told) = ledger(&data);
    let create = json!({"scope": told[0]["scope"], "address_family": "ipv4", "description": "one of many"});
    let commands: Vec<_> = (0..300).map(|_| command(ACCOUNT, "CreatePool", &create)).collect();
    server.send_batch(ACCOUNT, &json!(commands));
    let told = server.get(&pools());
    server.stop();
    let views = data.join("views");
    let table = fullest(&views, "sst");
    let mut bytes = fs::read(&table).expect("the table");
    // Between the positions, which are read at every start, and the index.
    let (from, to) = (bytes.len() / 5, bytes.len() * 4 / 5);
    bytes[from..to].fill(0x55);
    fs::write(&table, bytes).expect("written");

    let server = Server::start(&data, &[]);
    let ids = commands.iter().map(|command| command["command_id"].as_str().expect("an id"));
    let (status, answer) = ids
        .filter_map(|id| server.try_get(&format!("/v1/organizations/{ACCOUNT}/outcomes/{id}")))
        .find(|(status, _)| *status != 200)
        .expect("some question meets the damage");
    assert!(status == 500 && answer["detail"].to_string().contains("ipam views rebuild"), "{status} {answer}");
    let (status, answer) = server.try_get("/readyz").expect("it answers");
    assert!(status == 503 && answer.to_string().contains("ipam views rebuild"), "{status} {answer}");
    server.kill();
    let rebuilt = ipam(home.path(), &["views", "rebuild", "--data", data.to_str().expect("a plain path")]);
    assert_eq!(rebuilt.code, 0, "{rebuilt:#?}");
    assert_eq!(all(&data), told["pools"], "after the rebuild");
}

/// A server on a ledger with a pool; what it answers.
fn ledger(data: &Path) -> (Server, Value) {
    let server = Server::start(data, &[]);
    let ipam = server.accept(ACCOUNT, ACCOUNT, "CreateIpam", &json!({"home_region": "eu-central-1"}));
    let scope = &ipam["decision"]["accepted"][0]["data"]["private_default_scope"];
    let pool = server.accept(ACCOUNT, ACCOUNT, "CreatePool", &json!({"scope": scope, "address_family": "ipv4"}));
    let told = server.get(&format!("{}?at_least={}", pools(), pool["revision"]));
    (server, told["pools"].clone())
}

fn all(data: &Path) -> Value {
    let server = Server::start(data, &[]);
    let told = server.get(&pools());
    server.stop();
    told["pools"].clone()
}

fn pools() -> String {
    format!("/v1/organizations/{ACCOUNT}/pools")
}

/// The files of RocksDB with this extension; with none, its manifests.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let fits = |path: &PathBuf| match extension {
        "" => path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("MANIFEST")),
        extension => path.extension().is_some_and(|found| found == extension),
    };
    entries.filter(fits).collect()
}

fn fullest(folder: &Path, extension: &str) -> PathBuf {
    let size = |path: &PathBuf| fs::metadata(path).expect("a file").len();
    files(folder, extension).into_iter().max_by_key(size).expect("such a file")
}
