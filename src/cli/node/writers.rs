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

    /// Whether a writer runs that has not left by itself.
    pub fn has(&self, partition: Partition) -> bool {
        let mut running = self.lock();
        running.retain(|_, writer| writer.status() != Status::Left);
        running.contains_key(&partition)
    }

    /// All but these give way to whoever takes their partitions over. Until then they write on: between the moment
    /// when the group takes a partition from one member and that when it gives it to another, a member may be lost,
    /// and everybody waits until its session has ended.
    pub fn keep(&self, partitions: &[Partition]) {
        for (partition, writer) in &*self.lock() {
            writer.give_way(!partitions.contains(partition));
        }
    }

    /// Stops all: they answer what they accepted, side by side, and leave. Waits until they have.
    pub fn stop(&self) {
        let leaving = std::mem::take(&mut *self.lock());
        for writer in leaving.values() {
            writer.ask_to_leave();
        }
        for (partition, writer) in leaving {
            writer.stop();
            tracing::info!(%partition, "the writer has left");
        }
    }

    /// All writers have left for good; a restart of the process may change that.
    pub fn put_out(&self, reason: String) {
        self.stop();
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
