//! Where a view stands in a partition, and whether that is a place in the log at hand (design D11).

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::keys::Key;
use super::table::{Rows, TableError};
use crate::domain::digest::Digest;
use crate::log::admission::Admission;
use crate::log::record::{LedgerId, Offset, Partition, Record};
use crate::log::{Log, ReadError};
use crate::planted::{Bug, planted};

/// The kind of position rows, in every view.
const KIND: u8 = 0x01;
/// How long a log may take to show a record that must be there.
const CHECK_WAIT: Duration = Duration::from_secs(30);
/// A ledger names itself in its first valid record; foreign ones may stand before it.
const OPENING_SOUGHT_IN_RECORDS: usize = 1_000;

/// The last record that a view has folded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub offset: Offset,
    /// The hash of the record there: headers and value.
    pub record: Digest,
    /// The fold of all records up to it, itself included; holds the ledger.
    pub admission: Admission,
}

/// The views cannot follow this log.
#[derive(Debug, thiserror::Error)]
pub enum PositionError {
    #[error(
        "view {view} is of ledger {found}, but the log is ledger {expected}: the data directory belongs to another log; \
         point to the right one, or rebuild the views with `ipam views rebuild`"
    )]
    OtherLedger { view: String, expected: LedgerId, found: LedgerId },
    #[error(
        "view {view} stands at offset {offset} of partition {partition}, but the log ends at {end}: the log lost records or \
         is another one; restore the log, or rebuild the views with `ipam views rebuild` if this log is right"
    )]
    AheadOfLog { view: String, partition: Partition, offset: Offset, end: Offset },
    #[error(
        "view {view} has folded another record at offset {offset} of partition {partition} than stands there now: the log \
         was changed or recreated; restore it, or rebuild the views with `ipam views rebuild` if this log is right"
    )]
    OtherRecord { view: String, partition: Partition, offset: Offset },
    #[error("the log does not show the record at offset {offset} of partition {partition} within {} s", CHECK_WAIT.as_secs())]
    NotShown { partition: Partition, offset: Offset },
    #[error(transparent)]
    Log(#[from] ReadError),
}

impl Position {
    /// The position behind `record`, which `admission` has folded last.
    #[must_use]
    pub fn behind(record: &Record, admission: Admission) -> Self {
        Self { offset: record.offset, record: record_digest(record), admission }
    }

    #[must_use]
    pub fn ledger(&self) -> Option<LedgerId> {
        self.admission.reign.map(|reign| reign.ledger)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a position holds nothing that JSON cannot")
    }

    /// All positions among a view's rows.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn all(rows: &dyn Rows) -> Result<BTreeMap<Partition, Self>, TableError> {
        let mut positions = BTreeMap::new();
        let mut damaged = None;
        let prefix = Key::new(KIND);
        rows.scan(prefix.bytes(), &prefix.end(), &mut |key, value| {
            let partition = key.get(1..).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
            let (Some(partition), Ok(position)) = (partition, serde_json::from_slice(value)) else {
                damaged = Some(TableError("a position cannot be read; rebuild the views".to_owned()));
                return ControlFlow::Break(());
            };
            positions.insert(Partition(partition), position);
            ControlFlow::Continue(())
        })?;
        damaged.map_or(Ok(positions), Err)
    }

    /// Compares this position of `view` with the log.
    ///
    /// # Errors
    /// When the view is ahead of the log or of another one, or the log cannot be read.
    pub fn check(&self, view: &str, log: &dyn Log, partition: Partition) -> Result<(), PositionError> {
        let view = || view.to_owned();
        if let (Some(expected), Some(found)) = (ledger_of(log, partition)?, self.ledger())
            && expected != found
            && !planted(Bug::PositionLedgerUnchecked)
        {
            return Err(PositionError::OtherLedger { view: view(), expected, found });
        }
        let end = log.end(partition)?;
        if self.offset >= end {
            return Err(PositionError::AheadOfLog { view: view(), partition, offset: self.offset, end });
        }
        let mut reader = log.reader(partition, self.offset)?;
        let until = Instant::now() + CHECK_WAIT;
        loop {
            if let Some(record) = reader.read(1, Duration::from_millis(200))?.first() {
                let same = record.offset == self.offset
                    && (record_digest(record) == self.record || planted(Bug::PositionRecordUnchecked));
                let other = || PositionError::OtherRecord { view: view(), partition, offset: self.offset };
                return if same { Ok(()) } else { Err(other()) };
            }
            if Instant::now() > until {
                return Err(PositionError::NotShown { partition, offset: self.offset });
            }
        }
    }
}

/// The ledger that a partition belongs to; `None` when nobody has opened it yet.
fn ledger_of(log: &dyn Log, partition: Partition) -> Result<Option<LedgerId>, PositionError> {
    if log.end(partition)? == Offset(0) {
        return Ok(None);
    }
    let mut reader = log.reader(partition, Offset(0))?;
    let mut admission = Admission::default();
    let mut seen = 0;
    while seen < OPENING_SOUGHT_IN_RECORDS {
        let records = reader.read(1, Duration::from_secs(1))?;
        if records.is_empty() {
            break;
        }
        for record in &records {
            admission.admit(record);
            if let Some(reign) = admission.reign {
                return Ok(Some(reign.ledger));
            }
        }
        seen += records.len();
    }
    Ok(None)
}

pub(super) fn position_key(partition: Partition) -> Vec<u8> {
    Key::new(KIND).raw(&partition.0.to_be_bytes()).into_bytes()
}

fn record_digest(record: &Record) -> Digest {
    let mut bytes = Vec::with_capacity(record.value.len() + 32);
    if let Some(header) = record.header {
        bytes.push(header.kind as u8);
        bytes.extend(header.epoch.0.to_be_bytes());
        bytes.extend(header.seq.0.to_be_bytes());
        bytes.extend(header.source.map_or([0; 8], |source| source.0.to_be_bytes()));
    }
    bytes.extend_from_slice(&record.value);
    Digest::of(&bytes)
}
