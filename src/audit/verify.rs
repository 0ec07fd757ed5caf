//! A whole log: every record of every partition, in order, through every check.
//!
//! Partitions are read side by side, and each by two threads: one reads, admits, hashes and decodes, the other
//! judges. What does not fit is named by a second reading that gathers the evidence.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendError, Sender};

use super::checkpoint::Statement;
use super::examiner::{Examiner, Peek};
use super::kept::Kept;
use super::reigns::{Reigns, Stuck, Void};
use super::report::{Finding, Head, Kind as FindingKind, Place, Report};
use crate::domain::digest::Digest;
use crate::domain::id::OrganizationId;
use crate::domain::outcome::Outcome;
use crate::log::admission::{Admission, Reign, Verdict};
use crate::log::partition::partition_of;
use crate::log::record::{Kind, Offset, Partition, Record};
use crate::log::wire::decode_outcome;
use crate::log::{Log, ReadError, Reader};

/// How many records are read and handed over at once: few enough to stay in a processor's cache.
const READ_RECORDS_MAX: usize = 128;
/// How long one read waits for records that the log says it has, and how many empty reads in a row mean that its last
/// offsets hold none: what Kafka notes there for itself, or what it lost. Meanwhile the log must answer.
const READ_WAIT: Duration = Duration::from_millis(500);
const EMPTY_READS_AT_THE_END: u32 = 10;
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
    for report in reports {
        let report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
        whole.add(report.expect("a worker takes every partition, and ends or panics")?);
    }
    Ok(whole)
}

/// The partition that decides an organisation, by the number of partitions that the ledger was opened with.
///
/// # Errors
/// When the log cannot be read.
pub fn home(log: &dyn Log, organization: &OrganizationId) -> Result<Partition, ReadError> {
    let partitions = log.partitions()?;
    for partition in (0..partitions).map(Partition) {
        let end = log.end(partition)?;
        let mut reader = log.reader(partition, Offset(0))?;
        let mut admission = Admission::default();
        while admission.next < end && admission.reign.is_none() {
            let Some(records) = some(log, reader.as_mut(), partition, end)? else { break };
            for record in records {
                if admission.reign.is_none() {
                    admission.admit(&record);
                }
            }
        }
        if let Some(Reign { partitions, .. }) = admission.reign {
            return Ok(partition_of(organization, partitions));
        }
    }
    Ok(partition_of(organization, partitions))
}

/// What the reading thread hands over.
enum Item {
    Outcome {
        offset: Offset,
        hash: Digest,
        outcome: Box<Outcome>,
        /// The number that decides which partition its organisation belongs to.
        partitions: u32,
    },
    /// An admitted record that is no outcome which this program reads.
    Unreadable { record: Record, hash: Digest, why: String },
    /// An outcome of a reign that was never opened.
    Unopened { offset: Offset, peek: Peek },
    /// The position of the checkpoint is reached.
    Mark(Admission),
}

/// Where the reading thread hands over. What was judged comes back to be freed by the thread that allocated it: by
/// another one it is dear.
struct Outlet {
    items: Sender<Vec<Item>>,
    judged: Receiver<Vec<Item>>,
}

impl Outlet {
    fn hand_over(&self, batch: Vec<Item>) -> Result<(), SendError<Vec<Item>>> {
        self.judged.try_iter().for_each(drop);
        self.items.send(batch)
    }
}

/// What the reading thread knows at the end.
struct Walked {
    admission: Admission,
    reigns: Reigns,
    records: u64,
}

fn verify_partition(
    log: &dyn Log,
    partition: Partition,
    asked: &Asked<'_>,
    seen: &(dyn Fn(u64) + Sync),
) -> Result<Report, ReadError> {
    let end = log.end(partition)?;
    let mark = asked.checkpoint.and_then(|checkpoint| checkpoint.mark(partition));
    let mut court = Court { partition, asked, mark, examiner: Examiner::new(asked.commands), unopened: false };
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
    let mut missing = None;
    if stuck.is_some() || !evidence.is_empty() {
        each_outcome(log, partition, end, &mut |record, valid| {
            let Some(peek) = Peek::at(&record.value) else { return };
            if let Some(stuck) = &stuck
                && missing.is_none()
                && record.offset >= stuck.offset
            {
                missing = examiner.missing_before(&peek);
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
        examiner.report.findings.push(Finding { place, organization, revision, kind, problem });
    }
    let mut report = examiner.conclude(&evidence);
    report.partitions = 1;
    let unshown = end.0.saturating_sub(walked.admission.next.0);
    report.unshown.extend((unshown > 0).then_some((partition, unshown)));
    report.records = walked.records;
    report.void = walked.reigns.void;
    report.ledger = walked.admission.reign.map(|reign| reign.ledger);
    report.admissions.insert(partition, walked.admission);
    Ok(report)
}

fn walk(
    log: &dyn Log,
    partition: Partition,
    end: Offset,
    only: Option<&OrganizationId>,
    mark: Option<&Admission>,
    outlet: &Outlet,
    seen: &(dyn Fn(u64) + Sync),
) -> Result<Walked, ReadError> {
    let mut reader = log.reader(partition, Offset(0))?;
    let mut walked = Walked { admission: Admission::default(), reigns: Reigns::default(), records: 0 };
    let mut mark = mark.map(|mark| mark.next);
    while walked.admission.next < end {
        let Some(records) = some(log, reader.as_mut(), partition, end)? else { break };
        let count = records.len() as u64;
        let mut batch = Vec::with_capacity(records.len());
        for record in records {
            if mark.take_if(|mark| record.offset >= *mark).is_some() {
                batch.push(Item::Mark(walked.admission.clone()));
            }
            walked.records += 1;
            batch.extend(admit(&mut walked, record, only));
        }
        if outlet.hand_over(batch).is_err() {
            break;
        }
        seen(count);
    }
    if mark.is_some() {
        drop(outlet.hand_over(vec![Item::Mark(walked.admission.clone())]));
    }
    Ok(walked)
}

fn admit(walked: &mut Walked, record: Record, only: Option<&OrganizationId>) -> Option<Item> {
    let offset = record.offset;
    match walked.admission.admit(&record) {
        Verdict::Opened(_) => {
            walked.reigns.open();
            None
        }
        Verdict::Passed(_) => None,
        Verdict::Void(reason) => {
            let void = walked.reigns.void(offset, reason);
            let is_outcome = record.header.is_some_and(|header| header.kind == Kind::Outcome);
            let peek = (void == Void::Unopened && is_outcome).then(|| Peek::at(&record.value)).flatten()?;
            only.is_none_or(|only| *only == peek.organization).then_some(Item::Unopened { offset, peek })
        }
        Verdict::Outcome(_) => {
            if only.is_some_and(|only| !belongs_to(&record.value, only)) {
                return None;
            }
            let hash = Digest::of(&record.value);
            Some(match decode_outcome(&record.value) {
                Ok(outcome) => {
                    let partitions = walked.admission.reign.map_or(1, |reign| reign.partitions);
                    Item::Outcome { offset, hash, outcome: Box::new(outcome), partitions }
                }
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                    let why = format!("{error}{}", cause.unwrap_or_default());
                    Item::Unreadable { record, hash, why }
                }
            })
        }
    }
}

/// Whether an outcome is of this organisation. One that cannot be read may be.
fn belongs_to(value: &[u8], organization: &OrganizationId) -> bool {
    // As this program writes it; anybody else's takes longer.
    const BEGIN: &[u8] = br#"{"schema":1,"organization":""#;
    if let Some(rest) = value.strip_prefix(BEGIN) {
        return rest.strip_prefix(organization.as_str().as_bytes()).is_some_and(|rest| rest.starts_with(b"\""));
    }
    Peek::at(value).is_none_or(|peek| peek.organization == *organization)
}

/// Judges what one partition holds.
struct Court<'a> {
    partition: Partition,
    asked: &'a Asked<'a>,
    /// Until it is reached, outcomes are trusted.
    mark: Option<&'a Admission>,
    examiner: Examiner<'a>,
    /// A reign without its opening was found.
    unopened: bool,
}

impl Court<'_> {
    fn take(&mut self, item: &Item) {
        match item {
            Item::Outcome { offset, hash, outcome, partitions } => {
                let place = self.place(*offset);
                self.examiner.placed(&outcome.organization, place, *partitions);
                self.examiner.outcome(outcome, *hash, place, self.mark.is_some());
            }
            Item::Unreadable { record, hash, why } => {
                self.examiner.unreadable(&record.value, *hash, self.place(record.offset), why.clone());
            }
            Item::Unopened { offset, peek } => {
                if !self.unopened && self.examiner.goes_on(peek) {
                    self.unopened = true;
                    let problem = "it would go on where its history ends, but the opening of its reign is not there, \
                                   so neither it nor what follows has an effect"
                        .to_owned();
                    self.found(*offset, Some(peek), FindingKind::Dropped, problem);
                }
            }
            Item::Mark(admission) => self.reach_mark(admission),
        }
    }

    fn reach_mark(&mut self, admission: &Admission) {
        let (Some(mark), Some(checkpoint)) = (self.mark.take(), self.asked.checkpoint) else { return };
        let ended_before = admission.next < mark.next;
        let place = self.place(Offset(admission.next.0.saturating_sub(1)));
        let heads = checkpoint.heads_in(self.partition);
        let heads = heads.filter(|(id, _)| self.asked.organization.is_none_or(|only| only == *id));
        self.examiner.hold_against(heads, place, ended_before);
        if admission != mark && self.examiner.is_clean() {
            let (kind, problem) = if ended_before {
                let (ends, signed) = (admission.next, mark.next);
                (FindingKind::Dropped, format!("the log ends at offset {ends}, before the checkpoint at {signed}"))
            } else {
                let problem = "the histories are those that were signed, but reigns and void records before the \
                               checkpoint are not";
                (FindingKind::Rewritten, problem.to_owned())
            };
            self.found(Offset(admission.next.0.saturating_sub(1)), None, kind, problem);
        }
    }

    fn found(&mut self, offset: Offset, peek: Option<&Peek>, kind: FindingKind, problem: String) {
        let place = self.place(offset);
        let (organization, revision) =
            peek.map_or((None, None), |peek| (Some(peek.organization.clone()), peek.revision));
        self.examiner.report.findings.push(Finding { place, organization, revision, kind, problem });
    }

    fn place(&self, offset: Offset) -> Place {
        Place::Log { partition: self.partition, offset }
    }
}

/// Every outcome of a partition up to `end`, and whether it counts.
///
/// # Errors
/// When the log cannot be read.
pub(super) fn each_outcome(
    log: &dyn Log,
    partition: Partition,
    end: Offset,
    take: &mut dyn FnMut(&Record, bool),
) -> Result<Admission, ReadError> {
    let mut reader = log.reader(partition, Offset(0))?;
    let mut admission = Admission::default();
    while admission.next < end {
        let Some(records) = some(log, reader.as_mut(), partition, end)? else { break };
        for record in records {
            let valid = matches!(admission.admit(&record), Verdict::Outcome(_));
            if record.header.is_some_and(|header| header.kind == Kind::Outcome) {
                take(&record, valid);
            }
        }
    }
    Ok(admission)
}

/// The next records before `end`; `None` where the offsets up to it hold no more of them.
fn some(
    log: &dyn Log,
    reader: &mut dyn Reader,
    partition: Partition,
    end: Offset,
) -> Result<Option<Vec<Record>>, ReadError> {
    for _ in 0..EMPTY_READS_AT_THE_END {
        let mut records = reader.read(READ_RECORDS_MAX, READ_WAIT)?;
        if !records.is_empty() {
            // What was appended meanwhile is for the next audit.
            records.retain(|record| record.offset < end);
            return Ok((!records.is_empty()).then_some(records));
        }
        // A log that cannot be reached shows nothing, either.
        log.end(partition)?;
    }
    Ok(None)
}

impl Report {
    fn add(&mut self, other: Self) {
        self.ledger = self.ledger.or(other.ledger);
        self.partitions += other.partitions;
        self.records += other.records;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.unattached += other.unattached;
        self.trusted += other.trusted;
        self.proved += other.proved;
        for (kind, count) in other.void {
            *self.void.entry(kind).or_default() += count;
        }
        self.heads.extend(other.heads);
        self.admissions.extend(other.admissions);
        self.unshown.extend(other.unshown);
        self.findings.extend(other.findings);
    }

    /// The last revision and hash of an organisation, when all of it is sound.
    pub fn head(&self, organization: &OrganizationId) -> Option<Head> {
        self.heads.get(organization).copied()
    }
}
