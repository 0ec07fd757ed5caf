//! Limits on how many objects an organisation may have, and their defaults (spec §2.10).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ask::Ask;
use super::rejection::{Code, Rejection};
use crate::planted::{Bug, planted};

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

    /// The greatest limit that `SetQuota` takes.
    #[must_use]
    pub const fn value_max(self) -> u32 {
        match self {
            // Every decision about a pool may walk up to its top.
            Self::PoolDepth => 100,
            _ => 100_000,
        }
    }

    #[must_use]
    pub const fn is_adjustable(self) -> bool {
        !matches!(self, Self::AdministratorsPerOrganization | Self::IpamsPerRegion | Self::ResourceDiscoveriesPerRegion)
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AdministratorsPerOrganization => "administrators-per-organization",
            Self::IpamsPerRegion => "ipams-per-region",
            Self::ScopesPerIpam => "scopes-per-ipam",
            Self::PoolsPerScope => "pools-per-scope",
            Self::PoolDepth => "pool-depth",
            Self::CidrsPerPool => "cidrs-per-pool",
            Self::ResourceDiscoveriesPerRegion => "resource-discoveries-per-region",
            Self::ResourceDiscoveryAssociationsPerIpam => "resource-discovery-associations-per-ipam",
        })
    }
}

/// Refuses one more where there are `count` already. `holder` is what the quota is counted in.
pub(super) fn room_for_one(
    ask: &Ask<'_>,
    quota: Quota,
    count: usize,
    holder: impl fmt::Display,
) -> Result<(), Rejection> {
    let limit = ask.state.organization.quota(quota);
    if u32::try_from(count).is_ok_and(|count| count < limit + u32::from(planted(Bug::QuotaOffByOne))) {
        return Ok(());
    }
    let message = format!("{holder} has {count} already, and the quota {quota} is {limit}.");
    let rejection = Rejection::new(Code::QuotaExceeded, "quotas hold (spec §2.10)", message)
        .value("quota", quota)
        .value("limit", limit)
        .value("count", count);
    Err(if quota.is_adjustable() && limit < quota.value_max() {
        rejection.try_instead("SetQuota", format_args!("{quota}, up to {}", quota.value_max()))
    } else {
        rejection
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::command::SetQuota;
    use crate::domain::testing::World;

    #[test]
    fn quotas_are_written_as_they_are_read() {
        for quota in Quota::ALL {
            assert_eq!(serde_json::to_string(&quota).expect("serialises"), format!("\"{quota}\""));
            assert!(quota.default_value() <= quota.value_max());
        }
    }

    #[test]
    fn a_refusal_offers_a_higher_quota_where_there_is_one() {
        let mut world = World::organization();
        let quota = Quota::ScopesPerIpam;
        for (value, works) in [(99_999, Some("scopes-per-ipam, up to 100000")), (100_000, None)] {
            let set = SetQuota { quota, value };
            world.accept(set.clone());
            let command = world.command(set);
            let ask = Ask { state: &world.state, command: &command, now: world.now() };
            let limit = value as usize;
            assert_eq!(room_for_one(&ask, quota, limit - 1, "it"), Ok(()));
            let refused = room_for_one(&ask, quota, limit, "it").expect_err("one too many");
            assert_eq!(refused.would_work.get("SetQuota").map(String::as_str), works);
        }
    }
}
