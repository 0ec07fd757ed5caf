//! Serving the router on a socket, with a bound on everything a connection may take.
//!
//! What axum's own server leaves open is closed here: time for headers, number of connections, and
//! clients that do not read what they asked for.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep};
use tower::ServiceExt as _;

use super::asked::{Connection, Stopping};
use super::limits::Limits;

/// Serves `router` until `stop` resolves, then lets open requests finish for at most `stop_time_max`.
///
/// # Errors
/// When the listener cannot accept any more.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stopping, stopped) = watch::channel(false);
    let connections = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.header_time_max);
    // The buffer is no exact bound. It is wider than the exact one, so that who is above that is told so in a problem
    // document; who is above this gets a bare status.
    builder.max_buf_size(limits.header_bytes_max * 2).max_headers(limits.header_fields_max);
    let mut stop = std::pin::pin!(stop);
    loop {
        let permit = tokio::select! {
            () = &mut stop => break,
            permit = Arc::clone(&connections).acquire_owned() => permit.map_err(io::Error::other)?,
        };
        let (stream, client) = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    // Out of file descriptors, most likely: connections will end and free some.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        // Answers are small and whole: waiting to fill a packet only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let cut_off = Arc::<AtomicBool>::default();
        let of_request = Connection { stopping: Stopping::new(stopped.clone()), cut_off: Arc::clone(&cut_off) };
        let service = router.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(of_request.clone());
            request
        });
        let io = TokioIo::new(Impatient::new(stream, limits.write_time_max, Arc::clone(&cut_off)));
        let connection = graceful.watch(builder.serve_connection(io, TowerToHyperService::new(service)));
        tokio::spawn(async move {
            match connection.await {
                Err(_) if cut_off.load(Ordering::Relaxed) => {
                    tracing::info!(%client, "a client does not read what it asked for and is cut off");
                }
                Err(error) => tracing::debug!(%client, %error, "a connection ended early"),
                Ok(()) => {}
            }
            drop(permit);
        });
    }
    drop(listener);
    stopping.send_replace(true);
    if tokio::time::timeout(limits.stop_time_max, graceful.shutdown()).await.is_err() {
        tracing::warn!(seconds = limits.stop_time_max.as_secs(), "connections were still open and are cut off");
    }
    Ok(())
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}

/// A stream whose writes fail when the other side takes nothing for a while.
#[derive(Debug)]
struct Impatient {
    stream: TcpStream,
    patience: Duration,
    /// Running while a write is stuck.
    stuck: Option<Pin<Box<Sleep>>>,
    /// Set when patience is over.
    cut_off: Arc<AtomicBool>,
}

impl Impatient {
    fn new(stream: TcpStream, patience: Duration, cut_off: Arc<AtomicBool>) -> Self {
        Self { stream, patience, stuck: None, cut_off }
    }

    /// Passes on what became of a write, or fails when it has been stuck for too long.
    fn judge<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let patience = self.patience;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        ready!(stuck.as_mut().poll(context));
        self.cut_off.store(true, Ordering::Relaxed);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};

    use axum::routing::get;

    use super::{Duration, Limits, Router, TcpListener, serve};

    /// Long enough for an answer that comes at once, on a busy machine too.
    const AT_ONCE: Duration = Duration::from_millis(500);
    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn one_connection_more_than_may_be_open_waits_until_one_is_closed() {
        let limits = Limits { connections_max: 2, header_time_max: Duration::from_secs(3_600), ..Limits::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/", get(|| async { "here" }));
        tokio::spawn(async move { serve(listener, router, &limits, std::future::pending()).await });
        let clients = tokio::task::spawn_blocking(move || three_clients(address));
        clients.await.expect("all are answered, the third after another has gone");
    }

    fn three_clients(address: SocketAddr) {
        let (first, second, third) = (ask(address), ask(address), ask(address));
        assert!(is_answered(&first, PATIENCE) && is_answered(&second, PATIENCE));
        assert!(!is_answered(&third, AT_ONCE), "one too many");
        drop(first);
        assert!(is_answered(&third, PATIENCE), "there is room now");
    }

    fn ask(address: SocketAddr) -> TcpStream {
        let mut client = TcpStream::connect(address).expect("the system queues it");
        client.write_all(b"GET / HTTP/1.1\r\nHost: ipam\r\n\r\n").expect("sent");
        client
    }

    fn is_answered(mut client: &TcpStream, within: Duration) -> bool {
        client.set_read_timeout(Some(within)).expect("a time-out");
        let mut answer = [0; 12];
        client.read_exact(&mut answer).is_ok_and(|()| &answer == b"HTTP/1.1 200")
    }
}
