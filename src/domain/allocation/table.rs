//! All allocations of one organisation, by id. Where they lie is in their pools' free-space indexes.

use super::AllocationRow;
use super::codec::{HolderRef, Texts, is_for_child_pool};
use super::slots::{SlotNumber, SlotTable};
use crate::address::{Cidr, Slot};
use crate::domain::command::Tags;
use crate::domain::id::{AllocationId, PoolId, Revision};
use crate::domain::pool::CountAs;

/// Records are kept in chunks, so that growing never moves or doubles all of them at once.
const CHUNK_RECORDS: usize = 4_096;

#[derive(Debug, Default)]
pub struct Allocations {
    chunks: Vec<Vec<Option<Record>>>,
    free: Vec<SlotNumber>,
    by_id: SlotTable,
    texts: Texts,
    count: usize,
}

/// One allocation: what is asked often in the open, the rest encoded.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) id: AllocationId,
    pub(super) pool: PoolId,
    pub(super) cidr: Cidr,
    pub(super) changed_at: Revision,
    details: Box<[u8]>,
}

impl Record {
    pub(super) fn count_as(&self) -> CountAs {
        if is_for_child_pool(&self.details) { CountAs::ChildPool } else { CountAs::Assigned }
    }
}

impl Allocations {
    /// The allocation called `id`, while it lasts.
    #[must_use]
    pub fn row(&self, id: AllocationId) -> Option<AllocationRow> {
        self.slot_of(id).map(|slot| self.row_at(slot))
    }

    /// How many allocations there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The pool of an allocation, and the revision that last changed it.
    pub(in crate::domain) fn held(&self, id: AllocationId) -> Option<(PoolId, Revision)> {
        self.slot_of(id).map(|slot| self.record(slot)).map(|record| (record.pool, record.changed_at))
    }

    pub(super) fn row_at(&self, slot: SlotNumber) -> AllocationRow {
        let record = self.record(slot);
        let details = self.texts.decode(&record.details);
        AllocationRow {
            id: record.id,
            pool: record.pool,
            cidr: record.cidr,
            description: details.description,
            tags: details.tags,
            holder: details.holder,
            changed_at: record.changed_at,
        }
    }

    pub(in crate::domain) fn id_at(&self, Slot(slot): Slot) -> AllocationId {
        self.record(slot).id
    }

    pub(super) fn insert(&mut self, new: &New<'_>) -> SlotNumber {
        let details = self.texts.encode(new.description, new.tags, new.holder);
        let record = Record { id: new.id, pool: new.pool, cidr: new.cidr, changed_at: new.changed_at, details };
        let slot = self.free.pop().unwrap_or_else(|| self.new_slot());
        *self.place(slot) = Some(record);
        let chunks = &self.chunks;
        self.by_id.insert(hash(new.id), slot, |other| hash(record_in(chunks, other).id));
        self.count += 1;
        slot
    }

    pub(super) fn remove(&mut self, slot: SlotNumber) -> Record {
        let id = self.record(slot).id;
        let chunks = &self.chunks;
        self.by_id.remove(hash(id), slot, |other| hash(record_in(chunks, other).id));
        self.free.push(slot);
        self.count -= 1;
        self.place(slot).take().expect("the slot was found by its record")
    }

    /// Writes an allocation's details anew.
    pub(super) fn rewrite(&mut self, row: &AllocationRow) {
        let details = self.texts.encode(row.description.as_deref(), &row.tags, (&row.holder).into());
        let slot = self.slot_of(row.id).expect("a changed allocation exists");
        let record = self.place(slot).as_mut().expect("a slot that is found is taken");
        record.details = details;
        record.changed_at = row.changed_at;
    }

    pub(super) fn slot_of(&self, id: AllocationId) -> Option<SlotNumber> {
        self.by_id.find(hash(id), |slot| self.record(slot).id == id)
    }

    fn record(&self, slot: SlotNumber) -> &Record {
        record_in(&self.chunks, slot)
    }

    fn place(&mut self, slot: SlotNumber) -> &mut Option<Record> {
        let (chunk, at) = position(slot);
        self.chunks.get_mut(chunk).and_then(|chunk| chunk.get_mut(at)).expect("slots are numbered as given out")
    }

    fn new_slot(&mut self) -> SlotNumber {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK_RECORDS) {
            self.chunks.push(Vec::with_capacity(CHUNK_RECORDS));
        }
        let chunks = self.chunks.len();
        let chunk = self.chunks.last_mut().expect("a chunk with room was made");
        chunk.push(None);
        let slot = (chunks - 1) * CHUNK_RECORDS + chunk.len() - 1;
        // The table of slots keeps one number for itself.
        SlotNumber::try_from(slot).ok().filter(|slot| *slot < SlotNumber::MAX).expect("fewer than 2^32 - 1 allocations")
    }
}

/// What a new record is made of.
pub(super) struct New<'a> {
    pub(super) id: AllocationId,
    pub(super) pool: PoolId,
    pub(super) cidr: Cidr,
    pub(super) description: Option<&'a str>,
    pub(super) tags: &'a Tags,
    pub(super) holder: HolderRef<'a>,
    pub(super) changed_at: Revision,
}

fn position(slot: SlotNumber) -> (usize, usize) {
    let slot = slot as usize;
    (slot / CHUNK_RECORDS, slot % CHUNK_RECORDS)
}

fn record_in(chunks: &[Vec<Option<Record>>], slot: SlotNumber) -> &Record {
    let (chunk, at) = position(slot);
    let record = chunks.get(chunk).and_then(|chunk| chunk.get(at));
    record.and_then(Option::as_ref).expect("slot numbers in tables lead to records")
}

/// Ids are parts of SHA-256 values: their own bits spread well.
#[expect(clippy::cast_possible_truncation, reason = "any 64 bits of a hash are a hash")]
fn hash(id: AllocationId) -> u64 {
    id.bits() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_filled_and_places_used_again() {
        let tags = Tags::new();
        let id = |number: u32| AllocationId::from_bits(number.into()).expect("all bits may be an id's");
        let new = |number: u32| New {
            id: id(number),
            pool: PoolId::from_bits(1).expect("few bits"),
            cidr: Cidr::containing(crate::address::Family::Ipv4, number.into(), 32),
            description: None,
            tags: &tags,
            holder: HolderRef::Custom,
            changed_at: Revision::ZERO,
        };
        let count = u32::try_from(2 * CHUNK_RECORDS + 1).expect("few");
        let mut allocations = Allocations::default();
        assert!(allocations.is_empty());
        for number in 0..count {
            assert_eq!(allocations.insert(&new(number)), number);
        }
        assert_eq!(allocations.chunks.iter().map(Vec::len).collect::<Vec<_>>(), [CHUNK_RECORDS, CHUNK_RECORDS, 1]);
        assert_eq!((allocations.len(), allocations.is_empty()), (count as usize, false));
        for number in 0..count {
            assert_eq!(allocations.slot_of(id(number)), Some(number));
            assert_eq!(allocations.row_at(number).id, id(number));
        }
        for number in [7, count - 1] {
            assert_eq!(allocations.remove(number).id, id(number));
            assert_eq!(allocations.slot_of(id(number)), None);
        }
        for (slot, number) in [(count - 1, 8_193), (7, 8_194), (count, 8_195)] {
            assert_eq!(allocations.insert(&new(number)), slot);
        }
        assert_eq!(allocations.len(), count as usize + 1);
        assert_ne!(hash(id(1)), hash(id(2)));
    }
}
