//! INV-P3, P6, P7, A3, A4: what a pool's own rules let it hand out.

use super::{Checked, ensure};
use crate::address::{Cidr, Family};
use crate::domain::command::{ResourceClaim, Tags};
use crate::domain::event::{PoolCreated, PoolModified};
use crate::domain::id::{PoolId, Region};

#[derive(Debug)]
pub(super) struct Rules {
    locale: Option<Region>,
    min: Option<u8>,
    max: Option<u8>,
    default: Option<u8>,
    tags: Tags,
}

impl Rules {
    pub(super) fn new(event: &PoolCreated) -> Self {
        Self {
            locale: event.locale.clone(),
            min: event.allocation_min_netmask_length,
            max: event.allocation_max_netmask_length,
            default: event.allocation_default_netmask_length,
            tags: event.allocation_resource_tags.clone(),
        }
    }

    pub(super) fn locale(&self) -> Option<&Region> {
        self.locale.as_ref()
    }

    pub(super) fn change(&mut self, event: &PoolModified) {
        self.min = event.allocation_min_netmask_length.clone().applied_to(self.min);
        self.max = event.allocation_max_netmask_length.clone().applied_to(self.max);
        self.default = event.allocation_default_netmask_length.clone().applied_to(self.default);
        let tags = event.allocation_resource_tags.clone().applied_to(Some(std::mem::take(&mut self.tags)));
        self.tags = tags.unwrap_or_default();
    }

    /// INV-P6, P7: the largest block is not smaller than the smallest, and the default is between them.
    pub(super) fn check(&self, pool: PoolId, family: Family) -> Checked {
        let (min, max) = self.lengths(family);
        let fits = min <= max && self.default.is_none_or(|default| (min..=max).contains(&default));
        ensure(fits, "INV-P6", || format!("the netmask lengths of pool {pool} contradict one another"))
    }

    /// INV-A3, A4: every block obeys the lengths; a resource also the locale and the tags.
    pub(super) fn admit(&self, pool: PoolId, family: Family, cidr: Cidr, resource: Option<&ResourceClaim>) -> Checked {
        let (min, max) = self.lengths(family);
        ensure((min..=max).contains(&cidr.length()), "INV-A3", || {
            format!("{cidr} is handed out by pool {pool}, which hands out /{min} to /{max}")
        })?;
        let Some(claim) = resource else { return Ok(()) };
        ensure(self.locale.is_some(), "INV-P3", || format!("{cidr} is for a resource, and pool {pool} has no locale"))?;
        ensure(claim.region.is_none() || claim.region == self.locale, "INV-A3", || {
            format!("{cidr} is for a resource outside the locale of pool {pool}")
        })?;
        let tagged = self.tags.iter().all(|(key, value)| claim.tags.get(key) == Some(value));
        ensure(tagged, "INV-A3", || format!("{cidr} is for a resource without the tags that pool {pool} asks for"))
    }

    fn lengths(&self, family: Family) -> (u8, u8) {
        (self.min.unwrap_or(0), self.max.unwrap_or(family.bits()))
    }
}
