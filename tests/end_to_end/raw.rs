//! HTTP by hand, for requests that no client library sends.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::server::Server;

pub fn connect(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(server.url.trim_start_matches("http://")).expect("the server lives");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
    socket
}

/// Sends bytes as they are, on a connection of their own, which the request must ask to be closed; status 0 when it is
/// closed without an answer. `ends` says that no more will come.
pub fn exchange(server: &Server, request: &[u8], ends: bool) -> (u16, Value) {
    let mut socket = connect(server);
    // The server may answer and close before it has read what is too large.
    let _ = socket.write_all(request);
    if ends {
        let _ = socket.shutdown(Shutdown::Write);
    }
    let mut answer = Vec::new();
    let mut bytes = [0; 8 << 10];
    while let Ok(count @ 1..) = socket.read(&mut bytes) {
        answer.extend_from_slice(&bytes[..count]);
    }
    let text = String::from_utf8_lossy(&answer);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status(&text), serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned())))
}

/// The status in an answer's first line; 0 where there is none.
pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}
