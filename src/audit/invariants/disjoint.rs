//! Blocks as pairs of numbers in a sorted map: enough to say whether two share an address, and nothing else.

use std::collections::BTreeMap;

use crate::address::{Cidr, Family};

/// Blocks that must not share an address: first address to last.
#[derive(Debug)]
pub(super) struct Disjoint<T>(BTreeMap<(Family, u128), (u128, T)>);

impl<T> Default for Disjoint<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Disjoint<T> {
    /// What stands in the way of a block, if anything.
    pub fn in_the_way(&self, cidr: Cidr) -> Option<&T> {
        let from = (cidr.family(), cidr.first());
        let before = self
            .0
            .range(..from)
            .next_back()
            .filter(|((family, _), (last, _))| *family == cidr.family() && *last >= cidr.first());
        let inside = || self.0.range(from..=(cidr.family(), cidr.last())).next();
        before.or_else(inside).map(|(_, (_, holder))| holder)
    }

    pub fn insert(&mut self, cidr: Cidr, holder: T) {
        self.0.insert((cidr.family(), cidr.first()), (cidr.last(), holder));
    }

    /// Takes out exactly this block.
    pub fn remove(&mut self, cidr: Cidr) -> Option<T> {
        let key = (cidr.family(), cidr.first());
        if self.0.get(&key).is_some_and(|(last, _)| *last == cidr.last()) {
            self.0.remove(&key).map(|(_, holder)| holder)
        } else {
            None
        }
    }

    /// Whether one of the blocks contains this one.
    pub fn contains(&self, cidr: Cidr) -> bool {
        self.0
            .range(..=(cidr.family(), cidr.first()))
            .next_back()
            .is_some_and(|((family, _), (last, _))| *family == cidr.family() && *last >= cidr.last())
    }

    /// Takes out all that begin inside a block.
    pub fn take_inside(&mut self, cidr: Cidr) -> Vec<T> {
        let inside = (cidr.family(), cidr.first())..=(cidr.family(), cidr.last());
        let keys: Vec<_> = self.0.range(inside).map(|(key, _)| *key).collect();
        keys.iter().filter_map(|key| self.0.remove(key)).map(|(_, holder)| holder).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
