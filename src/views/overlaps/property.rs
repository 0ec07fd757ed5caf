//! The overlaps against the model: all pairs of all parties compared, as of every revision.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{OverlapsQuery, overlaps};
use crate::address::Cidr;
use crate::domain::id::{IpamId, ScopeId};
use crate::domain::kind::ResourceKind;
use crate::domain::time::Timestamp;
use crate::views::lineage::model::{Interval, Known, Op, STEP, decided, events, ops, reaches, scopes, told};
use crate::views::lineage::testing::{History, at, id};
use crate::views::when::Window;

/// Both sides, the wider one first (the smaller name first where they are alike), since when, until when, known since which
/// revision.
type Pair = ((Cidr, String), (Cidr, String), Timestamp, Option<Timestamp>, u64);

fn pair(one: (Cidr, String), other: (Cidr, String), since: Timestamp, until: Option<Timestamp>, known: u64) -> Pair {
    if one < other { (one, other, since, until, known) } else { (other, one, since, until, known) }
}

fn alive(interval: &Interval, when: Timestamp) -> bool {
    interval.from <= when && interval.until.is_none_or(|until| until > when)
}

/// What an allocation is for at an instant.
fn claimed(interval: &Interval, when: Timestamp) -> Option<&str> {
    let bound = interval.claims.iter().rev().find(|(revision, _)| decided(*revision) <= when);
    bound.map(|(_, name)| name.id.as_str())
}

fn scope_of_pool(interval: &Interval) -> ScopeId {
    let number = (0..3).find(|n| id(crate::domain::id::PoolId::new, *n) == interval.pool).expect("one of three");
    [scopes()[0], scopes()[1], scopes()[4]][number as usize]
}

fn kind(interval: &Interval) -> ResourceKind {
    interval.resource.as_ref().map_or(ResourceKind::Custom, |name| name.kind)
}

fn lies_in(
    scope: ScopeId,
    one: &Interval,
    made: &[Vec<crate::domain::event::Event>],
    all: &[Known],
    revision: u64,
    when: Timestamp,
) -> bool {
    let Some(name) = &one.resource else {
        return one.allocation.is_some() && claimed(one, when).is_none() && scope_of_pool(one) == scope;
    };
    let place = match name.kind {
        ResourceKind::Vpc => 0,
        ResourceKind::Eip | ResourceKind::PublicIpv4Pool => 1,
        _ => return false,
    };
    let placed: BTreeSet<ScopeId> = all
        .iter()
        .map(|(other, _, _)| other)
        .filter(|other| alive(other, when) && other.cidr.contains(one.cidr) && claimed(other, when) == Some(&name.id))
        .map(scope_of_pool)
        .collect();
    if !placed.is_empty() {
        return placed.contains(&scope);
    }
    let said = one.said.iter().rev().find(|said| said.at <= when).expect("it has a start");
    let known = (1..=revision).rev().find(|known| decided(*known) <= when).unwrap_or(0);
    // Whoever says so: observations that contradict each other all count.
    said.attributes.iter().any(|said| {
        let (account, region) = (said.account.expect("named"), said.region.clone().expect("named"));
        (0..2).any(|ipam: u32| {
            scopes()[ipam as usize * 2 + place] == scope
                && reaches(made, known, id(IpamId::new, ipam), account, region.as_str())
        })
    })
}

fn expected(
    made: &[Vec<crate::domain::event::Event>],
    all: &[Known],
    scope: ScopeId,
    revision: u64,
    when: Timestamp,
) -> BTreeSet<Pair> {
    let parties: Vec<&Known> =
        all.iter().filter(|(one, _, _)| alive(one, when) && lies_in(scope, one, made, all, revision, when)).collect();
    let mut pairs = BTreeSet::new();
    for (one, one_known, _) in &parties {
        for (other, other_known, _) in &parties {
            let exempt = kind(one) == ResourceKind::PublicIpv4Pool
                && kind(other) == ResourceKind::Eip
                && one.cidr.contains(other.cidr);
            let exempt_back = kind(other) == ResourceKind::PublicIpv4Pool
                && kind(one) == ResourceKind::Eip
                && other.cidr.contains(one.cidr);
            if one.who != other.who && one.cidr.overlaps(other.cidr) && !exempt && !exempt_back {
                let known = one_known.revision.max(other_known.revision).0;
                let until = match (one.until, other.until) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
                let (one, other, since) =
                    ((one.cidr, one.who.clone()), (other.cidr, other.who.clone()), one.from.max(other.from));
                pairs.insert(pair(one, other, since, until, known));
            }
        }
    }
    pairs
}

/// Asks at every instant of the window at which anything can change; the last time that two were a pair counts.
fn expected_in(
    made: &[Vec<crate::domain::event::Event>],
    all: &[Known],
    scope: ScopeId,
    revision: u64,
    window: Window,
) -> BTreeSet<Pair> {
    let ticks = (0..60).map(|tick| at(tick * STEP)).filter(|tick| window.from < *tick && *tick < window.until);
    let mut last = BTreeMap::new();
    for when in [window.from].into_iter().chain(ticks) {
        let pairs = expected(made, all, scope, revision, when).into_iter();
        last.extend(pairs.map(|pair| ((pair.0.clone(), pair.1.clone()), pair)));
    }
    last.into_values().collect()
}

fn listed(history: &History, revision: u64, scope: ScopeId, window: Window, limit: usize) -> Vec<Pair> {
    let mut query = OverlapsQuery { scope, window, limit, after: None };
    let mut pairs = Vec::new();
    for _ in 0..10_000 {
        let answer = overlaps(&history.table, &history.organization, history.head_at(revision), &query)
            .expect("memory can be read");
        for group in answer.groups {
            for found in group.pairs {
                assert!(found.wide.cidr == group.cidr && group.cidr.contains(found.narrow.cidr));
                pairs.push(pair(
                    (found.wide.cidr, found.wide.id),
                    (found.narrow.cidr, found.narrow.id),
                    found.since,
                    found.until,
                    found.known_since.revision.0,
                ));
            }
        }
        query.after = answer.next;
        if query.after.is_none() {
            return pairs;
        }
    }
    panic!("the pages never end");
}

fn check(ops: &[Op], limit: usize, when: Timestamp) -> usize {
    let made = events(ops);
    let mut history = History { step: STEP, ..History::new() };
    for events in &made {
        history.fold(events.clone());
    }
    let mut count = 0;
    for (revision, told) in told(&made).iter().enumerate().skip(1) {
        let revision = revision as u64;
        for scope in scopes() {
            // Not only from tick to tick. All of time is dear to the model.
            let day = Window { from: when.plus_micros(-STEP / 2), until: when.plus_micros(5 * STEP) };
            let day = if revision.is_multiple_of(16) { Window { from: at(-1), until: at(60 * STEP) } } else { day };
            let days = revision.is_multiple_of(2).then_some(day);
            for window in [Window::instant(when), Window::instant(decided(revision))].into_iter().chain(days) {
                let found = listed(&history, revision, scope, window, limit);
                let pairs: BTreeSet<_> = found.iter().cloned().collect();
                assert_eq!(found.len(), pairs.len(), "a pair is listed once");
                let expected = expected_in(&made, told, scope, revision, window);
                assert_eq!(pairs, expected, "{scope} in {window:?} as of {revision}");
                count += pairs.len();
            }
        }
    }
    count
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn overlaps_are_those_of_the_model_as_of_every_revision(
        ops in ops(40), limit in 1..6_usize, when in 0..34_i64,
    ) {
        check(&ops, limit, at(when * STEP));
    }
}

#[test]
fn the_model_does_have_overlaps() {
    // A property over histories without any would prove nothing.
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let total: usize =
        (0..10).map(|_| check(&ops(40).new_tree(&mut runner).expect("a history").current(), 3, at(20 * STEP))).sum();
    assert!(total > 200, "{total}");
}
