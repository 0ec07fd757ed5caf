//! `ipam audit …`: whether a log, or an export of it, is what it claims to be; exports, signed checkpoints, replays.
//!
//! What was found is a result and goes to stdout; the exit code says whether anything was: 0 clean, 1 not.

mod files;
mod replay;

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::node::KafkaFlags;
use super::print;
use super::session::Session;
use super::settings::{Format, Settings};
use crate::audit::checkpoint::{CheckpointError, PrivateKey, PublicKey, Statement};
use crate::audit::export::{self, ExportError};
use crate::audit::kept::Kept;
use crate::audit::report::Report;
use crate::audit::{self, Asked};
use crate::domain::time::Timestamp;
use crate::log::Log;
use crate::log::embedded::EmbeddedLog;
use crate::log::kafka::KafkaLog;

/// `ipam audit …`
#[derive(Subcommand, Clone, Debug)]
pub enum Audit {
    /// Check every record: admission, hash chains, time, invariants; name the first that is wrong, and what was done
    #[command(
        after_help = "Without --org all organisations are checked. With --checkpoint the history before it must be the one that
was signed; it is read, but its decisions are not judged again.

Examples:
  ipam audit verify --data /var/lib/ipam
  ipam audit verify --kafka kafka-1:9092 --org o-example
  ipam audit verify --checkpoint 2026-01.checkpoint --public-key audit.pem.pub
  ipam audit verify --file o-example.jsonl

Exit codes: 0 clean, 1 something is wrong, 2 wrong use, 4 the log or file cannot be read."
    )]
    Verify(Verify),
    /// Write one organisation's records to a file that can be checked without the log
    #[command(after_help = "The format, and a second verifier in Python: docs/audit/README.md.

Examples:
  ipam audit export --org o-example --out o-example.jsonl
  ipam audit export --org o-example --kafka kafka-1:9092 --out o-example.jsonl")]
    Export(Export),
    /// Ask a question of the ledger as it was, rebuilt from the log alone
    #[command(after_help = "The question is any command that only reads. Nothing of the views that are there is used.

Examples:
  ipam audit replay --until 2026-01-01T00:00:00Z --org o-example -- pool tree
  ipam audit replay --until rev:1234 -- who 10.4.7.1
  ipam audit replay --until 0:5678 --kafka kafka-1:9092 -- history 10.4.0.0/16")]
    Replay(replay::Replay),
    /// Make an Ed25519 key that signs checkpoints
    #[command(after_help = "The private key is written to FILE, the public one to FILE.pub, both as PEM.

Example:\n  ipam audit key --out audit.pem")]
    Key {
        /// Where the private key goes; must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Verify the log, and sign where every history stands
    #[command(
        after_help = "Keep checkpoints where whoever can write the log cannot: each shows later that history before it was not
rewritten.

Examples:
  ipam audit checkpoint --key audit.pem --out 2026-01.checkpoint
  ipam audit checkpoint --key audit.pem --checkpoint 2026-01.checkpoint --public-key audit.pem.pub --out 2026-02.checkpoint"
    )]
    Checkpoint(MakeCheckpoint),
}

#[derive(Args, Clone, Debug)]
pub struct Verify {
    #[command(flatten)]
    kafka: KafkaFlags,
    /// An export to check instead of a log
    #[arg(long, value_name = "FILE", conflicts_with = "kafka")]
    file: Option<PathBuf>,
    /// Commands that were kept, as they were sent, a line each: the digests on record must be theirs
    #[arg(long, value_name = "FILE")]
    commands: Option<PathBuf>,
    #[command(flatten)]
    trusted: Trusted,
}

/// A checkpoint to start from.
#[derive(Args, Clone, Debug)]
pub struct Trusted {
    /// A checkpoint: history before it must be the one that was signed, and is not judged again
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The public key of whoever signed the checkpoint
    #[arg(long, value_name = "FILE", requires = "checkpoint")]
    public_key: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub struct Export {
    #[command(flatten)]
    kafka: KafkaFlags,
    /// Where the records go; must not exist [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub struct MakeCheckpoint {
    #[command(flatten)]
    kafka: KafkaFlags,
    /// The private key that signs
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the checkpoint goes; must not exist [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    trusted: Trusted,
}

/// # Errors
/// When the log cannot be read; exit code 1 when something is wrong.
pub fn run(command: Audit, settings: Settings) -> Result<(), Failure> {
    match command {
        Audit::Verify(ask) => verify(&ask, &settings),
        Audit::Export(ask) => export(&ask, settings),
        Audit::Replay(ask) => replay::run(ask, settings),
        Audit::Key { out } => make_key(&out, &settings),
        Audit::Checkpoint(ask) => make_checkpoint(&ask, &settings),
    }
}

fn verify(ask: &Verify, settings: &Settings) -> Result<(), Failure> {
    let checkpoint = ask.trusted.read(settings)?;
    let commands = ask.commands.as_deref().map(kept).transpose()?;
    let asked =
        Asked { organization: settings.org.as_ref(), checkpoint: checkpoint.as_ref(), commands: commands.as_ref() };
    let report = match &ask.file {
        Some(file) => verified_file(file, &asked, settings)?,
        None => verified(&ask.kafka, settings, &asked)?,
    };
    if let Some(organization) = asked.organization
        && !report.heads.contains_key(organization)
        && report.findings.is_empty()
    {
        let from = if settings.typed.org { "--org" } else { "IPAM_ORG" };
        let error = ExportError::NoHistory(organization.clone());
        return Err(Failure::usage(format!("{error}: nothing was verified ({from} names it)")));
    }
    show(&report, settings);
    if let Some(commands) = commands.filter(|_| !settings.quiet) {
        print::explain(&format!("{} of {} commands that were kept are answered", report.proved, commands.count()));
    }
    judge(&report)
}

/// Commands from a file, a line each.
fn kept(path: &Path) -> Result<Kept, Failure> {
    let mut kept = Kept::default();
    for (number, line) in files::read(path)?.lines().enumerate() {
        kept.add(line.as_bytes())
            .map_err(|error| Failure::usage(format!("{}, line {}: {error}", path.display(), number + 1)))?;
    }
    Ok(kept)
}

fn verified(kafka: &KafkaFlags, settings: &Settings, asked: &Asked<'_>) -> Result<Report, Failure> {
    let log = open_log(kafka, settings)?;
    let bar = indicatif::ProgressBar::no_length().with_message("records");
    let report = audit::verify(log.as_ref(), asked, &|records| bar.inc(records)).map_err(unreachable);
    bar.finish_and_clear();
    report
}

fn verified_file(path: &Path, asked: &Asked<'_>, settings: &Settings) -> Result<Report, Failure> {
    let open = || File::open(path).map(BufReader::new);
    let (manifest, report) = export::verify_file(open, asked)
        .map_err(|error| Failure::Unreadable(format!("{}: {error}", path.display())))?;
    if let Some(asked) = asked.organization.filter(|asked| **asked != manifest.organization) {
        return Err(Failure::usage(format!("{} is of {}, not of {asked}", path.display(), manifest.organization)));
    }
    if let Some(checkpoint) = asked.checkpoint.filter(|_| !settings.quiet)
        && !checkpoint.heads.contains_key(&manifest.organization)
    {
        print::explain("the checkpoint knows nothing of this organisation: it shows nothing about the file");
    }
    Ok(report)
}

/// Prints what an audit saw.
fn show(report: &Report, settings: &Settings) {
    if settings.output == Format::Json {
        let report = serde_json::to_string_pretty(report).expect("a report holds nothing that JSON cannot");
        print::result(&report);
        return;
    }
    let place = match report.partitions {
        0 => String::new(),
        partitions => format!(" in {partitions} partitions"),
    };
    print::result(&format!(
        "{} records{place}: {} accepted, {} rejected, {} rejected without an organisation, {} void; {} organisations",
        report.records,
        report.accepted,
        report.rejected,
        report.unattached,
        report.void.values().sum::<u64>(),
        report.heads.len()
    ));
    for (organization, head) in &report.heads {
        print::result(&format!("{organization} revision {} {}", head.revision, head.hash));
    }
    for finding in &report.findings {
        print::result(&finding.to_string());
    }
    if settings.quiet {
        return;
    }
    if report.trusted > 0 {
        print::explain(&format!(
            "{} outcomes are before the checkpoint: they are those that were signed, and were not judged again",
            report.trusted
        ));
    }
    for (partition, count) in &report.unshown {
        print::explain(&format!("the last {count} offsets of partition {partition} hold no record"));
    }
    for (kind, count) in &report.void {
        print::explain(&format!("{count} void: {}", kind.as_str()));
    }
}

fn judge(report: &Report) -> Result<(), Failure> {
    match report.findings.as_slice() {
        [] => Ok(()),
        [one] => Err(Failure::Damaged(format!("a record is wrong: {one}"))),
        [first, ..] => {
            Err(Failure::Damaged(format!("{} records are wrong; the first: {first}", report.findings.len())))
        }
    }
}

fn export(ask: &Export, settings: Settings) -> Result<(), Failure> {
    let log = open_log(&ask.kafka, &settings)?;
    let session = Session::new(settings)?;
    let organization = session.organization()?;
    let failed = |error| match error {
        ExportError::NoHistory(_) => Failure::usage(format!("{error}: nothing was written")),
        error => unreachable(error),
    };
    let manifest = match &ask.out {
        Some(path) => {
            let manifest = files::write_new(path, false, |file| {
                let mut out = BufWriter::new(file);
                let manifest = export::export(log.as_ref(), &organization, &mut out).map_err(failed)?;
                out.flush().map_err(unreachable)?;
                Ok(manifest)
            })?;
            print::explain(&format!("written to {}; check it with: ipam audit verify --file {0}", path.display()));
            manifest
        }
        None => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            export::export(log.as_ref(), &organization, &mut out).map_err(failed)?
        }
    };
    if !session.settings.quiet {
        let (last, records) = (manifest.last, manifest.records);
        print::explain(&format!("{records} records, up to revision {} {}", last.revision, last.hash));
    }
    Ok(())
}

fn make_key(out: &Path, settings: &Settings) -> Result<(), Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| unreachable(format!("there is no randomness: {error}")))?;
    let key = PrivateKey::from_seed(&seed);
    let mut public = out.as_os_str().to_owned();
    public.push(".pub");
    let public = PathBuf::from(public);
    // The public one first: no private key is left behind that has none.
    files::write_new(&public, false, |file| file.write_all(key.public().to_pem().as_bytes()).map_err(unreachable))?;
    let written = files::write_new(out, true, |file| file.write_all(key.to_pem().as_bytes()).map_err(unreachable));
    if written.is_err() {
        drop(std::fs::remove_file(&public));
    }
    written?;
    print::result(&key.public().name());
    if !settings.quiet {
        print::explain(&format!(
            "{} signs checkpoints: keep it to yourself; give {} to whoever is to check them",
            out.display(),
            public.display()
        ));
    }
    Ok(())
}

fn make_checkpoint(ask: &MakeCheckpoint, settings: &Settings) -> Result<(), Failure> {
    let key = PrivateKey::from_pem(&files::read(&ask.key)?).map_err(|error| of_file(&ask.key, &error))?;
    let before = ask.trusted.read(settings)?;
    // A checkpoint is of a whole ledger, whatever organisation is asked for elsewhere.
    let report = verified(&ask.kafka, settings, &Asked { checkpoint: before.as_ref(), ..Asked::default() })?;
    if !report.findings.is_empty() {
        show(&report, settings);
        print::explain("nothing was signed");
        return judge(&report);
    }
    let statement = Statement::of(&report, Timestamp::from(chrono::Utc::now()))
        .map_err(|error| Failure::usage(error.to_string()))?;
    let text = statement.sign(&key);
    match &ask.out {
        Some(path) => {
            files::write_new(path, false, |file| file.write_all(text.as_bytes()).map_err(unreachable))?;
            if !settings.quiet {
                print::explain(&format!(
                    "signed in {}: {} records, {} organisations",
                    path.display(),
                    report.records,
                    report.heads.len()
                ));
            }
        }
        None => print::result(text.trim_end()),
    }
    Ok(())
}

impl Trusted {
    /// The checkpoint, once its signature was checked.
    fn read(&self, settings: &Settings) -> Result<Option<Statement>, Failure> {
        let Some(path) = &self.checkpoint else { return Ok(None) };
        let key = match &self.public_key {
            Some(path) => Some(PublicKey::from_pem(&files::read(path)?).map_err(|error| of_file(path, &error))?),
            None => None,
        };
        let statement = Statement::read(&files::read(path)?, key.as_ref()).map_err(|error| match error {
            CheckpointError::Changed | CheckpointError::OtherKey { .. } => {
                Failure::Damaged(format!("{}: {error}", path.display()))
            }
            error => of_file(path, &error),
        })?;
        if !settings.quiet {
            let by = if key.is_some() { "by the key you named" } else { "by whom, only --public-key tells" };
            print::explain(&format!("checkpoint of {}, signed {by}", print::instant(statement.made_at)));
        }
        Ok(Some(statement))
    }
}

fn of_file(path: &Path, error: &CheckpointError) -> Failure {
    Failure::usage(format!("{}: {error}", path.display()))
}

fn open_log(kafka: &KafkaFlags, settings: &Settings) -> Result<Arc<dyn Log>, Failure> {
    Ok(match kafka.config() {
        Some(config) => Arc::new(KafkaLog::new(config).map_err(unreachable)?),
        None => Arc::new(EmbeddedLog::open_read_only(&settings.data_directory()?.join("log")).map_err(unreachable)?),
    })
}

fn unreachable(error: impl std::fmt::Display) -> Failure {
    Failure::Unreachable(error.to_string())
}
