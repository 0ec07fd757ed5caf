//! `ipam allocate`, `ipam release`, `ipam allocation …`: taking blocks and giving them back.

use clap::{Args, Subcommand};

use super::arguments::{Block, Moment, Part, Resource, Tag, change, tags};
use super::failure::Failure;
use super::names::{Names, joined, purpose};
use super::print::{Listing, instant, or_dash, pairs};
use super::session::Session;
use crate::address::Cidr;
use crate::domain::command::{AllocateCidr, ModifyAllocation, ReleaseAllocation, ResourceClaim};
use crate::domain::id::{AccountId, Region};
use crate::views::answer::{AllocationAnswer, Answer, Page};

/// The resource that a block is for.
#[derive(Args, Clone, Debug)]
pub struct For {
    /// The resource it is for: vpc-0a1…, or KIND:ID; a custom allocation when absent
    #[arg(long = "for", value_name = "RESOURCE")]
    resource: Option<Resource>,
    /// The resource's region
    #[arg(long, requires = "resource")]
    region: Option<Region>,
    /// The account that owns the resource; the asking account when absent
    #[arg(long, value_name = "ACCOUNT", requires = "resource")]
    account: Option<AccountId>,
    /// A tag of the resource; may be repeated
    #[arg(long = "resource-tag", value_name = "KEY=VALUE", requires = "resource")]
    resource_tags: Vec<Tag>,
}

impl For {
    fn claim(self) -> Option<ResourceClaim> {
        self.resource.map(|Resource { kind, id }| ResourceClaim {
            kind,
            id,
            region: self.region,
            account: self.account,
            tags: tags(self.resource_tags),
        })
    }
}

#[derive(Args, Clone, Debug)]
pub struct Allocate {
    /// 10.0.1.0/24, or /24 for any block of that length; the pool's default length when absent
    block: Option<Block>,
    /// The pool: id, name, or path of names
    #[arg(long, value_name = "POOL")]
    from: String,
    #[command(flatten)]
    purpose: For,
    #[arg(long)]
    description: Option<String>,
    /// May be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<Tag>,
    /// Only inside this block; may be repeated
    #[arg(long = "within", value_name = "CIDR")]
    allowed: Vec<Cidr>,
    /// Not in this block; may be repeated
    #[arg(long = "outside", value_name = "CIDR")]
    disallowed: Vec<Cidr>,
}

#[derive(Args, Clone, Debug)]
pub struct Release {
    /// The allocation: its id, or its block
    allocation: String,
    /// Release although the resource is observed there now; needs --reason
    #[arg(long)]
    force: bool,
}

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// The allocations of a pool
    List {
        /// Id, name, or path of names
        pool: String,
        #[command(flatten)]
        moment: Moment,
        #[command(flatten)]
        part: Part,
    },
    /// Everything about an allocation, released ones included
    Show {
        /// Its id, or the block of one that is held
        allocation: String,
        #[command(flatten)]
        moment: Moment,
    },
    /// Change an allocation's description, or say what a custom allocation is for
    Modify {
        /// Its id, or its block
        allocation: String,
        #[arg(long)]
        description: Option<String>,
        #[arg(long, conflicts_with = "description")]
        no_description: bool,
        #[command(flatten)]
        purpose: For,
    },
}

pub fn allocate(ask: Allocate, session: &Session) -> Result<(), Failure> {
    session.send(|names| {
        Ok(AllocateCidr {
            pool: names.pool(&ask.from)?,
            cidr: ask.block.and_then(Block::cidr),
            netmask_length: ask.block.and_then(Block::length),
            allowed_cidrs: ask.allowed,
            disallowed_cidrs: ask.disallowed,
            description: ask.description,
            tags: tags(ask.tags),
            resource: ask.purpose.claim(),
        }
        .into())
    })
}

pub fn release(ask: &Release, session: &Session) -> Result<(), Failure> {
    session.send(|names| {
        let allocation = names.allocation(&ask.allocation)?;
        // What was named by its block is released only if it is still that block's.
        let cidr = ask.allocation.parse().ok();
        Ok(ReleaseAllocation { allocation, pool: None, cidr, force: ask.force }.into())
    })
}

pub fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::List { pool, moment, part } => {
            let pool = Names::new(session, moment.query()).pool(&pool)?;
            let path = joined(&joined(&format!("/pools/{pool}/allocations"), &moment.query()), &part.query());
            session.show(&session.path(&path)?, |answer: &Answer<Page<AllocationAnswer>>| {
                let mut listing = Listing::new(&["cidr", "kind", "for", "allocation", "since", "by", "reason"]);
                for one in &answer.body.items {
                    listing.row(
                        one.cidr,
                        [
                            one.cidr.to_string(),
                            one.kind.to_string(),
                            purpose(one),
                            one.allocation.to_string(),
                            instant(one.created.decided_at),
                            super::by(&one.created),
                            or_dash(one.created.reason.clone()),
                        ],
                    );
                }
                super::stands(listing, answer.head, answer.body.next.as_deref())
            })
        }
        Command::Show { allocation, moment } => {
            let id = Names::new(session, moment.query()).allocation(&allocation)?;
            let path = session.path(&joined(&format!("/allocations/{id}"), &moment.query()))?;
            session
                .show(&path, |answer: &Answer<AllocationAnswer>| super::stands(facts(&answer.body), answer.head, None))
        }
        Command::Modify { allocation, description, no_description, purpose } => session.send(|names| {
            Ok(ModifyAllocation {
                allocation: names.allocation(&allocation)?,
                description: change(description, no_description),
                resource: purpose.claim(),
            }
            .into())
        }),
    }
}

fn facts(one: &AllocationAnswer) -> Listing {
    let resource = one.resource.as_ref();
    Listing::of_one(
        one.allocation,
        [
            ("allocation", Some(one.allocation.to_string())),
            ("cidr", Some(one.cidr.to_string())),
            ("pool", Some(one.pool.to_string())),
            ("kind", Some(one.kind.to_string())),
            ("for", Some(purpose(one))),
            ("region", resource.and_then(|resource| Some(resource.region.as_ref()?.to_string()))),
            ("owner", resource.and_then(|resource| Some(resource.account?.to_string()))),
            ("description", one.description.clone()),
            ("tags", pairs(&one.tags)),
            ("since", Some(instant(one.created.decided_at))),
            ("asked by", Some(super::by(&one.created))),
            ("reason", one.created.reason.clone()),
            ("command", Some(one.created.command_id.to_string())),
            ("released", one.released.as_ref().map(|stamp| instant(stamp.decided_at))),
            ("released by", one.released.as_ref().map(super::by)),
            ("reason of release", one.released.as_ref().and_then(|stamp| stamp.reason.clone())),
        ],
    )
}
