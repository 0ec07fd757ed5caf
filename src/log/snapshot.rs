//! A partition folded up to a position: what a writer can go on from without reading the log from its beginning
//! (design D10). Views give it and the processor takes it; neither knows the other. Losing one costs time, never data.

use super::admission::Admission;
use crate::domain::Row;
use crate::domain::digest::Digest;
use crate::domain::id::{CommandId, OrganizationId};

/// The state of a partition at the position `admission.next`.
#[derive(Debug)]
pub struct PartitionSnapshot {
    pub admission: Admission,
    pub organizations: Vec<OrganizationSnapshot>,
    /// The greatest UUIDv7 among the ids of commands whose outcomes are before the position: newer ones need no
    /// look-up (design D8). `Uuid::max()` when it is not known, `None` when there is none.
    pub newest_command: Option<CommandId>,
}

/// One organisation of it.
#[derive(Debug)]
pub struct OrganizationSnapshot {
    pub id: OrganizationId,
    pub rows: Vec<Row>,
    /// The SHA-256 of the value of its last outcome.
    pub chain: Digest,
}
