//! A ledger for tests: commands decided by the domain, outcomes appended the way a writer does, on a simulated log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::table::MemoryTable;
use super::view::{Admitted, View};
use crate::domain::command::{Command, CommandBody, Principal, Proof};
use crate::domain::digest::Digest;
use crate::domain::event::Event;
use crate::domain::id::{AccountId, OrganizationId};
use crate::domain::outcome::{Decision, Outcome, SCHEMA_VERSION};
use crate::domain::time::Timestamp;
use crate::domain::{Context, State, apply_outcome, decide};
use crate::log::Log;
use crate::log::record::{Epoch, EpochOpened, Header, Kind, LedgerId, NewRecord, Offset, Partition, Seq};
use crate::log::simulated::SimulatedLog;
use crate::log::wire::encode_outcome;

pub const MANAGEMENT: &str = "000000000001";
pub const ADMIN: &str = "000000000002";
pub const MEMBER: &str = "000000000003";

/// 2024-01-01T00:00:00Z: commands follow each other by a second.
const START_MICROS: i64 = 1_704_067_200_000_000;
const TICK_MICROS: i64 = 1_000_000;

pub struct Ledger {
    pub log: SimulatedLog,
    pub outcomes: Vec<(Partition, Outcome)>,
    partitions: u32,
    seqs: Vec<u64>,
    states: BTreeMap<OrganizationId, (State, Option<Digest>)>,
    commands: u128,
}

impl Ledger {
    pub fn new(partitions: u32) -> Self {
        Self::of(partitions, Uuid::from_u128(0x1ed))
    }

    pub fn of(partitions: u32, ledger: LedgerId) -> Self {
        let log = SimulatedLog::new(partitions);
        for partition in 0..partitions {
            let opened = EpochOpened {
                schema: SCHEMA_VERSION,
                epoch: Epoch(1),
                writer: Uuid::from_u128(0x3417),
                ledger,
                partitions,
            };
            let value = serde_json::to_vec(&opened).expect("serialises");
            append(&log, Partition(partition), Kind::EpochOpened, 0, value);
        }
        let seqs = vec![1; partitions as usize];
        Self { log, outcomes: Vec::new(), partitions, seqs, states: BTreeMap::new(), commands: 0 }
    }

    /// Decides a command and appends its outcome.
    pub fn decide(&mut self, organization: &str, asks: &str, body: impl Into<CommandBody>) -> Outcome {
        self.commands += 1;
        // UUIDv7: version and variant bits set.
        let id = Uuid::from_u128(self.commands << 80 | 0x7 << 76 | 0x8 << 60);
        self.decide_as(id, organization, asks, body.into())
    }

    pub fn decide_as(&mut self, id: Uuid, organization: &str, asks: &str, body: CommandBody) -> Outcome {
        let organization: OrganizationId = organization.parse().expect("well formed");
        let decided_at = Timestamp::from_micros(START_MICROS)
            .plus_micros(TICK_MICROS * i64::try_from(self.outcomes.len()).expect("few"));
        let command = Command {
            id,
            organization: organization.clone(),
            principal: Principal { account: account(asks), name: Some("tester".to_owned()), proof: Proof::None },
            if_revision: None,
            reason: Some(format!("test {}", self.outcomes.len())),
            digest: Digest::of(format!("{body:?}").as_bytes()),
            body,
        };
        let partition = self.partition_of(&organization);
        let (state, previous) =
            self.states.entry(organization.clone()).or_insert_with(|| (State::new(organization.clone()), None));
        let decided = decide(state, &command, &Context { decided_at });
        let exists = state.exists() || decided.is_ok();
        let outcome = Outcome {
            schema: SCHEMA_VERSION,
            organization,
            revision: exists.then(|| state.moment().revision.next()),
            command_id: id,
            command_type: command.body.type_name().to_owned(),
            digest: command.digest,
            principal: command.principal,
            reason: command.reason,
            decided_at,
            previous: previous.filter(|_| exists),
            decision: match decided {
                Ok(events) => Decision::Accepted(events),
                Err(rejection) => Decision::Rejected(Box::new(rejection)),
            },
        };
        apply_outcome(state, &outcome);
        let value = encode_outcome(&outcome);
        if exists {
            *previous = Some(Digest::of(&value));
        }
        self.append_value(partition, value);
        self.outcomes.push((partition, outcome.clone()));
        outcome
    }

    /// Appends an admitted record whose value is whatever it is.
    pub fn append_value(&mut self, partition: Partition, value: Vec<u8>) {
        let seq = &mut self.seqs[partition.0 as usize];
        append(&self.log, partition, Kind::Outcome, *seq, value);
        *seq += 1;
    }

    pub fn partition_of(&self, organization: &OrganizationId) -> Partition {
        let sum: u32 = organization.as_str().bytes().map(u32::from).sum();
        Partition(sum % self.partitions)
    }

    /// The last state of an organisation.
    pub fn state(&self, organization: &str) -> &State {
        &self.states[&organization.parse().expect("well formed")].0
    }

    /// Folds everything into a view in memory, in batches of `batch` outcomes.
    pub fn fold(&self, view: &mut dyn View, batch: usize) -> MemoryTable {
        let mut table = MemoryTable::default();
        for (index, (partition, outcome)) in self.outcomes.iter().enumerate() {
            let value = encode_outcome(outcome);
            let admitted = Admitted { partition: *partition, offset: Offset(index as u64), outcome, value: &value };
            view.fold(&mut table, &admitted).expect("memory does not fail");
            if index % batch == batch - 1 {
                view.finish(&mut table).expect("memory does not fail");
            }
        }
        view.finish(&mut table).expect("memory does not fail");
        table
    }

    /// An organisation with an administrator; the ids of its IPAM and private scope.
    pub fn organization(&mut self, id: &str) -> crate::domain::event::IpamCreated {
        use crate::domain::command::{AddAccount, CreateIpam, CreateOrganization, DelegateAdmin};
        self.decide(id, MANAGEMENT, CreateOrganization { management_account: account(MANAGEMENT) });
        self.decide(id, MANAGEMENT, AddAccount { account: account(ADMIN), name: Some("network".to_owned()) });
        self.decide(id, MANAGEMENT, AddAccount { account: account(MEMBER), name: None });
        self.decide(id, MANAGEMENT, DelegateAdmin { account: account(ADMIN) });
        let created = self.decide(
            id,
            ADMIN,
            CreateIpam {
                home_region: "eu-central-1".parse().expect("a region"),
                operating_regions: vec!["eu-west-1".parse().expect("a region")],
                description: None,
                name: Some("main".to_owned()),
                tags: BTreeMap::new(),
            },
        );
        match created.events() {
            [Event::IpamCreated(created)] => created.clone(),
            other => panic!("an IPAM is created: {other:?}"),
        }
    }
}

pub fn account(text: &str) -> AccountId {
    text.parse().expect("well formed")
}

fn append(log: &SimulatedLog, partition: Partition, kind: Kind, seq: u64, value: Vec<u8>) {
    let header = Header { kind, epoch: Epoch(1), seq: Seq(seq), source: None };
    let record = NewRecord { header, key: None, value: value.into() };
    log.appender(partition).expect("the log is there").append(vec![record]).expect("it takes records");
}

/// Calls `look` until it is true, for at most a minute.
#[track_caller]
pub fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if look() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not within a minute: {what}");
}

pub fn shared(log: &SimulatedLog) -> Arc<dyn Log> {
    Arc::new(log.clone())
}
