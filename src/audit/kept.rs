//! Commands that somebody kept: their digests are held against those on record.
//!
//! A record does not hold the payload that was sent, so only whoever kept a command can tell that the record answers
//! that very command. This is what a digest proves.

use std::collections::HashMap;

use crate::domain::digest::Digest;
use crate::domain::id::{CommandId, OrganizationId};
use crate::domain::outcome::Outcome;
use crate::log::wire::{Decoded, Undecodable, decode_command};

/// Digests of commands by organisation and id. Looked up, never listed. An id that was used again for something else has
/// several: the first that came was decided, the others were refused without a record.
#[derive(Debug, Default)]
pub struct Kept(HashMap<(OrganizationId, CommandId), Vec<Digest>>);

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
        self.0.entry((organization, id)).or_default().push(digest);
        Ok(())
    }

    pub fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Whether the command that this outcome says it answers is one that was kept; `None` when none of its id was.
    pub(super) fn answered_by(&self, outcome: &Outcome) -> Option<Result<(), String>> {
        if self.0.is_empty() {
            return None;
        }
        let kept = self.0.get(&(outcome.organization.clone(), outcome.command_id))?;
        if kept.contains(&outcome.digest) {
            return Some(Ok(()));
        }
        let kept = kept.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        let digest = outcome.digest;
        Some(Err(format!("it says that it answers a command with digest {digest}; the one that was kept has {kept}")))
    }
}
