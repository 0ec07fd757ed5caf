//! Deciding: batches of commands become letters and records.

use std::sync::Arc;

use super::recent::Key;
use super::rules::guarded;
use super::{Core, Decided, Effect, End, InFlight, Report, Request, Sourced, Stream, Ticket, Waiter};
use crate::domain::digest::Digest;
use crate::domain::id::{CommandId, OrganizationId};
use crate::domain::outcome::{Decision, Moment, Outcome, SCHEMA_VERSION};
use crate::domain::rejection::{Code, Rejection};
use crate::domain::time::Timestamp;
use crate::domain::{Context, State};
use crate::log::admission::Left;
use crate::log::record::{Epoch, Header, Kind, NewRecord, Partition, Seq, SourceOffset};
use crate::log::wire::{Decoded, Envelope, Undecodable, encode_outcome};
use crate::log::{Letter, SourceRecord};
use crate::planted::{Bug, planted};
use crate::processor::metrics::TypeRow;

/// A principal's name in a rejection for size is cut to this, in characters.
const NAME_MAX: usize = 256;

/// What one step decides: letters go first, then the records in one append.
struct Batch {
    now: Timestamp,
    epoch: Epoch,
    letters: Vec<Letter>,
    records: Vec<NewRecord>,
}

/// What is known of a command's id.
enum Seen {
    New,
    /// The same command: its outcome, and that record's number if this incarnation appended it.
    Same {
        value: Arc<[u8]>,
        seq: Option<Seq>,
    },
    /// Another command had the id first.
    Other {
        first: Digest,
        seq: Option<Seq>,
    },
}

impl Core {
    pub(super) fn decide_sourced(
        &mut self,
        now: Timestamp,
        records: Vec<Sourced>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), End> {
        let Some(mut batch) = self.batch(now) else { return Ok(()) };
        let mut passed = None;
        for Sourced { record, decoded } in records {
            let offset = record.offset;
            if self.source.is_some_and(|dealt_with| offset <= dealt_with) {
                self.verify_source(&record, &decoded)?;
                continue;
            }
            self.source = Some(offset);
            let value = self.decide_record(record, decoded, &mut batch, effects)?;
            passed = value.map(|value| (offset, value));
            if self.leaving.is_some() {
                // The rest is read again by the next incarnation.
                break;
            }
        }
        if let Some((source, value)) = passed.filter(|_| !planted(Bug::PassedLeftOut)) {
            let value = value.to_string().into_bytes();
            self.push(&mut batch, Kind::Passed, Some(source), None, value.into(), None);
        }
        batch.close(effects);
        Ok(())
    }

    pub(super) fn decide_local(
        &mut self,
        now: Timestamp,
        requests: Vec<Request>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), End> {
        let Some(mut batch) = self.batch(now) else {
            effects.push(Effect::Return(requests));
            return Ok(());
        };
        let mut requests = requests.into_iter();
        for Request { ticket, decoded } in requests.by_ref() {
            let to = self.home_of(&decoded);
            if to == self.config.partition {
                self.decide_routed(decoded, None, ticket, &mut batch, effects)?;
            } else if let Some(ticket) = ticket {
                effects.push(Effect::Misrouted { ticket, to });
            }
            if self.leaving.is_some() {
                break;
            }
        }
        let rest: Vec<_> = requests.collect();
        if !rest.is_empty() {
            effects.push(Effect::Return(rest));
        }
        batch.close(effects);
        Ok(())
    }

    /// `None` while nothing may be decided.
    fn batch(&self, now: Timestamp) -> Option<Batch> {
        let epoch = self.reign().filter(|_| self.leaving.is_none())?;
        Some(Batch { now, epoch, letters: Vec::new(), records: Vec::new() })
    }

    fn home_of(&self, decoded: &Decoded) -> Partition {
        (self.config.partition_of)(organization_of(decoded), self.partitions())
    }

    /// Gives the hash of the record's value where it leaves no outcome here.
    fn decide_record(
        &mut self,
        record: SourceRecord,
        decoded: Result<Decoded, Undecodable>,
        batch: &mut Batch,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<Digest>, End> {
        let SourceRecord { offset, key, value, forwarded } = record;
        let from = self.config.partition;
        let dead = |reason: String, key, value| Letter::Dead { from, offset, reason, key, value };
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(undecodable) => {
                let passed = Digest::of(&value);
                batch.letters.push(dead(undecodable.0, key, value));
                return Ok(Some(passed));
            }
        };
        let to = self.home_of(&decoded);
        if to != from && !planted(Bug::DecidedWhereItLanded) {
            let passed = Digest::of(&value);
            batch.letters.push(if forwarded && !planted(Bug::ForwardedAgain) {
                dead(format!("it was forwarded here, but partition {to} decides it"), key, value)
            } else {
                Letter::Forward { to, key, value }
            });
            return Ok(Some(passed));
        }
        let mismatches = self.tally.mismatches;
        let left_outcome = self.decide_routed(decoded, Some(offset), None, batch, effects)?;
        let passed = (!left_outcome).then(|| Digest::of(&value));
        if self.tally.mismatches > mismatches {
            // Nobody waits here, and the first answer stays: the second command's sender looks for it there.
            let reason = "IdempotentParameterMismatch: the command id belongs to another command".to_owned();
            batch.letters.push(dead(reason, key, value));
        }
        Ok(passed)
    }

    /// Whether it leaves an outcome in the batch: a repeated command does not.
    fn decide_routed(
        &mut self,
        decoded: Decoded,
        source: Option<SourceOffset>,
        ticket: Option<Ticket>,
        batch: &mut Batch,
        effects: &mut Vec<Effect>,
    ) -> Result<bool, End> {
        let (id, digest) = id_of(&decoded);
        let key: Key = (organization_of(&decoded).clone(), id);
        let (seq, value, repeated) = match self.seen(&key, digest)? {
            Seen::New => {
                self.decide_new(key, decoded, source, ticket, batch, effects);
                return Ok(true);
            }
            Seen::Same { value, seq } => {
                self.tally.duplicates += 1;
                (seq, value, true)
            }
            Seen::Other { first, seq } => {
                self.tally.mismatches += 1;
                (seq, mismatch(decoded, first, batch.now), false)
            }
        };
        if let Some(ticket) = ticket {
            match self.waiters_of(seq).filter(|_| !planted(Bug::DuplicateAnsweredEarly)) {
                Some(waiters) => waiters.push(Waiter { ticket, instead: (!repeated).then_some(value) }),
                None => effects.push(Effect::Answer { ticket, value, repeated }),
            }
        }
        Ok(false)
    }

    fn seen(&self, key: &Key, digest: Digest) -> Result<Seen, End> {
        let (first, value, seq) = match self.recents.get(key) {
            Some(recent) => (recent.digest, Arc::clone(&recent.value), recent.seq),
            None if !self.recents.may_be_older(key.1) => return Ok(Seen::New),
            None => match self.memory.outcome_of(&key.0, key.1)? {
                Some(known) => (known.digest, known.value, None),
                None => return Ok(Seen::New),
            },
        };
        if first != digest && planted(Bug::MismatchDecided) {
            return Ok(Seen::New);
        }
        Ok(if first == digest { Seen::Same { value, seq } } else { Seen::Other { first, seq } })
    }

    fn decide_new(
        &mut self,
        key: Key,
        decoded: Decoded,
        source: Option<SourceOffset>,
        ticket: Option<Ticket>,
        batch: &mut Batch,
        effects: &mut Vec<Effect>,
    ) {
        let mut fresh = None;
        let stream = match self.streams.get_mut(&key.0) {
            Some(stream) => stream,
            None => fresh.insert(Stream { state: State::new(key.0.clone()), chain: None }),
        };
        let existed = stream.state.exists();
        let last = stream.state.moment();
        let decided_at = if existed && !planted(Bug::TimeGoesBack) {
            batch.now.max(last.decided_at.plus_micros(1))
        } else {
            batch.now
        };
        let mut panicked = None;
        let decision = match &decoded {
            Decoded::Malformed(_, rejection) => Decision::Rejected(rejection.clone()),
            Decoded::Command(command) => {
                let context = Context { decided_at };
                match guarded(|| self.rules.decide(&stream.state, command, &context)) {
                    Ok(Ok(events)) => Decision::Accepted(events),
                    Ok(Err(rejection)) => Decision::Rejected(Box::new(rejection)),
                    Err(message) => Decision::Rejected(Box::new(internal_error(panicked.insert(message)))),
                }
            }
        };
        let moment = Moment { revision: last.revision.next(), decided_at };
        let mut draft = Draft::new(envelope_of(decoded), decision, moment, existed, stream.chain);
        let mut value = draft.encode();
        if value.len() > self.config.limits.record_bytes_max {
            draft.too_large(value.len(), self.config.limits.record_bytes_max);
            value = draft.encode();
        }
        if let Some(moment) = draft.0.moment() {
            let applied = guarded(|| self.rules.apply(&mut stream.state, moment, draft.0.events()));
            if let Err(message) = applied {
                // The state is half changed: this is the last thing decided on it.
                self.leaving = Some(End::Rebuild);
                draft.reject(internal_error(&message), existed);
                value = draft.encode();
                panicked = Some(message);
            }
            if !(planted(Bug::RejectionNotChained) && draft.0.events().is_empty()) {
                stream.chain = Some(Digest::of(&value));
            }
        }
        if let Some(message) = panicked {
            let (organization, command) = key.clone();
            effects.push(Effect::Report(Report::Panicked { organization, command, message }));
        }
        if let Some(fresh) = fresh.filter(|fresh| fresh.state.exists()) {
            self.streams.insert(key.0.clone(), fresh);
        }
        let outcome = draft.0;
        let value: Arc<[u8]> = value.into();
        let mut ticket = ticket;
        if planted(Bug::AnswerBeforeReadBack) {
            let answer = |ticket| Effect::Answer { ticket, value: Arc::clone(&value), repeated: false };
            effects.extend(ticket.take().map(answer));
        }
        self.recents.decided(key.clone(), outcome.digest, Arc::clone(&value), self.next_seq);
        let ours = Decided {
            row: TypeRow::of(&outcome.command_type),
            accepted: matches!(outcome.decision, Decision::Accepted(_)),
            ticket,
            waiters: Vec::new(),
            key,
        };
        self.push(batch, Kind::Outcome, source, Some(outcome.organization), value, Some(ours));
    }

    fn push(
        &mut self,
        batch: &mut Batch,
        kind: Kind,
        source: Option<SourceOffset>,
        key: Option<OrganizationId>,
        value: Arc<[u8]>,
        decided: Option<Decided>,
    ) {
        let seq = self.next_seq;
        self.next_seq = seq.next();
        self.in_flight.push_back(InFlight { seq, appended_at: batch.now, value: Arc::clone(&value), decided });
        batch.records.push(NewRecord { header: Header { kind, epoch: batch.epoch, seq, source }, key, value });
    }

    /// Reading goes on at the last record that was dealt with: is it the one that was there? Otherwise the topic is another
    /// one, and commands before it may be missing (design D7).
    fn verify_source(&self, record: &SourceRecord, decoded: &Result<Decoded, Undecodable>) -> Result<(), End> {
        let offset = record.offset;
        if self.admission.source != Some(offset) {
            // It came a second time.
            return Ok(());
        }
        let found = match decoded {
            Ok(decoded) if self.home_of(decoded) == self.config.partition => {
                let (id, digest) = id_of(decoded);
                Some((organization_of(decoded).clone(), id, digest))
            }
            _ => None,
        };
        let same = match (self.admission.left, &found) {
            (Some(Left::Passed(passed)), _) => Digest::of(&record.value) == passed || planted(Bug::PassedUnchecked),
            (Some(Left::Outcome(_)), None) => planted(Bug::PassedUnchecked),
            (Some(Left::Outcome(place)), Some((organization, found, digest))) => {
                match &self.decided_at_source {
                    Some((at, id, first)) if *at == offset => (found, digest) == (id, first),
                    // The snapshot is younger than that outcome.
                    _ => {
                        let known = self.memory.outcome_of(organization, *found)?;
                        known.is_some_and(|known| (known.offset, known.digest) == (place, *digest))
                    }
                }
            }
            // A log of before this was noted.
            (None, _) => true,
        };
        if same || planted(Bug::OtherSourceUnchecked) {
            return Ok(());
        }
        let detail = found.map_or_else(
            || "what is there is no command of this partition".to_owned(),
            |(_, id, digest)| format!("there is command {id} with digest {digest}"),
        );
        Err(End::OtherSource { offset, detail })
    }
}

impl Batch {
    fn close(self, effects: &mut Vec<Effect>) {
        if planted(Bug::LettersBehindRecords) && !self.records.is_empty() {
            effects.push(Effect::Append(self.records));
            effects.push(Effect::Send(self.letters));
            return;
        }
        if !self.letters.is_empty() {
            effects.push(Effect::Send(self.letters));
        }
        if !self.records.is_empty() {
            effects.push(Effect::Append(self.records));
        }
    }
}

/// An outcome in the making.
struct Draft(Outcome);

impl Draft {
    fn new(envelope: Envelope, decision: Decision, moment: Moment, existed: bool, previous: Option<Digest>) -> Self {
        // A refusal by an organisation that does not exist is no part of any history (design D3).
        let on_record = existed || matches!(decision, Decision::Accepted(_));
        Self(Outcome {
            schema: SCHEMA_VERSION,
            organization: envelope.organization,
            revision: on_record.then_some(moment.revision),
            command_id: envelope.id,
            command_type: envelope.type_name,
            digest: envelope.digest,
            principal: envelope.principal,
            reason: envelope.reason,
            decided_at: moment.decided_at,
            previous: previous.filter(|_| on_record),
            decision,
        })
    }

    fn encode(&self) -> Vec<u8> {
        encode_outcome(&self.0)
    }

    fn reject(&mut self, rejection: Rejection, existed: bool) {
        self.0.decision = Decision::Rejected(Box::new(rejection));
        if !existed {
            self.0.revision = None;
        }
    }

    fn too_large(&mut self, bytes: usize, bytes_max: usize) {
        let existed = self.0.previous.is_some();
        let rejection = Rejection::new(
            Code::RecordTooLarge,
            "an outcome fits into one record",
            format!("The outcome would have {bytes} bytes; a record has at most {bytes_max}."),
        )
        .value("bytes", bytes)
        .value("bytes_max", bytes_max);
        self.reject(rejection, existed);
        // The sender's own texts may be what is too large.
        self.0.reason = None;
        if let Some(name) = &mut self.0.principal.name {
            *name = name.chars().take(NAME_MAX).collect();
        }
    }
}

fn internal_error(message: &str) -> Rejection {
    Rejection::new(
        Code::InternalError,
        "a defect of this program refuses one command and leaves all else as it was",
        format!("Deciding this command failed: {message}. Nothing was changed; please report it."),
    )
}

/// The answer to a command whose id belongs to another one. It is not on record: the first answer stays the one (design D8).
#[must_use]
pub fn mismatch(decoded: Decoded, first: Digest, now: Timestamp) -> Arc<[u8]> {
    let envelope = envelope_of(decoded);
    let rejection = Rejection::new(
        Code::IdempotentParameterMismatch,
        "a command id is good for one command, for ever",
        format!("The command id {} was used before for another command; its outcome stands.", envelope.id),
    )
    .value("digest", envelope.digest)
    .value("first_digest", first)
    .try_instead("command_id", "a new one");
    let moment = Moment { decided_at: now, ..Moment::default() };
    Draft::new(envelope, Decision::Rejected(Box::new(rejection)), moment, false, None).encode().into()
}

fn organization_of(decoded: &Decoded) -> &OrganizationId {
    match decoded {
        Decoded::Command(command) => &command.organization,
        Decoded::Malformed(envelope, _) => &envelope.organization,
    }
}

fn id_of(decoded: &Decoded) -> (CommandId, Digest) {
    match decoded {
        Decoded::Command(command) => (command.id, command.digest),
        Decoded::Malformed(envelope, _) => (envelope.id, envelope.digest),
    }
}

fn envelope_of(decoded: Decoded) -> Envelope {
    match decoded {
        Decoded::Malformed(envelope, _) => *envelope,
        Decoded::Command(command) => Envelope {
            id: command.id,
            type_name: command.body.type_name().to_owned(),
            organization: command.organization,
            principal: command.principal,
            reason: command.reason,
            digest: command.digest,
        },
    }
}
