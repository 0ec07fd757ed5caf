//! Commands acknowledged on the embedded log, against a bare RocksDB group commit of the same bytes (P3).
//!
//! For 1, 8 and 64 clients, each waiting for its answer before it asks again: allocations through decode, decide,
//! append, fsync, read back and acknowledgement; then as many threads that each put a record of the same size with a
//! synchronous write. Both in one run, on one file system, in turns; the ratio is what counts.
//!
//! `CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo bench --profile dev --bench embedded`

#![allow(clippy::indexing_slicing, reason = "a test that indexes wrongly fails, as it should")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ipam_ledger::log::embedded::EmbeddedLog;
use ipam_ledger::log::record::Partition;
use ipam_ledger::processor::core::{Config, Domain, Limits};
use ipam_ledger::processor::local::Local;
use ipam_ledger::processor::memory::NoMemory;
use ipam_ledger::processor::metrics::WriterMetrics;
use ipam_ledger::processor::submit::Submit;
use ipam_ledger::processor::writer::{Parts, SystemClock, Writer};
use rocksdb::{DB, Options, WriteOptions};
use serde_json::{Value, json};
use uuid::Uuid;

/// How long each measurement runs.
const MEASURED: Duration = Duration::from_secs(3);
const ACCOUNT: &str = "111122223333";

fn command(kind: &str, payload: &Value) -> Vec<u8> {
    json!({
        "command_id": Uuid::now_v7(), "organization": ACCOUNT, "principal": {"account": ACCOUNT}, "type": kind, "payload": payload
    })
    .to_string()
    .into_bytes()
}

async fn ask(local: &Local, command: Vec<u8>) -> Value {
    let organization = ACCOUNT.parse().expect("an account");
    let answer = local.submit(&organization, command).await.expect("an answer");
    serde_json::from_slice(&answer.value).expect("an outcome")
}

/// Acknowledged allocations per second, and the bytes of one outcome.
fn ledger(clients: usize) -> (f64, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let log = EmbeddedLog::open(folder.path(), 1).expect("a log");
    let (local, queues) = Local::new(1, 10_000, |_, _| Partition(0));
    let writer = Writer::start(Parts {
        config: Config {
            partition: Partition(0),
            ledger: Uuid::new_v4(),
            partitions: 1,
            partition_of: |_, _| Partition(0),
            limits: Limits::default(),
        },
        log: Arc::new(log),
        memory: Arc::new(NoMemory),
        rules: Arc::new(Domain),
        clock: Arc::new(SystemClock),
        metrics: Arc::new(WriterMetrics::default()),
        topic: None,
        queue: queues.into_iter().next(),
    })
    .expect("a thread");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (count, bytes) = runtime.block_on(async {
        let created = ask(&local, command("CreateIpam", &json!({"home_region": "eu-central-1"}))).await;
        let scope = created["decision"]["accepted"][0]["data"]["private_default_scope"].clone();
        let created = ask(&local, command("CreatePool", &json!({"scope": scope, "address_family": "ipv4"}))).await;
        let pool = created["decision"]["accepted"][0]["data"]["pool"].clone();
        ask(&local, command("ProvisionPoolCidr", &json!({"pool": pool, "cidr": "10.0.0.0/8"}))).await;
        let (count, bytes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let until = Instant::now() + MEASURED;
        let tasks: Vec<_> = (0..clients)
            .map(|_| {
                let (local, pool, count, bytes) = (local.clone(), pool.clone(), Arc::clone(&count), Arc::clone(&bytes));
                tokio::spawn(async move {
                    let organization = ACCOUNT.parse().expect("an account");
                    while Instant::now() < until {
                        let allocate = command(
                            "AllocateCidr",
                            &json!({"pool": pool, "netmask_length": 28, "description": "seventeen letters"}),
                        );
                        let answer = local.submit(&organization, allocate).await.expect("an answer");
                        count.fetch_add(1, Ordering::Relaxed);
                        bytes.store(answer.value.len() as u64, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("a client");
        }
        (count.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed))
    });
    writer.stop();
    (per_second(count), usize::try_from(bytes).expect("a record fits in memory"))
}

/// Synchronous writes per second of records with so many bytes, by so many threads.
fn bare(clients: usize, bytes: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = Options::default();
    options.create_if_missing(true);
    let db = DB::open(&options, folder.path()).expect("a database");
    let mut durable = WriteOptions::default();
    durable.set_sync(true);
    let next = AtomicU64::new(0);
    let value = vec![b'x'; bytes];
    let until = Instant::now() + MEASURED;
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                while Instant::now() < until {
                    let key = next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
                    db.put_opt(key, &value, &durable).expect("a write");
                }
            });
        }
    });
    per_second(next.load(Ordering::Relaxed))
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(count: u64) -> f64 {
    count as f64 / MEASURED.as_secs_f64()
}

fn main() {
    println!("{:>8} {:>14} {:>14} {:>7} {:>14}", "clients", "ledger, 1/s", "bare, 1/s", "ratio", "against one");
    let mut one = None;
    for clients in [1, 8, 64] {
        // In turns, twice, the better of each: the machine is shared.
        let (first, bytes) = ledger(clients);
        let bare = bare(clients, bytes).max(bare(clients, bytes));
        let ledger = first.max(ledger(clients).0);
        let one = *one.get_or_insert(ledger);
        println!("{clients:>8} {ledger:>14.0} {bare:>14.0} {:>7.2} {:>14.1}", ledger / bare, ledger / one);
    }
}
