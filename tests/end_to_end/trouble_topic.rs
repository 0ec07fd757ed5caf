//! Bad commands on Kafka's command topic, where nobody waits for an answer: what names its organisation and command is
//! refused on record; what does not goes to the dead letters, with the reason and where it was. The good ones among
//! them are decided.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::topic_partition_list::TopicPartitionList;
use serde_json::{Value, json};

use crate::kafka;
use crate::server::{Server, command};
use ipam_ledger::log::kafka::KafkaConfig;

const ACCOUNT: &str = "000000000042";
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn bad_commands_on_the_topic_are_refused_on_record_or_set_aside() {
    let config = kafka::config_with_topics(1);
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &["--kafka", &config.bootstrap, "--topic-prefix", &config.prefix]);
    let good = |kind: &str, payload: &Value| {
        let mut command = command(ACCOUNT, kind, payload);
        command["organization"] = json!(ACCOUNT);
        command
    };
    let create = good("CreateIpam", &json!({"home_region": "eu-central-1"}));
    let without = |name: &str| {
        let mut command = create.clone();
        command.as_object_mut().expect("an object").remove(name);
        command.to_string().into_bytes()
    };
    // Nearly as large as the topic takes.
    let huge = vec![b'x'; 900_000];
    let set_aside: [(&[u8], &str); 7] = [
        (b"allocate me a /24", "JSON"),
        (b"", "JSON"),
        (b"{\"type\": \"\xff\"}", "UTF-8"),
        (&without("command_id"), "command_id"),
        (&without("organization"), "organization"),
        (&without("principal"), "principal"),
        (&huge, "JSON"),
    ];
    let refused = [
        (good("AllocateCdir", &json!({})), "UnknownCommandType"),
        (good("CreateIpam", &json!({"home_regoin": "eu-central-1"})), "MalformedCommand"),
        (good("AllocateCidr", &json!({"pool": "ipam-pool-0123456789abcdef0", "netmask_length": 28})), "PoolNotFound"),
    ];
    let producer: ThreadedProducer<_> =
        ClientConfig::new().set("bootstrap.servers", &config.bootstrap).create().expect("a producer");
    let topic = config.commands_topic();
    let send = |value: &[u8]| {
        let record = BaseRecord::<str, [u8]>::to(&topic).partition(0).payload(value);
        producer.send(record).map_err(|(error, _)| error).expect("handed over");
    };
    send(create.to_string().as_bytes());
    for (value, _) in &set_aside {
        send(value);
    }
    for (command, _) in &refused {
        send(command.to_string().as_bytes());
    }
    let last = good("SetQuota", &json!({"quota": "pool-depth", "value": 12}));
    send(last.to_string().as_bytes());
    producer.flush(PATIENCE).expect("the broker has them");

    let outcome = |command: &Value| {
        let id = command["command_id"].as_str().expect("an id");
        server.get(&format!("/v1/organizations/{ACCOUNT}/outcomes/{id}?wait_seconds=30"))
    };
    for good in [&create, &last] {
        assert!(outcome(good)["decision"]["accepted"].is_array(), "{}", outcome(good));
    }
    for (command, code) in &refused {
        assert_eq!(outcome(command)["decision"]["rejected"]["code"], *code, "{command}");
    }
    for (number, ((value, says), letter)) in set_aside.iter().zip(dead_letters(&config, set_aside.len())).enumerate() {
        assert_eq!(letter.value, *value, "as it was sent");
        assert!(letter.reason.contains(says), "{says}: {}", letter.reason);
        assert_eq!(letter.source, ("0".to_owned(), (number + 1).to_string()), "{}", letter.reason);
    }
    server.stop();
}

struct Letter {
    value: Vec<u8>,
    reason: String,
    /// Partition and offset.
    source: (String, String),
}

/// The first so many dead letters.
fn dead_letters(config: &KafkaConfig, count: usize) -> Vec<Letter> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &config.bootstrap).set("group.id", "test");
    let consumer: BaseConsumer = client.create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&config.dead_letter_topic(), 0, rdkafka::Offset::Beginning).expect("a partition");
    consumer.assign(&list).expect("assigned");
    let letter = |_| {
        let message = consumer.poll(PATIENCE).expect("a dead letter").expect("a message");
        let headers = message.headers().expect("headers");
        let header = |name: &str| {
            let value = headers.iter().find(|header| header.key == name).and_then(|header| header.value).expect(name);
            String::from_utf8_lossy(value).into_owned()
        };
        Letter {
            value: message.payload().unwrap_or_default().to_vec(),
            reason: header("ipam-reason"),
            source: (header("ipam-source-partition"), header("ipam-source-offset")),
        }
    };
    (0..count).map(letter).collect()
}
