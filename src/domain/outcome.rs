//! The answer to one command: accepted with its events, or rejected with its reason.
//!
//! One outcome is one record of the log. It is the reply and the truth at once (design D3), so a command
//! is atomic by construction and an auditor sees what was refused, too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::Principal;
use super::digest::Digest;
use super::event::Event;
use super::id::{CommandId, OrganizationId, Revision};
use super::rejection::Rejection;
use super::time::Timestamp;

/// The version of the record format that this program writes.
pub const SCHEMA_VERSION: u16 = 1;

/// The value of an outcome record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The version of this format.
    pub schema: u16,
    pub organization: OrganizationId,
    /// Absent when the organisation does not exist: such a rejection is no part of any history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    pub command_id: CommandId,
    /// The command's type, as it was sent.
    #[serde(rename = "type")]
    pub command_type: String,
    /// SHA-256 of the canonical JSON (RFC 8785) of the command's organisation, principal, type and payload.
    pub digest: Digest,
    pub principal: Principal,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was decided, to the microsecond; later than every earlier outcome of the organisation.
    pub decided_at: Timestamp,
    /// SHA-256 of the value of the organisation's previous outcome; absent in its first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    pub decision: Decision,
}

/// Accepted or rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The events, in order. None when everything was already so.
    Accepted(Vec<Event>),
    Rejected(Box<Rejection>),
}

/// When something became true in the ledger: the outcome it came with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Moment {
    pub revision: Revision,
    pub decided_at: Timestamp,
}

impl Outcome {
    /// The events; none when the command was rejected.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        match &self.decision {
            Decision::Accepted(events) => events,
            Decision::Rejected(_) => &[],
        }
    }

    /// Where in its organisation's history this stands; `None` for a rejection that is no part of any.
    #[must_use]
    pub fn moment(&self) -> Option<Moment> {
        self.revision.map(|revision| Moment { revision, decided_at: self.decided_at })
    }
}
