//! Handing commands over within one process, to the writers of the embedded log.
//!
//! Queues are bounded: a producer that is too fast waits, nothing is dropped. Many clients at once share a batch,
//! because a writer drains all that is ready; there is no timer. Commands enter a queue in the order in which their
//! futures are polled first, whether there is room at once or not: a batch is decided in its order.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, unbounded};
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::unconstrained;

use super::submit::{Answer, Answering, Submit, SubmitError};
use crate::domain::id::OrganizationId;
use crate::log::record::Partition;
use crate::log::wire::{Decoded, decode_command};

/// The sending ends of the queues of all partitions.
#[derive(Clone, Debug)]
pub struct Local {
    doors: Arc<[Door]>,
    partition_of: fn(&OrganizationId, u32) -> Partition,
}

#[derive(Debug)]
struct Door {
    sender: Sender<Handed>,
    /// One permit per command waiting in the queue.
    places: Arc<Semaphore>,
    /// Held from the wait for a place until the command is in the queue, so that nobody overtakes who waits.
    line: Arc<Mutex<()>>,
}

/// The receiving end of one partition's queue, for its writer.
#[derive(Debug)]
pub struct Queue {
    pub(super) receiver: Receiver<Handed>,
}

/// A command in a queue.
#[derive(Debug)]
pub(super) struct Handed {
    pub decoded: Decoded,
    /// `None` when nobody waits.
    pub answer: Option<Answerer>,
    /// Its place in the queue; free again when the writer has taken the command out.
    pub place: Option<OwnedSemaphorePermit>,
}

pub(super) type Answerer = oneshot::Sender<Result<Answer, SubmitError>>;

impl Local {
    /// Queues for the partitions 0, 1, 2 … of a ledger, each with room for `queue_commands_max` commands.
    #[must_use]
    pub fn new(
        partitions: u32,
        queue_commands_max: usize,
        partition_of: fn(&OrganizationId, u32) -> Partition,
    ) -> (Self, Vec<Queue>) {
        let (doors, queues) = (0..partitions)
            .map(|_| {
                let (sender, receiver) = unbounded();
                let places = Arc::new(Semaphore::new(queue_commands_max));
                (Door { sender, places, line: Arc::default() }, Queue { receiver })
            })
            .unzip::<_, _, Vec<_>, Vec<_>>();
        (Self { doors: doors.into(), partition_of }, queues)
    }

    /// Puts a command into its partition's queue, waiting for a place there.
    async fn hand_over(self, decoded: Decoded, answer: Option<Answerer>) -> Result<(), SubmitError> {
        let organization = match &decoded {
            Decoded::Command(command) => &command.organization,
            Decoded::Malformed(envelope, _) => &envelope.organization,
        };
        let partitions = u32::try_from(self.doors.len()).expect("made from a number of 32 bits");
        let partition = (self.partition_of)(organization, partitions);
        let gone = || SubmitError::Unavailable(format!("nobody writes partition {partition} in this process"));
        let door = usize::try_from(partition.0).ok().and_then(|index| self.doors.get(index)).ok_or_else(gone)?;
        // Without a share of the task's time: who gives way to others for fairness here is overtaken by them.
        let line: OwnedMutexGuard<()> = unconstrained(Arc::clone(&door.line).lock_owned()).await;
        let place = unconstrained(Arc::clone(&door.places).acquire_owned()).await.map_err(|_| gone())?;
        let _line_until_handed_over = line;
        door.sender.send(Handed { decoded, answer, place: Some(place) }).map_err(|_| gone())
    }
}

fn read(organization: &OrganizationId, command: &[u8]) -> Result<Decoded, SubmitError> {
    let decoded = decode_command(command).map_err(|undecodable| SubmitError::Undecodable(undecodable.0))?;
    let named = match &decoded {
        Decoded::Command(command) => &command.organization,
        Decoded::Malformed(envelope, _) => &envelope.organization,
    };
    if named != organization {
        let text = format!("it names organisation {named}, but was sent for {organization}");
        return Err(SubmitError::Undecodable(text));
    }
    Ok(decoded)
}

impl Submit for Local {
    fn submit(&self, organization: &OrganizationId, command: Vec<u8>) -> Answering {
        let decoded = match read(organization, &command) {
            Ok(decoded) => decoded,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        let local = self.clone();
        Box::pin(async move {
            let (sender, answer) = oneshot::channel();
            local.hand_over(decoded, Some(sender)).await?;
            // The writer answers all it can; what it drops was under way when it died.
            answer.await.unwrap_or_else(|_| Err(SubmitError::Unknown("the writer was interrupted".to_owned())))
        })
    }

    fn submit_async(
        &self,
        organization: &OrganizationId,
        command: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<(), SubmitError>> + Send>> {
        match read(organization, &command) {
            Ok(decoded) => Box::pin(self.clone().hand_over(decoded, None)),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{FuturesOrdered, StreamExt as _};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_batch_enters_the_queue_in_its_order_however_little_room_there_is() {
        const COMMANDS: u128 = 1_000;
        for room in [7, 10_000] {
            let (local, queues) = Local::new(1, room, |_, _| Partition(0));
            let queue = queues.into_iter().next().expect("one queue");
            let writer = std::thread::spawn(move || {
                let handed = queue.receiver.iter().map(|handed| match handed.decoded {
                    Decoded::Command(command) => command.id.as_u128(),
                    Decoded::Malformed(..) => 0,
                });
                handed.collect::<Vec<_>>()
            });
            let organization: OrganizationId = "o-example".parse().expect("an id");
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
            let batch = async move {
                let mut waiting = FuturesOrdered::new();
                for id in 1..=COMMANDS {
                    let command = json!({
                        "command_id": Uuid::from_u128(id), "organization": organization, "type": "RevokeAdmin",
                        "principal": {"account": "111111111111"}, "payload": {"account": "222222222222"},
                    });
                    let (local, organization) = (local.clone(), organization.clone());
                    waiting.push_back(async move { local.submit(&organization, command.to_string().into()).await });
                }
                while waiting.next().await.is_some() {}
            };
            runtime.block_on(async { tokio::spawn(batch).await }).expect("the batch is handed over");
            assert_eq!(writer.join().expect("the queue is read"), (1..=COMMANDS).collect::<Vec<_>>(), "room {room}");
        }
    }
}
