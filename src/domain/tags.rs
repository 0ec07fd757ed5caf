//! Tags on anything that has an id.
//!
//! Where an object's tags are kept is the object's own matter; here is what they may be and who may set
//! them: the owner of the IPAM that the object belongs to.

use std::collections::BTreeSet;

use super::authority;
use super::check;
use super::command::{self, Tags};
use super::contents;
use super::decide::{Ask, Decided};
use super::event;
use super::id::ObjectId;
use super::outcome::Moment;
use super::rejection::{Code, Rejection};
use super::state::{RowKey, State};

pub(super) fn tag(ask: &Ask<'_>, body: &command::TagResource) -> Decided {
    let now = owned_tags(ask, body.resource)?;
    check::names_something(!body.tags.is_empty(), "tags")?;
    check::tags("tags", &body.tags)?;
    let tags: Tags = body
        .tags
        .iter()
        .filter(|(key, value)| now.get(*key) != Some(*value))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let new = tags.keys().filter(|key| !now.contains_key(*key)).count();
    check::tag_count("tags", now.len() + new)?;
    if tags.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![event::ResourceTagged { resource: body.resource, tags }.into()])
}

pub(super) fn untag(ask: &Ask<'_>, body: &command::UntagResource) -> Decided {
    let now = owned_tags(ask, body.resource)?;
    check::names_something(!body.keys.is_empty(), "keys")?;
    check::list("keys", body.keys.len(), check::TAGS_MAX)?;
    for key in &body.keys {
        check::tag_key("keys", key)?;
    }
    let keys: BTreeSet<_> = body.keys.iter().filter(|key| now.contains_key(*key)).cloned().collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![event::ResourceUntagged { resource: body.resource, keys: keys.into_iter().collect() }.into()])
}

pub(super) fn tagged(state: &mut State, moment: Moment, event: &event::ResourceTagged) {
    let mut tags = tags_of(state, event.resource).expect("events name objects that exist");
    tags.extend(event.tags.iter().map(|(key, value)| (key.clone(), value.clone())));
    set_tags(state, moment, event.resource, tags);
}

pub(super) fn untagged(state: &mut State, moment: Moment, event: &event::ResourceUntagged) {
    let mut tags = tags_of(state, event.resource).expect("events name objects that exist");
    tags.retain(|key, _| !event.keys.contains(key));
    set_tags(state, moment, event.resource, tags);
}

/// The object's tags, when the asking account owns the IPAM that it belongs to.
fn owned_tags(ask: &Ask<'_>, id: ObjectId) -> Result<Tags, Rejection> {
    let missing = |kind| move || authority::not_found(ask, Code::ObjectNotFound, kind, id);
    match id {
        ObjectId::Ipam(ipam) => Ok(authority::owned_ipam(ask, ipam)?.tags.clone()),
        ObjectId::Scope(scope) => Ok(authority::owned_scope(ask, scope)?.tags.clone()),
        ObjectId::Pool(pool) => Ok(contents::pool_tags(authority::owned_pool(ask, pool)?).clone()),
        ObjectId::Allocation(allocation) => contents::allocation(ask.state, allocation)
            .filter(|held| authority::visible_pool(ask, held.pool).is_some())
            .and_then(|_| contents::allocation_tags(ask.state, allocation))
            .ok_or_else(|| authority::not_found(ask, Code::AllocationNotFound, "allocation", id)),
        ObjectId::Discovery(discovery) => {
            let ipam = ask.state.ipams.with_discovery(discovery).ok_or_else(missing("resource discovery"))?;
            authority::visible_ipam(ask, ipam.id)
                .map(|ipam| ipam.default_resource_discovery_tags.clone())
                .ok_or_else(missing("resource discovery"))
        }
        ObjectId::Association(association) => {
            let ipam = ask.state.ipams.with_association(association).ok_or_else(missing("discovery association"))?;
            authority::visible_ipam(ask, ipam.id)
                .map(|ipam| ipam.default_resource_discovery_association_tags.clone())
                .ok_or_else(missing("discovery association"))
        }
    }
}

fn tags_of(state: &State, id: ObjectId) -> Option<Tags> {
    match id {
        ObjectId::Ipam(id) => state.ipams.get(id).map(|ipam| ipam.tags.clone()),
        ObjectId::Scope(id) => state.scopes.get(id).map(|scope| scope.tags.clone()),
        ObjectId::Pool(id) => state.pools.get(id).map(|pool| contents::pool_tags(pool).clone()),
        ObjectId::Allocation(id) => contents::allocation_tags(state, id),
        ObjectId::Discovery(id) => {
            state.ipams.with_discovery(id).map(|ipam| ipam.default_resource_discovery_tags.clone())
        }
        ObjectId::Association(id) => {
            state.ipams.with_association(id).map(|ipam| ipam.default_resource_discovery_association_tags.clone())
        }
    }
}

fn set_tags(state: &mut State, moment: Moment, id: ObjectId, tags: Tags) {
    let ipam = match id {
        ObjectId::Scope(id) => {
            let scope = state.scopes.known_mut(id);
            scope.tags = tags;
            scope.changed_at = moment.revision;
            return state.touch(RowKey::Scope(id));
        }
        ObjectId::Pool(id) => return contents::set_pool_tags(state, moment, id, tags),
        ObjectId::Allocation(id) => return contents::set_allocation_tags(state, moment, id, tags),
        ObjectId::Ipam(id) => Some(id),
        ObjectId::Discovery(id) => state.ipams.with_discovery(id).map(|ipam| ipam.id),
        ObjectId::Association(id) => state.ipams.with_association(id).map(|ipam| ipam.id),
    }
    .expect("events name objects that exist");
    let changed = state.ipams.known_mut(ipam);
    match id {
        ObjectId::Discovery(_) => changed.default_resource_discovery_tags = tags,
        ObjectId::Association(_) => changed.default_resource_discovery_association_tags = tags,
        _ => changed.tags = tags,
    }
    changed.changed_at = moment.revision;
    state.touch(RowKey::Ipam(ipam));
}
