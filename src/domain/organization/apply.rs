//! Events about the organisation, folded.

use super::Account;
use crate::domain::contents;
use crate::domain::event;
use crate::domain::outcome::Moment;
use crate::domain::state::State;
use crate::planted::{Bug, planted};

pub(in crate::domain) fn created(state: &mut State, moment: Moment, event: &event::OrganizationCreated) {
    let organization = &mut state.organization;
    organization.management_account = Some(event.management_account);
    organization.accounts.insert(event.management_account, Account::default());
    organization.changed_at = moment.revision;
}

pub(in crate::domain) fn account_added(state: &mut State, moment: Moment, event: &event::AccountAdded) {
    let organization = &mut state.organization;
    // Accounts that join while IPAM's own delegation stands are covered without action (INV-O5).
    let service_linked_role = organization.administrator.is_some() && !planted(Bug::LateMembersUncovered);
    organization.accounts.insert(event.account, Account { name: event.name.clone(), service_linked_role });
    organization.changed_at = moment.revision;
    contents::reach_changed(state);
}

pub(in crate::domain) fn account_removed(state: &mut State, moment: Moment, event: &event::AccountRemoved) {
    state.organization.accounts.remove(&event.account);
    state.organization.changed_at = moment.revision;
    contents::reach_changed(state);
}

pub(in crate::domain) fn admin_delegated(state: &mut State, moment: Moment, event: &event::AdminDelegated) {
    let organization = &mut state.organization;
    organization.administrator = Some(event.account);
    organization.registered = None;
    let management = organization.management_account;
    for (account, member) in &mut organization.accounts {
        member.service_linked_role |= Some(*account) != management;
    }
    organization.changed_at = moment.revision;
    contents::reach_changed(state);
}

pub(in crate::domain) fn admin_revoked(state: &mut State, moment: Moment, _: &event::AdminRevoked) {
    state.organization.administrator = None;
    state.organization.changed_at = moment.revision;
    contents::reach_changed(state);
}

pub(in crate::domain) fn delegated_registered(
    state: &mut State,
    moment: Moment,
    event: &event::DelegatedAdministratorRegistered,
) {
    state.organization.registered = Some(event.account);
    state.organization.changed_at = moment.revision;
}

pub(in crate::domain) fn delegated_deregistered(
    state: &mut State,
    moment: Moment,
    event: &event::DelegatedAdministratorDeregistered,
) {
    state.organization.registered = None;
    if state.ipams.owned_by(event.account).next().is_some() {
        state.organization.grant_role(event.account);
    }
    state.organization.changed_at = moment.revision;
    contents::reach_changed(state);
}

pub(in crate::domain) fn quota_set(state: &mut State, moment: Moment, event: &event::QuotaSet) {
    state.organization.quotas.insert(event.quota, event.value);
    state.organization.changed_at = moment.revision;
}
