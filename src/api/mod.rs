//! HTTP: commands in, answers out.
//!
//! Nothing is decided or folded here: commands go to the processor, queries to the views, and the
//! answers go back as JSON or as problem documents (RFC 9457). One table, [`routes::routes`], makes both the
//! server and the OpenAPI document. There is no access control: whoever reaches the server can write,
//! and a command's principal is what it claims.

mod asked;
mod body;
pub mod collectors;
mod commands;
mod envelope;
pub mod limits;
mod lineage;
pub mod metrics;
mod node;
mod openapi;
mod outcomes;
mod parameters;
mod problem;
mod queries;
mod route;
mod routes;
pub mod server;
mod serving;
mod waiting;

use std::fmt;
use std::sync::Arc;

pub use commands::{Accepted, BatchAnswer, REPEATED_HEADER};
pub use envelope::{CommandRequest, Completed, complete};
pub use node::PartitionStatus;
pub use problem::{PROBLEM_JSON, Problem, nearest};
pub use queries::{NextCidr, OrganizationHead};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::processor::submit::Submit;
use crate::views::Views;
use limits::Limits;
use metrics::Metrics;

/// Where `ipam serve` listens and the CLI looks for it, unless told otherwise: "IPAM" on a telephone's keys.
pub const DEFAULT_PORT: u16 = 4726;
/// The URL of a server that listens there.
pub const DEFAULT_URL: &str = "http://127.0.0.1:4726";
/// The same, as an address to listen on.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:4726";

/// What the HTTP room needs of the others.
#[derive(Clone)]
pub struct Parts {
    /// Where commands go; `None` where the ledger was opened read-only.
    pub submit: Option<Arc<dyn Submit>>,
    /// What queries are answered from.
    pub views: Views,
    pub metrics: Arc<Metrics>,
    /// Whether the node can answer: all views have caught up with what the log held at the start. Says why not.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    pub limits: Limits,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// A handle to all of it, one clone per request.
#[derive(Clone, Debug)]
pub struct Api {
    parts: Arc<Parts>,
    stream_clients: Arc<Semaphore>,
}

impl Api {
    fn limits(&self) -> &Limits {
        &self.parts.limits
    }

    fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    fn views(&self) -> &Views {
        &self.parts.views
    }

    /// Room for one more client of the event stream.
    fn stream_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.stream_clients).try_acquire_owned().ok()
    }

    fn submit(&self) -> Result<&dyn Submit, Problem> {
        self.parts.submit.as_deref().ok_or_else(|| {
            Problem::try_later("Unavailable", "the ledger was opened read-only and takes no commands", 60)
        })
    }

    fn ready(&self) -> Result<(), String> {
        (self.parts.ready)()
    }
}

/// The router: to be served on a socket by [`server::serve`], or called in process.
pub fn router(parts: Parts) -> axum::Router {
    let stream_clients = Arc::new(Semaphore::new(parts.limits.stream_clients_max));
    serving::router(&Api { parts: Arc::new(parts), stream_clients }, routes::routes())
}

/// The OpenAPI document, as it is checked in under `schemas/`.
pub fn openapi() -> String {
    openapi::text(&routes::routes())
}

#[cfg(test)]
mod tests;
