//! Bytes: how commands are read and outcomes are written and read. JSON throughout, so that any
//! language can take part; the schemas are in `schemas/`.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::command::{Command, CommandBody, Principal};
use crate::domain::digest::Digest;
use crate::domain::id::{CommandId, OrganizationId, Revision};
use crate::domain::outcome::{Outcome, SCHEMA_VERSION};
use crate::domain::rejection::{Code, Rejection};

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

/// A command's JSON, payload unread. Unknown fields are refused by name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent<'a> {
    #[serde(default = "current_schema")]
    schema: u16,
    command_id: CommandId,
    organization: OrganizationId,
    principal: Principal,
    #[serde(default)]
    if_revision: Option<Revision>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(rename = "type")]
    type_name: String,
    #[serde(borrow)]
    payload: &'a RawValue,
}

fn current_schema() -> u16 {
    SCHEMA_VERSION
}

/// Reads a command.
///
/// # Errors
/// When the bytes cannot be attributed to a command of an organisation.
pub fn decode_command(bytes: &[u8]) -> Result<Decoded, Undecodable> {
    let _ = (bytes, Code::MalformedCommand);
    todo!("the schemas room fills this in")
}

/// The bytes of an outcome: what is hashed, stored and answered.
///
/// # Panics
/// Never: an outcome holds nothing that JSON cannot.
#[must_use]
pub fn encode_outcome(outcome: &Outcome) -> Vec<u8> {
    serde_json::to_vec(outcome).expect("an outcome holds nothing that JSON cannot")
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
    match serde_json::from_slice::<Outcome>(bytes) {
        Ok(outcome) if outcome.schema == SCHEMA_VERSION => Ok(outcome),
        Ok(outcome) => Err(OutcomeError::Schema { found: outcome.schema }),
        Err(error) => Err(match serde_json::from_slice::<Version>(bytes) {
            Ok(Version { schema }) if schema != SCHEMA_VERSION => OutcomeError::Schema { found: schema },
            _ => OutcomeError::Json(error),
        }),
    }
}
