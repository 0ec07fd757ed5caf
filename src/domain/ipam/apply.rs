//! Events about IPAMs, folded.

use super::Ipam;
use crate::domain::command::{Tags, Visibility};
use crate::domain::contents;
use crate::domain::event;
use crate::domain::outcome::Moment;
use crate::domain::scope::Scope;
use crate::domain::state::{RowKey, State};

pub(in crate::domain) fn created(state: &mut State, moment: Moment, event: &event::IpamCreated) {
    let defaults =
        [(event.private_default_scope, Visibility::Private), (event.public_default_scope, Visibility::Public)];
    for (id, visibility) in defaults {
        state.scopes.insert(Scope {
            id,
            ipam: event.ipam,
            visibility,
            is_default: true,
            description: None,
            tags: Tags::new(),
            created_at: moment.revision,
            changed_at: moment.revision,
        });
        state.touch(RowKey::Scope(id));
    }
    state.ipams.restore(Ipam {
        id: event.ipam,
        owner: event.owner,
        home_region: event.home_region.clone(),
        operating_regions: event.operating_regions.iter().cloned().collect(),
        description: event.description.clone(),
        tags: event.tags.clone(),
        private_default_scope: event.private_default_scope,
        public_default_scope: event.public_default_scope,
        default_resource_discovery: event.default_resource_discovery,
        default_resource_discovery_tags: Tags::new(),
        default_resource_discovery_association: event.default_resource_discovery_association,
        default_resource_discovery_association_tags: Tags::new(),
        created_at: moment.revision,
        changed_at: moment.revision,
    });
    state.touch(RowKey::Ipam(event.ipam));
    // Whoever makes an IPAM sees at least itself, unless its title says that it sees nothing (design D18).
    if state.organization.registered != Some(event.owner) && !state.organization.has_role(event.owner) {
        state.organization.grant_role(event.owner);
        state.organization.changed_at = moment.revision;
    }
    contents::reach_changed(state);
}

pub(in crate::domain) fn modified(state: &mut State, moment: Moment, event: &event::IpamModified) {
    let ipam = state.ipams.known_mut(event.ipam);
    ipam.description = event.description.clone().applied_to(ipam.description.take());
    ipam.operating_regions.extend(event.added_operating_regions.iter().cloned());
    ipam.operating_regions.retain(|region| !event.removed_operating_regions.contains(region));
    ipam.changed_at = moment.revision;
    state.touch(RowKey::Ipam(event.ipam));
    if !event.added_operating_regions.is_empty() || !event.removed_operating_regions.is_empty() {
        contents::reach_changed(state);
    }
}

pub(in crate::domain) fn deleted(state: &mut State, _: Moment, event: &event::IpamDeleted) {
    let scopes: Vec<_> = state.scopes.of_ipam(event.ipam).map(|scope| scope.id).collect();
    contents::remove(state, &scopes);
    for scope in scopes {
        state.scopes.remove(scope);
        state.touch(RowKey::Scope(scope));
    }
    state.ipams.remove(event.ipam);
    state.touch(RowKey::Ipam(event.ipam));
    contents::reach_changed(state);
}
