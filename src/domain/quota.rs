//! Limits on how many objects an organisation may have, and their defaults (spec §2.10).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Quota {
    /// Not adjustable.
    AdministratorsPerOrganization,
    /// Per account and home region. Not adjustable.
    IpamsPerRegion,
    /// Both default scopes included.
    ScopesPerIpam,
    PoolsPerScope,
    PoolDepth,
    CidrsPerPool,
    /// Not adjustable.
    ResourceDiscoveriesPerRegion,
    ResourceDiscoveryAssociationsPerIpam,
}

impl Quota {
    pub const ALL: [Self; 8] = [
        Self::AdministratorsPerOrganization,
        Self::IpamsPerRegion,
        Self::ScopesPerIpam,
        Self::PoolsPerScope,
        Self::PoolDepth,
        Self::CidrsPerPool,
        Self::ResourceDiscoveriesPerRegion,
        Self::ResourceDiscoveryAssociationsPerIpam,
    ];

    /// The limit where nobody has set another.
    #[must_use]
    pub const fn default_value(self) -> u32 {
        match self {
            Self::AdministratorsPerOrganization | Self::IpamsPerRegion | Self::ResourceDiscoveriesPerRegion => 1,
            Self::ScopesPerIpam | Self::ResourceDiscoveryAssociationsPerIpam => 5,
            Self::PoolsPerScope | Self::CidrsPerPool => 50,
            Self::PoolDepth => 10,
        }
    }

    #[must_use]
    pub const fn is_adjustable(self) -> bool {
        !matches!(self, Self::AdministratorsPerOrganization | Self::IpamsPerRegion | Self::ResourceDiscoveriesPerRegion)
    }
}
