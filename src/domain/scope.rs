//! Scopes: one network's address space each (spec §1.3).
//!
//! Overlap is a matter within one scope and never between two (INV-S2). Invariant (INV-S1): an IPAM has one
//! public scope, its default one, and at least one private scope, a default one, too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ask::{Ask, Decided};
use super::authority;
use super::check;
use super::command::{self, Tags, Visibility};
use super::contents;
use super::event;
use super::id::{IpamId, Revision, ScopeId};
use super::outcome::Moment;
use super::quota::{self, Quota};
use super::rejection::{Code, Rejection};
use super::state::{RowKey, State};
use crate::planted::{Bug, planted};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scope {
    pub id: ScopeId,
    pub ipam: IpamId,
    pub visibility: Visibility,
    /// Made and deleted with its IPAM.
    pub is_default: bool,
    pub description: Option<String>,
    pub tags: Tags,
    /// The revision that created it.
    pub created_at: Revision,
    /// The revision that last changed it. Pools in it do not change it.
    pub changed_at: Revision,
}

#[derive(Debug, Default)]
pub struct Scopes {
    by_id: BTreeMap<ScopeId, Scope>,
}

impl Scopes {
    #[must_use]
    pub fn get(&self, id: ScopeId) -> Option<&Scope> {
        self.by_id.get(&id)
    }

    /// All scopes, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.by_id.values()
    }

    pub fn of_ipam(&self, ipam: IpamId) -> impl Iterator<Item = &Scope> {
        self.iter().filter(move |scope| scope.ipam == ipam)
    }

    pub(super) fn known_mut(&mut self, id: ScopeId) -> &mut Scope {
        self.by_id.get_mut(&id).expect("events name scopes that exist")
    }

    pub(super) fn insert(&mut self, scope: Scope) {
        self.by_id.insert(scope.id, scope);
    }

    pub(super) fn restore(&mut self, scope: Scope) {
        self.insert(scope);
    }

    pub(super) fn remove(&mut self, id: ScopeId) {
        self.by_id.remove(&id).expect("a deleted scope existed");
    }
}

/// Always a private one (INV-S1, W7).
pub(super) fn create(ask: &Ask<'_>, body: &command::CreateScope) -> Decided {
    let ipam = authority::owned_ipam(ask, body.ipam)?;
    check::description(body.description.as_deref())?;
    let tags = check::named_tags(body.name.as_deref(), &body.tags)?;
    let count = ask.state.scopes.of_ipam(ipam.id).count();
    quota::room_for_one(ask, Quota::ScopesPerIpam, count, ipam.id).map_err(|refused| refused.value("ipam", ipam.id))?;
    let scope = ScopeId::new(&ask.seed(), 0);
    Ok(vec![event::ScopeCreated { scope, ipam: ipam.id, description: body.description.clone(), tags }.into()])
}

pub(super) fn modify(ask: &Ask<'_>, body: &command::ModifyScope) -> Decided {
    let scope = authority::owned_scope(ask, body.scope)?;
    check::names_something(!body.description.is_unchanged(), "description")?;
    check::description_change(&body.description)?;
    let description = check::effective(&body.description, scope.description.as_ref());
    if description.is_unchanged() {
        return Ok(Vec::new());
    }
    Ok(vec![event::ScopeModified { scope: scope.id, description }.into()])
}

/// INV-S4.
pub(super) fn delete(ask: &Ask<'_>, body: &command::DeleteScope) -> Decided {
    let scope = authority::owned_scope(ask, body.scope)?;
    if scope.is_default {
        let message = format!("{} is a default scope of {}; it goes with its IPAM.", scope.id, scope.ipam);
        return Err(Rejection::new(Code::DefaultScope, "INV-S4: default scopes stay", message)
            .value("scope", scope.id)
            .value("ipam", scope.ipam)
            .try_instead("DeleteIpam", scope.ipam));
    }
    let pools = contents::pools_in(ask.state, scope.id);
    if pools.is_empty() {
        return Ok(vec![event::ScopeDeleted { scope: scope.id }.into()]);
    }
    let total = pools.len() as u64;
    let message = format!("{total} pool(s) are still in {}.", scope.id);
    Err(Rejection::new(Code::DependencyViolation, "INV-S4: a scope with pools stays", message)
        .value("scope", scope.id)
        .blocked_by(pools, total, format!("/v1/organizations/{}/pools?scope={}", ask.state.id, scope.id))
        .try_instead("DeletePool", "for each of them"))
}

pub(super) fn created(state: &mut State, moment: Moment, event: &event::ScopeCreated) {
    state.scopes.insert(Scope {
        id: event.scope,
        ipam: event.ipam,
        visibility: Visibility::Private,
        is_default: false,
        description: event.description.clone(),
        tags: event.tags.clone(),
        created_at: moment.revision,
        changed_at: moment.revision,
    });
    state.touch(RowKey::Scope(event.scope));
}

pub(super) fn modified(state: &mut State, moment: Moment, event: &event::ScopeModified) {
    let scope = state.scopes.known_mut(event.scope);
    if !planted(Bug::ScopeDescriptionKept) {
        scope.description = event.description.clone().applied_to(scope.description.take());
    }
    scope.changed_at = moment.revision;
    state.touch(RowKey::Scope(event.scope));
}

pub(super) fn deleted(state: &mut State, event: &event::ScopeDeleted) {
    state.scopes.remove(event.scope);
    state.touch(RowKey::Scope(event.scope));
}

#[cfg(test)]
mod tests;
