//! Finds records by id: an open-addressing table of slot numbers, four bytes an entry.
//!
//! It stores no keys. Who asks compares the record that a slot number leads to, so the table costs
//! memory for numbers alone. It is split in partitions that grow one at a time, so no single insertion
//! pays for moving everything. Invariant: no empty place lies between an entry's home and the entry.

/// The number of a record in its slab.
pub(super) type SlotNumber = u32;

/// Marks a free place; slabs never give this number out.
const EMPTY: SlotNumber = SlotNumber::MAX;
const PARTITIONS: usize = 256;
const PLACES_MIN: usize = 8;

#[derive(Debug)]
pub(super) struct SlotTable {
    partitions: Vec<Partition>,
}

#[derive(Clone, Debug, Default)]
struct Partition {
    /// A power of two of places, or none.
    places: Box<[SlotNumber]>,
    used: usize,
}

impl Default for SlotTable {
    fn default() -> Self {
        Self { partitions: vec![Partition::default(); PARTITIONS] }
    }
}

impl SlotTable {
    /// The slot under `hash` for which `is_it` holds.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(SlotNumber) -> bool) -> Option<SlotNumber> {
        let partition = self.partitions.get(partition_of(hash))?;
        let at = partition.position(hash, is_it)?;
        partition.places.get(at).copied()
    }

    /// Adds `slot`; `hash_of` gives the hash that a slot was added under.
    pub(super) fn insert(&mut self, hash: u64, slot: SlotNumber, hash_of: impl Fn(SlotNumber) -> u64) {
        let partition = self.partitions.get_mut(partition_of(hash)).expect("a partition for every hash");
        // At most three quarters full: probes stay short.
        if (partition.used + 1) * 4 > partition.places.len() * 3 {
            partition.grow(hash_of);
        }
        partition.put(hash, slot);
        partition.used += 1;
    }

    /// Removes `slot`, which was added under `hash`.
    pub(super) fn remove(&mut self, hash: u64, slot: SlotNumber, hash_of: impl Fn(SlotNumber) -> u64) {
        let partition = self.partitions.get_mut(partition_of(hash)).expect("a partition for every hash");
        let at = partition.position(hash, |other| other == slot).expect("what is removed was added");
        partition.close_gap(at, hash_of);
        partition.used -= 1;
    }
}

// The low bits choose the partition, the others the home place in it.
fn partition_of(hash: u64) -> usize {
    usize::try_from(hash % PARTITIONS as u64).expect("less than the number of partitions")
}

impl Partition {
    fn home(&self, hash: u64) -> usize {
        usize::try_from(hash / PARTITIONS as u64 % self.places.len() as u64).expect("less than the number of places")
    }

    fn position(&self, hash: u64, is_it: impl Fn(SlotNumber) -> bool) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            match self.slot(at) {
                EMPTY => return None,
                slot if is_it(slot) => return Some(at),
                _ => at = self.after(at),
            }
        }
    }

    fn put(&mut self, hash: u64, slot: SlotNumber) {
        let mut at = self.home(hash);
        while self.slot(at) != EMPTY {
            at = self.after(at);
        }
        self.set(at, slot);
    }

    fn grow(&mut self, hash_of: impl Fn(SlotNumber) -> u64) {
        let places = (self.places.len() * 2).max(PLACES_MIN);
        let old = std::mem::replace(&mut self.places, vec![EMPTY; places].into_boxed_slice());
        for slot in old.into_iter().filter(|slot| *slot != EMPTY) {
            self.put(hash_of(slot), slot);
        }
    }

    /// Frees a place and moves back what had to go past it, so that no search ends early.
    fn close_gap(&mut self, mut gap: usize, hash_of: impl Fn(SlotNumber) -> u64) {
        let mask = self.places.len() - 1;
        let mut at = gap;
        loop {
            at = self.after(at);
            let slot = self.slot(at);
            if slot == EMPTY {
                break;
            }
            let home = self.home(hash_of(slot));
            let (travelled, to_gap) = (at.wrapping_sub(home) & mask, at.wrapping_sub(gap) & mask);
            if travelled >= to_gap {
                self.set(gap, slot);
                gap = at;
            }
        }
        self.set(gap, EMPTY);
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }

    fn slot(&self, at: usize) -> SlotNumber {
        *self.places.get(at).expect("positions are held below the number of places")
    }

    fn set(&mut self, at: usize, slot: SlotNumber) {
        *self.places.get_mut(at).expect("positions are held below the number of places") = slot;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Few distinct hashes, so that runs collide, wrap around and are torn apart by removals.
    #[test]
    fn finds_what_was_added_and_not_removed_against_a_map() {
        let hash_of = |slot: SlotNumber| u64::from(slot % 37) * 0x1_0000_0001;
        let mut table = SlotTable::default();
        let mut model = BTreeSet::new();
        let mut draw = 1u32;
        for _ in 0..20_000 {
            draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let slot = (draw >> 16) % 600;
            if model.remove(&slot) {
                table.remove(hash_of(slot), slot, hash_of);
            } else {
                table.insert(hash_of(slot), slot, hash_of);
                model.insert(slot);
            }
            let asked = (draw >> 8) % 600;
            let found = table.find(hash_of(asked), |other| other == asked);
            assert_eq!(found, model.contains(&asked).then_some(asked));
        }
        for partition in &table.partitions {
            assert_eq!(partition.used, partition.places.iter().filter(|slot| **slot != EMPTY).count());
        }
    }

    #[test]
    fn places_double_when_three_quarters_are_taken() {
        let mut table = SlotTable::default();
        let hash_of = |slot: SlotNumber| u64::from(slot) * PARTITIONS as u64;
        for (taken, places) in [(1, 8), (6, 8), (7, 16), (12, 16), (13, 32), (24, 32), (25, 64)] {
            for slot in u32::try_from(table.partitions[0].used).expect("few")..taken {
                table.insert(hash_of(slot), slot, hash_of);
            }
            assert_eq!(table.partitions[0].places.len(), places, "{taken} taken");
        }
    }

    #[test]
    fn a_hash_chooses_the_partition_and_the_place_in_it() {
        let mut table = SlotTable::default();
        for slot in (0..4 * 256).rev() {
            table.insert(u64::from(slot), slot, u64::from);
        }
        for (number, partition) in (0..).zip(&table.partitions) {
            let places = [0, 1, 2, 3].map(|place| place * 256 + number);
            assert_eq!(*partition.places, [places.as_slice(), &[EMPTY; 4]].concat());
        }
    }
}
