//! A bad disk and a clumsy operator: histories drawn and written through the real log, their files damaged at random,
//! opened again. A log that opens and can be read has all that was acknowledged and nothing else, and goes on; any other
//! says in words what is wrong, and is left as it was.
//!
//! `LOG_DAMAGE_CASES` sets how many, `LOG_DAMAGE_SEED` the first seed; a failure prints the seed that it began with.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::tests::{copy, read_all};
use super::*;
use crate::log::dice::Dice;
use crate::log::record::{Epoch, Header, Kind, Seq};

const CASES: u64 = 12;
/// Damages done to copies of one log.
const DAMAGES_PER_CASE: usize = 10;
const ZERO: Partition = Partition(0);
const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;
const LENGTH_AT: usize = 4;

/// A log as a power failure leaves it, and what of it was acknowledged.
struct Left {
    folder: tempfile::TempDir,
    acknowledged: Vec<String>,
    /// The same log some time before.
    earlier: tempfile::TempDir,
    /// The write-ahead log with one more write, whole, that nobody was told of.
    more: (PathBuf, Vec<u8>),
}

#[test]
fn no_damage_to_files_loses_or_invents_a_record_unseen() {
    let setting = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = setting("LOG_DAMAGE_SEED").unwrap_or(1);
    let mut done: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for seed in first..first + setting("LOG_DAMAGE_CASES").unwrap_or(CASES) {
        let mut dice = Dice(seed);
        let left = history(&mut dice);
        for turn in 0..DAMAGES_PER_CASE {
            let folder = tempfile::tempdir().expect("a folder");
            copy(left.folder.path(), folder.path());
            let (kind, told) = damage(&mut dice, &left, folder.path());
            let context = format!("seed {seed}, damage {turn}: {told}");
            let seen = judge(&mut dice, folder.path(), &left.acknowledged, kind, &context);
            done.entry(kind.name()).or_default()[seen as usize] += 1;
        }
    }
    println!("opened whole, refused at opening, refused at reading: {done:#?}");
    if setting("LOG_DAMAGE_SEED").is_none() {
        for kind in Damage::ALL {
            assert!(done.contains_key(kind.name()), "{} never happened", kind.name());
        }
    }
}

/// Some sessions, the last of which ends with the power.
fn history(dice: &mut Dice) -> Left {
    let home = tempfile::tempdir().expect("a folder");
    let (folder, earlier) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let mut acknowledged = Vec::new();
    let sessions = 1 + dice.below(4);
    let earlier_in = dice.below(sessions);
    for session in 0..sessions {
        let log = EmbeddedLog::open(home.path(), 1).expect("the log");
        let mut appender = log.appender(ZERO).expect("an appender");
        for _ in 0..dice.below(8) + usize::from(session == 0) {
            acknowledged.extend(append(dice, appender.as_mut(), acknowledged.len()));
        }
        if session == earlier_in {
            copy(home.path(), earlier.path());
        }
        for _ in 0..dice.below(8) {
            acknowledged.extend(append(dice, appender.as_mut(), acknowledged.len()));
        }
        if session + 1 < sessions {
            continue;
        }
        copy(home.path(), folder.path());
        append(dice, appender.as_mut(), acknowledged.len());
        let wal = files(home.path()).into_iter().rfind(|path| is_wal(path)).expect("a write-ahead log");
        let bytes = fs::read(home.path().join(&wal)).expect("the file");
        return Left { folder, acknowledged, earlier, more: (wal, bytes) };
    }
    unreachable!("the last session returns")
}

/// One batch; the values of its records.
fn append(dice: &mut Dice, appender: &mut dyn Appender, begin: usize) -> Vec<String> {
    let large = if dice.one_in(6) { 90_000 } else { 300 };
    let count = 1 + dice.below(3);
    let values: Vec<_> = (begin..begin + count).map(|number| format!("{number} {}", noise(dice, large))).collect();
    let record = |value: &String| NewRecord {
        header: Header { kind: Kind::Outcome, epoch: Epoch(1), seq: Seq(1), source: None },
        key: None,
        value: Arc::from(value.as_bytes()),
    };
    appender.append(values.iter().map(record).collect()).expect("an append");
    values
}

fn noise(dice: &mut Dice, most: usize) -> String {
    (0..dice.below(most)).map(|_| char::from(b' ' + u8::try_from(dice.below(90)).expect("small"))).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    None,
    /// The last write did not reach the disk whole, and nobody was told that it did.
    TornTail,
    /// The file was made longer, and nothing written.
    ZeroTail,
    /// Files of others beside ours.
    StrayFiles,
    /// The mark is gone or cannot be read: nothing else is wrong.
    MarkLost,
    FlippedBit,
    /// After a power failure the mark may be an old one.
    FlippedBitAndOldMark,
    Zeroed,
    CutOff,
    Emptied,
    Deleted,
    /// A file of the same log as it was before.
    OlderFile,
    /// All but the mark is as it was before.
    OlderRecords,
}

impl Damage {
    const ALL: [Self; 13] = [
        Self::None,
        Self::TornTail,
        Self::ZeroTail,
        Self::StrayFiles,
        Self::MarkLost,
        Self::FlippedBit,
        Self::FlippedBitAndOldMark,
        Self::Zeroed,
        Self::CutOff,
        Self::Emptied,
        Self::Deleted,
        Self::OlderFile,
        Self::OlderRecords,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::TornTail => "torn tail",
            Self::ZeroTail => "zero tail",
            Self::StrayFiles => "stray files",
            Self::MarkLost => "mark lost",
            Self::FlippedBit => "flipped bit",
            Self::FlippedBitAndOldMark => "flipped bit, old mark",
            Self::Zeroed => "zeroed",
            Self::CutOff => "cut off",
            Self::Emptied => "emptied",
            Self::Deleted => "deleted",
            Self::OlderFile => "older file",
            Self::OlderRecords => "older records",
        }
    }

    /// Nothing that was acknowledged is touched: the log opens.
    fn is_harmless(self) -> bool {
        matches!(self, Self::None | Self::TornTail | Self::ZeroTail | Self::StrayFiles | Self::MarkLost)
    }
}

/// Damages the log in `folder`; says how.
fn damage(dice: &mut Dice, left: &Left, folder: &Path) -> (Damage, String) {
    let kind = *dice.of(&Damage::ALL);
    let (wal, more) = &left.more;
    let whole = fs::read(folder.join(wal)).map(|bytes| bytes.len()).unwrap_or_default();
    let names = files(folder);
    let name = dice.of(&names).clone();
    let path = folder.join(&name);
    let mut bytes = fs::read(&path).expect("the file");
    let at = dice.below(bytes.len());
    let mut told = format!("{kind:?} {} at {at} of {}", name.display(), bytes.len());
    let write = |path: &Path, bytes: &[u8]| fs::write(path, bytes).expect("written");
    match kind {
        Damage::None => {}
        Damage::TornTail => {
            let kept = whole + dice.below(more.len() - whole);
            write(&folder.join(wal), &more[..kept]);
            told = format!("{kind:?} {} has {whole} and {} torn at {kept}", wal.display(), more.len());
        }
        Damage::ZeroTail => {
            let mut longer = more[..whole].to_vec();
            longer.resize(whole + dice.below(100_000), 0);
            write(&folder.join(wal), &longer);
        }
        Damage::StrayFiles => {
            for stray in
                ["FORMAT~", "END~", "records/000004.log~", "records/.000004.log.swp", "records/copy of 000004.log"]
            {
                write(&folder.join(stray), &noise(dice, 300).into_bytes());
            }
            fs::create_dir(folder.join("lost+found")).expect("a folder");
        }
        Damage::MarkLost => match dice.below(3) {
            0 => fs::remove_file(folder.join(mark::FILE)).expect("removed"),
            1 => write(&folder.join(mark::FILE), b""),
            _ => write(&folder.join(mark::FILE), &[0; 64]),
        },
        Damage::FlippedBit | Damage::FlippedBitAndOldMark => {
            // What a header of the write-ahead log says is what RocksDB believes, its length above all; a bit there is hit
            // too rarely by itself.
            let headers = headers(&more[..whole]);
            let mut in_header = dice.below(HEADER_BYTES);
            let unmarked = kind == Damage::FlippedBitAndOldMark;
            if unmarked {
                in_header = LENGTH_AT + dice.below(2);
                fs::copy(left.earlier.path().join(mark::FILE), folder.join(mark::FILE)).expect("copied");
            }
            if !headers.is_empty() && (unmarked || dice.one_in(2)) {
                bytes = more[..whole].to_vec();
                let at = dice.of(&headers) + in_header;
                bytes[at] ^= 1 << dice.below(8);
                write(&folder.join(wal), &bytes);
                return (kind, format!("{kind:?} in the header of a record of {}, at {at}", wal.display()));
            }
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
            write(&path, &bytes);
        }
        Damage::Zeroed => {
            let end = (at + 1 + dice.below(4_096)).min(bytes.len());
            bytes[at.min(end)..end].fill(0);
            write(&path, &bytes);
        }
        Damage::CutOff => write(&path, &bytes[..at]),
        Damage::Emptied => write(&path, b""),
        Damage::Deleted => fs::remove_file(&path).expect("removed"),
        Damage::OlderFile => {
            let older = files(left.earlier.path());
            let name = dice.of(&older);
            told = format!("{kind:?} {}", name.display());
            fs::copy(left.earlier.path().join(name), folder.join(name)).expect("copied");
        }
        Damage::OlderRecords => {
            fs::remove_dir_all(folder.join("records")).expect("removed");
            copy(&left.earlier.path().join("records"), &folder.join("records"));
        }
    }
    (kind, told)
}

/// Where the records of a sound write-ahead log begin; `db/log_format.h` of RocksDB.
fn headers(bytes: &[u8]) -> Vec<usize> {
    let (mut headers, mut at) = (Vec::new(), 0);
    while at + HEADER_BYTES <= bytes.len() {
        let left = BLOCK_BYTES - at % BLOCK_BYTES;
        if left < HEADER_BYTES {
            at += left;
            continue;
        }
        headers.push(at);
        at += HEADER_BYTES + usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
    }
    headers
}

/// What came of a damage.
#[derive(Clone, Copy)]
enum Seen {
    Whole,
    AtOpening,
    AtReading,
}

fn judge(dice: &mut Dice, folder: &Path, acknowledged: &[String], kind: Damage, context: &str) -> Seen {
    let before = contents(folder);
    if dice.one_in(2) {
        // Whoever only reads sees the same.
        let read = EmbeddedLog::open_read_only(folder).map(|log| read_all(&log));
        if let Ok(Ok(read)) = read {
            assert!(read == acknowledged, "{context}: a reader finds {} of {}", read.len(), acknowledged.len());
        }
        assert!(contents(folder) == before, "{context}: reading changed the files");
    }
    let log = match EmbeddedLog::open(folder, 1) {
        Ok(log) => log,
        Err(error) => {
            let words = error.to_string();
            assert!(!kind.is_harmless(), "{context}: {words}");
            assert!(words.contains(&folder.display().to_string()), "{context}: where? {words}");
            assert!(
                ["backup", "choose an", "run the program that", "ask for"].iter().any(|advice| words.contains(advice)),
                "{context}: what now? {words}"
            );
            assert!(contents(folder) == before, "{context}: refused, and changed: {words}");
            return Seen::AtOpening;
        }
    };
    match read_all(&log) {
        Ok(read) => assert!(read == acknowledged, "{context}: {} of {} are there", read.len(), acknowledged.len()),
        Err(error) => {
            let words = error.to_string();
            assert!(!kind.is_harmless(), "{context}: {words}");
            assert!(words.contains("at offset") && words.contains("backup"), "{context}: {words}");
            return Seen::AtReading;
        }
    }
    let mut all = acknowledged.to_vec();
    let mut appender = log.appender(ZERO).expect("an appender");
    for _ in 0..=dice.below(3) {
        all.extend(append(dice, appender.as_mut(), all.len()));
    }
    drop((appender, log));
    let log = EmbeddedLog::open(folder, 1).unwrap_or_else(|error| panic!("{context}: opened once, and now {error}"));
    assert!(read_all(&log).is_ok_and(|read| read == all), "{context}: what was appended behind it");
    Seen::Whole
}

/// The files that hold something, by their paths in the log's folder: what RocksDB writes for people is left out.
fn files(folder: &Path) -> Vec<PathBuf> {
    let of = |inner: &str| {
        let entries = fs::read_dir(folder.join(inner)).expect("a folder").map(|entry| entry.expect("an entry").path());
        entries.filter(|path| path.is_file()).collect::<Vec<_>>()
    };
    let mut files: Vec<_> = of("").into_iter().chain(of("records")).collect();
    files.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        !name.starts_with("LOG") && !["LOCK", "OWNER"].contains(&name.as_str())
    });
    for path in &mut files {
        *path = path.strip_prefix(folder).expect("within").to_owned();
    }
    files.sort();
    files
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files(folder).into_iter().map(|name| (name.clone(), fs::read(folder.join(name)).expect("a file"))).collect()
}

fn is_wal(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}
