//! Finding in the trie: free blocks by the lengths that the nodes tell, and holders by address.

use super::bits::{Bits, Block, Side};
use super::node::{NONE, Node};
use super::trie::{Trie, free_lengths};
use super::{Fit, Slot};

/// A block and the first node in it.
#[derive(Clone, Copy)]
struct Region<A> {
    block: Block<A>,
    link: u32,
}

impl<A: Bits> Trie<A> {
    /// A free block of `length` inside `within`, which lies in the space.
    pub fn find(&self, length: u8, fit: Fit, within: Block<A>) -> Option<Block<A>> {
        if length < within.length || length > A::WIDTH {
            return None;
        }
        let region = self.region(within)?;
        let wanted = match self.nodes.follow(region.link) {
            Some(node) => free_lengths(within.length, node) & A::upto(length),
            // All of it is free, so there is but one free block to choose.
            None => A::ZERO,
        };
        if region.link != NONE && wanted.is_empty() {
            return None;
        }
        let found = match fit {
            Fit::First => self.lowest(region, wanted),
            Fit::Best if wanted.is_empty() => self.lowest(region, wanted),
            Fit::Best => self.lowest(region, A::only(wanted.longest())),
            Fit::AtOrAfter(point) => next_aligned(point, length, within)
                .and_then(|point| self.lowest_from(region, wanted, length, point))
                .or_else(|| self.lowest(region, wanted)),
        };
        found.map(|free| Block { at: free.at, length })
    }

    /// The lowest of the largest free blocks.
    pub fn largest_free(&self) -> Option<Block<A>> {
        let region = self.region(self.space)?;
        let Some(node) = self.nodes.follow(region.link) else { return Some(self.space) };
        let lengths = free_lengths(self.space.length, node);
        (!lengths.is_empty()).then(|| self.lowest(region, A::only(lengths.shortest())))?
    }

    /// The largest free block around a free block; `None` when it is not free.
    pub fn free_around(&self, block: Block<A>) -> Option<Block<A>> {
        let (mut link, mut region) = (self.root, self.space);
        loop {
            let Some(node) = self.nodes.follow(link) else { return Some(region) };
            let found = node.block();
            let common = found.common(block);
            if common == block.length || (common == found.length && node.is_blocked()) {
                return None;
            }
            if common < found.length {
                return Some(Block::around(block.at, common + 1));
            }
            let side = Block::side(common, block.at);
            region = found.half(side);
            link = node.children.get(side);
        }
    }

    pub fn holder(&self, block: Block<A>) -> Option<Slot> {
        let mut link = self.root;
        loop {
            let node = self.nodes.follow(link)?;
            if node.block() == block {
                return node.holder();
            }
            if node.block().length >= block.length {
                return None;
            }
            link = node.children.get(Block::side(node.block().length, block.at));
        }
    }

    /// The holders that share an address with a block, in address order.
    pub fn holders_overlapping(&self, block: Block<A>) -> Holders<'_, A> {
        let mut link = self.root;
        while let Some(node) = self.nodes.follow(link) {
            let common = node.block().common(block);
            if common == block.length || (common == node.block().length && node.holder().is_some()) {
                break;
            }
            link = if common < node.block().length { NONE } else { node.children.get(Block::side(common, block.at)) };
        }
        Holders { trie: self, todo: if link == NONE { Vec::new() } else { vec![link] } }
    }

    /// What is in a block; `None` when a blocker strictly contains it.
    fn region(&self, block: Block<A>) -> Option<Region<A>> {
        let mut link = self.root;
        while let Some(node) = self.nodes.follow(link) {
            let found = node.block();
            let common = found.common(block);
            if common == block.length {
                return Some(Region { block, link });
            }
            if common < found.length {
                break;
            }
            if node.is_blocked() {
                return None;
            }
            link = node.children.get(Block::side(common, block.at));
        }
        Some(Region { block, link: NONE })
    }

    /// The lowest free block in a region whose length is wanted.
    fn lowest(&self, mut region: Region<A>, wanted: A) -> Option<Block<A>> {
        loop {
            let Some(node) = self.nodes.follow(region.link) else { return Some(region.block) };
            let beside = Beside::of(region.block, node, wanted);
            if let Some(free) = beside.lowest_below() {
                return Some(free);
            }
            let side = if !(node.free_in(Side::Lower) & wanted).is_empty() {
                Side::Lower
            } else if !(node.free_in(Side::Upper) & wanted).is_empty() {
                Side::Upper
            } else {
                return beside.lowest_above();
            };
            region = into_half(node, side);
        }
    }

    /// The lowest free block of `length`, at or after `point`, in a region around `point` (which is aligned to `length`).
    fn lowest_from(&self, mut region: Region<A>, wanted: A, length: u8, point: A) -> Option<Block<A>> {
        let here = Block { at: point, length };
        // What comes right after the block that is being searched.
        let mut later: Later<A> = Later::Nothing;
        loop {
            let Some(node) = self.nodes.follow(region.link) else { return Some(here) };
            let found = node.block();
            let common = found.common(here);
            if common < found.length && common < length {
                // Apart from the first node, and so from all.
                return Some(here);
            }
            if let Some(free) = Beside::of(region.block, node, wanted).lowest_above() {
                later = Later::Free(free);
            }
            if common == length {
                return later.resolve(self, wanted);
            }
            let side = Block::side(found.length, point);
            if side == Side::Lower && !(node.free_in(Side::Upper) & wanted).is_empty() {
                later = Later::In(into_half(node, Side::Upper));
            }
            // In a half of a blocked node nothing is free.
            if (node.free_in(side) & wanted).is_empty() {
                return later.resolve(self, wanted);
            }
            region = into_half(node, side);
        }
    }
}

fn into_half<A: Bits>(node: &Node<A>, side: Side) -> Region<A> {
    Region { block: node.block().half(side), link: node.children.get(side) }
}

/// The first multiple of the block size at or after a point, when such a block fits between it and the end.
fn next_aligned<A: Bits>(point: u128, length: u8, within: Block<A>) -> Option<A> {
    let point = point.max(within.at.number());
    let host_bits = (!A::upto(length)).number();
    let aligned = if point & host_bits == 0 { point } else { (point | host_bits).checked_add(1)? };
    (aligned <= within.last().number()).then(|| A::of(aligned))
}

/// What a search for "at or after" falls back to.
enum Later<A> {
    Nothing,
    Free(Block<A>),
    /// Known to have a free block of a wanted length.
    In(Region<A>),
}

impl<A: Bits> Later<A> {
    fn resolve(self, trie: &Trie<A>, wanted: A) -> Option<Block<A>> {
        match self {
            Self::Nothing => None,
            Self::Free(free) => Some(free),
            Self::In(region) => trie.lowest(region, wanted),
        }
    }
}

/// The free blocks of wanted lengths beside the way from a block to the first node in it:
/// for each length on the way the buddy, below the node where the node's bit is one.
struct Beside<A> {
    node: A,
    lengths: A,
}

impl<A: Bits> Beside<A> {
    fn of(region: Block<A>, node: &Node<A>, wanted: A) -> Self {
        Self { node: node.block().at, lengths: A::between(region.length, node.block().length) & wanted }
    }

    fn lowest_below(&self) -> Option<Block<A>> {
        let below = self.lengths & self.node;
        (!below.is_empty()).then(|| self.buddy(below.shortest()))
    }

    fn lowest_above(&self) -> Option<Block<A>> {
        let above = self.lengths & !self.node;
        (!above.is_empty()).then(|| self.buddy(above.longest()))
    }

    fn buddy(&self, length: u8) -> Block<A> {
        Block::around(self.node ^ A::only(length), length)
    }
}

/// Holders in address order.
#[derive(Debug)]
pub(super) struct Holders<'a, A> {
    trie: &'a Trie<A>,
    todo: Vec<u32>,
}

impl<A: Bits> Iterator for Holders<'_, A> {
    type Item = (Block<A>, Slot);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let node = self.trie.nodes.get(self.todo.pop()?);
            if let Some(holder) = node.holder() {
                return Some((node.block(), holder));
            }
            if node.has_holder_below() {
                self.todo.extend([node.children.upper, node.children.lower].into_iter().filter(|link| *link != NONE));
            }
        }
    }
}
