//! IPAMs: home and operating regions, two default scopes each (spec §1.2).
//!
//! Whose resources an IPAM sees is `authority`'s; pools are `pool`'s. Invariants: one IPAM per account and
//! home region (INV-I1); the home region is always operated (INV-I2).

mod apply;
mod decide;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub(super) use apply::{created, deleted, modified};
pub(super) use decide::{create, delete, modify};

use super::command::Tags;
use super::id::{AccountId, AssociationId, DiscoveryId, IpamId, Region, Revision, ScopeId};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ipam {
    pub id: IpamId,
    pub owner: AccountId,
    pub home_region: Region,
    /// The home region among them (INV-I2).
    pub operating_regions: BTreeSet<Region>,
    pub description: Option<String>,
    pub tags: Tags,
    pub private_default_scope: ScopeId,
    pub public_default_scope: ScopeId,
    pub default_resource_discovery: DiscoveryId,
    pub default_resource_discovery_tags: Tags,
    pub default_resource_discovery_association: AssociationId,
    pub default_resource_discovery_association_tags: Tags,
    /// The revision that created it.
    pub created_at: Revision,
    /// The revision that last changed it, its default discovery's and association's tags included.
    pub changed_at: Revision,
}

#[derive(Debug, Default)]
pub struct Ipams {
    by_id: BTreeMap<IpamId, Ipam>,
}

impl Ipams {
    #[must_use]
    pub fn get(&self, id: IpamId) -> Option<&Ipam> {
        self.by_id.get(&id)
    }

    /// All IPAMs, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Ipam> {
        self.by_id.values()
    }

    pub fn owned_by(&self, account: AccountId) -> impl Iterator<Item = &Ipam> {
        self.iter().filter(move |ipam| ipam.owner == account)
    }

    /// The IPAM whose default discovery this is.
    #[must_use]
    pub fn with_discovery(&self, id: DiscoveryId) -> Option<&Ipam> {
        self.iter().find(|ipam| ipam.default_resource_discovery == id)
    }

    /// The IPAM whose default discovery's association this is.
    #[must_use]
    pub fn with_association(&self, id: AssociationId) -> Option<&Ipam> {
        self.iter().find(|ipam| ipam.default_resource_discovery_association == id)
    }

    pub(super) fn known_mut(&mut self, id: IpamId) -> &mut Ipam {
        self.by_id.get_mut(&id).expect("events name IPAMs that exist")
    }

    pub(super) fn restore(&mut self, ipam: Ipam) {
        self.by_id.insert(ipam.id, ipam);
    }

    pub(super) fn remove(&mut self, id: IpamId) {
        self.by_id.remove(&id).expect("a deleted IPAM existed");
    }
}
