//! The rows and how they are found as of a revision.

use std::ops::ControlFlow;

use crate::domain::allocation::AllocationRow;
use crate::domain::id::{AccountId, PoolId};
use crate::domain::id::{OrganizationId, Revision};
use crate::domain::ipam::Ipam;
use crate::domain::organization::Organization;
use crate::domain::outcome::Moment;
use crate::domain::pool::{Placement, Pool, PoolUsage};
use crate::domain::scope::Scope;
use crate::planted::{Bug, planted};
use crate::views::answer::Stamp;
use crate::views::keys::{Key, KeyReader};
use crate::views::kinds;
use crate::views::outcomes::{damaged, each};
use crate::views::stored::{self, Stored, stored_enum, stored_struct};
use crate::views::table::{Rows, TableError};
use crate::views::when::{AnswerHead, QueryError};

/// The kinds of objects: a byte in keys, never used again for another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Organization = 1,
    Ipam = 2,
    Scope = 3,
    Pool = 4,
    Allocation = 5,
    PoolCidr = 6,
    Account = 7,
}

/// One object from one revision on.
#[derive(Clone, Debug)]
pub(super) struct ObjectRow {
    pub created: Stamp,
    /// The last change, where there was one.
    pub changed: Option<Stamp>,
    /// The object is gone since then; the rest is what it was last.
    pub ended: Option<Stamp>,
    pub object: Object,
}

#[derive(Clone, Debug)]
pub(super) enum Object {
    Organization(Organization),
    Ipam(Ipam),
    Scope(Scope),
    Pool(Pool),
    Allocation {
        row: AllocationRow,
        placement: Option<Placement>,
    },
    /// The CIDR itself is in its pool's row.
    PoolCidr {
        placement: Option<Placement>,
    },
    /// The account itself is in the organisation's row.
    Account,
}

stored_struct!(ObjectRow { created, changed, ended, object });
stored_struct!(Stamp { revision, decided_at, command_id, account, name, reason });
stored_enum!(Object {
    1 => Organization { 0: organization },
    2 => Ipam { 0: ipam },
    3 => Scope { 0: scope },
    4 => Pool { 0: pool },
    5 => Allocation { row: row, placement: placement },
    6 => PoolCidr { placement: placement },
    7 => Account,
});

impl ObjectRow {
    pub fn changed(&self) -> Stamp {
        self.changed.clone().unwrap_or_else(|| self.created.clone())
    }
}

/// One organisation as of one moment: what its questions are asked of.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    pub(in crate::views) rows: &'a dyn Rows,
    pub(in crate::views) organization: &'a OrganizationId,
    pub(in crate::views) moment: Moment,
}

impl std::fmt::Debug for Picture<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Picture")
            .field("organization", &self.organization)
            .field("moment", &self.moment)
            .finish_non_exhaustive()
    }
}

impl Picture<'_> {
    pub(in crate::views) fn head(&self) -> AnswerHead {
        AnswerHead { revision: self.moment.revision, decided_at: self.moment.decided_at }
    }

    pub(super) fn not_found(&self, what: &'static str, id: impl std::fmt::Display) -> QueryError {
        QueryError::NotFound { what, id: id.to_string(), revision: self.moment.revision }
    }

    /// The object as it was, gone or not; `None` when it did not exist yet.
    pub(super) fn object(&self, kind: Kind, id: u128) -> Result<Option<ObjectRow>, TableError> {
        let revision = Revision(self.moment.revision.0 - u64::from(planted(Bug::AsOfOffByOne)));
        object_as_of(self.rows, self.organization, kind, id, revision)
    }

    /// The object, if it was there.
    pub(super) fn live(&self, kind: Kind, id: u128) -> Result<Option<ObjectRow>, TableError> {
        Ok(self.object(kind, id)?.filter(|row| row.ended.is_none()))
    }

    /// The objects of a kind under a parent that were there, by id.
    pub(super) fn children(&self, parent: (Kind, u128), kind: Kind) -> Result<Vec<ObjectRow>, TableError> {
        let prefix = children_key(self.organization, parent, kind);
        let mut ids = Vec::new();
        each(self.rows, prefix.bytes(), &prefix.end(), |key, _| {
            let id = key.last_chunk::<16>().ok_or_else(|| damaged("a child's key"))?;
            ids.push(u128::from_be_bytes(*id));
            Ok(ControlFlow::Continue(()))
        })?;
        let mut children = Vec::with_capacity(ids.len());
        for id in ids {
            children.extend(self.live(kind, id)?);
        }
        Ok(children)
    }

    /// The IPAMs that were there, by id.
    pub(super) fn ipams(&self) -> Result<Vec<Ipam>, TableError> {
        let rows = self.children((Kind::Organization, 0), Kind::Ipam)?;
        let ipams = rows.into_iter().filter_map(|row| match row.object {
            Object::Ipam(ipam) => Some(ipam),
            _ => None,
        });
        Ok(ipams.collect())
    }

    pub(super) fn usage(&self, pool: PoolId) -> Result<PoolUsage, TableError> {
        Ok(usage_as_of(self.rows, self.organization, pool, self.moment.revision)?.unwrap_or_default())
    }
}

pub(super) fn object_as_of(
    rows: &dyn Rows,
    organization: &OrganizationId,
    kind: Kind,
    id: u128,
    revision: Revision,
) -> Result<Option<ObjectRow>, TableError> {
    let prefix = object_prefix(organization, kind, id);
    first(rows, &prefix.clone().revision_descending(revision), &prefix)
}

pub(super) fn usage_as_of(
    rows: &dyn Rows,
    organization: &OrganizationId,
    pool: PoolId,
    revision: Revision,
) -> Result<Option<PoolUsage>, TableError> {
    let prefix = usage_prefix(organization, pool);
    first(rows, &prefix.clone().revision_descending(revision), &prefix)
}

/// The first row at or behind `from` that begins with `prefix`.
fn first<T: Stored>(rows: &dyn Rows, from: &Key, prefix: &Key) -> Result<Option<T>, TableError> {
    let mut found = None;
    each(rows, from.bytes(), &prefix.end(), |_, value| {
        found = Some(stored::from_bytes(value)?);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

pub(super) fn object_prefix(organization: &OrganizationId, kind: Kind, id: u128) -> Key {
    Key::of(kinds::OBJECT, organization).byte(kind as u8).bits(id)
}

pub(super) fn children_key(organization: &OrganizationId, parent: (Kind, u128), kind: Kind) -> Key {
    Key::of(kinds::CHILDREN, organization).byte(parent.0 as u8).bits(parent.1).byte(kind as u8)
}

pub(super) fn usage_prefix(organization: &OrganizationId, pool: PoolId) -> Key {
    Key::of(kinds::USAGE, organization).bits(pool.bits())
}

pub(super) fn holding_prefix(organization: &OrganizationId, pool: PoolId) -> Key {
    Key::of(kinds::HOLDING, organization).bits(pool.bits())
}

/// The revision at the end of a key of counters.
pub(super) fn usage_revision(key: &[u8]) -> Option<Revision> {
    let mut reader = KeyReader::new(key)?;
    reader.text()?;
    reader.bits()?;
    reader.revision_descending()
}

/// Accounts have no bits of their own: their twelve digits as a number.
pub(super) fn account_bits(account: AccountId) -> u128 {
    account.to_string().parse().expect("an account id is twelve digits")
}
