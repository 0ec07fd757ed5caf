//! One history, and what the audit says of it: as it was written, tampered with, exported, signed, replayed.

mod checkpoints;
mod exports;
mod fooled;
mod forged;
mod tampered;

use super::report::{Finding, Kind, Place, Report};
use super::{Asked, verify};
use crate::domain::command::{
    AllocateCidr, CreateIpam, CreatePool, DeletePool, ProvisionPoolCidr, ReleaseAllocation, SetQuota, Tags,
};
use crate::domain::event::Event;
use crate::domain::id::{AllocationId, PoolId, ScopeId};
use crate::domain::outcome::Outcome;
use crate::domain::quota::Quota;
use crate::log::ReadError;
use crate::log::record::{Header, Offset, Partition};
use crate::log::simulated::SimulatedLog;
use crate::log::wire::encode_outcome;
use crate::views::testing::{Ledger, MANAGEMENT};

const ZERO: Partition = Partition(0);

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

/// An audit of all that is in a log.
fn audit(log: &SimulatedLog) -> Report {
    verify(log, &Asked::default(), &|_| {}).expect("the log can be read")
}

/// A log of these values, numbered as a writer does.
fn numbered(values: &[Vec<u8>]) -> SimulatedLog {
    let mut ledger = Ledger::new(1);
    for value in values {
        ledger.append_value(ZERO, value.clone());
    }
    ledger.log
}

fn encoded(outcomes: &[Outcome]) -> Vec<Vec<u8>> {
    outcomes.iter().map(encode_outcome).collect()
}

/// The one thing that is wrong: what, in which outcome (the first is 0), and why.
#[track_caller]
fn only(report: &Report) -> (Kind, u64, &Finding) {
    let [finding] = report.findings.as_slice() else { panic!("{:#?}", report.findings) };
    let index = match finding.place {
        // The opening of the reign is the record before the first outcome.
        Place::Log { offset: Offset(offset), .. } => offset - 1,
        // As is the manifest.
        Place::File { line } => line - 2,
    };
    (finding.kind, index, finding)
}

/// What lies in a log, headers and all: a copy for somebody to tamper with.
fn copied(values: &[Vec<u8>]) -> Vec<(Header, Vec<u8>)> {
    let records = numbered(values).records(ZERO);
    records.iter().map(|record| (record.header.expect("a processor's"), record.value.to_vec())).collect()
}

fn laid_down(records: &[(Header, Vec<u8>)]) -> SimulatedLog {
    let log = SimulatedLog::new(1);
    for (header, value) in records {
        log.land_record(ZERO, *header, value);
    }
    log
}

/// Carries the chain on behind a change, as a forger who can hash would.
fn rechain(outcomes: &mut [Outcome]) {
    let mut previous = None;
    for (outcome, revision) in outcomes.iter_mut().zip(1..) {
        outcome.revision = Some(crate::domain::id::Revision(revision));
        outcome.previous = previous;
        previous = Some(crate::domain::digest::Digest::of(&encode_outcome(outcome)));
    }
}

#[test]
fn a_log_whose_last_offsets_hold_no_records_is_whole() {
    let values = encoded(&history());
    let log = numbered(&values);
    let whole = audit(&log);
    log.skip_offsets(ZERO, 2);
    let report = audit(&log);
    assert_eq!(report, Report { unshown: [(ZERO, 2)].into(), ..whole });
}

#[test]
fn a_log_that_cannot_be_reached_has_not_ended() {
    let log = numbered(&encoded(&history()));
    log.skip_offsets(ZERO, 1);
    let unreachable = log.clone();
    let verified = verify(&log, &Asked::default(), &|_| unreachable.set_reachable(false));
    assert!(matches!(verified, Err(ReadError::Unreachable(_))), "{verified:?}");
}
