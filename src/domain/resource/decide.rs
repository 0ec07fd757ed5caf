//! `ObserveResource`, `ObserveResourceGone`, `RetractObservation`: facts are taken as they come (design D15).

use super::placing::visibility_of_kind;
use super::{Observation, Presence, Resource};
use crate::domain::ask::{Ask, Decided};
use crate::domain::authority;
use crate::domain::check;
use crate::domain::command::{self, ObservedCidr, ResourceAttributes};
use crate::domain::event::{self, NotMonitored};
use crate::domain::id::AccountId;
use crate::domain::kind::ResourceKind;
use crate::domain::rejection::{Code, Rejection};
use crate::domain::time::Timestamp;

/// How far ahead of the ledger's clock an observation may be.
pub(super) const AHEAD_MICROS_MAX: i64 = 60_000_000;
/// At most so many observations of one resource stand at one instant: more is no conflict but a defect of the sender.
const OBSERVATIONS_PER_INSTANT_MAX: usize = 100;

pub(in crate::domain) fn observe(ask: &Ask<'_>, body: &command::ObserveResource) -> Decided {
    let known = named(ask, body.kind, &body.id)?;
    attributes(&body.attributes)?;
    let cidrs = cidrs(body)?;
    may_report(ask, known, body.attributes.account)?;
    let instant = instant(ask, body.observed_at)?;
    let presence = Presence { cidrs, attributes: body.attributes.clone() };
    let same = |one: &Observation| one.presence.as_deref() == Some(&presence);
    if known.is_some_and(|resource| resource.knows(body.observed_at, same)) {
        return Ok(Vec::new());
    }
    room(known, instant.observed_at)?;
    let Presence { cidrs, attributes } = presence;
    let not_monitored = not_monitored(ask, body.kind, &attributes);
    let observed = event::ResourceObserved {
        kind: body.kind,
        id: body.id.clone(),
        observed_at: instant.observed_at,
        reported_at: instant.reported_at,
        cidrs,
        attributes,
        not_monitored,
    };
    Ok(vec![observed.into()])
}

pub(in crate::domain) fn observe_gone(ask: &Ask<'_>, body: &command::ObserveResourceGone) -> Decided {
    let known = named(ask, body.kind, &body.id)?;
    check::optional_text("source", body.source.as_deref(), check::FOREIGN_ID_CHARS_MAX)?;
    may_end(ask, known)?;
    let instant = instant(ask, body.observed_at)?;
    let same = |one: &Observation| one.presence.is_none() && one.source == body.source;
    if known.is_some_and(|resource| resource.knows(body.observed_at, same)) {
        return Ok(Vec::new());
    }
    room(known, instant.observed_at)?;
    let gone = event::ResourceGone {
        kind: body.kind,
        id: body.id.clone(),
        observed_at: instant.observed_at,
        reported_at: instant.reported_at,
        source: body.source.clone(),
    };
    Ok(vec![gone.into()])
}

pub(in crate::domain) fn retract(ask: &Ask<'_>, body: &command::RetractObservation) -> Decided {
    let known = named(ask, body.kind, &body.id)?;
    may_end(ask, known)?;
    let there: Vec<_> = known.into_iter().flat_map(|resource| resource.at(body.observed_at)).collect();
    let meant: Vec<_> =
        there.iter().filter(|one| body.revision.is_none_or(|revision| revision == one.revision)).collect();
    let revisions = || there.iter().map(|one| one.revision.to_string()).collect::<Vec<_>>().join(", ");
    match meant.as_slice() {
        [one] => {
            let retracted = event::ObservationRetracted {
                kind: body.kind,
                id: body.id.clone(),
                observed_at: one.observed_at,
                revision: one.revision,
            };
            Ok(vec![retracted.into()])
        }
        [] => {
            let message = format!("No such observation of {} {} stands at {}.", body.kind, body.id, body.observed_at);
            let rejection = Rejection::new(Code::ObservationNotFound, "D15", message)
                .value("resource", format!("{} {}", body.kind, body.id))
                .value("observed_at", body.observed_at);
            Err(if there.is_empty() { rejection } else { rejection.try_instead("revision", revisions()) })
        }
        several => {
            let message = format!(
                "{} observations of {} {} stand at {}; name the `revision` of the one to withdraw.",
                several.len(),
                body.kind,
                body.id,
                body.observed_at
            );
            Err(Rejection::new(Code::MissingParameter, "D15", message).try_instead("revision", revisions()))
        }
    }
}

/// What is known of the resource that a fact is about.
fn named<'a>(ask: &Ask<'a>, kind: ResourceKind, id: &str) -> Result<Option<&'a Resource>, Rejection> {
    if !kind.is_observable() {
        let kinds = ResourceKind::ALL.into_iter().filter(|kind| kind.is_observable());
        let kinds: Vec<_> = kinds.map(ResourceKind::as_str).collect();
        let message = format!("{kind} is a type of allocations; nobody observes such a thing.");
        return Err(Rejection::new(Code::InvalidParameterValue, "D16", message)
            .value("kind", kind)
            .try_instead("kind", kinds.join(", ")));
    }
    check::foreign_id("id", id)?;
    Ok(ask.state.resources.find(kind, id))
}

fn attributes(attributes: &ResourceAttributes) -> Result<(), Rejection> {
    check::optional_text("attributes.name", attributes.name.as_deref(), check::NAME_CHARS_MAX)?;
    check::optional_text("attributes.parent", attributes.parent.as_deref(), check::FOREIGN_ID_CHARS_MAX)?;
    check::optional_text("attributes.source", attributes.source.as_deref(), check::FOREIGN_ID_CHARS_MAX)?;
    check::foreign_tags("attributes.tags", &attributes.tags)?;
    check::foreign_tags("attributes.labels", &attributes.labels)
}

/// The full set of a resource's blocks: sorted, each once, with what it says beyond its kind.
fn cidrs(body: &command::ObserveResource) -> Result<Vec<ObservedCidr>, Rejection> {
    if body.cidrs.is_empty() {
        let message = "An observation has the full set of a resource's CIDRs, at least one; a resource that is not \
                       there is observed with `ObserveResourceGone`.";
        return Err(
            Rejection::new(Code::InvalidParameterValue, "D15", message).try_instead("command", "ObserveResourceGone")
        );
    }
    check::list("cidrs", body.cidrs.len(), check::OBSERVED_CIDRS_MAX)?;
    let by_kind = visibility_of_kind(body.kind);
    let mut cidrs = body.cidrs.clone();
    for observed in &mut cidrs {
        match (by_kind, observed.visibility) {
            (None, None) => {
                let message = format!(
                    "Each CIDR of a {} says whether it is private or public: `visibility` is missing for {}.",
                    body.kind, observed.cidr
                );
                return Err(Rejection::new(Code::MissingParameter, "D16", message)
                    .value("cidr", observed.cidr)
                    .try_instead("visibility", "private, public"));
            }
            (Some(by_kind), Some(said)) if said != by_kind => {
                let message =
                    format!("A {} is {by_kind:?} by its kind, but {} says {said:?}.", body.kind, observed.cidr);
                return Err(Rejection::new(Code::InvalidParameterValue, "D16", message).value("cidr", observed.cidr));
            }
            (Some(_), _) => observed.visibility = None,
            (None, Some(_)) => {}
        }
    }
    cidrs.sort_unstable();
    for (one, next) in cidrs.iter().zip(cidrs.iter().skip(1)) {
        if one.cidr == next.cidr {
            let message = format!("{} is listed twice.", one.cidr);
            return Err(Rejection::new(Code::InvalidParameterValue, "D15", message).value("cidr", one.cidr));
        }
    }
    Ok(cidrs)
}

/// Members report of their own resources: those that say so, and that nobody has under another account.
fn may_report(ask: &Ask<'_>, known: Option<&Resource>, account: Option<AccountId>) -> Result<(), Rejection> {
    authority::may_observe(ask, account)?;
    match known.and_then(last_account) {
        Some(last) => authority::may_observe(ask, Some(last)),
        None => Ok(()),
    }
}

/// What says nothing of an account is about whose the resource is known to be.
fn may_end(ask: &Ask<'_>, known: Option<&Resource>) -> Result<(), Rejection> {
    authority::may_observe(ask, known.and_then(last_account)).map_err(|mut rejection| {
        if known.is_none() {
            // Anybody could hide in advance what another is about to report.
            rejection.would_work.clear();
            let first = format!("first, with `attributes.account` {}", ask.command.principal.account);
            rejection = rejection.try_instead("ObserveResource", first);
        }
        rejection
    })
}

/// The account of the latest observation that names one.
fn last_account(resource: &Resource) -> Option<AccountId> {
    resource.observations.iter().rev().find_map(|one| one.presence.as_ref()?.attributes.account)
}

struct Instant {
    observed_at: Timestamp,
    reported_at: Option<Timestamp>,
}

/// When it was so: never later than now, for nothing can be known of the future.
fn instant(ask: &Ask<'_>, reported: Timestamp) -> Result<Instant, Rejection> {
    if reported <= ask.now {
        return Ok(Instant { observed_at: reported, reported_at: None });
    }
    let ahead = reported.micros() - ask.now.micros();
    if ahead <= AHEAD_MICROS_MAX {
        return Ok(Instant { observed_at: ask.now, reported_at: Some(reported) });
    }
    let message = format!(
        "`observed_at` is {reported}, {} s ahead of the ledger's clock ({}); at most 60 s are taken for a clock that \
         runs fast.",
        ahead / 1_000_000,
        ask.now
    );
    Err(Rejection::new(Code::ObservedInTheFuture, "D15", message)
        .value("observed_at", reported)
        .value("now", ask.now)
        .try_instead("at_most", ask.now.plus_micros(AHEAD_MICROS_MAX)))
}

fn room(known: Option<&Resource>, instant: Timestamp) -> Result<(), Rejection> {
    let there = known.map_or(0, |resource| resource.at(instant).count());
    if there < OBSERVATIONS_PER_INSTANT_MAX {
        return Ok(());
    }
    let message = format!("{there} different observations stand at {instant} already; withdraw those that are wrong.");
    Err(Rejection::new(Code::QuotaExceeded, "D15", message)
        .value("observations", there)
        .value("limit", OBSERVATIONS_PER_INSTANT_MAX)
        .try_instead("command", "RetractObservation"))
}

fn not_monitored(ask: &Ask<'_>, kind: ResourceKind, attributes: &ResourceAttributes) -> Option<NotMonitored> {
    if kind == ResourceKind::Prefix {
        return Some(NotMonitored::Published);
    }
    authority::monitored(ask.state, attributes.account, attributes.region.as_ref()).err()
}
