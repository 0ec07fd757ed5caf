//! `if_revision`: a command that holds only while its object is as the sender saw it (design D8).
//!
//! Each command names one object: the organisation, an IPAM, a scope, a pool, an allocation or a resource.
//! An object changes when one of its own fields, tags or CIDRs does; what is made inside it (a pool's
//! allocations, a scope's pools) does not change it.

use super::authority;
use super::command::CommandBody;
use super::contents;
use super::decide::Ask;
use super::event::ResourceName;
use super::id::{ObjectId, Revision};
use super::kind::ResourceKind;
use super::rejection::{Code, Rejection};

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
    if changed <= expected {
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
