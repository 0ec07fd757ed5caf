//! From an event to the state after it. Cannot fail: an event is a fact.

use super::event::Event;
use super::outcome::Moment;
use super::outcome::Outcome;
use super::state::{RowKey, State};
use super::{allocation, ipam, organization, pool, resource, scope, tags};

/// Folds one outcome: its events in order, and its moment, rejections included.
///
/// # Panics
/// When the outcome contradicts the state: it is not this organisation's, not the next one, or names
/// what does not exist. A log written by `decide` holds none such.
pub fn apply_outcome(state: &mut State, outcome: &Outcome) {
    let Some(moment) = outcome.moment() else { return };
    assert_eq!(outcome.organization, state.id, "an outcome is folded into its own organisation");
    advance(state, moment, outcome.events());
}

/// Folds the events of the outcome at `moment`.
///
/// # Panics
/// As [`apply_outcome`].
pub fn advance(state: &mut State, moment: Moment, events: &[Event]) {
    assert_eq!(moment.revision, state.moment.revision.next(), "outcomes are folded in order");
    assert!(moment.decided_at > state.moment.decided_at || !state.exists(), "time moves on with every outcome");
    for event in events {
        apply(state, moment, event);
    }
    state.moment = moment;
    state.touch(RowKey::Organization);
}

fn apply(state: &mut State, moment: Moment, event: &Event) {
    match event {
        Event::OrganizationCreated(event) => organization::created(state, moment, event),
        Event::AccountAdded(event) => organization::account_added(state, moment, event),
        Event::AccountRemoved(event) => organization::account_removed(state, moment, event),
        Event::AdminDelegated(event) => organization::admin_delegated(state, moment, event),
        Event::AdminRevoked(event) => organization::admin_revoked(state, moment, event),
        Event::DelegatedAdministratorRegistered(event) => organization::delegated_registered(state, moment, event),
        Event::DelegatedAdministratorDeregistered(event) => organization::delegated_deregistered(state, moment, event),
        Event::QuotaSet(event) => organization::quota_set(state, moment, event),
        Event::IpamCreated(event) => ipam::created(state, moment, event),
        Event::IpamModified(event) => ipam::modified(state, moment, event),
        Event::IpamDeleted(event) => ipam::deleted(state, moment, event),
        Event::ScopeCreated(event) => scope::created(state, moment, event),
        Event::ScopeModified(event) => scope::modified(state, moment, event),
        Event::ScopeDeleted(event) => scope::deleted(state, event),
        Event::PoolCreated(event) => pool::created(state, moment, event),
        Event::PoolModified(event) => pool::modified(state, moment, event),
        Event::PoolDeleted(event) => pool::deleted(state, moment, event),
        Event::PoolCidrProvisioned(event) => pool::cidr_provisioned(state, moment, event),
        Event::PoolCidrDeprovisioned(event) => pool::cidr_deprovisioned(state, moment, event),
        Event::CidrAllocated(event) => allocation::allocated(state, moment, event),
        Event::AllocationModified(event) => allocation::modified(state, moment, event),
        Event::AllocationReleased(event) => allocation::released(state, event),
        Event::ResourceObserved(event) => resource::observed(state, moment, event),
        Event::ResourceGone(event) => resource::gone(state, moment, event),
        Event::ObservationRetracted(event) => resource::retracted(state, event),
        Event::ResourceTagged(event) => tags::tagged(state, moment, event),
        Event::ResourceUntagged(event) => tags::untagged(state, moment, event),
    }
}
