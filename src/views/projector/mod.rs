//! The projector: follows every partition of the log and folds what is admitted into the views.
//!
//! A thread per partition reads, admits and decodes ([`follow`]); one thread folds and commits ([`fold`]). It drains
//! what is ready and never waits for more. An admitted record that cannot be read or folded stops its partition,
//! and that one only, naming the record (design D6); nothing behind it is ever folded.
//!
//! What needs no thread is public for whoever drives it otherwise, such as a simulation: [`admit`] and [`Followed`].

#[cfg(test)]
mod damage;
mod fold;
mod follow;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

pub use self::fold::{Followed, Trouble};
pub use self::follow::{Batch, Item, admit};

use super::position::{Position, PositionError};
use super::progress::{PartitionProgress, Progress};
use super::store::{Store, StoreError};
use super::table::TableError;
use super::view::View;
use crate::log::admission::Admission;
use crate::log::record::{Offset, Partition};
use crate::log::{Log, ReadError};

/// Batches of records on their way from readers to the fold.
const BATCHES_UNDER_WAY_MAX: usize = 8;

/// The projector cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Position(#[from] PositionError),
    #[error("the log cannot be read: {0}")]
    Log(#[from] ReadError),
    #[error("a thread of the projector cannot be started: {0}")]
    Thread(std::io::Error),
}

/// The running threads. Dropped, they end on their own; [`Projector::stop`] also waits and flushes.
#[derive(Debug)]
pub struct Projector {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    store: Arc<Store>,
}

impl Projector {
    /// Compares every position with the log, then follows the log from there.
    ///
    /// # Errors
    /// When a view is ahead of the log or of another one (design D11), or the log or the store cannot be read.
    pub fn start(
        log: &Arc<dyn Log>,
        store: Arc<Store>,
        views: Vec<Box<dyn View>>,
        progress: Arc<Progress>,
    ) -> Result<Self, ProjectorError> {
        let mut positions = Vec::new();
        for view in &views {
            let of_view = store.positions(view.name())?;
            for (partition, position) in &of_view {
                position.check(view.name(), log.as_ref(), *partition)?;
            }
            positions.push(of_view);
        }
        let starts = starts(log.as_ref(), &positions)?;
        progress.update(|partitions| {
            for (partition, start) in &starts {
                partitions.insert(*partition, start.progress());
            }
        });
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = crossbeam_channel::bounded(BATCHES_UNDER_WAY_MAX);
        let mut threads = Vec::new();
        for (partition, start) in &starts {
            let follower = follow::Follower {
                log: Arc::clone(log),
                partition: *partition,
                admission: start.admission.clone(),
                batches: sender.clone(),
                stop: Arc::clone(&stop),
            };
            threads.push(spawn(format!("views-read-{partition}"), move || follower.run())?);
        }
        drop(sender);
        let ends = starts.iter().map(|(partition, start)| (*partition, start.end)).collect();
        let folder =
            fold::Folder::new(Arc::clone(&store), views, positions, ends, receiver, progress, Arc::clone(&stop));
        threads.push(spawn("views-fold".to_owned(), move || folder.run())?);
        Ok(Self { stop, threads, store })
    }

    /// Stops following, waits for what is under way, and makes it durable.
    ///
    /// # Errors
    /// When the store cannot be flushed: the views then fall back to their last flush at the next start.
    pub fn stop(mut self) -> Result<(), TableError> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the projector had panicked");
            }
        }
        self.store.flush()
    }
}

impl Drop for Projector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Where the reading of a partition begins: at the view that is furthest behind.
struct Start {
    admission: Admission,
    end: Offset,
}

impl Start {
    fn progress(&self) -> PartitionProgress {
        PartitionProgress {
            next: self.admission.next,
            caught_up: self.admission.next >= self.end,
            void_count: self.admission.void_count,
            stopped: None,
        }
    }
}

fn starts(
    log: &dyn Log,
    positions: &[BTreeMap<Partition, Position>],
) -> Result<BTreeMap<Partition, Start>, ProjectorError> {
    let mut starts = BTreeMap::new();
    for partition in (0..log.partitions()?).map(Partition) {
        let admission = positions
            .iter()
            .map(|of_view| of_view.get(&partition).map(|position| position.admission.clone()).unwrap_or_default())
            .min_by_key(|admission| admission.next)
            .unwrap_or_default();
        starts.insert(partition, Start { admission, end: log.end(partition)? });
    }
    Ok(starts)
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, ProjectorError> {
    thread::Builder::new().name(name).spawn(run).map_err(ProjectorError::Thread)
}
