//! One partition of the command topic: its beginning may expire, and the whole of it may be replaced by another one; and
//! what the operators of the nodes decide then (design D7).

use ipam_ledger::domain::command::{Principal, Proof};
use ipam_ledger::domain::id::OrganizationId;
use ipam_ledger::log::SourceRecord;
use ipam_ledger::log::record::{Partition, SourceOffset};
use ipam_ledger::log::wire::CommandRequest;
use ipam_ledger::processor::core::{End, may_begin_at};

use super::world::World;

#[derive(Default)]
pub struct Topic {
    begin: u64,
    records: Vec<SourceRecord>,
    /// It was made anew, once.
    pub is_another: bool,
    /// The records of the one before.
    before: Vec<SourceRecord>,
    /// Something was lost: where a writer stands says no more what is dealt with.
    pub disturbed: bool,
    decided: Decided,
}

/// What the operators of the nodes have decided.
#[derive(Default)]
struct Decided {
    /// `--skip-expired-commands`.
    skip_expired: bool,
    /// `--recreated-commands`.
    recreated: bool,
}

impl Topic {
    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub const fn begin(&self) -> SourceOffset {
        SourceOffset(self.begin)
    }

    pub fn end(&self) -> SourceOffset {
        SourceOffset(self.begin + self.records.len() as u64)
    }

    /// Whether the topic before this one had the very same record where the next one comes: nobody can tell the one from the
    /// other by that.
    pub fn had(&self, value: &[u8]) -> bool {
        self.before.get(self.records.len()).is_some_and(|before| before.value == value)
    }

    pub fn put(&mut self, key: Option<Vec<u8>>, value: Vec<u8>, forwarded: bool) -> SourceRecord {
        let record = SourceRecord { offset: self.end(), key, value, forwarded };
        self.records.push(record.clone());
        record
    }

    /// The records from an offset on, at most so many.
    pub fn from(&self, offset: SourceOffset, records_max: usize) -> Vec<SourceRecord> {
        let skipped = usize::try_from(offset.0.saturating_sub(self.begin)).expect("small");
        self.records.iter().skip(skipped).take(records_max).cloned().collect()
    }

    pub fn last(&self) -> Option<SourceOffset> {
        self.records.last().map(|last| last.offset)
    }

    /// As the driver opens it: at the last command dealt with, or behind it when that one has expired.
    pub fn open(&mut self, from: Option<SourceOffset>) -> Result<SourceOffset, End> {
        if let Some(offset) = from.filter(|dealt_with| self.end() <= *dealt_with) {
            return Err(End::SourceEnds { offset, end: self.end() });
        }
        let at = from.unwrap_or_default();
        if at < self.begin() {
            may_begin_at(self.begin(), from, self.decided.skip_expired)?;
        }
        Ok(at.max(self.begin()))
    }
}

impl World {
    /// Retention removes the beginning: mostly what is dealt with.
    pub fn expire_commands(&mut self, partition: Partition) {
        let dealt_with = self.oracle.lane(partition).source.map_or(SourceOffset(0), SourceOffset::next);
        let topic = &self.topic[partition.0 as usize];
        let (begin, end) = (topic.begin, topic.end().0);
        let (least, most) =
            if self.random.one_in(4) { (dealt_with.0.max(begin), end) } else { (begin, dealt_with.0.min(end)) };
        let begin = self.random.between(least.cast_signed(), most.max(least).cast_signed()).unsigned_abs();
        let topic = &mut self.topic[partition.0 as usize];
        topic.records.retain(|record| record.offset.0 >= begin);
        topic.begin = begin;
        topic.disturbed = true;
        self.oracle.once.expired(partition, SourceOffset(begin));
        self.tell(|| format!("commands of {partition} before {begin} expire, dealt with before {}", dealt_with.0));
    }

    pub fn may_recreate(&self) -> bool {
        !self.topic.iter().any(|topic| topic.disturbed)
    }

    /// The topic is deleted and made anew: empty, or with so much in it that something stands where a writer may go on.
    /// Whoever reads it is told so, as Kafka does.
    pub fn recreate_commands(&mut self) {
        for partition in (0..self.partitions).map(Partition) {
            let topic = &mut self.topic[partition.0 as usize];
            let before = std::mem::take(&mut topic.records);
            let most = before.len() + 3;
            *topic = Topic { is_another: true, before, disturbed: true, ..Topic::default() };
            self.oracle.once.recreated(partition);
            self.nodes.iter_mut().for_each(|node| node.lose_source(partition));
            let records = if self.random.one_in(2) { 0 } else { self.random.below(most) };
            self.tell(|| format!("the topic of {partition} is made anew with {records} records"));
            for _ in 0..records {
                self.put_anything(partition);
            }
        }
    }

    /// Most of it is not this partition's, as with a foreign partitioner.
    fn put_anything(&mut self, partition: Partition) {
        if self.random.one_in(4) {
            return self.put_garbage(partition);
        }
        let organization = self.random.of(&self.organizations).cloned().expect("there is one");
        self.put_new_command(partition, organization);
    }

    fn put_new_command(&mut self, partition: Partition, organization: OrganizationId) {
        let known = self.oracle.world(&organization);
        let (account, body) = self.wish(&organization, &known);
        let principal = Principal { account, name: None, proof: Proof::None };
        let request = CommandRequest::new(self.own_id(), organization, principal, body);
        let command = serde_json::to_value(&request).expect("JSON");
        self.oracle.once.sent(&command);
        self.put(partition, None, serde_json::to_vec(&command).expect("JSON"), false);
    }

    /// A writer has stopped for good. The operator knows why, decides, and starts the node again; whether it reads the
    /// topic from its beginning then.
    pub fn operator_decides(&mut self, partition: Partition, end: &End) -> bool {
        let topic = &mut self.topic[partition.0 as usize];
        let known_before = topic.decided.recreated;
        match end {
            End::SourceExpired { from, begin } => {
                assert!(topic.begin() == *begin && from < begin, "nothing expired undecided: {end}");
                topic.decided.skip_expired = true;
                self.oracle.once.excuse_expired(partition);
            }
            End::OtherSource { .. } | End::SourceEnds { .. } => {
                assert!(topic.is_another, "the topic is the one of before: {end}");
                topic.decided.recreated = true;
            }
            other => panic!("a writer stops for good: {other}"),
        }
        known_before && end.is_of_another_source()
    }
}
