//! `CreatePool`: top-level in a scope, or a child of a source pool (spec §1.4).

use super::{AllocationRules, Pool, PublicIpSource};
use crate::address::Family;
use crate::domain::ask::{Ask, Decided};
use crate::domain::authority;
use crate::domain::check;
use crate::domain::command::{self, Visibility};
use crate::domain::event;
use crate::domain::id::{PoolId, Region};
use crate::domain::ipam::Ipam;
use crate::domain::quota::Quota;
use crate::domain::rejection::{Code, Rejection};
use crate::domain::scope::Scope;

pub(in crate::domain) fn create(ask: &Ask<'_>, body: &command::CreatePool) -> Decided {
    check::description(body.description.as_deref())?;
    let tags = check::named_tags(body.name.as_deref(), &body.tags)?;
    check::tags("allocation_resource_tags", &body.allocation_resource_tags)?;
    let (scope, source) = place(ask, body)?;
    let family = family(body, source)?;
    let ipam = ask.state.ipams.get(scope.ipam).expect("a scope's IPAM exists while the scope does");
    let locale = locale(body.locale.as_ref(), source, ipam)?;
    let rules = AllocationRules {
        min_netmask_length: body.allocation_min_netmask_length,
        max_netmask_length: body.allocation_max_netmask_length,
        default_netmask_length: body.allocation_default_netmask_length,
        resource_tags: body.allocation_resource_tags.clone(),
    };
    rules.check(family)?;
    auto_import(body.auto_import, locale)?;
    public_settings(body, scope, family)?;
    quotas(ask, scope, source)?;
    let created = event::PoolCreated {
        pool: PoolId::new(&ask.seed(), 0),
        scope: scope.id,
        source_pool: body.source_pool,
        address_family: family,
        locale: locale.cloned(),
        description: body.description.clone(),
        tags,
        allocation_min_netmask_length: rules.min_netmask_length,
        allocation_max_netmask_length: rules.max_netmask_length,
        allocation_default_netmask_length: rules.default_netmask_length,
        allocation_resource_tags: rules.resource_tags,
        placement: body.placement,
        auto_import: body.auto_import,
        publicly_advertisable: body.publicly_advertisable,
        aws_service: body.aws_service,
        public_ip_source: body.public_ip_source,
    };
    Ok(vec![created.into()])
}

/// The scope, and the source pool if the pool is to have one.
fn place<'a>(ask: &Ask<'a>, body: &command::CreatePool) -> Result<(&'a Scope, Option<&'a Pool>), Rejection> {
    let Some(source) = body.source_pool else {
        let Some(scope) = body.scope else {
            let message = "A top-level pool needs its `scope`, a child pool its `source_pool`; neither was named.";
            return Err(Rejection::new(Code::MissingParameter, "INV-P1", message));
        };
        return Ok((authority::owned_scope(ask, scope)?, None));
    };
    let source = authority::owned_pool(ask, source)?;
    if let Some(scope) = body.scope.filter(|scope| *scope != source.scope) {
        let message =
            format!("The source pool {} is in {}, so its child pool cannot be in {scope}.", source.id, source.scope);
        return Err(Rejection::new(Code::InvalidParameterValue, "INV-P1", message)
            .value("scope", scope)
            .try_instead("scope", source.scope));
    }
    Ok((authority::owned_scope(ask, source.scope)?, Some(source)))
}

fn family(body: &command::CreatePool, source: Option<&Pool>) -> Result<Family, Rejection> {
    match (body.address_family, source) {
        (Some(family), Some(source)) if family != source.address_family => {
            let message = format!("The source pool {} holds {} space, not {family}.", source.id, source.address_family);
            Err(Rejection::new(Code::InvalidParameterValue, "INV-P1", message)
                .value("address_family", family)
                .try_instead("address_family", source.address_family))
        }
        (_, Some(source)) => Ok(source.address_family),
        (Some(family), None) => Ok(family),
        (None, None) => {
            let message = "A top-level pool needs its `address_family`: ipv4 or ipv6.";
            Err(Rejection::new(Code::MissingParameter, "INV-P1", message))
        }
    }
}

/// The locale that was asked for, else the source pool's: whose child can have no other.
fn locale<'a>(
    asked: Option<&'a Region>,
    source: Option<&'a Pool>,
    ipam: &Ipam,
) -> Result<Option<&'a Region>, Rejection> {
    let required = source.and_then(|source| Some((source, source.locale.as_ref()?)));
    match (asked, required) {
        (Some(asked), Some((source, required))) if asked != required => {
            let message = format!(
                "The source pool {} has the locale {required}, and its child pools must have the same; this one asks for {asked}.",
                source.id
            );
            Err(Rejection::new(Code::LocaleMismatch, "INV-P2", message)
                .value("locale", asked)
                .try_instead("locale", required))
        }
        (Some(asked), None) if !ipam.operating_regions.contains(asked) => {
            let operating: Vec<_> = ipam.operating_regions.iter().map(Region::as_str).collect();
            let operating = operating.join(", ");
            let message =
                format!("The locale {asked} is no operating region of {}, which operates in {operating}.", ipam.id);
            Err(Rejection::new(Code::InvalidParameterValue, "INV-P2", message)
                .value("locale", asked)
                .try_instead("locale", operating))
        }
        _ => Ok(asked.or(required.map(|(_, required)| required))),
    }
}

/// Discovery assigns resources by region, so importing them needs one.
pub(super) fn auto_import(auto_import: bool, locale: Option<&Region>) -> Result<(), Rejection> {
    if auto_import && locale.is_none() {
        let message = "Auto-import needs a pool with a locale; this one has none, and a locale never changes.";
        return Err(Rejection::new(Code::InvalidParameterCombination, "INV-P3", message).value("auto_import", true));
    }
    Ok(())
}

fn public_settings(body: &command::CreatePool, scope: &Scope, family: Family) -> Result<(), Rejection> {
    let source = body.public_ip_source.unwrap_or(PublicIpSource::Byoip);
    if body.publicly_advertisable.is_some()
        && (family != Family::Ipv6 || source != PublicIpSource::Byoip || scope.visibility != Visibility::Public)
    {
        let message = "The request can only contain PubliclyAdvertisable if the AddressFamily is IPv6 and \
                       PublicIpSource is byoip.";
        return Err(Rejection::new(Code::InvalidParameterCombination, "INV-P10", message)
            .value("address_family", family)
            .value("scope", scope.id));
    }
    let public_only =
        [("public_ip_source", body.public_ip_source.is_some()), ("aws_service", body.aws_service.is_some())];
    if scope.visibility != Visibility::Public
        && let Some((name, _)) = public_only.into_iter().find(|(_, given)| *given)
    {
        let message = format!("`{name}` is for pools in a public scope; {} is private.", scope.id);
        return Err(Rejection::new(Code::InvalidParameterCombination, "INV-P10", message).value("scope", scope.id));
    }
    if source == PublicIpSource::Amazon {
        let message = "Space that Amazon provides is not supported: a ledger cannot get it. Use `byoip`.";
        return Err(Rejection::new(Code::UnsupportedOperation, "PublicIpSource", message)
            .value("public_ip_source", "amazon")
            .try_instead("public_ip_source", "byoip"));
    }
    Ok(())
}

fn quotas(ask: &Ask<'_>, scope: &Scope, source: Option<&Pool>) -> Result<(), Rejection> {
    let organization = &ask.state.organization;
    let (pools, limit) = (ask.state.pools.count_in_scope(scope.id), organization.quota(Quota::PoolsPerScope));
    if pools as u64 >= u64::from(limit) {
        let message = format!("{} has {pools} pools, and its quota is {limit}.", scope.id);
        return Err(Rejection::new(Code::QuotaExceeded, "pools-per-scope", message)
            .value("pools", pools)
            .value("limit", limit)
            .try_instead("command", "SetQuota"));
    }
    let (depth, limit) = (source.map_or(1, |source| source.depth + 1), organization.quota(Quota::PoolDepth));
    if depth > limit {
        let message = format!("The pool would be at depth {depth}, and the quota is {limit}.");
        return Err(Rejection::new(Code::QuotaExceeded, "pool-depth", message)
            .value("depth", depth)
            .value("limit", limit)
            .try_instead("command", "SetQuota"));
    }
    Ok(())
}
