//! A bad disk under the views: files of RocksDB flipped, cut off, emptied, deleted or replaced by older ones at random.
//! Views that open and answer have exactly the rows of a fold from nothing; any other say in words that they are damaged;
//! and a rebuild heals all.
//!
//! `VIEWS_DAMAGE_CASES` sets how many, `VIEWS_DAMAGE_SEED` the first seed; a failure prints its seed.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::tests::{AllRows, allocate, copy, ledger, open, rows};
use super::{Projector, ProjectorError};
use crate::log::dice::Dice;
use crate::views::Views;
use crate::views::table::{Rows as _, TableError};
use crate::views::testing::{Ledger, shared};

const CASES: u64 = 40;
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn damaged_views_answer_rightly_or_say_so_and_a_rebuild_heals_them() {
    let setting = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (mut ledger, home) = (ledger(), tempfile::tempdir().expect("a folder"));
    // Several files, the older ones of which are kept aside.
    let mut older = Vec::new();
    for _ in 0..3 {
        let (views, projector) = open(home.path(), &ledger);
        ready(&views).expect("nothing is wrong");
        projector.stop().expect("the disk takes it");
        drop(views);
        older.push(copy(home.path()));
        allocate(&mut ledger, 40);
    }
    // The last allocations are in the log alone: there is something to fold over what is damaged.
    let fresh = tempfile::tempdir().expect("a folder");
    let (views, projector) = open(fresh.path(), &ledger);
    ready(&views).expect("nothing is wrong");
    let expected = rows(&views);
    projector.stop().expect("the disk takes it");
    drop(views);

    let first = setting("VIEWS_DAMAGE_SEED").unwrap_or(1);
    let (mut right, mut refused, mut told) = (0, 0, 0);
    for seed in first..first + setting("VIEWS_DAMAGE_CASES").unwrap_or(CASES) {
        let mut dice = Dice(seed);
        let folder = copy(home.path());
        let older = older[dice.below(2)].path();
        let context = format!("seed {seed}: {}", damage(&mut dice, folder.path(), older));
        match Views::open(folder.path(), shared(&ledger.log)) {
            Err(error) => {
                says_what_to_do(&error.to_string(), &context);
                refused += 1;
            }
            Ok((views, projector)) => {
                match ready(&views).and_then(|()| all_rows(&views).map_err(|error| error.to_string())) {
                    Ok(found) => {
                        assert!(found == expected, "{context}: other rows than those of a fold from nothing");
                        right += 1;
                    }
                    Err(words) => {
                        says_what_to_do(&words, &context);
                        let words = views.ready().expect_err("damage was found, and it says that it is ready");
                        says_what_to_do(&words, &context);
                        told += 1;
                    }
                }
                stop(projector);
            }
        }
        heal(folder.path(), &ledger, &expected, &context);
    }
    println!("{right} answered rightly, {refused} were refused, {told} told it later");
    if setting("VIEWS_DAMAGE_SEED").is_none() {
        assert!(right > 0 && refused > 0 && told > 0, "{right} {refused} {told}");
    }
}

fn heal(folder: &Path, ledger: &Ledger, expected: &[(&'static str, AllRows)], context: &str) {
    let cleared = Views::clear(folder, None).unwrap_or_else(|error| panic!("{context}: no rebuild: {error}"));
    assert_eq!(cleared, Views::names(), "{context}");
    let (views, projector) = open(folder, ledger);
    ready(&views).unwrap_or_else(|words| panic!("{context}: rebuilt, and {words}"));
    assert!(rows(&views) == expected, "{context}: rebuilt, and other rows");
    projector.stop().unwrap_or_else(|error| panic!("{context}: rebuilt, and {error}"));
}

fn stop(projector: Projector) {
    // What is damaged may not be flushed either.
    let _ = projector.stop();
}

fn says_what_to_do(words: &str, context: &str) {
    assert!(words.contains("ipam views rebuild"), "{context}: what now? {words}");
}

/// Waits until all is folded; why it will not be.
fn ready(views: &Views) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    loop {
        match views.ready() {
            Err(reason) if reason.contains("catching up") && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(2));
            }
            answer => return answer,
        }
    }
}

fn all_rows(views: &Views) -> Result<Vec<(&'static str, AllRows)>, TableError> {
    let snapshot = views.snapshot();
    let all = |name| {
        let (mut all, rows) = (AllRows::new(), snapshot.rows(name)?);
        rows.scan(&[0], &[0xff], &mut |key, value| {
            all.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        })?;
        // By itself, as queries ask: through filters.
        for (key, value) in &all {
            assert_eq!(rows.get(key)?.as_ref(), Some(value), "a row that a scan found");
        }
        Ok((name, all))
    };
    Views::names().into_iter().map(all).collect()
}

fn damage(dice: &mut Dice, folder: &Path, older: &Path) -> String {
    let names = files(folder);
    let name = &names[dice.below(names.len())];
    let path = folder.join(name);
    let mut bytes = fs::read(&path).expect("the file");
    let at = dice.below(bytes.len());
    let kind =
        ["a bit flipped", "a bit flipped", "zeroed", "cut off", "emptied", "deleted", "an older one"][dice.below(7)];
    let mut told = format!("{}, {kind} at {at} of {}", name.display(), bytes.len());
    match kind {
        "a bit flipped" if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
        "zeroed" => {
            let end = (at + 1 + dice.below(4_096)).min(bytes.len());
            bytes[at.min(end)..end].fill(0);
        }
        "cut off" => bytes.truncate(at),
        "emptied" => bytes.clear(),
        "deleted" => {
            fs::remove_file(&path).expect("removed");
            return told;
        }
        "an older one" => {
            let names = files(older);
            let name = &names[dice.below(names.len())];
            fs::copy(older.join(name), folder.join(name)).expect("copied");
            told = format!("{}, {kind}", name.display());
            return told;
        }
        _ => {}
    }
    fs::write(&path, bytes).expect("written");
    told
}

/// What RocksDB writes for people is left out.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).expect("a folder").map(|entry| PathBuf::from(entry.expect("an entry").file_name()));
    let mut files: Vec<_> = entries.filter(|name| !name.to_string_lossy().starts_with("LO")).collect();
    files.sort();
    files
}

/// Written without a sync, it was empty after a power failure, and kept every later start out: as of another version.
#[test]
fn a_format_file_that_was_not_written_whole_is_damage_that_a_rebuild_heals() {
    let (ledger, folder) = (ledger(), tempfile::tempdir().expect("a folder"));
    let (views, projector) = open(folder.path(), &ledger);
    ready(&views).expect("nothing is wrong");
    let expected = rows(&views);
    projector.stop().expect("the disk takes it");
    drop(views);
    for found in [&b""[..], b"ipam", &[0xff; 13], b"ipam-views 7\n"] {
        fs::write(folder.path().join("FORMAT"), found).expect("written");
        let error = Views::open(folder.path(), shared(&ledger.log)).map(|_| ()).expect_err("it does not open");
        assert!(matches!(error, ProjectorError::Store(_)), "{error}");
        says_what_to_do(&error.to_string(), &format!("{found:?}"));
        heal(folder.path(), &ledger, &expected, &format!("{found:?}"));
    }
}
