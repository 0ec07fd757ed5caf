//! What a run of the program works with: flags, then environment variables, then what `ipam use` stored.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use crate::domain::id::{AccountId, CommandId, OrganizationId, Revision};

/// Flags that every command takes.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// The organisation, or a lone account
    #[arg(long, global = true, env = "IPAM_ORG", value_name = "ORG", help_heading = "Common options")]
    pub org: Option<OrganizationId>,
    /// The account that asks
    #[arg(
        id = "asking_account",
        long = "as",
        global = true,
        env = "IPAM_ACCOUNT",
        value_name = "ACCOUNT",
        help_heading = "Common options"
    )]
    pub account: Option<AccountId>,
    /// Who in the account asks: a name for people who read the history
    #[arg(long, global = true, env = "IPAM_BY", value_name = "NAME", help_heading = "Common options")]
    pub by: Option<String>,
    /// A running server [default: <http://127.0.0.1:4726> where one runs]; in the environment it goes before `IPAM_DATA`
    #[arg(long, global = true, env = "IPAM_URL", help_heading = "Common options")]
    pub url: Option<String>,
    /// A data directory: the server that runs on it is asked, or it is opened where none runs. Goes before `IPAM_URL`
    #[arg(long, global = true, env = "IPAM_DATA", value_name = "DIRECTORY", help_heading = "Common options")]
    pub data: Option<PathBuf>,
    /// How answers are printed
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Common options")]
    pub output: Format,
    /// Print just the result, and explain nothing
    #[arg(short, long, global = true, help_heading = "Common options")]
    pub quiet: bool,
    /// The id of the command: sent again with the same id it has one effect
    #[arg(long, global = true, value_name = "UUID", help_heading = "Options of commands that change something")]
    pub command_id: Option<CommandId>,
    /// Only if what the command names has not changed after this revision
    #[arg(long, global = true, value_name = "REVISION", value_parser = revision, help_heading = "Options of commands that change something")]
    pub if_revision: Option<Revision>,
    /// Why, for people who read the history
    #[arg(long, global = true, value_name = "TEXT", help_heading = "Options of commands that change something")]
    pub reason: Option<String>,
    #[arg(skip)]
    pub typed: Typed,
}

/// Which settings were typed: those beat the environment, whatever stands there.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Typed {
    pub org: bool,
    pub account: bool,
    pub by: bool,
    pub url: bool,
    pub data: bool,
}

impl Typed {
    pub fn of(matches: &ArgMatches) -> Self {
        let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        Self {
            org: typed("org"),
            account: typed("asking_account"),
            by: typed("by"),
            url: typed("url"),
            data: typed("data"),
        }
    }
}

impl Settings {
    /// Takes one ledger where two are named: what was typed goes before the environment. Of two that are in the environment,
    /// the server is asked.
    ///
    /// # Errors
    /// When two were typed.
    pub fn name_one_ledger(&mut self) -> Result<(), Failure> {
        match (self.typed.data, self.typed.url) {
            (true, true) => Err(Failure::usage(
                "--data and --url name two ledgers: leave out --url to ask the one in the directory (or the server that runs \
                 on it), or --data to ask the server",
            )),
            (true, false) => {
                self.url = None;
                Ok(())
            }
            (false, _) => Ok(()),
        }
    }

    /// The data directory that was named, or the default one.
    ///
    /// # Errors
    /// When there is neither.
    pub fn data_directory(&self) -> Result<PathBuf, Failure> {
        self.data.clone().or_else(data_directory_default).ok_or_else(|| {
            Failure::usage("which data directory? Say --data DIRECTORY or set IPAM_DATA: HOME is not set")
        })
    }
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// For programs: the server's answer
    Json,
}

pub fn revision(text: &str) -> Result<Revision, String> {
    let number = text.strip_prefix("rev:").unwrap_or(text);
    number.parse().map(Revision).map_err(|_| "a revision is a number such as 1234".to_owned())
}

/// What `ipam use` stores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InUse {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
}

impl InUse {
    /// Reads the file; nothing is in use when there is none.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read() -> Result<Self, Failure> {
        let Some(path) = Self::path() else { return Ok(Self::default()) };
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| Failure::usage(format!("{} cannot be read: {error}; delete it", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Failure::usage(format!("{} cannot be read: {error}", path.display()))),
        }
    }

    /// Writes the file and says where.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self) -> Result<PathBuf, Failure> {
        let path = Self::path()
            .ok_or_else(|| Failure::usage("neither XDG_CONFIG_HOME nor HOME is set: there is no place to remember"))?;
        let failed = |error: std::io::Error| Failure::usage(format!("{} cannot be written: {error}", path.display()));
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        let text = serde_json::to_vec_pretty(self).expect("two ids can be written");
        std::fs::write(&path, text).map_err(failed)?;
        Ok(path)
    }

    fn path() -> Option<PathBuf> {
        Some(home("XDG_CONFIG_HOME", ".config")?.join("ipam").join("use.json"))
    }
}

/// Where the ledger lives when nobody says: `$XDG_DATA_HOME/ipam`, or `~/.local/share/ipam`.
pub fn data_directory_default() -> Option<PathBuf> {
    Some(home("XDG_DATA_HOME", ".local/share")?.join("ipam"))
}

fn home(variable: &str, below_home: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set(variable).or_else(|| Some(set("HOME")?.join(below_home)))
}
