//! The trie itself, for one family: where the blockers are, and what that leaves free.
//!
//! Invariants: an inner node has two children; no child is larger than the half it hangs from; holders share no
//! address; the words of every inner node are exactly the free lengths of its halves.

use super::Slot;
use super::bits::{Bits, Block, Side};
use super::node::{NONE, Node, Nodes};
use crate::address::AddressCount;

#[derive(Clone, Debug)]
pub(super) struct Trie<A> {
    pub space: Block<A>,
    pub nodes: Nodes<A>,
    pub root: u32,
    /// Scratch: the nodes from the root to where the last change was made.
    path: Vec<u32>,
    pub held_count: u64,
    pub held: AddressCount,
    pub free: AddressCount,
}

/// Where a block's node was found or made.
struct Place {
    index: u32,
    /// A blocker strictly contains the block.
    covered: bool,
    /// The end of the path is new: what is above it is out of date even if nothing in it changes.
    forked: bool,
}

impl<A: Bits> Trie<A> {
    pub fn new(space: Block<A>) -> Self {
        Self {
            space,
            nodes: Nodes::new(),
            root: NONE,
            path: Vec::new(),
            held_count: 0,
            held: AddressCount::ZERO,
            free: size(space),
        }
    }

    pub fn hold(&mut self, block: Block<A>, holder: Slot) {
        let (place, in_holder) = self.ensure(block);
        let node = self.nodes.get(place.index);
        assert!(!in_holder && !node.has_holder(), "holders share no address");
        let seen = node.seen();
        self.mark(&place, Some(holder), seen);
        self.held_count += 1;
        self.held += size(block);
    }

    pub fn release(&mut self, block: Block<A>) -> Option<Slot> {
        let place = self.place(block)?;
        let node = self.nodes.get(place.index);
        let holder = node.holder()?;
        let seen = node.seen();
        self.mark(&place, None, seen);
        self.held_count -= 1;
        self.held -= size(block);
        Some(holder)
    }

    pub fn block(&mut self, block: Block<A>) {
        let (place, _) = self.ensure(block);
        let node = self.nodes.get(place.index);
        let (holder, seen) = (node.holder(), node.seen());
        let seen = seen.checked_add(1).expect("fewer than 2^32 resources hold one block");
        self.mark(&place, holder, seen);
    }

    pub fn unblock(&mut self, block: Block<A>) {
        let place = self.place(block).expect("only what was blocked is unblocked");
        let node = self.nodes.get(place.index);
        let (holder, seen) = (node.holder(), node.seen());
        let seen = seen.checked_sub(1).expect("only what was blocked is unblocked");
        self.mark(&place, holder, seen);
    }

    /// The node of exactly this block; `self.path` then leads to it.
    fn place(&mut self, block: Block<A>) -> Option<Place> {
        self.path.clear();
        let (mut index, mut covered) = (self.root, false);
        loop {
            let node = self.nodes.follow(index)?;
            if node.block() == block {
                return Some(Place { index, covered, forked: false });
            }
            if node.block().length >= block.length {
                return None;
            }
            covered |= node.is_blocked();
            self.path.push(index);
            index = node.children.get(Block::side(node.block().length, block.at));
        }
    }

    /// As [`Self::place`], making the node when there is none. A new one blocks nothing yet, and
    /// those above do not know of it: [`Self::mark`] must follow. Also whether a holder strictly contains the block.
    fn ensure(&mut self, block: Block<A>) -> (Place, bool) {
        self.path.clear();
        let (mut link, mut covered, mut in_holder, mut forked) = (self.root, false, false, false);
        let index = loop {
            let Some(node) = self.nodes.follow(link) else {
                let index = self.nodes.add(Node::new(block));
                self.link(block.at, index);
                break index;
            };
            let found = node.block();
            let common = found.common(block);
            if common == found.length {
                if common == block.length {
                    break link;
                }
                covered |= node.is_blocked();
                in_holder |= node.holder().is_some();
                let next = node.children.get(Block::side(common, block.at));
                self.path.push(link);
                link = next;
            } else if common == block.length {
                let mut around = Node::new(block);
                around.children.set(Block::side(common, found.at), link);
                around.set_holder_below(node.has_holder());
                let index = self.nodes.add(around);
                self.link(block.at, index);
                break index;
            } else {
                let index = self.nodes.add(Node::new(block));
                let mut fork = Node::new(Block::around(block.at, common));
                fork.children.set(Block::side(common, found.at), link);
                fork.children.set(Block::side(common, block.at), index);
                let fork = self.nodes.add(fork);
                self.refresh(fork, Block::<A>::side(common, found.at));
                self.link(block.at, fork);
                self.path.push(fork);
                forked = true;
                break index;
            }
        };
        (Place { index, covered, forked }, in_holder)
    }

    /// Hangs a node below the end of the path, in the half where `at` lies.
    fn link(&mut self, at: A, index: u32) {
        match self.path.last() {
            None => self.root = index,
            Some(&parent) => {
                let parent = self.nodes.get_mut(parent);
                let side = Block::side(parent.block().length, at);
                parent.children.set(side, index);
            }
        }
    }

    /// Sets who blocks exactly this block, and brings everything else in line with it.
    fn mark(&mut self, place: &Place, holder: Option<Slot>, seen: u32) {
        let node = self.nodes.get(place.index);
        let (block, was_blocked) = (node.block(), node.is_blocked());
        let now_blocked = holder.is_some() || seen > 0;
        if !was_blocked && now_blocked && !place.covered {
            self.free -= self.free_under(place.index);
        }
        self.nodes.get_mut(place.index).mark(holder, seen);
        if was_blocked && !now_blocked {
            if !place.covered {
                self.free += self.free_under(place.index);
            }
            self.unblocked(place.index, block);
        }
        self.refresh_path(block.at, place.forked);
    }

    /// Keeps the node of a block that nothing blocks any more only where the trie branches.
    fn unblocked(&mut self, index: u32, block: Block<A>) {
        let children = self.nodes.get(index).children;
        match (children.lower, children.upper) {
            (NONE, NONE) => {
                self.nodes.remove(index);
                self.unlinked(block);
            }
            (child, NONE) | (NONE, child) => {
                self.nodes.remove(index);
                self.link(block.at, child);
            }
            _ => {
                self.refresh(index, Side::Lower);
                self.refresh(index, Side::Upper);
            }
        }
    }

    /// The node at the end of the path lost the child in which `block` was.
    fn unlinked(&mut self, block: Block<A>) {
        self.link(block.at, NONE);
        let Some(&parent) = self.path.last() else { return };
        let node = self.nodes.get(parent);
        if node.is_blocked() {
            return;
        }
        // An inner node with one child left is a detour.
        let sibling = node.children.get(Block::side(node.block().length, block.at).other());
        self.path.pop();
        self.link(block.at, sibling);
        self.nodes.remove(parent);
    }

    /// Brings the nodes of the path in line with what changed below them, from the end to the root.
    /// The end's own change is taken for granted when it `forked`.
    fn refresh_path(&mut self, at: A, mut forked: bool) {
        for depth in (0..self.path.len()).rev() {
            let Some(&index) = self.path.get(depth) else { return };
            let side = Block::side(self.nodes.get(index).block().length, at);
            if !self.refresh(index, side) && !forked {
                return;
            }
            forked = false;
        }
    }

    /// Brings one node in line with one child; whether that changed what is above it.
    fn refresh(&mut self, index: u32, side: Side) -> bool {
        let node = self.nodes.get(index);
        let child = self.nodes.follow(node.children.get(side));
        let mut holder_below = child.is_some_and(Node::has_holder);
        if !holder_below && node.has_holder_below() {
            let sibling = self.nodes.follow(node.children.get(side.other()));
            holder_below = sibling.is_some_and(Node::has_holder);
        } else {
            holder_below |= node.has_holder_below();
        }
        let half = node.block().length + 1;
        // Where a child is missing, the node is blocked.
        let free = child.filter(|_| !node.is_blocked()).map_or(A::ZERO, |child| free_lengths(half, child));
        let (free_changed, below_changed) = (node.free_in(side) != free, node.has_holder_below() != holder_below);
        if free_changed {
            self.nodes.get_mut(index).set_free_in(side, free);
        }
        if below_changed {
            self.nodes.get_mut(index).set_holder_below(holder_below);
        }
        free_changed || below_changed
    }

    /// How many addresses of a node's block are free. Visits what lies inside down to the first blockers.
    fn free_under(&self, index: u32) -> AddressCount {
        let node = self.nodes.get(index);
        if node.is_blocked() {
            return AddressCount::ZERO;
        }
        if node.children.lower == NONE && node.children.upper == NONE {
            return size(node.block());
        }
        let in_half = |side| {
            let half = size(node.block().half(side));
            let child = node.children.get(side);
            match self.nodes.follow(child) {
                None => half,
                Some(below) => half - size(below.block()) + self.free_under(child),
            }
        };
        in_half(Side::Lower) + in_half(Side::Upper)
    }
}

/// The lengths of the largest free blocks in a block of `length` of which this is the first node.
pub(super) fn free_lengths<A: Bits>(length: u8, node: &Node<A>) -> A {
    // Beside the way to the node, one block of each length is free.
    A::between(length, node.block().length) | node.free()
}

pub(super) fn size<A: Bits>(block: Block<A>) -> AddressCount {
    AddressCount::of_host_bits(A::WIDTH - block.length)
}
