//! One organisation's history as a chain: revisions without gaps, time that moves on, each record naming
//! the hash of the one before, no command decided twice.

use std::collections::HashMap;

use super::complaint::Complaint;
use super::report::Place;
use crate::domain::digest::Digest;
use crate::domain::id::{CommandId, Revision};
use crate::domain::outcome::{Moment, Outcome};

#[derive(Debug, Default)]
pub(super) struct Chain {
    last: Option<Last>,
    /// Which revision decided a command. Looked up, never listed.
    decided: HashMap<CommandId, Revision>,
}

/// The last record of a sound chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    pub moment: Moment,
    pub hash: Digest,
    pub place: Place,
}

impl Chain {
    /// Adds the next record, or says how it breaks the chain; then nothing is added. What is `trusted` is held
    /// against its neighbours' hashes only.
    pub(super) fn add(
        &mut self,
        moment: Moment,
        outcome: &Outcome,
        hash: Digest,
        place: Place,
        trusted: bool,
    ) -> Result<(), Complaint> {
        let expected = self.last.map_or(Revision(1), |last| last.moment.revision.next());
        if moment.revision != expected {
            return Err(Complaint::Revision { expected });
        }
        if outcome.previous != self.last.map(|last| last.hash) {
            return Err(Complaint::Previous);
        }
        let first = self.decided.insert(outcome.command_id, moment.revision);
        if !trusted {
            if let Some(last) = self.last
                && moment.decided_at <= last.moment.decided_at
            {
                let (now, before) = (moment.decided_at, last.moment.decided_at);
                return Err(Complaint::Rule(format!("it was decided at {now}, not after {before}, the one before")));
            }
            if let Some(first) = first {
                return Err(Complaint::DecidedAgain { first });
            }
        }
        self.last = Some(Last { moment, hash, place });
        Ok(())
    }

    pub(super) fn last(&self) -> Option<Last> {
        self.last
    }
}
