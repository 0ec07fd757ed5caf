//! Files that the command line reads: commands as JSON, and rows to import. Nothing that was typed is ignored, and nothing that is
//! no such file is taken for an empty one.

use std::io::Write as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use ipam_ledger::cli::import::rows;
use serde_json::{Value, json};

use crate::cli::{ACCEPTED, ADMIN, REJECTED, Shell, USAGE};
use crate::cli_names::lone;
use crate::server::Server;

fn file(shell: &Shell<'_>, name: &str, bytes: &[u8]) -> PathBuf {
    let path = shell.home.join(name);
    std::fs::write(&path, bytes).expect("written");
    path
}

#[test]
fn flags_beside_a_command_in_a_file_are_applied_or_refused() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start(&home.path().join("data"), &[]);
    let shell = lone(home.path(), &server);
    let id = "0197a0de-0000-7000-8000-000000000001";
    let command = |more: &Value| {
        let ipam = shell.ok("instance list -q");
        let mut command = json!({"type": "CreateScope", "payload": {"ipam": ipam, "name": ADMIN}});
        command.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        file(&shell, "command.json", command.to_string().as_bytes()).to_string_lossy().into_owned()
    };
    let outcome = |line: &str| -> Value { serde_json::from_str(&shell.ok(line)).expect("JSON") };

    let silent = command(&json!({}));
    let said = outcome(&format!("command {silent} --reason why --by me --as {ADMIN} --command-id {id} --output json"));
    assert_eq!((&said["reason"], &said["command_id"]), (&json!("why"), &json!(id)));
    assert_eq!((&said["principal"]["account"], &said["principal"]["name"]), (&json!(ADMIN), &json!("me")));
    let scope = said["decision"]["accepted"][0]["data"]["scope"].as_str().expect("an id").to_owned();
    let named = command(&json!({"principal": {"account": ADMIN}}));
    assert_eq!(outcome(&format!("command {named} --by me --output json"))["principal"]["name"], "me");
    // The condition does what it is for.
    let modify = json!({"type": "ModifyScope", "payload": {"scope": scope, "description": "x"}});
    let modify = file(&shell, "modify.json", modify.to_string().as_bytes());
    shell.ok(&format!("scope modify {scope} --description y"));
    let stale = format!("command {} --if-revision {}", modify.display(), said["revision"]);
    shell.run(&stale).says(REJECTED, &["rejected: "]);

    let loud = json!({
        "principal": {"account": ADMIN, "name": "she"}, "reason": "because", "if_revision": 7, "command_id": id,
    });
    let loud = command(&loud);
    for (flag, says) in [
        ("--reason why", "because"),
        ("--by me", "she"),
        ("--as 333333333333", ADMIN),
        ("--if-revision 8", "7"),
        ("--command-id 0197a0de-0000-7000-8000-000000000002", id),
    ] {
        let words: Vec<_> = flag.split(' ').chain([says, "leave one"]).collect();
        shell.run(&format!("command {loud} {flag}")).says(USAGE, &words);
    }
    let broken = file(&shell, "broken.json", b"{\"reason\":\"a\",\"reason\":\"b\"}");
    shell.run(&format!("command {} --reason b", broken.display())).says(USAGE, &["MalformedRequest"]);
}

const HEADER: &str = "observed_at,change,cidr,region,service,network_border_group\n";
const ROW: &str = "2020-01-01T00:00:00Z,appeared,198.51.100.0/24,eu-central-1,EC2,\n";

#[test]
fn a_file_that_is_no_table_of_rows_is_no_empty_one() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start(&home.path().join("data"), &[]);
    let shell = lone(home.path(), &server);
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).expect("memory takes it")
    };
    let table = format!("{HEADER}{ROW}");
    let zipped = gzip(&table);
    let cut_behind_the_rows = gzip(&table.replace("198.51.100", "192.0.2"));
    for (bytes, says) in [
        (b"".as_slice(), "expected are observed_at"),
        (b"not gzip at all", "expected are observed_at"),
        (ROW.as_bytes(), "expected are observed_at"),
        (&zipped[..5], "the gzip file is cut"),
        (&cut_behind_the_rows[..cut_behind_the_rows.len() - 3], "the gzip file is cut"),
        (&gzip(""), "expected are observed_at"),
    ] {
        for name in ["rows.csv.gz", "rows.csv"] {
            let path = file(&shell, name, bytes);
            for flags in ["", "--dry-run"] {
                shell.run(&format!("import {} {flags}", path.display())).says(USAGE, &[says]);
            }
        }
    }
    for (name, bytes) in [("none.csv", HEADER.as_bytes()), ("none.csv.gz", &gzip(HEADER))] {
        let none = file(&shell, name, bytes);
        assert!(shell.ok(&format!("import {}", none.display())).starts_with("0 read, 0 new"));
    }
    let id = "--command-id 0197a0de-0000-7000-8000-000000000001";
    shell
        .run(&format!("import {} {id}", file(&shell, "one.csv", table.as_bytes()).display()))
        .says(USAGE, &["id of its own"]);
    // What is before a bad line is sent, and said to be.
    let good = table.replace("198.51", "203.0");
    let broken = file(&shell, "broken.csv", format!("{good}nonsense\n").as_bytes());
    shell.run(&format!("import {}", broken.display())).says(USAGE, &["line 3", "the rows before it were sent"]);
    let good = file(&shell, "good.csv", good.as_bytes());
    let again = shell.ok(&format!("import {}", good.display()));
    assert!(again.starts_with("1 read, 0 new, 1 already known"), "{again}");
    // By its bytes, whatever it is called; and once, whatever it is called.
    let plain = file(&shell, "plain.csv.gz", table.as_bytes());
    let first = shell.ok(&format!("import {}", plain.display()));
    assert!(first.starts_with("1 read, 1 new, 0 already known, 0 rejected"), "{first}");
    let other = file(&shell, "other.csv", &zipped);
    assert!(shell.ok(&format!("import {}", other.display())).starts_with("1 read, 0 new, 1 already known, 0 rejected"));
    assert!(shell.ok("history 198.51.100.1").contains("imported from plain.csv.gz"));
}

#[test]
fn rows_are_known_from_imports_that_named_the_file_as_their_source() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start(&home.path().join("data"), &[]);
    let shell = lone(home.path(), &server);
    let later = ROW.replace("2020", "2021").replace("appeared", "vanished");
    let table = format!("{HEADER}{ROW}{later}");
    for row in rows::read(format!("{HEADER}{ROW}").as_bytes()) {
        let row = row.expect("a good row");
        let mut command = serde_json::to_value(row.command("ranges.csv")).expect("JSON");
        command["command_id"] = json!(row.command_id());
        command["principal"] = json!({"account": ADMIN});
        let (status, answer) = server.try_send(ADMIN, &command).expect("an answer");
        assert_eq!(status, 200, "{answer}");
    }
    let path = file(&shell, "ranges.csv", table.as_bytes());
    let line = format!("import {}", path.display());
    assert!(shell.ok(&line).starts_with("2 read, 1 new, 1 already known, 0 rejected, 1 intervals"));
    let as_another = shell.run(&format!("{line} --by me"));
    as_another.says(ACCEPTED, &[]);
    assert!(as_another.out.starts_with("2 read, 0 new, 2 already known, 0 rejected"), "{as_another:#?}");

    // What was refused is not known.
    let future = ROW.replace("2020-01", "2999-01");
    let path = file(&shell, "future.csv", format!("{HEADER}{future}").as_bytes());
    let line = format!("import {}", path.display());
    for line in [&line, &line, &format!("{line} --by me")] {
        let refused = shell.run(line);
        refused.says(REJECTED, &["rejected: 1 of 1 rows"]);
        assert!(refused.out.starts_with("1 read, 0 new, 0 already known, 1 rejected"), "{refused:#?}");
    }
}
