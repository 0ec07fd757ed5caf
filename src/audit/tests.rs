//! Logs that were tampered with, each in one way, and what the audit says of them.

use super::verify;
use crate::domain::command::{
    AllocateCidr, CreateIpam, CreatePool, DeletePool, ProvisionPoolCidr, ReleaseAllocation, SetQuota, Tags,
};
use crate::domain::event::Event;
use crate::domain::id::{AllocationId, PoolId, ScopeId};
use crate::domain::outcome::{Decision, Outcome};
use crate::domain::quota::Quota;
use crate::log::record::Partition;
use crate::log::wire::encode_outcome;
use crate::views::testing::{Ledger, MANAGEMENT};

/// A lone account with a pool, allocations, a release, a refusal and a cascade.
fn history() -> Vec<Outcome> {
    let mut ledger = Ledger::new(1);
    let ipam = CreateIpam {
        home_region: "eu-central-1".parse().expect("a region"),
        operating_regions: Vec::new(),
        description: None,
        name: None,
        tags: Tags::new(),
    };
    let scope = match ledger.decide(MANAGEMENT, MANAGEMENT, ipam).events() {
        [Event::IpamCreated(created)] => created.private_default_scope,
        other => panic!("{other:?}"),
    };
    let top = pool(&mut ledger, Some(scope), None);
    provision(&mut ledger, top, "10.0.0.0/8");
    let child = pool(&mut ledger, None, Some(top));
    provision(&mut ledger, child, "10.0.0.0/16");
    let first = allocate(&mut ledger, child, 24);
    allocate(&mut ledger, child, 26);
    allocate(&mut ledger, top, 20);
    let release = ReleaseAllocation { allocation: first, pool: None, cidr: None, force: false };
    ledger.decide(MANAGEMENT, MANAGEMENT, release);
    ledger.decide(MANAGEMENT, MANAGEMENT, SetQuota { quota: Quota::IpamsPerRegion, value: 2 });
    ledger.decide(MANAGEMENT, MANAGEMENT, DeletePool { pool: child, cascade: true });
    allocate(&mut ledger, top, 16);
    ledger.outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn pool(ledger: &mut Ledger, scope: Option<ScopeId>, source_pool: Option<PoolId>) -> PoolId {
    let address_family = scope.map(|_| crate::address::Family::Ipv4);
    let create = CreatePool { scope, source_pool, address_family, ..CreatePool::default() };
    match ledger.decide(MANAGEMENT, MANAGEMENT, create).events() {
        [Event::PoolCreated(created)] => created.pool,
        other => panic!("{other:?}"),
    }
}

fn provision(ledger: &mut Ledger, pool: PoolId, cidr: &str) {
    let cidr = Some(cidr.parse().expect("a CIDR"));
    let outcome = ledger.decide(MANAGEMENT, MANAGEMENT, ProvisionPoolCidr { pool, cidr, netmask_length: None });
    assert_eq!(outcome.events().len(), 1, "{outcome:?}");
}

fn allocate(ledger: &mut Ledger, pool: PoolId, length: u8) -> AllocationId {
    let allocate = AllocateCidr {
        pool,
        cidr: None,
        netmask_length: Some(length),
        allowed_cidrs: Vec::new(),
        disallowed_cidrs: Vec::new(),
        description: None,
        tags: Tags::new(),
        resource: None,
    };
    match ledger.decide(MANAGEMENT, MANAGEMENT, allocate).events() {
        [Event::CidrAllocated(allocated)] => allocated.allocation,
        other => panic!("{other:?}"),
    }
}

/// What the audit finds in a log of these outcomes: the index of the first wrong one, and what is wrong.
fn finding(outcomes: &[Outcome]) -> Option<(usize, String)> {
    let mut ledger = Ledger::new(1);
    for outcome in outcomes {
        ledger.append_value(Partition(0), encode_outcome(outcome));
    }
    let report = verify(&ledger.log, &mut |_| {}).expect("the log can be read");
    // The opening of the reign is the record before the first outcome.
    report.finding.map(|found| (usize::try_from(found.offset.0).expect("few") - 1, found.problem))
}

/// Carries the chain on behind a change, as a forger who can hash would.
fn rechain(outcomes: &mut [Outcome]) {
    let mut previous = None;
    for outcome in outcomes {
        outcome.previous = previous;
        previous = Some(crate::domain::digest::Digest::of(&encode_outcome(outcome)));
    }
}

#[test]
fn a_log_as_it_was_written_is_clean() {
    let outcomes = history();
    let mut ledger = Ledger::new(1);
    for outcome in &outcomes {
        ledger.append_value(Partition(0), encode_outcome(outcome));
    }
    let report = verify(&ledger.log, &mut |_| {}).expect("the log can be read");
    assert_eq!(report.finding, None);
    assert_eq!((report.accepted, report.rejected), (11, 1));
    assert_eq!(report.heads.values().map(|head| head.revision.0).collect::<Vec<_>>(), [12]);
}

#[test]
fn every_kind_of_tampering_is_found_at_its_place() {
    let good = history();
    let changed = {
        let mut outcomes = good.clone();
        outcomes[5].reason = Some("another".to_owned());
        outcomes
    };
    let dropped = [&good[..5], &good[6..]].concat();
    let swapped = {
        let mut outcomes = good.clone();
        outcomes.swap(5, 6);
        outcomes
    };
    let doubled = [&good[..6], &good[5..]].concat();
    let inserted = {
        let mut outcomes = good.clone();
        let mut stranger = good[5].clone();
        stranger.command_id = uuid::Uuid::from_u128(99);
        outcomes.insert(6, stranger);
        outcomes
    };
    for (what, outcomes, index, problem) in [
        ("changed", changed, 6, "hash of the record before"),
        ("dropped", dropped, 5, "it is revision 7; revision 6 comes next"),
        ("swapped", swapped, 5, "it is revision 7; revision 6 comes next"),
        ("doubled", doubled, 6, "it is revision 6; revision 7 comes next"),
        ("inserted", inserted, 6, "it is revision 6; revision 7 comes next"),
    ] {
        let (found, text) = finding(&outcomes).unwrap_or_else(|| panic!("{what} is not found"));
        assert_eq!(found, index, "{what}: {text}");
        assert!(text.contains(problem), "{what}: {text}");
    }
}

#[test]
fn a_forger_who_mends_the_chain_still_breaks_an_invariant() {
    let good = history();
    // Each changes one event as `decide` never would, and hashes on.
    let forged = |change: &dyn Fn(&mut Event) -> bool| {
        let mut outcomes = good.clone();
        let index = outcomes
            .iter_mut()
            .position(|outcome| match &mut outcome.decision {
                Decision::Accepted(events) => events.iter_mut().any(change),
                Decision::Rejected(_) => false,
            })
            .expect("there is such an event");
        rechain(&mut outcomes);
        (index, finding(&outcomes).expect("it is found"))
    };
    let mut blocks = good.iter().flat_map(Outcome::events).filter_map(|event| match event {
        Event::CidrAllocated(allocated) => Some(allocated.cidr),
        _ => None,
    });
    let (first, second) = (blocks.next().expect("a block"), blocks.next().expect("another"));
    let (index, (found, problem)) = forged(&|event| match event {
        Event::CidrAllocated(allocated) if allocated.cidr == second => {
            allocated.cidr = first;
            true
        }
        _ => false,
    });
    assert_eq!((found, problem.starts_with("INV-A1 is broken")), (index, true), "{problem}");
    let (index, (found, problem)) = forged(&|event| match event {
        Event::CidrAllocated(allocated) => {
            allocated.cidr = "192.0.2.0/24".parse().expect("a CIDR");
            true
        }
        _ => false,
    });
    assert_eq!((found, problem.starts_with("INV-A1 is broken")), (index, true), "{problem}");
    let (index, (found, problem)) = forged(&|event| match event {
        Event::PoolDeleted(deleted) => {
            deleted.closed.iter_mut().for_each(|closed| closed.allocations += 1);
            true
        }
        _ => false,
    });
    assert_eq!((found, problem.starts_with("INV-P14 is broken")), (index, true), "{problem}");
}
