//! Tells a write that was cut short from damage, before RocksDB reads its own logs.
//!
//! RocksDB drops an incomplete record at the end of a log file without a word. A flipped bit in a record's length
//! makes it look incomplete, too, and then sound, acknowledged records would be dropped with it. Every write of this
//! log is on disk before the next begins, so: a bad record with a sound beginning of another behind it is damage,
//! never a torn write. The manifest has the same format and the same promise.
//!
//! Nor does it notice a write-ahead log that is gone between two others, or whose end is. Each write has the sequence
//! number that the one before it ended with, across files; where one is left out, records are missing.
//!
//! The format is RocksDB's `db/log_format.h`: blocks of 32 KiB with records of checksum (4 bytes), length (2), type (1)
//! and payload; little endian; no record header is split between blocks. A write is one record, or a first, middle ones
//! and a last. Its payload (`db/write_batch.cc`) begins with a sequence number (8), a count (4), and the first
//! operation: type (1), length of the key (1, where it is short), key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::encoding::{KEY_BYTES, offset_of};
use crate::log::record::Partition;

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;
const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;
/// An operation that puts a key.
const PUT: u8 = 1;

/// The first record that a write-ahead log holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FirstRecord {
    pub file: PathBuf,
    pub partition: Partition,
    pub offset: u64,
}

/// Checks all log files of a store; nothing to do where there is none. Gives the first record of each write-ahead log.
///
/// # Errors
/// Says which file is damaged where.
pub(super) fn check(store: &Path) -> Result<Vec<FirstRecord>, String> {
    let entries = match fs::read_dir(store) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{} cannot be listed: {error}", store.display())),
    };
    let mut logs = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(number) = name.strip_suffix(".log").and_then(|number| number.parse::<u64>().ok()) {
            logs.push((number, path));
        } else if name.starts_with("MANIFEST-") {
            writes_in(&path)?;
        }
    }
    logs.sort();
    let (mut firsts, mut last) = (Vec::new(), None);
    for (_, path) in logs {
        let batches: Vec<_> = writes_in(&path)?.iter().filter_map(|write| Batch::of(write)).collect();
        for batch in &batches {
            check_follows(last.as_ref(), batch, &path)?;
            last = Some((batch.next, path.clone()));
        }
        let first = batches.first().and_then(|batch| offset_of(&batch.first_key));
        firsts.extend(first.map(|(partition, offset)| FirstRecord { file: path, partition, offset }));
    }
    Ok(firsts)
}

fn check_follows(last: Option<&(u64, PathBuf)>, batch: &Batch, path: &Path) -> Result<(), String> {
    match last {
        Some((next, before)) if *next != batch.sequence => {
            let (before, path, found) = (before.display(), path.display(), batch.sequence);
            Err(format!("{before} ends before write {next}, and {path} goes on with write {found}: some are missing"))
        }
        _ => Ok(()),
    }
}

fn writes_in(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let bytes = fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    check_bytes(&bytes).map_err(|fault| fault.tell(path))
}

/// What one write of the log begins with.
struct Batch {
    sequence: u64,
    /// The sequence number of the write behind it.
    next: u64,
    first_key: [u8; KEY_BYTES],
}

impl Batch {
    fn of(payload: &[u8]) -> Option<Self> {
        let (sequence, rest) = payload.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let ([operation, length], rest) = rest.split_first_chunk::<2>()?;
        if *operation != PUT || usize::from(*length) != KEY_BYTES {
            return None;
        }
        let sequence = u64::from_le_bytes(*sequence);
        let next = sequence.wrapping_add(u64::from(u32::from_le_bytes(*count)));
        Some(Self { sequence, next, first_key: *rest.first_chunk()? })
    }
}

/// How much of a write's payload is kept.
const BEGINNING_BYTES: usize = 8 + 4 + 2 + KEY_BYTES;

#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// There are sound records behind it.
    Inside(usize),
    /// It is in the last write, which begins here, and what is wrong there is more than a missing end.
    Last(usize),
}

impl Fault {
    fn tell(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Inside(at) => {
                format!("{path} has a bad record at byte {at} and sound ones behind it: a bit was flipped")
            }
            Self::Last(at) => format!(
                "the last record of {path}, at byte {at}, does not match its checksum: a bit was flipped, or the power \
                 failed during this write. In the second case nobody was told that it succeeded, and \
                 `truncate -s {at} {path}` drops it"
            ),
        }
    }
}

/// The beginnings of all writes.
fn check_bytes(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    let (mut writes, mut at) = (Vec::new(), 0);
    // Where the write under way begins, and what it begins with.
    let mut open: Option<(usize, Vec<u8>)> = None;
    loop {
        at = skip_trailer(at);
        let Some(record) = bytes.get(at..).filter(|rest| rest.len() >= HEADER_BYTES) else { return Ok(writes) };
        let Some(length) = sound_bytes(record, at) else {
            let begin = open.map_or(at, |(begin, _)| begin);
            let behind = (at + 1..bytes.len()).any(|at| begins(bytes, at));
            return match (behind, is_cut_short(record, at)) {
                (true, _) => Err(Fault::Inside(at)),
                (false, false) => Err(Fault::Last(begin)),
                (false, true) => Ok(writes),
            };
        };
        let kind = record.get(6).copied().unwrap_or_default();
        let payload = record.get(HEADER_BYTES..length).unwrap_or_default();
        // The first part may be as short as nothing, at the end of a block.
        let longer = |mut beginning: Vec<u8>| {
            beginning.extend(payload.iter().take(BEGINNING_BYTES.saturating_sub(beginning.len())));
            beginning
        };
        open = match (kind, open) {
            (FULL, None) => {
                writes.push(longer(Vec::new()));
                None
            }
            (FIRST, None) => Some((at, longer(Vec::new()))),
            (MIDDLE, Some((begin, beginning))) => Some((begin, longer(beginning))),
            (LAST, Some((_, beginning))) => {
                writes.push(longer(beginning));
                None
            }
            // The rest of a write whose first part is gone, or the first part of one whose rest is.
            (_, open) => return Err(Fault::Inside(open.map_or(at, |(begin, _)| begin))),
        };
        at += length;
    }
}

/// Where the next header can begin.
fn skip_trailer(at: usize) -> usize {
    let left = BLOCK_BYTES - at % BLOCK_BYTES;
    if left < HEADER_BYTES { at + left } else { at }
}

/// The bytes of the record with its header, when it is sound. `at` is its place in the file.
fn sound_bytes(record: &[u8], at: usize) -> Option<usize> {
    let (checksum, rest) = record.split_first_chunk::<4>()?;
    let length = usize::from(u16::from_le_bytes(*rest.first_chunk::<2>()?));
    let end = HEADER_BYTES + length;
    if end > BLOCK_BYTES - at % BLOCK_BYTES {
        return None;
    }
    let covered = record.get(6..end)?;
    (u32::from_le_bytes(*checksum) == masked(crc32c::crc32c(covered))).then_some(end)
}

/// Whether a sound record begins here that does not continue another.
fn begins(bytes: &[u8], at: usize) -> bool {
    bytes.get(at + 6).is_some_and(|&kind| kind == FULL || kind == FIRST)
        && bytes.get(at..).is_some_and(|record| sound_bytes(record, at).is_some())
}

/// Whether a bad record at the end is one whose end was never written: its payload is not all there, nor is what is
/// there what the checksum speaks of, which would mean that it is the length that is wrong. Or nothing was written but
/// the file made longer. Nobody writes a length that goes beyond the block. `at` is its place in the file.
fn is_cut_short(record: &[u8], at: usize) -> bool {
    let Some((checksum, rest)) = record.split_first_chunk::<4>() else { return true };
    let Some((length, covered)) = rest.split_first_chunk::<2>() else { return true };
    let end = HEADER_BYTES + usize::from(u16::from_le_bytes(*length));
    let is_whole = end <= record.len()
        || end > BLOCK_BYTES - at % BLOCK_BYTES
        || u32::from_le_bytes(*checksum) == masked(crc32c::crc32c(covered));
    !is_whole || record.iter().all(|&byte| byte == 0)
}

/// RocksDB stores checksums masked, because checksums of data with checksums in it are weak.
fn masked(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut covered = vec![kind];
        covered.extend(payload);
        let mut bytes = masked(crc32c::crc32c(&covered)).to_le_bytes().to_vec();
        bytes.extend(u16::try_from(payload.len()).expect("short").to_le_bytes());
        bytes.extend(covered);
        bytes
    }

    #[test]
    fn every_flipped_bit_is_damage_and_every_cut_is_a_torn_tail() {
        let file = [record(FULL, b"first"), record(FIRST, b"sec"), record(4, b"ond"), record(FULL, b"third")].concat();
        assert!(check_bytes(&file).is_ok());
        for length in 0..file.len() {
            assert!(check_bytes(&file[..length]).is_ok(), "cut to {length}");
        }
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(check_bytes(&flipped).is_err(), "bit {} of byte {}", bit % 8, bit / 8);
        }
    }

    fn batch(sequence: u64, count: u32, offset: u64) -> Vec<u8> {
        let mut bytes = sequence.to_le_bytes().to_vec();
        bytes.extend(count.to_le_bytes());
        bytes.extend([PUT, 12]);
        bytes.extend(super::super::encoding::key(Partition(0), offset));
        bytes.extend([1, b'x']);
        bytes
    }

    fn store(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let store = tempfile::tempdir().expect("a folder");
        for (name, bytes) in files {
            fs::write(store.path().join(name), bytes).expect("written");
        }
        store
    }

    #[test]
    fn a_write_that_is_missing_between_two_others_is_named_across_files() {
        let whole = [("000004.log", record(FULL, &batch(1, 2, 0))), ("000010.log", record(FULL, &batch(3, 1, 2)))];
        let first = |name: &str, offset| (name.to_owned(), offset);
        let found = |files: &[(&str, Vec<u8>)]| {
            let store = store(files);
            let firsts = check(store.path())?;
            Ok::<_, String>(
                firsts
                    .into_iter()
                    .map(|first| {
                        (first.file.file_name().unwrap_or_default().to_string_lossy().into_owned(), first.offset)
                    })
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(found(&whole), Ok(vec![first("000004.log", 0), first("000010.log", 2)]));
        assert_eq!(found(&[whole[0].clone(), ("000010.log", Vec::new())]), Ok(vec![first("000004.log", 0)]));
        let cut = [whole[0].clone(), ("000010.log", record(FULL, &batch(4, 1, 3)))];
        let words = found(&cut).expect_err("write 3 is missing");
        assert!(words.contains("000004.log ends before write 3") && words.contains("write 4"), "{words}");
    }

    /// Its first part then has fewer bytes than say which write it is: it was overlooked.
    #[test]
    fn a_write_that_begins_at_the_end_of_a_block_is_known_by_its_number() {
        for room in 0..40 {
            let filler = vec![7; BLOCK_BYTES - 3 * HEADER_BYTES - 28 - room];
            let second = batch(2, 1, 1);
            let (head, tail) = second.split_at(room.min(second.len()));
            let parts =
                if tail.is_empty() { record(FULL, head) } else { [record(FIRST, head), record(4, tail)].concat() };
            let file = [record(FULL, &batch(1, 1, 0)), record(FULL, &filler), parts].concat();
            let writes = check_bytes(&file).expect("it is sound");
            let numbers: Vec<_> =
                writes.iter().filter_map(|write| Batch::of(write)).map(|batch| batch.sequence).collect();
            assert_eq!(numbers, [1, 2], "{room} bytes of it are in the first block");
        }
    }

    /// In the first part it claimed more than the file has, and no other write was behind: it was taken for torn.
    #[test]
    fn a_flipped_length_in_the_last_write_is_damage_where_it_goes_over_two_blocks() {
        let sound = record(FULL, b"first");
        let head = vec![7; BLOCK_BYTES - sound.len() - HEADER_BYTES];
        let file = [sound.clone(), record(FIRST, &head), record(4, b"the end of it")].concat();
        assert!(check_bytes(&file).is_ok());
        for bit in 0..16 {
            let mut flipped = file.clone();
            flipped[sound.len() + 4 + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check_bytes(&flipped), Err(Fault::Last(sound.len())), "bit {bit} of the length");
        }
    }

    /// The disk wrote the end of a large write, and not its middle: RocksDB refuses that without saying what helps.
    #[test]
    fn a_last_write_with_a_hole_is_told_with_the_place_to_cut() {
        let sound = record(FULL, b"first");
        let head = vec![7; BLOCK_BYTES - sound.len() - HEADER_BYTES];
        let middle = vec![8; BLOCK_BYTES - HEADER_BYTES];
        let mut file = [sound.clone(), record(FIRST, &head), record(3, &middle), record(4, b"end")].concat();
        assert!(check_bytes(&file).is_ok());
        file[BLOCK_BYTES..2 * BLOCK_BYTES].fill(0);
        assert_eq!(check_bytes(&file), Err(Fault::Last(sound.len())));
        assert!(check_bytes(&file[..sound.len()]).is_ok());
        file.truncate(2 * BLOCK_BYTES);
        assert!(check_bytes(&file).is_ok(), "nothing but zeros behind the first part");
    }

    #[test]
    fn records_do_not_cross_blocks() {
        let filler = vec![7; BLOCK_BYTES - 2 * HEADER_BYTES - 3];
        let mut file = record(FULL, &filler);
        file.extend(record(FULL, b""));
        file.extend([0; 3]);
        file.extend(record(FULL, b"in the second block"));
        assert!(check_bytes(&file).is_ok());
        file[BLOCK_BYTES + 9] ^= 1;
        assert_eq!(check_bytes(&file), Err(Fault::Last(BLOCK_BYTES)));
        file[9] ^= 1;
        assert_eq!(check_bytes(&file), Err(Fault::Inside(0)));
    }
}
