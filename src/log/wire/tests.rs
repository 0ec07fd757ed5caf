//! What bytes on the command topic are, as a table: a command, a refusal on record, or a dead letter.

use serde_json::{Value, json};

use super::*;
use crate::domain::command::{AllocateCidr, TagResource};
use crate::domain::rejection::Code::{
    self, InvalidParameterValue, MalformedCommand, MissingParameter, UnknownCommandType,
};

const ID: &str = "018f0000-0000-7000-8000-000000000001";
const POOL: &str = "ipam-pool-0123456789abcdef0";

fn sent(type_name: &str, payload: &Value) -> Value {
    json!({
        "schema": 1, "command_id": ID, "organization": "o-example", "principal": {"account": "000000000001"},
        "type": type_name, "payload": payload,
    })
}

fn with(mut command: Value, name: &str, value: Value) -> Value {
    command[name] = value;
    command
}

fn allocate() -> Value {
    sent("AllocateCidr", &json!({"pool": POOL, "netmask_length": 24}))
}

fn command(text: &str) -> Command {
    match decode_command(text.as_bytes()) {
        Ok(Decoded::Command(command)) => *command,
        other => panic!("{text}: {other:#?}"),
    }
}

fn malformed(text: &str) -> (Envelope, Rejection) {
    match decode_command(text.as_bytes()) {
        Ok(Decoded::Malformed(envelope, rejection)) => (*envelope, *rejection),
        other => panic!("{text}: {other:#?}"),
    }
}

fn dead(bytes: &[u8]) -> String {
    decode_command(bytes).expect_err("nobody to answer").0
}

#[test]
fn a_command_is_read_with_all_it_carries() {
    let text = with(with(allocate(), "if_revision", json!(7)), "reason", json!("for the shop")).to_string();
    let read = command(&text);
    assert_eq!((read.id.to_string().as_str(), read.organization.as_str()), (ID, "o-example"));
    assert_eq!((read.if_revision, read.reason.as_deref()), (Some(Revision(7)), Some("for the shop")));
    let CommandBody::AllocateCidr(AllocateCidr { pool, netmask_length: Some(24), cidr: None, .. }) = read.body else {
        panic!("{read:#?}");
    };
    assert_eq!(pool.to_string(), POOL);
    // Optional members may be absent, or null; the schema, too.
    let text = with(with(allocate(), "if_revision", Value::Null), "reason", Value::Null).to_string();
    assert_eq!((command(&text).if_revision, command(&text).reason), (None, None));
    command(&text.replace(r#""schema":1,"#, ""));
}

#[test]
fn what_a_producer_in_rust_sends_is_what_is_read() {
    let read = command(&with(allocate(), "reason", json!("why")).to_string());
    let request = CommandRequest {
        reason: read.reason.clone(),
        ..CommandRequest::new(read.id, read.organization.clone(), read.principal.clone(), read.body.clone())
    };
    let bytes = request.encode();
    let again = command(std::str::from_utf8(&bytes).expect("JSON is UTF-8"));
    // Defaults are written out, so the digest is that of the longer payload.
    assert_eq!(Command { digest: again.digest, ..read }, again);
    assert_eq!(serde_json::from_slice::<CommandRequest>(&bytes).expect("reads back"), request);
}

#[test]
fn the_digest_is_over_what_was_asked_as_it_was_sent() {
    let digest = |value: &Value| command(&value.to_string()).digest;
    let known = digest(&allocate());
    let canonical = format!(
        r#"{{"organization":"o-example","payload":{{"netmask_length":24,"pool":"{POOL}"}},"principal":{{"account":"000000000001"}},"type":"AllocateCidr"}}"#
    );
    assert_eq!(known, Digest::of(canonical.as_bytes()));
    // Neither spaces nor the order of members nor the way a number or a letter is written matter ...
    let spaced = format!(
        r#" {{ "type" : "AllocateCidr", "payload" : {{ "pool" : "\u0069pam{}", "netmask_length" : 24 }},
            "principal" : {{ "account" : "000000000001" }}, "organization" : "o-example", "command_id" : "{ID}" }} "#,
        POOL.trim_start_matches("ipam")
    );
    assert_eq!(command(&spaced).digest, known);
    // ... nor what is not asked for: id, precondition and reason.
    let other_id = with(allocate(), "command_id", json!("018f0000-0000-7000-8000-000000000002"));
    assert_eq!(digest(&other_id), known);
    assert_eq!(digest(&with(allocate(), "reason", json!("x"))), known);
    assert_eq!(digest(&with(allocate(), "if_revision", json!(9))), known);
    // All else does, also what means the same but was not said.
    for other in [
        with(allocate(), "organization", json!("o-other")),
        with(allocate(), "principal", json!({"account": "000000000002"})),
        with(allocate(), "principal", json!({"account": "000000000001", "proof": "none"})),
        with(allocate(), "payload", json!({"pool": POOL, "netmask_length": 25})),
        with(allocate(), "payload", json!({"pool": POOL, "netmask_length": 24, "cidr": null})),
    ] {
        assert_ne!(digest(&other), known, "{other}");
    }
}

#[test]
fn what_names_nobody_to_answer_is_a_dead_letter_with_its_reason() {
    let without = |name: &str| {
        let mut command = allocate();
        command.as_object_mut().expect("an object").remove(name);
        command.to_string()
    };
    let bomb = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = allocate().to_string().replace("24", &format!("{}{}", "[".repeat(200), "]".repeat(200)));
    let twice = allocate().to_string().replacen('{', r#"{"organization":"o-other","#, 1);
    for (text, reason) in [
        (String::new(), "not JSON"),
        ("allocate me a /24".to_owned(), "not JSON"),
        (allocate().to_string().trim_end_matches('}').to_owned(), "EOF"),
        ("[1, 2]".to_owned(), "it is a list; a command is an object"),
        ("null".to_owned(), "it is null"),
        (bomb, "more than 127 deep"),
        (nested, "more than 127 deep"),
        (r#"{"payload": 1e999}"#.to_owned(), "number out of range"),
        (r#"{"payload": "\ud800"}"#.to_owned(), "not JSON"),
        (without("command_id"), "`command_id` is missing"),
        (without("organization"), "`organization` is missing"),
        (without("principal"), "`principal` is missing"),
        (with(allocate(), "command_id", json!("seven")).to_string(), "`command_id`"),
        (with(allocate(), "organization", json!("o-")).to_string(), "`organization`: `o-` is not an organisation id"),
        (with(allocate(), "organization", json!(7)).to_string(), "`organization`: this is integer `7`"),
        (
            with(allocate(), "principal", json!({"account": "1"})).to_string(),
            "`principal.account`: `1` is not an account",
        ),
        (with(allocate(), "principal", json!({})).to_string(), "`principal.account` is missing"),
        (with(allocate(), "principal", json!("000000000001")).to_string(), "`principal`"),
        (twice, "`organization` is there twice"),
    ] {
        let said = dead(text.as_bytes());
        assert!(said.contains(reason), "{said} of {}", text.chars().take(200).collect::<String>());
        assert!(said.len() < 700, "{said}");
    }
    assert!(dead(b"{\"a\": \"\xff\"}").contains("not UTF-8 from byte 7 on"));
    let long = with(allocate(), "reason", json!("x".repeat(COMMAND_BYTES_MAX))).to_string();
    assert!(dead(long.as_bytes()).contains("at most 1000000"));
}

/// The sender is refused on record, with this code, for this field, and told one thing that would work.
fn assert_malformed(command: &Value, code: Code, field: Option<&str>, works: (&str, &str)) {
    let text = command.to_string();
    let (envelope, rejection) = malformed(&text);
    let shown: String = text.chars().take(300).collect();
    assert_eq!(rejection.code, code, "{shown}\n{rejection:#?}");
    assert_eq!(rejection.values.get("field").map(String::as_str), field, "{shown}\n{rejection:#?}");
    let expected = Some(works).filter(|(name, _)| !name.is_empty());
    let found = rejection.would_work.iter().next().map(|(name, value)| (name.as_ref(), value.as_str()));
    assert_eq!(found, expected, "{shown}\n{rejection:#?}");
    assert_eq!((envelope.id.to_string().as_str(), envelope.organization.as_str()), (ID, "o-example"));
    assert_eq!(envelope.principal.account.to_string(), "000000000001");
    assert!(rejection.message.ends_with('.') && rejection.message.chars().count() < 800, "{rejection:#?}");
}

#[test]
fn a_wrong_envelope_is_refused_on_record() {
    for (command, code, field, works) in [
        // The envelope.
        (with(allocate(), "schema", json!(2)), MalformedCommand, None, ("schema", "1")),
        (with(allocate(), "schema", json!("1")), MalformedCommand, Some("schema"), ("", "")),
        (with(allocate(), "resaon", json!("x")), MalformedCommand, Some("resaon"), ("nearest", "reason")),
        (with(allocate(), "ifRevision", json!(1)), MalformedCommand, Some("ifRevision"), ("nearest", "if_revision")),
        (
            with(allocate(), "quantity", json!(1)),
            MalformedCommand,
            Some("quantity"),
            ("fields", "schema, command_id, organization, principal, if_revision, reason, type, payload"),
        ),
        (with(allocate(), "if_revision", json!(-1)), InvalidParameterValue, Some("if_revision"), ("", "")),
        (with(allocate(), "if_revision", json!("7")), MalformedCommand, Some("if_revision"), ("", "")),
        (with(allocate(), "reason", json!(["x"])), MalformedCommand, Some("reason"), ("", "")),
        (
            with(allocate(), "reason", json!("x".repeat(1025))),
            InvalidParameterValue,
            Some("reason"),
            ("characters_max", "1024"),
        ),
        (
            with(allocate(), "principal", json!({"account": "000000000001", "name": "x".repeat(257)})),
            InvalidParameterValue,
            Some("principal.name"),
            ("characters_max", "256"),
        ),
        (
            with(allocate(), "principal", json!({"account": "000000000001", "nmae": "x"})),
            MalformedCommand,
            Some("principal.nmae"),
            ("nearest", "name"),
        ),
        (
            with(allocate(), "principal", json!({"account": "000000000001", "proof": "sigv4"})),
            InvalidParameterValue,
            Some("principal.proof"),
            ("allowed", "none"),
        ),
        // The type.
        (with(allocate(), "type", json!("AllocateCird")), UnknownCommandType, None, ("nearest", "AllocateCidr")),
        (with(allocate(), "type", json!("allocate_cidr")), UnknownCommandType, None, ("nearest", "AllocateCidr")),
        (with(allocate(), "type", json!("Fly")), UnknownCommandType, None, ("types", &CommandBody::TYPES.join(", "))),
        (with(allocate(), "type", json!(7)), MalformedCommand, Some("type"), ("", "")),
    ] {
        assert_malformed(&command, code, field, works);
    }
}

#[test]
fn a_wrong_payload_is_refused_on_record() {
    let in_payload = |payload: Value| with(allocate(), "payload", payload);
    let observe = |cidr: &str| {
        let cidrs = json!([{"cidr": "10.0.0.0/24"}, {"cidr": cidr}]);
        let payload = json!({"kind": "vpc", "id": "vpc-1", "observed_at": "2024-01-01T00:00:00Z", "cidrs": cidrs});
        sent("ObserveResource", &payload)
    };
    let modify = |field: &str| {
        let mut payload = json!({"pool": POOL});
        payload[field] = Value::Null;
        sent("ModifyPool", &payload)
    };
    let bind = json!({"allocation": "ipam-pool-alloc-0123456789abcdef0123456789abcdef", "resource": null});
    for (command, code, field, works) in [
        // `null` clears, and what cannot be cleared is not passed over.
        (modify("placement"), MalformedCommand, Some("payload.placement"), ("", "")),
        (modify("auto_import"), MalformedCommand, Some("payload.auto_import"), ("", "")),
        (sent("ModifyAllocation", &bind), MalformedCommand, Some("payload.resource"), ("", "")),
        // The payload.
        (in_payload(json!([POOL])), MalformedCommand, Some("payload"), ("", "")),
        (in_payload(Value::Null), MalformedCommand, Some("payload"), ("", "")),
        (in_payload(json!({"netmask_length": 24})), MissingParameter, Some("payload.pool"), ("", "")),
        (
            in_payload(json!({"pool": POOL, "netmaskLenght": 24})),
            MalformedCommand,
            Some("payload.netmaskLenght"),
            ("nearest", "netmask_length"),
        ),
        (
            in_payload(json!({"pool": POOL, "netmask_length": "24"})),
            MalformedCommand,
            Some("payload.netmask_length"),
            ("", ""),
        ),
        (
            in_payload(json!({"pool": POOL, "netmask_length": 300})),
            InvalidParameterValue,
            Some("payload.netmask_length"),
            ("", ""),
        ),
        (
            in_payload(json!({"pool": "pool-7", "netmask_length": 24})),
            InvalidParameterValue,
            Some("payload.pool"),
            ("", ""),
        ),
        (
            in_payload(json!({"pool": POOL, "resource": {"kind": "vcp", "id": "x"}})),
            InvalidParameterValue,
            Some("payload.resource.kind"),
            ("nearest", "vpc"),
        ),
        // CIDRs: spec'd corners, deep inside.
        (observe("10.0.0.1/8"), InvalidParameterValue, Some("payload.cidrs.1.cidr"), ("canonical", "10.0.0.0/8")),
        (observe("010.0.0.0/8"), InvalidParameterValue, Some("payload.cidrs.1.cidr"), ("", "")),
        (
            observe("::ffff:10.0.0.0/104"),
            InvalidParameterValue,
            Some("payload.cidrs.1.cidr"),
            ("canonical", "10.0.0.0/8"),
        ),
        (observe("10.0.0.0/33"), InvalidParameterValue, Some("payload.cidrs.1.cidr"), ("netmask_length", "0 to 32")),
        (observe("10.0.0.7"), InvalidParameterValue, Some("payload.cidrs.1.cidr"), ("canonical", "10.0.0.7/32")),
    ] {
        assert_malformed(&command, code, field, works);
    }
}

#[test]
fn doubled_names_are_refused_wherever_they_stand() {
    let payload = |payload: &str| {
        let Value::Object(command) = sent("TagResource", &json!("HERE")) else { panic!("an object") };
        Value::Object(command).to_string().replace(r#""HERE""#, payload)
    };
    for (text, field) in [
        (allocate().to_string().replacen('{', r#"{"reason":"a","reason":"b","#, 1), "reason"),
        (payload(&format!(r#"{{"resource":"{POOL}","tags":{{}},"tags":{{"a":"1"}}}}"#)), "payload.tags"),
        (payload(&format!(r#"{{"resource":"{POOL}","tags":{{"a":"1","b":"","\u0061":"2"}}}}"#)), "payload.tags.a"),
    ] {
        let (_, rejection) = malformed(&text);
        assert_eq!(rejection.code, Code::MalformedCommand, "{text}");
        assert_eq!(rejection.values.get("field").map(String::as_str), Some(field), "{text}");
    }
    let tags = command(&payload(&format!(r#"{{"resource":"{POOL}","tags":{{"a":"1","A":"2"}}}}"#)));
    let CommandBody::TagResource(TagResource { tags, .. }) = tags.body else { panic!("{tags:#?}") };
    assert_eq!(tags.len(), 2);
}

#[test]
fn what_is_on_record_of_a_refused_command_is_bounded() {
    let long = "x".repeat(100_000);
    for command in [
        with(allocate(), "type", json!(long)),
        with(allocate(), "reason", json!(long)),
        with(allocate(), "principal", json!({"account": "000000000001", "name": long})),
        with(allocate(), &long, json!(1)),
        with(allocate(), "payload", json!({ &long: 1 })),
        with(allocate(), "payload", json!({"pool": long})),
        with(allocate(), "payload", json!({"pool": POOL, "netmask_length": long})),
        with(allocate(), "payload", json!({"pool": POOL, "cidr": long})),
        with(allocate(), "payload", json!({"pool": POOL, "tags": { &long: 1 }})),
        with(allocate(), "payload", json!({"pool": POOL, "resource": {"kind": long, "id": ""}})),
    ] {
        let (envelope, rejection) = malformed(&command.to_string());
        let record = serde_json::to_string(&rejection).expect("serialises").len()
            + envelope.type_name.len()
            + envelope.reason.unwrap_or_default().len()
            + envelope.principal.name.unwrap_or_default().len();
        assert!(record < 4096, "{record} bytes: {rejection:#?}");
    }
}

#[test]
fn an_outcome_of_another_schema_says_so() {
    let error = decode_outcome(br#"{"schema": 7, "anything": true}"#).expect_err("a newer program's");
    assert!(matches!(error, OutcomeError::Schema { found: 7 }), "{error}");
    assert!(matches!(decode_outcome(b"{").expect_err("damaged"), OutcomeError::Json(_)));
}
