//! What a writer can know without reading the whole log: snapshots, and the outcomes of old command ids.
//!
//! A trait, because the rows are a view's (design D10) and the processor may not use views. Losing a memory
//! costs time, never data.

use std::sync::Arc;

use crate::domain::digest::Digest;
use crate::domain::id::{CommandId, OrganizationId};
use crate::log::record::{Offset, Partition};
use crate::log::snapshot::PartitionSnapshot;

/// Snapshots and old command ids of the partitions of one ledger.
pub trait Memory: Send + Sync {
    /// The state of a partition at some position, to go on from. `None` when there is none, or none that can
    /// be trusted: the log is then read from its beginning.
    fn restore(&self, partition: Partition) -> Option<PartitionSnapshot>;

    /// The acknowledged outcome of a command, if it is among the records before [`Memory::covered`].
    ///
    /// # Errors
    /// When the store cannot be read; the writer then decides nothing.
    fn outcome_of(&self, organization: &OrganizationId, command: CommandId) -> Result<Option<Known>, MemoryError>;

    /// Every outcome of the partition before this offset is found by [`Memory::outcome_of`]. Never goes back while
    /// the process lives, and is never before the position that [`Memory::restore`] gave.
    fn covered(&self, partition: Partition) -> Offset;
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
    fn restore(&self, _: Partition) -> Option<PartitionSnapshot> {
        None
    }

    fn outcome_of(&self, _: &OrganizationId, _: CommandId) -> Result<Option<Known>, MemoryError> {
        Ok(None)
    }

    fn covered(&self, _: Partition) -> Offset {
        Offset(0)
    }
}
