//! What every view is: a name, a version, and a fold.

use super::table::{Table, TableError};
use crate::domain::outcome::Outcome;
use crate::log::record::{Offset, Partition};

/// An admitted outcome, as views fold it.
#[derive(Clone, Copy, Debug)]
pub struct Admitted<'a> {
    pub partition: Partition,
    pub offset: Offset,
    pub outcome: &'a Outcome,
    /// The record's value: the bytes that the hash chain covers.
    pub value: &'a [u8],
}

/// A view. Its fold depends on the admitted outcomes alone, in the order of the log.
pub trait View: Send {
    /// The name of its column family, version included (`lineage-1`): a new version is another view,
    /// rebuilt beside the old one. What stands before the number stays.
    fn name(&self) -> &'static str;

    /// What its rows share with the keys that queries seek; `None` when queries get whole keys or scan ranges.
    fn prefixes(&self) -> Option<Prefixes> {
        None
    }

    /// Folds one outcome into the view's rows.
    ///
    /// # Errors
    /// When the rows cannot be read.
    fn fold(&mut self, table: &mut dyn Table, admitted: &Admitted<'_>) -> Result<(), TableError>;

    /// Called once behind the last fold of a batch: for rows that are worth writing once a batch.
    ///
    /// # Errors
    /// When the rows cannot be read.
    fn finish(&mut self, table: &mut dyn Table) -> Result<(), TableError> {
        let _ = table;
        Ok(())
    }

    /// Forgets what it holds in memory: the batch will not be committed.
    fn reset(&mut self) {}
}

/// Says of a key how many of its first bytes a query's seek shares with it, for prefix bloom filters; `None` for
/// keys that are found otherwise. It must depend on those first bytes alone, and keys that share them must give the same.
pub trait Prefix {
    fn length(key: &[u8]) -> Option<usize>;
}

/// A [`Prefix`] as RocksDB takes it.
#[derive(Clone, Copy, Debug)]
pub struct Prefixes {
    pub(super) transform: for<'a> fn(&'a [u8]) -> &'a [u8],
    pub(super) in_domain: fn(&[u8]) -> bool,
    pub(super) length: fn(&[u8]) -> Option<usize>,
}

impl Prefixes {
    #[must_use]
    pub fn of<P: Prefix>() -> Self {
        fn transform<P: Prefix>(key: &[u8]) -> &[u8] {
            P::length(key).and_then(|length| key.get(..length)).unwrap_or(key)
        }
        fn in_domain<P: Prefix>(key: &[u8]) -> bool {
            P::length(key).is_some_and(|length| length <= key.len())
        }
        fn length<P: Prefix>(key: &[u8]) -> Option<usize> {
            P::length(key).filter(|length| *length <= key.len())
        }
        Self { transform: transform::<P>, in_domain: in_domain::<P>, length: length::<P> }
    }
}
