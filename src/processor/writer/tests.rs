//! The writer's thread against the simulated log, with the domain's real rules.

use std::sync::atomic::AtomicI64;

use tokio::runtime::Runtime;
use uuid::Uuid;

use super::*;
use crate::domain::id::OrganizationId;
use crate::domain::outcome::{Decision, Outcome};
use crate::log::admission::{Admission, Verdict};
use crate::log::record::{Header, Kind, LedgerId, Partition, Seq};
use crate::log::simulated::{Failure, SimulatedLog};
use crate::log::wire::decode_outcome;
use crate::log::{AppendError, Letter, SourceRecord};
use crate::processor::core::{Domain, Limits};
use crate::processor::local::Local;
use crate::processor::memory::NoMemory;
use crate::processor::submit::{Answer, Submit};

const P0: Partition = Partition(0);
/// The simulated log's clock.
const NOW: i64 = 1_767_225_600_000_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// Agrees with the simulated log; moves a microsecond with every look.
#[derive(Debug)]
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

fn partition_of(organization: &OrganizationId, partitions: u32) -> Partition {
    let digit = organization.as_str().chars().last().and_then(|last| last.to_digit(10));
    Partition(digit.expect("test organisations end in a digit") % partitions)
}

fn parts(log: &SimulatedLog) -> Parts {
    let limits = Limits { batch_commands_max: 50, ..Limits::default() };
    Parts {
        config: Config { partition: P0, ledger: LedgerId::from_u128(7), partitions: 2, partition_of, limits },
        log: Arc::new(log.clone()),
        memory: Arc::new(NoMemory),
        rules: Arc::new(Domain),
        clock: Arc::new(Ticking(AtomicI64::new(NOW))),
        metrics: Arc::default(),
        topic: None,
        queue: None,
    }
}

fn start_local(log: &SimulatedLog) -> (Writer, Local, Arc<WriterMetrics>) {
    let (local, mut queues) = Local::new(2, 100, partition_of);
    let parts = Parts { queue: Some(queues.swap_remove(0)), ..parts(log) };
    let metrics = Arc::clone(&parts.metrics);
    (Writer::start(parts).expect("a thread"), local, metrics)
}

fn json(organization: &str, n: u128, kind: &str, payload: &serde_json::Value) -> Vec<u8> {
    let value = serde_json::json!({
        "command_id": Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + n), "organization": organization,
        "principal": { "account": "000000000001" }, "type": kind, "payload": payload,
    });
    serde_json::to_vec(&value).expect("JSON")
}

fn create(organization: &str) -> Vec<u8> {
    json(organization, 0, "CreateOrganization", &serde_json::json!({ "management_account": "000000000001" }))
}

fn add(organization: &str, n: u128) -> Vec<u8> {
    json(organization, n, "AddAccount", &serde_json::json!({ "account": format!("{:012}", 1_000 + n) }))
}

fn ask(local: &Local, command: Vec<u8>) -> Result<Answer, SubmitError> {
    let answering = local.submit(&organization_in(&command), command);
    runtime().block_on(async { tokio::time::timeout(PATIENCE, answering).await.expect("an answer in time") })
}

fn organization_in(command: &[u8]) -> OrganizationId {
    let value: serde_json::Value = serde_json::from_slice(command).expect("JSON");
    value["organization"].as_str().expect("text").parse().expect("well formed")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn outcomes(log: &SimulatedLog) -> Vec<Outcome> {
    let mut admission = Admission::default();
    let records = log.records(P0);
    let valid = records.iter().filter(|record| matches!(admission.admit(record), Verdict::Outcome(_)));
    valid.map(|record| decode_outcome(&record.value).expect("an outcome")).collect()
}

fn accepted(answer: &Answer) -> bool {
    matches!(decode_outcome(&answer.value).expect("an outcome").decision, Decision::Accepted(_))
}

#[test]
fn answers_many_clients_in_few_batches() {
    let log = SimulatedLog::new(2);
    let (writer, local, metrics) = start_local(&log);
    assert!(accepted(&ask(&local, create("o-a0")).expect("an answer")));
    let runtime = runtime();
    let answers = runtime.block_on(async {
        let organization: OrganizationId = "o-a0".parse().expect("well formed");
        let asked: Vec<_> = (1..=500).map(|n| local.submit(&organization, add("o-a0", n))).collect();
        futures_util::future::join_all(asked).await
    });
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(accepted)));
    assert_eq!(outcomes(&log).len(), 501);
    assert!(matches!(writer.status(), Status::Writing { epoch: Epoch(1) }));
    writer.stop();
    assert!(metrics.batch_commands.count() < 100, "{} batches", metrics.batch_commands.count());
    assert_eq!(metrics.commands().find(|row| row.0 == "AddAccount"), Some(("AddAccount", 500, 0)));
}

#[test]
fn an_unknown_append_is_answered_as_unknown_and_asking_again_tells() {
    for (failure, landed) in [
        (Failure::Refused, 0),
        (Failure::Unknown { landed: 0 }, 0),
        (Failure::Unknown { landed: 1 }, 1),
        (Failure::UnknownInFlight, 0),
    ] {
        let log = SimulatedLog::new(2);
        let (writer, local, metrics) = start_local(&log);
        ask(&local, create("o-a0")).expect("an answer");
        log.fail_next_append(P0, failure);
        assert!(matches!(ask(&local, add("o-a0", 1)), Err(SubmitError::Unknown(_))), "{failure:?}");
        let again = ask(&local, add("o-a0", 1)).expect("an answer");
        assert_eq!((accepted(&again), again.repeated), (true, landed == 1), "{failure:?}");
        // What was in flight lands now, behind the new reign.
        log.land(P0, usize::MAX);
        let last = ask(&local, add("o-a0", 1)).expect("an answer");
        assert_eq!((&last.value, last.repeated), (&again.value, true), "{failure:?}");
        writer.stop();
        assert_eq!((outcomes(&log).len(), metrics.restarts.load(Ordering::Relaxed)), (2, 1), "{failure:?}");
    }
}

#[test]
fn leaving_answers_all_that_was_accepted_and_then_refuses() {
    let log = SimulatedLog::new(2);
    let (writer, local, _) = start_local(&log);
    ask(&local, create("o-a0")).expect("an answer");
    let organization: OrganizationId = "o-a0".parse().expect("well formed");
    let runtime = runtime();
    runtime.block_on(async {
        for n in 1..=100 {
            local.submit_async(&organization, add("o-a0", n)).await.expect("queued");
        }
    });
    writer.stop();
    assert_eq!(outcomes(&log).len(), 101);
    assert!(matches!(ask(&local, add("o-a0", 200)), Err(SubmitError::Unavailable(_))));
}

#[test]
fn a_full_queue_makes_clients_wait_and_drops_nothing() {
    let log = SimulatedLog::new(2);
    let (local, mut queues) = Local::new(2, 3, partition_of);
    let organization: OrganizationId = "o-a0".parse().expect("well formed");
    let runtime = runtime();
    let put = |n| local.submit_async(&organization, if n == 0 { create("o-a0") } else { add("o-a0", n) });
    runtime.block_on(async {
        for n in 0..3 {
            put(n).await.expect("queued");
        }
        let fourth = tokio::time::timeout(Duration::from_millis(20), put(3)).await;
        assert!(fourth.is_err(), "the fourth waits for a place");
    });
    let writer = Writer::start(Parts { queue: Some(queues.swap_remove(0)), ..parts(&log) }).expect("a thread");
    runtime.block_on(async {
        for n in 3..20 {
            put(n).await.expect("queued");
        }
    });
    writer.stop();
    assert_eq!(outcomes(&log).len(), 20);
}

#[test]
fn two_writers_of_one_partition_depose_each_other_and_double_nothing() {
    let log = SimulatedLog::new(2);
    let (first, local, _) = start_local(&log);
    ask(&local, create("o-a0")).expect("an answer");
    let (second, other, _) = start_local(&log);
    wait_for("the second", || matches!(second.status(), Status::Writing { .. }));
    // Each asks until it has an answer, as a client does.
    for n in 1..=4 {
        for local in [&local, &other] {
            wait_for("an answer", || ask(local, add("o-a0", n)).is_ok());
        }
    }
    let ids: std::collections::BTreeSet<_> = outcomes(&log).iter().map(|outcome| outcome.command_id).collect();
    assert_eq!((ids.len(), outcomes(&log).len()), (5, 5));
    first.stop();
    second.stop();
}

#[test]
fn a_writer_that_gives_way_writes_until_the_next_one_is_there() {
    let log = SimulatedLog::new(2);
    let (first, local, _) = start_local(&log);
    assert!(accepted(&ask(&local, create("o-a0")).expect("an answer")));
    first.give_way(true);
    assert!(accepted(&ask(&local, add("o-a0", 1)).expect("nobody else is there yet")));
    let (second, other, _) = start_local(&log);
    assert!(accepted(&ask(&other, add("o-a0", 2)).expect("an answer")));
    wait_for("the first to leave by itself", || first.status() == Status::Left);
    assert!(matches!(second.status(), Status::Writing { epoch: Epoch(2) }));
    second.stop();
    assert_eq!(outcomes(&log).len(), 3);
}

#[test]
fn a_writer_that_gives_way_takes_nothing_over() {
    let log = SimulatedLog::new(2);
    log.set_reachable(false);
    let (writer, ..) = start_local(&log);
    writer.give_way(true);
    log.set_reachable(true);
    wait_for("it to leave", || writer.status() == Status::Left);
    assert!(log.records(P0).is_empty());
}

#[test]
fn a_record_that_cannot_be_read_stops_the_partition_and_says_so() {
    let log = SimulatedLog::new(2);
    let (writer, local, _) = start_local(&log);
    ask(&local, create("o-a0")).expect("an answer");
    writer.stop();
    let header = Header { kind: Kind::Outcome, epoch: Epoch(1), seq: Seq(2), source: None };
    log.land_record(P0, header, b"{\"schema\":99}");
    let (writer, local, _) = start_local(&log);
    let refused = ask(&local, add("o-a0", 1));
    assert!(matches!(&refused, Err(SubmitError::Unavailable(why)) if why.contains("offset 2")), "{refused:?}");
    assert!(matches!(writer.status(), Status::Stopped { reason } if reason.contains("offset 2")));
    assert_eq!(log.records(P0).len(), 3, "it opened nothing");
    writer.stop();
}

#[test]
fn commands_wait_while_the_log_is_unreachable() {
    let log = SimulatedLog::new(2);
    log.set_reachable(false);
    let (writer, local, metrics) = start_local(&log);
    wait_for("a failure", || metrics.restarts.load(Ordering::Relaxed) > 0);
    let reachable = log.clone();
    let helper = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        reachable.set_reachable(true);
    });
    assert!(accepted(&ask(&local, create("o-a0")).expect("an answer")));
    helper.join().expect("no panic");
    writer.stop();
}

/// A command topic in a vector, and where letters go.
#[derive(Clone, Default)]
struct Post {
    records: Arc<Mutex<Vec<SourceRecord>>>,
    letters: Arc<Mutex<Vec<Letter>>>,
    begin: u64,
    /// So many sends fail.
    failing: Arc<Mutex<u32>>,
}

struct PostReader(Post, u64);

impl CommandSource for PostReader {
    fn read(&mut self, records_max: usize, wait: Duration) -> Result<Vec<SourceRecord>, ReadError> {
        let records = self.0.records.lock().expect("no panic while held");
        let ready: Vec<_> =
            records.iter().filter(|record| record.offset.0 >= self.1).take(records_max).cloned().collect();
        drop(records);
        match ready.last() {
            Some(last) => self.1 = last.offset.0 + 1,
            None => thread::sleep(wait.min(Duration::from_millis(1))),
        }
        Ok(ready)
    }

    fn end(&self) -> SourceOffset {
        let records = self.0.records.lock().expect("no panic while held");
        records.last().map_or(SourceOffset(self.0.begin), |last| last.offset.next())
    }
}

impl Outbox for Post {
    fn send(&mut self, letters: Vec<Letter>) -> Result<(), AppendError> {
        let mut failing = self.failing.lock().expect("no panic while held");
        if *failing > 0 {
            *failing -= 1;
            return Err(AppendError::Unknown("no acknowledgement".to_owned()));
        }
        self.letters.lock().expect("no panic while held").extend(letters);
        Ok(())
    }
}

impl Post {
    fn put(&self, value: Vec<u8>) {
        let mut records = self.records.lock().expect("no panic while held");
        let offset = SourceOffset(self.begin + records.len() as u64);
        records.push(SourceRecord { offset, key: None, value, forwarded: false });
    }

    /// Another topic with the same commands.
    fn clone_records(&self) -> Self {
        let records = self.records.lock().expect("no panic while held").clone();
        Self { records: Arc::new(Mutex::new(records)), ..Self::default() }
    }

    fn writer(&self, log: &SimulatedLog, skip_expired: bool) -> Writer {
        self.writer_of(log, |topic| topic.skip_expired = skip_expired)
    }

    fn writer_of(&self, log: &SimulatedLog, decide: impl FnOnce(&mut Topic)) -> Writer {
        let post = self.clone();
        let open: OpenSource = Box::new(move |from| {
            let begin = crate::log::record::Offset(post.begin);
            if from.0 < post.begin {
                return Err(ReadError::Truncated { position: crate::log::record::Offset(from.0), begin });
            }
            let end = post.begin + post.records.lock().expect("no panic while held").len() as u64;
            if from.0 > end {
                let position = crate::log::record::Offset(from.0);
                return Err(ReadError::AheadOfLog { position, end: crate::log::record::Offset(end) });
            }
            Ok(Box::new(PostReader(post.clone(), from.0)))
        });
        let mut topic = Topic::new(open, Box::new(self.clone()));
        decide(&mut topic);
        Writer::start(Parts { topic: Some(topic), ..parts(log) }).expect("a thread")
    }
}

fn source_of(log: &SimulatedLog) -> Option<SourceOffset> {
    let mut admission = Admission::default();
    for record in log.records(P0) {
        admission.admit(&record);
    }
    admission.source
}

#[test]
fn commands_of_a_topic_are_decided_forwarded_or_dead_and_a_new_writer_goes_on_behind_them() {
    let (log, post) = (SimulatedLog::new(2), Post::default());
    *post.failing.lock().expect("no panic while held") = 1;
    let writer = post.writer(&log, false);
    for command in [create("o-a0"), create("o-b1"), add("o-a0", 1), b"?".to_vec(), add("o-a0", 1)] {
        post.put(command);
    }
    wait_for("the end of the topic", || source_of(&log) == Some(SourceOffset(4)));
    writer.stop();
    let writer = post.writer(&log, false);
    post.put(add("o-a0", 2));
    wait_for("the next command", || source_of(&log) == Some(SourceOffset(5)));
    writer.stop();
    assert_eq!(outcomes(&log).len(), 3);
    let letters = post.letters.lock().expect("no panic while held");
    assert!(letters.iter().any(|letter| matches!(letter, Letter::Forward { to: Partition(1), .. })));
    assert!(letters.iter().any(|letter| matches!(letter, Letter::Dead { offset: SourceOffset(3), .. })));
}

#[test]
fn expired_commands_stop_the_partition_until_an_operator_goes_on_without_them() {
    let (log, mut post) = (SimulatedLog::new(2), Post::default());
    post.begin = 10;
    post.put(create("o-a0"));
    let writer = post.writer(&log, false);
    wait_for("the stop", || matches!(writer.status(), Status::Stopped { .. }));
    assert_eq!(outcomes(&log).len(), 0);
    writer.stop();
    let writer = post.writer(&log, true);
    wait_for("the command", || source_of(&log) == Some(SourceOffset(10)));
    writer.stop();
    // The last command dealt with has expired, but none that is undecided.
    let mut later = Post { begin: 11, ..Post::default() };
    later.records = Arc::default();
    later.put(add("o-a0", 1));
    let writer = later.writer(&log, false);
    wait_for("the next command", || source_of(&log) == Some(SourceOffset(11)));
    writer.stop();
}

#[test]
fn a_recreated_topic_stops_the_partition_until_an_operator_has_it_read_from_its_beginning() {
    let (log, post) = (SimulatedLog::new(2), Post::default());
    let writer = post.writer(&log, false);
    for command in [create("o-a0"), add("o-a0", 1), add("o-a0", 2)] {
        post.put(command);
    }
    wait_for("the end of the topic", || source_of(&log) == Some(SourceOffset(2)));
    writer.stop();
    let stops = |post: &Post, why: &str| {
        let writer = post.writer(&log, false);
        wait_for("the stop", || matches!(writer.status(), Status::Stopped { .. }));
        let Status::Stopped { reason } = writer.status() else { unreachable!("it has stopped for good") };
        assert!(reason.contains(why) && reason.contains("--recreated-commands"), "{reason}");
        writer.stop();
    };
    let anew = Post::default();
    stops(&anew, "ends at 0");
    anew.put(add("o-a0", 3));
    anew.put(add("o-a0", 4));
    stops(&anew, "ends at 2");
    let foreign = anew.clone_records();
    foreign.put(add("o-b1", 5));
    stops(&foreign, "is not the one that was dealt with");
    anew.put(add("o-a0", 5));
    anew.put(add("o-a0", 6));
    stops(&anew, "is not the one that was dealt with");
    assert_eq!(outcomes(&log).len(), 3);

    let writer = anew.writer_of(&log, |topic| topic.recreated = true);
    wait_for("the end of the new topic", || source_of(&log) == Some(SourceOffset(3)));
    writer.stop();
    assert_eq!(outcomes(&log).len(), 7, "all of it was decided, and nothing twice");
    // From now on the new topic is the one of before, with the decision or without it.
    anew.put(add("o-a0", 7));
    let writer = anew.writer(&log, false);
    wait_for("the next command", || source_of(&log) == Some(SourceOffset(4)));
    writer.stop();
    assert_eq!(outcomes(&log).len(), 8);
}
