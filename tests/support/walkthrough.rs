//! One script, whatever the log: the walkthrough, the real import, and questions. What it answers is compared.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use ipam_ledger::cli::import::rows;
use serde_json::{Value, json};
use uuid::Uuid;

use super::server::Server;

pub const ORGANIZATION: &str = "o-walkthrough";
pub const MANAGEMENT: &str = "111111111111";
pub const ADMIN: &str = "222222222222";
pub const MEMBER: &str = "333333333333";
/// Rows per request of the import.
const IMPORT_BATCH_ROWS: usize = 1_000;
/// How long the views may take to hold what was imported.
const VIEWS_WITHIN: Duration = Duration::from_secs(300);

/// Sends commands with ids 1, 2, 3 …, so that two runs make the same objects.
pub struct Script<'a> {
    server: &'a Server,
    sent: u128,
    /// The latest that an outcome was told with.
    revision: u64,
    /// When each revision was decided: the only thing in which two runs differ.
    decided: BTreeMap<String, String>,
}

impl<'a> Script<'a> {
    pub fn new(server: &'a Server) -> Self {
        Self { server, sent: 0, revision: 0, decided: BTreeMap::new() }
    }

    /// Sends a command and gives what came of it, accepted or not.
    fn send(&mut self, account: &str, kind: &str, payload: &Value) -> Value {
        self.sent += 1;
        let command = json!({
            "command_id": Uuid::from_u128(self.sent), "principal": {"account": account, "name": "walkthrough"},
            "reason": "the walkthrough", "type": kind, "payload": payload,
        });
        let (status, body) = self.server.try_send(ORGANIZATION, &command).expect("the server answers");
        let outcome = if status == 422 { &body["outcome"] } else { &body };
        assert!(status == 200 || status == 422, "{kind}: {status} {body}");
        self.remember(outcome);
        outcome.clone()
    }

    fn accept(&mut self, account: &str, kind: &str, payload: &Value) -> Value {
        let outcome = self.send(account, kind, payload);
        let events = &outcome["decision"]["accepted"];
        assert!(events.is_array(), "{kind} is not accepted: {outcome}");
        events[0]["data"].clone()
    }

    fn remember(&mut self, outcome: &Value) {
        if let (Some(decided_at), Some(revision)) = (outcome["decided_at"].as_str(), outcome["revision"].as_u64()) {
            self.revision = self.revision.max(revision);
            self.decided.insert(decided_at.to_owned(), format!("decided at revision {revision}"));
        }
    }

    /// Organisation, administrator, IPAM with two regions, scopes, pools by region and environment, allocations, and
    /// one intended and one unintended overlap.
    pub fn play(&mut self) -> BTreeMap<&'static str, Value> {
        self.accept(MANAGEMENT, "CreateOrganization", &json!({"management_account": MANAGEMENT}));
        self.accept(MANAGEMENT, "AddAccount", &json!({"account": ADMIN, "name": "network"}));
        self.accept(MANAGEMENT, "AddAccount", &json!({"account": MEMBER, "name": "shop"}));
        self.send(MANAGEMENT, "DelegateAdmin", &json!({"account": MANAGEMENT}));
        self.accept(MANAGEMENT, "DelegateAdmin", &json!({"account": ADMIN}));
        let ipam = self.accept(
            ADMIN,
            "CreateIpam",
            &json!({"home_region": "eu-central-1", "operating_regions": ["us-west-2"], "name": "main"}),
        );
        let private = ipam["private_default_scope"].clone();
        let second =
            self.accept(ADMIN, "CreateScope", &json!({"ipam": ipam["ipam"], "name": "acquired"}))["scope"].clone();
        let pool = |name: &str, more: Value| {
            let mut payload = json!({"name": name});
            payload.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            payload
        };
        let top = self.accept(
            ADMIN,
            "CreatePool",
            &pool("global", json!({"scope": private, "address_family": "ipv4"})),
        )["pool"]
            .clone();
        self.accept(ADMIN, "ProvisionPoolCidr", &json!({"pool": top, "cidr": "10.0.0.0/8"}));
        let mut leaves = BTreeMap::new();
        for (region, short) in [("eu-central-1", "eu"), ("us-west-2", "us")] {
            let regional =
                self.accept(ADMIN, "CreatePool", &pool(short, json!({"source_pool": top, "locale": region})))["pool"]
                    .clone();
            self.accept(ADMIN, "ProvisionPoolCidr", &json!({"pool": regional, "netmask_length": 12}));
            for environment in ["dev", "prod"] {
                let leaf = self.accept(
                    ADMIN,
                    "CreatePool",
                    &pool(environment, json!({"source_pool": regional, "locale": region})),
                )["pool"]
                    .clone();
                self.accept(ADMIN, "ProvisionPoolCidr", &json!({"pool": leaf, "netmask_length": 16}));
                leaves.insert(format!("{short}/{environment}"), leaf);
            }
        }
        let prod = leaves["eu/prod"].clone();
        let vpc = |id: &str| json!({"kind": "vpc", "id": id, "region": "eu-central-1", "account": MEMBER});
        let shop = self.accept(
            ADMIN,
            "AllocateCidr",
            &json!({"pool": prod, "netmask_length": 24, "resource": vpc("vpc-shop")}),
        );
        let office = self.accept(
            ADMIN,
            "AllocateCidr",
            &json!({"pool": prod, "netmask_length": 26, "description": "the office"}),
        );
        self.send(ADMIN, "AllocateCidr", &json!({"pool": prod, "netmask_length": 8}));
        self.send(MEMBER, "AllocateCidr", &json!({"pool": prod, "netmask_length": 28}));
        // The same block in another scope: intended, and no overlap.
        let twin = self.accept(
            ADMIN,
            "CreatePool",
            &pool("acquired", json!({"scope": second, "address_family": "ipv4"})),
        )["pool"]
            .clone();
        self.accept(ADMIN, "ProvisionPoolCidr", &json!({"pool": twin, "cidr": "10.0.0.0/8"}));
        self.accept(
            ADMIN,
            "AllocateCidr",
            &json!({"pool": twin, "cidr": shop["cidr"], "description": "the acquired company's"}),
        );
        // Two networks on one block in one scope: nobody intended that.
        for (id, cidr) in [("vpc-shop", &shop["cidr"]), ("vpc-rogue", &office["cidr"])] {
            self.accept(
                MEMBER,
                "ObserveResource",
                &json!({
                    "kind": "vpc", "id": id, "observed_at": "2023-05-01T12:00:00Z", "cidrs": [{"cidr": cidr}],
                    "attributes": {"account": MEMBER, "region": "eu-central-1", "name": id},
                }),
            );
        }
        BTreeMap::from([("private", private), ("prod", prod), ("shop", shop), ("office", office), ("top", top)])
    }

    /// The first rows of the real change history. Gives the number of those that the ledger knew before.
    pub fn import(&mut self, rows_max: usize) -> usize {
        let mut repeated = 0;
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/aws-ranges-2017-2022.csv.gz");
        let file = flate2::read::GzDecoder::new(File::open(path).expect("the file is part of the project"));
        let rows: Vec<_> = rows::read(file).take(rows_max).collect::<Result<_, _>>().expect("good rows");
        for rows in rows.chunks(IMPORT_BATCH_ROWS) {
            let batch: Vec<_> = rows
                .iter()
                .map(|row| {
                    let mut command = serde_json::to_value(row.command("aws-ranges")).expect("a command is JSON");
                    command["command_id"] = json!(row.command_id());
                    command["principal"] = json!({"account": ADMIN});
                    command
                })
                .collect();
            let answers = self.server.send_batch(ORGANIZATION, &json!(batch));
            for answer in answers.as_array().expect("a list of answers") {
                assert_eq!(answer["status"], 200, "{answer}");
                repeated += usize::from(answer["repeated"] == true);
                self.remember(&answer["outcome"]);
            }
        }
        repeated
    }

    /// Waits until the views hold all that this script was told.
    pub fn await_views(&self) {
        let path = format!("/v1/organizations/{ORGANIZATION}?at_least={}&wait_seconds=30", self.revision);
        let until = Instant::now() + VIEWS_WITHIN;
        while self.server.try_get(&path).is_none_or(|(status, _)| status != 200) {
            assert!(Instant::now() < until, "the views do not reach revision {}", self.revision);
        }
    }

    /// Asks, and writes revisions for the times of decision.
    pub fn ask(&self, path: &str) -> Value {
        let mut answer = self.server.get(&format!("/v1/organizations/{ORGANIZATION}{path}"));
        self.settle(&mut answer);
        answer
    }

    fn settle(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(revision) = self.decided.get(text.as_str()) {
                    text.clone_from(revision);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.settle(item)),
            Value::Object(members) => {
                // The hash of the outcome before, which holds the time of its decision.
                members.remove("previous");
                members.values_mut().for_each(|member| self.settle(member));
            }
            _ => {}
        }
    }
}
