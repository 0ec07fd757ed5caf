//! All intervals of one resource; and what appeared and vanished in a time.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::answers::{ChangeCounts, ChangesAnswer, HolderChange, ResourceHistory, Turn};
use super::keys::{self, Entry, Generation};
use super::known::Known;
use super::query::{QueryError, ROWS_MAX, hex, unhex};
use super::rows;
use crate::address::Cidr;
use crate::domain::command::ResourceAttributes;
use crate::domain::event::ResourceName;
use crate::domain::id::{OrganizationId, Region};
use crate::domain::kind::ResourceKind;
use crate::domain::time::Timestamp;
use crate::views::keys::Key;
use crate::views::table::{Rows, TableError};
use crate::views::when::{AnswerHead, Window};

/// Every interval of one resource in a time, as the ledger knew it at `head`. At most `limit` of them
/// (1 to [`ROWS_MAX`]), behind the page that ended with `after`.
///
/// # Errors
/// When the rows cannot be read, or the continuation is none of this query.
pub fn resource_history(
    rows: &dyn Rows,
    organization: &OrganizationId,
    head: AnswerHead,
    resource: &ResourceName,
    window: Window,
    limit: usize,
    after: Option<&str>,
) -> Result<ResourceHistory, QueryError> {
    let ledger = Known::new(rows, organization, head)?;
    let limit = limit.clamp(1, ROWS_MAX);
    let after = after.map(continuation).transpose()?;
    let entry = Entry::Resource(resource.clone());
    let mut found = Vec::new();
    for generation in ledger.generations() {
        let prefix = keys::of(organization, &entry, *generation);
        let start = match &after {
            Some(after) => Key::exactly(prefix.clone().raw(after).end()),
            None => prefix.clone(),
        };
        let mut count = 0;
        rows::walk(rows, &prefix, &start, |part, _| {
            let (cidr, from, superseded) =
                keys::read_of(part, *generation).ok_or_else(|| rows::damaged("a holder's key"))?;
            if let Some(span) = ledger.span(&entry, cidr, from, superseded)?
                && window.meets(from, span.row.until)
            {
                // The revision that superseded it is no part of the place: one of them is known at a time.
                let width = part.len() - if *generation == Generation::Revised { 8 } else { 0 };
                found.push((part.get(..width).unwrap_or_default().to_vec(), span));
                count += 1;
            }
            Ok(if count > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(place, _)| hex(place));
    let held = found.into_iter().map(|(_, span)| ledger.held(span, window)).collect::<Result<_, _>>()?;
    Ok(ResourceHistory { head, resource: resource.clone(), window, held, next })
}

fn continuation(text: &str) -> Result<Vec<u8>, QueryError> {
    unhex(text).ok_or_else(|| QueryError::Continuation(text.chars().take(64).collect()))
}

/// Which resources' changes are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangesFilter {
    pub kind: ResourceKind,
    /// Where the resource was when it appeared, or just before it vanished.
    pub region: Option<Region>,
}

/// What appeared and what vanished in a time, as the ledger knew it at `head`: a page of at most `limit`
/// (1 to [`ROWS_MAX`]) behind the one that ended with `after`, and on the first one counts of all, for which it walks
/// the whole time. A change of attributes is neither.
///
/// # Errors
/// When the rows cannot be read, or the continuation is none of this query.
pub fn changes(
    rows: &dyn Rows,
    organization: &OrganizationId,
    head: AnswerHead,
    filter: &ChangesFilter,
    window: Window,
    limit: usize,
    after: Option<&str>,
) -> Result<ChangesAnswer, QueryError> {
    let known = Known::new(rows, organization, head)?;
    let limit = limit.clamp(1, ROWS_MAX);
    let prefix = keys::turns(organization, filter.kind);
    let start = match after {
        None => prefix.clone().instant(window.from),
        Some(after) => Key::exactly(prefix.clone().raw(&continuation(after)?).end()),
    };
    let mut tally = after.is_none().then(Tally::default);
    let mut changes = Vec::new();
    let mut next = None;
    let mut last = Vec::new();
    rows::walk(rows, &prefix, &start, |part, _| {
        let (at, cidr, id) = keys::read_turn(part).ok_or_else(|| rows::damaged("a turn's key"))?;
        if at >= window.until {
            return Ok(ControlFlow::Break(()));
        }
        let Some(change) = turned(&known, filter, at, cidr, id)? else { return Ok(ControlFlow::Continue(())) };
        if let Some(tally) = &mut tally {
            tally.count(&change);
        }
        if changes.len() < limit {
            last = part.to_vec();
            changes.push(change);
        } else {
            next.get_or_insert_with(|| hex(&last));
        }
        Ok(if next.is_some() && tally.is_none() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(ChangesAnswer { head, window, kind: filter.kind, counts: tally.map(Tally::counts), changes, next })
}

/// What began or ended at an instant, if the ledger knew of it and it is asked for.
fn turned(
    known: &Known<'_>,
    filter: &ChangesFilter,
    at: Timestamp,
    cidr: Cidr,
    id: String,
) -> Result<Option<HolderChange>, TableError> {
    let entry = Entry::Resource(ResourceName { kind: filter.kind, id: id.clone() });
    let Some(span) = known.at_or_before(&entry, cidr, at)? else { return Ok(None) };
    let (change, cause) = match &span.row.ended {
        _ if span.from == at => (Turn::Appeared, span.row.began.clone()),
        Some(cause) if span.row.until == Some(at) => (Turn::Vanished, cause.clone()),
        _ => return Ok(None),
    };
    let said = known.said_at(&span, if span.from == at { at } else { at.plus_micros(-1) })?;
    // Of those that contradict each other any may be the one that is asked for.
    let mut asked = said.attributes.into_iter().filter(|one| filter.region.is_none() || one.region == filter.region);
    Ok(asked.next().map(|ResourceAttributes { account, region, .. }| HolderChange {
        at,
        change,
        cidr,
        id,
        account,
        region,
        cause,
    }))
}

/// Counts what appeared and what vanished.
#[derive(Default)]
struct Tally {
    counts: ChangeCounts,
    appeared: BTreeSet<(Cidr, String)>,
    vanished: BTreeSet<(Cidr, String)>,
}

impl Tally {
    fn count(&mut self, change: &HolderChange) {
        let (count, blocks) = match change.change {
            Turn::Appeared => (&mut self.counts.appeared_count, &mut self.appeared),
            Turn::Vanished => (&mut self.counts.vanished_count, &mut self.vanished),
        };
        *count += 1;
        blocks.insert((change.cidr, change.id.clone()));
    }

    fn counts(self) -> ChangeCounts {
        ChangeCounts { both_count: self.appeared.intersection(&self.vanished).count() as u64, ..self.counts }
    }
}
