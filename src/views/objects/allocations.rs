//! Allocations: one by its id, and those of a pool in address order.

use std::ops::ControlFlow;

use super::rows::{Kind, Object, ObjectRow, Picture, holding_prefix};
use crate::address::{Cidr, Family};
use crate::domain::allocation::Holder;
use crate::domain::id::{AllocationId, PoolId, Revision};
use crate::views::answer::{AllocationAnswer, Page, Paging};
use crate::views::keys::after;
use crate::views::outcomes::{damaged, each};
use crate::views::table::TableError;
use crate::views::when::{QueryError, check_limit};

/// One allocation, released or not.
///
/// # Errors
/// When there was no such allocation, or the rows cannot be read.
pub fn allocation(picture: &Picture<'_>, id: AllocationId) -> Result<AllocationAnswer, QueryError> {
    let row = picture.object(Kind::Allocation, id.bits())?;
    let mut answer = row.and_then(answer).ok_or_else(|| picture.not_found("allocation", id))?;
    if answer.released.is_none() {
        let pool = picture.object(Kind::Pool, answer.pool.bits())?;
        answer.released = pool.and_then(|pool| pool.ended);
    }
    Ok(answer)
}

/// The allocations that a pool had, in address order.
///
/// # Errors
/// When there was no such pool, limit or cursor are none, or the rows cannot be read.
pub fn allocations(picture: &Picture<'_>, pool: PoolId, paging: &Paging) -> Result<Page<AllocationAnswer>, QueryError> {
    check_limit(paging.limit, Paging::LIMIT_MAX)?;
    let Some(ObjectRow { object: Object::Pool(pool), .. }) = picture.live(Kind::Pool, pool.bits())? else {
        return Err(picture.not_found("pool", pool));
    };
    let prefix = holding_prefix(picture.organization, pool.id);
    let from = match &paging.after {
        None => prefix.bytes().to_vec(),
        Some(cursor) => {
            let (cidr, id) = read_cursor(cursor, pool.address_family).ok_or(QueryError::Cursor)?;
            after(prefix.clone().block(cidr).bits(id.bits()).bytes())
        }
    };
    let mut held = Vec::new();
    let mut more = false;
    each(picture.rows, &from, &prefix.end(), |key, value| {
        let (id, from, until) = holding(key, value)?;
        if from > picture.moment.revision || until <= picture.moment.revision {
            return Ok(ControlFlow::Continue(()));
        }
        if held.len() == paging.limit {
            more = true;
            return Ok(ControlFlow::Break(()));
        }
        held.push(id);
        Ok(ControlFlow::Continue(()))
    })?;
    let mut items = Vec::with_capacity(held.len());
    for id in held {
        let row = picture.object(Kind::Allocation, id)?;
        items.push(row.and_then(answer).ok_or_else(|| damaged("an allocation"))?);
    }
    let next = items.last().filter(|_| more).map(|last| format!("{},{}", last.cidr, last.allocation));
    Ok(Page { items, next })
}

/// The id, the first revision that had it, and the first that had not.
fn holding(key: &[u8], value: &[u8]) -> Result<(u128, Revision, Revision), TableError> {
    let broken = || damaged("a held block");
    let id = u128::from_be_bytes(*key.last_chunk::<16>().ok_or_else(broken)?);
    let (from, rest) = value.split_first_chunk::<8>().ok_or_else(broken)?;
    let until = rest.first_chunk::<8>().ok_or_else(broken)?;
    Ok((id, Revision(u64::from_be_bytes(*from)), Revision(u64::from_be_bytes(*until))))
}

fn read_cursor(cursor: &str, family: Family) -> Option<(Cidr, AllocationId)> {
    let (cidr, id) = cursor.split_once(',')?;
    let cidr = cidr.parse::<Cidr>().ok().filter(|cidr| cidr.family() == family)?;
    Some((cidr, id.parse().ok()?))
}

fn answer(row: ObjectRow) -> Option<AllocationAnswer> {
    let changed = row.changed();
    let Object::Allocation { row: allocation, placement } = row.object else { return None };
    let kind = allocation.holder.kind();
    let (child_pool, resource) = match allocation.holder {
        Holder::Custom => (None, None),
        Holder::Pool(pool) => (Some(pool), None),
        Holder::Resource(claim) => (None, Some(claim)),
    };
    Some(AllocationAnswer {
        allocation: allocation.id,
        pool: allocation.pool,
        cidr: allocation.cidr,
        kind,
        child_pool,
        resource,
        description: allocation.description,
        tags: allocation.tags,
        placement,
        created: row.created,
        changed,
        released: row.ended,
    })
}
