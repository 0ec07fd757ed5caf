//! Pools with utilization: one, the tree, the fullest, and how a pool filled over time (spec §3.5, D23).

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::rows::{Kind, Object, ObjectRow, Picture, usage_prefix, usage_revision};
use crate::address::AddressCount;
use crate::domain::id::{IpamId, PoolId, Revision, ScopeId};
use crate::domain::pool::{Pool, PoolUsage};
use crate::views::answer::{Page, Paging, PoolAnswer, PoolCidrAnswer, PoolNode, PoolTree, UsagePoint, Utilization};
use crate::views::outcomes::{damaged, each, moment_of};
use crate::views::stored;
use crate::views::when::{QueryError, check_limit};

/// A tree of more pools is asked for scope by scope.
const TREE_POOLS_MAX: usize = 10_000;

/// The pools of a scope with their stored rows, by id.
pub(super) fn live_pools(picture: &Picture<'_>, scope: ScopeId) -> Result<Vec<(Pool, ObjectRow)>, QueryError> {
    let rows = picture.children((Kind::Scope, scope.bits()), Kind::Pool)?;
    if rows.len() > TREE_POOLS_MAX {
        return Err(QueryError::TooLarge { what: "pools", max: TREE_POOLS_MAX });
    }
    let pools = rows.into_iter().filter_map(|row| match &row.object {
        Object::Pool(pool) => Some((pool.clone(), row)),
        _ => None,
    });
    Ok(pools.collect())
}

/// One pool with its utilization.
///
/// # Errors
/// When there was no such pool, or the rows cannot be read.
pub fn pool(picture: &Picture<'_>, id: PoolId) -> Result<PoolAnswer, QueryError> {
    let scope = live_pool(picture, id)?.scope;
    let tree = scope_tree(picture, scope)?;
    let mut nodes: Vec<_> = tree.into_iter().collect();
    while let Some(node) = nodes.pop() {
        if node.pool.pool == id {
            return Ok(node.pool);
        }
        nodes.extend(node.children);
    }
    Err(damaged("the tree of pools").into())
}

/// The pools of a scope, or of all scopes, each with its utilization and with those below it.
///
/// # Errors
/// When there was no such scope, its pools are too many for one answer, or the rows cannot be read.
pub fn pool_tree(picture: &Picture<'_>, scope: Option<ScopeId>) -> Result<PoolTree, QueryError> {
    let scopes = match scope {
        Some(id) => {
            picture.live(Kind::Scope, id.bits())?.ok_or_else(|| picture.not_found("scope", id))?;
            vec![id]
        }
        None => all_scopes(picture)?,
    };
    let mut pools = Vec::new();
    for scope in scopes {
        pools.extend(scope_tree(picture, scope)?);
    }
    pools.sort_by(|left, right| left.pool.path.cmp(&right.pool.path));
    Ok(PoolTree { pools })
}

/// Leaf pools by the share handed out, fullest first; at most `limit` (1 to [`Paging::LIMIT_MAX`]; D23).
///
/// # Errors
/// As [`pool_tree`], and when the limit is none.
pub fn fullest(picture: &Picture<'_>, limit: usize) -> Result<Page<PoolAnswer>, QueryError> {
    check_limit(limit, Paging::LIMIT_MAX)?;
    let mut leaves = Vec::new();
    let mut nodes = pool_tree(picture, None)?.pools;
    while let Some(node) = nodes.pop() {
        if node.children.is_empty() {
            leaves.push(node.pool);
        } else {
            nodes.extend(node.children);
        }
    }
    let share = |pool: &PoolAnswer| pool.utilization.percent_allocated + pool.utilization.percent_assigned;
    leaves.sort_by(|left, right| share(right).total_cmp(&share(left)).then_with(|| left.pool.cmp(&right.pool)));
    leaves.truncate(limit);
    Ok(Page { items: leaves, next: None })
}

/// The CIDRs of a pool, in address order.
///
/// # Errors
/// As [`pool`].
pub fn pool_cidrs(picture: &Picture<'_>, id: PoolId) -> Result<Page<PoolCidrAnswer>, QueryError> {
    let pool = live_pool(picture, id)?;
    let mut items = Vec::with_capacity(pool.cidrs.len());
    for provisioned in pool.cidrs {
        let row = picture.object(Kind::PoolCidr, provisioned.id.bits())?;
        let Some(ObjectRow { created, object: Object::PoolCidr { placement }, .. }) = row else {
            return Err(damaged("a provisioned CIDR").into());
        };
        items.push(PoolCidrAnswer {
            pool: id,
            pool_cidr: provisioned.id,
            cidr: provisioned.cidr,
            source_allocation: provisioned.source_allocation,
            ownership: provisioned.ownership,
            placement,
            provisioned: created,
        });
    }
    Ok(Page { items, next: None })
}

/// How full a pool was, newest first: a point for every revision that changed it.
///
/// # Errors
/// As [`pool`], and when limit or cursor are none.
pub fn usage_series(picture: &Picture<'_>, pool: PoolId, paging: &Paging) -> Result<Page<UsagePoint>, QueryError> {
    check_limit(paging.limit, Paging::LIMIT_MAX)?;
    picture.object(Kind::Pool, pool.bits())?.ok_or_else(|| picture.not_found("pool", pool))?;
    let newest = match &paging.after {
        None => picture.moment.revision,
        Some(cursor) => {
            let last: u64 = cursor.parse().map_err(|_| QueryError::Cursor)?;
            Revision(last.checked_sub(1).ok_or(QueryError::Cursor)?.min(picture.moment.revision.0))
        }
    };
    let prefix = usage_prefix(picture.organization, pool);
    let mut found: Vec<(Revision, PoolUsage)> = Vec::new();
    let mut more = false;
    each(picture.rows, prefix.clone().revision_descending(newest).bytes(), &prefix.end(), |key, value| {
        if found.len() == paging.limit {
            more = true;
            return Ok(ControlFlow::Break(()));
        }
        let revision = usage_revision(key).ok_or_else(|| damaged("a pool's counters"))?;
        found.push((revision, stored::from_bytes(value)?));
        Ok(ControlFlow::Continue(()))
    })?;
    let mut items = Vec::with_capacity(found.len());
    for (revision, usage) in found {
        let moment = moment_of(picture.rows, picture.organization, revision)?.ok_or_else(|| damaged("the clock"))?;
        let utilization = utilization(&usage, usage.assigned);
        items.push(UsagePoint { revision, decided_at: moment.decided_at, utilization });
    }
    let next = items.last().filter(|_| more).map(|last| last.revision.to_string());
    Ok(Page { items, next })
}

fn live_pool(picture: &Picture<'_>, id: PoolId) -> Result<Pool, QueryError> {
    match picture.live(Kind::Pool, id.bits())? {
        Some(ObjectRow { object: Object::Pool(pool), .. }) => Ok(pool),
        _ => Err(picture.not_found("pool", id)),
    }
}

fn all_scopes(picture: &Picture<'_>) -> Result<Vec<ScopeId>, QueryError> {
    let mut scopes = Vec::new();
    for ipam in picture.ipams()? {
        for row in picture.children((Kind::Ipam, ipam.id.bits()), Kind::Scope)? {
            if let Object::Scope(scope) = row.object {
                scopes.push(scope.id);
            }
        }
    }
    Ok(scopes)
}

fn scope_tree(picture: &Picture<'_>, scope: ScopeId) -> Result<Vec<PoolNode>, QueryError> {
    let ipam = match picture.object(Kind::Scope, scope.bits())?.map(|row| row.object) {
        Some(Object::Scope(scope)) => scope.ipam,
        _ => return Err(damaged("a pool's scope").into()),
    };
    let mut below: BTreeMap<Option<PoolId>, Vec<(Pool, ObjectRow, PoolUsage)>> = BTreeMap::new();
    for (pool, row) in live_pools(picture, scope)? {
        let usage = picture.usage(pool.id)?;
        below.entry(pool.source_pool).or_default().push((pool, row, usage));
    }
    Ok(nodes(&mut below, ipam, None, ""))
}

/// The pools below `parent`, by path. Depth is bounded by the quota of pool depth.
fn nodes(
    below: &mut BTreeMap<Option<PoolId>, Vec<(Pool, ObjectRow, PoolUsage)>>,
    ipam: IpamId,
    parent: Option<PoolId>,
    path: &str,
) -> Vec<PoolNode> {
    let mut nodes_here = Vec::new();
    for (pool, row, usage) in below.remove(&parent).unwrap_or_default() {
        let name = pool.tags.get("Name").cloned();
        let own = name.clone().unwrap_or_else(|| pool.id.to_string());
        let path = if path.is_empty() { own } else { format!("{path}/{own}") };
        let children = nodes(below, ipam, Some(pool.id), &path);
        let in_subtree =
            children.iter().fold(usage.assigned, |sum, child| sum + child.pool.utilization.assigned_in_subtree);
        let changed = row.changed();
        nodes_here.push(PoolNode {
            pool: PoolAnswer {
                pool: pool.id,
                ipam,
                scope: pool.scope,
                source_pool: pool.source_pool,
                path,
                depth: pool.depth,
                address_family: pool.address_family,
                locale: pool.locale,
                description: pool.description,
                name,
                tags: pool.tags,
                allocation_min_netmask_length: pool.rules.min_netmask_length,
                allocation_max_netmask_length: pool.rules.max_netmask_length,
                allocation_default_netmask_length: pool.rules.default_netmask_length,
                allocation_resource_tags: pool.rules.resource_tags,
                placement: pool.placement,
                auto_import: pool.auto_import,
                publicly_advertisable: pool.publicly_advertisable,
                aws_service: pool.aws_service,
                public_ip_source: pool.public_ip_source,
                utilization: utilization(&usage, in_subtree),
                created: row.created,
                changed,
            },
            children,
        });
    }
    nodes_here.sort_by(|left, right| left.pool.path.cmp(&right.pool.path));
    nodes_here
}

fn utilization(usage: &PoolUsage, assigned_in_subtree: AddressCount) -> Utilization {
    let percent = |count: AddressCount| count.percent_of(usage.provisioned);
    Utilization {
        provisioned: usage.provisioned,
        allocated: usage.child_pools,
        assigned: usage.assigned,
        available: usage.available,
        percent_allocated: percent(usage.child_pools),
        percent_assigned: percent(usage.assigned),
        percent_available: percent(usage.available),
        assigned_in_subtree,
        percent_assigned_in_subtree: percent(assigned_in_subtree),
        allocation_count: usage.allocations,
        largest_free_block: usage.largest_free_block,
    }
}
