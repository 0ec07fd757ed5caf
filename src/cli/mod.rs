//! The `ipam` binary: flags, wiring, output for people and for programs.
//!
//! It speaks to a running server, or opens the ledger itself; what it asks and how it prints is the same.
//! Results go to stdout, explanations to stderr, and the exit code says how it ended: 0 accepted or answered, 1
//! rejected, 2 wrong use, 3 outcome unknown (repeat with the same command id), 4 no ledger to ask.

mod allocation;
mod arguments;
mod ask;
mod audit;
mod client;
mod failure;
pub mod import;
mod instance;
pub mod logging;
mod names;
pub mod node;
mod organization;
mod pool;
mod print;
mod raw;
mod resource;
mod result;
mod running;
mod scope;
mod serve;
mod session;
mod settings;
mod status;
mod topics;
mod upkeep;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::domain::command::{TagResource, UntagResource};
use crate::domain::id::CommandId;
use crate::views::answer::Stamp;
use crate::views::when::AnswerHead;
use arguments::{Tag, tags};
use failure::Failure;
use print::{Listing, instant};
use session::Session;
use settings::{InUse, Settings, Typed};

#[derive(Parser, Clone, Debug)]
#[command(
    name = "ipam",
    version,
    about = "An IP address manager whose truth is a log: every past moment answers",
    after_help = "Names, or paths of names such as eu/prod, stand wherever an id is wanted.

Examples:
  ipam use o-example --as 222222222222
  ipam allocate /24 --from eu/prod --for vpc-0a1b2c --reason 'checkout moves'
  CIDR=$(ipam allocate /24 --from eu/prod -q)
  ipam who 10.4.7.1 --at 2024-05-01
  ipam history 10.4.0.0/16 --as-of -3d

Exit codes: 0 accepted or answered, 1 rejected, 2 wrong use, 3 outcome unknown (repeat it with the same
--command-id), 4 no ledger to ask."
)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Clone, Debug)]
enum Command {
    /// Take a block from a pool
    #[command(after_help = "Examples:
  ipam allocate /24 --from eu/prod --for vpc-0a1b2c
  ipam allocate 10.4.7.0/24 --from eu/prod --description 'old data centre'
  CIDR=$(ipam allocate --from eu/prod -q)")]
    Allocate(Box<allocation::Allocate>),
    /// Give a block back; it is free at once
    Release(allocation::Release),
    /// Who holds an address, now or at any moment
    #[command(after_help = "Examples:\n  ipam who 10.4.7.1\n  ipam who 52.94.76.5 --at 2019-03-01")]
    Who(ask::Who),
    /// Everybody who ever held an address, or a block and what is in it
    #[command(after_help = "Examples:\n  ipam history 10.4.7.1\n  ipam history 10.4.0.0/16 --as-of rev:1234")]
    History(ask::History),
    /// Who shares addresses with whom in a scope
    Overlaps(ask::Overlaps),
    /// What appeared and vanished
    #[command(after_help = "Example:
  ipam changes --kind prefix --region eu-central-1 --from 2020-01-01 --until 2021-01-01")]
    Changes(ask::Changes),
    /// Pools
    #[command(subcommand)]
    Pool(Box<pool::Command>),
    /// Allocations
    #[command(subcommand)]
    Allocation(Box<allocation::Command>),
    /// Scopes: address spaces
    #[command(subcommand)]
    Scope(scope::Command),
    /// IPAMs themselves
    #[command(subcommand)]
    Instance(instance::Command),
    /// The organisation, its accounts, its administrator
    #[command(subcommand)]
    Org(organization::Command),
    /// What discovery sees: said by hand, and shown
    #[command(subcommand)]
    Resource(resource::Command),
    /// Set tags on anything that has an id or a name
    #[command(after_help = "Example:\n  ipam tag eu/prod stage=prod owner=checkout")]
    Tag {
        /// Id, name, path of names, or the block of an allocation
        object: String,
        #[arg(required = true, value_name = "KEY=VALUE")]
        tags: Vec<Tag>,
    },
    /// Remove tags by key
    Untag {
        /// Id, name, path of names, or the block of an allocation
        object: String,
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// The outcome of a command
    Outcome {
        #[arg(id = "outcome-of", value_name = "COMMAND_ID")]
        command_id: CommandId,
        /// How long to wait for it, in seconds: at most 30
        #[arg(long, value_name = "SECONDS")]
        wait: Option<u8>,
    },
    /// All outcomes of the organisation, in order
    #[command(after_help = "Examples:
  ipam events --from 1200
  ipam events --follow --output json")]
    Events(ask::Events),
    /// Where the ledger is, whether it answers, and how far its views are
    Status,
    /// Send a command as JSON, from a file or from stdin
    #[command(after_help = "Example:
  echo '{\"principal\": {\"account\": \"222222222222\"}, \"type\": \"RevokeAdmin\", \"payload\": {\"account\": \"222222222222\"}}' \\
    | ipam command --org o-example")]
    #[command(name = "command")]
    Raw(raw::Raw),
    /// Import a file of observed changes; repeating it is safe
    #[command(after_help = "Example:\n  ipam import data/aws-ranges-2017-2022.csv.gz")]
    Import(import::Import),
    /// Run the ledger and serve it over HTTP, until told to stop
    #[command(after_help = "Examples:
  ipam serve
  ipam serve --data /var/lib/ipam --listen 127.0.0.1:8080
  ipam serve --kafka kafka-1:9092,kafka-2:9092 --data /var/lib/ipam")]
    Serve(Box<serve::Serve>),
    /// The Kafka topics that a ledger needs
    #[command(subcommand)]
    Topics(topics::Command),
    /// Check every record of the log; export, sign and replay it
    #[command(subcommand)]
    Audit(audit::Audit),
    /// The views: derived from the log, and never worth a backup
    #[command(subcommand)]
    Views(upkeep::Views),
    /// Remember organisation and account for later commands
    Use {
        organization: Option<crate::domain::id::OrganizationId>,
        /// Forget both
        #[arg(long, conflicts_with = "organization")]
        forget: bool,
    },
    /// Print completions for a shell
    #[command(after_help = "Example:\n  ipam completion bash > ~/.local/share/bash-completion/completions/ipam")]
    Completion { shell: Shell },
}

/// Runs the program.
pub fn main() -> ExitCode {
    outlive_file_limits();
    let cli = parsed(std::env::args_os()).unwrap_or_else(|error| error.exit());
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print::explain(&format!("ipam: {failure}"));
            failure.exit_code()
        }
    }
}

/// The words of a command line, and which of its settings were typed.
fn parsed(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let matches = Cli::command().try_get_matches_from(words)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut Cli::command()))?;
    cli.settings.typed = Typed::of(&matches);
    Ok(cli)
}

/// A write beyond the limit on the sizes of files fails, as one on a full disk does; the signal that comes with it would
/// end the process, which could then tell nobody.
fn outlive_file_limits() {
    // Nothing to do when it comes, and nobody to tell where it cannot be handled.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { mut settings, command } = cli;
    settings.name_one_ledger()?;
    match command {
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "ipam", &mut script);
            print::result(String::from_utf8_lossy(&script).trim_end());
            Ok(())
        }
        Command::Use { organization, forget } => remember(organization, forget, &settings),
        Command::Serve(ask) => serve::run(&ask, &settings.data_directory()?),
        Command::Topics(command) => topics::run(&command),
        Command::Audit(command) => audit::run(command, settings),
        Command::Views(command) => upkeep::views(&command, &settings),
        command => ask(command, Session::new(settings)?),
    }
}

fn ask(command: Command, session: Session) -> Result<(), Failure> {
    match command {
        Command::Allocate(ask) => allocation::allocate(*ask, &session),
        Command::Release(ask) => allocation::release(&ask, &session),
        Command::Who(ask) => ask::who(&ask, &session),
        Command::History(ask) => ask::history(&ask, &session),
        Command::Overlaps(ask) => ask::overlaps(&ask, &session),
        Command::Changes(ask) => ask::changes(&ask, &session),
        Command::Pool(command) => pool::run(*command, &session),
        Command::Allocation(command) => allocation::run(*command, &session),
        Command::Scope(command) => scope::run(command, &session),
        Command::Instance(command) => instance::run(command, &session),
        Command::Org(command) => organization::run(command, session),
        Command::Resource(command) => resource::run(command, &session),
        Command::Tag { object, tags: given } => {
            session.send(|names| Ok(TagResource { resource: names.object(&object)?, tags: tags(given) }.into()))
        }
        Command::Untag { object, keys } => {
            session.send(|names| Ok(UntagResource { resource: names.object(&object)?, keys }.into()))
        }
        Command::Outcome { command_id, wait } => ask::outcome(command_id, wait, &session),
        Command::Events(ask) => ask::events(&ask, &session),
        Command::Status => status::run(&session),
        Command::Raw(raw) => raw::run(&raw, session),
        Command::Import(ask) => import::run(&ask, &session),
        Command::Use { .. }
        | Command::Completion { .. }
        | Command::Serve(_)
        | Command::Topics(_)
        | Command::Audit(_)
        | Command::Views(_) => Ok(()),
    }
}

/// A command that asks the ledger, from its words; what the outer command was told goes for it, too.
fn question(words: Vec<String>, outer: Settings) -> Result<(Settings, Command), Failure> {
    let words = std::iter::once("ipam".to_owned()).chain(words).map(OsString::from);
    let Cli { settings: inner, command } = parsed(words).map_err(|error| Failure::usage(error.to_string().trim()))?;
    if inner.typed.data || inner.typed.url {
        return Err(Failure::usage("the question is put to what was replayed: name the log before `--`"));
    }
    if matches!(
        command,
        Command::Use { .. }
            | Command::Completion { .. }
            | Command::Serve(_)
            | Command::Topics(_)
            | Command::Audit(_)
            | Command::Views(_)
            | Command::Import(_)
            | Command::Raw(_)
            | Command::Status
    ) {
        return Err(Failure::usage("that asks the ledger nothing; ask, for example: pool tree, who 10.0.0.1"));
    }
    // What the question took from the environment, the outer command took from there, too, unless it was told otherwise.
    let settings = Settings {
        org: if inner.typed.org { inner.org } else { outer.org },
        account: if inner.typed.account { inner.account } else { outer.account },
        output: if inner.output == settings::Format::Json { inner.output } else { outer.output },
        quiet: inner.quiet || outer.quiet,
        ..outer
    };
    Ok((settings, command))
}

fn remember(
    organization: Option<crate::domain::id::OrganizationId>,
    forget: bool,
    settings: &Settings,
) -> Result<(), Failure> {
    let before = InUse::read()?;
    if forget || organization.is_some() {
        // Another organisation has other accounts.
        let kept = before.account.filter(|_| organization == before.organization);
        let after = if forget { InUse::default() } else { InUse { account: settings.account.or(kept), organization } };
        let path = after.write()?;
        print::explain(&format!("remembered in {}", path.display()));
        show_in_use(&after);
    } else {
        show_in_use(&before);
    }
    Ok(())
}

fn show_in_use(in_use: &InUse) {
    print::result(&format!(
        "organization {}\naccount {}",
        print::or_dash(in_use.organization.clone()),
        print::or_dash(in_use.account)
    ));
}

/// Where an answer stands, for people.
fn stand(head: AnswerHead) -> String {
    format!("as of revision {}, {}", head.revision, instant(head.decided_at))
}

/// Adds where an answer stands, and how to get the rest of it.
fn stands(mut listing: Listing, head: AnswerHead, next: Option<&str>) -> Listing {
    if let Some(next) = next {
        listing.note(more(next));
    }
    listing.note(stand(head));
    listing
}

fn more(next: &str) -> String {
    format!("there is more: --after {next}")
}

/// Who asked for something.
fn by(stamp: &Stamp) -> String {
    stamp.name.as_ref().map_or_else(|| stamp.account.to_string(), |name| format!("{} {name}", stamp.account))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_examples_of_the_help_can_be_typed() {
        fn examples(command: &clap::Command, found: &mut Vec<String>) {
            if let Some(help) = command.get_after_help() {
                let help = help.to_string();
                let lines = help.lines().map(str::trim);
                found.extend(lines.filter(|line| line.starts_with("ipam ")).map(str::to_owned));
            }
            command.get_subcommands().for_each(|one| examples(one, found));
        }
        let mut found = Vec::new();
        examples(&Cli::command(), &mut found);
        assert!(found.len() >= 12, "{found:?}");
        for line in found {
            let typed = line.split(" > ").next().unwrap_or_default().replace('\'', "");
            // Words in quotes hold blanks; a word less or more of a free text changes nothing here.
            let words = typed.split(' ').filter(|word| !matches!(*word, "moves" | "data" | "centre"));
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{line}\n{error}");
            }
        }
    }

    /// clap merges arguments of one id without a word: a subcommand's `account` would become the asking account.
    #[test]
    fn no_argument_of_a_subcommand_is_taken_for_a_common_option() {
        fn ids(command: &clap::Command) -> Vec<(String, bool)> {
            command.get_arguments().map(|one| (one.get_id().to_string(), one.is_global_set())).collect()
        }
        fn check(command: &clap::Command, common: &[String]) {
            for (id, _) in ids(command) {
                assert!(!common.contains(&id), "`{}` has an argument `{id}` of its own", command.get_name());
            }
            command.get_subcommands().for_each(|one| check(one, common));
        }
        // Not built yet: the common options stand at the top only.
        let command = Cli::command();
        let common: Vec<_> = ids(&command).into_iter().filter(|(_, global)| *global).map(|(id, _)| id).collect();
        assert!(common.len() >= 10, "{common:?}");
        command.get_subcommands().for_each(|one| check(one, &common));
        // And so it is when they are parsed.
        for account in ["org add-account", "org remove-account", "org delegate-admin", "org revoke-admin"] {
            let line = format!("ipam --as 111111111111 {account} 222222222222");
            let cli = Cli::try_parse_from(line.split(' ')).expect(&line);
            assert_eq!(cli.settings.account.map(|account| account.to_string()).as_deref(), Some("111111111111"));
        }
        let line = "ipam allocate /24 --from eu --for vpc-1 --account 222222222222 --as 111111111111";
        let cli = Cli::try_parse_from(line.split(' ')).expect(line);
        assert_eq!(cli.settings.account.map(|account| account.to_string()).as_deref(), Some("111111111111"));
    }

    #[test]
    fn times_before_now_are_no_flags() {
        for line in ["ipam who 10.0.0.1 --at -3d", "ipam changes --from -2w --until -1d --as-of rev:7"] {
            Cli::try_parse_from(line.split(' ')).expect(line);
        }
        for line in ["ipam allocate 10.0.0.1/8 --from eu", "ipam who 10.0.0.0/8", "ipam allocate /24", "ipam tag eu"] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
