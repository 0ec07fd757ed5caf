//! What queries answer: the structs that HTTP and CLI write out. Every answer says where it stands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::when::AnswerHead;
use crate::address::{AddressCount, Cidr, Family};
use crate::domain::command::{ResourceClaim, Tags};
use crate::domain::event::{NotMonitored, Ownership};
use crate::domain::id::{
    AccountId, AllocationId, AssociationId, CommandId, DiscoveryId, IpamId, OrganizationId, PoolCidrId, PoolId, Region,
    Revision, ScopeId,
};
use crate::domain::kind::ResourceKind;
use crate::domain::pool::{AwsService, Placement, PublicIpSource};
use crate::domain::quota::Quota;
use crate::domain::time::Timestamp;

/// An answer with where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answer<T> {
    pub organization: OrganizationId,
    #[serde(flatten)]
    pub head: AnswerHead,
    #[serde(flatten)]
    pub body: T,
}

/// A part of a list. `next` given as `after` gives the part behind it; absent at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A part of a list that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paging {
    /// 1 to [`Paging::LIMIT_MAX`] items.
    pub limit: usize,
    /// The `next` of the part before.
    pub after: Option<String>,
}

impl Paging {
    pub const LIMIT_MAX: usize = 1_000;
    pub const LIMIT_DEFAULT: usize = 100;
}

impl Default for Paging {
    fn default() -> Self {
        Self { limit: Self::LIMIT_DEFAULT, after: None }
    }
}

/// The outcome with which something came about: when, by whom and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stamp {
    pub revision: Revision,
    pub decided_at: Timestamp,
    pub command_id: CommandId,
    /// The account that asked.
    pub account: AccountId,
    /// Who in the account, where it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An organisation or a lone account: accounts, roles, and what is monitored and why not (W2, D18).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrganizationAnswer {
    /// A single account without an organisation.
    pub lone_account: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_account: Option<AccountId>,
    /// The IPAM administrator, delegated through IPAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub administrator: Option<AccountId>,
    /// In order of account.
    pub accounts: Vec<AccountAnswer>,
    pub quotas: Vec<QuotaAnswer>,
    pub created: Stamp,
    pub changed: Stamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AccountAnswer {
    pub account: AccountId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub roles: Vec<AccountRole>,
    /// Whether `AWSServiceRoleForIPAM` is in it.
    pub service_linked_role: bool,
    /// The IPAMs that see its resources.
    pub monitored_by: Vec<IpamId>,
    /// Why none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_monitored: Option<NotMonitored>,
    /// A sentence for people: what sees it, or what would have to happen.
    pub why: String,
    pub added: Stamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccountRole {
    /// The management account.
    Management,
    Member,
    /// The lone account of its own stream.
    Lone,
    /// The IPAM administrator.
    Administrator,
    /// Delegated administrator through Organizations alone: same title, no role, nothing monitored.
    RegisteredOnly,
    /// Owns an IPAM.
    IpamOwner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuotaAnswer {
    pub quota: Quota,
    pub value: u32,
    pub adjustable: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IpamAnswer {
    pub ipam: IpamId,
    pub owner: AccountId,
    pub home_region: Region,
    pub operating_regions: Vec<Region>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The tag `Name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub tags: Tags,
    pub private_default_scope: ScopeId,
    pub public_default_scope: ScopeId,
    pub default_resource_discovery: DiscoveryId,
    pub default_resource_discovery_association: AssociationId,
    pub scope_count: u64,
    /// The accounts whose resources it sees.
    pub reach: Vec<AccountId>,
    pub created: Stamp,
    pub changed: Stamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScopeKind {
    Private,
    Public,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScopeAnswer {
    pub scope: ScopeId,
    pub ipam: IpamId,
    pub kind: ScopeKind,
    pub is_default: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The tag `Name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub tags: Tags,
    pub pool_count: u64,
    /// Allocations in its pools, those for child pools included.
    pub allocation_count: u64,
    pub created: Stamp,
    pub changed: Stamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PoolAnswer {
    pub pool: PoolId,
    pub ipam: IpamId,
    pub scope: ScopeId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_pool: Option<PoolId>,
    /// Names from the top-level pool down, joined by `/`; the id where a pool has no name.
    pub path: String,
    /// 1 for a top-level pool.
    pub depth: u32,
    pub address_family: Family,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Region>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The tag `Name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub tags: Tags,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation_min_netmask_length: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation_max_netmask_length: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation_default_netmask_length: Option<u8>,
    pub allocation_resource_tags: Tags,
    pub placement: Placement,
    pub auto_import: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publicly_advertisable: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_service: Option<AwsService>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_ip_source: Option<PublicIpSource>,
    pub utilization: Utilization,
    pub created: Stamp,
    pub changed: Stamp,
}

/// How full a pool is (spec §3.5, D23). Counts are exact; percentages are of `provisioned`, and those of
/// `allocated`, `assigned` and `available` add up to 100.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Utilization {
    /// Addresses in the pool's CIDRs.
    pub provisioned: AddressCount,
    /// Addresses held by child pools.
    pub allocated: AddressCount,
    /// Addresses held by resources and custom allocations of this pool itself.
    pub assigned: AddressCount,
    /// Provisioned and held by nobody.
    pub available: AddressCount,
    pub percent_allocated: f64,
    pub percent_assigned: f64,
    pub percent_available: f64,
    /// Addresses held by resources and custom allocations in this pool and in all pools below it.
    pub assigned_in_subtree: AddressCount,
    pub percent_assigned_in_subtree: f64,
    /// The allocations of this pool, those for child pools included.
    pub allocation_count: u64,
    /// The largest block that can be handed out; absent when the pool is full or has no space. Observed foreign
    /// resources count as in the way (N9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub largest_free_block: Option<Cidr>,
}

/// Pools with the pools below them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PoolTree {
    /// Top-level pools of the scopes asked for, by path.
    pub pools: Vec<PoolNode>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PoolNode {
    #[serde(flatten)]
    pub pool: PoolAnswer,
    pub children: Vec<PoolNode>,
}

/// A CIDR provisioned to a pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PoolCidrAnswer {
    pub pool: PoolId,
    pub pool_cidr: PoolCidrId,
    pub cidr: Cidr,
    /// The allocation in the source pool; absent for top-level pools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_allocation: Option<AllocationId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<Ownership>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    pub provisioned: Stamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AllocationAnswer {
    pub allocation: AllocationId,
    pub pool: PoolId,
    pub cidr: Cidr,
    /// What it is for: `ipam-pool`, `custom`, or the resource's kind.
    pub kind: ResourceKind,
    /// For kind `ipam-pool`: the child pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child_pool: Option<PoolId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceClaim>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub tags: Tags,
    /// How the block was chosen, when it was asked for by length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    pub created: Stamp,
    pub changed: Stamp,
    /// When it ended. Such allocations are answered by id, never listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<Stamp>,
}

/// How full a pool was from a revision on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsagePoint {
    pub revision: Revision,
    pub decided_at: Timestamp,
    /// Of the pool itself: figures of the subtree are those of the pool alone here.
    pub utilization: Utilization,
}
