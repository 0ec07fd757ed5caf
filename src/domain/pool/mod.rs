//! Pools: contiguous address space that is split into child pools and handed out (spec §1.4, §1.5).
//!
//! What a pool is, and what its commands decide. Who holds which block of it is `allocation`'s;
//! the table of pools with their free space is in `table`. Invariant: a pool has one scope and one
//! family, its source pool's, and its CIDRs share no address.

mod apply;
mod cascade;
mod create;
mod delete;
mod deprovision;
mod modify;
mod provision;
mod rules;
mod table;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::Tags;
use super::event::Ownership;
use super::id::{AllocationId, PoolCidrId, PoolId, Region, Revision, ScopeId};
use crate::address::{AddressCount, Cidr, Family};

pub(super) use apply::{cidr_deprovisioned, cidr_provisioned, created, deleted, modified, set_tags};
pub(super) use cascade::{close_scope_pools, remove_scope_pools};
pub(super) use create::create;
pub(super) use delete::delete;
pub(super) use deprovision::deprovision;
pub(super) use modify::modify;
pub(super) use provision::{of_family, provision};
pub use rules::AllocationRules;
pub use table::Pools;
pub(super) use table::{CountAs, Entry};

/// Which free block of the asked length is handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// The lowest aligned free block, across all CIDRs of the pool.
    #[default]
    FirstFit,
    /// The lowest aligned block in the smallest free space that holds one.
    BestFit,
    /// The first free block at or after a point that is hashed from the command's id.
    Random,
}

/// The AWS service that a public pool's space is for (spec §1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AwsService {
    Ec2,
    GlobalServices,
}

/// Where a public pool's space comes from (spec §1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PublicIpSource {
    Amazon,
    Byoip,
}

/// A pool as it is stored and shown. Its allocations are rows of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    pub id: PoolId,
    pub scope: ScopeId,
    /// Absent for a top-level pool.
    pub source_pool: Option<PoolId>,
    /// 1 for a top-level pool, one more than its source pool's for a child.
    pub depth: u32,
    pub address_family: Family,
    /// Absent: the pool serves custom allocations and child pools only (INV-P3).
    pub locale: Option<Region>,
    pub description: Option<String>,
    pub tags: Tags,
    pub rules: AllocationRules,
    pub placement: Placement,
    pub auto_import: bool,
    pub publicly_advertisable: Option<bool>,
    pub aws_service: Option<AwsService>,
    pub public_ip_source: Option<PublicIpSource>,
    /// In address order.
    pub cidrs: Vec<PoolCidr>,
    /// The revision that created the pool or last changed one of its fields, tags or CIDRs.
    /// Allocations do not change their pool.
    pub changed_at: Revision,
}

/// A CIDR provisioned to a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolCidr {
    pub id: PoolCidrId,
    pub cidr: Cidr,
    /// What holds it in the source pool; absent for top-level pools (INV-C3).
    pub source_allocation: Option<AllocationId>,
    /// Of CIDRs in the public scope.
    pub ownership: Option<Ownership>,
}

/// How full a pool is. `child_pools + assigned + available = provisioned` (spec §3.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolUsage {
    /// Addresses in the pool's CIDRs.
    pub provisioned: AddressCount,
    /// Addresses held by child pools.
    pub child_pools: AddressCount,
    /// Addresses held by resources and custom allocations.
    pub assigned: AddressCount,
    pub available: AddressCount,
    /// Allocations of the pool, those of child pools' CIDRs among them.
    pub allocations: u64,
    /// The lowest of the largest blocks that neither an allocation nor an observed resource covers.
    pub largest_free_block: Option<Cidr>,
}
