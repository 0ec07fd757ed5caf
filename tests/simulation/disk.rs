//! A node's view store: what is flushed survives a crash, the rest does not. Each family is flushed by itself, as
//! RocksDB does it, so after a crash two views may stand at different places.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use ipam_ledger::domain::id::{CommandId, OrganizationId};
use ipam_ledger::log::record::{Offset, Partition};
use ipam_ledger::log::snapshot::PartitionSnapshot;
use ipam_ledger::planted::{Bug, planted};
use ipam_ledger::processor::memory::{Known, Memory, MemoryError};
use ipam_ledger::views::ledger::LEDGER;
use ipam_ledger::views::lineage::LineageView;
use ipam_ledger::views::position::Position;
use ipam_ledger::views::questions::LedgerRows;
use ipam_ledger::views::store::Changes;
use ipam_ledger::views::table::{MemoryTable, Rows, Table, TableError, Visit};

pub const FAMILIES: [&str; 2] = [LineageView::NAME, LEDGER];
/// The kind of position rows.
const POSITION: u8 = 0x01;

#[derive(Debug, Default)]
pub struct Disk {
    families: BTreeMap<&'static str, Family>,
    /// Old command ids that a writer asked for and found.
    pub old_ids_found: u64,
}

#[derive(Debug, Default)]
struct Family {
    flushed: MemoryTable,
    /// What is flushed, and what is not yet.
    shown: MemoryTable,
    tail: Vec<Changes>,
}

impl Disk {
    pub fn rows(&self, family: &str) -> &MemoryTable {
        &self.families.get(family).expect("made with the disk").shown
    }

    pub fn ledger(&self) -> LedgerRows<'_> {
        LedgerRows(self.rows(LEDGER))
    }

    pub fn positions(&self, family: &str) -> BTreeMap<Partition, Position> {
        Position::all(self.rows(family)).expect("positions are never damaged so that they cannot be read")
    }

    /// One write batch.
    pub fn commit(&mut self, family: &'static str, changes: Changes) {
        let family = self.families.entry(family).or_default();
        write(&mut family.shown, &changes);
        if planted(Bug::PositionApart) {
            let (position, rows): (Changes, Changes) =
                changes.into_iter().partition(|(key, _)| key.first() == Some(&POSITION));
            write(&mut family.flushed, &position);
            family.tail.push(rows);
            return;
        }
        family.tail.push(changes);
    }

    pub fn flush(&mut self, family: &'static str) {
        let family = self.families.entry(family).or_default();
        for changes in family.tail.drain(..) {
            write(&mut family.flushed, &changes);
        }
    }

    pub fn crash(&mut self) {
        for family in self.families.values_mut() {
            family.tail.clear();
            family.shown = family.flushed.clone();
        }
    }

    pub fn clear(&mut self) {
        self.families = FAMILIES.iter().map(|name| (*name, Family::default())).collect();
    }

    /// A row of the flushed part is replaced.
    pub fn damage(&mut self, family: &'static str, key: Vec<u8>, value: Vec<u8>) {
        let family = self.families.entry(family).or_default();
        family.flushed.put(key.clone(), value.clone());
        family.shown.put(key, value);
    }
}

fn write(table: &mut MemoryTable, changes: &Changes) {
    for (key, change) in changes {
        match change {
            Some(value) => table.put(key.clone(), value.clone()),
            None => table.delete(key.clone()),
        }
    }
}

/// Rows that are borrowed.
pub struct Borrowed<'a>(pub &'a MemoryTable);

impl Rows for Borrowed<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.0.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], each: &mut Visit<'_>) -> Result<(), TableError> {
        self.0.scan(from, to, each)
    }
}

/// The disk, shared by a node's views and its writers.
#[derive(Clone, Debug)]
pub struct SharedDisk(Arc<Mutex<Disk>>);

impl SharedDisk {
    pub fn new() -> Self {
        let mut disk = Disk::default();
        disk.clear();
        Self(Arc::new(Mutex::new(disk)))
    }

    pub fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

/// As `cli/node/memory` does it over the views in earnest.
impl Memory for SharedDisk {
    fn restore(&self, partition: Partition) -> Option<PartitionSnapshot> {
        self.lock().ledger().restore(partition).ok()?
    }

    fn outcome_of(&self, organization: &OrganizationId, command: CommandId) -> Result<Option<Known>, MemoryError> {
        let mut disk = self.lock();
        let outcome = disk.ledger().outcome(organization, command);
        let outcome = outcome.map_err(|error| MemoryError(error.to_string()))?;
        disk.old_ids_found += u64::from(outcome.is_some());
        Ok(outcome.map(|outcome| Known { offset: outcome.offset, digest: outcome.digest, value: outcome.value }))
    }

    fn covered(&self, partition: Partition) -> Offset {
        self.lock().ledger().covered(partition).unwrap_or_default()
    }
}
