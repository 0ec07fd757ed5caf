//! Every planted bug must be found: what nothing finds is a hole in the judge.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ipam_ledger::planted::{Bug, plant};

use super::plan::Plan;
use super::{STEPS_PER_RUN, THREADS, run, say, variable};

/// Each is found within so many steps, whichever of the first seeds finds it.
const STEPS_MAX: u64 = 300_000;

/// How many steps found a bug, and as what.
fn find(bug: Bug) -> Option<(u64, String)> {
    let mut steps = 0;
    let mut seed = 1;
    while steps < STEPS_MAX {
        plant(Some(bug));
        let ran = run(&Plan::new(seed, STEPS_PER_RUN), false);
        plant(None);
        if let Some(failure) = ran.failure {
            return Some((steps + failure.step, failure.message));
        }
        steps += ran.steps;
        seed += 1;
    }
    None
}

#[test]
fn every_planted_bug_is_found() {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let only = variable("SIMULATE_BUG");
    let wanted = |bug: &Bug| only.as_ref().is_none_or(|only| *only == format!("{bug:?}"));
    let bugs: Vec<Bug> = Bug::ALL.iter().copied().filter(wanted).collect();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = find(*bug);
                    say(&format!("{bug:?}: {:?}", result.as_ref().map(|(steps, message)| (steps, in_short(message)))));
                    found.lock().expect("nobody panics while holding it").push((*bug, result));
                }
            });
        }
    });
    let mut found = found.into_inner().expect("nobody panics while holding it");
    found.sort_by_key(|(bug, _)| *bug);
    let mut table = String::from("| Bug | What is wrong | Found after steps | As |\n|---|---|---:|---|\n");
    for (bug, result) in &found {
        let (steps, as_what) = match result {
            Some((steps, message)) => (steps.to_string(), in_short(message)),
            None => ("**not found**".to_owned(), String::new()),
        };
        writeln!(table, "| `{bug:?}` | {} | {steps} | {as_what} |", bug.text()).expect("a string takes it");
    }
    say(&table);
    let missed: Vec<_> = found.iter().filter(|(_, result)| result.is_none()).map(|(bug, _)| bug).collect();
    assert!(missed.is_empty(), "within {STEPS_MAX} steps nothing finds {missed:?}");
}

/// The message without where it comes from, on one line that fits into a table.
fn in_short(message: &str) -> String {
    let mut lines = message.lines().skip(1);
    let first = lines.next().unwrap_or_default();
    let text = first.split_once("failed: ").map_or(first, |(_, text)| text);
    let text: String = text.chars().filter(|letter| !"|`".contains(*letter)).take(110).collect();
    // Ids, instants and numbers differ from run to run of another version.
    text.trim().to_owned()
}
