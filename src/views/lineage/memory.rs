//! What the fold keeps in memory of each organisation: the few rows that nearly every outcome needs.
//!
//! Invariant: what is in here is what the rows say, plus what the fold under way has added. A summary is written once a
//! batch; pools and scopes are written when they change, and read once.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::keys::{self, Space};
use super::rows::{self, PoolRow, SummaryRow};
use crate::domain::id::{OrganizationId, PoolId, ScopeId};
use crate::views::table::{Rows, Table, TableError};

#[derive(Debug, Default)]
pub struct Memory {
    kept: BTreeMap<OrganizationId, Kept>,
    /// Whose summaries are not written yet.
    unwritten: BTreeSet<OrganizationId>,
}

/// What is kept of one organisation.
#[derive(Debug, Default)]
pub struct Kept {
    pub summary: SummaryRow,
    pools: BTreeMap<PoolId, PoolRow>,
    spaces: BTreeMap<ScopeId, Space>,
}

impl Memory {
    /// What is kept of an organisation that an outcome changes.
    pub fn of(&mut self, rows: &dyn Rows, organization: &OrganizationId) -> Result<&mut Kept, TableError> {
        self.unwritten.insert(organization.clone());
        match self.kept.entry(organization.clone()) {
            Entry::Occupied(kept) => Ok(kept.into_mut()),
            Entry::Vacant(unread) => {
                Ok(unread.insert(Kept { summary: rows::summary(rows, organization)?, ..Kept::default() }))
            }
        }
    }

    /// Writes the summaries that changed.
    pub fn write(&mut self, table: &mut dyn Table) {
        for organization in std::mem::take(&mut self.unwritten) {
            if let Some(kept) = self.kept.get(&organization) {
                rows::put(table, keys::summary(&organization), &kept.summary);
            }
        }
    }

    pub fn clear(&mut self) {
        self.kept.clear();
        self.unwritten.clear();
    }
}

impl Kept {
    pub fn pool(&mut self, rows: &dyn Rows, organization: &OrganizationId, id: PoolId) -> Result<PoolRow, TableError> {
        if let Some(pool) = self.pools.get(&id) {
            return Ok(pool.clone());
        }
        let pool: Option<PoolRow> = rows::get(rows, &keys::pool(organization, id))?;
        let pool = pool.ok_or_else(|| rows::damaged(&format!("{id} is missing")))?;
        self.pools.insert(id, pool.clone());
        Ok(pool)
    }

    pub fn put_pool(&mut self, table: &mut dyn Table, organization: &OrganizationId, id: PoolId, pool: PoolRow) {
        rows::put(table, keys::pool(organization, id), &pool);
        self.pools.insert(id, pool);
    }

    /// The space that parties of a scope lie in: it never changes.
    pub fn space(
        &mut self,
        rows: &dyn Rows,
        organization: &OrganizationId,
        scope: ScopeId,
    ) -> Result<Space, TableError> {
        if let Some(space) = self.spaces.get(&scope) {
            return Ok(*space);
        }
        let space = rows::space_of(rows, organization, scope)?;
        self.spaces.insert(scope, space);
        Ok(space)
    }
}
