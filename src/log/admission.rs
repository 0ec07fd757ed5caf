//! Admission: which records of a partition count (design D5). One pure fold, run by every reader, so
//! that all agree for ever whatever a paused or deposed writer still appends.
//!
//! It rests on the order of the log alone: no clock, no coordinator, no transaction.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::{Epoch, EpochOpened, Header, Kind, LedgerId, Offset, Record, Seq, SourceOffset, WriterId};

/// The state of the fold. Two readers at the same offset hold equal values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Admission {
    /// The reign that is open; `None` before the first.
    pub reign: Option<Reign>,
    /// The source offset of the last valid record that has one: processing goes on behind it.
    pub source: Option<SourceOffset>,
    /// The offset behind the last record folded.
    pub next: Offset,
    /// How many records were void so far.
    pub void_count: u64,
}

/// An open reign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reign {
    pub epoch: Epoch,
    pub writer: WriterId,
    pub ledger: LedgerId,
    pub partitions: u32,
    /// The `seq` that the next valid record has.
    pub next_seq: Seq,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It opens a reign.
    Opened(EpochOpened),
    /// It is an outcome that counts.
    Outcome(Header),
    /// It says that commands were dealt with elsewhere.
    Passed(Header),
    /// It has no effect.
    Void(Void),
}

/// Why a record is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Void {
    #[error("its headers are not a processor's")]
    ForeignHeaders,
    #[error("its value cannot be read as the opening of a reign")]
    UnreadableOpening,
    #[error("it opens epoch {found} where {expected} comes next")]
    EpochNotNext { expected: Epoch, found: Epoch },
    #[error("it belongs to ledger {found}; this one is {expected}")]
    OtherLedger { expected: LedgerId, found: LedgerId },
    #[error("it names {found} partitions; this ledger has {expected}")]
    OtherPartitions { expected: u32, found: u32 },
    #[error("it is of epoch {found}; the open one is {open:?}")]
    EpochNotOpen { open: Option<Epoch>, found: Epoch },
    #[error("it is number {found} of its epoch where {expected} comes next")]
    SeqNotNext { expected: Seq, found: Seq },
}

impl Admission {
    /// Folds the next record.
    pub fn admit(&mut self, record: &Record) -> Verdict {
        self.next = record.offset.next();
        let verdict = match record.header {
            None => Err(Void::ForeignHeaders),
            Some(header) if header.kind == Kind::EpochOpened => self.open(header, &record.value),
            Some(header) => self.go_on(header),
        };
        verdict.unwrap_or_else(|void| {
            self.void_count += 1;
            Verdict::Void(void)
        })
    }

    fn open(&mut self, header: Header, value: &[u8]) -> Result<Verdict, Void> {
        let opened: EpochOpened = serde_json::from_slice(value).map_err(|_| Void::UnreadableOpening)?;
        if opened.epoch != header.epoch || header.seq != Seq(0) {
            return Err(Void::UnreadableOpening);
        }
        let expected = self.next_epoch();
        if opened.epoch != expected {
            return Err(Void::EpochNotNext { expected, found: opened.epoch });
        }
        if let Some(reign) = self.reign {
            if opened.ledger != reign.ledger {
                return Err(Void::OtherLedger { expected: reign.ledger, found: opened.ledger });
            }
            if opened.partitions != reign.partitions {
                return Err(Void::OtherPartitions { expected: reign.partitions, found: opened.partitions });
            }
        }
        self.reign = Some(Reign {
            epoch: opened.epoch,
            writer: opened.writer,
            ledger: opened.ledger,
            partitions: opened.partitions,
            next_seq: Seq(1),
        });
        Ok(Verdict::Opened(opened))
    }

    fn go_on(&mut self, header: Header) -> Result<Verdict, Void> {
        let open = self.reign.map(|reign| reign.epoch);
        let Some(reign) = self.reign.as_mut().filter(|reign| reign.epoch == header.epoch) else {
            return Err(Void::EpochNotOpen { open, found: header.epoch });
        };
        if header.seq != reign.next_seq {
            return Err(Void::SeqNotNext { expected: reign.next_seq, found: header.seq });
        }
        reign.next_seq = reign.next_seq.next();
        if header.source.is_some() {
            self.source = header.source;
        }
        Ok(match header.kind {
            Kind::Outcome => Verdict::Outcome(header),
            Kind::Passed => Verdict::Passed(header),
            Kind::EpochOpened => unreachable!("openings are folded by `open`"),
        })
    }

    /// The epoch that a writer must open to take over from here.
    #[must_use]
    pub fn next_epoch(&self) -> Epoch {
        self.reign.map_or(Epoch(1), |reign| reign.epoch.next())
    }
}
