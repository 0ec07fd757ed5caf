//! No room for bytes, as the system and RocksDB tell it.

use std::io;

/// What there is no room in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// The disk is full, or this user's share of it.
    Disk,
    /// A file may grow no further (`RLIMIT_FSIZE`).
    File,
}

impl NoRoom {
    #[must_use]
    pub fn of_io(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Self::Disk),
            io::ErrorKind::FileTooLarge => Some(Self::File),
            _ => None,
        }
    }

    /// RocksDB tells it in its text alone.
    #[must_use]
    pub fn of_rocksdb(error: &rocksdb::Error) -> Option<Self> {
        let text = error.to_string();
        if text.contains("No space left") || text.contains("quota exceeded") {
            Some(Self::Disk)
        } else {
            text.contains("File too large").then_some(Self::File)
        }
    }
}
