//! Commands over the command topic: produced to the partition that decides them, their outcomes waited for in the
//! views (design D12), whichever node decides.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::digest::Digest;
use crate::domain::id::{CommandId, OrganizationId};
use crate::log::AppendError;
use crate::log::kafka::CommandProducer;
use crate::log::wire::{Decoded, decode_command};
use crate::processor::core::mismatch;
use crate::processor::submit::{Answer, Answering, Submit, SubmitError};
use crate::processor::writer::{Clock as _, SystemClock};
use crate::views::Views;
use crate::views::outcomes::RecordedOutcome;

/// How long an outcome is waited for; longer than whoever asks over HTTP waits.
const OUTCOME_WAIT: Duration = Duration::from_mins(1);

pub(super) struct TopicSubmit {
    pub producer: CommandProducer,
    pub views: Views,
}

impl Submit for TopicSubmit {
    fn submit(&self, organization: &OrganizationId, command: Vec<u8>) -> Answering {
        let asked = match Asked::read(organization, &command) {
            Ok(asked) => asked,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        let views = self.views.clone();
        match views.outcome(organization, asked.id) {
            Ok(Some(outcome)) => return Box::pin(ready(Ok(asked.answer(outcome, true)))),
            Ok(None) => {}
            Err(error) => return Box::pin(ready(Err(SubmitError::Unavailable(error.to_string())))),
        }
        let delivery = match self.producer.send(organization, &command) {
            Ok(delivery) => delivery,
            Err(error) => return Box::pin(ready(Err(SubmitError::Unavailable(error.to_string())))),
        };
        Box::pin(async move {
            delivery.await.map_err(failed)?;
            let unknown = |text: String| SubmitError::Unknown(text);
            match views.wait_for_outcome(&asked.organization, asked.id, OUTCOME_WAIT).await {
                Ok(Some(outcome)) => Ok(asked.answer(outcome, false)),
                Ok(None) => Err(unknown(format!("no outcome within {} s", OUTCOME_WAIT.as_secs()))),
                Err(error) => Err(unknown(error.to_string())),
            }
        })
    }

    fn submit_async(
        &self,
        organization: &OrganizationId,
        command: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<(), SubmitError>> + Send>> {
        if let Err(error) = Asked::read(organization, &command) {
            return Box::pin(ready(Err(error)));
        }
        match self.producer.send(organization, &command) {
            Ok(delivery) => Box::pin(async move { delivery.await.map_err(failed) }),
            Err(error) => Box::pin(ready(Err(SubmitError::Unavailable(error.to_string())))),
        }
    }
}

fn failed(error: AppendError) -> SubmitError {
    match error {
        AppendError::Refused(reason) => SubmitError::Unavailable(reason),
        AppendError::Unknown(reason) => SubmitError::Unknown(reason),
    }
}

/// A command whose outcome is wanted.
struct Asked {
    organization: OrganizationId,
    id: CommandId,
    digest: Digest,
    decoded: Decoded,
}

impl Asked {
    fn read(organization: &OrganizationId, command: &[u8]) -> Result<Self, SubmitError> {
        let decoded = decode_command(command).map_err(|undecodable| SubmitError::Undecodable(undecodable.0))?;
        let (named, id, digest) = match &decoded {
            Decoded::Command(command) => (&command.organization, command.id, command.digest),
            Decoded::Malformed(envelope, _) => (&envelope.organization, envelope.id, envelope.digest),
        };
        if named != organization {
            let text = format!("it names organisation {named}, but was sent for {organization}");
            return Err(SubmitError::Undecodable(text));
        }
        Ok(Self { organization: organization.clone(), id, digest, decoded })
    }

    /// The outcome of this command; or, when another command had the id first, the refusal that says so.
    fn answer(self, outcome: RecordedOutcome, repeated: bool) -> Answer {
        let partition = outcome.partition;
        if outcome.digest == self.digest {
            return Answer { partition, value: outcome.value, repeated };
        }
        let value: Arc<[u8]> = mismatch(self.decoded, outcome.digest, SystemClock.now());
        Answer { partition, value, repeated: false }
    }
}
