//! Reads a whole events log with the library's own fold, and keeps the outcomes that count. It judges what no log
//! may show: two outcomes of one command, an outcome in another's partition, gaps and forks in a history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipam_ledger::domain::id::{CommandId, OrganizationId};
use ipam_ledger::domain::outcome::Outcome;
use ipam_ledger::domain::time::Timestamp;
use ipam_ledger::log::admission::{Admission, Verdict};
use ipam_ledger::log::partition::partition_of;
use ipam_ledger::log::record::Partition;
use ipam_ledger::log::{Log, ReadError};
use serde_json::Value;

pub type Key = (OrganizationId, CommandId);

/// An outcome, and the record's value as it stands in the log.
#[derive(Debug)]
pub struct Recorded {
    pub outcome: Outcome,
    pub value: Arc<[u8]>,
}

impl Recorded {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.value).expect("JSON")
    }
}

/// A reign over a partition.
#[derive(Clone, Copy, Debug)]
pub struct Reign {
    pub partition: Partition,
    pub epoch: u64,
    pub opened_at: Timestamp,
    pub first_outcome_at: Option<Timestamp>,
}

pub struct Audience {
    log: Arc<dyn Log>,
    partitions: Vec<Admission>,
    pub outcomes: BTreeMap<Key, Recorded>,
    pub reigns: Vec<Reign>,
}

impl Audience {
    pub fn new(log: Arc<dyn Log>) -> Self {
        // Topics that were made a moment ago are not known to every broker yet.
        let until = Instant::now() + Duration::from_secs(60);
        let partitions = loop {
            match log.partitions() {
                Ok(partitions) => break partitions,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
        };
        let partitions = (0..partitions).map(|_| Admission::default()).collect();
        Self { log, partitions, outcomes: BTreeMap::new(), reigns: Vec::new() }
    }

    /// Reads to the end, or as far as the log can be reached; gives how many of these commands have their outcome.
    pub fn listen(&mut self, sent: &BTreeSet<Key>) -> usize {
        if let Err(error) = self.read() {
            assert!(matches!(error, ReadError::Unreachable(_)), "{error}");
        }
        sent.iter().filter(|key| self.outcomes.contains_key(key)).count()
    }

    /// Goes on with the same log, opened again; reads to its end.
    pub fn listen_again(&mut self, log: Arc<dyn Log>) {
        self.log = log;
        self.read().expect("a log that can be read");
    }

    fn read(&mut self) -> Result<(), ReadError> {
        for partition in (0..self.partitions.len()).map(|index| Partition(u32::try_from(index).expect("few"))) {
            let end = self.log.end(partition)?;
            let from = self.admission(partition).next;
            if from >= end {
                continue;
            }
            let mut reader = self.log.reader(partition, from)?;
            while self.admission(partition).next < end {
                let records = reader.read(1_000, Duration::from_secs(10))?;
                if records.is_empty() {
                    return Err(ReadError::Unreachable("nothing came".to_owned()));
                }
                for record in &records {
                    self.hear(partition, record);
                }
            }
        }
        Ok(())
    }

    fn hear(&mut self, partition: Partition, record: &ipam_ledger::log::record::Record) {
        match self.admission(partition).admit(record) {
            Verdict::Opened(opened) => self.reigns.push(Reign {
                partition,
                epoch: opened.epoch.0,
                opened_at: record.appended_at,
                first_outcome_at: None,
            }),
            Verdict::Outcome(_) => {
                let outcome: Outcome = serde_json::from_slice(&record.value).expect("an outcome");
                let partitions = u32::try_from(self.partitions.len()).expect("few");
                assert_eq!(partition_of(&outcome.organization, partitions), partition);
                if let Some(reign) = self.reigns.iter_mut().rev().find(|reign| reign.partition == partition) {
                    reign.first_outcome_at.get_or_insert(record.appended_at);
                }
                let key = (outcome.organization.clone(), outcome.command_id);
                let before = self.outcomes.insert(key, Recorded { outcome, value: Arc::clone(&record.value) });
                assert!(before.is_none(), "a command has two outcomes that count: {before:?}");
            }
            Verdict::Passed(_) | Verdict::Void(_) => {}
        }
    }

    fn admission(&mut self, partition: Partition) -> &mut Admission {
        &mut self.partitions[partition.0 as usize]
    }

    pub fn void_records(&self) -> u64 {
        self.partitions.iter().map(|admission| admission.void_count).sum()
    }

    /// The latest revision of an organisation, after a check that its outcomes are one unbroken history.
    pub fn revision(&self, organization: &str) -> u64 {
        let of_one = self.outcomes.values().filter(|it| it.outcome.organization.as_str() == organization);
        let mut revisions: Vec<_> = of_one.filter_map(|it| it.outcome.revision).map(|it| it.0).collect();
        revisions.sort_unstable();
        let expected: Vec<_> = (1..=revisions.len() as u64).collect();
        assert_eq!(revisions, expected, "{organization} has gaps or forks in its history");
        revisions.len() as u64
    }

    /// How many commands of an organisation were accepted.
    pub fn accepted(&self, organization: &str) -> u64 {
        let of_one = self.outcomes.values().filter(|it| it.outcome.organization.as_str() == organization);
        of_one.filter(|it| !it.outcome.events().is_empty()).count() as u64
    }
}
