//! What a node's views must answer, from the lists alone: at the position that they name, and as of any revision before.

use std::collections::BTreeSet;

use ipam_ledger::address::{AddressCount, Cidr};
use ipam_ledger::domain::Row;
use ipam_ledger::domain::command::Tags;
use ipam_ledger::domain::id::{ObjectId, OrganizationId, PoolId, Revision};
use ipam_ledger::log::record::Offset;
use ipam_ledger::views::answer::{Paging, PoolAnswer, PoolNode};
use ipam_ledger::views::lineage::answers::Holder as Who;
use ipam_ledger::views::lineage::{LineageQuery, lineage};
use ipam_ledger::views::objects;
use ipam_ledger::views::questions::LedgerRows;
use ipam_ledger::views::table::Rows;
use ipam_ledger::views::when::{AnswerHead, AsOf, QueryError, When, Window};

use super::history::{History, Past};
use super::lineage::intervals;
use crate::model::world::{Holder, Pool, World};

/// The view ends where the log did at its position.
pub fn head(rows: &dyn Rows, id: &OrganizationId, history: &History, next: Offset) {
    let known = history.known_before(next).last();
    let head = LedgerRows(rows).head(id).expect("memory can be read");
    assert_eq!(head.map(|head| head.moment), known.map(|past| past.moment), "the head of {id} at offset {next}");
    let chain = known.map(|past| ipam_ledger::domain::digest::Digest::of(&past.value));
    assert_eq!(head.map(|head| head.chain), chain, "the chain of {id} at offset {next}");
}

/// Instants and revisions: the moment that answers for each.
pub fn moments(rows: &dyn Rows, id: &OrganizationId, known: &[Past], nth: usize) -> &'static str {
    let ledger = LedgerRows(rows);
    let head = known.last().expect("some history").moment;
    let ahead = When { at: None, as_of: Some(AsOf::Revision(head.revision.next())) };
    assert!(
        matches!(ledger.moment(id, &ahead), Err(QueryError::RevisionAhead { .. })),
        "nobody knows yet what comes behind {}",
        head.revision
    );
    let past = known.get(nth % known.len()).expect("below the length");
    let mut way = "ahead of the view";
    for (micros, back) in [(0, 0), (1, 0), (-1, 1)] {
        let instant = past.moment.decided_at.plus_micros(micros);
        let expected = known.iter().rev().find(|one| one.moment.decided_at <= instant).map(|one| one.moment);
        let asked = When { at: None, as_of: Some(AsOf::Instant(instant)) };
        match ledger.moment(id, &asked) {
            Ok(moment) => assert_eq!(Some(moment), expected, "as of {instant}, {back} before {:?}", past.moment),
            Err(QueryError::BeforeHistory { first, .. }) => {
                assert_eq!((expected, first), (None, known[0].moment.decided_at), "as of {instant}");
                way = "before all history";
            }
            Err(error) => panic!("as of {instant}: {error}"),
        }
    }
    way
}

/// Outcomes by revision, as they stand in the log.
pub fn outcomes(rows: &dyn Rows, id: &OrganizationId, known: &[Past], nth: usize) {
    let from = nth % known.len();
    let found = LedgerRows(rows).outcomes(id, Revision(from as u64 + 1), 3).expect("memory can be read");
    let expected: Vec<_> =
        known.iter().skip(from).take(3).map(|past| (Some(past.moment.revision), &past.value)).collect();
    assert_eq!(found.iter().map(|one| (one.revision, &one.value)).collect::<Vec<_>>(), expected, "outcomes of {id}");
    for past in known.iter().skip(from).take(3) {
        let found = LedgerRows(rows).outcome(id, past.outcome.command_id).expect("memory can be read");
        assert_eq!(
            found.map(|one| one.value).as_ref(),
            Some(&past.value),
            "the outcome of {}",
            past.outcome.command_id
        );
    }
}

/// Pools with their figures, CIDRs and allocations; IPAMs, scopes and the organisation.
pub fn objects(rows: &dyn Rows, id: &OrganizationId, past: &Past) {
    let ledger = LedgerRows(rows);
    let when = When { at: None, as_of: Some(AsOf::Revision(past.moment.revision)) };
    let world = &*past.world;
    let tree = ledger.ask(id, &when, |picture| objects::pool_tree(picture, None)).expect("there is an organisation");
    assert_eq!((tree.head.revision, tree.head.decided_at), (past.moment.revision, past.moment.decided_at));
    let mut told = Vec::new();
    flatten(tree.body.pools, &mut told);
    let names: BTreeSet<PoolId> = told.iter().map(|pool| pool.pool).collect();
    assert_eq!(
        names,
        world.pools.iter().map(|pool| pool.id).collect(),
        "the pools of {id} at {}",
        past.moment.revision
    );
    for pool in &told {
        let known = world.pool(pool.pool).expect("they are the same");
        same_pool(world, known, pool);
        labels(world, pool.pool, &pool.tags, pool.name.as_ref(), pool.description.as_ref());
        let told = ledger.ask(id, &when, |picture| objects::pool_cidrs(picture, pool.pool)).expect("it is there");
        let told: Vec<Cidr> = told.body.items.iter().map(|one| one.cidr).collect();
        assert_eq!(told, world.cidrs_of(pool.pool), "the CIDRs of {}", pool.pool);
        let all = Paging { limit: 1_000, after: None };
        let told =
            ledger.ask(id, &when, |picture| objects::allocations(picture, pool.pool, &all)).expect("it is there");
        for one in &told.body.items {
            labels(world, one.allocation, &one.tags, one.tags.get("Name"), one.description.as_ref());
        }
        let told: BTreeSet<_> = told.body.items.iter().map(|one| (one.allocation, one.cidr)).collect();
        let expected: BTreeSet<_> = world.holds_of(pool.pool).map(|hold| (hold.id, hold.cidr)).collect();
        assert_eq!(told, expected, "the allocations of {} at {}", pool.pool, past.moment.revision);
    }
    let scopes =
        ledger.ask(id, &when, |picture| objects::scopes(picture, None)).expect("there is an organisation").body.items;
    let told: BTreeSet<_> = scopes.iter().map(|scope| (scope.scope, scope.ipam, scope.is_default)).collect();
    let expected: BTreeSet<_> = world.scopes.iter().map(|scope| (scope.id, scope.ipam, scope.is_default)).collect();
    assert_eq!(told, expected, "the scopes of {id} at {}", past.moment.revision);
    let ipams = ledger.ask(id, &when, objects::ipams).expect("there is an organisation").body.items;
    let told: BTreeSet<_> =
        ipams.iter().map(|ipam| (ipam.ipam, ipam.owner, ipam.reach.iter().copied().collect::<BTreeSet<_>>())).collect();
    let reach = |ipam| world.members.iter().copied().filter(|account| world.sees(ipam, *account)).collect();
    let expected: BTreeSet<_> = world.ipams.iter().map(|ipam| (ipam.id, ipam.owner, reach(ipam))).collect();
    assert_eq!(told, expected, "the IPAMs of {id} at {} and their reach (D18)", past.moment.revision);
    for ipam in &ipams {
        let known = world.ipam(ipam.ipam).expect("they are the same");
        let regions: BTreeSet<_> = ipam.operating_regions.iter().cloned().collect();
        assert_eq!((&ipam.home_region, &regions), (&known.home, &known.regions), "the regions of {}", ipam.ipam);
        labels(world, ipam.ipam, &ipam.tags, ipam.name.as_ref(), ipam.description.as_ref());
    }
    for scope in &scopes {
        labels(world, scope.scope, &scope.tags, scope.name.as_ref(), scope.description.as_ref());
    }
    let organization = ledger.ask(id, &when, objects::organization).expect("there is an organisation").body;
    assert_eq!(organization.administrator, world.administrator, "the administrator of {id}");
    let told: BTreeSet<_> = organization.accounts.iter().map(|one| (one.account, one.service_linked_role)).collect();
    let expected: BTreeSet<_> = world.members.iter().map(|one| (*one, world.roles.contains(one))).collect();
    assert_eq!(told, expected, "the accounts of {id} and their role (INV-O4, INV-O5)");
    for quota in organization.quotas {
        assert_eq!(quota.value as usize, world.quota(quota.quota), "the quota {}", quota.quota);
    }
}

/// What the owner wrote on it (W6: its name is a tag).
fn labels(world: &World, id: impl Into<ObjectId>, tags: &Tags, name: Option<&String>, description: Option<&String>) {
    let id = id.into();
    let known = world.tags_of(id);
    assert_eq!((tags, name), (&known, known.get("Name")), "the tags of {id}");
    assert_eq!(description, world.description_of(id).as_ref(), "the description of {id}");
}

/// What a snapshot would give back: also what no query shows.
pub fn stored(world: &World, rows: &[Row]) {
    for row in rows {
        match row {
            Row::Ipam(ipam) => {
                let known = world.ipam(ipam.id).expect("a stored IPAM exists");
                assert_eq!(ipam.operating_regions, known.regions, "the stored regions of {}", ipam.id);
                let name = ipam.tags.get("Name");
                labels(world, ipam.id, &ipam.tags, name, ipam.description.as_ref());
                let [discovery, association] =
                    [&ipam.default_resource_discovery_tags, &ipam.default_resource_discovery_association_tags];
                labels(world, known.discovery, discovery, discovery.get("Name"), None);
                labels(world, known.association, association, association.get("Name"), None);
            }
            Row::Scope(scope) => {
                labels(world, scope.id, &scope.tags, scope.tags.get("Name"), scope.description.as_ref());
            }
            Row::Allocation(row) => {
                labels(world, row.id, &row.tags, row.tags.get("Name"), row.description.as_ref());
            }
            Row::Organization { .. } | Row::Pool(_) | Row::Resource(_) => {}
        }
    }
}

fn flatten(nodes: Vec<PoolNode>, into: &mut Vec<PoolAnswer>) {
    for node in nodes {
        into.push(node.pool);
        flatten(node.children, into);
    }
}

fn same_pool(world: &World, known: &Pool, told: &PoolAnswer) {
    assert_eq!(
        (told.scope, told.source_pool, told.address_family, &told.locale, told.placement),
        (known.scope, known.source, known.family, &known.locale, known.placement),
        "{told:?}"
    );
    assert_eq!(
        (
            told.allocation_min_netmask_length,
            told.allocation_max_netmask_length,
            told.allocation_default_netmask_length,
            &told.allocation_resource_tags
        ),
        (known.min, known.max, known.default, &known.tags),
        "the rules of {}",
        known.id
    );
    let sum = |cidrs: &mut dyn Iterator<Item = Cidr>| cidrs.map(Cidr::count).sum::<AddressCount>();
    let is_child = |holder: &Holder| matches!(holder, Holder::Child(_));
    let provisioned = sum(&mut world.cidrs_of(known.id).into_iter());
    let children = sum(&mut world.holds_of(known.id).filter(|hold| is_child(&hold.holder)).map(|hold| hold.cidr));
    let assigned = sum(&mut world.holds_of(known.id).filter(|hold| !is_child(&hold.holder)).map(|hold| hold.cidr));
    let below = world.subtree(known.id).into_iter().flat_map(|pool| world.holds_of(pool));
    let in_subtree = sum(&mut below.filter(|hold| !is_child(&hold.holder)).map(|hold| hold.cidr));
    let usage = &told.utilization;
    assert_eq!(
        (usage.provisioned, usage.allocated, usage.assigned, usage.available, usage.assigned_in_subtree),
        (provisioned, children, assigned, provisioned - children - assigned, in_subtree),
        "the figures of {known:?}"
    );
    assert_eq!(usage.allocation_count, world.holds_of(known.id).count() as u64, "the allocations of {known:?}");
    let mut taken: Vec<Cidr> = world.holds_of(known.id).map(|hold| hold.cidr).collect();
    taken.extend(world.observed_in(known.scope).into_iter().map(|(_, cidr, _)| cidr));
    let free = world.cidrs_of(known.id).into_iter().filter_map(|cidr| largest_free(cidr, &taken)).min();
    assert_eq!(usage.largest_free_block.map(Cidr::length), free, "the largest free block of {known:?}");
    if let Some(block) = usage.largest_free_block {
        assert!(!taken.iter().any(|other| other.overlaps(block)), "{block} of {known:?} is not free");
    }
}

/// The netmask length of the largest block inside `cidr` that shares no address with those taken.
fn largest_free(cidr: Cidr, taken: &[Cidr]) -> Option<u8> {
    let inside: Vec<Cidr> = taken.iter().copied().filter(|other| other.overlaps(cidr)).collect();
    if inside.is_empty() {
        return Some(cidr.length());
    }
    if inside.iter().any(|other| other.contains(cidr)) {
        return None;
    }
    let (low, high) = cidr.halves()?;
    [low, high].into_iter().filter_map(|half| largest_free(half, &inside)).min()
}

/// Every interval, as of the last of these outcomes, and who held one block at one instant.
pub fn lineages(rows: &dyn Rows, id: &OrganizationId, known: &[Past], nth: usize) {
    let moment = known.last().expect("some history").moment;
    let head = AnswerHead { revision: moment.revision, decided_at: moment.decided_at };
    let expected = intervals(known);
    let mut told = Vec::new();
    for family in ["0.0.0.0/0", "::/0"] {
        let query = LineageQuery::history(family.parse().expect("a CIDR"));
        let answer = lineage(rows, id, head, &query).expect("memory can be read");
        assert_eq!(answer.next, None, "a small world fits on a page");
        told.extend(answer.held);
    }
    let who = |holder: &Who| match holder {
        Who::Pool { pool, .. } => pool.to_string(),
        Who::Allocation { allocation, .. } => allocation.to_string(),
        Who::Resource { kind, id, .. } => format!("{kind} {id}"),
    };
    let mut told: Vec<_> = told.iter().map(|held| (who(&held.holder), held.cidr, held.from, held.until)).collect();
    told.sort();
    assert_eq!(told, expected, "the lineage of {id} as of {}", moment.revision);
    let Some((_, block, from, _)) = expected.get(nth % expected.len().max(1)) else { return };
    let window = Window::instant(*from);
    let answer = lineage(rows, id, head, &LineageQuery::who(*block, *from)).expect("memory can be read");
    let told: BTreeSet<_> = answer.held.iter().map(|held| (who(&held.holder), held.cidr, held.from)).collect();
    let around = expected.iter().filter(|(_, cidr, from, until)| cidr.contains(*block) && window.meets(*from, *until));
    let around: BTreeSet<_> = around.map(|(who, cidr, from, _)| (who.clone(), *cidr, *from)).collect();
    assert_eq!(told, around, "who held {block} at {from}, as of {}", moment.revision);
}
