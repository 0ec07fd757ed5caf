//! The real change history, 2017 to 2022 (design D17): the same answers in whatever order its rows come.

use std::collections::BTreeSet;
use std::io::Read as _;

use super::testing::{History, name};
use super::{ChangesFilter, LineageQuery, changes, lineage};
use crate::domain::command::{ObservedCidr, ResourceAttributes, Tags};
use crate::domain::event::{self, Event};
use crate::domain::kind::ResourceKind;
use crate::domain::time::Timestamp;
use crate::views::lineage::answers::{ChangeCounts, Holder, Observed};
use crate::views::table::Rows as _;
use crate::views::when::Window;

fn rows_of_the_file() -> Vec<Event> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/aws-ranges-2017-2022.csv.gz");
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("the data is part of the project");
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("it is text");
    let mut lines = csv::Reader::from_reader(text.as_bytes());
    lines
        .records()
        .map(|row| {
            let row = row.expect("six columns");
            let (when, change, cidr, region, service, group) = (&row[0], &row[1], &row[2], &row[3], &row[4], &row[5]);
            let name = name(ResourceKind::Prefix, &format!("{service}/{region}/{cidr}"));
            let observed_at: Timestamp = when.parse().expect("an instant");
            if change == "vanished" {
                return event::ResourceGone {
                    kind: name.kind,
                    id: name.id,
                    observed_at,
                    reported_at: None,
                    source: None,
                }
                .into();
            }
            let mut labels = Tags::new();
            if !group.is_empty() {
                labels.insert("network_border_group".to_owned(), group.to_owned());
            }
            event::ResourceObserved {
                kind: name.kind,
                id: name.id,
                observed_at,
                reported_at: None,
                cidrs: vec![ObservedCidr { cidr: cidr.parse().expect("a CIDR"), visibility: None }],
                attributes: ResourceAttributes {
                    region: region.parse().ok(),
                    name: Some(service.to_owned()),
                    labels,
                    ..ResourceAttributes::default()
                },
                not_monitored: None,
            }
            .into()
        })
        .collect()
}

fn folded(events: Vec<Event>) -> History {
    let mut history = History { step: 1_700_000_000_000, ..History::new() };
    // Many events to an outcome: one each would spend most of the test on summaries. One command never
    // speaks twice of one resource, though.
    let (mut outcome, mut named) = (Vec::new(), BTreeSet::new());
    for event in events {
        let id = match &event {
            Event::ResourceObserved(event) => &event.id,
            Event::ResourceGone(event) => &event.id,
            other => panic!("{other:?}"),
        };
        if !named.insert(id.clone()) {
            history.fold(std::mem::take(&mut outcome));
            named = [id.clone()].into();
        }
        outcome.push(event);
    }
    history.fold(outcome);
    history
}

/// Every interval, revisions aside.
fn intervals(history: &History) -> BTreeSet<(String, Timestamp, Option<Timestamp>)> {
    let mut all = BTreeSet::new();
    for family in [crate::address::Family::Ipv4, crate::address::Family::Ipv6] {
        let prefix = super::keys::spans(&history.organization, family, super::keys::Generation::Current);
        let width = prefix.bytes().len();
        history
            .table
            .scan(prefix.bytes(), &prefix.end(), &mut |key, value| {
                let generation = super::keys::Generation::Current;
                let (span, _) = super::rows::read_any_span(family, &key[width..], value, generation).expect("a span");
                let super::keys::Entry::Resource(name) = span.entry else { panic!("only resources") };
                all.insert((name.id, span.from, span.row.until));
                std::ops::ControlFlow::Continue(())
            })
            .expect("memory can be read");
    }
    all
}

fn instant(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

#[test]
fn real_changes_give_the_known_answers_in_any_order() {
    let events = rows_of_the_file();
    assert_eq!(events.len(), 33_274);
    let history = folded(events.clone());
    let all = intervals(&history);
    let resources: BTreeSet<_> = all.iter().map(|(id, _, _)| id).collect();
    assert_eq!((resources.len(), all.len()), (12_746, 12_961));

    let mut shuffled = events;
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..shuffled.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        shuffled.swap(last, usize::try_from(seed >> 33).expect("small") % (last + 1));
    }
    assert!(intervals(&folded(shuffled)) == all, "the order of arrival changed the intervals");

    let who = LineageQuery::who("52.94.76.5/32".parse().expect("a CIDR"), instant("2019-03-01T00:00:00Z"));
    let answer = lineage(&history.table, &history.organization, history.head(), &who).expect("an answer");
    assert_eq!((answer.held.len(), answer.observed, answer.next), (1, Some(Observed::Known), None));
    let held = &answer.held[0];
    assert_eq!((held.cidr.to_string().as_str(), held.until), ("52.94.76.0/22", None));
    assert_eq!(held.from, instant("2017-10-03T17:12:11Z"));
    let Holder::Resource { id, .. } = &held.holder else { panic!("a resource") };
    assert_eq!(id, "AMAZON/us-west-2/52.94.76.0/22");
    let history_of = LineageQuery::history("52.94.76.5/32".parse().expect("a CIDR"));
    let answer = lineage(&history.table, &history.organization, history.head(), &history_of).expect("an answer");
    assert_eq!(answer.held.len(), 1);
    assert_eq!(answer.held[0].changes.len(), 3, "the border group was set, taken back, and set again");

    let before = LineageQuery::who("52.94.76.5/32".parse().expect("a CIDR"), instant("2017-10-03T17:12:10Z"));
    let answer = lineage(&history.table, &history.organization, history.head(), &before).expect("an answer");
    assert_eq!(answer.held, []);
    let first_observed = instant("2017-10-03T17:12:11Z");
    assert_eq!(answer.observed, Some(Observed::UnknownUntil { first_observed }));

    let filter = ChangesFilter { kind: ResourceKind::Prefix, region: "eu-central-1".parse().ok() };
    let year = Window { from: instant("2020-01-01T00:00:00Z"), until: instant("2021-01-01T00:00:00Z") };
    let (table, organization) = (&history.table, &history.organization);
    let whole = changes(table, organization, history.head(), &filter, year, 1_000, None).expect("an answer");
    let counts = ChangeCounts { appeared_count: 178, vanished_count: 28, both_count: 25 };
    assert_eq!(whole.counts, Some(counts));
    let mut paged = Vec::new();
    let mut next = None;
    loop {
        let page = changes(table, organization, history.head(), &filter, year, 90, next.as_deref()).expect("an answer");
        assert_eq!(page.counts, next.is_none().then_some(counts), "the first page says them");
        paged.extend(page.changes);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(paged, whole.changes);
}
