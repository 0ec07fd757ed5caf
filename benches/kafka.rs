//! Commands decided on Kafka, against an empty consume → produce → read back loop and against a transactional
//! consume → produce loop (P2).
//!
//! 200,000 `AllocateCidr` of 20 organisations lie in one partition of the command topic. The ledger: a writer takes
//! the partition, decides them, appends the outcomes and reads them back; what counts is acknowledged outcomes.
//! The empty loop: one thread consumes the same commands, produces the same outcomes with key and headers through an idempotent
//! producer without waiting, and reads them back. The transactional loop: the same records, 100 per
//! transaction with the consumed offset in it, `retry.backoff.ms=1`, drained before each commit; and once more
//! without the offset. All with the settings that the ledger's clients have, on one broker, in turns; each
//! rate is from the first record (or transaction) completed to the last.
//!
//! `CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo bench --profile dev --bench kafka`

#[path = "../tests/support/kafka.rs"]
#[allow(dead_code, reason = "tests use the rest")]
mod broker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ipam_ledger::log::kafka::{KafkaConfig, KafkaLog, create_topics};
use ipam_ledger::log::record::Partition;
use ipam_ledger::processor::core::{Config, Domain, Limits};
use ipam_ledger::processor::local::{Local, Queue};
use ipam_ledger::processor::memory::NoMemory;
use ipam_ledger::processor::metrics::WriterMetrics;
use ipam_ledger::processor::submit::Submit as _;
use ipam_ledger::processor::writer::{Parts, SystemClock, Topic, Writer};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use uuid::Uuid;

const COMMANDS: usize = 200_000;
const ORGANIZATIONS: usize = 20;
/// Transactions are slow: so many of the records are enough to know their rate.
const TRANSACTED: usize = 20_000;
const PER_TRANSACTION: usize = 100;
/// The best of so many, for all alike: the machine is shared.
const ROUNDS: usize = 3;
/// Nothing takes longer than this.
const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(1);

fn main() {
    let mut best = [0.0_f64; 4];
    println!(
        "{:>12} {:>12} {:>22} {:>22}   records/s; ledger / empty",
        "ledger", "empty", "transactions", "without offsets"
    );
    for _ in 0..ROUNDS {
        let config = config();
        let ledger = ledger(&config);
        let outcomes = outcomes(&config);
        let empty = empty(&config, &outcomes);
        let rates = [ledger, empty, transactional(&config, &outcomes, true), transactional(&config, &outcomes, false)];
        let [ledger, empty, transactions, without] = rates;
        println!("{ledger:>12.0} {empty:>12.0} {transactions:>22.0} {without:>22.0}   {:.2}", ledger / empty);
        best.iter_mut().zip(rates).for_each(|(best, rate)| *best = best.max(rate));
    }
    let [ledger, empty, transactions, without] = best;
    println!("against the empty loop: {:.2}", ledger / empty);
    println!("against transactions: {:.1} (without offsets: {:.1})", ledger / transactions, ledger / without);
}

/// Topics of their own on this program's broker.
fn config() -> KafkaConfig {
    let mut config = broker::config();
    // Machines under load stand still now and then; no delivery is to fail for that.
    config.session_timeout = Duration::from_mins(1);
    create_topics(&config, 1, None).expect("the topics");
    config
}

// --- The ledger.

/// Acknowledged outcomes per second.
fn ledger(config: &KafkaConfig) -> f64 {
    let log = KafkaLog::new(config.clone()).expect("a client");
    let (local, queues) = Local::new(1, 1_000, |_, _| Partition(0));
    let writer = start(&log, queues.into_iter().next(), None, &Arc::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let pools: Vec<_> = (0..ORGANIZATIONS).map(|number| runtime.block_on(prepare(&local, &account(number)))).collect();
    writer.stop();
    send_commands(config, &pools);

    let metrics = Arc::<WriterMetrics>::default();
    let (kafka, outbox) = (log.clone(), log.outbox().expect("a producer"));
    let open = Box::new(move |from| kafka.command_source(Partition(0), from));
    let topic = Topic::new(open, outbox);
    let writer = start(&log, None, Some(topic), &metrics);
    let mut stopwatch = Stopwatch::new(COMMANDS);
    while !stopwatch.is_done() {
        std::thread::sleep(POLL);
        let (_, accepted, rejected) =
            metrics.commands().find(|(name, ..)| *name == "AllocateCidr").expect("it is a type of command");
        assert_eq!(rejected, 0, "every command is good");
        stopwatch.reached(usize::try_from(accepted).expect("they fit in memory"));
    }
    writer.stop();
    stopwatch.per_second()
}

fn start(log: &KafkaLog, queue: Option<Queue>, topic: Option<Topic>, metrics: &Arc<WriterMetrics>) -> Writer {
    Writer::start(Parts {
        config: Config {
            partition: Partition(0),
            ledger: Uuid::from_u128(0x1ed),
            partitions: 1,
            partition_of: |_, _| Partition(0),
            limits: Limits::default(),
        },
        log: Arc::new(log.clone()),
        memory: Arc::new(NoMemory),
        rules: Arc::new(Domain),
        clock: Arc::new(SystemClock),
        metrics: Arc::clone(metrics),
        topic,
        queue,
    })
    .expect("a thread")
}

fn account(number: usize) -> String {
    format!("{:012}", 100_000_000_000 + number)
}

fn command(account: &str, kind: &str, payload: &Value) -> Vec<u8> {
    json!({
        "command_id": Uuid::now_v7(), "organization": account, "principal": {"account": account}, "type": kind, "payload": payload
    })
    .to_string()
    .into_bytes()
}

/// A lone account with a pool; the pool's id.
async fn prepare(local: &Local, account: &str) -> Value {
    let organization = account.parse().expect("an account");
    let ask = async |kind, payload: Value| -> Value {
        let answer = local.submit(&organization, command(account, kind, &payload)).await.expect("an answer");
        let outcome: Value = serde_json::from_slice(&answer.value).expect("an outcome");
        outcome.pointer("/decision/accepted/0/data").cloned().unwrap_or_default()
    };
    let ipam = ask("CreateIpam", json!({"home_region": "eu-central-1"})).await;
    let scope = ipam.get("private_default_scope");
    let pool = ask("CreatePool", json!({"scope": scope, "address_family": "ipv4", "locale": "eu-central-1"})).await;
    let pool = pool.get("pool").cloned().unwrap_or_default();
    ask("ProvisionPoolCidr", json!({"pool": pool, "cidr": "10.0.0.0/8"})).await;
    pool
}

/// Fills the command topic: as a sender would, with all that an ordinary allocation has.
fn send_commands(config: &KafkaConfig, pools: &[Value]) {
    let producer: BaseProducer = config.producer().create().expect("a producer");
    let topic = config.commands_topic();
    for (number, (owner, pool)) in (0..ORGANIZATIONS).zip(pools).cycle().take(COMMANDS).enumerate() {
        let account = account(owner);
        let payload = json!({
            "pool": pool, "netmask_length": 28, "description": "payments, staging",
            "tags": {"env": "staging", "team": "payments"},
            "resource": {"kind": "vpc", "id": format!("vpc-{number:017x}"), "region": "eu-central-1", "account": account}
        });
        let value = command(&account, "AllocateCidr", &payload);
        send(&producer, BaseRecord::to(&topic).partition(0).key(account.as_bytes()).payload(&value));
    }
    drain(&producer);
}

/// The outcomes of the allocations, as they lie in the log.
fn outcomes(config: &KafkaConfig) -> Vec<OwnedMessage> {
    let consumer = consumer(config, &config.events_topic());
    let until = Instant::now() + PATIENCE;
    let mut outcomes = Vec::with_capacity(COMMANDS);
    while outcomes.len() < COMMANDS {
        assert!(Instant::now() < until, "the outcomes cannot be read");
        let Some(message) = consumer.poll(POLL) else { continue };
        let message = message.expect("the topic can be read");
        // Those of the preparation come first; an allocation's is one that names a VPC.
        if message.payload().is_some_and(|value| value.windows(4).any(|part| part == b"vpc-")) {
            outcomes.push(message.detach());
        }
    }
    outcomes
}

// --- What it is measured against.

/// Records read back per second.
fn empty(from: &KafkaConfig, outcomes: &[OwnedMessage]) -> f64 {
    let to = config();
    let (commands, events) = (consumer(from, &from.commands_topic()), consumer(&to, &to.events_topic()));
    let producer: BaseProducer = to.producer().create().expect("a producer");
    let topic = to.events_topic();
    let mut rest = outcomes.iter();
    let mut stopwatch = Stopwatch::new(outcomes.len());
    let mut read_back = 0;
    while !stopwatch.is_done() {
        // In turns, as much as the ledger takes at once.
        for _ in 0..Limits::default().batch_commands_max {
            let Some(command) = commands.poll(Duration::ZERO) else { break };
            assert!(command.expect("the topic can be read").payload_len() > 0);
            send(&producer, record(&topic, rest.next().expect("an outcome per command")));
        }
        producer.poll(Duration::ZERO);
        let mut wait = POLL;
        while let Some(event) = events.poll(wait) {
            assert!(event.expect("the topic can be read").payload_len() > 0);
            read_back += 1;
            wait = Duration::ZERO;
        }
        stopwatch.reached(read_back);
    }
    stopwatch.per_second()
}

/// Records in committed transactions per second.
fn transactional(from: &KafkaConfig, outcomes: &[OwnedMessage], with_offsets: bool) -> f64 {
    let to = config();
    let commands = consumer(from, &from.commands_topic());
    let mut settings = to.producer();
    settings.set("transactional.id", Uuid::new_v4().to_string()).set("retry.backoff.ms", "1");
    let producer: BaseProducer = settings.create().expect("a producer");
    producer.init_transactions(PATIENCE).expect("transactions");
    let topic = to.events_topic();
    let mut stopwatch = Stopwatch::new(TRANSACTED);
    let mut committed = 0;
    for outcomes in outcomes.chunks(PER_TRANSACTION).take(TRANSACTED / PER_TRANSACTION) {
        producer.begin_transaction().expect("a transaction");
        let mut next = 0;
        for outcome in outcomes {
            let command = loop {
                if let Some(command) = commands.poll(POLL) {
                    break command.expect("the topic can be read");
                }
            };
            next = command.offset() + 1;
            send(&producer, record(&topic, outcome));
        }
        drain(&producer);
        if with_offsets {
            let mut offsets = TopicPartitionList::new();
            let commands_topic = from.commands_topic();
            offsets.add_partition_offset(&commands_topic, 0, Offset::Offset(next)).expect("an offset");
            let group = commands.group_metadata().expect("a group");
            producer.send_offsets_to_transaction(&offsets, &group, PATIENCE).expect("offsets");
        }
        producer.commit_transaction(PATIENCE).expect("a commit");
        committed += outcomes.len();
        stopwatch.reached(committed);
    }
    stopwatch.per_second()
}

fn consumer(config: &KafkaConfig, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = config.consumer().create().expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, 0, Offset::Offset(0)).expect("an offset");
    consumer.assign(&assignment).expect("an assignment");
    consumer
}

fn record<'a>(topic: &'a str, outcome: &'a OwnedMessage) -> BaseRecord<'a, [u8], [u8]> {
    let record = BaseRecord::to(topic).partition(0);
    let record = record.key(outcome.key().expect("a key")).payload(outcome.payload().expect("a value"));
    record.headers(outcome.headers().expect("headers").clone())
}

fn send(producer: &BaseProducer, record: BaseRecord<'_, [u8], [u8]>) {
    let mut record = record;
    while let Err((error, back)) = producer.send(record) {
        let full = error.rdkafka_error_code() == Some(rdkafka::error::RDKafkaErrorCode::QueueFull);
        assert!(full, "a record cannot be sent: {error}");
        record = back;
        producer.poll(POLL);
    }
}

fn drain(producer: &BaseProducer) {
    while producer.in_flight_count() > 0 {
        producer.poll(POLL);
    }
}

/// From the first time that something was done to the end.
struct Stopwatch {
    goal: usize,
    began: Instant,
    first: Option<(Instant, usize)>,
    last: Option<Instant>,
}

impl Stopwatch {
    fn new(goal: usize) -> Self {
        Self { goal, began: Instant::now(), first: None, last: None }
    }

    fn reached(&mut self, done: usize) {
        let now = Instant::now();
        assert!(now < self.began + PATIENCE, "only {done} of {} are done", self.goal);
        if done > 0 {
            self.first.get_or_insert((now, done));
        }
        if done >= self.goal {
            self.last.get_or_insert(now);
        }
    }

    fn is_done(&self) -> bool {
        self.last.is_some()
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    fn per_second(&self) -> f64 {
        let (Some((first, done)), Some(last)) = (self.first, self.last) else { return 0.0 };
        (self.goal - done) as f64 / (last - first).as_secs_f64()
    }
}
