//! `ipam org …`: the organisation, its accounts, and who administers IPAM for it.

use clap::Subcommand;

use super::arguments::{Moment, Part, word};
use super::failure::Failure;
use super::names::joined;
use super::print::{Listing, instant, or_dash};
use super::session::Session;
use crate::api::OrganizationHead;
use crate::domain::command::{
    AddAccount, CreateOrganization, DelegateAdmin, DeregisterDelegatedAdministrator, RegisterDelegatedAdministrator,
    RemoveAccount, RevokeAdmin, SetQuota,
};
use crate::domain::id::{AccountId, OrganizationId};
use crate::domain::quota::Quota;
use crate::views::answer::{AccountAnswer, Answer, OrganizationAnswer, Page};

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Open an organisation's ledger, as its management account
    Create {
        /// `o-` and 2 to 32 lower-case letters and digits; the one in use when absent
        organization: Option<OrganizationId>,
        /// The management account; the account in use when absent
        #[arg(long, value_name = "ACCOUNT")]
        management: Option<AccountId>,
    },
    /// List organisations and lone accounts
    List {
        #[command(flatten)]
        part: Part,
    },
    /// Show accounts, roles, and what is monitored and why not
    Show {
        #[command(flatten)]
        moment: Moment,
    },
    /// Add a member account
    AddAccount {
        account: AccountId,
        /// A name for people
        #[arg(long)]
        name: Option<String>,
    },
    /// Remove a member account
    RemoveAccount { account: AccountId },
    /// Make a member account the IPAM administrator; creates the service-linked role in every member account
    DelegateAdmin { account: AccountId },
    /// End the delegation
    RevokeAdmin { account: AccountId },
    /// Register a delegated administrator through Organizations alone: no role, nothing is monitored
    RegisterDelegated { account: AccountId },
    /// Take that back
    DeregisterDelegated { account: AccountId },
    /// Change an adjustable quota
    SetQuota {
        #[arg(value_parser = word::<Quota>)]
        quota: Quota,
        value: u32,
    },
}

pub fn run(command: Command, mut session: Session) -> Result<(), Failure> {
    match command {
        Command::Create { organization, management } => {
            session.settings.org = organization.or(session.settings.org);
            let management_account = management.map_or_else(|| session.account(), Ok)?;
            session.send_as(management_account, &CreateOrganization { management_account }.into())
        }
        Command::List { part } => {
            session.show(&joined("/v1/organizations", &part.query()), |page: &Page<OrganizationHead>| {
                let mut listing = Listing::new(&["organization", ">revision", "last decision"]);
                for one in &page.items {
                    let OrganizationHead { organization, head } = one;
                    let cells = [organization.to_string(), head.revision.to_string(), instant(head.decided_at)];
                    listing.row(organization, cells);
                }
                if let Some(next) = &page.next {
                    listing.note(super::more(next));
                }
                listing
            })
        }
        Command::Show { moment } => session.show(&session.path(&joined("", &moment.query()))?, organization),
        Command::AddAccount { account, name } => session.send(|_| Ok(AddAccount { account, name }.into())),
        Command::RemoveAccount { account } => session.send(|_| Ok(RemoveAccount { account }.into())),
        Command::DelegateAdmin { account } => session.send(|_| Ok(DelegateAdmin { account }.into())),
        Command::RevokeAdmin { account } => session.send(|_| Ok(RevokeAdmin { account }.into())),
        Command::RegisterDelegated { account } => {
            session.send(|_| Ok(RegisterDelegatedAdministrator { account }.into()))
        }
        Command::DeregisterDelegated { account } => {
            session.send(|_| Ok(DeregisterDelegatedAdministrator { account }.into()))
        }
        Command::SetQuota { quota, value } => session.send(|_| Ok(SetQuota { quota, value }.into())),
    }
}

fn organization(answer: &Answer<OrganizationAnswer>) -> Listing {
    let body = &answer.body;
    let mut listing = Listing::new(&["account", "name", "roles", "role for IPAM", "monitored", "why", "since"]);
    for account in &body.accounts {
        listing.row(
            account.account,
            [
                account.account.to_string(),
                or_dash(account.name.clone()),
                roles(account),
                if account.service_linked_role { "yes" } else { "no" }.to_owned(),
                if account.monitored_by.is_empty() { "no" } else { "yes" }.to_owned(),
                account.why.clone(),
                instant(account.added.decided_at),
            ],
        );
    }
    let kind = if body.lone_account { "lone account" } else { "organisation" };
    let administrator = body.administrator.map_or_else(|| "none".to_owned(), |account| account.to_string());
    listing.note(format!("{kind} {}; IPAM administrator: {administrator}", answer.organization));
    listing.note(super::stand(answer.head));
    listing
}

fn roles(account: &AccountAnswer) -> String {
    let name = |role| serde_json::to_value(role).ok()?.as_str().map(str::to_owned);
    account.roles.iter().filter_map(name).collect::<Vec<_>>().join(" ")
}
