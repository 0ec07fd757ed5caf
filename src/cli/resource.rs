//! `ipam resource …`: what discovery sees, said by hand, and what is known of it.

use chrono::Utc;
use clap::{Args, Subcommand};

use super::arguments::{Moment, Part, Resource, Tag, tags, word};
use super::failure::Failure;
use super::session::Session;
use super::settings::revision;
use crate::address::Cidr;
use crate::domain::command::{
    ObserveResource, ObserveResourceGone, ObservedCidr, ResourceAttributes, RetractObservation, Visibility,
};
use crate::domain::id::{AccountId, Region, Revision};
use crate::domain::time::Timestamp;

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// A resource holds exactly these blocks
    #[command(after_help = "Examples:
  ipam resource observe vpc-0a1 --cidr 10.0.0.0/16 --account 222222222222 --region eu-central-1
  ipam resource observe i-07 --cidr 10.0.0.9/32 --visibility private --observed-at 2024-05-01T12:00:00Z")]
    Observe(Box<Observe>),
    /// A resource is not there (any more)
    Gone {
        /// vpc-0a1…, or KIND:ID
        resource: Resource,
        /// When it was so; now when absent
        #[arg(long, visible_alias = "at", value_name = "INSTANT")]
        observed_at: Option<Timestamp>,
        /// Who says so
        #[arg(long)]
        source: Option<String>,
    },
    /// What a resource holds, now or at any moment; `ipam history` shows all it ever held
    #[command(after_help = "Examples:\n  ipam resource show vpc-0a1\n  ipam resource show vpc-0a1 --at 2024-05-01")]
    Show {
        /// vpc-0a1…, or KIND:ID
        resource: Resource,
        #[command(flatten)]
        moment: Moment,
        #[command(flatten)]
        part: Part,
    },
    /// Withdraw an observation that was wrong
    Retract {
        /// vpc-0a1…, or KIND:ID
        resource: Resource,
        /// Its instant, as observed
        #[arg(long, visible_alias = "at", value_name = "INSTANT")]
        observed_at: Timestamp,
        /// The revision that recorded it, when several stand at that instant
        #[arg(long, value_name = "REVISION", value_parser = revision)]
        recorded_as: Option<Revision>,
    },
}

#[derive(Args, Clone, Debug)]
pub struct Observe {
    /// vpc-0a1…, or KIND:ID
    resource: Resource,
    /// A block that it holds; may be repeated
    #[arg(long = "cidr", value_name = "CIDR", required = true)]
    cidrs: Vec<Cidr>,
    /// private or public; for network interfaces and instances
    #[arg(long, value_parser = word::<Visibility>)]
    visibility: Option<Visibility>,
    /// When it was so; now when absent
    #[arg(long, visible_alias = "at", value_name = "INSTANT")]
    observed_at: Option<Timestamp>,
    /// The account that owns it: its space is kept free only where an IPAM monitors account and region
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<AccountId>,
    /// The region that it is in
    #[arg(long)]
    region: Option<Region>,
    #[arg(long)]
    name: Option<String>,
    /// The id of what contains it: a subnet's VPC
    #[arg(long)]
    parent: Option<String>,
    /// Who says so
    #[arg(long)]
    source: Option<String>,
    /// A tag that it carries; may be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<Tag>,
    /// Anything else worth keeping; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<Tag>,
}

pub fn run(command: Command, session: &Session) -> Result<(), Failure> {
    // A repeated command must be the same to the byte; the instant it would be given anew is not.
    let instant = |given: Option<Timestamp>| match given {
        Some(at) => Ok(at),
        None if session.settings.command_id.is_some() => {
            Err(Failure::usage("with --command-id, say --observed-at too: a repeated command must be the same"))
        }
        None => Ok(Timestamp::from(Utc::now())),
    };
    match command {
        Command::Observe(observe) => {
            let observe = *observe;
            let observed_at = instant(observe.observed_at)?;
            let Resource { kind, id } = observe.resource;
            let visibility = observe.visibility;
            session.send(|_| {
                Ok(ObserveResource {
                    kind,
                    id,
                    observed_at,
                    cidrs: observe.cidrs.into_iter().map(|cidr| ObservedCidr { cidr, visibility }).collect(),
                    attributes: ResourceAttributes {
                        account: observe.account,
                        region: observe.region,
                        name: observe.name,
                        parent: observe.parent,
                        source: observe.source,
                        tags: tags(observe.tags),
                        labels: tags(observe.labels),
                    },
                }
                .into())
            })
        }
        Command::Gone { resource: Resource { kind, id }, observed_at, source } => {
            let observed_at = instant(observed_at)?;
            session.send(|_| Ok(ObserveResourceGone { kind, id, observed_at, source }.into()))
        }
        Command::Show { resource, moment, part } => super::ask::resource(&resource, &moment, &part, session),
        Command::Retract { resource: Resource { kind, id }, observed_at, recorded_as } => {
            session.send(|_| Ok(RetractObservation { kind, id, observed_at, revision: recorded_as }.into()))
        }
    }
}
