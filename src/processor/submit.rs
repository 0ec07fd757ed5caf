//! Handing a command over and waiting for its acknowledged outcome, on whatever log.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::domain::id::OrganizationId;
use crate::log::record::Partition;

/// The acknowledged outcome of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub partition: Partition,
    /// The outcome record's value, as it stands in the log.
    pub value: Arc<[u8]>,
    /// The command had been decided before: this is the original answer.
    pub repeated: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The bytes cannot be attributed to a command of an organisation; nothing was recorded.
    #[error("the command cannot be read: {0}")]
    Undecodable(String),
    /// It may or may not be decided. Ask again with the same command id.
    #[error("the outcome is unknown: {0}; ask again with the same command id")]
    Unknown(String),
    /// It was not taken and will not be decided.
    #[error("the ledger takes no commands: {0}")]
    Unavailable(String),
}

/// What waits for an answer.
pub type Answering = Pin<Box<dyn Future<Output = Result<Answer, SubmitError>> + Send>>;

/// Where commands are handed over.
pub trait Submit: Send + Sync {
    /// Hands over the JSON of a command for `organization`; resolves when its outcome is acknowledged.
    fn submit(&self, organization: &OrganizationId, command: Vec<u8>) -> Answering;

    /// Hands it over without waiting for the outcome; resolves when it cannot be lost any more, or,
    /// on a log without a command topic, when it is queued.
    fn submit_async(
        &self,
        organization: &OrganizationId,
        command: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<(), SubmitError>> + Send>>;
}
