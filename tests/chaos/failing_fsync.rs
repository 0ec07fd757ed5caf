//! A failed fsync: nobody can tell what the disk has. The server acknowledges nothing of it, writes no more even when
//! the disk seems to be well again, says so, answers queries, and is whole after a restart.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::client::outcome;
use crate::draw::Scene;
use crate::embedded_kills::{ACCOUNT, assert_log_is_whole, prepare};
use crate::patience::PATIENCE;
use crate::server::{Server, command};
use crate::witness::Witness;

#[test]
fn a_failed_fsync_ends_the_writing_until_a_restart() {
    let scene = Scene::plain("a_failed_fsync");
    let (library, fault) = (scene.path().join("failing_fsync.so"), scene.path().join("fault"));
    compile(&library);
    let data = scene.path().join("data");
    let log = OpenOptions::new().create(true).append(true).open(scene.log("server")).expect("a log file");
    let variables = [("LD_PRELOAD", &*library), ("IPAM_FAULT", &*fault)];
    let server = Server::try_spawn_in(&data, &["--log-format", "json"], Stdio::from(log), &variables);
    let server = server.expect("it starts");
    server.wait_until_ready();
    let pool = prepare(&server);
    let witness = Witness::default();
    let allocate = || command(ACCOUNT, "AllocateCidr", &json!({"pool": pool, "netmask_length": 28}));
    let tell = |server: &Server, command: &Value| {
        let answer = server.try_send(ACCOUNT, command).expect("the server answers");
        let outcome = outcome(answer).expect("an outcome");
        witness.told_outcome(ACCOUNT, command, &outcome, 0);
    };
    for _ in 0..10 {
        tell(&server, &allocate());
    }

    std::fs::write(&fault, "").expect("the fault begins");
    let unknown = allocate();
    let (status, body) = server.try_send(ACCOUNT, &unknown).expect("the server answers");
    assert_eq!((status, &body["code"]), (504, &json!("OutcomeUnknown")), "{body}");
    std::fs::remove_file(&fault).expect("the disk seems to be well again");
    let until = Instant::now() + PATIENCE;
    let refused = loop {
        match server.try_send(ACCOUNT, &allocate()).expect("the server answers") {
            (503, body) => break body.to_string(),
            (504, _) => assert!(Instant::now() < until, "commands are not refused"),
            other => panic!("a command is taken after a failed fsync: {other:?}"),
        }
    };
    assert!(["a write failed", "restart"].iter().all(|words| refused.contains(words)), "{refused}");
    let (status, why) = server.try_get("/readyz").expect("the server answers");
    assert_eq!((status, why.to_string().contains("restart")), (503, true), "{why}");
    let latest = witness.latest(ACCOUNT);
    assert_eq!(server.get(&format!("/v1/organizations/{ACCOUNT}?at_least={latest}"))["revision"], latest);
    server.kill();

    let server = Server::start(&data, &[]);
    tell(&server, &unknown);
    tell(&server, &allocate());
    server.stop();
    assert_log_is_whole(scene.path(), &data, &witness);
}

fn compile(library: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chaos/failing_fsync.c");
    let compiler = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(library).arg(source).arg("-ldl").status();
    assert!(compiler.expect("a C compiler, as the build needs one").success());
}
