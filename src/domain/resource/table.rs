//! All resources of one organisation, and the fold of what is observed of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::placing::{Place, Seat, place_anew, places_of, seats};
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
    /// By id. Looked up, never listed.
    by_kind: BTreeMap<ResourceKind, HashMap<Box<str>, Entry>>,
    /// What is counted as observed in the free space of a scope's pools, and because of whom.
    blockers: BTreeMap<ScopeId, BlockMap<Arc<ResourceName>>>,
    /// Who is where now.
    places: BTreeMap<Place, Occupants>,
}

/// What is in one place.
#[derive(Debug)]
struct Occupants {
    /// By whom they are seen: their blocks are counted there, and nowhere else.
    seats: Vec<Seat>,
    resources: BTreeSet<Arc<ResourceName>>,
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
        self.stored(kind, id).filter(|resource| !resource.observations.is_empty())
    }

    /// As it is stored: of a resource whose every observation was withdrawn, when that was.
    pub(in crate::domain) fn stored(&self, kind: ResourceKind, id: &str) -> Option<&Resource> {
        self.by_kind.get(&kind)?.get(id).map(|entry| &entry.resource)
    }

    pub(super) fn blockers(&self, scope: ScopeId) -> Option<&BlockMap<Arc<ResourceName>>> {
        self.blockers.get(&scope)
    }

    /// The places where resources are, and by whom each is seen.
    pub(super) fn places(&self) -> impl Iterator<Item = (&Place, &[Seat])> {
        self.places.iter().map(|(place, occupants)| (place, occupants.seats.as_slice()))
    }

    /// Notes by whom a place is seen from now on; gives who is there.
    pub(super) fn seat(&mut self, place: &Place, seats: Vec<Seat>) -> impl Iterator<Item = Arc<ResourceName>> {
        let occupants = self.places.get_mut(place).map(|occupants| {
            occupants.seats = seats;
            &occupants.resources
        });
        occupants.into_iter().flatten().cloned()
    }

    fn leave(&mut self, place: &Place, name: &Arc<ResourceName>) {
        if let Some(occupants) = self.places.get_mut(place) {
            occupants.resources.remove(name);
            if occupants.resources.is_empty() {
                self.places.remove(place);
            }
        }
    }

    /// Notes where a resource is counted from now on; gives where it was, unless it was there already.
    pub(super) fn replace_blocks(
        &mut self,
        name: &Arc<ResourceName>,
        after: &BTreeSet<(ScopeId, Cidr)>,
    ) -> Option<BTreeSet<(ScopeId, Cidr)>> {
        let entry = self.by_kind.get_mut(&name.kind).and_then(|kind| kind.get_mut(name.id.as_str()));
        let entry = entry.expect("a resource that is placed was observed once");
        if entry.blocks == *after {
            return None;
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
        Some(before)
    }

    fn entry(&mut self, kind: ResourceKind, id: &str) -> &mut Entry {
        let of_kind = self.by_kind.entry(kind).or_default();
        if !of_kind.contains_key(id) {
            let name = ResourceName { kind, id: id.to_owned() };
            let entry = Entry {
                name: Arc::new(name.clone()),
                resource: Resource { name, observations: Vec::new(), changed_at: Revision::ZERO },
                blocks: BTreeSet::new(),
            };
            of_kind.insert(id.into(), entry);
        }
        of_kind.get_mut(id).expect("it is there, or was put there")
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
        let entry = state.resources.entry(row.name.kind, &row.name.id);
        entry.resource = row;
        let (name, after) = (Arc::clone(&entry.name), places_of(&entry.resource));
        arrive(state, &name, after);
        place_anew(state, &name);
    }
}

/// Notes that a resource is in these places now.
fn arrive(state: &mut State, name: &Arc<ResourceName>, places: impl IntoIterator<Item = Place>) {
    for place in places {
        if !state.resources.places.contains_key(&place) {
            let occupants = Occupants { seats: seats(state, &place), resources: BTreeSet::new() };
            state.resources.places.insert(place.clone(), occupants);
        }
        if let Some(occupants) = state.resources.places.get_mut(&place) {
            occupants.resources.insert(Arc::clone(name));
        }
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
    let entry = state.resources.entry(kind, id);
    let before = places_of(&entry.resource);
    change(&mut entry.resource);
    entry.resource.changed_at = revision;
    let after = places_of(&entry.resource);
    let name = Arc::clone(&entry.name);
    for place in before.difference(&after) {
        state.resources.leave(place, &name);
    }
    arrive(state, &name, after.difference(&before).cloned());
    place_anew(state, &name);
    state.touch(RowKey::Resource(ResourceName::clone(&name)));
}
