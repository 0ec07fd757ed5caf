//! Questions about the node itself: is it alive, can it answer, what has it counted, what does it serve.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::asked::Asked;
use super::problem::Problem;
use super::route::Answering;
use super::{Api, metrics};
use crate::log::admission::Admission;
use crate::log::record::Partition;
use crate::views::ledger::LEDGER;
use crate::views::position::Position;
use crate::views::when::QueryError;

/// The state of the node.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    pub status: String,
    /// The version of the program.
    pub version: String,
}

fn status(status: &str) -> Status {
    Status { status: status.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// `GET /healthz`: the process answers.
pub fn health(_: Api, _: Asked, _: Body) -> Answering {
    Box::pin(async { super::route::json(&status("alive")) })
}

/// `GET /readyz`: queries are answered from views that have caught up.
pub fn ready(api: Api, _: Asked, _: Body) -> Answering {
    Box::pin(async move {
        match api.ready() {
            Ok(()) => super::route::json(&status("ready")),
            Err(why) => Err(Problem::try_later("NotReady", why, 1)),
        }
    })
}

/// A partition as this node's views have folded it (design D12).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PartitionStatus {
    pub partition: Partition,
    /// The fold of the admission rule up to and without the record at `admission.next`.
    pub admission: Admission,
}

/// `GET /v1/partitions`
pub fn partitions(api: Api, _: Asked, _: Body) -> Answering {
    Box::pin(async move {
        let positions = api.views().positions(LEDGER).map_err(QueryError::Store)?;
        let status =
            |(partition, position): (Partition, Position)| PartitionStatus { partition, admission: position.admission };
        super::route::json(&positions.into_iter().map(status).collect::<Vec<_>>())
    })
}

/// `GET /metrics`. Some numbers are asked of the log, which may take as long as no broker answers: on a thread that may
/// wait, so that nobody else does.
pub fn metrics(api: Api, _: Asked, _: Body) -> Answering {
    Box::pin(async move {
        let text = tokio::task::spawn_blocking(move || api.metrics().text()).await;
        let text = text.map_err(|error| Problem::internal(format!("the metrics: {error}")))?;
        Ok(typed(metrics::OPEN_METRICS, text))
    })
}

/// `GET /openapi.json`
pub fn openapi(_: Api, _: Asked, _: Body) -> Answering {
    Box::pin(async { Ok(typed("application/json", super::openapi())) })
}

fn typed(media_type: &'static str, text: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(media_type))], text).into_response()
}
