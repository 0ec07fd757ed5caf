//! Whether a command got the answer that the rules give: by the naive model, which was written from the reference.

use std::collections::BTreeSet;

use ipam_ledger::domain::command::{Command, CommandBody};
use ipam_ledger::domain::event::Event;
use ipam_ledger::domain::id::{AccountId, ObjectId, PoolId, Revision};
use ipam_ledger::domain::outcome::{Decision, Outcome};
use ipam_ledger::domain::quota::Quota;
use ipam_ledger::domain::rejection::Code;

use super::history::History;
use crate::model::agrees;
use crate::model::effects::{as_asked, leaves_a_mark};
use crate::model::predict::{Prediction, Reason, predict};
use crate::model::world::World;

/// Judges the outcome of a command that could be read.
pub fn judge(before: &World, history: &History, command: &Command, outcome: &Outcome) {
    let code = match &outcome.decision {
        Decision::Rejected(rejection) => Some(rejection.code),
        Decision::Accepted(_) => None,
    };
    if code == Some(Code::RecordTooLarge) {
        return;
    }
    if_revision(before, history, command, code);
    if code == Some(Code::RevisionMismatch) {
        return;
    }
    let prediction = if history.exists_or_lone() { foreseen(before, command, outcome) } else { unborn(command) };
    let decided = match &outcome.decision {
        Decision::Accepted(events) => Ok(events.clone()),
        Decision::Rejected(rejection) => Err((**rejection).clone()),
    };
    if let Err(why) = agrees(&prediction, &decided) {
        panic!("the rules: {why}\n{} asks {:?}\nand gets {decided:?}", command.principal.account, command.body);
    }
    if let Ok(events) = &decided
        && leaves_a_mark(&command.body)
    {
        let mut after = before.clone();
        let revision = outcome.revision.unwrap_or_default();
        for event in events {
            after.fold(revision, event);
        }
        as_asked(before, &command.body, &after);
    }
}

/// Nothing can be asked of an organisation that does not exist but to create it.
fn unborn(command: &Command) -> Prediction {
    match &command.body {
        CommandBody::CreateOrganization(body) if body.management_account == command.principal.account => {
            Prediction::default()
        }
        _ => refused_for(&[Reason::NotFound, Reason::Unauthorized]),
    }
}

fn foreseen(before: &World, command: &Command, outcome: &Outcome) -> Prediction {
    let asks = command.principal.account;
    if !before.is_member(asks) {
        return refused_for(&[Reason::Unauthorized, Reason::Exists]);
    }
    match &command.body {
        CommandBody::CreateOrganization(_) => refused_for(&[Reason::Exists, Reason::Parameter, Reason::Unauthorized]),
        CommandBody::AddAccount(body) => {
            let mut it = by_management(before, asks);
            it.refuse(before.is_member(body.account), &[Reason::Exists]);
            it
        }
        CommandBody::RemoveAccount(body) => {
            let mut it = by_management(before, asks);
            let account = Some(body.account);
            it.refuse(!before.is_member(body.account), &[Reason::NotFound]);
            it.refuse(before.management == account, &[Reason::Parameter]);
            it.refuse(before.administrator == account || before.registered == account, &[Reason::Dependency]);
            it.refuse(before.ipams.iter().any(|ipam| ipam.owner == body.account), &[Reason::Dependency]);
            it
        }
        CommandBody::DelegateAdmin(body) => inv_o1(before, asks, body.account),
        CommandBody::RegisterDelegatedAdministrator(body) => inv_o1(before, asks, body.account),
        CommandBody::RevokeAdmin(body) => {
            let mut it = by_management(before, asks);
            it.refuse(before.administrator != Some(body.account), &[Reason::NotFound]);
            it
        }
        CommandBody::DeregisterDelegatedAdministrator(body) => {
            let mut it = by_management(before, asks);
            it.refuse(before.registered != Some(body.account), &[Reason::NotFound]);
            it
        }
        CommandBody::SetQuota(body) => {
            let mut it = Prediction::default();
            let may = before.management.is_none_or(|management| management == asks);
            it.refuse(!may, &[Reason::Unauthorized]);
            let fixed = matches!(
                body.quota,
                Quota::AdministratorsPerOrganization | Quota::IpamsPerRegion | Quota::ResourceDiscoveriesPerRegion
            );
            it.refuse(fixed, &[Reason::Quota]);
            it.refuse(body.value == 0 || body.value > 100_000, &[Reason::Parameter]);
            it
        }
        _ => predict(before, command, outcome.decided_at),
    }
}

fn refused_for(reasons: &[Reason]) -> Prediction {
    Prediction { reasons: reasons.iter().copied().collect::<BTreeSet<_>>(), ..Prediction::default() }
}

fn by_management(before: &World, asks: AccountId) -> Prediction {
    let mut it = Prediction::default();
    it.refuse(before.management != Some(asks), &[Reason::Unauthorized]);
    it.refuse(before.management.is_none(), &[Reason::Parameter]);
    it
}

/// At most one administrator, a member, never the management account.
fn inv_o1(before: &World, asks: AccountId, account: AccountId) -> Prediction {
    let mut it = by_management(before, asks);
    it.refuse(before.management == Some(account), &[Reason::Parameter]);
    it.refuse(!before.is_member(account), &[Reason::NotFound]);
    let another = before.administrator.or(before.registered).is_some_and(|holder| holder != account);
    it.refuse(another, &[Reason::Exists]);
    it
}

/// D8: it holds when the named object has not changed after that revision. Known here of pools; of the others only
/// that something did change.
fn if_revision(before: &World, history: &History, command: &Command, code: Option<Code>) {
    let refused = code == Some(Code::RevisionMismatch);
    let Some(asked) = command.if_revision else {
        assert!(!refused, "no revision was named, and the command is refused for it");
        return;
    };
    assert!(!refused || history.revision() > asked, "nothing changed after {asked}, and the command is refused");
    let Some(pool) = named_pool(&command.body) else { return };
    let visible =
        before.pool(pool).is_some_and(|pool| before.ipam_of_scope(pool.scope).owner == command.principal.account);
    let changed = pool_changed_at(history, pool);
    if visible && before.is_member(command.principal.account) {
        assert_eq!(refused, changed > asked, "{pool} changed at {changed}; the command holds up to {asked}");
    }
}

fn named_pool(body: &CommandBody) -> Option<PoolId> {
    match body {
        CommandBody::ModifyPool(body) => Some(body.pool),
        CommandBody::DeletePool(body) => Some(body.pool),
        CommandBody::ProvisionPoolCidr(body) => Some(body.pool),
        CommandBody::DeprovisionPoolCidr(body) => Some(body.pool),
        CommandBody::AllocateCidr(body) => Some(body.pool),
        _ => None,
    }
}

fn pool_changed_at(history: &History, pool: PoolId) -> Revision {
    let changes = |event: &Event| match event {
        Event::PoolCreated(it) => it.pool == pool,
        Event::PoolModified(it) => it.pool == pool,
        Event::PoolCidrProvisioned(it) => it.pool == pool,
        Event::PoolCidrDeprovisioned(it) => it.pool == pool,
        Event::ResourceTagged(it) => it.resource == ObjectId::Pool(pool),
        Event::ResourceUntagged(it) => it.resource == ObjectId::Pool(pool),
        _ => false,
    };
    let last = history.pasts.iter().rev().find(|past| past.outcome.events().iter().any(changes));
    last.map_or(Revision::ZERO, |past| past.moment.revision)
}
