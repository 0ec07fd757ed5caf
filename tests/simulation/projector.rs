//! A node's views: the real admission and the real folds, into a view store that may lose its tail.

use std::sync::Arc;
use std::time::Duration;

use ipam_ledger::log::Log;
use ipam_ledger::log::admission::Admission;
use ipam_ledger::log::record::Partition;
use ipam_ledger::log::simulated::SimulatedLog;
use ipam_ledger::views::ledger::LedgerView;
use ipam_ledger::views::lineage::LineageView;
use ipam_ledger::views::position::PositionError;
use ipam_ledger::views::projector::{Followed, Trouble, admit};
use ipam_ledger::views::store::Overlay;
use ipam_ledger::views::view::View;

use super::disk::{Borrowed, FAMILIES, SharedDisk};

pub struct Projector {
    views: Vec<(&'static str, Followed)>,
    admissions: Vec<Admission>,
}

/// Why nothing was folded.
pub enum Stuck {
    DiskFull,
    Log,
}

impl Projector {
    /// Compares every position with the log, as the real one does at its start, and goes on from there.
    pub fn start(log: &SimulatedLog, disk: &SharedDisk, partitions: u32) -> Result<Self, PositionError> {
        let mut admissions = vec![None; partitions as usize];
        let mut views = Vec::new();
        let folds: [Box<dyn View>; 2] = [Box::new(LineageView::default()), Box::new(LedgerView::new(Arc::default()))];
        for (name, view) in FAMILIES.into_iter().zip(folds) {
            assert_eq!(name, view.name(), "the families are in the order of the views");
            let positions = disk.lock().positions(name);
            for (partition, position) in &positions {
                position.check(name, log, *partition)?;
            }
            for (partition, behind) in (0..).map(Partition).zip(&mut admissions) {
                let admission =
                    positions.get(&partition).map(|position| position.admission.clone()).unwrap_or_default();
                if behind.as_ref().is_none_or(|behind: &Admission| admission.next < behind.next) {
                    *behind = Some(admission);
                }
            }
            views.push((name, Followed::new(view, positions)));
        }
        Ok(Self { views, admissions: admissions.into_iter().map(Option::unwrap_or_default).collect() })
    }

    pub fn admission(&self, partition: Partition) -> &Admission {
        &self.admissions[partition.0 as usize]
    }

    /// Reads on in some partitions and commits what came, all at once; how many records that were.
    pub fn read(
        &mut self,
        log: &SimulatedLog,
        disk: &SharedDisk,
        partitions: &[Partition],
        records_max: usize,
        full: bool,
    ) -> Result<usize, Stuck> {
        let mut ready = Vec::new();
        let mut count = 0;
        for partition in partitions {
            let admission = &mut self.admissions[partition.0 as usize];
            let mut reader = log.reader(*partition, admission.next).map_err(|_| Stuck::Log)?;
            let records = reader.read(records_max, Duration::ZERO).map_err(|_| Stuck::Log)?;
            count += records.len();
            let batch = admit(*partition, admission, &records);
            assert!(batch.stopped.is_none(), "a partition has stopped: {:?}", batch.stopped);
            ready.push(batch);
        }
        if count == 0 {
            return Ok(0);
        }
        let mut disk = disk.lock();
        let mut commits = Vec::new();
        for (name, followed) in &mut self.views {
            let table = Overlay::over(Box::new(Borrowed(disk.rows(name))));
            match followed.fold(table, &ready) {
                Ok(commit) => commits.push((*name, commit)),
                Err(Trouble::Panicked { reason, offset, .. }) => panic!("folding the record at {offset}: {reason}"),
                Err(Trouble::Table(error)) => panic!("memory can be read: {error}"),
            }
        }
        if full {
            return Err(Stuck::DiskFull);
        }
        for ((name, commit), (_, followed)) in commits.into_iter().zip(&mut self.views) {
            followed.committed(commit.positions.clone());
            if !commit.positions.is_empty() {
                disk.commit(name, commit.into_rows());
            }
        }
        Ok(count)
    }
}
