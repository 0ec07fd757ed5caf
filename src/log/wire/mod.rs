//! Bytes: how commands are read and outcomes are written and read. JSON throughout, so that any
//! language can take part; the schemas are in `schemas/`.
//!
//! Whether a command makes sense is `domain`'s question. Invariant: what names a command, an organisation
//! and an account is answered on record, however wrong the rest of it is; what does not is a dead letter.

mod command;
mod json;
#[cfg(test)]
mod tests;
mod typed;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::command::{Command, CommandBody, Principal};
use crate::domain::digest::Digest;
use crate::domain::id::{CommandId, OrganizationId, Revision};
use crate::domain::outcome::{Outcome, SCHEMA_VERSION};
use crate::domain::rejection::Rejection;
use crate::log::RECORD_BYTES_MAX;

pub use command::decode_command;

/// A command has at most so many bytes: what the command topic takes as one record, whatever the way in.
pub const COMMAND_BYTES_MAX: usize = RECORD_BYTES_MAX;
/// Objects and lists in a command lie at most so deep in one another, the command itself counted. `serde_json`'s bound.
pub const COMMAND_NESTING_MAX: usize = 127;

/// Room for most outcomes: what is made larger later is copied.
const OUTCOME_BYTES_USUAL: usize = 1_024;

/// A command as it is sent: the value of a record on `ipam.commands`, and the body of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Command", extend("unevaluatedProperties" = false))]
pub struct CommandRequest {
    /// The version of this format.
    #[serde(default = "current_schema")]
    #[schemars(extend("const" = SCHEMA_VERSION))]
    pub schema: u16,
    /// Good for one command, for ever: the same id with the same content has one effect. UUIDv7 is best.
    pub command_id: CommandId,
    pub organization: OrganizationId,
    pub principal: Principal,
    /// Accept only if the object that the command names has not changed after this revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_revision: Option<Revision>,
    /// Why, for people who ask later. At most 1,024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(flatten)]
    pub body: CommandBody,
}

const fn current_schema() -> u16 {
    SCHEMA_VERSION
}

impl CommandRequest {
    /// A command without `if_revision` and `reason`.
    #[must_use]
    pub fn new(id: CommandId, organization: OrganizationId, principal: Principal, body: CommandBody) -> Self {
        Self { schema: SCHEMA_VERSION, command_id: id, organization, principal, if_revision: None, reason: None, body }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a command holds nothing that JSON cannot")
    }
}

/// A command as it was read: its sender can be answered, whatever the payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    pub id: CommandId,
    pub organization: OrganizationId,
    pub principal: Principal,
    pub reason: Option<String>,
    /// The type as it was sent, at most 64 characters of it.
    pub type_name: String,
    pub digest: Digest,
}

/// What bytes on the command topic are.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded {
    Command(Box<Command>),
    /// Its sender is known and gets this rejection on record.
    Malformed(Box<Envelope>, Box<Rejection>),
}

/// The bytes name no organisation and command that could be answered: for the dead-letter topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Undecodable(pub String);

/// An outcome that this program cannot read: written by a newer one, or damaged.
#[derive(Debug, thiserror::Error)]
pub enum OutcomeError {
    #[error("the record has schema {found}; this program reads {SCHEMA_VERSION}")]
    Schema { found: u16 },
    #[error("the record cannot be read")]
    Json(#[from] serde_json::Error),
}

/// The bytes of an outcome: what is hashed, stored and answered.
///
/// # Panics
/// Never: an outcome holds nothing that JSON cannot.
#[must_use]
pub fn encode_outcome(outcome: &Outcome) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(OUTCOME_BYTES_USUAL);
    serde_json::to_writer(&mut bytes, outcome).expect("an outcome holds nothing that JSON cannot");
    bytes
}

/// Reads an outcome.
///
/// # Errors
/// When the record is of another schema or cannot be read: an admitted record that cannot be read stops the fold.
pub fn decode_outcome(bytes: &[u8]) -> Result<Outcome, OutcomeError> {
    #[derive(Deserialize)]
    struct Version {
        schema: u16,
    }
    // Whether it is UTF-8 is seen faster of all at once than of each text; what is none gets the error that says where.
    let read = str::from_utf8(bytes).map_or_else(|_| serde_json::from_slice::<Outcome>(bytes), serde_json::from_str);
    match read {
        Ok(outcome) if outcome.schema == SCHEMA_VERSION => Ok(outcome),
        Ok(outcome) => Err(OutcomeError::Schema { found: outcome.schema }),
        Err(error) => Err(match serde_json::from_slice::<Version>(bytes) {
            Ok(Version { schema }) if schema != SCHEMA_VERSION => OutcomeError::Schema { found: schema },
            _ => OutcomeError::Json(error),
        }),
    }
}
