//! `ipam scope …`: address spaces.

use clap::Subcommand;

use super::arguments::{Moment, Tag, change, tags};
use super::failure::Failure;
use super::names::joined;
use super::print::{Listing, or_dash, pairs};
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
        Command::List { moment } => {
            let path = joined("/scopes", &moment.query());
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
                    let kind = match scope.kind {
                        ScopeKind::Private => "private",
                        ScopeKind::Public => "public",
                    };
                    listing.row(
                        scope.scope,
                        [
                            scope.scope.to_string(),
                            or_dash(scope.name.clone()),
                            kind.to_owned(),
                            if scope.is_default { "yes" } else { "no" }.to_owned(),
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
