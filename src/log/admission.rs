//! Admission: which records of a partition count (design D5). One pure fold, run by every reader, so
//! that all agree for ever whatever a paused or deposed writer still appends.
//!
//! It rests on the order of the log alone: no clock, no coordinator, no transaction.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::{Epoch, EpochOpened, Header, Kind, LedgerId, Offset, Record, Seq, SourceOffset, WriterId};
use crate::domain::digest::Digest;
use crate::planted::{Bug, planted};

/// The state of the fold. Two readers at the same offset hold equal values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Admission {
    /// The reign that is open; `None` before the first.
    pub reign: Option<Reign>,
    /// The source offset of the last valid record that has one: processing goes on behind it.
    pub source: Option<SourceOffset>,
    /// What is known of the record that stood there in the command topic: a topic that was recreated has another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
    /// The offset behind the last record folded.
    pub next: Offset,
    /// How many records were void so far.
    pub void_count: u64,
}

/// What a record of the command topic left on the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    /// An outcome, at this offset: it names its command.
    Outcome(Offset),
    /// No outcome. The SHA-256 of its value.
    Passed(Digest),
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
            Some(header) => self.go_on(header, record),
        };
        verdict.unwrap_or_else(|void| {
            self.void_count += 1;
            Verdict::Void(void)
        })
    }

    fn open(&mut self, header: Header, value: &[u8]) -> Result<Verdict, Void> {
        let opened: EpochOpened = serde_json::from_slice(value).map_err(|_| Void::UnreadableOpening)?;
        let said_otherwise = opened.epoch != header.epoch || header.seq != Seq(0);
        if said_otherwise && !planted(Bug::AdmissionHeaderUnchecked) {
            return Err(Void::UnreadableOpening);
        }
        // No organisation would have a partition.
        if opened.partitions == 0 {
            return Err(Void::UnreadableOpening);
        }
        let expected = self.next_epoch();
        if opened.epoch != expected && !planted(Bug::AdmissionEpochNotNext) {
            return Err(Void::EpochNotNext { expected, found: opened.epoch });
        }
        if let Some(reign) = self.reign {
            if opened.ledger != reign.ledger && !planted(Bug::AdmissionOtherLedger) {
                return Err(Void::OtherLedger { expected: reign.ledger, found: opened.ledger });
            }
            if opened.partitions != reign.partitions && !planted(Bug::AdmissionOtherPartitions) {
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

    fn go_on(&mut self, header: Header, record: &Record) -> Result<Verdict, Void> {
        let open = self.reign.map(|reign| reign.epoch);
        let is_open = |reign: &&mut Reign| reign.epoch == header.epoch || planted(Bug::AdmissionEpochNotOpen);
        let Some(reign) = self.reign.as_mut().filter(is_open) else {
            return Err(Void::EpochNotOpen { open, found: header.epoch });
        };
        if header.seq != reign.next_seq && !planted(Bug::AdmissionSeqUnchecked) {
            return Err(Void::SeqNotNext { expected: reign.next_seq, found: header.seq });
        }
        reign.next_seq = reign.next_seq.next();
        if header.source.is_some() {
            self.source = header.source;
            self.left = match header.kind {
                Kind::Passed => digest_in(&record.value).map(Left::Passed),
                _ => Some(Left::Outcome(record.offset)),
            };
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

/// What a `Passed` says of the last command that it passes over; nothing where it is none of a processor's.
fn digest_in(value: &[u8]) -> Option<Digest> {
    str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::time::Timestamp;

    const LEDGER: LedgerId = LedgerId::from_u128(1);
    const STRANGER: LedgerId = LedgerId::from_u128(2);
    const WRITER: WriterId = WriterId::from_u128(3);

    /// A record in short: what somebody appended.
    enum Appended {
        Opening {
            epoch: u64,
            ledger: LedgerId,
            partitions: u32,
        },
        Outcome {
            epoch: u64,
            seq: u64,
            source: Option<u64>,
        },
        Passed {
            epoch: u64,
            seq: u64,
            source: u64,
        },
        /// An opening whose headers or value are wrong.
        Botched {
            epoch: u64,
            seq: u64,
            value: &'static str,
        },
        Foreign,
    }
    use Appended::{Botched, Foreign, Opening, Outcome, Passed};

    fn opening(epoch: u64) -> Appended {
        Opening { epoch, ledger: LEDGER, partitions: 3 }
    }

    fn outcome(epoch: u64, seq: u64) -> Appended {
        Outcome { epoch, seq, source: None }
    }

    fn record(offset: u64, appended: &Appended) -> Record {
        let header = |kind, epoch, seq, source: Option<u64>| {
            Some(Header { kind, epoch: Epoch(epoch), seq: Seq(seq), source: source.map(SourceOffset) })
        };
        let (header, value) = match *appended {
            Opening { epoch, ledger, partitions } => {
                let opened = EpochOpened { schema: 1, epoch: Epoch(epoch), writer: WRITER, ledger, partitions };
                (header(Kind::EpochOpened, epoch, 0, None), serde_json::to_vec(&opened).expect("plain data"))
            }
            Outcome { epoch, seq, source } => (header(Kind::Outcome, epoch, seq, source), b"{}".to_vec()),
            Passed { epoch, seq, source } => (header(Kind::Passed, epoch, seq, Some(source)), Vec::new()),
            Botched { epoch, seq, value } => (header(Kind::EpochOpened, epoch, seq, None), value.into()),
            Foreign => (None, b"hello".to_vec()),
        };
        Record { offset: Offset(offset), appended_at: Timestamp::default(), header, value: Arc::from(value) }
    }

    /// What each record is, in short, and the state behind the last.
    fn fold(log: &[Appended]) -> (Vec<String>, Admission) {
        let mut admission = Admission::default();
        let verdicts = log.iter().zip(0..).map(|(appended, offset)| match admission.admit(&record(offset, appended)) {
            Verdict::Opened(opened) => format!("opened {}", opened.epoch),
            Verdict::Outcome(header) => format!("outcome {}.{}", header.epoch, header.seq),
            Verdict::Passed(header) => format!("passed {}.{}", header.epoch, header.seq),
            Verdict::Void(void) => void.to_string(),
        });
        (verdicts.collect(), admission)
    }

    #[test]
    fn what_counts_is_decided_by_the_order_of_the_log_alone() {
        let table: &[(&str, &[Appended], &[&str])] = &[
            (
                "a reign, its outcomes, the next reign",
                &[opening(1), outcome(1, 1), Passed { epoch: 1, seq: 2, source: 4 }, opening(2), outcome(2, 1)],
                &["opened 1", "outcome 1.1", "passed 1.2", "opened 2", "outcome 2.1"],
            ),
            (
                "nothing counts before the first reign",
                &[outcome(1, 1), opening(1), outcome(1, 1)],
                &["it is of epoch 1; the open one is None", "opened 1", "outcome 1.1"],
            ),
            (
                "the first reign is number 1",
                &[opening(2), opening(0)],
                &["it opens epoch 2 where 1 comes next", "it opens epoch 0 where 1 comes next"],
            ),
            (
                "of two openings of one epoch the first counts",
                &[opening(1), opening(1), outcome(1, 1)],
                &["opened 1", "it opens epoch 1 where 2 comes next", "outcome 1.1"],
            ),
            ("no epoch is skipped", &[opening(1), opening(3)], &["opened 1", "it opens epoch 3 where 2 comes next"]),
            (
                "a deposed writer's records are void",
                &[opening(1), opening(2), outcome(1, 1), outcome(2, 1)],
                &["opened 1", "opened 2", "it is of epoch 1; the open one is Some(Epoch(2))", "outcome 2.1"],
            ),
            (
                "doubled and early records are void, and the sequence goes on where it was",
                &[opening(1), outcome(1, 1), outcome(1, 1), outcome(1, 3), outcome(1, 2), outcome(1, 3)],
                &[
                    "opened 1",
                    "outcome 1.1",
                    "it is number 1 of its epoch where 2 comes next",
                    "it is number 3 of its epoch where 2 comes next",
                    "outcome 1.2",
                    "outcome 1.3",
                ],
            ),
            (
                "ledger and partitions are the first one's",
                &[
                    opening(1),
                    Opening { epoch: 2, ledger: STRANGER, partitions: 3 },
                    Opening { epoch: 2, ledger: LEDGER, partitions: 4 },
                    opening(2),
                ],
                &[
                    "opened 1",
                    "it belongs to ledger 00000000-0000-0000-0000-000000000002; this one is \
                     00000000-0000-0000-0000-000000000001",
                    "it names 4 partitions; this ledger has 3",
                    "opened 2",
                ],
            ),
            (
                "a ledger has partitions",
                &[Opening { epoch: 1, ledger: LEDGER, partitions: 0 }, opening(1)],
                &["its value cannot be read as the opening of a reign", "opened 1"],
            ),
            (
                "foreign and botched records are void",
                &[
                    Foreign,
                    Botched { epoch: 1, seq: 0, value: "{}" },
                    Botched { epoch: 1, seq: 0, value: "" },
                    opening(1),
                    Foreign,
                    outcome(1, 1),
                ],
                &[
                    "its headers are not a processor's",
                    "its value cannot be read as the opening of a reign",
                    "its value cannot be read as the opening of a reign",
                    "opened 1",
                    "its headers are not a processor's",
                    "outcome 1.1",
                ],
            ),
        ];
        for (rule, log, expected) in table {
            let (verdicts, admission) = fold(log);
            assert_eq!(verdicts, *expected, "{rule}");
            let valid = verdicts
                .iter()
                .filter(|verdict| ["opened", "outcome", "passed"].iter().any(|word| verdict.starts_with(word)));
            assert_eq!(admission.void_count, (log.len() - valid.count()) as u64, "{rule}");
            assert_eq!(admission.next, Offset(log.len() as u64), "{rule}");
        }
    }

    #[test]
    fn an_opening_whose_headers_say_otherwise_is_void() {
        let good = record(0, &opening(1));
        for (epoch, seq) in [(2, 0), (1, 1)] {
            let mut bad = good.clone();
            bad.header = bad.header.map(|header| Header { epoch: Epoch(epoch), seq: Seq(seq), ..header });
            assert_eq!(Admission::default().admit(&bad), Verdict::Void(Void::UnreadableOpening), "{epoch}.{seq}");
        }
        let mut with_more = good.clone();
        let text = String::from_utf8_lossy(&good.value).replace('}', ",\"more\":1}");
        with_more.value = Arc::from(text.as_bytes());
        assert_eq!(Admission::default().admit(&with_more), Verdict::Void(Void::UnreadableOpening));
    }

    #[test]
    fn processing_goes_on_behind_the_last_valid_source_offset() {
        let source = |seq, source| Outcome { epoch: 1, seq, source };
        for (log, expected) in [
            (vec![opening(1)], None),
            (vec![opening(1), source(1, Some(7))], Some(7)),
            (vec![opening(1), source(1, Some(7)), source(2, None)], Some(7)),
            (vec![opening(1), source(1, Some(7)), Passed { epoch: 1, seq: 2, source: 9 }, opening(2)], Some(9)),
            (vec![opening(1), source(1, Some(7)), source(3, Some(11))], Some(7)),
            (vec![opening(1), source(1, Some(7)), opening(2), source(2, Some(11))], Some(7)),
        ] {
            assert_eq!(fold(&log).1.source, expected.map(SourceOffset));
        }
    }

    #[test]
    fn it_can_be_stored_and_taken_up_again() {
        let log = [opening(1), outcome(1, 1), Foreign, opening(2), outcome(1, 2), outcome(2, 1)];
        let whole = fold(&log).1;
        for cut in 0..log.len() {
            let (head, tail) = log.split_at(cut);
            let stored = serde_json::to_string(&fold(head).1).expect("plain data");
            let mut admission: Admission = serde_json::from_str(&stored).expect("as it was stored");
            for (appended, offset) in tail.iter().zip(cut as u64..) {
                admission.admit(&record(offset, appended));
            }
            assert_eq!(admission, whole, "taken up at {cut}");
        }
    }
}
