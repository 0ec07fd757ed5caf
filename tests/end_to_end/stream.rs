//! The event stream: who is cut off and comes back with `Last-Event-ID` gets exactly what was missed.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{Server, command};

const ACCOUNT: &str = "000000000042";
const OTHER: &str = "000000000043";
/// Revisions of the organisation in the end: the first creates its IPAM.
const REVISIONS: u64 = 1_200;

#[test]
fn a_client_that_comes_back_gets_what_it_missed_and_nothing_twice() {
    let data = tempfile::tempdir().expect("a directory");
    let mut server = Server::start(data.path(), &[]);
    let mut told = Vec::new();
    for account in [ACCOUNT, OTHER] {
        let outcome = server.accept(account, account, "CreateIpam", &json!({"home_region": "eu-central-1"}));
        if account == ACCOUNT {
            told.push(outcome);
        }
    }
    let mut seen = Vec::new();
    let mut round: usize = 0;
    while told.len() < usize::try_from(REVISIONS).expect("few") {
        round += 1;
        // Some before the client is there, some while it reads; each round it is cut off at another place.
        write(&server, &mut told, 150);
        if round == 3 {
            server.kill();
            server = Server::start(data.path(), &[]);
        }
        let mut stream = Stream::open(&server, seen.last().map(|(id, _)| *id));
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                let mut more = Vec::new();
                write(&server, &mut more, 50);
                more
            });
            let until = told.len() + 17 * round.min(2);
            while seen.len() < until {
                seen.push(stream.next());
            }
            // A client that goes away in the middle of an event has not seen it.
            stream.half_of_one();
            drop(stream);
            told.extend(writing.join().expect("written"));
        });
    }
    let mut stream = Stream::open(&server, seen.last().map(|(id, _)| *id));
    while seen.len() < told.len() {
        seen.push(stream.next());
    }
    let ids: Vec<_> = seen.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, (1..=u64::try_from(told.len()).expect("few")).collect::<Vec<_>>(), "each revision once, in order");
    for ((id, outcome), told) in seen.iter().zip(&told) {
        assert_eq!(outcome, told, "revision {id} as it was answered");
    }
    // It is live: what comes next is what is decided next, for this organisation.
    server.accept(OTHER, OTHER, "SetQuota", &json!({"quota": "pool-depth", "value": 11}));
    let last = server.accept(ACCOUNT, ACCOUNT, "SetQuota", &json!({"quota": "pool-depth", "value": 12}));
    assert_eq!(stream.next(), (last["revision"].as_u64().expect("a revision"), last));
    drop(stream);
    server.stop();
}

/// Decides `count` commands and keeps their outcomes, in the order of their revisions. Some change nothing, some are
/// refused: all are outcomes.
fn write(server: &Server, told: &mut Vec<Value>, count: usize) {
    let quota = |n: usize| if n.is_multiple_of(10) { "ipams-per-region" } else { "pools-per-scope" };
    let commands = (0..count)
        .map(|n| command(ACCOUNT, "SetQuota", &json!({"quota": quota(n), "value": 50 + n})))
        .collect::<Vec<_>>();
    let answers = server.send_batch(ACCOUNT, &Value::Array(commands));
    for answer in answers.as_array().expect("answers") {
        let outcome = if answer["status"] == 200 { &answer["outcome"] } else { &answer["problem"]["outcome"] };
        assert!(outcome["revision"].is_u64(), "{answer}");
        told.push(outcome.clone());
    }
}

/// A client of the event stream.
struct Stream(BufReader<ureq::BodyReader<'static>>);

impl Stream {
    fn open(server: &Server, seen: Option<u64>) -> Self {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(120))).build().into();
        let mut request = agent.get(format!("{}/v1/events?organization={ACCOUNT}", server.url));
        if let Some(seen) = seen {
            request = request.header("last-event-id", seen.to_string());
        }
        let answer = request.call().expect("the server answers");
        Self(BufReader::with_capacity(512, answer.into_body().into_reader()))
    }

    /// The next event: its id and its outcome.
    fn next(&mut self) -> (u64, Value) {
        let (mut id, mut outcome) = (None, None);
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).expect("the stream goes on") > 0, "the stream ended");
            match line.trim_end().split_once(": ") {
                Some(("id", text)) => id = Some(text.parse().expect("a revision")),
                Some(("data", text)) => outcome = Some(serde_json::from_str(text).expect("an outcome")),
                _ => {}
            }
            if line == "\n"
                && let (Some(id), Some(outcome)) = (id.take(), outcome.take())
            {
                return (id, outcome);
            }
        }
    }

    /// Reads into the next event, and not to its end.
    fn half_of_one(&mut self) {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the stream goes on");
        assert!(line.starts_with("id: "), "{line}");
    }
}
