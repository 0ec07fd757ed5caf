//! The rows as the ledger knew them at one revision: what every query of lineage and overlaps reads.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::answers::{AttributeChange, Changed, Contradiction, Held, Holder};
use super::keys::{self, Entry, Generation};
use super::observe;
use super::rows::{self, Closed, Instant, ModifiedRow, PoolRow, Span, SpanRow, SummaryRow};
use crate::address::Cidr;
use crate::domain::command::ResourceAttributes;
use crate::domain::event::ResourceName;
use crate::domain::id::{AllocationId, OrganizationId, PoolId};
use crate::domain::time::Timestamp;
use crate::planted::{Bug, planted};
use crate::views::keys::KeyReader;
use crate::views::stored;
use crate::views::table::{Rows, TableError};
use crate::views::when::{AnswerHead, Window};

/// At most so many changes of one interval are listed.
pub const CHANGES_LISTED_MAX: usize = 100;
/// At most so many instants of one interval are looked at for changes.
const INSTANTS_EXAMINED_MAX: usize = 10_000;

/// What the observations of one instant say of a resource that holds a block.
#[derive(Debug, Default)]
pub struct Said {
    /// Of each that has the block, in the order of their revisions: all count (design D15).
    pub attributes: Vec<ResourceAttributes>,
    /// All of the instant, when they contradict each other.
    pub conflict: Vec<Contradiction>,
}

/// One organisation's rows as of one revision.
pub struct Known<'a> {
    pub rows: &'a dyn Rows,
    pub organization: &'a OrganizationId,
    pub head: AnswerHead,
    pub summary: SummaryRow,
    pools: RefCell<BTreeMap<PoolId, Option<PoolRow>>>,
}

impl<'a> Known<'a> {
    pub fn new(rows: &'a dyn Rows, organization: &'a OrganizationId, head: AnswerHead) -> Result<Self, TableError> {
        let summary = rows::summary(rows, organization)?;
        Ok(Self { rows, organization, head, summary, pools: RefCell::default() })
    }

    /// Which sets of intervals must be read: those set aside matter to the past only.
    pub fn generations(&self) -> &'static [Generation] {
        if self.head.revision < self.summary.last.revision {
            &[Generation::Current, Generation::Revised]
        } else {
            &[Generation::Current]
        }
    }

    /// An interval that was closed by range, as it is.
    pub fn with_cascades(&self, mut span: Span) -> Result<Span, TableError> {
        let Holder::Allocation { pool, .. } = &span.row.holder else { return Ok(span) };
        if !self.summary.cascades || span.row.until.is_some() || planted(Bug::CascadeIgnored) {
            return Ok(span);
        }
        if let Some(closed) = self.closed(*pool, &span)? {
            span.row.until = Some(closed.cause.decided_at);
            span.row.end_known = Some(closed.cause.moment());
            span.row.ended = Some(closed.cause);
        }
        Ok(span)
    }

    fn closed(&self, id: PoolId, span: &Span) -> Result<Option<Closed>, TableError> {
        let mut pools = self.pools.borrow_mut();
        let pool = match pools.entry(id) {
            std::collections::btree_map::Entry::Occupied(found) => found.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(rows::get(self.rows, &keys::pool(self.organization, id))?)
            }
        };
        Ok(pool.as_ref().and_then(|pool| {
            pool.closed
                .iter()
                .find(|closed| {
                    closed.cause.revision <= self.head.revision
                        && closed.cause.decided_at > span.from
                        && closed.cidr.contains(span.cidr)
                })
                .cloned()
        }))
    }

    /// The interval that a key names; `None` when the ledger did not have it.
    pub fn span(
        &self,
        entry: &Entry,
        cidr: Cidr,
        from: Timestamp,
        superseded: Option<crate::domain::id::Revision>,
    ) -> Result<Option<Span>, TableError> {
        let key = match superseded {
            None => keys::span(self.organization, cidr, from, entry),
            Some(superseded) => keys::revised(self.organization, cidr, from, entry, superseded),
        };
        let row: SpanRow =
            rows::get(self.rows, &key)?.ok_or_else(|| rows::damaged("a holder's interval is missing"))?;
        row.known_at(superseded, self.head.revision)
            .map(|row| self.with_cascades(Span { cidr, from, entry: entry.clone(), row }))
            .transpose()
    }

    /// The latest interval of a holder at a block that began at or before `at`.
    pub fn at_or_before(&self, entry: &Entry, cidr: Cidr, at: Timestamp) -> Result<Option<Span>, TableError> {
        let mut latest: Option<Span> = None;
        for generation in self.generations() {
            let prefix = keys::of_block(self.organization, entry, cidr, *generation);
            rows::walk(self.rows, &prefix, &prefix.clone().instant_descending(at), |part, _| {
                let mut reader = KeyReader::behind(part);
                let from = reader.instant_descending().ok_or_else(|| rows::damaged("a holder's key"))?;
                if latest.as_ref().is_some_and(|latest| latest.from >= from) {
                    return Ok(ControlFlow::Break(()));
                }
                let superseded = match generation {
                    Generation::Current => None,
                    Generation::Revised => Some(reader.revision().ok_or_else(|| rows::damaged("a holder's key"))?),
                };
                Ok(match self.span(entry, cidr, from, superseded)? {
                    Some(span) => {
                        latest = Some(span);
                        ControlFlow::Break(())
                    }
                    None => ControlFlow::Continue(()),
                })
            })?;
        }
        Ok(latest)
    }

    /// The interval of a holder at a block at an instant.
    pub fn at(&self, entry: &Entry, cidr: Cidr, at: Timestamp) -> Result<Option<Span>, TableError> {
        Ok(self.at_or_before(entry, cidr, at)?.filter(|span| span.row.until.is_none_or(|until| until > at)))
    }

    /// The interval for people: its holder as at the start of the window, and what changed within it.
    pub fn held(&self, span: Span, window: Window) -> Result<Held, TableError> {
        let start = span.from.max(window.from);
        let mut holder = span.row.holder;
        let mut changes = Vec::new();
        if span.row.varied {
            let end = span.row.until.map_or(window.until, |until| until.min(window.until));
            changes = match (&span.entry, &mut holder) {
                (Entry::Resource(name), Holder::Resource { attributes, .. }) => {
                    self.attribute_changes(name, span.cidr, start, end, attributes)?
                }
                (Entry::Allocation(id), holder) => self.allocation_changes(*id, start, end, holder)?,
                _ => Vec::new(),
            };
        }
        Ok(Held {
            cidr: span.cidr,
            holder,
            from: span.from,
            until: span.row.until,
            known: span.row.known,
            end_known: span.row.end_known,
            began: span.row.began,
            ended: span.row.ended,
            changes,
        })
    }

    /// Changes from `start` up to `end`, behind the contradiction that stands at `start`; sets `attributes` to those
    /// at `start`.
    fn attribute_changes(
        &self,
        name: &ResourceName,
        cidr: Cidr,
        start: Timestamp,
        end: Timestamp,
        attributes: &mut ResourceAttributes,
    ) -> Result<Vec<AttributeChange>, TableError> {
        let mut instants: Vec<Instant> = Vec::new();
        let last = end.plus_micros(-1);
        observe::backwards(self.rows, self.organization, name, last, self.head.revision, |instant| {
            let enough = instant.at <= start || instants.len() >= INSTANTS_EXAMINED_MAX;
            instants.push(instant);
            if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let mut before: Option<Vec<ResourceAttributes>> = None;
        let mut changes = Vec::new();
        for instant in instants.into_iter().rev() {
            let Some((present, cause)) = instant.holding(cidr).next() else { continue };
            let said: Vec<_> = instant.presents().map(|(present, _)| present.attributes.clone()).collect();
            let change = if said.len() > 1 {
                Some(Changed::Conflict(instant.contradictions()))
            } else {
                let differs = before.is_some_and(|before| before != said);
                differs.then(|| Changed::Attributes(present.attributes.clone()))
            };
            changes.extend(change.map(|now| AttributeChange { at: instant.at, revision: cause.revision, now }));
            if instant.at <= start {
                *attributes = present.attributes.clone();
            }
            before = Some(said);
        }
        let surplus = changes.len().saturating_sub(CHANGES_LISTED_MAX);
        Ok(changes.split_off(surplus))
    }

    /// What is said of a resource at an instant within an interval of it.
    pub fn said_at(&self, span: &Span, at: Timestamp) -> Result<Said, TableError> {
        let Holder::Resource { attributes, .. } = &span.row.holder else { return Ok(Said::default()) };
        let mut said = Said { attributes: vec![attributes.clone()], conflict: Vec::new() };
        if let Entry::Resource(name) = &span.entry
            && span.row.varied
        {
            observe::backwards(self.rows, self.organization, name, at, self.head.revision, |instant| {
                said.attributes = instant.holding(span.cidr).map(|(present, _)| present.attributes.clone()).collect();
                said.conflict = instant.contradictions();
                ControlFlow::Break(())
            })?;
        }
        Ok(said)
    }

    /// When an allocation was changed in a time.
    pub fn modified_in(&self, id: AllocationId, window: Window) -> Result<Vec<Timestamp>, TableError> {
        let prefix = keys::modified(self.organization, id);
        let mut found = Vec::new();
        rows::walk(self.rows, &prefix, &prefix, |_, value| {
            let at = stored::from_bytes::<ModifiedRow>(value)?.decided_at;
            if at >= window.until {
                return Ok(ControlFlow::Break(()));
            }
            found.extend(Some(at).filter(|at| *at >= window.from));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Changes of an allocation after `start` and before `end`; applies those up to `start` to `holder`.
    pub fn allocation_changes(
        &self,
        id: AllocationId,
        start: Timestamp,
        end: Timestamp,
        holder: &mut Holder,
    ) -> Result<Vec<AttributeChange>, TableError> {
        let Holder::Allocation { description, resource, .. } = holder else { return Ok(Vec::new()) };
        let mut changes = Vec::new();
        let prefix = keys::modified(self.organization, id);
        rows::walk(self.rows, &prefix, &prefix, |part, value| {
            let revision = KeyReader::behind(part).revision().ok_or_else(|| rows::damaged("a modification's key"))?;
            let row: ModifiedRow = stored::from_bytes(value)?;
            if revision > self.head.revision || row.decided_at >= end {
                return Ok(ControlFlow::Break(()));
            }
            for change in row.changes {
                if row.decided_at > start {
                    changes.push(AttributeChange { at: row.decided_at, revision, now: change });
                } else {
                    match change {
                        Changed::Description(text) => *description = text,
                        Changed::Resource(claim) => *resource = Some(claim),
                        Changed::Attributes(_) | Changed::Conflict(_) => {}
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let surplus = changes.len().saturating_sub(CHANGES_LISTED_MAX);
        Ok(changes.split_off(surplus))
    }
}
