//! Observations, in whatever order they come (design D15).
//!
//! The state at w is that of the latest instant at or before w with an observation that stands; at one
//! instant present beats gone, and several presents all count. So one more observation at t, or one
//! less, changes the world between t and the next instant only: that piece is cut out of or put into the
//! intervals around it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::answers::{Cause, Contradiction, Holder};
use super::keys::{self, Entry};
use super::rows::{self, Instant, LatestRow, Present, SeenRow, SpanRow};
use super::spans::Writer;
use crate::address::Cidr;
use crate::domain::event::ResourceName;
use crate::domain::id::{OrganizationId, Revision};
use crate::domain::time::Timestamp;
use crate::planted::{Bug, planted};
use crate::views::keys::KeyReader;
use crate::views::stored;
use crate::views::table::{Rows, TableError};

impl Instant {
    /// Observations that say the resource was there.
    pub fn presents(&self) -> impl Iterator<Item = (&Present, &Cause)> {
        self.rows.iter().filter_map(|row| row.present.as_ref().map(|present| (present, &row.cause)))
    }

    pub fn cidrs(&self) -> BTreeSet<Cidr> {
        self.presents().flat_map(|(present, _)| present.cidrs.iter().copied()).collect()
    }

    /// Observations that say the resource held `cidr`.
    pub fn holding(&self, cidr: Cidr) -> impl Iterator<Item = (&Present, &Cause)> {
        self.presents().filter(move |(present, _)| present.cidrs.contains(&cidr))
    }

    /// All that say the resource was there, when they are several: they contradict each other.
    pub fn contradictions(&self) -> Vec<Contradiction> {
        if self.presents().count() < 2 {
            return Vec::new();
        }
        let each = self.presents().map(|(present, cause)| Contradiction {
            revision: cause.revision,
            cidrs: present.cidrs.clone(),
            attributes: present.attributes.clone(),
        });
        each.collect()
    }

    /// The observation that an end at this instant is due to.
    fn ending(&self) -> Option<&Cause> {
        self.presents().map(|(_, cause)| cause).next().or_else(|| self.rows.first().map(|row| &row.cause))
    }
}

/// Folds an observation.
pub fn observed(
    writer: &mut Writer<'_>,
    name: &ResourceName,
    at: Timestamp,
    present: Option<Present>,
    cause: Cause,
) -> Result<(), TableError> {
    let row = SeenRow { present, cause, retracted: None };
    let key = keys::seen(writer.organization, name).instant_descending(at).revision(writer.now.revision);
    let latest: Option<LatestRow> = rows::get(writer.table, &keys::latest(writer.organization, name))?;
    let around = match latest {
        Some(latest) if latest.instant.at >= at && !planted(Bug::LastToArriveWins) => {
            let before = instant(writer.table, writer.organization, name, at, NOW)?;
            rows::put(writer.table, key, &row);
            Around::read(writer, name, before)?
        }
        // The common case costs one look: nothing stands at this instant or behind it.
        latest => {
            rows::put(writer.table, key, &row);
            Around::behind(latest, Instant { at, rows: vec![row] })
        }
    };
    writer.table.put(keys::seen_at(writer.organization, name).instant(at).into_bytes(), Vec::new());
    refold(writer, name, &around)
}

/// Folds the withdrawal of the observation at `at` that `revision` recorded.
pub fn retracted(
    writer: &mut Writer<'_>,
    name: &ResourceName,
    at: Timestamp,
    revision: Revision,
) -> Result<(), TableError> {
    let before = instant(writer.table, writer.organization, name, at, NOW)?;
    let key = keys::seen(writer.organization, name).instant_descending(at).revision(revision);
    let Some(mut row) = rows::get::<SeenRow>(writer.table, &key)? else { return Ok(()) };
    if row.retracted.is_none() && !planted(Bug::RetractionIgnored) {
        row.retracted = Some(writer.now);
        rows::put(writer.table, key, &row);
        let around = Around::read(writer, name, before)?;
        refold(writer, name, &around)?;
    }
    Ok(())
}

/// All that the ledger knows.
const NOW: Revision = Revision(u64::MAX);

/// One instant whose observations change, and what stands next to it.
struct Around {
    /// What stood at the instant.
    before: Instant,
    /// What stands there now.
    after: Instant,
    /// The instants on both sides at which anything stands.
    previous: Option<Instant>,
    next: Option<Instant>,
    /// When what is held at the previous instant began; absent where that must be looked up.
    starts: Option<BTreeMap<Cidr, Timestamp>>,
}

impl Around {
    /// Behind all that stands.
    fn behind(latest: Option<LatestRow>, after: Instant) -> Self {
        let before = Instant { at: after.at, rows: Vec::new() };
        let (previous, starts) = latest.map(|latest| (latest.instant, latest.starts)).unzip();
        Self { before, after, previous, next: None, starts: Some(starts.unwrap_or_default()) }
    }

    fn read(writer: &Writer<'_>, name: &ResourceName, before: Instant) -> Result<Self, TableError> {
        let (table, organization, at) = (&*writer.table, writer.organization, before.at);
        Ok(Self {
            after: instant(table, organization, name, at, NOW)?,
            previous: previous(table, organization, name, at, NOW)?,
            next: next(table, organization, name, at)?,
            starts: None,
            before,
        })
    }

    /// The interval at the previous instant.
    fn left(&self, writer: &Writer<'_>, entry: &Entry, cidr: Cidr) -> Result<(Timestamp, SpanRow), TableError> {
        let found = match self.starts.as_ref().and_then(|starts| starts.get(&cidr)) {
            Some(start) => writer.starting(entry, cidr, *start)?,
            None => writer.at_or_before(entry, cidr, self.before.at.plus_micros(-1))?,
        };
        found.ok_or_else(missing)
    }
}

fn missing() -> TableError {
    rows::damaged("an interval that observations speak of is missing")
}

/// Brings the rows up to date after the observations at one instant changed.
fn refold(writer: &mut Writer<'_>, name: &ResourceName, around: &Around) -> Result<(), TableError> {
    let entry = Entry::Resource(name.clone());
    mend_blocks(writer, &entry, around)?;
    let key = keys::latest(writer.organization, name);
    let latest = match &around.next {
        None => [Some(&around.after), around.previous.as_ref()]
            .into_iter()
            .flatten()
            .find(|instant| !instant.rows.is_empty())
            .cloned(),
        // The instant stays, but what it holds may have begun at another time.
        Some(_) => rows::get(writer.table, &key)?.map(|latest: LatestRow| latest.instant),
    };
    let Some(instant) = latest else {
        writer.table.delete(key.into_bytes());
        return Ok(());
    };
    let mut starts = BTreeMap::new();
    for cidr in instant.cidrs() {
        let start = match &around.starts {
            Some(starts) => starts.get(&cidr).copied().unwrap_or(instant.at),
            None => writer.start_at_or_before(&entry, cidr, instant.at)?.ok_or_else(missing)?,
        };
        starts.insert(cidr, start);
    }
    rows::put(writer.table, key, &LatestRow { instant, starts });
    Ok(())
}

fn mend_blocks(writer: &mut Writer<'_>, entry: &Entry, around: &Around) -> Result<(), TableError> {
    let Around { before, after, previous, next, .. } = around;
    let at = before.at;
    let held_before = previous.as_ref().map(Instant::cidrs).unwrap_or_default();
    let held_after = next.as_ref().map(Instant::cidrs).unwrap_or_default();
    let held_here = |here: &Instant| if here.rows.is_empty() { held_before.clone() } else { here.cidrs() };
    let (old, new) = (held_here(before), held_here(after));
    let quiet = previous.as_ref().is_some_and(|previous| same_attributes(previous, after));
    let blocks: BTreeSet<Cidr> = held_before.iter().chain(&old).chain(&new).copied().collect();
    for cidr in blocks {
        let piece = Piece {
            at,
            before: held_before.contains(&cidr),
            old: old.contains(&cidr),
            new: new.contains(&cidr),
            after: held_after.contains(&cidr),
        };
        // The common case, a resource seen again as it was, costs nothing more.
        if quiet && before.rows.is_empty() && piece.before && piece.old && piece.new {
            continue;
        }
        mend(writer, entry, cidr, piece, around, quiet)?;
    }
    Ok(())
}

/// Whether each of the two says one thing, and both the same, of the resource's attributes.
fn same_attributes(one: &Instant, other: &Instant) -> bool {
    let (mut one, mut other) = (one.presents(), other.presents());
    match (one.next(), one.next(), other.next(), other.next()) {
        (Some((one, _)), None, Some((other, _)), None) => one.attributes == other.attributes,
        _ => false,
    }
}

/// Where one block of one resource stood and stands: just before an instant, from it up to the next, and at the next.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four places in time, each held or not")]
struct Piece {
    at: Timestamp,
    before: bool,
    old: bool,
    new: bool,
    after: bool,
}

fn mend(
    writer: &mut Writer<'_>,
    entry: &Entry,
    cidr: Cidr,
    piece: Piece,
    around: &Around,
    quiet: bool,
) -> Result<(), TableError> {
    let (here, next) = (&around.after, around.next.as_ref());
    let mut old_rows = Vec::new();
    let mut left = None;
    if piece.before {
        let interval = around.left(writer, entry, cidr)?;
        left = Some(interval.clone());
        old_rows.push(interval);
    } else if piece.old {
        old_rows.push(writer.at_or_before(entry, cidr, piece.at)?.ok_or_else(missing)?);
    }
    if piece.after && !piece.old {
        let next = next.ok_or_else(missing)?;
        old_rows.push(writer.at_or_before(entry, cidr, next.at)?.ok_or_else(missing)?);
    }
    // What covers the next instant, if anything does, is the last of them.
    let end = if piece.after {
        let (_, row) = old_rows.last().ok_or_else(missing)?;
        (row.until, row.ended.clone())
    } else {
        next.map_or((None, None), |next| (Some(next.at), next.ending().cloned()))
    };
    let varied = old_rows.iter().any(|(_, row)| row.varied)
        || piece.new && piece.before && !quiet
        || piece.new && here.presents().count() > 1
        || piece.new && piece.after && !next.is_some_and(|next| same_attributes(here, next));
    let starting = |instant: &Instant| {
        instant.holding(cidr).next().map(|(present, cause)| (instant.at, begun(writer, entry, present, cause)))
    };
    let mut new_rows = Vec::new();
    if piece.new {
        let (from, row) = match &left {
            Some(left) => left.clone(),
            None => starting(here).ok_or_else(missing)?,
        };
        new_rows.push((from, SpanRow { until: end.0, ended: end.1, varied, ..row }));
    } else {
        if let Some((from, row)) = left {
            new_rows.push((from, SpanRow { until: Some(piece.at), ended: here.ending().cloned(), ..row }));
        }
        if piece.after {
            let (from, row) = starting(next.ok_or_else(missing)?).ok_or_else(missing)?;
            new_rows.push((from, SpanRow { until: end.0, ended: end.1, varied, ..row }));
        }
    }
    writer.rewrite(entry, cidr, &old_rows, new_rows)
}

fn begun(writer: &Writer<'_>, entry: &Entry, present: &Present, cause: &Cause) -> SpanRow {
    let Entry::Resource(name) = entry else { unreachable!("only resources are observed") };
    let holder = Holder::Resource { kind: name.kind, id: name.id.clone(), attributes: present.attributes.clone() };
    writer.began(cause.clone(), holder)
}

/// What stands at `at`, as of a revision.
pub fn instant(
    rows: &dyn Rows,
    organization: &OrganizationId,
    name: &ResourceName,
    at: Timestamp,
    revision: Revision,
) -> Result<Instant, TableError> {
    let prefix = keys::seen(organization, name).instant_descending(at);
    let mut found = Instant { at, rows: Vec::new() };
    rows::walk(rows, &prefix, &prefix, |_, value| {
        let row: SeenRow = stored::from_bytes(value)?;
        if stands(&row, revision) {
            found.rows.push(row);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

fn stands(row: &SeenRow, revision: Revision) -> bool {
    row.cause.revision <= revision && row.retracted.is_none_or(|retracted| retracted.revision > revision)
}

/// The latest instant before `at` where anything stands, as of a revision.
pub fn previous(
    rows: &dyn Rows,
    organization: &OrganizationId,
    name: &ResourceName,
    at: Timestamp,
    revision: Revision,
) -> Result<Option<Instant>, TableError> {
    let mut found = None;
    backwards(rows, organization, name, at.plus_micros(-1), revision, |instant| {
        found = Some(instant);
        ControlFlow::Break(())
    })?;
    // The first microsecond of time has nothing before it.
    Ok(found.filter(|instant: &Instant| instant.at < at))
}

/// The instants at or before `at` where anything stands, latest first, until `each` breaks.
pub fn backwards(
    rows: &dyn Rows,
    organization: &OrganizationId,
    name: &ResourceName,
    at: Timestamp,
    revision: Revision,
    mut each: impl FnMut(Instant) -> ControlFlow<()>,
) -> Result<(), TableError> {
    let prefix = keys::seen(organization, name);
    let mut open: Option<Instant> = None;
    let mut stopped = false;
    rows::walk(rows, &prefix, &prefix.clone().instant_descending(at), |part, value| {
        let at = KeyReader::behind(part).instant_descending().ok_or_else(|| rows::damaged("an observation's key"))?;
        let row: SeenRow = stored::from_bytes(value)?;
        if !stands(&row, revision) {
            return Ok(ControlFlow::Continue(()));
        }
        match &mut open {
            Some(instant) if instant.at == at => instant.rows.push(row),
            _ => {
                if let Some(done) = open.replace(Instant { at, rows: vec![row] })
                    && each(done).is_break()
                {
                    stopped = true;
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if let Some(last) = open
        && !stopped
    {
        let _ = each(last);
    }
    Ok(())
}

/// The earliest instant after `at` where anything stands now.
fn next(
    rows: &dyn Rows,
    organization: &OrganizationId,
    name: &ResourceName,
    at: Timestamp,
) -> Result<Option<Instant>, TableError> {
    let prefix = keys::seen_at(organization, name);
    let mut found = None;
    // Strictly after: all keys of `at` itself begin with its instant.
    rows::walk(rows, &prefix, &prefix.clone().instant(at).byte(0), |part, _| {
        let at = KeyReader::behind(part).instant().ok_or_else(|| rows::damaged("an instant's key"))?;
        let here = instant(rows, organization, name, at, NOW)?;
        if here.rows.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        found = Some(here);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}
