//! The fold: decisions open and close intervals at `decided_at`, observations do where the world says.

use super::answers::{Cause, Changed, Holder};
use super::keys::{self, Entry};
use super::memory::Memory;
use super::observe;
use super::rows::{self, Closed, ModifiedRow, PoolRow, Present};
use super::spans::Writer;
use crate::domain::change::Change;
use crate::domain::command::{ResourceClaim, Tags};
use crate::domain::event::{
    AllocationModified, AllocationReleased, CidrAllocated, ClosedCidr, Event, PoolCidrDeprovisioned,
    PoolCidrProvisioned, PoolCreated, ResourceName, ResourceObserved,
};
use crate::domain::id::{AllocationId, ObjectId, PoolId};
use crate::domain::outcome::Outcome;
use crate::views::overlaps::{parties, reach};
use crate::views::table::{Table, TableError};
use crate::views::view::{Admitted, Prefixes, View};

/// The view of lineage and overlaps.
#[derive(Debug, Default)]
pub struct LineageView {
    memory: Memory,
}

impl LineageView {
    /// The column family: a change of rows or of their meaning is another one.
    pub const NAME: &'static str = "lineage-2";
}

impl View for LineageView {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn prefixes(&self) -> Option<Prefixes> {
        Some(Prefixes::of::<keys::Sought>())
    }

    fn fold(&mut self, table: &mut dyn Table, admitted: &Admitted<'_>) -> Result<(), TableError> {
        fold_outcome(&mut self.memory, table, admitted.outcome)
    }

    fn finish(&mut self, table: &mut dyn Table) -> Result<(), TableError> {
        self.memory.write(table);
        Ok(())
    }

    fn reset(&mut self) {
        self.memory.clear();
    }
}

/// Folds one outcome. One that is no part of any organisation's history leaves no rows.
pub(super) fn fold_outcome(memory: &mut Memory, table: &mut dyn Table, outcome: &Outcome) -> Result<(), TableError> {
    let Some(moment) = outcome.moment() else { return Ok(()) };
    let kept = memory.of(table, &outcome.organization)?;
    kept.summary.last = moment;
    let mut writer = Writer { table, organization: &outcome.organization, now: moment, kept };
    let cause = Cause::of(outcome, moment);
    for event in outcome.events() {
        fold_event(&mut writer, &cause, event)?;
    }
    Ok(())
}

fn fold_event(writer: &mut Writer<'_>, cause: &Cause, event: &Event) -> Result<(), TableError> {
    reach::fold(writer, event)?;
    match event {
        Event::PoolCreated(event) => {
            pool_created(writer, event);
            Ok(())
        }
        Event::PoolCidrProvisioned(event) => provisioned(writer, cause, event),
        Event::PoolCidrDeprovisioned(event) => deprovisioned(writer, cause, event),
        Event::PoolDeleted(event) => closed(writer, cause, &event.closed),
        Event::IpamDeleted(event) => closed(writer, cause, &event.closed),
        Event::CidrAllocated(event) => allocated(writer, cause, event),
        Event::AllocationModified(event) => modified(writer, event),
        Event::AllocationReleased(event) => released(writer, cause, event),
        Event::ResourceObserved(event) => observed(writer, cause, event),
        Event::ResourceGone(event) => {
            let name = ResourceName { kind: event.kind, id: event.id.clone() };
            observe::observed(writer, &name, event.observed_at, None, cause.clone())
        }
        Event::ObservationRetracted(event) => {
            let name = ResourceName { kind: event.kind, id: event.id.clone() };
            observe::retracted(writer, &name, event.observed_at, event.revision)
        }
        Event::ResourceTagged(event) => match event.resource {
            ObjectId::Pool(pool) => renamed(writer, pool, |name| match event.tags.get(NAME_TAG) {
                Some(new) => Some(new.clone()),
                None => name,
            }),
            _ => Ok(()),
        },
        Event::ResourceUntagged(event) => match event.resource {
            ObjectId::Pool(pool) if event.keys.iter().any(|key| key == NAME_TAG) => renamed(writer, pool, |_| None),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The tag that names a thing for people.
const NAME_TAG: &str = "Name";

fn name_of(tags: &Tags) -> Option<String> {
    tags.get(NAME_TAG).cloned()
}

fn pool_created(writer: &mut Writer<'_>, event: &PoolCreated) {
    let row = PoolRow {
        scope: event.scope,
        name: name_of(&event.tags),
        locale: event.locale.clone(),
        source_pool: event.source_pool,
        closed: Vec::new(),
    };
    writer.put_pool(event.pool, row);
}

fn renamed(
    writer: &mut Writer<'_>,
    pool: PoolId,
    rename: impl FnOnce(Option<String>) -> Option<String>,
) -> Result<(), TableError> {
    let mut row = writer.pool(pool)?;
    row.name = rename(row.name);
    writer.put_pool(pool, row);
    Ok(())
}

fn provisioned(writer: &mut Writer<'_>, cause: &Cause, event: &PoolCidrProvisioned) -> Result<(), TableError> {
    let pool = writer.pool(event.pool)?;
    let holder = Holder::Pool {
        scope: pool.scope,
        pool: event.pool,
        name: pool.name,
        locale: pool.locale,
        source_pool: pool.source_pool,
        source_allocation: event.source_allocation,
    };
    let row = writer.began(cause.clone(), holder);
    writer.rewrite(&Entry::Pool(event.pool), event.cidr, &[], vec![(cause.decided_at, row)])
}

fn deprovisioned(writer: &mut Writer<'_>, cause: &Cause, event: &PoolCidrDeprovisioned) -> Result<(), TableError> {
    end_pool_cidr(writer, cause, event.pool, event.cidr)
}

fn end_pool_cidr(
    writer: &mut Writer<'_>,
    cause: &Cause,
    pool: PoolId,
    cidr: crate::address::Cidr,
) -> Result<(), TableError> {
    let entry = Entry::Pool(pool);
    if let Some((from, row)) = writer.at_or_before(&entry, cidr, cause.decided_at)?
        && row.until.is_none()
    {
        writer.end(&entry, cidr, from, row, cause.clone())?;
    }
    Ok(())
}

/// A cascade: the pools' own intervals end here; allocations, of which there may be very many, are known
/// to have ended by the range they lie in (design D21).
fn closed(writer: &mut Writer<'_>, cause: &Cause, closed: &[ClosedCidr]) -> Result<(), TableError> {
    for range in closed {
        end_pool_cidr(writer, cause, range.pool, range.cidr)?;
        let mut pool = writer.pool(range.pool)?;
        pool.closed.push(Closed { cidr: range.cidr, cause: cause.clone() });
        writer.put_pool(range.pool, pool);
        writer.kept.summary.cascades = true;
    }
    Ok(())
}

fn allocated(writer: &mut Writer<'_>, cause: &Cause, event: &CidrAllocated) -> Result<(), TableError> {
    let pool = writer.pool(event.pool)?;
    let holder = Holder::Allocation {
        scope: pool.scope,
        pool: event.pool,
        allocation: event.allocation,
        description: event.description.clone(),
        resource: event.resource.clone(),
    };
    let row = writer.began(cause.clone(), holder);
    writer.rewrite(&Entry::Allocation(event.allocation), event.cidr, &[], vec![(cause.decided_at, row)])?;
    match &event.resource {
        Some(resource) => claimed(writer, event.allocation, event.cidr, &pool, resource),
        None => Ok(()),
    }
}

fn claimed(
    writer: &mut Writer<'_>,
    allocation: AllocationId,
    cidr: crate::address::Cidr,
    pool: &PoolRow,
    resource: &ResourceClaim,
) -> Result<(), TableError> {
    let name = ResourceName { kind: resource.kind, id: resource.id.clone() };
    parties::claimed(writer, &name, allocation, cidr, pool.scope)
}

fn modified(writer: &mut Writer<'_>, event: &AllocationModified) -> Result<(), TableError> {
    let entry = Entry::Allocation(event.allocation);
    let Some((cidr, from, row)) = writer.open_of(&entry)? else { return Ok(()) };
    let mut changes = Vec::new();
    match &event.description {
        Change::Unchanged => {}
        Change::Clear => changes.push(Changed::Description(None)),
        Change::Set(text) => changes.push(Changed::Description(Some(text.clone()))),
    }
    changes.extend(event.resource.clone().map(Changed::Resource));
    let key = keys::modified(writer.organization, event.allocation).revision(writer.now.revision);
    rows::put(writer.table, key, &ModifiedRow { decided_at: writer.now.decided_at, changes });
    let mut varied = row.clone();
    varied.varied = true;
    let holder = row.holder.clone();
    writer.rewrite(&entry, cidr, &[(from, row)], vec![(from, varied)])?;
    if let (Some(resource), Holder::Allocation { pool, .. }) = (&event.resource, holder) {
        let pool = writer.pool(pool)?;
        claimed(writer, event.allocation, cidr, &pool, resource)?;
    }
    Ok(())
}

fn released(writer: &mut Writer<'_>, cause: &Cause, event: &AllocationReleased) -> Result<(), TableError> {
    let entry = Entry::Allocation(event.allocation);
    match writer.open_of(&entry)? {
        Some((cidr, from, row)) => writer.end(&entry, cidr, from, row, cause.clone()),
        None => Ok(()),
    }
}

fn observed(writer: &mut Writer<'_>, cause: &Cause, event: &ResourceObserved) -> Result<(), TableError> {
    let mut cidrs: Vec<_> = event.cidrs.iter().map(|observed| observed.cidr).collect();
    cidrs.sort_unstable();
    cidrs.dedup();
    let present = Present { cidrs, attributes: event.attributes.clone() };
    let name = ResourceName { kind: event.kind, id: event.id.clone() };
    observe::observed(writer, &name, event.observed_at, Some(present), cause.clone())
}
