//! `ipam who`, `history`, `overlaps`, `changes`, `outcome`, `events`: questions about addresses and commands.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::ControlFlow;

use clap::Args;

use super::arguments::{Moment, Part, Resource, query};
use super::failure::Failure;
use super::names::{Names, joined};
use super::print::{self, Listing, instant, or_dash};
use super::session::{Session, problem, read};
use super::settings::Format;
use crate::address::{Cidr, CidrError};
use crate::domain::id::{CommandId, Region, Revision, ScopeId};
use crate::domain::kind::ResourceKind;
use crate::domain::outcome::{Decision, Outcome};
use crate::views::answer::{Answer, OrganizationAnswer};
use crate::views::lineage::answers::{
    Cause, ChangesAnswer, Held, Holder, LineageAnswer, Observed, ResourceHistory, Turn,
};
use crate::views::overlaps::answers::{OverlapParty, OverlapsAnswer};

/// What has a history: an address, a block, or a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Block(Cidr),
    Resource(Resource),
}

impl std::str::FromStr for Subject {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Block(Cidr::of_address(address)));
        }
        let not_a_block = match text.parse() {
            Ok(block) => return Ok(Self::Block(block)),
            Err(error @ CidrError::Malformed { .. }) => error,
            Err(error) => return Err(error.to_string()),
        };
        text.parse().map(Self::Resource).map_err(|not_a_resource: String| format!("{not_a_block}; {not_a_resource}"))
    }
}

#[derive(Args, Clone, Debug)]
pub struct Who {
    address: IpAddr,
    /// Pools and allocations of this scope only: id, name, `private` or `public`. Resources are shown whatever the scope
    #[arg(long)]
    scope: Option<String>,
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    part: Part,
}

#[derive(Args, Clone, Debug)]
pub struct History {
    /// An address, a block, or a resource (vpc-0a1…, KIND:ID)
    subject: Subject,
    /// Pools and allocations of this scope only: id, name, `private` or `public`. Resources are shown whatever the scope; not
    /// for the history of one
    #[arg(long)]
    scope: Option<String>,
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    part: Part,
}

#[derive(Args, Clone, Debug)]
pub struct Overlaps {
    /// The scope: id, name, `private` or `public`
    #[arg(long, default_value = "private")]
    scope: String,
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    part: Part,
}

#[derive(Args, Clone, Debug)]
pub struct Changes {
    /// Of resources of this kind
    #[arg(long, default_value = "vpc")]
    kind: ResourceKind,
    #[arg(long)]
    region: Option<Region>,
    /// From this moment on; a bare date is its beginning
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    from: Option<String>,
    /// Up to this moment, exclusive; a bare date is its beginning
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    until: Option<String>,
    /// What the ledger knew then: a date, an instant, how long ago (-3d), or a revision (rev:1234)
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    as_of: Option<String>,
    #[command(flatten)]
    part: Part,
}

pub fn who(ask: &Who, session: &Session) -> Result<(), Failure> {
    let address = query([("address", Some(ask.address.to_string()))]);
    let path = joined(&joined(&joined("/holders", &address), &ask.moment.query()), &ask.part.query());
    let path = joined(&path, &in_scope(session, ask.scope.as_deref(), &ask.moment)?);
    session.show(&session.path(&path)?, lineage)
}

/// The scope that is asked about, as it stands in a query.
fn in_scope(session: &Session, scope: Option<&str>, moment: &Moment) -> Result<String, Failure> {
    let scope = scope.map(|scope| Names::new(session, moment.query()).scope(scope)).transpose()?;
    Ok(query([("scope", scope.map(|scope| scope.to_string()))]))
}

pub fn history(ask: &History, session: &Session) -> Result<(), Failure> {
    let rest = joined(&joined("", &ask.moment.query()), &ask.part.query());
    let rest = rest.trim_start_matches('?');
    match &ask.subject {
        Subject::Block(cidr) => {
            let cidr = query([("cidr", Some(cidr.to_string()))]);
            let path = joined(&joined("/history", &cidr), rest);
            let path = joined(&path, &in_scope(session, ask.scope.as_deref(), &ask.moment)?);
            session.show(&session.path(&path)?, lineage)
        }
        Subject::Resource(_) if ask.scope.is_some() => Err(Failure::usage(
            "--scope is for addresses and blocks: a resource's blocks say by themselves where they are",
        )),
        Subject::Resource(resource) => of_resource(resource, rest, "was never observed", session),
    }
}

/// What a resource holds at a moment, now when none is named.
pub fn resource(resource: &Resource, moment: &Moment, part: &Part, session: &Session) -> Result<(), Failure> {
    let at = moment.at.clone().or_else(|| Some("now".to_owned()));
    let rest = joined(&format!("?{}", Moment { at, ..moment.clone() }.query()), &part.query());
    of_resource(resource, rest.trim_start_matches('?'), "is not known to hold anything then", session)
}

fn of_resource(resource: &Resource, rest: &str, nothing: &str, session: &Session) -> Result<(), Failure> {
    let Resource { kind, id } = resource;
    let resource = query([("kind", Some(kind.to_string())), ("id", Some(id.clone()))]);
    let path = session.path(&joined(&joined("/resource-history", &resource), rest))?;
    session.show(&path, |answer: &ResourceHistory| {
        let mut listing = intervals(&answer.held);
        if answer.held.is_empty() && answer.next.is_none() {
            listing.note(format!("{kind} {id} {nothing}"));
        }
        super::stands(listing, answer.head, answer.next.as_deref())
    })
}

pub fn overlaps(ask: &Overlaps, session: &Session) -> Result<(), Failure> {
    let scope = Names::new(session, ask.moment.query()).scope(&ask.scope)?;
    let scope = query([("scope", Some(scope.to_string()))]);
    let path = joined(&joined(&joined("/overlaps", &scope), &ask.moment.query()), &ask.part.query());
    session.show(&session.path(&path)?, |answer: &OverlapsAnswer| {
        let mut listing =
            Listing::new(&["cidr", "held by", "account", "shares", "with", "account", "since", "until", "known since"]);
        let pairs = || answer.groups.iter().flat_map(|group| &group.pairs);
        for pair in pairs() {
            listing.row(
                pair.narrow.cidr,
                [
                    pair.wide.cidr.to_string(),
                    party(&pair.wide),
                    or_dash(pair.wide.account),
                    pair.narrow.cidr.to_string(),
                    party(&pair.narrow),
                    or_dash(pair.narrow.account),
                    instant(pair.since),
                    pair.until.map_or_else(|| "now".to_owned(), instant),
                    format!("rev:{}", pair.known_since.revision),
                ],
            );
        }
        let parties = pairs().flat_map(|pair| [&pair.wide, &pair.narrow]);
        let contradicted = parties.filter(|party| !party.conflict.is_empty()).map(self::party);
        for name in contradicted.collect::<BTreeSet<_>>() {
            listing.note(format!(
                "{name}: observations of one instant contradict each other; all count until one is withdrawn"
            ));
        }
        if listing.results.is_empty() && answer.next.is_none() {
            listing.note(format!("no two share an address in {}", answer.scope));
        }
        super::stands(listing, answer.head, answer.next.as_deref())
    })
}

pub fn changes(ask: &Changes, session: &Session) -> Result<(), Failure> {
    for (flag, when) in [("--from", &ask.from), ("--until", &ask.until)] {
        if let Some(revision) = when.as_ref().filter(|when| when.starts_with("rev:")) {
            return Err(Failure::usage(format!(
                "{flag} takes a time in the world; a revision is a state of knowledge: --as-of {revision}"
            )));
        }
    }
    let which = query([
        ("kind", Some(ask.kind.to_string())),
        ("region", ask.region.as_ref().map(ToString::to_string)),
        ("from", ask.from.clone()),
        ("until", ask.until.clone()),
        ("as_of", ask.as_of.clone()),
    ]);
    let path = joined(&joined("/changes", &which), &ask.part.query());
    session.show(&session.path(&path)?, |answer: &ChangesAnswer| {
        let mut listing = Listing::new(&["when", "change", "cidr", "id", "region", "account"]);
        for change in &answer.changes {
            let turn = match change.change {
                Turn::Appeared => "appeared",
                Turn::Vanished => "vanished",
            };
            listing.row(
                change.cidr,
                [
                    instant(change.at),
                    turn.to_owned(),
                    change.cidr.to_string(),
                    change.id.clone(),
                    or_dash(change.region.clone()),
                    or_dash(change.account),
                ],
            );
        }
        if let Some(counts) = answer.counts {
            listing.note(format!(
                "{} appeared, {} vanished, {} did both",
                counts.appeared_count, counts.vanished_count, counts.both_count
            ));
        }
        super::stands(listing, answer.head, answer.next.as_deref())
    })
}

pub fn outcome(id: CommandId, wait: Option<u8>, session: &Session) -> Result<(), Failure> {
    let wait = query([("wait_seconds", wait.map(|seconds| seconds.to_string()))]);
    session.show(&session.path(&joined(&format!("/outcomes/{id}"), &wait))?, |outcome: &Outcome| {
        let (decision, why) = match &outcome.decision {
            Decision::Accepted(events) => {
                let names: Vec<_> = events.iter().map(crate::domain::event::Event::type_name).collect();
                ("accepted", (!names.is_empty()).then(|| names.join(" ")))
            }
            Decision::Rejected(rejection) => ("rejected", Some(rejection.to_string())),
        };
        Listing::of_one(
            decision,
            [
                ("command", Some(outcome.command_id.to_string())),
                ("type", Some(outcome.command_type.clone())),
                ("decision", Some(decision.to_owned())),
                ("because", why.filter(|_| decision == "rejected")),
                ("events", outcome.events().first().map(|_| event_names(outcome))),
                ("revision", outcome.revision.map(|revision| revision.to_string())),
                ("decided", Some(instant(outcome.decided_at))),
                ("asked by", Some(outcome.principal.account.to_string())),
                ("reason", outcome.reason.clone()),
            ],
        )
    })
}

#[derive(Args, Clone, Debug)]
pub struct Events {
    /// The first revision [default: 1]
    #[arg(long, value_name = "REVISION", value_parser = super::settings::revision)]
    from: Option<Revision>,
    /// Go on with what is decided next, until interrupted
    #[arg(long)]
    follow: bool,
}

/// All outcomes of the organisation in their order, a line each.
pub fn events(ask: &Events, session: &Session) -> Result<(), Failure> {
    let from = ask.from.unwrap_or(Revision(1));
    let client = session.reading()?;
    let last = if ask.follow {
        if !client.is_live() {
            return Err(Failure::usage("--follow needs a running server: nothing is decided here meanwhile"));
        }
        let known = session.get(&session.path("")?)?;
        if known.status == 404 && problem(&known).code == "OrganizationNotFound" && !session.settings.quiet {
            print::explain(&format!(
                "organisation {} has no history yet: waiting for its first outcome",
                session.organization()?
            ));
        }
        None
    } else {
        let answer: Answer<OrganizationAnswer> = session.ask(&session.path("")?)?;
        if answer.head.revision < from {
            return Ok(());
        }
        Some(answer.head.revision)
    };
    let which =
        query([("organization", Some(session.organization()?.to_string())), ("from_revision", Some(from.to_string()))]);
    let (mut unreadable, mut next, mut ended) = (None, from, true);
    let refused = client
        .follow(&joined("/v1/events", &which), &mut |line| {
            let Some(data) = line.strip_prefix("data: ") else { return ControlFlow::Continue(()) };
            let outcome: Outcome = match read(data.as_bytes()) {
                Ok(outcome) => outcome,
                Err(failure) => {
                    unreadable = Some(failure);
                    return ControlFlow::Break(());
                }
            };
            next = outcome.revision.map_or(next, Revision::next);
            let shown = match (session.settings.output, session.settings.quiet) {
                (Format::Json, _) => data.to_owned(),
                (Format::Table, true) => or_dash(outcome.revision),
                (Format::Table, false) => one_line(&outcome),
            };
            // Whoever read has enough, or all that was asked for is there.
            let enough = print::one_of_many(&shown).is_break() || (last.is_some() && outcome.revision >= last);
            ended = !enough;
            if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .map_err(|no| Failure::Unreachable(format!("{}; go on with --from {next}", no.why)))?;
    match (unreadable, refused) {
        (Some(failure), _) => Err(failure),
        (None, Some(reply)) => Err(session.refused(&reply)),
        (None, None) if ended => Err(Failure::Unreachable(format!(
            "{} ended the stream, as a server does when it is stopped; go on with --from {next}",
            client.place()
        ))),
        (None, None) => Ok(()),
    }
}

fn one_line(outcome: &Outcome) -> String {
    let decision = match &outcome.decision {
        Decision::Accepted(_) => "accepted".to_owned(),
        Decision::Rejected(rejection) => format!("rejected {}", rejection.code),
    };
    let reason = outcome.reason.as_ref().map_or_else(String::new, |reason| format!("  {reason}"));
    let (revision, at) = (or_dash(outcome.revision), instant(outcome.decided_at));
    format!("{revision:>7}  {at:<27}  {}  {}  {decision}{reason}", outcome.principal.account, outcome.command_type)
}

fn event_names(outcome: &Outcome) -> String {
    outcome.events().iter().map(crate::domain::event::Event::type_name).collect::<Vec<_>>().join(" ")
}

fn lineage(answer: &LineageAnswer) -> Listing {
    let mut listing = intervals(&answer.held);
    if answer.held.is_empty() && answer.next.is_none() {
        listing.note(format!("nobody is known to have held {}", answer.cidr));
    }
    match answer.observed {
        Some(Observed::UnknownUntil { first_observed }) => listing.note(format!(
            "resources here are unknown before {}, when the first was observed",
            instant(first_observed)
        )),
        Some(Observed::Never) => listing.note("no resource was ever observed here"),
        Some(Observed::Known) | None => {}
    }
    super::stands(listing, answer.head, answer.next.as_deref())
}

fn intervals(held: &[Held]) -> Listing {
    let mut listing = Listing::new(&["cidr", "held by", "scope", "from", "until", "asked by", "reason", ">revision"]);
    for held in held {
        listing.row(
            holder(held),
            [
                held.cidr.to_string(),
                holder(held),
                or_dash(scope(held)),
                instant(held.from),
                held.until.map_or_else(|| "now".to_owned(), instant),
                by(&held.began),
                or_dash(held.began.reason.clone()),
                held.known.revision.to_string(),
            ],
        );
    }
    listing
}

fn holder(held: &Held) -> String {
    match &held.holder {
        Holder::Pool { pool, name, .. } => format!("pool {}", name.clone().unwrap_or_else(|| pool.to_string())),
        Holder::Allocation { allocation, description, resource, .. } => match (resource, description) {
            (Some(resource), _) => format!("allocation for {} {}", resource.kind, resource.id),
            (None, Some(description)) => format!("allocation {description}"),
            (None, None) => format!("allocation {allocation}"),
        },
        Holder::Resource { kind, id, .. } => format!("{kind} {id}"),
    }
}

/// Resources lie in no scope of their own.
fn scope(held: &Held) -> Option<ScopeId> {
    match held.holder {
        Holder::Pool { scope, .. } | Holder::Allocation { scope, .. } => Some(scope),
        Holder::Resource { .. } => None,
    }
}

fn by(cause: &Cause) -> String {
    let account = cause.principal.account;
    cause.principal.name.as_ref().map_or_else(|| account.to_string(), |name| format!("{account} {name}"))
}

fn party(party: &OverlapParty) -> String {
    let name = party.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    format!("{} {}{name}", party.kind, party.id)
}
