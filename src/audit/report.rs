//! What an audit says: what it saw, where every history ends, and what is wrong, each named as what it is.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::digest::Digest;
use crate::domain::id::{OrganizationId, Revision};
use crate::log::admission::Admission;
use crate::log::record::{LedgerId, Offset, Partition};

/// What an audit saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The ledger, as its first reign names it; absent in a log without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerId>,
    /// How many partitions were read.
    pub partitions: u32,
    pub records: u64,
    pub accepted: u64,
    pub rejected: u64,
    /// Rejections for organisations that do not exist: part of no history.
    pub unattached: u64,
    /// Records without effect, by what they are. They are legal: a paused or deposed writer leaves such.
    pub void: BTreeMap<VoidKind, u64>,
    /// Outcomes before the trusted checkpoint: their chain was followed, their decisions were not judged again.
    pub trusted: u64,
    /// Outcomes that answer a command which the auditor holds, by its digest.
    pub proved: u64,
    /// Each organisation's last revision, and the hash of its last record. Without those in which something is wrong.
    pub heads: BTreeMap<OrganizationId, Head>,
    /// Where the reading ended, and the fold of admission there.
    pub admissions: BTreeMap<Partition, Admission>,
    /// How many of a partition's last offsets hold no record. They are legal: Kafka keeps notes of its own there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unshown: BTreeMap<Partition, u64>,
    /// The first record that is wrong, of every organisation that has one.
    pub findings: Vec<Finding>,
}

/// The end of one organisation's chain: enough to prove later that history before it was not rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    pub revision: Revision,
    pub hash: Digest,
}

/// What a record without effect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VoidKind {
    /// Its headers or its opening are not a processor's.
    Foreign,
    /// An opening that came too late: another writer had opened that epoch.
    LateOpening,
    /// Of a writer that had been deposed.
    Deposed,
    /// Its number was taken: the same record a second time, or one that came too late.
    Repeated,
    /// A record of its reign before it never arrived; its writer ended there, and the next went on from before it.
    CutOff,
}

impl VoidKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::LateOpening => "late opening",
            Self::Deposed => "of a deposed writer",
            Self::Repeated => "repeated",
            Self::CutOff => "cut off",
        }
    }
}

/// What is wrong with a record, as far as the evidence tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It is where it belongs, but its bytes are not those that were written.
    Changed,
    /// One or more records before it, or at the end, are not there.
    Dropped,
    /// It stands before a record that was written earlier.
    Swapped,
    /// It is there a second time.
    Doubled,
    /// It was never part of this history.
    Inserted,
    /// The history before a checkpoint is sound in itself, but is not the one that was signed.
    Rewritten,
    /// It is as it was written, and no correct decision says so.
    Wrong,
    /// It cannot be read, and nothing tells that it was changed: perhaps a newer program wrote it.
    Unreadable,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Changed => "changed",
            Self::Dropped => "dropped",
            Self::Swapped => "swapped",
            Self::Doubled => "doubled",
            Self::Inserted => "inserted",
            Self::Rewritten => "rewritten",
            Self::Wrong => "wrong",
            Self::Unreadable => "unreadable",
        })
    }
}

/// A record that is wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    #[serde(flatten)]
    pub place: Place,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    pub kind: Kind,
    pub problem: String,
}

/// Where a record is: in a log, or in a file that was exported from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Place {
    Log {
        partition: Partition,
        offset: Offset,
    },
    File {
        /// The first line is 1.
        line: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log { partition, offset } => write!(f, "partition {partition}, offset {offset}"),
            Self::File { line } => write!(f, "line {line}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.place)?;
        if let Some(organization) = &self.organization {
            write!(f, ", {organization}")?;
        }
        if let Some(revision) = self.revision {
            write!(f, ", revision {revision}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl Finding {
    /// Something that is no organisation's.
    pub(super) fn of_log(place: Place, kind: Kind, problem: String) -> Self {
        Self { place, organization: None, revision: None, kind, problem }
    }
}

impl Report {
    /// Adds what was found in another partition.
    pub(super) fn add(&mut self, other: Self) {
        self.ledger = self.ledger.or(other.ledger);
        self.partitions += other.partitions;
        self.records += other.records;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.unattached += other.unattached;
        self.trusted += other.trusted;
        self.proved += other.proved;
        for (kind, count) in other.void {
            *self.void.entry(kind).or_default() += count;
        }
        self.heads.extend(other.heads);
        self.admissions.extend(other.admissions);
        self.unshown.extend(other.unshown);
        self.findings.extend(other.findings);
    }
}
