//! The views as the writers' memory: snapshots and old command ids (design D8, D10). Neither room knows the other.

use crate::domain::id::{CommandId, OrganizationId};
use crate::log::record::{Offset, Partition};
use crate::log::snapshot::PartitionSnapshot;
use crate::processor::memory::{Known, Memory, MemoryError};
use crate::views::Views;

#[derive(Debug)]
pub(super) struct ViewsMemory(pub Views);

impl Memory for ViewsMemory {
    fn restore(&self, partition: Partition) -> Option<PartitionSnapshot> {
        self.0.restore(partition).unwrap_or_else(|error| {
            tracing::warn!(%partition, %error, "the snapshot cannot be read; the log is read from its beginning");
            None
        })
    }

    fn outcome_of(&self, organization: &OrganizationId, command: CommandId) -> Result<Option<Known>, MemoryError> {
        let outcome = self.0.outcome(organization, command).map_err(|error| MemoryError(error.to_string()))?;
        Ok(outcome.map(|outcome| Known { offset: outcome.offset, digest: outcome.digest, value: outcome.value }))
    }

    fn covered(&self, partition: Partition) -> Offset {
        // What cannot be read is not covered: ids then stay in the writer's memory.
        self.0.covered(partition).unwrap_or_default()
    }
}
