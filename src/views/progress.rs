//! How far the views are: for readiness, for metrics, and to wake those who wait for a revision.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::waiting::Waiting;
use crate::log::record::{Offset, Partition};

/// Shared by the projector, which writes it, and those who ask.
#[derive(Debug, Default)]
pub struct Progress {
    partitions: Mutex<BTreeMap<Partition, PartitionProgress>>,
    failure: Mutex<Option<String>>,
    waiting: Waiting,
}

/// How far all views are in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionProgress {
    /// The offset behind the last record that all views hold.
    pub next: Offset,
    /// Whether everything that was in the log at the start is folded.
    pub caught_up: bool,
    /// How many records have had no effect, ever.
    pub void_count: u64,
    /// Why the fold stopped here, naming the record.
    pub stopped: Option<String>,
}

impl Progress {
    /// Every partition, as of the last commit.
    #[must_use]
    pub fn partitions(&self) -> BTreeMap<Partition, PartitionProgress> {
        lock(&self.partitions).clone()
    }

    /// Who waits for what will be committed.
    #[must_use]
    pub const fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Whether queries can be answered.
    ///
    /// # Errors
    /// Why not: the views are behind, a partition has stopped, or the store cannot be written.
    pub fn ready(&self) -> Result<(), String> {
        if let Some(failure) = lock(&self.failure).clone() {
            return Err(failure);
        }
        let partitions = lock(&self.partitions);
        if let Some((partition, reason)) =
            partitions.iter().find_map(|(partition, progress)| Some((partition, progress.stopped.as_ref()?)))
        {
            return Err(format!("the views of partition {partition} have stopped: {reason}"));
        }
        let behind = partitions.values().filter(|progress| !progress.caught_up).count();
        if behind > 0 {
            return Err(format!("the views are still catching up with the log in {behind} partitions"));
        }
        Ok(())
    }

    /// Whether every partition was folded up to where the log ended at the start, or has stopped.
    #[must_use]
    pub fn caught_up(&self) -> bool {
        lock(&self.partitions).values().all(|progress| progress.caught_up || progress.stopped.is_some())
    }

    /// Why the fold of a partition stopped, where it did.
    #[must_use]
    pub fn stopped(&self, partition: Partition) -> Option<String> {
        lock(&self.partitions).get(&partition).and_then(|progress| progress.stopped.clone())
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut BTreeMap<Partition, PartitionProgress>)) {
        change(&mut lock(&self.partitions));
    }

    pub(super) fn fail(&self, reason: String) {
        *lock(&self.failure) = Some(reason);
    }

    pub(super) fn recover(&self) {
        *lock(&self.failure) = None;
    }
}

/// What these locks guard is whole at every moment, whoever panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
