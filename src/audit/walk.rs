//! Reads the records of a partition in order, up to where its log ended when the reading began: admitted, hashed,
//! decoded.

use std::time::Duration;

use crossbeam_channel::{Receiver, SendError, Sender};

use super::examiner::Peek;
use super::reigns::{Reigns, Void};
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

/// What the reading thread hands over.
pub(super) enum Item {
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
pub(super) struct Outlet {
    pub items: Sender<Vec<Item>>,
    pub judged: Receiver<Vec<Item>>,
}

impl Outlet {
    fn hand_over(&self, batch: Vec<Item>) -> Result<(), SendError<Vec<Item>>> {
        self.judged.try_iter().for_each(drop);
        self.items.send(batch)
    }
}

/// What the reading thread knows at the end.
pub(super) struct Walked {
    pub admission: Admission,
    pub reigns: Reigns,
    /// Where the first reign was opened.
    pub opened: Option<Offset>,
    pub records: u64,
}

/// Reads a partition and hands over what is to be judged, of one organisation or of all.
///
/// # Errors
/// When the log cannot be read.
pub(super) fn walk(
    log: &dyn Log,
    partition: Partition,
    end: Offset,
    only: Option<&OrganizationId>,
    mark: Option<&Admission>,
    outlet: &Outlet,
    seen: &(dyn Fn(u64) + Sync),
) -> Result<Walked, ReadError> {
    let mut reader = log.reader(partition, Offset(0))?;
    let mut walked = Walked { admission: Admission::default(), reigns: Reigns::default(), opened: None, records: 0 };
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
            walked.opened.get_or_insert(offset);
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
    if let Some(rest) = value.strip_prefix(BEGIN)
        && let Some(id) = rest.split(|byte| *byte == b'"').next()
        // A letter may be written as an escape, or have been changed so that it is no id.
        && let Some(id) = std::str::from_utf8(id).ok().and_then(|id| id.parse::<OrganizationId>().ok())
    {
        return id == *organization;
    }
    Peek::at(value).is_none_or(|peek| peek.organization == *organization)
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
