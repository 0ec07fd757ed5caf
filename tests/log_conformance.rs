//! One suite, three logs: whatever holds for one holds for all (design D9).

#![allow(clippy::indexing_slicing, reason = "a test that indexes wrongly fails, as it should")]

mod conformance;
#[path = "support/kafka.rs"]
#[allow(dead_code)]
mod kafka_broker;

use std::sync::Arc;

use conformance::World;
use ipam_ledger::log::Log;
use ipam_ledger::log::embedded::EmbeddedLog;
use ipam_ledger::log::kafka::{KafkaConfig, KafkaLog, create_topics};
use ipam_ledger::log::record::{Offset, Partition};
use ipam_ledger::log::simulated::SimulatedLog;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, TopicPartitionList};

macro_rules! suite {
    ($name:ident, $make:expr, [$($module:ident: $($case:ident)*;)*]) => {
        mod $name {
            $($(#[test] fn $case() { crate::conformance::$module::$case(&$make); })*)*
        }
    };
    ($name:ident, $make:expr) => {
        suite!($name, $make, [
            order:
                records_are_read_in_the_order_of_their_appends
                a_record_comes_back_as_it_went_in
                a_reader_starts_anywhere_up_to_the_end_and_not_behind_it
                a_read_gives_no_more_than_asked
                a_reader_waits_for_the_next_record
                partitions_are_appended_to_side_by_side
                big_records_go_through_among_small_ones
                a_partition_that_is_not_there_is_said_so;
            reigns:
                a_reign_is_opened_and_followed
                what_a_deposed_writer_appends_is_void
                of_two_that_take_over_at_once_the_first_in_the_log_reigns
                a_gap_or_a_doubled_record_is_void
                another_ledger_cannot_take_over;
            durability:
                records_are_there_after_reopening
                a_position_of_a_log_that_was_replaced_is_ahead
                a_position_before_the_beginning_is_truncated;
        ]);
    };
}

suite!(simulated, |partitions| Box::new(crate::Simulated(ipam_ledger::log::simulated::SimulatedLog::new(partitions))));
suite!(embedded, |partitions| Box::new(crate::Embedded::new(partitions)));
suite!(kafka, |partitions| Box::new(crate::Kafka::new(partitions)));

struct Simulated(SimulatedLog);

impl World for Simulated {
    fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.0.clone())
    }

    fn reopen(&mut self) {}

    fn delete_before(&mut self, partition: Partition, begin: Offset) -> bool {
        self.0.truncate_front(partition, begin);
        true
    }

    fn replace(&mut self) {
        self.0.recreate(Partition(0));
    }

    fn has_real_clock(&self) -> bool {
        false
    }
}

struct Embedded {
    log: Option<EmbeddedLog>,
    directory: tempfile::TempDir,
    partitions: u32,
}

impl Embedded {
    fn new(partitions: u32) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let log = EmbeddedLog::open(directory.path(), partitions).expect("a new log");
        Self { log: Some(log), directory, partitions }
    }
}

impl World for Embedded {
    fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.log.clone().expect("an open log"))
    }

    fn reopen(&mut self) {
        self.log = None;
        self.log = Some(EmbeddedLog::open(self.directory.path(), self.partitions).expect("the log"));
    }

    fn delete_before(&mut self, _: Partition, _: Offset) -> bool {
        false
    }

    fn replace(&mut self) {
        *self = Self::new(self.partitions);
    }
}

struct Kafka {
    config: KafkaConfig,
    log: KafkaLog,
    partitions: u32,
}

impl Kafka {
    fn new(partitions: u32) -> Self {
        let config = kafka_broker::config_with_topics(partitions);
        let log = KafkaLog::new(config.clone()).expect("a client");
        Self { config, log, partitions }
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.config.bootstrap).create().expect("a client")
    }

    fn wait_for<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
    }
}

impl World for Kafka {
    fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.log.clone())
    }

    fn reopen(&mut self) {
        self.log = KafkaLog::new(self.config.clone()).expect("a client");
    }

    fn delete_before(&mut self, partition: Partition, begin: Offset) -> bool {
        let mut before = TopicPartitionList::new();
        let at = rdkafka::Offset::Offset(begin.0.try_into().expect("a small offset"));
        let partition = partition.0.try_into().expect("a small number");
        before.add_partition_offset(&self.config.events_topic(), partition, at).expect("a partition");
        Self::wait_for(self.admin().delete_records(&before, &AdminOptions::new())).expect("deleted");
        true
    }

    fn replace(&mut self) {
        let topic = self.config.events_topic();
        Self::wait_for(self.admin().delete_topics(&[&topic], &AdminOptions::new())).expect("deleted");
        // The name is free a moment later.
        let deadline = std::time::Instant::now() + conformance::PATIENCE;
        while !create_topics(&self.config, self.partitions, None).is_ok_and(|made| made.contains(&topic)) {
            assert!(std::time::Instant::now() < deadline, "the topic was not made anew");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}
