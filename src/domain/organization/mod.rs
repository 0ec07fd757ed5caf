//! Accounts, the administrator, the service-linked role and quotas of one organisation (spec §1.1).
//!
//! A lone account's ledger has one of these, too, without a management account. IPAMs and what is in them
//! are not here. Invariant (INV-O1): at most one account is administrator, whichever way it became it;
//! it is a member and not the management account.

mod apply;
mod decide;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(super) use apply::{
    account_added, account_removed, admin_delegated, admin_revoked, created, delegated_deregistered,
    delegated_registered, quota_set,
};
pub(super) use decide::{
    add_account, create, delegate_admin, deregister_delegated, register_delegated, remove_account, revoke_admin,
    set_quota,
};

use super::id::{AccountId, Revision};
use super::quota::Quota;

/// What is known of the organisation itself, or of the lone account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Organization {
    /// Absent for a lone account, and before the organisation exists.
    pub management_account: Option<AccountId>,
    /// All accounts, the management account among them. A lone account is here once it has made an IPAM.
    pub accounts: BTreeMap<AccountId, Account>,
    /// The IPAM administrator: delegated by IPAM itself.
    pub administrator: Option<AccountId>,
    /// Delegated administrator through Organizations alone: the title without a service-linked role (W2).
    pub registered: Option<AccountId>,
    /// Those that were set.
    pub quotas: BTreeMap<Quota, u32>,
    /// The revision that last changed any of this.
    pub changed_at: Revision,
}

/// One account of the organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub name: Option<String>,
    /// Whether it has `AWSServiceRoleForIPAM`, which lets IPAM see what is in it.
    pub service_linked_role: bool,
}

impl Organization {
    /// Whether the account has the service-linked role.
    #[must_use]
    pub fn has_role(&self, account: AccountId) -> bool {
        self.accounts.get(&account).is_some_and(|account| account.service_linked_role)
    }

    /// The limit in force.
    #[must_use]
    pub fn quota(&self, quota: Quota) -> u32 {
        self.quotas.get(&quota).copied().unwrap_or_else(|| quota.default_value())
    }

    /// Gives an account the service-linked role.
    pub(super) fn grant_role(&mut self, account: AccountId) {
        self.accounts.entry(account).or_default().service_linked_role = true;
    }
}
