//! The kinds of resources that hold addresses, under one name each.
//!
//! AWS spells some of them differently from API to API (`eni` and `network-interface`,
//! `public-ipv4-pool` and `ec2-public-ipv4-pool`; spec §1.19). All spellings are read, one is written.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::id::IdError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceKind {
    /// A child pool, holding space of its source pool. Only as the kind of an allocation.
    IpamPool,
    /// Nobody in particular: a reservation, or something that this system does not see. Only as the kind of an allocation.
    Custom,
    Vpc,
    Subnet,
    Eip,
    #[serde(rename = "public-ipv4-pool", alias = "ec2-public-ipv4-pool")]
    PublicIpv4Pool,
    #[serde(rename = "ipv6-pool")]
    Ipv6Pool,
    #[serde(alias = "eni")]
    NetworkInterface,
    Instance,
    AnycastIpList,
    /// A range that somebody publishes: public, of no account, outside reach and overlap.
    Prefix,
}

impl ResourceKind {
    pub const ALL: [Self; 11] = [
        Self::IpamPool,
        Self::Custom,
        Self::Vpc,
        Self::Subnet,
        Self::Eip,
        Self::PublicIpv4Pool,
        Self::Ipv6Pool,
        Self::NetworkInterface,
        Self::Instance,
        Self::AnycastIpList,
        Self::Prefix,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IpamPool => "ipam-pool",
            Self::Custom => "custom",
            Self::Vpc => "vpc",
            Self::Subnet => "subnet",
            Self::Eip => "eip",
            Self::PublicIpv4Pool => "public-ipv4-pool",
            Self::Ipv6Pool => "ipv6-pool",
            Self::NetworkInterface => "network-interface",
            Self::Instance => "instance",
            Self::AnycastIpList => "anycast-ip-list",
            Self::Prefix => "prefix",
        }
    }

    /// Whether discovery can see such a thing: everything but the two kinds that exist as allocations only.
    #[must_use]
    pub const fn is_observable(self) -> bool {
        !matches!(self, Self::IpamPool | Self::Custom)
    }

    /// Whether an allocation can be for such a resource (spec §1.19, allocation `ResourceType`).
    #[must_use]
    pub const fn can_hold_allocation(self) -> bool {
        matches!(self, Self::Vpc | Self::Subnet | Self::Eip | Self::PublicIpv4Pool | Self::AnycastIpList)
    }

    /// Whether two of such things in one scope that share an address are an overlap (spec §3.4, design D26).
    #[must_use]
    pub const fn can_overlap(self) -> bool {
        matches!(self, Self::Vpc | Self::Eip | Self::PublicIpv4Pool | Self::Custom)
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for ResourceKind {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .or(match text {
                "ec2-public-ipv4-pool" => Some(Self::PublicIpv4Pool),
                "eni" => Some(Self::NetworkInterface),
                _ => None,
            })
            .ok_or_else(|| {
                IdError::new(text, "a resource kind such as vpc, subnet, eip, network-interface or instance")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_serde_agree_and_every_aws_spelling_is_read() {
        for kind in ResourceKind::ALL {
            assert_eq!(serde_json::to_string(&kind).expect("serialises"), format!("\"{kind}\""));
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        for (aws, kind) in
            [("eni", ResourceKind::NetworkInterface), ("ec2-public-ipv4-pool", ResourceKind::PublicIpv4Pool)]
        {
            assert_eq!(aws.parse(), Ok(kind));
            assert_eq!(serde_json::from_str::<ResourceKind>(&format!("\"{aws}\"")).expect("an alias"), kind);
        }
        assert!("vpcs".parse::<ResourceKind>().is_err());
    }

    #[test]
    fn what_a_kind_can_be() {
        let of = |is: fn(ResourceKind) -> bool| -> Vec<_> {
            ResourceKind::ALL.into_iter().filter(|kind| is(*kind)).map(ResourceKind::as_str).collect()
        };
        let allocated_only = ["ipam-pool", "custom"];
        assert_eq!(of(|kind| !kind.is_observable()), allocated_only);
        let holders = ["vpc", "subnet", "eip", "public-ipv4-pool", "anycast-ip-list"];
        assert_eq!(of(ResourceKind::can_hold_allocation), holders);
        // A subnet's overlap is its VPC's, an interface's its subnet's; what is published overlaps nothing.
        assert_eq!(of(ResourceKind::can_overlap), ["custom", "vpc", "eip", "public-ipv4-pool"]);
    }
}
