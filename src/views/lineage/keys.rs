//! The keys of the lineage view's rows (design D25); the overlaps' markers live among them.

use crate::address::{Cidr, Family};
use crate::domain::event::ResourceName;
use crate::domain::id::{AccountId, AllocationId, IpamId, OrganizationId, PoolId, Revision, ScopeId};
use crate::domain::kind::ResourceKind;
use crate::domain::time::Timestamp;
use crate::views::keys::{Key, KeyReader, organization_end, text_end};
use crate::views::stored::stored_enum;
use crate::views::view::Prefix;

/// The kinds of rows. A number is never used again for another kind.
mod kind {
    /// Intervals as the ledger has them now.
    pub(super) const SPAN4: u8 = 0x10;
    pub(super) const SPAN6: u8 = 0x11;
    /// Intervals that the ledger had until some revision.
    pub(super) const REVISED4: u8 = 0x12;
    pub(super) const REVISED6: u8 = 0x13;
    /// What stands of a resource's latest instant.
    pub(super) const LATEST: u8 = 0x14;
    /// From a holder to its intervals, now and revised.
    pub(super) const OF: u8 = 0x16;
    pub(super) const OF_REVISED: u8 = 0x17;
    /// Observations, latest instant first; and their instants, earliest first.
    pub(super) const SEEN: u8 = 0x18;
    pub(super) const SEEN_AT: u8 = 0x19;
    /// One row per organisation: last outcome, netmask lengths in use.
    pub(super) const SUMMARY: u8 = 0x1a;
    pub(super) const POOL: u8 = 0x1b;
    /// Changes of allocations that end no interval.
    pub(super) const MODIFIED: u8 = 0x1c;
    /// Instants at which an interval of a resource began or ended, at whatever revision.
    pub(super) const TURN: u8 = 0x1d;
    /// Who ever could be a party of an overlap in a space, block by block; and the blocks alone.
    pub(super) const PARTY: [u8; 2] = [0x20, 0x21];
    pub(super) const PARTY_AT: [u8; 2] = [0x22, 0x23];
    /// Blocks that ever held a party over another one.
    pub(super) const WIDE: [u8; 2] = [0x24, 0x25];
    /// Allocations that were ever for a resource.
    pub(super) const CLAIM: u8 = 0x26;
    /// What reach is made from, latest first.
    pub(super) const MEMBER: u8 = 0x27;
    pub(super) const ADMINISTRATOR: u8 = 0x28;
    pub(super) const IPAM: u8 = 0x29;
    pub(super) const SCOPE: u8 = 0x2a;
}

/// What queries and folds seek: the intervals of one block; what there is about one holder or one resource.
pub struct Sought;

impl Prefix for Sought {
    fn length(key: &[u8]) -> Option<usize> {
        let kind = *key.first()?;
        let start = organization_end(key)?;
        let block = |family: Family| Some(start + usize::from(family.bits() / 8) + 1);
        match kind {
            kind::SPAN4 | kind::REVISED4 => block(Family::Ipv4),
            kind::SPAN6 | kind::REVISED6 => block(Family::Ipv6),
            kind::OF | kind::OF_REVISED => Entry::end(key, start),
            kind::SEEN | kind::SEEN_AT | kind::CLAIM => text_end(key, text_end(key, start)?),
            kind::MODIFIED => Some(start + size_of::<u128>()),
            _ => None,
        }
    }
}

const fn by_family(kinds: [u8; 2], family: Family) -> u8 {
    let [ipv4, ipv6] = kinds;
    match family {
        Family::Ipv4 => ipv4,
        Family::Ipv6 => ipv6,
    }
}

/// Who holds a block: the identity that an interval belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    Pool(PoolId),
    Allocation(AllocationId),
    Resource(ResourceName),
}

impl Entry {
    fn part(&self, key: Key) -> Key {
        match self {
            Self::Pool(id) => key.byte(1).bits(id.bits()),
            Self::Allocation(id) => key.byte(2).bits(id.bits()),
            Self::Resource(name) => key.byte(3).text(name.kind.as_str()).text(&name.id),
        }
    }

    /// Where a holder that begins at `start` ends in a key.
    fn end(key: &[u8], start: usize) -> Option<usize> {
        match key.get(start)? {
            1 | 2 => Some(start + 1 + size_of::<u128>()),
            _ => text_end(key, text_end(key, start + 1)?),
        }
    }

    pub fn read(reader: &mut KeyReader<'_>) -> Option<Self> {
        match reader.byte()? {
            1 => PoolId::from_bits(reader.bits()?).map(Self::Pool),
            2 => AllocationId::from_bits(reader.bits()?).map(Self::Allocation),
            3 => {
                let kind: ResourceKind = reader.text()?.parse().ok()?;
                Some(Self::Resource(ResourceName { kind, id: reader.text()? }))
            }
            _ => None,
        }
    }
}

/// Which of the two sets of intervals: those that the ledger has, or those that it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    Current,
    Revised,
}

/// All intervals of one generation and family: the start of every span key.
pub fn spans(organization: &OrganizationId, family: Family, generation: Generation) -> Key {
    let kind = match (generation, family) {
        (Generation::Current, Family::Ipv4) => kind::SPAN4,
        (Generation::Current, Family::Ipv6) => kind::SPAN6,
        (Generation::Revised, Family::Ipv4) => kind::REVISED4,
        (Generation::Revised, Family::Ipv6) => kind::REVISED6,
    };
    Key::of(kind, organization)
}

/// What follows in a span key: block, start (latest first), holder. Revised ones end with the revision that superseded them.
pub fn span_part(key: Key, cidr: Cidr, from: Timestamp, entry: &Entry) -> Key {
    entry.part(key.block(cidr).instant_descending(from))
}

pub fn span(organization: &OrganizationId, cidr: Cidr, from: Timestamp, entry: &Entry) -> Key {
    span_part(spans(organization, cidr.family(), Generation::Current), cidr, from, entry)
}

pub fn revised(organization: &OrganizationId, cidr: Cidr, from: Timestamp, entry: &Entry, superseded: Revision) -> Key {
    span_part(spans(organization, cidr.family(), Generation::Revised), cidr, from, entry).revision(superseded)
}

/// A holder as a part of a key.
pub fn entry_part(key: Key, entry: &Entry) -> Key {
    entry.part(key)
}

/// The range of keys `prefix`, block, … whose block lies strictly inside `cidr`.
pub fn inside(prefix: &Key, cidr: Cidr) -> (Vec<u8>, Vec<u8>) {
    let family = cidr.family();
    let from = prefix.clone().address(family, cidr.first()).byte(cidr.length() + 1);
    let to = prefix.clone().address(family, cidr.last()).byte(u8::MAX);
    (from.into_bytes(), to.into_bytes())
}

/// A span key's parts behind the organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanKey {
    pub cidr: Cidr,
    pub from: Timestamp,
    pub entry: Entry,
    /// Set in the keys of revised intervals.
    pub superseded: Option<Revision>,
}

impl SpanKey {
    pub fn read(family: Family, part: &[u8], generation: Generation) -> Option<Self> {
        let mut reader = KeyReader::behind(part);
        Some(Self {
            cidr: reader.block(family)?,
            from: reader.instant_descending()?,
            entry: Entry::read(&mut reader)?,
            superseded: match generation {
                Generation::Current => None,
                Generation::Revised => Some(reader.revision()?),
            },
        })
    }
}

/// All intervals of one holder.
pub fn of(organization: &OrganizationId, entry: &Entry, generation: Generation) -> Key {
    let kind = match generation {
        Generation::Current => kind::OF,
        Generation::Revised => kind::OF_REVISED,
    };
    entry.part(Key::of(kind, organization))
}

/// All intervals of one holder at one block, latest start first.
pub fn of_block(organization: &OrganizationId, entry: &Entry, cidr: Cidr, generation: Generation) -> Key {
    of(organization, entry, generation).byte(family_byte(cidr.family())).block(cidr)
}

/// What follows [`of`] in a key.
pub fn read_of(part: &[u8], generation: Generation) -> Option<(Cidr, Timestamp, Option<Revision>)> {
    let mut reader = KeyReader::behind(part);
    let family = read_family(reader.byte()?)?;
    let (cidr, from) = (reader.block(family)?, reader.instant_descending()?);
    Some((
        cidr,
        from,
        match generation {
            Generation::Current => None,
            Generation::Revised => Some(reader.revision()?),
        },
    ))
}

const fn family_byte(family: Family) -> u8 {
    match family {
        Family::Ipv4 => 4,
        Family::Ipv6 => 6,
    }
}

const fn read_family(byte: u8) -> Option<Family> {
    match byte {
        4 => Some(Family::Ipv4),
        6 => Some(Family::Ipv6),
        _ => None,
    }
}

/// All observations of one resource, latest instant first: then come instant and revision.
pub fn seen(organization: &OrganizationId, name: &ResourceName) -> Key {
    Key::of(kind::SEEN, organization).text(name.kind.as_str()).text(&name.id)
}

/// The instants of one resource's observations, earliest first.
pub fn seen_at(organization: &OrganizationId, name: &ResourceName) -> Key {
    Key::of(kind::SEEN_AT, organization).text(name.kind.as_str()).text(&name.id)
}

pub fn latest(organization: &OrganizationId, name: &ResourceName) -> Key {
    Key::of(kind::LATEST, organization).text(name.kind.as_str()).text(&name.id)
}

pub fn summary(organization: &OrganizationId) -> Key {
    Key::of(kind::SUMMARY, organization)
}

pub fn pool(organization: &OrganizationId, pool: PoolId) -> Key {
    Key::of(kind::POOL, organization).bits(pool.bits())
}

/// The changes of one allocation: then comes the revision.
pub fn modified(organization: &OrganizationId, allocation: AllocationId) -> Key {
    Key::of(kind::MODIFIED, organization).bits(allocation.bits())
}

/// The turns of all resources of one kind: then come instant, block and id.
pub fn turns(organization: &OrganizationId, kind: ResourceKind) -> Key {
    Key::of(kind::TURN, organization).text(kind.as_str())
}

pub fn turn(organization: &OrganizationId, name: &ResourceName, cidr: Cidr, at: Timestamp) -> Key {
    turns(organization, name.kind).instant(at).byte(family_byte(cidr.family())).block(cidr).text(&name.id)
}

/// What follows [`turns`] in a key.
pub fn read_turn(part: &[u8]) -> Option<(Timestamp, Cidr, String)> {
    let mut reader = KeyReader::behind(part);
    let at = reader.instant()?;
    let family = read_family(reader.byte()?)?;
    Some((at, reader.block(family)?, reader.text()?))
}

/// Where parties of overlaps meet: facts lie in all private, or all public, default scopes that reach them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// The private default scopes.
    Private,
    /// The public default scopes.
    Public,
    /// One more private scope.
    Scope(ScopeId),
}

stored_enum!(Space { 1 => Private, 2 => Public, 3 => Scope { 0: scope } });

impl Space {
    fn part(self, key: Key) -> Key {
        match self {
            Self::Private => key.byte(1),
            Self::Public => key.byte(2),
            Self::Scope(id) => key.byte(3).bits(id.bits()),
        }
    }
}

/// The parties of one space and family: then come block and holder.
pub fn parties(organization: &OrganizationId, space: Space, family: Family) -> Key {
    space.part(Key::of(by_family(kind::PARTY, family), organization))
}

pub fn party(organization: &OrganizationId, space: Space, cidr: Cidr, entry: &Entry) -> Key {
    entry.part(parties(organization, space, cidr.family()).block(cidr))
}

/// What follows [`parties`] in a key.
pub fn read_party(family: Family, part: &[u8]) -> Option<(Cidr, Entry)> {
    let mut reader = KeyReader::behind(part);
    Some((reader.block(family)?, Entry::read(&mut reader)?))
}

pub fn party_at(organization: &OrganizationId, space: Space, cidr: Cidr) -> Key {
    space.part(Key::of(by_family(kind::PARTY_AT, cidr.family()), organization)).block(cidr)
}

/// The wide blocks of one space and family: then comes the block.
pub fn wides(organization: &OrganizationId, space: Space, family: Family) -> Key {
    space.part(Key::of(by_family(kind::WIDE, family), organization))
}

pub fn wide(organization: &OrganizationId, space: Space, cidr: Cidr) -> Key {
    wides(organization, space, cidr.family()).block(cidr)
}

/// The allocations that were ever for one resource: then comes the allocation.
pub fn claims(organization: &OrganizationId, name: &ResourceName) -> Key {
    Key::of(kind::CLAIM, organization).text(name.kind.as_str()).text(&name.id)
}

pub fn claim(organization: &OrganizationId, name: &ResourceName, allocation: AllocationId) -> Key {
    claims(organization, name).bits(allocation.bits())
}

/// One account's membership: then comes the instant, latest first.
pub fn member(organization: &OrganizationId, account: AccountId) -> Key {
    Key::of(kind::MEMBER, organization).text(&account.to_string())
}

/// The administrator: then comes the instant, latest first.
pub fn administrator(organization: &OrganizationId) -> Key {
    Key::of(kind::ADMINISTRATOR, organization)
}

/// All IPAMs: then come id and instant, latest first.
pub fn ipams(organization: &OrganizationId) -> Key {
    Key::of(kind::IPAM, organization)
}

/// One IPAM: then comes the instant, latest first.
pub fn ipam(organization: &OrganizationId, ipam: IpamId) -> Key {
    ipams(organization).bits(ipam.bits())
}

pub fn scope(organization: &OrganizationId, scope: ScopeId) -> Key {
    Key::of(kind::SCOPE, organization).bits(scope.bits())
}
