//! What an IPAM sees (designs D16, D18), at any moment: facts of accounts in its reach and regions that
//! it operates in lie in its default scopes.
//!
//! The rule is `domain::authority`'s, told by instants: the owner alone, if it has the service-linked
//! role; where the owner is the IPAM administrator, every account that has it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::domain::event::Event;
use crate::domain::id::{AccountId, IpamId, OrganizationId, Region};
use crate::domain::time::Timestamp;
use crate::views::keys::{Key, KeyReader};
use crate::views::lineage::keys::{self, Space};
use crate::views::lineage::rows::{self, ScopeRow};
use crate::views::lineage::spans::Writer;
use crate::views::stored::{self, Stored, stored_struct};
use crate::views::table::{Rows, TableError};
use crate::views::when::Window;

#[derive(Clone, Debug, PartialEq)]
struct IpamRow {
    owner: AccountId,
    regions: Vec<Region>,
    /// False once it is deleted.
    exists: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct OrganizationRow {
    management: Option<AccountId>,
    administrator: Option<AccountId>,
    /// When IPAM last delegated: every member of then but the management account has the role since.
    delegated_at: Option<Timestamp>,
    /// Delegated administrator through Organizations alone.
    registered: Option<AccountId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MemberRow {
    member: bool,
    joined: Timestamp,
    /// It has the role whoever was delegated later.
    role: bool,
}

stored_struct!(IpamRow { owner, regions, exists });
stored_struct!(OrganizationRow { management, administrator, delegated_at, registered });
stored_struct!(MemberRow { member, joined, role });

impl MemberRow {
    fn has_role(&self, account: AccountId, organization: &OrganizationRow) -> bool {
        let delegated = organization.delegated_at.is_some_and(|at| at >= self.joined);
        self.member && (self.role || delegated && organization.management != Some(account))
    }
}

/// Folds what reach and scopes depend on.
pub fn fold(writer: &mut Writer<'_>, event: &Event) -> Result<(), TableError> {
    let organization = writer.organization;
    let at = writer.now.decided_at;
    match event {
        Event::OrganizationCreated(event) => {
            organization_changed(writer, |row| row.management = Some(event.management_account))?;
            put_member(writer, event.management_account, MemberRow { member: true, joined: at, role: false });
        }
        Event::AccountAdded(event) => {
            let role = organization_at(writer.table, organization, at)?.administrator.is_some();
            put_member(writer, event.account, MemberRow { member: true, joined: at, role });
        }
        Event::AccountRemoved(event) => {
            put_member(writer, event.account, MemberRow { member: false, joined: at, role: false });
        }
        Event::AdminDelegated(event) => organization_changed(writer, |row| {
            (row.administrator, row.delegated_at, row.registered) = (Some(event.account), Some(at), None);
        })?,
        Event::AdminRevoked(_) => organization_changed(writer, |row| row.administrator = None)?,
        Event::DelegatedAdministratorRegistered(event) => {
            organization_changed(writer, |row| row.registered = Some(event.account))?;
        }
        Event::DelegatedAdministratorDeregistered(event) => {
            organization_changed(writer, |row| row.registered = None)?;
            if owns_ipam(writer, event.account)? {
                grant_role(writer, event.account)?;
            }
        }
        Event::IpamCreated(event) => {
            let row = IpamRow { owner: event.owner, regions: event.operating_regions.clone(), exists: true };
            rows::put(writer.table, keys::ipam(organization, event.ipam).instant_descending(at), &row);
            if organization_at(writer.table, organization, at)?.registered != Some(event.owner) {
                grant_role(writer, event.owner)?;
            }
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

fn organization_at(
    rows: &dyn Rows,
    organization: &OrganizationId,
    at: Timestamp,
) -> Result<OrganizationRow, TableError> {
    Ok(latest(rows, &keys::administrator(organization), at)?.unwrap_or_default())
}

fn organization_changed(writer: &mut Writer<'_>, change: impl FnOnce(&mut OrganizationRow)) -> Result<(), TableError> {
    let at = writer.now.decided_at;
    let mut row = organization_at(writer.table, writer.organization, at)?;
    change(&mut row);
    rows::put(writer.table, keys::administrator(writer.organization).instant_descending(at), &row);
    Ok(())
}

fn put_member(writer: &mut Writer<'_>, account: AccountId, row: MemberRow) {
    let key = keys::member(writer.organization, account).instant_descending(writer.now.decided_at);
    rows::put(writer.table, key, &row);
}

fn grant_role(writer: &mut Writer<'_>, account: AccountId) -> Result<(), TableError> {
    let at = writer.now.decided_at;
    let before = latest::<MemberRow>(writer.table, &keys::member(writer.organization, account), at)?;
    let joined = before.filter(|row| row.member).map_or(at, |row| row.joined);
    put_member(writer, account, MemberRow { member: true, joined, role: true });
    Ok(())
}

fn owns_ipam(writer: &Writer<'_>, account: AccountId) -> Result<bool, TableError> {
    let prefix = keys::ipams(writer.organization);
    let (mut last, mut owns) = (None, false);
    rows::walk(writer.table, &prefix, &prefix, |part, value| {
        let ipam = KeyReader::behind(part).bits();
        // The first row of each IPAM is its latest.
        if last.replace(ipam) != Some(ipam) {
            let row: IpamRow = stored::from_bytes(value)?;
            owns |= row.exists && row.owner == account;
        }
        Ok(if owns { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(owns)
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
    let state = organization_at(rows, organization, at)?;
    let has_role = |account| -> Result<bool, TableError> {
        let member = latest::<MemberRow>(rows, &keys::member(organization, account), at)?;
        Ok(member.is_some_and(|member| member.has_role(account, &state)))
    };
    Ok(if row.owner == account {
        has_role(account)?
    } else {
        state.administrator == Some(row.owner) && has_role(row.owner)? && has_role(account)?
    })
}

/// Instants in a time at which what an IPAM sees of some accounts may change.
pub fn turns(
    rows: &dyn Rows,
    organization: &OrganizationId,
    ipam: IpamId,
    accounts: &BTreeSet<AccountId>,
    window: Window,
) -> Result<Vec<Timestamp>, TableError> {
    let last = window.until.plus_micros(-1);
    let owner = latest::<IpamRow>(rows, &keys::ipam(organization, ipam), last)?.map(|row| row.owner);
    let members = accounts.iter().copied().chain(owner).map(|account| keys::member(organization, account));
    let mut turns = Vec::new();
    for key in [keys::ipam(organization, ipam), keys::administrator(organization)].into_iter().chain(members) {
        rows::walk(rows, &key, &key.clone().instant_descending(last), |part, _| {
            let at = KeyReader::behind(part).instant_descending().ok_or_else(|| rows::damaged("an instant's key"))?;
            turns.push(at);
            Ok(if at > window.from { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
    }
    Ok(turns)
}

/// The latest row at or before an instant.
fn latest<T: Stored>(rows: &dyn Rows, key: &Key, at: Timestamp) -> Result<Option<T>, TableError> {
    let mut found = None;
    rows::walk(rows, key, &key.clone().instant_descending(at), |_, value| {
        found = Some(stored::from_bytes(value)?);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}
