//! Every limit that a client can meet: one table, from which `docs/limits.md` is made, and each row that has a probe is
//! asked at the limit and one above, over HTTP.
//!
//! `UPDATE_DOCS=1 cargo test --test end_to_end limits::the_page` writes the page anew.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ipam_ledger::api::limits::Limits;
use ipam_ledger::domain::check;
use ipam_ledger::log::wire::{COMMAND_BYTES_MAX, COMMAND_NESTING_MAX};
use ipam_ledger::processor::core;
use serde_json::{Map, Value, json};

use crate::raw;
use crate::server::{Server, command};

const ACCOUNT: &str = "000000000042";
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/limits.md");
/// How long the server may take to see what was sent. Bodies are waited for longer.
const SEEN_WITHIN: Duration = Duration::from_secs(20);

/// Status, and a text that is somewhere in the answer.
type Expected = (u16, &'static str);
/// Asks with so many of the unit.
type Probe = fn(&World, usize) -> (u16, Value);

struct Limit {
    what: &'static str,
    unit: &'static str,
    value: usize,
    /// Where the number comes from: the reference, a standard, or our own choice.
    from: &'static str,
    /// What happens above it.
    above: &'static str,
    tested: Tested,
}

enum Tested {
    /// At the limit, and one above.
    Here(Probe, Expected, Expected),
    /// By the test of this name.
    By(&'static str),
}
use Tested::{By, Here};

const OURS: &str = "our choice";
const ACCEPTED: Expected = (200, "");

#[test]
fn everything_is_taken_at_its_limit_and_refused_one_above() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &[]);
    let world = World::prepare(server);
    let mut wrong = Vec::new();
    for Limit { what, value, tested, .. } in limits() {
        let Here(probe, at, above) = tested else { continue };
        for (asked, (status, says)) in [(value, at), (value + 1, above)] {
            let (got, answer) = probe(&world, asked);
            let text = answer.to_string();
            if got != status || !text.contains(says) {
                let text: String = text.chars().take(300).collect();
                wrong.push(format!("{what} = {asked}: not {status} with `{says}`, but {got}: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_page_of_limits_is_current() {
    let mut page = String::from(INTRODUCTION);
    for Limit { what, unit, value, from, above, tested } in limits() {
        let test = match tested {
            Here(..) => "at the limit and one above",
            By(name) => name,
        };
        let value = grouped(value);
        writeln!(page, "| {what} | {value} {unit} | {from} | {above} | {test} |").expect("a text grows");
    }
    page.push_str(COST);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &page).expect("the page can be written");
    }
    let there = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        there == page,
        "docs/limits.md is not current: UPDATE_DOCS=1 cargo test --test end_to_end limits::the_page"
    );
}

const INTRODUCTION: &str = "# Limits

Everything that comes from outside has a bound. Each is named in the code with its unit: those of a server in
`src/api/limits.rs`, those of what a command carries in `src/domain/check.rs`, those of a command's bytes in `src/log/wire`,
those of a record in `src/processor/core`. Characters are Unicode scalar values. This page is made from the table in
`tests/end_to_end/limits.rs`, which also tests it over HTTP; where a row names several things, the first of them (and labels, and
`disallowed_cidrs`). Quotas, which an organisation can raise, are no limits in this sense:
`SetQuota`.

| What | At most | From | Above it | Tested |
|---|---|---|---|---|
";

const COST: &str = "
A refusal with a status other than 422 is recorded nowhere. With 422 a command's rejection is recorded and has a revision, with two
exceptions: `IdempotentParameterMismatch` is not recorded, the id's first answer stands; and `OrganizationNotFound` is recorded
without a revision, as it is part of no history. A refused question (`next-cidr`) records nothing.

## What idle and hostile connections cost

`cargo test --test end_to_end many_connections -- --nocapture` opens 1,000 connections that are answered once and then
idle, and afterwards 100 hostile ones: a third send their headers line by line, a third their body byte by byte, a third ask for 200
large answers and read none. It prints how much the most memory ever held (`VmHWM`) grew by each, and fails above
64 MiB and 128 MiB. On two cores, with the lightly optimised build of the tests, a run printed 9,712 KiB (10 KiB a connection) and
11,680 KiB (117 KiB a connection). `slow_clients` does the same with pages of 2 MiB and with the event stream.
";

/// 1000000 → 1,000,000
fn grouped(value: usize) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn seconds(time: Duration) -> usize {
    usize::try_from(time.as_secs()).expect("few")
}

#[expect(clippy::too_many_lines, reason = "one table")]
fn limits() -> Vec<Limit> {
    let http = Limits::default();
    let refused = |says| (422, says);
    let row = |what, value, unit, from, above, tested| Limit { what, unit, value, from, above, tested };
    vec![
        row(
            "Body of one command",
            http.body_bytes_max,
            "bytes",
            "what one record of the command topic takes",
            "413 `BodyTooLarge`",
            Here(body_bytes, ACCEPTED, (413, "BodyTooLarge")),
        ),
        row(
            "One command, completed by the server",
            COMMAND_BYTES_MAX,
            "bytes",
            "the same",
            "413 `BodyTooLarge`; on the topic a dead letter",
            Here(completed_bytes, ACCEPTED, (413, "BodyTooLarge")),
        ),
        row(
            "Body of a batch",
            http.batch_bytes_max,
            "bytes",
            OURS,
            "413 `BodyTooLarge`",
            Here(batch_bytes, ACCEPTED, (413, "BodyTooLarge")),
        ),
        row(
            "Commands in a batch",
            http.batch_commands_max,
            "commands",
            OURS,
            "413 `BatchTooLarge`",
            Here(batch_commands, ACCEPTED, (413, "BatchTooLarge")),
        ),
        row(
            "Outcome record",
            core::Limits::default().record_bytes_max,
            "bytes",
            "below what a record may have, with its headers",
            "422, `RecordTooLarge` is recorded instead",
            By("`processor::core` tests"),
        ),
        row(
            "Nesting of a command",
            COMMAND_NESTING_MAX,
            "levels",
            "`serde_json`",
            "400 `MalformedRequest`; on the topic a dead letter",
            Here(nesting, (422, "MalformedCommand"), (400, "127 deep")),
        ),
        row(
            "Request line and headers",
            http.header_bytes_max,
            "bytes",
            OURS,
            "431 `HeadersTooLarge`; far above it 431 or 414 without a body",
            Here(header_bytes, ACCEPTED, (431, "HeadersTooLarge")),
        ),
        row(
            "Headers",
            http.header_fields_max,
            "headers",
            OURS,
            "431 without a body",
            Here(header_fields, ACCEPTED, (431, "")),
        ),
        row(
            "Time for the headers, and between requests",
            seconds(http.header_time_max),
            "s",
            OURS,
            "the connection is closed",
            By("`many_connections`"),
        ),
        row("Time for the body", seconds(http.body_time_max), "s", OURS, "408 `BodyTimeout`", By("`api` tests")),
        row(
            "Time in which a client takes nothing of an answer",
            seconds(http.write_time_max),
            "s",
            OURS,
            "the connection is closed",
            By("`slow_clients`"),
        ),
        row(
            "Open connections",
            http.connections_max,
            "connections",
            OURS,
            "more wait to be accepted",
            By("`api::server` tests"),
        ),
        row(
            "Requests being answered",
            http.requests_open_max,
            "requests",
            OURS,
            "503 `Overloaded`, `Retry-After: 1`",
            Here(requests_open, ACCEPTED, (503, "Overloaded")),
        ),
        row(
            "Clients of the event stream",
            http.stream_clients_max,
            "clients",
            OURS,
            "503 `Overloaded`, `Retry-After: 10`",
            Here(stream_clients, ACCEPTED, (503, "")),
        ),
        row(
            "Waiting for `at_least`, or for an outcome: `wait_seconds`",
            seconds(http.revision_wait_max),
            "s",
            OURS,
            "400 `InvalidParameterValue`",
            Here(wait_seconds, ACCEPTED, (400, "wait_seconds")),
        ),
        row(
            "Waiting for a command's outcome",
            seconds(http.outcome_wait_max),
            "s",
            OURS,
            "504 `OutcomeUnknown`: ask again with the same id",
            By("`api` tests"),
        ),
        row(
            "Rows of a page",
            http.page_rows_max,
            "rows",
            OURS,
            "400 `InvalidParameterValue`",
            Here(page_rows, ACCEPTED, (400, "InvalidParameterValue")),
        ),
        row(
            "`after`",
            http.cursor_bytes_max,
            "bytes",
            OURS,
            "400 `InvalidParameterValue`",
            Here(cursor_bytes, (400, "not a cursor"), (400, "1025 bytes")),
        ),
        row(
            "`reason`",
            check::REASON_CHARS_MAX,
            "characters",
            OURS,
            "422 `InvalidParameterValue`",
            Here(reason, ACCEPTED, refused("characters_max")),
        ),
        row(
            "`principal.name`; names of accounts and resources",
            check::NAME_CHARS_MAX,
            "characters",
            OURS,
            "422 `InvalidParameterValue`",
            Here(principal_name, ACCEPTED, refused("characters_max")),
        ),
        row(
            "`description`",
            check::DESCRIPTION_CHARS_MAX,
            "characters",
            OURS,
            "422 `InvalidParameterValue`",
            Here(description, ACCEPTED, refused("characters_max")),
        ),
        row(
            "Ids of resources, of their parents, and sources",
            check::FOREIGN_ID_CHARS_MAX,
            "characters",
            OURS,
            "422 `InvalidParameterValue`",
            Here(resource_id, ACCEPTED, refused("characters_max")),
        ),
        row(
            "Tags of an object, labels of a resource",
            check::TAGS_MAX,
            "tags",
            "the reference, §0.2",
            "422 `InvalidParameterValue`",
            Here(tags, ACCEPTED, refused("tags_max")),
        ),
        row(
            "A tag's key",
            check::TAG_KEY_CHARS_MAX,
            "characters",
            "the reference, §0.2",
            "422 `InvalidParameterValue`",
            Here(tag_key, ACCEPTED, refused("characters_max")),
        ),
        row(
            "A tag's value, and `name`",
            check::TAG_VALUE_CHARS_MAX,
            "characters",
            "the reference, §0.2",
            "422 `InvalidParameterValue`",
            Here(tag_value, ACCEPTED, refused("characters_max")),
        ),
        row(
            "`keys` of `UntagResource`",
            check::TAGS_MAX,
            "keys",
            "the reference, §0.2",
            "422 `InvalidParameterValue`",
            Here(untag_keys, ACCEPTED, refused("entries_max")),
        ),
        row(
            "`allowed_cidrs`, `disallowed_cidrs`, operating regions",
            check::LIST_ENTRIES_MAX,
            "entries",
            "the reference, INV-I2",
            "422 `InvalidParameterValue`",
            Here(allowed_cidrs, ACCEPTED, refused("entries_max")),
        ),
        row(
            "`cidrs` of an observation",
            check::OBSERVED_CIDRS_MAX,
            "blocks",
            OURS,
            "422 `InvalidParameterValue`",
            Here(observed_cidrs, ACCEPTED, refused("entries_max")),
        ),
    ]
}

/// A pool with room, in a lone account.
struct World {
    server: Server,
    pool: Value,
}

impl World {
    fn prepare(server: Server) -> Self {
        let data = |kind: &str, payload: Value| {
            let outcome = server.accept(ACCOUNT, ACCOUNT, kind, &payload);
            outcome["decision"]["accepted"][0]["data"].clone()
        };
        let ipam = data("CreateIpam", json!({"home_region": "eu-central-1"}));
        let scope = &ipam["private_default_scope"];
        let pool = data("CreatePool", json!({"scope": scope, "address_family": "ipv4"}))["pool"].clone();
        data("ProvisionPoolCidr", json!({"pool": pool, "cidr": "10.0.0.0/8"}));
        let outcome = server.accept(ACCOUNT, ACCOUNT, "ModifyPool", &json!({"pool": pool, "description": "limits"}));
        server.get(&format!("/v1/organizations/{ACCOUNT}?at_least={}&wait_seconds=30", outcome["revision"]));
        Self { server, pool }
    }

    fn send(&self, kind: &str, payload: &Value) -> (u16, Value) {
        self.server.try_send(ACCOUNT, &command(ACCOUNT, kind, payload)).expect("the server answers")
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.server.try_get(path).expect("the server answers")
    }

    /// A command that is accepted as often as it is sent, and changes nothing.
    fn harmless(&self) -> Value {
        command(ACCOUNT, "ModifyPool", &json!({"pool": self.pool, "description": "limits"}))
    }

    fn with(&self, member: &str, value: Value) -> (u16, Value) {
        let mut command = self.harmless();
        command[member] = value;
        self.server.try_send(ACCOUNT, &command).expect("the server answers")
    }

    fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let head = format!(
            "POST /v1/organizations/{ACCOUNT}/{path} HTTP/1.1\r\nHost: ipam\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        raw::exchange(&self.server, (head + body).as_bytes(), false)
    }

    fn observe(&self, id: &str, cidrs: usize, labels: usize) -> (u16, Value) {
        let cidrs: Vec<_> =
            (0..cidrs).map(|at| json!({"cidr": format!("172.16.{}.{}/32", at / 256, at % 256)})).collect();
        self.send(
            "ObserveResource",
            &json!({"kind": "vpc", "id": id, "observed_at": "2024-01-01T00:00:00Z", "cidrs": cidrs,
                "attributes": {"labels": numbered(labels)}}),
        )
    }

    fn tagged(&self, tags: &Value) -> (u16, Value) {
        self.send("AllocateCidr", &json!({"pool": self.pool, "netmask_length": 28, "tags": tags}))
    }
}

fn numbered(count: usize) -> Value {
    Value::Object((0..count).map(|at| (format!("key{at}"), json!("v"))).collect::<Map<_, _>>())
}

/// So many characters of two bytes each.
fn letters(count: usize) -> String {
    "é".repeat(count)
}

fn padded(text: &str, bytes: usize) -> String {
    format!("{text}{}", " ".repeat(bytes - text.len()))
}

fn body_bytes(world: &World, bytes: usize) -> (u16, Value) {
    world.post("commands", &padded(&world.harmless().to_string(), bytes))
}

/// The body is small enough; the organisation, which it does not name, makes it so large.
fn completed_bytes(world: &World, bytes: usize) -> (u16, Value) {
    let added = format!(",\"organization\":\"{ACCOUNT}\"").len();
    let text = world.harmless().to_string();
    // Blanks inside a payload are the sender's; they stay.
    let (begin, end) = text.split_once("\"payload\":{").expect("a payload");
    let blanks = " ".repeat(bytes - added - text.len());
    world.post("commands", &format!("{begin}\"payload\":{{{blanks}{end}"))
}

fn batch_bytes(world: &World, bytes: usize) -> (u16, Value) {
    world.post("commands:batch", &padded(&json!([world.harmless()]).to_string(), bytes))
}

fn batch_commands(world: &World, count: usize) -> (u16, Value) {
    let commands: Vec<_> = (0..count).map(|_| world.harmless()).collect();
    world.post("commands:batch", &json!(commands).to_string())
}

fn nesting(world: &World, levels: usize) -> (u16, Value) {
    let mut command = world.harmless();
    command["payload"] = json!(7);
    // The command itself is one level.
    let lists = format!("\"payload\":{}{}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    world.post("commands", &command.to_string().replace("\"payload\":7", &lists))
}

fn header_bytes(world: &World, bytes: usize) -> (u16, Value) {
    let plain = "GET /healthz HTTP/1.1\r\nHost: ipam\r\nConnection: close\r\nx: \r\n\r\n";
    let request = plain.replace("x: ", &format!("x: {}", "y".repeat(bytes - plain.len())));
    raw::exchange(&world.server, request.as_bytes(), false)
}

fn header_fields(world: &World, count: usize) -> (u16, Value) {
    let more: String = (2..count).fold(String::new(), |text, at| text + &format!("x-{at}: y\r\n"));
    let request = format!("GET /healthz HTTP/1.1\r\nHost: ipam\r\nConnection: close\r\n{more}\r\n");
    raw::exchange(&world.server, request.as_bytes(), false)
}

/// One request behind all others, whose bodies do not come.
fn requests_open(world: &World, count: usize) -> (u16, Value) {
    let head = format!(
        "POST /v1/organizations/{ACCOUNT}/commands HTTP/1.1\r\nHost: ipam\r\nContent-Type: application/json\r\n\
         Content-Length: 10\r\n\r\n"
    );
    let others: Vec<_> = (1..count).map(|_| begun(world, &head)).collect();
    let until = Instant::now() + SEEN_WITHIN;
    let full = others.len() >= Limits::default().requests_open_max;
    loop {
        let answer = world.get("/healthz");
        // Where it should be full, the server may not have seen all of them yet.
        if !full || answer.0 != 200 || Instant::now() > until {
            drop(others);
            await_idle(world);
            return answer;
        }
    }
}

fn stream_clients(world: &World, count: usize) -> (u16, Value) {
    let ask = format!("GET /v1/events?organization={ACCOUNT} HTTP/1.1\r\nHost: ipam\r\n\r\n");
    let mut answer = [0; 12];
    let mut open = Vec::new();
    for _ in 0..count {
        let mut client = begun(world, &ask);
        client.read_exact(&mut answer).expect("an answer begins");
        open.push(client);
    }
    drop(open);
    await_idle(world);
    (raw::status(&String::from_utf8_lossy(&answer)), Value::Null)
}

fn begun(world: &World, request: &str) -> TcpStream {
    let mut socket = raw::connect(&world.server);
    socket.write_all(request.as_bytes()).expect("sent");
    socket
}

/// Until the server has noticed that clients are gone.
fn await_idle(world: &World) {
    let until = Instant::now() + SEEN_WITHIN;
    let busy = || {
        let (_, text) = world.get("/metrics");
        let text = text.as_str().unwrap_or_default().to_owned();
        !text.lines().any(|line| line == "ipam_http_stream_clients 0")
    };
    while busy() {
        assert!(Instant::now() < until, "clients that are gone are not noticed");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn wait_seconds(world: &World, seconds: usize) -> (u16, Value) {
    world.get(&format!("/v1/organizations/{ACCOUNT}?at_least=1&wait_seconds={seconds}"))
}

fn page_rows(world: &World, rows: usize) -> (u16, Value) {
    world.get(&format!("/v1/organizations?limit={rows}"))
}

fn cursor_bytes(world: &World, bytes: usize) -> (u16, Value) {
    world.get(&format!("/v1/organizations?after={}", "x".repeat(bytes)))
}

fn reason(world: &World, chars: usize) -> (u16, Value) {
    world.with("reason", json!(letters(chars)))
}

fn principal_name(world: &World, chars: usize) -> (u16, Value) {
    world.with("principal", json!({"account": ACCOUNT, "name": letters(chars)}))
}

fn description(world: &World, chars: usize) -> (u16, Value) {
    world.send("AllocateCidr", &json!({"pool": world.pool, "netmask_length": 28, "description": letters(chars)}))
}

fn resource_id(world: &World, chars: usize) -> (u16, Value) {
    world.observe(&letters(chars), 1, 0)
}

fn tags(world: &World, count: usize) -> (u16, Value) {
    let labelled = world.observe(&format!("vpc-labels-{count}"), 1, count);
    let tagged = world.tagged(&numbered(count));
    assert_eq!(labelled.0, tagged.0, "{labelled:?}");
    tagged
}

fn tag_key(world: &World, chars: usize) -> (u16, Value) {
    world.tagged(&json!({letters(chars): "v"}))
}

fn tag_value(world: &World, chars: usize) -> (u16, Value) {
    world.tagged(&json!({"key": letters(chars)}))
}

fn untag_keys(world: &World, count: usize) -> (u16, Value) {
    let keys: Vec<_> = (0..count).map(|at| format!("key{at}")).collect();
    world.send("UntagResource", &json!({"resource": world.pool, "keys": keys}))
}

fn allowed_cidrs(world: &World, count: usize) -> (u16, Value) {
    let blocks: Vec<_> = (0..count).map(|at| format!("10.{}.0.0/16", 100 + at)).collect();
    let ask = |name: &str| {
        let mut payload = json!({"pool": world.pool, "netmask_length": 28});
        payload[name] = json!(blocks);
        world.send("AllocateCidr", &payload)
    };
    let (allowed, disallowed) = (ask("allowed_cidrs"), ask("disallowed_cidrs"));
    assert_eq!(allowed.0, disallowed.0, "{disallowed:?}");
    allowed
}

fn observed_cidrs(world: &World, count: usize) -> (u16, Value) {
    world.observe(&format!("vpc-cidrs-{count}"), count, 0)
}
