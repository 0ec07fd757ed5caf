//! How long a rebuild of all views from the log takes, against decoding the same records and writing the bytes that
//! the views hold, sorted, into a bare RocksDB with the same options (P4).
//!
//! The rebuild: [`Views::open`] in an empty directory on an embedded log of some 200,000 outcomes, until it has
//! caught up and is flushed. The other: one thread reads the same log, decodes every outcome and drops it; then the rows
//! that the rebuild left are put in the order of their keys, in as many batches. Neither has a write-ahead log.
//!
//! `CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo bench --profile dev --bench views`

#[path = "support/history.rs"]
mod history;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipam_ledger::log::Log;
use ipam_ledger::log::embedded::EmbeddedLog;
use ipam_ledger::log::record::{Kind, Offset, Partition};
use ipam_ledger::log::wire::decode_outcome;
use ipam_ledger::views::Views;
use ipam_ledger::views::table::Rows as _;
use rocksdb::{BlockBasedOptions, ColumnFamilyDescriptor, DB, DBCompressionType, Options, WriteBatch, WriteOptions};

const BLOCKS: usize = 40_000;
/// The better of so many, for both alike: the machine is shared.
const ROUNDS: usize = 3;
/// Records per read and per commit, as the projector has them.
const READ: usize = 1_000;
const COMMIT: usize = 10_000;

/// The rows of one view, in order of their keys.
type ViewRows = (&'static str, Vec<(Vec<u8>, Vec<u8>)>);

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let outcomes = history::write(&folder.path().join("log"), BLOCKS);
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(&folder.path().join("log"), 1).expect("a log"));
    println!("rebuild of all views from {outcomes} outcomes");
    let (mut rebuild_best, mut bare_best) = (Duration::MAX, Duration::MAX);
    for round in 0..ROUNDS {
        let path = folder.path().join(format!("views-{round}"));
        let (rebuild, rows) = rebuild(&path, &log);
        let decoding = decode(log.as_ref());
        let writing = write(&folder.path().join(format!("bare-{round}")), &rows, outcomes.div_ceil(COMMIT));
        let bytes: usize = rows.iter().flat_map(|(_, rows)| rows).map(|(key, value)| key.len() + value.len()).sum();
        let count: usize = rows.iter().map(|(_, rows)| rows.len()).sum();
        println!(
            "rebuild {rebuild:.2?}; decoding {decoding:.2?} and writing {count} rows of {} MB {writing:.2?}",
            bytes / 1_000_000
        );
        (rebuild_best, bare_best) = (rebuild_best.min(rebuild), bare_best.min(decoding + writing));
    }
    println!(
        "rebuild {:.0} outcomes/s, bare {:.0} outcomes/s: ratio {:.2}",
        per_second(outcomes, rebuild_best),
        per_second(outcomes, bare_best),
        bare_best.as_secs_f64() / rebuild_best.as_secs_f64()
    );
}

fn rebuild(path: &Path, log: &Arc<dyn Log>) -> (Duration, Vec<ViewRows>) {
    let start = Instant::now();
    let (views, projector) = Views::open(path, Arc::clone(log)).expect("views");
    while views.progress().ready().is_err() {
        assert!(views.progress().stopped(Partition(0)).is_none(), "the views stopped");
        std::thread::sleep(Duration::from_millis(1));
    }
    projector.stop().expect("the views are flushed");
    let took = start.elapsed();
    let snapshot = views.snapshot();
    let of_view = |name| {
        let mut rows = Vec::new();
        let all = snapshot.rows(name).expect("the view is there");
        all.scan(&[], &[0xff; 64], &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .expect("the view can be read");
        (name, rows)
    };
    (took, Views::names().into_iter().map(of_view).collect())
}

fn decode(log: &dyn Log) -> Duration {
    let start = Instant::now();
    let end = log.end(Partition(0)).expect("the log is there");
    let mut reader = log.reader(Partition(0), Offset(0)).expect("a reader");
    let mut next = Offset(0);
    while next < end {
        for record in reader.read(READ, Duration::ZERO).expect("the log can be read") {
            next = record.offset.next();
            if record.header.is_some_and(|header| header.kind == Kind::Outcome) {
                std::hint::black_box(decode_outcome(&record.value).expect("an outcome"));
            }
        }
    }
    start.elapsed()
}

fn write(path: &Path, views: &[ViewRows], batches: usize) -> Duration {
    let mut database = Options::default();
    database.create_if_missing(true);
    database.create_missing_column_families(true);
    database.set_max_background_jobs(2);
    let families = views.iter().map(|(name, _)| ColumnFamilyDescriptor::new(*name, as_the_views_have()));
    let start = Instant::now();
    let db = DB::open_cf_descriptors(&database, path, families).expect("a database");
    let mut without_log = WriteOptions::default();
    without_log.disable_wal(true);
    for (name, rows) in views {
        let family = db.cf_handle(name).expect("the family is there");
        for rows in rows.chunks(rows.len().div_ceil(batches).max(1)) {
            let mut batch = WriteBatch::default();
            for (key, value) in rows {
                batch.put_cf(family, key, value);
            }
            db.write_opt(batch, &without_log).expect("a write");
        }
    }
    for (name, _) in views {
        db.flush_cf(db.cf_handle(name).expect("the family is there")).expect("a flush");
    }
    start.elapsed()
}

/// The options of `views::store`, prefixes aside.
fn as_the_views_have() -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_bloom_filter(10.0, false);
    blocks.set_cache_index_and_filter_blocks(false);
    blocks.set_format_version(5);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(32 << 20);
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
