//! Clients that ask for much and never read: the server's memory and threads stay bounded, others are answered, and
//! they are cut off after `Limits::write_time_max`. A client that reads slowly is not one of them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ipam_ledger::api::limits::Limits;
use serde_json::{Value, json};

use crate::server::{Server, command};

const ACCOUNT: &str = "000000000042";
/// Outcomes of more than 2 KiB each: much more in all than the system buffers for a connection.
const COMMANDS: usize = 5_000;
/// Of each kind. As many of the event stream leave room for half as many others.
const SILENT_CLIENTS: usize = 32;
/// Questions that one silent client asks at once, one behind the other.
const QUESTIONS: usize = 200;
/// What silent clients may cost: one page of 2 MiB each and what making it takes, a small part of the 12 GiB that they
/// ask for.
const GROWTH_KIB_MAX: u64 = 512 << 10;
const THREADS_MORE_MAX: u64 = 8;
/// Generous: the bound is 30 seconds.
const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn clients_that_never_read_are_bounded_and_cut_off() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &[]);
    let pool = prepare(&server);
    let process = Process(server.pid());
    // What every load costs is spent before.
    let size = server.get(&allocations(&pool)).to_string().len();
    let slow = slow_stream(&server);
    wait_until("the slow client is there", || metric(&server, "ipam_http_stream_clients") == 1);
    let (memory, threads, sockets) = (process.memory_kib(), process.threads(), process.sockets());

    let questions = format!("GET {} HTTP/1.1\r\nHost: ipam\r\n\r\n", allocations(&pool)).repeat(QUESTIONS);
    let stream = format!("GET /v1/events?organization={ACCOUNT} HTTP/1.1\r\nHost: ipam\r\n\r\n");
    let begun = Instant::now();
    let silent: Vec<_> =
        (0..SILENT_CLIENTS).flat_map(|_| [connect(&server, &questions), connect(&server, &stream)]).collect();
    // The system connects them before the server has accepted them.
    wait_until("all are held at a time", || process.sockets() >= sockets + silent.len());
    let mut most_memory = 0;
    let mut sent = Vec::new();
    loop {
        let still = process.sockets().saturating_sub(sockets);
        if still == 0 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{still} silent clients are not cut off");
        most_memory = most_memory.max(process.memory_kib());
        // Others are answered meanwhile.
        sent.push(server.accept(ACCOUNT, ACCOUNT, "AllocateCidr", &json!({"pool": pool, "netmask_length": 28})));
        server.get(&format!("/v1/organizations/{ACCOUNT}/pools/{pool}"));
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(begun.elapsed() > Limits::default().write_time_max, "they were cut off early");
    let growth = most_memory.saturating_sub(memory);
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB more while silent clients wait");
    wait_until("threads end", || process.threads() <= threads + THREADS_MORE_MAX);
    wait_until("the streams' places are free", || metric(&server, "ipam_http_stream_clients") <= 1);
    assert_eq!(metric(&server, "ipam_http_stream_cut_off_total"), SILENT_CLIENTS, "an operator sees it");
    // None of them had got it all.
    for (client, whole) in silent.into_iter().zip([QUESTIONS * size, COMMANDS * 2_048].into_iter().cycle()) {
        let got = rest(client);
        assert!(got < whole / 2, "a silent client was given {got} of {whole} bytes");
    }
    assert!(!sent.is_empty());
    slow.join().expect("the slow client was given everything in order");
    server.stop();
}

/// Fills a pool with what many bytes tell about.
fn prepare(server: &Server) -> String {
    let created = |kind: &str, payload: Value, id: &str| {
        let outcome = server.accept(ACCOUNT, ACCOUNT, kind, &payload);
        outcome["decision"]["accepted"][0]["data"][id].as_str().map(str::to_owned).expect("an id")
    };
    let scope = created("CreateIpam", json!({"home_region": "eu-central-1"}), "private_default_scope");
    let pool = created("CreatePool", json!({"scope": scope, "address_family": "ipv4"}), "pool");
    server.accept(ACCOUNT, ACCOUNT, "ProvisionPoolCidr", &json!({"pool": pool, "cidr": "10.0.0.0/8"}));
    let mut revision = Value::Null;
    for _ in 0..COMMANDS / 1_000 {
        let payload = json!({"pool": pool, "netmask_length": 28, "description": "d".repeat(255)});
        let commands: Vec<_> = (0..1_000)
            .map(|_| {
                let mut command = command(ACCOUNT, "AllocateCidr", &payload);
                command["reason"] = json!("r".repeat(1_000));
                command
            })
            .collect();
        let answers = server.send_batch(ACCOUNT, &Value::Array(commands));
        assert!(answers.as_array().expect("answers").iter().all(|answer| answer["status"] == 200), "{answers}");
        revision = answers[999]["outcome"]["revision"].clone();
    }
    server.get(&format!("/v1/organizations/{ACCOUNT}?at_least={revision}&wait_seconds=30"));
    pool
}

fn allocations(pool: &str) -> String {
    format!("/v1/organizations/{ACCOUNT}/pools/{pool}/allocations?limit=1000")
}

/// Asks, and leaves it at that.
fn connect(server: &Server, ask: &str) -> TcpStream {
    let mut socket = TcpStream::connect(server.url.trim_start_matches("http://")).expect("the server lives");
    socket.write_all(ask.as_bytes()).expect("sent");
    socket
}

/// What had been sent before the connection was closed.
fn rest(mut socket: TcpStream) -> usize {
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
    let (mut count, mut bytes) = (0, vec![0; 64 << 10]);
    loop {
        match socket.read(&mut bytes) {
            Ok(0) => return count,
            Ok(more) => count += more,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return count,
            Err(error) => panic!("it was not closed: {error}"),
        }
    }
}

/// Reads the event stream from its beginning for longer than a silent client is borne, and all of it.
fn slow_stream(server: &Server) -> std::thread::JoinHandle<()> {
    let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
    let url = format!("{}/v1/events?organization={ACCOUNT}", server.url);
    std::thread::spawn(move || {
        let body = agent.get(url).call().expect("the server answers").into_body();
        let pause = Limits::default().write_time_max * 2 / u32::try_from(COMMANDS / 100).expect("few");
        let mut expected = 1;
        for line in BufReader::with_capacity(4 << 10, body.into_reader()).lines() {
            let line = line.expect("it is not cut off");
            let Some(id) = line.strip_prefix("id: ") else { continue };
            assert_eq!(id, expected.to_string(), "the next revision");
            if expected == COMMANDS {
                return;
            }
            if expected % 100 == 0 {
                std::thread::sleep(pause);
            }
            expected += 1;
        }
        panic!("it ended at revision {expected}");
    })
}

fn metric(server: &Server, name: &str) -> usize {
    let text = server.get("/metrics");
    let mut lines = text.as_str().expect("text").lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).expect(name);
    value.parse().expect("a number")
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A running process, as the system counts it.
pub struct Process(pub u32);

impl Process {
    fn memory_kib(&self) -> u64 {
        self.status("VmRSS:")
    }

    fn threads(&self) -> u64 {
        self.status("Threads:")
    }

    fn sockets(&self) -> usize {
        let open = std::fs::read_dir(self.path("fd")).expect("it runs").flatten();
        open.filter(|one| std::fs::read_link(one.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:")))
            .count()
    }

    pub fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(self.path("status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0))
    }
}
