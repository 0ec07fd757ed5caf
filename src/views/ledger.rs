//! The ledger view: outcomes, the domain's state, and its objects at every revision, in one column family
//! with one position, so that no crash can tear them apart (design D10, D11).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::keys::organization_end;
use super::kinds;
use super::objects::{self, Usages};
use super::outcomes::Ends;
use super::state::{Dirty, States};
use super::table::{Table, TableError};
use super::view::{Admitted, Prefix, Prefixes, View};
use crate::domain::apply_outcome;
use crate::planted::{Bug, planted};

/// The name of the column family. The number is the version of the rows.
pub const LEDGER: &str = "ledger-2";

/// The fold of outcomes, states and objects.
#[derive(Debug)]
pub struct LedgerView {
    states: Arc<States>,
    ends: Ends,
    dirty: Dirty,
    usages: Usages,
}

impl LedgerView {
    /// A view that keeps the states that it folds into in `states`.
    #[must_use]
    pub fn new(states: Arc<States>) -> Self {
        Self { states, ends: Ends::default(), dirty: Dirty::default(), usages: Usages::default() }
    }
}

impl View for LedgerView {
    fn name(&self) -> &'static str {
        LEDGER
    }

    fn prefixes(&self) -> Option<Prefixes> {
        Some(Prefixes::of::<Object>())
    }

    fn fold(&mut self, table: &mut dyn Table, admitted: &Admitted<'_>) -> Result<(), TableError> {
        self.ends.fold(table, admitted)?;
        let outcome = admitted.outcome;
        if outcome.moment().is_none() {
            return Ok(());
        }
        self.states.ensure(table, &outcome.organization)?;
        let (usages, dirty) = (&mut self.usages, &mut self.dirty);
        self.states.with(&outcome.organization, |state| {
            let mut counted: BTreeSet<_> = objects::pools_before(state, outcome);
            apply_outcome(state, outcome);
            let touched = state.take_touched();
            let mut reblocked = state.take_reblocked();
            if !planted(Bug::FreeSpaceStale) {
                counted.append(&mut reblocked);
            }
            dirty.add(&outcome.organization, &touched);
            objects::fold(usages, table, state, outcome, &touched, counted)
        })?
    }

    fn finish(&mut self, table: &mut dyn Table) -> Result<(), TableError> {
        self.ends.write(table)?;
        self.dirty.write(&self.states, table)
    }

    fn reset(&mut self) {
        self.states.clear();
        self.ends.clear();
        self.dirty.clear();
        self.usages.clear();
    }
}

/// Rows of one object, or of one pool's counters: queries seek the newest of them as of a revision.
struct Object;

impl Prefix for Object {
    fn length(key: &[u8]) -> Option<usize> {
        let behind_organization = match *key.first()? {
            kinds::OBJECT => 1 + size_of::<u128>(),
            kinds::USAGE => size_of::<u128>(),
            _ => return None,
        };
        Some(organization_end(key)? + behind_organization)
    }
}
