//! `ipam scope …`: address spaces.

use clap::Subcommand;

use super::arguments::{Moment, Tag, change, query, tags};
use super::failure::Failure;
use super::names::{Names, joined};
use super::print::{Listing, instant, or_dash, pairs};
use super::session::Session;
use crate::domain::command::{CreateScope, DeleteScope, ModifyScope};
use crate::views::answer::{Answer, Page, ScopeAnswer, ScopeKind};

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Create another private scope
    Create {
        /// Becomes the tag Name
        name: Option<String>,
        /// The IPAM, by id or name; the only one when absent
        #[arg(long)]
        ipam: Option<String>,
        #[arg(long)]
        description: Option<String>,
        /// May be repeated
        #[arg(long = "tag", value_name = "KEY=VALUE")]
        tags: Vec<Tag>,
    },
    /// Change a scope's description
    Modify {
        /// Id or name, or `private` and `public` for the default ones
        scope: String,
        #[arg(long)]
        description: Option<String>,
        #[arg(long, conflicts_with = "description")]
        no_description: bool,
    },
    /// Delete a private scope without pools
    Delete {
        /// Id or name
        scope: String,
    },
    /// List scopes
    List {
        /// Of this IPAM only: id or name
        #[arg(long)]
        ipam: Option<String>,
        #[command(flatten)]
        moment: Moment,
    },
    /// Everything about a scope
    #[command(after_help = "Examples:\n  ipam scope show private\n  ipam scope show lab --as-of 2024-05-01")]
    Show {
        /// Id or name, or `private` and `public` for the default ones
        scope: String,
        #[command(flatten)]
        moment: Moment,
    },
}

pub fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Create { name, ipam, description, tags: given } => session.send(|names| {
            Ok(CreateScope { ipam: names.ipam(ipam.as_deref())?, description, name, tags: tags(given) }.into())
        }),
        Command::Modify { scope, description, no_description } => session.send(|names| {
            Ok(ModifyScope { scope: names.scope(&scope)?, description: change(description, no_description) }.into())
        }),
        Command::Delete { scope } => session.send(|names| Ok(DeleteScope { scope: names.scope(&scope)? }.into())),
        Command::Show { scope, moment } => {
            let scope = Names::new(session, moment.query()).scope(&scope)?;
            let path = session.path(&joined(&format!("/scopes/{scope}"), &moment.query()))?;
            session.show(&path, |answer: &Answer<ScopeAnswer>| super::stands(facts(&answer.body), answer.head, None))
        }
        Command::List { ipam, moment } => {
            let names = Names::new(session, moment.query());
            let ipam = ipam.map(|ipam| names.ipam(Some(&ipam))).transpose()?;
            let ipam = query([("ipam", ipam.map(|ipam| ipam.to_string()))]);
            let path = joined(&joined("/scopes", &moment.query()), &ipam);
            session.show(&session.path(&path)?, |answer: &Answer<Page<ScopeAnswer>>| {
                let mut listing = Listing::new(&[
                    "scope",
                    "name",
                    "kind",
                    "default",
                    ">pools",
                    ">allocations",
                    "description",
                    "tags",
                ]);
                for scope in &answer.body.items {
                    listing.row(
                        scope.scope,
                        [
                            scope.scope.to_string(),
                            or_dash(scope.name.clone()),
                            kind(scope),
                            is_default(scope),
                            scope.pool_count.to_string(),
                            scope.allocation_count.to_string(),
                            or_dash(scope.description.clone()),
                            or_dash(pairs(&scope.tags)),
                        ],
                    );
                }
                super::stands(listing, answer.head, answer.body.next.as_deref())
            })
        }
    }
}

fn facts(scope: &ScopeAnswer) -> Listing {
    Listing::of_one(
        scope.scope,
        [
            ("scope", Some(scope.scope.to_string())),
            ("name", scope.name.clone()),
            ("description", scope.description.clone()),
            ("ipam", Some(scope.ipam.to_string())),
            ("kind", Some(kind(scope))),
            ("default", Some(is_default(scope))),
            ("pools", Some(scope.pool_count.to_string())),
            ("allocations", Some(scope.allocation_count.to_string())),
            ("tags", pairs(&scope.tags)),
            ("created", Some(instant(scope.created.decided_at))),
            ("by", Some(super::by(&scope.created))),
            ("changed", Some(instant(scope.changed.decided_at))),
        ],
    )
}

fn kind(scope: &ScopeAnswer) -> String {
    match scope.kind {
        ScopeKind::Private => "private",
        ScopeKind::Public => "public",
    }
    .to_owned()
}

fn is_default(scope: &ScopeAnswer) -> String {
    if scope.is_default { "yes" } else { "no" }.to_owned()
}
