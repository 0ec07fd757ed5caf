//! One way to ask the ledger: a running server over HTTP, or the same router in this process.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use http_body_util::BodyExt as _;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use super::node::{self, Node};
use crate::api::limits::Limits;

/// How long to wait for a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
/// How long to wait for an answer: longer than the server waits for an outcome.
const ANSWER_TIME_MAX: Duration = Duration::from_mins(1);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Whom to ask.
pub enum Client {
    /// A running server.
    Remote { url: String, agent: ureq::Agent },
    /// A ledger that this process opened.
    Local { router: Router, runtime: Runtime, node: Option<Node> },
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote { url, .. } => f.debug_tuple("Remote").field(url).finish(),
            Self::Local { .. } => f.write_str("Local"),
        }
    }
}

/// An answer, good or bad.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// The command had been decided before.
    pub repeated: bool,
    pub body: Vec<u8>,
}

/// There is no answer.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct NoReply {
    /// The request may have arrived.
    pub sent: bool,
    pub why: String,
}

impl Client {
    pub fn remote(url: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .timeout_global(Some(ANSWER_TIME_MAX))
            .user_agent(concat!("ipam/", env!("CARGO_PKG_VERSION")))
            .build();
        Self::Remote { url: url.trim_end_matches('/').to_owned(), agent: config.into() }
    }

    /// Opens the ledger in a directory, in this process.
    ///
    /// # Errors
    /// When it is in use, of another version, or cannot be read.
    pub fn open(directory: &Path, read_only: bool) -> Result<Self, String> {
        let open = if read_only { node::open_embedded_for_reading } else { node::open_embedded };
        let node = open(directory).map_err(|error| error.to_string())?;
        node.catch_up().map_err(|error| error.to_string())?;
        let router = node.router(Limits::default());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Ok(Self::Local { router, runtime: runtime.map_err(|error| error.to_string())?, node: Some(node) })
    }

    /// Asks, and waits for the whole answer.
    ///
    /// # Errors
    /// When there is none, whatever its status.
    pub fn request(&self, method: &Method, path_and_query: &str, body: Option<Vec<u8>>) -> Result<Reply, NoReply> {
        match self {
            Self::Remote { url, agent } => ask_remote(agent, method, &format!("{url}{path_and_query}"), body),
            Self::Local { router, runtime, .. } => {
                runtime.block_on(ask_local(router.clone(), method, path_and_query, body))
            }
        }
    }
}

/// A ledger that this process opened is left in order, so that the next one finds its views where they stand.
impl Drop for Client {
    fn drop(&mut self) {
        if let Self::Local { node, .. } = self
            && let Some(node) = node.take()
        {
            node.stop();
        }
    }
}

fn ask_remote(agent: &ureq::Agent, method: &Method, url: &str, body: Option<Vec<u8>>) -> Result<Reply, NoReply> {
    let asked = if method == Method::POST {
        agent.post(url).content_type("application/json").send(body.unwrap_or_default())
    } else {
        agent.get(url).call()
    };
    let mut response =
        asked.map_err(|error| NoReply { sent: may_have_arrived(&error), why: format!("{url}: {error}") })?;
    let body = response
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_vec()
        .map_err(|error| NoReply { sent: true, why: format!("{url}: {error}") })?;
    let repeated = response.headers().contains_key(crate::api::REPEATED_HEADER);
    Ok(Reply { status: response.status().as_u16(), repeated, body })
}

/// Whether the server may have read the request. In doubt it may.
fn may_have_arrived(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::BadUri(_)
        | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => false,
        ureq::Error::Io(error) => error.kind() != std::io::ErrorKind::ConnectionRefused,
        _ => true,
    }
}

async fn ask_local(router: Router, method: &Method, uri: &str, body: Option<Vec<u8>>) -> Result<Reply, NoReply> {
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.unwrap_or_default()))
        .map_err(|error| NoReply { sent: false, why: format!("{uri}: {error}") })?;
    let Ok(response) = router.oneshot(request).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| NoReply { sent: true, why: error.to_string() })?;
    Ok(Reply {
        status: parts.status.as_u16(),
        repeated: parts.headers.contains_key(crate::api::REPEATED_HEADER),
        body: body.to_bytes().to_vec(),
    })
}
