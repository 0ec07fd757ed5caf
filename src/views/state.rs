//! The domain's own state as rows: what a writer starts from (design D10), and in memory what answers
//! previews and counts. Folded with the domain's own `apply`; nothing here knows a rule.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::keys::Key;
use super::kinds;
use super::stored;
use super::table::{Rows, Table, TableError};
use crate::domain::id::OrganizationId;
use crate::domain::{Row, RowKey, State};

/// The states in memory, loaded when first needed. The projector folds into them; previews read them.
///
/// Invariant: a state in here is what the rows say, plus what the fold under way has added. An organisation
/// that is not in here has nothing under way, so loading its committed rows is loading all there is.
#[derive(Debug, Default)]
pub struct States(Mutex<BTreeMap<OrganizationId, State>>);

impl States {
    /// Loads the state of an organisation from `rows` where it is not in memory yet.
    pub(super) fn ensure(&self, rows: &dyn Rows, organization: &OrganizationId) -> Result<(), TableError> {
        let mut states = self.lock();
        if !states.contains_key(organization) {
            let mut state = State::restore(organization.clone(), load(rows, organization)?);
            state.track_rows();
            states.insert(organization.clone(), state);
        }
        Ok(())
    }

    /// Calls `use_it` with a state that is in memory.
    pub(super) fn with<T>(
        &self,
        organization: &OrganizationId,
        use_it: impl FnOnce(&mut State) -> T,
    ) -> Result<T, TableError> {
        let mut states = self.lock();
        let state = states.get_mut(organization);
        state.map(use_it).ok_or_else(|| TableError(format!("the state of {organization} is not loaded")))
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
            let rows = states.with(&organization, |state| {
                keys.into_iter().map(|key| (row_key(&organization, &key), state.row(&key))).collect::<Vec<_>>()
            })?;
            for (key, row) in rows {
                match row {
                    Some(row) => table.put(key, stored::to_bytes(&row)),
                    None => table.delete(key),
                }
            }
        }
        Ok(())
    }
}

/// All rows of an organisation's state.
pub(super) fn load(rows: &dyn Rows, organization: &OrganizationId) -> Result<Vec<Row>, TableError> {
    let prefix = Key::of(kinds::STATE, organization);
    let mut loaded = Vec::new();
    let mut failed = None;
    rows.scan(prefix.bytes(), &prefix.end(), &mut |_, value| match stored::from_bytes(value) {
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
