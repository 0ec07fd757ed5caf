//! How the domain's and the log's types are stored.

use uuid::Uuid;

use super::{Reader, Stored, stored_enum, stored_struct};
use crate::address::{AddressCount, Cidr, Family};
use crate::domain::Row;
use crate::domain::allocation::{AllocationRow, Holder};
use crate::domain::bytes::{write_number, write_text};
use crate::domain::command::{ObservedCidr, Principal, Proof, ResourceAttributes, ResourceClaim, Visibility};
use crate::domain::digest::Digest;
use crate::domain::event::{Ownership, ResourceName};
use crate::domain::id::{
    AccountId, AllocationId, AssociationId, DiscoveryId, IpamId, PoolCidrId, PoolId, Region, Revision, ScopeId,
};
use crate::domain::ipam::Ipam;
use crate::domain::kind::ResourceKind;
use crate::domain::organization::{Account, Organization};
use crate::domain::outcome::Moment;
use crate::domain::pool::{AllocationRules, AwsService, Placement, Pool, PoolCidr, PoolUsage, PublicIpSource};
use crate::domain::quota::Quota;
use crate::domain::resource::{Observation, Presence, Resource};
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::log::record::Partition;

impl Stored for Revision {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.0.write(bytes);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        u64::read(reader).map(Self)
    }
}

impl Stored for Timestamp {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.micros().to_be_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let micros = i64::from_be_bytes(reader.array()?);
        (Self::MIN.micros()..=Self::MAX.micros()).contains(&micros).then(|| Self::from_micros(micros))
    }
}

impl Stored for Digest {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.as_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.array().map(Self::from_bytes)
    }
}

impl Stored for Partition {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.0.write(bytes);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        u32::read(reader).map(Self)
    }
}

impl Stored for Uuid {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.as_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.array().map(Self::from_bytes)
    }
}

impl Stored for AccountId {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.number().write(bytes);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        u64::read(reader).and_then(Self::from_number)
    }
}

impl Stored for Region {
    fn write(&self, bytes: &mut Vec<u8>) {
        write_text(bytes, self.as_str());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.text()?.parse().ok()
    }
}

impl Stored for ResourceKind {
    fn write(&self, bytes: &mut Vec<u8>) {
        write_text(bytes, self.as_str());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.text()?.parse().ok()
    }
}

impl Stored for Cidr {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.family().write(bytes);
        bytes.push(self.length());
        let address = self.first().to_be_bytes();
        let (_, low) = address.split_at(address.len() - usize::from(self.family().bits() / 8));
        bytes.extend_from_slice(low);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let family = Family::read(reader)?;
        let length = reader.byte().filter(|length| *length <= family.bits())?;
        let address = reader.take(usize::from(family.bits() / 8))?;
        let address = address.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        Some(Self::containing(family, address, length)).filter(|cidr| cidr.first() == address)
    }
}

/// Ids are as many bytes as their digits need.
macro_rules! stored_id {
    ($($id:ty: $width:literal),+) => {
        $(impl Stored for $id {
            fn write(&self, bytes: &mut Vec<u8>) {
                let bits = self.bits().to_be_bytes();
                let (_, low) = bits.split_at(bits.len() - $width);
                bytes.extend_from_slice(low);
            }

            fn read(reader: &mut Reader<'_>) -> Option<Self> {
                let bits = reader.take($width)?.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
                Self::from_bits(bits)
            }
        })+
    };
}
stored_id!(IpamId: 9, ScopeId: 9, PoolId: 9, DiscoveryId: 9, AssociationId: 9, AllocationId: 16, PoolCidrId: 16);

stored_enum!(Family { 4 => Ipv4, 6 => Ipv6 });
stored_enum!(Proof { 0 => None });
stored_struct!(Moment { revision, decided_at });
stored_struct!(Principal { account, name, proof });
stored_struct!(ResourceAttributes { account, region, name, parent, source, tags, labels });
stored_struct!(ResourceClaim { kind, id, region, account, tags });
stored_struct!(ObservedCidr { cidr, visibility });
stored_struct!(ResourceName { kind, id });
stored_enum!(Visibility { 1 => Private, 2 => Public });
stored_enum!(Ownership { 1 => Unproven });
stored_enum!(Placement { 1 => FirstFit, 2 => BestFit, 3 => Random });
stored_enum!(AwsService { 1 => Ec2, 2 => GlobalServices });
stored_enum!(PublicIpSource { 1 => Amazon, 2 => Byoip });
stored_enum!(Quota {
    1 => AdministratorsPerOrganization,
    2 => IpamsPerRegion,
    3 => ScopesPerIpam,
    4 => PoolsPerScope,
    5 => PoolDepth,
    6 => CidrsPerPool,
    7 => ResourceDiscoveriesPerRegion,
    8 => ResourceDiscoveryAssociationsPerIpam,
});

stored_enum!(Row {
    1 => Organization { moment: moment, organization: organization },
    2 => Ipam { 0: ipam },
    3 => Scope { 0: scope },
    4 => Pool { 0: pool },
    5 => Allocation { 0: allocation },
    6 => Resource { 0: resource },
});
stored_struct!(Organization { management_account, accounts, administrator, registered, quotas, changed_at });
stored_struct!(Account { name, service_linked_role });
stored_struct!(Ipam {
    id,
    owner,
    home_region,
    operating_regions,
    description,
    tags,
    private_default_scope,
    public_default_scope,
    default_resource_discovery,
    default_resource_discovery_tags,
    default_resource_discovery_association,
    default_resource_discovery_association_tags,
    created_at,
    changed_at,
});
stored_struct!(Scope { id, ipam, visibility, is_default, description, tags, created_at, changed_at });
stored_struct!(Pool {
    id,
    scope,
    source_pool,
    depth,
    address_family,
    locale,
    description,
    tags,
    rules,
    placement,
    auto_import,
    publicly_advertisable,
    aws_service,
    public_ip_source,
    cidrs,
    changed_at,
});
stored_struct!(AllocationRules { min_netmask_length, max_netmask_length, default_netmask_length, resource_tags });
stored_struct!(PoolCidr { id, cidr, source_allocation, ownership });
stored_struct!(PoolUsage { provisioned, child_pools, assigned, available, allocations, largest_free_block });
stored_struct!(AllocationRow { id, pool, cidr, description, tags, holder, changed_at });
stored_enum!(Holder { 1 => Custom, 2 => Pool { 0: pool }, 3 => Resource { 0: claim } });
stored_struct!(Resource { name, observations, changed_at });
stored_struct!(Observation { observed_at, reported_at, revision, source, presence });
stored_struct!(Presence { cidrs, attributes });

/// All of IPv6 is the one count that 128 bits do not hold.
impl Stored for AddressCount {
    fn write(&self, bytes: &mut Vec<u8>) {
        let count = u128::try_from(*self).ok();
        bytes.push(u8::from(count.is_some()));
        if let Some(count) = count {
            write_number(bytes, count);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        match reader.byte()? {
            0 => Some(Self::of_host_bits(128)),
            1 => reader.number().map(Self::from),
            _ => None,
        }
    }
}
