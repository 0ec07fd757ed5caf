//! One organisation's records as a file that can be checked without the rest of the log.
//!
//! JSON Lines. The first line is the manifest; every other line is the value of one record, byte for byte, so that
//! its SHA-256 is the hash that the next record names. A value that would not be one line of JSON (no writer of this
//! program makes such) stands as `"hex:…"`. What the file proves, and what not: `docs/audit/README.md`.

use std::borrow::Cow;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use super::checkpoint::{hex, unhexed};
use super::diagnosis::Witness;
use super::examiner::{Examiner, Peek};
use super::report::{Finding, Kind, Place, Report};
use super::verify::Asked;
use super::walk::{each_outcome, home};
use crate::domain::digest::Digest;
use crate::domain::id::{OrganizationId, Revision};
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::log::record::{LedgerId, Offset, Partition};
use crate::log::wire::decode_outcome;
use crate::log::{Log, ReadError};

const FORMAT: &str = "ipam-audit-export-1";
const HEX: &str = "hex:";

/// The first line: what follows, and where it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    pub ledger: LedgerId,
    pub organization: OrganizationId,
    pub records: u64,
    pub first: End,
    pub last: End,
    /// Where the log stood.
    pub partition: Partition,
    pub next: Offset,
}

/// One end of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    pub revision: Revision,
    pub hash: Digest,
    pub decided_at: Timestamp,
}

/// Why there is no export, or none that can be checked.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error("organisation {0} has no history in this log")]
    NoHistory(OrganizationId),
    #[error("the file cannot be read or written: {0}")]
    File(#[from] io::Error),
    #[error("it is no export ({0}): an export is the file that `ipam audit export` wrote")]
    Malformed(String),
}

/// Writes all records of an organisation that count and are part of its history.
///
/// # Errors
/// When the log cannot be read, the file not be written, or there is no such history.
pub fn export(log: &dyn Log, organization: &OrganizationId, out: &mut dyn Write) -> Result<Manifest, ExportError> {
    let partition = home(log, organization)?;
    // Both readings end here, whatever is appended meanwhile.
    let next = log.end(partition)?;
    let (mut records, mut ends) = (0, None);
    let admission = each_record(log, partition, next, organization, &mut |value, end| {
        let hash = Digest::of(value);
        let end = End { revision: end.revision, hash, decided_at: end.decided_at };
        records += 1;
        ends = Some((ends.map_or(end, |(first, _)| first), end));
    })?;
    let (Some((first, last)), Some(reign)) = (ends, admission.reign) else {
        return Err(ExportError::NoHistory(organization.clone()));
    };
    let organization = organization.clone();
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        ledger: reign.ledger,
        organization,
        records,
        first,
        last,
        partition,
        next,
    };
    let line = serde_json::to_string(&manifest).expect("a manifest holds nothing that JSON cannot");
    writeln!(out, "{line}")?;
    let mut written = Ok(());
    each_record(log, partition, next, &manifest.organization, &mut |value, _| {
        if written.is_ok() {
            written = write_value(out, value);
        }
    })?;
    written?;
    out.flush()?;
    Ok(manifest)
}

/// What a line of the manifest needs of a record.
#[derive(Deserialize)]
struct Ended {
    revision: Revision,
    decided_at: Timestamp,
}

fn each_record(
    log: &dyn Log,
    partition: Partition,
    end: Offset,
    organization: &OrganizationId,
    take: &mut dyn FnMut(&[u8], Ended),
) -> Result<crate::log::admission::Admission, ReadError> {
    each_outcome(log, partition, end, &mut |record, valid| {
        if valid
            && Peek::at(&record.value).is_some_and(|peek| peek.organization == *organization)
            && let Ok(ended) = serde_json::from_slice(&record.value)
        {
            take(&record.value, ended);
        }
    })
}

fn write_value(out: &mut dyn Write, value: &[u8]) -> io::Result<()> {
    if value.starts_with(b"{") && !value.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        out.write_all(value)?;
        out.write_all(b"\n")
    } else {
        writeln!(out, "\"{HEX}{}\"", hex(value))
    }
}

/// The bytes that a line stands for; as they stand when it is not written so.
fn value_of(line: &[u8]) -> Cow<'_, [u8]> {
    let digits = line.strip_prefix(b"\"").and_then(|rest| rest.strip_prefix(HEX.as_bytes()));
    match digits.and_then(|rest| rest.strip_suffix(b"\"")).and_then(unhexed) {
        Some(bytes) => Cow::Owned(bytes),
        None => Cow::Borrowed(line),
    }
}

/// Checks an export by itself: against its manifest, and every record as in a log. What admission let count cannot be
/// checked without the log. The organisation is the manifest's. `open` is called twice when something is wrong.
///
/// # Errors
/// When the file cannot be read or is no export. What is wrong *in* it is a [`Finding`].
pub fn verify_file<R: BufRead>(
    mut open: impl FnMut() -> io::Result<R>,
    asked: &Asked<'_>,
) -> Result<(Manifest, Report), ExportError> {
    let mut lines = Lines { reader: open()?, number: 0 };
    let malformed = |what: String| ExportError::Malformed(what);
    let first = lines.next()?.ok_or_else(|| malformed("it is empty".to_owned()))?;
    let manifest: Manifest =
        serde_json::from_slice(&first).map_err(|error| malformed(format!("first line: {error}")))?;
    if manifest.format != FORMAT {
        return Err(malformed(format!("its format is {}; this program reads {FORMAT}", manifest.format)));
    }
    let mut examiner = Examiner::new(asked.commands);
    examiner.expect(&manifest.organization);
    let mut ends = None;
    let mut signed = asked.checkpoint.and_then(|checkpoint| checkpoint.heads.get(&manifest.organization)).copied();
    let mut records = 0;
    while let Some(line) = lines.next()? {
        records += 1;
        let (place, value) = (Place::File { line: lines.number }, value_of(&line));
        let hash = Digest::of(&value);
        match decode_outcome(&value) {
            Ok(outcome) if outcome.organization == manifest.organization => {
                let end = End { revision: outcome.revision.unwrap_or_default(), hash, decided_at: outcome.decided_at };
                ends = Some((ends.map_or(end, |(first, _)| first), end));
                examiner.outcome(&outcome, hash, place, signed.is_some());
                if signed.is_some_and(|head| outcome.revision == Some(head.revision)) {
                    examiner.hold_against(
                        signed.take().iter().map(|head| (&manifest.organization, *head)),
                        place,
                        false,
                    );
                }
            }
            Ok(outcome) => of_another(&mut examiner, &manifest, outcome, place),
            Err(error) => examiner.unreadable(&value, hash, place, error.to_string()),
        }
    }
    hold_against_manifest(&mut examiner, &manifest, records, ends);
    if let Some(head) = signed.filter(|_| examiner.is_clean()) {
        let place = Place::File { line: lines.number };
        examiner.hold_against([(&manifest.organization, head)].into_iter(), place, true);
    }
    let mut evidence = examiner.suspected();
    if let Some(links) = evidence.get_mut(&manifest.organization) {
        let mut lines = Lines { reader: open()?, number: 0 };
        lines.next()?;
        while let Some(line) = lines.next()? {
            let value = value_of(&line);
            if let Some(peek) = Peek::at(&value) {
                links.push(peek.link(Place::File { line: lines.number }, true, Digest::of(&value)));
            }
        }
    }
    let witness = Witness { revision: manifest.last.revision, hash: manifest.last.hash };
    let mut report = examiner.conclude(&evidence, Some(witness));
    report.records = records;
    report.ledger = Some(manifest.ledger);
    Ok((manifest, report))
}

/// A record of another organisation than the manifest's: changed, where it would be the next.
fn of_another(examiner: &mut Examiner<'_>, manifest: &Manifest, outcome: Outcome, place: Place) {
    let problem = format!("it is of another organisation than the manifest names, {}", manifest.organization);
    let (revision, previous) = (outcome.revision, outcome.previous);
    let here = Peek { organization: manifest.organization.clone(), revision, previous };
    let kind = if examiner.goes_on(&here) { Kind::Changed } else { Kind::Inserted };
    if kind == Kind::Changed {
        examiner.give_up(&manifest.organization);
    }
    let organization = Some(outcome.organization);
    examiner.report.findings.push(Finding { place, organization, revision, kind, problem });
}

fn hold_against_manifest(examiner: &mut Examiner<'_>, manifest: &Manifest, records: u64, found: Option<(End, End)>) {
    if !examiner.is_clean() {
        return;
    }
    let ends = examiner.last(&manifest.organization);
    let (last, organization) = (manifest.last, Some(manifest.organization.clone()));
    let revision = ends.map_or(Revision(0), |ends| ends.moment.revision);
    let place = ends.map_or(Place::File { line: 1 }, |ends| ends.place);
    let (kind, place, problem) = if revision < last.revision {
        let next = revision.next();
        (Kind::Dropped, place, format!("it is the last; revisions {next} to {} are missing behind it", last.revision))
    } else if revision > last.revision {
        let problem = format!("the manifest's last revision is {}", last.revision);
        (Kind::Inserted, place, problem)
    } else if ends.is_some_and(|ends| ends.hash != last.hash) {
        (Kind::Changed, place, "its bytes are not those that the manifest names as the last".to_owned())
    } else if records != manifest.records {
        let problem = format!("the manifest names {} records; all {records} are sound", manifest.records);
        (Kind::Changed, Place::File { line: 1 }, problem)
    } else if found != Some((manifest.first, manifest.last)) {
        let problem = "what the manifest says of the first and last record is not what is there".to_owned();
        (Kind::Changed, Place::File { line: 1 }, problem)
    } else {
        return;
    };
    examiner.report.findings.push(Finding { place, organization, revision: Some(revision), kind, problem });
}

struct Lines<R> {
    reader: R,
    /// Of the last line read; the first is 1.
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        if self.reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        self.number += 1;
        Ok(Some(line))
    }
}
