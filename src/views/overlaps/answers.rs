//! What the overlap queries answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::Cidr;
use crate::domain::id::{AccountId, AllocationId, PoolId, Region, ScopeId};
use crate::domain::kind::ResourceKind;
use crate::domain::outcome::Moment;
use crate::domain::time::Timestamp;
use crate::views::lineage::answers::Contradiction;
use crate::views::when::{AnswerHead, Window};

/// Who shares addresses with whom in one scope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OverlapsAnswer {
    #[serde(flatten)]
    pub head: AnswerHead,
    pub scope: ScopeId,
    /// The part of the world's time that is asked about.
    pub window: Window,
    /// By address of the wider block. A group that does not fit on a page goes on on the next.
    pub groups: Vec<OverlapGroup>,
    /// Pass it to get the next page; `null` on the last one. A page may be short, or empty, before the last.
    pub next: Option<String>,
}

/// The overlaps of those who hold one block, with each other and with those inside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OverlapGroup {
    /// The wider block of every pair.
    pub cidr: Cidr,
    pub pairs: Vec<OverlapPair>,
}

/// Two who share addresses. The shared ones are those of `narrow.cidr`. Who did so more than once in the time asked about is
/// listed once, as it last was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OverlapPair {
    pub wide: OverlapParty,
    pub narrow: OverlapParty,
    /// The later of the two starts.
    pub since: Timestamp,
    /// The earlier of the two ends; absent while both last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// When the ledger knew of both.
    pub known_since: Moment,
}

/// One side of an overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OverlapParty {
    pub cidr: Cidr,
    /// `custom` for a custom allocation.
    pub kind: ResourceKind,
    /// The resource's id, or the custom allocation's.
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// All observations of one instant that contradict each other: all count until one is withdrawn. `name`, `account`
    /// and `region` are those of the first of them that lies in this scope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflict: Vec<Contradiction>,
    /// The custom allocation, or the one that placed the resource in this scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<AllocationId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolId>,
    pub from: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    pub known: Moment,
}
