//! What is thrown at every decoder that takes bytes from outside, and what must hold of the answer. Each target is run as
//! an ordinary test by `main.rs` beside this, and under libFuzzer by `scripts/fuzz`.
//!
//! Not only that nothing panics: what is accepted is written again to something that reads as the same and is written the
//! same; what is refused is refused with a reason, and a reason is short whatever was sent.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Uri};
use http_body_util::BodyExt as _;
use ipam_ledger::address::Cidr;
use ipam_ledger::api::limits::Limits;
use ipam_ledger::api::{PROBLEM_JSON, Problem, complete};
use ipam_ledger::cli::import::rows;
use ipam_ledger::cli::node::{Node, open_embedded};
use ipam_ledger::domain::command::Command;
use ipam_ledger::domain::id::OrganizationId;
use ipam_ledger::domain::time::Timestamp;
use ipam_ledger::log::record::EpochOpened;
use ipam_ledger::log::wire::{self, CommandRequest, Decoded};
use ipam_ledger::views::position::Position;
use ipam_ledger::views::when::{AsOf, At, parse_as_of, parse_at};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use uuid::Uuid;

pub struct Target {
    pub name: &'static str,
    /// Panics when something does not hold.
    pub check: fn(&[u8]),
}

pub const TARGETS: [Target; 8] = [
    Target { name: "command", check: command },
    Target { name: "outcome", check: outcome },
    Target { name: "record", check: record },
    Target { name: "envelope", check: envelope },
    Target { name: "query", check: query },
    Target { name: "rows", check: import_rows },
    Target { name: "cidr", check: cidr },
    Target { name: "when", check: when },
];

#[allow(dead_code, reason = "the tests take all of them")]
pub fn named(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

/// A refusal is at most so long, whatever was sent.
const REASON_BYTES_MAX: usize = 4_096;
const ORGANIZATION: &str = "o-example";

fn reason(text: &str) {
    assert!(!text.is_empty(), "refused without a reason");
    assert!(text.len() <= REASON_BYTES_MAX, "a reason of {} bytes", text.len());
}

fn command(bytes: &[u8]) {
    match wire::decode_command(bytes) {
        Ok(Decoded::Command(command)) => {
            let written = request(&command).encode();
            let Ok(Decoded::Command(read)) = wire::decode_command(&written) else {
                panic!("it is not read as it was written: {}", String::from_utf8_lossy(&written))
            };
            // The digest is of what was sent: `null` and absent differ there and nowhere else.
            assert_eq!(Command { digest: command.digest, ..(*read).clone() }, *command);
            assert_eq!(request(&read).encode(), written);
        }
        Ok(Decoded::Malformed(envelope, rejection)) => {
            reason(&rejection.message);
            let kept = serde_json::to_vec(&*rejection).expect("JSON").len();
            assert!(kept <= 4 * REASON_BYTES_MAX, "a rejection of {kept} bytes goes on record");
            let name = envelope.principal.name.as_deref().unwrap_or_default();
            assert!(envelope.reason.as_deref().unwrap_or_default().chars().count() <= 1_024);
            assert!(name.chars().count() <= 256 && envelope.type_name.chars().count() <= 64);
        }
        Err(undecodable) => reason(&undecodable.0),
    }
}

fn request(command: &Command) -> CommandRequest {
    let Command { id, organization, principal, if_revision, reason, digest: _, body } = command.clone();
    let request = CommandRequest::new(id, organization, principal, body);
    CommandRequest { if_revision, reason, ..request }
}

fn outcome(bytes: &[u8]) {
    match wire::decode_outcome(bytes) {
        Ok(outcome) => {
            let written = wire::encode_outcome(&outcome);
            let read = wire::decode_outcome(&written).expect("it reads what it writes");
            assert_eq!(read, outcome);
            assert_eq!(wire::encode_outcome(&read), written);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn record(bytes: &[u8]) {
    fn both_ways<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
        if let Ok(value) = serde_json::from_slice::<T>(bytes) {
            let written = serde_json::to_vec(&value).expect("JSON");
            assert_eq!(serde_json::from_slice::<T>(&written).expect("it reads what it writes"), value);
        }
    }
    both_ways::<EpochOpened>(bytes);
    both_ways::<Position>(bytes);
}

fn envelope(bytes: &[u8]) {
    let organization: OrganizationId = ORGANIZATION.parse().expect("an id");
    let id = Uuid::from_u128(7);
    match complete(&organization, Some(id), bytes) {
        Ok(completed) => {
            let json: Value = match serde_json::from_slice(&completed.json) {
                Ok(json) => json,
                // The payload is passed on unread, and may be what no reader takes.
                Err(error) => {
                    let text = error.to_string();
                    assert!(
                        ["recursion", "range", "escape", "surrogate"].iter().any(|word| text.contains(word)),
                        "{text}"
                    );
                    return;
                }
            };
            assert_eq!(json["organization"], ORGANIZATION);
            assert_eq!(complete(&organization, None, &completed.json).expect("it is complete"), completed);
            // Whatever the way in, the same bytes are the same command, or none.
            if let Ok(Decoded::Command(command)) = wire::decode_command(&completed.json) {
                assert_eq!((command.id, command.organization), (completed.id, organization));
            }
        }
        Err(problem) => {
            assert_eq!(problem.status, 400);
            reason(&problem.detail);
        }
    }
}

/// A small ledger, and how it is asked without a socket. Nothing is waited for.
struct Served {
    runtime: tokio::runtime::Runtime,
    router: Router,
    _node: Node,
    _directory: tempfile::TempDir,
}

static SERVED: LazyLock<Served> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open_embedded(directory.path()).expect("a new ledger");
    let none = std::time::Duration::ZERO;
    let router = node.router(Limits { revision_wait_max: none, revision_wait_default: none, ..Limits::default() });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let served = Served { runtime, router, _node: node, _directory: directory };
    let send = |number: u128, kind: &str, payload: Value| {
        let command = json!({"command_id": Uuid::from_u128(number), "principal": {"account": "000000000042"},
            "type": kind, "payload": payload});
        let request = Request::post("/v1/organizations/000000000042/commands")
            .header("content-type", "application/json")
            .body(Body::from(command.to_string()))
            .expect("a request");
        let (status, _, answer) = served.ask(request);
        assert_eq!(status, 200, "{answer}");
        answer["decision"]["accepted"][0]["data"].clone()
    };
    // The ids follow from the command ids: the corpus names them.
    let ipam = send(1, "CreateIpam", json!({"home_region": "eu-central-1"}));
    let scope = &ipam["private_default_scope"];
    let pool = send(2, "CreatePool", json!({"scope": scope, "address_family": "ipv4"}))["pool"].clone();
    send(3, "ProvisionPoolCidr", json!({"pool": pool, "cidr": "10.0.0.0/8"}));
    let block = send(4, "AllocateCidr", json!({"pool": pool, "netmask_length": 24}))["cidr"].clone();
    for (number, id) in [(5, "vpc-a"), (6, "vpc-b")] {
        let payload =
            json!({"kind": "vpc", "id": id, "observed_at": "2024-01-01T00:00:00Z", "cidrs": [{"cidr": block}]});
        send(number, "ObserveResource", payload);
    }
    served
});

impl Served {
    fn ask(&self, request: Request<Body>) -> (u16, String, Value) {
        self.runtime.block_on(async {
            let answer = self.router.clone().oneshot(request).await.expect("infallible");
            let status = answer.status().as_u16();
            let kind =
                answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or("").to_owned();
            if kind == "text/event-stream" {
                return (status, kind, Value::Null);
            }
            let body = answer.into_body().collect().await.expect("a body").to_bytes();
            (status, kind, serde_json::from_slice(&body).unwrap_or(Value::Null))
        })
    }
}

/// A path with a query.
fn query(bytes: &[u8]) {
    let Ok(uri) = Uri::try_from(bytes) else { return };
    if !uri.path().starts_with('/') {
        return;
    }
    let (status, kind, answer) = SERVED.ask(Request::get(uri).body(Body::empty()).expect("a request"));
    if kind == PROBLEM_JSON {
        let problem: Problem = serde_json::from_value(answer).expect("a problem document");
        assert_eq!(problem.status, status);
        assert!([400, 404, 405, 422, 431, 503].contains(&status), "{status} {}", problem.detail);
        reason(&problem.detail);
    } else {
        assert_eq!(status, 200);
    }
}

fn import_rows(bytes: &[u8]) {
    const COLUMNS: &str = "observed_at,change,cidr,region,service,network_border_group";
    for row in rows::read(bytes) {
        match row {
            Ok(row) => {
                let change = match row.change {
                    rows::Change::Appeared => "appeared",
                    rows::Change::Vanished => "vanished",
                };
                let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
                let (service, group) = (quoted(&row.service), quoted(&row.network_border_group));
                let line = format!("{},{change},{},{},{service},{group}", row.observed_at, row.cidr, row.region);
                let written = format!("{COLUMNS}\n{line}\n");
                let read = rows::read(written.as_bytes()).next().expect("a row").expect("it is read as it was written");
                assert_eq!(read, row);
                assert_eq!(read.command_id(), row.command_id());
                assert_eq!(read.command("f"), row.command("f"));
            }
            Err(error) => reason(&error.to_string()),
        }
    }
}

fn cidr(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<Cidr>() {
        Ok(cidr) => {
            let (bits, first, length) = naive(text).unwrap_or_else(|| panic!("{text} is accepted"));
            assert_eq!((cidr.family().bits(), cidr.first(), cidr.length()), (bits, first, length), "{text}");
            assert_eq!(cidr.to_string().parse(), Ok(cidr), "{text}");
        }
        Err(error) => {
            assert_eq!(naive(text), None, "{text} is refused: {error}");
            reason(&error.to_string());
        }
    }
}

/// The bits of an address, the first address and the length, by the letter of RFC 4632 and RFC 4291.
fn naive(text: &str) -> Option<(u8, u128, u8)> {
    let (address, length) = text.split_once('/')?;
    let (bits, value) = if address.contains(':') { (128, naive_ipv6(address)?) } else { (32, naive_ipv4(address)?) };
    let length = u8::try_from(decimal(length, 128)?).ok()?;
    if length > bits {
        return None;
    }
    let host_bits = u32::from(bits - length);
    let mask = if host_bits == 128 { u128::MAX } else { (1_u128 << host_bits) - 1 };
    let is_mapped = bits == 128 && value >> 32 == 0xffff;
    (value & mask == 0 && !is_mapped).then_some((bits, value, length))
}

/// Digits without a leading zero.
fn decimal(text: &str, max: u128) -> Option<u128> {
    let good = !text.is_empty() && text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    (good && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok())?.filter(|value| *value <= max)
}

fn naive_ipv4(text: &str) -> Option<u128> {
    let parts: Vec<_> = text.split('.').map(|part| decimal(part, 255)).collect::<Option<_>>()?;
    (parts.len() == 4).then(|| parts.iter().fold(0, |value, part| value << 8 | part))
}

fn naive_ipv6(text: &str) -> Option<u128> {
    // Groups of 16 bits; an IPv4 address may stand for the last two of the whole.
    let groups = |text: &str, may_end_in_ipv4: bool| -> Option<Vec<u128>> {
        let mut groups = Vec::new();
        if text.is_empty() {
            return Some(groups);
        }
        let parts: Vec<_> = text.split(':').collect();
        for (at, part) in parts.iter().enumerate() {
            if part.contains('.') && may_end_in_ipv4 && at + 1 == parts.len() {
                let ipv4 = naive_ipv4(part)?;
                groups.extend([ipv4 >> 16, ipv4 & 0xffff]);
            } else {
                let good = (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit());
                groups.push(good.then(|| u128::from_str_radix(part, 16).ok())??);
            }
        }
        Some(groups)
    };
    let all = match text.split_once("::") {
        None => groups(text, true)?,
        Some((head, tail)) => {
            let (mut head, tail) = (groups(head, false)?, groups(tail, true)?);
            let missing = 8_usize.checked_sub(head.len() + tail.len()).filter(|missing| *missing > 0)?;
            head.extend(std::iter::repeat_n(0, missing));
            head.extend(tail);
            head
        }
    };
    (all.len() == 8).then(|| all.iter().fold(0, |value, group| value << 16 | group))
}

fn when(bytes: &[u8]) {
    const DAY_MICROS: i64 = 86_400_000_000;
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let now = Timestamp::from_micros(1_750_000_000_000_000);
    match parse_at(text, now) {
        Ok(At::Instant(instant)) => {
            assert_eq!(parse_at(&instant.to_string(), now), Ok(At::Instant(instant)), "{text}");
        }
        Ok(At::Day { from, until }) => {
            let clamped = until == Timestamp::MAX;
            assert!(until.micros() - from.micros() == DAY_MICROS || clamped, "{text}");
        }
        Err(error) => reason(&error.to_string()),
    }
    match parse_as_of(text, now) {
        Ok(AsOf::Instant(instant)) => {
            assert!(instant <= now, "{text}");
            assert_eq!(parse_as_of(&instant.to_string(), now), Ok(AsOf::Instant(instant)), "{text}");
        }
        Ok(AsOf::Revision(revision)) => assert!(text.starts_with("rev:") && revision.to_string().len() <= 20, "{text}"),
        Err(error) => reason(&error.to_string()),
    }
}
