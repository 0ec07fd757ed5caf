//! Void records, and what they are evidence of.
//!
//! Void is legal: a paused or deposed writer leaves such records, and so does an append that was lost. But a record
//! that was dropped from a copy of a log leaves the very same trace in its reign. What tells them apart is what comes
//! after: when a writer loses a record its reign ends, and the next goes on from before it. A reign that is still open
//! at the end of the log and cannot go on is reported.

use std::collections::BTreeMap;

use super::report::{Kind, VoidKind};
use crate::log::admission::{self, Reign};
use crate::log::record::{Epoch, Offset, Seq};

/// Records of a reign that came before their turn are remembered up to so many.
const AHEAD_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Reigns {
    pub void: BTreeMap<VoidKind, u64>,
    /// Records of the open reign that came before their turn.
    ahead: BTreeMap<Seq, Offset>,
}

/// What a void record may be evidence of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Void {
    /// No writer appends to a reign that is not open yet: its opening is missing, or somebody else wrote it.
    Unopened,
    Other,
}

/// A reign that is open and cannot go on.
#[derive(Debug)]
pub(super) struct Stuck {
    /// The record to name.
    pub offset: Offset,
    pub kind: Kind,
    pub problem: String,
}

impl Reigns {
    /// The next reign is open: what the one before left is void for good, and that is as it should be.
    pub(super) fn open(&mut self) {
        self.ahead.clear();
    }

    pub(super) fn void(&mut self, offset: Offset, reason: admission::Void) -> Void {
        let mut what = Void::Other;
        let kind = match reason {
            admission::Void::ForeignHeaders
            | admission::Void::UnreadableOpening
            | admission::Void::OtherLedger { .. }
            | admission::Void::OtherPartitions { .. } => VoidKind::Foreign,
            admission::Void::EpochNotNext { .. } => VoidKind::LateOpening,
            admission::Void::EpochNotOpen { open, found } => {
                if found > open.unwrap_or(Epoch(0)) {
                    what = Void::Unopened;
                    VoidKind::Foreign
                } else {
                    VoidKind::Deposed
                }
            }
            admission::Void::SeqNotNext { expected, found } if found < expected => VoidKind::Repeated,
            admission::Void::SeqNotNext { found, .. } => {
                if self.ahead.len() < AHEAD_MAX {
                    self.ahead.entry(found).or_insert(offset);
                }
                VoidKind::CutOff
            }
        };
        *self.void.entry(kind).or_default() += 1;
        what
    }

    /// At the end of the log: whether the open reign holds records that can never count.
    pub(super) fn stuck(&self, reign: &Reign) -> Option<Stuck> {
        let (next, epoch) = (reign.next_seq, reign.epoch);
        if let Some(offset) = self.ahead.get(&next) {
            let before = next.0.saturating_sub(1);
            let problem = format!(
                "number {next} of epoch {epoch} stands before number {before}, so neither it nor what follows has an effect"
            );
            return Some(Stuck { offset: *offset, kind: Kind::Swapped, problem });
        }
        let (found, offset) = self.ahead.range(next..).next()?;
        let problem = format!(
            "number {next} of epoch {epoch} is missing; the log goes on with number {found}, and nothing behind has an \
             effect. If a writer lost an append a moment ago this ends when it takes over again: audit again then"
        );
        Some(Stuck { offset: *offset, kind: Kind::Dropped, problem })
    }
}
