//! What can be asked for: one struct per command, with AWS's verb where AWS has one.
//!
//! A command says what its sender wants and nothing about what is true; `decide` answers it with
//! events or with a rejection. In modifications an absent field is left alone and `null` clears it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::{self, Change};
use super::digest::Digest;
use super::id::{
    AccountId, AllocationId, CommandId, IpamId, ObjectId, OrganizationId, PoolId, Region, Revision, ScopeId,
};
use super::kind::ResourceKind;
use super::pool::{AwsService, Placement, PublicIpSource};
use super::quota::Quota;
use super::time::Timestamp;
use crate::address::{Cidr, Family};

/// Tags: key to value. At most 50, keys of 1 to 128 characters, values of at most 256 (spec §0.2).
pub type Tags = BTreeMap<String, String>;

/// Who asks, and how that was proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    pub account: AccountId,
    /// A free name for people: a user, a role, a job. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default)]
    pub proof: Proof,
}

/// How the principal was proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// Only claimed: whoever can reach the ledger or write the command topic can claim it.
    #[default]
    None,
}

/// One command with everything about it that its outcome depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    pub id: CommandId,
    pub organization: OrganizationId,
    pub principal: Principal,
    /// Accept only if the object that the command names has not changed after this revision.
    pub if_revision: Option<Revision>,
    /// Why, for people who ask later. At most 1,024 characters.
    pub reason: Option<String>,
    /// SHA-256 of the canonical JSON (RFC 8785) of organisation, principal, type and payload.
    pub digest: Digest,
    pub body: CommandBody,
}

/// The kinds of commands. On the wire: `type` names the variant, `payload` is the struct.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "payload")]
pub enum CommandBody {
    CreateOrganization(CreateOrganization),
    AddAccount(AddAccount),
    RemoveAccount(RemoveAccount),
    DelegateAdmin(DelegateAdmin),
    RevokeAdmin(RevokeAdmin),
    RegisterDelegatedAdministrator(RegisterDelegatedAdministrator),
    DeregisterDelegatedAdministrator(DeregisterDelegatedAdministrator),
    SetQuota(SetQuota),
    CreateIpam(CreateIpam),
    ModifyIpam(ModifyIpam),
    DeleteIpam(DeleteIpam),
    CreateScope(CreateScope),
    ModifyScope(ModifyScope),
    DeleteScope(DeleteScope),
    CreatePool(CreatePool),
    ModifyPool(ModifyPool),
    DeletePool(DeletePool),
    ProvisionPoolCidr(ProvisionPoolCidr),
    DeprovisionPoolCidr(DeprovisionPoolCidr),
    AllocateCidr(AllocateCidr),
    ModifyAllocation(ModifyAllocation),
    ReleaseAllocation(ReleaseAllocation),
    ObserveResource(ObserveResource),
    ObserveResourceGone(ObserveResourceGone),
    RetractObservation(RetractObservation),
    TagResource(TagResource),
    UntagResource(UntagResource),
}

macro_rules! command_types {
    ($($variant:ident),* $(,)?) => {
        impl CommandBody {
            /// The names of all command types, as they stand in `type`.
            pub const TYPES: &'static [&'static str] = &[$(stringify!($variant)),*];

            /// The name of this command's type, as it stands in `type`.
            #[must_use]
            pub const fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($variant),)*
                }
            }

            /// Reads the payload of the command type called `type_name`; `None` when there is no such type.
            ///
            /// # Errors
            /// Whatever `D` or the payload's own rules give.
            pub fn read_payload<'de, D: serde::Deserializer<'de>>(type_name: &str, payload: D) -> Option<Result<Self, D::Error>> {
                match type_name {
                    $(stringify!($variant) => Some($variant::deserialize(payload).map(Self::$variant)),)*
                    _ => None,
                }
            }
        }

        $(impl From<$variant> for CommandBody {
            fn from(body: $variant) -> Self {
                Self::$variant(body)
            }
        })*
    };
}
command_types!(
    CreateOrganization,
    AddAccount,
    RemoveAccount,
    DelegateAdmin,
    RevokeAdmin,
    RegisterDelegatedAdministrator,
    DeregisterDelegatedAdministrator,
    SetQuota,
    CreateIpam,
    ModifyIpam,
    DeleteIpam,
    CreateScope,
    ModifyScope,
    DeleteScope,
    CreatePool,
    ModifyPool,
    DeletePool,
    ProvisionPoolCidr,
    DeprovisionPoolCidr,
    AllocateCidr,
    ModifyAllocation,
    ReleaseAllocation,
    ObserveResource,
    ObserveResourceGone,
    RetractObservation,
    TagResource,
    UntagResource,
);

/// Opens an organisation's ledger. Sent by the management account itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOrganization {
    pub management_account: AccountId,
}

/// Adds a member account. By the management account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddAccount {
    pub account: AccountId,
    /// A name for people, at most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Removes a member account. By the management account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveAccount {
    pub account: AccountId,
}

/// Makes a member account the IPAM administrator and creates the service-linked role
/// `AWSServiceRoleForIPAM` in every member account (spec §1.1, `EnableIpamOrganizationAdminAccount`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelegateAdmin {
    pub account: AccountId,
}

/// Ends the delegation (spec §1.1, `DisableIpamOrganizationAdminAccount`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeAdmin {
    pub account: AccountId,
}

/// The Organizations-only path: the same title, but no service-linked role, and so nothing is monitored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterDelegatedAdministrator {
    pub account: AccountId,
}

/// Takes back what `RegisterDelegatedAdministrator` gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeregisterDelegatedAdministrator {
    pub account: AccountId,
}

/// Changes an adjustable quota of the organisation (spec §2.10). By the management account or the lone account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetQuota {
    pub quota: Quota,
    pub value: u32,
}

/// Creates an IPAM with its two default scopes, its default resource discovery and the association of both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateIpam {
    pub home_region: Region,
    /// At most 50. The home region is always among them, listed or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operating_regions: Vec<Region>,
    /// At most 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Becomes the tag `Name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

/// Changes an IPAM's description or operating regions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModifyIpam {
    pub ipam: IpamId,
    #[serde(default, skip_serializing_if = "Change::is_unchanged")]
    pub description: Change<String>,
    /// At most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_operating_regions: Vec<Region>,
    /// At most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_operating_regions: Vec<Region>,
}

/// Deletes an IPAM with its default scopes; with `cascade` also all that is in its private scopes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteIpam {
    pub ipam: IpamId,
    #[serde(default)]
    pub cascade: bool,
}

/// Creates another private scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateScope {
    pub ipam: IpamId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Becomes the tag `Name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

/// Changes a scope's description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModifyScope {
    pub scope: ScopeId,
    #[serde(default, skip_serializing_if = "Change::is_unchanged")]
    pub description: Change<String>,
}

/// Deletes a private scope that is not the default one and has no pools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteScope {
    pub scope: ScopeId,
}

/// Creates a pool: top-level in a scope, or a child of a source pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePool {
    /// Required without `source_pool`; with it, must be the source pool's scope when given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ScopeId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_pool: Option<PoolId>,
    /// Required without `source_pool`; with it, must be the source pool's family when given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_family: Option<Family>,
    /// An operating region; never changes. The source pool's when absent. A pool without one serves custom
    /// allocations and child pools only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Region>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Becomes the tag `Name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// The largest block handed out: the smallest netmask length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation_min_netmask_length: Option<u8>,
    /// The smallest block handed out: the largest netmask length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation_max_netmask_length: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation_default_netmask_length: Option<u8>,
    /// Tags that a resource must carry, key and value alike. At most 50.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub allocation_resource_tags: Tags,
    #[serde(default)]
    pub placement: Placement,
    #[serde(default)]
    pub auto_import: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publicly_advertisable: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_service: Option<AwsService>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_ip_source: Option<PublicIpSource>,
}

/// Changes a pool's description, rules, placement or auto-import. Existing allocations stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModifyPool {
    pub pool: PoolId,
    #[serde(default, skip_serializing_if = "Change::is_unchanged")]
    pub description: Change<String>,
    #[serde(default, skip_serializing_if = "Change::is_unchanged")]
    pub allocation_min_netmask_length: Change<u8>,
    #[serde(default, skip_serializing_if = "Change::is_unchanged")]
    pub allocation_max_netmask_length: Change<u8>,
    #[serde(default, skip_serializing_if = "Change::is_unchanged")]
    pub allocation_default_netmask_length: Change<u8>,
    /// The whole new set.
    #[serde(default, skip_serializing_if = "Change::is_unchanged")]
    pub allocation_resource_tags: Change<Tags>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "change::not_null")]
    #[schemars(with = "Placement")]
    pub placement: Option<Placement>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "change::not_null")]
    #[schemars(with = "bool")]
    pub auto_import: Option<bool>,
}

/// Deletes an empty pool; with `cascade` (private scopes only) also its allocations, CIDRs and child pools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletePool {
    pub pool: PoolId,
    #[serde(default)]
    pub cascade: bool,
}

/// Gives a pool space: exactly one of `cidr` and `netmask_length`; the latter for child pools only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvisionPoolCidr {
    pub pool: PoolId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<Cidr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netmask_length: Option<u8>,
}

/// Takes a CIDR without allocations from a pool; a child pool's goes back to its source pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeprovisionPoolCidr {
    pub pool: PoolId,
    /// Exactly as provisioned.
    pub cidr: Cidr,
}

/// The resource that an allocation is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceClaim {
    pub kind: ResourceKind,
    /// 1 to 256 characters.
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// The account that owns it; the asking account when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

/// Takes a block from a pool: the one named, or one of `netmask_length`, or of the pool's default length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllocateCidr {
    pub pool: PoolId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<Cidr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netmask_length: Option<u8>,
    /// Only without `cidr`: the block must lie inside one of these, when any is given. At most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_cidrs: Vec<Cidr>,
    /// Only without `cidr`: the block must share no address with any of these. At most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disallowed_cidrs: Vec<Cidr>,
    /// At most 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Absent for a custom allocation: a reservation, or something that this system does not see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceClaim>,
}

/// Changes an allocation's description, or binds a resource to a custom allocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModifyAllocation {
    pub allocation: AllocationId,
    #[serde(default, skip_serializing_if = "Change::is_unchanged")]
    pub description: Change<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "change::not_null")]
    #[schemars(with = "ResourceClaim")]
    pub resource: Option<ResourceClaim>,
}

/// Gives an allocation back. The space is free in the same event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseAllocation {
    pub allocation: AllocationId,
    /// When given, must be the allocation's pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolId>,
    /// When given, must be the allocation's block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<Cidr>,
    /// Release although its resource is observed there now. Needs the command's `reason`.
    #[serde(default)]
    pub force: bool,
}

/// Whether a block is private or public to its network; never guessed from its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    Private,
    Public,
}

/// One block that a resource was seen to hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObservedCidr {
    pub cidr: Cidr,
    /// Required for network interfaces and instances; for other kinds the kind says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

/// All that is known of one resource at one instant: the full set of its blocks, and its attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObserveResource {
    pub kind: ResourceKind,
    /// 1 to 256 characters.
    pub id: String,
    /// When it was so. At most 60 s ahead of the ledger's clock.
    pub observed_at: Timestamp,
    /// 1 to 1,000 blocks.
    pub cidrs: Vec<ObservedCidr>,
    #[serde(default)]
    pub attributes: ResourceAttributes,
}

/// What describes a resource without being its identity: a change of it ends no interval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceAttributes {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The id of what contains it: a subnet's VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Who says so: the agent or the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Anything else worth keeping, such as `network_border_group`. At most 50.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub labels: Tags,
}

/// A resource was not there (any more) at this instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObserveResourceGone {
    pub kind: ResourceKind,
    pub id: String,
    /// When it was so. At most 60 s ahead of the ledger's clock.
    pub observed_at: Timestamp,
    /// Who says so: the agent or the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Withdraws an observation that was wrong. It stays in the history of what was known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetractObservation {
    pub kind: ResourceKind,
    pub id: String,
    pub observed_at: Timestamp,
    /// The revision that recorded it; needed only when several observations stand at that instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
}

/// Sets tags on anything that has an id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TagResource {
    pub resource: ObjectId,
    pub tags: Tags,
}

/// Removes tags by key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UntagResource {
    pub resource: ObjectId,
    pub keys: Vec<String>,
}
