//! Outcomes over HTTP: one by its command id, or all of them as they come.
//!
//! What is sent is the record's value as it stands in the log. A client that does not read fills its own
//! buffer and is then cut off; it costs nobody else anything.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::asked::{Asked, Connection, Stopping};
use super::problem::Problem;
use super::queries::organization_of;
use super::route::Answering;
use super::{Api, waiting};
use crate::domain::id::{CommandId, OrganizationId, Revision};
use crate::views::outcomes::RecordedOutcome;
use crate::views::waiting::Awaited;
use crate::views::when::QueryError;

/// The media type of server-sent events.
pub const EVENT_STREAM: &str = "text/event-stream";
/// Silence after which something is sent, so that the way to the client stays open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Outcomes read at a time.
const READ_OUTCOMES: usize = 32;

/// `GET /v1/organizations/{organization}/outcomes/{command_id}`
pub fn by_command(api: Api, asked: Asked, _: Body) -> Answering {
    Box::pin(async move {
        let (organization, id) = (organization_of(&asked)?, asked.path::<CommandId>("command_id")?);
        let wait = waiting::wait(&api, &asked)?.unwrap_or(Duration::ZERO);
        let found = api.views().wait_for_outcome(&organization, id, wait).await.map_err(QueryError::Store)?;
        let outcome = found.ok_or(QueryError::OutcomeNotFound(id))?;
        let body = Body::from(outcome.value.to_vec());
        Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
    })
}

/// `GET /v1/events`
pub fn stream(api: Api, asked: Asked, _: Body) -> Answering {
    Box::pin(async move {
        let organization: OrganizationId = asked.required("organization")?;
        let from = first(&asked)?;
        let permit = api.stream_permit().ok_or_else(|| {
            Problem::try_later("Overloaded", "too many clients of the event stream; try again later", 10)
        })?;
        let (events, waiting) = channel::<Bytes>(api.limits().stream_events_max);
        let Connection { stopping, cut_off } = asked.connection;
        tokio::spawn(async move {
            api.metrics().stream_clients.inc();
            let ended = follow(&api, &organization, from, &events, stopping).await;
            api.metrics().stream_clients.dec();
            match ended {
                // The connection may find out first.
                Ended::Done if !cut_off.load(Ordering::Relaxed) => {}
                Ended::Done | Ended::CutOff => {
                    api.metrics().stream_cut_off.inc();
                    tracing::info!(%organization, "a client of the event stream does not read and is cut off");
                }
                Ended::Failed(error) => tracing::error!(%organization, %error, "the event stream ended"),
            }
            drop(permit);
        });
        let body = Body::from_stream(ReceiverStream::new(waiting).map(Ok::<_, Infallible>));
        let mut response = Response::new(body);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    })
}

/// Behind the last one that the client has seen, when it says so; else where it wants to begin.
fn first(asked: &Asked) -> Result<Revision, Problem> {
    if let Some(last) = asked.headers.get("last-event-id") {
        let text = last.to_str().unwrap_or("");
        let seen: u64 = text
            .parse()
            .map_err(|_| Problem::invalid_parameter("Last-Event-ID", text, "a revision is a number such as 1234"))?;
        return Ok(Revision(seen.saturating_add(1)));
    }
    Ok(Revision(asked.query("from_revision")?.unwrap_or(1)))
}

/// Why a stream ended.
enum Ended {
    /// The client went away, or the server stops.
    Done,
    CutOff,
    Failed(String),
}

async fn follow(
    api: &Api,
    organization: &OrganizationId,
    mut next: Revision,
    events: &Sender<Bytes>,
    mut stopping: Stopping,
) -> Ended {
    loop {
        // Before the look, so that nothing falls between them.
        let grown = api.views().progress().waiting().register(organization, Awaited::Revision(next));
        let (views, asked) = (api.views().clone(), organization.clone());
        let read = tokio::task::spawn_blocking(move || views.outcomes(&asked, next, READ_OUTCOMES)).await;
        let outcomes = match read {
            Ok(Ok(outcomes)) => outcomes,
            Ok(Err(error)) => return Ended::Failed(error.to_string()),
            Err(error) => return Ended::Failed(error.to_string()),
        };
        for outcome in &outcomes {
            if let Some(ended) = send(api, events, event(outcome)).await {
                return ended;
            }
            next = outcome.revision.map_or(next, Revision::next);
        }
        if !outcomes.is_empty() {
            continue;
        }
        tokio::select! {
            () = grown => {}
            () = stopping.stopped() => return Ended::Done,
            () = events.closed() => return Ended::Done,
            () = tokio::time::sleep(KEEP_ALIVE) => {
                if let Some(ended) = send(api, events, Bytes::from_static(b": keep-alive\n\n")).await {
                    return ended;
                }
            }
        }
    }
}

async fn send(api: &Api, events: &Sender<Bytes>, event: Bytes) -> Option<Ended> {
    match events.send_timeout(event, api.limits().write_time_max).await {
        Ok(()) => None,
        Err(SendTimeoutError::Closed(_)) => Some(Ended::Done),
        Err(SendTimeoutError::Timeout(_)) => Some(Ended::CutOff),
    }
}

/// One outcome as an event. Its value is JSON without line breaks.
fn event(outcome: &RecordedOutcome) -> Bytes {
    let revision = outcome.revision.map_or(0, |revision| revision.0);
    let mut text = format!("id: {revision}\nevent: outcome\ndata: ").into_bytes();
    text.extend_from_slice(&outcome.value);
    text.extend_from_slice(b"\n\n");
    text.into()
}
