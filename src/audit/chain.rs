//! One organisation's history as a chain: revisions without gaps, time that moves on, each record naming
//! the hash of the one before, no command decided twice.

use std::collections::HashMap;

use crate::domain::digest::Digest;
use crate::domain::id::{CommandId, Revision};
use crate::domain::outcome::{Moment, Outcome};

#[derive(Debug, Default)]
pub(super) struct Chain {
    last: Option<(Moment, Digest)>,
    /// Which revision decided a command. Looked up, never listed.
    decided: HashMap<CommandId, Revision>,
}

impl Chain {
    /// Adds the next record, or says how it breaks the chain.
    pub(super) fn add(&mut self, moment: Moment, outcome: &Outcome, value: &[u8]) -> Result<(), String> {
        let expected = self.last.map_or(Revision(1), |(last, _)| last.revision.next());
        if moment.revision != expected {
            return Err(format!("it is revision {}; revision {expected} comes next", moment.revision));
        }
        let previous = self.last.map(|(_, hash)| hash);
        if outcome.previous != previous {
            let show = |hash: Option<Digest>| hash.map_or("none".to_owned(), |hash| hash.to_string());
            return Err(format!(
                "it names {} as the hash of the record before; that record's hash is {}: a record was changed, dropped or exchanged",
                show(outcome.previous),
                show(previous)
            ));
        }
        if let Some((last, _)) = self.last
            && moment.decided_at <= last.decided_at
        {
            return Err(format!(
                "it was decided at {}, not after {}, the one before",
                moment.decided_at, last.decided_at
            ));
        }
        if let Some(first) = self.decided.insert(outcome.command_id, moment.revision) {
            return Err(format!("it decides command {} again; revision {first} decided it", outcome.command_id));
        }
        self.last = Some((moment, Digest::of(value)));
        Ok(())
    }

    /// The last record's revision and hash: what a later audit can be held against.
    pub(super) fn head(&self) -> Option<(Revision, Digest)> {
        self.last.map(|(moment, hash)| (moment.revision, hash))
    }
}
