//! The store against a sorted map: filters, iterators that are used again, and files make no difference.

use std::ops::ControlFlow;

use proptest::prelude::*;

use super::{Commit, Family, Store};
use crate::views::keys::after;
use crate::views::lineage::LineageView;
use crate::views::lineage::model::{events, ops};
use crate::views::lineage::testing::History;
use crate::views::table::{MemoryTable, Rows};
use crate::views::view::View as _;

type Found = Vec<(Vec<u8>, Vec<u8>)>;

fn found(rows: &dyn Rows, from: &[u8], to: &[u8]) -> Found {
    let mut found = Found::new();
    let each = &mut |key: &[u8], value: &[u8]| {
        // A scan within a scan: the iterator in use is not taken for it.
        assert_eq!(rows.get(key).expect("a row").as_deref(), Some(value));
        let mut inner = Vec::new();
        let visit = &mut |key: &[u8], _: &[u8]| {
            inner = key.to_vec();
            ControlFlow::Break(())
        };
        rows.scan(key, &after(key), visit).expect("a scan");
        assert_eq!(inner, key);
        found.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    rows.scan(from, to, each).expect("a scan");
    found
}

/// Writes the rows in pieces, each flushed to a file of its own, and some of them twice.
fn stored(table: &MemoryTable, path: &std::path::Path) -> Store {
    let view = LineageView::default();
    let family = Family { name: view.name(), prefixes: view.prefixes() };
    let store = Store::open(path, &[family]).expect("a store");
    let all = found(table, &[], &[0xff; 64]);
    for piece in 0..3 {
        let of_piece = all.iter().enumerate().filter(|(index, _)| index % 3 == piece || index % 7 == piece);
        let changes = of_piece.map(|(_, (key, value))| (key.clone(), Some(value.clone()))).collect();
        let commit = Commit { family: family.name, changes, positions: std::collections::BTreeMap::new() };
        store.commit(vec![commit]).expect("a write");
        if piece < 2 {
            store.flush().expect("a flush");
        }
    }
    store
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scans_find_what_a_sorted_map_finds(ops in ops(24)) {
        let mut history = History::new();
        for events in events(&ops) {
            history.fold(events);
        }
        let folder = tempfile::tempdir().expect("a folder");
        let store = stored(&history.table, folder.path());
        let snapshot = store.snapshot();
        let rows = snapshot.rows(LineageView::NAME).expect("the view");
        for (key, _) in found(&history.table, &[], &[0xff; 64]) {
            for length in 1..=key.len() {
                let prefix = &key[..length];
                for from in [prefix, &key] {
                    let (expected, is) = (found(&history.table, from, &after(prefix)), found(&rows, from, &after(prefix)));
                    prop_assert!(is == expected, "{from:?} to the end of {prefix:?}");
                }
            }
            // Behind a key, and just before it: nothing may be there.
            let mut behind = key.clone();
            behind.push(1);
            prop_assert_eq!(found(&rows, &behind, &after(&key)), found(&history.table, &behind, &after(&key)));
        }
    }
}
