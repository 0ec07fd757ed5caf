//! Who is a party, and when, within the time and as of the revision asked about.
//!
//! What somebody is can change only at a turn: where an interval of theirs begins or ends, where what is said of a
//! resource changes, where an allocation for it does, or where the IPAM sees more or less. Between two turns one look is
//! enough; an instant has one turn, its own.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::rc::Rc;

use super::answers::OverlapParty;
use super::parties;
use super::reach;
use crate::address::Cidr;
use crate::domain::command::{ResourceAttributes, ResourceClaim};
use crate::domain::event::ResourceName;
use crate::domain::id::{AccountId, AllocationId, PoolId, ScopeId};
use crate::domain::kind::ResourceKind;
use crate::domain::time::Timestamp;
use crate::planted::{Bug, planted};
use crate::views::lineage::answers::Holder;
use crate::views::lineage::keys::{Entry, Space};
use crate::views::lineage::known::{Known, Said};
use crate::views::lineage::observe;
use crate::views::lineage::rows::{Instant, ScopeRow, Span};
use crate::views::table::TableError;
use crate::views::when::Window;

/// A part of the time asked about in which somebody is the same party throughout.
#[derive(Clone, Debug)]
pub struct Stretch {
    from: Timestamp,
    until: Timestamp,
    party: OverlapParty,
}

/// Those of one holder of one block, in order of time.
pub type Stretches = Rc<[Stretch]>;

/// Two as they were when both last were parties at once.
pub fn last_together<'a>(one: &'a [Stretch], other: &'a [Stretch]) -> Option<(&'a OverlapParty, &'a OverlapParty)> {
    let (mut ones, mut others) = (one.iter().rev().peekable(), other.iter().rev().peekable());
    loop {
        let (one, other) = (ones.peek()?, others.peek()?);
        if one.from < other.until && other.from < one.until {
            return Some((&one.party, &other.party));
        }
        if one.from > other.from {
            ones.next();
        } else {
            others.next();
        }
    }
}

/// Finds out who is a party, and remembers it.
pub struct Parties<'a> {
    pub known: &'a Known<'a>,
    pub scope: ScopeId,
    /// Where the scope's facts lie.
    pub lies: ScopeRow,
    window: Window,
    found: RefCell<BTreeMap<(Cidr, Entry), Stretches>>,
    /// Turns looked at beyond one for each party.
    pub more_turns: Cell<usize>,
}

impl<'a> Parties<'a> {
    pub fn new(known: &'a Known<'a>, scope: ScopeId, lies: ScopeRow, window: Window) -> Self {
        Self { known, scope, lies, window, found: RefCell::default(), more_turns: Cell::default() }
    }

    /// When a holder of a block is a party.
    pub fn stretches(&self, cidr: Cidr, entry: &Entry) -> Result<Stretches, TableError> {
        let key = (cidr, entry.clone());
        if let Some(found) = self.found.borrow().get(&key) {
            return Ok(Rc::clone(found));
        }
        let turns = self.turns(cidr, entry)?;
        self.more_turns.set(self.more_turns.get() + turns.len() - 1);
        let ends = turns.iter().skip(1).copied().chain([self.window.until]);
        let mut stretches = Vec::new();
        for (from, until) in turns.iter().copied().zip(ends) {
            stretches.extend(self.party(cidr, entry, from)?.map(|party| Stretch { from, until, party }));
        }
        let stretches = Stretches::from(stretches);
        self.found.borrow_mut().insert(key, Rc::clone(&stretches));
        Ok(stretches)
    }

    /// The instants at which what a holder is may change, the first one asked about among them.
    fn turns(&self, cidr: Cidr, entry: &Entry) -> Result<BTreeSet<Timestamp>, TableError> {
        let window = self.window;
        let mut turns = BTreeSet::from([window.from]);
        if window.is_instant() {
            return Ok(turns);
        }
        let (known, rows, organization) = (self.known, self.known.rows, self.known.organization);
        let mut accounts = BTreeSet::new();
        for span in self.spans(entry, cidr, &mut turns)? {
            match &span.entry {
                Entry::Resource(name) => self.said(name, &span, &mut turns, &mut accounts)?,
                Entry::Allocation(id) if span.row.varied => turns.extend(known.modified_in(*id, window)?),
                Entry::Allocation(_) | Entry::Pool(_) => {}
            }
        }
        if let Entry::Resource(name) = entry {
            for (allocation, claim) in parties::claims(rows, organization, name)? {
                if claim.cidr.contains(cidr) {
                    self.spans(&Entry::Allocation(allocation), claim.cidr, &mut turns)?;
                    turns.extend(known.modified_in(allocation, window)?);
                }
            }
            turns.extend(reach::turns(rows, organization, self.lies.ipam, &accounts, window)?);
        }
        turns.retain(|at| window.from <= *at && *at < window.until);
        Ok(turns)
    }

    /// The intervals of a holder at a block in the time asked about; notes their ends.
    fn spans(&self, entry: &Entry, cidr: Cidr, turns: &mut BTreeSet<Timestamp>) -> Result<Vec<Span>, TableError> {
        let window = self.window;
        let mut spans = Vec::new();
        let mut last = window.until.plus_micros(-1);
        while let Some(span) = self.known.at_or_before(entry, cidr, last)?
            && window.meets(span.from, span.row.until)
        {
            turns.extend([Some(span.from), span.row.until].into_iter().flatten());
            last = span.from.plus_micros(-1);
            let began_before = span.from <= window.from;
            spans.push(span);
            if began_before {
                break;
            }
        }
        Ok(spans)
    }

    /// Notes where what is said of a resource changes within an interval, and the accounts that are named.
    fn said(
        &self,
        name: &ResourceName,
        span: &Span,
        turns: &mut BTreeSet<Timestamp>,
        accounts: &mut BTreeSet<AccountId>,
    ) -> Result<(), TableError> {
        let (known, window) = (self.known, self.window);
        if let Holder::Resource { attributes, .. } = &span.row.holder {
            accounts.extend(attributes.account);
        }
        if !span.row.varied {
            return Ok(());
        }
        let start = span.from.max(window.from);
        let last = span.row.until.map_or(window.until, |until| until.min(window.until)).plus_micros(-1);
        let mut later: Option<Instant> = None;
        observe::backwards(known.rows, known.organization, name, last, known.head.revision, |instant| {
            accounts.extend(instant.presents().filter_map(|(present, _)| present.attributes.account));
            let is_first = instant.at <= start;
            if let Some(later) = later.take()
                && !later.presents().map(|(present, _)| present).eq(instant.presents().map(|(present, _)| present))
            {
                turns.insert(later.at);
            }
            later = Some(instant);
            if is_first { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }

    fn party(&self, cidr: Cidr, entry: &Entry, at: Timestamp) -> Result<Option<OverlapParty>, TableError> {
        let Some(span) = self.known.at(entry, cidr, at)? else { return Ok(None) };
        match entry {
            Entry::Resource(name) => self.resource(name, &span, at),
            Entry::Allocation(id) => self.custom(*id, span, at),
            Entry::Pool(_) => Ok(None),
        }
    }

    fn custom(&self, id: AllocationId, span: Span, at: Timestamp) -> Result<Option<OverlapParty>, TableError> {
        let account = span.row.began.principal.account;
        let (cidr, from, until, known) = (span.cidr, span.from, span.row.until, span.row.known);
        let Holder::Allocation { scope, pool, description, resource, .. } = self.holder_at(id, span, at)? else {
            return Ok(None);
        };
        let custom = resource.is_none() && !planted(Bug::OverlapForgetsCustoms);
        Ok((scope == self.scope && custom).then(|| OverlapParty {
            cidr,
            kind: ResourceKind::Custom,
            id: id.to_string(),
            name: description,
            account: Some(account),
            region: None,
            conflict: Vec::new(),
            allocation: Some(id),
            pool: Some(pool),
            from,
            until,
            known,
        }))
    }

    /// An allocation's holder with what changed up to an instant.
    fn holder_at(&self, id: AllocationId, span: Span, at: Timestamp) -> Result<Holder, TableError> {
        let mut holder = span.row.holder;
        if span.row.varied {
            self.known.allocation_changes(id, at, at.plus_micros(1), &mut holder)?;
        }
        Ok(holder)
    }

    fn resource(&self, name: &ResourceName, span: &Span, at: Timestamp) -> Result<Option<OverlapParty>, TableError> {
        let Said { attributes, conflict } = self.known.said_at(span, at)?;
        let placed = self.placed(name, span.cidr, at)?;
        let mut speaker = None;
        for said in attributes {
            let here = if placed.is_empty() {
                self.sees(name.kind, &said, at)?
            } else {
                placed.iter().any(|placed| placed.scope == self.scope)
            };
            if here {
                speaker = Some(said);
                break;
            }
        }
        let placed = placed.into_iter().find(|placed| placed.scope == self.scope);
        Ok(speaker.map(|said| OverlapParty {
            cidr: span.cidr,
            kind: name.kind,
            id: name.id.clone(),
            name: said.name,
            account: said.account,
            region: said.region,
            conflict,
            allocation: placed.as_ref().map(|placed| placed.allocation),
            pool: placed.as_ref().map(|placed| placed.pool),
            from: span.from,
            until: span.row.until,
            known: span.row.known,
        }))
    }

    /// Whether facts of a kind with these attributes lie in the scope by default.
    fn sees(&self, kind: ResourceKind, said: &ResourceAttributes, at: Timestamp) -> Result<bool, TableError> {
        let (Some(account), Some(region)) = (said.account, &said.region) else { return Ok(false) };
        let reached = self.known.head.decided_at.min(at);
        Ok(self.lies.space != Space::Scope(self.scope)
            && parties::default_space(kind) == Some(self.lies.space)
            && reach::reaches(self.known.rows, self.known.organization, self.lies.ipam, account, region, reached)?)
    }

    /// The allocations that a resource's block is in and that are for it: they say which scopes it lies in.
    fn placed(&self, name: &ResourceName, cidr: Cidr, at: Timestamp) -> Result<Vec<Placed>, TableError> {
        let mut placed = Vec::new();
        for (allocation, claim) in parties::claims(self.known.rows, self.known.organization, name)? {
            if !claim.cidr.contains(cidr) {
                continue;
            }
            let Some(span) = self.known.at(&Entry::Allocation(allocation), claim.cidr, at)? else {
                continue;
            };
            if let Holder::Allocation { scope, pool, resource: Some(resource), .. } =
                self.holder_at(allocation, span, at)?
                && is_for(&resource, name)
            {
                placed.push(Placed { allocation, scope, pool });
            }
        }
        Ok(placed)
    }
}

struct Placed {
    allocation: AllocationId,
    scope: ScopeId,
    pool: PoolId,
}

fn is_for(claim: &ResourceClaim, name: &ResourceName) -> bool {
    claim.kind == name.kind && claim.id == name.id
}
