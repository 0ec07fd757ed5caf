//! A node on the embedded log: one process, one directory, no server beside it.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::memory::ViewsMemory;
use super::{Node, NodeError, Writers};
use crate::log::Log;
use crate::log::embedded::{EmbeddedLog, create_durably};
use crate::log::partition::partition_of;
use crate::log::record::Partition;
use crate::processor::core::{Config, Domain, Limits, Rules};
use crate::processor::local::Local;
use crate::processor::metrics::WriterMetrics;
use crate::processor::writer::{Parts, SystemClock, Writer};
use crate::views::Views;
use crate::views::projector::{Projector, ProjectorError};
use crate::views::store::StoreError;

/// The folder that holds the log.
const LOG: &str = "log";
/// The folder that holds the views, which are derived from it.
const VIEWS: &str = "views";
/// Partitions of a new embedded log: one writer shares one fsync among all that is ready.
const PARTITIONS: u32 = 1;
/// Commands waiting for a writer; further ones wait outside.
const QUEUE_COMMANDS_MAX: usize = 10_000;

/// Whether there is a ledger in `data`, or what is left of one: opening it makes none.
#[must_use]
pub fn holds_embedded(data: &Path) -> bool {
    data.join(LOG).exists()
}

/// Opens the ledger in `data`, or makes a new one.
///
/// # Errors
/// Each says what to do.
pub fn open_embedded(data: &Path) -> Result<Node, NodeError> {
    open_embedded_by(data, &(Arc::new(Domain) as Arc<dyn Rules>))
}

/// The same, deciding by other rules: a test's, that has planted a defect in them.
///
/// # Errors
/// Each says what to do.
pub fn open_embedded_by(data: &Path, rules: &Arc<dyn Rules>) -> Result<Node, NodeError> {
    create_durably(data).map_err(|error| NodeError::Directory { path: data.to_owned(), error })?;
    let (log, views) = (data.join(LOG), data.join(VIEWS));
    // The log of a ledger is made before its views, and goes after them.
    if !log.exists() && (views.exists() || log.is_symlink()) {
        return Err(NodeError::LogGone { log });
    }
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(&log, PARTITIONS)?);
    let (views, projector) = Views::open(&views, Arc::clone(&log))?;
    let partitions = log.partitions()?;
    let memory = Arc::new(ViewsMemory(views.clone()));
    let ledger = Uuid::new_v4();
    let (local, queues) = Local::new(partitions, QUEUE_COMMANDS_MAX, partition_of);
    let (writers, mut writer_metrics) = (Writers::default(), Vec::new());
    for (partition, queue) in (0..partitions).map(Partition).zip(queues) {
        let metrics = Arc::new(WriterMetrics::default());
        writer_metrics.push((partition, Arc::clone(&metrics)));
        let writer = Writer::start(Parts {
            config: Config { partition, ledger, partitions, partition_of, limits: Limits::default() },
            log: Arc::clone(&log),
            memory: memory.clone(),
            rules: Arc::clone(rules),
            clock: Arc::new(SystemClock),
            metrics,
            topic: None,
            queue: Some(queue),
        });
        writers.add(partition, writer.map_err(NodeError::Thread)?);
    }
    Ok(Node {
        log,
        views,
        projector: Some(projector),
        writers,
        writer_metrics,
        submit: Some(Arc::new(local)),
        crew: None,
    })
}

/// Opens the ledger in `data` for questions. The log is not written; the views, which are derived from it, follow. On
/// a disk that cannot be written, views that are where the log is answer as they are.
///
/// # Errors
/// Each says what to do.
pub fn open_embedded_for_reading(data: &Path) -> Result<Node, NodeError> {
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open_read_only(&data.join(LOG))?);
    let path = data.join(VIEWS);
    let (views, projector) = match Views::open(&path, Arc::clone(&log)) {
        Ok((views, projector)) => (views, Some(projector)),
        Err(ProjectorError::Store(no @ StoreError::NotWritable { .. })) => match Views::open_read_only(&path) {
            Ok(views) if holds_all_of(&views, log.as_ref())? => (views, None),
            _ => return Err(ProjectorError::Store(no).into()),
        },
        Err(error) => return Err(error.into()),
    };
    Ok(for_questions(log, views, projector))
}

/// Folds a log into the views in `views`, for questions.
///
/// # Errors
/// Each says what to do.
pub fn open_for_reading(views: &Path, log: Arc<dyn Log>) -> Result<Node, NodeError> {
    let (views, projector) = Views::open(views, Arc::clone(&log))?;
    Ok(for_questions(log, views, Some(projector)))
}

/// A node that takes no commands.
fn for_questions(log: Arc<dyn Log>, views: Views, projector: Option<Projector>) -> Node {
    Node { log, views, projector, writers: Writers::default(), writer_metrics: Vec::new(), submit: None, crew: None }
}

/// Whether the views hold every record of the log.
fn holds_all_of(views: &Views, log: &dyn Log) -> Result<bool, NodeError> {
    for partition in (0..log.partitions()?).map(Partition) {
        let end = log.end(partition)?;
        if !views.covered(partition).is_ok_and(|covered| covered >= end) {
            return Ok(false);
        }
    }
    Ok(true)
}
