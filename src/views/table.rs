//! Sorted rows: what a view's fold reads and writes, and what its queries read. RocksDB in earnest, a
//! sorted map in tests.

use std::ops::ControlFlow;

/// The store of a view cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the store of the views: {0}")]
pub struct TableError(pub String);

/// Rows in key order. Keys of different kinds of rows begin with different bytes, never used again.
pub trait Rows {
    /// # Errors
    /// When the store cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError>;

    /// Calls `each` with the rows of `from..to` in ascending order until it breaks.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn scan(&self, from: &[u8], to: &[u8], each: &mut Visit<'_>) -> Result<(), TableError>;
}

/// What a scan does with a row's key and value.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Rows that a fold changes; it reads what it wrote before.
pub trait Table: Rows {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>);
    fn delete(&mut self, key: Vec<u8>);
}

/// Rows in memory, for tests and for folds of a few records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryTable(std::collections::BTreeMap<Vec<u8>, Vec<u8>>);

impl Rows for MemoryTable {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], each: &mut Visit<'_>) -> Result<(), TableError> {
        if from < to {
            for (key, value) in self.0.range(from.to_vec()..to.to_vec()) {
                if each(key, value).is_break() {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Table for MemoryTable {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.0.insert(key, value);
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.0.remove(&key);
    }
}
