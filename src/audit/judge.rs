//! Judges one organisation's outcomes as they come: chain, invariants, and that the fold accepts them.
//!
//! It says what does not fit; what that is evidence of, [`super::diagnosis`] says, which knows what comes after.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::chain::{Chain, Last};
use super::complaint::Complaint;
use super::invariants::Invariants;
use super::report::{Head, Place};
use crate::domain::digest::Digest;
use crate::domain::event::Event;
use crate::domain::id::{OrganizationId, Revision};
use crate::domain::outcome::{Decision, Outcome};
use crate::domain::{State, apply_outcome};

/// One organisation as the audit follows it.
#[derive(Debug)]
pub(super) struct Judge {
    chain: Chain,
    invariants: Invariants,
    state: State,
}

impl Judge {
    pub(super) fn new(organization: &OrganizationId) -> Self {
        Self {
            chain: Chain::default(),
            invariants: Invariants::new(organization),
            state: State::new(organization.clone()),
        }
    }

    /// Folds the next outcome. After a complaint this judge is finished: behind it nothing is certain.
    ///
    /// A `trusted` outcome, one before a checkpoint, is folded for the state it leaves: only its place in the chain is
    /// checked.
    pub(super) fn add(
        &mut self,
        outcome: &Outcome,
        hash: Digest,
        place: Place,
        trusted: bool,
    ) -> Result<(), Complaint> {
        let moment = outcome.moment().ok_or(Complaint::Unattached)?;
        self.chain.add(moment, outcome, hash, place, trusted)?;
        if !trusted && moment.revision == Revision(1) && matches!(outcome.decision, Decision::Rejected(_)) {
            let problem = "it is a rejection, and no history begins with one: the organisation was not there yet";
            return Err(Complaint::Rule(problem.to_owned()));
        }
        for event in outcome.events() {
            let checked = self.invariants.add(event).and_then(|()| self.withdraws_what_is_there(event));
            if !trusted {
                checked.map_err(Complaint::Rule)?;
            }
        }
        // The fold asserts what it relies on; a log that breaks it is a finding, not a crash of the auditor.
        let state = &mut self.state;
        catch_unwind(AssertUnwindSafe(|| apply_outcome(state, outcome)))
            .map_err(|panic| Complaint::Rule(format!("the fold does not accept it: {}", panic_text(&*panic))))
    }

    /// An observation is withdrawn by the revision that recorded it.
    fn withdraws_what_is_there(&self, event: &Event) -> Result<(), String> {
        let Event::ObservationRetracted(withdrawn) = event else { return Ok(()) };
        let resource = self.state.resources().find(withdrawn.kind, &withdrawn.id);
        let mut recorded = resource.into_iter().flat_map(|resource| &resource.observations);
        if recorded.any(|one| (one.observed_at, one.revision) == (withdrawn.observed_at, withdrawn.revision)) {
            return Ok(());
        }
        Err(format!(
            "it withdraws an observation of {} {} at {}, and revision {} recorded none",
            withdrawn.kind, withdrawn.id, withdrawn.observed_at, withdrawn.revision
        ))
    }

    pub(super) fn last(&self) -> Option<Last> {
        self.chain.last()
    }

    pub(super) fn head(&self) -> Option<Head> {
        self.last().map(|last| Head { revision: last.moment.revision, hash: last.hash })
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it stops without a word").to_owned()
}
