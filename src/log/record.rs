//! Records of the events log, and the numbers that order them.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::id::OrganizationId;
use crate::domain::time::Timestamp;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The one after this.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// A partition of the log.
    Partition(u32)
);
number!(
    /// A record's position in its partition of the events log. Positions only grow; on Kafka some are skipped.
    Offset(u64)
);
number!(
    /// A command's position in its partition of the command topic.
    SourceOffset(u64)
);
number!(
    /// A writer's reign over a partition: 1, 2, 3 …
    Epoch(u64)
);
number!(
    /// A record's position within its reign: `EpochOpened` is 0.
    Seq(u64)
);

/// One attempt to write a partition: random, new for every attempt.
pub type WriterId = Uuid;
/// One ledger: chosen at random when its first partition is first opened, the same in all its partitions.
pub type LedgerId = Uuid;

/// What a record says of itself beside its value; the hash chain covers the value alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub epoch: Epoch,
    pub seq: Seq,
    /// The command's position in the command topic; absent for commands handed over in process.
    pub source: Option<SourceOffset>,
}

/// The three kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A reign begins. The value is [`EpochOpened`].
    EpochOpened,
    /// A command was decided. The value is `domain::outcome::Outcome`.
    Outcome,
    /// Commands up to the source offset are dealt with and left no outcome here. The value is the SHA-256 of the last
    /// one's value, as text.
    Passed,
}

/// The value of the record that opens a reign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EpochOpened {
    /// The version of the record format that this writer writes.
    pub schema: u16,
    pub epoch: Epoch,
    pub writer: WriterId,
    pub ledger: LedgerId,
    /// The number of partitions of this ledger, for ever. An opening that names none is void.
    #[schemars(range(min = 1))]
    pub partitions: u32,
}

/// A record to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    pub header: Header,
    /// The organisation, for outcomes.
    pub key: Option<OrganizationId>,
    pub value: Arc<[u8]>,
}

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub offset: Offset,
    /// When the log took it, by the log's clock.
    pub appended_at: Timestamp,
    /// `None` when the headers are not such as a processor writes: somebody else's record, void.
    pub header: Option<Header>,
    pub value: Arc<[u8]>,
}
