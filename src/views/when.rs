//! Which moment is asked about, and which moment an answer is of (design D14).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::id::Revision;
use crate::domain::time::Timestamp;

/// What an answer knows: everything up to this revision, decided at this instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct AnswerHead {
    pub revision: Revision,
    pub decided_at: Timestamp,
}

/// The part of the world's time that is asked about: from an instant up to, not including, another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    pub from: Timestamp,
    pub until: Timestamp,
}

impl Window {
    /// All of time.
    pub const ALL: Self = Self { from: Timestamp::MIN, until: Timestamp::MAX };

    /// One instant: the microsecond that begins there.
    #[must_use]
    pub fn instant(at: Timestamp) -> Self {
        Self { from: at, until: at.plus_micros(1) }
    }

    /// Whether something that was so from `from` up to `until` (for good, when `None`) was so at any time in the window.
    #[must_use]
    pub fn meets(self, from: Timestamp, until: Option<Timestamp>) -> bool {
        from < self.until && until.is_none_or(|until| until > self.from)
    }
}
