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
    /// The name of its column family, version included: a new version is another view, rebuilt beside the old one.
    fn name(&self) -> &'static str;

    /// Folds one outcome into the view's rows.
    ///
    /// # Errors
    /// When the rows cannot be read.
    fn fold(&mut self, table: &mut dyn Table, admitted: &Admitted<'_>) -> Result<(), TableError>;
}
