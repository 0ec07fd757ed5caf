//! Who may do what, and whose resources an IPAM sees (design D18, D19).
//!
//! Until pools are shared there is no policy to ask: rights follow from membership, delegation and
//! ownership alone. Invariant: what an account may not see reads as if it did not exist.

use std::fmt;

use super::ask::Ask;
use super::command::CommandBody;
use super::contents;
use super::event::NotMonitored;
use super::id::{AccountId, IpamId, PoolId, Region, ScopeId};
use super::ipam::Ipam;
use super::pool::Pool;
use super::rejection::{Code, Rejection};
use super::scope::Scope;
use super::state::State;

/// Whose resources an IPAM sees, within its operating regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Its owner has no service-linked role: it is delegated administrator through Organizations alone.
    Nothing,
    /// Its owner's.
    OwnAccount,
    /// Those of every account that has the service-linked role: its owner is the IPAM administrator.
    AllMembers,
}

/// Whose resources this IPAM sees now.
#[must_use]
pub fn reach(state: &State, ipam: &Ipam) -> Reach {
    if !state.organization.has_role(ipam.owner) {
        Reach::Nothing
    } else if state.organization.administrator == Some(ipam.owner) {
        Reach::AllMembers
    } else {
        Reach::OwnAccount
    }
}

/// Whether this IPAM monitors resources of that account in that region.
///
/// # Errors
/// The first reason why not.
pub fn sees(
    state: &State,
    ipam: &Ipam,
    account: Option<AccountId>,
    region: Option<&Region>,
) -> Result<(), NotMonitored> {
    sees_account(state, ipam, account.ok_or(NotMonitored::NoAccount)?)?;
    if ipam.operating_regions.contains(region.ok_or(NotMonitored::NoRegion)?) {
        Ok(())
    } else {
        Err(NotMonitored::RegionNotOperated)
    }
}

/// Whether any IPAM monitors resources of that account in that region.
///
/// # Errors
/// Why not, by the IPAM that comes closest to it.
pub fn monitored(state: &State, account: Option<AccountId>, region: Option<&Region>) -> Result<(), NotMonitored> {
    let mut closest = NotMonitored::NoIpam;
    for ipam in state.ipams.iter() {
        match sees(state, ipam, account, region) {
            Ok(()) => return Ok(()),
            // The reasons are in the order in which they are met.
            Err(reason) => closest = closest.max(reason),
        }
    }
    Err(closest)
}

fn sees_account(state: &State, ipam: &Ipam, account: AccountId) -> Result<(), NotMonitored> {
    if !state.is_member(account) {
        return Err(NotMonitored::AccountOutside);
    }
    let within = match reach(state, ipam) {
        Reach::Nothing => false,
        Reach::OwnAccount => account == ipam.owner,
        Reach::AllMembers => state.organization.has_role(account),
    };
    if within { Ok(()) } else { Err(NotMonitored::NoServiceLinkedRole) }
}

/// Refuses allocations for an account that the IPAM does not see (INV-O4).
pub(super) fn account_monitored(ask: &Ask<'_>, ipam: &Ipam, account: AccountId) -> Result<(), Rejection> {
    let Err(reason) = sees_account(ask.state, ipam, account) else { return Ok(()) };
    let (why, remedy, how) = remedy(ask.state, ipam, account, reason);
    let message = format!("{} of {} does not see {account}: {why}.", ipam.id, ipam.owner);
    Err(Rejection::new(Code::AccountNotMonitored, "INV-O4: only accounts that the IPAM sees get space", message)
        .value("account", account)
        .value("ipam", ipam.id)
        .value("owner", ipam.owner)
        .value("reason", reason)
        .try_instead(remedy, how))
}

/// Why an IPAM does not see an account, and what would mend it: a command or a value, and whose or for whom.
fn remedy(state: &State, ipam: &Ipam, account: AccountId, reason: NotMonitored) -> (String, &'static str, String) {
    let organization = &state.organization;
    let owner = ipam.owner;
    let own_alone = "it sees its own account alone".to_owned();
    let Some(management) = organization.management_account else {
        return (own_alone, "account", owner.to_string());
    };
    if reason == NotMonitored::AccountOutside {
        let why = format!("that is no account of {}", state.id);
        return (why, "AddAccount", format!("for {account}, by {management}"));
    }
    match organization.administrator {
        Some(administrator) if administrator == owner => {
            // Delegation reaches every member; the management account gets the role with an IPAM of its own.
            let why = "that has no service-linked role".to_owned();
            (why, "CreateIpam", format!("by {account}, for itself"))
        }
        Some(administrator) => (own_alone, "pool", format!("one of the administrator {administrator}")),
        None if owner == management => (own_alone, "DelegateAdmin", format!("for a member account, by {management}")),
        None if organization.registered == Some(owner) => {
            let why = "its owner is delegated administrator through Organizations alone, which creates no \
                       service-linked role";
            (why.to_owned(), "DelegateAdmin", format!("for {owner}, by {management}"))
        }
        None => (own_alone, "DelegateAdmin", format!("for {owner}, by {management}")),
    }
}

/// Refuses commands for an organisation that does not exist, those that open one excepted, and those of
/// accounts that have no part in it. A lone account's ledger needs no opening and knows that account alone.
pub(super) fn organization_exists(ask: &Ask<'_>) -> Result<(), Rejection> {
    let principal = ask.command.principal.account;
    if let Some(lone) = ask.state.id.lone_account() {
        return if principal == lone {
            Ok(())
        } else {
            let message = format!("{lone} is a lone account's ledger, and {principal} asks.");
            Err(Rejection::new(Code::UnauthorizedOperation, "a lone account's ledger is its own", message)
                .value("principal", principal)
                .try_instead("principal", lone))
        };
    }
    if matches!(ask.command.body, CommandBody::CreateOrganization(_)) {
        return Ok(());
    }
    if ask.state.organization.management_account.is_none() {
        let message = format!("There is no organisation {}.", ask.state.id);
        return Err(Rejection::new(Code::OrganizationNotFound, "commands go to an organisation that exists", message)
            .value("organization", &ask.state.id)
            .try_instead("CreateOrganization", "by its management account"));
    }
    if ask.state.is_member(principal) {
        return Ok(());
    }
    let message = format!("{principal} is no account of {}.", ask.state.id);
    Err(Rejection::new(Code::UnauthorizedOperation, "only accounts of an organisation act in it", message)
        .value("principal", principal)
        .value("organization", &ask.state.id))
}

/// Refuses commands about organisations in a lone account's ledger, and of others than the management account.
pub(super) fn management(ask: &Ask<'_>) -> Result<(), Rejection> {
    let command = ask.command.body.type_name();
    if let Some(lone) = ask.state.id.lone_account() {
        let message = format!("{command} is about an organisation; {lone} is a lone account.");
        return Err(Rejection::new(Code::UnsupportedOperation, "a lone account is no organisation (W3)", message)
            .value("organization", lone)
            .try_instead("organization", "an id that begins with `o-`"));
    }
    management_or_lone(ask)
}

/// Refuses commands of others than the management account, or the lone account.
pub(super) fn management_or_lone(ask: &Ask<'_>) -> Result<(), Rejection> {
    let principal = ask.command.principal.account;
    match ask.state.organization.management_account {
        Some(management) if management != principal => {
            let message = format!(
                "{} is for the management account {management} alone; {principal} asks.",
                ask.command.body.type_name()
            );
            let rule = "the management account rules the organisation";
            Err(Rejection::new(Code::UnauthorizedOperation, rule, message)
                .value("principal", principal)
                .try_instead("principal", management))
        }
        _ => Ok(()),
    }
}

/// The IPAM, when the asking account owns it.
pub(super) fn owned_ipam<'a>(ask: &Ask<'a>, id: IpamId) -> Result<&'a Ipam, Rejection> {
    visible_ipam(ask, id).ok_or_else(|| not_found(ask, Code::IpamNotFound, "IPAM", id))
}

/// The scope, when the asking account owns its IPAM.
pub(super) fn owned_scope<'a>(ask: &Ask<'a>, id: ScopeId) -> Result<&'a Scope, Rejection> {
    visible_scope(ask, id).ok_or_else(|| not_found(ask, Code::ScopeNotFound, "scope", id))
}

/// The pool, when the asking account owns its IPAM.
pub(super) fn owned_pool<'a>(ask: &Ask<'a>, id: PoolId) -> Result<&'a Pool, Rejection> {
    visible_pool(ask, id).ok_or_else(|| not_found(ask, Code::PoolNotFound, "pool", id))
}

pub(super) fn visible_ipam<'a>(ask: &Ask<'a>, id: IpamId) -> Option<&'a Ipam> {
    ask.state.ipams.get(id).filter(|ipam| ipam.owner == ask.command.principal.account)
}

pub(super) fn visible_scope<'a>(ask: &Ask<'a>, id: ScopeId) -> Option<&'a Scope> {
    ask.state.scopes.get(id).filter(|scope| visible_ipam(ask, scope.ipam).is_some())
}

pub(super) fn visible_pool<'a>(ask: &Ask<'a>, id: PoolId) -> Option<&'a Pool> {
    ask.state.pools.get(id).filter(|pool| visible_scope(ask, contents::scope_of(pool)).is_some())
}

/// Why an object is not found: it is not there, or not the asking account's.
pub(super) fn not_found(ask: &Ask<'_>, code: Code, kind: &'static str, id: impl fmt::Display) -> Rejection {
    let principal = ask.command.principal.account;
    let message = format!("There is no {kind} {id} of {principal}.");
    Rejection::new(code, "an object is known to the owner of its IPAM alone", message)
        .value("id", id)
        .value("principal", principal)
}

/// Refuses facts about others' resources from accounts that are neither the management account nor the
/// administrator (design D19). The owner of an IPAM may report of whom that sees, and of what belongs to no member.
/// `None`: a fact that names no account.
pub(super) fn may_observe(ask: &Ask<'_>, account: Option<AccountId>) -> Result<(), Rejection> {
    let principal = ask.command.principal.account;
    let (state, organization) = (ask.state, &ask.state.organization);
    let mut owned = state.ipams.owned_by(principal).peekable();
    let owns_one = owned.peek().is_some();
    let member = account.filter(|account| state.is_member(*account));
    let trusted = account == Some(principal)
        || state.id.lone_account().is_some()
        || organization.management_account == Some(principal)
        || organization.administrator == Some(principal)
        || (owns_one && member.is_none_or(|member| owned.any(|ipam| sees_account(state, ipam, member).is_ok())));
    if trusted {
        return Ok(());
    }
    let whose = account.map_or_else(|| "no account's".to_owned(), |account| format!("{account}'s"));
    let sees = if owns_one { "owns no IPAM that sees it" } else { "owns no IPAM" };
    let message = format!("{principal} reports of {whose} resource and {sees}; it may report of its own alone.");
    Err(Rejection::new(Code::UnauthorizedOperation, "members report of their own resources (D19)", message)
        .value("principal", principal)
        .value("account", account.map_or_else(|| "none".to_owned(), |account| account.to_string()))
        .try_instead("attributes.account", principal))
}
