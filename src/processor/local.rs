//! Handing commands over within one process, to the writers of the embedded log.
//!
//! Queues are bounded: a producer that is too fast waits, nothing is dropped. Many clients at once share a batch,
//! because a writer drains all that is ready; there is no timer.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, unbounded};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

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
                (Door { sender, places: Arc::new(Semaphore::new(queue_commands_max)) }, Queue { receiver })
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
        let place = Arc::clone(&door.places).acquire_owned().await.map_err(|_| gone())?;
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
