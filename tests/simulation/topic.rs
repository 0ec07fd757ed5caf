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
    /// How often it was made anew.
    pub generation: u32,
    /// It was made anew, and producers do not find it until a writer reads it from its beginning. Otherwise they might put
    /// something where the writer goes on that nobody can tell from what was there: no command of that partition.
    being_made: bool,
    /// How many records the one before had.
    before: u64,
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

    /// `None` while it takes none.
    pub fn put(&mut self, key: Option<Vec<u8>>, value: Vec<u8>, forwarded: bool) -> Option<SourceRecord> {
        if self.being_made {
            return None;
        }
        let record = SourceRecord { offset: self.end(), key, value, forwarded };
        self.records.push(record.clone());
        Some(record)
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
        let at = from.unwrap_or_default();
        if at > self.end() {
            return Err(End::SourceEnds { offset: at, end: self.end() });
        }
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

    /// Whether a topic made anew would be noticed in every partition: by the command that stands where the writer goes on,
    /// or by its being too short.
    pub fn may_recreate(&self) -> bool {
        let everywhere = (0..self.partitions).all(|partition| !self.homes(Partition(partition)).is_empty());
        everywhere && !self.topic.iter().any(|topic| topic.disturbed)
    }

    fn homes(&self, partition: Partition) -> Vec<OrganizationId> {
        self.organizations.iter().filter(|id| self.oracle.once.home_of(id) == partition).cloned().collect()
    }

    /// The topic is deleted and made anew. Whoever reads it is told so, as Kafka does.
    pub fn recreate_commands(&mut self) {
        for partition in (0..self.partitions).map(Partition) {
            let before = self.topic[partition.0 as usize].end().0;
            self.topic[partition.0 as usize] = Topic { generation: 1, disturbed: true, ..Topic::default() };
            self.oracle.once.recreated(partition);
            self.nodes.iter_mut().for_each(|node| node.lose_source(partition));
            // A writer that dealt with the first record alone would find an empty topic in order.
            let longer_than_one = self.oracle.lane(partition).source > Some(SourceOffset(0));
            let empty = longer_than_one && self.random.one_in(2);
            self.tell(|| format!("the topic of {partition} is made anew, empty: {empty}"));
            let topic = &mut self.topic[partition.0 as usize];
            (topic.before, topic.being_made) = (before, empty);
            if !empty {
                self.fill(partition);
            }
        }
    }

    /// A writer reads a topic that was made anew from its beginning: producers find it, too.
    pub fn topic_is_known(&mut self, partition: Partition) {
        if std::mem::take(&mut self.topic[partition.0 as usize].being_made) {
            self.fill(partition);
        }
    }

    /// So many new commands that one stands wherever a writer may go on: until something of this topic is dealt with,
    /// each that starts finds out anew.
    fn fill(&mut self, partition: Partition) {
        let homes = self.homes(partition);
        for _ in 0..=self.topic[partition.0 as usize].before + self.random.below(3) as u64 {
            let organization = self.random.of(&homes).cloned().expect("there is one");
            self.put_new_command(partition, organization);
        }
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
                assert!(topic.generation > 0, "the topic is the one of before: {end}");
                topic.decided.recreated = true;
            }
            other => panic!("a writer stops for good: {other}"),
        }
        known_before && end.is_of_another_source()
    }
}
