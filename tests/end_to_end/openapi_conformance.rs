//! The served OpenAPI document against the server, judged by a stranger: schemathesis makes requests from the document,
//! good and bad ones, and every answer must be one that the document tells of. By hand, for longer:
//! `IPAM_SCHEMATHESIS_EXAMPLES=500 cargo test --test end_to_end openapi_conformance -- --nocapture`.
//!
//! Not asked: the event stream, which never ends (its refusals are in `stream.rs`).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::run_within;
use crate::python;
use crate::server::Server;
use crate::walkthrough::{ORGANIZATION, Script};

const PACKAGE: &str = "schemathesis==4.32.5";
/// Requests per operation in the drawn phase; the phase that covers each bound of each parameter has its own number.
const EXAMPLES: &str = "40";
const SEED: &str = "20260101";
/// The checks that are not made. A document cannot say everything that a good request is (a pool that is full, host bits),
/// and nothing here asks who somebody is or deletes over HTTP.
const UNCHECKED: [&str; 6] = [
    "positive_data_acceptance",
    "missing_required_header",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
    "object_level_authorization",
];
/// Generous: it takes a minute or two.
const ENDS_WITHIN: Duration = Duration::from_secs(1_800);

#[test]
fn every_answer_is_one_that_the_document_tells_of() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start(&home.path().join("ledger"), &[]);
    let mut script = Script::new(&server);
    let names = script.play();
    script.await_views();
    std::fs::write(home.path().join("schemathesis.toml"), settings(&server, &names)).expect("written");
    let examples = std::env::var("IPAM_SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| EXAMPLES.to_owned());
    let mut command = Command::new(schemathesis());
    command.current_dir(home.path()).arg("--no-color").arg("run").arg(format!("{}/openapi.json", server.url));
    command.args(["--phases", "examples,coverage,fuzzing", "--seed", SEED]);
    command.args(["--max-examples", &examples, "--exclude-path", "/v1/events", "--generation-database", "none"]);
    let ended = run_within(&mut command, ENDS_WITHIN);
    assert_eq!(ended.code, 0, "{}\n{}", ended.out, ended.err);
    let summary = ended.out.lines().find(|line| line.contains(" generated, ")).expect("it says what it did");
    println!("schemathesis:{summary}");
    // By the server's own count: much was answered, and nothing went wrong inside.
    let metrics = server.get("/metrics");
    let counted = |status: &str| {
        let of_status = |line: &&str| line.starts_with("ipam_http_requests_total") && line.contains(status);
        metrics.as_str().expect("text").lines().filter(of_status).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(counted("status=\"200\"").len() > 15, "{metrics}");
    assert_eq!(counted("status=\"5"), Vec::<String>::new());
    server.stop();
}

/// Ids that are there, so that most of what is asked has an answer; nothing that only waits.
fn settings(server: &Server, names: &std::collections::BTreeMap<&'static str, serde_json::Value>) -> String {
    let pool = server.get(&format!("/v1/organizations/{ORGANIZATION}/pools/{}", text(&names["prod"])));
    let mut settings = String::from("[parameters]\n");
    for (name, value) in [
        ("organization", ORGANIZATION),
        ("ipam", text(&pool["ipam"])),
        ("scope", text(&names["private"])),
        ("pool", text(&names["prod"])),
        ("allocation", text(&names["shop"]["allocation"])),
        ("command_id", "00000000-0000-0000-0000-000000000001"),
    ] {
        writeln!(settings, "\"path.{name}\" = \"{value}\"").expect("a text grows");
    }
    // A revision that is never reached is a 503 after the whole waiting time; another test asks for one.
    settings.push_str("\"query.at_least\" = 1\n");
    settings.push_str("[checks]\n");
    for check in UNCHECKED {
        writeln!(settings, "{check}.enabled = false").expect("a text grows");
    }
    // A batch answers 200 and says inside which of its commands were refused, and why.
    settings.push_str(
        "[[operations]]\ninclude-operation-id = \"submitCommands\"\n[operations.checks]\nnegative_data_rejection.enabled = false\n",
    );
    settings
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().expect("a text")
}

fn schemathesis() -> PathBuf {
    let home: &Path = &python::home("schemathesis", PACKAGE);
    home.join("bin/schemathesis")
}
