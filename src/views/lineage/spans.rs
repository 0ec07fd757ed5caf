//! Writing intervals: whatever changes what the ledger says sets the old row aside with the revision
//! that superseded it. Only the end of an interval that lasted until now is put in place, because its own
//! revision says since when it is known.

use std::ops::ControlFlow;

use super::keys::{self, Entry, Generation};
use super::memory::Kept;
use super::rows::{self, PoolRow, SpanRow};
use crate::address::Cidr;
use crate::domain::id::{OrganizationId, PoolId, ScopeId};
use crate::domain::outcome::Moment;
use crate::domain::time::Timestamp;
use crate::views::overlaps::parties;
use crate::views::table::{Table, TableError};

/// Folds one outcome of one organisation into the rows.
pub struct Writer<'a> {
    pub table: &'a mut dyn Table,
    pub organization: &'a OrganizationId,
    pub now: Moment,
    pub kept: &'a mut Kept,
}

impl Writer<'_> {
    /// Replaces the rows `old` of one holder at one block by `new`. `known`, `written` and `end_known`
    /// of the new ones are set here.
    pub fn rewrite(
        &mut self,
        entry: &Entry,
        cidr: Cidr,
        old: &[(Timestamp, SpanRow)],
        new: Vec<(Timestamp, SpanRow)>,
    ) -> Result<(), TableError> {
        for (from, row) in old {
            if !new.iter().any(|(start, _)| start == from) {
                self.set_aside(entry, cidr, *from, row);
                self.table.delete(keys::span(self.organization, cidr, *from, entry).into_bytes());
                self.table.delete(self.of_key(entry, cidr, *from).into_bytes());
            }
        }
        for (from, mut row) in new {
            let before = old.iter().find(|(start, _)| *start == from).map(|(_, row)| row);
            if before.is_some_and(|before| before.says_the_same(&row)) {
                continue;
            }
            let ended_in_place = before.is_some_and(|before| {
                let mut as_before = row.clone();
                (as_before.until, as_before.ended) = (before.until, before.ended.clone());
                as_before.varied = before.varied;
                before.says_the_same(&as_before)
                    && (before.until.is_none() || before.until == row.until && before.ended == row.ended)
            });
            row.known = before.map_or(self.now, |before| before.known);
            row.end_known = row.until.map(|until| {
                before
                    .filter(|before| before.until == Some(until))
                    .and_then(|before| before.end_known)
                    .unwrap_or(self.now)
            });
            row.written = match before {
                Some(before) if ended_in_place => before.written,
                before => {
                    if let Some(before) = before {
                        self.set_aside(entry, cidr, from, before);
                    }
                    self.now.revision
                }
            };
            self.put(entry, cidr, from, &row);
            // Whoever had an interval here before is noted already.
            if old.is_empty() {
                parties::note(self, entry, cidr, &row.holder)?;
            }
        }
        Ok(())
    }

    /// Keeps what the ledger said until now, unless it said so within this outcome only.
    fn set_aside(&mut self, entry: &Entry, cidr: Cidr, from: Timestamp, row: &SpanRow) {
        let revision = self.now.revision;
        if row.written < revision {
            rows::put(self.table, keys::revised(self.organization, cidr, from, entry, revision), row);
            let key = keys::of_block(self.organization, entry, cidr, Generation::Revised)
                .instant_descending(from)
                .revision(revision);
            self.table.put(key.into_bytes(), Vec::new());
        }
    }

    fn put(&mut self, entry: &Entry, cidr: Cidr, from: Timestamp, row: &SpanRow) {
        rows::put(self.table, keys::span(self.organization, cidr, from, entry), row);
        self.table.put(self.of_key(entry, cidr, from).into_bytes(), Vec::new());
        self.kept.summary.lengths.add(cidr);
        if let Entry::Resource(name) = entry {
            self.kept.summary.resources = true;
            for at in [Some(from), row.until].into_iter().flatten() {
                self.table.put(keys::turn(self.organization, name, cidr, at).into_bytes(), Vec::new());
            }
        }
    }

    fn of_key(&self, entry: &Entry, cidr: Cidr, from: Timestamp) -> crate::views::keys::Key {
        keys::of_block(self.organization, entry, cidr, Generation::Current).instant_descending(from)
    }

    /// The interval of a holder at a block that starts at `from`.
    pub fn starting(
        &self,
        entry: &Entry,
        cidr: Cidr,
        from: Timestamp,
    ) -> Result<Option<(Timestamp, SpanRow)>, TableError> {
        let row = rows::get(self.table, &keys::span(self.organization, cidr, from, entry))?;
        Ok(row.map(|row| (from, row)))
    }

    /// When the interval of a holder at a block starts that is the latest to start at or before `at`.
    pub fn start_at_or_before(
        &self,
        entry: &Entry,
        cidr: Cidr,
        at: Timestamp,
    ) -> Result<Option<Timestamp>, TableError> {
        let prefix = keys::of_block(self.organization, entry, cidr, Generation::Current);
        let mut start = None;
        rows::walk(self.table, &prefix, &prefix.clone().instant_descending(at), |part, _| {
            start = crate::views::keys::KeyReader::behind(part).instant_descending();
            Ok(ControlFlow::Break(()))
        })?;
        Ok(start)
    }

    /// The interval of a holder at a block that is the latest to start at or before `at`.
    pub fn at_or_before(
        &self,
        entry: &Entry,
        cidr: Cidr,
        at: Timestamp,
    ) -> Result<Option<(Timestamp, SpanRow)>, TableError> {
        match self.start_at_or_before(entry, cidr, at)? {
            None => Ok(None),
            Some(from) => {
                self.starting(entry, cidr, from)?.map(Some).ok_or_else(|| rows::damaged("an interval is missing"))
            }
        }
    }

    /// Every block and start of a holder, now and revised.
    pub fn blocks_of(&self, entry: &Entry) -> Result<std::collections::BTreeSet<Cidr>, TableError> {
        let mut blocks = std::collections::BTreeSet::new();
        for generation in [Generation::Current, Generation::Revised] {
            let prefix = keys::of(self.organization, entry, generation);
            rows::walk(self.table, &prefix, &prefix, |part, _| {
                let (cidr, _, _) = keys::read_of(part, generation).ok_or_else(|| rows::damaged("a holder's key"))?;
                blocks.insert(cidr);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(blocks)
    }

    /// The open interval of an allocation or pool, with its block: decisions have one interval per block.
    pub fn open_of(&self, entry: &Entry) -> Result<Option<(Cidr, Timestamp, SpanRow)>, TableError> {
        let prefix = keys::of(self.organization, entry, Generation::Current);
        let mut found = None;
        rows::walk(self.table, &prefix, &prefix, |part, _| {
            found = keys::read_of(part, Generation::Current);
            Ok(ControlFlow::Break(()))
        })?;
        let Some((cidr, from, _)) = found else { return Ok(None) };
        let row: Option<SpanRow> = rows::get(self.table, &keys::span(self.organization, cidr, from, entry))?;
        Ok(row.filter(|row| row.until.is_none()).map(|row| (cidr, from, row)))
    }

    /// Ends an interval that lasts, here and now.
    pub fn end(
        &mut self,
        entry: &Entry,
        cidr: Cidr,
        from: Timestamp,
        row: SpanRow,
        cause: super::answers::Cause,
    ) -> Result<(), TableError> {
        let mut ended = row.clone();
        (ended.until, ended.ended) = (Some(self.now.decided_at), Some(cause));
        self.rewrite(entry, cidr, &[(from, row)], vec![(from, ended)])
    }

    /// A pool's row.
    pub fn pool(&mut self, id: PoolId) -> Result<PoolRow, TableError> {
        self.kept.pool(self.table, self.organization, id)
    }

    pub fn put_pool(&mut self, id: PoolId, row: PoolRow) {
        self.kept.put_pool(self.table, self.organization, id, row);
    }

    /// The space that parties of a scope lie in.
    pub fn space(&mut self, scope: ScopeId) -> Result<super::keys::Space, TableError> {
        self.kept.space(self.table, self.organization, scope)
    }

    /// A row for an interval that begins; `known`, `written` and `end_known` are set when it is written.
    pub const fn began(&self, cause: super::answers::Cause, holder: super::answers::Holder) -> SpanRow {
        SpanRow {
            until: None,
            known: self.now,
            written: self.now.revision,
            end_known: None,
            began: cause,
            ended: None,
            varied: false,
            holder,
        }
    }
}
