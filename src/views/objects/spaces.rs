//! IPAMs and scopes, with counts.

use super::organization::reach;
use super::pools::live_pools;
use super::rows::{Kind, Object, ObjectRow, Picture};
use crate::domain::command::Visibility;
use crate::domain::id::{IpamId, ScopeId};
use crate::views::answer::{IpamAnswer, Page, ScopeAnswer, ScopeKind};
use crate::views::when::{QueryError, Window};

/// All IPAMs, by id.
///
/// # Errors
/// When the rows cannot be read.
pub fn ipams(picture: &Picture<'_>) -> Result<Page<IpamAnswer>, QueryError> {
    let rows = picture.children((Kind::Organization, 0), Kind::Ipam)?;
    let reach = reach(picture)?;
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        let changed = row.changed();
        let ObjectRow { created, object: Object::Ipam(ipam), .. } = row else { continue };
        let scopes = picture.children((Kind::Ipam, ipam.id.bits()), Kind::Scope)?;
        items.push(IpamAnswer {
            ipam: ipam.id,
            reach: reach.seen_by(&ipam),
            owner: ipam.owner,
            home_region: ipam.home_region,
            operating_regions: ipam.operating_regions.into_iter().collect(),
            description: ipam.description,
            name: ipam.tags.get("Name").cloned(),
            tags: ipam.tags,
            private_default_scope: ipam.private_default_scope,
            public_default_scope: ipam.public_default_scope,
            default_resource_discovery: ipam.default_resource_discovery,
            default_resource_discovery_association: ipam.default_resource_discovery_association,
            scope_count: u64::try_from(scopes.len()).unwrap_or(u64::MAX),
            created,
            changed,
        });
    }
    Ok(Page { items, next: None })
}

/// The scopes of an IPAM, or of all, with counts.
///
/// # Errors
/// When there was no such IPAM, or the rows cannot be read.
pub fn scopes(picture: &Picture<'_>, ipam: Option<IpamId>) -> Result<Page<ScopeAnswer>, QueryError> {
    let ipams = match ipam {
        Some(id) => {
            picture.live(Kind::Ipam, id.bits())?.ok_or_else(|| picture.not_found("IPAM", id))?;
            vec![id]
        }
        None => picture.ipams()?.into_iter().map(|ipam| ipam.id).collect(),
    };
    let mut items = Vec::new();
    for ipam in ipams {
        for row in picture.children((Kind::Ipam, ipam.bits()), Kind::Scope)? {
            items.push(answer(picture, row)?);
        }
    }
    Ok(Page { items: items.into_iter().flatten().collect(), next: None })
}

/// One scope, with counts.
///
/// # Errors
/// When there was no such scope, or the rows cannot be read.
pub fn scope(picture: &Picture<'_>, id: ScopeId) -> Result<ScopeAnswer, QueryError> {
    let row = picture.live(Kind::Scope, id.bits())?;
    row.map(|row| answer(picture, row)).transpose()?.flatten().ok_or_else(|| picture.not_found("scope", id))
}

/// Refuses a scope that is not known, or had been deleted when a time began. What was before a scope can be asked about:
/// it is empty.
pub(in crate::views) fn scope_known(picture: &Picture<'_>, id: ScopeId, window: Window) -> Result<(), QueryError> {
    let row = picture.object(Kind::Scope, id.bits())?;
    let is_known = row.is_some_and(|row| row.ended.is_none_or(|ended| ended.decided_at > window.from));
    if is_known { Ok(()) } else { Err(picture.not_found("scope", id)) }
}

fn answer(picture: &Picture<'_>, row: ObjectRow) -> Result<Option<ScopeAnswer>, QueryError> {
    let changed = row.changed();
    let ObjectRow { created, object: Object::Scope(scope), .. } = row else { return Ok(None) };
    let pools = live_pools(picture, scope.id)?;
    let mut allocation_count = 0;
    for (pool, _) in &pools {
        allocation_count += picture.usage(pool.id)?.allocations;
    }
    Ok(Some(ScopeAnswer {
        scope: scope.id,
        ipam: scope.ipam,
        kind: match scope.visibility {
            Visibility::Private => ScopeKind::Private,
            Visibility::Public => ScopeKind::Public,
        },
        is_default: scope.is_default,
        description: scope.description,
        name: scope.tags.get("Name").cloned(),
        tags: scope.tags,
        pool_count: u64::try_from(pools.len()).unwrap_or(u64::MAX),
        allocation_count,
        created,
        changed,
    }))
}
