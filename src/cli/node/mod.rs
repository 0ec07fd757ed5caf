//! A node: log, writers, views and HTTP put together. Nothing is decided here; this is the wiring.
//!
//! The order matters. Opening: log, views, writers, router. Stopping: HTTP first (by the caller), then the writers,
//! which answer what they accepted, then the views, which are flushed last.

mod embedded;
mod kafka;
mod memory;
mod topic;
mod writers;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;

use crate::api::limits::Limits;
use crate::api::metrics::Metrics;
use crate::api::{Parts, collectors};
use crate::log::embedded::OpenError;
use crate::log::record::Partition;
use crate::log::{Log, ReadError};
use crate::processor::metrics::WriterMetrics;
use crate::processor::submit::Submit;
use crate::views::Views;
use crate::views::position::PositionError;
use crate::views::projector::{Projector, ProjectorError};

pub use embedded::{holds_embedded, open_embedded, open_embedded_by, open_embedded_for_reading, open_for_reading};
pub use kafka::{KafkaFlags, MemberFlags, open_kafka};
use writers::Writers;

/// How long a command waits for the views to catch up with a log that it opened itself.
const CATCH_UP_WITHIN: Duration = Duration::from_mins(10);

/// A node that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Log(#[from] OpenError),
    #[error("the log cannot be read: {0}")]
    Read(#[from] ReadError),
    #[error(transparent)]
    Views(#[from] ProjectorError),
    #[error("{path} cannot be made ({error}): choose another directory, or put out of the way what is in its place")]
    Directory { path: PathBuf, error: std::io::Error },
    #[error(
        "there is no log at {}, but something of a ledger is: its log was moved or deleted, or its disk is not mounted. \
         Put it back, or restore it from a backup; where a new ledger is meant, choose another directory; where the \
         ledger is on Kafka, say so with --kafka", .log.display()
    )]
    LogGone { log: PathBuf },
    #[error("a thread cannot be started: {0}")]
    Thread(std::io::Error),
    #[error("Kafka: {0}")]
    Kafka(String),
    #[error("the topics are not as a ledger needs them:\n  {0}")]
    Topics(String),
    #[error("the views do not catch up with the log: {0}")]
    Behind(String),
}

impl NodeError {
    /// Whether nothing is wrong but that the log did not answer in time.
    fn is_unreachable(&self) -> bool {
        let (Self::Read(error)
        | Self::Views(ProjectorError::Log(error) | ProjectorError::Position(PositionError::Log(error)))) = self
        else {
            return matches!(
                self,
                Self::Kafka(_) | Self::Views(ProjectorError::Position(PositionError::NotShown { .. }))
            );
        };
        matches!(error, ReadError::Unreachable(_))
    }
}

/// An open node. Dropped, it leaves without waiting; [`Node::stop`] leaves in order.
pub struct Node {
    log: Arc<dyn Log>,
    views: Views,
    projector: Option<Projector>,
    writers: Writers,
    writer_metrics: Vec<(Partition, Arc<WriterMetrics>)>,
    submit: Option<Arc<dyn Submit>>,
    /// On Kafka: the thread that starts and stops writers as the group says.
    crew: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("writers", &self.writers).finish_non_exhaustive()
    }
}

impl Node {
    /// The HTTP interface of this node.
    pub fn router(&self, limits: Limits) -> axum::Router {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(collectors::Writers(self.writer_metrics.clone())));
        registry
            .register_collector(Box::new(collectors::Views { views: self.views.clone(), log: Arc::clone(&self.log) }));
        let (views, writers) = (self.views.clone(), self.writers.clone());
        crate::api::router(Parts {
            submit: self.submit.clone(),
            views: self.views.clone(),
            metrics: Metrics::new(registry),
            ready: Arc::new(move || {
                views.ready()?;
                writers.stopped().map_or(Ok(()), Err)
            }),
            limits,
        })
    }

    /// Waits until the views hold what the log held when it was opened.
    ///
    /// # Errors
    /// When they stop before, or take too long.
    pub fn catch_up(&self) -> Result<(), NodeError> {
        let until = Instant::now() + CATCH_UP_WITHIN;
        loop {
            let is_over = |views: &Views| views.is_damaged() || views.progress().caught_up() || Instant::now() > until;
            match self.views.ready() {
                Ok(()) => return Ok(()),
                Err(reason) if is_over(&self.views) => {
                    return Err(NodeError::Behind(reason));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Leaves in order: what was accepted is answered, then the views are flushed.
    pub fn stop(mut self) {
        if let Some((stop, thread)) = self.crew.take() {
            stop.store(true, Ordering::Relaxed);
            if thread.join().is_err() {
                tracing::error!("the thread that starts writers had panicked");
            }
        }
        self.writers.stop();
        if let Some(projector) = self.projector.take()
            && let Err(error) = projector.stop()
        {
            tracing::error!(%error, "the views could not be flushed; they fall back at the next start");
        }
    }
}
