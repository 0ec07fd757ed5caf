//! What only the log on Kafka does: topics, commands, forwards, membership, brokers that die.

#![allow(clippy::indexing_slicing, reason = "a test that indexes wrongly fails, as it should")]

#[allow(dead_code, reason = "other tests stop brokers and cut links")]
#[path = "support/kafka.rs"]
mod kafka_broker;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ipam_ledger::audit;
use ipam_ledger::domain::id::OrganizationId;
use ipam_ledger::log::kafka::{
    CommandProducer, KafkaConfig, KafkaLog, Membership, MembershipChange, check_topics, create_topics,
};
use ipam_ledger::log::partition::partition_of;
use ipam_ledger::log::record::{Epoch, Header, Kind, NewRecord, Offset, Partition, Seq, SourceOffset};
use ipam_ledger::log::{AppendError, CommandSource, Letter, Log as _, ReadError, SourceRecord};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, TopicPartitionList};

const PATIENCE: Duration = Duration::from_mins(1);

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(future)
}

fn admin(config: &KafkaConfig) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &config.bootstrap).create().expect("a client")
}

fn read(source: &mut dyn CommandSource, count: usize) -> Vec<SourceRecord> {
    let deadline = Instant::now() + PATIENCE;
    let mut records = Vec::new();
    while records.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} commands came", records.len());
        records.extend(source.read(100, Duration::from_millis(200)).expect("a read"));
    }
    records
}

fn record(seq: u64, value: &[u8]) -> NewRecord {
    let header = Header { kind: Kind::Outcome, epoch: Epoch(1), seq: Seq(seq), source: None };
    NewRecord { header, key: None, value: value.into() }
}

#[test]
fn topics_are_made_right_and_making_them_again_is_harmless() {
    let config = kafka_broker::config();
    let missing: Vec<_> = check_topics(&config).expect("a check").iter().map(ToString::to_string).collect();
    assert_eq!(missing.len(), 3, "{missing:?}");
    assert!(missing[0].contains(".events: it does not exist. To mend it: ipam topics create"), "{}", missing[0]);
    let made = create_topics(&config, 3, None).expect("made");
    assert_eq!(made, [config.events_topic(), config.commands_topic(), config.dead_letter_topic()]);
    let deadline = Instant::now() + PATIENCE;
    while !check_topics(&config).expect("a check").is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(check_topics(&config).expect("a check"), []);
    assert_eq!(create_topics(&config, 3, None).expect("made before"), [""; 0]);
    assert_eq!(KafkaLog::new(config).expect("a client").partitions().expect("a number"), 3);
}

#[test]
fn wrong_topics_are_told_with_how_to_mend_them() {
    let config = kafka_broker::config();
    let (events, commands, dead) = (config.events_topic(), config.commands_topic(), config.dead_letter_topic());
    let topics = [
        NewTopic::new(&events, 3, TopicReplication::Fixed(1))
            .set("cleanup.policy", "compact")
            .set("retention.bytes", "1000000")
            .set("max.message.bytes", "1000"),
        NewTopic::new(&commands, 2, TopicReplication::Fixed(1)).set("retention.ms", "3600000"),
        NewTopic::new(&dead, 1, TopicReplication::Fixed(1)).set("unclean.leader.election.enable", "true"),
    ];
    let made = wait_for(admin(&config).create_topics(&topics, &AdminOptions::new())).expect("made");
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    let deadline = Instant::now() + PATIENCE;
    let problems = loop {
        let problems = check_topics(&config).expect("a check");
        if problems.iter().all(|problem| problem.what != "it does not exist") || Instant::now() > deadline {
            break problems;
        }
    };
    let found: Vec<_> = problems.iter().map(|problem| (problem.topic.clone(), problem.what.clone())).collect();
    for (topic, what) in [
        (&events, "cleanup.policy is compact, it must be delete"),
        (&events, "max.message.bytes is 1000, it must be 1048588"),
        (&events, "retention.ms is 604800000, it must be -1"),
        (&events, "retention.bytes is 1000000, it must be -1"),
        (&events, "message.timestamp.type is CreateTime, it must be LogAppendTime"),
        (&commands, "retention.ms is 3600000, it must be 604800000"),
        (&commands, "it has 2 partitions"),
        (&dead, "unclean.leader.election.enable is true, it must be false"),
    ] {
        assert!(found.iter().any(|(of, text)| of == topic && text.starts_with(what)), "{topic} {what}: {found:?}");
    }
    assert_eq!(problems.len(), 8, "{found:?}");
    let mend = &problems[0].mend;
    assert!(mend.starts_with("kafka-configs.sh --bootstrap-server ") && mend.ends_with("cleanup.policy=delete"));
}

#[test]
fn commands_are_sent_to_the_partition_that_decides_them() {
    let config = kafka_broker::config_with_topics(3);
    let log = KafkaLog::new(config.clone()).expect("a client");
    let producer = CommandProducer::new(&config, 3).expect("a producer");
    let mut expected: BTreeMap<Partition, Vec<Vec<u8>>> = BTreeMap::new();
    let mut deliveries = Vec::new();
    for index in 0..30 {
        let organization: OrganizationId = format!("{index:012}").parse().expect("a lone account");
        let command = format!("{{\"number\":{index}}}").into_bytes();
        deliveries.push(producer.send(&organization, &command).expect("handed over"));
        expected.entry(partition_of(&organization, 3)).or_default().push(command);
    }
    wait_for(async {
        for delivery in deliveries {
            delivery.await.expect("delivered");
        }
    });
    assert_eq!(expected.len(), 3, "the organisations are spread");
    for (partition, commands) in expected {
        let mut source = log.command_source(partition, SourceOffset(0)).expect("a source");
        let found = read(&mut *source, commands.len());
        assert_eq!(found.iter().map(|record| record.value.clone()).collect::<Vec<_>>(), commands);
        assert!(found.iter().all(|record| !record.forwarded && record.key.is_some()));
        let mut later = log.command_source(partition, SourceOffset(1)).expect("a source");
        assert_eq!(read(&mut *later, commands.len() - 1)[0].offset, SourceOffset(1));
    }
    let organization: OrganizationId = "000000000001".parse().expect("a lone account");
    let error = producer.send(&organization, &vec![b' '; 1_000_001]).map(|_| ()).expect_err("too large");
    assert!(matches!(error, AppendError::Refused(_)), "{error:?}");
}

#[test]
fn letters_arrive_marked_and_as_they_were() {
    let config = kafka_broker::config_with_topics(2);
    let log = KafkaLog::new(config.clone()).expect("a client");
    let mut outbox = log.outbox().expect("an outbox");
    let letters = vec![
        Letter::Forward { to: Partition(1), key: Some(vec![0, 255]), value: b"{\"a\":1}".to_vec() },
        Letter::Forward { to: Partition(1), key: None, value: Vec::new() },
        Letter::Dead {
            from: Partition(1),
            offset: SourceOffset(41),
            reason: "not JSON, says \u{fc}".to_owned(),
            key: None,
            value: vec![0xff, 0xfe],
        },
    ];
    outbox.send(letters).expect("sent");
    let mut source = log.command_source(Partition(1), SourceOffset(0)).expect("a source");
    let found = read(&mut *source, 2);
    assert_eq!((found[0].key.as_deref(), &*found[0].value), (Some([0, 255].as_slice()), b"{\"a\":1}".as_slice()));
    assert_eq!((found[1].key.as_deref(), &*found[1].value), (None, [].as_slice()));
    assert!(found.iter().all(|record| record.forwarded));

    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &config.bootstrap).set("group.id", "test");
    let consumer: BaseConsumer = client.create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&config.dead_letter_topic(), 0, rdkafka::Offset::Beginning).expect("a partition");
    consumer.assign(&list).expect("assigned");
    let letter = consumer.poll(PATIENCE).expect("a dead letter").expect("a message");
    assert_eq!((letter.key(), letter.payload()), (None, Some([0xff, 0xfe].as_slice())));
    let headers: Vec<_> = letter
        .headers()
        .expect("headers")
        .iter()
        .map(|header| (header.key.to_owned(), String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned()))
        .collect();
    let expected =
        [("ipam-reason", "not JSON, says \u{fc}"), ("ipam-source-partition", "1"), ("ipam-source-offset", "41")];
    assert_eq!(headers, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[test]
fn commands_that_expired_undecided_are_noticed() {
    let config = kafka_broker::config_with_topics(1);
    let log = KafkaLog::new(config.clone()).expect("a client");
    let letters = (0..5).map(|index| Letter::Forward { to: Partition(0), key: None, value: vec![index] }).collect();
    log.outbox().expect("an outbox").send(letters).expect("sent");
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&config.commands_topic(), 0, rdkafka::Offset::Offset(3)).expect("a partition");
    wait_for(admin(&config).delete_records(&before, &AdminOptions::new())).expect("deleted");
    let error = log.command_source(Partition(0), SourceOffset(2)).map(|_| ()).expect_err("expired");
    assert!(matches!(error, ReadError::Truncated { position: Offset(2), begin: Offset(3) }), "{error:?}");
    let mut source = log.command_source(Partition(0), SourceOffset(3)).expect("a source");
    assert_eq!(read(&mut *source, 2)[0].value, [3]);
}

#[test]
fn a_reader_whose_records_are_deleted_under_it_says_so() {
    let config = kafka_broker::config_with_topics(1);
    let log = KafkaLog::new(config.clone()).expect("a client");
    let mut appender = log.appender(Partition(0)).expect("an appender");
    let mut reader = log.reader(Partition(0), Offset(0)).expect("a reader");
    appender.append((0..10).map(|seq| record(seq, b"{}")).collect()).expect("an append");
    let deadline = Instant::now() + PATIENCE;
    while log.end(Partition(0)).expect("an end") < Offset(10) {
        assert!(Instant::now() < deadline, "the records did not arrive");
    }
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&config.events_topic(), 0, rdkafka::Offset::Offset(10)).expect("a partition");
    // A reader that has fetched already gives out what it has; this one starts behind the deletion.
    let mut behind = log.reader(Partition(0), Offset(0)).expect("a reader");
    wait_for(admin(&config).delete_records(&before, &AdminOptions::new())).expect("deleted");
    let told = loop {
        assert!(Instant::now() < deadline, "nobody said so");
        match behind.read(100, Duration::from_millis(100)) {
            Err(error) => break Some(error),
            // It had fetched all of them before they were deleted.
            Ok(records) if records.last().is_some_and(|last| last.offset == Offset(9)) => break None,
            Ok(_) => {}
        }
    };
    assert!(matches!(told, None | Some(ReadError::Truncated { begin: Offset(10), .. })), "{told:?}");
    let _ = reader.read(100, Duration::ZERO);
}

#[test]
fn a_missing_broker_or_topic_is_told_with_what_to_do() {
    let nowhere = KafkaLog::new(KafkaConfig::new("127.0.0.1:9")).expect("a client");
    let error = nowhere.partitions().expect_err("no broker").to_string();
    assert!(error.contains("no Kafka broker answers at 127.0.0.1:9") && error.contains("check the address"), "{error}");
    let error = check_topics(nowhere.config()).expect_err("no broker").to_string();
    assert!(error.contains("no Kafka broker answers"), "{error}");
    let log = KafkaLog::new(kafka_broker::config()).expect("a client");
    let error = log.reader(Partition(0), Offset(0)).map(|_| ()).expect_err("no topic").to_string();
    assert!(error.contains("does not exist; `ipam topics create` makes it"), "{error}");
}

/// Waits until the members own the six partitions between them, each once; what each owns.
fn settle(members: &[&Membership]) -> Vec<Vec<Partition>> {
    let deadline = Instant::now() + PATIENCE;
    let mut owned = vec![Vec::new(); members.len()];
    loop {
        for (member, owned) in members.iter().zip(&mut owned) {
            while let Ok(change) = member.changes().try_recv() {
                match change {
                    MembershipChange::Owned(partitions) => *owned = partitions,
                    MembershipChange::Failed(reason) | MembershipChange::Replaced(reason) => panic!("{reason}"),
                }
            }
        }
        let mut all: Vec<_> = owned.iter().flatten().copied().collect();
        all.sort_unstable();
        if all == (0..6).map(Partition).collect::<Vec<_>>() && owned.iter().all(|owned| !owned.is_empty()) {
            return owned;
        }
        assert!(Instant::now() < deadline, "the group did not settle: {owned:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn members_share_the_partitions_and_take_over_from_one_that_leaves() {
    let config = kafka_broker::config_with_topics(6);
    let first = Membership::join(&config, None).expect("a member");
    assert_eq!(settle(&[&first])[0].len(), 6);
    let second = Membership::join(&config, None).expect("a member");
    // What stays with the first is not taken from it in between: the group is cooperative.
    let mut shared = [Vec::new(), Vec::new()];
    let deadline = Instant::now() + PATIENCE;
    while shared[1].len() < 3 {
        assert!(Instant::now() < deadline, "the second member got {:?}", shared[1]);
        if let Ok(MembershipChange::Owned(partitions)) = first.changes().recv_timeout(Duration::from_millis(20)) {
            assert!(partitions.len() >= 3, "the first member lost too much: {partitions:?}");
            shared[0] = partitions;
        }
        if let Ok(MembershipChange::Owned(partitions)) = second.changes().try_recv() {
            shared[1] = partitions;
        }
    }
    assert!(shared[0].iter().all(|partition| !shared[1].contains(partition)), "{shared:?}");
    let left = Instant::now();
    drop(first);
    let deadline = Instant::now() + PATIENCE;
    let mut owned = Vec::new();
    while owned.len() < 6 {
        assert!(Instant::now() < deadline, "the other's partitions did not come: {owned:?}");
        if let Ok(MembershipChange::Owned(partitions)) = second.changes().recv_timeout(Duration::from_millis(50)) {
            owned = partitions;
        }
    }
    assert!(left.elapsed() < config.session_timeout, "it left without saying so: {:?}", left.elapsed());
}

#[test]
fn when_the_broker_dies_the_appender_is_finished_and_a_new_one_goes_on() {
    let cluster = kafka_broker::Cluster::start(1);
    let config = kafka_broker::config_at(&cluster.bootstrap);
    create_topics(&config, 1, None).expect("the topics");
    let log = KafkaLog::new(config).expect("a client");
    let mut appender = log.appender(Partition(0)).expect("an appender");
    let mut reader = log.reader(Partition(0), Offset(0)).expect("a reader");
    appender.append(vec![record(1, b"before")]).expect("an append");
    let mut seen = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while seen.is_empty() && Instant::now() < deadline {
        seen = reader.read(10, Duration::from_millis(200)).expect("a read");
    }
    cluster.kill(1);
    appender.append(vec![record(2, b"into the void")]).expect("handed over, no more");
    let error = loop {
        assert!(Instant::now() < deadline, "the loss was not noticed");
        assert_eq!(reader.read(10, Duration::from_millis(100)).expect("no news is no error"), []);
        if let Err(error) = appender.check() {
            break error;
        }
    };
    assert!(matches!(error, AppendError::Unknown(_)), "{error:?}");
    let error = appender.append(vec![record(3, b"never")]).expect_err("it is finished");
    assert!(matches!(error, AppendError::Refused(_)), "{error:?}");
    drop(appender);

    cluster.restart(1);
    let mut appender = log.appender(Partition(0)).expect("a new appender");
    appender.append(vec![record(2, b"after")]).expect("an append");
    let deadline = Instant::now() + PATIENCE;
    while !seen.iter().any(|record| &*record.value == b"after") {
        assert!(Instant::now() < deadline, "the reader did not come back: {seen:?}");
        seen.extend(reader.read(10, Duration::from_millis(200)).expect("a read"));
    }
    assert!(seen.iter().all(|record| &*record.value != b"never"), "{seen:?}");
}

/// Kafka tells a reader of a topic that is another one now; it does not go on in that one where it was in the first.
#[test]
fn a_command_topic_that_is_recreated_under_its_reader_is_noticed() {
    let config = kafka_broker::config_with_topics(1);
    let log = KafkaLog::new(config.clone()).expect("a client");
    let send = |from: u8, to: u8| {
        let letter = |index| Letter::Forward { to: Partition(0), key: None, value: vec![index] };
        log.outbox().expect("an outbox").send((from..to).map(letter).collect())
    };
    send(0, 3).expect("sent");
    let mut source = log.command_source(Partition(0), SourceOffset(0)).expect("a source");
    read(&mut *source, 3);
    wait_for(admin(&config).delete_topics(&[&config.commands_topic()], &AdminOptions::new())).expect("deleted");
    let deadline = Instant::now() + PATIENCE;
    let within = || assert!(Instant::now() < deadline, "it takes too long");
    while create_topics(&config, 1, None).is_err() {
        within();
        std::thread::sleep(Duration::from_millis(50));
    }
    // More than there were: the reader's place is within the new topic.
    while send(10, 16).is_err() {
        within();
    }
    let told = loop {
        within();
        match source.read(100, Duration::from_millis(200)) {
            Ok(records) => assert!(records.is_empty(), "it goes on in another topic: {records:?}"),
            Err(ReadError::Unreachable(_)) => {}
            Err(error) => break error.to_string(),
        }
    };
    assert!(told.contains("was the topic recreated?") || told.contains("ahead of the log"), "{told}");
}

/// A transaction hides nothing while it is open, and the marker that ends it takes an offset and is no record.
#[test]
fn a_foreign_transaction_hides_no_end_and_its_marker_holds_up_no_audit() {
    let config = kafka_broker::config_with_topics(1);
    let log = KafkaLog::new(config.clone()).expect("a client");
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &config.bootstrap).set("transactional.id", config.events_topic());
    let foreigner: BaseProducer = client.create().expect("a producer");
    foreigner.init_transactions(PATIENCE).expect("transactions");
    foreigner.begin_transaction().expect("one");
    let topic = config.events_topic();
    foreigner.send(BaseRecord::<(), [u8]>::to(&topic).partition(0).payload(b"not ours")).expect("sent");
    foreigner.flush(PATIENCE).expect("delivered");
    assert_eq!(log.end(Partition(0)).expect("an end"), Offset(1));
    log.reader(Partition(0), Offset(1)).expect("the place behind the last record");
    foreigner.commit_transaction(PATIENCE).expect("committed");
    let deadline = Instant::now() + PATIENCE;
    while log.end(Partition(0)).expect("an end") < Offset(2) {
        assert!(Instant::now() < deadline, "no marker came");
    }
    let report = audit::verify(&log, &audit::Asked::default(), &|_| {}).expect("the log can be read");
    assert_eq!((report.records, &report.findings), (1, &Vec::new()));
    assert_eq!(report.unshown, BTreeMap::from([(Partition(0), 1)]));
}
