//! Commands about IPAMs.

use std::collections::BTreeSet;

use crate::domain::ask::{Ask, Decided};
use crate::domain::authority;
use crate::domain::check;
use crate::domain::command;
use crate::domain::contents;
use crate::domain::event;
use crate::domain::id::{AssociationId, DiscoveryId, IpamId, Region, ScopeId};
use crate::domain::ipam::Ipam;
use crate::domain::quota::{self, Quota};
use crate::domain::rejection::{Code, Rejection};
use crate::planted::{Bug, planted};

/// Any account may make an IPAM of its own; what it sees then is another matter (design D18).
pub(in crate::domain) fn create(ask: &Ask<'_>, body: &command::CreateIpam) -> Decided {
    check::list("operating_regions", body.operating_regions.len(), check::LIST_ENTRIES_MAX)?;
    check::description(body.description.as_deref())?;
    let tags = check::named_tags(body.name.as_deref(), &body.tags)?;
    let owner = ask.command.principal.account;
    let here: Vec<_> = ask
        .state
        .ipams
        .owned_by(owner)
        .filter(|ipam| ipam.home_region == body.home_region)
        .map(|ipam| ipam.id)
        .collect();
    let total = here.len();
    quota::room_for_one(ask, Quota::IpamsPerRegion, total, format_args!("{owner} in {}", body.home_region)).map_err(
        |rejection| {
            rejection
                .value("home_region", &body.home_region)
                .value("owner", owner)
                .blocked_by(here, total as u64, String::new())
                .try_instead("home_region", "another one")
        },
    )?;
    let seed = ask.seed();
    let operating: BTreeSet<_> = body.operating_regions.iter().chain([&body.home_region]).cloned().collect();
    Ok(vec![
        event::IpamCreated {
            ipam: IpamId::new(&seed, 0),
            owner,
            home_region: body.home_region.clone(),
            operating_regions: operating.into_iter().collect(),
            description: body.description.clone(),
            tags,
            private_default_scope: ScopeId::new(&seed, 0),
            public_default_scope: ScopeId::new(&seed, 1),
            default_resource_discovery: DiscoveryId::new(&seed, 0),
            default_resource_discovery_association: AssociationId::new(&seed, 0),
        }
        .into(),
    ])
}

pub(in crate::domain) fn modify(ask: &Ask<'_>, body: &command::ModifyIpam) -> Decided {
    let ipam = authority::owned_ipam(ask, body.ipam)?;
    let (add, remove) = (&body.add_operating_regions, &body.remove_operating_regions);
    let named = !body.description.is_unchanged() || !add.is_empty() || !remove.is_empty();
    check::names_something(named, "description, add_operating_regions, remove_operating_regions")?;
    check::description_change(&body.description)?;
    check::list("add_operating_regions", add.len(), check::LIST_ENTRIES_MAX)?;
    check::list("remove_operating_regions", remove.len(), check::LIST_ENTRIES_MAX)?;
    if let Some(region) = add.iter().find(|region| remove.contains(region)) {
        let message = format!("{region} is to be added and removed at once.");
        let rule = "a region is added or removed";
        return Err(Rejection::new(Code::InvalidParameterCombination, rule, message).value("region", region));
    }
    let removed: BTreeSet<&Region> = remove.iter().filter(|region| ipam.operating_regions.contains(*region)).collect();
    for region in &removed {
        can_leave_region(ask, ipam, region)?;
    }
    let added: BTreeSet<&Region> = add.iter().filter(|region| !ipam.operating_regions.contains(*region)).collect();
    let description = check::effective(&body.description, ipam.description.as_ref());
    if description.is_unchanged() && added.is_empty() && removed.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![
        event::IpamModified {
            ipam: ipam.id,
            description,
            added_operating_regions: added.into_iter().cloned().collect(),
            removed_operating_regions: removed.into_iter().cloned().collect(),
        }
        .into(),
    ])
}

/// INV-I2, and pools keep their locale for ever (design D19).
fn can_leave_region(ask: &Ask<'_>, ipam: &Ipam, region: &Region) -> Result<(), Rejection> {
    if *region == ipam.home_region {
        let message = format!("{region} is the home region of {}.", ipam.id);
        return Err(Rejection::new(Code::HomeRegion, "INV-I2: the home region is always operated", message)
            .value("region", region)
            .value("ipam", ipam.id));
    }
    let scopes = ask.state.scopes.of_ipam(ipam.id);
    let pools: Vec<_> = scopes.flat_map(|scope| contents::pools_with_locale(ask.state, scope.id, region)).collect();
    if pools.is_empty() || planted(Bug::RegionInUseRemoved) {
        return Ok(());
    }
    let total = pools.len() as u64;
    let message = format!("{total} pool(s) of {} have the locale {region}.", ipam.id);
    Err(Rejection::new(Code::DependencyViolation, "a region stays while pools have it as locale (D19)", message)
        .value("region", region)
        .value("ipam", ipam.id)
        .blocked_by(pools, total, format!("/v1/organizations/{}/pools", ask.state.id))
        .try_instead("DeletePool", "for each of them"))
}

/// Plain: nothing but the default scopes may be left. Cascade: all that is in private scopes goes along, but
/// never a public pool (T36).
pub(in crate::domain) fn delete(ask: &Ask<'_>, body: &command::DeleteIpam) -> Decided {
    let ipam = authority::owned_ipam(ask, body.ipam)?;
    if body.cascade {
        return cascade(ask, ipam);
    }
    let mut blockers = Vec::new();
    for scope in ask.state.scopes.of_ipam(ipam.id) {
        blockers.extend(contents::pools_in(ask.state, scope.id).into_iter().map(|pool| pool.to_string()));
        if !scope.is_default {
            blockers.push(scope.id.to_string());
        }
    }
    if blockers.is_empty() {
        return Ok(vec![event::IpamDeleted { ipam: ipam.id, closed: Vec::new() }.into()]);
    }
    let total = blockers.len() as u64;
    let message = format!("{total} pool(s) and scope(s) are still in {}.", ipam.id);
    Err(Rejection::new(Code::DependencyViolation, "an IPAM is empty when it is deleted", message)
        .value("ipam", ipam.id)
        .blocked_by(blockers, total, format!("/v1/organizations/{}/pools", ask.state.id))
        .try_instead("cascade", "true, when no pool is in the public scope"))
}

fn cascade(ask: &Ask<'_>, ipam: &Ipam) -> Decided {
    let public = contents::pools_in(ask.state, ipam.public_default_scope);
    if !public.is_empty() {
        let total = public.len() as u64;
        let scope = ipam.public_default_scope;
        let message = format!("{total} pool(s) are in the public scope {scope}; a cascade never deletes those.");
        return Err(Rejection::new(Code::DependencyViolation, "a cascade stops at public pools (spec §1.2)", message)
            .value("ipam", ipam.id)
            .value("public_scope", scope)
            .blocked_by(public, total, format!("/v1/organizations/{}/pools?scope={scope}", ask.state.id))
            .try_instead("DeletePool", "for each of them"));
    }
    let scopes: Vec<_> = ask.state.scopes.of_ipam(ipam.id).map(|scope| scope.id).collect();
    Ok(vec![event::IpamDeleted { ipam: ipam.id, closed: contents::close(ask.state, &scopes) }.into()])
}
