//! Tags on anything that has an id.
//!
//! Where an object's tags are kept is the object's own matter; here is what they may be and who may set
//! them: the owner of the IPAM that the object belongs to.

use std::collections::BTreeSet;

use super::ask::{Ask, Decided};
use super::authority;
use super::check;
use super::command::{self, Tags};
use super::contents;
use super::event;
use super::id::ObjectId;
use super::outcome::Moment;
use super::rejection::{Code, Rejection};
use super::state::{RowKey, State};
use crate::planted::{Bug, planted};

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
    tags.retain(|key, _| !event.keys.contains(key) || planted(Bug::UntagIgnored));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::command::{TagResource, UntagResource};
    use crate::domain::event::Event;
    use crate::domain::testing::{ADMIN, MEMBER, World, allocate, assert_refused, tags};

    fn taggable(world: &mut World, ipam: &event::IpamCreated) -> [ObjectId; 6] {
        let pool = world.top_pool(ipam.private_default_scope, "10.0.0.0/8");
        let events = world.accept(allocate(pool, "10.0.0.0/24"));
        let [Event::CidrAllocated(allocated)] = events.as_slice() else { panic!("{events:#?}") };
        [
            ipam.ipam.into(),
            ipam.private_default_scope.into(),
            ipam.default_resource_discovery.into(),
            ipam.default_resource_discovery_association.into(),
            pool.into(),
            allocated.allocation.into(),
        ]
    }

    #[test]
    fn everything_with_an_id_carries_tags() {
        let (mut world, ipam) = World::with_ipam();
        let taggable = taggable(&mut world, &ipam);
        for resource in taggable {
            let tag = |tags| TagResource { resource, tags };
            let untag =
                |keys: &[&str]| UntagResource { resource, keys: keys.iter().map(|key| (*key).to_owned()).collect() };
            let both = tags([("a", "1"), ("b", "2")]);
            let tagged = event::ResourceTagged { resource, tags: both.clone() };
            assert_eq!(world.accept(tag(both)), [Event::from(tagged)]);
            assert_eq!(world.accept(tag(tags([("a", "1")]))), [], "already so");
            // Only what differs is in the event.
            let tagged = event::ResourceTagged { resource, tags: tags([("b", "3")]) };
            assert_eq!(world.accept(tag(tags([("a", "1"), ("b", "3")]))), [Event::from(tagged)]);
            let untagged = event::ResourceUntagged { resource, keys: vec!["a".to_owned()] };
            assert_eq!(world.accept(untag(&["a", "zz", "a"])), [Event::from(untagged)]);
            assert_eq!(world.accept(untag(&["a"])), [], "already so");
            assert_eq!(tags_of(&world.state, resource), Some(tags([("b", "3")])));
        }
        for resource in taggable {
            assert_eq!(tags_of(&world.state, resource), Some(tags([("b", "3")])), "each has its own");
        }
    }

    #[test]
    fn tags_have_bounds() {
        let (mut world, ipam) = World::with_ipam();
        let resource = ObjectId::from(ipam.ipam);
        let numbered = |from: usize, to: usize| (from..to).map(|n| (format!("key{n:03}"), String::new())).collect();
        let mut refused = |tags: Tags, values: &[(&str, &str)], works: &[(&str, &str)]| {
            let rejection = world.reject(TagResource { resource, tags });
            assert_refused(&rejection, Code::InvalidParameterValue, values, &[], works);
        };
        refused(numbered(0, 51), &[("field", "tags"), ("tags", "51")], &[("tags_max", "50")]);
        refused(tags([("", "x")]), &[("field", "tags")], &[]);
        refused(tags([("AWS:x", "1")]), &[("field", "tags"), ("key", "AWS:x")], &[]);
        let long = "k".repeat(129);
        refused(tags([(&long, "")]), &[("field", "tags"), ("characters", "129")], &[("characters_max", "128")]);
        let long = "v".repeat(257);
        refused(
            tags([("k", &long)]),
            &[("field", "tags"), ("key", "k"), ("characters", "257")],
            &[("characters_max", "256")],
        );
        refused(
            tags([("k", "a\u{7}b")]),
            &[("field", "tags"), ("key", "k"), ("position", "1"), ("character", "U+0007")],
            &[],
        );
        // What there is and what comes count together; tags that only change do not.
        world.accept(TagResource { resource, tags: numbered(0, 50) });
        let rejection = world.reject(TagResource { resource, tags: numbered(50, 51) });
        let (values, works) = ([("field", "tags"), ("tags", "51")], [("tags_max", "50")]);
        assert_refused(&rejection, Code::InvalidParameterValue, &values, &[], &works);
        world.accept(TagResource { resource, tags: tags([("key007", "seven")]) });

        let rejection = world.reject(TagResource { resource, tags: Tags::new() });
        assert_refused(&rejection, Code::NothingToModify, &[], &[], &[("fields", "tags")]);
        let rejection = world.reject(UntagResource { resource, keys: Vec::new() });
        assert_refused(&rejection, Code::NothingToModify, &[], &[], &[("fields", "keys")]);
        let rejection = world.reject(UntagResource { resource, keys: vec!["x".to_owned(); 51] });
        let (values, works) = ([("field", "keys"), ("entries", "51")], [("entries_max", "50")]);
        assert_refused(&rejection, Code::InvalidParameterValue, &values, &[], &works);
    }

    #[test]
    fn others_tags_are_not_found() {
        let (mut world, ipam) = World::with_ipam();
        let taggable = taggable(&mut world, &ipam);
        world.as_account(MEMBER);
        let codes = [
            Code::IpamNotFound,
            Code::ScopeNotFound,
            Code::ObjectNotFound,
            Code::ObjectNotFound,
            Code::PoolNotFound,
            Code::AllocationNotFound,
        ];
        for (resource, code) in taggable.into_iter().zip(codes) {
            let id = resource.to_string();
            let values = [("id", &*id), ("principal", MEMBER)];
            let rejection = world.reject(TagResource { resource, tags: tags([("a", "1")]) });
            assert_refused(&rejection, code, &values, &[], &[]);
            let rejection = world.reject(UntagResource { resource, keys: vec!["a".to_owned()] });
            assert_refused(&rejection, code, &values, &[], &[]);
        }
        world.as_account(ADMIN);
        let no_such = "ipam-res-disco-00000000000000000";
        let resource = no_such.parse().expect("well formed");
        let rejection = world.reject(TagResource { resource, tags: tags([("a", "1")]) });
        assert_refused(&rejection, Code::ObjectNotFound, &[("id", no_such), ("principal", ADMIN)], &[], &[]);
    }
}
