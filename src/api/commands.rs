//! Commands over HTTP: the envelope is completed from the path, handed to the processor, and the
//! recorded outcome is the answer, byte for byte as it stands in the log.
//!
//! Nothing is decided here. A time-out says "unknown, ask again with this id", never "failed": the
//! command may be in the log already (design D12).

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{FuturesOrdered, StreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::asked::Asked;
use super::envelope::{self, Completed};
use super::problem::Problem;
use super::route::Answering;
use super::{Api, body};
use crate::domain::id::{CommandId, OrganizationId};
use crate::domain::outcome::{Decision, Outcome};
use crate::log::wire;
use crate::processor::submit::{Answer, Submit, SubmitError};

/// The header that says whether the command had been decided before.
pub const REPEATED_HEADER: &str = "idempotent-replayed";

/// The answer to a command that was handed over and not waited for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    pub organization: OrganizationId,
    pub command_id: CommandId,
    /// Where its outcome can be asked for.
    pub outcome: String,
}

/// One answer of a batch: exactly one of `outcome` and `problem`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BatchAnswer {
    /// The HTTP status that the command alone would have got.
    pub status: u16,
    /// The command had been decided before.
    #[serde(default)]
    pub repeated: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Outcome>")]
    pub outcome: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// `POST /v1/organizations/{organization}/commands`
pub fn submit(api: Api, asked: Asked, body: Body) -> Answering {
    Box::pin(async move {
        let organization: OrganizationId = asked.path("organization")?;
        body::expect_media_type(&asked.headers, "application/json")?;
        let limits = api.limits();
        let bytes = body::read(body, &asked.headers, limits.body_bytes_max, limits.body_time_max).await?;
        let completed = complete(&organization, &bytes, limits.body_bytes_max)?;
        let submit = api.submit()?;
        if prefers_async(&asked.headers) {
            return hand_over(submit, &organization, completed).await;
        }
        let wait = limits.outcome_wait_max;
        let answer = decided(submit, &organization, completed, wait).await?;
        let outcome = recorded(&answer)?;
        api.metrics().command(&outcome);
        match &outcome.decision {
            Decision::Accepted(_) => {
                let mut response = Response::new(Body::from(answer.value.to_vec()));
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                if answer.repeated {
                    response.headers_mut().insert(REPEATED_HEADER, HeaderValue::from_static("true"));
                }
                Ok(response)
            }
            Decision::Rejected(rejection) => {
                let problem = Problem::rejected(rejection, Some(raw(&answer.value)?));
                Err(if answer.repeated {
                    problem.header(header::HeaderName::from_static(REPEATED_HEADER), HeaderValue::from_static("true"))
                } else {
                    problem
                })
            }
        }
    })
}

/// `POST /v1/organizations/{organization}/commands:batch`: handed over in order, decided one by one, each
/// on its own. A batch is not atomic; one command is.
pub fn submit_batch(api: Api, asked: Asked, body: Body) -> Answering {
    Box::pin(async move {
        let organization: OrganizationId = asked.path("organization")?;
        body::expect_media_type(&asked.headers, "application/json")?;
        let limits = api.limits();
        let bytes = body::read(body, &asked.headers, limits.batch_bytes_max, limits.body_time_max).await?;
        let commands: Vec<&RawValue> = serde_json::from_slice(&bytes)
            .map_err(|error| Problem::malformed(format!("the body is not a JSON array of commands: {error}")))?;
        if commands.len() > limits.batch_commands_max {
            let detail =
                format!("a batch has at most {} commands; this one has {}", limits.batch_commands_max, commands.len());
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BatchTooLarge", detail)
                .try_instead("commands_max", limits.batch_commands_max));
        }
        let submit = api.submit()?;
        // One at a time is polled first in the order of the batch, which is the order of handing over.
        let mut waiting = FuturesOrdered::new();
        for command in commands {
            let completed = complete(&organization, command.get().as_bytes(), limits.body_bytes_max);
            let (organization, wait) = (organization.clone(), limits.outcome_wait_max);
            waiting.push_back(async move { decided(submit, &organization, completed?, wait).await });
        }
        let mut answers = Vec::with_capacity(waiting.len());
        while let Some(answer) = waiting.next().await {
            answers.push(batch_answer(&api, answer));
        }
        super::route::json(&answers)
    })
}

/// Completes a command, which is bounded as it was sent and as it is handed over.
fn complete(organization: &OrganizationId, bytes: &[u8], bytes_max: usize) -> Result<Completed, Problem> {
    if bytes.len() > bytes_max {
        return Err(body::too_large(bytes_max));
    }
    let completed = envelope::complete(organization, None, bytes)?;
    if completed.json.len() > bytes_max { Err(body::too_large(bytes_max)) } else { Ok(completed) }
}

fn batch_answer(api: &Api, answer: Result<Answer, Problem>) -> BatchAnswer {
    let answered = answer.and_then(|answer| {
        let outcome = recorded(&answer)?;
        api.metrics().command(&outcome);
        let value = raw(&answer.value)?;
        match &outcome.decision {
            Decision::Accepted(_) => {
                Ok(BatchAnswer { status: 200, repeated: answer.repeated, outcome: Some(value), problem: None })
            }
            Decision::Rejected(rejection) => {
                let problem = Problem::rejected(rejection, Some(value));
                Ok(BatchAnswer { status: 422, repeated: answer.repeated, outcome: None, problem: Some(problem) })
            }
        }
    });
    answered.unwrap_or_else(|problem| BatchAnswer {
        status: problem.status,
        repeated: false,
        outcome: None,
        problem: Some(problem),
    })
}

/// Waits for the outcome, for at most `wait`.
async fn decided(
    submit: &dyn Submit,
    organization: &OrganizationId,
    command: Completed,
    wait: Duration,
) -> Result<Answer, Problem> {
    let id = command.id;
    match tokio::time::timeout(wait, submit.submit(organization, command.json)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(no_answer(&error, organization, id)),
        Err(_) => {
            let error = SubmitError::Unknown(format!("no outcome within {} s", wait.as_secs()));
            Err(no_answer(&error, organization, id))
        }
    }
}

async fn hand_over(
    submit: &dyn Submit,
    organization: &OrganizationId,
    command: Completed,
) -> Result<Response, Problem> {
    let id = command.id;
    submit.submit_async(organization, command.json).await.map_err(|error| no_answer(&error, organization, id))?;
    let outcome = outcome_path(organization, id);
    let location = HeaderValue::from_str(&outcome).map_err(|error| Problem::internal(error.to_string()))?;
    let mut response = super::route::json(&Accepted { organization: organization.clone(), command_id: id, outcome })?;
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert("preference-applied", HeaderValue::from_static("respond-async"));
    Ok(response.into_response())
}

fn no_answer(error: &SubmitError, organization: &OrganizationId, id: CommandId) -> Problem {
    let problem = match error {
        SubmitError::Undecodable(why) => Problem::malformed(format!("the command cannot be read: {why}")),
        SubmitError::Unknown(_) => Problem::new(StatusCode::GATEWAY_TIMEOUT, "OutcomeUnknown", error.to_string())
            .try_instead("outcome", outcome_path(organization, id))
            .try_instead("repeat", "send the same command with the same command_id: it has one effect"),
        SubmitError::Unavailable(_) => Problem::try_later("Unavailable", error.to_string(), 1),
    };
    problem.value("command_id", id)
}

fn outcome_path(organization: &OrganizationId, id: CommandId) -> String {
    format!("/v1/organizations/{organization}/outcomes/{id}")
}

fn recorded(answer: &Answer) -> Result<Outcome, Problem> {
    wire::decode_outcome(&answer.value).map_err(|error| Problem::internal(format!("the outcome: {error}")))
}

fn raw(value: &[u8]) -> Result<Box<RawValue>, Problem> {
    serde_json::from_slice(value).map_err(|error| Problem::internal(format!("the outcome: {error}")))
}

/// RFC 7240.
fn prefers_async(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|preference| preference.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("respond-async"))
}
