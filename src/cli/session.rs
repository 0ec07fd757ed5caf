//! One run of the program: whom it asks, in whose name, and how commands and queries go out and come back.

use std::path::Path;
use std::sync::OnceLock;

use axum::http::Method;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;

use super::arguments::query;
use super::client::{Client, NoReply, Reply};
use super::failure::Failure;
use super::names::Names;
use super::node;
use super::print::{self, Listing};
use super::result;
use super::running::{self, Running};
use super::settings::{Format, InUse, Settings, data_directory_default};
use crate::api::{DEFAULT_URL, Problem};
use crate::domain::command::{CommandBody, Principal, Proof};
use crate::domain::id::{AccountId, CommandId, OrganizationId};
use crate::domain::outcome::Outcome;

/// Settings, and the ledger once it was needed.
#[derive(Debug)]
pub struct Session {
    pub settings: Settings,
    in_use: InUse,
    client: OnceLock<Client>,
    /// The ledger is one of the past: it takes no commands.
    past: bool,
}

impl Session {
    /// # Errors
    /// When what `ipam use` stored cannot be read.
    pub fn new(settings: Settings) -> Result<Self, Failure> {
        Ok(Self { settings, in_use: InUse::read()?, client: OnceLock::new(), past: false })
    }

    /// The same, of a ledger as it was.
    #[must_use]
    pub fn of_the_past(self, client: Client) -> Self {
        Self { client: OnceLock::from(client), past: true, ..self }
    }

    /// Whose ledger it is.
    ///
    /// # Errors
    /// When nobody said.
    pub fn organization(&self) -> Result<OrganizationId, Failure> {
        let known = self.settings.org.clone().or_else(|| self.in_use.organization.clone());
        known.ok_or_else(|| {
            Failure::usage("which organisation? Say --org o-…, set IPAM_ORG, or remember it: ipam use o-… --as ACCOUNT")
        })
    }

    /// In whose name commands are sent.
    ///
    /// # Errors
    /// When nobody said.
    pub fn account(&self) -> Result<AccountId, Failure> {
        let lone = || self.organization().ok()?.lone_account();
        let known = self.settings.account.or(self.in_use.account).or_else(lone);
        known.ok_or_else(|| {
            Failure::usage(
                "as which account? Say --as ACCOUNT, set IPAM_ACCOUNT, or remember it: ipam use o-… --as ACCOUNT",
            )
        })
    }

    /// The path below the organisation.
    ///
    /// # Errors
    /// When nobody said which organisation.
    pub fn path(&self, rest: &str) -> Result<String, Failure> {
        Ok(format!("/v1/organizations/{}{rest}", self.organization()?))
    }

    /// A client that may send commands. Must be asked for before the first query of a command that writes.
    ///
    /// # Errors
    /// When there is no ledger.
    pub fn writing(&self) -> Result<&Client, Failure> {
        if self.past {
            return Err(Failure::usage("the past takes no commands: ask it a question, such as pool tree"));
        }
        self.client(false)
    }

    /// # Errors
    /// When there is no ledger.
    pub fn reading(&self) -> Result<&Client, Failure> {
        self.client(true)
    }

    fn client(&self, read_only: bool) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = self.connect(read_only)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// The server that was named; else the directory that was named; else a server where one runs by
    /// default; else the default directory. A directory that a server runs on means that server.
    fn connect(&self, read_only: bool) -> Result<Client, Failure> {
        if let Some(url) = &self.settings.url {
            if !url.starts_with("http://") {
                return Err(Failure::usage(format!("{url} is not the URL of a server: it begins with http://")));
            }
            return Ok(Client::remote(url));
        }
        let directory = match &self.settings.data {
            Some(directory) => directory.clone(),
            None => {
                let server = Client::remote(DEFAULT_URL);
                if server.request(&Method::GET, "/healthz", None).is_ok_and(|reply| reply.status == 200) {
                    return Ok(server);
                }
                data_directory_default().ok_or_else(|| {
                    Failure::Unreachable(format!("no server at {DEFAULT_URL}, and no --data directory was named"))
                })?
            }
        };
        if let Some(server) = server_of(&directory)? {
            return Ok(server);
        }
        if read_only && !directory.exists() {
            return Err(Failure::Unreachable(format!(
                "no server at {DEFAULT_URL}, and no ledger in {}; start one with `ipam serve`, or name it with --url or --data",
                directory.display()
            )));
        }
        let shown = directory.display();
        let new = !node::holds_embedded(&directory);
        let client =
            Client::open(&directory, read_only).map_err(|why| Failure::Unreachable(format!("{shown}: {why}")))?;
        // Whoever mistyped a name is told so.
        if new && !self.settings.quiet {
            print::explain(&format!("made a new ledger in {shown}"));
        }
        Ok(client)
    }

    /// Sends the command that `body` makes, once names are resolved, and prints its outcome.
    ///
    /// A repeated command must be the same one, and what it named may be gone, renamed or another's by now: its names mean
    /// what they meant just before it was decided.
    ///
    /// # Errors
    /// Unless it was accepted.
    pub fn send(&self, body: impl FnOnce(&Names<'_>) -> Result<CommandBody, Failure>) -> Result<(), Failure> {
        self.writing()?;
        // Where it cannot be asked now, the ledger tells all the same whether the command is the one that was decided.
        let decided = self.settings.command_id.and_then(|id| self.outcome_of(id, 0).ok().flatten());
        let before =
            decided.as_ref().and_then(|outcome| outcome.revision?.0.checked_sub(1)).filter(|&before| before > 0);
        let moment = query([("as_of", before.map(|before| format!("rev:{before}")))]);
        let body = body(&Names::new(self, moment)).map_err(|failure| match (decided, failure) {
            (Some(Outcome { command_id, command_type, revision, .. }), Failure::Usage(why)) => {
                Failure::RejectedHere(format!(
                    "the command id {command_id} was used for another command, {command_type} at revision {}, before which \
                     what this one names was not there: {why}",
                    print::or_dash(revision)
                ))
            }
            (_, failure) => failure,
        })?;
        self.send_as(self.account()?, &body)
    }

    /// The outcome of a command, as far as it is known here within so many seconds: at most 30.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn outcome_of(&self, id: CommandId, wait_seconds: u8) -> Result<Option<Outcome>, Failure> {
        let reply = self.get(&self.path(&format!("/outcomes/{id}?wait_seconds={wait_seconds}"))?)?;
        match reply.status {
            200 => read(&reply.body).map(Some),
            404 => Ok(None),
            _ => Err(Failure::of_query(problem(&reply))),
        }
    }

    /// The same, in the name of another account than the usual one.
    ///
    /// # Errors
    /// Unless it was accepted.
    pub fn send_as(&self, account: AccountId, body: &CommandBody) -> Result<(), Failure> {
        let organization = self.organization()?;
        let id = self.settings.command_id.unwrap_or_else(Uuid::now_v7);
        let principal = Principal { account, name: self.settings.by.clone(), proof: Proof::None };
        let mut command = serde_json::to_value(body).map_err(|error| Failure::usage(error.to_string()))?;
        let envelope = json!({
            "command_id": id, "organization": organization, "principal": principal,
            "if_revision": self.settings.if_revision, "reason": self.settings.reason,
        });
        if let (Some(command), Some(envelope)) = (command.as_object_mut(), envelope.as_object()) {
            command.extend(
                envelope
                    .iter()
                    .filter(|(_, value)| !value.is_null())
                    .map(|(name, value)| (name.clone(), value.clone())),
            );
        }
        self.send_json(id, command.to_string().into_bytes())
    }

    /// Sends a command as it is, and prints its outcome.
    ///
    /// # Errors
    /// Unless it was accepted.
    pub fn send_json(&self, id: CommandId, command: Vec<u8>) -> Result<(), Failure> {
        if !self.settings.quiet {
            print::explain(&format!("command {id}"));
        }
        let reply = self.writing()?.request(&Method::POST, &self.path("/commands")?, Some(command)).map_err(|no| {
            if no.sent {
                Failure::Unknown(format!("{}; repeat it with --command-id {id}: it has one effect", no.why))
            } else {
                Failure::Unreachable(no.why)
            }
        })?;
        if reply.status != 200 {
            if self.settings.output == Format::Json {
                print::result(&pretty(&reply.body));
            }
            return Err(match Failure::of_command(problem(&reply)) {
                Failure::Unknown(why) => Failure::Unknown(format!("{why} (--command-id {id})")),
                other => other,
            });
        }
        let outcome: Outcome = read(&reply.body)?;
        self.await_views(&outcome);
        if self.settings.output == Format::Json {
            print::result(&pretty(&reply.body));
            return Ok(());
        }
        let mut listing = result::listing(&outcome);
        if reply.repeated {
            listing.note("decided before: this is the original answer");
        }
        self.print(&listing);
        Ok(())
    }

    /// So that the next run sees what this one did. The command is accepted whatever becomes of this.
    fn await_views(&self, outcome: &Outcome) {
        if let (Some(revision), Ok(path), Ok(client)) = (outcome.revision, self.path(""), self.writing()) {
            drop(client.request(&Method::GET, &format!("{path}?at_least={revision}&wait_seconds=10"), None));
        }
    }

    /// Asks and prints.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn show<T: DeserializeOwned>(&self, path: &str, listing: impl FnOnce(&T) -> Listing) -> Result<(), Failure> {
        let body = self.ask_bytes(path)?;
        if self.settings.output == Format::Json {
            print::result(&pretty(&body));
        } else {
            self.print(&listing(&read(&body)?));
        }
        Ok(())
    }

    /// Asks.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        read(&self.ask_bytes(path)?)
    }

    fn ask_bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let reply = self.get(path)?;
        if reply.status == 200 { Ok(reply.body) } else { Err(self.refused(&reply)) }
    }

    /// The answer to a question, whatever it is.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, path: &str) -> Result<Reply, Failure> {
        self.reading()?.request(&Method::GET, path, None).map_err(|no| Failure::Unreachable(no.why))
    }

    /// What an answer means that is not the one to the question: programs are given it whole.
    pub fn refused(&self, reply: &Reply) -> Failure {
        if self.settings.output == Format::Json {
            print::result(&pretty(&reply.body));
        }
        Failure::of_query(problem(reply))
    }

    pub fn print(&self, listing: &Listing) {
        if self.settings.quiet {
            if !listing.results.is_empty() {
                print::result(&listing.results.join("\n"));
            }
            return;
        }
        let text = listing.text();
        if !text.is_empty() {
            print::result(&text);
        }
        for note in &listing.notes {
            print::explain(note);
        }
    }
}

/// The server that runs on a directory, if any.
fn server_of(directory: &Path) -> Result<Option<Client>, Failure> {
    let shown = directory.display();
    let running = running::find(directory).map_err(|error| {
        Failure::Unreachable(format!(
            "a server runs on {shown}, but does not say where it listens ({error}): use --url"
        ))
    })?;
    let Some(Running { url, pid }) = running else { return Ok(None) };
    let server = Client::remote(&url);
    match server.request(&Method::GET, "/healthz", None) {
        Ok(_) => Ok(Some(server)),
        Err(NoReply { why, .. }) => Err(Failure::Unreachable(format!(
            "process {pid} runs on {shown} and says that it listens on {url}, but does not answer there: {why}; \
             ask it elsewhere with --url, or stop it"
        ))),
    }
}

/// The problem that an answer is, whatever answered.
pub fn problem(reply: &Reply) -> Problem {
    serde_json::from_slice(&reply.body).unwrap_or_else(|_| {
        let status = axum::http::StatusCode::from_u16(reply.status).unwrap_or(axum::http::StatusCode::BAD_GATEWAY);
        Problem::new(status, "NotThisServer", format!("the server answered {status}, but not as `ipam serve` does"))
    })
}

pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        Failure::Unreachable(format!("the answer cannot be read ({error}); is the server of another version?"))
    })
}

fn pretty(body: &[u8]) -> String {
    serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|value| serde_json::to_string_pretty(&value).ok())
        .unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}
