//! What an operator can get wrong, and what disks and brokers do: each is told in words that say what to do, ends
//! with an exit code that is not 0, and leaves what is there as it is.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use serde_json::{Value, json};

use crate::kafka;
use crate::process::{Ended, ipam, serve};
use crate::server::{Server, command};
use ipam_ledger::log::kafka::{CommandProducer, KafkaConfig, create_topics};

/// No ledger to ask.
const UNREACHABLE: i32 = 4;
const USAGE: i32 = 2;
const PATIENCE: Duration = Duration::from_secs(60);

/// A data directory with a ledger of one outcome.
fn ledger(home: &Path, name: &str) -> PathBuf {
    let data = home.join(name);
    let server = Server::start(&data, &[]);
    server.accept("000000000001", "000000000001", "CreateIpam", &json!({"home_region": "eu-central-1"}));
    server.stop();
    data
}

#[test]
fn data_directories_that_cannot_be_used() {
    let home = tempfile::tempdir().expect("a directory");
    let data = ledger(home.path(), "data");

    let server = Server::start(&data, &[]);
    serve(&data, &[]).says(UNREACHABLE, &["in use by process", "stop it first"]);
    let path = data.to_str().expect("a plain path");
    server.stop();

    // Tests run as root, whom permissions do not stop: a file where a directory must be does.
    let file = home.path().join("file");
    std::fs::write(&file, "").expect("a file");
    serve(&file.join("data"), &[]).says(UNREACHABLE, &["cannot be made", "Not a directory", "choose another"]);

    let other = home.path().join("other");
    std::fs::create_dir_all(other.join("log")).expect("a directory");
    std::fs::write(other.join("log/holiday.jpg"), "").expect("a file");
    serve(&other, &[]).says(UNREACHABLE, &["holds other files and no log", "choose an empty"]);

    let (log, views) = (data.join("log/FORMAT"), data.join("views/FORMAT"));
    for (file, advice) in [(&log, "run the program that wrote it"), (&views, "ipam views rebuild")] {
        let right = std::fs::read_to_string(file).expect("a file that says the version");
        std::fs::write(file, right.replace('1', "9")).expect("written");
        serve(&data, &[]).says(UNREACHABLE, &["version", "9", advice]);
        std::fs::write(file, right).expect("written");
    }

    let stranger = ledger(home.path(), "stranger");
    let away = home.path().join("views of the ledger");
    std::fs::rename(data.join("views"), &away).expect("moved");
    std::fs::rename(stranger.join("views"), data.join("views")).expect("moved");
    serve(&data, &[])
        .says(UNREACHABLE, &["of ledger", "the data directory belongs to another log", "ipam views rebuild"]);
    let rebuilt = ipam(home.path(), &["views", "rebuild", "--data", path]);
    assert_eq!(rebuilt.code, 0, "the advice does not help: {rebuilt:#?}");
    Server::start(&data, &[]).stop();
}

/// `--data` means the same ledger whether or not a server runs on it, and whatever became of the one before.
#[test]
fn a_data_directory_is_asked_through_the_server_that_runs_on_it() {
    let home = tempfile::tempdir().expect("a directory");
    let data = ledger(home.path(), "data");
    let path = data.to_str().expect("a plain path");
    let note = data.join("serve.json");
    let shell = |line: &str| {
        let words = line.split(' ').chain(["--org", "000000000001", "--data", path]);
        ipam(home.path(), &words.collect::<Vec<_>>())
    };
    let asked = |what: &str| {
        let scope = shell("scope create -q");
        assert_eq!(scope.code, 0, "a command {what}: {scope:#?}");
        let scopes = shell("scope list -q");
        assert_eq!(scopes.code, 0, "a question {what}: {scopes:#?}");
        assert!(scopes.out.lines().any(|one| one == scope.result()), "{what}: {scopes:#?}");
        let deleted = shell(&format!("scope delete {}", scope.result()));
        assert_eq!(deleted.code, 0, "another command {what}: {deleted:#?}");
    };
    asked("without a server");
    let server = Server::start(&data, &[]);
    asked("to a running server");
    serve(&data, &[]).says(UNREACHABLE, &["in use by process", "stop it first"]);
    asked("after another tried to run");
    // What a server that was killed says of itself is no word of a living one.
    let pid = server.pid();
    server.kill();
    let left = std::fs::read_to_string(&note).expect("it had no time to take it back");
    assert!(left.contains(&pid.to_string()), "{left}");
    asked("after the server was killed");
    let server = Server::start(&data, &[]);
    asked("to its successor");
    server.stop();
    assert!(!note.exists(), "an orderly stop leaves no note");
    asked("after an orderly stop");
    // One that runs and does not answer is named.
    let server = Server::start(&data, &[]);
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let elsewhere = format!("http://{}", port.local_addr().expect("an address"));
    drop(port);
    let right = std::fs::read_to_string(&note).expect("it runs");
    let pid = server.pid();
    std::fs::write(&note, json!({"url": elsewhere, "pid": pid}).to_string()).expect("written");
    shell("scope list").says(UNREACHABLE, &[&format!("process {pid}"), &elsewhere, "does not answer", "--url"]);
    std::fs::write(&note, right).expect("written");
    server.stop();
}

#[test]
fn a_flipped_bit_in_the_log_is_found_and_nothing_is_changed() {
    let home = tempfile::tempdir().expect("a directory");
    let data = ledger(home.path(), "data");
    let records = data.join("log/records");
    let files = || std::fs::read_dir(&records).expect("files").map(|file| file.expect("a file").path());
    // The outcome is in a write-ahead log, or in a table when that was flushed.
    let file = files()
        .filter(|path| path.extension().is_some_and(|kind| kind == "log" || kind == "sst"))
        .max_by_key(|path| std::fs::metadata(path).map_or(0, |file| file.len()))
        .expect("a file with records");
    let sound = std::fs::read(&file).expect("the file");
    let mut flipped = sound.clone();
    let middle = sound.len() / 3;
    flipped[middle] ^= 0b100;
    std::fs::write(&file, &flipped).expect("written");
    let told = serve(&data, &[]);
    told.says(UNREACHABLE, &["damaged", "Nothing was changed", "restore"]);
    assert_eq!(std::fs::read(&file).expect("the file"), flipped, "the damaged file was changed");
    let path = data.to_str().expect("a plain path");
    let audit = ipam(home.path(), &["audit", "verify", "--data", path]);
    assert!(audit.code == 1 || audit.code == UNREACHABLE, "{audit:#?}");
    std::fs::write(&file, sound).expect("written");
    Server::start(&data, &[]).stop();
}

fn flags(config: &KafkaConfig) -> [&str; 4] {
    ["--kafka", &config.bootstrap, "--topic-prefix", &config.prefix]
}

#[test]
fn brokers_and_topics_that_cannot_be_used() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    // Nobody listens there: the port was free a moment ago.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let nobody = format!("127.0.0.1:{port}");
    let told = serve(&data, &["--kafka", &nobody]);
    told.says(UNREACHABLE, &["Kafka", &nobody]);
    ipam(home.path(), &["topics", "check", "--kafka", &nobody]).says(UNREACHABLE, &[&nobody]);
    ipam(home.path(), &["audit", "verify", "--kafka", &nobody]).says(UNREACHABLE, &[&nobody]);

    let config = kafka::config();
    let told = serve(&data, &flags(&config));
    let advice = format!("ipam topics create --kafka {}", config.bootstrap);
    told.says(UNREACHABLE, &[&config.events_topic(), "does not exist", &advice]);
    let advised = advised_command(&told, "ipam topics create");
    let made = ipam(home.path(), &advised.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(made.code, 0, "the advice does not help: {made:#?}");

    // Made by somebody with the broker's defaults.
    let careless = kafka::config();
    let names = [careless.events_topic(), careless.commands_topic(), careless.dead_letter_topic()];
    let topics: Vec<_> = names.iter().map(|name| NewTopic::new(name, 2, TopicReplication::Fixed(1))).collect();
    make(&careless, &topics);
    let told = serve(&data, &flags(&careless));
    told.says(UNREACHABLE, &["retention.ms", "the truth would be deleted", "kafka-configs.sh"]);
    let checked = [&["topics", "check"], &flags(&careless)[..]].concat();
    ipam(home.path(), &checked).says(USAGE, &["retention.ms"]);
}

#[test]
fn recreated_topics_are_not_taken_for_the_ledger() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let config = kafka::config_with_topics(1);
    let server = Server::start(&data, &flags(&config));
    server.accept("000000000001", "000000000001", "CreateIpam", &json!({"home_region": "eu-central-1"}));
    server.stop();
    recreate(&config, &[&config.events_topic(), &config.commands_topic()]);
    serve(&data, &flags(&config)).says(UNREACHABLE, &["the log lost records or is another one", "ipam views rebuild"]);
    // Another ledger on the new topics, further on than the old one: by its name this time.
    let other = home.path().join("other");
    let server = Server::start(&other, &flags(&config));
    for account in ["000000000001", "000000000002"] {
        server.accept(account, account, "CreateIpam", &json!({"home_region": "eu-central-1"}));
    }
    server.stop();
    serve(&data, &flags(&config)).says(UNREACHABLE, &["of ledger", "belongs to another log", "ipam views rebuild"]);
}

/// Where only the command topic is another one, nothing is decided until an operator says so; then the new topic is
/// read from its beginning, and what was decided before keeps its outcome.
#[test]
fn a_recreated_command_topic_waits_for_the_operator() {
    const ACCOUNT: &str = "000000000001";
    let data = tempfile::tempdir().expect("a directory");
    let config = kafka::config_with_topics(1);
    let quota = |value: u32| command(ACCOUNT, "SetQuota", &json!({"quota": "pool-depth", "value": value}));
    let outcome = |server: &Server, command: &Value| {
        let id = command["command_id"].as_str().expect("an id");
        server.get(&format!("/v1/organizations/{ACCOUNT}/outcomes/{id}?wait_seconds=30"))
    };
    let server = Server::start(data.path(), &flags(&config));
    server.accept(ACCOUNT, ACCOUNT, "CreateIpam", &json!({"home_region": "eu-central-1"}));
    let known = quota(12);
    let (_, first) = server.try_send(ACCOUNT, &known).expect("an answer");
    server.stop();
    recreate(&config, &[&config.commands_topic()]);

    // What is not known is at the place of the last command decided; what is known comes again.
    let unknown = [quota(13), quota(14), quota(15)];
    let producer = CommandProducer::new(&config, 1).expect("a producer");
    for command in [&known, &unknown[0], &unknown[1], &unknown[2]] {
        let mut command = command.clone();
        command["organization"] = json!(ACCOUNT);
        let sent = producer.send(&ACCOUNT.parse().expect("an account"), command.to_string().as_bytes());
        wait_for(sent.expect("handed over")).expect("the broker has it");
    }
    let server = Server::spawn(data.path(), &flags(&config));
    let until = Instant::now() + PATIENCE;
    loop {
        let told = server.try_get("/readyz");
        if told
            .as_ref()
            .is_some_and(|(status, told)| *status == 503 && told.to_string().contains("--recreated-commands"))
        {
            break;
        }
        assert!(Instant::now() < until, "it does not tell what to do: {told:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    server.stop();

    let server = Server::start(data.path(), &[&flags(&config)[..], &["--recreated-commands"]].concat());
    for command in &unknown {
        let outcome = outcome(&server, command);
        assert!(outcome["decision"]["accepted"].is_array(), "{outcome}");
    }
    assert_eq!(outcome(&server, &known), first, "it keeps its outcome");
    let next = server.accept(ACCOUNT, ACCOUNT, "SetQuota", &json!({"quota": "pool-depth", "value": 16}));
    assert_eq!(next["revision"], 6, "five were decided before, each once: {next}");
    server.stop();
}

/// The first command of a message that begins so, as arguments.
fn advised_command(told: &Ended, begin: &str) -> Vec<String> {
    let line = told.err.lines().find_map(|line| Some(&line[line.find(begin)?..])).expect("an advice");
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

/// Deletes topics and makes them again.
fn recreate(config: &KafkaConfig, names: &[&str]) {
    wait_for(admin(config).delete_topics(names, &AdminOptions::new())).expect("deleted");
    let until = Instant::now() + PATIENCE;
    while create_topics(config, 1, None).is_err() {
        assert!(Instant::now() < until, "the topics cannot be made again");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn make(config: &KafkaConfig, topics: &[NewTopic<'_>]) {
    let made = wait_for(admin(config).create_topics(topics, &AdminOptions::new())).expect("made");
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

fn admin(config: &KafkaConfig) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &config.bootstrap).create().expect("a client")
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(future)
}
