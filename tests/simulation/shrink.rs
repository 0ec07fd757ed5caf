//! Makes a failing plan short: fewer steps first, then faults and actors left out, then steps left out. It is worth
//! keeping whatever still fails, be it in another way.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::faults::Fault;
use super::plan::Plan;
use super::{Failure, run};

/// The shortest plan found within `time` that fails, and how it fails.
pub fn shrink(plan: &Plan, failure: Failure, time: Duration) -> (Plan, Failure) {
    let until = Instant::now() + time;
    let mut best = (plan.clone(), failure);
    let attempt = |best: &mut (Plan, Failure), plan: Plan| -> bool {
        match run(&plan, false).failure {
            Some(failure) if Instant::now() < until => {
                *best = (plan, failure);
                true
            }
            _ => false,
        }
    };
    let at = best.1.step.min(best.0.steps);
    let shorter = Plan { steps: at, ..best.0.clone() };
    attempt(&mut best, shorter);
    // What settles may need no more than a part of the steps.
    let mut cut = best.0.steps / 2;
    while cut > 0 && Instant::now() < until {
        let shorter = Plan { steps: best.0.steps.saturating_sub(cut), ..best.0.clone() };
        if !attempt(&mut best, shorter) {
            cut /= 2;
        }
    }
    for fault in Fault::ALL {
        let mut fewer = best.0.clone();
        if fewer.without.insert(*fault) && Instant::now() < until {
            attempt(&mut best, fewer);
        }
    }
    let mut width = best.0.steps / 2;
    while width > 0 && Instant::now() < until {
        let mut start = 0;
        while start < best.0.steps && Instant::now() < until {
            let mut fewer = best.0.clone();
            let range: Range<u64> = start..(start + width).min(fewer.steps);
            fewer.skipped.push(range);
            merge(&mut fewer.skipped);
            if fewer != best.0 {
                attempt(&mut best, fewer);
            }
            start += width;
        }
        width /= 2;
    }
    best
}

fn merge(ranges: &mut Vec<Range<u64>>) {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges.drain(..) {
        match merged.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => merged.push(range),
        }
    }
    *ranges = merged;
}
