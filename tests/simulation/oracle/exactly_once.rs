//! What was sent, and what became of it: one outcome each, the acknowledged one, none lost (design D5, D8).

use std::collections::BTreeMap;

use ipam_ledger::domain::command::{Command, Principal};
use ipam_ledger::domain::digest::Digest;
use ipam_ledger::domain::id::{CommandId, OrganizationId};
use ipam_ledger::domain::outcome::Decision;
use ipam_ledger::domain::rejection::Code;
use ipam_ledger::log::SourceRecord;
use ipam_ledger::log::partition::partition_of;
use ipam_ledger::log::record::{Offset, Partition, SourceOffset};
use ipam_ledger::log::wire::{Decoded, decode_command, decode_outcome};
use serde_json::{Value, json};

pub type Key = (OrganizationId, CommandId);

/// A command as somebody sent it.
#[derive(Clone, Debug)]
pub struct Sent {
    pub digest: Digest,
    pub type_name: String,
    pub principal: Principal,
    pub reason: Option<String>,
    /// `None` when it is wrong inside.
    pub command: Option<Command>,
}

/// What stands in the log for a command id.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub digest: Digest,
    pub offset: Offset,
    pub value: std::sync::Arc<[u8]>,
}

/// A record of the command topic.
#[derive(Clone, Debug)]
struct Put {
    value: Vec<u8>,
    forwarded: bool,
    /// `None`: garbage.
    command: Option<(Key, Digest)>,
    /// It became a dead letter.
    dead: bool,
}

/// One partition of the command topic.
#[derive(Debug, Default)]
struct Puts {
    /// By offset, and those of every topic that stood there before.
    now: Vec<Put>,
    before: Vec<Vec<Put>>,
    /// So many have expired.
    expired: usize,
    /// An operator decided that what expired undecided is lost.
    excused: bool,
}

impl Puts {
    /// What stands, or stood, at an offset.
    fn at(&self, offset: SourceOffset) -> impl Iterator<Item = &Put> {
        let index = usize::try_from(offset.0).expect("small");
        self.before.iter().chain([&self.now]).filter_map(move |puts| puts.get(index))
    }
}

#[derive(Debug, Default)]
pub struct ExactlyOnce {
    sent: BTreeMap<Key, Vec<Sent>>,
    pub recorded: BTreeMap<Key, Recorded>,
    topic: BTreeMap<Partition, Puts>,
    partitions: u32,
}

/// SHA-256 of the canonical JSON of organisation, principal, type and payload, by another implementation.
pub fn digest_of(command: &Value) -> Digest {
    let asked = json!({
        "organization": command["organization"], "principal": command["principal"],
        "type": command["type"], "payload": command["payload"],
    });
    Digest::of(&serde_json_canonicalizer::to_vec(&asked).expect("JSON"))
}

impl ExactlyOnce {
    pub fn new(partitions: u32) -> Self {
        Self { partitions, ..Self::default() }
    }

    pub fn home_of(&self, organization: &OrganizationId) -> Partition {
        partition_of(organization, self.partitions)
    }

    /// Somebody sends this, wherever to; the key by which it is known.
    pub fn sent(&mut self, command: &Value) -> (Key, Digest) {
        let digest = digest_of(command);
        let bytes = serde_json::to_vec(command).expect("JSON");
        let (key, sent) = match decode_command(&bytes).expect("it names its sender") {
            Decoded::Command(command) => (
                (command.organization.clone(), command.id),
                Sent {
                    digest,
                    type_name: command.body.type_name().to_owned(),
                    principal: command.principal.clone(),
                    reason: command.reason.clone(),
                    command: Some(*command),
                },
            ),
            Decoded::Malformed(envelope, _) => (
                (envelope.organization, envelope.id),
                Sent {
                    digest,
                    type_name: envelope.type_name,
                    principal: envelope.principal,
                    reason: envelope.reason,
                    command: None,
                },
            ),
        };
        self.sent.entry(key.clone()).or_default().push(sent);
        (key, digest)
    }

    /// A record is in the command topic.
    pub fn put(&mut self, partition: Partition, record: &SourceRecord) {
        let command = serde_json::from_slice::<Value>(&record.value).ok().and_then(|value| key_of(&value));
        let put = Put { value: record.value.clone(), forwarded: record.forwarded, command, dead: false };
        let puts = self.topic.entry(partition).or_default();
        assert_eq!(puts.now.len() as u64, record.offset.0, "offsets are 0, 1, 2 …");
        puts.now.push(put);
    }

    /// Records before `begin` are no longer in the topic.
    pub fn expired(&mut self, partition: Partition, begin: SourceOffset) {
        self.topic.entry(partition).or_default().expired = usize::try_from(begin.0).expect("small");
    }

    /// Somebody who may has decided to go on without what expired undecided.
    pub fn excuse_expired(&mut self, partition: Partition) {
        self.topic.entry(partition).or_default().excused = true;
    }

    /// The topic is another one, and empty.
    pub fn recreated(&mut self, partition: Partition) {
        let puts = self.topic.entry(partition).or_default();
        puts.before.push(std::mem::take(&mut puts.now));
        puts.expired = 0;
    }

    /// A dead letter arrived. What it tells of must be one; returns what it was.
    pub fn buried(&mut self, from: Partition, offset: SourceOffset, value: &[u8]) -> &'static str {
        let index = usize::try_from(offset.0).expect("small");
        let puts = self.topic.entry(from).or_default();
        let mut there = puts.before.iter_mut().chain([&mut puts.now]).filter_map(|puts| puts.get_mut(index));
        let put = there.find(|put| put.value == value).expect("a dead letter is what stands, or stood, there");
        put.dead = true;
        let Put { command, forwarded, .. } = put.clone();
        drop(there);
        match command {
            None => "undecodable",
            Some((key, _)) if self.home_of(&key.0) != from => {
                assert!(forwarded, "a command that can be forwarded is no dead letter");
                "forwarded here"
            }
            Some((key, digest)) => {
                let several = self.sent.get(&key).is_some_and(|all| all.iter().any(|one| one.digest != digest));
                assert!(several, "only a command whose id belongs to another one is a dead letter: {key:?}");
                "mismatch"
            }
        }
    }

    /// An outcome counts. It must be the first of its id, and of a command that was sent; returns that.
    pub fn outcome(
        &mut self,
        partition: Partition,
        source: Option<SourceOffset>,
        outcome: &ipam_ledger::domain::outcome::Outcome,
        recorded: Recorded,
    ) -> Sent {
        let key = (outcome.organization.clone(), outcome.command_id);
        assert_eq!(self.home_of(&key.0), partition, "an organisation is decided by its own partition");
        if let Some(source) = source {
            let mut there = self.topic.get(&partition).into_iter().flat_map(|puts| puts.at(source));
            let named = there.any(|put| put.command.as_ref() == Some(&(key.clone(), outcome.digest)));
            assert!(named, "the outcome names the command at its source offset: {key:?} at {}", source.0);
        }
        let sent = self.sent.get(&key).into_iter().flatten().find(|sent| sent.digest == outcome.digest);
        let sent = sent.unwrap_or_else(|| panic!("nobody sent {key:?} with digest {}", outcome.digest)).clone();
        assert_eq!(sent.type_name, outcome.command_type, "the outcome is of the command that was sent");
        assert_eq!(sent.principal, outcome.principal, "the outcome names who asked");
        let before = self.recorded.insert(key, recorded);
        assert!(before.is_none(), "exactly once: {:?} has an outcome already, at {:?}", outcome.command_id, before);
        sent
    }

    /// Somebody who waits is answered by a node that has read the log up to `position`.
    pub fn answered(&self, key: &Key, digest: Digest, value: &[u8], repeated: bool, position: Offset) -> &'static str {
        let recorded = self.recorded.get(key).unwrap_or_else(|| panic!("an answer to {key:?}, which has no outcome"));
        assert!(recorded.offset < position, "an answer before the node has read the outcome back: {key:?}");
        if recorded.digest == digest {
            assert_eq!(&*recorded.value, value, "the answer is the outcome that stands in the log");
            return if repeated { "answered again" } else { "answered" };
        }
        let answer = decode_outcome(value).expect("answers are outcomes");
        let Decision::Rejected(rejection) = &answer.decision else {
            panic!("{key:?} belongs to another command, and this one is accepted")
        };
        assert_eq!(rejection.code, Code::IdempotentParameterMismatch, "{key:?} belongs to another command");
        "answered with a mismatch"
    }

    /// When all is settled: every record of the topic was dealt with as it should be.
    pub fn none_lost(&self) {
        for partition in self.topic.keys() {
            if let Some(complaint) = self.lost(*partition) {
                panic!("{complaint}");
            }
        }
    }

    /// The first record of a partition that was not dealt with. Those of a topic that is no more cannot be.
    pub fn lost(&self, partition: Partition) -> Option<String> {
        let puts = self.topic.get(&partition)?;
        let complaints = puts.now.iter().enumerate().map(|(offset, put)| {
            let why = self.not_dealt_with(partition, put)?;
            let expired = offset < puts.expired;
            (!expired || !puts.excused).then(|| format!("{why}, at {partition}/{offset} (expired: {expired})"))
        });
        complaints.flatten().next()
    }

    fn not_dealt_with(&self, partition: Partition, put: &Put) -> Option<String> {
        let Some((key, digest)) = &put.command else {
            return (!put.dead).then(|| "garbage that is no dead letter".to_owned());
        };
        let home = self.home_of(&key.0) == partition;
        if !home && put.forwarded {
            return (!put.dead).then(|| format!("{key:?} was forwarded to the wrong place: a dead letter"));
        }
        match self.recorded.get(key) {
            None if !home && self.expired_at_home(key) => None,
            None => Some(format!("lost: {key:?} has no outcome")),
            Some(recorded) if home && recorded.digest != *digest && !put.dead => {
                Some(format!("{key:?} lost against another: a dead letter"))
            }
            Some(_) => None,
        }
    }

    /// Whether it expired where it was forwarded to, and that was excused.
    fn expired_at_home(&self, key: &Key) -> bool {
        let puts = self.topic.get(&self.home_of(&key.0));
        puts.filter(|puts| puts.excused).is_some_and(|puts| {
            let mut expired = puts.now.iter().take(puts.expired).filter_map(|put| put.command.as_ref());
            expired.any(|(expired, _)| expired == key)
        })
    }
}

fn key_of(value: &Value) -> Option<(Key, Digest)> {
    let organization = value["organization"].as_str()?.parse().ok()?;
    let id = value["command_id"].as_str()?.parse().ok()?;
    Some(((organization, id), digest_of(value)))
}
