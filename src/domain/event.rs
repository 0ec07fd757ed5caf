//! What has happened: the only thing that is stored, and all that state and views are made of.
//!
//! An event says nothing about how it was decided. It names every object it touches by id, so that a
//! reader needs the log alone. Events of one outcome happen together or not at all.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::command::{ObservedCidr, ResourceAttributes, ResourceClaim, Tags};
use super::id::{
    AccountId, AllocationId, AssociationId, DiscoveryId, IpamId, ObjectId, PoolCidrId, PoolId, Region, Revision,
    ScopeId,
};
use super::kind::ResourceKind;
use super::pool::{AwsService, Placement, PublicIpSource};
use super::quota::Quota;
use super::time::Timestamp;
use crate::address::{Cidr, Family};

/// The kinds of events. On the wire `type` comes first, then `data`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum Event {
    OrganizationCreated(OrganizationCreated),
    AccountAdded(AccountAdded),
    AccountRemoved(AccountRemoved),
    AdminDelegated(AdminDelegated),
    AdminRevoked(AdminRevoked),
    DelegatedAdministratorRegistered(DelegatedAdministratorRegistered),
    DelegatedAdministratorDeregistered(DelegatedAdministratorDeregistered),
    QuotaSet(QuotaSet),
    IpamCreated(IpamCreated),
    IpamModified(IpamModified),
    IpamDeleted(IpamDeleted),
    ScopeCreated(ScopeCreated),
    ScopeModified(ScopeModified),
    ScopeDeleted(ScopeDeleted),
    PoolCreated(PoolCreated),
    PoolModified(PoolModified),
    PoolDeleted(PoolDeleted),
    PoolCidrProvisioned(PoolCidrProvisioned),
    PoolCidrDeprovisioned(PoolCidrDeprovisioned),
    CidrAllocated(CidrAllocated),
    AllocationModified(AllocationModified),
    AllocationReleased(AllocationReleased),
    ResourceObserved(ResourceObserved),
    ResourceGone(ResourceGone),
    ObservationRetracted(ObservationRetracted),
    ResourceTagged(ResourceTagged),
    ResourceUntagged(ResourceUntagged),
}

macro_rules! event_types {
    ($($variant:ident),* $(,)?) => {
        impl Event {
            /// The names of all event types, as they stand in `type`.
            pub const TYPES: &'static [&'static str] = &[$(stringify!($variant)),*];

            /// The name of this event's type, as it stands in `type`.
            #[must_use]
            pub const fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($variant),)*
                }
            }
        }

        $(impl From<$variant> for Event {
            fn from(event: $variant) -> Self {
                Self::$variant(event)
            }
        })*
    };
}
event_types!(
    OrganizationCreated,
    AccountAdded,
    AccountRemoved,
    AdminDelegated,
    AdminRevoked,
    DelegatedAdministratorRegistered,
    DelegatedAdministratorDeregistered,
    QuotaSet,
    IpamCreated,
    IpamModified,
    IpamDeleted,
    ScopeCreated,
    ScopeModified,
    ScopeDeleted,
    PoolCreated,
    PoolModified,
    PoolDeleted,
    PoolCidrProvisioned,
    PoolCidrDeprovisioned,
    CidrAllocated,
    AllocationModified,
    AllocationReleased,
    ResourceObserved,
    ResourceGone,
    ObservationRetracted,
    ResourceTagged,
    ResourceUntagged,
);

macro_rules! event {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type),* }
    };
}

event!(
    /// The organisation exists; its management account is its first account.
    OrganizationCreated { management_account: AccountId }
);

event!(
    /// An account became a member. While an administrator is delegated it gets the service-linked role.
    AccountAdded {
        account: AccountId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    }
);

event!(
    /// An account is no member any more. Its monitoring ends; nothing it held is thereby gone.
    AccountRemoved { account: AccountId }
);

event!(
    /// The account is the IPAM administrator, and every member account (the management account is none) has
    /// the service-linked role. If the account was delegated administrator through Organizations alone, that
    /// title is part of this delegation from now on, and ends with it.
    AdminDelegated { account: AccountId }
);

event!(
    /// The account is no administrator any more. IPAMs it owns see its own account alone; the
    /// service-linked roles stay in the accounts that have them.
    AdminRevoked { account: AccountId }
);

event!(
    /// The account is delegated administrator through Organizations alone: no role, nothing is monitored.
    DelegatedAdministratorRegistered { account: AccountId }
);

event!(
    /// The account is no delegated administrator through Organizations any more. If it owns an IPAM, it has
    /// the service-linked role from now on, as any other owner.
    DelegatedAdministratorDeregistered { account: AccountId }
);

event!(
    /// A quota of the organisation has another value.
    QuotaSet { quota: Quota, value: u32 }
);

event!(
    /// An IPAM exists, with two default scopes, its default discovery and the association of both.
    /// The owner has the service-linked role from now on, unless it is delegated administrator through
    /// Organizations alone.
    IpamCreated {
        ipam: IpamId,
        owner: AccountId,
        home_region: Region,
        /// Sorted, the home region among them.
        operating_regions: Vec<Region>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        #[serde(default, skip_serializing_if = "Tags::is_empty")]
        tags: Tags,
        private_default_scope: ScopeId,
        public_default_scope: ScopeId,
        default_resource_discovery: DiscoveryId,
        default_resource_discovery_association: AssociationId,
    }
);

event!(
    /// An IPAM's description or operating regions changed.
    IpamModified {
        ipam: IpamId,
        #[serde(default, skip_serializing_if = "Change::is_unchanged")]
        description: Change<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        added_operating_regions: Vec<Region>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        removed_operating_regions: Vec<Region>,
    }
);

event!(
    /// An IPAM is gone, with every scope, pool, CIDR and allocation that was still in it.
    IpamDeleted {
        ipam: IpamId,
        /// What the cascade closed; empty without one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        closed: Vec<ClosedCidr>,
    }
);

event!(
    /// A cascade took this CIDR from this pool and released the `allocations` inside it, child pools' included.
    ClosedCidr {
        pool: PoolId,
        cidr: Cidr,
        /// How many allocations.
        allocations: u64,
    }
);

event!(
    /// Another private scope exists.
    ScopeCreated {
        scope: ScopeId,
        ipam: IpamId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        #[serde(default, skip_serializing_if = "Tags::is_empty")]
        tags: Tags,
    }
);

event!(
    /// A scope's description changed.
    ScopeModified {
        scope: ScopeId,
        #[serde(default, skip_serializing_if = "Change::is_unchanged")]
        description: Change<String>,
    }
);

event!(
    /// A scope is gone.
    ScopeDeleted { scope: ScopeId }
);

event!(
    /// A pool exists. It has no space yet.
    PoolCreated {
        pool: PoolId,
        scope: ScopeId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source_pool: Option<PoolId>,
        address_family: Family,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        locale: Option<Region>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        #[serde(default, skip_serializing_if = "Tags::is_empty")]
        tags: Tags,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        allocation_min_netmask_length: Option<u8>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        allocation_max_netmask_length: Option<u8>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        allocation_default_netmask_length: Option<u8>,
        #[serde(default, skip_serializing_if = "Tags::is_empty")]
        allocation_resource_tags: Tags,
        placement: Placement,
        auto_import: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        publicly_advertisable: Option<bool>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aws_service: Option<AwsService>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        public_ip_source: Option<PublicIpSource>,
    }
);

event!(
    /// A pool's description, rules, placement or auto-import changed. Only what changed is named.
    PoolModified {
        pool: PoolId,
        #[serde(default, skip_serializing_if = "Change::is_unchanged")]
        description: Change<String>,
        #[serde(default, skip_serializing_if = "Change::is_unchanged")]
        allocation_min_netmask_length: Change<u8>,
        #[serde(default, skip_serializing_if = "Change::is_unchanged")]
        allocation_max_netmask_length: Change<u8>,
        #[serde(default, skip_serializing_if = "Change::is_unchanged")]
        allocation_default_netmask_length: Change<u8>,
        #[serde(default, skip_serializing_if = "Change::is_unchanged")]
        allocation_resource_tags: Change<Tags>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        placement: Option<Placement>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        auto_import: Option<bool>,
    }
);

event!(
    /// A pool is gone, with every child pool, CIDR and allocation that was still in it. What it held of
    /// its source pool is free there.
    PoolDeleted {
        pool: PoolId,
        /// What the cascade closed, this pool's and its descendants'; empty without one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        closed: Vec<ClosedCidr>,
    }
);

event!(
    /// A pool has more space. A child pool's is held in its source pool by an `ipam-pool` allocation from
    /// the same moment (INV-C3).
    PoolCidrProvisioned {
        pool: PoolId,
        pool_cidr: PoolCidrId,
        cidr: Cidr,
        /// The allocation in the source pool; absent for top-level pools.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source_allocation: Option<AllocationId>,
        /// How the block was chosen, when it was asked for by length.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        placement: Option<Placement>,
        /// In the public scope: whether the holder's right to the block was proved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ownership: Option<Ownership>,
    }
);

/// Whether the right to a public block was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ownership {
    Unproven,
}

event!(
    /// A pool has this CIDR no more; a child pool's is free in its source pool.
    PoolCidrDeprovisioned {
        pool: PoolId,
        pool_cidr: PoolCidrId,
        cidr: Cidr,
        /// The allocation that ended in the source pool; absent for top-level pools.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source_allocation: Option<AllocationId>,
    }
);

event!(
    /// A block of a pool is held.
    CidrAllocated {
        allocation: AllocationId,
        pool: PoolId,
        cidr: Cidr,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        #[serde(default, skip_serializing_if = "Tags::is_empty")]
        tags: Tags,
        /// Absent for a custom allocation. Its account is always named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resource: Option<ResourceClaim>,
        /// How the block was chosen, when it was asked for by length.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        placement: Option<Placement>,
    }
);

event!(
    /// An allocation's description changed, or a custom allocation is for a resource from now on.
    AllocationModified {
        allocation: AllocationId,
        #[serde(default, skip_serializing_if = "Change::is_unchanged")]
        description: Change<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resource: Option<ResourceClaim>,
    }
);

event!(
    /// An allocation is over. Its space is free, unless a resource in `still_observed` is in it.
    AllocationReleased {
        allocation: AllocationId,
        pool: PoolId,
        cidr: Cidr,
        /// Observed resources that keep the space from being handed out (at most 100).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        still_observed: Vec<ResourceName>,
        /// Its resource was observed there, and it was released all the same.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        forced: bool,
    }
);

/// A resource's identity: kind and id, within its organisation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceName {
    pub kind: ResourceKind,
    pub id: String,
}

event!(
    /// A resource held exactly these blocks at this instant.
    ResourceObserved {
        kind: ResourceKind,
        id: String,
        observed_at: Timestamp,
        /// What the sender said, where it was ahead of the ledger's clock.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reported_at: Option<Timestamp>,
        /// Sorted.
        cidrs: Vec<ObservedCidr>,
        #[serde(default)]
        attributes: ResourceAttributes,
        /// Why no IPAM monitored it when this was recorded; absent when one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_monitored: Option<NotMonitored>,
    }
);

/// Why a resource is not monitored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NotMonitored {
    /// No IPAM exists.
    NoIpam,
    /// The observation names no account.
    NoAccount,
    /// The account is no member of the organisation, or not the lone account.
    AccountOutside,
    /// No IPAM that could see the account has the service-linked role in it.
    NoServiceLinkedRole,
    /// The observation names no region.
    NoRegion,
    /// No IPAM that sees the account operates in the region.
    RegionNotOperated,
    /// Published ranges belong to nobody here.
    Published,
}

impl fmt::Display for NotMonitored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoIpam => "no-ipam",
            Self::NoAccount => "no-account",
            Self::AccountOutside => "account-outside",
            Self::NoServiceLinkedRole => "no-service-linked-role",
            Self::NoRegion => "no-region",
            Self::RegionNotOperated => "region-not-operated",
            Self::Published => "published",
        })
    }
}

event!(
    /// A resource was not there at this instant.
    ResourceGone {
        kind: ResourceKind,
        id: String,
        observed_at: Timestamp,
        /// What the sender said, where it was ahead of the ledger's clock.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reported_at: Option<Timestamp>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
    }
);

event!(
    /// The observation that `revision` recorded is withdrawn.
    ObservationRetracted {
        kind: ResourceKind,
        id: String,
        observed_at: Timestamp,
        revision: Revision,
    }
);

event!(
    /// These tags have these values.
    ResourceTagged { resource: ObjectId, tags: Tags }
);

event!(
    /// These tags are gone.
    ResourceUntagged { resource: ObjectId, keys: Vec<String> }
);
