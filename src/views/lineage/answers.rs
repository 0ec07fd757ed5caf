//! What lineage answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::Cidr;
use crate::domain::command::{Principal, ResourceAttributes, ResourceClaim};
use crate::domain::event::ResourceName;
use crate::domain::id::{AccountId, AllocationId, CommandId, PoolId, Region, Revision, ScopeId};
use crate::domain::kind::ResourceKind;
use crate::domain::outcome::Moment;
use crate::domain::time::Timestamp;
use crate::views::when::{AnswerHead, Window};

/// Everybody who held an address or a block: those around it, and, for a block, those inside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LineageAnswer {
    #[serde(flatten)]
    pub head: AnswerHead,
    /// The block asked about; a /32 or /128 for one address.
    pub cidr: Cidr,
    /// The part of the world's time asked about.
    pub window: Window,
    /// What discovery can say about the block in that time. On pages behind the first: `null`.
    pub observed: Option<Observed>,
    /// First those whose block contains the one asked about, latest start first; then those inside it, by address.
    pub held: Vec<Held>,
    /// Pass it to get the next page; `null` on the last one. A page may be short, or empty, before the last.
    pub next: Option<String>,
}

/// Whether any observation speaks about a block in the time asked about: "nobody" is not "unknown".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Observed {
    /// A resource was seen around this block then or earlier: who is not listed was not there.
    Known,
    /// Nobody looked before: the first resource was seen around this block at this later instant.
    UnknownUntil { first_observed: Timestamp },
    /// No resource was ever seen around this block.
    Never,
}

/// One interval of one holder: `from` is the first instant, `until` the first instant after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Held {
    pub cidr: Cidr,
    #[serde(flatten)]
    pub holder: Holder,
    pub from: Timestamp,
    /// Absent while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Since when the ledger says that it began at `from`.
    pub known: Moment,
    /// Since when the ledger says that it ended at `until`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_known: Option<Moment>,
    /// What the interval began with.
    pub began: Cause,
    /// What it ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Cause>,
    /// Changes that ended nothing (attributes of a resource, description or resource of an allocation), in
    /// order; at most 100, the latest in the time asked about. Observations that contradict each other when that time
    /// begins come first, with the instant that they are of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<AttributeChange>,
}

/// Who held a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "holder", rename_all = "kebab-case")]
pub enum Holder {
    /// The block was provisioned to a pool.
    Pool {
        scope: ScopeId,
        pool: PoolId,
        /// The pool's tag `Name` when it was provisioned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        locale: Option<Region>,
        /// The pool that it came from, and the allocation there; absent for top-level pools.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source_pool: Option<PoolId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source_allocation: Option<AllocationId>,
    },
    /// The block was allocated.
    Allocation {
        scope: ScopeId,
        pool: PoolId,
        allocation: AllocationId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// What it was for; absent for a custom allocation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resource: Option<ResourceClaim>,
    },
    /// A resource was seen to hold the block. Its attributes are those at its start, or at the start of the time asked about;
    /// where observations contradict each other, those of the first that was recorded: `changes` has all.
    Resource { kind: ResourceKind, id: String, attributes: ResourceAttributes },
}

/// What made something so: the outcome of a command, and who asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    pub revision: Revision,
    pub decided_at: Timestamp,
    pub command_id: CommandId,
    pub principal: Principal,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Something about a holder changed while it held the block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttributeChange {
    /// Since when, in the world.
    pub at: Timestamp,
    /// The revision that recorded it.
    pub revision: Revision,
    /// What holds from then on.
    #[serde(flatten)]
    pub now: Changed,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Changed {
    /// A resource was observed with these attributes, or with these alone after a conflict.
    Attributes(ResourceAttributes),
    /// Several observations of one instant contradict each other: all count until one is withdrawn.
    Conflict(Vec<Contradiction>),
    /// An allocation has another description (`null`: none).
    Description(Option<String>),
    /// A custom allocation is for this resource.
    Resource(ResourceClaim),
}

/// One of several observations of one resource at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contradiction {
    pub revision: Revision,
    pub cidrs: Vec<Cidr>,
    pub attributes: ResourceAttributes,
}

/// Every interval of one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceHistory {
    #[serde(flatten)]
    pub head: AnswerHead,
    pub resource: ResourceName,
    pub window: Window,
    /// By block, latest start first within a block.
    pub held: Vec<Held>,
    pub next: Option<String>,
}

/// What appeared and what vanished in a time: blocks of resources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangesAnswer {
    #[serde(flatten)]
    pub head: AnswerHead,
    pub window: Window,
    pub kind: ResourceKind,
    /// On the first page only: they are of the whole time asked about.
    #[serde(flatten)]
    pub counts: Option<ChangeCounts>,
    /// In order of time.
    pub changes: Vec<HolderChange>,
    pub next: Option<String>,
}

/// How much changed in a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeCounts {
    /// How many times, over all pages, a resource's block appeared. One that came back counts again.
    pub appeared_count: u64,
    /// How many times one vanished.
    pub vanished_count: u64,
    /// How many blocks of resources did both, in whatever order, each counted once.
    pub both_count: u64,
}

/// A block of a resource appeared or vanished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HolderChange {
    pub at: Timestamp,
    pub change: Turn,
    pub cidr: Cidr,
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// What it came with.
    pub cause: Cause,
}

/// The two ends of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Turn {
    Appeared,
    Vanished,
}
