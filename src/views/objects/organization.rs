//! The organisation or lone account: accounts, roles, and what is monitored and why not (W2, D18).
//!
//! Whose resources an IPAM sees is the domain's to say: its own function is asked about the rows of that revision.

use super::rows::{Kind, Object, Picture, account_bits};
use crate::domain::event::NotMonitored;
use crate::domain::id::{AccountId, IpamId};
use crate::domain::ipam::Ipam;
use crate::domain::organization::Organization;
use crate::domain::quota::Quota;
use crate::domain::{Row, State, authority};
use crate::views::answer::{AccountAnswer, AccountRole, OrganizationAnswer, QuotaAnswer};
use crate::views::outcomes::damaged;
use crate::views::when::QueryError;

/// The organisation as it was: accounts, roles, and what is monitored and why not.
///
/// # Errors
/// When the rows cannot be read.
pub fn organization(picture: &Picture<'_>) -> Result<OrganizationAnswer, QueryError> {
    let row = picture.object(Kind::Organization, 0)?.ok_or_else(|| damaged("the organisation's row"))?;
    let reach = reach(picture)?;
    let organization = reach.state.organization();
    let mut accounts = Vec::new();
    for account in reach.accounts() {
        let added = picture.object(Kind::Account, account_bits(account))?;
        let monitored_by = reach.monitored_by(account);
        let not_monitored = reach.not_monitored(account);
        accounts.push(AccountAnswer {
            account,
            name: organization.accounts.get(&account).and_then(|account| account.name.clone()),
            roles: reach.roles(account),
            service_linked_role: organization.has_role(account),
            why: reach.why(account, &monitored_by, not_monitored),
            monitored_by,
            not_monitored,
            added: added.map_or_else(|| row.created.clone(), |row| row.created),
        });
    }
    let quota =
        |quota: Quota| QuotaAnswer { quota, value: organization.quota(quota), adjustable: quota.is_adjustable() };
    Ok(OrganizationAnswer {
        lone_account: picture.organization.lone_account().is_some(),
        management_account: organization.management_account,
        administrator: organization.administrator,
        accounts,
        quotas: Quota::ALL.into_iter().map(quota).collect(),
        created: row.created.clone(),
        changed: row.changed(),
    })
}

/// Who sees whom, as of a revision.
pub(super) struct Reach {
    state: State,
}

pub(super) fn reach(picture: &Picture<'_>) -> Result<Reach, QueryError> {
    let organization = match picture.object(Kind::Organization, 0)?.map(|row| row.object) {
        Some(Object::Organization(organization)) => organization,
        _ => Organization::default(),
    };
    let rows = picture.ipams()?.into_iter().map(Row::Ipam);
    let organization = Row::Organization { moment: picture.moment, organization };
    let state = State::restore(picture.organization.clone(), rows.chain([organization]));
    Ok(Reach { state })
}

impl Reach {
    /// All accounts in order; a lone account is one whether or not it has done anything yet.
    fn accounts(&self) -> Vec<AccountId> {
        let mut accounts: Vec<_> = self.state.organization().accounts.keys().copied().collect();
        accounts.extend(self.state.id().lone_account().filter(|lone| !accounts.contains(lone)));
        accounts
    }

    pub fn seen_by(&self, ipam: &Ipam) -> Vec<AccountId> {
        self.accounts().into_iter().filter(|account| self.sees(ipam, *account).is_ok()).collect()
    }

    fn sees(&self, ipam: &Ipam, account: AccountId) -> Result<(), NotMonitored> {
        authority::sees(&self.state, ipam, Some(account), Some(&ipam.home_region))
    }

    fn monitored_by(&self, account: AccountId) -> Vec<IpamId> {
        self.state.ipams().iter().filter(|ipam| self.sees(ipam, account).is_ok()).map(|ipam| ipam.id).collect()
    }

    fn not_monitored(&self, account: AccountId) -> Option<NotMonitored> {
        let ipams = self.state.ipams().iter();
        let closest = ipams.map(|ipam| self.sees(ipam, account)).reduce(|left, right| match (left, right) {
            // The reasons are in the order in which they are met.
            (Err(left), Err(right)) => Err(left.max(right)),
            _ => Ok(()),
        });
        closest.unwrap_or(Err(NotMonitored::NoIpam)).err()
    }

    fn roles(&self, account: AccountId) -> Vec<AccountRole> {
        let organization = self.state.organization();
        let first = if self.state.id().lone_account().is_some() {
            AccountRole::Lone
        } else if organization.management_account == Some(account) {
            AccountRole::Management
        } else {
            AccountRole::Member
        };
        let mut roles = vec![first];
        let others = [
            (AccountRole::Administrator, organization.administrator == Some(account)),
            (AccountRole::RegisteredOnly, organization.registered == Some(account)),
            (AccountRole::IpamOwner, self.state.ipams().owned_by(account).next().is_some()),
        ];
        roles.extend(others.into_iter().filter(|(_, is)| *is).map(|(role, _)| role));
        roles
    }

    fn why(&self, account: AccountId, monitored_by: &[IpamId], reason: Option<NotMonitored>) -> String {
        let organization = self.state.organization();
        let Some(reason) = reason else {
            let ids: Vec<_> = monitored_by.iter().map(ToString::to_string).collect();
            return format!("seen by {} in its operating regions", ids.join(", "));
        };
        if reason == NotMonitored::NoIpam {
            return match organization.administrator {
                Some(administrator) => {
                    format!("there is no IPAM; CreateIpam by {administrator} would see every member")
                }
                None => "there is no IPAM".to_owned(),
            };
        }
        if let Some(registered) = organization.registered
            && organization.administrator.is_none()
        {
            return format!(
                "{registered} is delegated administrator through Organizations alone, which creates no service-linked \
                 role; DelegateAdmin for it by the management account repairs that"
            );
        }
        if organization.administrator.is_none() {
            return "every IPAM sees its owner's account alone; DelegateAdmin for a member account makes that one's \
                    IPAM see all members"
                .to_owned();
        }
        if !organization.has_role(account) {
            return "it has no service-linked role: delegation gives one to members, and CreateIpam by the account itself \
                    gives it one"
                .to_owned();
        }
        "the IPAM administrator has no IPAM, and others see their owner's account alone".to_owned()
    }
}
