//! The judge: sees every record that lands, every answer that is given and every letter that arrives, and keeps it as
//! plain lists. Written apart from the code that it judges; where it uses a type of that code, it uses it to read bytes.
//!
//! Whatever is wrong is a panic that says which promise is broken.

pub mod admission;
mod decisions;
pub mod exactly_once;
pub mod history;
pub mod lineage;
pub mod overlaps;
pub mod views;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use ipam_ledger::domain::id::OrganizationId;
use ipam_ledger::domain::outcome::Decision;
use ipam_ledger::domain::rejection::Code;
use ipam_ledger::log::record::{Epoch, Header, Offset, Partition, Record, SourceOffset, WriterId};
use ipam_ledger::log::wire::decode_outcome;

use self::admission::{Lane, Ruling};
use self::exactly_once::{ExactlyOnce, Recorded};
use self::history::History;
use crate::coverage::Coverage;
use crate::model::world::World;

pub struct Oracle {
    pub lanes: Vec<Lane>,
    pub histories: BTreeMap<OrganizationId, History>,
    pub once: ExactlyOnce,
    /// Whether an outcome may be too large for a record.
    pub small_records: bool,
}

impl Oracle {
    pub fn new(partitions: u32, organizations: &[OrganizationId], small_records: bool) -> Self {
        Self {
            lanes: (0..partitions).map(|_| Lane::default()).collect(),
            histories: organizations.iter().map(|id| (id.clone(), History::new(id))).collect(),
            once: ExactlyOnce::new(partitions),
            small_records,
        }
    }

    pub fn lane(&self, partition: Partition) -> &Lane {
        self.lanes.get(partition.0 as usize).expect("a partition of this log")
    }

    pub fn history(&self, organization: &OrganizationId) -> &History {
        self.histories.get(organization).expect("one of this world's organisations")
    }

    /// What is known now of an organisation.
    pub fn world(&self, organization: &OrganizationId) -> Rc<World> {
        self.history(organization).world()
    }

    /// A record is in the log.
    pub fn landed(&mut self, partition: Partition, record: &Record, coverage: &mut Coverage) {
        let lane = self.lanes.get_mut(partition.0 as usize).expect("a partition of this log");
        if let Ruling::Outcome(header) = lane.judge(record) {
            self.outcome(partition, record, header, coverage);
        }
    }

    fn outcome(&mut self, partition: Partition, record: &Record, header: Header, coverage: &mut Coverage) {
        let outcome = decode_outcome(&record.value).expect("what counts can be read");
        let recorded = Recorded { digest: outcome.digest, offset: record.offset, value: Arc::clone(&record.value) };
        let sent = self.once.outcome(partition, header.source, &outcome, recorded);
        match &outcome.decision {
            Decision::Accepted(events) => {
                coverage.hit("accepted", &outcome.command_type);
                for event in events {
                    coverage.hit("event", event.type_name());
                }
            }
            Decision::Rejected(rejection) => {
                coverage.hit("code", &format!("{:?}", rejection.code));
                coverage.hit("refused", &format!("{} {:?}", outcome.command_type, rejection.code));
                assert_ne!(rejection.code, Code::InternalError, "a defect: {rejection:?}");
                assert_ne!(rejection.code, Code::IdempotentParameterMismatch, "a mismatch is never on record");
                assert!(rejection.code != Code::RecordTooLarge || self.small_records, "{rejection:?}");
            }
        }
        let history = self.histories.get_mut(&outcome.organization).expect("one of this world's organisations");
        let on_record = !history.pasts.is_empty() || matches!(outcome.decision, Decision::Accepted(_));
        assert_eq!(outcome.revision.is_some(), on_record, "a refusal by what does not exist is no part of a history");
        assert!(
            outcome.reason == sent.reason
                || matches!(&outcome.decision, Decision::Rejected(rejection) if rejection.code == Code::RecordTooLarge),
            "the outcome carries the reason that was given"
        );
        let before = history.world();
        match &sent.command {
            Some(command) => decisions::judge(&before, history, command, &outcome),
            None => {
                let code = match &outcome.decision {
                    Decision::Rejected(rejection) => Some(rejection.code),
                    Decision::Accepted(_) => None,
                };
                let teaches = [
                    Code::MalformedCommand,
                    Code::UnknownCommandType,
                    Code::MissingParameter,
                    Code::InvalidParameterValue,
                    Code::RecordTooLarge,
                ];
                assert!(code.is_some_and(|code| teaches.contains(&code)), "a malformed command: {outcome:?}");
            }
        }
        if on_record {
            let id = outcome.organization.clone();
            history.add(record.offset, outcome, &record.value);
            self.lanes.get_mut(partition.0 as usize).expect("a partition").outcomes.push((record.offset, id));
        }
    }

    /// A node says that it reigns since `epoch`, which it claimed as `writer`.
    pub fn took_over(&self, partition: Partition, epoch: Epoch, writer: WriterId, resume: Option<SourceOffset>) {
        let index = usize::try_from(epoch.0).expect("small") - 1;
        let opening = self.lane(partition).openings.get(index);
        let opening = opening.unwrap_or_else(|| panic!("epoch {epoch} of partition {partition} was never opened"));
        assert_eq!(opening.writer, writer, "epoch {epoch} of partition {partition} was opened by another");
        assert_eq!(opening.source, resume, "it goes on behind the last command that was dealt with");
    }

    /// The first offset behind everything that landed.
    pub fn end(&self, partition: Partition) -> Offset {
        self.lane(partition).records.last().map_or(Offset(0), |last| last.offset.next())
    }
}
