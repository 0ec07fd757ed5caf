//! One way to ask the ledger: a running server over HTTP, or the same router in this process.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use http_body_util::BodyExt as _;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use super::node::{self, Node, NodeError};
use crate::api::limits::Limits;
use crate::log::Log;

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
    Local { directory: PathBuf, router: Router, runtime: Runtime, node: Option<Box<Node>> },
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
        open(directory).and_then(|node| Self::local(directory, node)).map_err(|error| error.to_string())
    }

    /// Folds a log into views in an empty directory, to be asked in this process.
    ///
    /// # Errors
    /// When the log cannot be read, or the views not be written.
    pub fn open_past(views: &Path, log: Arc<dyn Log>) -> Result<Self, String> {
        node::open_for_reading(views, log).and_then(|node| Self::local(views, node)).map_err(|error| error.to_string())
    }

    fn local(directory: &Path, node: Node) -> Result<Self, NodeError> {
        node.catch_up()?;
        let router = node.router(Limits::default());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let (directory, runtime) = (directory.to_owned(), runtime.map_err(NodeError::Thread)?);
        Ok(Self::Local { directory, router, runtime, node: Some(Box::new(node)) })
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

/// Takes a line of an answer; breaks when it has had enough.
type Line<'a> = dyn FnMut(&str) -> ControlFlow<()> + 'a;

impl Client {
    /// Asks for an answer that has no end, and gives its lines as they come. What is no such answer is returned.
    ///
    /// # Errors
    /// When there is none, or it breaks off.
    pub fn follow(&self, path_and_query: &str, line: &mut Line<'_>) -> Result<Option<Reply>, NoReply> {
        match self {
            Self::Remote { url, .. } => follow_remote(&format!("{url}{path_and_query}"), line),
            Self::Local { router, runtime, .. } => runtime.block_on(follow_local(router.clone(), path_and_query, line)),
        }
    }

    /// Where the ledger is, for people.
    pub fn place(&self) -> String {
        match self {
            Self::Remote { url, .. } => url.clone(),
            Self::Local { directory, .. } => format!("{}, which no server runs on", directory.display()),
        }
    }

    /// What is decided by others is seen as it comes.
    pub const fn is_live(&self) -> bool {
        matches!(self, Self::Remote { .. })
    }
}

fn follow_remote(url: &str, line: &mut Line<'_>) -> Result<Option<Reply>, NoReply> {
    let broken = |error: &dyn fmt::Display| NoReply { sent: true, why: format!("{url}: {error}") };
    let config =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_connect(Some(CONNECT_TIME_MAX)).build();
    let mut response = ureq::Agent::from(config).get(url).call().map_err(|error| broken(&error))?;
    let status = response.status().as_u16();
    if status != 200 {
        let body = response.body_mut().read_to_vec().map_err(|error| broken(&error))?;
        return Ok(Some(Reply { status, repeated: false, body }));
    }
    for text in BufReader::new(response.into_body().into_reader()).lines() {
        if line(&text.map_err(|error| broken(&error))?).is_break() {
            break;
        }
    }
    Ok(None)
}

async fn follow_local(router: Router, uri: &str, line: &mut Line<'_>) -> Result<Option<Reply>, NoReply> {
    let no = |error: &dyn fmt::Display| NoReply { sent: true, why: format!("{uri}: {error}") };
    let request = Request::get(uri).body(Body::empty()).map_err(|error| no(&error))?;
    let Ok(response) = router.oneshot(request).await;
    let (parts, mut body) = response.into_parts();
    let status = parts.status.as_u16();
    if status != 200 {
        let body = body.collect().await.map_err(|error| no(&error))?.to_bytes().to_vec();
        return Ok(Some(Reply { status, repeated: false, body }));
    }
    let mut rest = Vec::new();
    while let Some(frame) = body.frame().await {
        rest.extend_from_slice(frame.map_err(|error| no(&error))?.data_ref().map_or(&[][..], |data| data));
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let text: Vec<_> = rest.drain(..=end).collect();
            if line(String::from_utf8_lossy(&text).trim_end()).is_break() {
                return Ok(None);
            }
        }
    }
    Ok(None)
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
