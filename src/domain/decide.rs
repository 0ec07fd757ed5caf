//! From a command to events or a rejection. Pure: the same state, command and context give the same answer.

use super::authority;
use super::check;
use super::command::{Command, CommandBody};
use super::event::Event;
use super::id::IdSeed;
use super::precondition;
use super::rejection::Rejection;
use super::state::State;
use super::time::Timestamp;
use super::{allocation, ipam, organization, pool, resource, scope, tags};

/// Events, in order, or why not. No events: everything is already so.
pub type Decided = Result<Vec<Event>, Rejection>;

/// What a decision depends on beside state and command.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The instant that the outcome will carry; later than every earlier outcome's.
    pub decided_at: Timestamp,
}

/// One question to the rules: may this be, and what happens then?
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub state: &'a State,
    pub command: &'a Command,
    pub now: Timestamp,
}

impl Ask<'_> {
    /// What ids of new objects are made from.
    pub fn seed(&self) -> IdSeed {
        IdSeed::new(&self.state.id, self.command.id)
    }
}

/// Decides one command against a state. Never changes anything.
///
/// # Errors
/// A [`Rejection`] when a rule forbids it; it names the rule.
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
