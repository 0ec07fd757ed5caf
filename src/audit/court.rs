//! Judges what one partition holds, as it is read.

use super::checkpoint::Statement;
use super::examiner::{Examiner, Peek};
use super::kept::Kept;
use super::report::{Finding, Kind, Place};
use super::walk::Item;
use crate::domain::id::OrganizationId;
use crate::log::admission::Admission;
use crate::log::record::{Offset, Partition};

/// What was found in one partition so far.
pub(super) struct Court<'a> {
    partition: Partition,
    only: Option<&'a OrganizationId>,
    checkpoint: Option<&'a Statement>,
    /// The checkpoint's place in this partition. Until it is reached, outcomes are trusted.
    pub mark: Option<&'a Admission>,
    pub examiner: Examiner<'a>,
    /// A reign without its opening was found.
    pub unopened: bool,
}

impl<'a> Court<'a> {
    pub(super) fn new(
        partition: Partition,
        only: Option<&'a OrganizationId>,
        checkpoint: Option<&'a Statement>,
        commands: Option<&'a Kept>,
    ) -> Self {
        let mark = checkpoint.and_then(|checkpoint| checkpoint.mark(partition));
        Self { partition, only, checkpoint, mark, examiner: Examiner::new(commands), unopened: false }
    }

    pub(super) fn take(&mut self, item: &Item) {
        match item {
            Item::Outcome { offset, hash, outcome, partitions } => {
                let place = self.place(*offset);
                self.examiner.placed(outcome, *hash, place, *partitions);
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
                    self.found(*offset, Some(peek), Kind::Dropped, problem);
                }
            }
            Item::Mark(admission) => self.reach_mark(admission),
        }
    }

    fn reach_mark(&mut self, admission: &Admission) {
        let (Some(mark), Some(checkpoint)) = (self.mark.take(), self.checkpoint) else { return };
        let ended_before = admission.next < mark.next;
        let place = self.place(Offset(admission.next.0.saturating_sub(1)));
        let heads = checkpoint.heads_in(self.partition);
        let heads = heads.filter(|(id, _)| self.only.is_none_or(|only| only == *id));
        self.examiner.hold_against(heads, place, ended_before);
        if admission != mark && self.examiner.is_clean() {
            let (kind, problem) = if ended_before {
                let (ends, signed) = (admission.next, mark.next);
                (Kind::Dropped, format!("the log ends at offset {ends}, before the checkpoint at {signed}"))
            } else {
                let problem = "the histories are those that were signed, but reigns and void records before the \
                               checkpoint are not";
                (Kind::Rewritten, problem.to_owned())
            };
            self.found(Offset(admission.next.0.saturating_sub(1)), None, kind, problem);
        }
    }

    fn found(&mut self, offset: Offset, peek: Option<&Peek>, kind: Kind, problem: String) {
        let place = self.place(offset);
        let (organization, revision) =
            peek.map_or((None, None), |peek| (Some(peek.organization.clone()), peek.revision));
        self.examiner.report.findings.push(Finding { place, organization, revision, kind, problem });
    }

    fn place(&self, offset: Offset) -> Place {
        Place::Log { partition: self.partition, offset }
    }
}
