//! Whether an allocation may be for a resource (INV-A3).

use crate::domain::ask::Ask;
use crate::domain::authority;
use crate::domain::check;
use crate::domain::command::ResourceClaim;
use crate::domain::id::Region;
use crate::domain::ipam::Ipam;
use crate::domain::kind::ResourceKind;
use crate::domain::pool::Pool;
use crate::domain::rejection::{Code, Rejection};
use crate::planted::{Bug, planted};

/// A claim with what it left to be understood: the asking account, the pool's locale.
pub(super) fn completed(ask: &Ask<'_>, pool: &Pool, claim: &ResourceClaim) -> ResourceClaim {
    ResourceClaim {
        region: claim.region.clone().or_else(|| pool.locale.clone()),
        account: claim.account.or(Some(ask.command.principal.account)),
        ..claim.clone()
    }
}

/// Refuses resources that may not have a block of `length` from the pool.
pub(super) fn admit(ask: &Ask<'_>, pool: &Pool, claim: &ResourceClaim, length: u8) -> Result<(), Rejection> {
    can_hold(claim.kind)?;
    check::foreign_id("resource.id", &claim.id)?;
    check::foreign_tags("resource.tags", &claim.tags)?;
    locale(pool, claim.region.as_ref())?;
    authority::account_monitored(ask, ipam_of(ask, pool), claim.account.unwrap_or(ask.command.principal.account))?;
    pool.rules.admit_length(pool.address_family, length)?;
    if planted(Bug::TagsUnchecked) {
        return Ok(());
    }
    pool.rules.admit_tags(&claim.tags)
}

/// Custom allocations obey the netmask rules and skip the tag rules (INV-A4); the asking account has them.
pub(super) fn admit_custom(ask: &Ask<'_>, pool: &Pool, length: u8) -> Result<(), Rejection> {
    authority::account_monitored(ask, ipam_of(ask, pool), ask.command.principal.account)?;
    pool.rules.admit_length(pool.address_family, length)
}

/// The IPAM that a pool belongs to.
pub(super) fn ipam_of<'a>(ask: &Ask<'a>, pool: &Pool) -> &'a Ipam {
    let scope = ask.state.scopes.get(pool.scope).expect("a pool's scope exists while the pool does");
    ask.state.ipams.get(scope.ipam).expect("a scope's IPAM exists while the scope does")
}

fn can_hold(kind: ResourceKind) -> Result<(), Rejection> {
    if kind.can_hold_allocation() {
        return Ok(());
    }
    let kinds = ResourceKind::ALL.into_iter().filter(|kind| kind.can_hold_allocation());
    let kinds: Vec<_> = kinds.map(ResourceKind::as_str).collect();
    let hint = match kind {
        ResourceKind::IpamPool => " Child pools get space by `ProvisionPoolCidr`.",
        ResourceKind::Custom => " For a custom allocation leave `resource` out.",
        _ => "",
    };
    let message = format!("An allocation cannot be for a resource of kind {kind}.{hint}");
    Err(Rejection::new(Code::UnsupportedOperation, "INV-A3", message)
        .value("kind", kind)
        .try_instead("kind", kinds.join(", ")))
}

fn locale(pool: &Pool, region: Option<&Region>) -> Result<(), Rejection> {
    let Some(locale) = &pool.locale else {
        let message = format!(
            "{} has no locale, so it serves custom allocations and child pools only. Allocate from a pool whose \
             locale is the resource's region.",
            pool.id
        );
        return Err(Rejection::new(Code::LocaleMismatch, "INV-P3", message).value("locale", "none"));
    };
    match region {
        Some(region) if region != locale => {
            let message = format!("The resource is in {region}, and the locale of {} is {locale}.", pool.id);
            Err(Rejection::new(Code::LocaleMismatch, "INV-A3", message)
                .value("region", region)
                .try_instead("region", locale))
        }
        _ => Ok(()),
    }
}
