//! Who may ever be a party of an overlap, and where: markers that only grow. Whether a party holds its
//! block, and lies in a scope, at a moment and as of a revision, is found out when it is asked.

use std::ops::ControlFlow;

use crate::address::Cidr;
use crate::domain::event::ResourceName;
use crate::domain::id::{AllocationId, ScopeId};
use crate::domain::kind::ResourceKind;
use crate::views::lineage::answers::Holder;
use crate::views::lineage::keys::{self, Entry, Space};
use crate::views::lineage::rows;
use crate::views::lineage::spans::Writer;
use crate::views::stored::{self, stored_struct};
use crate::views::table::{Rows, TableError};

/// An allocation that was for a resource at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimRow {
    pub cidr: Cidr,
    pub scope: ScopeId,
    pub space: Space,
}

stored_struct!(ClaimRow { cidr, scope, space });

/// Notes a holder's block wherever it may be a party.
pub fn note(writer: &mut Writer<'_>, entry: &Entry, cidr: Cidr, holder: &Holder) -> Result<(), TableError> {
    match (entry, holder) {
        (Entry::Resource(name), _) if name.kind.can_overlap() => {
            if let Some(space) = default_space(name.kind) {
                note_in(writer, space, entry, cidr)?;
            }
            let claims = claims(writer.table, writer.organization, name)?;
            for (_, claim) in claims.into_iter().filter(|(_, claim)| claim.cidr.contains(cidr)) {
                note_in(writer, claim.space, entry, cidr)?;
            }
            Ok(())
        }
        (Entry::Allocation(_), Holder::Allocation { scope, resource: None, .. }) => {
            let space = writer.space(*scope)?;
            note_in(writer, space, entry, cidr)
        }
        _ => Ok(()),
    }
}

/// Notes that an allocation is for a resource: its blocks in there lie in the allocation's scope.
pub fn claimed(
    writer: &mut Writer<'_>,
    name: &ResourceName,
    allocation: AllocationId,
    cidr: Cidr,
    scope: ScopeId,
) -> Result<(), TableError> {
    if !name.kind.can_overlap() {
        return Ok(());
    }
    let space = writer.space(scope)?;
    rows::put(writer.table, keys::claim(writer.organization, name, allocation), &ClaimRow { cidr, scope, space });
    let entry = Entry::Resource(name.clone());
    for block in writer.blocks_of(&entry)?.into_iter().filter(|block| cidr.contains(*block)) {
        note_in(writer, space, &entry, block)?;
    }
    Ok(())
}

/// Where facts of a kind lie when no allocation says otherwise (design D16).
pub const fn default_space(kind: ResourceKind) -> Option<Space> {
    match kind {
        ResourceKind::Vpc => Some(Space::Private),
        ResourceKind::Eip | ResourceKind::PublicIpv4Pool => Some(Space::Public),
        _ => None,
    }
}

/// The allocations that were ever for a resource.
pub fn claims(
    rows: &dyn Rows,
    organization: &crate::domain::id::OrganizationId,
    name: &ResourceName,
) -> Result<Vec<(AllocationId, ClaimRow)>, TableError> {
    let prefix = keys::claims(organization, name);
    let mut found = Vec::new();
    rows::walk(rows, &prefix, &prefix, |part, value| {
        let allocation = crate::views::keys::KeyReader::behind(part)
            .bits()
            .and_then(AllocationId::from_bits)
            .ok_or_else(|| rows::damaged("a claim's key"))?;
        found.push((allocation, stored::from_bytes(value)?));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

fn note_in(writer: &mut Writer<'_>, space: Space, entry: &Entry, cidr: Cidr) -> Result<(), TableError> {
    let organization = writer.organization;
    let key = keys::party(organization, space, cidr, entry).into_bytes();
    if writer.table.get(&key)?.is_some() {
        return Ok(());
    }
    let at = keys::party_at(organization, space, cidr).into_bytes();
    let shared = writer.table.get(&at)?.is_some();
    if shared || holds_any_inside(writer, space, cidr)? {
        writer.table.put(keys::wide(organization, space, cidr).into_bytes(), Vec::new());
    }
    for length in writer.kept.summary.party_lengths.of(cidr.family()) {
        if let Some(wider) = cidr.widened_to(*length).filter(|wider| *wider != cidr)
            && writer.table.get(keys::party_at(organization, space, wider).bytes())?.is_some()
        {
            writer.table.put(keys::wide(organization, space, wider).into_bytes(), Vec::new());
        }
    }
    writer.table.put(key, Vec::new());
    writer.table.put(at, Vec::new());
    writer.kept.summary.party_lengths.add(cidr);
    Ok(())
}

/// Whether any party lies strictly inside the block.
fn holds_any_inside(writer: &Writer<'_>, space: Space, cidr: Cidr) -> Result<bool, TableError> {
    let longest = writer.kept.summary.party_lengths.of(cidr.family()).last();
    if longest.is_none_or(|longest| *longest <= cidr.length()) {
        return Ok(false);
    }
    let parties = keys::parties(writer.organization, space, cidr.family());
    let (from, to) = keys::inside(&parties, cidr);
    let mut any = false;
    writer.table.scan(&from, &to, &mut |_, _| {
        any = true;
        ControlFlow::Break(())
    })?;
    Ok(any)
}
