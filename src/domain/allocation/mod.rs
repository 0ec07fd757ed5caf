//! Allocations: blocks of a pool that are held (spec §1.6).
//!
//! Free space is an index per provisioned CIDR (`address`), never a scan; records are compact, because
//! there are millions (design D24). Which pool has which CIDRs is `pool`'s. Invariant: allocations of one
//! pool share no address and lie inside its CIDRs (INV-A1).

mod allocate;
mod apply;
mod claim;
mod codec;
mod list;
#[cfg(test)]
mod model_tests;
mod modify;
mod placement;
mod preview;
mod release;
mod slots;
mod table;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::command::{ResourceClaim, Tags};
use super::id::{AllocationId, PoolId, Revision};
use super::kind::ResourceKind;
use crate::address::Cidr;

pub(super) use allocate::allocate;
pub(super) use apply::{allocated, free, free_all_of, hold_for_child, modified, released, restore, set_tags};
pub(super) use modify::modify;
pub(super) use placement::{Choice, nobody_holds, place};
pub use preview::preview_next_cidr;
pub(super) use release::release;
pub use table::Allocations;

/// An allocation as it is stored and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AllocationRow {
    pub id: AllocationId,
    pub pool: PoolId,
    pub cidr: Cidr,
    pub description: Option<String>,
    pub tags: Tags,
    pub holder: Holder,
    /// The revision that made the allocation or last changed it.
    pub changed_at: Revision,
}

/// Who holds an allocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holder {
    /// Nobody in particular: a reservation, or something that this system does not see.
    Custom,
    /// A child pool, one of whose CIDRs this is.
    Pool(PoolId),
    Resource(ResourceClaim),
}

impl Holder {
    /// The allocation's type, as AWS names it.
    #[must_use]
    pub const fn kind(&self) -> ResourceKind {
        match self {
            Self::Custom => ResourceKind::Custom,
            Self::Pool(_) => ResourceKind::IpamPool,
            Self::Resource(claim) => claim.kind,
        }
    }
}
