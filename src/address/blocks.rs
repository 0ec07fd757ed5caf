//! An index of blocks by containment: what overlaps this block, without a scan.
//!
//! Unlike a [`super::Space`] it lets everything overlap, takes both families and many values for one block, and finds no
//! free space. Invariant: `lengths` counts, for each netmask length, the distinct blocks of that length.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use super::{Cidr, Family};

/// Values under blocks; the same value may stand under many blocks, and many under one.
#[derive(Clone, Debug)]
pub struct BlockMap<V> {
    blocks: BTreeMap<Cidr, Values<V>>,
    lengths: BTreeMap<(Family, u8), u64>,
}

/// Never empty. One value is the common case, and a set takes ten times the memory.
#[derive(Clone, Debug)]
enum Values<V> {
    One(V),
    Many(BTreeSet<V>),
}

impl<V> Default for BlockMap<V> {
    fn default() -> Self {
        Self { blocks: BTreeMap::new(), lengths: BTreeMap::new() }
    }
}

impl<V: Ord> BlockMap<V> {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a value under a block; whether it was not there yet.
    pub fn insert(&mut self, cidr: Cidr, value: V) -> bool {
        match self.blocks.entry(cidr) {
            btree_map::Entry::Vacant(vacant) => {
                vacant.insert(Values::One(value));
                *self.lengths.entry((cidr.family(), cidr.length())).or_default() += 1;
                true
            }
            btree_map::Entry::Occupied(mut occupied) => occupied.get_mut().add(value),
        }
    }

    /// Takes a value from under a block; whether it was there.
    pub fn remove(&mut self, cidr: Cidr, value: &V) -> bool {
        let btree_map::Entry::Occupied(mut occupied) = self.blocks.entry(cidr) else { return false };
        match occupied.get_mut() {
            Values::One(one) if one != value => return false,
            Values::Many(many) if many.len() > 1 => return many.remove(value),
            Values::Many(many) if !many.contains(value) => return false,
            Values::One(_) | Values::Many(_) => {}
        }
        occupied.remove();
        let length = (cidr.family(), cidr.length());
        let count = self.lengths.get_mut(&length).expect("every block's length is counted");
        *count -= 1;
        if *count == 0 {
            self.lengths.remove(&length);
        }
        true
    }

    /// All values under blocks that share an address with `cidr`, found while iterating: first the blocks
    /// around it, largest first, then itself and those inside, in address order. Values of one block in their own order.
    ///
    /// Costs one look-up for each shorter netmask length in use, and what it gives.
    pub fn overlapping(&self, cidr: Cidr) -> impl Iterator<Item = (Cidr, &V)> + '_ {
        self.containing(cidr).chain(self.inside(cidr))
    }

    /// The values under blocks that are larger than `cidr` and contain it, largest first.
    pub fn containing(&self, cidr: Cidr) -> impl Iterator<Item = (Cidr, &V)> + '_ {
        let shorter = (cidr.family(), 0)..(cidr.family(), cidr.length());
        self.lengths
            .range(shorter)
            .filter_map(move |((_, length), _)| {
                let (around, values) = self.blocks.get_key_value(&cidr.widened_to(*length)?)?;
                Some(values.iter().map(|value| (*around, value)))
            })
            .flatten()
    }

    /// The values under `cidr` itself and under blocks inside it, in address order.
    pub fn inside(&self, cidr: Cidr) -> impl Iterator<Item = (Cidr, &V)> + '_ {
        self.blocks
            .range(cidr..)
            .take_while(move |(block, _)| cidr.contains(**block))
            .flat_map(|(block, values)| values.iter().map(|value| (*block, value)))
    }

    /// All values, in address order of their blocks.
    pub fn iter(&self) -> impl Iterator<Item = (Cidr, &V)> + '_ {
        self.blocks.iter().flat_map(|(block, values)| values.iter().map(|value| (*block, value)))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

impl<V: Ord> Values<V> {
    fn add(&mut self, value: V) -> bool {
        match self {
            Self::One(one) if *one == value => false,
            Self::One(_) => {
                if let Self::One(one) = std::mem::replace(self, Self::Many(BTreeSet::from([value])))
                    && let Self::Many(many) = self
                {
                    many.insert(one);
                }
                true
            }
            Self::Many(many) => many.insert(value),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &V> {
        let (one, many) = match self {
            Self::One(one) => (Some(one), None),
            Self::Many(many) => (None, Some(many)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn containers_come_first_then_what_is_inside_in_address_order() {
        let cidr = |text: &str| text.parse::<Cidr>().expect("a test's CIDR is well formed");
        let mut map = BlockMap::new();
        for (text, value) in [
            ("10.0.1.0/24", 1),
            ("0.0.0.0/0", 2),
            ("10.0.0.0/8", 3),
            ("10.0.0.0/16", 4),
            ("10.0.0.0/16", 5),
            ("10.0.2.0/24", 6),
            ("10.1.0.0/16", 7),
            ("::/0", 8),
            ("::a00:0/112", 9),
        ] {
            assert!(map.insert(cidr(text), value));
        }
        assert!(!map.insert(cidr("10.0.0.0/16"), 5));
        let values = |text| map.overlapping(cidr(text)).map(|(_, value)| *value).collect::<Vec<_>>();
        assert_eq!(values("10.0.0.0/16"), [2, 3, 4, 5, 1, 6]);
        assert_eq!(values("10.0.1.7/32"), [2, 3, 4, 5, 1]);
        assert_eq!(values("0.0.0.0/0"), [2, 3, 4, 5, 1, 6, 7]);
        assert_eq!(values("::/0"), [8, 9]);
        assert_eq!(values("11.0.0.0/8"), [2]);
    }

    proptest! {
        #[test]
        fn agrees_with_a_list(
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), 0u8..4, 0u8..=8, 0u8..3), 1..120),
            asked in (any::<bool>(), any::<u8>(), 0u8..=8),
        ) {
            let block = |ipv4: bool, address: u8, length: u8| if ipv4 {
                Cidr::containing(Family::Ipv4, u128::from(address) << 24, length)
            } else {
                Cidr::containing(Family::Ipv6, u128::from(address) << 120, length)
            };
            let (mut map, mut list) = (BlockMap::new(), Vec::new());
            for (add, ipv4, address, length, value) in steps {
                let cidr = block(ipv4, address.wrapping_mul(0x55), length);
                let known = list.contains(&(cidr, value));
                if add {
                    prop_assert_eq!(map.insert(cidr, value), !known);
                    if !known { list.push((cidr, value)); }
                } else {
                    prop_assert_eq!(map.remove(cidr, &value), known);
                    list.retain(|entry| *entry != (cidr, value));
                }
            }
            list.sort_unstable();
            let asked = block(asked.0, asked.1, asked.2);
            let expect: Vec<_> = list.iter().copied().filter(|(cidr, _)| cidr.overlaps(asked)).collect();
            let found: Vec<_> = map.overlapping(asked).map(|(cidr, value)| (cidr, *value)).collect();
            prop_assert_eq!(found, expect);
            prop_assert_eq!(map.iter().map(|(cidr, value)| (cidr, *value)).collect::<Vec<_>>(), list.clone());
            prop_assert_eq!(map.is_empty(), list.is_empty());
            let mut lengths = BTreeMap::<_, u64>::new();
            for cidr in list.iter().map(|(cidr, _)| *cidr).collect::<BTreeSet<_>>() {
                *lengths.entry((cidr.family(), cidr.length())).or_default() += 1;
            }
            prop_assert_eq!(map.lengths, lengths);
        }
    }
}
