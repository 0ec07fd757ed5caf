//! The replay: every record of every partition, in order, through every check.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chain::Chain;
use super::invariants::Space;
use crate::domain::digest::Digest;
use crate::domain::id::{OrganizationId, Revision};
use crate::domain::outcome::Outcome;
use crate::domain::{State, apply_outcome};
use crate::log::admission::{Admission, Verdict};
use crate::log::record::{Offset, Partition, Record};
use crate::log::wire::decode_outcome;
use crate::log::{Log, ReadError};

/// How many records are read at once.
const READ_RECORDS_MAX: usize = 10_000;
/// How long one read waits for records that the log says it has.
const READ_WAIT: Duration = Duration::from_secs(10);

/// What an audit saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    pub partitions: u32,
    pub records: u64,
    pub accepted: u64,
    pub rejected: u64,
    /// Rejections for organisations that do not exist: part of no history.
    pub unattached: u64,
    /// Records without effect, such as those of deposed writers.
    pub void: u64,
    /// Each organisation's last revision, and the hash of its last record.
    pub heads: BTreeMap<OrganizationId, Head>,
    /// The first record that is wrong.
    pub finding: Option<Finding>,
}

/// The end of one organisation's chain: enough to prove later that history before it was not rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    pub revision: Revision,
    pub hash: Digest,
}

/// A record that is wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    pub partition: Partition,
    pub offset: Offset,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    pub problem: String,
}

/// One organisation as the audit follows it.
struct Followed {
    chain: Chain,
    space: Space,
    state: State,
}

/// Replays the whole log and checks every record. Stops at the first that is wrong.
///
/// `seen` is called now and then with the number of records read so far.
///
/// # Errors
/// When the log cannot be read. What is wrong *in* the log is no error but a [`Finding`].
pub fn verify(log: &dyn Log, seen: &mut dyn FnMut(u64)) -> Result<Report, ReadError> {
    let mut report = Report { partitions: log.partitions()?, ..Report::default() };
    for partition in (0..report.partitions).map(Partition) {
        verify_partition(log, partition, &mut report, seen)?;
        if report.finding.is_some() {
            break;
        }
    }
    Ok(report)
}

fn verify_partition(
    log: &dyn Log,
    partition: Partition,
    report: &mut Report,
    seen: &mut dyn FnMut(u64),
) -> Result<(), ReadError> {
    let end = log.end(partition)?;
    let mut reader = log.reader(partition, Offset(0))?;
    let mut admission = Admission::default();
    let mut followed: BTreeMap<OrganizationId, Followed> = BTreeMap::new();
    while admission.next < end {
        let records = reader.read(READ_RECORDS_MAX, READ_WAIT)?;
        if records.is_empty() {
            return Err(ReadError::Unreachable(format!("no records came, though partition {partition} ends at {end}")));
        }
        for record in &records {
            report.records += 1;
            if let Err((outcome, problem)) = verify_record(record, &mut admission, &mut followed, report) {
                let (organization, revision) = outcome.map_or((None, None), |o| (Some(o.organization), o.revision));
                report.finding = Some(Finding { partition, offset: record.offset, organization, revision, problem });
                return Ok(());
            }
        }
        seen(report.records);
    }
    for (organization, Followed { chain, .. }) in followed {
        if let Some((revision, hash)) = chain.head() {
            report.heads.insert(organization, Head { revision, hash });
        }
    }
    Ok(())
}

/// What is wrong, and with which outcome where it could be read.
type Wrong = (Option<Box<Outcome>>, String);

fn verify_record(
    record: &Record,
    admission: &mut Admission,
    followed: &mut BTreeMap<OrganizationId, Followed>,
    report: &mut Report,
) -> Result<(), Wrong> {
    match admission.admit(record) {
        Verdict::Void(_) => report.void += 1,
        Verdict::Opened(_) | Verdict::Passed(_) => {}
        Verdict::Outcome(_) => {
            let outcome =
                decode_outcome(&record.value).map_err(|error| (None, format!("it cannot be read: {error}")))?;
            match outcome.decision {
                crate::domain::outcome::Decision::Accepted(_) => report.accepted += 1,
                crate::domain::outcome::Decision::Rejected(_) => report.rejected += 1,
            }
            verify_outcome(&outcome, &record.value, followed, report)
                .map_err(|problem| (Some(Box::new(outcome)), problem))?;
        }
    }
    Ok(())
}

fn verify_outcome(
    outcome: &Outcome,
    value: &[u8],
    followed: &mut BTreeMap<OrganizationId, Followed>,
    report: &mut Report,
) -> Result<(), String> {
    let Some(moment) = outcome.moment() else {
        report.unattached += 1;
        return match followed.get(&outcome.organization) {
            Some(_) => Err("it has no revision, though its organisation exists".to_owned()),
            None if outcome.events().is_empty() => Ok(()),
            None => Err("it has events but no revision".to_owned()),
        };
    };
    let one = followed.entry(outcome.organization.clone()).or_insert_with_key(|id| Followed {
        chain: Chain::default(),
        space: Space::default(),
        state: State::new(id.clone()),
    });
    one.chain.add(moment, outcome, value)?;
    for event in outcome.events() {
        one.space.add(event)?;
    }
    // The fold asserts what it relies on; a log that breaks it is a finding, not a crash of the auditor.
    catch_unwind(AssertUnwindSafe(|| apply_outcome(&mut one.state, outcome)))
        .map_err(|panic| format!("the fold does not accept it: {}", panic_text(&*panic)))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it stops without a word").to_owned()
}
