//! Bad commands over HTTP: each is answered with a stable code and what would work instead, and the server lives on.

use serde_json::{Value, json};

use crate::raw;
use crate::server::{Server, command};

const ORGANIZATION: &str = "o-trouble";
const MANAGEMENT: &str = "111111111111";
const ADMIN: &str = "222222222222";
const DEPOSED: &str = "333333333333";
const STRANGER: &str = "999999999999";

/// What an answer must have: status, code, and texts that are in it somewhere.
struct Expected(u16, &'static str, &'static [&'static str]);

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_bad_command_is_answered_with_what_would_work() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &[]);
    let world = World::prepare(&server);
    let World { pool, full, released, used_id, .. } = &world;
    let allocate = |payload: Value| command(ADMIN, "AllocateCidr", &payload).to_string();
    let with = |mut command: Value, name: &str, value: Value| {
        command[name] = value;
        command.to_string()
    };
    let plain = || command(ADMIN, "AllocateCidr", &json!({"pool": pool, "netmask_length": 28}));
    let without = |name: &str| {
        let mut command = plain();
        command.as_object_mut().expect("an object").remove(name);
        command.to_string()
    };
    let observe = |observed_at: &str| {
        let payload =
            json!({"kind": "vpc", "id": "vpc-1", "observed_at": observed_at, "cidrs": [{"cidr": "10.0.0.0/24"}]});
        command(ADMIN, "ObserveResource", &payload).to_string()
    };
    let create = |account: &str| command(account, "CreateIpam", &json!({"home_region": "eu-west-1"})).to_string();
    let huge =
        json!({"principal": {"account": ADMIN}, "reason": "x".repeat(2 << 20), "type": "RevokeAdmin", "payload": {}});

    let table: Vec<(&str, Vec<u8>, Expected)> = vec![
        ("not JSON", b"allocate me a /24".to_vec(), Expected(400, "MalformedRequest", &["not a JSON object"])),
        ("an array", b"[]".to_vec(), Expected(400, "MalformedRequest", &["not a JSON object"])),
        ("nothing", Vec::new(), Expected(400, "MalformedRequest", &[])),
        ("10 MiB of no JSON", vec![b'x'; 10 << 20], Expected(413, "BodyTooLarge", &["1000000"])),
        ("2 MiB", huge.to_string().into(), Expected(413, "BodyTooLarge", &["1000000"])),
        ("invalid UTF-8", b"{\"type\": \"\xff\"}".to_vec(), Expected(400, "MalformedRequest", &["not UTF-8"])),
        (
            "an unknown type",
            command(ADMIN, "AllocateCdir", &json!({})).to_string().into(),
            Expected(422, "UnknownCommandType", &["AllocateCidr"]),
        ),
        (
            "an unknown member",
            with(plain(), "if_revisoin", json!(3)).into(),
            Expected(400, "MalformedRequest", &["if_revision"]),
        ),
        (
            "an unknown field",
            allocate(json!({"pool": pool, "netmask_lenght": 28})).into(),
            Expected(422, "MalformedCommand", &["netmask_length"]),
        ),
        ("no type", without("type").into(), Expected(400, "MalformedRequest", &["type"])),
        ("no principal", without("principal").into(), Expected(400, "MalformedRequest", &["principal"])),
        (
            "an id that is none",
            with(plain(), "command_id", json!("7")).into(),
            Expected(400, "MalformedRequest", &["command_id"]),
        ),
        (
            "an id of another command",
            with(plain(), "command_id", json!(used_id)).into(),
            Expected(422, "IdempotentParameterMismatch", &[]),
        ),
        (
            "a stale revision",
            with(command(ADMIN, "ModifyPool", &json!({"pool": pool, "description": "mine"})), "if_revision", json!(1))
                .into(),
            Expected(422, "RevisionMismatch", &["would_work"]),
        ),
        (
            "host bits",
            allocate(json!({"pool": pool, "cidr": "10.0.0.1/8"})).into(),
            Expected(422, "InvalidParameterValue", &["10.0.0.0/8"]),
        ),
        (
            "an octal octet",
            allocate(json!({"pool": pool, "cidr": "010.0.0.0/8"})).into(),
            Expected(422, "InvalidParameterValue", &["010.0.0.0/8"]),
        ),
        (
            "IPv4 in IPv6",
            allocate(json!({"pool": pool, "cidr": "::ffff:10.0.0.0/104"})).into(),
            Expected(422, "InvalidParameterValue", &["10.0.0.0/8"]),
        ),
        (
            "/33",
            allocate(json!({"pool": pool, "cidr": "10.0.0.0/33"})).into(),
            Expected(422, "InvalidParameterValue", &["33"]),
        ),
        (
            "the other family",
            allocate(json!({"pool": pool, "cidr": "fd00::/64"})).into(),
            Expected(422, "InvalidParameterValue", &["ipv4"]),
        ),
        (
            "an unknown pool",
            allocate(json!({"pool": "ipam-pool-0123456789abcdef0", "netmask_length": 28})).into(),
            Expected(422, "PoolNotFound", &["ipam-pool-0123456789abcdef0"]),
        ),
        ("a stranger", create(STRANGER).into(), Expected(422, "UnauthorizedOperation", &[STRANGER])),
        (
            "a deposed administrator",
            command(DEPOSED, "ProvisionPoolCidr", &json!({"pool": pool, "cidr": "10.64.0.0/16"})).to_string().into(),
            Expected(422, "PoolNotFound", &[DEPOSED, "owner of its IPAM alone"]),
        ),
        (
            "a full pool",
            allocate(json!({"pool": full, "netmask_length": 28})).into(),
            Expected(422, "PoolExhausted", &["no address is free"]),
        ),
        (
            "too large for the pool",
            allocate(json!({"pool": pool, "netmask_length": 8})).into(),
            Expected(422, "PoolExhausted", &["would_work", "largest_free_block"]),
        ),
        (
            "released twice",
            command(ADMIN, "ReleaseAllocation", &json!({"allocation": released})).to_string().into(),
            Expected(422, "AllocationNotFound", &["released"]),
        ),
        ("the future", observe("2999-01-01T00:00:00Z").into(), Expected(422, "ObservedInTheFuture", &["2999-01-01"])),
        ("no time", observe("yesterday").into(), Expected(422, "InvalidParameterValue", &["observed_at"])),
        (
            "an organisation that is not there",
            create(ADMIN).into(),
            Expected(422, "OrganizationNotFound", &["CreateOrganization"]),
        ),
    ];
    let mut wrong = Vec::new();
    for (name, body, expected) in table {
        let organization = if name.starts_with("an organisation") { "o-nowhere" } else { ORGANIZATION };
        let answer = post(&server, organization, &body, body.len());
        let Expected(status, code, words) = expected;
        let text = answer.1.to_string();
        let explains = !answer.1["detail"].as_str().unwrap_or_default().is_empty();
        let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
        if (answer.0, answer.1["code"].as_str()) != (status, Some(code)) || !explains || !missing.is_empty() {
            wrong.push(format!("{name}: not {status} {code}, or without {missing:?}: {} {text}", answer.0));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A command without an id gets one of its own: its sender cannot repeat it, but it is decided like any.
    let (status, answer) = post(&server, ORGANIZATION, without("command_id").as_bytes(), without("command_id").len());
    assert_eq!(status, 200, "{answer}");
    let id = answer["command_id"].as_str().expect("an id");
    assert_eq!(server.get(&format!("/v1/organizations/{ORGANIZATION}/outcomes/{id}?wait_seconds=30")), answer);
    let payload = json!({"allocation": answer["decision"]["accepted"][0]["data"]["allocation"]});
    server.accept(ORGANIZATION, ADMIN, "ReleaseAllocation", &payload);
    // A body that ends before its length: nobody is left to be answered well, and nobody else is harmed.
    let text = plain().to_string();
    let (status, _) = post(&server, ORGANIZATION, &text.as_bytes()[..text.len() / 2], text.len());
    assert!(status == 0 || status == 400, "{status}");
    world.is_unharmed(&server);
}

/// Sends bytes as they are, with a length that may be wrong; status 0 when the server closes without an answer.
fn post(server: &Server, organization: &str, body: &[u8], length: usize) -> (u16, Value) {
    let address = server.url.strip_prefix("http://").expect("a URL");
    let mut request = format!(
        "POST /v1/organizations/{organization}/commands HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    raw::exchange(server, &request, body.len() < length)
}

/// A small organisation, and what is there to be done wrong in it.
struct World {
    pool: String,
    full: String,
    released: String,
    used_id: String,
    revision_asked: String,
}

impl World {
    fn prepare(server: &Server) -> Self {
        let accept = |account: &str, kind: &str, payload: Value| -> Value {
            let outcome = server.accept(ORGANIZATION, account, kind, &payload);
            let mut data = outcome["decision"]["accepted"][0]["data"].clone();
            data["command_id"] = outcome["command_id"].clone();
            data
        };
        accept(MANAGEMENT, "CreateOrganization", json!({"management_account": MANAGEMENT}));
        for account in [ADMIN, DEPOSED] {
            accept(MANAGEMENT, "AddAccount", json!({"account": account}));
        }
        accept(MANAGEMENT, "DelegateAdmin", json!({"account": DEPOSED}));
        accept(MANAGEMENT, "RevokeAdmin", json!({"account": DEPOSED}));
        accept(MANAGEMENT, "DelegateAdmin", json!({"account": ADMIN}));
        let ipam = accept(ADMIN, "CreateIpam", json!({"home_region": "eu-central-1"}));
        let pool = |cidr: &str| {
            let scope = &ipam["private_default_scope"];
            let pool = accept(ADMIN, "CreatePool", json!({"scope": scope, "address_family": "ipv4"}))["pool"].clone();
            accept(ADMIN, "ProvisionPoolCidr", json!({"pool": pool, "cidr": cidr}));
            pool
        };
        let (wide, full) = (pool("10.0.0.0/10"), pool("192.168.0.0/27"));
        accept(ADMIN, "AllocateCidr", json!({"pool": full, "cidr": "192.168.0.0/27"}));
        let allocated = accept(ADMIN, "AllocateCidr", json!({"pool": wide, "netmask_length": 24}));
        accept(ADMIN, "ReleaseAllocation", json!({"allocation": allocated["allocation"]}));
        let text = |value: &Value| value.as_str().expect("an id").to_owned();
        Self {
            pool: text(&wide),
            full: text(&full),
            released: text(&allocated["allocation"]),
            used_id: text(&allocated["command_id"]),
            revision_asked: format!("/v1/organizations/{ORGANIZATION}/pools/{}/allocations", text(&wide)),
        }
    }

    /// Nothing of all that had an effect, and good commands are still accepted.
    fn is_unharmed(&self, server: &Server) {
        server.accept(ORGANIZATION, ADMIN, "AllocateCidr", &json!({"pool": self.pool, "cidr": "10.0.0.0/24"}));
        let outcome =
            server.accept(ORGANIZATION, ADMIN, "AllocateCidr", &json!({"pool": self.pool, "netmask_length": 24}));
        let path = format!("{}?at_least={}&wait_seconds=30", self.revision_asked, outcome["revision"]);
        let held = server.get(&path)["items"].as_array().map(Vec::len);
        assert_eq!(held, Some(2));
    }
}
