//! The values of the lineage view's rows, and how they are read and written: JSON, as in the log.

use std::ops::ControlFlow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::answers::{Cause, Changed, Holder};
use super::keys::{self, Entry, Generation, SpanKey};
use crate::address::{Cidr, Family};
use crate::domain::command::ResourceAttributes;
use crate::domain::id::{OrganizationId, PoolId, Region, Revision, ScopeId};
use crate::domain::outcome::{Moment, Outcome};
use crate::domain::time::Timestamp;
use crate::views::keys::Key;
use crate::views::table::{Rows, Table, TableError};

/// One interval: its key says block, start and holder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// One observation of one resource at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenRow {
    /// `None`: gone.
    pub present: Option<Present>,
    pub cause: Cause,
    pub retracted: Option<Moment>,
}

/// A resource with its blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Present {
    /// Sorted, each once.
    pub cidrs: Vec<Cidr>,
    pub attributes: ResourceAttributes,
}

/// What the view remembers of an organisation as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolRow {
    pub scope: ScopeId,
    pub name: Option<String>,
    pub locale: Option<Region>,
    pub source_pool: Option<PoolId>,
    /// What cascades closed here; at most as many as the pool had CIDRs.
    pub closed: Vec<Closed>,
}

/// All allocations of a pool inside `cidr` that had not ended before ended here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Closed {
    pub cidr: Cidr,
    pub cause: Cause,
}

/// What changed about an allocation with one outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModifiedRow {
    pub decided_at: Timestamp,
    pub changes: Vec<Changed>,
}

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

pub fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, TableError> {
    serde_json::from_slice(value)
        .map_err(|error| TableError(format!("a row of the lineage view cannot be read: {error}")))
}

pub fn damaged(what: &str) -> TableError {
    TableError(format!("the lineage view is damaged: {what}; rebuild it"))
}

pub fn get<T: DeserializeOwned>(rows: &dyn Rows, key: &Key) -> Result<Option<T>, TableError> {
    rows.get(key.bytes())?.map(|value| decode(&value)).transpose()
}

pub fn put<T: Serialize>(table: &mut dyn Table, key: Key, row: &T) {
    let value = serde_json::to_vec(row).expect("rows are made of types that JSON can hold, with text keys");
    table.put(key.into_bytes(), value);
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
    Ok((Span { cidr: key.cidr, from: key.from, entry: key.entry, row: decode(value)? }, key.superseded))
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
