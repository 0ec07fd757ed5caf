//! How long an audit takes, against reading the same log and hashing the same bytes.
//!
//! The other side: one thread reads an embedded log of some 200,000 outcomes in one partition and takes the SHA-256 of
//! every value. `verify` reads, admits, hashes and decodes on one thread, judges on another; so its processor time is
//! shown beside its time. `replay` folds the same log into all views in an empty directory, until they can be asked, as
//! `ipam audit replay` does.
//!
//! `CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo bench --profile dev --bench audit`

#[path = "support/history.rs"]
mod history;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use ipam_ledger::audit::replay::{Past, Until};
use ipam_ledger::audit::{Asked, verify};
use ipam_ledger::domain::digest::Digest;
use ipam_ledger::domain::id::Revision;
use ipam_ledger::log::Log;
use ipam_ledger::log::embedded::EmbeddedLog;
use ipam_ledger::log::record::{Offset, Partition};
use ipam_ledger::views::Views;

const BLOCKS: usize = 40_000;
/// The better of so many, for all alike: the machine is shared.
const ROUNDS: usize = 5;
const READ: usize = 1_000;

/// Time, and processor time.
type Took = (Duration, Duration);

fn main() {
    // A profile is taken of one part: `-- verify`, `-- replay`.
    let only: Option<String> = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let folder = tempfile::tempdir().expect("a folder");
    let outcomes = history::write(&folder.path().join("log"), BLOCKS);
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open_read_only(&folder.path().join("log")).expect("a log"));
    println!("{outcomes} outcomes; times as elapsed / processor");
    let mut best = [(Duration::MAX, Duration::MAX); 3];
    let mut bytes = 0;
    for round in 0..ROUNDS {
        let (hashing, hashed) = timed(|| hash(log.as_ref()));
        bytes = hashed;
        best[0] = best[0].min(hashing);
        if wanted("verify") {
            best[1] = best[1].min(timed(|| check(log.as_ref(), outcomes)).0);
        }
        // The slow one: fewer rounds.
        if wanted("replay") && round < 2 {
            let views = folder.path().join(format!("views-{round}"));
            best[2] = best[2].min(timed(|| replay(&views, &log, outcomes)).0);
        }
    }
    let [hashing, ..] = best;
    println!("hash   {:.2?} / {:.2?}: {} MB", hashing.0, hashing.1, bytes / 1_000_000);
    for (name, took) in ["verify", "replay"].into_iter().zip(&best[1..]).filter(|(name, _)| wanted(name)) {
        let ratio = |of: fn(&Took) -> Duration| of(&hashing).as_secs_f64() / of(took).as_secs_f64();
        let rate = rate(outcomes, took.0);
        println!(
            "{name} {:.2?} / {:.2?}: {rate:.0} outcomes/s, ratio {:.2} / {:.2}",
            took.0,
            took.1,
            ratio(|took| took.0),
            ratio(|took| took.1)
        );
    }
}

fn timed<T>(act: impl FnOnce() -> T) -> (Took, T) {
    let (start, processor) = (Instant::now(), ProcessTime::now());
    let done = act();
    ((start.elapsed(), processor.elapsed()), done)
}

fn hash(log: &dyn Log) -> usize {
    let end = log.end(Partition(0)).expect("the log is there");
    let mut reader = log.reader(Partition(0), Offset(0)).expect("a reader");
    let (mut next, mut bytes) = (Offset(0), 0);
    while next < end {
        for record in reader.read(READ, Duration::ZERO).expect("the log can be read") {
            next = record.offset.next();
            bytes += record.value.len();
            std::hint::black_box(Digest::of(&record.value));
        }
    }
    bytes
}

fn check(log: &dyn Log, outcomes: usize) {
    let report = verify(log, &Asked::default(), &|_| {}).expect("the log can be read");
    assert_eq!(report.findings, []);
    assert_eq!(report.accepted, outcomes as u64);
}

fn replay(path: &Path, log: &Arc<dyn Log>, outcomes: usize) {
    let until = Until::Revision(Revision(outcomes as u64));
    let past: Arc<dyn Log> = Arc::new(Past::new(Arc::clone(log), history::organization(), until).expect("a past"));
    let (views, projector) = Views::open(path, past).expect("views");
    while views.progress().ready().is_err() {
        assert!(views.progress().stopped(Partition(0)).is_none(), "the views stopped");
        std::thread::sleep(Duration::from_millis(1));
    }
    let head = views.head(&history::organization()).expect("the views can be read").expect("a head");
    assert_eq!(head.moment.revision.0, outcomes as u64);
    projector.stop().expect("the views are flushed");
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
