//! INV-O and INV-I: who is in the organisation, who administers it, and which IPAMs there are.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checked, ensure};
use crate::domain::event::Event;
use crate::domain::id::{AccountId, IpamId, OrganizationId, Region};

#[derive(Debug)]
pub(super) struct Administration {
    lone: Option<AccountId>,
    management: Option<AccountId>,
    members: BTreeSet<AccountId>,
    /// Through IPAM, or through Organizations alone: one account has the title.
    administrator: Option<AccountId>,
    ipams: BTreeMap<IpamId, Ipam>,
}

#[derive(Debug)]
struct Ipam {
    owner: AccountId,
    home: Region,
}

impl Administration {
    pub(super) fn new(organization: &OrganizationId) -> Self {
        Self {
            lone: organization.lone_account(),
            management: None,
            members: BTreeSet::new(),
            administrator: None,
            ipams: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, event: &Event) -> Checked {
        let exists = self.lone.is_some() || self.management.is_some();
        ensure(exists || matches!(event, Event::OrganizationCreated(_)), "INV-O2", || {
            "something happens in an organisation that was not created".to_owned()
        })?;
        match event {
            Event::OrganizationCreated(event) => {
                ensure(self.management.is_none() && self.lone.is_none(), "INV-O2", || {
                    format!("the organisation is created again, for {}", event.management_account)
                })?;
                self.management = Some(event.management_account);
                self.members.insert(event.management_account);
            }
            Event::AccountAdded(event) => {
                ensure(self.members.insert(event.account), "INV-O2", || format!("{} joins twice", event.account))?;
            }
            Event::AccountRemoved(event) => {
                let account = event.account;
                let busy = self.management == Some(account)
                    || self.administrator == Some(account)
                    || self.ipams.values().any(|ipam| ipam.owner == account);
                ensure(!busy && self.members.remove(&account), "INV-O1", || {
                    format!("{account} leaves; it is no member, or has a title, or owns an IPAM")
                })?;
            }
            Event::AdminDelegated(event) => self.appoint(event.account)?,
            Event::DelegatedAdministratorRegistered(event) => self.appoint(event.account)?,
            Event::AdminRevoked(event) => self.dismiss(event.account)?,
            Event::DelegatedAdministratorDeregistered(event) => self.dismiss(event.account)?,
            Event::IpamCreated(event) => {
                let (owner, home) = (event.owner, event.home_region.clone());
                ensure(self.lone == Some(owner) || self.members.contains(&owner), "INV-O2", || {
                    format!("{owner}, which is no member, owns {}", event.ipam)
                })?;
                ensure(event.operating_regions.contains(&home), "INV-I2", || {
                    format!("{} does not operate in {home}, its home", event.ipam)
                })?;
                let here = self.ipams.values().any(|ipam| ipam.owner == owner && ipam.home == home);
                ensure(!here, "INV-I1", || format!("{owner} has another IPAM in {home}"))?;
                let again = self.ipams.insert(event.ipam, Ipam { owner, home }).is_some();
                ensure(!again, "INV-I1", || format!("{} is created twice", event.ipam))?;
            }
            Event::IpamModified(event) => {
                let ipam = self.ipams.get(&event.ipam).ok_or_else(|| format!("{} does not exist", event.ipam))?;
                ensure(!event.removed_operating_regions.contains(&ipam.home), "INV-I2", || {
                    format!("{} leaves {}, its home", event.ipam, ipam.home)
                })?;
            }
            Event::IpamDeleted(event) => {
                let gone = self.ipams.remove(&event.ipam);
                ensure(gone.is_some(), "INV-I4", || format!("{} is deleted and was not there", event.ipam))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn appoint(&mut self, account: AccountId) -> Checked {
        let may = self.members.contains(&account) && self.management != Some(account);
        ensure(may, "INV-O1", || format!("{account}, no member or the management account, administers"))?;
        let other = self.administrator.replace(account).filter(|other| *other != account);
        ensure(other.is_none(), "INV-O1", || format!("{account} administers beside another account"))
    }

    fn dismiss(&mut self, account: AccountId) -> Checked {
        let was = self.administrator.take();
        ensure(was == Some(account), "INV-O1", || format!("{account} loses a title that it does not have"))
    }
}
