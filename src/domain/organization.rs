//! Accounts, the administrator, the service-linked role and quotas of one organisation.

use serde::{Deserialize, Serialize};

use super::command;
use super::decide::{Ask, Decided};
use super::event;
use super::state::State;

/// What is known of the organisation itself, or of the lone account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Organization {}

pub(super) fn create(_ask: &Ask<'_>, _body: &command::CreateOrganization) -> Decided {
    todo!()
}

pub(super) fn add_account(_ask: &Ask<'_>, _body: &command::AddAccount) -> Decided {
    todo!()
}

pub(super) fn remove_account(_ask: &Ask<'_>, _body: &command::RemoveAccount) -> Decided {
    todo!()
}

pub(super) fn delegate_admin(_ask: &Ask<'_>, _body: &command::DelegateAdmin) -> Decided {
    todo!()
}

pub(super) fn revoke_admin(_ask: &Ask<'_>, _body: &command::RevokeAdmin) -> Decided {
    todo!()
}

pub(super) fn register_delegated(_ask: &Ask<'_>, _body: &command::RegisterDelegatedAdministrator) -> Decided {
    todo!()
}

pub(super) fn deregister_delegated(_ask: &Ask<'_>, _body: &command::DeregisterDelegatedAdministrator) -> Decided {
    todo!()
}

pub(super) fn set_quota(_ask: &Ask<'_>, _body: &command::SetQuota) -> Decided {
    todo!()
}

pub(super) fn created(_state: &mut State, _event: &event::OrganizationCreated) {
    todo!()
}

pub(super) fn account_added(_state: &mut State, _event: &event::AccountAdded) {
    todo!()
}

pub(super) fn account_removed(_state: &mut State, _event: &event::AccountRemoved) {
    todo!()
}

pub(super) fn admin_delegated(_state: &mut State, _event: &event::AdminDelegated) {
    todo!()
}

pub(super) fn admin_revoked(_state: &mut State, _event: &event::AdminRevoked) {
    todo!()
}

pub(super) fn delegated_registered(_state: &mut State, _event: &event::DelegatedAdministratorRegistered) {
    todo!()
}

pub(super) fn delegated_deregistered(_state: &mut State, _event: &event::DelegatedAdministratorDeregistered) {
    todo!()
}

pub(super) fn quota_set(_state: &mut State, _event: &event::QuotaSet) {
    todo!()
}
