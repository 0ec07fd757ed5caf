//! Tells a write that was cut short from damage, before RocksDB reads its own logs.
//!
//! RocksDB drops an incomplete record at the end of a log file without a word. A flipped bit in a record's length
//! makes it look incomplete, too, and then sound, acknowledged records would be dropped with it. Every write of this
//! log is on disk before the next begins, so: a bad record with a sound beginning of another behind it is damage,
//! never a torn write. The manifest has the same format and the same promise.
//!
//! The format is RocksDB's `db/log_format.h`: blocks of 32 KiB with records of checksum (4 bytes), length (2), type (1)
//! and payload; little endian; no record header is split between blocks.

use std::fs;
use std::io;
use std::path::Path;

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;
const FULL: u8 = 1;
const FIRST: u8 = 2;

/// Checks all log files of a store; nothing to do where there is none.
///
/// # Errors
/// Says which file is damaged where.
pub(super) fn check(store: &Path) -> Result<(), String> {
    let entries = match fs::read_dir(store) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{} cannot be listed: {error}", store.display())),
    };
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("MANIFEST-") || path.extension().is_some_and(|extension| extension == "log") {
            let bytes = fs::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            check_bytes(&bytes).map_err(|fault| fault.tell(&path))?;
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// There are sound records behind it.
    Inside(usize),
    /// It is the last one, and it is all there.
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

fn check_bytes(bytes: &[u8]) -> Result<(), Fault> {
    let mut at = 0;
    loop {
        at = skip_trailer(at);
        let Some(record) = bytes.get(at..).filter(|rest| rest.len() >= HEADER_BYTES) else { return Ok(()) };
        match sound_bytes(record, at) {
            Some(length) => at += length,
            None if (at + 1..bytes.len()).any(|at| begins(bytes, at)) => return Err(Fault::Inside(at)),
            None if is_complete(record) => return Err(Fault::Last(at)),
            None => return Ok(()),
        }
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

/// Whether a bad record at the end is one that was written completely: its payload is all there, or is what the
/// checksum speaks of, so that it is the length that is wrong.
fn is_complete(record: &[u8]) -> bool {
    let Some((checksum, rest)) = record.split_first_chunk::<4>() else { return false };
    let Some((length, covered)) = rest.split_first_chunk::<2>() else { return false };
    let zeros = record.iter().take(HEADER_BYTES).all(|&byte| byte == 0);
    let fits = HEADER_BYTES + usize::from(u16::from_le_bytes(*length)) <= record.len();
    !zeros && (fits || u32::from_le_bytes(*checksum) == masked(crc32c::crc32c(covered)))
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
        assert_eq!(check_bytes(&file), Ok(()));
        for length in 0..file.len() {
            assert_eq!(check_bytes(&file[..length]), Ok(()), "cut to {length}");
        }
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(check_bytes(&flipped).is_err(), "bit {} of byte {}", bit % 8, bit / 8);
        }
    }

    #[test]
    fn records_do_not_cross_blocks() {
        let filler = vec![7; BLOCK_BYTES - 2 * HEADER_BYTES - 3];
        let mut file = record(FULL, &filler);
        file.extend(record(FULL, b""));
        file.extend([0; 3]);
        file.extend(record(FULL, b"in the second block"));
        assert_eq!(check_bytes(&file), Ok(()));
        file[BLOCK_BYTES + 9] ^= 1;
        assert_eq!(check_bytes(&file), Err(Fault::Last(BLOCK_BYTES)));
        file[9] ^= 1;
        assert_eq!(check_bytes(&file), Err(Fault::Inside(0)));
    }
}
