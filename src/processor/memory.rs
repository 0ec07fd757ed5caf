//! What a writer can know without reading the whole log: snapshots, and the outcomes of old command ids.
//!
//! A trait, because the rows are a view's (design D10) and the processor may not use views. Losing a memory
//! costs time, never data.

use std::sync::Arc;

use crate::domain::Row;
use crate::domain::digest::Digest;
use crate::domain::id::{CommandId, OrganizationId};
use crate::log::admission::Admission;
use crate::log::record::{Offset, Partition};

/// Snapshots and old command ids of the partitions of one ledger.
pub trait Memory: Send + Sync {
    /// The state of a partition at some position, to go on from. `None` when there is none, or none that can
    /// be trusted: the log is then read from its beginning.
    fn restore(&self, partition: Partition) -> Option<Restored>;

    /// The acknowledged outcome of a command, if it is among the records before [`Memory::covered`].
    ///
    /// # Errors
    /// When the store cannot be read; the writer then decides nothing.
    fn outcome_of(&self, organization: &OrganizationId, command: CommandId) -> Result<Option<Known>, MemoryError>;

    /// Every outcome of the partition before this offset is found by [`Memory::outcome_of`]. Never goes back while
    /// the process lives, and is never before the position that [`Memory::restore`] gave.
    fn covered(&self, partition: Partition) -> Offset;
}

/// The state of a partition at the position `admission.next`.
#[derive(Debug)]
pub struct Restored {
    pub admission: Admission,
    pub organizations: Vec<RestoredOrganization>,
    /// The greatest UUIDv7 among the ids of commands whose outcomes are before the position: newer ones need no
    /// look-up (design D8). `Uuid::max()` when it is not known, `None` when there is none.
    pub newest_command: Option<CommandId>,
}

/// One organisation of a snapshot.
#[derive(Debug)]
pub struct RestoredOrganization {
    pub id: OrganizationId,
    pub rows: Vec<Row>,
    /// The SHA-256 of the value of its last outcome.
    pub chain: Digest,
}

/// The outcome of a command that was decided before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Where its record is.
    pub offset: Offset,
    /// The digest of the command that had the id first.
    pub digest: Digest,
    /// The outcome record's value, as it stands in the log.
    pub value: Arc<[u8]>,
}

/// The store of old outcomes cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store of outcomes: {0}")]
pub struct MemoryError(pub String);

/// Remembers nothing: every start reads the whole log, and all command ids stay in the writer's memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMemory;

impl Memory for NoMemory {
    fn restore(&self, _: Partition) -> Option<Restored> {
        None
    }

    fn outcome_of(&self, _: &OrganizationId, _: CommandId) -> Result<Option<Known>, MemoryError> {
        Ok(None)
    }

    fn covered(&self, _: Partition) -> Offset {
        Offset(0)
    }
}
