//! The record format as others see it: JSON Schemas that are current, and golden records that still hold.
//!
//! `UPDATE_SCHEMAS=1 cargo test --test schemas` writes `schemas/*.json` anew. Golden records are never
//! rewritten: a record that was once written must be readable for ever, to the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ipam_ledger::domain::command::CommandBody;
use ipam_ledger::domain::event::Event;
use ipam_ledger::domain::outcome::Outcome;
use ipam_ledger::domain::rejection::Rejection;
use ipam_ledger::log::record::EpochOpened;
use ipam_ledger::log::wire::{CommandRequest, Decoded, decode_command, decode_outcome, encode_outcome};
use schemars::{JsonSchema, schema_for};
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn validator(name: &str) -> jsonschema::Validator {
    let schemas = schemas();
    let schema = schemas.get(name).unwrap_or_else(|| panic!("there is no schema {name}"));
    jsonschema::draft202012::new(schema).expect("a schema of 2020-12")
}

/// Every schema, by the name of its file.
fn schemas() -> BTreeMap<&'static str, Value> {
    fn schema<T: JsonSchema>() -> Value {
        schema_for!(T).to_value()
    }
    BTreeMap::from([
        ("command", schema::<CommandRequest>()),
        ("outcome", schema::<Outcome>()),
        ("event", schema::<Event>()),
        ("rejection", schema::<Rejection>()),
        ("epoch-opened", schema::<EpochOpened>()),
    ])
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The golden records of a folder: name and text, without the line's end.
fn golden(folder: &str) -> BTreeMap<String, String> {
    let folder = root().join("tests/golden").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| {
            let path = entry.expect("a folder can be listed").path();
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            (name, read(&path).trim_end_matches('\n').to_owned())
        })
        .collect()
}

fn assert_valid(schema: &str, name: &str, text: &str) {
    let validator = validator(schema);
    let record: Value = serde_json::from_str(text).expect("golden records are JSON");
    let errors: Vec<String> =
        validator.iter_errors(&record).map(|error| format!("{}: {error}", error.instance_path)).collect();
    assert!(errors.is_empty(), "{name} by schemas/{schema}.json: {errors:#?}");
}

#[test]
fn schemas_are_current() {
    let update = std::env::var_os("UPDATE_SCHEMAS").is_some();
    for (name, schema) in schemas() {
        let path = root().join("schemas").join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
        if update {
            fs::write(&path, &text).expect("the schemas can be written");
        }
        let current = fs::read_to_string(&path).unwrap_or_default();
        assert!(current == text, "{} is stale: UPDATE_SCHEMAS=1 cargo test --test schemas", path.display());
    }
}

#[test]
fn there_is_a_golden_record_of_every_type() {
    let commands = golden("command");
    let expected: Vec<&str> = CommandBody::TYPES.to_vec();
    for name in expected {
        assert!(commands.contains_key(name), "tests/golden/command/{name}.json is missing");
    }
    let outcomes = golden("outcome");
    let mut seen: Vec<String> = Vec::new();
    for text in outcomes.values() {
        let outcome = decode_outcome(text.as_bytes()).expect("golden outcomes decode");
        seen.extend(outcome.events().iter().map(|event| event.type_name().to_owned()));
    }
    for name in Event::TYPES {
        assert!(seen.iter().any(|seen| seen == name), "no golden outcome holds a {name}");
    }
}

#[test]
fn golden_commands_validate_decode_and_encode_to_the_same_bytes() {
    let digests: BTreeMap<String, String> =
        serde_json::from_str(&read(&root().join("tests/golden/command-digests.json"))).expect("names and digests");
    for (name, text) in golden("command") {
        assert_valid("command", &name, &text);
        let command = match decode_command(text.as_bytes()) {
            Ok(Decoded::Command(command)) => command,
            other => panic!("{name}: {other:#?}"),
        };
        assert_eq!(command.body.type_name(), name);
        assert_eq!(Some(&command.digest.to_string()), digests.get(&name), "the digest of {name}");
        let request: CommandRequest = serde_json::from_str(&text).expect("a request reads back");
        assert_eq!(request.body, command.body, "both ways of reading {name} agree");
        assert_eq!(String::from_utf8(request.encode()).expect("JSON is UTF-8"), text, "{name}");
    }
}

#[test]
fn golden_outcomes_validate_decode_and_encode_to_the_same_bytes() {
    for (name, text) in golden("outcome") {
        assert_valid("outcome", &name, &text);
        let outcome = decode_outcome(text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(String::from_utf8(encode_outcome(&outcome)).expect("JSON is UTF-8"), text, "{name}");
        for event in outcome.events() {
            assert_valid("event", &name, &serde_json::to_string(event).expect("serialises"));
        }
    }
}

#[test]
fn a_golden_epoch_validates_decodes_and_encodes_to_the_same_bytes() {
    for (name, text) in golden("epoch-opened") {
        assert_valid("epoch-opened", &name, &text);
        let opened: EpochOpened = serde_json::from_str(&text).expect("decodes");
        assert_eq!(serde_json::to_string(&opened).expect("serialises"), text, "{name}");
    }
}

#[test]
fn schemas_refuse_what_the_program_refuses() {
    let validator = validator("command");
    let golden = golden("command");
    let command: Value = serde_json::from_str(&golden["AllocateCidr"]).expect("JSON");
    assert!(validator.is_valid(&command));
    let with = |pointer: &str, name: &str, value: Value| {
        let mut command = command.clone();
        let object = command.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object");
        object.insert(name.to_owned(), value);
        command
    };
    for wrong in [
        with("", "surprise", 1.into()),
        with("", "schema", 2.into()),
        with("", "type", "AllocateCird".into()),
        with("", "type", "AddAccount".into()),
        with("", "organization", "example".into()),
        with("/principal", "nmae", "x".into()),
        with("/payload", "netmaskLength", 24.into()),
        with("/payload", "cidr", "10.0.0.0".into()),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
        assert!(!matches!(decode_command(wrong.to_string().as_bytes()), Ok(Decoded::Command(_))), "{wrong}");
    }
}
