//! Outcomes by command id and by revision, and the clock of every organisation: which revision stood when.
//!
//! Rows are bytes of fixed parts and the record's value as it stands in the log: what is answered is what is hashed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Deserialize;

use super::keys::{Key, KeyReader};
use super::kinds;
use super::stored::{self, stored_struct};
use super::table::{Rows, Table, TableError};
use super::view::Admitted;
use crate::domain::digest::Digest;
use crate::domain::id::{CommandId, OrganizationId, Revision};
use crate::domain::outcome::Moment;
use crate::domain::time::Timestamp;
use crate::log::record::{Offset, Partition};
use crate::planted::{Bug, planted};

/// Where an organisation's history ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub partition: Partition,
    pub moment: Moment,
    /// The SHA-256 of the value of the last outcome.
    pub chain: Digest,
}

stored_struct!(Head { partition, moment, chain });

/// An outcome as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedOutcome {
    /// `None` for a rejection that is no part of any history.
    pub revision: Option<Revision>,
    pub partition: Partition,
    pub offset: Offset,
    pub decided_at: Timestamp,
    /// The digest of the command.
    pub digest: Digest,
    /// The record's value.
    pub value: Arc<[u8]>,
}

/// Where histories end, and the newest command ids: rows that change with every outcome and are written once a batch.
///
/// Invariant: what is in here is what the rows say, plus what the fold under way has added.
#[derive(Debug, Default)]
pub(super) struct Ends {
    heads: BTreeMap<OrganizationId, (Partition, Moment)>,
    newest: BTreeMap<Partition, Newest>,
}

#[derive(Debug)]
struct Newest {
    id: Option<CommandId>,
    unwritten: bool,
}

impl Ends {
    /// Folds one outcome into these rows.
    pub(super) fn fold(&mut self, table: &mut dyn Table, admitted: &Admitted<'_>) -> Result<(), TableError> {
        let outcome = admitted.outcome;
        let place = Place { partition: admitted.partition, offset: admitted.offset, decided_at: outcome.decided_at };
        let command = command_key(&outcome.organization, outcome.command_id);
        // The first answer of a command id stands: a later one says only that the id was used again. One that is greater
        // than every UUIDv7 before it was not used before.
        if self.is_newest(table, admitted.partition, outcome.command_id)? || table.get(&command)?.is_none() {
            let mut row = outcome.digest.as_bytes().to_vec();
            row.extend(outcome.revision.unwrap_or_default().0.to_be_bytes());
            if outcome.revision.is_none() {
                row.extend(place.with(admitted.value));
            }
            table.put(command, row);
        }
        if let Some(moment) = outcome.moment() {
            table.put(outcome_key(&outcome.organization, moment.revision), place.with(admitted.value));
            let clock = Key::of(kinds::CLOCK, &outcome.organization).instant_descending(moment.decided_at);
            table.put(clock.into_bytes(), moment.revision.0.to_be_bytes().to_vec());
            self.heads.insert(outcome.organization.clone(), (admitted.partition, moment));
        }
        Ok(())
    }

    /// Whether an id is a UUIDv7 greater than all of the partition before it; it is the newest one then.
    fn is_newest(&mut self, rows: &dyn Rows, partition: Partition, id: CommandId) -> Result<bool, TableError> {
        if id.get_version_num() != 7 {
            return Ok(false);
        }
        let newest = match self.newest.entry(partition) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(Newest { id: newest_command(rows, partition)?, unwritten: false }),
        };
        let is_newest = newest.id.is_none_or(|known| known < id);
        if is_newest {
            *newest = Newest { id: Some(id), unwritten: true };
        }
        Ok(is_newest)
    }

    /// Writes what changed.
    pub(super) fn write(&mut self, table: &mut dyn Table) -> Result<(), TableError> {
        for (organization, (partition, moment)) in std::mem::take(&mut self.heads) {
            let row = table.get(&outcome_key(&organization, moment.revision))?.ok_or_else(|| damaged("an outcome"))?;
            let (_, value) = Place::read(&row)?;
            let head = Head { partition, moment, chain: Digest::of(value) };
            table.put(head_key(&organization), stored::to_bytes(&head));
        }
        for (partition, newest) in &mut self.newest {
            let unwritten = std::mem::take(&mut newest.unwritten) && !planted(Bug::NewestCommandNotKept);
            if let Some(id) = newest.id.filter(|_| unwritten) {
                table.put(newest_key(*partition), id.as_bytes().to_vec());
            }
        }
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.heads.clear();
        self.newest.clear();
    }
}

/// The greatest UUIDv7 among the command ids of a partition.
pub(super) fn newest_command(rows: &dyn Rows, partition: Partition) -> Result<Option<CommandId>, TableError> {
    let row = rows.get(&newest_key(partition))?;
    row.map(|bytes| CommandId::from_slice(&bytes).map_err(|_| damaged("the newest command id"))).transpose()
}

/// Where the history of an organisation ends; `None` when it has none.
pub(super) fn head(rows: &dyn Rows, organization: &OrganizationId) -> Result<Option<Head>, TableError> {
    rows.get(&head_key(organization))?.map(|row| stored::from_bytes(&row)).transpose()
}

/// All organisations, in order of their ids.
pub(super) fn heads(rows: &dyn Rows) -> Result<Vec<(OrganizationId, Head)>, TableError> {
    let prefix = Key::new(kinds::HEAD);
    let mut heads = Vec::new();
    each(rows, prefix.bytes(), &prefix.end(), |key, value| {
        let id = KeyReader::new(key).and_then(|mut key| key.text()).and_then(|text| text.parse().ok());
        heads.push((id.ok_or_else(|| damaged("an organisation's head"))?, stored::from_bytes(value)?));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(heads)
}

/// The last moment at or before an instant; `None` when the history begins later.
pub(super) fn moment_at(
    rows: &dyn Rows,
    organization: &OrganizationId,
    instant: Timestamp,
) -> Result<Option<Moment>, TableError> {
    let prefix = Key::of(kinds::CLOCK, organization);
    let excluded = i64::from(planted(Bug::AsOfInstantExclusive));
    let from = prefix.clone().instant_descending(instant.plus_micros(-excluded));
    let mut moment = None;
    each(rows, from.bytes(), &prefix.end(), |key, value| {
        let decided_at = KeyReader::new(key).and_then(|mut key| key.text().and_then(|_| key.instant_descending()));
        let revision = value.try_into().map(|bytes| Revision(u64::from_be_bytes(bytes))).ok();
        let (Some(decided_at), Some(revision)) = (decided_at, revision) else {
            return Err(damaged("a row of the clock"));
        };
        moment = Some(Moment { revision, decided_at });
        Ok(ControlFlow::Break(()))
    })?;
    Ok(moment)
}

/// When a revision was decided; `None` when there is no such revision.
pub(super) fn moment_of(
    rows: &dyn Rows,
    organization: &OrganizationId,
    revision: Revision,
) -> Result<Option<Moment>, TableError> {
    let Some(row) = rows.get(&outcome_key(organization, revision))? else { return Ok(None) };
    let (place, _) = Place::read(&row)?;
    Ok(Some(Moment { revision, decided_at: place.decided_at }))
}

/// The outcome that a command id had first.
pub(super) fn by_command(
    rows: &dyn Rows,
    organization: &OrganizationId,
    command: CommandId,
) -> Result<Option<RecordedOutcome>, TableError> {
    let Some(row) = rows.get(&command_key(organization, command))? else { return Ok(None) };
    let broken = || damaged("an outcome's command id");
    let (digest, rest) = row.split_first_chunk::<32>().ok_or_else(broken)?;
    let (revision, rest) = rest.split_first_chunk::<8>().ok_or_else(broken)?;
    let (digest, revision) = (Digest::from_bytes(*digest), Revision(u64::from_be_bytes(*revision)));
    if revision == Revision::ZERO {
        let (place, value) = Place::read(rest)?;
        return Ok(Some(place.outcome(None, digest, value)));
    }
    let row = rows.get(&outcome_key(organization, revision))?.ok_or_else(broken)?;
    let (place, value) = Place::read(&row)?;
    Ok(Some(place.outcome(Some(revision), digest, value)))
}

/// Outcomes from a revision on, at most `limit`.
pub(super) fn from_revision(
    rows: &dyn Rows,
    organization: &OrganizationId,
    from: Revision,
    limit: usize,
) -> Result<Vec<RecordedOutcome>, TableError> {
    #[derive(Deserialize)]
    struct WithDigest {
        digest: Digest,
    }
    let mut outcomes = Vec::new();
    if limit == 0 {
        return Ok(outcomes);
    }
    let end = Key::of(kinds::OUTCOME, organization).end();
    each(rows, &outcome_key(organization, from), &end, |key, row| {
        let revision = key.last_chunk::<8>().map(|bytes| Revision(u64::from_be_bytes(*bytes)));
        let (place, value) = Place::read(row)?;
        let WithDigest { digest } = serde_json::from_slice(value).map_err(|_| damaged("an outcome"))?;
        outcomes.push(place.outcome(revision, digest, value));
        Ok(if outcomes.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(outcomes)
}

/// Where a record stands in the log and when it was decided: before its value.
#[derive(Clone, Copy)]
struct Place {
    partition: Partition,
    offset: Offset,
    decided_at: Timestamp,
}

impl Place {
    fn with(self, value: &[u8]) -> Vec<u8> {
        let mut row = Vec::with_capacity(20 + value.len());
        row.extend(self.partition.0.to_be_bytes());
        row.extend(self.offset.0.to_be_bytes());
        row.extend(self.decided_at.micros().to_be_bytes());
        row.extend_from_slice(value);
        row
    }

    fn read(row: &[u8]) -> Result<(Self, &[u8]), TableError> {
        let broken = || damaged("an outcome");
        let (partition, rest) = row.split_first_chunk::<4>().ok_or_else(broken)?;
        let (offset, rest) = rest.split_first_chunk::<8>().ok_or_else(broken)?;
        let (decided_at, value) = rest.split_first_chunk::<8>().ok_or_else(broken)?;
        let micros = i64::from_be_bytes(*decided_at);
        let place = Self {
            partition: Partition(u32::from_be_bytes(*partition)),
            offset: Offset(u64::from_be_bytes(*offset)),
            decided_at: Timestamp::from_micros(micros.clamp(Timestamp::MIN.micros(), Timestamp::MAX.micros())),
        };
        Ok((place, value))
    }

    fn outcome(self, revision: Option<Revision>, digest: Digest, value: &[u8]) -> RecordedOutcome {
        let Self { partition, offset, decided_at } = self;
        RecordedOutcome { revision, partition, offset, decided_at, digest, value: value.into() }
    }
}

fn head_key(organization: &OrganizationId) -> Vec<u8> {
    Key::of(kinds::HEAD, organization).into_bytes()
}

fn newest_key(partition: Partition) -> Vec<u8> {
    Key::new(kinds::NEWEST_COMMAND).raw(&partition.0.to_be_bytes()).into_bytes()
}

fn command_key(organization: &OrganizationId, command: CommandId) -> Vec<u8> {
    Key::of(kinds::COMMAND, organization).bits(command.as_u128()).into_bytes()
}

fn outcome_key(organization: &OrganizationId, revision: Revision) -> Vec<u8> {
    Key::of(kinds::OUTCOME, organization).revision(revision).into_bytes()
}

/// A scan whose visitor may fail.
pub(super) fn each(
    rows: &dyn Rows,
    from: &[u8],
    to: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, TableError>,
) -> Result<(), TableError> {
    let mut failed = None;
    rows.scan(from, to, &mut |key, value| {
        visit(key, value).unwrap_or_else(|error| {
            failed = Some(error);
            ControlFlow::Break(())
        })
    })?;
    failed.map_or(Ok(()), Err)
}

pub(super) fn damaged(what: &str) -> TableError {
    TableError(format!("{what} cannot be read; rebuild the views with `ipam views rebuild`"))
}
