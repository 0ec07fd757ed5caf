//! `ipam instance …`: IPAMs themselves. The word is "instance" because `ipam ipam create` reads badly;
//! everywhere else they are called IPAMs.

use clap::Subcommand;

use super::arguments::{Moment, Tag, change, tags};
use super::failure::Failure;
use super::names::{Names, joined};
use super::print::{Listing, instant, or_dash, pairs};
use super::session::Session;
use crate::domain::command::{CreateIpam, DeleteIpam, ModifyIpam};
use crate::domain::id::Region;
use crate::views::answer::{Answer, IpamAnswer, Page};

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Create an IPAM with its two default scopes
    Create {
        /// The home region
        #[arg(long, value_name = "REGION")]
        home: Region,
        /// Another operating region; may be repeated
        #[arg(long = "region", value_name = "REGION")]
        regions: Vec<Region>,
        #[arg(long)]
        description: Option<String>,
        /// Becomes the tag Name
        #[arg(long)]
        name: Option<String>,
        /// May be repeated
        #[arg(long = "tag", value_name = "KEY=VALUE")]
        tags: Vec<Tag>,
    },
    /// Change an IPAM's description or operating regions
    Modify {
        /// Id or name; the only IPAM when absent
        ipam: Option<String>,
        #[arg(long)]
        description: Option<String>,
        #[arg(long, conflicts_with = "description")]
        no_description: bool,
        #[arg(long = "add-region", value_name = "REGION")]
        add_regions: Vec<Region>,
        #[arg(long = "remove-region", value_name = "REGION")]
        remove_regions: Vec<Region>,
    },
    /// Delete an IPAM
    Delete {
        /// Id or name
        ipam: String,
        /// With all that is in its private scopes
        #[arg(long)]
        cascade: bool,
    },
    /// List IPAMs
    List {
        #[command(flatten)]
        moment: Moment,
    },
    /// Show an IPAM
    Show {
        /// Id or name; the only IPAM when absent
        ipam: Option<String>,
        #[command(flatten)]
        moment: Moment,
    },
}

pub fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Create { home, regions, description, name, tags: given } => session.send(|_| {
            Ok(CreateIpam { home_region: home, operating_regions: regions, description, name, tags: tags(given) }
                .into())
        }),
        Command::Modify { ipam, description, no_description, add_regions, remove_regions } => session.send(|names| {
            Ok(ModifyIpam {
                ipam: names.ipam(ipam.as_deref())?,
                description: change(description, no_description),
                add_operating_regions: add_regions,
                remove_operating_regions: remove_regions,
            }
            .into())
        }),
        Command::Delete { ipam, cascade } => {
            session.send(|names| Ok(DeleteIpam { ipam: names.ipam(Some(&ipam))?, cascade }.into()))
        }
        Command::List { moment } => {
            let path = joined("/ipams", &moment.query());
            session.show(&session.path(&path)?, |answer: &Answer<Page<IpamAnswer>>| {
                let mut listing = Listing::new(&["ipam", "name", "owner", "home", "regions", ">scopes"]);
                for ipam in &answer.body.items {
                    listing.row(
                        ipam.ipam,
                        [
                            ipam.ipam.to_string(),
                            or_dash(ipam.name.clone()),
                            ipam.owner.to_string(),
                            ipam.home_region.to_string(),
                            regions(ipam),
                            ipam.scope_count.to_string(),
                        ],
                    );
                }
                super::stands(listing, answer.head, answer.body.next.as_deref())
            })
        }
        Command::Show { ipam, moment } => {
            let ipam = Names::new(session, moment.query()).ipam(ipam.as_deref())?;
            let path = session.path(&joined(&format!("/ipams/{ipam}"), &moment.query()))?;
            session.show(&path, |answer: &Answer<IpamAnswer>| super::stands(facts(&answer.body), answer.head, None))
        }
    }
}

fn facts(ipam: &IpamAnswer) -> Listing {
    Listing::of_one(
        ipam.ipam,
        [
            ("ipam", Some(ipam.ipam.to_string())),
            ("name", ipam.name.clone()),
            ("description", ipam.description.clone()),
            ("owner", Some(ipam.owner.to_string())),
            ("home region", Some(ipam.home_region.to_string())),
            ("operating regions", Some(regions(ipam))),
            ("private scope", Some(ipam.private_default_scope.to_string())),
            ("public scope", Some(ipam.public_default_scope.to_string())),
            ("sees accounts", Some(ipam.reach.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))),
            ("tags", pairs(&ipam.tags)),
            ("created", Some(instant(ipam.created.decided_at))),
        ],
    )
}

fn regions(ipam: &IpamAnswer) -> String {
    ipam.operating_regions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
