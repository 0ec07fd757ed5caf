//! Commands that somebody kept: their digests are held against those on record.
//!
//! A record does not hold the payload that was sent, so only whoever kept a command can tell that the record answers
//! that very command. This is what a digest proves.

use std::collections::HashMap;

use crate::domain::digest::Digest;
use crate::domain::id::{CommandId, OrganizationId};
use crate::domain::outcome::Outcome;
use crate::log::wire::{Decoded, Undecodable, decode_command};

/// Digests of commands by organisation and id. Looked up, never listed.
#[derive(Debug, Default)]
pub struct Kept(HashMap<(OrganizationId, CommandId), Digest>);

impl Kept {
    /// Adds a command as it was sent.
    ///
    /// # Errors
    /// When it names no organisation and id.
    pub fn add(&mut self, command: &[u8]) -> Result<(), Undecodable> {
        let (organization, id, digest) = match decode_command(command)? {
            Decoded::Command(command) => (command.organization, command.id, command.digest),
            Decoded::Malformed(envelope, _) => (envelope.organization, envelope.id, envelope.digest),
        };
        self.0.insert((organization, id), digest);
        Ok(())
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The digest of the command that this outcome says it answers.
    pub(super) fn digest_of(&self, outcome: &Outcome) -> Option<Digest> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(outcome.organization.clone(), outcome.command_id)).copied()
    }
}
