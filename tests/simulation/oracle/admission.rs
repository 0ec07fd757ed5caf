//! Which records count, told another way than the code tells it: by counting lists (design D5).

use ipam_ledger::domain::id::OrganizationId;
use ipam_ledger::log::record::{EpochOpened, Header, Kind, LedgerId, Offset, Record, SourceOffset, WriterId};

/// A reign that began.
#[derive(Clone, Debug)]
pub struct Opening {
    pub writer: WriterId,
    ledger: LedgerId,
    partitions: u32,
    /// The last command that was dealt with when it began.
    pub source: Option<SourceOffset>,
    /// Records of it that count, the opening not among them.
    records: u64,
}

/// One partition of the events log.
#[derive(Clone, Debug, Default)]
pub struct Lane {
    /// The reigns so far.
    pub openings: Vec<Opening>,
    /// The last command dealt with.
    pub source: Option<SourceOffset>,
    /// A writer reads a topic that was made anew from its beginning: offsets go back once.
    pub begins_anew: bool,
    pub voids: u64,
    /// Every record, as it landed.
    pub records: Vec<Record>,
    /// Where the outcomes of organisations are, in order.
    pub outcomes: Vec<(Offset, OrganizationId)>,
}

pub enum Ruling {
    Opening,
    Outcome(Header),
    Passed,
    Void,
}

impl Lane {
    /// Judges the next record.
    pub fn judge(&mut self, record: &Record) -> Ruling {
        self.records.push(record.clone());
        let ruling = self.ruling(record);
        match (&ruling, record.header) {
            (Ruling::Void, _) => self.voids += 1,
            (Ruling::Outcome(_) | Ruling::Passed, Some(header)) => {
                let reign = self.openings.last_mut().expect("what counts is of a reign");
                reign.records += 1;
                if let Some(source) = header.source {
                    let in_order = self.source.is_none_or(|last| source > last);
                    assert!(
                        in_order || std::mem::take(&mut self.begins_anew),
                        "commands are dealt with in their order"
                    );
                    self.source = Some(source);
                }
            }
            _ => {}
        }
        ruling
    }

    fn ruling(&mut self, record: &Record) -> Ruling {
        let Some(header) = record.header else { return Ruling::Void };
        let reigns = self.openings.len() as u64;
        if header.kind == Kind::EpochOpened {
            let Ok(opened) = serde_json::from_slice::<EpochOpened>(&record.value) else { return Ruling::Void };
            let first = self.openings.first();
            let counts = opened.epoch == header.epoch
                && header.seq.0 == 0
                && opened.epoch.0 == reigns + 1
                && first.is_none_or(|first| (first.ledger, first.partitions) == (opened.ledger, opened.partitions));
            if !counts {
                return Ruling::Void;
            }
            let EpochOpened { writer, ledger, partitions, .. } = opened;
            self.openings.push(Opening { writer, ledger, partitions, source: self.source, records: 0 });
            return Ruling::Opening;
        }
        let next = self.openings.last().map(|reign| reign.records + 1);
        match next {
            Some(next) if header.epoch.0 == reigns && header.seq.0 == next => match header.kind {
                Kind::Outcome => Ruling::Outcome(header),
                _ => Ruling::Passed,
            },
            _ => Ruling::Void,
        }
    }
}
