//! The command line as people and scripts use it: against a server, and on a data directory without one.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::process::{Ended, ipam};
use crate::server::Server;

pub const ACCEPTED: i32 = 0;
pub const REJECTED: i32 = 1;
pub const USAGE: i32 = 2;
pub const UNREACHABLE: i32 = 4;
pub const ORGANIZATION: &str = "o-example";
const MANAGEMENT: &str = "111111111111";
pub const ADMIN: &str = "222222222222";

/// Runs lines of a shell, without quotes, with further flags at their end.
pub struct Shell<'a> {
    pub home: &'a Path,
    pub flags: Vec<String>,
}

impl Shell<'_> {
    pub fn run(&self, line: &str) -> Ended {
        let words = line.split_whitespace().chain(self.flags.iter().map(String::as_str));
        ipam(self.home, &words.collect::<Vec<_>>())
    }

    /// A line that must be accepted; gives its result.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        let ended = self.run(line);
        assert_eq!(ended.code, ACCEPTED, "{line}: {ended:#?}");
        ended.result().to_owned()
    }
}

#[test]
fn a_ledger_on_a_server() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start(&home.path().join("data"), &[]);
    works(home.path(), vec!["--url".to_owned(), server.url.clone()]);
    follows(home.path(), server);
}

/// Who follows the events sees those that were, the next as soon as it is decided, and that the server leaves.
fn follows(home: &Path, server: Server) {
    let follow = |flags: &[&str]| {
        let mut client = Command::new(env!("CARGO_BIN_EXE_ipam"));
        client.args(["events", "--follow", "--url", &server.url]).args(flags).env("HOME", home);
        client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    };
    let mut client = follow(&["-q", "--org", ORGANIZATION]);
    let mut lines = BufReader::new(client.stdout.take().expect("a pipe")).lines().map(|line| line.expect("a line"));
    let before = server.get(&format!("/v1/organizations/{ORGANIZATION}"))["revision"].as_u64().expect("a number");
    for revision in 1..=before {
        assert_eq!(lines.next(), Some(revision.to_string()));
    }
    server.accept(ORGANIZATION, ADMIN, "CreateIpam", &json!({"home_region": "eu-north-1"}));
    assert_eq!(lines.next(), Some((before + 1).to_string()));
    let mut waiting = follow(&["--org", "o-nobodyyet"]);
    let mut explained =
        BufReader::new(waiting.stderr.take().expect("a pipe")).lines().map(|line| line.expect("a line"));
    let says = explained.next().expect("it says that it waits");
    assert!(says.contains("organisation o-nobodyyet has no history yet"), "{says}");
    server.stop();
    assert_eq!(lines.next(), None);
    let ended = client.wait_with_output().expect("it ends");
    let says = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(UNREACHABLE), "{says}");
    assert!(says.contains("ended the stream") && says.contains(&format!("--from {}", before + 2)), "{says}");
    assert_eq!(waiting.wait().expect("it ends").code(), Some(UNREACHABLE));
}

#[test]
fn a_ledger_without_a_server() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data").to_string_lossy().into_owned();
    works(home.path(), vec!["--data".to_owned(), data.clone()]);
    ipam(home.path(), &["events", "--follow", "--data", &data]).says(USAGE, &["--follow needs a running server"]);
}

fn works(home: &Path, flags: Vec<String>) {
    let shell = Shell { home, flags };
    shell.run("allocate /24 --from eu/prod").says(USAGE, &["which organisation?", "ipam use"]);
    shell.ok(&format!("org create {ORGANIZATION} --management {MANAGEMENT}"));
    ipam(home, &["use", ORGANIZATION, "--as", MANAGEMENT]).says(ACCEPTED, &["remembered in"]);
    // The account of the command and the account that asks are two things.
    shell.ok(&format!("org add-account {ADMIN} --name network"));
    shell.ok(&format!("org delegate-admin {ADMIN}"));
    shell.run(&format!("org add-account {ADMIN}")).says(REJECTED, &["rejected:", "AccountExists", "rule:"]);
    ipam(home, &["use", ORGANIZATION, "--as", ADMIN]).says(ACCEPTED, &[]);
    shell.ok("instance create --home eu-central-1 --region us-west-2");

    let private = shell.ok("scope show private -q");
    assert!(shell.ok("scope show private").contains("default"));
    let scopes: Value = serde_json::from_str(&shell.ok("scope list --output json")).expect("JSON alone");
    let ipam = scopes["items"][0]["ipam"].as_str().expect("an id").to_owned();
    assert_eq!(shell.ok(&format!("scope list --ipam {ipam} -q")).lines().count(), 2);
    shell.run("scope list --ipam nothing").says(USAGE, &["there is no IPAM `nothing`"]);
    shell.run("scope show nothing").says(USAGE, &["there is no scope `nothing`"]);
    shell.run("scope show ipam-scope-0123456789abcdef0").says(USAGE, &["ScopeNotFound"]);
    assert_eq!(shell.ok("org list -q"), ORGANIZATION);
    let eu = shell.ok("pool create eu --scope private --locale eu-central-1 -q");
    assert!(eu.starts_with("ipam-pool-") && eu.lines().count() == 1, "{eu}");
    assert_eq!(shell.ok("pool provision eu 10.0.0.0/8 -q"), "10.0.0.0/8");
    shell.ok("pool create us --scope private --locale us-west-2");
    shell.ok(&format!("pool create prod --from {eu} --locale eu-central-1"));
    shell.ok("pool create prod --from us --locale us-west-2");
    assert_eq!(shell.ok("pool provision eu/prod /16 -q"), "10.0.0.0/16");
    shell.run("allocate /24 --from prod").says(USAGE, &["eu/prod", "us/prod"]);
    shell.run("allocate /24 --from nowhere").says(USAGE, &["nowhere"]);

    // A result that scripts work on; the same command again is the same command.
    let id = "0197a0de-0000-7000-8000-000000000007";
    let first = shell.ok(&format!("allocate /24 --from eu/prod --for vpc-0a1b2c -q --command-id {id}"));
    assert_eq!(first, "10.0.0.0/24");
    let again = shell.run(&format!("allocate /24 --from eu/prod --for vpc-0a1b2c --command-id {id}"));
    again.says(ACCEPTED, &["decided before"]);
    assert!(again.out.contains("10.0.0.0/24"), "{again:#?}");
    shell
        .run(&format!("allocate /25 --from eu/prod --command-id {id}"))
        .says(REJECTED, &["IdempotentParameterMismatch"]);
    assert_eq!(shell.ok("allocate --from eu/prod /24 -q"), "10.0.1.0/24", "the repetition took nothing");

    let json: Value = serde_json::from_str(&shell.ok("allocate /24 --from eu/prod --output json")).expect("JSON alone");
    assert_eq!(json["decision"]["accepted"][0]["data"]["cidr"], "10.0.2.0/24");
    let refused = shell.run("allocate /8 --from eu/prod --output json");
    assert_eq!(refused.code, REJECTED, "{refused:#?}");
    let json: Value = serde_json::from_str(&refused.out).expect("JSON alone");
    assert_eq!(json["code"], "PoolExhausted");
    // So is a question that is refused.
    let refused = shell.run("pool next eu/prod /8 --output json");
    refused.says(REJECTED, &["PoolExhausted"]);
    let json: Value = serde_json::from_str(&refused.out).expect("JSON alone");
    assert_eq!(json["code"], "PoolExhausted");
    let refused = shell.run("pool show ipam-pool-0123456789abcdef0 --output json");
    let json: Value = serde_json::from_str(&refused.out).expect("JSON alone");
    assert_eq!(json["code"], "PoolNotFound");
    shell.run("allocate 10.0.0.1/24 --from eu/prod").says(USAGE, &["10.0.0.0/24"]);

    let list: Value = serde_json::from_str(&shell.ok("allocation list eu/prod --output json")).expect("JSON alone");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(3));
    assert!(shell.ok("who 10.0.0.77").contains("vpc-0a1b2c"));
    assert!(shell.ok("history 10.0.0.77").lines().any(|line| line.contains("vpc-0a1b2c") && line.contains(&private)));
    assert!(shell.ok(&format!("who 10.0.0.77 --scope {private}")).contains("vpc-0a1b2c"));
    assert!(!shell.ok("who 10.0.0.77 --scope public").contains("vpc-0a1b2c"));
    assert!(!shell.ok("history 10.0.0.77 --scope public").contains("vpc-0a1b2c"));
    shell.run("history vpc-0a1b2c --scope public").says(USAGE, &["--scope is for addresses"]);
    assert!(shell.ok(&format!("outcome {id} --wait 1")).contains("AllocateCidr"));
    let observe = "resource observe vpc-07 --cidr 10.9.0.0/16 --account 222222222222 --region eu-central-1";
    shell.ok(&format!("{observe} --observed-at 2024-05-01T12:00:00Z"));
    shell.ok("resource gone vpc-07 --observed-at 2024-06-01T12:00:00Z");
    let unplaced = "resource observe vpc-08 --cidr 10.10.0.0/16 --observed-at 2024-05-01T12:00:00Z";
    shell.run(unplaced).says(ACCEPTED, &["its space may be handed out", "--account"]);
    let unplaced = unplaced.replace("vpc-08", "vpc-09") + " --account 222222222222";
    shell.run(&unplaced).says(ACCEPTED, &["its space may be handed out", "--region"]);
    shell
        .run(&format!("{unplaced} --region mars-north-1"))
        .says(ACCEPTED, &["its space may be handed out", "--add-region"]);
    shell.ok("pool modify eu --auto-import true");
    assert!(shell.ok("pool show eu").contains("nothing is imported yet"));
    shell.run("changes --from rev:3").says(USAGE, &["--from", "--as-of rev:3"]);
    shell.run("resource show vpc-07").says(ACCEPTED, &["vpc vpc-07 is not known to hold anything then"]);
    assert!(shell.ok("resource show vpc-07 --at 2024-05-20").contains("10.9.0.0/16"));
    let events = shell.ok("events");
    assert!(events.lines().next().is_some_and(|first| first.contains("CreateOrganization  accepted")), "{events}");
    assert!(events.contains("AllocateCidr  rejected PoolExhausted"), "{events}");
    let revisions: Vec<u64> = shell.ok("events --from 3 -q").lines().map(|one| one.parse().expect("one")).collect();
    assert!(revisions.len() > 10 && revisions.iter().copied().eq((3..).take(revisions.len())), "{revisions:?}");
    let last: Value = serde_json::from_str(shell.ok("events --output json").lines().last().expect("one")).expect("one");
    assert_eq!(last["revision"].as_u64(), revisions.last().copied());
    shell.ok("events --from 1000000");
    shell.run("status").says(ACCEPTED, &["ready: "]);
    shell.ok("release 10.0.0.0/24 --reason moved");
    assert!(shell.ok("history 10.0.0.77").contains("vpc-0a1b2c"), "released, not forgotten");
    shell.run("release 10.0.0.0/24").says(USAGE, &["10.0.0.0/24"]);
    shell.run("pool show ipam-pool-0123456789abcdef0").says(USAGE, &["PoolNotFound"]);
}

#[test]
fn a_ledger_that_is_not_there() {
    let home = tempfile::tempdir().expect("a directory");
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let shell = Shell { home: home.path(), flags: vec!["--url".to_owned(), format!("http://127.0.0.1:{port}")] };
    shell.run("who 10.0.0.1 --org o-example").says(UNREACHABLE, &["cannot ask the ledger"]);
    let line = "org add-account 222222222222 --org o-example --as 111111111111";
    shell.run(line).says(UNREACHABLE, &["cannot ask the ledger"]);
    let nowhere = home.path().join("nowhere").to_string_lossy().into_owned();
    let shell = Shell { home: home.path(), flags: vec!["--data".to_owned(), nowhere] };
    shell.run("who 10.0.0.1 --org o-example").says(UNREACHABLE, &["ipam serve"]);
    shell.run("who 10.0.0.256").says(USAGE, &["10.0.0.256"]);
}
