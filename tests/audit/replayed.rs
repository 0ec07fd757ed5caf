//! A replayed past answers as the live views do as of it, and holds what a naive model holds there.

use std::sync::Arc;

use ipam_ledger::audit::home;
use ipam_ledger::audit::replay::{Past, PastError, Until};
use ipam_ledger::domain::id::{OrganizationId, Revision};
use ipam_ledger::log::Log;
use ipam_ledger::log::record::Offset;
use ipam_ledger::log::wire::decode_outcome;
use ipam_ledger::views::answer::Paging;
use ipam_ledger::views::projector::Projector;
use ipam_ledger::views::when::{AsOf, When};
use ipam_ledger::views::{Views, objects};
use serde_json::{Value, json};

use super::history::Lanes;
use super::model::world::World;
use super::random::Random;

fn views(log: Arc<dyn Log>) -> (tempfile::TempDir, Views, Projector) {
    let folder = tempfile::tempdir().expect("a directory");
    let (views, projector) = Views::open(folder.path(), log).expect("views");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while let Err(reason) = views.progress().ready() {
        assert!(std::time::Instant::now() < until, "not ready: {reason}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    (folder, views, projector)
}

/// All that the ledger view says of an organisation, or why it says nothing.
fn answers(views: &Views, id: &OrganizationId, as_of: Option<AsOf>, revision: Revision) -> Value {
    let when = When { at: None, as_of };
    let paging = Paging { limit: 1_000, after: None };
    let text = |error: ipam_ledger::views::when::QueryError| error.to_string();
    let mut all = vec![
        json!(views.ask(id, &when, objects::organization).map_err(text)),
        json!(views.ask(id, &when, objects::ipams).map_err(text)),
        json!(views.ask(id, &when, |picture| objects::scopes(picture, None)).map_err(text)),
        json!(views.ask(id, &when, |picture| objects::fullest(picture, 100)).map_err(text)),
        json!(views.ask(id, &when, |picture| objects::pool_tree(picture, None)).map_err(text)),
    ];
    let mut pools = Vec::new();
    ids(&all[4], &mut pools);
    for pool in pools {
        let pool = pool.parse().expect("an id");
        all.push(json!(views.ask(id, &when, |picture| objects::pool(picture, pool)).map_err(text)));
        all.push(json!(views.ask(id, &when, |picture| objects::pool_cidrs(picture, pool)).map_err(text)));
        all.push(json!(views.ask(id, &when, |picture| objects::allocations(picture, pool, &paging)).map_err(text)));
        all.push(json!(views.ask(id, &when, |picture| objects::usage_series(picture, pool, &paging)).map_err(text)));
    }
    let outcomes = views.outcomes(id, Revision(1), 1_000).expect("outcomes");
    let outcomes = outcomes.iter().filter(|outcome| outcome.revision <= Some(revision));
    all.extend(outcomes.map(|outcome| json!((outcome.revision, &outcome.value))));
    Value::Array(all)
}

fn ids(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(id) = members.get("pool").and_then(Value::as_str) {
                found.push(id.to_owned());
            }
            members.values().for_each(|value| ids(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| ids(value, found)),
        _ => {}
    }
}

#[test]
fn a_replayed_past_is_the_one_that_the_live_views_know() {
    let (mut compared, mut pools_seen) = (0, 0);
    for seed in 0..3 {
        let mut random = Random::new(seed ^ 0x9a57);
        let lanes = Lanes::honest(&mut random);
        let log: Arc<dyn Log> = Arc::new(lanes.laid_down());
        let (_folder, live, projector) = views(Arc::clone(&log));
        let histories = lanes.histories();
        let (id, history) = histories.iter().max_by_key(|(_, history)| history.len()).expect("some history");
        let partition = home(log.as_ref(), id).expect("the log can be read");
        let mut world = World::default();
        for (n, (_, offset, value)) in history.iter().enumerate() {
            let outcome = decode_outcome(value).expect("an outcome");
            let revision = Revision(n as u64 + 1);
            outcome.events().iter().for_each(|event| world.fold(revision, event));
            if !random.one_in(6) && n + 1 < history.len() {
                continue;
            }
            let next = history.get(n + 1).map_or(log.end(partition).expect("an end"), |next| Offset(next.1));
            let untils = [
                Until::Revision(revision),
                Until::Instant(outcome.decided_at),
                Until::Position(partition, Offset(*offset)),
                // Up to the record before the next one of this organisation: perhaps an offset that holds none.
                Until::Position(partition, Offset(next.0 - 1)),
            ];
            let until = untils[random.below(untils.len())];
            let past = Past::new(Arc::clone(&log), id.clone(), until).expect("a past");
            let (_folder, past, replaying) = views(Arc::new(past));
            let expected = answers(&live, id, Some(AsOf::Revision(revision)), revision);
            let found = answers(&past, id, None, Revision(u64::MAX));
            assert_eq!(found, expected, "seed {seed}, {id}, {until:?}");
            let mut pools = Vec::new();
            ids(&found[4], &mut pools);
            pools.sort();
            pools.dedup();
            pools_seen += pools.len();
            let mut known: Vec<_> = world.pools.iter().map(|pool| pool.id.to_string()).collect();
            known.sort();
            assert_eq!(pools, known, "seed {seed}, {id}, {until:?}");
            for pool in &world.pools {
                let paging = Paging { limit: 1_000, after: None };
                let told = past
                    .ask(id, &When::default(), |picture| objects::allocations(picture, pool.id, &paging))
                    .expect("it is there")
                    .body
                    .items;
                let mut told: Vec<_> = told.iter().map(|one| (one.allocation, one.cidr)).collect();
                let mut known: Vec<_> = world.holds_of(pool.id).map(|hold| (hold.id, hold.cidr)).collect();
                told.sort();
                known.sort();
                assert_eq!(told, known, "seed {seed}, {id}, {until:?}, {}", pool.id);
            }
            compared += 1;
            replaying.stop().expect("the views are flushed");
        }
        let end = log.end(partition).expect("an end");
        let ahead = Past::new(Arc::clone(&log), id.clone(), Until::Position(partition, end));
        assert!(matches!(ahead, Err(PastError::Ahead { .. })), "{ahead:?}");
        projector.stop().expect("the views are flushed");
    }
    println!("{compared} pasts, {pools_seen} pools in them");
    assert!(compared > 5 && pools_seen > 0);
}
