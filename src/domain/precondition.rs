//! `if_revision`: a command that holds only while its object is as the sender saw it (design D8).
//!
//! Each command names one object: the organisation, an IPAM, a scope, a pool, an allocation or a resource.
//! An object changes when one of its own fields, tags or CIDRs does; what is made inside it (a pool's
//! allocations, a scope's pools) does not change it.

use super::ask::Ask;
use super::authority;
use super::command::CommandBody;
use super::contents;
use super::event::ResourceName;
use super::id::{ObjectId, Revision};
use super::kind::ResourceKind;
use super::rejection::{Code, Rejection};
use crate::planted::{Bug, planted};

/// The object that a command names.
enum Named<'a> {
    Organization,
    Object(ObjectId),
    Resource(ResourceKind, &'a str),
}

/// Refuses a command whose object changed after the revision it names. Objects that the asking account
/// cannot see pass: the command itself finds that they are not there.
pub(super) fn if_revision(ask: &Ask<'_>) -> Result<(), Rejection> {
    let Some(expected) = ask.command.if_revision else { return Ok(()) };
    let named = named_object(&ask.command.body);
    let Some(changed) = changed_at(ask, &named) else { return Ok(()) };
    if changed.0 <= expected.0 + u64::from(planted(Bug::IfRevisionOffByOne)) {
        return Ok(());
    }
    let what = match named {
        Named::Organization => format!("organisation {}", ask.state.id),
        Named::Object(id) => id.to_string(),
        Named::Resource(kind, id) => format!("{kind} {id}"),
    };
    let message = format!("{what} changed at revision {changed}, after revision {expected} that the command allows.");
    Err(Rejection::new(Code::RevisionMismatch, "if_revision: the object has not changed since", message)
        .value("object", what)
        .value("if_revision", expected)
        .value("changed_at", changed)
        .try_instead("if_revision", changed))
}

fn named_object(body: &CommandBody) -> Named<'_> {
    match body {
        CommandBody::CreateOrganization(_)
        | CommandBody::AddAccount(_)
        | CommandBody::RemoveAccount(_)
        | CommandBody::DelegateAdmin(_)
        | CommandBody::RevokeAdmin(_)
        | CommandBody::RegisterDelegatedAdministrator(_)
        | CommandBody::DeregisterDelegatedAdministrator(_)
        | CommandBody::SetQuota(_)
        | CommandBody::CreateIpam(_) => Named::Organization,
        CommandBody::ModifyIpam(body) => Named::Object(body.ipam.into()),
        CommandBody::DeleteIpam(body) => Named::Object(body.ipam.into()),
        CommandBody::CreateScope(body) => Named::Object(body.ipam.into()),
        CommandBody::ModifyScope(body) => Named::Object(body.scope.into()),
        CommandBody::DeleteScope(body) => Named::Object(body.scope.into()),
        CommandBody::CreatePool(body) => match (body.source_pool, body.scope) {
            (Some(source), _) => Named::Object(source.into()),
            (None, Some(scope)) => Named::Object(scope.into()),
            (None, None) => Named::Organization,
        },
        CommandBody::ModifyPool(body) => Named::Object(body.pool.into()),
        CommandBody::DeletePool(body) => Named::Object(body.pool.into()),
        CommandBody::ProvisionPoolCidr(body) => Named::Object(body.pool.into()),
        CommandBody::DeprovisionPoolCidr(body) => Named::Object(body.pool.into()),
        CommandBody::AllocateCidr(body) => Named::Object(body.pool.into()),
        CommandBody::ModifyAllocation(body) => Named::Object(body.allocation.into()),
        CommandBody::ReleaseAllocation(body) => Named::Object(body.allocation.into()),
        CommandBody::ObserveResource(body) => Named::Resource(body.kind, &body.id),
        CommandBody::ObserveResourceGone(body) => Named::Resource(body.kind, &body.id),
        CommandBody::RetractObservation(body) => Named::Resource(body.kind, &body.id),
        CommandBody::TagResource(body) => Named::Object(body.resource),
        CommandBody::UntagResource(body) => Named::Object(body.resource),
    }
}

/// The revision that last changed the object; `None` when the asking account knows no such object.
fn changed_at(ask: &Ask<'_>, named: &Named<'_>) -> Option<Revision> {
    let state = ask.state;
    match *named {
        Named::Organization => Some(state.organization.changed_at),
        Named::Object(ObjectId::Ipam(id)) => authority::visible_ipam(ask, id).map(|ipam| ipam.changed_at),
        Named::Object(ObjectId::Discovery(id)) => {
            state.ipams.with_discovery(id).and_then(|ipam| authority::visible_ipam(ask, ipam.id)).map(|i| i.changed_at)
        }
        Named::Object(ObjectId::Association(id)) => {
            state.ipams.with_association(id).and_then(|i| authority::visible_ipam(ask, i.id)).map(|i| i.changed_at)
        }
        Named::Object(ObjectId::Scope(id)) => authority::visible_scope(ask, id).map(|scope| scope.changed_at),
        Named::Object(ObjectId::Pool(id)) => authority::visible_pool(ask, id).map(contents::pool_changed_at),
        Named::Object(ObjectId::Allocation(id)) => contents::allocation(state, id)
            .filter(|allocation| authority::visible_pool(ask, allocation.pool).is_some())
            .map(|allocation| allocation.changed_at),
        Named::Resource(kind, id) => contents::resource_changed_at(state, &ResourceName { kind, id: id.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::change::Change;
    use crate::domain::command::{
        AddAccount, CreateScope, ModifyIpam, ModifyScope, ObserveResource, ObservedCidr, ResourceAttributes,
        RetractObservation, TagResource, Tags,
    };
    use crate::domain::event::Event;
    use crate::domain::testing::{
        ADMIN, MANAGEMENT, MEMBER, STRANGER, World, account, allocate, assert_refused, cidr, tags,
    };
    use crate::domain::{RowKey, State};

    #[test]
    fn d8_a_command_holds_while_its_object_has_not_changed() {
        let (mut world, ipam) = World::with_ipam();
        let created = world.revision();
        let (id, scope) = (ipam.ipam.to_string(), ipam.private_default_scope.to_string());
        let describe =
            |text: &str| ModifyScope { scope: ipam.private_default_scope, description: Change::Set(text.to_owned()) };
        let tag_ipam = || TagResource { resource: ipam.ipam.into(), tags: tags([("a", "1")]) };

        // The scope changes at `described`, the IPAM and the organisation do not.
        world.accept(describe("one"));
        let described = world.revision();
        world.if_revision = Some(created);
        let rejection = world.reject(describe("two"));
        let (was, is) = (created.to_string(), described.to_string());
        let values = [("object", &*scope), ("if_revision", &*was), ("changed_at", &*is)];
        assert_refused(&rejection, Code::RevisionMismatch, &values, &[], &[("if_revision", &is)]);
        world.accept(CreateScope { ipam: ipam.ipam, description: None, name: None, tags: Tags::new() });
        world.accept(tag_ipam());
        let tagged = world.revision();

        // A scope made in it did not change the IPAM; a tag did. Nor does a refusal change anything.
        let rejection = world.reject(tag_ipam());
        let is = tagged.to_string();
        let values = [("object", &*id), ("if_revision", &*was), ("changed_at", &*is)];
        assert_refused(&rejection, Code::RevisionMismatch, &values, &[], &[("if_revision", &is)]);
        world.if_revision = Some(tagged);
        world.accept(tag_ipam());

        // The organisation changes with its accounts.
        world.as_account(MANAGEMENT);
        world.if_revision = Some(created);
        world.accept(AddAccount { account: account(STRANGER), name: None });
        let is = world.revision().to_string();
        let rejection = world.reject(AddAccount { account: account(STRANGER), name: None });
        let values = [("object", "organisation o-example"), ("if_revision", &*was), ("changed_at", &*is)];
        assert_refused(&rejection, Code::RevisionMismatch, &values, &[], &[("if_revision", &is)]);
    }

    #[test]
    fn d8_every_kind_of_object_knows_what_changed_it_last() {
        let (mut world, ipam) = World::with_ipam();
        let pool = world.top_pool(ipam.private_default_scope, "10.0.0.0/8");
        let events = world.accept(allocate(pool, "10.0.0.0/24"));
        let [Event::CidrAllocated(allocated)] = events.as_slice() else { panic!("{events:#?}") };
        let tag = |resource, value| TagResource { resource, tags: tags([("a", value)]) }.into();
        let vpc = |block: &str| ObserveResource {
            kind: ResourceKind::Vpc,
            id: "vpc-a".to_owned(),
            observed_at: "2023-01-01T00:00:00Z".parse().expect("well formed"),
            cidrs: vec![ObservedCidr { cidr: cidr(block), visibility: None }],
            attributes: ResourceAttributes::default(),
        };
        let changes = |resource: ObjectId| (resource.to_string(), tag(resource, "1"), tag(resource, "2"));
        let both: Vec<(String, CommandBody, CommandBody)> = vec![
            changes(ipam.ipam.into()),
            changes(ipam.default_resource_discovery.into()),
            changes(ipam.default_resource_discovery_association.into()),
            changes(ipam.private_default_scope.into()),
            changes(pool.into()),
            changes(allocated.allocation.into()),
            ("vpc vpc-a".to_owned(), vpc("10.0.0.0/24").into(), vpc("10.0.1.0/24").into()),
        ];
        for (object, one, two) in both {
            world.if_revision = None;
            world.accept(one);
            let changed = world.revision();
            let before = Revision(changed.0 - 1);
            world.if_revision = Some(before);
            let rejection = world.reject(two.clone());
            let (was, is) = (before.to_string(), changed.to_string());
            let values = [("object", &*object), ("if_revision", &*was), ("changed_at", &*is)];
            assert_refused(&rejection, Code::RevisionMismatch, &values, &[], &[("if_revision", &is)]);
            world.if_revision = Some(changed);
            world.accept(two);
        }
    }

    #[test]
    fn d8_that_everything_known_of_a_resource_was_withdrawn_is_a_change() {
        for from_rows in [false, true] {
            let (mut world, _) = World::with_ipam();
            let seen = ObserveResource {
                kind: ResourceKind::Vpc,
                id: "vpc-a".to_owned(),
                observed_at: "2023-01-01T00:00:00Z".parse().expect("well formed"),
                cidrs: vec![ObservedCidr { cidr: cidr("10.0.0.0/24"), visibility: None }],
                attributes: ResourceAttributes::default(),
            };
            world.accept(seen.clone());
            let observed = world.revision();
            let (kind, id, observed_at) = (seen.kind, seen.id.clone(), seen.observed_at);
            world.accept(RetractObservation { kind, id: id.clone(), observed_at, revision: None });
            let name = ResourceName { kind, id };
            assert_eq!(world.state.resources().get(&name), None);
            if from_rows {
                let rows = [RowKey::Organization, RowKey::Resource(name)];
                let rows: Vec<_> = rows.iter().filter_map(|key| world.state.row(key)).collect();
                world.state = State::restore(world.state.id().clone(), rows);
            }
            world.if_revision = Some(observed);
            assert_eq!(world.reject(seen.clone()).code, Code::RevisionMismatch);
            world.if_revision = Some(observed.next());
            world.accept(seen);
        }
    }

    #[test]
    fn d8_an_object_of_somebody_else_is_not_found_whatever_its_revision() {
        let (mut world, ipam) = World::with_ipam();
        world.as_account(MEMBER);
        world.if_revision = Some(Revision::ZERO);
        let rejection = world.reject(ModifyIpam {
            ipam: ipam.ipam,
            description: Change::Clear,
            add_operating_regions: Vec::new(),
            remove_operating_regions: Vec::new(),
        });
        assert_eq!(rejection.code, Code::IpamNotFound);
        world.as_account(ADMIN);
        let rejection = world.reject(ModifyScope { scope: ipam.public_default_scope, description: Change::Clear });
        assert_eq!(rejection.code, Code::RevisionMismatch);
    }
}
