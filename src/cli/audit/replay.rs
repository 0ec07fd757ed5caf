//! `ipam audit replay`: folds the log up to a moment into views of its own, and puts a question to them.

use std::sync::Arc;

use axum::http::Method;
use clap::Args;
use serde::Deserialize;

use super::{open_log, unreachable};
use crate::audit::replay::{Past, PastError, Until};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::node::KafkaFlags;
use crate::cli::session::{Session, read};
use crate::cli::settings::Settings;
use crate::domain::id::Revision;
use crate::domain::time::Timestamp;
use crate::log::record::{Offset, Partition};
use crate::views::when::{AnswerHead, AsOf, WhenError, parse_as_of};

#[derive(Args, Clone, Debug)]
pub struct Replay {
    /// The last that is replayed: an instant, a date (its end), how long ago (-3d), a revision (rev:1234), or a
    /// position (PARTITION:OFFSET)
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    until: String,
    #[command(flatten)]
    kafka: KafkaFlags,
    /// What is asked: any command that only reads, without `ipam`
    #[arg(last = true, required = true, value_name = "QUESTION")]
    question: Vec<String>,
}

/// # Errors
/// When the log cannot be read, there is no such moment, or the question has no answer.
pub fn run(ask: Replay, settings: Settings) -> Result<(), Failure> {
    let (settings, question) = super::super::question(ask.question, settings)?;
    let until = until(&ask.until)?;
    let log = open_log(&ask.kafka, &settings)?;
    let session = Session::new(settings)?;
    let organization = session.organization()?;
    let past = Past::new(log, organization, until).map_err(|error| match error {
        PastError::Log(error) => unreachable(error),
        PastError::OtherPartition { .. } | PastError::Ahead { .. } => Failure::usage(error.to_string()),
    })?;
    let views = tempfile::Builder::new().prefix("ipam-replay-").tempdir().map_err(unreachable)?;
    let client = Client::open_past(views.path(), Arc::new(past)).map_err(Failure::Unreachable)?;
    if let Until::Revision(asked) = until {
        is_there(&client, &session.path("")?, asked)?;
    }
    super::super::ask(question, session.of_the_past(client))
}

fn until(text: &str) -> Result<Until, Failure> {
    if let Some((partition, offset)) = text.split_once(':')
        && let (Ok(partition), Ok(offset)) = (partition.parse(), offset.parse())
    {
        return Ok(Until::Position(Partition(partition), Offset(offset)));
    }
    let now = Timestamp::from(chrono::Utc::now());
    match parse_as_of(text, now) {
        Ok(AsOf::Instant(instant)) => Ok(Until::Instant(instant)),
        Ok(AsOf::Revision(revision)) => Ok(Until::Revision(revision)),
        Err(WhenError::FutureAsOf { asked, now }) => Err(Failure::usage(format!(
            "--until {asked} is in the future (now is {now}); --until now replays all that is there"
        ))),
        Err(error) => Err(Failure::usage(format!("--until: {error}; or PARTITION:OFFSET"))),
    }
}

/// Refuses revisions that are still to come. What else is wrong, the question's own answer says.
fn is_there(client: &Client, path: &str, asked: Revision) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Headed {
        #[serde(flatten)]
        head: AnswerHead,
    }
    let reply = client.request(&Method::GET, path, None).map_err(|no| Failure::Unreachable(no.why))?;
    if reply.status != 200 {
        return Ok(());
    }
    let ends = read::<Headed>(&reply.body)?.head.revision;
    if ends < asked {
        return Err(Failure::usage(format!("--until rev:{asked}: the history ends at revision {ends}")));
    }
    Ok(())
}
