//! From a command to events or a rejection. Pure: the same state, command and context give the same answer.

use super::ask::{Ask, Context, Decided};
use super::authority;
use super::check;
use super::command::{Command, CommandBody};
use super::precondition;
use super::state::State;
use super::{allocation, ipam, organization, pool, resource, scope, tags};

/// Decides one command against a state. Never changes anything.
///
/// # Errors
/// A [`super::rejection::Rejection`] when a rule forbids it; it names the rule.
pub fn decide(state: &State, command: &Command, context: &Context) -> Decided {
    let ask = Ask { state, command, now: context.decided_at };
    check::header(&ask)?;
    authority::organization_exists(&ask)?;
    precondition::if_revision(&ask)?;
    match &command.body {
        CommandBody::CreateOrganization(body) => organization::create(&ask, body),
        CommandBody::AddAccount(body) => organization::add_account(&ask, body),
        CommandBody::RemoveAccount(body) => organization::remove_account(&ask, body),
        CommandBody::DelegateAdmin(body) => organization::delegate_admin(&ask, body),
        CommandBody::RevokeAdmin(body) => organization::revoke_admin(&ask, body),
        CommandBody::RegisterDelegatedAdministrator(body) => organization::register_delegated(&ask, body),
        CommandBody::DeregisterDelegatedAdministrator(body) => organization::deregister_delegated(&ask, body),
        CommandBody::SetQuota(body) => organization::set_quota(&ask, body),
        CommandBody::CreateIpam(body) => ipam::create(&ask, body),
        CommandBody::ModifyIpam(body) => ipam::modify(&ask, body),
        CommandBody::DeleteIpam(body) => ipam::delete(&ask, body),
        CommandBody::CreateScope(body) => scope::create(&ask, body),
        CommandBody::ModifyScope(body) => scope::modify(&ask, body),
        CommandBody::DeleteScope(body) => scope::delete(&ask, body),
        CommandBody::CreatePool(body) => pool::create(&ask, body),
        CommandBody::ModifyPool(body) => pool::modify(&ask, body),
        CommandBody::DeletePool(body) => pool::delete(&ask, body),
        CommandBody::ProvisionPoolCidr(body) => pool::provision(&ask, body),
        CommandBody::DeprovisionPoolCidr(body) => pool::deprovision(&ask, body),
        CommandBody::AllocateCidr(body) => allocation::allocate(&ask, body),
        CommandBody::ModifyAllocation(body) => allocation::modify(&ask, body),
        CommandBody::ReleaseAllocation(body) => allocation::release(&ask, body),
        CommandBody::ObserveResource(body) => resource::observe(&ask, body),
        CommandBody::ObserveResourceGone(body) => resource::observe_gone(&ask, body),
        CommandBody::RetractObservation(body) => resource::retract(&ask, body),
        CommandBody::TagResource(body) => tags::tag(&ask, body),
        CommandBody::UntagResource(body) => tags::untag(&ask, body),
    }
}
