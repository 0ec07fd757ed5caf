//! The view against a naive fold: lists, recomputed from the events for every revision.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::rows::Picture;
use super::{allocation, allocations, fullest, ipams, organization, pool, pool_cidrs, pool_tree, scopes, usage_series};
use crate::address::{AddressCount, Cidr, Family};
use crate::domain::allocation::Holder;
use crate::domain::change::Change;
use crate::domain::command::{
    AddAccount, AllocateCidr, CommandBody, CreateIpam, CreateOrganization, CreatePool, CreateScope, DelegateAdmin,
    DeleteIpam, DeletePool, DeleteScope, DeprovisionPoolCidr, ModifyAllocation, ModifyPool, ObserveResource,
    ObservedCidr, ProvisionPoolCidr, RegisterDelegatedAdministrator, ReleaseAllocation, RemoveAccount,
    ResourceAttributes, ResourceClaim, RevokeAdmin, TagResource,
};
use crate::domain::event::{Event, NotMonitored};
use crate::domain::id::{AccountId, AllocationId, IpamId, ObjectId, PoolCidrId, PoolId, Revision, ScopeId};
use crate::domain::kind::ResourceKind;
use crate::domain::outcome::{Moment, Outcome};
use crate::domain::{State, apply_outcome};
use crate::views::answer::{AccountRole, Paging, PoolNode};
use crate::views::ledger::LedgerView;
use crate::views::outcomes::{moment_at, moment_of};
use crate::views::table::MemoryTable;
use crate::views::testing::{ADMIN, Ledger, MANAGEMENT, MEMBER, account};
use crate::views::when::QueryError;

const ORGANIZATION: &str = "o-example";

fn picture<'a>(table: &'a MemoryTable, ledger: &'a Ledger, revision: u64) -> Picture<'a> {
    let organization = ledger.state(ORGANIZATION).id();
    let moment = moment_of(table, organization, Revision(revision)).expect("memory").expect("a revision");
    Picture { rows: table, organization, moment }
}

fn view() -> LedgerView {
    LedgerView::new(Arc::default())
}

fn head(ledger: &Ledger) -> u64 {
    ledger.state(ORGANIZATION).moment().revision.0
}

fn cidr(text: &str) -> Cidr {
    text.parse().expect(text)
}

fn created_pool(outcome: &Outcome) -> PoolId {
    match outcome.events() {
        [Event::PoolCreated(created), ..] => created.pool,
        _ => panic!("a pool is created: {outcome:?}"),
    }
}

fn allocated(outcome: &Outcome) -> AllocationId {
    match outcome.events() {
        [Event::CidrAllocated(allocated)] => allocated.allocation,
        _ => panic!("a block is allocated: {outcome:?}"),
    }
}

fn provision(pool: PoolId, text: &str) -> ProvisionPoolCidr {
    ProvisionPoolCidr { pool, cidr: Some(cidr(text)), netmask_length: None }
}

fn allocate(pool: PoolId, text: &str) -> AllocateCidr {
    AllocateCidr {
        pool,
        cidr: Some(cidr(text)),
        netmask_length: None,
        allowed_cidrs: vec![],
        disallowed_cidrs: vec![],
        description: None,
        tags: BTreeMap::new(),
        resource: None,
    }
}

fn claim(kind: ResourceKind, id: &str) -> ResourceClaim {
    ResourceClaim {
        kind,
        id: id.to_owned(),
        region: Some("eu-central-1".parse().expect("a region")),
        account: Some(account(MEMBER)),
        tags: BTreeMap::new(),
    }
}

/// A /16 with a child /18, a VPC's /20 and a custom /24 (T47).
fn full_pool(ledger: &mut Ledger) -> (PoolId, PoolId, AllocationId) {
    let ipam = ledger.organization(ORGANIZATION);
    let top = created_pool(&ledger.decide(
        ORGANIZATION,
        ADMIN,
        CreatePool {
            scope: Some(ipam.private_default_scope),
            address_family: Some(Family::Ipv4),
            locale: Some("eu-central-1".parse().expect("a region")),
            name: Some("eu".to_owned()),
            ..CreatePool::default()
        },
    ));
    ledger.decide(ORGANIZATION, ADMIN, provision(top, "10.0.0.0/16"));
    let child = CreatePool {
        source_pool: Some(top),
        locale: Some("eu-central-1".parse().expect("a region")),
        name: Some("prod".to_owned()),
        ..CreatePool::default()
    };
    let child = created_pool(&ledger.decide(ORGANIZATION, ADMIN, child));
    ledger.decide(ORGANIZATION, ADMIN, provision(child, "10.0.0.0/18"));
    let vpc = AllocateCidr { resource: Some(claim(ResourceKind::Vpc, "vpc-1")), ..allocate(top, "10.0.64.0/20") };
    let vpc = allocated(&ledger.decide(ORGANIZATION, ADMIN, vpc));
    ledger.decide(ORGANIZATION, ADMIN, allocate(top, "10.0.80.0/24"));
    (top, child, vpc)
}

#[test]
fn t47_allocated_assigned_and_available_are_exact_and_add_up_to_100_percent() {
    let mut ledger = Ledger::new(1);
    let (top, child, _) = full_pool(&mut ledger);
    ledger.decide(ORGANIZATION, ADMIN, allocate(child, "10.0.0.0/20"));
    let table = ledger.fold(&mut view(), 3);
    let picture = picture(&table, &ledger, head(&ledger));
    let of = |id| pool(&picture, id).expect("a pool").utilization;
    let utilization = of(top);
    assert_eq!(utilization.provisioned, AddressCount::from(65_536u64));
    assert!((utilization.percent_allocated - 25.0).abs() < 1e-12);
    assert!((utilization.percent_assigned - 6.640_625).abs() < 1e-12);
    assert!((utilization.percent_available - 68.359_375).abs() < 1e-12);
    assert_eq!(utilization.allocation_count, 3);
    assert_eq!(utilization.largest_free_block, Some(cidr("10.0.128.0/17")));
    // What is assigned in the child counts in the subtree, not as the parent's own.
    assert_eq!(utilization.assigned_in_subtree, AddressCount::from(4_096u64 + 256 + 4_096));
    assert_eq!(of(child).assigned, AddressCount::from(4_096u64));
    let tree = pool_tree(&picture, None).expect("a tree");
    let paths: Vec<_> = tree.pools.iter().flat_map(|node| [&node.pool.path, &node.children[0].pool.path]).collect();
    assert_eq!(paths, ["eu", "eu/prod"]);
    let fullest = fullest(&picture, 10).expect("leaves");
    assert_eq!(fullest.items.iter().map(|pool| pool.pool).collect::<Vec<_>>(), [child]);
}

#[test]
fn a_cascade_reads_as_gone_without_a_row_for_every_allocation() {
    let mut ledger = Ledger::new(1);
    let (top, child, vpc) = full_pool(&mut ledger);
    let inside = allocated(&ledger.decide(ORGANIZATION, ADMIN, allocate(child, "10.0.1.0/24")));
    let before = head(&ledger);
    let deleted = ledger.decide(ORGANIZATION, ADMIN, DeletePool { pool: child, cascade: true });
    let table = ledger.fold(&mut view(), 100);
    let now = picture(&table, &ledger, head(&ledger));
    let then = picture(&table, &ledger, before);
    let released = allocation(&now, inside).expect("known").released.expect("released with its pool");
    assert_eq!((released.revision, released.command_id), (deleted.revision.expect("a revision"), deleted.command_id));
    assert_eq!(allocation(&then, inside).expect("known").released, None);
    assert!(matches!(allocations(&now, child, &Paging::default()), Err(QueryError::NotFound { .. })));
    assert_eq!(allocations(&then, child, &Paging::default()).expect("a page").items.len(), 1);
    // What the child held of its source pool is free there.
    let left: Vec<_> =
        allocations(&now, top, &Paging::default()).expect("a page").items.iter().map(|item| item.cidr).collect();
    assert_eq!(left, [cidr("10.0.64.0/20"), cidr("10.0.80.0/24")]);
    assert_eq!(pool(&now, top).expect("a pool").utilization.allocated, AddressCount::ZERO);
    assert_eq!(pool(&now, top).expect("a pool").utilization.allocation_count, 2);
    assert_eq!(allocation(&now, vpc).expect("known").released, None);
    assert_eq!(usage_series(&now, top, &Paging::default()).expect("a series").items.len(), 6);
}

#[test]
fn an_observed_resource_moves_the_largest_free_block_from_the_revision_that_told_of_it() {
    let mut ledger = Ledger::new(1);
    let (top, _, _) = full_pool(&mut ledger);
    let before = head(&ledger);
    let fact = ObserveResource {
        kind: ResourceKind::Vpc,
        id: "vpc-foreign".to_owned(),
        observed_at: "2023-12-31T00:00:00Z".parse().expect("an instant"),
        cidrs: vec![ObservedCidr { cidr: cidr("10.0.128.0/24"), visibility: None }],
        attributes: ResourceAttributes {
            account: Some(account(MEMBER)),
            region: Some("eu-west-1".parse().expect("a region")),
            ..ResourceAttributes::default()
        },
    };
    ledger.decide(ORGANIZATION, ADMIN, fact);
    let table = ledger.fold(&mut view(), 1);
    let largest = |revision| {
        let picture = picture(&table, &ledger, revision);
        pool(&picture, top).expect("a pool").utilization.largest_free_block
    };
    assert_eq!(largest(before), Some(cidr("10.0.128.0/17")));
    assert_eq!(largest(before + 1), Some(cidr("10.0.192.0/18")));
}

/// W2: delegation and mere registration look alike and are not.
#[test]
fn inv_o4_only_ipams_own_delegation_makes_accounts_monitored() {
    let mut ledger = Ledger::new(1);
    let created = CreateOrganization { management_account: account(MANAGEMENT) };
    ledger.decide(ORGANIZATION, MANAGEMENT, created);
    for member in [ADMIN, MEMBER] {
        ledger.decide(ORGANIZATION, MANAGEMENT, AddAccount { account: account(member), name: None });
    }
    ledger.decide(ORGANIZATION, MANAGEMENT, RegisterDelegatedAdministrator { account: account(ADMIN) });
    let ipam = CreateIpam {
        home_region: "eu-central-1".parse().expect("a region"),
        operating_regions: vec![],
        description: None,
        name: None,
        tags: BTreeMap::new(),
    };
    ledger.decide(ORGANIZATION, ADMIN, ipam);
    let registered = head(&ledger);
    ledger.decide(ORGANIZATION, MANAGEMENT, DelegateAdmin { account: account(ADMIN) });
    let table = ledger.fold(&mut view(), 2);
    let at = |revision| organization(&picture(&table, &ledger, revision)).expect("an organisation");
    let (before, after) = (at(registered), at(registered + 1));
    let of = |answer: &crate::views::answer::OrganizationAnswer, id| {
        answer.accounts.iter().find(|row| row.account == account(id)).expect("a member").clone()
    };
    for member in [ADMIN, MEMBER] {
        let row = of(&before, member);
        assert!(!row.service_linked_role && row.monitored_by.is_empty());
        assert_eq!(row.not_monitored, Some(NotMonitored::NoServiceLinkedRole));
        assert!(row.why.contains("DelegateAdmin"), "{}", row.why);
        let row = of(&after, member);
        assert!(row.service_linked_role && row.monitored_by.len() == 1 && row.not_monitored.is_none(), "{row:?}");
    }
    assert!(of(&before, ADMIN).roles.contains(&AccountRole::RegisteredOnly));
    assert!(of(&after, ADMIN).roles.contains(&AccountRole::Administrator));
    assert_eq!(before.administrator, None);
    assert_eq!(at(1).accounts[0].not_monitored, Some(NotMonitored::NoIpam));
}

// --- Random histories.

/// What happened, in lists.
#[derive(Default)]
struct Naive {
    accounts: Vec<AccountId>,
    administrator: Option<AccountId>,
    ipams: Vec<IpamId>,
    scopes: Vec<(ScopeId, IpamId)>,
    pools: Vec<NaivePool>,
    cidrs: Vec<(PoolId, PoolCidrId, Cidr)>,
    allocations: Vec<NaiveAllocation>,
    over: BTreeSet<AllocationId>,
}

struct NaivePool {
    id: PoolId,
    scope: ScopeId,
    source: Option<PoolId>,
    description: Option<String>,
}

#[derive(Clone)]
struct NaiveAllocation {
    id: AllocationId,
    pool: PoolId,
    cidr: Cidr,
    child: Option<PoolId>,
    resource: Option<String>,
}

impl Naive {
    fn of(outcomes: &[&Outcome]) -> Self {
        let mut naive = Self::default();
        for event in outcomes.iter().flat_map(|outcome| outcome.events()) {
            naive.fold(event);
        }
        naive
    }

    fn fold(&mut self, event: &Event) {
        match event {
            Event::OrganizationCreated(event) => self.accounts.push(event.management_account),
            Event::AccountAdded(event) => self.accounts.push(event.account),
            Event::AccountRemoved(event) => self.accounts.retain(|account| *account != event.account),
            Event::AdminDelegated(event) => self.administrator = Some(event.account),
            Event::AdminRevoked(_) => self.administrator = None,
            Event::IpamCreated(event) => {
                self.ipams.push(event.ipam);
                self.scopes.push((event.private_default_scope, event.ipam));
                self.scopes.push((event.public_default_scope, event.ipam));
            }
            Event::IpamDeleted(event) => {
                let scopes: Vec<_> = self.scopes.iter().filter(|scope| scope.1 == event.ipam).map(|s| s.0).collect();
                let gone: Vec<_> =
                    self.pools.iter().filter(|pool| scopes.contains(&pool.scope)).map(|pool| pool.id).collect();
                self.remove(&gone);
                self.scopes.retain(|scope| scope.1 != event.ipam);
                self.ipams.retain(|ipam| *ipam != event.ipam);
            }
            Event::ScopeCreated(event) => self.scopes.push((event.scope, event.ipam)),
            Event::ScopeDeleted(event) => self.scopes.retain(|scope| scope.0 != event.scope),
            Event::PoolCreated(event) => self.pools.push(NaivePool {
                id: event.pool,
                scope: event.scope,
                source: event.source_pool,
                description: event.description.clone(),
            }),
            Event::PoolModified(event) => {
                for pool in self.pools.iter_mut().filter(|pool| pool.id == event.pool) {
                    pool.description = event.description.clone().applied_to(pool.description.take());
                }
            }
            Event::PoolDeleted(event) => {
                let mut gone = vec![event.pool];
                while let Some(more) = self
                    .pools
                    .iter()
                    .find(|pool| !gone.contains(&pool.id) && pool.source.is_some_and(|source| gone.contains(&source)))
                {
                    gone.push(more.id);
                }
                self.remove(&gone);
            }
            Event::PoolCidrProvisioned(event) => {
                self.cidrs.push((event.pool, event.pool_cidr, event.cidr));
                let source = self.pools.iter().find(|pool| pool.id == event.pool).and_then(|pool| pool.source);
                if let (Some(id), Some(pool)) = (event.source_allocation, source) {
                    let child = Some(event.pool);
                    self.allocations.push(NaiveAllocation { id, pool, cidr: event.cidr, child, resource: None });
                }
            }
            Event::PoolCidrDeprovisioned(event) => {
                self.cidrs.retain(|row| row.1 != event.pool_cidr);
                self.end(|allocation| Some(allocation.id) == event.source_allocation);
            }
            Event::CidrAllocated(event) => self.allocations.push(NaiveAllocation {
                id: event.allocation,
                pool: event.pool,
                cidr: event.cidr,
                child: None,
                resource: event.resource.as_ref().map(|claim| claim.id.clone()),
            }),
            Event::AllocationModified(event) => {
                for allocation in self.allocations.iter_mut().filter(|allocation| allocation.id == event.allocation) {
                    if let Some(claim) = &event.resource {
                        allocation.resource = Some(claim.id.clone());
                    }
                }
            }
            Event::AllocationReleased(event) => self.end(|allocation| allocation.id == event.allocation),
            _ => {}
        }
    }

    fn remove(&mut self, gone: &[PoolId]) {
        self.pools.retain(|pool| !gone.contains(&pool.id));
        self.cidrs.retain(|row| !gone.contains(&row.0));
        let gone = gone.to_vec();
        self.end(move |allocation| {
            gone.contains(&allocation.pool) || allocation.child.is_some_and(|child| gone.contains(&child))
        });
    }

    fn end(&mut self, ends: impl Fn(&NaiveAllocation) -> bool) {
        self.over.extend(self.allocations.iter().filter(|allocation| ends(allocation)).map(|allocation| allocation.id));
        self.allocations.retain(|allocation| !ends(allocation));
    }

    fn of_pool(&self, pool: PoolId) -> Vec<NaiveAllocation> {
        let mut held: Vec<_> = self.allocations.iter().filter(|held| held.pool == pool).cloned().collect();
        held.sort_by_key(|held| held.cidr);
        held
    }

    fn assigned_below(&self, pool: PoolId) -> AddressCount {
        let own: AddressCount =
            self.of_pool(pool).iter().filter(|held| held.child.is_none()).map(|held| held.cidr.count()).sum();
        let below = self.pools.iter().filter(|child| child.source == Some(pool));
        below.fold(own, |sum, child| sum + self.assigned_below(child.id))
    }
}

/// A command made of three random numbers and what there is.
fn command(ledger: &Ledger, ops: (u8, u8, u8)) -> (&'static str, CommandBody) {
    let (what, which, how) = ops;
    let outcomes: Vec<_> = ledger.outcomes.iter().map(|(_, outcome)| outcome).collect();
    let naive = Naive::of(&outcomes);
    let pick = |len: usize| usize::from(which) % len.max(1);
    let pool = naive.pools.get(pick(naive.pools.len())).map(|pool| pool.id);
    let Some(pool) = pool.filter(|_| what >= 24) else {
        let scope = naive.scopes.get(pick(naive.scopes.len())).map(|scope| scope.0);
        let source = pool.filter(|_| how % 3 > 0);
        let body = CreatePool {
            scope: scope.filter(|_| source.is_none()),
            source_pool: source,
            address_family: source.is_none().then_some(Family::Ipv4),
            description: Some(format!("pool {which}")),
            ..CreatePool::default()
        };
        return (ADMIN, body.into());
    };
    let allocation = naive.allocations.get(pick(naive.allocations.len()));
    let (asks, body): (_, CommandBody) = match what {
        24..60 => (
            ADMIN,
            ProvisionPoolCidr {
                pool,
                cidr: (how % 2 == 0).then(|| cidr(&format!("10.{}.0.0/16", how % 8))),
                netmask_length: (how % 2 == 1).then_some(20 + how % 5),
            }
            .into(),
        ),
        60..130 => {
            let resource = (how % 3 == 0).then(|| claim(ResourceKind::Vpc, &format!("vpc-{how}")));
            let body = AllocateCidr {
                cidr: None,
                netmask_length: Some(20 + how % 9),
                resource,
                ..allocate(pool, "0.0.0.0/0")
            };
            (ADMIN, body.into())
        }
        130..170 => match allocation {
            Some(held) => {
                (ADMIN, ReleaseAllocation { allocation: held.id, pool: None, cidr: None, force: false }.into())
            }
            None => (MEMBER, DelegateAdmin { account: account(MEMBER) }.into()),
        },
        170..185 => {
            let of_pool = naive.cidrs.get(pick(naive.cidrs.len())).copied();
            let (pool, cidr) = of_pool.map_or((pool, cidr("10.0.0.0/16")), |row| (row.0, row.2));
            (ADMIN, DeprovisionPoolCidr { pool, cidr }.into())
        }
        185..196 => (ADMIN, DeletePool { pool, cascade: how % 2 == 0 }.into()),
        196..206 => (ADMIN, modify(pool, how)),
        206..214 => match allocation {
            Some(held) => {
                let resource = Some(claim(ResourceKind::Vpc, &format!("vpc-late-{how}")));
                (ADMIN, ModifyAllocation { allocation: held.id, description: Change::Unchanged, resource }.into())
            }
            None => (ADMIN, modify(pool, how)),
        },
        214..220 => {
            let tags = BTreeMap::from([("Name".to_owned(), format!("n{how}"))]);
            (ADMIN, TagResource { resource: ObjectId::Pool(pool), tags }.into())
        }
        220..226 => {
            (ADMIN, CreateScope { ipam: naive.ipams[0], description: None, name: None, tags: BTreeMap::new() }.into())
        }
        226..230 => (ADMIN, DeleteScope { scope: naive.scopes[pick(naive.scopes.len())].0 }.into()),
        230..236 => (
            MANAGEMENT,
            AddAccount { account: account(&format!("{:012}", 100 + u32::from(how % 4))), name: None }.into(),
        ),
        236..240 => {
            (MANAGEMENT, RemoveAccount { account: account(&format!("{:012}", 100 + u32::from(how % 4))) }.into())
        }
        240..252 => {
            let fact = ObserveResource {
                kind: ResourceKind::Vpc,
                id: format!("vpc-{}", how % 5),
                observed_at: "2023-06-01T00:00:00Z"
                    .parse::<crate::domain::time::Timestamp>()
                    .expect("an instant")
                    .plus_micros(i64::from(which)),
                cidrs: vec![ObservedCidr { cidr: cidr(&format!("10.{}.{}.0/24", how % 8, which)), visibility: None }],
                attributes: ResourceAttributes {
                    account: Some(account(MEMBER)),
                    region: Some("eu-central-1".parse().expect("a region")),
                    ..ResourceAttributes::default()
                },
            };
            (ADMIN, fact.into())
        }
        252 => (ADMIN, DeleteIpam { ipam: naive.ipams[0], cascade: true }.into()),
        _ if naive.administrator.is_some() => (MANAGEMENT, RevokeAdmin { account: account(ADMIN) }.into()),
        _ => (MANAGEMENT, DelegateAdmin { account: account(ADMIN) }.into()),
    };
    (asks, body)
}

fn modify(pool: PoolId, how: u8) -> CommandBody {
    ModifyPool {
        pool,
        description: Change::Set(format!("changed {how}")),
        allocation_min_netmask_length: Change::Unchanged,
        allocation_max_netmask_length: Change::Unchanged,
        allocation_default_netmask_length: Change::Unchanged,
        allocation_resource_tags: Change::Unchanged,
        placement: None,
        auto_import: None,
    }
    .into()
}

fn flat(nodes: &[PoolNode]) -> Vec<&PoolNode> {
    nodes.iter().flat_map(|node| std::iter::once(node).chain(flat(&node.children))).collect()
}

/// Everything that can be asked about a revision, against the lists and against the domain's state then.
fn check(picture: &Picture<'_>, naive: &Naive, state: &State) {
    let answer = organization(picture).expect("an organisation");
    let accounts: BTreeSet<_> = answer.accounts.iter().map(|row| row.account).collect();
    assert_eq!(accounts, naive.accounts.iter().copied().collect());
    assert_eq!(answer.administrator, naive.administrator);
    let all: BTreeSet<_> = ipams(picture).expect("IPAMs").items.iter().map(|ipam| ipam.ipam).collect();
    assert_eq!(all, naive.ipams.iter().copied().collect());
    for scope in scopes(picture, None).expect("scopes").items {
        assert!(naive.scopes.contains(&(scope.scope, scope.ipam)));
        let pools: Vec<_> = naive.pools.iter().filter(|pool| pool.scope == scope.scope).collect();
        assert_eq!(scope.pool_count, pools.len() as u64);
        let count: usize = pools.iter().map(|pool| naive.of_pool(pool.id).len()).sum();
        assert_eq!(scope.allocation_count, count as u64);
    }
    assert_eq!(scopes(picture, None).expect("scopes").items.len(), naive.scopes.len());
    let tree = pool_tree(picture, None).expect("a tree");
    let nodes = flat(&tree.pools);
    assert_eq!(nodes.len(), naive.pools.len());
    for pool in &naive.pools {
        let node = nodes.iter().find(|node| node.pool.pool == pool.id).expect("the pool is in the tree");
        assert_eq!(node.pool.description, pool.description);
        assert_eq!(node.pool.source_pool, pool.source);
        let children: BTreeSet<_> = node.children.iter().map(|child| child.pool.pool).collect();
        let below = naive.pools.iter().filter(|child| child.source == Some(pool.id)).map(|child| child.id);
        assert_eq!(children, below.collect());
        let mut cidrs: Vec<_> = naive.cidrs.iter().filter(|row| row.0 == pool.id).map(|row| (row.2, row.1)).collect();
        cidrs.sort();
        let provisioned = pool_cidrs(picture, pool.id).expect("CIDRs").items;
        assert_eq!(provisioned.iter().map(|row| (row.cidr, row.pool_cidr)).collect::<Vec<_>>(), cidrs);
        let held = naive.of_pool(pool.id);
        let sum = |children: bool| -> AddressCount {
            held.iter().filter(|held| held.child.is_some() == children).map(|held| held.cidr.count()).sum()
        };
        let usage = &node.pool.utilization;
        let total: AddressCount = cidrs.iter().map(|row| row.0.count()).sum();
        assert_eq!(usage.provisioned, total);
        assert_eq!((usage.allocated, usage.assigned), (sum(true), sum(false)));
        assert_eq!(usage.available, total - sum(true) - sum(false));
        assert_eq!(usage.assigned_in_subtree, naive.assigned_below(pool.id));
        assert_eq!(usage.allocation_count, held.len() as u64);
        assert_eq!(usage.largest_free_block, state.pools().usage(pool.id).expect("a pool").largest_free_block);
        check_allocations(picture, pool.id, &held);
    }
    for id in &naive.over {
        assert!(allocation(picture, *id).expect("known").released.is_some());
    }
}

fn check_allocations(picture: &Picture<'_>, pool: PoolId, held: &[NaiveAllocation]) {
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let page = allocations(picture, pool, &Paging { limit: 2, after }).expect("a page");
        listed.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed.len(), held.len());
    for (listed, held) in listed.iter().zip(held) {
        assert_eq!((listed.allocation, listed.cidr, listed.child_pool), (held.id, held.cidr, held.child));
        assert_eq!(listed.resource.as_ref().map(|claim| claim.id.clone()), held.resource);
        assert_eq!(allocation(picture, held.id).expect("known"), *listed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_revision_reads_as_a_naive_fold_says(
        ops in prop::collection::vec(any::<(u8, u8, u8)>(), 1..60),
        batch in 1_usize..9,
    ) {
        let mut ledger = Ledger::new(1);
        ledger.organization(ORGANIZATION);
        for op in ops {
            if ledger.state(ORGANIZATION).ipams().iter().next().is_none() {
                break;
            }
            let (asks, body) = command(&ledger, op);
            ledger.decide(ORGANIZATION, asks, body);
        }
        let table = ledger.fold(&mut view(), batch);
        let outcomes: Vec<_> = ledger.outcomes.iter().map(|(_, outcome)| outcome).collect();
        let mut state = State::new(ledger.state(ORGANIZATION).id().clone());
        for revision in 1..=head(&ledger) {
            let known = usize::try_from(revision).expect("small");
            apply_outcome(&mut state, outcomes[known - 1]);
            let picture = picture(&table, &ledger, revision);
            check(&picture, &Naive::of(&outcomes[..known]), &state);
            let Moment { decided_at, .. } = picture.moment;
            for (instant, expect) in [(decided_at, revision), (decided_at.plus_micros(-1), revision - 1)] {
                let moment = moment_at(&table, picture.organization, instant).expect("memory");
                prop_assert_eq!(moment.map_or(0, |moment| moment.revision.0), expect);
            }
        }
    }
}

#[test]
fn holders_are_told_apart() {
    let mut ledger = Ledger::new(1);
    let (top, child, vpc) = full_pool(&mut ledger);
    let table = ledger.fold(&mut view(), 1);
    let picture = picture(&table, &ledger, head(&ledger));
    let items = allocations(&picture, top, &Paging::default()).expect("a page").items;
    let kinds: Vec<_> = items.iter().map(|item| item.kind).collect();
    assert_eq!(kinds, [ResourceKind::IpamPool, ResourceKind::Vpc, ResourceKind::Custom]);
    assert_eq!(items[0].child_pool, Some(child));
    assert_eq!(items[1].allocation, vpc);
    assert_eq!(Holder::Pool(child).kind(), items[0].kind);
}
