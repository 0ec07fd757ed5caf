//! `ModifyPool`: description, rules, placement, auto-import. What is already handed out stays (INV-P8).

use super::create::auto_import;
use super::{AllocationRules, Pool};
use crate::domain::ask::{Ask, Decided};
use crate::domain::authority;
use crate::domain::change::Change;
use crate::domain::check;
use crate::domain::command::{self, Tags};
use crate::domain::event;
use crate::domain::rejection::{Code, Rejection};

pub(in crate::domain) fn modify(ask: &Ask<'_>, body: &command::ModifyPool) -> Decided {
    let pool = authority::owned_pool(ask, body.pool)?;
    something_named(body)?;
    check::description_change(&body.description)?;
    if let Change::Set(tags) = &body.allocation_resource_tags {
        check::tags("allocation_resource_tags", tags)?;
    }
    after(pool, body).check(pool.address_family)?;
    auto_import(body.auto_import.unwrap_or(pool.auto_import), pool.locale.as_ref())?;
    let rules = &pool.rules;
    let changed = event::PoolModified {
        pool: pool.id,
        description: check::effective(&body.description, pool.description.as_ref()),
        allocation_min_netmask_length: check::effective(
            &body.allocation_min_netmask_length,
            rules.min_netmask_length.as_ref(),
        ),
        allocation_max_netmask_length: check::effective(
            &body.allocation_max_netmask_length,
            rules.max_netmask_length.as_ref(),
        ),
        allocation_default_netmask_length: check::effective(
            &body.allocation_default_netmask_length,
            rules.default_netmask_length.as_ref(),
        ),
        allocation_resource_tags: news_of_tags(&body.allocation_resource_tags, &rules.resource_tags),
        placement: body.placement.filter(|placement| *placement != pool.placement),
        auto_import: body.auto_import.filter(|auto_import| *auto_import != pool.auto_import),
    };
    let nothing = event::PoolModified {
        pool: pool.id,
        description: Change::Unchanged,
        allocation_min_netmask_length: Change::Unchanged,
        allocation_max_netmask_length: Change::Unchanged,
        allocation_default_netmask_length: Change::Unchanged,
        allocation_resource_tags: Change::Unchanged,
        placement: None,
        auto_import: None,
    };
    Ok(if changed == nothing { Vec::new() } else { vec![changed.into()] })
}

fn something_named(body: &command::ModifyPool) -> Result<(), Rejection> {
    let nothing = body.description.is_unchanged()
        && body.allocation_min_netmask_length.is_unchanged()
        && body.allocation_max_netmask_length.is_unchanged()
        && body.allocation_default_netmask_length.is_unchanged()
        && body.allocation_resource_tags.is_unchanged()
        && body.placement.is_none()
        && body.auto_import.is_none();
    if nothing {
        let message = "The request must contain a modification to the ipam pool";
        return Err(Rejection::new(Code::NothingToModify, "ModifyPool", message).value("pool", body.pool));
    }
    Ok(())
}

/// The rules as they would be.
fn after(pool: &Pool, body: &command::ModifyPool) -> AllocationRules {
    let rules = &pool.rules;
    AllocationRules {
        min_netmask_length: body.allocation_min_netmask_length.clone().applied_to(rules.min_netmask_length),
        max_netmask_length: body.allocation_max_netmask_length.clone().applied_to(rules.max_netmask_length),
        default_netmask_length: body.allocation_default_netmask_length.clone().applied_to(rules.default_netmask_length),
        // Tags have no rule among themselves.
        resource_tags: Tags::new(),
    }
}

/// No tags and an empty set of tags are the same.
fn news_of_tags(change: &Change<Tags>, before: &Tags) -> Change<Tags> {
    match change {
        Change::Set(tags) if tags.is_empty() => {
            check::effective(&Change::Clear, Some(before).filter(|before| !before.is_empty()))
        }
        change => check::effective(change, Some(before).filter(|before| !before.is_empty())),
    }
}
