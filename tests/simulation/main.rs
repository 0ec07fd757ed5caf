//! Deterministic simulation: several nodes with the real writers, admission, rules, projectors and view folds, on a
//! simulated log, command topic, clock, group and view store, among faults; and a judge that keeps lists.
//!
//! One seed is one run, byte for byte. Many short runs are worth more than few long ones: each draws its own world
//! and its own mix of faults. A run that fails prints its seed, the last steps, a shorter plan that fails, and the command
//! that replays it. Seeds that ever failed stand in `seeds.txt` and run every time.
//!
//! ```text
//! cargo test --test simulation                       a million steps from fresh seeds, and seeds.txt
//! scripts/simulate --steps 100M                      the same for longer
//! scripts/simulate --seed 7 --steps 1500 [--without crash,pause] [--skip 4-9,20-31]
//! scripts/simulate --planted                         every planted bug, and how many steps find it
//! ```
//!
//! `SIMULATE_STEPS` sets how many steps in all, `SIMULATE_PLAN` is one plan as above, `SIMULATE_SEED` is the seed of the first run.

#![allow(clippy::indexing_slicing, reason = "a test that indexes wrongly fails, as it should")]
#![allow(clippy::missing_panics_doc, clippy::must_use_candidate, clippy::missing_errors_doc, reason = "a test")]
#![allow(clippy::cast_possible_truncation, reason = "of small numbers")]

mod agents;
mod coverage;
mod disk;
mod faults;
#[path = "../support/model/mod.rs"]
mod model;
mod node;
mod oracle;
mod plan;
#[cfg(feature = "planted-bugs")]
mod planted;
mod producers;
mod projector;
mod queries;
mod random;
mod shrink;
mod topic;
mod world;

use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coverage::Coverage;
use plan::Plan;
use world::World;

/// The steps of one run before it is left to settle.
const STEPS_PER_RUN: u64 = 2_500;
const THREADS: usize = 2;
const SHRINK_FOR: Duration = Duration::from_mins(1);

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    pub steps: u64,
    pub print: u64,
    pub coverage: Coverage,
    pub failure: Option<Failure>,
    pub told: Vec<String>,
}

/// A promise was broken.
#[derive(Clone, Debug)]
pub struct Failure {
    pub step: u64,
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at step {}: {}", self.step, self.message)
    }
}

/// Whose panics these are.
enum Panicked {
    NotOurs,
    /// The message of the last one in a simulation.
    Ours(String),
}

thread_local! {
    static PANICKED: RefCell<Panicked> = const { RefCell::new(Panicked::NotOurs) };
}

/// Runs one plan.
pub fn run(plan: &Plan, tell: bool) -> Ran {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let ours = PANICKED.with_borrow_mut(|panicked| match panicked {
                Panicked::Ours(message) => {
                    *message = info.to_string();
                    true
                }
                Panicked::NotOurs => false,
            });
            if !ours {
                usual(info);
            }
        }));
    });
    let mut world = World::new(plan, tell);
    PANICKED.set(Panicked::Ours(String::new()));
    let went = catch_unwind(AssertUnwindSafe(|| world.run()));
    let Panicked::Ours(message) = PANICKED.replace(Panicked::NotOurs) else { unreachable!("set above") };
    let failure = went.err().map(|_| Failure { step: world.done, message });
    Ran {
        steps: world.done,
        print: world.print,
        coverage: std::mem::take(&mut world.coverage),
        told: world.told(),
        failure,
    }
}

/// Runs a plan and, if it fails, says all that helps.
fn must_hold(plan: &Plan) -> Ran {
    let ran = run(plan, false);
    let Some(failure) = &ran.failure else { return ran };
    let (short, short_failure) = shrink::shrink(plan, failure.clone(), SHRINK_FOR);
    let told = run(&short, true).told;
    panic!(
        "\n{failure}\n\n  scripts/simulate {plan}\n\nshorter: {short_failure}\n\n  scripts/simulate {short}\n\nits last steps:\n{}\n",
        told.join("\n"),
    );
}

/// Past the test harness, which would keep it for itself.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[test]
#[cfg_attr(feature = "planted-bugs", ignore = "the bugs have a test of their own")]
fn promises_hold_from_fresh_seeds() {
    if let Some(plan) = variable("SIMULATE_PLAN") {
        let plan: Plan = plan.parse().expect("a plan such as --seed 7 --steps 1500");
        let ran = run(&plan, true);
        say(&ran.told.join("\n"));
        say(&ran.coverage.print());
        let failure = ran.failure.map(|failure| failure.to_string());
        assert_eq!(failure, None, "scripts/simulate {plan}");
        return;
    }
    let steps = variable("SIMULATE_STEPS").map_or(1_000_000, |text| plan::number(&text).expect("a number"));
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let first = variable("SIMULATE_SEED").map_or(fresh as u64 * 1_000, |text| plan::number(&text).expect("a number"));
    say(&format!("simulation: seeds from {first} on, {STEPS_PER_RUN} steps each, {steps} steps in all"));
    let next = AtomicU64::new(first);
    let (mut coverage, mut done) = from_seeds(&next, steps);
    // What is seldom is waited for; what does not happen at all any more has stopped happening.
    while steps >= 1_000_000 && done < 4 * steps && !coverage.missing().is_empty() {
        let (more, steps_done) = from_seeds(&next, steps / 8);
        coverage.merge(more);
        done += steps_done;
    }
    say(&format!("simulation: {} runs, {done} steps", next.into_inner() - first));
    if variable("SIMULATE_COVERAGE").is_some() {
        say(&coverage.print());
    }
    if steps >= 1_000_000 {
        assert!(coverage.missing().is_empty(), "what stopped happening: {:#?}", coverage.missing());
    }
}

/// Runs from one seed after the other until so many steps are done; what happened in them, and how many they were.
fn from_seeds(next: &AtomicU64, steps: u64) -> (Coverage, u64) {
    let done = AtomicU64::new(0);
    let worker = || {
        let mut coverage = Coverage::default();
        while done.load(Ordering::Relaxed) < steps {
            let plan = Plan::new(next.fetch_add(1, Ordering::Relaxed), STEPS_PER_RUN);
            let ran = must_hold(&plan);
            done.fetch_add(ran.steps, Ordering::Relaxed);
            coverage.merge(ran.coverage);
        }
        coverage
    };
    let mut coverage = Coverage::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            match worker.join() {
                Ok(of_it) => coverage.merge(of_it),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    (coverage, done.into_inner())
}

#[test]
#[cfg_attr(feature = "planted-bugs", ignore = "the bugs have a test of their own")]
fn promises_hold_from_seeds_that_failed_before() {
    let lines = include_str!("seeds.txt").lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        must_hold(&line.parse().expect("a plan"));
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 1..4 {
        let plan = Plan::new(seed, 800);
        let (one, other) = (run(&plan, true), run(&plan, true));
        assert_eq!((one.print, one.steps, one.told), (other.print, other.steps, other.told));
        assert_ne!(one.print, run(&Plan::new(seed + 100, 800), false).print, "other seeds are other runs");
    }
}
