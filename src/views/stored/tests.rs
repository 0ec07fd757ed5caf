//! The bytes of the rows are pinned; whatever else stands in a row's place is refused, never a panic; and a batch that
//! is thrown away leaves nothing behind in a view's memory.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Stored, from_bytes, to_bytes};
use crate::domain::Row;
use crate::domain::command::{
    AllocateCidr, CommandBody, CreatePool, CreateScope, DeletePool, ModifyAllocation, ObserveResource,
    ObserveResourceGone, ProvisionPoolCidr, ReleaseAllocation, RetractObservation, SetQuota, TagResource,
};
use crate::domain::digest::Digest;
use crate::domain::event::Event;
use crate::log::record::Offset;
use crate::log::wire::encode_outcome;
use crate::views::ledger::LedgerView;
use crate::views::lineage::LineageView;
use crate::views::table::{MemoryTable, Rows as _};
use crate::views::testing::{ADMIN, Ledger, MEMBER};
use crate::views::view::{Admitted, View};

const ORGANIZATION: &str = "o-rows";

fn ask<T: DeserializeOwned + Into<CommandBody>>(ledger: &mut Ledger, asks: &str, payload: Value) -> Event {
    let body: T = serde_json::from_value(payload).expect("a payload");
    let outcome = ledger.decide(ORGANIZATION, asks, body);
    outcome.events().first().unwrap_or_else(|| panic!("accepted with an event: {outcome:?}")).clone()
}

/// A history that leaves a row of every kind.
fn history() -> Ledger {
    let mut ledger = Ledger::new(1);
    let ipam = ledger.organization(ORGANIZATION);
    ask::<SetQuota>(&mut ledger, super::super::testing::MANAGEMENT, json!({"quota": "pool-depth", "value": 7}));
    ask::<CreateScope>(&mut ledger, ADMIN, json!({"ipam": ipam.ipam, "name": "lab", "description": "apart"}));
    let pools = ["IPv4", "IPv6"].map(|family| {
        let pool = json!({
            "scope": ipam.private_default_scope, "address_family": family.to_lowercase(), "name": family,
            "locale": "eu-central-1", "tags": {"team": "net"},
            "allocation_min_netmask_length": 12, "allocation_resource_tags": {"env": "prod"},
        });
        let Event::PoolCreated(created) = ask::<CreatePool>(&mut ledger, ADMIN, pool) else { panic!("a pool") };
        created.pool
    });
    let [ipv4, ipv6] = pools;
    ask::<ProvisionPoolCidr>(&mut ledger, ADMIN, json!({"pool": ipv4, "cidr": "10.0.0.0/8"}));
    ask::<ProvisionPoolCidr>(&mut ledger, ADMIN, json!({"pool": ipv6, "cidr": "2001:db8::/32"}));
    let child = ask::<CreatePool>(&mut ledger, ADMIN, json!({"source_pool": ipv4, "placement": "random"}));
    let Event::PoolCreated(child) = child else { panic!("a pool") };
    ask::<ProvisionPoolCidr>(&mut ledger, ADMIN, json!({"pool": child.pool, "netmask_length": 12}));
    let claim = |id: &str| {
        json!({
            "kind": "vpc", "id": id, "account": MEMBER, "region": "eu-central-1", "tags": {"env": "prod"},
        })
    };
    let allocate = |ledger: &mut Ledger, payload: Value| {
        let Event::CidrAllocated(allocated) = ask::<AllocateCidr>(ledger, ADMIN, payload) else { panic!("a block") };
        allocated.allocation
    };
    let released = allocate(&mut ledger, json!({"pool": ipv4, "netmask_length": 24, "resource": claim("vpc-1")}));
    let custom = allocate(
        &mut ledger,
        json!({"pool": ipv6, "netmask_length": 64, "description": "the office", "tags": {"floor": "3"}}),
    );
    allocate(&mut ledger, json!({"pool": child.pool, "netmask_length": 20}));
    ask::<ModifyAllocation>(&mut ledger, ADMIN, json!({"allocation": custom, "resource": claim("vpc-2")}));
    ask::<TagResource>(&mut ledger, ADMIN, json!({"resource": ipv4, "tags": {"Name": "four"}}));
    let seen = |at: &str, name: &str| {
        json!({
            "kind": "vpc", "id": "vpc-1", "observed_at": at,
            "cidrs": [{"cidr": "10.16.0.0/24"}, {"cidr": "2001:db8::/64"}],
            "attributes": {"account": MEMBER, "region": "eu-central-1", "name": name, "labels": {"rack": "7"}},
        })
    };
    for (at, name) in [("2024-01-01T00:00:05Z", "one"), ("2024-01-01T00:00:03Z", "two"), ("2024-01-01T00:00:05Z", "x")]
    {
        ask::<ObserveResource>(&mut ledger, MEMBER, seen(at, name));
    }
    let revision = ledger.state(ORGANIZATION).moment().revision;
    ask::<RetractObservation>(
        &mut ledger,
        MEMBER,
        json!({"kind": "vpc", "id": "vpc-1", "observed_at": "2024-01-01T00:00:05Z", "revision": revision}),
    );
    let gone = json!({"kind": "vpc", "id": "vpc-1", "observed_at": "2024-01-01T00:00:09Z", "source": "agent"});
    ask::<ObserveResourceGone>(&mut ledger, MEMBER, gone);
    ask::<ReleaseAllocation>(&mut ledger, ADMIN, json!({"allocation": released}));
    ask::<DeletePool>(&mut ledger, ADMIN, json!({"pool": child.pool, "cascade": true}));
    ledger
}

fn all(table: &MemoryTable) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let each = &mut |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        std::ops::ControlFlow::Continue(())
    };
    table.scan(&[], &[0xff; 64], each).expect("memory does not fail");
    rows
}

#[test]
fn other_bytes_are_another_version_of_the_view() {
    let ledger = history();
    let mut lineage = LineageView::default();
    let mut objects = LedgerView::new(std::sync::Arc::default());
    let views: [&mut dyn View; 2] = [&mut lineage, &mut objects];
    let pinned = views.map(|view| {
        let mut bytes = Vec::new();
        for (key, value) in all(&ledger.fold(view, 3)) {
            (key, value).write(&mut bytes);
        }
        format!("{} {}", view.name(), Digest::of(&bytes))
    });
    let expected = [
        "lineage-2 af57b0a18d4a2f356db7dc45c1418163552a66e69d49a50fcce93a758baea867",
        "ledger-2 28b76509d7f45aa3466ac4b9dd18a50389de2e08e7589be5b9baaedb8b7b4e36",
    ];
    assert_eq!(pinned, expected, "rows changed: give the view the next version in its name, then pin it here");
}

#[test]
fn a_batch_that_is_thrown_away_leaves_nothing_in_memory() {
    let ledger = history();
    let outcomes: Vec<_> = ledger.outcomes.iter().map(|(partition, outcome)| (*partition, outcome)).collect();
    let fold = |view: &mut dyn View, table: &mut MemoryTable, from: usize, to: usize| {
        for (offset, (partition, outcome)) in (0..).map(Offset).zip(&outcomes).take(to).skip(from) {
            let value = encode_outcome(outcome);
            let admitted = Admitted { partition: *partition, offset, outcome, value: &value };
            view.fold(table, &admitted).expect("memory does not fail");
        }
    };
    let make: [fn() -> Box<dyn View>; 2] =
        [|| Box::new(LineageView::default()), || Box::new(LedgerView::new(std::sync::Arc::default()))];
    for make in make {
        let whole = all(&ledger.fold(make().as_mut(), 1_000));
        for cut in 0..outcomes.len() {
            let (mut view, mut table) = (make(), MemoryTable::default());
            fold(view.as_mut(), &mut table, 0, cut);
            view.finish(&mut table).expect("memory does not fail");
            let before = all(&table);
            fold(view.as_mut(), &mut table.clone(), cut, outcomes.len());
            view.reset();
            view.finish(&mut table).expect("memory does not fail");
            assert!(all(&table) == before, "{}: cut at {cut}", view.name());
            fold(view.as_mut(), &mut table, cut, outcomes.len());
            view.finish(&mut table).expect("memory does not fail");
            assert!(all(&table) == whole, "{}: cut at {cut}, folded again", view.name());
        }
    }
}

impl Stored for (Vec<u8>, Vec<u8>) {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.0.write(bytes);
        self.1.write(bytes);
    }

    fn read(reader: &mut super::Reader<'_>) -> Option<Self> {
        Some((Vec::read(reader)?, Vec::read(reader)?))
    }
}

#[test]
fn members_out_of_order_or_doubled_are_refused() {
    use std::collections::{BTreeMap, BTreeSet};
    assert_eq!(from_bytes(&[2, 1, 2]).ok(), Some(BTreeSet::from([1_u8, 2])));
    assert_eq!(from_bytes(&[2, 1, 7, 2, 8]).ok(), Some(BTreeMap::from([(1_u8, 7_u8), (2, 8)])));
    for members in [[2, 1], [1, 1]] {
        assert!(from_bytes::<BTreeSet<u8>>(&[&[2][..], &members].concat()).is_err(), "{members:?}");
        assert!(from_bytes::<BTreeMap<u8, u8>>(&[2, members[0], 7, members[1], 8]).is_err(), "{members:?}");
    }
}

#[test]
fn a_damaged_row_is_refused_and_a_whole_one_comes_back() {
    let ledger = history();
    let state = ledger.state(ORGANIZATION);
    let rows: Vec<Row> = all(&ledger.fold(&mut LedgerView::new(std::sync::Arc::default()), 100))
        .into_iter()
        .filter(|(key, _)| key.first() == Some(&crate::views::kinds::STATE))
        .map(|(_, value)| from_bytes(&value).expect("a row of the state"))
        .collect();
    assert!(rows.iter().any(|row| matches!(row, Row::Resource(_))) && rows.len() > 8, "{rows:?}");
    let restored = crate::domain::State::restore(state.id().clone(), rows.clone());
    assert_eq!(restored.moment(), state.moment());
    for row in rows {
        let bytes = to_bytes(&row);
        assert_eq!(from_bytes::<Row>(&bytes).ok(), Some(row));
        for length in 0..bytes.len() {
            assert!(from_bytes::<Row>(&bytes[..length]).is_err(), "it ends early and is read");
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[length] ^= 1 << bit;
                // One row has one form: what nobody wrote is refused, also where its meaning could be guessed.
                if let Ok(other) = from_bytes::<Row>(&flipped) {
                    assert_eq!(to_bytes(&other), flipped, "byte {length} of {bytes:?}, bit {bit}: {other:?}");
                }
            }
        }
        assert!(from_bytes::<Row>(&[bytes, vec![0]].concat()).is_err(), "more than a row is read");
    }
}
