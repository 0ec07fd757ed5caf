//! The values of the lineage view's rows, and how they are read and written.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::answers::{Cause, Changed, Contradiction, Holder};
use super::keys::{self, Entry, Generation, Space, SpanKey};
use crate::address::{Cidr, Family};
use crate::domain::command::ResourceAttributes;
use crate::domain::id::{IpamId, OrganizationId, PoolId, Region, Revision, ScopeId};
use crate::domain::outcome::{Moment, Outcome};
use crate::domain::time::Timestamp;
use crate::views::keys::Key;
use crate::views::stored::{self, Stored, stored_enum, stored_struct};
use crate::views::table::{Rows, Table, TableError};

/// One interval: its key says block, start and holder.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRow {
    pub until: Option<Timestamp>,
    /// Since when the ledger says that it began then, without a break.
    pub known: Moment,
    /// The revision that wrote this row; the end apart, which may have come later.
    pub written: Revision,
    /// Since when the ledger says that it ended at `until`. An end that came after `written` was put in place.
    pub end_known: Option<Moment>,
    pub began: Cause,
    pub ended: Option<Cause>,
    /// A hint that never goes back: something changed within the interval, at whatever revision.
    pub varied: bool,
    pub holder: Holder,
}

impl SpanRow {
    /// Whether the two say the same about the world, whenever they were written.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.until == other.until
            && self.began == other.began
            && self.ended == other.ended
            && self.varied == other.varied
            && self.holder == other.holder
    }

    /// The interval as the ledger had it at `revision`; `None` when it did not have it.
    pub fn known_at(mut self, superseded: Option<Revision>, revision: Revision) -> Option<Self> {
        if self.written > revision || superseded.is_some_and(|superseded| superseded <= revision) {
            return None;
        }
        if self.end_known.is_some_and(|end| end.revision > revision) {
            self.reopen();
        }
        Some(self)
    }

    pub fn reopen(&mut self) {
        (self.until, self.end_known, self.ended) = (None, None, None);
    }
}

/// An interval with what its key says.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub cidr: Cidr,
    pub from: Timestamp,
    pub entry: Entry,
    pub row: SpanRow,
}

/// A scope's IPAM and the space its facts lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeRow {
    pub ipam: IpamId,
    pub space: Space,
}

/// One observation of one resource at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenRow {
    /// `None`: gone.
    pub present: Option<Present>,
    pub cause: Cause,
    pub retracted: Option<Moment>,
}

/// The latest instant of a resource at which anything stands; absent where nothing does.
#[derive(Clone, Debug, PartialEq)]
pub struct LatestRow {
    pub instant: Instant,
    /// The blocks that it holds since then, and when that began.
    pub starts: BTreeMap<Cidr, Timestamp>,
}

/// All observations of one resource at one instant that stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Instant {
    pub at: Timestamp,
    /// In the order of their revisions.
    pub rows: Vec<SeenRow>,
}

/// A resource with its blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Present {
    /// Sorted, each once.
    pub cidrs: Vec<Cidr>,
    pub attributes: ResourceAttributes,
}

/// What the view remembers of an organisation as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SummaryRow {
    /// The last outcome folded.
    pub last: Moment,
    pub lengths: Lengths,
    /// The lengths at which parties of overlaps were ever.
    pub party_lengths: Lengths,
    /// Whether any cascade ever closed allocations by range.
    pub cascades: bool,
    /// Whether any resource ever held anything.
    pub resources: bool,
}

/// The netmask lengths in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    /// Sorted.
    ipv4: Vec<u8>,
    ipv6: Vec<u8>,
}

impl Lengths {
    /// Shortest first.
    pub fn of(&self, family: Family) -> &[u8] {
        match family {
            Family::Ipv4 => &self.ipv4,
            Family::Ipv6 => &self.ipv6,
        }
    }

    /// Whether `cidr`'s length is new.
    pub fn add(&mut self, cidr: Cidr) -> bool {
        let lengths = match cidr.family() {
            Family::Ipv4 => &mut self.ipv4,
            Family::Ipv6 => &mut self.ipv6,
        };
        match lengths.binary_search(&cidr.length()) {
            Ok(_) => false,
            Err(place) => {
                lengths.insert(place, cidr.length());
                true
            }
        }
    }
}

/// What allocations and CIDRs of a pool inherit from it.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolRow {
    pub scope: ScopeId,
    pub name: Option<String>,
    pub locale: Option<Region>,
    pub source_pool: Option<PoolId>,
    /// What cascades closed here; at most as many as the pool had CIDRs.
    pub closed: Vec<Closed>,
}

/// All allocations of a pool inside `cidr` that had not ended before ended here.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    pub cidr: Cidr,
    pub cause: Cause,
}

/// What changed about an allocation with one outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct ModifiedRow {
    pub decided_at: Timestamp,
    pub changes: Vec<Changed>,
}

stored_struct!(SpanRow { until, known, written, end_known, began, ended, varied, holder });
stored_struct!(SeenRow { present, cause, retracted });
stored_struct!(LatestRow { instant, starts });
stored_struct!(Instant { at, rows });
stored_struct!(Present { cidrs, attributes });
stored_struct!(SummaryRow { last, lengths, party_lengths, cascades, resources });
stored_struct!(Lengths { ipv4, ipv6 });
stored_struct!(ScopeRow { ipam, space });
stored_struct!(PoolRow { scope, name, locale, source_pool, closed });
stored_struct!(Closed { cidr, cause });
stored_struct!(ModifiedRow { decided_at, changes });
stored_struct!(Cause { revision, decided_at, command_id, principal, reason });
stored_struct!(Contradiction { revision, cidrs, attributes });
stored_enum!(Changed {
    1 => Attributes { 0: attributes },
    2 => Conflict { 0: observations },
    3 => Description { 0: text },
    4 => Resource { 0: claim },
});
stored_enum!(Holder {
    1 => Pool {
        scope: scope,
        pool: pool,
        name: name,
        locale: locale,
        source_pool: source_pool,
        source_allocation: source_allocation
    },
    2 => Allocation {
        scope: scope,
        pool: pool,
        allocation: allocation,
        description: description,
        resource: resource
    },
    3 => Resource { kind: kind, id: id, attributes: attributes },
});

impl Cause {
    /// The outcome as a cause.
    pub fn of(outcome: &Outcome, moment: Moment) -> Self {
        Self {
            revision: moment.revision,
            decided_at: moment.decided_at,
            command_id: outcome.command_id,
            principal: outcome.principal.clone(),
            reason: outcome.reason.clone(),
        }
    }

    pub const fn moment(&self) -> Moment {
        Moment { revision: self.revision, decided_at: self.decided_at }
    }
}

pub fn damaged(what: &str) -> TableError {
    TableError(format!("the lineage view is damaged: {what}; rebuild it"))
}

pub fn get<T: Stored>(rows: &dyn Rows, key: &Key) -> Result<Option<T>, TableError> {
    rows.get(key.bytes())?.map(|value| stored::from_bytes(&value)).transpose()
}

pub fn put<T: Stored>(table: &mut dyn Table, key: Key, row: &T) {
    table.put(key.into_bytes(), stored::to_bytes(row));
}

/// Calls `each` with what follows `prefix` in the keys from `from` on, and with their values, until it breaks.
pub fn walk(
    rows: &dyn Rows,
    prefix: &Key,
    from: &Key,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, TableError>,
) -> Result<(), TableError> {
    let mut result = Ok(());
    let width = prefix.bytes().len();
    rows.scan(
        from.bytes(),
        &prefix.end(),
        &mut |key, value| match each(key.get(width..).unwrap_or_default(), value) {
            Ok(flow) => flow,
            Err(error) => {
                result = Err(error);
                ControlFlow::Break(())
            }
        },
    )?;
    result
}

/// A scope; `None` when there never was one of that id.
pub fn scope(rows: &dyn Rows, organization: &OrganizationId, scope: ScopeId) -> Result<Option<ScopeRow>, TableError> {
    get(rows, &keys::scope(organization, scope))
}

/// The space that parties of a scope lie in.
pub fn space_of(rows: &dyn Rows, organization: &OrganizationId, id: ScopeId) -> Result<Space, TableError> {
    scope(rows, organization, id)?.map(|row| row.space).ok_or_else(|| damaged(&format!("{id} is missing")))
}

pub fn summary(rows: &dyn Rows, organization: &OrganizationId) -> Result<SummaryRow, TableError> {
    Ok(get(rows, &keys::summary(organization))?.unwrap_or_default())
}

/// The interval that a span row holds, and the revision that superseded it.
pub fn read_any_span(
    family: Family,
    part: &[u8],
    value: &[u8],
    generation: Generation,
) -> Result<(Span, Option<Revision>), TableError> {
    let key = SpanKey::read(family, part, generation).ok_or_else(|| damaged("a span's key"))?;
    Ok((Span { cidr: key.cidr, from: key.from, entry: key.entry, row: stored::from_bytes(value)? }, key.superseded))
}

/// The interval as the ledger had it at `revision`; `None` when it did not have it.
pub fn as_of((span, superseded): (Span, Option<Revision>), revision: Revision) -> Option<Span> {
    let Span { cidr, from, entry, row } = span;
    row.known_at(superseded, revision).map(|row| Span { cidr, from, entry, row })
}

/// The interval that a span row holds, as of `revision`.
pub fn read_span(
    family: Family,
    part: &[u8],
    value: &[u8],
    generation: Generation,
    revision: Revision,
) -> Result<Option<Span>, TableError> {
    read_any_span(family, part, value, generation).map(|span| as_of(span, revision))
}
