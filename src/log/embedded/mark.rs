//! The mark: how far each partition is known to be on the disk, in the file `END` beside the records.
//!
//! A write-ahead log that was deleted, emptied, or cut off between two records looks like a whole one. The mark tells:
//! a log that ends before it has lost records that were acknowledged. It is written in place after each fsync of
//! records and not synced itself, so that it is never ahead of them and costs no second fsync; after a power failure it
//! may be behind. It says nothing then, and nothing where it cannot be read: a log without one opens, too.
//!
//! One line a partition: its number, where it ends, and a checksum of both; 64 bytes, so that none crosses a sector.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

pub(super) const FILE: &str = "END";
pub(super) const FILE_NEW: &str = "END.new";
const LINE_BYTES: usize = 64;

#[derive(Debug)]
pub(super) struct Mark(File);

impl Mark {
    /// Marks these ends, which are on the disk, durably.
    pub(super) fn begin(directory: &Path, ends: &[u64]) -> io::Result<Self> {
        let new = directory.join(FILE_NEW);
        let lines: String = (0..).zip(ends).map(|(partition, &end)| line(partition, end)).collect();
        let file = File::create(&new)?;
        file.write_all_at(lines.as_bytes(), 0)?;
        file.sync_all()?;
        fs::rename(&new, directory.join(FILE))?;
        File::open(directory)?.sync_all()?;
        Ok(Self(file))
    }

    /// Everything before `end` is on the disk. Where the mark cannot be written it stays behind, which harms nobody.
    pub(super) fn advance(&self, partition: u32, end: u64) {
        let at = u64::from(partition) * LINE_BYTES as u64;
        if let Err(error) = self.0.write_all_at(line(partition, end).as_bytes(), at) {
            tracing::debug!(%error, "the mark of the log's end stays behind");
        }
    }
}

/// What the mark says of each partition, where it says anything.
pub(super) fn read(directory: &Path, partitions: u32) -> Vec<Option<u64>> {
    let bytes = match fs::read(directory.join(FILE)) {
        Ok(bytes) => bytes,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%error, directory = %directory.display(), "{FILE} cannot be read; it is not asked");
            }
            Vec::new()
        }
    };
    let lines = (0..partitions).zip(bytes.chunks(LINE_BYTES).map(Some).chain(std::iter::repeat(None)));
    lines
        .map(|(partition, found)| {
            let end = end_in(partition, found?);
            if end.is_none() {
                tracing::warn!(partition, directory = %directory.display(), "{FILE} cannot be understood; it is not asked");
            }
            end
        })
        .collect()
}

fn line(partition: u32, end: u64) -> String {
    let text = text(partition, end);
    let line = format!("{text} {:08x}", crc32c::crc32c(text.as_bytes()));
    format!("{line:<width$}\n", width = LINE_BYTES - 1)
}

fn text(partition: u32, end: u64) -> String {
    format!("partition {partition} ends at {end:020}")
}

fn end_in(partition: u32, bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let end = text.strip_prefix(&format!("partition {partition} ends at "))?.get(..20)?.parse().ok()?;
    (text == line(partition, end)).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_marked_last_and_nothing_once_a_bit_of_it_was_flipped() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(read(directory.path(), 2), [None, None]);
        let mark = Mark::begin(directory.path(), &[3, u64::MAX]).expect("marked");
        assert_eq!(read(directory.path(), 2), [Some(3), Some(u64::MAX)]);
        mark.advance(0, 4);
        mark.advance(1, 0);
        assert_eq!(read(directory.path(), 2), [Some(4), Some(0)]);
        let sound = fs::read(directory.path().join(FILE)).expect("the file");
        for bit in 0..LINE_BYTES * 8 {
            let mut flipped = sound.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(directory.path().join(FILE), flipped).expect("written");
            assert_eq!(read(directory.path(), 2), [None, Some(0)], "bit {bit}");
        }
        for length in 0..LINE_BYTES {
            fs::write(directory.path().join(FILE), &sound[..length]).expect("written");
            assert_eq!(read(directory.path(), 2), [None, None], "{length} bytes");
        }
    }
}
