//! The core against a log in a vector: effects are carried out, held back or lost as each test says.

mod acknowledging;
mod crashes;
mod deciding;
mod taking_over;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use uuid::Uuid;

use super::*;
use crate::domain::command::{AddAccount, Command, CommandBody, Principal, Proof};
use crate::domain::event::{AccountAdded, Event};
use crate::domain::id::{AccountId, CommandId};
use crate::domain::outcome::{Decision, Moment, Outcome};
use crate::domain::rejection::{Code, Rejection};
use crate::domain::{Context, Decided as Decision_, advance};
use crate::log::wire::decode_outcome;
use crate::processor::memory::Known;

const START: i64 = 1_700_000_000_000_000;
const SECOND: i64 = 1_000_000;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(START + micros)
}

/// The last character of an organisation's id is its partition.
fn partition_of(organization: &OrganizationId, partitions: u32) -> Partition {
    let digit = organization.as_str().chars().last().and_then(|last| last.to_digit(10));
    Partition(digit.expect("test organisations end in a digit") % partitions)
}

fn config() -> Config {
    let limits = Limits { record_bytes_max: 2_000, ..Limits::default() };
    Config { partition: Partition(0), ledger: Uuid::from_u128(77), partitions: 2, partition_of, limits }
}

/// Decides by the name in `AddAccount`: `no`, `long`, `panic`, `panic late`; everything else is accepted.
#[derive(Debug)]
struct Toy;

impl Rules for Toy {
    fn decide(&self, _: &State, command: &Command, _: &Context) -> Decision_ {
        let CommandBody::AddAccount(body) = &command.body else { panic!("the toy knows one command") };
        match body.name.as_deref() {
            Some("no") => Err(Rejection::new(Code::AccountExists, "toy", "no")),
            Some("long") => Err(Rejection::new(Code::AccountExists, "toy", "no".repeat(2_000))),
            Some("panic") => panic!("planted"),
            Some("panic late") => Ok(vec![Event::AccountAdded(AccountAdded { account: body.account, name: None })]),
            _ => Ok(Vec::new()),
        }
    }

    fn apply(&self, state: &mut State, moment: Moment, events: &[Event]) {
        assert!(events.is_empty(), "planted in apply");
        advance(state, moment, events);
    }
}

fn account() -> AccountId {
    "000000000001".parse().expect("twelve digits")
}

fn body(name: &str) -> AddAccount {
    AddAccount { account: account(), name: Some(name.to_owned()) }
}

/// A command id of the given version's bits, ordered by `n`.
fn id(n: u128) -> CommandId {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + n)
}

fn command(organization: &str, n: u128, name: &str) -> Decoded {
    let body = body(name);
    let organization: OrganizationId = organization.parse().expect("well formed");
    Decoded::Command(Box::new(Command {
        id: id(n),
        digest: Digest::of(format!("{organization} {name}").as_bytes()),
        organization,
        principal: Principal { account: account(), name: None, proof: Proof::None },
        if_revision: None,
        reason: None,
        body: body.into(),
    }))
}

fn request(ticket: u64, organization: &str, n: u128, name: &str) -> Request {
    Request { ticket: Some(Ticket(ticket)), decoded: command(organization, n, name) }
}

fn sourced(offset: u64, organization: &str, n: u128, name: &str) -> SourceRecord {
    let value = serde_json::json!({
        "command_id": id(n), "organization": organization, "principal": { "account": account() },
        "type": "AddAccount", "payload": body(name),
    });
    SourceRecord {
        offset: SourceOffset(offset),
        key: Some(organization.as_bytes().to_vec()),
        value: serde_json::to_vec(&value).expect("JSON"),
        forwarded: false,
    }
}

/// Outcomes that were folded by a view.
#[derive(Debug, Default)]
struct Shelf {
    outcomes: BTreeMap<Key, Known>,
    covered: Mutex<Offset>,
    broken: bool,
    asked: Mutex<Vec<CommandId>>,
}

impl Memory for Shelf {
    fn restore(&self, _: Partition) -> Option<PartitionSnapshot> {
        None
    }

    fn outcome_of(&self, organization: &OrganizationId, command: CommandId) -> Result<Option<Known>, MemoryError> {
        self.asked.lock().expect("no panic while held").push(command);
        if self.broken {
            return Err(MemoryError("it is on fire".to_owned()));
        }
        Ok(self.outcomes.get(&(organization.clone(), command)).cloned())
    }

    fn covered(&self, _: Partition) -> Offset {
        *self.covered.lock().expect("no panic while held")
    }
}

/// The records of one partition.
#[derive(Clone, Debug, Default)]
struct Ledger {
    records: Vec<Record>,
}

impl Ledger {
    fn land(&mut self, now: Timestamp, record: &NewRecord) {
        let offset = Offset(self.records.len() as u64);
        let (header, value) = (Some(record.header), Arc::clone(&record.value));
        self.records.push(Record { offset, appended_at: now, header, value });
    }

    /// What an independent reader sees: the valid outcomes, in order.
    fn outcomes(&self) -> Vec<Outcome> {
        let mut admission = Admission::default();
        let valid = self
            .records
            .iter()
            .filter(|record| matches!(admission.admit(record), crate::log::admission::Verdict::Outcome(_)));
        valid.map(|record| decode_outcome(&record.value).expect("written by the core")).collect()
    }
}

/// One incarnation with what it wanted done.
struct Node {
    core: Core,
    now: Timestamp,
    writer: u128,
    /// Appended, not in the log yet.
    flight: VecDeque<NewRecord>,
    sent: Vec<Letter>,
    answers: Vec<(Ticket, Outcome, bool)>,
    other: Vec<Effect>,
    end: Option<End>,
}

impl Node {
    fn new(writer: u128) -> Self {
        Self::with(writer, config(), Arc::new(Shelf::default()), None)
    }

    fn with(writer: u128, config: Config, memory: Arc<dyn Memory>, restored: Option<PartitionSnapshot>) -> Self {
        let core = Core::new(config, Arc::new(Toy), memory, restored);
        Self {
            core,
            now: at(0),
            writer,
            flight: VecDeque::new(),
            sent: Vec::new(),
            answers: Vec::new(),
            other: Vec::new(),
            end: None,
        }
    }

    fn step(&mut self, input: Input) {
        assert!(self.end.is_none(), "an ended core gets no input");
        for effect in self.core.step(input) {
            assert!(self.end.is_none(), "the end is the last effect");
            match effect {
                Effect::Append(records) => self.flight.extend(records),
                Effect::Send(letters) => self.sent.extend(letters),
                Effect::Answer { ticket, value, repeated } => {
                    self.answers.push((ticket, decode_outcome(&value).expect("an outcome"), repeated));
                }
                Effect::End(end) => self.end = Some(end),
                other => self.other.push(other),
            }
        }
    }

    fn claim(&mut self) {
        let (now, writer) = (self.now, Uuid::from_u128(self.writer));
        self.step(Input::Claim { now, writer, random: 7 });
    }

    fn land(&mut self, ledger: &mut Ledger, count: usize) {
        for record in self.flight.drain(..count.min(self.flight.len())) {
            ledger.land(self.now, &record);
        }
    }

    fn read(&mut self, ledger: &Ledger) {
        let from = usize::try_from(self.core.position().0).expect("small");
        let records = ledger.records.get(from..).expect("within the log").to_vec();
        if !records.is_empty() {
            self.step(Input::Read { now: self.now, records });
        }
    }

    /// Lands all and reads it.
    fn settle(&mut self, ledger: &mut Ledger) {
        self.land(ledger, usize::MAX);
        if self.end.is_none() {
            self.read(ledger);
        }
    }

    fn take_over(&mut self, ledger: &mut Ledger) {
        self.read(ledger);
        self.claim();
        self.settle(ledger);
        assert!(self.core.reign().is_some(), "{:?}", self.end);
    }

    fn local(&mut self, requests: Vec<Request>) {
        self.step(Input::Local { now: self.now, requests });
    }

    fn sourced(&mut self, records: Vec<SourceRecord>) {
        let records = records.into_iter().map(Into::into).collect();
        self.step(Input::Sourced { now: self.now, records });
    }

    fn reports(&self) -> Vec<&Report> {
        fn report(effect: &Effect) -> Option<&Report> {
            if let Effect::Report(report) = effect { Some(report) } else { None }
        }
        self.other.iter().filter_map(report).collect()
    }

    /// Ticket, whether accepted, whether repeated.
    fn answered(&self) -> Vec<(u64, bool, bool)> {
        let row = |(ticket, outcome, repeated): &(Ticket, Outcome, bool)| (ticket.0, accepted(outcome), *repeated);
        self.answers.iter().map(row).collect()
    }
}

fn accepted(outcome: &Outcome) -> bool {
    matches!(outcome.decision, Decision::Accepted(_))
}

fn code(outcome: &Outcome) -> Option<Code> {
    match &outcome.decision {
        Decision::Rejected(rejection) => Some(rejection.code),
        Decision::Accepted(_) => None,
    }
}

/// A writer in its first reign.
fn reigning() -> (Node, Ledger) {
    let (mut node, mut ledger) = (Node::new(1), Ledger::default());
    node.take_over(&mut ledger);
    (node, ledger)
}
