//! Which ledger a command line means, and what its names mean: those that were typed, at the moment that was asked about, and when a
//! command is repeated.

use std::path::Path;

use serde_json::Value;

use crate::cli::{ACCEPTED, ADMIN, ORGANIZATION, REJECTED, Shell, UNREACHABLE, USAGE};
use crate::process::{ipam, ipam_with};
use crate::server::Server;

/// A lone account's ledger with an IPAM, asked by flags alone.
pub fn lone<'a>(home: &'a Path, server: &Server) -> Shell<'a> {
    let flags = ["--url", &server.url, "--org", ADMIN].map(str::to_owned).to_vec();
    let shell = Shell { home, flags };
    shell.ok("instance create --home eu-central-1");
    shell
}

#[test]
fn a_ledger_that_is_typed_goes_before_the_environment() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start(&home.path().join("served"), &[]);
    let path = |name: &str| home.path().join(name).to_string_lossy().into_owned();
    let (typed, url) = (path("typed"), server.url.as_str());
    let create = ["org", "create", ORGANIZATION, "--management", ADMIN, "--data", &typed];
    let created = ipam_with(home.path(), &[("IPAM_URL", url)], &create);
    created.says(ACCEPTED, &[&format!("made a new ledger in {typed}")]);
    let in_typed = ipam(home.path(), &["org", "list", "-q", "--data", &typed]);
    assert_eq!((in_typed.result(), in_typed.err.as_str()), (ORGANIZATION, ""));
    assert_eq!(server.get("/v1/organizations")["items"], Value::Array(Vec::new()), "the other ledger is left alone");

    // The server that is typed goes before a directory in the environment, and that before nothing.
    let listed = |variables: &[(&str, &str)], flags: &[&str]| {
        let ended = ipam_with(home.path(), variables, &[&["org", "list", "-q"], flags].concat());
        assert_eq!(ended.code, ACCEPTED, "{ended:#?}");
        ended.result().to_owned()
    };
    assert_eq!(listed(&[("IPAM_DATA", &typed)], &[]), ORGANIZATION);
    assert_eq!(listed(&[("IPAM_DATA", &typed)], &["--url", url]), "");
    assert_eq!(listed(&[("IPAM_DATA", &typed), ("IPAM_URL", url)], &[]), "", "of two in the environment, the server");
    let both = ipam(home.path(), &["org", "list", "--url", url, "--data", &typed]);
    both.says(USAGE, &["leave out --url", "--data"]);

    let nowhere = path("nowhere");
    let rebuilt = ipam(home.path(), &["views", "rebuild", "--data", &nowhere]);
    rebuilt.says(UNREACHABLE, &[&nowhere]);
    assert!(!Path::new(&nowhere).exists(), "there was nothing to rebuild");
}

#[test]
fn names_mean_what_they_meant_when_the_command_was_decided() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start(&home.path().join("data"), &[]);
    let shell = lone(home.path(), &server);
    shell.ok("pool create world");
    shell.ok("pool provision world 10.0.0.0/8");
    shell.ok("pool create spare");
    shell.ok("scope create lab");
    let first = shell.ok("allocate 10.1.200.0/24 --from world --description first --output json");
    let first: Value = serde_json::from_str(&first).expect("JSON");
    let held_at = first["decided_at"].as_str().expect("an instant");

    let id = |number: u8| format!("--command-id 0197a0de-0000-7000-8000-0000000000{number:02x}");
    let lines = [
        format!("release 10.1.200.0/24 {}", id(1)),
        format!("pool delete spare {}", id(2)),
        format!("scope delete lab {}", id(3)),
    ];
    let decided = lines.each_ref().map(|line| shell.ok(&format!("{line} --output json")));
    for (line, decided) in lines.iter().zip(&decided) {
        let again = shell.run(line);
        again.says(ACCEPTED, &["decided before"]);
        assert_eq!(&shell.ok(&format!("{line} --output json")), decided, "{line}");
    }
    // The name is another's meanwhile.
    shell.ok("allocate 10.1.200.0/24 --from world --description second");
    shell.run(&lines[0]).says(ACCEPTED, &["decided before"]);
    assert!(shell.ok("who 10.1.200.1").contains("second"), "the second is still there");
    // A refusal is repeated, too.
    let refused = format!("pool delete world {}", id(4));
    shell.run(&refused).says(REJECTED, &["DependencyViolation"]);
    shell.run(&refused).says(REJECTED, &["DependencyViolation"]);
    // The id is no way around what another command would be.
    shell.run(&format!("pool delete world {}", id(1))).says(REJECTED, &["IdempotentParameterMismatch"]);
    shell.run(&format!("pool delete nothing {}", id(1))).says(REJECTED, &["ReleaseAllocation", "no pool `nothing`"]);

    // At a moment, a block means who held it then.
    assert!(shell.ok(&format!("allocation show 10.1.200.0/24 --at {held_at}")).contains("first"));
    assert!(shell.ok("allocation show 10.1.200.0/24").contains("second"));
    assert!(shell.ok("allocation show 10.1.200.0/24 --at now").contains("second"));
    let released = shell.ok("release 10.1.200.0/24 --output json");
    let released: Value = serde_json::from_str(&released).expect("JSON");
    shell.run("allocation show 10.1.200.0/24").says(USAGE, &["there is no allocation"]);
    let day = held_at.split_once('T').expect("an instant").0;
    // Both were released that day, unless midnight was between; neither held it at its end.
    if released["decided_at"].as_str().is_some_and(|at| at.starts_with(day)) {
        shell
            .run(&format!("allocation show 10.1.200.0/24 --at {day}"))
            .says(USAGE, &["could be any", "first", "second"]);
    }

    // The default scopes go by their words whatever others are called.
    let twin = shell.ok("scope create private -q");
    let default = shell.ok("scope show private -q");
    assert_ne!(default, twin);
    assert!(shell.ok(&format!("scope show {twin}")).contains("private"));
    shell.ok("pool create second");
    shell.ok("overlaps");
}
