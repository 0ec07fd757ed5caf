//! What an IPAM sees (designs D16, D18), at any moment: facts of accounts in its reach and regions that
//! it operates in lie in its default scopes.
//!
//! The owner alone; where the owner is the delegated administrator, every member account.

use std::ops::ControlFlow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::event::Event;
use crate::domain::id::{AccountId, IpamId, OrganizationId, Region, ScopeId};
use crate::domain::time::Timestamp;
use crate::views::keys::Key;
use crate::views::lineage::keys::{self, Space};
use crate::views::lineage::rows;
use crate::views::lineage::spans::Writer;
use crate::views::table::{Rows, TableError};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct IpamRow {
    owner: AccountId,
    regions: Vec<Region>,
    /// False once it is deleted.
    exists: bool,
}

/// A scope's IPAM and the space its facts lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeRow {
    pub ipam: IpamId,
    pub space: Space,
}

/// Folds what reach and scopes depend on.
pub fn fold(writer: &mut Writer<'_>, event: &Event) -> Result<(), TableError> {
    let organization = writer.organization;
    let at = writer.now.decided_at;
    let member = |account| keys::member(organization, account).instant_descending(at);
    let administrator = || keys::administrator(organization).instant_descending(at);
    match event {
        Event::OrganizationCreated(event) => rows::put(writer.table, member(event.management_account), &true),
        Event::AccountAdded(event) => rows::put(writer.table, member(event.account), &true),
        Event::AccountRemoved(event) => rows::put(writer.table, member(event.account), &false),
        Event::AdminDelegated(event) => rows::put(writer.table, administrator(), &Some(event.account)),
        Event::AdminRevoked(_) => rows::put(writer.table, administrator(), &None::<AccountId>),
        Event::IpamCreated(event) => {
            let row = IpamRow { owner: event.owner, regions: event.operating_regions.clone(), exists: true };
            rows::put(writer.table, keys::ipam(organization, event.ipam).instant_descending(at), &row);
            for (scope, space) in
                [(event.private_default_scope, Space::Private), (event.public_default_scope, Space::Public)]
            {
                rows::put(writer.table, keys::scope(organization, scope), &ScopeRow { ipam: event.ipam, space });
            }
        }
        Event::IpamModified(event) => ipam_changed(writer, event.ipam, |row| {
            row.regions.retain(|region| !event.removed_operating_regions.contains(region));
            row.regions.extend(event.added_operating_regions.iter().cloned());
        })?,
        Event::IpamDeleted(event) => ipam_changed(writer, event.ipam, |row| row.exists = false)?,
        Event::ScopeCreated(event) => {
            let row = ScopeRow { ipam: event.ipam, space: Space::Scope(event.scope) };
            rows::put(writer.table, keys::scope(organization, event.scope), &row);
        }
        _ => {}
    }
    Ok(())
}

fn ipam_changed(writer: &mut Writer<'_>, ipam: IpamId, change: impl FnOnce(&mut IpamRow)) -> Result<(), TableError> {
    let key = keys::ipam(writer.organization, ipam);
    let at = writer.now.decided_at;
    let mut row: IpamRow =
        latest(writer.table, &key, at)?.ok_or_else(|| rows::damaged(&format!("{ipam} is missing")))?;
    change(&mut row);
    rows::put(writer.table, key.instant_descending(at), &row);
    Ok(())
}

/// A scope; `None` when there never was one of that id.
pub fn scope(rows: &dyn Rows, organization: &OrganizationId, scope: ScopeId) -> Result<Option<ScopeRow>, TableError> {
    rows::get(rows, &keys::scope(organization, scope))
}

/// The space that parties of a scope lie in.
pub fn space_of(rows: &dyn Rows, organization: &OrganizationId, id: ScopeId) -> Result<Space, TableError> {
    scope(rows, organization, id)?.map(|row| row.space).ok_or_else(|| rows::damaged(&format!("{id} is missing")))
}

/// Whether facts of this account and region were in an IPAM's default scopes at an instant.
pub fn reaches(
    rows: &dyn Rows,
    organization: &OrganizationId,
    ipam: IpamId,
    account: AccountId,
    region: &Region,
    at: Timestamp,
) -> Result<bool, TableError> {
    let Some(row) = latest::<IpamRow>(rows, &keys::ipam(organization, ipam), at)? else { return Ok(false) };
    if !row.exists || !row.regions.contains(region) {
        return Ok(false);
    }
    if row.owner == account {
        return Ok(true);
    }
    let administrator = latest::<Option<AccountId>>(rows, &keys::administrator(organization), at)?.flatten();
    Ok(administrator == Some(row.owner)
        && latest::<bool>(rows, &keys::member(organization, account), at)?.unwrap_or(false))
}

/// The latest row at or before an instant.
fn latest<T: DeserializeOwned>(rows: &dyn Rows, key: &Key, at: Timestamp) -> Result<Option<T>, TableError> {
    let mut found = None;
    rows::walk(rows, key, &key.clone().instant_descending(at), |_, value| {
        found = Some(rows::decode(value)?);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}
