//! `ipam serve`: the node with its HTTP interface, until it is told to stop.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;
use super::logging::{self, LogFormat};
use super::node::{self, KafkaFlags, MemberFlags, Node};
use super::running::Notice;
use crate::api::limits::Limits;
use crate::api::server;

/// `ipam serve`
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// Where HTTP listens. Whoever reaches it can write: anything but loopback needs a guard in front
    #[arg(long, env = "IPAM_LISTEN", value_name = "ADDRESS:PORT", default_value = crate::api::DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// How log lines are written
    #[arg(long, env = "IPAM_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    member: MemberFlags,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When the node cannot be opened, or the address not be listened on.
pub fn run(serve: &Serve, data: &Path) -> Result<(), Failure> {
    logging::start(serve.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(machinery)?;
    // The address first: a second server on one machine then says so, and not that the data are in use.
    let listener = runtime
        .block_on(TcpListener::bind(serve.listen))
        .map_err(|error| Failure::Unreachable(format!("cannot listen on {}: {error}", serve.listen)))?;
    let node = match serve.kafka.config() {
        None => node::open_embedded(data),
        Some(kafka) => node::open_kafka(data, &kafka, &serve.member),
    }
    .map_err(machinery)?;
    let served = runtime.block_on(listen(serve, data, listener, &node));
    node.stop();
    tracing::info!("stopped in order");
    served
}

async fn listen(serve: &Serve, data: &Path, listener: TcpListener, node: &Node) -> Result<(), Failure> {
    let address = listener.local_addr().map_err(machinery)?;
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "ANYONE WHO REACHES THIS ADDRESS CAN WRITE: there is no access control; bind to loopback, or put a guard in front"
        );
    }
    let limits = Limits::default();
    let router = node.router(limits.clone());
    let mut terminated = signal(SignalKind::terminate()).map_err(machinery)?;
    let notice = Notice::post(data, address);
    if let Err(error) = &notice {
        tracing::warn!(%error, "the data directory does not say where this server listens: the CLI finds it by --url alone");
    }
    // The one line on standard output, for programs that start a server on a free port.
    let mut output = std::io::stdout();
    let _ = writeln!(output, "listening on http://{address}").and_then(|()| output.flush());
    tracing::info!(%address, log = if serve.kafka.config().is_some() { "kafka" } else { "embedded" }, "serving");
    let stop = async move {
        tokio::select! {
            _ = terminated.recv() => tracing::info!("SIGTERM: answering what was accepted, then leaving"),
            _ = tokio::signal::ctrl_c() => tracing::info!("SIGINT: answering what was accepted, then leaving"),
        }
    };
    server::serve(listener, router, &limits, stop).await.map_err(machinery)
}

fn machinery(error: impl std::fmt::Display) -> Failure {
    Failure::Unreachable(error.to_string())
}
