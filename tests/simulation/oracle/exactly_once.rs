//! What was sent, and what became of it: one outcome each, the acknowledged one, none lost (design D5, D8).

use std::collections::{BTreeMap, BTreeSet};

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
enum Put {
    Garbage,
    Command { key: Key, digest: Digest, forwarded: bool },
}

#[derive(Debug, Default)]
pub struct ExactlyOnce {
    sent: BTreeMap<Key, Vec<Sent>>,
    pub recorded: BTreeMap<Key, Recorded>,
    topic: BTreeMap<Partition, Vec<Put>>,
    dead: BTreeSet<(Partition, SourceOffset)>,
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
        let put = match serde_json::from_slice::<Value>(&record.value).ok().and_then(|value| key_of(&value)) {
            Some((key, digest)) => Put::Command { key, digest, forwarded: record.forwarded },
            None => Put::Garbage,
        };
        self.topic.entry(partition).or_default().push(put);
    }

    /// A dead letter arrived. What it tells of must be one; returns what it was.
    pub fn buried(&mut self, from: Partition, offset: SourceOffset) -> &'static str {
        self.dead.insert((from, offset));
        match self.at(from, offset) {
            Put::Garbage => "undecodable",
            Put::Command { key, .. } if self.home_of(&key.0) != from => {
                let Put::Command { forwarded, .. } = self.at(from, offset) else { unreachable!("it is a command") };
                assert!(forwarded, "a command that can be forwarded is no dead letter");
                "forwarded here"
            }
            Put::Command { key, digest, .. } => {
                let several = self.sent.get(key).is_some_and(|all| all.iter().any(|one| one.digest != *digest));
                assert!(several, "only a command whose id belongs to another one is a dead letter: {key:?}");
                "mismatch"
            }
        }
    }

    fn at(&self, partition: Partition, offset: SourceOffset) -> &Put {
        let index = usize::try_from(offset.0).expect("small");
        self.topic.get(&partition).and_then(|puts| puts.get(index)).expect("what was read was put there")
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
            let Put::Command { key: put, digest, .. } = self.at(partition, source) else {
                panic!("the command at source offset {} is none", source.0)
            };
            assert_eq!((put, digest), (&key, &outcome.digest), "the outcome names the command at its source offset");
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
        for (partition, puts) in &self.topic {
            for (put, offset) in puts.iter().zip(0..) {
                let dead = self.dead.contains(&(*partition, SourceOffset(offset)));
                match put {
                    Put::Garbage => assert!(dead, "garbage at {partition}/{offset} is no dead letter"),
                    Put::Command { key, forwarded, .. } if self.home_of(&key.0) != *partition && *forwarded => {
                        assert!(
                            dead,
                            "{key:?} at {partition}/{offset} was forwarded to the wrong place: a dead letter"
                        );
                    }
                    Put::Command { key, digest, .. } => {
                        let Some(recorded) = self.recorded.get(key) else {
                            panic!("lost: {key:?}, put into {partition}/{offset}, has no outcome")
                        };
                        let here = self.home_of(&key.0) == *partition;
                        let mismatch = here && recorded.digest != *digest;
                        assert!(
                            !mismatch || dead,
                            "{key:?} at {partition}/{offset} lost against another: a dead letter"
                        );
                    }
                }
            }
        }
    }
}

fn key_of(value: &Value) -> Option<(Key, Digest)> {
    let organization = value["organization"].as_str()?.parse().ok()?;
    let id = value["command_id"].as_str()?.parse().ok()?;
    Some(((organization, id), digest_of(value)))
}
