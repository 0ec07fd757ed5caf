//! A pool's allocation rules: what may be handed out, and to whom. They are not inherited (INV-P5).

use serde::{Deserialize, Serialize};

use crate::address::Family;
use crate::domain::command::Tags;
use crate::domain::rejection::{Code, Rejection};
use crate::planted::{Bug, planted};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationRules {
    /// The largest block: the smallest netmask length.
    pub min_netmask_length: Option<u8>,
    /// The smallest block: the largest netmask length.
    pub max_netmask_length: Option<u8>,
    /// What is handed out to those who name neither a CIDR nor a length.
    pub default_netmask_length: Option<u8>,
    /// Tags that a resource must carry, key and value alike.
    pub resource_tags: Tags,
}

impl AllocationRules {
    /// Whether the rules make sense for a family: lengths within its bits, min ≤ default ≤ max (INV-P6, INV-P7).
    pub(super) fn check(&self, family: Family) -> Result<(), Rejection> {
        for (name, length) in [
            ("allocation_min_netmask_length", self.min_netmask_length),
            ("allocation_max_netmask_length", self.max_netmask_length),
            ("allocation_default_netmask_length", self.default_netmask_length),
        ] {
            if let Some(length) = length.filter(|length| *length > family.bits()) {
                let message = format!("`{name}` is {length}, but an {family} netmask has 0 to {} bits.", family.bits());
                return Err(Rejection::new(Code::InvalidParameterValue, "INV-P6", message)
                    .value(name, length)
                    .try_instead("at_most", family.bits()));
            }
        }
        let (min, max) = self.lengths(family);
        if min > max {
            let message = format!(
                "`allocation_min_netmask_length` (the largest block, /{min}) must not be above \
                 `allocation_max_netmask_length` (the smallest block, /{max})."
            );
            return Err(Rejection::new(Code::InvalidParameterValue, "INV-P6", message)
                .value("allocation_min_netmask_length", min)
                .value("allocation_max_netmask_length", max));
        }
        match self.default_netmask_length {
            Some(default) if !(min..=max).contains(&default) => {
                let message = format!(
                    "`allocation_default_netmask_length` is {default}, outside the pool's own /{min} to /{max}."
                );
                Err(Rejection::new(Code::InvalidParameterValue, "INV-P7", message)
                    .value("allocation_default_netmask_length", default)
                    .try_instead("allowed", format!("/{min} to /{max}")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses blocks that the rules make too large or too small.
    pub(in crate::domain) fn admit_length(&self, family: Family, length: u8) -> Result<(), Rejection> {
        let (min, max) = self.lengths(family);
        let min = if planted(Bug::MinLengthUnchecked) { 0 } else { min };
        if (min..=max).contains(&length) {
            return Ok(());
        }
        let size = if length < min { "too big" } else { "too small" };
        let message = format!("A /{length} is {size} for the pool, which hands out /{min} to /{max}.");
        Err(Rejection::new(Code::NetmaskLengthOutOfRange, "INV-A3", message)
            .value("netmask_length", length)
            .try_instead("allowed", format!("/{min} to /{max}")))
    }

    /// Refuses resources without the tags that the pool asks for.
    pub(in crate::domain) fn admit_tags(&self, tags: &Tags) -> Result<(), Rejection> {
        let missing: Vec<_> = self
            .resource_tags
            .iter()
            .filter(|(key, value)| tags.get(*key) != Some(value))
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(", ");
        let message = format!(
            "The resource is missing one or more of the resource tags required by the IPAM pool: {missing}. \
             Values count as well as keys."
        );
        Err(Rejection::new(Code::MissingResourceTags, "INV-A3", message).value("missing", missing))
    }

    /// The smallest and the largest netmask length handed out.
    /// The shortest and the longest netmask that may be handed out.
    pub(in crate::domain) fn lengths(&self, family: Family) -> (u8, u8) {
        (self.min_netmask_length.unwrap_or(0), self.max_netmask_length.unwrap_or(family.bits()))
    }
}
