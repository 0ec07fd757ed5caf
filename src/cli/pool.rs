//! `ipam pool …`: pools, what they hold, and how full they are.

use clap::{Args, Subcommand};

use super::arguments::{Block, Moment, Part, Tag, change, length, query, tags, word};
use super::failure::Failure;
use super::names::{Names, joined};
use super::print::{Listing, instant, or_dash, pairs};
use super::session::Session;
use crate::address::{Cidr, Family};
use crate::api::NextCidr;
use crate::domain::command::{CreatePool, DeletePool, DeprovisionPoolCidr, ModifyPool, ProvisionPoolCidr};
use crate::domain::id::{Region, Revision};
use crate::domain::pool::{AwsService, Placement, PublicIpSource};
use crate::views::answer::{Answer, Page, PoolAnswer, PoolCidrAnswer, PoolNode, PoolTree, UsagePoint, Utilization};

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Create a pool: top-level in a scope, or below another pool
    #[command(after_help = "Examples:
  ipam pool create world --scope private
  ipam pool create eu --from world --locale eu-central-1
  ipam pool create prod --from eu --min /20 --max /28 --default /24 --require-tag stage=prod")]
    Create(Create),
    /// Change a pool's description or rules; allocations stay
    Modify(Modify),
    /// Delete a pool
    Delete {
        /// Id, name, or path of names
        pool: String,
        /// With its allocations, CIDRs and child pools (private scopes only)
        #[arg(long)]
        cascade: bool,
    },
    /// Give a pool space: a block, or a length of its source pool's
    #[command(after_help = "Examples:\n  ipam pool provision world 10.0.0.0/8\n  ipam pool provision eu/prod /16")]
    Provision {
        /// Id, name, or path of names
        pool: String,
        /// 10.0.0.0/8, or /16 for any block of that length
        block: Block,
    },
    /// Take a block without allocations from a pool
    Deprovision {
        /// Id, name, or path of names
        pool: String,
        /// Exactly as provisioned
        cidr: Cidr,
    },
    /// Pools as a tree, with how full they are
    Tree {
        /// In this scope only: id, name, `private` or `public`
        #[arg(long)]
        scope: Option<String>,
        #[command(flatten)]
        moment: Moment,
    },
    /// All pools, a line each
    List {
        /// In this scope only: id, name, `private` or `public`
        #[arg(long)]
        scope: Option<String>,
        #[command(flatten)]
        moment: Moment,
    },
    /// Pools without child pools, the fullest first
    Fullest {
        /// How many: 1 to 1,000 [default: 100]
        #[arg(long, value_name = "ROWS")]
        limit: Option<u16>,
        #[command(flatten)]
        moment: Moment,
    },
    /// Everything about a pool
    Show {
        /// Id, name, or path of names
        pool: String,
        #[command(flatten)]
        moment: Moment,
    },
    /// The CIDRs provisioned to a pool
    Cidrs {
        /// Id, name, or path of names
        pool: String,
        #[command(flatten)]
        moment: Moment,
    },
    /// How full a pool was, over time
    Usage {
        /// Id, name, or path of names
        pool: String,
        #[command(flatten)]
        moment: Moment,
        #[command(flatten)]
        part: Part,
    },
    /// The block that the pool would hand out next; nothing is held
    Next {
        /// Id, name, or path of names
        pool: String,
        /// The pool's default length when absent
        #[arg(value_parser = length)]
        length: Option<u8>,
        /// Wait until the answer includes this revision
        #[arg(long, value_name = "REVISION", value_parser = super::settings::revision)]
        at_least: Option<Revision>,
    },
}

/// The rules that both `create` and `modify` set.
#[derive(Args, Clone, Debug)]
pub struct Rules {
    /// The largest block handed out
    #[arg(long, value_name = "/LENGTH", value_parser = length)]
    min: Option<u8>,
    /// The smallest block handed out
    #[arg(long, value_name = "/LENGTH", value_parser = length)]
    max: Option<u8>,
    /// The block handed out when none is named
    #[arg(long, value_name = "/LENGTH", value_parser = length)]
    default: Option<u8>,
    /// A tag that a resource must carry; may be repeated
    #[arg(long = "require-tag", value_name = "KEY=VALUE")]
    require_tags: Vec<Tag>,
    /// first-fit, best-fit or random
    #[arg(long, value_parser = word::<Placement>)]
    placement: Option<Placement>,
}

#[derive(Args, Clone, Debug)]
pub struct Create {
    /// Becomes the tag Name
    name: Option<String>,
    /// The scope of a top-level pool: id, name, `private` or `public` [default: private]
    #[arg(long, conflicts_with = "from")]
    scope: Option<String>,
    /// The source pool: id, name, or path of names
    #[arg(long, value_name = "POOL")]
    from: Option<String>,
    /// ipv4 or ipv6; the source pool's, or ipv4
    #[arg(long, value_parser = word::<Family>)]
    family: Option<Family>,
    /// The operating region that the space is for; never changes
    #[arg(long, value_name = "REGION")]
    locale: Option<Region>,
    #[arg(long)]
    description: Option<String>,
    /// May be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<Tag>,
    #[command(flatten)]
    rules: Rules,
    /// Kept with the pool; nothing is imported yet
    #[arg(long)]
    auto_import: bool,
    #[arg(long)]
    publicly_advertisable: Option<bool>,
    /// ec2 or global-services
    #[arg(long, value_parser = word::<AwsService>)]
    aws_service: Option<AwsService>,
    /// amazon or byoip
    #[arg(long, value_parser = word::<PublicIpSource>)]
    public_ip_source: Option<PublicIpSource>,
}

#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Modify {
    /// Id, name, or path of names
    pool: String,
    #[arg(long)]
    description: Option<String>,
    #[command(flatten)]
    rules: Rules,
    /// Kept with the pool; nothing is imported yet
    #[arg(long)]
    auto_import: Option<bool>,
    #[arg(long, conflicts_with = "description")]
    no_description: bool,
    #[arg(long, conflicts_with = "min")]
    no_min: bool,
    #[arg(long, conflicts_with = "max")]
    no_max: bool,
    #[arg(long, conflicts_with = "default")]
    no_default: bool,
    /// Resources need carry no tags any more
    #[arg(long, conflicts_with = "require_tags")]
    no_required_tags: bool,
}

pub fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Create(create) => session.send(|names| Ok(create_pool(create, names)?.into())),
        Command::Modify(modify) => session.send(|names| Ok(modify_pool(modify, names)?.into())),
        Command::Delete { pool, cascade } => {
            session.send(|names| Ok(DeletePool { pool: names.pool(&pool)?, cascade }.into()))
        }
        Command::Provision { pool, block } => session.send(|names| {
            Ok(ProvisionPoolCidr { pool: names.pool(&pool)?, cidr: block.cidr(), netmask_length: block.length() }
                .into())
        }),
        Command::Deprovision { pool, cidr } => {
            session.send(|names| Ok(DeprovisionPoolCidr { pool: names.pool(&pool)?, cidr }.into()))
        }
        Command::Tree { scope, moment } => pools(session, scope.as_deref(), &moment, true),
        Command::List { scope, moment } => pools(session, scope.as_deref(), &moment, false),
        Command::Fullest { limit, moment } => {
            let limit = query([("limit", limit.map(|limit| limit.to_string()))]);
            let path = session.path(&joined(&joined("/pools:fullest", &moment.query()), &limit))?;
            session.show(&path, |answer: &Answer<Page<PoolAnswer>>| {
                let mut listing = Listing::new(&COLUMNS);
                for pool in &answer.body.items {
                    listing.row(pool.pool, cells(pool, pool.path.clone()));
                }
                super::stands(listing, answer.head, None)
            })
        }
        Command::Show { pool, moment } => {
            let path = below(session, &pool, "", &moment)?;
            session.show(&path, |answer: &Answer<PoolAnswer>| super::stands(facts(&answer.body), answer.head, None))
        }
        Command::Cidrs { pool, moment } => {
            let path = below(session, &pool, "/cidrs", &moment)?;
            session.show(&path, |answer: &Answer<Page<PoolCidrAnswer>>| {
                let mut listing = Listing::new(&["cidr", "source allocation", "provisioned", "by", "reason"]);
                for cidr in &answer.body.items {
                    listing.row(
                        cidr.cidr,
                        [
                            cidr.cidr.to_string(),
                            or_dash(cidr.source_allocation),
                            instant(cidr.provisioned.decided_at),
                            super::by(&cidr.provisioned),
                            or_dash(cidr.provisioned.reason.clone()),
                        ],
                    );
                }
                super::stands(listing, answer.head, answer.body.next.as_deref())
            })
        }
        Command::Usage { pool, moment, part } => {
            let path = joined(&below(session, &pool, "/usage", &moment)?, &part.query());
            session.show(&path, |answer: &Answer<Page<UsagePoint>>| {
                let mut listing = Listing::new(&[
                    "when",
                    ">revision",
                    ">provisioned",
                    ">to pools",
                    ">assigned",
                    ">available",
                    ">used",
                ]);
                for point in &answer.body.items {
                    let usage = &point.utilization;
                    listing.row(
                        point.revision,
                        [
                            instant(point.decided_at),
                            point.revision.to_string(),
                            usage.provisioned.to_string(),
                            usage.allocated.to_string(),
                            usage.assigned.to_string(),
                            usage.available.to_string(),
                            percent(usage.percent_allocated + usage.percent_assigned),
                        ],
                    );
                }
                super::stands(listing, answer.head, answer.body.next.as_deref())
            })
        }
        Command::Next { pool, length, at_least } => {
            let moment = Moment { at_least, ..Moment::default() };
            let length = query([("netmask_length", length.map(|length| length.to_string()))]);
            let path = joined(&below(session, &pool, "/next-cidr", &moment)?, &length);
            session.show(&path, |answer: &Answer<NextCidr>| {
                let NextCidr { cidr, certain, .. } = answer.body;
                let mut listing = Listing::of_one(cidr, [("next", Some(cidr.to_string()))]);
                if !certain {
                    listing.note("the pool places at random: it is one of the free blocks, and no promise".to_owned());
                }
                super::stands(listing, answer.head, None)
            })
        }
    }
}

fn create_pool(create: Create, names: &Names<'_>) -> Result<CreatePool, Failure> {
    let source_pool = create.from.as_deref().map(|pool| names.pool(pool)).transpose()?;
    let scope = match source_pool {
        Some(_) => None,
        None => Some(names.scope(create.scope.as_deref().unwrap_or("private"))?),
    };
    Ok(CreatePool {
        scope,
        source_pool,
        address_family: create.family.or(source_pool.is_none().then_some(Family::Ipv4)),
        locale: create.locale,
        description: create.description,
        name: create.name,
        tags: tags(create.tags),
        allocation_min_netmask_length: create.rules.min,
        allocation_max_netmask_length: create.rules.max,
        allocation_default_netmask_length: create.rules.default,
        allocation_resource_tags: tags(create.rules.require_tags),
        placement: create.rules.placement.unwrap_or_default(),
        auto_import: create.auto_import,
        publicly_advertisable: create.publicly_advertisable,
        aws_service: create.aws_service,
        public_ip_source: create.public_ip_source,
    })
}

fn modify_pool(modify: Modify, names: &Names<'_>) -> Result<ModifyPool, Failure> {
    let rules = modify.rules;
    let required = (!rules.require_tags.is_empty()).then(|| tags(rules.require_tags));
    Ok(ModifyPool {
        pool: names.pool(&modify.pool)?,
        description: change(modify.description, modify.no_description),
        allocation_min_netmask_length: change(rules.min, modify.no_min),
        allocation_max_netmask_length: change(rules.max, modify.no_max),
        allocation_default_netmask_length: change(rules.default, modify.no_default),
        allocation_resource_tags: change(required, modify.no_required_tags),
        placement: rules.placement,
        auto_import: modify.auto_import,
    })
}

/// The path of a query about one pool.
fn below(session: &Session, pool: &str, rest: &str, moment: &Moment) -> Result<String, Failure> {
    let pool = Names::new(session, moment.query()).pool(pool)?;
    session.path(&joined(&format!("/pools/{pool}{rest}"), &moment.query()))
}

fn pools(session: &Session, scope: Option<&str>, moment: &Moment, indented: bool) -> Result<(), Failure> {
    let scope = scope.map(|scope| Names::new(session, moment.query()).scope(scope)).transpose()?;
    let scope = query([("scope", scope.map(|scope| scope.to_string()))]);
    let path = session.path(&joined(&joined("/pools", &moment.query()), &scope))?;
    session.show(&path, |answer: &Answer<PoolTree>| {
        let mut listing = Listing::new(&COLUMNS);
        for node in &answer.body.pools {
            add(&mut listing, node, 0, indented);
        }
        super::stands(listing, answer.head, None)
    })
}

fn add(listing: &mut Listing, node: &PoolNode, depth: usize, indented: bool) {
    let pool = &node.pool;
    let shown = if indented {
        let last = pool.path.rsplit('/').next().unwrap_or_default();
        format!("{}{last}", "  ".repeat(depth))
    } else {
        pool.path.clone()
    };
    listing.row(pool.pool, cells(pool, shown));
    for child in &node.children {
        add(listing, child, depth + 1, indented);
    }
}

const COLUMNS: [&str; 9] =
    ["pool", "id", "locale", ">provisioned", ">to pools", ">assigned", ">available", ">used", "largest free"];

fn cells(pool: &PoolAnswer, shown: String) -> [String; 9] {
    let usage = &pool.utilization;
    [
        shown,
        pool.pool.to_string(),
        or_dash(pool.locale.clone()),
        usage.provisioned.to_string(),
        usage.allocated.to_string(),
        usage.assigned.to_string(),
        usage.available.to_string(),
        percent(usage.percent_assigned_in_subtree),
        or_dash(usage.largest_free_block),
    ]
}

fn facts(pool: &PoolAnswer) -> Listing {
    let usage = &pool.utilization;
    let slash = |length: Option<u8>| length.map(|length| format!("/{length}"));
    Listing::of_one(
        pool.pool,
        [
            ("pool", Some(pool.pool.to_string())),
            ("path", Some(pool.path.clone())),
            ("description", pool.description.clone()),
            ("scope", Some(pool.scope.to_string())),
            ("source pool", pool.source_pool.map(|id| id.to_string())),
            ("family", Some(pool.address_family.to_string())),
            ("locale", pool.locale.as_ref().map(ToString::to_string)),
            ("largest block", slash(pool.allocation_min_netmask_length)),
            ("smallest block", slash(pool.allocation_max_netmask_length)),
            ("default block", slash(pool.allocation_default_netmask_length)),
            ("auto import", pool.auto_import.then(|| "yes; nothing is imported yet".to_owned())),
            ("required tags", pairs(&pool.allocation_resource_tags)),
            ("tags", pairs(&pool.tags)),
            ("provisioned", Some(usage.provisioned.to_string())),
            ("to pools", Some(share(&usage.allocated.to_string(), usage.percent_allocated))),
            ("assigned", Some(share(&usage.assigned.to_string(), usage.percent_assigned))),
            ("available", Some(share(&usage.available.to_string(), usage.percent_available))),
            ("assigned in subtree", Some(in_subtree(usage))),
            ("allocations", Some(usage.allocation_count.to_string())),
            ("largest free block", Some(or_dash(usage.largest_free_block))),
            ("created", Some(instant(pool.created.decided_at))),
        ],
    )
}

fn in_subtree(usage: &Utilization) -> String {
    share(&usage.assigned_in_subtree.to_string(), usage.percent_assigned_in_subtree)
}

fn share(count: &str, of_hundred: f64) -> String {
    format!("{count} ({})", percent(of_hundred))
}

fn percent(of_hundred: f64) -> String {
    format!("{of_hundred:.1} %")
}
