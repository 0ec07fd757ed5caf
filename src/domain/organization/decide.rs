//! Commands about the organisation: who is in it, who administers it, how much it may have.

use crate::domain::ask::{Ask, Decided};
use crate::domain::authority;
use crate::domain::check;
use crate::domain::command;
use crate::domain::event;
use crate::domain::id::AccountId;
use crate::domain::rejection::{Code, Rejection};
use crate::planted::{Bug, planted};

pub(in crate::domain) fn create(ask: &Ask<'_>, body: &command::CreateOrganization) -> Decided {
    let id = &ask.state.id;
    if let Some(lone) = id.lone_account() {
        let message = format!("{lone} is a lone account; its ledger needs no opening.");
        return Err(Rejection::new(Code::UnsupportedOperation, "a lone account is no organisation (W3)", message)
            .value("organization", lone)
            .try_instead("CreateIpam", format_args!("by {lone}, at once"))
            .try_instead("organization", "an id that begins with `o-`"));
    }
    if let Some(management) = ask.state.organization.management_account {
        let message = format!("{id} exists; its management account is {management}.");
        return Err(Rejection::new(Code::OrganizationExists, "an organisation is created once", message)
            .value("organization", id)
            .value("management_account", management));
    }
    let principal = ask.command.principal.account;
    if principal != body.management_account {
        let message = format!("{principal} asks to create {id} for {}.", body.management_account);
        let rule = "an organisation is created by its management account";
        return Err(Rejection::new(Code::UnauthorizedOperation, rule, message)
            .value("principal", principal)
            .value("management_account", body.management_account)
            .try_instead("principal", body.management_account));
    }
    Ok(vec![event::OrganizationCreated { management_account: body.management_account }.into()])
}

pub(in crate::domain) fn add_account(ask: &Ask<'_>, body: &command::AddAccount) -> Decided {
    authority::management(ask)?;
    check::optional_text("name", body.name.as_deref(), check::NAME_CHARS_MAX)?;
    if ask.state.is_member(body.account) {
        let message = format!("{} is an account of {} already.", body.account, ask.state.id);
        return Err(Rejection::new(Code::AccountExists, "an account joins once", message)
            .value("account", body.account)
            .value("organization", &ask.state.id));
    }
    Ok(vec![event::AccountAdded { account: body.account, name: body.name.clone() }.into()])
}

/// Refused for the management account, whoever has the administrator's title, and owners of IPAMs (D19).
pub(in crate::domain) fn remove_account(ask: &Ask<'_>, body: &command::RemoveAccount) -> Decided {
    authority::management(ask)?;
    let account = body.account;
    let organization = &ask.state.organization;
    member(ask, account)?;
    if organization.management_account == Some(account) {
        let message = format!("{account} is the management account of {}.", ask.state.id);
        return Err(Rejection::new(Code::UnsupportedOperation, "the management account stays", message)
            .value("account", account));
    }
    let keeps_title = |title: &str, command: &'static str| {
        let message = format!("{account} is {title}.");
        Err(Rejection::new(Code::DependencyViolation, "an administrator is no administrator before it leaves", message)
            .value("account", account)
            .blocked_by([account], 1, String::new())
            .try_instead(command, format_args!("for {account}")))
    };
    if organization.administrator == Some(account) {
        return keeps_title("the IPAM administrator", "RevokeAdmin");
    }
    if organization.registered == Some(account) {
        return keeps_title("delegated administrator through Organizations", "DeregisterDelegatedAdministrator");
    }
    let owned: Vec<_> = ask.state.ipams.owned_by(account).map(|ipam| ipam.id).collect();
    if !owned.is_empty() {
        let message = format!("{account} owns {} IPAM(s).", owned.len());
        let total = owned.len() as u64;
        return Err(Rejection::new(Code::DependencyViolation, "owners of IPAMs stay (D19)", message)
            .value("account", account)
            .blocked_by(owned, total, String::new())
            .try_instead("DeleteIpam", format_args!("by {account}")));
    }
    Ok(vec![event::AccountRemoved { account }.into()])
}

pub(in crate::domain) fn delegate_admin(ask: &Ask<'_>, body: &command::DelegateAdmin) -> Decided {
    authority::management(ask)?;
    can_administer(ask, body.account)?;
    if ask.state.organization.administrator == Some(body.account) {
        return Ok(Vec::new());
    }
    nobody_else_administers(ask, body.account)?;
    Ok(vec![event::AdminDelegated { account: body.account }.into()])
}

pub(in crate::domain) fn revoke_admin(ask: &Ask<'_>, body: &command::RevokeAdmin) -> Decided {
    authority::management(ask)?;
    let organization = &ask.state.organization;
    if organization.administrator == Some(body.account) {
        return Ok(vec![event::AdminRevoked { account: body.account }.into()]);
    }
    let rejection = not_registered(body.account, "the IPAM administrator", organization.administrator);
    Err(if organization.registered == Some(body.account) {
        rejection.try_instead("DeregisterDelegatedAdministrator", format_args!("for {}", body.account))
    } else {
        rejection
    })
}

/// The Organizations-only path. The IPAM administrator has this title already, so for it nothing changes.
pub(in crate::domain) fn register_delegated(ask: &Ask<'_>, body: &command::RegisterDelegatedAdministrator) -> Decided {
    authority::management(ask)?;
    can_administer(ask, body.account)?;
    let organization = &ask.state.organization;
    if [organization.administrator, organization.registered].contains(&Some(body.account)) {
        return Ok(Vec::new());
    }
    nobody_else_administers(ask, body.account)?;
    Ok(vec![event::DelegatedAdministratorRegistered { account: body.account }.into()])
}

pub(in crate::domain) fn deregister_delegated(
    ask: &Ask<'_>,
    body: &command::DeregisterDelegatedAdministrator,
) -> Decided {
    authority::management(ask)?;
    let organization = &ask.state.organization;
    if organization.registered == Some(body.account) {
        return Ok(vec![event::DelegatedAdministratorDeregistered { account: body.account }.into()]);
    }
    let title = "delegated administrator through Organizations alone";
    let rejection = not_registered(body.account, title, organization.registered);
    Err(if organization.administrator == Some(body.account) {
        rejection.try_instead("RevokeAdmin", format_args!("for {}", body.account))
    } else {
        rejection
    })
}

/// Lowering a quota below what there is takes nothing away; it only keeps new ones out.
pub(in crate::domain) fn set_quota(ask: &Ask<'_>, body: &command::SetQuota) -> Decided {
    authority::management_or_lone(ask)?;
    let quota = body.quota;
    let now = ask.state.organization.quota(quota);
    if !quota.is_adjustable() {
        let message = format!("{quota} is {now} for everybody.");
        return Err(Rejection::new(Code::QuotaNotAdjustable, "some quotas are fixed (spec §2.10)", message)
            .value("quota", quota)
            .value("value", now));
    }
    let value_max = quota.value_max();
    if !(1..=value_max).contains(&body.value) {
        let message = format!("{quota} can be 1 to {value_max}, not {}.", body.value);
        return Err(Rejection::new(Code::InvalidParameterValue, "quotas have bounds", message)
            .value("quota", quota)
            .value("value", body.value)
            .try_instead("allowed", format_args!("1 to {value_max}")));
    }
    if body.value == now {
        return Ok(Vec::new());
    }
    Ok(vec![event::QuotaSet { quota, value: body.value }.into()])
}

fn member(ask: &Ask<'_>, account: AccountId) -> Result<(), Rejection> {
    if ask.state.is_member(account) {
        return Ok(());
    }
    let message = format!("{account} is no account of {}.", ask.state.id);
    Err(Rejection::new(Code::AccountNotFound, "the account is a member of the organisation", message)
        .value("account", account)
        .value("organization", &ask.state.id)
        .try_instead("AddAccount", format_args!("for {account}")))
}

/// INV-O1: a member account, never the management account (W1).
fn can_administer(ask: &Ask<'_>, account: AccountId) -> Result<(), Rejection> {
    if ask.state.organization.management_account == Some(account) && !planted(Bug::ManagementAdministers) {
        let message = format!("{account} is the management account; the administrator is another account.");
        let rule = "INV-O1: the management account is never the administrator";
        return Err(Rejection::new(Code::InvalidParameterValue, rule, message)
            .value("account", account)
            .value("management_account", account)
            .try_instead("account", "a member account"));
    }
    member(ask, account)
}

/// INV-O1: one account has the title, through IPAM or through Organizations alone.
fn nobody_else_administers(ask: &Ask<'_>, account: AccountId) -> Result<(), Rejection> {
    let organization = &ask.state.organization;
    let (holder, command) = match (organization.administrator, organization.registered) {
        (Some(administrator), _) => (administrator, "RevokeAdmin"),
        (None, Some(registered)) if registered != account => (registered, "DeregisterDelegatedAdministrator"),
        (None, _) => return Ok(()),
    };
    let message = format!("{holder} is the delegated administrator; {account} cannot be it at the same time.");
    Err(Rejection::new(Code::AdministratorExists, "INV-O1: at most one administrator", message)
        .value("account", account)
        .value("administrator", holder)
        .blocked_by([holder], 1, String::new())
        .try_instead(command, format_args!("for {holder}, first")))
}

fn not_registered(account: AccountId, title: &str, holder: Option<AccountId>) -> Rejection {
    let holder = holder.map_or_else(|| "none".to_owned(), |holder| holder.to_string());
    let message = format!("{account} is not {title}; that is {holder}.");
    Rejection::new(Code::AdministratorNotRegistered, "a title is taken from the account that has it", message)
        .value("account", account)
        .value("administrator", holder)
}
