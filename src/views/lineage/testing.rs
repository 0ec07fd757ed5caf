//! A small history to write tests with: outcomes folded into rows in memory.

use super::fold::fold_outcome;
use super::memory::Memory;
use crate::domain::command::{ObservedCidr, Principal, Proof, ResourceAttributes, ResourceClaim, Tags};
use crate::domain::digest::Digest;
use crate::domain::event::{self, Event, ResourceName};
use crate::domain::id::{AccountId, CommandId, IdSeed, IpamId, OrganizationId, PoolId, Region, Revision, ScopeId};
use crate::domain::kind::ResourceKind;
use crate::domain::outcome::{Decision, Moment, Outcome, SCHEMA_VERSION};
use crate::domain::pool::Placement;
use crate::domain::time::Timestamp;
use crate::views::table::MemoryTable;
use crate::views::when::AnswerHead;

pub fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

pub fn account(number: u8) -> AccountId {
    format!("{number:012}").parse().expect("twelve digits")
}

pub fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

/// The `ordinal`-th id of its kind.
pub fn id<T>(make: impl Fn(&IdSeed, u32) -> T, ordinal: u32) -> T {
    let organization: OrganizationId = "o-test".parse().expect("an organisation");
    make(&IdSeed::new(&organization, CommandId::from_u128(0)), ordinal)
}

pub fn name(kind: ResourceKind, id: &str) -> ResourceName {
    ResourceName { kind, id: id.to_owned() }
}

pub fn attributes(account_number: u8, region_name: &str) -> ResourceAttributes {
    ResourceAttributes {
        account: Some(account(account_number)),
        region: Some(region(region_name)),
        ..ResourceAttributes::default()
    }
}

/// One organisation's history.
#[derive(Debug)]
pub struct History {
    pub organization: OrganizationId,
    pub table: MemoryTable,
    pub memory: Memory,
    pub revision: u64,
    /// Microseconds from one decision to the next.
    pub step: i64,
}

impl History {
    pub fn new() -> Self {
        let organization = "o-test".parse().expect("an organisation");
        Self { organization, table: MemoryTable::default(), memory: Memory::default(), revision: 0, step: 1_000 }
    }

    /// Folds the next outcome, with these events.
    pub fn fold(&mut self, events: Vec<Event>) -> Moment {
        let outcome = self.outcome(events);
        self.take(&outcome);
        outcome.moment().expect("it is part of the history")
    }

    /// Folds an outcome as a batch of its own. Now and then with nothing in memory, as after a restart.
    pub fn take(&mut self, outcome: &Outcome) {
        if self.revision.is_multiple_of(3) {
            self.memory.clear();
        }
        fold_outcome(&mut self.memory, &mut self.table, outcome).expect("memory can be read");
        self.memory.write(&mut self.table);
    }

    /// The next outcome, decided at revision × step, not yet folded.
    pub fn outcome(&mut self, events: Vec<Event>) -> Outcome {
        self.revision += 1;
        Outcome {
            schema: SCHEMA_VERSION,
            organization: self.organization.clone(),
            revision: Some(Revision(self.revision)),
            command_id: CommandId::from_u128(self.revision.into()),
            command_type: "Test".to_owned(),
            digest: Digest::of(b""),
            principal: Principal { account: account(1), name: Some("ann".to_owned()), proof: Proof::None },
            reason: Some(format!("reason {}", self.revision)),
            decided_at: self.head().decided_at,
            previous: None,
            decision: Decision::Accepted(events),
        }
    }

    pub fn head(&self) -> AnswerHead {
        self.head_at(self.revision)
    }

    pub fn head_at(&self, revision: u64) -> AnswerHead {
        let decided_at = at(i64::try_from(revision).expect("small") * self.step);
        AnswerHead { revision: Revision(revision), decided_at }
    }
}

pub fn observed(name: &ResourceName, when: i64, cidrs: &[&str], attributes: ResourceAttributes) -> Event {
    event::ResourceObserved {
        kind: name.kind,
        id: name.id.clone(),
        observed_at: at(when),
        reported_at: None,
        cidrs: cidrs
            .iter()
            .map(|cidr| ObservedCidr { cidr: cidr.parse().expect("a CIDR"), visibility: None })
            .collect(),
        attributes,
        not_monitored: None,
    }
    .into()
}

pub fn gone(name: &ResourceName, when: i64) -> Event {
    event::ResourceGone { kind: name.kind, id: name.id.clone(), observed_at: at(when), reported_at: None, source: None }
        .into()
}

pub fn retracted(name: &ResourceName, when: i64, revision: u64) -> Event {
    event::ObservationRetracted {
        kind: name.kind,
        id: name.id.clone(),
        observed_at: at(when),
        revision: Revision(revision),
    }
    .into()
}

pub fn ipam_created(ordinal: u32, owner: u8, regions: &[&str]) -> Event {
    let regions: Vec<_> = regions.iter().map(|name| region(name)).collect();
    event::IpamCreated {
        ipam: id(IpamId::new, ordinal),
        owner: account(owner),
        home_region: regions[0].clone(),
        operating_regions: regions,
        description: None,
        tags: Tags::new(),
        private_default_scope: private_scope(ordinal),
        public_default_scope: id(ScopeId::new, ordinal * 10 + 1),
        default_resource_discovery: id(crate::domain::id::DiscoveryId::new, ordinal),
        default_resource_discovery_association: id(crate::domain::id::AssociationId::new, ordinal),
    }
    .into()
}

pub fn private_scope(ipam: u32) -> ScopeId {
    id(ScopeId::new, ipam * 10)
}

pub fn pool_created(ordinal: u32, scope: ScopeId, family: crate::address::Family) -> Event {
    event::PoolCreated {
        pool: id(PoolId::new, ordinal),
        scope,
        source_pool: None,
        address_family: family,
        locale: None,
        description: None,
        tags: [("Name".to_owned(), format!("pool {ordinal}"))].into(),
        allocation_min_netmask_length: None,
        allocation_max_netmask_length: None,
        allocation_default_netmask_length: None,
        allocation_resource_tags: Tags::new(),
        placement: Placement::default(),
        auto_import: false,
        publicly_advertisable: None,
        aws_service: None,
        public_ip_source: None,
    }
    .into()
}

pub fn provisioned(pool: u32, cidr: &str) -> Event {
    event::PoolCidrProvisioned {
        pool: id(PoolId::new, pool),
        pool_cidr: id(crate::domain::id::PoolCidrId::new, pool),
        cidr: cidr.parse().expect("a CIDR"),
        source_allocation: None,
        placement: None,
        ownership: None,
    }
    .into()
}

pub fn allocated(pool: u32, allocation: u32, cidr: &str, resource: Option<&ResourceName>) -> Event {
    event::CidrAllocated {
        allocation: id(crate::domain::id::AllocationId::new, allocation),
        pool: id(PoolId::new, pool),
        cidr: cidr.parse().expect("a CIDR"),
        description: None,
        tags: Tags::new(),
        resource: resource.map(claim),
        placement: None,
    }
    .into()
}

pub fn claim(name: &ResourceName) -> ResourceClaim {
    ResourceClaim { kind: name.kind, id: name.id.clone(), region: None, account: None, tags: Tags::new() }
}

pub fn released(pool: u32, allocation: u32, cidr: &str) -> Event {
    event::AllocationReleased {
        allocation: id(crate::domain::id::AllocationId::new, allocation),
        pool: id(PoolId::new, pool),
        cidr: cidr.parse().expect("a CIDR"),
        still_observed: Vec::new(),
        forced: false,
    }
    .into()
}

pub fn bound(allocation: u32, resource: &ResourceName) -> Event {
    event::AllocationModified {
        allocation: id(crate::domain::id::AllocationId::new, allocation),
        description: crate::domain::change::Change::Set("bound".to_owned()),
        resource: Some(claim(resource)),
    }
    .into()
}

pub fn pool_deleted(pool: u32, closed: &[&str]) -> Event {
    let closed = closed.iter().map(|cidr| event::ClosedCidr {
        pool: id(PoolId::new, pool),
        cidr: cidr.parse().expect("a CIDR"),
        allocations: 0,
    });
    event::PoolDeleted { pool: id(PoolId::new, pool), closed: closed.collect() }.into()
}
