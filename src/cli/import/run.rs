//! Sending a file: batches of commands, several in flight, and a count of what became of them.
//!
//! The order of observations plays no part (design D15), so batches may overtake each other. Nothing is remembered between runs:
//! a repeated row is a repeated command, and the ledger knows those. A row whose id stands for an accepted command is known, even if
//! that was another command (of another account, or with the source that rows had once): what it says was said.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::Method;
use clap::Args;
use crossbeam_channel::{Receiver, Sender, bounded};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::file;
use super::intervals::Intervals;
use super::rows::{self, Row, SOURCE};
use crate::api::{BatchAnswer, Problem};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::print::{explain, result};
use crate::cli::session::{Session, problem, read};
use crate::cli::settings::Format;
use crate::domain::command::{Principal, Proof};
use crate::domain::outcome::{Decision, Outcome};
use crate::domain::rejection::Code;
use crate::views::lineage::answers::ChangesAnswer;

/// Commands in one request.
const BATCH_COMMANDS: usize = 500;
/// Requests in flight.
const BATCHES_IN_FLIGHT: usize = 4;
/// How often the views are asked whether they have caught up, each time for 30 s.
const AWAIT_VIEWS_ASKED_MAX: u32 = 10;
/// How long an outcome that is in the log is waited for.
const OUTCOME_WAIT_SECONDS: u8 = 10;
/// Rejections that are shown one by one.
const REJECTIONS_SHOWN: u64 = 10;

#[derive(Args, Clone, Debug)]
pub struct Import {
    #[arg(
        help = "csv, gzipped or not: observed_at, change (appeared, vanished), cidr, region, service, network_border_group"
    )]
    file: PathBuf,
    /// Read and count, send nothing
    #[arg(long)]
    dry_run: bool,
}

/// What became of the rows.
#[derive(Debug, Default)]
struct Counts {
    read: AtomicU64,
    new: AtomicU64,
    known: AtomicU64,
    rejected: AtomicU64,
    /// The latest revision among the answers: what the count of intervals waits for.
    revision: AtomicU64,
}

/// Imports a file.
///
/// # Errors
/// When the file cannot be read, there is no ledger, or rows were rejected.
pub fn run(ask: &Import, session: &Session) -> Result<(), Failure> {
    let settings = &session.settings;
    if settings.command_id.is_some() || settings.if_revision.is_some() {
        return Err(Failure::usage(
            "leave out --command-id and --if-revision: each row is a command with an id of its own",
        ));
    }
    let failed = |error: std::io::Error| Failure::usage(format!("{}: {error}", ask.file.display()));
    let (file, bytes) = file::open(&ask.file).map_err(failed)?;
    let bar = progress(bytes, session.settings.quiet);
    let input = file::decompressed(bar.wrap_read(file)).map_err(failed)?;
    if ask.dry_run {
        return dry_run(input, &bar, session);
    }
    let counts = Counts::default();
    send(input, &reason(ask, session), session, &counts, &bar)?;
    bar.finish_and_clear();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let intervals = intervals(session, count(&counts.revision))?;
    let (read, new) = (count(&counts.read), count(&counts.new));
    let (known, rejected) = (count(&counts.known), count(&counts.rejected));
    if session.settings.output == Format::Json {
        let line =
            json!({"read": read, "new": new, "already_known": known, "rejected": rejected, "intervals": intervals});
        result(&line.to_string());
    } else {
        result(&format!("{read} read, {new} new, {known} already known, {rejected} rejected, {intervals} intervals"));
    }
    if rejected > 0 { Err(Failure::RejectedHere(format!("{rejected} of {read} rows"))) } else { Ok(()) }
}

/// Why the rows are in the ledger. It is no part of what makes a command the same one, so it may name the file.
fn reason(ask: &Import, session: &Session) -> String {
    let file = || ask.file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    session.settings.reason.clone().unwrap_or_else(|| format!("imported from {}", file()))
}

fn progress(bytes: u64, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}  {elapsed}, {eta} left");
    bar.set_style(style.expect("the template is well formed"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn dry_run(input: impl Read, bar: &ProgressBar, session: &Session) -> Result<(), Failure> {
    let mut intervals = Intervals::default();
    let mut read = 0_u64;
    for row in rows::read(input) {
        intervals.add(&row.map_err(|error| Failure::usage(error.to_string()))?);
        read += 1;
    }
    bar.finish_and_clear();
    let (resources, intervals) = (intervals.resources(), intervals.count());
    if session.settings.output == Format::Json {
        result(&json!({"read": read, "resources": resources, "intervals": intervals, "sent": 0}).to_string());
    } else {
        result(&format!("{read} read, {resources} resources, {intervals} intervals; nothing was sent"));
    }
    Ok(())
}

/// Reads here, sends on other threads. The first failure stops all.
fn send(input: impl Read, reason: &str, session: &Session, counts: &Counts, bar: &ProgressBar) -> Result<(), Failure> {
    let path = session.path("/commands:batch")?;
    let principal = Principal { account: session.account()?, name: session.settings.by.clone(), proof: Proof::None };
    let client = session.writing()?;
    let (batches, waiting) = bounded::<Vec<u8>>(BATCHES_IN_FLIGHT);
    let failure = Mutex::new(None);
    let stop = AtomicBool::new(false);
    let all_read = std::thread::scope(|scope| {
        for _ in 0..BATCHES_IN_FLIGHT {
            let (waiting, path) = (waiting.clone(), path.as_str());
            let (failure, stop) = (&failure, &stop);
            scope.spawn(move || {
                if let Err(error) = send_batches(session, client, path, &waiting, counts, bar) {
                    stop.store(true, Ordering::Relaxed);
                    if let Ok(mut first) = failure.lock() {
                        first.get_or_insert(error);
                    }
                    // So that the reader is not left waiting for room.
                    waiting.iter().for_each(drop);
                }
            });
        }
        drop(waiting);
        read_batches(input, reason, &principal, counts, batches, &stop)
    });
    match failure.into_inner() {
        Ok(None) => all_read,
        Ok(Some(failure)) => Err(failure),
        Err(_) => Err(Failure::Unknown(
            "a thread ended early; repeat the import: rows already sent have no effect".to_owned(),
        )),
    }
}

fn read_batches(
    input: impl Read,
    reason: &str,
    principal: &Principal,
    counts: &Counts,
    batches: Sender<Vec<u8>>,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let mut batch = Vec::with_capacity(BATCH_COMMANDS);
    // Owned: when it goes, the senders have all there is and end.
    let send = move |batch: &mut Vec<serde_json::Value>| {
        if batch.is_empty() {
            return;
        }
        let body = serde_json::to_vec(&std::mem::take(batch)).expect("JSON values can be written");
        // It fails when every sender is gone, and then there is a failure to report.
        drop(batches.send(body));
    };
    for row in rows::read(input) {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let row = match row {
            Ok(row) => row,
            Err(error) if counts.read.load(Ordering::Relaxed) == 0 => return Err(Failure::usage(error.to_string())),
            Err(error) => {
                send(&mut batch);
                return Err(Failure::usage(format!("{error}; the rows before it were sent")));
            }
        };
        counts.read.fetch_add(1, Ordering::Relaxed);
        batch.push(command(&row, reason, principal)?);
        if batch.len() == BATCH_COMMANDS {
            send(&mut batch);
        }
    }
    send(&mut batch);
    Ok(())
}

fn command(row: &Row, reason: &str, principal: &Principal) -> Result<serde_json::Value, Failure> {
    let failed = |error: serde_json::Error| Failure::usage(error.to_string());
    let mut command = serde_json::to_value(row.command(SOURCE)).map_err(failed)?;
    if let Some(members) = command.as_object_mut() {
        members.insert("command_id".to_owned(), json!(row.command_id()));
        members.insert("principal".to_owned(), serde_json::to_value(principal).map_err(failed)?);
        members.insert("reason".to_owned(), json!(reason));
    }
    Ok(command)
}

fn send_batches(
    session: &Session,
    client: &Client,
    path: &str,
    waiting: &Receiver<Vec<u8>>,
    counts: &Counts,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    for batch in waiting {
        let reply = client.request(&Method::POST, path, Some(batch)).map_err(|no| {
            let again = "repeat the import: rows already sent have no effect";
            if no.sent { Failure::Unknown(format!("{}; {again}", no.why)) } else { Failure::Unreachable(no.why) }
        })?;
        if reply.status != 200 {
            return Err(Failure::of_command(problem(&reply)));
        }
        for answer in read::<Vec<BatchAnswer>>(&reply.body)? {
            count(answer, session, counts, bar)?;
        }
        let so_far = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        bar.set_message(format!("{} new, {} already known", so_far(&counts.new), so_far(&counts.known)));
    }
    Ok(())
}

fn count(answer: BatchAnswer, session: &Session, counts: &Counts, bar: &ProgressBar) -> Result<(), Failure> {
    match (answer.outcome, answer.problem) {
        (Some(outcome), _) => {
            let outcome: Outcome = read(outcome.get().as_bytes())?;
            let nothing_new = matches!(&outcome.decision, Decision::Accepted(events) if events.is_empty());
            let counter = if answer.repeated || nothing_new { &counts.known } else { &counts.new };
            counter.fetch_add(1, Ordering::Relaxed);
            let revision = outcome.revision.map_or(0, |revision| revision.0);
            counts.revision.fetch_max(revision, Ordering::Relaxed);
            Ok(())
        }
        (None, Some(problem)) if answer.status == 422 => {
            if was_accepted_before(&problem, session)? {
                counts.known.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            if counts.rejected.fetch_add(1, Ordering::Relaxed) < REJECTIONS_SHOWN {
                bar.suspend(|| explain(&Failure::of_command(problem).to_string()));
            }
            Ok(())
        }
        (None, Some(problem)) => Err(Failure::of_command(problem)),
        (None, None) => Err(Failure::Unknown("the server answered a batch with nothing".to_owned())),
    }
}

/// Whether a row is refused because its id is that of another command, which was accepted: only the same row has that id.
fn was_accepted_before(problem: &Problem, session: &Session) -> Result<bool, Failure> {
    if problem.code != Code::IdempotentParameterMismatch.to_string() {
        return Ok(false);
    }
    let Some(refused) = &problem.outcome else { return Ok(false) };
    let refused: Outcome = read(refused.get().as_bytes())?;
    // It is decided: only the views may not hold it yet.
    let first = session.outcome_of(refused.command_id, OUTCOME_WAIT_SECONDS)?;
    Ok(first.is_some_and(|first| matches!(first.decision, Decision::Accepted(_))))
}

/// The views follow the log at their own pace; what they answer next includes all that was sent.
fn await_views(session: &Session, revision: u64) -> Result<(), Failure> {
    let path = session.path(&format!("?at_least={revision}&wait_seconds=30"))?;
    let mut asked = 1;
    loop {
        let reply = session.get(&path)?;
        if reply.status == 200 {
            return Ok(());
        }
        if asked == AWAIT_VIEWS_ASKED_MAX {
            return Err(session.refused(&reply));
        }
        asked += 1;
    }
}

/// The intervals of published prefixes that the ledger tells of at this revision or later: each began once.
fn intervals(session: &Session, revision: u64) -> Result<u64, Failure> {
    await_views(session, revision)?;
    // The counts are over all pages and on the first one; one change is page enough.
    let answer: ChangesAnswer = session.ask(&session.path("/changes?kind=prefix&limit=1")?)?;
    Ok(answer.counts.unwrap_or_default().appeared_count)
}
