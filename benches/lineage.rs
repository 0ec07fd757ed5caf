//! How long it takes to tell who held one address, against one random get of the same store (P5).
//!
//! A ledger of a million outcomes is folded into the views, all of it flushed to files and opened again. Asked
//! is the whole history of an address picked at random: the pool, two allocations and an observed VPC, all through
//! [`Views::ask_lineage`] in this process. The get is of a key of the lineage view picked at random, of a snapshot that is
//! open already. The two are measured in turns; p50 and p99 of each, in microseconds.
//!
//! `CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo bench --profile dev --bench lineage`

#[path = "support/history.rs"]
mod history;

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipam_ledger::address::Cidr;
use ipam_ledger::log::Log;
use ipam_ledger::log::embedded::EmbeddedLog;
use ipam_ledger::log::record::Partition;
use ipam_ledger::views::Views;
use ipam_ledger::views::lineage::{LineageQuery, LineageView, lineage};
use ipam_ledger::views::projector::Projector;
use ipam_ledger::views::table::Rows as _;
use ipam_ledger::views::when::When;

/// Blocks, with five records each; another number may be given as an argument.
const BLOCKS: usize = 200_000;
/// Questions per round.
const MEASURED: usize = 20_000;
/// The better of so many, for both alike: the machine is shared.
const ROUNDS: usize = 5;
/// An answer has at most so many rows.
const ROWS_MAX: usize = 10;

fn main() {
    let blocks = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(BLOCKS);
    let folder = tempfile::tempdir().expect("a folder");
    let start = Instant::now();
    let outcomes = history::write(&folder.path().join("log"), blocks);
    println!("{outcomes} outcomes decided and written in {:.1?}", start.elapsed());
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(&folder.path().join("log"), 1).expect("a log"));
    let start = Instant::now();
    let (views, projector) = opened(&folder.path().join("views"), &log);
    drop(views);
    projector.stop().expect("the views are flushed");
    println!("folded in {:.1?}", start.elapsed());
    let (views, _projector) = opened(&folder.path().join("views"), &log);

    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let keys = keys(&views, &mut random);
    let (mut get_best, mut lineage_best) = ([Duration::MAX; 2], [Duration::MAX; 2]);
    let mut rows = 0;
    for round in 0..=ROUNDS {
        let gets = gets(&views, &keys, &mut random);
        let (lineages, found) = lineages(&views, blocks, &mut random);
        // The first round warms the caches, for both.
        if round > 0 {
            rows = found;
            get_best = better(get_best, gets);
            lineage_best = better(lineage_best, lineages);
        }
    }
    println!("{rows} rows in {MEASURED} answers");
    let [get_p50, get_p99] = get_best;
    let [lineage_p50, lineage_p99] = lineage_best;
    println!("get: p50 {get_p50:.1?}, p99 {get_p99:.1?}; lineage: p50 {lineage_p50:.1?}, p99 {lineage_p99:.1?}");
    println!(
        "p99 of lineage against p99 of a get: {:.1} (p50: {:.1})",
        lineage_p99.as_secs_f64() / get_p99.as_secs_f64(),
        lineage_p50.as_secs_f64() / get_p50.as_secs_f64()
    );
}

fn opened(path: &Path, log: &Arc<dyn Log>) -> (Views, Projector) {
    let (views, projector) = Views::open(path, Arc::clone(log)).expect("views");
    while views.progress().ready().is_err() {
        assert!(views.progress().stopped(Partition(0)).is_none(), "the views stopped");
        std::thread::sleep(Duration::from_millis(10));
    }
    (views, projector)
}

/// Keys of the lineage view, every one as likely as any other.
fn keys(views: &Views, random: &mut Random) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = Vec::with_capacity(MEASURED);
    let mut seen = 0_usize;
    let snapshot = views.snapshot();
    let rows = snapshot.rows(LineageView::NAME).expect("the view is there");
    rows.scan(&[], &[0xff; 64], &mut |key, _| {
        seen += 1;
        if keys.len() < MEASURED {
            keys.push(key.to_vec());
        } else if let Some(place) = keys.get_mut(random.below(seen)) {
            *place = key.to_vec();
        }
        ControlFlow::Continue(())
    })
    .expect("the view can be read");
    println!("{seen} rows in the lineage view");
    keys
}

fn gets(views: &Views, keys: &[Vec<u8>], random: &mut Random) -> [Duration; 2] {
    let snapshot = views.snapshot();
    let rows = snapshot.rows(LineageView::NAME).expect("the view is there");
    let one = |_| {
        let key = keys.get(random.below(keys.len())).expect("in range");
        let start = Instant::now();
        let value = rows.get(key).expect("the view can be read");
        let took = start.elapsed();
        assert!(value.is_some(), "the key is there");
        took
    };
    percentiles((0..MEASURED).map(one).collect())
}

fn lineages(views: &Views, blocks: usize, random: &mut Random) -> ([Duration; 2], usize) {
    let organization = history::organization();
    let mut rows = 0;
    let one = |_| {
        let block = history::block(random.below(blocks));
        let host = u32::try_from(random.below(1 << (32 - history::LENGTH))).expect("small");
        let IpAddr::V4(first) = block.network() else { panic!("an IPv4 block") };
        let address = Cidr::of_address(IpAddr::V4((u32::from(first) + host).into()));
        let start = Instant::now();
        let answer = views
            .ask_lineage(&organization, &When::default(), None, |rows, head| {
                lineage(rows, &organization, head, &LineageQuery::history(address))
            })
            .expect("an answer");
        let took = start.elapsed();
        assert!((4..=ROWS_MAX).contains(&answer.held.len()), "{address}: {:?}", answer.held);
        rows += answer.held.len();
        took
    };
    let took = percentiles((0..MEASURED).map(one).collect());
    (took, rows)
}

fn percentiles(mut took: Vec<Duration>) -> [Duration; 2] {
    took.sort_unstable();
    [50, 99].map(|percent| *took.get(took.len() * percent / 100).expect("in range"))
}

fn better(one: [Duration; 2], [p50, p99]: [Duration; 2]) -> [Duration; 2] {
    let [best_p50, best_p99] = one;
    [best_p50.min(p50), best_p99.min(p99)]
}

/// Numbers without a pattern (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("below a usize")
    }
}
