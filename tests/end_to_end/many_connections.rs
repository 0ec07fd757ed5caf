//! What connections cost that bring nothing: 1,000 idle ones, and 100 hostile ones that send their headers or bodies
//! byte by byte or never read. Measured as the most memory that the process ever held (`VmHWM`), which is printed:
//! `cargo test --test end_to_end many_connections -- --nocapture`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::raw;
use crate::server::Server;
use crate::slow_clients::Process;

const IDLE: usize = 1_000;
const HOSTILE: usize = 100;
/// Generous: a connection holds a small task and a buffer of 8 KiB.
const IDLE_GROWTH_KIB_MAX: u64 = 64 << 10;
/// Generous: who never reads is held up with one answer under way, who sends slowly with a part of a request.
const HOSTILE_GROWTH_KIB_MAX: u64 = 128 << 10;
const ROUNDS: usize = 20;

#[test]
fn idle_and_hostile_connections_cost_a_bounded_amount() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &[]);
    // What the first answers cost is spent before.
    for _ in 0..50 {
        server.get("/openapi.json");
    }
    let process = Process(server.pid());
    let most = || process.status("VmHWM:");
    let before = most();

    let idle: Vec<_> = (0..IDLE).map(|_| asked_once(&server)).collect();
    let with_idle = most();
    println!("{IDLE} idle connections: {} KiB more", with_idle - before);
    drop(idle);

    let mut hostile: Vec<(TcpStream, &[u8])> = Vec::new();
    for at in 0..HOSTILE {
        let mut socket = raw::connect(&server);
        let (begin, more): (String, &[u8]) = match at % 3 {
            0 => ("GET /healthz HTTP/1.1\r\nHost: ipam\r\n".to_owned(), b"x: y\r\n"),
            1 => (
                "POST /v1/organizations/o-hostile/commands HTTP/1.1\r\nHost: ipam\r\nContent-Type: application/json\r\n\
                 Content-Length: 900000\r\n\r\n"
                    .to_owned(),
                b" ",
            ),
            _ => ("GET /openapi.json HTTP/1.1\r\nHost: ipam\r\n\r\n".repeat(200), b""),
        };
        socket.write_all(begin.as_bytes()).expect("the server lives");
        hostile.push((socket, more));
    }
    for _ in 0..ROUNDS {
        for (socket, more) in &mut hostile {
            // Some are cut off by and by, as they should be.
            let _ = socket.write_all(more);
        }
        // Others are answered meanwhile.
        server.get("/healthz");
        std::thread::sleep(Duration::from_millis(100));
    }
    let with_hostile = most();
    println!("{HOSTILE} hostile connections: {} KiB more", with_hostile - with_idle);
    assert!(with_idle - before < IDLE_GROWTH_KIB_MAX, "{before} KiB, then {with_idle} KiB");
    assert!(with_hostile - with_idle < HOSTILE_GROWTH_KIB_MAX, "{with_idle} KiB, then {with_hostile} KiB");
    // Who does not come to the end of the headers in time is cut off, however busily it sends.
    let (slow, _) = hostile.first_mut().expect("the first one sends headers");
    let mut rest = Vec::new();
    let closed = slow.read_to_end(&mut rest).map_err(|error| error.kind());
    assert!(matches!(closed, Ok(0) | Err(ErrorKind::ConnectionReset)), "{closed:?} {}", String::from_utf8_lossy(&rest));
    drop(hostile);
    server.stop();
}

/// A connection that has been answered, so the server holds it, and stays open.
fn asked_once(server: &Server) -> TcpStream {
    let mut socket = raw::connect(server);
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: ipam\r\n\r\n").expect("the server lives");
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    socket
}
