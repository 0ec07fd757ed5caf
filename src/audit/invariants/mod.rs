//! The core invariants, checked on plain maps built from the events alone.
//!
//! Deliberately written apart from `domain`: blocks are pairs of numbers, pools are maps from first
//! address to last, and every event is checked against its neighbours. An event that no fold of correct
//! decisions can contain is reported with the name of the invariant it breaks (spec §2).
//!
//! What needs more than one organisation's decisions, such as whether space handed out was observed in use, is not
//! judged here.

mod administration;
mod disjoint;
mod rules;
mod space;

use administration::Administration;
use space::Space;

use crate::domain::event::Event;
use crate::domain::id::OrganizationId;

/// What an organisation may contain, as far as its events say.
#[derive(Debug)]
pub(super) struct Invariants {
    administration: Administration,
    space: Space,
}

impl Invariants {
    pub(super) fn new(organization: &OrganizationId) -> Self {
        Self { administration: Administration::new(organization), space: Space::default() }
    }

    /// Folds one event, or says which invariant it breaks.
    pub(super) fn add(&mut self, event: &Event) -> Checked {
        self.administration.add(event)?;
        self.space.add(event)
    }
}

type Checked = Result<(), String>;

fn ensure(holds: bool, invariant: &str, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(format!("{invariant} is broken: {}", what())) }
}
