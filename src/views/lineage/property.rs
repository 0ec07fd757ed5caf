//! The view against the model, as of every revision, whatever the order of observations.

use proptest::prelude::*;

use super::answers::{Changed, Held, Holder};
use super::model::{Interval, Known, Op, STEP, decided, events, ops, told};
use super::testing::{History, at};
use super::{LineageQuery, lineage};
use crate::views::when::Window;

/// What a row of the answer says, in the model's words.
fn said(held: &Held, told: &[Known], window: Window) {
    let who = match &held.holder {
        Holder::Pool { pool, .. } => pool.to_string(),
        Holder::Allocation { allocation, .. } => allocation.to_string(),
        Holder::Resource { id, .. } => id.clone(),
    };
    let (interval, known, end_known) = told
        .iter()
        .find(|(one, _, _)| one.who == who && one.cidr == held.cidr && one.from == held.from)
        .unwrap_or_else(|| panic!("nobody knows of {held:?}"));
    assert_eq!((held.until, held.known, held.end_known), (interval.until, *known, *end_known), "{held:?}");
    assert_eq!(held.began.revision.0, interval.began, "{held:?}");
    assert_eq!(held.began.reason, Some(format!("reason {}", interval.began)));
    assert_eq!(held.ended.as_ref().map(|cause| cause.revision.0), interval.ended, "{held:?}");
    let start = held.from.max(window.from);
    match &held.holder {
        Holder::Resource { attributes, .. } => {
            let before = interval.said.iter().rev().find(|said| said.at <= start);
            assert_eq!(Some(attributes), before.and_then(|said| said.attributes.first()), "{held:?}");
            assert_eq!(changes(interval, window), listed(held), "{held:?}");
        }
        Holder::Allocation { resource, .. } => {
            let bound = interval.claims.iter().rev().find(|(revision, _)| decided(*revision) <= start);
            assert_eq!(resource.as_ref().map(|claim| &claim.id), bound.map(|(_, name)| &name.id), "{held:?}");
        }
        Holder::Pool { .. } => {}
    }
}

/// Instants at which attributes changed or were contradicted, in the window; and before all of them the instant in force
/// when it begins, if that is contradicted.
fn changes(interval: &Interval, window: Window) -> Vec<(crate::domain::time::Timestamp, usize)> {
    let mut found = Vec::new();
    for (nth, said) in interval.said.iter().enumerate() {
        let next = interval.said.get(nth + 1);
        let is_over = next.is_some_and(|next| next.at <= window.from);
        if is_over || said.at >= window.until {
            continue;
        }
        let before = nth.checked_sub(1).map(|before| &interval.said[before]);
        let differs = before.is_some_and(|before| before.presents > 1 || before.attributes != said.attributes);
        if said.presents > 1 || differs && said.at > window.from {
            found.push((said.at, said.presents));
        }
    }
    found
}

fn listed(held: &Held) -> Vec<(crate::domain::time::Timestamp, usize)> {
    let width = |change: &Changed| match change {
        Changed::Conflict(contradictions) => contradictions.len(),
        _ => 1,
    };
    held.changes.iter().map(|change| (change.at, width(&change.now))).collect()
}

fn all_pages(history: &History, revision: u64, query: &LineageQuery) -> Vec<Held> {
    let mut query = query.clone();
    let mut held = Vec::new();
    for _ in 0..1_000 {
        let answer = lineage(&history.table, &history.organization, history.head_at(revision), &query)
            .expect("memory can be read");
        assert!(answer.held.len() <= query.limit);
        held.extend(answer.held);
        query.after = answer.next;
        if query.after.is_none() {
            return held;
        }
    }
    panic!("the pages never end");
}

fn check(ops: &[Op], limit: usize, asked: usize, when: i64) {
    let made = events(ops);
    let mut history = History { step: STEP, ..History::new() };
    for events in &made {
        history.fold(events.clone());
    }
    for (revision, told) in told(&made).iter().enumerate().skip(1) {
        let revision = revision as u64;
        let all: Vec<Held> = ["0.0.0.0/0", "::/0"]
            .into_iter()
            .flat_map(|cidr| {
                let query = LineageQuery { limit, ..LineageQuery::history(cidr.parse().expect("a CIDR")) };
                all_pages(&history, revision, &query)
            })
            .collect();
        assert_eq!(all.len(), told.len(), "as of {revision}: {all:#?}\n{told:#?}");
        for held in &all {
            said(held, told, Window::ALL);
        }

        let address = super::model::BLOCKS[asked].parse().expect("a CIDR");
        for window in [Window::ALL, Window::instant(at(when))] {
            let query = LineageQuery { window, inside: false, limit, ..LineageQuery::history(address) };
            let around = all_pages(&history, revision, &query);
            let expected = told
                .iter()
                .filter(|(one, _, _)| one.cidr.contains(address) && window.meets(one.from, one.until))
                .count();
            assert_eq!(around.len(), expected, "as of {revision}, {window:?}: {around:#?}\n{told:#?}");
            assert!(around.windows(2).all(|pair| pair[0].from >= pair[1].from), "latest start first");
            assert!(around.iter().all(|held| held.cidr.contains(address)));
            for held in &around {
                said(held, told, window);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lineage_says_what_the_model_says_as_of_every_revision(
        ops in ops(24), limit in 1..6_usize, asked in 0..10_usize, when in 0..34_i64,
    ) {
        check(&ops, limit, asked, when * STEP);
    }
}
