//! The overlaps of one scope: the blocks that ever held a party over another one, in order, and at each
//! the pairs there are. Pairs are made while they are listed, so a page costs what is on it.

use std::ops::ControlFlow;

use super::answers::{OverlapGroup, OverlapPair, OverlapParty, OverlapsAnswer};
use super::stretches::{Parties, Stretch, last_together};
use crate::address::{Cidr, Family};
use crate::domain::id::{OrganizationId, ScopeId};
use crate::domain::kind::ResourceKind;
use crate::planted::{Bug, planted};
use crate::views::keys::{Key, KeyReader};
use crate::views::lineage::keys::{self, Entry};
use crate::views::lineage::known::Known;
use crate::views::lineage::query::{QueryError, ROWS_EXAMINED_MAX, ROWS_MAX, hex, unhex};
use crate::views::lineage::rows;
use crate::views::table::{Rows, TableError};
use crate::views::when::{AnswerHead, Window};

/// What is asked about the overlaps of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlapsQuery {
    pub scope: ScopeId,
    /// The part of the world's time.
    pub window: Window,
    /// Pairs on a page, 1 to [`ROWS_MAX`]; anything else is brought within.
    pub limit: usize,
    /// `next` of the page before.
    pub after: Option<String>,
}

/// Who shares addresses with whom in one scope, as the ledger knew it at `head`. A scope that never was has none.
///
/// # Errors
/// When the rows cannot be read, or the continuation is none of this query.
pub fn overlaps(
    rows: &dyn Rows,
    organization: &OrganizationId,
    head: AnswerHead,
    query: &OverlapsQuery,
) -> Result<OverlapsAnswer, QueryError> {
    let after = query.after.as_deref().map(Place::read).transpose()?;
    let mut groups = Vec::new();
    let mut next = None;
    if let Some(lies) = rows::scope(rows, organization, query.scope)? {
        let known = Known::new(rows, organization, head)?;
        let parties = Parties::new(&known, query.scope, lies, query.window);
        let limit = query.limit.clamp(1, ROWS_MAX);
        let mut listing = Listing { parties: &parties, limit, listed: 0, examined: 0, groups, next };
        for family in [Family::Ipv4, Family::Ipv6] {
            match &after {
                Some(after) if after.wide.family() > family => {}
                Some(after) if after.wide.family() == family => listing.family(family, Some(after))?,
                _ => listing.family(family, None)?,
            }
        }
        (groups, next) = (listing.groups, listing.next);
    }
    Ok(OverlapsAnswer { head, scope: query.scope, window: query.window, groups, next })
}

/// A pair in the order of the list: who holds the wider block, and who comes after it.
struct Place {
    wide: Cidr,
    wide_entry: Entry,
    narrow: Cidr,
    narrow_entry: Entry,
}

impl Place {
    fn text(&self) -> String {
        let family = if self.wide.family() == Family::Ipv4 { 4 } else { 6 };
        let wide = keys::entry_part(Key::new(family).block(self.wide), &self.wide_entry);
        hex(keys::entry_part(wide.block(self.narrow), &self.narrow_entry).bytes())
    }

    fn read(text: &str) -> Result<Self, QueryError> {
        let error = || QueryError::Continuation(text.chars().take(64).collect());
        let read = |bytes: &[u8]| {
            let family = match bytes.first()? {
                4 => Family::Ipv4,
                6 => Family::Ipv6,
                _ => return None,
            };
            let mut reader = KeyReader::new(bytes)?;
            Some(Self {
                wide: reader.block(family)?,
                wide_entry: Entry::read(&mut reader)?,
                narrow: reader.block(family)?,
                narrow_entry: Entry::read(&mut reader)?,
            })
        };
        unhex(text).and_then(|bytes| read(&bytes)).ok_or_else(error)
    }
}

struct Listing<'a> {
    parties: &'a Parties<'a>,
    limit: usize,
    listed: usize,
    examined: usize,
    groups: Vec<OverlapGroup>,
    next: Option<String>,
}

impl Listing<'_> {
    fn family(&mut self, family: Family, after: Option<&Place>) -> Result<(), TableError> {
        if self.next.is_some() {
            return Ok(());
        }
        let (known, space) = (self.parties.known, self.parties.lies.space);
        let prefix = keys::wides(known.organization, space, family);
        let start = after.map_or_else(|| prefix.clone(), |after| prefix.clone().block(after.wide));
        rows::walk(known.rows, &prefix, &start, |part, _| {
            let cidr = KeyReader::behind(part).block(family).ok_or_else(|| rows::damaged("a wide block's key"))?;
            self.group(cidr, after.filter(|after| after.wide == cidr))?;
            Ok(if self.next.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
    }

    /// Rows and turns together.
    fn has_examined_enough(&self) -> bool {
        self.examined + self.parties.more_turns.get() >= ROWS_EXAMINED_MAX
    }

    /// The pairs whose wider block is `cidr`.
    fn group(&mut self, cidr: Cidr, after: Option<&Place>) -> Result<(), TableError> {
        let known = self.parties.known;
        let prefix = keys::parties(known.organization, self.parties.lies.space, cidr.family());
        let at = prefix.clone().block(cidr);
        let start = after.map_or_else(|| at.clone(), |after| keys::entry_part(at.clone(), &after.wide_entry));
        let mut pairs = Vec::new();
        rows::walk(known.rows, &at, &start, |part, _| {
            let entry = Entry::read(&mut KeyReader::behind(part)).ok_or_else(|| rows::damaged("a party's key"))?;
            let wide = self.parties.stretches(cidr, &entry)?;
            if !wide.is_empty() {
                let after = after.filter(|after| after.wide_entry == entry);
                self.pairs_of(&prefix, (cidr, &entry), &wide, after, &mut pairs)?;
            }
            self.examined += 1;
            if self.next.is_none() && self.has_examined_enough() {
                let (wide_entry, narrow_entry) = (entry.clone(), entry);
                self.next = Some(Place { wide: cidr, wide_entry, narrow: cidr, narrow_entry }.text());
            }
            Ok(if self.next.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        if !pairs.is_empty() {
            self.groups.push(OverlapGroup { cidr, pairs });
        }
        Ok(())
    }

    /// The pairs of one party with those behind it at its block, and with those inside the block: they
    /// stand next to each other.
    fn pairs_of(
        &mut self,
        prefix: &Key,
        (cidr, entry): (Cidr, &Entry),
        wide: &[Stretch],
        after: Option<&Place>,
        pairs: &mut Vec<OverlapPair>,
    ) -> Result<(), TableError> {
        let behind = |cidr, entry: &Entry| keys::entry_part(prefix.clone().block(cidr), entry).end();
        let start = after.map_or_else(|| behind(cidr, entry), |after| behind(after.narrow, &after.narrow_entry));
        let (_, end) = keys::inside(prefix, cidr);
        let width = prefix.bytes().len();
        let mut result = Ok(());
        self.parties.known.rows.scan(&start, &end, &mut |key, _| {
            let mut look = || {
                let part = key.get(width..).unwrap_or_default();
                let (narrow_cidr, narrow_entry) =
                    keys::read_party(cidr.family(), part).ok_or_else(|| rows::damaged("a party's key"))?;
                self.examined += 1;
                if narrow_entry != *entry
                    && let narrow = self.parties.stretches(narrow_cidr, &narrow_entry)?
                    && let Some((wide, narrow)) = last_together(wide, &narrow)
                    && !is_exempt(wide, narrow)
                {
                    let since = if planted(Bug::OverlapSinceEarlier) {
                        wide.from.min(narrow.from)
                    } else {
                        wide.from.max(narrow.from)
                    };
                    let until = [wide.until, narrow.until].into_iter().flatten().min();
                    let known_since = wide.known.max(narrow.known);
                    let (wide, narrow) = (wide.clone(), narrow.clone());
                    pairs.push(OverlapPair { wide, narrow, since, until, known_since });
                    self.listed += 1;
                }
                if self.listed >= self.limit || self.has_examined_enough() {
                    let wide_entry = entry.clone();
                    let place = Place { wide: cidr, wide_entry, narrow: narrow_cidr, narrow_entry };
                    self.next = Some(place.text());
                    return Ok(ControlFlow::Break(()));
                }
                Ok(ControlFlow::Continue(()))
            };
            match look() {
                Ok(flow) => flow,
                Err(error) => {
                    result = Err(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        result
    }
}

/// An elastic address lies in the public pool around it by nature (design D26).
fn is_exempt(wide: &OverlapParty, narrow: &OverlapParty) -> bool {
    let kinds = (wide.kind, narrow.kind);
    kinds == (ResourceKind::PublicIpv4Pool, ResourceKind::Eip)
        || wide.cidr == narrow.cidr && kinds == (ResourceKind::Eip, ResourceKind::PublicIpv4Pool)
}
