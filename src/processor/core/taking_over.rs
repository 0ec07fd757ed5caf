//! Reading: the fold of what others wrote, the claim of the partition, and the acknowledgement of what is ours.

use std::sync::Arc;
use std::time::Duration;

use super::rules::guarded;
use super::{CLOCK_OFF_MAX, Core, Effect, End, InFlight, Phase, Report, Stream, Waiter, apart};
use crate::domain::State;
use crate::domain::digest::Digest;
use crate::domain::outcome::SCHEMA_VERSION;
use crate::domain::time::Timestamp;
use crate::log::admission::{Verdict, Void};
use crate::log::record::{Epoch, EpochOpened, Header, Kind, NewRecord, Offset, Record, Seq, SourceOffset, WriterId};
use crate::log::wire::decode_outcome;
use crate::planted::{Bug, planted};

/// So many claims lost within [`CLAIMS_LOST_WITHIN`] mean that two groups write one ledger.
const CLAIMS_LOST_REPORTED: usize = 3;
const CLAIMS_LOST_WITHIN: Duration = Duration::from_mins(1);
/// The first pause after a lost claim is up to so long; each further one doubles it, up to the second.
const REST_FIRST_MILLIS: u64 = 100;
const REST_MAX_MILLIS: u64 = 10_000;

impl Core {
    /// Appends `EpochOpened` with the epoch after the last valid one.
    pub(super) fn claim(&mut self, now: Timestamp, writer: WriterId, random: u64, effects: &mut Vec<Effect>) {
        if self.phase != Phase::Following || self.leaving.is_some() {
            return;
        }
        let epoch = self.admission.next_epoch();
        let opened = EpochOpened {
            schema: SCHEMA_VERSION,
            epoch,
            writer,
            ledger: self.admission.reign.map_or(self.config.ledger, |reign| reign.ledger),
            partitions: self.partitions(),
        };
        let value = serde_json::to_vec(&opened).expect("numbers and ids are valid JSON");
        self.phase = Phase::Claiming { writer, since: now, random };
        effects.push(Effect::Append(vec![NewRecord {
            header: Header { kind: Kind::EpochOpened, epoch, seq: Seq(0), source: None },
            key: None,
            value: value.into(),
        }]));
    }

    pub(super) fn read(&mut self, now: Timestamp, records: &[Record], effects: &mut Vec<Effect>) -> Result<(), End> {
        let mut voids = Voids::default();
        let mut acknowledged = Acknowledged::default();
        let went = records.iter().try_for_each(|record| match self.admission.admit(record) {
            Verdict::Opened(opened) => self.opened(now, record, &opened, effects),
            Verdict::Outcome(header) | Verdict::Passed(header) if self.reign().is_some() => {
                self.acknowledge(record, header, &mut acknowledged, effects)
            }
            Verdict::Outcome(header) => self.fold(record, header),
            Verdict::Passed(_) => {
                self.tail_records += 1;
                Ok(())
            }
            Verdict::Void(void) => {
                voids.count(record.offset, void);
                self.saw_void(now, record, void, effects)
            }
        });
        acknowledged.report(effects);
        self.tally.void_records += voids.count;
        voids.report(effects);
        self.forget();
        went
    }

    fn opened(
        &mut self,
        now: Timestamp,
        record: &Record,
        opened: &EpochOpened,
        effects: &mut Vec<Effect>,
    ) -> Result<(), End> {
        match self.phase {
            Phase::Claiming { writer, since, .. }
                if opened.writer == writer || planted(Bug::OpeningOfAnotherWriter) =>
            {
                check_clock(since, record.appended_at, now)?;
                self.phase = Phase::Reigning { epoch: opened.epoch };
                self.next_seq = Seq(1);
                self.source = self.admission.source;
                effects.push(Effect::Report(Report::TookOver {
                    epoch: opened.epoch,
                    tail_records: self.tail_records,
                    resume: self.admission.source,
                    claims_lost: self.claims_lost.len(),
                }));
                let too_far = planted(Bug::ResumesTooFar);
                let from = self.admission.source.map(|last| if too_far { last.next().next() } else { last });
                effects.push(Effect::OpenSource { from });
                Ok(())
            }
            Phase::Reigning { .. } if !planted(Bug::DeposedCarriesOn) => Err(End::Deposed { by: opened.epoch }),
            _ => {
                self.tail_records += 1;
                Ok(())
            }
        }
    }

    /// Folds an outcome that is not this incarnation's.
    fn fold(&mut self, record: &Record, header: Header) -> Result<(), End> {
        let offset = record.offset;
        let outcome =
            decode_outcome(&record.value).map_err(|error| End::Unreadable { offset, error: error.to_string() })?;
        if let Some(moment) = outcome.moment() {
            let id = &outcome.organization;
            let stream =
                self.streams.entry(id.clone()).or_insert_with(|| Stream { state: State::new(id.clone()), chain: None });
            if outcome.previous != stream.chain {
                let error = "it does not carry the hash of the organisation's previous outcome".to_owned();
                return Err(End::Unfoldable { offset, error });
            }
            guarded(|| self.rules.apply(&mut stream.state, moment, outcome.events()))
                .map_err(|error| End::Unfoldable { offset, error })?;
            stream.chain = Some(Digest::of(&record.value));
        }
        if let Some(source) = header.source {
            self.decided_at_source = Some((source, outcome.command_id, outcome.digest));
        }
        let key = (outcome.organization, outcome.command_id);
        self.recents.folded(key, outcome.digest, Arc::clone(&record.value), offset);
        self.tail_records += 1;
        Ok(())
    }

    /// One of our own records is in the log, and valid: its command is answered.
    fn acknowledge(
        &mut self,
        record: &Record,
        header: Header,
        acknowledged: &mut Acknowledged,
        effects: &mut Vec<Effect>,
    ) -> Result<(), End> {
        let ours = self.in_flight.pop_front().filter(|ours| ours.seq == header.seq && ours.value == record.value);
        let Some(InFlight { appended_at, value, decided, .. }) = ours else {
            return Err(End::NotOurs { offset: record.offset });
        };
        acknowledged.add(appended_at, effects);
        let Some(decided) = decided else { return Ok(()) };
        self.tally.acknowledged(decided.row, decided.accepted);
        self.recents.acknowledged(decided.key, record.offset);
        for waiter in decided.waiters {
            let value = waiter.instead.clone().unwrap_or_else(|| Arc::clone(&value));
            effects.push(Effect::Answer { ticket: waiter.ticket, value, repeated: waiter.instead.is_none() });
        }
        if let Some(ticket) = decided.ticket {
            effects.push(Effect::Answer { ticket, value, repeated: false });
        }
        Ok(())
    }

    fn saw_void(&mut self, now: Timestamp, record: &Record, void: Void, effects: &mut Vec<Effect>) -> Result<(), End> {
        match (self.phase, void) {
            (Phase::Claiming { writer, random, .. }, _) if opening_writer(record) == Some(writer) => match void {
                Void::EpochNotNext { found, .. } => {
                    self.lost_claim(now, found, random, effects);
                    Ok(())
                }
                void => Err(End::OtherLedger(void)),
            },
            // A record of ours came behind a missing one: that one may or may not come still.
            (Phase::Reigning { epoch }, Void::SeqNotNext { expected, found })
                if record.header.is_some_and(|header| header.epoch == epoch) && found > expected =>
            {
                Err(End::Gap { seq: expected, offset: record.offset })
            }
            _ => Ok(()),
        }
    }

    fn lost_claim(&mut self, now: Timestamp, epoch: Epoch, random: u64, effects: &mut Vec<Effect>) {
        self.phase = Phase::Following;
        self.claims_lost.retain(|lost| apart(*lost, now) <= CLAIMS_LOST_WITHIN);
        self.claims_lost.push_back(now);
        let claims_lost = self.claims_lost.len();
        effects.push(Effect::Report(Report::ClaimLost { epoch, claims_lost }));
        if claims_lost >= CLAIMS_LOST_REPORTED {
            effects.push(Effect::Report(Report::TwoGroups { claims_lost }));
        }
        effects.push(Effect::Rest(rest(claims_lost, random)));
    }

    /// Those who wait for an outcome in flight; `None` when it is acknowledged already.
    pub(super) fn waiters_of(&mut self, seq: Option<Seq>) -> Option<&mut Vec<Waiter>> {
        let first = self.in_flight.front()?.seq;
        let index = usize::try_from(seq?.0.checked_sub(first.0)?).ok()?;
        self.in_flight.get_mut(index)?.decided.as_mut().map(|decided| &mut decided.waiters)
    }
}

/// Between half of the bound and all of it; the bound doubles with every loss.
fn rest(claims_lost: usize, random: u64) -> Duration {
    let doublings = u32::try_from(claims_lost.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    let bound = (REST_FIRST_MILLIS << doublings).min(REST_MAX_MILLIS);
    Duration::from_millis(bound / 2 + random % (bound / 2 + 1))
}

/// The log took our opening at `appended`, which was between `since` and `now` by a clock that agrees with the log's.
fn check_clock(since: Timestamp, appended: Timestamp, now: Timestamp) -> Result<(), End> {
    let nearest = appended.clamp(since.min(now), since.max(now));
    if apart(nearest, appended) <= CLOCK_OFF_MAX || planted(Bug::ClockUnchecked) {
        return Ok(());
    }
    Err(End::ClockOff { off_seconds: (nearest.micros() - appended.micros()) / 1_000_000 })
}

fn opening_writer(record: &Record) -> Option<WriterId> {
    record.header.filter(|header| header.kind == Kind::EpochOpened)?;
    serde_json::from_slice::<EpochOpened>(&record.value).ok().map(|opened| opened.writer)
}

/// Void records of one read.
#[derive(Default)]
struct Voids {
    count: u64,
    first: Option<(Offset, Void)>,
}

impl Voids {
    fn count(&mut self, offset: Offset, void: Void) {
        self.count += 1;
        self.first.get_or_insert((offset, void));
    }

    fn report(self, effects: &mut Vec<Effect>) {
        if let Some((first, reason)) = self.first {
            effects.push(Effect::Report(Report::VoidRecords { count: self.count, first, reason }));
        }
    }
}

/// Records of one batch that were acknowledged together.
#[derive(Default)]
struct Acknowledged {
    records: u64,
    decided_at: Timestamp,
}

impl Acknowledged {
    fn add(&mut self, decided_at: Timestamp, effects: &mut Vec<Effect>) {
        if self.decided_at != decided_at {
            self.report(effects);
            self.decided_at = decided_at;
        }
        self.records += 1;
    }

    fn report(&mut self, effects: &mut Vec<Effect>) {
        let records = std::mem::take(&mut self.records);
        if records > 0 {
            effects.push(Effect::Report(Report::Acknowledged { records, decided_at: self.decided_at }));
        }
    }
}

/// Whether reading the command topic may go on at `begin`, where it begins now, when `from` was the last command dealt with.
///
/// # Errors
/// When commands expired undecided, and no operator decided to go on without them (design D7).
pub fn may_begin_at(begin: SourceOffset, from: Option<SourceOffset>, skip_expired: bool) -> Result<(), End> {
    let first_undecided = from.map_or(SourceOffset(0), SourceOffset::next);
    if begin > first_undecided && !skip_expired && !planted(Bug::ExpiredUnnoticed) {
        return Err(End::SourceExpired { from: first_undecided, begin });
    }
    Ok(())
}
