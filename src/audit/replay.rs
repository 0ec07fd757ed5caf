//! A log as it was: for one organisation, up to a moment. Views that fold it are those of that moment.
//!
//! Offsets, reigns and numbers stay what they are; outcomes that are later or another organisation's stand as `Passed`
//! records, which have no effect. So admission reads the same history from both.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::walk::home;
use crate::domain::id::{OrganizationId, Revision};
use crate::domain::time::Timestamp;
use crate::log::record::{Header, Kind, Offset, Partition, Record};
use crate::log::{AppendError, Appender, Log, ReadError, Reader};

/// The last of what is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Everything decided at or before.
    Instant(Timestamp),
    Revision(Revision),
    /// The record there, and all before it in its partition.
    Position(Partition, Offset),
}

/// The log of one organisation up to a moment.
pub struct Past {
    log: Arc<dyn Log>,
    organization: OrganizationId,
    home: Partition,
    until: Until,
}

/// Why a past cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error("{organization} is in partition {home}: a position in partition {asked} says nothing about it")]
    OtherPartition { organization: OrganizationId, home: Partition, asked: Partition },
    #[error("position {asked} is not in the log: partition {home} ends at {end}")]
    Ahead { home: Partition, asked: Offset, end: Offset },
}

impl Past {
    /// # Errors
    /// When the log cannot be read, or the position is not one of the organisation's partition.
    pub fn new(log: Arc<dyn Log>, organization: OrganizationId, until: Until) -> Result<Self, PastError> {
        let home = home(log.as_ref(), &organization)?;
        if let Until::Position(asked, offset) = until {
            if asked != home {
                return Err(PastError::OtherPartition { organization, home, asked });
            }
            let end = log.end(home)?;
            if offset >= end {
                return Err(PastError::Ahead { home, asked: offset, end });
            }
        }
        Ok(Self { log, organization, home, until })
    }
}

impl Log for Past {
    fn partitions(&self) -> Result<u32, ReadError> {
        self.log.partitions()
    }

    fn end(&self, partition: Partition) -> Result<Offset, ReadError> {
        if partition != self.home {
            return Ok(Offset(0));
        }
        let end = self.log.end(partition)?;
        Ok(match self.until {
            Until::Position(_, last) => end.min(last.next()),
            Until::Instant(_) | Until::Revision(_) => end,
        })
    }

    fn reader(&self, partition: Partition, from: Offset) -> Result<Box<dyn Reader>, ReadError> {
        let end = self.end(partition)?;
        if from > end {
            return Err(ReadError::AheadOfLog { position: from, end });
        }
        let reader = if partition == self.home { Some(self.log.reader(partition, from)?) } else { None };
        Ok(Box::new(PastReader { reader, organization: self.organization.clone(), until: self.until, next: from, end }))
    }

    fn appender(&self, _: Partition) -> Result<Box<dyn Appender>, AppendError> {
        Err(AppendError::Refused("nothing is appended to the past".to_owned()))
    }
}

impl std::fmt::Debug for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Past")
            .field("organization", &self.organization)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

struct PastReader {
    reader: Option<Box<dyn Reader>>,
    organization: OrganizationId,
    until: Until,
    next: Offset,
    end: Offset,
}

impl Reader for PastReader {
    fn read(&mut self, records_max: usize, wait: Duration) -> Result<Vec<Record>, ReadError> {
        let Some(reader) = self.reader.as_mut().filter(|_| self.next < self.end) else {
            std::thread::sleep(wait);
            return Ok(Vec::new());
        };
        let mut records = reader.read(records_max, wait)?;
        records.retain(|record| record.offset < self.end);
        for record in &mut records {
            self.next = record.offset.next();
            if let Some(header) = record.header.as_mut().filter(|header| header.kind == Kind::Outcome)
                && !happened(&record.value, &self.organization, self.until)
            {
                *header = Header { kind: Kind::Passed, ..*header };
                record.value = Arc::from([]);
            }
        }
        Ok(records)
    }
}

#[derive(Deserialize)]
struct Dated {
    organization: OrganizationId,
    #[serde(default)]
    revision: Option<Revision>,
    decided_at: Timestamp,
}

/// Whether an outcome is the organisation's and not later. One that cannot be read is left for the fold to refuse.
fn happened(value: &[u8], organization: &OrganizationId, until: Until) -> bool {
    let Ok(dated) = serde_json::from_slice::<Dated>(value) else { return true };
    dated.organization == *organization
        && match until {
            Until::Instant(until) => dated.decided_at <= until,
            Until::Revision(until) => dated.revision.is_none_or(|revision| revision <= until),
            Until::Position(..) => true,
        }
}
