//! A whole log: every record of every partition, in order, through every check.
//!
//! Partitions are read side by side, and each by two threads: one reads, admits, hashes and decodes, the other
//! judges. What does not fit is named by a second reading that gathers the evidence.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::checkpoint::Statement;
use super::court::Court;
use super::examiner::Peek;
use super::kept::Kept;
use super::reigns::Stuck;
use super::report::{Finding, Kind, Place, Report};
use super::walk::{Outlet, each_outcome, home, walk};
use crate::domain::digest::Digest;
use crate::domain::id::OrganizationId;
use crate::log::record::{LedgerId, Offset, Partition};
use crate::log::{Log, ReadError};

/// Batches between the thread that reads and the one that judges.
const BATCHES_UNDER_WAY_MAX: usize = 16;

/// What is to be verified.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// One organisation; all when absent.
    pub organization: Option<&'a OrganizationId>,
    /// History up to here must be the one that was signed, and is not judged again.
    pub checkpoint: Option<&'a Statement>,
    /// Commands that somebody kept: what is on record must answer them.
    pub commands: Option<&'a Kept>,
}

/// Replays a log and checks every record of what is asked for.
///
/// `seen` is called now and then with the number of further records read.
///
/// # Errors
/// When the log cannot be read. What is wrong *in* the log is no error but a [`Finding`].
pub fn verify(log: &dyn Log, asked: &Asked<'_>, seen: &(dyn Fn(u64) + Sync)) -> Result<Report, ReadError> {
    let partitions: Vec<_> = match asked.organization {
        Some(organization) => vec![home(log, organization)?],
        None => (0..log.partitions()?).map(Partition).collect(),
    };
    let reports: Vec<Mutex<Option<_>>> = partitions.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicU32::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from).min(partitions.len());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed) as usize;
                    let (Some(partition), Some(report)) = (partitions.get(index), reports.get(index)) else { break };
                    let verified = verify_partition(log, *partition, asked, seen);
                    *report.lock().unwrap_or_else(PoisonError::into_inner) = Some(verified);
                }
            });
        }
    });
    let mut whole = Report::default();
    let there = log.partitions()?;
    let mut expected = asked.checkpoint.map(|checkpoint| (checkpoint.ledger, checkpoint.partitions));
    for (report, partition) in reports.into_iter().zip(partitions) {
        let report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (mut report, opened) = report.expect("a worker takes every partition, and ends or panics")?;
        let found = report.admissions.get(&partition).and_then(|admission| admission.reign);
        if let Some((found, offset)) = found.map(|reign| (reign.ledger, reign.partitions)).zip(opened) {
            let place = Place::Log { partition, offset };
            if let Some(problem) = of_another_ledger(*expected.get_or_insert(found), found) {
                report.heads.clear();
                report.findings.push(Finding::of_log(place, Kind::Inserted, problem));
            }
        }
        whole.add(report);
    }
    if let Some((_, partitions)) = expected.filter(|(_, partitions)| there < *partitions) {
        let place = Place::Log { partition: Partition(there), offset: Offset(0) };
        let problem = format!("the ledger has {partitions} partitions; this log holds {there}");
        whole.findings.push(Finding::of_log(place, Kind::Dropped, problem));
    }
    Ok(whole)
}

/// All partitions of a log are of one ledger, and agree on their number. What is wrong with this one.
fn of_another_ledger(expected: (LedgerId, u32), found: (LedgerId, u32)) -> Option<String> {
    if expected.0 != found.0 {
        return Some(format!(
            "this partition is of ledger {}; the others, or the checkpoint, are of {}",
            found.0, expected.0
        ));
    }
    (expected.1 != found.1).then(|| {
        format!(
            "this partition's opening names {} partitions; the others, or the checkpoint, name {}",
            found.1, expected.1
        )
    })
}

/// What is wrong in a partition, and where its first reign was opened.
fn verify_partition(
    log: &dyn Log,
    partition: Partition,
    asked: &Asked<'_>,
    seen: &(dyn Fn(u64) + Sync),
) -> Result<(Report, Option<Offset>), ReadError> {
    let end = log.end(partition)?;
    let mut court = Court::new(partition, asked.organization, asked.checkpoint, asked.commands);
    let mark = court.mark;
    let (items, to_judge) = crossbeam_channel::bounded(BATCHES_UNDER_WAY_MAX);
    let (judged, to_free) = crossbeam_channel::unbounded();
    let walked = thread::scope(|scope| {
        let outlet = Outlet { items, judged: to_free };
        let reading = scope.spawn(move || walk(log, partition, end, asked.organization, mark, &outlet, seen));
        for batch in to_judge {
            for item in &batch {
                court.take(item);
            }
            // The reading thread may have ended.
            drop(judged.send(batch));
        }
        reading.join().expect("the reading thread does not panic")
    })?;
    let stuck = walked.admission.reign.filter(|_| !court.unopened).and_then(|reign| walked.reigns.stuck(&reign));
    let mut examiner = court.examiner;
    let mut evidence = examiner.suspected();
    let (mut missing, mut stood) = (None, BTreeMap::new());
    if stuck.is_some() || !evidence.is_empty() {
        each_outcome(log, partition, end, &mut |record, valid| {
            let Some(peek) = Peek::at(&record.value) else { return };
            if let Some(stuck) = stuck.as_ref().filter(|stuck| missing.is_none() && record.offset >= stuck.offset)
                && asked.organization.is_none_or(|only| *only == peek.organization)
            {
                missing = if stuck.kind == Kind::Dropped {
                    examiner.missing_before(&peek, &mut stood).map(|(id, revision)| (id, Some(revision)))
                } else {
                    (record.offset == stuck.offset).then(|| (peek.organization.clone(), peek.revision))
                };
            }
            if let Some(links) = evidence.get_mut(&peek.organization) {
                let place = Place::Log { partition, offset: record.offset };
                links.push(peek.link(place, valid, Digest::of(&record.value)));
            }
        })?;
    }
    if let Some(Stuck { offset, kind, problem }) = stuck {
        let place = Place::Log { partition, offset };
        let (organization, revision) = missing.unzip();
        let revision = revision.flatten();
        examiner.report.findings.push(Finding { place, organization, revision, kind, problem });
    }
    let mut report = examiner.conclude(&evidence, None);
    report.partitions = 1;
    let unshown = end.0.saturating_sub(walked.admission.next.0);
    report.unshown.extend((unshown > 0).then_some((partition, unshown)));
    report.records = walked.records;
    report.void = walked.reigns.void;
    report.ledger = walked.admission.reign.map(|reign| reign.ledger);
    report.admissions.insert(partition, walked.admission);
    Ok((report, walked.opened))
}
