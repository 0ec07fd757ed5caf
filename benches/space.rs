//! What one first-fit allocation costs in the free-space index, and what a held block takes of memory.
//!
//! Fills a space by first fit to 10,000 and to 1,000,000 held blocks and measures the last ones, then takes
//! and refills random blocks at that size.
//!
//! `CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo bench --profile dev --bench space`

use std::hint::black_box;
use std::time::Instant;

use ipam_ledger::address::{Cidr, Fit, Slot, Space};

/// How many operations one measurement averages.
const MEASURED: u32 = 10_000;
const ROUNDS: u32 = 7;

struct Measured {
    fill_ns: f64,
    refill_ns: f64,
    bytes_per_block: usize,
}

fn measure(space: &str, length: u8, held: u32) -> Measured {
    let cidr: Cidr = space.parse().expect("a CIDR");
    let mut space = Space::new(cidr);
    let mut blocks = Vec::with_capacity(held as usize);
    let take = |space: &mut Space, slot: u32| {
        let found = space.find(length, Fit::First, None).expect("the space is large enough");
        space.hold(black_box(found), Slot(slot));
        found
    };
    for slot in 0..held - MEASURED {
        blocks.push(take(&mut space, slot));
    }
    // The fastest of some rounds over the same blocks: the machine is shared.
    let mut fill_ns = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let last: Vec<Cidr> = (held - MEASURED..held).map(|slot| take(&mut space, slot)).collect();
        fill_ns = fill_ns.min(per_operation(start));
        for block in last {
            space.release(block);
        }
    }
    for slot in held - MEASURED..held {
        blocks.push(take(&mut space, slot));
    }
    let bytes_per_block = space.heap_bytes() / held as usize;
    // Release at random places, allocate into the holes: misses the cache whatever the structure.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut refill_ns = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for slot in 0..MEASURED {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let victim = usize::try_from(random % u64::from(held)).expect("an index");
            let block = blocks.get(victim).expect("in range");
            space.release(*block);
            take(&mut space, slot);
        }
        refill_ns = refill_ns.min(per_operation(start));
    }
    Measured { fill_ns, refill_ns, bytes_per_block }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn per_operation(start: Instant) -> f64 {
    start.elapsed().as_nanos() as f64 / f64::from(MEASURED)
}

fn main() {
    println!(
        "{:>6} {:>10} {:>22} {:>26} {:>12}",
        "", "held", "first fit + hold", "random release + refill", "bytes/block"
    );
    for (family, space, length) in [("ipv4", "10.0.0.0/8", 28), ("ipv6", "2001:db8::/32", 56)] {
        let results = [10_000, 1_000_000].map(|held| {
            let result = measure(space, length, held);
            println!(
                "{family:>6} {held:>10} {:>19.0} ns {:>23.0} ns {:>12}",
                result.fill_ns, result.refill_ns, result.bytes_per_block
            );
            result
        });
        let [small, large] = results;
        println!(
            "{family:>6} ratio 1 M / 10 k: {:.2} (refill {:.2})",
            large.fill_ns / small.fill_ns,
            large.refill_ns / small.refill_ns
        );
    }
}
