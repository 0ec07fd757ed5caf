//! The writers that run in this process, by partition.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::log::record::Partition;
use crate::processor::writer::{Status, Writer};

#[derive(Clone, Debug, Default)]
pub(super) struct Writers {
    running: Arc<Mutex<BTreeMap<Partition, Writer>>>,
    /// Why this process writes nothing any more.
    put_out: Arc<OnceLock<String>>,
}

impl Writers {
    pub fn add(&self, partition: Partition, writer: Writer) {
        self.lock().insert(partition, writer);
    }

    pub fn has(&self, partition: Partition) -> bool {
        self.lock().contains_key(&partition)
    }

    /// Stops all others: they answer what they accepted, side by side, and leave. Waits until they have.
    pub fn keep(&self, partitions: &[Partition]) {
        let leaving: Vec<_> = self.lock().extract_if(.., |partition, _| !partitions.contains(partition)).collect();
        for (_, writer) in &leaving {
            writer.ask_to_leave();
        }
        for (partition, writer) in leaving {
            writer.stop();
            tracing::info!(%partition, "the writer has left");
        }
    }

    /// All writers have left for good; a restart of the process may change that.
    pub fn put_out(&self, reason: String) {
        self.keep(&[]);
        let _ = self.put_out.set(reason);
    }

    /// Why a writer takes no commands, when an operator has to do something about it.
    pub fn stopped(&self) -> Option<String> {
        if let Some(reason) = self.put_out.get() {
            return Some(reason.clone());
        }
        self.lock().iter().find_map(|(partition, writer)| match writer.status() {
            Status::Stopped { reason } => Some(format!("the writer of partition {partition} has stopped: {reason}")),
            Status::Refusing { reason } => Some(format!("the writer of partition {partition} is refused: {reason}")),
            _ => None,
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Partition, Writer>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
