//! All resources of one organisation, and the fold of what is observed of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::placing::place_anew;
use super::{Observation, Presence, Resource};
use crate::address::{BlockMap, Cidr};
use crate::domain::event;
use crate::domain::event::ResourceName;
use crate::domain::id::{Revision, ScopeId};
use crate::domain::kind::ResourceKind;
use crate::domain::outcome::Moment;
use crate::domain::state::{RowKey, State};

#[derive(Debug, Default)]
pub struct Resources {
    by_kind: BTreeMap<ResourceKind, BTreeMap<Box<str>, Entry>>,
    /// What is counted as observed in the free space of a scope's pools, and because of whom.
    blockers: BTreeMap<ScopeId, BlockMap<Arc<ResourceName>>>,
}

#[derive(Debug)]
struct Entry {
    resource: Resource,
    /// The same as `resource.name`, to be shared.
    name: Arc<ResourceName>,
    /// What of `blockers` is this resource's.
    blocks: BTreeSet<(ScopeId, Cidr)>,
}

impl Resources {
    #[must_use]
    pub fn get(&self, name: &ResourceName) -> Option<&Resource> {
        self.find(name.kind, &name.id)
    }

    /// The resource of this kind and id, if anything is known of it.
    #[must_use]
    pub fn find(&self, kind: ResourceKind, id: &str) -> Option<&Resource> {
        self.by_kind.get(&kind)?.get(id).map(|entry| &entry.resource)
    }

    /// All resources, by kind and id.
    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.by_kind.values().flat_map(BTreeMap::values).map(|entry| &entry.resource)
    }

    pub(super) fn blockers(&self, scope: ScopeId) -> Option<&BlockMap<Arc<ResourceName>>> {
        self.blockers.get(&scope)
    }

    pub(super) fn names(&self) -> Vec<Arc<ResourceName>> {
        self.by_kind.values().flat_map(BTreeMap::values).map(|entry| Arc::clone(&entry.name)).collect()
    }

    /// Notes where a resource is counted from now on; gives where it was.
    pub(super) fn replace_blocks(
        &mut self,
        name: &Arc<ResourceName>,
        after: &BTreeSet<(ScopeId, Cidr)>,
    ) -> BTreeSet<(ScopeId, Cidr)> {
        let entry = self.by_kind.get_mut(&name.kind).and_then(|kind| kind.get_mut(name.id.as_str()));
        let entry = entry.expect("a resource is placed before it is forgotten");
        if entry.blocks == *after {
            return after.clone();
        }
        let before = std::mem::replace(&mut entry.blocks, after.clone());
        for (scope, cidr) in before.difference(after) {
            if let Some(blockers) = self.blockers.get_mut(scope) {
                blockers.remove(*cidr, name);
                if blockers.is_empty() {
                    self.blockers.remove(scope);
                }
            }
        }
        for (scope, cidr) in after.difference(&before) {
            self.blockers.entry(*scope).or_default().insert(*cidr, Arc::clone(name));
        }
        before
    }

    fn entry(&mut self, name: ResourceName) -> &mut Entry {
        let of_kind = self.by_kind.entry(name.kind).or_default();
        of_kind.entry(name.id.as_str().into()).or_insert_with(|| Entry {
            name: Arc::new(name.clone()),
            resource: Resource { name, observations: Vec::new(), changed_at: Revision::ZERO },
            blocks: BTreeSet::new(),
        })
    }

    fn forget(&mut self, name: &ResourceName) {
        if let Some(of_kind) = self.by_kind.get_mut(&name.kind) {
            of_kind.remove(name.id.as_str());
            if of_kind.is_empty() {
                self.by_kind.remove(&name.kind);
            }
        }
    }
}

impl State {
    #[must_use]
    pub const fn resources(&self) -> &Resources {
        &self.resources
    }
}

pub(in crate::domain) fn restore(state: &mut State, rows: Vec<Resource>) {
    for row in rows {
        let entry = state.resources.entry(row.name.clone());
        entry.resource = row;
        let name = Arc::clone(&entry.name);
        place_anew(state, &name);
    }
}

pub(in crate::domain) fn observed(state: &mut State, moment: Moment, event: &event::ResourceObserved) {
    let presence = Presence { cidrs: event.cidrs.clone(), attributes: event.attributes.clone() };
    let observation = Observation {
        observed_at: event.observed_at,
        reported_at: event.reported_at,
        revision: moment.revision,
        source: None,
        presence: Some(Arc::new(presence)),
    };
    change(state, moment.revision, event.kind, &event.id, |resource| resource.record(observation));
}

pub(in crate::domain) fn gone(state: &mut State, moment: Moment, event: &event::ResourceGone) {
    let observation = Observation {
        observed_at: event.observed_at,
        reported_at: event.reported_at,
        revision: moment.revision,
        source: event.source.clone(),
        presence: None,
    };
    change(state, moment.revision, event.kind, &event.id, |resource| resource.record(observation));
}

pub(in crate::domain) fn retracted(state: &mut State, event: &event::ObservationRetracted) {
    let revision = state.moment.revision.next();
    change(state, revision, event.kind, &event.id, |resource| resource.withdraw(event.revision));
}

fn change(state: &mut State, revision: Revision, kind: ResourceKind, id: &str, change: impl FnOnce(&mut Resource)) {
    let entry = state.resources.entry(ResourceName { kind, id: id.to_owned() });
    change(&mut entry.resource);
    entry.resource.changed_at = revision;
    let nothing_known = entry.resource.observations.is_empty();
    let name = Arc::clone(&entry.name);
    place_anew(state, &name);
    if nothing_known {
        state.resources.forget(&name);
    }
    state.touch(RowKey::Resource(ResourceName::clone(&name)));
}
