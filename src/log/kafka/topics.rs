//! The topics: how they are made, and what is wrong with those that are there. Wrong topics lose data silently, so
//! a server does not start on them.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use super::{KafkaConfig, REQUEST_TIMEOUT, explain};

/// Commands wait at least so long to be decided.
const COMMANDS_RETENTION_MS_MIN: i64 = 7 * 24 * 3_600 * 1_000;
/// Kafka's own default; room for a record of `RECORD_BYTES_MAX` with its key and headers.
const MESSAGE_BYTES_MIN: i64 = 1_048_588;
/// Dead letters carry a whole message and headers besides.
const DEAD_LETTER_BYTES: i64 = 1_200_000;

/// Why topics could not be made or looked at.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TopicsError(String);

/// Something wrong with a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub topic: String,
    pub what: String,
    pub mend: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}. To mend it: {}", self.topic, self.what, self.mend)
    }
}

/// Makes the topics that are not there, with the right settings; leaves those alone that are. Returns the names of
/// those made. `replication`: 3 where there are three brokers, if `None`.
///
/// # Errors
/// When no broker answers, or it refuses.
pub fn create_topics(
    config: &KafkaConfig,
    partitions: u32,
    replication: Option<u32>,
) -> Result<Vec<String>, TopicsError> {
    let admin = admin(config)?;
    let brokers = metadata(config, &admin)?.brokers().len();
    let replicas = replication.and_then(|asked| usize::try_from(asked).ok()).unwrap_or(brokers.clamp(1, 3));
    let min_in_sync = if replicas >= 3 { "2" } else { "1" };
    let names = [config.events_topic(), config.commands_topic(), config.dead_letter_topic()];
    let message_bytes = [MESSAGE_BYTES_MIN, MESSAGE_BYTES_MIN, DEAD_LETTER_BYTES].map(|bytes| bytes.to_string());
    let [events, commands, dead] = &names;
    let [for_events, for_commands, for_dead] = &message_bytes;
    let count = i32::try_from(partitions).unwrap_or(i32::MAX);
    let fixed = || TopicReplication::Fixed(i32::try_from(replicas).unwrap_or(i32::MAX));
    let topic = |name, count, bytes| {
        NewTopic::new(name, count, fixed())
            .set("cleanup.policy", "delete")
            .set("retention.ms", "-1")
            .set("retention.bytes", "-1")
            .set("message.timestamp.type", "LogAppendTime")
            .set("min.insync.replicas", min_in_sync)
            .set("unclean.leader.election.enable", "false")
            .set("max.message.bytes", bytes)
    };
    let new = [topic(events, count, for_events), topic(commands, count, for_commands), topic(dead, 1, for_dead)];
    let made = block_on(admin.create_topics(&new, &options())).map_err(|error| failed(config, &error))?;
    let mut created = Vec::new();
    for result in made {
        match result {
            Ok(name) => created.push(name),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(TopicsError(format!("topic {name} was not made: {code}"))),
        }
    }
    Ok(created)
}

/// What is wrong with the topics; nothing when a server may run on them.
///
/// # Errors
/// When no broker answers, or it does not tell.
pub fn check_topics(config: &KafkaConfig) -> Result<Vec<Problem>, TopicsError> {
    let admin = admin(config)?;
    let metadata = metadata(config, &admin)?;
    let brokers = metadata.brokers().len();
    let mut problems = Vec::new();
    let mut counts = BTreeMap::new();
    for (name, role) in [
        (config.events_topic(), Role::Events),
        (config.commands_topic(), Role::Commands),
        (config.dead_letter_topic(), Role::DeadLetter),
    ] {
        let found = metadata.topics().iter().find(|topic| topic.name() == name && topic.error().is_none());
        let Some(found) = found.filter(|topic| !topic.partitions().is_empty()) else {
            problems.push(Problem {
                topic: name,
                what: "it does not exist".to_owned(),
                mend: format!("ipam topics create --kafka {}", config.bootstrap),
            });
            continue;
        };
        let replicas = found.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
        counts.insert(role, found.partitions().len());
        let settings = settings(config, &admin, &name)?;
        let topic = Topic { config, name: &name, role, brokers, replicas, settings };
        problems.extend(topic.problems());
    }
    if let (Some(events), Some(commands)) = (counts.get(&Role::Events), counts.get(&Role::Commands))
        && events != commands
    {
        problems.push(Problem {
            topic: config.commands_topic(),
            what: format!("it has {commands} partitions, {} has {events}", config.events_topic()),
            mend: format!(
                "the number of {} is fixed for ever; stop all servers, let the commands that wait be decided or save \
                 them, delete {} and run ipam topics create --partitions {events}",
                config.events_topic(),
                config.commands_topic()
            ),
        });
    }
    Ok(problems)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Events,
    Commands,
    DeadLetter,
}

/// A topic that is there, and what it is for.
struct Topic<'a> {
    config: &'a KafkaConfig,
    name: &'a str,
    role: Role,
    brokers: usize,
    replicas: usize,
    settings: BTreeMap<String, String>,
}

impl Topic<'_> {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = vec![
            self.exactly("cleanup.policy", "delete", "compaction would delete history"),
            self.at_least("max.message.bytes", MESSAGE_BYTES_MIN, "big records would be refused"),
            self.exactly("unclean.leader.election.enable", "false", "acknowledged records could be lost"),
        ];
        match self.role {
            Role::Events => problems.extend([
                self.exactly("retention.ms", "-1", "the truth would be deleted after a while"),
                self.exactly("retention.bytes", "-1", "the truth would be deleted when it has grown"),
                self.exactly("message.timestamp.type", "LogAppendTime", "writers check their clocks against it"),
            ]),
            Role::Commands => problems.extend([
                self.retention("retention.ms", COMMANDS_RETENTION_MS_MIN, "commands could expire undecided"),
                self.exactly("retention.bytes", "-1", "commands could expire undecided"),
            ]),
            Role::DeadLetter => {}
        }
        if self.role != Role::DeadLetter {
            problems.extend([self.replication(), self.in_sync()]);
        }
        problems.into_iter().flatten().collect()
    }

    fn exactly(&self, setting: &str, expected: &str, why: &str) -> Option<Problem> {
        let found = self.setting(setting);
        (found != expected).then(|| self.wrong(setting, found, expected, why))
    }

    fn at_least(&self, setting: &str, expected: i64, why: &str) -> Option<Problem> {
        let found = self.setting(setting);
        let is_enough = found.parse::<i64>().is_ok_and(|found| found >= expected);
        (!is_enough).then(|| self.wrong(setting, found, &expected.to_string(), why))
    }

    /// As [`Topic::at_least`], where -1 is for ever.
    fn retention(&self, setting: &str, expected: i64, why: &str) -> Option<Problem> {
        if self.setting(setting) == "-1" { None } else { self.at_least(setting, expected, why) }
    }

    fn replication(&self) -> Option<Problem> {
        (self.brokers >= 3 && self.replicas < 3).then(|| Problem {
            topic: self.name.to_owned(),
            what: format!(
                "it has {} replicas on {} brokers; a lost disk could lose history",
                self.replicas, self.brokers
            ),
            mend: format!(
                "give it 3 replicas with kafka-reassign-partitions.sh --bootstrap-server {} --execute",
                self.config.bootstrap
            ),
        })
    }

    fn in_sync(&self) -> Option<Problem> {
        if self.replicas < 3 {
            return None;
        }
        self.at_least("min.insync.replicas", 2, "a record acknowledged by one broker alone could be lost")
    }

    fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map_or("", String::as_str)
    }

    fn wrong(&self, setting: &str, found: &str, expected: &str, why: &str) -> Problem {
        Problem {
            topic: self.name.to_owned(),
            what: format!("{setting} is {found}, it must be {expected}: {why}"),
            mend: format!(
                "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {} --add-config \
                 {setting}={expected}",
                self.config.bootstrap, self.name
            ),
        }
    }
}

fn admin(config: &KafkaConfig) -> Result<AdminClient<DefaultClientContext>, TopicsError> {
    AdminClient::from_config(&config.client()).map_err(|error| failed(config, &error))
}

fn metadata(config: &KafkaConfig, admin: &AdminClient<DefaultClientContext>) -> Result<Metadata, TopicsError> {
    admin.inner().fetch_metadata(None, REQUEST_TIMEOUT).map_err(|error| failed(config, &error))
}

fn settings(
    config: &KafkaConfig,
    admin: &AdminClient<DefaultClientContext>,
    topic: &str,
) -> Result<BTreeMap<String, String>, TopicsError> {
    let specifiers = [ResourceSpecifier::Topic(topic)];
    let described =
        block_on(admin.describe_configs(&specifiers, &options())).map_err(|error| failed(config, &error))?;
    let mut settings = BTreeMap::new();
    for resource in described {
        let resource =
            resource.map_err(|code| TopicsError(format!("the settings of {topic} cannot be read: {code}")))?;
        settings.extend(resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))));
    }
    Ok(settings)
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT))
}

fn failed(config: &KafkaConfig, error: &KafkaError) -> TopicsError {
    TopicsError(explain(config, error))
}

/// librdkafka completes its futures from a thread of its own, so that any thread can wait for one.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
