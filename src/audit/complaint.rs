//! What a judge says of a record. What it is evidence of is [`super::diagnosis`]'s to say.

use crate::domain::id::Revision;

/// How an outcome does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// Another revision comes next.
    Revision { expected: Revision },
    /// The hash that it names is not that of the record before.
    Previous,
    /// It has no revision, though its organisation exists, or has events without one.
    Unattached,
    /// It decides a command that an earlier revision decided.
    DecidedAgain { first: Revision },
    /// No correct decision says so.
    Rule(String),
    /// This program cannot read it.
    Unreadable(String),
}
