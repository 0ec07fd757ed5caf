//! The example producer in Python, with the client that Python people use: its command is decided, and it finds the
//! outcome by itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::kafka;
use crate::process::{Ended, run};
use crate::server::Server;

const CLIENT: &str = "confluent-kafka>=2.5,<3";

#[test]
fn a_command_from_python_is_decided() {
    let data = tempfile::tempdir().expect("a directory");
    let config = kafka::config_with_topics(3);
    let _server = Server::start(data.path(), &["--kafka", &config.bootstrap, "--topic-prefix", &config.prefix]);
    let python = home("python", CLIENT).join("bin/python");
    let produce = |more: &[&str]| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/examples/produce.py");
        let mut command = Command::new(&python);
        command.arg(script).args(["--bootstrap", &config.bootstrap, "--topic-prefix", &config.prefix]);
        command.args(["--organization", "o-python", "--account", "000000000001", "--timeout", "120"]);
        run(command.args(more))
    };
    let decision = |ended: &Ended| -> Value {
        let outcome: Value = serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:#?}"));
        outcome["decision"].clone()
    };
    let id = "0197a0de-0000-7000-8000-000000000001";
    let create = ["--command-id", id, "CreateOrganization", r#"{"management_account": "000000000001"}"#];
    let first = produce(&create);
    assert_eq!(first.code, 0, "{first:#?}");
    assert_eq!(decision(&first)["accepted"][0]["type"], "OrganizationCreated", "{first:#?}");
    let again = produce(&create);
    assert_eq!((again.code, &again.out), (0, &first.out), "the same id, the same outcome");
    let refused = produce(&["--reason", "zoë", "AddAccount", r#"{"account": "000000000001"}"#]);
    assert_eq!(refused.code, 1, "{refused:#?}");
    assert_eq!(decision(&refused)["rejected"]["code"], "AccountExists", "{refused:#?}");
}

/// A Python of its own with one package, kept between runs of the tests.
pub fn home(name: &str, package: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (python, has) = (home.join("bin/python"), home.join("package"));
    // Written last: what was begun and not ended is made anew.
    if std::fs::read_to_string(&has).ok().as_deref() != Some(package) {
        let made = run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
        assert_eq!(made.code, 0, "{made:#?}");
        let installed = run(Command::new(&python).args(["-m", "pip", "install", "--quiet", package]));
        assert_eq!(installed.code, 0, "{installed:#?}");
        std::fs::write(has, package).expect("written");
    }
    home
}
