//! The free space of one block, as an index and never a scan (design D24).
//!
//! A [`Space`] knows who holds which part of its block and which parts were observed in use, and
//! finds free blocks by walking once from the top: a path-compressed binary trie of the blockers, whose
//! nodes tell which lengths are free in each half. It knows nothing of pools; a holder is a caller's record number.
//!
//! Invariants: holders share no address; what [`Space::find`] gives is aligned, inside, and
//! neither held nor observed. Observed blockers may overlap each other and holders.

mod bits;
mod find;
mod node;
mod ranges;
mod trie;

#[cfg(test)]
mod tests;

pub use ranges::search_ranges;

use std::fmt;

use self::bits::{Bits, Block};
use self::trie::Trie;
use super::{AddressCount, Cidr, Family};

/// The number of a caller's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// Which of the free blocks is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The lowest one.
    First,
    /// The lowest one in the smallest free space that is large enough.
    Best,
    /// The lowest one whose first address is this or a later one; the lowest of all when there is none.
    AtOrAfter(u128),
}

/// One block of addresses with its holders, its observed blockers and what they leave free.
///
/// 24 bytes a node for IPv4 and 64 for IPv6, about two nodes a blocker. Every operation is one walk of at most as many
/// steps as an address has bits; only [`Space::hold`] and [`Space::block`] of a block with blockers in it
/// (and taking that back) also visit the largest ones of those, to keep [`Space::free_addresses`] exact.
#[derive(Clone)]
pub struct Space(Families);

#[derive(Clone)]
enum Families {
    V4(Trie<u32>),
    V6(Trie<u128>),
}

/// Runs the same expression on the trie of whichever family.
macro_rules! either {
    ($self:expr, $trie:ident => $then:expr) => {
        match $self {
            Families::V4($trie) => $then,
            Families::V6($trie) => $then,
        }
    };
}

impl Space {
    /// All free.
    #[must_use]
    pub fn new(cidr: Cidr) -> Self {
        Self(match cidr.family() {
            Family::Ipv4 => Families::V4(Trie::new(to_block(cidr))),
            Family::Ipv6 => Families::V6(Trie::new(to_block(cidr))),
        })
    }

    /// The block whose space this is.
    #[must_use]
    pub fn cidr(&self) -> Cidr {
        match &self.0 {
            Families::V4(trie) => to_cidr(Family::Ipv4, trie.space),
            Families::V6(trie) => to_cidr(Family::Ipv6, trie.space),
        }
    }

    /// From now on `holder` has `cidr`. It may have been observed in use.
    ///
    /// # Panics
    /// When `cidr` is not inside the space or shares an address with another holder.
    pub fn hold(&mut self, cidr: Cidr, holder: Slot) {
        assert!(self.cidr().contains(cidr), "{cidr} lies outside {}", self.cidr());
        either!(&mut self.0, trie => trie.hold(to_block(cidr), holder));
    }

    /// Nobody holds exactly `cidr` any more; who did.
    pub fn release(&mut self, cidr: Cidr) -> Option<Slot> {
        let inside = self.cidr().contains(cidr);
        inside.then(|| either!(&mut self.0, trie => trie.release(to_block(cidr))))?
    }

    /// Who holds exactly `cidr`.
    #[must_use]
    pub fn holder(&self, cidr: Cidr) -> Option<Slot> {
        let inside = self.cidr().contains(cidr);
        inside.then(|| either!(&self.0, trie => trie.holder(to_block(cidr))))?
    }

    /// One more observed blocker of `cidr`. What lies outside the space is left out; all of it may.
    pub fn block(&mut self, cidr: Cidr) {
        if let Some(cidr) = self.clipped(cidr) {
            either!(&mut self.0, trie => trie.block(to_block(cidr)));
        }
    }

    /// Takes back one [`Space::block`] of the same `cidr`.
    ///
    /// # Panics
    /// When there was none.
    pub fn unblock(&mut self, cidr: Cidr) {
        if let Some(cidr) = self.clipped(cidr) {
            either!(&mut self.0, trie => trie.unblock(to_block(cidr)));
        }
    }

    /// The holders that share an address with `cidr`, in address order; found while iterating.
    pub fn holders_overlapping(&self, cidr: Cidr) -> impl Iterator<Item = (Cidr, Slot)> + '_ {
        let clipped = self.clipped(cidr);
        let (mut v4, mut v6) = (None, None);
        match (&self.0, clipped) {
            (Families::V4(trie), Some(cidr)) => v4 = Some(trie.holders_overlapping(to_block(cidr))),
            (Families::V6(trie), Some(cidr)) => v6 = Some(trie.holders_overlapping(to_block(cidr))),
            (_, None) => {}
        }
        let v4 = v4.into_iter().flatten().map(|(block, holder)| (to_cidr(Family::Ipv4, block), holder));
        let v6 = v6.into_iter().flatten().map(|(block, holder)| (to_cidr(Family::Ipv6, block), holder));
        v4.chain(v6)
    }

    /// Whether a holder shares an address with `cidr`.
    #[must_use]
    pub fn is_held(&self, cidr: Cidr) -> bool {
        self.holders_overlapping(cidr).next().is_some()
    }

    /// Whether `cidr` is inside the space and no address of it is held or was observed in use.
    #[must_use]
    pub fn is_free(&self, cidr: Cidr) -> bool {
        self.free_around(cidr).is_some()
    }

    /// The largest free block around `cidr`, or itself; `None` when `cidr` is not free.
    #[must_use]
    pub fn free_around(&self, cidr: Cidr) -> Option<Cidr> {
        let family = cidr.family();
        let inside = self.cidr().contains(cidr);
        inside.then(|| either!(&self.0, trie => Some(to_cidr(family, trie.free_around(to_block(cidr))?))))?
    }

    /// A free block of netmask length `length`, inside `within` when given.
    ///
    /// With [`Fit::Best`] and `within`, free space that reaches beyond `within` counts as large as `within`; compare the
    /// results of several searches by [`Space::free_around`].
    #[must_use]
    pub fn find(&self, length: u8, fit: Fit, within: Option<Cidr>) -> Option<Cidr> {
        let family = self.cidr().family();
        let within = self.clipped(within.unwrap_or_else(|| self.cidr()))?;
        either!(&self.0, trie => Some(to_cidr(family, trie.find(length, fit, to_block(within))?)))
    }

    /// The lowest of the largest free blocks.
    #[must_use]
    pub fn largest_free(&self) -> Option<Cidr> {
        let family = self.cidr().family();
        either!(&self.0, trie => Some(to_cidr(family, trie.largest_free()?)))
    }

    /// How many blocks are held.
    #[must_use]
    pub fn held_count(&self) -> u64 {
        either!(&self.0, trie => trie.held_count)
    }

    /// How many addresses are held.
    #[must_use]
    pub fn held_addresses(&self) -> AddressCount {
        either!(&self.0, trie => trie.held)
    }

    /// How many addresses are neither held nor observed in use.
    #[must_use]
    pub fn free_addresses(&self) -> AddressCount {
        either!(&self.0, trie => trie.free)
    }

    /// The memory that the index takes beside the value itself, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        either!(&self.0, trie => trie.nodes.bytes())
    }

    /// The part of `cidr` that is in this space. Aligned blocks overlap only by containment.
    fn clipped(&self, cidr: Cidr) -> Option<Cidr> {
        let space = self.cidr();
        if space.contains(cidr) { Some(cidr) } else { cidr.contains(space).then_some(space) }
    }
}

impl fmt::Debug for Space {
    /// A space can have millions of nodes: its totals say more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space")
            .field("cidr", &self.cidr())
            .field("held_count", &self.held_count())
            .field("held_addresses", &self.held_addresses())
            .field("free_addresses", &self.free_addresses())
            .finish()
    }
}

fn to_block<A: Bits>(cidr: Cidr) -> Block<A> {
    Block { at: A::of(cidr.first()), length: cidr.length() }
}

fn to_cidr<A: Bits>(family: Family, block: Block<A>) -> Cidr {
    Cidr::containing(family, block.at.number(), block.length)
}
