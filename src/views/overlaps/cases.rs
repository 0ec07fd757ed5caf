//! Named cases of overlaps: what there is, then who overlaps.

use super::{OverlapsQuery, overlaps};
use crate::address::Family;
use crate::domain::command::ResourceAttributes;
use crate::domain::event::{self, Event, ResourceName};
use crate::domain::id::{IpamId, Revision, ScopeId};
use crate::domain::kind::ResourceKind;
use crate::domain::time::Timestamp;
use crate::views::lineage::testing::{
    History, account, allocated, at, attributes, gone, id, ipam_created, name, observed, pool_created, private_scope,
    provisioned, released,
};
use crate::views::when::Window;

/// An administrator with an IPAM of three scopes and a pool in each, and two member accounts.
fn stage() -> History {
    let mut history = History::new();
    history.fold(vec![
        event::OrganizationCreated { management_account: account(1) }.into(),
        event::AccountAdded { account: account(2), name: None }.into(),
        event::AccountAdded { account: account(3), name: None }.into(),
        event::AdminDelegated { account: account(2) }.into(),
        ipam_created(0, 2, &["eu-1"]),
        event::ScopeCreated {
            scope: other_scope(),
            ipam: id(IpamId::new, 0),
            description: None,
            tags: crate::domain::command::Tags::new(),
        }
        .into(),
        pool_created(0, private_scope(0), Family::Ipv4),
        provisioned(0, "10.0.0.0/8"),
        pool_created(1, other_scope(), Family::Ipv4),
        provisioned(1, "10.0.0.0/8"),
    ]);
    history
}

fn other_scope() -> ScopeId {
    id(ScopeId::new, 99)
}

fn public_scope() -> ScopeId {
    id(ScopeId::new, 1)
}

fn vpc(id: &str) -> ResourceName {
    name(ResourceKind::Vpc, id)
}

fn seen(name: &ResourceName, cidr: &str) -> Event {
    observed(name, 100, &[cidr], attributes(3, "eu-1"))
}

/// Pairs in a scope, much later, as they are known now.
fn pairs(history: &History, scope: ScopeId) -> Vec<(String, String)> {
    let query = OverlapsQuery { scope, window: Window::instant(at(1_000_000)), limit: 100, after: None };
    let answer = overlaps(&history.table, &history.organization, history.head(), &query).expect("an answer");
    answer.groups.into_iter().flat_map(|group| group.pairs).map(|pair| (pair.wide.id, pair.narrow.id)).collect()
}

fn case(events: Vec<Event>) -> History {
    let mut history = stage();
    for event in events {
        history.fold(vec![event]);
    }
    history
}

fn ids(one: &str, other: &str) -> Vec<(String, String)> {
    vec![(one.to_owned(), other.to_owned())]
}

#[test]
fn t41_two_vpcs_of_one_block_overlap_in_one_scope_and_not_in_two() {
    let (a, b) = (vpc("vpc-a"), vpc("vpc-b"));
    let history = case(vec![seen(&a, "10.0.0.0/16"), seen(&b, "10.0.0.0/16")]);
    assert_eq!(pairs(&history, private_scope(0)), ids("vpc-a", "vpc-b"));
    assert_eq!(pairs(&history, other_scope()), []);
    let history =
        case(vec![seen(&a, "10.0.0.0/16"), allocated(1, 0, "10.0.0.0/16", Some(&b)), seen(&b, "10.0.0.0/16")]);
    assert_eq!(pairs(&history, private_scope(0)), [], "the second took its block from a pool of the other scope");
    assert_eq!(pairs(&history, other_scope()), []);
}

#[test]
fn t42_a_vpc_overlaps_a_custom_allocation_around_or_inside_it() {
    let history = case(vec![allocated(0, 0, "10.0.0.0/24", None), seen(&vpc("vpc-a"), "10.0.0.0/16")]);
    let custom = id(crate::domain::id::AllocationId::new, 0).to_string();
    assert_eq!(pairs(&history, private_scope(0)), ids("vpc-a", &custom));
    let history = case(vec![
        allocated(0, 0, "10.0.0.0/24", None),
        seen(&vpc("vpc-a"), "10.0.0.0/16"),
        released(0, 0, "10.0.0.0/24"),
    ]);
    assert_eq!(pairs(&history, private_scope(0)), []);
}

#[test]
fn t43_what_belongs_together_is_no_overlap() {
    let (a, subnet) = (vpc("vpc-a"), name(ResourceKind::Subnet, "subnet-a"));
    let (pool, eip) = (name(ResourceKind::PublicIpv4Pool, "pool-a"), name(ResourceKind::Eip, "eip-a"));
    let two_blocks = observed(&a, 100, &["10.0.0.0/16", "10.0.0.0/24"], attributes(3, "eu-1"));
    for (what, events) in [
        ("a VPC and its subnet", vec![seen(&a, "10.0.0.0/16"), seen(&subnet, "10.0.0.0/16")]),
        (
            "an elastic address and the public pool around it",
            vec![seen(&pool, "198.51.100.0/24"), seen(&eip, "198.51.100.7/32")],
        ),
        ("the same, one address", vec![seen(&pool, "198.51.100.7/32"), seen(&eip, "198.51.100.7/32")]),
        ("a resource and its allocation", vec![allocated(0, 0, "10.0.0.0/16", Some(&a)), seen(&a, "10.0.0.0/16")]),
        ("two blocks of one resource", vec![two_blocks]),
        ("a published range", vec![seen(&a, "10.0.0.0/16"), seen(&name(ResourceKind::Prefix, "p"), "10.0.0.0/8")]),
        (
            "an account outside",
            vec![seen(&a, "10.0.0.0/16"), observed(&vpc("vpc-b"), 100, &["10.0.0.0/16"], attributes(9, "eu-1"))],
        ),
        (
            "a region not operated",
            vec![seen(&a, "10.0.0.0/16"), observed(&vpc("vpc-b"), 100, &["10.0.0.0/16"], attributes(3, "us-1"))],
        ),
    ] {
        let history = case(events);
        for scope in [private_scope(0), public_scope(), other_scope()] {
            assert_eq!(pairs(&history, scope), [], "{what}");
        }
    }
    let history = case(vec![seen(&eip, "198.51.100.7/32"), seen(&name(ResourceKind::Eip, "eip-b"), "198.51.100.7/32")]);
    assert_eq!(pairs(&history, public_scope()), ids("eip-a", "eip-b"));
}

#[test]
fn a_pair_says_since_when_it_is_and_since_when_it_is_known() {
    let (a, b) = (vpc("vpc-a"), vpc("vpc-b"));
    let mut history = case(vec![seen(&a, "10.0.0.0/16")]);
    history.fold(vec![observed(&b, 5_000, &["10.0.4.0/24"], attributes(3, "eu-1"))]);
    history.fold(vec![observed(&b, 1_500, &["10.0.4.0/24"], attributes(3, "eu-1"))]);
    history.fold(vec![gone(&b, 9_000)]);
    for (revision, when, expected) in [
        (4, 8_999, Some((1_500, 4))),
        (5, 8_999, Some((1_500, 4))),
        (3, 8_999, Some((5_000, 3))),
        (4, 9_000, Some((1_500, 4))),
        (5, 9_000, None),
        (5, 1_499, None),
        (2, 8_999, None),
    ] {
        let query =
            OverlapsQuery { scope: private_scope(0), window: Window::instant(at(when)), limit: 100, after: None };
        let answer =
            overlaps(&history.table, &history.organization, history.head_at(revision), &query).expect("an answer");
        let found = answer.groups.first().and_then(|group| group.pairs.first());
        let found = found.map(|pair| (pair.since.micros(), pair.known_since.revision));
        assert_eq!(found, expected.map(|(since, known)| (since, Revision(known))), "at {when} as of {revision}");
    }
}

/// A day, or any other part of time: whoever shared addresses in a part of it.
#[test]
fn in_a_time_every_pair_counts_that_was_one_for_a_part_of_it() {
    let (a, b) = (vpc("vpc-a"), vpc("vpc-b"));
    let b_seen = |when, account| observed(&b, when, &["10.0.4.0/24"], attributes(account, "eu-1"));
    let told = |history: &History, from, until| {
        let window = Window { from: at(from), until: at(until) };
        let query = OverlapsQuery { scope: private_scope(0), window, limit: 100, after: None };
        let answer = overlaps(&history.table, &history.organization, history.head(), &query).expect("an answer");
        let pairs = answer.groups.into_iter().flat_map(|group| group.pairs);
        pairs.map(|pair| (pair.since.micros(), pair.until.map(Timestamp::micros))).collect::<Vec<_>>()
    };
    // Twice for a while, from 2,000 and from 5,000 on.
    let history =
        case(vec![seen(&a, "10.0.0.0/16"), b_seen(2_000, 3), gone(&b, 3_000), b_seen(5_000, 3), gone(&b, 6_000)]);
    for (from, until, expected) in [
        (1_000, 2_000, None),
        (1_000, 2_001, Some((2_000, Some(3_000)))),
        (2_999, 5_000, Some((2_000, Some(3_000)))),
        (3_000, 5_000, None),
        (1_000, 9_000, Some((5_000, Some(6_000)))),
        (6_000, 9_000, None),
    ] {
        assert_eq!(told(&history, from, until), Vec::from_iter(expected), "from {from} to {until}");
    }
    // Never at once, though both were there that day: one left before the other came.
    let history = case(vec![seen(&a, "10.0.0.0/16"), gone(&a, 1_500), b_seen(2_000, 3)]);
    assert_eq!(told(&history, 1_000, 9_000), []);
    // Of another account for a while, which nobody sees.
    let history = case(vec![seen(&a, "10.0.0.0/16"), b_seen(2_000, 9), b_seen(3_000, 3), b_seen(4_000, 9)]);
    for (from, until, count) in [(1_000, 3_000, 0), (1_000, 3_001, 1), (1_000, 9_000, 1), (4_000, 9_000, 0)] {
        assert_eq!(told(&history, from, until).len(), count, "from {from} to {until}");
    }
    // The stage is revision 1, so the account joins at 4,000 and leaves at 5,000.
    let joins = event::AccountAdded { account: account(9), name: None }.into();
    let leaves = event::AccountRemoved { account: account(9) }.into();
    let history = case(vec![seen(&a, "10.0.0.0/16"), b_seen(100, 9), joins, leaves]);
    for (from, until, count) in [(1_000, 4_000, 0), (1_000, 9_000, 1), (4_999, 9_000, 1), (5_000, 9_000, 0)] {
        assert_eq!(told(&history, from, until).len(), count, "from {from} to {until}");
    }
    // A custom allocation until it is for a resource, at 4,000.
    let bound = crate::views::lineage::testing::bound(0, &vpc("vpc-c"));
    let history = case(vec![seen(&a, "10.0.0.0/16"), allocated(0, 0, "10.0.0.0/24", None), bound]);
    for (from, until, count) in [(1_000, 3_000, 0), (1_000, 9_000, 1), (3_999, 9_000, 1), (4_000, 9_000, 0)] {
        assert_eq!(told(&history, from, until).len(), count, "from {from} to {until}");
    }
}

/// What of a resource that contradicts itself counts does not depend on what came first (design D15).
#[test]
fn where_observations_contradict_each_other_both_count() {
    let (a, b) = (vpc("vpc-a"), vpc("vpc-b"));
    let outside = observed(&b, 100, &["10.0.0.0/16"], attributes(9, "eu-1"));
    let member = seen(&b, "10.0.0.0/16");
    let elsewhere = observed(&b, 100, &["10.0.0.0/16"], attributes(3, "us-1"));
    let no_region = ResourceAttributes { region: None, ..attributes(3, "eu-1") };
    let no_region = observed(&b, 100, &["10.0.0.0/16"], no_region);
    let more = observed(&b, 100, &["10.0.0.0/16", "11.0.0.0/16"], attributes(3, "eu-1"));
    let another = observed(&b, 100, &["12.0.0.0/16"], attributes(3, "eu-1"));
    for (what, one, other, expected) in [
        ("an account outside", &outside, &member, ids("vpc-a", "vpc-b")),
        ("a region not operated", &elsewhere, &member, ids("vpc-a", "vpc-b")),
        ("no region", &no_region, &member, ids("vpc-a", "vpc-b")),
        ("more blocks", &outside, &more, ids("vpc-a", "vpc-b")),
        ("other blocks, outside where they meet", &outside, &another, Vec::new()),
        ("other blocks", &another, &member, ids("vpc-a", "vpc-b")),
    ] {
        for contradicting in [[one, other], [other, one]] {
            let mut history = case(vec![seen(&a, "10.0.0.0/16")]);
            for event in contradicting {
                history.fold(vec![event.clone()]);
            }
            assert_eq!(pairs(&history, private_scope(0)), expected, "{what}: {contradicting:?}");
            // It ends where one state is seen again, whoever came first.
            history.fold(vec![observed(&b, 200, &["10.0.0.0/16"], attributes(9, "eu-1"))]);
            assert_eq!(pairs(&history, private_scope(0)), [], "{what}, over: {contradicting:?}");
        }
    }
}

#[test]
fn very_many_holders_of_one_block_are_listed_page_by_page() {
    let mut history = stage();
    let vpcs = (0..300).map(|n| seen(&vpc(&format!("vpc-{n}")), "172.31.0.0/16")).collect();
    history.fold(vpcs);
    let mut query =
        OverlapsQuery { scope: private_scope(0), window: Window::instant(at(1_000_000)), limit: 1_000, after: None };
    let mut count = 0;
    loop {
        let answer = overlaps(&history.table, &history.organization, history.head(), &query).expect("an answer");
        count += answer.groups.iter().map(|group| group.pairs.len()).sum::<usize>();
        query.after = answer.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(count, 300 * 299 / 2);
}
