//! The nodes of the trie and where they live.
//!
//! A node is either *blocked* (held, observed, or both) or an inner one that only branches.
//! Nothing inside a blocked node is free, so it needs no free lengths: the holder's record number
//! and the count of observed blockers stand in their place. That keeps a node at 24 bytes (IPv4)
//! and 64 (IPv6); a held block costs about two.

use super::Slot;
use super::bits::{Bits, Block, Halves, Side};

/// No node.
pub(super) const NONE: u32 = u32::MAX;

/// A holder has exactly this block.
const HELD: u8 = 1;
/// At least one observed blocker is exactly this block.
const SEEN: u8 = 2;
/// A holder is somewhere below.
const HOLDER_BELOW: u8 = 4;

#[derive(Clone, Copy, Debug)]
pub(super) struct Node<A> {
    at: A,
    /// Inner: the lengths of the largest free blocks in each half.
    /// Blocked: the holder's record number, and the number of observed blockers.
    words: Halves<A>,
    pub children: Halves<u32>,
    length: u8,
    marks: u8,
}

impl<A: Bits> Node<A> {
    /// A node that blocks nothing and branches to nowhere yet.
    pub fn new(block: Block<A>) -> Self {
        Self {
            at: block.at,
            words: Halves { lower: A::ZERO, upper: A::ZERO },
            children: Halves { lower: NONE, upper: NONE },
            length: block.length,
            marks: 0,
        }
    }

    pub fn block(&self) -> Block<A> {
        Block { at: self.at, length: self.length }
    }

    pub fn is_blocked(&self) -> bool {
        self.marks & (HELD | SEEN) != 0
    }

    pub fn holder(&self) -> Option<Slot> {
        let slot = || u32::try_from(self.words.lower.number()).expect("a record number was stored here");
        (self.marks & HELD != 0).then(|| Slot(slot()))
    }

    /// How many observed blockers are exactly this block.
    pub fn seen(&self) -> u32 {
        let count = || u32::try_from(self.words.upper.number()).expect("a count was stored here");
        if self.marks & SEEN == 0 { 0 } else { count() }
    }

    /// Sets holder and count. What was free inside an inner node is forgotten;
    /// when the node becomes an inner one, its free lengths must be set anew.
    pub fn mark(&mut self, holder: Option<Slot>, seen: u32) {
        self.marks &= HOLDER_BELOW;
        self.words = Halves { lower: A::ZERO, upper: A::ZERO };
        if let Some(Slot(slot)) = holder {
            self.marks |= HELD;
            self.words.lower = A::of(slot.into());
        }
        if seen > 0 {
            self.marks |= SEEN;
            self.words.upper = A::of(seen.into());
        }
    }

    /// Whether a holder is here or below.
    pub fn has_holder(&self) -> bool {
        self.marks & (HELD | HOLDER_BELOW) != 0
    }

    pub fn has_holder_below(&self) -> bool {
        self.marks & HOLDER_BELOW != 0
    }

    pub fn set_holder_below(&mut self, below: bool) {
        if below {
            self.marks |= HOLDER_BELOW;
        } else {
            self.marks &= !HOLDER_BELOW;
        }
    }

    /// The lengths of the largest free blocks in one half.
    pub fn free_in(&self, side: Side) -> A {
        if self.is_blocked() { A::ZERO } else { self.words.get(side) }
    }

    /// The lengths of the largest free blocks inside.
    pub fn free(&self) -> A {
        if self.is_blocked() { A::ZERO } else { self.words.lower | self.words.upper }
    }

    /// Only for inner nodes.
    pub fn set_free_in(&mut self, side: Side, lengths: A) {
        self.words.set(side, lengths);
    }
}

/// Nodes by number, in chunks: growing copies at most one chunk, and only while there is one.
#[derive(Clone, Debug)]
pub(super) struct Nodes<A> {
    chunks: Vec<Vec<Node<A>>>,
    /// The first unused node; the next one is its lower child.
    unused: u32,
    in_use: u32,
}

const CHUNK_BITS: u32 = 12;
const CHUNK: usize = 1 << CHUNK_BITS;

fn place(index: u32) -> (usize, usize) {
    ((index >> CHUNK_BITS) as usize, index as usize & (CHUNK - 1))
}

impl<A: Bits> Nodes<A> {
    pub const fn new() -> Self {
        Self { chunks: Vec::new(), unused: NONE, in_use: 0 }
    }

    pub fn get(&self, index: u32) -> &Node<A> {
        let (chunk, place) = place(index);
        self.chunks.get(chunk).and_then(|chunk| chunk.get(place)).expect("links lead to nodes")
    }

    pub fn get_mut(&mut self, index: u32) -> &mut Node<A> {
        let (chunk, place) = place(index);
        self.chunks.get_mut(chunk).and_then(|chunk| chunk.get_mut(place)).expect("links lead to nodes")
    }

    /// The node behind a link.
    pub fn follow(&self, link: u32) -> Option<&Node<A>> {
        (link != NONE).then(|| self.get(link))
    }

    pub fn add(&mut self, node: Node<A>) -> u32 {
        self.in_use += 1;
        if self.unused != NONE {
            let index = self.unused;
            let reused = self.get_mut(index);
            let next = reused.children.lower;
            *reused = node;
            self.unused = next;
            return index;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            // A small space keeps a small first chunk.
            let chunk = if self.chunks.is_empty() { Vec::new() } else { Vec::with_capacity(CHUNK) };
            self.chunks.push(chunk);
        }
        let full_chunks = self.chunks.len() - 1;
        let last = self.chunks.last_mut().expect("one was pushed when there was none");
        let index = u32::try_from(full_chunks * CHUNK + last.len()).expect("fewer than 2^32 nodes fit in memory");
        assert!(index != NONE, "the last number means no node");
        last.push(node);
        index
    }

    pub fn remove(&mut self, index: u32) {
        let unused = self.unused;
        self.get_mut(index).children.lower = unused;
        self.unused = index;
        self.in_use -= 1;
        if self.in_use == 0 {
            *self = Self::new();
        }
    }

    pub fn bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| chunk.capacity() * size_of::<Node<A>>()).sum::<usize>();
        chunks + self.chunks.capacity() * size_of::<Vec<Node<A>>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_as_small_as_promised() {
        assert_eq!(size_of::<Node<u32>>(), 24);
        assert_eq!(size_of::<Node<u128>>(), 64);
    }

    #[test]
    fn chunks_are_filled_and_places_used_again() {
        let node = |at: u32| Node::new(Block { at, length: 32 });
        let count = u32::try_from(2 * CHUNK + 1).expect("few");
        let mut nodes = Nodes::new();
        for number in 0..count {
            assert_eq!(nodes.add(node(number)), number);
        }
        assert_eq!(nodes.chunks.iter().map(Vec::len).collect::<Vec<_>>(), [CHUNK, CHUNK, 1]);
        for number in 0..count {
            assert_eq!(nodes.get(number).block().at, number);
        }
        let held = nodes.chunks.iter().map(Vec::capacity).sum::<usize>() * size_of::<Node<u32>>();
        assert_eq!(nodes.bytes() - held, nodes.chunks.capacity() * size_of::<Vec<Node<u32>>>());
        for number in [7, count - 1] {
            nodes.remove(number);
        }
        for number in [count - 1, 7, count] {
            assert_eq!(nodes.add(node(0)), number);
        }
    }
}
