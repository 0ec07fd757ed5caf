//! The domain's own state as rows: what a writer starts from (design D10), and in memory what answers
//! previews and counts. Folded with the domain's own `apply`; nothing here knows a rule.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::keys::Key;
use super::kinds;
use super::outcomes::{from_json, json};
use super::table::{Rows, Table, TableError};
use crate::domain::digest::Digest;
use crate::domain::id::{CommandId, OrganizationId};
use crate::domain::outcome::Outcome;
use crate::domain::{Row, RowKey, State, apply_outcome};
use crate::log::admission::Admission;

/// The state of a partition at the position `admission.next`: what its writer goes on from.
#[derive(Debug)]
pub struct Restored {
    pub admission: Admission,
    pub organizations: Vec<RestoredOrganization>,
    /// The greatest UUIDv7 among the ids of commands decided before the position.
    pub newest_command: Option<CommandId>,
}

/// One organisation of a snapshot.
#[derive(Debug)]
pub struct RestoredOrganization {
    pub id: OrganizationId,
    pub rows: Vec<Row>,
    /// The SHA-256 of the value of its last outcome.
    pub chain: Digest,
}

/// The states in memory, loaded when first needed. The projector folds into them; previews read them.
///
/// Invariant: a state in here is what the rows say, plus what the fold under way has added. An organisation
/// that is not in here has nothing under way, so loading its committed rows is loading all there is.
#[derive(Debug, Default)]
pub struct States(Mutex<BTreeMap<OrganizationId, State>>);

impl States {
    /// Calls `use_it` with the state of an organisation, loaded from `rows` where it is not in memory yet.
    pub(super) fn with<T>(
        &self,
        rows: impl FnOnce() -> Result<Vec<Row>, TableError>,
        organization: &OrganizationId,
        use_it: impl FnOnce(&mut State) -> T,
    ) -> Result<T, TableError> {
        let mut states = self.lock();
        let state = match states.entry(organization.clone()) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let mut state = State::restore(organization.clone(), rows()?);
                state.track_rows();
                entry.insert(state)
            }
        };
        Ok(use_it(state))
    }

    /// Forgets all: what was under way will not be committed.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<OrganizationId, State>> {
        // Whoever panicked while folding, the projector clears what it left.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows that changed in memory and are written once a batch.
#[derive(Debug, Default)]
pub(super) struct Dirty(BTreeMap<OrganizationId, BTreeSet<RowKey>>);

impl Dirty {
    pub fn add(&mut self, organization: &OrganizationId, keys: &[RowKey]) {
        if !self.0.contains_key(organization) {
            self.0.insert(organization.clone(), BTreeSet::new());
        }
        if let Some(dirty) = self.0.get_mut(organization) {
            dirty.extend(keys.iter().cloned());
        }
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Writes the rows as they stand now.
    pub fn write(&mut self, states: &States, table: &mut dyn Table) -> Result<(), TableError> {
        for (organization, keys) in std::mem::take(&mut self.0) {
            let rows = states.with(
                || load(table, &organization),
                &organization,
                |state| keys.into_iter().map(|key| (row_key(&organization, &key), state.row(&key))).collect::<Vec<_>>(),
            )?;
            for (key, row) in rows {
                match row {
                    Some(row) => table.put(key, json(&row)),
                    None => table.delete(key),
                }
            }
        }
        Ok(())
    }
}

/// Folds one outcome; the rows it touched.
pub(super) fn fold(
    states: &States,
    dirty: &mut Dirty,
    table: &dyn Table,
    outcome: &Outcome,
) -> Result<Vec<RowKey>, TableError> {
    let touched = states.with(
        || load(table, &outcome.organization),
        &outcome.organization,
        |state| {
            apply_outcome(state, outcome);
            state.take_touched()
        },
    )?;
    dirty.add(&outcome.organization, &touched);
    Ok(touched)
}

/// All rows of an organisation's state.
pub(super) fn load<R: Rows + ?Sized>(rows: &R, organization: &OrganizationId) -> Result<Vec<Row>, TableError> {
    let prefix = Key::of(kinds::STATE, organization);
    let mut loaded = Vec::new();
    let mut failed = None;
    rows.scan(prefix.bytes(), &prefix.end(), &mut |_, value| match from_json(value) {
        Ok(row) => {
            loaded.push(row);
            ControlFlow::Continue(())
        }
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failed.map_or(Ok(loaded), Err)
}

fn row_key(organization: &OrganizationId, key: &RowKey) -> Vec<u8> {
    let base = Key::of(kinds::STATE, organization);
    match key {
        RowKey::Organization => base.byte(1),
        RowKey::Ipam(id) => base.byte(2).bits(id.bits()),
        RowKey::Scope(id) => base.byte(3).bits(id.bits()),
        RowKey::Pool(id) => base.byte(4).bits(id.bits()),
        RowKey::Allocation(id) => base.byte(5).bits(id.bits()),
        RowKey::Resource(name) => base.byte(6).text(name.kind.as_str()).text(&name.id),
    }
    .into_bytes()
}
