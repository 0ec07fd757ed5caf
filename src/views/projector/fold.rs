//! Folds batches into the views and commits them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::follow::{Batch, Item};
use crate::log::record::{Offset, Partition};
use crate::planted::{Bug, planted};
use crate::views::position::Position;
use crate::views::progress::Progress;
use crate::views::store::{Commit, Overlay, Store};
use crate::views::table::TableError;
use crate::views::view::{Admitted, View};

/// A commit is not made larger than this by draining more.
const RECORDS_PER_COMMIT_MAX: usize = 10_000;
/// Fewer records than this are folded on one thread: starting others costs more.
const RECORDS_WORTH_THREADS: usize = 64;

/// After a commit that failed, as on a full disk.
const TRY_AGAIN_PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Folder {
    store: Arc<Store>,
    views: Vec<Followed>,
    /// Where the log ended at the start.
    ends: BTreeMap<Partition, Offset>,
    batches: Receiver<Batch>,
    progress: Arc<Progress>,
    /// Partitions that have stopped take nothing any more.
    stopped: BTreeMap<Partition, String>,
    old_versions_dropped: bool,
    stop: Arc<AtomicBool>,
}

/// A view and where it stands.
pub struct Followed {
    view: Box<dyn View>,
    positions: BTreeMap<Partition, Position>,
}

/// Why a batch was not folded.
#[derive(Debug)]
pub enum Trouble {
    /// Folding this record panicked.
    Panicked {
        partition: Partition,
        offset: Offset,
        reason: String,
    },
    Table(TableError),
}

impl Folder {
    pub fn new(
        store: Arc<Store>,
        views: Vec<Box<dyn View>>,
        positions: Vec<BTreeMap<Partition, Position>>,
        ends: BTreeMap<Partition, Offset>,
        batches: Receiver<Batch>,
        progress: Arc<Progress>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let views = views.into_iter().zip(positions).map(|(view, positions)| Followed::new(view, positions)).collect();
        Self { store, views, ends, batches, progress, stopped: BTreeMap::new(), old_versions_dropped: false, stop }
    }

    /// Until every follower has ended.
    pub fn run(mut self) {
        while let Ok(first) = self.batches.recv() {
            let mut records = first.items.len();
            let mut ready = vec![first];
            while records < RECORDS_PER_COMMIT_MAX
                && let Ok(next) = self.batches.try_recv()
            {
                records += next.items.len();
                ready.push(next);
            }
            let mut failures = 0_u32;
            while let Err(error) = self.take(&mut ready) {
                let reason = match self.store.damage() {
                    Some(damage) => damage.to_owned(),
                    None => format!("{error}; free or repair the disk, or start again: the log holds everything"),
                };
                if failures == 0 {
                    tracing::error!(reason, "the views are held up; it is tried again");
                }
                failures += 1;
                self.progress.fail(reason);
                self.reset();
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                thread::sleep(TRY_AGAIN_PAUSE);
            }
            if failures > 0 {
                tracing::info!(failures, "the store can be written again");
                self.progress.recover();
            }
        }
    }

    /// The same batches may come again after a failure: nothing of them was committed.
    fn take(&mut self, ready: &mut Vec<Batch>) -> Result<(), TableError> {
        ready.retain(|batch| !self.stopped.contains_key(&batch.partition));
        while let Err(trouble) = self.fold_and_commit(ready) {
            match trouble {
                Trouble::Table(error) => return Err(error),
                Trouble::Panicked { partition, offset, reason } => {
                    let reason =
                        format!("folding the record at offset {offset} of partition {partition} panicked: {reason}");
                    tracing::error!(%partition, %offset, reason, "the views have stopped");
                    self.reset();
                    cut(ready, partition, offset, reason);
                }
            }
        }
        for batch in &*ready {
            if let Some(reason) = &batch.stopped {
                self.stopped.insert(batch.partition, reason.clone());
            }
        }
        self.publish(ready);
        self.progress.waiting().committed(ready.iter().flat_map(|batch| &batch.items).map(|item| &item.outcome));
        if !self.old_versions_dropped && self.progress.ready().is_ok() {
            for name in self.store.drop_other_versions()? {
                tracing::info!(name, "a view of another version was dropped: this version's has caught up");
            }
            self.old_versions_dropped = true;
        }
        Ok(())
    }

    /// What the views hold in memory may be ahead of their rows.
    fn reset(&mut self) {
        for followed in &mut self.views {
            followed.view.reset();
        }
    }

    fn fold_and_commit(&mut self, ready: &[Batch]) -> Result<(), Trouble> {
        let store = Arc::clone(&self.store);
        let snapshot = store.snapshot();
        let records: usize = ready.iter().map(|batch| batch.items.len()).sum();
        let (store, snapshot) = (&*store, &snapshot);
        let fold = |followed: &mut Followed| {
            followed.fold(snapshot.overlay(followed.view.name()).map_err(Trouble::Table)?, ready)
        };
        let results: Vec<_> = if records < RECORDS_WORTH_THREADS {
            self.views.iter_mut().map(fold).collect()
        } else {
            thread::scope(|scope| {
                let folds = self.views.iter_mut().map(|followed| scope.spawn(move || fold(followed)));
                let folds: Vec<_> = folds.collect();
                folds.into_iter().map(|fold| fold.join().expect("panics of folds are caught")).collect()
            })
        };
        let mut commits = Vec::with_capacity(results.len());
        for result in results {
            commits.push(result?);
        }
        let positions: Vec<_> = commits.iter().map(|commit| commit.positions.clone()).collect();
        commits.retain(|commit| !commit.positions.is_empty());
        if !commits.is_empty() {
            store.commit(commits).map_err(Trouble::Table)?;
        }
        for (followed, positions) in self.views.iter_mut().zip(positions) {
            followed.committed(positions);
        }
        Ok(())
    }

    fn publish(&self, ready: &[Batch]) {
        let next = |partition: Partition| {
            let of_views = self.views.iter().map(|followed| followed.positions.get(&partition));
            of_views
                .map(|position| position.map(|position| position.admission.clone()).unwrap_or_default())
                .min_by_key(|admission| admission.next)
        };
        self.progress.update(|partitions| {
            for batch in ready {
                let progress = partitions.entry(batch.partition).or_default();
                if let Some(admission) = next(batch.partition) {
                    progress.next = admission.next;
                    progress.void_count = admission.void_count;
                }
                let end = self.ends.get(&batch.partition).copied().unwrap_or_default();
                progress.caught_up |= batch.at_end || progress.next >= end;
                progress.stopped.clone_from(&batch.stopped);
            }
        });
    }
}

impl Followed {
    #[must_use]
    pub fn new(view: Box<dyn View>, positions: BTreeMap<Partition, Position>) -> Self {
        Self { view, positions }
    }

    /// Folds what the view does not hold yet. `table` is over its rows.
    ///
    /// # Errors
    /// When the rows cannot be read, or the fold panics: the view must then be reset and `table` thrown away.
    pub fn fold(&mut self, mut table: Overlay<'_>, ready: &[Batch]) -> Result<Commit, Trouble> {
        let mut positions = BTreeMap::new();
        for batch in ready {
            let Some(position) = &batch.position else { continue };
            let held = self.positions.get(&batch.partition).map(|position| position.offset);
            let is_new = |offset: Offset| held.is_none_or(|held| offset > held);
            for item in batch.items.iter().filter(|item| is_new(item.record.offset) || planted(Bug::FoldedTwice)) {
                self.fold_one(&mut table, batch.partition, item)?;
            }
            if is_new(position.offset) {
                positions.insert(batch.partition, position.clone());
            }
        }
        self.view.finish(&mut table).map_err(Trouble::Table)?;
        Ok(Commit { family: self.view.name(), changes: table.into_changes(), positions })
    }

    /// A commit up to these positions was made.
    pub fn committed(&mut self, positions: BTreeMap<Partition, Position>) {
        self.positions.extend(positions);
    }

    fn fold_one(&mut self, table: &mut Overlay<'_>, partition: Partition, item: &Item) -> Result<(), Trouble> {
        let offset = item.record.offset;
        let admitted = Admitted { partition, offset, outcome: &item.outcome, value: &item.record.value };
        // What a panic leaves half done is thrown away: the overlay, and by `reset` the view's memory.
        match catch_unwind(AssertUnwindSafe(|| self.view.fold(table, &admitted))) {
            Ok(folded) => folded.map_err(Trouble::Table),
            Err(panic) => Err(Trouble::Panicked { partition, offset, reason: panic_text(panic.as_ref()) }),
        }
    }
}

impl std::fmt::Debug for Followed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Followed").field("view", &self.view.name()).field("positions", &self.positions).finish()
    }
}

/// Takes what is at or behind `offset` of `partition` out, and stops the partition there.
fn cut(ready: &mut Vec<Batch>, partition: Partition, offset: Offset, reason: String) {
    let mut reason = Some(reason);
    ready.retain_mut(|batch| {
        if batch.partition != partition {
            return true;
        }
        let Some(why) = reason.take_if(|_| batch.position.as_ref().is_some_and(|position| position.offset >= offset))
        else {
            // Before the culprit whole; behind it not at all.
            return reason.is_some();
        };
        batch.items.retain(|item| item.record.offset < offset);
        batch.position = batch.items.last().map(|item| Position::behind(&item.record, item.admission.clone()));
        batch.at_end = false;
        batch.stopped = Some(why);
        true
    });
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a message").to_owned()
}
